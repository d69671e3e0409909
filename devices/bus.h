/*
 * bus.h - the vocabulary every chip is written in: port bus, MMIO bus, interrupt line, DMA memory.
 *
 * A chip registers a range with a table of callbacks. Callbacks get an OFFSET into their range and
 * a size of 1, 2 or 4, never a wider access than `max_size`: the bus splits what is wider, as the
 * ISA bus does. Unclaimed reads give all ones, unclaimed writes vanish. Overlapping registration is
 * refused. All of it runs on one thread (the VM's).
 */
#ifndef NOVT_DEVICES_BUS_H
#define NOVT_DEVICES_BUS_H

#include "base.h"

struct bus_ops {
    u32 (*read)(void *opaque, u32 offset, unsigned size);
    void (*write)(void *opaque, u32 offset, unsigned size, u32 val);
    /* REP INS and OUTS in one go, both optional: up to count units of size to or from one offset. Return how many were moved;
     * 0, or fewer than count: the rest goes unit by unit through read and write. */
    u32 (*read_string)(void *opaque, u32 offset, unsigned size, void *to, u32 count);
    u32 (*write_string)(void *opaque, u32 offset, unsigned size, const void *from, u32 count);
    unsigned max_size; /* widest access the callbacks take: 1, 2 or 4; 0 means 1 */
    /* Memory only, may be NULL: n bytes, each an access of its own, in order. What string instructions move. */
    void (*read_block)(void *opaque, u32 offset, u8 *to, u32 n);
    void (*write_block)(void *opaque, u32 offset, const u8 *from, u32 n);
    /* The same within the range: for each byte a read, then a write. */
    void (*move_block)(void *opaque, u32 from, u32 to, u32 n);
};

struct bus_range {
    u64 base;
    u64 bytes;
    const struct bus_ops *ops;
    void *opaque;
};

#define IO_BUS_RANGES 128
#define MMIO_BUS_RANGES 64

/* 64 Ki ports. `owner[port]` is an index into `range` plus 1, 0 = unclaimed. */
struct io_bus {
    u8 owner[65536];
    struct bus_range range[IO_BUS_RANGES];
};

/* Ranges of guest-physical addresses, sorted by base. */
struct mmio_bus {
    struct bus_range range[MMIO_BUS_RANGES];
    unsigned n;
    unsigned last; /* index of the range that an access met last: a guess for the next one */
};

void io_bus_init(struct io_bus *bus);

/* 0; -EEXIST on overlap, -EINVAL on a range outside the bus, -ENOSPC when the table is full. */
int io_bus_register(struct io_bus *bus, u32 base, u32 len, const struct bus_ops *ops,
                    void *opaque) MUST_CHECK;

/* Forgets the range registered at exactly `base`; -ENOENT if there is none. */
int io_bus_unregister(struct io_bus *bus, u32 base);

/* `size` is 1, 2 or 4 (anything else reads all ones). Accesses past FFFFh wrap as on the bus. */
u32 io_bus_read(struct io_bus *bus, u16 port, unsigned size);
void io_bus_write(struct io_bus *bus, u16 port, unsigned size, u32 val);
/* Units moved, 0 when the chip has no such callback or wants them one by one. */
u32 io_bus_read_string(struct io_bus *bus, u16 port, unsigned size, void *to, u32 count);
u32 io_bus_write_string(struct io_bus *bus, u16 port, unsigned size, const void *from, u32 count);

void mmio_bus_init(struct mmio_bus *bus);
int mmio_bus_register(struct mmio_bus *bus, u64 base, u64 bytes, const struct bus_ops *ops,
                      void *opaque) MUST_CHECK;
int mmio_bus_unregister(struct mmio_bus *bus, u64 base);

/* `size` is 1..8; split into what the chip takes. */
u64 mmio_bus_read(struct mmio_bus *bus, u64 gpa, unsigned size);
void mmio_bus_write(struct mmio_bus *bus, u64 gpa, unsigned size, u64 val);

/* n bytes in order, as so many accesses of one byte; true if the chip at gpa takes them in one call, else nothing happened. */
bool mmio_bus_read_block(struct mmio_bus *bus, u64 gpa, u8 *to, u32 n);
bool mmio_bus_write_block(struct mmio_bus *bus, u64 gpa, const u8 *from, u32 n);
bool mmio_bus_move_block(struct mmio_bus *bus, u64 from, u64 to, u32 n);

/* True if a range touches [gpa, gpa + bytes). */
bool mmio_bus_claims(const struct mmio_bus *bus, u64 gpa, u64 bytes);

/* An interrupt line is a value. fn returns false when a rising edge was lost because the previous
 * one is still waiting to be acknowledged (periodic timers then deliver it later). */
struct irq_line {
    bool (*fn)(void *opaque, unsigned n, bool level);
    void *opaque;
    unsigned n;
};

static inline bool irq_set(struct irq_line line, bool level)
{
    return line.fn ? line.fn(line.opaque, line.n, level) : true;
}

/* Guest memory as a bus master sees it. 0, or -EFAULT if part of the range is not RAM (reads then
 * leave ones in the buffer, writes are dropped). */
struct dma_mem {
    int (*read)(void *opaque, u64 gpa, void *buf, size_t len);
    int (*write)(void *opaque, u64 gpa, const void *buf, size_t len);
    void *opaque;
};

#endif
