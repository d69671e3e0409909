/*
 * ide_disk.c - the commands of an ATA disk, and how its sectors move.
 *
 * Reads fetch up to 128 KiB from the back end at once and hand them out block by block (a sector, or READ MULTIPLE's block), with an
 * interrupt each; writes go to the back end block by block. A read that fails is repeated a block at a time, so that the guest
 * gets what can be read and the address of the first sector that cannot.
 */
#include <string.h>

#include "devices/ide_core.h"

enum { LBA28_SECTORS = 1 << 28 };

/* ---- addresses ---- */

static void take_address(struct ide_drive *d)
{
    u32 low = d->lba_low.now, mid = d->lba_mid.now, high = d->lba_high.now;
    d->lba_mode = d->lba48 || (d->device & DEV_LBA);
    if (d->lba48) {
        u64 above = (u64)d->lba_low.hob | (u64)d->lba_mid.hob << 8 | (u64)d->lba_high.hob << 16;
        d->lba = (low | mid << 8 | high << 16) | above << 24;
    } else if (d->lba_mode) {
        d->lba = low | mid << 8 | high << 16 | (u32)(d->device & 15) << 24;
    } else {
        u32 cylinder = mid | high << 8, head = d->device & 15;
        /* Sector 0 and heads beyond the last do not exist: an address past every disk. */
        d->lba = low && low <= d->now_spt && head < d->now_heads
                     ? ((u64)cylinder * d->now_heads + head) * d->now_spt + low - 1
                     : UINT64_MAX;
    }
}

static void take_count(struct ide_drive *d)
{
    if (d->lba48) {
        d->left = d->count.now | (u32)d->count.hob << 8;
        d->left = d->left ? d->left : 65536;
    } else {
        d->left = d->count.now ? d->count.now : 256;
    }
}

/* Where the command stopped, in the form it was given in. */
static void show_address(struct ide_drive *d, u64 lba)
{
    if (d->lba_mode) {
        d->lba_low.now = (u8)lba;
        d->lba_mid.now = (u8)(lba >> 8);
        d->lba_high.now = (u8)(lba >> 16);
        if (d->lba48) {
            d->lba_low.hob = (u8)(lba >> 24);
            d->lba_mid.hob = (u8)(lba >> 32);
            d->lba_high.hob = (u8)(lba >> 40);
        } else {
            d->device = (u8)((d->device & 0xf0) | (lba >> 24 & 15));
        }
    } else if (d->now_heads && d->now_spt) {
        u64 track = lba / d->now_spt;
        d->lba_low.now = (u8)(lba % d->now_spt + 1);
        d->lba_mid.now = (u8)(track / d->now_heads);
        d->lba_high.now = (u8)(track / d->now_heads >> 8);
        d->device = (u8)((d->device & 0xf0) | (track % d->now_heads & 15));
    }
}

static void show_progress(struct ide_drive *d)
{
    d->count.now = (u8)d->left;
    if (d->lba48)
        d->count.hob = (u8)(d->left >> 8);
    if (d->lba < d->sectors || d->left)
        show_address(d, d->lba);
}

static void fail_here(struct ide_drive *d, u8 error)
{
    show_progress(d);
    if (d->dma)
        ide_master_end(d);
    ide_fail(d, error);
}

/* ---- moving sectors ---- */

static void read_more(struct ide_drive *d)
{
    u32 most = d->careful ? d->block : DISK_REQUEST_SECTORS;
    ide_submit(d, DISK_READ, d->lba, (u32)min_u64(d->left, most));
}

/* The next block for the guest to fill; the first one without an interrupt. */
static void write_more(struct ide_drive *d, bool first)
{
    if (d->dma) {
        d->filled = (u32)min_u64(d->left, DISK_REQUEST_SECTORS) * DISK_SECTOR_BYTES;
        ide_data_phase(d, IDE_DMA_OUT, 0, d->filled);
        ide_master_run(d);
        return;
    }
    d->filled = (u32)min_u64(d->left, d->block) * DISK_SECTOR_BYTES;
    ide_data_phase(d, IDE_DATA_OUT, 0, d->filled);
    if (!first)
        ide_raise(d);
}

/* Data is in buf from at to filled: a block of it to the guest. */
static void hand_out(struct ide_drive *d)
{
    if (d->dma) {
        ide_data_phase(d, IDE_DMA_IN, 0, d->filled);
        ide_master_run(d);
        return;
    }
    ide_data_phase(d, IDE_DATA_IN, d->at, (u32)min_u64(d->at + d->block * DISK_SECTOR_BYTES, d->filled));
    ide_raise(d);
}

static void start_transfer(struct ide_drive *d, enum ide_flow flow)
{
    take_address(d);
    take_count(d);
    d->flow = flow;
    d->careful = d->standby = false;
    if (d->lba >= d->sectors || d->left > d->sectors - d->lba) {
        ide_fail(d, ER_IDNF);
        return;
    }
    if (flow == IDE_FLOW_WRITE)
        write_more(d, true);
    else
        read_more(d);
}

static void transfer(struct ide_drive *d, enum ide_flow flow, u32 block, bool lba48, bool dma)
{
    if (!block) {
        ide_fail(d, ER_ABRT);
        return;
    }
    d->block = block;
    d->lba48 = lba48;
    d->dma = dma;
    start_transfer(d, flow);
}

/* ---- DATA SET MANAGEMENT: TRIM ----
 * The data is a list of ranges, 8 bytes each: 48 bits of address, 16 of length, 0 for none. */
static void trim_next(struct ide_drive *d)
{
    while (d->at + 8 <= d->filled) {
        const u8 *range = d->buf + d->at;
        u64 lba = 0;
        u32 sectors = range[6] | (u32)range[7] << 8;

        for (unsigned i = 0; i < 6; i++)
            lba |= (u64)range[i] << 8 * i;
        d->at += 8;
        if (!sectors)
            continue;
        if (lba >= d->sectors || sectors > d->sectors - lba) {
            ide_master_end(d);
            ide_fail(d, ER_ABRT);
            return;
        }
        ide_submit(d, DISK_DISCARD, lba, sectors);
        return;
    }
    ide_master_end(d);
    ide_done(d);
}

static void trim(struct ide_drive *d)
{
    u32 blocks = d->count.now | (u32)d->count.hob << 8;

    if (d->feature.now != 1 || !blocks || blocks * DISK_SECTOR_BYTES > IDE_BUF_BYTES) {
        ide_fail(d, ER_ABRT);
        return;
    }
    d->lba48 = d->dma = true;
    d->flow = IDE_FLOW_TRIM;
    d->filled = blocks * DISK_SECTOR_BYTES;
    ide_data_phase(d, IDE_DMA_OUT, 0, d->filled);
    ide_master_run(d);
}

static void sectors_over(struct ide_drive *d, u32 sectors)
{
    d->lba += sectors;
    d->left -= (u32)min_u64(sectors, d->left);
}

void ide_disk_block_over(struct ide_drive *d)
{
    switch (d->flow) {
    case IDE_FLOW_READ:
        if (d->dma) {
            sectors_over(d, d->filled / DISK_SECTOR_BYTES);
        } else {
            u32 bytes = d->at % (d->block * DISK_SECTOR_BYTES);
            sectors_over(d, bytes ? bytes / DISK_SECTOR_BYTES : d->block);
            if (d->at < d->filled) {
                hand_out(d);
                return;
            }
        }
        d->at = d->filled = 0;
        if (d->left) {
            read_more(d);
            return;
        }
        show_progress(d);
        if (d->dma) {
            ide_master_end(d);
            ide_done(d);
            return;
        }
        d->status = ST_DRDY | ST_DSC; /* no interrupt: the guest has its data */
        d->phase = IDE_IDLE;
        d->flow = IDE_FLOW_NONE;
        return;
    case IDE_FLOW_WRITE: ide_submit(d, DISK_WRITE, d->lba, d->filled / DISK_SECTOR_BYTES); return;
    case IDE_FLOW_BUFFER: ide_done(d); return;
    case IDE_FLOW_TRIM:
        d->at = 0;
        trim_next(d);
        return;
    default:
        d->status = ST_DRDY | ST_DSC;
        d->phase = IDE_IDLE;
        d->flow = IDE_FLOW_NONE;
        return;
    }
}

static void written(struct ide_drive *d)
{
    if (d->left) {
        write_more(d, false);
        return;
    }
    show_progress(d);
    if (d->dma)
        ide_master_end(d);
    ide_done(d);
}

static void write_over(struct ide_drive *d)
{
    if (!d->flushing) {
        sectors_over(d, d->filled / DISK_SECTOR_BYTES);
        d->filled = 0;
        /* With the write cache off, "written" means durable. */
        if (!d->write_cache && !d->left) {
            d->flushing = true;
            ide_submit(d, DISK_FLUSH, 0, 0);
            return;
        }
    }
    d->flushing = false;
    written(d);
}

static void read_over(struct ide_drive *d)
{
    u32 sectors = d->request.sectors;
    if (d->flow == IDE_FLOW_VERIFY) {
        sectors_over(d, sectors);
        if (d->left) {
            read_more(d);
        } else {
            show_progress(d);
            ide_done(d);
        }
        return;
    }
    d->at = 0;
    d->filled = sectors * DISK_SECTOR_BYTES;
    hand_out(d);
}

void ide_disk_request_over(struct ide_drive *d, int err)
{
    d->phase = IDE_IDLE;
    if (err && (d->flow == IDE_FLOW_READ || d->flow == IDE_FLOW_VERIFY)) {
        if (!d->careful && d->request.sectors > d->block) {
            d->careful = true;
            read_more(d);
        } else {
            fail_here(d, err == -ERANGE ? ER_IDNF : ER_UNC);
        }
    } else if (err) {
        /* A write that could not be, be it for a full host disk: the drive can do nothing about it. */
        fail_here(d, err == -ERANGE ? ER_IDNF : ER_ABRT);
    } else if (d->flow == IDE_FLOW_TRIM) {
        trim_next(d);
    } else if (d->flow == IDE_FLOW_WRITE) {
        write_over(d);
    } else if (d->flow == IDE_FLOW_FLUSH) {
        ide_done(d);
    } else {
        read_over(d);
    }
}

/* ---- commands without sectors ---- */

static void flush(struct ide_drive *d)
{
    d->flow = IDE_FLOW_FLUSH;
    ide_submit(d, DISK_FLUSH, 0, 0);
}

void ide_disk_reply(struct ide_drive *d)
{
    d->flow = IDE_FLOW_REPLY;
    d->filled = DISK_SECTOR_BYTES;
    ide_data_phase(d, IDE_DATA_IN, 0, DISK_SECTOR_BYTES);
    ide_raise(d);
}

static void set_features(struct ide_drive *d)
{
    u8 mode = d->count.now;
    switch (d->feature.now) {
    case 0x02: d->write_cache = true; break;
    case 0x82:
        d->write_cache = false;
        flush(d);
        return;
    case 0x03: /* PIO default, PIO 0-4, multiword and single-word DMA 0-2, UDMA 0-5 */
        if (!(mode <= 1 || (mode >= 0x08 && mode <= 0x0c) || (mode >= 0x10 && mode <= 0x12) ||
              (mode >= 0x20 && mode <= 0x22) || (mode >= 0x40 && mode <= 0x45))) {
            ide_fail(d, ER_ABRT);
            return;
        }
        d->transfer_mode = mode;
        break;
    case 0x05: /* power management, acoustics, look-ahead, what a reset keeps: all the same here */
    case 0x85:
    case 0x42:
    case 0xc2:
    case 0x55:
    case 0xaa:
    case 0x66:
    case 0xcc:
    case 0x67:
    case 0x69:
    case 0x96:
    case 0x9a: break;
    default: ide_fail(d, ER_ABRT); return;
    }
    ide_done(d);
}

static void set_multiple(struct ide_drive *d)
{
    u8 n = d->count.now;
    if (n > IDE_MULTIPLE_MAX || (n & (n - 1))) {
        ide_fail(d, ER_ABRT);
        return;
    }
    d->multiple = n;
    ide_done(d);
}

static void set_geometry(struct ide_drive *d)
{
    if (!d->count.now) {
        ide_fail(d, ER_ABRT);
        return;
    }
    d->now_spt = d->count.now;
    d->now_heads = (d->device & 15) + 1;
    ide_done(d);
}

static void native_max(struct ide_drive *d, bool lba48)
{
    u64 last = d->sectors ? d->sectors - 1 : 0;
    d->lba48 = lba48;
    d->lba_mode = true;
    show_address(d, lba48 ? last : min_u64(last, LBA28_SECTORS - 1));
    ide_done(d);
}

static void seek(struct ide_drive *d)
{
    take_address(d);
    if (d->lba >= d->sectors)
        ide_fail(d, ER_IDNF);
    else
        ide_done(d);
}

static void power(struct ide_drive *d, bool standby)
{
    d->standby = standby;
    if (standby)
        flush(d);
    else
        ide_done(d);
}

static void write_buffer(struct ide_drive *d)
{
    d->flow = IDE_FLOW_BUFFER;
    d->filled = DISK_SECTOR_BYTES;
    ide_data_phase(d, IDE_DATA_OUT, 0, DISK_SECTOR_BYTES);
}

void ide_disk_command(struct ide_drive *d, u8 command)
{
    switch (command) {
    case 0x20: /* READ SECTORS */
    case 0x21: transfer(d, IDE_FLOW_READ, 1, false, false); break;
    case 0x24: transfer(d, IDE_FLOW_READ, 1, true, false); break;
    case 0xc4: transfer(d, IDE_FLOW_READ, d->multiple, false, false); break;
    case 0x29: transfer(d, IDE_FLOW_READ, d->multiple, true, false); break;
    case 0xc8: /* READ DMA */
    case 0xc9: transfer(d, IDE_FLOW_READ, 1, false, true); break;
    case 0x25: transfer(d, IDE_FLOW_READ, 1, true, true); break;
    case 0x30: /* WRITE SECTORS */
    case 0x31:
    case 0x3c: transfer(d, IDE_FLOW_WRITE, 1, false, false); break;
    case 0x34: transfer(d, IDE_FLOW_WRITE, 1, true, false); break;
    case 0xc5: transfer(d, IDE_FLOW_WRITE, d->multiple, false, false); break;
    case 0x39: transfer(d, IDE_FLOW_WRITE, d->multiple, true, false); break;
    case 0xca: /* WRITE DMA */
    case 0xcb: transfer(d, IDE_FLOW_WRITE, 1, false, true); break;
    case 0x35: transfer(d, IDE_FLOW_WRITE, 1, true, true); break;
    case 0x40: /* READ VERIFY */
    case 0x41: transfer(d, IDE_FLOW_VERIFY, 1, false, false); break;
    case 0x42: transfer(d, IDE_FLOW_VERIFY, 1, true, false); break;
    case 0x70: seek(d); break;
    case 0x91: set_geometry(d); break;
    case 0xc6: set_multiple(d); break;
    case 0x06: trim(d); break;
    case 0xb0: ide_smart(d); break;
    case 0xe4: ide_disk_reply(d); break; /* READ BUFFER */
    case 0xe8: write_buffer(d); break;
    case 0xe7: /* FLUSH CACHE */
    case 0xea: flush(d); break;
    case 0xec:
        ide_identify_disk(d, d->buf);
        ide_disk_reply(d);
        break;
    case 0xef: set_features(d); break;
    case 0x27: native_max(d, true); break;
    case 0xf8: native_max(d, false); break;
    case 0x94: /* STANDBY IMMEDIATE, STANDBY, SLEEP */
    case 0xe0:
    case 0x96:
    case 0xe2:
    case 0x99:
    case 0xe6: power(d, true); break;
    case 0x95: /* IDLE IMMEDIATE, IDLE */
    case 0xe1:
    case 0x97:
    case 0xe3: power(d, false); break;
    case 0x98: /* CHECK POWER MODE */
    case 0xe5:
        d->count.now = d->standby ? 0 : 0xff;
        ide_done(d);
        break;
    default:
        if ((command & 0xf0) == 0x10) /* RECALIBRATE */
            ide_done(d);
        else
            ide_fail(d, ER_ABRT);
    }
}
