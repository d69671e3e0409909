"""Data, stack and code accesses through every kind of segment: types, limits of both granularities and directions, each size at each edge.

The segment under test is T(0); its base is chosen so that what lies inside the limit is in the arena. An access that the limit
forbids ends with #GP(0) or, through SS, #SS(0); one that it allows ends at the UD2 behind it and shows in registers or memory.
"""
import itertools

from matrix import *  # noqa: F403

SEGS = ["ds", "es", "fs", "gs"]
# Before an x87 image is stored, one is loaded: registers and pointers are the same whatever ran before.
X87 = "o32 frstor [cs:at(.x87)]\n"
X87_IMAGE = "\nud2\nalign 4\n.x87: dd 0x37f, 0, 0xffff\ntimes 96 db 0"
XMM = "".join(f"xorps xmm{i}, xmm{i}\n" for i in range(8))

# name: (bytes touched, or by operand size (16, 32); writes; instruction); {m} is the operand, {o} o16 or o32, {w} word or dword.
ACCESS = {
    "r1": (1, False, "mov al, {m}"),
    "r2": (2, False, "mov ax, {m}"),
    "r4": (4, False, "mov eax, {m}"),
    "w1": (1, True, "mov {m}, al"),
    "w2": (2, True, "mov {m}, ax"),
    "w4": (4, True, "mov {m}, eax"),
    "wi4": (4, True, "mov dword {m}, 0x12345678"),
    "movzx1": (1, False, "movzx eax, byte {m}"),
    "rmw1": (1, True, "add {m}, dl"),
    "rmw2": (2, True, "inc word {m}"),
    "rmw4": (4, True, "xor {m}, ecx"),
    "xchg2": (2, True, "xchg {m}, dx"),
    "xchg4": (4, True, "xchg {m}, edx"),
    "lock4": (4, True, "lock xadd {m}, edx"),
    "cmp4": (4, False, "cmp {m}, edx"),
    "cx8": (8, True, "cmpxchg8b {m}"),
    "setc": (1, True, "setc {m}"),
    "ror2": (2, True, "ror word {m}, 1"),
    "mul4": (4, False, "mul dword {m}\ncmp al, al"),
    "bts4": (4, True, "bts dword {m}, 3"),
    "fld4": (4, False, "fld dword {m}"),
    "fild2": (2, False, "fild word {m}"),
    "fild8": (8, False, "fild qword {m}"),
    "fistp8": (8, True, "fldz\nfistp qword {m}"),
    "fld10": (10, False, "fld tword {m}"),
    "fstp10": (10, True, "fld1\nfstp tword {m}"),
    "fbstp": (10, True, "fld1\nfbstp {m}"),
    "fstcw": (2, True, "fnstcw {m}"),
    "fldcw": (2, False, "fldcw {m}"),
    "movq_r": (8, False, "movq mm0, {m}"),
    "movq_w": (8, True, "pxor mm0, mm0\nmovq {m}, mm0"),
    "movups_r": (16, False, "movups xmm0, {m}"),
    "movups_w": (16, True, "xorps xmm0, xmm0\nmovups {m}, xmm0"),
    "movaps_w": (16, True, "xorps xmm0, xmm0\nmovaps {m}, xmm0"),
    "movss_r": (4, False, "movss xmm0, {m}"),
    "fnstenv": ((14, 28), True, X87 + "{o} fnstenv {m}" + X87_IMAGE),
    "fldenv": ((14, 28), False, "{o} fldenv {m}"),
    "fnsave": ((94, 108), True, X87 + "{o} fnsave {m}" + X87_IMAGE),
    "frstor": ((94, 108), False, "{o} frstor {m}"),
    "fxsave": (512, True, X87 + XMM + "fxsave {m}" + X87_IMAGE),
    "fxrstor": (512, False, "fxrstor {m}"),
    "push": ((2, 4), False, "push {w} {m}"),
    "pop": ((2, 4), True, "pop {w} {m}"),
    "call": ((2, 4), False, "call {w} {m}"),
    "jmpf": ((4, 6), False, "jmp {w} far {m}"),
    "bound": ((4, 8), False, "bound {r}, {m}"),
    "lfs": ((4, 6), False, "lfs {r}, {m}"),
    "mov_sreg_r": (2, False, "mov fs, {m}"),
    "mov_sreg_w": (2, True, "mov {m}, fs"),
    "sgdt": (6, True, "sgdt {m}"),
    "smsw": (2, True, "smsw {m}"),
    "sldt": (2, True, "sldt {m}"),
    "verr": (2, False, "verr {m}"),
    "ltr": (2, False, "ltr {m}"),
    "lidt": (6, False, "lidt {m}"),
    "arpl": (2, True, "arpl {m}, dx"),
}
STEP = {"movaps_w": 16, "fxsave": 256, "fxrstor": 256}     # beyond the limit by this much: some processors do not touch an FXSAVE area's last bytes
NOT_V86 = {"sldt", "verr", "ltr", "arpl"}
MAIN = ["r1", "r2", "r4", "w1", "w2", "w4", "rmw2", "rmw4", "fild8", "fistp8", "fld10", "fstp10", "movups_r", "movups_w", "fnstenv", "fldenv",
        "fnsave", "frstor", "fxsave", "fxrstor", "push", "pop", "cx8", "sgdt", "lfs"]


def pointer(mode):
    off = struct.pack("<I" if mode.bits == 32 else "<H", CODE2 if mode.flat else CODE2 - CODE)
    return {0: off + struct.pack("<H", mode.regs["cs"])}


# What the operand holds where its contents decide about more than a register.
IMAGES = {
    "fxrstor": lambda mode: {24: struct.pack("<I", 0x1f80)},
    "call": pointer,
    "jmpf": pointer,
    "lidt": lambda mode: {0: struct.pack("<HI", mode.regs["idt_limit"], mode.regs["idt_base"])},
}
KEY = {"r1", "r4", "w2", "w4", "movups_r", "fstp10"}


def size_of(access, bits):
    size = ACCESS[access][0]
    return size if isinstance(size, int) else size[bits == 32]


def text(access, bits, operand):
    o, w, r = ("o16", "word", "dx") if bits == 16 else ("o32", "dword", "edx")
    return ACCESS[access][2].format(m=operand, o=o, w=w, r=r)


def access_case(name, mode, access, seg, offset, base, segment, wide=True, **more):
    """One access at seg:offset. segment: descriptor bytes for T(0), None: seg as the mode has it."""
    operand = f"[{seg}:{'ebx' if wide else 'bx'}]"
    regs = dict(ebx=offset, cr4=mode.regs["cr4"] | OSFXSR, **more.pop("regs", {}))
    gdt = dict(more.pop("gdt", {}))
    if segment:
        gdt[T(0)] = segment
        regs[seg] = T(0, mode.ring)
    mem = dict(more.pop("mem", {}))
    image, at = IMAGES.get(access), base + (offset if wide else offset & 0xffff) & 0xffffffff
    if image:
        mem.update({at + k: v for k, v in image(mode).items() if ARENA <= at + k <= ARENA + ARENA_BYTES - len(v)})
    return Case(name, mode, text(access, mode.bits, operand), regs=regs, gdt=gdt, mem=mem, **more)


def up_edges(limit, size, step):
    """Offsets at the edges of an expand-up segment."""
    top = limit + 1
    if limit == 0xffffffff:         # whether a wrap faults is left open (SDM vol. 3, 5.3)
        return {"zero": 0, "last": top - size, "far": 0x80000000}
    out = {"zero": 0, "last": top - size, "over": top - size + step, "past": top, "far": 0x80000000, "wrap": 0x100000000 - (size if size == 1 else step)}
    if size > 1:
        out["tip"] = top - step
    return {k: v & 0xffffffff for k, v in out.items() if v >= 0 and v <= 0xffffffff}


def down_edges(limit, size, step, top):
    first = limit + 1
    out = {"zero": 0, "first": first, "under": first - step, "below": first - size, "last": top + 1 - size, "over": top + 1 - size + step, "past": top + 1}
    return {k: v & 0xffffffff for k, v in out.items() if v >= 0 and v <= 0xffffffff}


# name: (access byte, flags, limit field, base, limit in bytes, offset that ends an expand-down segment)
KINDS = {
    "rw": (RW, D32, 0x7ff, 0x34000, 0x7ff, None),
    "rw16": (RW, 0, 0xfff, 0x34000, 0xfff, None),
    "rw_odd": (RW, D32, 0x9fe, 0x34013, 0x9fe, None),
    "rw_page": (RW, D32 | G, 1, 0x34000, 0x1fff, None),
    "rw_64k": (RW, 0, 0xffff, 0x30000, 0xffff, None),
    "rw_tiny": (RW, D32, 0x1fe, 0x34000, 0x1fe, None),
    "rw_1fff": (RW, D32, 0x1ff, 0x34000, 0x1ff, None),
    "rw_one": (RW, D32, 0, 0x34000, 0, None),
    "rw_based": (RW, D32 | G, 0xfffff, 0x34000, 0xffffffff, None),
    "rw_4g_less": (RW, D32 | G, 0xffffe, 0x36000, 0xffffefff, None),
    "rw_flat": (RW, D32 | G, 0xfffff, 0, 0xffffffff, None),
    "ro": (RO, D32, 0x7ff, 0x34000, 0x7ff, None),
    "ro_based": (RO, D32 | G, 0xfffff, 0x34000, 0xffffffff, None),
    "ro_flat": (RO, D32 | G, 0xfffff, 0, 0xffffffff, None),
    "down": (RW_DOWN, D32, 0x2fff, 0x33000, 0x2fff, 0xffffffff),
    "down16": (RW_DOWN, 0, 0x2fff, 0x30000, 0x2fff, 0xffff),
    "down_page": (RW_DOWN, D32 | G, 0xffffb, 0x38000, 0xffffbfff, 0xffffffff),
    "down16_page": (RW_DOWN, G, 2, 0x30000, 0x2fff, 0xffff),
    "down_ro": (RO_DOWN, D32, 0x2fff, 0x33000, 0x2fff, 0xffffffff),
    "down16_all": (RW_DOWN, 0, 0xffff, 0x30000, 0xffff, 0xffff),
    "down_none": (RW_DOWN, D32 | G, 0xfffff, 0x38000, 0xffffffff, 0xffffffff),
    "down_0": (RW_DOWN, D32, 0, 0x34000, 0, 0xffffffff),
    "xr": (XR, D32, 0x7ff, 0x34000, 0x7ff, None),
    "xr_flat": (XR, D32 | G, 0xfffff, 0, 0xffffffff, None),
    "xr_conf": (XR_CONF, D32, 0x7ff, 0x34000, 0x7ff, None),
}


def kind_edges(kind, access, bits):
    _, _, _, base, limit, top = KINDS[kind]
    size, step = size_of(access, bits), STEP.get(access, 1)
    if base == 0 and limit == 0xffffffff:
        return {"in": 0x34000, "end": 0x40000 - size & ~15}
    if size == 512 and limit < 512:
        return {}               # likewise
    return up_edges(limit, size, step) if top is None else down_edges(limit, size, step, top)


def kind_desc(kind, ring):
    access, flags, field, base, _, _ = KINDS[kind]
    return desc(access | A, base, field, flags, ring)


def data_cases():
    turn = itertools.cycle(SEGS)
    modes = [PM32[3], PM32[0], PM16[3], PM16[0]]
    # every kind, main accesses, every edge; modes and registers in turn
    for i, kind in enumerate(KINDS):
        for j, access in enumerate(MAIN):
            if (i + j) % 3 and access not in KEY:
                continue
            mode = modes[(i + j) % len(modes)]
            for n, (edge, offset) in enumerate(kind_edges(kind, access, mode.bits).items()):
                seg = next(turn)
                if (i + j + n) % 3 == 0 and edge not in ("last", "over", "first", "under"):
                    continue
                yield access_case(f"data/{kind}/{access}/{edge}/{seg}/{mode}", mode, access, seg, offset, KINDS[kind][3], kind_desc(kind, mode.ring))
        next(turn)      # another register for the same edge of the next kind
    # every access, at the two sides of the limit, in every mode
    for j, access in enumerate(ACCESS):
        for i, mode in enumerate(PM32[:4:3] + PM16[:4:3]):
            for kind in (("rw",), ("down",), ("down",), ("rw",))[i] + ("ro",) * ((i + j) % 3 == 0):
                edges = kind_edges(kind, access, mode.bits)
                for edge in ("last", "over", "first", "under"):
                    seg = SEGS[(i + j) % 4]
                    c = access_case(f"access/{access}/{kind}/{edge}/{seg}/{mode}", mode, access, seg, edges.get(edge, 0), KINDS[kind][3], kind_desc(kind, mode.ring))
                    if edge in edges:
                        yield c
    # every register, read and write, inside and outside, in every mode
    for mode in PM32 + PM16:
        for seg in SEGS:
            for access in ("r4", "w4", "rmw1"):
                if mode.ring in (1, 2) and access != "w4":
                    continue
                for kind in ("rw", "down16", "ro"):
                    edges = kind_edges(kind, access, mode.bits)
                    for edge in ("last", "over") if kind != "ro" else ("last",):
                        yield access_case(f"reg/{seg}/{access}/{kind}/{edge}/{mode}", mode, access, seg, edges[edge], KINDS[kind][3], kind_desc(kind, mode.ring))
            for null in {0, 3, mode.ring} if seg == "es" else {mode.ring}:
                for access in ("r1", "w4") if null == mode.ring else ("r4",):
                    yield access_case(f"null/{seg}/{access}/{null}/{mode}", mode, access, seg, 0x34000, 0, None, regs={seg: null})


def plain_cases():
    """Real and v86 mode, whose limit is FFFFh, with addresses of both sizes."""
    for mode in (REALMODE, V86):
        for access in ACCESS:
            if access in NOT_V86:
                continue
            size, step = size_of(access, 16), STEP.get(access, 1)
            for wide in (False, True):
                edges = {"last": 0x10000 - size, "over": 0x10000 - size + step}
                if size == 512 and not wide:
                    del edges["over"]
                if wide:
                    edges.update(past=0x10000, far=0xfffffff0)
                elif size == 1:
                    edges = {"last": 0xffff}
                for edge, offset in edges.items():
                    if edge == "far" and access not in MAIN:
                        continue
                    seg = SEGS[(len(access) + wide) % 4]
                    yield access_case(f"plain/{access}/{edge}/{'a32' if wide else 'a16'}/{seg}/{mode}", mode, access, seg, offset, CODE, None, wide=wide)
    # a16 in protected mode: addresses wrap at 64 KB, limits hold
    for mode in (PM16[3], PM32[3]):
        for kind in ("rw16", "rw_64k", "down16", "rw_flat"):
            for access in ("r1", "r2", "r4", "w2", "w4", "rmw4", "fstp10", "fild8", "movups_r"):
                for offset in sorted({0xffff, 0x10000 - size_of(access, mode.bits), 0xfff, 0x12343678}):
                    if kind == "rw_flat" and (ACCESS[access][1] and offset == 0xfff or access == "fstp10" and offset == 0xffff):
                        continue
                    yield access_case(f"a16/{kind}/{access}/{offset:x}/{mode}", mode, access, "es", offset, 0, kind_desc(kind, 3), wide=False)


def cs_cases():
    """CS overrides: code segments are readable at most."""
    for mode in (PM32[0], PM32[3], PM16[0], PM16[3]):
        for name, access in (("xo", XO), ("xr", XR), ("xo_conf", XO_CONF), ("xr_conf", XR_CONF)):
            for how in ("limit", "flat"):
                d = D32 if mode.bits == 32 else 0
                segment = desc(access | A, CODE, 0x4fff, d, mode.ring) if how == "limit" else desc(access | A, 0, 0xfffff, d | G, mode.ring)
                for op in ("r1", "r4", "w4", "rmw2", "fld10", "movups_r", "push", "sgdt"):
                    offsets = {"in": 0x4000, "last": 0x5000 - size_of(op, mode.bits), "over": 0x5001 - size_of(op, mode.bits)} if how == "limit" else {"in": 0x34000}
                    for edge, offset in offsets.items():
                        if edge != "in" and op in ("rmw2", "sgdt") or mode.ring == 0 and op not in ("r4", "w4"):
                            continue
                        regs = dict(cs=T(1, mode.ring), eip=0 if how == "limit" else CODE, eflags=2)
                        yield access_case(f"cs/{name}/{how}/{op}/{edge}/{mode}", mode, op, "cs", offset, 0, None, regs=regs, gdt={T(1): segment})


STACK_OPS = {
    # name: (code, bytes it goes down, bytes up)
    "push2": ("push word 0x1234", 2, 0),
    "push4": ("push dword 0x12345678", 4, 0),
    "pushr": ("o32 push ecx", 4, 0),
    "pushsp2": ("o16 push sp", 2, 0),
    "pushsp4": ("o32 push esp", 4, 0),
    "pushfs2": ("o16 push fs", 2, 0),
    "pushf2": ("pushfw", 2, 0),
    "pushf4": ("pushfd", 4, 0),
    "pusha2": ("pushaw", 16, 0),
    "pusha4": ("pushad", 32, 0),
    "call": ("call .x\n.x:", 0, 0),
    "callr2": ("o16 call bx", 2, 0),
    "callr4": ("o32 call ebx", 4, 0),
    "pushm4": ("push dword [ds:ebx]", 4, 0),
    "enter2": ("o16 enter 8, 0", 2, 0),
    "enter4": ("o32 enter 8, 0", 4, 0),
    "enter2_2": ("o16 enter 6, 2", 6, 0),
    "enter4_3": ("o32 enter 4, 3", 16, 0),
    "pop2": ("pop cx", 0, 2),
    "pop4": ("pop ecx", 0, 4),
    "popsp2": ("o16 pop sp", 0, 2),
    "popsp4": ("o32 pop esp", 0, 4),
    "popm4": ("pop dword [ds:ebx]", 0, 4),
    "popm2sp": ("pop word [ss:esp]", 0, 2),
    "popf2": ("popfw", 0, 2),
    "popf4": ("popfd", 0, 4),
    "popa2": ("popaw", 0, 16),
    "popa4": ("popad", 0, 32),
    "popfs2": ("o16 pop fs", 0, 2),
    "popfs4": ("o32 pop fs", 0, 4),
    "ret2": ("o16 ret", 0, 2),
    "ret4": ("o32 ret", 0, 4),
    "retn": ("o16 ret 0x10", 0, 2),
    "retf2": ("o16 retf", 0, 4),
    "retf4": ("o32 retf", 0, 8),
    "leave2": ("o16 leave", 0, 2),
    "leave4": ("o32 leave", 0, 4),
    "movss": ("mov eax, [esp]", 0, 4),
    "movbp": ("mov [ebp], ecx", 0, 4),
    "xchgsp": ("xchg [esp], ecx", 0, 4),
}
STACKS = {
    # name: (access, flags, limit field, base, lowest offset, last offset)
    "up16": (RW, 0, 0x7ff, 0x34000, 0, 0x7ff),
    "up32": (RW, D32, 0x7ff, 0x34000, 0, 0x7ff),
    "full16": (RW, 0, 0xffff, 0x30000, 0, 0xffff),
    "flat16": (RW, G, 0xfffff, 0x2ff00, 0, 0xffff),
    "page32": (RW, D32 | G, 1, 0x34000, 0, 0x1fff),
    "based32": (RW, D32 | G, 0xfffff, 0x34000, 0, 0xffffffff),
    "down16": (RW_DOWN, 0, 0x2fff, 0x30000, 0x3000, 0xffff),
    "down32": (RW_DOWN, D32, 0x2fff, 0x33000, 0x3000, 0xffffffff),
}


def stack_spots(stack, below, above):
    _, flags, _, base, low, last = STACKS[stack]
    size = max(below, above)
    if stack == "based32":          # nothing at its edges: whether a wrap faults is left open
        return {"fits": 0x100}
    if below:
        spots = {"fits": low + below, "under": low + below - 1, "half": low + 1, "low": low, "top": last + 1, "beyond": last + 3}
    else:
        spots = {"fits": last + 1 - size, "over": last + 2 - size, "tip": last, "end": last + 1, "low": low, "zero": 0}
        if size > 4:
            spots["second"] = last + 1 - size // 2
    if last == 0xffffffff:
        spots = {k: v for k, v in spots.items() if k not in ("beyond", "over", "tip")}
    # a 16-bit stack leaves the upper half of ESP alone
    return {k: v & 0xffff | 0x120000 if not flags & D32 else v & 0xffffffff for k, v in spots.items()}


def stack_cases():
    """Code at offset 0 of a segment with base CODE and limit 1FFFh, where 1000h is a good place to go."""
    for op, (code, below, above) in STACK_OPS.items():
        for i, (stack, (access, flags, field, base, low, last)) in enumerate(STACKS.items()):
            if (i + len(code)) % 2 and stack in ("page32", "up32", "down32", "full16"):
                continue
            mode = (PM32[3], PM16[3])[(i + len(op)) % 2]
            if op == "call":
                below = mode.bits // 8
            for spot, esp in stack_spots(stack, below, above).items():
                if op.startswith("retf") and stack.startswith("f") and spot in ("tip", "second"):
                    continue        # whether the two halves of a far pointer may lie on both sides of a wrap is left open
                regs = dict(cs=T(1, 3), eip=0, ss=T(0, 3), esp=esp, ebp=esp, ebx=0x1000, ds=T(2, 3))
                top = base + (esp if flags & D32 else esp & 0xffff) & 0xffffffff
                sel = T(1, 3)
                image = {"ret2": struct.pack("<H", 0x1000), "retn": struct.pack("<H", 0x1000), "ret4": struct.pack("<I", 0x1000),
                         "retf2": struct.pack("<HH", 0x1000, sel), "retf4": struct.pack("<II", 0x1000, sel), "popfs2": struct.pack("<H", T(2, 3)),
                         "popfs4": struct.pack("<I", T(2, 3))}.get(op)
                gdt = {T(0): desc(access | A, base, field, flags, 3), T(1): desc(XR | A, CODE, 0x1fff, D32 if mode.bits == 32 else 0, 3),
                       T(2): desc(RW | A, DATA, 0xdfff, D32, 3)}
                mem = {top: image} if image and ARENA <= top < ARENA + ARENA_BYTES - len(image) else {}
                yield Case(f"stack/{op}/{stack}/{spot}/{mode}", mode, code, regs=regs, gdt=gdt, mem=mem)


def cases():
    yield from data_cases()
    yield from plain_cases()
    yield from cs_cases()
    yield from stack_cases()


def hand():
    return []
