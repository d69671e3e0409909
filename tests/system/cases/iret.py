"""IRET in every direction: the same ring, an outer one, to v86 mode and in it, to the task that called, and in real mode.

The frame is pushed by the case itself (frame()), so what is below it shows what IRET read. At CODE2 stands UD2: the frame of
that tells CS, EIP, EFLAGS and the stack that IRET made.
"""
from matrix import *  # noqa: F403

OFF2 = CODE2 - CODE
WORD = {2: "word", 4: "dword"}
SYSTEM = list(range(0x80, 0x90))
MEMORY = [RO, RW, RO_DOWN, RW_DOWN, XO, XR, XO_CONF, XR_CONF]
BITS = (("cf", CF), ("pf", PF), ("af", AF), ("zf", ZF), ("sf", SF), ("if", IF), ("df", DF), ("of", OF), ("iopl1", iopl(1)), ("iopl3", iopl(3)), ("nt", NT), ("rf", RF),
        ("ac", AC), ("vif", VIF), ("vip", VIP), ("id", ID), ("bit15", 0x8000), ("bit3", 8), ("bit22", 1 << 22), ("bit31", 1 << 31))
ALLBITS = CF | PF | AF | ZF | SF | IF | DF | OF | iopl(3) | AC | VIF | VIP | ID


def code(size, access=XR, dpl=0, present=True, limit=None):
    if size == 4:
        return desc(access, 0, 0xfffff if limit is None else limit, G | D32 if limit is None else D32, dpl, present)
    return desc(access, CODE, 0xffff if limit is None else limit, 0, dpl, present)


def offset(size):
    return CODE2 if size == 4 else OFF2


def frame(size, cs, eip, flags=2, ss=None, sp=None, *more):
    w = WORD[size]
    mask = (1 << size * 8) - 1
    values = list(reversed(more)) + ([ss, sp] if ss is not None else []) + [flags, cs, eip]
    return "\n".join(f"push {w} {v & mask:#x}" for v in values) + f"\n{'o16' if size == 2 else 'o32'} iret"


def stack_of(ring, size):
    return (DATA32(ring), STACK[ring] + 0xf00) if size == 4 else (STACK16(ring), (STACK[ring] + 0xf00) & 0xffff)


def modes():
    for mode in PM32 + PM16:
        yield mode, mode.bits // 8, mode.ring


def segments():
    """CS of the frame: kind, DPL, RPL against CPL."""
    for mode, size, ring in modes():
        for access in (XR, XR_CONF):
            for dpl in range(4):
                for rpl in range(4):
                    ss, sp = stack_of(rpl, size)
                    yield Case(f"cs/{access:x}/dpl{dpl}/rpl{rpl}/{mode}", mode, frame(size, T(0, rpl), offset(size), 2, ss, sp), gdt={T(0): code(size, access, dpl)})
        if ring in (1, 2):
            continue
        for kind in SYSTEM + MEMORY:
            for present in (True, False):
                d = desc(kind, 0, 0xfffff, G | D32, ring, present) if kind >= 0x90 else desc(kind, TSS2, 0x67, 0, ring, present)
                if kind >= 0x90 and size == 2:
                    d = desc(kind, CODE, 0xffff, 0, ring, present)
                yield Case(f"cs/{kind & 0x1f:02x}{'' if present else '/absent'}/{mode}", mode, frame(size, T(0, ring), offset(size), 2, *stack_of(ring, size)), gdt={T(0): d})
        for name, sel in (("null", 0), ("null3", 3), ("outside", 0x400 | ring), ("ldt", TL(0, ring)), ("ldt-null", 4 | ring), ("ldt-outside", 0x204 | ring)):
            yield Case(f"cs/{name}/{mode}", mode, frame(size, sel, offset(size), 2, *stack_of(ring, size)), ldt={TL(0): code(size, dpl=ring)})
        for delta in (-1, 1, 2):
            for rpl in sorted({ring, 3}):
                yield Case(f"cs/limit{delta:+}/to{rpl}/{mode}", mode, frame(size, T(0, rpl), offset(size), 2, *stack_of(rpl, size)), gdt={T(0): code(size, dpl=rpl, limit=offset(size) + delta)})


def stacks():
    """SS of a frame that leads outwards, and where the frame itself ends."""
    for mode, to in ((PM32[0], 3), (PM32[0], 1), (PM32[2], 3), (PM16[0], 3), (PM16[1], 2)):
        size = mode.bits // 8
        cs = CODE32(to) if size == 4 else CODE16(to)
        ss0, sp0 = stack_of(to, size)

        def case(name, ss, sp=sp0, **more):
            return Case(f"ss{to}/{name}/{mode}", mode, frame(size, cs, offset(size), 2, ss, sp), **more)

        for dpl in range(4):
            for rpl in range(4):
                yield case(f"dpl{dpl}/rpl{rpl}", T(8, rpl), gdt={T(8): desc(RW, 0 if size == 4 else ARENA, 0xfffff, G | D32, dpl)})
        for k in SYSTEM + MEMORY:
            for present in (True, False):
                d = desc(k, 0, 0xfffff, G | D32, to, present) if k >= 0x90 else desc(k, TSS2, 0x67, 0, to, present)
                yield case(f"{k & 0x1f:02x}{'' if present else '/absent'}", T(8, to), gdt={T(8): d})
        for name, sel in (("null", 0), ("null-rpl", to), ("outside", 0x400 | to), ("ldt", TL(0, to)), ("ldt-outside", 0x204 | to)):
            yield case(name, sel, ldt={TL(0): desc(RW, 0, 0xfffff, G | D32, to)})
        for big in (0, D32):
            for sp in (0, 0xfffe, 0x12340800, 0xffffffff):
                yield case(f"sp{sp:x}/{'32' if big else '16'}", T(8, to), sp, gdt={T(8): desc(RW | A, BITMAP, 0xffff, big, to)})
        values = struct.pack("<5I" if size == 4 else "<5H", offset(size), cs, 2, sp0, ss0)
        for big in (0, D32):
            for left in range(0, 5 * size + 1, 1 if size == 2 else 2):
                if left == 5 * size - 2 and size == 4:
                    continue                    # whether the upper half of SS must be there is open
                yield Case(f"ss{to}/ends{left}/{'32' if big else '16'}/{mode}", mode, f"{'o16' if size == 2 else 'o32'} iret", regs=dict(ss=T(9, mode.ring), esp=0x800),
                           gdt={T(9): desc(RW | A, BITMAP, 0x800 + left - 1, big, mode.ring)}, mem={BITMAP + 0x800: values})
                same = struct.pack("<3I" if size == 4 else "<3H", offset(size), CODE32(mode.ring) if size == 4 else CODE16(mode.ring), 2)
                if left <= 3 * size:
                    yield Case(f"ss{to}/same-ends{left}/{'32' if big else '16'}/{mode}", mode, f"{'o16' if size == 2 else 'o32'} iret", regs=dict(ss=T(9, mode.ring), esp=0x800),
                               gdt={T(9): desc(RW | A, BITMAP, 0x800 + left - 1, big, mode.ring)}, mem={BITMAP + 0x800: same})
        # the outer ring must not keep these
        for k in (RO, RW, XR, XR_CONF, RW_DOWN):
            for dpl in range(4):
                if mode.ring > dpl and k != XR_CONF:
                    continue
                loads = "".join(f"mov eax, {T(8 + i, mode.ring if k == XR_CONF else 0):#x}\nmov {s}, ax\n" for i, s in enumerate(("ds", "es", "fs", "gs")))
                yield Case(f"ss{to}/data/{k:x}/dpl{dpl}/{mode}", mode, loads + frame(size, cs, offset(size), 2, ss0, sp0), gdt={T(8 + i): desc(k | A, 0, 0xfffff, G | D32, dpl) for i in range(4)})


def flags():
    """Each bit of EFLAGS, by CPL, IOPL and operand size: set where it was clear, and clear where all were set."""
    for mode in PM32 + [PM16[3], PM16[0]]:
        ring = mode.ring
        for io in range(4):
            for size in (2, 4):
                cs = CODE32(ring) if mode.bits == 32 else CODE16(ring)
                off = CODE2 if mode.bits == 32 else OFF2
                if mode.bits == 32 and size == 2:
                    cs, off = T(0, ring), OFF2
                for name, bit in BITS:
                    if bit > 0xffff and size == 2:
                        continue
                    yield Case(f"flags/{name}/iopl{io}/o{size * 8}/{mode}", mode, frame(size, cs, off, bit | 2), regs=dict(eflags=2 | iopl(io)), gdt={T(0): code(2, dpl=ring)})
                yield Case(f"flags/none/iopl{io}/o{size * 8}/{mode}", mode, frame(size, cs, off, 0), regs=dict(eflags=2 | ALLBITS & ~iopl(3) & ~DF | iopl(io)), gdt={T(0): code(2, dpl=ring)})
                if size == 4 and ring:
                    yield Case(f"flags/vm/iopl{io}/{mode}", mode, frame(size, cs, off, VM | 2), regs=dict(eflags=2 | iopl(io)))
        for to in range(ring + 1, 4):
            for io in range(4):
                size = mode.bits // 8
                cs = CODE32(to) if size == 4 else CODE16(to)
                yield Case(f"flags/outer{to}/all/iopl{io}/{mode}", mode, frame(size, cs, offset(size), ALLBITS | 2, *stack_of(to, size)), regs=dict(eflags=2 | iopl(io)))
                yield Case(f"flags/outer{to}/none/iopl{io}/{mode}", mode, frame(size, cs, offset(size), 0, *stack_of(to, size)), regs=dict(eflags=2 | ALLBITS & ~iopl(3) & ~DF | iopl(io)))


def to_v86():
    """From ring 0 to v86 mode: all of the frame."""
    for mode in (PM32[0], PM16[0], paged(PM32[0])):
        seg = CODE2 >> 4
        for name, eip in (("0", 0), ("fff0", 0xfff0), ("10000", 0x10000), ("fffffff0", 0xfffffff0), ("ffff", 0xffff)):
            for cs in (seg, 0x2101, 0xffff):
                yield Case(f"to-v86/eip{name}/cs{cs:x}/{mode}", mode, frame(4, cs, eip, VM | 2, ARENA >> 4, 0xe000, 0x1111, 0x2222, 0x3333, 0x4444), mem={0x31000: b"\x0f\x0b" * 16, 0x310f0: b"\x0f\x0b" * 4})
        for name, bit in BITS + (("tf", TF), ("all", ALLBITS)):
            yield Case(f"to-v86/flags/{name}/{mode}", mode, frame(4, seg, 0, VM | 2 | bit, ARENA >> 4, 0xe000, 0, 1, 2, 3))
        yield Case(f"to-v86/upper-halves/{mode}", mode, frame(4, 0xffff0000 | seg, 0, VM | 2, 0xffff0000 | ARENA >> 4, 0x1234e000, 0xfffff111, 0xfffff222, 0xfffff333, 0xfffff444))
        for left in range(0, 37, 4):
            values = struct.pack("<9I", 0, seg, VM | 2, 0xe000, ARENA >> 4, 1, 2, 3, 4)
            for big in (0, D32):
                yield Case(f"to-v86/ends{left}/{'32' if big else '16'}/{mode}", mode, "o32 iret", regs=dict(ss=T(9), esp=0x800), gdt={T(9): desc(RW | A, BITMAP, 0x800 + left - 1, big)}, mem={BITMAP + 0x800: values})
    for mode in PM32[1:]:
        yield Case(f"to-v86/{mode}", mode, frame(4, CODE32(mode.ring), CODE2, VM | 2, DATA32(mode.ring), STACK[mode.ring] + 0xf00, 1, 2, 3, 4), regs=dict(eflags=2 | iopl(3)))


def eight():
    """Real mode, and v86 by IOPL."""
    for size in (2, 4):
        seg = CODE2 >> 4
        for name, bit in BITS + (("all", ALLBITS),):
            if bit > 0xffff and size == 2 and name != "all":
                continue
            yield Case(f"real/o{size * 8}/{name}", REALMODE, frame(size, seg, 0, bit | 2))
            for io in (0, 2, 3):
                yield Case(f"v86/o{size * 8}/{name}/iopl{io}", V86, frame(size, seg, 0, bit | 2), regs=dict(eflags=2 | VM | iopl(io)))
        yield Case(f"real/o{size * 8}/none", REALMODE, frame(size, seg, 0, 0), regs=dict(eflags=2 | ALLBITS & ~DF))
        yield Case(f"real/o{size * 8}/vm", REALMODE, frame(size, seg, 0, VM | NT | RF | 2))
        yield Case(f"v86/o{size * 8}/none", V86, frame(size, seg, 0, 0), regs=dict(eflags=2 | VM | ALLBITS & ~DF))
        yield Case(f"v86/o{size * 8}/vm", V86, frame(size, seg, 0, NT | RF | 2))
        for mode in (REALMODE, V86):
            yield Case(f"nt/o{size * 8}/{mode}", mode, frame(size, seg, 0, 2), regs=dict(eflags=mode.regs["eflags"] | NT))
            for eip in (0xffff, 0x10000, 0xffffffff):
                if size == 4 or eip == 0xffff:
                    yield Case(f"eip{eip:x}/o{size * 8}/{mode}", mode, frame(size, 0x2101, eip, 2), mem={0x3100f: b"\x0f\x0b"})
            for sp in (0, 1, 2, 0xfff6, 0xfff8, 0xfff9, 0xfffa, 0xfffb, 0xfffc, 0xfffe, 0xffff):
                # words that wrap from FFFFh to 0, or do not
                frame_bytes = struct.pack("<HHH" if size == 2 else "<III", 0, seg, 2)
                mem = {}
                base = BITMAP - 0x2000
                for i, b in enumerate(frame_bytes):
                    mem[base + (sp + i & 0xffff)] = bytes([b])
                yield Case(f"sp{sp:x}/o{size * 8}/{mode}", mode, f"{'o16' if size == 2 else 'o32'} iret", regs=dict(ss=base >> 4, esp=0xa5a50000 | sp), mem={a: d for a, d in mem.items() if a < 0x3c000 and a not in (CODE, CODE + 1)})


def task_return():
    """NT is set: back to the task that the back link names."""
    for mode in (PM32[0], PM32[3], PM16[0], paged(PM32[0])):
        for kind in SYSTEM + MEMORY:
            for present in (True, False):
                if kind in (SYS_TSS16, SYS_TSS16_BUSY):
                    d = desc(kind, TSS16, 0x2b, 0, 0, present)
                else:
                    d = desc(kind, TSS2, 0x67, 0, 0, present)
                yield nested(f"nt/link-{kind & 0x1f:02x}{'' if present else '/absent'}/{mode}", mode, T(0), {T(0): d})
        for name, link in (("null", 0), ("null3", 3), ("rpl", T(0, 3)), ("outside", 0x400), ("ldt", TL(0)), ("self", TSS_SEL), ("last", 0x3f8)):
            yield nested(f"nt/{name}/{mode}", mode, link, {T(0): desc(SYS_TSS32_BUSY, TSS2, 0x67, 0), 0x3f8: desc(SYS_TSS32_BUSY, TSS2, 0x67, 0)}, ldt={TL(0): desc(SYS_TSS32_BUSY, TSS2, 0x67, 0)})
        for limit in (0, 0x2a, 0x2b, 0x66, 0x67, 0x68):
            yield nested(f"nt/limit{limit:x}/{mode}", mode, T(0), {T(0): desc(SYS_TSS32_BUSY, TSS2, limit, 0)})
            yield nested(f"nt/limit16-{limit:x}/{mode}", mode, T(0), {T(0): desc(SYS_TSS16_BUSY, TSS16, limit, 0)})
            if limit in (0, 0x66):
                continue
            yield nested(f"nt/from16-{limit:x}/{mode}", mode, T(0), {T(0): desc(SYS_TSS32_BUSY, TSS2, 0x67, 0), T(1): desc(SYS_TSS16, TSS16B, limit, 0)}, tr=T(1))


def nested(name, mode, link, gdt, tr=None, **more):
    cr3 = mode.regs["cr3"]
    mem = {TSS2: tss32(cr3=cr3, eip=CODE2, cs=CODE32(0), sss=DATA32(0), ds=DATA32(0), es=DATA32(3), regs=[0x70000001 + i if i != 4 else STACK[0] + 0xf00 for i in range(8)], eflags=2 | NT | CF),
           TSS16: tss16(ip=OFF2, cs=CODE16(0), sss=STACK16(0), ds=DATA16(0), es=DATA16(0), regs=[0x7001 + i if i != 4 else (STACK[0] + 0xf00) & 0xffff for i in range(8)], flags=2 | ZF),
           TSS16B: tss16(link=link)}
    return Case(name, mode, "iret", regs=dict(eflags=2 | NT, tr=tr or TSS_SEL), gdt=gdt, tss=tss32(link=link, cr3=cr3), mem=mem, **more)


def cases():
    for part in (segments, stacks, flags, to_v86, eight, task_return):
        yield from part()


def hand():
    flat, user, small = PM32[0], PM32[3], PM16[0]
    pg, pgu = paged(PM32[0]), paged(PM32[3])
    # TF: the instruction behind IRET runs, then the trap comes
    yield Case("tf/same", flat, frame(4, CODE32(0), CODE2, TF | 2), more={CODE2: (32, "inc eax\ninc eax\nud2")})
    yield Case("tf/outer", flat, frame(4, CODE32(3), CODE2, TF | 2, *stack_of(3, 4)), more={CODE2: (32, "inc eax\ninc eax\nud2")})
    yield Case("tf/v86", flat, frame(4, CODE2 >> 4, 0, TF | VM | 2, ARENA >> 4, 0xe000, 0, 0, 0, 0), more={CODE2: (16, "inc ax\ninc ax\nud2", 0)})
    yield Case("tf/real", REALMODE, frame(2, CODE2 >> 4, 0, TF | 2), more={CODE2: (16, "inc ax\ninc ax\nud2", 0)})
    yield Case("tf/cleared", flat, frame(4, CODE32(0), CODE2, 2), regs=dict(eflags=2), more={CODE2: (32, "inc eax\nud2")})
    yield Case("rf/breakpoint-skipped", flat, frame(4, CODE32(0), CODE2, RF | 2), regs=dict(dr0=CODE2, dr7=0x401), more={CODE2: (32, "inc eax\nud2")})
    yield Case("rf/breakpoint-taken", flat, frame(4, CODE32(0), CODE2, 2), regs=dict(dr0=CODE2, dr7=0x401), more={CODE2: (32, "inc eax\nud2")})
    yield Case("rf/gone-behind-one", flat, frame(4, CODE32(0), CODE2, RF | 2), regs=dict(dr0=CODE2 + 1, dr7=0x401), more={CODE2: (32, "inc eax\ninc eax\nud2")})
    # interrupts that wait
    yield Case("irq/same", flat, frame(4, CODE32(0), CODE2, IF | 2), flags=IRQ, more={CODE2: (32, "inc eax\nud2")})
    yield Case("irq/outer", flat, frame(4, CODE32(3), CODE2, IF | 2, *stack_of(3, 4)), flags=IRQ, more={CODE2: (32, "inc eax\nud2")})
    yield Case("irq/v86", flat, frame(4, CODE2 >> 4, 0, IF | VM | 2, ARENA >> 4, 0xe000, 0, 0, 0, 0), flags=IRQ, more={CODE2: (16, "inc ax\nud2", 0)})
    yield Case("irq/not-at-cpl3", user, frame(4, CODE32(3), CODE2, IF | 2), flags=IRQ, more={CODE2: (32, "inc eax\nud2")})
    # frames over pages, missing, read-only; descriptor tables likewise
    for size in (2, 4):
        mode = pgu if size == 4 else paged(PM16[3])
        cs = CODE32(3) if size == 4 else CODE16(3)
        base = 0 if size == 4 else ARENA
        values = struct.pack("<3I" if size == 4 else "<3H", offset(size), cs, 2)
        op = "o32 iret" if size == 4 else "o16 iret"
        for below in (1, 2, 4, 6, 8, 10):
            if below >= 3 * size:
                continue
            at = 0x2f000 - below
            yield Case(f"frame-second-page-missing/{below}/o{size * 8}", mode, op, regs=dict(esp=at - base), mem={at: values}, pte={0x2f000: 0})
            yield Case(f"frame-first-page-missing/{below}/o{size * 8}", mode, op, regs=dict(esp=at - base), mem={at: values}, pte={0x2e000: 0})
    yield Case("frame-page-super", pgu, "iretd", regs=dict(esp=0x33000), mem={0x33000: struct.pack("<3I", CODE2, CODE32(3), 2)}, pte={0x33000: 0x33000 | PTE_P | PTE_W})
    yield Case("outer-part-missing", pg, "iretd", regs=dict(esp=0x33ff4), mem={0x33ff4: struct.pack("<5I", CODE2, CODE32(3), 2, STACK[3] + 0xf00, DATA32(3))}, pte={0x34000: 0})
    yield Case("v86-part-missing", pg, "iretd", regs=dict(esp=0x33fe4), mem={0x33fe4: struct.pack("<9I", 0, CODE2 >> 4, VM | 2, 0xe000, ARENA >> 4, 1, 2, 3, 4)}, pte={0x34000: 0})
    yield Case("cs-descriptor-missing", pg, frame(4, TL(3), CODE2), ldt={TL(3): code(4)}, pte={LDT: 0})
    yield Case("cs-accessed-in-read-only", pg, frame(4, TL(3), CODE2), ldt={TL(3): code(4)}, pte={LDT: LDT | PTE_P})
    yield Case("ss-accessed-in-read-only", pg, frame(4, CODE32(3), CODE2, 2, TL(3, 3), STACK[3] + 0xf00), ldt={TL(3): desc(RW, 0, 0xfffff, G | D32, 3)}, pte={LDT: LDT | PTE_P})
    yield Case("target-page-missing", pg, frame(4, CODE32(3), CODE2, 2, *stack_of(3, 4)), pte={CODE2: 0})
    # what an outer ring keeps and loses
    yield Case("null-segments-stay", flat, f"xor eax, eax\nmov fs, ax\nmov ax, 3\nmov gs, ax\nmov eax, 0\nxor eax, eax\n{frame(4, CODE32(3), CODE2, 2, *stack_of(3, 4))}")
    yield Case("ldt-segments", flat, f"mov ax, {TL(5):#x}\nmov fs, ax\nmov ax, {TL(6):#x}\nmov gs, ax\n{frame(4, CODE32(3), CODE2, 2, *stack_of(3, 4))}", ldt={TL(5): desc(RW, 0, 0xfffff, G | D32, 0), TL(6): desc(RW, 0, 0xfffff, G | D32, 3)})
    yield Case("lost-segment-faults", flat, frame(4, CODE32(3), CODE2, 2, *stack_of(3, 4)), more={CODE2: (32, "mov eax, [es:0x32000]")})
    yield Case("kept-ds-null-limit", flat, f"mov ax, {T(8):#x}\nmov es, ax\n{frame(4, CODE32(1), CODE2, 2, *stack_of(1, 4))}", gdt={T(8): desc(RW, 0, 0xfff, D32, 1)}, more={CODE2: (32, "mov eax, [es:0xffc]\nmov eax, [es:0xffd]")})
    yield Case("ring3-then-int-then-back", flat, frame(4, CODE32(3), CODE2, 2, *stack_of(3, 4)), more={CODE2: (32, "int 0x40\nmov ax, cs\nud2"), CODE2 + 0x100: (32, "inc dword [0x32000]\niretd")}, idt={0x40: gate(SYS_INT32, T(0), CODE2 + 0x100, 3)}, gdt={T(0): code(4)}, regs=dict(ds=DATA32(3)))
    yield Case("o16-to-16-bit-stack-keeps-upper-esp", flat, frame(4, CODE32(3), CODE2, 2, STACK16(3), 0x1234e000), more={CODE2: (32, "mov eax, esp\npush ax")})
    yield Case("o16-from-32-bit", flat, frame(2, T(0), OFF2, 2), gdt={T(0): code(2)})
    yield Case("iopl-by-cpl0-only", PM32[1], frame(4, CODE32(1), CODE2, iopl(3) | IF | 2), regs=dict(eflags=2 | iopl(1)))
    yield Case("vm-ignored-by-cpl1", PM32[1], frame(4, CODE32(1), CODE2, VM | 2))
    yield Case("vm-ignored-by-16-bit", flat, frame(2, T(0), OFF2, 2), gdt={T(0): code(2)}, regs=dict(eflags=2 | CF))
    yield Case("v86-and-back-by-int", flat, frame(4, CODE2 >> 4, 0, VM | 2 | iopl(3), ARENA >> 4, 0xe000, 0x11, 0x22, 0x33, 0x44), more={CODE2: (16, "int 0x40\nmov ax, fs\nud2", 0), CODE2 + 0x100: (32, "iretd")}, idt={0x40: gate(SYS_INT32, T(0), CODE2 + 0x100, 3)}, gdt={T(0): code(4)})
    # VIF and VIP as IRET can leave them
    for cr4, name in ((0, "off"), (VME, "vme"), (PVI, "pvi")):
        yield Case(f"vif-vip/v86/{name}", flat, f"mov eax, {cr4}\nmov cr4, eax\n" + frame(4, CODE2 >> 4, 0, VM | VIF | VIP | 2, ARENA >> 4, 0xe000, 0, 0, 0, 0), more={CODE2: (16, "inc ax\nud2", 0)})
        yield Case(f"vif-vip/ring3/{name}", flat, f"mov eax, {cr4}\nmov cr4, eax\n" + frame(4, CODE32(3), CODE2, VIF | VIP | 2, *stack_of(3, 4)), more={CODE2: (32, "inc eax\nud2")})
        yield Case(f"vif-vip/ring0/{name}", flat, f"mov eax, {cr4}\nmov cr4, eax\n" + frame(4, CODE32(0), CODE2, VIF | VIP | 2), more={CODE2: (32, "inc eax\nud2")})
    yield nested("nt/v86-link", flat, T(0), {T(0): desc(SYS_TSS32_BUSY, 0x33000, 0x67, 0)}, tr=None)
    yield nested("nt/tss-in-no-memory", flat, T(0), {T(0): desc(SYS_TSS32_BUSY, 0xe0000000, 0x67, 0)})
