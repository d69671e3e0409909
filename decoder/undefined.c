/*
 * undefined.c - how long an undefined instruction is.
 *
 * A CPU fetches all of an instruction before it finds out that it is undefined: bytes beyond the code segment's limit or
 * on a missing page fault first. So opcodes in groups have their ModRM byte, displacement and immediate here too.
 * Whatever the maps leave empty ends with its opcode. Sources: SDM vol. 2, appendix A; AMD manual vol. 3, appendix A.
 */
#include "decoder/forms.h"

static bool is_prefix(u8 b, bool *opsize, bool *adsize)
{
    switch (b) {
    case 0x66: *opsize = true; return true;
    case 0x67: *adsize = true; return true;
    case 0x26:
    case 0x2e:
    case 0x36:
    case 0x3e:
    case 0x64:
    case 0x65:
    case 0xf0:
    case 0xf2:
    case 0xf3: return true;
    default: return false;
    }
}

/* One-byte opcodes of which some forms are undefined: all are groups or need a memory operand. */
static bool has_modrm(u8 op)
{
    switch (op) {
    case 0x62:
    case 0x8c:
    case 0x8d:
    case 0x8e:
    case 0x8f:
    case 0xc4:
    case 0xc5:
    case 0xc6:
    case 0xc7:
    case 0xf6:
    case 0xf7:
    case 0xfe:
    case 0xff: return true;
    default: return (op & 0xf8) == 0xd8;
    }
}

bool dec_is_empty(const u8 *bytes, size_t avail)
{
    bool opsize, adsize;
    size_t n = 0;

    while (n < avail && is_prefix(bytes[n], &opsize, &adsize))
        n++;
    return n + 2 <= avail && bytes[n] == 0x0f && (bytes[n + 1] & 0xfe) == 0xa6;
}

static bool has_modrm_0f(u8 op)
{
    switch (op >> 4) {
    case 0x0: return op <= 3 || op == 0xd || op == 0xf;
    case 0x1:
    case 0x4:
    case 0x5:
    case 0x6:
    case 0x9:
    case 0xd:
    case 0xe: return true;
    case 0x2: return op < 0x24 || op >= 0x28;
    case 0x7: return op != 0x77 && op != 0x7a && op != 0x7b;
    case 0xa: return (op >= 0xa3 && op <= 0xa5) || op >= 0xab;
    case 0xb: return true;
    case 0xc: return op < 0xc8;
    case 0xf: return op != 0xff; /* UD0: AMD's have no ModRM */
    default: return false;
    }
}

/* ModRM, SIB and displacement at p; 0 when they are not all there. */
static unsigned operand_bytes(const u8 *p, size_t avail, bool wide)
{
    u8 mod, rm;

    if (!avail)
        return 0;
    mod = p[0] >> 6;
    rm = p[0] & 7;
    if (mod == 3)
        return 1;
    if (!wide)
        return mod == 0 ? rm == 6 ? 3 : 1 : 1u + mod;
    if (rm != 4)
        return mod == 0 ? rm == 5 ? 5 : 1 : mod == 1 ? 2 : 5;
    if (avail < 2)
        return 0;
    return mod == 0 ? (p[1] & 7) == 5 ? 6 : 2 : mod == 1 ? 3 : 6;
}

unsigned dec_strip_lock(const u8 *bytes, size_t avail, u8 rest[DEC_MAX_LEN], size_t *n)
{
    bool opsize, adsize;
    size_t i = 0, max = avail < DEC_MAX_LEN ? avail : DEC_MAX_LEN;

    *n = 0;
    for (; i < max && is_prefix(bytes[i], &opsize, &adsize); i++)
        if (bytes[i] != 0xf0)
            rest[(*n)++] = bytes[i];
    for (; i < max; i++)
        rest[(*n)++] = bytes[i];
    return (unsigned)(max - *n);
}

int dec_undefined_length(const u8 *bytes, size_t avail, bool cs32)
{
    bool opsize = false, adsize = false, modrm;
    unsigned imm = 0, n = 0, operand;

    while (n < avail && is_prefix(bytes[n], &opsize, &adsize))
        n++;
    if (n == avail)
        return -ENODATA;
    u8 op = bytes[n++];
    modrm = has_modrm(op);
    if (op == 0xc6)
        imm = 1;
    else if (op == 0xc7)
        imm = cs32 != opsize ? 4 : 2;
    if (op == 0x0f) {
        if (n == avail)
            return -ENODATA;
        op = bytes[n++];
        modrm = has_modrm_0f(op);
        imm = (op >= 0x70 && op <= 0x73) || op == 0xba || op == 0xa4 || op == 0xac ||
              (op >= 0xc4 && op <= 0xc6) || op == 0xc2 || op == 0x0f || op == 0x3a;
        if (op == 0x38 || op == 0x3a) {
            modrm = true;
            n++;
        }
    }
    if (n > avail)
        return -ENODATA;
    if (modrm) {
        operand = operand_bytes(bytes + n, avail - n, cs32 != adsize);
        if (!operand)
            return -ENODATA;
        n += operand;
    }
    n += imm;
    if (n > DEC_MAX_LEN)
        return -E2BIG;
    return n > avail ? -ENODATA : (int)n;
}
