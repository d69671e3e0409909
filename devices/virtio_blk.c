/*
 * virtio_blk.c - requests of a virtio disk, from the queue to the back end and back.
 *
 *     request:  type u32, reserved u32, sector u64 (read by the device) | data | status u8 (written)
 *
 * Data is read by the device for a write and written by it for a read. The framing is the driver's choice: parts are found by their byte
 * offsets, whatever descriptors they lie in.
 */
#include "devices/virtio_blk.h"

#include <stdlib.h>
#include <string.h>

enum { T_IN = 0, T_OUT = 1, T_FLUSH = 4, T_GET_ID = 8, T_DISCARD = 11 };
enum { S_OK = 0, S_IOERR = 1, S_UNSUPP = 2 };
enum { F_SEG_MAX = 2, F_GEOMETRY = 4, F_RO = 5, F_BLK_SIZE = 6, F_FLUSH = 9, F_DISCARD = 13 };
enum { HEADER_BYTES = 16, CONFIG_BYTES = 60, QUEUE_SIZE = 256, DISCARD_SECTORS_MAX = (1 << 22) - 1 };

static void start_waiting(struct virtio_blk *blk);

static u8 *buffer_of(const struct vblk_slot *slot)
{
    return slot->owner->buf + (size_t)(slot - slot->owner->slot) * VBLK_PIECE_BYTES;
}

static void finish(struct vblk_slot *slot, u8 status)
{
    struct virtio *v = &slot->owner->virtio;
    u32 in = slot->type == T_IN || slot->type == T_GET_ID ? slot->moved : 0;

    virtio_write(v, &slot->chain, slot->chain.in_bytes - 1, &status, 1);
    virtio_push(v, 0, &slot->chain, in + 1);
    slot->busy = false;
    virtio_interrupt(v, 0);
}

static void submit_piece(struct vblk_slot *slot)
{
    struct virtio_blk *blk = slot->owner;
    u32 bytes = (u32)min_u64(slot->bytes - slot->moved, VBLK_PIECE_BYTES);

    slot->req.sector = slot->sector;
    slot->req.sectors = bytes / DISK_SECTOR_BYTES;
    if (slot->type == T_OUT)
        virtio_read(&blk->virtio, &slot->chain, HEADER_BYTES + slot->moved, slot->req.buf, bytes);
    blk->back.submit(blk->back.opaque, &slot->req);
}

static void done(void *opaque, struct disk_request *req, int err)
{
    struct vblk_slot *slot = opaque;
    struct virtio_blk *blk = slot->owner;
    u32 bytes = req->op == DISK_DISCARD ? 0 : req->sectors * DISK_SECTOR_BYTES;

    if (blk->dropping) {
        slot->busy = false;
        return;
    }
    if (err) {
        finish(slot, S_IOERR);
    } else {
        if (slot->type == T_IN)
            virtio_write(&blk->virtio, &slot->chain, slot->moved, req->buf, bytes);
        slot->moved += bytes;
        slot->sector += req->sectors;
        if (slot->moved < slot->bytes) {
            submit_piece(slot);
            return;
        }
        finish(slot, S_OK);
    }
    start_waiting(blk);
}

static void start_data(struct vblk_slot *slot)
{
    struct virtio_blk *blk = slot->owner;

    if (slot->bytes % DISK_SECTOR_BYTES || slot->sector > blk->sectors ||
        slot->bytes / DISK_SECTOR_BYTES > blk->sectors - slot->sector) {
        finish(slot, S_IOERR);
    } else if (!slot->bytes) {
        finish(slot, S_OK);
    } else {
        slot->req.op = slot->type == T_IN ? DISK_READ : DISK_WRITE;
        submit_piece(slot);
    }
}

/* One range, as the configuration says: sector u64, sectors u32, flags u32. */
static void start_discard(struct vblk_slot *slot)
{
    struct virtio_blk *blk = slot->owner;
    u8 range[16];
    u32 sectors, flags;

    if (slot->chain.out_bytes != HEADER_BYTES + sizeof(range) ||
        virtio_read(&blk->virtio, &slot->chain, HEADER_BYTES, range, sizeof(range)) < sizeof(range)) {
        finish(slot, S_IOERR);
        return;
    }
    memcpy(&slot->sector, range, 8);
    memcpy(&sectors, range + 8, 4);
    memcpy(&flags, range + 12, 4);
    if (flags) {
        finish(slot, S_UNSUPP);
    } else if (slot->sector > blk->sectors || sectors > blk->sectors - slot->sector || sectors > DISCARD_SECTORS_MAX) {
        finish(slot, S_IOERR);
    } else if (!sectors) {
        finish(slot, S_OK);
    } else {
        slot->req.op = DISK_DISCARD;
        slot->req.sector = slot->sector;
        slot->req.sectors = sectors;
        blk->back.submit(blk->back.opaque, &slot->req);
    }
}

static void start(struct vblk_slot *slot)
{
    struct virtio_blk *blk = slot->owner;
    const struct virtio_chain *chain = &slot->chain;
    u8 header[HEADER_BYTES];

    slot->busy = true;
    slot->moved = slot->bytes = 0;
    slot->type = T_FLUSH;
    if (virtio_read(&blk->virtio, chain, 0, header, sizeof(header)) < sizeof(header) || !chain->in_bytes) {
        slot->busy = false;
        virtio_break(&blk->virtio);
        return;
    }
    memcpy(&slot->type, header, 4);
    memcpy(&slot->sector, header + 8, 8);
    switch (slot->type) {
    case T_IN:
        slot->bytes = chain->in_bytes - 1;
        start_data(slot);
        break;
    case T_OUT:
        slot->bytes = chain->out_bytes - HEADER_BYTES;
        start_data(slot);
        break;
    case T_FLUSH:
        slot->req.op = DISK_FLUSH;
        slot->req.sector = 0;
        slot->req.sectors = 0;
        blk->back.submit(blk->back.opaque, &slot->req);
        break;
    case T_GET_ID:
        slot->moved = (u32)virtio_write(&blk->virtio, chain, 0, blk->id, min_u64(sizeof(blk->id), chain->in_bytes - 1));
        finish(slot, S_OK);
        break;
    case T_DISCARD: start_discard(slot); break;
    default: finish(slot, S_UNSUPP); break;
    }
}

static void start_waiting(struct virtio_blk *blk)
{
    for (unsigned i = 0; i < VBLK_SLOTS; i++)
        while (!blk->slot[i].busy) { /* what needs no back end leaves its slot free */
            if (virtio_pop(&blk->virtio, 0, &blk->slot[i].chain) <= 0)
                return;
            start(&blk->slot[i]);
        }
}

static void on_notify(void *opaque, unsigned queue)
{
    (void)queue;
    start_waiting(opaque);
}

static void on_reset(void *opaque)
{
    struct virtio_blk *blk = opaque;

    blk->dropping = true;
    blk->back.drain(blk->back.opaque);
    blk->dropping = false;
}

void virtio_blk_reset(struct virtio_blk *blk)
{
    virtio_reset(&blk->virtio);
}

static void put(u8 *config, unsigned at, u64 val, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        config[at + i] = (u8)(val >> (8 * i));
}

/*
 * Configuration:  0 capacity u64   8 size_max   12 seg_max   16 cylinders u16, heads u8, sectors u8   20 block size u32
 *                 36 max_discard_sectors u32   40 max_discard_seg u32   44 discard_sector_alignment u32
 */
static void fill_config(struct virtio_blk *blk, const struct disk_geometry *g)
{
    u8 *config = blk->virtio.config;
    u32 heads = g->heads ? g->heads : 16, spt = g->sectors_per_track ? g->sectors_per_track : 63;
    u64 cylinders = g->cylinders ? g->cylinders : g->sectors / (heads * spt);

    cylinders = cylinders < 2 ? 2 : min_u64(cylinders, 16383);
    put(config, 0, g->sectors, 8);
    put(config, 12, QUEUE_SIZE - 2, 4);
    put(config, 16, cylinders, 2);
    put(config, 18, heads, 1);
    put(config, 19, spt, 1);
    put(config, 20, DISK_SECTOR_BYTES, 4);
    put(config, 36, DISCARD_SECTORS_MAX, 4);
    put(config, 40, 1, 4);
    put(config, 44, 1, 4);
}

int virtio_blk_init(struct virtio_blk *blk, const struct disk_back *back, const char *serial, const struct dma_mem *mem,
                    struct irq_line irq)
{
    static const struct virtio_ops ops = {.notify = on_notify, .reset = on_reset};
    struct virtio_desc desc = {
        .id = VIRTIO_ID_BLK,
        .pci_class = 0x0100,
        .features = BIT(F_SEG_MAX) | BIT(F_GEOMETRY) | BIT(F_BLK_SIZE) | BIT(F_FLUSH) | BIT(F_DISCARD),
        .config_bytes = CONFIG_BYTES,
        .queues = 1,
        .queue_size = {QUEUE_SIZE},
        .ops = &ops,
        .opaque = blk,
    };
    struct disk_geometry g;

    memset(blk, 0, sizeof(*blk));
    blk->buf = calloc(VBLK_SLOTS, VBLK_PIECE_BYTES); /* what a read that failed leaves in it may reach the guest (rerror=ignore) */
    if (!blk->buf)
        return -ENOMEM;
    blk->back = *back;
    blk->back.geometry(blk->back.opaque, &g);
    blk->sectors = g.sectors;
    if (g.read_only)
        desc.features |= BIT(F_RO);
    if (serial)
        memcpy(blk->id, serial, strnlen(serial, sizeof(blk->id)));
    for (unsigned i = 0; i < VBLK_SLOTS; i++) {
        blk->slot[i].owner = blk;
        blk->slot[i].req = (struct disk_request){.done = done, .opaque = &blk->slot[i], .buf = buffer_of(&blk->slot[i])};
    }
    virtio_init(&blk->virtio, &desc, mem, irq);
    fill_config(blk, &g);
    return 0;
}

void virtio_blk_fini(struct virtio_blk *blk)
{
    free(blk->buf);
}
