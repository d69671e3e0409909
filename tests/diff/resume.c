/*
 * resume.c - how a program goes on after an exception. The same rules for both sides, so that they stay together.
 *
 * A fault skips the item that it happened in; traps (INT3, INTO, single step) go on where they are. A program that has left its
 * items, or that has seen enough, ends.
 */
#include "tests/diff/diff.h"

/* The item that starts at linear address lin; the next one's address in *next. */
static const struct diff_item *find_item(const struct diff_case *c, u32 lin, u32 *next)
{
    unsigned lo = 0, hi = c->n;

    while (lo < hi) { /* the last one that starts at or before lin: items taken away have no length */
        unsigned mid = (lo + hi) / 2;

        if (c->addr[mid] <= lin)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (!lo || c->addr[lo - 1] != lin)
        return NULL;
    *next = c->addr[lo];
    return *next != lin ? &c->item[lo - 1] : NULL; /* else it is the end */
}

/* What is left of an item behind its prefixes. */
static const u8 *opcode_of(const struct diff_item *it, bool *adsz32)
{
    unsigned i = 0;

    *adsz32 = it->cs32;
    for (; i + 1 < it->len; i++) {
        u8 b = it->bytes[i];

        if (b == 0x67)
            *adsz32 = !it->cs32;
        else if (b != 0x66 && (b & 0xe7) != 0x26 && (b & 0xfe) != 0x64 && b != 0xf0 && (b & 0xfe) != 0xf2)
            break;
    }
    return it->bytes + i;
}

static bool memory_form(u8 modrm, unsigned ext)
{
    return modrm < 0xc0 && (modrm >> 3 & 7) == ext;
}

bool diff_loose(const struct diff_case *c, const struct diff_event *e)
{
    struct diff_descriptor cs;
    const struct diff_item *it;
    const u8 *op;
    bool adsz32;
    u32 next;

    if (!diff_descriptor(e->sel[SEG_CS], &cs))
        return false;
    it = find_item(c, cs.base + e->eip, &next);
    if (it) {
        op = opcode_of(it, &adsz32);
        return op[0] == 0x61 || ((op[0] == 0xd9 || op[0] == 0xdd) && memory_form(op[1], 4)) ||
               (op[0] == 0x0f && op[1] == 0xae && memory_form(op[2], 1) && !adsz32);
    }
    return false;
}

u32 diff_flags_mask(const struct diff_case *c, const struct diff_event *e)
{
    const struct diff_item *it;
    struct diff_descriptor cs;
    bool adsz32;
    u32 next;
    u8 op;

    if (e->vector != EXC_DB || !diff_descriptor(e->sel[SEG_CS], &cs))
        return ~0u;
    it = find_item(c, cs.base + e->eip, &next);
    if (!it)
        return ~0u;
    op = *opcode_of(it, &adsz32);
    return (op >= 0xa4 && op <= 0xa7) || (op >= 0xaa && op <= 0xaf) ? ~EFL_RF : ~0u;
}

static bool is_trap(u32 vector)
{
    return vector == EXC_DB || vector == EXC_BP || vector == EXC_OF;
}

/* A stack that is far from where it began is of little use for what follows. */
static void mend_stack(const struct diff_case *c, struct diff_event *e)
{
    u32 off = e->gpr[R_ESP] - c->gpr[R_ESP];

    if (e->sel[SEG_SS] == c->sel[SEG_SS] && (off + 0x600 > 0xc00 || (off & 3)))
        e->gpr[R_ESP] = c->gpr[R_ESP];
}

bool diff_resume(const struct diff_case *c, struct diff_event *e, unsigned events)
{
    const struct diff_item *it;
    struct diff_descriptor cs;
    u32 lin, next;

    if (e->vector >= DIFF_VECTOR_TIMEOUT || !diff_descriptor(e->sel[SEG_CS], &cs) || !(e->sel[SEG_SS] & ~3))
        return false;
    lin = cs.base + e->eip;
    it = find_item(c, lin, &next);
    if (events >= (it && it->tied ? DIFF_MAX_EVENTS : DIFF_ENOUGH_EVENTS))
        return false;
    e->eflags &= ~EFL_RF;
    if (is_trap(e->vector))
        return (e->vector != EXC_BP || lin != c->addr[c->n] + 1) && diff_in_limit(&cs, e->eip, 1);
    if (!it || diff_loose(c, e))
        return false;
    e->eip = next - cs.base;
    mend_stack(c, e);
    return diff_in_limit(&cs, e->eip, 1);
}
