/*
 * commit.c - a translation becomes a block; and forgetting all blocks.
 *
 * cc_commit() closes the transaction that cc_reserve() opened: the code is already in place, what is added is
 * the record of it. Every allocation comes before the first change that shows, so an
 * out-of-memory leaves the cache as it was.
 */
#include "codecache/internal.h"

#include <stdlib.h>
#include <string.h>

/* Room for n more elements of 8 bytes; false: out of memory. */
static bool grow(void **array, u32 *cap, u32 used, u32 n)
{
    u64 want = *cap ? *cap : 1024;
    void *p;

    if (n <= *cap - used)
        return true;
    while (want - used < n)
        want *= 2;
    if (want > UINT32_MAX)
        return false;
    p = realloc(*array, want * sizeof(void *));
    if (!p)
        return false;
    *array = p;
    *cap = (u32)want;
    return true;
}

/* Fills b->exits and the id table. */
static bool make_exits(struct cc *cc, struct cc_block *b, const struct cc_exit *exits, u32 n)
{
    b->n_exits = (u16)n;
    b->exits = NULL;
    if (!n)
        return true;
    b->exits = cc_meta(cc, n * (u32)sizeof(*exits));
    if (!b->exits)
        return false;
    for (u32 i = 0; i < n; i++) {
        struct cc_exit *x = &b->exits[i];

        *x = (struct cc_exit){.patch_off = exits[i].patch_off,
                              .hard_off = exits[i].hard_off,
                              .soft_off = exits[i].soft_off,
                              .guard_off = exits[i].guard_off,
                              .guard_imm = exits[i].guard_imm,
                              .guard_rel = exits[i].guard_rel,
                              .target = exits[i].target,
                              .from = b,
                              .state = exits[i].state};
        ASSERT(x->patch_off <= cc->size - 4 && x->hard_off < cc->size && x->soft_off < cc->size);
        ASSERT(!x->guard_off ||
               (x->guard_off < cc->size && x->guard_imm <= cc->size - 4 && x->guard_rel <= cc->size - 4));
        if (x->state == CC_HARD)
            cc_patch(cc, x, x->hard_off);
    }
    return true;
}

struct cc_block *cc_commit(struct cc *cc, const struct cc_key *key, u32 code_len, u32 guest_len, u32 n_insns,
                           const struct cc_exit *exits, u32 n_exits, const void *side, u32 side_bytes)
{
    u32 second = cc_second_page(key);
    struct cc_page *page = cc_page_make(cc, key->gpa & ~PAGE_MASK);
    struct cc_page *page2 = second == CC_NO_PAGE ? NULL : cc_page_make(cc, second);
    struct cc_block *b = cc_meta(cc, sizeof(*b));

    ASSERT(cc->reserved && code_len > 0 && code_len <= cc->reserved && n_exits <= UINT16_MAX);
    cc->reserved = 0;
    if (!b || !page || (second != CC_NO_PAGE && !page2) ||
        !grow((void **)&cc->blocks, &cc->cap_blocks, cc->n_blocks, 1) ||
        !grow((void **)&cc->exits, &cc->cap_exits, cc->n_exits, n_exits))
        return NULL;
    memset(b, 0, sizeof(*b));
    b->key = *key;
    b->code_off = cc->used;
    b->code_len = code_len;
    b->cold_off = cc->cold_used;
    b->cold_len = cc->cold_pending;
    b->guest_len = guest_len;
    b->n_insns = n_insns;
    if (side_bytes) {
        void *copy = cc_meta(cc, side_bytes);

        if (!copy)
            return NULL;
        memcpy(copy, side, side_bytes);
        b->side = copy;
        b->side_bytes = side_bytes;
    }
    if (!make_exits(cc, b, exits, n_exits))
        return NULL;

    /* Nothing can fail from here on. */
    for (u32 i = 0; i < n_exits; i++)
        cc->exits[cc->n_exits++] = &b->exits[i];
    cc->blocks[cc->n_blocks++] = b;
    b->page_next[0] = page->blocks;
    page->blocks = b;
    if (page2) {
        b->page_next[1] = page2->blocks;
        page2->blocks = b;
    }
    cc_hash_insert(cc, b);
    cc->cold_used = (u32)align_up(cc->cold_used + cc->cold_pending, CC_ALIGN);
    cc_use(cc, code_len);
    cc->stats.blocks_made++;
    cc->stats.code_bytes += code_len;
    cc->stats.blocks++;
    return b;
}

void cc_flush(struct cc *cc)
{
    ASSERT(!cc->reserved);
    cc_arena_free(&cc->chunks);
    memset(cc->hash, 0, (cc->hash_mask + 1ul) * sizeof(cc->hash[0]));
    for (u32 i = 0; i <= cc->page_mask; i++)
        for (struct cc_page *p = cc->pages[i]; p; p = p->hash_next) {
            p->blocks = NULL;
            p->global_in = 0;
        }
    /* An exit takes 4 bytes of code memory at least, so one fill of the cache uses fewer than 2^28 ids and
     * starting over above 3 * 2^30 keeps them from ever wrapping to 0. */
    cc->exit_base += cc->n_exits;
    if (cc->exit_base > 3u << 30)
        cc->exit_base = 1;
    cc->n_exits = 0;
    cc->n_guarded = cc->n_asked = cc->n_direct = 0;
    cc->n_blocks = 0;
    cc->used = cc->fixed_end;
    cc->cold_used = cc->cold_start;
    cc_count_used(cc);
    cc->stats.blocks = 0;
    cc->stats.flushes++;
}

const struct cc_stats *cc_stats(const struct cc *cc)
{
    return &cc->stats;
}
