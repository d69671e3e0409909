/*
 * shadow.c - what is mapped where in a window: records and host calls, kept in step.
 *
 * The record of a page says what the host maps there, so no question is ever put to the host. Two things are
 * derived from it: the reverse map (memfd page -> writable mappings), which lets a write-watch find what to
 * protect, and the count of host mappings. Neighbouring pages share one host mapping when both are unmapped, or
 * both mapped with the same rights from consecutive memfd pages; a place where they do not is a seam, and a window
 * uses one mapping more than it has seams.
 *
 * Every change goes: host call first, then the records between a count of seams before and after. When the
 * host refuses a call the window is reset, which needs no new mapping and loses only speed.
 */
#include "shadowmmu/internal.h"

#include <string.h>
#include <sys/mman.h>

#define POPULATE_MIN 3u
#define POPULATE_MAX 64u

/* ---- reverse map ---- */

static void node_add(struct mmu *m, u32 *head, u32 who)
{
    u32 i = m->node_free;

    if (i) {
        m->node_free = m->nodes[i].next;
    } else {
        ASSERT(m->nodes_bump < MAX_NODES); /* window_make_room() saw to it */
        i = m->nodes_bump++;
    }
    m->nodes[i] = (struct node){.next = *head, .who = who};
    *head = i;
    m->nodes_used++;
}

static void node_remove(struct mmu *m, u32 *head, u32 who)
{
    u32 *p = head, i;

    while (*p && m->nodes[*p].who != who)
        p = &m->nodes[*p].next;
    i = *p;
    ASSERT(i);
    *p = m->nodes[i].next;
    m->nodes[i].next = m->node_free;
    m->node_free = i;
    m->nodes_used--;
}

static u32 who(const struct win *w, u32 page)
{
    return w->index << 20 | page;
}

/* A big region lies in one chunk of the memfd, or two when it is not aligned to them. */
static void big_nodes(struct mmu *m, struct win *w, u32 ri, u32 e, bool add)
{
    u32 first = (e & E_PAGE) / CHUNK_PAGES;
    u32 last = ((e & E_PAGE) + region_pages(w) - 1) / CHUNK_PAGES;

    if (!(e & E_RW))
        return;
    for (u32 c = first; c <= last; c++) {
        if (add)
            node_add(m, &m->rmap_big[c], who(w, ri << w->shift));
        else
            node_remove(m, &m->rmap_big[c], who(w, ri << w->shift));
    }
}

/* ---- records ---- */

u32 shadow_get(const struct mmu *m, const struct win *w, u32 page)
{
    const struct region *r;
    u32 i = page & (region_pages(w) - 1);

    if (page >= LINEAR_PAGES)
        return 0;
    r = &w->reg[page >> w->shift];
    if (r->leaf)
        return m->leaves[r->leaf].e[i];
    return r->big ? r->big + i : 0;
}

static bool seam(u32 a, u32 b)
{
    if (!((a | b) & E_MAPPED))
        return false;
    return !(a & b & E_MAPPED) || (a ^ b) & E_RW || (b & E_PAGE) != (a & E_PAGE) + 1;
}

/* Seams in front of pages from..to, both included. */
static u32 seams(const struct mmu *m, const struct win *w, u32 from, u32 to)
{
    u32 n = 0, mask = region_pages(w) - 1;
    u32 before = from ? shadow_get(m, w, from - 1) : 0;

    for (u32 p = from; p <= to; p++) {
        u32 e = shadow_get(m, w, p);

        n += seam(before, e);
        before = e;
        if (p < LINEAR_PAGES && !w->reg[p >> w->shift].leaf && (p | mask) <= to) {
            p |= mask; /* nothing happens inside a region without a leaf */
            before = shadow_get(m, w, p);
        }
    }
    return n;
}

static void count_vmas(struct mmu *m, struct win *w, u32 before, u32 after)
{
    w->vmas += after - before;
    m->stats.mappings += after - before;
}

static void activate(struct win *w, u32 ri)
{
    w->active[ri / 64] |= 1ull << (ri % 64);
}

struct leaf *shadow_leaf(struct mmu *m, struct win *w, u32 ri)
{
    struct region *r = &w->reg[ri];
    struct leaf *l;

    if (r->leaf)
        return &m->leaves[r->leaf];
    if (m->leaf_stacked)
        r->leaf = m->leaf_stack[--m->leaf_stacked];
    else if (m->leaf_bump < MAX_LEAVES)
        r->leaf = m->leaf_bump++;
    else
        return NULL;
    l = &m->leaves[r->leaf];
    for (u32 i = 0; i < region_pages(w); i++)
        l->e[i] = r->big ? r->big + i : 0;
    r->lines = r->glines = 0;
    r->count = 0;
    r->large = 0;
    activate(w, ri);
    return l;
}

static void free_leaf(struct mmu *m, struct region *r)
{
    if (r->leaf)
        m->leaf_stack[m->leaf_stacked++] = r->leaf;
    r->leaf = 0;
}

/* Entry and reverse map; not the seams. */
static void put(struct mmu *m, struct win *w, u32 page, u32 e)
{
    struct region *r = &w->reg[page >> w->shift];
    u32 *slot = &m->leaves[r->leaf].e[page & (region_pages(w) - 1)], old = *slot;

    *slot = e;
    if (r->big)
        return;
    r->count += (e != 0) - (old != 0);
    if (old & E_RW && !(e & E_RW && (e & E_PAGE) == (old & E_PAGE)))
        node_remove(m, &m->rmap[old & E_PAGE], who(w, page));
    if (e & E_RW && !(old & E_RW && (e & E_PAGE) == (old & E_PAGE)))
        node_add(m, &m->rmap[e & E_PAGE], who(w, page));
}

void shadow_set(struct mmu *m, struct win *w, u32 page, u32 e)
{
    u32 before = seams(m, w, page, page + 1);

    if (e)
        log_mapped(m, w, page, 1, e);

    put(m, w, page, e);
    count_vmas(m, w, before, seams(m, w, page, page + 1));
}

/* Forget a region; not the seams. */
static void clear_region(struct mmu *m, struct win *w, u32 ri)
{
    struct region *r = &w->reg[ri];

    if (r->big) {
        big_nodes(m, w, ri, r->big, false);
    } else if (r->leaf) {
        const struct leaf *l = &m->leaves[r->leaf];

        for (u32 i = 0; r->count && i < region_pages(w); i++)
            if (l->e[i])
                put(m, w, (ri << w->shift) + i, 0);
    }
    free_leaf(m, r);
    memset(r, 0, sizeof(*r));
    w->active[ri / 64] &= ~(1ull << (ri % 64));
}

void shadow_free_all(struct mmu *m, struct win *w)
{
    for (u32 i = 0; i < ARRAY_SIZE(w->active); i++)
        while (w->active[i])
            clear_region(m, w, i * 64 + (u32)__builtin_ctzll(w->active[i]));
    memset(w->pd_lines, 0, sizeof(w->pd_lines));
    count_vmas(m, w, w->vmas, 1);
}

void shadow_tidy(struct mmu *m, struct win *w, u32 ri)
{
    const struct region *r = &w->reg[ri];

    if (r->leaf && !r->big && !r->count)
        clear_region(m, w, ri);
}

/* ---- host calls ---- */

static u8 *hva(const struct win *w, u32 page)
{
    return w->pub.base + ((u64)page << PAGE_SHIFT);
}

/* Is it worth to have the host fill in its page tables at once? It would make absent memory resident, so only when all
 * is there. Reads need it not: the host then maps 16 pages around each. */
static bool worth_populating(const struct mmu *m, u32 n, u32 e)
{
    unsigned char there[POPULATE_MAX];

    if (n < POPULATE_MIN || n > POPULATE_MAX || !(e & E_RW) ||
        mincore(m->mem + ((u64)(e & E_PAGE) << PAGE_SHIFT), (u64)n << PAGE_SHIFT, there) != 0)
        return false;
    for (u32 i = 0; i < n; i++)
        if (!(there[i] & 1))
            return false;
    return true;
}

static bool host_map(struct mmu *m, struct win *w, u32 page, u32 n, u32 e)
{
    int prot = e & E_RW ? PROT_READ | PROT_WRITE : PROT_READ;
    int flags = MAP_SHARED | MAP_FIXED | MAP_NORESERVE | (worth_populating(m, n, e) ? MAP_POPULATE : 0);
    u64 off = (u64)(e & E_PAGE) << PAGE_SHIFT;

    track_note(w, page, n);
    return mmap(hva(w, page), (u64)n << PAGE_SHIFT, prot, flags, m->fd, (off_t)off) != MAP_FAILED;
}

static bool host_unmap(struct win *w, u32 page, u32 n)
{
    track_note(w, page, n);
    return mmap(hva(w, page), (u64)n << PAGE_SHIFT, PROT_NONE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) != MAP_FAILED;
}

static bool host_protect(struct win *w, u32 page, u32 n, bool rw)
{
    track_note(w, page, n);
    return mprotect(hva(w, page), (u64)n << PAGE_SHIFT, rw ? PROT_READ | PROT_WRITE : PROT_READ) == 0;
}

/* Is the run mapped already, from these very memfd pages, whatever the rights? */
static bool same_backing(const struct mmu *m, const struct win *w, u32 page, u32 n, u32 e)
{
    for (u32 i = 0; i < n; i++) {
        u32 now = shadow_get(m, w, page + i);

        if (!(now & E_MAPPED) || (now & E_PAGE) != (e & E_PAGE) + i)
            return false;
    }
    return true;
}

bool shadow_map(struct mmu *m, struct win *w, u32 page, u32 n, u32 e)
{
    u32 before = seams(m, w, page, page + n);
    bool ok =
        same_backing(m, w, page, n, e) ? host_protect(w, page, n, e & E_RW) : host_map(m, w, page, n, e);

    if (!ok)
        return false;
    log_mapped(m, w, page, n, e);
    for (u32 i = 0; i < n; i++)
        put(m, w, page + i, e + i);
    count_vmas(m, w, before, seams(m, w, page, page + n));
    m->stats.fill_pages += n;
    return true;
}

bool shadow_map_big(struct mmu *m, struct win *w, u32 ri, u32 n, u32 e)
{
    u32 page = ri << w->shift, pages = n << w->shift;
    u32 before = seams(m, w, page, page + pages);
    bool ok = n == 1 && same_backing(m, w, page, pages, e) ? host_protect(w, page, pages, e & E_RW)
                                                           : host_map(m, w, page, pages, e);

    if (!ok)
        return false;
    log_mapped(m, w, page, pages, e);
    for (u32 i = 0; i < n; i++) {
        clear_region(m, w, ri + i);
        w->reg[ri + i].big = e + (i << w->shift);
        big_nodes(m, w, ri + i, w->reg[ri + i].big, true);
        activate(w, ri + i);
    }
    count_vmas(m, w, before, seams(m, w, page, page + pages));
    m->stats.fill_pages += pages;
    return true;
}

/* The owner has cached a translation out of a large page that is not mapped. */
void shadow_know_big(struct mmu *m, struct win *w, u32 ri, u32 e)
{
    log_mapped(m, w, ri << w->shift, region_pages(w), e);
    w->reg[ri].big = e & ~(E_MAPPED | E_RW);
    activate(w, ri);
}

bool shadow_protect(struct mmu *m, struct win *w, u32 page, u32 n, bool rw)
{
    u32 before;

    if (!host_protect(w, page, n, rw)) {
        window_reset(m, w);
        return false;
    }
    before = seams(m, w, page, page + n);
    for (u32 i = 0; i < n; i++) {
        u32 e = shadow_get(m, w, page + i);

        put(m, w, page + i, rw ? e | E_RW : e & ~E_RW);
    }
    count_vmas(m, w, before, seams(m, w, page, page + n));
    return true;
}

/* ---- dropping ---- */

void shadow_changed(struct mmu *m, struct win *w, u32 page, u32 n)
{
    if (m->cfg.changed && w->owned)
        m->cfg.changed(m->cfg.opaque, &w->pub, page << PAGE_SHIFT, n);
}

static bool any_mapped(const struct mmu *m, const struct win *w, u32 from, u32 to)
{
    for (u32 p = from; p < to; p++)
        if (shadow_get(m, w, p) & E_MAPPED)
            return true;
    return false;
}

void drop_done(struct mmu *m, struct win *w, struct drop *d)
{
    u32 from = d->from, n = d->to - d->from;
    bool mapped = d->mapped;

    memset(d, 0, sizeof(*d));
    if (!n)
        return;
    if (mapped) {
        m->stats.flush_unmaps++;
        if (!host_unmap(w, from, n)) {
            window_reset(m, w);
            return;
        }
    }
    shadow_changed(m, w, from, n);
}

/* Is nothing known of the pages in between? Goes by regions, so that the gap may be wide. */
static bool empty(const struct mmu *m, const struct win *w, u32 from, u32 to)
{
    for (u32 p = from; p < to; p++) {
        u32 ri = p >> w->shift;

        if (!(w->active[ri / 64] >> (ri % 64) & 1))
            p |= region_pages(w) - 1;
        else if (shadow_get(m, w, p))
            return false;
    }
    return true;
}

/* Adds pages that are no longer on record. */
static void gather(struct mmu *m, struct win *w, struct drop *d, u32 page, u32 n, bool mapped)
{
    if (d->to != d->from && (page < d->to || !empty(m, w, d->to, page)))
        drop_done(m, w, d);
    if (d->to == d->from)
        d->from = page;
    d->to = page + n;
    d->mapped |= mapped;
}

void drop_page(struct mmu *m, struct win *w, struct drop *d, u32 page)
{
    u32 e = shadow_get(m, w, page);

    if (!e)
        return;
    if (w->reg[page >> w->shift].big) {
        drop_region(m, w, d, page >> w->shift);
        return;
    }
    shadow_set(m, w, page, 0);
    gather(m, w, d, page, 1, e & E_MAPPED);
}

void drop_region(struct mmu *m, struct win *w, struct drop *d, u32 ri)
{
    u32 page = ri << w->shift, n = region_pages(w), before;
    bool mapped;

    if (!(w->active[ri / 64] >> (ri % 64) & 1))
        return;
    before = seams(m, w, page, page + n);
    mapped = w->reg[ri].big ? w->reg[ri].big & E_MAPPED : any_mapped(m, w, page, page + n);
    clear_region(m, w, ri);
    count_vmas(m, w, before, seams(m, w, page, page + n));
    gather(m, w, d, page, n, mapped);
}

void shadow_unmap_window(struct win *w)
{
    bool ok = host_unmap(w, 0, LINEAR_PAGES);

    ASSERT(ok); /* replaces what is there: needs no mapping more than there are */
}
