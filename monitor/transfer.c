/*
 * transfer.c - far CALL and JMP, gates, INT n and its like, SYSENTER and SYSEXIT.
 *
 * Each transfer is the manual's pseudo-code in its order: fetch the target, check, build the frame, check the
 * target offset, commit. Returns are in return.c, the IDT in interrupt.c. Sources: SDM vol. 2, CALL, JMP, INT,
 * SYSENTER, SYSEXIT; vol. 3, 5.8.
 */
#include <string.h>

#include "monitor/step.h"
#include "monitor/sys.h"

/* The far CALL or JMP at hand. */
struct far {
    u16 sel;
    u32 off;
    unsigned size; /* of offset and pushed values */
    u32 next;      /* EIP behind the instruction */
    bool call;
};

static bool in_code_limit(u64 desc, u32 eip)
{
    return eip <= desc_limit(desc);
}

static int far_real(struct cpu *cpu, const struct far *t)
{
    struct frame f;

    if (t->off > cpu->seg[SEG_CS].limit)
        return mon_exc_err(cpu, EXC_GP, 0);
    if (t->call) {
        u32 val[2] = {cpu->seg[SEG_CS].sel, t->next};
        frame_current(cpu, &f);
        if (frame_push(cpu, &f, val, 2, t->size, 0))
            return -1;
        cpu->gpr[R_ESP] = f.sp;
    }
    seg_load_real(cpu, SEG_CS, t->sel);
    cpu->eip = t->off;
    return 0;
}

/* To a code segment of the same privilege: directly, or through a gate. */
static int far_same(struct cpu *cpu, const struct far *t, u16 sel, u64 desc, u32 off, unsigned size)
{
    struct frame f;

    frame_current(cpu, &f);
    if (!in_code_limit(desc, off))
        return t->call && frame_room(cpu, &f, 2, size, 0) ? -1 : mon_exc_err(cpu, EXC_GP, 0);
    if (t->call) {
        u32 val[2] = {cpu->seg[SEG_CS].sel, t->next};
        if (frame_push(cpu, &f, val, 2, size, 0))
            return -1;
    }
    if (desc_mark_accessed(cpu, sel, &desc))
        return -1;
    cpu->gpr[R_ESP] = f.sp;
    code_commit(cpu, sel, desc, off, cpu->cpl);
    return 0;
}

static int far_code(struct cpu *cpu, const struct far *t, u64 desc)
{
    unsigned dpl = desc_dpl(desc);
    u32 err = t->sel & 0xfffcu;

    if (desc_is_conforming(desc)) {
        if (dpl > cpu->cpl)
            return mon_exc_err(cpu, EXC_GP, err);
    } else if ((t->sel & 3) > cpu->cpl || dpl != cpu->cpl) {
        return mon_exc_err(cpu, EXC_GP, err);
    }
    if (!desc_present(desc))
        return mon_exc_err(cpu, EXC_NP, err);
    return far_same(cpu, t, t->sel, desc, t->off, t->size);
}

/* CALL through a gate to an inner ring: new stack, parameters copied. */
static int gate_inner(struct cpu *cpu, const struct far *t, u64 gate, u16 sel, u64 desc)
{
    unsigned size = desc_type(gate) & SYS_TYPE_32 ? 4 : 2, params = (unsigned)(gate >> 32) & 31, n = 0;
    u32 val[FRAME_SLOTS_MAX], copied[32];
    struct frame f, old;
    u64 ss_desc;
    u16 ss_sel;

    if (frame_from_tss(cpu, desc_dpl(desc), 0, &ss_sel, &ss_desc, &f))
        return -1;
    frame_current(cpu, &old);
    val[n++] = cpu->seg[SEG_SS].sel;
    val[n++] = cpu->gpr[R_ESP];
    if (params) {
        if (frame_pop(cpu, &old, copied, params, size))
            return -1;
        for (unsigned i = params; i-- > 0;)
            val[n++] = copied[i];
    }
    val[n++] = cpu->seg[SEG_CS].sel;
    val[n++] = t->next;
    if (!in_code_limit(desc, gate_offset(gate)))
        return frame_room(cpu, &f, n, size, ss_sel & 0xfffcu) ? -1 : mon_exc_err(cpu, EXC_GP, 0);
    if (frame_push(cpu, &f, val, n, size, ss_sel & 0xfffcu))
        return -1;
    if (desc_mark_accessed(cpu, sel, &desc) || desc_mark_accessed(cpu, ss_sel, &ss_desc))
        return -1;
    code_commit(cpu, sel, desc, gate_offset(gate), desc_dpl(desc));
    seg_commit(cpu, SEG_SS, ss_sel, ss_desc);
    cpu->gpr[R_ESP] = f.sp;
    return 0;
}

static int far_call_gate(struct cpu *cpu, const struct far *t, u64 gate)
{
    u32 err = t->sel & 0xfffcu;
    u16 sel = gate_sel(gate);
    bool conforming;
    unsigned dpl;
    u64 desc;

    if (desc_dpl(gate) < cpu->cpl || (t->sel & 3) > desc_dpl(gate))
        return mon_exc_err(cpu, EXC_GP, err);
    if (!desc_present(gate))
        return mon_exc_err(cpu, EXC_NP, err);
    if (sel_is_null(sel))
        return mon_exc_err(cpu, EXC_GP, 0);
    if (desc_read(cpu, sel, &desc))
        return -1;
    dpl = desc_dpl(desc);
    conforming = desc_is_conforming(desc);
    if (!desc_is_code(desc) || dpl > cpu->cpl || (!t->call && !conforming && dpl != cpu->cpl))
        return mon_exc_err(cpu, EXC_GP, sel & 0xfffcu);
    if (!desc_present(desc))
        return mon_exc_err(cpu, EXC_NP, sel & 0xfffcu);
    if (t->call && !conforming && dpl < cpu->cpl)
        return gate_inner(cpu, t, gate, sel, desc);
    return far_same(cpu, t, sel, desc, gate_offset(gate), desc_type(gate) & SYS_TYPE_32 ? 4 : 2);
}

/* sel names a TSS directly or by a task gate. */
static int far_tss(struct cpu *cpu, const struct far *t, u16 sel, u64 desc)
{
    if (!desc_present(desc))
        return mon_exc_err(cpu, EXC_NP, sel & 0xfffcu);
    return task_switch(cpu, sel, desc, t->call ? TASK_CALL : TASK_JMP, t->next, false, 0, 0);
}

static int far_system(struct cpu *cpu, const struct far *t, u64 desc)
{
    u32 err = t->sel & 0xfffcu;
    u16 sel = t->sel;

    switch (desc_type(desc)) {
    case SYS_CALL16:
    case SYS_CALL32: return far_call_gate(cpu, t, desc);
    case SYS_TASK_GATE:
        if (desc_dpl(desc) < cpu->cpl || (sel & 3) > desc_dpl(desc))
            return mon_exc_err(cpu, EXC_GP, err);
        if (!desc_present(desc))
            return mon_exc_err(cpu, EXC_NP, err);
        sel = gate_sel(desc);
        if (sel & 4)
            return mon_exc_err(cpu, EXC_GP, sel & 0xfffcu);
        if (desc_read(cpu, sel, &desc))
            return -1;
        if (!desc_is_free_tss(desc))
            return mon_exc_err(cpu, EXC_GP, sel & 0xfffcu);
        return far_tss(cpu, t, sel, desc);
    case SYS_TSS16:
    case SYS_TSS32:
        if (desc_dpl(desc) < cpu->cpl || (sel & 3) > desc_dpl(desc) || (sel & 4))
            return mon_exc_err(cpu, EXC_GP, err);
        return far_tss(cpu, t, sel, desc);
    default: return mon_exc_err(cpu, EXC_GP, err);
    }
}

static int far_transfer(struct cpu *cpu, const struct far *t)
{
    u64 desc;

    if (!mon_is_protected(cpu))
        return far_real(cpu, t);
    if (sel_is_null(t->sel))
        return mon_exc_err(cpu, EXC_GP, 0);
    if (desc_read(cpu, t->sel, &desc))
        return -1;
    if (desc_is_system(desc))
        return far_system(cpu, t, desc);
    if (!desc_is_code(desc))
        return mon_exc_err(cpu, EXC_GP, t->sel & 0xfffcu);
    return far_code(cpu, t, desc);
}

static int do_far(struct cpu *cpu, const struct dec_insn *insn)
{
    struct far t = {.size = insn->opsz == 2 ? 2 : 4, .next = cpu->eip + insn->len};
    u8 ptr[6];

    t.call = insn->op == OP_CALL_FAR_I || insn->op == OP_CALL_FAR_M;
    if (insn->op == OP_CALL_FAR_M || insn->op == OP_JMP_FAR_M) {
        if (!insn->mem)
            return mon_exc(cpu, EXC_UD);
        u32 ea = dec_ea(cpu, insn), at = insn->adsz == 2 ? (u16)(ea + t.size) : ea + t.size;
        if (mem_read(cpu, insn->seg, ea, ptr, t.size) || mem_read(cpu, insn->seg, at, ptr + t.size, 2))
            return -1;
        memcpy(&t.off, ptr, t.size);
        memcpy(&t.sel, ptr + t.size, 2);
    } else {
        t.off = insn->imm & size_mask(t.size);
        t.sel = (u16)insn->imm2;
    }
    return far_transfer(cpu, &t);
}

/* A flat segment as SYSENTER and SYSEXIT make it, out of nothing. */
static void flat_segment(struct cpu *cpu, unsigned seg, u16 sel, bool code)
{
    unsigned dpl = sel & 3;

    cpu->seg[seg].sel = sel;
    cpu->seg[seg].limit = 0xffffffff;
    cpu->seg[seg].attr = (u16)(SEG_ATTR_G | SEG_ATTR_D | SEG_ATTR_P | dpl << 5 | SEG_ATTR_S | SEG_ATTR_RW |
                               SEG_ATTR_ACCESSED | (code ? SEG_ATTR_CODE : 0));
    cpu->seg_base[seg] = 0;
}

static int do_sysenter(struct cpu *cpu)
{
    u16 sel = (u16)(cpu->sysenter_cs & 0xfffc);

    if (!(cpu->cr0 & CR0_PE) || !sel)
        return mon_exc_err(cpu, EXC_GP, 0);
    cpu->sysflags &= ~(EFL_VM | EFL_RF);
    cpu->iflag = 0;
    flat_segment(cpu, SEG_CS, sel, true);
    flat_segment(cpu, SEG_SS, (u16)(sel + 8), false);
    cpu->cpl = 0;
    cpu->gpr[R_ESP] = cpu->sysenter_esp;
    cpu->eip = cpu->sysenter_eip;
    return 0;
}

static int do_sysexit(struct cpu *cpu)
{
    u16 sel = (u16)(cpu->sysenter_cs & 0xfffc);

    if (!(cpu->cr0 & CR0_PE) || cpu->cpl != 0 || !sel)
        return mon_exc_err(cpu, EXC_GP, 0);
    flat_segment(cpu, SEG_CS, (u16)((sel + 16) | 3), true);
    flat_segment(cpu, SEG_SS, (u16)((sel + 24) | 3), false);
    cpu->cpl = 3;
    cpu->gpr[R_ESP] = cpu->gpr[R_ECX];
    cpu->eip = cpu->gpr[R_EDX];
    return 0;
}

static int dispatch(struct cpu *cpu, const struct dec_insn *insn)
{
    switch (insn->op) {
    case OP_CALL_FAR_I:
    case OP_CALL_FAR_M:
    case OP_JMP_FAR_I:
    case OP_JMP_FAR_M: return do_far(cpu, insn);
    case OP_RET_FAR: return mon_ret_far(cpu, insn);
    case OP_IRET: return mon_iret(cpu, insn);
    case OP_INT: return mon_soft_int(cpu, insn, MON_SOFT_INT, (u8)insn->imm);
    case OP_INT3: return mon_soft_int(cpu, insn, MON_INT3, EXC_BP);
    case OP_INT1: return mon_soft_int(cpu, insn, MON_ICEBP, EXC_DB);
    case OP_INTO:
        if (cpu->flags & FL_OF)
            return mon_soft_int(cpu, insn, MON_INT3, EXC_OF);
        mon_next(cpu, insn);
        return 0;
    case OP_SYSENTER: return do_sysenter(cpu);
    case OP_SYSEXIT: return do_sysexit(cpu);
    default: return mon_exc(cpu, EXC_UD);
    }
}

int mon_sys_transfer(struct cpu *cpu, const struct dec_insn *insn)
{
    u32 sysflags = cpu->sysflags;
    u16 task = cpu->tr.sel;
    u8 cpl = cpu->cpl;
    int rc = dispatch(cpu, insn);

    /* A task switch may fail after its point of no return: the state is the new task's then, even one that returned to itself. */
    if (cpu->cpl != cpl || cpu->tr.sel != task || cpu->sysflags != sysflags || (sysflags & EFL_NT)) {
        mon_state_changed(cpu);
    } else { /* of all that the mode depends on, these at most */
        mon_seg_changed(cpu, SEG_SS);
        mon_seg_changed(cpu, SEG_CS);
    }
    return rc;
}
