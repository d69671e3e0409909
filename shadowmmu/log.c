/*
 * log.c - memory of a device: RAM that comes and goes in the layout, and of which writes are noted.
 *
 * One run of memfd pages, chosen when the mmu is made. Writes are noted by chunks: after mmu_log_take() a chunk is mapped
 * read-only wherever it is mapped, by the same bits that write-watch uses; the first write to it is a hidden fault that marks the chunk,
 * takes
 * the bits away and maps it writable. So a chunk costs one fault between two looks however much is written, and nothing when
 * nobody looks. Pages with translations stay watched as any others.
 *
 * A change of the layout that concerns only this memory drops its own mappings from the windows and nothing else: a graphics card
 * moves its window often.
 */
#include "shadowmmu/internal.h"

#include <string.h>

static bool in_log(const struct mmu *m, u32 page)
{
    return page - m->log_first < m->log_pages;
}

static void set_bits(u64 *bits, u32 from, u32 n)
{
    for (u32 i = from; i < from + n; i++)
        bits[i / 64] |= 1ull << (i % 64);
}

/* ---- noting ---- */

/* Marks the page's chunk and lets it be mapped writable. */
static void mark(struct mmu *m, u32 page)
{
    u32 first = (page - m->log_first) / LOG_CHUNK * LOG_CHUNK;

    for (u32 i = first; i < first + LOG_CHUNK && i < m->log_pages; i++) {
        u32 p = m->log_first + i;

        if (!(m->log_code[i / 64] >> (i % 64) & 1))
            m->watch[p / 64] &= ~(1ull << (p % 64));
    }
    m->log_dirty[first / LOG_CHUNK / 64] |= 1ull << (first / LOG_CHUNK % 64);
    __atomic_store_n(&m->log_any, 1, __ATOMIC_RELAXED);
}

bool log_write(struct mmu *m, u32 page)
{
    u32 i = page - m->log_first;

    if (!in_log(m, page))
        return false;
    mark(m, page);
    return !(m->log_code[i / 64] >> (i % 64) & 1);
}

bool log_code(struct mmu *m, u32 page, bool code)
{
    u32 i = page - m->log_first;

    if (!in_log(m, page))
        return false;
    if (code)
        m->log_code[i / 64] |= 1ull << (i % 64);
    else
        m->log_code[i / 64] &= ~(1ull << (i % 64));
    return true;
}

void mmu_log_write(struct mmu *m, u64 gpa)
{
    u32 e = pmap_get(m, gpa);

    if (PMAP_KIND(e) != MMU_NONE && in_log(m, e & E_PAGE))
        mark(m, e & E_PAGE);
}

bool mmu_log_any(const struct mmu *m)
{
    return __atomic_load_n(&m->log_any, __ATOMIC_RELAXED);
}

/* ---- arming ---- */

static bool is_mapped_at(const struct mmu *m, u32 page, u32 who)
{
    for (u32 n = m->rmap[page]; n; n = m->nodes[n].next)
        if (m->nodes[n].who == who)
            return true;
    return false;
}

/* Single pages: neighbours in memory that are neighbours in a window in one host call. */
static void protect_small(struct mmu *m, u32 page, u32 end)
{
    for (; page < end; page++) {
        while (m->rmap[page]) {
            u32 who = m->nodes[m->rmap[page]].who, n = 1;

            while (page + n < end && (who & (LINEAR_PAGES - 1)) + n < LINEAR_PAGES &&
                   is_mapped_at(m, page + n, who + n))
                n++;
            (void)shadow_protect(m, m->wins[who >> 20], who & (LINEAR_PAGES - 1), n, false);
        }
    }
}

/* Big regions, in every window that has one here. False: a window was reset, look again. */
static bool protect_big(struct mmu *m, u32 page, u32 end)
{
    for (u32 n = m->rmap_big[page / CHUNK_PAGES]; n; n = m->nodes[n].next) {
        u32 who = m->nodes[n].who, first = who & (LINEAR_PAGES - 1);
        struct win *w = m->wins[who >> 20];
        u32 big = w->reg[first >> w->shift].big & E_PAGE, lo = page > big ? page - big : 0;
        u32 hi = end > big ? end - big : 0;

        hi = hi < region_pages(w) ? hi : region_pages(w);
        if (lo >= hi)
            continue;
        if (!shadow_leaf(m, w, first >> w->shift)) {
            window_reset(m, w);
            return false;
        }
        if (!shadow_protect(m, w, first + lo, hi - lo, false))
            return false;
    }
    return true;
}

static void arm(struct mmu *m, u32 page, u32 end)
{
    for (u32 p = page; p < end; p++)
        m->watch[p / 64] |= 1ull << (p % 64);
    protect_small(m, page, end);
    while (!protect_big(m, page, end))
        ;
    if ((end - 1) / CHUNK_PAGES != page / CHUNK_PAGES)
        while (!protect_big(m, end - 1, end))
            ;
}

void mmu_log_take(struct mmu *m, u64 *bits)
{
    __atomic_store_n(&m->log_any, 0, __ATOMIC_RELAXED);
    for (u32 i = 0; i < m->log_pages; i += LOG_CHUNK) {
        u32 c = i / LOG_CHUNK, n = m->log_pages - i < LOG_CHUNK ? m->log_pages - i : LOG_CHUNK;

        if (m->log_on && !(m->log_dirty[c / 64] >> (c % 64) & 1))
            continue;
        m->log_dirty[c / 64] &= ~(1ull << (c % 64));
        set_bits(bits, i, n);
        arm(m, m->log_first + i, m->log_first + i + n);
    }
    m->log_on = true;
}

/* ---- layout ---- */

void log_mapped(struct mmu *m, struct win *w, u32 page, u32 n, u32 e)
{
    u32 first = e & E_PAGE;

    if (!m->log_pages || first >= m->log_first + m->log_pages || first + n <= m->log_first)
        return;
    for (u32 ri = page >> w->shift; ri <= (page + n - 1) >> w->shift; ri++)
        w->device[ri / 64] |= 1ull << (ri % 64);
}

bool log_has(const struct mmu *m, u32 e)
{
    return PMAP_KIND(e) != MMU_NONE && in_log(m, e & E_PAGE);
}

static void drop_from_region(struct mmu *m, struct win *w, struct drop *d, u32 ri)
{
    u32 n = region_pages(w);

    if (w->reg[ri].big) {
        if (in_log(m, w->reg[ri].big & E_PAGE) || in_log(m, (w->reg[ri].big & E_PAGE) + n - 1))
            drop_region(m, w, d, ri);
        return;
    }
    for (u32 i = 0; i < n && w->reg[ri].leaf; i++) {
        u32 e = shadow_get(m, w, (ri << w->shift) + i);

        if (e && in_log(m, e & E_PAGE))
            drop_page(m, w, d, (ri << w->shift) + i);
    }
}

void log_drop(struct mmu *m)
{
    for (u32 k = 0; k < m->n_windows; k++) {
        struct win *w = m->wins[k];
        struct drop d = {0};

        for (u32 i = 0; i < ARRAY_SIZE(w->device); i++) {
            for (u64 bits = w->device[i]; bits; bits &= bits - 1)
                drop_from_region(m, w, &d, i * 64 + (u32)__builtin_ctzll(bits));
            w->device[i] = 0;
        }
        drop_done(m, w, &d);
    }
}
