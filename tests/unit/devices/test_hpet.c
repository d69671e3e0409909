/*
 * test_hpet.c - the HPET (IA-PC HPET specification 1.0a) as Linux and others program it.
 *
 * A counter that drifts, a match that is early, lost or doubled, a period that forgets its phase, the 8254 or RTC heard where they are
 * replaced: each fails here.
 */
#include <criterion/criterion.h>

#include "devices/hpet.h"
#include "tests/unit/devices/board.h"

enum { CAP = 0, CONFIG = 0x10, STATUS = 0x20, COUNTER = 0xf0, T_CONFIG = 0x100, T_COMPARE = 0x108 };
enum { LEVEL = 2, ON = 4, PERIODIC = 8, SET_VALUE = 0x40, MODE32 = 0x100 };

struct rig {
    struct board *b;
    struct hpet h;
    unsigned rises[32];
    bool level[32];
};

static bool out(void *opaque, unsigned n, bool level)
{
    struct rig *r = opaque;
    cr_assert_lt(n, 32);
    r->rises[n] += level && !r->level[n];
    r->level[n] = level;
    return true;
}

static u32 get(struct rig *r, u32 reg)
{
    return (u32)mmio_bus_read(&r->b->mmio, HPET_BASE + reg, 4);
}

static void set(struct rig *r, u32 reg, u32 val)
{
    mmio_bus_write(&r->b->mmio, HPET_BASE + reg, 4, val);
}

static struct rig *rig_new(void)
{
    struct rig *r = calloc(1, sizeof(*r));
    r->b = board_new();
    cr_assert_eq(hpet_init(&r->h, &r->b->mmio, &r->b->clk, (struct irq_line){.fn = out, .opaque = r}, board_line(r->b, 0),
                           board_line(r->b, 1)),
                 0);
    return r;
}

static void rig_free(struct rig *r)
{
    free(r->b);
    free(r);
}

Test(hpet, capabilities_and_counter)
{
    struct rig *r = rig_new();
    cr_expect_eq(get(r, CAP), 0x8086a201, "three timers, 64 bits, legacy replacement, Intel");
    cr_expect_eq(get(r, CAP + 4), 10000000, "10 ns in femtoseconds");
    board_run(r->b, MS);
    cr_expect_eq(get(r, COUNTER), 0, "it stands until switched on");
    set(r, CONFIG, 1);
    board_run(r->b, MS);
    cr_expect_eq(get(r, COUNTER), 100000);
    set(r, CONFIG, 0);
    board_run(r->b, MS);
    cr_expect_eq(get(r, COUNTER), 100000);
    set(r, COUNTER, 5);
    set(r, COUNTER + 4, 7);
    set(r, CONFIG, 1);
    board_run(r->b, 100);
    cr_expect_eq(mmio_bus_read(&r->b->mmio, HPET_BASE + COUNTER, 8), 7ull << 32 | 15);
    cr_expect_eq(get(r, T_CONFIG) & 0x30, 0x30, "periodic, 64 bits");
    cr_expect_eq(get(r, T_CONFIG + 4), 0xff0104);
    rig_free(r);
}

Test(hpet, one_shot_at_its_input)
{
    struct rig *r = rig_new();
    set(r, CONFIG, 1);
    set(r, T_CONFIG + 0x40, ON | MODE32 | 20 << 9); /* timer 2 */
    set(r, T_COMPARE + 0x40, 1000);
    board_run(r->b, 9999);
    cr_expect_eq(r->rises[20], 0);
    board_run(r->b, 1);
    cr_expect_eq(r->rises[20], 1);
    cr_expect_not(r->level[20], "an edge");
    board_run(r->b, 100 * MS);
    cr_expect_eq(r->rises[20], 1);
    set(r, T_COMPARE + 0x40, get(r, COUNTER) - 10); /* too late: at once */
    board_run(r->b, US);
    cr_expect_eq(r->rises[20], 2);
    rig_free(r);
}

Test(hpet, level_until_the_status_is_cleared)
{
    struct rig *r = rig_new();
    set(r, CONFIG, 1);
    set(r, T_CONFIG, ON | LEVEL | MODE32 | 16 << 9);
    set(r, T_COMPARE, 100);
    board_run(r->b, MS);
    cr_expect(r->level[16]);
    cr_expect_eq(get(r, STATUS), 1);
    set(r, STATUS, 2);
    cr_expect(r->level[16], "another's bit");
    set(r, STATUS, 1);
    cr_expect_not(r->level[16]);
    cr_expect_eq(get(r, STATUS), 0);
    rig_free(r);
}

/* As Linux's hpet_clkevt_set_state_periodic(). */
Test(hpet, periodic_with_its_start_value)
{
    struct rig *r = rig_new();
    set(r, CONFIG, 3);
    board_run(r->b, MS);
    set(r, T_CONFIG, ON | PERIODIC | SET_VALUE | MODE32);
    set(r, T_COMPARE, get(r, COUNTER) + 50000);
    set(r, T_COMPARE, 100000); /* the period */
    board_run(r->b, MS / 2 - 1);
    cr_expect_eq(r->rises[0], 0);
    board_run(r->b, 1);
    cr_expect_eq(r->rises[0], 1, "legacy: timer 0 is IRQ 0");
    for (unsigned i = 2; i < 50; i++) {
        board_run(r->b, MS - 1);
        cr_expect_eq(r->rises[0], i - 1);
        board_run(r->b, 1);
        cr_expect_eq(r->rises[0], i);
    }
    r->b->now_ns += 20 * MS; /* the host was busy: 20 are owed */
    board_run(r->b, 20 * MS);
    cr_expect_eq(r->rises[0], 49 + 40);
    rig_free(r);
}

Test(hpet, sixty_four_bits_in_halves)
{
    struct rig *r = rig_new();
    set(r, CONFIG, 1);
    set(r, T_CONFIG, ON | PERIODIC | SET_VALUE | 21 << 9);
    set(r, T_COMPARE, 2000);
    set(r, T_COMPARE + 4, 0); /* reset leaves ones there */
    set(r, T_COMPARE, 1000);
    board_run(r->b, 20 * US);
    cr_expect_eq(r->rises[21], 1);
    board_run(r->b, 10 * US);
    cr_expect_eq(r->rises[21], 2);
    rig_free(r);
}

Test(hpet, replaces_8254_and_rtc)
{
    struct rig *r = rig_new();
    struct irq_line pit = hpet_pit_line(&r->h), rtc = hpet_rtc_line(&r->h);
    irq_set(pit, true);
    irq_set(rtc, true);
    cr_expect(r->b->line[0].level && r->b->line[1].level);
    set(r, CONFIG, 2);
    cr_expect_not(r->b->line[0].level || r->b->line[1].level);
    irq_set(pit, false);
    cr_expect(irq_set(pit, true), "nobody listens: it is not owed");
    cr_expect_not(r->b->line[0].level);
    set(r, T_CONFIG + 0x20, ON | MODE32);
    set(r, T_COMPARE + 0x20, 10);
    set(r, CONFIG, 3);
    board_run(r->b, US);
    cr_expect_eq(r->rises[8], 1, "timer 1 is IRQ 8");
    set(r, CONFIG, 1);
    cr_expect(r->b->line[0].level && r->b->line[1].level, "as they drive them");
    hpet_reset(&r->h);
    cr_expect(r->b->line[0].level);
    rig_free(r);
}

/* Whatever the numbers, time goes on. */
Test(hpet, extreme_values)
{
    static const u32 values[] = {0, 1, 2, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff};
    for (size_t i = 0; i < ARRAY_SIZE(values); i++)
        for (size_t k = 0; k < ARRAY_SIZE(values); k++)
            for (u32 mode = 0; mode < 4; mode++) {
                struct rig *r = rig_new();
                set(r, COUNTER, values[k]);
                set(r, COUNTER + 4, values[i]);
                set(r, CONFIG, 1);
                set(r, T_CONFIG, ON | (mode & 1 ? PERIODIC | SET_VALUE : 0) | (mode & 2 ? MODE32 : 0));
                set(r, T_COMPARE, values[i]);
                set(r, T_COMPARE + 4, values[k]);
                set(r, T_COMPARE, values[k]);
                set(r, T_COMPARE + 4, values[i]);
                board_run(r->b, 50 * US);
                r->b->now_ns += 100 * CLK_SECOND_NS;
                board_run(r->b, 50 * US);
                rig_free(r);
            }
}
