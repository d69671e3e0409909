"""Accesses that lie over two pages, the second (or first) missing, read-only or not the ring's: who faults, where, and what remains."""
from pages import *  # noqa: F403

# FAR and the pages behind it are DATA pages out of order, so that neighbours in linear addresses are none in memory.
PHYS = [DATA + 0x3000, DATA + 0x1000, DATA + 0x5000, DATA + 0x8000]
EDGE = FAR + 0x1000
GOOD = PTE_P | PTE_W | PTE_U
STATES = {"ok": GOOD, "np": PTE_W | PTE_U, "ro": PTE_P | PTE_U, "sup": PTE_P | PTE_W}


def tables(f, *states):
    return f.far(GOOD, *[s | PHYS[i] for i, s in enumerate(states)])


def at(linear):
    """Where FAR's first pages are in memory."""
    n = linear - FAR
    return PHYS[n >> 12] + (n & 0xfff)


def put(linear, data):
    """Bytes at a linear address of FAR, which may run over an edge."""
    out = {}
    while data:
        n = min(len(data), 0x1000 - (linear & 0xfff))
        out[at(linear)] = data[:n]
        linear, data = linear + n, data[n:]
    return out


# name: (bytes touched, code that touches ECX, flags)
ACCESS = {
    "read2": (2, "mov ax, [ecx]"), "read4": (4, "mov eax, [ecx]"), "write2": (2, "mov [ecx], ax"), "write4": (4, "mov [ecx], eax"),
    "rmw2": (2, "add word [ecx], 0x101"), "rmw4": (4, "inc dword [ecx]"), "xchg4": (4, "xchg [ecx], eax"), "lock4": (4, "lock not dword [ecx]"),
    "xadd4": (4, "xadd [ecx], eax"), "cmpxchg4": (4, "mov eax, [ds:0x32000]\ncmpxchg [ecx], edx"), "cmpxchg8b": (8, "cmpxchg8b [ecx]"),
    "bts4": (4, "bts dword [ecx], 5"), "shld4": (4, "shld [ecx], eax, 8\ntest eax, 0"), "cmp4": (4, "cmp eax, [ecx]"), "sub4": (4, "sub eax, [ecx]"),
    "push-from4": (4, "push dword [ecx]"), "pop-to4": (4, "pop dword [ecx]"),
    "fld4": (4, "fld dword [ecx]"), "fld8": (8, "fld qword [ecx]"), "fld10": (10, "fld tword [ecx]"), "fild2": (2, "fild word [ecx]"), "fild8": (8, "fild qword [ecx]"),
    "fbld": (10, "fbld [ecx]"), "fst4": (4, "fld1\nfstp dword [ecx]"), "fst8": (8, "fld1\nfstp qword [ecx]"), "fst10": (10, "fldpi\nfstp tword [ecx]"),
    "fist2": (2, "fld1\nfistp word [ecx]"), "fist8": (8, "fld1\nfistp qword [ecx]"), "fbstp": (10, "fldz\nfbstp [ecx]"),
    "fldenv": (28, "fldenv [ecx]"), "fldcw": (2, "fldcw [ecx]"), "fnstcw": (2, "fnstcw [ecx]"), "fnstsw": (2, "fnstsw [ecx]"),
    "fldenv16": (14, "o16 fldenv [ecx]"), "frstor": (108, "frstor [ecx]"),
    "movq-from": (8, "movq mm1, [ecx]"), "movq-to": (8, "movq [ecx], mm1"),
    "bound4": (8, "mov eax, 0x7fffffff\nbound eax, [ecx]"), "les4": (6, "les eax, [ecx]"), "lfs2": (4, "lfs ax, [ecx]"),
    "sgdt": (6, "sgdt [ecx]"), "sidt": (6, "sidt [ecx]"), "str2": (2, "str [ecx]"), "callm": (4, "call [ecx]"), "jmpm": (4, "jmp [ecx]"),
    "jmpfar": (6, "jmp far [ecx]"), "callfar": (6, "call far [ecx]"), "movs-from": (4, "mov esi, ecx\nmov edi, 0x3e000\nmovsd"), "movs-to": (4, "mov edi, ecx\nmov esi, 0x3e000\nmovsd"),
    "stos4": (4, "mov edi, ecx\nstosd"), "lods4": (4, "mov esi, ecx\nlodsd"), "scas2": (2, "mov edi, ecx\nscasw"), "cmps4": (4, "mov edi, ecx\nmov esi, 0x3e000\ncmpsd"),
    "pop4": (4, "mov esp, ecx\npop eax"), "popf4": (4, "mov esp, ecx\npopf"), "ret4": (4, "mov esp, ecx\nret"), "leave4": (4, "mov ebp, ecx\nleave"),
    "push4": (4, "lea esp, [ecx + 4]\npush eax"), "push2": (2, "lea esp, [ecx + 2]\npush ax"), "pushf4": (4, "lea esp, [ecx + 4]\npushf"),
    "call4": (4, "lea esp, [ecx + 4]\ncall .next\n.next:"), "popfs": (4, "mov esp, ecx\npop fs"),
}
STACK_OPS = ("pop4", "popf4", "ret4", "leave4", "push4", "push2", "pushf4", "call4", "popfs")


def simple():
    for f in FORMATS:
        for ring in (0, 3):
            mode = paged(PM32[ring], f.kind)
            for name, (size, code) in ACCESS.items():
                for page in ("first", "second"):
                    for state, e in STATES.items():
                        if state == "ok" and page == "first" or ring == 0 and (state == "sup" or name in STACK_OPS and state != "ok"):
                            continue
                        if f is P32 and (page == "first" or state in ("sup", "ok")) or ring == 0 and (page == "first" or state == "ro"):
                            continue
                        for before in sorted({1, size // 2, size - 1}):
                            if (f is P32 or ring == 0 or state == "sup") and before not in (1, 2) or state == "ok" and before != size // 2:
                                continue
                            ecx = EDGE - before
                            good = struct.pack("<II", CODE + 0x800, DATA32(ring))
                            states = (e, GOOD) if page == "first" else (GOOD, e)
                            yield Case(f"{f}/{name}/{page}-{state}/{before}/r{ring}", mode, code, regs=dict(ecx=ecx),
                                       flags=FPU if name[0] == "f" or name[:3] == "mov" and "mm" in code else 0,
                                       mem=merge(tables(f, *states), put(ecx, good if size < 14 else bytes(size))))


# Frames of several words: code with ESP at the top of the frame, and its size.
FRAMES = {
    "pusha": (32, "pusha"), "pusha16": (16, "o16 pusha"), "enter0": (4, "enter 0x20, 0"), "enter1": (8, "enter 8, 1"), "enter3": (16, "enter 0x10, 3"),
    "pushes": (12, "push eax\npush ecx\npush edx"), "callfar": (8, "call CODESEL:0x30800"), "callgate": (8, "call 0x113:0"),
    "calls": (8, "push eax\ncall .next\n.next:"), "int": (0, "int 0x21"), "retf": (-8, "retf"), "iret": (-12, "iretd"), "popa": (-32, "popa"),
    "retn": (-8, "ret 0x10"), "pops": (-12, "pop eax\npop ebx\npop edx"),
}


def frames():
    for f in FORMATS:
        for name, (size, code) in FRAMES.items():
            for ring in (1, 3):
                mode = paged(PM32[ring], f.kind)
                code1 = code.replace("CODESEL", hex(CODE32(ring)))
                for state, e in STATES.items():
                    if ring == 1 and state in ("sup", "ok") or ring == 1 and f is P32:
                        continue
                    for part in (1, 2, 4, 6, 8, 12, 16, 20, 28):
                        if part >= abs(size) + 8 or (ring == 1 or f is P32 or state == "ok") and part not in (2, 4, 8):
                            continue
                        esp = EDGE + part if size >= 0 else EDGE - part
                        page = (e, GOOD) if size >= 0 else (GOOD, e)
                        mem = merge(tables(f, *page), put(esp - 0x30, bytes([0x5a]) * 0x60))
                        mem = merge(mem, put(esp, struct.pack("<IIIII", CODE + 0x800, CODE32(ring), 2, FAR + 0x800, DATA32(ring))))
                        yield Case(f"{f}/frame/{name}/{state}/{part}/r{ring}", mode, code1, regs=dict(esp=esp, ebp=EDGE + 0x200),
                                   gdt={T(2): gate(SYS_CALL32, CODE32(ring), CODE + 0x800, 3)}, mem=mem)


def fetches():
    """An instruction over the edge: the second page missing, NX, supervisor; whether its bytes are needed or not."""
    insns = {"mov5": bytes([0xb8, 1, 2, 3, 4]), "add6": bytes([0x81, 0xc3, 5, 6, 7, 8]), "jmp2": bytes([0xeb, 0x00]), "jmp5": bytes([0xe9, 0, 0, 0, 0]),
             "nop1": bytes([0x90]), "lock-ud": bytes([0xf0, 0x40]), "ud2": bytes([0x0f, 0x0b]), "prefixes": bytes([0x2e] * 5 + [0x40]), "write": bytes([0xc7, 0x05, 0x10, 0x20, 0x03, 0, 1, 2, 3, 4]),
             "int": bytes([0xcd, 0x21]), "far": bytes([0xea, 0, 8, 3, 0, 0, 0]), "long": bytes([0x66] * 15 + [0x40]), "movzx": bytes([0x0f, 0xb7, 0x05, 0, 0x20, 3, 0])}
    for f in FORMATS:
        for ring in (0, 3):
            mode = paged(PM32[ring], f.kind)
            for name, b in insns.items():
                for state, e in dict(STATES, **({"nx": GOOD | PTE_NX} if f.pae else {})).items():
                    if ring == 0 and state == "sup":
                        continue
                    for before in range(1, min(len(b), 8) + 1):
                        if ring == 0 and state not in ("np", "nx") or before > 3 and state == "sup":
                            continue
                        if f is P32 and (before > 1 or state != "np") or state in ("ok", "ro") and before not in (1, 4):
                            continue
                        eip = EDGE - before
                        cs = CODE32(ring)
                        yield Case(f"{f}/fetch/{name}/{state}/{before}/r{ring}", mode, "jmp ecx", regs=dict(cs=cs, ecx=eip),
                                   mem=merge(tables(f, GOOD, e), put(eip, b + bytes([0x0f, 0x0b]))))


def strings():
    """REP over an edge into a page that faults: registers and memory as far as it came."""
    ops = {"movs": 2, "stos": 1, "lods": 0, "scas": 0, "cmps": 0}
    for f in FORMATS:
        for ring in (0, 3):
            mode = paged(PM32[ring], f.kind)
            for op in ops:
                for size, letter in ((1, "b"), (2, "w"), (4, "d")):
                    for down in (False, True):
                        for state, e in STATES.items():
                            if ring == 0 and state == "sup" or f is P32 and (state != "np" or size == 2):
                                continue
                            for which in ("di", "si"):
                                if which == "di" and op == "lods" or which == "si" and op in ("stos", "scas"):
                                    continue
                                for odd in (0, 1) if size > 1 else (0,):
                                    if odd and (state != "np" or down or ring == 0) or ring == 0 and (state != "np" or down) or size == 2 and state != "np":
                                        continue
                                    far = EDGE - 3 * size - odd if not down else EDGE + 2 * size + odd
                                    near = 0x3e000 + (0x40 if down else 0)
                                    regs = dict(edi=far if which == "di" else near, esi=far if which == "si" else near, ecx=8, eax=0xd0d0d0d0)
                                    regs["eflags"] = mode.regs["eflags"] | (DF if down else 0)
                                    states = (e, GOOD) if down else (GOOD, e)
                                    fill = bytes([0xd0]) * 0x40
                                    yield Case(f"{f}/rep/{op}{letter}/{which}/{'down' if down else 'up'}/{state}/{odd}/r{ring}", mode, f"rep {op}{letter}", regs=regs,
                                               mem=merge(tables(f, *states), put(EDGE - 0x20, fill), {0x3e000: fill, 0x3e040: fill}))


def cases():
    yield from simple()
    yield from frames()
    yield from fetches()
    yield from strings()


def state_images():
    """FNSTENV, FNSAVE, FXSAVE, FXRSTOR and their like over two pages: all or nothing is not promised, so the image's page is looked at where it came through."""
    full = "fninit\n" + 8 * "fldz\n"                        # what an empty register holds is nobody's business
    for f in FORMATS:
        for ring in (0, 3):
            mode = paged(PM32[ring], f.kind)
            for name, code in {"fnstenv": "fnstenv [ecx]", "fnsave": "fnsave [ecx]\nfld1", "fxrstor": "fxrstor [ecx]"}.items():
                yield Case(f"hand/{name}/ok/{f}/r{ring}", mode, full + code, flags=FPU, regs=dict(ecx=EDGE - 16),
                           mem=merge(tables(f, GOOD, GOOD), put(EDGE - 16, bytes([0x7f, 3]) + bytes(22) + bytes([0x80, 0x1f]) + bytes(486))))
            # The first page is what is missing: nothing can have been written before it.
            for name, code in {"fnstenv": "fnstenv [ecx]", "fnsave": "fnsave [ecx]"}.items():
                yield Case(f"hand/{name}/first/{f}/r{ring}", mode, full + code, flags=FPU, regs=dict(ecx=EDGE - 16), mem=tables(f, PTE_W | PTE_U, PTE_P | PTE_U))


def descriptor_hand():
    """Descriptors, gates and TSSs that lie over two pages."""
    for f in FORMATS:
        m0, m3 = paged(PM32[0], f.kind), paged(PM32[3], f.kind)
        fresh = desc(RW, 0, 0xfffff, G | D32, 3)
        # GDT's last descriptor over the edge of FAR, reached by LGDT with a base of FAR.
        for n, second in (("np", PTE_W), ("ok", GOOD), ("ro", PTE_P)):
            base = EDGE - 0x104
            t = merge(tables(f, GOOD, second), put(base + 8, desc(XR | A, 0, 0xfffff, G | D32) + desc(RW | A, 0, 0xfffff, G | D32)), put(base + 0x100, fresh))
            code = f"mov word [{DATA}], 0x107\nmov dword [{DATA + 2}], {base}\nlgdt [{DATA}]\n"
            yield Case(f"hand/gdt-entry/{n}/{f}", m0, code + "mov ecx, 0x103\nmov fs, cx", mem=t)
            yield Case(f"hand/gdt-entry-lar/{n}/{f}", m0, code + "mov ecx, 0x103\nlar eax, ecx", mem=t)
            # LDTR over the edge: the descriptor is read by 8 bytes.
            yield Case(f"hand/gdt-ldt/{n}/{f}", m0, code + "mov ecx, 0x100\nlldt cx", mem=merge(t, put(base + 0x100, desc(SYS_LDT, LDT, 0x1ff, 0))))
            yield Case(f"hand/gdt-tss/{n}/{f}", m0, code + "mov ecx, 0x100\nltr cx", mem=merge(t, put(base + 0x100, desc(SYS_TSS32, TSS2, 0x67, 0))))
            # IDT entry 30h over the edge.
            ibase = EDGE - 4 - 0x30 * 8
            icode = f"mov word [{DATA}], 0x7ff\nmov dword [{DATA + 2}], {ibase}\nlidt [{DATA}]\nint 0x30"
            it = merge(tables(f, GOOD, second), {at(ibase) & ~0xfff: gate(SYS_INT32, HCODE, stub(14)) * 512}, put(ibase + 0x30 * 8, gate(SYS_INT32, HCODE, stub(0x30))), put(ibase + 14 * 8, gate(SYS_INT32, HCODE, stub(14))))
            yield Case(f"hand/idt-entry/{n}/{f}", m0, icode, mem=it)
            # A TSS over the edge: ESP0 in front of it, SS0 behind.
            tss = EDGE - 8
            for r, m in ((3, m3),):
                yield Case(f"hand/tss-stack/{n}/{f}", m, "int 0x30", gdt={TSS_SEL: desc(SYS_TSS32, tss, 0x67, 0)},
                           mem=merge(f.far(GOOD | PTE_A, GOOD | PTE_A | PHYS[0], second | PHYS[1]), put(tss, tss32())))
            # A task switch to, and from, a TSS over the edge.
            new = tss32(cr3=f.cr3, eip=CODE + 0x800, cs=CODE32(0), sss=DATA32(0), ds=DATA32(0), es=DATA32(0), fs=DATA32(0), gs=DATA32(0), regs=(1, 2, 3, 4, STACK0_INNER, 6, 7, 8))
            for before in (0x20, 0x40, 0x60):
                tss = EDGE - before
                yield Case(f"hand/task-to/{n}/{before:x}/{f}", m0, f"jmp {TSS2_SEL}:0", gdt={TSS2_SEL: desc(SYS_TSS32, tss, 0x67, 0)}, mem=merge(tables(f, GOOD, second), put(tss, new)))
            # LGDT and LIDT operands, BOUND's, and far pointers by segment registers.
        for before in (1, 2, 3, 5):
            for op in ("lgdt", "lidt"):
                yield Case(f"hand/{op}/np/{before}/{f}", m0, f"{op} [ecx]", regs=dict(ecx=EDGE - before), mem=tables(f, GOOD, PTE_W))
                yield Case(f"hand/{op}/ok/{before}/{f}", m0, f"{op} [ecx]\ns{op[1:]} [{DATA}]\nlidt [{DATA + 16}]\nlgdt [{DATA + 24}]", regs=dict(ecx=EDGE - before),
                           mem=merge(tables(f, GOOD, GOOD), put(EDGE - before, struct.pack("<HI", 0x3ff, GDT if op == "lgdt" else IDT)),
                                     {DATA + 16: struct.pack("<HI", 0x7ff, IDT), DATA + 24: struct.pack("<HI", 0x3ff, GDT)}))


def wrap_hand():
    """Linear addresses that wrap at 4 GiB: the last page and the first."""
    for f in FORMATS:
        for ring in (0, 3):
            mode = paged(PM32[ring], f.kind)
            top = {f.pde_address(0xfffff000): f.pack(SPARE | GOOD), f.pte_address(0xfffff000, SPARE): f.pack(PHYS[0] | GOOD)}
            if f.pae:
                top[PDPT + 24] = f.pack(STACK[2] | PTE_P)
                top[STACK[2] + 511 * 8] = f.pack(SPARE | GOOD)
                del top[f.pde_address(0xfffff000)]
            yield Case(f"hand/wrap/last-byte/{f}/r{ring}", mode, "mov al, [ecx]\nmov [ecx], cl", regs=dict(ecx=0xffffffff), mem=top)
            yield Case(f"hand/wrap/stos/{f}/r{ring}", mode, "rep stosb", regs=dict(edi=0xfffffffd, ecx=3), mem=top)
            yield Case(f"hand/wrap/stos-down/{f}/r{ring}", mode, "std\nrep stosb\ncld", regs=dict(edi=0xffffffff, ecx=3), mem=top)
            yield Case(f"hand/wrap/low-np/{f}/r{ring}", mode, "rep stosb", regs=dict(edi=0xfffffffd, ecx=5), mem=top, pte={0: PTE_W})
            yield Case(f"hand/wrap/fetch/{f}/r{ring}", mode, "jmp ecx", regs=dict(ecx=0xfffffffe), pte={0: 0}, mem=merge(top, {PHYS[0] + 0xffe: bytes([0x40, 0x43])}))
            yield Case(f"hand/wrap/fetch-cut/{f}/r{ring}", mode, "jmp ecx", regs=dict(ecx=0xfffffffe), pte={0: 0}, mem=merge(top, {PHYS[0] + 0xffe: bytes([0xb8, 0x43])}))


def order_hand():
    """Which page faults first when several are missing; what an instruction with two memory operands leaves behind."""
    for f in FORMATS:
        m = paged(PM32[3], f.kind)
        both = tables(f, PTE_W, PTE_W, GOOD)
        yield Case(f"hand/order/two-pages/{f}", m, "mov eax, [ecx]", regs=dict(ecx=EDGE - 2), mem=both)
        yield Case(f"hand/order/movs/{f}", m, "movsd", regs=dict(esi=FAR + 0x10, edi=EDGE + 0x10), mem=both)
        yield Case(f"hand/order/cmps/{f}", m, "cmpsd", regs=dict(esi=FAR + 0x10, edi=EDGE + 0x10), mem=both)
        yield Case(f"hand/order/push-mem/{f}", m, "push dword [ecx]", regs=dict(ecx=FAR + 0x10, esp=EDGE + 0x100), mem=both)
        yield Case(f"hand/order/push-mem-stack/{f}", m, "push dword [ecx]", regs=dict(ecx=EDGE + 0x1010, esp=EDGE + 0x100), mem=both)
        yield Case(f"hand/order/pop-mem/{f}", m, "pop dword [ecx]", regs=dict(ecx=FAR + 0x10, esp=EDGE + 0x100), mem=both)
        yield Case(f"hand/order/pop-mem-dest/{f}", m, "pop dword [ecx]", regs=dict(ecx=FAR + 0x10, esp=EDGE + 0x1100), mem=both)
        yield Case(f"hand/order/call-mem/{f}", m, "call [ecx]", regs=dict(ecx=FAR + 0x10, esp=EDGE + 0x100), mem=both)
        yield Case(f"hand/order/call-mem-stack/{f}", m, "call [ecx]", regs=dict(ecx=EDGE + 0x1010, esp=EDGE + 0x100), mem=both)
        yield Case(f"hand/order/leave/{f}", m, "leave", regs=dict(ebp=FAR + 0x10), mem=both)
        yield Case(f"hand/order/enter-levels/{f}", m, "enter 0x10, 3", regs=dict(ebp=EDGE + 8, esp=EDGE + 0x1100), mem=both)
        yield Case(f"hand/order/xlat/{f}", m, "xlatb", regs=dict(ebx=FAR, eax=0xff), mem=both)
        # A memory operand faults before the flags change, and after REP has moved on.
        yield Case(f"hand/order/adc/{f}", m, "stc\nadc dword [ecx], 0x7fffffff", regs=dict(ecx=FAR + 4), mem=both)
        yield Case(f"hand/order/div/{f}", m, "xor edx, edx\ndiv dword [ecx]", regs=dict(ecx=FAR + 4), mem=both)
        yield Case(f"hand/order/cmpxchg/{f}", m, "cmpxchg [ecx], ebx", regs=dict(ecx=FAR + 4), mem=tables(f, PTE_P | PTE_U))
        yield Case(f"hand/order/cmpxchg8b/{f}", m, "cmpxchg8b [ecx]", regs=dict(ecx=FAR + 4), mem=tables(f, PTE_P | PTE_U))
        # String I/O: OUTS reads before it writes, INS needs its page before it reads the port.
        m0 = paged(PM32[0], f.kind)
        yield Case(f"hand/io/insb/{f}", m0, "insb", regs=dict(edx=0x21, edi=FAR + 4), mem=both)
        yield Case(f"hand/io/rep-insb/{f}", m0, "rep insb", regs=dict(edx=0x21, ecx=8, edi=EDGE - 3), mem=tables(f, GOOD, PTE_W))
        yield Case(f"hand/io/rep-insw/{f}", m0, "rep insw", regs=dict(edx=0x300, ecx=8, edi=EDGE - 5), mem=tables(f, GOOD, PTE_P))
        yield Case(f"hand/io/rep-insd-down/{f}", m0, "std\nrep insd", regs=dict(edx=0x300, ecx=8, edi=EDGE + 6), mem=tables(f, PTE_P, GOOD))
        yield Case(f"hand/io/outsb/{f}", m0, "outsb", regs=dict(edx=0x80, esi=FAR + 4), mem=both)
        yield Case(f"hand/io/rep-outsb/{f}", m0, "rep outsb", regs=dict(edx=0x80, ecx=8, esi=EDGE - 3), mem=tables(f, GOOD, PTE_W))
        yield Case(f"hand/io/rep-outsw/{f}", m0, "rep outsw", regs=dict(edx=0x300, ecx=8, esi=EDGE - 5), mem=tables(f, GOOD, PTE_W))


def hand():
    yield from state_images()
    yield from descriptor_hand()
    yield from wrap_hand()
    yield from order_hand()
