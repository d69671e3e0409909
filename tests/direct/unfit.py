#!/usr/bin/env python3
"""A loop in ring 3 one of whose pages may not be executed directly, under -engine auto.

    unfit.py

The loop calls a function on a page with a sensitive instruction that never runs. Each turn of it in a sandbox is two hand-offs, a thousand times
what it costs translated, and the guest's ticks are the only thing that ends its stretches, which are long: what the decision algorithm sees of
it says "direct". Promises: the program ends within a minute (minutes to hours without the count of such pages in sandbox_run.c), and a second
program of the same kind without that page runs directly all the same. NOVT names another program. Last line: N passed, N failed.
"""
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [HERE, os.path.join(ROOT, "scripts")]
from hostile import build  # noqa: E402
from programs import ODD_PAGE  # noqa: E402
from vmdrive import VM, Timeout  # noqa: E402

TURNS = 30_000_000
SENSITIVE = "        mov ax, cs\n"


def program(instruction):
    return f"""start:  mov ecx, 300000000 ; runs directly then, and no translation of the loop exists
.spin:  dec ecx
        jnz .spin
        mov ebp, {TURNS}
.more:  call odd
        dec ebp
        jnz .more
        EXIT 7
{ODD_PAGE}odd:    inc edi
        ret
        align 16
{instruction}        ret
"""


def run(directory):
    guests = os.environ.get("NOVT_GUESTS", os.path.join(ROOT, "build/guests"))
    novt = os.environ.get("NOVT", os.path.join(ROOT, "build/release/novt"))
    script, initrd = os.path.join(directory, "script"), os.path.join(directory, "initrd.gz")
    with open(script, "w") as f:
        f.write("".join(f'/p/{name}; echo "case {name}: $?"\n' for name in ("unfit", "unfit", "fit")))
    subprocess.run([os.path.join(ROOT, "scripts/mkinitrd"), initrd, "--base", os.path.join(guests, "initrd.gz"), "file:script=" + script, *build([("unfit", program(SENSITIVE)), ("fit", program(""))], directory)], check=True)
    with VM([novt, "-engine", "auto", "-m", "256", "-kernel", os.path.join(guests, "vmlinuz-686-pae"), "-initrd", initrd,
             "-append", "console=ttyS0 quiet", "-nographic", "-no-reboot", "--stats"]) as vm:
        vm.wait("case unfit: 7\n", 120)
        vm.wait("case unfit: 7\n", 60)
        vm.wait("case fit: 7\n", 60)
        code = vm.finish(60)
    entered = int(re.search(r"^direct\.entries\s+(\d+)$", vm.text, re.M)[1])
    return code, entered


def main():
    with tempfile.TemporaryDirectory() as directory:
        try:
            code, entered = run(directory)
        except (Timeout, OSError) as e:
            print(f"not ok {e}\n0 passed, 1 failed")
            return 1
    good = [("power-off", code == 0), ("entered sandboxes, but not at each turn", 0 < entered < TURNS // 1000)]
    for name, ok in good:
        print(f"{'ok' if ok else 'not ok'} {name}")
    print(f"# {entered} entries\n{sum(ok for _, ok in good)} passed, {sum(not ok for _, ok in good)} failed")
    return 0 if all(ok for _, ok in good) else 1


if __name__ == "__main__":
    sys.exit(main())
