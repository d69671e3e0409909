/*
 * state.c - fields to bytes and back (state.h).
 *
 * One walk serves the trial and the load: on a copy, without a clock and without what lies behind pointers, or on the chip itself.
 * Nothing in the bytes is believed: names, kinds, sizes, counts and lengths have to be those of the table, fields may come in any
 * order but each exactly once, and bools are made 0 or 1.
 */
#include "devices/state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIELDS_MAX 128u

/* ---- bytes ---- */

void state_put(struct state_buf *b, const void *data, size_t len)
{
    if (b->len + len > b->room && !b->failed) {
        size_t room = (b->len + len) * 2;
        u8 *bigger = realloc(b->data, room);

        if (bigger) {
            b->data = bigger;
            b->room = room;
        } else {
            b->failed = true;
        }
    }
    if (b->failed || !len)
        return;
    memcpy(b->data + b->len, data, len);
    b->len += len;
}

void state_put_num(struct state_buf *b, u64 v, unsigned bytes)
{
    state_put(b, &v, bytes); /* little-endian hosts only, as all of NoVT */
}

void state_put_name(struct state_buf *b, const char *name)
{
    size_t n = strlen(name);

    ASSERT(n < 256);
    state_put_num(b, n, 1);
    state_put(b, name, n);
}

void state_free(struct state_buf *b)
{
    free(b->data);
    *b = (struct state_buf){0};
}

const u8 *state_take(struct state_in *in, size_t len)
{
    const u8 *at = in->at;

    if (in->failed || (size_t)(in->end - at) < len) {
        in->failed = true;
        return NULL;
    }
    in->at += len;
    return at;
}

u64 state_take_num(struct state_in *in, unsigned bytes)
{
    const u8 *p = state_take(in, bytes);
    u64 v = 0;

    if (p)
        memcpy(&v, p, bytes);
    return v;
}

void state_take_name(struct state_in *in, char name[256])
{
    size_t n = (size_t)state_take_num(in, 1);
    const u8 *p = state_take(in, n);

    if (p)
        memcpy(name, p, n);
    name[p ? n : 0] = 0;
}

/* ---- saving ---- */

static void save_timer(struct state_buf *b, const struct clk_timer *t)
{
    state_put_num(b, t->armed, 1);
    state_put_num(b, t->armed ? t->deadline_ns : 0, 8);
}

static void save_part(struct state_buf *b, const struct state_table *table, const u8 *obj)
{
    size_t at = b->len;
    u32 len;

    state_put_num(b, 0, 4);
    state_save(b, table, obj);
    len = (u32)(b->len - at - 4);
    if (!b->failed)
        memcpy(b->data + at, &len, 4);
}

static void save_field(struct state_buf *b, const struct state_field *f, const u8 *obj)
{
    const u8 *at = obj + f->offset;

    state_put_name(b, f->name);
    state_put_num(b, f->kind, 1);
    state_put_num(b, f->kind == STATE_KIND_UINT || f->kind == STATE_KIND_BOOL ? f->size : 0, 2);
    state_put_num(b, f->count, 4);
    switch (f->kind) {
    case STATE_KIND_MEMORY:
        memcpy((void *)&at, (const void *)at, sizeof(at));
        state_put(b, at, f->count);
        break;
    case STATE_KIND_TIMER: save_timer(b, (const struct clk_timer *)(const void *)at); break;
    case STATE_KIND_TABLE:
        for (u32 i = 0; i < f->count; i++)
            save_part(b, f->table, at + (size_t)i * f->size);
        break;
    default: state_put(b, at, (size_t)f->size * f->count);
    }
}

void state_save(struct state_buf *b, const struct state_table *table, const void *obj)
{
    state_put_num(b, table->version, 2);
    for (unsigned i = 0; i < table->fields; i++)
        save_field(b, &table->field[i], obj);
}

/* ---- loading ---- */

struct load {
    bool trial;      /* obj is a copy: nothing beyond it may change */
    struct clk *clk; /* of a load */
    char *why;
};

static int refuse(struct load *l, const char *what, const char *name)
{
    if (l->why)
        snprintf(l->why, STATE_WHY_BYTES, "%.80s: %.60s", name, what);
    return -EINVAL;
}

static u64 element(const u8 *at, unsigned size)
{
    u64 v = 0;

    memcpy(&v, at, size);
    return v;
}

static int load_numbers(struct load *l, const struct state_field *f, const u8 *from, u8 *to)
{
    if (f->max == STATE_SAME_ONLY)
        return memcmp(to, from, (size_t)f->count * f->size) ? refuse(l, "not as in this machine", f->name)
                                                            : 0;
    for (u32 i = 0; f->max && i < f->count; i++)
        if (element(from + (size_t)i * f->size, f->size) > f->max)
            return refuse(l, "value out of range", f->name);
    memcpy(to, from, (size_t)f->count * f->size);
    return 0;
}

static int load_timer(struct load *l, struct state_in *in, struct clk_timer *timer)
{
    bool armed = state_take_num(in, 1) & 1;
    u64 deadline = state_take_num(in, 8);

    if (l->trial || in->failed)
        return 0;
    clk_timer_cancel(l->clk, timer);
    if (armed)
        clk_timer_set(l->clk, timer, deadline);
    return 0;
}

static int load_table(struct load *l, const struct state_table *table, struct state_in *in, u8 *obj);

static int load_parts(struct load *l, const struct state_field *f, struct state_in *in, u8 *to)
{
    for (u32 i = 0; i < f->count; i++) {
        size_t len = (size_t)state_take_num(in, 4);
        const u8 *part = state_take(in, len);
        struct state_in one = {part, part + len, false};
        int rc =
            part ? load_table(l, f->table, &one, to + (size_t)i * f->size) : refuse(l, "cut short", f->name);

        if (rc)
            return rc;
    }
    return 0;
}

/* The rest of a field whose name was taken. */
static int load_field(struct load *l, const struct state_field *f, struct state_in *in, u8 *obj)
{
    u64 kind = state_take_num(in, 1), size = state_take_num(in, 2), count = state_take_num(in, 4);
    bool plain = f->kind == STATE_KIND_UINT || f->kind == STATE_KIND_BOOL;
    u8 *to = obj + f->offset;
    const u8 *from;

    if (kind != f->kind || count != f->count || size != (plain ? f->size : 0))
        return refuse(l, in->failed ? "cut short" : "of another kind or size", f->name);
    if (f->kind == STATE_KIND_TABLE)
        return load_parts(l, f, in, to);
    if (f->kind == STATE_KIND_TIMER)
        return load_timer(l, in, (struct clk_timer *)(void *)to);
    from = state_take(in, (size_t)f->count * f->size);
    if (!from)
        return refuse(l, "cut short", f->name);
    if (f->kind == STATE_KIND_UINT)
        return load_numbers(l, f, from, to);
    if (f->kind == STATE_KIND_BOOL) {
        for (u32 i = 0; i < f->count; i++)
            to[i] = from[i] & 1;
    } else if (!l->trial) {
        memcpy((void *)&to, (const void *)to, sizeof(to));
        memcpy(to, from, f->count);
    }
    return 0;
}

static int load_table(struct load *l, const struct state_table *table, struct state_in *in, u8 *obj)
{
    u64 seen[FIELDS_MAX / 64] = {0};
    const char *wrong;
    char name[256];

    ASSERT(table->fields <= FIELDS_MAX);
    if (state_take_num(in, 2) != table->version)
        return refuse(l, "another version", table->name);
    while (in->at < in->end && !in->failed) {
        unsigned i = 0;
        int rc;

        state_take_name(in, name);
        while (i < table->fields && strcmp(table->field[i].name, name) != 0)
            i++;
        if (i == table->fields || seen[i / 64] >> (i % 64) & 1)
            return refuse(l, "not a field that is known, or twice", name);
        seen[i / 64] |= 1ull << (i % 64);
        rc = load_field(l, &table->field[i], in, obj);
        if (rc)
            return rc;
    }
    if (in->failed)
        return refuse(l, "cut short", table->name);
    for (unsigned i = 0; i < table->fields; i++)
        if (!(seen[i / 64] >> (i % 64) & 1))
            return refuse(l, "missing", table->field[i].name);
    wrong = table->check && l->trial ? table->check(obj) : NULL;
    return wrong ? refuse(l, wrong, table->name) : 0;
}

int state_try(const struct state_unit *unit, const u8 *data, size_t len, char why[STATE_WHY_BYTES])
{
    struct state_in in = {data, data + len, false};
    struct load l = {.trial = true, .why = why};
    u8 *copy = malloc(unit->bytes);
    int rc;

    why[0] = 0;
    if (!copy)
        return -ENOMEM;
    memcpy(copy, unit->obj, unit->bytes);
    rc = load_table(&l, unit->table, &in, copy);
    free(copy);
    return rc;
}

void state_load(const struct state_unit *unit, const u8 *data, size_t len, struct clk *clk)
{
    struct state_in in = {data, data + len, false};
    struct load l = {.clk = clk};

    ASSERT(load_table(&l, unit->table, &in, unit->obj) == 0); /* state_try() said so */
}
