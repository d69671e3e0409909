#!/usr/bin/env python3
"""A Debian kernel goes through savevm and loadvm in the middle of its work.

    linux.py [--kernel 686|686-pae] [--engine auto|bt|direct]

A shell computes checksums of a file in memory, over and over; meanwhile the machine is saved, goes on for a while, is taken back by
loadvm, and the same state is loaded by a second NoVT (-loadvm). Every checksum must be right in all three lives; the clocks
go on from where they were; damaged, cut, foreign and missing files are refused with a message, by the monitor and the
command line (exit code 4 or 3), and the running machine does not notice. Disks at work are saved and go on with their images as they were. NOVT and NOVT_GUESTS as for boot.py.
Last line: N passed, N failed.
"""
import argparse
import os
import re
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../scripts"))
from vmcases import NOVT, PROMPT, Bad, expect, guest  # noqa: E402
from vmdrive import VM, Timeout  # noqa: E402

LIMIT_S = 120


class Monitor:
    def __init__(self, path):
        for _ in range(200):
            try:
                self.sock = socket.socket(socket.AF_UNIX)
                self.sock.connect(path)
                break
            except OSError:
                time.sleep(0.05)
        self.sock.settimeout(LIMIT_S)
        self.answer()

    def answer(self):
        text = b""
        while not text.endswith(b"(qemu) ") and not text.endswith(b"(novt) "):
            more = self.sock.recv(65536)
            if not more:
                break
            text += more
        return text.decode("latin-1")

    def do(self, line):
        self.sock.sendall(line.encode() + b"\n")
        return self.answer()


class Case:
    def __init__(self, args, directory):
        self.args, self.dir = args, directory
        self.state = os.path.join(directory, "state")
        self.image = ["-kernel", guest("vmlinuz-" + args.kernel), "-initrd", guest("initrd.gz"), "-append", "console=ttyS0"]
        self.n = 0

    def command(self, *more, m="64"):
        self.n += 1
        self.path = os.path.join(self.dir, f"monitor{self.n}")
        return [NOVT, "-m", m, *self.image, "-nographic", "-no-reboot", "-engine", self.args.engine,
                "-monitor", f"unix:{self.path},server=on,wait=off", *more]

    def refused(self, code, pattern, *more, m="64"):
        r = subprocess.run(self.command(*more, m=m), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT_S)
        expect(r.returncode == code and re.search(pattern, r.stderr), f"{more}: code {r.returncode}, {r.stderr!r}, wanted {pattern!r}")


WORK = ("i=0; while [ $i -lt 4000 ]; do i=$((i+1)); s=$(sha1sum /tmp/f | cut -c1-8); echo sum $i $s; done\n")


def sums(vm, first, count):
    """The numbered checksums that the guest prints next, from a line's beginning on."""
    got = {}
    while len(got) < count:
        vm.wait("sum ", LIMIT_S)
        text = vm.line(LIMIT_S)[1]
        m = re.fullmatch(r"(\d+) ([0-9a-f]{8})", text)
        expect(m, f"guest printed {text!r}")
        got[int(m[1])] = m[2]
    return got


def same(got, want):
    wrong = {n: s for n, s in got.items() if s != want}
    expect(not wrong, f"wrong checksums: {wrong}, wanted {want}")
    numbers = sorted(got)
    expect(numbers == list(range(numbers[0], numbers[0] + len(numbers))), f"sums missing in {numbers}")


def uptime(vm):
    vm.send("cut -d' ' -f1 /proc/uptime\n")
    vm.wait("\n", LIMIT_S)
    t = float(vm.line(LIMIT_S)[1])
    vm.wait(PROMPT, LIMIT_S)
    return t


def lives(c, vm):
    """Save in the middle, go on, load, go on; then another process."""
    mon = Monitor(c.path)
    vm.wait(PROMPT, LIMIT_S)
    vm.send("dmesg -c >/dev/null; dd if=/dev/urandom of=/tmp/f bs=4096 count=40 2>/dev/null; sha1sum /tmp/f\n")
    vm.wait("sha1sum", LIMIT_S)
    vm.wait("\n", LIMIT_S)
    want = vm.line(LIMIT_S)[1][:8]
    vm.wait(PROMPT, LIMIT_S)
    vm.send(WORK)
    vm.wait("done\n", LIMIT_S)
    same(sums(vm, 1, 5), want)
    answer = mon.do("savevm " + c.state)
    expect(answer.count("\n") <= 1, answer)
    saved = sums(vm, 0, 30)
    same(saved, want)
    # Back: what was on its way, then the numbers right behind the save again.
    answer = mon.do("loadvm " + c.state)
    expect(answer.count("\n") <= 1, answer)
    last, n = max(saved), 0
    while n <= last and n < 4000:
        (n, got), = sums(vm, 0, 1).items()
        expect(got == want, f"sum {n} is {got}, not {want}")
        if n < last:
            break
        last = n
    expect(n <= max(saved), f"saved at {min(saved)}, after loadvm it went on with {n}")
    same(sums(vm, 0, 60), want)
    return want, mon


def exact(c, vm, mon, want):
    """What is saved, loaded and saved again is the same to the last bit; in another process too."""
    a, b, d = (os.path.join(c.dir, n) for n in ("exact-a", "exact-b", "exact-d"))
    for command in ("stop", "savevm " + a, "loadvm " + a, "savevm " + b, "cont"):
        answer = mon.do(command)
        expect(answer.count("\n") <= 1, answer)
    with VM(c.command("-loadvm", a, "-S")) as other:
        answer = Monitor(c.path).do("savevm " + d)
        expect(answer.count("\n") <= 1, answer)
        other.proc.kill()
    with open(a, "rb") as fa, open(b, "rb") as fb, open(d, "rb") as fd:
        first = fa.read()
        expect(first == fb.read(), "saved again it is another state")
        expect(first == fd.read(), "loaded by another process it is another state")
    same(sums(vm, 0, 3), want)


def refusals(c, vm, mon, want):
    with open(c.state, "rb") as f:
        whole = f.read()

    def put(name, data):
        path = os.path.join(c.dir, name)
        with open(path, "wb") as f:
            f.write(data)
        return path

    for name, data, pattern in (("empty", b"", "not a state"), ("foreign", b"QFI\xfb" * 100, "not a state"),
                                ("cut", whole[:len(whole) // 2], "cut short|damaged"), ("short", whole[:-1], "cut short|damaged"),
                                ("bit", whole[:1000] + bytes([whole[1000] ^ 16]) + whole[1001:], "damaged|state"),
                                ("end", whole[:-2] + bytes([whole[-2] ^ 1]) + whole[-1:], "damaged"),
                                ("new", whole[:16] + b"\x02\0\0\0" + whole[20:], "version"), ("more", whole + b"x", "damaged")):
        path = put(name, data)
        answer = mon.do("loadvm " + path)
        expect(re.search("Error: .*(" + pattern + ")", answer), f"loadvm {name}: {answer!r}")
        if name in ("cut", "new"):
            c.refused(4, pattern, "-loadvm", path)
    expect("Error" in mon.do("loadvm " + os.path.join(c.dir, "none")), "a missing file")
    expect("Error" in mon.do("loadvm /dev/zero"), "a device")
    expect("Error" in mon.do("savevm /proc/none"), "a place that cannot be written")
    c.refused(3, "cannot read", "-loadvm", os.path.join(c.dir, "none"))
    c.refused(4, "RAM.*\n.*-m", "-loadvm", c.state, m="128")
    c.refused(4, "CPU.*\n.*-cpu", "-loadvm", c.state, "-cpu", "pentium3")
    c.refused(4, "not in this machine", "-loadvm", c.state, "-nic", "none")
    same(sums(vm, 0, 3), want)


def second_life(c, want):
    with VM(c.command("-loadvm", c.state)) as vm:
        got = sums(vm, 0, 20)
        expect(all(s == want for s in got.values()), f"wrong checksums after -loadvm: {got}")
        vm.proc.stdin.write(b"\x03")
        vm.proc.stdin.flush()
        vm.wait(PROMPT, LIMIT_S)
        a, t0 = uptime(vm), time.monotonic()
        time.sleep(1.0)
        b, t1 = uptime(vm), time.monotonic()
        expect(0.5 < b - a < t1 - t0 + 5, f"uptime {a} to {b} in {t1 - t0:.2f} s")
        vm.send("dmesg|grep -iE 'unstable|lockup|stall'|head -1;echo no''more\n")
        vm.wait("\n", LIMIT_S)
        line = vm.line(LIMIT_S)[1]
        expect(line == "nomore", "the kernel complains: " + line)
        vm.send("poweroff -f\n")
        expect(vm.finish(LIMIT_S) == 0, "poweroff")


DISK_WORK = ("for m in ata_piix sd_mod virtio_pci virtio_blk; do modprobe $m; done; sleep 1; i=0; while [ $i -lt 3000 ]; do i=$((i+1)); "
             "for d in sda vda; do yes $i$d | head -c 65536 > /tmp/b; dd if=/tmp/b of=/dev/$d bs=64k seek=$((i%100)) conv=fsync 2>/dev/null; "
             "echo 1 > /proc/sys/vm/drop_caches; dd if=/dev/$d bs=64k skip=$((i%100)) count=1 2>/dev/null | cmp - /tmp/b || echo BAD; done; "
             "echo blk $i ok; done\n")


def blocks(vm, count):
    got = []
    while len(got) < count:
        vm.wait("blk ", LIMIT_S)
        text = vm.line(LIMIT_S)[1]
        expect(re.fullmatch(r"\d+ ok", text) and vm.text.count("BAD") <= 1, f"guest printed {text!r}: {vm.text[-300:]}")
        got.append(int(text.split()[0]))
    return got


def disks(c):
    """IDE and virtio disks at work: stopped, saved, gone on; back with the images as they were, and refused with others."""
    images = [os.path.join(c.dir, n) for n in ("ide.raw", "virtio.raw")]
    for path in images:
        with open(path, "wb") as f:
            f.truncate(16 << 20)
    drives = ["-drive", f"file={images[0]},format=raw,if=ide", "-drive", f"file={images[1]},format=raw,if=virtio"]
    kernel = c.image
    c.image = [x.replace("initrd.gz", "initrd-modules.gz") for x in kernel]
    with VM(c.command(*drives)) as vm:
        mon = Monitor(c.path)
        vm.wait(PROMPT, LIMIT_S)
        vm.send(DISK_WORK)
        vm.wait("blk 1 ok", LIMIT_S)
        blocks(vm, 5)
        for command in ("stop", "savevm " + c.state):
            answer = mon.do(command)
            expect(answer.count("\n") <= 1, answer)
        for path in images:
            subprocess.run(["cp", "-p", path, path + ".then"], check=True)
        mon.do("cont")
        last = blocks(vm, 20)[-1]
        answer = mon.do("loadvm " + c.state)
        expect("was written since" in answer, answer)
        blocks(vm, 3)
    for path in images:
        os.rename(path + ".then", path)
    with VM(c.command(*drives, "-loadvm", c.state)) as vm:
        first = blocks(vm, 1)[0]
        expect(first < last, f"saved before {last}, went on with {first}")
        expect(blocks(vm, 20) == list(range(first + 1, first + 21)), "blocks are missing")
    c.image = kernel


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--kernel", default="686-pae")
    ap.add_argument("--engine", default="auto")
    args = ap.parse_args()
    good = 0
    with tempfile.TemporaryDirectory() as directory:
        c = Case(args, directory)
        try:
            with VM(c.command()) as vm:
                want, mon = lives(c, vm)
                good += 1
                print("ok save and load", flush=True)
                exact(c, vm, mon, want)
                good += 1
                print("ok exact", flush=True)
                refusals(c, vm, mon, want)
                good += 1
                print("ok refusals", flush=True)
            second_life(c, want)
            good += 1
            print("ok -loadvm", flush=True)
            disks(c)
            good += 1
            print("ok disks", flush=True)
        except (Bad, Timeout, OSError, subprocess.TimeoutExpired) as e:
            print(f"not ok: {str(e)[-1000:]}\n{good} passed, 1 failed")
            return 1
    print(f"{good} passed, 0 failed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
