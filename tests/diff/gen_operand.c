/*
 * gen_operand.c - memory operands that usually can be accessed.
 *
 * Addresses are chosen first: inside a page, across pages, across the end of what may be written or is
 * present, near the end of a segment or of the address space. Then the base and index registers get values
 * that lead there, by MOVs in front of the instruction, which change no flag.
 */
#include <string.h>

#include "tests/diff/gen.h"

static u32 linear_target(struct gen *g, unsigned size)
{
    u32 r = rng_below(&g->rng, 100), rw = DATA_RW_PAGES * PAGE_BYTES;

    if (r < 50)
        return DATA_GVA + rng_below(&g->rng, rw / 16 - 32) * 16;
    if (r < 74)
        return DATA_GVA + rng_below(&g->rng, rw - 512);
    if (r < 84)
        return DATA_GVA + PAGE_BYTES - rng_below(&g->rng, size + 4);
    if (r < 87)
        return DATA_GVA + rw - rng_below(&g->rng, size + 4);
    if (r < 89)
        return DATA_GVA + rw + rng_below(&g->rng, PAGE_BYTES);
    if (r < 91)
        return DATA_GVA + rw + PAGE_BYTES - rng_below(&g->rng, size + 4);
    if (r < 94)
        return STACK_GVA + rng_below(&g->rng, STACK_PAGES * PAGE_BYTES - 64);
    if (r < 96)
        return CODE_GVA + rng_below(&g->rng, CODE_PAGES * PAGE_BYTES);
    if (r < 98)
        return HIGH_GVA + PAGE_BYTES - rng_below(&g->rng, 64);
    return DATA_GVA - rng_below(&g->rng, 64);
}

/* Somewhere that the segment reaches, if there is anything. */
static u32 within_limit(struct gen *g, const struct diff_descriptor *d, u32 lin, unsigned size)
{
    static const struct {
        u32 gva, bytes;
    } areas[] = {
        {DATA_GVA, DATA_PAGES * PAGE_BYTES}, {STACK_GVA, STACK_PAGES * PAGE_BYTES},
        {CODE_GVA + PAGE_BYTES, PAGE_BYTES}, {HIGH_GVA, HIGH_PAGES * PAGE_BYTES},
        {WRAP_GVA, WRAP_PAGES * PAGE_BYTES},
    };

    for (unsigned i = 0; i < 12 && !diff_in_limit(d, lin - d->base, size + 16); i++) {
        unsigned at = i < 4 ? 0 : rng_below(&g->rng, ARRAY_SIZE(areas));

        lin = areas[at].gva + rng_below(&g->rng, areas[at].bytes - 64);
    }
    return lin;
}

u32 gen_target(struct gen *g, unsigned seg, unsigned size, bool write)
{
    const struct diff_descriptor *d = &g->seg[seg];
    u32 lin = linear_target(g, size ? size : 4), at;

    (void)write;
    if (g->seg_ok[seg] && rng_chance(&g->rng, 93))
        lin = within_limit(g, d, lin, size);
    if (g->seg_ok[seg] && !d->big && rng_chance(&g->rng, 3))
        return 0xffff - rng_below(&g->rng, 8);
    /* With a base and a limit of 4 GiB an access across the top may wrap or fault (SDM vol. 3, 5.3): NoVT lets it wrap. */
    if ((d->base == 0 || d->limit != 0xffffffff) && rng_chance(&g->rng, d->base ? 12 : 2)) {
        at = rng_chance(&g->rng, 80) ? (d->down ? d->limit + 1 : d->limit) : d->down && !d->big ? 0xffff : 0;
        return at - rng_below(&g->rng, size + 4) + rng_below(&g->rng, 2);
    }
    return lin - d->base;
}

unsigned gen_modrm(struct gen *g, u8 *b, u8 ext, bool adsz32, bool absolute)
{
    u8 mod = absolute ? 0 : (u8)rng_below(&g->rng, 3);
    u8 rm = absolute ? (adsz32 ? 5 : 6) : (u8)rng_below(&g->rng, 8);
    unsigned n = 0, disp = mod == 1 ? 1 : mod == 2 ? (adsz32 ? 4 : 2) : 0;

    b[n++] = (u8)(mod << 6 | ext << 3 | rm);
    if (!adsz32) {
        if (mod == 0 && rm == 6)
            disp = 2;
    } else {
        if (mod == 0 && rm == 5)
            disp = 4;
        if (rm == 4) {
            u8 sib = (u8)rng_below(&g->rng, 256);

            b[n++] = sib;
            if (mod == 0 && (sib & 7) == 5)
                disp = 4;
        }
    }
    for (unsigned i = 0; i < disp; i++)
        b[n++] = (u8)(i ? 0 : rng_below(&g->rng, 256));
    return n;
}

/* Offset of the displacement in the instruction, found from the back: it stands before the immediate. */
static unsigned disp_offset(const struct dec_insn *d, unsigned bytes)
{
    return (d->imm_size ? d->imm_off : d->len) - bytes;
}

static unsigned disp_bytes(const struct dec_insn *d)
{
    u8 mod = d->modrm >> 6, rm = d->modrm & 7;

    if (d->moffs)
        return d->adsz;
    if (mod == 1)
        return 1;
    if (mod == 2)
        return d->adsz;
    if (d->adsz == 2)
        return rm == 6 ? 2 : 0;
    if (rm == 5)
        return 4;
    return rm == 4 && d->base == DEC_NO_REG ? 4 : 0;
}

static void set_disp(u8 *bytes, const struct dec_insn *d, unsigned n, u32 value)
{
    for (unsigned i = 0; i < n; i++)
        bytes[disp_offset(d, n) + i] = (u8)(value >> (8 * i));
}

static u32 small_index(struct gen *g)
{
    if (rng_chance(&g->rng, 5))
        return rng_interesting(&g->rng);
    return rng_chance(&g->rng, 20) ? 0u - rng_below(&g->rng, 32) : rng_below(&g->rng, 64);
}

/* Base and index the same register: only the displacement is free. */
static bool fix_same(struct gen *g, u8 *bytes, const struct dec_insn *d, u32 target, unsigned db)
{
    u32 v = rng_below(&g->rng, 4096);

    if (db < 2)
        v = (target - (u32)d->disp) / (1u + d->scale);
    else
        set_disp(bytes, d, db, target - v * (1u + d->scale));
    return gen_mov_imm(g, d->base, v);
}

bool gen_fix_operand(struct gen *g, u8 *bytes, struct dec_insn *d, bool absolute, u32 *off)
{
    unsigned db = disp_bytes(d);
    u32 target = gen_target(g, d->seg, d->mem_size, d->mem_write), index = 0;
    bool high = d->adsz == 2 && rng_chance(&g->rng, 50);

    /* Over the end of 64 KiB; not large ones, of which CPUs store parts before they find a limit. */
    if (d->adsz == 2 && d->mem_size <= 16 && rng_chance(&g->rng, 5))
        target = 0xffff - rng_below(&g->rng, d->mem_size + 4u);
    if (absolute) {
        set_disp(bytes, d, db, target);
        *off = d->adsz == 2 ? (u16)target : target;
        return true;
    }
    if (d->index != DEC_NO_REG && d->index != d->base) {
        index = small_index(g);
        if (!gen_mov_imm(g, d->index, high ? index | (u32)rng_u64(&g->rng) << 16 : index))
            return false;
    }
    if (d->base == DEC_NO_REG) {
        set_disp(bytes, d, db, target - index * d->scale);
        return true;
    }
    if (d->base == R_ESP) {
        if (db > 1)
            set_disp(bytes, d, db, rng_below(&g->rng, 256) - 64);
        return true;
    }
    if (d->index == d->base)
        return fix_same(g, bytes, d, target, db);
    target -= (u32)d->disp + index * d->scale;
    return gen_mov_imm(g, d->base, high ? (u16)target | (u32)rng_u64(&g->rng) << 16 : target);
}
