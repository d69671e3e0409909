/*
 * test_parallel.c - the parallel port: bytes by strobe, the acknowledge by polling and by interrupt, a deselected printer.
 */
#include <criterion/criterion.h>

#include "board.h"
#include "devices/parallel.h"

struct paper {
    u8 text[32];
    unsigned n;
};

static void print(void *opaque, const u8 *buf, size_t len)
{
    struct paper *p = opaque;

    for (size_t i = 0; i < len && p->n < sizeof(p->text); i++)
        p->text[p->n++] = buf[i];
}

static void strobe(struct board *b, u8 c, u8 control)
{
    outb(b, 0x378, c);
    outb(b, 0x37a, control | 1);
    outb(b, 0x37a, control);
}

Test(parallel, prints_by_polling_and_by_interrupt)
{
    struct board *b = board_new();
    struct paper paper = {0};
    struct parallel p;

    cr_assert_eq(parallel_init(&p, &b->io, 0x378, board_line(b, 0),
                               &(struct chr_back){.write = print, .opaque = &paper}),
                 0);
    cr_expect_eq(inb(b, 0x379), 0xdf, "not ready");
    strobe(b, 'a', 0x0c);
    cr_expect_eq(inb(b, 0x379) & 0x40, 0, "no acknowledge");
    cr_expect_eq(inb(b, 0x379) & 0x40, 0x40, "an acknowledge for ever");
    cr_expect(b->line[0].rises == 0);
    strobe(b, 'b', 0x1c);
    cr_expect(b->line[0].level && b->line[0].rises == 1);
    inb(b, 0x379);
    cr_expect(!b->line[0].level);
    strobe(b, 'c', 0x1c);
    outb(b, 0x37a, 0x0c);
    cr_expect(!b->line[0].level, "interrupt stays though disabled");
    outb(b, 0x37a, 0x0d);
    outb(b, 0x37a, 0x0d); /* still high: no second byte */
    strobe(b, 'x', 0x08); /* reset */
    strobe(b, 'x', 0x04); /* not selected */
    cr_expect(paper.n == 4 && !memcmp(paper.text, "abcc", 4), "%.*s", (int)paper.n, paper.text);
    cr_expect_eq(inb(b, 0x378), 'x');
    cr_expect_eq(inb(b, 0x37a), 0xc4);
    parallel_reset(&p);
    cr_expect(inb(b, 0x378) == 0 && !b->line[0].level);
    free(b);
}
