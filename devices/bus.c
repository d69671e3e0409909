/*
 * bus.c - port and MMIO dispatch.
 *
 * Ports: one table lookup gives the range. An access that lies within one range and is no wider than
 * the chip takes is one callback; everything else is split in halves, down to bytes, each routed on its
 * own, low address first. MMIO: binary search over ranges sorted by base, same splitting.
 */
#include "devices/bus.h"

#include <string.h>

static u32 size_mask(unsigned size)
{
    return size >= 4 ? UINT32_MAX : BIT(8 * size) - 1;
}

static unsigned range_width(const struct bus_range *r)
{
    return r->ops->max_size ? r->ops->max_size : 1;
}

void io_bus_init(struct io_bus *bus)
{
    memset(bus, 0, sizeof(*bus));
}

int io_bus_register(struct io_bus *bus, u32 base, u32 len, const struct bus_ops *ops, void *opaque)
{
    if (!len || base > 0xffff || len > 0x10000 - base)
        return -EINVAL;
    for (u32 p = base; p < base + len; p++)
        if (bus->owner[p])
            return -EEXIST;
    for (unsigned i = 0; i < IO_BUS_RANGES; i++) {
        struct bus_range *r = &bus->range[i];
        if (r->ops)
            continue;
        *r = (struct bus_range){.base = base, .bytes = len, .ops = ops, .opaque = opaque};
        memset(bus->owner + base, (int)(i + 1), len);
        return 0;
    }
    return -ENOSPC;
}

int io_bus_unregister(struct io_bus *bus, u32 base)
{
    unsigned slot = base <= 0xffff ? bus->owner[base] : 0;
    if (!slot || bus->range[slot - 1].base != base)
        return -ENOENT;
    struct bus_range *r = &bus->range[slot - 1];
    memset(bus->owner + base, 0, r->bytes);
    memset(r, 0, sizeof(*r));
    return 0;
}

/* The range that takes the whole access in one piece, or NULL: split. */
static const struct bus_range *io_whole(const struct io_bus *bus, u16 port, unsigned size)
{
    unsigned slot = bus->owner[port];
    if (!slot)
        return NULL;
    const struct bus_range *r = &bus->range[slot - 1];
    return size <= range_width(r) && port + size <= r->base + r->bytes ? r : NULL;
}

u32 io_bus_read(struct io_bus *bus, u16 port, unsigned size)
{
    if (size != 1 && size != 2 && size != 4)
        return UINT32_MAX;
    const struct bus_range *r = io_whole(bus, port, size);
    if (r)
        return r->ops->read ? r->ops->read(r->opaque, port - (u32)r->base, size) & size_mask(size)
                            : size_mask(size);
    if (size == 1)
        return 0xff;
    unsigned half = size / 2;
    u32 lo = io_bus_read(bus, port, half);
    return lo | io_bus_read(bus, (u16)(port + half), half) << (8 * half);
}

void io_bus_write(struct io_bus *bus, u16 port, unsigned size, u32 val)
{
    if (size != 1 && size != 2 && size != 4)
        return;
    const struct bus_range *r = io_whole(bus, port, size);
    if (r) {
        if (r->ops->write)
            r->ops->write(r->opaque, port - (u32)r->base, size, val & size_mask(size));
        return;
    }
    if (size == 1)
        return;
    unsigned half = size / 2;
    io_bus_write(bus, port, half, val);
    io_bus_write(bus, (u16)(port + half), half, val >> (8 * half));
}

u32 io_bus_read_string(struct io_bus *bus, u16 port, unsigned size, void *to, u32 count)
{
    const struct bus_range *r = size == 1 || size == 2 || size == 4 ? io_whole(bus, port, size) : NULL;
    return r && r->ops->read_string ? r->ops->read_string(r->opaque, port - (u32)r->base, size, to, count)
                                    : 0;
}

u32 io_bus_write_string(struct io_bus *bus, u16 port, unsigned size, const void *from, u32 count)
{
    const struct bus_range *r = size == 1 || size == 2 || size == 4 ? io_whole(bus, port, size) : NULL;
    return r && r->ops->write_string ? r->ops->write_string(r->opaque, port - (u32)r->base, size, from, count)
                                     : 0;
}

void mmio_bus_init(struct mmio_bus *bus)
{
    memset(bus, 0, sizeof(*bus));
}

/* Index of the first range whose end lies above gpa; n if none. */
static unsigned mmio_search(const struct mmio_bus *bus, u64 gpa)
{
    unsigned lo = 0, hi = bus->n;
    while (lo < hi) {
        unsigned mid = (lo + hi) / 2;
        if (bus->range[mid].base + (bus->range[mid].bytes - 1) < gpa)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

int mmio_bus_register(struct mmio_bus *bus, u64 base, u64 bytes, const struct bus_ops *ops, void *opaque)
{
    if (!bytes || base + (bytes - 1) < base)
        return -EINVAL;
    if (mmio_bus_claims(bus, base, bytes))
        return -EEXIST;
    if (bus->n == MMIO_BUS_RANGES)
        return -ENOSPC;
    unsigned at = mmio_search(bus, base);
    memmove(&bus->range[at + 1], &bus->range[at], (bus->n - at) * sizeof(bus->range[0]));
    bus->range[at] = (struct bus_range){.base = base, .bytes = bytes, .ops = ops, .opaque = opaque};
    bus->n++;
    return 0;
}

int mmio_bus_unregister(struct mmio_bus *bus, u64 base)
{
    unsigned at = mmio_search(bus, base);
    if (at == bus->n || bus->range[at].base != base)
        return -ENOENT;
    bus->n--;
    memmove(&bus->range[at], &bus->range[at + 1], (bus->n - at) * sizeof(bus->range[0]));
    return 0;
}

bool mmio_bus_claims(const struct mmio_bus *bus, u64 gpa, u64 bytes)
{
    unsigned at = mmio_search(bus, gpa);
    return at < bus->n && bytes && bus->range[at].base <= gpa + (bytes - 1);
}

static const struct bus_range *mmio_lookup(struct mmio_bus *bus, u64 gpa)
{
    const struct bus_range *last = &bus->range[bus->last];
    if (bus->last < bus->n && gpa - last->base < last->bytes)
        return last;
    unsigned at = mmio_search(bus, gpa);
    if (at == bus->n || bus->range[at].base > gpa)
        return NULL;
    bus->last = at;
    return &bus->range[at];
}

/* How many of `size` bytes at gpa go in one callback: a power of two the chip takes, within the range. */
static unsigned mmio_piece(const struct bus_range *r, u64 gpa, unsigned size)
{
    u64 left = r->bytes - (gpa - r->base);
    unsigned piece = range_width(r);
    while (piece > 1 && (piece > size || piece > left))
        piece /= 2;
    return piece;
}

u64 mmio_bus_read(struct mmio_bus *bus, u64 gpa, unsigned size)
{
    u64 val = 0;
    for (unsigned done = 0; done < size && done < 8;) {
        const struct bus_range *r = mmio_lookup(bus, gpa + done);
        unsigned piece = r ? mmio_piece(r, gpa + done, size - done) : 1;
        u64 got = size_mask(piece);
        if (r && r->ops->read)
            got &= r->ops->read(r->opaque, (u32)(gpa + done - r->base), piece);
        val |= got << (8 * done);
        done += piece;
    }
    return val;
}

void mmio_bus_write(struct mmio_bus *bus, u64 gpa, unsigned size, u64 val)
{
    for (unsigned done = 0; done < size && done < 8;) {
        const struct bus_range *r = mmio_lookup(bus, gpa + done);
        unsigned piece = r ? mmio_piece(r, gpa + done, size - done) : 1;
        if (r && r->ops->write)
            r->ops->write(r->opaque, (u32)(gpa + done - r->base), piece,
                          (u32)(val >> (8 * done)) & size_mask(piece));
        done += piece;
    }
}

/* The range that takes [gpa, gpa + n) whole, or NULL. */
static const struct bus_range *mmio_whole(struct mmio_bus *bus, u64 gpa, u32 n)
{
    const struct bus_range *r = mmio_lookup(bus, gpa);
    return r && n <= r->bytes - (gpa - r->base) ? r : NULL;
}

bool mmio_bus_read_block(struct mmio_bus *bus, u64 gpa, u8 *to, u32 n)
{
    const struct bus_range *r = mmio_whole(bus, gpa, n);
    if (!r || !r->ops->read_block)
        return false;
    r->ops->read_block(r->opaque, (u32)(gpa - r->base), to, n);
    return true;
}

bool mmio_bus_write_block(struct mmio_bus *bus, u64 gpa, const u8 *from, u32 n)
{
    const struct bus_range *r = mmio_whole(bus, gpa, n);
    if (!r || !r->ops->write_block)
        return false;
    r->ops->write_block(r->opaque, (u32)(gpa - r->base), from, n);
    return true;
}

bool mmio_bus_move_block(struct mmio_bus *bus, u64 from, u64 to, u32 n)
{
    const struct bus_range *r = mmio_whole(bus, from, n);
    if (!r || !r->ops->move_block || r != mmio_whole(bus, to, n))
        return false;
    r->ops->move_block(r->opaque, (u32)(from - r->base), (u32)(to - r->base), n);
    return true;
}
