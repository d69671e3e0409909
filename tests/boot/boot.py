#!/usr/bin/env python3
"""Boots Debian's i386 kernels, its installer and memtest86+, and checks what a person would see there.

    boot.py [--kernel 686|686-pae] [-m MIB] [--count N] [--case NAME]... [--patience N] [-- NOVT OPTIONS...]

Cases: shell (date, arithmetic, a pipe, a checksum of 64 MB, power-off with exit code 0), reboot (comes up a second time),
noreboot (-no-reboot ends the program), idle (host CPU time at the prompt), memory (host memory beyond the guest's own),
notty (no input at all), oldcpu (CPU models that the kernel refuses: its words reach the user); whatever --kernel says:
installer-serial, installer-screen (the first dialog of Debian's text installer), memtest (memtest86+ gets through all tests but the
slow last one), memtest-pass (a whole pass, more than three minutes). --patience: all time limits times N, for slow hosts and
slow options. NOVT names another program, NOVT_GUESTS the guests. Last line: N passed, N failed.
"""
import argparse
import contextlib
import functools
import hashlib
import os
import re
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../scripts"))
from vmcases import NOVT, PROMPT, PatientVM, ask, expect, guest, run_cases  # noqa: E402

BOOT_S = 120
INSTALLER_S = 240
OWN_IMAGES = ("installer", "memtest")  # cases that do not boot --kernel
IDLE_PERCENT = 3.0
OVERHEAD_MIB = 64
HOST_HZ = os.sysconf("SC_CLK_TCK")


def command(args, append="console=ttyS0", extra=("-no-reboot",), kernel=None, initrd="initrd.gz"):
    return [NOVT, "-m", str(args.m), "-kernel", guest(kernel or "vmlinuz-" + args.kernel), *(("-initrd", guest(initrd)) if initrd else ()),
            "-append", append, "-nographic", *extra, *args.options]


def power_off(vm):
    vm.send("poweroff -f\n")
    code = vm.finish(60)
    expect(code == 0, f"exit code {code} after poweroff -f, not 0")


def case_shell(args):
    with PatientVM(command(args)) as vm:
        seconds = vm.wait(PROMPT, BOOT_S)
        before = int(time.time())
        date = int(ask(vm, "date +%s"))
        slack = 3 * args.patience  # a guest that does not get its ticks may lose a turn of a clock
        expect(before - slack <= date <= time.time() + slack, f"the guest's clock shows {date}, the host's {before}")
        expect(ask(vm, "echo $((123456 * 789 % 1000003))") == str(123456 * 789 % 1000003), "arithmetic differs")
        expect(ask(vm, "seq 1000 | grep 7 | wc -l") == str(sum("7" in str(i) for i in range(1, 1001))), "pipe differs")
        with open(os.path.join(os.path.dirname(command(args)[4]), "busybox"), "rb") as f:
            busybox = f.read()
        times = (64 << 20) // len(busybox) + 1
        line = f"for i in $(seq {times}); do cat /bin/busybox; done | sha256sum"
        digest = hashlib.sha256(busybox * times).hexdigest()
        got = ask(vm, line, 240).split(" ")[0]
        expect(got == digest, f"checksum {got}, not {digest}")
        expect(ask(vm, "dmesg | grep -c ' 0.000000. random: crng init done'") == "1", "the kernel did not take the loader's seed")
        dmesg = ask(vm, "dmesg | grep -ciE 'oops|BUG:|soft lockup|call trace|unhandled|spurious'")
        expect(dmesg == "0", f"the kernel complains {dmesg} times")
        power_off(vm)
    return f"prompt after {seconds:.2f} s"


def case_reboot(args):
    with PatientVM(command(args, extra=())) as vm:
        vm.wait(PROMPT, BOOT_S)
        vm.send("reboot -f\n")
        vm.wait("Linux version", BOOT_S)
        vm.wait(PROMPT, BOOT_S)
        power_off(vm)
    return "came up twice"


def case_noreboot(args):
    with PatientVM(command(args)) as vm:
        vm.wait(PROMPT, BOOT_S)
        vm.send("reboot -f\n")
        code = vm.finish(60)
    expect(code == 0, f"exit code {code} after reboot -f with -no-reboot, not 0")
    return "ended"


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / HOST_HZ


def case_idle(args):
    with PatientVM(command(args)) as vm:
        vm.wait(PROMPT, BOOT_S)
        time.sleep(2)
        percent = 100.0
        for _ in range(3):  # the quietest of three spans: other work on the host makes each wake-up dearer
            before = cpu_seconds(vm.proc.pid)
            time.sleep(4)
            percent = min(percent, (cpu_seconds(vm.proc.pid) - before) / 4 * 100)
        power_off(vm)
    expect(percent < IDLE_PERCENT, f"an idle guest takes {percent:.1f} % of a core, {IDLE_PERCENT} at most")
    return f"{percent:.1f} % of a core"


def host_cost_mib(pid):
    """Memory of the process that is not guest RAM: private pages, other memfds, page tables."""
    with open(f"/proc/{pid}/smaps_rollup") as f:
        kib = {m[1]: int(m[2]) for m in re.finditer(r"^(\w+):\s+(\d+) kB", f.read(), re.M)}
    with open(f"/proc/{pid}/status") as f:
        pte = int(re.search(r"VmPTE:\s+(\d+) kB", f.read())[1])
    memfds = {}
    for fd in os.listdir(f"/proc/{pid}/fd"):
        path = f"/proc/{pid}/fd/{fd}"
        try:
            if os.readlink(path).startswith("/memfd:"):
                st = os.stat(path)
                memfds[st.st_ino] = st.st_blocks / 2
        except OSError:
            pass
    sizes = sorted(memfds.values())
    return (kib["Pss_Anon"] + kib["Pss_File"] + pte + sum(sizes[:-1])) / 1024, (sizes or [0])[-1] / 1024


def case_memory(args):
    with PatientVM(command(args)) as vm:
        vm.wait(PROMPT, BOOT_S)
        expect(ask(vm, "dd if=/dev/zero of=/tmp/x bs=1M count=64 2>/dev/null; wc -c < /tmp/x") == str(64 << 20), "dd failed")
        cost, ram = host_cost_mib(vm.proc.pid)
        power_off(vm)
    expect(ram > 0, "the program keeps guest RAM in no memfd")
    expect(ram < 320, f"{ram:.0f} MiB of guest RAM are resident after touching 64 MiB")
    expect(cost < OVERHEAD_MIB, f"{cost:.0f} MiB of host memory beyond guest RAM, {OVERHEAD_MIB} at most")
    return f"{cost:.0f} MiB beyond {ram:.0f} MiB of guest RAM"


def case_notty(args):
    append = 'console=ttyS0 run="echo from the command line"'
    out = subprocess.run(command(args, append), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=BOOT_S)
    expect(out.returncode == 0, f"exit code {out.returncode}; {out.stderr[-500:]}")
    expect("\nfrom the command line" in out.stdout.replace("\r", ""), "no output of the guest: " + out.stdout[-500:])
    return "ran"


def case_oldcpu(args):
    for model, words in (("486", "requires an i"), ("pentium", "cmov" if args.kernel == "686" else "requires an i686 CPU")):
        cmd = command(args, extra=("-no-reboot", "-cpu", model, "--timeout", "4"))
        out = subprocess.run(cmd, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=BOOT_S)
        expect(out.returncode == 124, f"{model}: exit code {out.returncode}; {out.stderr[-500:]}")
        expect(words in out.stderr, f"{model}: not a word of it: {out.stderr[-500:]}")
    return "refuses"


# ---- guests with a screen ----

@contextlib.contextmanager
def screen_file():
    """A path for --dump-screen."""
    with tempfile.TemporaryDirectory(prefix="novt-boot-") as tmp:
        yield os.path.join(tmp, "screen")


def terminate(vm, file):
    """Ends the program as kill does; what the screen showed."""
    vm.proc.terminate()
    code = vm.finish(30)
    expect(code == 143, f"exit code {code} after SIGTERM, not 143")
    with open(file, encoding="utf-8") as f:
        return f.read()


def settle(vm, seconds, limit):
    """Waits until the machine takes next to no CPU time for a while; false at the limit."""
    deadline = time.monotonic() + limit * vm.patience
    while time.monotonic() < deadline:
        before = cpu_seconds(vm.proc.pid)
        time.sleep(seconds)
        if cpu_seconds(vm.proc.pid) - before < 0.08 * seconds:
            return True
    return False


def installer(args, append, extra=()):
    return command(args, append, extra, "installer-linux", "installer-initrd.gz")


def case_installer_serial(args):
    with PatientVM(installer(args, "console=ttyS0")) as vm:
        vm.wait("Run /init", BOOT_S)
        vm.wait("Choose the language", INSTALLER_S)
        seconds = vm.wait("English", 20)
        vm.proc.terminate()
        expect(vm.finish(30) == 143, "no clean end")
    return f"asked for the language after {seconds:.1f} s"


def case_installer_screen(args):
    """Kernel messages go to both, the dialog to the screen alone. When it is there the guest sleeps."""
    with screen_file() as file:
        with PatientVM(installer(args, "console=ttyS0 console=tty0 nomodeset", ("--dump-screen", file))) as vm:
            vm.wait("Run /init", BOOT_S)
            expect(settle(vm, 4, INSTALLER_S), "the installer does not come to rest")
            screen = terminate(vm, file)
    for words in ("┤ [!!] Select a language ├", "Choose the language to be used", "<Go Back>", "French               -  Français"):
        expect(words in screen, f"no {words!r} on the screen:\n{screen}")
    return "asked for the language"


def memtest(args, what, timeout):
    """Runs memtest86+ to a point on the serial line; the seconds, the screen then, and all numbers of errors that were shown."""
    with screen_file() as file:
        cmd = command(args, "console=ttyS0,115200", ("--dump-screen", file), "memtest86+ia32.bin", None)
        with PatientVM(cmd) as vm:
            vm.wait("Memtest86+ v6", 60)
            seconds = vm.wait(what, timeout)
            time.sleep(2)  # the screen is ahead of the serial line, which is refreshed every two seconds
            screen = terminate(vm, file)
        errors = set(re.findall(r"Errors: *(\d+)", vm.text + screen))
    expect(errors == {"0"}, f"errors: {errors}\n{screen}")
    expect(f"Memory  : {args.m:4}MB" in screen or args.m >= 1024, f"not {args.m} MB:\n{screen}")
    return seconds, screen


def case_memtest(args):
    seconds, screen = memtest(args, "[Bit fade test, 2 patterns]", 600)
    expect("#10 [Bit fade test, 2 patterns]" in screen and "Pass:  0        Errors: 0" in screen, f"screen:\n{screen}")
    return f"all but the last test in {seconds:.1f} s"


def case_memtest_pass(args):
    seconds, screen = memtest(args, "Pass:  1        Errors: 0", 3600)
    expect("Pass:  1        Errors: 0" in screen, f"screen:\n{screen}")
    return f"a whole pass in {seconds:.1f} s"


CASES = {"shell": case_shell, "reboot": case_reboot, "noreboot": case_noreboot, "idle": case_idle,
         "memory": case_memory, "notty": case_notty, "oldcpu": case_oldcpu, "installer-serial": case_installer_serial,
         "installer-screen": case_installer_screen, "memtest": case_memtest, "memtest-pass": case_memtest_pass}


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--kernel", default="686-pae")
    ap.add_argument("-m", type=int, default=512)
    ap.add_argument("--count", type=int, default=1)
    ap.add_argument("--case", action="append", choices=list(CASES))
    ap.add_argument("--patience", type=float, default=1.0)
    ap.add_argument("options", nargs="*")
    args = ap.parse_args()
    PatientVM.patience = args.patience
    cases = []
    for name in (args.case or ["shell"]) * args.count:
        label = f"{name} -m {args.m}" if name.startswith(OWN_IMAGES) else f"{name} {args.kernel} -m {args.m}"
        cases.append((label, functools.partial(CASES[name], args)))
    return run_cases(cases)


if __name__ == "__main__":
    sys.exit(main())
