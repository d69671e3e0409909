/*
 * interrupt.c - delivery of interrupts and exceptions through the IVT or the IDT.
 *
 * One event is delivered or raises another; mon_deliver() turns chains of them into double fault and shutdown.
 * Sources: SDM vol. 2, INT n; vol. 3, 6.10 to 6.15, table 6-5, 20.2, 20.3.
 */
#include "monitor/sys.h"

struct event {
    enum mon_source src;
    u8 vector;
    bool has_error;
    u32 error;
    u32 return_eip;
    u32 ext; /* EXT bit for error codes of faults during delivery */
};

#define ERR_IDT 2u

static bool is_software(const struct event *ev)
{
    return ev->src == MON_SOFT_INT || ev->src == MON_INT3;
}

/* Faults push EFLAGS with RF set, so that the retried instruction ignores its breakpoint (SDM vol. 3, 17.3.1.1). */
static bool pushes_rf(const struct event *ev)
{
    const u32 faults = BIT(EXC_DE) | BIT(EXC_BR) | BIT(EXC_UD) | BIT(EXC_NM) | BIT(EXC_TS) | BIT(EXC_NP) |
                       BIT(EXC_SS) | BIT(EXC_GP) | BIT(EXC_DF) | BIT(EXC_PF) | BIT(EXC_MF) | BIT(EXC_AC) |
                       BIT(EXC_XM);

    return ev->src == MON_EXCEPTION && ev->vector < 32 && (faults >> ev->vector & 1);
}

static u32 idt_error(const struct event *ev)
{
    return (u32)ev->vector * 8 + ERR_IDT + ev->ext;
}

/* ---- real mode ---- */

/* Through a real-mode vector table at linear address table: pushes flags, CS, IP. */
static int deliver_8086(struct cpu *cpu, const struct event *ev, u32 table, u32 flags)
{
    u32 vec, val[3] = {flags, cpu->seg[SEG_CS].sel, ev->return_eip};
    struct frame f;

    if (lin_read(cpu, table + ev->vector * 4u, &vec, 4, true))
        return -1;
    frame_current(cpu, &f);
    if (frame_push(cpu, &f, val, 3, 2, 0))
        return -1;
    if ((vec & 0xffff) > cpu->seg[SEG_CS].limit)
        return mon_exc_err(cpu, EXC_GP, 0);
    cpu->gpr[R_ESP] = f.sp;
    seg_load_real(cpu, SEG_CS, (u16)(vec >> 16));
    cpu->eip = vec & 0xffff;
    return 0;
}

static int deliver_real(struct cpu *cpu, const struct event *ev)
{
    if (ev->vector * 4u + 3 > cpu->idtr.limit)
        return mon_exc_err(cpu, EXC_GP, idt_error(ev));
    if (deliver_8086(cpu, ev, cpu->idtr.base, cpu_eflags(cpu)))
        return -1;
    cpu->iflag = 0;
    cpu->sysflags &= ~(EFL_TF | EFL_AC | EFL_RF);
    return 0;
}

/* ---- protected mode ---- */

static void enter_handler(struct cpu *cpu, u64 gate)
{
    cpu->sysflags &= ~(EFL_TF | EFL_VM | EFL_RF | EFL_NT);
    if (!(desc_type(gate) & 1)) /* interrupt gate */
        cpu->iflag = 0;
}

/* Return information in the order of pushing; the inner form starts with the old stack. */
static unsigned fill_frame(const struct cpu *cpu, const struct event *ev, bool inner, u32 *val)
{
    unsigned n = 0;

    if (inner) {
        if (mon_is_v86(cpu)) {
            val[n++] = cpu->seg[SEG_GS].sel;
            val[n++] = cpu->seg[SEG_FS].sel;
            val[n++] = cpu->seg[SEG_DS].sel;
            val[n++] = cpu->seg[SEG_ES].sel;
        }
        val[n++] = cpu->seg[SEG_SS].sel;
        val[n++] = cpu->gpr[R_ESP];
    }
    val[n++] = cpu_eflags(cpu) | (pushes_rf(ev) ? EFL_RF : 0);
    val[n++] = cpu->seg[SEG_CS].sel;
    val[n++] = ev->return_eip;
    if (ev->has_error)
        val[n++] = ev->error;
    return n;
}

static int gate_inner(struct cpu *cpu, const struct event *ev, u64 gate, u16 sel, u64 desc)
{
    static const u8 data[] = {SEG_ES, SEG_DS, SEG_FS, SEG_GS};
    unsigned size = desc_type(gate) & SYS_TYPE_32 ? 4 : 2, n;
    u32 val[12], eip = gate_offset(gate);
    bool v86 = mon_is_v86(cpu);
    struct frame f;
    u64 ss_desc;
    u16 ss_sel;

    if (frame_from_tss(cpu, desc_dpl(desc), ev->ext, &ss_sel, &ss_desc, &f))
        return -1;
    n = fill_frame(cpu, ev, true, val);
    if (eip > desc_limit(desc))
        return frame_room(cpu, &f, n, size, (ss_sel & 0xfffcu) | ev->ext) ? -1
                                                                          : mon_exc_err(cpu, EXC_GP, ev->ext);
    if (frame_push(cpu, &f, val, n, size, (ss_sel & 0xfffcu) | ev->ext))
        return -1;
    if (desc_mark_accessed(cpu, sel, &desc) || desc_mark_accessed(cpu, ss_sel, &ss_desc))
        return -1;
    enter_handler(cpu, gate);
    code_commit(cpu, sel, desc, eip, desc_dpl(desc));
    seg_commit(cpu, SEG_SS, ss_sel, ss_desc);
    cpu->gpr[R_ESP] = f.sp;
    if (v86) {
        for (unsigned i = 0; i < ARRAY_SIZE(data); i++)
            seg_commit_null(cpu, data[i], 0);
    }
    return 0;
}

static int gate_same(struct cpu *cpu, const struct event *ev, u64 gate, u16 sel, u64 desc)
{
    unsigned size = desc_type(gate) & SYS_TYPE_32 ? 4 : 2, n;
    u32 val[12], eip = gate_offset(gate);
    struct frame f;

    n = fill_frame(cpu, ev, false, val);
    frame_current(cpu, &f);
    if (eip > desc_limit(desc))
        return frame_room(cpu, &f, n, size, ev->ext) ? -1 : mon_exc_err(cpu, EXC_GP, ev->ext);
    if (frame_push(cpu, &f, val, n, size, ev->ext) || desc_mark_accessed(cpu, sel, &desc))
        return -1;
    enter_handler(cpu, gate);
    code_commit(cpu, sel, desc, eip, cpu->cpl);
    cpu->gpr[R_ESP] = f.sp;
    return 0;
}

static int deliver_gate(struct cpu *cpu, const struct event *ev, u64 gate)
{
    u16 sel = gate_sel(gate);
    u32 err = (sel & 0xfffcu) | ev->ext;
    unsigned dpl;
    u64 desc;

    if (sel_is_null(sel))
        return mon_exc_err(cpu, EXC_GP, ev->ext);
    if (desc_fetch(cpu, sel, &desc, EXC_GP, ev->ext))
        return -1;
    dpl = desc_dpl(desc);
    if (!desc_is_code(desc) || dpl > cpu->cpl)
        return mon_exc_err(cpu, EXC_GP, err);
    if (!desc_present(desc))
        return mon_exc_err(cpu, EXC_NP, err);
    if (!desc_is_conforming(desc) && dpl < cpu->cpl) {
        if (mon_is_v86(cpu) && dpl != 0)
            return mon_exc_err(cpu, EXC_GP, err);
        return gate_inner(cpu, ev, gate, sel, desc);
    }
    if (mon_is_v86(cpu))
        return mon_exc_err(cpu, EXC_GP, err);
    return gate_same(cpu, ev, gate, sel, desc);
}

static int deliver_task_gate(struct cpu *cpu, const struct event *ev, u64 gate)
{
    u16 sel = gate_sel(gate);
    u32 err = (sel & 0xfffcu) | ev->ext, rf = cpu->sysflags & EFL_RF;
    u16 old = cpu->tr.sel;
    u64 desc;
    int rc;

    if (sel & 4)
        return mon_exc_err(cpu, EXC_GP, err);
    if (desc_fetch(cpu, sel, &desc, EXC_GP, ev->ext))
        return -1;
    if (!desc_is_free_tss(desc))
        return mon_exc_err(cpu, EXC_GP, err);
    if (!desc_present(desc))
        return mon_exc_err(cpu, EXC_NP, err);
    if (pushes_rf(ev)) /* in the flags that the old task's TSS gets */
        cpu->sysflags |= EFL_RF;
    rc = task_switch(cpu, sel, desc, TASK_GATE, ev->return_eip, ev->has_error, ev->error, ev->ext);
    if (rc && cpu->tr.sel == old)
        cpu->sysflags = (cpu->sysflags & ~EFL_RF) | rf;
    return rc;
}

static int deliver_protected(struct cpu *cpu, const struct event *ev)
{
    const u32 gates =
        BIT(SYS_TASK_GATE) | BIT(SYS_INT16) | BIT(SYS_TRAP16) | BIT(SYS_INT32) | BIT(SYS_TRAP32);
    u32 off = ev->vector * 8u;
    u64 gate;

    if (off + 7 > cpu->idtr.limit)
        return mon_exc_err(cpu, EXC_GP, idt_error(ev));
    if (lin_read(cpu, cpu->idtr.base + off, &gate, 8, true))
        return -1;
    if (!desc_is_system(gate) || !(gates >> desc_type(gate) & 1))
        return mon_exc_err(cpu, EXC_GP, idt_error(ev));
    if (is_software(ev) && desc_dpl(gate) < cpu->cpl)
        return mon_exc_err(cpu, EXC_GP, idt_error(ev));
    if (!desc_present(gate))
        return mon_exc_err(cpu, EXC_NP, idt_error(ev));
    if (desc_type(gate) == SYS_TASK_GATE)
        return deliver_task_gate(cpu, ev, gate);
    return deliver_gate(cpu, ev, gate);
}

static int deliver(struct cpu *cpu, const struct event *ev)
{
    return cpu->cr0 & CR0_PE ? deliver_protected(cpu, ev) : deliver_real(cpu, ev);
}

/* ---- INT n ---- */

/* Does the TSS's interrupt redirection bitmap send the vector to the 8086 program? */
static int redirected(struct cpu *cpu, u8 vector, bool *yes)
{
    u16 io_base;
    u32 at;
    u8 bits;

    if (!(cpu->tr.attr & SYS_TYPE_32) || cpu->tr.limit < 103)
        return mon_exc_err(cpu, EXC_GP, 0);
    if (lin_read(cpu, cpu->tr.base + 102, &io_base, 2, true))
        return -1;
    at = io_base - 32u + vector / 8u;
    if (at > cpu->tr.limit)
        return mon_exc_err(cpu, EXC_GP, 0);
    if (lin_read(cpu, cpu->tr.base + at, &bits, 1, true))
        return -1;
    *yes = !(bits >> vector % 8u & 1);
    return 0;
}

/* INT n in v86 (SDM vol. 3, table 20-2). 1: done; 0: on through the IDT; -1. */
static int v86_int(struct cpu *cpu, const struct event *ev)
{
    bool yes = false;
    u32 flags;

    if ((cpu->cr4 & CR4_VME) && redirected(cpu, ev->vector, &yes))
        return -1;
    if (!yes)
        return mon_iopl(cpu) < 3 ? mon_exc_err(cpu, EXC_GP, 0) : 0;
    flags = cpu_eflags(cpu);
    if (mon_iopl(cpu) < 3) {
        flags |= EFL_IOPL;
        flags = flags & EFL_VIF ? flags | EFL_IF : flags & ~EFL_IF;
    }
    if (deliver_8086(cpu, ev, 0, flags))
        return -1;
    cpu->sysflags &= ~(EFL_TF | EFL_RF | (mon_iopl(cpu) < 3 ? EFL_VIF : 0));
    if (mon_iopl(cpu) == 3)
        cpu->iflag = 0;
    return 1;
}

int mon_soft_int(struct cpu *cpu, const struct dec_insn *insn, enum mon_source src, u8 vector)
{
    struct event ev = {.src = src, .vector = vector, .return_eip = cpu->eip + insn->len};
    int rc = 0;

    ev.ext = is_software(&ev) ? 0 : 1;
    cpu->sysflags &= ~EFL_RF; /* gone when the instruction starts: the handler's frame does not have it */
    if (mon_is_v86(cpu) && src == MON_SOFT_INT)
        rc = v86_int(cpu, &ev);
    if (rc == 0)
        rc = deliver(cpu, &ev);
    return rc < 0 ? -1 : 0;
}

/* ---- chains ---- */

static bool is_contributory(u8 vector)
{
    return vector == EXC_DE || (vector >= EXC_TS && vector <= EXC_GP);
}

/* Table 6-5: does the second exception, raised while delivering the first, become a double fault? */
static bool is_double_fault(const struct event *first, u8 second)
{
    if (first->src != MON_EXCEPTION)
        return false;
    if (first->vector == EXC_PF)
        return second == EXC_PF || is_contributory(second);
    return is_contributory(first->vector) && is_contributory(second);
}

void mon_deliver(struct cpu *cpu, enum mon_source src, u8 vector, bool has_error, u32 error, u32 return_eip)
{
    struct event ev = {
        .src = src, .vector = vector, .has_error = has_error, .error = error, .return_eip = return_eip};

    cpu->halted = 0;
    if (bt_fpu_pending(cpu)) /* the handler may show the pointers under other segments */
        mon_fpu_note(cpu);
    ev.ext = is_software(&ev) ? 0 : 1;
    while (deliver(cpu, &ev)) {
        /* #DB: the switch to a task whose T bit is set was made, and traps. */
        if (ev.src == MON_EXCEPTION && ev.vector == EXC_DF && cpu->exc_vector != EXC_DB) {
            mon_stop(mon_vm(cpu), STOP_TRIPLE_FAULT, 0);
            break;
        }
        bool df = is_double_fault(&ev, cpu->exc_vector);
        ev = (struct event){
            .src = MON_EXCEPTION,
            .vector = df ? EXC_DF : cpu->exc_vector,
            .has_error = df || cpu->exc_has_error,
            .error = df ? 0 : cpu->exc_error,
            .return_eip = cpu->eip,
            .ext = 1,
        };
    }
    mon_state_changed(cpu);
}
