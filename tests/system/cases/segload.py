"""Loads of segment and system registers, and the instructions that examine descriptors: every type, privilege, table edge and operand size.

The selector under test is T(0) or TL(0). After a load that succeeds a read through the register tells what became of its hidden part.
"""
import zlib

from matrix import *  # noqa: F403

MEM32, MEM16 = DATA + 0x1000, DATA + 0x1000 - CODE      # a memory operand, as flat and as 16-bit code see it
GROUND = 0xfff0                                         # below it there is room on the stack of ring 0
SEGMENTS = [RO, RW, RO_DOWN, RW_DOWN, XO, XR, XO_CONF, XR_CONF]
SYSTEM = list(range(0x80, 0x90))
REGISTERS = ["es", "ds", "fs", "gs"]


def pick(name, choices):
    """One of the choices, spread evenly over names."""
    return choices[zlib.crc32(name.encode()) // 7 % len(choices)]


def kind(access):
    names = {RO: "ro", RW: "rw", RO_DOWN: "ro_down", RW_DOWN: "rw_down", XO: "xo", XR: "xr", XO_CONF: "xo_conf", XR_CONF: "xr_conf"}
    return names[access & ~1] + ("+a" if access & 1 else "") if access & 0x10 else f"sys{access & 15:x}"


def load(name, mode, reg, how, selector, regs=None, mem=None, **more):
    """One load of a segment register, then a read through it."""
    at = MEM32 if mode.flat else MEM16
    wide = mode.bits == 32
    r = "edx" if wide else "dx"
    code = {"mov": f"mov {reg}, cx", "movm": f"mov {reg}, [{at:#x}]", "pop": f"push {'dword' if wide else 'word'} {selector:#x}\npop {reg}",
            "lfp": f"l{reg} {r}, [{at:#x}]", "o": f"{'o16' if wide else 'o32'} l{reg} {'dx' if wide else 'edx'}, [{at:#x}]"}[how]
    image = struct.pack("<H", selector)
    if how in ("lfp", "o"):
        image = (struct.pack("<I", 0x87654321) if wide == (how == "lfp") else struct.pack("<H", 0x4321)) + image
    regs = dict(ecx=0xc1c20000 | selector, ebx=0x1000, **(regs or {}))
    mem = dict(mem or {})
    mem[MEM32] = image
    return Case(name, mode, f"{code}\nmov eax, [{reg}:ebx]", regs=regs, mem=mem, **more)


def table(local, descriptor, n=0):
    return dict(ldt={TL(n): descriptor}) if local else dict(gdt={T(n): descriptor})


def segment(access, dpl=0, present=True, reg="ds", limit=0xfffff, flags=D32 | G):
    if access & 0x10:
        return desc(access, 0 if reg == "ss" else DATA, limit if not (access & 0xc) == 4 else 0, flags, dpl, present)
    if access in (SYS_CALL16, SYS_INT16, SYS_TRAP16, SYS_CALL32, SYS_INT32, SYS_TRAP32, SYS_TASK):
        return gate(access, CODE32(0), CODE2, dpl, 0, present)
    return desc(access, LDT if access == SYS_LDT else TSS2, 0x1ff if access == SYS_LDT else 0x67, 0, dpl, present)


def load_cases():
    # every kind x DPL x RPL x CPL into a data register
    for access in SEGMENTS:
        for cpl in range(4):
            for dpl in range(4):
                for rpl in range(4):
                    name = f"data/{kind(access)}/dpl{dpl}/rpl{rpl}/cpl{cpl}"
                    mode = pick(name + "m", [PM32[cpl], PM32[cpl], PM16[cpl]])
                    reg, how, local = pick(name + "r", REGISTERS), pick(name + "h", ["mov", "movm", "pop", "lfp"]), pick(name + "l", [False, True])
                    sel = TL(0, rpl) if local else T(0, rpl)
                    yield load(f"{name}/{how}/{reg}/{mode}", mode, reg, how, sel, **table(local, segment(access, dpl)))
    # into SS: everything must match
    for cpl in range(4):
        for dpl in range(4):
            for rpl in range(4):
                name = f"ss/rw/dpl{dpl}/rpl{rpl}/cpl{cpl}"
                how, local = pick(name + "h", ["mov", "movm", "pop", "lfp"]), pick(name + "l", [False, True])
                sel = TL(0, rpl) if local else T(0, rpl)
                yield load(f"{name}/{how}", PM32[cpl], "ss", how, sel, **table(local, segment(RW, dpl, reg="ss")))
        for access in SEGMENTS + SYSTEM:
            for dpl in {cpl, 3}:
                name = f"ss/{kind(access)}/dpl{dpl}/rpl{cpl}/cpl{cpl}"
                how = pick(name, ["mov", "movm", "pop", "lfp"])
                if access != RW:
                    yield load(f"{name}/{how}", PM32[cpl], "ss", how, T(0, cpl), **table(False, segment(access, dpl, reg="ss")))
    # system descriptors and what is not present; the order of checks
    for access in SYSTEM + SEGMENTS:
        for present in (True, False):
            for cpl, dpl in ((0, 0), (3, 3), (3, 0), (0, 3)):
                if present and access & 0x10:
                    continue
                for reg in (pick(f"{access}{cpl}", REGISTERS), "ss"):
                    if present and reg == "ss":
                        continue
                    name = f"{'present' if present else 'absent'}/{kind(access)}/dpl{dpl}/cpl{cpl}/{reg}"
                    how, local = pick(name + "h", ["mov", "movm", "pop", "lfp"]), pick(name + "l", [False, True])
                    sel = TL(0, cpl) if local else T(0, cpl)
                    yield load(f"{name}/{how}", PM32[cpl], reg, how, sel, **table(local, segment(access, dpl, present, reg)))
    # null selectors and what is not in the table
    for cpl in range(4):
        for reg in REGISTERS + ["ss"]:
            for rpl in range(4):
                name = f"null/{reg}/rpl{rpl}/cpl{cpl}"
                how, mode = pick(name, ["mov", "movm", "pop", "lfp", "o"]), pick(name + "m", [PM32[cpl], PM16[cpl]])
                yield load(f"{name}/{how}/{mode}", mode, reg, how, rpl)
            for where, sel, regs in (("gdt", 0x400, {}), ("gdt", 0xfff8, {}), ("ldt", TL(64), {}), ("ldt", 0xfffc, {}), ("ldt_null", TL(1), dict(ldtr=0)),
                                     ("ldt_null", 4, dict(ldtr=0))):
                name = f"beyond/{where}/{sel:x}/{reg}/cpl{cpl}"
                how = pick(name, ["mov", "movm", "pop", "lfp"])
                if cpl in (0, 3):
                    yield load(f"{name}/{how}", PM32[cpl], reg, how, sel | cpl, regs=regs)


def table_cases():
    """The table's limit cuts the descriptor; accessed bits; tables in pages that refuse."""
    for reg in ("es", "ss", "gs"):
        for how in ("mov", "pop", "lfp"):
            for cut in (0, 1, 6, 7):
                yield load(f"cut/gdt/{cut}/{reg}/{how}", PM32[0], reg, how, T(31), regs=dict(gdt_limit=T(31) + cut), **table(False, segment(RW | A, reg=reg), 31))
                yield load(f"cut/ldt/{cut}/{reg}/{how}", PM32[3], reg, how, TL(5, 3), ldt={TL(5): segment(RW | A, 3, reg=reg)},
                           gdt={T(30): desc(SYS_LDT, LDT, 5 * 8 + cut, 0)}, regs=dict(ldtr=T(30)))
        for page in (False, True):
            d = segment(RW, 3, reg=reg)
            yield load(f"ldt_granular/{page:d}/{reg}", PM32[3], reg, "mov", TL(300, 3), mem={LDT + 300 * 8: d}, gdt={T(30): desc(SYS_LDT, LDT, 0 if page else 0xfff, G if page else 0)},
                       regs=dict(ldtr=T(30)))
    for access in SEGMENTS:
        for reg, how in (("ds", "mov"), ("fs", "lfp"), ("es", "pop"), ("ss", "mov"), ("ss", "lfp")):
            for local in (False, True):
                for a in (0, 1):
                    yield load(f"accessed/{kind(access | a)}/{reg}/{how}/{'ldt' if local else 'gdt'}", PM32[3], reg, how, TL(2, 3) if local else T(2, 3),
                               **table(local, segment(access | a, 3, reg=reg), 2))
    for kind_ in ("32", "pae"):
        for cpl in (0, 3):
            for reg in ("ds", "ss"):
                for what in ("ro", "ro_nowp", "absent", "user_ro", "ro_accessed", "ro_refused"):
                    mode = paged(PM32[cpl], kind_)
                    bits = {"absent": 0, "user_ro": PTE_P | PTE_U | PTE_A}.get(what, PTE_P | PTE_A)
                    d = segment(RW | A if what == "ro_accessed" else RW if what != "ro_refused" else XO, cpl, reg=reg)
                    # the LDT has the page for itself: other descriptors stay loadable
                    yield load(f"page/{what}/{reg}/{mode}", mode, reg, "mov", TL(0, cpl), regs=dict(cr0=mode.regs["cr0"] & ~(WP if what == "ro_nowp" else 0)),
                               pte={LDT: LDT | bits}, ldt={TL(0): d})
            # a descriptor that lies on two pages, the second missing or read-only
            for second in ("absent", "ro", "rw"):
                mode = paged(PM32[cpl], kind_)
                bits = {"absent": 0, "ro": PTE_P | PTE_A | PTE_U, "rw": ALL}[second]
                d = segment(RW, cpl)
                for off in (4, 2):
                    yield load(f"straddle/{second}/{off}/{mode}", mode, "es", "mov", TL(0, cpl), regs=dict(ldtr=T(30)), mem={LDT + 0x1000 - off: d},
                               gdt={T(30): desc(SYS_LDT, LDT + 0x1000 - off, 7, 0)}, pte={LDT + 0x1000: LDT + 0x1000 | bits})


EXAMINE = """
mov esi, 0x%x
mov eax, 0x55aa55aa
lar eax, esi
setz dl
push eax
mov eax, 0x55aa55aa
lsl eax, esi
setz dh
push eax
mov eax, 0x55aa55aa
mov ebx, eax
lar ax, si
lsl bx, si
rol eax, 16
mov ax, bx
push eax
mov eax, edx
verr si
setz al
verw si
setz ah
rol eax, 16
mov ax, dx
push eax
"""


def examine_cases():
    for access in SYSTEM + SEGMENTS + [s | A for s in SEGMENTS]:
        for cpl in range(4):
            for dpl in range(4):
                if cpl in (1, 2) and access & 1 and access & 0x10:
                    continue
                local = (cpl + dpl + access) % 3 == 0
                base = TL(0) if local else T(0)
                code = "".join(EXAMINE % (base | rpl) for rpl in range(4))
                present = (cpl, dpl) not in ((3, 3), (0, 1))
                yield Case(f"examine/{kind(access)}/{'' if present else 'absent/'}dpl{dpl}/cpl{cpl}", PM32[cpl], code, **table(local, segment(access, dpl, present, limit=0xabcde)))
    for cpl in (0, 3):
        for limit, flags in ((0, 0), (0, G), (0xfffff, 0), (0xfffff, G | D32), (0x12345, G | AVL), (0x8000f, AVL | L64 | D32)):
            for access in (RW, RW_DOWN, XR, SYS_LDT, SYS_TSS32):
                d = desc(access, DATA, limit, flags, 3)
                yield Case(f"examine_limit/{kind(access)}/{limit:x}/{flags:x}/cpl{cpl}", PM32[cpl], EXAMINE % T(0, 3), gdt={T(0): d})
        for what, sel in (("null", 0), ("null", 3), ("beyond", 0x400), ("beyond", 0xffff), ("ldt", TL(64)), ("edge", 0x3f8)):
            yield Case(f"examine_none/{what}/{sel:x}/cpl{cpl}", PM32[cpl], EXAMINE % sel)
        yield Case(f"examine_none/ldt_null/cpl{cpl}", PM32[cpl], EXAMINE % TL(0), regs=dict(ldtr=0))
        for cut in (6, 7):
            yield Case(f"examine_none/cut{cut}/cpl{cpl}", PM32[cpl], EXAMINE % T(31, cpl), regs=dict(gdt_limit=T(31) + cut), gdt={T(31): segment(RW, cpl)})
        for bits in (0, PTE_P | PTE_A):
            yield Case(f"examine_page/{bits:x}/cpl{cpl}", paged(PM32[cpl]), EXAMINE % TL(0, cpl), ldt={TL(0): segment(RW, cpl)}, pte={LDT: LDT | bits})
    for mode in PM32[::3] + PM16[::3] + [REALMODE, V86]:
        at = MEM32 if mode.flat else MEM16
        for op in ("lar", "lsl", "verr", "verw"):
            for sel, d in ((T(0, mode.ring), segment(RW, mode.ring)), (0, None)):
                for form in (f"word [{at:#x}]", "si"):
                    text = f"{op} {form}" if op[0] == "v" else f"{op} dx, {form}" if form == "si" else f"{op} edx, {form}"
                    yield Case(f"examine_form/{op}/{'null' if not sel else 'rw'}/{'mem' if form[0] == 'w' else 'reg'}/{mode}", mode, text,
                               regs=dict(esi=0x50000 | sel, eflags=mode.regs["eflags"] | CF | SF | OF | AF | PF), mem={MEM32: struct.pack("<H", sel)},
                               gdt={T(0): d} if d else {})


def arpl_cases():
    for mode in PM32 + PM16[::3] + [REALMODE, V86]:
        at = MEM32 if mode.flat else MEM16
        for form in ("cx", f"[{at:#x}]"):
            code = ""
            for dst in range(4):
                for src in range(4):
                    code += f"mov ecx, 0xffff{0x5a58 | dst:x}\nmov [{at:#x}], ecx\nmov dx, {0x1230 | src}\narpl {form}, dx\npushf\npush word {'cx' if form == 'cx' else form}\n"
            yield Case(f"arpl/{'reg' if form == 'cx' else 'mem'}/{mode}", mode, code, regs=dict(eflags=mode.regs["eflags"] | CF | OF | SF | AF | PF))


def system_loads():
    for op in ("lldt", "ltr"):
        for access in SYSTEM + [RW, XR]:
            for present in (True, False):
                for rpl in (0, 3):
                    form = pick(f"{op}{access}{present}{rpl}", ["cx", f"word [{MEM32:#x}]"])
                    d = segment(access, 3 - rpl, present)
                    yield Case(f"{op}/{kind(access)}/{'' if present else 'absent/'}rpl{rpl}/{'reg' if form == 'cx' else 'mem'}", PM32[0], f"{op} {form}\nstr ax\nsldt bx",
                               regs=dict(ecx=T(0, rpl)), mem={MEM32: struct.pack("<H", T(0, rpl))}, gdt={T(0): d})
        for sel in (0, 1, 2, 3, 4, TL(1), TL(1, 3), 0x400, 0xfff8, 0xffff, TSS_SEL, LDT_SEL, TSS16_SEL):
            yield Case(f"{op}/selector/{sel:x}", PM32[0], f"{op} cx\nstr ax\nsldt bx", regs=dict(ecx=sel), ldt={TL(1): segment(SYS_LDT if op == "lldt" else SYS_TSS32)})
        for mode in PM32 + PM16 + [REALMODE, V86]:
            at = MEM32 if mode.flat else MEM16
            for form in ("cx", f"word [{at:#x}]"):
                d = segment(SYS_LDT if op == "lldt" else SYS_TSS32)
                yield Case(f"{op}/mode/{'reg' if form == 'cx' else 'mem'}/{mode}", mode, f"{op} {form}", regs=dict(ecx=T(0)), mem={MEM32: struct.pack("<H", T(0))}, gdt={T(0): d})
        for cut in (6, 7):
            yield Case(f"{op}/cut/{cut}", PM32[0], f"{op} cx", regs=dict(ecx=T(31), gdt_limit=T(31) + cut), gdt={T(31): segment(SYS_LDT if op == "lldt" else SYS_TSS32)})
    for mode in PM32 + PM16 + [REALMODE, V86]:
        at = MEM32 if mode.flat else MEM16
        for op in ("sldt", "str", "smsw"):
            for form in ("cx", "ecx", f"[{at:#x}]"):
                yield Case(f"{op}/{form if form[0] != '[' else 'mem'}/{mode}", mode, f"{op} {form}")
        for op in ("sgdt", "sidt"):
            for size in ("o16", "o32"):
                yield Case(f"{op}/{size}/{mode}", mode, f"{size} {op} [{at:#x}]", regs=dict(gdt_limit=0x3fe) if op == "sgdt" else dict(idt_base=IDT) if mode is not REALMODE else {})
        for op in ("lgdt", "lidt"):
            base, limit = (GDT, 0x37f) if op == "lgdt" else (mode.regs["idt_base"], mode.regs["idt_limit"])
            for size in ("o16", "o32"):
                for top in (0, 0xab000000):
                    # the copy of what was loaded is stored while the table is not needed; then the good one comes back
                    code = f"{size} {op} [{at:#x}]\no32 s{op[1:]} [{at + 16:#x}]\no32 {op} [{at + 8:#x}]"
                    yield Case(f"{op}/{size}/{top >> 24:x}/{mode}", mode, code, mem={MEM32: struct.pack("<HI", limit - 1, base | top), MEM32 + 8: struct.pack("<HI", limit, base)})
        for op in ("sgdt", "sidt", "lgdt", "lidt"):
            yield Case(f"register/{op}/{mode}", mode, {"sgdt": "db 0x0f, 1, 0xc7", "sidt": "db 0x0f, 1, 0xcd", "lgdt": "db 0x0f, 1, 0xd7", "lidt": "db 0x0f, 1, 0xdf"}[op])
        for value in range(16):
            if value not in (0, 1, 15) and mode.ring in (1, 2):
                continue
            form = "cx" if value % 3 else f"word [{at:#x}]"
            v = 0xffe0 | value
            yield Case(f"lmsw/{value:x}/{mode}", mode, f"lmsw {form}\nmov eax, 1\nsmsw edx", regs=dict(ecx=v), mem={MEM32: struct.pack("<H", v)})


def real_cases():
    for mode in (REALMODE, V86):
        for reg in REGISTERS + ["ss"]:
            for how in ("mov", "movm", "pop", "lfp", "o"):
                for sel in (0, 3, 0x2fff, 0x3210, 0xffff) if reg != "ss" else (0x1000, 0x2fff, 0x3210, 0x1fff):       # the harness stays out of reach of the stack
                    if (sel in (3, 0x2fff)) != (how in ("mov", "lfp")):
                        yield load(f"plain/{reg}/{how}/{sel:x}/{mode}", mode, reg, how, sel)
        for bad in ("db 0x8e, 0xc9", "db 0x8e, 0xf1", "db 0x8e, 0xf9", "db 0x8c, 0xf1", "db 0x8c, 0xf9", "db 0xc4, 0xc0", "db 0x0f, 0xb2, 0xc0"):
            yield Case(f"invalid/{bad[3:].replace(', 0x', '')}/{mode}", mode, bad if not bad.startswith("db 0xc4") else "db 0xc5, 0xc0, 0xc0")
    for mode in PM32[::3] + PM16[::3]:
        for bad in ("db 0x8e, 0xc9", "db 0x8e, 0xf1", "db 0x8e, 0xf9", "db 0x8c, 0xf1", "db 0x8c, 0xf9", "db 0x0f, 0xb2, 0xc0", "db 0x0f, 0xb4, 0xc0", "db 0x0f, 0xb5, 0xff"):
            yield Case(f"invalid/{bad[3:].replace(', 0x', '')}/{mode}", mode, bad)
    for mode in PM32 + PM16 + [REALMODE, V86]:
        for reg in REGISTERS + ["ss", "cs"]:
            yield Case(f"store/{reg}/{mode}", mode, f"mov ecx, {reg}\nmov dx, {reg}\nmov [{(MEM32 if mode.flat else MEM16):#x}], {reg}\npush {reg}")


def cases():
    yield from load_cases()
    yield from table_cases()
    yield from examine_cases()
    yield from arpl_cases()
    yield from system_loads()
    yield from real_cases()


def hand():
    data, small = desc(RW, DATA, 0xfffff, D32 | G, 3), desc(RW, 0x34000, 0x7ff, D32, 3)
    p3 = PM32[3]
    # what is looked at first: the operand, the selector, the descriptor
    yield Case("order/operand_beyond_limit", p3, "les edx, [fs:0x7fb]", regs=dict(fs=T(0, 3)), gdt={T(0): small})
    yield Case("order/operand_at_limit", p3, "les edx, [fs:0x7fa]", regs=dict(fs=T(0, 3)), gdt={T(0): small}, mem={0x347fe: struct.pack("<H", T(0, 3))})
    yield Case("order/operand_null_segment", p3, "mov es, [fs:0]", regs=dict(fs=3))
    yield Case("order/pop_beyond_limit", p3, "pop es", regs=dict(ss=T(0, 3), esp=0x7ff), gdt={T(0): small})
    yield Case("order/pop_below_limit", p3, "o16 pop es", regs=dict(ss=T(0, 3), esp=0x7fe), gdt={T(0): small}, mem={0x347fe: struct.pack("<H", T(0, 3))})
    yield Case("order/offset_page_then_selector", paged(p3), "les edx, [0x33ffe]", pte={0x34000: 0})
    yield Case("order/selector_page", paged(p3), "les edx, [0x33ffc]", pte={0x34000: 0})
    yield Case("order/type_before_privilege", PM32[2], "mov es, cx", regs=dict(ecx=T(0, 3)), gdt={T(0): desc(XO, 0, 0xfffff, G, 0, False)})
    yield Case("order/privilege_before_present", PM32[2], "mov es, cx", regs=dict(ecx=T(0, 3)), gdt={T(0): desc(RW, 0, 0xfffff, G, 0, False)})
    yield Case("order/ss_type_before_present", PM32[2], "mov ss, cx", regs=dict(ecx=T(0, 2)), gdt={T(0): desc(RO, 0, 0xfffff, G, 2, False)})
    # a load that fails changes nothing
    yield Case("failed/lss", p3, "lss esp, [at(.p)]\nud2\n.p: dd 0x12345678\ndw 0x3f8")
    yield Case("failed/lds_keeps_register", p3, "lds edx, [at(.p)]\nud2\n.p: dd 0x12345678\ndw 0x3f8")
    yield Case("failed/pop_keeps_esp", p3, "push dword 0x3f8\npop gs")
    yield Case("failed/pop_ss_keeps_esp", p3, "push dword 0\npop ss")
    yield Case("failed/accessed_stays_clear", p3, "mov es, cx", regs=dict(ecx=T(0, 3)), gdt={T(0): desc(RW, 0, 0xfffff, G, 3, False)})
    yield Case("failed/old_hidden_part", p3, f"mov es, cx\nmov dx, 0x3fb\nmov [at(.x)+2], dx\n.x: mov dx, 0x3fb\nmov eax, [es:4]\nmov es, dx", regs=dict(ecx=T(0, 3)), gdt={T(0): small})
    # destinations that are part of the address
    yield Case("alias/les_edi_edi", p3, "les edi, [edi]", regs=dict(edi=MEM32), mem={MEM32: struct.pack("<IH", 0x11223344, DATA32(3))})
    yield Case("alias/lds_ebx_ds", p3, "lds ebx, [ebx]\nmov eax, [ebx]", regs=dict(ebx=MEM32), mem={MEM32: struct.pack("<IH", 8, T(0, 3))}, gdt={T(0): small})
    yield Case("alias/lss_esp_esp", p3, f"push dword {DATA32(3)}\npush dword {STACK[3] + 0x800:#x}\nlss esp, [esp]\npush eax")
    yield Case("alias/lss_ebp", p3, f"push dword {DATA32(3)}\npush dword {STACK[3] + 0x800:#x}\nlss ebp, [esp]\npush ebp")
    yield Case("alias/mov_ss_ss", p3, "mov ax, ss\nmov ss, ax\nmov ss, [ss:esp-4]", mem={STACK[3] + 0xffc: struct.pack("<H", DATA32(3))})
    yield Case("alias/mov_ds_ds", p3, "mov ds, [ds:ecx]\nmov eax, [4]", regs=dict(ecx=MEM32), mem={MEM32: struct.pack("<H", T(0, 3))}, gdt={T(0): small})
    # operand sizes
    yield Case("size/mov_to_reg", p3, "mov ecx, ds\nmov dx, ds\no16 mov bx, es\nmov [at(.x)], ss\nud2\n.x: dd -1")
    yield Case("size/mov_to_mem_o32", p3, f"o32 mov [{MEM32:#x}], ds\no16 mov [{MEM32 + 4:#x}], ds")
    yield Case("size/mov_from_reg_upper", p3, "mov es, ecx\nmov eax, es", regs=dict(ecx=0xffff0000 | DATA32(3)))
    yield Case("size/push_pop_mixed", p3, "o16 push ds\no16 pop es\npush ds\npop fs\no16 push gs\npush word 0x1234\npop ecx")
    yield Case("size/pop_upper_garbage", p3, f"push dword {0xabcd0000 | DATA32(3):#x}\npop es\nmov eax, es")
    yield Case("size/push_pop_16bit_code", PM16[3], "o32 push ds\no32 pop es\npush fs\npop gs")
    yield Case("size/sldt_str_smsw", p3, f"mov ecx, -1\nmov edx, ecx\nmov ebx, ecx\nsldt cx\nstr dx\nsmsw bx\nmov esi, -1\nsldt esi\nmov edi, -1\nstr edi\nmov dword [{MEM32:#x}], -1\no32 sldt [{MEM32:#x}]")
    yield Case("size/lar_16", p3, "mov edx, -1\nlar dx, cx\nmov ebx, -1\nlsl bx, cx\nlar esi, ecx\nlsl edi, ecx", regs=dict(ecx=0xabcd0000 | T(0, 3)), gdt={T(0): desc(RW, 0x12345678, 0xfedcb, D32 | AVL, 3)})
    yield Case("size/lsl_granular", p3, "lsl edx, ecx\nlsl bx, cx", regs=dict(ecx=T(0, 3)), gdt={T(0): desc(RW, 0, 0x12345, D32 | G, 3)})
    # tables in odd places
    d = desc(RW, 0x34000, 0x7ff, D32, 3)
    yield Case("table/ldt_wraps_4g", p3, "mov es, cx\nmov eax, [es:4]", regs=dict(ecx=0x304 | 3, ldtr=T(1)), gdt={T(1): desc(SYS_LDT, 0xfffffe00, 0x3ff, 0)}, mem={0x100: d})
    yield Case("table/ldt_descriptor_over_4g", p3, "mov es, cx\nmov eax, [es:4]", regs=dict(ecx=0xc | 3, ldtr=T(1)), gdt={T(1): desc(SYS_LDT, 0xfffffff4, 0xff, 0)}, mem={0: d[4:]})
    yield Case("table/ldt_in_rom", p3, "mov es, cx\nmov eax, es", regs=dict(ecx=0x7 | 0, ldtr=T(1)), gdt={T(1): desc(SYS_LDT, 0xfff00000, 0xffff, 0)})
    yield Case("table/ldt_in_nothing", p3, "mov es, cx", regs=dict(ecx=0xf, ldtr=T(1)), gdt={T(1): desc(SYS_LDT, 0xc0000000, 0xffff, 0)})
    yield Case("table/ldt_is_gdt", p3, f"mov es, cx\nmov eax, es\nmov ebx, [es:{DATA:#x}]", regs=dict(ecx=DATA32(3) | 4, ldtr=T(1)), gdt={T(1): desc(SYS_LDT, GDT, 0x3ff, 0)})
    yield Case("table/gdt_limit_ffff", p3, "mov es, cx\nmov eax, [es:4]", regs=dict(ecx=0xffff & ~4, gdt_limit=0xffff), mem={GDT + 0xfff8: d})
    yield Case("table/gdt_odd_base", PM32[0], f"mov esi, {GDT:#x}\nmov edi, {BITMAP + 3:#x}\nmov ecx, 0x100\nrep movsd\nlgdt [at(.t)]\nmov ax, {T(0)}\nmov es, ax\nmov eax, [es:4]\nud2\n.t: dw 0x3ff\ndd {BITMAP + 3:#x}",
               gdt={T(0): desc(RW, 0x34000, 0x7ff, D32)})
    yield Case("table/null_descriptor_used", p3, "mov es, cx\nmov eax, [es:0]", regs=dict(ecx=3), mem={GDT: d})
    yield Case("table/ldt_entry_0", p3, "mov es, cx\nmov eax, [es:4]", regs=dict(ecx=TL(0, 3)), ldt={TL(0): d})
    yield Case("table/written_while_used", PM32[0], f"mov cx, {T(0)}\nmov es, cx\nmov dword [es:{GDT + T(1) - 0x20000:#x}], 0x400007ff\nmov dword [es:{GDT + T(1) + 4 - 0x20000:#x}], 0x00409203\nmov dx, {T(1)}\nmov fs, dx\nmov eax, [fs:4]",
               gdt={T(0): desc(RW, 0x20000, 0xffff, D32)})
    yield Case("table/accessed_in_page_with_code", PM32[0], "mov es, cx\nmov eax, [es:4]\nmov es, cx\nmov fs, cx", regs=dict(ecx=TL(0), ldtr=T(1)), gdt={T(1): desc(SYS_LDT, CODE + 0x100, 0xff, 0)}, mem={CODE + 0x100: desc(RW, 0x34000, 0x7ff, D32)})
    yield Case("table/accessed_is_next_instruction", PM32[0], b"\x8e\xc1" + b"\x90" * 6 + desc(RW, 0x34000, 0x7ff, D32)[:0] + b"\xb8\x00\x00\x00\x00\xbb\x92\x40\x00\x00\x00",
               regs=dict(ecx=TL(0), ldtr=T(1)), gdt={T(1): desc(SYS_LDT, CODE + 9, 0xff, 0)})
    # LDTR and TR
    yield Case("ldtr/null_then_use", PM32[0], "xor eax, eax\nlldt ax\nmov es, cx", regs=dict(ecx=TL(0)), ldt={TL(0): desc(RW, 0x34000, 0x7ff, D32)})
    yield Case("ldtr/null_with_rpl", PM32[0], "mov ax, 3\nlldt ax\nsldt dx\nlar ebx, ecx\nsetz bl", regs=dict(ecx=TL(0)), ldt={TL(0): desc(RW, 0x34000, 0x7ff, D32)})
    yield Case("ldtr/dpl_ignored", PM32[0], "lldt cx\nmov es, dx\nmov eax, [es:4]", regs=dict(ecx=T(1, 3), edx=TL(0)), gdt={T(1): desc(SYS_LDT, LDT, 0xff, 0, 3)}, ldt={TL(0): desc(RW, 0x34000, 0x7ff, D32)})
    yield Case("ldtr/big_limit", PM32[0], "lldt cx\nmov es, dx\nmov eax, [es:4]", regs=dict(ecx=T(1), edx=0xfffc), gdt={T(1): desc(SYS_LDT, DATA - 0xf000, 0xfffff, G)}, mem={DATA - 0xf000 + 0xfff8: desc(RW, 0x34000, 0x7ff, D32)})
    yield Case("ldtr/read_only_page", paged(PM32[0]), "lldt cx\nsldt dx", regs=dict(ecx=T(1)), gdt={T(1): desc(SYS_LDT, LDT, 0xff, 0)}, pte={GDT: GDT | PTE_P | PTE_A})
    yield Case("tr/read_only_page", paged(PM32[0]), f"mov byte [{PT + (GDT >> 12) * 4:#x}], {PTE_P | PTE_A:#x}\ninvlpg [{GDT:#x}]\nltr cx\nstr dx", regs=dict(ecx=T(1)), gdt={T(1): desc(SYS_TSS32, TSS2, 0x67, 0)})
    yield Case("tr/busy_of_old_stays", PM32[0], f"ltr cx\nstr dx\nmov ax, {TSS_SEL}\nltr ax", regs=dict(ecx=T(1)), gdt={T(1): desc(SYS_TSS32, TSS2, 0x67, 0)})
    yield Case("tr/tss16", PM32[0], "ltr cx\nstr dx\nlar eax, ecx\nlsl ebx, ecx", regs=dict(ecx=T(1)), gdt={T(1): desc(SYS_TSS16, TSS16, 0x2b, 0)})
    yield Case("tr/any_limit", PM32[0], "ltr cx\nstr dx", regs=dict(ecx=T(1)), gdt={T(1): desc(SYS_TSS32, TSS2, 0, 0)})
    # LMSW and SMSW
    yield Case("msw/pe_stays", PM32[0], "mov ax, 0xfff0\nlmsw ax\nsmsw ecx\nmov edx, cr0")
    yield Case("msw/ts_em_mp", PM32[0], "mov ax, 0xf\nlmsw ax\nmov edx, cr0\nmov ax, 1\nlmsw ax\nmov ecx, cr0\nmov eax, cr0")
    yield Case("msw/enter_protected", REALMODE, f"mov ax, 1\nlmsw ax\njmp dword {CODE32(0)}:at(.a)+{CODE:#x}\nbits 32\n.a: mov ax, {DATA32(0)}\nmov ss, ax\nmov esp, {STACK0_INNER:#x}\nmov ecx, [esp]\nbits 16", regs=dict(idt_base=IDT, idt_limit=0x7ff))
    yield Case("msw/memory", p3, f"smsw [{MEM32:#x}]\nsmsw ecx\nsmsw dx")
    # conforming code as data, and what an outer return leaves
    yield Case("conforming/any_rpl", p3, "mov es, cx\nmov eax, [es:4]", regs=dict(ecx=T(0, 3)), gdt={T(0): desc(XR_CONF, DATA, 0xffff, D32, 0)})
    yield Case("conforming/write", p3, "mov es, cx\nmov [es:4], eax", regs=dict(ecx=T(0, 3)), gdt={T(0): desc(XR_CONF, DATA, 0xffff, D32, 0)})
    for name, sel, d in (("inner_data", T(0), desc(RW, DATA, 0xffff, D32, 0)), ("outer_data", T(0), desc(RW, DATA, 0xffff, D32, 3)), ("inner_code", T(0), desc(XR, DATA, 0xffff, D32, 0)),
                         ("conforming", T(0), desc(XR_CONF, DATA, 0xffff, D32, 0)), ("null_rpl", 2, None), ("middle", T(0), desc(RW, DATA, 0xffff, D32, 2))):
        code = f"mov cx, {sel}\n" + "".join(f"mov {r}, cx\n" for r in REGISTERS)
        frame = f"push dword {DATA32(3)}\npush dword {STACK[3] + 0x800:#x}\n"
        yield Case(f"outer_return/{name}/retf", PM32[0], f"{code}{frame}push dword {CODE32(3)}\npush dword at(.o)\nretf\n.o: mov eax, [gs:4]", gdt={T(0): d} if d else {})
        yield Case(f"outer_return/{name}/iret", PM32[0], f"{code}{frame}push dword 2\npush dword {CODE32(3)}\npush dword at(.o)\niret\n.o: mov eax, [gs:4]", gdt={T(0): d} if d else {})
