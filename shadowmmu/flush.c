/*
 * flush.c - coherency by TLB rules (SDM vol. 3, 4.10).
 *
 * Stores to page tables are not trapped. The architecture lets a processor go on using a translation until
 * INVLPG or a CR3 load; until then a window does too. For every entry that a translation was derived from the
 * window keeps the value it had, a copy of its whole cache line. A flush only counts up; the comparison is made when the
 * window is next got, and only of lines in use: global ones wait for a flush that includes them. What changed is
 * judged: more rights, or an A or D bit set, need nothing; a right or D lost under a writable mapping makes it
 * read-only; all else drops it.
 *
 * Deriving is the same comparison for one entry: a copy may be overwritten only after what the old
 * value gave has been dealt with, or the next flush would not see the difference.
 */
#include "shadowmmu/internal.h"

#include <string.h>

#define LOOK_AHEAD 33u
#define NO_EFFECT (0xe00u | BIT(3) | BIT(4)) /* available, PWT, PCD */

enum verdict judge_leaf(const struct win *w, u32 e, u64 old, u64 now)
{
    u64 diff = old ^ now, lost = old & ~now;

    if (!e || !diff)
        return KEEP;
    if (diff & ~(u64)(PTE_P | PTE_W | PTE_U | PTE_A | PTE_D | NO_EFFECT))
        return DROP;
    if (lost & (PTE_P | PTE_A) || (lost & PTE_U && w->pub.priv == MMU_USER))
        return DROP;
    if (e & E_RW && (lost & PTE_D || (lost & PTE_W && w->pub.priv != MMU_SUPER_NOWP)))
        return DOWNGRADE;
    return KEEP;
}

enum verdict judge_directory(const struct win *w, u64 old, u64 now)
{
    u64 diff = old ^ now, lost = old & ~now;

    (void)w;
    if (diff & ~(u64)(PTE_W | PTE_U | PTE_A | PTE_D | PTE_G | NO_EFFECT) || lost & (PTE_A | PTE_W | PTE_U))
        return DROP;
    return KEEP;
}

static bool is_active(const struct win *w, u32 ri)
{
    return w->active[ri / 64] >> (ri % 64) & 1;
}

/* Has the region, if anything is derived from it, to go? */
static bool region_stale(const struct win *w, u32 ri, u64 old, u64 now)
{
    const struct region *r = &w->reg[ri];

    if (!is_active(w, ri))
        return false;
    if (r->big)
        return judge_leaf(w, r->big, old, now) != KEEP;
    if (r->large)
        return judge_leaf(w, E_KNOWN | E_RW, old, now) != KEEP;
    return judge_directory(w, old, now) != KEEP;
}

static u32 entry_bytes(const struct win *w)
{
    return w->pub.regime.pae ? 8 : 4;
}

/* ---- one entry ---- */

/* Makes the line that holds entry i valid in the copy. */
static void capture(u8 *snap, const u8 *table, u32 offset)
{
    offset &= ~(LINE_BYTES - 1);
    memcpy(snap + offset, table + offset, LINE_BYTES);
}

void derive_pde(struct mmu *m, struct win *w, const u8 *pd, u32 pdi, u64 pde)
{
    bool pae = w->pub.regime.pae;
    u32 dir = pae ? pdi >> 9 : 0, i = pae ? pdi & 511 : pdi;
    u64 line = 1ull << (i * entry_bytes(w) / LINE_BYTES), old;

    if (!(w->pd_lines[dir] & line)) {
        capture(w->pd_snap[dir], pd, i * entry_bytes(w));
        w->pd_lines[dir] |= line;
    }
    old = pte_get(w->pd_snap[dir], i, pae);
    if (old == pde)
        return;
    if (region_stale(w, pdi, old, pde)) {
        struct drop d = {0};

        drop_region(m, w, &d, pdi);
        drop_done(m, w, &d);
        w->pd_lines[dir] |= line; /* also when that ended in a reset: the copy is whole */
    }
    pte_put(w->pd_snap[dir], i, pae, pde);
}

void derive_pte(struct mmu *m, struct win *w, const u8 *pt, u32 ri, u32 pti, u64 pte, bool global)
{
    struct region *r = &w->reg[ri];
    struct leaf *l = leaf_of(m, r);
    bool pae = w->pub.regime.pae;
    u64 line = 1ull << (pti * entry_bytes(w) / LINE_BYTES), old;
    u32 page = (ri << w->shift) + pti;

    if (!((r->lines | r->glines) & line))
        capture(l->snap, pt, pti * entry_bytes(w));
    *(global ? &r->glines : &r->lines) |= line;
    old = pte_get(l->snap, pti, pae);
    if (old == pte)
        return;
    pte_put(l->snap, pti, pae, pte);
    switch (judge_leaf(w, l->e[pti], old, pte)) {
    case KEEP: break;
    case DOWNGRADE: (void)shadow_protect(m, w, page, 1, false); break;
    case DROP: {
        struct drop d = {0};

        drop_page(m, w, &d, page);
        drop_done(m, w, &d);
    }
    }
}

/* ---- a whole window ---- */

static void flush_directory(struct mmu *m, struct win *w, u32 dir, struct drop *d)
{
    static const u8 none[LINE_BYTES];
    bool pae = w->pub.regime.pae;
    const u8 *pd = walk_directory(m, &w->pub.regime, w->pdpte, dir);
    u32 per_line = LINE_BYTES / entry_bytes(w);

    for (u64 lines = w->pd_lines[dir]; lines; lines &= lines - 1) {
        u32 line = (u32)__builtin_ctzll(lines);
        u8 *snap = w->pd_snap[dir] + line * LINE_BYTES;
        const u8 *now = pd ? pd + line * LINE_BYTES : none;

        if (LIKELY(memcmp(snap, now, LINE_BYTES) == 0))
            continue;
        for (u32 i = 0; i < per_line; i++) {
            u32 ri = (dir << 9) + line * per_line + i;
            u64 a = pte_get(snap, i, pae), b = pte_get(now, i, pae);

            if (a != b && region_stale(w, ri, a, b))
                drop_region(m, w, d, ri);
        }
        memcpy(snap, now, LINE_BYTES);
    }
}

/* A run of pages to be made read-only. */
struct down {
    u32 from, to;
};

static void down_done(struct mmu *m, struct win *w, struct down *d)
{
    u32 from = d->from, n = d->to - d->from;

    d->from = d->to = 0;
    /* Nothing is there any more if the window was reset meanwhile. */
    if (n && shadow_get(m, w, from) & E_RW)
        (void)shadow_protect(m, w, from, n, false);
}

static void flush_line(struct mmu *m, struct win *w, u32 ri, u32 line, const u8 *now, struct drop *drop,
                       struct down *down)
{
    struct region *r = &w->reg[ri];
    bool pae = w->pub.regime.pae, used = false;
    u32 per_line = LINE_BYTES / entry_bytes(w);

    for (u32 i = 0; i < per_line && r->leaf; i++) {
        struct leaf *l = leaf_of(m, r);
        u32 pti = line * per_line + i, page = (ri << w->shift) + pti;
        u64 a = pte_get(l->snap, pti, pae), b = pte_get(now, i, pae);

        pte_put(l->snap, pti, pae, b);
        switch (judge_leaf(w, l->e[pti], a, b)) {
        case KEEP: break;
        case DROP: drop_page(m, w, drop, page); break;
        case DOWNGRADE:
            if (down->to != page) {
                down_done(m, w, down);
                down->from = page;
            }
            down->to = page + 1;
        }
        used |= r->leaf && leaf_of(m, r)->e[pti];
    }
    if (!used) {
        r->lines &= ~(1ull << line);
        r->glines &= ~(1ull << line);
    }
}

static void flush_leaf(struct mmu *m, struct win *w, u32 ri, bool all, struct drop *drop)
{
    struct region *r = &w->reg[ri];
    bool pae = w->pub.regime.pae;
    u64 pde = pae ? pte_get(w->pd_snap[ri >> 9], ri & 511, true) : pte_get(w->pd_snap[0], ri, false);
    const u8 *pt = walk_table_ptr(m, &w->pub.regime, pte_frame(pde));
    struct down down = {0};

    for (u64 lines = r->lines | (all ? r->glines : 0); lines; lines &= lines - 1) {
        u32 line = (u32)__builtin_ctzll(lines);
        const struct leaf *l = leaf_of(m, r);

        if (!l)
            return; /* the window was reset */
        if (memcmp(l->snap + line * LINE_BYTES, pt + line * LINE_BYTES, LINE_BYTES) != 0)
            flush_line(m, w, ri, line, pt + line * LINE_BYTES, drop, &down);
    }
    down_done(m, w, &down);
    shadow_tidy(m, w, ri);
}

void flush_window(struct mmu *m, struct win *w)
{
    bool all = w->all_gen != m->all_gen || !w->pub.regime.pge;
    struct drop drop = {0};

    w->sync = m->sync;
    w->all_gen = m->all_gen;
    if (!w->pub.regime.paging)
        return;
    memcpy(w->pdpte, m->pdpte, sizeof(w->pdpte));
    m->stats.flushes++;
    for (u32 dir = 0; dir < (w->pub.regime.pae ? 4u : 1u); dir++)
        flush_directory(m, w, dir, &drop);
    for (u32 i = 0; i < ARRAY_SIZE(w->active); i++) {
        for (u64 bits = w->active[i]; bits; bits &= bits - 1) {
            u32 ri = i * 64 + (u32)__builtin_ctzll(bits);

            if (w->reg[ri].lines || (all && w->reg[ri].glines))
                flush_leaf(m, w, ri, all, &drop);
        }
    }
    drop_done(m, w, &drop);
}

void mmu_flush(struct mmu *m, const struct mmu_regime *r, bool all)
{
    (void)r;
    m->sync++;
    m->event++;
    if (all)
        m->all_gen++;
}

/* ---- INVLPG ---- */

/* After a page that changed: the next ones of the same table, as far as they changed too. Kernels flush a range page by
 * page, with the tables edited before, or edit and flush in turn; for the latter a second INVLPG in sequence takes the rest
 * of the run along unasked, as a TLB may. One host call then does for many. */
static void look_ahead(struct mmu *m, struct win *w, const u8 *pt, u32 ri, u32 pti, bool in_sequence,
                       struct drop *drop)
{
    bool pae = w->pub.regime.pae;
    u32 end = pti + LOOK_AHEAD < region_pages(w) ? pti + LOOK_AHEAD : region_pages(w);

    for (u32 i = pti + 1; i < end && w->reg[ri].leaf; i++) {
        const struct leaf *l = leaf_of(m, &w->reg[ri]);
        u32 page = (ri << w->shift) + i;

        if (!(l->e[i] & E_MAPPED))
            return;
        if (!in_sequence && judge_leaf(w, l->e[i], pte_get(l->snap, i, pae), pte_get(pt, i, pae)) != DROP)
            return;
        drop_page(m, w, drop, page);
    }
}

/* Look again at what one page of one window was derived from. */
static void recheck(struct mmu *m, struct win *w, u32 gva, bool in_sequence)
{
    const struct mmu_regime *r = &w->pub.regime;
    u32 ri = gva >> (PAGE_SHIFT + w->shift), i = ri & (r->pae ? 511 : 1023);
    u32 pti = gva >> PAGE_SHIFT & (region_pages(w) - 1), page = gva >> PAGE_SHIFT;
    u8 *pd = walk_directory(m, r, w->pdpte, gva >> 30), *pt;
    struct drop drop = {0};
    struct leaf *l;
    u64 pde, pte;

    if (!pd) {
        drop_region(m, w, &drop, ri);
        drop_done(m, w, &drop);
        return;
    }
    pde = pte_get(pd, i, r->pae);
    derive_pde(m, w, pd, ri, pde);
    l = leaf_of(m, &w->reg[ri]);
    if (!l || w->reg[ri].big || w->reg[ri].large || !l->e[pti])
        return;
    pt = walk_table_ptr(m, r, pte_frame(pde));
    pte = pte_get(pt, pti, r->pae);
    if (judge_leaf(w, l->e[pti], pte_get(l->snap, pti, r->pae), pte) != DROP) {
        derive_pte(m, w, pt, ri, pti, pte, l->e[pti] & E_GLOBAL);
        return;
    }
    pte_put(l->snap, pti, r->pae, pte);
    drop_page(m, w, &drop, page);
    look_ahead(m, w, pt, ri, pti, in_sequence, &drop);
    drop_done(m, w, &drop);
    shadow_tidy(m, w, ri);
}

void mmu_invlpg(struct mmu *m, const struct mmu_regime *r, u32 gva)
{
    struct mmu_regime id = window_identity(r);
    bool in_sequence = (gva >> PAGE_SHIFT) == m->last_invlpg + 1;

    m->stats.invlpgs++;
    m->last_invlpg = gva >> PAGE_SHIFT;
    if (!r->paging)
        return;
    for (u32 i = 0; i < m->n_windows; i++) {
        struct win *w = m->wins[i];
        u32 e = shadow_get(m, w, gva >> PAGE_SHIFT), ri = gva >> (PAGE_SHIFT + w->shift);
        /* Any byte of a large page names all of it, whichever parts are here; to look at another context's costs little. */
        bool large = is_active(w, ri) && w->reg[ri].large;

        if ((e && (e & E_GLOBAL || window_is(w, &id))) || large)
            recheck(m, w, gva, in_sequence);
    }
}
