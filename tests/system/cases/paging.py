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
                            if ring == 1 and PTE_P | PTE_U in (pde, pte):
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
                    if bit == 11 and level != "pte" or ring == 0 and bit % 3:
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


def cases():
    yield from rights()
    yield from large_rights()
    yield from no_execute()
    yield from reserved()
    yield from accessed_dirty()


def hand():
    return
    yield
