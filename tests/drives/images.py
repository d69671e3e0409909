#!/usr/bin/env python3
"""Makes disk, CD and floppy images from Debian packages, without root: for drives.py.

    images.py KIND OUT [MEMTEST]     one of syslinux-floppy, grub-disk, isolinux-cd, grub-cd

Needs mtools, syslinux, isolinux, xorriso and grub-pc-bin; all images are made from scratch each time.
"""
import os
import shutil
import struct
import subprocess
import sys
import tempfile

SECTOR = 512
SYSLINUX_CFG = "SERIAL 0 115200\nPROMPT 1\nTIMEOUT 20\nDEFAULT first\nLABEL first\n KERNEL mt86p\n APPEND console=ttyS0,115200\n"
GRUB_CFG = ("serial --unit=0 --speed=115200\nterminal_output console serial\nset timeout=2\nset default=1\n"
            "menuentry 'not this one' { reboot }\nmenuentry 'memory test' { linux /mt86p console=ttyS0,115200 }\n")
GRUB_MODULES = "biosdisk part_msdos fat iso9660 normal configfile linux serial terminal echo reboot minicmd".split()


def run(*argv, **kw):
    out = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **kw)
    if out.returncode:
        raise OSError(f"{' '.join(argv)}: {out.stdout.decode(errors='replace')[-400:]}")


def first_of(*paths):
    for p in paths:
        if os.path.exists(p):
            return p
    raise OSError(f"none of {', '.join(paths)} is there")


def write(path, data, at=0):
    with open(path, "r+b" if os.path.exists(path) else "wb") as f:
        f.seek(at)
        f.write(data)


def marked(path, sectors, boot=b"", read_only=False, geometry=(0, 1, 1)):
    """Every sector begins with its number; the first one is `boot`. geometry: sectors a track, cylinders, heads, else the BIOS's."""
    with open(path, "wb") as f:
        for n in range(sectors):
            f.write(struct.pack("<I", n).ljust(SECTOR, b"\0"))
    if boot:
        spt, cylinders, heads = geometry
        write(path, boot)
        write(path, struct.pack("<HHHH", read_only, spt, cylinders - 1, heads - 1), 436)


def fat(path, kib, files, at=0):
    """A FAT file system of kib, at a byte of path, with files {name: bytes or host path}."""
    image = f"{path}@@{at}"
    with tempfile.TemporaryDirectory() as tmp:
        run("mformat", "-i", image, *(("-f", str(kib)) if kib in (360, 720, 1200, 1440, 2880) else ("-T", str(kib * 2), "-h", "16", "-s", "63")), "::")
        for name, what in files.items():
            src = what
            if isinstance(what, bytes):
                src = os.path.join(tmp, name)
                write(src, what)
            run("mcopy", "-i", image, src, f"::{name}")


def empty(path, size):
    with open(path, "wb") as f:
        f.truncate(size)


def syslinux_floppy(out, memtest, kib=1440):
    empty(out, kib * 1024)
    fat(out, kib, {"mt86p": memtest, "syslinux.cfg": SYSLINUX_CFG.encode()})
    run("syslinux", "--install", out)


def grub_core(out, prefix):
    """core.img as grub-install would make it; its first sector loads the rest from where it stands by itself."""
    run("grub-mkimage", "-O", "i386-pc", "-o", out, "-p", prefix, *GRUB_MODULES)


def grub_disk(out, memtest, mib=16):
    """MBR, one FAT partition at 1 MiB, GRUB in the gap between."""
    empty(out, mib << 20)
    start, sectors = 2048, (mib << 11) - 2048
    with tempfile.TemporaryDirectory() as tmp:
        core = os.path.join(tmp, "core.img")
        grub_core(core, "(hd0,msdos1)/grub")
        with open("/usr/lib/grub/i386-pc/boot.img", "rb") as f:
            write(out, f.read()[:440])
        with open(core, "rb") as f:
            write(out, f.read(), SECTOR)
    write(out, struct.pack("<BBBBBBBBII", 0x80, 0xfe, 0xff, 0xff, 0x0e, 0xfe, 0xff, 0xff, start, sectors) + b"\0" * 48 + b"\x55\xaa", 446)
    fat(out, sectors // 2, {"mt86p": memtest}, start * SECTOR)
    run("mmd", "-i", f"{out}@@{start * SECTOR}", "::grub")
    with tempfile.TemporaryDirectory() as tmp:
        cfg = os.path.join(tmp, "grub.cfg")
        write(cfg, GRUB_CFG.encode())
        run("mcopy", "-i", f"{out}@@{start * SECTOR}", cfg, "::grub/grub.cfg")


def cd(out, tree, *options):
    run("xorriso", "-as", "mkisofs", "-quiet", "-R", "-J", "-o", out, *options, tree)


def isolinux_cd(out, memtest):
    with tempfile.TemporaryDirectory() as tmp:
        shutil.copy(first_of("/usr/lib/ISOLINUX/isolinux.bin"), tmp)
        shutil.copy(first_of("/usr/lib/syslinux/modules/bios/ldlinux.c32"), tmp)
        shutil.copy(memtest, os.path.join(tmp, "mt86p"))
        write(os.path.join(tmp, "isolinux.cfg"), SYSLINUX_CFG.encode())
        cd(out, tmp, "-b", "isolinux.bin", "-c", "boot.cat", "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table")


def grub_cd(out, memtest):
    with tempfile.TemporaryDirectory() as tmp:
        os.mkdir(os.path.join(tmp, "grub"))
        core = os.path.join(tmp, "core.img")
        grub_core(core, "(cd)/grub")
        with open(os.path.join(tmp, "grub", "eltorito.img"), "wb") as f:
            for part in ("/usr/lib/grub/i386-pc/cdboot.img", core):
                with open(part, "rb") as src:
                    f.write(src.read())
        os.remove(core)
        shutil.copy(memtest, os.path.join(tmp, "mt86p"))
        write(os.path.join(tmp, "grub", "grub.cfg"), GRUB_CFG.encode())
        cd(out, tmp, "-b", "grub/eltorito.img", "-c", "boot.cat", "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table")


KINDS = {"syslinux-floppy": syslinux_floppy, "grub-disk": grub_disk, "isolinux-cd": isolinux_cd, "grub-cd": grub_cd}


def main():
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    memtest = os.path.join(os.environ.get("NOVT_GUESTS", os.path.join(root, "build/guests")), "memtest86+ia32.bin")
    if len(sys.argv) not in (3, 4) or sys.argv[1] not in KINDS:
        print(__doc__, file=sys.stderr)
        return 2
    KINDS[sys.argv[1]](sys.argv[2], sys.argv[3] if len(sys.argv) == 4 else memtest)
    return 0


if __name__ == "__main__":
    sys.exit(main())
