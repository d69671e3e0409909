"""Makes hostile guests: 64 KiB firmware images that enter some mode of the CPU and there run random bytes.

make(seed) gives (image, name of the mode, novt options), always the same for the same seed.

The image is copied to 10000h, where it can be written, and runs there (or, in one mode, stays in ROM):

    0000 code    random; exception handlers return into it one byte further on, so that guests last
    8000 tables  GDT, LDT, IDT, two TSSs
    a000 paging  page directory (a000; PAE: pointers at a000, directory at b000), two page tables (c000, d000)
    f000 stub    from reset to the mode
    fff0         reset vector
"""
import os
import random
import struct

BASE = 0x10000
GDT, LDT, IDT, TSS, TSS2, DIR, TABLE, STUB, HANDLERS, PARAMS = \
    0x8000, 0x8400, 0x8800, 0x9000, 0x9400, 0xa000, 0xc000, 0xf000, 0xf800, 0xff00
MODES = ["real", "rom", "pure", "prot16", "prot32", "paged", "pae", "ring3", "v86", "smc", "seabios"]
SEABIOS = "/usr/share/seabios/bios-256k.bin"
MODELS = ["486", "pentium", "pentium2", "pentium3", "pentium4", "max"]
PORTS = [0x20, 0x21, 0xa0, 0xa1, 0x40, 0x41, 0x42, 0x43, 0x60, 0x61, 0x64, 0x70, 0x71, 0x80, 0x92, 0x00, 0x08, 0x0b, 0x0d, 0x81, 0xc0,
         0xd0, 0xd6, 0xf0, 0xb2, 0x3f8, 0x3f9, 0x3fa, 0x3fb, 0x3fc, 0x3c0, 0x3c4, 0x3c5, 0x3ce, 0x3cf, 0x3d4, 0x3d5, 0x3da, 0x402,
         0x501, 0x510, 0x511, 0x514, 0x518, 0x604, 0xb000, 0xb004, 0xb008, 0xcf8, 0xcf9, 0xcfc, 0xcfe, 0xe9, 0xafe0, 0x4d0]
MSRS = [0x10, 0x1b, 0x8b, 0xfe, 0x174, 0x175, 0x176, 0x179, 0x186, 0x200, 0x250, 0x277, 0x2ff, 0x1a0, 0x1d9, 0xc0000080, 0xc0000081,
        0xc0000100]
PLACES = [0xa0000, 0xb8000, 0xbffff, 0xc0000, 0xdffff, 0xe0000, 0xf0000, 0xfffff, 0x100000, 0x10fff0, 0xfec00000, 0xfee00000, 0xfffc0000,
          0xffffffff, 0xfffffffe, 0xfffffff0, 0x80000000, 0x7fffffff, 0x400000, 0x3ffffe, 0x0, 0x4, 0x11fff, 0x1fffe]
SYSTEM = [b"\x0f\x00", b"\x0f\x01", b"\x0f\x02", b"\x0f\x03", b"\x0f\x06", b"\x0f\x08", b"\x0f\x09", b"\x0f\x20", b"\x0f\x22", b"\x0f\x21",
          b"\x0f\x23", b"\x0f\x30", b"\x0f\x31", b"\x0f\x32", b"\x0f\x33", b"\x0f\x34", b"\x0f\x35", b"\x0f\xa2", b"\x0f\xaa", b"\x0f\xb2",
          b"\x0f\xb4", b"\x0f\xb5", b"\x0f\xc7", b"\xcf", b"\xca", b"\xcb", b"\x9a", b"\xea", b"\xff", b"\xcc", b"\xcd", b"\xce", b"\xf1",
          b"\xfa", b"\xfb", b"\x9c", b"\x9d", b"\x8e", b"\x8c", b"\xc4", b"\xc5", b"\x63", b"\x62", b"\xe4", b"\xe5", b"\xe6", b"\xe7",
          b"\xec", b"\xed", b"\xee", b"\xef", b"\x6c", b"\x6d", b"\x6e", b"\x6f", b"\xf3\x6c", b"\xf3\x6f", b"\x06", b"\x07", b"\x0e",
          b"\x16", b"\x17", b"\x1e", b"\x1f", b"\x0f\xa0", b"\x0f\xa1", b"\x0f\xa8", b"\x0f\xa9", b"\xc8", b"\xc9", b"\x60", b"\x61"]
STRINGS = [bytes(p) + bytes([o]) for o in (0xa4, 0xa5, 0xa6, 0xa7, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf)
           for p in ((), (0xf3,), (0xf2,), (0x67,), (0xf3, 0x67), (0x64, 0xf3), (0x66, 0xf3))]


def code_random(r, n):
    return r.randbytes(n)


def modrm(r):
    """ModRM and what follows it, with small displacements more often than not."""
    b = r.randrange(256)
    disp = struct.pack("<I", r.choice([r.randrange(1 << 32), r.choice(PLACES), BASE + r.randrange(0x10000), r.randrange(0x200)]))
    return bytes([b]) + r.choice([b"", bytes([r.randrange(256)]), disp[:2], disp, bytes([r.randrange(256)]) + disp])


def imm32(r):
    return struct.pack("<I", r.choice([r.randrange(1 << 32), r.choice(PLACES), BASE + r.randrange(0x10000), r.randrange(256),
                                       r.randrange(1 << 16)]))


def sequence(r, word):
    """A few instructions that make sense together. word: prefix for 32-bit operands in this mode, or nothing."""
    mov = lambda reg, val: word + bytes([0xb8 + reg]) + val  # noqa: E731
    k = r.randrange(16)
    if k == 0:  # CR, DR
        cr = r.choice([0, 0, 3, 4, 2])
        val = r.choice([imm32(r), struct.pack("<I", BASE + DIR), struct.pack("<I", 1 << r.randrange(32)),
                        struct.pack("<I", r.choice([1, 0x11, 0x80000001, 0x80010001, 0x40000010, 0x60000011]))])
        return mov(0, val) + b"\x0f" + r.choice([b"\x22" + bytes([0xc0 | cr << 3]), b"\x23" + bytes([0xc0 | r.randrange(8) << 3])])
    if k == 1:  # MSR
        return mov(1, struct.pack("<I", r.choice(MSRS))) + mov(0, imm32(r)) + mov(2, b"\0\0\0\0") + r.choice([b"\x0f\x30", b"\x0f\x32"])
    if k == 2:  # ports
        port = struct.pack("<I", r.choice(PORTS + [r.randrange(1 << 16)]))
        return mov(2, port) + r.choice([b"", mov(0, imm32(r))]) + r.choice([b"\xec", b"\xed", b"\xee", b"\xef", b"\x66\xef", b"\x6c", b"\x6e"])
    if k == 3:  # long or odd string
        where = lambda: imm32(r)  # noqa: E731
        return mov(6, where()) + mov(7, where()) + mov(1, imm32(r)) + r.choice([b"\xfc", b"\xfd"]) + r.choice(STRINGS)
    if k == 4:  # loop that ends
        body = b"".join(bytes([r.choice([0x40, 0x43, 0x48, 0x50, 0x58, 0x90, 0xf9, 0xa4, 0xaa, 0xac])]) for _ in range(r.randrange(1, 30)))
        return mov(1, struct.pack("<I", r.randrange(1, 3000))) + body + bytes([0xe2, (256 - len(body) - 2) & 255])
    if k == 5:  # writes near itself: call next; pop; mov [reg + d], byte
        d = r.randrange(-8, 40) & 255
        return b"\xe8\0\0" + (b"" if word else b"\0\0") + b"\x5b\xc6" + (b"\x40" if word else b"\x43") + bytes([d, r.randrange(256)])
    if k == 6:  # EFLAGS
        return (b"\x66" if word else b"") + b"\x68" + struct.pack("<I", r.choice([2, 0x102, 0x202, 0x3202, 0x40202, 0x20002, 0x4002,
                                                                                  r.randrange(1 << 22)])) + word + r.choice([b"\x9d"])
    if k == 7:  # segment registers
        sel = r.choice([r.randrange(0, 0x80), r.randrange(1 << 16)])
        return mov(0, struct.pack("<I", sel)) + b"\x8e" + bytes([0xc0 | r.randrange(6) << 3])
    if k == 8:  # FPU control, unmasked exceptions, environment
        return b"\x68" + (imm32(r)[:2] if word else imm32(r)) + b"\x89\xe3" + b"\xd9" + (b"\x2f" if word else b"\x2b") + \
            r.choice([b"\xdb\xe3", b"\xd9\xee\xd9\xe8\xde\xf1", b"\xd9\x37", b"\xdd\x37", b"\xdd\x27", b"\x0f\xae\x07", b"\x0f\xae\x0f",
                      b"\x9b\xdf\xe0"])
    if k == 9:  # SSE, MXCSR
        return r.choice([b"\x0f\xae" + modrm(r), b"\x0f" + bytes([r.choice([0x10, 0x28, 0x51, 0x5e, 0x58, 0x6f, 0x7f, 0xe7, 0xf7, 0x2a, 0x2d])])
                         + modrm(r), b"\x66\x0f" + bytes([r.randrange(256)]) + modrm(r), b"\xf3\x0f" + bytes([r.randrange(256)]) + modrm(r)])
    if k == 10:  # far transfers through known selectors
        return r.choice([b"\xea", b"\x9a"]) + (struct.pack("<H", r.randrange(0x1000)) if word else struct.pack("<I", r.randrange(0x18000))) + \
            struct.pack("<H", r.choice([r.randrange(0, 0x80), 0x1000, 0xffff]))
    if k == 11:
        return r.choice([b"\x0f\x01" + bytes([r.choice([0x10, 0x18, 0x38, 0x30]) | 6 * bool(word) | 5 * (not word)]) + imm32(r)[:2 if word else 4],
                         mov(0, struct.pack("<I", r.randrange(0x80))) + b"\x0f\x00" + bytes([0xc0 | r.randrange(6) << 3])])
    if k == 12:  # short jumps, calls
        return bytes([r.choice([0xeb, 0x74, 0x75, 0xe0, 0xe3, 0x7c]), r.randrange(256)])
    if k == 13:
        return r.choice([b"\xe8", b"\xe9"]) + struct.pack("<h", r.randrange(-0x400, 0x400)) + (b"" if word else r.choice([b"\0\0", b"\xff\xff"]))
    if k == 14:
        return r.choice([b"\xfb\xf4", b"\xfb", b"\xf4", b"\xcd" + bytes([r.randrange(256)])])
    return mov(r.randrange(8), imm32(r))


def code_biased(r, n, word):
    out = bytearray()
    while len(out) < n:
        k = r.randrange(20)
        if k < 3:
            out += bytes([r.choice([0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65])])
        if k < 6:
            out += r.choice(SYSTEM) + modrm(r)
        elif k < 10:
            out += sequence(r, word)
        elif k < 12:
            out += bytes([r.randrange(0xd8, 0xe0)]) + modrm(r)
        elif k < 14:
            out += b"\x0f" + bytes([r.randrange(256)]) + modrm(r)
        elif k < 15:
            out += r.choice(STRINGS)
        elif k < 19:
            out += bytes([r.randrange(256)]) + modrm(r)
        else:
            out += r.randbytes(r.randrange(1, 8))
    return bytes(out[:n])


def descriptor(base, limit, access, flags):
    return struct.pack("<HHBBBB", limit & 0xffff, base & 0xffff, base >> 16 & 255, access, flags << 4 | limit >> 16 & 15, base >> 24 & 255)


def gate(sel, off, kind, count=0):
    return struct.pack("<HHBBH", off & 0xffff, sel, count, kind, off >> 16)


def selectors(r):
    """16 descriptors that work, then random ones."""
    flat = 0xfffff
    out = [b"\0" * 8, descriptor(0, flat, 0x9b, 0xc), descriptor(0, flat, 0x93, 0xc), descriptor(0, flat, 0xfb, 0xc),
           descriptor(0, flat, 0xf3, 0xc), descriptor(BASE, 0xffff, 0x9b, 0), descriptor(BASE, 0xffff, 0x93, 0),
           descriptor(BASE + TSS, 0x3ff, 0x89, 0), descriptor(BASE + TSS2, 0x67, 0x89, 0), descriptor(BASE + LDT, 0x3ff, 0x82, 0),
           gate(0x08, BASE + r.randrange(0x8000), 0xec, r.randrange(32)), gate(0x40, 0, 0xe5),
           descriptor(r.randrange(1 << 32), r.randrange(1 << 20), 0x93, r.randrange(16)), descriptor(BASE, 0xffff, 0xfb, 0),
           descriptor(BASE, 0xffff, 0x97, 0), descriptor(0, flat, 0x9f, 0xc)]
    for _ in range(112):
        out.append(r.choice([r.randbytes(8), descriptor(r.choice([0, BASE, r.randrange(1 << 32)]), r.randrange(1 << 20),
                                                        0x80 | r.randrange(128), r.randrange(16)),
                             gate(r.randrange(0x80), BASE + r.randrange(0x8000), 0x80 | r.randrange(128), r.randrange(32))]))
    return b"".join(out)


def idt(r, sel, handlers16):
    """Most vectors skip a byte of what faulted; some go astray."""
    out = b""
    for v in range(256):
        if r.randrange(30) == 0:
            out += r.choice([r.randbytes(8), gate(0x58, 0, 0xe5), gate(sel, BASE + r.randrange(0x8000), r.choice([0x8e, 0xee, 0x86, 0xe7]))])
        else:
            target = HANDLERS + (0x20 if v in (8, 10, 11, 12, 13, 14, 17) else 0x60 if v in range(0x20, 0x30) else 0)
            out += gate(0x28, target + 0x80, 0xe6) if handlers16 else gate(sel, BASE + target, r.choice([0x8e, 0xee, 0xef]))
    return out


def tss(r, cr3):
    words = [0, 0x1f000, 0x10, 0x1e000, 0x10, 0x1d000, 0x10, cr3, BASE + r.randrange(0x8000), r.choice([2, 0x202, 0x20202])]
    words += [r.randrange(1 << 32) for _ in range(4)] + [0x1c000] + [r.randrange(1 << 32) for _ in range(3)]
    words += [r.choice([0x10, 0x23, r.randrange(0x80)]), 0x08, 0x10, 0x10, 0x10, 0x10, r.choice([0, 0x48]), 0x68 << 16]
    return struct.pack("<26I", *words) + r.choice([b"\0", r.randbytes(1), b"\xff"]) * 512


def page_tables(r, pae, ram):
    """Directory and tables: most of the low megabyte as it is, the rest anything."""
    size, fmt = (8, "<Q") if pae else (4, "<I")
    n = 4096 // size
    area = bytearray(0x4000)

    def entry(i, page, wild):
        if i in (0x10 + (HANDLERS >> 12), 0x10 + (STUB >> 12)):
            return page | 7
        k = r.randrange(100)
        if k < wild:
            return r.randrange(1 << 32) if k % 2 else page & ~0xfff | r.randrange(4096)
        if k < 2 * wild:
            return (r.choice(PLACES) & ~0xfff | 7) if k % 2 else r.randrange(ram >> 12) << 12 | 0x67
        return page | r.choice([7, 7, 7, 0x67, 3, 5, 1, 0x107, 0x1f])

    wild = r.choice([1, 5, 20])
    tables = 2
    for t in range(tables):
        for i in range(n):
            struct.pack_into(fmt, area, 0x2000 + t * 4096 + i * size, entry(i + t * n, (i + t * n) << 12, wild))
    top = 0x1000 if pae else 0
    for i in range(n):
        if i < tables:
            val = BASE + TABLE + (i << 12) | 7
        else:
            val = r.choice([0, 0, r.randrange(1 << 32), (i << (21 if pae else 22)) & 0xffffffff | r.choice([0x87, 0x83, 0xe7, 0x187]),
                            BASE + DIR + r.choice([0, 0x1000, 0x2000, 0x3000]) | 7])
        struct.pack_into(fmt, area, top + i * size, val)
    if pae:
        for i in range(4):
            struct.pack_into("<Q", area, i * 8, BASE + DIR + 0x1000 | 1 if not i or r.randrange(2) else r.choice([0, r.randrange(1 << 32)]))
    return bytes(area)


def handlers():
    """At 0, 20h (error code), 60h (IRQ): 32-bit ones; 80h further on 16-bit ones."""
    out = bytearray(b"\x90" * 0x100)
    out[0x00:0x00 + 4] = b"\xff\x04\x24\xcf"                # inc dword [esp]; iretd
    out[0x20:0x20 + 7] = b"\x83\xc4\x04\xff\x04\x24\xcf"    # add esp, 4; ...
    out[0x60:0x60 + 10] = b"\x50\xb0\x20\xe6\x20\xe6\xa0\x58\xcf\x90"
    skip = b"\x55\x89\xe5\xff\x46\x02\x5d\xcf"              # push bp; mov bp, sp; inc word [bp+2]; pop bp; iret
    out[0x80:0x80 + 8] = skip
    out[0xa0:0xa0 + 11] = b"\x83\xc4\x02" + skip
    out[0xe0:0xe0 + 10] = b"\x50\xb0\x20\xe6\x20\xe6\xa0\x58\xcf\x90"
    return bytes(out)


def stub_copy(ivt):
    """16-bit code at f000:f000 that copies the image and, if asked, sets the interrupt vectors."""
    copy = b"\xfa\xfc\xb8\x00\xf0\x8e\xd8\xb8\x00\x10\x8e\xc0\x31\xf6\x31\xff\xb9\x00\x80\xf3\xa5"  # rep movsw f000:0 -> 1000:0
    if ivt:
        copy += b"\x31\xc0\x8e\xc0\xbe" + struct.pack("<H", IDT) + b"\x31\xff\xb9\x00\x02\xf3\xa5"
    return copy


def stub_enter(cr0, cr4, cr3):
    """From real mode at f000:xxxx to the 32-bit part."""
    s = b"\x2e\x66\x0f\x01\x16" + struct.pack("<H", PARAMS) + b"\x2e\x66\x0f\x01\x1e" + struct.pack("<H", PARAMS + 8)
    if cr4:
        s += b"\x66\xb8" + struct.pack("<I", cr4) + b"\x0f\x22\xe0"
    s += b"\x66\xb8" + struct.pack("<I", cr3) + b"\x0f\x22\xd8\x66\xb8" + struct.pack("<I", cr0) + b"\x0f\x22\xc0"
    at = BASE + STUB + 0x200  # 32-bit continuation
    return s + b"\x66\xea" + struct.pack("<IH", at, 0x08)


def stub_32(r, mode, entry, eflags):
    seg = lambda sel, reg: b"\x66\xb8" + struct.pack("<H", sel) + b"\x8e" + bytes([0xc0 | reg << 3])  # noqa: E731
    user = mode in ("ring3",)
    s = seg(0x10, 2) + b"\xbc\x00\xe0\x01\x00"
    s += b"\x66\xb8\x38\x00\x0f\x00\xd8\x66\xb8\x48\x00\x0f\x00\xd0"  # ltr 38, lldt 48
    for reg in (0, 3, 4, 5):
        s += seg(0x10 if not user else 0x23, reg)
    push = lambda v: b"\x68" + struct.pack("<I", v)  # noqa: E731
    if mode == "v86":
        s += b"".join(push(v) for v in (0x1000, 0x1000, 0x1000, 0x1000, 0x1000, 0xc000, eflags | 0x20000, 0x1000, entry))
    elif mode == "prot16":
        s += seg(0x30, 2) + seg(0x30, 3) + seg(0x30, 0) + b"\xbc\x00\xe0\x00\x00" + push(eflags) + push(0x28) + push(entry)
    elif user:
        s += push(0x23) + push(0x1c000) + push(eflags) + push(0x1b) + push(BASE + entry)
    else:
        s += push(eflags) + push(0x08) + push(BASE + entry)
    for reg in (0, 1, 2, 3, 5, 6, 7):
        s += bytes([0xb8 + reg]) + imm32(r)
    return s + b"\xcf"


def make_seabios(r):
    """SeaBIOS with some bytes changed, so that all devices are set up and then misused."""
    with open(SEABIOS, "rb") as f:
        image = bytearray(f.read())
    used = [i for i in range(0, len(image), 16) if any(image[i:i + 16])]
    for _ in range(r.choice([5, 20, 100, 400])):
        at = r.choice(used) + r.randrange(16)
        bad = r.choice([bytes([image[at] ^ 1 << r.randrange(8)]), r.randbytes(1), r.choice(SYSTEM), b"\x90\x90", imm32(r)])
        if at + len(bad) < len(image) - 16:
            image[at:at + len(bad)] = bad
    return bytes(image)


def make(seed):
    r = random.Random(seed)
    mode = r.choice(MODES if os.path.exists(SEABIOS) else MODES[:-1])
    ram = r.choice([1, 2, 4, 16]) << 20
    options = ["-m", str(ram >> 20), "-cpu", r.choice(MODELS + ["max"] * 4)]
    if mode == "seabios":
        return make_seabios(r), mode, options
    small = mode in ("real", "rom", "pure", "prot16", "v86", "smc")
    n = GDT
    code = code_random(r, n) if mode == "pure" or r.randrange(5) == 0 else code_biased(r, n, b"\x66" if small else b"")
    if mode == "smc":
        code = b"".join(sequence_smc(r) + code[i * 64:i * 64 + 40] for i in range(n // 64))[:n].ljust(n, b"\x90")
    entry = r.randrange(0x1000)
    eflags = r.choice([2, 2, 0x202, 0x3202, 0x3002, 0x102, 0x40002])
    image = bytearray(r.randbytes(0x10000))
    image[0:n] = code
    pae = mode == "pae"
    image[DIR:DIR + 0x4000] = page_tables(r, pae, ram)
    image[GDT:GDT + 0x400] = selectors(r)
    image[LDT:LDT + 0x400] = selectors(r)
    image[TSS:TSS + 0x400] = tss(r, BASE + DIR)[:0x400].ljust(0x400, b"\xff")
    image[TSS2:TSS2 + 0x400] = tss(r, BASE + DIR)[:0x400].ljust(0x400, b"\0")
    image[HANDLERS:HANDLERS + 0x100] = handlers()
    real = mode in ("real", "rom", "pure", "smc")
    if real:
        seg = 0xf000 if mode == "rom" else 0x1000
        ivt = b"".join(struct.pack("<HH", HANDLERS + (0xe0 if v in range(8, 16) and r.randrange(2) else 0x80), 0x1000)
                       if r.randrange(30) else r.randbytes(4) for v in range(256))
        image[IDT:IDT + 0x400] = ivt
        s = stub_copy(r.randrange(10) > 0) + b"\xb8\x00\x10\x8e\xd8\x8e\xc0\x8e\xd0\xbc\x00\xe0"
        s += b"".join(b"\x66" + bytes([0xb8 + reg]) + imm32(r) for reg in (0, 1, 2, 3, 5, 6, 7))
        s += b"\x66\x68" + struct.pack("<I", eflags) + b"\x66\x9d"
        image[STUB:STUB + len(s) + 5] = s + b"\xea" + struct.pack("<HH", entry, seg)
    else:
        paging = mode in ("paged", "pae") or r.randrange(2)
        image[IDT:IDT + 0x800] = idt(r, 0x08, mode == "prot16" and r.randrange(2))
        image[PARAMS:PARAMS + 16] = struct.pack("<HIHHIH", 0x3ff, BASE + GDT, 0, 0x7ff, BASE + IDT, 0)
        cr0 = r.choice([0x11, 0x31, 0x10031, 0x50031, 0x3b, 0x1]) | (0x80000000 if paging else 0)
        cr4 = 0x20 if pae else r.choice([0, 0, 0x10])
        if pae or r.randrange(2):
            options[-1] = r.choice(["pentium2", "pentium3", "pentium4", "max"])
            cr4 |= r.choice([0, 0x90, 0x600, 0x690, 0x1, 0x3, 0x4, 0x8, 0x100])
        elif options[-1] == "486":
            cr4 = 0
        s = stub_copy(False) + stub_enter(cr0, cr4, BASE + DIR)
        image[STUB:STUB + len(s)] = s
        s = stub_32(r, mode, entry, eflags)
        image[STUB + 0x200:STUB + 0x200 + len(s)] = s
    image[0xfff0:0xfff5] = b"\xea" + struct.pack("<HH", STUB, 0xf000)
    return bytes(image), mode, options


def sequence_smc(r):
    """16-bit: a short loop that changes a byte ahead of, in, or behind itself each time round."""
    d = r.randrange(-6, 24)
    return b"\xb9" + struct.pack("<H", r.randrange(1, 40)) + b"\xe8\0\0\x5b\x2e\xc6\x47" + bytes([d & 255, r.choice([0x90, 0x40, 0xf8, r.randrange(256)])]) + \
        b"\x2e\xfe\x47" + bytes([r.randrange(8, 30)]) + b"\x90\x90\xe2\xf1"
