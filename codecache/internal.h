/*
 * internal.h - what the code cache's files share.
 *
 * memory.c owns the two mappings and the metadata arena, commit.c makes blocks and forgets them, block.c finds
 * them, link.c has the jumps between blocks and what happens to them when guest code changes, move.c takes blocks
 * to where the same code is found next.
 */
#ifndef NOVT_CODECACHE_INTERNAL_H
#define NOVT_CODECACHE_INTERNAL_H

#include "codecache/codecache.h"

#define CC_ALIGN 16u

/* One piece of the metadata arena; the payload follows. */
struct cc_chunk {
    struct cc_chunk *next;
    size_t used, size;
    u64 pad;
};

struct cc {
    u8 *rw, *rx;
    u32 size;                              /* bytes of code memory */
    u32 fixed_end;                         /* gates and stubs end here */
    u32 used;                              /* bump pointer */
    u32 cold_start, cold_used;             /* [cold_start, size) holds stubs */
    u32 reserved;                          /* size of the open transaction, 0: none */
    u32 cold_reserved, cold_pending;       /* in it: room for stubs, and what was used of it */
    struct cc_chunk *chunks, *page_chunks; /* the latter are not released by cc_flush() */

    struct cc_block **hash; /* power of two buckets */
    u32 hash_mask;
    struct cc_block **blocks; /* in order of code_off, for cc_find() */
    u32 n_blocks, cap_blocks;
    struct cc_exit **exits; /* exits[id - exit_base] */
    u32 exit_base, n_exits, cap_exits;

    struct cc_page **pages;
    u32 page_mask, n_pages;
    struct cc_exit *
        *guarded; /* guarded links in the order made; the first n_asked were asked by cc_promote() */
    u32 n_guarded, cap_guarded, n_asked, n_direct;
    struct cc_stats stats;
    void (*killed)(void *opaque, const struct cc_block *b);
    void *killed_opaque;
};

/* memory.c */
void *cc_arena_alloc(struct cc_chunk **list, size_t bytes);
void cc_arena_free(struct cc_chunk **list);
void cc_use(struct cc *cc, u32 bytes); /* advances the bump pointer */
void cc_count_used(struct cc *cc);     /* stats.used_bytes */

/* link.c */
void cc_patch(struct cc *cc, const struct cc_exit *x, u32 target_off);
void cc_unlink_exit(struct cc *cc, struct cc_exit *x, u8 state); /* off its target's list, to the stub of that state */
struct cc_block **cc_next_in_page(struct cc_block *b, u32 page_gpa); /* the block after b in the list of the page */

/* block.c */
void cc_hash_insert(struct cc *cc, struct cc_block *b);
void cc_hash_remove(struct cc *cc, struct cc_block *b);
struct cc_block *cc_bucket(const struct cc *cc, const struct cc_key *key); /* first of the chain that holds the key at any eip */
struct cc_page *cc_page_make(struct cc *cc, u32 gpa);

/* The page of the block's second piece, or CC_NO_PAGE when it has none of its own. */
static inline u32 cc_second_page(const struct cc_key *key)
{
    return key->gpa2 == (key->gpa & ~PAGE_MASK) ? CC_NO_PAGE : key->gpa2;
}

#endif
