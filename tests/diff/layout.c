/*
 * layout.c - what both sides share: pages, random numbers, and the assembler that turns a
 * program's items into bytes.
 */
#include <string.h>

#include "tests/diff/diff.h"

const struct diff_region diff_regions[] = {
    {CODE_GVA, CODE_PAGES, true, true, 0},
    {DATA_GVA, DATA_RW_PAGES, true, false, CODE_PAGES},
    {DATA_GVA + DATA_RW_PAGES * PAGE_BYTES, DATA_PAGES - DATA_RW_PAGES, false, false,
     CODE_PAGES + DATA_RW_PAGES},
    {STACK_GVA, STACK_PAGES, true, false, CODE_PAGES + DATA_PAGES},
    {HIGH_GVA, HIGH_PAGES, true, false, CODE_PAGES + DATA_PAGES + STACK_PAGES},
    {WRAP_GVA, WRAP_PAGES, true, false, CODE_PAGES + DATA_PAGES + STACK_PAGES + HIGH_PAGES},
};
const unsigned diff_region_count = ARRAY_SIZE(diff_regions);

/* splitmix64 */
u64 rng_u64(struct diff_rng *r)
{
    u64 z = r->s += 0x9e3779b97f4a7c15ull;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

u32 rng_below(struct diff_rng *r, u32 n)
{
    return n ? (u32)((rng_u64(r) >> 32) * n >> 32) : 0;
}

bool rng_chance(struct diff_rng *r, unsigned percent)
{
    return rng_below(r, 100) < percent;
}

u32 rng_interesting(struct diff_rng *r)
{
    static const u32 edges[] = {0,          1,      2,      0x7f,    0x80,       0xff,       0x100,
                                0x7fff,     0x8000, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xfffffffe,
                                0xffffffff, 31,     32,     33,      0x99,       0x9a,       0x0f0f0f0f};
    u32 v = edges[rng_below(r, ARRAY_SIZE(edges))];

    switch (rng_below(r, 4)) {
    case 0: return v;
    case 1: return v + rng_below(r, 5) - 2;
    case 2: return rng_below(r, 256);
    default: return (u32)rng_u64(r);
    }
}

/* One value that SIMD and x87 instructions find interesting, as 8 bytes. */
static u64 random_operand(struct diff_rng *r)
{
    static const u64 doubles[] = {0,
                                  0x3ff0000000000000,
                                  0xbff0000000000000,
                                  0x7ff0000000000000,
                                  0xfff0000000000000,
                                  0x7ff8000000000000,
                                  0x7ff0000000000001,
                                  1,
                                  0x000fffffffffffff,
                                  0x4008000000000000};
    static const u32 floats[] = {0,          0x3f800000, 0xbf800000, 0x7f800000, 0x7fc00000,
                                 0x7f800001, 1,          0x80000000, 0x40490fdb};

    switch (rng_below(r, 5)) {
    case 0: return doubles[rng_below(r, ARRAY_SIZE(doubles))];
    case 1:
        return floats[rng_below(r, ARRAY_SIZE(floats))] | (u64)floats[rng_below(r, ARRAY_SIZE(floats))] << 32;
    case 2: return rng_interesting(r) | (u64)rng_interesting(r) << 32;
    case 3: return (rng_u64(r) & 0x800fffffffffffffull) | (u64)(0x3f0 + rng_below(r, 0x20)) << 52;
    default: return rng_u64(r);
    }
}

/* Some FXSAVE images that FXRSTOR takes, among random operands. */
void diff_fill_memory(u64 seed, struct diff_memory *mem)
{
    struct diff_rng r = {seed};

    for (unsigned p = CODE_PAGES; p < ALL_PAGES; p++) {
        for (unsigned i = 0; i < PAGE_BYTES; i += 8) {
            u64 v = random_operand(&r);

            memcpy(&mem->page[p][i], &v, 8);
        }
    }
    for (unsigned p = CODE_PAGES; p < CODE_PAGES + DATA_RW_PAGES; p++) {
        u8 *image = &mem->page[p][0x400];
        u32 mxcsr = 0x1f80 | (rng_below(&r, 4) << 13);

        memset(image, 0, 32);
        image[0] = 0x7f;
        image[1] = 3;
        image[3] = (u8)(rng_below(&r, 8) << 3);
        image[4] = (u8)rng_below(&r, 256);
        memcpy(image + 24, &mxcsr, 4);
    }
}

/* A program may run off the end of its pages: what does not fit is not there. */
static bool place(const struct diff_case *c, struct diff_memory *mem, unsigned i)
{
    const struct diff_item *it = &c->item[i];
    u8 bytes[16];
    u32 target, off = c->addr[i] - CODE_GVA, n = it->len;

    memcpy(bytes, it->bytes, sizeof(bytes));
    if (it->fix_size) {
        target = c->addr[it->target < 0 || (unsigned)it->target > c->n ? c->n : (unsigned)it->target];
        if (it->fix_abs)
            target += (u32)(i32)it->fix_add - it->cs_base;
        else
            target -= c->addr[i] + it->len;
        if (it->fix_size == 1 && (i32)target != (i8)target)
            return false;
        if (it->fix_size == 2 && (i32)target != (i16)target && !it->fix_abs)
            return false;
        memcpy(bytes + it->fix_off, &target, it->fix_size);
    }
    if (off < CODE_BYTES)
        memcpy(&mem->page[0][0] + off, bytes, off + n <= CODE_BYTES ? n : CODE_BYTES - off);
    return true;
}

bool diff_assemble(struct diff_case *c, struct diff_memory *mem)
{
    u32 at = CODE_GVA + c->start;

    for (unsigned i = 0; i < c->n; i++) {
        c->addr[i] = at;
        if (!c->item[i].off)
            at += c->item[i].len;
    }
    c->addr[c->n] = at;
    if (at - CODE_GVA >= CODE_BYTES && c->start < CODE_BYTES - RUNS_OFF)
        return false;
    memset(mem->page, 0xcc, CODE_BYTES);
    for (unsigned i = 0; i < c->n; i++)
        if (!c->item[i].off && !place(c, mem, i))
            return false;
    return true;
}
