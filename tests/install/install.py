#!/usr/bin/env python3
"""An installed Debian system for i386 (scripts/mkdebian makes its disk) does what people do with one.

    install.py [--case NAME]... [--patience N] [--keep DIR] [-- NOVT OPTIONS...]

Cases:
  use   GRUB's menu on VGA and serial line, a key chooses; login on the serial line and, by keyboard, on the screen; no failed unit, no
        unknown warning of the kernel's; apt-get update and install from a throwaway repository on the host's loopback; ssh and a file
        through hostfwd; gcc compiles 8,000 lines, the program prints what the host's own compiler says; poweroff ends with exit code 0
        and leaves a clean file system
  save  the same compiler is stopped in the middle by stop, savevm and quit; -loadvm in a new process goes on, makes the same bytes
        as the compiler that was not disturbed, and takes new ssh connections; apt, poweroff and file system as above
  speed (only when asked for) from start to login prompt and power-off, NoVT and qemu-system-i386 -accel tcg in turn: wall and CPU time
NOVT names another program, NOVT_DEBIAN the directory of disk.raw; the disk itself stays as it is. --patience: all limits times N,
and no offence is taken at what the kernel says of late ticks, for hosts that have other work. --keep: logs and pictures go there.
Last line: N passed, N failed.
"""
import argparse
import functools
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(os.path.dirname(os.path.dirname(HERE)), "scripts"), HERE]
import program  # noqa: E402
from host import Monitor, Repository, Ssh, free_port  # noqa: E402
from vmcases import NOVT, PROMPT, ROOT, PatientVM, expect, run_cases  # noqa: E402
from vmdrive import VM  # noqa: E402

BOOT_S = 240
PASSWORD = "novt"
TIMES = os.sysconf("SC_CLK_TCK")

# What the kernel says of this PC at warning level and above.
KNOWN = (
    "ACPI: setting ELCR to 0200",  # a chipset with its power management interrupt on line 9
    "fail to add MMCONFIG information",  # 440FX has no such configuration space
    "device-mapper: core: CONFIG_IMA_DISABLE_HTABLE",  # of Debian's configuration
    "MPTABLE|BIOS bug, MP table|disabling SMP support|registers return all ones|weird, boot CPU",  # machines without local APIC
)
# What it says besides on a host that let the machine wait: ticks come late, all clocks but the ticks go on.
LATE = ("clocksource", "tsc: Unable to calibrate", "Unstable clock|local clock, then add|trace_clock=|on the kernel command line", "rcu|Call Trace",
        "soft lockup", "^ |^task:|^CPU:|^Hardware name|^EIP|^Code|^E[A-Z]X|^ESI|^DS:|^CR0", "hrtimer: interrupt took")


def disk():
    path = os.path.join(os.environ.get("NOVT_DEBIAN", os.path.join(ROOT, "build/debian")), "disk.raw")
    expect(os.path.exists(path), f"there is no {path}: scripts/mkdebian makes it")
    return path


class Machine(PatientVM):
    """The installed system; .ask() runs one line in a shell on the serial line."""

    def __init__(self, args, tmp, image, *more):
        self.args, self.tmp, self.image = args, tmp, image
        self.port = free_port()
        self.path = os.path.join(tmp, f"monitor{self.port}")
        self.patience = args.patience
        super().__init__([NOVT, "-m", "512", "-drive", f"file={image},format=raw,if=ide", "-nic",
                          f"user,model=e1000,hostfwd=tcp:127.0.0.1:{self.port}-:22", "-serial", "stdio", "-display", "none", "-no-reboot",
                          "-monitor", f"unix:{self.path},server=on,wait=off", *more, *args.options])
        self.monitor = Monitor(self.path, self.proc)
        self.ssh = Ssh(tmp, self.port, args.patience)

    def __exit__(self, *exc):
        if self.args.keep:
            with open(os.path.join(self.args.keep, f"serial-{self.port}.txt"), "w", encoding="utf-8") as f:
                f.write(self.text)
        super().__exit__(*exc)

    def picture(self, name):
        if self.args.keep:
            self.monitor.do("screendump " + os.path.join(self.args.keep, name + ".png") + " -f png")

    def ask(self, line, timeout=120):
        self.send(line + "\n")
        start = self.pos
        self.wait(PROMPT, timeout)
        return self.text[start:self.pos - len(PROMPT)].strip()

    def login(self):
        self.wait("login: ", BOOT_S)
        self.send("root\n")
        self.wait("Password: ", 60)
        self.send(PASSWORD + "\n")
        self.wait("root@debian:~# ", 60)
        self.send("stty -echo; dmesg -n 1; PS1='novt''# ' exec sh\n")  # a shell that only says what it is asked
        self.wait(PROMPT, 60)

    def type(self, text):
        names = {" ": "spc", "\n": "ret", ">": "shift-dot", "/": "slash", ".": "dot", "-": "minus"}
        for c in text:
            self.monitor.do("sendkey " + names.get(c, c))

    def power_off(self):
        self.send("poweroff\n")
        code = self.finish(120)
        expect(code == 0, f"exit code {code} after poweroff, not 0:\n" + self.text[-500:])
        out = subprocess.run(["e2fsck", "-fn", self.image + "?offset=1048576"], capture_output=True, text=True,
                             env={**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"})
        expect(out.returncode == 0, f"e2fsck: {out.returncode}: {out.stdout}{out.stderr}")
        with open(self.image, "rb") as f:
            f.seek((1 << 20) + 1024 + 56)
            magic, state = f.read(2), f.read(2)
        expect(magic == b"\x53\xef" and state == b"\1\0", f"the file system was not unmounted: state {state.hex()}")


def on_screen(vm, *patterns):
    """Waits until the text on the screen has all of them."""
    end = time.monotonic() + 30 * vm.patience
    while True:
        screen = vm.monitor.do("info screen")
        if all(re.search(p, screen) for p in patterns):
            return
        expect(time.monotonic() < end, f"the screen never shows {patterns}:\n{screen}")
        time.sleep(0.1)


def boot_menu(vm):
    """GRUB's menu is on both; Enter on the PC's own keyboard chooses."""
    vm.wait("GNU GRUB", BOOT_S)
    vm.wait("Debian GNU/Linux", 60)
    on_screen(vm, "GNU GRUB", r"\*Debian GNU/Linux", "executed automatically")
    vm.picture("grub")
    vm.monitor.do("sendkey ret")


def screen_login(vm):
    """Login by keyboard on the screen; what the shell does there and what is shown must both be right."""
    for shown, keys in (("debian login:", "root\n"), ("Password:", PASSWORD + "\n"), ("root@debian:", "")):
        vm.ask(f"until grep -aq '{shown}' /dev/vcs1; do sleep 0.2; done")
        vm.type(keys)
    vm.type("tty > screen\n")
    got = vm.ask("until [ -s ~/screen ]; do sleep 0.2; done; cat ~/screen")
    expect(got == "/dev/tty1", "the shell on the screen says " + got)
    vm.picture("login")
    ppm = os.path.join(vm.tmp, "login.ppm")
    vm.monitor.do("screendump " + ppm)
    width, height, pixels = read_ppm(ppm)
    text = vm.ask(f"echo :; fold -w {width // 8} /dev/vcs1; echo .").split("\n")[1:height // 16 + 1]
    expect(any(re.match("debian login: root", line) for line in text), f"the kernel's screen is {[line.strip() for line in text if line.strip()]}")
    same_text(width, pixels, text)


def read_ppm(path):
    with open(path, "rb") as f:
        magic, size, _, pixels = f.read().split(b"\n", 3)
    expect(magic == b"P6", "not a picture")
    width, height = (int(n) for n in size.split())
    return width, height, pixels


def same_text(width, pixels, text):
    """The picture (the kernel draws its console itself, with a font of 8 x 16) shows that text: everywhere one shape for a character, and
    another one for each other character."""
    shapes = {}
    for y, line in enumerate(text):
        for x, c in enumerate(line[:width // 8]):
            at = [((y * 16 + row) * width + x * 8) * 3 for row in range(16)]
            shape = b"".join(pixels[a:a + 24] for a in at)
            shapes.setdefault(c, {}).setdefault(shape, []).append((x, y))
    shapes[" "] = {s: at for s, at in shapes[" "].items() if len(at) > 1}  # one is the cursor's
    unsure = {c: list(places.values()) for c, places in shapes.items() if len(places) > 1}
    expect(not unsure, f"characters that look differently in different places: {unsure}")
    expect(len(shapes) > 20, f"only {len(shapes)} different characters on the screen")
    expect(len({shape for places in shapes.values() for shape in places}) == len(shapes), "different characters look the same")


def complaints(vm):
    state = vm.ask("systemctl is-system-running --wait; systemctl --failed --no-legend --no-pager")
    expect(state == "running", "systemd says " + state)
    known = KNOWN + LATE if vm.patience > 1 else KNOWN
    lines = vm.ask("dmesg -t -l emerg,alert,crit,err,warn; dmesg -t | grep -iE 'unstable|lockup|stall|transmit timed|nobody cared|I/O error|oops|BUG:'")
    unknown = [line for line in lines.split("\n") if line and not any(re.search(k, line) for k in known)]
    expect(not unknown, "the kernel says:\n" + "\n".join(unknown))


def apt(vm, tmp):
    with Repository(os.path.join(tmp, "repository")) as repo:
        vm.ask("echo 'deb [trusted=yes] " + repo.url + " ./' > /etc/apt/sources.list")
        out = vm.ask("apt-get update 2>&1 && apt-get -y install novt-test 2>&1; echo code $?", 240)
        expect(out.endswith("code 0"), "apt-get: " + out)
        got = vm.ask("novt-test; sha256sum < /usr/share/novt-test/data; cat /etc/novt-test")
        expect(got == f"hello from {repo.version}\n{repo.digest}  -\nconfigured", "the package: " + got)
        expect(vm.ask("apt-get -y purge novt-test > /dev/null 2>&1; dpkg -s novt-test 2>&1 | grep -c installed; ls /usr/share/novt-test 2>&1")
               .startswith("1\nls:"), "it cannot be purged")


def authorize(vm):
    vm.ask("mkdir -p -m 700 ~/.ssh; echo '" + vm.ssh.public() + "' > ~/.ssh/authorized_keys")


def build(vm, tmp):
    """The sources over ssh, compiled in the guest; the digest of the binary."""
    want = program_output(tmp)
    said = vm.ssh.run("uname -m; tty || true")
    expect(said == "i686\nnot a tty", "ssh: " + said)
    tar = subprocess.run(["tar", "-C", os.path.join(tmp, "src"), "-c", "."], check=True, capture_output=True).stdout
    vm.ssh.run("mkdir -p ~/src; tar -C ~/src -x; sync", data=tar)
    return want


def program_output(tmp):
    """What the program must print, by the host's compiler."""
    src = os.path.join(tmp, "src")
    if not os.path.exists(src):
        program.write(src)
    files = sorted(os.path.join(src, f) for f in os.listdir(src) if f.endswith(".c"))
    subprocess.run(["gcc", "-O1", "-o", os.path.join(tmp, "native"), *files], check=True)
    return subprocess.run([os.path.join(tmp, "native")], check=True, capture_output=True, text=True).stdout.strip()


def built(vm, want):
    """The digest of the program that a build has left, when it works."""
    got = vm.ask("~/src/program; cat ~/src/*.o ~/src/program | sha256sum")
    printed, _, digest = got.partition("\n")
    expect(printed == want, f"the program prints {printed}, the host's {want}")
    return digest


def case_use(args, tmp):
    image = args.image
    with Machine(args, tmp, image) as vm:
        boot_menu(vm)
        vm.login()
        seconds = time.monotonic() - vm.t0
        screen_login(vm)
        complaints(vm)
        authorize(vm)
        apt(vm, tmp)
        want = build(vm, tmp)
        start = time.monotonic()
        got = vm.ssh.run("~/src/build 2>&1; tail -1 ~/src/log", timeout=600)
        expect(got == "linked", "the build says " + got)
        compiled = time.monotonic() - start
        args.digest = built(vm, want)
        complaints(vm)
        vm.power_off()
    return f"login after {seconds:.1f} s, compiled in {compiled:.1f} s"


def case_save(args, tmp):
    image, state = args.image, os.path.join(tmp, "state")
    with Machine(args, tmp, image) as vm:
        vm.login()
        authorize(vm)
        want = build(vm, tmp)
        if not args.digest:
            vm.ask("~/src/build", 600)
            args.digest = built(vm, want)
        vm.ssh.run("sync; echo 3 > /proc/sys/vm/drop_caches")
        left = vm.ssh.start("cat /proc/sys/kernel/random/boot_id; exec sh -c 'while sleep 0.2; do echo tick; done'")
        boot_id = left.stdout.readline().strip()
        vm.send("~/src/build & wait; echo build ended; grep -c . ~/src/log\n")
        wait_for(lambda: len(vm.ssh.run("cat ~/src/log").split("\n")) >= 3, 120 * args.patience, "the third file")
        for line in ("stop", "savevm " + state):
            answer = vm.monitor.do(line)
            expect("rror" not in answer, answer)
        before = vm.text.count("build ended")
        expect(before == 0, "the build was over before it could be stopped")
        vm.monitor.quit()
        expect(vm.finish(60) == 0, "exit code after quit")
        left.kill()
        left.communicate()
    return resume(args, tmp, want, state, boot_id)


def wait_for(what, seconds, name):
    end = time.monotonic() + seconds
    while not what():
        expect(time.monotonic() < end, "no sign of " + name)
        time.sleep(0.1)


def resume(args, tmp, want, state, boot_id):
    with Machine(args, tmp, args.image, "-loadvm", state) as vm:
        log = vm.ssh.run("cat ~/src/log").split("\n")
        expect("linked" not in log, "nothing was left to compile")
        files = len(log)
        vm.wait("build ended\n", 600)
        vm.wait(PROMPT, 60)
        expect(built(vm, want) == args.digest, "another program than that of the compiler that was not disturbed")
        expect(vm.ssh.run("cat /proc/sys/kernel/random/boot_id") == boot_id, "that is another boot")
        wait_for(lambda: vm.ask("pgrep -fc 'while sleep [0]'") == "0", 60 * args.patience, "the end of the ssh session that was cut")
        before, start = float(vm.ask("cut -d' ' -f1 /proc/uptime")), time.monotonic()
        time.sleep(1)
        passed, real = float(vm.ask("cut -d' ' -f1 /proc/uptime")) - before, time.monotonic() - start
        expect(0.5 < passed < real + 5, f"{passed:.2f} s passed in {real:.2f} s")
        apt(vm, tmp)
        complaints(vm)
        vm.power_off()
    return f"saved while file {files} of {program.FILES + 1} was compiled, the same bytes"


def cpu_seconds(pid):
    """User and system time of a process that has just ended and was not waited for, or runs, with its children."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        fields = f.read().rpartition(")")[2].split()
    return sum(int(x) for x in fields[11:15]) / TIMES


def case_speed(args, tmp):
    qemu = [os.environ.get("QEMU", "qemu-system-i386"), "-accel", "tcg"]
    options = ["-m", "512", "-drive", f"file={args.image},format=raw,if=ide", "-nic", "user,model=e1000", "-serial", "stdio", "-display",
               "none", "-no-reboot", "-snapshot", "-monitor", "none"]
    got = {"novt": [], "tcg": []}
    for _ in range(args.rounds):
        for name, command in (("novt", [NOVT]), ("tcg", qemu)):
            with VM([*command, *options]) as vm:
                vm.wait("login: ", BOOT_S * args.patience)
                login = time.monotonic() - vm.t0, cpu_seconds(vm.proc.pid)
                vm.send("root\n")
                vm.wait("Password: ", 60)
                vm.send(PASSWORD + "\n")
                vm.wait("~# ", 60)
                vm.send("systemctl is-system-running --wait; poweroff\n")
                while vm._read(time.monotonic() + BOOT_S):
                    pass
                end = os.wait4(vm.proc.pid, 0)[2]
                vm.proc.returncode = 0
                got[name].append((*login, time.monotonic() - vm.t0, end.ru_utime + end.ru_stime))
    mid = {name: [statistics.median(column) for column in zip(*rows)] for name, rows in got.items()}
    text = []
    for i, what in enumerate(("login wall", "login CPU", "power-off wall", "power-off CPU")):
        a, b = mid["novt"][i], mid["tcg"][i]
        text.append(f"{what} {a:.1f} s, TCG {b:.1f} s ({a / b:.2f})")
    return "; ".join(text)


CASES = {"use": case_use, "save": case_save, "speed": case_speed}


def on_copy(case, args, tmp):
    subprocess.run(["cp", "--sparse=always", "--reflink=auto", disk(), args.image], check=True)
    return case(args, tmp)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--case", action="append", choices=list(CASES))
    ap.add_argument("--patience", type=float, default=1.0)
    ap.add_argument("--keep")
    ap.add_argument("--rounds", type=int, default=3)
    ap.add_argument("options", nargs="*")
    args = ap.parse_args()
    args.digest = None
    if args.keep:
        args.keep = os.path.abspath(args.keep)
        os.makedirs(args.keep, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="novt-install-") as tmp:
        args.image = os.path.join(tmp, "disk.raw")
        return run_cases((name, functools.partial(on_copy, CASES[name], args, tmp)) for name in args.case or ["use", "save"])


if __name__ == "__main__":
    sys.exit(main())
