/*
 * segment.c - descriptors, segment registers and the instructions that load, store or examine them.
 *
 * The loads follow the pseudo-code of SDM vol. 2 (MOV, POP, LDS, LLDT, LTR, LAR, LSL, VERR, ARPL) and the checks of
 * vol. 3, 5.6 to 5.10. A null data selector keeps the hidden limit, so that a return to real mode finds a usable one,
 * and clears the present bit, which is what makes it unusable.
 */
#include <string.h>

#include "monitor/step.h"
#include "monitor/sys.h"

/* ---- descriptors ---- */

/* Linear address of the descriptor; false when sel lies outside its table. */
static bool desc_address(const struct cpu *cpu, u16 sel, u32 *lin)
{
    u32 off = sel & 0xfff8u;

    if (sel & 4) {
        *lin = cpu->ldtr.base + off;
        return (cpu->ldtr.attr & SEG_ATTR_P) && off + 7 <= cpu->ldtr.limit && off + 7 >= off;
    }
    *lin = cpu->gdtr.base + off;
    return off + 7 <= cpu->gdtr.limit;
}

int desc_fetch(struct cpu *cpu, u16 sel, u64 *desc, u8 vector, u32 ext)
{
    u32 lin;

    if (!desc_address(cpu, sel, &lin))
        return mon_exc_err(cpu, vector, (sel & 0xfffcu) | ext);
    return lin_read(cpu, lin, desc, 8, true);
}

int desc_read(struct cpu *cpu, u16 sel, u64 *desc)
{
    return desc_fetch(cpu, sel, desc, EXC_GP, 0);
}

/* Store bytes at and behind byte `from` of the descriptor. */
static int desc_write(struct cpu *cpu, u16 sel, u64 desc, unsigned from, unsigned bytes)
{
    u32 lin;

    desc >>= 8 * from;
    if (!desc_address(cpu, sel, &lin))
        return mon_exc_err(cpu, EXC_GP, sel & 0xfffcu);
    return lin_write(cpu, lin + from, &desc, bytes, true);
}

int desc_mark_accessed(struct cpu *cpu, u16 sel, u64 *desc)
{
    const u64 accessed = (u64)SEG_ATTR_ACCESSED << 40;

    if (LIKELY(*desc & accessed))
        return 0;
    *desc |= accessed;
    return desc_write(cpu, sel, *desc, 5, 1);
}

int desc_set_busy(struct cpu *cpu, u16 sel, bool busy)
{
    const u64 bit = (u64)SYS_TYPE_BUSY << 40;
    u64 desc;

    if (desc_read(cpu, sel, &desc))
        return -1;
    return desc_write(cpu, sel, busy ? desc | bit : desc & ~bit, 4, 4);
}

void desc_to_seg(struct cpu_seg *out, u32 *base, u16 sel, u64 desc)
{
    out->sel = sel;
    out->limit = desc_limit(desc);
    out->attr = desc_attr(desc);
    *base = desc_base(desc);
}

void seg_commit(struct cpu *cpu, unsigned seg, u16 sel, u64 desc)
{
    desc_to_seg(&cpu->seg[seg], &cpu->seg_base[seg], sel, desc);
}

void seg_commit_null(struct cpu *cpu, unsigned seg, u16 sel)
{
    cpu->seg[seg].sel = sel;
    cpu->seg[seg].attr = 0;
    cpu->seg_base[seg] = 0;
}

void code_commit(struct cpu *cpu, u16 sel, u64 desc, u32 eip, unsigned cpl)
{
    seg_commit(cpu, SEG_CS, (u16)((sel & 0xfffcu) | cpl), desc);
    cpu->eip = eip;
    cpu->cpl = (u8)cpl;
}

/* A null selector loses its RPL too (SDM vol. 2, IRET). */
void seg_drop_inner(struct cpu *cpu)
{
    static const u8 data[] = {SEG_ES, SEG_DS, SEG_FS, SEG_GS};

    for (unsigned i = 0; i < ARRAY_SIZE(data); i++) {
        struct cpu_seg *s = &cpu->seg[data[i]];
        bool conforming = (s->attr & (SEG_ATTR_CODE | SEG_ATTR_DC)) == (SEG_ATTR_CODE | SEG_ATTR_DC);
        unsigned dpl = (s->attr & SEG_ATTR_DPL) >> 5;
        if (!(s->attr & SEG_ATTR_P) || (!conforming && cpu->cpl > dpl))
            seg_commit_null(cpu, data[i], 0);
    }
}

/* ---- loads ---- */

void seg_load_real(struct cpu *cpu, unsigned seg, u16 sel)
{
    struct cpu_seg *s = &cpu->seg[seg];

    s->sel = sel;
    cpu->seg_base[seg] = (u32)sel << 4;
    if (mon_is_v86(cpu)) {
        s->limit = 0xffff;
        s->attr = SEG_ATTR_P | SEG_ATTR_DPL | SEG_ATTR_S | SEG_ATTR_RW | SEG_ATTR_ACCESSED;
    } else {
        /* The limit and its granularity stay: that is what "unreal mode" lives on. */
        s->attr =
            (s->attr & (SEG_ATTR_D | SEG_ATTR_G)) | SEG_ATTR_P | SEG_ATTR_S | SEG_ATTR_RW | SEG_ATTR_ACCESSED;
    }
}

static int load_ss(struct cpu *cpu, u16 sel)
{
    u64 desc;

    if (sel_is_null(sel))
        return mon_exc_err(cpu, EXC_GP, 0);
    if (desc_read(cpu, sel, &desc))
        return -1;
    if ((sel & 3) != cpu->cpl || !desc_is_writable_data(desc) || desc_dpl(desc) != cpu->cpl)
        return mon_exc_err(cpu, EXC_GP, sel & 0xfffcu);
    if (!desc_present(desc))
        return mon_exc_err(cpu, EXC_SS, sel & 0xfffcu);
    if (desc_mark_accessed(cpu, sel, &desc))
        return -1;
    seg_commit(cpu, SEG_SS, sel, desc);
    return 0;
}

static int load_data(struct cpu *cpu, unsigned seg, u16 sel)
{
    unsigned rpl = sel & 3, dpl;
    u64 desc;

    if (sel_is_null(sel)) {
        seg_commit_null(cpu, seg, sel);
        return 0;
    }
    if (desc_read(cpu, sel, &desc))
        return -1;
    dpl = desc_dpl(desc);
    if (desc_is_system(desc) || (desc_is_code(desc) && !(desc >> 40 & SEG_ATTR_RW)))
        return mon_exc_err(cpu, EXC_GP, sel & 0xfffcu);
    if (!(desc_is_code(desc) && desc_is_conforming(desc)) && (rpl > dpl || cpu->cpl > dpl))
        return mon_exc_err(cpu, EXC_GP, sel & 0xfffcu);
    if (!desc_present(desc))
        return mon_exc_err(cpu, EXC_NP, sel & 0xfffcu);
    if (desc_mark_accessed(cpu, sel, &desc))
        return -1;
    seg_commit(cpu, seg, sel, desc);
    return 0;
}

int seg_load(struct cpu *cpu, unsigned seg, u16 sel)
{
    if (!mon_is_protected(cpu)) {
        seg_load_real(cpu, seg, sel);
        return 0;
    }
    return seg == SEG_SS ? load_ss(cpu, sel) : load_data(cpu, seg, sel);
}

/* ---- instructions ---- */

static int read_rm16(struct cpu *cpu, const struct dec_insn *insn, u16 *val)
{
    if (insn->mem)
        return mem_read(cpu, insn->seg, dec_ea(cpu, insn), val, 2);
    *val = (u16)cpu->gpr[modrm_rm(insn)];
    return 0;
}

/* A 16-bit value to memory, or to a register of operand size with the rest zero. */
static int write_rm16(struct cpu *cpu, const struct dec_insn *insn, u16 val)
{
    if (insn->mem)
        return mem_write(cpu, insn->seg, dec_ea(cpu, insn), &val, 2);
    gpr_write(cpu, modrm_rm(insn), val, insn->opsz == 2 ? 2 : 4);
    return 0;
}

static void loaded(struct cpu *cpu, unsigned seg)
{
    if (seg == SEG_SS)
        cpu->inhibit = 1;
    mon_seg_changed(cpu, seg);
}

static int do_mov_seg(struct cpu *cpu, const struct dec_insn *insn)
{
    u16 sel;

    if (insn->reg >= SEG_COUNT || insn->reg == SEG_CS)
        return mon_exc(cpu, EXC_UD);
    if (read_rm16(cpu, insn, &sel) || seg_load(cpu, insn->reg, sel))
        return -1;
    loaded(cpu, insn->reg);
    return 0;
}

static int do_pop_seg(struct cpu *cpu, const struct dec_insn *insn)
{
    struct frame f;
    u32 sp, mask;
    u16 sel;

    if (insn->reg >= SEG_COUNT || insn->reg == SEG_CS)
        return mon_exc(cpu, EXC_UD);
    frame_current(cpu, &f);
    mask = f.seg.attr & SEG_ATTR_D ? 0xffffffffu : 0xffffu;
    if (mem_read(cpu, SEG_SS, f.sp & mask, &sel, 2))
        return -1;
    frame_set_sp(&f, f.sp + insn->stksz);
    sp = f.sp; /* by the old SS: its size moved the pointer */
    if (seg_load(cpu, insn->reg, sel))
        return -1;
    cpu->gpr[R_ESP] = sp;
    loaded(cpu, insn->reg);
    return 0;
}

static int do_load_far(struct cpu *cpu, const struct dec_insn *insn)
{
    u32 off = 0, ea;
    u16 sel;

    if (!insn->mem || insn->reg2 >= SEG_COUNT)
        return mon_exc(cpu, EXC_UD);
    ea = dec_ea(cpu, insn);
    if (mem_read(cpu, insn->seg, ea, &off, insn->opsz) || mem_read(cpu, insn->seg, ea + insn->opsz, &sel, 2))
        return -1;
    if (seg_load(cpu, insn->reg2, sel))
        return -1;
    gpr_write(cpu, insn->reg, off, insn->opsz);
    mon_seg_changed(cpu, insn->reg2); /* LSS loads both halves itself and holds nothing off */
    return 0;
}

static void set_zf(struct cpu *cpu, bool zf)
{
    cpu->flags = (cpu->flags & ~FL_ZF) | (zf ? FL_ZF : 0);
}

/* Descriptor of sel for LAR, LSL, VERx: *ok false when it may not be seen; -1 only for a #PF. */
static int examine(struct cpu *cpu, u16 sel, u64 *desc, bool *ok)
{
    unsigned dpl;
    u32 lin;

    *ok = false;
    if (sel_is_null(sel) || !desc_address(cpu, sel, &lin))
        return 0;
    if (lin_read(cpu, lin, desc, 8, true))
        return -1;
    dpl = desc_dpl(*desc);
    *ok = (desc_is_code(*desc) && desc_is_conforming(*desc)) || (cpu->cpl <= dpl && (sel & 3) <= dpl);
    return 0;
}

static bool lar_type_ok(u64 desc)
{
    const u32 lar_system = BIT(SYS_TSS16) | BIT(SYS_LDT) | BIT(SYS_TSS16_BUSY) | BIT(SYS_CALL16) |
                           BIT(SYS_TASK_GATE) | BIT(SYS_TSS32) | BIT(SYS_TSS32_BUSY) | BIT(SYS_CALL32);

    return !desc_is_system(desc) || (lar_system >> desc_type(desc) & 1);
}

static bool lsl_type_ok(u64 desc)
{
    const u32 lsl_system =
        BIT(SYS_TSS16) | BIT(SYS_LDT) | BIT(SYS_TSS16_BUSY) | BIT(SYS_TSS32) | BIT(SYS_TSS32_BUSY);

    return !desc_is_system(desc) || (lsl_system >> desc_type(desc) & 1);
}

static int do_lar_lsl(struct cpu *cpu, const struct dec_insn *insn)
{
    bool lar = insn->op == OP_LAR, ok;
    u64 desc = 0;
    u16 sel;

    if (read_rm16(cpu, insn, &sel) || examine(cpu, sel, &desc, &ok))
        return -1;
    ok = ok && (lar ? lar_type_ok(desc) : lsl_type_ok(desc));
    set_zf(cpu, ok);
    if (ok)
        gpr_write(cpu, modrm_reg(insn), lar ? (u32)(desc >> 32) & 0x00ffff00u : desc_limit(desc), insn->opsz);
    return 0;
}

static int do_verify(struct cpu *cpu, const struct dec_insn *insn)
{
    u64 desc = 0;
    u16 sel;
    bool ok;

    if (read_rm16(cpu, insn, &sel) || examine(cpu, sel, &desc, &ok))
        return -1;
    ok = ok && !desc_is_system(desc);
    if (ok && insn->op == OP_VERW)
        ok = desc_is_writable_data(desc);
    else if (ok)
        ok = !desc_is_code(desc) || (desc >> 40 & SEG_ATTR_RW);
    set_zf(cpu, ok);
    return 0;
}

static int do_arpl(struct cpu *cpu, const struct dec_insn *insn)
{
    u16 dst, src = (u16)cpu->gpr[modrm_reg(insn)];
    u32 ea = insn->mem ? dec_ea(cpu, insn) : 0;
    bool raise;

    if (read_rm16(cpu, insn, &dst)) /* a store happens only when RPL rises: so does the host CPU */
        return -1;
    raise = (dst & 3) < (src & 3);
    if (raise)
        dst = (u16)((dst & ~3u) | (src & 3));
    if (raise && insn->mem) {
        if (mem_write(cpu, insn->seg, ea, &dst, 2))
            return -1;
    } else if (raise) {
        gpr_write(cpu, modrm_rm(insn), dst, 2);
    }
    set_zf(cpu, raise);
    return 0;
}

static int do_load_table(struct cpu *cpu, const struct dec_insn *insn)
{
    struct cpu_table *t = insn->op == OP_LGDT ? &cpu->gdtr : &cpu->idtr;
    u8 buf[6];
    u32 base;

    if (!insn->mem)
        return mon_exc(cpu, EXC_UD);
    if (cpu->cpl != 0)
        return mon_exc_err(cpu, EXC_GP, 0);
    if (mem_read(cpu, insn->seg, dec_ea(cpu, insn), buf, 6))
        return -1;
    memcpy(&t->limit, buf, 2);
    memcpy(&base, buf + 2, 4);
    t->base = insn->opsz == 2 ? base & 0x00ffffff : base;
    mon_state_changed(cpu); /* MODE_IVT */
    return 0;
}

/* The whole base is stored for either operand size, as every CPU since the 386 does. */
static int do_store_table(struct cpu *cpu, const struct dec_insn *insn)
{
    const struct cpu_table *t = insn->op == OP_SGDT ? &cpu->gdtr : &cpu->idtr;
    u8 buf[6];

    if (!insn->mem)
        return mon_exc(cpu, EXC_UD);
    memcpy(buf, &t->limit, 2);
    memcpy(buf + 2, &t->base, 4);
    return mem_write(cpu, insn->seg, dec_ea(cpu, insn), buf, 6);
}

static int do_lldt(struct cpu *cpu, const struct dec_insn *insn)
{
    u64 desc;
    u16 sel;

    if (cpu->cpl != 0)
        return mon_exc_err(cpu, EXC_GP, 0);
    if (read_rm16(cpu, insn, &sel))
        return -1;
    if (sel_is_null(sel)) {
        cpu->ldtr.sel = sel;
        cpu->ldtr.attr = 0;
        return 0;
    }
    if (sel & 4)
        return mon_exc_err(cpu, EXC_GP, sel & 0xfffcu);
    if (desc_read(cpu, sel, &desc))
        return -1;
    if (!desc_is_system(desc) || desc_type(desc) != SYS_LDT)
        return mon_exc_err(cpu, EXC_GP, sel & 0xfffcu);
    if (!desc_present(desc))
        return mon_exc_err(cpu, EXC_NP, sel & 0xfffcu);
    cpu->ldtr = (struct cpu_sysseg){desc_base(desc), desc_limit(desc), sel, desc_attr(desc)};
    return 0;
}

static int do_ltr(struct cpu *cpu, const struct dec_insn *insn)
{
    u64 desc;
    u16 sel;

    if (cpu->cpl != 0)
        return mon_exc_err(cpu, EXC_GP, 0);
    if (read_rm16(cpu, insn, &sel))
        return -1;
    if (sel_is_null(sel))
        return mon_exc_err(cpu, EXC_GP, 0);
    if (sel & 4)
        return mon_exc_err(cpu, EXC_GP, sel & 0xfffcu);
    if (desc_read(cpu, sel, &desc))
        return -1;
    if (!desc_is_free_tss(desc))
        return mon_exc_err(cpu, EXC_GP, sel & 0xfffcu);
    if (!desc_present(desc))
        return mon_exc_err(cpu, EXC_NP, sel & 0xfffcu);
    if (desc_set_busy(cpu, sel, true))
        return -1;
    cpu->tr = (struct cpu_sysseg){desc_base(desc), desc_limit(desc), sel, desc_attr(desc) | SYS_TYPE_BUSY};
    return 0;
}

static int dispatch(struct cpu *cpu, const struct dec_insn *insn)
{
    switch (insn->op) {
    case OP_MOV_SEG_RM: return do_mov_seg(cpu, insn);
    case OP_POP_SEG: return do_pop_seg(cpu, insn);
    case OP_LOAD_FAR: return do_load_far(cpu, insn);
    case OP_LGDT:
    case OP_LIDT: return do_load_table(cpu, insn);
    case OP_SGDT:
    case OP_SIDT: return do_store_table(cpu, insn);
    }
    /* The rest does not exist in real mode and v86. */
    if (!mon_is_protected(cpu))
        return mon_exc(cpu, EXC_UD);
    switch (insn->op) {
    case OP_LAR:
    case OP_LSL: return do_lar_lsl(cpu, insn);
    case OP_VERR:
    case OP_VERW: return do_verify(cpu, insn);
    case OP_ARPL: return do_arpl(cpu, insn);
    case OP_LLDT: return do_lldt(cpu, insn);
    case OP_LTR: return do_ltr(cpu, insn);
    case OP_SLDT: return write_rm16(cpu, insn, cpu->ldtr.sel);
    case OP_STR: return write_rm16(cpu, insn, cpu->tr.sel);
    default: return mon_exc(cpu, EXC_UD);
    }
}

int mon_sys_segment(struct cpu *cpu, const struct dec_insn *insn)
{
    if (dispatch(cpu, insn))
        return -1;
    mon_next(cpu, insn);
    return 0;
}
