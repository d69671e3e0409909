/*
 * resume.c - how a program goes on after an exception. The same rules for both sides, so that they stay together.
 *
 * A fault skips the item that it happened in; traps (INT3, INTO, single step) go on where they are. A program that has left its
 * items, or that has seen enough, ends.
 */
#include "tests/diff/diff.h"

/* The item that starts at linear address lin; the next one's address in *next. */
static bool find_item(const struct diff_case *c, u32 lin, u32 *next)
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
        return false;
    *next = c->addr[lo];
    return true;
}

bool diff_loose(const struct diff_case *c, const struct diff_event *e)
{
    struct diff_descriptor cs;
    u32 next, lin;

    if (!diff_descriptor(e->sel[SEG_CS], &cs))
        return false;
    lin = cs.base + e->eip;
    if (!find_item(c, lin, &next))
        return false;
    for (unsigned i = 0; i < c->n; i++)
        if (c->addr[i] == lin && !c->item[i].off)
            return c->item[i].len <= 15 && c->item[i].bytes[c->item[i].len - 1] == 0x61;
    return false;
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
    struct diff_descriptor cs;
    u32 lin, next;

    if (e->vector >= DIFF_VECTOR_TIMEOUT || events >= DIFF_MAX_EVENTS ||
        !diff_descriptor(e->sel[SEG_CS], &cs) || !(e->sel[SEG_SS] & ~3))
        return false;
    lin = cs.base + e->eip;
    e->eflags &= ~EFL_RF;
    if (is_trap(e->vector))
        return (e->vector != EXC_BP || lin != c->addr[c->n] + 1) && diff_in_limit(&cs, e->eip, 1);
    if (!find_item(c, lin, &next) || diff_loose(c, e))
        return false;
    e->eip = next - cs.base;
    mend_stack(c, e);
    return diff_in_limit(&cs, e->eip, 1);
}
