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
                for sel in (0, 3, 0x2fff, 0x3210, 0xffff):
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
    return []
