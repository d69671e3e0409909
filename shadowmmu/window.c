/*
 * window.c - windows: made, found, recycled.
 *
 * One per (page directory, paging format, privilege). Getting the window that was current a moment ago, or its
 * sibling of the other privilege, is on the path of every guest system call and costs two compares. A window found again
 * after a flush is reconciled with the guest's tables first.
 *
 * When all windows are in use the least recently used one is recycled: not emptied but reconciled with the
 * new page directory, so that the kernel half, which all processes share, stays mapped.
 */
#include "shadowmmu/internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define WINDOW_ALIGN (4ull << 30) /* the low half of a pointer into a window is then the guest's address */
#define RESERVE_BYTES (MMU_WINDOW_BYTES + 2 * MMU_GUARD_BYTES)
#define FREE_NODES 8192u /* what one fill may need at most */
#define FREE_LEAVES 2u
#define FREE_MAPPINGS 8u

_Static_assert(sizeof(struct mmu_regime) == 12, "compared as bytes");

static bool same_regime(const struct mmu_regime *a, const struct mmu_regime *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

/* What decides identity. PGE only says which translations a flush spares. */
static struct mmu_regime normalise(const struct mmu_regime *r, bool keep_pge)
{
    struct mmu_regime n = {.paging = r->paging != 0, .a20_mask = r->a20_mask != 0};

    if (!r->paging)
        return n;
    n.pae = r->pae != 0;
    n.cr3 = r->cr3 & (r->pae ? ~31u : ~PAGE_MASK);
    n.pse = r->pse && !r->pae;
    n.pse36 = n.pse && r->pse36;
    n.nxe = r->nxe && r->pae;
    n.pge = keep_pge && r->pge;
    return n;
}

struct mmu_regime window_identity(const struct mmu_regime *r)
{
    return normalise(r, false);
}

bool window_is(const struct win *w, const struct mmu_regime *identity)
{
    struct mmu_regime id = normalise(&w->pub.regime, false);

    return same_regime(&id, identity);
}

static u32 hash_of(const struct mmu_regime *id, enum mmu_priv priv)
{
    return ((id->cr3 >> 5) * 0x9e3779b1u >> 24) ^ (u32)priv ^ (u32)(id->pae * 8 + id->paging * 16);
}

static struct win *find(const struct mmu *m, const struct mmu_regime *id, enum mmu_priv priv)
{
    u32 i = m->hash[hash_of(id, priv)];

    while (i) {
        struct win *w = m->wins[i - 1];

        if (w->pub.priv == priv && window_is(w, id))
            return w;
        i = w->hash_next;
    }
    return NULL;
}

static void hash_insert(struct mmu *m, struct win *w, const struct mmu_regime *id)
{
    u32 *head = &m->hash[hash_of(id, w->pub.priv)];

    w->hash_next = *head;
    *head = w->index + 1;
}

static void hash_remove(struct mmu *m, struct win *w)
{
    struct mmu_regime id = normalise(&w->pub.regime, false);
    u32 *p = &m->hash[hash_of(&id, w->pub.priv)];

    while (*p != w->index + 1) {
        ASSERT(*p);
        p = &m->wins[*p - 1]->hash_next;
    }
    *p = w->hash_next;
}

void window_reset(struct mmu *m, struct win *w)
{
    bool anything = w->vmas > 1;

    for (u32 i = 0; i < ARRAY_SIZE(w->active); i++)
        anything |= w->active[i] != 0;
    if (!anything && w->pub.regime.paging)
        return;
    if (w->vmas > 1) {
        shadow_unmap_window(w);
        m->stats.mappings_evicted += w->vmas - 1;
    }
    shadow_free_all(m, w);
    shadow_changed(m, w, 0, LINEAR_PAGES);
}

/* The least recently used window other than a and b, among those with mappings if asked; NULL: none. */
static struct win *oldest(const struct mmu *m, const struct win *a, const struct win *b, bool with_mappings)
{
    struct win *best = NULL;

    for (u32 i = 0; i < m->n_windows; i++) {
        struct win *w = m->wins[i];

        if (w == a || w == b || (with_mappings && w->vmas <= 1))
            continue;
        if (!best || w->last_used < best->last_used)
            best = w;
    }
    return best;
}

static bool room(const struct mmu *m)
{
    u32 nodes = MAX_NODES - m->nodes_used, leaves = MAX_LEAVES - m->leaf_bump + m->leaf_stacked;

    return m->stats.mappings + FREE_MAPPINGS <= m->max_mappings && nodes > FREE_NODES &&
           leaves >= FREE_LEAVES;
}

void window_make_room(struct mmu *m, struct win *w)
{
    while (UNLIKELY(!room(m))) {
        struct win *victim = oldest(m, w, NULL, true);

        window_reset(m, victim ? victim : w);
        if (!victim)
            return;
    }
}

/* An aligned reservation with guards; NULL with errno. */
static u8 *reserve(void)
{
    u64 bytes = RESERVE_BYTES + WINDOW_ALIGN, start, end;
    void *p = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (p == MAP_FAILED)
        return NULL;
    start = align_up((u64)p + MMU_GUARD_BYTES, WINDOW_ALIGN) - MMU_GUARD_BYTES;
    end = start + RESERVE_BYTES;
    if (start > (u64)p)
        munmap(p, start - (u64)p);
    if ((u64)p + bytes > end)
        munmap((void *)end, (u64)p + bytes - end);
    return (u8 *)start;
}

static int window_new(struct mmu *m, struct win **out)
{
    struct win *w;
    void *p =
        mmap(NULL, sizeof(*w), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (p == MAP_FAILED)
        return -errno;
    w = p;
    w->reserve = reserve();
    if (!w->reserve) {
        int err = -errno;

        munmap(w, sizeof(*w));
        return err;
    }
    w->pub.base = w->reserve + MMU_GUARD_BYTES;
    w->index = m->n_windows;
    w->vmas = 1;
    w->watch_seen = m->watch_seq;
    m->wins[m->n_windows++] = w;
    m->stats.mappings++;
    m->stats.windows = m->n_windows;
    *out = w;
    return 0;
}

void window_free(struct win *w)
{
    munmap(w->reserve, RESERVE_BYTES);
    munmap(w, sizeof(*w));
}

/* Takes the window from its owner. What it maps stays, for whoever gets it next to reconcile. */
static void evict(struct mmu *m, struct win *w)
{
    hash_remove(m, w);
    if (w->pub.user && m->cfg.free_user)
        m->cfg.free_user(m->cfg.opaque, &w->pub);
    w->pub.user = NULL;
    w->owned = false;
    w->tracked = false;
    w->refill = 0;
    for (u32 i = 0; i < ARRAY_SIZE(m->hot); i++)
        if (m->hot[i].w == w)
            m->hot[i].w = NULL;
    m->stats.windows_evicted++;
}

/* A window for a new identity: fresh, or recycled. */
static int make(struct mmu *m, const struct mmu_regime *r, enum mmu_priv priv, struct win **out)
{
    struct mmu_regime id = normalise(r, false), with_pge = normalise(r, true);
    struct win *w = NULL;
    u32 shift = id.pae ? 9 : 10;
    int err = -ENOSPC;

    if (m->n_windows < m->max_windows)
        err = window_new(m, &w);
    if (err) {
        w = oldest(m, m->current, NULL, false);
        if (!w)
            return err;
        evict(m, w);
        /* Same format, same rights: the shadow of equal tables is equal, and the rest will be dropped. */
        if (w->shift != shift || w->pub.priv != priv || !id.paging || !w->pub.regime.paging ||
            w->pub.regime.pse != id.pse || w->pub.regime.nxe != id.nxe ||
            w->pub.regime.a20_mask != id.a20_mask)
            window_reset(m, w);
    }
    w->pub.id = ++m->next_id;
    if (!w->pub.id)
        w->pub.id = ++m->next_id;
    w->pub.priv = priv;
    w->pub.regime = with_pge;
    w->shift = shift;
    w->sync = m->sync - 1; /* reconcile, globals too */
    w->all_gen = m->all_gen - 1;
    hash_insert(m, w, &id);
    m->stats.windows_made++;
    *out = w;
    return 0;
}

static int get_slow(struct mmu *m, const struct mmu_regime *r, enum mmu_priv priv, struct mmu_window **out)
{
    struct mmu_regime id = normalise(r, false);
    enum mmu_priv real = r->paging ? priv : MMU_SUPER;
    struct win *w = find(m, &id, real);

    if (!w) {
        int err = make(m, r, real, &w);

        if (err)
            return err;
    }
    w->pub.regime = normalise(r, true);
    w->last_used = ++m->clock;
    m->current = w;
    if (w->sync != m->sync)
        flush_window(m, w);
    if (w->watch_seen != m->watch_seq)
        watch_catch_up(m, w);
    if (w->refill)
        fill_again(m, w);
    w->owned = true;
    m->hot[priv] = (struct hot){.regime = *r, .event = m->event, .w = w};
    *out = &w->pub;
    return 0;
}

int mmu_window_get(struct mmu *m, const struct mmu_regime *r, enum mmu_priv priv, struct mmu_window **out)
{
    const struct hot *h = &m->hot[priv];

    if (LIKELY(h->event == m->event && h->w && same_regime(&h->regime, r))) {
        m->current = h->w;
        if (h->w->refill)
            fill_again(m, h->w);
        *out = &h->w->pub;
        return 0;
    }
    return get_slow(m, r, priv, out);
}
