/*
 * block.c - finding blocks: by key, by host address, by exit id, by guest-physical page.
 *
 * The hash over keys less eip, so that blocks of the same code at several addresses are in one chain, grows with the
 * number of blocks; a lookup is one multiply-mix and, nearly always, one or two comparisons of 24 bytes. Page
 * records are kept for good: their counters and flags are what the monitor has learnt about a page, and there are
 * at most 2^20 of them.
 */
#include "codecache/internal.h"

#include <stdlib.h>
#include <string.h>

static u32 hash_key(const struct cc_key *key)
{
    u64 h;

    _Static_assert(sizeof(*key) == 24, "the key is compared as bytes");
    h = ((u64)key->gpa2 << 32 | key->gpa) * 0x9e3779b97f4a7c15ull;
    h = (h ^ (h >> 29) ^ ((u64)key->cs_limit << 32 | key->cs_base)) * 0xbf58476d1ce4e5b9ull;
    h = (h ^ (h >> 32) ^ key->mode) * 0x94d049bb133111ebull;
    return (u32)(h >> 32);
}

static bool same_key(const struct cc_key *a, const struct cc_key *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

/* Twice the buckets; on failure the chains just get longer. */
static void hash_grow(struct cc *cc)
{
    u32 mask = cc->hash_mask * 2 + 1;
    struct cc_block **hash = calloc(mask + 1ul, sizeof(*hash));

    if (!hash)
        return;
    for (u32 i = 0; i <= cc->hash_mask; i++) {
        for (struct cc_block *b = cc->hash[i], *next; b; b = next) {
            struct cc_block **bucket = &hash[hash_key(&b->key) & mask];

            next = b->hash_next;
            b->hash_next = *bucket;
            *bucket = b;
        }
    }
    free(cc->hash);
    cc->hash = hash;
    cc->hash_mask = mask;
}

void cc_hash_insert(struct cc *cc, struct cc_block *b)
{
    struct cc_block **bucket;

    if (cc->stats.blocks > cc->hash_mask)
        hash_grow(cc);
    bucket = &cc->hash[hash_key(&b->key) & cc->hash_mask];
    b->hash_next = *bucket;
    *bucket = b;
}

void cc_hash_remove(struct cc *cc, struct cc_block *b)
{
    struct cc_block **pp = &cc->hash[hash_key(&b->key) & cc->hash_mask];

    while (*pp && *pp != b)
        pp = &(*pp)->hash_next;
    ASSERT(*pp == b);
    *pp = b->hash_next;
    b->hash_next = NULL;
}

struct cc_block *cc_bucket(const struct cc *cc, const struct cc_key *key)
{
    return cc->hash[hash_key(key) & cc->hash_mask];
}

struct cc_block *cc_lookup(struct cc *cc, const struct cc_key *key)
{
    struct cc_block *b = cc_bucket(cc, key);

    cc->stats.lookups++;
    while (b && !same_key(&b->key, key))
        b = b->hash_next;
    cc->stats.lookup_hits += b != NULL;
    return b;
}

struct cc_block *cc_find(const struct cc *cc, u64 pc)
{
    u64 off = pc - (u64)cc->rx;
    u32 lo = 0, hi = cc->n_blocks;

    /* The last block that starts at or before off. */
    while (lo < hi) {
        u32 mid = lo + (hi - lo) / 2;

        if (cc->blocks[mid]->code_off <= off)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo == 0 || off - cc->blocks[lo - 1]->code_off >= cc->blocks[lo - 1]->code_len)
        return NULL;
    return cc->blocks[lo - 1];
}

u32 cc_next_exit_id(const struct cc *cc)
{
    return cc->exit_base + cc->n_exits;
}

struct cc_exit *cc_exit_by_id(struct cc *cc, u32 id)
{
    u32 i = id - cc->exit_base;

    if (i >= cc->n_exits || cc->exits[i]->from->dead)
        return NULL;
    return cc->exits[i];
}

static u32 hash_page(u32 gpa)
{
    return ((gpa >> PAGE_SHIFT) * 0x9e3779b1u) >> 8;
}

struct cc_page *cc_page(struct cc *cc, u32 gpa)
{
    struct cc_page *p;

    gpa &= ~PAGE_MASK;
    p = cc->pages[hash_page(gpa) & cc->page_mask];
    while (p && p->gpa != gpa)
        p = p->hash_next;
    return p;
}

static void page_hash_grow(struct cc *cc)
{
    u32 mask = cc->page_mask * 2 + 1;
    struct cc_page **pages = calloc(mask + 1ul, sizeof(*pages));

    if (!pages)
        return;
    for (u32 i = 0; i <= cc->page_mask; i++) {
        for (struct cc_page *p = cc->pages[i], *next; p; p = next) {
            struct cc_page **bucket = &pages[hash_page(p->gpa) & mask];

            next = p->hash_next;
            p->hash_next = *bucket;
            *bucket = p;
        }
    }
    free(cc->pages);
    cc->pages = pages;
    cc->page_mask = mask;
}

struct cc_page *cc_page_make(struct cc *cc, u32 gpa)
{
    struct cc_page *p = cc_page(cc, gpa), **bucket;

    if (p)
        return p;
    p = cc_arena_alloc(&cc->page_chunks, sizeof(*p));
    if (!p)
        return NULL;
    if (cc->n_pages > cc->page_mask && cc->page_mask < (1u << 20) - 1)
        page_hash_grow(cc);
    memset(p, 0, sizeof(*p));
    p->gpa = gpa & ~PAGE_MASK;
    bucket = &cc->pages[hash_page(p->gpa) & cc->page_mask];
    p->hash_next = *bucket;
    *bucket = p;
    cc->n_pages++;
    return p;
}
