/*
 * fdc_transfer.c - sectors between a floppy and the DMA channel or the data register.
 *
 * A command names a sector and the last one of the track; it ends at terminal count (normal) or behind the last sector (end of
 * cylinder, abnormal, which is what drivers without DMA expect). Sectors in a row are one request: as many as the DMA channel
 * still wants. A row that fails is repeated sector by sector, so that the result names the one that is bad.
 */
#include <string.h>

#include "devices/fdc_core.h"

enum { IS_READ, IS_WRITE, IS_VERIFY, IS_FORMAT, IS_SCAN };
enum { SCAN_EQUAL = 0x11, SCAN_LOW = 0x19, SCAN_HIGH = 0x1d };

/* By the low five bits of the command. */
static unsigned kind(const struct fdc *f)
{
    switch (f->command & 0x1f) {
    case 0x05:
    case 0x09: return IS_WRITE;
    case 0x16: return IS_VERIFY;
    case 0x0d: return IS_FORMAT;
    case SCAN_EQUAL:
    case SCAN_LOW:
    case SCAN_HIGH: return IS_SCAN;
    default: return IS_READ;
    }
}

static bool without_dma(const struct fdc *f)
{
    return f->specify[1] & SPECIFY_NO_DMA;
}

bool fdc_has_ids(struct fdc *f, const struct fdc_drive *d)
{
    const struct fdc_medium *m = d ? &d->medium : NULL;
    bool rate_ok = m && (m->rate == f->rate || (m->any_low_rate && (f->rate == 1 || f->rate == 2)));
    if (m && m->tracks && rate_ok && f->side < m->heads && d->track < m->tracks)
        return true;
    fdc_end(f, ST0_ABNORMAL, ST1_NO_MARK, 0);
    return false;
}

/* How many sectors lie in a row from the current one: to the last of the track, of the cylinder with MT; 0 behind it. */
static u32 row(const struct fdc *f, const struct fdc_medium *m)
{
    u32 last = f->last < m->spt ? f->last : m->spt;
    if (!f->sector || f->sector > last)
        return 0;
    u32 n = last - f->sector + 1u;
    if (f->multi_track && f->side == 0 && m->heads == 2 &&
        last == m->spt) /* only then do both sides lie in a row */
        n += last;
    return n < FDC_BUF_SECTORS ? n : FDC_BUF_SECTORS;
}

/* Past n sectors. Behind the last one of side 0 MT goes on at side 1; else sector is last + 1. */
static void step_sectors(struct fdc *f, u32 n)
{
    while (n--) {
        if (f->sector == f->last && f->multi_track && f->side == 0) {
            f->side = 1;
            f->sector = 1;
        } else {
            f->sector++;
        }
    }
}

static void finish(struct fdc *f, u8 st0, u8 st1, u8 st2)
{
    if (!st0 &&
        f->sector > f->last) { /* ended well behind the last sector: the address of the next cylinder */
        f->sector = 1;
        f->track++;
        f->side = f->multi_track ? 0 : f->side;
    }
    fdc_end(f, st0, st1, (u8)(st2 | f->st2));
}

static void request_done(void *opaque, struct disk_request *req, int err);

static void submit(struct fdc *f, enum disk_op op, u32 sectors)
{
    const struct fdc_drive *d = &f->drive[f->unit];
    f->phase = FDC_WORKING;
    f->request = (struct disk_request){
        .op = op,
        .sector = ((u64)f->track * d->medium.heads + f->side) * d->medium.spt + f->sector - 1,
        .sectors = sectors,
        .buf = f->buf,
        .done = request_done,
        .opaque = f,
    };
    f->in_flight = true;
    d->back.submit(d->back.opaque, &f->request);
}

static u32 sectors_of(size_t bytes)
{
    return (u32)((bytes + DISK_SECTOR_BYTES - 1) / DISK_SECTOR_BYTES);
}

/* What comes next; also when the DMA channel came free. */
static void go_on(struct fdc *f)
{
    const struct fdc_medium *m = &f->drive[f->unit].medium;
    u32 n = row(f, m);
    unsigned what = kind(f);
    if (what == IS_VERIFY && !f->verify_left) {
        finish(f, 0, 0, 0);
        return;
    }
    if (!n) {
        bool end = f->sector > f->last;
        if (end && what == IS_SCAN) { /* nothing of all that met the condition */
            finish(f, 0, 0, ST2_NOT_MET);
            return;
        }
        finish(f, ST0_ABNORMAL, end ? ST1_END : ST1_NO_DATA, 0);
        return;
    }
    n = f->careful ? 1 : n;
    if (what == IS_VERIFY) {
        n = n < f->verify_left ? n : f->verify_left;
        submit(f, DISK_READ, n);
        return;
    }
    f->data_at = 0;
    if (what == IS_SCAN) {
        submit(f, DISK_READ, 1);
        return;
    }
    if (without_dma(f)) {
        if (what == IS_READ) {
            submit(f, DISK_READ, n);
        } else {
            f->data_end = DISK_SECTOR_BYTES;
            f->phase = FDC_PIO;
            fdc_raise(f);
        }
        return;
    }
    size_t left = i8237_left(f->dma, FDC_DMA_CHANNEL, what == IS_READ);
    f->phase = FDC_DMA;
    f->data_end = 0;
    if (!left)
        return; /* until fdc_go_on() */
    n = (u32)min_u64(n, sectors_of(left));
    if (what == IS_READ) {
        submit(f, DISK_READ, n);
        return;
    }
    memset(f->buf, 0, n * DISK_SECTOR_BYTES);
    (void)i8237_transfer(f->dma, FDC_DMA_CHANNEL, f->buf, n * DISK_SECTOR_BYTES, false);
    f->data_at = left <= n * DISK_SECTOR_BYTES; /* terminal count came with these */
    submit(f, DISK_WRITE, n);
}

/* Sectors that were read: to memory, as far as the channel takes them. */
static void hand_to_dma(struct fdc *f)
{
    size_t left = i8237_left(f->dma, FDC_DMA_CHANNEL, true), moved;
    f->phase = FDC_DMA;
    if (!left)
        return;
    moved = i8237_transfer(f->dma, FDC_DMA_CHANNEL, f->buf + f->data_at, f->data_end - f->data_at, true);
    step_sectors(f, sectors_of(f->data_at + moved) - f->data_at / DISK_SECTOR_BYTES);
    f->data_at += (u32)moved;
    if (moved == left)
        finish(f, 0, 0, 0);
    else if (f->data_at >= f->data_end)
        go_on(f);
}

/* ---- SCAN: the sector is in the first 512 bytes of buf, what it is compared with comes behind it ---- */

/* bytes of both are there; over: no more will come. FFh on either side fits everything. */
static void compare(struct fdc *f, u32 bytes, bool over)
{
    const u8 *disk = f->buf, *host = f->buf + DISK_SECTOR_BYTES;
    u8 what = f->command & 0x1f;
    int order = 0;
    for (u32 i = 0; i < bytes && !order; i++)
        if (disk[i] != host[i] && disk[i] != 0xff && host[i] != 0xff)
            order = disk[i] < host[i] ? -1 : 1;
    if (!order || (what == SCAN_LOW && order < 0) || (what == SCAN_HIGH && order > 0)) {
        finish(f, 0, 0, order ? 0 : ST2_EQUAL);
    } else if (over) {
        finish(f, 0, 0, ST2_NOT_MET);
    } else {
        step_sectors(f, f->fifo[8] == 2 ? 2 : 1);
        go_on(f);
    }
}

static void scan_by_dma(struct fdc *f)
{
    size_t left = i8237_left(f->dma, FDC_DMA_CHANNEL, false), moved;
    f->phase = FDC_DMA;
    if (!left || f->data_at < DISK_SECTOR_BYTES || f->data_at >= f->data_end || f->data_end > sizeof(f->buf))
        return;
    moved = i8237_transfer(f->dma, FDC_DMA_CHANNEL, f->buf + f->data_at, f->data_end - f->data_at, false);
    f->data_at += (u32)moved;
    if (f->data_at >= f->data_end || moved == left)
        compare(f, (u32)min_u64(f->data_at - DISK_SECTOR_BYTES, DISK_SECTOR_BYTES), moved == left);
}

static void format_done(struct fdc *f)
{
    f->sector = 1;
    fdc_end(f, 0, 0, 0);
}

static void request_done(void *opaque, struct disk_request *req, int err)
{
    struct fdc *f = opaque;
    unsigned what = kind(f);
    f->in_flight = false;
    if (f->abandoned) {
        f->abandoned = false;
        f->phase = FDC_COMMAND;
        return;
    }
    if (err && req->op == DISK_READ && req->sectors > 1) {
        f->careful = true;
        go_on(f);
    } else if (err) {
        bool none = err == -ENOMEDIUM || err == -ERANGE;
        finish(f, ST0_ABNORMAL,
               err == -EROFS ? ST1_PROTECTED
               : none        ? ST1_NO_DATA
                             : ST1_DATA,
               err == -EROFS || none ? 0 : ST2_DATA);
    } else if (what == IS_FORMAT) {
        format_done(f);
    } else if (what == IS_VERIFY) {
        step_sectors(f, req->sectors);
        f->verify_left -= req->sectors < f->verify_left ? req->sectors : f->verify_left;
        go_on(f);
    } else if (what == IS_WRITE) {
        bool over = !without_dma(f) && f->data_at;
        step_sectors(f, req->sectors);
        if (over)
            finish(f, 0, 0, 0);
        else
            go_on(f);
    } else {
        f->data_at = what == IS_SCAN ? DISK_SECTOR_BYTES : 0;
        f->data_end = f->data_at + req->sectors * DISK_SECTOR_BYTES;
        if (what == IS_SCAN && !without_dma(f)) {
            scan_by_dma(f);
        } else if (without_dma(f)) {
            f->phase = FDC_PIO;
            fdc_raise(f);
        } else {
            hand_to_dma(f);
        }
    }
}

/* ---- commands ---- */

void fdc_transfer(struct fdc *f)
{
    struct fdc_drive *d = fdc_unit(f, f->fifo[1] & 3);
    u8 track = f->fifo[2], head = f->fifo[3];
    unsigned what = kind(f);
    f->unit = f->fifo[1] & 3;
    f->side = f->fifo[1] >> 2 & 1;
    f->multi_track = f->command & 0x80;
    f->track = track;
    f->sector = f->fifo[4];
    f->last = f->end_of_track = f->fifo[6];
    f->careful = false;
    f->st2 = (f->command & 0x1f) == 0x0c ? ST2_DELETED
                                         : 0; /* there is no deleted data here: found the other kind */
    if ((f->command & 0x1f) == 0x02) {        /* READ TRACK: from the index on */
        f->sector = 1;
        f->multi_track = false;
    }
    if (d && (f->config & CONFIG_IMPLIED_SEEK))
        fdc_step(d, track);
    if (!fdc_has_ids(f, d))
        return;
    if (track != d->track) {
        fdc_end(f, ST0_ABNORMAL, ST1_NO_DATA, ST2_CYLINDER);
    } else if (head != f->side || f->fifo[5] != 2) {
        fdc_end(f, ST0_ABNORMAL, ST1_NO_DATA, 0);
    } else if (what == IS_WRITE && d->medium.read_only) {
        fdc_end(f, ST0_ABNORMAL, ST1_PROTECTED, 0);
    } else {
        bool counted = f->fifo[1] & 0x80;
        u32 to_end = f->sector <= f->last ? f->last - f->sector + 1u : 0;
        f->verify_left =
            counted ? (f->fifo[8] ? f->fifo[8] : 256u) : to_end + (f->multi_track && !f->side ? f->last : 0);
        go_on(f);
    }
}

/* All IDs came: the sectors 1 to count of the track under the head are written over with the filler byte. */
static void format_write(struct fdc *f)
{
    const struct fdc_medium *m = &f->drive[f->unit].medium;
    u32 n = f->verify_left < m->spt ? f->verify_left : m->spt;
    if (!n) { /* the medium has just gone */
        fdc_end(f, ST0_ABNORMAL, ST1_NO_MARK, 0);
        return;
    }
    memset(f->buf, f->fifo[5], n * DISK_SECTOR_BYTES);
    f->sector = 1;
    submit(f, DISK_WRITE, n);
}

static void format_ids(struct fdc *f)
{
    size_t left = i8237_left(f->dma, FDC_DMA_CHANNEL, false), moved;
    f->phase = FDC_DMA;
    f->data_end = 4 * f->verify_left;
    if (!left)
        return;
    moved = i8237_transfer(f->dma, FDC_DMA_CHANNEL, f->buf + f->data_at, f->data_end - f->data_at, false);
    f->data_at += (u32)moved;
    if (f->data_at >= f->data_end || moved == left) /* terminal count too early: what came is formatted */
        format_write(f);
}

void fdc_format(struct fdc *f)
{
    struct fdc_drive *d = fdc_unit(f, f->fifo[1] & 3);
    f->unit = f->fifo[1] & 3;
    f->side = f->fifo[1] >> 2 & 1;
    f->track = d ? d->track : 0;
    f->sector = 1;
    f->st2 = 0;
    f->verify_left = f->fifo[3];
    f->data_at = 0;
    if (!fdc_has_ids(f, d))
        return;
    if (d->medium.read_only)
        fdc_end(f, ST0_ABNORMAL, ST1_PROTECTED, 0);
    else if (!f->verify_left || f->fifo[2] != 2)
        fdc_end(f, ST0_ABNORMAL, ST1_NO_DATA, 0);
    else if (without_dma(f)) {
        f->data_end = 4 * f->verify_left;
        f->phase = FDC_PIO;
        fdc_raise(f);
    } else {
        format_ids(f);
    }
}

void fdc_go_on(void *opaque)
{
    struct fdc *f = opaque;
    if (f->phase != FDC_DMA)
        return;
    if (kind(f) == IS_FORMAT)
        format_ids(f);
    else if (f->data_end && kind(f) == IS_SCAN)
        scan_by_dma(f);
    else if (f->data_end)
        hand_to_dma(f);
    else
        go_on(f);
}

/* ---- without DMA ---- */

/* An interrupt a sector. */
static void pio_step(struct fdc *f)
{
    f->data_at++;
    if (f->data_at % DISK_SECTOR_BYTES == 0 && f->data_at < f->data_end)
        fdc_raise(f);
}

u8 fdc_pio_read(struct fdc *f)
{
    if (f->phase != FDC_PIO || kind(f) != IS_READ || f->data_at >= f->data_end ||
        f->data_end > sizeof(f->buf))
        return 0;
    u8 v = f->buf[f->data_at];
    pio_step(f);
    if (f->data_at >= f->data_end) {
        step_sectors(f, f->data_end / DISK_SECTOR_BYTES);
        go_on(f);
    }
    return v;
}

void fdc_pio_write(struct fdc *f, u8 val)
{
    if (f->phase != FDC_PIO || kind(f) == IS_READ || f->data_at >= f->data_end ||
        f->data_end > sizeof(f->buf))
        return;
    f->buf[f->data_at] = val;
    pio_step(f);
    if (f->data_at < f->data_end)
        return;
    f->data_at = 0;
    if (kind(f) == IS_FORMAT)
        format_write(f);
    else if (kind(f) == IS_SCAN)
        compare(f, DISK_SECTOR_BYTES, false);
    else
        submit(f, DISK_WRITE, 1);
}
