"""Debug exceptions: breakpoints of the debug registers, single step behind every class of instruction, RF, GD, the debug registers'
fixed bits and aliases, and what comes first when several fall together.

TF cannot be set in advance for ring 0 and real mode (the harness would be stepped): there POPF sets it, and the instruction under
test is the second one behind it.
"""
from matrix import *  # noqa: F403

EXEC, WRITE, PORT, ACCESS = range(4)
LEN = {1: 0, 2: 1, 4: 3}
BS, BD, BT = 1 << 14, 1 << 13, 1 << 15
MODES = [PM32[0], PM32[3], PM16[0], PM16[3], REALMODE, V86]


def off(mode, address):
    return address if mode.flat else address - CODE


def dr7(*points, gd=False):
    """points: (number, kind, length[, "l", "g", "lg" or ""])."""
    v = 0x400 | (1 << 13 if gd else 0)
    for n, kind, length, *how in points:
        how = how[0] if how else "l"
        v |= ("l" in how) << 2 * n | ("g" in how) << 2 * n + 1 | kind << 16 + 4 * n | LEN[length] << 18 + 4 * n
    return v


def breakpoint_cases():
    """Instruction breakpoints: where and how enabled."""
    for mode in MODES + [paged(PM32[3]), paged(V86)]:
        for n in range(4):
            for how in ("l", "g", "lg", ""):
                yield Case(f"exec/dr{n}/{how or 'off'}/{mode}", mode, "nop\ninc eax\ninc ecx", {f"dr{n}": CODE + 1, "dr7": dr7((n, EXEC, 1, how))})
        for at in range(8):
            # Bytes of an instruction with two prefixes, from its first one on, and behind it.
            yield Case(f"exec/byte{at}/{mode}", mode, "nop\ndb 0x3e, 0x66\nmov bx, 0x1234" if mode.flat else "nop\ndb 0x3e, 0x66\nmov bx, 0x1234\ndw 0", {"dr0": CODE + at, "dr7": dr7((0, EXEC, 1))})


def access_cases():
    """Data breakpoints: kind and length of the breakpoint, its place, size and place of the access."""
    regs = {1: "al", 2: "ax", 4: "eax"}
    for mode in (PM32[0], PM16[3], REALMODE):
        for kind in (WRITE, ACCESS):
            for length in (1, 2, 4):
                for place in range(4):
                    for size in (1, 2, 4):
                        for at in range(5):
                            if mode is not PM32[0] and (length + place + size + at) % 4:
                                continue
                            if place % length and at:   # misaligned: the CPU aligns it
                                continue
                            for op in ("read", "write"):
                                data = f"[{off(mode, DATA) + at}]"
                                code = f"mov {regs[size]}, {data}" if op == "read" else f"mov {data}, {regs[size]}"
                                yield Case(f"data/{'rw' if kind == ACCESS else 'w'}{length}+{place}/{op}{size}+{at}/{mode}", mode, code + "\ninc ecx",
                                           {"dr1": DATA + place, "dr7": dr7((1, kind, length))})


def accessors(mode):
    """Instructions that touch DATA + 0x40 in their own ways: name, code, flags of the case."""
    m = f"[{off(mode, DATA + 0x40):#x}]"
    si, di, cx, sp = ("esi", "edi", "ecx", "esp") if mode.flat else ("si", "di", "cx", "sp")
    at, to = off(mode, DATA + 0x40), off(mode, DATA + 0x80)
    yield "add-read", f"add eax, {m}", 0
    yield "add-write", f"add {m}, al", 0
    yield "cmp", f"cmp {m}, eax", 0
    yield "test", f"test byte {m}, 1", 0
    yield "xchg", f"xchg {m}, ecx", 0
    yield "cmpxchg-no", f"xor eax, eax\ncmpxchg {m}, ecx", 0
    yield "cmpxchg8b", f"cmpxchg8b {m}", 0
    yield "xadd", f"xadd {m}, edx", 0
    yield "bt", f"bt dword {m}, 5", 0
    yield "bts", f"bts dword {m}, 5", 0
    yield "btc-reg", f"mov ecx, 32\nbtc [{at - 4:#x}], ecx", 0
    yield "setc", f"setc {m}", 0
    yield "rol", f"rol dword {m}, 1", 0
    yield "lock-inc", f"lock inc dword {m}", 0
    yield "push-m", f"push dword {m}", 0
    yield "pop-m", f"pop dword {m}", 0
    yield "movs-from", f"mov {si}, {at}\nmov {di}, {to}\nmovsd", 0
    yield "movs-to", f"mov {si}, {to}\nmov {di}, {at}\nmovsb", 0
    yield "stos", f"mov {di}, {at}\nstosw", 0
    yield "lods", f"mov {si}, {at}\nlodsb", 0
    yield "scas", f"mov {di}, {at}\nscasd", 0
    yield "cmps", f"mov {si}, {at}\nmov {di}, {to}\ncmpsb", 0
    yield "rep-movs", f"mov {cx}, 8\nmov {si}, {to}\nmov {di}, {at - 8}\nrep movsd", 0
    yield "rep-stos", f"mov {cx}, 4\nmov {di}, {at - 1}\nrep stosb", 0
    yield "rep-lods", f"mov {cx}, 4\nmov {si}, {at - 4}\nrep lodsw", 0
    yield "repe-scas", f"xor eax, eax\nmov {cx}, 4\nmov {di}, {at - 4}\nrepne scasd", 0
    yield "rep-none", f"xor {cx}, {cx}\nmov {di}, {at}\nrep stosb", 0
    yield "fld", f"fninit\nfld dword {m}", FPU
    yield "fst", f"fninit\nfld1\nfstp qword {m}", FPU
    yield "fstp80", f"fninit\nfldpi\nfstp tword [{at - 8:#x}]", FPU
    yield "fnstcw", f"fnstcw {m}", 0
    yield "fnstenv", f"fnstenv [{at - 4:#x}]", 0
    yield "lea", f"lea ebx, {m}", 0
    yield "nop-m", f"nop dword {m}", 0
    yield "bound", f"mov {cx}, [{at - 4:#x}]\nbound {cx}, {m}", 0
    yield "les", f"mov word [{at + 2 + 2 * mode.flat}], es\nles {cx}, {m}", 0
    yield "sgdt", f"sgdt {m}", 0
    yield "sldt-smsw", f"smsw {m}", 0
    yield "mov-seg", f"mov {m}, ds", 0
    yield "xlat", f"mov {'ebx' if mode.flat else 'bx'}, {at - 4}\nmov al, 4\nxlat", 0
    yield "jmp-m", f"mov dword {m}, {'at(.to)' if mode.flat else '.to - snippet'}\nnop\njmp {'dword' if mode.flat else 'word'} {m}\n.to: nop".replace(".to", "to_%s" % mode.name.replace("-", "_")), 0
    yield "adc", f"adc dword {m}, 0x7fffffff", 0


def instruction_cases():
    for mode in (PM32[0], PM32[3], PM16[3], V86):
        for name, code, flags in accessors(mode):
            for kind in (WRITE, ACCESS):
                yield Case(f"insn/{name}/{'rw' if kind == ACCESS else 'w'}/{mode}", mode, code + "\ncmp eax, eax\nnop", {"dr0": DATA + 0x40, "dr7": dr7((0, kind, 4))}, flags=flags)


def port_cases():
    """I/O breakpoints need CR4.DE."""
    for mode in (PM32[0], REALMODE, PM16[0], PM32[3]):
        for de in (DE, 0):
            for length in (1, 2, 4):
                for place in range(4):
                    for size, reg in ((1, "al"), (2, "ax"), (4, "eax")):
                        for at in (-1, 0, 1, 3, 4):
                            if (not de or mode is not PM32[0]) and (length * 5 + place * 3 + size + at) % 7 or place % length and at:
                                continue
                            op = "in" if size == 1 and at & 1 else "out"    # what wider reads give is the machine's
                            insn = f"mov dx, {0x98 + at:#x}\n" + (f"in {reg}, dx" if op == "in" else f"out dx, {reg}")
                            yield Case(f"port/{'de' if de else 'off'}/len{length}+{place}/{op}{size}{at:+}/{mode}", mode, insn + "\ninc ecx",
                                       {"dr2": 0x98 + place, "dr7": dr7((2, PORT, length)), "cr4": mode.regs["cr4"] | de, "eflags": mode.regs["eflags"] | iopl(3)})
        si, di, cx = ("esi", "edi", "ecx") if mode.flat else ("si", "di", "cx")
        at = off(mode, DATA)
        for name, code in (("in-imm", "in al, 0x99"), ("out-imm", "out 0x99, eax"), ("ins", f"mov dx, 0x98\nmov {di}, {at}\ninsw"), ("outs", f"mov dx, 0x99\nmov {si}, {at}\noutsb"),
                           ("rep-ins", f"mov {cx}, 3\nmov dx, 0x99\nmov {di}, {at}\nrep insb"), ("rep-outs", f"mov {cx}, 3\nmov dx, 0x99\nmov {si}, {at}\nrep outsb")):
            yield Case(f"port/{name}/{mode}", mode, code + "\ninc ecx", {"dr0": 0x99, "dr7": dr7((0, PORT, 1)), "cr4": mode.regs["cr4"] | DE, "eflags": mode.regs["eflags"] | iopl(3)})


def stepped(mode):
    """What is stepped over, by class: name, code, flags, regs."""
    m = f"[{off(mode, DATA + 0x40):#x}]"
    cx, ax = ("ecx", "eax") if mode.flat else ("cx", "ax")
    si, di = ("esi", "edi") if mode.flat else ("si", "di")
    at, to = off(mode, DATA + 0x40), off(mode, DATA + 0x80)
    yield "nop", "nop", 0
    yield "load", f"mov eax, {m}", 0
    yield "store", f"mov {m}, eax", 0
    yield "add", "add eax, 1", 0
    yield "jmp", "jmp short .l\nint3\n.l: nop", 0
    yield "jcc-taken", "jz .l\nint3\n.l: nop", 0
    yield "jcc-not", "jnz .l\nnop\n.l: nop", 0
    yield "jmp-self", "jmp $", 0
    yield "loop", f"mov {cx}, 2\n.l: loop .l", 0
    yield "jcxz", f"xor {cx}, {cx}\nj{cx}z .l\nint3\n.l: nop", 0
    yield "call", "call .l\nint3\n.l: nop", 0
    yield "call-r", ("call .m\n.m: pop ecx\nadd ecx, 8\ncall ecx\nint3\nint3\nnop\nnop\nnop" if mode.flat else "call .m\n.m: pop cx\nadd cx, 8\ncall cx\nint3\nint3\nnop\nnop\nnop"), 0
    yield "push", "push eax", 0
    yield "pop", "pop eax", 0
    yield "pusha", "pusha", 0
    yield "enter", "enter 8, 2", 0
    yield "pushf", "pushf", 0
    yield "popf-same", "pushf\npopf", 0
    yield "popf-off", f"pushf\nand {'dword [esp]' if mode.flat else 'word [esp]'}, ~0x100\npopf\nnop\nnop", 0
    yield "movs", f"mov {si}, {at}\nmov {di}, {to}\nmovsd", 0
    yield "rep-movs", f"mov {cx}, 3\nmov {si}, {at}\nmov {di}, {to}\nrep movsd", 0
    yield "rep-movs-1", f"mov {cx}, 1\nmov {si}, {at}\nmov {di}, {to}\nrep movsb", 0
    yield "rep-movs-0", f"xor {cx}, {cx}\nrep movsb", 0
    yield "repe-cmps", f"mov {cx}, 3\nmov {si}, {at}\nmov {di}, {to}\nrepe cmpsb", 0
    yield "repne-scas", f"mov {cx}, 3\nmov {di}, {to}\nrepne scasw", 0
    yield "mov-ss", "mov ax, ss\nmov ss, ax\nnop\nnop", 0
    yield "pop-ss", "mov ecx, ss\npush ecx\npop ss\nnop\nnop", 0
    yield "mov-ss-twice", "mov ax, ss\nmov ss, ax\nmov ss, ax\nnop\nnop", 0
    yield "mov-ss-int3", "mov ax, ss\nmov ss, ax\nint3", 0
    yield "mov-ss-int", "mov ax, ss\nmov ss, ax\nint 0x30", 0
    yield "mov-ss-icebp", "mov ax, ss\nmov ss, ax\ndb 0xf1", 0
    yield "mov-ss-ud", "mov ax, ss\nmov ss, ax\nud2", 0
    yield "mov-ds", "mov ax, ds\nmov ds, ax\nnop", 0
    yield "les", f"mov [{at + (4 if mode.flat else 2)}], es\nles {cx}, {m}\nnop", 0
    yield "int3", "int3", 0
    yield "int", "int 0x30", 0
    yield "icebp", "db 0xf1", 0
    yield "into-not", "xor eax, eax\ninto\nnop", 0
    yield "into", "mov al, 0x7f\ninc al\ninto", 0
    yield "bound", f"mov {cx}, [{at}]\nand {cx}, 0xff\nbound {cx}, [{at + 0x40}]", 0
    yield "ud2", "ud2", 0
    yield "div0", "xor ecx, ecx\ndiv ecx", 0
    yield "fld", "fninit\nfld1\nfwait", FPU
    yield "cpuid", "xor eax, eax\ncpuid\nxor eax, eax\nxor ebx, ebx", 0
    yield "rdtsc", "rdtsc\nxor eax, eax\nxor edx, edx", 0
    yield "in-al", "in al, 0x99", 0
    yield "smsw", "smsw ax", 0
    yield "salc", "salc", 0
    yield "aam", "aam", 0
    yield "sti", "sti\nnop\nnop", 0
    yield "cli", "cli\nnop", 0
    yield "lock", f"lock inc dword {m}", 0
    yield "cmpxchg8b", f"cmpxchg8b {m}", 0
    yield "pause", "pause", 0
    if mode.ring == 0:
        yield "mov-cr0", "mov eax, cr0\nmov cr0, eax\nnop", 0
        yield "mov-cr3", "mov eax, cr3\nmov cr3, eax\nnop", 0
        yield "mov-dr", "mov eax, dr0\nnop", 0
        yield "mov-dr6", "xor eax, eax\nmov dr6, eax\nnop", 0
        yield "clts", "clts", 0
        yield "wbinvd", "wbinvd", 0
        yield "invlpg", f"invlpg {m}", 0
        yield "wrmsr", "mov ecx, 0x174\nxor eax, eax\nxor edx, edx\nwrmsr", 0


def step_over(mode, code):
    """Sets TF by POPF, which is not stepped itself."""
    p, w, ax = ("pushfd", "popfd", "eax") if mode.flat else ("pushf", "popf", "ax")
    return f"{p}\npop {ax}\nor ax, 0x100\npush {ax}\n{w}\n{code}"


def step_cases():
    for mode in MODES:
        for name, code, flags in stepped(mode):
            text = code.replace(".", f"l_{abs(hash_of(name + mode.name))}_")
            yield stepper(f"step/{name}/{mode}", mode, text, flags, dict(eflags=mode.regs["eflags"] | iopl(3)))


def hash_of(s):
    h = 0
    for c in s:
        h = (h * 31 + ord(c)) & 0xffffff
    return h


LOG = DATA + 0x800


def stepper(name, mode, code, flags=0, regs=None):
    """TF goes on by POPF, and a #DB handler (ring 0, 32-bit; real mode: 16-bit) logs EIP, EFLAGS and DR6 at [LOG], then resumes."""
    text = step_over(mode, code + "\nnop")
    if mode.name == "real":
        handler = ("push ax\npush bx\npush ds\nmov ax, 0x3000\nmov ds, ax\nmov bx, [0x2800]\ninc word [0x2800]\nshl bx, 3\nand bx, 0x3ff\npush bp\nmov bp, sp\n"
                   "mov ax, [bp + 8]\nmov [bx + 0x2804], ax\nmov ax, [bp + 12]\nmov [bx + 0x2806], ax\nmov eax, dr6\nmov [bx + 0x2808], eax\nxor eax, eax\nmov dr6, eax\n"
                   "cmp word [0x2800], 40\njb .go\nint 0x40\n.go: pop bp\npop ds\npop bx\npop ax\niret").replace(".go", "go_real")
        handler = handler.replace("push ax\npush bx", "push eax\npush bx", 1).replace("pop bx\npop ax", "pop bx\npop eax").replace("[bp + 8]", "[bp + 10]").replace("[bp + 12]", "[bp + 14]")
        return Case(name, mode, text, regs, flags=flags, ivt={1: (CODE2 >> 4, 0)}, more={CODE2: (16, handler, 0)}, mem={LOG: bytes(0x400)})
    handler = (f"push eax\npush ebx\nmov ebx, ds\npush ebx\nmov ax, {HDATA}\nmov ds, ax\nmov ebx, [{LOG:#x}]\ninc dword [{LOG:#x}]\nand ebx, 63\nshl ebx, 4\n"
               f"mov eax, [ss:esp + 12]\nmov [ebx + {LOG + 4:#x}], eax\nmov eax, [ss:esp + 20]\nmov [ebx + {LOG + 8:#x}], eax\nmov eax, dr6\nmov [ebx + {LOG + 12:#x}], eax\nxor eax, eax\nmov dr6, eax\n"
               f"cmp dword [{LOG:#x}], 40\njb .go\nint 0x40\n.go: pop ds\npop ebx\npop eax\niretd").replace(".go", "go_flat")
    if mode.name.startswith("pm16-0"):
        # The stack of ring 0 stays the 16-bit one.
        handler = handler.replace("push eax\npush ebx\nmov ebx, ds\npush ebx\n", "push eax\npush ebx\npush ebp\nmov ebx, ds\npush ebx\nmovzx ebp, sp\n").replace("[ss:esp + 12]", "[ss:ebp + 16]").replace("[ss:esp + 20]", "[ss:ebp + 24]").replace("pop ds\npop ebx", "pop ds\npop ebp\npop ebx").replace("go_flat", "go_flat16")
    return Case(name, mode, text, regs, flags=flags, idt={1: gate(SYS_INT32, HCODE, CODE2)}, more={CODE2: (32, handler)}, mem={LOG: bytes(0x400)})


def register_cases():
    """MOV to and from debug registers: fixed bits, aliases, GD, privilege."""
    for mode in (PM32[0], PM16[0], REALMODE, PM32[1], PM32[3], PM16[3], V86):
        for n in range(8):
            for de in (0, DE):
                for gd in (False, True):
                    for op in ("to", "from"):
                        if mode.ring and (gd or n in (1, 2, 3)):
                            continue
                        code = f"mov dr{n}, ebx" if op == "to" else f"mov ecx, dr{n}"
                        yield Case(f"reg/{op}{n}/{'de' if de else 'plain'}/{'gd' if gd else 'free'}/{mode}", mode, code + "\nmov eax, 0\nnop",
                                   dict(ebx=0x12345678 if n < 4 else 0, dr7=dr7(gd=gd), cr4=mode.regs["cr4"] | de))
    for mode in (PM32[0], REALMODE):
        for n in (6, 7):
            for bit in [None] + list(range(32)):
                v = 0 if bit is None else 1 << bit
                if n == 7 and bit in (11, 13):       # RTM by CPU model; GD
                    continue
                yield Case(f"bits/dr{n}/{'none' if bit is None else bit}/{mode}", mode, f"mov eax, {v:#x}\nmov dr{n}, eax\nmov ebx, dr{n}\nmov eax, {~v & 0xffffd700 if n == 7 else ~v & 0xffffffff:#x}\nmov dr{n}, eax\nmov ecx, dr{n}\nmov eax, {0x400 if n == 7 else 0:#x}\nmov dr{n}, eax")


def cases():
    yield from breakpoint_cases()
    yield from access_cases()
    yield from instruction_cases()
    yield from port_cases()
    yield from step_cases()
    yield from register_cases()


def one(name, mode, code, regs=None, **more):
    return Case(name, mode, code, regs, **more)


def hand():
    m0, m3 = PM32[0], PM32[3]
    d = f"[{DATA:#x}]"
    on = dict(dr0=DATA, dr7=dr7((0, ACCESS, 4)))
    # Two and more breakpoints on one event; one that is off shows in DR6 beside one that is on.
    yield one("two-exec", m0, "nop\nnop", dict(dr0=CODE + 1, dr1=CODE + 1, dr7=dr7((0, EXEC, 1), (1, EXEC, 1, "g"))))
    yield one("exec-beside-off", m0, "nop\nnop", dict(dr0=CODE + 1, dr3=CODE + 1, dr7=dr7((0, EXEC, 1), (3, EXEC, 1, ""))))
    yield one("data-beside-off", m0, f"mov eax, {d}\nnop", dict(dr0=DATA, dr3=DATA, dr7=dr7((0, ACCESS, 4), (3, ACCESS, 1, ""))))
    yield one("data-four", m0, f"mov {d}, eax\nnop", dict(dr0=DATA, dr1=DATA + 1, dr2=DATA + 2, dr3=DATA + 3, dr7=dr7(*[(n, WRITE, 1) for n in range(4)])))
    yield one("data-all-off", m0, f"mov {d}, eax\nnop", dict(dr0=DATA, dr7=dr7((0, WRITE, 4, ""))))
    yield one("dr6-kept", m0, f"mov {d}, eax\nnop", dict(dr0=DATA, dr6=0xffff6ffe, dr7=dr7((0, WRITE, 4))))
    yield one("dr6-kept-exec", m0, "nop\nnop", dict(dr0=CODE + 1, dr6=0xffff6ffe, dr7=dr7((0, EXEC, 1))))
    yield one("dr6-kept-icebp", m0, "db 0xf1", dict(dr6=0xffff6ff3))
    yield one("dr6-gd", m0, "mov eax, dr0", dict(dr6=0xffff4ff1, dr7=dr7(gd=True)))
    # Linear addresses: over the end, with a base, in a page reached by another address.
    yield one("exec-is-linear", PM16[0], "nop\nnop", dict(dr0=1, dr1=CODE + 1, dr7=dr7((0, EXEC, 1), (1, EXEC, 1))))
    yield one("data-linear", PM16[0], "mov eax, [0x2000]\nnop", dict(dr0=0x2000, dr1=DATA, dr7=dr7((0, ACCESS, 4), (1, ACCESS, 4))))
    yield one("data-alias", paged(m0), f"mov eax, {d}\nnop", dict(dr0=DATA + 0x1000, dr7=dr7((0, ACCESS, 4))), pte={DATA: DATA + 0x1000 | ALL})
    yield one("straddle-dword", m0, f"mov eax, [{DATA + 2:#x}]\nnop", dict(dr0=DATA + 4, dr7=dr7((0, ACCESS, 4))))
    yield one("straddle-page", paged(m0), f"mov [{DATA + 0xffe:#x}], eax\nnop", dict(dr0=DATA + 0x1000, dr7=dr7((0, WRITE, 2))))
    yield one("qword-far-half", m0, f"fninit\nfld qword [{DATA - 4:#x}]\nnop", on)
    yield one("fxsave", m0, f"fxsave [{DATA - 0x100:#x}]\nnop", dict(on, cr4=OSFXSR))
    yield one("fnsave", m0, f"fninit\nfnsave [{DATA - 0x20:#x}]\nnop", on)
    yield one("movaps", m0, f"movaps xmm0, [{DATA - 8 & ~15:#x}]\nnop", dict(on, cr4=OSFXSR, dr0=DATA - 4))
    # Priorities: a breakpoint on an instruction that faults, a data breakpoint that meets a fault, a trap before the next one's fault.
    yield one("exec-before-ud", m0, "nop\nud2", dict(dr0=CODE + 1, dr7=dr7((0, EXEC, 1))))
    yield one("exec-before-gp", m3, "nop\nhlt", dict(dr0=CODE + 1, dr7=dr7((0, EXEC, 1))))
    yield one("exec-before-fetch-fault", paged(m3), f"mov eax, {CODE2:#x}\njmp eax", dict(dr0=CODE2, dr7=dr7((0, EXEC, 1))), pte={CODE2: 0})
    yield one("exec-int3", m0, "nop\nint3", dict(dr0=CODE + 1, dr7=dr7((0, EXEC, 1))))
    yield one("exec-icebp", m0, "nop\ndb 0xf1", dict(dr0=CODE + 1, dr7=dr7((0, EXEC, 1))))
    yield one("data-then-fault", m3, f"push dword [{DATA:#x}]\nnop", dict(on, esp=DATA + 0xe000), pte={})
    yield one("data-then-pf", paged(m3), f"push dword [{DATA:#x}]\nnop", dict(on, esp=STACK[1]), pte={STACK[0]: 0})
    yield one("data-then-next-ud", m0, f"mov eax, {d}\nud2", on)
    yield one("data-then-next-exec", m0, f"mov eax, {d}\nnop", dict(on, dr1=CODE + 5, dr7=dr7((0, ACCESS, 4), (1, EXEC, 1))))
    yield one("bound-hit", m0, f"mov ecx, [{DATA + 16:#x}]\nbound ecx, {d}\nnop", on)
    yield one("div-by-watched-zero", m0, f"xor edx, edx\ndiv dword {d}\nnop", on, mem={DATA: bytes(4)})
    yield one("data-and-step", m0, step_over(m0, f"mov eax, {d}\nnop"), on)
    yield one("data-and-step-3", m3, step_over(m3, f"mov {d}, eax\nnop"), on)
    yield one("exec-and-step", m0, step_over(m0, "nop\nnop"), dict(dr0=CODE + 9, dr7=dr7((0, EXEC, 1))))
    # SS: what it holds off, and for how long.
    yield one("ss-exec", m0, "mov ax, ss\nmov ss, ax\nnop\nnop", dict(dr0=CODE + 5, dr7=dr7((0, EXEC, 1))))
    yield one("ss-exec-next", m0, "mov ax, ss\nmov ss, ax\nnop\nnop", dict(dr0=CODE + 6, dr7=dr7((0, EXEC, 1))))
    ss = struct.pack("<I", DATA32(0))
    yield one("ss-from-watched", m0, f"mov ss, {d}\nnop\nnop", on, mem={DATA: ss})
    yield one("ss-from-watched-int3", m0, f"mov ss, {d}\nint3", on, mem={DATA: ss})
    yield one("ss-from-watched-int", m0, f"mov ss, {d}\nint 0x30", on, mem={DATA: ss})
    yield one("ss-from-watched-ud", m0, f"mov ss, {d}\nud2", on, mem={DATA: ss})
    yield one("ss-from-watched-int-3", m3, f"mov ss, {d}\nint 0x30", on, mem={DATA: struct.pack("<I", DATA32(3))})
    yield one("ss-from-watched-icebp", m0, f"mov ss, {d}\ndb 0xf1", on, mem={DATA: ss})
    yield one("ss-from-watched-write", m0, f"mov ss, {d}\nmov {d}, eax\nnop", on, mem={DATA: ss})
    yield one("pop-ss-watched", m0, "push ss\npop ss\nnop\nnop".replace("push ss", "mov eax, ss\npush eax"), dict(dr0=STACK0_INNER - 4, dr7=dr7((0, ACCESS, 4))))
    yield one("lss", m0, f"lss ecx, {d}\nnop\nnop", dict(on), mem={DATA: struct.pack("<IH", STACK0_INNER, DATA32(0))})
    yield one("ss-irq", m0, "mov ax, ss\nsti\nmov ss, ax\nnop\nnop\nnop", flags=IRQ)
    yield one("sti-ss-irq", m0, "mov ax, ss\ncli\nsti\nmov ss, ax\nmov ss, ax\nnop\nnop", flags=IRQ)
    yield one("sti-sti-irq", m0, "sti\nsti\nnop\nnop", flags=IRQ)
    yield one("sti-cli-irq", m0, "sti\ncli\nnop\nnop", flags=IRQ)
    yield one("sti-step", m0, step_over(m0, "sti\nnop\nnop"))
    # RF: set by a fault's frame, by IRETD; not by POPF; cleared by the instruction that it covers.
    ret = "pushfd\npop eax\nor eax, {bits:#x}\npush eax\npush dword {cs:#x}\npush dword {to:#x}\niretd"
    for bits in (RF, 0, RF | TF, TF):
        yield one(f"iret-to-breakpoint/{bits:x}", m0, ret.format(bits=bits, cs=CODE32(0), to=CODE2), dict(dr0=CODE2, dr1=CODE2 + 1, dr7=dr7((0, EXEC, 1), (1, EXEC, 1))), more={CODE2: (32, "nop\nnop\nnop\nud2")})
        yield one(f"iret-rf-fault/{bits:x}", m0, ret.format(bits=bits, cs=CODE32(0), to=CODE2), dict(dr0=CODE2, dr7=dr7((0, EXEC, 1))), more={CODE2: (32, "ud2")})
        yield one(f"iret-rf-jump-back/{bits:x}", m0, ret.format(bits=bits, cs=CODE32(0), to=CODE2), dict(dr0=CODE2, dr7=dr7((0, EXEC, 1))), more={CODE2: (32, "jmp $")})
        yield one(f"iret-rf-rep/{bits:x}", m0, "mov ecx, 3\nmov edi, 0x32000\n" + ret.format(bits=bits, cs=CODE32(0), to=CODE2), dict(dr0=CODE2, dr7=dr7((0, EXEC, 1))), more={CODE2: (32, "rep stosb\nud2")})
        yield one(f"iret-rf-int/{bits:x}", m0, ret.format(bits=bits, cs=CODE32(0), to=CODE2), dict(dr0=CODE2, dr7=dr7((0, EXEC, 1))), more={CODE2: (32, "int 0x30")})
        yield one(f"iret-rf-int3/{bits:x}", m0, ret.format(bits=bits, cs=CODE32(0), to=CODE2), more={CODE2: (32, "int3")})
        yield one(f"iret-rf-icebp/{bits:x}", m0, ret.format(bits=bits, cs=CODE32(0), to=CODE2), more={CODE2: (32, "db 0xf1")})
        yield one(f"iret-rf-pushf/{bits:x}", m0, ret.format(bits=bits, cs=CODE32(0), to=CODE2), more={CODE2: (32, "pushfd\npop ecx\nud2")})
        yield one(f"iret-rf-out/{bits:x}", m0, "push dword %#x\npush dword %#x\n" % (DATA32(3), STACK[3] + 0x1000) + ret.format(bits=bits, cs=CODE32(3), to=CODE2), dict(dr0=CODE2, dr7=dr7((0, EXEC, 1))), more={CODE2: (32, "nop\nnop\nud2")})
    yield one("popf-no-rf", m0, f"pushfd\nor dword [esp], {RF:#x}\npopfd\nnop\nnop", dict(dr0=CODE + 9, dr7=dr7((0, EXEC, 1))))
    yield one("rf-rep-breakpoint", m0, "mov ecx, 3\nmov edi, 0x32000\nrep stosb\nnop", dict(dr0=CODE + 10, dr7=dr7((0, EXEC, 1))))
    yield one("rf-pushed-rep-pf", paged(m0), f"mov ecx, 8\nmov edi, {DATA + 0xffc:#x}\nrep stosb", pte={DATA + 0x1000: 0})
    yield one("rep-data-mid", m0, f"mov ecx, 8\nmov edi, {DATA - 3:#x}\nrep stosb\nnop", on)
    yield one("rep-step", m3, step_over(m3, "mov ecx, 2\nmov edi, 0x32000\nrep stosb\nnop"))
    # TF through gates, returns and tasks.
    yield one("trap-gate-step", m3, step_over(m3, "int 0x30\nnop"), idt={0x30: gate(SYS_TRAP32, HCODE, stub(0x30), 3)})
    yield one("int-from-step-16", m3, step_over(m3, "int 0x30\nnop"), idt={0x30: gate(SYS_INT16, HCODE, stub(0x30), 3)})
    yield one("sysenter-step", m3, step_over(m3, "sysenter"), dict(sysenter_cs=HCODE, sysenter_esp=STACK0_INNER, sysenter_eip=stub(0x50)))
    yield one("step-fault-pushes-tf", m3, step_over(m3, "nop\nud2"), idt={1: gate(SYS_INT32, HCODE, CODE2)}, more={CODE2: (32, "iretd")})
    task = dict(cs=CODE32(0), sss=DATA32(0), ds=DATA32(0), es=DATA32(0), fs=DATA32(0), gs=DATA32(0), regs=(0, 0, 0, 0, STACK[1] + 0x800, 0, 0, 0), eip=CODE2)
    for trap in (0, 1):
        for tf in (0, TF):
            for how, code in (("jmp", f"jmp {TSS2_SEL:#x}:0"), ("call", f"call {TSS2_SEL:#x}:0"), ("int", "int 0x30")):
                yield one(f"task-{how}/t{trap}/tf{bool(tf):d}", m0, code, mem={TSS2: tss32(eflags=2 | tf, trap=trap, **task)}, idt={0x30: gate(SYS_TASK, TSS2_SEL, 0, 3)}, more={CODE2: (32, "nop\nnop\nud2")})
    yield one("task-from-step", m0, step_over(m0, f"jmp {TSS2_SEL:#x}:0"), mem={TSS2: tss32(**task)}, more={CODE2: (32, "nop\nnop\nud2")})
    yield one("task-l-bits", m0, f"jmp {TSS2_SEL:#x}:0", dict(dr7=dr7((0, EXEC, 1), (1, EXEC, 1, "g"), (2, EXEC, 1, "lg")) | 0x300), mem={TSS2: tss32(**task)}, more={CODE2: (32, "nop\nud2")})
    yield one("task-tss-watched", m0, f"jmp {TSS2_SEL:#x}:0", dict(dr0=TSS2 + 0x20, dr7=dr7((0, ACCESS, 4, "g"))), mem={TSS2: tss32(**task)}, more={CODE2: (32, "nop\nud2")})
    # The frame, the IDT, the GDT and the TSS are watched.
    yield one("frame-watched", m3, "int 0x30", dict(dr0=STACK[0] + 0xffc, dr7=dr7((0, WRITE, 4))))
    yield one("frame-watched-0", m0, "int 0x30", dict(dr0=STACK0_INNER - 4, dr7=dr7((0, WRITE, 4))))
    yield one("gdt-watched", m0, f"mov ax, {T(0):#x}\nmov ds, ax\nnop", dict(dr0=GDT + T(0), dr7=dr7((0, ACCESS, 4))), gdt={T(0): desc(RW | A, 0, 0xfffff, G | D32)})
    yield one("handler-first", m0, "int 0x30", dict(dr0=stub(0x30), dr7=dr7((0, EXEC, 1))))
    yield one("handler-first-fault", m0, "ud2", dict(dr0=stub(6), dr7=dr7((0, EXEC, 1))))
    # V86 and real mode.
    yield one("v86-exec", V86, "nop\nnop", dict(dr0=CODE + 1, dr7=dr7((0, EXEC, 1))))
    yield one("v86-icebp", V86, "db 0xf1", dict(eflags=2 | VM))
    yield one("v86-step-iopl0", V86, "nop\nnop", dict(eflags=2 | VM | TF))
    yield one("v86-step-pushf-iopl0", V86, "pushf", dict(eflags=2 | VM | TF))
    yield one("v86-step-int-vme", V86, "int 0x30", dict(eflags=2 | VM | TF | iopl(3), cr4=VME))
    yield one("v86-popf-tf-vme", V86, "push word 0x100\npopf\nnop\nnop", dict(eflags=2 | VM, cr4=VME))
    yield one("outer-first-insn", m3, "nop\nnop", dict(eflags=2 | TF))
    yield one("outer-rf", m3, "nop\nnop\njmp short $-2", dict(eflags=2 | RF, dr0=CODE, dr1=CODE + 1, dr7=dr7((0, EXEC, 1), (1, EXEC, 1))))
    yield one("outer-tf-hlt", m3, "hlt", dict(eflags=2 | TF))
    yield one("outer-tf-int3", m3, "int3", dict(eflags=2 | TF))
    yield one("outer-tf-icebp", m3, "db 0xf1", dict(eflags=2 | TF))
    yield one("outer-tf-into", m3, "into", dict(eflags=2 | TF | OF))
    yield one("outer-tf-jump-pf", paged(m3), f"mov eax, {CODE2:#x}\njmp eax", dict(eflags=2), pte={CODE2: 0})
    yield one("outer-tf-jump-pf-step", paged(m3), f"jmp eax", dict(eflags=2 | TF, eax=CODE2), pte={CODE2: 0})
    yield one("outer-tf-far-call", m3, f"call {CODE32(3):#x}:{CODE2:#x}", dict(eflags=2 | TF), more={CODE2: (32, "nop\nud2")})
    yield one("outer-tf-gate", m3, f"call {T(0, 3):#x}:0", dict(eflags=2 | TF), gdt={T(0): gate(SYS_CALL32, CODE32(0), CODE2, 3)}, more={CODE2: (32, "nop\nud2")})
    # GD.
    yield one("gd-handler", m0, "mov ecx, dr7", dict(dr7=dr7(gd=True)))
    yield one("gd-clears", m0, "mov dr7, eax", dict(eax=0x400, dr7=dr7(gd=True), dr6=0xffff0ff0))
    yield one("gd-de-dr4", m0, "mov ecx, dr4", dict(dr7=dr7(gd=True), cr4=DE))
    yield one("gd-dr4", m0, "mov ecx, dr4", dict(dr7=dr7(gd=True)))
    # Register forms: MOV DR ignores the mod field and the operand size.
    yield one("mov-dr-mod0", m0, "db 0x0f, 0x21, 0x01\nnop", dict(dr0=0x1234))
    yield one("mov-dr-66", m0, "db 0x66, 0x0f, 0x21, 0xc1\nnop", dict(dr0=0x12345678))
    yield one("mov-dr-16", PM16[0], "mov ecx, dr0\nnop", dict(dr0=0x12345678))
    yield one("lock-mov-dr", m0, "db 0xf0, 0x0f, 0x21, 0xc1")
    yield one("enable-now", m0, f"mov eax, {dr7((0, EXEC, 1)):#x}\nmov dr7, eax\nnop\nnop", dict(dr0=CODE + 9))
    yield one("enable-next", m0, f"mov eax, {dr7((0, EXEC, 1)):#x}\nmov dr7, eax\nnop\nnop", dict(dr0=CODE + 8))
    yield one("enable-data", m0, f"mov eax, {dr7((0, ACCESS, 4)):#x}\nmov dr7, eax\nmov ecx, {d}\nnop", dict(dr0=DATA))
    yield one("disable", m0, f"mov eax, 0x400\nmov dr7, eax\nmov ecx, {d}\nnop", on)
    yield one("cpuid-ports", m0, "mov dx, 0x84\nout dx, al\nnop", dict(cr4=DE, dr0=0x84, dr1=0x84, dr7=dr7((0, PORT, 1), (1, PORT, 1, ""))))
    yield one("port-above-64k", m0, "mov dx, 0x84\nout dx, al\nnop", dict(cr4=DE, dr0=0x10084, dr7=dr7((0, PORT, 1))))
    yield one("port-denied", m3, "mov dx, 0x84\nout dx, al\nnop", dict(cr4=DE, dr0=0x84, dr7=dr7((0, PORT, 1))))
    yield one("port-step", m0, step_over(m0, "out 0x84, al\nnop"), dict(cr4=DE, dr0=0x84, dr7=dr7((0, PORT, 1))))
