#!/usr/bin/env python3
"""What a Linux guest trims goes back to the host: ext4 mounted with discard, on an IDE disk (TRIM), a virtio disk and a qcow2 image.

    trim.py NOVT

A file of 16 MiB is written and removed; with discard=unmap the image holds less of the host's disk than before, without it no less, and
the file system is whole. NOVT_GUESTS names the guests (scripts/guest --tests). Last line: N passed, N failed.
"""
import os
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "scripts"))
from vmdrive import VM  # noqa: E402

os.environ["PATH"] += ":/usr/sbin:/sbin"
DEVICE = {"ide": "sda", "virtio": "vda"}
MODULES = {"ide": "ata_piix sd_mod", "virtio": "virtio_pci virtio_blk"}


def held(path):
    return os.stat(path).st_blocks * 512 >> 20


def run(novt, tmp, bus, form, discard):
    path = os.path.join(tmp, f"{bus}-{form}-{discard}")
    raw = path if form == "raw" else path + ".raw"
    with open(raw, "wb") as f:
        f.truncate(64 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", raw], check=True)
    if form != "raw":
        subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", form, raw, path], check=True)
    guests = os.environ.get("NOVT_GUESTS", os.path.join(ROOT, "build/guests"))
    dev = DEVICE[bus]
    script = (f"for m in {MODULES[bus]} crc32c_generic ext4; do modprobe $m; done; sleep 0.1; mkdir /tmp/d; mount -t ext4 -o discard /dev/{dev} /tmp/d; "
              f"echo MAX $(cat /sys/block/{dev}/queue/discard_max_bytes); dd if=/dev/urandom of=/tmp/d/f bs=1M count=16 conv=fsync; "
              "echo WRITTEN; read x; rm /tmp/d/f; sync; sleep 1; sync; umount /tmp/d; echo TRIMMED; poweroff -f")
    before = 0
    with VM([novt, "-m", "128", "-kernel", os.path.join(guests, "vmlinuz-686-pae"), "-initrd", os.path.join(guests, "initrd-modules.gz"),
             "-append", f'console=ttyS0 quiet run="{script}"', "-nographic", "-no-reboot",
             "-drive", f"file={path},if={bus},format={form},discard={discard}"]) as vm:
        vm.wait("WRITTEN", 150)
        before = held(path)
        vm.send("\n")
        vm.wait("TRIMMED", 60)
        text = vm.text
        vm.proc.wait(30)
    after = held(path)
    if form != "raw":
        subprocess.run(["qemu-img", "convert", "-f", form, "-O", "raw", path, raw], check=True)
    fsck = subprocess.run(["e2fsck", "-fn", raw], capture_output=True, text=True)
    good = fsck.returncode == 0 and "MAX 0" not in text and (after <= before - 12 if discard == "unmap" else after >= before)
    print(f"{'ok  ' if good else 'FAIL'} {bus} {form} discard={discard}: {before} MiB, then {after} MiB" +
          ("" if good else f"\n{text[-600:]}\n{fsck.stdout}"), flush=True)
    return good


def main():
    with tempfile.TemporaryDirectory(prefix="novt-trim-", dir="/var/tmp") as tmp:
        results = [run(sys.argv[1], tmp, *case) for case in (("ide", "raw", "unmap"), ("virtio", "qcow2", "unmap"),
                                                            ("virtio", "raw", "ignore"))]
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    sys.exit(0 if all(results) else 1)


main()
