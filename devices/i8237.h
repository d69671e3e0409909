/*
 * i8237.h - the two DMA controllers and their page registers.
 */
#ifndef NOVT_DEVICES_I8237_H
#define NOVT_DEVICES_I8237_H

#include "devices/bus.h"

struct i8237_channel {
    u16 base_address, base_count, address, count;
    u8 mode;
};

struct i8237_chip {
    struct i8237_channel channel[4];
    u8 command, status, mask, request, temporary;
    bool high_byte; /* the flip-flop */
};

/* A device that waits with its DREQ up: told when its channel may have come free. */
struct i8237_waiter {
    void (*fn)(void *opaque);
    void *opaque;
};

struct i8237 {
    struct i8237_chip chip[2]; /* channels 0-3 in bytes, 4-7 in words */
    u8 page[16];               /* 80h-8Fh; 80h belongs to the POST port */
    struct dma_mem mem;
    struct i8237_waiter waiter[8]; /* by channel */
};

int i8237_init(struct i8237 *dma, struct io_bus *io, const struct dma_mem *mem) MUST_CHECK;
void i8237_reset(struct i8237 *dma);

/* A device with its DREQ up moves up to len bytes through channel 0-7 (4 is the cascade), in the direction the
 * channel's mode says. Returns the bytes moved: fewer at terminal count, 0 if the channel is masked. `to_mem`
 * is what the device wants to do; a mode that says otherwise moves nothing, except in
 * verify mode, where the bytes count but memory is left alone. */
size_t i8237_transfer(struct i8237 *dma, unsigned channel, void *buf, size_t len, bool to_mem);

/* Bytes up to terminal count, 0 when nothing would be moved now (masked, off, or set up for the other direction). */
size_t i8237_left(const struct i8237 *dma, unsigned channel, bool to_mem);

/* fn(opaque) after each write that may let the channel go; 0-7, others are ignored. */
void i8237_wait(struct i8237 *dma, unsigned channel, void (*fn)(void *opaque), void *opaque);

/* Has the channel reached terminal count? Reading the status register clears it for the guest only. */
bool i8237_is_done(const struct i8237 *dma, unsigned channel);

#endif
