#!/usr/bin/env python3
"""Disks, CD-ROMs and floppies under firmware, boot loaders and Linux.

    drives.py [--case NAME]... [--patience N] [-- NOVT OPTIONS...]

Cases: bios (a boot sector of ours reads and writes floppies of all formats, disks and a CD that plays a floppy through the BIOS);
syslinux-floppy, grub-disk, isolinux-cd, grub-cd (the loader's menu runs out and memtest86+ starts from that medium);
linux-dma, linux-pio (Debian's kernel with two disks, a CD-ROM and a floppy reads, writes, and leaves clean file systems).
Without --case all of them. NOVT names another program, NOVT_GUESTS the guests; needs nasm and what images.py needs. Last line: N passed,
N failed.
"""
import argparse
import functools
import hashlib
import os
import subprocess
import sys
import tempfile

import images

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../scripts"))
from vmcases import GUESTS, NOVT, ROOT, PatientVM, expect, run_cases  # noqa: E402

BIOS_OK = 0x10 << 1 | 1
# Sectors, and what the BIOS cannot know of the medium in such a drive: sectors a track, cylinders, heads.
FLOPPIES = {2880: (0, 1, 1), 5760: (0, 1, 1), 2400: (0, 1, 1), 1440: (9, 80, 2), 720: (9, 40, 2), 640: (8, 40, 2)}
MODULES = "ata_piix sd_mod sr_mod crc32c_generic ext4 isofs floppy"


def drive(path, kind, index=None, extra=""):
    media = {"ide": "if=ide,media=disk", "cd": "if=ide,media=cdrom", "floppy": "if=floppy"}[kind]
    return ["-drive", f"file={path},format=raw,{media}" + ("" if index is None else f",index={index}") + extra]


# ---- BIOS ----

def bios_run(args, what, *options):
    out = subprocess.run([NOVT, "-m", "16", "-display", "none", "-serial", "null", "-device", "isa-debug-exit,iobase=0x501,iosize=2",
                          "--timeout", str(20 * args.patience), *options, *args.options], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    expect(out.returncode == BIOS_OK, f"{what}: exit code {out.returncode}, so step {out.returncode >> 1}; {out.stderr[-300:]}")


def last_written(path, sectors):
    """The boot sector complements the number in the last sector it writes; sectors written so."""
    with open(path, "rb") as f:
        data = f.read()
    numbers = [data[n * 512] | data[n * 512 + 1] << 8 for n in range(1, sectors)]
    return [n for n, got in enumerate(numbers, 1) if got == (~n & 0xffff)]


def case_bios(args, tmp):
    boot = os.path.join(tmp, "boot.bin")
    subprocess.run(["nasm", "-f", "bin", "-o", boot, os.path.join(os.path.dirname(os.path.abspath(__file__)), "bootsec.asm")], check=True)
    with open(boot, "rb") as f:
        code = f.read()
    img = os.path.join(tmp, "img")
    for sectors, geometry in FLOPPIES.items():
        images.marked(img, sectors, code, geometry=geometry)
        bios_run(args, f"floppy of {sectors} sectors", *drive(img, "floppy"))
        expect(last_written(img, sectors) == [sectors - 1], f"floppy of {sectors} sectors: written {last_written(img, sectors)[:5]}")
    images.marked(img, 2880, code, True)
    bios_run(args, "read-only floppy", *drive(img, "floppy", extra=",readonly=on"))
    cd = os.path.join(tmp, "cd.iso")
    os.mkdir(os.path.join(tmp, "tree"))
    os.rename(img, os.path.join(tmp, "tree", "floppy.img"))
    images.cd(cd, os.path.join(tmp, "tree"), "-b", "floppy.img", "-c", "boot.cat")
    bios_run(args, "CD with a floppy image", *drive(cd, "cd", 2))
    for sectors, index in ((20 * 16 * 63, 0), (65 * 16 * 63, 3)):
        images.marked(img, sectors, code)
        bios_run(args, f"disk of {sectors} sectors at {index}", *drive(img, "ide", index))
        expect(len(last_written(img, sectors)) == 1, f"disk of {sectors} sectors: written {last_written(img, sectors)[:5]}")
    return f"{len(FLOPPIES) + 4} media"


# ---- boot loaders ----

def memtest(args, tmp, kind, words, options):
    img = os.path.join(tmp, "boot.img")
    images.KINDS[kind](img, os.path.join(GUESTS, "memtest86+ia32.bin"))
    with PatientVM([NOVT, "-m", "32", "-display", "none", "-serial", "stdio", *options(img), *args.options]) as vm:
        for text in words:
            vm.wait(text, 30)
        vm.wait("Memtest86+ v6", 60)
        vm.wait("[Address test, walking ones", 30)
        vm.proc.terminate()
        expect(vm.finish(30) == 143, "no clean end")
    return "started memtest86+"


def case_syslinux_floppy(args, tmp):
    return memtest(args, tmp, "syslinux-floppy", ("SYSLINUX", "boot:", "Loading mt86p"), lambda img: drive(img, "floppy"))


def case_grub_disk(args, tmp):
    return memtest(args, tmp, "grub-disk", ("GNU GRUB", "*memory test"), lambda img: drive(img, "ide"))


def case_isolinux_cd(args, tmp):
    return memtest(args, tmp, "isolinux-cd", ("ISOLINUX", "boot:", "Loading mt86p"), lambda img: drive(img, "cd", 2))


def case_grub_cd(args, tmp):
    return memtest(args, tmp, "grub-cd", ("GNU GRUB", "*memory test"), lambda img: drive(img, "cd", 2))


# ---- Linux ----

def digest(path):
    with open(path, "rb") as f:
        return hashlib.sha1(f.read()).hexdigest()


def numbers(path, count):
    """Does path begin with what `seq count` prints?"""
    want = b"".join(b"%d\n" % n for n in range(1, count + 1))
    with open(path, "rb") as f:
        return f.read(len(want)) == want


SCRIPT = """
for m in %(modules)s; do modprobe $m; done
sleep 1
A=/dev/sda B=/dev/sdb # the kernel probes them at the same time
[ $(cat /sys/block/sda/size) != 40000 ] || A=/dev/sdb B=/dev/sda
echo RESULT sizes $(cat /sys/block/${A#/dev/}/size /sys/block/${B#/dev/}/size)
for d in $B /dev/sr0 /dev/fd0; do echo RESULT ${d%%[a-z0-9]} $(sha1sum < $d); done
mount -t ext4 $A /tmp && seq %(count)d > /tmp/a && cp /tmp/a /tmp/b && sync && umount /tmp
echo 3 > /proc/sys/vm/drop_caches
mount -t ext4 $A /tmp && cmp /tmp/a /tmp/b && echo RESULT copy $(wc -l < /tmp/b)
umount /tmp
seq %(count)d > $B
seq 50000 > /dev/fd0
mount -t iso9660 /dev/sr0 /tmp && echo RESULT file $(sha1sum < /tmp/file)
umount /tmp
dmesg | grep -iE 'ata[0-9.]+: .*(error|failed|exception|timeout|reset)|I/O error|fd0.*error|floppy error' | sed 's/^/RESULT complaint /'
"""


def linux(args, tmp, append, count):
    hda, hdb, cd, fd, tree, initrd = (os.path.join(tmp, n) for n in ("hda", "hdb", "cd", "fd", "tree", "initrd.gz"))
    images.empty(hda, 48 << 20)
    images.run("mkfs.ext4", "-q", "-F", hda)
    images.marked(hdb, 40000)
    images.marked(fd, 2880)
    os.mkdir(tree)
    images.marked(os.path.join(tree, "file"), 9000)
    images.cd(cd, tree)
    images.run(os.path.join(ROOT, "scripts/mkinitrd"), initrd, "--base", os.path.join(GUESTS, "initrd-modules.gz"),
               "text:script=" + SCRIPT % {"modules": MODULES, "count": count})
    want = {"sizes": f"{48 << 11} 40000", "copy": str(count), "file": digest(os.path.join(tree, "file"))}
    want.update({name: digest(path) for name, path in (("/dev/sd", hdb), ("/dev/sr", cd), ("/dev/fd", fd))})
    out = subprocess.run([NOVT, "-m", "256", "-kernel", os.path.join(GUESTS, "vmlinuz-686-pae"), "-initrd", initrd, "-append",
                          "console=ttyS0 quiet " + append, "-nographic", "-no-reboot", *drive(hda, "ide", 0), *drive(hdb, "ide", 1),
                          *drive(cd, "cd", 2), *drive(fd, "floppy"), "--timeout", str(150 * args.patience), *args.options],
                         stdin=subprocess.DEVNULL, capture_output=True, text=True)
    lines = (line.partition(" ")[2].partition(" ") for line in out.stdout.replace("\r", "").split("\n") if line.startswith("RESULT "))
    got = {name: text.removesuffix(" -") for name, _, text in lines}
    expect(out.returncode == 0, f"exit code {out.returncode}; {out.stdout[-1500:]}{out.stderr[-500:]}")
    expect(got == want, f"got {got}, not {want}; {out.stdout[-1500:]}")
    expect(numbers(hdb, count), "hdb does not hold what the guest wrote")
    expect(numbers(fd, 50000), "the floppy does not hold what the guest wrote")
    images.run("e2fsck", "-fn", hda)
    return f"{count} lines on each disk"


def case_linux_dma(args, tmp):
    return linux(args, tmp, "", 1000000)


def case_linux_pio(args, tmp):
    return linux(args, tmp, "libata.dma=0", 300000)


CASES = {"bios": case_bios, "syslinux-floppy": case_syslinux_floppy, "grub-disk": case_grub_disk, "isolinux-cd": case_isolinux_cd,
         "grub-cd": case_grub_cd, "linux-dma": case_linux_dma, "linux-pio": case_linux_pio}


def in_directory(case, args):
    with tempfile.TemporaryDirectory(prefix="novt-drives-") as tmp:
        return case(args, tmp)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--case", action="append", choices=list(CASES))
    ap.add_argument("--patience", type=float, default=1.0)
    ap.add_argument("options", nargs="*")
    args = ap.parse_args()
    PatientVM.patience = args.patience
    return run_cases((name, functools.partial(in_directory, CASES[name], args)) for name in args.case or CASES)


if __name__ == "__main__":
    sys.exit(main())
