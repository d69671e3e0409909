"""A C program of a few thousand lines, the same every time, of arithmetic in fixed widths: what it prints is the same for every
compiler and every machine, so that the host's own gcc says what the guest's program has to print."""
import os
import random

FILES, FUNCTIONS, STATEMENTS = 8, 30, 14

HEAD = """#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct state { uint32_t r[8]; uint64_t wide; int32_t s; uint8_t mem[64]; };
"""


def statement(rng):
    a, b, c = (rng.randrange(8) for _ in range(3))
    k = rng.randrange(1, 1 << 31)
    return rng.choice((
        f"t->r[{a}] = t->r[{b}] * {k}u + (t->r[{c}] >> {k % 31 + 1});",
        f"t->wide = t->wide * {k | 1}ull + ((uint64_t)t->r[{a}] << 32 | t->r[{b}]);",
        f"t->r[{a}] ^= (uint32_t)(t->wide >> {k % 33}) / ((t->r[{b}] & 1023) + {k % 97 + 1});",
        f"t->s = (int32_t)(t->s % {k % 9973 + 2}) * {k % 1000} - (int32_t)(t->r[{a}] & 0xffff);",
        f"for (unsigned i = 0; i < {k % 7 + 2}; i++)\n        t->mem[(t->r[{a}] + i) % 64] += (uint8_t)(t->r[{b}] >> i);",
        f"if (t->r[{a}] > t->r[{b}])\n        t->r[{c}] -= {k}u;\n    else\n        memmove(t->mem, t->mem + {k % 32}, {k % 32 + 1});",
        f"switch (t->r[{a}] % 5) {{\n    case 0: t->r[{b}]++; break;\n    case 1: t->r[{c}] = ~t->r[{c}]; break;\n    case 3: t->wide ^= "
        f"{k}; break;\n    default: t->r[{a}] = (t->r[{a}] << {k % 31 + 1}) | (t->r[{a}] >> {31 - k % 31});\n    }}",
        f"t->r[{a}] += (uint32_t)((double)(t->r[{b}] & 0xffff) * {k % 1000}.5);",
    ))


def sources():
    """File name to text."""
    rng = random.Random(386)
    names = [f"f{i}_{j}" for i in range(FILES) for j in range(FUNCTIONS)]
    files = {"all.h": HEAD + "".join(f"void {n}(struct state *t);\n" for n in names)}
    for i in range(FILES):
        text = '#include "all.h"\n'
        for j in range(FUNCTIONS):
            body = "".join(f"    {statement(rng)}\n" for _ in range(STATEMENTS))
            text += f"\nvoid f{i}_{j}(struct state *t)\n{{\n{body}}}\n"
        files[f"file{i}.c"] = text
    files["main.c"] = ('#include "all.h"\n\nstatic void (*const table[])(struct state *) = {\n' + "".join(f"    {n},\n" for n in names) +
                       "};\n\nint main(void)\n{\n    static struct state t = {.r = {1, 2, 3, 5, 8, 13, 21, 34}};\n    uint64_t sum = 0;\n\n"
                       f"    for (unsigned i = 0; i < 200000; i++)\n        table[(t.r[i % 8] ^ i) % {len(names)}](&t);\n"
                       "    for (unsigned i = 0; i < 64; i++)\n        sum = sum * 31 + t.mem[i] + t.r[i % 8];\n"
                       '    printf("%016llx\\n", (unsigned long long)(sum ^ t.wide ^ (uint32_t)t.s));\n    return 0;\n}\n')
    return files


BUILD = """#!/bin/sh
# One object after another; log says how far it is.
cd $(dirname $0)
rm -f *.o program log
for f in file*.c main.c; do echo $f >> log; gcc -O2 -g -Wall -c $f || exit 1; done
gcc -o program *.o && echo linked >> log
"""


def write(directory):
    os.makedirs(directory)
    for name, text in [*sources().items(), ("build", BUILD)]:
        path = os.path.join(directory, name)
        with open(path, "w", encoding="ascii") as f:
            f.write(text)
        os.utime(path, (1700000000, 1700000000))
    os.chmod(os.path.join(directory, "build"), 0o755)
