/*
 * test_pcspk.c - the PC speaker's samples: frequency, phase, duty cycle, silence, PCM by pulse width, changes within a period.
 *
 * A recorder keeps every sample by its number. Expected values are computed from the waveform's definition, not by the code under test.
 */
#include <criterion/criterion.h>
#include <math.h>

#include "devices/pcspk.h"
#include "devices/state_tables.h"
#include "tests/unit/devices/board.h"

#define RATE 44100u
#define SECONDS 4u
#define LOUD 8192

struct rig {
    struct board *b;
    struct pit pit;
    struct pcspk speaker;
    i16 sample[RATE * SECONDS];
    bool played[RATE * SECONDS];
    u64 end; /* behind the last one */
    unsigned twice, calls, rests;
};

static void record(void *opaque, u64 at, const i16 *sample, size_t n)
{
    struct rig *r = opaque;

    r->calls++;
    r->rests += n == 0;
    for (size_t i = 0; i < n; i++, at++) {
        cr_assert_lt(at, RATE * SECONDS);
        r->twice += r->played[at];
        r->played[at] = true;
        r->sample[at] = sample[i];
        r->end = at + 1;
    }
}

static struct rig *rig_new(u32 rate)
{
    struct rig *r = calloc(1, sizeof(*r));

    r->b = board_new();
    cr_assert_eq(pit_init(&r->pit, &r->b->io, &r->b->clk, board_line(r->b, 0)), 0);
    cr_assert_eq(pcspk_init(&r->speaker, &r->pit, &r->b->clk, &(struct sound_back){rate, record, r}), 0);
    return r;
}

static void rig_free(struct rig *r)
{
    free(r->b);
    free(r);
}

static void tone(struct rig *r, u8 control, u16 count)
{
    outb(r->b, 0x43, control);
    outb(r->b, 0x42, count & 0xff);
    outb(r->b, 0x42, count >> 8);
}

static void speaker(struct rig *r, bool on)
{
    outb(r->b, 0x61, on ? 3 : 0);
}

/* How much of [from, to) a square wave of `count` ticks that began at t0 is high: by adding up its half periods. */
static double high_part(double from, double to, double t0, unsigned count)
{
    double period = count * 1e9 / PIT_HZ, high = (double)((count + 1) / 2) * 1e9 / PIT_HZ, sum = 0;

    for (double k = floor((from - t0) / period); t0 + k * period < to; k++) {
        double a = fmax(from, t0 + k * period), b = fmin(to, t0 + k * period + high);

        if (b > a)
            sum += b - a;
    }
    return sum / (to - from);
}

Test(pcspk, each_sample_is_its_mean_level)
{
    static const u16 counts[] = {1193, 2712, 54, 37, 65535, 101};

    for (unsigned c = 0; c < ARRAY_SIZE(counts); c++) {
        struct rig *r = rig_new(RATE);
        u64 t0;

        board_run(r->b, 123456789);
        tone(r, 0xb6, counts[c]);
        t0 = r->b->now_ns; /* the gate rises: the count begins anew */
        speaker(r, true);
        board_run(r->b, 700 * MS);
        speaker(r, false);
        board_run(r->b, 50 * MS);
        cr_expect_eq(r->twice, 0);
        for (u64 n = t0 * RATE / CLK_SECOND_NS + 2; n + 2 < (t0 + 700 * MS) * RATE / CLK_SECOND_NS; n++) {
            double want = high_part(n * 1e9 / RATE, (n + 1) * 1e9 / RATE, (double)t0, counts[c]) * LOUD;

            cr_assert(r->played[n], "count %u: sample %lu is missing", counts[c], (unsigned long)n);
            cr_assert(fabs(r->sample[n] - want) < 4, "count %u: sample %lu is %d, not %f", counts[c],
                      (unsigned long)n, r->sample[n], want);
        }
        rig_free(r);
    }
}

/* No drift: 2 s of 440 Hz have 880 rising edges. */
Test(pcspk, frequency)
{
    struct rig *r = rig_new(RATE);
    unsigned rises = 0;

    tone(r, 0xb6, 2712); /* 439.96 Hz */
    speaker(r, true);
    board_run(r->b, 2000 * MS);
    speaker(r, false);
    board_run(r->b, MS);
    for (u64 n = 1; n < r->end; n++)
        rises += r->sample[n - 1] < LOUD / 2 && r->sample[n] >= LOUD / 2;
    cr_expect(rises == 879 || rises == 880, "%u periods", rises);
    rig_free(r);
}

Test(pcspk, silence_costs_nothing)
{
    struct rig *r = rig_new(RATE);

    tone(r, 0xb6, 1000);
    outb(r->b, 0x61, 1); /* the counter runs and nobody hears it */
    cr_expect_eq(clk_next_deadline(&r->b->clk), CLK_NEVER, "no timer");
    for (unsigned i = 0; i < 1000; i++) {
        outb(r->b, 0x42, i & 0xff);
        outb(r->b, 0x42, 4);
        outb(r->b, 0x61, i & 1);
        board_run(r->b, MS);
    }
    cr_expect_eq(r->calls, 0);
    speaker(r, true);
    board_run(r->b, 100 * MS);
    cr_expect_gt(r->end, 0);
    speaker(r, false);
    u64 end = r->end;
    board_run(r->b, 1000 * MS);
    cr_expect_leq(r->end, end + RATE / 50, "what was sounding ends with the speaker");
    cr_expect_eq(r->rests, 0);
    board_run(r->b, 1100 * MS);
    cr_expect_eq(r->rests, 1, "the host hears that it may rest");
    cr_expect_eq(clk_next_deadline(&r->b->clk), CLK_NEVER);
    rig_free(r);
}

/* A melody keeps its time: what sounds is where it was, with silence between. */
Test(pcspk, gaps_stay)
{
    struct rig *r = rig_new(8000);

    tone(r, 0xb6, 1193);
    for (unsigned i = 0; i < 5; i++) {
        speaker(r, true);
        board_run(r->b, 100 * MS);
        speaker(r, false);
        board_run(r->b, 100 * MS);
    }
    for (unsigned n = 0; n < 8000; n++) {
        bool sounds = n / 800 % 2 == 0;

        if (n % 800 > 2 && n % 800 < 798)
            cr_assert_eq(r->played[n], sounds, "sample %u", n);
    }
    rig_free(r);
}

/* Samples by pulse width, as games of the time played them: mode 0 at 16 kHz, the pulse low for `count` ticks of 74. */
Test(pcspk, pcm_by_pulse_width)
{
    struct rig *r = rig_new(16000);
    double error = 0;

    outb(r->b, 0x43, 0x90); /* low byte, mode 0 */
    speaker(r, true);
    for (unsigned n = 0; n < 16000; n++) {
        outb(r->b, 0x42, 1 + n % 70);
        board_run(r->b, 62500);
    }
    for (unsigned n = 100; n < 15000; n++)
        error = fmax(error, fabs(r->sample[n] - (1 - (1 + n % 70) * 1e9 / PIT_HZ / 62500) * LOUD));
    cr_expect(error < LOUD * 0.01, "off by %f", error);
    rig_free(r);
}

/* Bit 1 alone makes sound too, while OUT2 stands high. */
Test(pcspk, pcm_by_the_enable_bit)
{
    struct rig *r = rig_new(RATE);
    unsigned rises = 0;

    outb(r->b, 0x43, 0xb6);
    for (unsigned i = 0; i < 1000; i++) {
        outb(r->b, 0x61, i & 1 ? 2 : 0);
        board_run(r->b, 500 * US);
    }
    for (u64 n = 1; n < r->end; n++)
        rises += r->sample[n - 1] < LOUD / 2 && r->sample[n] >= LOUD / 2;
    cr_expect(rises >= 498 && rises <= 501, "%u periods of 1 ms", rises);
    rig_free(r);
}

/* A new count takes over at the end of a period: a siren has no clicks, each half period is the old or the new length. */
Test(pcspk, sliding_tone)
{
    struct rig *r = rig_new(SOUND_RATE_MAX);
    u64 last = 0;
    unsigned seen = 0;

    outb(r->b, 0x43, 0xb6);
    outb(r->b, 0x42, 0);
    outb(r->b, 0x42, 8);
    speaker(r, true);
    for (unsigned i = 0; i < 300; i++) {
        outb(r->b, 0x42, (0x800 + i * 4) & 0xff);
        outb(r->b, 0x42, (0x800 + i * 4) >> 8);
        board_run(r->b, 700 * US);
        if (i % 3 == 0)
            inb(r->b, 0x61); /* settles the counter before the samples are made */
    }
    for (u64 n = 1; n < r->end; n++)
        if (r->sample[n - 1] < LOUD / 2 && r->sample[n] >= LOUD / 2) {
            double ticks = (double)(n - last) * PIT_HZ / SOUND_RATE_MAX;

            if (last)
                cr_assert(ticks > 0x800 - 16 && ticks < 0xcb0 + 16, "a period of %f ticks", ticks);
            last = n;
            seen++;
        }
    cr_expect_gt(seen, 70);
    rig_free(r);
}

/* Nothing that a guest writes, and no clock that jumps, breaks it. */
Test(pcspk, random_traffic, .timeout = 60)
{
    struct rig *r = rig_new(RATE);
    u32 seed = 12345;

    for (unsigned i = 0; i < 200000 && r->b->now_ns < 3800 * MS; i++) {
        seed = seed * 1103515245 + 12345;
        switch (seed >> 28) {
        case 0: board_run(r->b, seed >> 8 & 0xffff); break;
        case 1:
            if (!(seed >> 20 & 0xff))
                r->b->clk.base_ns += 5000; /* it stands still for a moment */
            break;
        case 2:
        case 3: outb(r->b, 0x61, seed >> 16 & 3); break;
        case 4: outb(r->b, 0x43, 0x80 | (seed >> 16 & 0x3f)); break;
        case 5: inb(r->b, 0x61); break;
        default: outb(r->b, 0x42, seed >> 16 & 0xff); break;
        }
    }
    cr_expect_eq(r->twice, 0);
    for (u64 n = 0; n < r->end; n++)
        cr_assert(r->sample[n] >= 0 && r->sample[n] <= LOUD);
    rig_free(r);
}

/* A machine that was saved while it beeped goes on beeping when its state is back. */
Test(pcspk, restored)
{
    struct rig *r = rig_new(RATE);
    struct pit_counter was;
    u64 end;

    tone(r, 0xb6, 1193);
    speaker(r, true);
    board_run(r->b, 100 * MS);
    was = r->pit.counter[2];
    pit_reset(&r->pit);
    board_run(r->b, 100 * MS);
    end = r->end;
    board_run(r->b, 100 * MS);
    cr_expect_eq(r->end, end, "silent after a reset");
    r->pit.counter[2] = was;
    r->pit.port61 = 3;
    pit_state.restored(&r->pit);
    board_run(r->b, 100 * MS);
    cr_expect_gt(r->end, end + RATE / 20);
    cr_expect_eq(r->twice, 0);
    rig_free(r);
}

Test(pcspk, impossible_rates)
{
    struct board *b = board_new();
    struct pit pit;
    struct pcspk s;

    cr_assert_eq(pit_init(&pit, &b->io, &b->clk, board_line(b, 0)), 0);
    cr_expect_eq(pcspk_init(&s, &pit, &b->clk, &(struct sound_back){.rate = 0}), 0);
    cr_expect_null(pit.changed);
    cr_expect_eq(pcspk_init(&s, &pit, &b->clk, &(struct sound_back){1, record, NULL}), -EINVAL);
    cr_expect_eq(pcspk_init(&s, &pit, &b->clk, &(struct sound_back){1000000, record, NULL}), -EINVAL);
    free(b);
}
