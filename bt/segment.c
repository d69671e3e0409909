/*
 * segment.c - loads of segment registers in real mode and v86, where the base is the selector times 16.
 *
 * Such a load changes nothing that a block assumes: see enum cpu_segclass. In protected mode loads are C's, and so are those of a
 * register that is not yet as a load in this mode makes it (SEGC_CHECK).
 */
#include "bt/internal.h"

/* seg = selector in r13d, upper half clear. Clobbers r9. */
void tr_set_segment(struct tr *t, unsigned seg)
{
    struct emit *e = &t->e;
    struct hop sel = op_selector(seg), base = hop_base(H_CPU, CPU_DISP(seg_base) + (i32)seg * 4);
    em_store(e, 2, &sel, H_R13);
    em_rorx(e, 4, H_R9, H_R13, 28);
    em_store(e, 4, &base, H_R9);
}

static bool loads_here(const struct tr *t, unsigned seg)
{
    return cpu_mode_8086(t->mode) && seg < SEG_COUNT && seg != SEG_CS && op_seg_ok(t, seg);
}

/* A load of SS holds interrupts off until behind the next instruction; not the second of two loads in a row (SDM vol. 3, 6.8.3). */
static void hold_off(struct tr *t, unsigned seg)
{
    if (seg != SEG_SS || t->held == t->eip)
        return;
    t->mid_next = true;
    t->held = t->next;
}

static bool mov_seg(struct tr *t)
{
    const struct dec_insn *in = t->in;
    struct emit *e = &t->e;
    if (!loads_here(t, in->reg) || (in->mem && !op_seg_ok(t, in->seg)))
        return false;
    if (in->mem) {
        struct hop m = op_insn_sized(t, 2);
        em_load(e, 2, H_R13, &m);
    } else if (in->reg2 == R_ESP) {
        em_lea32(e, H_R13, G_ESP, t->adj);
        em_movzx16(e, H_R13, H_R13);
    } else {
        em_movzx16(e, H_R13, in->reg2 & 7);
    }
    tr_set_segment(t, in->reg);
    hold_off(t, in->reg);
    return true;
}

static bool pop_seg(struct tr *t)
{
    const struct dec_insn *in = t->in;
    if (!loads_here(t, in->reg) || !op_seg_ok(t, SEG_SS))
        return false;
    struct hop m = op_stack(t, 0, 2);
    em_load(&t->e, 2, H_R13, &m);
    tr_move_sp(t, in->stksz);
    tr_set_segment(t, in->reg);
    hold_off(t, in->reg);
    return true;
}

/* LES and its like: the offset is read first, as the host CPU does. */
static bool load_far(struct tr *t)
{
    const struct dec_insn *in = t->in;
    struct emit *e = &t->e;
    u8 host = in->reg == R_ESP ? G_ESP : in->reg & 7;
    if (!in->mem || !loads_here(t, in->reg2) || !op_seg_ok(t, in->seg))
        return false;
    if (in->reg == R_ESP) {
        tr_flush_esp(t);
        tr_rec(t, PEND_NONE, SIDE_MID);
    }
    struct hop off = op_insn_sized(t, in->opsz + 2u), sel = off;
    sel.disp = (i32)((u32)sel.disp + in->opsz);
    em_load(e, in->opsz, H_R14, &off);
    em_load(e, 2, H_R13, &sel);
    tr_set_segment(t, in->reg2);
    em_rr(e, in->opsz == 2 ? EM_66 : 0, 0x89, H_R14, host);
    return true;
}

bool tr_segment(struct tr *t)
{
    switch (t->in->op) {
    case OP_MOV_SEG_RM: return mov_seg(t);
    case OP_POP_SEG: return pop_seg(t);
    case OP_LOAD_FAR: return load_far(t);
    default: return false;
    }
}
