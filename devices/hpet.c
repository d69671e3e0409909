/*
 * hpet.c - HPET registers (IA-PC HPET specification 1.0a), 100 MHz, as QEMU shows them: vendor 8086h, revision 1.
 *
 *     000 capabilities   010 configuration   020 interrupt status   0F0 counter
 *     100 + 20h * n: configuration, comparator, FSB route of timer n
 *
 * The counter is a function of the virtual time; the clock's timers mark the matches of timers whose interrupts are enabled. With
 * legacy replacement timer 0 is IRQ 0 and timer 1 IRQ 8, and the 8254 and the RTC reach nobody. A comparator that the counter has
 * passed by the time it is written matches at once, as in QEMU. Periodic matches that a busy host delays are
 * delivered later, at most a second's worth.
 */
#include "devices/hpet.h"

#include <string.h>

#define CAPABILITIES (0x8086a001ull | (HPET_TIMERS - 1) << 8 | (u64)HPET_TICK_NS * 1000000 << 32)
#define ROUTES 0x00ff0104ull /* 2, 8, 16-23, as QEMU's */
enum { CONFIG_ON = 1, CONFIG_LEGACY = 2 };
enum {
    T_LEVEL = BIT(1),
    T_ON = BIT(2),
    T_PERIODIC = BIT(3),
    T_CAN_PERIODIC = BIT(4),
    T_64 = BIT(5),
    T_SET_VALUE = BIT(6),
    T_32MODE = BIT(8),
    T_ROUTE = 31 << 9,
    T_WRITABLE = T_LEVEL | T_ON | T_PERIODIC | T_SET_VALUE | T_32MODE | T_ROUTE,
};
#define CATCH_UP_RATE 4u
#define TICKS_A_SECOND (CLK_SECOND_NS / HPET_TICK_NS)

static unsigned index_of(const struct hpet_timer *t)
{
    return (unsigned)(t - t->hpet->timer);
}

static bool is_on(const struct hpet *h)
{
    return h->config & CONFIG_ON;
}

static bool is_legacy(const struct hpet *h)
{
    return h->config & CONFIG_LEGACY;
}

static u64 counter(struct hpet *h, u64 now)
{
    return is_on(h) && now > h->base_ns ? h->count + (now - h->base_ns) / HPET_TICK_NS : h->count;
}

/* Ticks until the comparator matches; not positive: it has. */
static i64 ticks_left(const struct hpet_timer *t, u64 count)
{
    return t->config & T_32MODE ? (i32)((u32)t->compare - (u32)count) : (i64)(t->compare - count);
}

/* ---- lines ---- */

static unsigned input_of(const struct hpet_timer *t)
{
    unsigned n = index_of(t);
    return is_legacy(t->hpet) && n < 2 ? 8 * n : (unsigned)(t->config & T_ROUTE) >> 9;
}

/* Two timers may share an input. */
static bool drive(struct hpet_timer *t, bool level)
{
    struct hpet *h = t->hpet;
    for (unsigned i = 0; i < HPET_TIMERS; i++)
        level |= &h->timer[i] != t && h->timer[i].level && input_of(&h->timer[i]) == input_of(t);
    return h->out.fn ? h->out.fn(h->out.opaque, input_of(t), level) : true;
}

static void lower(struct hpet_timer *t)
{
    bool was = t->level;
    t->level = false;
    if (was)
        drive(t, false);
}

/* False: the edge before is still waiting. */
static bool raise_irq(struct hpet_timer *t)
{
    if (!(t->config & T_ON))
        return true;
    if (t->config & T_LEVEL) {
        t->hpet->status |= BIT(index_of(t));
        t->level = true;
        return drive(t, true);
    }
    bool kept = drive(t, true);
    drive(t, false);
    return kept;
}

/* ---- matches ---- */

static void schedule(struct hpet_timer *t, u64 now)
{
    struct hpet *h = t->hpet;
    if (!is_on(h) || !(t->config & T_ON) || (t->config & T_PERIODIC && !t->period) || (!(t->config & T_PERIODIC) && t->fired)) {
        clk_timer_cancel(h->clk, &t->timer);
        return;
    }
    i64 left = ticks_left(t, counter(h, now));
    /* The tick that the counter is in began before now: rounding up gives a time at which it has arrived. */
    u64 ns = left <= 0 ? 0 : (u64)left > UINT64_MAX / 4 / HPET_TICK_NS ? UINT64_MAX / 4 : (u64)left * HPET_TICK_NS;
    clk_timer_set(h->clk, &t->timer, now + ns);
}

static void advance(struct hpet_timer *t)
{
    t->compare += t->period;
    if (t->config & T_32MODE)
        t->compare = (u32)t->compare;
}

/* A guest that turned a periodic timer on late, or slept, is owed a second's matches, not all. */
static void match_periodic(struct hpet_timer *t, u64 now)
{
    u64 late = 0 - (u64)ticks_left(t, counter(t->hpet, now));
    if (late > TICKS_A_SECOND) {
        u64 skip = (late - TICKS_A_SECOND) / t->period;
        t->compare += skip * t->period;
        if (t->config & T_32MODE)
            t->compare = (u32)t->compare;
    }
    if (raise_irq(t))
        advance(t);
    if (ticks_left(t, counter(t->hpet, now)) > 0)
        schedule(t, now);
    else
        clk_timer_set(t->hpet->clk, &t->timer, now + (t->period / CATCH_UP_RATE % TICKS_A_SECOND + 1) * HPET_TICK_NS);
}

static void on_timer(void *opaque, u64 now)
{
    struct hpet_timer *t = opaque;
    if (!is_on(t->hpet) || (t->config & T_PERIODIC && !t->period))
        return;
    if (ticks_left(t, counter(t->hpet, now)) > 0) {
        schedule(t, now);
    } else if (t->config & T_PERIODIC) {
        match_periodic(t, now);
    } else {
        t->fired = true;
        raise_irq(t);
    }
}

/* ---- the 8254 and the RTC ---- */

static bool pit_moved(void *opaque, unsigned n, bool level)
{
    struct hpet *h = opaque;
    (void)n;
    h->level0 = level;
    return is_legacy(h) ? true : irq_set(h->irq0, level);
}

static bool rtc_moved(void *opaque, unsigned n, bool level)
{
    struct hpet *h = opaque;
    (void)n;
    h->level8 = level;
    return is_legacy(h) ? true : irq_set(h->irq8, level);
}

struct irq_line hpet_pit_line(struct hpet *h)
{
    return (struct irq_line){.fn = pit_moved, .opaque = h};
}

struct irq_line hpet_rtc_line(struct hpet *h)
{
    return (struct irq_line){.fn = rtc_moved, .opaque = h};
}

static void settle_lines(struct hpet *h)
{
    irq_set(h->irq0, !is_legacy(h) && h->level0);
    irq_set(h->irq8, !is_legacy(h) && h->level8);
}

/* ---- registers ---- */

static void write_config(struct hpet *h, u64 val)
{
    u64 now = clk_now(h->clk), count = counter(h, now), changed = val ^ h->config;
    for (unsigned i = 0; changed && i < HPET_TIMERS; i++)
        lower(&h->timer[i]);
    h->config = val & (CONFIG_ON | CONFIG_LEGACY);
    h->count = count;
    h->base_ns = now;
    for (unsigned i = 0; changed && i < HPET_TIMERS; i++)
        schedule(&h->timer[i], now);
    if (changed & CONFIG_LEGACY)
        settle_lines(h);
}

static void write_counter(struct hpet *h, u64 val)
{
    u64 now = clk_now(h->clk);
    h->count = val;
    h->base_ns = now;
    for (unsigned i = 0; i < HPET_TIMERS; i++) {
        h->timer[i].fired = false;
        schedule(&h->timer[i], now);
    }
}

static void write_timer_config(struct hpet_timer *t, u64 val)
{
    u64 now = clk_now(t->hpet->clk);
    lower(t);
    if ((t->config ^ val) & T_PERIODIC)
        t->fired = false;
    t->config = val & T_WRITABLE;
    if (t->config & T_32MODE) {
        t->compare = (u32)t->compare;
        t->period = (u32)t->period;
    }
    if ((t->config & T_LEVEL) && (t->config & T_ON) && (t->hpet->status & BIT(index_of(t)))) {
        t->level = true;
        drive(t, true);
    }
    schedule(t, now);
}

static u64 put_half(u64 old, u32 val, bool high)
{
    return high ? (u32)old | (u64)val << 32 : (old & ~0xffffffffull) | val;
}

/* In periodic mode a value is the period, and with VAL_SET also where the comparator starts. */
static void write_compare(struct hpet_timer *t, u32 val, bool high)
{
    bool periodic = t->config & T_PERIODIC, start = t->config & T_SET_VALUE;
    if (high && t->config & T_32MODE)
        return;
    if (!high)
        t->set_both = start;
    if (!periodic || start || (high && t->set_both))
        t->compare = put_half(t->compare, val, high);
    if (periodic)
        t->period = put_half(t->period, val, high);
    if (high)
        t->set_both = false;
    t->config &= ~(u64)T_SET_VALUE;
    t->fired = false;
    schedule(t, clk_now(t->hpet->clk));
}

static u64 timer_get(const struct hpet_timer *t, u32 reg)
{
    switch (reg) {
    case 0x00: return t->config | T_CAN_PERIODIC | T_64 | ROUTES << 32;
    case 0x08: return t->compare;
    case 0x10: return t->fsb;
    default: return 0;
    }
}

static u32 mmio_read(void *opaque, u32 offset, unsigned size)
{
    struct hpet *h = opaque;
    u32 reg = offset & ~7u;
    u64 v = 0;
    (void)size;
    switch (reg) {
    case 0x00: v = CAPABILITIES; break;
    case 0x10: v = h->config; break;
    case 0x20: v = h->status; break;
    case 0xf0: v = counter(h, clk_now(h->clk)); break;
    default:
        if (reg >= 0x100 && reg < 0x100 + 0x20 * HPET_TIMERS)
            v = timer_get(&h->timer[(reg - 0x100) / 0x20], reg & 0x1f);
    }
    return (u32)(v >> (8 * (offset & 7)));
}

static void timer_set(struct hpet_timer *t, u32 reg, u32 val, bool high)
{
    if (reg == 0x00 && !high)
        write_timer_config(t, val);
    else if (reg == 0x08)
        write_compare(t, val, high);
    else if (reg == 0x10)
        t->fsb = put_half(t->fsb, val, high);
}

static void mmio_write(void *opaque, u32 offset, unsigned size, u32 val)
{
    struct hpet *h = opaque;
    u32 reg = offset & ~7u;
    bool high = offset & 4;
    if (size != 4 || offset & 3)
        return;
    if (reg == 0x10 && !high) {
        write_config(h, val);
    } else if (reg == 0x20 && !high) {
        h->status &= ~(u64)val;
        for (unsigned i = 0; i < HPET_TIMERS; i++)
            if (val & BIT(i))
                lower(&h->timer[i]);
    } else if (reg == 0xf0) {
        write_counter(h, put_half(counter(h, clk_now(h->clk)), val, high));
    } else if (reg >= 0x100 && reg < 0x100 + 0x20 * HPET_TIMERS) {
        timer_set(&h->timer[(reg - 0x100) / 0x20], reg & 0x1f, val, high);
    }
}

static const struct bus_ops ops = {.read = mmio_read, .write = mmio_write, .max_size = 4};

int hpet_init(struct hpet *h, struct mmio_bus *mmio, struct clk *clk, struct irq_line out, struct irq_line irq0, struct irq_line irq8)
{
    memset(h, 0, sizeof(*h));
    h->clk = clk;
    h->out = out;
    h->irq0 = irq0;
    h->irq8 = irq8;
    for (unsigned i = 0; i < HPET_TIMERS; i++) {
        h->timer[i].hpet = h;
        clk_timer_init(&h->timer[i].timer, on_timer, &h->timer[i]);
    }
    hpet_reset(h);
    return mmio_bus_register(mmio, HPET_BASE, HPET_BYTES, &ops, h);
}

void hpet_reset(struct hpet *h)
{
    for (unsigned i = 0; i < HPET_TIMERS; i++) {
        struct hpet_timer *t = &h->timer[i];
        clk_timer_cancel(h->clk, &t->timer);
        lower(t);
        t->config = t->period = t->fsb = 0;
        t->compare = UINT64_MAX;
        t->set_both = t->fired = false;
    }
    h->config = h->status = h->count = h->base_ns = 0;
    settle_lines(h);
}
