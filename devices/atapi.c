/*
 * atapi.c - a CD-ROM on an IDE cable: ATA commands it knows, and how packets and their data cross the data port.
 *
 * A packet's reply goes in blocks of at most the byte count that the guest put into LBA mid and high, each announced by an
 * interrupt with the block's size there; the sector count register tells what the block is (bit 0 command, bit 1 to the host).
 * Sectors are read in runs as long as buf takes. Errors are CHECK CONDITION with sense data, kept for REQUEST SENSE.
 */
#include <string.h>

#include "devices/ide_core.h"

enum { REASON_COMMAND = 1, REASON_TO_HOST = 2 };
enum { SENSE_NOT_READY = 2, SENSE_MEDIUM = 3, SENSE_HARDWARE = 4, SENSE_ILLEGAL = 5 };
enum { CD_BLOCK = 2048, CD_RAW = 2352, CD_SECTORS = CD_BLOCK / 512 };

static void finish(struct ide_drive *d)
{
    d->count.now = REASON_COMMAND | REASON_TO_HOST;
    if (d->dma)
        ide_master_end(d);
}

void atapi_good(struct ide_drive *d)
{
    finish(d);
    d->sense = (struct ide_sense){0};
    ide_done(d);
}

void atapi_check(struct ide_drive *d, u8 key, u8 asc, u8 ascq)
{
    finish(d);
    d->sense = (struct ide_sense){key, asc, ascq};
    ide_fail(d, (u8)(key << 4 | (key == SENSE_ILLEGAL ? ER_ABRT : 0)));
}

/* buf from at to filled: the next block of it towards the guest. */
static void hand_out(struct ide_drive *d)
{
    if (d->dma) {
        ide_data_phase(d, IDE_DMA_IN, d->at, d->filled);
        ide_master_run(d);
        return;
    }
    u32 limit = d->lba_mid.hob | (u32)d->lba_high.hob << 8; /* kept by atapi_packet() */
    u32 n = d->filled - d->at;
    if (limit == 0 || limit == 0xffff)
        limit = 0xfffe;
    if (n > limit)
        n = limit > 1 ? limit & ~1u : limit; /* only the last block may be odd */
    d->lba_mid.now = (u8)n;
    d->lba_high.now = (u8)(n >> 8);
    d->count.now = REASON_TO_HOST;
    ide_data_phase(d, IDE_DATA_IN, d->at, d->at + n);
    ide_raise(d);
}

void atapi_reply(struct ide_drive *d, u32 bytes, u32 allocated)
{
    d->flow = IDE_FLOW_PACKET_REPLY;
    d->at = 0;
    d->filled = (u32)min_u64(bytes, allocated);
    if (d->filled)
        hand_out(d);
    else
        atapi_good(d);
}

/* ---- sectors ---- */

static void read_more(struct ide_drive *d)
{
    u32 most = d->careful ? 1 : IDE_BUF_BYTES / d->block_bytes;
    u32 blocks = (u32)min_u64(d->left, most);
    ide_submit(d, DISK_READ, d->lba * CD_SECTORS, blocks * CD_SECTORS);
}

void atapi_read(struct ide_drive *d, u32 lba, u32 blocks, u32 block_bytes)
{
    if (!blocks) {
        atapi_good(d);
        return;
    }
    d->flow = IDE_FLOW_PACKET_READ;
    d->lba = lba;
    d->left = blocks;
    d->block_bytes = block_bytes;
    d->careful = false;
    read_more(d);
}

static u8 bcd(u32 v)
{
    return (u8)(v / 10 % 10 << 4 | v % 10);
}

/* A raw sector around 2048 bytes of data: sync, address and mode, data, and no checksums. */
static void wrap_raw(u8 *to, const u8 *data, u32 lba)
{
    u32 at = lba + 150;
    memmove(to + 16, data, CD_BLOCK);
    memset(to + 1, 0xff, 10);
    to[0] = to[11] = 0;
    to[12] = bcd(at / (75 * 60));
    to[13] = bcd(at / 75 % 60);
    to[14] = bcd(at % 75);
    to[15] = 1;
    memset(to + 16 + CD_BLOCK, 0, CD_RAW - CD_BLOCK - 16);
}

void atapi_request_over(struct ide_drive *d, int err)
{
    u32 blocks = d->request.sectors / CD_SECTORS;
    d->phase = IDE_IDLE;
    if (d->flow != IDE_FLOW_PACKET_READ) {
        atapi_good(d);
    } else if (err == -ENOMEDIUM) {
        atapi_check(d, SENSE_NOT_READY, 0x3a, 0);
    } else if (err == -ERANGE) {
        atapi_check(d, SENSE_ILLEGAL, 0x21, 0);
    } else if (err && !d->careful && blocks > 1) {
        d->careful = true;
        read_more(d);
    } else if (err) {
        atapi_check(d, SENSE_MEDIUM, 0x11, 0);
    } else {
        if (d->block_bytes == CD_RAW) /* from the last one, which moves farthest */
            for (u32 i = blocks; i--;)
                wrap_raw(d->buf + i * CD_RAW, d->buf + i * CD_BLOCK, (u32)d->lba + i);
        d->at = 0;
        d->filled = blocks * d->block_bytes;
        d->lba += blocks;
        d->left -= (u32)min_u64(blocks, d->left);
        hand_out(d);
    }
}

void atapi_block_over(struct ide_drive *d)
{
    if (d->flow == IDE_FLOW_REPLY) { /* IDENTIFY PACKET DEVICE */
        d->phase = IDE_IDLE;
        d->flow = IDE_FLOW_NONE;
        d->status = ST_DRDY | ST_DSC;
    } else if (d->at < d->filled) {
        hand_out(d);
    } else if (d->flow == IDE_FLOW_PACKET_READ && d->left) {
        read_more(d);
    } else {
        atapi_good(d);
    }
}

/* ---- ATA commands ---- */

static void packet_command(struct ide_drive *d)
{
    if (d->feature.now & 2) { /* overlapped */
        ide_fail(d, ER_ABRT);
        return;
    }
    d->dma = d->feature.now & 1;
    d->count.now = REASON_COMMAND;
    ide_data_phase(d, IDE_PACKET, 0, IDE_PACKET_BYTES); /* no interrupt: see IDENTIFY word 0 */
}

void atapi_packet(struct ide_drive *d)
{
    struct disk_geometry g = {0};
    d->phase = IDE_IDLE;
    d->status = ST_BSY;
    /* The byte count is the guest's until the first block is announced in the same registers. */
    d->lba_mid.hob = d->lba_mid.now;
    d->lba_high.hob = d->lba_high.now;
    if (!d->tray_open)
        d->back.geometry(d->back.opaque, &g);
    atapi_execute(d, (u32)min_u64(g.sectors / CD_SECTORS, UINT32_MAX));
}

static void set_features(struct ide_drive *d)
{
    u8 mode = d->count.now;
    if (d->feature.now == 0x03 &&
        (mode <= 1 || (mode >= 0x08 && mode <= 0x0c) || (mode >= 0x10 && mode <= 0x12) ||
         (mode >= 0x20 && mode <= 0x22) || (mode >= 0x40 && mode <= 0x45))) {
        d->transfer_mode = mode;
        ide_done(d);
    } else if (d->feature.now == 0x66 || d->feature.now == 0xcc) {
        ide_done(d);
    } else {
        ide_fail(d, ER_ABRT);
    }
}

void atapi_command(struct ide_drive *d, u8 command)
{
    switch (command) {
    case 0xa0: packet_command(d); break;
    case 0xa1:
        ide_identify_cdrom(d, d->buf);
        d->flow = IDE_FLOW_REPLY;
        d->filled = DISK_SECTOR_BYTES;
        ide_data_phase(d, IDE_DATA_IN, 0, DISK_SECTOR_BYTES);
        ide_raise(d);
        break;
    case 0xef: set_features(d); break;
    case 0x94: /* power modes: a drive that is never tired */
    case 0x95:
    case 0x96:
    case 0x97:
    case 0x99:
    case 0xe0:
    case 0xe1:
    case 0xe2:
    case 0xe3:
    case 0xe6:
    case 0xe7: ide_done(d); break;
    case 0x98:
    case 0xe5:
        d->count.now = 0xff;
        ide_done(d);
        break;
    case 0x20: /* READ SECTORS, IDENTIFY DEVICE: how hosts find out that this is no disk */
    case 0xec:
        ide_signature(d);
        ide_fail(d, ER_ABRT);
        break;
    default: ide_fail(d, ER_ABRT);
    }
}
