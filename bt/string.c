/*
 * string.c - MOVS, STOS, LODS, SCAS, CMPS.
 *
 * 64-bit string instructions ignore overrides on ES:EDI, so single ones become plain moves, and repeated ones run
 * natively on 64-bit pointers: rsi and rdi get the window's base added for the time of the instruction. Windows are aligned
 * to 4 GiB, so with flat segments and 32-bit addresses the low halves stay the guest's registers (also after a fault in the
 * middle); a run off the end of the window hits the guard and is finished in C.
 * With other segments or 16-bit addresses the count is first cut to what fits below the limits and the wrap of SI and DI. The
 * iterations behind that, DF = 1, and segments that need checks (SEGC_CHECK) are C's.
 */
#include "bt/internal.h"

static bool has_source(const struct dec_insn *in)
{
    return in->op == OP_MOVS || in->op == OP_LODS || in->op == OP_CMPS;
}

static bool has_target(const struct dec_insn *in)
{
    return in->op != OP_LODS;
}

/* Flat and 32-bit: no checks, and the registers are the addresses. */
static bool is_flat(const struct tr *t)
{
    const struct dec_insn *in = t->in;
    return in->adsz == 4 && (!has_source(in) || tr_segc(t, in->seg) == SEGC_FLAT) &&
           (!has_target(in) || tr_segc(t, SEG_ES) == SEGC_FLAT);
}

/* ---- single ---- */

static void advance_one(struct tr *t, u8 reg)
{
    struct emit *e = &t->e;
    if (t->in->adsz == 4) {
        em_lea_sum(e, 4, reg, reg, H_R9, t->in->opsz);
        return;
    }
    em_lea_sum(e, 4, H_R10, reg, H_R9, t->in->opsz);
    em_rr(e, EM_66, 0x89, H_R10, reg); /* mov si, r10w */
}

static void advance(struct tr *t)
{
    struct hop df = hop_base(H_CPU, CPU_DISP(df));
    em_load(&t->e, 4, H_R9, &df);
    if (has_source(t->in))
        advance_one(t, H_RSI);
    if (has_target(t->in))
        advance_one(t, H_RDI);
}

static struct hop operand(struct tr *t, u8 reg, u8 seg)
{
    struct gaddr a = {
        .base = reg, .index = DEC_NO_REG, .scale = 1, .seg = seg, .adsz = t->in->adsz, .size = t->in->opsz};
    return op_mem(t, &a);
}

static void emit_single(struct tr *t)
{
    struct emit *e = &t->e;
    u8 n = t->in->opsz, seg = t->in->seg;
    u32 mods = n == 2 ? EM_66 : 0;
    struct hop m;
    switch (t->in->op) {
    case OP_MOVS:
        m = operand(t, R_ESI, seg);
        em_load(e, n, H_R13, &m);
        m = operand(t, R_EDI, SEG_ES);
        em_store(e, n, &m, H_R13);
        break;
    case OP_STOS:
        m = operand(t, R_EDI, SEG_ES);
        em_store(e, n, &m, H_RAX);
        break;
    case OP_LODS:
        m = operand(t, R_ESI, seg);
        em_rm(e, mods, n == 1 ? 0x8a : 0x8b, H_RAX, &m); /* keeps the rest of EAX */
        break;
    case OP_SCAS:
        m = operand(t, R_EDI, SEG_ES);
        em_rm(e, mods, n == 1 ? 0x3a : 0x3b, H_RAX, &m); /* cmp eax, [edi] */
        break;
    default: /* CMPS: [esi] - [edi]; CPUs read ES:EDI first: it decides which fault is seen */
        m = operand(t, R_EDI, SEG_ES);
        em_load(e, n, H_R13, &m);
        m = operand(t, R_ESI, seg);
        em_rm(e, mods | (n == 1 ? EM_REX : 0), n == 1 ? 0x38 : 0x39, H_R13, &m);
    }
    advance(t);
}

/* ---- repeated ---- */

/* The window's base to r9, the pointers with it, the instruction itself, and the pointers' low halves again. */
static void emit_native(struct tr *t, u8 pend)
{
    struct emit *e = &t->e;
    const struct dec_insn *in = t->in;
    bool si = has_source(in), di = has_target(in);
    static const u8 opcodes[] = {[OP_MOVS - OP_MOVS] = 0xa5,
                                 [OP_STOS - OP_MOVS] = 0xab,
                                 [OP_LODS - OP_MOVS] = 0xad,
                                 [OP_SCAS - OP_MOVS] = 0xaf,
                                 [OP_CMPS - OP_MOVS] = 0xa7};
    struct hop window = hop_base(H_CPU, CPU_DISP(window));
    em_load(e, 8, H_R9, &window);
    tr_rec(t, pend, SIDE_MID);
    if (si)
        em_lea_sum(e, 8, H_RSI, H_RSI, H_R9, 1);
    if (di)
        em_lea_sum(e, 8, H_RDI, H_RDI, H_R9, 1);
    if (in->opsz == 2)
        em8(e, 0x66);
    em8(e, (in->prefixes & DEC_PFX_REPNE) ? 0xf2 : 0xf3);
    em8(e, opcodes[in->op - OP_MOVS] - (in->opsz == 1));
    if (pend != PEND_STRING)
        tr_rec(t, PEND_NONE, SIDE_MID); /* what follows is no place to stop */
    if (si)
        em_mov32(e, H_RSI, H_RSI);
    if (di)
        em_mov32(e, H_RDI, H_RDI);
}

/* The whole repetition natively, in the direction that the guest's DF says. Host DF is set only around the instruction; a
 * signal handler starts with it clear, and leaving through one clears it. */
static void emit_repeated(struct tr *t)
{
    struct emit *e = &t->e;
    struct hop df = hop_base(H_CPU, CPU_DISP(df));

    tr_flush_esp(t);
    tr_rec(t, PEND_NONE, SIDE_MID);
    em_mov(e, H_R12, H_RCX);
    em_load(e, 4, H_RCX, &df);
    em_lea32(e, H_RCX, H_RCX, -1);
    u8 *forward = em_jrcxz(e);
    em_mov(e, H_RCX, H_R12);
    em8(e, 0xfd); /* std */
    emit_native(t, PEND_STRING);
    em8(e, 0xfc); /* cld */
    u8 *done = em_jmp8(e);
    em_here(e, forward);
    tr_rec(t, PEND_NONE, SIDE_MID);
    em_mov(e, H_RCX, H_R12);
    emit_native(t, PEND_STRING);
    em_here(e, done);
}

/* ---- repeated, in segments ---- */

/* r13 = the count, or how many elements fit between the pointer and its limit if that is less; negative when the pointer
 * is beyond. Leaves 63 in r11. Clobbers r9, r10. No flags:
 *   room = (limit - offset + 1) >> log2(size) ; d = room - count ; count += d & (d >> 63) */
static void cut_count(struct tr *t, u8 reg, u8 seg)
{
    struct emit *e = &t->e;
    bool addr16 = t->in->adsz == 2;
    i32 limits = addr16 ? CPU_DISP(seg_limit16) : CPU_DISP(seg_limit);
    struct hop limit = hop_base(H_CPU, limits + (i32)seg * 4);
    struct hop room = {.base = H_R10, .index = H_R9, .scale = 1, .disp = 2};
    struct hop diff = {.base = H_R9, .index = H_R10, .scale = 1, .disp = 1};
    if (addr16)
        em_movzx16(e, H_R9, reg);
    else
        em_mov32(e, H_R9, reg);
    em_load(e, 4, H_R10, &limit);
    em_not(e, 8, H_R9);
    em_lea(e, 8, H_R9, &room);
    if (t->in->opsz > 1) {
        em_mov_imm(e, H_R11, t->in->opsz / 2);
        em_shift(e, 8, 'a', H_R9, H_R9, H_R11);
    }
    em_mov(e, H_R10, H_R13);
    em_not(e, 8, H_R10);
    em_lea(e, 8, H_R9, &diff);
    em_mov_imm(e, H_R11, 63);
    em_shift(e, 8, 'a', H_R10, H_R9, H_R11);
    em_pext(e, 8, H_R9, H_R9, H_R10); /* an AND, as the mask is all ones or none */
    em_lea_sum(e, 8, H_R13, H_R13, H_R9, 1);
}

static struct hop base_of(u8 seg)
{
    return hop_base(H_CPU, CPU_DISP(seg_base) + (i32)seg * 4);
}

static void add_base(struct tr *t, u8 reg, u8 seg)
{
    struct emit *e = &t->e;
    struct hop base = base_of(seg);
    em_load(e, 4, H_R14, &base);
    if (t->in->adsz == 2)
        em_movzx16(e, reg, reg);
    em_lea_sum(e, 4, reg, reg, H_R14, 1);
}

/* reg -= base; with 16-bit addresses the upper half is that of old. */
static void sub_base(struct tr *t, u8 reg, u8 seg, u8 old)
{
    struct emit *e = &t->e;
    struct hop base = base_of(seg), diff = {.base = reg, .index = H_R14, .scale = 1, .disp = 1};
    em_load(e, 4, H_R14, &base);
    em_not(e, 4, H_R14);
    em_lea(e, 4, reg, &diff);
    if (t->in->adsz == 2) {
        em_rr(e, EM_66, 0x89, reg, old);
        em_mov32(e, reg, old);
    }
}

/* The count is in r13, at least 1, the guest's ECX in r12; behind the instruction the registers are the guest's. */
static void emit_in_segments(struct tr *t)
{
    struct emit *e = &t->e;
    const struct dec_insn *in = t->in;
    struct hop left = {.base = H_R12, .index = H_R13, .scale = 1, .disp = 1};
    u8 pend = PEND_SEGSTRING | in->seg;
    em_mov(e, H_RCX, H_R13);
    em_not(e, 4, H_R13);
    em_lea(e, 4, H_R12, &left); /* r12 = ECX - count */
    em_mov32(e, H_R11, H_RSI);
    em_mov32(e, H_R13, H_RDI);
    if (has_source(in)) {
        add_base(t, H_RSI, in->seg);
        pend |= PEND_SI;
    }
    if (has_target(in)) {
        add_base(t, H_RDI, SEG_ES);
        pend |= PEND_DI;
    }
    if (in->adsz == 2)
        pend |= PEND_ADDR16;
    emit_native(t, pend);
    if (has_source(in))
        sub_base(t, H_RSI, in->seg, H_R11);
    if (has_target(in))
        sub_base(t, H_RDI, SEG_ES, H_R13);
    em_lea_sum(e, 4, H_RCX, H_RCX, H_R12, 1);
}

/* Jumps when the count, CX or ECX, is 0; falls through with rcx whole. Clobbers r12. */
static u8 *jump_if_none(struct tr *t)
{
    struct emit *e = &t->e;
    bool addr16 = t->in->adsz == 2;
    if (addr16) {
        em_mov(e, H_R12, H_RCX);
        em_movzx16(e, H_RCX, H_RCX);
    }
    u8 *none = em_jrcxz(e);
    if (addr16)
        em_mov(e, H_RCX, H_R12);
    return none;
}

static void none_here(struct tr *t, u8 *none)
{
    em_here(&t->e, none);
    if (t->in->adsz == 2)
        em_mov(&t->e, H_RCX, H_R12);
}

/* As many iterations natively as the segments allow, forward; the others, none as a rule, in C:
 *       cut the count ; jrcxz go ; jump to n if it was 0
 *   c:  callout ; jmp done
 *   n:  jmp done
 *   go: iterations ; jump to done if they ended by ZF or none are left ; jmp c
 *   done: */
static void emit_repeated_segments(struct tr *t)
{
    struct emit *e = &t->e;
    const struct dec_insn *in = t->in;
    struct hop df = hop_base(H_CPU, CPU_DISP(df));
    struct hop before = hop_base(H_R13, -1), bad = {.base = H_RCX, .index = H_R9, .scale = 1, .disp = -1};
    bool by_zf = in->op == OP_SCAS || in->op == OP_CMPS;

    tr_flush_esp(t);
    tr_rec(t, PEND_NONE, SIDE_MID);
    em_mov32(e, H_R12, H_RCX);
    if (in->adsz == 2)
        em_movzx16(e, H_R13, H_RCX);
    else
        em_mov32(e, H_R13, H_RCX);
    if (has_source(in))
        cut_count(t, H_RSI, in->seg);
    if (has_target(in))
        cut_count(t, H_RDI, SEG_ES);
    em_lea(e, 8, H_R9, &before);
    em_shift(e, 8, 'r', H_R9, H_R9, H_R11);
    em_load(e, 4, H_RCX, &df);
    em_lea(e, 8, H_RCX, &bad); /* (count < 1) + (df - 1) */
    u8 *go = em_jrcxz(e);
    em_mov(e, H_RCX, H_R12);
    u8 *none = jump_if_none(t);
    u64 slow = e->exec + em_off(e);
    tr_callout(t);
    u8 *done = em_jmp32(e);
    none_here(t, none);
    u8 *nothing = em_jmp32(e);

    em_here(e, go);
    tr_rec(t, PEND_NONE, SIDE_MID);
    emit_in_segments(t);
    tr_rec(t, PEND_NONE, SIDE_MID);
    u8 *ended = by_zf ? em_jcc8(e, (in->prefixes & DEC_PFX_REPNE) ? 4 : 5) : NULL;
    none = jump_if_none(t);
    em_jmp_to(e, slow);
    none_here(t, none);
    if (ended)
        em_here(e, ended);
    em_here32(e, done);
    em_here32(e, nothing);
}

void tr_string(struct tr *t)
{
    const struct dec_insn *in = t->in;
    if ((has_source(in) && !op_seg_ok(t, in->seg)) || (has_target(in) && !op_seg_ok(t, SEG_ES))) {
        tr_refuse(t, BT_REFUSE_SEGCHECK);
        return;
    }
    if (!(in->prefixes & (DEC_PFX_REP | DEC_PFX_REPNE)))
        emit_single(t);
    else if (is_flat(t))
        emit_repeated(t);
    else
        emit_repeated_segments(t);
}
