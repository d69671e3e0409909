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


def mapped_tables():
    """Page tables that are reached through themselves."""
    for f in FORMATS:
        m = paged(PM32[0], f.kind)
        # The directory as its own last table: its entries appear as pages. FAR's table is then at SELF + FAR / 4096 * bytes.
        size = f.large
        slot = (FAR // size) + 2
        me = slot * size
        maps = merge(f.far(RW_U, RW_U | PHYS), f.pde(me, f.pd | RW_U), {PHYS: RET, OTHER: RET2})
        window = me + FAR // size * 0x1000                   # FAR's table through the recursive entry
        yield Case(f"self/read-entry/{f}", m, f"mov eax, [{window}]\nmov ebx, [{me + slot * 0x1000 + slot * f.bytes}]", mem=maps)
        yield Case(f"self/edit/{f}", m, f"mov ebx, [ecx + 8]\nmov dword [{window}], {OTHER | RW_U}\ninvlpg [ecx]\nmov edx, [ecx + 8]\ncall ecx", regs=dict(ecx=FAR), mem=maps)
        yield Case(f"self/edit-code/{f}", m, f"call ecx\nmov dword [{window}], {OTHER | RW_U}\ninvlpg [ecx]\ncall ecx", regs=dict(ecx=FAR), mem=maps)
        yield Case(f"self/drop/{f}", m, f"mov ebx, [ecx]\nmov dword [{window}], 0\ninvlpg [ecx]\nmov edx, [ecx]", regs=dict(ecx=FAR), mem=maps)
        # A directory used as a table: A goes into the same word twice.
        yield Case(f"self/directory-a/{f}", m, f"mov eax, [{me + slot * 0x1000}]", mem=f.pde(me, f.pd | PTE_P | PTE_W))
        # The table maps itself at FAR: stores to it change its own entries, among them the one in use.
        own = merge(f.far(RW_U, SPARE | RW_U, PHYS | RW_U), {PHYS: RET, OTHER: RET2})
        n = f.bytes
        yield Case(f"own/next/{f}", m, f"mov ebx, [ecx + 0x1008]\nmov dword [ecx + {n}], {OTHER | RW_U}\ninvlpg [ecx + 0x1000]\nmov edx, [ecx + 0x1008]", regs=dict(ecx=FAR), mem=own)
        yield Case(f"own/itself/{f}", m, f"mov dword [ecx], {PHYS | RW_U}\ninvlpg [ecx]\nmov edx, [ecx + 8]", regs=dict(ecx=FAR), mem=own)
        # A and D are set before the store reads or writes the entry itself.
        yield Case(f"own/or/{f}", m, "or dword [ecx], 0x800", regs=dict(ecx=FAR), mem=own)
        yield Case(f"own/read/{f}", m, "mov eax, [ecx]\nmov [ecx + 0x40], eax\nmov ebx, [ecx]", regs=dict(ecx=FAR), mem=own)
        yield Case(f"own/xchg/{f}", m, f"mov eax, {SPARE | RW_U}\nxchg eax, [ecx]", regs=dict(ecx=FAR), mem=own)
        yield Case(f"own/cmpxchg/{f}", m, f"mov eax, {SPARE | RW_U | PTE_A | PTE_D}\nmov edx, {SPARE | ALL | 0x800}\ncmpxchg [ecx], edx", regs=dict(ecx=FAR), mem=own)
        yield Case(f"own/bts/{f}", m, "bts dword [ecx], 6\nsetc al\ntest al, al", regs=dict(ecx=FAR), mem=own)
        yield Case(f"own/rep/{f}", m, f"mov edi, ecx\nadd edi, 0x800\nmov eax, {PHYS | RW_U}\nmov ecx, 8\nrep stosd\nmov ebx, [{FAR + (0x200000 if not f.pae else 0x100000)}]", regs=dict(ecx=FAR), mem=own)


def code_pages():
    """Code whose page is also something else, or changes its rights or its place while it runs."""
    for f in FORMATS:
        m, u = paged(PM32[0], f.kind), paged(PM32[3], f.kind)
        at = f.pte_address(FAR, SPARE)
        # Code in the page-table page that maps it: the entries behind are code, the first maps FAR to the table itself.
        code = struct.pack("<B", 0xa1) + struct.pack("<I", FAR + 0x2008) + bytes([0xc3])             # mov eax, [FAR + 2008h]; ret
        mem = merge(f.far(RW_U, SPARE | RW_U, 0, PHYS | RW_U), {SPARE + 0x800: code})
        yield Case(f"code/in-table/{f}", m, "call ecx\ncall ecx", regs=dict(ecx=FAR + 0x800), mem=mem)
        yield Case(f"code/in-table-edit/{f}", m, f"call ecx\nmov ebx, eax\nmov dword [{at + 2 * f.bytes}], {OTHER | RW_U}\ninvlpg [{FAR + 0x2000}]\ncall ecx", regs=dict(ecx=FAR + 0x800), mem=mem)
        # A subroutine that writes the entry of the page it runs in, and goes on.
        # The page goes away under a subroutine's caller, by INVLPG and by a CR3 load.
        for how in ("invlpg", "cr3", "pge"):
            gone = f"mov dword [{at}], {{}}\nmov ebp, cr3\n" + FLUSH[how].replace("[ecx]", f"[{FAR}]") + "ret"
            caller = f"mov edx, {CODE + 0x800}\ncall edx\ninc ebx\nret"
            yield Case(f"code/unmap-caller/{how}/{f}", m, "call ecx", regs=dict(ecx=FAR + 0x100), mem=f.far(RW_U, PHYS | RW_U), more={PHYS + 0x100: (32, caller), CODE + 0x800: (32, gone.format(0))})
            yield Case(f"code/remap-caller/{how}/{f}", m, "call ecx", regs=dict(ecx=FAR + 0x100), mem=f.far(RW_U, PHYS | RW_U),
                       more={PHYS + 0x100: (32, caller), OTHER + 0x100: (32, caller.replace("inc", "dec")), CODE + 0x800: (32, gone.format(OTHER | RW_U))})
            again = f"mov dword [{at}], {OTHER | RW_U}\n" + FLUSH[how].replace("[ecx]", f"[{FAR}]")
            yield Case(f"code/remap-itself/{how}/{f}", m, "xor ebx, ebx\ncall ecx", regs=dict(ecx=FAR + 0x100), mem=f.far(RW_U, PHYS | RW_U),
                       more={PHYS + 0x100: (32, again + "inc ebx\nret"), OTHER + 0x100: (32, again + "dec ebx\nret")})
        yield Case(f"code/read-only/{f}", m, f"call ecx\nmov dword [{at}], {PHYS | PTE_P}\ninvlpg [ecx]\ncall ecx\nmov [ecx], eax", regs=dict(ecx=FAR), mem=merge(f.far(RW_U, PHYS | RW_U), {PHYS: RET}))
        # Two addresses of one page, code changed through each in turn.
        mem = merge(f.far(RW_U, PHYS | RW_U, PHYS | RW_U, OTHER | RW_U), {PHYS: RET, OTHER: RET2})
        yield Case(f"alias/two/{f}", m, "call ecx\nmov byte [ecx + 0x1000], 0x43\ncall ecx\nlea edx, [ecx + 0x1000]\ncall edx\nmov byte [ecx], 0x47\ncall edx\ncall ecx", regs=dict(ecx=FAR), mem=mem)
        yield Case(f"alias/data-then-code/{f}", m, "mov byte [ecx + 0x1000], 0x43\ncall ecx\nmov byte [ecx + 0x1000], 0x47\ncall ecx", regs=dict(ecx=FAR), mem=mem)
        yield Case(f"alias/rep-movs/{f}", m, "call ecx\nlea esi, [ecx + 0x2000]\nlea edi, [ecx + 0x1000]\nmov edx, ecx\nmov ecx, 4\nrep movsb\ncall edx", regs=dict(ecx=FAR), mem=mem)
        # Code of CPL 3 written by an alias that only it may write; and through a read-only alias, refused without effect.
        ro = merge(f.far(RW_U, PHYS | RW_U, PHYS | PTE_P | PTE_U), {PHYS: RET})
        yield Case(f"alias/read-only/{f}", u, "call ecx\ncall ecx\nmov byte [ecx + 0x1000], 0x43", regs=dict(ecx=FAR), mem=ro)
        # The same address in two address spaces, different code.
        pd2 = STACK[2]
        other = {pd2: f.pack(PT | ALL) if not f.pae else f.pack(PAE_PT | ALL), f.pde_address(FAR) - f.pd + pd2: f.pack(STACK[1] | RW_U), STACK[1]: f.pack(OTHER | RW_U)}
        cr3 = pd2
        if f.pae:
            cr3 = SPARE + 0xc00
            other[cr3] = f.pack(pd2 | PTE_P, 0, 0, 0)
        switch = f"mov edx, cr3\nmov esi, {cr3}\nmov cr3, esi\n"
        mem = merge(f.far(RW_U, PHYS | RW_U), other, {PHYS: RET, OTHER: RET2})
        yield Case(f"spaces/code/{f}", m, "call ecx\n" + switch + "call ecx\nmov cr3, edx\ncall ecx\nmov cr3, esi\ncall ecx", regs=dict(ecx=FAR), mem=mem)
        yield Case(f"spaces/data/{f}", m, "mov ebx, [ecx + 8]\n" + switch + "mov ebp, [ecx + 8]\nmov [ecx + 8], ebx\nmov cr3, edx\nmov edi, [ecx + 8]", regs=dict(ecx=FAR), mem=mem)
        yield Case(f"spaces/code-written-in-other/{f}", m, "call ecx\n" + switch + "call ecx\nmov byte [ecx], 0x90\ncall ecx\nmov cr3, edx\ncall ecx", regs=dict(ecx=FAR), mem=mem)
        # Global pages outlive CR3 only; PGE off and on, or INVLPG in another space, ends them.
        g = merge(f.far(RW_U, PHYS | RW_U | PTE_G), other, {STACK[1]: f.pack(OTHER | RW_U)}, {PHYS: RET, OTHER: RET2})
        mg = dict(ecx=FAR, cr4=m.regs["cr4"] | PGE)
        yield Case(f"global/invlpg-in-other/{f}", m, "mov ebx, [ecx + 8]\n" + switch + "invlpg [ecx]\nmov edi, [ecx + 8]", regs=mg, mem=g)
        yield Case(f"global/pge-off/{f}", m, "mov ebx, [ecx + 8]\n" + switch + f"mov eax, cr4\nand eax, {~PGE & 0xffffffff}\nmov cr4, eax\nmov edi, [ecx + 8]", regs=mg, mem=g)
        yield Case(f"global/pg-off/{f}", m, "mov ebx, [ecx + 8]\n" + switch + FLUSH["pg"] + "mov edi, [ecx + 8]", regs=mg, mem=g)
        # G in an entry that is not the last of the walk means nothing.
        yield Case(f"global/in-directory/{f}", m, "mov ebx, [ecx + 8]\n" + write_pte(f, at, OTHER | RW_U) + FLUSH["cr3"] + "mov edi, [ecx + 8]", regs=mg, mem=f.far(RW_U | PTE_G, PHYS | RW_U))
        # A spurious fault is not one: rights that grew are seen without a flush, by the access that would have failed.
        yield Case(f"grow/write/{f}", m, "mov ebx, [ecx + 8]\n" + write_pte(f, at, PHYS | RW_U) + "mov [ecx + 8], ebx", regs=dict(ecx=FAR), mem=f.far(RW_U, PHYS | PTE_P))
        yield Case(f"grow/directory/{f}", m, "mov ebx, [ecx + 8]\n" + write_pte(f, f.pde_address(FAR), SPARE | RW_U) + "mov [ecx + 8], ebx", regs=dict(ecx=FAR), mem=f.far(PTE_P, PHYS | RW_U))
        yield Case(f"grow/present/{f}", u.__class__ and m, write_pte(f, at, PHYS | RW_U) + "mov ebx, [ecx + 8]", regs=dict(ecx=FAR), mem=f.far(RW_U, 0))
        # INVLPG of any byte of a large page drops all of it; it checks no rights and faults on nothing.
        large = merge(f.far(RW_U | PTE_PS), {PHYS: RET, OTHER: RET2})
        yield Case(f"invlpg/large/{f}", m, "mov ebx, [ecx + 8]\n" + write_pte(f, f.pde_address(FAR), RW_U | PTE_PS | f.large) + f"invlpg [{FAR + f.large - 1}]\nmov edi, [ecx + 8]", regs=dict(ecx=FAR + PHYS), mem=large)
        yield Case(f"invlpg/unmapped/{f}", m, "invlpg [0x70000000]\ninvlpg [ecx]", regs=dict(ecx=FAR))
        yield Case(f"invlpg/user/{f}", u, "invlpg [ecx]", regs=dict(ecx=FAR))
        yield Case(f"invlpg/segment/{f}", m, "mov fs, dx\nmov ebx, [ecx + 8]\n" + write_pte(f, at, OTHER | RW_U) + "invlpg [fs:8]\nmov edi, [ecx + 8]", regs=dict(ecx=FAR, edx=T(1)), gdt={T(1): desc(RW | A, FAR, 0xfff)}, mem=f.far(RW_U, PHYS | RW_U))
        yield Case(f"invlpg/beyond-limit/{f}", m, "mov fs, dx\ninvlpg [fs:0x5000]", regs=dict(edx=T(1)), gdt={T(1): desc(RW | A, FAR, 0xfff)})
        # A is cleared by the guest, flushed, and set again by the next use; D by the next write only.
        clear = write_pte(f, at, PHYS | RW_U) + "invlpg [ecx]\n"
        yield Case(f"ad/again/{f}", m, f"mov [ecx + 8], edx\n{clear}mov ebx, [ecx + 8]\nmov eax, [{at}]\nmov [ecx + 12], ebx\nmov ebp, [{at}]", regs=dict(ecx=FAR), mem=f.far(RW_U, PHYS | RW_U))
        yield Case(f"ad/code/{f}", m, f"call ecx\n{clear}mov ebp, [{at}]\ncall ecx\nmov edx, [{at}]", regs=dict(ecx=FAR), mem=merge(f.far(RW_U, PHYS | RW_U), {PHYS: RET}))


def hand():
    yield from mapped_tables()
    yield from code_pages()
