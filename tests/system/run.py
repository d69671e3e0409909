#!/usr/bin/env python3
"""Runs system cases on NoVT and on Bochs and compares what they did, line by line.

    run.py [FAMILY...] [--case GLOB] [--stress ITEM,...] [--engine E] [--all-ways | --some-ways] [--cpu MODEL] [--table] [--show]
           [--sample N] [--fixed] [--no-bochs]

A family is a file of cases/. Prints a line for each family (with --table for each case: case, mode, NoVT, Bochs, same or not),
for each case that differs what differs, and at the end "N passed, N failed". --case takes the matching ones, --sample one in N
of the generated ones, --fixed the part that the test suite runs. --show prints code and both results of each case.
--no-bochs only tells whether NoVT comes through. Wanted differences stand in known.py with their reasons.
$NOVT is the program to test, build/release/novt if unset.
"""
import argparse
import concurrent.futures
import fnmatch
import importlib
import os
import re
import subprocess
import sys
import tempfile
import time
import zlib

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, HERE)
import known  # noqa: E402
import matrix  # noqa: E402

BOCHS = """config_interface: textconfig
display_library: rfb, options="timeout=0"
romimage: file={image}, address=0x{address:x}
vgaromimage: file=/usr/share/seabios/vgabios-stdvga.bin
megs: 32
cpu: model=corei7_sandy_bridge_2600k, ips=50000000, reset_on_triple_fault=1, ignore_bad_msrs=0
port_e9_hack: enabled=1
log: {image}.log
panic: action=fatal
error: action=ignore
info: action=ignore
debug: action=ignore
sound: driver=dummy
"""
VECTORS = ["#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", "CSO", "#TS", "#NP", "#SS", "#GP", "#PF", "15", "#MF", "#AC", "#MC", "#XM"]


def novt_command(args, image, engine, stress):
    novt = os.environ.get("NOVT") or os.path.join(ROOT, "build", "release", "novt")
    cmd = [novt, "-bios", image, "-m", "32", "-vga", "none", "-display", "none", "-serial", "none", "-debugcon", "stdio",
           "--timeout", str(args.timeout), "-device", "isa-debug-exit,iobase=0x501,iosize=4"]
    if engine:
        cmd += ["-engine", engine]
    if stress:
        cmd += ["--stress", stress]
    if args.cpu:
        cmd += ["-cpu", args.cpu]
    return cmd


def bochs_command(image):
    with open(image + ".bxrc", "w") as f:
        f.write(BOCHS.format(image=image, address=0x100000000 - matrix.ROM_BYTES))
    return ["sh", "-c", f"yes c | bochs -q -f {image}.bxrc"]     # its debugger stops at each shutdown


def run(command, timeout):
    """The program's output by case number, and how it ended."""
    start = time.monotonic()
    p = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    try:
        out, err = p.communicate(timeout=timeout)
        code = p.returncode
    except subprocess.TimeoutExpired:
        os.killpg(p.pid, 9)
        out, err = p.communicate()
        code = "timeout"
    results, current = {}, None
    text = out.decode("latin-1")
    for line in text.split("\n"):
        line = re.sub(r"^(<bochs:\d+> (c$)?)+", "", line)
        m = re.match(r"@([0-9a-f]{8})$", line)
        if m:
            current = results.setdefault(int(m[1], 16), [])
        elif line == "done":
            return results, None, time.monotonic() - start
        elif current is not None and line and not re.match(r"\(0\)|Next at|<bochs|bx_dbg", line):
            current.append(line.rstrip())
    last = max(results) if results else None
    return results, f"ended with {code} after case {last}: {err.decode('latin-1')[-300:]}", time.monotonic() - start


def brief(lines):
    """What a case came to, in a few words: the vector and the code address in the pushed frame cannot be told without the mode, so the vector."""
    if not lines:
        return "nothing"
    if lines[0] == "shutdown":
        return "shutdown"
    m = re.match(r"v([0-9a-f]{2})", lines[0])
    if not m:
        return "?"
    v = int(m[1], 16)
    return VECTORS[v] if v < len(VECTORS) else f"vector {v:02x}"


def fields(lines):
    """Lines -> {name: value}, so that a difference is told by name."""
    out = {}
    for line in lines:
        if line[0] == "m":
            _, address, *values = ["m"] + line[1:].split(" ")
            out["[" + address + "]"] = " -> ".join(values)
        elif line[0] in "xf":
            for i, value in enumerate(line[1:].split()):
                out[("sse" if line[0] == "x" else "fpu") + str(i)] = value
        elif line == "+":
            out["more"] = line
        else:
            for word in line.split():
                name, _, value = word.partition("=")
                out[name if value else "event"] = value or name
    return out


def difference(ours, theirs):
    a, b = fields(ours), fields(theirs)
    return [f"{k}: NoVT {a.get(k, '-')}, Bochs {b.get(k, '-')}" for k in sorted(set(a) | set(b)) if a.get(k) != b.get(k)]


def load(names):
    families = {}
    for f in sorted(os.listdir(os.path.join(HERE, "cases"))):
        if f.endswith(".py") and f != "__init__.py" and (not names or f[:-3] in names):
            families[f[:-3]] = importlib.import_module("cases." + f[:-3])
    for n in names:
        if n not in families:
            raise SystemExit(f"no family {n}")
    return families


CR4_OF = {"486": matrix.VME | matrix.PVI, "pentium": 0x1ff & ~(matrix.PAE | matrix.PGE), "pentium2": 0x3ff}


def able(case, cpu):
    """Has this CPU model the registers that the case starts with?"""
    r = dict(case.mode.regs, **case.regs)
    if cpu in ("486", "pentium") and (r["sysenter_cs"] or r["sysenter_esp"] or r["sysenter_eip"] or case.flags & matrix.SSE):
        return False
    return not r["cr4"] & ~CR4_OF.get(cpu, 0x7ff) and (not r["efer"] or cpu == "max")


def choose(args, family, module):
    made = list(module.cases())
    hand = list(module.hand()) if hasattr(module, "hand") else []
    counts = len(made), len(hand)
    seen = set()
    for c in made + hand:
        if c.name in seen:
            raise SystemExit(f"{family}: two cases {c.name}")
        seen.add(c.name)
    if args.fixed:
        args.sample = 8
    if args.sample > 1:
        made = [c for c in made if zlib.crc32(c.name.encode()) % args.sample == 0]     # not each Nth: the sweeps' loops have even counts
    out = made + hand
    if args.cpu:
        out = [c for c in out if able(c, args.cpu)]
    if args.case:
        out = [c for c in out if fnmatch.fnmatch(c.name, args.case)]
    return out, counts


def show(say, case, ours, theirs):
    say(f"--- {case.name} {case.mode}\n{case.code if not isinstance(case.code, bytes) else case.code.hex()}")
    for who, lines in (("NoVT", ours), ("Bochs", theirs)):
        say(f"  {who}: {brief(lines)}\n    " + "\n    ".join(lines))


def compare(say, args, family, case, ours, theirs, way, tally):
    """One case's two results: counted, and told if asked or different."""
    full = f"{family}/{case.name}"
    same = bool(ours) if args.no_bochs else ours == theirs and bool(ours)
    reason = None if same or args.no_bochs else known.reason(full, case, ours, theirs, args.cpu)
    if args.show:
        show(say, case, ours, theirs)
    if args.table:
        say(f"{full:60} {str(case.mode):12} {brief(ours):9} {brief(theirs):9} {'same' if same else 'known: ' + reason if reason else 'DIFFERENT'}")
    if same or reason:
        tally["passed"] += 1
        tally["wanted"] += not same
        return
    tally["failed"] += 1
    if tally["failed"] <= args.most:
        say(f"not ok {full} ({case.mode}{', ' + way if way else ''}): NoVT {brief(ours)}, Bochs {brief(theirs)}")
        for d in difference(ours, theirs)[:12]:
            say(f"#   {d}")


def run_family(args, name, module, directory):
    """(tally, text)"""
    lines = []
    say = lines.append
    cases, (made, hand) = choose(args, name, module)
    tally = dict(passed=0, failed=0, wanted=0)
    if not cases:
        return tally, lines
    start = time.monotonic()
    spent = dict(novt=0.0, bochs=0.0)

    def result(who, command, timeout):
        got, error, seconds = run(command, timeout)
        spent[who] += seconds
        if error:
            say(f"not ok {name} {who} {error} ({cases[max(got)].name if got else 'none'})")
            tally["failed"] += 1
        return got

    all_cases = matrix.images(cases, os.path.join(directory, name))
    some = matrix.images(cases, os.path.join(directory, name + "-some"), range(0, len(cases), SLOW_EACH)) if len(args.ways) > 1 else []
    bochs, count = {}, 0

    def again(novt, numbers, engine, stress):
        """Cases that the host may have disturbed run once more, thrice at most; what they give then counts."""
        for attempt in range(3):
            lost = [n for n in numbers if novt.get(n) and bochs.get(n) and novt[n] != bochs[n]
                    and not known.reason(f"{name}/{cases[n].name}", cases[n], novt[n], bochs[n], args.cpu)
                    and known.lost_pointers(cases[n], fields(novt[n]), fields(bochs[n]))]
            if not lost:
                return
            for image, _ in matrix.images(cases, os.path.join(directory, f"{name}-again"), lost):
                novt.update(result("novt", novt_command(args, image, engine, stress), args.timeout + 30))
            say(f"# {name}: {len(lost)} cases whose x87 pointers the host may have lost ran again")

    for image, _ in all_cases:
        bochs.update({} if args.no_bochs else result("bochs", bochs_command(image), args.timeout * 2))
    for label, engine, stress in args.ways:
        for image, numbers in some if label.endswith("slow-mem") else all_cases:
            novt = result("novt", novt_command(args, image, engine, stress), args.timeout + 30)
            count += len(numbers)
            again(novt, numbers, engine, stress)
            for n in numbers:
                compare(say, args, name, cases[n], novt.get(n, []), bochs.get(n, []), label, tally)
    ways = f" in {len(args.ways)} ways" if len(args.ways) > 1 else ""
    say(f"{'not ' if tally['failed'] else ''}ok {name}: {tally['passed']} of {count} the same{ways} ({tally['wanted']} wanted differences; "
          f"the family has {made} generated, {hand} hand-made), NoVT {spent['novt']:.1f} s, Bochs {spent['bochs']:.1f} s, all {time.monotonic() - start:.1f} s")
    return tally, lines


SLOW_EACH = 8      # with --all-ways slow-mem, which takes the harness's copying word by word, gets each 8th case
STRESS = ["verify", "tiny-cache", "one-insn", "no-chain", "slow-mem", "fail-alloc"]


def ways_of(args):
    """(label, engine, stress) of each run of NoVT that is compared with the one run of Bochs."""
    if args.some_ways:
        return [(f"bt {s}", "bt", ",".join(dict.fromkeys(["verify", s]))) for s in STRESS] + [("direct", "direct", None), ("auto", "auto", None)]
    if not args.all_ways:
        return [("", args.engine, args.stress)]
    engines = [args.engine] if args.engine else ["bt", "direct", "auto"]
    return [(f"{e} {s}" if s else e, e, ",".join(dict.fromkeys(["verify", s])) if s else None) for e in engines for s in [None, *STRESS]]


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("families", nargs="*")
    ap.add_argument("--case")
    ap.add_argument("--stress")
    ap.add_argument("--engine", help="auto, bt, direct; with direct the ring-3 cases start in a state that may run directly")
    ap.add_argument("--all-ways", action="store_true", help="on every engine and under each stress switch, all compared with one run of Bochs")
    ap.add_argument("--some-ways", action="store_true", help="translated under each stress switch, and on the other engines without one")
    ap.add_argument("--cpu")
    ap.add_argument("--sample", type=int, default=1)
    ap.add_argument("--fixed", action="store_true")
    ap.add_argument("--table", action="store_true")
    ap.add_argument("--show", action="store_true")
    ap.add_argument("--no-bochs", action="store_true")
    ap.add_argument("--keep", metavar="DIR", help="leave the images there")
    ap.add_argument("--most", type=int, default=20, help="differences shown a family")
    ap.add_argument("--jobs", type=int, default=os.cpu_count(), help="families at the same time")
    ap.add_argument("--timeout", type=int, default=100)
    args = ap.parse_args()
    args.ways = ways_of(args)
    matrix.direct = any(engine == "direct" for _, engine, _ in args.ways)
    total = dict(passed=0, failed=0, wanted=0)
    with tempfile.TemporaryDirectory() as d:
        if args.keep:
            os.makedirs(args.keep, exist_ok=True)
        with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
            running = [pool.submit(run_family, args, name, module, args.keep or d) for name, module in load(args.families).items()]
            for job in running:
                tally, lines = job.result()
                print("\n".join(lines), flush=True)
                for key, count in tally.items():
                    total[key] += count
    print(f"{total['wanted']} wanted differences\n{total['passed']} passed, {total['failed']} failed")
    return 1 if total["failed"] or not total["passed"] else 0


if __name__ == "__main__":
    sys.exit(main())
