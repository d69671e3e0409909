#!/usr/bin/env python3
"""Hostile ring-3 programs in a real guest, run directly: what they get, what is left of the guest, what a sandbox has.

    hostile.py [--kernel 686|686-pae] [NAME...]

Boots Debian's kernel with -engine direct, runs the programs of programs.py (those named), and with -engine bt, and compares how each ended. Each
escape must be reported by NoVT, the guest must live on and power off. While it runs, the sandboxes of the VM are looked at from
outside: mappings, descriptors, seccomp, against docs/security.md. NOVT names another program, NOVT_GUESTS the guests. Last line: N passed, N failed.
"""
import argparse
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [HERE, os.path.join(ROOT, "scripts")]
from programs import ANY, CAUGHT, DATA, PROGRAMS  # noqa: E402
from vmdrive import VM, Timeout  # noqa: E402

END = f"text_end:\nsection .data align=4096 vstart={DATA:#x}\ndata_start: times 64 db 0\ndata_end:\n"
ESCAPED = "novt: guest code tried to leave its sandbox"
TOLD = 10   # escapes that NoVT speaks of; it counts the rest
LOW = 1 << 32


def build(programs, directory):
    """Assembles (name, text)...; what scripts/mkinitrd needs to put them into /p."""
    entries = ["dir:p"]
    for name, text in programs:
        source, binary = os.path.join(directory, name + ".asm"), os.path.join(directory, name)
        with open(source, "w") as f:
            f.write(f'%include "prelude.inc"\n{text}{END}')
        subprocess.run(["nasm", "-w-all", "-f", "bin", "-I", HERE + "/", "-o", binary, source], check=True)
        os.chmod(binary, 0o755)
        entries.append(f"file:p/{name}={binary}")
    return entries


def script(names, engine):
    lines = ["cd /tmp"]
    for name, _, _ in PROGRAMS:
        if names and name not in names:
            continue
        if name == "loop":
            lines.append(f"/p/{name} & pid=$!; sleep 1; echo LOOPS; read x; kill -INT $pid; sleep 1; kill $pid; wait $pid; echo \"case {name}: $?\"")
        else:
            lines.append(f"/p/{name} > /dev/null 2>&1; echo \"case {name}: $?\"")
    lines.append("dmesg | grep -iE 'oops|BUG:|soft lockup|call trace|double fault' > bad; echo \"kernel: $(wc -l < bad)\"; cat bad; echo engine-" + engine)
    return "\n".join(lines) + "\n"


def sandboxes(pid):
    """Process ids of the sandboxes of a VM."""
    found = []
    for p in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{p}/stat") as f:
                name, _, rest = f.read().partition("(")[2].rpartition(")")
            if name == "novt-sandbox" and int(rest.split()[1]) == pid:
                found.append(int(p))
        except OSError:
            pass
    return found


def documented():
    with open(os.path.join(ROOT, "docs/security.md")) as f:
        text = f.read()
    high = {tuple(m.split()) for m in re.findall(r"^\| `([0-9a-f]+-[0-9a-f]+ [-rwxsp]{4} \S+)` \|", text, re.M)}
    return text, high


def look_at(pid):
    """What is wrong with one sandbox, by its own page in docs/."""
    text, high = documented()
    wrong, guest_file = [], set()
    with open(f"/proc/{pid}/maps") as f:
        for line in f:
            span, prot, _, _, _, *name = line.split(None, 5)
            name = name[0].strip().replace(" (deleted)", "") if name else ""
            if int(span.split("-")[1], 16) <= LOW:
                guest_file.add(name)
                if prot[3] != "s":
                    wrong.append("a private mapping of guest memory: " + line)
            elif name == "[vsyscall]":
                continue
            elif (span, prot, name) not in high:
                wrong.append("not in docs/security.md: " + line)
            else:
                high.discard((span, prot, name))
    wrong += [f"documented, but not there: {h}" for h in high]
    if len(guest_file) != 1:
        wrong.append(f"guest memory from {guest_file}")
    tasks = sorted(int(t) for t in os.listdir(f"/proc/{pid}/task"))
    fds = sorted(len(os.listdir(f"/proc/{pid}/task/{t}/fd")) for t in tasks)
    if fds != [0, 1] or "guest thread: no descriptors" not in text or "mapper thread: one descriptor, guest RAM" not in text:
        wrong.append(f"threads with {fds} descriptors")
    for t in tasks:
        with open(f"/proc/{pid}/task/{t}/status") as f:
            status = dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)
        if status["Seccomp"] != "2" or status["NoNewPrivs"] != "1":
            wrong.append(f"seccomp mode {status['Seccomp']}, no new privileges {status['NoNewPrivs']}")
    return wrong


def run(args, engine, directory, entries):
    """({program: exit status}, text of everything, what was wrong with the sandboxes)"""
    guests = os.environ.get("NOVT_GUESTS", os.path.join(ROOT, "build/guests"))
    program = os.environ.get("NOVT", os.path.join(ROOT, "build/release/novt"))
    source, initrd = os.path.join(directory, "script"), os.path.join(directory, engine + ".gz")
    with open(source, "w") as f:
        f.write(script(args.names, engine))
    subprocess.run([os.path.join(ROOT, "scripts/mkinitrd"), initrd, "--base", os.path.join(guests, "initrd.gz"), "file:script=" + source, *entries], check=True)
    seen = []
    with VM([program, "-engine", engine, "-m", "256", "-kernel", os.path.join(guests, "vmlinuz-" + args.kernel), "-initrd", initrd,
             "-append", "console=ttyS0 quiet", "-nographic", "-no-reboot", "--stats"]) as vm:
        if not args.names or "loop" in args.names:
            vm.wait("LOOPS", 300)
            boxes = sandboxes(vm.proc.pid)
            if engine == "direct" and not boxes:
                seen.append("no sandbox is there while a program loops")
            for box in boxes:
                seen += look_at(box)
            vm.send("\n")
        vm.wait("engine-" + engine, 300)
        code = vm.finish(60)
        if code:
            seen.append(f"exit code {code} after power-off")
    if not re.search(r"^kernel: 0$", vm.text, re.M):
        seen.append(f"the guest's kernel complains with -engine {engine}: " + vm.text.partition("\nkernel: ")[2].partition("engine-")[0])
    return dict(re.findall(r"^case (\S+): (\d+)$", vm.text, re.M)), vm.text, seen


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("names", nargs="*")
    ap.add_argument("--kernel", default="686-pae")
    args = ap.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        entries = build([(name, text) for name, text, _ in PROGRAMS if not args.names or name in args.names], directory)
        try:
            bt, _, wrong = run(args, "bt", directory, entries)
            direct, text, more = run(args, "direct", directory, entries)
        except (Timeout, OSError) as e:
            print(f"not ok {e}\n0 passed, 1 failed")
            return 1
    wrong += more
    passed = failed = escapes = 0
    for name, _, promise in PROGRAMS:
        if args.names and name not in args.names:
            continue
        a, b = bt.get(name), direct.get(name)
        good = a is not None and b is not None and (a == b or promise == ANY)
        passed, failed, escapes = passed + good, failed + (not good), escapes + (promise == CAUGHT)
        print(f"{'ok' if good else 'not ok'} {name}: ended with {b}, translated with {a}")
    told, counted = text.count(ESCAPED), int((re.search(r"direct\.escapes\s+(\d+)", text) or [0, 0])[1])
    if counted < escapes or told < min(escapes, TOLD):
        wrong.append(f"{escapes} programs escape, NoVT counts {counted} and tells of {told}")
    for w in wrong:
        print("not ok " + w.strip())
    if failed or wrong:
        print("\n".join("# " + line for line in text.split("\n")[-60:]))
    print(f"# {counted} escapes\n{passed} passed, {failed + len(wrong)} failed")
    return 1 if failed or wrong or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
