/*
 * emulate.c - instructions carried out in C: the callout of translated code and the single step.
 *
 * mon_emulate() serves a decoded instruction inside a block, mon_step() fetches and decodes one itself and adds what
 * only a lone instruction needs: breakpoints, the trap flag, RF, the STI and MOV SS shadow. Both end in the same
 * table of families. What the host can run natively goes to bt_step(), but never from inside a block: then the run loop does
 * it. Sources: SDM vol. 3, 2.5 (EM, MP, TS), 6.8.3 (shadow), 17.3.1 (traps).
 */
#include "monitor/step.h"
#include "monitor/sys.h"

typedef int (*family_fn)(struct cpu *cpu, const struct dec_insn *insn);

/* Families of DEC_SYS. */
static family_fn system_family(u8 op)
{
    switch (op) {
    case OP_IN:
    case OP_OUT:
    case OP_INS:
    case OP_OUTS: return mon_sys_io;
    case OP_INT:
    case OP_INT3:
    case OP_INT1:
    case OP_INTO:
    case OP_IRET:
    case OP_SYSENTER:
    case OP_SYSEXIT:
    case OP_CALL_FAR_I:
    case OP_JMP_FAR_I:
    case OP_CALL_FAR_M:
    case OP_JMP_FAR_M:
    case OP_RET_FAR: return mon_sys_transfer;
    case OP_MOV_SEG_RM:
    case OP_POP_SEG:
    case OP_LOAD_FAR:
    case OP_LGDT:
    case OP_LIDT:
    case OP_SGDT:
    case OP_SIDT:
    case OP_LLDT:
    case OP_LTR:
    case OP_SLDT:
    case OP_STR:
    case OP_LAR:
    case OP_LSL:
    case OP_VERR:
    case OP_VERW:
    case OP_ARPL: return mon_sys_segment;
    case OP_AAA:
    case OP_AAS:
    case OP_AAM:
    case OP_AAD:
    case OP_DAA:
    case OP_DAS:
    case OP_BOUND: return mon_sys_bcd;
    case OP_FNSTENV:
    case OP_FLDENV:
    case OP_FNSAVE:
    case OP_FRSTOR:
    case OP_FXSAVE:
    case OP_FXRSTOR:
    case OP_MASKMOV: return mon_sys_fpuenv;
    default: return mon_sys_control;
    }
}

static bool is_transfer(const struct dec_insn *insn)
{
    return insn->cls == DEC_BRANCH || (insn->cls == DEC_SYS && system_family(insn->op) == mon_sys_transfer);
}

/* #UD and #NM by CR0 and CR4 (SDM vol. 3, 2.5 and table 2-2). */
static int fpu_gate(struct cpu *cpu, const struct dec_insn *insn)
{
    switch (insn->fpu) {
    case DEC_FPU_X87:
    case DEC_FPU_FXSR: return cpu->cr0 & (CR0_EM | CR0_TS) ? mon_exc(cpu, EXC_NM) : 0;
    case DEC_FPU_SSE:
        if (!(cpu->cr4 & CR4_OSFXSR))
            return mon_exc(cpu, EXC_UD);
        __attribute__((fallthrough));
    case DEC_FPU_MMX:
        if (cpu->cr0 & CR0_EM)
            return mon_exc(cpu, EXC_UD);
        return cpu->cr0 & CR0_TS ? mon_exc(cpu, EXC_NM) : 0;
    default: return 0;
    }
}

/* All classes but DEC_PLAIN. */
static int carry_out(struct cpu *cpu, const struct dec_insn *insn)
{
    switch (insn->cls) {
    case DEC_STACK: return mon_step_stack(cpu, insn);
    case DEC_STRING: return mon_step_string(cpu, insn);
    case DEC_BRANCH: return mon_step_branch(cpu, insn);
    case DEC_HAND: return mon_step_hand(cpu, insn);
    case DEC_SYS: return system_family(insn->op)(cpu, insn);
    default: return mon_exc(cpu, EXC_UD);
    }
}

static int leave(struct cpu *cpu, enum bt_exit_kind kind)
{
    cpu->exit_kind = (u8)kind;
    cpu->exit_from = 0;
    return BT_LEAVE;
}

int mon_emulate(struct cpu *cpu, const struct dec_insn *insn)
{
    struct novt_vm *vm = mon_vm(cpu);
    const struct mmu_window *window = vm->win;
    u32 next = cpu->eip + insn->len;
    u64 tag = cpu->ctx_tag;
    int rc;

    vm->code_dropped = 0;
    vm->mmio_seen = 0;
    if (fpu_gate(cpu, insn))
        return leave(cpu, BT_EXIT_EXCEPTION);
    rc = insn->cls == DEC_PLAIN ? mon_step_plain(cpu, insn) : carry_out(cpu, insn);
    if (UNLIKELY(rc > 0))
        return leave(cpu, BT_EXIT_STEP);
    if (rc)
        return leave(cpu, BT_EXIT_EXCEPTION);
    mon_note_memory(vm, insn, tag == cpu->ctx_tag && vm->win == window);
    if (UNLIKELY(cpu->halted))
        return leave(cpu, BT_EXIT_HLT);
    /* Behind a transfer there is no code to go on with, even when it leads to the next instruction. */
    if (cpu->eip != next || cpu->ctx_tag != tag || vm->win != window || is_transfer(insn))
        return leave(cpu, BT_EXIT_LOOKUP);
    /* It may have written over what follows it. */
    if (UNLIKELY(vm->code_dropped) || cpu->inhibit || vm->stop || vm->nmi || (cpu->iflag && cpu->irq_pending))
        return leave(cpu, BT_EXIT_LOOKUP);
    return BT_CONT;
}

/* ---- one instruction ---- */

/* Fetch and decode; -1 with #PF, #GP or #UD. */
static int fetch(struct cpu *cpu, struct dec_insn *insn)
{
    u8 bytes[DEC_MAX_LEN];
    unsigned got;
    u64 gpa;
    int rc;

    if (mem_fetch(cpu, cpu->eip, bytes, &got, &gpa))
        return -1;
    rc = dec_decode(insn, bytes, got, cpu->mode & MODE_CS32, cpu->features);
    if (rc == 0)
        return 0;
    /* Too long; or cut short by the limit or the next page, whose fault comes with its first byte. */
    if (rc == -ENODATA && got < DEC_MAX_LEN && mem_fetch(cpu, cpu->eip + got, bytes, &got, &gpa))
        return -1;
    return mon_exc_err(cpu, EXC_GP, 0);
}

static int execute(struct cpu *cpu, const struct dec_insn *insn)
{
    if (fpu_gate(cpu, insn))
        return -1;
    if (insn->cls != DEC_PLAIN)
        return carry_out(cpu, insn);
    return bt_step(mon_vm(cpu)->bt, insn) == BT_CONT ? 0 : -1;
}

/* cpu->inhibit behind a load of SS, in single steps: breakpoints are held off as well. */
#define INHIBIT_SS 2

/* Does the instruction hold off debug traps too? (SDM vol. 3, 6.8.3) */
static bool loads_ss(const struct dec_insn *insn)
{
    return (insn->op == OP_MOV_SEG_RM || insn->op == OP_POP_SEG) && insn->reg == SEG_SS;
}

/* #DB behind an instruction: single step and data breakpoints. */
static int debug_traps(struct cpu *cpu, bool stepped, bool hold, bool unfinished)
{
    struct novt_vm *vm = mon_vm(cpu);
    u32 cause = vm->dbg_hits | (stepped ? DR6_BS : 0);

    if (LIKELY(!cause))
        return 0;
    if (hold)
        return 0; /* data hits stay pending; a single-step trap is lost */
    vm->dbg_hits = 0;
    if (unfinished) /* between iterations the frame has RF (SDM vol. 3, 17.3.1.1) */
        cpu->sysflags |= EFL_RF;
    dbg_report(cpu, cause | dbg_insn_hits(cpu, cpu->seg_base[SEG_CS] + cpu->eip));
    return mon_exc(cpu, EXC_DB);
}

/* #DB in front of an instruction: what the delivery of an interrupt or exception accessed, and instruction breakpoints. */
static int debug_faults(struct cpu *cpu)
{
    u32 cause;

    if (mon_vm(cpu)->dbg_hits)
        return debug_traps(cpu, false, false, false);
    cause = dbg_insn_hits(cpu, cpu->seg_base[SEG_CS] + cpu->eip);
    if (!cause)
        return 0;
    dbg_report(cpu, cause);
    return mon_exc(cpu, EXC_DB);
}

/* Is this a repeated instruction with iterations left? Their own one is then still the next. */
static bool is_unfinished(const struct cpu *cpu, const struct dec_insn *insn, u32 eip)
{
    bool string = insn->cls == DEC_STRING || insn->op == OP_INS || insn->op == OP_OUTS;

    return cpu->eip == eip && string && (insn->prefixes & (DEC_PFX_REP | DEC_PFX_REPNE));
}

/* VIF and VIP both set at the beginning of an instruction, as IRET and task switches can leave them: -1 with #GP(0)
 * (SDM vol. 3, 20.3.2). */
static int virtual_interrupt_due(struct cpu *cpu)
{
    const u32 both = EFL_VIF | EFL_VIP;

    if ((cpu->sysflags & both) != both || cpu->cpl != 3 || step_iopl(cpu) == 3 || !step_is_protected(cpu))
        return 0;
    return cpu->cr4 & (step_is_v86(cpu) ? CR4_VME : CR4_PVI) ? mon_exc_err(cpu, EXC_GP, 0) : 0;
}

int mon_step(struct cpu *cpu)
{
    bool tf = cpu->sysflags & EFL_TF, rf = cpu->sysflags & EFL_RF, after_ss = cpu->inhibit == INHIBIT_SS;
    bool hold, unfinished;
    u32 eip = cpu->eip;
    struct dec_insn insn;

    cpu->inhibit = 0;
    if (UNLIKELY(cpu->mode & MODE_DB) && !after_ss && debug_faults(cpu))
        return leave(cpu, BT_EXIT_EXCEPTION);
    if (virtual_interrupt_due(cpu) || fetch(cpu, &insn) || execute(cpu, &insn)) {
        mon_vm(cpu)->dbg_hits = 0; /* the fault comes before the trap, and its instruction is run again */
        return leave(cpu, BT_EXIT_EXCEPTION);
    }
    /* Of several loads of SS in a row the first one holds things off. */
    hold = loads_ss(&insn) && !after_ss;
    if (loads_ss(&insn))
        cpu->inhibit = hold ? INHIBIT_SS : 0;
    unfinished = is_unfinished(cpu, &insn, eip);
    if (rf && insn.op != OP_IRET && !unfinished)
        cpu->sysflags &= ~EFL_RF;
    /* Gates clear TF before the trap would be taken. */
    if (is_transfer(&insn) && insn.op != OP_IRET)
        tf = tf && (cpu->sysflags & EFL_TF);
    if (debug_traps(cpu, tf, hold, unfinished))
        return leave(cpu, BT_EXIT_EXCEPTION);
    if (cpu->halted)
        return leave(cpu, BT_EXIT_HLT);
    return BT_CONT;
}
