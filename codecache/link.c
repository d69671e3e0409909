/*
 * link.c - jumps between blocks, and taking blocks out of use.
 *
 * An exit is one jmp or jcc rel32. It points to its hard stub (leaves and asks for a link), to the target
 * block, or to its soft stub (in-cache lookup). Patching is a plain 4-byte store through the writable view: the
 * only thread that runs this code is the one that patches, so cross-modification rules do not apply.
 * Each block lists the exits linked to it, so that killing it can undo them.
 */
#include "codecache/internal.h"

#include <stdlib.h>
#include <string.h>

void cc_patch(struct cc *cc, const struct cc_exit *x, u32 target_off)
{
    u32 rel = target_off - (x->patch_off + 4);

    memcpy(cc->rw + x->patch_off, &rel, sizeof(rel));
}

/* CC_GLOBAL links into a page are counted, so that a page without any costs nothing to unlink: the pages of every program
 * that ends. */
static void count_global(struct cc *cc, const struct cc_block *to, u32 by)
{
    u32 second = cc_second_page(&to->key);

    cc_page(cc, to->key.gpa)->global_in += by;
    if (second != CC_NO_PAGE)
        cc_page(cc, second)->global_in += by;
}

/* Takes x off its target's list and points it to the stub of the given state. */
void cc_unlink_exit(struct cc *cc, struct cc_exit *x, u8 state)
{
    if (x->state == CC_LINKED) {
        *x->in_pprev = x->in_next;
        if (x->in_next)
            x->in_next->in_pprev = x->in_pprev;
        if (x->cross == CC_GLOBAL)
            count_global(cc, x->to, -1u);
        x->to = NULL;
        x->in_next = NULL;
        x->in_pprev = NULL;
        x->cross = 0;
        x->parked = 0;
        cc->stats.unlinks++;
    }
    if (x->state == CC_INLINE) {
        if (state != CC_SOFT)
            return;
        cc->rw[x->patch_off - 1] = 0xe9; /* the NOP becomes jmp rel32 */
    }
    if (x->state != state) {
        cc_patch(cc, x, state == CC_SOFT ? x->soft_off : x->hard_off);
        x->state = state;
    }
}

static bool link_exit(struct cc *cc, struct cc_exit *x, struct cc_block *to, u8 cross)
{
    if (x->from->dead || to->dead || x->state == CC_INLINE)
        return false;
    cc_unlink_exit(cc, x, CC_HARD);
    x->in_next = to->in;
    x->in_pprev = &to->in;
    if (to->in)
        to->in->in_pprev = &x->in_next;
    to->in = x;
    x->to = to;
    x->cross = cross;
    x->state = CC_LINKED;
    if (cross == CC_GLOBAL)
        count_global(cc, to, 1);
    cc->stats.links++;
    return true;
}

void cc_link(struct cc *cc, struct cc_exit *x, struct cc_block *to, u8 cross)
{
    if (link_exit(cc, x, to, cross))
        cc_patch(cc, x, to->code_off);
}

/* Promotion: the list holds every exit that was linked guarded since the last flush; entries whose link has gone are skipped. */
static void list_guarded(struct cc *cc, struct cc_exit *x)
{
    if (x->listed)
        return;
    if (cc->n_guarded == cc->cap_guarded) {
        u32 cap = cc->cap_guarded ? cc->cap_guarded * 2 : 1024;
        struct cc_exit **p = realloc(cc->guarded, cap * sizeof(struct cc_exit *));

        if (!p)
            return; /* this one keeps its guard */
        cc->guarded = p;
        cc->cap_guarded = cap;
    }
    cc->guarded[cc->n_guarded++] = x;
    x->listed = 1;
}

void cc_link_guarded(struct cc *cc, struct cc_exit *x, struct cc_block *to, u32 value)
{
    u32 rel = to->code_off - (x->guard_rel + 4), minus = 0 - value;

    if (!x->guard_off || !link_exit(cc, x, to, CC_GUARDED))
        return;
    memcpy(cc->rw + x->guard_imm, &minus, sizeof(minus));
    memcpy(cc->rw + x->guard_rel, &rel, sizeof(rel));
    cc_patch(cc, x, x->guard_off);
    list_guarded(cc, x);
}

u32 cc_promote(struct cc *cc, bool (*holds)(void *opaque, const struct cc_exit *x), void *opaque)
{
    u32 end = cc->n_guarded - cc->n_asked > CC_PROMOTE_MAX ? cc->n_asked + CC_PROMOTE_MAX : cc->n_guarded;

    for (; cc->n_asked < end; cc->n_asked++) {
        struct cc_exit *x = cc->guarded[cc->n_asked];

        if (x->state != CC_LINKED || x->cross != CC_GUARDED || x->parked || !holds(opaque, x))
            continue;
        cc_patch(cc, x, x->to->code_off);
        cc->n_direct++;
    }
    return cc->n_direct;
}

void cc_demote(struct cc *cc)
{
    for (u32 i = 0; cc->n_direct && i < cc->n_asked; i++) {
        struct cc_exit *x = cc->guarded[i];

        if (x->state == CC_LINKED && x->cross == CC_GUARDED && !x->parked)
            cc_patch(cc, x, x->guard_off);
    }
    cc->n_asked = cc->n_direct = 0;
}

void cc_soften(struct cc *cc, struct cc_exit *x)
{
    cc_unlink_exit(cc, x, CC_SOFT);
}

/* The block after b in the list of the page. */
struct cc_block **cc_next_in_page(struct cc_block *b, u32 page_gpa)
{
    return &b->page_next[(b->key.gpa & ~PAGE_MASK) != page_gpa];
}

void cc_unlink_into(struct cc *cc, struct cc_page *page)
{
    for (struct cc_block *b = page->blocks; b && page->global_in; b = *cc_next_in_page(b, page->gpa)) {
        for (struct cc_exit *x = b->in, *next; x; x = next) {
            next = x->in_next;
            if (x->cross == CC_GLOBAL)
                cc_unlink_exit(cc, x, CC_HARD);
        }
    }
}

static void page_remove(struct cc_page *page, struct cc_block *b)
{
    struct cc_block **pp = &page->blocks;

    while (*pp && *pp != b)
        pp = cc_next_in_page(*pp, page->gpa);
    ASSERT(*pp == b);
    *pp = *cc_next_in_page(b, page->gpa);
}

static void kill_block(struct cc *cc, struct cc_block *b)
{
    u32 second = cc_second_page(&b->key);

    /* Incoming first: a loop onto itself then ends up soft, as every exit of a dead block must. */
    while (b->in)
        cc_unlink_exit(cc, b->in, CC_HARD);
    for (u32 i = 0; i < b->n_exits; i++)
        cc_unlink_exit(cc, &b->exits[i], CC_SOFT);
    cc_hash_remove(cc, b);
    page_remove(cc_page(cc, b->key.gpa), b);
    if (second != CC_NO_PAGE)
        page_remove(cc_page(cc, second), b);
    b->dead = 1;
    cc->stats.blocks--;
    cc->stats.blocks_invalidated++;
    if (cc->killed)
        cc->killed(cc->killed_opaque, b);
}

void cc_on_kill(struct cc *cc, void (*killed)(void *opaque, const struct cc_block *b), void *opaque)
{
    cc->killed = killed;
    cc->killed_opaque = opaque;
}

/* Do the block's guest bytes meet [from, to)? */
static bool overlaps(const struct cc_block *b, u64 from, u64 to)
{
    u32 len = b->guest_len ? b->guest_len : 1;
    u32 room = PAGE_BYTES - (b->key.gpa & PAGE_MASK);
    u64 start = b->key.gpa;

    if (start < to && start + min_u64(len, room) > from)
        return true;
    if (b->key.gpa2 == CC_NO_PAGE || len <= room)
        return false;
    start = b->key.gpa2;
    return start < to && start + (len - room) > from;
}

static u32 invalidate_page(struct cc *cc, struct cc_page *page, u64 from, u64 to)
{
    u32 killed = 0;

    page->invalidations++;
    for (struct cc_block *b = page->blocks, *next; b; b = next) {
        next = *cc_next_in_page(b, page->gpa);
        if (overlaps(b, from, to)) {
            kill_block(cc, b);
            killed++;
        }
    }
    return killed;
}

u32 cc_invalidate(struct cc *cc, u32 gpa, u32 len)
{
    u64 to = (u64)gpa + len;
    u32 killed = 0;

    if (!len)
        return 0;
    to = min_u64(to, 1ull << 32);
    for (u64 at = gpa & ~PAGE_MASK; at < to; at += PAGE_BYTES) {
        struct cc_page *page = cc_page(cc, (u32)at);

        if (page)
            killed += invalidate_page(cc, page, gpa, to);
    }
    return killed;
}
