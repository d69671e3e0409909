/*
 * track.c - a record of what changes in a window, for mirrors of it (direct execution's sandboxes).
 *
 * Every host call that changes a window's mappings notes its pages here first. The record is short: who reads it compares
 * its own copy with mmu_mapping() for these pages, or for all when the record overflowed, so a page noted in vain costs a look.
 */
#include "shadowmmu/internal.h"

static struct win *win_of(struct mmu_window *w)
{
    return (struct win *)w; /* first member */
}

void track_note(struct win *w, u32 page, u32 n)
{
    struct mmu_range *last = &w->track[w->n_track ? w->n_track - 1 : 0];

    if (LIKELY(!w->tracked) || w->track_all)
        return;
    if (w->n_track && page <= last->page + last->n && page + n >= last->page) { /* grows the last one */
        u32 from = page < last->page ? page : last->page;
        u32 to = page + n > last->page + last->n ? page + n : last->page + last->n;

        *last = (struct mmu_range){.page = from, .n = to - from};
        return;
    }
    if (w->n_track == MMU_TRACK_MAX || n >= LINEAR_PAGES)
        w->track_all = true;
    else
        w->track[w->n_track++] = (struct mmu_range){.page = page, .n = n};
}

void mmu_track(struct mmu_window *wp, bool on)
{
    struct win *w = win_of(wp);

    w->tracked = on;
    w->track_all = on;
    w->n_track = 0;
}

void mmu_track_page(struct mmu_window *wp, u32 page)
{
    track_note(win_of(wp), page, 1);
}

u32 mmu_track_take(struct mmu_window *wp, struct mmu_range *out, u32 max, bool *all)
{
    struct win *w = win_of(wp);
    u32 n = w->n_track;

    *all = w->track_all || n > max;
    for (u32 i = 0; i < n && !*all; i++)
        out[i] = w->track[i];
    w->track_all = false;
    w->n_track = 0;
    return *all ? 0 : n;
}

u32 mmu_mapping(const struct mmu *m, const struct mmu_window *w, u32 page)
{
    u32 e = shadow_get(m, (const struct win *)w, page);

    _Static_assert(MMU_MAPPING_MAPPED == E_MAPPED && MMU_MAPPING_WRITABLE == E_RW &&
                       MMU_MAPPING_PAGE == E_PAGE,
                   "same bits");
    return e & E_MAPPED ? e & (E_MAPPED | E_RW | E_PAGE) : 0;
}

u32 mmu_mapping_next(const struct mmu *m, const struct mmu_window *wp, u32 page)
{
    const struct win *w = (const struct win *)wp;

    while (page < LINEAR_PAGES) {
        u32 ri = page >> w->shift;

        if (!(w->active[ri / 64] >> (ri % 64) & 1))
            page = (ri + 1) << w->shift;
        else if (shadow_get(m, w, page) & E_MAPPED)
            return page;
        else
            page++;
    }
    return LINEAR_PAGES;
}
