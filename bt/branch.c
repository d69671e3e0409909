/*
 * branch.c - near control transfer.
 *
 * Direct targets are linkable jumps. CALL pushes the guest's return address on the guest's stack, a record of it on the
 * return stack, and makes a host call; RET compares with the record without touching flags and takes the host's
 * return predictor on a match, the jump cache otherwise. Everything else indirect goes to the jump cache.
 */
#include "bt/internal.h"

/* Direct target, or false when C must judge it (beyond the code segment's limit). */
static bool direct_target(struct tr *t, u32 *target)
{
    u32 to = t->next + t->in->imm;
    if (t->in->stksz == 2) {
        to &= 0xffff;
        t->fixed = true;
    }
    *target = to;
    return to <= t->code->key.cs_limit;
}

static void branch_jcc(struct tr *t)
{
    u32 to;
    if (!direct_target(t, &to)) {
        tr_step_exit(t);
        return;
    }
    tr_flush_esp(t);
    tr_exit_jcc(t, t->in->cond, to);
}

/* LOOPcc and JCXZ. The jump out is a near jump behind short ones. */
static void branch_loop(struct tr *t)
{
    struct emit *e = &t->e;
    u32 to;
    if (!direct_target(t, &to)) {
        tr_step_exit(t);
        return;
    }
    tr_flush_esp(t);
    tr_rec(t, PEND_NONE, SIDE_MID);
    bool cx = t->in->adsz == 2;
    u8 *out = NULL, *zero;
    if (t->in->op != OP_JCXZ) {
        em_lea32(e, cx ? H_R9 : H_RCX, H_RCX, -1);
        if (cx)
            em_rr(e, EM_66, 0x89, H_R9, H_RCX); /* mov cx, r9w */
    }
    if (cx) { /* test CX alone */
        em_mov(e, H_R12, H_RCX);
        em_movzx16(e, H_RCX, H_RCX);
        zero = em_jrcxz(e);
        em_mov(e, H_RCX, H_R12);
    } else {
        zero = em_jrcxz(e);
    }
    if (t->in->op == OP_JCXZ) {
        u8 *skip = em_jmp8(e);
        em_here(e, zero);
        if (cx)
            em_mov(e, H_RCX, H_R12);
        tr_exit_jmp(t, to);
        em_here(e, skip);
        return;
    }
    if (t->in->op == OP_LOOPE)
        out = em_jcc8(e, 5);
    if (t->in->op == OP_LOOPNE)
        out = em_jcc8(e, 4);
    tr_exit_jmp(t, to);
    em_here(e, zero);
    if (cx)
        em_mov(e, H_RCX, H_R12);
    if (out)
        em_here(e, out);
}

/* The guest's push of the return address, ESP up to date afterwards. */
static void push_return(struct tr *t)
{
    struct emit *e = &t->e;
    u8 size = t->in->stksz;
    struct hop m = op_stack(t, -(i32)size, size);
    em_store_imm(e, size, &m, t->next);
    tr_place(t, e, PLACE_EIP);
    t->fixed |= size != 4;
    tr_move_sp(t, -(i32)size);
    tr_flush_esp(t);
    tr_rec(t, PEND_NONE, SIDE_MID);
}

/* Offset to what RET compares with its record: EIP alone, or with the selector where far transfers make records too. */
static u32 record_key(const struct tr *t)
{
    const struct cc_key *key = &t->code->key;
    return cpu_cs_8086(t->mode, key->cs_base, key->cs_limit) ? key->cs_base >> 4 << 16 : 0;
}

/* push -(return EIP), the record that RET compares */
void tr_push_record(struct tr *t)
{
    u32 ret = t->in->stksz == 2 ? t->next & 0xffff : t->next;
    em8(&t->e, 0x68);
    em32(&t->e, -(record_key(t) + ret));
    tr_place(t, &t->e, PLACE_MINUS_EIP);
    t->fixed |= ret != t->next || record_key(t);
}

/* Where the callee's host RET lands: drop the record's second half; the block goes on behind the call. */
void tr_landing(struct tr *t)
{
    struct hop up = hop_base(H_RSP, 8);
    u32 ret = t->in->stksz == 2 ? t->next & 0xffff : t->next;
    em_lea(&t->e, 8, H_RSP, &up);
    if (ret != t->next || t->code->selfcheck) {
        tr_exit_jmp(t, ret);
        t->ended = true;
        return;
    }
    tr_exit_inline(t, ret);
}

/* Position-independent code gets its own address by calling "mov reg, [esp]; ret". That is done here without the call, if at run time
 * the target is still mapped for fetching and still holds those four bytes; else the fallback makes the call:
 *   mov r13, rcx ; mov r10, [code_map] ; mov ecx, [r10 + page * 4] ; jrcxz slow ; mov ecx, gs:[target]
 *   lea ecx, [rcx - bytes] ; jrcxz ok ; slow: jmp to the stub ; ok: mov rcx, r13 ; store return address ; mov reg, it */
static bool call_of_thunk(struct tr *t, u32 to)
{
    struct emit *e = &t->e;
    const struct bt_hooks *h = &t->bt->hooks;
    u8 code[4];
    u32 bytes;
    bool flat = tr_segc(t, SEG_CS) == SEGC_FLAT && tr_segc(t, SEG_SS) == SEGC_FLAT && (t->mode & MODE_SS32) &&
                t->in->stksz == 4;
    if (!flat || t->code->selfcheck || t->code->one || t->bt->opt.slow_mem || !h->peek_code ||
        !h->peek_code(h->opaque, to, code, 4))
        return false;
    u8 reg = code[1] >> 3 & 7;
    if (code[0] != 0x8b || (code[1] & 0xc7) != 0x04 || code[2] != 0x24 || code[3] != 0xc3 || reg == R_ESP)
        return false;
    __builtin_memcpy(&bytes, code, 4);
    struct hop map = hop_base(H_CPU, CPU_DISP(code_map)),
               entry = hop_base(H_R10, (i32)(to >> PAGE_SHIFT) * 4);
    struct hop target = {.base = H_NONE, .index = H_NONE, .scale = 1, .gs = true, .disp = (i32)to};
    em_mov(e, H_R13, H_RCX);
    tr_rec(t, PEND_BORROW + H_RCX, SIDE_MID);
    em_load(e, 8, H_R10, &map);
    em_load(e, 4, H_RCX, &entry);
    tr_map_place(t, e, to >> PAGE_SHIFT);
    u8 *slow = em_jrcxz(e);
    em_load(e, 4, H_RCX, &target);
    tr_place(t, e, PLACE_EIP);
    em_lea32(e, H_RCX, H_RCX, (i32)-bytes);
    u8 *ok = em_jrcxz(e);
    em_here(e, slow);
    tr_jmp_step(t, true);
    em_here(e, ok);
    em_mov(e, H_RCX, H_R13);
    tr_rec(t, PEND_NONE, SIDE_MID);
    struct hop m = op_stack(t, -4, 4);
    em_store_imm(e, 4, &m, t->next);
    tr_place(t, e, PLACE_EIP);
    tr_eip_to(t, e, reg, t->next);
    return true;
}

/* A return address that no return can go to: it has no key. */
static bool beyond_limit(const struct tr *t)
{
    return t->in->stksz == 4 && t->next > t->code->key.cs_limit;
}

static void branch_call(struct tr *t)
{
    u32 to;
    if (!op_seg_ok(t, SEG_SS) || !direct_target(t, &to) || beyond_limit(t)) {
        tr_step_exit(t);
        return;
    }
    if (call_of_thunk(t, to))
        return;
    push_return(t);
    tr_push_record(t);
    tr_exit_call(t, to);
    tr_landing(t);
}

/* Target of an indirect branch into dst; false when the fallback takes it. */
static bool load_target(struct tr *t, u8 dst)
{
    const struct dec_insn *in = t->in;
    struct emit *e = &t->e;
    u8 size = in->stksz;
    if (!in->mem) {
        if (in->reg == R_ESP)
            em_lea32(e, dst, G_ESP, t->adj);
        else
            em_mov32(e, dst, in->reg);
        if (size == 2)
            em_movzx16(e, dst, dst);
        return true;
    }
    if (!op_seg_ok(t, in->seg))
        return false;
    struct hop m = op_insn_mem(t);
    em_load(e, size, dst, &m);
    return true;
}

/* Beyond the code segment's limit an indirect branch to reg is #GP before it changes anything: C raises it. Sets r9. */
static void check_target(struct tr *t, u8 reg)
{
    u32 limit = t->code->key.cs_limit;
    if (limit == 0xffffffffu || (t->in->stksz == 2 && limit >= 0xffff))
        return;
    if (reg != H_R9)
        em_mov32(&t->e, H_R9, reg);
    op_limit_check(t, SEG_CS, 1);
}

static void branch_jmp_rm(struct tr *t)
{
    if (!load_target(t, H_R9)) {
        tr_step_exit(t);
        return;
    }
    check_target(t, H_R9);
    tr_flush_esp(t);
    tr_rec(t, PEND_NONE, SIDE_MID);
    em_jmp_to(&t->e, tr_gate(t, GATE_LOOKUP));
    t->ended = true;
}

static void branch_call_rm(struct tr *t)
{
    if (!op_seg_ok(t, SEG_SS) || beyond_limit(t) || !load_target(t, H_R14)) {
        tr_step_exit(t);
        return;
    }
    check_target(t, H_R14);
    push_return(t);
    tr_push_record(t);
    em_mov32(&t->e, H_R9, H_R14);
    em_call_to(&t->e, tr_gate(t, GATE_LOOKUP));
    tr_landing(t);
}

/* Load the return EIP, move ESP, leave the rest to the gate that all blocks share. */
static void branch_ret(struct tr *t)
{
    struct emit *e = &t->e;
    u8 size = t->in->stksz;
    if (!op_seg_ok(t, SEG_SS)) {
        tr_step_exit(t);
        return;
    }
    struct hop m = op_stack(t, 0, size);
    em_load(e, size, H_R14, &m);
    check_target(t, H_R14);
    u32 n = size + t->in->imm;
    tr_move_sp(t, (i32)n);
    tr_flush_esp(t);
    tr_rec(t, PEND_NONE, SIDE_MID);
    em_mov32(e, H_R9, H_R14);
    if (record_key(t)) {
        em_lea32(e, H_R12, H_R14, (i32)record_key(t));
        em_jmp_to(e, tr_gate(t, GATE_RET_KEY));
    } else {
        em_jmp_to(e, tr_gate(t, GATE_RET));
    }
    t->ended = true;
}

void tr_branch(struct tr *t)
{
    u32 to;
    switch (t->in->op) {
    case OP_JCC: branch_jcc(t); break;
    case OP_JMP:
        if (!direct_target(t, &to)) {
            tr_step_exit(t);
            break;
        }
        tr_flush_esp(t);
        tr_exit_jmp(t, to);
        t->ended = true;
        break;
    case OP_CALL: branch_call(t); break;
    case OP_JMP_RM: branch_jmp_rm(t); break;
    case OP_CALL_RM: branch_call_rm(t); break;
    case OP_RET: branch_ret(t); break;
    default: branch_loop(t);
    }
}
