"""What the tests that drive a whole novt share: where program and guests are, cases, and their sum.

A case is a function that returns what is to be told of it, or ends by expect(). NOVT names another program, NOVT_GUESTS the guests.
"""
import os
import subprocess
import termios
import time

from vmdrive import VM, Timeout

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
NOVT = os.environ.get("NOVT", os.path.join(ROOT, "build/release/novt"))
GUESTS = os.environ.get("NOVT_GUESTS", os.path.join(ROOT, "build/guests"))
PROMPT = "novt# "  # of the demo's shell


class Bad(Exception):
    pass


def expect(ok, text):
    if not ok:
        raise Bad(text)


class PatientVM(VM):
    """Every limit times patience."""
    patience = 1.0

    def wait(self, what, timeout):
        return super().wait(what, timeout * self.patience)

    def finish(self, timeout):
        return super().finish(timeout * self.patience)


def guest(name):
    return os.path.join(GUESTS, name)


def linux(kernel, *options, m=128, initrd="initrd.gz", append="console=ttyS0"):
    """The command for Debian's kernel (686 or 686-pae) with its console here."""
    return [NOVT, "-m", str(m), "-kernel", guest("vmlinuz-" + kernel), "-initrd", guest(initrd), "-append", append, "-nographic", *options]


def ask(vm, line, timeout=60):
    """The output of one command at the prompt."""
    vm.send(line + "\n")
    vm.wait(line + "\n", timeout)
    start = vm.pos
    vm.wait(PROMPT, timeout)
    return vm.text[start:vm.pos - len(PROMPT)].strip()


def run_cases(cases):
    """cases: (label, function). One line each, then the sum; the exit code."""
    passed = failed = 0
    for label, case in cases:
        start = time.monotonic()
        try:
            said = case()
            word, passed = "ok  ", passed + 1
        except (Bad, Timeout, OSError, ValueError, LookupError, TypeError, termios.error, subprocess.SubprocessError) as e:
            said = f"{type(e).__name__} {str(e)[-2000:]}"
            word, failed = "FAIL", failed + 1
        print(f"{word} {label}, {time.monotonic() - start:.1f} s" + (f": {said}" if said else ""), flush=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0
