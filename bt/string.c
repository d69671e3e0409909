/*
 * string.c - MOVS, STOS, LODS, SCAS, CMPS with flat segments and 32-bit addresses.
 *
 * 64-bit string instructions ignore overrides on ES:EDI, so single ones become plain moves, and repeated ones run
 * natively on 64-bit pointers: rsi and rdi get the window's base added for the time of the instruction. Windows are aligned
 * to 4 GiB, so the low halves stay the guest's registers (also after a fault in the middle); a run off the end of
 * the window hits the guard and is finished in C. Other segments and 16-bit addresses are C's.
 */
#include "bt/internal.h"

static void advance(struct tr *t, bool si, bool di)
{
    struct hop df = hop_base(H_CPU, CPU_DISP(df));
    em_load(&t->e, 4, H_R9, &df);
    if (si)
        em_lea_sum(&t->e, 4, H_RSI, H_RSI, H_R9, t->in->opsz);
    if (di)
        em_lea_sum(&t->e, 4, H_RDI, H_RDI, H_R9, t->in->opsz);
}

static void emit_single(struct tr *t)
{
    struct emit *e = &t->e;
    u8 n = t->in->opsz;
    struct hop src = {.base = H_RSI, .index = H_NONE, .scale = 1, .gs = true};
    struct hop dst = {.base = H_RDI, .index = H_NONE, .scale = 1, .gs = true};
    u32 mods = n == 2 ? EM_66 : 0;
    switch (t->in->op) {
    case OP_MOVS:
        em_load(e, n, H_R13, &src);
        em_store(e, n, &dst, H_R13);
        advance(t, true, true);
        break;
    case OP_STOS:
        em_store(e, n, &dst, H_RAX);
        advance(t, false, true);
        break;
    case OP_LODS:
        em_rm(e, mods, n == 1 ? 0x8a : 0x8b, H_RAX, &src); /* keeps the rest of EAX */
        advance(t, true, false);
        break;
    case OP_SCAS:
        em_rm(e, mods, n == 1 ? 0x3a : 0x3b, H_RAX, &dst); /* cmp eax, [edi] */
        advance(t, false, true);
        break;
    default:                        /* CMPS: [esi] - [edi] */
        em_load(e, n, H_R13, &dst); /* CPUs read ES:EDI first: it decides which fault is seen */
        em_rm(e, mods | (n == 1 ? EM_REX : 0), n == 1 ? 0x38 : 0x39, H_R13, &src);
        advance(t, true, true);
    }
}

/* The repeated instruction itself on window pointers; r9 = window base. */
static void emit_native(struct tr *t, bool si, bool di)
{
    struct emit *e = &t->e;
    const struct dec_insn *in = t->in;
    static const u8 opcodes[] = {[OP_MOVS - OP_MOVS] = 0xa5,
                                 [OP_STOS - OP_MOVS] = 0xab,
                                 [OP_LODS - OP_MOVS] = 0xad,
                                 [OP_SCAS - OP_MOVS] = 0xaf,
                                 [OP_CMPS - OP_MOVS] = 0xa7};
    struct hop window = hop_base(H_CPU, CPU_DISP(window));
    em_load(e, 8, H_R9, &window);
    tr_rec(t, PEND_STRING, SIDE_MID);
    if (si)
        em_lea_sum(e, 8, H_RSI, H_RSI, H_R9, 1);
    if (di)
        em_lea_sum(e, 8, H_RDI, H_RDI, H_R9, 1);
    if (in->opsz == 2)
        em8(e, 0x66);
    em8(e, (in->prefixes & DEC_PFX_REPNE) ? 0xf2 : 0xf3);
    em8(e, opcodes[in->op - OP_MOVS] - (in->opsz == 1));
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
    const struct dec_insn *in = t->in;
    struct hop df = hop_base(H_CPU, CPU_DISP(df));
    bool si = in->op == OP_MOVS || in->op == OP_LODS || in->op == OP_CMPS, di = in->op != OP_LODS;

    tr_flush_esp(t);
    tr_rec(t, PEND_NONE, SIDE_MID);
    em_mov(e, H_R12, H_RCX);
    em_load(e, 4, H_RCX, &df);
    em_lea32(e, H_RCX, H_RCX, -1);
    u8 *forward = em_jrcxz(e);
    em_mov(e, H_RCX, H_R12);
    em8(e, 0xfd); /* std */
    emit_native(t, si, di);
    em8(e, 0xfc); /* cld */
    u8 *done = em_jmp8(e);
    em_here(e, forward);
    tr_rec(t, PEND_NONE, SIDE_MID);
    em_mov(e, H_RCX, H_R12);
    emit_native(t, si, di);
    em_here(e, done);
}

void tr_string(struct tr *t)
{
    const struct dec_insn *in = t->in;
    bool uses_src = in->op == OP_MOVS || in->op == OP_LODS || in->op == OP_CMPS;
    bool flat = (!uses_src || tr_segc(t, in->seg) == SEGC_FLAT) &&
                (in->op == OP_LODS || tr_segc(t, SEG_ES) == SEGC_FLAT);
    if (!flat || in->adsz != 4) {
        tr_refuse(t, BT_REFUSE_SEGCHECK);
        return;
    }
    if (in->prefixes & (DEC_PFX_REP | DEC_PFX_REPNE))
        emit_repeated(t);
    else
        emit_single(t);
}
