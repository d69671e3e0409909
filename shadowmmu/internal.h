/*
 * internal.h - what the shadow MMU's files share.
 *
 * ram.c     guest RAM and the guest-physical layout
 * walk.c    the guest's page tables: translate, check, set A and D
 * window.c  windows: make, find, evict
 * shadow.c  what is mapped where in a window, its bookkeeping, and the host calls
 * fill.c    hidden faults
 * flush.c   TLB rules: compare with what translations were derived from, drop what changed
 * watch.c   write-watch
 * log.c     memory of a device: what of it was written, and dropping it alone
 * track.c   a record of changes for mirrors of a window
 *
 * A window's 4 GiB are divided in regions, one per page-directory entry: 4 MiB, or 2 MiB under PAE. A region is
 *   empty;
 *   big: one large page, or flat memory, with one backing run and one set of rights; or
 *   a leaf: 1024 (512) entries, with a copy of the guest page table that they were derived from.
 * A big region under which some pages are write-watched has a leaf too, which says which are read-only now.
 */
#ifndef NOVT_SHADOWMMU_INTERNAL_H
#define NOVT_SHADOWMMU_INTERNAL_H

#include "shadowmmu/shadowmmu.h"

/* Shadow entry: what is known of one linear page. 0: nothing.
 *   31..24 0 | G | RW | MAPPED | KNOWN | 19..0 page number in the memfd
 * With the page number in the low bits, page k of a contiguous run is (entry of page 0) + k. */
#define E_PAGE 0xfffffu
#define E_KNOWN BIT(20)  /* derived; the owner may have cached the translation */
#define E_MAPPED BIT(21) /* the host maps it */
#define E_RW BIT(22)     /* ... writable */
#define E_GLOBAL BIT(23)

/* Guest-physical map entry: kind in 31..30, page number in the memfd in 19..0. */
#define PMAP_KIND(e) ((enum mmu_backing)((e) >> 30))
#define PMAP_MAKE(kind, page) ((u32)(kind) << 30 | (page))

/* Guest paging-structure entries (SDM vol. 3, tables 4-4 to 4-11). */
#define PTE_P BIT(0)
#define PTE_W BIT(1)
#define PTE_U BIT(2)
#define PTE_A BIT(5)
#define PTE_D BIT(6)
#define PTE_PS BIT(7) /* page-directory entries */
#define PTE_G BIT(8)
#define PTE_NX (1ull << 63)

#define LINEAR_PAGES (1u << 20)
#define CHUNK_PAGES 1024u /* guest-physical chunks whose uniformity is precomputed */
#define CHUNKS (LINEAR_PAGES / CHUNK_PAGES)
#define MAX_REGIONS 2048u
#define MAX_WINDOWS 1024u
#define MAX_LEAVES 16384u
#define MAX_NODES (1u << 22)
#define LINE_BYTES 64u
#define WATCH_LOG 256u
#define LOG_CHUNK 16u /* pages of a device's memory that are noted as one */
#define LOG_MAX_PAGES 8192u

struct leaf {
    u8 snap[PAGE_BYTES]; /* the guest's page table; only lines in region.lines or .glines are valid */
    u32 e[1024];
};

struct region {
    u32 big;    /* entry of page 0 of a big region, or 0 */
    u32 leaf;   /* index, or 0 */
    u64 lines;  /* cache lines of the guest page table with non-global entries in use */
    u64 glines; /* ... with global ones */
    u32 count;  /* entries not 0, for a leaf that is not big */
    u32 large;  /* leaf derived from a large page or flat memory, not from a page table */
};

/* Reverse map: list of writable mappings of a memfd page, or of big regions of a memfd chunk. */
struct node {
    u32 next; /* index, 0: end */
    u32 who;  /* window index << 20 | linear page */
};

struct win {
    struct mmu_window pub; /* first */
    u32 index;
    u32 hash_next;     /* window index + 1 */
    u32 shift;         /* log2 of pages per region: 9 or 10 */
    u32 vmas;          /* host mappings in use, counted */
    bool owned;        /* the owner may have derived things from it */
    u64 sync, all_gen; /* what of mmu.sync, mmu.all_gen was seen */
    u64 pdpte[4];      /* of mmu.pdpte, at the last flush */
    u32 refill;        /* linear address of the last guest fault | 1, or 0 */
    u8 refill_tries;   /* how often to look yet */
    u64 watch_seen;    /* of mmu.watch_seq */
    u64 last_used;
    u8 *reserve;
    bool tracked, track_all;
    u32 n_track;
    struct mmu_range track[MMU_TRACK_MAX]; /* changes since mmu_track_take() */
    u64 pd_lines[4];                       /* lines of pd_snap that are valid */
    u64 active[MAX_REGIONS / 64];
    u64 device[MAX_REGIONS / 64]; /* regions that have had pages of a device's memory */
    struct region reg[MAX_REGIONS];
    u8 pd_snap[4][PAGE_BYTES];
};

struct hot {
    struct mmu_regime regime;
    u64 event;
    struct win *w; /* NULL: empty */
};

struct mmu {
    struct hot hot[3]; /* by privilege: the windows of the last regime */
    struct win *current;
    u64 pdpte[4]; /* PAE */
    u64 event;    /* goes up with all that a window not current has to catch up with */
    u64 sync;     /* goes up with every flush */
    u64 all_gen;  /* goes up with flushes of global translations */
    u64 clock;
    u32 last_invlpg; /* page */
    u32 max_mappings, max_windows, n_windows;
    u32 next_id;
    struct win **wins;
    u32 hash[256]; /* window index + 1 */

    int fd;
    u8 *mem;
    u8 ones[PAGE_BYTES]; /* a page that is not there, as tables */
    u64 mem_bytes;
    u32 *pmap;         /* per guest-physical page below 4 GiB */
    u32 chunk[CHUNKS]; /* pmap entry of the first page when all of the chunk is one run, else 0 */
    u64 *watch;        /* bitmap over memfd pages */
    u64 watch_seq;     /* entries ever made in watch_log: pages of big regions that came under watch */
    u32 watch_log[WATCH_LOG];
    u32 *rmap;                /* per memfd page: node index */
    u32 rmap_big[CHUNKS + 1]; /* per memfd chunk */
    struct node *nodes;
    u32 node_free, nodes_used, nodes_bump;
    struct leaf *leaves;
    u32 *leaf_stack; /* free indices below leaf_bump */
    u32 leaf_stacked, leaf_bump;
    u32 log_first, log_pages; /* a device's memory, in the memfd */
    bool log_on;
    int log_any;
    u64 log_dirty[LOG_MAX_PAGES / LOG_CHUNK / 64]; /* chunks */
    u64 log_code[LOG_MAX_PAGES / 64];              /* pages under mmu_watch() */
    u32 n_traps, trap[MMU_TRAPS_MAX];              /* linear pages */

    struct mmu_config cfg;
    struct mmu_stats stats;
};

/* One translation and how it came about. */
struct walk {
    u64 gpa;
    u32 error;
    bool large; /* ends in the page directory */
    bool nx, global;
    u64 pde, pte; /* with the A and D bits that the walk set */
    u32 pdi, pti; /* indices; pdi counts through the PAE directories: it is the region */
    u8 *pd, *pt;  /* host pointers to the tables */
};

/* walk.c. MMU_OK or MMU_GUEST_FAULT; knows nothing of what backs gpa. */
enum mmu_result walk_tables(struct mmu *m, const struct mmu_regime *r, enum mmu_priv priv, u32 gva,
                            enum mmu_access access, struct walk *k);
/* Page of a table; where there is no memory a page of ones, which is what the bus answers. Never NULL. */
u8 *walk_table_ptr(struct mmu *m, const struct mmu_regime *r, u64 gpa);
/* i: 0, or 0..3 under PAE; NULL: its PDPTE is not present. */
u8 *walk_directory(struct mmu *m, const struct mmu_regime *r, const u64 *pdpte, u32 i);
u64 walk_reserved(const struct mmu_regime *r, bool large_pde);
u64 walk_large_frame(const struct mmu_regime *r, u64 pde);

static inline u64 pte_get(const u8 *table, u32 i, bool pae)
{
    return pae ? ((const u64 *)table)[i] : ((const u32 *)table)[i];
}

static inline void pte_put(u8 *table, u32 i, bool pae, u64 v)
{
    if (pae)
        ((u64 *)table)[i] = v;
    else
        ((u32 *)table)[i] = (u32)v;
}

/* Frame of a 4 KiB page or of a page table. */
static inline u64 pte_frame(u64 e)
{
    return e & 0xffffff000ull;
}

static inline u64 a20(const struct mmu_regime *r, u64 gpa)
{
    return r->a20_mask ? gpa & ~(1ull << 20) : gpa;
}

static inline u32 pmap_get(const struct mmu *m, u64 gpa)
{
    return gpa >> 32 ? 0 : m->pmap[gpa >> PAGE_SHIFT];
}

static inline bool watch_bit(const struct mmu *m, u32 page)
{
    return m->watch[page / 64] >> (page % 64) & 1;
}

/* window.c */
void window_reset(struct mmu *m, struct win *w); /* drops everything; tells the owner */
void window_free(struct win *w);
struct mmu_regime window_identity(const struct mmu_regime *r); /* normalised, without PGE */
bool window_is(const struct win *w, const struct mmu_regime *identity);
void window_make_room(struct mmu *m, struct win *w); /* before a fill: host mappings, leaves, nodes */

/* shadow.c */
static inline struct leaf *leaf_of(const struct mmu *m, const struct region *r)
{
    return r->leaf ? &m->leaves[r->leaf] : NULL;
}

static inline u32 region_pages(const struct win *w)
{
    return 1u << w->shift;
}

u32 shadow_get(const struct mmu *m, const struct win *w, u32 page);
struct leaf *shadow_leaf(struct mmu *m, struct win *w, u32 ri); /* makes it when absent; NULL: none left */
void shadow_set(struct mmu *m, struct win *w, u32 page, u32 e); /* records; the leaf exists */
void shadow_free_all(struct mmu *m, struct win *w);             /* records only: unmap first */
void shadow_unmap_window(struct win *w);
void shadow_changed(struct mmu *m, struct win *w, u32 page, u32 n);
/* Host calls plus records. false: the host refuses (too many mappings). */
bool shadow_map(struct mmu *m, struct win *w, u32 page, u32 n, u32 e); /* inside one leaf */
bool shadow_map_big(struct mmu *m, struct win *w, u32 ri, u32 n, u32 e);
void shadow_know_big(struct mmu *m, struct win *w, u32 ri, u32 e);
void shadow_tidy(struct mmu *m, struct win *w, u32 ri); /* frees a leaf that holds nothing */
bool shadow_protect(struct mmu *m, struct win *w, u32 page, u32 n, bool rw);

/* Dropping: runs are gathered so that neighbours share one host call. */
struct drop {
    u32 from, to; /* pages; empty when equal */
    bool mapped;
};
void drop_page(struct mmu *m, struct win *w, struct drop *d, u32 page);
void drop_region(struct mmu *m, struct win *w, struct drop *d, u32 ri);
void drop_done(struct mmu *m, struct win *w, struct drop *d);

/* flush.c: what to do about an entry whose source went from old to new */
enum verdict { KEEP, DOWNGRADE, DROP };
enum verdict judge_leaf(const struct win *w, u32 e, u64 old, u64 now);
enum verdict judge_directory(const struct win *w, u64 old, u64 now);
void flush_window(struct mmu *m, struct win *w);
/* Record the tables' entries that a translation is about to be derived from; drops what older values gave. */
void derive_pde(struct mmu *m, struct win *w, const u8 *pd, u32 pdi, u64 pde);
void derive_pte(struct mmu *m, struct win *w, const u8 *pt, u32 ri, u32 pti, u64 pte, bool global);

/* fill.c */
void fill_again(struct mmu *m, struct win *w); /* what the guest faulted on here, if it is mapped now */

/* log.c */
bool log_write(struct mmu *m, u32 page); /* a page under watch is written: was it for the log alone? */
bool log_code(struct mmu *m, u32 page, bool code); /* false: not the log's */
void log_mapped(struct mmu *m, struct win *w, u32 page, u32 n, u32 e);
bool log_has(const struct mmu *m, u32 pmap_entry);
void log_drop(struct mmu *m); /* from all windows */

/* trap.c */
bool trap_has(const struct mmu *m, u32 page);

/* track.c: the host mapping of these pages changed */
void track_note(struct win *w, u32 page, u32 n);

/* watch.c */
void watch_catch_up(struct mmu *m, struct win *w);
u32 watch_find(const struct mmu *m, u32 page, u32 n); /* first watched page in the run, or n */

#endif
