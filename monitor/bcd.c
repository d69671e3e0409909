/*
 * bcd.c - decimal adjustments and BOUND: instructions that 64-bit mode does not have.
 *
 * Defined flags are the manual's (SDM vol. 2); those it leaves undefined are what current CPUs leave:
 * AAA and AAS those of the 16-bit addition or subtraction of 106h, DAA and DAS overflow of the total
 * correction, AAD those of the final addition, AAM clear. The differential test compares all of them.
 */
#include "monitor/step.h"

static void set_ax(struct cpu *cpu, u32 ax)
{
    step_set(cpu, R_EAX, 2, ax);
}

/* AAA: sign 1, AAS: sign -1. */
static void ascii_adjust(struct cpu *cpu, bool add)
{
    u32 ax = (u16)cpu->gpr[R_EAX];
    bool adjust = (ax & 15) > 9 || (cpu->flags & FL_AF);
    u32 by = adjust ? 0x106 : 0, r = add ? ax + by : ax - by;
    u32 fl = add ? step_flags_add(ax, by, 2) : step_flags_sub(ax, by, 2);

    cpu->flags = (fl & ~(FL_CF | FL_AF)) | (adjust ? FL_CF | FL_AF : 0);
    set_ax(cpu, r & 0xff0f);
}

static void decimal_adjust(struct cpu *cpu, bool add)
{
    u32 al = (u8)cpu->gpr[R_EAX], by = 0, fl;
    bool low = (al & 15) > 9 || (cpu->flags & FL_AF), high = al > 0x99 || (cpu->flags & FL_CF);
    bool carry = high;

    if (low)
        by = 6;
    if (high)
        by |= 0x60;
    /* The correction of the low digit alone can borrow or carry too (SDM: CF = old CF OR carry). */
    if (low && !high && !add && al < 6)
        carry = true;
    fl = add ? step_flags_add(al, by, 1) : step_flags_sub(al, by, 1);
    cpu->flags = (fl & ~(FL_CF | FL_AF)) | (carry ? FL_CF : 0) | (low ? FL_AF : 0);
    step_set(cpu, R_EAX, 1, add ? al + by : al - by);
}

static int aam(struct cpu *cpu, u32 base)
{
    u32 al = (u8)cpu->gpr[R_EAX];

    if (!base)
        return mon_exc(cpu, EXC_DE);
    set_ax(cpu, al / base << 8 | al % base);
    cpu->flags = step_flags_add(al % base, 0, 1);
    return 0;
}

static void aad(struct cpu *cpu, u32 base)
{
    u32 al = (u8)cpu->gpr[R_EAX], tens = (u8)(cpu->gpr[R_EAX] >> 8) * base & 0xff;

    cpu->flags = step_flags_add(al, tens, 1);
    set_ax(cpu, (al + tens) & 0xff);
}

static int bound(struct cpu *cpu, const struct dec_insn *insn)
{
    unsigned size = insn->opsz == 2 ? 2 : 4;
    u32 ea = dec_ea(cpu, insn), next = ea + size;
    i32 v = (i32)cpu->gpr[insn->reg & 7], low = 0, high = 0;

    if (insn->adsz == 2)
        next = (u16)next;
    if (mem_read(cpu, insn->seg, ea, &low, size) || mem_read(cpu, insn->seg, next, &high, size))
        return -1;
    if (size == 2) {
        v = (i16)v;
        low = (i16)low;
        high = (i16)high;
    }
    return v < low || v > high ? mon_exc(cpu, EXC_BR) : 0;
}

int mon_sys_bcd(struct cpu *cpu, const struct dec_insn *insn)
{
    int rc = 0;

    switch (insn->op) {
    case OP_AAA: ascii_adjust(cpu, true); break;
    case OP_AAS: ascii_adjust(cpu, false); break;
    case OP_DAA: decimal_adjust(cpu, true); break;
    case OP_DAS: decimal_adjust(cpu, false); break;
    case OP_AAM: rc = aam(cpu, (u8)insn->imm); break;
    case OP_AAD: aad(cpu, (u8)insn->imm); break;
    case OP_BOUND: rc = bound(cpu, insn); break;
    default: return mon_exc(cpu, EXC_UD);
    }
    return rc ? -1 : step_done(cpu, insn);
}
