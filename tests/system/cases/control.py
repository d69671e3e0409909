"""Control registers, MSRs, ports and their permissions, flags by IOPL and ring, and the odd corners of ordinary instructions."""
from matrix import *  # noqa: F403

EVERY = PM32 + PM16 + [REALMODE, V86]
FEW = [PM32[0], PM32[3], PM16[0], PM16[3], REALMODE, V86]
TSS_END = BITMAP + 0x1000


def off(mode, address):
    return address if mode.flat else address - CODE


def ptr(mode, address):
    return f"[{off(mode, address):#x}]"


def cr_cases():
    """MOV to control registers: each bit, and the combinations that are illegal. Paging that a case turns on maps one to one."""
    for mode in (PM32[0], PM16[0], REALMODE):
        base = mode.regs["cr0"]
        tail = "\nmov ecx, cr0\nmov ebx, cr4\nnop"
        for bit in range(32):
            if bit == 31 and mode is REALMODE:
                continue
            for on in (True, False):
                v = base | 1 << bit if on else base & ~(1 << bit)
                if not on and bit == 0:
                    continue                        # PE off without a far jump: hand-made below
                if mode is not REALMODE or bit:
                    yield Case(f"cr0/{bit}{'+' if on else '-'}/{mode}", mode, f"mov eax, {v:#x}\nmov cr0, eax{tail}", dict(cr3=PD))
                if on and bit not in (13, 18):      # VMXE, OSXSAVE: not in every model
                    yield Case(f"cr4/{bit}/{mode}", mode, f"mov eax, {1 << bit:#x}\nmov cr4, eax{tail}", dict(cr3=PD))
        for nw in (0, 1):
            for cd in (0, 1):
                for pg in (0, 1):
                    for pe in (0, 1):
                        if mode is REALMODE and pe or not pe and not pg and mode is not REALMODE:
                            continue
                        v = base & ~1 | nw << 29 | cd << 30 | pg << 31 | pe
                        yield Case(f"cr0-pairs/nw{nw}cd{cd}pg{pg}pe{pe}/{mode}", mode, f"mov eax, {v:#x}\nmov cr0, eax{tail}", dict(cr3=PD))
    for mode in EVERY:
        for n in range(8):
            for op in ("to", "from"):
                if mode.ring == 0 and n in (0, 4) and op == "to":
                    continue
                code = f"db 0x0f, {0x22 if op == 'to' else 0x20:#x}, {0xc3 | n << 3:#x}"
                yield Case(f"crn/{op}{n}/{mode}", mode, code + ("\nxor ebx, ebx" if n > 4 or op == "from" and n == 0 else "") + "\nnop", dict(ebx=PD))


def lmsw_cases():
    for mode in (PM32[0], PM32[3], PM16[0], REALMODE, V86):
        for v in range(16):
            if mode is REALMODE and v & 1:
                continue
            yield Case(f"lmsw/{v:x}/{mode}", mode, f"mov ax, {0xfff0 | v:#x}\nlmsw ax\nsmsw ecx\nmov dx, 0")
        yield Case(f"lmsw/mem/{mode}", mode, f"lmsw {ptr(mode, DATA)}\nsmsw cx", mem={DATA: b"\x0e\0\0\0"})
        yield Case(f"lmsw/mem-outside/{mode}", mode, f"lmsw {'[es:ecx]' if mode.flat else '[0xffff]'}", dict(ecx=0x33000, **({"es": T(0) | mode.ring} if mode.flat else {})), gdt={T(0): desc(RW | A, 0, 0x33000, D32, mode.ring)})
        for size, reg in ((2, "cx"), (4, "ecx")):
            yield Case(f"smsw/{size}/{mode}", mode, f"smsw {reg}")
        yield Case(f"smsw/mem/{mode}", mode, f"smsw {ptr(mode, DATA)}")
        yield Case(f"clts/{mode}", mode, "clts\nnop", dict(cr0=mode.regs["cr0"] | TS))


def privilege_cases():
    """What ring 0 may do, by ring and mode. What it is in ring 0 is seen where it does no harm."""
    harmless = {"hlt": "hlt", "invd": "invd", "wbinvd": "wbinvd", "rdmsr": "mov ecx, 0x174\nrdmsr", "wrmsr": "mov ecx, 0x174\nxor eax, eax\nxor edx, edx\nwrmsr", "sysexit": "sysexit", "clts": "clts",
                "rdtsc": "rdtsc\nxor eax, eax\nxor edx, edx", "rdtscp-ud": "db 0x0f, 0x01, 0xfa", "rdpmc": "mov ecx, 0x12345\nrdpmc", "cpuid": "xor eax, eax\ncpuid\nxor eax, eax\nxor ebx, ebx\nxor ecx, ecx\nxor edx, edx",
                "rsm": "rsm", "ud0": "db 0x0f, 0xff, 0xc0", "ud1": "db 0x0f, 0xb9, 0xc0", "ud2": "ud2", "int1": "db 0xf1", "cli": "cli", "sti": "sti", "pause": "pause", "salc": "stc\ndb 0xd6",
                "in": "in al, 0x99", "out": "out 0x99, al", "in-dx": "mov dx, 0x99\nin ax, dx", "out-dx": "mov dx, 0x99\nout dx, eax", "pushf": "pushf", "popf": "pushf\npopf", "iret": "iret"}
    for mode in EVERY:
        for name, code in harmless.items():
            if name == "hlt" and mode.ring == 0 or name in ("rdtscp-ud", "iret"):
                continue
            for extra, regs in (("", {}), ("/tsd", dict(cr4=TSD)), ("/iopl3", dict(eflags=mode.regs["eflags"] | iopl(3)))):
                if extra == "/tsd" and name not in ("rdtsc", "rdpmc"):
                    continue
                yield Case(f"priv/{name}{extra}/{mode}", mode, code + "\nnop", regs)
        for name in ("lgdt", "lidt", "sgdt", "sidt", "invlpg"):
            m = ptr(mode, DATA)
            yield Case(f"priv/{name}/{mode}", mode, f"{name} {m}\nnop", mem={DATA: struct.pack("<HI", 0x3ff, GDT) if name == "lgdt" else struct.pack("<HI", mode.regs["idt_limit"], mode.regs["idt_base"])})
            yield Case(f"priv/{name}-reg/{mode}", mode, f"db 0x0f, 0x01, {0xc0 | dict(sgdt=0, sidt=1, lgdt=2, lidt=3, invlpg=7)[name] << 3 | 5:#x}\nnop")
            yield Case(f"priv/o16-{name}/{mode}", mode, f"{'o16' if mode.flat else 'o32'} {name} {m}\nnop", mem={DATA: struct.pack("<HI", 0x3ff, GDT) if name == "lgdt" else struct.pack("<HI", mode.regs["idt_limit"], mode.regs["idt_base"])})


MSRS = [0, 1, 0x10, 0x174, 0x175, 0x176, 0x177, 0x173, 0x277, 0xfe, 0x200, 0x201, 0x20f, 0x250, 0x258, 0x259, 0x268, 0x26f, 0x2ff, 0xc0000080, 0x12345, 0x40000000, 0xffffffff]


def msr_cases():
    for mode in (PM32[0], PM32[3], REALMODE, V86):
        for msr in MSRS:
            if msr not in (0, 1, 0x10, 0xfe):
                yield Case(f"rdmsr/{msr:x}/{mode}", mode, f"mov ecx, {msr:#x}\nrdmsr\n{'nop' if msr in (0x174, 0x175, 0x176, 0xc0000080, 0x277) else 'xor eax, eax' + chr(10) + 'xor edx, edx'}")
            if mode.ring or msr in (0x174, 0x175, 0x176, 0x177, 0x173, 0x12345, 0x40000000, 0xffffffff):
                yield Case(f"wrmsr/{msr:x}/{mode}", mode, f"mov ecx, {msr:#x}\nxor edx, edx\nmov eax, 0x1234\nwrmsr\nxor eax, eax\nrdmsr")
    for what, lo, hi in (("pat-ok", 0x00070406, 0x00070406), ("pat-2", 0x02070406, 0x00070406), ("pat-3", 0x00070403, 0x00070406), ("pat-8", 0x08070406, 0x00070406), ("pat-high", 0x00070406, 0x80070406)):
        yield Case(f"wrmsr/{what}", PM32[0], f"mov ecx, 0x277\nmov eax, {lo:#x}\nmov edx, {hi:#x}\nwrmsr\nmov eax, 0x00070406\nmov edx, 0x00070406\nwrmsr")
    for bit in range(32):
        if bit in (0, 8, 10, 11):
            continue
        yield Case(f"wrmsr/efer{bit}", PM32[0], f"mov ecx, 0xc0000080\nmov eax, {1 << bit:#x}\nxor edx, edx\nwrmsr")
    yield Case("wrmsr/efer-high", PM32[0], "mov ecx, 0xc0000080\nxor eax, eax\nmov edx, 1\nwrmsr")
    yield Case("wrmsr/tsc", PM32[0], "mov ecx, 0x10\nxor eax, eax\nxor edx, edx\nwrmsr\nrdtsc\nmov ecx, edx\nshr eax, 28\nxor edx, edx")


# ---- ports ----

def tss_with_map(bits, base=0x68, tail=b"\xff"):
    """A TSS with a bitmap of denied ports; lies at BITMAP when it is long."""
    return tss32(bitmap=base) + bits + tail


def port_cases():
    """The bitmap: one denied port, accesses of each size beside and over it, over a byte of the map, at its end."""
    for mode in (PM32[3], PM32[1], PM16[3], V86, PM32[0]):
        for level in (0, 3):
            for size, reg in ((1, "al"), (2, "ax"), (4, "eax")):
                for port in (0x97, 0x98, 0x9b, 0x9c, 0x9d, 0x9f, 0xa7):
                    for denied in (0x98, 0x9d, 0xa0) if level == 0 else (0x98,):
                        if (size * 3 + port + denied) % 3 and mode is not PM32[3] or level and port % 2:
                            continue
                        if port < 0xa0 <= port + size - 1:
                            continue                # the interrupt controller is next door
                        if port == 0xa7 and size > 1:
                            continue
                        bits = bytearray(0x40)
                        bits[denied // 8] |= 1 << denied % 8
                        yield Case(f"port/iopl{level}/out{size}/{port:x}-{denied:x}/{mode}", mode, f"mov dx, {port:#x}\nout dx, {reg}\nnop",
                                   dict(eflags=mode.regs["eflags"] & ~0x3000 | iopl(level)), tss=tss_with_map(bytes(bits)), gdt={TSS_SEL: desc(SYS_TSS32, TSS, 0x68 + 0x40, 0)})
        # The map ends, or is not there at all: the limit of the TSS, its base field, a 16-bit TSS.
        for limit in (0x67, 0x68, 0x69, 0x68 + 0x12, 0x68 + 0x13, 0x68 + 0x14, 0x65, 0x66):
            for size, reg in ((1, "al"), (4, "eax")):
                for port in (0x98, 0x9d):
                    yield Case(f"port/limit{limit:x}/out{size}/{port:x}/{mode}", mode, f"mov dx, {port:#x}\nout dx, {reg}\nnop", dict(eflags=mode.regs["eflags"] & ~0x3000),
                               tss=tss_with_map(bytes(0x40)), gdt={TSS_SEL: desc(SYS_TSS32, TSS, limit, 0)})
        for base in (0, 0x60, 0x66, 0x67, 0x69, 0x100, 0xdfff, 0xffff):
            yield Case(f"port/base{base:x}/{mode}", mode, "mov dx, 0x99\nout dx, al\nnop", dict(eflags=mode.regs["eflags"] & ~0x3000), tss=tss_with_map(bytes(0x40), base),
                       gdt={TSS_SEL: desc(SYS_TSS32, TSS, 0x68 + 0x40, 0)})
        if mode.ring and mode is not V86:
            yield Case(f"port/tss16/{mode}", mode, "mov dx, 0x99\nout dx, al\nnop", dict(tr=TSS16_SEL), gdt={TSS16_SEL: desc(SYS_TSS16, TSS16, 0x2b, 0)})
    for mode in (paged(PM32[3]), paged(V86)):
        for page, name in ((TSS, "tss"), (BITMAP, "map")):
            yield Case(f"port/page-{name}/{mode}", mode, "mov dx, 0x99\nout dx, al\nnop", dict(eflags=mode.regs["eflags"] & ~0x3000), mem={BITMAP - 0x98: tss_with_map(bytes(0x60))} if name == "map" else {},
                       gdt={TSS_SEL: desc(SYS_TSS32, BITMAP - 0x98 if name == "map" else TSS, 0x68 + 0x40, 0)}, tss=tss_with_map(bytes(0x40)), pte={page: 0})


def string_port_cases():
    """INS and OUTS: the order of permission, segment and page, and what is left when it stops in the middle."""
    for mode in [PM32[0], PM32[3], PM16[3], REALMODE, V86, paged(PM32[0]), paged(PM32[3]), paged(V86)]:
        si, di, cx = ("esi", "edi", "ecx") if mode.flat else ("si", "di", "cx")
        for size, suffix in ((1, "b"), (2, "w"), (4, "d")):
            for op in ("ins", "outs"):
                index = di if op == "ins" else si
                for rep in ("", "rep "):
                    for df in (0, DF):
                        if df and not rep:
                            continue
                        at = DATA + 0xffc
                        for what in ("ok", "denied", "page", "limit", "zero"):
                            if what == "page" and not hasattr(mode, "paging") or what == "denied" and mode.ring == 0 or what == "zero" and not rep:
                                continue
                            if what != "ok" and size == 2 or what == "limit" and mode is REALMODE and size == 1:
                                continue
                            regs = {"eflags": mode.regs["eflags"] & ~0x3000 | (0 if what == "denied" else iopl(3)) | df, index if mode.flat else "e" + index: off(mode, at), "ecx": 0 if what == "zero" else 4 if size == 1 else 3}
                            pte = {DATA + 0x1000 if not df else DATA - 0x1000 + 0x1000: 0} if what == "page" else {}
                            if what == "page" and not rep:
                                regs["e" + index[-2:]] = off(mode, DATA + 0x1000 - size // 2)
                            if what == "limit":
                                regs["e" + index[-2:]] = 0x10000 - size // 2 - (0 if not rep else size) if not mode.flat else 0x33000 - size // 2 - (size if rep else 0)
                                if mode.flat:
                                    regs["es" if op == "ins" else "ds"] = T(0) | mode.ring
                            # OUTS twice: a port and memory that is as it was
                            yield Case(f"string/{rep.strip() or 'one'}/{op}{suffix}/{what}/{'down' if df else 'up'}/{mode}", mode, f"mov dx, 0x98\n{rep}{op}{suffix}\nnop", regs, pte=pte,
                                       gdt={T(0): desc(RW | A, 0, 0x32fff, D32, mode.ring)})


# ---- flags ----

def flag_cases():
    """PUSHF, POPF, CLI, STI, IRET by IOPL, ring, size and VME or PVI."""
    every = 0x3f7fd7 & ~(TF | VM | RF)
    for mode in EVERY:
        for level in range(4):
            if mode.ring == 0 and level not in (0, 3):
                continue
            for name, code in (("popf", "push {w} {v:#x}\npopf"), ("popfd", "push dword {v:#x}\npopfd"), ("pushf", "pushf"), ("pushfd", "pushfd"), ("cli", "cli"), ("sti", "sti")):
                for vme in (0, VME | PVI):
                    for vif in (0, VIF, VIP, VIF | VIP) if vme and mode.ring == 3 else (0,):
                        for value in (0, every) if name.startswith("popf") else (0,):
                            if mode.ring not in (0, 3) and vme:
                                continue
                            text = code.format(w="dword" if mode.flat else "word", v=value if mode.flat or name == "popfd" else value & 0xffff)
                            regs = dict(eflags=mode.regs["eflags"] & ~0x3000 | iopl(level) | vif, cr4=mode.regs["cr4"] | vme)
                            if mode is REALMODE or mode.ring == 0:
                                regs["eflags"] &= ~(VIF | VIP)
                            yield Case(f"flags/{name}{'+' if value else ''}/iopl{level}/{'vme' if vme else 'plain'}{'-vif' if vif & VIF else ''}{'-vip' if vif & VIP else ''}/{mode}", mode, text + "\nnop", regs)


# ---- ordinary instructions at their edges ----

def alu_cases():
    """Defined flags and results; what the manual leaves open is masked by the instructions behind."""
    mode = PM32[0]
    for op in ("shl", "shr", "sar", "rol", "ror", "rcl", "rcr"):
        for size, reg in ((8, "al"), (16, "ax"), (32, "eax")):
            for count in (0, 1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 255):
                for carry in ("clc", "stc"):
                    if carry == "stc" and op not in ("rcl", "rcr", "rol") and count:
                        continue
                    # OF is defined for 1 only, AF not at all, CF not for SHL and SHR beyond the size.
                    n = count & 31
                    undefined_cf = op in ("shl", "shr") and n > size
                    # Known flags first; then what is defined goes to EBX: ZF, SF, PF (shifts), CF.
                    code = f"mov eax, 0x81c3a5e7\nmov cl, {count}\ncmp eax, eax\n{carry}\n{op} {reg}, cl\npushfd\npop ebx\n"
                    mask = (CF if not undefined_cf else 0) | (PF | ZF | SF if op[0] == "s" or n == 0 else 0) | (OF if n == 1 or n == 0 else 0)
                    yield Case(f"shift/{op}{size}/{count}/{carry}", mode, code + f"and ebx, {mask:#x}\ncmp eax, eax")
    for op in ("shld", "shrd"):
        for size, a, b in ((16, "ax", "dx"), (32, "eax", "edx")):
            for count in (0, 1, 8, 15, 16, 17, 31, 32, 33):
                n = count & 31
                if n > size:
                    continue                        # result undefined
                mask = (CF | PF | ZF | SF) | (OF if n < 2 else 0)
                yield Case(f"shift/{op}{size}/{count}", mode, f"mov eax, 0x81c3a5e7\nmov edx, 0x12345678\nmov cl, {count}\ncmp eax, eax\n{op} {a}, {b}, cl\npushfd\npop ebx\nand ebx, {mask:#x}\ncmp eax, eax")
    for op in ("daa", "das", "aaa", "aas"):
        for al in (0x00, 0x09, 0x0a, 0x0f, 0x10, 0x45, 0x90, 0x99, 0x9a, 0xa0, 0xf9, 0xfa, 0xff):
            for flags in ("clc", "stc", "af", "afc"):
                set_flags = {"clc": 0, "stc": CF, "af": AF, "afc": AF | CF}[flags]
                mask = CF | AF | (ZF | SF | PF if op[0] == "d" else 0)
                yield Case(f"bcd/{op}/{al:02x}/{flags}", mode, f"push dword {set_flags | 2:#x}\npopfd\nmov eax, {0x1200 | al:#x}\n{op}\npushfd\npop ebx\nand ebx, {mask:#x}\ncmp eax, eax")
    for op in ("aam", "aad"):
        for base in (10, 1, 16, 255, 7) + ((0,) if op == "aad" else ()):
            for ax in (0, 0x0109, 0x00ff, 0x0f0f, 0xffff):
                yield Case(f"bcd/{op}{base}/{ax:04x}", mode, f"mov eax, {ax:#x}\ndb {0xd4 if op == 'aam' else 0xd5:#x}, {base}\npushfd\npop ebx\nand ebx, {ZF | SF | PF:#x}\ncmp eax, eax")
    for op in ("bsf", "bsr"):
        for size, a, b in ((16, "ax", "dx"), (32, "eax", "edx")):
            for v in (0, 1, 0x8000, 0x10000, 0x80000000, 0x00f0):
                yield Case(f"bit/{op}{size}/{v:x}", mode, f"mov edx, {v:#x}\nmov eax, 0x11223344\n{op} {a}, {b}\nsetz bl\n" + ("mov eax, 0\n" if not v & (0xffff if size == 16 else ~0) else "") + "cmp eax, eax")
    for size in (16, 32):
        for op in ("bt", "bts", "btr", "btc"):
            for index in (0, 15, 16, 31, 32, 0x7fff, 0x8000, -1, -32, -33):
                p, i = ("word", "cx") if size == 16 else ("dword", "ecx")
                if abs(index) > 0x1000 and size == 32:
                    continue
                yield Case(f"bit/{op}{size}/{index}", mode, f"mov ecx, {index}\ncmp eax, eax\n{op} {p} [{DATA + 0x1800:#x}], {i}\nsetc bl\ncmp eax, eax")
    for v in (0, 1, 0x7f, 0x80, 0xff):
        yield Case(f"salc/{v:x}", mode, f"mov al, {v:#x}\nadd al, 0x80\ndb 0xd6")


def stack_cases():
    """PUSH and POP with ESP in every part, in each mode."""
    for mode in FEW:
        sp = "esp" if mode.flat else "sp"
        for name, code in (("push-sp", f"push {sp}"), ("push-esp-o", "push sp" if mode.flat else "push esp"), ("pop-sp", f"push {'dword 0x2a6f0' if mode.flat else 'word 0xa6f0'}\npop {sp}"),
                           ("push-m-sp", "push dword [esp]" if mode.flat else "push dword [ss:esp]"), ("pop-m-sp", "push dword 0x2a700\npop dword [esp]" if mode.flat else "push dword 0xa700\npop dword [esp - 4]"),
                           ("pop-m-sp4", "push dword 0x1234\npop dword [esp + 8 - 4]"), ("pusha", "pusha"), ("pushad", "pushad"), ("popa", "pusha\npopa"), ("popad", "pushad\npopad"),
                           ("enter0", "enter 0x10, 0"), ("enter1", "enter 0x10, 1"), ("enter2", "enter 0x10, 2"), ("enter31", "enter 0, 31"), ("enter32", "enter 8, 32"), ("leave", "enter 0x20, 0\nleave"),
                           ("o-enter", "o16 enter 0x10, 1" if mode.flat else "o32 enter 0x10, 1"), ("o-leave", "o16 leave" if mode.flat else "o32 leave"), ("push-imm8", "push byte -1"), ("push-imm16", "push word 0x1234"),
                           ("push-imm32", "push dword 0x12345678"), ("pop-ax", "pop ax"), ("pop-eax", "pop eax")):
            regs = dict(ebp=(STACK[mode.ring] + 0x700) & (0xffffffff if mode.flat else 0xffff) | (0 if mode.flat else 0x10000), esp=mode.regs["esp"] - 0x200)
            if mode is V86:
                regs["ebp"] = (STACK[3] + 0x700) & 0xffff
            yield Case(f"stack/{name}/{mode}", mode, code + "\nnop", regs)


def prefix_cases():
    """Prefixes in odd orders and numbers, address-size overrides, the length limit at a boundary."""
    for mode in (PM32[3], PM16[3], REALMODE):
        for n in range(1, 15):
            for byte, name in ((0x66, "66"), (0x3e, "3e"), (0xf3, "f3"), (0x67, "67")):
                yield Case(f"prefix/{n}x{name}/{mode}", mode, f"times {n} db {byte:#x}\nnop\nnop")
                if n > 8:
                    yield Case(f"prefix/{n}x{name}-long/{mode}", mode, f"times {n} db {byte:#x}\nmov ecx, {ptr(mode, DATA)}\nnop" if byte != 0x67 else f"times {n} db {byte:#x}\nmov bx, 0x1234\nnop\nnop\nnop")
        for a in (0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65):
            for b in (0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65):
                yield Case(f"prefix/seg-{a:02x}-{b:02x}/{mode}", mode, f"db {a:#x}, {b:#x}\nmov al, {ptr(mode, DATA)}\nnop", dict(fs=T(0) | mode.ring, es=T(1) | mode.ring) if mode is not REALMODE else dict(fs=0x3400, es=0x3300),
                           gdt={T(0): desc(RW | A, 0x1000, 0xfffff, G | D32, mode.ring), T(1): desc(RW | A, 0x800, 0xfffff, G | D32, mode.ring)})
        # A register or displacement of the other address size.
        for name, code in (("si", "mov al, [bx + si]" if mode.flat else "mov al, [ebx + esi * 2]"), ("disp", "mov al, [word 0x2000]" if mode.flat else "mov al, [dword 0x2000]"), ("moffs", "db 0x67, 0xa0, 0x00, 0x20, 0, 0, 0x90"),
                           ("lods", "a16 lodsb" if mode.flat else "a32 lodsb"), ("movs", "a16 movsb" if mode.flat else "a32 movsb"), ("rep", "a16 rep stosb" if mode.flat else "a32 rep stosb"), ("loop", "a16 loop $+2" if mode.flat else "a32 loop $+2"),
                           ("jcxz", "jcxz $+2"), ("jecxz", "jecxz $+2"), ("xlat", "a16 xlatb" if mode.flat else "a32 xlatb"), ("lea", "lea eax, [bx + si + 0x1234]" if mode.flat else "lea eax, [ebx + esi * 4 + 0x12345678]"), ("push", "a16 push eax" if mode.flat else "a32 push eax"),
                           ("over", "mov al, [dword 0x10000]")):
            base = 0x2000 if not mode.flat else 0x8100
            regs = dict(ebx=base, esi=base + 0x40 if mode.flat else 0x100, edi=base + 0x80, ecx=2 if mode.flat else 0x00000002)
            if mode.flat:
                regs.update(ds=T(2) | mode.ring, es=T(2) | mode.ring)
            yield Case(f"adsize/{name}/{mode}", mode, code + "\nnop", regs, gdt={T(2): desc(RW | A, DATA - 0x8000, 0xfffff, G | D32, mode.ring)})


def exchange_cases():
    for mode in (PM32[3], PM16[0]):
        for equal in (True, False):
            for lock in ("", "lock "):
                m = ptr(mode, DATA + 0x10)
                for size, r, a in ((1, "cl", "al"), (2, "cx", "ax"), (4, "ecx", "eax")):
                    load = f"mov {a}, {m}" if equal else f"mov {a}, 5"
                    yield Case(f"xchg/{lock.strip() or 'plain'}/cmpxchg{size}/{'eq' if equal else 'ne'}/{mode}", mode, f"{load}\n{lock}cmpxchg {m}, {r}")
                    yield Case(f"xchg/{lock.strip() or 'plain'}/xadd{size}/{'eq' if equal else 'ne'}/{mode}", mode, f"{load}\n{lock}xadd {m}, {r}")
                yield Case(f"xchg/{lock.strip() or 'plain'}/cmpxchg8b/{'eq' if equal else 'ne'}/{mode}", mode, f"mov eax, {m}\nmov edx, {ptr(mode, DATA + 0x14) if equal else 7}\n{lock}cmpxchg8b {m}")
        for r in range(8):
            if r != 4:
                yield Case(f"xchg/bswap/{r}/{mode}", mode, f"db {'' if mode.flat else '0x66, '}0x0f, {0xc8 + r:#x}\nnop")


def cases():
    yield from cr_cases()
    yield from lmsw_cases()
    yield from privilege_cases()
    yield from msr_cases()
    yield from port_cases()
    yield from string_port_cases()
    yield from flag_cases()
    yield from alu_cases()
    yield from stack_cases()
    yield from prefix_cases()
    yield from exchange_cases()


def hand():
    m0, m1, m3, p0, p3, v = PM32[0], PM32[1], PM32[3], paged(PM32[0]), paged(PM32[3]), V86
    # CR0: leaving and entering modes.
    yield Case("pe-off", PM16[0], f"mov eax, cr0\nand al, 0xfe\nmov cr0, eax\njmp {CODE >> 4:#x}:.l1 - snippet\n.l1: mov ax, cs\nmov bx, ss\nint 0x40".replace(".l1", "pe_off_1"), dict(idt_base=0, idt_limit=0x3ff))
    yield Case("pe-off-before-jump", PM16[0], "mov eax, cr0\nand al, 0xfe\nmov cr0, eax\nmov cx, cs\nmov dx, [0x2000]\nint 0x40", dict(idt_base=0, idt_limit=0x3ff))
    yield Case("pe-on", REALMODE, f"lgdt [0x2100]\nlidt [0x2110]\nmov eax, 0x11\nmov cr0, eax\nmov ax, cs\nmov bx, [0x2000]\njmp dword {HCODE}:{stub(0x41)}", mem={DATA + 0x100: struct.pack("<HI", 0x3ff, GDT), DATA + 0x110: struct.pack("<HI", 0x7ff, IDT)})
    yield Case("pg-off", p0, "mov eax, 0x31\nmov cr0, eax\nmov ecx, cr3\nnop")
    yield Case("pg-off-pe-off", paged(PM16[0]), "mov eax, 0x30\nmov cr0, eax\nint 0x40", dict(idt_base=0, idt_limit=0x3ff))
    yield Case("pg-without-pe", REALMODE, "mov eax, 0x80000010\nmov cr0, eax")
    yield Case("pg-on-unmapped", m0, f"mov eax, {PD:#x}\nmov cr3, eax\nmov eax, 0x80000031\nmov cr0, eax\nnop", mem={PT + (CODE >> 12) * 4: bytes(4)})
    yield Case("cr0-66", m0, "db 0x66, 0x0f, 0x20, 0xc1\nnop")
    yield Case("cr0-mod0", m0, "db 0x0f, 0x20, 0x01\nnop")
    yield Case("cr0-lock", m0, "db 0xf0, 0x0f, 0x20, 0xc1")                 # MOV CR8 on AMD processors with the feature, else #UD
    yield Case("cr0-rep", m0, "db 0xf3, 0x0f, 0x20, 0xc1\nnop")
    yield Case("cr0-et", m0, "mov eax, 0x21\nmov cr0, eax\nmov ecx, cr0")
    yield Case("cr0-high", m0, "mov eax, 0x1ff8ffc0 | 0x31\nmov cr0, eax\nmov ecx, cr0")
    yield Case("cr2-write", m0, "mov eax, 0xdeadbeef\nmov cr2, eax\nmov ecx, cr2")
    yield Case("cr3-bits", m0, "mov eax, 0xffffffff\nmov cr3, eax\nmov ecx, cr3\nxor eax, eax\nmov cr3, eax")
    yield Case("cr3-bits-paged", p0, f"mov eax, {PD | 0x18:#x}\nmov cr3, eax\nmov ecx, cr3")
    yield Case("cr4-all-legal", m0, "mov eax, 0x79f\nmov cr4, eax\nmov ecx, cr4\nxor eax, eax\nmov cr4, eax")
    yield Case("cr4-pae-while-paging", p0, "mov eax, 0x20\nmov cr4, eax", mem={PD: struct.pack("<8I", PT | ALL, 0, 0, 0, 0, 0, 0, 0)})
    yield Case("lmsw-sets-pe", REALMODE, f"lgdt [0x2100]\nlidt [0x2110]\nmov ax, 1\nlmsw ax\njmp dword {HCODE}:{stub(0x41)}", mem={DATA + 0x100: struct.pack("<HI", 0x3ff, GDT), DATA + 0x110: struct.pack("<HI", 0x7ff, IDT)})
    yield Case("lmsw-cannot-clear-pe", m0, "xor eax, eax\nlmsw ax\nmov ecx, cr0")
    yield Case("lmsw-keeps-ne", m0, "mov ax, 0\nlmsw ax\nmov ecx, cr0")
    yield Case("smsw-32-upper", m0, "smsw eax", dict(cr0=0x31 | AM | WP))
    yield Case("smsw-m-is-16", m0, f"smsw [{DATA:#x}]", dict(cr0=0x31 | AM | WP))
    yield Case("smsw-page", p3, f"smsw [{DATA:#x}]", pte={DATA: 0})
    yield Case("clts-v86", v, "clts", dict(eflags=2 | VM | iopl(3)))
    # HLT and its waking.
    yield Case("hlt-irq", m0, "sti\nhlt\nnop", flags=IRQ)
    yield Case("hlt-irq-masked-by-ss", m0, "mov ax, ss\nsti\nmov ss, ax\nhlt\nnop", flags=IRQ)
    yield Case("cli-irq", m0, "nop\ncli\nnop\nnop", flags=IRQ)
    yield Case("popf-irq", m0, "pushfd\nor dword [esp], 0x200\npopfd\nnop\nnop", flags=IRQ)
    yield Case("iret-irq", m0, f"push dword 0x202\npush dword {CODE32(0):#x}\npush dword {CODE2:#x}\niretd", flags=IRQ, more={CODE2: (32, "nop\nnop")})
    yield Case("irq-in-3", m3, "nop\n" * 8, dict(eflags=2 | IF), flags=IRQ)
    yield Case("irq-in-v86", v, "nop\n" * 8, dict(eflags=2 | VM | IF | iopl(3)), flags=IRQ)
    yield Case("irq-real", REALMODE, "sti\nnop\nnop\nnop", flags=IRQ)
    yield Case("irq-sti-cli-window", m0, "sti\ncli\nnop\nnop", flags=IRQ)
    yield Case("irq-sti-hlt", REALMODE, "sti\nhlt\nnop\nnop", flags=IRQ)
    yield Case("irq-sti-ret", m0, f"push dword {CODE2:#x}\nsti\nret", flags=IRQ, more={CODE2: (32, "nop\nnop")})
    yield Case("irq-sti-ud", m0, "sti\nud2", flags=IRQ)
    yield Case("irq-sti-int", m0, "sti\nint 0x30", flags=IRQ)
    yield Case("irq-sti-rep-0", m0, "xor ecx, ecx\nsti\nrep stosb\nnop", flags=IRQ)
    yield Case("irq-sti-out", m0, "sti\nout 0x99, al\nnop", flags=IRQ)
    yield Case("irq-popf-v86-vme", v, "push word 0x200\npopf\nnop\nnop", dict(eflags=2 | VM, cr4=VME), flags=IRQ)
    yield Case("irq-sti-pvi", m3, "sti\nnop\nnop", dict(cr4=PVI), flags=IRQ)
    yield Case("irq-not-present", m0, "sti\nnop\nnop", flags=IRQ, idt={0x20: bytes(8)})
    yield Case("irq-task-gate", m0, "sti\nnop\nnop", flags=IRQ, idt={0x20: gate(SYS_TASK, TSS2_SEL, 0)}, mem={TSS2: tss32(eip=CODE2, cs=CODE32(0), sss=DATA32(0), ds=DATA32(0), es=DATA32(0), fs=DATA32(0), gs=DATA32(0), regs=(0, 0, 0, 0, STACK[1] + 0x800, 0, 0, 0))}, more={CODE2: (32, "nop\nud2")})
    # Invalidation instructions, CLFLUSH, prefetches: what they check.
    yield Case("invlpg-v86", v, "invlpg [0x2000]", dict(eflags=2 | VM | iopl(3)))
    yield Case("invlpg-no-limit", m0, "invlpg [fs:0x1000]\nnop", dict(fs=T(0)), gdt={T(0): desc(RW | A, 0, 0xff, D32)})
    yield Case("invlpg-null", m0, "invlpg [fs:0x1000]\nnop", dict(fs=0))
    yield Case("wbinvd-lock", m0, "db 0xf0, 0x0f, 0x09")
    yield Case("clflush-page", p3, f"clflush [{DATA:#x}]", pte={DATA: 0})
    yield Case("clflush-limit", m3, "clflush [fs:0x1000]", dict(fs=T(0, 3)), gdt={T(0): desc(RW | A, 0, 0xfff, D32, 3)})
    yield Case("prefetch-page", p3, f"prefetcht0 [{DATA:#x}]\nprefetchnta [fs:0]", dict(fs=0), pte={DATA: 0})
    yield Case("nop-m-page", p3, f"nop dword [{DATA:#x}]\nnop dword [fs:0]", dict(fs=0), pte={DATA: 0})
    yield Case("lea-null", m3, "lea eax, [fs:0x1234]", dict(fs=0))
    yield Case("lea-reg", m3, "db 0x8d, 0xc1")
    # MSRs.
    yield Case("sysenter-msrs", m0, "mov ecx, 0x174\nmov eax, 0xffffffff\nmov edx, 0xffffffff\nwrmsr\nxor eax, eax\nxor edx, edx\nrdmsr\nmov ebx, eax")
    yield Case("sysenter-esp-high", m0, "mov ecx, 0x175\nmov eax, 0x12345678\nxor edx, edx\nwrmsr\nxor eax, eax\nrdmsr\nmov ebx, eax")
    yield Case("rdtsc-tsd-3", m3, "rdtsc", dict(cr4=TSD))
    yield Case("rdtsc-tsd-0", m0, "rdtsc\nxor eax, eax\nxor edx, edx", dict(cr4=TSD))
    yield Case("rdtsc-tsd-v86", v, "rdtsc", dict(cr4=TSD, eflags=2 | VM | iopl(3)))
    yield Case("rdpmc-bad", m0, "mov ecx, 0x7fff\nrdpmc")
    yield Case("rdpmc-pce-1", m1, "mov ecx, 0x7fff\nrdpmc", dict(cr4=0x100))
    yield Case("cpuid-3", m3, "xor eax, eax\nxor ecx, ecx\ncpuid\nxor eax, eax\nxor ebx, ebx\nxor ecx, ecx\nxor edx, edx")
    yield Case("cpuid-lock", m3, "db 0xf0, 0x0f, 0xa2")
    # Ports.
    yield Case("in-map-byte-outside", m3, "in al, 0x99", tss=tss_with_map(bytes(0x13)), gdt={TSS_SEL: desc(SYS_TSS32, TSS, 0x68 + 0x13, 0)})
    yield Case("in-16-over-denied", m3, "in ax, 0x9f", tss=tss_with_map(bytes(0x13) + b"\0\x01" + bytes(8)), gdt={TSS_SEL: desc(SYS_TSS32, TSS, 0x68 + 0x20, 0)})
    yield Case("port-ffff", m3, "mov dx, 0xffff\nin al, dx", dict(eflags=2))
    yield Case("in-iopl-1-ring-1", m1, "in al, 0x99", dict(eflags=2 | iopl(1)))
    yield Case("in-iopl-0-ring-1", m1, "in al, 0x99", dict(eflags=2))
    yield Case("out-imm-32", m3, "out 0x98, eax", dict(eflags=2 | iopl(3)))
    yield Case("ins-es-only", m3, f"mov edi, {DATA:#x}\nmov dx, 0x98\ndb 0x64, 0x6c", dict(eflags=2 | iopl(3), fs=0))
    yield Case("outs-override", m3, "mov esi, 0x10\nmov dx, 0x98\ndb 0x64, 0x6e", dict(eflags=2 | iopl(3), fs=0))
    yield Case("ins-ro", m3, f"mov edi, {DATA:#x}\nmov dx, 0x98\ninsb", dict(eflags=2 | iopl(3), es=T(0, 3)), gdt={T(0): desc(RO | A, 0, 0xfffff, G | D32, 3)})
    yield Case("rep-outs-stops-at-page", p3, f"mov ecx, 8\nmov esi, {DATA - 3:#x}\nmov dx, 0x98\nrep outsb", dict(eflags=2 | iopl(3)), pte={DATA: 0})
    yield Case("rep-ins-repne", m3, f"mov ecx, 2\nmov edi, {DATA:#x}\nmov dx, 0x98\ndb 0xf2, 0x6c", dict(eflags=2 | iopl(3)))
    yield Case("ins-a16", m3, f"mov edi, 0x12340000 + {DATA & 0xffff:#x}\nmov dx, 0x98\na16 insb", dict(eflags=2 | iopl(3), es=T(0, 3)), gdt={T(0): desc(RW | A, DATA & ~0xffff, 0xfffff, G | D32, 3)})
    # MOV and POP of CS and of registers that are none.
    yield Case("mov-cs", m0, "db 0x8e, 0xc8")
    yield Case("pop-cs-is-0f", m0, "db 0x0f, 0x0b")
    yield Case("mov-seg6", m3, "db 0x8e, 0xf0")
    yield Case("mov-from-seg7", m3, "db 0x8c, 0xf8")
    yield Case("mov-from-seg-32", m3, "mov eax, 0xffffffff\nmov eax, cs")
    yield Case("mov-from-seg-16", m3, "mov eax, 0xffffffff\nmov ax, cs")
    yield Case("mov-from-seg-m", m3, f"mov [{DATA:#x}], cs")
    yield Case("grp1a-pop-1", m3, "db 0x8f, 0xc8")
    yield Case("grp4-2", m3, "db 0xfe, 0xd0")
    yield Case("grp3-1", m3, "db 0xf6, 0xc8, 5")
    yield Case("grp2-6", m3, "mov al, 0x41\ndb 0xc0, 0xf0, 1\nsetc bl\ncmp eax, eax")
    yield Case("grp11-1", m3, "db 0xc7, 0xc8, 1, 2, 3, 4")
    yield Case("les-reg", m3, "db 0xc4, 0xc0")
    yield Case("bswap16", m3, "db 0x66, 0x0f, 0xc8\nxor eax, eax")
    yield Case("movbe-reg", m3, "db 0x0f, 0x38, 0xf0, 0xc0")
    yield Case("cmpxchg8b-reg", m3, "db 0x0f, 0xc7, 0xc8")
    yield Case("cmpxchg8b-lock-reg", m3, "db 0xf0, 0x0f, 0xc7, 0xc8")
    yield Case("sysret-ud", m0, "db 0x0f, 0x07")
    yield Case("syscall-ud", m3, "db 0x0f, 0x05")
    yield Case("vmcall-ud", m0, "db 0x0f, 0x01, 0xc1")
    yield Case("femms-ud", m3, "db 0x0f, 0x0e")
    yield Case("loadall-ud", m0, "db 0x0f, 0x07")
    yield Case("swapgs-ud", m0, "db 0x0f, 0x01, 0xf8")
    yield Case("xgetbv-ud", m3, "xor ecx, ecx\ndb 0x0f, 0x01, 0xd0")
    yield Case("vex-ud", m3, "db 0xc5, 0xf8, 0x77")
    yield Case("evex-ud", m3, "db 0x62, 0xf1, 0x7c, 0x48, 0x58, 0xc0")
    yield Case("vex-real", REALMODE, "db 0xc5, 0xf8, 0x77, 0x90, 0x90, 0x90, 0x90")
    yield Case("rdseed-ud", m3, "db 0x0f, 0xc7, 0xf8")
