/*
 * msr.c - model-specific registers.
 *
 * Those that the CPU models have and that firmware and kernels touch; every other index is #GP(0), as on a CPU
 * without it, and kernels probe for that. MTRRs and the PAT keep what is written and mean nothing. Source: SDM vol. 4.
 */
#include <string.h>
#include <x86intrin.h>

#include "monitor/sys.h"

enum msr {
    MSR_P5_MC_ADDR = 0x0,
    MSR_P5_MC_TYPE = 0x1,
    MSR_TSC = 0x10,
    MSR_PLATFORM_ID = 0x17,
    MSR_APIC_BASE = 0x1b,
    MSR_EBL_CR_POWERON = 0x2a,
    MSR_TSC_ADJUST = 0x3b,
    MSR_UCODE_WRITE = 0x79,
    MSR_UCODE_REV = 0x8b,
    MSR_MTRR_CAP = 0xfe,
    MSR_BBL_CR_CTL3 = 0x11e,
    MSR_SYSENTER_CS = 0x174,
    MSR_SYSENTER_ESP = 0x175,
    MSR_SYSENTER_EIP = 0x176,
    MSR_MCG_CAP = 0x179,
    MSR_MCG_STATUS = 0x17a,
    MSR_MISC_ENABLE = 0x1a0,
    MSR_DEBUGCTL = 0x1d9,
    MSR_MTRR_VAR = 0x200, /* base and mask of eight ranges */
    MSR_MTRR_FIX64K = 0x250,
    MSR_MTRR_FIX16K = 0x258, /* two */
    MSR_MTRR_FIX4K = 0x268,  /* eight */
    MSR_PAT = 0x277,
    MSR_MTRR_DEF = 0x2ff,
    MSR_EFER = 0xc0000080,
};

#define MTRR_VAR_COUNT 8u
#define MTRR_CAP (MTRR_VAR_COUNT | BIT(8) | BIT(10)) /* fixed ranges, write combining */
#define PAT_RESET 0x0007040600070406ull
/* Fast strings; branch trace and precise event sampling not available. */
#define MISC_ENABLE_RESET (BIT(0) | BIT(11) | BIT(12))

static bool has(const struct cpu *cpu, unsigned feature)
{
    return cpu->features >> feature & 1;
}

/* Slot of an MTRR in cpu->mtrr, or -1: 0..15 variable, 16 fixed 64K, 17..18 16K, 19..26 4K, 27 default type. */
static int mtrr_slot(const struct cpu *cpu, u32 index)
{
    if (!has(cpu, FEAT_PGE)) /* MTRRs came with the P6, as PGE did */
        return -1;
    if (index >= MSR_MTRR_VAR && index < MSR_MTRR_VAR + 2 * MTRR_VAR_COUNT)
        return (int)(index - MSR_MTRR_VAR);
    if (index == MSR_MTRR_FIX64K)
        return 16;
    if (index >= MSR_MTRR_FIX16K && index < MSR_MTRR_FIX16K + 2)
        return (int)(17 + index - MSR_MTRR_FIX16K);
    if (index >= MSR_MTRR_FIX4K && index < MSR_MTRR_FIX4K + 8)
        return (int)(19 + index - MSR_MTRR_FIX4K);
    return index == MSR_MTRR_DEF ? 27 : -1;
}

static bool memory_type_ok(unsigned type, bool pat)
{
    return type <= 7 && type != 2 && type != 3 && (pat || type != 7);
}

static bool memory_types_ok(u64 value, bool pat)
{
    for (unsigned i = 0; i < 8; i++, value >>= 8) {
        if (!memory_type_ok(value & 0xff, pat))
            return false;
    }
    return true;
}

#define PHYS_RESERVED 0xfffffff000000000ull /* above 36 address bits */

static bool mtrr_value_ok(int slot, u64 value)
{
    if (slot == 27)
        return !(value & ~0xcffull) && memory_type_ok(value & 0xff, false);
    if (slot >= 16)
        return memory_types_ok(value, false);
    if (slot & 1)
        return !(value & (PHYS_RESERVED | 0x7ff));
    return !(value & (PHYS_RESERVED | 0xf00)) && memory_type_ok(value & 0xff, false);
}

void msr_reset(struct cpu *cpu)
{
    memset(cpu->mtrr, 0, sizeof(cpu->mtrr));
    cpu->pat = PAT_RESET;
    cpu->efer = 0;
    cpu->misc_enable = MISC_ENABLE_RESET;
    cpu->sysenter_cs = cpu->sysenter_esp = cpu->sysenter_eip = 0;
    cpu->tsc_adjust = 0;
}

static bool read_p6(const struct cpu *cpu, u32 index, u64 *value)
{
    const struct novt_vm *vm = cpu->vm;
    int slot = mtrr_slot(cpu, index);

    if (!has(cpu, FEAT_PGE))
        return false;
    if (slot >= 0) {
        *value = cpu->mtrr[slot];
        return true;
    }
    switch (index) {
    case MSR_PLATFORM_ID:
    case MSR_EBL_CR_POWERON:
    case MSR_BBL_CR_CTL3:
    case MSR_MCG_CAP:
    case MSR_MCG_STATUS:
    case MSR_DEBUGCTL:
    case MSR_UCODE_REV: *value = 0; return true;
    case MSR_MTRR_CAP: *value = MTRR_CAP; return true;
    case MSR_APIC_BASE: *value = vm->pc ? pc_apic_base(vm->pc) : 0; return true;
    case MSR_PAT: *value = cpu->pat; return true;
    case MSR_MISC_ENABLE: *value = cpu->misc_enable; return has(cpu, FEAT_SSE2);
    }
    return false;
}

int mon_rdmsr(struct cpu *cpu, u32 index, u64 *value)
{
    *value = 0;
    switch (index) {
    case MSR_P5_MC_ADDR:
    case MSR_P5_MC_TYPE: return 0;
    case MSR_TSC: *value = __rdtsc() + cpu->tsc_offset; return 0;
    case MSR_TSC_ADJUST:
        if (!cpuid_has_tsc_adjust(cpu))
            break;
        *value = cpu->tsc_adjust;
        return 0;
    case MSR_EFER:
        if (!cpuid_has_nx(cpu))
            break;
        *value = cpu->efer;
        return 0;
    case MSR_SYSENTER_CS:
    case MSR_SYSENTER_ESP:
    case MSR_SYSENTER_EIP:
        if (!has(cpu, FEAT_SEP))
            break;
        *value = index == MSR_SYSENTER_CS    ? cpu->sysenter_cs
                 : index == MSR_SYSENTER_ESP ? cpu->sysenter_esp
                                             : cpu->sysenter_eip;
        return 0;
    default:
        if (read_p6(cpu, index, value))
            return 0;
    }
    return mon_exc_err(cpu, EXC_GP, 0);
}

static bool write_p6(struct cpu *cpu, u32 index, u64 value)
{
    struct novt_vm *vm = mon_vm(cpu);
    int slot = mtrr_slot(cpu, index);

    if (!has(cpu, FEAT_PGE))
        return false;
    if (slot >= 0) {
        if (!mtrr_value_ok(slot, value))
            return false;
        cpu->mtrr[slot] = value;
        return true;
    }
    switch (index) {
    case MSR_EBL_CR_POWERON:
    case MSR_BBL_CR_CTL3:
    case MSR_MCG_STATUS:
    case MSR_DEBUGCTL:
    case MSR_UCODE_WRITE:
    case MSR_UCODE_REV: return true;
    case MSR_APIC_BASE: return vm->pc ? pc_set_apic_base(vm->pc, value) : !value;
    case MSR_PAT:
        if (!memory_types_ok(value, true))
            return false;
        cpu->pat = value;
        return true;
    case MSR_MISC_ENABLE:
        if (!has(cpu, FEAT_SSE2))
            return false;
        cpu->misc_enable = value;
        return true;
    }
    return false;
}

static int write_efer(struct cpu *cpu, u64 value)
{
    if (!cpuid_has_nx(cpu) || (value & ~(u64)EFER_NXE))
        return mon_exc_err(cpu, EXC_GP, 0);
    if (cpu->efer == value)
        return 0;
    cpu->efer = value;
    mon_flush(cpu, true);
    mon_state_changed(cpu);
    return 0;
}

int mon_wrmsr(struct cpu *cpu, u32 index, u64 value)
{
    u64 old;

    switch (index) {
    case MSR_P5_MC_ADDR:
    case MSR_P5_MC_TYPE: return 0;
    case MSR_TSC:
        /* P6 and earlier clear the upper half (SDM vol. 4). */
        old = cpu->tsc_offset;
        cpu->tsc_offset = (has(cpu, FEAT_SSE2) ? value : (u32)value) - __rdtsc();
        cpu->tsc_adjust += cpu->tsc_offset - old;
        return 0;
    case MSR_TSC_ADJUST: /* SDM vol. 3, 18.17.3: both say how far the TSC was moved */
        if (!cpuid_has_tsc_adjust(cpu))
            break;
        cpu->tsc_offset += value - cpu->tsc_adjust;
        cpu->tsc_adjust = value;
        return 0;
    case MSR_EFER: return write_efer(cpu, value);
    case MSR_SYSENTER_CS:
    case MSR_SYSENTER_ESP:
    case MSR_SYSENTER_EIP:
        if (!has(cpu, FEAT_SEP))
            break;
        if (index == MSR_SYSENTER_CS)
            cpu->sysenter_cs = (u32)value;
        else if (index == MSR_SYSENTER_ESP)
            cpu->sysenter_esp = (u32)value;
        else
            cpu->sysenter_eip = (u32)value;
        return 0;
    default:
        if (write_p6(cpu, index, value))
            return 0;
    }
    return mon_exc_err(cpu, EXC_GP, 0);
}
