#!/usr/bin/env python3
"""Where the guest's lines go: COM1 to COM4 and the printer on every kind of character device, and hosts that do not play along.

Usage: places.py NOVT [NAME...]     runs all tests, or those whose name contains a NAME
Guests are 64 KiB BIOS images assembled here by hand. What would break the tests: a line at the wrong port, a name that must come before
what it names, a byte lost on the way, a place that cannot be had and is not said in one line, a client that holds the guest.
"""
import os, pty, shutil, socket, struct, subprocess, sys, tempfile, termios, time, tty

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "scripts"))
from vmcases import expect, run_cases  # noqa: E402

NOVT = os.path.abspath(sys.argv[1])
TMP = tempfile.mkdtemp(prefix="novt-places-")
COM = [0x3f8, 0x2f8, 0x3e8, 0x2e8]
HALT = b"\xfa\xf4"

def out8(port, val):
    return b"\xba" + struct.pack("<H", port) + b"\xb0" + bytes([val]) + b"\xee"  # mov dx, port; mov al, val; out dx, al

def say(port, text):
    return b"".join(out8(port, c) for c in text.encode())

def echo(port):
    """mov dx, port + 5; l: in al, dx; test al, 1; jz l; mov dl, low; in al, dx; out dx, al; mov dl, low + 5; cmp al, 'q'; jne l"""
    low = port & 0xff
    return (b"\xba" + struct.pack("<H", port + 5) + b"\xec\xa8\x01\x74\xfb\xb2" + bytes([low]) + b"\xec\xee\xb2" + bytes([low + 5]) +
            b"\x3c\x71\x75\xf1" + END)

def lpt(text):
    return b"".join(out8(0x378, c) + out8(0x37a, 0x0d) + out8(0x37a, 0x0c) for c in text.encode())

END = out8(0x501, 0x10) + HALT  # exit code 33

def path(name):
    return os.path.join(TMP, name)

def bios(code):
    name = path(f"bios{abs(hash(code))}")
    with open(name, "wb") as f:
        f.write(code.ljust(0xfff0, b"\xf4") + b"\xea\x00\x00\x00\xf0".ljust(16, b"\0"))
    return name

def command(code, *args):
    return [NOVT, "-bios", bios(code), "-vga", "none", "-nodefaults", "-display", "none", "-device", "isa-debug-exit", *args, "--timeout", "60"]

def run(code, *args, want=33, **kw):
    p = subprocess.run(command(code, *args), stdin=subprocess.DEVNULL, capture_output=True, timeout=80, **kw)
    expect(p.returncode == want, f"{args}: {p.returncode} {p.stderr}")
    return p

def refused(code, word, *args, **kw):
    p = run(END, *args, want=code, **kw)
    lines = p.stderr.decode().splitlines()
    expect(len(lines) == 2 and lines[0].startswith("novt: ") and lines[1].startswith("novt: remedy: ") and word in lines[0] and not p.stdout, p)

def read(name):
    with open(path(name), "rb") as f:
        return f.read()

# ---- places ----

def test_four_lines():
    code = b"".join(say(COM[i], f"this is COM{i + 1}\n") for i in range(4)) + END
    args = []
    for i in range(4):
        args += ["-serial", f"file:{path(f'com{i}')}"]
    run(code, *args)
    for i in range(4):
        expect(read(f"com{i}") == b"this is COM%d\n" % (i + 1), (i, read(f"com{i}")))
    # A line that is not there gives all ones: mov dx, 3fdh; in al, dx; mov dx, 2e8h; out dx, al
    run(bytes.fromhex("bafd03 ec bae802 ee") + END, "-serial", "none", "-serial", "null", "-serial", "null", "-serial", f"file:{path('com3')}")
    expect(read("com3") == b"\xff", read("com3"))

def test_names_come_later():
    run(say(COM[2], "three") + say(COM[0], "one") + say(0x402, "bios") + lpt("print") + END,
        "-device", "isa-serial,chardev=b,index=2,id=s", "-serial", "chardev:a", "-device", "isa-debugcon,iobase=0x402,chardev=c",
        "-device", "isa-parallel,chardev=d", "-chardev", f"file,id=a,path={path('a')}", "-chardev", f"file,id=b,path={path('b')}",
        "-chardev", f"file,id=c,path={path('c')}", "-chardev", f"file,id=d,path={path('d')}")
    expect([read(x) for x in "abcd"] == [b"one", b"three", b"bios", b"print"], [read(x) for x in "abcd"])

def test_printer():
    run(lpt("a page\f") + END, "-parallel", f"file:{path('lp')}")
    expect(read("lp") == b"a page\f", read("lp"))
    for text in ("one ", "two"):
        run(lpt(text) + END, "-chardev", f"file,id=lp,path={path('lp2')},append=on", "-parallel", "chardev:lp")
    expect(read("lp2") == b"one two", read("lp2"))
    expect(run(lpt("out") + END, "-parallel", "stdio").stdout == b"out", "stdio")
    # QEMU's PC has a printer port by default: mov dx, 379h; in al, dx; test al, 80h; jz -> dead
    p = subprocess.run([NOVT, "-bios", bios(bytes.fromhex("ba7903 ec 3cff 7404") + b"\x90\x90\x90\x90" + END), "-display", "none", "-device",
                        "isa-debug-exit", "-vga", "none", "-nic", "none", "--timeout", "60"], capture_output=True, stdin=subprocess.DEVNULL)
    expect(p.returncode == 33, p)

def test_logfile():
    run(say(COM[0], "seen by nobody") + END, "-chardev", f"null,id=c,logfile={path('log')}", "-serial", "chardev:c")
    expect(read("log") == b"seen by nobody", read("log"))
    p = run(say(COM[0], " but twice") + END, "-chardev", f"stdio,id=c,logfile={path('log')},logappend=on", "-serial", "chardev:c")
    expect(p.stdout == b" but twice" and read("log") == b"seen by nobody but twice", read("log"))
    run(say(COM[0], "no client") + END, "-chardev", f"socket,id=c,path={path('s')},server=on,wait=off,logfile={path('log')}", "-serial", "chardev:c")
    expect(read("log") == b"no client", read("log"))

def converse(p, send, receive):
    send(b"hello")
    got, end = b"", time.time() + 20
    while got != b"hello" and time.time() < end:
        got += receive()
    expect(got == b"hello", got)
    send(b"q")
    expect(p.wait(20) == 33, p.returncode)

def test_fifos():
    for names in (["f.in", "f.out"], None):
        base = path("f" if names else "single")
        for n in names or ["single"]:
            os.mkfifo(path(n))
        p = subprocess.Popen(command(echo(COM[1]), "-serial", "null", "-serial", f"pipe:{base}"), stdin=subprocess.DEVNULL)
        if names:
            to, back = os.open(base + ".in", os.O_RDWR), os.open(base + ".out", os.O_RDWR)
            converse(p, lambda b: os.write(to, b), lambda: os.read(back, 100))
        else:  # one for both ways: novt reads what it wrote, too; it opens and runs
            p.kill()
            p.wait()
    refused(3, "nosuch", "-serial", f"pipe:{path('nosuch')}")

def test_host_line():
    master, slave = pty.openpty()
    tty.setraw(master)
    p = subprocess.Popen(command(echo(COM[3]), "-serial", "null", "-serial", "null", "-serial", "null", "-serial", os.ttyname(slave)),
                         stdin=subprocess.DEVNULL)
    time.sleep(0.5)
    converse(p, lambda b: os.write(master, b), lambda: os.read(master, 100))
    os.close(master)
    os.close(slave)
    refused(3, "/dev/null", "-serial", "/dev/null")
    refused(3, "/dev/nosuch", "-serial", "/dev/nosuch")

def connect(name):
    end = time.time() + 20
    while True:
        s = socket.socket(socket.AF_UNIX)
        try:
            s.connect(path(name))
            return s
        except OSError:
            expect(time.time() < end, f"nobody listens on {name}")
            time.sleep(0.02)

def test_com3_socket():
    p = subprocess.Popen(command(echo(COM[2]), "-device", "isa-serial,index=2,chardev=c", "-chardev",
                                 f"socket,id=c,path={path('c3')},server=on,wait=on"), stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    s = connect("c3")
    converse(p, s.sendall, lambda: s.recv(100))

# ---- hosts that do not play along ----

# mov cx, 0; l: 16 x out of 3f8h; loop l; so 1 MiB goes out
FLOOD = b"\xba\xf8\x03\xb0x\xb9\x00\x00" + b"\xee" * 16 + b"\xe2" + bytes([256 - 18]) + END

def test_client_stalls():
    """A client that reads nothing holds neither the guest nor the end."""
    p = subprocess.Popen(command(FLOOD, "-serial", f"unix:{path('st')},server=on,wait=on", "-monitor", f"unix:{path('stm')},server=on,wait=off",
                                 "-qmp", f"unix:{path('stq')},server=on,wait=off", "-vnc", f"unix:{path('stv')}"),
                         stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    a = connect("st")
    for c in [connect("stm"), connect("stq"), connect("stv")]:
        try:
            c.setblocking(False)
            c.send(b"help\n" * 20000)
        except OSError:
            pass
    expect(p.wait(40) == 33, p.returncode)
    a.close()

def test_taken_ports():
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    s.listen()
    port = s.getsockname()[1]
    for args in (["-serial", f"tcp:127.0.0.1:{port},server=on,wait=off"], ["-monitor", f"tcp:127.0.0.1:{port},server=on,wait=off"],
                 ["-qmp", f"tcp:127.0.0.1:{port},server=on,wait=off"], ["-gdb", f"tcp:127.0.0.1:{port}"],
                 ["-parallel", f"tcp:127.0.0.1:{port},server=on,wait=off"], ["-nic", f"socket,listen=127.0.0.1:{port}"]):
        refused(3, str(port), *args)
    p = run(END, "-nic", f"user,hostfwd=tcp:127.0.0.1:{port}-:22", want=3)
    expect(str(port) in p.stderr.decode() or "libslirp" in p.stderr.decode(), p.stderr)
    if 5900 < port < 65536:
        refused(3, str(port), "-vnc", f"127.0.0.1:{port - 5900}")
    with open(path("afile"), "w") as f:
        f.write("precious")
    refused(3, "afile", "-serial", f"unix:{path('afile')},server=on,wait=off")
    expect(read("afile") == b"precious", "a file that is no socket was removed")
    refused(3, "nobody", "-serial", f"unix:{path('nobody')}")
    refused(3, "/nonexistent", "-serial", "file:/nonexistent/x")
    refused(3, "/nonexistent", "-chardev", "null,id=c,logfile=/nonexistent/x", "-serial", "chardev:c")
    refused(3, "/nonexistent", "-pidfile", "/nonexistent/x")

def test_no_display():
    env = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER")}
    for args in (["-display", "sdl"], ["-display", "curses"]):
        p = subprocess.run([NOVT, "-bios", bios(END), *args, "-device", "isa-debug-exit", "--timeout", "20"], stdin=subprocess.DEVNULL,
                           capture_output=True, env=env, timeout=40)
        lines = [x for x in p.stderr.decode().splitlines() if x.startswith("novt: ")]  # libraries have their own to say
        expect(p.returncode == 3 and len(lines) == 2 and "-display" in lines[0] and lines[1].startswith("novt: remedy: "), p)

def test_full_disk():
    """The device that is always full: the guest goes on, whatever it prints to."""
    for args in (["-serial", "file:/dev/full"], ["-chardev", "null,id=c,logfile=/dev/full", "-serial", "chardev:c"]):
        run(FLOOD, *args)

names = sys.argv[2:]
code = run_cases([(name[5:], fn) for name, fn in sorted(globals().items())
                  if name.startswith("test_") and (not names or any(n in name for n in names))])
shutil.rmtree(TMP, ignore_errors=True)
sys.exit(code)
