/*
 * gen_fault.c - units that mean to fault, and prefixes that mean nothing.
 *
 * The undefined opcodes are those that no CPU of the last thirty years has given a meaning in 32-bit code; the others
 * depend on the host. Not UD0 and UD1: whether they have a ModRM byte, which may lie beyond a limit, depends on the maker.
 */
#include <string.h>

#include "tests/diff/gen.h"

static bool undefined(struct gen *g)
{
    static const u8 codes[][3] = {
        /* opcode bytes, and ModRM.reg + 1 with a register operand where it counts */
        {0x0b},       {0x04},       {0x0a},       {0x0c},       {0x24},       {0x25},
        {0x26},       {0x27},       {0x36},       {0x39},       {0x3b},       {0x3c},
        {0x3d},       {0x3e},       {0x3f},       {0x7a},       {0x7b},       {0xa6},
        {0xa7},       {0xba, 0, 1}, {0xba, 0, 4}, {0x71, 0, 1}, {0x71, 0, 8}, {0x72, 0, 2},
        {0x73, 0, 1}, {0x73, 0, 6}, {0xc7, 0, 1}, {0xc7, 0, 2}, {0x00, 0, 7}, {0x00, 0, 8},
    };
    static const u8 one_byte[][2] = {{0xfe, 2}, {0xfe, 7}, {0xff, 7}, {0xc6, 1}, {0xc6, 6}, {0xc7, 2},
                                     {0x8e, 1}, {0x8e, 6}, {0x8e, 7}, {0x8c, 6}, {0x8c, 7}, {0x8d, 3}};
    u8 b[16], n = 0;

    if (rng_chance(&g->rng, 20))
        b[n++] = 0x66;
    if (rng_chance(&g->rng, 10))
        b[n++] = gen_seg_prefix[rng_below(&g->rng, SEG_COUNT)];
    if (rng_chance(&g->rng, 10))
        b[n++] = 0xf0;
    if (rng_chance(&g->rng, 40)) {
        const u8 *k = one_byte[rng_below(&g->rng, ARRAY_SIZE(one_byte))];

        b[n++] = k[0];
        b[n++] = (u8)(0xc0 | k[1] << 3 | rng_below(&g->rng, 8));
    } else {
        const u8 *k = codes[rng_below(&g->rng, ARRAY_SIZE(codes))];

        b[n++] = 0x0f;
        b[n++] = k[0];
        if (k[2])
            b[n++] = (u8)(0xc0 | (k[2] - 1u) << 3 | rng_below(&g->rng, 8));
    }
    return gen_item(g, b, n, -1) != NULL;
}

/* 14 to 16 bytes: as long as may be, and one more. */
static bool too_long(struct gen *g)
{
    static const u8 prefixes[] = {0x66, 0x67, 0x2e, 0x3e, 0xf2, 0xf3};
    static const u8 last[] = {0x90, 0x40, 0xf8, 0x99, 0x98};
    u8 b[16];
    unsigned n = 13 + rng_below(&g->rng, 3);

    for (unsigned i = 0; i < n; i++)
        b[i] = prefixes[rng_below(&g->rng, sizeof(prefixes))];
    b[n] = last[rng_below(&g->rng, sizeof(last))];
    return gen_item(g, b, n + 1, -1) != NULL;
}

/* POPF with flags that make later instructions trap. */
static bool flags(struct gen *g)
{
    static const u8 popf[] = {0x66, 0x9d};
    unsigned size = rng_chance(&g->rng, 80) ? 4 : 2;
    u32 fl = gen_flags(g);

    if (rng_chance(&g->rng, 40))
        fl |= EFL_TF;
    if (rng_chance(&g->rng, 50))
        fl ^= EFL_AC;
    if (rng_chance(&g->rng, 10))
        fl |= EFL_RF;
    if (!gen_push_imm(g, fl, size))
        return false;
    return gen_item(g, popf + ((size == 4) == g->cs32), (size == 4) == g->cs32 ? 1 : 2, -1) != NULL;
}

static bool exception(struct gen *g)
{
    static const u8 codes[][3] = {{1, 0xcc},      {1, 0xce},       {1, 0xf4},       {1, 0xfa},
                                  {1, 0xfb},      {1, 0xec},       {2, 0xcd, 0x03}, {2, 0xcd, 0x04},
                                  {1, 0xf1},      {2, 0xf7, 0xf0}, {2, 0xd4, 0x00}, {2, 0x0f, 0x06},
                                  {2, 0x0f, 0x08}};
    const u8 *k = codes[rng_below(&g->rng, ARRAY_SIZE(codes))];

    if (k[1] == 0xf1 && !native_has_icebp())
        return true;
    return gen_item(g, k + 1, k[0], -1) != NULL;
}

bool gen_fault(struct gen *g)
{
    switch (rng_below(&g->rng, 5)) {
    case 0: return undefined(g);
    case 1: return too_long(g);
    case 2: return exception(g);
    default: return flags(g);
    }
}

unsigned gen_junk(struct gen *g, u8 *b, unsigned len)
{
    unsigned n = 1 + rng_below(&g->rng, rng_chance(&g->rng, 80) ? 2 : 8);

    memmove(b + n, b, len);
    for (unsigned i = 0; i < n; i++)
        b[i] = len && rng_chance(&g->rng, 40) ? b[n + rng_below(&g->rng, len)]
                                              : gen_seg_prefix[rng_below(&g->rng, SEG_COUNT)];
    return n;
}
