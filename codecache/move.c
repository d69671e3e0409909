/*
 * move.c - the same guest code at another linear address: its blocks go there.
 *
 * A library's pages stand at other addresses in each program, but are the same physical pages. What of a block depends on
 * its address is a few fields, which its owner knows; the rest, links between the blocks of the library included, is as
 * true at one address as at another. So when nobody runs the code at the old address any more, its blocks are given the new one
 * instead of being made again: page by page, as the pages are first reached.
 *
 * A link is right while its exit's target is the eip of the block that it leads to. Between pages, one of which moves before the
 * other, a guarded link is parked for that time: its jump leads to the hard stub.
 */
#include "codecache/internal.h"

#include <string.h>

static bool same_but_eip(const struct cc_key *a, const struct cc_key *b)
{
    return a->gpa == b->gpa && a->gpa2 == b->gpa2 && a->cs_base == b->cs_base && a->cs_limit == b->cs_limit &&
           a->mode == b->mode && a->eip != b->eip;
}

struct cc_block *cc_sibling(struct cc *cc, const struct cc_key *key, const struct cc_block *after)
{
    struct cc_block *b = after ? after->hash_next : cc_bucket(cc, key);

    while (b && !same_but_eip(&b->key, key))
        b = b->hash_next;
    return b;
}

/* Does the key say so: is it in the page itself, where `like` is? */
static bool stands_with(const struct cc_key *key, const struct cc_key *like)
{
    return !((key->gpa ^ like->gpa) & ~PAGE_MASK) && key->eip - key->gpa == like->eip - like->gpa &&
           key->cs_base == like->cs_base;
}

static bool taken(struct cc *cc, const struct cc_block *b, u32 delta)
{
    struct cc_key key = b->key;
    const struct cc_block *at = cc_bucket(cc, &key);

    key.eip += delta;
    while (at && memcmp(&at->key, &key, sizeof(key)) != 0)
        at = at->hash_next;
    return at != NULL;
}

/* What the next steps touch of a block, mostly long out of the host's caches: all blocks' lines are fetched at a time. */
static void fetch_ahead(const struct cc *cc, const struct cc_block *b)
{
    __builtin_prefetch(b->places);
    for (u32 i = 0; i < b->n_exits; i++)
        __builtin_prefetch(&b->exits[i], 1);
    for (u32 at = 0; at < b->code_len; at += 64)
        __builtin_prefetch(cc->rw + b->code_off + at, 1);
    for (u32 at = 0; at < b->cold_len; at += 64)
        __builtin_prefetch(cc->rw + b->cold_off + at, 1);
}

/* Are there blocks of the page already where others are to come? As a rule there are none, and no key needs to be looked for. */
static bool any_taken(const struct cc *cc, struct cc_block *all, u32 page_gpa, const struct cc_key *from, u32 delta)
{
    struct cc_key to = *from;
    bool any = false;

    to.eip += delta;
    for (struct cc_block *b = all; b; b = *cc_next_in_page(b, page_gpa)) {
        any |= stands_with(&b->key, &to);
        if (stands_with(&b->key, from))
            fetch_ahead(cc, b);
    }
    return any;
}

/* x is linked. */
static void fit_link(struct cc *cc, struct cc_exit *x)
{
    bool fits = x->target == x->to->key.eip;

    if (x->cross != CC_GUARDED) {
        if (!fits)
            cc_unlink_exit(cc, x, CC_HARD);
    } else if (fits == x->parked) {
        x->parked = !fits;
        cc_patch(cc, x, fits ? x->guard_off : x->hard_off);
    }
}

static void fit_links(struct cc *cc, struct cc_block *b)
{
    for (struct cc_exit *x = b->in, *next; x; x = next) {
        next = x->in_next;
        fit_link(cc, x);
    }
    for (u32 i = 0; i < b->n_exits; i++)
        if (b->exits[i].state == CC_LINKED)
            fit_link(cc, &b->exits[i]);
}

u32 cc_move(struct cc *cc, const struct cc_block *like, u32 delta, const struct cc_mover *m)
{
    const struct cc_key from = like->key;
    u32 page_gpa = from.gpa & ~PAGE_MASK, n = 0;
    struct cc_block *all = cc_page(cc, page_gpa)->blocks;
    bool any = any_taken(cc, all, page_gpa, &from, delta);

    ASSERT(!cc->reserved && !(delta & PAGE_MASK));
    if (cc->n_direct) /* they were asked for at the old address */
        cc_demote(cc);
    for (struct cc_block *b = all; b; b = *cc_next_in_page(b, page_gpa)) {
        if (!stands_with(&b->key, &from) || (any && taken(cc, b, delta)) || !m->patch(m->opaque, b, delta))
            continue;
        b->key.eip += delta; /* is no part of the hash */
        for (u32 i = 0; i < b->n_exits; i++)
            b->exits[i].target += delta;
        b->moving = 1;
        n++;
    }
    for (struct cc_block *b = all; b; b = *cc_next_in_page(b, page_gpa)) {
        if (!b->moving)
            continue;
        b->moving = 0;
        fit_links(cc, b);
        if (m->moved)
            m->moved(m->opaque, b);
    }
    return n;
}
