#!/usr/bin/env python3
"""The command line as its users see it: bad input, exit codes, terminal, serial back ends.

Usage: cli.py NOVT [NAME...]     runs all tests, or those whose name contains a NAME
Guests are 64 KiB BIOS images assembled here by hand, so that nothing but novt is needed.
"""
import os, pty, re, select, signal, socket, struct, subprocess, sys, tempfile, termios, time

NOVT = os.path.abspath(sys.argv[1])
TMP = tempfile.mkdtemp(prefix="novt-cli-")

# ---- guests ----

def out8(port, val):
    return b"\xba" + struct.pack("<H", port) + b"\xb0" + bytes([val]) + b"\xee"  # mov dx, port; mov al, val; out dx, al

def out16(port, val):
    return b"\xba" + struct.pack("<H", port) + b"\xb8" + struct.pack("<H", val) + b"\xef"

def out32(port, val):
    return b"\xba" + struct.pack("<H", port) + b"\x66\xb8" + struct.pack("<I", val) + b"\x66\xef"

def pci_write(devfn, reg, val):
    return out32(0xcf8, 0x80000000 | devfn << 8 | reg) + out32(0xcfc, val)

def say(text):
    return b"".join(out8(0x3f8, c) for c in text.encode())

def bios(name, code):
    """64 KiB: code at F000:0000, the reset vector jumps there."""
    path = os.path.join(TMP, name)
    with open(path, "wb") as f:
        f.write(code.ljust(0xfff0, b"\xf4") + b"\xea\x00\x00\x00\xf0".ljust(16, b"\0"))
    return path

HALT = b"\xfa\xf4"
SPIN = b"\xeb\xfe"
# mov dx, 3fdh; in al, dx; test al, 1; jz; mov dl, f8h; in al, dx; out dx, al; cmp al, 'q'; jne; then debug exit
ECHO = b"\xba\xfd\x03\xec\xa8\x01\x74\xf8\xb2\xf8\xec\xee\x3c\x71\x75\xf0" + out8(0x501, 0x10) + HALT
POWEROFF = pci_write(11, 0x40, 0x601) + pci_write(11, 0x80, 1) + pci_write(11, 4, 1) + out16(0x604, 0x2000) + SPIN
TRIPLE = b"\x66\x2e\x0f\x01\x1e\x10\x00\xcc" + b"\0" * 16  # lidt cs:[10h] (limit 0); int3
RESET = b"\xb0\xfe\xe6\x64" + SPIN

# ---- running ----

class Fail(Exception):
    pass

def check(cond, what):
    if not cond:
        raise Fail(what)

def run(*args, stdin=b"", timeout=60, close=(), env=None):
    def closer():
        for fd in close:
            os.close(fd)
    p = subprocess.run([NOVT, *args], input=None if 0 in close else stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                       timeout=timeout, preexec_fn=closer if close else None, env=env)
    return p.returncode, p.stdout, p.stderr.decode(errors="replace")

def refused(code, *args, cause="", **kw):
    """One line of cause, one of remedy, nothing on stdout, the exit code."""
    rc, out, err = run(*args, **kw)
    lines = err.splitlines()
    check(rc == code, f"exit code {rc}, not {code}: {err}")
    check(len(lines) == 2, f"not two lines: {err!r}")
    check(lines[0].startswith("novt: ") and lines[1].startswith("novt: remedy: "), f"form: {err!r}")
    check(cause in lines[0], f"{cause!r} not in {lines[0]!r}")
    check(out == b"", f"stdout: {out!r}")

def path(name, data):
    p = os.path.join(TMP, name)
    with open(p, "wb") as f:
        f.write(data)
    return p

def bzimage(setup_sects=1, payload=65536, announced=None, magic=b"HdrS", init_size=4 << 20):
    k = bytearray((setup_sects + 1) * 512)
    k[0x1f1] = setup_sects
    struct.pack_into("<I", k, 0x1f4, (payload if announced is None else announced) // 16)
    struct.pack_into("<H", k, 0x1fe, 0xaa55)
    k[0x202:0x206] = magic
    struct.pack_into("<H", k, 0x206, 0x20f)
    k[0x211] = 1
    struct.pack_into("<I", k, 0x22c, 0x37ffffff)
    struct.pack_into("<I", k, 0x238, 2047)
    struct.pack_into("<I", k, 0x258, 1 << 20)
    struct.pack_into("<I", k, 0x260, init_size)
    return bytes(k) + b"\x90" * payload

# ---- tests ----

def test_usage():
    refused(2, "--frobnicate", cause="--frobnicate")
    refused(2, "-device", "virtio-blk,drive=a", cause="virtio-blk")
    refused(2, "-device", "nvme,drive=a", cause="nvme")
    refused(2, "-m", cause="-m")
    refused(2, "-cpu", "z80", cause="z80")
    refused(2, "-M", "q35", cause="q35")
    refused(2, "-engine", "kvm", cause="kvm")
    refused(2, "-serial", "tcp:1234", cause="tcp:1234")
    refused(2, "-serial", "unix:" + "x" * 200, cause="unix:")
    refused(2, "-initrd", "/dev/null", cause="-initrd")
    refused(2, "-append", "quiet", cause="-append")

def test_bad_drives():
    refused(3, "-hda", "no-such.img", cause="no-such.img")
    refused(3, "no-such.img", cause="no-such.img")
    refused(3, "-hda", TMP, cause=TMP)
    refused(3, "-hda", "/dev/null", cause="/dev/null")
    refused(4, "-hda", path("empty.img", b""), cause="is empty")
    refused(4, "-hda", path("disk.luks", b"LUKS\xba\xbe" + b"\0" * 1000), cause="LUKS")
    refused(4, "-drive", "format=qcow2,file=" + path("raw.img", b"\0" * 4096), cause="not a qcow2")
    both = "format=raw,file=" + path("two.img", b"\0" * 4096)
    refused(3, "-drive", both, "-drive", both, cause="in use")
    for arg in ("if=scsi,file=x", "file=x,index=4", "if=floppy,file=x,index=2", "file=x,cache=lots", "file=x,format=dmg", "file=x,frob=1",
                "if=none,file=x", "file=x,index=0,unit=1", "file=x,werror=maybe", "file=x,snapshot=maybe", "index=1"):
        refused(2, "-drive", arg)
    for args in (["-device", "ide-hd,drive=x"], ["-device", "ide-hd"], ["-blockdev", "driver=raw,node-name=a"],
                 ["-blockdev", "driver=dmg,node-name=a,filename=x"], ["-drive", "if=none,id=a,file=x", "-device", "ide-hd,drive=a,bus=ide.2"],
                 ["-hda", "x", "-drive", "file=y,index=0"], ["-boot", "x"], ["-boot", "cc"], ["-boot", "menu=perhaps"]):
        refused(2, *args)

def test_memory_size():
    for m in ("0", "0M", "1K", "4G", "100000000G", "-1", "lots"):
        refused(2, "-m", m, cause=m)

def test_lists():
    for args in (["--help"], ["-h"], ["--version"], ["-cpu", "help"], ["-M", "help"], ["-d", "help"], ["-device", "help"]):
        rc, out, err = run(*args)
        check(rc == 0 and out and not err, f"{args}: {rc} {err}")

def test_doctor():
    rc, out, err = run("doctor")
    check(rc in (0, 3) and not err, f"{rc} {err}")
    lines = out.decode().splitlines()
    check(len(lines) >= 10, "too few lines")
    for line in lines[:-1]:
        check(line.startswith("ok ") or "; remedy: " in line, line)

def test_bad_kernels():
    refused(4, "-kernel", path("no-such", b"") + ".gone", cause="No such file")
    refused(4, "-kernel", path("empty", b""), cause="empty")
    refused(4, "-kernel", path("text", b"hello\n" * 1000), cause="not a kernel")
    refused(4, "-kernel", TMP, cause="not a file")
    refused(4, "-kernel", "/dev/null", cause="not a file")
    refused(4, "-kernel", path("short", bzimage(announced=1 << 20)), cause="truncated")
    refused(4, "-kernel", path("setup", bzimage()[:1024]), cause="truncated")
    refused(4, "-kernel", path("sects", bzimage(setup_sects=70)), cause="setup sectors")
    refused(4, "-kernel", path("elf", b"\x7fELF\2\1\1".ljust(512, b"\0")), cause="not a kernel")
    mb = struct.pack("<III", 0x1badb002, 0, (-0x1badb002) & 0xffffffff)
    refused(4, "-kernel", path("mb", mb.ljust(4096, b"\0")), cause="not an i386 ELF")
    if os.geteuid():
        p = path("secret", bzimage())
        os.chmod(p, 0)
        refused(4, "-kernel", p, cause="Permission denied")

def test_kernel_needs_room():
    refused(2, "-kernel", path("large", bzimage(init_size=200 << 20)), "-m", "64", cause="64 MiB")
    refused(2, "-kernel", path("k", bzimage()), "-append", "x" * 3000, cause="3000")

def test_bad_initrd():
    import gzip
    k = path("k", bzimage())
    refused(4, "-kernel", k, "-initrd", os.path.join(TMP, "no-such"), cause="No such file")
    refused(4, "-kernel", k, "-initrd", path("i0", b""), cause="empty")
    whole = gzip.compress(os.urandom(50000) + b"a" * 50000)
    refused(4, "-kernel", k, "-initrd", path("i1", whole[:-100]), cause="truncated")
    refused(4, "-kernel", k, "-initrd", path("i2", b"070701" + b"0" * 50), cause="truncated")

def test_firmware():
    refused(3, "-bios", "no-such-bios.bin", cause="no-such-bios.bin")
    refused(4, "-bios", path("odd.bin", b"x" * 1000), cause="64 KiB")
    refused(4, "-bios", path("huge.bin", b"\0" * (17 << 20)), cause="too large")

def test_unwritable():
    refused(3, "-D", "/no/such/dir/log", "-d", "int", cause="/no/such/dir/log")
    refused(3, "-serial", "file:/no/such/dir/out", cause="/no/such/dir/out")
    refused(3, "-serial", "unix:/no/such/dir/sock", cause="/no/such/dir/sock")
    refused(3, "--dump-screen", "/no/such/dir/screen", cause="/no/such/dir/screen")

def test_no_memory():
    import resource
    for kind, most in ((resource.RLIMIT_AS, 1 << 30), (resource.RLIMIT_FSIZE, 1 << 20)):
        def limit():
            resource.setrlimit(kind, (most, most))
        p = subprocess.run([NOVT, "-bios", bios("halt", HALT)], stdin=subprocess.DEVNULL, capture_output=True, preexec_fn=limit, timeout=60)
        if b"AddressSanitizer" in p.stderr:
            continue
        check(p.returncode == 3, f"{kind}: {p.returncode} {p.stderr}")
        check(p.stderr.count(b"\n") == 2 and b"remedy" in p.stderr, p.stderr)

def test_exit_codes():
    rc, out, err = run("-bios", bios("halt", HALT))
    check(rc == 7 and "f000:00000002" in err, f"dead: {rc} {err}")
    rc, out, err = run("-bios", bios("off", POWEROFF), "--timeout", "20")
    check(rc == 0 and not err, f"power-off: {rc} {err}")
    rc, out, err = run("-bios", bios("exit", out8(0x501, 0x21) + SPIN), "-device", "isa-debug-exit", "--timeout", "20")
    check(rc == 0x43, f"debug exit: {rc} {err}")
    rc, out, err = run("-bios", bios("exit4", out32(0xf4, 3) + SPIN), "-device", "isa-debug-exit,iobase=0xf4,iosize=4", "--timeout", "20")
    check(rc == 7, f"debug exit, own port: {rc} {err}")
    rc, out, err = run("-bios", bios("triple", TRIPLE), "-no-reboot", "--timeout", "20")
    check(rc == 6 and "triple fault" in err and "eax " in err and "cr0 " in err, f"triple fault: {rc} {err}")
    rc, out, err = run("-bios", bios("reset", RESET), "-no-reboot", "--timeout", "20")
    check(rc == 0 and not err, f"reset, no reboot: {rc} {err}")
    start = time.time()
    rc, out, err = run("-bios", bios("spin", SPIN), "--timeout", "0.5")
    check(rc == 124 and time.time() - start < 10, f"timeout: {rc} {err}")

def test_resets_restart():
    rc, out, err = run("-bios", bios("sayreset", say("x") + RESET), "--timeout", "1")
    check(rc == 124 and out.count(b"x") > 1, f"{rc} {out[:50]!r}")
    rc, out, err = run("-bios", bios("saytriple", say("x") + TRIPLE + b"\0" * 16), "--timeout", "1")
    check(rc == 124 and out.count(b"x") > 1, f"triple fault: {rc} {out[:50]!r}")

def test_nothing_bootable():
    rc, out, err = run("-display", "none", "--timeout", "60")
    check(rc == 5 and "nothing bootable" in err, f"{rc} {err}")

def test_floppy_signature():
    """A floppy that has none is no boot disk, as on QEMU, unless its user says so."""
    code = out8(0x501, 3) + HALT
    for signature, args, want in ((b"\x55\xaa", (), 7), (b"\0\0", (), 5), (b"\0\0", ("-no-fd-bootchk",), 7), (b"\0\0", ("-M", "pc,fd-bootchk=off"), 7)):
        image = path("fd.img", (code.ljust(510, b"\0") + signature).ljust(1440 << 10, b"\0"))
        rc, out, err = run("-drive", f"file={image},if=floppy,format=raw", "-boot", "a", "-nic", "none", "-device", "isa-debug-exit", "--timeout", "60", *args)
        check(rc == want, f"{signature} {args}: {rc} {err}")

def test_seabios_speaks_on_serial():
    rc, out, err = run("-nographic", "--timeout", "60")
    check(rc == 5 and b"SeaBIOS" in out, f"{rc} {out[-200:]!r} {err}")

def test_dump_screen():
    """SeaBIOS through its VGA BIOS, ended in every way; drawing characters; what cannot be written; no text to show."""
    file = os.path.join(TMP, "screen")
    rc, out, err = run("-display", "none", "--timeout", "60", "--dump-screen", file)
    with open(file, encoding="utf-8") as f:
        rows = f.read().split("\n")
    check(rc == 5 and len(rows) == 26 and rows[0].startswith("SeaBIOS (version ") and "No bootable device" in rows, f"{rc} {rows}")
    draw = b"\xb8\x00\xb8\x8e\xc0\x26\xc7\x06\x00\x00\xc9\x07\x26\xc7\x06\x02\x00\x01\x07"  # words C9h, 01h to B800:0000
    mode = out16(0x3c4, 0x0302) + out16(0x3ce, 0x1005) + out16(0x3ce, 0x0e06) + b"".join(
        out16(0x3d4, v) for v in (0x2701, 0x1f07, 0x4f09, 0x8f12, 0x1413))
    image = bios("draw", out8(0x3c2, 0x67) + mode + draw + SPIN)
    want = "\u2554\u263a" + "\n" * 25
    rc, out, err = run("-bios", image, "--timeout", "1", "--dump-screen", file)
    with open(file, encoding="utf-8") as f:
        got = f.read()
    check(rc == 124 and got == want, f"{rc} {got!r}")
    p = subprocess.Popen([NOVT, "-bios", image, "--timeout", "60", "--dump-screen", file], stdin=subprocess.PIPE)
    time.sleep(1)
    p.terminate()
    rc = p.wait(20)
    with open(file, encoding="utf-8") as f:
        got = f.read()
    check(rc == 143 and got == want, f"SIGTERM: {rc} {got!r}")
    if os.path.exists("/dev/full"):
        rc, out, err = run("-bios", bios("off", POWEROFF), "--timeout", "20", "--dump-screen", "/dev/full")
        check(rc == 3 and "/dev/full" in err and "remedy" in err, f"{rc} {err}")
    rc, out, err = run("-bios", bios("off", POWEROFF), "-vga", "none", "--timeout", "20", "--dump-screen", file)
    check(rc == 0 and os.path.getsize(file) == 0 and "text mode" in err, f"{rc} {err}")

def test_bursts_come_out():
    """Breaks when output that is being written while the flush comes round stays in the buffer for good."""
    # mov cx, 3000; mov dx, 3f8h; mov al, 'a'; l: out dx, al; loop l; a line feed; wait for a byte; take it; again
    burst = bytes.fromhex("b9b80b baf803 b061 ee e2fd b00a ee bafd03 ec a801 74fb b2f8 ec ebe5")
    p = subprocess.Popen([NOVT, "-bios", bios("burst", burst), "-vga", "none", "-serial", "stdio", "--timeout", "60"],
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        end = time.time() + 15  # on a busy host fewer bursts must do
        for n in range(4000):
            got = b""
            while not got.endswith(b"\n"):
                check(select.select([p.stdout], [], [], 10)[0], f"burst {n} stopped after {len(got)} characters")
                part = os.read(p.stdout.fileno(), 65536)
                check(part, f"the guest ended in burst {n}")
                got += part
            if time.time() > end:
                break
            check(got == b"a" * 3000 + b"\n", f"burst {n} came as {len(got)} characters")
            p.stdin.write(b"n")
            p.stdin.flush()
    finally:
        p.kill()
        p.wait()

def test_stdio():
    echo = bios("echo", say("hi\r\n") + ECHO)
    dbg = ["-device", "isa-debug-exit", "--timeout", "20"]
    rc, out, err = run("-bios", echo, *dbg, stdin=b"abcq")
    check(rc == 33 and out == b"hi\r\nabcq" and not err, f"{rc} {out!r} {err!r}")
    text = bytes(range(97, 113)) * 2000 + b"q"
    rc, out, err = run("-bios", echo, *dbg, stdin=text)
    check(rc == 33 and out == b"hi\r\n" + text, f"long input: {rc}, {len(out)} bytes")
    rc, out, err = run("-bios", echo, *dbg, stdin=b"ab\x01\x01c\x01xq")
    check(rc == 0 and b"q" not in out, f"Ctrl-A X: {rc} {out!r}")
    rc, out, err = run("-bios", echo, *dbg, "-serial", "stdio", stdin=b"\x01xq")
    check(rc == 33 and out == b"hi\r\n\x01xq", f"no commands in plain stdio off a terminal: {rc} {out!r}")

def test_no_stdin():
    rc, out, err = run("-bios", bios("hi", say("hi") + SPIN), "--timeout", "0.5", close=(0,))
    check(rc == 124 and out == b"hi", f"{rc} {out!r} {err}")
    rc, out, err = run("-bios", bios("hi", say("hi") + SPIN), "--timeout", "0.5", close=(0, 2))
    check(rc == 124, f"{rc}")

def test_blocked_stdout():
    flood = bios("flood", out8(0x3f8, 65) + b"\xeb\xfd")
    r, w = os.pipe()
    start = time.time()
    p = subprocess.Popen([NOVT, "-bios", flood, "--timeout", "1"], stdin=subprocess.DEVNULL, stdout=w)
    os.close(w)
    rc = p.wait(timeout=30)
    os.close(r)
    check(rc == 124 and time.time() - start < 10, f"reader that does not read: {rc}")
    # Its input ends while it waits for a reader: the time-out must still come.
    r, w = os.pipe()
    p = subprocess.Popen([NOVT, "-bios", flood, "--timeout", "2"], stdin=subprocess.PIPE, stdout=w)
    os.close(w)
    time.sleep(1)
    p.stdin.close()
    rc = p.wait(timeout=30)
    os.close(r)
    check(rc == 124, f"input that ends while nobody reads: {rc}")
    r, w = os.pipe()
    os.close(r)
    p = subprocess.Popen([NOVT, "-bios", flood, "--timeout", "1"], stdin=subprocess.DEVNULL, stdout=w)
    os.close(w)
    check(p.wait(timeout=30) == 124, "closed stdout")

def test_file_null_none():
    f = os.path.join(TMP, "serial.out")
    hi = bios("hiexit", say("hi") + out8(0x501, 0) + HALT)
    rc, out, err = run("-bios", hi, "-serial", "file:" + f, "-device", "isa-debug-exit")
    check(rc == 1 and out == b"" and open(f, "rb").read() == b"hi", f"{rc} {out!r}")
    for dev in ("null", "none"):
        rc, out, err = run("-bios", hi, "-serial", dev, "-device", "isa-debug-exit")
        check(rc == 1 and out == b"" and not err, f"{dev}: {rc} {out!r}")

def test_debugcon():
    code = out8(0xe9, 65) + out8(0x402, 66) + out8(0x501, 0) + HALT
    rc, out, err = run("-bios", bios("e9", code), "-debugcon", "stdio", "-display", "none", "-device", "isa-debug-exit")
    check(rc == 1 and out == b"A", f"{rc} {out!r} {err}")
    f = os.path.join(TMP, "debug.out")
    rc, out, err = run("-bios", bios("e9", code), "-chardev", "file,id=d,path=" + f, "-device", "isa-debugcon,iobase=0x402,chardev=d",
                       "-device", "isa-debug-exit")
    check(rc == 1 and open(f, "rb").read() == b"B", f"{rc} {err}")

def echo_through(fd_read, fd_write, what):
    os.write(fd_write, b"hello")
    got = b""
    while b"hello" not in got:
        check(select.select([fd_read], [], [], 20)[0], f"{what}: no answer, {got!r}")
        data = os.read(fd_read, 100)
        check(data, f"{what}: hung up, {got!r}")
        got += data
    os.write(fd_write, b"q")  # ends the guest; what a pty still holds then is lost with it

def test_unix_socket():
    name = os.path.join(TMP, "sock")
    p = subprocess.Popen([NOVT, "-bios", bios("echo2", ECHO), "-serial", "unix:" + name + ",server=on,wait=off", "-device", "isa-debug-exit",
                          "--timeout", "30"], stdin=subprocess.DEVNULL)
    s = socket.socket(socket.AF_UNIX)
    for _ in range(200):
        try:
            s.connect(name)
            break
        except OSError:
            time.sleep(0.05)
    echo_through(s.fileno(), s.fileno(), "unix")
    check(p.wait(30) == 33, "exit code")
    check(not os.path.exists(name), "socket left behind")

def test_pty():
    p = subprocess.Popen([NOVT, "-bios", bios("echo2", ECHO), "-serial", "pty", "-device", "isa-debug-exit", "--timeout", "30"],
                         stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    name = re.search(rb"/dev/pts/\d+", p.stderr.readline()).group()
    fd = os.open(name, os.O_RDWR | os.O_NOCTTY)
    echo_through(fd, fd, "pty")
    os.close(fd)
    check(p.wait(30) == 33, "exit code")

class Terminal:
    """novt as the foreground job of a terminal of its own; a shell-like parent keeps the terminal alive."""
    def __init__(self, *args):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execv(NOVT, [NOVT, *args])
        self.text = b""

    def expect(self, what):
        end = time.time() + 20
        while what not in self.text:
            check(time.time() < end, f"no {what!r} in {self.text!r}")
            if select.select([self.fd], [], [], 0.2)[0]:
                try:
                    self.text += os.read(self.fd, 1000)
                except OSError:
                    check(what in self.text, f"hung up without {what!r}: {self.text!r}")

    def raw(self):
        return not termios.tcgetattr(self.fd)[3] & termios.ICANON

    def wait(self):
        _, status = os.waitpid(self.pid, 0)
        return os.waitstatus_to_exitcode(status)

def test_terminal():
    echo = bios("echo3", say("up") + ECHO)
    t = Terminal("-bios", echo)
    t.expect(b"up")
    check(t.raw(), "not raw")
    os.write(t.fd, b"\x03abc")  # Ctrl-C belongs to the guest
    t.expect(b"abc")
    os.write(t.fd, b"\x01h")
    t.expect(b"Ctrl-A Ctrl-A sends")
    os.write(t.fd, b"\x01c\x01x")
    check(t.wait() == 0, "Ctrl-A X")
    check(not t.raw(), "terminal not restored")
    check(t.text.count(b"Ctrl-A X quits\r\n") == 1, f"the key is said once: {t.text!r}")
    os.close(t.fd)

def test_terminal_restored():
    spin = bios("spin2", say("up") + SPIN)
    for how, args, code in ((signal.SIGTERM, [], 143), (signal.SIGINT, [], 130), (signal.SIGHUP, [], 129), (None, ["--timeout", "1"], 124)):
        t = Terminal("-bios", spin, *args)
        t.expect(b"up")
        if how:
            os.kill(t.pid, how)
        rc = t.wait()
        check(rc == code, f"{how}: {rc}")
        check(not t.raw(), f"{how}: terminal not restored")
        os.close(t.fd)
    t = Terminal("-bios", spin)
    t.expect(b"up")
    os.kill(t.pid, signal.SIGTSTP)
    os.waitpid(t.pid, os.WUNTRACED)
    check(not t.raw(), "stopped: terminal not restored")
    os.kill(t.pid, signal.SIGCONT)
    for _ in range(100):
        if t.raw():
            break
        time.sleep(0.05)
    check(t.raw(), "continued: not raw again")
    os.write(t.fd, b"\x01x")
    check(t.wait() == 0, "after stop and continue")
    os.close(t.fd)

def test_trace_and_stats():
    import json
    log = os.path.join(TMP, "trace")
    rc, out, err = run("-bios", bios("halt", HALT), "-d", "in_asm,out_asm,exec,int,exit,mmu,io,link", "-D", log, "--stats=json")
    check(rc == 7, rc)
    text = open(log).read()
    for word in ("cli", "hlt", "exec f000:0000fff0", "exit hlt", "in  ", "out "):
        check(word in text, f"{word!r} not in {text}")
    stats = json.loads(err.splitlines()[-1])
    check(stats["bt.translations"] > 0, stats)
    rc, out, err = run("-bios", bios("halt", HALT), "-d", "in_asm", "-dfilter", "0x1000..0x1fff", "-D", log)
    check(open(log).read() == "", "filter")
    rc, out, err = run("-bios", bios("halt", HALT), "--stats")
    check("cache.blocks" in err, err)

def test_stress():
    for s in ("tiny-cache", "one-insn", "no-chain", "slow-mem", "fail-alloc", "verify"):
        rc, out, err = run("-bios", bios("stress", say("stress") + out8(0x501, 5) + HALT), "--stress", s, "-device", "isa-debug-exit",
                           "--timeout", "30")
        check(rc == 11 and out == b"stress", f"{s}: {rc} {out!r} {err}")

def test_cpu_models():
    for model in ("486", "pentium", "pentium2", "pentium3", "pentium4", "max"):
        rc, out, err = run("-bios", bios("exit", out8(0x501, 0) + HALT), "-cpu", model, "-device", "isa-debug-exit")
        check(rc == 1, f"{model}: {rc} {err}")

def test_multiboot():
    code = b"\x3d\x02\xb0\xad\x2b\x75\x0a"  # cmp eax, 2badb002h; jne fail
    code += b"\x8b\x43\x10" + b"\x8a\x00" + b"\x66\xba\xe9\x00\xee"  # eax = cmdline; al = [eax]; out e9h
    code = code[:6] + bytes([len(code) - 7]) + code[7:]
    code += b"\x66\xba\x01\x05\xb0\x08\xee\xf4"  # debug exit
    header = struct.pack("<IIIIIIII", 0x1badb002, 0x10003, (-0x1badb002 - 0x10003) & 0xffffffff, 0x200000, 0x200000, 0, 0, 0x200020)
    k = path("mb.bin", header + code)
    rc, out, err = run("-kernel", k, "-append", "x", "-debugcon", "stdio", "-display", "none", "-device", "isa-debug-exit", "--timeout", "60",
                       "-m", "16")
    check(rc == 17 and out == k[:1].encode(), f"{rc} {out!r} {err}")

def test_nothing_left_behind():
    before = set(os.listdir(TMP))
    run("-bios", bios("halt", HALT))
    check(set(os.listdir(TMP)) - before <= {"halt"}, "files")

def main():
    names = sys.argv[2:]
    failed = 0
    for name, fn in sorted(globals().items()):
        if not name.startswith("test_") or (names and not any(n in name for n in names)):
            continue
        start = time.time()
        try:
            fn()
            word = "ok"
        except (Fail, subprocess.TimeoutExpired, OSError, AttributeError) as e:
            word = f"FAIL {e}"
            failed += 1
        print(f"{name[5:]:28} {time.time() - start:6.2f} s  {word}", flush=True)
    subprocess.run(["rm", "-rf", TMP])
    sys.exit(1 if failed else 0)

main()
