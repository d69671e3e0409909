"""Interrupts and exceptions: INT n, INT3, INTO, ICEBP, faults and IRQs through gates of every kind, and what goes wrong on the way.

T(0) is the handler's segment; at CODE2 stands INT 41h, so a handler that is reached ends with that. Vector 40h is the one under
test for INT n. Where the stack of ring 0 is what breaks, faults go through task gates (matrix.tasked).
"""
from matrix import *  # noqa: F403

OFF2 = CODE2 - CODE
SYSTEM = list(range(0x80, 0x90))
MEMORY = [RO, RW, RO_DOWN, RW_DOWN, XO, XR, XO_CONF, XR_CONF]
GATES = (SYS_INT16, SYS_TRAP16, SYS_INT32, SYS_TRAP32)
GATE_NAMES = {SYS_INT16: "int16", SYS_TRAP16: "trap16", SYS_INT32: "int32", SYS_TRAP32: "trap32", SYS_TASK: "task"}
ALLFLAGS = CF | PF | AF | ZF | SF | OF | DF


def code(size, access=XR, dpl=0, present=True, limit=None):
    if size == 4:
        return desc(access, 0, 0xfffff if limit is None else limit, G | D32 if limit is None else D32, dpl, present)
    return desc(access, CODE, 0xffff if limit is None else limit, 0, dpl, present)


def size_of(kind):
    return 2 if kind in (SYS_INT16, SYS_TRAP16) else 4


def offset(kind):
    return OFF2 if size_of(kind) == 2 else CODE2


def data(mode):
    """A data operand in the mode's DS."""
    return "0x32000" if mode.flat else "0x2000"


# Each source of an event: (name, vector, code, registers), by mode.
def sources(mode):
    yield "int", 0x40, "int 0x40", {}
    yield "int3", 3, "int3", {}
    yield "cd03", 3, "db 0xcd, 3", {}
    yield "into", 4, "into", dict(eflags=mode.regs["eflags"] | OF)
    yield "icebp", 1, "db 0xf1", {}
    yield "de", 0, "div dl", dict(edx=0)
    yield "br", 5, "bound eax, [es:{}]".format(data(mode)), dict(eax=0x7fffffff)
    yield "ud", 6, "ud2", {}
    yield "nm", 7, "fnop", dict(cr0=mode.regs["cr0"] | TS)
    yield "np", 11, f"mov ax, {T(9, mode.ring):#x}\nmov ds, ax", {}
    yield "ss", 12, f"mov ax, {T(9, mode.ring):#x}\nmov ss, ax", {}
    yield "gp", 13, f"mov ax, {T(10, mode.ring) | 0x400:#x}\nmov ds, ax", {}
    if getattr(mode, "paging", None):
        yield "pf", 14, "mov eax, [cs:{}]".format("0x3f000" if mode.flat else "0xf000"), {}
        yield "pf-write", 14, "mov dword [{}], eax".format("0x3f000" if mode.flat else "0xf000"), {}


def source_case(name, mode, text, regs, gdt, idt, **more):
    """A case for one of sources(): the absent segment, the absent page."""
    g = {T(9): desc(RW, 0, 0xfffff, G | D32, mode.ring, False)}
    g.update(gdt)
    pte = {0x3f000: 0x3f000} if getattr(mode, "paging", None) else {}
    return Case(name, mode, text, regs=regs, gdt=g, idt=idt, pte=pte, **more)


def events():
    """Every source through every kind of gate, from every ring, to the ring of the handler's segment."""
    for mode in PM32 + [PM16[3], paged(PM32[0]), paged(PM32[3]), paged(PM16[1], "pae")]:
        for name, vector, text, regs in sources(mode):
            for kind in GATES:
                for dpl in sorted({0, mode.ring}):
                    yield source_case(f"event/{name}/{GATE_NAMES[kind]}/to{dpl}/{mode}", mode, text, regs, {T(0): code(size_of(kind), dpl=dpl)},
                                      {vector: gate(kind, T(0), offset(kind), 3)})
            yield tasked_source(f"event/{name}/task/{mode}", mode, vector, text, regs)


def tasked_source(name, mode, vector, text, regs, kind32=True, dpl=3):
    tss = tss32(cr3=mode.regs["cr3"], eip=CODE2, cs=CODE32(0), sss=DATA32(0), ds=DATA32(0), es=DATA32(0), ldt=LDT_SEL, eflags=2,
                regs=[0x70000001 + i * 0x01010101 if i != 4 else STACK[0] + 0xf00 for i in range(8)])
    return source_case(name, mode, text, regs, {}, {vector: gate(SYS_TASK, TSS2_SEL, 0, dpl)}, mem={TSS2: tss})


def gate_rights():
    """DPL of the gate against CPL: for software interrupts only."""
    for mode in PM32 + [PM16[2]]:
        for name, vector, text, regs in sources(mode):
            for dpl in range(4):
                yield source_case(f"gate-dpl/{name}/dpl{dpl}/{mode}", mode, text, regs, {T(0): code(4)}, {vector: gate(SYS_INT32, T(0), CODE2, dpl)})


def gate_kinds():
    """Descriptors in the IDT that are no gates, gates not present, the IDT's limit."""
    for mode in (PM32[0], PM32[3], PM16[3]):
        for name, vector, text, regs in sources(mode):
            if name not in ("int", "int3", "ud", "gp", "icebp"):
                continue
            for kind in SYSTEM + MEMORY:
                for present in (True, False):
                    idt = {vector: gate(kind, T(0), offset(kind), 3, 0, present)}
                    if kind == SYS_TASK:
                        idt = {vector: gate(kind, TSS2_SEL, 0, 3, 0, present)}
                    yield source_case(f"gate-kind/{name}/{kind & 0x1f:02x}{'' if present else '/absent'}/{mode}", mode, text, regs, {T(0): code(size_of(kind), dpl=mode.ring)}, idt)
        for vector in (0x40, 0x41, 0x80, 0xff):
            for delta in (-1, 0, 1, 6, 7):
                yield source_case(f"idt-limit/{vector:x}/{delta:+}/{mode}", mode, f"int {vector}", dict(idt_limit=vector * 8 + delta), {}, {})


def gate_targets():
    """What a gate may name: every kind of descriptor, DPL, conforming, null, outside, LDT; for INT n (EXT 0) and for a fault (EXT 1)."""
    for mode in (PM32[0], PM32[3], PM16[2], PM32[1]):
        for name, vector, text, regs in sources(mode):
            if name not in ("int", "ud"):
                continue

            def case(label, sel, **more):
                g = more.pop("gdt", {})
                return source_case(f"handler/{label}/{name}/{mode}", mode, text, regs, g, {vector: gate(SYS_INT32, sel, CODE2, 3)}, **more)

            for kind in SYSTEM + MEMORY:
                for present in (True, False):
                    d = desc(kind, 0, 0xfffff, G | D32, 0, present) if kind >= 0x90 else desc(kind, TSS2, 0x67, 0, 0, present)
                    yield case(f"{kind & 0x1f:02x}{'' if present else '/absent'}", T(0), gdt={T(0): d})
            for access in (XR, XR_CONF, XO):
                for dpl in range(4):
                    for rpl in (0, 3):
                        yield case(f"{access:x}/dpl{dpl}/rpl{rpl}", T(0, rpl), gdt={T(0): code(4, access, dpl)})
            for label, sel in (("null", 0), ("null3", 3), ("outside", 0x400), ("ldt", TL(0)), ("ldt-outside", 0x204), ("ldt-absent", TL(1))):
                yield case(label, sel, ldt={TL(0): code(4), TL(1): code(4, present=False)})
            for delta in (-1, 1, 2):
                yield case(f"limit{delta:+}", T(0), gdt={T(0): code(4, limit=CODE2 + delta)})
                yield case(f"limit{delta:+}/same", T(0), gdt={T(0): code(4, dpl=mode.ring, limit=CODE2 + delta)})


def inner_stacks():
    """The stack of the inner ring: kind, rights, limit, TSS; for INT n, a fault with and one without error code."""
    for mode, ring in ((PM32[3], 0), (PM32[3], 1), (PM16[2], 1)):
        for name, vector, text, regs in sources(mode):
            if name not in ("int", "ud", "gp"):
                continue

            def case(label, sel, esp=None, **more):
                g = {T(0): code(4, dpl=ring)}
                g.update(more.pop("gdt", {}))
                t = tss32(ss=[DATA32(r) if r != ring else sel for r in range(3)], esp=[STACK[r] + 0x1000 if r != ring or esp is None else esp for r in range(3)])
                c = source_case(f"inner-ss/{label}/{ring}/{name}/{mode}", mode, text, dict(regs, **more.pop("regs", {})), g, {vector: gate(SYS_INT32, T(0), CODE2, 3)}, tss=more.pop("tss", t), **more)
                return tasked(c, *[v for v in (8, 10, 11, 12, 13, 14) if v != vector]) if ring == 0 else c

            for k in SYSTEM + MEMORY:
                for present in (True, False):
                    d = desc(k, 0, 0xfffff, G | D32, ring, present) if k >= 0x90 else desc(k, TSS2, 0x67, 0, ring, present)
                    yield case(f"{k & 0x1f:02x}{'' if present else '/absent'}", T(8, ring), gdt={T(8): d})
            for dpl in range(4):
                for rpl in range(4):
                    yield case(f"dpl{dpl}/rpl{rpl}", T(8, rpl), gdt={T(8): desc(RW, 0, 0xfffff, G | D32, dpl)})
            for label, sel in (("null", 0), ("null-rpl", ring), ("outside", 0x400), ("ldt", TL(0)), ("ldt-outside", 0x204)):
                yield case(label, sel & ~3 | ring if label != "null" else 0, ldt={TL(0): desc(RW, 0, 0xfffff, G | D32, ring)})
            frame = 24 if name == "gp" else 20
            for big in (0, D32):
                for esp in (0, 2, frame - 1, frame, frame + 1, 0x802, 0x803, 0x10000, 0x12340800):
                    yield case(f"up{'32' if big else '16'}/{esp:x}", T(8, ring), esp=esp, gdt={T(8): desc(RW, BITMAP, 0x801, big, ring)})
                for limit in (0x7fe, 0x7ff, 0x800 - frame - 1, 0x800 - frame):
                    yield case(f"down{'32' if big else '16'}/limit{limit:x}", T(8, ring), esp=0x800, gdt={T(8): desc(RW_DOWN, BITMAP, limit, big, ring)})
            for limit in (0, 3, 7, 11, 15, 0x66):
                yield case(f"tss-limit{limit:x}", DATA32(ring), gdt={T(17): desc(SYS_TSS32, TSS, limit, 0)}, regs=dict(tr=T(17)))
                yield case(f"tss16-limit{limit:x}", DATA32(ring), gdt={T(17): desc(SYS_TSS16, TSS16, limit, 0)}, regs=dict(tr=T(17)))


def same_stacks():
    """The same ring: room on the current stack, by limit and by page."""
    for mode in (PM32[0], PM32[3], PM16[0]):
        for name, vector, text, regs in sources(mode):
            if name not in ("int", "ud", "gp"):
                continue
            for kind in (SYS_INT16, SYS_INT32):
                frame = size_of(kind) * (4 if name == "gp" else 3)
                for big in (0, D32):
                    for esp in (0, 1, 2, frame - 2, frame - 1, frame, frame + 1, 0x802, 0x804):
                        c = source_case(f"same-ss/{GATE_NAMES[kind]}/{'32' if big else '16'}/{esp:x}/{name}/{mode}", mode, text, dict(regs, ss=T(8, mode.ring), esp=esp),
                                        {T(8): desc(RW | A, BITMAP, 0x801, big, mode.ring), T(0): code(size_of(kind), dpl=mode.ring)}, {vector: gate(kind, T(0), offset(kind), 3)})
                        yield tasked(c, *[v for v in (8, 10, 11, 12, 13, 14) if v != vector]) if mode.ring == 0 else c


def flags():
    """What is pushed and what is left of EFLAGS."""
    for mode in (PM32[0], PM32[3], PM16[3], V86, paged(V86)):
        for kind in GATES:
            for name, bits in (("all", ALLFLAGS), ("if", IF), ("nt", NT), ("ac", AC), ("vif", VIF), ("vip", VIP | VIF), ("id", ID), ("rf", RF), ("iopl3-if", iopl(3) | IF | NT), ("iopl1", iopl(1) | DF)):
                yield Case(f"flags/{GATE_NAMES[kind]}/{name}/{mode}", mode, "db 0xf1", regs=dict(eflags=mode.regs["eflags"] & ~(iopl(3) if name == "iopl1" else 0) | bits),
                           gdt={T(0): code(size_of(kind))}, idt={1: gate(kind, T(0), offset(kind))})
                yield Case(f"flags/{GATE_NAMES[kind]}/{name}/ud/{mode}", mode, "ud2", regs=dict(eflags=mode.regs["eflags"] & ~(iopl(3) if name == "iopl1" else 0) | bits),
                           gdt={T(0): code(size_of(kind))}, idt={6: gate(kind, T(0), offset(kind)), 1: gate(SYS_INT32, HCODE, stub(1))}, more={CODE2: (32 if size_of(kind) == 4 else 16, "db 0xf1")})


def from_v86():
    """v86: to ring 0 and nowhere else."""
    for mode in (V86, paged(V86)):
        for name, vector, text in (("int", 0x40, "int 0x40"), ("ud", 6, "ud2"), ("int3", 3, "int3"), ("icebp", 1, "db 0xf1"), ("gp", 13, "lgdt [0]"), ("into", 4, "into")):
            regs = dict(eflags=mode.regs["eflags"] | OF) if name == "into" else {}
            for kind in GATES:
                for access in (XR, XR_CONF):
                    for dpl in range(4):
                        yield Case(f"v86/{name}/{GATE_NAMES[kind]}/{access:x}/dpl{dpl}/{mode}", mode, text, regs=regs, gdt={T(0): code(size_of(kind), access, dpl)},
                                   idt={vector: gate(kind, T(0), offset(kind), 3)})
            for dpl in range(4):
                yield Case(f"v86/{name}/gate-dpl{dpl}/{mode}", mode, text, regs=regs, idt={vector: gate(SYS_INT32, HCODE, stub(vector), dpl)})
            for esp in (0, 8, 35, 36, 37, 39, 40, 41):
                c = Case(f"v86/{name}/esp{esp}/{mode}", mode, text, regs=regs, gdt={T(8): desc(RW | A, BITMAP, 0x801, 0)}, tss=tss32(ss=[T(8)] * 3, esp=[esp] * 3), idt={vector: gate(SYS_INT32, HCODE, stub(vector), 3)})
                yield tasked(c, *[v for v in (8, 10, 11, 12, 13, 14) if v != vector])


def real_mode():
    """The IVT, its limit and base, the stack's end."""
    for name, vector, text, regs in (("int", 0x40, "int 0x40", {}), ("int3", 3, "int3", {}), ("into", 4, "into", dict(eflags=2 | OF)), ("icebp", 1, "db 0xf1", {}), ("de", 0, "div dl", dict(edx=0)),
                                     ("br", 5, "bound eax, [es:0x2000]", dict(eax=0x7fffffff)), ("ud", 6, "ud2", {}), ("nm", 7, "fnop", dict(cr0=0x10 | TS)), ("gp", 13, "mov eax, [es:0xfffe]", {}), ("ss", 12, "mov eax, [ss:0xfffe]", {})):
        for eflags in (2, 2 | IF | ALLFLAGS, 2 | NT | iopl(3), 2 | AC | ID):
            yield Case(f"real/{name}/flags{eflags:x}", REALMODE, text, regs=dict(regs, eflags=eflags | regs.get("eflags", 0)), ivt={vector: (CODE2 >> 4, 0)})
        for delta in (-1, 0, 2, 3):
            if vector:
                yield Case(f"real/{name}/limit{delta:+}", REALMODE, text, regs=dict(regs, idt_limit=vector * 4 + delta))
        for sp in (0, 1, 2, 3, 4, 5, 6, 7, 8, 0xffff):
            yield Case(f"real/{name}/sp{sp:x}", REALMODE, text, regs=dict(regs, ss=BITMAP >> 4, esp=0xa5a50000 | sp), mem={BITMAP: bytes(16)})
        yield Case(f"real/{name}/base", REALMODE, text, regs=dict(regs, idt_base=DATA), mem={DATA: template()[ARENA_BYTES:]})
        if name == "gp":
            continue
        yield Case(f"real/{name}/to-ffff", REALMODE, text, regs=regs, ivt={vector: (0x2101, 0xffff)}, mem={0x3100f: b"\x0f\x0b"})


def irqs():
    """An interrupt that waits: when it is taken, and through what."""
    tail = "\n".join(["inc ax"] * 4)
    for mode in PM32 + PM16 + [REALMODE, V86]:
        for name, text in (("sti", "sti"), ("sti-sti", "sti\nsti"), ("sti-cli", "sti\ncli"), ("sti-movss", "mov dx, ss\nsti\nmov ss, dx"), ("movss", "mov dx, ss\nsti\nmov ss, dx\nmov ss, dx"), ("popf", "pushf\nor {}, 0x200\npopf".format("dword [esp]" if mode.bits == 32 else "word [esp]")),
                           ("sti-hlt", "sti\nhlt"), ("sti-jmp", "sti\njmp .next\n.next:"), ("sti-pushf", "sti\npushf"), ("sti-int", "sti\nint 0x40"), ("sti-ud", "sti\nud2"), ("popss", "push ss\nsti\npop ss\ninc bx"),
                           ("sti-rep", "mov di, 0x3000\nmov cx, 3\nsti\nrep stosb"), ("loop", "mov cx, 2\nsti\n.again: loop .again")):
            for io in (0, 3):
                if mode in (REALMODE,) and io:
                    continue
                yield Case(f"irq/{name}/iopl{io}/{mode}", mode, text + "\n" + tail, regs=dict(eflags=mode.regs["eflags"] & ~iopl(3) | iopl(io)), flags=IRQ)
        first, on = ("sti\n", 0) if mode.ring == 0 else ("", IF)        # ring 0 cases get their flags inside the harness
        for kind in GATES + (SYS_TASK,):
            if mode is REALMODE:
                continue
            idt = {0x20: gate(kind, T(0), offset(kind)) if kind != SYS_TASK else gate(kind, T(17), 0)}
            tss = tss32(cr3=0, eip=CODE2, cs=CODE32(0), sss=DATA32(0), ds=DATA32(0), es=DATA32(0), regs=[0x70000001 + i if i != 4 else STACK[0] + 0xf00 for i in range(8)])
            for bits in (0, NT, AC | ID):
                yield Case(f"irq/through/{GATE_NAMES[kind]}/{bits:x}/{mode}", mode, first + "inc ax\ninc ax", regs=dict(eflags=mode.regs["eflags"] | on | bits), flags=IRQ, idt=idt,
                           gdt={T(0): code(size_of(kind)), T(17): desc(SYS_TSS32, TSS2, 0x67, 0)}, mem={TSS2: tss})
        if mode is not REALMODE:
            for name, g in (("absent", gate(SYS_INT32, HCODE, stub(0x20), 0, 0, False)), ("call", gate(SYS_CALL32, HCODE, stub(0x20))), ("null", gate(SYS_INT32, 0, stub(0x20))), ("outside", gate(SYS_INT32, 0x400, stub(0x20)))):
                yield Case(f"irq/bad/{name}/{mode}", mode, first + "inc ax\ninc ax", regs=dict(eflags=mode.regs["eflags"] | on), flags=IRQ, idt={0x20: g})
            yield Case(f"irq/bad/limit/{mode}", mode, first + "inc ax", regs=dict(eflags=mode.regs["eflags"] | on, idt_limit=0xff), flags=IRQ)


def double():
    """Chains: each first exception with each second one (SDM vol. 3, table 6-5), and a third."""
    mode = paged(PM32[3])
    firsts = {"de": (0, "xor ecx, ecx\ndiv ecx"), "ud": (6, "ud2"), "np": (11, f"mov ax, {T(9, 3):#x}\nmov ds, ax"), "ss": (12, f"mov ax, {T(9, 3):#x}\nmov ss, ax"), "gp": (13, "mov ax, 0x400\nmov ds, ax"),
              "pf": (14, "mov eax, [0x3f000]"), "db": (1, "db 0xf1"), "bp": (3, "int3"), "int": (0x40, "int 0x40"), "int13": (13, "int 13"), "nm": (7, "mov eax, cr0")}
    seconds = {"np": lambda v: {v: gate(SYS_INT32, HCODE, stub(v), 3, 0, False)}, "gp": lambda v: {v: gate(SYS_INT32, 0x400, stub(v), 3)}, "ts": None, "ss": None, "pf": None}
    for first, (vector, text) in firsts.items():
        for second in seconds:
            for third in (False, True) if second == "np" else (False,):
                gdt, idt, pte, tss = {T(9): desc(RW, 0, 0xfffff, G | D32, 3, False), T(0): code(4), T(1): code(4, dpl=1)}, {}, {0x3f000: 0x3f000}, None
                if second in ("np", "gp"):
                    idt = seconds[second](vector)
                elif second in ("ts", "ss", "pf"):
                    # the handler is in ring 1, whose stack is bad
                    idt = {vector: gate(SYS_INT32, T(1), CODE2, 3)}
                    gdt[T(8)] = desc(RW | A, 0, 0xfffff, G | D32, 1, False)
                    tss = tss32(ss=[DATA32(0), {"ts": 0, "ss": T(8, 1), "pf": DATA32(1)}[second], 0], esp=[STACK[0] + 0x1000, 0x3e008, 0])
                    pte[0x3e000] = 0x3e000
                if third:
                    idt[8] = gate(SYS_INT32, HCODE, stub(8), 0, 0, False)
                yield Case(f"double/{first}/{second}{'/triple' if third else ''}", mode, text, gdt=gdt, idt=idt, pte=pte, tss=tss)


def cases():
    for part in (events, gate_rights, gate_kinds, gate_targets, inner_stacks, same_stacks, flags, from_v86, real_mode, irqs, double):
        for c in part():
            if CODE2 not in c.more:
                c.mem.setdefault(CODE2, b"\xcd\x41")
            yield c


def hand():
    flat, user, small = PM32[0], PM32[3], PM16[0]
    pg, pgu = paged(PM32[0]), paged(PM32[3])

    def case(name, mode, text, **more):
        c = Case(name, mode, text, **more)
        if CODE2 not in c.more:
            c.mem.setdefault(CODE2, b"\xcd\x41")
        return c

    # handlers that return
    back = {0x40: gate(SYS_INT32, T(0), CODE2, 3)}
    for mode in (flat, user, PM16[3], PM32[2]):
        yield case(f"int-and-back/{mode}", mode, "stc\nint 0x40\nmov bx, cs", gdt={T(0): code(4)}, idt=back, more={CODE2: (32, "mov eax, [esp + 4]\nclc\niretd")})
        yield case(f"trap16-and-back/{mode}", mode, "int 0x40\nmov bx, cs", regs=dict(cs=T(1, mode.ring), eip=0), gdt={T(0): code(2), T(1): code(2, dpl=mode.ring)}, idt={0x40: gate(SYS_TRAP16, T(0), OFF2, 3)}, more={CODE2: (16, "iret", OFF2)}) if mode.bits == 16 else \
            case(f"nested/{mode}", mode, "int 0x40", gdt={T(0): code(4)}, idt=back, more={CODE2: (32, "int3\niretd")})
    yield case("error-code-popped", user, "mov ax, 0x408\nmov ds, ax", gdt={T(0): code(4)}, idt={13: gate(SYS_INT32, T(0), CODE2)}, more={CODE2: (32, "pop ebx\nadd dword [esp], 3\niretd")})
    yield case("restart-behind-a-page-fault", pgu, "mov eax, [0x3f000]\ninc eax", gdt={T(0): code(4)}, idt={14: gate(SYS_INT32, T(0), CODE2)}, pte={0x3f000: 0x3f000}, more={CODE2: (32, "pop ebx\nmov dword [0x250fc], 0x3f067\nmov ecx, cr2\ninvlpg [ecx]\niretd")})
    # TF around INT and its like
    for name, text in (("int", "int 0x40"), ("int3", "int3"), ("into", "into"), ("icebp", "db 0xf1"), ("ud", "ud2"), ("nop", "nop"), ("popf", "popfd"), ("jmp", "jmp 0x20:at(.x)\n.x:"), ("movss", "mov ss, dx\nnop"), ("rep", "rep stosb"), ("call-gate", "call 0x110:0")):
        yield case(f"tf/{name}", flat, f"mov dx, ss\nmov edi, 0x33000\nmov ecx, 2\npushfd\npushfd\nor dword [esp], 0x100\npopfd\n{text}", regs=dict(eflags=2 | OF), gdt={T(2): gate(SYS_CALL32, CODE32(0), CODE2)}, idt={1: gate(SYS_INT32, HCODE, stub(1))})
    yield case("tf/handler-runs-without", user, "int 0x40\nnop", regs=dict(eflags=2 | TF), gdt={T(0): code(4)}, idt=back, more={CODE2: (32, "nop\npushfd\npop eax\niretd")})
    # the IDT: not there, read-only memory, the end of the address space
    for name, entry in (("absent", 0), ("ro", PTE_P | PTE_U), ("super", PTE_P | PTE_W)):
        yield case(f"idt-page/{name}", pgu, "int 0x40", pte={IDT: IDT | entry})
    yield case("idt-second-page-missing", pgu, "int 0x41", regs=dict(idt_base=0x33df4), pte={0x34000: 0}, mem={0x33df4: b"".join(gate(SYS_INT32, HCODE, stub(v), 3) for v in range(0x60))})
    yield case("gate-over-two-pages", pgu, "int 0x41", regs=dict(idt_base=0x33df4), mem={0x33df4: b"".join(gate(SYS_INT32, HCODE, stub(v), 3) for v in range(0x60))})
    yield case("idt-odd-base", user, "int 0x41", regs=dict(idt_base=0x33df3), mem={0x33df3: b"".join(gate(SYS_INT32, HCODE, stub(v), 3) for v in range(0x60))})
    yield case("idt-limit-0", user, "int 0x41", regs=dict(idt_limit=0))
    yield case("idt-limit-for-13-alone", user, "int 0x41", regs=dict(idt_limit=13 * 8 + 7))
    yield case("idt-limit-for-8-alone", user, "int 0x41", regs=dict(idt_limit=8 * 8 + 7))
    yield case("idt-in-no-memory", user, "int 0x41", regs=dict(idt_base=0xe0000000))
    yield case("idt-at-4g", user, "int 0x41", regs=dict(idt_base=0xfffffdf8))
    yield case("gdt-in-no-memory", flat, "mov dword [0x32000], 0xffff\nmov dword [0x32002], 0xe0000000\nlgdt [0x32000]\nint 0x41")
    yield case("gate-reserved-bits", user, "int 0x40", gdt={T(0): code(4)}, idt={0x40: struct.pack("<HHBBH", 0x1000, T(0), 0xff, SYS_INT32 | 0x60, 3)})
    yield case("gate-rpl-ignored", user, "int 0x40", gdt={T(0): code(4)}, idt={0x40: gate(SYS_INT32, T(0, 3), CODE2, 3)})
    # #DF: by task gate, with the state of the first fault in the TSS
    df = {T(17): desc(SYS_TSS32, TSS_DF, 0x67, 0)}
    df_tss = {TSS_DF: tss32(cr3=PD, eip=stub(8), cs=HCODE, sss=HDATA, ds=HDATA, es=HDATA, regs=[0x60000001 + i if i != 4 else BITMAP + 0xff0 for i in range(8)])}
    yield case("df-task/kernel-stack-gone", pgu, "mov eax, [0x3f000]", gdt=df, idt={8: gate(SYS_TASK, T(17), 0)}, mem=dict(df_tss), pte={0x3f000: 0, STACK[0]: 0})
    yield case("df-task/own-stack-gone", pg, "mov esp, 0x3f800\npush eax", gdt=df, idt={8: gate(SYS_TASK, T(17), 0)}, mem=dict(df_tss), pte={0x3f000: 0})
    yield case("df-task/stack-overflow", flat, "mov esp, 4\npush eax\npush eax", regs=dict(ss=T(8)), gdt={**df, T(8): desc(RW | A, BITMAP, 0xfff, D32)}, idt={8: gate(SYS_TASK, T(17), 0)}, mem={TSS_DF: tss32(eip=stub(8), cs=HCODE, sss=HDATA, ds=HDATA, es=HDATA, regs=[0] * 4 + [SPARE + 0xff0] + [0] * 3)})
    yield case("df-task/tss-bad", flat, "mov esp, 4\npush eax\npush eax", regs=dict(ss=T(8)), gdt={T(8): desc(RW | A, BITMAP, 0xfff, D32), T(17): desc(SYS_TSS32, TSS_DF, 0x66, 0)}, idt={8: gate(SYS_TASK, T(17), 0)})
    yield case("df-task/tss-busy", flat, "mov esp, 4\npush eax\npush eax", regs=dict(ss=T(8)), gdt={T(8): desc(RW | A, BITMAP, 0xfff, D32), T(17): desc(SYS_TSS32_BUSY, TSS_DF, 0x67, 0)}, idt={8: gate(SYS_TASK, T(17), 0)})
    yield case("df/then-np", user, "mov ax, 0x408\nmov ds, ax", idt={13: gate(SYS_INT32, HCODE, stub(13), 0, 0, False), 8: gate(SYS_INT32, HCODE, stub(8), 0, 0, False)})
    yield case("ud-np-chain", user, "ud2", idt={6: gate(SYS_INT32, HCODE, stub(6), 0, 0, False), 11: gate(SYS_INT32, HCODE, stub(11), 0, 0, False)})
    yield case("ud-np-np-np", user, "ud2", idt={6: gate(SYS_INT32, HCODE, stub(6), 0, 0, False), 11: gate(SYS_INT32, HCODE, stub(11), 0, 0, False), 8: gate(SYS_INT32, 0, 0)})
    yield case("pf-in-delivery-of-int", pgu, "int 0x40", gdt={T(0): code(4, dpl=1)}, idt={0x40: gate(SYS_INT32, T(0), CODE2, 3)}, pte={STACK[1]: 0})
    yield case("pf-in-delivery-of-pf", pgu, "mov eax, [0x3f000]", gdt={T(0): code(4, dpl=1)}, idt={14: gate(SYS_INT32, T(0), CODE2, 3)}, pte={STACK[1]: 0, 0x3f000: 0})
    yield case("pf-in-delivery-of-gp", pgu, "mov ax, 0x408\nmov ds, ax", gdt={T(0): code(4, dpl=1)}, idt={13: gate(SYS_INT32, T(0), CODE2, 3)}, pte={STACK[1]: 0})
    yield case("gp-in-delivery-of-pf", pgu, "mov eax, [0x3f000]", idt={14: gate(SYS_INT32, 0x400, CODE2, 3)}, pte={0x3f000: 0})
    # interrupts that wait, and prefixes
    yield case("irq/behind-iret", flat, "pushfd\nor dword [esp], 0x200\npush cs\npush dword at(.x)\niretd\n.x: inc eax\ninc eax", flags=IRQ)
    yield case("irq/behind-popf", flat, "pushfd\nor dword [esp], 0x200\npopfd\ninc eax\ninc eax", flags=IRQ)
    yield case("irq/in-rep-movs", flat, "mov esi, 0x32000\nmov edi, 0x34000\nmov ecx, 8\nsti\nrep movsd", flags=IRQ)
    yield case("irq/task-and-back", flat, "sti\nnop\nmov eax, 0x1234", flags=IRQ, idt={0x20: gate(SYS_TASK, T(17), 0)}, gdt={T(17): desc(SYS_TSS32, TSS2, 0x67, 0)},
               mem={TSS2: tss32(eip=CODE2, cs=CODE32(0), sss=DATA32(0), ds=DATA32(0), es=DATA32(0), regs=[0] * 4 + [BITMAP + 0x800] + [0] * 3)}, more={CODE2: (32, "mov al, 0x20\nout 0x20, al\niretd")})
    yield case("irq/eoi-and-back", user, "sti\nnop\nnop\nmov eax, 0x1234", regs=dict(eflags=2 | iopl(3)), flags=IRQ, idt={0x20: gate(SYS_INT32, T(0), CODE2)}, gdt={T(0): code(4)}, more={CODE2: (32, "push eax\nmov al, 0x20\nout 0x20, al\npop eax\niretd")})
    yield case("irq/hlt-and-back", flat, "sti\nhlt\nmov eax, 0x1234", flags=IRQ, idt={0x20: gate(SYS_INT32, T(0), CODE2)}, gdt={T(0): code(4)}, more={CODE2: (32, "push eax\nmov al, 0x20\nout 0x20, al\npop eax\niretd")})
    yield case("irq/lss", flat, "sti\nlss esp, [0x33000]\ninc eax\ninc eax", mem={0x33000: struct.pack("<IH", STACK[0] + 0x700, DATA32(0))}, flags=IRQ)
    yield case("irq/bad-gate-twice", flat, "sti\nnop", flags=IRQ, idt={0x20: gate(SYS_INT32, 0x400, 0), 13: gate(SYS_INT32, 0x408, 0)})
    yield case("lock-int", flat, b"\xf0\xcd\x40")
    yield case("rep-int", flat, b"\xf3\xcd\x40")
    yield case("o16-int", flat, b"\x66\xcd\x40")
    yield case("lock-int3", flat, b"\xf0\xcc")
    yield case("lock-iret", flat, b"\xf0\xcf")
    yield case("into-without-of", flat, "into\nmov eax, 1")
    yield case("int-keeps-df-and-flags", user, "std\nstc\nint 0x40", gdt={T(0): code(4)}, idt=back)
    yield case("real/iret-back", REALMODE, "stc\nint 0x40\nmov ax, 1", ivt={0x40: (CODE2 >> 4, 0)}, more={CODE2: (16, "clc\niret", 0)})
    yield case("real/high-esp", REALMODE, "int 0x40", regs=dict(esp=0x12340000))
