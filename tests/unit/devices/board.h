/*
 * board.h - a test board: port bus, MMIO bus, hand-driven clock, and a line that remembers.
 */
#ifndef NOVT_TESTS_BOARD_H
#define NOVT_TESTS_BOARD_H

#include <stdlib.h>
#include <string.h>

#include "devices/bus.h"
#include "devices/clk.h"

struct probe {
    bool level;
    unsigned rises;
    bool refuse; /* pretend the edge was lost */
};

struct board {
    struct io_bus io;
    struct mmio_bus mmio;
    struct clk clk;
    u64 now_ns;
    struct probe line[4];
};

static inline u64 board_now(void *opaque)
{
    return ((struct board *)opaque)->now_ns;
}

static inline struct board *board_new(void)
{
    struct board *b = calloc(1, sizeof(*b));
    io_bus_init(&b->io);
    mmio_bus_init(&b->mmio);
    clk_init(&b->clk, &(struct clk_source){.now_ns = board_now, .opaque = b});
    return b;
}

static inline bool probe_set(void *opaque, unsigned n, bool level)
{
    struct board *b = opaque;
    struct probe *p = &b->line[n & 3];
    bool rise = level && !p->level;
    p->level = level;
    if (rise && !p->refuse)
        p->rises++;
    return !(rise && p->refuse);
}

static inline struct irq_line board_line(struct board *b, unsigned n)
{
    return (struct irq_line){.fn = probe_set, .opaque = b, .n = n};
}

/* Lets time pass deadline by deadline, as an idle monitor would. */
static inline void board_run(struct board *b, u64 ns)
{
    u64 end = b->now_ns + ns;
    for (unsigned i = 0; i < 1000000; i++) {
        u64 next = clk_next_deadline(&b->clk);
        if (next > end)
            break;
        if (next > b->now_ns)
            b->now_ns = next;
        clk_run_due(&b->clk);
    }
    b->now_ns = end;
}

static inline u8 inb(struct board *b, u16 port)
{
    return (u8)io_bus_read(&b->io, port, 1);
}

static inline void outb(struct board *b, u16 port, u32 val)
{
    io_bus_write(&b->io, port, 1, val);
}

#define MS 1000000ull
#define US 1000ull

#endif
