#!/usr/bin/env python3
"""Checks the rules of the source tree that a compiler does not.

    check.py [--objects BUILD_DIR]     the tree that holds this file
    check.py --root DIR                another tree (the self-test makes one)

Sizes of files and functions, head comments, which folder includes which, no absolute machine paths; with a build
directory also: no mutable globals in the libraries, and no libc calls that touch SSE registers in *_light.c.
Layout differences (.clang-format) are only listed. Last line: N passed, N failed.
"""
import argparse
import os
import re
import subprocess
import sys

FILE_LINES = 800
FUNCTION_LINES = 120
# folder -> folders whose <folder>/<folder>.h it may include. Leaves never call each other.
MAY_INCLUDE = {
    "decoder": set(),
    "codecache": set(),
    "shadowmmu": set(),
    "devices": set(),
    "block": {"devices"},  # images implement the devices' words for disks
    "net": {"devices"},  # cables' ends implement the devices' words for network cards
    "direct": set(),
    "display": set(),  # knows the machine by the public API
    "audio": set(),  # so does this
    "bt": {"decoder", "codecache"},
    "monitor": {"decoder", "codecache", "shadowmmu", "devices", "block", "net", "direct", "bt", "display", "audio"},
}
SHARED_HEADERS = {"base.h", "novt.h"}
PUBLIC_HEADER = "include/novt.h"  # for the monitor, which implements it
# Globals that must be mutable, each with its reason.
GLOBALS_OK = {}
# What C code may call while guest SSE registers are live: nothing of libc that is built with vector code.
LIBC_VECTOR = re.compile(r"^(mem(cpy|set|move|cmp|chr)|str(len|cmp|chr|cpy|ncmp)|__mem\w+_chk|v?s?n?printf|f?printf)$")
MACHINE_PATH = re.compile(r"(?<![\w.$}~])/(?:work|home|root|Users)/\w")
SOURCE = (".c", ".h", ".S")


def read(path):
    with open(path, encoding="utf-8", errors="replace") as f:
        return f.read()


def files_of(root):
    """Tracked and new files when root is a git tree, else all; relative paths."""
    git = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=root, capture_output=True, text=True)
    if git.returncode == 0 and os.path.exists(os.path.join(root, ".git")):
        names = git.stdout.split("\n")
    else:
        names = [os.path.relpath(os.path.join(d, f), root) for d, _, fs in os.walk(root) for f in fs]
    return sorted(n for n in names if n and os.path.isfile(os.path.join(root, n)) and not n.startswith("build/"))


def functions(lines):
    """(name, first line, body lines) of each function: its braces stand alone in column 0. Others are skipped."""
    start = None
    for i, line in enumerate(lines):
        if line == "{":
            start = i
        elif line.startswith("}") and start is not None:
            if line == "}":
                head = " ".join(lines[max(0, start - 4):start])
                names = re.findall(r"(\w+)\s*\(", head[head.rfind("}") + 1:])
                yield (names[0] if names else "?"), start + 1, lines[start + 1:i]
            start = None


def is_dispatch(body):
    """A flat switch: cases, and a line or two for each."""
    cases = sum(1 for b in body if re.match(r"\s*(case\b.*|default):", b))
    return cases * 5 >= len(body)


def table_lines(lines):
    """Lines inside initialisers at file scope."""
    count = 0
    inside = False
    for line in lines:
        if not inside and line and not line[0].isspace() and line.endswith("= {"):
            inside = True
        elif inside:
            if line.startswith("};"):
                inside = False
            else:
                count += 1
    return count


def check_sizes(root, names):
    for name in names:
        if not name.endswith((".c", ".h")):
            continue
        lines = read(os.path.join(root, name)).split("\n")
        size = len(lines) - 1 - table_lines(lines)
        if size > FILE_LINES:
            yield f"{name}: {size} lines without tables, {FILE_LINES} at most"
        for fn, at, body in functions(lines):
            if len(body) > FUNCTION_LINES and not is_dispatch(body):
                yield f"{name}:{at}: {fn}() has {len(body)} lines, {FUNCTION_LINES} at most"


def check_heads(root, names):
    for name in names:
        text = read(os.path.join(root, name))
        base = os.path.basename(name)
        if name.endswith(SOURCE):
            m = re.match(r"/\*\n? ?\*? ?(.*?)\*/", text, re.S)
            if not m or base not in m[1].split("\n")[0]:
                yield f"{name}: begins without a head comment that names the file"
            elif m[1].count("\n") < 1:
                yield f"{name}: head comment of {m[1].count(chr(10)) + 1} lines says too little"
        elif text.startswith("#!"):
            second = text.split("\n")[1:2]
            if not second or not re.match(r'#|"""|set\b', second[0]):
                yield f"{name}: script without a line that says what it does"


def check_includes(root, names):
    for name in names:
        folder = name.split("/")[0]
        if not name.endswith(SOURCE) or "/" not in name:
            continue
        for m in re.finditer(r'^\s*#\s*include\s+"([^"]+)"', read(os.path.join(root, name)), re.M):
            target = m[1]
            head = target.split("/")[0] if "/" in target else None
            if target in SHARED_HEADERS or head is None or head == folder:
                continue
            if target == PUBLIC_HEADER and folder == "monitor":
                continue
            if folder in MAY_INCLUDE:
                if head not in MAY_INCLUDE[folder]:
                    yield f"{name}: {folder}/ may not include {target}"
                elif target != f"{head}/{head}.h":
                    yield f"{name}: includes {target}; only {head}/{head}.h crosses folders"
            elif name.startswith("include/"):
                yield f"{name}: a public header includes {target}"


def check_unit_includes(root, names):
    """A unit test sees its own folder, and what that folder may see."""
    for name in names:
        parts = name.split("/")
        if parts[:2] != ["tests", "unit"] or len(parts) < 4 or parts[2] not in MAY_INCLUDE:
            continue
        allowed = MAY_INCLUDE[parts[2]] | {parts[2], "tests"}
        for m in re.finditer(r'^\s*#\s*include\s+"(\w+)/[^"]+"', read(os.path.join(root, name)), re.M):
            if m[1] not in allowed:
                yield f"{name}: a unit test of {parts[2]}/ includes {m[1]}/"


def check_paths(root, names):
    for name in names:
        for i, line in enumerate(read(os.path.join(root, name)).split("\n"), 1):
            if MACHINE_PATH.search(line):
                yield f"{name}:{i}: names a path of one machine"


def mutable_symbols(lib):
    """Data symbols in writable sections; constant tables with pointers lie in .data.rel.ro, thread-locals in .tbss."""
    out = subprocess.run(["objdump", "-t", lib], capture_output=True, text=True, check=True).stdout
    member = ""
    for line in out.split("\n"):
        m = re.match(r"(\S+\.o):\s+file format", line)
        if m:
            member = m[1]
        m = re.match(r"[0-9a-f]{16} (.{7}) (\S+)\t[0-9a-f]+ +(?:\.hidden )?(\S+)$", line)
        if not m or "d" in m[1]:
            continue
        section = m[2]
        writable = section == "*COM*" or re.match(r"\.(data|bss)(?!\.rel\.ro)", section)
        if writable and not m[3].startswith("."):
            yield member, m[3]


def check_globals(build, light):
    libdir = os.path.join(build, "lib")
    for lib in sorted(os.listdir(libdir)):
        if not lib.endswith(".a"):
            continue
        for member, symbol in mutable_symbols(os.path.join(libdir, lib)):
            if re.sub(r"\.\d+$", "", symbol) not in GLOBALS_OK:
                yield f"{lib}({member}): {symbol} is a mutable global"
        out = subprocess.run(["nm", "-u", os.path.join(libdir, lib)], capture_output=True, text=True, check=True).stdout
        member = ""
        for line in out.split("\n"):
            if line.endswith(":"):
                member = line[:-1]
            elif light in member and line.strip().startswith("U "):
                symbol = line.split()[1]
                if LIBC_VECTOR.match(symbol):
                    yield f"{lib}({member}): calls {symbol}, which may use the guest's SSE registers"


def layout_differences(root, names):
    """Files that .clang-format would change: a list, not a verdict."""
    for name in names:
        if name.endswith((".c", ".h")):
            path = os.path.join(root, name)
            try:
                out = subprocess.run(["clang-format", "--style=file", path], capture_output=True, text=True, cwd=root)
            except FileNotFoundError:
                return
            if out.stdout != read(path):
                yield name


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    here = os.path.dirname(os.path.abspath(__file__))
    ap.add_argument("--root", default=os.path.dirname(os.path.dirname(here)))
    ap.add_argument("--objects")
    args = ap.parse_args()

    names = files_of(args.root)
    checks = [(c.__name__, list(c(args.root, names)))
              for c in (check_sizes, check_heads, check_includes, check_unit_includes, check_paths)]
    if args.objects:
        checks.append(("check_globals", list(check_globals(args.objects, "_light.c"))))
    failed = 0
    for name, problems in checks:
        print(f"{'FAIL' if problems else 'ok  '} {name}")
        for p in problems:
            print("     " + p)
        failed += bool(problems)
    for name in layout_differences(args.root, names):
        print(f"note: scripts/format would change {name}")
    print(f"{len(checks) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
