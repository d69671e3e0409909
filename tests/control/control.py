#!/usr/bin/env python3
"""Monitors as scripts and programs use them: HMP, QMP, events, hostile clients, the process in the background.

Usage: control.py NOVT [NAME...]     runs all tests, or those whose name contains a NAME
Guests are 64 KiB BIOS images assembled here by hand, so that nothing but novt is needed.
"""
import json, os, pty, random, select, signal, socket, struct, subprocess, sys, tempfile, time

NOVT = os.path.abspath(sys.argv[1])
TMP = tempfile.mkdtemp(prefix="novt-ctl-")

# ---- guests ----

def out8(port, val):
    return b"\xba" + struct.pack("<H", port) + b"\xb0" + bytes([val]) + b"\xee"  # mov dx, port; mov al, val; out dx, al

def out32(port, val):
    return b"\xba" + struct.pack("<H", port) + b"\x66\xb8" + struct.pack("<I", val) + b"\x66\xef"

def pci_write(devfn, reg, val):
    return out32(0xcf8, 0x80000000 | devfn << 8 | reg) + out32(0xcfc, val)

def bios(name, code):
    """64 KiB: code at F000:0000, the reset vector jumps there."""
    path = os.path.join(TMP, name)
    with open(path, "wb") as f:
        f.write(code.ljust(0xfff0, b"\xf4") + b"\xea\x00\x00\x00\xf0".ljust(16, b"\0"))
    return path

# xor ax, ax; mov ds, ax; l: inc dword [500h]; jmp l
COUNT = bytes.fromhex("31c0 8ed8 66ff060005 ebf9")
DEAD = b"\xfa\xf4"
SPIN = b"\xeb\xfe"
# mov dx, 604h; mov ax, 2000h; out dx, ax behind the set-up of the PIIX4's power management
OFF = pci_write(11, 0x40, 0x601) + pci_write(11, 0x80, 1) + pci_write(11, 4, 1) + bytes.fromhex("ba0406 b80020 ef") + SPIN
RESET = b"\xb0\xfe\xe6\x64" + SPIN
# l: in al, 64h; test al, 1; jz l; in al, 60h; mov dx, 3f8h; out dx, al; jmp l, behind "interrupts off, keyboard on, set 1"
KEYS = bytes.fromhex("b0ae e664 b060 e664 b040 e660 e464 a801 74fa e460 baf803 ee ebf2")
CARDS = bios("count", COUNT)

# ---- the other side ----

class Fail(Exception):
    pass

def check(cond, what):
    if not cond:
        raise Fail(what)

class Novt:
    """A running novt; ends with the block it is made for."""
    def __init__(self, *args, **kw):
        self.p = subprocess.Popen([NOVT, "-vga", "none", "-display", "none", "-nodefaults", *args, "--timeout", "60"],
                                  stdin=kw.pop("stdin", subprocess.DEVNULL), **kw)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.p.poll() is None:
            self.p.kill()
        self.p.wait()

    def ends(self, code, within=20):
        rc = self.p.wait(within)
        check(rc == code, f"exit code {rc}, not {code}")

def connect(path):
    end = time.time() + 20
    while True:
        s = socket.socket(socket.AF_UNIX)
        try:
            s.connect(path)
            s.settimeout(20)
            return s
        except OSError:
            check(time.time() < end, f"nobody listens on {path}")
            time.sleep(0.02)

class Qmp:
    def __init__(self, path, negotiate=True):
        self.s = connect(path)
        self.f = self.s.makefile("rb")
        self.events = []
        self.greeting = self.get()
        if negotiate:
            check(self.raw({"execute": "qmp_capabilities"}) == {"return": {}}, "no negotiation")

    def send(self, what):
        self.s.sendall(what if isinstance(what, bytes) else json.dumps(what).encode())

    def close(self):
        self.f.close()
        self.s.close()

    def get(self):
        line = self.f.readline()
        check(line, "hung up")
        return json.loads(line)

    def raw(self, what):
        """One answer; events before it are kept."""
        self.send(what)
        while True:
            got = self.get()
            if "event" not in got:
                return got
            self.events.append(got)

    def do(self, name, **args):
        got = self.raw({"execute": name, "arguments": {k.replace("_", "-"): v for k, v in args.items()}})
        check("return" in got, f"{name}: {got}")
        return got["return"]

    def fails(self, name, why, **args):
        got = self.raw({"execute": name, "arguments": {k.replace("_", "-"): v for k, v in args.items()}})
        check("error" in got and why in got["error"]["desc"], f"{name}: {got}")

    def hmp(self, line):
        return self.do("human-monitor-command", command_line=line).replace("\r\n", "\n")

    def event(self, name):
        while not any(e["event"] == name for e in self.events):
            self.events.append(self.get())
        at = next(i for i, e in enumerate(self.events) if e["event"] == name)
        return self.events.pop(at)

class Hmp:
    def __init__(self, path):
        self.s = connect(path)
        self.wait()

    def wait(self, what=b"(qemu) "):
        text = b""
        while not text.endswith(what):
            data = self.s.recv(65536)
            check(data, f"hung up after {text!r}")
            text += data
        return text

    def do(self, line):
        self.s.sendall(line.encode() + b"\n")
        lines = self.wait().decode().split("\r\n")
        check(lines[0] == line and lines[-1] == "(qemu) ", f"no echo or no prompt: {lines}")
        return "\n".join(lines[1:-1])

def sock(name):
    return os.path.join(TMP, name)

def qmp_args(name):
    return ["-qmp", f"unix:{sock(name)},server=on,wait=off"]

def counter(q):
    path = os.path.join(TMP, "counter")
    q.do("pmemsave", val=0x500, size=4, filename=path)
    with open(path, "rb") as f:
        return struct.unpack("<I", f.read())[0]

# ---- tests ----

def test_qmp_session():
    with Novt("-bios", CARDS, *qmp_args("q1"), "-name", "a name,process=x", "-uuid", "550e8400-e29b-41d4-a716-446655440000") as n:
        q = Qmp(sock("q1"), negotiate=False)
        check(q.greeting["QMP"]["version"]["qemu"]["major"] >= 7 and q.greeting["QMP"]["capabilities"] == [], q.greeting)
        got = q.raw({"execute": "query-status", "id": 1})
        check(got == {"id": 1, "error": {"class": "CommandNotFound", "desc": "Expecting capabilities negotiation with 'qmp_capabilities'"}}, got)
        got = q.raw(b"{'execute': 'qmp_capabilities', 'id': {'a': [1, \"it's\", null]}}")  # no newline, single quotes
        check(got == {"return": {}, "id": {"a": [1, "it's", None]}}, got)
        check(q.do("query-status") == {"status": "running", "singlestep": False, "running": True}, "status")
        check(q.do("query-name") == {"name": "a name"}, "name")
        check(q.do("query-uuid") == {"UUID": "550e8400-e29b-41d4-a716-446655440000"}, "uuid")
        check(q.do("query-kvm") == {"enabled": False, "present": False}, "kvm")
        names = {c["name"] for c in q.do("query-commands")}
        check({"quit", "stop", "cont", "send-key", "screendump", "human-monitor-command", "query-block"} <= names, names)
        check(q.do("query-cpus-fast")[0]["cpu-index"] == 0, "cpus")
        got = q.raw(b'{"execute":"query-version"}{"execute":"query-target","id":"b"}\r\n')  # two in a piece
        check("qemu" in got["return"], got)
        check(q.get() == {"return": {"arch": "i386"}, "id": "b"}, "second of two")
        for text, why in ((b'{"execute": 1}', "must be a string"), (b'[]', "must be a JSON object"), (b'{"x": 1}', "'x' is unexpected"),
                          (b'{}', "lacks member 'execute'"), (b'{"execute":"stop","arguments":[]}', "must be an object"),
                          (b'{"execute":"nosuch"}', "The command nosuch has not been found"), (b'}', "Invalid JSON"),
                          (b'\n{"a" 1}', "Invalid JSON"), (b'tru\n', "Invalid JSON"), (b'17\n', "must be a JSON object"),
                          (b'{"execute":"stop","arguments":{"now":1}}', "Parameter 'now' is unexpected"),
                          (b'{"execute":"memsave","arguments":{"val":1}}', "Parameter 'size' is missing"),
                          (b'{"execute":"send-key","arguments":{"keys":"a"}}', "expected: array"),
                          (b'{"execute":"qmp_capabilities"}', "already complete")):
            got = q.raw(text + (b"\n" if text == b"}" else b""))
            check(why in got["error"]["desc"], f"{text}: {got}")
        check(q.do("query-status")["running"], "still works")
        q.do("quit")
        ev = q.event("SHUTDOWN")
        check(ev["data"] == {"guest": False, "reason": "host-qmp-quit"} and ev["timestamp"]["seconds"] > 1e9, ev)
        check(q.f.readline() == b"", "not hung up")
        n.ends(0)
        check(not os.path.exists(sock("q1")), "socket left behind")

def test_stop_and_cont():
    with Novt("-bios", CARDS, *qmp_args("q2"), "-S"):
        q = Qmp(sock("q2"))
        check(q.do("query-status")["status"] == "prelaunch" and counter(q) == 0, "not waiting")
        q.do("cont")
        check([e["event"] for e in q.events] == ["RESUME"], f"the event comes before the answer: {q.events}")
        while counter(q) == 0:
            pass
        q.do("stop")
        q.event("STOP")
        a = counter(q)
        time.sleep(0.1)
        check(a == counter(q) and q.do("query-status") == {"status": "paused", "singlestep": False, "running": False}, "goes on while stopped")
        check(q.hmp("info status") == "VM status: paused\n", q.hmp("info status"))
        q.do("cont")
        while counter(q) == a:
            pass
        q.do("system_reset")
        check(q.event("RESET")["data"] == {"guest": False, "reason": "host-qmp-system-reset"}, "reset")
        q.do("system_powerdown")
        q.event("POWERDOWN")

def test_guest_events():
    with Novt("-bios", bios("off", OFF), *qmp_args("q3"), "-no-shutdown", "-S") as n:
        q = Qmp(sock("q3"))
        q.do("cont")
        check(q.event("SHUTDOWN")["data"] == {"guest": True, "reason": "guest-shutdown"}, "shutdown")
        q.event("STOP")
        check(q.do("query-status")["status"] == "shutdown", "status")
        q.fails("cont", "Resetting the Virtual Machine is required")
        q.do("system_reset")
        q.event("RESET")
        check(q.do("query-status")["status"] == "paused", "status after the reset")
        q.do("cont")
        q.event("SHUTDOWN")
        q.do("quit")
        n.ends(0)
    with Novt("-bios", bios("off", OFF), *qmp_args("q4"), "-S") as n:
        q = Qmp(sock("q4"))
        q.do("cont")
        check(q.event("SHUTDOWN")["data"]["guest"], "shutdown")
        n.ends(0)
    with Novt("-bios", bios("reset", RESET), *qmp_args("q5"), "-S") as n:
        q = Qmp(sock("q5"))
        q.do("cont")
        for _ in range(5):
            check(q.event("RESET")["data"] == {"guest": True, "reason": "guest-reset"}, "reset")
        n.p.send_signal(signal.SIGTERM)
        check(q.event("SHUTDOWN")["data"] == {"guest": False, "reason": "host-signal"}, "SIGTERM")
        n.ends(143)
    with Novt("-bios", bios("reset", RESET), *qmp_args("q6"), "-S", "-action", "reboot=shutdown") as n:
        q = Qmp(sock("q6"))
        q.do("cont")
        q.event("SHUTDOWN")
        n.ends(0)
    with Novt("-bios", bios("dead", DEAD), *qmp_args("q7")) as n:  # somebody could still reset it
        q = Qmp(sock("q7"))
        time.sleep(0.2)
        check("HLT=1" in q.hmp("info registers"), "halted")
        q.do("inject-nmi")
        q.do("quit")
        n.ends(0)

def test_hmp():
    with Novt("-bios", CARDS, "-monitor", f"unix:{sock('h1')},server,nowait") as n:
        h = Hmp(sock("h1"))
        check(h.do("info status") == "VM status: running", "status")
        while "EIP=0000fff0" in h.do("info registers"):
            pass
        h.do("stop")
        regs = h.do("info registers")
        check("EIP=0000000" in regs and "CS =f000 000f0000" in regs and "CR0=" in regs and "XMM07=" in regs, regs)
        check(h.do("x/5xb 0xf0000") == "000f0000: 0x31 0xc0 0x8e 0xd8 0x66", h.do("x/5xb 0xf0000"))
        check(h.do("xp /2hx 0xf0000") == "00000000000f0000: 0xc031 0xd88e", h.do("xp /2hx 0xf0000"))
        check(h.do("x/1i 0xf0002").split("d8")[1].split() == ["movw", "%ax,", "%ds"] or "ds" in h.do("x/1i 0xf0002"), h.do("x/1i 0xf0002"))
        check(h.do("p $cs * 0x10 + 0x10 / (3 - 1)") == "0xf0008", h.do("p $cs * 0x10 + 0x10 / (3 - 1)"))
        check(h.do("print/d -5") == "-5" and "division" in h.do("p 1/0") and "register" in h.do("p $foo"), "print")
        check("unexpected" in h.do("p 1 2") and "too deep" in h.do("p " + "(" * 200), "print")
        out = os.path.join(TMP, "mem")
        check(h.do(f'memsave 0xf0000 0x10 "{out}"') == "" and open(out, "rb").read() == COUNT.ljust(16, b"\xf4"), "memsave")
        check("no memory" in h.do(f"pmemsave 0x7fffff00 0x1000 {out}"), "memsave of nothing")
        check("cannot write" in h.do("memsave 0 1 /nonexistent/x"), "memsave to nowhere")
        check("Cannot access" in h.do("xp 0x70000000"), "xp of nothing")
        check(h.do("info mem") == "PG disabled" and "pic0: irr=" in h.do("info pic") and "8086:1237" in h.do("info pci"), "info")
        check("0cf8-0cfb" in h.do("info mtree") and "cache.blocks" in h.do("info blocks") and "bt.translations" in h.do("info jit") and "mmu." not in h.do("info jit") and "(NoVT)" in h.do("info version"), "info")
        check("unknown command: 'nosuch'" in h.do("nosuch") and "it needs" in h.do("sendkey"), "unknown")
        check("system_reset" in h.do("help") and h.do("help quit") == "quit|q  -- ends NoVT", "help")
        check("invalid parameter" in h.do("sendkey nosuch"), "sendkey")
        # editing: a word erased, text put in the middle, the history
        h.s.sendall(b"info nosuch\x17stxtus\x1b[D\x1b[D\x1b[D\x7fa\x01\x05\n")
        check(b"VM status: paused\r\n" in h.wait(), "editing")
        h.s.sendall(b"bogus\x1b[A\n")  # the line before it; the unfinished one is behind it
        check(b"VM status: paused\r\n" in h.wait(), "history")
        h.s.sendall(b"inf\tsta\tus\x10\x0e\n")
        check(b"VM status: paused\r\n" in h.wait(), "completion")
        check(h.do("cont") == "" and h.do("info status") == "VM status: running", "cont")
        h.s.sendall(bytes(random.Random(3).randrange(256) for _ in range(20000)))  # a cat on the keyboard
        h.s.close()
        h = Hmp(sock("h1"))
        check(h.do("info status").startswith("VM status"), "the next client")
        h.s.sendall(b"quit\n")
        n.ends(0)

def test_hostile_clients():
    with Novt("-bios", CARDS, *qmp_args("q8")) as n:
        deep = Qmp(sock("q8"))
        check("Invalid JSON" in deep.raw(b"[" * 100000 + b"\n")["error"]["desc"], "deep")
        check(deep.do("query-status")["running"], "after deep")
        deep.send(b'{"execute":"' + b"x" * 3000000)
        check("Invalid JSON" in deep.get()["error"]["desc"], "long")
        deep.send(b'"}\n')
        check(deep.do("query-status")["running"], "after long")
        for junk in (b'{"execute":"\xff\xfe"}', b'{"execute":"a\x00b"}', b'{"execute":"query-status","id":"\xc3\x28"}',
                     b'{"execute":"human-monitor-command","arguments":{"command-line":"\\u0000"}}'):
            check("error" in deep.raw(junk + b"\n"), junk)
        check(deep.do("human-monitor-command", command_line="\u00e9\u4e2d")[:15] == "unknown command", "UTF-8")
        deep.send(b'{"execute":"query-')  # half a command, then gone
        deep.close()
        slow = Qmp(sock("q8"))  # never reads
        slow.s.settimeout(0.5)
        try:
            for _ in range(200000):
                slow.send({"execute": "query-commands"})
            check(False, "everything was taken from a client that reads nothing")
        except (socket.timeout, BlockingIOError):
            pass
        slow.close()
        q = Qmp(sock("q8"))
        a = counter(q)
        while counter(q) == a:
            pass
        rnd = random.Random(5)
        good = json.dumps({"execute": "human-monitor-command", "arguments": {"command-line": "x/2xw 0"}, "id": 5}).encode()
        for _ in range(300):
            bad = bytearray(good)
            for _ in range(rnd.randrange(1, 5)):
                bad[rnd.randrange(len(bad))] = rnd.choice(b'{}[]":,\\\x00\xff\nabc019')
            q.send(bytes(bad))
        q.send(b'\xff\n{"execute":"query-uuid","id":"end"}\n')
        seen = 0
        while q.get().get("id") != "end":
            seen += 1
        q.do("quit")
        n.ends(0)

def test_input():
    log = os.path.join(TMP, "keys.out")
    with Novt("-bios", bios("keys", KEYS), *qmp_args("q9"), "-serial", "file:" + log) as n:
        q = Qmp(sock("q9"))
        q.do("send-key", keys=[{"type": "qcode", "data": "ctrl"}, {"type": "number", "data": 0x1e}], hold_time=20)
        q.hmp("sendkey ret 20")
        q.do("input-send-event", events=[{"type": "key", "data": {"down": True, "key": {"type": "qcode", "data": "b"}}},
                                         {"type": "key", "data": {"down": False, "key": {"type": "qcode", "data": "b"}}}])
        end, want = time.time() + 20, bytes.fromhex("1d1e9e9d 1c9c 30b0")
        while sorted(open(log, "rb").read()) != sorted(want):
            check(time.time() < end, f"scan codes: {open(log, 'rb').read()[:64].hex()}")
            time.sleep(0.05)
        check(bytes.fromhex("1d1e9e9d") in open(log, "rb").read().replace(b"\x30", b"").replace(b"\xb0", b""), "order")
        q.fails("send-key", "nosuch", keys=[{"type": "qcode", "data": "nosuch"}])
        q.fails("send-key", "a key is", keys=[{"type": "what"}])
        q.fails("send-key", "too many", keys=[{"type": "qcode", "data": "shift_r"}] * 100)
        q.fails("input-send-event", "absolute", events=[{"type": "abs", "data": {"axis": "x", "value": 1}}])
        q.fails("input-send-event", "events", events=[7])
        q.do("input-send-event", events=[{"type": "rel", "data": {"axis": "x", "value": 1 << 40}}, {"type": "btn", "data": {"down": True, "button": "left"}}])
        q.do("quit")
        n.ends(0)

def test_places():
    """TCP and telnet servers, NoVT as the client, an inherited descriptor, -mon on a -chardev, standard input."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with Novt("-bios", CARDS, "-monitor", f"telnet:127.0.0.1:{port},server,nowait"):
        end = time.time() + 20
        while True:
            try:
                s = socket.create_connection(("127.0.0.1", port), 20)
                break
            except OSError:
                check(time.time() < end, "nobody listens")
                time.sleep(0.05)
        h = Hmp.__new__(Hmp)
        h.s = s
        check(h.wait().startswith(b"\xff\xfb\x01"), "no telnet greeting")
        s.sendall(b"info\xff\xfd\x03 sta\xff\xf1tus\r\0")
        check(b"VM status: running" in h.wait(), "telnet commands in the text")
    listener = socket.create_server(("127.0.0.1", 0))
    with Novt("-bios", CARDS, "-chardev", f"socket,id=m,host=127.0.0.1,port={listener.getsockname()[1]}", "-mon", "chardev=m,mode=control") as n:
        s, _ = listener.accept()
        check(s.makefile("rb").readline().startswith(b'{"QMP"'), "as a client")
    mine, theirs = socket.socketpair()
    with Novt("-bios", CARDS, "-chardev", f"socket,id=m,fd={theirs.fileno()}", "-mon", "m,mode=control", pass_fds=[theirs.fileno()]) as n:
        check(mine.makefile("rb").readline().startswith(b'{"QMP"'), "an inherited descriptor")
    p = subprocess.run([NOVT, "-display", "none", "-vga", "none", "-bios", CARDS, "-monitor", "stdio"], input=b"info status\nquit\n", capture_output=True, timeout=20)
    check(p.returncode == 0 and b"VM status: running" in p.stdout and p.stdout.startswith(b"NoVT "), p)
    p = subprocess.run([NOVT, "-display", "none", "-vga", "none", "-bios", CARDS, "-qmp", "stdio"],
                       input=b'{"execute":"qmp_capabilities"}{"execute":"quit"}', capture_output=True, timeout=20)
    check(p.returncode == 0 and p.stdout.count(b'"return"') == 2, p)

ECHO = bytes.fromhex("bafd03 ec a801 74f8 b2f8 ec ee ebf2")  # what the serial line gets comes back

def test_serial_sockets():
    """A serial line and a monitor on one socket; telnet's commands do not reach the guest."""
    with Novt("-bios", bios("echo", ECHO), "-serial", f"mon:unix:{sock('s1')},server,nowait", "-monitor", "none") as n:
        s = connect(sock("s1"))
        s.sendall(b"plain")
        check(read_until(s.fileno(), b"plain") == b"plain", "echo")
    with Novt("-bios", bios("echo", ECHO), "-chardev", f"socket,id=c,path={sock('s2')},server=on,wait=off,mux=on", "-serial", "chardev:c",
              "-mon", "chardev=c") as n:
        s = connect(sock("s2"))
        s.sendall(b"one")
        read_until(s.fileno(), b"one")
        s.sendall(b"\x01c")
        read_until(s.fileno(), b"(qemu) ")
        s.sendall(b"quit\n")
        n.ends(0)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with Novt("-bios", bios("echo", ECHO), "-serial", f"telnet:127.0.0.1:{port},server,nowait") as n:
        end = time.time() + 20
        while True:
            try:
                s = socket.create_connection(("127.0.0.1", port), 20)
                break
            except OSError:
                check(time.time() < end, "nobody listens")
                time.sleep(0.05)
        s.sendall(b"a\xff\xfd\x03b\xff\xf1c\xff\xffd")
        text = read_until(s.fileno(), b"d")
        check(text.endswith(b"abc\xffd"), text)

def test_waits_for_client():
    with Novt("-bios", CARDS, "-qmp", f"unix:{sock('q10')},server=on", stderr=subprocess.PIPE) as n:
        check(b"waiting for connection on: unix:" in n.p.stderr.readline(), "says nothing")
        q = Qmp(sock("q10"))
        q.do("quit")
        n.ends(0)
    with Novt("-bios", CARDS, "-qmp", f"unix:{sock('q10')},server=on", stderr=subprocess.PIPE) as n:
        n.p.stderr.readline()
        n.p.send_signal(signal.SIGINT)
        n.ends(-signal.SIGINT)

def read_until(fd, what, seconds=20):
    text, end = b"", time.time() + seconds
    while what not in text:
        check(time.time() < end, f"no {what!r} in {text!r}")
        if select.select([fd], [], [], 0.2)[0]:
            text += os.read(fd, 4096)
    return text

def switch(args, key):
    pid, fd = pty.fork()
    if pid == 0:
        os.execv(NOVT, [NOVT, "-bios", bios("echo", ECHO), "-nographic", "-vga", "none", "--timeout", "60", *args])
    read_until(fd, b"quits")
    os.write(fd, b"one")
    read_until(fd, b"one")
    os.write(fd, key + b"c")
    read_until(fd, b"(qemu) ")
    os.write(fd, b"info status\r")
    check(b"running" in read_until(fd, b"(qemu) "), "no answer")
    os.write(fd, key + b"ctwo")
    text = read_until(fd, b"two")
    check(b"qemu" not in text, text)
    os.write(fd, key + b"c")
    read_until(fd, b"(qemu) ")
    os.write(fd, b"quit\r")
    end = time.time() + 20
    while os.waitpid(pid, os.WNOHANG) == (0, 0):
        check(time.time() < end, "does not quit")
        try:
            select.select([fd], [], [], 0.1)[0] and os.read(fd, 4096)
        except OSError:
            time.sleep(0.05)
    os.close(fd)

def test_terminal_switch():
    """-nographic: Ctrl-A C goes to the monitor and back; the serial line goes on beside it. The same with another key."""
    switch([], b"\x01")
    switch(["-echr", "0x14"], b"\x14")

def test_background():
    pidfile, name = os.path.join(TMP, "pid"), sock("h2")
    args = [NOVT, "-bios", CARDS, "-vga", "none", "-display", "none", "-daemonize", "-pidfile", pidfile, "-monitor", f"unix:{name},server,nowait"]
    p = subprocess.run(args, capture_output=True, timeout=20)
    check(p.returncode == 0 and not p.stdout, p)
    pid = int(open(pidfile).read())
    os.kill(pid, 0)
    again = subprocess.run([NOVT, "-bios", CARDS, "-display", "none", "-pidfile", pidfile], capture_output=True, timeout=20)
    check(again.returncode == 3 and b"pidfile" in again.stderr, again)
    h = Hmp(name)
    h.s.sendall(b"quit\n")
    end = time.time() + 20
    while os.path.exists(pidfile):
        check(time.time() < end, "pidfile stays")
        time.sleep(0.02)
    bad = subprocess.run(args + ["-kernel", "/nonexistent"], capture_output=True, timeout=20)
    check(bad.returncode in (3, 4) and bad.stderr.count(b"\n") == 2 and not os.path.exists(pidfile), bad)

def test_ports():
    """All four serial lines and the printer, each into its file."""
    lpt = out8(0x378, ord("P")) + out8(0x37a, 0x0d) + out8(0x37a, 0x0c)
    code = b"".join(out8(port, 0x31 + i) for i, port in enumerate((0x3f8, 0x2f8, 0x3e8, 0x2e8))) + lpt + out8(0x501, 0) + DEAD
    files = [os.path.join(TMP, f"port{i}") for i in range(5)]
    args = [a for f in files[:4] for a in ("-serial", "file:" + f)] + ["-parallel", "file:" + files[4], "-device", "isa-debug-exit"]
    with Novt("-bios", bios("ports", code), *args) as n:
        n.ends(1)
    got = [open(f, "rb").read() for f in files]
    check(got == [b"1", b"2", b"3", b"4", b"P"], got)

def test_media():
    """What is in the drives, by both monitors, and other media into them."""
    a, b = os.path.join(TMP, "a.img"), os.path.join(TMP, "b.img")
    for path in (a, b):
        with open(path, "wb") as f:
            f.truncate(1474560)
    with Novt("-bios", CARDS, *qmp_args("q11"), "-drive", f"file={a},if=floppy,format=raw") as n:
        q = Qmp(sock("q11"))
        fd = next(d for d in q.do("query-block") if d["device"] == "floppy0")
        check(fd["removable"] and fd["inserted"]["file"] == a and not fd["inserted"]["ro"], fd)
        check(f"floppy0: {a} (raw)" in q.hmp("info block"), q.hmp("info block"))
        q.do("eject", device="floppy0", force=True)
        check("floppy0: [not inserted]" in q.hmp("info block"), q.hmp("info block"))
        q.do("blockdev-change-medium", device="floppy0", filename=b, format="raw")
        check(f"floppy0: {b}" in q.hmp("info block"), q.hmp("info block"))
        check(q.hmp(f"change floppy0 {a} raw") == "" and f"floppy0: {a}" in q.hmp("info block"), "change")
        check("nosuch" in q.hmp("eject nosuch") and "Error" in q.hmp("change floppy0 /nonexistent/x"), "errors")
        check(f"floppy0: {a}" in q.hmp("info block"), "the old one stays")
        q.fails("eject", "nosuch", device="nosuch")
        q.fails("eject", "is missing")
        check("rd_operations=" in q.hmp("info blockstats"), "blockstats")
        check(next(d for d in q.do("query-blockstats") if d["device"] == "floppy0")["stats"]["wr_bytes"] == 0, "query-blockstats")

def test_screendump():
    """SeaBIOS's screen as PPM and PNG; where nothing can be written, and without a card."""
    with Novt("-vga", "std", *qmp_args("q12")) as n:
        q = Qmp(sock("q12"))
        ppm, png = os.path.join(TMP, "s.ppm"), os.path.join(TMP, "s.png")
        end = time.time() + 20
        while True:
            q.do("screendump", filename=ppm)
            data = open(ppm, "rb").read()
            if len(set(data[15:])) > 1:
                break
            check(time.time() < end, "nothing on the screen")
        check(data.startswith(b"P6\n720 400\n255\n") or data.startswith(b"P6\n640 400\n255\n"), data[:20])
        check(q.hmp(f"screendump {png} -f png") == "", "png")
        check(open(png, "rb").read(8) == b"\x89PNG\r\n\x1a\n", "png")
        q.fails("screendump", "/nonexistent", filename="/nonexistent/x")
        q.fails("screendump", "jpeg", filename=ppm, format="jpeg")
    with Novt("-bios", CARDS, *qmp_args("q13")) as n:
        got = Qmp(sock("q13")).raw({"execute": "screendump", "arguments": {"filename": os.path.join(TMP, "none")}})
        check("error" in got, got)

def test_network_words():
    """hostfwd_add opens a port of the host at once and hostfwd_remove closes it; set_link is heard by the card; names are the options'."""
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    port = s.getsockname()[1]
    def listens():
        with socket.socket() as c:
            return c.connect_ex(("127.0.0.1", port)) == 0
    # The e1000 in slot 3, its I/O window at C000h: STATUS (register 8) has the link as bit 1. Its low byte to COM1 all the time.
    code = pci_write(24, 0x14, 0xc001) + pci_write(24, 4, 1) + bytes.fromhex("ba00c0 66b808000000 66ef ba04c0 66ed baf803 ee ebea")
    log = os.path.join(TMP, "link.out")
    def link(want):
        end = time.time() + 10
        while time.time() < end:
            with open(log, "rb") as f:
                last = f.read()[-1:]
            if last and bool(last[0] & 2) == want:
                return True
        return False
    cards = ["-netdev", "user,id=n0", "-device", "e1000,netdev=n0,id=card0", "-serial", "file:" + log]
    with Novt("-bios", bios("link", code), *cards, *qmp_args("q14"), stderr=subprocess.PIPE) as n:
        try:
            q = Qmp(sock("q14"))
        except Fail:
            check(b"libslirp" in n.p.stderr.read(), "no network")
            return
        check(f"port {port}" in q.hmp(f"hostfwd_add tcp:127.0.0.1:{port}-:22"), "a port that is taken is said")
        s.close()
        check(q.hmp(f"hostfwd_add tcp:127.0.0.1:{port}-:22") == "" and listens(), "open")
        check("not found" in q.hmp(f"hostfwd_remove n0 udp:127.0.0.1:{port}"), "another protocol")
        check("removed" in q.hmp(f"hostfwd_remove n0 tcp:127.0.0.1:{port}") and not listens(), "closed")
        check("not found" in q.hmp(f"hostfwd_remove tcp:127.0.0.1:{port}"), "twice")
        check("invalid" in q.hmp("hostfwd_add nonsense"), "nonsense")
        check("unrecognized" in q.hmp("hostfwd_add other tcp::1-:2"), "name")
        check("card0" in q.hmp("info network") and "n0" in q.hmp("info network"), q.hmp("info network"))
        for name in ("n0", "card0", "e1000.0", "net0"):
            check(q.hmp(f"set_link {name} off") == "" and q.hmp(f"set_link {name} on") == "", name)
        check(link(True), "the card says that the link is up")
        check("not found" in q.hmp("set_link frob on") and "expects" in q.hmp("set_link n0 perhaps"), "bad words")
        check(q.raw({"execute": "set_link", "arguments": {"name": "n0", "up": False}}) == {"return": {}}, "QMP")
        got = q.raw({"execute": "set_link", "arguments": {"name": "frob", "up": True}})
        check(got["error"]["class"] == "DeviceNotFound", got)
        check(link(False), "the card says that the link is down")

def test_schema():
    with Novt("-bios", CARDS, *qmp_args("q15")) as n:
        q = Qmp(sock("q15"))
        schema = q.do("query-qmp-schema")
        names = {e["name"]: e for e in schema}
        check(len(names) == len(schema), "a name is there twice")
        for c in q.do("query-commands"):
            e = names.get(c["name"])
            check(e and e["meta-type"] == "command" and names[e["arg-type"]]["meta-type"] == "object" and e["ret-type"] in names, c)
        check({"name": "filename", "type": "str"} in names[names["screendump"]["arg-type"]]["members"], "screendump")
        check({"name": "device", "type": "str", "default": None} in names[names["eject"]["arg-type"]]["members"], "eject")
        for e in q.do("query-events"):
            check(names[e["name"]]["meta-type"] == "event", e)
        check([m["name"] for m in q.do("query-machines")] == ["pc"] and "max" in [c["name"] for c in q.do("query-cpu-definitions")], "lists")

def test_uuid_reaches_firmware():
    log, uuid = os.path.join(TMP, "bios.log"), "550e8400-e29b-41d4-a716-446655440000"
    p = subprocess.run([NOVT, "-display", "none", "-uuid", uuid, "-chardev", f"file,id=d,path={log}", "-device", "isa-debugcon,iobase=0x402,chardev=d",
                        "--timeout", "60"], stdin=subprocess.DEVNULL, capture_output=True, timeout=80)
    check(p.returncode == 5 and "Machine UUID " + uuid in open(log, errors="replace").read(), p)

def test_rtc():
    """The CMOS clock as the guest reads it: century, year, month, day, hour, minute."""
    code = b"".join(b"\xb0" + bytes([r]) + bytes.fromhex("e670 e471 baf803 ee") for r in (0x32, 9, 8, 7, 4, 2)) + out8(0x501, 0) + DEAD
    log = os.path.join(TMP, "rtc.out")
    with Novt("-bios", bios("rtc", code), "-rtc", "base=1999-12-31T23:58:10", "-serial", "file:" + log, "-device", "isa-debug-exit") as n:
        n.ends(1)
    check(open(log, "rb").read().hex() == "199912312358", open(log, "rb").read().hex())

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
        except (Fail, subprocess.TimeoutExpired, OSError, AttributeError, ValueError, KeyError) as e:
            word = f"FAIL {type(e).__name__} {e}"[:1000]
            failed += 1
        print(f"{name[5:]:28} {time.time() - start:6.2f} s  {word}", flush=True)
    subprocess.run(["rm", "-rf", TMP])
    sys.exit(1 if failed else 0)

main()
