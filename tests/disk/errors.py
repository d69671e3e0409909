#!/usr/bin/env python3
"""Images that fail under a running guest: a full host disk, a file cut short, a server that dies; and what werror= and rerror= make of it.

Usage: errors.py NOVT [NAME...]     runs all tests, or those whose name contains a NAME
The guest is a BIOS image made here by nasm: for each letter on COM1 it writes or reads one sector by PIO and answers with the
drive's status and error registers. What would break the tests: an error that the guest does not see or sees though its user wanted the machine
to wait, a wait that never ends, an image that changed though its write failed, a missing event.
"""
import json, os, resource, shutil, signal, socket, struct, subprocess, sys, tempfile, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "scripts"))
from vmcases import expect, run_cases  # noqa: E402

NOVT = os.path.abspath(sys.argv[1])
TMP = tempfile.mkdtemp(prefix="novt-errors-", dir="/var/tmp")
LBA, SECTORS = 100, 4000
GUEST = """
bits 16
org 0
next:   mov dx, 3fdh
.wait:  in al, dx
        test al, 1
        jz .wait
        mov dl, 0f8h
        in al, dx
        cmp al, 'q'
        je quit
        mov bl, al
        mov dx, 1f6h
        mov al, 0e0h
        out dx, al
        mov dx, 1f2h
        mov al, 1
        out dx, al
        inc dx
        mov al, 100
        out dx, al
        mov al, 0
        inc dx
        out dx, al
        inc dx
        out dx, al
        mov dx, 1f7h
        mov al, 30h
        cmp bl, 'w'
        je .go
        mov al, 20h
.go:    out dx, al
        mov bh, 0
.busy:  in al, dx
        test al, 80h
        jnz .busy
        test al, 1
        jnz .done
        test al, 8
        jz .busy
        mov cx, 256
        mov dx, 1f0h
        cmp bl, 'w'
        jne .in
        mov ax, 5a5ah
.out:   out dx, ax
        loop .out
        jmp .end
.in:    in ax, dx
        mov bh, al
        loop .in
.end:   mov dx, 1f7h
.busy2: in al, dx
        test al, 80h
        jnz .busy2
.done:  mov dx, 1f7h
        in al, dx
        mov dx, 3f8h
        out dx, al
        mov dx, 1f1h
        in al, dx
        mov dx, 3f8h
        out dx, al
        mov al, bh
        out dx, al
        jmp next
quit:   mov dx, 501h
        mov al, 16
        out dx, al
        cli
        hlt
times 0fff0h - ($ - $$) db 0f4h
        jmp 0f000h:0
times 10000h - ($ - $$) db 0
"""
GOOD, UNC, ABRT = 0x50, 0x40, 0x04

def path(name):
    return os.path.join(TMP, name)

def bios():
    if not os.path.exists(path("bios")):
        with open(path("bios.asm"), "w") as f:
            f.write(GUEST)
        subprocess.run(["nasm", "-f", "bin", "-o", path("bios"), path("bios.asm")], check=True)
    return path("bios")

def image(name, fill=0x11):
    with open(path(name), "wb") as f:
        f.write(bytes([fill]) * 512 * SECTORS)
    return path(name)

def sector(name):
    with open(path(name), "rb") as f:
        f.seek(LBA * 512)
        return f.read(512)

def connect(name):
    end = time.time() + 20
    while True:
        s = socket.socket(socket.AF_UNIX)
        try:
            s.connect(path(name))
            s.settimeout(20)
            return s
        except OSError:
            expect(time.time() < end, f"nobody listens on {name}")
            time.sleep(0.02)

class Machine:
    def __init__(self, name, *args):
        self.name = name
        self.p = subprocess.Popen([NOVT, "-bios", bios(), "-m", "4", "-vga", "none", "-nodefaults", "-display", "none", "-device",
                                   "isa-debug-exit", "-serial", f"unix:{path(name + '.com')},server=on,wait=off", "-qmp",
                                   f"unix:{path(name + '.qmp')},server=on,wait=off", *args, "--timeout", "60"],
                                  stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.com = connect(name + ".com")
        self.qmp = connect(name + ".qmp").makefile("rwb")
        self.events = []
        self.qmp.readline()
        self.do("qmp_capabilities")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.p.poll() is None:
            self.p.kill()
        self.p.communicate()

    def get(self):
        line = self.qmp.readline()
        expect(line, "QMP hung up")
        return json.loads(line)

    def do(self, name, **args):
        self.qmp.write(json.dumps({"execute": name, "arguments": args}).encode())
        self.qmp.flush()
        while True:
            got = self.get()
            if "event" not in got:
                return got.get("return", got)
            self.events.append(got)

    def event(self, name):
        while True:
            got = self.events.pop(0) if self.events else self.get()
            if got["event"] == name:
                return got.get("data")

    def limit(self, bytes):
        resource.prlimit(self.p.pid, resource.RLIMIT_FSIZE, (bytes, resource.RLIM_INFINITY))

    def send(self, letter):
        self.com.sendall(letter)

    def answer(self):
        got = b""
        while len(got) < 3:
            part = self.com.recv(3 - len(got))
            expect(part, "the guest's line hung up")
            got += part
        return tuple(got)

    def ask(self, letter):
        self.send(letter)
        return self.answer()

    def quit(self):
        self.send(b"q")
        err = self.p.communicate(timeout=20)[1].decode()
        expect(self.p.returncode == 33, f"{self.p.returncode} {err}")
        return err

FULL = LBA * 512
FREE = resource.RLIM_INFINITY

def drive(name, *more):
    return ["-drive", ",".join([f"file={path(name)},format=raw,if=ide,index=0", *more])]

def test_full_report():
    """The default: an error of the drive's, nothing of the image lost, and it goes on when there is room."""
    image("r")
    with Machine("r", *drive("r")) as m:
        expect(m.ask(b"w")[:2] == (GOOD, 0), "before")
        m.limit(FULL)
        for _ in range(3):
            status, error, _ = m.ask(b"w")
            expect(status & 1 and error == ABRT, (status, error))
        expect(m.event("BLOCK_IO_ERROR") == {"device": "ide0-hd0", "node-name": "ide0-hd0", "operation": "write", "action": "report",
                                            "nospace": True, "reason": "No space left on device"}, "event")
        expect(m.do("query-status")["status"] == "running", "status")
        m.limit(FREE)
        expect(m.ask(b"w")[:2] == (GOOD, 0), "after")
        err = m.quit()
        expect(err.count("the guest sees an error") == 1, err)
    expect(sector("r") == b"\x5a" * 512 and os.path.getsize(path("r")) == 512 * SECTORS, "image")

def stop_and_go(option, how):
    name = option.replace("=", "-")
    image(name)
    with Machine(name, *drive(name, option)) as m:
        m.limit(FULL)
        m.send(b"w")
        data = m.event("BLOCK_IO_ERROR")
        expect(data["action"] == "stop" and data["nospace"] is True and data["operation"] == "write", data)
        m.event("STOP")
        expect(m.do("query-status") == {"status": "io-error", "singlestep": False, "running": False}, "status")
        expect(sector(name) == b"\x11" * 512, "the image did not change")
        expect("io-error" in m.do("human-monitor-command", **{"command-line": "info status"}), "info status")
        expect(m.do("query-block")[0]["io-status"] == "nospace", "query-block")
        expect("I/O status:       nospace" in m.do("human-monitor-command", **{"command-line": "info block"}), "info block")
        expect("waits" in m.do("human-monitor-command", **{"command-line": f"savevm {path('x')}"}), "savevm")
        how(m)  # still full: it stops again
        m.event("RESUME")
        expect(m.event("BLOCK_IO_ERROR")["action"] == "stop", "again")
        m.event("STOP")
        m.limit(FREE)
        how(m)
        m.event("RESUME")
        expect(m.answer()[:2] == (GOOD, 0), "the guest never heard of it")
        expect(m.do("query-status")["status"] == "running", "status")
        expect(m.do("query-block")[0]["io-status"] == "ok", "query-block after")
        expect(m.ask(b"w")[:2] == (GOOD, 0), "after")
        err = m.quit()
        expect(err.count("the machine is paused") == 2, err)
    expect(sector(name) == b"\x5a" * 512, "image")

def test_full_stop():
    stop_and_go("werror=stop", lambda m: m.do("cont"))

def test_full_enospc():
    stop_and_go("werror=enospc", lambda m: m.do("human-monitor-command", **{"command-line": "c"}))

def test_reset_while_stopped():
    """The button ends what waits; the machine runs on with the next command."""
    image("b")
    with Machine("b", *drive("b", "werror=stop")) as m:
        m.limit(FULL)
        m.send(b"w")
        m.event("STOP")
        m.do("system_reset")
        m.event("RESET")
        m.limit(FREE)
        m.do("cont")
        expect(m.ask(b"w")[:2] == (GOOD, 0), "after")
        m.quit()

def test_full_ignore():
    image("i")
    with Machine("i", *drive("i", "werror=ignore")) as m:
        m.limit(FULL)
        expect(m.ask(b"w")[:2] == (GOOD, 0), "ignored")
        expect(m.event("BLOCK_IO_ERROR")["action"] == "ignore", "event")
        m.quit()
    expect(sector("i") == b"\x11" * 512, "image")

def test_full_snapshot():
    """The temporary layer is on a full disk: the guest sees an error, the image stays."""
    image("s")
    with Machine("s", *drive("s", "snapshot=on")) as m:
        m.limit(FULL)
        status, error, _ = m.ask(b"w")
        expect(status & 1 and error == ABRT, (status, error))
        m.limit(FREE)
        expect(m.ask(b"w")[:2] == (GOOD, 0), "after")
        m.quit()
    expect(sector("s") == b"\x11" * 512, "image")

def test_cut_short():
    """Somebody truncates the image: sectors that are gone cannot be read, and are not zeros."""
    image("c")
    with Machine("c", *drive("c")) as m:
        expect(m.ask(b"r") == (GOOD, 0, 0x11), "before")
        os.truncate(path("c"), LBA * 512)
        status, error, _ = m.ask(b"r")
        expect(status & 1 and error == UNC, (status, error))
        expect(m.event("BLOCK_IO_ERROR")["operation"] == "read", "event")
        m.quit()
    image("d")
    with Machine("d", *drive("d", "rerror=stop")) as m:
        os.truncate(path("d"), LBA * 512)
        m.send(b"r")
        expect(m.event("BLOCK_IO_ERROR")["action"] == "stop", "event")
        m.event("STOP")
        with open(path("d"), "ab") as f:
            f.write(b"\x22" * 512 * (SECTORS - LBA))
        m.do("cont")
        expect(m.answer() == (GOOD, 0, 0x22), "read again")
        m.quit()

def test_unlinked():
    image("u")
    with Machine("u", *drive("u")) as m:
        os.unlink(path("u"))
        expect(m.ask(b"w")[:2] == (GOOD, 0) and m.ask(b"r") == (GOOD, 0, 0x5a), "the guest keeps its disk")
        m.quit()

def qcow2(name):
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", path(name), "2M"], check=True)
    return path(name)

def children(pid):
    return [int(p) for p in os.listdir("/proc") if p.isdigit() and parent(p) == pid]

def parent(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return int(f.read().rsplit(")", 1)[1].split()[1])
    except (OSError, IndexError):
        return 0

def test_server_dies():
    """The qemu-nbd behind a qcow2 image is killed: errors of the drive, nothing hangs, the machine ends by itself."""
    args = ["-drive", f"file={qcow2('n')},format=qcow2,if=ide,index=0"]
    with Machine("n", *args) as m:
        expect(m.ask(b"w")[:2] == (GOOD, 0), "before")
        servers = [p for p in children(m.p.pid) if "qemu-nbd" in os.readlink(f"/proc/{p}/exe")]
        expect(servers, "no qemu-nbd")
        for p in servers:
            os.kill(p, signal.SIGKILL)
        for letter, want in ((b"r", UNC), (b"w", ABRT), (b"r", UNC)):
            status, error, _ = m.ask(letter)
            expect(status & 1 and error == want, (letter, status, error))
        m.quit()
    rc = subprocess.run(["qemu-img", "check", "-q", path("n")], capture_output=True).returncode
    expect(rc in (0, 3), f"the image is damaged: {rc}")  # 3: leaked clusters

def test_damaged():
    """What cannot be opened is said in one line, with exit code 4, and nothing runs."""
    good = open(qcow2("g"), "rb").read()
    cases = {
        "cut": good[:100],
        "version": good[:4] + struct.pack(">I", 77) + good[8:],
        "cluster": good[:20] + struct.pack(">I", 63) + good[24:],
        "size": good[:24] + b"\xff" * 8 + good[32:],
        "l1": good[:40] + b"\xff" * 8 + good[48:],
        "l1size": good[:36] + b"\x7f\xff\xff\xff" + good[40:],
        "feature": good[:72] + b"\xff" * 8 + good[80:],
        "backing": good[:8] + struct.pack(">QI", len(good) - 10, 500) + good[20:],
    }
    for name, data in cases.items():
        with open(path("bad"), "wb") as f:
            f.write(data)
        p = subprocess.run([NOVT, "-bios", bios(), "-nodefaults", "-display", "none", "-drive", f"file={path('bad')},format=qcow2", "--timeout", "20"],
                           stdin=subprocess.DEVNULL, capture_output=True, timeout=40)
        lines = p.stderr.decode().splitlines()
        expect(p.returncode == 4 and len(lines) == 2 and path("bad") in lines[0] and lines[1].startswith("novt: remedy: "), f"{name}: {p}")
        expect(open(path("bad"), "rb").read() == data, f"{name}: the image was changed")

names = sys.argv[2:]
code = run_cases([(name[5:], fn) for name, fn in sorted(globals().items())
                  if name.startswith("test_") and (not names or any(n in name for n in names))])
shutil.rmtree(TMP, ignore_errors=True)
sys.exit(code)
