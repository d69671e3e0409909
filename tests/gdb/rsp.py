#!/usr/bin/env python3
"""Debugs prog.asm over gdb's remote protocol, from the first instruction of the BIOS to ring 3, and checks every stop.

    rsp.py [--engine auto|bt|direct] [--stress ITEM,...] [--case NAME]...

NOVT names another program. Last line: N passed, N failed.
"""
import argparse
import os
import re
import select
import struct
import subprocess
import sys
import tempfile
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BASE, COUNTER, ALIAS, OTHER = 0x10000, 0x9000, 0x40000000, 0xa000
TABLE = 0x81000
TRAP, INT = 5, 2
LIMIT_S = 60
CORE = "eax ecx edx ebx esp ebp esi edi eip eflags cs ss ds es fs gs".split()


class Bad(Exception):
    pass


def expect(got, want, what):
    if got != want:
        show = [hex(x) if isinstance(x, int) else repr(x) for x in (got, want)]
        raise Bad(f"{what}: {show[0]} instead of {show[1]}")


def symbols(path):
    with open(path) as f:
        return {m[2]: int(m[1], 16) for m in re.finditer(r"^ +[0-9A-F]+ +([0-9A-F]+)  (\S+)$", f.read(), re.M)}


class Client:
    """One novt, stopped in front of its first instruction."""

    def __init__(self, args, image):
        novt = os.environ.get("NOVT") or os.path.join(ROOT, "build", "release", "novt")
        cmd = [novt, "-bios", image, "-m", "32", "-vga", "none", "-display", "none", "-serial", "none", "-S", "-gdb", "stdio",
               "-device", "isa-debug-exit,iobase=0x501,iosize=4", "--timeout", str(LIMIT_S), "-engine", args.engine]
        if args.stress:
            cmd += ["--stress", args.stress]
        self.process = subprocess.Popen(cmd, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)
        self.buffer = b""
        self.regs = None
        self.ask("QStartNoAckMode", ack=True)

    def byte(self):
        if not self.buffer:
            if not select.select([self.process.stdout], [], [], LIMIT_S)[0]:
                raise Bad("no answer")
            self.buffer = os.read(self.process.stdout.fileno(), 65536)
            if not self.buffer:
                raise Bad("it is gone: " + self.process.stderr.read().decode("latin-1"))
        c, self.buffer = self.buffer[:1], self.buffer[1:]
        return c

    def answer(self):
        while self.byte() != b"$":
            pass
        text = b""
        while (c := self.byte()) != b"#":
            text += c
        expect(int(self.byte() + self.byte(), 16), sum(text) & 255, "checksum")
        return re.sub(rb"\}(.)", lambda m: bytes([m[1][0] ^ 0x20]), text, flags=re.S).decode("latin-1")

    def send(self, text):
        raw = text.encode("latin-1")
        self.process.stdin.write(b"$" + raw + b"#%02x" % (sum(raw) & 255))

    def ask(self, text, ack=False):
        self.send(text)
        answer = self.answer()
        if ack:
            self.process.stdin.write(b"+")
        return answer

    def ok(self, text):
        expect(self.ask(text), "OK", text)

    def number(self, name):
        """A register's number, by the description."""
        if self.regs is None:
            xml, piece = "", "m"
            while piece[0] == "m":
                piece = self.ask(f"qXfer:features:read:target.xml:{len(xml):x},400")
                xml += piece[1:]
            self.regs = re.findall(r'<reg name="(\w+)"', xml)
            expect(self.regs[:16], CORE, "core registers")
        return self.regs.index(name)

    def reg(self, name):
        return int.from_bytes(bytes.fromhex(self.ask(f"p{self.number(name):x}")), "little")

    def set_reg(self, name, value, size=4):
        return self.ask(f"P{self.number(name):x}={value.to_bytes(size, 'little').hex()}")

    def pc(self):
        return self.reg("cs_base") + self.reg("eip") & 0xffffffff

    def mem(self, addr, n):
        return bytes.fromhex(self.ask(f"m{addr:x},{n:x}"))

    def mem32(self, addr):
        return struct.unpack("<I", self.mem(addr, 4))[0]

    def poke32(self, addr, value):
        self.ok(f"M{addr:x},4:{struct.pack('<I', value).hex()}")

    def stop(self, where=None, signal=TRAP, also=""):
        """Waits for a stop and checks it."""
        reply = self.answer()
        expect(reply[:3], f"T{signal:02x}", "stop reply " + reply)
        expect(also in reply, True, f"{also} in {reply}")
        if where is not None:
            expect(self.pc(), where, "stopped at")

    def cont(self, where=None, **more):
        self.send("vCont;c")
        self.stop(where, **more)

    def step(self, where=None, **more):
        self.send("vCont;s:1")
        self.stop(where, **more)

    def run_to(self, where, hard=False):
        kind = f"{int(hard)},{where:x},1"
        self.ok("Z" + kind)
        self.cont(where)
        self.ok("z" + kind)

    def finish(self):
        """Lets it go, tells ring 3 to end, and the program has to find that nobody meddled."""
        self.send("c")
        time.sleep(0.05)
        self.process.stdin.write(b"\x03")
        if not self.answer().startswith("T02"):
            raise Bad("not interrupted")
        while self.reg("cs") & 3 != 3 or self.pc() < self.sym["user_loop"]:
            self.send("c")
            time.sleep(0.05)
            self.process.stdin.write(b"\x03")
            self.answer()
        self.poke32(0x7f004, 1)
        self.send("D")
        expect(self.process.wait(LIMIT_S), 33, "exit code")

    def close(self):
        self.process.kill()
        self.process.wait()


# ---- cases: c is a client in front of the first instruction, s the program's symbols ----

def reset(c, s):
    """The state after reset, memory at the vector, and the first jumps, stepped."""
    expect((c.reg("cs"), c.reg("eip"), c.reg("cs_base")), (0xf000, 0xfff0, 0xffff0000), "cs, eip, base")
    expect(c.reg("edx") != 0 and c.reg("cr0") == 0x60000010, True, "edx, cr0")
    expect(c.mem(0xfffffff0, 1), b"\xea", "reset vector")
    c.step(0xf0000 + s["stub"] - BASE)
    c.step()
    expect(c.reg("eflags") & 0x400, 0, "DF")
    c.run_to(0xf0000 + s["stub_end"] - BASE, hard=True)
    c.step(s["entry16"])
    c.finish()


def real_mode(c, s):
    """Breakpoints at segment * 16 + offset, c alone goes on from one, steps over STI, MOV SS, REP, INT, IRET, far jumps."""
    c.run_to(s["real_loop"])
    c.ok(f"Z0,{s['real_next']:x},1")
    for n in range(1, 4):
        c.cont(s["real_next"])
        expect((c.mem32(COUNTER), c.reg("cs")), (n, 0x1000), "counter, cs")
    c.ok(f"z0,{s['real_next']:x},1")
    c.run_to(s["ss_at"])
    c.step(s["ss_next"])
    expect((c.reg("ss"), c.reg("ss_base")), (0x2000, 0x20000), "ss")
    c.step(s["sti_at"])
    expect(c.reg("esp") & 0xffff, 0x8000, "sp")
    c.step(s["sti_next"])
    expect(c.reg("eflags") & 0x200, 0x200, "IF")
    c.ok("M600,3:616263")
    c.run_to(s["rep_at"])
    for left in (2, 1):
        c.step(s["rep_at"])
        expect(c.reg("ecx") & 0xffff, left, "cx between iterations")
    c.step(s["rep_next"])
    expect(c.mem(0x700, 3), b"abc", "copied")
    c.step(s["handler16"])
    c.step(s["int_next"])
    c.step(s["far16"])
    expect((c.reg("cs"), c.reg("cs_base")), (0x1001, 0x10010), "cs after a far jump")
    c.run_to(s["pe_next"])
    expect(c.reg("cr0") & 1, 1, "PE")
    c.step(s["start32"])
    expect((c.reg("cs"), c.reg("cs_base"), c.reg("gdt_limit")), (8, 0, 47), "cs, gdt")
    c.finish()


def protected(c, s):
    """The same place again and again, registers and memory written, INT and IRET, x87 registers."""
    c.run_to(s["loop32"], hard=True)
    expect(bytes.fromhex(c.ask(f"p{c.number('st0'):x}")), struct.pack("<QH", 0xc90fdaa22168c235, 0x4000), "st0")
    expect(c.reg("ftag") >> 14, 0, "tag of st0")
    c.ok(f"Z0,{s['tick32']:x},1")
    for n in range(3):
        c.cont(s["tick32"])
        expect(c.mem32(COUNTER), 3 + n, "counter")
        # as gdb goes on: out, step, in, continue
        c.ok(f"z0,{s['tick32']:x},1")
        c.step(s["tick32_next"])
        c.ok(f"Z0,{s['tick32']:x},1")
    expect(c.set_reg("ecx", 2), "OK", "ecx")
    c.poke32(COUNTER, 0x1000)
    expect(c.set_reg("xmm3", 0x123456789abcdef, 16), "OK", "xmm3")
    c.cont(s["tick32"])
    c.ok(f"z0,{s['tick32']:x},1")
    c.run_to(s["loop32"] + 7)
    expect((c.mem32(COUNTER), c.reg("ecx"), c.reg("xmm3")), (0x1001, 0, 0x123456789abcdef), "counter, ecx, xmm3")
    c.step(s["handler30"])
    c.step(s["handler30"] + 1)
    c.step(s["int32_next"])
    # A patched instruction runs as patched: the page holds translations.
    c.ok(f"M{s['tick32_next']:x},2:9090")
    expect(c.mem(s["tick32_next"], 2), b"\x90\x90", "patched")
    c.ok(f"M{s['tick32_next']:x},2:8b15")
    expect(c.set_reg("cr0", 0x80000000), "E16", "PG without PE")
    expect(c.set_reg("ds", 0x1234), "E16", "a selector beyond the GDT")
    expect(c.reg("ds"), 0x10, "ds")
    c.finish()


def watch(c, s):
    """Watchpoints: writes, reads, both; real mode, flat and paged, a repeated store; the one who touched it is just done."""
    c.run_to(s["real_loop"])
    c.ok(f"Z2,{COUNTER:x},4")
    for n in range(1, 4):
        c.cont(s["tick16"] + 5, also=f"watch:{COUNTER:08x}")
        expect(c.mem32(COUNTER), n, "counter")
    c.cont(s["tick32_next"], also=f"watch:{COUNTER:08x}")
    c.ok(f"z2,{COUNTER:x},4")
    c.ok(f"Z3,{COUNTER + 3:x},1")  # a byte of it
    c.cont(s["tick32_next"] + 6, also=f"rwatch:{COUNTER + 3:08x}")
    expect(c.reg("edx"), 4, "edx")
    c.cont(s["tick32_next"], also=f"rwatch:{COUNTER + 3:08x}")  # INC reads too
    c.ok(f"z3,{COUNTER + 3:x},1")
    c.run_to(s["int32_next"])
    c.ok(f"Z4,{TABLE + 8:x},8")
    for at in (12, 16):  # between iterations
        c.cont(s["clear_at"], also=f"awatch:{TABLE + 8:08x}")
        expect(c.reg("edi"), TABLE + at, "edi")
    c.cont(s["fill_at"] + 1, also=f"awatch:{TABLE + 8:08x}")
    expect(c.mem32(TABLE + 8), 0x2007, "entry")
    c.cont(s["fill_at"] + 1, also=f"awatch:{TABLE + 8:08x}")
    c.ok(f"z4,{TABLE + 8:x},8")
    c.ok(f"Z3,{ALIAS + COUNTER:x},4")
    c.cont(s["alias_next"], also=f"rwatch:{ALIAS + COUNTER:08x}")
    c.ok(f"z3,{ALIAS + COUNTER:x},4")
    c.run_to(s["user_loop"])
    c.ok("Z2,7f000,4")
    for n in (1, 2):
        c.cont(s["user_tick.spin"] + 4, also="watch:0007f000")
        expect((c.mem32(0x7f000), c.reg("cs")), (n, 0x1b), "ring 3's count, cs")
    c.ok("z2,7f000,4")
    c.finish()


def paged(c, s):
    """Linear and physical memory, tables that are not there, no A and D bits of ours, CR3 and CR2 as they were."""
    c.run_to(s["paged"])
    expect(c.mem(ALIAS + COUNTER, 8), c.mem(COUNTER, 8), "alias")
    before = c.mem32(TABLE + (OTHER >> 12) * 4)
    c.poke32(ALIAS + OTHER + 0x10, 0xcafe)
    expect(c.mem32(OTHER + 0x10), 0xcafe, "through the other")
    expect((before, c.mem32(TABLE + (OTHER >> 12) * 4)), (0xa007, 0xa007), "page table entry")
    expect(c.ask("m50000000,4"), "E0e", "not mapped")
    expect(len(c.mem(0x3ffffe, 8)), 2, "up to the first page that is not mapped")
    c.ok("Qqemu.PhyMemMode:1")
    expect(c.ask("qqemu.PhyMemMode"), "1", "mode")
    expect(c.mem32(OTHER + 0x10), 0xcafe, "physical")
    expect(c.ask(f"m{ALIAS + OTHER:x},4"), "E0e", "physical: no memory there")
    c.ok("Qqemu.PhyMemMode:0")
    c.step(s["alias_next"])
    expect((c.reg("cr2"), c.reg("cr3")), (0, 0x80000), "cr2, cr3")
    c.finish()


def own(c, s):
    """The guest's DR0 works beside ours at the same place; its handler is stepped into."""
    c.run_to(s["own_loop"])
    c.ok(f"Z1,{s['own_at']:x},1")
    for n in range(3):
        c.cont(s["own_at"])
        expect(c.mem32(s["own_hits"]), n, "own hits")
        c.ok(f"z1,{s['own_at']:x},1")
        c.step(s["debug"])  # the fault of its own breakpoint comes before the instruction
        c.run_to(s["own_at"] + 1)
        expect(c.mem32(s["own_hits"]), n + 1, "own hits")
        c.ok(f"Z1,{s['own_at']:x},1")
    c.ok(f"z1,{s['own_at']:x},1")
    c.finish()


def sleeper(c, s):
    """HLT: a step goes behind it, the next into the interrupt that ends it; interrupts wait during steps unless asked otherwise."""
    c.run_to(s["hlt_at"])
    c.step(s["hlt_next"])
    c.step(s["timer"])
    c.run_to(s["hlt_next"])
    expect(c.ask("qqemu.sstep"), "0x7", "sstep")
    c.finish()


def ring3(c, s):
    """Breakpoints in ring 3 on whichever engine, IRET stepped into it, Ctrl-C out of a loop, steps there."""
    c.run_to(s["iret_at"])
    c.step(s["user"])
    expect((c.reg("cs"), c.reg("ss"), c.reg("esp")), (0x1b, 0x23, 0x78000), "cs, ss, esp")
    c.run_to(s["user_loop"])
    c.send("c")
    time.sleep(0.3)
    c.process.stdin.write(b"\x03")
    c.stop(signal=INT)
    expect(c.mem32(0x7f000) > 3, True, "it ran")
    for n in range(3):
        c.ok(f"Z0,{s['user_tick']:x},1")
        c.cont(s["user_tick"])
        expect(c.reg("cs"), 0x1b, "cs")
        c.ok(f"z0,{s['user_tick']:x},1")
        c.step(s["user_tick"] + 5)
        c.step(s["user_tick"] + 5 if c.reg("ecx") > 1 else None)
    c.poke32(0x7f004, 1)
    c.run_to(s["finish"])
    expect(c.reg("cs"), 8, "cs")
    c.send("c")
    expect(c.answer(), "W21", "the end is told")
    expect(c.process.wait(LIMIT_S), 33, "exit code")


def odd(c, s):
    """Packets that nobody should send get an answer, and the machine is what it was."""
    for text, want in (("Z9,0,1", ""), ("Z0,zz,1", "E16"), ("Z2,9000,0", "E16"), ("Z2,0,ffffffff", "E16"), ("z0,1234,1", "E02"),
                       ("m0", "E16"), ("m,4", "E16"), ("M0,4:00", "E16"), ("M0,ffffffffffffffff:00", "E16"), ("pffff", "E16"),
                       ("P8=00", "E16"), ("P8", "E16"), ("vCont;x", "E16"), ("vCont", "E16"), ("vMustReplyEmpty", ""), ("", ""),
                       ("qXfer:features:read:other.xml:0,100", "E00"), ("qXfer:features:read:target.xml:fffff,100", "E16"),
                       ("qAttached", "1"), ("qfThreadInfo", "m01"), ("qsThreadInfo", "l"), ("qC", "QC01"), ("Hg-1", "OK"), ("X0,0:", "OK"),
                       ("Qqemu.sstep=9", "E16"), ("qqemu.sstepbits", "ENABLE=1,NOIRQ=2,NOTIMER=4"), ("Gzz", "E16"), ("?", "T05thread:01;"),
                       ("G", "OK")):
        expect(c.ask(text), want, text)
    expect(c.ask("X600,3:a}\x03b"), "OK", "escaped bytes")
    expect(c.mem(0x600, 3), b"a#b", "escaped bytes")
    for n in range(300):
        answer = c.ask(f"Z0,{0x400000 + n:x},1")
        expect(answer, "OK" if n < 256 else "E1c", f"breakpoint {n}")
    for n in range(256):
        c.ok(f"z0,{0x400000 + n:x},1")
    before = c.ask("g")
    c.ok("G" + before)
    expect(c.ask("g"), before, "written and read")
    c.process.stdin.write(b"$broken#00")  # not acknowledged: no answer
    c.finish()


CASES = [reset, real_mode, protected, watch, paged, own, sleeper, ring3, odd]


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--engine", default="auto")
    ap.add_argument("--stress")
    ap.add_argument("--case", action="append")
    args = ap.parse_args()
    bad = good = 0
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run(["nasm", "-f", "bin", "-o", "prog.bin", os.path.join(HERE, "prog.asm")], cwd=directory, check=True)
        sym = symbols(os.path.join(directory, "prog.map"))
        for case in CASES:
            if args.case and case.__name__ not in args.case:
                continue
            c = Client(args, os.path.join(directory, "prog.bin"))
            c.sym = sym
            try:
                case(c, sym)
                good += 1
                print(f"ok {case.__name__}")
            except (Bad, OSError, ValueError) as e:
                bad += 1
                line = traceback.extract_tb(e.__traceback__)[1].lineno
                print(f"not ok {case.__name__}: line {line}: {e}")
            finally:
                c.close()
    print(f"{good} passed, {bad} failed")
    return 1 if bad or not good else 0


if __name__ == "__main__":
    sys.exit(main())
