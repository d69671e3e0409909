/*
 * watch.c - write-watch of pages that hold translated code.
 *
 * The bit belongs to the page of memory, not to an address, so every alias is covered. Setting it protects the page
 * wherever a window has it writable, by way of the reverse map (in windows not current: before they are current again);
 * fills respect it from then on. Clearing it changes no
 * mapping: the next write faults once and the fill makes the page writable again.
 */
#include "shadowmmu/internal.h"

u32 watch_find(const struct mmu *m, u32 page, u32 n)
{
    u32 end = page + n;

    for (u32 p = page; p < end; p = (p | 63) + 1) {
        u64 bits = m->watch[p / 64] >> (p % 64);

        if (bits) {
            u32 at = p + (u32)__builtin_ctzll(bits);

            return at < end ? at - page : n;
        }
    }
    return n;
}

/* Drops the big regions of the window that have a watched page and might have it writable. */
static void watch_drop_big(struct mmu *m, struct win *w)
{
    struct drop d = {0};

    for (u32 i = 0; i < ARRAY_SIZE(w->active); i++) {
        for (u64 bits = w->active[i]; bits; bits &= bits - 1) {
            u32 ri = i * 64 + (u32)__builtin_ctzll(bits), big = w->reg[ri].big;

            if (big & E_RW && watch_find(m, big & E_PAGE, region_pages(w)) < region_pages(w))
                drop_region(m, w, &d, ri);
        }
    }
    drop_done(m, w, &d);
}

/* Protects the page in one window where a big region has it. false: the reverse map may have changed. */
static bool protect_in_big(struct mmu *m, struct win *w, u32 first, u32 page)
{
    const struct region *r = &w->reg[first >> w->shift];
    u32 i = page - (r->big & E_PAGE);
    struct leaf *l;

    if (i >= region_pages(w))
        return true;
    l = shadow_leaf(m, w, first >> w->shift);
    if (!l) {
        window_reset(m, w);
        return false;
    }
    return !(l->e[i] & E_RW) || shadow_protect(m, w, first + i, 1, false);
}

/* What the watches since this window was last current ask of its big regions. */
void watch_catch_up(struct mmu *m, struct win *w)
{
    u64 from = w->watch_seen;

    w->watch_seen = m->watch_seq;
    if (m->watch_seq - from > WATCH_LOG) { /* the log is shorter: drop what might be concerned */
        watch_drop_big(m, w);
        return;
    }
    for (; from != m->watch_seq; from++) {
        u32 page = m->watch_log[from % WATCH_LOG], next;

        if (!watch_bit(m, page))
            continue;
        for (u32 n = m->rmap_big[page / CHUNK_PAGES]; n; n = next) {
            u32 who = m->nodes[n].who;

            next = m->nodes[n].next;
            if (who >> 20 == w->index && !protect_in_big(m, w, who & (LINEAR_PAGES - 1), page))
                return; /* reset: nothing is left to protect */
        }
    }
}

/* Single pages are protected at once wherever they are. Big regions, which every address space has over all of
 * memory, only in the current window; the others catch up when they are next got. */
void mmu_watch(struct mmu *m, u64 gpa)
{
    u32 e = pmap_get(m, gpa), page = e & E_PAGE;

    if (PMAP_KIND(e) == MMU_NONE)
        return;
    (void)log_code(m, page, true);
    if (watch_bit(m, page))
        return;
    m->watch[page / 64] |= 1ull << (page % 64);
    while (m->rmap[page]) {
        u32 who = m->nodes[m->rmap[page]].who;

        (void)shadow_protect(m, m->wins[who >> 20], who & (LINEAR_PAGES - 1), 1, false);
    }
    if (!m->rmap_big[page / CHUNK_PAGES])
        return;
    m->watch_log[m->watch_seq++ % WATCH_LOG] = page;
    m->event++;
    if (m->current)
        watch_catch_up(m, m->current);
}

void mmu_unwatch(struct mmu *m, u64 gpa)
{
    u32 e = pmap_get(m, gpa), page = e & E_PAGE;

    if (PMAP_KIND(e) != MMU_NONE && !(log_code(m, page, false) && m->log_on))
        m->watch[page / 64] &= ~(1ull << (page % 64));
}

bool mmu_watched(const struct mmu *m, u64 gpa)
{
    u32 e = pmap_get(m, gpa);

    return PMAP_KIND(e) != MMU_NONE && watch_bit(m, e & E_PAGE);
}
