/*
 * gen_fpu.c - x87, MMX and SSE state that a program starts with.
 *
 * Mostly what compilers leave: all exceptions masked, some registers in use. Now and then an exception is unmasked, or a
 * register holds a denormal, a NaN, an infinity or something that is no number at all.
 */
#include <string.h>

#include "tests/diff/gen.h"

void gen_fpu(struct gen *g, u8 *fx)
{
    u16 fcw = 0x37f, fsw = (u16)(rng_below(&g->rng, 8) << 11);
    u32 mxcsr = 0x1f80;

    memset(fx, 0, 512);
    if (rng_chance(&g->rng, 30))
        fcw = (u16)(0x7f | rng_below(&g->rng, 16) << 8);
    if (rng_chance(&g->rng, 12))
        fcw &= (u16) ~(1u << rng_below(&g->rng, 6));
    if (rng_chance(&g->rng, 30))
        mxcsr |= rng_below(&g->rng, 8) << 13;
    if (rng_chance(&g->rng, 8))
        mxcsr |= 0x40; /* DAZ */
    if (rng_chance(&g->rng, 12))
        mxcsr &= ~(0x80u << rng_below(&g->rng, 6));
    memcpy(fx, &fcw, 2);
    memcpy(fx + 2, &fsw, 2);
    fx[4] = (u8)(rng_chance(&g->rng, 50) ? rng_u64(&g->rng) : rng_chance(&g->rng, 50) ? 0 : 0xff);
    memcpy(fx + 24, &mxcsr, 4);
    for (unsigned i = 0; i < 8; i++) {
        u64 m = rng_u64(&g->rng) | 1ull << 63;
        u16 e = (u16)(0x3ff0 + rng_below(&g->rng, 32));
        u32 kind = rng_below(&g->rng, 16);

        if (kind == 0)
            m = 0, e = 0;
        else if (kind == 1)
            e = 0x7fff, m = rng_chance(&g->rng, 50) ? 1ull << 63 : m;
        else if (kind == 2)
            m &= ~(1ull << 63), e = (u16)(rng_chance(&g->rng, 50) ? 0 : e);
        else if (kind == 3)
            e = (u16)rng_u64(&g->rng);
        e |= (u16)(rng_below(&g->rng, 2) << 15);
        memcpy(fx + 32 + 16 * i, &m, 8);
        memcpy(fx + 40 + 16 * i, &e, 2);
    }
    for (unsigned i = 160; i < 288; i += 4) {
        u32 v = rng_chance(&g->rng, 50)
                    ? rng_interesting(&g->rng)
                    : (rng_below(&g->rng, 512) + 0x3f000) << 12 | rng_below(&g->rng, 4096);

        memcpy(fx + i, &v, 4);
    }
}

static void tie(struct gen *g, unsigned first)
{
    for (unsigned i = first; i < g->c->n; i++)
        g->c->item[i].tied = true;
}

/* FCOM dword seg:[somewhere]: it moves the data pointer. */
static bool touch_memory(struct gen *g)
{
    unsigned seg = rng_below(&g->rng, SEG_COUNT), n = 0;
    u32 off;
    u8 b[16];

    if (!g->seg_ok[seg])
        seg = SEG_SS;
    off = gen_target(g, seg, 4, false);
    b[n++] = gen_seg_prefix[seg];
    if (!g->cs32)
        b[n++] = 0x67;
    b[n++] = 0xd8;
    b[n++] = 0x15;
    memcpy(b + n, &off, 4);
    return gen_item(g, b, n + 4, -1) != NULL;
}

/* The data pointer of an instruction before the last one may be in any segment, which translated code does not note: it is
 * wiped unless the last one has just set it. FXSAVE stores pointers on some CPUs only while an exception is pending. */
bool gen_fpu_save(struct gen *g, const u8 *b, const struct dec_insn *d, u32 off, i32 cand)
{
    bool fxsave = d->op == OP_FXSAVE, fresh = !fxsave && rng_chance(&g->rng, 40);
    unsigned first = g->c->n, size = d->opsz == 2 ? 2 : 4;

    /* A program that may end between the two parts is none for this. */
    if (g->c->start > CODE_BYTES / 2 ||
        !diff_in_limit(&g->seg[SEG_CS], CODE_GVA - g->seg[SEG_CS].base, CODE_BYTES))
        return true;

    /* CPUs store the first part of an image before they find out that its middle is beyond the limit. */
    if (d->adsz == 2 && (u16)off + (fxsave ? 512u : 108u) > 0x10000)
        return true;
    if (fresh && !touch_memory(g))
        return false;
    if (!gen_item(g, b, d->len, cand))
        return false;
    if (fxsave) {
        for (unsigned at = 8; at < 32; at += at == 20 ? 8 : 4) /* and the mask of MXCSR's bits, the model's */
            if (!gen_store_imm(g, d->seg, off + at, 0, 4))
                return false;
        if (!gen_store_imm(g, d->seg, off + 6, 0, 2))
            return false;
    } else if (!fresh && (!gen_store_imm(g, d->seg, off + 5 * size, 0, size) ||
                          !gen_store_imm(g, d->seg, off + 6 * size, 0, size))) {
        return false;
    }
    tie(g, first + 1);
    return true;
}
