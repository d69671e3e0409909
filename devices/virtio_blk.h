/*
 * virtio_blk.h - a virtio disk (virtio 1.1, 5.2): 1af4:1001.
 *
 * One queue; up to VBLK_SLOTS requests in flight, the rest wait in the queue. A request larger than the back end takes goes there in
 * pieces, one after the other.
 */
#ifndef NOVT_DEVICES_VIRTIO_BLK_H
#define NOVT_DEVICES_VIRTIO_BLK_H

#include "devices/disk.h"
#include "devices/virtio.h"

#define VBLK_SLOTS 16
#define VBLK_ID_BYTES 20
#define VBLK_PIECE_BYTES (DISK_REQUEST_SECTORS * DISK_SECTOR_BYTES)

struct virtio_blk;

struct vblk_slot {
    struct virtio_blk *owner;
    bool busy;
    u32 type;
    u64 sector;       /* of the next piece */
    u32 bytes, moved; /* of data: all of it, and how much is done */
    struct virtio_chain chain;
    struct disk_request req;
};

struct virtio_blk {
    struct virtio virtio;
    struct disk_back back;
    struct vblk_slot slot[VBLK_SLOTS];
    char id[VBLK_ID_BYTES];
    u64 sectors;
    bool dropping; /* a reset: what ends is not told */
    u8 *buf;       /* VBLK_SLOTS * VBLK_PIECE_BYTES, nobody's between requests */
};

/* serial: what the driver reads as its id, cut; NULL: none. 0 or -ENOMEM. Plugged by the caller: virtio.pci. */
int virtio_blk_init(struct virtio_blk *blk, const struct disk_back *back, const char *serial,
                    const struct dma_mem *mem, struct irq_line irq) MUST_CHECK;
void virtio_blk_fini(struct virtio_blk *blk);
void virtio_blk_reset(struct virtio_blk *blk);

#endif
