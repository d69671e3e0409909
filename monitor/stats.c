/*
 * stats.c - counters of a machine, as text for people and as one JSON object for programs.
 *
 * Both come from one flat list of name and value, so neither can have what the other lacks. Names are
 * dotted by part: exits.*, bt.*, refused.*, cache.*, mmu.*, vm.*.
 */
#include "monitor/machine.h"
#include "monitor/sandbox.h"

#include <stdio.h>
#include <string.h>

static const char *const exit_names[BT_EXIT_COUNT] = {
    [BT_EXIT_LOOKUP] = "lookup", [BT_EXIT_EXCEPTION] = "exception",
    [BT_EXIT_STEP] = "step",     [BT_EXIT_ASYNC] = "async",
    [BT_EXIT_HLT] = "hlt",       [BT_EXIT_STOP] = "stop",
};

struct sink {
    char *buf;
    size_t bytes, at; /* at may run beyond bytes: the length needed */
    bool json;
    bool any;
};

static void emit(struct sink *s, const char *text)
{
    size_t n = strlen(text);

    if (s->at < s->bytes) {
        size_t room = s->bytes - s->at - 1;

        memcpy(s->buf + s->at, text, n < room ? n : room);
        s->buf[s->at + (n < room ? n : room)] = 0;
    }
    s->at += n;
}

static void item(struct sink *s, const char *part, const char *name, u64 value)
{
    char line[160];

    if (s->json)
        snprintf(line, sizeof(line), "%s\"%s.%s\":%llu", s->any ? "," : "", part, name,
                 (unsigned long long)value);
    else
        snprintf(line, sizeof(line), "%s.%-24s %14llu\n", part, name, (unsigned long long)value);
    emit(s, line);
    s->any = true;
}

static void translator(struct sink *s, const struct bt_stats *b)
{
    for (unsigned i = 0; i < BT_EXIT_COUNT; i++)
        item(s, "exits", exit_names[i] ? exit_names[i] : "?", b->exits[i]);
    item(s, "bt", "blocks", b->blocks);
    item(s, "bt", "instructions", b->insns);
    item(s, "bt", "host_bytes", b->host_bytes);
    item(s, "bt", "translations", b->translate_calls);
    item(s, "bt", "cycles", b->translate_cycles);
    item(s, "bt", "cycles_per_insn", b->insns ? b->translate_cycles / b->insns : 0);
    item(s, "bt", "moved_pages", b->moved_pages);
    item(s, "bt", "moved_blocks", b->moved_blocks);
    item(s, "bt", "signals", b->signals);
    item(s, "bt", "fills", b->fills);
    item(s, "bt", "fallback_steps", b->fallback_steps);
    item(s, "bt", "async_steps", b->async_steps);
    for (unsigned i = 1; i < BT_REFUSE_COUNT; i++)
        item(s, "refused", bt_refusal_name(i), b->refusals[i]);
}

static void cache(struct sink *s, const struct cc_stats *c)
{
    item(s, "cache", "blocks", c->blocks);
    item(s, "cache", "blocks_made", c->blocks_made);
    item(s, "cache", "blocks_invalidated", c->blocks_invalidated);
    item(s, "cache", "links", c->links);
    item(s, "cache", "unlinks", c->unlinks);
    item(s, "cache", "lookups", c->lookups);
    item(s, "cache", "lookup_hits", c->lookup_hits);
    item(s, "cache", "flushes", c->flushes);
    item(s, "cache", "code_bytes", c->code_bytes);
    item(s, "cache", "used_bytes", c->used_bytes);
    item(s, "cache", "size_bytes", c->size_bytes);
}

static void shadow(struct sink *s, const struct mmu_stats *m)
{
    item(s, "mmu", "fills", m->fills);
    item(s, "mmu", "fill_pages", m->fill_pages);
    item(s, "mmu", "guest_faults", m->guest_faults);
    item(s, "mmu", "watch_hits", m->watch_hits);
    item(s, "mmu", "walks", m->walks);
    item(s, "mmu", "flushes", m->flushes);
    item(s, "mmu", "flush_unmaps", m->flush_unmaps);
    item(s, "mmu", "invlpgs", m->invlpgs);
    item(s, "mmu", "windows", m->windows);
    item(s, "mmu", "windows_made", m->windows_made);
    item(s, "mmu", "windows_evicted", m->windows_evicted);
    item(s, "mmu", "mappings", m->mappings);
    item(s, "mmu", "mappings_evicted", m->mappings_evicted);
}

static void direct(struct sink *s, const struct sandbox *x)
{
    if (!x)
        return;
    for (unsigned i = 0; i < PICK_COUNT; i++)
        item(s, "pick", pick_name(i), x->stats.picks[i]);
    item(s, "direct", "entries", x->stats.entries);
    for (unsigned i = 0; i < DX_EXIT_COUNT; i++)
        item(s, "direct", sandbox_exit_name(i), x->stats.exits[i]);
    item(s, "direct", "fills", x->stats.fills);
    item(s, "direct", "wipes", x->stats.wipes);
    item(s, "direct", "escapes", x->stats.escapes);
    item(s, "direct", "overhead_cycles", x->overhead);
    item(s, "scan", "clean", x->stats.pages_clean);
    for (unsigned i = 1; i < SCAN_REASON_COUNT; i++)
        item(s, "scan", scan_reason_name(i), x->stats.pages_bad[i]);
    item(s, "scan", "rescans", x->stats.rescans);
}

size_t novt_vm_stats(const struct novt_vm *vm, bool json, char *buf, size_t bytes)
{
    struct sink s = {buf, bytes, 0, json, false};
    const struct machine *m = (const struct machine *)vm;

    if (bytes)
        buf[0] = 0;
    if (json)
        emit(&s, "{");
    translator(&s, bt_stats(vm->bt));
    cache(&s, cc_stats(vm->cc));
    shadow(&s, mmu_stats(vm->mmu));
    direct(&s, vm->sandbox);
    item(&s, "vm", "slow_steps", vm->slow_steps);
    item(&s, "vm", "selfcheck_pages_made", vm->selfcheck_pages_made);
    item(&s, "vm", "selfcheck_pages_ended", vm->selfcheck_pages_ended);
    item(&s, "vm", "resets", m->resets);
    item(&s, "vm", "virtual_ns", clk_now(pc_clk(vm->pc)));
    if (json)
        emit(&s, "}\n");
    return s.at;
}
