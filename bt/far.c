/*
 * far.c - far CALL, JMP, RET, INT n and IRET with 16-bit operands in real mode and v86, where CS is loaded by its selector alone.
 *
 * The mode and the limit of CS stay, so the target's jump-cache tag is known without a search, and return-stack records of
 * selector << 16 | IP serve near and far returns alike: a far call pushes one, the RETF or IRET that goes back to it matches. All
 * that may fail comes before the first change; INT and IRET are inline in real mode (IRET also at IOPL 3 in v86), the rest is C's.
 */
#include "bt/internal.h"

/* CS = selector in r13d, upper half clear; and the tag of its contexts. Clobbers r9 to r11. */
static void set_cs(struct tr *t)
{
    struct emit *e = &t->e;
    struct hop zero = hop_base(H_CPU, CPU_DISP(sel_tag)), tag = hop_base(H_CPU, CPU_DISP(ctx_tag));
    tr_set_segment(t, SEG_CS);
    em_rorx(e, 8, H_R10, H_R13, 32);
    em_load(e, 8, H_R11, &zero);
    em_lea_sum(e, 8, H_R11, H_R11, H_R10, 1);
    em_store(e, 8, &tag, H_R11);
}

/* CS = upper half of r14d, r9d = its lower half, the target. Clobbers r10, r11, r13. */
static void set_cs_ip(struct tr *t)
{
    struct emit *e = &t->e;
    em_rorx(e, 4, H_R13, H_R14, 16);
    em_movzx16(e, H_R13, H_R13);
    set_cs(t);
    em_movzx16(e, H_R9, H_R14);
}

static u16 current_cs(const struct tr *t)
{
    return (u16)(t->code->key.cs_base >> 4);
}

/* Push CS and the address of the next instruction. */
static void push_cs_ip(struct tr *t)
{
    struct hop m = op_stack(t, -4, 4);
    em_store_imm(&t->e, 4, &m, (u32)current_cs(t) << 16 | t->next);
    tr_move_sp(t, -4);
    tr_flush_esp(t);
}

/* To an address that the instruction names. */
static bool far_direct(struct tr *t, bool call)
{
    const struct dec_insn *in = t->in;
    u32 to = in->opsz == 2 ? in->imm & 0xffff : in->imm;
    if (to > 0xffff || (call && in->opsz == 4))
        return false;
    if (call)
        push_cs_ip(t);
    else
        tr_flush_esp(t);
    tr_rec(t, PEND_NONE, SIDE_MID);
    em_mov_imm(&t->e, H_R13, (u16)in->imm2);
    set_cs(t);
    t->exit_cs_base = (u32)(u16)in->imm2 << 4;
    if (call) {
        tr_push_record(t);
        tr_exit_call(t, to);
        t->exit_cs_base = t->code->key.cs_base;
        tr_landing(t);
        return true;
    }
    tr_exit_jmp(t, to);
    t->exit_cs_base = t->code->key.cs_base;
    t->ended = true;
    return true;
}

static bool far_indirect(struct tr *t, bool call)
{
    const struct dec_insn *in = t->in;
    struct emit *e = &t->e;
    if (!in->mem || in->opsz != 2 || !op_seg_ok(t, in->seg))
        return false;
    struct hop m = op_insn_sized(t, 4);
    em_load(e, 4, H_R14, &m);
    if (call)
        push_cs_ip(t);
    else
        tr_flush_esp(t);
    tr_rec(t, PEND_NONE, SIDE_MID);
    set_cs_ip(t);
    if (call) {
        tr_push_record(t);
        em_call_to(e, tr_gate(t, GATE_LOOKUP));
        tr_landing(t);
        return true;
    }
    em_jmp_to(e, tr_gate(t, GATE_LOOKUP));
    t->ended = true;
    return true;
}

static bool far_ret(struct tr *t)
{
    const struct dec_insn *in = t->in;
    struct emit *e = &t->e;
    if (in->opsz != 2)
        return false;
    struct hop m = op_stack(t, 0, 4);
    em_load(e, 4, H_R14, &m);
    tr_move_sp(t, 4 + (i32)(in->imm & 0xffff));
    tr_flush_esp(t);
    tr_rec(t, PEND_NONE, SIDE_MID);
    set_cs_ip(t);
    em_mov32(e, H_R12, H_R14);
    em_jmp_to(e, tr_gate(t, GATE_RET_KEY));
    t->ended = true;
    return true;
}

/* Through the vector table, which holds all vectors. */
static bool soft_int(struct tr *t)
{
    struct emit *e = &t->e;
    struct hop table = hop_base(H_CPU, (i32)offsetof(struct cpu, idtr.base) - CPU_BIAS);
    struct hop iflag = hop_base(H_CPU, CPU_DISP(iflag));
    struct hop vector = {
        .base = H_R9, .index = H_NONE, .scale = 1, .gs = true, .disp = (i32)(t->in->imm & 0xff) * 4};
    if (!(t->mode & MODE_IVT))
        return false;
    tr_flush_esp(t);
    tr_rec(t, PEND_NONE, SIDE_MID);
    tr_flags_image(t);
    em_load(e, 4, H_R9, &table);
    em_load(e, 4, H_R14, &vector);
    struct hop m = op_stack(t, -6, 6);
    em_store_imm(e, 4, &m, (u32)current_cs(t) << 16 | t->next);
    m.disp += 4;
    em_store(e, 2, &m, H_R13);
    em_store_imm(e, 1, &iflag, 0);
    tr_move_sp(t, -6);
    tr_flush_esp(t);
    tr_rec(t, PEND_NONE, SIDE_MID);
    set_cs_ip(t);
    tr_push_record(t);
    em_call_to(e, tr_gate(t, GATE_LOOKUP));
    tr_landing(t);
    return true;
}

static bool iret(struct tr *t)
{
    struct emit *e = &t->e;
    struct hop nmi = hop_base(H_CPU, CPU_DISP(nmi_blocked));
    if (t->in->opsz != 2 || ((t->mode & MODE_VM) && !(t->mode & MODE_IOPL_OK)))
        return false;
    tr_flush_esp(t);
    tr_rec(t, PEND_NONE, SIDE_MID);
    struct hop m = op_stack(t, 0, 6);
    em_load(e, 4, H_R14, &m);
    m.disp += 4;
    em_load(e, 2, H_R13, &m);
    u8 *allowed = tr_flags_allowed(t, 2, &nmi);
    tr_callout(t);
    tr_exit_jmp(t, t->next);
    em_here(e, allowed);
    tr_rec(t, PEND_NONE, SIDE_MID);
    em_mov(e, H_RCX, H_R11);
    tr_flags_load(t);
    tr_move_sp(t, 6);
    tr_flush_esp(t);
    set_cs_ip(t);
    em_mov32(e, H_R12, H_R14);
    em_jmp_to(e, tr_gate(t, GATE_RET_KEEP));
    t->ended = true;
    return true;
}

bool tr_far(struct tr *t)
{
    const struct cc_key *key = &t->code->key;
    if (!cpu_cs_8086(t->mode, key->cs_base, key->cs_limit) || !op_seg_ok(t, SEG_SS) || t->next > 0xffff)
        return false;
    switch (t->in->op) {
    case OP_CALL_FAR_I: return far_direct(t, true);
    case OP_JMP_FAR_I: return far_direct(t, false);
    case OP_CALL_FAR_M: return far_indirect(t, true);
    case OP_JMP_FAR_M: return far_indirect(t, false);
    case OP_RET_FAR: return far_ret(t);
    case OP_INT: return soft_int(t);
    case OP_IRET: return iret(t);
    default: return false;
    }
}
