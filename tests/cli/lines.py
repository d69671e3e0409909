#!/usr/bin/env python3
"""Command lines for qemu-system-i386 run with a guest: what the guest, the terminal and the exit code say must be what QEMU's would be.

Usage: lines.py NOVT [NAME...]     runs all cases, or those whose name contains a NAME
Guests are boot sectors and kernels of a few bytes, started by SeaBIOS. What would break the tests: a byte of the firmware's on the serial
line, a power-off port elsewhere than small kernels expect it, a kernel refused for the headers its linker put in front, an FPU that
hangs who does not initialise it, options that are taken and do nothing.
"""
import json, os, shutil, socket, struct, subprocess, sys, tempfile, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "scripts"))
from vmcases import expect, run_cases  # noqa: E402

NOVT = os.path.abspath(sys.argv[1])
TMP = tempfile.mkdtemp(prefix="novt-lines-")
POWER_OFF = b"\xba\x04\x06\xb8\x00\x20\xef"  # mov dx, 604h; mov ax, 2000h; out dx, ax
HALT = b"\xfb\xf4\xeb\xfd"                      # h: sti; hlt; jmp h


def out8(port, val):
    return b"\xba" + struct.pack("<H", port) + b"\xb0" + bytes([val]) + b"\xee"  # mov dx, port; mov al, val; out dx, al


def say(text):
    """On COM1, and by the BIOS on the screen."""
    return b"".join(out8(0x3f8, c) + b"\xb4\x0e\xbb\x07\x00\xcd\x10" for c in text.encode())


def path(name):
    return os.path.join(TMP, name)


def disk(code, name="disk.img", bytes=1 << 20):
    with open(path(name), "wb") as f:
        f.write(code.ljust(510, b"\0") + b"\x55\xaa")
        f.truncate(bytes)
    return path(name)


def kernel(code, name="kernel"):
    """An ELF as ld -Ttext 0x100000 makes it: its headers are a page of their own, in front of the code."""
    head = struct.pack("<III", 0x1badb002, 0, 0x100000000 - 0x1badb002) + code
    ident = b"\x7fELF\x01\x01\x01".ljust(16, b"\0")
    elf = ident + struct.pack("<HHIIIIIHHHHHH", 2, 3, 1, 0x10000c, 52, 0, 0, 52, 32, 2, 0, 0, 0)
    elf += struct.pack("<8I", 1, 0, 0xff000, 0xff000, 0x74, 0x74, 4, 0x1000)
    elf += struct.pack("<8I", 1, 0x1000, 0x100000, 0x100000, len(head), len(head), 5, 0x1000)
    with open(path(name), "wb") as f:
        f.write(elf.ljust(0x1000, b"\0") + head)
    return path(name)


def run(*args, want=0, timeout=60, cwd=None):
    p = subprocess.run([NOVT, *args, "--timeout", str(timeout)], stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout + 20, cwd=cwd)
    expect(p.returncode == want, f"{args}: {p.returncode} {p.stdout[-300:]} {p.stderr}")
    return p


# ---- what small systems rely on ----

def test_power_off_port():
    """OSDev's way to power off QEMU, after the BIOS; and without a power management chip it does nothing."""
    img = disk(say("hi\n") + POWER_OFF + out8(0xf4, 7) + HALT)
    p = run("-drive", f"format=raw,file={img}", "-serial", "stdio", "-device", "isa-debug-exit,iobase=0xf4,iosize=0x04")
    expect(p.stdout == b"hi\n", p.stdout)
    for off in (["-no-acpi"], ["-M", "pc,acpi=off"]):
        run(*off, "-drive", f"format=raw,file={img}", "-serial", "stdio", "-device", "isa-debug-exit,iobase=0xf4,iosize=0x04", want=15)


def test_serial_is_the_guests():
    """-serial stdio is what the guest writes to COM1; -nographic shows the firmware's screen there, too."""
    img = disk(say("one\r\n") + POWER_OFF + HALT)
    for line in (["-serial", "stdio"], ["-serial", "mon:stdio"], ["-vga", "std", "-serial", "stdio"], ["-serial", "stdio", "-display", "none"]):
        p = run(*line, "-drive", f"format=raw,file={img}")
        expect(p.stdout == b"one\r\n", (line, p.stdout))
    p = run("-nographic", "-drive", f"format=raw,file={img}")
    expect(b"SeaBIOS" in p.stdout and b"Booting from Hard Disk" in p.stdout, p.stdout)


def test_floppies_of_any_size():
    """What is longer than any floppy is one as far as it goes; what is shorter, too."""
    for size in (512, 5000, 4 << 20):
        img = disk(say("f") + POWER_OFF + HALT, "floppy.img", size)
        p = run("-drive", f"format=raw,file={img},if=floppy", "-serial", "stdio")
        expect(p.stdout == b"f", (size, p.stdout))


def test_kernel_with_headers_in_front():
    code = b"".join(b"\x66\xba\xf8\x03\xb0" + bytes([c]) + b"\xee" for c in b"hello") + b"\x66\xba\xf4\x00\xb0\x10\xee\xf4"
    p = run("-kernel", kernel(code), "-serial", "stdio", "-display", "none", "-device", "isa-debug-exit,iobase=0xf4,iosize=0x04", want=33)
    expect(p.stdout == b"hello", p.stdout)


def test_fpu_of_a_lazy_kernel():
    """fld1; fldpi; fcompp; out f4h, 10h without FNINIT: the firmware's state must be that after one."""
    code = b"\xd9\xe8\xd9\xeb\xde\xd9\x66\xba\xf4\x00\xb0\x10\xee\xf4"
    run("-kernel", kernel(code), "-display", "none", "-device", "isa-debug-exit,iobase=0xf4,iosize=0x04", want=33)


def test_options_in_json():
    img = disk(say("j") + POWER_OFF + HALT)
    p = run("-nodefaults", "-display", "none", "-serial", "stdio", "-device", '{"driver":"VGA","id":"v","bus":"pci.0","addr":"0x2"}',
            "-blockdev", json.dumps({"driver": "raw", "node-name": "d", "file": {"driver": "file", "filename": img}}),
            "-device", '{"bus":"ide.0","unit":1,"drive":"d","id":"ide0-0-1","bootindex":1,"driver":"ide-hd"}')
    expect(p.stdout == b"j", p.stdout)
    p = run("-device", '{"driver":"nvme"}', want=2)
    expect(b'"nvme"' in p.stderr, p.stderr)


# ---- monitor and state ----

class Monitor:
    def __init__(self, *args, cwd=None):
        self.sock = path("mon")
        if os.path.exists(self.sock):
            os.unlink(self.sock)
        self.p = subprocess.Popen([NOVT, *args, "-display", "none", "-nic", "none", "-monitor", f"unix:{self.sock},server,nowait", "--timeout", "100"],
                                  stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=cwd)
        self.s = socket.socket(socket.AF_UNIX)
        for _ in range(200):
            try:
                self.s.connect(self.sock)
                break
            except OSError:
                time.sleep(0.05)
        self.s.settimeout(60)
        self.read()

    def read(self):
        text = b""
        while not text.endswith(b"(qemu) "):
            more = self.s.recv(65536)
            if not more:
                break
            text += more
        return text.decode("latin-1")

    def do(self, line):
        self.s.sendall(line.encode() + b"\n")
        return "\n".join(self.read().replace("\r", "").split("\n")[1:-1])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.s.close()
        self.p.kill()
        self.p.communicate()


def test_qtree():
    img = disk(HALT)
    with Monitor("-S", "-drive", f"format=raw,file={img},if=none,id=d,serial=XYZ", "-device", "virtio-blk-pci,drive=d", "-device",
                 "ne2k_isa,mac=52:54:00:aa:bb:cc,irq=5", "-hda", disk(HALT, "hda.img"), "-serial", "null", "-parallel", "none", "-M", "hpet=on") as m:
        tree = m.do("info qtree").split("\n")
        at = {}
        for n, line in enumerate(tree):
            at.setdefault(line.strip(), (n, (len(line) - len(line.lstrip())) // 2))
        order = ["bus: main-system-bus", 'dev: i440FX-pcihost, id ""', "bus: pci.0", 'dev: virtio-blk-pci, id ""', 'serial = "XYZ"',
                 'dev: piix3-ide, id ""', "bus: ide.0", 'dev: ide-hd, id ""', 'dev: PIIX3, id ""', "bus: isa.0", 'mac = "52:54:00:aa:bb:cc"']
        for a, b in zip(order, order[1:]):
            expect(a in at and b in at and at[a][0] < at[b][0], (a, b, tree))
        depth = [at[x][1] for x in ("bus: main-system-bus", 'dev: i440FX-pcihost, id ""', "bus: pci.0", 'dev: PIIX3, id ""', "bus: isa.0", 'dev: ne2k_isa, id ""')]
        expect(depth == [0, 1, 2, 3, 4, 5], (depth, tree))
        expect("class IDE controller, addr 00:01.1, pci id 8086:7010 (sub 1af4:1100)" in at and 'dev: hpet, id ""' in at, tree)
        expect('dev: isa-parallel, id ""' not in at and 'dev: isa-serial, id ""' in at, tree)
        expect("VGA controller: PCI device 1234:1111" in m.do("info pci") and "\n" not in m.do("info nonsense"), m.do("info pci"))


def test_state_knows_its_disk():
    """A disk that was written after savevm is refused, however long its path and wherever novt stands; an untouched one is not."""
    deep = TMP
    while len(deep) < 320:
        deep = os.path.join(deep, "d" * 60)
    os.makedirs(deep, exist_ok=True)
    img = os.path.join(deep, "disk.img")
    shutil.copy(disk(HALT), img)
    state = path("state")
    for name, cwd in ((img, None), ("disk.img", deep)):
        args = ["-drive", f"format=raw,file={name}", "-serial", "null"]
        with Monitor(*args, cwd=cwd) as m:
            m.do("stop")
            expect(m.do(f"savevm {state}") == "", "savevm")
            expect(m.do(f"loadvm {state}") == "", "loadvm")
            os.utime(img, ns=(time.time_ns(), time.time_ns()))
            said = m.do(f"loadvm {state}")
            expect("was written since then" in said, (name, said))
    with Monitor("-drive", f"format=raw,file={img}", "-serial", "null") as m:
        m.do("stop")
        m.do(f"savevm {state}")
        os.rename(img, img + ".away")  # still the same file
        expect(m.do(f"loadvm {state}") == "", "renamed")


def test_state_comes_back_bit_for_bit():
    """What savevm writes of a machine that loadvm just took back is the same file, with every device there is and the speaker sounding."""
    # mov al, b6h; out 43h; mov al, 0; out 42h; mov al, 10h; out 42h; in al, 61h; or al, 3; out 61h; then read sectors and draw, for ever
    code = (b"\x31\xc0\x8e\xc0\x8e\xd8\xb0\xb6\xe6\x43\xb0\x00\xe6\x42\xb0\x10\xe6\x42\xe4\x61\x0c\x03\xe6\x61"
            b"\xb8\x01\x02\xbb\x00\x10\xb9\x01\x00\xba\x80\x00\xcd\x13\xb8\x41\x0e\xcd\x10\xeb\xed")
    wav = path("beep.wav")
    with Monitor("-drive", f"file={disk(code)},format=raw", "-drive", f"file={disk(HALT, 'v.img')},format=raw,if=virtio", "-drive",
                 f"file={disk(HALT, 'f.img')},format=raw,if=floppy", "-drive", f"file={disk(HALT, 'c.img')},format=raw,media=cdrom",
                 *sum((["-device", d] for d in ("e1000", "rtl8139", "ne2k_pci", "ne2k_isa", "virtio-net-pci")), []), "-audiodev",
                 f"wav,id=a,path={wav}", "-M", "pcspk-audiodev=a,hpet=on", "-serial", "null", "-serial", "null", "-parallel", f"file:{path('lpt')}") as m:
        time.sleep(1)
        for i in range(6):
            m.do("stop")
            expect(m.do(f"savevm {path('a')}") + m.do(f"loadvm {path('a')}") + m.do(f"savevm {path('b')}") == "", "savevm and loadvm")
            with open(path("a"), "rb") as a, open(path("b"), "rb") as b:
                expect(a.read() == b.read(), f"round {i}: another state came back")
            m.do("cont")
            time.sleep(0.07)


def test_formats_of_x():
    """x/FMT prints as QEMU does, and remembers what it was told."""
    img = disk(HALT)
    with Monitor("-S", "-drive", f"format=raw,file={img}", "-serial", "null") as m:
        expect(m.do("xp/4db 0xffff0") == "00000000000ffff0: 234  91 224   0", m.do("xp/4db 0xffff0"))
        expect(m.do("xp/2 0xffff0") == "00000000000ffff0: 234  91", m.do("xp/2 0xffff0"))
        expect(m.do("xp/1ow 0xffff0") == "00000000000ffff0:   070055752", m.do("xp/1ow 0xffff0"))
        expect(m.do("p 10").strip() == "012" and m.do("p/d 10") == "10" and m.do("p -1") == "-1", "p")
        expect(m.do("xp/2c 0xffff0").startswith("00000000000ffff0: '\\xea' '["), m.do("xp/2c 0xffff0"))


def main():
    cases = [(n[5:], f) for n, f in globals().items() if n.startswith("test_") and (len(sys.argv) < 3 or any(a in n for a in sys.argv[2:]))]
    try:
        return run_cases(cases)
    finally:
        shutil.rmtree(TMP, ignore_errors=True)


sys.exit(main())
