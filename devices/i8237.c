/*
 * i8237.c - two 8237A DMA controllers (Intel data sheet), ports 00h-0Fh and C0h-DFh, pages 80h-8Fh.
 *
 * A channel's address wraps within its 64 KiB (128 KiB for words) page. Terminal count masks the channel
 * or, in auto-initialise mode, reloads it.
 */
#include "devices/i8237.h"

#include <string.h>

enum { MODE_TO_MEM = 0x04, MODE_FROM_MEM = 0x08, MODE_TYPE = 0x0c, MODE_AUTO = 0x10, MODE_DOWN = 0x20 };
enum { COMMAND_OFF = 0x04 };
/* Offset of each channel's page register from 80h; 4 has none that matters. */
static const u8 page_of[8] = {0x7, 0x3, 0x1, 0x2, 0xf, 0xb, 0x9, 0xa};

static u8 channel_read(struct i8237_chip *c, unsigned reg)
{
    const struct i8237_channel *ch = &c->channel[reg >> 1 & 3];
    u16 v = reg & 1 ? ch->count : ch->address;
    v = c->high_byte ? v >> 8 : v;
    c->high_byte = !c->high_byte;
    return (u8)v;
}

static void channel_write(struct i8237_chip *c, unsigned reg, u8 val)
{
    struct i8237_channel *ch = &c->channel[reg >> 1 & 3];
    u16 *base = reg & 1 ? &ch->base_count : &ch->base_address;
    *base = c->high_byte ? (u16)((*base & 0x00ff) | val << 8) : (u16)((*base & 0xff00) | val);
    if (reg & 1)
        ch->count = ch->base_count;
    else
        ch->address = ch->base_address;
    c->high_byte = !c->high_byte;
}

static void chip_reset(struct i8237_chip *c)
{
    c->command = c->status = c->request = c->temporary = 0;
    c->mask = 0x0f;
    c->high_byte = false;
}

static u8 chip_read(struct i8237_chip *c, unsigned reg)
{
    u8 v;
    if (reg < 8)
        return channel_read(c, reg);
    switch (reg) {
    case 8:
        v = c->status;
        c->status &= 0xf0; /* reading clears terminal counts */
        return v;
    case 13: return c->temporary;
    case 15: return c->mask | 0xf0;
    default: return 0xff;
    }
}

static void wake_waiters(struct i8237 *dma, unsigned chip)
{
    for (unsigned n = 4 * chip; n < 4 * chip + 4; n++)
        if (dma->waiter[n].fn)
            dma->waiter[n].fn(dma->waiter[n].opaque);
}

static void chip_write(struct i8237_chip *c, unsigned reg, u8 val)
{
    u8 bit = (u8)BIT(val & 3);
    if (reg < 8) {
        channel_write(c, reg, val);
        return;
    }
    switch (reg) {
    case 8: c->command = val; break;
    case 9: c->request = val & 4 ? c->request | bit : c->request & (u8)~bit; break;
    case 10: c->mask = val & 4 ? c->mask | bit : c->mask & (u8)~bit; break;
    case 11: c->channel[val & 3].mode = val; break;
    case 12: c->high_byte = false; break;
    case 13: chip_reset(c); break;
    case 14: c->mask = 0; break;
    default: c->mask = val & 0x0f; break;
    }
}

/* Command, masks and modes. */
static bool lets_go(unsigned reg)
{
    return reg == 8 || reg == 10 || reg == 11 || reg >= 14;
}

static u32 low_read(void *opaque, u32 offset, unsigned size)
{
    struct i8237 *dma = opaque;
    (void)size;
    return chip_read(&dma->chip[0], offset & 15);
}

static void low_write(void *opaque, u32 offset, unsigned size, u32 val)
{
    struct i8237 *dma = opaque;
    (void)size;
    chip_write(&dma->chip[0], offset & 15, (u8)val);
    if (lets_go(offset & 15))
        wake_waiters(dma, 0);
}

static u32 high_read(void *opaque, u32 offset, unsigned size)
{
    struct i8237 *dma = opaque;
    (void)size;
    return chip_read(&dma->chip[1], offset >> 1 & 15);
}

static void high_write(void *opaque, u32 offset, unsigned size, u32 val)
{
    struct i8237 *dma = opaque;
    (void)size;
    chip_write(&dma->chip[1], offset >> 1 & 15, (u8)val);
    if (lets_go(offset >> 1 & 15))
        wake_waiters(dma, 1);
}

static u32 page_read(void *opaque, u32 offset, unsigned size)
{
    struct i8237 *dma = opaque;
    (void)size;
    return dma->page[(offset + 1) & 15];
}

static void page_write(void *opaque, u32 offset, unsigned size, u32 val)
{
    struct i8237 *dma = opaque;
    (void)size;
    dma->page[(offset + 1) & 15] = (u8)val;
}

static const struct bus_ops low_ops = {.read = low_read, .write = low_write};
static const struct bus_ops high_ops = {.read = high_read, .write = high_write};
static const struct bus_ops page_ops = {.read = page_read, .write = page_write};

int i8237_init(struct i8237 *dma, struct io_bus *io, const struct dma_mem *mem)
{
    memset(dma, 0, sizeof(*dma));
    dma->mem = *mem;
    i8237_reset(dma);
    int err = io_bus_register(io, 0x00, 16, &low_ops, dma);
    if (!err)
        err = io_bus_register(io, 0xc0, 32, &high_ops, dma);
    if (!err)
        err = io_bus_register(io, 0x81, 15, &page_ops, dma);
    return err;
}

void i8237_reset(struct i8237 *dma)
{
    chip_reset(&dma->chip[0]);
    chip_reset(&dma->chip[1]);
}

static int move(struct i8237 *dma, u64 gpa, u8 *buf, size_t len, bool to_mem)
{
    if (to_mem)
        return dma->mem.write ? dma->mem.write(dma->mem.opaque, gpa, buf, len) : -EFAULT;
    return dma->mem.read ? dma->mem.read(dma->mem.opaque, gpa, buf, len) : -EFAULT;
}

/* n units of the channel have moved; returns true at terminal count. n is at most count + 1. */
static bool advance(struct i8237_chip *c, unsigned channel, u32 n)
{
    struct i8237_channel *ch = &c->channel[channel];
    ch->address = (u16)(ch->mode & MODE_DOWN ? ch->address - n : ch->address + n);
    bool last = n > ch->count;
    ch->count = (u16)(ch->count - n);
    if (!last)
        return false;
    c->status |= (u8)BIT(channel);
    if (ch->mode & MODE_AUTO) {
        ch->address = ch->base_address;
        ch->count = ch->base_count;
    } else {
        c->mask |= (u8)BIT(channel);
    }
    return true;
}

static bool is_ready(const struct i8237 *dma, unsigned channel, bool to_mem)
{
    const struct i8237_chip *c = &dma->chip[channel >> 2 & 1];
    u8 type = c->channel[channel & 3].mode & MODE_TYPE;
    if (channel == 4 || channel > 7 || (c->mask & BIT(channel & 3)) || (c->command & COMMAND_OFF))
        return false;
    return type == 0 || type == (to_mem ? MODE_TO_MEM : MODE_FROM_MEM);
}

size_t i8237_left(const struct i8237 *dma, unsigned channel, bool to_mem)
{
    if (!is_ready(dma, channel, to_mem))
        return 0;
    return ((size_t)dma->chip[channel >> 2 & 1].channel[channel & 3].count + 1) << (channel & 4 ? 1 : 0);
}

void i8237_wait(struct i8237 *dma, unsigned channel, void (*fn)(void *opaque), void *opaque)
{
    if (channel < 8)
        dma->waiter[channel] = (struct i8237_waiter){fn, opaque};
}

/* In runs that end at terminal count or at the page's end, where the address wraps; downwards unit by unit. */
size_t i8237_transfer(struct i8237 *dma, unsigned channel, void *buf, size_t len, bool to_mem)
{
    struct i8237_chip *c = &dma->chip[channel >> 2 & 1];
    unsigned unit = channel & 4 ? 2 : 1;
    struct i8237_channel *ch = &c->channel[channel & 3];
    if (!is_ready(dma, channel, to_mem))
        return 0;
    u64 page = dma->page[page_of[channel]];
    size_t done = 0;
    while (done + unit <= len) {
        u64 gpa = unit == 1 ? page << 16 | ch->address : (page & 0xfe) << 16 | (u64)ch->address << 1;
        u64 run = min_u64((len - done) / unit, (u64)ch->count + 1);
        run = ch->mode & MODE_DOWN ? 1 : min_u64(run, 0x10000u - ch->address);
        if (ch->mode & MODE_TYPE)
            (void)move(dma, gpa, (u8 *)buf + done, run * unit, to_mem); /* what is not RAM floats */
        done += run * unit;
        if (advance(c, channel & 3, (u32)run))
            break;
    }
    return done;
}

bool i8237_is_done(const struct i8237 *dma, unsigned channel)
{
    return dma->chip[channel >> 2 & 1].status & BIT(channel & 3);
}
