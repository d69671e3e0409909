/*
 * step_string.c - MOVS, STOS, LODS, SCAS and CMPS in C, some iterations.
 *
 * The source is seg:[E]SI (overridable), the target always ES:[E]DI; the address size chooses SI, DI
 * and CX or their 32-bit forms. A repeated instruction makes a bounded number of iterations and leaves EIP
 * on itself while more remain, so that interrupts and single steps fall between them. Source: SDM vol. 2, REP.
 */
#include "monitor/step.h"

#define STRING_BATCH (1u << 20) /* a kick ends it sooner */

static void advance(struct cpu *cpu, unsigned reg, const struct dec_insn *insn)
{
    step_set(cpu, reg, insn->adsz, cpu->gpr[reg] + (u32)(cpu->df * (i32)insn->opsz));
}

/* Which operand is read first decides which fault is seen: ES:[E]DI, but the source in REPE CMPSB. */
static int compare_operands(struct cpu *cpu, const struct dec_insn *insn, u32 si, u32 di, u32 *src, u32 *dst)
{
    unsigned size = insn->opsz;

    if (size == 1 && (insn->prefixes & DEC_PFX_REP) && !(insn->prefixes & DEC_PFX_REPNE))
        return mem_read(cpu, insn->seg, si, src, size) || mem_read(cpu, SEG_ES, di, dst, size) ? -1 : 0;
    return mem_read(cpu, SEG_ES, di, dst, size) || mem_read(cpu, insn->seg, si, src, size) ? -1 : 0;
}

/* The operation itself; pointers move only when nothing faulted. */
static int iterate(struct cpu *cpu, const struct dec_insn *insn)
{
    unsigned size = insn->opsz;
    u32 si = step_get(cpu, R_ESI, insn->adsz), di = step_get(cpu, R_EDI, insn->adsz);
    u32 v = 0, w = 0;

    switch (insn->op) {
    case OP_MOVS:
        if (mem_read(cpu, insn->seg, si, &v, size) || mem_write(cpu, SEG_ES, di, &v, size))
            return -1;
        advance(cpu, R_ESI, insn);
        advance(cpu, R_EDI, insn);
        return 0;
    case OP_STOS:
        if (mem_write(cpu, SEG_ES, di, &cpu->gpr[R_EAX], size))
            return -1;
        advance(cpu, R_EDI, insn);
        return 0;
    case OP_LODS:
        if (mem_read(cpu, insn->seg, si, &v, size))
            return -1;
        step_set(cpu, R_EAX, size, v);
        advance(cpu, R_ESI, insn);
        return 0;
    case OP_SCAS:
        if (mem_read(cpu, SEG_ES, di, &w, size))
            return -1;
        cpu->flags = step_flags_sub(cpu->gpr[R_EAX], w, size);
        advance(cpu, R_EDI, insn);
        return 0;
    case OP_CMPS:
        if (compare_operands(cpu, insn, si, di, &v, &w))
            return -1;
        cpu->flags = step_flags_sub(v, w, size);
        advance(cpu, R_ESI, insn);
        advance(cpu, R_EDI, insn);
        return 0;
    default: return mon_exc(cpu, EXC_UD);
    }
}

/* SCAS and CMPS also end by ZF: REPE when it is clear, REPNE when it is set. */
static bool ends_by_zf(const struct cpu *cpu, const struct dec_insn *insn)
{
    bool zf = (cpu->flags & FL_ZF) != 0;

    if (insn->op != OP_SCAS && insn->op != OP_CMPS)
        return false;
    return insn->prefixes & DEC_PFX_REPNE ? zf : !zf;
}

/* More than one iteration at a call: nobody looks in between. */
static bool may_batch(const struct cpu *cpu)
{
    return !(cpu->mode & (MODE_TF | MODE_DB)) && !cpu->kick && !(cpu->irq_pending && cpu->iflag);
}

int mon_step_string(struct cpu *cpu, const struct dec_insn *insn)
{
    u32 count, left = STRING_BATCH;

    if (!(insn->prefixes & (DEC_PFX_REP | DEC_PFX_REPNE)))
        return iterate(cpu, insn) ? -1 : step_done(cpu, insn);
    count = step_get(cpu, R_ECX, insn->adsz);
    if (count == 0)
        return step_done(cpu, insn);
    do {
        if (iterate(cpu, insn))
            return -1;
        step_set(cpu, R_ECX, insn->adsz, --count);
        if (count == 0 || ends_by_zf(cpu, insn))
            return step_done(cpu, insn);
    } while (--left && may_batch(cpu));
    return 0;
}
