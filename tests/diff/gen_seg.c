/*
 * gen_seg.c - segment registers: selectors, loads, far transfers, tests of selectors.
 *
 * Selectors are of the random LDT, mostly good for their purpose, now and then not. Where a load is legal the generator
 * goes on with the new segment, so that what follows still finds its operands.
 */
#include <string.h>

#include "tests/diff/gen.h"

void gen_set_segment(struct gen *g, unsigned seg, u16 sel)
{
    g->sel[seg] = sel;
    g->seg_ok[seg] = (sel & ~3) && diff_descriptor(sel, &g->seg[seg]);
    if (!g->seg_ok[seg])
        g->seg[seg] = (struct diff_descriptor){.limit = 0xffffffff, .big = true};
    if (seg == SEG_CS)
        g->cs32 = g->seg[seg].big;
    if (seg == SEG_SS)
        g->ss32 = g->seg[seg].big;
}

static u16 slot(struct gen *g, unsigned first, unsigned end)
{
    return SEL_LDT(first + rng_below(&g->rng, end - first));
}

u16 gen_selector(struct gen *g, unsigned seg)
{
    u32 r = rng_below(&g->rng, 100);
    u16 sel;

    if (r < 3)
        return 0; /* null; one with an RPL becomes 0 when an interrupt returns, at any time */
    if (r < 10)
        sel = slot(g, 0, LDT_COUNT + 2); /* any, and some behind the table's end */
    else if (r < 28)
        sel = seg == SEG_CS ? SEL_CS_FLAT : SEL_DS_FLAT;
    else if (seg == SEG_CS)
        sel = r < 40 ? SEL_LDT(LDT_CODE32) : slot(g, LDT_R_CODE16, LDT_R_STACK);
    else if (seg == SEG_SS)
        sel = r < 40 ? SEL_LDT(LDT_STACK16) : slot(g, LDT_R_STACK, LDT_R_ABSENT);
    else
        sel = r < 32 ? slot(g, LDT_R_CODE16, LDT_COUNT) : slot(g, LDT_R_DATA, LDT_R_CODE16);
    if (rng_chance(&g->rng, seg == SEG_SS || seg == SEG_CS ? 3 : 20))
        sel = (u16)((sel & ~3) | rng_below(&g->rng, 4));
    return sel;
}

/* Writable at off, as far as anybody can tell: else the selector would come from somewhere else. */
static bool writable(const struct gen *g, unsigned seg, u32 off, unsigned size)
{
    const struct diff_descriptor *d = &g->seg[seg];
    u32 lin = d->base + off;

    return g->seg_ok[seg] && !d->code && d->rw && diff_in_limit(d, off, size) &&
           (lin - DATA_GVA < DATA_RW_PAGES * PAGE_BYTES - 8 ||
            lin - STACK_GVA < STACK_PAGES * PAGE_BYTES - 8);
}

/* The selector where the instruction reads it: a register or memory. 1: done, 0: cannot be, -1: full. */
static int put_selector(struct gen *g, const struct dec_insn *d, unsigned reg, u32 off, u16 sel)
{
    if (d->mem) {
        if (!writable(g, d->seg, off, 2))
            return 0;
        return gen_store_imm(g, d->seg, off, sel, 2) ? 1 : -1;
    }
    if (reg == R_ESP)
        return 0;
    return gen_mov_imm(g, reg, sel | (u32)rng_u64(&g->rng) << 16) ? 1 : -1;
}

/* The load is there; what follows lives with it. */
static bool loaded(struct gen *g, unsigned seg, u16 sel)
{
    if (!diff_loadable(seg, sel))
        return true;
    gen_set_segment(g, seg, sel);
    return seg != SEG_SS || gen_mov_imm(g, R_ESP, gen_stack_target(g));
}

/* Where the selector of a far pointer is: 16-bit addresses wrap. */
static u32 selector_at(const struct dec_insn *d, u32 off, unsigned size)
{
    return d->adsz == 2 ? (u16)(off + size) : off + size;
}

static bool load(struct gen *g, const u8 *b, const struct dec_insn *d, u32 off, i32 cand)
{
    unsigned seg = d->op == OP_LOAD_FAR ? d->reg2 : d->reg;
    u16 sel = gen_selector(g, seg);
    int put;

    if (d->op == OP_LOAD_FAR) {
        u32 value = seg == SEG_SS && d->reg == R_ESP ? gen_stack_target(g) : rng_interesting(&g->rng);

        if (!writable(g, d->seg, off, d->opsz))
            return true;
        put =
            gen_store_imm(g, d->seg, off, value, d->opsz) && gen_store_imm(g, d->seg, off + d->opsz, sel, 2);
        put = put ? 1 : -1;
    } else if (d->op == OP_POP_SEG) {
        put = gen_push_imm(g, sel | (d->stksz == 4 ? (u32)rng_u64(&g->rng) << 16 : 0), d->stksz) ? 1 : -1;
    } else {
        put = put_selector(g, d, d->reg2, off, sel);
    }
    if (put <= 0)
        return put == 0;
    return gen_item(g, b, d->len, cand) && loaded(g, seg, sel);
}

/* LAR, LSL, VERR, VERW. */
static bool test(struct gen *g, const u8 *b, const struct dec_insn *d, u32 off, i32 cand)
{
    unsigned seg = rng_below(&g->rng, SEG_COUNT), reg = d->op == OP_LAR || d->op == OP_LSL ? d->reg2 : d->reg;
    int put = put_selector(g, d, reg, off, gen_selector(g, seg));

    if (put <= 0)
        return put == 0;
    if ((d->op == OP_LAR || d->op == OP_LSL) && d->reg == R_ESP)
        g->esp_dirty = true;
    return gen_item(g, b, d->len, cand) != NULL;
}

/* CS:EIP where the transfer finds them, aimed at an item a little further on. */
static int put_far(struct gen *g, const struct dec_insn *d, u32 off, u16 sel, u32 base)
{
    unsigned size = d->opsz == 2 ? 2 : 4;

    switch (d->op) {
    case OP_CALL_FAR_M:
    case OP_JMP_FAR_M:
        if (!writable(g, d->seg, off, size))
            return 0;
        return gen_store_imm(g, d->seg, selector_at(d, off, size), sel, 2) &&
                       gen_store_address(g, d->seg, off, size, base)
                   ? 1
                   : -1;
    case OP_IRET:
        if (g->nt_dirty)
            return 0;
        if (!gen_push_imm(g,
                          gen_flags(g) | (rng_chance(&g->rng, 10) ? EFL_TF : 0) |
                              (rng_chance(&g->rng, 10) ? EFL_RF : 0),
                          size))
            return -1;
        __attribute__((fallthrough));
    case OP_RET_FAR: return gen_push_imm(g, sel, size) && gen_push_address(g, size, base) ? 1 : -1;
    default: return 1;
    }
}

static bool transfer(struct gen *g, const u8 *b, const struct dec_insn *d, u32 off, i32 cand)
{
    u16 sel = gen_selector(g, SEG_CS);
    bool direct = d->op == OP_CALL_FAR_I || d->op == OP_JMP_FAR_I, good = diff_loadable(SEG_CS, sel);
    unsigned size = d->opsz == 2 ? 2 : 4;
    struct diff_descriptor to = {0};
    struct diff_item *it;
    int put;

    diff_descriptor(sel, &to);
    put = put_far(g, d, off, sel, to.base);
    if (put <= 0)
        return put == 0;
    it = gen_item(g, b, d->len, cand);
    if (!it)
        return false;
    if (direct) {
        memcpy(it->bytes + d->imm_off + size, &sel, 2);
        it->fix_off = d->imm_off;
        it->fix_size = (u8)size;
        it->fix_abs = 1;
        it->cs_base = to.base;
        it->target = (i16)(g->c->n + rng_below(&g->rng, 2));
    }
    /* With 16 bits only near ones are reached. */
    if (good && (size == 4 || CODE_GVA - to.base < 0x10000))
        gen_set_segment(g, SEG_CS, (u16)(sel | 3));
    return true;
}

static bool interrupt(struct gen *g, u8 *b, const struct dec_insn *d, i32 cand)
{
    static const u8 some[] = {0, 1, 2, 3, 3, 4, 4, 5, 8, 13, 14, 0x20, 0x7f, 0x81, 0xff};

    b[d->imm_off] = some[rng_below(&g->rng, sizeof(some))];
    return gen_item(g, b, d->len, cand) != NULL;
}

bool gen_seg(struct gen *g, u8 *b, const struct dec_insn *d, u32 off, i32 cand)
{
    switch (d->op) {
    case OP_LAR:
    case OP_LSL:
    case OP_VERR:
    case OP_VERW: return test(g, b, d, off, cand);
    case OP_INT: return interrupt(g, b, d, cand);
    case OP_MOV_SEG_RM:
    case OP_POP_SEG:
    case OP_LOAD_FAR: return load(g, b, d, off, cand);
    default: return transfer(g, b, d, off, cand);
    }
}
