#!/usr/bin/env python3
"""Boots Debian's i386 kernels to the shell and checks what a person would see there.

    boot.py [--kernel 686|686-pae] [-m MIB] [--count N] [--case NAME]... [-- NOVT OPTIONS...]

Cases: shell (date, arithmetic, a pipe, a checksum of 64 MB, power-off with exit code 0), reboot (comes up a second time),
noreboot (-no-reboot ends the program), idle (host CPU time at the prompt), memory (host memory beyond the guest's own),
notty (no input at all), oldcpu (CPU models that the kernel refuses: its words reach the user). NOVT names another program, NOVT_GUESTS the guests. Last line: N passed, N failed.
"""
import argparse
import hashlib
import os
import re
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "scripts"))
from vmdrive import VM, Timeout  # noqa: E402

PROMPT = "novt# "
BOOT_S = 120
IDLE_PERCENT = 3.0
OVERHEAD_MIB = 64
HOST_HZ = os.sysconf("SC_CLK_TCK")


class Bad(Exception):
    pass


def expect(ok, text):
    if not ok:
        raise Bad(text)


def command(args, append="console=ttyS0", extra=("-no-reboot",)):
    guests = os.environ.get("NOVT_GUESTS", os.path.join(ROOT, "build/guests"))
    program = os.environ.get("NOVT", os.path.join(ROOT, "build/release/novt"))
    return [program, "-m", str(args.m), "-kernel", os.path.join(guests, "vmlinuz-" + args.kernel), "-initrd",
            os.path.join(guests, "initrd.gz"), "-append", append, "-nographic", *extra, *args.options]


def ask(vm, line, timeout=60):
    """The output of one command at the prompt."""
    vm.send(line + "\n")
    vm.wait(line + "\n", timeout)
    start = vm.pos
    vm.wait(PROMPT, timeout)
    return vm.text[start:vm.pos - len(PROMPT)].strip()


def power_off(vm):
    vm.send("poweroff -f\n")
    code = vm.finish(60)
    expect(code == 0, f"exit code {code} after poweroff -f, not 0")


def case_shell(args):
    with VM(command(args)) as vm:
        seconds = vm.wait(PROMPT, BOOT_S)
        before = int(time.time())
        date = int(ask(vm, "date +%s"))
        expect(before - 3 <= date <= time.time() + 3, f"the guest's clock shows {date}, the host's {before}")
        expect(ask(vm, "echo $((123456 * 789 % 1000003))") == str(123456 * 789 % 1000003), "arithmetic differs")
        expect(ask(vm, "seq 1000 | grep 7 | wc -l") == str(sum("7" in str(i) for i in range(1, 1001))), "pipe differs")
        with open(os.path.join(os.path.dirname(command(args)[4]), "busybox"), "rb") as f:
            busybox = f.read()
        times = (64 << 20) // len(busybox) + 1
        line = f"for i in $(seq {times}); do cat /bin/busybox; done | sha256sum"
        digest = hashlib.sha256(busybox * times).hexdigest()
        got = ask(vm, line, 240).split(" ")[0]
        expect(got == digest, f"checksum {got}, not {digest}")
        dmesg = ask(vm, "dmesg | grep -ciE 'oops|BUG:|soft lockup|call trace|unhandled|spurious'")
        expect(dmesg == "0", f"the kernel complains {dmesg} times")
        power_off(vm)
    return f"prompt after {seconds:.2f} s"


def case_reboot(args):
    with VM(command(args, extra=())) as vm:
        vm.wait(PROMPT, BOOT_S)
        vm.send("reboot -f\n")
        vm.wait("Linux version", BOOT_S)
        vm.wait(PROMPT, BOOT_S)
        power_off(vm)
    return "came up twice"


def case_noreboot(args):
    with VM(command(args)) as vm:
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
    with VM(command(args)) as vm:
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
    with VM(command(args)) as vm:
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


CASES = {"shell": case_shell, "reboot": case_reboot, "noreboot": case_noreboot, "idle": case_idle,
         "memory": case_memory, "notty": case_notty, "oldcpu": case_oldcpu}


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--kernel", default="686-pae")
    ap.add_argument("-m", type=int, default=512)
    ap.add_argument("--count", type=int, default=1)
    ap.add_argument("--case", action="append", choices=list(CASES))
    ap.add_argument("options", nargs="*")
    args = ap.parse_args()
    passed = failed = 0
    for name in (args.case or ["shell"]) * args.count:
        label = f"{name} {args.kernel} -m {args.m}"
        try:
            print(f"ok   {label}: {CASES[name](args)}", flush=True)
            passed += 1
        except (Bad, Timeout, OSError, ValueError, subprocess.SubprocessError) as e:
            print(f"FAIL {label}: {e}", flush=True)
            failed += 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
