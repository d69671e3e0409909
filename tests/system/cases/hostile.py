"""The guest's worst: tables, stacks and code where no sane system has them. It ends in the architected fault or shutdown.

The template of the arena lies at the start of the ROM, so every table of the arena is there a second time, read-only. Code where there
is no memory is left out: Bochs gives up there (tests/guest/hostile.asm has it).
"""
from pages import *  # noqa: F403

ROM = 0x100000000 - ROM_BYTES                               # the template: ROM + (x - ARENA) is the template of x
RAM_END = 32 << 20
ABSENT = 0x8000000
PLACES = {"rom": ROM, "absent": ABSENT, "ram-end": RAM_END - 0x1000, "over-end": RAM_END - 0x804, "top": 0xfffff000, "wrap": 0xfffffffc, "wrap2": 0xffffff00, "low": 0, "code": CODE}
ROM_PAGE = {PD + 4 * 1023: struct.pack("<I", 0xffc00000 | ALL | PTE_PS)}


def in_rom(address):
    return ROM + address - ARENA


# What uses a table: code for flat 32-bit mode.
USES = {
    "int": "int 0x30", "ud": "ud2", "div": "xor ecx, ecx\ndiv ecx", "load": f"mov ecx, {T(2)}\nmov fs, cx", "load-accessed": f"mov ecx, {DATA32(0)}\nmov fs, cx",
    "jmp": f"jmp {CODE32(0)}:{CODE + 0x100}", "lar": f"mov ecx, {T(2)}\nlar eax, cx", "verr": f"mov ecx, {T(2)}\nverr cx", "ltr": f"mov ecx, {TSS2_SEL}\nltr cx",
    "lldt": f"mov ecx, {LDT_SEL}\nlldt cx", "ss": f"mov ecx, {DATA32(0)}\nmov ss, cx", "gate": f"call {T(3)}:0", "task": f"jmp {TSS2_SEL}:0",
}


def descriptor_tables():
    for which in ("gdt", "idt"):
        for place, base in PLACES.items():
            for use, code in USES.items():
                for limit in (0x7ff, 0x100):
                    if which == "idt" and use not in ("int", "ud", "div") or which == "gdt" and use == "div":
                        continue
                    if which == "gdt" and place != "rom" and use in ("int", "ud") and limit == 0x100:
                        continue
                    where = in_rom(GDT if which == "gdt" else IDT) if place == "rom" else base
                    code1 = f"mov dword [{DATA}], {limit << 16}\nmov dword [{DATA + 4}], {where}\nl{which} [{DATA + 2}]\n" + code
                    yield Case(f"{which}/{place}/{use}/{limit:x}", PM32[0], code1, gdt={T(3): gate(SYS_CALL32, CODE32(0), CODE + 0x100)})


def ldt_tss():
    for place, base in PLACES.items():
        for ring in (0, 3):
            where = in_rom(LDT) if place == "rom" else base
            for limit in (0x1ff, 7, 0):
                yield Case(f"ldt/{place}/{limit:x}/r{ring}", PM32[ring], f"mov ecx, {TL(1, 3)}\nlar eax, cx\nmov gs, cx", gdt={LDT_SEL: desc(SYS_LDT, where, limit, 0)})
        where = in_rom(TSS) if place == "rom" else base
        for limit in (0x67, 0x2b, 7, 0xfff):
            yield Case(f"tss/{place}/int/{limit:x}", PM32[3], "int 0x30", gdt={TSS_SEL: desc(SYS_TSS32, where, limit, 0)})
            yield Case(f"tss/{place}/io/{limit:x}", PM32[3], "in al, 0x21", gdt={TSS_SEL: desc(SYS_TSS32, where, limit, 0)})
            yield Case(f"tss/{place}/task/{limit:x}", PM32[0], f"jmp {TSS2_SEL}:0", gdt={TSS_SEL: desc(SYS_TSS32, where, limit, 0)})
            yield Case(f"tss/{place}/task-to/{limit:x}", PM32[0], f"call {TSS2_SEL}:0", gdt={TSS2_SEL: desc(SYS_TSS32, where, limit, 0)})


STACK_USES = {"push": "push eax", "pusha": "pusha", "pop": "pop eax\npop ebx", "call": "call .next\n.next:", "enter": "enter 0x10, 2", "int": "int 0x30", "pushf": "pushf", "far": f"call {CODE32(0)}:{CODE + 0x100}",
              "popa": "popa", "leave": "mov ebp, esp\nleave"}


def stacks():
    places = {"rom": ROM + 0x8000, "absent": ABSENT, "ram-end": RAM_END, "over-end": RAM_END + 8, "over-end2": RAM_END + 2, "top": 0, "wrap": 4, "low": 0x100, "code": CODE + 0x40}
    for place, esp in places.items():
        for use, code in STACK_USES.items():
            for kind in (None, "32"):
                if kind and esp > RAM_END + 8 and place != "rom":
                    continue
                mode = paged(PM32[0], kind) if kind else PM32[0]
                mem = merge({PD + 4 * i: struct.pack("<I", i << 22 | ALL | PTE_PS) for i in range(1, 9)}, ROM_PAGE) if kind else {}
                yield Case(f"stack/{place}/{use}/{kind or 'flat'}", mode, code, regs=dict(esp=esp), mem=mem)


def tables():
    """CR3 and the entries of directories pointing to strange places. The directory's other entries keep the harness mapped."""
    spots = {"rom": in_rom(PT), "absent": ABSENT, "top": 0xfffff000, "over-end": RAM_END, "low": 0, "itself": PD, "code": CODE, "data": DATA}
    for spot, address in spots.items():
        for access, code in {"read": "mov eax, [ecx]", "write": "mov [ecx], eax", "rmw": "add dword [ecx], eax", "movs": "mov esi, ecx\nmov edi, 0x3e000\nmovsd"}.items():
            for pse in (True, False):
                for wp in (True, False):
                    mode = paged(PM32[0], "32") if wp else nowp(paged(PM32[0], "32"))
                    cr4 = PSE if pse else 0
                    if wp or access != "read":
                        yield Case(f"table/{spot}/{access}/{'pse' if pse else 'nopse'}/{'wp' if wp else 'nowp'}", mode, code, regs=dict(ecx=FAR + 0x33004, cr4=cr4), mem=P32.pde(FAR, address | ALL))
                        yield Case(f"frame/{spot}/{access}/{'pse' if pse else 'nopse'}/{'wp' if wp else 'nowp'}", mode, code, regs=dict(ecx=FAR + 4, cr4=cr4), mem=P32.far(ALL, address | ALL))
            for ad in (0, PTE_A, PTE_A | PTE_D):
                yield Case(f"frame/{spot}/{access}/pae-{ad:x}", paged(PM32[3], "pae"), code, regs=dict(ecx=FAR + 4), mem=PAE_.far(ALL, address | PTE_P | PTE_W | PTE_U | ad))
                yield Case(f"table/{spot}/{access}/pae-{ad:x}", paged(PM32[3], "pae"), code, regs=dict(ecx=FAR + 0x33004), mem=PAE_.pde(FAR, address | PTE_P | PTE_W | PTE_U | ad))
        # CR3 itself: what is mapped then is up to what lies there. Where no memory is, Bochs crashes now and then;
        # tests/guest/hostile.asm has that.
        if spot in ("absent", "over-end"):
            continue
        for kind in ("32", "pae"):
            where = {"rom": in_rom(PD if kind == "32" else PDPT)}.get(spot, address)
            yield Case(f"cr3/{spot}/{kind}", paged(PM32[0], kind), f"mov eax, {where:#x}\nmov cr3, eax\nmov ebx, [0x32004]")
            yield Case(f"cr3/{spot}/{kind}/enable", PM32[0], f"mov eax, {where:#x}\nmov cr3, eax\nmov eax, {PSE if kind == '32' else PAE}\nmov cr4, eax\nmov eax, cr0\nor eax, {PG}\nmov cr0, eax\nmov ebx, [0x32004]")


def a20():
    """A20 off by port 92h: bit 20 of every physical address is 0. The harness turns it on again."""
    off = "in al, 0x92\nand al, 0xfd\nout 0x92, al\nxor eax, eax\n"
    far = 0x100000 + DATA
    for name, code in {"read": f"mov ebx, [{far}]", "write": f"mov dword [{far}], 0x12345678\nmov ebx, [{DATA}]", "rmw": f"inc dword [{far + 4}]", "straddle": f"mov ebx, [{0x100000 - 2}]",
                       "movs": f"mov esi, {DATA}\nmov edi, {far + 0x100}\nmov ecx, 8\nrep movsd", "high": f"mov ebx, [{0x300000 + DATA}]\nmov ecx, [{0x200000 + DATA}]",
                       "stack": f"mov esp, {0x100000 + STACK[1] + 0x100}\npush 0x1234\npop ebx\nint 0x30", "gdt": f"mov dword [{DATA}], 0x3ff0000\nmov dword [{DATA + 4}], {0x100000 + GDT}\nlgdt [{DATA + 2}]\nmov ecx, {T(2)}\nmov fs, cx",
                       "idt": f"mov dword [{DATA}], 0x7ff0000\nmov dword [{DATA + 4}], {0x100000 + IDT}\nlidt [{DATA + 2}]\nint 0x30", "jmp": f"mov ecx, {0x100000 + CODE + 0x400}\njmp ecx",
                       "on-again": f"mov ebx, [{far}]\nmov al, 2\nout 0x92, al\nmov ecx, [{far}]\ncmp ecx, ebx\nsete dl\nxor ecx, ecx",
                       "write-on": f"mov dword [{far}], 0x55\nmov al, 2\nout 0x92, al\nmov ebx, [{DATA}]", "smc": f"mov byte [{0x100000} + at(.t) + 1], 0x55\n.t: mov bl, 0x11"}.items():
        yield Case(f"a20/{name}/flat", PM32[0], off + code, gdt={T(2): desc(RW, 0, 0xfffff, G | D32)}, more={CODE + 0x400: (32, "mov ebx, 0x77\nud2")})
        for f in FORMATS:
            if name in ("gdt", "idt"):
                continue
            yield Case(f"a20/{name}/{f}", paged(PM32[0], f.kind), off + code, more={CODE + 0x400: (32, "mov ebx, 0x77\nud2")})
    for f in FORMATS:
        bit = 0x100000
        m = paged(PM32[0], f.kind)
        yield Case(f"a20/table/{f}", m, off + "mov ebx, [ecx]\nmov [ecx], edx", regs=dict(ecx=FAR + 4), mem=f.far(ALL & ~PTE_A, (DATA | bit | ALL) & ~PTE_A & ~PTE_D, table=SPARE) | f.pde(FAR, SPARE | bit | ALL & ~PTE_A))
        yield Case(f"a20/cr3/{f}", m, off + f"mov eax, {f.cr3 | bit}\nmov cr3, eax\nmov ebx, [{DATA}]\nmov eax, cr3")
        yield Case(f"a20/large/{f}", m, off + "mov ebx, [ecx]", regs=dict(ecx=FAR + bit + DATA), mem=f.far(ALL | PTE_PS))
    roff = "in al, 0x92\nand al, 0xfd\nout 0x92, al\n"
    for name, code in {"read": "mov ax, 0xffff\nmov es, ax\nmov bx, [es:0x500 + 0x10]\nmov cx, [es:4]", "write": "mov ax, 0xffff\nmov es, ax\nmov word [es:0x90], 0x1234", "on": "mov ax, 0xffff\nmov es, ax\nmov bx, [es:0x10]\nmov al, 2\nout 0x92, al",
                       "straddle": "mov ax, 0xffff\nmov es, ax\nmov ebx, [es:0xe]", "rep": "mov ax, 0xfff8\nmov es, ax\nxor ax, ax\nmov di, 0x7e\nmov cx, 2\nmov al, 0x5a\nrep stosb"}.items():
        yield Case(f"a20/real/{name}", REALMODE, roff + code)


def cases():
    yield from descriptor_tables()
    yield from ldt_tss()
    yield from stacks()
    yield from tables()
    yield from a20()


def hand():
    return
    yield
