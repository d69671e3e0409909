/*
 * step.h - what the files of C semantics (step_*.c, io.c, bcd.c, fpuenv.c) share.
 *
 * Register access by operand size, effective addresses, arithmetic flags of an addition or
 * subtraction, and the end of an instruction. Everything here works on the CPU struct alone; guest
 * memory goes through mem_read() and mem_write() of mem.c. Internal to monitor/.
 */
#ifndef NOVT_MONITOR_STEP_H
#define NOVT_MONITOR_STEP_H

#include "monitor/monitor.h"

/* Offset of the ModRM (or moffs) operand in its segment, truncated to the address size. */
u32 dec_ea(const struct cpu *cpu, const struct dec_insn *insn);

/* Arithmetic flags of a + b and a - b for operands of 1, 2 or 4 bytes. */
u32 step_flags_add(u32 a, u32 b, unsigned size);
u32 step_flags_sub(u32 a, u32 b, unsigned size);

/* A register's low size bytes (for size 1 only AL, CL, DL, BL: no caller names a high byte). */
static inline u32 step_get(const struct cpu *cpu, unsigned reg, unsigned size)
{
    u32 v = cpu->gpr[reg & 7];

    return size == 4 ? v : size == 2 ? (u16)v : (u8)v;
}

static inline void step_set(struct cpu *cpu, unsigned reg, unsigned size, u32 v)
{
    u32 *r = &cpu->gpr[reg & 7];

    *r = size == 4 ? v : size == 2 ? (*r & 0xffff0000u) | (u16)v : (*r & 0xffffff00u) | (u8)v;
}

/* The stack pointer by the stack's address size: SS.B, not the operand size, decides. */
static inline unsigned step_stack_size(const struct cpu *cpu)
{
    return cpu->seg[SEG_SS].attr & SEG_ATTR_D ? 4 : 2;
}

static inline bool step_is_v86(const struct cpu *cpu)
{
    return (cpu->sysflags & EFL_VM) != 0;
}

static inline bool step_is_protected(const struct cpu *cpu)
{
    return (cpu->cr0 & CR0_PE) != 0;
}

static inline unsigned step_iopl(const struct cpu *cpu)
{
    return (cpu->sysflags & EFL_IOPL) >> 12;
}

static inline int step_done(struct cpu *cpu, const struct dec_insn *insn)
{
    cpu->eip += insn->len;
    return 0;
}

/* Is an unmasked x87 exception pending? Raises it (the run loop makes FERR# of it when CR0.NE is clear). Expects bt_fpu_save(). */
int fpu_check_pending(struct cpu *cpu) MUST_CHECK;

#endif
