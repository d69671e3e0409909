"""Hardware task switches: by JMP, CALL, INT, a fault, an IRQ and IRET, between 16- and 32-bit TSSs, and every field that can be wrong.

T(0) names the new TSS (at NEW, 16-bit ones at NEW16), T(1) a task gate to it, T(2) the old TSS where that is a 16-bit one. The new
task starts at CODE2, where UD2 stands: its frame and registers tell what was loaded, the old TSS what was saved.
"""
from matrix import *  # noqa: F403

NEW, NEW16, OLD16 = TSS2, TSS16, TSS16B
OFF2 = CODE2 - CODE
SYSTEM = list(range(0x80, 0x90))
MEMORY = [RO, RW, RO_DOWN, RW_DOWN, XO, XR, XO_CONF, XR_CONF]
WAYS = ("jmp", "call", "jmp-gate", "call-gate", "int", "ud", "np", "iret")


def new32(mode, ring=0, **more):
    d = DATA32(ring)
    a = dict(cr3=mode.regs["cr3"], eip=CODE2, cs=CODE32(ring), sss=d, ds=d, es=d, fs=d, gs=d, ldt=LDT_SEL, eflags=2,
             regs=[0x70000001 + i * 0x01010101 if i != 4 else STACK[ring] + 0xf00 for i in range(8)])
    a.update(more)
    return tss32(**a)


def new16(ring=0, **more):
    d = DATA16(ring)
    a = dict(ip=OFF2, cs=CODE16(ring), sss=STACK16(ring), ds=d, es=d, ldt=LDT_SEL, flags=2, regs=[0x7001 + i * 0x0101 if i != 4 else (STACK[ring] + 0xf00) & 0xffff for i in range(8)])
    a.update(more)
    return tss16(**a)


def switch(name, way, mode, new=None, new_desc=None, from16=False, regs=None, gdt=None, mem=None, pte=None, rpl=None, link=None, dpl=3, idt=None, tss=None, code=None, to16=False, **more):
    """One task switch. new: the bytes of the new TSS."""
    rpl = mode.ring if rpl is None else rpl
    r = dict(regs or {})
    kind = (SYS_TSS16 if to16 else SYS_TSS32) | (2 if way == "iret" else 0)
    d = new_desc or desc(kind, NEW16 if to16 else NEW, 0x2b if to16 else 0x67, 0, dpl)
    g = {T(0): d, T(1): gate(SYS_TASK, T(0), 0, dpl), T(9): desc(RW, 0, 0xfffff, G | D32, mode.ring, False)}
    g.update(gdt or {})
    m = {NEW: new32(mode), NEW16: new16()}
    if new is not None:
        m[NEW16 if to16 else NEW] = new
    m.update(mem or {})
    i = {}
    link = T(0) if link is None else link
    vector = {"int": 0x40, "ud": 6, "np": 11}.get(way)
    if vector is not None:
        i[vector] = gate(SYS_TASK, T(0), 0, dpl)
    i.update(idt or {})
    text = code or {"jmp": f"jmp {T(0, rpl):#x}:0x5555", "call": f"call {T(0, rpl):#x}:0x5555", "jmp-gate": f"jmp {T(1, rpl):#x}:0x5555", "call-gate": f"call {T(1, rpl):#x}:0x5555", "int": "int 0x40", "ud": "ud2",
                    "np": f"mov ax, {T(9, mode.ring):#x}\nmov ds, ax", "iret": "iret"}[way]
    if way == "iret":
        r.setdefault("eflags", mode.regs["eflags"] | NT)
    if from16:
        g[T(2)] = desc(SYS_TSS16, OLD16, 0x2b, 0)
        r["tr"] = T(2)
        m.setdefault(OLD16, tss16(link=link))
    return Case(name, mode, text, regs=r, gdt=g, idt=i, mem=m, pte=pte, tss=tss or tss32(cr3=mode.regs["cr3"], link=link), **more)


def ways():
    """Every way, between every pair of formats, from every ring, to rings 0 and 3, with and without paging."""
    for mode in PM32 + [PM16[0], PM16[3], paged(PM32[0]), paged(PM32[3]), paged(PM16[1], "pae")]:
        for way in WAYS:
            for from16 in (False, True):
                for to16 in (False, True):
                    for ring in (0, 1, 3):
                        new = new16(ring) if to16 else new32(mode, ring)
                        yield switch(f"way/{way}/{16 if from16 else 32}-{16 if to16 else 32}/to{ring}/{mode}", way, mode, new, from16=from16, to16=to16)
    for mode in (V86, paged(V86)):
        for way in ("int", "ud"):
            for from16 in (False, True):
                for to16 in (False, True):
                    for ring in (0, 3):
                        yield switch(f"way/{way}/{16 if from16 else 32}-{16 if to16 else 32}/to{ring}/{mode}", way, mode, new16(ring) if to16 else new32(mode, ring), from16=from16, to16=to16)


def descriptors():
    """What the selector, the gate and the back link may name."""
    for mode in (PM32[0], PM32[3]):
        for way in ("jmp", "call", "jmp-gate", "call-gate", "int", "np"):
            for kind in SYSTEM + [RW, XR]:
                for present in (True, False):
                    base, limit = (NEW16, 0x2b) if kind in (SYS_TSS16, SYS_TSS16_BUSY) else (NEW, 0x67)
                    d = gate(kind, *((CODE16(mode.ring), OFF2) if kind == SYS_CALL16 else (CODE32(mode.ring), CODE2)), 3, 0, present) if kind in (SYS_CALL16, SYS_CALL32, SYS_INT16, SYS_INT32, SYS_TRAP16, SYS_TRAP32) else gate(kind, TSS2_SEL, 0, 3, 0, present) if kind == SYS_TASK else desc(kind, base, limit, 0, 3, present)
                    if kind in (XR,) and way in ("jmp", "call"):
                        continue
                    yield switch(f"desc/{way}/{kind & 0x1f:02x}{'' if present else '/absent'}/{mode}", way, mode, new_desc=d, to16=base == NEW16, new=new16() if base == NEW16 else None)
            for name, sel in (("null", 0), ("outside", 0x400), ("ldt", TL(0)), ("rpl3", T(0, 3)), ("self", TSS_SEL), ("last", 0x3f8)):
                last = {0x3f8: desc(SYS_TSS32, NEW, 0x67, 0, 3)}
                if way in ("jmp", "call"):
                    yield switch(f"desc/{way}/{name}/{mode}", way, mode, code=f"{way} {sel | (mode.ring if sel & ~3 else 0):#x}:0", gdt=last, ldt={TL(0): desc(SYS_TSS32, NEW, 0x67, 0, 3)})
                elif "gate" in way:
                    yield switch(f"desc/{way}/{name}/{mode}", way, mode, gdt={**last, T(1): gate(SYS_TASK, sel, 0, 3)}, ldt={TL(0): desc(SYS_TSS32, NEW, 0x67, 0, 3)})
                else:
                    yield switch(f"desc/{way}/{name}/{mode}", way, mode, gdt=last, idt={{"int": 0x40, "np": 11}[way]: gate(SYS_TASK, sel, 0, 3)}, ldt={TL(0): desc(SYS_TSS32, NEW, 0x67, 0, 3)})
    for mode in PM32:
        for way in ("jmp", "call", "jmp-gate", "call-gate", "int", "ud"):
            for dpl in range(4):
                for rpl in range(4) if way not in ("int", "ud") else (0,):
                    yield switch(f"desc/{way}/dpl{dpl}/rpl{rpl}/{mode}", way, mode, dpl=dpl, rpl=rpl, idt={0x40: gate(SYS_TASK, T(0), 0, dpl), 6: gate(SYS_TASK, T(0), 0, dpl)} if way in ("int", "ud") else {})


def limits():
    """Limits of both TSSs, G bit included."""
    for mode in (PM32[0], PM32[3]):
        for way in ("jmp", "call", "int", "iret", "np"):
            for to16 in (False, True):
                need = 0x2b if to16 else 0x67
                for limit in (0, need - 1, need, need + 1):
                    kind = (SYS_TSS16 if to16 else SYS_TSS32) | (2 if way == "iret" else 0)
                    yield switch(f"limit/new/{way}/{16 if to16 else 32}/{limit:x}/{mode}", way, mode, new_desc=desc(kind, NEW16 if to16 else NEW, limit, 0, 3), to16=to16, new=new16() if to16 else None)
                    yield switch(f"limit/new-pages/{way}/{16 if to16 else 32}/{limit:x}/{mode}", way, mode, new_desc=desc(kind, NEW16 if to16 else NEW, limit >> 12, G, 3), to16=to16, new=new16() if to16 else None)
            for limit in (0x1f, 0x5e, 0x5f, 0x60, 0x66, 0x67):
                yield switch(f"limit/old/{way}/32/{limit:x}/{mode}", way, mode, gdt={T(3): desc(SYS_TSS32, TSS, limit, 0)}, regs=dict(tr=T(3)))
            for limit in (0x0d, 0x28, 0x29, 0x2a, 0x2b):
                yield switch(f"limit/old/{way}/16/{limit:x}/{mode}", way, mode, gdt={T(3): desc(SYS_TSS16, OLD16, limit, 0)}, regs=dict(tr=T(3)), mem={OLD16: tss16(link=T(0))})


def fields():
    """Every selector of the new task, wrong in every way; in ring 0 and in ring 3."""
    for mode in (PM32[0], PM32[3]):
        for way in ("jmp", "int", "np", "iret") if mode is PM32[0] else ("call", "ud"):
            for to16 in (False, True):
                if to16 and way not in ("jmp", "ud"):
                    continue
                for ring in (0, 3):
                    names = ("ldt", "cs", "sss", "ds", "es") + (() if to16 else ("fs", "gs"))

                    def case(field, label, value, **more):
                        new = new16(ring, **{field: value}) if to16 else new32(mode, ring, **{field: value})
                        return switch(f"field/{field}/{label}/{way}/{16 if to16 else 32}/ring{ring}/{mode}", way, mode, new, to16=to16, **more)

                    for field in names:
                        for label, value in (("null", 0), ("null3", 3), ("outside", 0x400 | ring), ("ldt", TL(0, ring)), ("ldt-outside", 0x204 | ring)):
                            yield case(field, label, value, ldt={TL(0): desc(XR if field == "cs" else RW, 0, 0xfffff, G | D32, ring)})
                        if ring != 0 and way not in ("jmp", "call"):
                            continue
                        for k in SYSTEM + MEMORY:
                            for present in (True, False):
                                if k in SYSTEM and not present and k != SYS_LDT:
                                    continue
                                d = desc(k, LDT, 0x1ff, 0, ring, present) if k in SYSTEM else desc(k, 0, 0xfffff, G | D32, ring, present)
                                yield case(field, f"{k & 0x1f:02x}{'' if present else '-absent'}", T(8, ring), gdt={T(8): d})
                        if field == "ldt" or way not in ("jmp", "call"):
                            continue
                        for dpl in range(4):
                            for rpl in range(4):
                                for k in (XR, XR_CONF) if field == "cs" else (RW,) if field == "sss" else (RW, XR, XR_CONF):
                                    if k != (XR if field == "cs" else RW) and to16:
                                        continue
                                    yield case(field, f"{k:x}/dpl{dpl}/rpl{rpl}", T(8, rpl), gdt={T(8): desc(k, 0, 0xfffff, G | D32, dpl)})


def state():
    """The rest of the state: EIP, EFLAGS, T, CR3, DR7, TS, the error code's stack, the back link, v86 tasks."""
    for mode in (PM32[0], PM32[3], paged(PM32[0])):
        for way in WAYS:
            for name, bits in (("all", CF | PF | AF | ZF | SF | DF | OF), ("if", IF), ("nt", NT), ("iopl", iopl(3)), ("ac", AC), ("rf", RF), ("id-vif-vip", ID | VIF | VIP), ("ones", 0xffffffff & ~(VM | TF | 1 << 18))):
                yield switch(f"state/eflags-{name}/{way}/{mode}", way, mode, new32(mode, eflags=bits | 2))
                if way != "iret":
                    yield switch(f"state/old-eflags-{name}/{way}/{mode}", way, mode, regs=dict(eflags=mode.regs["eflags"] | bits & ~VM & ~NT & 0x3fffff))
            yield switch(f"state/t-bit/{way}/{mode}", way, mode, new32(mode, trap=1))
            yield switch(f"state/t-bit-word/{way}/{mode}", way, mode, new32(mode, trap=0xfffe))
            for delta in (-1, 1, 2):
                yield switch(f"state/eip-limit{delta:+}/{way}/{mode}", way, mode, new32(mode, cs=T(8)), gdt={T(8): desc(XR | A, 0, CODE2 + delta, D32)})
            yield switch(f"state/dr7/{way}/{mode}", way, mode, regs=dict(dr7=0x0000077f & ~0xff | 0x3ff, dr0=0x3f000, dr1=0x3f000, dr2=0x3f000, dr3=0x3f000))
            yield switch(f"state/v86/{way}/{mode}", way, mode, new32(mode, eflags=VM | 2 | iopl(3), cs=CODE2 >> 4, eip=0, sss=ARENA >> 4, ds=0x1111, es=0x2222, fs=0x3333, gs=0x4444))
            yield switch(f"state/v86-eip/{way}/{mode}", way, mode, new32(mode, eflags=VM | 2 | iopl(3), cs=0x2100, eip=0x10000, sss=ARENA >> 4))
            for cs in (0, CODE32(0), CODE32(3)):
                yield switch(f"state/v86-cs{cs:x}/{way}/{mode}", way, mode, new32(mode, eflags=VM | 2, cs=cs, eip=0, sss=ARENA >> 4), mem={cs << 4: b"\x0f\x0b" * 8})
            if way == "np":
                for big in (0, D32):
                    for esp in (0, 1, 2, 3, 4, 5, 0x803, 0x806):
                        yield switch(f"state/error-code/{'32' if big else '16'}/{esp:x}/{mode}", way, mode, new32(mode, sss=T(8), regs=[0, 1, 2, 3, esp, 5, 6, 7]), gdt={T(8): desc(RW | A, BITMAP, 0x801, big)})
                        yield switch(f"state/error-code16/{'32' if big else '16'}/{esp:x}/{mode}", way, mode, new16(sss=T(8), regs=[0, 1, 2, 3, esp, 5, 6, 7]), to16=True, gdt={T(8): desc(RW | A, BITMAP, 0x801, big)})


def paging():
    """TSSs in pages that are absent, read-only, user's; over two pages; CR3 that changes."""
    for mode in (paged(PM32[0]), paged(PM32[3]), paged(PM32[3], "pae")):
        for way in WAYS:
            for where in ("old", "new"):
                for name, entry in (("absent", 0), ("ro", PTE_P | PTE_U), ("ro-super", PTE_P), ("rw-super", PTE_P | PTE_W)):
                    page = DATA + 0x4000
                    r, g, m = {}, {}, {page: new32(mode)}
                    if where == "new":
                        yield switch(f"paging/{where}/{name}/{way}/{mode}", way, mode, new_desc=desc(SYS_TSS32 | (2 if way == "iret" else 0), page, 0x67, 0, 3), mem=m, pte={page: page | entry})
                    else:
                        m[page] = tss32(cr3=mode.regs["cr3"], link=T(0))
                        yield switch(f"paging/{where}/{name}/{way}/{mode}", way, mode, gdt={T(3): desc(SYS_TSS32, page, 0x67, 0)}, regs=dict(tr=T(3)), mem=m, pte={page: page | entry})
            for at in (0x10, 0x1c, 0x1e, 0x20, 0x40, 0x48, 0x5e, 0x60, 0x64):
                # the second page, from offset at of the TSS on, is missing
                page = DATA + 0x5000
                yield switch(f"paging/new-split{at:x}/{way}/{mode}", way, mode, new_desc=desc(SYS_TSS32 | (2 if way == "iret" else 0), page - at, 0x67, 0, 3), mem={page - at: new32(mode)}, pte={page: page & ~1})
                yield switch(f"paging/old-split{at:x}/{way}/{mode}", way, mode, gdt={T(3): desc(SYS_TSS32, page - at, 0x67, 0)}, regs=dict(tr=T(3)), mem={page - at: tss32(cr3=mode.regs["cr3"], link=T(0))}, pte={page: page & ~1})
    mode = paged(PM32[0])
    for way in WAYS:
        other = {SPARE: struct.pack("<I", PT | ALL), SPARE + 4: struct.pack("<I", PT | ALL)}
        for name, cr3 in (("other", SPARE), ("other-bits", SPARE | 0x18), ("high", SPARE | 0xfe7)):
            yield switch(f"paging/cr3-{name}/{way}/{mode}", way, mode, new32(mode, cr3=cr3), mem=other)
        yield switch(f"paging/cr3-16/{way}/{mode}", way, mode, new16(), to16=True)
        yield switch(f"paging/cr3-unpaged/{way}", way, PM32[0], new32(PM32[0], cr3=0x12345000))
    mode = paged(PM32[0], "pae")
    for way in WAYS:
        for name, low in (("good", PTE_P), ("absent", 0)):
            yield switch(f"paging/pdpt-{name}/{way}/{mode}", way, mode, new32(mode, cr3=SPARE + 0x20), mem={SPARE + 0x20: struct.pack("<4Q", PAE_PD | PTE_P, PAE_PD | low, 0, 0)})


def busy():
    """The busy bits, NT and links of chains: there and back."""
    for mode in (PM32[0], PM16[0], PM32[3]):
        for to16 in (False, True):
            for from16 in (False, True) if mode.bits == 16 else (False,):       # IP is all that a 16-bit TSS keeps
                for way in ("call", "int", "jmp"):
                    for back in ("iret", "jmp-back", "call-back", "iret-twice"):
                        # the new task goes back, the old one goes there again, and ends
                        ring = 0
                        text = {"iret": "iret", "iret-twice": "iret\niret\niret", "jmp-back": f"jmp {TSS_SEL if not from16 else T(2):#x}:0", "call-back": f"call {TSS_SEL if not from16 else T(2):#x}:0"}[back]
                        more = {CODE2: (16 if to16 else 32, text + "\nud2", OFF2 if to16 else CODE2)}
                        first = {"call": f"call {T(0, mode.ring):#x}:0", "jmp": f"jmp {T(0, mode.ring):#x}:0", "int": "int 0x40"}[way]
                        yield switch(f"busy/{way}/{back}/{16 if from16 else 32}-{16 if to16 else 32}/{mode}", way, mode, new16(ring) if to16 else new32(mode, ring), to16=to16, from16=from16, code=first + "\ninc eax\n" + first, more=more)


def cases():
    for part in (ways, descriptors, limits, fields, state, paging, busy):
        yield from part()


def hand():
    flat, user = PM32[0], PM32[3]
    pg, pgu = paged(PM32[0]), paged(PM32[3])
    # the order in which wrong selectors are found: a different vector or selector each
    wrong = dict(ldt=0x408, cs=0x410, sss=0x418, ds=0x420, es=0x428, fs=0x430, gs=0x438)
    for i, a in enumerate(wrong):
        for b in list(wrong)[i + 1:]:
            yield switch(f"order/{a}-{b}", "jmp", flat, new32(flat, **{a: wrong[a], b: wrong[b]}))
        yield switch(f"order/{a}-eip", "jmp", flat, new32(flat, **{a: wrong[a], "eip": 0xffffffff, "trap": 1}), gdt={CODE32(0): desc(XR | A, 0, 0xfffff, D32)})
    for way in ("jmp", "call", "int"):
        # to itself, with the busy bit taken away by hand
        yield switch(f"self/{way}", way, flat, code=f"and byte [0x200c5], 0xfd\n{'int 0x40' if way == 'int' else f'{way} {TSS_SEL:#x}:0'}\nmov eax, 1", idt={0x40: gate(SYS_TASK, TSS_SEL, 0, 3)})
        yield switch(f"same-memory/{way}", way, flat, new_desc=desc(SYS_TSS32, TSS, 0x67, 0, 3))
        yield switch(f"overlapping/{way}", way, flat, new_desc=desc(SYS_TSS32, TSS + 0x20, 0x67, 0, 3))
        yield switch(f"tss-in-no-memory/{way}", way, flat, new_desc=desc(SYS_TSS32, 0xe0000000, 0x67, 0, 3))
        yield switch(f"old-tss-in-no-memory/{way}", way, flat, gdt={T(3): desc(SYS_TSS32, 0xe0000000, 0x67, 0)}, regs=dict(tr=T(3)))
        yield switch(f"old-tss-in-rom/{way}", way, flat, gdt={T(3): desc(SYS_TSS32, 0xffff0000, 0x67, 0)}, regs=dict(tr=T(3)))
        yield switch(f"tss-over-gdt/{way}", way, flat, new_desc=desc(SYS_TSS32, GDT + 0x180, 0x67, 0, 3))
        yield switch(f"old-tss-over-idt/{way}", way, flat, gdt={T(3): desc(SYS_TSS32, IDT + 0x600, 0x67, 0)}, regs=dict(tr=T(3)))
        yield switch(f"tf-in-new/{way}", way, flat, new32(flat, eflags=2 | TF), more={CODE2: (32, "inc eax\ninc eax\nud2")})
        yield switch(f"tf-in-old/{way}", way, flat, code="pushfd\nor dword [esp], 0x100\npopfd\n" + ("int 0x40" if way == "int" else f"{way} {T(0):#x}:0"))
        yield switch(f"irq-in-new/{way}", way, flat, new32(flat, eflags=2 | IF), flags=IRQ, more={CODE2: (32, "inc eax\nud2")})
        yield switch(f"fpu-is-next/{way}", way, flat, more={CODE2: (32, "fnop\nud2")})
        yield switch(f"t-bit-and-tf/{way}", way, flat, new32(flat, trap=1, eflags=2 | TF))
        yield switch(f"t-bit-and-irq/{way}", way, flat, new32(flat, trap=1, eflags=2 | IF), flags=IRQ)
        yield switch(f"t-bit-to-ring3/{way}", way, flat, new32(flat, 3, trap=1))
        yield switch(f"other-ldt/{way}", way, flat, new32(flat, ldt=T(5), cs=TL(2), sss=TL(3), ds=TL(3)), gdt={T(5): desc(SYS_LDT, 0x33000, 0x1f, 0)}, mem={0x33010: desc(XR, 0, 0xfffff, G | D32) + desc(RW, 0, 0xfffff, G | D32)})
        yield switch(f"other-ldt-too-short/{way}", way, flat, new32(flat, ldt=T(5), cs=TL(2), sss=TL(3), ds=TL(3)), gdt={T(5): desc(SYS_LDT, 0x33000, 0x1e, 0)}, mem={0x33010: desc(XR, 0, 0xfffff, G | D32) + desc(RW, 0, 0xfffff, G | D32)})
        yield switch(f"no-ldt-but-ldt-cs/{way}", way, flat, new32(flat, ldt=0, cs=TL(2)), ldt={TL(2): desc(XR, 0, 0xfffff, G | D32)})
        yield switch(f"upper-halves-of-selectors/{way}", way, flat, new32(flat).replace(struct.pack("<I", DATA32(0)), struct.pack("<I", 0xabcd0000 | DATA32(0))))
        yield switch(f"conforming-cs/{way}", way, flat, new32(flat, 3, cs=T(8, 3)), gdt={T(8): desc(XR_CONF, 0, 0xfffff, G | D32, 1)})
        yield switch(f"16-bit-stack/{way}", way, flat, new32(flat, sss=STACK16(0), regs=[0, 0, 0, 0, 0xffffa800, 0, 0, 0]))
        yield switch(f"descriptors-in-ldt-page-missing/{way}", way, pg, new32(pg, ds=TL(3)), ldt={TL(3): desc(RW, 0, 0xfffff, G | D32)}, pte={LDT: 0})
        yield switch(f"accessed-in-read-only/{way}", way, pg, new32(pg, ds=TL(3)), ldt={TL(3): desc(RW, 0, 0xfffff, G | D32)}, pte={LDT: LDT | PTE_P})
        yield switch(f"gdt-read-only/{way}", way, pg, pte={GDT: GDT | PTE_P})
        yield switch(f"new-cr3-maps-nothing/{way}", way, pg, new32(pg, cr3=SPARE), mem={SPARE: bytes(0x1000)})
        yield switch(f"new-eip-page-missing/{way}", way, pg, new32(pg, eip=0x3f000), pte={0x3f000: 0})
        yield switch(f"new-stack-page-missing/{way}", way, pg, new32(pg, regs=[0, 0, 0, 0, 0x3f800, 0, 0, 0]), pte={0x3f000: 0}, more={CODE2: (32, "push eax")}, gdt={T(4): desc(SYS_TSS32, SPARE, 0x67, 0)},
                     idt={14: gate(SYS_TASK, T(4), 0), 0x40: gate(SYS_TASK, T(0), 0, 3)}, mem={SPARE: tss32(cr3=PD, eip=stub(14), cs=HCODE, sss=HDATA, ds=HDATA, es=HDATA, regs=[0, 0, 0, 0, SPARE + 0x800, 0, 0, 0])})
    yield switch("page-fault-task", "int", pgu, code="mov eax, [0x3f000]", pte={0x3f000: 0}, idt={14: gate(SYS_TASK, T(0), 0)})
    yield switch("page-fault-task-and-back", "int", pgu, code="mov eax, [0x3f000]\nmov ebx, 1", pte={0x3f000: 0}, idt={14: gate(SYS_TASK, T(0), 0)}, more={CODE2: (32, "pop eax\nmov dword [0x250fc], 0x3f067\nmov ecx, cr3\nmov cr3, ecx\niretd")})
    yield switch("error-code-16-bit-task", "np", flat, new16(), to16=True)
    yield switch("three-deep", "call", flat, more={CODE2: (32, f"call {T(4):#x}:0\nud2"), CODE2 + 0x100: (32, "str ax\nmov bx, [0x33000]\nud2")}, gdt={T(4): desc(SYS_TSS32, 0x33000, 0x67, 0)}, mem={0x33000: new32(flat, eip=CODE2 + 0x100)})
    yield switch("three-deep-and-all-back", "call", flat, code=f"call {T(0):#x}:0\nmov eax, 1\ncall {T(0):#x}:0", more={CODE2: (32, f"call {T(4):#x}:0\niretd\nud2"), CODE2 + 0x100: (32, "iretd\nud2")}, gdt={T(4): desc(SYS_TSS32, 0x33000, 0x67, 0)}, mem={0x33000: new32(flat, eip=CODE2 + 0x100)})
    yield switch("ltr-of-busy", "jmp", flat, code=f"mov ax, {TSS_SEL:#x}\nltr ax")
    yield switch("ltr-then-switch", "jmp", flat, code=f"mov ax, {TSS2_SEL:#x}\nltr ax\njmp {TSS_SEL:#x}:0")
    yield switch("ltr-then-switch-to-free", "jmp", flat, code=f"mov ax, {TSS16B_SEL:#x}\nltr ax\njmp {T(0):#x}:0")
    yield switch("no-tr", "jmp", flat, regs=dict(tr=0))
    yield switch("no-tr-int-inner", "int", user, regs=dict(tr=0), code="int 0x41")
    yield switch("retf-to-tss", "jmp", flat, code=f"push dword {T(0):#x}\npush dword 0\nretf")
    yield switch("iret-to-tss-selector", "jmp", flat, code=f"push dword 2\npush dword {T(0):#x}\npush dword 0\niretd")
    yield switch("nt-without-link-in-ring3", "jmp", user, code="iretd", regs=dict(eflags=2 | NT), tss=tss32(link=0))
    yield switch("nt-in-v86-ignored", "jmp", V86, code="push word 2\npush word 0x3100\npush word 0\niret", regs=dict(eflags=2 | VM | iopl(3) | NT))
