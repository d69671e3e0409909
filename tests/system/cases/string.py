"""String instructions in every size, address size, direction and repetition, at the edges of segments and address space; XLAT, ENTER, LEAVE.

What a repeated instruction had done when it faulted shows in its registers and in memory. T(0) is the source's segment, T(1) the target's.
"""
from cases.segload import pick
from matrix import *  # noqa: F403

PORT = 0x2f0                            # nothing there
SUFFIX = {1: "b", 2: "w", 4: "d"}
SRC, DST = 0x4000, 0x6000               # offsets from CODE, hence 34000h and 36000h
READS = {"movs": 1, "lods": 1, "cmps": 1, "outs": 1, "stos": 0, "scas": 0, "ins": 0}
TARGETS = {"movs": 1, "lods": 0, "cmps": 1, "outs": 0, "stos": 1, "scas": 1, "ins": 1}
MODES = [PM32[0], PM32[3], PM16[0], PM16[3], REALMODE, V86]


def string(name, mode, op, size, wide=True, rep="", df=False, seg=None, count=5, si=None, di=None, regs=None, **more):
    """si and di are offsets as the code uses them; by default in the middle of nowhere dangerous."""
    off = CODE if mode.flat else 0
    si, di = SRC + off if si is None else si, DST + off if di is None else di
    if not wide:                # the upper halves stay out of it
        si, di, count = si & 0xffff | 0x77770000, di & 0xffff | 0x76760000, count | 0x75750000
    flags = (mode.regs["eflags"] | iopl(3) | (DF if df else 0) | CF | PF | AF | SF | OF) & ~ZF
    over = f"{seg} " if seg else ""
    code = f"{over}{'a32' if wide else 'a16'} {rep + ' ' if rep else ''}{op}{SUFFIX[size]}"
    r = dict(ecx=count, esi=si, edi=di, edx=PORT, eax=0xd0004100, eflags=flags)
    r.update(regs or {})
    return Case(name, mode, code, regs=r, **more)


def sweep():
    """Every instruction, size, address size, direction and repetition, with nothing in the way."""
    for op in READS:
        for size in (1, 2, 4):
            for df in (False, True):
                for rep in ("", "rep", "repne"):
                    for n, mode in enumerate(MODES):
                        name = f"plain/{op}{SUFFIX[size]}/{'down' if df else 'up'}/{rep or 'once'}/{mode}"
                        if mode in (PM32[0], PM16[0]) and rep != "rep":
                            continue
                        wide = mode.flat or pick(name, [True, False])
                        count = pick(name + "c", [1, 2, 3, 7]) if op in ("scas", "cmps") else 3
                        yield string(name + ("/a32" if wide else "/a16"), mode, op, size, wide, rep, df, count=count)


def found():
    """SCAS and CMPS that end by ZF before or with the last element, or not at all."""
    for op in ("scas", "cmps"):
        for size in (1, 2, 4):
            for rep in ("repe", "repne"):
                for df in (False, True):
                    for at in (0, 1, 4, 5, 6):          # the element that decides; 5 is the last, 6 never comes
                        mode = pick(f"{op}{size}{rep}{df}{at}", [PM32[3], PM16[3], REALMODE, PM32[0]])
                        same, other = b"\x5a" * size, b"\x5b" + b"\x5a" * (size - 1)
                        run_, end = (same, other) if rep == "repe" else (other, same)
                        elements = [run_] * at + [end] * (8 - at)
                        left = [same] * 8
                        if df:
                            elements.reverse()
                        start = (7 * size if df else 0)
                        mem = {CODE + SRC: b"".join(left), CODE + DST: b"".join(elements)}
                        off = CODE if mode.flat else 0
                        yield string(f"found/{op}{SUFFIX[size]}/{rep}/{'down' if df else 'up'}/{at}/{mode}", mode, op, size, mode.flat, rep, df, count=6,
                                     si=SRC + off + start, di=DST + off + start, regs=dict(eax=0x5a5a5a5a), mem=mem)


def overlap():
    for size in (1, 2, 4):
        for df in (False, True):
            for delta in (-5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 8):
                mode = pick(f"{size}{df}{delta}", [PM32[3], PM16[3], V86])
                off = CODE if mode.flat else 0
                yield string(f"overlap/movs{SUFFIX[size]}/{'down' if df else 'up'}/{delta}/{mode}", mode, "movs", size, mode.flat, "rep", df, count=9,
                             si=SRC + off + 0x40, di=SRC + off + 0x40 + delta)


# The side of an operand that meets a limit: name, descriptor, base, first and last offset inside.
LIMITS = {
    "up": (RW, D32, 0x7ff, 0x34000, 0, 0x7ff),
    "page": (RW, D32 | G, 0, 0x34000, 0, 0xfff),
    "k64": (RW, 0, 0xffff, 0x2ff00, 0x4000, 0xffff),
    "down": (RW_DOWN, D32, 0x2fff, 0x34000, 0x3000, 0x8fff),
    "down16": (RW_DOWN, 0, 0x2fff, 0x2ff00, 0x3000, 0xffff),
}


def limits():
    """The third element is outside, by its first byte or its last."""
    for op in READS:
        for size in (1, 2, 4):
            for kind, (access, flags, field, base, low, high) in LIMITS.items():
                for df in (False, True):
                    if kind == "down" and not df or kind == "k64" and df:
                        continue                # nothing to meet there
                    start = low + 2 * size if df else high + 1 - 2 * size
                    for slip in (0, 1) if size > 1 else (0,):
                        for side in ("si", "di"):
                            if not (READS if side == "si" else TARGETS)[op]:
                                continue
                            name = f"limit/{op}{SUFFIX[size]}/{kind}/{'down' if df else 'up'}/{side}/{slip}"
                            mode = pick(name, [PM32[3], PM16[3], PM32[0], PM16[0]])
                            wide = mode.flat or kind not in ("k64", "down16") or pick(name + "w", [True, False])
                            seg = pick(name + "s", [None, "fs", "ss"]) if side == "si" else None
                            if seg == "ss" and mode.ring == 0:
                                seg = "gs"
                            at = start + (-slip if df else slip)
                            mem = {CODE + DST - 64: bytes(128), base + at - 32 & 0xffffffff: bytes(64)} if op in ("scas", "cmps") else {}
                            yield string(f"{name}/{'a32' if wide else 'a16'}/{mode}", mode, op, size, wide, "rep" if op not in ("scas", "cmps") else pick(name, ["repne", "repe"]), df, seg,
                                         count=6, gdt={T(0): desc(access, base, field, flags, mode.ring)}, regs={"es" if side == "di" else seg or "ds": T(0, mode.ring)}, mem=mem, **{side: at})


def wraps():
    """Pointers that run around 64 KB or 4 GiB, alone and repeated, in segments without end."""
    for op in READS:
        for size in (1, 2, 4):
            for df in (False, True):
                for wide in (False, True):
                    for slip in (0,) if size == 1 or wide else (0, 1):      # whether an operand around 4 GiB faults is left open
                        for rep in ("", "rep"):
                            name = f"wrap/{op}{SUFFIX[size]}/{'a32' if wide else 'a16'}/{'down' if df else 'up'}/{rep or 'once'}/{slip}"
                            mode = pick(name, [PM32[3], PM16[3]] if wide else [PM16[3], REALMODE, V86, PM32[3]])
                            top = 0x100000000 if wide else 0x10000
                            start = (size if df else top - 2 * size) + slip if rep else (0 if df else top - size) + slip & top - 1
                            base, flags, field = (0x38000, D32 | G, 0xfffff) if wide else (0x2ff00, 0, 0xffff)
                            if mode in (REALMODE, V86):
                                gdt, regs = {}, dict(es=base >> 4, ds=base >> 4)
                            else:
                                gdt, regs = {T(0): desc(RW, base, field, flags, mode.ring)}, dict(es=T(0, mode.ring), ds=T(0, mode.ring))
                            at_source = READS[op] and (not TARGETS[op] or pick(name + "x", [True, False]))
                            mem = {}
                            if op in ("scas", "cmps"):
                                mem = {at: bytes(n) for at, n in ((base - 32, 64), (base + 0x10000 - 32, 32), (base + 0x5000 - 32, 64)) if at + n <= ARENA + ARENA_BYTES}
                                regs["eax"] = 0
                            yield string(f"{name}/{mode}", mode, op, size, wide, rep, df, count=4, gdt=gdt, regs=regs, mem=mem, si=start if at_source else 0x5000, di=0x5000 if at_source else start)


def rights():
    """Segments that refuse; a count of zero asks nothing."""
    kinds = {"ro": desc(RO, 0x34000, 0xfff, D32, 3), "null": None, "xr": desc(XR, 0x34000, 0xfff, D32, 3), "none": desc(RW_DOWN, 0x34000, 0xfffff, D32 | G, 3)}
    for op in READS:
        for kind, d in kinds.items():
            for side in ("ds", "es"):
                if not (READS if side == "ds" else TARGETS)[op]:
                    continue
                for rep, count in (("", 3), ("rep", 3), ("rep", 0)):
                    for mode in (PM32[3], PM16[3]):
                        regs = {side: T(0, 3) if d else 3}
                        yield string(f"rights/{op}/{kind}/{side}/{rep or 'once'}{count}/{mode}", mode, op, pick(f"{op}{kind}{rep}", [1, 2, 4]), True, rep, count=count,
                                     gdt={T(0): d} if d else {}, regs=regs, **{"si" if side == "ds" else "di": 0x100})
    for size in (1, 2, 4):      # both sides of MOVS refuse: the source is asked first. With CMPS it is left open
        for rep in ("", "rep", "repne"):
            name = f"order/movs{SUFFIX[size]}/{rep or 'once'}"
            yield string(f"{name}/si_ss", PM32[3], "movs", size, True, rep, seg="ss", si=0x2000, regs=dict(ss=T(0, 3), es=3), gdt={T(0): desc(RW, 0x34000, 0xfff, D32, 3)})
            for side in ("si", "di"):
                yield string(f"{name}/{side}_page", paged(PM32[3]), "movs", size, True, rep, pte={0x34000: 0, 0x36000: 0}, **{side: 0x33ffe})


def pages():
    """Repetition runs into a page that is not there; in the middle of an element too."""
    for op in READS:
        for size in (1, 2, 4):
            for df in (False, True):
                for slip in (0, 1) if size > 1 else (0,):
                    for side in ("si", "di"):
                        if not (READS if side == "si" else TARGETS)[op]:
                            continue
                        name = f"page/{op}{SUFFIX[size]}/{'down' if df else 'up'}/{side}/{slip}"
                        mode = pick(name, [paged(PM32[3]), paged(PM16[3]), paged(V86), paged(PM32[0], "pae")])
                        off = CODE if mode.flat else 0
                        start = off + (0x4000 + 2 * size - slip if df else 0x4000 + 0x1000 - 3 * size + slip)
                        hole = 0x33000 if df else 0x35000
                        mem = {CODE + 0x4000 - 64: bytes(128), CODE + 0x5000 - 64: bytes(128), CODE + DST - 64: bytes(128)} if op in ("scas", "cmps") else {}
                        yield string(f"{name}/{mode}", mode, op, size, mode.flat, "rep", df, count=6, pte={hole: pick(name + "p", [0, hole | PTE_P | PTE_U] if side == "di" and op not in ("scas", "cmps") else [0])},
                                     mem=mem, regs=dict(eax=0 if op == "scas" else 0xd0004100), **{side: start})


def xlat():
    for mode in MODES:
        for wide in (False, True):
            for al in (0, 1, 0x7f, 0x80, 0xff):
                for ebx in (0x4000, 0xfff0, 0xffff, 0x12344000, 0xffffff80):
                    if not (al in (0x80, 0xff) or ebx == 0x4000):
                        continue
                    off = CODE if mode.flat else 0
                    value = ebx + off if ebx == 0x4000 else ebx
                    if mode.flat and not wide:
                        continue
                    seg = pick(f"{mode}{wide}{al}{ebx}", ["", "es ", "fs ", "ss ", "cs "])
                    if mode.ring == 0 and seg == "ss ":
                        seg = ""
                    yield Case(f"xlat/{'a32' if wide else 'a16'}/{al:x}/{ebx:x}/{seg.strip() or 'ds'}/{mode}", mode, f"{seg}{'a32' if wide else 'a16'} xlatb", regs=dict(eax=0xa1a2a300 | al, ebx=value))


def enter():
    frames = bytes((i * 37 + 11) & 0xff for i in range(256))
    for level in list(range(0, 9)) + [15, 30, 31, 32, 33, 63, 255]:
        for size in ("o16", "o32"):
            for b in ("b16", "b32"):
                for alloc in (0, 6, 0x100):
                    name = f"enter/{level}/{size}/{b}/{alloc:x}"
                    if level not in (0, 1, 2, 31) and alloc != pick(name[:-2], [0, 6, 0x100]):
                        continue
                    mode = pick(name, [PM32[3], PM16[3]])
                    ebp = 0x98765800 if b == "b16" else 0x800
                    esp = 0x54321400 if b == "b16" else 0x400
                    yield Case(f"{name}/{mode}", mode, f"{size} enter {alloc:#x}, {level}", regs=dict(ss=T(0, 3), esp=esp, ebp=ebp), mem={0x35700: frames},
                               gdt={T(0): desc(RW, 0x35000, 0xfff, D32 if b == "b32" else 0, 3)})
    for mode in (REALMODE, V86, PM16[0], PM32[0]):
        for level in (0, 1, 2, 5):
            yield Case(f"enter/mode/{level}/{mode}", mode, f"enter 0x10, {level}", regs=dict(ebp=0xffff0000 | 0xaf00 if not mode.flat else 0x2a780))
    # where it fails: the frame pointer's push, a copy's read, its push, the last probe
    for size, n in (("o16", 2), ("o32", 4)):
        for level in (0, 1, 2, 4):
            for b in ("b16", "b32"):
                for what, esp, ebp, alloc in (("first", n - 1, 0x800, 0), ("last", n * (level + 1) - 1, 0x800, 0), ("fits", n * (level + 1), 0x800, 0),
                                              ("alloc", n * (level + 1) + 15, 0x800, 16), ("probe", n * (level + 1) + 16 + n, 0x800, 16), ("read", 0x400, n, 0), ("read_up", 0x400, 0x2000, 0)):
                    if what.startswith("read") and level < 2:
                        continue
                    d = desc(RW, 0x35000, 0xfff, D32 if b == "b32" else 0, 3)
                    yield Case(f"enter/edge/{what}/{level}/{size}/{b}", pick(f"{what}{level}{size}{b}", [PM32[3], PM16[3]]), f"{size} enter {alloc}, {level}", regs=dict(ss=T(0, 3), esp=esp, ebp=ebp), gdt={T(0): d})


def leave():
    for mode in MODES:
        for size in ("o16", "o32"):
            for ebp in (0x2a780 if mode.flat else 0xffffa780, 0xffff, 0xfffe, 0xfffc, 0xfffd, 0, 0x12340010):
                yield Case(f"leave/{size}/{ebp:x}/{mode}", mode, f"{size} leave\nmov edx, ebp" + ("" if mode.ring else "\nmov esp, 0x%x" % mode.regs["esp"]), regs=dict(ebp=ebp))


def cases():
    yield from sweep()
    yield from found()
    yield from overlap()
    yield from limits()
    yield from wraps()
    yield from rights()
    yield from pages()
    yield from xlat()
    yield from enter()
    yield from leave()


def hand():
    p3, p16 = PM32[3], PM16[3]
    at = dict(esi=CODE + SRC, edi=CODE + DST, ecx=4, edx=PORT, eax=0x5a5a5a5a)
    at16 = dict(at, esi=SRC, edi=DST)
    small = desc(RW, 0x34000, 0x7ff, D32, 3)
    # prefixes
    yield Case("prefix/rep_repne_cmps", p3, b"\xf2\xf3\xa6", regs=at, mem={CODE + DST: bytes(8), CODE + SRC: bytes(8)})
    yield Case("prefix/repne_last_cmps", p3, b"\xf3\xf2\xa6", regs=at, mem={CODE + DST: bytes(8), CODE + SRC: bytes(8)})
    yield Case("prefix/repne_movs", p3, b"\xf2\xa5", regs=at)
    yield Case("prefix/o16_movsb", p3, b"\x66\xf3\xa4", regs=at)
    yield Case("prefix/two_o16", p3, b"\x66\x66\xf3\xa5", regs=at)
    yield Case("prefix/two_segments", p3, b"\x64\x65\xf3\xa5", regs=dict(at, fs=3, gs=DATA32(3)))
    yield Case("prefix/segment_of_target_ignored", p3, "fs stosb\nfs scasb\nmov eax, ecx", regs=dict(at, fs=3))
    yield Case("prefix/segment_of_ins_ignored", p3, "fs insb", regs=dict(at, fs=3, eflags=2 | iopl(3)))
    yield Case("prefix/segment_of_outs", p3, "fs outsb", regs=dict(at, fs=3, eflags=2 | iopl(3)))
    yield Case("prefix/cs_source", p3, "cs rep movsb", regs=dict(at, esi=CODE))
    yield Case("prefix/cs_source_xo", p3, "cs lodsb", regs=dict(at, cs=T(1, 3), eip=0, esi=0), gdt={T(1): desc(XO, CODE, 0xfff, D32, 3)})
    yield Case("prefix/ss_source", p3, "ss rep movsd", regs=dict(at, esi=STACK[3] + 0xf80))
    yield Case("prefix/fifteen", p3, b"\x26" * 13 + b"\xf3\xa5", regs=at)
    yield Case("prefix/sixteen", p3, b"\x26" * 14 + b"\xf3\xa5", regs=at)
    # counts
    yield Case("count/cx_0_of_ecx", p16, "a16 rep movsb", regs=dict(at16, ecx=0x10000))
    yield Case("count/ecx_0", p3, "rep movsb\nrepe cmpsb\nrepne scasb\nrep stosd\nrep lodsd", regs=dict(at, ecx=0, eflags=2 | ZF | CF))
    yield Case("count/cx_of_huge_ecx", p16, "a16 rep stosw", regs=dict(at16, ecx=0xffff0002))
    yield Case("count/huge_found", p3, "repne scasb", regs=dict(at, ecx=0xffffffff), mem={CODE + DST: b"\x11" * 100 + b"\x5a"})
    yield Case("count/huge_not_equal", p3, "repe cmpsd", regs=dict(at, ecx=0xffffffff), mem={CODE + DST: b"\x11" * 100, CODE + SRC: b"\x11" * 96 + b"\x12"})
    yield Case("count/huge_to_limit", p3, "rep stosb", regs=dict(at, ecx=0xffffffff, edi=0x7e0, es=T(0, 3)), gdt={T(0): small})
    yield Case("count/huge_lods_to_limit", p3, "rep lodsd", regs=dict(at, ecx=0xffffffff, esi=0, ds=T(0, 3)), gdt={T(0): desc(RW, DATA, 0xdffe, D32, 3)})
    yield Case("count/a_page_and_more", p3, "rep movsb", regs=dict(at, ecx=0x1803, esi=0x33ffd, edi=0x37ffe))
    yield Case("count/down_over_pages", p3, "std\nrep movsd", regs=dict(at, ecx=0x20, esi=0x34002, edi=0x3700d))
    yield Case("count/zero_and_no_io_right", p3, "rep outsb", regs=dict(at, ecx=1))
    # flags: MOVS, STOS and LODS leave them, SCAS and CMPS with a count of zero too
    for name, code in (("movs", "rep movsd"), ("stos", "rep stosw"), ("lods", "rep lodsb"), ("scas0", "xor ecx, ecx\nstc\nrepne scasb"), ("cmps0", "mov ecx, 0\nrepe cmpsb")):
        for fl in (0, CF | ZF | SF | OF | AF | PF):
            yield Case(f"flags/{name}/{fl:x}", p3, code, regs=dict(at, eflags=2 | fl))
    for size, value in (("b", 0x80), ("w", 0x8000), ("d", 0x80000000)):
        n = {"b": 1, "w": 2, "d": 4}[size]
        for a, b in ((value, 1), (0, 1), (value - 1, value), (value, value), (0xffffffff, value), (1, 0xffffffff)):
            m = (1 << 8 * n) - 1
            yield Case(f"flags/scas{size}/{a:x}-{b:x}", p3, f"scas{size}", regs=dict(at, eax=a), mem={CODE + DST: (b & m).to_bytes(n, "little")})
            yield Case(f"flags/cmps{size}/{a:x}-{b:x}", p3, f"cmps{size}", regs=at, mem={CODE + SRC: (a & m).to_bytes(n, "little"), CODE + DST: (b & m).to_bytes(n, "little")})
    # direction changed under way
    yield Case("direction/std_cld", p3, "std\nlodsb\nmov bl, al\ncld\nlodsb\nmov bh, al\nstd\nmovsd\ncld\nmovsd\nstd", regs=at)
    yield Case("direction/popf", p3, "push dword 0x402\npopf\nrep movsw\npush dword 2\npopf\nmovsw", regs=at)
    yield Case("direction/fault_keeps_df", p3, "std\nmov edi, 0x8\nmov ecx, 20\nrep stosb", regs=dict(at, es=T(0, 3)), gdt={T(0): desc(RW_DOWN, 0x34000, 3, D32, 3)})
    yield Case("direction/int", p3, "std\nint 0x42", regs=at)
    # segments that change between two string instructions
    yield Case("segments/es_reloaded", p3, f"rep movsb\nmov ax, {T(0, 3)}\nmov es, ax\nmov edi, 0x7fe\nmov ecx, 4\nrep movsb", regs=at, gdt={T(0): small})
    yield Case("segments/both_limited", p3, "rep movsd", regs=dict(at, ecx=0x300, esi=0x7e0, edi=0x100, ds=T(0, 3), es=T(1, 3)), gdt={T(0): small, T(1): desc(RW, 0x36000, 0x1ff, D32, 3)})
    yield Case("segments/target_ends_first", p3, "rep movsd", regs=dict(at, ecx=0x300, esi=0x100, edi=0x1e0, ds=T(0, 3), es=T(1, 3)), gdt={T(0): small, T(1): desc(RW, 0x36000, 0x1ff, D32, 3)})
    yield Case("segments/same_bytes_twice", p3, "rep movsb", regs=dict(at, ecx=0x40, esi=0, edi=1, ds=T(0, 3), es=T(0, 3)), gdt={T(0): small})
    yield Case("segments/based_overlap", p3, "rep movsd", regs=dict(at, ecx=8, esi=0, edi=0, ds=T(0, 3), es=T(1, 3)), gdt={T(0): small, T(1): desc(RW, 0x34002, 0x7ff, D32, 3)})
    yield Case("segments/unreal_movs", REALMODE, f"mov eax, cr0\nor al, 1\nmov cr0, eax\nmov cx, {T(0)}\nmov es, cx\nmov ds, cx\nand al, 0xfe\nmov cr0, eax\nmov ecx, 5\na32 rep movsd\na32 lodsb\na32 scasw", regs=dict(at, edi=CODE + DST),
               gdt={T(0): desc(RW, 0, 0xfffff, D32 | G)})
    # XLAT, ENTER, LEAVE
    yield Case("xlat/null", p3, "fs xlatb", regs=dict(fs=3))
    yield Case("xlat/limit", p3, "fs xlatb", regs=dict(fs=T(0, 3), ebx=0x7f0, eax=0x10), gdt={T(0): small})
    yield Case("xlat/wraps_4g", p3, "fs xlatb", regs=dict(fs=T(0, 3), ebx=0xfffffff0, eax=0x20), gdt={T(0): desc(RW, 0x34000, 0xfffff, D32 | G, 3)})
    yield Case("xlat/a16_in_32", p3, "fs a16 xlatb", regs=dict(fs=T(0, 3), ebx=0x1234fff0, eax=0x20), gdt={T(0): desc(RW, 0x34000, 0xfffff, D32 | G, 3)})
    yield Case("enter/alloc_wraps", p16, "enter 0xfff0, 0", regs=dict(ss=T(0, 3), esp=0x12340010), gdt={T(0): desc(RW, 0x2ff00, 0xffff, 0, 3)})
    yield Case("enter/alloc_beyond_32", p3, "enter 0xfff0, 0", regs=dict(ss=T(0, 3), esp=0x700), gdt={T(0): small})
    yield Case("enter/page_probe", paged(p3), "enter 0x1000, 0", pte={0x2c000: 0}, regs=dict(esp=0x2d080))
    yield Case("enter/page_probe_ro", paged(p3), "enter 0x1000, 0", pte={0x2c000: 0x2c000 | PTE_P | PTE_U}, regs=dict(esp=0x2d080))
    yield Case("enter/frames_page", paged(p3), "enter 8, 3", pte={0x34000: 0}, regs=dict(ebp=0x35004))
    yield Case("enter/o16_in_32", p3, "o16 enter 8, 3", regs=dict(ebp=STACK[3] + 0x800))
    yield Case("enter/o32_in_16", p16, "o32 enter 8, 3", regs=dict(ebp=0x7777d800))
    yield Case("leave/beyond", p3, "leave", regs=dict(ss=T(0, 3), esp=0x100, ebp=0x7fd), gdt={T(0): small})
    yield Case("leave/at_limit", p3, "leave", regs=dict(ss=T(0, 3), esp=0x100, ebp=0x7fc), gdt={T(0): small})
    yield Case("leave/page", paged(p3), "leave", pte={0x34000: 0}, regs=dict(ebp=0x33ffe))
    yield Case("leave/o16_in_32", p3, "o16 leave", regs=dict(ebp=STACK[3] + 0x802))
    yield Case("leave/o32_in_16", p16, "o32 leave", regs=dict(ebp=0x7777d800))
    yield Case("enter/leave_pairs", p3, "enter 0x20, 1\nenter 0x10, 2\nmov ecx, [ebp-4]\nleave\nleave", regs=dict(ebp=STACK[3] + 0x900))
