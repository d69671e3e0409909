/*
 * ram.c - guest RAM and ROM, and the guest-physical layout.
 *
 * One memfd holds both; the monitor reaches it through one linear mapping, windows map pieces of it. The
 * layout is an array with one word per 4 KiB page, plus a summary per 4 MiB that lets large mappings skip
 * the pages. Everything is reserved lazily: memory that neither guest nor monitor touches is not resident.
 */
#include "shadowmmu/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define DEFAULT_WINDOWS 64u
#define MIN_WINDOWS 4u
#define MIN_MAPPINGS 64u
#define MAX_RAM (3584ull << 20)

static void *lazy(u64 bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return p == MAP_FAILED ? NULL : p;
}

static void unlazy(void *p, u64 bytes)
{
    if (p)
        munmap(p, bytes);
}

static u32 host_max_mappings(void)
{
    FILE *f = fopen("/proc/sys/vm/max_map_count", "r");
    unsigned int n = 65530;

    if (f) {
        if (fscanf(f, "%u", &n) != 1)
            n = 65530;
        fclose(f);
    }
    if (n > 1u << 30)
        n = 1u << 30;
    return n / 4 * 3;
}

static int make_memory(struct mmu *m)
{
    int fd = memfd_create("novt-ram", MFD_CLOEXEC);
    void *p;

    if (fd < 0)
        return -errno;
    m->fd = fd;
    if (ftruncate(fd, (off_t)m->mem_bytes) < 0)
        return -errno;
    p = mmap(NULL, m->mem_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (p == MAP_FAILED)
        return -errno;
    m->mem = p;
    return 0;
}

int mmu_new(struct mmu **out, const struct mmu_config *cfg)
{
    struct mmu *m;
    int err = -ENOMEM;

    if (!cfg->ram_bytes || cfg->ram_bytes > MAX_RAM || cfg->ram_bytes & ((1u << 20) - 1) ||
        cfg->rom_bytes > (4ull << 30) - MAX_RAM)
        return -EINVAL;
    if ((cfg->log_offset | cfg->log_bytes) & PAGE_MASK || cfg->log_bytes > (u64)LOG_MAX_PAGES * PAGE_BYTES ||
        cfg->log_offset + cfg->log_bytes > cfg->ram_bytes + align_up(cfg->rom_bytes, PAGE_BYTES))
        return -EINVAL;
    m = calloc(1, sizeof(*m));
    if (!m)
        return -ENOMEM;
    m->cfg = *cfg;
    m->fd = -1;
    memset(m->ones, 0xff, sizeof(m->ones));
    m->mem_bytes = cfg->ram_bytes + align_up(cfg->rom_bytes, PAGE_BYTES);
    m->max_mappings = cfg->max_mappings ? cfg->max_mappings : host_max_mappings();
    if (m->max_mappings < MIN_MAPPINGS)
        m->max_mappings = MIN_MAPPINGS;
    m->max_windows = cfg->max_windows ? cfg->max_windows : DEFAULT_WINDOWS;
    if (m->max_windows < MIN_WINDOWS)
        m->max_windows = MIN_WINDOWS;
    if (m->max_windows > MAX_WINDOWS)
        m->max_windows = MAX_WINDOWS;
    if (m->max_windows > m->max_mappings / 4) /* an empty one takes a mapping too */
        m->max_windows = m->max_mappings / 4;
    m->log_first = (u32)(cfg->log_offset >> PAGE_SHIFT);
    m->log_pages = (u32)(cfg->log_bytes >> PAGE_SHIFT);
    m->nodes_bump = 1;
    m->leaf_bump = 1;

    m->wins = calloc(m->max_windows, sizeof(struct win *));
    m->pmap = lazy(LINEAR_PAGES * sizeof(u32));
    m->watch = lazy(LINEAR_PAGES / 8);
    m->rmap = lazy(LINEAR_PAGES * sizeof(u32));
    m->nodes = lazy(MAX_NODES * sizeof(struct node));
    m->leaves = lazy(MAX_LEAVES * sizeof(struct leaf));
    m->leaf_stack = lazy(MAX_LEAVES * sizeof(u32));
    if (!m->wins || !m->pmap || !m->watch || !m->rmap || !m->nodes || !m->leaves || !m->leaf_stack)
        goto fail;
    err = make_memory(m);
    if (err)
        goto fail;
    *out = m;
    return 0;
fail:
    mmu_free(m);
    return err;
}

void mmu_free(struct mmu *m)
{
    if (!m)
        return;
    for (u32 i = 0; i < m->n_windows; i++) {
        struct win *w = m->wins[i];

        if (w->pub.user && m->cfg.free_user)
            m->cfg.free_user(m->cfg.opaque, &w->pub);
        window_free(w);
    }
    free(m->wins);
    unlazy(m->pmap, LINEAR_PAGES * sizeof(u32));
    unlazy(m->watch, LINEAR_PAGES / 8);
    unlazy(m->rmap, LINEAR_PAGES * sizeof(u32));
    unlazy(m->nodes, MAX_NODES * sizeof(struct node));
    unlazy(m->leaves, MAX_LEAVES * sizeof(struct leaf));
    unlazy(m->leaf_stack, MAX_LEAVES * sizeof(u32));
    if (m->mem)
        munmap(m->mem, m->mem_bytes);
    if (m->fd >= 0)
        close(m->fd);
    free(m);
}

/* The chunk's summary: its first entry if all pages continue it, else 0. */
static u32 summarise(const struct mmu *m, u32 chunk)
{
    const u32 *e = &m->pmap[chunk * CHUNK_PAGES];

    if (PMAP_KIND(e[0]) == MMU_NONE)
        return 0;
    for (u32 i = 1; i < CHUNK_PAGES; i++)
        if (e[i] != e[0] + i)
            return 0;
    return e[0];
}

int mmu_map_physical(struct mmu *m, u64 gpa, u64 bytes, enum mmu_backing kind, u64 backing_offset)
{
    u32 first = (u32)(gpa >> PAGE_SHIFT), n = (u32)(bytes >> PAGE_SHIFT);
    bool differs = false, others = false;

    if ((gpa | bytes | backing_offset) & PAGE_MASK || gpa > 4ull << 30 || bytes > (4ull << 30) - gpa)
        return -EINVAL;
    if (kind > MMU_ROM)
        return -EINVAL;
    if (kind != MMU_NONE && (backing_offset > m->mem_bytes || bytes > m->mem_bytes - backing_offset))
        return -EINVAL;
    for (u32 i = 0; i < n; i++) {
        u32 e = kind == MMU_NONE ? 0 : PMAP_MAKE(kind, (u32)(backing_offset >> PAGE_SHIFT) + i);

        if (m->pmap[first + i] != e && m->pmap[first + i] != 0) {
            differs = true;
            others |= !log_has(m, m->pmap[first + i]);
        }
        if (m->pmap[first + i] != e)
            m->pmap[first + i] = e;
    }
    if (!n)
        return 0;
    for (u32 c = first / CHUNK_PAGES; c <= (first + n - 1) / CHUNK_PAGES; c++)
        m->chunk[c] = summarise(m, c);
    /* Rare (PAM switches), so nothing finer than all, but for a device's memory. Pages that were nothing before are in no window. */
    if (differs && !others)
        log_drop(m);
    for (u32 i = 0; others && i < m->n_windows; i++)
        window_reset(m, m->wins[i]);
    return 0;
}

u8 *mmu_ptr(struct mmu *m, u64 gpa, enum mmu_backing *kind)
{
    u32 e = pmap_get(m, gpa);

    if (kind)
        *kind = PMAP_KIND(e);
    if (PMAP_KIND(e) == MMU_NONE)
        return NULL;
    return m->mem + ((u64)(e & E_PAGE) << PAGE_SHIFT) + (gpa & PAGE_MASK);
}

int mmu_memfd(const struct mmu *m, u64 *bytes)
{
    *bytes = m->mem_bytes;
    return m->fd;
}

u8 *mmu_backing_ptr(struct mmu *m, u64 backing_offset)
{
    ASSERT(backing_offset < m->mem_bytes);
    return m->mem + backing_offset;
}

const struct mmu_stats *mmu_stats(const struct mmu *m)
{
    return &m->stats;
}
