/*
 * hpet.h - the high-precision event timer (IA-PC HPET specification 1.0a): a 64-bit counter, three comparators.
 */
#ifndef NOVT_DEVICES_HPET_H
#define NOVT_DEVICES_HPET_H

#include "devices/bus.h"
#include "devices/clk.h"

#define HPET_BASE 0xfed00000u
#define HPET_BYTES 0x400u
#define HPET_TIMERS 3u
#define HPET_TICK_NS 10u

struct hpet;

struct hpet_timer {
    struct hpet *hpet;
    u64 config; /* what can be written of it */
    u64 compare;
    u64 period;  /* what was last written while periodic, added at each match */
    u64 fsb;     /* address and data of a message: kept, never sent */
    bool set_both;   /* the low half was written as a value to start from: so is the high half */
    bool fired;      /* one shot: for this comparator value */
    bool level;      /* of its interrupt line */
    struct clk_timer timer;
};

struct hpet {
    struct clk *clk;
    /* Where interrupts go: an ISA or I/O APIC input by number, shared with whoever else drives it. */
    struct irq_line out;
    struct irq_line irq0, irq8; /* the 8254's and the RTC's: theirs unless the HPET replaces them */
    u64 config;
    u64 status;
    u64 count;   /* at base_ns, or while it stands still */
    u64 base_ns;
    bool level0, level8; /* what the 8254 and the RTC drive */
    struct hpet_timer timer[HPET_TIMERS];
};

/* out.fn(out.opaque, input, level) */
int hpet_init(struct hpet *h, struct mmio_bus *mmio, struct clk *clk, struct irq_line out, struct irq_line irq0,
              struct irq_line irq8) MUST_CHECK;
void hpet_reset(struct hpet *h);

/* What the 8254 and the RTC drive instead of IRQ 0 and IRQ 8 themselves. */
struct irq_line hpet_pit_line(struct hpet *h);
struct irq_line hpet_rtc_line(struct hpet *h);

#endif
