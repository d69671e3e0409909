/*
 * ldt.c - the descriptors that both sides have: a few fixed ones, and random ones with odd bases and limits.
 *
 * Each slot has a purpose, so that the generator can ask for a stack or for 16-bit code; where in memory it lies, where
 * its limit cuts, granularity and rights are random. Conforming code is missing: modify_ldt() refuses it.
 */
#include "tests/diff/diff.h"

#define TOP 0xffffffffu

static const struct diff_descriptor fixed[LDT_R_DATA] = {
    [LDT_DATA] = {.base = DATA_GVA - 0x1000, .limit = 0x3fff, .rw = true, .big = true},
    [LDT_CODE16] = {.base = CODE_GVA, .limit = 0xffff, .code = true, .rw = true},
    [LDT_STACK16] = {.base = STACK_GVA, .limit = 0xffff, .rw = true},
    [LDT_RODATA] = {.base = DATA_GVA, .limit = 0x2fff, .big = true},
    [LDT_DOWN] = {.base = DATA_GVA - 0x10000, .limit = 0xffff, .rw = true, .down = true, .big = true},
    [LDT_CODE32] = {.base = CODE_GVA - 0x2000, .limit = 0x3fff, .code = true, .rw = true, .big = true},
    [LDT_BASED] = {.base = 0x1000, .limit = TOP, .pages = true, .rw = true, .big = true},
};

static struct diff_descriptor table[LDT_COUNT];
static u64 table_seed;
static bool table_made;

#define S(n) SEL_LDT(LDT_##n)
#define F SEL_DS_FLAT
const struct diff_segments diff_configs[] = {
    /* ES CS SS DS FS GS */
    {"plain", {F, SEL_CS_FLAT, F, F, 0, 0}},
    {"flat", {F, SEL_CS_FLAT, F, F, 0, S(DATA)}},
    {"thread", {F, SEL_CS_FLAT, F, F, 0, S(BASED)}},
    {"based", {F, SEL_CS_FLAT, F, S(BASED), 0, S(DATA)}},
    {"limits", {S(DATA), SEL_CS_FLAT, F, S(DATA), 0, S(DOWN)}},
    {"odd", {S(DATA), SEL_CS_FLAT, F, S(DOWN), F, S(RODATA)}},
    {"readonly", {F, SEL_CS_FLAT, F, S(RODATA), S(BASED), 0}},
    {"code16", {S(DATA), S(CODE16), S(STACK16), S(DATA), 0, F}},
    {"code16-flat", {F, S(CODE16), F, F, S(DATA), S(DATA)}},
    {"stack16", {F, SEL_CS_FLAT, S(STACK16), F, 0, S(DATA)}},
    {"code32", {F, S(CODE32), F, F, F, S(DATA)}},
};
#undef S
#undef F
const unsigned diff_config_count = ARRAY_SIZE(diff_configs);

/* A byte-granular limit has 20 bits. */
static void set_limit(struct diff_descriptor *d, u32 limit, bool pages)
{
    d->pages = pages || limit > 0xfffff;
    d->limit = d->pages ? limit | PAGE_MASK : limit;
}

static void around_data(struct diff_rng *r, struct diff_descriptor *d)
{
    u32 kind = rng_below(r, 100), end;

    d->base = DATA_GVA - rng_below(r, 0x8000);
    end = DATA_GVA - d->base + rng_below(r, DATA_PAGES * PAGE_BYTES + 64);
    if (kind < 40) {
        set_limit(d, end, false);
    } else if (kind < 55) {
        set_limit(d, end, true);
    } else if (kind < 70) { /* any base: offsets wrap at 4 GiB */
        d->base = (u32)rng_u64(r);
        set_limit(d, TOP, true);
    } else if (kind < 80) { /* over the top */
        d->base = 0u - rng_below(r, 0x3000);
        set_limit(d, rng_chance(r, 50) ? TOP : DATA_GVA + rng_below(r, 0x6000), true);
    } else if (kind < 90) { /* near 0, ends in the data */
        d->base = rng_below(r, 0x10000);
        set_limit(d, DATA_GVA - d->base + rng_below(r, DATA_PAGES * PAGE_BYTES), true);
    } else {
        d->base = (rng_chance(r, 50) ? STACK_GVA : CODE_GVA) - rng_below(r, 0x8000);
        set_limit(d, rng_chance(r, 50) ? 0xffff : rng_below(r, 0xa000), rng_chance(r, 30));
    }
}

/* Offsets above the limit lie in some memory from at on. */
static void make_down(struct diff_rng *r, struct diff_descriptor *d, u32 at)
{
    u32 limit = 0x100 + rng_below(r, d->big ? 0x1ff00 : 0xef00);

    d->down = true;
    d->rw = rng_chance(r, 80);
    set_limit(d, limit, rng_chance(r, 25));
    d->base = at + rng_below(r, PAGE_BYTES) - d->limit - 1;
}

static void make_code(struct diff_rng *r, struct diff_descriptor *d)
{
    u32 kind = rng_below(r, 100);

    d->code = true;
    d->rw = rng_chance(r, 75);
    d->base = CODE_GVA - rng_below(r, rng_chance(r, 80) ? 0x4000 : 0x10000);
    if (kind < 60)
        set_limit(d, rng_chance(r, 70) ? 0xffff : TOP, false);
    else if (kind < 85)
        set_limit(d, CODE_GVA - d->base + rng_below(r, CODE_BYTES), false);
    else
        set_limit(d, CODE_GVA - d->base + rng_below(r, CODE_BYTES), true);
}

static void make_stack(struct diff_rng *r, struct diff_descriptor *d)
{
    u32 kind = rng_below(r, 100);

    d->big = rng_chance(r, 50);
    if (kind < 20) {
        make_down(r, d, STACK_GVA);
    } else if (kind < 40) {
        d->base = d->big ? (u32)rng_u64(r) : STACK_GVA - rng_below(r, 0x4000);
        set_limit(d, TOP, true);
    } else {
        d->base = STACK_GVA - rng_below(r, 0x4000);
        set_limit(d,
                  rng_chance(r, 50) ? 0xffff : STACK_GVA - d->base + rng_below(r, STACK_PAGES * PAGE_BYTES),
                  rng_chance(r, 20));
    }
    d->rw = true;
}

static struct diff_descriptor make(struct diff_rng *r, unsigned slot)
{
    struct diff_descriptor d = {.rw = rng_chance(r, 75), .big = rng_chance(r, 70)};

    if (slot < LDT_R_WRAP) {
        around_data(r, &d);
    } else if (slot < LDT_R_DOWN) {
        d.base = WRAP_GVA + rng_below(r, WRAP_PAGES * PAGE_BYTES);
        set_limit(&d, rng_chance(r, 60) ? 0xffff : 0xfff0 + rng_below(r, 15), false);
    } else if (slot < LDT_R_CODE16) {
        make_down(r, &d, DATA_GVA);
    } else if (slot < LDT_R_STACK) {
        d.big = slot >= LDT_R_CODE32;
        make_code(r, &d);
    } else if (slot < LDT_R_ABSENT) {
        make_stack(r, &d);
    } else if (slot == LDT_R_ABSENT) {
        d = make(r, LDT_R_DATA + rng_below(r, LDT_R_ABSENT - LDT_R_DATA));
        d.absent = true;
    } else if (slot == LDT_R_EMPTY) {
        d = (struct diff_descriptor){.absent = true};
    } else if (slot == LDT_R_TINY) {
        d.base = DATA_GVA + rng_below(r, PAGE_BYTES);
        d.limit = rng_below(r, 20);
    } else {
        d = make(r, LDT_R_DATA + rng_below(r, LDT_R_ABSENT - LDT_R_DATA));
        d.base = rng_chance(r, 50) ? (u32)rng_u64(r) : d.base;
    }
    return d;
}

/* Behind the last byte of 4 GiB a segment with a base goes on at its first, or faults (SDM vol. 3, 5.3): NoVT goes on where
 * both are in memory, so that there must not be. */
static void end_below_4g(struct diff_descriptor *d)
{
    for (unsigned i = 0; i < diff_region_count; i++)
        if (d->limit == TOP && !d->down && d->base - diff_regions[i].gva < diff_regions[i].pages * PAGE_BYTES)
            d->limit = TOP - PAGE_BYTES;
}

const struct diff_descriptor *diff_ldt(u64 seed)
{
    struct diff_rng r = {seed ^ 0x1d7};

    if (table_made && table_seed == seed)
        return table;
    for (unsigned i = 0; i < LDT_COUNT; i++) {
        if (!diff_vector_descriptor(seed, i, &table[i]))
            table[i] = i < LDT_R_DATA ? fixed[i] : make(&r, i);
        end_below_4g(&table[i]);
    }
    table_seed = seed;
    table_made = true;
    return table;
}

bool diff_descriptor(u16 sel, struct diff_descriptor *out)
{
    static const struct diff_descriptor flat_data = {0, TOP, true, false, true, false, true, false};
    static const struct diff_descriptor flat_code = {0, TOP, true, true, true, false, true, false};

    if ((sel & ~3) == (SEL_CS_FLAT & ~3))
        *out = flat_code;
    else if ((sel & ~3) == (SEL_DS_FLAT & ~3))
        *out = flat_data;
    else if (sel & 4 && sel >> 3 < LDT_COUNT && sel >> 3 != LDT_R_EMPTY)
        *out = table[sel >> 3];
    else
        return false;
    return true;
}

bool diff_in_limit(const struct diff_descriptor *d, u32 off, u32 size)
{
    u32 last = off + size - 1;

    if (d->down)
        return off > d->limit && last >= off && last <= (d->big ? TOP : 0xffff);
    return last >= off && last <= d->limit;
}

bool diff_loadable(unsigned seg, u16 sel)
{
    struct diff_descriptor d;

    if (!(sel & ~3))
        return seg != SEG_SS && seg != SEG_CS;
    if (!diff_descriptor(sel, &d) || d.absent)
        return false;
    if (seg == SEG_CS)
        return d.code;
    if (seg == SEG_SS)
        return (sel & 3) == 3 && !d.code && d.rw;
    return !d.code || d.rw;
}
