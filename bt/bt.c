/*
 * bt.c - the translator's instance: making it, entering translated code, jump caches.
 */
#include "bt/bt.h"

#include <immintrin.h>
#include <stdlib.h>
#include <string.h>

#include "bt/internal.h"

int bt_new(struct bt **out, struct cpu *cpu, struct cc *cc, const struct bt_hooks *hooks,
           const struct bt_options *opt)
{
    struct bt *bt = calloc(1, sizeof(*bt));
    if (!bt)
        return -ENOMEM;
    bt->cpu = cpu;
    bt->cc = cc;
    bt->hooks = *hooks;
    if (opt)
        bt->opt = *opt;
    bt->rx_lo = (u64)cc_rx(cc);
    bt->rx_hi = bt->rx_lo + cc_stats(cc)->size_bytes;
    static const u8 ret_pop[4] = {16, 0, 0, 16};
    memcpy(cpu->ret_pop, ret_pop, sizeof(ret_pop));
    cpu->bt = bt;
    int rc = gate_emit(bt);
    if (rc) {
        free(bt);
        return rc;
    }
    *out = bt;
    return 0;
}

void bt_free(struct bt *bt)
{
    free(bt);
}

enum bt_exit_kind bt_enter_at(struct bt *bt, u64 host_pc)
{
    bt->ret_dropped = false;
    enum bt_exit_kind kind = (enum bt_exit_kind)gate_enter(bt, host_pc);
    bt->stats.exits[kind < BT_EXIT_COUNT ? kind : 0]++;
    return kind;
}

enum bt_exit_kind bt_enter(struct bt *bt, struct cc_block *b)
{
    return bt_enter_at(bt, bt->rx_lo + b->code_off);
}

void bt_set_window(struct bt *bt, u8 *base, u8 *jcache, u32 *code_map, u8 *ret_lo, u8 *ret_top, u64 ret_sp)
{
    struct cpu *cpu = bt->cpu;
    ASSERT(((u64)base & 0xffffffffu) == 0);
    cpu->window = base;
    cpu->jcache = jcache;
    cpu->code_map = code_map;
    cpu->ret_sp = ret_sp;
    bt->ret_lo = ret_lo;
    bt->ret_top = ret_top;
    _writegsbase_u64((u64)base);
}

/* A set of two entries, the newer one first, each minus the tag and a host address. The hash (gate.c computes the same) mixes the page into
 * the offset: functions begin at multiples of 16, and those of many pages are called in turn. */
static u64 *jcache_set(u8 *jcache, u32 eip)
{
    u32 hash = eip + (eip >> BT_JCACHE_ROTATE | eip << (32 - BT_JCACHE_ROTATE));

    return (u64 *)(void *)(jcache + (hash & (BT_JCACHE_ENTRIES / BT_JCACHE_WAYS - 1)) * 16u * BT_JCACHE_WAYS);
}

void bt_jcache_put(struct bt *bt, u8 *jcache, u64 ctx_tag, u32 eip, const struct cc_block *b)
{
    u64 *set = jcache_set(jcache, eip), key = -(ctx_tag | eip);

    if (set[0] != key)
        memcpy(set + 2, set, 16);
    set[0] = key;
    set[1] = bt->rx_lo + b->code_off;
}

u64 bt_jcache_get(u8 *jcache, u64 ctx_tag, u32 eip)
{
    const u64 *set = jcache_set(jcache, eip);
    u64 key = -(ctx_tag | eip);

    return set[0] == key ? set[1] : set[2] == key ? set[3] : 0;
}

void bt_jcache_drop_block(const struct bt *bt, u8 *jcache, const struct cc_block *b)
{
    u64 *set = jcache_set(jcache, b->key.eip);

    for (unsigned at = 0; at < 2 * BT_JCACHE_WAYS; at += 2)
        if (set[at + 1] == bt->rx_lo + b->code_off)
            set[at] = 0;
}

void bt_retstack_drop(struct bt *bt, u64 ret_sp)
{
    bt->cpu->ret_sp = ret_sp;
    bt->ret_dropped = true;
}

const struct bt_stats *bt_stats(const struct bt *bt)
{
    return &bt->stats;
}
