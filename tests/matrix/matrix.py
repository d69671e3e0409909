#!/usr/bin/env python3
"""Everything on every engine under every stress switch: the whole matrix, for a soak run.

    matrix.py [--part PART]... [--engine E]... [--stress S]... [--jobs N] [--scale N] [--build DIR] [--list]

Parts: guest (the self-checking programs), system (all cases against Bochs), diff (the differential fuzzer, its vectors and random
programs), boot (both Debian kernels to a shell and what is done there), random (hostile guests). A cell of the matrix is a part's item on
one engine (auto, bt, direct) under one stress switch or none; each is a program of the tests with its options, told when it fails so that
it can be run again alone. A family of system cases is one cell, since all ways compare with one run of Bochs. --scale multiplies what is random. The slowest pairs are left out, by name, in SKIPPED. $NOVT is the program to
test, DIR (build/release) has the fuzzer. At the end a table; last line: N passed, N failed, in cells.
"""
import argparse
import concurrent.futures
import os
import resource
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.dirname(HERE)
ROOT = os.path.dirname(TESTS)
ENGINES = ["auto", "bt", "direct"]
STRESS = ["plain", "verify", "tiny-cache", "one-insn", "no-chain", "slow-mem", "fail-alloc"]
PARTS = ["guest", "diff", "system", "random", "boot"]
SKIPPED = {("boot", "slow-mem"): "a kernel's boot with all memory by the fallback takes ten minutes"}
TIMEOUT = 3600


class Cell:
    def __init__(self, part, item, engine, stress, command):
        self.part, self.item, self.engine, self.stress, self.command = part, item, engine, stress, [str(c) for c in command]

    def run(self):
        start = time.monotonic()
        try:
            r = subprocess.run(self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=TIMEOUT)
            self.out, self.ok = r.stdout.decode("latin-1"), r.returncode == 0
        except subprocess.TimeoutExpired as e:
            self.out, self.ok = (e.stdout or b"").decode("latin-1") + "\ntimeout\n", False
        self.seconds = time.monotonic() - start
        return self


def stressed(stress, *always):
    """Options for a stress switch; the verifier looks on where that costs little."""
    items = list(dict.fromkeys([*always, *([] if stress == "plain" else [stress])]))
    return ["--stress", ",".join(items)] if items else []


def guest(args, engine, stress):
    programs = sorted(f for f in os.listdir(os.path.join(TESTS, "guest")) if f.endswith(".asm"))
    for p in programs:
        yield p[:-4], ["python3", f"{TESTS}/guest/run.py", f"{TESTS}/guest/{p}", "--engine", engine, *stressed(stress, "verify")]


def system(args, engine, stress):
    families = sorted(f[:-3] for f in os.listdir(os.path.join(TESTS, "system", "cases")) if f.endswith(".py") and f != "__init__.py")
    for f in families:
        yield f, ["python3", f"{TESTS}/system/run.py", f, "--jobs", "1", "--all-ways", "--timeout", "1000", *(["--engine", engine] if engine != "every" else [])]


def diff(args, engine, stress):
    fuzzer = os.path.join(args.build, "tests/diff/novt-fuzz")
    count = {"auto": 20000, "bt": 20000, "direct": 1500}[engine] // (4 if stress in ("one-insn", "slow-mem") else 1) * args.scale
    yield "vectors", [fuzzer, "--vectors", "--engine", engine, *stressed(stress)]
    yield "programs", [fuzzer, "--seed", 1 + 1000003 * (STRESS.index(stress) + 7 * ENGINES.index(engine)), "--count", count, "--engine", engine,
                       *stressed(stress)]


def boot(args, engine, stress):
    for kernel in ("686", "686-pae"):
        yield kernel, ["python3", f"{TESTS}/boot/boot.py", "--kernel", kernel, "-m", "128", "--patience", "8", "--", "-engine", engine, *stressed(stress)]


def random_guests(args, engine, stress):
    yield "guests", ["python3", f"{TESTS}/random/hostile.py", "--seed", 100 + 1000 * STRESS.index(stress) + 10000 * ENGINES.index(engine), "--count",
                     40 * args.scale, "--jobs", "1", "--timeout", "0.2", "--slack", "30", "--", "-engine", engine, *stressed(stress)]


MAKERS = {"guest": guest, "system": system, "diff": diff, "boot": boot, "random": random_guests}


def cells(args):
    for part in args.part or PARTS:
        for stress in ["every"] if part == "system" else args.stress or STRESS:
            if (part, stress) in SKIPPED:
                continue
            for engine in args.engine or (["every"] if part == "system" else ENGINES):
                for item, command in MAKERS[part](args, engine, stress):
                    yield Cell(part, item, engine, stress, command)


def table(done):
    """A line a part and engine, a column a stress switch: passed of all."""
    columns = [s for s in [*STRESS, "every"] if any(c.stress == s for c in done)]
    print(f"{'':16}" + "".join(f"{s:>12}" for s in columns))
    for part in PARTS:
        for engine in [*ENGINES, "every"]:
            row = [c for c in done if (c.part, c.engine) == (part, engine)]
            if row:
                print(f"{part + ' ' + engine:16}" + "".join(
                    f"{sum(c.ok for c in row if c.stress == s)}/{sum(c.stress == s for c in row)}".rjust(12) if any(c.stress == s for c in row) else " " * 12
                    for s in columns))


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--part", action="append", choices=PARTS)
    ap.add_argument("--engine", action="append", choices=ENGINES)
    ap.add_argument("--stress", action="append", choices=STRESS)
    ap.add_argument("--jobs", type=int, default=2)
    ap.add_argument("--scale", type=int, default=1)
    ap.add_argument("--build", default=os.path.join(ROOT, "build", "release"))
    ap.add_argument("--list", action="store_true")
    args = ap.parse_args()
    os.environ.setdefault("NOVT", os.path.join(args.build, "novt"))
    todo, done = list(cells(args)), []
    if args.list:
        for c in todo:
            print(" ".join(c.command))
        return 0
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        for job in concurrent.futures.as_completed([pool.submit(c.run) for c in todo]):
            c = job.result()
            done.append(c)
            print(f"{'ok' if c.ok else 'not ok'} {c.part} {c.item} {c.engine} {c.stress} ({c.seconds:.0f} s)", flush=True)
            if not c.ok:
                print("# " + " ".join(c.command) + "\n" + "".join(f"#   {line}\n" for line in c.out.split("\n")[-60:] if line), end="", flush=True)
    use = resource.getrusage(resource.RUSAGE_CHILDREN)
    table(done)
    for (part, stress), why in SKIPPED.items():
        if part in (args.part or PARTS):
            print(f"# not run: {part} under {stress}: {why}")
    failed = sum(not c.ok for c in done)
    print(f"# {use.ru_utime + use.ru_stime:.0f} s of CPU time\n{len(done) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
