/*
 * virtq.c - virtqueues in guest memory (virtio 1.1, 2.6): taking chains of buffers, giving them back.
 *
 *     descriptor (16 bytes):  address u64, length u32, flags u16 (1 next, 2 device writes, 4 indirect), next u16
 *     avail ring:             flags u16 (1: no interrupts), index u16, heads u16 * size
 *     used ring:              flags u16 (1: no notifications), index u16, {head u32, written u32} * size
 *
 * All of it is the driver's to write at any time, so everything is read once and checked after that. A chain has at most as many
 * descriptors as fit into struct virtio_chain, which bounds loops too.
 */
#include "devices/virtio.h"

#include <string.h>

enum { DESC_NEXT = 1, DESC_WRITE = 2, DESC_INDIRECT = 4, DESC_BYTES = 16 };
enum { AVAIL_NO_INTERRUPT = 1 };

#define PART_BYTES_MAX 0x80000000u

struct descriptor {
    u64 gpa;
    u32 bytes;
    u16 flags, next;
};

static u32 le(const u8 *p, unsigned bytes)
{
    u32 val = 0;

    for (unsigned i = 0; i < bytes; i++)
        val |= (u32)p[i] << (8 * i);
    return val;
}

static bool read16(struct virtio *v, u64 gpa, u16 *out)
{
    u8 b[2];

    if (v->mem.read(v->mem.opaque, gpa, b, sizeof(b)))
        return false;
    *out = (u16)le(b, 2);
    return true;
}

static bool read_descriptor(struct virtio *v, u64 table, u32 n, struct descriptor *d)
{
    u8 b[DESC_BYTES];

    if (v->mem.read(v->mem.opaque, table + (u64)n * DESC_BYTES, b, sizeof(b)))
        return false;
    d->gpa = le(b, 4) | (u64)le(b + 4, 4) << 32;
    d->bytes = le(b + 8, 4);
    d->flags = (u16)le(b + 12, 2);
    d->next = (u16)le(b + 14, 2);
    return true;
}

static bool add_segment(struct virtio_chain *c, const struct descriptor *d)
{
    unsigned n = c->out_n + c->in_n;
    u32 *sum = d->flags & DESC_WRITE ? &c->in_bytes : &c->out_bytes;

    if (n == VIRTIO_QUEUE_MAX || !d->bytes || d->bytes > PART_BYTES_MAX - *sum)
        return false;
    if (d->flags & DESC_WRITE)
        c->in_n++;
    else if (c->in_n) /* what is read comes first */
        return false;
    else
        c->out_n++;
    c->seg[n] = (struct virtio_seg){d->gpa, d->bytes};
    *sum += d->bytes;
    return true;
}

static bool walk(struct virtio *v, const struct virtq *q, struct virtio_chain *c)
{
    u64 table = q->desc_gpa;
    u32 entries = q->size, at = c->head;
    struct descriptor d;
    bool indirect = false;

    for (;;) {
        if (at >= entries || !read_descriptor(v, table, at, &d))
            return false;
        if (d.flags & DESC_INDIRECT) {
            if (indirect || !d.bytes || d.bytes % DESC_BYTES || c->out_n + c->in_n)
                return false;
            indirect = true;
            table = d.gpa;
            entries = d.bytes / DESC_BYTES;
            at = 0;
            continue;
        }
        if (!add_segment(c, &d))
            return false;
        if (!(d.flags & DESC_NEXT))
            return true;
        at = d.next;
    }
}

/* How many chains wait; -1 when the ring makes no sense. */
static int waiting(struct virtio *v, const struct virtq *q)
{
    u16 idx, n;

    if (!read16(v, q->avail_gpa + 2, &idx))
        return -1;
    n = (u16)(idx - q->avail_idx);
    return n > q->size ? -1 : n;
}

int virtio_pop(struct virtio *v, unsigned queue, struct virtio_chain *chain)
{
    struct virtq *q = &v->q[queue];
    int n;

    if (queue >= v->desc.queues || !q->enabled)
        return 0;
    if (v->broken)
        return -EINVAL;
    n = waiting(v, q);
    if (!n)
        return 0;
    chain->out_n = chain->in_n = 0;
    chain->out_bytes = chain->in_bytes = 0;
    if (n < 0 || !read16(v, q->avail_gpa + 4 + 2ull * (q->avail_idx % q->size), &chain->head) ||
        !walk(v, q, chain)) {
        virtio_break(v);
        return -EINVAL;
    }
    q->avail_idx++;
    return 1;
}

/* Bytes [at, at + len) of one part of the chain, piece by piece. */
static size_t copy(struct virtio *v, const struct virtio_seg *seg, unsigned n, u32 at, u8 *to, const u8 *from,
                   size_t len)
{
    size_t done = 0;

    for (unsigned i = 0; i < n && done < len; i++) {
        size_t bytes;
        int rc;

        if (at >= seg[i].bytes) {
            at -= seg[i].bytes;
            continue;
        }
        bytes = min_u64(seg[i].bytes - at, len - done);
        rc = to ? v->mem.read(v->mem.opaque, seg[i].gpa + at, to + done, bytes)
                : v->mem.write(v->mem.opaque, seg[i].gpa + at, from + done, bytes);
        if (rc)
            break;
        done += bytes;
        at = 0;
    }
    return done;
}

size_t virtio_read(struct virtio *v, const struct virtio_chain *chain, u32 at, void *buf, size_t len)
{
    size_t done = copy(v, chain->seg, chain->out_n, at, buf, NULL, len);

    memset((u8 *)buf + done, 0xff, len - done);
    return done;
}

size_t virtio_write(struct virtio *v, const struct virtio_chain *chain, u32 at, const void *buf, size_t len)
{
    return copy(v, chain->seg + chain->out_n, chain->in_n, at, NULL, buf, len);
}

void virtio_push_head(struct virtio *v, unsigned queue, u16 head, u32 written)
{
    struct virtq *q = &v->q[queue];
    u64 at = q->used_gpa + 4 + 8ull * (q->used_idx % q->size);
    u8 b[8] = {
        (u8)head,           (u8)(head >> 8), 0, 0, (u8)written, (u8)(written >> 8), (u8)(written >> 16),
        (u8)(written >> 24)};

    if (v->broken || !q->enabled)
        return;
    q->used_idx++;
    if (v->mem.write(v->mem.opaque, at, b, sizeof(b)) ||
        v->mem.write(v->mem.opaque, q->used_gpa + 2, (u8[]){(u8)q->used_idx, (u8)(q->used_idx >> 8)}, 2))
        virtio_break(v);
}

void virtio_push(struct virtio *v, unsigned queue, const struct virtio_chain *chain, u32 written)
{
    virtio_push_head(v, queue, chain->head, written);
}

void virtio_interrupt(struct virtio *v, unsigned queue)
{
    const struct virtq *q = &v->q[queue];
    u16 flags;

    if (v->broken || !q->enabled || !read16(v, q->avail_gpa, &flags) || (flags & AVAIL_NO_INTERRUPT))
        return;
    virtio_raise_queue(v);
}
