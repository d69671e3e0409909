/*
 * shadowmmu.h - guest RAM, page walk, windows, write-watch.
 *
 * Guest RAM (and ROM) is one memfd. A window is a reserved 4 GiB range of host addresses plus
 * guards that holds one guest linear address space as one privilege sees it; pages are mapped into
 * it on demand with mmap(MAP_SHARED | MAP_FIXED), so the host's MMU does the translation. This
 * module knows no CPU struct: the paging regime comes by value. DESIGN sections 3 and 6.
 *
 * Guarantees: after mmu_flush() or mmu_invlpg() no translation that the architecture says is gone can be
 * used; a page under write-watch is writable in no window; the number of host mappings stays
 * below the limit given (eviction, never failure). Functions marked "signal-safe" take no lock, allocate
 * nothing by malloc and use only raw system calls: they run inside the SIGSEGV handler of the CPU's own
 * thread while that thread is in translated code (never while it is inside this module).
 */
#ifndef NOVT_SHADOWMMU_H
#define NOVT_SHADOWMMU_H

#include "base.h"

struct mmu;

#define MMU_WINDOW_BYTES (1ull << 32)
#define MMU_GUARD_BYTES (1ull << 20) /* PROT_NONE before and after each window */

/* The paging state that decides a walk, by value. Comparable with memcmp (zero padding bytes). */
struct mmu_regime {
    u32 cr3;          /* whole register: PD base, or PDPT base (bits 31..5) under PAE */
    u8 paging;        /* CR0.PG */
    u8 pse, pae, pge; /* CR4 bits */
    u8 nxe;           /* EFER.NXE (PAE only) */
    u8 a20_mask;      /* 1: physical bit 20 is forced to 0 (A20 gate off) */
    u8 pse36;         /* the CPU has it: bits 16..13 of a 4 MiB page's entry are address bits 35..32 */
    u8 zero;
};

enum mmu_priv {
    MMU_USER,       /* CPL 3 */
    MMU_SUPER,      /* CPL 0-2, CR0.WP = 1 */
    MMU_SUPER_NOWP, /* CPL 0-2, CR0.WP = 0: supervisor writes ignore R/W */
};

enum mmu_access { MMU_READ, MMU_WRITE, MMU_FETCH };

/* What answers a guest-physical page. */
enum mmu_backing {
    MMU_NONE, /* MMIO or nothing: the monitor's buses answer */
    MMU_RAM,  /* read and write */
    MMU_ROM,  /* reads come from the memfd, writes go to the monitor */
};

/* #PF error code bits (SDM vol. 3, 4.7). */
#define MMU_PF_P BIT(0)
#define MMU_PF_W BIT(1)
#define MMU_PF_U BIT(2)
#define MMU_PF_RSVD BIT(3)
#define MMU_PF_ID BIT(4)

enum mmu_result {
    MMU_OK,          /* walk: translated; fill: mapped, retry the access */
    MMU_GUEST_FAULT, /* info.error_code is the #PF error code; nothing was changed but A bits */
    MMU_SLOW,    /* allowed by the guest, but not mappable: MMIO, ROM write, A20... : use info.gpa by hand */
    MMU_WATCHED, /* fill only: a write to a page under write-watch */
};

struct mmu_info {
    u64 gpa;        /* guest-physical address of the byte asked for */
    u32 error_code; /* for MMU_GUEST_FAULT */
    u8 backing;     /* enum mmu_backing of that page */
    u8 global;      /* the translation is global (G bit and CR4.PGE), or paging is off */
    u8 writable;    /* a write would be allowed too without further ado (D set) */
};

/* One window. base is what GS base is set to; it is aligned to 4 GiB: the low half of a host pointer into the
 * window is the guest address. The owner may hang its own data (jump cache, return stack) on user; free_user runs
 * when the window is evicted or the mmu freed. The struct stays valid memory until mmu_free(). */
struct mmu_window {
    u8 *base;
    u32 id; /* unique over the life of the mmu, never 0, new after eviction */
    enum mmu_priv priv;
    struct mmu_regime regime;
    void *user;
};

/* Counters for --stats. */
struct mmu_stats {
    u64 fills, fill_pages, guest_faults, watch_hits, flushes, flush_unmaps, invlpgs, windows_made,
        windows_evicted, mappings_evicted, walks,
        refills; /* refills: after a guest fault, without a hidden one */
    u32 windows, mappings;
};

struct mmu_config {
    u64 ram_bytes; /* guest RAM, multiple of 1 MiB, at most 3.5 GiB for now */
    u64 rom_bytes; /* room in the memfd for ROM images beyond RAM */
    u64 log_offset,
        log_bytes;    /* memory of a device within the memfd, page aligned, at most 32 MiB; 0: none */
    u32 max_mappings; /* host mappings this mmu may hold; 0: three quarters of vm.max_map_count */
    u32 max_windows;  /* 0: 64 */
    /* The translation of linear pages [gva, gva + npages) in w changed or was dropped (flush, invlpg, eviction,
     * change of layout; watch does not count). The owner drops what it derived from them (jump-cache entries,
     * links). Called for data and for pages that mmu_walk(MMU_FETCH) translated through w; may cover pages in between that
     * did not change. Runs inside mmu_window_get(), mmu_invlpg(), mmu_walk(), mmu_map_physical() and mmu_fill():
     * must be signal-safe, must not call back into this module, and w need not be the current window. */
    void (*changed)(void *opaque, struct mmu_window *w, u32 gva, u32 npages);
    void (*free_user)(void *opaque, struct mmu_window *w);
    void *opaque;
};

/* 0, -EINVAL, -ENOMEM, or the errno of memfd_create/ftruncate/mmap. Initially every page is MMU_NONE. */
int mmu_new(struct mmu **out, const struct mmu_config *cfg) MUST_CHECK;
void mmu_free(struct mmu *m);

/* Guest-physical layout. backing_offset: byte offset in the memfd (RAM is [0, ram_bytes), ROM room
 * follows). gpa, bytes, backing_offset page aligned, gpa + bytes <= 4 GiB (for now). Drops translations that
 * are affected from all windows. Used at start and for PAM switches. */
int mmu_map_physical(struct mmu *m, u64 gpa, u64 bytes, enum mmu_backing kind, u64 backing_offset) MUST_CHECK;

/* Host pointer to the byte backing gpa (valid to the end of its page), NULL when MMU_NONE. Readable and writable
 * also for ROM: the caller checks *kind (may be NULL). Signal-safe. */
u8 *mmu_ptr(struct mmu *m, u64 gpa, enum mmu_backing *kind);
int mmu_memfd(const struct mmu *m, u64 *bytes); /* the memfd and its size; stays the mmu's */
/* The guest comes back from an exception within the current window w: when it was a page fault and the entry is there now, with A (and D)
 * as the access will need them, it is mapped, which spares a SIGSEGV. mmu_window_get() does the same. */
void mmu_refill(struct mmu *m, struct mmu_window *w);

/* Host pointer into the memfd itself by backing offset (to load ROM images). */
u8 *mmu_backing_ptr(struct mmu *m, u64 backing_offset);

/* The window of this regime and privilege; made, reused or reconciled as needed, current from then on. With
 * paging off cr3, pae and their like are ignored and all privileges share one window. Never fails: recycles the
 * least recently used window, but not the current one. Cheap (a few ns) for the two or three windows of the
 * regime used last. -errno only when the host gives no address space at all. */
int mmu_window_get(struct mmu *m, const struct mmu_regime *r, enum mmu_priv priv,
                   struct mmu_window **out) MUST_CHECK;

/* SIGSEGV in window w at gva: walk, check, set A (and D on write), map (in a batch with neighbours), or say why
 * not. Signal-safe. */
enum mmu_result mmu_fill(struct mmu *m, struct mmu_window *w, u32 gva, bool write, struct mmu_info *info);

/* Translate for the monitor's own accesses and for instruction fetch; sets A/D as the access would. w may be NULL
 * (then nothing is remembered for coherency: results must not be cached by the caller). */
enum mmu_result mmu_walk(struct mmu *m, struct mmu_window *w, const struct mmu_regime *r, enum mmu_priv priv,
                         u32 gva, enum mmu_access access, struct mmu_info *info);

/* TLB rules. Call mmu_flush() at MOV CR3 and task switch, with the regime that is now current, and then
 * mmu_window_get() before the guest runs on: the flush itself only counts, windows are compared with the guest's tables
 * (what changed is dropped) when they are next got. So going back and forth between user and supervisor
 * windows without a flush compares nothing. all: also global translations (CR4.PGE toggle, CR0.PG, CR4.PAE, PSE,
 * EFER.NXE, A20 change). mmu_invlpg() acts at once, on every window that could hold the page. */
void mmu_flush(struct mmu *m, const struct mmu_regime *r, bool all);
void mmu_invlpg(struct mmu *m, const struct mmu_regime *r, u32 gva);

/* PAE: the four page-directory-pointer entries are registers of the CPU, loaded with CR3 and when CR0 or CR4 turn PAE
 * paging on (SDM vol. 3, 4.4.1); what memory says afterwards does not matter. mmu_flush() must follow. */
void mmu_load_pdptes(struct mmu *m, const u64 pdpte[4]);
void mmu_get_pdptes(const struct mmu *m, u64 pdpte[4]);

/* Write-watch of guest-physical pages (code pages). Idempotent. While watched, fills map the page read-only
 * and answer MMU_WATCHED to writes. */
void mmu_watch(struct mmu *m, u64 gpa);
void mmu_unwatch(struct mmu *m, u64 gpa);
bool mmu_watched(const struct mmu *m, u64 gpa);

/* ---- memory of a device (log.c) ----
 * mmu_map_physical() over it drops nothing else. mmu_log_take() sets the bits of its pages that were written since it was last called (by
 * chunks;
 * the first time all), from then on writes are noted. mmu_log_any(): was anything? Any thread. Stores by hand to a page for which
 * mmu_watched() is true tell mmu_log_write(). */
void mmu_log_take(struct mmu *m, u64 *bits);
bool mmu_log_any(const struct mmu *m);
void mmu_log_write(struct mmu *m, u64 gpa);

/* ---- for a debugger (trap.c) ----
 * Every access to these linear pages, in any window, is answered with MMU_SLOW from now on; the n pages replace those of the call before.
 * 0, or -ENOSPC when they are more than MMU_TRAPS_MAX. Outside translated code only. */
#define MMU_TRAPS_MAX 64u
int mmu_trap(struct mmu *m, const u32 *page, u32 n) MUST_CHECK;
/* Translate without a trace, whatever the rights: MMU_OK or MMU_GUEST_FAULT. */
enum mmu_result mmu_peek(struct mmu *m, const struct mmu_regime *r, u32 gva, u64 *gpa) MUST_CHECK;

/* ---- for whoever repeats a window's mappings elsewhere ----
 * mmu_track() starts (or stops) a record of what changes in w: mapped, unmapped, protected. mmu_track_take() hands out the pages that may
 * have changed since it was last called, at most max ranges, and forgets them; *all: too many to tell, or tracking has just begun: look
 * at everything. Tracking ends by itself when the window gets another owner (free_user runs). */
struct mmu_range {
    u32 page, n;
};
#define MMU_TRACK_MAX 64u
void mmu_track(struct mmu_window *w, bool on);
u32 mmu_track_take(struct mmu_window *w, struct mmu_range *out, u32 max, bool *all);
void mmu_track_page(struct mmu_window *w, u32 page); /* as if this page had changed */

/* What the host maps for linear page `page` (0..2^20-1) of w now: MMU_MAPPING_* and the page number in the memfd; 0: nothing. */
#define MMU_MAPPING_PAGE 0xfffffu
#define MMU_MAPPING_MAPPED BIT(21)
#define MMU_MAPPING_WRITABLE BIT(22)
u32 mmu_mapping(const struct mmu *m, const struct mmu_window *w, u32 page);
/* The first mapped page from `page` on; 2^20: none. */
u32 mmu_mapping_next(const struct mmu *m, const struct mmu_window *w, u32 page);

/* Do the tables that w was last compared with still translate gva to gpa, as far as they stand in memory? For contexts that are not
 * current: an answer of the moment, without a trace. */
bool mmu_window_maps(struct mmu *m, const struct mmu_window *w, u32 gva, u64 gpa);

/* Host address range test for the fault handler: is hva inside the window or its guards? Signal-safe. */
static inline bool mmu_window_contains(const struct mmu_window *w, u64 hva)
{
    return hva - ((u64)w->base - MMU_GUARD_BYTES) < MMU_WINDOW_BYTES + 2 * MMU_GUARD_BYTES;
}

const struct mmu_stats *mmu_stats(const struct mmu *m);

#endif
