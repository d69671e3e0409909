/*
 * pcspk.c - samples of the PC speaker, by integrating OUT2 over each sample's span of virtual time.
 *
 * A copy of counter 2 stands for the time since the last change; before a change takes effect, the samples up to now are made from that
 * copy. Time within a waveform is counted in 1/65536 ticks of the 8254 (1,193,182 Hz), so that no period drifts against the
 * sample rate. Facts: Intel 8254 data sheet; IBM PC/AT technical reference, speaker.
 */
#include "devices/pcspk.h"

#define FRACTION 65536u
#define PIECE_NS (10u * 1000000u) /* while it sounds, samples are handed on this often */
#define LATE_NS CLK_SECOND_NS     /* a machine that is further behind than that lost its sound */
#define REST_NS (2 * CLK_SECOND_NS)
#define BATCH 512u
#define LOUDNESS 8192 /* a square wave at full scale is no pleasure */

static u64 to_units(u64 ns)
{
    return clk_muldiv(ns, (u64)PIT_HZ * FRACTION, CLK_SECOND_NS);
}

static u64 sample_ns(const struct pcspk *s, u64 n)
{
    return clk_muldiv(n, CLK_SECOND_NS, s->back.rate);
}

/* The sample that holds the time ns: sample_ns(it) <= ns < sample_ns(it + 1). */
static u64 sample_at(const struct pcspk *s, u64 ns)
{
    u64 n = clk_muldiv(ns, s->back.rate, CLK_SECOND_NS);

    return sample_ns(s, n + 1) <= ns ? n + 1 : n;
}

/* For how long OUT was high in the first p units since the count was loaded. */
static u64 high_until(const struct pit_counter *c, u64 p)
{
    u64 period = (u64)c->count * FRACTION, in = p % period, high;

    switch (c->mode) {
    case 2: high = period - FRACTION; break;
    case 3: high = (u64)((c->count + 1) / 2) * FRACTION; break;
    case 0:
    case 1: return p > period ? p - period : 0;
    default: /* 4, 5: low for the one tick at the end of the count */
        if (p <= period)
            return p;
        return p - (p - period < FRACTION ? p - period : FRACTION);
    }
    return p / period * high + (in < high ? in : high);
}

static bool counts(const struct pit_counter *c)
{
    if (!c->count)
        return false;
    if (c->mode == 1 || c->mode == 5)
        return c->triggered;
    return c->gate;
}

/* OUT of a counter that stands still. */
static bool still_level(const struct pit_counter *c)
{
    if (c->mode != 0 || !c->count)
        return c->mode != 0;
    return c->held_ticks >= c->count;
}

/* Units of high level in [from, to) of virtual time, within one sample. */
static u64 high_between(struct pcspk *s, u64 from, u64 to)
{
    struct pit_counter *c = &s->wave;
    u64 high = 0;

    if (!s->on || to <= from)
        return 0;
    if (!counts(c))
        return still_level(c) ? to_units(to) - to_units(from) : 0;
    if (c->next_count && c->next_load_ns <= from) {
        c->count = c->next_count;
        c->load_ns = c->next_load_ns;
        c->next_count = 0;
    } else if (c->next_count && c->next_load_ns < to) { /* the new period begins in between */
        u64 middle = c->next_load_ns;

        high = high_until(c, to_units(middle - c->load_ns)) -
               high_until(c, from > c->load_ns ? to_units(from - c->load_ns) : 0);
        c->count = c->next_count;
        c->load_ns = from = middle;
        c->next_count = 0;
    }
    if (to <= c->load_ns)
        return high;
    return high + high_until(c, to_units(to - c->load_ns)) -
           high_until(c, from > c->load_ns ? to_units(from - c->load_ns) : 0);
}

/* Is there a sound that goes on by itself after done_ns? A level that stands still is none. */
static bool sounds(const struct pcspk *s)
{
    const struct pit_counter *c = &s->wave;

    if (!s->on || !counts(c))
        return false;
    if (c->mode == 2 || c->mode == 3)
        return true;
    return s->done_ns < c->load_ns || to_units(s->done_ns - c->load_ns) <= ((u64)c->count + 1) * FRACTION;
}

/* Makes the samples up to `now`; the one that now is in stays open. */
static void render(struct pcspk *s, u64 now)
{
    const u64 full = (u64)PIT_HZ * FRACTION / s->back.rate;
    u64 n = sample_at(s, s->done_ns), first = n;
    i16 batch[BATCH];
    u32 have = 0;

    if (now <= s->done_ns)
        return;
    if (!s->on && !s->area) { /* silence is not played */
        s->done_ns = now;
        return;
    }
    while (s->done_ns < now) {
        u64 end = sample_ns(s, n + 1), to = end < now ? end : now;

        s->area += high_between(s, s->done_ns, to);
        s->done_ns = to;
        if (to < end)
            break;
        batch[have++] = (i16)(s->area >= full ? LOUDNESS : (i64)(s->area * LOUDNESS / full));
        s->area = 0;
        n++;
        if (have == BATCH) {
            s->back.play(s->back.opaque, first, batch, have);
            first = n;
            have = 0;
        }
        if (!s->on) { /* that was the last one */
            s->done_ns = now;
            break;
        }
    }
    if (have)
        s->back.play(s->back.opaque, first, batch, have);
}

/* A clock that jumped, ahead or back (a state was loaded), or a machine that was away: what would have sounded is lost. */
static void catch_up(struct pcspk *s, u64 now)
{
    if (now < s->done_ns || now - s->done_ns > LATE_NS) {
        s->done_ns = now;
        s->area = 0;
    }
    render(s, now);
}

static void schedule(struct pcspk *s, u64 now)
{
    bool sounding = sounds(s);

    if (s->sounding != sounding || !s->timer.armed)
        clk_timer_set(s->clk, &s->timer, now + (sounding ? PIECE_NS : REST_NS));
    s->sounding = sounding;
}

static void on_timer(void *opaque, u64 now)
{
    struct pcspk *s = opaque;

    catch_up(s, now);
    if (!s->sounding && !sounds(s))
        s->back.play(s->back.opaque, sample_at(s, now), NULL, 0);
    else
        schedule(s, now);
}

static void on_change(void *opaque, const struct pit_counter *c, bool on)
{
    struct pcspk *s = opaque;
    u64 now = clk_now(s->clk);

    if (!s->on && !on && !s->area) { /* heard by nobody, so followed by nobody */
        s->done_ns = now;
        return;
    }
    catch_up(s, now);
    s->wave = *c;
    s->on = on;
    schedule(s, now);
}

int pcspk_init(struct pcspk *s, struct pit *pit, struct clk *clk, const struct sound_back *back)
{
    *s = (struct pcspk){.clk = clk, .back = *back};
    clk_timer_init(&s->timer, on_timer, s);
    if (!back->rate || !back->play)
        return 0;
    if (back->rate < SOUND_RATE_MIN || back->rate > SOUND_RATE_MAX)
        return -EINVAL;
    s->done_ns = clk_now(clk);
    pit_watch(pit, on_change, s);
    return 0;
}
