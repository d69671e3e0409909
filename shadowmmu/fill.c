/*
 * fill.c - hidden faults, and translation for the monitor.
 *
 * A fill costs two host kernel entries whatever its size, so it takes along what the guest has shown it will want:
 * a large page whole, with the large pages around it that continue it; around a 4 KiB page, its
 * neighbours that are accessed already (dirty too, if they are to be writable) and continue it in memory.
 * Nothing here sets a bit in a guest table for a page that was not asked for.
 *
 * mmu_fill() runs in the SIGSEGV handler: raw system calls and preallocated pools only.
 */
#include "shadowmmu/internal.h"

#include <string.h>

#define NEIGHBOURS 16u
#define WATCH_GAP 8u /* unwatched pages that stay read-only between two watched ones */
#define UPGRADE_PAGES 16u

static struct win *win_of(struct mmu_window *w)
{
    return (struct win *)w; /* first member */
}

/* Shadow entry for a page at gpa with these rights; 0: cannot be mapped. */
static u32 entry_for(const struct mmu *m, u64 gpa, bool rw, bool global)
{
    u32 p = pmap_get(m, gpa);

    if (PMAP_KIND(p) == MMU_NONE)
        return 0;
    rw = rw && PMAP_KIND(p) == MMU_RAM && !watch_bit(m, p & E_PAGE);
    return (p & E_PAGE) | E_KNOWN | E_MAPPED | (rw ? E_RW : 0) | (global ? E_GLOBAL : 0);
}

/* May the window's owner access memory under these combined flags; *rw: writably without setting D? */
static bool rights(const struct win *w, u64 leaf, u64 both, bool *rw)
{
    if (!(leaf & PTE_A) || (w->pub.priv == MMU_USER && !(both & PTE_U)))
        return false;
    *rw = leaf & PTE_D && (both & PTE_W || w->pub.priv == MMU_SUPER_NOWP);
    return true;
}

static u32 want_small(const struct mmu *m, const struct win *w, u64 pde, u64 pte)
{
    const struct mmu_regime *r = &w->pub.regime;
    bool rw;

    if (!(pte & PTE_P) || pte & walk_reserved(r, false) || !rights(w, pte, pde & pte, &rw))
        return 0;
    return entry_for(m, a20(r, pte_frame(pte)), rw, r->pge && pte & PTE_G);
}

/* Page i of a large page, or of flat memory. */
static u32 want_large(const struct mmu *m, const struct win *w, u32 ri, u64 pde, u32 i)
{
    const struct mmu_regime *r = &w->pub.regime;
    u64 gpa =
        (r->paging ? walk_large_frame(r, pde) : (u64)ri << (PAGE_SHIFT + w->shift)) + ((u64)i << PAGE_SHIFT);
    bool rw = true;

    if (r->paging && !rights(w, pde, pde, &rw))
        return 0;
    return entry_for(m, a20(r, gpa), rw, !r->paging || (r->pge && pde & PTE_G));
}

/* Entry of page 0 when the whole region is one run of one kind, else 0. Write-watch is left aside. */
static u32 want_big(const struct mmu *m, const struct win *w, u32 ri, u64 pde)
{
    const struct mmu_regime *r = &w->pub.regime;
    u64 gpa = r->paging ? walk_large_frame(r, pde) : (u64)ri << (PAGE_SHIFT + w->shift);
    u32 first, n = region_pages(w);
    bool rw = true;

    if (gpa >> 32 || r->a20_mask || (r->paging && !rights(w, pde, pde, &rw)))
        return 0;
    first = m->pmap[gpa >> PAGE_SHIFT];
    if (PMAP_KIND(first) == MMU_NONE)
        return 0;
    if (!m->chunk[(gpa >> PAGE_SHIFT) / CHUNK_PAGES])
        for (u32 i = 1; i < n; i++)
            if (m->pmap[(gpa >> PAGE_SHIFT) + i] != first + i)
                return 0;
    rw = rw && PMAP_KIND(first) == MMU_RAM;
    return (first & E_PAGE) | E_KNOWN | E_MAPPED | (rw ? E_RW : 0) |
           (!r->paging || (r->pge && pde & PTE_G) ? E_GLOBAL : 0);
}

/* The host refused a mapping: its own limit was met before ours. Empty everything; the access comes again. */
static enum mmu_result starve(struct mmu *m, struct win *w)
{
    bool had = m->stats.mappings > m->n_windows;

    for (u32 i = 0; i < m->n_windows; i++)
        window_reset(m, m->wins[i]);
    (void)w;
    return had ? MMU_OK : MMU_SLOW;
}

/* ---- regions mapped as a whole ---- */

/* Read-only again for the watched pages of a big region just mapped writable. */
static void protect_watched(struct mmu *m, struct win *w, u32 ri)
{
    u32 page = ri << w->shift, n = region_pages(w), b = w->reg[ri].big & E_PAGE;
    u32 from = watch_find(m, b, n), to, gap = WATCH_GAP;

    if (from == n)
        return;
    if (m->stats.mappings + n / 4 > m->max_mappings)
        gap = n; /* short of mappings: one run */
    if (!shadow_leaf(m, w, ri)) {
        window_reset(m, w);
        return;
    }
    while (from < n) {
        u32 next = from;

        do {
            to = next + 1;
            next = to + watch_find(m, b + to, n - to);
        } while (next < n && next - to <= gap);
        if (!shadow_protect(m, w, page + from, to - from, false))
            return;
        from = next;
    }
}

/* Is region ri, next to one that will be mapped as `e - its offset`, to go along? */
static bool goes_along(const struct mmu *m, const struct win *w, u32 ri, u64 pde, u32 e)
{
    const struct mmu_regime *r = &w->pub.regime;
    const struct region *reg = &w->reg[ri];

    if (reg->leaf || reg->big & E_MAPPED)
        return false;
    if (r->paging && (!(pde & PTE_P) || !(pde & PTE_PS) || pde & walk_reserved(r, true)))
        return false;
    if (want_big(m, w, ri, pde) != e)
        return false;
    return !(e & E_RW) || watch_find(m, e & E_PAGE, region_pages(w)) == region_pages(w);
}

static enum mmu_result fill_big(struct mmu *m, struct win *w, u32 ri, const struct walk *k, u32 e)
{
    bool paging = w->pub.regime.paging, pae = w->pub.regime.pae;
    u32 step = region_pages(w), lo = ri, hi = ri + 1;
    u32 first = pae ? ri & ~511u : 0, end = pae ? first + 512 : 1024;

    if (!(e & E_RW) || watch_find(m, e & E_PAGE, step) == step) {
        for (; lo > first; lo--) {
            u64 pde = paging ? pte_get(k->pd, lo - 1 - first, pae) : 0;

            if ((e & E_PAGE) < (ri - lo + 1) * step ||
                !goes_along(m, w, lo - 1, pde, e - (ri - lo + 1) * step))
                break;
            if (paging)
                derive_pde(m, w, k->pd, lo - 1, pde);
        }
        for (; hi < end; hi++) {
            u64 pde = paging ? pte_get(k->pd, hi - first, pae) : 0;

            if (!goes_along(m, w, hi, pde, e + (hi - ri) * step))
                break;
            if (paging)
                derive_pde(m, w, k->pd, hi, pde);
        }
    }
    if (!shadow_map_big(m, w, lo, hi - lo, e - (ri - lo) * step))
        return starve(m, w);
    if (e & E_RW && hi - lo == 1)
        protect_watched(m, w, ri);
    return MMU_OK;
}

/* A write to a page that a writable big region has read-only, for a watch that is gone. */
static enum mmu_result upgrade(struct mmu *m, struct win *w, u32 ri, u32 i)
{
    const struct leaf *l = leaf_of(m, &w->reg[ri]);
    u32 b = w->reg[ri].big & E_PAGE, lo = i, hi = i + 1, n = region_pages(w);

    if (!l || l->e[i] & E_RW)
        return MMU_OK; /* mapped as asked */
    while (lo > 0 && i - lo < UPGRADE_PAGES && !(l->e[lo - 1] & E_RW) && !watch_bit(m, b + lo - 1))
        lo--;
    while (hi < n && hi - i < UPGRADE_PAGES && !(l->e[hi] & E_RW) && !watch_bit(m, b + hi))
        hi++;
    (void)shadow_protect(m, w, (ri << w->shift) + lo, hi - lo, true);
    return MMU_OK;
}

/* A region of mixed kinds (the first megabyte, the end of RAM): the run around page i. */
static enum mmu_result fill_mixed(struct mmu *m, struct win *w, u32 ri, u64 pde, u32 i)
{
    struct leaf *l = shadow_leaf(m, w, ri);
    u32 e = want_large(m, w, ri, pde, i), lo = i, hi = i + 1, n = region_pages(w);

    if (!l || !e)
        return MMU_SLOW;
    w->reg[ri].large = 1;
    while (lo > 0 && l->e[lo - 1] != e - (i - lo + 1) &&
           want_large(m, w, ri, pde, lo - 1) == e - (i - lo + 1))
        lo--;
    while (hi < n && l->e[hi] != e + (hi - i) && want_large(m, w, ri, pde, hi) == e + (hi - i))
        hi++;
    return shadow_map(m, w, (ri << w->shift) + lo, hi - lo, e - (i - lo)) ? MMU_OK : starve(m, w);
}

static enum mmu_result fill_large(struct mmu *m, struct win *w, const struct walk *k, u32 gva, bool write)
{
    u32 ri = gva >> (PAGE_SHIFT + w->shift), i = gva >> PAGE_SHIFT & (region_pages(w) - 1);
    u32 e = want_big(m, w, ri, k->pde), now = w->reg[ri].big;

    if (!e)
        return fill_mixed(m, w, ri, k->pde, i);
    if (now & E_MAPPED && (now & E_PAGE) == (e & E_PAGE) && (now & E_RW || !(e & E_RW)))
        return write ? upgrade(m, w, ri, i) : MMU_OK;
    return fill_big(m, w, ri, k, e);
}

/* ---- 4 KiB pages ---- */

static enum mmu_result fill_small(struct mmu *m, struct win *w, const struct walk *k)
{
    bool pae = w->pub.regime.pae;
    u32 ri = k->pdi, i = k->pti, n = region_pages(w), lo = i, hi = i + 1;
    u32 e = want_small(m, w, k->pde, k->pte);
    struct leaf *l = shadow_leaf(m, w, ri);

    if (!l || !e)
        return MMU_SLOW;
    derive_pte(m, w, k->pt, ri, i, k->pte, e & E_GLOBAL);
    for (; lo > 0 && i - lo < NEIGHBOURS; lo--) {
        u64 pte = pte_get(k->pt, lo - 1, pae);

        if (want_small(m, w, k->pde, pte) != e - (i - lo + 1) || l->e[lo - 1] == e - (i - lo + 1))
            break;
        derive_pte(m, w, k->pt, ri, lo - 1, pte, e & E_GLOBAL);
    }
    for (; hi < n && hi - i <= NEIGHBOURS; hi++) {
        u64 pte = pte_get(k->pt, hi, pae);

        if (want_small(m, w, k->pde, pte) != e + (hi - i) || l->e[hi] == e + (hi - i))
            break;
        derive_pte(m, w, k->pt, ri, hi, pte, e & E_GLOBAL);
    }
    if (!w->reg[ri].leaf)
        return MMU_OK; /* the window had to be reset; the access comes again */
    return shadow_map(m, w, (ri << w->shift) + lo, hi - lo, e - (i - lo)) ? MMU_OK : starve(m, w);
}

/* While pages are trapped: one page alone, unless it is one of them. */
static enum mmu_result fill_untrapped(struct mmu *m, struct win *w, const struct walk *k, u32 gva)
{
    u32 ri = gva >> (PAGE_SHIFT + w->shift), i = gva >> PAGE_SHIFT & (region_pages(w) - 1), e;
    bool small = w->pub.regime.paging && !k->large;
    struct leaf *l;

    if (trap_has(m, gva >> PAGE_SHIFT))
        return MMU_SLOW;
    l = shadow_leaf(m, w, ri);
    e = small ? want_small(m, w, k->pde, k->pte) : want_large(m, w, ri, k->pde, i);
    if (!l || !e)
        return MMU_SLOW;
    if (small)
        derive_pte(m, w, k->pt, ri, i, k->pte, e & E_GLOBAL);
    else
        w->reg[ri].large = 1;
    if (!w->reg[ri].leaf)
        return MMU_OK; /* the window had to be reset; the access comes again */
    return shadow_map(m, w, gva >> PAGE_SHIFT, 1, e) ? MMU_OK : starve(m, w);
}

/* ---- entry points ---- */

static void describe(const struct mmu *m, const struct mmu_regime *r, enum mmu_priv priv,
                     const struct walk *k, struct mmu_info *info)
{
    u64 leaf = k->large ? k->pde : k->pte, both = k->large ? k->pde : k->pde & k->pte;

    info->gpa = k->gpa;
    info->error_code = k->error;
    info->backing = (u8)PMAP_KIND(pmap_get(m, k->gpa));
    info->global = k->global;
    info->writable = info->backing == MMU_RAM &&
                     (!r->paging || (leaf & PTE_D && (both & PTE_W || priv == MMU_SUPER_NOWP)));
}

static enum mmu_result resolve(struct mmu *m, const struct mmu_regime *r, enum mmu_priv priv, u32 gva,
                               enum mmu_access access, struct walk *k, struct mmu_info *info)
{
    enum mmu_result res = walk_tables(m, r, priv, gva, access, k);

    m->stats.walks++;
    describe(m, r, priv, k, info);
    if (res != MMU_OK) {
        m->stats.guest_faults++;
        return res;
    }
    if (info->backing == MMU_NONE || (info->backing == MMU_ROM && access == MMU_WRITE))
        return MMU_SLOW;
    return MMU_OK;
}

enum mmu_result mmu_fill(struct mmu *m, struct mmu_window *wp, u32 gva, bool write, struct mmu_info *info)
{
    struct win *w = win_of(wp);
    const struct mmu_regime *r = &wp->regime;
    struct walk k;
    enum mmu_result res;

    m->stats.fills++;
    res = resolve(m, r, wp->priv, gva, write ? MMU_WRITE : MMU_READ, &k, info);
    if (res == MMU_GUEST_FAULT) {
        w->refill = gva | 1;
        w->refill_tries = 2;
    }
    if (res != MMU_OK)
        return res;
    if (write && watch_bit(m, pmap_get(m, k.gpa) & E_PAGE) && !log_write(m, pmap_get(m, k.gpa) & E_PAGE)) {
        m->stats.watch_hits++;
        return MMU_WATCHED;
    }
    window_make_room(m, w);
    if (r->paging)
        derive_pde(m, w, k.pd, k.pdi, k.pde);
    if (UNLIKELY(m->n_traps))
        return fill_untrapped(m, w, &k, gva);
    return r->paging && !k.large ? fill_small(m, w, &k) : fill_large(m, w, &k, gva, write);
}

/* A program or the kernel itself faulted, the kernel has run and comes back: the access will be repeated. Twice, because a fault in the
 * kernel makes its window current once more when it is delivered. If the kernel left the
 * entry accessed (and dirty, when it foresees a write) the page is mapped now and one hidden fault is spared. */
void fill_again(struct mmu *m, struct win *w)
{
    const struct mmu_regime *r = &w->pub.regime;
    u32 gva = w->refill, e;
    struct walk k = {.pdi = gva >> (PAGE_SHIFT + w->shift)};

    if (!--w->refill_tries)
        w->refill = 0;
    if (m->n_traps)
        return;
    k.pd = r->paging ? walk_directory(m, r, w->pdpte, gva >> 30) : NULL;
    if (!k.pd)
        return;
    k.pde = pte_get(k.pd, k.pdi & (r->pae ? 511 : 1023), r->pae);
    if (!(k.pde & PTE_P) || !(k.pde & PTE_A) || k.pde & PTE_PS || k.pde & walk_reserved(r, false))
        return;
    k.pt = walk_table_ptr(m, r, pte_frame(k.pde));
    k.pti = gva >> PAGE_SHIFT & (region_pages(w) - 1);
    k.pte = pte_get(k.pt, k.pti, r->pae);
    e = want_small(m, w, k.pde, k.pte);
    if (!e)
        return;
    w->refill = 0;
    if (shadow_get(m, w, gva >> PAGE_SHIFT) == e)
        return;
    m->stats.refills++;
    window_make_room(m, w);
    derive_pde(m, w, k.pd, k.pdi, k.pde);
    (void)fill_small(m, w, &k);
}

void mmu_refill(struct mmu *m, struct mmu_window *wp)
{
    if (win_of(wp)->refill)
        fill_again(m, win_of(wp));
}

/* The owner will cache where an instruction was fetched from: see that a change is noticed. */
static void remember(struct mmu *m, struct win *w, const struct walk *k, u32 gva)
{
    u32 ri = gva >> (PAGE_SHIFT + w->shift), i = gva >> PAGE_SHIFT & (region_pages(w) - 1);
    u32 e = E_KNOWN | (pmap_get(m, k->gpa) & E_PAGE) | (k->global ? E_GLOBAL : 0), big;
    struct leaf *l;

    window_make_room(m, w);
    derive_pde(m, w, k->pd, k->pdi, k->pde);
    if (w->reg[ri].big)
        return;
    big = k->large && !m->n_traps ? want_big(m, w, ri, k->pde) : 0;
    if (big) {
        shadow_know_big(m, w, ri, big);
        return;
    }
    l = shadow_leaf(m, w, ri);
    if (!l)
        return;
    if (k->large)
        w->reg[ri].large = 1;
    else
        derive_pte(m, w, k->pt, ri, i, k->pte, e & E_GLOBAL);
    if (w->reg[ri].leaf && !l->e[i])
        shadow_set(m, w, (ri << w->shift) + i, e);
}

enum mmu_result mmu_walk(struct mmu *m, struct mmu_window *w, const struct mmu_regime *r, enum mmu_priv priv,
                         u32 gva, enum mmu_access access, struct mmu_info *info)
{
    struct walk k;
    enum mmu_result res = resolve(m, r, priv, gva, access, &k, info);

    if (w && access == MMU_FETCH && r->paging && res != MMU_GUEST_FAULT)
        remember(m, win_of(w), &k, gva);
    return res;
}
