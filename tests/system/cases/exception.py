"""Exceptions: every vector from every mode, faults while a fault is delivered, which one wins when several apply, LOCK, undefined
opcodes of all maps, the length limit, what is left behind for the restart, alignment checks.

Instructions that may or may not fault stand after 128 bytes of INT3 and before a CMP: jumps of the tried opcodes land in INT3, and
the CMP leaves no undefined flag.
"""
from matrix import *  # noqa: F403

PAGED = [paged(m, k) for m in (PM32[0], PM32[3], PM16[3], V86) for k in ("32", "pae")]
ALL_MODES = PM32 + PM16 + [REALMODE, V86] + PAGED
DATA_PAGE = 0x33000                                 # the page that cases take away, or the end of a segment
T_END = T(4)                                        # a data segment that ends at T_LIMIT of its mode


def off(mode, address):
    """Offset of a linear address in the mode's DS."""
    return address if mode.flat else address - CODE


def ptr(mode, address):
    return f"[{off(mode, address):#x}]"


def tried(code, mode, tail="cmp eax, eax"):
    """Regs and assembly for an instruction whose effect is a matter of the test."""
    return f"times 64 int3\n{code}\n{tail}", dict(eip=mode.regs["eip"] + 64)


def opcode(data, mode):
    """An instruction by its bytes, up to eight bytes of operand behind it. Memory operands and registers that may be jumped to are in INT3."""
    text, regs = tried("db " + ",".join(f"{b:#x}" for b in data) + "\ntimes 8 nop", mode)
    return text, dict(regs, esi=off(mode, CODE + 16), ecx=0x10)


def target(mode):
    return {DATA + 0x40: struct.pack("<IH", CODE + 16, mode.regs["cs"]) if mode.flat else struct.pack("<HHH", 16, mode.regs["cs"], 0)}


# ---- every vector from every mode ----

def sources(mode):
    """name, code, regs, flags: one exception each, as far as the mode has it."""
    w = "ecx" if mode.flat else "cx"
    data = ptr(mode, DATA)
    yield "de-div", f"xor {w}, {w}\ndiv {w}", {}, 0
    yield "de-idiv", f"mov eax, 0x80000000\nmov edx, -1\nmov ecx, -1\nidiv ecx", {}, 0
    yield "de-div8", "mov ax, 0x200\nmov cl, 2\ndiv cl", {}, 0
    yield "de-aam0", "db 0xd4, 0", {}, 0
    yield "db-icebp", "db 0xf1", {}, 0
    yield "bp", "int3", {}, 0
    yield "bp-cd03", "db 0xcd, 3", {}, 0
    yield "of", "mov al, 0x7f\ninc al\ninto", {}, 0
    yield "of-clear", "xor eax, eax\ninto", {}, 0
    yield "br", f"mov {w}, 5\nbound {w}, {ptr(mode, DATA + 0x100)}", {}, 0
    yield "ud2", "ud2", {}, 0
    yield "nm-ts", "fld1", dict(cr0=mode.regs["cr0"] | TS), 0
    yield "nm-em", "fld1", dict(cr0=mode.regs["cr0"] | EM), 0
    yield "nm-wait", "fwait", dict(cr0=mode.regs["cr0"] | TS | MP), 0
    yield "nm-wait-no-mp", "fwait", dict(cr0=mode.regs["cr0"] | TS), 0
    if mode.name != "real":
        yield "mf", f"push word 0x33b\n{'fldcw [esp]' if mode.flat else 'mov bp, sp' + chr(10) + 'fldcw [bp]'}\nfldz\nfld1\nfdiv st0, st1\nfld1", {}, FPU
    yield "gp-int", "int 0xd" if mode.ring else "mov cr0, ecx", dict(ecx=0x80000000), 0
    yield "nop", "nop", {}, 0
    yield "int20", "int 0x20", {}, 0
    yield "int8", "int 8", {}, 0
    if mode.name != "real":
        yield "gp-null", f"xor ax, ax\nmov ds, ax\nmov eax, {data}", {}, 0
        yield "gp-sel", "mov ax, 0x7f8\nmov es, ax", {}, 0
        yield "gp-hlt", "lgdt [0]" if mode.ring else "mov ax, 0x28\nltr ax", {}, 0
    yield "gp-limit", "mov eax, [es:0xfffd]" if not mode.flat else "mov eax, [es:0x33000]", {} if not mode.flat else dict(es=T_END | mode.ring), 0
    yield "ss-limit", "mov eax, [ss:0xfffd]" if not mode.flat else "mov eax, [ss:0x80033000]", {}, 0
    if mode.ring == 3:
        yield "ac", f"mov eax, {ptr(mode, DATA + 1)}", dict(cr0=mode.regs["cr0"] | AM, eflags=mode.regs["eflags"] | AC), 0
        yield "ac-off", f"mov eax, {ptr(mode, DATA + 1)}", dict(cr0=mode.regs["cr0"] | AM), 0
    yield "xm", "push dword 0x1f00\nldmxcsr [esp]\ndivps xmm0, xmm1" if mode.flat else "push dword 0x1f00\nmov bp, sp\nldmxcsr [bp]\ndivps xmm0, xmm1", \
        dict(cr4=mode.regs["cr4"] | OSFXSR | OSXMMEXCPT), 0
    yield "xm-ud", "push dword 0x1f00\nldmxcsr [esp]\ndivps xmm0, xmm1" if mode.flat else "push dword 0x1f00\nmov bp, sp\nldmxcsr [bp]\ndivps xmm0, xmm1", \
        dict(cr4=mode.regs["cr4"] | OSFXSR), 0
    if hasattr(mode, "paging"):
        yield "pf-read", f"mov eax, {ptr(mode, DATA_PAGE)}", dict(_pte={DATA_PAGE: 0}), 0
        yield "pf-write", f"mov {ptr(mode, DATA_PAGE + 0xffe)}, eax", dict(_pte={DATA_PAGE + 0x1000: 0}), 0
        yield "pf-fetch", f"mov eax, {CODE2 if mode.flat else 0x1000:#x}\njmp {'eax' if mode.flat else 'ax'}", dict(_pte={CODE2: 0}), 0


def vector_cases():
    for mode in ALL_MODES:
        for name, code, regs, flags in sources(mode):
            regs = dict(regs)
            pte = regs.pop("_pte", {})
            yield Case(f"vector/{name}/{mode}", mode, code, regs, flags=flags, pte=pte,
                       gdt={T_END: desc(RW | A, 0, 0x32, G | D32, mode.ring)})


# ---- a fault while delivering ----

def second_faults():
    """name -> function of the first vector: gdt, idt, tss, pte, regs that make the delivery itself fail."""
    bad = {
        "idt-not-present": lambda v: dict(idt={v: gate(SYS_INT32, HCODE, stub(v), 3, present=False)}),
        "idt-type": lambda v: dict(idt={v: gate(0x89, HCODE, stub(v), 3)}),
        "idt-limit": lambda v: dict(regs=dict(idt_limit=v * 8 + 6 if v > 13 else 0x7ff), idt={} if v > 13 else {v: bytes(8)}),
        "gate-null-cs": lambda v: dict(idt={v: gate(SYS_INT32, 0, stub(v), 3)}),
        "gate-cs-outside": lambda v: dict(idt={v: gate(SYS_INT32, 0x7f8, stub(v), 3)}),
        "gate-cs-data": lambda v: dict(idt={v: gate(SYS_INT32, HDATA, stub(v), 3)}),
        "gate-cs-not-present": lambda v: dict(idt={v: gate(SYS_INT32, T(0), stub(v), 3)}, gdt={T(0): desc(XR | A, 0, 0xfffff, G | D32, present=False)}),
        "gate-cs-dpl": lambda v: dict(idt={v: gate(SYS_INT32, T(0), stub(v), 3)}, gdt={T(0): desc(XR | A, 0, 0xfffff, G | D32, 3)}),
        "gate-eip-limit": lambda v: dict(idt={v: gate(SYS_INT32, T(0), stub(v), 3)}, gdt={T(0): desc(XR | A, 0, 0xf, D32)}),
        "tss-ss-null": lambda v: dict(tss=tss32(ss=(0, DATA32(1), DATA32(2)))),
        "tss-ss-rpl": lambda v: dict(tss=tss32(ss=(DATA32(0) | 3, DATA32(1), DATA32(2)))),
        "tss-ss-code": lambda v: dict(tss=tss32(ss=(CODE32(0), DATA32(1), DATA32(2)))),
        "tss-ss-not-present": lambda v: dict(tss=tss32(ss=(T(0), DATA32(1), DATA32(2))), gdt={T(0): desc(RW | A, 0, 0xfffff, G | D32, present=False)}),
        "tss-ss-limit": lambda v: dict(tss=tss32(ss=(T(0), DATA32(1), DATA32(2))), gdt={T(0): desc(RW | A, 0, 0x20, G | D32)}),
        "tss-limit": lambda v: dict(gdt={TSS_SEL: desc(SYS_TSS32, TSS, 5, 0)}),
        "stack-page": lambda v: dict(pte={STACK[0]: 0}),
        "idt-page": lambda v: dict(pte={IDT: 0}),
        "task-gate-bad": lambda v: dict(idt={v: gate(SYS_TASK, TSS_SEL, 0, 3)}),
    }
    return bad


def first_faults(mode):
    """name, vector, code, more: what is delivered first."""
    ac = dict(regs=dict(cr0=mode.regs["cr0"] | AM, eflags=mode.regs["eflags"] | AC))
    yield "de", 0, "xor ecx, ecx\ndiv ecx", {}
    yield "icebp", 1, "db 0xf1", {}
    yield "bp", 3, "int3", {}
    yield "of", 4, "mov al, 0x7f\ninc al\ninto", {}
    yield "br", 5, f"mov ecx, 5\nbound ecx, {ptr(mode, DATA)}", {}
    yield "ud", 6, "ud2", {}
    yield "nm", 7, "fld1", dict(regs=dict(cr0=mode.regs["cr0"] | TS))
    yield "np", 11, f"mov ax, {T(1)}\nmov ds, ax", dict(gdt={T(1): desc(RW, 0, 0xfffff, G | D32, 3, present=False)})
    yield "ss", 12, "mov eax, [ss:0x80033000]", dict(regs=dict(ss=T(2) | mode.ring), gdt={T(2): desc(RW | A, 0, 0x60, G | D32, mode.ring)})
    yield "gp", 13, f"mov [cs:{DATA:#x}], eax", {}
    if hasattr(mode, "paging"):
        yield "pf", 14, f"mov eax, {ptr(mode, DATA_PAGE)}", dict(pte={DATA_PAGE: 0})
    yield "mf", 16, "fldz\nfld1\nfdiv st0, st1\npush word 0x33b\nfldcw [esp]\nfld1", {}
    if mode.ring == 3:
        yield "ac", 17, f"mov eax, {ptr(mode, DATA + 1)}", ac
    yield "xm", 19, "push dword 0x1f00\nldmxcsr [esp]\ndivps xmm0, xmm1", dict(regs=dict(cr4=mode.regs["cr4"] | OSFXSR | OSXMMEXCPT))
    yield "int30", 0x30, "int 0x30", {}
    yield "irq", 0x20, "nop\n" * 40, dict(regs=dict(eflags=mode.regs["eflags"] | IF), flags=IRQ) if mode.ring else dict(flags=IRQ, code="sti\nnop\nnop")


def merged(*parts):
    out = {}
    for p in parts:
        for k, v in p.items():
            out[k] = {**out.get(k, {}), **v} if isinstance(v, dict) else v
    return out


def double_cases():
    for mode in (PM32[0], paged(PM32[3])):
        for first, vector, code, more in first_faults(mode):
            for second, make in second_faults().items():
                if second.startswith("tss") and not mode.ring or second.endswith("-page") and not hasattr(mode, "paging"):
                    continue
                more = dict(more)
                text = more.pop("code", code)
                for df in ("ok", "bad") if first in ("de", "ud", "np", "gp", "pf", "int30") else ("ok",):
                    extra = dict(idt={8: gate(SYS_TASK if df == "bad" else SYS_INT32, HDATA if df == "bad" else HCODE, stub(8))})
                    if df == "ok" and (second.startswith("tss") or second == "stack-page"):
                        # The handler of #DF needs a stack: a task of its own.
                        extra = dict(idt={8: gate(SYS_TASK, TSS_DF_SEL, 0)})
                        cr3 = mode.regs["cr3"]
                        extra["mem"] = {TSS_DF: tss32(eip=stub(8), cs=HCODE, sss=HDATA, ds=HDATA, es=HDATA, fs=HDATA, gs=HDATA, regs=(0, 0, 0, 0, 0x1f000, 0, 0, 0), cr3=cr3)}
                    yield Case(f"double/{first}/{second}/{df}/{mode}", mode, text, **merged(more, make(vector), extra))


# ---- LOCK and the opcode maps ----

HANG = {0xf4, 0xfa, 0xfb}                           # HLT would wait
IO = {0xe4, 0xe5, 0xe6, 0xe7, 0xec, 0xed, 0xee, 0xef, 0x6c, 0x6d, 0x6e, 0x6f}
PREFIX = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3}
GROUPS1 = [0x80, 0x81, 0x82, 0x83, 0x8f, 0xc0, 0xc1, 0xc6, 0xc7, 0xd0, 0xd1, 0xd2, 0xd3, 0xf6, 0xf7, 0xfe, 0xff, 0x8c, 0x8e, 0x8d, 0x62, 0xc4, 0xc5]
GROUPS2 = [0x00, 0x01, 0x18, 0x71, 0x72, 0x73, 0xae, 0xba, 0xc7, 0xb2, 0xb4, 0xb5, 0x02, 0x03, 0xb8, 0xb9, 0x0d, 0x1f]


def modrm(mode, reg, mem):
    """ModRM bytes with a memory operand at DATA + 0x40, or the register SI/ESI."""
    if not mem:
        return [0xc0 | reg << 3 | 6]
    at = off(mode, DATA + 0x40)
    return [reg << 3 | 5, *struct.pack("<I", at)] if mode.flat else [reg << 3 | 6, *struct.pack("<H", at)]


def lock_cases():
    for mode in (PM32[3], PM16[0]):
        for op in range(0 if mode.flat else 1, 256, 1 if mode.flat else 5):
            if op in PREFIX or op == 0x0f:
                continue
            for mem in (True, False):
                has = op < 0x40 and op & 7 < 4 or op in GROUPS1 or 0x84 <= op <= 0x8e or op in (0x62, 0x63, 0x69, 0x6b) or 0xd8 <= op <= 0xdf
                if not mem and not has:
                    continue
                for reg in range(8) if op in GROUPS1 and mode.flat else (2,):
                    code, regs = opcode([0xf0, op] + modrm(mode, reg, mem), mode)
                    yield Case(f"lock/{op:02x}/{reg}/{'mem' if mem else 'reg'}/{mode}", mode, code, regs, mem=target(mode))
        for op in range(0 if mode.flat else 3, 256, 1 if mode.flat else 8):
            if op in (0x34, 0x35, 0x22, 0x23, 0x20, 0x21):
                continue
            for reg in range(8) if op in (0xba, 0xc7) and mode.flat else (2,):
                for mem in (True, False) if 0xa0 <= op < 0xc8 else (True,):
                    code, regs = opcode([0xf0, 0x0f, op] + modrm(mode, reg, mem), mode)
                    yield Case(f"lock/0f{op:02x}/{reg}/{'mem' if mem else 'reg'}/{mode}", mode, code, regs, mem=target(mode))


def undefined_cases():
    """Every group of the first two maps by its register field; every opcode of the second by its prefix."""
    modes = (PM32[3], PM32[0], PM16[3], REALMODE, V86)
    for n, mode in enumerate(modes):
        seen = n * 5
        for kind, groups, head in (("map1", GROUPS1 + list(range(0xd8, 0xe0)), []), ("map2", GROUPS2, [0x0f])):
            for op in groups:
                for mem in (True, False):
                    for reg in range(8):
                        seen += 1
                        if n and seen % 7:          # all in the first mode, a part in the others
                            continue
                        code, regs = opcode(head + [op] + modrm(mode, reg, mem), mode)
                        yield Case(f"{kind}/{op:02x}/{reg}/{'mem' if mem else 'reg'}/{mode}", mode, code, dict(regs, cr4=mode.regs["cr4"] | OSFXSR), mem=target(mode))
        for op in range(256):
            if op in GROUPS2 or op in (0x20, 0x21, 0x22, 0x23, 0x34, 0x35, 0x31, 0x32, 0x33, 0xa2):
                continue
            for prefix in ((), (0x66,), (0xf3,), (0xf2,)):
                seen += 1
                if n and seen % 11 or op == 0xbd and prefix == (0xf3,):     # LZCNT or BSR by CPU model
                    continue
                code, regs = opcode([*prefix, 0x0f, op] + modrm(mode, 1, bool(op & 1) ^ bool(len(prefix))), mode)
                yield Case(f"map2/{op:02x}/{'%02x' % prefix[0] if prefix else 'np'}/{mode}", mode, code, dict(regs, cr4=mode.regs["cr4"] | OSFXSR), mem=target(mode))


# ---- what comes first ----

def priority_cases():
    """One instruction, several reasons to fault: each subset of the conditions that can be set up together."""
    mode = paged(PM32[3])
    insns = {"mov-r": ("mov eax, [fs:ecx]", "ac null limit page"), "mov-w": ("mov [fs:ecx], eax", "ac null limit page ro"), "fld": ("fld qword [fs:ecx]", "ts em ac null limit page"), "fst": ("fst dword [fs:ecx]", "ts em ac limit page ro"),
             "movaps": ("movaps xmm0, [fs:ecx]", "ts em ac null limit page"), "lock-add": ("lock add [fs:ecx], eax", "ac limit page ro"), "div": ("div dword [fs:ecx]", "ac null limit page"), "lgdt": ("lgdt [fs:ecx]", "null limit page"),
             "bound": ("bound eax, [fs:ecx]", "ac limit page"), "hlt-lock": ("db 0xf0, 0xf4", "ts"), "ltr": ("ltr [fs:ecx]", "null limit page"), "invlpg": ("invlpg [fs:ecx]", "null limit"), "les": ("les eax, [fs:ecx]", "ac limit page null"),
             "push": ("push dword [fs:ecx]", "ac null limit page"), "cmpxchg8b": ("cmpxchg8b [fs:ecx]", "ac limit page ro"), "fxsave": ("fxsave [fs:ecx]", "ts em ac limit page ro"), "mmx": ("paddb mm0, [fs:ecx]", "ts em ac limit page"),
             "in": ("in al, 0x99", "ts"), "jmp-m": ("jmp dword [fs:ecx]", "ac limit page null"), "call-far": ("call far [fs:ecx]", "ac limit page"), "ud": ("db 0x0f, 0x0b, 0x67", "ts em")}
    for name, (code, can) in insns.items():
        can = can.split()
        for subset in range(1 << len(can)):
            on = [c for i, c in enumerate(can) if subset >> i & 1]
            at = DATA_PAGE + 0x800 + ("ac" in on)
            regs = dict(ecx=at, cr0=mode.regs["cr0"] | (TS if "ts" in on else 0) | (EM if "em" in on else 0) | AM, eflags=2 | (AC if "ac" in on else 0), cr4=mode.regs["cr4"] | OSFXSR,
                        fs=0 if "null" in on else T(0) | 3)
            kind = RO if "ro" in on else RW
            yield Case(f"first/{name}/{'+'.join(on) or 'none'}", mode, code + "\ncmp eax, eax", regs, pte={DATA_PAGE: 0} if "page" in on else {},
                       gdt={T(0): desc(kind | A, 0, DATA_PAGE + 0x700 if "limit" in on else 0xfffff, D32, 3)}, mem={at & ~1: bytes(16)})


def length_cases():
    """The limit of 15 bytes, at the end of the segment and of the page: what is missing decides."""
    for mode in (PM32[3], PM16[3], REALMODE, V86, paged(PM32[3])):
        base = mode.regs["eip"]
        for n in (13, 14, 15, 16):
            for insn, size in (("nop", 1), ("mov al, 1", 2), (f"mov ecx, {ptr(mode, DATA)}" if mode.flat else f"mov cx, {ptr(mode, DATA)}", 6 if mode.flat else 4), ("ud2", 2)):
                if n < size:
                    continue
                pre = n - size
                yield Case(f"length/{n}/{insn.split()[0]}{size}/{mode}", mode, f"times {pre} db 0x2e\n{insn}\nnop")
                if mode in (REALMODE,):
                    continue
                for missing in sorted({1, size, n}):
                    # The code segment, or the page behind it, ends in the middle of the instruction.
                    start = 0x1000 - n + missing
                    if hasattr(mode, "paging"):
                        yield Case(f"length/{n}/{insn.split()[0]}{size}/page-{missing}/{mode}", mode, f"times {start} nop\ntimes {pre} db 0x2e\n{insn}\nnop", dict(eip=base + start), pte={CODE2: 0})
                    elif mode.flat:
                        yield Case(f"length/{n}/{insn.split()[0]}{size}/limit-{missing}/{mode}", mode, f"times {start} nop\ntimes {pre} db 0x2e\n{insn}\nnop", dict(eip=base + start, cs=T(0, 3)), gdt={T(0): desc(XR | A, 0, CODE + 0xfff, D32, 3)})
                    elif mode is not V86:
                        yield Case(f"length/{n}/{insn.split()[0]}{size}/limit-{missing}/{mode}", mode, f"times {start} nop\ntimes {pre} db 0x2e\n{insn}\nnop", dict(eip=base + start, cs=T(0, 3)), gdt={T(0): desc(XR | A, CODE, 0xfff, 0, 3)})


def alignment_cases():
    """#AC by instruction, size, place and switch."""
    insns = [("mov1", "mov al, {m}"), ("mov2", "mov ax, {m}"), ("mov4", "mov eax, {m}"), ("store4", "mov {m}, eax"), ("rmw2", "inc word {m}"), ("lock4", "lock inc dword {m}"), ("xchg4", "xchg eax, {m}"), ("push", "push dword {m}"), ("pop", "push eax\npop dword {m}"),
             ("fld4", "fld dword {m}"), ("fld8", "fld qword {m}"), ("fld10", "fld tword {m}"), ("fild2", "fild word {m}"), ("fbld", "fbld {m}"), ("fnstcw", "fnstcw {m}"), ("fnstenv", "fnstenv {m}"), ("fnsave", "fnsave {m}"), ("movq", "movq mm0, {m}"), ("movss", "movss xmm0, {m}"), ("movlps", "movlps xmm0, {m}"),
             ("bound", "mov ecx, {m}\nbound ecx, {m}"), ("les", "les ecx, {m}"), ("sgdt", "sgdt {m}"), ("lea", "lea ecx, {m}"), ("movs", "movsd"), ("stos", "stosw"), ("cmpxchg8b", "cmpxchg8b {m}"), ("bt", "bt dword {m}, 3"), ("bts-reg", "mov ecx, 8\nbts {m}, ecx"), ("movzx", "movzx eax, word {m}"), ("xlat", "xlatb"),
             ("call-m", "call {w} {m}"), ("jmp-far", "jmp far {m}"), ("enter", "enter 4, 1"), ("pusha", "pusha"), ("ret", "ret")]
    for mode in (PM32[3], PM16[3], V86, PM32[2], paged(PM32[3])):
        for name, code in insns:
            for shift in (0, 1, 2, 4):
                for am, ac in ((1, 1), (0, 1), (1, 0)):
                    if (am, ac) != (1, 1) and shift != 1 or mode.ring != 3 and shift != 1 or shift in (0, 4) and mode is not PM32[3]:
                        continue
                    at = DATA + 0x40 + shift
                    w = "dword" if mode.flat else "word"
                    # The data is small numbers: targets of jumps are in INT3 there.
                    regs = dict(cr0=mode.regs["cr0"] | (AM if am else 0), eflags=mode.regs["eflags"] | (AC if ac else 0), cr4=mode.regs["cr4"] | OSFXSR, esi=off(mode, at), edi=off(mode, at + 0x40), ebx=off(mode, at), esp=mode.regs["esp"] - 0x100 + (shift if name in ("enter", "pusha", "ret") else 0), ebp=mode.regs["esp"] - 0x80)
                    yield Case(f"align/{name}+{shift}/{'am' if am else ''}{'ac' if ac else ''}/{mode}", mode, tried(code.format(m=ptr(mode, at), w=w), mode)[0], dict(regs, eip=mode.regs["eip"] + 64),
                               mem={at: struct.pack("<IH", CODE + 16 if mode.flat else 16, mode.regs["cs"]) if name in ("call-m", "jmp-far") and mode.flat else struct.pack("<HH", 16, mode.regs["cs"]) + bytes(12)})


def cases():
    yield from vector_cases()
    yield from double_cases()
    yield from lock_cases()
    yield from undefined_cases()
    yield from priority_cases()
    yield from length_cases()
    yield from alignment_cases()


def hand():
    m0, m3, p0, p3 = PM32[0], PM32[3], paged(PM32[0]), paged(PM32[3])
    none = T(31)
    # Chains of faults.
    yield Case("three-faults", m3, "ud2", idt={6: bytes(8), 11: bytes(8), 8: gate(SYS_INT32, none, 0)})
    yield Case("df-task-gate-ok", m3, "ud2", idt={6: gate(SYS_INT32, HCODE, stub(6), present=False), 11: bytes(8), 13: gate(SYS_INT32, none, 0), 8: gate(SYS_TASK, TSS_DF_SEL, 0)},
               mem={TSS_DF: tss32(eip=stub(8), cs=HCODE, sss=HDATA, ds=HDATA, es=HDATA, fs=HDATA, gs=HDATA, regs=(0, 0, 0, 0, 0x1f000, 0, 0, 0))})
    yield Case("df-task-busy", m3, "ud2", idt={6: gate(SYS_INT32, none, 0), 13: gate(SYS_INT32, none, 0), 8: gate(SYS_TASK, TSS_DF_SEL, 0)}, gdt={TSS_DF_SEL: desc(SYS_TSS32_BUSY, TSS_DF, 0x67, 0)})
    yield Case("pf-in-pf-handler-frame", p3, f"mov eax, [{DATA_PAGE:#x}]", pte={DATA_PAGE: 0, STACK[0]: 0})
    yield Case("pf-then-np", p3, f"mov eax, [{DATA_PAGE:#x}]", pte={DATA_PAGE: 0}, idt={14: gate(SYS_INT32, HCODE, stub(14), present=False)})
    yield Case("np-then-pf", p3, "mov ax, %#x\nmov ds, ax" % T(0, 3), pte={IDT: 0}, gdt={T(0): desc(RW, 0, 0xfffff, G | D32, 3, present=False)})
    yield Case("ud-then-pf", p3, "ud2", pte={STACK[0]: 0})
    yield Case("soft-int-gp-then-gp", m3, "int 0x30", idt={0x30: gate(SYS_INT32, HCODE, stub(0x30), 0), 13: gate(SYS_INT32, none, 0)})
    yield Case("ts-from-gp", m3, "hlt", tss=tss32(ss=(0, 0, 0)))
    yield Case("recursion-to-shutdown", m0, "mov esp, 0x20\nud2", dict(ss=T(0)), gdt={T(0): desc(RW | A, STACK[1], 0xfff, D32)}, idt={6: gate(SYS_INT32, CODE32(0), CODE2)}, more={CODE2: (32, "ud2")})
    yield Case("idt-limit-0", m0, "ud2", dict(idt_limit=0))
    yield Case("idt-limit-df-only", m0, "mov ax, 0x7f8\nmov ds, ax", dict(idt_limit=8 * 8 + 7))
    yield Case("idt-outside-memory", m0, "ud2", dict(idt_base=0xfffff000))
    yield Case("gdt-outside-memory", m0, "mov ax, 0x28\nmov ds, ax", dict(gdt_base=GDT), more={})
    yield Case("real-idt-limit", REALMODE, "ud2", dict(idt_limit=0x10))
    yield Case("real-idt-limit-df", REALMODE, "ud2", dict(idt_limit=0x23))
    yield Case("real-stack-wraps", REALMODE, "ud2", dict(esp=2))
    yield Case("real-stack-odd", REALMODE, "ud2", dict(esp=1))
    yield Case("real-stack-5", REALMODE, "ud2", dict(esp=5))
    yield Case("real-idt-moved", REALMODE, "ud2", dict(idt_base=DATA), mem={DATA + 24: struct.pack("<HH", Harness.get()["stubs16"] + 6 * Harness.get()["STUB16_BYTES"] - HARNESS, HARNESS >> 4)})
    # Error codes: EXT, IDT and TI by what was being done.
    yield Case("err-ext-irq", m0, "sti\nnop\nnop", flags=IRQ, idt={0x20: gate(SYS_INT32, HCODE, stub(0x20), present=False)})
    yield Case("err-ext-irq-cs", m0, "sti\nnop\nnop", flags=IRQ, idt={0x20: gate(SYS_INT32, none, stub(0x20))})
    yield Case("err-soft-cs", m0, "int 0x20", idt={0x20: gate(SYS_INT32, none, stub(0x20), 3)})
    yield Case("err-soft-dpl", m3, "int 0x20", idt={0x20: gate(SYS_INT32, HCODE, stub(0x20), 2)})
    yield Case("err-int3-dpl", m3, "int3", idt={3: gate(SYS_INT32, HCODE, stub(3), 2)})
    yield Case("err-into-dpl", m3, "mov al, 0x7f\ninc al\ninto", idt={4: gate(SYS_INT32, HCODE, stub(4), 2)})
    yield Case("icebp-dpl", m3, "db 0xf1", idt={1: gate(SYS_INT32, HCODE, stub(1), 0)})
    yield Case("icebp-not-present", m3, "db 0xf1", idt={1: gate(SYS_INT32, HCODE, stub(1), 0, present=False)})
    yield Case("cd01-dpl", m3, "db 0xcd, 1", idt={1: gate(SYS_INT32, HCODE, stub(1), 0)})
    yield Case("bound-dpl", m3, f"mov ecx, 5\nbound ecx, [{DATA:#x}]", idt={5: gate(SYS_INT32, HCODE, stub(5), 0)})
    yield Case("err-ldt-cs", m0, "int 0x30", idt={0x30: gate(SYS_INT32, TL(3), stub(0x30), 3)})
    yield Case("err-ldt-data", m3, f"mov ax, {TL(60, 3):#x}\nmov ds, ax")
    yield Case("err-16bit-gate", m3, "hlt", idt={13: gate(SYS_INT16, HCODE, stub(13))})
    # Restart: nothing has changed when it faults.
    yield Case("restart-push-esp", p3, "push esp", dict(esp=STACK[3]), pte={STACK[2]: 0})
    yield Case("restart-pop-esp", p3, "pop dword [esp + 0x1000]", dict(esp=STACK[2] + 0xffc), pte={STACK[3]: 0})
    yield Case("restart-xchg", p3, f"xchg [{DATA_PAGE:#x}], eax", pte={DATA_PAGE: DATA_PAGE | PTE_P | PTE_U | PTE_A})
    yield Case("restart-cmpxchg-ne-ro", p3, f"cmpxchg [{DATA_PAGE:#x}], ecx", pte={DATA_PAGE: DATA_PAGE | PTE_P | PTE_U | PTE_A})
    yield Case("restart-cmpxchg8b-ro", p3, f"cmpxchg8b [{DATA_PAGE:#x}]", pte={DATA_PAGE: DATA_PAGE | PTE_P | PTE_U | PTE_A})
    yield Case("restart-call", p3, "call $+16", dict(esp=STACK[3]), pte={STACK[2]: 0})
    yield Case("restart-call-m", p3, f"call [{DATA_PAGE:#x}]", dict(esp=STACK[3]), pte={STACK[2]: 0, DATA_PAGE: 0})
    yield Case("restart-movs", p3, f"mov esi, {DATA:#x}\nmov edi, {DATA_PAGE - 2:#x}\nmovsd", pte={DATA_PAGE: 0})
    yield Case("restart-rep-movs", p3, f"mov ecx, 8\nmov esi, {DATA:#x}\nmov edi, {DATA_PAGE - 10:#x}\nrep movsd", pte={DATA_PAGE: 0})
    yield Case("restart-rep-movs-down", p3, f"std\nmov ecx, 8\nmov esi, {DATA_PAGE + 0x1008:#x}\nmov edi, {DATA_PAGE + 0x2000:#x}\nrep movsb", pte={DATA_PAGE: 0})
    yield Case("restart-repe-cmps", p3, f"mov ecx, 8\nmov esi, {DATA_PAGE - 4:#x}\nmov edi, {DATA_PAGE - 4:#x}\nrepe cmpsb", pte={DATA_PAGE: 0})
    yield Case("restart-leave", p3, "leave", dict(ebp=STACK[3] + 0x1000 - 2), pte={STACK[3] + 0x1000: 0})
    yield Case("restart-popf", p3, "popfd", dict(esp=STACK[3]), pte={STACK[3]: 0})
    yield Case("restart-iret", p0, "iretd", dict(esp=STACK[2] - 8), pte={STACK[2]: 0})
    yield Case("restart-lds", p3, f"lds eax, [{DATA_PAGE - 4:#x}]", pte={DATA_PAGE: 0})
    yield Case("restart-fld", p3, f"fninit\nfld1\nfld qword [{DATA_PAGE - 4:#x}]", flags=FPU, pte={DATA_PAGE: 0})
    yield Case("restart-fistp", p3, f"fninit\nfld1\nfistp qword [{DATA_PAGE - 4:#x}]", flags=FPU, pte={DATA_PAGE: 0})
    yield Case("restart-ret-imm", p3, "ret 8", dict(esp=STACK[3] - 2), pte={STACK[3]: 0})
    # Fetching.
    yield Case("fetch-jump-to-limit", m3, "mov eax, 0x50000\njmp eax", dict(cs=T(0, 3)), gdt={T(0): desc(XR | A, 0, 0x4f, G | D32, 3)})
    yield Case("fetch-call-to-limit", m3, "mov eax, 0x50000\ncall eax", dict(cs=T(0, 3)), gdt={T(0): desc(XR | A, 0, 0x4f, G | D32, 3)})
    yield Case("fetch-ret-to-limit", m3, "push dword 0x50000\nret", dict(cs=T(0, 3)), gdt={T(0): desc(XR | A, 0, 0x4f, G | D32, 3)})
    yield Case("fetch-jcc-to-limit", m3, "cmp eax, eax\njz $+0x20000", dict(cs=T(0, 3)), gdt={T(0): desc(XR | A, 0, 0x4f, G | D32, 3)})
    yield Case("fetch-jcc-not-taken", m3, "cmp eax, eax\njnz $+0x20000", dict(cs=T(0, 3)), gdt={T(0): desc(XR | A, 0, 0x4f, G | D32, 3)})
    yield Case("fetch-loop-to-limit", PM16[3], "mov cx, 2\nloop $-8", dict(cs=T(0, 3)), gdt={T(0): desc(XR | A, CODE, 0x2f, 0, 3)})
    yield Case("fetch-wrap-16", PM16[3], "jmp near $-0x100", dict(cs=T(0, 3)), gdt={T(0): desc(XR | A, CODE, 0xff, 0, 3)})
    # With a 16-bit operand EIP is cut off: to the first bytes of the GDT, 64 KiB below.
    low = dict(gdt={T(0): desc(XR | A, CODE - 0x10000, 0xfffff, D32, 3)}, mem={GDT: b"\xcc" * 8})
    at = dict(cs=T(0, 3), eip=0x10000)
    yield Case("fetch-o16-jump", m3, "db 0x66, 0xeb, 0", at, **low)
    yield Case("fetch-o16-call", m3, "db 0x66, 0xe8, 0, 0", at, **low)
    yield Case("fetch-o16-ret", m3, "push word 3\no16 ret", at, **low)
    yield Case("fetch-o16-jcc", m3, "cmp eax, eax\ndb 0x66, 0x74, 0", at, **low)
    yield Case("fetch-o16-jcc-not", m3, "cmp eax, eax\ndb 0x66, 0x75, 0\nnop", at, **low)
    yield Case("fetch-o16-loop", m3, "db 0x66, 0xe2, 0", at, **low)
    yield Case("fetch-o16-jmp-r", m3, "mov eax, 0x10005\njmp ax", at, **low)
    yield Case("fetch-user-of-super", p3, f"mov eax, {CODE2:#x}\njmp eax", pte={CODE2: CODE2 | PTE_P | PTE_W | PTE_A})
    yield Case("fetch-nx", paged(m3, "pae"), f"mov eax, {CODE2:#x}\njmp eax", pte={CODE2: CODE2 | ALL | PTE_NX})
    yield Case("fetch-nx-straddle", paged(m3, "pae"), f"mov eax, {CODE2 - 2:#x}\njmp eax", pte={CODE2: CODE2 | ALL | PTE_NX}, mem={CODE2 - 2: b"\xb8\x01", CODE2: b"\0\0\0\x0f\x0b"})
    yield Case("fetch-straddle-ok", p3, f"mov eax, {CODE2 - 2:#x}\njmp eax", mem={CODE2 - 2: b"\xb8\x01", CODE2: b"\x02\x03\x04\x0f\x0b"})
    yield Case("fetch-straddle-prefixes", p3, f"mov eax, {CODE2 - 9:#x}\njmp eax", pte={CODE2: 0}, mem={CODE2 - 9: b"\x2e" * 9})
    # INT n with odd vectors and prefixes.
    yield Case("int-ff", m3, "int 0xff")
    yield Case("int-outside-limit", m3, "int 0xff", dict(idt_limit=0x7fe))
    yield Case("int2-is-no-nmi", m3, "int 2", idt={2: gate(SYS_INT32, HCODE, stub(2), 3)})
    yield Case("int-lock", m3, "db 0xf0, 0xcd, 0x30")
    yield Case("int3-rep", m3, "db 0xf3, 0xcc")
    yield Case("int3-o16", m3, "o16 int3")
    yield Case("into-v86-iopl0", V86, "into", dict(eflags=2 | VM | OF))
    yield Case("int3-v86-iopl0", V86, "int3", dict(eflags=2 | VM))
    yield Case("int-v86-iopl0", V86, "int 0x30", dict(eflags=2 | VM))
    yield Case("bound-v86", V86, f"mov cx, 5\nbound cx, {ptr(V86, DATA)}")
    yield Case("bound-lower", m3, f"mov ecx, -6\nbound ecx, [{DATA:#x}]", mem={DATA: struct.pack("<ii", -5, 5)})
    yield Case("bound-edges", m3, f"mov ecx, -5\nbound ecx, [{DATA:#x}]\nmov ecx, 5\nbound ecx, [{DATA:#x}]", mem={DATA: struct.pack("<ii", -5, 5)})
    yield Case("bound-reg", m3, "db 0x62, 0xc1\nnop\nnop\nnop")
    yield Case("bound-16", m3, f"mov ecx, 0x10006\nbound cx, [{DATA:#x}]", mem={DATA: struct.pack("<hh", -5, 5)})
    yield Case("div-overflow", m3, "mov edx, 1\nxor eax, eax\nmov ecx, 1\ndiv ecx")
    yield Case("idiv8-min", m3, "mov ax, -128\nmov cl, -1\nidiv cl")
    yield Case("idiv16-edge", m3, "mov dx, 0xffff\nmov ax, 0x8000\nmov cx, 1\nidiv cx\ncmp eax, eax")
    yield Case("div-m-page", p3, f"div dword [{DATA_PAGE:#x}]", pte={DATA_PAGE: 0})
    yield Case("aam0-v86", V86, "db 0xd4, 0")
