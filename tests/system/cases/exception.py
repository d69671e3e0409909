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
        yield "mf", "fldz\nfld1\nfdiv st0, st1\npush word 0x33b\nmov bp, sp\nfldcw [bp]\nfld1".replace("fldcw [bp]", "fldcw [ss:bp]" if not mode.flat else "fldcw [esp]"), {}, FPU
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
        yield "pf-fetch", f"jmp at({'CODE2' if False else hex(CODE2 if mode.flat else 0x1000)})", dict(_pte={CODE2: 0}), 0


def vector_cases():
    for mode in ALL_MODES:
        for name, code, regs, flags in sources(mode):
            regs = dict(regs)
            pte = regs.pop("_pte", {})
            yield Case(f"vector/{name}/{mode}", mode, code.replace("at(", "(") if name == "pf-fetch" else code, regs, flags=flags, pte=pte,
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


def cases():
    yield from vector_cases()
    yield from double_cases()
    yield from lock_cases()
    yield from undefined_cases()


def hand():
    return []
