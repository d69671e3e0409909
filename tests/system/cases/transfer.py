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
            for delta in (-1, 0, 1):
                yield Case(f"limit/{op}/target{delta:+}/{mode}", mode, far(op, size, sel, off), gdt={T(0): code(size, dpl=ring, limit=off + delta)})
                if op == "retf":
                    continue
                yield Case(f"limit/{op}/gate{delta:+}/{mode}", mode, far(op, size, T(1, ring), 0x5555, indirect=True),
                           gdt={T(0): code(size, dpl=ring, limit=off + delta), T(1): gate(SYS_CALL32, T(0), off, dpl=3)})
                # the pointer's last byte at the end of its segment
                for pointer in (2, 4):
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
    return ()
