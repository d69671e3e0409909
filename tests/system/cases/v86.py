"""Virtual-8086 mode: what IOPL forbids, the extensions of CR4.VME and CR4.PVI, ports, wraps at 64 KB; SYSENTER and SYSEXIT.

INT n that VME redirects ends in v86 code at CODE2, which is UD2. The TSS has an I/O map and a redirection map where the case
says so (maps()).
"""
from matrix import *  # noqa: F403

MODES = [V86, paged(V86)]


def maps(redirect=b"\0" * 32, io=b"\0" * 0x100 + b"\xff", at=0x88, offset=None):
    """A TSS in the page BITMAP with the redirection map below the I/O map at offset at; (memory, descriptor)."""
    t = tss32(cr3=0, bitmap=at if offset is None else offset)
    body = t + bytes(at - 32 - len(t)) + redirect + io
    return {BITMAP: body.ljust(0x400, b"\xff")}, desc(SYS_TSS32, BITMAP, len(body) - 1, 0)


def bits(*numbers, size=32):
    b = bytearray(size)
    for n in numbers:
        b[n // 8] |= 1 << n % 8
    return bytes(b)


SENSITIVE = {
    "cli": "cli", "sti": "sti", "pushf": "pushf", "pushfd": "o32 pushf", "popf": "push word 0x{f:x}\npopf", "popfd": "push dword 0x{f:x}\no32 popf", "int": "int 0x40", "int3": "int3", "into": "into", "icebp": "db 0xf1",
    "iret": "push word 0x{f:x}\npush word 0x3100\npush word 0\niret", "iretd": "push dword 0x{f:x}\npush dword 0x3100\npush dword 0\no32 iret", "int13": "int 13", "cd03": "db 0xcd, 3",
}
PLAIN = {
    "hlt": "hlt", "lgdt": "lgdt [0x2000]", "lidt": "lidt [0x2000]", "sgdt": "sgdt [0x2000]", "sidt": "sidt [0x2000]", "smsw": "smsw ax", "lmsw": "lmsw ax", "clts": "clts", "mov-cr0": "mov eax, cr0", "mov-to-cr0": "mov cr0, eax",
    "mov-cr3": "mov eax, cr3", "mov-dr0": "mov eax, dr0", "mov-to-dr7": "mov dr7, eax", "lldt": "lldt ax", "sldt": "sldt ax", "ltr": "ltr ax", "str": "str ax", "lar": "lar ax, bx", "lsl": "lsl ax, bx", "verr": "verr ax",
    "verw": "verw ax", "arpl": "arpl ax, bx", "invd": "invd", "wbinvd": "wbinvd", "invlpg": "invlpg [0x2000]", "rdmsr": "rdmsr", "wrmsr": "wrmsr", "cpuid": "xor eax, eax\nmov ecx, 0\ncpuid\nmov eax, 0\nmov ebx, 0\nmov ecx, 0\nmov edx, 0",
    "rdpmc": "mov ecx, 0\nrdpmc", "sysenter": "sysenter", "sysexit": "sysexit", "rsm": "rsm", "les": "les ax, [0x2000]", "far-jmp": "jmp 0x3100:0", "mov-ss": "mov ax, 0x2000\nmov ss, ax", "push-pop": "push ds\npop es",
    "bound": "mov ax, 5\nbound ax, [0x2000]", "ud": "ud2", "lock-nop": "lock nop", "fpu-ts": "fnop", "enter": "enter 4, 1", "xlat": "mov bx, 0x2000\nmov al, 3\nxlat", "mov-cs": "db 0x8e, 0xc8",
}


def by_iopl():
    """Instructions that look at IOPL: all of VME on and off, IF, VIF, VIP, and what is popped."""
    for mode in MODES:
        for vme in (0, VME):
            for io in range(4):
                for name, text in SENSITIVE.items():
                    pops = "{" in text
                    for popped in (0x0002, 0x0202, 0x0302, 0x7ed7) if pops else (0,):
                        for state, current in (("0", 0), ("if", IF), ("vif", VIF), ("vip", VIP), ("vif-vip", VIF | VIP), ("if-vif", IF | VIF)):
                            if (state in ("if", "if-vif") and popped not in (0, 0x202)) or (mode is not V86 and state not in ("0", "vip")):
                                continue
                            mem, d = maps()
                            yield Case(f"iopl{io}/{'vme' if vme else 'plain'}/{name}/{popped:x}/{state}/{mode}", mode, text.replace("{f:x}", f"{popped:x}"), gdt={T(17): d}, mem=dict(mem), ivt={n: (CODE2 >> 4, 0) for n in (0x40, 3, 13, 4, 1)},
                                       regs=dict(eflags=2 | VM | iopl(io) | current | (OF if name == "into" else 0), cr4=mode.regs["cr4"] | vme, tr=T(17)), idt={0x40: gate(SYS_INT32, HCODE, stub(0x40), 3)})


def others():
    """Instructions that do not exist, are not allowed, or do not care, at IOPL 0 and 3."""
    for mode in MODES:
        for io in (0, 3):
            for vme in (0, VME):
                for name, text in PLAIN.items():
                    regs = dict(eflags=2 | VM | iopl(io), cr4=mode.regs["cr4"] | vme)
                    if name == "fpu-ts":
                        regs["cr0"] = mode.regs["cr0"] | TS
                    yield Case(f"other/{name}/iopl{io}/{'vme' if vme else 'plain'}/{mode}", mode, text, regs=regs)


def redirection():
    """Each byte of the redirection map, its place, a TSS too short for it, no map at all."""
    for io in (0, 3):
        regs = dict(eflags=2 | VM | iopl(io) | IF, cr4=VME, tr=T(17))
        for vector in (0, 1, 7, 8, 0x0f, 0x10, 0x20, 0x40, 0x7f, 0x80, 0xff):
            for to in ("ivt", "idt", "only", "but"):
                r = {"ivt": bits(), "idt": b"\xff" * 32, "only": bits(vector), "but": bytes(b ^ 0xff for b in bits(vector))}[to]
                mem, d = maps(r)
                yield Case(f"redirect/{vector:x}/{to}/iopl{io}", V86, f"int {vector}", regs=regs, gdt={T(17): d}, mem=mem, ivt={vector: (CODE2 >> 4, 0)}, idt={vector: gate(SYS_INT32, HCODE, stub(vector), 3)})
        for name, at, limit, offset in (("at68", 0x88, None, None), ("low", 0x88, None, 0x1f), ("zero", 0x88, None, 0), ("20", 0x88, None, 0x20), ("limit", 0x88, 0x88 - 32 + 8, None), ("limit-1", 0x88, 0x88 - 32 + 7, None), ("limit66", 0x88, 0x66, None), ("limit67", 0x88, 0x67, None),
                                        ("far", 0x200, None, None), ("beyond", 0x88, None, 0x300), ("ffff", 0x88, None, 0xffff)):
            mem, d = maps(at=at, offset=offset)
            if limit is not None:
                d = desc(SYS_TSS32, BITMAP, limit, 0)
            yield Case(f"redirect/place/{name}/iopl{io}", V86, "int 0x40", regs=regs, gdt={T(17): d}, mem=mem, ivt={0x40: (CODE2 >> 4, 0)}, idt={0x40: gate(SYS_INT32, HCODE, stub(0x40), 3)})
        yield Case(f"redirect/tss16/iopl{io}", V86, "int 0x40", regs=dict(regs, tr=TSS16_SEL), gdt={TSS16_SEL: desc(SYS_TSS16, TSS16, 0xff, 0)}, ivt={0x40: (CODE2 >> 4, 0)}, tss=tss32(),
                   mem={TSS16: tss16(ss=[DATA16(0)] * 3, sp=[0xd800] * 3)})
        for sp in (0, 1, 2, 3, 4, 5, 6, 7):
            mem, d = maps()
            yield Case(f"redirect/sp{sp}/iopl{io}", V86, "int 0x40", regs=dict(regs, esp=0x77770000 | sp, ss=(BITMAP + 0x1000) >> 4), gdt={T(17): d}, mem=dict(mem, **{}), ivt={0x40: (CODE2 >> 4, 0)})


PVI_CODE = {"cli": "cli", "sti": "sti", "pushf": "pushf", "popf": "push {w} 0x{f:x}\npopf{d}", "int": "int 0x40", "sti-cli": "sti\ncli"}


def pvi():
    """CR4.PVI: CLI and STI at CPL 3 work on VIF; PUSHF and POPF do not."""
    for mode in (PM32[3], PM32[2], PM16[3]):
        for on in (0, PVI, VME):
            for io in range(4):
                for name, text in PVI_CODE.items():
                    for popped in (2, 0x202, 0x302) if "{" in text else (0,):
                        for state, current in (("0", 0), ("if", IF), ("vif", VIF), ("vip", VIP), ("vif-vip", VIF | VIP)):
                            yield Case(f"pvi{on}/iopl{io}/{name}/{popped:x}/{state}/{mode}", mode, text.replace("{f:x}", f"{popped:x}").replace("{w}", "dword" if mode.flat else "word").replace("{d}", "d" if mode.flat else ""),
                                       regs=dict(eflags=2 | iopl(io) | current, cr4=on))


def ports():
    """IN and OUT by the I/O map: v86 always asks it, other code above IOPL."""
    for mode in (V86, PM32[3], PM32[1], PM16[3]):
        for io in (0, 3):
            for size, reg in ((1, "al"), (2, "ax"), (4, "eax")):
                for port in (0x80, 0x87, 0xfe):
                    for denied in dict.fromkeys((None, 0, size - 1, size)):
                        if denied == 0 and size == 1 and io:
                            continue
                        io_map = bits(*([] if denied is None else [port + denied]), size=0x40)
                        mem, d = maps(io=io_map + b"\xff")
                        yield Case(f"port/in{size * 8}/{port:x}/denied{denied}/iopl{io}/{mode}", mode, f"mov dx, {port}\nin {reg}, dx\nmov eax, 1", regs=dict(eflags=mode.regs["eflags"] & ~iopl(3) | iopl(io), tr=T(17)), gdt={T(17): d}, mem=mem)
            for name, io_map, offset, limit in (("none", b"", 0xffff, None), ("no-end", bytes(0x10), None, None), ("end-byte0", bytes(0x11), None, None), ("at-limit", b"", None, 0x88 + 0x10), ("at-limit-1", b"", None, 0x88 + 0x0f), ("at-limit+1", b"", None, 0x88 + 0x11),
                                                ("low", b"", 0x10, None), ("limit67", b"", None, 0x67), ("limit66", b"", None, 0x66), ("limit20", b"", None, 0x20)):
                for port in (0x80, 0x87):
                    for size, reg in ((1, "al"), (2, "ax")):
                        mem, d = maps(io=io_map or bytes(0x40), offset=offset)
                        if limit is not None:
                            d = desc(SYS_TSS32, BITMAP, limit, 0)
                        yield Case(f"port/map-{name}/in{size * 8}/{port:x}/iopl{io}/{mode}", mode, f"mov dx, {port}\nin {reg}, dx\nmov eax, 1", regs=dict(eflags=mode.regs["eflags"] & ~iopl(3) | iopl(io), tr=T(17)), gdt={T(17): d}, mem=mem)
            for name, text in (("out", "mov dx, 0x80\nout dx, al"), ("out-imm", "out 0x80, al"), ("in-imm", "in ax, 0x80\nmov ax, 1"), ("outsb", "mov dx, 0x80\nmov si, 0x2000\nmov ecx, 2\nrep outsb"), ("insb", "mov dx, 0x80\nmov di, 0x3000\nmov ecx, 0\nrep insb")):
                for allowed in (False, True):
                    mem, d = maps(io=(bytes(0x40) if allowed else b"\xff" * 0x40) + b"\xff")
                    text2 = text.replace("si, 0x2000", "esi, 0x32000").replace("di, 0x3000", "edi, 0x33000") if mode.flat else text
                    yield Case(f"port/{name}/{'allowed' if allowed else 'denied'}/iopl{io}/{mode}", mode, text2, regs=dict(eflags=mode.regs["eflags"] & ~iopl(3) | iopl(io), tr=T(17)), gdt={T(17): d}, mem=mem)


def wraps():
    """Accesses, code and stack at the end of 64 KB, in v86 and in real mode."""
    for mode in (V86, REALMODE):
        for size, reg in ((1, "al"), (2, "ax"), (4, "eax")):
            for off in (0xfffc, 0xfffd, 0xfffe, 0xffff):
                yield Case(f"wrap/load{size * 8}/{off:x}/{mode}", mode, f"mov {reg}, [es:{off:#x}]", regs=dict(es=0x2ff0))
                yield Case(f"wrap/store{size * 8}/{off:x}/{mode}", mode, f"mov [es:{off:#x}], {reg}", regs=dict(es=0x2ff0))
            for ea in (0xffff, 0x10000, 0x80000000):
                yield Case(f"wrap/load{size * 8}/a32-{ea:x}/{mode}", mode, f"mov {reg}, [dword es:ebx]", regs=dict(es=0x2ff0, ebx=ea))
            yield Case(f"wrap/disp/{size * 8}/{mode}", mode, f"mov {reg}, [es:bx + 0x7ffe]", regs=dict(es=0x2ff0, ebx=0x8001))
        for sp in (0, 1, 2, 3, 4, 5, 0xffff):
            for name, text in (("push16", "push ax"), ("push32", "push eax"), ("pop16", "pop ax"), ("pop32", "pop eax"), ("pusha", "pusha"), ("popa", "popa"), ("call", "call .n\n.n:"), ("ret", "ret"), ("enter", "enter 2, 0"), ("leave", "leave")):
                if name in ("popa", "leave", "ret") and sp in (2, 3, 4):
                    continue
                yield Case(f"wrap/{name}/sp{sp:x}/{mode}", mode, text, regs=dict(esp=0xa5a50000 | sp, ebp=0xffff if sp == 1 else 0x100, ss=BITMAP >> 4, eax=0x11111111, ecx=0x22222222), mem={BITMAP: bytes(16), BITMAP + 0x100: bytes(4)})
        # IP runs over FFFFh
        for n, data in ((1, b"\x40"), (2, b"\x89\xc3"), (3, b"\xb8\x34\x12")):
            for at in range(0x10000 - n, 0x10000):
                mem = {0x21010 + at + i: data[i:i + 1] for i in range(n)}
                yield Case(f"wrap/ip/{n}/{at:x}/{mode}", mode, f"jmp 0x2101:{at:#x}", mem=mem, end=False)
        for text, name in (("jmp short .x\ntimes 10 nop\n.x:", "short"), ("jmp near $ + 0x9000", "near"), ("call near $ - 0x100", "call-back")):
            yield Case(f"wrap/{name}/{mode}", mode, text, regs=dict(), mem={0x39000: b"\x0f\x0b", 0x3ff00: b"\x0f\x0b"})


def sysenter():
    """SYSENTER and SYSEXIT by mode, ring and MSR."""
    for mode in PM32 + PM16 + [REALMODE, V86, paged(PM32[0]), paged(PM32[3])]:
        for sel in (0, 1, 3, 4, 8, 0x0b, CODE32(0), 0x20f, 0xfff8, 0x10008, 0xffff0000):
            for name, text in (("enter", "sysenter"), ("exit", "sysexit")):
                d32, d16 = STACK[0] + 0xf00, CODE2
                yield Case(f"sys/{name}/cs{sel:x}/{mode}", mode, text, regs=dict(sysenter_cs=sel, sysenter_esp=d32, sysenter_eip=CODE2, ecx=STACK[3] + 0xf00, edx=CODE2, eflags=mode.regs["eflags"] | IF | (iopl(3) & mode.regs["eflags"]) | CF | DF))
        for bit, label in ((NT, "nt"), (AC, "ac"), (RF, "rf"), (ID | VIF, "vif"), (iopl(2), "iopl2")):
            for name, text in (("enter", "sysenter"), ("exit", "sysexit")):
                yield Case(f"sys/{name}/{label}/{mode}", mode, text, regs=dict(sysenter_cs=8, sysenter_esp=STACK[0] + 0xf00, sysenter_eip=CODE2, ecx=STACK[3] + 0xf00, edx=CODE2, eflags=mode.regs["eflags"] | bit))


def cases():
    for part in (by_iopl, others, redirection, pvi, ports, wraps, sysenter):
        yield from part()


def hand():
    regs3 = dict(eflags=2 | VM | iopl(3))
    for io in (0, 3):
        mem, d = maps()
        vme = dict(eflags=2 | VM | iopl(io) | VIF, cr4=VME, tr=T(17))
        yield Case(f"vme/int-iret-round/iopl{io}", V86, "int 0x40\nmov ax, 5", regs=vme, gdt={T(17): d}, mem=mem, ivt={0x40: (CODE2 >> 4, 0)}, more={CODE2: (16, "pushf\npop bx\niret", 0)})
        yield Case(f"vme/cli-sti-pushf/iopl{io}", V86, "cli\npushf\nsti\npushf\ncli", regs=vme, gdt={T(17): d}, mem=mem)
        yield Case(f"vme/popf-tf/iopl{io}", V86, "push word 0x102\npopf\nnop\nnop", regs=vme, gdt={T(17): d}, mem=mem)
        yield Case(f"vme/iret-tf/iopl{io}", V86, "push word 0x102\npush cs\npush word .x - $$\niret\n.x: nop\nnop".replace(".x - $$", "at(.x)"), regs=vme, gdt={T(17): d}, mem=mem)
        yield Case(f"vme/tf-int/iopl{io}", V86, "int 0x40", regs=dict(vme, eflags=vme["eflags"] | TF), gdt={T(17): d}, mem=mem, ivt={0x40: (CODE2 >> 4, 0)})
        yield Case(f"vme/nt-iret/iopl{io}", V86, "push word 0x4202\npush word 0x3100\npush word 0\niret", regs=dict(vme, eflags=vme["eflags"] | NT), gdt={T(17): d}, mem=mem)
        yield Case(f"vme/ac-int/iopl{io}", V86, "int 0x40", regs=dict(vme, eflags=vme["eflags"] | AC), gdt={T(17): d}, mem=mem, ivt={0x40: (CODE2 >> 4, 0)})
        yield Case(f"vme/int3-goes-to-the-idt/iopl{io}", V86, "int3", regs=vme, gdt={T(17): d}, mem=mem, ivt={3: (CODE2 >> 4, 0)})
        yield Case(f"vme/irq-not-held-by-vif/iopl{io}", V86, "inc ax\ninc ax", regs=dict(vme, eflags=2 | VM | iopl(io) | IF), gdt={T(17): d}, mem=mem, flags=IRQ)
        yield Case(f"vme/irq-sti/iopl{io}", V86, "sti\ninc ax\ninc ax", regs=dict(vme, eflags=2 | VM | iopl(io)), gdt={T(17): d}, mem=mem, flags=IRQ)
        yield Case(f"vme/sti-vip/iopl{io}", V86, "inc ax\nsti", regs=dict(vme, eflags=2 | VM | iopl(io) | VIP), gdt={T(17): d}, mem=mem)
        pmem, pd = maps()
        page = paged(V86)
        pregs = dict(vme, cr4=VME | PSE)
        yield Case(f"vme/map-page-missing/iopl{io}", page, "int 0x40", regs=pregs, gdt={T(17): desc(SYS_TSS32, 0x33f90, 0x200, 0)}, mem={0x33f90: tss32(cr3=PD, bitmap=0x88) + bytes(0x180)}, pte={0x34000: 0}, ivt={0x40: (CODE2 >> 4, 0)})
        yield Case(f"vme/stack-page-ro/iopl{io}", page, "int 0x40", regs=pregs, gdt={T(17): pd}, mem=pmem, pte={STACK[3]: STACK[3] | PTE_P | PTE_U}, ivt={0x40: (CODE2 >> 4, 0)})
        yield Case(f"vme/ivt-page-super/iopl{io}", page, "int 0x40", regs=pregs, gdt={T(17): pd}, mem=pmem, pte={0: PTE_P | PTE_W}, ivt={0x40: (CODE2 >> 4, 0)})
        yield Case(f"vme/ivt-page-missing/iopl{io}", page, "int 0x40", regs=pregs, gdt={T(17): pd}, mem=pmem, pte={0: 0}, ivt={0x40: (CODE2 >> 4, 0)})
        yield Case(f"vme/map-straddles-limit/iopl{io}", V86, "int 0xff", regs=vme, gdt={T(17): desc(SYS_TSS32, BITMAP, 0x87, 0)}, mem=mem, ivt={0xff: (CODE2 >> 4, 0)})
    yield Case("plain/int-round", V86, "int 0x40\nmov ax, 5", regs=regs3, gdt={T(0): desc(XR | A, 0, 0xfffff, G | D32)}, idt={0x40: gate(SYS_INT32, T(0), CODE2, 3)}, more={CODE2: (32, "mov ebx, [esp + 8]\niretd")})
    yield Case("plain/tf", V86, "nop\nnop", regs=dict(eflags=2 | VM | iopl(3) | TF))
    yield Case("plain/irq", V86, "inc ax\ninc ax", regs=dict(eflags=2 | VM | iopl(0) | IF), flags=IRQ)
    yield Case("plain/sti-irq", V86, "sti\ninc ax\ninc ax", regs=regs3, flags=IRQ)
    yield Case("plain/popf-irq", V86, "push word 0x202\npopf\ninc ax\ninc ax", regs=regs3, flags=IRQ)
    yield Case("plain/a20-wrap-not-here", V86, "mov ax, [es:0x10]", regs=dict(eflags=2 | VM | iopl(3), es=0xffff))
    yield Case("plain/segment-at-1m-paged", paged(V86), "mov ax, [es:0x10]", regs=dict(eflags=2 | VM | iopl(3), es=0xffff), pte={0x100000: 0})
    yield Case("plain/segment-values-pushed", V86, "ud2", regs=dict(eflags=2 | VM | iopl(3), ds=0xffff, es=0x8001, fs=1, gs=0))
    yield Case("plain/ac", V86, "mov ax, [0x2001]", regs=dict(eflags=2 | VM | iopl(3) | AC, cr0=0x31 | AM))
    yield Case("plain/mov-ss-int", V86, "mov dx, ss\nmov ss, dx\nint 0x40", regs=regs3)
    yield Case("pvi/sti-vip", PM32[3], "inc eax\nsti", regs=dict(eflags=2 | VIP, cr4=PVI))
    yield Case("pvi/irq-needs-if", PM32[3], "sti\ninc eax", regs=dict(eflags=2, cr4=PVI), flags=IRQ)
    yield Case("pvi/cli-leaves-if", PM32[3], "cli\npushfd", regs=dict(eflags=2 | IF | VIF, cr4=PVI))
    yield Case("pvi/iret-keeps-vif", PM32[3], "push dword 0x2\npush cs\npush dword 0x31000\niretd", regs=dict(eflags=2 | VIF, cr4=PVI))
    yield Case("pvi/ring2-is-not-3", PM32[2], "cli", regs=dict(eflags=2, cr4=PVI))
    # SYSENTER and SYSEXIT there and back, what they leave in the hidden parts
    yield Case("sys/round", PM32[3], "mov ecx, esp\nmov edx, at(.back)\nsysenter\n.back: mov ax, cs\nmov bx, ss", regs=dict(sysenter_cs=CODE32(0), sysenter_esp=STACK[0] + 0xf00, sysenter_eip=CODE2), more={CODE2: (32, "mov esi, cs\nmov edi, ss\nsysexit")})
    yield Case("sys/enter-flat-whatever-the-gdt", PM32[3], "sysenter", regs=dict(sysenter_cs=0x3f0, sysenter_esp=STACK[0] + 0xf00, sysenter_eip=CODE2), more={CODE2: (32, "push eax\nmov ax, cs\nmov bx, ss\nud2")})
    yield Case("sys/enter-clears-if-vm", V86, "sysenter", regs=dict(eflags=2 | VM | iopl(3) | IF, sysenter_cs=CODE32(0), sysenter_esp=STACK[0] + 0xf00, sysenter_eip=CODE2), more={CODE2: (32, "pushfd\npop eax\nmov bx, ds\nud2")})
    yield Case("sys/enter-tf", PM32[3], "sysenter", regs=dict(eflags=2 | TF, sysenter_cs=CODE32(0), sysenter_esp=STACK[0] + 0xf00, sysenter_eip=CODE2))
    yield Case("sys/exit-eip-missing-page", paged(PM32[0]), "sysexit", regs=dict(sysenter_cs=CODE32(0), edx=0x3f000, ecx=STACK[3] + 0xf00), pte={0x3f000: 0})
    yield Case("sys/enter-eip-missing-page", paged(PM32[3]), "sysenter", regs=dict(sysenter_cs=CODE32(0), sysenter_eip=0x3f000, sysenter_esp=STACK[0] + 0xf00), pte={0x3f000: 0})
    yield Case("sys/enter-in-16-bit", PM16[3], "sysenter", regs=dict(sysenter_cs=CODE32(0), sysenter_eip=CODE2, sysenter_esp=STACK[0] + 0xf00))
    yield Case("sys/lock", PM32[0], b"\xf0\x0f\x34")
    yield Case("sys/from-ring0", PM32[0], "sysenter", regs=dict(sysenter_cs=CODE32(0), sysenter_eip=CODE2, sysenter_esp=STACK[0] + 0xf00))
