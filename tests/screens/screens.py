#!/usr/bin/env python3
"""What a person sees of boot menus, memtest86+ and Debian's installer, driven by keys and compared with references.

    screens.py [--scene NAME]... [--out DIR] [--accept] [--patience N] [-- NOVT OPTIONS...]

A scene boots a medium made by media.py, presses keys in the monitor and shows pictures: each is waited for, written to DIR as PNG (whether
it is as it should be or not), and compared with refs/NAME.txt as picture.py says. --accept writes the references anew: only after looking
at each PNG. The scene "references" starts no machine: no reference may pass for another one. Without --scene all of them. NOVT names
another program, NOVT_GUESTS the guests. Last line: N passed, N failed.
"""
import argparse
import itertools
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time

import media
from picture import Picture, Reference

HERE = os.path.dirname(os.path.abspath(__file__))
REFS = os.path.join(HERE, "refs")
NOVT = os.environ.get("NOVT", os.path.join(media.ROOT, "build/release/novt"))
POLL_S = 0.15
SETTLE_S = 1.0  # a picture that passes may still miss the last key's letter: so long the very one is waited for
STILL_S = 2.0


class Bad(Exception):
    pass


class Machine:
    """A novt without a display, and QMP to it."""

    def __init__(self, args, tmp, *options):
        self.args, self.tmp, self.accepted = args, tmp, None
        path = os.path.join(tmp, "qmp")
        self.proc = subprocess.Popen([NOVT, "-display", "none", "-serial", "null", "-nic", "none", "-qmp", f"unix:{path},server=on,wait=off",
                                      *options, *args.options], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        end = time.monotonic() + 20 * args.patience
        while self.sock.connect_ex(path):
            if self.proc.poll() is not None or time.monotonic() > end:
                raise Bad(f"novt does not listen: {self.proc.stderr.read().decode()[-500:] if self.proc.poll() is not None else ''}")
            time.sleep(0.02)
        self.lines = self.sock.makefile("r", encoding="utf-8")
        self.lines.readline()
        self.qmp("qmp_capabilities")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()
        self.proc.kill()
        self.proc.communicate()

    def qmp(self, name, **arguments):
        self.sock.sendall(json.dumps({"execute": name, "arguments": arguments}).encode() + b"\n")
        while True:
            line = self.lines.readline()
            if not line:
                raise Bad(f"novt ended with {self.proc.wait()}: {self.proc.stderr.read().decode()[-500:]}")
            answer = json.loads(line)
            if "error" in answer:
                raise Bad(f"{name}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]

    def hmp(self, line):
        return self.qmp("human-monitor-command", **{"command-line": line})

    def clock(self):
        """Seconds for limits: those in which other work of the host kept the machine from running do not count."""
        try:
            with open(f"/proc/{self.proc.pid}/schedstat", encoding="ascii") as f:
                return time.monotonic() - int(f.read().split()[1]) / 1e9
        except OSError:  # a kernel that does not say
            return time.monotonic()

    def key(self, *names):
        for name in names:
            self.hmp("sendkey " + name)
            time.sleep(0.05)

    def type(self, text):
        names = {" ": "spc", "-": "minus", "=": "equal", "/": "slash", ".": "dot", "\n": "ret", ",": "comma"}
        self.key(*(names.get(c, c) for c in text))

    def rows(self):
        """The text screen, or None."""
        text = self.hmp("info screen").replace("\r", "")
        return None if text.startswith("The screen is not") else text.split("\n")[:-1]

    def take(self):
        """A picture whose text and dots are of one moment: the text is the same before and after."""
        path = os.path.join(self.tmp, "shot.ppm")
        for _ in range(20):
            rows = self.rows()
            self.qmp("screendump", filename=path)
            if rows == self.rows():
                with open(path, "rb") as f:
                    return Picture(f.read(), rows)
        raise Bad("the screen never stands still")

    def show(self, name, what, words="", timeout=60, ignore=(), still=STILL_S):
        """Waits for a picture. what: a line for the reference on what it shows; words: a pattern that tells it in text modes;
        ignore: (row, first column, last column) of what differs from time to time; still: --accept waits until nothing changed for so long."""
        path = os.path.join(REFS, name + ".txt")
        png = os.path.join(self.args.out, name + ".png")
        end = self.clock() + timeout * self.args.patience
        if self.args.accept:
            picture = self.still(words, ignore, still, end)
            picture.png(png)
            Reference.of(picture, [name + ": " + what], ignore).save(path)
            return
        want = Reference.load(path)
        said = seen = ""
        settled = None
        while True:
            picture = self.take()
            if picture.hash() == want.hash:
                said = ""
                break
            if picture.hash() != seen:
                said = want.difference(Reference.of(picture, (), ()))
            seen = picture.hash()
            now = self.clock()
            settled = None if said else settled or now + SETTLE_S * self.args.patience
            if now > (settled or end):
                break
            time.sleep(POLL_S * self.args.patience)
        picture.png(png)
        if said:
            raise Bad(f"{name} ({png}): {said}")

    def wait(self, words, timeout=60):
        end = self.clock() + timeout * self.args.patience
        while not re.search(words, "\n".join(self.rows() or [])):
            if self.clock() > end:
                raise Bad(f"no {words!r} on the screen:\n" + "\n".join(self.rows() or ["(graphics)"]))
            time.sleep(POLL_S)

    def leave_size(self, width, timeout):
        end = self.clock() + timeout * self.args.patience
        while self.take().w == width:
            if self.clock() > end:
                raise Bad(f"the screen stays {width} dots wide")
            time.sleep(1)

    def still(self, words, ignore, still, end):
        """A picture with the words (any in graphics) that does not change for a while; cursors and small changes aside."""
        since, last = time.monotonic(), None
        while self.clock() < end:
            picture = self.take()
            now = Reference.of(picture, (), ignore)
            if picture.rows:
                good = re.search(words, "\n".join(picture.rows))
            else:  # not what was there before, and not an empty screen either
                places = sum(now.grid, [])
                plain = max(places.count(c) for c in set(places))
                good = not words and plain < 0.8 * len(places) and not (self.accepted and not self.accepted.difference(now))
            if not good or not last or last.difference(now):
                since, last = time.monotonic(), now
            elif time.monotonic() - since > still * self.args.patience:
                self.accepted = now
                return picture
            time.sleep(0.3)
        picture.png(os.path.join(self.args.out, "lost.png"))
        raise Bad(f"no still picture with {words!r}:\n" + "\n".join(picture.rows or ["(graphics)"]))


# ---- what all of them end in ----

# What differs from time to time on memtest86+'s screen: its version; speeds; caches, which are the host's.
MEMTEST_CHANGES = [(0, 16, 20), (1, 10, 27), (2, 10, 27), (3, 10, 27), (4, 10, 27), (5, 17, 27), (24, 60, 79)]
# ...at work: how far it is, clocks, what it tests.
MEMTEST_WORK = MEMTEST_CHANGES + [(1, 34, 79), (2, 34, 79), (3, 36, 79), (4, 38, 79), (5, 38, 79), (7, 0, 42), (7, 50, 79), (8, 0, 42), (8, 50, 56)]


def memtest(m, name, how):
    m.show(name, f"memtest86+ ready to start, booted {how}: a blue screen, its name in black and red on grey, cache and memory sizes, a grey last line",
           "to start testing|Time:  ", ignore=MEMTEST_CHANGES)


def booted(m):
    """By a command line with nopause, so it does not ask for a key."""
    m.wait(r"(?s)Memtest86\+.*Status: Testing")


def drive(path, kind):
    return ["-drive", f"file={path},format=raw,snapshot=on," + {"disk": "if=ide", "cd": "if=ide,media=cdrom,index=2", "floppy": "if=floppy"}[kind]]


def medium(tmp, make, *more):
    path = os.path.join(tmp, "medium")
    make(path, *more)
    return path


# ---- scenes ----

def scene_boot_menu(args, tmp):
    """SeaBIOS and its boot menu: a disk that has nothing, a floppy with memtest86+, a CD."""
    empty, cd = os.path.join(tmp, "empty"), os.path.join(tmp, "cd")
    media.images.empty(empty, 1 << 20)
    media.isolinux_cd(cd)
    floppy = medium(tmp, media.memtest_floppy)
    version = [(0, 16, 79)]
    with Machine(args, tmp, "-m", "64", "-boot", "menu=on,splash-time=60000", *drive(empty, "disk"), *drive(floppy, "floppy"), *drive(cd, "cd")) as m:
        m.show("seabios", "SeaBIOS's first line and its offer of a boot menu, grey on black", "Press ESC for boot menu", ignore=version)
        m.key("esc")
        m.show("seabios-menu", "SeaBIOS's boot menu: 1 a hard disk of 1 MiB, 2 the floppy, 3 the CD, grey on black", "Select boot device", ignore=version)
        m.key("2")
        m.wait(r"Memtest86\+")


def scene_memtest_floppy(args, tmp):
    with Machine(args, tmp, "-m", "64", *drive(medium(tmp, media.memtest_floppy), "floppy")) as m:
        memtest(m, "memtest-floppy", "by SYSLINUX from a floppy")
        m.key("ret")
        m.show("memtest-work", "memtest86+ at work: as before, and in the upper right percentages with bars, Testing, no errors", "Status: Testing",
               ignore=MEMTEST_WORK)


def scene_memtest_cd(args, tmp):
    """The CD of Debian's package."""
    with Machine(args, tmp, "-m", "64", *drive(os.path.join(media.GUESTS, "memtest86+ia32.iso"), "cd")) as m:
        memtest(m, "memtest-cd", "from the CD of its Debian package")


def scene_memtest_disk(args, tmp):
    """SYSLINUX on a disk's partition: the boot prompt, its command line edited, memtest86+."""
    with Machine(args, tmp, "-m", "64", *drive(medium(tmp, media.syslinux_disk), "disk")) as m:
        m.show("syslinux-prompt", "SYSLINUX 6 from a disk: its name, words of the configuration, the prompt boot:, grey on black", "boot:", ignore=[(0, 9, 79)])
        m.type("nothinx")
        m.key(*["backspace"] * 7)
        m.type("memory")
        m.show("syslinux-typed", "the same with the word memory behind boot:", "boot: memory", ignore=[(0, 9, 79)])
        m.key("ret")
        memtest(m, "memtest-disk", "by SYSLINUX from a disk")


def grub(m, name, where, words="Nor this one"):
    """Down, down, up; edit the entry and leave it; the command line; boot."""
    version = [(1, 0, 79)] if words else [(1, 0, 39), (2, 0, 39)]
    m.show(name + "-menu", f"GRUB's menu of three entries {where}; the first one is chosen", words, ignore=version)
    m.key("down", "down", "up")
    m.show(name + "-second", f"GRUB's menu of three entries {where}; the second one is chosen", words, ignore=version)
    m.key("c")
    m.type("echo typed here\n")
    m.show(name + "-shell", f"GRUB's command line {where}: echo typed here, its answer, the next prompt", words and "grub> echo typed here", ignore=version)
    m.key("esc", "e", "down", "end")
    m.type(" nopause")
    m.show(name + "-edit", f"GRUB's editor {where}: setparams, and linux /mt86p with nopause typed behind it", words and "mt86p +nopause", ignore=version)
    m.key("ctrl-x")
    booted(m)


def scene_grub_disk(args, tmp):
    with Machine(args, tmp, "-m", "64", *drive(medium(tmp, media.grub_disk), "disk")) as m:
        grub(m, "grub-disk", "in text mode, from a disk")


def scene_grub_cd(args, tmp):
    with Machine(args, tmp, "-m", "64", *drive(medium(tmp, media.grub_cd), "cd")) as m:
        grub(m, "grub-cd", "in text mode, from a CD of grub-mkrescue")


def scene_grub_disk_graphics(args, tmp):
    with Machine(args, tmp, "-m", "64", *drive(medium(tmp, media.grub_disk_graphics), "disk")) as m:
        grub(m, "grub-disk-graphics", "in graphics (640 x 480, grey on blue, the chosen one white on green), from a disk", "")


def scene_grub_cd_graphics(args, tmp):
    with Machine(args, tmp, "-m", "64", *drive(medium(tmp, media.grub_cd_graphics), "cd")) as m:
        grub(m, "grub-cd-graphics", "in graphics (640 x 480, grey on blue, the chosen one white on green), from a CD", "")


def syslinux(m, name, where, words="Nor this one"):
    m.show(name + "-menu", f"{where} with a title and three entries; the first one is chosen", words)
    m.key("down", "down", "up")
    m.show(name + "-second", f"{where} with a title and three entries; the second one is chosen", words)
    m.key("tab")
    m.type(" nopause")
    m.show(name + "-edit", f"{where}; below it the second entry's command line, nopause typed behind mt86p", words and "mt86p.*nopause")
    m.key("ret")
    booted(m)


def scene_syslinux_floppy(args, tmp):
    with Machine(args, tmp, "-m", "64", *drive(medium(tmp, media.syslinux_floppy), "floppy")) as m:
        syslinux(m, "syslinux-floppy", "SYSLINUX's menu.c32 from a floppy")


def scene_extlinux_disk(args, tmp):
    with Machine(args, tmp, "-m", "64", *drive(medium(tmp, media.extlinux_disk, NOVT), "disk")) as m:
        syslinux(m, "extlinux-disk", "EXTLINUX's menu.c32 from a disk with ext4")


def scene_isolinux_cd(args, tmp):
    with Machine(args, tmp, "-m", "64", *drive(medium(tmp, media.isolinux_cd), "cd")) as m:
        syslinux(m, "isolinux-cd", "ISOLINUX's vesamenu.c32 (graphics) from a CD", "")


def scene_installer_text(args, tmp):
    """Debian's text installer in text mode, booted as a kernel: language, location, and back."""
    guest = {name: os.path.join(media.GUESTS, "installer-" + name) for name in ("linux", "initrd.gz")}
    with Machine(args, tmp, "-m", "512", "-kernel", guest["linux"], "-initrd", guest["initrd.gz"], "-append", "vga=normal nomodeset quiet") as m:
        m.show("installer-text-language", "Debian's installer in text mode: the question for a language in a grey window on blue, English on red",
               "Choose the language", 240)
        m.key("down", "up", "up")
        m.show("installer-text-up", "the same; the language above English is chosen", "Choose the language")
        m.key("down", "ret")
        m.show("installer-text-location", "Debian's installer in text mode: the question for a location, United States on red", "Select your location")


def installer_menu(m):
    m.show("installer-menu", "the boot menu of Debian's installer CD: five lines on Debian's picture, Install chosen; at the end a countdown",
           timeout=120, ignore=[(row, 0, 39) for row in (23, 24)])
    m.key("down", "down", "up")
    m.show("installer-menu-second", "the same with the second line, Advanced options, chosen, and no countdown")
    m.key("up", "ret")
    m.leave_size(640, 180)  # the menu stays until all is loaded


def scene_installer_cd(args, tmp):
    """The CD with the text installer: the kernel draws the dialogs itself, in a mode that the boot menu and then it set."""
    path = os.path.join(tmp, "cd")
    media.installer_cd(path, "installer-initrd.gz")
    with Machine(args, tmp, "-m", "512", *drive(path, "cd")) as m:
        installer_menu(m)
        m.show("installer-cd-language", "Debian's text installer drawn by the kernel at 1024 x 768: languages in their own scripts, English on red", timeout=240)
        m.key("down", "ret")
        m.show("installer-cd-next", "the question for a location in Esperanto, the language below English: Antarkto on red", timeout=120)


def scene_installer_gtk(args, tmp):
    """The CD with the graphical installer."""
    path = os.path.join(tmp, "cd")
    media.installer_cd(path, "installer-gtk-initrd.gz")
    with Machine(args, tmp, "-m", "768", *drive(path, "cd")) as m:
        installer_menu(m)
        m.show("installer-gtk-language", "Debian's graphical installer: Select a language, English on green in a list, Go Back and Continue",
               timeout=300, still=20)
        m.key("down")
        m.show("installer-gtk-down", "the same; the language below English, Esperanto, is chosen")
        m.key("up", "ret")
        m.show("installer-gtk-location", "Debian's graphical installer: Select your location, United States on green", timeout=120, still=10)


def scene_references(args, tmp):
    """No reference passes for another one."""
    refs = {}
    for name in sorted(os.listdir(REFS)):
        ref = refs[name[:-4]] = Reference.load(os.path.join(REFS, name))
        if not ref.note or not (ref.grid or ref.text) or ref.difference(ref):
            raise Bad(f"{name} is no reference")
    for a, b in itertools.permutations(refs, 2):
        told = SAME.sub("", a) != SAME.sub("", b)
        if told and not refs[a].difference(refs[b]):
            raise Bad(f"{b} would pass for {a}")


# One picture of several media.
SAME = re.compile("-(cd|disk|floppy)")
SCENES = {name[6:].replace("_", "-"): fn for name, fn in list(globals().items()) if name.startswith("scene_")}


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--scene", action="append", choices=list(SCENES))
    ap.add_argument("--out", default="screens")
    ap.add_argument("--accept", action="store_true")
    ap.add_argument("--patience", type=float, default=1.0)
    ap.add_argument("options", nargs="*")
    args = ap.parse_args()
    os.makedirs(args.out, exist_ok=True)
    passed = failed = 0
    for name in args.scene or list(SCENES):
        start = time.monotonic()
        try:
            with tempfile.TemporaryDirectory(prefix="novt-screens-") as tmp:
                SCENES[name](args, tmp)
            print(f"ok   {name}: {time.monotonic() - start:.1f} s", flush=True)
            passed += 1
        except (Bad, OSError, ValueError) as e:
            print(f"FAIL {name}: {e}", flush=True)
            failed += 1
    print(f"{passed} passed, {failed} failed; pictures in {args.out}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
