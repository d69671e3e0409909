/*
 * clk.h - the one virtual clock, in nanoseconds, and its timers.
 *
 * Devices schedule a timer for an absolute virtual time and never read the host clock. The monitor
 * asks for the next deadline (to know how long HLT may sleep) and runs what is due. Timers are owned
 * by their device; the clock only links them. Time may be paused; it never goes backwards.
 */
#ifndef NOVT_DEVICES_CLK_H
#define NOVT_DEVICES_CLK_H

#include "base.h"

#define CLK_NEVER UINT64_MAX
#define CLK_SECOND_NS 1000000000ull

struct clk_timer {
    void (*fn)(void *opaque, u64 now_ns); /* runs unarmed; may set itself again */
    void *opaque;
    u64 deadline_ns;
    struct clk_timer *next;
    bool armed;
};

/* Where host time comes from: CLOCK_MONOTONIC unless a test drives it by hand. */
struct clk_source {
    u64 (*now_ns)(void *opaque);
    void *opaque;
};

struct clk {
    struct clk_source source;
    u64 base_ns; /* source time that is virtual 0 */
    u64 last_ns; /* newest virtual time handed out */
    bool paused;
    struct clk_timer *head; /* by deadline, earliest first */
};

/* source may be NULL: the host's CLOCK_MONOTONIC. Virtual time starts at 0, running. */
void clk_init(struct clk *clk, const struct clk_source *source);
u64 clk_now(struct clk *clk);
void clk_pause(struct clk *clk);
void clk_resume(struct clk *clk);

void clk_timer_init(struct clk_timer *timer, void (*fn)(void *opaque, u64 now_ns), void *opaque);
void clk_timer_set(struct clk *clk, struct clk_timer *timer, u64 deadline_ns); /* moves it if armed */
void clk_timer_cancel(struct clk *clk, struct clk_timer *timer);

/* Earliest deadline in virtual ns, CLK_NEVER if no timer is armed or the clock is paused. */
u64 clk_next_deadline(const struct clk *clk);

/* Runs the callbacks of expired timers, in order; returns how many ran. Bounded: a timer that sets
 * itself to the past again and again does not hold the caller. */
unsigned clk_run_due(struct clk *clk);

/* a * b / c without overflow in between, rounded down. */
static inline u64 clk_muldiv(u64 a, u64 b, u64 c)
{
    return (u64)((unsigned __int128)a * b / c);
}

#endif
