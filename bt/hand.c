/*
 * hand.c - small instructions with a treatment of their own: CLI, STI, LEA, XLAT, bit strings, RDTSC...
 *
 * None touches the flags unless the guest's instruction does. Scratch: r9..r14.
 */
#include "bt/internal.h"

static void hand_sti(struct tr *t)
{
    struct emit *e = &t->e;
    struct hop iflag = hop_base(H_CPU, CPU_DISP(iflag)), pending = hop_base(H_CPU, CPU_DISP(irq_pending));
    tr_flush_esp(t);
    tr_rec(t, PEND_NONE, SIDE_MID);
    em_store_imm(e, 1, &iflag, 1);
    em_mov(e, H_R12, H_RCX);
    em_load(e, 1, H_RCX, &pending);
    u8 *none = em_jrcxz(e);
    em_mov(e, H_RCX, H_R12);
    tr_shadow_exit(t, t->next); /* one waits: out, and deliver it behind the next instruction */
    em_here(e, none);
    em_mov(e, H_RCX, H_R12);
    t->mid_next = true; /* no asynchronous stop between STI and the next instruction */
}

/* rdtsc; rax = rdx:rax + offset; split again. No flags: rorx moves halves. */
static void hand_rdtsc(struct tr *t)
{
    struct emit *e = &t->e;
    struct hop offset = hop_base(H_CPU, CPU_DISP(tsc_offset));
    tr_flush_esp(t);
    em8(e, 0x0f);
    em8(e, 0x31);
    tr_rec(t, PEND_NONE, SIDE_MID);
    em_rorx(e, 8, H_RDX, H_RDX, 32);
    em_lea_sum(e, 8, H_RAX, H_RAX, H_RDX, 1);
    em_load(e, 8, H_R9, &offset);
    em_lea_sum(e, 8, H_RAX, H_RAX, H_R9, 1);
    em_rorx(e, 8, H_RDX, H_RAX, 32);
    em_mov32(e, H_RDX, H_RDX);
    em_mov32(e, H_RAX, H_RAX);
}

static void hand_lea(struct tr *t)
{
    struct emit *e = &t->e;
    const struct dec_insn *in = t->in;
    u8 dst = (in->modrm >> 3) & 7;
    bool esp_base = in->base == R_ESP;
    if (in->adsz == 4 && in->opsz == 4 && dst == R_ESP && esp_base && in->index == DEC_NO_REG) {
        t->adj = (i32)((u32)t->adj + (u32)in->disp); /* lea esp, [esp + x]: only the displacement moves */
        if (t->adj > 16000 || t->adj < -16000)
            tr_flush_esp(t);
        return;
    }
    if (dst == R_ESP && in->opsz == 2) {
        tr_flush_esp(t);
        tr_rec(t, PEND_NONE, SIDE_MID);
    }
    struct hop m = op_address(t);
    u8 host = dst == R_ESP ? G_ESP : dst;
    if (in->adsz == 4 && in->opsz == 4) {
        em_lea(e, 4, host, &m);
        if (dst == R_ESP)
            t->adj = 0;
        return;
    }
    em_lea(e, 4, H_R9, &m);
    if (in->adsz == 2)
        em_movzx16(e, H_R9, H_R9);
    em_rr(e, in->opsz == 2 ? EM_66 : 0, 0x89, H_R9, host);
    if (dst == R_ESP && in->opsz == 4)
        t->adj = 0;
}

static void hand_xlat(struct tr *t)
{
    struct emit *e = &t->e;
    if (!op_seg_ok(t, t->in->seg)) {
        tr_refuse(t, BT_REFUSE_SEGCHECK);
        return;
    }
    em_movzx8(e, H_R14, H_RAX);
    em_lea_sum(e, 4, H_R9, H_RBX, H_R14, 1);
    struct hop m = op_r9(t, t->in->seg, t->in->adsz, 1);
    em_rm(e, 0, 0x8a, H_RAX, &m); /* mov al, [ebx + al] */
}

static void hand_mov_r_seg(struct tr *t)
{
    struct emit *e = &t->e;
    const struct dec_insn *in = t->in;
    struct hop sel = op_selector(in->reg2);
    if (in->mem) {
        if (!op_seg_ok(t, in->seg)) {
            tr_refuse(t, BT_REFUSE_SEGCHECK);
            return;
        }
        em_load(e, 2, H_R13, &sel);
        struct gaddr a = {.base = in->base,
                          .index = in->index,
                          .scale = in->scale,
                          .seg = in->seg,
                          .adsz = in->adsz,
                          .disp = in->disp,
                          .size = 2};
        struct hop m = op_mem(t, &a);
        em_store(e, 2, &m, H_R13);
        return;
    }
    u8 rm = in->modrm & 7, host = rm == R_ESP ? G_ESP : rm;
    if (rm == R_ESP) {
        tr_flush_esp(t);
        tr_rec(t, PEND_NONE, SIDE_MID);
    }
    em_load(e, 2, H_R13, &sel);
    em_rr(e, in->opsz == 2 ? EM_66 : 0, 0x89, H_R13, host);
}

/* BT/BTS/BTR/BTC m, r: the signed bit offset selects the word too (SDM vol. 2, 3.1.1.9).
 *   r14 = offset >> 5 (or 4, signed); address += r14 * 4 (or 2); offset &= 31 (or 15) */
static void hand_bit_string(struct tr *t)
{
    struct emit *e = &t->e;
    const struct dec_insn *in = t->in;
    u8 reg = (in->modrm >> 3) & 7, src = reg == R_ESP ? H_R13 : reg;
    bool word = in->opsz == 2;
    if (!op_seg_ok(t, in->seg)) {
        tr_refuse(t, BT_REFUSE_SEGCHECK);
        return;
    }
    if (reg == R_ESP)
        em_lea32(e, H_R13, G_ESP, t->adj);
    else
        em_mov32(e, H_R13, src);
    if (word)
        em_movsx16(e, H_R13, H_R13);
    em_mov_imm(e, H_R12, word ? 4 : 5);
    em_shift(e, 4, 'a', H_R14, H_R13, H_R12);
    struct hop ea = op_address(t);
    em_lea(e, 4, H_R9, &ea);
    em_lea_sum(e, 4, H_R9, H_R9, H_R14, word ? 2 : 4);
    em_mov_imm(e, H_R12, word ? 28 : 27);
    em_shift(e, 4, 'l', H_R13, H_R13, H_R12);
    em_shift(e, 4, 'r', H_R13, H_R13, H_R12);
    struct hop m = op_r9(t, in->seg, in->adsz, in->opsz);
    static const u8 opcodes[4] = {0xa3, 0xab, 0xb3, 0xbb};
    u32 mods = EM_MAP(1) | (word ? EM_66 : 0) | ((in->prefixes & DEC_PFX_LOCK) ? EM_LOCK : 0);
    em_rm(e, mods, opcodes[in->op - OP_BT], H_R13, &m);
}

/* AL = CF ? FF : 0, flags kept: setc, then 0/1 -> -1/0 by lea, then NOT. */
static void hand_salc(struct tr *t)
{
    struct emit *e = &t->e;
    em_rr(e, EM_MAP(1) | EM_REX, 0x92, 0, H_R9); /* setc r9b */
    em_movzx8(e, H_R9, H_R9);
    em_lea32(e, H_R9, H_R9, -1);
    em_not(e, 4, H_R9);
    em_rr(e, EM_REX, 0x88, H_R9, H_RAX); /* mov al, r9b */
}

static void store_df(struct tr *t, u32 value)
{
    struct hop df = hop_base(H_CPU, CPU_DISP(df));
    em_store_imm(&t->e, 4, &df, value);
}

void tr_hand(struct tr *t)
{
    struct hop iflag = hop_base(H_CPU, CPU_DISP(iflag));
    switch (t->in->op) {
    case OP_NOP:
    case OP_FENCE: break;
    case OP_LEA: hand_lea(t); break;
    case OP_CLI:
        if (t->mode & MODE_IOPL_OK)
            em_store_imm(&t->e, 1, &iflag, 0);
        else
            tr_callout(t);
        break;
    case OP_STI:
        if (t->mode & MODE_IOPL_OK)
            hand_sti(t);
        else
            tr_callout(t);
        break;
    case OP_CLD: store_df(t, 1); break;
    case OP_STD: store_df(t, 0xffffffffu); break;
    case OP_XLAT: hand_xlat(t); break;
    case OP_MOV_R_SEG: hand_mov_r_seg(t); break;
    case OP_BT:
    case OP_BTS:
    case OP_BTR:
    case OP_BTC: hand_bit_string(t); break;
    case OP_RDTSC:
        if (t->mode & MODE_TSD)
            tr_callout(t);
        else
            hand_rdtsc(t);
        break;
    case OP_SALC: hand_salc(t); break;
    case OP_LAHF: em8(&t->e, 0x9f); break;
    case OP_SAHF: em8(&t->e, 0x9e); break;
    case OP_FWAIT:
        if ((t->mode & (MODE_TS | MODE_MP)) == (MODE_TS | MODE_MP))
            tr_callout(t);
        else
            em8(&t->e, 0x9b);
        break;
    default: tr_callout(t);
    }
}
