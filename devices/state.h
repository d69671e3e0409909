/*
 * state.h - the vocabulary in which a chip says what its state is, for saving and restoring it.
 *
 * A chip has a table of its fields: names, places, sizes, and the largest value that may stand where a value is used as an index or
 * decides a loop. What is saved is the fields by name, not the struct, so a struct may grow or be reordered; what
 * is restored is checked against the table before anything changes. Callbacks, lines, clocks and back ends are wiring, not state.
 *
 *     #define S struct pit_counter
 *     static const struct state_field counter_fields[] = {STATE(S, load_ns), STATE_MAX(S, count, 65536), STATE_BOOL(S, gate)};
 *     #undef S
 *     STATE_TABLE(pit_state, counter_fields, check, restored);
 *
 * In a file a table's fields stand as: name length (1 byte), name, kind (1), element size (2), count (4), then the elements;
 * numbers little-endian. Of a table in a table each element is its length (4) and its fields. Loading is in two steps: a
 * trial on a copy of the struct, which can fail and leaves no trace, and the same on the struct, which then cannot.
 */
#ifndef NOVT_DEVICES_STATE_H
#define NOVT_DEVICES_STATE_H

#include "devices/clk.h"

enum state_kind {
    STATE_KIND_UINT = 1, /* 1, 2, 4 or 8 bytes, signed or not */
    STATE_KIND_BOOL,
    STATE_KIND_TABLE,
    STATE_KIND_TIMER,  /* struct clk_timer: whether it is armed, and its deadline */
    STATE_KIND_MEMORY, /* behind a pointer: count bytes */
};

struct state_table;

struct state_field {
    const char *name;
    u32 offset, count;
    u32 size; /* of one element */
    u8 kind;
    u64 max; /* UINT: what is larger is refused; 0: nothing is; or STATE_SAME_ONLY */
    const struct state_table *table;
};

struct state_table {
    const char *name;
    u16 version;
    const struct state_field *field;
    unsigned fields;
    /* NULL, or what is wrong with these values. obj is a copy; of its pointers only wiring may be followed, and only to compare. */
    const char *(*check)(const void *obj);
    /* All of the machine's fields are in: what follows from them (mappings, caches). */
    void (*restored)(void *obj);
};

#define STATE_SIZE(type, m) (sizeof(((type *)0)->m))
#define STATE_ROW(type, m, n, k, limit, t)                                                               \
    {                                                                                                    \
        .name = #m, .offset = offsetof(type, m), .count = (n), .size = (u32)(STATE_SIZE(type, m) / (n)), \
        .kind = (k), .max = (limit), .table = (t)                                                        \
    }
#define STATE_COUNT(type, m) (STATE_SIZE(type, m) / STATE_SIZE(type, m[0]))
#define STATE(type, m) STATE_ROW(type, m, 1, STATE_KIND_UINT, 0, NULL)
#define STATE_MAX(type, m, limit) STATE_ROW(type, m, 1, STATE_KIND_UINT, limit, NULL)
#define STATE_SAME_ONLY \
    UINT64_MAX /* as max: what was saved has to be what is there: the machine's making, not its state */
#define STATE_SAME(type, m) STATE_MAX(type, m, STATE_SAME_ONLY)
#define STATE_BOOL(type, m) STATE_ROW(type, m, 1, STATE_KIND_BOOL, 0, NULL)
#define STATE_ARRAY(type, m) STATE_ROW(type, m, STATE_COUNT(type, m), STATE_KIND_UINT, 0, NULL)
#define STATE_BYTES(type, m) \
    STATE_ROW(type, m, STATE_SIZE(type, m), STATE_KIND_UINT, 0, NULL) /* u8, any dimensions */
#define STATE_TIMER(type, m) STATE_ROW(type, m, 1, STATE_KIND_TIMER, 0, NULL)
#define STATE_PART(type, m, t) STATE_ROW(type, m, 1, STATE_KIND_TABLE, 0, t)
#define STATE_PARTS(type, m, t) STATE_ROW(type, m, STATE_COUNT(type, m), STATE_KIND_TABLE, 0, t)
#define STATE_MEMORY(type, m, bytes)                                                                    \
    {                                                                                                   \
        .name = #m, .offset = offsetof(type, m), .count = (bytes), .size = 1, .kind = STATE_KIND_MEMORY \
    }

/* A chip's table; and one that is only ever part of others. */
#define STATE_TABLE(id, rows, check, restored) \
    const struct state_table id = {#id, 1, rows, ARRAY_SIZE(rows), check, restored}
#define STATE_INNER(id, rows, check) static STATE_TABLE(id, rows, check, NULL)
#define STATE_TIME_MAX (1ull << 62) /* ns of virtual time: sums of two do not overflow */

/* A chip of a machine. */
struct state_unit {
    char name[24]; /* "uart0" */
    const struct state_table *table;
    void *obj;
    size_t bytes; /* of *obj */
};

/* Bytes under construction; grows. */
struct state_buf {
    u8 *data;
    size_t len, room;
    bool failed; /* no memory */
};

void state_put(struct state_buf *b, const void *data, size_t len);
void state_put_num(struct state_buf *b, u64 v, unsigned bytes);
void state_put_name(struct state_buf *b, const char *name);
void state_free(struct state_buf *b);

/* Bytes being taken apart. */
struct state_in {
    const u8 *at, *end;
    bool failed; /* something was asked for that is not there */
};

const u8 *state_take(struct state_in *in, size_t len); /* NULL: failed */
u64 state_take_num(struct state_in *in, unsigned bytes);
void state_take_name(struct state_in *in, char name[256]);

/* The fields of obj. */
void state_save(struct state_buf *b, const struct state_table *table, const void *obj);

#define STATE_WHY_BYTES 160u
/* Is [data, data + len) a state that obj could have? Nothing is changed. 0, -EINVAL with why filled, -ENOMEM. */
int state_try(const struct state_unit *unit, const u8 *data, size_t len,
              char why[STATE_WHY_BYTES]) MUST_CHECK;
/* The same for real, after a state_try() that went well; timers go to clk. table->restored() is the caller's. */
void state_load(const struct state_unit *unit, const u8 *data, size_t len, struct clk *clk);

#endif
