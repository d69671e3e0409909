/*
 * control.c - control and debug registers, TLB and cache instructions, CPUID, MSRs, HLT and other singles.
 *
 * A MOV to a control register checks everything, then changes the register, then applies the TLB rules of SDM
 * vol. 3, 4.10.4 through mon_flush(). Sources: SDM vol. 2 for each instruction; vol. 3, 2.5, 17.2.
 */
#include <x86intrin.h>

#include "monitor/step.h"
#include "monitor/sys.h"

static int require_ring0(struct cpu *cpu)
{
    return cpu->cpl ? mon_exc_err(cpu, EXC_GP, 0) : 0;
}

static bool has(const struct cpu *cpu, unsigned feature)
{
    return cpu->features >> feature & 1;
}

/* ---- CR0, CR3, CR4 ---- */

#define CR0_WRITABLE (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | CR0_PG)
#define PDPTE_RESERVED 0xfffffff0000001e6ull /* bits 1, 2, 5..8 and above 36 address bits */

/* PDPTEs are loaded, and their reserved bits checked, with CR3, and with CR0 and CR4 when a bit of CR*_PDPTE changes while
 * PAE paging is in use (SDM vol. 3, 4.4.1). #GP leaves the old ones. mon_flush() must follow. */
#define CR0_PDPTE (CR0_CD | CR0_NW | CR0_PG)
#define CR4_PDPTE (CR4_PAE | CR4_PGE | CR4_PSE)

int mon_load_pdptes(struct cpu *cpu, u32 cr3)
{
    struct novt_vm *vm = mon_vm(cpu);
    u64 pdpte[4], gpa = cr3 & ~(vm->a20_off ? 0x10001fu : 0x1fu);

    phys_read(vm, gpa, pdpte, sizeof(pdpte));
    for (unsigned i = 0; i < 4; i++) {
        if ((pdpte[i] & 1) && (pdpte[i] & PDPTE_RESERVED))
            return mon_exc_err(cpu, EXC_GP, 0);
    }
    mmu_load_pdptes(vm->mmu, pdpte);
    return 0;
}

int mon_load_cr3(struct cpu *cpu, u32 value)
{
    if ((cpu->cr0 & CR0_PG) && (cpu->cr4 & CR4_PAE) && mon_load_pdptes(cpu, value))
        return -1;
    cpu->cr3 = value;
    mon_flush(cpu, false);
    return 0;
}

static int write_cr0(struct cpu *cpu, u32 value)
{
    u32 old = cpu->cr0, changed;
    bool pdptes;

    value = (value & CR0_WRITABLE) | CR0_ET;
    changed = old ^ value;
    if ((value & CR0_PG) && !(value & CR0_PE))
        return mon_exc_err(cpu, EXC_GP, 0);
    if ((value & CR0_NW) && !(value & CR0_CD))
        return mon_exc_err(cpu, EXC_GP, 0);
    pdptes = (changed & CR0_PDPTE) && (value & CR0_PG) && (cpu->cr4 & CR4_PAE);
    if (pdptes && mon_load_pdptes(cpu, cpu->cr3))
        return -1;
    cpu->cr0 = value;
    if ((changed & CR0_PG) || pdptes)
        mon_flush(cpu, true);
    if (pdptes || changed & ~(CR0_NE | CR0_NW | CR0_CD))
        mon_state_changed(cpu);
    return 0;
}

u32 mon_cr4_writable(const struct cpu *cpu)
{
    u32 mask = 0;

    if (has(cpu, FEAT_CPUID))
        mask |= CR4_VME | CR4_PVI;
    if (has(cpu, FEAT_TSC))
        mask |= CR4_TSD | CR4_DE | CR4_MCE;
    if (has(cpu, FEAT_PSE))
        mask |= CR4_PSE;
    if (has(cpu, FEAT_PAE))
        mask |= CR4_PAE;
    if (has(cpu, FEAT_PGE))
        mask |= CR4_PGE;
    if (has(cpu, FEAT_RDPMC))
        mask |= CR4_PCE;
    if (has(cpu, FEAT_FXSR))
        mask |= CR4_OSFXSR;
    if (has(cpu, FEAT_SSE))
        mask |= CR4_OSXMMEXCPT;
    return mask;
}

static int write_cr4(struct cpu *cpu, u32 value)
{
    u32 changed = cpu->cr4 ^ value;

    if (value & ~mon_cr4_writable(cpu))
        return mon_exc_err(cpu, EXC_GP, 0);
    if ((changed & CR4_PDPTE) && (value & CR4_PAE) && (cpu->cr0 & CR0_PG) && mon_load_pdptes(cpu, cpu->cr3))
        return -1;
    cpu->cr4 = value;
    if (changed & (CR4_PGE | CR4_PAE | CR4_PSE))
        mon_flush(cpu, true);
    if (changed)
        mon_state_changed(cpu);
    return 0;
}

int mon_write_cr(struct cpu *cpu, unsigned n, u32 value)
{
    switch (n) {
    case 0: return write_cr0(cpu, value);
    case 2: cpu->cr2 = value; return 0;
    case 4: return write_cr4(cpu, value);
    }
    if (mon_load_cr3(cpu, value))
        return -1;
    mon_state_changed(cpu);
    return 0;
}

static int do_mov_to_cr(struct cpu *cpu, const struct dec_insn *insn)
{
    u32 value = cpu->gpr[insn->reg & 7];

    switch (insn->reg2) {
    case 0:
    case 2:
    case 3:
    case 4: break;
    default: return mon_exc(cpu, EXC_UD);
    }
    return require_ring0(cpu) ? -1 : mon_write_cr(cpu, insn->reg2, value);
}

static int do_mov_from_cr(struct cpu *cpu, const struct dec_insn *insn)
{
    u32 value;

    switch (insn->reg2) {
    case 0: value = cpu->cr0; break;
    case 2: value = cpu->cr2; break;
    case 3: value = cpu->cr3; break;
    case 4: value = cpu->cr4; break;
    default: return mon_exc(cpu, EXC_UD);
    }
    if (require_ring0(cpu))
        return -1;
    cpu->gpr[insn->reg & 7] = value;
    return 0;
}

static int do_clts(struct cpu *cpu)
{
    if (require_ring0(cpu))
        return -1;
    if (cpu->cr0 & CR0_TS) {
        cpu->cr0 &= ~CR0_TS;
        mon_state_changed(cpu);
    }
    return 0;
}

static int do_lmsw(struct cpu *cpu, const struct dec_insn *insn)
{
    const u32 bits = CR0_MP | CR0_EM | CR0_TS;
    u16 value;

    if (require_ring0(cpu))
        return -1;
    if (insn->mem) {
        if (mem_read(cpu, insn->seg, dec_ea(cpu, insn), &value, 2))
            return -1;
    } else {
        value = (u16)cpu->gpr[modrm_rm(insn)];
    }
    /* PE can be set, not cleared. */
    return write_cr0(cpu, (cpu->cr0 & ~bits) | (value & (bits | CR0_PE)));
}

static int do_smsw(struct cpu *cpu, const struct dec_insn *insn)
{
    u16 value = (u16)cpu->cr0;

    if (insn->mem)
        return mem_write(cpu, insn->seg, dec_ea(cpu, insn), &value, 2);
    gpr_write(cpu, modrm_rm(insn), cpu->cr0, insn->opsz == 2 ? 2 : 4);
    return 0;
}

/* ---- debug registers ---- */

/* DR4 and DR5 are DR6 and DR7 unless CR4.DE makes them undefined. */
static int debug_register(struct cpu *cpu, unsigned n, unsigned *real)
{
    *real = n & 7;
    if (*real == 4 || *real == 5) {
        if (cpu->cr4 & CR4_DE)
            return mon_exc(cpu, EXC_UD);
        *real += 2;
    }
    if (require_ring0(cpu))
        return -1;
    if (cpu->dr[7] & DR7_GD) {
        cpu->dr[7] &= ~DR7_GD;
        dbg_report(cpu, DR6_BD);
        return mon_exc(cpu, EXC_DB);
    }
    return 0;
}

void mon_write_dr(struct cpu *cpu, unsigned n, u32 value)
{
    if (n == 6)
        cpu->dr[6] = (value & 0xe00fu) | DR6_FIXED;
    else if (n == 7)
        cpu->dr[7] = (value & 0xffff23ffu) | DR7_FIXED;
    else
        cpu->dr[n] = value;
    if (n == 7)
        mon_state_changed(cpu);
}

static int do_mov_to_dr(struct cpu *cpu, const struct dec_insn *insn)
{
    u32 value = cpu->gpr[insn->reg & 7];
    unsigned n;

    if (debug_register(cpu, insn->reg2, &n))
        return -1;
    mon_write_dr(cpu, n, value);
    return 0;
}

static int do_mov_from_dr(struct cpu *cpu, const struct dec_insn *insn)
{
    unsigned n;

    if (debug_register(cpu, insn->reg2, &n))
        return -1;
    cpu->gpr[insn->reg & 7] = cpu->dr[n];
    return 0;
}

/* ---- MSRs, counters, CPUID ---- */

static int do_rdmsr(struct cpu *cpu)
{
    u64 value;

    if (require_ring0(cpu) || mon_rdmsr(cpu, cpu->gpr[R_ECX], &value))
        return -1;
    cpu->gpr[R_EAX] = (u32)value;
    cpu->gpr[R_EDX] = (u32)(value >> 32);
    return 0;
}

static int do_wrmsr(struct cpu *cpu)
{
    if (require_ring0(cpu))
        return -1;
    return mon_wrmsr(cpu, cpu->gpr[R_ECX], (u64)cpu->gpr[R_EDX] << 32 | cpu->gpr[R_EAX]);
}

/* Two counters that never count. */
static int do_rdpmc(struct cpu *cpu)
{
    if ((!(cpu->cr4 & CR4_PCE) && cpu->cpl != 0) || cpu->gpr[R_ECX] > 1)
        return mon_exc_err(cpu, EXC_GP, 0);
    cpu->gpr[R_EAX] = cpu->gpr[R_EDX] = 0;
    return 0;
}

static int do_rdtscp(struct cpu *cpu)
{
    u64 tsc;

    if ((cpu->cr4 & CR4_TSD) && cpu->cpl != 0)
        return mon_exc_err(cpu, EXC_GP, 0);
    tsc = __rdtsc() + cpu->tsc_offset;
    cpu->gpr[R_EAX] = (u32)tsc;
    cpu->gpr[R_EDX] = (u32)(tsc >> 32);
    cpu->gpr[R_ECX] = 0;
    return 0;
}

static int do_cpuid(struct cpu *cpu)
{
    u32 out[4];

    cpuid_query(cpu, cpu->gpr[R_EAX], cpu->gpr[R_ECX], out);
    cpu->gpr[R_EAX] = out[0];
    cpu->gpr[R_EBX] = out[1];
    cpu->gpr[R_ECX] = out[2];
    cpu->gpr[R_EDX] = out[3];
    return 0;
}

/* ---- the rest ---- */

static int do_invlpg(struct cpu *cpu, const struct dec_insn *insn)
{
    struct novt_vm *vm = mon_vm(cpu);

    if (!insn->mem)
        return mon_exc(cpu, EXC_UD);
    if (require_ring0(cpu))
        return -1;
    mem_tlb_flush(vm);
    mmu_invlpg(vm->mmu, &vm->regime, cpu->seg_base[insn->seg % SEG_COUNT] + dec_ea(cpu, insn));
    return 0;
}

static int do_hlt(struct cpu *cpu)
{
    if (require_ring0(cpu))
        return -1;
    cpu->halted = 1;
    return 0;
}

/* Checked like a read of one byte, but allowed in execute-only code (SDM vol. 2, CLFLUSH). */
static int clflush(struct cpu *cpu, const struct dec_insn *insn)
{
    const struct cpu_seg *s = &cpu->seg[insn->seg % SEG_COUNT];
    u32 ea = dec_ea(cpu, insn);
    u8 byte;

    if (!mon_is_protected(cpu) ||
        (s->attr & (SEG_ATTR_P | SEG_ATTR_CODE | SEG_ATTR_RW)) != (SEG_ATTR_P | SEG_ATTR_CODE))
        return mem_probe_read(cpu, insn->seg, ea, 1);
    if (!seg_in_limit(s, ea, 1))
        return mon_exc_err(cpu, insn->seg == SEG_SS ? EXC_SS : EXC_GP, 0);
    return lin_read(cpu, cpu->seg_base[insn->seg % SEG_COUNT] + ea, &byte, 1, false);
}

static int dispatch(struct cpu *cpu, const struct dec_insn *insn)
{
    switch (insn->op) {
    case OP_MOV_CR_R: return do_mov_to_cr(cpu, insn);
    case OP_MOV_R_CR: return do_mov_from_cr(cpu, insn);
    case OP_MOV_DR_R: return do_mov_to_dr(cpu, insn);
    case OP_MOV_R_DR: return do_mov_from_dr(cpu, insn);
    case OP_CLTS: return do_clts(cpu);
    case OP_LMSW: return do_lmsw(cpu, insn);
    case OP_SMSW: return do_smsw(cpu, insn);
    case OP_INVLPG: return do_invlpg(cpu, insn);
    case OP_INVD:
    case OP_WBINVD: return require_ring0(cpu);
    case OP_RDMSR: return do_rdmsr(cpu);
    case OP_WRMSR: return do_wrmsr(cpu);
    case OP_RDPMC: return do_rdpmc(cpu);
    case OP_RDTSCP: return do_rdtscp(cpu);
    case OP_CPUID: return do_cpuid(cpu);
    case OP_HLT: return do_hlt(cpu);
    case OP_CLFLUSH: return clflush(cpu, insn);
    default: return mon_exc(cpu, EXC_UD); /* UD2, RSM outside SMM, MONITOR, MWAIT */
    }
}

int mon_sys_control(struct cpu *cpu, const struct dec_insn *insn)
{
    if (dispatch(cpu, insn))
        return -1;
    mon_next(cpu, insn);
    return 0;
}
