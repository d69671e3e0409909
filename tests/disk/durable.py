#!/usr/bin/env python3
"""Kills NoVT (kill -9) while a Linux guest writes files and flushes them, again and again on the same images: what the guest knew to be
flushed must be there, and no image may be damaged.

    durable.py [--rounds N] [--only NAME]... [--seed N]

Four images take turns: ide-raw, virtio-raw, ide-qcow2, virtio-qcow2, each with an ext4 file system. The guest writes a file, calls fsync
and says its checksum on the serial line. After the kill e2fsck replays the journal and must then find nothing, qemu-img check must find
no error, and every file that was announced must have its checksum. Every second kill takes qemu-nbd with it.
NOVT names another program, NOVT_GUESTS the guests (scripts/guest --tests). Last line: N passed, N failed.
"""
import argparse
import hashlib
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "scripts"))
from vmdrive import VM, Timeout  # noqa: E402

NAMES = 200      # files, overwritten in turn
IN_FLIGHT = 20   # behind the last announced one: may be new, old or half
IMAGES = {"ide-raw": ("ide", "raw"), "virtio-raw": ("virtio", "raw"), "ide-qcow2": ("ide", "qcow2"), "virtio-qcow2": ("virtio", "qcow2")}
MODULES = {"ide": "ata_piix sd_mod", "virtio": "virtio_pci virtio_blk"}
DEVICE = {"ide": "sda", "virtio": "vda"}
os.environ["PATH"] += ":/usr/sbin:/sbin"  # mkfs.ext4, e2fsck, debugfs


class Bad(Exception):
    pass


def run(*args, ok=(0,)):
    p = subprocess.run(args, capture_output=True, text=True)
    if p.returncode not in ok:
        raise Bad(f"{' '.join(args)}: code {p.returncode}\n{p.stdout}{p.stderr}")
    return p.stdout


class Image:
    def __init__(self, name, tmp):
        self.name = name
        self.bus, self.format = IMAGES[name]
        self.path = os.path.join(tmp, name)
        self.raw = self.path if self.format == "raw" else self.path + ".raw"
        self.next = 0
        self.sums = {}  # number -> checksum of what was flushed
        with open(self.raw, "wb") as f:
            f.truncate(48 << 20)
        run("mkfs.ext4", "-q", "-F", self.raw)
        if self.format == "qcow2":
            run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", self.raw, self.path)

    def command(self):
        guests = os.environ.get("NOVT_GUESTS", os.path.join(ROOT, "build/guests"))
        program = os.environ.get("NOVT", os.path.join(ROOT, "build/release/novt"))
        legacy = "modprobe virtio_pci force_legacy=1; " if self.name == "virtio-qcow2" else ""  # both register layouts get their turn
        script = (f"{legacy}for m in {MODULES[self.bus]} crc32c_generic ext4; do modprobe $m; done; sleep 0.1; mkdir /tmp/d; mount -t ext4 /dev/{DEVICE[self.bus]} /tmp/d && "
                  f"i={self.next}; echo READY; while true; do f=/tmp/d/f$((i % {NAMES})); "
                  "dd if=/dev/urandom of=$f bs=1k count=$((i * 7 % 61 + 1)) conv=fsync 2>/tmp/e || echo WRITE FAILED; "
                  "echo FLUSHED $i $(md5sum <$f); i=$((i + 1)); done")
        return [program, "-m", "128", "-kernel", os.path.join(guests, "vmlinuz-686-pae"), "-initrd",
                os.path.join(guests, "initrd-modules.gz"), "-append", f'console=ttyS0 quiet run="{script}"', "-nographic", "-no-reboot",
                "-drive", f"file={self.path},if={self.bus},format={self.format}"]

    def write_and_kill(self, seconds, server_too):
        with VM(self.command()) as vm:
            vm.wait("READY", 120)
            end = time.monotonic() + seconds
            while time.monotonic() < end or "FLUSHED" not in vm.text:
                try:
                    vm.wait("\n", max(0.01, end - time.monotonic()) if "FLUSHED" in vm.text else 60)
                except Timeout:
                    break
            children = open(f"/proc/{vm.proc.pid}/task/{vm.proc.pid}/children").read().split() if server_too else []
            servers = [int(c) for c in children if "qemu-nbd" in open(f"/proc/{c}/comm").read()]
            os.kill(vm.proc.pid, signal.SIGKILL)
            for server in servers:
                os.kill(server, signal.SIGKILL)
            while vm._read(time.monotonic() + 10):  # what was already in the pipe counts
                pass
            text = vm.text
        if "WRITE FAILED" in text:
            raise Bad("the guest could not write:\n" + text[-500:])
        last = self.next - 1
        for m in re.finditer(r"FLUSHED (\d+) ([0-9a-f]{32})", text):
            last = int(m[1])
            self.sums[last % NAMES] = m[2]
        if last < self.next:
            raise Bad("nothing was flushed:\n" + text[-500:])
        for n in range(last + 1, last + 1 + IN_FLIGHT):
            self.sums.pop(n % NAMES, None)
        written, self.next = last - self.next + 1, last + 1
        return written

    def check(self):
        if self.format == "qcow2":
            for _ in range(100):  # a server that was not killed is still closing the image
                p = subprocess.run(["qemu-img", "check", "-q", self.path], capture_output=True, text=True)
                if "lock" not in p.stderr:
                    break
                time.sleep(0.1)
            if p.returncode not in (0, 3):  # 3: clusters that nobody uses, which only cost space
                raise Bad(f"qemu-img check: code {p.returncode}\n{p.stdout}{p.stderr}")
            run("qemu-img", "convert", "-O", "raw", self.path, self.raw)
        run("e2fsck", "-p", self.raw, ok=(0, 1))
        run("e2fsck", "-f", "-n", self.raw)
        with tempfile.TemporaryDirectory() as out:
            run("debugfs", "-R", f"rdump / {out}", self.raw)
            for n, want in sorted(self.sums.items()):
                path = os.path.join(out, f"f{n}")
                if not os.path.exists(path):
                    raise Bad(f"file f{n} was flushed and is gone")
                with open(path, "rb") as f:
                    if hashlib.md5(f.read()).hexdigest() != want:
                        raise Bad(f"file f{n} was flushed and has other bytes")
        return len(self.sums)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--rounds", type=int, default=4)
    ap.add_argument("--only", action="append", choices=sorted(IMAGES))
    ap.add_argument("--seed", type=int, default=1)
    args = ap.parse_args()
    rnd = random.Random(args.seed)
    passed = failed = 0
    with tempfile.TemporaryDirectory(dir="/var/tmp") as tmp:
        images = [Image(name, tmp) for name in args.only or IMAGES]
        for i in range(args.rounds):
            image = images[i % len(images)]
            seconds, server_too = rnd.uniform(0.2, 3), (i // len(images) + i % len(images)) % 2 == 1
            try:
                written = image.write_and_kill(seconds, server_too)
                checked = image.check()
                print(f"ok   {i} {image.name}: {written} files flushed, killed after {seconds:.2f} s, {checked} checked", flush=True)
                passed += 1
            except (Bad, Timeout) as e:
                print(f"FAIL {i} {image.name}: {e}", flush=True)
                failed += 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
