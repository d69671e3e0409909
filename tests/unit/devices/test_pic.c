/*
 * test_pic.c - the 8259A pair as Linux, SeaBIOS and DOS programs use it.
 */
#include <criterion/criterion.h>

#include "devices/pic.h"
#include "tests/unit/devices/board.h"

struct rig {
    struct board *b;
    struct pic pic;
};

static struct rig *rig_new(void)
{
    struct rig *r = calloc(1, sizeof(*r));
    r->b = board_new();
    cr_assert_eq(pic_init(&r->pic, &r->b->io, board_line(r->b, 0)), 0);
    /* As Linux's init_8259A() does it. */
    outb(r->b, 0x21, 0xff);
    outb(r->b, 0xa1, 0xff);
    outb(r->b, 0x20, 0x11);
    outb(r->b, 0x21, 0x30);
    outb(r->b, 0x21, 0x04);
    outb(r->b, 0x21, 0x01);
    outb(r->b, 0xa0, 0x11);
    outb(r->b, 0xa1, 0x38);
    outb(r->b, 0xa1, 0x02);
    outb(r->b, 0xa1, 0x01);
    outb(r->b, 0x21, 0x00);
    outb(r->b, 0xa1, 0x00);
    return r;
}

static void rig_free(struct rig *r)
{
    free(r->b);
    free(r);
}

static bool drive(struct rig *r, unsigned irq, bool level)
{
    return irq_set(pic_line(&r->pic, irq, 0), level);
}

Test(pic, edge_is_latched_acknowledged_and_ended)
{
    struct rig *r = rig_new();
    drive(r, 0, true);
    cr_assert(pic_intr(&r->pic));
    cr_assert_eq(pic_ack(&r->pic), 0x30);
    cr_assert_not(pic_intr(&r->pic));
    drive(r, 1, true); /* lower priority waits for the EOI */
    cr_assert_not(pic_intr(&r->pic));
    outb(r->b, 0x20, 0x20);
    cr_assert(pic_intr(&r->pic));
    cr_assert_eq(pic_ack(&r->pic), 0x31);
    outb(r->b, 0x20, 0x61);           /* specific EOI, as Linux */
    cr_assert_not(pic_intr(&r->pic)); /* lines still high: no new edge */
    rig_free(r);
}

Test(pic, higher_priority_interrupts_a_handler)
{
    struct rig *r = rig_new();
    drive(r, 4, true);
    cr_assert_eq(pic_ack(&r->pic), 0x34);
    drive(r, 0, true);
    cr_assert(pic_intr(&r->pic));
    cr_assert_eq(pic_ack(&r->pic), 0x30);
    outb(r->b, 0x20, 0x0b);
    cr_assert_eq(inb(r->b, 0x20), 0x11); /* ISR */
    outb(r->b, 0x20, 0x0a);
    cr_assert_eq(inb(r->b, 0x20), 0x00); /* IRR */
    rig_free(r);
}

Test(pic, slave_needs_both_eois)
{
    struct rig *r = rig_new();
    drive(r, 8, true);
    cr_assert_eq(pic_ack(&r->pic), 0x38);
    drive(r, 12, true);
    outb(r->b, 0xa0, 0x20);
    cr_assert_not(pic_intr(&r->pic)); /* master still has the cascade in service */
    outb(r->b, 0x20, 0x62);
    cr_assert_eq(pic_ack(&r->pic), 0x3c);
    rig_free(r);
}

Test(pic, a_request_that_goes_away_is_spurious_without_isr)
{
    struct rig *r = rig_new();
    outb(r->b, 0x4d0, 0x20); /* IRQ 5 by level */
    drive(r, 5, true);
    cr_assert(pic_intr(&r->pic));
    drive(r, 5, false);
    cr_assert_not(pic_intr(&r->pic));
    cr_assert_eq(pic_ack(&r->pic), 0x37);
    outb(r->b, 0x20, 0x0b);
    cr_assert_eq(inb(r->b, 0x20), 0x00);
    rig_free(r);
}

Test(pic, level_input_requests_again_until_it_falls)
{
    struct rig *r = rig_new();
    outb(r->b, 0x4d1, 0x0c); /* IRQ 10 and 11, as SeaBIOS sets them */
    cr_assert_eq(inb(r->b, 0x4d1), 0x0c);
    drive(r, 10, true);
    cr_assert_eq(pic_ack(&r->pic), 0x3a);
    outb(r->b, 0xa0, 0x20);
    outb(r->b, 0x20, 0x20);
    cr_assert_eq(pic_ack(&r->pic), 0x3a);
    drive(r, 10, false);
    outb(r->b, 0xa0, 0x20);
    outb(r->b, 0x20, 0x20);
    cr_assert_not(pic_intr(&r->pic));
    rig_free(r);
}

Test(pic, elcr_keeps_system_inputs_edge_triggered)
{
    struct rig *r = rig_new();
    outb(r->b, 0x4d0, 0xff);
    outb(r->b, 0x4d1, 0xff);
    cr_assert_eq(inb(r->b, 0x4d0), 0xf8);
    cr_assert_eq(inb(r->b, 0x4d1), 0xde);
    rig_free(r);
}

Test(pic, shared_sources_are_ored)
{
    struct rig *r = rig_new();
    outb(r->b, 0x4d1, 0x02);
    irq_set(pic_line(&r->pic, 9, 0), true);
    irq_set(pic_line(&r->pic, 9, 1), true);
    irq_set(pic_line(&r->pic, 9, 0), false);
    cr_assert(pic_intr(&r->pic));
    irq_set(pic_line(&r->pic, 9, 1), false);
    cr_assert_not(pic_intr(&r->pic));
    cr_assert_null(pic_line(&r->pic, 2, 0).fn);
    cr_assert_null(pic_line(&r->pic, 16, 0).fn);
    rig_free(r);
}

Test(pic, lost_edges_are_told)
{
    struct rig *r = rig_new();
    cr_assert(drive(r, 0, true));
    drive(r, 0, false);
    cr_assert_not(drive(r, 0, true)); /* still requested */
    pic_ack(&r->pic);
    drive(r, 0, false);
    cr_assert(drive(r, 0, true)); /* in service: latched for later */
    outb(r->b, 0x21, 0xff);
    drive(r, 0, false);
    cr_assert(drive(r, 0, true)); /* masked: nobody wants it */
    rig_free(r);
}

Test(pic, mask_reads_back_and_hides)
{
    struct rig *r = rig_new();
    outb(r->b, 0x21, 0xfb);
    outb(r->b, 0xa1, 0xff);
    cr_assert_eq(inb(r->b, 0x21), 0xfb);
    drive(r, 4, true);
    cr_assert_not(pic_intr(&r->pic));
    outb(r->b, 0x21, 0xeb);
    cr_assert(pic_intr(&r->pic)); /* latched while masked */
    rig_free(r);
}

Test(pic, automatic_eoi_and_rotation)
{
    struct rig *r = rig_new();
    outb(r->b, 0x20, 0x13); /* single, ICW4 */
    outb(r->b, 0x21, 0x40);
    outb(r->b, 0x21, 0x03); /* AEOI */
    outb(r->b, 0x20, 0x80); /* rotate in AEOI mode */
    drive(r, 3, true);
    drive(r, 6, true);
    cr_assert_eq(pic_ack(&r->pic), 0x43);
    cr_assert_eq(pic_ack(&r->pic), 0x46);
    drive(r, 3, false);
    drive(r, 7, true);
    drive(r, 3, true);
    cr_assert_eq(pic_ack(&r->pic), 0x47); /* 6 was last: 7 comes first now */
    rig_free(r);
}

Test(pic, special_mask_lets_lower_priorities_in)
{
    struct rig *r = rig_new();
    drive(r, 1, true);
    pic_ack(&r->pic);
    drive(r, 5, true);
    cr_assert_not(pic_intr(&r->pic));
    outb(r->b, 0x21, 0x02);
    outb(r->b, 0x20, 0x68); /* set special mask */
    cr_assert(pic_intr(&r->pic));
    outb(r->b, 0x20, 0x48);
    cr_assert_not(pic_intr(&r->pic));
    rig_free(r);
}

Test(pic, poll_is_an_acknowledge)
{
    struct rig *r = rig_new();
    outb(r->b, 0x20, 0x0c);
    cr_assert_eq(inb(r->b, 0x20), 0x00);
    drive(r, 6, true);
    outb(r->b, 0x20, 0x0c);
    cr_assert_eq(inb(r->b, 0x20), 0x86);
    cr_assert_not(pic_intr(&r->pic));
    outb(r->b, 0x20, 0x0b);
    cr_assert_eq(inb(r->b, 0x20), 0x40);
    rig_free(r);
}
