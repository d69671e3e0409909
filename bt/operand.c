/*
 * operand.c - guest memory operands as window accesses.
 *
 * A guest effective address plus its segment becomes one host operand: gs:[...] with a 32-bit address size, so the
 * sum wraps at 4 GiB as the guest's does. Flat segments cost nothing, segments that only have a base one load,
 * others an emitted limit check; what is left over (null, read-only, expand-down...) is C's.
 * No code here touches the flags. Registers: r9 address, r10 base or limit, r11 and r12 check.
 */
#include "bt/internal.h"

bool op_seg_ok(const struct tr *t, unsigned seg)
{
    return tr_segc(t, seg) != SEGC_CHECK;
}

static struct hop seg_base(unsigned seg)
{
    return hop_base(H_CPU, CPU_DISP(seg_base) + (i32)seg * 4);
}

static struct hop seg_limit(unsigned seg)
{
    return hop_base(H_CPU, CPU_DISP(seg_limit) + (i32)seg * 4);
}

/* r9d = effective address: leave to the fallback when r9 + size - 1 > limit.
 *   r11 = limit + ~r9 - (size - 2) = limit - r9 - (size - 1): negative exactly when beyond. */
void op_limit_check(struct tr *t, unsigned seg, u32 size)
{
    struct emit *e = &t->e;
    struct hop limit = seg_limit(seg);
    em_load(e, 4, H_R10, &limit);
    em_mov(e, H_R11, H_R9);
    em_not(e, 8, H_R11);
    struct hop sum = {.base = H_R10, .index = H_R11, .scale = 1, .disp = 2 - (i32)size};
    em_lea(e, 8, H_R11, &sum);
    em_mov(e, H_R12, H_RCX);
    em_mov_imm(e, H_RCX, 63);
    em_shift(e, 8, 'r', H_RCX, H_R11, H_RCX);
    u8 *ok = em_jrcxz(e);
    em_mov(e, H_RCX, H_R12);
    tr_jmp_step(t, false);
    em_here(e, ok);
    em_mov(e, H_RCX, H_R12);
}

struct hop op_r9(struct tr *t, unsigned seg, u8 adsz, u32 size)
{
    struct emit *e = &t->e;
    struct hop out = {.base = H_R9, .index = H_NONE, .scale = 1, .gs = true};
    unsigned cls = tr_segc(t, seg);
    if (adsz == 2)
        em_movzx16(e, H_R9, H_R9);
    if (cls == SEGC_FLAT)
        return out;
    if (cls == SEGC_LIMIT)
        op_limit_check(t, seg, size ? size : 1);
    struct hop base = seg_base(seg);
    em_load(e, 4, H_R10, &base);
    out.index = H_R10;
    return out;
}

static u8 host_gpr(u8 gpr)
{
    return gpr == DEC_NO_REG ? H_NONE : gpr == R_ESP ? G_ESP : gpr;
}

struct hop op_address(const struct tr *t)
{
    const struct dec_insn *in = t->in;
    struct hop ea = {.base = host_gpr(in->base),
                     .index = host_gpr(in->index),
                     .scale = in->scale ? in->scale : 1,
                     .disp = in->disp};
    if (in->base == R_ESP)
        ea.disp = (i32)((u32)ea.disp + (u32)t->adj);
    return ea;
}

struct hop op_selector(unsigned seg)
{
    size_t at = offsetof(struct cpu, seg) + seg * sizeof(struct cpu_seg) + offsetof(struct cpu_seg, sel);
    return hop_base(H_CPU, (i32)at - CPU_BIAS);
}

struct hop op_mem(struct tr *t, const struct gaddr *a)
{
    struct emit *e = &t->e;
    struct hop ea = {.base = host_gpr(a->base),
                     .index = host_gpr(a->index),
                     .scale = a->scale ? a->scale : 1,
                     .disp = a->disp};
    if (a->base == R_ESP)
        ea.disp = (i32)((u32)ea.disp + (u32)t->adj);
    unsigned cls = tr_segc(t, a->seg);
    if (a->adsz == 4 && cls == SEGC_FLAT) {
        ea.gs = true;
        return ea;
    }
    if (a->adsz == 4 && cls == SEGC_BASED && (ea.base == H_NONE || ea.index == H_NONE)) {
        struct hop base = seg_base(a->seg);
        em_load(e, 4, H_R9, &base);
        if (ea.base == H_NONE) {
            ea.base = H_R9;
        } else {
            ea.index = H_R9;
            ea.scale = 1;
        }
        ea.gs = true;
        return ea;
    }
    if (a->adsz == 4) {
        em_lea(e, 4, H_R9, &ea);
    } else if (ea.base == H_NONE && ea.index == H_NONE) {
        em_mov_imm(e, H_R9, (u16)ea.disp);
    } else if (ea.index == H_NONE && !ea.disp) {
        em_movzx16(e, H_R9, ea.base);
    } else {
        em_lea(e, 4, H_R9, &ea);
        em_movzx16(e, H_R9, H_R9);
    }
    return op_r9(t, a->seg, 4, a->size); /* cut to 16 bits already */
}

struct hop op_insn_mem(struct tr *t)
{
    return op_insn_sized(t, t->in->mem_size);
}

struct hop op_insn_sized(struct tr *t, u32 size)
{
    const struct dec_insn *in = t->in;
    struct gaddr a = {.base = in->moffs ? DEC_NO_REG : in->base,
                      .index = in->moffs ? DEC_NO_REG : in->index,
                      .scale = in->scale,
                      .seg = in->seg,
                      .adsz = in->adsz,
                      .disp = in->disp,
                      .size = size};
    return op_mem(t, &a);
}

struct hop op_stack(struct tr *t, i32 off, u32 size)
{
    struct gaddr a = {.base = R_ESP,
                      .index = DEC_NO_REG,
                      .scale = 1,
                      .seg = SEG_SS,
                      .adsz = (t->mode & MODE_SS32) ? 4 : 2,
                      .disp = off,
                      .size = size};
    return op_mem(t, &a);
}
