#!/usr/bin/env python3
"""Runs hostile guests (image.py) on novt: whatever they do, novt itself must end in time and in an orderly way.

    hostile.py [--seed N] [--time S | --count N] [--jobs J] [--timeout S] [--mode MODE] [--keep DIR] [-- NOVT OPTIONS...]
    hostile.py --one N [--image FILE]        one guest, its output shown (and its image written)

NOVT names another program than build/release/novt. A failure is an end by signal, an exit code that no guest can ask for, a
run longer than the timeout and 2 s (more with --slack), a process left behind, or a word of a bug on standard error; its image
and command line are kept. Last line: N passed, N failed.
"""
import argparse
import concurrent.futures
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

import image

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
NOVT = os.environ.get("NOVT") or os.path.join(ROOT, "build", "release", "novt")
STRESS = ["tiny-cache", "one-insn", "no-chain", "slow-mem", "fail-alloc", "verify", "verify,tiny-cache,no-chain", "verify,slow-mem,fail-alloc"]
OK_CODES = {0, 6, 7, 124}  # and what isa-debug-exit gives: odd
BUG = re.compile(r"\bbug\b|Sanitizer|runtime error|ASSERT|assertion|panic", re.I)


def command(args, seed, options, path):
    return [NOVT, "-bios", path, "-vga", "none", "-display", "none", "-serial", "null", "-debugcon", "null", "-no-reboot", "--timeout",
            str(args.timeout), "-device", "isa-debug-exit,iobase=0x501,iosize=4", *options, *(["--stress", STRESS[seed % len(STRESS)]] if args.rotate else []),
            *args.options]


def group_members(pgid):
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat") as f:
                fields = f.read().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[2]) == pgid and fields[0] != "Z":
            found.append(int(pid))
    return found


def run_one(args, seed, directory):
    """(seed, mode, exit code, what is wrong or None, command, stderr)"""
    data, mode, options = image.make(seed)
    path = os.path.join(directory, f"{seed}.bin")
    with open(path, "wb") as f:
        f.write(data)
    cmd = command(args, seed, options, path)
    start = time.monotonic()
    p = subprocess.Popen(cmd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    wrong = None
    try:
        _, err = p.communicate(timeout=args.timeout + args.slack)
    except subprocess.TimeoutExpired:
        if args.hang:
            print(f"# seed {seed}: hangs, process {p.pid} left for the debugger")
            return seed, mode, "hang", "hangs", cmd, ""
        os.killpg(p.pid, signal.SIGKILL)
        _, err = p.communicate()
        wrong = f"still ran {time.monotonic() - start:.1f} s after a timeout of {args.timeout} s"
    err = err.decode("latin-1")
    code = p.returncode
    if not wrong:
        left = group_members(p.pid)
        if left:
            os.killpg(p.pid, signal.SIGKILL)
            wrong = "left processes behind"
        elif code < 0:
            wrong = f"ended by {signal.Signals(-code).name}"
        elif code not in OK_CODES and code % 2 == 0:
            wrong = f"exit code {code}"
        elif BUG.search(err):
            wrong = "speaks of a bug"
    os.unlink(path)
    return seed, mode, code, wrong, cmd, err


def report(args, result):
    seed, mode, code, wrong, cmd, err = result
    os.makedirs(args.keep, exist_ok=True)
    stem = os.path.join(args.keep, str(seed))
    with open(stem + ".bin", "wb") as f:
        f.write(image.make(seed)[0])
    cmd = [stem + ".bin" if c.endswith(f"/{seed}.bin") else c for c in cmd]
    with open(stem + ".txt", "w") as f:
        f.write(f"{wrong}\n{' '.join(cmd)}\n\n{err}")
    print(f"not ok seed {seed} ({mode}): {wrong}\n# {' '.join(cmd)}")
    for line in err.split("\n")[:6]:
        print("#   " + line)
    sys.stdout.flush()


def seeds(args):
    n, end = args.seed * 1000000, time.monotonic() + args.time
    first = n
    while (n - first < args.count) if args.count else time.monotonic() < end:
        if args.mode is None or image.make(n)[1] == args.mode:
            yield n
        n += 1


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--time", type=float, default=20)
    ap.add_argument("--count", type=int, default=0)
    ap.add_argument("--jobs", type=int, default=1)
    ap.add_argument("--timeout", type=float, default=2)
    ap.add_argument("--slack", type=float, default=2)
    ap.add_argument("--mode", choices=image.MODES)
    ap.add_argument("--keep", default=os.path.join(tempfile.gettempdir(), "novt-hostile"))
    ap.add_argument("--hang", action="store_true", help="leave a guest that hangs alive")
    ap.add_argument("--rotate", action="store_true", help="each guest under another --stress")
    ap.add_argument("--one", type=int)
    ap.add_argument("--image")
    ap.add_argument("options", nargs="*")
    args = ap.parse_args()
    if args.image:
        with open(args.image, "wb") as f:
            f.write(image.make(args.one)[0])
    with tempfile.TemporaryDirectory() as directory:
        if args.one is not None:
            result = run_one(args, args.one, directory)
            print(*result[4])
            print(result[5], f"{result[1]}: exit code {result[2]}: {result[3] or 'fine'}")
            return 1 if result[3] else 0
        codes, bad, n = {}, 0, 0
        with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
            source = seeds(args)
            running = set()
            while True:
                while len(running) < args.jobs and (seed := next(source, None)) is not None:
                    running.add(pool.submit(run_one, args, seed, directory))
                if not running:
                    break
                done, running = concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED)
                for f in done:
                    result = f.result()
                    n += 1
                    codes.setdefault(result[1], {}).setdefault(result[2], 0)
                    codes[result[1]][result[2]] += 1
                    if result[3]:
                        bad += 1
                        report(args, result)
    for mode in sorted(codes):
        print(f"# {mode:7} " + " ".join(f"{c}:{k}" for c, k in sorted(codes[mode].items(), key=str)))
    print(f"{n - bad} passed, {bad} failed")
    return 1 if bad or not n else 0


if __name__ == "__main__":
    sys.exit(main())
