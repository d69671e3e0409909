"""The machine that a system case starts from, the words a case is written in, and the ROM image made of many cases.

A case is a state of the processor and of the arena (see harness.asm), a few instructions, and nothing else: what they do is
written down by the harness, on NoVT and on Bochs, and must be the same. So a case needs no expected values.

    Case("limit/byte/read8", PM32[3], "mov al, [es:ecx]", regs=dict(ecx=0x2fff, es=T(0, 3)), gdt={T(0): desc(DATA, 0x2000, 0xfff, dpl=3)})

Code runs at CODE (offset 0 of CS in 16-bit modes) and is followed by UD2, so a case that gets through ends with vector 6 behind
its last instruction. Leave no undefined flag behind: both machines are free to differ there.
"""
import os
import struct
import subprocess
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))

# The arena. A page each unless it says otherwise; all of it is compared after a case.
ARENA, ARENA_BYTES = 0x20000, 0x20000
GDT, IDT, LDT, TSS = 0x20000, 0x21000, 0x22000, 0x23000
TSS2, TSS16, TSS16B, TSS_DF = 0x23400, 0x23800, 0x23900, 0x23a00    # other tasks, in the page of TSS
PD, PT = 0x24000, 0x25000                                           # 32-bit paging: linear 0-3FFFFFh one to one, all rights
PDPT, PAE_PD, PAE_PT = 0x26000, 0x27000, 0x28000                    # PAE paging: linear 0-1FFFFFh likewise
SPARE = 0x29000                                                     # for another page table
STACK = [0x2a000, 0x2b000, 0x2c000, 0x2d000]                        # the page of each ring's stack; ESP0-2 of the TSSs are their ends
STACK0_INNER = 0x2a800                                              # where ring 0 cases have their stack pointer
BITMAP = 0x2e000                                                    # for an I/O permission bitmap or a second stack (2 pages)
CODE, CODE2 = 0x30000, 0x31000                                      # two pages
DATA = 0x32000                                                      # 14 pages of data, to 3FFFFh
ROM_BYTES = 0x100000

HCODE, HDATA = 0x08, 0x10                                           # the harness's segments: flat, ring 0; gates lead to HCODE
HARNESS = 0x8000

# Access bytes without DPL, present.
SYS_TSS16, SYS_LDT, SYS_TSS16_BUSY, SYS_CALL16, SYS_TASK, SYS_INT16, SYS_TRAP16 = 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87
SYS_TSS32, SYS_TSS32_BUSY, SYS_CALL32, SYS_INT32, SYS_TRAP32 = 0x89, 0x8b, 0x8c, 0x8e, 0x8f
RO, RW, RO_DOWN, RW_DOWN, XO, XR, XO_CONF, XR_CONF = 0x90, 0x92, 0x94, 0x96, 0x98, 0x9a, 0x9c, 0x9e
A = 1                                                               # accessed
# Flag nibble of a descriptor.
G, D32, L64, AVL = 8, 4, 2, 1

PTE_P, PTE_W, PTE_U, PTE_PWT, PTE_PCD, PTE_A, PTE_D, PTE_PS, PTE_G = (1 << i for i in range(9))
PTE_NX = 1 << 63
ALL = PTE_P | PTE_W | PTE_U | PTE_A | PTE_D

CF, PF, AF, ZF, SF, TF, IF, DF, OF = 1, 4, 16, 64, 128, 256, 512, 1024, 2048
NT, RF, VM, AC, VIF, VIP, ID = 1 << 14, 1 << 16, 1 << 17, 1 << 18, 1 << 19, 1 << 20, 1 << 21
PE, MP, EM, TS, NE, WP, AM, PG = 1, 2, 4, 8, 0x20, 1 << 16, 1 << 18, 1 << 31
VME, PVI, TSD, DE, PSE, PAE, PGE, OSFXSR, OSXMMEXCPT = 1, 2, 4, 8, 0x10, 0x20, 0x80, 0x200, 0x400
EFER_NXE = 1 << 11
REAL, RING0, FPU, SSE, IRQ = 1, 2, 4, 8, 16                         # harness.asm's F_ flags


def iopl(n):
    return n << 12


def desc(access, base=0, limit=0xfffff, flags=D32, dpl=0, present=True):
    """A segment or system descriptor. limit is the field of 20 bits, so in pages with G."""
    access = (access | dpl << 5) & (0xff if present else 0x7f)
    return struct.pack("<HHBBBB", limit & 0xffff, base & 0xffff, base >> 16 & 0xff, access, limit >> 16 & 15 | flags << 4, base >> 24 & 0xff)


def gate(kind, selector, offset, dpl=0, params=0, present=True):
    kind = (kind | dpl << 5) & (0xff if present else 0x7f)
    return struct.pack("<HHBBH", offset & 0xffff, selector, params, kind, offset >> 16 & 0xffff)


def stub(vector):
    """The harness's 32-bit entry of a vector (in HCODE)."""
    return Harness.get()["stubs32"] + vector * Harness.get()["STUB32_BYTES"]


# Selectors that every case finds in the GDT, by ring; their accessed bits are set.
def CODE32(r): return 0x20 + r * 0x20 | r                           # flat                                      noqa: E704
def DATA32(r): return 0x28 + r * 0x20 | r                           # flat                                      noqa: E704
def CODE16(r): return 0x30 + r * 0x20 | r                           # base CODE, limit FFFFh, D = 0             noqa: E704
def DATA16(r): return 0x38 + r * 0x20 | r                           # base CODE, limit FFFFh, B = 0             noqa: E704
def STACK16(r): return 0xa0 + r * 8 | r                             # base ARENA, limit FFFFh, B = 0            noqa: E704


TSS_SEL, LDT_SEL, TSS2_SEL, TSS16_SEL, TSS16B_SEL, TSS_DF_SEL = 0xc0, 0xc8, 0xd0, 0xd8, 0xe0, 0xe8
GDT_LIMIT = 0x3ff


def T(n, rpl=0):
    """Selector n (0-31) of the GDT left free for cases."""
    return 0x100 + n * 8 | rpl


def TL(n, rpl=0):
    """Selector n (0-63) of the LDT, which starts empty, limit 1FFh."""
    return n * 8 | 4 | rpl


def tss32(esp=(), ss=(), cr3=0, eip=0, eflags=2, regs=(0,) * 8, es=0, cs=0, sss=0, ds=0, fs=0, gs=0, ldt=0, trap=0, bitmap=0x68, link=0):
    esp = list(esp) or [STACK[r] + 0x1000 for r in range(3)]
    ss = list(ss) or [DATA32(r) for r in range(3)]
    return struct.pack("<26I", link, esp[0], ss[0], esp[1], ss[1], esp[2], ss[2], cr3, eip, eflags, *regs, es, cs, sss, ds, fs, gs, ldt, bitmap << 16 | trap)


def tss16(sp=(), ss=(), ip=0, flags=2, regs=(0,) * 8, es=0, cs=0, sss=0, ds=0, ldt=0, link=0):
    sp = list(sp) or [(STACK[r] + 0x1000) & 0xffff for r in range(3)]
    ss = list(ss) or [STACK16(r) for r in range(3)]
    return struct.pack("<22H", link, sp[0], ss[0], sp[1], ss[1], sp[2], ss[2], ip, flags, *regs, es, cs, sss, ds, ldt)


class Mode:
    """A way to run code: name, operand size, and what a case's registers are unless it says otherwise."""

    def __init__(self, name, bits, ring, regs, flags=0, **more):
        self.name, self.bits, self.ring, self.regs, self.flags = name, bits, ring, dict(regs), flags
        self.flat = bits == 32
        self.__dict__.update(more)

    def __repr__(self):
        return self.name


def _modes():
    base = dict(eax=0xa1a2a3a4, ecx=0xc1c2c3c4, edx=0xd1d2d3d4, ebx=0xb1b2b3b4, ebp=0xe1e2e3e4, esi=0x51525354, edi=0xf1f2f3f4, eflags=2,
                cr0=0x11 | NE, cr3=0, cr4=0, gdt_limit=GDT_LIMIT, gdt_base=GDT, idt_limit=0x7ff, idt_base=IDT, ldtr=LDT_SEL, tr=TSS_SEL,
                dr0=0, dr1=0, dr2=0, dr3=0, dr6=0xffff0ff0, dr7=0x400, sysenter_cs=0, sysenter_esp=0, sysenter_eip=0, efer=0)
    pm32, pm16 = [], []
    for r in range(4):
        f = RING0 if r == 0 else 0
        esp = STACK0_INNER if r == 0 else STACK[r] + 0x1000
        d = DATA32(r)
        pm32.append(Mode(f"pm32-{r}", 32, r, dict(base, cs=CODE32(r), eip=CODE, ss=d, esp=esp, ds=d, es=d, fs=d, gs=d), f))
        d = DATA16(r)
        pm16.append(Mode(f"pm16-{r}", 16, r, dict(base, cs=CODE16(r), eip=0, ss=STACK16(r), esp=esp & 0xffff, ds=d, es=d, fs=d, gs=d), f))
    s = CODE >> 4
    real = dict(base, cs=s, eip=0, ss=ARENA >> 4, esp=STACK0_INNER & 0xffff, ds=s, es=s, fs=s, gs=s, cr0=0x10, idt_limit=0x3ff, idt_base=0)
    v86 = dict(base, cs=s, eip=0, ss=ARENA >> 4, esp=(STACK[3] + 0x1000) & 0xffff, ds=s, es=s, fs=s, gs=s, eflags=2 | VM | iopl(3))
    return pm32, pm16, Mode("real", 16, 0, real, REAL), Mode("v86", 16, 3, v86)


PM32, PM16, REALMODE, V86 = _modes()


def paged(mode, kind="32"):
    """The same mode under paging: "32" (CR4.PSE on) or "pae" (with NXE)."""
    regs = dict(mode.regs)
    regs["cr0"] |= PG | WP
    if kind == "32":
        regs.update(cr3=PD, cr4=PSE)
    else:
        regs.update(cr3=PDPT, cr4=PSE | PAE, efer=EFER_NXE)
    m = Mode(f"{mode.name}/{'p' if kind == '32' else kind}", mode.bits, mode.ring, regs, mode.flags, paging=kind)
    return m


class Case:
    """name: of this case in its family. code: assembly (NASM) or bytes. regs: over the mode's. flags: FPU, SSE, IRQ.
    gdt, ldt, idt: {selector or vector: 8 bytes}; ivt: {vector: (segment, offset)}; tss: bytes for TSS;
    pte: {linear: entry} in the mode's page table (32-bit or PAE); mem: {address: bytes}; more: {address: (bits, assembly)}
    for code elsewhere (labels in it count from offset "org", by default the address)."""

    def __init__(self, name, mode, code, regs=None, flags=0, gdt=None, ldt=None, idt=None, ivt=None, tss=None, pte=None, mem=None, more=None, end=True):
        self.name, self.mode, self.code = name, mode, code
        self.regs, self.flags, self.end = regs or {}, flags, end
        self.gdt, self.ldt, self.idt, self.ivt, self.tss = gdt or {}, ldt or {}, idt or {}, ivt or {}, tss
        self.pte, self.mem, self.more = pte or {}, mem or {}, more or {}
        for r in self.regs:
            if r not in mode.regs:
                raise ValueError(f"{name}: no register {r}")

    def snippets(self):
        """(address, bits, org, text) of each piece of code; bytes are taken as they are."""
        org = CODE if self.mode.flat else 0
        if not isinstance(self.code, bytes):
            yield CODE, self.mode.bits, org, self.code + ("\nud2" if self.end else "")
        for address, (bits, text, *at) in self.more.items():
            yield address, bits, at[0] if at else address, text

    def patches(self, assembled):
        out = []
        if isinstance(self.code, bytes):
            out.append((CODE, self.code + (b"\x0f\x0b" if self.end else b"")))
        for address, bits, org, text in self.snippets():
            out.append((address, assembled[bits, org, text]))
        out += [(GDT + (s & 0xfff8), d) for s, d in self.gdt.items()]
        out += [(LDT + (s & 0xfff8), d) for s, d in self.ldt.items()]
        out += [(IDT + v * 8, d) for v, d in self.idt.items()]
        out += [(v * 4, struct.pack("<HH", o, s)) for v, (s, o) in self.ivt.items()]
        if self.tss is not None:
            out.append((TSS, self.tss))
        for linear, entry in self.pte.items():
            if getattr(self.mode, "paging", "32") == "32":
                out.append((PT + (linear >> 12) * 4, struct.pack("<I", entry)))
            else:
                out.append((PAE_PT + (linear >> 12) * 8, struct.pack("<Q", entry)))
        return out + list(self.mem.items())


def tasked(case, *vectors):
    """The case with these vectors (8 to 14) led through task gates, for when the stack of ring 0 is what a case breaks. Each has a
    TSS of its own in SPARE and a descriptor at T(18) to T(24); the state in which the exception was raised is in the old TSS."""
    for v in vectors:
        at, sel = SPARE + v * 0x80, T(10 + v)
        case.gdt.setdefault(sel, desc(SYS_TSS32, at, 0x67, 0))
        case.idt.setdefault(v, gate(SYS_TASK, sel, 0))
        case.mem.setdefault(at, tss32(cr3=case.regs.get("cr3", case.mode.regs["cr3"]), eip=stub(v), cs=HCODE, ds=HDATA, es=HDATA, sss=HDATA, ldt=LDT_SEL,
                                      regs=[0x60000001 + i * 0x01010101 if i != 4 else at + 0x80 for i in range(8)]))
    return case


REGS = ("eax ecx edx ebx ebp esi edi esp ss eip cs eflags ds es fs gs cr0 cr3 cr4 gdt_limit gdt_base idt_limit idt_base ldtr tr "
        "dr0 dr1 dr2 dr3 dr6 dr7 sysenter_cs sysenter_esp sysenter_eip efer").split()


direct = False      # 32-bit ring-3 cases as direct execution needs them: paging on, interrupts on (all are masked), CR4.OSFXSR set


def record(case, number, assembled):
    r = dict(case.mode.regs, **case.regs)
    if direct and case.mode.ring == 3 and case.mode.bits == 32 and not case.flags & IRQ:
        if not r["cr0"] & PG:
            r["cr0"] |= PG | WP
            r["cr3"] = PD
            r["cr4"] |= PSE
        r["eflags"] |= IF
        r["cr4"] |= OSFXSR
    r["gdt_limit"] <<= 16
    r["idt_limit"] <<= 16
    body = b"".join(struct.pack("<I", r[name] & 0xffffffff) for name in REGS)
    for address, data in case.patches(assembled):
        body += struct.pack("<II", address, len(data)) + data + bytes(-len(data) % 4)
    body += struct.pack("<I", 0xffffffff)
    return struct.pack("<III", len(body) + 12, number, case.flags | case.mode.flags) + body


class Harness:
    """Where the harness has its entries, found once."""
    labels = None

    @classmethod
    def get(cls):
        if cls.labels is None:
            with tempfile.TemporaryDirectory() as d:
                binary = os.path.join(d, "harness")
                subprocess.run(["nasm", "-f", "bin", "-DTEMPLATE_ROM=0", "-DRECORDS_ROM=0", "-o", binary, os.path.join(HERE, "harness.asm")], check=True)
                with open(binary, "rb") as f:
                    cls.labels = dict(zip(("stubs32", "STUB32_BYTES", "stubs16", "STUB16_BYTES"), struct.unpack("<4H", f.read(16)[8:])))
        return cls.labels


def assemble(snippets):
    """All the pieces of code, each once, by one run of nasm."""
    order = sorted(set(snippets))
    if not order:
        return {}
    with tempfile.TemporaryDirectory() as d:
        source, binary = os.path.join(d, "code.asm"), os.path.join(d, "code.bin")
        with open(source, "w") as f:
            f.write("org 0\n%define at(l) ((l) - snippet + origin)\n")
            for i, (bits, org, text) in enumerate(order):
                f.write(f"bits {bits}\nsnippet_{i}:\n%define snippet snippet_{i}\n%define origin {org:#x}\n{text}\n")
            f.write("align 4\ntable:\n" + "".join(f"dd snippet_{i}\n" for i in range(len(order))) + "dd table\n")
        r = subprocess.run(["nasm", "-w-all", "-O1", "-f", "bin", "-o", binary, source], capture_output=True, text=True)
        if r.returncode:
            with open(source) as f:
                lines = f.read().split("\n")
            first = r.stderr.split("\n")[0]
            n = int(first.split(":")[1])
            raise SystemExit(f"{first}\n  in: {lines[n - 1]}")
        data = open(binary, "rb").read()
    n = len(order) + 1
    table = struct.unpack(f"<{n}I", data[-4 * n:])
    return {key: data[table[i]:table[i + 1]] for i, key in enumerate(order)}


def template():
    """The arena and the IVT before any case."""
    a = bytearray(ARENA_BYTES)

    def put(address, data):
        a[address - ARENA:address - ARENA + len(data)] = data

    for s, d in {HCODE: desc(XR | A, 0, 0xfffff, G | D32), HDATA: desc(RW | A, 0, 0xfffff, G | D32)}.items():
        put(GDT + s, d)
    for r in range(4):
        put(GDT + (CODE32(r) & ~7), desc(XR | A, 0, 0xfffff, G | D32, r))
        put(GDT + (DATA32(r) & ~7), desc(RW | A, 0, 0xfffff, G | D32, r))
        put(GDT + (CODE16(r) & ~7), desc(XR | A, CODE, 0xffff, 0, r))
        put(GDT + (DATA16(r) & ~7), desc(RW | A, CODE, 0xffff, 0, r))
        put(GDT + (STACK16(r) & ~7), desc(RW | A, ARENA, 0xffff, 0, r))
    for s, base, kind, limit in ((TSS_SEL, TSS, SYS_TSS32, 0x67), (TSS2_SEL, TSS2, SYS_TSS32, 0x67), (TSS16_SEL, TSS16, SYS_TSS16, 0x2b),
                                 (TSS16B_SEL, TSS16B, SYS_TSS16, 0x2b), (TSS_DF_SEL, TSS_DF, SYS_TSS32, 0x67), (LDT_SEL, LDT, SYS_LDT, 0x1ff)):
        put(GDT + s, desc(kind, base, limit, 0))
    for v in range(256):
        put(IDT + v * 8, gate(SYS_INT32, HCODE, stub(v), 3 if v in (3, 4) or v >= 0x20 else 0))
    for s in (TSS, TSS2, TSS_DF):
        put(s, tss32())
    for s in (TSS16, TSS16B):
        put(s, tss16())
    put(PD, struct.pack("<I", PT | ALL))
    put(PT, b"".join(struct.pack("<I", i << 12 | ALL) for i in range(1024)))
    put(PDPT, struct.pack("<QQ", PAE_PD | PTE_P, 0))
    put(PAE_PD, struct.pack("<Q", PAE_PT | ALL))
    put(PAE_PT, b"".join(struct.pack("<Q", i << 12 | ALL) for i in range(512)))
    for page in STACK + [BITMAP, BITMAP + 0x1000, SPARE]:
        put(page, b"\xa5" * 0x1000)
    put(CODE, b"\x0f\x0b" * 0x1000)
    put(DATA, b"".join(struct.pack("<I", 0xd0000000 | i) for i in range(0, 0xe000, 4)))
    ivt = b"".join(struct.pack("<HH", Harness.get()["stubs16"] + v * Harness.get()["STUB16_BYTES"] - HARNESS, HARNESS >> 4) for v in range(256))
    return bytes(a) + ivt


def images(cases, path, numbers=None):
    """Writes as many ROMs as the cases need (or those of the numbers given), path.0, path.1 ...; returns [(file, its cases by number)]."""
    cases = list(cases)
    numbers = range(len(cases)) if numbers is None else numbers
    assembled_keys = [(bits, org, text) for n in numbers for _, bits, org, text in cases[n].snippets()]
    assembled = assemble(assembled_keys)
    head = template()
    room = ROM_BYTES - len(head) - 0x10000 - 16
    batches, used = [[]], 0
    for number in numbers:
        data = record(cases[number], number, assembled)
        if used + len(data) > room:
            batches.append([])
            used = 0
        batches[-1].append((number, data))
        used += len(data)
    out = []
    for i, batch in enumerate(batches):
        top = 0x100000000 - ROM_BYTES
        harness, reset = f"{path}.{i}.harness", f"{path}.{i}.reset"
        asm = os.path.join(HERE, "harness.asm")
        subprocess.run(["nasm", "-f", "bin", f"-DTEMPLATE_ROM={top:#x}", f"-DRECORDS_ROM={top + len(head):#x}", "-o", harness, asm], check=True)
        subprocess.run(["nasm", "-f", "bin", "-DRESET", "-o", reset, asm], check=True)
        rom = bytearray(head + b"".join(d for _, d in batch) + bytes(4))
        rom += bytes(ROM_BYTES - 0x10000 - len(rom)) + open(harness, "rb").read()
        rom += bytes(ROM_BYTES - 0x100 - len(rom)) + open(reset, "rb").read()
        with open(f"{path}.{i}", "wb") as f:
            f.write(rom)
        out.append((f"{path}.{i}", [n for n, _ in batch]))
    return out
