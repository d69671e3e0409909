/*
 * move.c - translations that survive another EIP.
 *
 * A program's libraries stand at other linear addresses in each process, in the same physical pages. bt_move() gives the blocks of such
 * a page their new address instead of translating them again: it changes the fields that the emitter has noted as depending on
 * it (guest addresses, minus return addresses in records, offsets into the code map), and the code cache sees to links and keys.
 * Nothing else in a block depends on its eip: a block of which that is not certain is not marked movable and stays.
 */
#include <string.h>

#include "bt/internal.h"
#include "bt/verify.h"

static u32 changed(u32 value, u32 kind, u32 delta)
{
    switch (kind) {
    case PLACE_EIP: return value + delta;
    case PLACE_MINUS_EIP: return value - delta;
    default: return (value / 4 + (delta >> PAGE_SHIFT)) % (1u << 20) * 4;
    }
}

static bool patch(void *opaque, struct cc_block *b, u32 delta)
{
    struct bt *bt = opaque;
    const u32 *places = b->places;
    if (!(b->flags & BLOCK_MOVABLE))
        return false;
    u8 *hot = cc_rw(bt->cc) + b->code_off, *cold = cc_rw(bt->cc) + b->cold_off;
    for (u32 i = 0; i < b->n_places; i++) {
        u8 *at = (places[i] & PLACE_COLD ? cold : hot) + (places[i] & PLACE_OFF);
        u32 value;
        memcpy(&value, at, sizeof(value));
        value = changed(value, places[i] >> PLACE_KIND_SHIFT, delta);
        memcpy(at, &value, sizeof(value));
    }
    return true;
}

static void moved(void *opaque, const struct cc_block *b)
{
    struct bt *bt = opaque;
    bt->stats.moved_blocks++;
    if (bt->opt.verify)
        verify_or_panic(bt, b);
}

struct cc_block *bt_movable(struct bt *bt, const struct cc_key *key, const struct cc_block *after)
{
    struct cc_block *b = cc_sibling(bt->cc, key, after);
    while (b && !(b->flags & BLOCK_MOVABLE))
        b = cc_sibling(bt->cc, key, b);
    return b;
}

void bt_move(struct bt *bt, const struct cc_block *b, u32 eip)
{
    const struct cc_mover m = {.patch = patch, .moved = moved, .opaque = bt};
    if (cc_move(bt->cc, b, eip - b->key.eip, &m))
        bt->stats.moved_pages++;
}
