#!/usr/bin/env python3
"""What the firmware boots from, for every way of saying so, and what drives' images go through.

Usage: order.py NOVT [NAME...]     runs all tests, or those whose name contains a NAME
Each disk's first sector says on the serial line which one it is and ends the machine; some reset it first, or read and write by the BIOS.
Last line: N passed, N failed.
"""
import os
import resource
import struct
import subprocess
import sys
import tempfile

NOVT = os.path.abspath(sys.argv[1])


class Fail(Exception):
    pass


def check(cond, what):
    if not cond:
        raise Fail(what)


# ---- boot sectors, in 16-bit code assembled by hand ----

def out8(port, val):
    return b"\xba" + struct.pack("<H", port) + b"\xb0" + bytes([val]) + b"\xee"  # mov dx, port; mov al, val; out dx, al


def say(text):
    return b"".join(out8(0x3f8, c) for c in text.encode())


END = out8(0x501, 0x10) + b"\xfa\xf4"
RESET = out8(0xcf9, 2) + out8(0xcf9, 6) + b"\xeb\xfe"
# Once a mark is in CMOS memory (byte 7Fh), go on; else set it and reset: mov al, 7fh; out 70h, al; in al, 71h; cmp al, 5ah; je
FIRST_TIME = b"\xb0\x7f\xe6\x70\xe4\x71\x3c\x5a\x74"


def reset_once():
    body = b"\xb0\x7f\xe6\x70\xb0\x5a\xe6\x71" + RESET
    return FIRST_TIME + bytes([len(body)]) + body


def int13(function, sector, drive=0x80):
    """One sector from or to 0:8000h; the carry flag becomes 'Y' (it worked) or 'N' on the serial line."""
    return (b"\x31\xc0\x8e\xc0\xbb\x00\x80\xb8\x01" + bytes([function]) + b"\xb9" + bytes([sector, 0]) + b"\xba" + bytes([drive, 0]) +
            b"\xcd\x13\xb0Y\x73\x02\xb0N\xba\xf8\x03\xee")


FAR_PACKET = 0x180


def int13_far(function):
    """Extended read (42h) or write (43h) as the packet at FAR_PACKET says; answers as int13()."""
    return (b"\x31\xc0\x8e\xd8\xbe" + struct.pack("<H", 0x7c00 + FAR_PACKET) + b"\xb4" + bytes([function]) + b"\xb2\x80\xcd\x13" +
            b"\xb0Y\x73\x02\xb0N\xba\xf8\x03\xee")


def sector(code):
    check(len(code) <= 446, "code too long")
    return code.ljust(510, b"\0") + b"\x55\xaa"


class Dir:
    def __init__(self):
        self.tmp = tempfile.TemporaryDirectory(prefix="novt-order-", dir="/var/tmp")

    def file(self, name, code, size=1 << 20):
        path = os.path.join(self.tmp.name, name)
        with open(path, "wb") as f:
            f.write(sector(code))
            f.truncate(size)
        return path


def run(*args, code=33, preexec=None, words=""):
    p = subprocess.run([NOVT, *args, "-device", "isa-debug-exit", "-display", "none", "-serial", "stdio", "--timeout", "20"],
                       stdin=subprocess.DEVNULL, capture_output=True, timeout=60, preexec_fn=preexec)
    check(p.returncode == code, f"{args}: exit code {p.returncode}, not {code}: {p.stderr.decode()}")
    check(words in p.stderr.decode(), f"{args}: {words!r} is not in {p.stderr.decode()!r}")
    return p.stdout.decode(errors="replace")


# ---- tests ----

def test_order(d):
    a, b, f = d.file("a", say("A") + END), d.file("b", say("B") + END), d.file("f", say("F") + END, 1440 << 10)
    none = ["-drive", f"if=none,id=x,format=raw,file={a}", "-drive", f"if=none,id=y,format=raw,file={b}"]
    for want, args in (
            ("A", [a]),
            ("A", ["-hda", a, "-hdb", b]),
            ("F", ["-fda", f]),
            ("A", ["-fda", f, "-hda", a]),
            ("F", ["-fda", f, "-hda", a, "-boot", "a"]),
            ("A", ["-fda", f, "-hda", a, "-boot", "order=ca"]),
            ("A", ["-drive", f"file={a},index=2,format=raw"]),
            ("A", ["-drive", f"file={a},if=virtio,format=raw"]),
            ("B", [*none, "-device", "ide-hd,drive=x,bootindex=2", "-device", "ide-hd,drive=y,bootindex=1"]),
            ("B", [*none, "-device", "ide-hd,drive=x", "-device", "virtio-blk-pci,drive=y,bootindex=0"]),
            ("A", [*none, "-device", "ide-hd,drive=x,bus=ide.1,unit=1,bootindex=0", "-device", "virtio-blk-pci,drive=y,addr=9"]),
            ("B", [*none, "-device", "virtio-blk-pci,drive=x,bootindex=4", "-device", "virtio-blk-pci,drive=y,bootindex=3,addr=1f"]),
            ("F", ["-hda", a, "-drive", f"if=none,id=f,format=raw,file={f}", "-device", "floppy,drive=f,bootindex=1"]),
            ("A", [*none, "-device", "ide-hd,drive=x,bootindex=1", "-boot", "strict=on,menu=on,splash-time=1"])):
        got = run(*args)
        check(got.endswith(want), f"{args}: booted {got[-20:]!r}, not {want}")


def test_nothing(d):
    run(code=5)
    run("-boot", "strict=on", "-hda", d.file("a", say("A") + END), code=5)


def test_once(d):
    """-boot once=: the other order after a reset."""
    a, f = d.file("a", say("A") + END), d.file("f", say("F") + reset_once() + say("again") + END, 1440 << 10)
    got = run("-fda", f, "-hda", a, "-boot", "once=a,order=c")
    check(got.endswith("FA"), got)
    got = run("-fda", f, "-hda", a, "-boot", "order=a")
    check(got.endswith("FFagain"), got)


def test_snapshot(d):
    """Writes with -snapshot are there until the end, and not afterwards."""
    write = b"\xbf\x00\x80\xb9\x00\x01\xb8\x34\x12\x31\xd2\x8e\xc2\xf3\xab" + int13(3, 2)  # 256 words of 1234h at 0:8000h
    again = b"\xbf\x00\x80\x30\xc0\xb9\x00\x02\xf3\xaa" + int13(2, 2) + b"\xa0\x00\x80\xba\xf8\x03\xee"  # zero, read, first byte
    for bus in ("ide", "virtio"):
        path = d.file("s" + bus, write + again + END)
        before = open(path, "rb").read()
        got = run("-drive", f"file={path},format=raw,if={bus}", "-snapshot")
        check(got.endswith("YY4"), f"{bus}: {got!r}")
        check(open(path, "rb").read() == before, f"{bus}: the image was written")
        got = run("-drive", f"file={path},format=raw,if={bus}")
        check(got.endswith("YY4") and open(path, "rb").read()[512:1024] == b"\x34\x12" * 256, f"{bus}: {got!r}, or the image was not written")


def test_full_disk(d):
    """The host's disk is full (a limit on file sizes, above the guest's RAM, which is a file too): the guest sees a write error and goes
    on; old data stays."""
    limit = 48 << 20
    for bus in ("ide", "virtio"):
        code = (int13_far(0x42) + int13_far(0x43) + int13_far(0x42) + END).ljust(FAR_PACKET, b"\0")
        path = d.file("full" + bus, code + struct.pack("<BBHIQ", 16, 0, 1, 0x8000, limit // 512), 80 << 20)
        got = run("-drive", f"file={path},format=raw,if={bus}", "-m", "16", words="No space left",
                  preexec=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
        check(got.endswith("YNY"), f"{bus}: {got!r}")


def main():
    wanted = sys.argv[2:]
    passed = failed = 0
    for name, fn in sorted(globals().items()):
        if not name.startswith("test_") or (wanted and not any(w in name for w in wanted)):
            continue
        try:
            fn(Dir())
            print(f"ok   {name}")
            passed += 1
        except (Fail, subprocess.TimeoutExpired) as e:
            print(f"FAIL {name}: {e}")
            failed += 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
