/*
 * snap_cpu.c - what the CPU saves, and what follows from it when it is restored.
 *
 * Architected state and the few bits between two instructions (shadows, pending traps). Modes, windows, tags, translations follow.
 * What no CPU can be in is refused; short of that a state file can put the guest into any state, as the guest itself can.
 */
#include <string.h>

#include "monitor/snap.h"
#include "monitor/sys.h"

enum { FX_FOP = 6, FX_FIP = 8, FX_MXCSR = 24 };

#define S struct cpu_seg
static const struct state_field seg_rows[] = {STATE(S, limit), STATE(S, sel), STATE(S, attr)};
STATE_INNER(seg_state, seg_rows, NULL);
#undef S
#define S struct cpu_table
static const struct state_field table_rows[] = {STATE(S, base), STATE(S, limit)};
STATE_INNER(table_state, table_rows, NULL);
#undef S
#define S struct cpu_sysseg
static const struct state_field sysseg_rows[] = {STATE(S, base), STATE(S, limit), STATE(S, sel), STATE(S, attr)};
STATE_INNER(sysseg_state, sysseg_rows, NULL);
#undef S

#define S struct cpu
static const struct state_field cpu_rows[] = {
    STATE_SAME(S, features),
    STATE_ARRAY(S, gpr),
    STATE(S, eip),
    STATE(S, flags),
    STATE(S, df),
    STATE(S, sysflags),
    STATE_MAX(S, iflag, 1),
    STATE_MAX(S, inhibit, 2),
    STATE_ARRAY(S, seg_base),
    STATE_PARTS(S, seg, &seg_state),
    STATE_PART(S, gdtr, &table_state),
    STATE_PART(S, idtr, &table_state),
    STATE_PART(S, ldtr, &sysseg_state),
    STATE_PART(S, tr, &sysseg_state),
    STATE(S, cr0),
    STATE(S, cr2),
    STATE(S, cr3),
    STATE(S, cr4),
    STATE_ARRAY(S, dr),
    STATE_MAX(S, cpl, 3),
    STATE_MAX(S, halted, 1),
    STATE_MAX(S, nmi_blocked, 1),
    STATE(S, sysenter_cs),
    STATE(S, sysenter_esp),
    STATE(S, sysenter_eip),
    STATE(S, efer),
    STATE(S, tsc_adjust),
    STATE(S, pat),
    STATE(S, misc_enable),
    STATE_ARRAY(S, mtrr),
    STATE_BYTES(S, fpu),
    STATE(S, fpu_ip),
    STATE(S, fpu_dp),
    STATE(S, fpu_opcode),
};

static const char *check_cpu(const void *obj)
{
    const struct cpu *c = obj;
    const u32 sysflags = EFL_TF | EFL_IOPL | EFL_NT | EFL_RF | EFL_VM | EFL_AC | EFL_VIF | EFL_VIP | EFL_ID;
    u32 mxcsr;

    memcpy(&mxcsr, c->fpu + FX_MXCSR, 4);
    if ((c->cr0 & CR0_PG && !(c->cr0 & CR0_PE)) || (c->cr0 & CR0_NW && !(c->cr0 & CR0_CD)))
        return "impossible CR0";
    if (c->cr4 & ~mon_cr4_writable(c) || (c->efer && c->efer != EFER_NXE) || (c->efer && !cpuid_has_nx(c)))
        return "what this CPU model lacks";
    if (c->sysflags & ~sysflags || c->flags & ~FL_ARITH || (c->df != 1 && c->df != -1))
        return "impossible flags";
    if (c->sysflags & EFL_VM ? !(c->cr0 & CR0_PE) || c->cpl != 3 : !(c->cr0 & CR0_PE) && c->cpl != 0)
        return "impossible privilege";
    return mxcsr & ~0xffffu ? "impossible MXCSR" : NULL;
}
const struct state_table snap_cpu_state = {"cpu", 1, cpu_rows, ARRAY_SIZE(cpu_rows), check_cpu, NULL};
#undef S

#define S struct snap_extra
static const struct state_field extra_rows[] = {
    STATE(S, tsc), STATE_ARRAY(S, pdpte), STATE_MAX(S, nmi, 1), STATE_MAX(S, dbg_hits, 15)};
const struct state_table snap_extra_state = {"cpu-more", 1, extra_rows, ARRAY_SIZE(extra_rows), NULL, NULL};
#undef S

void snap_extra_take(struct machine *m, struct snap_extra *x)
{
    struct cpu *cpu = &m->vm.cpu;

    mon_fpu_note(cpu);
    *x = (struct snap_extra){.tsc = m->paused_tsc + cpu->tsc_offset, .nmi = m->vm.nmi, .dbg_hits = m->vm.dbg_hits};
    mmu_get_pdptes(m->vm.mmu, x->pdpte);
}

void snap_cpu_restored(struct machine *m, const struct snap_extra *x)
{
    struct novt_vm *vm = &m->vm;
    struct cpu *cpu = &vm->cpu;

    for (unsigned i = 0; i < SEG_COUNT; i++)
        cpu->seg_limit[i] = cpu->seg[i].limit;
    cpu->tsc_offset = x->tsc - m->paused_tsc;
    cpu->exit_from = 0;
    cpu->fpu_fresh = 0;
    /* The image's own pointers are another process's code cache. */
    memset(cpu->fpu + FX_FOP, 0, FX_MXCSR - FX_FOP);
    cpu->fpu[FX_FIP] = BT_X87_IP_NONE;
    vm->nmi = x->nmi;
    vm->dbg_hits = x->dbg_hits;
    vm->step_reason = STEP_EMITTED;
    vm->n_slow = 0;
    mmu_load_pdptes(vm->mmu, x->pdpte);
    mon_flush(cpu, true);
    mon_state_changed(cpu);
    mon_cache_flush(vm);
    mon_timer_update(vm);
    cpu->kick = 1;
}
