/*
 * test_dma.c - the 8237 pair: registers, transfers, terminal count.
 */
#include <criterion/criterion.h>

#include "devices/i8237.h"
#include "tests/unit/devices/board.h"

static u8 *ram_of(void *opaque)
{
    return opaque;
}

static int mem_read(void *opaque, u64 gpa, void *buf, size_t len)
{
    memcpy(buf, ram_of(opaque) + (gpa & 0xfffff), len);
    return 0;
}

static int mem_write(void *opaque, u64 gpa, const void *buf, size_t len)
{
    memcpy(ram_of(opaque) + (gpa & 0xfffff), buf, len);
    return 0;
}

Test(dma, floppy_style_read_to_terminal_count)
{
    struct board *b = board_new();
    struct i8237 dma;
    u8 *ram = calloc(1, 1 << 20), sector[512];
    const struct dma_mem mem = {.read = mem_read, .write = mem_write, .opaque = ram};
    cr_assert_eq(i8237_init(&dma, &b->io, &mem), 0);
    memset(sector, 0x5a, sizeof(sector));
    cr_assert_eq(i8237_transfer(&dma, 2, sector, 512, true), 0); /* masked after reset */
    outb(b, 0x0c, 0);
    outb(b, 0x0b, 0x46);
    outb(b, 0x04, 0x00);
    outb(b, 0x04, 0xff); /* page 1, ff00h: wraps within the page */
    outb(b, 0x81, 0x01);
    outb(b, 0x05, 0xff);
    outb(b, 0x05, 0x01);
    outb(b, 0x0a, 0x02);
    cr_assert_eq(i8237_transfer(&dma, 2, sector, 512, false), 0); /* the mode says the other way */
    cr_assert_eq(i8237_transfer(&dma, 2, sector, 300, true), 300);
    cr_assert_not(i8237_is_done(&dma, 2));
    cr_assert_eq(i8237_transfer(&dma, 2, sector, 512, true), 212);
    cr_assert(i8237_is_done(&dma, 2));
    cr_assert_eq(ram[0x1ff00], 0x5a);
    cr_assert_eq(ram[0x100ff], 0x5a);
    cr_assert_eq(ram[0x20000], 0);
    cr_assert_eq(ram[0x10100], 0);
    cr_assert_eq(inb(b, 0x08) & 0x04, 0x04);
    cr_assert_eq(inb(b, 0x08) & 0x04, 0);
    cr_assert_eq(inb(b, 0x0f) & 0x04, 0x04); /* masked again */
    outb(b, 0x0c, 0);
    cr_assert_eq(inb(b, 0x05), 0xff);
    cr_assert_eq(inb(b, 0x05), 0xff);
    free(ram);
    free(b);
}

Test(dma, word_channels_count_words_and_reload)
{
    struct board *b = board_new();
    struct i8237 dma;
    u8 *ram = calloc(1, 1 << 20), buf[16] = {0};
    const struct dma_mem mem = {.read = mem_read, .write = mem_write, .opaque = ram};
    cr_assert_eq(i8237_init(&dma, &b->io, &mem), 0);
    for (unsigned i = 0; i < 8; i++)
        ram[0x20100 + i] = (u8)(i + 1);
    outb(b, 0xd8, 0);
    outb(b, 0xd6, 0x59); /* channel 5, auto-init, from memory */
    outb(b, 0xc4, 0x80);
    outb(b, 0xc4, 0x00);
    outb(b, 0x8b, 0x02);
    outb(b, 0xc6, 0x03);
    outb(b, 0xc6, 0x00);
    outb(b, 0xd4, 0x01);
    cr_assert_eq(i8237_transfer(&dma, 5, buf, 16, false), 8);
    cr_assert_eq(buf[0], 1);
    cr_assert_eq(buf[7], 8);
    cr_assert_eq(i8237_transfer(&dma, 5, buf, 16, false), 8);
    cr_assert_eq(i8237_transfer(&dma, 4, buf, 16, false), 0);
    cr_assert_eq(i8237_transfer(&dma, 99, buf, 16, false), 0);
    free(ram);
    free(b);
}
