/*
 * stack.c - PUSH, POP and their like.
 *
 * ESP is r8 plus a displacement known at translation time (t->adj), so that a run of pushes costs one store each; the side table
 * carries the displacement to whoever needs the exact ESP. With a 16-bit stack segment SP is updated at once. Every
 * access that can fault comes before the first change of guest state. Scratch: r13, r14 data.
 */
#include "bt/internal.h"

static bool stack_ok(struct tr *t)
{
    return op_seg_ok(t, SEG_SS);
}

void tr_move_sp(struct tr *t, i32 n)
{
    if (t->mode & MODE_SS32) {
        t->adj += n;
        if (t->adj > 16000 || t->adj < -16000)
            tr_flush_esp(t);
        return;
    }
    tr_flush_esp(t);
    em_lea32(&t->e, H_R9, G_ESP, n);
    em_rr(&t->e, EM_66, 0x89, H_R9, G_ESP); /* mov r8w, r9w */
}

static void push_r13(struct tr *t, u8 size)
{
    struct hop m = op_stack(t, -(i32)size, size);
    em_store(&t->e, size, &m, H_R13);
    tr_move_sp(t, -(i32)size);
}

static void push_reg(struct tr *t)
{
    const struct dec_insn *in = t->in;
    u8 size = in->stksz;
    if (in->reg == R_ESP) {
        em_lea32(&t->e, H_R13, G_ESP, t->adj);
        push_r13(t, size);
        return;
    }
    struct hop m = op_stack(t, -(i32)size, size);
    em_store(&t->e, size, &m, in->reg);
    tr_move_sp(t, -(i32)size);
}

static void push_imm(struct tr *t)
{
    u8 size = t->in->stksz;
    struct hop m = op_stack(t, -(i32)size, size);
    em_store_imm(&t->e, size, &m, t->in->imm);
    tr_move_sp(t, -(i32)size);
}

static void push_mem(struct tr *t)
{
    u8 size = t->in->stksz;
    if (!op_seg_ok(t, t->in->seg)) {
        tr_refuse(t, BT_REFUSE_SEGCHECK);
        return;
    }
    struct hop m = op_insn_mem(t);
    em_load(&t->e, size, H_R13, &m);
    push_r13(t, size);
}

static void push_seg(struct tr *t)
{
    struct hop sel = op_selector(t->in->reg);
    em_load(&t->e, 2, H_R13, &sel);
    /* A 32-bit push of a segment register writes its low half only on recent CPUs; we write the zero-extended
     * whole, as the manual allows (SDM vol. 2, PUSH). */
    push_r13(t, t->in->stksz);
}

static void pop_reg(struct tr *t)
{
    const struct dec_insn *in = t->in;
    u8 size = in->stksz;
    struct hop m = op_stack(t, 0, size);
    if (in->reg == R_ESP) {
        if (size == 2 || !(t->mode & MODE_SS32)) {
            tr_refuse(t, BT_REFUSE_ENCODING);
            return;
        }
        em_load(&t->e, 4, G_ESP, &m);
        t->adj = 0;
        return;
    }
    if (size == 2)
        em_rm(&t->e, EM_66, 0x8b, in->reg, &m); /* keeps the upper half */
    else
        em_load(&t->e, 4, in->reg, &m);
    tr_move_sp(t, size);
}

static void pop_mem(struct tr *t)
{
    const struct dec_insn *in = t->in;
    u8 size = in->stksz;
    if (!op_seg_ok(t, in->seg) || (!(t->mode & MODE_SS32) && in->base == R_ESP)) {
        tr_refuse(t, BT_REFUSE_SEGCHECK);
        return;
    }
    struct hop m = op_stack(t, 0, size);
    em_load(&t->e, size, H_R13, &m);
    i32 old = t->adj;
    u32 first_step = t->n_steps;
    t->adj += size; /* an ESP base is computed after the pop (SDM vol. 2, POP) */
    struct hop to = op_insn_mem(t);
    t->adj = old;
    for (u32 i = first_step; i < t->n_steps; i++) /* but a fault leaves ESP as it was */
        t->steps[i].adj = old;
    em_store(&t->e, size, &to, H_R13);
    tr_move_sp(t, size);
}

/* PUSHA and POPA, in the manual's order of pushes and pops. One check for all slots: they do not wrap then. */
static struct hop eight_slots(struct tr *t, i32 off)
{
    struct emit *e = &t->e;
    i32 bytes = 8 * t->in->stksz;
    struct hop m = op_stack(t, off, (u32)bytes);
    if (t->mode & MODE_SS32)
        return m;
    /* r9 = SP + off: (r9 + bytes - 1) >> 16 is 0, whatever the segment's limit */
    em_lea32(e, H_R11, H_R9, bytes - 1);
    em_mov(e, H_R12, H_RCX);
    em_mov_imm(e, H_RCX, 16);
    em_shift(e, 4, 'r', H_RCX, H_R11, H_RCX);
    u8 *ok = em_jrcxz(e);
    em_mov(e, H_RCX, H_R12);
    tr_jmp_step(t, false);
    em_here(e, ok);
    em_mov(e, H_RCX, H_R12);
    return m;
}

static void pusha(struct tr *t)
{
    i32 size = t->in->stksz;
    struct hop m = eight_slots(t, -8 * size);
    i32 last = m.disp;
    for (i32 r = 0; r < 8; r++) {
        m.disp = last + (7 - r) * size;
        if (r == R_ESP) {
            em_lea32(&t->e, H_R13, G_ESP, t->adj);
            em_store(&t->e, (u32)size, &m, H_R13);
        } else {
            em_store(&t->e, (u32)size, &m, (u8)r);
        }
    }
    tr_move_sp(t, -8 * size);
}

static void popa(struct tr *t)
{
    i32 size = t->in->stksz;
    struct hop m = eight_slots(t, 0);
    i32 first = m.disp;
    for (i32 i = 0; i < 8; i++) { /* a fault comes before any register changes */
        m.disp = first + i * size;
        em_load(&t->e, (u32)size, H_R13, &m);
    }
    for (i32 r = 0; r < 8; r++) {
        m.disp = first + (7 - r) * size;
        if (r == R_ESP)
            continue;
        if (size == 2)
            em_rm(&t->e, EM_66, 0x8b, (u8)r, &m); /* keeps the upper half */
        else
            em_load(&t->e, 4, (u8)r, &m);
    }
    tr_move_sp(t, 8 * size);
}

/* The low size bytes of r13 to EBP. */
static void set_ebp(struct tr *t, u8 size)
{
    em_rr(&t->e, size == 2 ? EM_66 : 0, 0x89, H_R13, H_RBP);
}

static void leave(struct tr *t)
{
    struct emit *e = &t->e;
    u8 size = t->in->stksz;
    bool wide = t->mode & MODE_SS32;
    struct gaddr a = {
        .base = R_EBP, .index = DEC_NO_REG, .scale = 1, .seg = SEG_SS, .adsz = wide ? 4 : 2, .size = size};
    struct hop m = op_mem(t, &a);
    em_load(e, size, H_R13, &m);
    if (wide) {
        em_lea32(e, G_ESP, R_EBP, size);
        t->adj = 0;
    } else {
        tr_flush_esp(t);
        em_lea32(e, H_R9, R_EBP, size);
        em_rr(e, EM_66, 0x89, H_R9, G_ESP); /* mov r8w, r9w */
    }
    set_ebp(t, size);
}

/* ENTER with level 0. The word at the new stack pointer must be writable (SDM vol. 2, ENTER): it is written and restored. */
static void enter(struct tr *t)
{
    struct emit *e = &t->e;
    u8 size = t->in->stksz;
    i32 room = (i32)(t->in->imm & 0xffff);
    struct hop m = op_stack(t, -(i32)size, size);
    em_store(e, size, &m, H_RBP);
    if (room) {
        m = op_stack(t, -(i32)size - room, size);
        em_rm(e, size == 2 ? EM_66 : 0, 0xf7, 2, &m); /* not [m], which keeps the flags */
        em_rm(e, size == 2 ? EM_66 : 0, 0xf7, 2, &m);
    }
    em_lea32(e, H_R13, G_ESP, t->adj - (i32)size);
    if (size == 4 && !(t->mode & MODE_SS32)) { /* the frame pointer gets ESP's upper half */
        em_lea32(e, H_R9, G_ESP, t->adj);
        em_rr(e, EM_66, 0x89, H_R13, H_R9);
        em_mov32(e, H_R13, H_R9);
    }
    set_ebp(t, size);
    tr_move_sp(t, -(i32)size - room);
}

static void pushf(struct tr *t)
{
    u8 size = t->in->stksz;
    /* In v86 the image of 16 bits shows nothing of VM; VME is C's. */
    if ((t->mode & MODE_VM) && (size == 4 || !(t->mode & MODE_IOPL_OK))) {
        tr_callout(t);
        return;
    }
    tr_flags_image(t);
    push_r13(t, size);
}

static void popf(struct tr *t)
{
    u8 size = t->in->stksz;
    if ((t->mode & MODE_VM) && !(t->mode & MODE_IOPL_OK)) {
        tr_callout(t);
        return;
    }
    tr_flush_esp(t);
    tr_rec(t, PEND_NONE, SIDE_MID);
    struct hop m = op_stack(t, 0, size);
    em_load(&t->e, size, H_R13, &m);
    u8 *allowed = tr_flags_allowed(t, size, NULL);
    tr_callout(t);
    u8 *done = em_jmp8(&t->e);
    em_here(&t->e, allowed);
    tr_rec(t, PEND_NONE, SIDE_MID);
    em_mov(&t->e, H_RCX, H_R11);
    tr_flags_load(t);
    tr_move_sp(t, size);
    tr_flush_esp(t);
    em_here(&t->e, done);
}

void tr_stack(struct tr *t)
{
    const struct dec_insn *in = t->in;
    if (!stack_ok(t)) {
        tr_refuse(t, BT_REFUSE_SEGCHECK);
        return;
    }
    switch (in->op) {
    case OP_PUSH_R: push_reg(t); break;
    case OP_PUSH_I: push_imm(t); break;
    case OP_PUSH_M: push_mem(t); break;
    case OP_PUSH_SEG: push_seg(t); break;
    case OP_POP_R: pop_reg(t); break;
    case OP_POP_M: pop_mem(t); break;
    case OP_PUSHA: pusha(t); break;
    case OP_POPA: popa(t); break;
    case OP_PUSHF: pushf(t); break;
    case OP_POPF: popf(t); break;
    case OP_LEAVE: leave(t); break;
    case OP_ENTER:
        if (t->in->imm2 & 31)
            tr_callout(t);
        else
            enter(t);
        break;
    default: tr_callout(t);
    }
}
