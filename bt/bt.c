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

/* Entry: minus the tag, host address. The hash is the EIP's low 12 bits (gate.c computes the same). */
void bt_jcache_put(struct bt *bt, u8 *jcache, u64 ctx_tag, u32 eip, const struct cc_block *b)
{
    u64 *entry = (u64 *)(void *)(jcache + (eip & (BT_JCACHE_ENTRIES - 1)) * 16u);
    entry[0] = -(ctx_tag | eip);
    entry[1] = bt->rx_lo + b->code_off;
}

u64 bt_jcache_get(const u8 *jcache, u64 ctx_tag, u32 eip)
{
    const u64 *entry = (const u64 *)(const void *)(jcache + (eip & (BT_JCACHE_ENTRIES - 1)) * 16u);
    return entry[0] == -(ctx_tag | eip) ? entry[1] : 0;
}

void bt_jcache_drop_block(const struct bt *bt, u8 *jcache, const struct cc_block *b)
{
    u64 *entry = (u64 *)(void *)(jcache + (b->key.eip & (BT_JCACHE_ENTRIES - 1)) * 16u);
    if (entry[1] == bt->rx_lo + b->code_off)
        entry[0] = 0;
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
