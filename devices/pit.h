/*
 * pit.h - the 8254 timer, and port 61h that gates its third counter.
 */
#ifndef NOVT_DEVICES_PIT_H
#define NOVT_DEVICES_PIT_H

#include "devices/bus.h"
#include "devices/clk.h"

#define PIT_HZ 1193182u

struct pit_counter {
    u32 count;      /* reload value, 1-65536 (BCD: 1-10000); 0 = none written since the control word */
    u32 next_count; /* modes 2, 3: takes over at next_load_ns; 0 = none */
    u64 load_ns;    /* when the present counting began */
    u64 next_load_ns;
    u64 next_edge;  /* periodic modes: OUT rises at load_ns + k * count; the first k not delivered yet */
    u64 held_ticks; /* modes 0, 4: elapsed when the gate went low */
    u8 mode;        /* 0-5 */
    u8 access;      /* 1 low byte, 2 high byte, 3 low then high */
    bool bcd;
    bool gate;
    bool triggered;  /* modes 1, 5: a gate edge started it */
    bool write_high; /* access 3: the high byte comes next */
    bool read_high;
    u8 write_low;
    bool latched, status_latched;
    u8 status;
    u16 latch;
};

struct pit {
    struct pit_counter counter[3];
    struct clk *clk;
    struct irq_line irq0;
    struct clk_timer timer;
    bool edge_pending; /* one-shot modes: the edge is still to come */
    u8 port61;         /* bits 0-3 as written */
    void (*changed)(void *opaque, const struct pit_counter *counter2,
                    bool speaker); /* the speaker's; NULL: nobody listens */
    void *changed_opaque;
};

int pit_init(struct pit *pit, struct io_bus *io, struct clk *clk, struct irq_line irq0) MUST_CHECK;
void pit_reset(struct pit *pit);
/* fn hears of every change of counter 2 or of bit 1 of port 61h, after it was made, in the same instant of virtual time. */
void pit_watch(struct pit *pit, void (*fn)(void *opaque, const struct pit_counter *counter2, bool speaker),
               void *opaque);

#endif
