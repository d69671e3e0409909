#!/usr/bin/env python3
"""Debian's gdb debugs a Debian kernel, by script: from the first instruction of the BIOS to user space.

    linux.py [--kernel 686|686-pae] [--engine auto|bt|direct]

The reset vector, the kernel's 32-bit entry, its first instruction at its final place, then with the shell up: a breakpoint in a
system call, watchpoints on its stack, a breakpoint at busybox's entry in ring 3 with single steps, an interrupt; at the end
gdb detaches and the guest powers off. NOVT and NOVT_GUESTS as for boot.py.
Last line: N passed, N failed.
"""
import argparse
import functools
import os
import re
import struct
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../scripts"))
from vmcases import PROMPT, Bad, guest, linux, run_cases  # noqa: E402
from vmdrive import VM  # noqa: E402

STEP_S = 120


class Gdb(VM):
    def __init__(self):
        super().__init__(["gdb", "-nx", "-q", "-ex", "set pagination off", "-ex", "set confirm off", "-ex", "set width 0"])
        self.wait("(gdb) ", STEP_S)

    def do(self, command):
        start = self.pos
        self.send(command + "\n")
        self.wait("(gdb) ", STEP_S)
        return self.text[start:self.pos - len("(gdb) ")]

    def value(self, what):
        answer = self.do(f"output/x {what}")
        m = re.search(r"0x([0-9a-f]+)", answer)
        if not m:
            raise Bad(f"{what} is {answer!r}")
        return int(m[1], 16)

    def expect(self, command, pattern):
        answer = self.do(command)
        if not re.search(pattern, answer):
            raise Bad(f"{command!r} gave {answer!r}, not {pattern!r}")
        return answer

    def equal(self, what, want):
        got = self.value(what)
        if got != want:
            raise Bad(f"{what} is {got:#x}, not {want:#x}")


def bios(gdb, args):
    gdb.expect(f"target remote {args.socket}", r"0x0000fff0")
    gdb.equal("$cs", 0xf000)
    gdb.equal("$cs_base + $eip", 0xfffffff0)
    gdb.expect("info registers eip cr0", r"cr0 +0x60000010")
    gdb.do("stepi")
    if gdb.value("$cs_base") != 0xf0000:
        raise Bad("the first jump leads elsewhere")


def kernel_entry(gdb, args):
    gdb.do("tbreak *0x100000")
    gdb.expect("continue", r"0x00100000")
    gdb.equal("$cr0 & 0x80000001", 1)
    gdb.do("hbreak *0x1000000")
    gdb.expect("continue", r"0x01000000")
    gdb.do("delete")
    gdb.do("stepi")


def shell(gdb, args):
    gdb.send("continue\n")
    args.vm.wait(PROMPT, STEP_S)
    args.vm.send("grep -E ' (__ia32_)?sys_getpid$' /proc/kallsyms\n")
    args.vm.wait(PROMPT, STEP_S)
    m = re.search(r"^([0-9a-f]{8}) [tT] (__ia32_)?sys_getpid$", args.vm.text, re.M)
    if not m:
        raise Bad("no getpid in /proc/kallsyms")
    args.getpid = int(m[1], 16)
    gdb.proc.send_signal(2)
    gdb.wait("(gdb) ", STEP_S)
    if "SIGINT" not in gdb.text[-400:]:
        raise Bad("not interrupted: " + gdb.text[-400:])


def system_call(gdb, args):
    gdb.do(f"break *{args.getpid:#x}")
    gdb.send("continue\n")
    args.vm.send("sh -c 'echo pid $$'\n")
    gdb.wait("(gdb) ", STEP_S)
    gdb.equal("$eip", args.getpid)
    gdb.equal("$cs & 3", 0)
    if not gdb.value("$cr3") or gdb.value("*(unsigned*)$esp") < 0xc0000000:
        raise Bad("no return address of the kernel's on the stack")
    gdb.do("delete")


def watchpoints(gdb, args):
    """The stack below the system call's frame is written, its return address read."""
    sp, back = gdb.value("$esp"), gdb.value("*(unsigned *)$esp")
    gdb.do(f"set *(unsigned *){sp - 4:#x} = 0x12345")
    gdb.do(f"watch *(unsigned *){sp - 4:#x}")
    gdb.expect("continue", r"Old value = 74565\s+New value = \d+")
    gdb.do("delete")
    gdb.do(f"rwatch *(unsigned *){sp:#x}")
    gdb.expect("continue", rf"Value = {back}\b")
    gdb.equal("$eip", back)
    gdb.do("delete")


def user_space(gdb, args):
    with open(guest("busybox"), "rb") as f:
        entry = struct.unpack_from("<I", f.read(28), 24)[0]
    gdb.do(f"break *{entry:#x}")
    gdb.send("continue\n")
    args.vm.send("\nuname -m\n")
    gdb.wait("(gdb) ", STEP_S)
    gdb.equal("$eip", entry)
    gdb.equal("$cs & 3", 3)
    if not 1 <= gdb.value("*(int *)$esp") <= 9:  # argc
        raise Bad("no argument count on the stack")
    for _ in range(10):
        gdb.do("stepi")
    gdb.equal("$cs & 3", 3)
    gdb.do("delete")
    gdb.expect("detach", r"detached")
    args.vm.wait("i686", STEP_S)
    args.vm.wait(PROMPT, STEP_S)


CASES = [bios, kernel_entry, shell, system_call, watchpoints, user_space]


def told(case, gdb, args):
    """Each case goes on where the one before it stopped: after a failure the rest fail, too, and the first tells what gdb said."""
    if args.failed:
        raise Bad("after a failure")
    args.failed = True
    try:
        case(gdb, args)
    except Bad as e:
        raise Bad(f"{e}\n# gdb: " + gdb.text[-1500:].replace("\n", "\n# ")) from None
    args.failed = False


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--kernel", default="686-pae")
    ap.add_argument("--engine", default="auto")
    args = ap.parse_args()
    args.failed = False
    with tempfile.TemporaryDirectory() as directory:
        args.socket = os.path.join(directory, "gdb")
        with VM(linux(args.kernel, "-no-reboot", "-engine", args.engine, "-S", "-gdb", "unix:" + args.socket, m=256,
                      append="console=ttyS0 nokaslr")) as vm:
            args.vm = vm
            for _ in range(100):
                if os.path.exists(args.socket):
                    break
                time.sleep(0.1)
            with Gdb() as gdb:
                failed = run_cases((case.__name__, functools.partial(told, case, gdb, args)) for case in CASES)
                if not failed:
                    vm.send("poweroff -f\n")
                    vm.finish(STEP_S)
                return failed


if __name__ == "__main__":
    sys.exit(main())
