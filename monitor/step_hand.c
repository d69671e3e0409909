/*
 * step_hand.c - the hand-treated instructions that are neither stack nor branch, in C.
 *
 * Bit tests with a register offset, XLAT, MOV from a segment register, the flag instructions with
 * their IOPL, VME and PVI rules, LEA, RDTSC and the likes of NOP. Source: SDM vol. 2; vol. 3, 20.3 (VME, PVI).
 */
#include "monitor/step.h"

/* The bit offset in a register is signed and reaches beyond the operand, in units of its size. */
static int bit_test(struct cpu *cpu, const struct dec_insn *insn)
{
    unsigned size = insn->opsz == 2 ? 2 : 4, bits = size * 8;
    i32 off = size == 2 ? (i16)cpu->gpr[insn->reg & 7] : (i32)cpu->gpr[insn->reg & 7];
    u32 bit = (u32)off & (bits - 1), v = 0, old;
    u32 ea = dec_ea(cpu, insn) + (u32)(off >> (size == 2 ? 4 : 5)) * size;

    if (insn->adsz == 2)
        ea = (u16)ea;
    if (insn->op != OP_BT && mem_probe_write(cpu, insn->seg, ea, size))
        return -1;
    if (mem_read(cpu, insn->seg, ea, &v, size))
        return -1;
    old = v >> bit & 1;
    if (insn->op == OP_BTS)
        v |= 1u << bit;
    else if (insn->op == OP_BTR)
        v &= ~(1u << bit);
    else if (insn->op == OP_BTC)
        v ^= 1u << bit;
    if (insn->op != OP_BT && mem_write(cpu, insn->seg, ea, &v, size))
        return -1;
    cpu->flags = (cpu->flags & ~FL_CF) | old;
    return 0;
}

static int xlat(struct cpu *cpu, const struct dec_insn *insn)
{
    u32 ea = cpu->gpr[R_EBX] + (u8)cpu->gpr[R_EAX];
    u8 v;

    if (mem_read(cpu, insn->seg, insn->adsz == 2 ? (u16)ea : ea, &v, 1))
        return -1;
    step_set(cpu, R_EAX, 1, v);
    return 0;
}

static int mov_from_seg(struct cpu *cpu, const struct dec_insn *insn)
{
    u16 sel = cpu->seg[insn->reg2 % SEG_COUNT].sel;

    if (insn->mem)
        return mem_write(cpu, insn->seg, dec_ea(cpu, insn), &sel, 2);
    step_set(cpu, insn->reg, insn->opsz, sel);
    return 0;
}

/* Which flag CLI and STI work on here: EFL_IF, EFL_VIF, or 0 for #GP(0). */
static u32 interrupt_flag(const struct cpu *cpu)
{
    if (!step_is_protected(cpu))
        return EFL_IF;
    if (step_is_v86(cpu)) {
        if (step_iopl(cpu) == 3)
            return EFL_IF;
        return cpu->cr4 & CR4_VME ? EFL_VIF : 0;
    }
    if (cpu->cpl <= step_iopl(cpu))
        return EFL_IF;
    return cpu->cpl == 3 && (cpu->cr4 & CR4_PVI) ? EFL_VIF : 0;
}

static int cli(struct cpu *cpu)
{
    u32 which = interrupt_flag(cpu);

    if (!which)
        return mon_exc_err(cpu, EXC_GP, 0);
    if (which == EFL_IF)
        cpu->iflag = 0;
    else
        cpu->sysflags &= ~EFL_VIF;
    return 0;
}

static int sti(struct cpu *cpu)
{
    u32 which = interrupt_flag(cpu);

    if (!which || (which == EFL_VIF && (cpu->sysflags & EFL_VIP)))
        return mon_exc_err(cpu, EXC_GP, 0);
    if (which == EFL_IF) {
        /* Interrupts are held off for one instruction, but only by the STI that enables them. */
        if (!cpu->iflag)
            cpu->inhibit = 1;
        cpu->iflag = 1;
    } else {
        cpu->sysflags |= EFL_VIF;
    }
    return 0;
}

static int rdtsc(struct cpu *cpu)
{
    u64 tsc;

    if ((cpu->cr4 & CR4_TSD) && cpu->cpl != 0)
        return mon_exc_err(cpu, EXC_GP, 0);
    tsc = __builtin_ia32_rdtsc() + cpu->tsc_offset;
    cpu->gpr[R_EAX] = (u32)tsc;
    cpu->gpr[R_EDX] = (u32)(tsc >> 32);
    return 0;
}

static int fwait(struct cpu *cpu)
{
    if ((cpu->cr0 & CR0_MP) && (cpu->cr0 & CR0_TS))
        return mon_exc(cpu, EXC_NM);
    bt_fpu_save(cpu);
    return fpu_check_pending(cpu);
}

#define FL_LAHF (FL_SF | FL_ZF | FL_AF | FL_PF | FL_CF)

static void lahf(struct cpu *cpu)
{
    u32 ah = (cpu->flags & FL_LAHF) | EFL_R1;

    cpu->gpr[R_EAX] = (cpu->gpr[R_EAX] & 0xffff00ffu) | ah << 8;
}

int mon_step_hand(struct cpu *cpu, const struct dec_insn *insn)
{
    int rc = 0;

    switch (insn->op) {
    case OP_BT:
    case OP_BTS:
    case OP_BTR:
    case OP_BTC: rc = bit_test(cpu, insn); break;
    case OP_XLAT: rc = xlat(cpu, insn); break;
    case OP_MOV_R_SEG: rc = mov_from_seg(cpu, insn); break;
    case OP_CLI: rc = cli(cpu); break;
    case OP_STI: rc = sti(cpu); break;
    case OP_CLD: cpu->df = 1; break;
    case OP_STD: cpu->df = -1; break;
    case OP_NOP:
    case OP_FENCE: break;
    case OP_LEA: step_set(cpu, insn->reg, insn->opsz, dec_ea(cpu, insn)); break;
    case OP_RDTSC: rc = rdtsc(cpu); break;
    case OP_SALC: step_set(cpu, R_EAX, 1, cpu->flags & FL_CF ? 0xff : 0); break;
    case OP_FWAIT: rc = fwait(cpu); break;
    case OP_LAHF: lahf(cpu); break;
    case OP_SAHF: cpu->flags = (cpu->flags & FL_OF) | (cpu->gpr[R_EAX] >> 8 & FL_LAHF); break;
    default: return mon_exc(cpu, EXC_UD);
    }
    return rc ? -1 : step_done(cpu, insn);
}
