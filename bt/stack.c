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

/* SP += n, behind the last access. */
static void move_sp(struct tr *t, i32 n)
{
    if (t->mode & MODE_SS32) {
        t->adj += n;
        if (t->adj > 16000 || t->adj < -16000)
            tr_flush_esp(t);
        return;
    }
    em_lea32(&t->e, H_R9, G_ESP, n);
    em_rr(&t->e, EM_66, 0x89, H_R9, G_ESP); /* mov r8w, r9w */
}

static void push_r13(struct tr *t, u8 size)
{
    struct hop m = op_stack(t, -(i32)size, size);
    em_store(&t->e, size, &m, H_R13);
    move_sp(t, -(i32)size);
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
    move_sp(t, -(i32)size);
}

static void push_imm(struct tr *t)
{
    u8 size = t->in->stksz;
    struct hop m = op_stack(t, -(i32)size, size);
    em_store_imm(&t->e, size, &m, t->in->imm);
    move_sp(t, -(i32)size);
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
    move_sp(t, size);
}

static void pop_mem(struct tr *t)
{
    const struct dec_insn *in = t->in;
    u8 size = in->stksz;
    if (!op_seg_ok(t, in->seg) || !(t->mode & MODE_SS32)) {
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
    move_sp(t, size);
}

/* PUSHA and POPA on a flat 32-bit stack, in the manual's order of pushes and pops. */
static void pusha(struct tr *t)
{
    for (unsigned r = 0; r < 8; r++) {
        struct hop m = op_stack(t, -4 - 4 * (i32)r, 4);
        if (r == R_ESP) {
            em_lea32(&t->e, H_R13, G_ESP, t->adj);
            em_store(&t->e, 4, &m, H_R13);
        } else {
            em_store(&t->e, 4, &m, (u8)r);
        }
    }
    move_sp(t, -32);
}

static void popa(struct tr *t)
{
    for (i32 i = 0; i < 8; i++) { /* a fault comes before any register changes */
        struct hop probe = op_stack(t, 4 * i, 4);
        em_load(&t->e, 4, H_R13, &probe);
    }
    for (unsigned r = 0; r < 8; r++) {
        struct hop m = op_stack(t, 28 - 4 * (i32)r, 4);
        if (r != R_ESP)
            em_load(&t->e, 4, (u8)r, &m);
    }
    move_sp(t, 32);
}

/* r13d = EFLAGS as PUSHF shows them (VM and RF clear: translated code runs with RF clear and not in v86 here). */
static void emit_eflags(struct tr *t)
{
    struct emit *e = &t->e;
    struct hop sys = hop_base(H_CPU, CPU_DISP(sysflags)), iflag = hop_base(H_CPU, CPU_DISP(iflag));
    struct hop df = hop_base(H_CPU, CPU_DISP(df));
    em8(e, 0x9c); /* pushfq */
    em8(e, 0x41);
    em8(e, 0x5d); /* pop r13 */
    em_mov_imm(e, H_R14, FL_ARITH);
    em_pext(e, 4, H_R13, H_R13, H_R14);
    em_pdep(e, H_R13, H_R13, H_R14); /* r13d = arithmetic flags */
    em_load(e, 4, H_R14, &sys);
    struct hop sum = {.base = H_R13, .index = H_R14, .scale = 1, .disp = EFL_R1};
    em_lea(e, 4, H_R13, &sum);
    em_load(e, 1, H_R14, &iflag);
    em_rorx(e, 4, H_R14, H_R14, 32 - 9);
    em_lea_sum(e, 4, H_R13, H_R13, H_R14, 1);
    em_load(e, 4, H_R14, &df); /* 1 or -1: the sign is DF */
    em_mov_imm(e, H_R12, 31);
    em_shift(e, 4, 'r', H_R14, H_R14, H_R12);
    em_rorx(e, 4, H_R14, H_R14, 32 - 10);
    em_lea_sum(e, 4, H_R13, H_R13, H_R14, 1);
}

static void leave(struct tr *t)
{
    struct gaddr a = {.base = R_EBP, .index = DEC_NO_REG, .scale = 1, .seg = SEG_SS, .adsz = 4, .size = 4};
    struct hop m = op_mem(t, &a);
    em_load(&t->e, 4, H_R13, &m);
    em_lea32(&t->e, G_ESP, R_EBP, 4);
    em_mov32(&t->e, H_RBP, H_R13);
    t->adj = 0;
}

void tr_stack(struct tr *t)
{
    const struct dec_insn *in = t->in;
    bool wide = (t->mode & MODE_SS32) && in->stksz == 4;
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
    case OP_PUSHA:
        if (wide)
            pusha(t);
        else
            tr_callout(t);
        break;
    case OP_POPA:
        if (wide)
            popa(t);
        else
            tr_callout(t);
        break;
    case OP_PUSHF:
        if (t->mode & MODE_VM) {
            tr_callout(t);
            break;
        }
        emit_eflags(t);
        push_r13(t, in->stksz);
        break;
    case OP_LEAVE:
        if (wide)
            leave(t);
        else
            tr_callout(t);
        break;
    default: /* POPF, ENTER */ tr_callout(t);
    }
}
