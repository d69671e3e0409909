#!/usr/bin/env python3
"""Checks the checker: each rule must find its violation in a small bad tree and be silent on a good one."""
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import check  # noqa: E402

HEAD = "/*\n * {} - what it is.\n *\n * More of it.\n */\n"
CASES = []


def case(rule, path, text, bad):
    CASES.append((rule, path, text, bad))


def head(path):
    return HEAD.format(os.path.basename(path))


def source(path, body):
    return path, head(path) + body


LONG = "int f(int x)\n{\n" + "    x++;\n" * 121 + "    return x;\n}\n"
SWITCH = "int f(int x)\n{\n    switch (x) {\n" + "    case 1:\n        return 2;\n" * 80 + "    }\n    return 0;\n}\n"
TABLE = "static const int t[] = {\n" + "    1,\n" * 900 + "};\n"
case(check.check_sizes, *source("bt/a.c", LONG), True)
case(check.check_sizes, *source("bt/a.c", SWITCH), False)
case(check.check_sizes, *source("bt/a.c", TABLE), False)
case(check.check_sizes, *source("bt/a.c", "int x;\n" * 801), True)
case(check.check_heads, "bt/a.c", "int x;\n", True)
case(check.check_heads, "bt/a.c", HEAD.format("b.c"), True)
case(check.check_heads, "bt/a.c", "/* a.c - short */\n", True)
case(check.check_heads, *source("bt/a.c", ""), False)
case(check.check_heads, "scripts/x", "#!/bin/sh\necho\n", True)
case(check.check_heads, "scripts/x", "#!/bin/sh\n# Says what.\n", False)
case(check.check_includes, *source("bt/a.c", '#include "monitor/monitor.h"\n'), True)
case(check.check_includes, *source("bt/a.c", '#include "decoder/table.h"\n'), True)
case(check.check_includes, *source("shadowmmu/a.c", '#include "bt/bt.h"\n'), True)
case(check.check_includes, *source("include/novt.h", '#include "bt/bt.h"\n'), True)
case(check.check_includes, *source("bt/a.c", '#include "decoder/decoder.h"\n#include "base.h"\n#include "bt/e.h"\n'), False)
case(check.check_includes, *source("monitor/a.c", '#include "include/novt.h"\n'), False)
case(check.check_includes, *source("devices/a.c", '#include "include/novt.h"\n'), True)
case(check.check_unit_includes, *source("tests/unit/decoder/t.c", '#include "bt/bt.h"\n'), True)
case(check.check_unit_includes, *source("tests/unit/bt/t.c", '#include "decoder/decoder.h"\n'), False)
case(check.check_paths, *source("bt/a.c", '// see /' + 'home/joe/x\n'), True)
case(check.check_paths, *source("bt/a.c", '// see build/' + 'root/x and ~/' + 'work/y\n'), False)


def check_objects():
    """Mutable globals and vector libc calls, on a library made here."""
    bad = "int counter; static int hits = 3; int f(void); int f(void) { static int n; return n++ + hits++; }\n"
    good = ("extern const char *const names[]; const char *const names[] = {\"a\"}; static __thread int t;\n"
            "int g(void); int g(void) { return t++; }\n")
    light = "void *memcpy(void *, const void *, unsigned long); void h(void *, void *, unsigned long);\n" \
            "void h(void *a, void *b, unsigned long n) { memcpy(a, b, n); }\n"
    with tempfile.TemporaryDirectory() as tmp:
        os.mkdir(os.path.join(tmp, "lib"))
        lib = os.path.join(tmp, "lib", "libx.a")
        for name, text in (("bad.c", bad), ("good.c", good), ("x_light.c", light)):
            with open(os.path.join(tmp, name), "w") as f:
                f.write(text)
            subprocess.run(["gcc", "-fPIC", "-O0", "-c", name, "-o", name + ".o"], cwd=tmp, check=True)
        subprocess.run(["ar", "rcs", lib, "bad.c.o", "good.c.o", "x_light.c.o"], cwd=tmp, check=True)
        found = list(check.check_globals(tmp, "_light.c"))
    want = ["counter is", "hits is", "n.0 is", "calls memcpy"]
    return len(found) == len(want) and all(any(w in f for f in found) for w in want), found


def main():
    passed = failed = 0
    for rule, path, text, bad in CASES:
        with tempfile.TemporaryDirectory() as tmp:
            os.makedirs(os.path.dirname(os.path.join(tmp, path)))
            with open(os.path.join(tmp, path), "w") as f:
                f.write(text)
            found = list(rule(tmp, check.files_of(tmp)))
        if bool(found) == bad:
            passed += 1
        else:
            failed += 1
            print(f"FAIL {rule.__name__} on {path}: {'finds nothing' if bad else found}\n{text[:300]}")
    good, found = check_objects()
    if good:
        passed += 1
    else:
        failed += 1
        print(f"FAIL check_globals: {found}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
