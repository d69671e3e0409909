"""Translations that changed and were invalidated as the manual asks, and code that changed, whichever way it was written."""
from pages import *  # noqa: F403

PHYS, OTHER = DATA + 0x2000, DATA + 0x5000
RW_U = PTE_P | PTE_W | PTE_U
RET = bytes([0x40, 0xc3])                                   # inc eax; ret
RET2 = bytes([0x83, 0xc0, 0x10, 0xc3])                      # add eax, 16; ret

ACCESS = {"read": "mov ebx, [ecx + 8]\n", "write": "mov [ecx + 8], edx\n", "fetch": "call ecx\n", "none": ""}
FLUSH = {
    "invlpg": "invlpg [ecx]\n",
    "cr3": "mov ebp, cr3\nmov cr3, ebp\n",
    "cr3-other": "mov ebp, cr3\nmov esi, OTHERCR3\nmov cr3, esi\nmov cr3, ebp\n",
    "pg": f"mov ebp, cr0\nand ebp, {~PG & 0xffffffff}\nmov cr0, ebp\njmp short $+2\nor ebp, {PG}\nmov cr0, ebp\n",
    "pge": f"mov ebp, cr4\nxor ebp, {PGE}\nmov cr4, ebp\n",
    "task": "",
}


def write_pte(f, address, entry):
    lines = f"mov dword [{address:#x}], {entry & 0xffffffff:#x}\n"
    if f.pae:
        lines += f"mov dword [{address + 4:#x}], {entry >> 32:#x}\n"
    return lines


def changes():
    for f in FORMATS:
        for large in (False, True):
            ecx = FAR + (PHYS if large else 0)
            ps = PTE_PS if large else 0
            at = f.pde_address(FAR) if large else f.pte_address(FAR, SPARE)
            frame = 0 if large else PHYS
            table = {
                "remap": (RW_U | frame, RW_U | (f.large if large else OTHER)),
                "revoke-p": (RW_U | frame, frame),
                "revoke-w": (RW_U | frame, PTE_P | PTE_U | frame),
                "grant-p": (frame, RW_U | frame),
                "grant-w": (PTE_P | frame, RW_U | frame),
                "clear-ad": (RW_U | PTE_A | PTE_D | frame, RW_U | frame),
                "clear-d": (RW_U | PTE_A | PTE_D | frame, RW_U | PTE_A | frame),
            }
            if f.pae:
                table["set-nx"] = (RW_U | frame, RW_U | PTE_NX | frame)
                table["clear-nx"] = (RW_U | PTE_NX | frame, RW_U | frame)
            for change, (old, new) in table.items():
                for how, flush in FLUSH.items():
                    if how == "task":
                        continue
                    for g in (0, PTE_G):
                        for before in ACCESS:
                            for after in ("read", "write", "fetch"):
                                # What faults at once tells nothing of the change; a sample of the rest is enough.
                                if before != "none" and not old & PTE_P or before == "write" and not old & PTE_W or before == "fetch" and old & PTE_NX:
                                    continue
                                if g and (how in ("cr3", "cr3-other") or before == "none") or before == "none" and how != "cr3":
                                    continue
                                if f is P32 and how == "cr3-other" and large or change.startswith("clear") and after == "fetch" and before == "fetch":
                                    continue
                                if before == "write" and after == "write" or large and before == "fetch" and after == "read":
                                    continue
                                if g and change in ("grant-p", "clear-d", "clear-nx") or how == "pg" and change in ("clear-ad", "grant-w"):
                                    continue
                                if f is P32 and (before, after) not in (("read", "write"), ("write", "read"), ("fetch", "fetch")) or g and before == after:
                                    continue
                                mode = paged(PM32[0], f.kind)
                                code = ACCESS[before] + write_pte(f, at, new | ps | g) + flush.replace("OTHERCR3", hex(SPARE + 0xc00 if f.pae else PDPT)) + ACCESS[after] + "mov esi, [ecx + 8]"
                                mem = merge(f.far(old | ps | g, 0) if large else f.far(RW_U, old | g), {PHYS: RET, OTHER: RET2})
                                mem = merge(mem, {SPARE + 0xc00: f.pack(PAE_PD | PTE_P, 0, 0, 0)} if f.pae else {PDPT: f.pack(PT | ALL)})
                                yield Case(f"{f}/{'large' if large else 'small'}/{change}/{how}{'-g' if g else ''}/{before}-{after}", mode, code,
                                           regs=dict(ecx=ecx, cr4=mode.regs["cr4"] | (PGE if g else 0)), mem=mem)


def levels():
    """The directory entry changes above a page that is in use."""
    for f in FORMATS:
        at = f.pde_address(FAR)
        table2 = STACK[2]
        news = {"table": table2 | RW_U, "np": 0, "ro": SPARE | PTE_P | PTE_U, "large": RW_U | PTE_PS, "same": SPARE | RW_U | PTE_A}
        if f.pae:
            news["nx"] = SPARE | RW_U | PTE_NX
        for name, new in news.items():
            for how in ("invlpg", "cr3", "pge", "pg"):
                for before in ("read", "write", "fetch"):
                    for after in ("read", "write", "fetch"):
                        if before == after or f is P32 and how == "pg":
                            continue
                        mode = paged(PM32[0], f.kind)
                        code = ACCESS[before] + write_pte(f, at, new) + FLUSH[how] + ACCESS[after]
                        yield Case(f"{f}/directory/{name}/{how}/{before}-{after}", mode, code, regs=dict(ecx=FAR + 0x3e000),
                                   mem=merge(f.far(RW_U), f.pte(FAR + 0x3e000, PHYS | RW_U, table=SPARE), f.pte(FAR + 0x3e000, OTHER | RW_U, table=table2),
                                             {PHYS: RET, OTHER: RET2, 0x3e000: RET + RET}))
        for name, (old, new) in {"join": (SPARE | RW_U, RW_U | PTE_PS), "split": (RW_U | PTE_PS, SPARE | RW_U)}.items():
            for how in ("invlpg", "cr3", "pge"):
                for before in ("read", "write", "fetch"):
                    mode = paged(PM32[0], f.kind)
                    code = ACCESS[before] + write_pte(f, at, new) + FLUSH[how] + ACCESS["read"] + ACCESS["fetch"] + ACCESS["write"]
                    yield Case(f"{f}/{name}/{how}/{before}", mode, code, regs=dict(ecx=FAR + 0x3e000),
                               mem=merge(f.pde(FAR, old), f.pte(FAR + 0x3e000, PHYS | RW_U, table=SPARE), {PHYS: RET2, 0x3e000: RET}))


# Ways to store 0x55 over a byte at EDI (EDX is scratch). What they write around it must not matter.
STORES = {
    "mov8": "mov byte [edi], 0x55", "mov32": "mov edx, [edi]\nmov dl, 0x55\nmov [edi], edx", "rmw": "and byte [edi], 0\nor byte [edi], 0x55\ntest al, 0",
    "xchg": "mov dl, 0x55\nxchg [edi], dl", "lock": "mov byte [edi], 0x54\nlock inc byte [edi]", "stos": "push eax\npush edi\nmov al, 0x55\nstosb\npop edi\npop eax",
    "rep-stos": "push eax\npush ecx\npush edi\nmov al, 0x55\nmov ecx, 1\nrep stosb\npop edi\npop ecx\npop eax",
    "rep-movs": "push esi\npush ecx\npush edi\nmov esi, SOURCE\nmov ecx, 1\nrep movsb\npop edi\npop ecx\npop esi",
    "push": "mov edx, esp\nlea esp, [edi + 4]\nmov ebp, [edi]\nand ebp, 0xffffff00\nor ebp, 0x55\npush ebp\nmov esp, edx",
    "pop": "mov edx, [edi]\nmov dl, 0x55\npush edx\npop dword [edi]", "bts": "mov byte [edi], 0x54\nbts dword [edi], 0\ntest al, 0",
    "cmpxchg": "push eax\nmov al, [edi]\nmov dl, 0x55\ncmpxchg [edi], dl\npop eax", "sgdt-like": "mov word [edi], 0xc355",
    "fist": "push dword 0x55\nmov edx, [edi]\nmov dl, 0x55\nmov [esp], edx\nfild dword [esp]\nfistp dword [edi]\npop edx",
    "setc": "stc\nsetc [edi]\nadd byte [edi], 0x54\ntest al, 0", "movs-word": "push esi\npush edi\nmov esi, SOURCE\nmovsw\npop edi\npop esi",
}
TARGET = "mov al, 0x11\nret\n"                              # its immediate is what is changed


def self_modifying():
    """A subroutine is called, changed and called again; through its own address, another one of the same page, a large page."""
    for f in (None,) + FORMATS:
        for ring in (0, 3):
            mode = paged(PM32[ring], f.kind) if f else PM32[ring]
            for store, text in STORES.items():
                for where in ("page", "other", "edge"):
                    for alias in ("same", "alias", "large") if f else ("same",):
                        if f is P32 and (alias == "same" or ring == 0) or ring == 0 and (where == "other" or f is None):
                            continue
                        address = {"page": CODE + 0x400, "other": CODE2 + 0x400, "edge": CODE2 - 1}[where]
                        edi = address + 1 + {"same": 0, "alias": FAR - CODE, "large": FAR}[alias]
                        code = f"mov ecx, {address:#x}\ncall ecx\nmov bl, al\nmov edi, {edi:#x}\n" + text.replace("SOURCE", hex(DATA + 0x100)) + "\ncall ecx\nmov bh, al"
                        mem = {DATA + 0x100: bytes([0x55, 0xc3])}
                        if f:
                            mem = merge(mem, f.far(RW_U | PTE_PS) if alias == "large" else f.far(RW_U, CODE | RW_U, CODE2 | RW_U))
                        yield Case(f"smc/{f or 'flat'}/{store}/{where}/{alias}/r{ring}", mode, code, mem=mem, more={address: (32, TARGET)})


def ahead():
    """The instruction that is changed is the next one, or one a little further on in the same stretch of code."""
    for mode in (PM32[3], PM16[3], REALMODE, V86, paged(PM32[3], "32"), paged(PM32[0], "pae")):
        for gap in (0, 1, 3, 8):
            for warm in (False, True):
                for name, text in {"mov8": "mov byte [at(.t) + 1], 0x55", "mov16": "mov word [at(.t)], 0x55b0", "or": "or byte [at(.t) + 1], 0x44",
                                   "stos": "mov edi, at(.t) + 1\nmov al, 0x55\nstosb", "insn": "mov word [at(.t)], 0x9090", "ud": "mov word [at(.t)], 0x0b0f"}.items():
                    loop = "mov ecx, 3\n.again:\nmov byte [at(.t) + 1], 0x11\n" if warm else ""
                    code = f"{loop}xor eax, eax\n{text}\n" + "inc edx\n" * gap + ".t: mov al, 0x11\n" + ("mov bl, al\ndec ecx\njnz .again" if warm else "mov bl, al")
                    yield Case(f"ahead/{name}/gap{gap}/{'warm' if warm else 'cold'}/{mode}", mode, code)


def cases():
    yield from changes()
    yield from levels()
    yield from self_modifying()
    yield from ahead()


def hand():
    return
    yield
