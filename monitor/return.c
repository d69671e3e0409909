/*
 * return.c - far RET and IRET: same ring, outer ring, virtual-8086 mode, nested task.
 *
 * Frames are popped from a copy of the stack; segment registers, flags and ESP change after the last check.
 * Sources: SDM vol. 2, RET and IRET; vol. 3, 20.2.3 (leaving to v86), 20.3 (VME).
 */
#include "monitor/sys.h"

void flags_merge(struct cpu *cpu, u32 v, u32 mask)
{
    cpu_eflags_set(cpu, (cpu_eflags(cpu) & ~mask) | (v & mask));
    /* Only instruction breakpoints look at RF, and then every instruction goes through mon_step(), which clears it. */
    if (!(cpu->dr[7] & DR7_ENABLES))
        cpu->sysflags &= ~EFL_RF;
}

#define FLAGS_POPPED (FL_ARITH | EFL_TF | EFL_DF | EFL_NT)
#define FLAGS_POPPED32 (EFL_RF | EFL_AC)

/* Bits that IRET may change in protected mode and real mode. */
static u32 iret_mask(const struct cpu *cpu, unsigned size)
{
    u32 mask = FLAGS_POPPED;

    if (size == 4) {
        mask |= FLAGS_POPPED32;
        if (cpu->features & (1u << FEAT_CPUID))
            mask |= EFL_ID;
        if (cpu->cpl == 0 && mon_is_protected(cpu) && (cpu->features & (1u << FEAT_CPUID)))
            mask |= EFL_VIF | EFL_VIP;
    }
    if (cpu->cpl == 0)
        mask |= EFL_IOPL;
    if (cpu->cpl <= mon_iopl(cpu) || !mon_is_protected(cpu))
        mask |= EFL_IF;
    return mask;
}

static void commit_current_stack(struct cpu *cpu, const struct frame *f)
{
    cpu->gpr[R_ESP] = f->sp;
}

/* ---- real mode and v86 ---- */

static int ret_real(struct cpu *cpu, u32 release, unsigned size)
{
    struct frame f;
    u32 val[2];

    frame_current(cpu, &f);
    if (frame_pop(cpu, &f, val, 2, size))
        return -1;
    if (val[0] > cpu->seg[SEG_CS].limit)
        return mon_exc_err(cpu, EXC_GP, 0);
    frame_set_sp(&f, f.sp + release);
    commit_current_stack(cpu, &f);
    seg_load_real(cpu, SEG_CS, (u16)val[1]);
    cpu->eip = val[0];
    return 0;
}

/* v86 with IOPL < 3 and VME: a 16-bit IRET works on VIF (SDM vol. 2, IRET). */
static int iret_vme(struct cpu *cpu, u32 flags)
{
    if (((cpu->sysflags & EFL_VIP) && (flags & EFL_IF)) || (flags & EFL_TF))
        return mon_exc_err(cpu, EXC_GP, 0);
    return 0;
}

static int iret_real(struct cpu *cpu, unsigned size)
{
    bool v86 = mon_is_v86(cpu), vme = false;
    u32 val[3], mask;
    struct frame f;

    if (v86 && mon_iopl(cpu) < 3) {
        vme = (cpu->cr4 & CR4_VME) && size == 2;
        if (!vme)
            return mon_exc_err(cpu, EXC_GP, 0);
    }
    frame_current(cpu, &f);
    if (frame_pop(cpu, &f, val, 3, size))
        return -1;
    if (val[0] > cpu->seg[SEG_CS].limit)
        return mon_exc_err(cpu, EXC_GP, 0);
    if (vme && iret_vme(cpu, val[2]))
        return -1;
    mask = iret_mask(cpu, size);
    if (v86)
        mask &= ~(EFL_IOPL | (vme ? EFL_IF : 0));
    commit_current_stack(cpu, &f);
    seg_load_real(cpu, SEG_CS, (u16)val[1]);
    cpu->eip = val[0];
    flags_merge(cpu, val[2], mask);
    if (vme)
        cpu->sysflags = (cpu->sysflags & ~EFL_VIF) | (val[2] & EFL_IF ? EFL_VIF : 0);
    return 0;
}

/* ---- protected mode ---- */

/* The code segment of a return, checked (same pseudo-code for RET and IRET). */
static int return_code(struct cpu *cpu, u16 sel, u64 *desc)
{
    unsigned rpl = sel & 3;
    u32 err = sel & 0xfffcu;

    if (sel_is_null(sel))
        return mon_exc_err(cpu, EXC_GP, 0);
    if (desc_read(cpu, sel, desc))
        return -1;
    if (!desc_is_code(*desc) || rpl < cpu->cpl)
        return mon_exc_err(cpu, EXC_GP, err);
    if (desc_is_conforming(*desc) ? desc_dpl(*desc) > rpl : desc_dpl(*desc) != rpl)
        return mon_exc_err(cpu, EXC_GP, err);
    if (!desc_present(*desc))
        return mon_exc_err(cpu, EXC_NP, err);
    return 0;
}

/* The stack segment of a return to ring rpl. */
static int return_stack(struct cpu *cpu, u16 sel, unsigned rpl, u64 *desc)
{
    u32 err = sel & 0xfffcu;

    if (sel_is_null(sel))
        return mon_exc_err(cpu, EXC_GP, 0);
    if (desc_read(cpu, sel, desc))
        return -1;
    if ((sel & 3) != rpl || !desc_is_writable_data(*desc) || desc_dpl(*desc) != rpl)
        return mon_exc_err(cpu, EXC_GP, err);
    if (!desc_present(*desc))
        return mon_exc_err(cpu, EXC_SS, err);
    return desc_mark_accessed(cpu, sel, desc);
}

/* What RET and IRET share: CS:EIP is popped, f stands at what follows. */
static int return_protected(struct cpu *cpu, struct frame *f, u32 eip, u16 cs, u32 release, unsigned size)
{
    u64 code, stack = 0;
    bool outer = (cs & 3) > cpu->cpl;
    u32 val[2] = {0, 0}, old_sp = cpu->gpr[R_ESP];

    if (return_code(cpu, cs, &code))
        return -1;
    frame_set_sp(f, f->sp + release);
    if (outer) {
        if (frame_pop(cpu, f, val, 2, size) || return_stack(cpu, (u16)val[1], cs & 3, &stack))
            return -1;
    }
    if (eip > desc_limit(code))
        return mon_exc_err(cpu, EXC_GP, 0);
    if (desc_mark_accessed(cpu, cs, &code))
        return -1;
    code_commit(cpu, cs, code, eip, cs & 3);
    if (!outer) {
        commit_current_stack(cpu, f);
        return 0;
    }
    /* With a 16-bit stack only SP is loaded: the upper half of ESP stays. */
    seg_commit(cpu, SEG_SS, (u16)val[1], stack);
    frame_current(cpu, f);
    f->sp = old_sp;
    frame_set_sp(f, val[0] + release);
    commit_current_stack(cpu, f);
    seg_drop_inner(cpu);
    return 0;
}

int mon_ret_far(struct cpu *cpu, const struct dec_insn *insn)
{
    unsigned size = insn->opsz == 2 ? 2 : 4;
    u32 release = insn->imm & 0xffff, val[2];
    struct frame f;

    if (!mon_is_protected(cpu))
        return ret_real(cpu, release, size);
    frame_current(cpu, &f);
    if (frame_pop(cpu, &f, val, 2, size))
        return -1;
    return return_protected(cpu, &f, val[0], (u16)val[1], release, size);
}

/* To virtual-8086 mode: EIP CS EFLAGS ESP SS ES DS FS GS. */
static int iret_to_v86(struct cpu *cpu, struct frame *f, const u32 *top)
{
    u32 val[6];

    for (unsigned i = 0; i < ARRAY_SIZE(val); i++) { /* upwards: CR2 */
        if (frame_pop(cpu, f, &val[i], 1, 4))
            return -1;
    }
    if (top[0] > 0xffff)
        return mon_exc_err(cpu, EXC_GP, 0);
    cpu->cpl = 3;
    flags_merge(cpu, top[2], 0xffffffffu);
    cpu->eip = top[0];
    cpu->gpr[R_ESP] = val[0];
    seg_load_real(cpu, SEG_CS, (u16)top[1]);
    seg_load_real(cpu, SEG_SS, (u16)val[1]);
    seg_load_real(cpu, SEG_ES, (u16)val[2]);
    seg_load_real(cpu, SEG_DS, (u16)val[3]);
    seg_load_real(cpu, SEG_FS, (u16)val[4]);
    seg_load_real(cpu, SEG_GS, (u16)val[5]);
    return 0;
}

static int iret_task(struct cpu *cpu, u32 next)
{
    u64 desc;
    u16 link;

    if (lin_read(cpu, cpu->tr.base, &link, 2, true))
        return -1;
    if ((link & 4) || sel_is_null(link))
        return mon_exc_err(cpu, EXC_TS, link & 0xfffcu);
    if (desc_fetch(cpu, link, &desc, EXC_TS, 0))
        return -1;
    if (!desc_is_busy_tss(desc))
        return mon_exc_err(cpu, EXC_TS, link & 0xfffcu);
    if (!desc_present(desc))
        return mon_exc_err(cpu, EXC_NP, link & 0xfffcu);
    return task_switch(cpu, link, desc, TASK_IRET, next, false, 0, 0);
}

static int iret_protected(struct cpu *cpu, unsigned size, u32 next)
{
    u32 val[3], mask;
    struct frame f;

    if (cpu->sysflags & EFL_NT)
        return iret_task(cpu, next);
    frame_current(cpu, &f);
    if (frame_pop(cpu, &f, val, 3, size))
        return -1;
    if (size == 4 && (val[2] & EFL_VM) && cpu->cpl == 0)
        return iret_to_v86(cpu, &f, val);
    mask = iret_mask(cpu, size); /* by the CPL that executes IRET */
    if (return_protected(cpu, &f, val[0], (u16)val[1], 0, size))
        return -1;
    flags_merge(cpu, val[2], mask);
    return 0;
}

int mon_iret(struct cpu *cpu, const struct dec_insn *insn)
{
    unsigned size = insn->opsz == 2 ? 2 : 4;
    int rc = mon_is_protected(cpu) ? iret_protected(cpu, size, cpu->eip + insn->len) : iret_real(cpu, size);

    if (!rc)
        cpu->nmi_blocked = 0;
    return rc;
}
