/*
 * test_uart.c - the 16550A as Linux's 8250 driver, SeaBIOS and Windows's serial driver probe and use it.
 */
#include <criterion/criterion.h>

#include "devices/uart.h"
#include "tests/unit/devices/board.h"

enum {
    COM = 0x3f8,
    RBR = COM,
    IER = COM + 1,
    IIR = COM + 2,
    LCR = COM + 3,
    MCR = COM + 4,
    LSR = COM + 5,
    MSR = COM + 6,
    SCR = COM + 7
};

struct rig {
    struct board *b;
    struct uart uart;
    char out[256];
    size_t n;
    bool busy;
    unsigned drained;
};

static void back_write(void *opaque, const u8 *buf, size_t len)
{
    struct rig *r = opaque;
    for (size_t i = 0; i < len && r->n < sizeof(r->out); i++)
        r->out[r->n++] = (char)buf[i];
}

static bool back_ready(void *opaque)
{
    return !((struct rig *)opaque)->busy;
}

static void back_drained(void *opaque)
{
    ((struct rig *)opaque)->drained++;
}

static struct rig *rig_new(void)
{
    struct rig *r = calloc(1, sizeof(*r));
    const struct chr_back back = {
        .write = back_write, .ready = back_ready, .drained = back_drained, .opaque = r};
    r->b = board_new();
    cr_assert_eq(uart_init(&r->uart, &r->b->io, COM, &r->b->clk, board_line(r->b, 0), &back), 0);
    return r;
}

static void rig_free(struct rig *r)
{
    free(r->b);
    free(r);
}

static size_t push(struct rig *r, const char *s)
{
    return chr_receive(&r->uart.front, (const u8 *)s, strlen(s));
}

Test(uart, is_recognised_as_16550a)
{
    struct rig *r = rig_new();
    outb(r->b, IER, 0x0f); /* as Linux's autoconfig(): upper bits read 0 */
    cr_assert_eq(inb(r->b, IER), 0x0f);
    outb(r->b, IER, 0x00);
    outb(r->b, MCR, 0x1a); /* loopback, RTS and OUT2 */
    cr_assert_eq(inb(r->b, MSR) & 0xf0, 0x90);
    outb(r->b, MCR, 0x00);
    outb(r->b, IIR, 0x01);
    cr_assert_eq(inb(r->b, IIR) >> 6, 3);
    outb(r->b, IIR, 0x00);
    cr_assert_eq(inb(r->b, IIR), 0x01);
    outb(r->b, SCR, 0x5a);
    cr_assert_eq(inb(r->b, SCR), 0x5a);
    outb(r->b, LCR, 0x80);
    outb(r->b, RBR, 0x01);
    outb(r->b, IER, 0x02);
    cr_assert_eq(inb(r->b, RBR), 0x01);
    cr_assert_eq(inb(r->b, IER), 0x02);
    outb(r->b, LCR, 0x03);
    cr_assert_eq(inb(r->b, IER), 0x00);
    cr_assert_eq(inb(r->b, LSR), 0x60);
    cr_assert_eq(inb(r->b, MSR) & 0xf0, 0xb0);
    rig_free(r);
}

Test(uart, transmit_interrupts_after_every_write)
{
    struct rig *r = rig_new();
    outb(r->b, MCR, 0x0b);
    outb(r->b, IER, 0x02);
    cr_assert_eq(r->b->line[0].rises, 1); /* enabling with an empty THR raises it */
    cr_assert_eq(inb(r->b, IIR), 0x02);
    cr_assert_not(r->b->line[0].level); /* reading it acknowledged */
    cr_assert_eq(inb(r->b, IIR), 0x01);
    for (unsigned i = 0; i < 10; i++) {
        outb(r->b, RBR, 'a' + i);
        cr_assert_eq(r->b->line[0].rises, 2 + i); /* a new edge each time */
        cr_assert_eq(inb(r->b, LSR) & 0x60, 0x60);
    }
    outb(r->b, IER, 0x00);
    cr_assert_not(r->b->line[0].level);
    outb(r->b, IER, 0x02);
    cr_assert(r->b->line[0].level);
    cr_assert_eq(r->n, 10);
    cr_assert(!memcmp(r->out, "abcdefghij", 10));
    rig_free(r);
}

Test(uart, out2_and_loopback_gate_the_line)
{
    struct rig *r = rig_new();
    outb(r->b, IER, 0x02);
    cr_assert_not(r->b->line[0].level);
    outb(r->b, MCR, 0x08);
    cr_assert(r->b->line[0].level);
    outb(r->b, MCR, 0x18);
    cr_assert_not(r->b->line[0].level);
    rig_free(r);
}

Test(uart, receives_no_more_than_it_has_room_for)
{
    struct rig *r = rig_new();
    cr_assert_eq(push(r, "xy"), 1); /* no FIFO: one */
    cr_assert_eq(push(r, "y"), 0);
    cr_assert_eq(inb(r->b, LSR) & 1, 1);
    cr_assert_eq(inb(r->b, RBR), 'x');
    cr_assert_eq(r->drained, 1);
    cr_assert_eq(inb(r->b, LSR) & 1, 0);
    outb(r->b, IIR, 0x07);
    cr_assert_eq(push(r, "0123456789abcdefghij"), 16);
    for (unsigned i = 0; i < 16; i++)
        cr_assert_eq(inb(r->b, RBR), "0123456789abcdef"[i]);
    cr_assert_eq(inb(r->b, LSR) & 3, 0);
    rig_free(r);
}

Test(uart, receive_trigger_and_timeout)
{
    struct rig *r = rig_new();
    outb(r->b, IIR, 0x87); /* trigger 8 */
    outb(r->b, MCR, 0x0b);
    outb(r->b, IER, 0x05);
    push(r, "abc");
    cr_assert_not(r->b->line[0].level);
    board_run(r->b, 10 * MS);
    cr_assert(r->b->line[0].level);
    cr_assert_eq(inb(r->b, IIR), 0xcc);
    while (inb(r->b, LSR) & 1)
        inb(r->b, RBR);
    cr_assert_not(r->b->line[0].level);
    push(r, "12345678");
    cr_assert(r->b->line[0].level);
    cr_assert_eq(inb(r->b, IIR), 0xc4);
    inb(r->b, RBR);
    cr_assert_eq(inb(r->b, IIR), 0xc1);
    rig_free(r);
}

Test(uart, loopback_feeds_the_receiver_and_overruns)
{
    struct rig *r = rig_new();
    outb(r->b, MCR, 0x10);
    outb(r->b, RBR, 0x55);
    cr_assert_eq(inb(r->b, LSR), 0x61);
    outb(r->b, RBR, 0x66);
    cr_assert_eq(inb(r->b, LSR), 0x63);
    cr_assert_eq(inb(r->b, LSR), 0x61); /* reading clears the error */
    cr_assert_eq(inb(r->b, RBR), 0x66);
    cr_assert_eq(r->n, 0);
    cr_assert_eq(push(r, "z"), 1 - 1);
    outb(r->b, MCR, 0x00);
    cr_assert_eq(push(r, "z"), 1);
    rig_free(r);
}

Test(uart, modem_deltas)
{
    struct rig *r = rig_new();
    inb(r->b, MSR);
    outb(r->b, MCR, 0x14); /* loopback with OUT1: RI up, the others down */
    cr_assert_eq(inb(r->b, MSR), 0x4b);
    cr_assert_eq(inb(r->b, MSR), 0x40);
    outb(r->b, MCR, 0x10);
    cr_assert_eq(inb(r->b, MSR), 0x04); /* trailing edge of RI */
    rig_free(r);
}

Test(uart, a_busy_back_end_holds_thre)
{
    struct rig *r = rig_new();
    outb(r->b, IIR, 0x07);
    outb(r->b, MCR, 0x0b);
    outb(r->b, IER, 0x02);
    inb(r->b, IIR);
    r->busy = true;
    for (unsigned i = 0; i < 16; i++)
        outb(r->b, RBR, 'A' + i);
    cr_assert_eq(inb(r->b, LSR) & 0x60, 0);
    cr_assert_eq(inb(r->b, IIR), 0xc1);
    board_run(r->b, 5 * MS);
    cr_assert_eq(r->n, 0);
    r->busy = false;
    board_run(r->b, 2 * MS);
    cr_assert_eq(r->n, 16);
    cr_assert_eq(inb(r->b, LSR) & 0x60, 0x60);
    cr_assert_eq(inb(r->b, IIR), 0xc2);
    rig_free(r);
}
