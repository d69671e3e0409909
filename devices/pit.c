/*
 * pit.c - 8254 programmable interval timer (Intel 8254 data sheet), ports 40h-43h, and port 61h.
 *
 * A counter is never stepped: count and OUT are functions of the virtual time since it was loaded, so
 * reads cost the same however long ago that was. Only counter 0's rising edges need a timer.
 *
 * Periodic edges keep their phase. Those the host was too busy to deliver, or that came while the one
 * before was still unacknowledged, are delivered later at four times the rate; at most one second's
 * worth is owed.
 */
#include "devices/pit.h"

#include <string.h>

enum { CATCH_UP_RATE = 4 };
enum { RB_NO_COUNT = 0x20, RB_NO_STATUS = 0x10 };
enum { STATUS_OUT = 0x80, STATUS_NULL = 0x40 };
#define REFRESH_TOGGLE_NS 15085u

static u64 ns_to_ticks(u64 ns)
{
    return clk_muldiv(ns, PIT_HZ, CLK_SECOND_NS);
}

/* Rounded up: at that time ns_to_ticks() has reached `ticks`. */
static u64 ticks_to_ns(u64 ticks)
{
    return clk_muldiv(ticks, CLK_SECOND_NS, PIT_HZ) + 1;
}

static bool is_periodic(const struct pit_counter *c)
{
    return c->mode == 2 || c->mode == 3;
}

static bool is_triggered_mode(const struct pit_counter *c)
{
    return c->mode == 1 || c->mode == 5;
}

static bool is_counting(const struct pit_counter *c)
{
    if (!c->count)
        return false;
    return is_triggered_mode(c) ? c->triggered : c->gate || !is_periodic(c);
}

/* A count written in mid-period takes over when the period ends. */
static void settle(struct pit_counter *c, u64 now)
{
    if (c->next_count && now >= c->next_load_ns) {
        c->count = c->next_count;
        c->load_ns = c->next_load_ns;
        c->next_count = 0;
        c->next_edge = 0; /* the old period's end is the new one's beginning */
    }
}

static u64 elapsed(const struct pit_counter *c, u64 now)
{
    if (!c->gate && !is_periodic(c) && !is_triggered_mode(c))
        return c->held_ticks;
    return now > c->load_ns ? ns_to_ticks(now - c->load_ns) : 0;
}

static u32 modulus(const struct pit_counter *c)
{
    return c->bcd ? 10000 : 65536;
}

static bool counter_out(struct pit_counter *c, u64 now)
{
    settle(c, now);
    if (!is_counting(c))
        return c->mode != 0;
    u64 d = elapsed(c, now);
    switch (c->mode) {
    case 0:
    case 1: return d >= c->count;
    case 2: return d % c->count != c->count - 1 || c->count == 1;
    case 3: return d % c->count < (c->count + 1) / 2;
    default: return d != c->count;
    }
}

static u16 counter_value(struct pit_counter *c, u64 now)
{
    settle(c, now);
    u32 mod = modulus(c), v = c->count;
    if (is_counting(c)) {
        u64 d = elapsed(c, now);
        if (c->mode == 2)
            v = c->count - (u32)(d % c->count);
        else if (c->mode == 3)
            v = (c->count & ~1u) - (u32)(2 * d % c->count & ~1u);
        else
            v = (u32)((c->count + mod - d % mod) % mod);
    }
    v %= mod;
    if (c->bcd)
        v = v / 1000 << 12 | v / 100 % 10 << 8 | v / 10 % 10 << 4 | v % 10;
    return (u16)v;
}

/* Arms the timer for counter 0's next rising edge. */
static void schedule(struct pit *pit)
{
    struct pit_counter *c = &pit->counter[0];
    if (!c->count || is_triggered_mode(c) || (!is_periodic(c) && !pit->edge_pending)) {
        clk_timer_cancel(pit->clk, &pit->timer);
        return;
    }
    u64 ticks = c->count;
    if (is_periodic(c))
        ticks *= c->next_edge;
    else if (c->mode == 4)
        ticks++; /* low for one clock, then the edge */
    clk_timer_set(pit->clk, &pit->timer, c->load_ns + ticks_to_ns(ticks));
}

static bool pulse(struct pit *pit)
{
    irq_set(pit->irq0, false);
    return irq_set(pit->irq0, true);
}

static void tick_periodic(struct pit *pit, u64 now)
{
    struct pit_counter *c = &pit->counter[0];
    settle(c, now);
    u64 newest = elapsed(c, now) / c->count; /* index of the last edge that is due */
    u64 cap = PIT_HZ / c->count + 1;
    if (newest >= c->next_edge) {
        if (newest - c->next_edge > cap)
            c->next_edge = newest - cap;
        if (pulse(pit))
            c->next_edge++;
    }
    if (newest >= c->next_edge)
        clk_timer_set(pit->clk, &pit->timer, now + ticks_to_ns(c->count / CATCH_UP_RATE + 1));
    else
        schedule(pit);
}

static void on_timer(void *opaque, u64 now)
{
    struct pit *pit = opaque;
    struct pit_counter *c = &pit->counter[0];
    if (!c->count)
        return;
    if (is_periodic(c)) {
        tick_periodic(pit, now);
    } else if (pit->edge_pending) {
        pit->edge_pending = false;
        pulse(pit);
    }
}

static void load_count(struct pit *pit, unsigned n, u32 raw)
{
    struct pit_counter *c = &pit->counter[n];
    u64 now = clk_now(pit->clk);
    u32 count = raw;
    if (c->bcd)
        count = (raw >> 12 & 15) * 1000 + (raw >> 8 & 15) * 100 + (raw >> 4 & 15) * 10 + (raw & 15);
    if (!count || count > modulus(c))
        count = modulus(c);
    if (count == 1 && is_periodic(c))
        count = 2; /* 1 is illegal in modes 2 and 3 */

    settle(c, now);
    if (is_periodic(c) && c->count && c->gate) {
        u64 period = elapsed(c, now) / c->count + 1;
        c->next_count = count;
        c->next_load_ns = c->load_ns + ticks_to_ns(period * c->count);
        return;
    }
    c->count = count;
    c->next_count = 0;
    if (is_triggered_mode(c) && c->triggered)
        return; /* from the next trigger on */
    c->load_ns = now;
    c->held_ticks = 0;
    if (n == 0) {
        c->next_edge = 1;
        pit->edge_pending = !is_periodic(c) && !is_triggered_mode(c);
        if (c->mode == 0)
            irq_set(pit->irq0, false);
        schedule(pit);
    }
}

static void latch_count(struct pit_counter *c, u64 now)
{
    if (c->latched)
        return;
    c->latched = true;
    c->latch = counter_value(c, now);
}

static void read_back(struct pit *pit, u8 val)
{
    u64 now = clk_now(pit->clk);
    for (unsigned n = 0; n < 3; n++) {
        struct pit_counter *c = &pit->counter[n];
        if (!(val & BIT(n + 1)))
            continue;
        if (!(val & RB_NO_COUNT))
            latch_count(c, now);
        if (!(val & RB_NO_STATUS) && !c->status_latched) {
            c->status_latched = true;
            c->status =
                (u8)((counter_out(c, now) ? STATUS_OUT : 0) | (!c->count || c->next_count ? STATUS_NULL : 0) |
                     c->access << 4 | c->mode << 1 | (c->bcd ? 1 : 0));
        }
    }
}

static void write_control(struct pit *pit, u8 val)
{
    unsigned n = val >> 6;
    if (n == 3) {
        read_back(pit, val);
        return;
    }
    struct pit_counter *c = &pit->counter[n];
    u8 access = val >> 4 & 3;
    if (!access) {
        latch_count(c, clk_now(pit->clk));
        return;
    }
    bool gate = c->gate;
    memset(c, 0, sizeof(*c));
    c->gate = gate;
    c->access = access;
    c->mode = val >> 1 & 7;
    if (c->mode > 5)
        c->mode &= 3; /* bit 2 is "don't care" in modes 2 and 3 */
    c->bcd = val & 1;
    if (n == 0) {
        pit->edge_pending = false;
        clk_timer_cancel(pit->clk, &pit->timer);
        irq_set(pit->irq0, c->mode != 0); /* OUT takes its initial level */
    }
}

static void write_counter(struct pit *pit, unsigned n, u8 val)
{
    struct pit_counter *c = &pit->counter[n];
    switch (c->access) {
    case 1: load_count(pit, n, val); break;
    case 2: load_count(pit, n, (u32)val << 8); break;
    case 3:
        if (c->write_high)
            load_count(pit, n, c->write_low | (u32)val << 8);
        else
            c->write_low = val;
        c->write_high = !c->write_high;
        break;
    default: /* no control word yet */ break;
    }
}

static u8 read_counter(struct pit *pit, unsigned n)
{
    struct pit_counter *c = &pit->counter[n];
    if (c->status_latched) {
        c->status_latched = false;
        return c->status;
    }
    u16 v = c->latched ? c->latch : counter_value(c, clk_now(pit->clk));
    bool high = c->access == 2 || (c->access == 3 && c->read_high);
    if (c->access == 3)
        c->read_high = !c->read_high;
    if (c->access != 3 || high)
        c->latched = false;
    return (u8)(high ? v >> 8 : v);
}

static u32 pit_read(void *opaque, u32 offset, unsigned size)
{
    (void)size;
    return offset < 3 ? read_counter(opaque, offset) : 0xff;
}

static void tell_speaker(struct pit *pit)
{
    if (pit->changed)
        pit->changed(pit->changed_opaque, &pit->counter[2], pit->port61 & 2);
}

static void pit_write(void *opaque, u32 offset, unsigned size, u32 val)
{
    (void)size;
    if (offset < 3)
        write_counter(opaque, offset, (u8)val);
    else
        write_control(opaque, (u8)val);
    if (offset == 2 || (offset == 3 && val >> 6 == 2))
        tell_speaker(opaque);
}

/* Only counter 2 has a gate that software moves. */
static void set_gate(struct pit *pit, struct pit_counter *c, bool gate)
{
    u64 now = clk_now(pit->clk);
    if (gate == c->gate)
        return;
    settle(c, now);
    if (!gate && !is_periodic(c) && !is_triggered_mode(c))
        c->held_ticks = elapsed(c, now);
    c->gate = gate;
    if (!gate || !c->count)
        return;
    c->triggered = true;
    if (is_periodic(c) || is_triggered_mode(c)) {
        if (c->next_count)
            c->count = c->next_count;
        c->next_count = 0;
        c->load_ns = now;
    } else {
        u64 ran = ticks_to_ns(c->held_ticks);
        c->load_ns = now > ran ? now - ran : 0;
    }
}

/*
 * Port 61h:  7 SERR#  6 IOCHK#  5 OUT2  4 refresh toggle  3 IOCHK# off  2 SERR# off  1 speaker  0 GATE2
 */
static u32 port61_read(void *opaque, u32 offset, unsigned size)
{
    struct pit *pit = opaque;
    (void)offset;
    (void)size;
    u64 now = clk_now(pit->clk);
    return pit->port61 | (now / REFRESH_TOGGLE_NS & 1) << 4 |
           (counter_out(&pit->counter[2], now) ? 0x20u : 0);
}

static void port61_write(void *opaque, u32 offset, unsigned size, u32 val)
{
    struct pit *pit = opaque;
    (void)offset;
    (void)size;
    pit->port61 = val & 0x0f;
    set_gate(pit, &pit->counter[2], val & 1);
    tell_speaker(pit);
}

static const struct bus_ops pit_ops = {.read = pit_read, .write = pit_write};
static const struct bus_ops port61_ops = {.read = port61_read, .write = port61_write};

int pit_init(struct pit *pit, struct io_bus *io, struct clk *clk, struct irq_line irq0)
{
    memset(pit, 0, sizeof(*pit));
    pit->clk = clk;
    pit->irq0 = irq0;
    clk_timer_init(&pit->timer, on_timer, pit);
    pit_reset(pit);
    int err = io_bus_register(io, 0x40, 4, &pit_ops, pit);
    if (!err)
        err = io_bus_register(io, 0x61, 1, &port61_ops, pit);
    return err;
}

void pit_reset(struct pit *pit)
{
    clk_timer_cancel(pit->clk, &pit->timer);
    irq_set(pit->irq0, false);
    memset(pit->counter, 0, sizeof(pit->counter));
    for (unsigned n = 0; n < 3; n++) {
        pit->counter[n].mode = 3;
        pit->counter[n].access = 3;
        pit->counter[n].gate = n != 2;
    }
    pit->port61 = 0;
    pit->edge_pending = false;
    tell_speaker(pit);
}

void pit_watch(struct pit *pit, void (*fn)(void *opaque, const struct pit_counter *counter2, bool speaker),
               void *opaque)
{
    pit->changed = fn;
    pit->changed_opaque = opaque;
    tell_speaker(pit);
}
