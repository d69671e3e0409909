/*
 * test_bus.c - port and MMIO routing, splitting, overlap; the clock's order and bounds.
 */
#include <criterion/criterion.h>

#include "tests/unit/devices/board.h"

struct log {
    u32 offset[16], val[16];
    unsigned size[16], n;
};

static u32 log_read(void *opaque, u32 offset, unsigned size)
{
    struct log *log = opaque;
    log->offset[log->n] = offset;
    log->size[log->n++ & 15] = size;
    return 0x11111111u * (offset + 1);
}

static void log_write(void *opaque, u32 offset, unsigned size, u32 val)
{
    struct log *log = opaque;
    log->offset[log->n] = offset;
    log->val[log->n] = val;
    log->size[log->n++ & 15] = size;
}

static const struct bus_ops narrow = {.read = log_read, .write = log_write};
static const struct bus_ops wide = {.read = log_read, .write = log_write, .max_size = 4};

Test(bus, unclaimed_ports_read_ones)
{
    struct board *b = board_new();
    cr_assert_eq(io_bus_read(&b->io, 0x123, 1), 0xff);
    cr_assert_eq(io_bus_read(&b->io, 0x123, 2), 0xffff);
    cr_assert_eq(io_bus_read(&b->io, 0xffff, 4), 0xffffffff);
    cr_assert_eq(io_bus_read(&b->io, 0, 3), 0xffffffff);
    io_bus_write(&b->io, 0xfffe, 4, 0);
    free(b);
}

Test(bus, overlap_is_refused_and_leaves_nothing_behind)
{
    struct board *b = board_new();
    struct log log = {0};
    cr_assert_eq(io_bus_register(&b->io, 0x100, 8, &narrow, &log), 0);
    cr_assert_eq(io_bus_register(&b->io, 0xfc, 5, &narrow, &log), -EEXIST);
    cr_assert_eq(io_bus_register(&b->io, 0xfff0, 17, &narrow, &log), -EINVAL);
    cr_assert_eq(io_bus_register(&b->io, 0xfc, 4, &narrow, &log), 0);
    cr_assert_eq(io_bus_unregister(&b->io, 0x101), -ENOENT);
    cr_assert_eq(io_bus_unregister(&b->io, 0x100), 0);
    cr_assert_eq(io_bus_read(&b->io, 0x100, 1), 0xff);
    free(b);
}

Test(bus, wide_access_to_a_narrow_chip_is_split_low_first)
{
    struct board *b = board_new();
    struct log log = {0};
    cr_assert_eq(io_bus_register(&b->io, 0x100, 3, &narrow, &log), 0);
    io_bus_write(&b->io, 0x100, 4, 0x44332211);
    cr_assert_eq(log.n, 3); /* the fourth byte belongs to nobody */
    for (unsigned i = 0; i < 3; i++) {
        cr_assert_eq(log.offset[i], i);
        cr_assert_eq(log.val[i], 0x11u * (i + 1));
    }
    cr_assert_eq(io_bus_read(&b->io, 0x100, 4), 0xff332211);
    free(b);
}

Test(bus, wide_chip_gets_one_access_unless_it_would_leave_the_range)
{
    struct board *b = board_new();
    struct log log = {0};
    cr_assert_eq(io_bus_register(&b->io, 0x100, 4, &wide, &log), 0);
    io_bus_read(&b->io, 0x100, 4);
    cr_assert_eq(log.n, 1);
    io_bus_read(&b->io, 0x102, 4);
    cr_assert_eq(log.n, 2);
    cr_assert_eq(log.size[1], 2);
    free(b);
}

Test(bus, mmio_is_found_among_neighbours_and_split)
{
    struct board *b = board_new();
    struct log log = {0}, other = {0};
    cr_assert_eq(mmio_bus_register(&b->mmio, 0xf0000000, 0x1000, &wide, &log), 0);
    cr_assert_eq(mmio_bus_register(&b->mmio, 0xa0000, 0x20000, &narrow, &other), 0);
    cr_assert_eq(mmio_bus_register(&b->mmio, 0xf0001000, 0x1000, &wide, &other), 0);
    cr_assert_eq(mmio_bus_register(&b->mmio, 0xeffff000, 0x1001, &wide, &other), -EEXIST);
    cr_assert_eq(mmio_bus_read(&b->mmio, 0xf0000000, 8), 0x5555555511111111ull);
    cr_assert_eq(log.n, 2);
    mmio_bus_read(&b->mmio, 0xf0000ffe, 4); /* two bytes here, two there */
    cr_assert_eq(log.n, 3);
    cr_assert_eq(other.n, 1);
    cr_assert_eq(mmio_bus_read(&b->mmio, 0x9fffe, 4), 0x2211ffff);
    cr_assert(mmio_bus_claims(&b->mmio, 0x9f000, 0x1001));
    cr_assert_not(mmio_bus_claims(&b->mmio, 0x9f000, 0x1000));
    cr_assert_eq(mmio_bus_unregister(&b->mmio, 0xf0000000), 0);
    cr_assert_eq(mmio_bus_read(&b->mmio, 0xf0000ffe, 2), 0xffff);
    free(b);
}

static void count(void *opaque, u64 now)
{
    (void)now;
    ++*(unsigned *)opaque;
}

struct selfish {
    struct clk *clk;
    struct clk_timer timer;
    unsigned n;
};

static void again(void *opaque, u64 now)
{
    struct selfish *s = opaque;
    s->n++;
    clk_timer_set(s->clk, &s->timer, now);
}

Test(clk, timers_run_in_order_once_and_can_be_cancelled)
{
    struct board *b = board_new();
    unsigned n[3] = {0};
    struct clk_timer t[3];
    for (unsigned i = 0; i < 3; i++) {
        clk_timer_init(&t[i], count, &n[i]);
        clk_timer_set(&b->clk, &t[i], 300 - 100 * i);
    }
    cr_assert_eq(clk_next_deadline(&b->clk), 100);
    clk_timer_cancel(&b->clk, &t[1]);
    b->now_ns = 150;
    cr_assert_eq(clk_run_due(&b->clk), 1);
    cr_assert_eq(n[2], 1);
    b->now_ns = 1000;
    clk_run_due(&b->clk);
    cr_assert_eq(n[0], 1);
    cr_assert_eq(n[1], 0);
    cr_assert_eq(clk_next_deadline(&b->clk), CLK_NEVER);
    free(b);
}

Test(clk, a_timer_that_rearms_in_the_past_does_not_hold_the_caller)
{
    struct board *b = board_new();
    struct selfish s = {.clk = &b->clk};
    clk_timer_init(&s.timer, again, &s);
    clk_timer_set(&b->clk, &s.timer, 0);
    cr_assert_leq(clk_run_due(&b->clk), 64);
    free(b);
}

Test(clk, pause_stops_time_and_deadlines)
{
    struct board *b = board_new();
    unsigned n = 0;
    struct clk_timer t;
    clk_timer_init(&t, count, &n);
    clk_timer_set(&b->clk, &t, 1000);
    b->now_ns = 500;
    clk_pause(&b->clk);
    b->now_ns = 5000;
    cr_assert_eq(clk_now(&b->clk), 500);
    cr_assert_eq(clk_next_deadline(&b->clk), CLK_NEVER);
    cr_assert_eq(clk_run_due(&b->clk), 0);
    clk_resume(&b->clk);
    cr_assert_eq(clk_now(&b->clk), 500);
    b->now_ns = 5500;
    cr_assert_eq(clk_run_due(&b->clk), 1);
    b->now_ns = 100; /* a source that jumps back does not take virtual time with it */
    cr_assert_eq(clk_now(&b->clk), 1000);
    free(b);
}
