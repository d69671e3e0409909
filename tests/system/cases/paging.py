"""Page walks: rights over levels, WP and rings; error codes, CR2, A and D; large pages, reserved bits, PDPTEs, control bits."""
from pages import *  # noqa: F403

# What touches memory: code that uses the address in ECX, whether it writes, and how the name reads.
ACCESS = {
    "read": "mov eax, [ecx]",
    "write": "mov [ecx], eax",
    "rmw": "add dword [ecx], 1",
    "fetch": "jmp ecx",
}
STEP = bytes([0x40, 0x0f, 0x0b])                            # inc eax; ud2: what a fetch finds
PHYS = DATA + 0x2000


def rights():
    for f in FORMATS:
        for ring in (0, 1, 3):
            base = paged(PM32[ring], f.kind)
            for wp in (True, False):
                mode = base if wp else nowp(base)
                for access, code in ACCESS.items():
                    if not wp and access in ("read", "fetch") and ring:
                        continue
                    for pde in RIGHTS + [NOENTRY]:
                        for pte in RIGHTS + [NOENTRY]:
                            if not pde and pte != RIGHTS[3]:
                                continue
                            if ring == 1 and (PTE_P | PTE_U in (pde, pte) or access not in ("read", "write") or f is P32):
                                continue
                            if access == "rmw" and (f is P32 or not wp and ring) or not wp and ring and pde != pte:
                                continue
                            yield Case(f"rights/{f}/{flags_name(pde)}-{flags_name(pte)}/{access}/{'wp' if wp else 'nowp'}/r{ring}", mode, code,
                                       regs=dict(ecx=FAR + 4), mem=merge(f.far(pde, pte | PHYS), {PHYS + 4: STEP}))


def large_rights():
    for f in FORMATS:
        for ring in (0, 3):
            for wp in (True, False):
                mode = paged(PM32[ring], f.kind)
                mode = mode if wp else nowp(mode)
                for access, code in ACCESS.items():
                    for pde in RIGHTS:
                        yield Case(f"large/{f}/{flags_name(pde)}/{access}/{'wp' if wp else 'nowp'}/r{ring}", mode, code,
                                   regs=dict(ecx=FAR + PHYS + 4), mem=merge(f.far(pde | PTE_PS), {PHYS + 4: STEP}))


def no_execute():
    for nxe in (True, False):
        for ring in (0, 3):
            mode = paged(PM32[ring], "pae")
            for access, code in ACCESS.items():
                for level in ("pde", "pte", "both", "large"):
                    nx = [PTE_NX if level in (at, "both") else 0 for at in ("pde", "pte")]
                    mem = PAE_.far(ALL | PTE_PS | PTE_NX) if level == "large" else PAE_.far(ALL & ~PTE_A | nx[0], ALL & ~PTE_A | nx[1] | PHYS)
                    yield Case(f"nx/{level}/{access}/{'nxe' if nxe else 'off'}/r{ring}", mode, code,
                               regs=dict(ecx=FAR + 4 + (PHYS if level == "large" else 0), efer=EFER_NXE if nxe else 0), mem=merge(mem, {PHYS + 4: STEP}))


def reserved():
    """Each reserved bit at each level. Bits 36-39 are the CPU model's (MAXPHYADDR)."""
    for ring in (0, 3):
        mode = paged(PM32[ring], "pae")
        for access in ("read", "write", "fetch"):
            for bit in list(range(40, 63)) + [11]:
                for level in ("pde", "pte", "large"):
                    if bit == 11 and level != "pte" or ring == 0 and bit % 5 or access == "fetch" and bit % 2:
                        continue
                    b = 1 << bit
                    e = ALL & ~(PTE_A | PTE_D)
                    mem = PAE_.far(e | PTE_PS | b) if level == "large" else PAE_.far(e | (b if level == "pde" else 0), e | PHYS | (b if level == "pte" else 0))
                    yield Case(f"rsvd/pae/{level}/bit{bit}/{access}/r{ring}", mode, ACCESS[access],
                               regs=dict(ecx=FAR + 4 + (PHYS if level == "large" else 0)), mem=merge(mem, {PHYS + 4: STEP}))
            for bit in range(12, 21):                       # 12 is PAT
                yield Case(f"rsvd/pae/large/bit{bit}/{access}/r{ring}", mode, ACCESS[access],
                           regs=dict(ecx=FAR + 4 + PHYS), mem=merge(PAE_.far(ALL | PTE_PS | 1 << bit), {PHYS + 4: STEP}))
        mode = paged(PM32[ring], "32")
        for access in ("read", "write", "fetch"):
            for bit in list(range(12, 17)) + [21]:
                if access == "fetch" and 13 <= bit < 21:
                    continue
                yield Case(f"rsvd/32/large/bit{bit}/{access}/r{ring}", mode, ACCESS[access],
                           regs=dict(ecx=FAR + 4 + PHYS), mem=merge(P32.far(ALL | PTE_PS | 1 << bit), {PHYS + 4: STEP}))
            for level in ("pde", "pte"):
                for bit in (7, 8, 9, 10, 11, 3, 4):
                    if level == "pde" and bit == 7:
                        continue
                    b = 1 << bit
                    yield Case(f"ignored/32/{level}/bit{bit}/{access}/r{ring}", mode, ACCESS[access], regs=dict(ecx=FAR + 4),
                               mem=merge(P32.far(ALL | (b if level == "pde" else 0), ALL | PHYS | (b if level == "pte" else 0)), {PHYS + 4: STEP}))


# One instruction each that reaches memory at ECX in its own way; the second value says what to prepare.
TOUCH = {
    "read8": "mov al, [ecx]", "read16": "mov ax, [ecx]", "cmp": "cmp eax, [ecx]", "test": "test [ecx], eax", "movzx": "movzx eax, byte [ecx]",
    "bt": "bt dword [ecx], 3", "bts": "bts dword [ecx], 3", "btr": "btr dword [ecx], 3", "inc": "inc dword [ecx]", "not": "not byte [ecx]",
    "xchg": "xchg [ecx], eax", "lockadd": "lock add [ecx], eax", "cmpxchg-ne": "cmpxchg [ecx], ebx", "xadd": "xadd [ecx], eax",
    "cmpxchg8b-ne": "cmpxchg8b [ecx]", "setc": "setc [ecx]", "or0": "or dword [ecx], 0", "lea": "lea eax, [ecx]",
    "stos": "mov edi, ecx\nstosd", "lods": "mov esi, ecx\nlodsd", "movs-to": "mov edi, ecx\nmov esi, 0x32000\nmovsd",
    "movs-from": "mov esi, ecx\nmov edi, 0x32000\nmovsb", "scas": "mov edi, ecx\nscasd", "cmps": "mov edi, ecx\nmov esi, 0x32000\ncmpsd",
    "rep0": "mov edi, ecx\nxor ecx, ecx\nrep stosd", "rep2": "mov edi, ecx\nmov ecx, 2\nrep stosd", "repe": "mov edi, ecx\nmov ecx, 2\nxor eax, eax\nrepe scasb",
    "push": "mov esp, ecx\nadd esp, 8\npush eax", "pushm": "push dword [ecx]", "pop": "mov esp, ecx\npop eax", "popm": "pop dword [ecx]",
    "call": "mov esp, ecx\nadd esp, 8\ncall .next\n.next:", "callm": "call [ecx]", "jmpm": "jmp [ecx]", "ret": "mov esp, ecx\nret",
    "pusha": "mov esp, ecx\nadd esp, 0x40\npusha", "popa": "mov esp, ecx\npopa", "enter": "mov esp, ecx\nadd esp, 0x40\nenter 8, 0",
    "leave": "mov ebp, ecx\nleave", "pushf": "mov esp, ecx\nadd esp, 8\npushf", "les": "les eax, [ecx]",
    "sgdt": "sgdt [ecx]", "sidt": "sidt [ecx]", "smsw": "smsw [ecx]", "sldt": "sldt [ecx]", "str": "str [ecx]", "arpl": "or dl, 3\narpl [ecx], dx",
    "movsreg": "mov word [ecx], ds", "loadsreg": "mov fs, [ecx]", "bound": "bound eax, [ecx]", "xlat": "mov ebx, ecx\nxor eax, eax\nxlatb",
    "fld": "fld dword [ecx]", "fst": "fst dword [ecx]", "fstp80": "fldz\nfstp tword [ecx]", "fild": "fild word [ecx]", "fnstcw": "fnstcw [ecx]",
    "fnstsw": "fnstsw [ecx]", "fnstenv": "fnstenv [ecx]", "fnsave": "fnsave [ecx]", "fldcw": "fldcw [ecx]", "movq": "movq [ecx], mm0",
    "lar": "lar eax, [ecx]", "verr": "verr [ecx]", "callfar": "call far [ecx]", "jmpfar": "jmp far [ecx]", "imul": "imul eax, [ecx], 3\ntest eax, 0",
}


def accessed_dirty():
    """A and D after one instruction, on a page that allows it, one that is read-only, and one not present."""
    for f in FORMATS:
        for ring in (0, 3):
            mode = paged(PM32[ring], f.kind)
            for name, code in TOUCH.items():
                for page, e in (("ok", PTE_P | PTE_W | PTE_U), ("ro", PTE_P | PTE_U), ("np", PTE_W | PTE_U)):
                    if ring == 0 and ("esp" in code or name == "leave") and page != "ok" or f is P32 and page == "np":
                        continue
                    yield Case(f"ad/{f}/{name}/{page}/r{ring}", mode, code, regs=dict(ecx=FAR + 0x40),
                               mem=merge(f.far(PTE_P | PTE_W | PTE_U, e | PHYS), {PHYS + 0x40: struct.pack("<II", CODE + 0x800, DATA32(ring))}))


def error_codes():
    """The harness's error code and CR2 for each way to be refused, in 16-bit and v86 modes too."""
    for f in FORMATS:
        for base in (PM16[0], PM16[3], V86):
            mode = paged(base, f.kind)
            for access, code in {"read": "mov ax, [0x2004]", "write": "mov [0x2004], eax", "rmw": "add byte [0x2004], 1", "movs": "mov si, 0x2004\nmov di, 0x3000\nmovsw",
                                 "stos": "mov di, 0x2004\nstosd", "push": "push word [0x2004]", "popm": "pop word [0x2004]", "fetch": "jmp 0x2004"}.items():
                for pte in RIGHTS + [NOENTRY] + ([ALL | PTE_NX, ALL | 1 << 50] if f.pae else []):
                    for wp in (True, False):
                        if not wp and (base.ring or not pte or access in ("read", "fetch")) or f is P32 and base is PM16[0]:
                            continue
                        yield Case(f"code/{f}/{flags_name(pte)}{'r' if pte >> 50 & 1 else ''}/{access}/{'wp' if wp else 'nowp'}/{base}", mode if wp else nowp(mode), code,
                                   pte={DATA: pte & ~(PTE_A | PTE_D) | DATA}, mem={DATA + 4: STEP})


# Code at CPL 3 that makes the CPU touch a system structure, and where: the access is a supervisor's.
IMPLICIT = {
    "gdt-load": ("mov fs, [dword 0x32000]", GDT + (T(2) & ~7)),
    "gdt-lar": (f"mov ecx, {T(2, 3)}\nlar eax, ecx", GDT + (T(2) & ~7)),
    "gdt-verw": (f"mov ecx, {T(2, 3)}\nverw cx", GDT + (T(2) & ~7)),
    "gdt-jmp": (f"jmp {CODE32(3)}:{CODE + 0x100}", GDT),
    "ldt-load": (f"mov ecx, {TL(3, 3)}\nmov gs, cx", LDT),
    "idt-int": ("int 0x30", IDT),
    "idt-fault": ("xor ecx, ecx\ndiv ecx", IDT),
    "idt-ud": ("ud2", IDT),
    "tss-stack": ("int 0x30", TSS),
    "tss-io": ("in al, 0x21", TSS),
}


def implicit():
    for f in FORMATS:
        for ring in (0, 3):
            for name, (code, page) in IMPLICIT.items():
                page &= ~0xfff
                for kind in ("np", "rS", "wS", "rU", "wU", "rsvd"):
                    for wp in (True, False):
                        if kind == "rsvd" and not f.pae or not wp and (kind[0] != "r" or f is P32) or f is P32 and ring == 0:
                            continue
                        e = {"np": 0, "rsvd": PTE_P | PTE_W | 1 << 45}.get(kind)
                        if e is None:
                            e = RIGHTS[("rS", "wS", "rU", "wU").index(kind)]
                        mode = paged(PM32[ring], f.kind)
                        fresh = desc(RW, 0, 0xfffff, G | D32, 3)
                        yield Case(f"implicit/{f}/{name}/{kind}/{'wp' if wp else 'nowp'}/r{ring}", mode if wp else nowp(mode), code,
                                   gdt={T(2): fresh}, ldt={TL(3): fresh}, pte={page: e | page if e else 0}, mem={DATA: struct.pack("<I", T(2, ring))})


def tables():
    """Where A and D go when descriptors are used: the page of the table, by whether the descriptor is marked accessed already."""
    for f in FORMATS:
        for ring in (0, 3):
            for acc in (0, A):
                for seg in ("ds", "es", "fs", "gs"):
                    for table in ("gdt", "ldt"):
                        mode = paged(PM32[ring], f.kind)
                        sel = T(2, ring) if table == "gdt" else TL(3, ring)
                        d = desc(RW | acc, 0, 0xfffff, G | D32, ring)
                        page = GDT if table == "gdt" else LDT
                        yield Case(f"tables/{f}/{table}/{seg}/{'set' if acc else 'clear'}/r{ring}", mode, f"mov ecx, {sel}\nmov {seg}, cx",
                                   gdt={T(2): d}, ldt={TL(3): d}, pte={page: page | PTE_P | PTE_W})


def pdptes():
    """PDPTEs are read when CR3 is loaded; reserved bits there are #GP."""
    mode = paged(PM32[0], "pae")
    load = f"mov eax, {SPARE}\nmov cr3, eax\n"
    for bit in [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11] + list(range(40, 64, 3)) + [63]:
        for slot in (0, 3):
            for present in (0, 1):
                e = [PAE_PD | PTE_P, 0, 0, PAE_PD | PTE_P]
                e[slot] = e[slot] & ~1 | present
                e[slot] ^= 1 << bit
                if slot == 0 and not e[0] & 1:
                    continue
                yield Case(f"pdpte/bit{bit}/slot{slot}/p{present}", mode, load + "mov eax, [ecx]", regs=dict(ecx=0xc0000000 + DATA + 4), mem={SPARE: PAE_.pack(*e)})


def cases():
    yield from rights()
    yield from large_rights()
    yield from no_execute()
    yield from reserved()
    yield from accessed_dirty()
    yield from error_codes()
    yield from implicit()
    yield from tables()
    yield from pdptes()


SETCR4 = "mov eax, cr4\n{} eax, {}\nmov cr4, eax\n"
CR3SAME = "mov eax, cr3\nmov cr3, eax\n"


def pdpte_hand():
    m = paged(PM32[0], "pae")
    store = f"mov dword [{PDPT} + 8], {PAE_PD | PTE_P}\n"       # the second GiB: the same directory
    touch = "mov eax, [0x40032004]\n"
    # Written to memory only: the registers still say not present.
    yield Case("pdpte/not-loaded", m, store + touch)
    yield Case("pdpte/loaded-by-cr3", m, store + CR3SAME + touch)
    yield Case("pdpte/not-loaded-by-invlpg", m, store + "invlpg [0x40032004]\n" + touch)
    for name, op, bit in (("pge-on", "or", PGE), ("pse-off", "and", ~PSE & 0xffffffff), ("osfxsr", "or", OSFXSR), ("tsd", "or", TSD)):
        yield Case(f"pdpte/cr4-{name}", m, store + SETCR4.format(op, bit) + touch)
    for name, bits in (("ts", TS), ("wp", WP), ("mp", MP), ("am", AM), ("cd", 1 << 30), ("nw-cd", 3 << 29)):
        yield Case(f"pdpte/cr0-{name}", m, store + f"mov eax, cr0\nxor eax, {bits}\nmov cr0, eax\n" + touch)
    yield Case("pdpte/cr0-pg-again", m, store + f"mov eax, cr0\nand eax, {~PG & 0xffffffff}\nmov cr0, eax\njmp .a\n.a: or eax, {PG}\nmov cr0, eax\n" + touch)
    # Removed from memory only: it goes on working, also for pages not used before.
    two = {PDPT + 8: PAE_.pack(PAE_PD | PTE_P)}
    yield Case("pdpte/removed-not-loaded", m, f"mov dword [{PDPT} + 8], 0\n" + touch + "mov ebx, [0x40033008]", mem=two)
    yield Case("pdpte/removed-loaded", m, f"mov dword [{PDPT} + 8], 0\n" + touch + CR3SAME + "mov ebx, [0x40033008]", mem=two)
    yield Case("pdpte/removed-invlpg", m, touch + f"mov dword [{PDPT} + 8], 0\ninvlpg [0x40032004]\n" + touch, mem=two)
    # A failed load changes neither CR3 nor the registers.
    yield Case("pdpte/gp-keeps", m, f"mov dword [{PDPT} + 8], {PAE_PD | 3}\n" + touch + CR3SAME, mem=two)
    yield Case("pdpte/gp-in-cr4", m, f"mov dword [{PDPT} + 8], {PAE_PD | 3}\n" + SETCR4.format("or", PGE))
    yield Case("pdpte/gp-in-cr0", m, f"mov dword [{PDPT} + 8], {PAE_PD | 3}\nmov eax, cr0\nor eax, {1 << 30}\nmov cr0, eax")
    yield Case("pdpte/gp-not-in-cr0-ts", m, f"mov dword [{PDPT} + 8], {PAE_PD | 3}\nmov eax, cr0\nor eax, {TS}\nmov cr0, eax")
    # CR3's low bits: 32 bytes of alignment, PWT and PCD kept.
    for low in (0x20, 0xfe0, 0x18, 0x38, 7):
        yield Case(f"pdpte/cr3-low-{low:x}", m, f"mov eax, {SPARE + low}\nmov cr3, eax\nmov ebx, [0x32004]",
                   mem={SPARE + (low & ~31): PAE_.pack(PAE_PD | PTE_P, 0, 0, 0)})
    # Enabling PAE while paging is on reads CR3 as the address of a PDPT.
    p32 = paged(PM32[0], "32")
    yield Case("pdpte/pae-on", p32, f"mov eax, {PDPT}\nmov ebx, cr4\nor ebx, {PAE}\nmov dword [{PD}], {PT + 0x27}\nmov cr4, ebx\n",
               mem={PD: PAE_.pack(PAE_PD | PTE_P, 0, 0, 0)}, regs=dict(cr3=PD), pte={CODE: CODE | ALL})
    yield Case("pdpte/pae-on-gp", p32, SETCR4.format("or", PAE))
    yield Case("pdpte/pae-on-paging-off", PM32[0], SETCR4.format("or", PAE) + f"mov eax, {SPARE}\nmov cr3, eax", mem={SPARE: PAE_.pack(3)})
    # A task switch loads them too.
    yield Case("pdpte/task", m, store + f"jmp {TSS2_SEL}:0\n", mem={TSS2: tss32(cr3=PDPT, eip=CODE + 0x100, cs=CODE32(0), sss=DATA32(0), ds=DATA32(0), es=DATA32(0), regs=(0, 0, 0, 0, STACK0_INNER, 0, 0, 0))},
               more={CODE + 0x100: (32, touch + "ud2")})


def control_hand():
    p32, pae = paged(PM32[0], "32"), paged(PM32[0], "pae")
    for f, m in ((P32, p32), (PAE_, pae)):
        ro = f.far(ALL, PTE_P | PTE_U | PHYS)
        wp = "mov eax, cr0\nxor eax, 0x10000\nmov cr0, eax\n"
        # WP: takes effect at once, without a flush; D comes with the write that it lets through.
        yield Case(f"wp/off/{f}", m, wp + "mov [ecx], eax", regs=dict(ecx=FAR), mem=ro)
        yield Case(f"wp/off-on/{f}", m, wp + "mov [ecx], eax\nmov ebx, cr0\nor ebx, 0x10000\nmov cr0, ebx\nmov [ecx], ecx", regs=dict(ecx=FAR), mem=ro)
        yield Case(f"wp/on-after-read/{f}", nowp(m), "mov eax, [ecx]\nmov ebx, cr0\nor ebx, 0x10000\nmov cr0, ebx\nmov [ecx], ebx", regs=dict(ecx=FAR), mem=ro)
        yield Case(f"wp/push/{f}", nowp(m), "mov esp, ecx\npush ecx\npush ebx", regs=dict(ecx=FAR + 8), mem=ro)
        # The directory read-only, the table writable, and the other way round, for a supervisor without WP.
        yield Case(f"wp/gdt-accessed/{f}", m, "mov fs, cx", regs=dict(ecx=T(2)), gdt={T(2): desc(RW, 0, 0xfffff, G | D32)}, pte={GDT: GDT | PTE_P})
        yield Case(f"wp/gdt-accessed-nowp/{f}", nowp(m), "mov fs, cx", regs=dict(ecx=T(2)), gdt={T(2): desc(RW, 0, 0xfffff, G | D32)}, pte={GDT: GDT | PTE_P})
        yield Case(f"wp/gdt-accessed-set/{f}", m, "mov fs, cx", regs=dict(ecx=T(2)), gdt={T(2): desc(RW | A, 0, 0xfffff, G | D32)}, pte={GDT: GDT | PTE_P})
        # LTR marks the descriptor busy: a write.
        yield Case(f"wp/ltr/{f}", m, "ltr cx", regs=dict(ecx=TSS2_SEL), pte={GDT: GDT | PTE_P})
        yield Case(f"wp/ltr-d/{f}", m, "ltr cx", regs=dict(ecx=TSS2_SEL), pte={GDT: GDT | PTE_P | PTE_W})
        # Paging off and on: CR2 stays, tables are not read while it is off.
        yield Case(f"pg/off/{f}", m, f"mov eax, cr0\nand eax, {~PG & 0xffffffff}\nmov cr0, eax\njmp .a\n.a: mov eax, [0x32004]\nmov dword [{f.pt_entry(0x32000)}], 0\nmov eax, [0x32008]")
        yield Case(f"pg/pe-off/{f}", m, "mov eax, cr0\nand al, 0xfe\nmov cr0, eax")
        yield Case(f"pg/lmsw/{f}", m, "mov eax, 6\nlmsw ax\nsmsw ebx")
        yield Case(f"pg/cr2/{f}", m, "mov eax, 0x12345678\nmov cr2, eax\nmov ebx, cr2")
        yield Case(f"pg/cr3-bits/{f}", m, "mov eax, cr3\nor eax, 0x18\nmov cr3, eax\nmov ebx, cr3")
        yield Case(f"pg/nw-without-cd/{f}", m, "mov eax, cr0\nor eax, 1 << 29\nmov cr0, eax")
        # The fault's own delivery faults: #PF during #PF is a double fault, and so on.
        yield Case(f"nest/idt-gone/{f}", m, "mov eax, [ecx]", regs=dict(ecx=FAR), pte={IDT: 0})
        yield Case(f"nest/gdt-gone/{f}", m, "mov eax, [ecx]", regs=dict(ecx=FAR), pte={GDT: 0})
        yield Case(f"nest/stack-gone/{f}", m, "mov esp, ecx\npush eax", regs=dict(ecx=FAR))
        yield Case(f"nest/handler-gone/{f}", m, "mov eax, [ecx]", regs=dict(ecx=FAR + 4), idt={14: gate(SYS_INT32, CODE32(0), FAR + 0x1000)})
        yield Case(f"nest/inner-stack-gone/{f}", paged(PM32[3], f.kind), "mov eax, [ecx]", regs=dict(ecx=FAR + 4), pte={STACK[0]: 0})
        yield Case(f"nest/inner-stack-ro/{f}", paged(PM32[3], f.kind), "int 0x30", pte={STACK[0]: STACK[0] | PTE_P})
        yield Case(f"nest/tss-gone/{f}", paged(PM32[3], f.kind), "mov eax, [ecx]", regs=dict(ecx=FAR + 4), pte={TSS: 0})
        dfault = tss32(cr3=f.cr3, eip=CODE + 0x100, cs=CODE32(0), sss=DATA32(0), ds=DATA32(0), es=DATA32(0), regs=(1, 2, 3, 4, STACK0_INNER + 0x100, 6, 7, 8))
        yield Case(f"nest/stack-gone-task/{f}", m, "mov esp, ecx\npush eax", regs=dict(ecx=FAR), idt={8: gate(SYS_TASK, TSS_DF_SEL, 0)},
                   mem={TSS_DF: dfault}, more={CODE + 0x100: (32, "int 0x40")})
        yield Case(f"nest/gp-then-pf/{f}", m, "int 0x30", idt={0x30: bytes(8)}, pte={STACK[0]: 0}, regs=dict(esp=STACK[1] + 0x800))
        yield Case(f"nest/pf-then-gp/{f}", m, "mov eax, [ecx]", regs=dict(ecx=FAR), idt={14: bytes(8)})
        yield Case(f"nest/pf-then-np/{f}", m, "mov eax, [ecx]", regs=dict(ecx=FAR), idt={14: gate(SYS_INT32, HCODE, stub(14), present=False)})
        yield Case(f"nest/np-then-pf/{f}", m, "mov fs, cx", regs=dict(ecx=T(2)), gdt={T(2): desc(RW, present=False)}, idt={11: gate(SYS_INT32, T(200 // 8), stub(11))}, pte={GDT: GDT | ALL})
        # CR2 is that of the last page fault also when a double fault comes of it.
        yield Case(f"nest/cr2-of-second/{f}", m, "mov eax, [ecx]", regs=dict(ecx=FAR + 0x123), pte={IDT: 0}, idt={8: gate(SYS_INT32, HCODE, stub(8))})
        # The null access rights: a page present in the table, directory entry with nothing but P.
        yield Case(f"far/dir-only-p/{f}", m, "mov eax, [ecx]\nmov [ecx], eax", regs=dict(ecx=FAR), mem=f.far(PTE_P, PTE_P | PTE_W | PHYS))
        yield Case(f"far/table-is-directory/{f}", m, f"mov eax, [ecx]", regs=dict(ecx=FAR + f.pd // 4096 % (f.large // 4096) * 0), mem=f.pde(FAR, f.pd | ALL))
    # Every way to have NXE without PAE: the bit means nothing, nor does it in the error code.
    yield Case("nxe/32", p32, "jmp ecx", regs=dict(ecx=FAR, efer=EFER_NXE))
    yield Case("nxe/32-user", paged(PM32[3], "32"), "jmp ecx", regs=dict(ecx=FAR, efer=EFER_NXE))
    efer = "mov ecx, 0xc0000080\nrdmsr\nxor eax, 0x800\nwrmsr\n"
    nx = PAE_.far(ALL, ALL | PTE_NX | PHYS)
    yield Case("nxe/off-makes-reserved", pae, efer + f"mov eax, [{FAR}]", mem=nx)
    yield Case("nxe/on-makes-nx", pae, efer + f"mov ebx, {FAR}\nmov eax, [ebx]\njmp ebx", regs=dict(efer=0), mem=nx)
    yield Case("nxe/off-after-use", pae, f"mov eax, [{FAR}]\n" + efer + CR3SAME + f"mov eax, [{FAR}]", mem=nx)
    # PSE off makes a large page's entry one that points to a table, PSE on again.
    ps = P32.far(ALL | PTE_PS)
    yield Case("pse/off", p32, SETCR4.format("and", ~PSE & 0xffffffff) + "mov eax, [ecx]", regs=dict(ecx=FAR + 0x1000), mem=merge(ps, {0x500: b""}))
    yield Case("pse/off-table", p32, SETCR4.format("and", ~PSE & 0xffffffff) + "mov ebx, [ecx]", regs=dict(ecx=FAR + 0x3000),
               mem=merge(P32.pde(FAR, SPARE | ALL | PTE_PS), {SPARE + 12: P32.pack(PHYS | ALL)}))
    yield Case("pse/pae-ignores", pae, SETCR4.format("and", ~PSE & 0xffffffff) + "mov eax, [ecx]", regs=dict(ecx=FAR + PHYS), mem=PAE_.far(ALL | PTE_PS))
    # PAT bit and frame bits of large pages.
    yield Case("pse/frame", p32, "mov eax, [ecx]", regs=dict(ecx=FAR + PHYS), mem=P32.far(ALL | PTE_PS | 0x400000))
    yield Case("pse/36-bit-13", p32, "mov eax, [ecx]", regs=dict(ecx=FAR + PHYS), mem=P32.far(ALL | PTE_PS | 1 << 13))
    for bit in (17, 20):
        yield Case(f"pse/36-bit-{bit}", p32, "mov eax, [ecx]", regs=dict(ecx=FAR + PHYS), mem=P32.far(ALL | PTE_PS | 1 << bit))
    for bit in (36, 39):
        yield Case(f"pae/width-{bit}", pae, "mov eax, [ecx]", regs=dict(ecx=FAR + 8), mem=PAE_.far(ALL, ALL | 1 << bit | PHYS))
    yield Case("pse/pae-4g", pae, "mov eax, [ecx]\nmov [ecx], ecx\nmov ebx, [ecx]", regs=dict(ecx=FAR + PHYS), mem=PAE_.far(ALL | PTE_PS | 1 << 32))
    yield Case("pae/frame-4g", pae, "mov eax, [ecx]\nmov [ecx], ecx\nmov ebx, [ecx]", regs=dict(ecx=FAR + 8), mem=PAE_.far(ALL, ALL | 1 << 32 | PHYS))
    yield Case("pae/table-4g", pae, "mov eax, [ecx]", regs=dict(ecx=FAR + 8), mem=PAE_.pde(FAR, ALL | 1 << 32 | SPARE))


def hand():
    yield from pdpte_hand()
    yield from control_hand()
