/*
 * step_branch.c - near branches in C: Jcc, JMP, CALL, RET, LOOPcc, JCXZ.
 *
 * A 16-bit operand size truncates the target to 16 bits. A taken branch checks its target against the
 * limit of CS before anything changes: beyond it is #GP(0). For CALL the stack's faults come first. Source: SDM vol. 2.
 */
#include "monitor/step.h"

static bool condition(u32 fl, u8 cond)
{
    bool cf = (fl & FL_CF) != 0, zf = (fl & FL_ZF) != 0, sf = (fl & FL_SF) != 0, of = (fl & FL_OF) != 0;
    bool r;

    switch (cond >> 1 & 7) {
    case 0: r = of; break;
    case 1: r = cf; break;
    case 2: r = zf; break;
    case 3: r = cf || zf; break;
    case 4: r = sf; break;
    case 5: r = (fl & FL_PF) != 0; break;
    case 6: r = sf != of; break;
    default: r = zf || sf != of; break;
    }
    return r != (cond & 1);
}

static int check_target(struct cpu *cpu, u32 eip)
{
    return eip > cpu->seg[SEG_CS].limit ? mon_exc_err(cpu, EXC_GP, 0) : 0;
}

static int jump(struct cpu *cpu, u32 eip)
{
    if (check_target(cpu, eip))
        return -1;
    cpu->eip = eip;
    return 0;
}

static u32 direct_target(const struct cpu *cpu, const struct dec_insn *insn)
{
    u32 eip = cpu->eip + insn->len + insn->imm;

    return insn->stksz == 2 ? (u16)eip : eip;
}

/* Target of an indirect branch: a register or memory operand of the operand size. */
static int indirect_target(struct cpu *cpu, const struct dec_insn *insn, u32 *eip)
{
    *eip = 0;
    if (insn->mem)
        return mem_read(cpu, insn->seg, dec_ea(cpu, insn), eip, insn->stksz);
    *eip = step_get(cpu, insn->reg, insn->stksz);
    return 0;
}

static int call(struct cpu *cpu, const struct dec_insn *insn, u32 target)
{
    unsigned ss = step_stack_size(cpu);
    u32 ret = cpu->eip + insn->len, sp = cpu->gpr[R_ESP] - insn->stksz;

    if (ss == 2)
        sp = (u16)sp;
    if (mem_probe_write(cpu, SEG_SS, sp, insn->stksz) || check_target(cpu, target) ||
        mem_write(cpu, SEG_SS, sp, &ret, insn->stksz))
        return -1;
    step_set(cpu, R_ESP, ss, sp);
    cpu->eip = target;
    return 0;
}

static int ret(struct cpu *cpu, const struct dec_insn *insn)
{
    unsigned ss = step_stack_size(cpu);
    u32 eip = 0;

    if (mem_read(cpu, SEG_SS, step_get(cpu, R_ESP, ss), &eip, insn->stksz) || jump(cpu, eip))
        return -1;
    step_set(cpu, R_ESP, ss, cpu->gpr[R_ESP] + insn->stksz + (insn->imm & 0xffff));
    return 0;
}

static int loop(struct cpu *cpu, const struct dec_insn *insn)
{
    u32 count = step_get(cpu, R_ECX, insn->adsz) - 1;
    bool zf = (cpu->flags & FL_ZF) != 0;
    bool taken = insn->adsz == 2 ? (u16)count != 0 : count != 0;

    if (insn->op == OP_LOOPE)
        taken = taken && zf;
    else if (insn->op == OP_LOOPNE)
        taken = taken && !zf;
    if (taken && check_target(cpu, direct_target(cpu, insn)))
        return -1;
    step_set(cpu, R_ECX, insn->adsz, count);
    cpu->eip = taken ? direct_target(cpu, insn) : cpu->eip + insn->len;
    return 0;
}

int mon_step_branch(struct cpu *cpu, const struct dec_insn *insn)
{
    u32 eip;

    switch (insn->op) {
    case OP_JCC:
        if (!condition(cpu->flags, insn->cond))
            return step_done(cpu, insn);
        return jump(cpu, direct_target(cpu, insn));
    case OP_JCXZ:
        if (step_get(cpu, R_ECX, insn->adsz))
            return step_done(cpu, insn);
        return jump(cpu, direct_target(cpu, insn));
    case OP_LOOP:
    case OP_LOOPE:
    case OP_LOOPNE: return loop(cpu, insn);
    case OP_JMP: return jump(cpu, direct_target(cpu, insn));
    case OP_CALL: return call(cpu, insn, direct_target(cpu, insn));
    case OP_JMP_RM: return indirect_target(cpu, insn, &eip) ? -1 : jump(cpu, eip);
    case OP_CALL_RM: return indirect_target(cpu, insn, &eip) ? -1 : call(cpu, insn, eip);
    case OP_RET: return ret(cpu, insn);
    default: return mon_exc(cpu, EXC_UD);
    }
}
