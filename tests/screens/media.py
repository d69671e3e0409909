"""Disks, CDs and floppies with the boot loaders of Debian's packages, for screens.py; images.py (tests/drives) has the parts."""
import os
import shutil
import struct
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests/drives"))
import images  # noqa: E402

GUESTS = os.environ.get("NOVT_GUESTS", os.path.join(ROOT, "build/guests"))
MEMTEST = os.path.join(GUESTS, "memtest86+ia32.bin")
PART_AT = 2048  # sectors before the partition

# Three entries: the second is what is booted, the first would be without a key, the third shows that the keys go up again.
SYSLINUX_MENU = """UI {ui}
MENU TITLE Boot menu of a {medium}
MENU TABMSG Press ENTER to boot or TAB to edit
LABEL nothing
 MENU LABEL Not this one
 LOCALBOOT -1
LABEL memtest
 MENU LABEL Memory test
 KERNEL mt86p
LABEL last
 MENU LABEL Nor this one
 LOCALBOOT -1
"""
SYSLINUX_PROMPT = "PROMPT 1\nTIMEOUT 0\nSAY Words of the configuration\nDEFAULT nothing\nLABEL nothing\n LOCALBOOT -1\nLABEL memory\n KERNEL mt86p\n"
GRUB_ENTRIES = """set timeout=-1
set default=0
menuentry 'Not this one' {{ reboot }}
menuentry 'Memory test' {{ linux {prefix}/mt86p }}
menuentry 'Nor this one' {{ halt }}
"""
GRUB_GRAPHICS = """loadfont {prefix}/unicode.pf2
insmod gfxterm
insmod vbe
set gfxmode=640x480
terminal_output gfxterm
set color_normal=light-gray/blue
set menu_color_normal=light-gray/blue
set menu_color_highlight=white/green
"""
GRUB_MODULES = "biosdisk part_msdos fat ext2 iso9660 normal configfile linux echo reboot halt minicmd test ls".split()
GRAPHICS_MODULES = "font gfxterm video video_fb vbe".split()


def c32(*names):
    return {n: images.first_of(f"/usr/lib/syslinux/modules/bios/{n}") for n in names}


def partitioned(out, mib, kind, loader):
    """A disk of one active partition; loader: the first sectors."""
    images.empty(out, mib << 20)
    images.write(out, loader)
    entry = struct.pack("<BBBBBBBBII", 0x80, 0xfe, 0xff, 0xff, kind, 0xfe, 0xff, 0xff, PART_AT, (mib << 11) - PART_AT)
    images.write(out, entry + b"\0" * 48 + b"\x55\xaa", 446)


def read(path, size=-1):
    with open(path, "rb") as f:
        return f.read(size)


def memtest_floppy(out):
    """SYSLINUX starts it without a question."""
    images.empty(out, 1440 * 1024)
    images.fat(out, 1440, {"mt86p": MEMTEST, "syslinux.cfg": b"DEFAULT mt86p\n"})
    images.run("syslinux", "--install", out)


def syslinux_floppy(out):
    images.empty(out, 1440 * 1024)
    images.fat(out, 1440, {"mt86p": MEMTEST, "syslinux.cfg": SYSLINUX_MENU.format(ui="menu.c32", medium="floppy").encode(),
                           **c32("menu.c32", "libutil.c32")})
    images.run("syslinux", "--install", out)


def syslinux_disk(out):
    partitioned(out, 16, 0x0e, read(images.first_of("/usr/lib/syslinux/mbr/mbr.bin", "/usr/lib/SYSLINUX/mbr.bin"), 440))
    images.fat(out, (16 << 10) - PART_AT // 2, {"mt86p": MEMTEST, "syslinux.cfg": SYSLINUX_PROMPT.encode()}, PART_AT * 512)
    images.write(out, struct.pack("<I", PART_AT), PART_AT * 512 + 28)  # hidden sectors: mformat does not know of the partition
    images.run("syslinux", "--offset", str(PART_AT * 512), "--install", out)


def extlinux_disk(out, novt):
    """EXTLINUX on an ext4 partition. Its installer asks the mounted file system where its blocks are: it runs in a guest."""
    with tempfile.TemporaryDirectory() as tmp:
        top = os.path.join(tmp, "top")
        os.mkdir(top)
        for path in [MEMTEST, *c32("menu.c32", "libutil.c32").values()]:
            shutil.copy(path, top)
        os.rename(os.path.join(top, os.path.basename(MEMTEST)), os.path.join(top, "mt86p"))
        images.write(os.path.join(top, "extlinux.conf"), SYSLINUX_MENU.format(ui="menu.c32", medium="disk").encode())
        tools = os.path.join(GUESTS, "extlinux")
        partitioned(out, 32, 0x83, read(os.path.join(tools, "mbr.bin"), 440))
        path = os.environ["PATH"] + ":/usr/sbin:/sbin"
        # Blocks of 4 KiB: this EXTLINUX cannot read a kernel out of blocks of 1 KiB, on no machine.
        images.run("mke2fs", "-q", "-t", "ext4", "-b", "4096", "-O", "^64bit,^metadata_csum", "-E", f"root_owner=0:0,offset={PART_AT * 512}", "-d", top, out,
                   f"{(32 << 10) - PART_AT // 2}k", env={**os.environ, "PATH": path})
        initrd, log = os.path.join(tmp, "initrd"), os.path.join(tmp, "log")
        script = ("for m in ata_piix sd_mod crc32c_generic ext4; do modprobe $m; done; for n in 1 2 3 4 5; do mount -t ext4 /dev/sda1 /tmp && break; sleep 1; done\n"
                  "cd /x && ./ld-linux.so.2 --library-path . ./extlinux --install /tmp && umount /tmp && echo all done\n")
        images.run(os.path.join(ROOT, "scripts/mkinitrd"), initrd, "--base", os.path.join(GUESTS, "initrd-modules.gz"), "dir:x",
                   *(f"file:x/{name}={os.path.join(tools, name)}" for name in os.listdir(tools)), f"text:script={script}")
        images.run(novt, "-m", "128", "-nodefaults", "-display", "none", "-serial", "file:" + log, "-kernel", os.path.join(GUESTS, "vmlinuz-686-pae"),
                   "-initrd", initrd, "-append", "console=ttyS0 quiet", "-drive", f"file={out},format=raw", "--timeout", "900")
        said = read(log).decode(errors="replace")
        if "\nall done" not in said:
            raise OSError("extlinux in the guest: " + said[-400:])


def isolinux_cd(out):
    with tempfile.TemporaryDirectory() as tmp:
        shutil.copy(images.first_of("/usr/lib/ISOLINUX/isolinux.bin"), tmp)
        for path in c32("ldlinux.c32", "vesamenu.c32", "libcom32.c32", "libutil.c32").values():
            shutil.copy(path, tmp)
        shutil.copy(MEMTEST, os.path.join(tmp, "mt86p"))
        images.write(os.path.join(tmp, "isolinux.cfg"), SYSLINUX_MENU.format(ui="vesamenu.c32", medium="CD").encode())
        images.cd(out, tmp, "-b", "isolinux.bin", "-c", "boot.cat", "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table")


def grub_config(prefix, graphics):
    return ((GRUB_GRAPHICS if graphics else "") + GRUB_ENTRIES).format(prefix=prefix).encode()


def grub_disk(out, graphics=False):
    """MBR, core.img behind it, the rest on a FAT partition."""
    with tempfile.TemporaryDirectory() as tmp:
        core = os.path.join(tmp, "core.img")
        images.run("grub-mkimage", "-O", "i386-pc", "-o", core, "-p", "(hd0,msdos1)/", *GRUB_MODULES, *(GRAPHICS_MODULES if graphics else ()))
        partitioned(out, 16, 0x0e, read("/usr/lib/grub/i386-pc/boot.img", 440))
        images.write(out, read(core), 512)
    images.fat(out, (16 << 10) - PART_AT // 2, {"mt86p": MEMTEST, "grub.cfg": grub_config("", graphics), "unicode.pf2": "/usr/share/grub/unicode.pf2"},
               PART_AT * 512)


def grub_disk_graphics(out):
    grub_disk(out, True)


def grub_cd(out, graphics=False):
    """As grub-mkrescue makes them: El Torito, and a disk's MBR in front."""
    with tempfile.TemporaryDirectory() as tmp:
        os.makedirs(os.path.join(tmp, "boot", "grub"))
        shutil.copy(MEMTEST, os.path.join(tmp, "mt86p"))
        shutil.copy("/usr/share/grub/unicode.pf2", tmp)
        images.write(os.path.join(tmp, "boot", "grub", "grub.cfg"), grub_config("", graphics))
        images.run("grub-mkrescue", "-d", "/usr/lib/grub/i386-pc", "--locales=", "--fonts=", "--themes=", "-o", out, tmp)


def grub_cd_graphics(out):
    grub_cd(out, True)


def installer_cd(out, initrd):
    """The tree of Debian's netboot CD: its menu of vesamenu.c32 over a picture, kernel and initrd."""
    with tempfile.TemporaryDirectory() as tmp:
        top = os.path.join(tmp, "debian-installer", "i386")
        os.makedirs(top)
        screens = os.path.join(top, "boot-screens")
        shutil.copytree(os.path.join(GUESTS, "installer-screens"), screens)
        shutil.copy(os.path.join(GUESTS, "installer-linux"), os.path.join(top, "linux"))
        shutil.copy(os.path.join(GUESTS, initrd), os.path.join(top, "initrd.gz"))
        shutil.copy(images.first_of("/usr/lib/ISOLINUX/isolinux.bin"), tmp)
        shutil.copy(os.path.join(screens, "syslinux.cfg"), os.path.join(tmp, "isolinux.cfg"))
        for n in ("ldlinux.c32", "libcom32.c32", "libutil.c32"):
            shutil.copy(os.path.join(screens, n), tmp)
        images.cd(out, tmp, "-b", "isolinux.bin", "-c", "boot.cat", "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table")
