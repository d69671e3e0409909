/*
 * step_stack.c - PUSH, POP, PUSHA, POPA, PUSHF, POPF, ENTER and LEAVE in C, one instruction.
 *
 * The translator emits these by hand; this is the same instruction for the one-instruction path: odd
 * segments, MMIO, single step. SS.B chooses SP or ESP, the operand size how much moves. Registers
 * change only once nothing can fault any more. Source: SDM vol. 2.
 */
#include "monitor/step.h"

/* Stack pointer sp moved by delta, in a stack of address size ss. */
static u32 sp_add(u32 sp, i32 delta, unsigned ss)
{
    return ss == 4 ? sp + (u32)delta : (u16)(sp + (u32)delta);
}

static int push(struct cpu *cpu, u32 v, unsigned size)
{
    unsigned ss = step_stack_size(cpu);
    u32 sp = sp_add(cpu->gpr[R_ESP], -(i32)size, ss);

    if (mem_write(cpu, SEG_SS, sp, &v, size))
        return -1;
    step_set(cpu, R_ESP, ss, sp);
    return 0;
}

/* Reads the top of the stack; *sp is the stack pointer after the pop, for the caller to store. */
static int peek(struct cpu *cpu, u32 *v, u32 *sp, unsigned size)
{
    unsigned ss = step_stack_size(cpu);

    *v = 0;
    if (mem_read(cpu, SEG_SS, step_get(cpu, R_ESP, ss), v, size))
        return -1;
    *sp = sp_add(cpu->gpr[R_ESP], (i32)size, ss);
    return 0;
}

static int push_m(struct cpu *cpu, const struct dec_insn *insn)
{
    u32 v = 0;

    if (mem_read(cpu, insn->seg, dec_ea(cpu, insn), &v, insn->stksz))
        return -1;
    return push(cpu, v, insn->stksz);
}

static int pop_r(struct cpu *cpu, const struct dec_insn *insn)
{
    u32 v, sp;

    if (peek(cpu, &v, &sp, insn->stksz))
        return -1;
    step_set(cpu, R_ESP, step_stack_size(cpu), sp);
    step_set(cpu, insn->reg, insn->stksz, v); /* last: POP ESP ends with the value popped */
    return 0;
}

/* An address that uses ESP uses it as the pop leaves it (SDM vol. 2, POP). */
static int pop_m(struct cpu *cpu, const struct dec_insn *insn)
{
    u32 v, sp, old = cpu->gpr[R_ESP];

    if (peek(cpu, &v, &sp, insn->stksz))
        return -1;
    step_set(cpu, R_ESP, step_stack_size(cpu), sp);
    if (mem_write(cpu, insn->seg, dec_ea(cpu, insn), &v, insn->stksz)) {
        cpu->gpr[R_ESP] = old;
        return -1;
    }
    return 0;
}

/* A fault in the middle leaves what was pushed in memory, below a stack pointer that has not moved. */
static int pusha(struct cpu *cpu, unsigned size)
{
    unsigned ss = step_stack_size(cpu);
    u32 sp = cpu->gpr[R_ESP];

    for (unsigned i = 1; i <= 8; i++)
        if (mem_write(cpu, SEG_SS, sp_add(sp, -(i32)(i * size), ss), &cpu->gpr[i - 1], size))
            return -1;
    step_set(cpu, R_ESP, ss, sp_add(sp, -(i32)(8 * size), ss));
    return 0;
}

static int popa(struct cpu *cpu, unsigned size)
{
    unsigned ss = step_stack_size(cpu);
    u32 v[8] = {0}, sp = cpu->gpr[R_ESP];

    for (unsigned i = 0; i < 8; i++) /* ESP's slot is read too, for nothing */
        if (mem_read(cpu, SEG_SS, sp_add(sp, (i32)(i * size), ss), &v[7 - i], size))
            return -1;
    for (unsigned r = 0; r < 8; r++)
        if (r != R_ESP)
            step_set(cpu, r, size, v[r]);
    step_set(cpu, R_ESP, ss, sp_add(sp, (i32)(8 * size), ss));
    return 0;
}

static int pushf(struct cpu *cpu, unsigned size)
{
    u32 fl = cpu_eflags(cpu) & ~(EFL_VM | EFL_RF);

    if (step_is_v86(cpu) && step_iopl(cpu) < 3) {
        if (!(cpu->cr4 & CR4_VME) || size == 4)
            return mon_exc_err(cpu, EXC_GP, 0);
        /* VME: VIF stands in for IF, and IOPL reads as 3. */
        fl = (fl & ~EFL_IF) | EFL_IOPL | (cpu->sysflags & EFL_VIF ? EFL_IF : 0);
    }
    return push(cpu, fl, size);
}

static int popf_finish(struct cpu *cpu, u32 fl, u32 sp)
{
    u32 changed = (fl ^ cpu_eflags(cpu)) & (EFL_TF | EFL_IOPL | EFL_AC);

    cpu_eflags_set(cpu, fl);
    step_set(cpu, R_ESP, step_stack_size(cpu), sp);
    if (changed)
        mon_state_changed(cpu);
    return 0;
}

/* Which bits the image may change; everything else keeps its value and RF becomes 0 (SDM vol. 2, POPF). */
static int popf(struct cpu *cpu, unsigned size)
{
    u32 old = cpu_eflags(cpu) & ~EFL_RF, v, sp;
    u32 mask = FL_ARITH | EFL_TF | EFL_DF | EFL_NT;
    bool vme = false;

    if (step_is_v86(cpu) && step_iopl(cpu) < 3) {
        if (!(cpu->cr4 & CR4_VME) || size == 4)
            return mon_exc_err(cpu, EXC_GP, 0);
        vme = true;
    }
    if (peek(cpu, &v, &sp, size))
        return -1;
    if (vme) {
        if ((v & EFL_TF) || ((v & EFL_IF) && (old & EFL_VIP)))
            return mon_exc_err(cpu, EXC_GP, 0);
        old = (old & ~EFL_VIF) | (v & EFL_IF ? EFL_VIF : 0);
        return popf_finish(cpu, (old & ~mask) | (v & mask), sp);
    }
    if (size == 4)
        mask |= EFL_AC | EFL_ID;
    if (!step_is_protected(cpu) || cpu->cpl == 0)
        mask |= EFL_IOPL | EFL_IF;
    else if (cpu->cpl <= step_iopl(cpu))
        mask |= EFL_IF;
    return popf_finish(cpu, (old & ~mask) | (v & mask), sp);
}

/* Pushes the frame pointers of the enclosing levels. Only memory below ESP changes until the end. */
static int enter_levels(struct cpu *cpu, unsigned level, unsigned size, unsigned ss, u32 *sp, u32 frame)
{
    u32 bp = step_get(cpu, R_EBP, ss);

    for (unsigned i = 1; i < level; i++) {
        u32 v = 0;

        bp = sp_add(bp, -(i32)size, ss);
        *sp = sp_add(*sp, -(i32)size, ss);
        if (mem_read(cpu, SEG_SS, bp, &v, size) || mem_write(cpu, SEG_SS, *sp, &v, size))
            return -1;
    }
    *sp = sp_add(*sp, -(i32)size, ss);
    return mem_write(cpu, SEG_SS, *sp, &frame, size);
}

static int enter(struct cpu *cpu, const struct dec_insn *insn)
{
    unsigned size = insn->stksz, ss = step_stack_size(cpu), level = insn->imm2 & 31;
    u32 sp = sp_add(cpu->gpr[R_ESP], -(i32)size, ss), frame;

    if (mem_write(cpu, SEG_SS, sp, &cpu->gpr[R_EBP], size))
        return -1;
    /* A 32-bit operand in a 16-bit stack carries ESP's upper half into the frame pointer. */
    frame = ss == 4 ? sp : (cpu->gpr[R_ESP] & 0xffff0000u) | sp;
    if (level && enter_levels(cpu, level, size, ss, &sp, frame))
        return -1;
    sp = sp_add(sp, -(i32)(u16)insn->imm, ss);
    /* A write at the final stack pointer must be possible (SDM vol. 2, ENTER). */
    if (mem_probe_write(cpu, SEG_SS, sp, size))
        return -1;
    step_set(cpu, R_EBP, size, frame);
    step_set(cpu, R_ESP, ss, sp);
    return 0;
}

static int leave(struct cpu *cpu, unsigned size)
{
    unsigned ss = step_stack_size(cpu);
    u32 v = 0, bp = step_get(cpu, R_EBP, ss);

    if (mem_read(cpu, SEG_SS, bp, &v, size))
        return -1;
    step_set(cpu, R_ESP, ss, sp_add(bp, (i32)size, ss));
    step_set(cpu, R_EBP, size, v);
    return 0;
}

int mon_step_stack(struct cpu *cpu, const struct dec_insn *insn)
{
    unsigned size = insn->stksz;
    int rc;

    switch (insn->op) {
    case OP_PUSH_R: rc = push(cpu, cpu->gpr[insn->reg & 7], size); break;
    case OP_PUSH_I: rc = push(cpu, insn->imm, size); break;
    case OP_PUSH_M: rc = push_m(cpu, insn); break;
    case OP_PUSH_SEG: rc = push(cpu, cpu->seg[insn->reg % SEG_COUNT].sel, size); break;
    case OP_POP_R: rc = pop_r(cpu, insn); break;
    case OP_POP_M: rc = pop_m(cpu, insn); break;
    case OP_PUSHA: rc = pusha(cpu, size); break;
    case OP_POPA: rc = popa(cpu, size); break;
    case OP_PUSHF: rc = pushf(cpu, size); break;
    case OP_POPF: rc = popf(cpu, size); break;
    case OP_ENTER: rc = enter(cpu, insn); break;
    case OP_LEAVE: rc = leave(cpu, size); break;
    default: return mon_exc(cpu, EXC_UD);
    }
    return rc ? -1 : step_done(cpu, insn);
}
