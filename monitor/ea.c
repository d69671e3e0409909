/*
 * ea.c - effective addresses and the arithmetic flags of an addition or subtraction.
 *
 * Pure functions of the CPU struct and the instruction record, used by every file of C semantics.
 * Sources: SDM vol. 1, 3.7.5 (addresses) and 3.4.3.1 (status flags).
 */
#include "monitor/step.h"

u32 dec_ea(const struct cpu *cpu, const struct dec_insn *insn)
{
    u32 ea = (u32)insn->disp;

    if (insn->base != DEC_NO_REG)
        ea += cpu->gpr[insn->base & 7];
    if (insn->index != DEC_NO_REG)
        ea += cpu->gpr[insn->index & 7] * insn->scale;
    return insn->adsz == 2 ? (u16)ea : ea;
}

static u32 flags_of_result(u32 r, u32 sign, u32 mask)
{
    u32 fl = 0;

    if (!(r & mask))
        fl |= FL_ZF;
    if (r & sign)
        fl |= FL_SF;
    if (!__builtin_parity(r & 0xff))
        fl |= FL_PF;
    return fl;
}

u32 step_flags_add(u32 a, u32 b, unsigned size)
{
    u32 sign = 1u << (size * 8 - 1), mask = sign | (sign - 1), r = (a + b) & mask;
    u32 fl = flags_of_result(r, sign, mask);

    if (r < (a & mask))
        fl |= FL_CF;
    if ((a ^ b ^ r) & 0x10)
        fl |= FL_AF;
    if ((a ^ r) & (b ^ r) & sign)
        fl |= FL_OF;
    return fl;
}

u32 step_flags_sub(u32 a, u32 b, unsigned size)
{
    u32 sign = 1u << (size * 8 - 1), mask = sign | (sign - 1), r = (a - b) & mask;
    u32 fl = flags_of_result(r, sign, mask);

    if ((a & mask) < (b & mask))
        fl |= FL_CF;
    if ((a ^ b ^ r) & 0x10)
        fl |= FL_AF;
    if ((a ^ b) & (a ^ r) & sign)
        fl |= FL_OF;
    return fl;
}
