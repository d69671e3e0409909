/*
 * ide_identify.c - what drives say about themselves: IDENTIFY DEVICE, IDENTIFY PACKET DEVICE, and a disk's geometry.
 *
 * Words and numbers are those of QEMU's drives, so that guests installed there find what they know.
 */
#include <string.h>

#include "devices/ide_core.h"

enum { CHS_HEADS = 16, CHS_SPT = 63, CHS_CYLINDERS = 16383 };
enum { TRANSLATION_NONE, TRANSLATION_LBA, TRANSLATION_LARGE };

static void put(u8 *to, unsigned word, u32 val)
{
    to[2 * word] = (u8)val;
    to[2 * word + 1] = (u8)(val >> 8);
}

static void put32(u8 *to, unsigned word, u32 val)
{
    put(to, word, val & 0xffff);
    put(to, word + 1, val >> 16);
}

/* A world wide name is four words, the highest first. */
static void put_wwn(const struct ide_drive *d, u8 *to)
{
    if (!d->wwn)
        return;
    to[2 * 84 + 1] |= 0x01; /* word 84 and 87, bit 8: there is one */
    to[2 * 87 + 1] |= 0x01;
    for (unsigned i = 0; i < 4; i++)
        put(to, 108 + i, (u32)(d->wwn >> (48 - 16 * i)) & 0xffff);
}

/* The modes a drive can do (low byte) and the one it was set to (high byte). */
static u32 modes(const struct ide_drive *d, u8 first, u32 can)
{
    u8 mode = d->transfer_mode;
    if (mode == 0xff)
        return first == 0x40 ? can | BIT(13) : can;
    return mode >= first && mode < first + 8 ? can | BIT(8 + (mode & 7)) : can;
}

static void identity(const struct ide_drive *d, u8 *to)
{
    memset(to, 0, 512);
    ide_string(to + 20, d->serial, 20);
    put(to, 20, 3);
    put(to, 21, 512);
    put(to, 22, 4);
    ide_string(to + 46, d->firmware, 8);
    ide_string(to + 54, d->model, 40);
    put(to, 48, 1);
    put(to, 49, BIT(11) | BIT(9) | BIT(8)); /* IORDY, LBA, DMA */
    put(to, 53, 7);
    put(to, 62, modes(d, 0x10, 7));
    put(to, 63, modes(d, 0x20, 7));
    put(to, 64, 3);
    put(to, 88, modes(d, 0x40, 0x3f));
    put(to, 93, BIT(14) | BIT(13) | 1);
}

void ide_identify_disk(const struct ide_drive *d, u8 *to)
{
    bool own = d->now_heads == d->heads && d->now_spt == d->spt;
    u32 track = (u32)d->now_heads * d->now_spt; /* the current translation, INITIALIZE DEVICE PARAMETERS' */
    u32 cylinders = own ? d->cylinders : track ? (u32)min_u64(d->sectors / track, 65535) : 0;
    u32 lba28 = (u32)min_u64(d->sectors, 0x0fffffff);
    identity(d, to);
    put(to, 0, 0x0040);
    put(to, 1, d->cylinders);
    put(to, 3, d->heads);
    put(to, 4, 512u * d->spt);
    put(to, 5, 512);
    put(to, 6, d->spt);
    put(to, 47, 0x8000 | IDE_MULTIPLE_MAX);
    put(to, 51, 0x200);
    put(to, 52, 0x200);
    put32(to, 57, (u32)min_u64((u64)cylinders * track, UINT32_MAX));
    put(to, 54, cylinders);
    put(to, 55, d->now_heads);
    put(to, 56, d->now_spt);
    put(to, 59, d->multiple ? 0x100u | d->multiple : 0);
    put32(to, 60, lba28);
    for (unsigned i = 65; i <= 68; i++)
        put(to, i, 120); /* ns a cycle */
    put(to, 80, 0xf0);
    put(to, 81, 0x16);
    put(to, 82, BIT(14) | BIT(5) | BIT(0));             /* NOP, write cache, SMART */
    put(to, 83, BIT(14) | BIT(13) | BIT(12) | BIT(10)); /* FLUSH CACHE EXT, FLUSH CACHE, 48 bits */
    put(to, 84, BIT(14));
    put(to, 85, BIT(14) | (d->write_cache ? BIT(5) : 0) | (d->smart_enabled ? BIT(0) : 0));
    put(to, 86, BIT(13) | BIT(12) | BIT(10));
    put(to, 87, BIT(14));
    put32(to, 100, (u32)d->sectors);
    put32(to, 102, (u32)(d->sectors >> 32));
    put(to, 169, 1); /* TRIM */
    put(to, 217, d->rotation_rate);
    put_wwn(d, to);
}

void ide_identify_cdrom(const struct ide_drive *d, u8 *to)
{
    identity(d, to);
    put(to, 0, 0x85c0); /* ATAPI, CD-ROM, removable, DRQ within 50 us, packets of 12 bytes */
    put(to, 65, 0xb4);
    put(to, 66, 0xb4);
    put(to, 67, 0x12c);
    put(to, 68, 0xb4);
    put(to, 71, 30);
    put(to, 72, 30);
    put(to, 80, 0x1e);
    if (d->wwn) {
        put(to, 84, BIT(14));
        put(to, 87, BIT(14));
        put_wwn(d, to);
    }
}

/* ---- geometry ---- */

struct first_sector {
    bool over, ok;
    struct disk_request request;
    u8 buf[DISK_SECTOR_BYTES];
};

static void first_sector_done(void *opaque, struct disk_request *req, int err)
{
    struct first_sector *f = opaque;
    (void)req;
    f->over = true;
    f->ok = !err;
}

/* Whoever partitioned the disk under another BIOS wrote where a partition ends in heads and sectors of that BIOS's geometry. */
static bool geometry_of_partitions(const u8 *mbr, u64 sectors, u32 *cylinders, u32 *heads, u32 *spt)
{
    if (mbr[510] != 0x55 || mbr[511] != 0xaa)
        return false;
    for (unsigned i = 0; i < 4; i++) {
        const u8 *p = mbr + 0x1be + 16 * i;
        u32 length = p[12] | (u32)p[13] << 8 | (u32)p[14] << 16 | (u32)p[15] << 24;
        u32 h = p[5] + 1u, s = p[6] & 63;
        if (!length || !p[5] || !s)
            continue;
        u64 c = sectors / (h * s);
        if (c < 1 || c > CHS_CYLINDERS)
            continue;
        *cylinders = (u32)c;
        *heads = h;
        *spt = s;
        return true;
    }
    return false;
}

/* The first sector, read before the machine runs. */
static bool read_first_sector(struct ide_drive *d, u8 *to)
{
    struct first_sector f = {.request = {.op = DISK_READ, .sectors = 1, .done = first_sector_done}};
    if (!d->sectors || !d->back.drain)
        return false;
    f.request.buf = f.buf;
    f.request.opaque = &f;
    d->back.submit(d->back.opaque, &f.request);
    d->back.drain(d->back.opaque);
    ASSERT(f.over); /* the contract of drain(), or the stack is gone under the back end */
    memcpy(to, f.buf, sizeof(f.buf));
    return f.ok;
}

void ide_geometry(struct ide_drive *d)
{
    struct disk_geometry g = {0};
    u8 mbr[DISK_SECTOR_BYTES];
    u32 c, h, s;
    d->back.geometry(d->back.opaque, &g);
    d->sectors = min_u64(g.sectors, 1ull << 48);
    u32 size_cylinders = (u32)(d->sectors / (CHS_HEADS * CHS_SPT));
    size_cylinders = size_cylinders > CHS_CYLINDERS ? CHS_CYLINDERS : size_cylinders < 2 ? 2 : size_cylinders;
    d->cylinders = (u16)size_cylinders;
    d->heads = CHS_HEADS;
    d->spt = CHS_SPT;
    if (g.cylinders && g.heads && g.sectors_per_track) {
        d->cylinders = (u16)min_u64(g.cylinders, 65535);
        d->heads = (u16)min_u64(g.heads, 16);
        d->spt = (u16)min_u64(g.sectors_per_track, 255);
        d->bios_translation = d->cylinders <= 1024 ? TRANSLATION_NONE : TRANSLATION_LBA;
    } else if (read_first_sector(d, mbr) && geometry_of_partitions(mbr, d->sectors, &c, &h, &s)) {
        if (h >
            CHS_HEADS) { /* a translated one: the drive's own is the usual, the BIOS translates likewise */
            d->bios_translation =
                (u32)d->cylinders * d->heads <= 131072 ? TRANSLATION_LARGE : TRANSLATION_LBA;
        } else {
            d->cylinders = (u16)c;
            d->heads = (u16)h;
            d->spt = (u16)s;
            d->bios_translation = TRANSLATION_NONE;
        }
    } else {
        d->bios_translation = d->cylinders <= 1024 ? TRANSLATION_NONE : TRANSLATION_LBA;
    }
}
