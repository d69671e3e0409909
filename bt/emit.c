/*
 * emit.c - host-code emitter: see emit.h.
 *
 * Prefix order follows the manual's grouping (segment, address size, operand size, repeat, lock, REX);
 * references: SDM vol. 2, chapter 2 (instruction format, REX, VEX).
 */
#include "bt/emit.h"

#include <string.h>

void em_bytes(struct emit *e, const void *bytes, unsigned n)
{
    if ((size_t)(e->end - e->p) < n) {
        e->full = true;
        return;
    }
    memcpy(e->p, bytes, n);
    e->p += n;
}

void em8(struct emit *e, u8 v)
{
    em_bytes(e, &v, 1);
}

void em32(struct emit *e, u32 v)
{
    em_bytes(e, &v, 4);
}

void em64(struct emit *e, u64 v)
{
    em_bytes(e, &v, 8);
}

static void em_opcode(struct emit *e, u32 mods, u8 opcode, u8 rex)
{
    if (mods & EM_66)
        em8(e, 0x66);
    if (mods & EM_F2)
        em8(e, 0xf2);
    if (mods & EM_F3)
        em8(e, 0xf3);
    if (mods & EM_LOCK)
        em8(e, 0xf0);
    if (mods & EM_W)
        rex |= 0x48;
    if (rex || (mods & EM_REX))
        em8(e, rex | 0x40);
    unsigned map = (mods >> 8) & 3;
    if (map)
        em8(e, 0x0f);
    if (map == 2)
        em8(e, 0x38);
    if (map == 3)
        em8(e, 0x3a);
    em8(e, opcode);
}

static u8 scale_bits(u8 scale)
{
    return scale == 8 ? 3 : scale == 4 ? 2 : scale == 2 ? 1 : 0;
}

/* ModRM, SIB and displacement for m. */
static void em_modrm(struct emit *e, u8 reg, const struct hop *m)
{
    u8 r = (u8)((reg & 7) << 3);
    if (m->base == H_NONE) { /* [index*scale + disp32] or [disp32]: SIB with base 101, mod 00 */
        em8(e, r | 4);
        u8 idx = m->index == H_NONE ? 4 : m->index & 7;
        em8(e, (u8)(scale_bits(m->scale) << 6 | idx << 3 | 5));
        em32(e, (u32)m->disp);
        return;
    }
    bool small = m->disp >= -128 && m->disp <= 127;
    u8 mod = small ? 0x40 : 0x80;
    if (m->disp == 0 && (m->base & 7) != 5)
        mod = 0;
    if (m->index != H_NONE || (m->base & 7) == 4) {
        em8(e, mod | r | 4);
        u8 idx = m->index == H_NONE ? 4 : m->index & 7;
        em8(e, (u8)(scale_bits(m->scale) << 6 | idx << 3 | (m->base & 7)));
    } else {
        em8(e, mod | r | (m->base & 7));
    }
    if (mod == 0x40)
        em8(e, (u8)m->disp);
    else if (mod == 0x80)
        em32(e, (u32)m->disp);
}

static u8 rex_of(u8 reg, const struct hop *m)
{
    u8 rex = reg >= 8 ? 0x44 : 0;
    if (m->base != H_NONE && m->base >= 8)
        rex |= 0x41;
    if (m->index != H_NONE && m->index >= 8)
        rex |= 0x42;
    return rex;
}

void em_rm(struct emit *e, u32 mods, u8 opcode, u8 reg, const struct hop *m)
{
    if (m->gs) {
        em8(e, 0x65);
        em8(e, 0x67);
    }
    em_opcode(e, mods, opcode, rex_of(reg, m));
    em_modrm(e, reg, m);
}

void em_rr(struct emit *e, u32 mods, u8 opcode, u8 reg, u8 rm)
{
    u8 rex = (reg >= 8 ? 0x44 : 0) | (rm >= 8 ? 0x41 : 0);
    em_opcode(e, mods, opcode, rex);
    em8(e, (u8)(0xc0 | (reg & 7) << 3 | (rm & 7)));
}

void em_load(struct emit *e, unsigned size, u8 reg, const struct hop *m)
{
    if (size == 1)
        em_rm(e, EM_MAP(1), 0xb6, reg, m); /* movzx r32, m8 */
    else if (size == 2)
        em_rm(e, EM_MAP(1), 0xb7, reg, m); /* movzx r32, m16 */
    else
        em_rm(e, size == 8 ? EM_W : 0, 0x8b, reg, m);
}

void em_store(struct emit *e, unsigned size, const struct hop *m, u8 reg)
{
    if (size == 1)
        em_rm(e, reg >= 4 ? EM_REX : 0, 0x88, reg, m);
    else
        em_rm(e, size == 8 ? EM_W : size == 2 ? EM_66 : 0, 0x89, reg, m);
}

void em_store_imm(struct emit *e, unsigned size, const struct hop *m, u32 imm)
{
    if (size == 1) {
        em_rm(e, 0, 0xc6, 0, m);
        em8(e, (u8)imm);
    } else if (size == 2) {
        em_rm(e, EM_66, 0xc7, 0, m);
        em8(e, (u8)imm);
        em8(e, (u8)(imm >> 8));
    } else {
        em_rm(e, size == 8 ? EM_W : 0, 0xc7, 0, m);
        em32(e, imm);
    }
}

void em_mov(struct emit *e, u8 dst, u8 src)
{
    em_rr(e, EM_W, 0x89, src, dst);
}

void em_mov32(struct emit *e, u8 dst, u8 src)
{
    em_rr(e, 0, 0x89, src, dst);
}

void em_mov_imm(struct emit *e, u8 reg, u64 imm)
{
    u8 rex = reg >= 8 ? 0x41 : 0;
    if (imm >> 32) {
        em8(e, rex | 0x48);
        em8(e, 0xb8 | (reg & 7)); /* mov r64, imm64 */
        em64(e, imm);
    } else {
        if (rex)
            em8(e, rex);
        em8(e, 0xb8 | (reg & 7)); /* mov r32, imm32 */
        em32(e, (u32)imm);
    }
}

void em_lea(struct emit *e, unsigned size, u8 reg, const struct hop *m)
{
    struct hop plain = *m;
    plain.gs = false;
    em_rm(e, size == 8 ? EM_W : size == 2 ? EM_66 : 0, 0x8d, reg, &plain);
}

void em_lea32(struct emit *e, u8 reg, u8 base, i32 disp)
{
    struct hop m = hop_base(base, disp);
    em_lea(e, 4, reg, &m);
}

void em_lea_sum(struct emit *e, unsigned size, u8 reg, u8 base, u8 index, u8 scale)
{
    struct hop m = {.base = base, .index = index, .scale = scale};
    em_lea(e, size, reg, &m);
}

void em_movzx16(struct emit *e, u8 dst, u8 src)
{
    em_rr(e, EM_MAP(1), 0xb7, dst, src);
}

void em_movzx8(struct emit *e, u8 dst, u8 src)
{
    em_rr(e, EM_MAP(1) | (src >= 4 ? EM_REX : 0), 0xb6, dst, src);
}

void em_movsx16(struct emit *e, u8 dst, u8 src)
{
    em_rr(e, EM_MAP(1), 0xbf, dst, src);
}

void em_not(struct emit *e, unsigned size, u8 reg)
{
    em_rr(e, size == 8 ? EM_W : 0, 0xf7, 2, reg); /* NOT leaves the flags alone */
}

/* Three-byte VEX, register operands only: map 1..3, pp 0:none 1:66 2:F3 3:F2. */
static void em_vex(struct emit *e, u8 map, u8 pp, bool w, u8 reg, u8 vvvv, u8 rm, u8 opcode)
{
    em8(e, 0xc4);
    em8(e, (u8)((reg >= 8 ? 0 : 0x80) | 0x40 | (rm >= 8 ? 0 : 0x20) | map));
    em8(e, (u8)((w ? 0x80 : 0) | (~vvvv & 15) << 3 | pp));
    em8(e, opcode);
    em8(e, (u8)(0xc0 | (reg & 7) << 3 | (rm & 7)));
}

void em_shift(struct emit *e, unsigned size, char kind, u8 dst, u8 src, u8 count)
{
    u8 pp = kind == 'l' ? 1 : kind == 'r' ? 3 : 2;
    em_vex(e, 2, pp, size == 8, dst, count, src, 0xf7);
}

void em_rorx(struct emit *e, unsigned size, u8 dst, u8 src, u8 count)
{
    em_vex(e, 3, 3, size == 8, dst, 0, src, 0xf0);
    em8(e, count);
}

void em_pext(struct emit *e, unsigned size, u8 dst, u8 src, u8 mask)
{
    em_vex(e, 2, 2, size == 8, dst, src, mask, 0xf5);
}

static u8 *em_rel8(struct emit *e, u8 opcode)
{
    em8(e, opcode);
    em8(e, 0);
    return e->p - 1;
}

u8 *em_jrcxz(struct emit *e)
{
    return em_rel8(e, 0xe3);
}

u8 *em_jmp8(struct emit *e)
{
    return em_rel8(e, 0xeb);
}

u8 *em_jcc8(struct emit *e, u8 cond)
{
    return em_rel8(e, 0x70 | cond);
}

void em_here(struct emit *e, u8 *rel8)
{
    if (e->full)
        return;
    i64 d = e->p - (rel8 + 1);
    ASSERT(d >= -128 && d <= 127);
    *rel8 = (u8)d;
}

u8 *em_jmp32(struct emit *e)
{
    em8(e, 0xe9);
    em32(e, 0);
    return e->p - 4;
}

void em_here32(struct emit *e, u8 *rel32)
{
    if (e->full)
        return;
    u32 d = (u32)(e->p - (rel32 + 4));
    memcpy(rel32, &d, 4);
}

static void em_rel32(struct emit *e, u64 target)
{
    u64 next = e->exec + em_off(e) + 4;
    em32(e, (u32)(target - next));
}

void em_jmp_to(struct emit *e, u64 target)
{
    em8(e, 0xe9);
    em_rel32(e, target);
}

void em_call_to(struct emit *e, u64 target)
{
    em8(e, 0xe8);
    em_rel32(e, target);
}

void em_jcc_to(struct emit *e, u8 cond, u64 target)
{
    em8(e, 0x0f);
    em8(e, 0x80 | cond);
    em_rel32(e, target);
}
