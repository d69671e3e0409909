"""x87, MMX and SSE state as system software sees it: environments and images in every layout, pending exceptions and who notices
them, EM, MP and TS, the register stack's ends, rounding and precision, FXSAVE, MXCSR and #XM.

Where the case is printed by FNSAVE, C0, C2 and C3 are those of the last instruction that defines them.
"""
from matrix import *  # noqa: F403

FEW = [PM32[0], PM32[3], PM16[0], PM16[3], REALMODE, V86]
IE, DE_, ZE, OE, UE, PE_ = 1, 2, 4, 8, 16, 32
VALUES = {                                          # 80-bit: sign and exponent, significand
    "zero": (0, 0), "-zero": (0x8000, 0), "one": (0x3fff, 1 << 63), "-one": (0xbfff, 1 << 63), "pi": (0x4000, 0xc90fdaa22168c235), "third": (0x3ffd, 0xaaaaaaaaaaaaaaab),
    "huge": (0x7ffe, 0xffffffffffffffff), "tiny": (1, 1 << 63), "denormal": (0, 1), "denormal-top": (0, (1 << 63) - 1), "pseudo-denormal": (0, 1 << 63), "inf": (0x7fff, 1 << 63), "-inf": (0xffff, 1 << 63),
    "qnan": (0x7fff, 0xc000000000000001), "snan": (0x7fff, 0x8000000000000001), "indefinite": (0xffff, 0xc000000000000000), "unnormal": (0x4000, 1), "pseudo-inf": (0x7fff, 0), "big-int": (0x403e, (1 << 64) - 1), "int32max": (0x401d, 0xfffffffe00000000),
}


def off(mode, address):
    return address if mode.flat else address - CODE


def ptr(mode, address):
    return f"[{off(mode, address):#x}]"


def ext(name):
    e, m = VALUES[name]
    return struct.pack("<QH", m, e)


def env_cases():
    """Environments with an exception pending: then the pointers mean something on every processor."""
    for mode in FEW + [paged(PM32[3]), PM32[1]]:
        m, at = ptr(mode, DATA + 0x100), ptr(mode, DATA)
        for size in ("o16", "o32"):
            if (size == "o16") == (not mode.flat):
                pre = ""
            else:
                pre = size + " "
            for how, code in (("reg", "fldz\nfld1\nfdiv st0, st1"), ("mem", f"fld1\nfdiv dword {at}"), ("mem-seg", f"fld1\nfdiv qword [es:{off(mode, DATA + 8):#x}]"), ("mem-ss", None)):
                if how == "mem-ss":
                    code = "push dword 0\nfld1\nfdiv dword [esp]" if mode.flat else "push dword 0\nmov bp, sp\nfld1\nfdiv dword [bp]"
                # Without a memory operand the data pointer is undefined.
                place = [] if how != "reg" else [10] if not pre and not mode.flat or size == "o16" else [20, 24]
                wipe = "".join(f"\nmov dword {ptr(mode, DATA + 0x100 + n)}, 0" for n in place)
                start = f"fninit\npush word 0x33b\n{'fldcw [esp]' if mode.flat else 'mov bp, sp' + chr(10) + 'fldcw [bp]'}\n"
                for op in ("fnstenv", "fnsave"):
                    yield Case(f"env/{op}/{size}/{how}/{mode}", mode, start + code + f"\n{pre}{op} {m}{wipe}\nfnclex\nnop", mem={DATA: bytes(16)})
                yield Case(f"env/fldenv/{size}/{how}/{mode}", mode, start + code + f"\n{pre}fnstenv {m}\nfninit{wipe}\n{pre}fldenv {m}\nnop", flags=FPU, mem={DATA: bytes(16)})
                yield Case(f"env/frstor/{size}/{how}/{mode}", mode, start + code + f"\n{pre}fnsave {m}{wipe}\n{pre}frstor {m}\nnop", flags=FPU, mem={DATA: bytes(16)})
            # An image made by hand: reserved bits, tags, pointers, an error that no exception bit explains and the other way round.
            for name, cw, sw, tw in (("plain", 0x37f, 0, 0xffff), ("reserved", 0xffff, 0, 0x0000), ("cw0", 0, 0, 0x5555), ("es-alone", 0x37f, 0x80, 0xaaaa), ("pending", 0x33b, 0x04, 0x1234), ("pending-es", 0x37f, 0x84, 0xffff),
                                     ("top5", 0x27f, 0x2800, 0x0ff0), ("all", 0x37f, 0xffff, 0x0000), ("unmasked-all", 0x340, 0x3f, 0x0000)):
                env = struct.pack("<7H", cw, sw, tw, 0x1122, 0x3344, 0x5566, 0x7788) if size == "o16" else struct.pack("<7I", 0xdead0000 | cw, 0xdead0000 | sw, 0xdead0000 | tw, 0x11223344, 0x55667788, 0x99aabbcc, 0xddeeff00)
                yield Case(f"env/load/{name}/{size}/{mode}", mode, f"fninit\nfldpi\n{pre}fldenv {m}\nfnstenv {ptr(mode, DATA + 0x200)}\nfnstsw ax\nfnstcw {ptr(mode, DATA + 0x280)}\nmov eax, 0\nmov dword {ptr(mode, DATA + (0x20c if mode.flat else 0x206))}, 0\n" +
                           "\n".join(f"mov dword {ptr(mode, DATA + (0x210 if mode.flat else 0x20a) + 4 * i)}, 0" for i in range(3)) + "\nfninit\nnop", mem={DATA + 0x100: env})


def tag_cases():
    mode = PM32[0]
    m = f"[{DATA + 0x100:#x}]"
    for name in VALUES:
        yield Case(f"tag/{name}", mode, f"fninit\nfld tword [{DATA:#x}]\nfldz\nffree st0\nfnstenv {m}\nmov ax, {m}\nmov dx, [{DATA + 0x104:#x}]\nmov cx, [{DATA + 0x108:#x}]\nfxam\nfnstsw ax\nfnsave {m}\nmov dword [{DATA + 0x10c:#x}], 0\nmov dword [{DATA + 0x110:#x}], 0\nmov dword [{DATA + 0x114:#x}], 0\nmov dword [{DATA + 0x118:#x}], 0",
                   mem={DATA: ext(name)})
        yield Case(f"fxam/{name}", mode, f"fninit\nfld tword [{DATA:#x}]\nfxam\nfnstsw ax\nfninit", mem={DATA: ext(name)})


PENDING = "fninit\nfldz\nfld1\npush word 0x33b\n{ldcw}\nfdiv st0, st1\n"


def pending_cases():
    """Who waits for a pending exception, and who does not."""
    for mode in FEW:
        start = PENDING.format(ldcw="fldcw [esp]" if mode.flat else "mov bp, sp\nfldcw [bp]")
        m = ptr(mode, DATA)
        for name, code in (("fwait", "fwait"), ("fnop", "fnop"), ("fld1", "fld1"), ("fst", f"fst dword {m}"), ("fist", f"fistp word {m}"), ("fxch", "fxch"), ("fninit", "fninit"), ("fnclex", "fnclex"), ("fnstsw-ax", "fnstsw ax"),
                           ("fnstsw-m", f"fnstsw {m}"), ("fnstcw", f"fnstcw {m}"), ("fldcw", f"fldcw {m}"), ("fldenv", f"fldenv {m}"), ("frstor", f"frstor {m}"), ("fsetpm", "db 0xdb, 0xe4"), ("feni", "db 0xdb, 0xe0"), ("fdisi", "db 0xdb, 0xe1"),
                           ("ffree", "ffree st3"), ("fincstp", "fincstp"), ("fcom", f"fcom dword {m}"), ("fcomi", "fcomi st0, st1"), ("fcmov", "fcmove st0, st1"), ("emms", "emms"), ("mmx", "paddb mm0, mm1"), ("movd", "movd mm0, eax"),
                           ("movq-m", f"movq {m}, mm0"), ("fxsave", f"fxsave {m}"), ("fxrstor", f"fxrstor {m}"), ("sse", "xorps xmm0, xmm0"), ("movq2dq", "movq2dq xmm0, mm0"), ("cvtpi2ps", "cvtpi2ps xmm0, mm0"), ("ud-fp", "db 0xd9, 0xd8"), ("nop", "nop"),
                           ("fld-fault", f"fld dword {'[cs:0xffffffff]' if mode.flat else '[0xffff]'}"), ("lock-fp", "db 0xf0, 0xd9, 0xe8")):
            flags = 0
            tail = "\nfninit\nnop"
            if name in ("fxsave", "fxrstor"):
                tail = f"\nfninit\nmov ecx, 128\n{'mov edi' if mode.flat else 'mov di'}, {off(mode, DATA)}\nxor eax, eax\nmov {'ecx' if mode.flat else 'cx'}, 128\nrep stosd\nnop"
            yield Case(f"pending/{name}/{mode}", mode, start + code + tail, dict(cr4=mode.regs["cr4"] | OSFXSR, **({"cr0": mode.regs["cr0"] | NE} if mode is REALMODE else {})), flags=flags,
                       mem={DATA: struct.pack("<HHHH", 0x37f, 0, 0, 0) + bytes(504) if name in ("fldcw", "fxrstor") else struct.pack("<7I", 0x37f, 0, 0xffff, 0, 0, 0, 0) + bytes(484)})


def enabled_cases():
    """CR0.EM, MP, TS and CR4.OSFXSR: #NM, #UD or nothing, by instruction."""
    for mode in (PM32[3], PM16[0], REALMODE, V86):
        m = ptr(mode, DATA)
        for name, code in (("fld1", "fld1"), ("fnop", "fnop"), ("fwait", "fwait"), ("fninit", "fninit"), ("fnstsw", "fnstsw ax"), ("fnstcw", f"fnstcw {m}"), ("fnstenv", f"fnstenv {m}"), ("fnsave", f"fnsave {m}"), ("frstor", f"frstor {m}"),
                           ("fcmov", "fcmove st0, st1"), ("fisttp", f"fisttp word {m}"), ("mmx", "pxor mm0, mm0"), ("emms", "emms"), ("fxsave", f"fxsave {m}"), ("fxrstor", f"fxrstor {m}"), ("ldmxcsr", f"ldmxcsr {m}"), ("stmxcsr", f"stmxcsr {m}"),
                           ("sse", "xorps xmm0, xmm0"), ("sse2", "pxor xmm0, xmm0"), ("cvtpi2ps", "cvtpi2ps xmm0, mm0"), ("maskmovq", "maskmovq mm0, mm1"), ("maskmovdqu", "maskmovdqu xmm0, xmm1"), ("movnti", f"movnti {m}, eax"), ("movntq", f"movntq {m}, mm0"),
                           ("pause", "pause"), ("prefetch", f"prefetcht0 {m}"), ("sfence", "sfence"), ("lfence", "lfence"), ("mfence", "mfence"), ("clflush", f"clflush {m}"), ("ud", "db 0xd9, 0xd8"), ("crc32", "crc32 eax, al"), ("popcnt", "popcnt eax, eax"), ("pshufb-mm", "pshufb mm0, mm1"), ("ptest", "ptest xmm0, xmm1")):
            for bits in range(8):
                cr0 = mode.regs["cr0"] & ~(EM | MP | TS) | (EM if bits & 1 else 0) | (MP if bits & 2 else 0) | (TS if bits & 4 else 0) | NE
                for fx in (0, OSFXSR):
                    if (bits + bool(fx)) % 3 and mode is not PM32[3]:
                        continue
                    if name in ("fxsave",) and not fx and not bits & 5:
                        continue                    # whether XMM registers are saved is the model's
                    yield Case(f"enabled/{name}/{'em' if bits & 1 else ''}{'mp' if bits & 2 else ''}{'ts' if bits & 4 else ''}/{'osfxsr' if fx else 'no'}/{mode}", mode, code + "\ncmp eax, eax\nnop", dict(cr0=cr0, cr4=mode.regs["cr4"] | fx, edi=off(mode, DATA) if mode.flat else 0x2000),
                               mem={DATA: struct.pack("<I", 0x1f80) + bytes(20) + struct.pack("<I", 0x1f80) + bytes(484)})


def stack_cases():
    """The register stack's ends: C1 tells which, masked gives the indefinite, unmasked leaves everything."""
    mode = PM32[0]
    m = f"[{DATA:#x}]"
    for full in (True, False):
        for masked in (True, False):
            for name, code in (("fld1", "fld1"), ("fld-m", f"fld dword {m}"), ("fld-st", "fld st1"), ("fild", f"fild word {m}"), ("fbld", f"fbld {m}"), ("fst", "fst st3"), ("fstp", "fstp st1"), ("fst-m32", f"fst dword {m}"), ("fstp-m80", f"fstp tword {m}"),
                               ("fist16", f"fist word {m}"), ("fistp64", f"fistp qword {m}"), ("fisttp", f"fisttp dword {m}"), ("fbstp", f"fbstp {m}"), ("fxch", "fxch st2"), ("fadd", "fadd st0, st1"), ("faddp", "faddp st1, st0"), ("fadd-m", f"fadd dword {m}"), ("fiadd", f"fiadd word {m}"),
                               ("fchs", "fchs"), ("fabs", "fabs"), ("ftst", "ftst"), ("fxam", "fxam"), ("fsqrt", "fsqrt"), ("frndint", "frndint"), ("fscale", "fscale"), ("fxtract", "fxtract"), ("fprem", "fprem"), ("fprem1", "fprem1"), ("fcom", "fcom st1"), ("fucom", "fucom st1"),
                               ("fcompp", "fcompp"), ("fucompp", "fucompp"), ("fcomi", "fcomi st0, st1"), ("fucomip", "fucomip st0, st1"), ("fcmovb", "fcmovb st0, st1"), ("fcmovnb", "fcmovnb st0, st1"), ("ffree", "ffree st1"), ("fincstp", "fincstp"), ("fdecstp", "fdecstp"), ("ffreep", "db 0xdf, 0xc1")):
                load = "\n".join(["fld1"] * 8) if full else ""
                cw = 0x37f if masked else 0x37e
                yield Case(f"stack/{'full' if full else 'empty'}/{'masked' if masked else 'unmasked'}/{name}", mode, f"fninit\nmov word [{DATA + 0x40:#x}], {cw:#x}\nfldcw [{DATA + 0x40:#x}]\n{load}\nclc\n{code}\nfwait", flags=FPU, mem={DATA: struct.pack("<I", 0x3f800000) + bytes(12)})


def arithmetic_cases():
    """Exceptions by operands, masked and not; what is stored when not."""
    mode = PM32[0]
    pairs = [("one", "zero"), ("zero", "zero"), ("inf", "inf"), ("inf", "-inf"), ("one", "denormal"), ("huge", "huge"), ("tiny", "third"), ("one", "third"), ("snan", "one"), ("qnan", "one"), ("one", "snan"), ("unnormal", "one"), ("pseudo-denormal", "one"), ("pi", "third"), ("-one", "one"), ("denormal", "denormal-top"), ("pseudo-inf", "one"), ("-zero", "zero"), ("qnan", "snan"), ("big-int", "third")]
    for a, b in pairs:
        for op in ("fadd", "fsub", "fmul", "fdiv", "fsqrt", "fcom", "fscale", "frndint", "fcomi", "fucom"):
            for cw in (0x37f, 0x340):
                if op == "fscale" and a == b == "huge" and cw == 0x340:
                    continue                        # overflow beyond the bias: AMD processors give zero
                two = op in ("fadd", "fsub", "fmul", "fdiv")
                code = f"{op} st0, st1" if two else op if op in ("fsqrt", "fscale", "frndint") else f"{op} st1" if op != "fcomi" else "fcomi st0, st1"
                yield Case(f"math/{op}/{a},{b}/{'masked' if cw == 0x37f else 'unmasked'}", mode, f"fninit\nfld tword [{DATA:#x}]\nfld tword [{DATA + 16:#x}]\nfldcw [{DATA + 32:#x}]\n{code}\nfwait", flags=FPU, mem={DATA: ext(b) + bytes(6) + ext(a) + bytes(6) + struct.pack("<H", cw)})
    # Rounding and precision.
    for a, b in (("pi", "third"), ("one", "third"), ("huge", "third"), ("tiny", "third"), ("-one", "third")):
        for op in ("fadd", "fmul", "fdiv", "fsub"):
            for rc in range(4):
                for pc in (0, 2, 3):
                    yield Case(f"round/{op}/{a},{b}/rc{rc}pc{pc}", mode, f"fninit\nfld tword [{DATA:#x}]\nfld tword [{DATA + 16:#x}]\nfldcw [{DATA + 32:#x}]\n{op} st0, st1\nfwait", flags=FPU, mem={DATA: ext(b) + bytes(6) + ext(a) + bytes(6) + struct.pack("<H", 0x7f | rc << 10 | pc << 8)})
    for a in VALUES:
        for op, size in (("fst", "dword"), ("fst", "qword"), ("fstp", "tword"), ("fistp", "word"), ("fistp", "dword"), ("fistp", "qword"), ("fbstp", "tword"), ("fisttp", "word")):
            for cw in (0x37f, 0x340, 0xb7f):
                yield Case(f"store/{op}-{size}/{a}/{cw:x}", mode, f"fninit\nfld tword [{DATA:#x}]\nfldcw [{DATA + 32:#x}]\n{op} {size if op != 'fbstp' else ''} [{DATA + 64:#x}]\nfwait", flags=FPU, mem={DATA: ext(a) + bytes(22) + struct.pack("<H", cw)})


def fxsave_cases():
    image = bytearray(512)
    struct.pack_into("<HHBBHIHHIHHII", image, 0, 0x37f, 0x3800, 0x80, 0, 0x111, 0x12345678, 0x23, 0, 0x9abcdef0, 0x2b, 0, 0x1f80, 0xffff)
    for i in range(8):
        image[32 + 16 * i:42 + 16 * i] = struct.pack("<QH", 1 << 63 | i, 0x3fff + i)
        image[160 + 16 * i:176 + 16 * i] = bytes([i] * 16)
    for mode in FEW:
        m = ptr(mode, DATA)
        regs = dict(cr4=mode.regs["cr4"] | OSFXSR)
        wipe = f"\nfnclex\nmov {'edi' if mode.flat else 'di'}, {off(mode, DATA + 0x408)}\nmov {'ecx' if mode.flat else 'cx'}, 4\nxor eax, eax\nrep stosd\nmov dword {ptr(mode, DATA + 0x41c)}, 0\nnop"
        yield Case(f"fx/restore/{mode}", mode, f"fxrstor {m}\nnop", regs, flags=FPU | SSE, mem={DATA: bytes(image)})
        yield Case(f"fx/save/{mode}", mode, f"fxrstor {m}\nfxsave {ptr(mode, DATA + 0x400)}{wipe}", regs, mem={DATA: bytes(image)})
        for bit in range(32):
            im = bytearray(image)
            struct.pack_into("<I", im, 24, 1 << bit)
            if mode in (PM32[0], PM32[3], V86) and bit != 17:       # bit 17 exists on AMD processors
                yield Case(f"fx/mxcsr{bit}/{mode}", mode, f"fxrstor {m}\nnop", regs, flags=SSE, mem={DATA: bytes(im)})
                yield Case(f"fx/ldmxcsr{bit}/{mode}", mode, f"ldmxcsr {m}\nnop", regs, flags=SSE, mem={DATA: struct.pack("<I", 1 << bit)})
        for shift in (1, 4, 8, 15):
            for op in ("fxsave", "fxrstor"):
                for ac in (0, 1):
                    if ac and mode.ring != 3:
                        continue
                    yield Case(f"fx/{op}+{shift}{'-ac' if ac else ''}/{mode}", mode, f"{op} {ptr(mode, DATA + shift)}\nnop", dict(regs, **(dict(cr0=mode.regs["cr0"] | AM, eflags=mode.regs["eflags"] | AC) if ac else {})))
        for fsw in (0, 0x3f, 0x84, 0x80, 0xffff):
            for fcw in (0x37f, 0x340, 0, 0xffff):
                for ftw in (0, 0xff, 0x5a):
                    if (fsw + fcw + ftw) % 3 and mode is not PM32[0]:
                        continue
                    im = bytearray(image)
                    struct.pack_into("<HHB", im, 0, fcw, fsw, ftw)
                    yield Case(f"fx/words/{fcw:x}-{fsw:x}-{ftw:x}/{mode}", mode, f"fxrstor {m}\nnop", regs, flags=FPU, mem={DATA: bytes(im)})
    for mode in (paged(PM32[0]), paged(PM32[3]), paged(V86)):
        for op in ("fxsave", "fxrstor", "fnsave", "frstor", "fnstenv", "fldenv"):
            for page, name in ((DATA, "first"), (DATA + 0x1000, "second")):
                if name == "second" and op in ("frstor", "fldenv", "fnsave", "fnstenv", "fxsave"):
                    continue                        # what a part of them has done by then is open
                yield Case(f"fx/page-{name}/{op}/{mode}", mode, f"{op} {ptr(mode, DATA + 0x1000 - 16)}\nnop", dict(cr4=mode.regs["cr4"] | OSFXSR), pte={page: 0})


def simd_cases():
    one, big, tiny, snan, den = 0x3f800000, 0x7f7fffff, 0x00800000, 0x7f800001, 1
    for mode in (PM32[0], PM32[3], PM16[3], REALMODE, V86):
        a, b, c = (ptr(mode, DATA + 16 * i) for i in range(3))
        for name, op, x, y in (("ie", "mulps", snan, one), ("de", "addps", den, one), ("ze", "divps", one, 0), ("oe", "mulps", big, big), ("ue", "mulps", tiny, 0x3e800000), ("pe", "divps", one, 0x40400000), ("none", "addps", one, one), ("sqrt", "sqrtps", one, 0xbf800000), ("cmp", "cmpltps", one, snan), ("comiss", "comiss", one, snan)):
            for mask in (0x1f80, 0x1f00, 0x1e80, 0x1d80, 0x1b80, 0x1780, 0x0f80, 0, 0x9fc0):
                for x_bit in (0, OSXMMEXCPT):
                    if (mask // 0x80 + len(name)) % 3 and mode is not PM32[0]:
                        continue
                    if mask == 0x1f80 and x_bit:
                        continue
                    yield Case(f"simd/{name}/{mask:x}/{'xm' if x_bit else 'ud'}/{mode}", mode, f"ldmxcsr {c}\nmovaps xmm0, {a}\n{op} xmm0, {b}\nnop", dict(cr4=mode.regs["cr4"] | OSFXSR | x_bit), flags=SSE,
                               mem={DATA: struct.pack("<4I", x, one, one, one) + struct.pack("<4I", y, one, one, one) + struct.pack("<I", mask)})
        for op in ("movaps", "addps", "movups", "movdqa", "movntps", "movlps", "movss", "cvtps2pi", "pshufd"):
            for shift in (0, 1, 4, 8):
                for ac in (False, True):
                    if ac and mode.ring != 3:
                        continue
                    at = ptr(mode, DATA + shift)
                    code = f"movntps {at}, xmm0" if op == "movntps" else f"cvtps2pi mm0, {at}" if op == "cvtps2pi" else f"pshufd xmm0, {at}, 1" if op == "pshufd" else f"{op} xmm0, {at}"
                    yield Case(f"align/{op}+{shift}{'-ac' if ac else ''}/{mode}", mode, "fninit\n" + code + "\nnop", dict(cr4=mode.regs["cr4"] | OSFXSR | OSXMMEXCPT, **(dict(cr0=mode.regs["cr0"] | AM, eflags=mode.regs["eflags"] | AC) if ac else {})), flags=SSE,
                               mem={DATA: struct.pack("<8I", *[one] * 8)})


def cases():
    yield from env_cases()
    yield from tag_cases()
    yield from pending_cases()
    yield from enabled_cases()
    yield from stack_cases()
    yield from arithmetic_cases()
    yield from fxsave_cases()
    yield from simd_cases()


IRQ13 = "mov al, 0\nout 0xf0, al\nmov al, 0x20\nout 0xa0, al\nout 0x20, al\nmov al, 0xfb\nout 0x21, al\nmov al, 0xdf\nout 0xa1, al\n"         # nothing but IRQ 13 gets through


def hand():
    m0, m3, p3 = PM32[0], PM32[3], paged(PM32[3])
    bad = PENDING.format(ldcw="fldcw [esp]")
    data = f"[{DATA:#x}]"
    # Without CR0.NE an exception is FERR#: FWAIT waits for IRQ 13, non-waiting instructions go on.
    old = dict(cr0=0x11)
    yield Case("ne0-fwait", m0, IRQ13 + "sti\n" + bad + "fwait\nnop\nnop", old)
    yield Case("ne0-no-wait", m0, IRQ13 + "sti\n" + bad + "fnstsw ax\nfnclex\nnop", old)
    yield Case("ne0-fninit", m0, IRQ13 + "sti\n" + bad + "fninit\nnop", old)
    yield Case("ne0-real", REALMODE, IRQ13 + "sti\n" + PENDING.format(ldcw="mov bp, sp\nfldcw [bp]") + "fwait\nnop\nnop")
    # The control word.
    for cw in (0, 0xffff, 0xe0c0, 0x1f3f, 0x040):
        yield Case(f"fldcw/{cw:x}", m0, f"fninit\nmov word {data}, {cw:#x}\nfldcw {data}\nfnstcw [{DATA + 4:#x}]\nnop")
    yield Case("fldcw-unmasks", m0, bad.replace("fldcw [esp]", "") + "fldcw [esp]\nfld1")
    yield Case("fldcw-masks", m0, bad + "fninit\nfldz\nfld1\nfdivrp\nfldcw [esp]\nfnstsw ax\nfnclex")
    # Tags, TOP and MMX.
    yield Case("mmx-tags", m0, "fninit\nmovd mm3, eax\nnop", flags=FPU)
    yield Case("mmx-top", m0, "fninit\nfld1\nfldpi\nmovd mm0, eax\nnop", flags=FPU)
    yield Case("mmx-emms", m0, "fninit\nmovd mm7, ecx\nemms\nnop", flags=FPU)
    yield Case("mmx-write-exponent", m0, "fninit\nfld1\nfld1\npxor mm1, mm1\nnop", flags=FPU)
    yield Case("mmx-read-tags", m0, "fninit\nfld1\nmovd eax, mm0\nnop", flags=FPU)
    yield Case("mmx-store-tags", m0, f"fninit\nfldpi\nmovq {data}, mm7\nnop", flags=FPU)
    yield Case("mmx-fault-keeps-tags", p3, f"fninit\nfldpi\nmovq mm0, {data}", flags=FPU, pte={DATA: 0})
    yield Case("maskmovq", m0, f"fninit\nmov edi, {DATA:#x}\nmov dword {data}, 0x80008000\nmovq mm0, {data}\nmaskmovq mm0, mm0\nnop", flags=FPU)
    yield Case("maskmovq-zero-page", p3, f"fninit\nmov edi, {DATA + 0x1000:#x}\npxor mm0, mm0\nmaskmovq mm0, mm0\nnop")
    yield Case("cvtps2pi-tags", m0, "fninit\nfld1\ncvtps2pi mm0, xmm0\nnop", dict(cr4=OSFXSR), flags=FPU)
    yield Case("movdq2q", m0, "fninit\nfld1\nmovdq2q mm0, xmm1\nnop", dict(cr4=OSFXSR), flags=FPU)
    yield Case("movq2dq", m0, "fninit\nfld1\nmovq2dq xmm0, mm1\nnop", dict(cr4=OSFXSR), flags=FPU | SSE)
    yield Case("ffreep", m0, "fninit\nfld1\nfld1\ndb 0xdf, 0xc0\nnop", flags=FPU)
    yield Case("fxch-alias", m0, "fninit\nfld1\nfldpi\ndb 0xdd, 0xc9\nnop", flags=FPU)
    yield Case("fcom-alias", m0, "fninit\nfld1\nfldpi\ndb 0xdc, 0xd1\nnop", flags=FPU)
    yield Case("fstp-alias", m0, "fninit\nfld1\nfldpi\ndb 0xdf, 0xd1\nnop", flags=FPU)
    yield Case("fstp1-d9", m0, "fninit\nfld1\nfldpi\ndb 0xd9, 0xd9\nnop", flags=FPU)
    # A fault in a memory operand: neither TOP nor the operand moves; the stack fault comes after it.
    yield Case("fld-page-full", p3, "fninit\n" + "fld1\n" * 8 + f"fld dword {data}", flags=FPU, pte={DATA: 0})
    yield Case("fst-page-empty", p3, f"fninit\nfstp dword {data}", flags=FPU, pte={DATA: 0})
    yield Case("fst-ro-unmasked", p3, f"fninit\npush word 0x340\nfldcw [esp]\nfstp dword {data}", flags=FPU, pte={DATA: DATA | PTE_P | PTE_U | PTE_A})
    yield Case("fbstp-limit", m3, f"fninit\nfld1\nfbstp [fs:0xff8]", dict(fs=T(0, 3)), flags=FPU, gdt={T(0): desc(RW | A, DATA, 0xfff, D32, 3)})
    yield Case("mf-before-pf", p3, bad + f"fld dword {data}", pte={DATA: 0})
    yield Case("nm-before-pf", p3, f"fld dword {data}", dict(cr0=p3.regs["cr0"] | TS), pte={DATA: 0})
    yield Case("nm-before-mf", m0, bad + "mov eax, cr0\nor al, 8\nmov cr0, eax\nfld1")
    yield Case("ud-before-nm", m3, "db 0xd9, 0xd8", dict(cr0=m3.regs["cr0"] | TS))
    yield Case("step-over-pending", m0, bad + "pushfd\nor dword [esp], 0x100\npopfd\nnop")
    yield Case("mf-in-v86", V86, PENDING.format(ldcw="mov bp, sp\nfldcw [bp]") + "fwait")
    yield Case("fsave-restores-pending", m0, bad + f"fnsave {data}\nfninit\nfrstor {data}\nfld1")
    yield Case("fxsave-pending", m0, bad + f"fxsave {data}\nfninit\nfxrstor {data}\nfld1", dict(cr4=OSFXSR))
    yield Case("fninit-clears-pointers", m0, bad + f"fninit\nfnstenv {data}\nnop")
    yield Case("denormal-single", m0, f"fninit\npush word 0x37d\nfldcw [esp]\nfld dword {data}\nfwait", flags=FPU, mem={DATA: struct.pack("<I", 1)})
    yield Case("denormal-extended-load", m0, f"fninit\npush word 0x37d\nfldcw [esp]\nfld tword {data}\nfwait", flags=FPU, mem={DATA: ext("denormal")})
    yield Case("snan-single-load", m0, f"fninit\npush word 0x37e\nfldcw [esp]\nfld dword {data}\nfwait", flags=FPU, mem={DATA: struct.pack("<I", 0x7f800001)})
    yield Case("snan-extended-load", m0, f"fninit\npush word 0x37e\nfldcw [esp]\nfld tword {data}\nfwait", flags=FPU, mem={DATA: ext("snan")})
    yield Case("xm-two-lanes", m0, f"ldmxcsr {data}\nmovaps xmm0, [{DATA + 16:#x}]\ndivps xmm0, [{DATA + 32:#x}]", dict(cr4=OSFXSR | OSXMMEXCPT), flags=SSE, mem={DATA: struct.pack("<I", 0x1d80) + bytes(12) + struct.pack("<4f", 1, 1, 0, 3) + struct.pack("<4f", 0, 3, 0, 1)})
    yield Case("mxcsr-sticky-unmask", m0, f"ldmxcsr {data}\nxorps xmm0, xmm0\naddps xmm0, xmm0\nnop", dict(cr4=OSFXSR | OSXMMEXCPT), flags=SSE, mem={DATA: struct.pack("<I", 0x003f)})
    yield Case("ldmxcsr-page", p3, f"ldmxcsr {data}", dict(cr4=p3.regs["cr4"] | OSFXSR), pte={DATA: 0})
