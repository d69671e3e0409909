/*
 * test_timers.c - PIT and RTC: counting, interrupts, catching up.
 */
#include <criterion/criterion.h>

#include "devices/pit.h"
#include "devices/rtc.h"
#include "tests/unit/devices/board.h"

static struct board *pit_board(struct pit *pit)
{
    struct board *b = board_new();
    cr_assert_eq(pit_init(pit, &b->io, &b->clk, board_line(b, 0)), 0);
    return b;
}

static u16 latch(struct board *b, unsigned n)
{
    outb(b, 0x43, n << 6);
    u8 lo = inb(b, 0x40 + (u16)n);
    return (u16)(lo | inb(b, 0x40 + (u16)n) << 8);
}

static void load(struct board *b, unsigned n, unsigned mode, unsigned count)
{
    outb(b, 0x43, n << 6 | 0x30 | mode << 1);
    outb(b, 0x40 + (u16)n, count & 0xff);
    outb(b, 0x40 + (u16)n, count >> 8);
}

Test(pit, rate_generator_ticks_in_phase)
{
    struct pit pit;
    struct board *b = pit_board(&pit);
    load(b, 0, 2, 11932); /* 100 Hz */
    b->line[0].rises = 0;
    board_run(b, 1000 * MS + 1 * MS);
    cr_assert_eq(b->line[0].rises, 100);
    board_run(b, 60 * 1000 * MS);
    cr_assert_leq(abs((int)b->line[0].rises - 6100), 1);
    free(b);
}

Test(pit, ticks_of_a_busy_host_come_late_but_come)
{
    struct pit pit;
    struct board *b = pit_board(&pit);
    load(b, 0, 2, 11932);
    b->line[0].rises = 0;
    b->now_ns += 200 * MS + 1; /* nobody ran the clock */
    clk_run_due(&b->clk);
    cr_assert_leq(b->line[0].rises, 2); /* no flood */
    board_run(b, 301 * MS);
    cr_assert_eq(b->line[0].rises, 50);
    free(b);
}

Test(pit, owed_ticks_are_capped_at_a_second)
{
    struct pit pit;
    struct board *b = pit_board(&pit);
    load(b, 0, 2, 11932);
    b->line[0].rises = 0;
    b->now_ns += 3600ull * 1000 * MS;
    board_run(b, 1000 * MS);
    cr_assert_leq(b->line[0].rises, 203);
    cr_assert_geq(b->line[0].rises, 199);
    free(b);
}

Test(pit, unacknowledged_ticks_are_owed)
{
    struct pit pit;
    struct board *b = pit_board(&pit);
    load(b, 0, 2, 11932);
    board_run(b, 5 * MS);
    b->line[0].rises = 0;
    b->line[0].refuse = true;
    board_run(b, 100 * MS);
    cr_assert_eq(b->line[0].rises, 0);
    b->line[0].refuse = false;
    board_run(b, 100 * MS);
    cr_assert_eq(b->line[0].rises, 20);
    free(b);
}

Test(pit, one_shot_modes_fire_once)
{
    struct pit pit;
    struct board *b = pit_board(&pit);
    static const unsigned modes[] = {0, 4};
    for (unsigned i = 0; i < 2; i++) {
        load(b, 0, modes[i], 1193);
        b->line[0].rises = 0;
        board_run(b, 990 * US);
        cr_assert_eq(b->line[0].rises, 0);
        board_run(b, 20 * US);
        cr_assert_eq(b->line[0].rises, 1);
        board_run(b, 500 * MS);
        cr_assert_eq(b->line[0].rises, 1);
    }
    free(b);
}

Test(pit, a_new_one_shot_count_restarts)
{
    struct pit pit;
    struct board *b = pit_board(&pit);
    load(b, 0, 4, 11932);
    board_run(b, 9 * MS);
    outb(b, 0x40, 11932 & 0xff); /* as Linux's pit_next_event() */
    outb(b, 0x40, 11932 >> 8);
    b->line[0].rises = 0;
    board_run(b, 9 * MS);
    cr_assert_eq(b->line[0].rises, 0);
    board_run(b, 2 * MS);
    cr_assert_eq(b->line[0].rises, 1);
    free(b);
}

Test(pit, new_periodic_count_waits_for_the_period_to_end)
{
    struct pit pit;
    struct board *b = pit_board(&pit);
    load(b, 0, 2, 11932);
    b->line[0].rises = 0;
    board_run(b, 5 * MS);
    outb(b, 0x40, 1193 & 0xff);
    outb(b, 0x40, 1193 >> 8);
    latch(b, 0);
    board_run(b, 4 * MS);
    cr_assert_eq(b->line[0].rises, 0);
    b->now_ns += 6 * MS;
    latch(b, 0); /* a read between must not lose the edge at the change */
    board_run(b, 5 * MS);
    cr_assert_geq(b->line[0].rises, 10);
    cr_assert_leq(b->line[0].rises, 12);
    free(b);
}

Test(pit, counts_down_and_latches)
{
    struct pit pit;
    struct board *b = pit_board(&pit);
    load(b, 0, 2, 0); /* 65536 */
    b->now_ns += 10 * MS;
    u16 v = latch(b, 0);
    cr_assert_leq(abs(v - (65536 - 11931)), 2);
    outb(b, 0x43, 0x00);
    b->now_ns += 10 * MS;
    outb(b, 0x43, 0x00); /* a second latch command is ignored */
    u8 lo = inb(b, 0x40);
    cr_assert_leq(abs((lo | inb(b, 0x40) << 8) - v), 2);
    free(b);
}

Test(pit, square_wave_counts_by_two)
{
    struct pit pit;
    struct board *b = pit_board(&pit);
    load(b, 0, 3, 10000);
    b->now_ns += 2095 * US; /* 2500 ticks: half of the first half */
    u16 v = latch(b, 0);
    cr_assert_leq(abs(v - 5000), 4);
    cr_assert_eq(v & 1, 0);
    free(b);
}

Test(pit, read_back_gives_status_then_count)
{
    struct pit pit;
    struct board *b = pit_board(&pit);
    outb(b, 0x43, 0x34);
    outb(b, 0x43, 0xe2);              /* status of counter 0 */
    cr_assert_eq(inb(b, 0x40), 0xf4); /* OUT high, null count, LSB+MSB, mode 2 */
    load(b, 0, 2, 1000);
    outb(b, 0x43, 0xc2); /* both */
    cr_assert_eq(inb(b, 0x40), 0xb4);
    cr_assert_eq(inb(b, 0x40), 1000 & 0xff);
    cr_assert_eq(inb(b, 0x40), 1000 >> 8);
    free(b);
}

Test(pit, bcd_counts)
{
    struct pit pit;
    struct board *b = pit_board(&pit);
    outb(b, 0x43, 0x31); /* mode 0, BCD */
    outb(b, 0x40, 0x00);
    outb(b, 0x40, 0x50);
    b->now_ns += 838 * US + 500; /* 1000 ticks */
    u16 v = latch(b, 0);
    cr_assert(v >= 0x3998 && v <= 0x4001, "%04x", v);
    free(b);
}

Test(pit, channel_2_by_port_61_as_calibration_loops_use_it)
{
    struct pit pit;
    struct board *b = pit_board(&pit);
    outb(b, 0x61, 0x01);
    load(b, 2, 0, 0xffff);
    cr_assert_eq(inb(b, 0x61) & 0x21, 0x01);
    b->now_ns += 10 * MS;
    cr_assert_leq(abs(latch(b, 2) - (0xffff - 11931)), 2);
    outb(b, 0x61, 0x00); /* gate off: it stands still */
    u16 held = latch(b, 2);
    b->now_ns += 10 * MS;
    cr_assert_eq(latch(b, 2), held);
    outb(b, 0x61, 0x01);
    b->now_ns += 46 * MS;
    cr_assert_eq(inb(b, 0x61) & 0x20, 0x20);
    free(b);
}

Test(pit, refresh_bit_toggles)
{
    struct pit pit;
    struct board *b = pit_board(&pit);
    unsigned flips = 0;
    u8 last = inb(b, 0x61) & 0x10;
    for (unsigned i = 0; i < 1000; i++) {
        b->now_ns += 1 * US;
        u8 now = inb(b, 0x61) & 0x10;
        flips += now != last;
        last = now;
    }
    cr_assert(flips >= 65 && flips <= 67);
    free(b);
}

#define EPOCH 1700000000 /* 2023-11-14 22:13:20 UTC, a Tuesday */

static struct board *rtc_board(struct rtc *rtc)
{
    struct board *b = board_new();
    cr_assert_eq(rtc_init(rtc, &b->io, &b->clk, board_line(b, 0), EPOCH), 0);
    return b;
}

static u8 cmos(struct board *b, unsigned reg)
{
    outb(b, 0x70, reg);
    return inb(b, 0x71);
}

static void cmos_write(struct board *b, unsigned reg, u8 val)
{
    outb(b, 0x70, reg);
    outb(b, 0x71, val);
}

Test(rtc, shows_the_time_in_every_format)
{
    struct rtc rtc;
    struct board *b = rtc_board(&rtc);
    static const u8 want[] = {
        [0] = 0x20, [2] = 0x13, [4] = 0x22, [6] = 0x03, [7] = 0x14, [8] = 0x11, [9] = 0x23};
    for (unsigned reg = 0; reg < 10; reg++)
        if (want[reg])
            cr_assert_eq(cmos(b, reg), want[reg], "register %u: %02x", reg, cmos(b, reg));
    cr_assert_eq(cmos(b, 0x32), 0x20);
    cr_assert_eq(cmos(b, 0x0d), 0x80);
    cmos_write(b, 0x0b, 0x04); /* binary, 12 hours */
    cr_assert_eq(cmos(b, 4), 10 | 0x80);
    cr_assert_eq(cmos(b, 0), 20);
    b->now_ns += 40ull * 1000 * MS;
    cr_assert_eq(cmos(b, 0), 0);
    cr_assert_eq(cmos(b, 2), 14);
    free(b);
}

Test(rtc, update_in_progress_precedes_the_change)
{
    struct rtc rtc;
    struct board *b = rtc_board(&rtc);
    b->now_ns = 500 * MS;
    cr_assert_eq(cmos(b, 10), 0x26);
    b->now_ns = 999 * MS + 900 * US;
    cr_assert_eq(cmos(b, 10), 0xa6);
    b->now_ns = 1000 * MS;
    cr_assert_eq(cmos(b, 10), 0x26);
    cr_assert_eq(cmos(b, 0), 0x21);
    free(b);
}

Test(rtc, can_be_set)
{
    struct rtc rtc;
    struct board *b = rtc_board(&rtc);
    cmos_write(b, 0x0b, 0x82);
    cmos_write(b, 0, 0x58);
    cmos_write(b, 2, 0x59);
    cmos_write(b, 4, 0x23);
    cmos_write(b, 7, 0x31);
    cmos_write(b, 8, 0x12);
    cmos_write(b, 9, 0x99);
    cmos_write(b, 0x32, 0x19);
    b->now_ns += 5000 * MS;
    cr_assert_eq(cmos(b, 0), 0x58); /* stands while SET */
    cmos_write(b, 0x0b, 0x02);
    b->now_ns += 2500 * MS;
    cr_assert_eq(cmos(b, 0x32), 0x20);
    cr_assert_eq(cmos(b, 9), 0x00);
    cr_assert_eq(cmos(b, 7), 0x01);
    cr_assert_eq(cmos(b, 6), 0x07); /* 2000-01-01 was a Saturday */
    free(b);
}

Test(rtc, periodic_interrupt_waits_for_register_c)
{
    struct rtc rtc;
    struct board *b = rtc_board(&rtc);
    cmos_write(b, 0x0a, 0x26); /* 1024 Hz */
    cmos_write(b, 0x0b, 0x42);
    board_run(b, 10 * MS);
    cr_assert_eq(b->line[0].rises, 1);
    cr_assert_eq(cmos(b, 0x0c) & 0xc0, 0xc0);
    cr_assert_not(b->line[0].level);
    /* The nine that came meanwhile are delivered too, if each is acknowledged. */
    for (unsigned i = 0; i < 40; i++) {
        board_run(b, 250 * US);
        if (b->line[0].level)
            cmos(b, 0x0c);
    }
    cr_assert_geq(b->line[0].rises, 19);
    cr_assert_leq(b->line[0].rises, 21);
    free(b);
}

Test(rtc, update_and_alarm_interrupts)
{
    struct rtc rtc;
    struct board *b = rtc_board(&rtc);
    cmos_write(b, 0x0b, 0x12);
    board_run(b, 1100 * MS);
    cr_assert_eq(b->line[0].rises, 1);
    cr_assert_eq(cmos(b, 0x0c), 0x90 | 0x40); /* the periodic flag is set, though not enabled */
    cmos_write(b, 1, 0x25);
    cmos_write(b, 3, 0xc0);
    cmos_write(b, 5, 0xff);
    cmos_write(b, 0x0b, 0x22);
    board_run(b, 2000 * MS);
    cr_assert_eq(b->line[0].rises, 1);
    board_run(b, 3000 * MS);
    cr_assert_eq(b->line[0].rises, 2);
    cr_assert_eq(cmos(b, 0x0c) & 0xa0, 0xa0);
    free(b);
}

Test(rtc, idle_clock_needs_no_timer)
{
    struct rtc rtc;
    struct board *b = rtc_board(&rtc);
    cr_assert_eq(clk_next_deadline(&b->clk), CLK_NEVER);
    free(b);
}

Test(rtc, memory_sizes_and_boot_order)
{
    struct rtc rtc;
    struct board *b = rtc_board(&rtc);
    rtc_set_machine(&rtc, 512ull << 20, 5ull << 30, "dca");
    cr_assert_eq(cmos(b, 0x15) | cmos(b, 0x16) << 8, 640);
    cr_assert_eq(cmos(b, 0x30) | cmos(b, 0x31) << 8, 0xffff);
    cr_assert_eq(cmos(b, 0x34) | cmos(b, 0x35) << 8, (512 - 16) * 16);
    cr_assert_eq(cmos(b, 0x5b) | cmos(b, 0x5c) << 8 | cmos(b, 0x5d) << 16, 5 * 16384);
    cr_assert_eq(cmos(b, 0x3d), 0x23);
    cr_assert_eq(cmos(b, 0x38) >> 4, 1);
    cmos_write(b, 0x0f, 0x0a);
    rtc_reset(&rtc);
    cr_assert_eq(cmos(b, 0x0f), 0x0a); /* how firmware knows why it was reset */
    free(b);
}

Test(rtc, nonsense_dates_are_survived)
{
    struct rtc rtc;
    struct board *b = rtc_board(&rtc);
    for (unsigned v = 0; v < 256; v++) {
        for (unsigned reg = 0; reg < 10; reg++)
            cmos_write(b, reg, (u8)v);
        cmos_write(b, 0x32, (u8)v);
        cmos_write(b, 0x0b, (u8)(v & 0x7f));
        board_run(b, 1500 * MS);
        for (unsigned reg = 0; reg < 14; reg++)
            cmos(b, reg);
    }
    free(b);
}
