"""Pictures of a guest's screen: reading them, writing PNG, and comparing with references that are text.

A reference (refs/NAME.txt) is made from a picture that a person has looked at; its first lines say what it shows. Then:

    hash HEX            the picture itself; if it is the same, nothing else is asked
    ignore ROW A-B      places that differ from time to time: text columns, or grid columns in graphics
    text 80x25          then a line a row, "|CHARACTERS", and its colours "=PAPER+INK*COUNT ..." as VGA's 16 colours in hex
    grid 40x30 W H      a line a row: the mean colour of each place, six hex digits

In text modes all characters and colours must be equal. In graphics each colour of a place may be NEAR off, and SLACK places (a blinking
cursor) may be anything.
"""
import hashlib
import os
import struct
import zlib

GRID = (40, 30)
NEAR = 6
SLACK = 3
VGA = [(0, 0, 0), (0, 0, 170), (0, 170, 0), (0, 170, 170), (170, 0, 0), (170, 0, 170), (170, 85, 0), (170, 170, 170),
       (85, 85, 85), (85, 85, 255), (85, 255, 85), (85, 255, 255), (255, 85, 85), (255, 85, 255), (255, 255, 85), (255, 255, 255)]


class Picture:
    """A binary PPM, and what the monitor's `info screen` says of the same moment (None in graphics)."""

    def __init__(self, ppm, rows):
        magic, size, top, self.rgb = ppm.split(b"\n", 3)
        self.w, self.h = map(int, size.split())
        if magic != b"P6" or top != b"255" or len(self.rgb) != self.w * self.h * 3:
            raise ValueError("not the PPM that was expected")
        self.rows = rows

    def hash(self):
        return hashlib.sha256(b"%d %d " % (self.w, self.h) + self.rgb).hexdigest()[:16]

    def png(self, path):
        def chunk(kind, data):
            return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        line = self.w * 3
        raw = b"".join(b"\0" + self.rgb[i:i + line] for i in range(0, len(self.rgb), line))
        with open(path + ".part", "wb") as f:
            f.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", self.w, self.h, 8, 2, 0, 0, 0)) +
                    chunk(b"IDAT", zlib.compress(raw, 6)) + chunk(b"IEND", b""))
        os.replace(path + ".part", path)


def nearest(rgb):
    return min(range(16), key=lambda i: sum((a - b) ** 2 for a, b in zip(VGA[i], rgb)))


def cell_colours(p, x, y, w, h):
    """Paper (the colour of most dots) and ink (of the next most; None)."""
    count = {}
    for line in range(y, y + h):
        at = (line * p.w + x) * 3
        for dot in range(at, at + w * 3, 3):
            rgb = p.rgb[dot:dot + 3]
            count[rgb] = count.get(rgb, 0) + 1
    order = sorted(count, key=lambda rgb: -count[rgb])
    return f"{nearest(order[0]):x}", f"{nearest(order[1]):x}" if len(order) > 1 else None


def attributes(p, row, columns):
    """Two characters a place. A blank has no ink: it takes its left neighbour's, so that a cursor on it is not seen."""
    w, h = p.w // columns, p.h // len(p.rows)
    text, out = p.rows[row].ljust(columns), []
    for x in range(columns):
        paper, ink = cell_colours(p, x * w, row * h, w, h)
        if text[x] == " " or ink is None:
            ink = out[-1][1] if out and out[-1][0] == paper else "-"
        out.append(paper + ink)
    return out


def runs(places):
    out = []
    for a in places:
        if out and out[-1][0] == a:
            out[-1][1] += 1
        else:
            out.append([a, 1])
    return " ".join(f"{a}*{n}" for a, n in out)


def unrun(text):
    return [a for part in text.split() for a, n in [part.split("*")] for _ in range(int(n))]


def grid(p):
    out = []
    for gy in range(GRID[1]):
        y0, y1 = gy * p.h // GRID[1], (gy + 1) * p.h // GRID[1]
        sums = [[0, 0, 0] for _ in range(GRID[0])]
        for y in range(y0, y1):
            for gx in range(GRID[0]):
                x0, x1 = gx * p.w // GRID[0], (gx + 1) * p.w // GRID[0]
                for c in range(3):
                    sums[gx][c] += sum(p.rgb[(y * p.w + x0) * 3 + c:(y * p.w + x1) * 3:3])
        dots = [(y1 - y0) * ((gx + 1) * p.w // GRID[0] - gx * p.w // GRID[0]) for gx in range(GRID[0])]
        out.append(["".join(f"{s // dots[gx]:02x}" for s in sums[gx]) for gx in range(GRID[0])])
    return out


def text_columns(p):
    return p.w // 9 if p.w % 9 == 0 and p.w % 640 else p.w // 8


class Reference:
    def __init__(self, note=(), hash_="", ignore=(), size=None):
        self.note, self.hash, self.ignore, self.size = list(note), hash_, list(ignore), size
        self.text, self.colours, self.grid = [], [], []

    @classmethod
    def of(cls, p, note, ignore):
        ref = cls(note, p.hash(), ignore)
        if p.rows:
            ref.size = (text_columns(p), len(p.rows))
            ref.text = [r.ljust(ref.size[0]) for r in p.rows]
            ref.colours = [attributes(p, y, ref.size[0]) for y in range(ref.size[1])]
        else:
            ref.size, ref.grid = (p.w, p.h), grid(p)
        return ref

    @classmethod
    def load(cls, path):
        ref = cls()
        with open(path, encoding="utf-8") as f:
            for line in f.read().split("\n"):
                word, _, rest = line.partition(" ")
                if line.startswith("# "):
                    ref.note.append(line[2:])
                elif line.startswith("|"):
                    ref.text.append(line[1:].ljust(ref.size[0]))
                elif line.startswith("="):
                    ref.colours.append(unrun(line[1:]))
                elif word == "hash":
                    ref.hash = rest
                elif word == "ignore":
                    row, span = rest.split()
                    ref.ignore.append((int(row), *map(int, span.split("-"))))
                elif word == "text":
                    ref.size = tuple(map(int, rest.split("x")))
                elif word == "grid":
                    ref.size = tuple(map(int, rest.split()[1:]))
                elif line:
                    ref.grid.append(line.split())
        return ref

    def save(self, path):
        lines = ["# " + n for n in self.note] + ["hash " + self.hash] + [f"ignore {r} {a}-{b}" for r, a, b in self.ignore]
        if self.text:
            lines.append(f"text {self.size[0]}x{self.size[1]}")
            for row, colours in zip(self.text, self.colours):
                lines += [("|" + row).rstrip(), "=" + runs(colours)]
        else:
            lines += [f"grid {GRID[0]}x{GRID[1]} {self.size[0]} {self.size[1]}"] + [" ".join(row) for row in self.grid]
        with open(path, "w", encoding="utf-8") as f:
            f.write("\n".join(lines) + "\n")

    def ignored(self, row, column):
        return any(r == row and a <= column <= b for r, a, b in self.ignore)

    def difference(self, other):
        """What keeps `other` (a Reference of what the screen shows) from being this; "" if nothing does."""
        if other.hash == self.hash:
            return ""
        if other.size != self.size or bool(other.text) != bool(self.text):
            return f"the screen is {'text' if other.text else 'graphics'} {other.size}, not {'text' if self.text else 'graphics'} {self.size}"
        return self.text_difference(other) if self.text else self.grid_difference(other)

    def text_difference(self, other):
        out = []
        for y in range(self.size[1]):
            bad = [x for x in range(self.size[0]) if not self.ignored(y, x) and other.text[y][x] != self.text[y][x]]
            if bad:
                out.append(f"row {y} is {other.text[y].rstrip()!r}, not {self.text[y].rstrip()!r} (columns {bad[0]}-{bad[-1]})")
                continue
            # A blank's ink is its neighbour's, so that what stands in an ignored place shows in the blanks behind it.
            bad = [x for x in range(self.size[0]) if not self.ignored(y, x) and
                   (other.colours[y][x] != self.colours[y][x] if self.text[y][x] != " " else other.colours[y][x][0] != self.colours[y][x][0])]
            if bad:
                x = bad[0]
                out.append(f"row {y} column {x} ({self.text[y].rstrip()!r}) has colours {other.colours[y][x]}, not {self.colours[y][x]}")
        return "\n".join(out)

    def grid_difference(self, other):
        bad = []
        for y, (mine, theirs) in enumerate(zip(self.grid, other.grid)):
            bad += [(y, x) for x, (a, b) in enumerate(zip(mine, theirs)) if a != b and not self.ignored(y, x) and
                    any(abs(int(a[c:c + 2], 16) - int(b[c:c + 2], 16)) > NEAR for c in (0, 2, 4))]
        if len(bad) <= SLACK:
            return ""
        y, x = bad[0]
        return f"{len(bad)} of {GRID[0] * GRID[1]} places differ, rows {bad[0][0]}-{bad[-1][0]}; row {y} column {x} is {other.grid[y][x]}, not {self.grid[y][x]}"
