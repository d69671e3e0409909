"""Far jumps, calls and returns: to every kind of descriptor, through call gates to inner rings, back to outer ones.

T(0) is the target, T(1) a second segment, T(8) on are data segments. At CODE2 stands UD2, so a transfer that succeeds ends with
vector 6 there, and the frame of that tells where it went.
"""
from matrix import *  # noqa: F403

OFF2 = CODE2 - CODE                     # CODE2 in a segment whose base is CODE
WORD = {2: "word", 4: "dword"}


def far(op, size, sel, off, indirect=False):
    """Assembly of one far transfer with operands of size bytes."""
    w = WORD[size]
    if op == "retf":
        o = "o16" if size == 2 else "o32"
        return f"push {w} {sel:#x}\npush {w} {off:#x}\n{o} retf"
    if not indirect:
        return f"{op} {w} {sel:#x}:{off:#x}"
    return f"{op} {w} far [cs:at(.p)]\nud2\n.p: {'dd' if size == 4 else 'dw'} {off:#x}\ndw {sel:#x}"


def code(size, access=XR, dpl=0, present=True, limit=None):
    """A code segment in which CODE2 is at offset(size)."""
    if size == 4:
        return desc(access, 0, 0xfffff if limit is None else limit, G | D32 if limit is None else D32, dpl, present)
    return desc(access, CODE, 0xffff if limit is None else limit, 0, dpl, present)


def offset(size):
    return CODE2 if size == 4 else OFF2


def modes():
    for mode in PM32 + [PM16[0], PM16[3]]:
        yield mode, mode.bits // 8, mode.ring


SYSTEM = list(range(0x80, 0x90))
MEMORY = [RO, RW, RO_DOWN, RW_DOWN, XO, XR, XO_CONF, XR_CONF]


def any_descriptor(kind, ring, dpl, present):
    """A descriptor of each of the 24 kinds, with contents that make sense for it."""
    if kind in (SYS_TSS32, SYS_TSS32_BUSY):
        return desc(kind, TSS2, 0x67, 0, dpl, present)
    if kind in (SYS_TSS16, SYS_TSS16_BUSY):
        return desc(kind, TSS16, 0x2b, 0, dpl, present)
    if kind == SYS_TASK:
        return gate(kind, TSS2_SEL, 0, dpl, 0, present)
    if kind in (SYS_CALL16, SYS_INT16, SYS_TRAP16):
        return gate(kind, CODE16(ring), OFF2, dpl, 0, present)
    if kind in (SYS_CALL32, SYS_INT32, SYS_TRAP32):
        return gate(kind, CODE32(ring), CODE2, dpl, 0, present)
    return desc(kind, 0, 0xfffff, G | D32, dpl, present)


def task32(ring=0, **more):
    """A 32-bit TSS that starts at CODE2 in the ring, with its own registers."""
    d = DATA32(ring)
    a = dict(eip=CODE2, cs=CODE32(ring), sss=d, ds=d, es=d, fs=d, gs=d, ldt=LDT_SEL, eflags=2,
             regs=[0x70000001 + i * 0x01010101 if i != 4 else STACK[ring] + 0xf00 for i in range(8)])
    a.update(more)
    return tss32(**a)


def task16(ring=0, **more):
    d = DATA16(ring)
    a = dict(ip=OFF2, cs=CODE16(ring), sss=STACK16(ring), ds=d, es=d, ldt=LDT_SEL, flags=2,
             regs=[0x7001 + i * 0x0101 if i != 4 else (STACK[ring] + 0xf00) & 0xffff for i in range(8)])
    a.update(more)
    return tss16(**a)


def direct():
    """Code segments: DPL and RPL against CPL, conforming or not."""
    for mode, size, ring in modes():
        for op in ("jmp", "call", "retf"):
            for access, kind in ((XR, "code"), (XR_CONF, "conf")):
                for dpl in range(4):
                    for rpl in range(4):
                        yield Case(f"direct/{op}/{kind}/dpl{dpl}/rpl{rpl}/{mode}", mode, far(op, size, T(0, rpl), offset(size), indirect=(dpl ^ rpl) & 1),
                                   gdt={T(0): code(size, access, dpl)})


def kinds():
    """All 24 kinds of descriptor as the target."""
    tasks = {TSS2: task32(), TSS16: task16()}
    for mode, size, ring in modes():
        if ring in (1, 2):
            continue
        for op in ("jmp", "call", "retf"):
            for kind in SYSTEM + MEMORY:
                for name, dpl, rpl, present in (("", ring, ring, True), ("/absent", ring, ring, False), ("/dpl3", 3, 0, True)):
                    yield Case(f"kind/{op}/{kind & 0x1f:02x}{name}/{mode}", mode, far(op, size, T(0, rpl), offset(size)),
                               gdt={T(0): any_descriptor(kind, ring, dpl, present)}, mem=tasks)


def limits():
    """Target offset against the limit of the target, and the far pointer against the limit of its segment."""
    for mode, size, ring in modes():
        if ring == 1:
            continue
        sel, off = T(0, ring), offset(size)
        for op in ("jmp", "call", "retf"):
            for delta in (-1, 1, 2):            # the second byte of UD2 is inside
                yield Case(f"limit/{op}/target{delta:+}/{mode}", mode, far(op, size, sel, off), gdt={T(0): code(size, dpl=ring, limit=off + delta)})
                if op == "retf":
                    continue
                yield Case(f"limit/{op}/gate{delta:+}/{mode}", mode, far(op, size, T(1, ring), 0x5555, indirect=True),
                           gdt={T(0): code(size, dpl=ring, limit=off + delta), T(1): gate(SYS_CALL32, T(0), off, dpl=3)})
                # the pointer's last byte at the end of its segment
                for pointer, delta in ((2, delta - 1), (4, delta - 1)):
                    at = 0x800
                    yield Case(f"limit/{op}/pointer{pointer * 8}{delta:+}/{mode}", mode, f"{op} {WORD[pointer]} far [es:{at}]", regs=dict(es=T(8, 3)),
                               gdt={T(8): desc(RW | A, DATA, at + pointer + 1 + delta, 0, 3), T(0): code(pointer, dpl=ring)},
                               mem={DATA + at: struct.pack("<IH" if pointer == 4 else "<HH", offset(pointer), sel)})


def gates():
    """Call gates: DPL of gate, RPL, target's DPL and conformance."""
    for mode, size, ring in modes():
        if mode.bits == 16 and ring == 0:
            continue
        for op in ("jmp", "call"):
            for gsize in (2, 4):
                kind = SYS_CALL16 if gsize == 2 else SYS_CALL32
                for access, name in ((XR, "code"), (XR_CONF, "conf")):
                    for dpl in range(4):
                        for gdpl, rpl in sorted({(3, 0), (ring, ring), (max(ring - 1, 0), 0), (ring, 3)}):
                            yield Case(f"gate{gsize * 8}/{op}/{name}/dpl{dpl}/gate{gdpl}/rpl{rpl}/{mode}", mode, far(op, size, T(1, rpl), 0x5555),
                                       gdt={T(0): code(gsize, access, dpl), T(1): gate(kind, T(0, 3), offset(gsize), gdpl)})


def gate_targets():
    """What a call gate may name: each kind, null, absent, outside, in the LDT."""
    for mode in (PM32[0], PM32[3], PM16[3]):
        size = mode.bits // 8
        for op in ("jmp", "call"):
            for kind in SYSTEM + MEMORY:
                for present in (True, False):
                    yield Case(f"gate-to/{op}/{kind & 0x1f:02x}{'' if present else '/absent'}/{mode}", mode, far(op, size, T(1, 3), 0),
                               gdt={T(0): any_descriptor(kind, mode.ring, mode.ring, present), T(1): gate(SYS_CALL32, T(0), CODE2, 3)})
            for name, sel in (("null", 0), ("null3", 3), ("outside", 0x400), ("edge", 0x3f8), ("ldt", TL(0)), ("ldt-outside", 0x204), ("ldt-last", 0x1fc)):
                yield Case(f"gate-to/{op}/{name}/{mode}", mode, far(op, size, T(1, 3), 0),
                           gdt={T(1): gate(SYS_CALL32, sel, CODE2, 3), 0x3f8: code(4, dpl=mode.ring)}, ldt={TL(0): code(4, dpl=mode.ring), 0x1fc: code(4, dpl=mode.ring)})


def selectors():
    """Null, outside the table, LDT, by each instruction."""
    for mode, size, ring in modes():
        if ring in (1, 2):
            continue
        for op in ("jmp", "call", "retf"):
            for name, sel in (("null", 0), ("null3", 3), ("outside", 0x400), ("edge", 0x3f8), ("ldt", TL(0)), ("ldt-null", 4), ("ldt-outside", 0x204), ("ldt-last", 0x1fc)):
                regs = dict(gdt_limit=0x3fe) if name == "edge" else {}
                yield Case(f"selector/{op}/{name}/{mode}", mode, far(op, size, sel & ~3 | (ring if "null" not in name else sel & 3) | sel & 4, offset(size)), regs=regs,
                           gdt={0x3f8: code(size, dpl=ring)}, ldt={TL(0): code(size, dpl=ring), 0x1fc: code(size, dpl=ring)})
                if name.startswith("ldt"):
                    yield Case(f"selector/{op}/{name}/no-ldt/{mode}", mode, far(op, size, sel | ring, offset(size)), regs=dict(ldtr=0), ldt={TL(0): code(size, dpl=ring)})


def parameters():
    """0 to 31 parameters, to each inner ring, 16 and 32 bits; and from the end of the old stack."""
    for mode in (PM32[3], PM16[3], PM32[2]):
        for gsize in (2, 4):
            kind = SYS_CALL16 if gsize == 2 else SYS_CALL32
            for n in list(range(0, 32, 3)) + [1, 31]:
                yield Case(f"parameters/gate{gsize * 8}/{n}/{mode}", mode, far("call", mode.bits // 8, T(1, 3), 0), regs=dict(esp=mode.regs["esp"] - 0x200),
                           gdt={T(0): code(gsize, dpl=n % 2), T(1): gate(kind, T(0), offset(gsize), 3, n)},
                           mem={STACK[mode.ring] + 0xe00: bytes(range(256))})
            for left in (0, 1, 2, 3, 4, 7, 8, 9):
                # a stack that ends left bytes behind the stack pointer
                flag = D32 if mode.bits == 32 else 0
                yield Case(f"parameters/gate{gsize * 8}/old-stack-ends{left}/{mode}", mode, far("call", mode.bits // 8, T(1, 3), 0), regs=dict(ss=T(8, mode.ring), esp=0x800),
                           gdt={T(0): code(gsize), T(1): gate(kind, T(0), offset(gsize), 3, 2), T(8): desc(RW | A, STACK[mode.ring], 0x800 + left - 1, flag, mode.ring)})


def inner_stacks():
    """The inner ring's SS: every kind, DPL, RPL, absent, outside."""
    for mode, gsize, ring in ((PM32[3], 4, 0), (PM32[3], 4, 2), (PM16[3], 2, 1), (PM32[2], 2, 0)):
        kind = SYS_CALL16 if gsize == 2 else SYS_CALL32

        def case(name, sel, **more):
            g = {T(0): code(gsize, dpl=ring), T(1): gate(kind, T(0), offset(gsize), 3)}
            g.update(more.pop("gdt", {}))
            ss = [DATA32(r) if r != ring else sel for r in range(3)]
            esp = more.pop("esp", None)
            tss = tss32(ss=ss) if esp is None else tss32(ss=ss, esp=[STACK[r] + 0x1000 if r != ring else esp for r in range(3)])
            c = Case(f"inner-ss/{name}/{ring}/{gsize * 8}/{mode}", mode, far("call", mode.bits // 8, T(1, 3), 0), gdt=g, tss=tss, **more)
            return tasked(c, 8, 10, 11, 12, 13, 14) if ring == 0 else c

        for k in SYSTEM + MEMORY:
            for present in (True, False):
                yield case(f"{k & 0x1f:02x}{'' if present else '/absent'}", T(8, ring), gdt={T(8): any_descriptor(k, ring, ring, present)})
        for dpl in range(4):
            for rpl in range(4):
                yield case(f"dpl{dpl}/rpl{rpl}", T(8, rpl), gdt={T(8): desc(RW, 0, 0xfffff, G | D32, dpl)})
        for name, sel in (("null", 0), ("null-rpl", ring), ("outside", 0x400), ("ldt", TL(0)), ("ldt-outside", 0x204)):
            yield case(name, sel & ~3 | ring if name != "null" else 0, ldt={TL(0): desc(RW, 0, 0xfffff, G | D32, ring)})
        # limits: the frame is 16 or 8 bytes, then the #UD at the target pushes 12
        frame = 4 * gsize
        for big in (0, D32):
            for esp in (0, 1, frame - 1, frame, frame + 1, frame + 2, frame + 12, 0x800, 0x801, 0x802, 0x803, 0x10000, 0x10002, 0x10000800, 0xfffffffe):
                yield case(f"up{'32' if big else '16'}/{esp:x}", T(8, ring), esp=esp, gdt={T(8): desc(RW, BITMAP, 0x801, big, ring)})
            for limit in (0x7fe, 0x7ff, 0x800 - frame - 1, 0x800 - frame, 0x800 - frame + 1):
                yield case(f"up{'32' if big else '16'}/limit{limit:x}", T(8, ring), esp=0x800, gdt={T(8): desc(RW, BITMAP, limit, big, ring)})
                yield case(f"down{'32' if big else '16'}/limit{limit:x}", T(8, ring), esp=0x800, gdt={T(8): desc(RW_DOWN, BITMAP, limit, big, ring)})
        for limit in (0, 1, 3, 7, 8, 9, 10, 11, 15, 17, 19, 23, 25, 27, 0x66):
            yield case(f"tss-limit{limit:x}", DATA32(ring), gdt={T(9): desc(SYS_TSS32, TSS, limit, 0)}, regs=dict(tr=T(9)))
            yield case(f"tss16-limit{limit:x}", DATA32(ring), gdt={T(9): desc(SYS_TSS16, TSS16, limit, 0)}, regs=dict(tr=T(9)))


def outer():
    """RETF to outer rings: the code segment and the stack that are popped."""
    for mode, to in ((PM32[0], 3), (PM32[1], 2), (PM16[0], 3)):
        size = mode.bits // 8
        w = WORD[size]

        def case(name, cs, ss, sp=None, release=0, extra="", **more):
            sp = (STACK[to] + 0xf00 if size == 4 else (STACK[to] + 0xf00) & 0xffff) if sp is None else sp
            params = f"push {w} 0x1111\n" * (release // size)
            return Case(f"outer{to}/{name}/{mode}", mode, f"{extra}\npush {w} {ss:#x}\npush {w} {sp:#x}\n{params}push {w} {cs:#x}\npush {w} {offset(size):#x}\nretf {release}", **more)

        good_ss = DATA32(to) if size == 4 else STACK16(to)
        good_cs = CODE32(to) if size == 4 else CODE16(to)
        for access in (XR, XR_CONF):
            for dpl in range(4):
                for rpl in range(4):
                    yield case(f"cs{access:x}/dpl{dpl}/rpl{rpl}", T(0, rpl), good_ss & ~3 | rpl if rpl == to else (DATA32(rpl) if size == 4 else STACK16(rpl)), gdt={T(0): code(size, access, dpl)})
        for dpl in range(4):
            for rpl in range(4):
                yield case(f"ss/dpl{dpl}/rpl{rpl}", good_cs, T(8, rpl), gdt={T(8): desc(RW, 0 if size == 4 else ARENA, 0xfffff, G | D32, dpl)})
        for k in SYSTEM + MEMORY:
            for present in (True, False):
                yield case(f"ss/{k & 0x1f:02x}{'' if present else '/absent'}", good_cs, T(8, to), gdt={T(8): any_descriptor(k, to, to, present)})
        for name, sel in (("null", 0), ("null-rpl", to), ("outside", 0x400 | to), ("ldt", TL(0, to)), ("ldt-outside", 0x204 | to)):
            yield case(f"ss/{name}", good_cs, sel, ldt={TL(0): desc(RW, 0, 0xfffff, G | D32, to)})
        for release in (0, size, 4 * size, 8 * size):
            for big in (0, D32):
                for sp in (0x800, 0xfffe, 0xffff, 0, 0x12340800):
                    yield case(f"release{release}/{'ss32' if big else 'ss16'}/sp{sp:x}", good_cs, T(8, to), sp & ((1 << size * 8) - 1), release, gdt={T(8): desc(RW | A, BITMAP, 0xffff, big, to)})
        # what the outer ring must not keep
        for k in (RO, RW, XR, XR_CONF, RW_DOWN):
            for dpl in range(4):
                if mode.ring > dpl and k != XR_CONF:
                    continue
                yield case(f"data/{k:x}/dpl{dpl}", good_cs, good_ss, extra="".join(f"mov eax, {T(8 + i, mode.ring if k == XR_CONF else 0):#x}\nmov {s}, ax\n" for i, s in enumerate(("ds", "es", "fs", "gs"))),
                           gdt={T(8 + i): desc(k | A, 0, 0xfffff, G | D32, dpl) for i in range(4)})
        for left in (0, 1, 3, 4, 7, 8, 11, 12, 15, 16):
            yield Case(f"outer{to}/pop-limit{left}/{mode}", mode, f"{'o16' if size == 2 else 'o32'} retf", regs=dict(ss=T(9, mode.ring), esp=0x800),
                       gdt={T(9): desc(RW | A, BITMAP, 0x800 + left - 1, D32, mode.ring)},
                       mem={BITMAP + 0x800: struct.pack("<4I" if size == 4 else "<4H", offset(size), good_cs, (STACK[to] + 0xf00) & (0xffffffff if size == 4 else 0xffff), good_ss)})


def eight():
    """Real mode and v86: no descriptors, but limits."""
    for mode in (REALMODE, V86):
        for op in ("jmp", "call", "retf"):
            for size in (2, 4):
                for indirect in (False, True) if op != "retf" else (False,):
                    for name, seg, off in (("plain", CODE2 >> 4, 0), ("base0", 0x2000, 0x1000), ("top", 0x2101, 0xfff0), ("wrap", 0xffff, 0x1010), ("far", CODE2 >> 4, 0x10000), ("neg", CODE2 >> 4, 0xfffffff0)):
                        if off > 0xffff and size == 2:
                            continue
                        yield Case(f"eight/{op}{size * 8}/{'indirect' if indirect else 'direct'}/{name}/{mode}", mode, far(op, size, seg, off, indirect),
                                   mem={0x310f0: b"\x0f\x0b" * 8, 0x31000: b"\x0f\x0b"} if name == "top" else {0x21000: b"\x0f\x0b\x0f\x0b"} if name == "base0" else {})
                for sp in (0, 1, 2, 3, 4, 5, 6, 7, 8, 0xfffe, 0xffff, 0xfffd, 0xfffc, 0xfff9):
                    text = far(op, size, CODE2 >> 4, 0) if op != "retf" else f"{'o16' if size == 2 else 'o32'} retf 6"
                    # vectors are taken on this stack, too: word-sized pushes that wrap. RETF finds 3131:3131, where UD2 waits
                    yield Case(f"eight/{op}{size * 8}/sp{sp:x}/{mode}", mode, text, regs=dict(esp=0x5a5a0000 | sp, ss=BITMAP >> 4),
                               mem={0x2dff0: b"\x31" * 32, 0x34441: b"\x0f\x0b" * 8})


def cases():
    for part in (direct, kinds, limits, gates, gate_targets, selectors, parameters, inner_stacks, outer, eight):
        yield from part()


def hand():
    flat, user, small = PM32[0], PM32[3], PM16[0]
    pg, pgu = paged(PM32[0]), paged(PM32[3])
    gate3 = {T(1): gate(SYS_CALL32, CODE32(0) & ~3, CODE2, 3)}
    yield Case("o16-jmp-keeps-32-bit-segment", flat, "jmp word 0x100:0x1000", gdt={T(0): desc(XR, CODE, 0xfffff, D32)})
    yield Case("o32-jmp-from-16-bit", small, f"jmp dword {CODE32(0):#x}:{CODE2:#x}")
    yield Case("call-and-retf", flat, "push cs\npush dword at(.back)\ncall dword 0x100:0x31000\n.back: pushfd", gdt={T(0): code(4)}, more={CODE2: (32, "mov eax, esp\nretf")})
    yield Case("call-and-retf-n", flat, "push dword 1\npush dword 2\ncall dword 0x100:0x31000", gdt={T(0): code(4)}, more={CODE2: (32, "mov eax, [esp + 8]\nretf 8")})
    yield Case("recursion-to-the-end-of-the-stack", flat, ".again: call dword 0x100:at(.again)", regs=dict(ss=T(8), esp=0x20), gdt={T(0): code(4), T(8): desc(RW | A, BITMAP, 0xfff, D32)})
    # there and back through a gate, parameters released on both stacks
    for n in (0, 3):
        yield Case(f"gate-and-back/{n}", user, f"push dword 0x11112222\npush dword 0x33334444\npush dword 0x55556666\ncall {T(1, 3):#x}:0", gdt={T(0): code(4), T(1): gate(SYS_CALL32, T(0), CODE2, 3, n)},
                   more={CODE2: (32, f"mov eax, [esp + 8]\nmov dx, cs\nmov bx, ss\nretf {n * 4}")})
    yield Case("gate-and-back-16-bit-caller", PM16[3], f"push word 0x1234\npush word 0x5678\ncall {T(1, 3):#x}:0", gdt={T(0): code(2), T(1): gate(SYS_CALL16, T(0), OFF2, 3, 2)}, more={CODE2: (16, "mov bp, sp\nmov ax, [bp + 4]\nretf 4", OFF2)})
    yield Case("gate16-cuts-eip", user, f"jmp .far\ntimes 0x100 nop\n.far: call {T(1, 3):#x}:0", gdt={T(0): code(2), T(1): gate(SYS_CALL16, T(0), OFF2, 3)})
    yield Case("gate16-ignores-upper-offset", user, f"call {T(1, 3):#x}:0", gdt={T(0): code(4), T(1): struct.pack("<HHBBH", 0x1000, T(0), 0, SYS_CALL16 | 0x60, 0xffff)}, mem={0x1000: b"\x0f\x0b"})
    yield Case("gate-reserved-bits", user, f"call {T(1, 3):#x}:0", gdt={T(0): code(4), T(1): struct.pack("<HHBBH", 0x1000, T(0), 0xe0 | 1, SYS_CALL32 | 0x60, 3)})
    yield Case("conforming-keeps-cpl", user, "call dword 0x100:0x31000", gdt={T(0): code(4, XR_CONF, 0)}, more={CODE2: (32, "mov ax, cs\nmov ebx, [esp + 4]\nhlt")})
    yield Case("conforming-gate-keeps-cpl", user, f"call {T(1, 3):#x}:0", gdt={T(0): code(4, XR_CONF, 0), T(1): gate(SYS_CALL32, T(0), CODE2, 3, 4)}, more={CODE2: (32, "mov ax, cs\nmov bx, ss\ncli")})
    yield Case("gate-in-ldt-to-ldt", user, f"call {TL(1, 3):#x}:0", ldt={TL(1): gate(SYS_CALL32, TL(2), CODE2, 3), TL(2): code(4)})
    yield Case("jmp-gate-ignores-parameters", flat, "jmp 0x108:0", gdt={T(0): code(4), T(1): gate(SYS_CALL32, T(0), CODE2, 0, 31)})
    yield Case("pointer-over-pages", pg, "jmp far [0x33ffd]", mem={0x33ffd: struct.pack("<IH", CODE2, CODE32(0))})
    yield Case("pointer-second-page-missing", pg, "jmp far [0x33ffd]", mem={0x33ffd: struct.pack("<IH", CODE2, CODE32(0))}, pte={0x34000: 0})
    yield Case("pointer-first-page-missing", pgu, "call far [0x33ffd]", mem={0x33ffd: struct.pack("<IH", CODE2, CODE32(3))}, pte={0x33000: 0})
    yield Case("d-bit-takes-effect-at-once", flat, f"jmp 0x100:at(.there)\n.there: db 0xb8, 0x34, 0x12, 0x0f, 0x0b", gdt={T(0): desc(XR, 0, 0xfffff, G)}, end=False)
    yield Case("cached-cs-outlives-descriptor", flat, "mov byte [0x20105], 0x92\nnop\njmp short .x\n.x: mov eax, 1", regs=dict(cs=T(0)), gdt={T(0): code(4)})
    yield Case("reload-of-changed-cs", flat, "mov byte [0x20105], 0x92\njmp 0x100:at(.x)\n.x: mov eax, 1", regs=dict(cs=T(0)), gdt={T(0): code(4)})
    yield Case("gdt-shrinks", flat, "mov word [0x32000], 0x107\nmov dword [0x32002], 0x20000\nlgdt [0x32000]\njmp 0x100:at(.x)\n.x: jmp 0x108:0", gdt={T(0): code(4), T(1): code(4)})
    yield Case("gdt-empty", flat, "mov dword [0x32000], 0\nmov dword [0x32004], 0\nlgdt [0x32000]\njmp 0x100:0x31000")
    for name, entry in (("absent", 0), ("ro", PTE_P | PTE_U), ("ro-super", PTE_P), ("rw-super", PTE_P | PTE_W)):
        for access in (XR, XR | A):
            for mode in (pg, pgu):
                # the page of the LDT, so that the handlers' GDT stays
                yield Case(f"table-page-{name}/{access:x}/{mode}", mode, f"jmp {TL(3, mode.ring):#x}:0x31000", ldt={TL(3): code(4, access, mode.ring)}, pte={LDT: LDT | entry})
    yield Case("accessed-bit-without-wp", Mode("pm32-0/p/nowp", 32, 0, dict(pg.regs, cr0=pg.regs["cr0"] & ~WP), RING0, paging="32"), f"jmp {TL(3):#x}:0x31000", ldt={TL(3): code(4)}, pte={LDT: LDT | PTE_P | PTE_U})
    yield Case("inner-stack-page-missing", pgu, f"call {T(1, 3):#x}:0", gdt={T(0): code(4, dpl=1), T(1): gate(SYS_CALL32, T(0), CODE2, 3, 2)}, pte={STACK[1]: 0})
    yield Case("inner-stack-page-ro", pgu, f"call {T(1, 3):#x}:0", gdt={T(0): code(4, dpl=1), T(1): gate(SYS_CALL32, T(0), CODE2, 3, 2)}, pte={STACK[1]: STACK[1] | PTE_P | PTE_U})
    yield Case("inner-stack-page-super", pgu, f"call {T(1, 3):#x}:0", gdt={T(0): code(4, dpl=1), T(1): gate(SYS_CALL32, T(0), CODE2, 3, 2)}, pte={STACK[1]: STACK[1] | PTE_P | PTE_W})
    yield Case("parameters-page-missing", pgu, f"call {T(1, 3):#x}:0", regs=dict(esp=0x33ffc), gdt={T(0): code(4, dpl=1), T(1): gate(SYS_CALL32, T(0), CODE2, 3, 4)}, pte={0x34000: 0})
    yield Case("parameters-page-super", pgu, f"call {T(1, 3):#x}:0", regs=dict(esp=0x33ffc), gdt={T(0): code(4, dpl=1), T(1): gate(SYS_CALL32, T(0), CODE2, 3, 1)}, pte={0x33000: 0x33000 | PTE_P | PTE_W})
    yield Case("tss-page-missing", pgu, f"call {T(1, 3):#x}:0", gdt={T(0): code(4, dpl=1), T(1): gate(SYS_CALL32, T(0), CODE2, 3), T(2): desc(SYS_TSS32, 0x38ff4, 0x67, 0)}, regs=dict(tr=T(2)), pte={0x39000: 0},
               mem={0x38ff4: tss32()})
    yield Case("tss-page-super", pgu, f"call {T(1, 3):#x}:0", gdt={T(0): code(4, dpl=1), T(1): gate(SYS_CALL32, T(0), CODE2, 3)}, pte={TSS: TSS | PTE_P})
    yield Case("retf-stack-page-missing", pgu, "retf", regs=dict(esp=0x33ffc), mem={0x33ffc: struct.pack("<II", CODE2, CODE32(3))}, pte={0x34000: 0})
    yield Case("retf-outer-stack-page-missing", pg, "retf", regs=dict(esp=0x33ff8), mem={0x33ff8: struct.pack("<IIII", CODE2, CODE32(3), STACK[3] + 0x800, DATA32(3))}, pte={0x34000: 0})
    yield Case("call-stack-page-ro", pgu, f"call {CODE32(3):#x}:0x31000", pte={STACK[3]: STACK[3] | PTE_P | PTE_U})
    yield Case("call-stack-over-pages-second-ro", pgu, f"call {CODE32(3):#x}:0x31000", regs=dict(esp=0x34004), pte={0x33000: 0x33000 | PTE_P | PTE_U})
    yield Case("mod3", flat, b"\xff\xd8\xff\xe8")
    yield Case("mod3-jmp", flat, b"\xff\xe8")
    yield Case("lock-call", flat, b"\xf0\x9a\0\x10\x03\0\x20\0")
    yield Case("rep-retf", flat, "push cs\npush dword 0x31000\ndb 0xf3, 0xcb")
    # PE set and cleared without a far jump in between
    yield Case("pe-without-jump", REALMODE, "o32 lgdt [0x2000]\nmov eax, cr0\nor al, 1\nmov cr0, eax\nmov ebx, 1\nand al, 0xfe\nmov cr0, eax\nint3", mem={DATA: struct.pack("<HI", GDT_LIMIT, GDT)})
    yield Case("pe-and-jump", REALMODE, f"o32 lgdt [0x2000]\no32 lidt [0x2008]\nmov eax, cr0\nor al, 1\nmov cr0, eax\njmp dword {CODE32(0):#x}:0x31000", mem={DATA: struct.pack("<HIHHI", GDT_LIMIT, GDT, 0, 0x7ff, IDT)})
    yield Case("pe-and-jump-16", REALMODE, f"o32 lgdt [0x2000]\no32 lidt [0x2008]\nmov eax, cr0\nor al, 1\nmov cr0, eax\njmp {CODE16(0):#x}:0x1000", mem={DATA: struct.pack("<HIHHI", GDT_LIMIT, GDT, 0, 0x7ff, IDT)})
    yield Case("pe-and-retf-of-real-cs", REALMODE, "o32 lgdt [0x2000]\no32 lidt [0x2008]\nmov eax, cr0\nor al, 1\nmov cr0, eax\npush cs\npush word 0x1000\nretf", mem={DATA: struct.pack("<HIHHI", GDT_LIMIT, GDT, 0, 0x7ff, IDT)})
    yield Case("to-real-mode", small, "mov eax, cr0\nand al, 0xfe\nmov cr0, eax\njmp 0x3100:0", regs=dict(idt_base=0, idt_limit=0x3ff), idt={})
    yield Case("to-real-mode-without-jump", small, "mov eax, cr0\nand al, 0xfe\nmov cr0, eax\nmov bx, cs\nmov cx, ss\npush cx\nint3", regs=dict(idt_base=0, idt_limit=0x3ff))
    yield Case("real-cs-limit-stays", Mode("pm16-0/small", 16, 0, dict(small.regs, idt_base=0, idt_limit=0x3ff), RING0), f"jmp {T(0):#x}:at(.in)\n.in: mov eax, cr0\nand al, 0xfe\nmov cr0, eax\njmp 0x3100:0x1010", gdt={T(0): desc(XR, CODE, 0xfff, 0)})
    yield Case("ring1-to-2-to-3", PM32[1], f"push dword {DATA32(2):#x}\npush dword {STACK[2] + 0xf00:#x}\npush dword {CODE32(2):#x}\npush dword at(.two)\nretf\n.two: push dword {DATA32(3):#x}\npush dword {STACK[3] + 0xf00:#x}\npush dword {CODE32(3):#x}\npush dword at(.three)\nretf\n.three: mov ax, ss")
    yield Case("gates-3-to-2-to-0", user, f"call {T(1, 3):#x}:0", gdt={T(0): code(4, dpl=2), T(1): gate(SYS_CALL32, T(0), CODE2, 3, 1), T(2): code(4), T(3): gate(SYS_CALL32, T(2), CODE2 + 0x100, 3, 2)},
               more={CODE2: (32, f"push dword 0x77777777\ncall {T(3, 2):#x}:0"), CODE2 + 0x100: (32, "str ax\nmov bx, ss\nud2")})
    yield Case("gate-target-limit-in-pages", user, f"call {T(1, 3):#x}:0", gdt={T(0): desc(XR, 0, 0x30, G | D32), T(1): gate(SYS_CALL32, T(0), CODE2, 3)})
    yield Case("expand-down-stack-takes-the-frame", flat, f"call {CODE32(0):#x}:0x31000", regs=dict(ss=T(8), esp=0xfffe0000), gdt={T(8): desc(RW_DOWN | A, 0x50000, 0, D32)}, pte={})
    yield Case("far-jmp-to-null-descriptor", flat, "jmp 0x108:0x31000", gdt={T(1): bytes(8)})
    yield Case("ldtr-outlives-its-descriptor", flat, f"mov dword [0x200cc], 0\njmp {TL(3):#x}:0x31000", ldt={TL(3): code(4)})
    yield Case("lldt-null-then-jmp", flat, f"xor eax, eax\nlldt ax\nmov eax, 1\ncmp eax, 1\njmp {TL(3):#x}:0x31000", ldt={TL(3): code(4)})
    yield Case("segments-nulled-stay-nulled", flat, f"mov ax, {DATA32(0):#x}\nmov gs, ax\npush dword {DATA32(3):#x}\npush dword {STACK[3] + 0xf00:#x}\npush dword {CODE32(3):#x}\npush dword at(.out)\nretf\n.out: mov eax, [gs:0x32000]")
