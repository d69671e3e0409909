"""Data, stack and code accesses through every kind of segment: types, limits of both granularities and directions, each size at each edge.

The segment under test is T(0); its base is chosen so that what lies inside the limit is in the arena. An access that the limit
forbids ends with #GP(0) or, through SS, #SS(0); one that it allows ends at the UD2 behind it and shows in registers or memory.
"""
import itertools

from matrix import *  # noqa: F403

SEGS = ["ds", "es", "fs", "gs"]
PORT_NONE = 0x2f0
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
        return {"zero": 0, "last": top - size}
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
    edges = up_edges(limit, size, step) if top is None else down_edges(limit, size, step, top)
    if limit > 0x80000000 and access in ("fldenv", "frstor"):
        edges.pop("far", None)  # nothing is mapped there with paging, and which part they read first is left open
    return edges


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
                    if kind == "rw_flat" and (offset == 0xffff or ACCESS[access][1]):
                        continue        # not memory that a case may change
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


# ---- code at the limit of its segment ----

# An instruction of each length that does nothing but show itself in EAX or ECX.
LENGTHS = {1: b"\x40", 2: b"\x88\xc1", 3: b"\x66\x89\xc1", 5: b"\x2e\x66\x90\x90\x40", 15: b"\x2e" * 14 + b"\x90"}
CS_LIMIT = 0x1fff                       # the last byte of CODE's two pages


def code_at(name, mode, length, end, jump, limit=CS_LIMIT, base=CODE):
    """An instruction of length bytes whose last byte is at offset end, reached by a jump or from the instruction before it."""
    at = end - length + 1
    insn = LENGTHS[length] if length != 5 else (b"\xb8\x78\x56\x34\x12" if mode.bits == 32 else b"\x66\x83\xc0\x11\x40")
    start = at - 3
    mem = {base + start: b"\x90\x90\x90" + insn, base + end + 1: b"\x90\x0f\x0b"}
    d = desc(XR | A, base, limit, D32 if mode.bits == 32 else 0, mode.ring)
    return Case(name, mode, near_jump(mode, at if jump else start), regs=dict(cs=T(0, mode.ring), eip=0),
                gdt={T(0): d}, mem=mem, end=False)


def near_jump(mode, to):
    """JMP from offset 0."""
    return b"\xe9" + (struct.pack("<i", to - 5) if mode.bits == 32 else struct.pack("<h", to - 3 - (0x10000 if to - 3 > 0x7fff else 0)))


def fetch_cases():
    for mode in (PM32[0], PM32[3], PM16[0], PM16[3]):
        for length in LENGTHS:
            for over in sorted({-1, 0, 1, 2, length}):
                for jump in (False, True):
                    yield code_at(f"fetch/{length}/{over + 1}/{'jump' if jump else 'fall'}/{mode}", mode, length, CS_LIMIT + over, jump)
    # branches that lead beyond the limit: the branch faults, nothing is pushed, counted or popped
    beyond, back = CS_LIMIT + 1, 0x1000
    for mode in (PM32[0], PM32[3], PM16[0], PM16[3]):
        r, w, word = ("edx", 4, "dword") if mode.bits == 32 else ("dx", 2, "word")
        for name, code in (("jmp", f"jmp near $$+{beyond:#x}"), ("call", f"call $$+{beyond:#x}"), ("jz", f"xor eax, eax\njz near $$+{beyond:#x}"), ("jnz_not", f"xor eax, eax\njnz near $$+{beyond:#x}"),
                           ("jmp_r", f"mov {r}, {beyond:#x}\njmp {r}"), ("call_r", f"mov {r}, {beyond:#x}\ncall {r}"), ("ret", f"push {word} {beyond:#x}\nret"), ("ret_n", f"push {word} {beyond:#x}\nret 8"),
                           ("jmp_m", f"push {word} {beyond:#x}\nmov ebp, esp\njmp {word} [ebp]"), ("call_m", f"push {word} {beyond:#x}\nmov ebp, esp\ncall {word} [ebp]"),
                           ("jmp_back", f"mov {r}, {back:#x}\njmp {r}"), ("retf", f"push {word} {T(0, mode.ring):#x}\npush {word} {beyond:#x}\nretf"),
                           ("loop", f"jmp near .s\ntimes 0x1ff0-($-$$) nop\n.s: loop .s+0x30"), ("jecxz", "jmp near .s\ntimes 0x1ff0-($-$$) nop\n.s: a32 jecxz .s+0x30"),
                           ("loopne", "jmp near .s\ntimes 0x1ff0-($-$$) nop\n.s: cmp al, ah\nloopne .s+0x30"), ("short", "jmp near .s\ntimes 0x1ff0-($-$$) nop\n.s: jmp short .s+0x10"),
                           ("o16_jmp", f"o16 jmp near $$+{beyond:#x}" if mode.bits == 16 else f"mov edx, 0x5a5a{beyond:04x}\no16 jmp dx"),
                           ("o32_jmp", f"mov edx, {0x10000 + back:#x}\no32 jmp edx"), ("o32_ret", f"push dword {0x10000 + back:#x}\no32 ret"), ("o32_call", f"mov edx, {0x10000 + back:#x}\no32 call edx")):
            code = code.replace("$$", "snippet")
            ecx = 0 if name == "jecxz" else 5
            yield Case(f"branch/{name}/{mode}", mode, code, regs=dict(cs=T(0, mode.ring), eip=0, ecx=ecx),
                       gdt={T(0): desc(XR | A, CODE, CS_LIMIT, D32 if mode.bits == 32 else 0, mode.ring)}, end="times" not in code)


def cases():
    yield from data_cases()
    yield from plain_cases()
    yield from cs_cases()
    yield from stack_cases()
    yield from fetch_cases()


PE_ON = "mov eax, cr0\nor al, 1\nmov cr0, eax\n"
PE_OFF = "mov eax, cr0\nand al, 0xfe\nmov cr0, eax\n"


def in_protected(load):
    """From real mode: a few instructions in protected mode and back, segment registers as they are."""
    return PE_ON + load + PE_OFF


def unreal(name, load, then, gdt=None, **more):
    """Real mode after a visit to protected mode. T(0): flat data, T(1): data with base 34000h and limit 7FFh, T(2): expand-down."""
    g = {T(0): desc(RW, 0, 0xfffff, D32 | G), T(1): desc(RW, 0x34000, 0x7ff, 0), T(2): desc(RW_DOWN, 0x30000, 0x4fff, 0), T(3): desc(RW_DOWN, 0x30000, 0x4fff, D32),
         T(4): desc(XR, CODE, 0xffff, D32), T(5): desc(RW, ARENA, 0xfffff, D32 | G), T(6): desc(RW, 0x34001, 0x1fffe, 0)}
    g.update(gdt or {})
    return Case(name, REALMODE, in_protected(load) + then, gdt=g, **more)


def hand():
    r, v = REALMODE, V86
    es = "mov cx, %d\nmov es, cx\n"
    # unreal and big-real mode
    yield unreal("unreal/flat_read", es % T(0), "mov eax, [es:dword 0x34000]")
    yield unreal("unreal/flat_write", es % T(0), "mov dword [es:dword 0x34000], 0x12345678")
    yield unreal("unreal/limit_stays_after_load", es % T(0), "mov cx, 0x3000\nmov es, cx\nmov eax, [es:dword 0x4000]\nmov ebx, 0x10000\nmov edx, [es:ebx]\nmov [es:dword 0xf000], edx")
    yield unreal("unreal/pop_keeps_limit", es % T(0), "push word 0x2000\npop es\nmov eax, [es:dword 0x14000]")
    yield unreal("unreal/les_keeps_limit", es % T(0), "mov dword [0x4000], 0x20001234\nles bx, [0x4000]\nmov eax, [es:dword 0x14000]")
    yield unreal("unreal/other_registers_untouched", es % T(0), "mov ebx, 0x10000\nmov eax, [ds:ebx]")
    yield unreal("unreal/small_limit", es % T(1), "mov al, [es:0x7ff]\nmov ax, [es:0x7ff]")
    yield unreal("unreal/small_limit_stays", es % T(1), "mov cx, 0x3400\nmov es, cx\nmov al, [es:0x7ff]\nmov al, [es:0x800]")
    yield unreal("unreal/base_stays_until_load", es % T(6), "mov eax, [es:3]\nmov ebx, es")
    yield unreal("unreal/odd_limit", es % T(6), "mov al, [es:dword 0x10000]")
    yield unreal("unreal/expand_down", es % T(2), "mov ax, [es:0x5000]\nmov ax, [es:0x4fff]")
    yield unreal("unreal/expand_down_top", es % T(2), "mov ax, [es:0xfffe]\nmov ebx, 0xffff\nmov ax, [es:ebx]")
    yield unreal("unreal/fs", "mov cx, %d\nmov fs, cx\n" % T(0), "mov eax, [fs:dword 0x34000]\nmov [fs:dword 0x35000], eax")
    yield unreal("unreal/gs_string", "mov cx, %d\nmov gs, cx\nmov es, cx\n" % T(0), "mov esi, 0x34000\nmov edi, 0x35000\nmov ecx, 5\na32 gs rep movsd")
    yield unreal("unreal/a16_string_wraps", "mov cx, %d\nmov ds, cx\nmov es, cx\n" % T(6), "mov esi, 0x1fffe\nmov edi, 0x25000\nmov ecx, 0x10004\nrep movsb")
    yield unreal("unreal/stack32", "mov cx, %d\nmov ss, cx\n" % T(5), "mov esp, 0x1a000\npush eax\npush word 0x1234\npop cx\nmov ebp, esp\nmov edx, [ebp]\nmov esp, 0xa800")
    yield unreal("unreal/stack32_reload", "mov cx, %d\nmov ss, cx\n" % T(5), "mov cx, 0x2000\nmov ss, cx\nmov esp, 0x1a000\npush dword 0x11223344\nmov esp, 0xa800")
    yield unreal("unreal/stack32_call", "mov cx, %d\nmov ss, cx\n" % T(5), "mov esp, 0x1a000\ncall .f\n.f: pop ax\nenter 8, 1\nleave\npusha\npopa\nmov esp, 0xa800")
    yield unreal("unreal/int_on_big_stack", "mov cx, %d\nmov ss, cx\n" % T(5), "mov esp, 0x1a000\nint 0x42")
    yield unreal("unreal/ss_small_limit", "mov cx, %d\nmov ss, cx\nmov sp, 0x7fe\n" % T(1), "push ax\npop ax\npop bx\nmov eax, 1")
    yield unreal("unreal/lds_all", es % T(0), "mov cx, 0x3000\nmov es, cx\nmov ebx, 0xfffffffc\nmov eax, [es:ebx]")     # 4 GiB below: wraps to 2FFFCh
    yield Case("unreal/second_visit", r, in_protected(es % T(0)) + "mov cx, 0x3000\nmov es, cx\n" + in_protected(es % T(1)) + "mov al, [es:0x7ff]\nmov al, [es:0x800]",
               gdt={T(0): desc(RW, 0, 0xfffff, D32 | G), T(1): desc(RW, 0x34000, 0x7ff, 0)})
    # protected mode with what real mode left
    more = dict(idt_base=IDT, idt_limit=0x7ff)
    for name, code in (
        ("entered", "mov eax, [es:0x4000]\nmov cx, es\nmov dx, cs\nmov bx, ss"),
        ("write_cs", "mov [cs:0x4000], eax"),
        ("read_beyond", "mov ebx, 0xffff\nmov ax, [es:ebx]"),
        ("stack", "push eax\npop ebx\npush cs\npush ss\npop ss\nmov ecx, 1"),
        ("far_jump", f"jmp {CODE16(0):#x}:at(.a)\n.a: mov dx, cs"),
        ("far_jump32", f"jmp dword {CODE32(0):#x}:at(.a)+{CODE:#x}\nbits 32\n.a: mov dx, cs\nmov eax, 0x12345678"),
        ("far_call_bad", f"call {T(9):#x}:0"),
        ("ss_then_int", f"mov cx, {DATA32(0)}\nmov ss, cx\nmov esp, {STACK0_INNER:#x}\nint 0x42"),
        ("lar", f"mov cx, {DATA32(3)}\nlar edx, ecx\nverw cx"),
        ("sldt", "sldt cx\nstr dx"),
        ("lldt", f"mov cx, {LDT_SEL}\nlldt cx\nsldt dx"),
        ("load_by_ldt", f"mov cx, {TL(0)}\nmov es, cx"),
    ):
        yield Case(f"entered/{name}", r, PE_ON + code, regs=more)
    # what CS keeps when protected mode is left without a far jump. These end in protected mode: the stubs of real mode want a plain CS
    def bigreal(name, cs, visit, bits=16):
        yield Case(f"bigreal/{name}", r, f"{PE_ON}jmp dword {T(4):#x}:at(.a)\nbits {bits}\n.a: {PE_OFF}{visit}\nmov eax, cr0\nor al, 1\nmov cr0, eax\nud2\nbits 16", gdt={T(4): cs}, regs=more)
    big16, big32 = desc(XR, CODE, 0xfffff, G), desc(XR, CODE, 0xffff, D32)
    yield from bigreal("cs_d", big32, "mov ebx, 0x12345678\nmov ecx, 0x9abcdef0\npush ebx", 32)
    yield from bigreal("cs_d_call", big32, "call .b\n.b: pop ebx\nmov ecx, [ebx]\nmov edx, [bx+si]", 32)
    yield from bigreal("cs_d_far_jump", big32, "jmp 0x3000:at(.b)\n.b: mov ebx, 0x12345678\nmov ecx, 0x9abcdef0", 32)
    yield from bigreal("cs_limit", desc(XR, CODE, 0x1ff, 0), "jmp near .b\ntimes 0x200-($-snippet) nop\n.b: mov ebx, 1")
    yield from bigreal("cs_limit_fits", desc(XR, CODE, 0x2ff, 0), "jmp near .b\ntimes 0x200-($-snippet) nop\n.b: mov ebx, 1")
    yield from bigreal("cs_limit_stays", desc(XR, CODE, 0x1ff, 0), "jmp 0x3000:at(.b)\ntimes 0x200-($-snippet) nop\n.b: mov ebx, 1")
    yield from bigreal("beyond_64k", big16, "jmp dword 0x2000:0x10000+at(.b)\n.b: mov ebx, 1")
    yield from bigreal("beyond_64k_near", big16, "jmp dword 0x2000:0x10000+at(.b)\n.b: call dword .c\n.c: pop ebx\njmp dword .d\nnop\n.d: mov edx, 1")
    yield from bigreal("read_cs", big16, "mov ebx, [cs:dword 0x4000]\nmov ecx, [cs:dword 0x8004]\nmov edx, cs")
    yield from bigreal("iret", big16, "pushf\npush word 0x3000\npush word at(.b)\niret\n.b: mov ebx, 1")
    # hidden parts outlive their descriptors
    kill = f"mov dword [{GDT + T(0):#x}], 0\nmov dword [{GDT + T(0) + 4:#x}], 0\n"
    d = desc(RW, 0x34000, 0x7ff, D32)
    for reg in SEGS:
        s = f"mov cx, {T(0)}\nmov {reg}, cx\n"
        k = kill.replace("[", "[ss:")
        yield Case(f"hidden/{reg}/read", PM32[0], s + k + f"mov eax, [{reg}:4]\nmov [{reg}:8], eax\nmov al, [{reg}:0x7ff]", gdt={T(0): d})
        yield Case(f"hidden/{reg}/limit", PM32[0], s + k + f"mov al, [{reg}:0x800]", gdt={T(0): d})
        yield Case(f"hidden/{reg}/reload", PM32[0], s + k + f"mov {reg}, cx", gdt={T(0): d})
        yield Case(f"hidden/{reg}/move", PM32[0], s + k + f"mov dx, {reg}\nmov eax, [{reg}:0]\nmov {reg}, dx", gdt={T(0): d})
    yield Case("hidden/lgdt", PM32[0], f"mov cx, {T(0)}\nmov es, cx\nlgdt [at(.t)]\nmov eax, [es:4]\nlgdt [at(.u)]\nud2\n.t: dw 7\ndd 0\n.u: dw {GDT_LIMIT}\ndd {GDT}", gdt={T(0): d})
    yield Case("hidden/lgdt_reload", PM32[0], f"mov cx, {T(0)}\nmov es, cx\nlgdt [at(.t)]\nmov es, cx\nud2\n.t: dw {T(0) - 1}\ndd {GDT}", gdt={T(0): d})
    yield Case("hidden/ss", PM32[0], f"mov cx, {T(0)}\nmov ss, cx\nmov esp, 0x700\n{kill}push eax\npop ebx\nmov cx, {DATA32(0)}\nmov ss, cx\nmov esp, {STACK0_INNER:#x}", gdt={T(0): d})
    yield Case("hidden/cs", PM32[0], f"mov dword [{GDT + CODE32(0) + 4:#x}], 0\nmov eax, 1\njmp near .a\n.a: call .b\n.b: mov ecx, 2")
    yield Case("hidden/cs_far", PM32[0], f"mov dword [{GDT + CODE32(0) + 4:#x}], 0\nmov eax, 1\njmp {CODE32(0):#x}:at(.a)\n.a: mov ecx, 2")
    yield Case("hidden/ldt", PM32[3], "mov cx, %d\nmov es, cx\nmov dword [%#x], 0\nmov dword [%#x], 0\nmov eax, [es:4]" % (TL(0, 3), LDT, LDT + 4), ldt={TL(0): desc(RW, 0x34000, 0x7ff, D32, 3)})
    yield Case("hidden/lldt", PM32[0], f"mov cx, {TL(0)}\nmov es, cx\nxor eax, eax\nlldt ax\nmov eax, [es:4]\nmov fs, cx", ldt={TL(0): d})
    yield Case("hidden/lldt_other", PM32[0], f"mov cx, {TL(0)}\nmov es, cx\nmov ax, {T(1)}\nlldt ax\nmov eax, [es:4]\nmov fs, cx\nmov ebx, [fs:4]", ldt={TL(0): d}, gdt={T(1): desc(SYS_LDT, DATA, 0xff, 0)},
               mem={DATA: desc(RW, 0x35000, 0x7ff, D32)})
    yield Case("hidden/ldt_descriptor", PM32[3], f"mov cx, {TL(0, 3)}\nmov dword [{GDT + LDT_SEL + 4:#x}], 0\nmov es, cx\nmov eax, [es:4]", ldt={TL(0): desc(RW, 0x34000, 0x7ff, D32, 3)})
    yield Case("hidden/tss_descriptor", PM32[3], f"mov dword [{GDT + TSS_SEL + 4:#x}], 0\nint3")
    yield Case("hidden/tss_contents", PM32[3], f"mov dword [{TSS + 4:#x}], {BITMAP + 0x800:#x}\nint3")
    yield Case("hidden/idt_contents", PM32[3], f"mov byte [{IDT + 3 * 8 + 5:#x}], 0\nint3")
    yield Case("hidden/popped", PM32[0], f"push dword {T(0)}\npop fs\n{kill}mov eax, [fs:4]\npush fs\npop fs", gdt={T(0): d})
    yield Case("hidden/to_v86_and_back", PM32[3], f"mov cx, {T(0, 3)}\nmov es, cx\nint 0x42", gdt={T(0): desc(RW, 0x34000, 0x7ff, D32, 3)})
    yield Case("hidden/accessed_cleared", PM32[0], f"mov cx, {T(0)}\nmov es, cx\nand byte [{GDT + T(0) + 5:#x}], 0xfe\nmov fs, cx\nand byte [{GDT + T(0) + 5:#x}], 0xfe\nmov eax, [es:4]", gdt={T(0): d})
    # code segments that change size under way
    yield Case("size/16_in_32", PM32[0], f"jmp {T(1):#x}:at(.a)-{CODE:#x}\nbits 16\n.a: mov ax, 0x1234\npush ax\nmov ecx, 0x87654321\nbits 32", gdt={T(1): desc(XR, CODE, 0xffff, 0)})
    yield Case("size/32_in_16", PM16[0], f"jmp {T(1):#x}:at(.a)\nbits 32\n.a: mov eax, 0x12345678\npush eax\nmov ecx, [esp]\nbits 16", gdt={T(1): desc(XR, CODE, 0xffff, D32)})
    yield Case("size/o32_eip_in_16", PM16[3], "mov edx, 0x11000\njmp edx", gdt={T(1): desc(XR, ARENA, 0xfffff, G, 3)}, regs=dict(cs=T(1, 3), eip=0x10000))
    yield Case("size/ip_past_64k_in_16", PM16[3], b"\x90\xeb\x01\x90\xe9\xf9\x0f", gdt={T(1): desc(XR, ARENA, 0xfffff, G, 3)}, regs=dict(cs=T(1, 3), eip=0x10000), mem={ARENA + 0x1000: b"\x0f\x0b"})
    yield Case("size/call_past_64k_in_16", PM16[3], "call .a\n.a: pop dx\no32 call .b\n.b: pop edx", gdt={T(1): desc(XR, ARENA, 0xfffff, G, 3)}, regs=dict(cs=T(1, 3), eip=0x10000))
    yield Case("size/fall_over_64k_in_16", PM16[3], b"\x90" * 15 + b"\x66\xb8\x78\x56\x34\x12\x41", gdt={T(1): desc(XR, CODE - 0xfff0, 0xfffff, G, 3)}, regs=dict(cs=T(1, 3), eip=0xfff0))
    yield Case("size/real_ip_ffff", r, "jmp 0x2000:0xfffe", mem={0x2fffe: b"\x90\x40"})
    yield Case("size/real_insn_over_64k", r, "jmp 0x2000:0xfffe", mem={0x2fffe: b"\xb8\x34\x12"})
    yield Case("size/real_jump_wraps", r, "jmp 0x2000:0xfffc", mem={0x2fffc: b"\xe9\x01\x40\x90", 0x24000: b"\x40\x0f\x0b"})
    yield Case("size/real_short_wraps", r, "jmp 0x2000:0xfffe", mem={0x2fffe: b"\xeb\x10"})
    yield Case("size/v86_insn_over_64k", v, "jmp 0x2000:0xfffe", mem={0x2fffe: b"\xb8\x34\x12"})
    yield Case("size/v86_ip_ffff", v, "jmp 0x2000:0xfffe", mem={0x2fffe: b"\x90\x40"})
    yield Case("size/v86_jump_wraps", v, "jmp 0x2000:0xfffc", mem={0x2fffc: b"\xe9\x01\x40\x90", 0x24000: b"\x40\x0f\x0b"})
    yield Case("size/v86_o32_jump", v, "mov edx, 0x10000\no32 jmp edx")
    yield Case("size/real_o32_jump", r, "mov edx, 0x10000\no32 jmp edx")
    yield Case("size/real_o32_call", r, "mov edx, 0x12345\no32 call edx")
    yield Case("size/real_o32_ret", r, "push dword 0x10008\no32 ret")
    # what #GP and #SS tell apart
    small = desc(RW, 0x34000, 0x7ff, D32, 3)
    for name, operand in (("ebp", "[ebp]"), ("esp", "[esp]"), ("ebp_index", "[ebp+ecx*2]"), ("index_ebp", "[eax+ebp]"), ("ebp_scaled", "[nosplit ebp*4]"), ("ss", "[ss:eax]"), ("ds_ebp", "[ds:ebp]"), ("esp_disp", "[esp+0x7fc]"),
                          ("bp", "[bp]"), ("bp_si", "[bp+si]"), ("bp_di", "[bp+di+4]"), ("es_bp", "[es:bp]"), ("disp", "[0x800]")):
        yield Case(f"ss_or_gp/{name}", PM32[3], f"mov edx, {operand}", regs=dict(ss=T(0, 3), ds=T(0, 3), es=T(0, 3), eax=0x800, ebp=0x800, esp=0x800, ecx=1, esi=0, edi=0), gdt={T(0): small})
    # stack size and pointer parts
    yield Case("sp/b16_keeps_upper", PM32[3], "push eax\npush word 1\npop cx\npusha\npopa\ncall .a\n.a: pop edx", regs=dict(ss=T(0, 3), esp=0x12340500), gdt={T(0): desc(RW, 0x34000, 0x7ff, 0, 3)})
    yield Case("sp/b16_push_esp", PM32[3], "push esp\npush sp\npop eax", regs=dict(ss=T(0, 3), esp=0x12340500), gdt={T(0): desc(RW, 0x34000, 0x7ff, 0, 3)})
    yield Case("sp/b16_pop_esp", PM32[3], "push dword 0x77770400\npop esp\npush eax", regs=dict(ss=T(0, 3), esp=0x12340500), gdt={T(0): desc(RW, 0x34000, 0x7ff, 0, 3)})
    yield Case("sp/b16_pop_sp", PM16[3], "push word 0x400\npop sp\npush eax", regs=dict(ss=T(0, 3), esp=0x12340500), gdt={T(0): desc(RW, 0x34000, 0x7ff, 0, 3)})
    yield Case("sp/b32_pop_sp", PM16[3], "push word 0x400\npop sp\npush eax", regs=dict(ss=T(0, 3), esp=0x500), gdt={T(0): desc(RW, 0x34000, 0x7ff, D32, 3)})
    yield Case("sp/b16_wrap_push", PM16[3], "push eax\npush bx", regs=dict(ss=T(0, 3), esp=0x55550002), gdt={T(0): desc(RW, 0x2ff00, 0xffff, 0, 3)})
    yield Case("sp/b16_wrap_aligned", PM16[3], "push eax\npop ebx\npop cx", regs=dict(ss=T(0, 3), esp=0x55550000), gdt={T(0): desc(RW, 0x2ff00, 0xffff, 0, 3)})
    yield Case("sp/b16_ret_imm", PM16[3], "push word at(.a)\nret 0xfff0\n.a: mov eax, 1", regs=dict(ss=T(0, 3), esp=0x5555fff0), gdt={T(0): desc(RW, 0x2ff00, 0xffff, 0, 3)})
    yield Case("sp/b32_ret_imm", PM16[3], "push word at(.a)\nret 0xfff0\n.a: mov eax, 1", regs=dict(ss=T(0, 3), esp=0x4ff0), gdt={T(0): desc(RW, 0x30000, 0xffff, D32, 3)})
    yield Case("sp/pop_memory_by_esp", PM32[3], "push dword 0x11111111\npop dword [esp]\npush dword 0x22222222\npop dword [esp+4]\npush word 0x3333\npop word [esp-2]")
    yield Case("sp/pop_memory_faults", PM32[3], "push dword 0x11111111\npop dword [es:esp]", regs=dict(es=3))
    yield Case("sp/pop_memory_overlaps", PM32[3], "push dword 0x44332211\npop dword [esp-2]\nmov eax, [esp-4]")
    yield Case("sp/push_memory_by_esp", PM32[3], "push dword 0x11111111\npush dword [esp]\npush dword [esp+4]\npush word [esp+1]")
    yield Case("sp/push_memory_16", PM16[3], "mov ebp, esp\npush dword 0x11111111\nand ebp, 0xffff\npush dword [ebp-4]\npush word [bp-4]")
    yield Case("sp/mov_ss_switches_size", PM32[3], f"push eax\nmov cx, {T(0, 3)}\nmov ss, cx\nmov sp, 0x500\npush eax\npush word 1\nmov cx, {DATA32(3)}\nmov ss, cx\nmov esp, {STACK[3] + 0x800:#x}\npush eax",
               gdt={T(0): desc(RW, 0x34000, 0x7ff, 0, 3)})
    yield Case("sp/pop_ss_switches_size", PM32[3], f"push dword {T(0, 3)}\npop ss\nmov sp, 0x500\npush eax", gdt={T(0): desc(RW, 0x34000, 0x7ff, 0, 3)})
    yield Case("sp/lss_switches_size", PM32[3], f"lss esp, [at(.p)]\npush eax\npush bx\nud2\n.p: dd 0x99990500\ndw {T(0, 3)}", gdt={T(0): desc(RW, 0x34000, 0x7ff, 0, 3)})
    yield Case("sp/lss16", PM32[3], f"o16 lss sp, [at(.p)]\npush eax\nud2\n.p: dw 0x500\ndw {T(0, 3)}", gdt={T(0): desc(RW, 0x34000, 0x7ff, D32, 3)}, regs=dict(esp=0x2d800))
    # alternation: the same code with another segment behind the same selector
    yield Case("change/limit_in_loop", PM32[0], f"mov edx, 4\n.l: mov cx, {T(0)}\nmov es, cx\nmov eax, [es:0x7fc]\nsub word [{GDT + T(0):#x}], 1\ndec edx\njnz .l", gdt={T(0): desc(RW, 0x34000, 0x801, D32)})
    yield Case("change/base_in_loop", PM32[0], f"mov edx, 4\n.l: mov cx, {T(0)}\nmov es, cx\ninc dword [es:0x10]\ninc byte [{GDT + T(0) + 3:#x}]\ndec edx\njnz .l", gdt={T(0): desc(RW, 0x34000, 0x7ff, D32)})
    yield Case("change/type_in_loop", PM32[0], f"mov edx, 4\n.l: mov cx, {T(0)}\nmov es, cx\ninc dword [es:0x10]\nxor byte [{GDT + T(0) + 5:#x}], 2\ndec edx\njnz .l", gdt={T(0): desc(RW, 0x34000, 0x7ff, D32)})
    yield Case("change/flat_to_limited", PM32[0], f"mov edx, 2\n.l: mov cx, {T(0)}\nmov es, cx\nmov eax, [es:0x34000]\nmov dword [{GDT + T(0):#x}], 0xfff\nmov dword [{GDT + T(0) + 4:#x}], 0x409200\ndec edx\njnz .l",
               gdt={T(0): desc(RW, 0, 0xfffff, D32 | G)})
    yield Case("change/stack_in_loop", PM16[3], f"mov dx, 3\n.l: mov cx, {T(0, 3)}\nmov ss, cx\nmov esp, 0x10500\npush eax\nmov cx, {T(1, 3)}\nmov ss, cx\nmov esp, 0x600\npush eax\ndec dx\njnz .l",
               gdt={T(0): desc(RW, 0x34000, 0x7ff, 0, 3), T(1): desc(RW, 0x35000, 0x7ff, D32, 3)})
    # limits and alignment of odd operands
    yield Case("odd/bt_far_offset", PM32[3], "bts [es:ebx], ecx\nmov ecx, 0x3fe0\nbts [es:ebx], ecx\nmov ecx, 0x4000\nbts [es:ebx], ecx", regs=dict(es=T(0, 3), ebx=0, ecx=0x123), gdt={T(0): small})
    yield Case("odd/bt_negative", PM32[3], "btr [es:ebx], ecx", regs=dict(es=T(0, 3), ebx=0, ecx=0xffffffff), gdt={T(0): small})
    yield Case("odd/bt_word", PM16[3], "btc [es:bx], cx\nmov cx, 0x8000\nbtc [es:bx], cx", regs=dict(es=T(0, 3), ebx=0x400, ecx=0x3fff), gdt={T(0): small})
    yield Case("odd/bt_imm", PM32[3], "bts dword [es:0x7fc], 31\nbts dword [es:0x7fc], 63\nbts word [es:0x7fe], 15\nbts word [es:0x7ff], 1", regs=dict(es=T(0, 3)), gdt={T(0): small})
    yield Case("odd/lea", PM32[3], "lea eax, [es:0xffffffff]\nlea cx, [ebx+0x12345678]\na16 lea edx, [bx+si+0xffff]", regs=dict(es=3))
    yield Case("odd/nop_operand", PM32[3], "nop dword [es:0x10000]\nprefetchnta [es:eax]\nmov eax, 1", regs=dict(es=3))
    yield Case("odd/invlpg", PM32[0], "invlpg [es:0x10000]\nmov eax, 1", regs=dict(es=T(0)), gdt={T(0): desc(RW, 0x34000, 0x7ff, D32)})
    yield Case("odd/clflush", PM32[3], "clflush [es:0x7ff]\nmov eax, 1\nclflush [es:0x800]", regs=dict(es=T(0, 3)), gdt={T(0): small})
    yield Case("odd/clflush_xo", PM32[3], "clflush [cs:0]\nmov eax, 1", regs=dict(cs=T(1, 3), eip=0), gdt={T(1): desc(XO, CODE, 0xfff, D32, 3)})
    yield Case("odd/moffs", PM32[3], "mov al, [es:0x7ff]\nmov [es:0x7fe], ax\nmov eax, [es:0x7fc]\nmov [es:0x7fd], eax", regs=dict(es=T(0, 3)), gdt={T(0): small})
    yield Case("odd/moffs16", PM32[3], "a16 mov al, [es:0xffff]", regs=dict(es=T(0, 3)), gdt={T(0): small})
    yield Case("odd/cmpxchg_fails_ro", PM32[3], "cmpxchg [es:ebx], ecx", regs=dict(es=T(0, 3), ebx=0, eax=0), gdt={T(0): desc(RO, 0x34000, 0x7ff, D32, 3)})
    yield Case("odd/shift_by_0_ro", PM32[3], "mov cl, 0\nshl dword [es:ebx], cl", regs=dict(es=T(0, 3), ebx=0), gdt={T(0): desc(RO, 0x34000, 0x7ff, D32, 3)})
    yield Case("odd/test_ro", PM32[3], "test [es:ebx], ecx\ncmp byte [es:ebx], 3\nbt dword [es:ebx], 3\nmov eax, 1", regs=dict(es=T(0, 3), ebx=0), gdt={T(0): desc(RO, 0x34000, 0x7ff, D32, 3)})
    yield Case("odd/cmov_not_taken", PM32[3], "xor eax, eax\ncmovnz edx, [es:0x800]", regs=dict(es=T(0, 3)), gdt={T(0): small})
    yield Case("odd/div_beyond", PM32[3], "xor edx, edx\ndiv dword [es:0x7fe]", regs=dict(es=T(0, 3)), gdt={T(0): small})
    yield Case("odd/fcom_beyond", PM32[3], "fldz\nfcom qword [es:0x7fc]", regs=dict(es=T(0, 3)), gdt={T(0): small})
    yield Case("odd/maskmovq", PM32[3], "pxor mm0, mm0\npcmpeqb mm1, mm1\nmovq mm2, mm1\nmov edi, 0x7f8\nmaskmovq mm0, mm1\nmov edi, 0x7f9\nmaskmovq mm0, mm1", regs=dict(ds=T(0, 3)), gdt={T(0): small})
    yield Case("odd/movnti", PM32[3], "movnti [es:0x7fc], eax\nmovnti [es:0x7fd], eax", regs=dict(es=T(0, 3)), gdt={T(0): small})
    yield Case("odd/movlps", PM32[3], "xorps xmm0, xmm0\nmovlps [es:0x7f8], xmm0\nmovhps [es:0x7f9], xmm0", regs=dict(es=T(0, 3), cr4=OSFXSR), gdt={T(0): small})
    yield Case("odd/pinsrw", PM32[3], "pinsrw xmm0, [es:0x7fe], 1\npinsrw xmm0, [es:0x7ff], 1", regs=dict(es=T(0, 3), cr4=OSFXSR), gdt={T(0): small})
    yield Case("odd/stmxcsr", PM32[3], "stmxcsr [es:0x7fc]\nldmxcsr [es:0x7fd]", regs=dict(es=T(0, 3), cr4=OSFXSR), gdt={T(0): small})
    # the base is added in 32 bits
    yield Case("base/wraps", PM32[3], "mov eax, [es:0xfff34004]\nmov [es:0xfff34008], eax", regs=dict(es=T(0, 3)), gdt={T(0): desc(RW, 0x100000, 0xfffff, D32 | G, 3)})
    yield Case("base/wraps_limited", PM32[3], "mov eax, [es:0x35000]", regs=dict(es=T(0, 3)), gdt={T(0): desc(RW, 0xfffff000, 0xffff, D32 | G, 3)})
    yield Case("base/operand_over_4g", PM32[3], "mov eax, [es:0xffe]\nmov word [es:0xfff], 0x1234", regs=dict(es=T(0, 3)), gdt={T(0): desc(RW, 0xfffff000, 0xffff, D32 | G, 3)})
    yield Case("base/operand_over_4g_small", PM32[3], "mov eax, [es:0xffd]\nmov [es:0xffd], eax", regs=dict(es=T(0, 3)), gdt={T(0): desc(RW, 0xfffff000, 0x1fff, D32, 3)})
    yield Case("base/string_over_4g", PM32[3], "mov esi, 0xff8\nmov ecx, 4\nrep lodsd\nmov edi, 0x1010\nmov ecx, 2\nrep stosb", regs=dict(es=T(0, 3), ds=T(0, 3), eflags=2), gdt={T(0): desc(RW, 0xfffff000, 0x1fff, D32, 3)})
    yield Case("base/code", PM32[3], b"\x40\xeb\x01\x90\x41", regs=dict(cs=T(1, 3), eip=0x40000), gdt={T(1): desc(XR, CODE - 0x40000 & 0xffffffff, 0xfffff, D32 | G, 3)})
    yield Case("base/stack", PM32[3], "push eax\ncall .a\n.a: pop ebx\npush dword [ss:esp]", regs=dict(ss=T(0, 3), esp=0x80000000), gdt={T(0): desc(RW, 0x35000 - 0x80000000 & 0xffffffff, 0xfffff, D32 | G, 3)})
    # an instruction of any kind that writes over the next one; PM16 and real mode write through their stacks of other sizes too
    for mode in (PM32[0], PM16[3], r):
        wide = mode.bits == 32
        data = DATA32(0) if wide else T(0, 3) if mode is PM16[3] else 0x3000
        m, di = ("[es:at(.t)+1]", "edi") if wide else ("[es:at(.t)+1]", "di")
        nops = dict(eax=0x90909090, ecx=0x90909090, edx=PORT_NONE, ebx=0x90909090, ebp=0x90909090, esi=0x90909090)
        for name, code in (("mov", f"mov {m}, ecx"), ("mov16", f"mov {m}, cx"), ("sreg", f"mov {m}, fs"), ("sldt", f"sldt {m}"), ("str", f"str {m}"), ("smsw", f"smsw {m}"),
                           ("stosb", f"mov {di}, at(.t)+1\nstosb"), ("rep_stosb", f"mov {di}, at(.t)+1\nmov ecx, 4\nrep stosb"), ("rep_movsb", f"mov {di}, at(.t)+1\nmov esi, at(.t)+3\nmov ecx, 2\nrep movsb"),
                           ("insd", f"mov {di}, at(.t)+1\ninsd"), ("push_pop", f"push ecx\npop dword {m}"), ("xchg", f"xchg {m}, ecx"), ("fistp", f"fldpi\nfistp dword {m}"), ("fnstcw", f"fnstcw {m}"),
                           ("maskmovq", f"mov e{di[-2:]}, at(.t)-3\npxor mm0, mm0\npcmpeqb mm1, mm1\npsllq mm1, 32\nmov ecx, 0x7fffffff\nes maskmovq mm0, mm1"), ("setc", f"stc\nsetc {m}"),
                           ("bts", f"bts dword {m}, 9"), ("arpl", f"mov cx, 3\narpl {m}, cx"), ("cmpxchg8b", f"mov edx, 0x33333333\nmov eax, 0x22222222\ncmpxchg8b {m}"), ("stmxcsr", f"fnstsw {m}")):
            if mode is r and name in ("sldt", "str", "arpl"):
                continue
            yield Case(f"smc/{name}/{mode}", mode, f"{code}\n.t: mov eax, 0x11111114\nmov ebx, 0x22222222" if wide else f"{code}\n.t: mov ax, 0x1114\nmov bx, 0x2222\nmov si, 0x1111",
                       regs=dict(nops, es=data, eflags=mode.regs["eflags"] | iopl(3)), gdt={T(0): desc(RW | A, CODE, 0xffff, 0, 3)})
        for name, code, n in (("pusha16", "o16 pusha", 16), ("pusha32", "o32 pusha", 32), ("push", "o32 push eax", 4), ("enter", "mov ebp, 0x90909090\no32 enter 0, 0", 4)):
            for big in (False, True):
                if mode is r and big:
                    continue
                stack = {} if mode is r else {T(0): desc(RW | A, CODE, 0xffff, D32 if big else 0, mode.ring)}
                ss = 0x3000 if mode is r else T(0, mode.ring)
                end = "mov ax, 0\nmov sp, 0xfff0" if mode.ring == 0 else ""
                yield Case(f"smc/{name}/{'b32' if big else 'b16'}/{mode}", mode, f"mov esp, .t-snippet+{n}\n{code}\n.t: times {n} inc bl\n{end}", gdt=stack,
                           regs=dict(nops, ss=ss, eflags=mode.regs["eflags"], edi=0x909000eb | n - 2 << 8))      # a jump behind what PUSHA wrote
