#!/usr/bin/env python3
"""The displays on a guest that reads its keyboard: terminal (under tmux), VNC, SDL2 (on Xvfb).

Usage: display.py NOVT [NAME...]     runs all tests, or those whose name contains a NAME
The guest is the boot sector keys.asm. What it read comes out of port E9h.
"""
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

import rfb

NOVT = os.path.abspath(sys.argv[1])
HERE = os.path.dirname(os.path.abspath(__file__))
TMP = tempfile.mkdtemp(prefix="novt-display-")
DISK = os.path.join(TMP, "keys.img")
GUESTS = os.path.join(HERE, "../../build/guests")
SLOW = 5 if "asan" in NOVT or os.environ.get("SLOW") else 1  # limits only
TICKS = os.sysconf("SC_CLK_TCK")


class Fail(Exception):
    pass


class Skip(Exception):
    pass


def check(cond, what):
    if not cond:
        raise Fail(what)


def wait_for(fn, what, seconds=20):
    end = time.time() + seconds * SLOW
    while time.time() < end:
        got = fn()
        if got:
            return got
        time.sleep(0.05)
    raise Fail(f"waited in vain for {what}")


def log_path(name):
    return os.path.join(TMP, name + ".log")


def heard(name):
    try:
        with open(log_path(name), "rb") as f:
            return f.read().decode("latin1")
    except FileNotFoundError:
        return ""


def expect(name, want, seconds=20):
    try:
        wait_for(lambda: heard(name) == want, "keys", seconds)
    except Fail:
        raise Fail(f"the guest read {heard(name)!r}, not {want!r}") from None


def guest(name, *more):
    return ["-drive", f"file={DISK},format=raw,snapshot=on", "-nic", "none", "-debugcon", "file:" + log_path(name), "--timeout", "100", *more]


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


class Novt:
    """A novt without a terminal."""

    def __init__(self, name, *args, env=None):
        self.name = name
        self.p = subprocess.Popen([NOVT, *guest(name), *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  env=env)

    def ready(self):
        wait_for(lambda: "ready:" in heard(self.name) or self.p.poll() is not None, "the guest")
        check(self.p.poll() is None, f"novt ended: {self.p.stdout.read() if self.p.poll() is not None else ''}")
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.p.kill()
        self.p.communicate()


def run(*args, env=None):
    p = subprocess.run([NOVT, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, env=env)
    return p.returncode, p.stdout.decode(errors="replace")


# ---- the terminal ----

class Terminal:
    """A tmux window with a shell in it."""

    def __init__(self, name, width=100, height=30):
        self.socket = os.path.join(TMP, name + ".tmux")
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", str(width), "-y", str(height), "env LANG=C.UTF-8 PS1=prompt: sh")
        self.tmux("set-option", "-g", "default-terminal", "tmux-256color")
        self.tmux("set-option", "-g", "escape-time", "0")
        wait_for(lambda: "prompt:" in self.text(), "a shell")

    def tmux(self, *args):
        p = subprocess.run(["tmux", "-u", "-S", self.socket, *args], capture_output=True, timeout=30)
        check(p.returncode == 0, f"tmux {args}: {p.stderr}")
        return p.stdout.decode(errors="replace")

    def text(self, colours=False):
        return self.tmux("capture-pane", "-p", *(["-e"] if colours else []))

    def keys(self, *keys):
        self.tmux("send-keys", *keys)

    def line(self, text):
        self.keys("-l", text)
        self.keys("Enter")

    def novt(self, name, *args):
        self.line(" ".join([NOVT, *guest(name), *args]) + "; echo code=$?")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.tmux("kill-server")


def test_tui_shows_and_types():
    with Terminal("tui") as t:
        t.line("stty -a > " + log_path("stty1"))
        t.novt("tui", "-display", "curses")
        wait_for(lambda: "ready:" in t.text(), "the guest's screen")
        wait_for(lambda: "╔══╗ ░▓█ ☺" in t.text(), "line drawing")
        yellow = [x for x in t.text(True).split("\n") if "╔" in x][0].split("╔")[0]
        check(re.search(r"44m", yellow) and re.search(r"93m|33;1m|1;33m|38;5;11m", yellow), f"yellow on blue: {yellow!r}")
        t.keys("a", "B", "C-c", "F1", "S-F1", "F12", "Up", "M-x", "C-Right", "Enter", "BSpace", "C-a", "C-a", "?")
        want = "ready:aB\x03<3B><54><86><48><2D><74>\r\x08\x01?"
        expect("tui", want)
        t.keys("Escape")  # alone: what follows at once would be Alt's
        expect("tui", want + "\x1b")
        t.tmux("resize-window", "-x", "60", "-y", "15")
        wait_for(lambda: "╔══╗" in t.text(), "the screen in a smaller window")
        t.tmux("resize-window", "-x", "120", "-y", "40")
        wait_for(lambda: "Ctrl-A X quits" in t.text(), "the line below the screen")
        t.keys("C-a", "h")
        wait_for(lambda: "send Ctrl-Alt-Delete" in t.text(), "help")
        t.keys("z")
        wait_for(lambda: "send Ctrl-Alt-Delete" not in t.text() and heard("tui").endswith("z"), "help to go")
        t.keys("F10")
        wait_for(lambda: "▀" in t.text(), "graphics as half blocks")
        t.keys("C-a", "x")
        wait_for(lambda: "code=0" in t.text(), "the end")
        check("ready:" not in t.text(), "the guest's screen is left behind")
        t.line("stty -a > " + log_path("stty2"))
        wait_for(lambda: "rows" in heard("stty2"), "stty")
        strip = lambda s: re.sub(r"(rows|columns) \d+", "", s)
        check(strip(heard("stty1")) == strip(heard("stty2")), "the terminal's mode is not what it was")


def state(pid):
    with open(f"/proc/{pid}/stat") as f:
        return f.read().rpartition(")")[2].split()[0]


def test_tui_stopped_and_continued():
    """By kill -TSTP: the shell has its terminal; another size meanwhile; in the background; by kill -STOP, which nobody sees coming."""
    pidfile = os.path.join(TMP, "stop.pid")
    with Terminal("stop") as t:
        t.line("stty -a > " + log_path("stop1"))
        t.novt("stop", "-display", "curses", "-pidfile", pidfile)
        wait_for(lambda: "ready:" in t.text(), "the guest's screen")
        with open(pidfile) as f:
            pid = int(f.read())
        os.kill(pid, signal.SIGTSTP)
        wait_for(lambda: "prompt:" in t.text() and "ready:" not in t.text(), "the shell's screen")
        check(state(pid) == "T", f"it is not stopped but {state(pid)}")
        t.line("stty -a > " + log_path("stop2"))
        wait_for(lambda: "rows" in heard("stop2"), "stty")
        strip = lambda s: re.sub(r"(rows|columns) \d+", "", s)
        check(strip(heard("stop1")) == strip(heard("stop2")), "the terminal's mode is not what it was")
        t.tmux("resize-window", "-x", "90", "-y", "28")
        t.line("fg")
        wait_for(lambda: "ready:" in t.text() and "Ctrl-A X quits" in t.text(), "the guest's screen again")
        check("prompt:" not in t.text(), "the shell's words are left on the screen")
        t.keys("a")
        expect("stop", "ready:a")
        os.kill(pid, signal.SIGTSTP)
        wait_for(lambda: "prompt:" in t.text() and "ready:" not in t.text(), "the shell's screen")
        t.line("bg; echo in the background")
        wait_for(lambda: "in the background" in t.text(), "the shell")
        wait_for(lambda: state(pid) != "T", "it to run")
        time.sleep(0.7)
        check("ready:" not in t.text() and state(pid) != "T", "it draws over the shell, or was stopped for trying")
        t.line("fg")
        wait_for(lambda: "ready:" in t.text(), "the guest's screen again")
        os.kill(pid, signal.SIGSTOP)
        wait_for(lambda: "topped" in t.text(), "the shell")
        t.keys("-l", "fg")
        t.keys("C-j")  # the terminal is still the way the display wants it: Enter is no end of a line
        wait_for(lambda: "topped" not in t.text() and "ready:" in t.text(), "the screen drawn anew")
        t.keys("b")
        expect("stop", "ready:ab")
        t.keys("C-a", "x")
        wait_for(lambda: not os.path.exists(f"/proc/{pid}") and "prompt:" in t.text() and "ready:" not in t.text(), "the end")


def test_tui_without_colours():
    """What is light behind dark letters is reversed."""
    with Terminal("mono") as t:
        t.line("export TERM=vt100")
        t.novt("mono", "-display", "curses")
        wait_for(lambda: "ready:" in t.text(), "the guest's screen")
        codes = set(re.findall(r"\x1b\[[0-9;]*m", t.text(True)))
        check(codes and not any(re.search(r"[\[;][349][0-7]", c) for c in codes), f"colours on a terminal without: {codes}")
        t.keys("a")
        expect("mono", "ready:a")
        t.keys("C-a", "x")
        wait_for(lambda: "code=0" in t.text(), "the end")


def test_tui_paste_loses_nothing():
    text = "The quick brown fox (jumps) over 13 lazy dogs; {again}"
    with Terminal("paste") as t:
        t.novt("paste", "-display", "curses")
        wait_for(lambda: "ready:" in t.text(), "the guest's screen")
        t.keys("-l", text)
        wait_for(lambda: len(heard("paste")) >= 6 + len(text), "all of it", 30)
        time.sleep(0.3)
        check(heard("paste") == "ready:" + text, repr(heard("paste")))


def test_tui_boot_menu():
    """SeaBIOS's menu by keyboard: the first disk has nothing to boot, the second is chosen."""
    empty = os.path.join(TMP, "empty.img")
    with open(empty, "wb") as f:
        f.truncate(1 << 20)
    with Terminal("menu") as t:
        t.line(" ".join([NOVT, "-display", "curses", "-hda", empty, "-hdb", DISK, "-snapshot", "-nic", "none", "-boot", "menu=on",
                         "-debugcon", "file:" + log_path("menu"), "--timeout", "100"]) + "; echo code=$?")
        wait_for(lambda: "ESC for boot menu" in t.text(), "SeaBIOS")
        t.keys("Escape")
        wait_for(lambda: "Select boot device" in t.text(), "the menu")
        t.keys("2")
        wait_for(lambda: "ready:" in heard("menu"), "the chosen disk")


def test_grub_menu_and_command_line():
    """GRUB's rescue CD: its menu, its editor's keys, a line that is typed without waiting."""
    iso = "/usr/lib/grub-rescue/grub-rescue-cdrom.iso"
    line = 'echo "Typed: {a|b} [c] (d) <e> ~ $?"'
    with Terminal("grub") as t:
        t.line(" ".join([NOVT, "-display", "curses", "-cdrom", iso, "-boot", "d", "-nic", "none", "--timeout", "100"]))
        marked = lambda what: any("*" + what in x for x in t.text().split("\n"))
        wait_for(lambda: marked("GNU/Linux"), "GRUB's menu", 40)
        t.keys("Down", "Down")
        wait_for(lambda: marked("FreeBSD"), "the third entry")
        t.keys("End")
        wait_for(lambda: marked("Change the colors"), "the last entry")
        t.keys("c")
        wait_for(lambda: "grub>" in t.text(), "GRUB's command line")
        t.line(line)
        wait_for(lambda: "\nTyped: {a|b} [c] (d) <e> ~ 0" in t.text(), "what was typed")
        t.keys("Up", "BSpace", "C-a", "C-a", "#")
        wait_for(lambda: "grub> #" + line[:-1] + "\n" in t.text() + "\n", "its history and line editing: " + t.text()[-300:])


def test_syslinux_menu():
    """SYSLINUX on a floppy: its text menu in the terminal, its graphical one over VNC; the second entry is our boot sector."""
    modules = "/usr/lib/syslinux/modules/bios"
    floppy, sector = os.path.join(TMP, "floppy.img"), os.path.join(TMP, "keys.bs")
    with open(DISK, "rb") as f, open(sector, "wb") as to:
        to.write(f.read(512))

    def call(*args):
        p = subprocess.run(args, capture_output=True, timeout=30, env=dict(os.environ, MTOOLS_SKIP_CHECK="1"))
        check(p.returncode == 0, f"{args}: {p.stderr.decode()}")

    call("mformat", "-C", "-f", "1440", "-i", floppy, "::")
    call("syslinux", "-i", floppy)
    call("mcopy", "-i", floppy, *(os.path.join(modules, m + ".c32") for m in ("menu", "vesamenu", "libcom32", "libutil")), sector, "::")
    for ui in ("menu", "vesamenu"):
        config = os.path.join(TMP, "syslinux.cfg")
        with open(config, "w", encoding="ascii") as f:
            f.write(f"UI {ui}.c32\nMENU TITLE The menu\nLABEL a\nMENU LABEL First entry\nKERNEL none\nLABEL b\nMENU LABEL Second entry\n"
                    "KERNEL keys.bs\n")
        call("mcopy", "-o", "-i", floppy, config, "::")
        with Terminal(ui) as t:
            t.line(" ".join([NOVT, "-display", "curses", "-vnc", vnc(PORT + 8), "-fda", floppy, "-boot", "a", "-snapshot", "-nic", "none",
                             "-debugcon", "file:" + log_path(ui), "--timeout", "100"]))
            if ui == "menu":
                wait_for(lambda: "Second entry" in t.text(), "SYSLINUX's menu")
            else:
                c = connect(PORT + 8)
                wait_for(lambda: c.update() and (c.width, c.height) == (640, 480) and len(set(c.pixels)) > 50, "SYSLINUX's graphics")
            t.keys("Down")
            time.sleep(0.5)
            t.keys("Enter")
            wait_for(lambda: "ready:" in heard(ui), "the second entry")


def test_tui_ends_well():
    with Terminal("end") as t:
        t.line("sh -c 'echo $$ > " + log_path("pid") + "; exec " + " ".join([NOVT, *guest("end"), "-display", "curses"]) + "'; echo code=$?")
        wait_for(lambda: "ready:" in t.text(), "the guest's screen")
        os.kill(int(wait_for(lambda: heard("pid").strip(), "a pid file")), signal.SIGTERM)
        wait_for(lambda: "code=143" in t.text(), "the end by a signal")
        t.line("TERM=dumb " + NOVT + " -display curses; echo code=$?")
        wait_for(lambda: "remedy" in t.text() and "code=3" in t.text(), "a refusal of that terminal")
        t.line("TERM=vt100 " + " ".join([NOVT, *guest("vt100"), "-display", "curses"]) + "; echo code=$?")
        wait_for(lambda: "ready:" in t.text(), "the screen without colours")
        t.keys("C-a", "x")
        wait_for(lambda: "code=0" in t.text(), "its end")
        t.line("echo and on")
        wait_for(lambda: t.text().count("and on") >= 2, "a shell that echoes")


def test_tui_refused():
    rc, out = run("-display", "curses")
    check(rc == 3 and "not a terminal" in out and "remedy" in out, f"{rc} {out}")
    for args in (["-nographic", "-display", "curses"], ["-serial", "stdio", "-display", "tui"], ["-display", "gtk"], ["-k", "de"],
                 ["-monitor", "stdio", "-display", "curses"], ["-gdb", "stdio", "-display", "curses"], ["-daemonize", "-curses"],
                 ["-vga", "cirrus"], ["-display", "sdl,gl=on"], ["-display", "sdl,show-cursor=on"], ["-display", "sdl,grab-mod=rctrl"],
                 ["-display", "sdl", "-curses"]):
        rc, out = run(*args)
        check(rc == 2 and "remedy" in out, f"{args}: {rc} {out}")
    rc, out = run("-display", "help")
    check(rc == 0 and "curses" in out and "vnc" in out, out)


# ---- VNC ----

PORT = 5900 + 20 + os.getpid() % 4000


def vnc(port=PORT):
    return f"127.0.0.1:{port - 5900}"


def connect(port=PORT, **more):
    def attempt():
        try:
            return rfb.Client(("127.0.0.1", port), timeout=20 * SLOW, **more)
        except ConnectionRefusedError:
            return None
    return wait_for(attempt, "the VNC port")


def settle(client, seconds=1):
    """Updates until none comes for a while (the cursor may blink)."""
    end = time.time() + 10 * SLOW
    while client.update(timeout=seconds * 0.2) and time.time() < end:
        pass


def test_vnc_keys_and_picture():
    with Novt("vnc", "-vnc", vnc(), "-name", "the guest").ready():
        c = connect()
        check(c.name == "the guest", c.name)
        c.update(False)
        wait_for(lambda: c.update() and c.lit() > 500 and c.width == 720, "a text screen")
        check(c.ext_key, "extended keys")
        before = c.lit()
        c.type("Hi, you/|")
        c.ext(0, 0xc8, 1), c.ext(0, 0xc8, 0)         # up, by its code
        c.ext(0xff54, 0, 1), c.ext(0xff54, 0, 0)     # down, by its keysym
        c.key(0xffe1, 1), c.key(ord("/"), 1), c.key(ord("/"), 0), c.key(0xffe1, 0)  # Shift-7 on a German keyboard
        want = "ready:Hi, you/|<48><50>/"
        expect("vnc", want)
        wait_for(lambda: c.update() and c.lit() > before + 100, "what was typed")
        c.key(0xffc7, 1), c.key(0xffc7, 0)           # F10: 320 x 200
        wait_for(lambda: c.update() and c.resizes and 0xff8000 & 0xf00000 in {p & 0xf00000 for p in c.pixels}, "graphics")
        check((c.width, c.height) != (720, 400), "its size")
        c.pointer(10, 10), c.pointer(30, 40, 1), c.pointer(30, 40, 0)
        c.update(False)
        c.close()


def test_vnc_every_encoding_shows_the_same():
    with Novt("same", "-vnc", vnc(PORT + 1)).ready():
        a, b = connect(PORT + 1), connect(PORT + 1, version=3, encodings=(rfb.RAW,))
        c = connect(PORT + 1, version=7, encodings=(rfb.ZRLE, rfb.DESKTOP_SIZE))
        d = connect(PORT + 1)
        c.set_format(16, 16, True, (31, 63, 31), (11, 5, 0))
        d.set_format(8, 8, False, (7, 7, 3), (0, 3, 6))
        for x in (a, b, c, d):
            x.update(False)
        wait_for(lambda: a.update() and a.lit() > 500, "a picture")
        one = lambda v, m: (v & 255) * m // 255 * 255 // m
        coarse = lambda pixels, r, g, b_: [one(p >> 16, r) << 16 | one(p >> 8, g) << 8 | one(p, b_) for p in pixels]
        for _ in range(20): # a cursor may have blinked between two pictures
            for x in (a, b, c, d):
                x.update(False)
            if a.pixels == b.pixels and coarse(a.pixels, 31, 63, 31) == c.pixels and \
               coarse(a.pixels, 7, 7, 3) == d.pixels:
                return
        check(a.pixels == b.pixels, "raw and ZRLE differ")
        raise Fail("pixel formats differ")


def test_vnc_newcomer_takes_nothing_from_others():
    """What changed since the last look is told to who was there, also when it is a newcomer's first picture that shows it."""
    with Novt("newcomer", "-vnc", vnc(PORT + 9)).ready():
        a = connect(PORT + 9)
        wait_for(lambda: a.update(False) and a.lit() > 500, "a picture")
        a.type("new")  # and asks for nothing: nobody looks at the screen now
        expect("newcomer", "ready:new")
        time.sleep(0.3)
        b = connect(PORT + 9)
        b.update(False)
        for _ in range(10):  # a cursor may have blinked between the two
            if a.update(timeout=1) and a.pixels == b.pixels:
                return
            b.update(False)
        raise Fail("the first client never saw what was typed")


def test_vnc_stalled_and_hostile_clients():
    with Novt("stall", "-vnc", vnc(PORT + 2)).ready() as n:
        stalled = connect(PORT + 2, encodings=(rfb.RAW,))
        stalled.sock.setblocking(False)
        for _ in range(2000):  # asks for everything again and again, and reads nothing
            try:
                stalled.request(False)
            except BlockingIOError:
                break
        junk = [socket.create_connection(("127.0.0.1", PORT + 2)) for _ in range(30)]
        for i, s in enumerate(junk):
            try:
                s.send((b"RFB 003.008\n\1\1" if i % 2 else b"") + os.urandom(100 + 300 * i))
            except OSError:
                pass
        c = connect(PORT + 2)
        c.update(False)
        c.type("still here")
        expect("stall", "ready:still here")
        wait_for(lambda: c.update(timeout=5) and c.lit() > 500, "the picture")
        for s in junk:
            s.close()
        stalled.close()
        check(n.p.poll() is None, "novt ended")


def test_vnc_costs_nothing_when_nothing_moves():
    with Novt("idle", "-vnc", vnc(PORT + 3)).ready() as n:
        c = connect(PORT + 3)
        c.update(False)
        settle(c)
        c.request()
        before, updates = cpu_seconds(n.p.pid), c.updates
        time.sleep(3)
        used = cpu_seconds(n.p.pid) - before
        check(used < 0.3 * SLOW, f"{used:.2f} s of CPU in 3 s, {c.updates - updates} updates")


def test_vnc_password():
    """None before a monitor sets one; by the command line; wrong ones and none at all."""
    def refused(port, **kw):
        try:
            connect(port, **kw)
        except (PermissionError, AssertionError):
            return True
        return False

    qmp, secret = os.path.join(TMP, "pw.qmp"), os.path.join(TMP, "pw.secret")
    with open(secret, "w") as f:
        f.write("geheim\n")
    with Novt("pw", "-vnc", vnc(PORT + 10) + ",password=on", "-monitor", f"unix:{qmp},server,nowait").ready():
        s = socket.socket(socket.AF_UNIX)
        s.connect(qmp)

        def say(line):
            s.sendall(line.encode() + b"\n")
            out = b""
            while out.count(b"(qemu) ") < 1 or not out.endswith(b"(qemu) ") or line.split()[0].encode() not in out:
                out += s.recv(4096)
            return out.decode()

        check(refused(PORT + 10, password=""), "an empty password before there is one")
        check("Error" in say("set_password spice x") and "Error" not in say("set_password vnc first"), "set_password")
        check(refused(PORT + 10) and refused(PORT + 10, password="First"), "without and with a wrong one")
        for version in (3, 7, 8):
            check(refused(PORT + 10, password="second", version=version), "a wrong one")
            connect(PORT + 10, password="first", version=version).update(False)
        check("Error" not in say("change vnc password second-that-is-long"), "change")
        check(refused(PORT + 10, password="first"), "the old one")
        connect(PORT + 10, password="second-t").update(False)
        say("expire_password vnc now")
        check(refused(PORT + 10, password="second-t"), "one that is no longer valid")
        say("expire_password vnc +60")
        connect(PORT + 10, password="second-t").update(False)
    with Novt("pw2", "-object", f"secret,id=s,file={secret}", "-vnc", vnc(PORT + 11) + ",password-secret=s").ready():
        check(refused(PORT + 11, password="geheim\n"), "the newline does not count")
        connect(PORT + 11, password="geheim").update(False)


def test_vnc_ports():
    with Novt("port", "-vnc", vnc(PORT + 4)).ready():
        rc, out = run("-vnc", vnc(PORT + 4), "-drive", f"file={DISK},format=raw,snapshot=on", "--timeout", "20")
        check(rc == 3 and "is taken" in out and "remedy" in out, f"{rc} {out}")
        with Novt("to", "-vnc", vnc(PORT + 4) + ",to=9").ready():
            connect(PORT + 5).update(False)
    for bad in ("", "5", ":x", ":99999", "::", "localhost", ":1,password=maybe", ":1,password-secret=x", ":1,tls-creds=x"):
        rc, out = run("-vnc", bad)
        check(rc == 2 and "remedy" in out, f"{bad}: {rc} {out}")
    rc, out = run("-vnc", "192.0.2.1:1")
    check(rc == 3 and "remedy" in out, f"{rc} {out}")
    path = os.path.join(TMP, "vnc.sock")
    with Novt("unix", "-display", "vnc=unix:" + path).ready():
        c = rfb.Client(path)
        c.update(False)
        wait_for(lambda: c.update() and c.lit() > 500, "a picture")


# ---- a kernel's own drivers ----

def test_linux_keyboard_and_mouse():
    """Linux's atkbd and psmouse; the pointer's way and clicks arrive whole."""
    kernel, initrd = (os.path.join(GUESTS, f) for f in ("vmlinuz-686-pae", "initrd-modules.gz"))
    if not os.path.exists(initrd):
        raise Skip("no guests: scripts/guest --tests fetches them")
    p = subprocess.Popen([NOVT, "-kernel", kernel, "-initrd", initrd, "-append", "console=ttyS0 quiet", "-m", "256", "-nic", "none",
                          "-serial", "stdio", "-vnc", vnc(PORT + 7), "--timeout", "100"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT)
    said = []

    def says(word):
        while word not in "".join(said):
            data = os.read(p.stdout.fileno(), 4096).decode(errors="replace").replace("\r", "")
            check(data, "the guest ended: " + "".join(said)[-500:])
            said.append(data)

    try:
        says("novt#")
        p.stdin.write(b"modprobe psmouse; sleep 2; dmesg | grep -c 'Generic Explorer Mouse'; cat /dev/tty1 & "
                      b"echo 'r'eady; od -v -A n -t d1 -w3 /dev/input/mice\n")
        p.stdin.flush()
        says("ready\n")
        time.sleep(0.5)
        check("\n1\n" in "".join(said), "psmouse knows an Explorer mouse: " + "".join(said)[-300:])
        c = connect(PORT + 7)
        c.type("Hello, Linux: |~\n")
        says("Hello, Linux: |~\n")
        del said[:]
        at = (500, 500)
        for x, y, mask in ((500, 500, 0), (900, 450, 0), (900, 451, 1), (900, 451, 0), (899, 451, 4), (899, 451, 0)):
            c.pointer(x, y, mask)
            at = (x, y)
            time.sleep(0.1)
        says("   26   -1    0\n    8    0    0\n")  # the last click
        packets = [tuple(int(v) for v in line.split()) for line in "".join(said).split("\n") if len(line.split()) == 3]
        check(sum(q[1] for q in packets) == at[0] - 500 and sum(q[2] for q in packets) == 500 - at[1], f"the way: {packets}")
        check([q[0] & 7 for q in packets if q[0] & 7] == [1, 2], f"the buttons: {packets}")
    finally:
        p.kill()
        p.communicate()


# ---- SDL ----

# SDL and what it loads keep some memory to the end.
SDL_ENV = dict(os.environ, ASAN_OPTIONS=os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0")


def test_sdl_dummy():
    env = dict(SDL_ENV, SDL_VIDEODRIVER="dummy")
    with Novt("dummy", "-display", "sdl", env=env).ready() as n:
        n.p.send_signal(signal.SIGTERM)
        check(n.p.wait(20) == 143, "the end by a signal")
    bare = {k: v for k, v in SDL_ENV.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER")}
    rc, out = run("-display", "sdl", "--timeout", "20", env=dict(bare, SDL_VIDEODRIVER="x11"))
    check(rc == 3 and "remedy" in out, f"{rc} {out}")


def pipes(pid):
    """How long threads of a software OpenGL have run."""
    ran = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/comm") as f:
            name = f.read()
        with open(f"/proc/{pid}/task/{task}/schedstat") as f:
            ran += int(f.read().split()[0]) if "pipe" in name else 0
    return ran


def test_sdl_window():
    read, write = os.pipe()
    x = subprocess.Popen(["Xvfb", "-displayfd", str(write), "-screen", "0", "1024x768x24", "-nolisten", "tcp"], pass_fds=[write],
                         stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.close(write)
    try:
        display = ":" + os.read(read, 16).decode().strip()
        env = dict(SDL_ENV, DISPLAY=display, SDL_VIDEODRIVER="x11")

        def xdo(*args):
            return subprocess.run(["xdotool", *args], env=env, capture_output=True, timeout=30).stdout.decode()

        with Novt("sdl", "-display", "sdl", "-name", "the guest", env=env).ready() as n:
            window = wait_for(lambda: xdo("search", "--name", "NoVT .the guest").strip(), "the window")
            wait_for(lambda: "Geometry: 720x400" in xdo("getwindowgeometry", window), "its size")
            xdo("windowfocus", window)
            time.sleep(0.3)
            xdo("key", "a")
            xdo("key", "shift+b")
            xdo("key", "F1")
            xdo("key", "Up")
            # A busy host may hold a key down for so long that it repeats.
            wait_for(lambda: re.fullmatch("ready:a+B+(<3B>)+(<48>)+", heard("sdl")), "the keys")
            before = pipes(n.p.pid)
            time.sleep(1)  # the cursor blinks: there is something to draw
            check(pipes(n.p.pid) == before, "the CPU plays graphics card for the window")
            xdo("key", "F10")
            wait_for(lambda: "Geometry: 720x400" not in xdo("getwindowgeometry", window), "the size of the graphics mode")
            before = cpu_seconds(n.p.pid)
            time.sleep(2)
            check(cpu_seconds(n.p.pid) - before < 0.3 * SLOW, "CPU while nothing moves")
            n.p.send_signal(signal.SIGINT)
            check(n.p.wait(20) == 130, "the end by a signal")
    finally:
        x.terminate()
        x.wait()


def main():
    names = sys.argv[2:]
    failed = passed = 0
    subprocess.run(["nasm", "-f", "bin", "-o", DISK, os.path.join(HERE, "keys.asm")], check=True)
    for name, fn in sorted(globals().items()):
        if not name.startswith("test_") or (names and not any(n in name for n in names)):
            continue
        start = time.time()
        try:
            fn()
            word = "ok"
            passed += 1
        except Skip as e:
            word = f"skipped: {e}"
        except (Fail, subprocess.TimeoutExpired, OSError, EOFError, AssertionError, ValueError) as e:
            word = f"FAIL {type(e).__name__} {e}"
            failed += 1
        print(f"{name[5:]:40} {time.time() - start:6.2f} s  {word}", flush=True)
    shutil.rmtree(TMP, ignore_errors=True)
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
