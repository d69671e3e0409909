#!/usr/bin/env python3
"""Runs guest programs (see guest.inc) and checks what they say.

    run.py IMAGE... [--stress ITEM,...] [--cpu MODEL] [--engine NAME]     on novt ($NOVT, or build/release/novt)
    run.py IMAGE... --reference qemu|bochs                on another machine, to see who is right

An IMAGE may be a .asm file: it is assembled first, and failed checks are shown with their source line.
Exit code 0 when every program ended with code 33, said at least one "ok" and no "not ok".
"""
import argparse
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BASE = 0x10000
PASSED = 33

BOCHS = """config_interface: textconfig
display_library: rfb, options="timeout=0"
romimage: file={image}, address=0xffff0000
vgaromimage: file=/usr/share/seabios/vgabios-stdvga.bin
megs: 32
cpu: model=corei7_sandy_bridge_2600k, ips=20000000, reset_on_triple_fault=0
port_e9_hack: enabled=1
log: {image}.log
panic: action=fatal
error: action=report
info: action=ignore
sound: driver=dummy
"""


def assemble(path, directory):
    name = os.path.splitext(os.path.basename(path))[0]
    image, listing = os.path.join(directory, name + ".bin"), os.path.join(directory, name + ".lst")
    subprocess.run(["nasm", "-w-all", "-f", "bin", "-I", HERE + "/", "-l", listing, "-o", image, path], check=True)
    return image, listing


def source_line(listing, address):
    """The line of the program itself before this address."""
    best = ""
    if not listing:
        return best
    with open(listing) as f:
        for line in f:
            m = re.match(r"\s*\d+ ([0-9A-F]{8}) [0-9A-F<(\[]", line)
            if m and int(m[1], 16) + BASE >= address:
                return best
            m = re.match(r"\s*(\d+) .{26,40}?\s{2,}(\S.*)", line)
            if m and not re.search(r"<\d+>", line):
                best = f"line {m[1]}: {m[2].strip()}"
    return best


def command(args, image):
    if args.reference == "qemu":
        return ["qemu-system-i386", "-bios", image, "-m", "32", "-vga", "none", "-net", "none", "-display", "none", "-serial", "none",
                "-monitor", "none", "-debugcon", "stdio", "-no-reboot", "-device", "isa-debug-exit,iobase=0x501"]
    if args.reference == "bochs":
        with open(image + ".bxrc", "w") as f:
            f.write(BOCHS.format(image=image))
        return ["sh", "-c", f"echo c | bochs -q -f {image}.bxrc"]
    novt = os.environ.get("NOVT") or os.path.join(ROOT, "build", "release", "novt")
    vga = "std" if os.path.basename(image) == "vram.bin" else "none"
    cmd = [novt, "-bios", image, "-m", "32", "-vga", vga, "-display", "none", "-serial", "none", "-debugcon", "stdio", "-no-reboot",
           "--timeout", str(args.timeout), "-device", "isa-debug-exit,iobase=0x501,iosize=4"]
    if args.stress:
        cmd += ["--stress", args.stress]
    if args.cpu:
        cmd += ["-cpu", args.cpu]
    if args.engine:
        cmd += ["-engine", args.engine]
    return cmd


def run_one(args, path, directory):
    listing = None
    image = path
    if path.endswith(".asm"):
        image, listing = assemble(path, directory)
    elif os.path.exists(os.path.splitext(path)[0] + ".lst"):
        listing = os.path.splitext(path)[0] + ".lst"
    try:
        r = subprocess.run(command(args, image), stdin=subprocess.DEVNULL, capture_output=True, timeout=args.timeout + 20)
        out, err, code = r.stdout.decode("latin-1"), r.stderr.decode("latin-1"), r.returncode
    except subprocess.TimeoutExpired as e:
        out, err, code = (e.stdout or b"").decode("latin-1"), "", "timeout"
    name = os.path.splitext(os.path.basename(path))[0]
    good = bad = 0
    for line in out[:100000].split("\n"):
        m = re.match(r"# check before ([0-9a-f]{8})", line)
        if m:
            line += "   " + source_line(listing, int(m[1], 16))
        if re.match(r"(not )?ok |# ", line):
            bad += line.startswith("not ok")
            good += line.startswith("ok")
            print(f"{line}" if line.startswith("#") else f"{line} ({name})")
    ended = code == PASSED or args.reference == "bochs"
    if not ended:
        print(f"not ok {name} ends: exit code {code}\n" + "".join("# " + x + "\n" for x in err.split("\n")[:40] if x), end="")
    return bool(good) and not bad and ended


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("images", nargs="+")
    ap.add_argument("--stress")
    ap.add_argument("--cpu")
    ap.add_argument("--engine", help="auto, bt, direct")
    ap.add_argument("--timeout", type=int, default=60)
    ap.add_argument("--reference", choices=["qemu", "bochs"])
    args = ap.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        results = [run_one(args, p, directory) for p in args.images]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
