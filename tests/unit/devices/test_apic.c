/*
 * test_apic.c - local APIC (SDM vol. 3, chapter 11) and I/O APIC (82093AA) as kernels and firmware use them.
 *
 * On a board with a hand-driven clock; the 8259A is a flag. A wrong priority, a lost or doubled interrupt, a timer that is early or
 * forgets its phase, a level that is sent twice or never again: each fails here.
 */
#include <criterion/criterion.h>

#include "devices/ioapic.h"
#include "tests/unit/devices/board.h"

enum { ID = 0x20, TPR = 0x80, PPR = 0xa0, EOI = 0xb0, LDR = 0xd0, DFR = 0xe0, SVR = 0xf0, ISR = 0x100, TMR = 0x180, IRR = 0x200 };
enum { ESR = 0x280, ICR = 0x300, ICR2 = 0x310, LVTT = 0x320, LVT0 = 0x350, LVT1 = 0x360, LVTE = 0x370 };
enum { INITIAL = 0x380, CURRENT = 0x390, DIVIDE = 0x3e0, MASKED = 0x10000, PERIODIC = 0x20000 };
#define LEVEL 0x8000u
#define SELF 0x40000u
#define BY_1 0xbu

struct rig {
    struct board *b;
    struct lapic a;
    struct ioapic io;
    bool pic;
    unsigned nmis, inits, pic_acks;
};

static bool pic_intr_(void *opaque)
{
    return ((struct rig *)opaque)->pic;
}

static u8 pic_ack_(void *opaque)
{
    struct rig *r = opaque;
    r->pic_acks++;
    r->pic = false;
    lapic_lint0(&r->a, false);
    return 0x70;
}

static void on_nmi(void *opaque)
{
    ((struct rig *)opaque)->nmis++;
}

static void on_init(void *opaque)
{
    ((struct rig *)opaque)->inits++;
}

static u32 get(struct rig *r, u32 reg)
{
    return (u32)mmio_bus_read(&r->b->mmio, LAPIC_BASE + reg, 4);
}

static void set(struct rig *r, u32 reg, u32 val)
{
    mmio_bus_write(&r->b->mmio, LAPIC_BASE + reg, 4, val);
}

static struct rig *rig_new(void)
{
    struct rig *r = calloc(1, sizeof(*r));
    r->b = board_new();
    const struct lapic_wires w = {
        .mmio = &r->b->mmio,
        .clk = &r->b->clk,
        .intr = board_line(r->b, 0),
        .pic_intr = pic_intr_,
        .pic_ack = pic_ack_,
        .pic = r,
        .eoi = ioapic_eoi,
        .eoi_to = &r->io,
        .nmi = on_nmi,
        .init = on_init,
        .opaque = r,
    };
    cr_assert_eq(lapic_init(&r->a, &w), 0);
    cr_assert_eq(ioapic_init(&r->io, &r->b->mmio, &r->a), 0);
    set(r, SVR, 0x1ff);
    return r;
}

static void rig_free(struct rig *r)
{
    free(r->b);
    free(r);
}

static bool intr(const struct rig *r)
{
    cr_expect_eq(r->b->line[0].level, lapic_intr(&r->a), "the pin and what is said of it");
    return r->b->line[0].level;
}

static void send(struct rig *r, u8 vector)
{
    set(r, ICR, SELF | vector);
}

static u64 entry_get(struct rig *r, unsigned pin)
{
    u64 v;
    mmio_bus_write(&r->b->mmio, IOAPIC_BASE, 4, 0x11 + 2 * pin);
    v = mmio_bus_read(&r->b->mmio, IOAPIC_BASE + 0x10, 4) << 32;
    mmio_bus_write(&r->b->mmio, IOAPIC_BASE, 4, 0x10 + 2 * pin);
    return v | mmio_bus_read(&r->b->mmio, IOAPIC_BASE + 0x10, 4);
}

static void entry_set(struct rig *r, unsigned pin, u64 v)
{
    mmio_bus_write(&r->b->mmio, IOAPIC_BASE, 4, 0x11 + 2 * pin);
    mmio_bus_write(&r->b->mmio, IOAPIC_BASE + 0x10, 4, v >> 32);
    mmio_bus_write(&r->b->mmio, IOAPIC_BASE, 4, 0x10 + 2 * pin);
    mmio_bus_write(&r->b->mmio, IOAPIC_BASE + 0x10, 4, (u32)v);
}

static void pic_set(struct rig *r, bool level)
{
    r->pic = level;
    lapic_lint0(&r->a, level);
}

/* ---- local APIC ---- */

Test(lapic, every_pair_of_vectors_has_the_right_order)
{
    struct rig *r = rig_new();
    for (unsigned low = 16; low < 256; low += 7)
        for (unsigned high = low + 1; high < 256; high += 5) {
            send(r, (u8)low);
            send(r, (u8)high);
            cr_assert(intr(r));
            cr_assert_eq(lapic_ack(&r->a), high);
            cr_assert_not(intr(r), "%u is not above %u", low, high);
            set(r, EOI, 0);
            cr_assert_eq(lapic_ack(&r->a), low);
            send(r, (u8)high);
            cr_assert_eq(intr(r), high >> 4 > low >> 4, "%u while %u is in service", high, low);
            set(r, EOI, 0);
            if (!(high >> 4 > low >> 4))
                cr_assert(intr(r));
            cr_assert_eq(lapic_ack(&r->a), high);
            set(r, EOI, 0);
        }
    for (u32 i = 0; i < 8; i++)
        cr_expect(!get(r, ISR + 16 * i) && !get(r, IRR + 16 * i));
    rig_free(r);
}

Test(lapic, task_priority_and_processor_priority)
{
    struct rig *r = rig_new();
    for (unsigned tpr = 0; tpr < 256; tpr++) {
        set(r, TPR, tpr);
        cr_assert_eq(get(r, TPR), tpr);
        cr_assert_eq(get(r, PPR), tpr);
        send(r, 0x5a);
        cr_assert_eq(intr(r), tpr >> 4 < 5, "TPR %x", tpr);
        set(r, TPR, 0);
        cr_assert(intr(r));
        cr_assert_eq(lapic_ack(&r->a), 0x5a);
        set(r, TPR, tpr);
        cr_assert_eq(get(r, PPR), tpr >> 4 >= 5 ? tpr : 0x50u, "TPR %x in service 5A", tpr);
        set(r, EOI, 0);
    }
    rig_free(r);
}

Test(lapic, an_interrupt_that_went_away_is_spurious)
{
    struct rig *r = rig_new();
    send(r, 0x40);
    set(r, TPR, 0xff);
    cr_expect_eq(lapic_ack(&r->a), 0xff);
    cr_expect_eq(get(r, ISR + 0x20), 0, "a spurious one needs no EOI");
    set(r, TPR, 0);
    cr_expect_eq(lapic_ack(&r->a), 0x40);
    rig_free(r);
}

Test(lapic, lint0)
{
    struct rig *r = rig_new();
    lapic_reset(&r->a);
    pic_set(r, true);
    cr_expect(intr(r), "open after reset");
    cr_expect_eq(lapic_ack(&r->a), 0x70);
    cr_expect_not(intr(r));
    set(r, SVR, 0x1ff);
    set(r, LVT0, MASKED | 0x700);
    pic_set(r, true);
    cr_expect_not(intr(r), "masked");
    set(r, LVT0, 0x700);
    cr_expect(intr(r));
    set(r, TPR, 0xff);
    cr_expect(intr(r), "ExtINT has no priority");
    cr_expect_eq(lapic_ack(&r->a), 0x70);
    set(r, TPR, 0);
    set(r, LVT0, 0x31); /* fixed, edge */
    pic_set(r, true);
    cr_expect_eq(lapic_ack(&r->a), 0x31);
    set(r, EOI, 0);
    cr_expect_not(intr(r), "one edge, one interrupt");
    pic_set(r, false);
    set(r, LVT0, LEVEL | 0x32);
    pic_set(r, true);
    cr_expect_eq(get(r, LVT0), LEVEL | 0x4000 | 0x32, "remote IRR");
    cr_expect_eq(lapic_ack(&r->a), 0x32);
    set(r, EOI, 0);
    cr_expect(intr(r), "the level is still there");
    pic_set(r, false);
    cr_expect_eq(lapic_ack(&r->a), 0x32);
    set(r, EOI, 0);
    cr_expect_not(intr(r));
    rig_free(r);
}

Test(lapic, switched_off_it_is_an_at)
{
    struct rig *r = rig_new();
    set(r, LVT0, MASKED);
    cr_expect_not(lapic_set_base(&r->a, LAPIC_BASE | LAPIC_BASE_EN | BIT(10)), "x2APIC");
    cr_expect_not(lapic_set_base(&r->a, 1ull << 36 | LAPIC_BASE | LAPIC_BASE_EN));
    send(r, 0x40);
    cr_expect(lapic_set_base(&r->a, LAPIC_BASE | LAPIC_BASE_BSP));
    cr_expect_not(intr(r));
    pic_set(r, true);
    cr_expect(intr(r));
    cr_expect_eq(get(r, SVR), 0xffffffff, "no registers");
    pic_set(r, false);
    cr_expect(lapic_set_base(&r->a, 0xd0000000 | LAPIC_BASE_EN | LAPIC_BASE_BSP));
    cr_expect_eq(mmio_bus_read(&r->b->mmio, 0xd0000000 + SVR, 4), 0xff, "elsewhere, off by software");
    cr_expect_eq(get(r, SVR), 0xffffffff);
    rig_free(r);
}

Test(lapic, software_disable_masks_and_silences)
{
    struct rig *r = rig_new();
    set(r, LVT1, 0x400);
    set(r, SVR, 0xff);
    for (u32 reg = LVTT; reg <= LVTE; reg += 16) {
        set(r, reg, 0x20);
        cr_expect_eq(get(r, reg), MASKED | 0x20);
    }
    send(r, 0x50);
    cr_expect_eq(get(r, IRR + 0x20), 0);
    rig_free(r);
}

Test(lapic, destinations)
{
    static const struct {
        u32 id, ldr, dfr, icr2, icr;
        bool me;
    } t[] = {
        {0, 0, 0xf, 0x00, 0, true},
        {0, 0, 0xf, 0x01, 0, false},
        {5, 0, 0xf, 0x05, 0, true},
        {5, 0, 0xf, 0xff, 0, true},
        {0, 0x04, 0xf, 0x06, 0x800, true},
        {0, 0x04, 0xf, 0x03, 0x800, false},
        {0, 0x24, 0x0, 0x24, 0x800, true},  /* cluster 2, member 2 */
        {0, 0x24, 0x0, 0x14, 0x800, false}, /* another cluster */
        {0, 0x24, 0x0, 0x2b, 0x800, false}, /* other members */
        {0, 0x24, 0x0, 0xff, 0x800, true},
        {0, 0, 0xf, 0x09, 0x40000, true},  /* self */
        {0, 0, 0xf, 0x09, 0x80000, true},  /* all */
        {0, 0, 0xf, 0x00, 0xc0000, false}, /* the others */
        {0, 0, 0xf, 0x00, 0x100, true},    /* lowest priority: I am alone */
    };
    for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
        struct rig *r = rig_new();
        set(r, ID, t[i].id << 24);
        set(r, LDR, t[i].ldr << 24);
        set(r, DFR, t[i].dfr << 28);
        set(r, ICR2, t[i].icr2 << 24);
        set(r, ICR, t[i].icr | 0x99);
        cr_expect_eq(intr(r), t[i].me, "row %zu", i);
        rig_free(r);
    }
}

Test(lapic, nmi_init_startup)
{
    struct rig *r = rig_new();
    set(r, ICR2, 0);
    set(r, ICR, 0x400);
    cr_expect_eq(r->nmis, 1);
    set(r, ICR, SELF | 0x400);
    cr_expect_eq(r->nmis, 1, "the self shorthand is for fixed ones");
    set(r, ICR, 0xc4500); /* Linux's INIT to the others */
    set(r, ICR, 0x8500);  /* level, de-assert */
    set(r, ICR, 0x4608);  /* start-up: I run */
    cr_expect_eq(r->inits, 0);
    set(r, ICR, 0x4500);
    cr_expect_eq(r->inits, 1);
    lapic_lint1(&r->a);
    cr_expect_eq(r->nmis, 2, "LINT1 is NMI after reset");
    set(r, LVT1, MASKED | 0x400);
    lapic_lint1(&r->a);
    cr_expect_eq(r->nmis, 2);
    set(r, LVT1, 0x66);
    lapic_lint1(&r->a);
    cr_expect_eq(lapic_ack(&r->a), 0x66);
    rig_free(r);
}

Test(lapic, errors)
{
    struct rig *r = rig_new();
    set(r, LVTE, 0xfe);
    send(r, 3);
    cr_expect_eq(get(r, ESR), 0, "shown once it is written");
    set(r, ESR, 0);
    cr_expect_eq(get(r, ESR), BIT(5));
    cr_expect_eq(lapic_ack(&r->a), 0xfe);
    set(r, EOI, 0);
    (void)get(r, 0x3f0);
    set(r, ESR, 0);
    cr_expect_eq(get(r, ESR), BIT(7), "no such register");
    set(r, LVTT, 5);
    set(r, DIVIDE, BY_1);
    set(r, INITIAL, 10);
    board_run(r->b, MS);
    set(r, ESR, 0);
    cr_expect_eq(get(r, ESR), BIT(6), "an illegal vector received");
    set(r, LVTE, 7); /* an illegal vector for the error itself */
    send(r, 3);
    rig_free(r);
}

Test(lapic, timer_divides)
{
    static const u8 divide[8] = {0x0, 0x1, 0x2, 0x3, 0x8, 0x9, 0xa, 0xb};
    static const u8 by[8] = {2, 4, 8, 16, 32, 64, 128, 1};
    for (unsigned i = 0; i < 8; i++) {
        struct rig *r = rig_new();
        u64 ns = 1000ull * by[i] * (CLK_SECOND_NS / LAPIC_HZ);
        set(r, DIVIDE, divide[i]);
        set(r, LVTT, 0x40);
        set(r, INITIAL, 1000);
        board_run(r->b, ns / 2);
        cr_expect_eq(get(r, CURRENT), 500, "by %u", by[i]);
        board_run(r->b, ns / 2 - 1);
        cr_expect_not(intr(r), "early by %u", by[i]);
        board_run(r->b, 1);
        cr_expect(intr(r), "late by %u", by[i]);
        cr_expect_eq(get(r, CURRENT), 0);
        cr_expect_eq(clk_next_deadline(&r->b->clk), CLK_NEVER, "once");
        rig_free(r);
    }
}

Test(lapic, periodic_timer_keeps_its_phase_and_owes_what_it_missed)
{
    struct rig *r = rig_new();
    unsigned ticks = 0;
    set(r, DIVIDE, BY_1);
    set(r, LVTT, PERIODIC | 0x40);
    set(r, INITIAL, LAPIC_HZ / 1000);
    for (unsigned i = 0; i < 10; i++) {
        board_run(r->b, MS - 1);
        cr_expect_eq(intr(r), false, "early at %u", i);
        board_run(r->b, 1);
        cr_assert_eq(lapic_ack(&r->a), 0x40);
        set(r, EOI, 0);
    }
    r->b->now_ns += 20 * MS; /* the host was busy */
    for (u64 i = 0; i < 40 * 100; i++) {
        board_run(r->b, MS / 100);
        if (intr(r)) {
            (void)lapic_ack(&r->a);
            set(r, EOI, 0);
            ticks++;
        }
    }
    cr_expect(ticks >= 59 && ticks <= 60, "%u ticks in 60 ms", ticks);
    ticks = 0;
    r->b->now_ns += 3600 * CLK_SECOND_NS;
    for (unsigned i = 0; i < 4000; i++) {
        board_run(r->b, MS / 4);
        if (intr(r)) {
            (void)lapic_ack(&r->a);
            set(r, EOI, 0);
            ticks++;
        }
    }
    cr_expect(ticks > 1500 && ticks < 2100, "%u: a second's worth is owed, no more", ticks);
    rig_free(r);
}

Test(lapic, masked_timer_wakes_nobody)
{
    struct rig *r = rig_new();
    set(r, LVTT, MASKED | PERIODIC | 0x40);
    set(r, INITIAL, 1000);
    cr_expect_eq(clk_next_deadline(&r->b->clk), CLK_NEVER);
    board_run(r->b, 12345);
    cr_expect_neq(get(r, CURRENT), 1000, "it counts all the same");
    set(r, LVTT, PERIODIC | 0x40);
    cr_expect_not(intr(r));
    board_run(r->b, 20 * US);
    cr_expect(intr(r));
    set(r, INITIAL, 0);
    cr_expect_eq(clk_next_deadline(&r->b->clk), CLK_NEVER);
    rig_free(r);
}

/* An LVT write while the expiry is due but the clock's timers have not run: it is still delivered. */
Test(lapic, rewriting_the_vector_loses_no_expiry)
{
    struct rig *r = rig_new();
    set(r, DIVIDE, BY_1);
    set(r, LVTT, 0x40);
    set(r, INITIAL, 100);
    r->b->now_ns += 5 * US;
    set(r, LVTT, 0x41);
    clk_run_due(&r->b->clk);
    cr_expect(intr(r));
    cr_expect_eq(lapic_ack(&r->a), 0x41);
    rig_free(r);
}

/* ---- I/O APIC ---- */

Test(ioapic, registers)
{
    struct rig *r = rig_new();
    mmio_bus_write(&r->b->mmio, IOAPIC_BASE, 4, 1);
    cr_expect_eq(mmio_bus_read(&r->b->mmio, IOAPIC_BASE + 0x10, 4), 0x170020);
    mmio_bus_write(&r->b->mmio, IOAPIC_BASE, 4, 0);
    mmio_bus_write(&r->b->mmio, IOAPIC_BASE + 0x10, 4, 0xffffffff);
    cr_expect_eq(mmio_bus_read(&r->b->mmio, IOAPIC_BASE + 0x10, 4), 0x0f000000);
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
        cr_expect_eq(entry_get(r, pin), MASKED);
        entry_set(r, pin, UINT64_MAX);
        cr_expect_eq(entry_get(r, pin), 0xff0000000001afffull, "pin %u", pin);
    }
    mmio_bus_write(&r->b->mmio, IOAPIC_BASE, 4, 0x40);
    cr_expect_eq(mmio_bus_read(&r->b->mmio, IOAPIC_BASE + 0x10, 4), 0, "no such register");
    rig_free(r);
}

Test(ioapic, edges)
{
    struct rig *r = rig_new();
    cr_expect(ioapic_set(&r->io, 4, true), "masked: lost for good, and owed to nobody");
    entry_set(r, 4, 0x44);
    cr_expect_not(intr(r));
    ioapic_set(&r->io, 4, false);
    cr_expect(ioapic_set(&r->io, 4, true));
    cr_expect(intr(r));
    ioapic_set(&r->io, 4, false);
    cr_expect_not(ioapic_set(&r->io, 4, true), "the one before is still waiting");
    cr_expect_eq(lapic_ack(&r->a), 0x44);
    ioapic_set(&r->io, 4, false);
    cr_expect(ioapic_set(&r->io, 4, true), "while the first is in service");
    cr_expect_not(intr(r));
    set(r, EOI, 0);
    cr_expect_eq(lapic_ack(&r->a), 0x44);
    rig_free(r);
}

Test(ioapic, levels)
{
    struct rig *r = rig_new();
    ioapic_set(&r->io, 10, true);
    entry_set(r, 10, LEVEL | 0x4a);
    cr_expect_eq(lapic_ack(&r->a), 0x4a, "up when it was opened");
    cr_expect_eq(entry_get(r, 10), LEVEL | 0x4000 | 0x4a);
    cr_expect_eq(get(r, TMR + 0x20), BIT(10));
    ioapic_set(&r->io, 10, false);
    ioapic_set(&r->io, 10, true);
    cr_expect_not(get(r, IRR + 0x20), "remote IRR holds it");
    set(r, EOI, 0);
    cr_expect_eq(lapic_ack(&r->a), 0x4a, "still up: again");
    ioapic_set(&r->io, 10, false);
    set(r, EOI, 0);
    cr_expect_not(intr(r));
    cr_expect_eq(entry_get(r, 10), LEVEL | 0x4a);
    /* Remote IRR without an EOI: the EOI register, and how kernels without it do it. */
    ioapic_set(&r->io, 10, true);
    mmio_bus_write(&r->b->mmio, IOAPIC_BASE + 0x40, 4, 0x4a);
    cr_expect_eq(entry_get(r, 10), LEVEL | 0x4000 | 0x4a, "up: set again at once");
    ioapic_set(&r->io, 10, false);
    entry_set(r, 10, MASKED | 0x4a);
    entry_set(r, 10, MASKED | LEVEL | 0x4a);
    cr_expect_eq(entry_get(r, 10), MASKED | LEVEL | 0x4a);
    rig_free(r);
}

/* The first EOI clears no pin but those with its vector, and an edge interrupt's EOI is not told at all. */
Test(ioapic, eoi_is_for_its_vector)
{
    struct rig *r = rig_new();
    entry_set(r, 10, LEVEL | 0x4a);
    entry_set(r, 11, LEVEL | 0x5b);
    ioapic_set(&r->io, 10, true);
    ioapic_set(&r->io, 11, true);
    cr_expect_eq(lapic_ack(&r->a), 0x5b);
    ioapic_set(&r->io, 11, false);
    set(r, EOI, 0);
    cr_expect_eq(entry_get(r, 11), LEVEL | 0x5b);
    cr_expect_eq(entry_get(r, 10), LEVEL | 0x4000 | 0x4a);
    rig_free(r);
}

Test(ioapic, delivery_modes_and_destinations)
{
    struct rig *r = rig_new();
    entry_set(r, 3, 0x400);
    ioapic_set(&r->io, 3, true);
    cr_expect_eq(r->nmis, 1);
    entry_set(r, 3, LEVEL | 0x400); /* NMI is an edge all the same */
    ioapic_set(&r->io, 3, false);
    ioapic_set(&r->io, 3, true);
    cr_expect_eq(r->nmis, 2);
    cr_expect_eq(entry_get(r, 3) & 0x4000, 0);
    set(r, LDR, 0x01000000);
    entry_set(r, 5, 1ull << 56 | 0x900 | 0x55); /* lowest priority, logical 1, as Linux */
    ioapic_set(&r->io, 5, true);
    cr_expect_eq(lapic_ack(&r->a), 0x55);
    set(r, EOI, 0);
    entry_set(r, 6, 7ull << 56 | 0x66); /* to a CPU that is not there */
    ioapic_set(&r->io, 6, true);
    cr_expect_not(intr(r));
    rig_free(r);
}

Test(ioapic, extint)
{
    struct rig *r = rig_new();
    set(r, LVT0, MASKED);
    entry_set(r, 0, 0x700);
    pic_set(r, true);
    cr_expect_not(intr(r));
    ioapic_set(&r->io, 0, true);
    cr_expect(intr(r));
    cr_expect_eq(lapic_ack(&r->a), 0x70);
    ioapic_set(&r->io, 0, false);
    cr_expect_not(intr(r));
    ioapic_set(&r->io, 0, true);
    entry_set(r, 0, MASKED | 0x700);
    cr_expect_not(intr(r));
    rig_free(r);
}
