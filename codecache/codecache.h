/*
 * codecache.h - W^X code memory, block lookup, linking, invalidation.
 *
 * Translated blocks live in one memfd mapped twice: read-write for the translator, read-execute for the CPU.
 * Code memory is a transaction: reserve, commit or abort. Blocks are found by their whole key (every
 * assumption made when translating) and indexed by guest-physical page for invalidation. Knows no x86 guest
 * meaning: keys, exit targets and side tables are opaque.
 *
 * Guarantees: a block's code memory is not reused before cc_flush(); invalidating a block leaves its code
 * executable but turns every jump out of it and every jump into it to the soft stubs, so a CPU that is
 * inside it comes out safely at its next exit. cc_find() is signal-safe.
 */
#ifndef NOVT_CODECACHE_H
#define NOVT_CODECACHE_H

#include "base.h"

struct cc;

#define CC_NO_PAGE 0xffffffffu

/* Everything assumed. Compared as bytes, no padding. */
struct cc_key {
    u32 gpa;  /* guest-physical address of the first byte */
    u32 gpa2; /* guest-physical page base of the second page for blocks that straddle, or CC_NO_PAGE */
    u32 eip;
    u32 cs_base;
    u32 cs_limit;
    u32 mode;
};

/* An exit with a patchable 32-bit displacement. Unlinked it jumps to hard_off (asks the run loop for a link); linked, to
 * the target block's entry; soft, to soft_off (in-cache lookup by address, no link asked). */
struct cc_exit {
    u32 patch_off; /* cache offset of the rel32 field */
    u32 hard_off;  /* cache offset of the stub that leaves with this exit's id */
    u32 soft_off;  /* cache offset of the stub that looks the target up */
    /* Guarded links (CC_GUARDED): a stub that compares before it jumps. guard_off: its entry, 0: the exit has none; guard_imm: the
     * place of its 32-bit immediate, minus the value expected; guard_rel: of its rel32 to the target. */
    u32 guard_off, guard_imm, guard_rel;
    u32 target;                          /* opaque to the cache: guest EIP */
    struct cc_block *from, *to;          /* to: NULL when not linked */
    struct cc_exit *in_next, **in_pprev; /* list of exits linked to `to` */
    u8 state;                            /* CC_HARD, CC_LINKED, CC_SOFT, CC_INLINE */
    u8 cross;                            /* CC_NEAR, CC_GUARDED, CC_GLOBAL */
    u8 listed;                           /* in the list of guarded links */
    u8 parked;                           /* guarded, but `to` moved elsewhere: jumps to hard_off until they match again */
};
enum { CC_HARD, CC_LINKED, CC_SOFT, CC_INLINE };
/* What a link relies on beyond both blocks being alive: nothing (same page); a check at run time by the guard stub; the target
 * page's mapping in every context (dropped by cc_unlink_into()). CC_INLINE is an exit that is no jump while its block lives: a 5-byte
 * NOP behind a call, where the callee returns to; it becomes a jump to the soft stub when the block dies. */
enum { CC_NEAR, CC_GUARDED, CC_GLOBAL };

struct cc_block {
    struct cc_key key;
    u32 code_off; /* cache offset of the entry */
    u32 code_len;
    u32 cold_off, cold_len; /* its stubs */
    u32 guest_len;          /* guest bytes covered from key.eip */
    u32 n_insns;
    u16 n_exits;
    u16 tag; /* the owner's */
    u8 dead;
    u8 flags;              /* the owner's */
    u8 moving;             /* for cc_move() */
    struct cc_exit *exits; /* in the metadata arena */
    const void *side;      /* side table, in the metadata arena, opaque */
    u32 side_bytes;
    u32 n_places;        /* the owner's: */
    const void *places;  /* what in the code depends on key.eip */
    struct cc_exit *in; /* exits linked to this block */
    struct cc_block *hash_next;
    struct cc_block *page_next[2]; /* per page list, for key.gpa's page and key.gpa2 */
};

/* A page with code. */
struct cc_page {
    u32 gpa; /* page base */
    struct cc_block *blocks;
    u32 invalidations; /* how often writes hit this page */
    u32 global_in;     /* CC_GLOBAL links into its blocks */
    struct cc_page *hash_next;
    /* The owner's; survive invalidation. */
    u8 flags, hits, bursts, patience;
    u32 samples;
    u64 since;
};

struct cc_stats {
    u64 blocks_made, blocks_invalidated, links, unlinks, flushes, lookups, lookup_hits, code_bytes;
    u32 blocks, used_bytes, size_bytes;
};

/* bytes: code memory, 1 MiB..1 GiB. Metadata grows as needed and is released by cc_flush(). 0, -EINVAL, -ENOMEM, errno. */
int cc_new(struct cc **out, size_t bytes) MUST_CHECK;
void cc_free(struct cc *cc);

/* Both views of code memory. Offsets are relative to either. */
u8 *cc_rw(const struct cc *cc);
u8 *cc_rx(const struct cc *cc);

/* Memory that cc_flush() keeps (gates and stubs): call before the first block. Returns the offset, or -ENOSPC. */
int cc_fixed(struct cc *cc, u32 bytes, u32 *off) MUST_CHECK;

/* Transaction. Room for max_bytes at *off (16-byte aligned); -ENOSPC: the cache is full, flush it.
 * After cc_reserve() exactly one cc_commit() or cc_abort(). */
int cc_reserve(struct cc *cc, u32 max_bytes, u32 *off) MUST_CHECK;
void cc_abort(struct cc *cc);
/* Within a transaction: room for what rarely runs (stubs), away from the hot code; -ENOSPC as above. After emitting,
 * cc_cold_done() says how much was used; without a commit nothing is. */
int cc_reserve_cold(struct cc *cc, u32 max_bytes, u32 *off) MUST_CHECK;
void cc_cold_done(struct cc *cc, u32 bytes);

/* exits (patch_off, hard_off, soft_off, target, guard_*, state CC_HARD or CC_INLINE filled) and side are copied. Sets each
 * CC_HARD exit's jump to hard_off.
 * The n-th exit gets id cc_exit_id(block, n) beforehand announced by cc_next_exit_id(). NULL: out of memory. */
struct cc_block *cc_commit(struct cc *cc, const struct cc_key *key, u32 code_len, u32 guest_len, u32 n_insns,
                           const struct cc_exit *exits, u32 n_exits, const void *side, u32 side_bytes);

/* Exit ids: the first exit of the block about to be committed has this id, then consecutive. Ids are never 0. */
u32 cc_next_exit_id(const struct cc *cc);
/* NULL for unknown, dead or flushed ids (ids are not reused before 2^32 exits; a flush forgets all). */
struct cc_exit *cc_exit_by_id(struct cc *cc, u32 id);

struct cc_block *cc_lookup(struct cc *cc, const struct cc_key *key);

/* Moving (move.c). The same guest code may be wanted at another linear address: cc_sibling() gives the block whose key differs from *key
 * in eip alone, the first or the one after `after`; NULL: no more. cc_move() takes all blocks of like's page that stand at the same
 * distance from it (eip minus gpa, CS base) to eip + delta, a multiple of the page size: those for which patch() has changed the code and
 * says true, and whose new key is not taken. Links within what moves stay; others are undone, or parked until their ends match
 * again. moved() runs for each when its links are right. Returns how many moved. The caller must have nothing that leads to any of
 * them from outside by their old address: no jump-cache entry, no return-stack record, no CPU inside. */
struct cc_mover {
    bool (*patch)(void *opaque, struct cc_block *b, u32 delta);
    void (*moved)(void *opaque, const struct cc_block *b);
    void *opaque;
};
struct cc_block *cc_sibling(struct cc *cc, const struct cc_key *key, const struct cc_block *after);
u32 cc_move(struct cc *cc, const struct cc_block *like, u32 delta, const struct cc_mover *m);

/* Linking. */
void cc_link(struct cc *cc, struct cc_exit *x, struct cc_block *to, u8 cross);
/* Guarded links for which holds() says that the guard would let them pass become direct; cc_demote() gives them their guard back. What was
 * asked once and refused is asked again after the next cc_demote(). cc_promote() returns how many are direct; cc_demote() is
 * signal-safe. One call asks for CC_PROMOTE_MAX links at most: many belong to programs that do not run. */
#define CC_PROMOTE_MAX 4096u
u32 cc_promote(struct cc *cc, bool (*holds)(void *opaque, const struct cc_exit *x), void *opaque);
void cc_demote(struct cc *cc);
void cc_soften(struct cc *cc, struct cc_exit *x); /* the exit will not be linked: use the in-cache lookup */
/* By the guard stub, which goes on to the block while what it compares equals value; nothing when the exit has none. */
void cc_link_guarded(struct cc *cc, struct cc_exit *x, struct cc_block *to, u32 value);
void cc_unlink_into(struct cc *cc,
                    struct cc_page *page); /* CC_GLOBAL links into the page's blocks: back to hard */

/* Pages. */
struct cc_page *cc_page(struct cc *cc, u32 gpa); /* NULL: no code was ever here */
/* Kill blocks of the page that overlap guest-physical bytes [gpa, gpa + len) (page-wide: len = 4096). Returns how many. */
u32 cc_invalidate(struct cc *cc, u32 gpa, u32 len);

/* The block whose hot part holds host address pc (rx view), dead ones included; NULL when none, as for stubs: side tables are
 * of hot parts, and in a stub a CPU is between blocks. Signal-safe. */
struct cc_block *cc_find(const struct cc *cc, u64 pc);

/* Forget every block, link and exit id; code memory starts anew after the fixed part. The caller must have no pointers
 * into it (return stacks, jump caches). */
void cc_flush(struct cc *cc);

/* killed(opaque, block) runs for each block that dies by invalidation (not by cc_flush()): the owner drops what points to it. */
void cc_on_kill(struct cc *cc, void (*killed)(void *opaque, const struct cc_block *b), void *opaque);

/* Metadata memory that lives until cc_flush(); NULL when out of memory. */
void *cc_meta(struct cc *cc, u32 bytes);

const struct cc_stats *cc_stats(const struct cc *cc);

#endif
