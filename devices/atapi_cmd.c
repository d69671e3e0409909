/*
 * atapi_cmd.c - the packets a CD-ROM drive understands (MMC-3, SPC-2), one function each.
 *
 * Every field of a packet is the guest's: lengths only ever cut a reply that was made here, addresses are checked against the medium.
 * What needs a medium goes through ready(), which also reports a medium that was changed, once, by UNIT ATTENTION.
 */
#include <string.h>

#include "devices/ide_core.h"

enum { SENSE_NOT_READY = 2, SENSE_ILLEGAL = 5, SENSE_ATTENTION = 6 };
enum {
    ASC_OPCODE = 0x20,
    ASC_RANGE = 0x21,
    ASC_FIELD = 0x24,
    ASC_CHANGED = 0x28,
    ASC_SAVING = 0x39,
    ASC_NO_MEDIUM = 0x3a,
    ASC_LOCKED = 0x53
};
enum { NEEDS_MEDIUM = 1, TELLS_CHANGE = 2 };
enum { PROFILE_CD = 0x0008, PROFILE_DVD = 0x0010, CD_MOST_BLOCKS = 80 * 60 * 75 }; /* more is a DVD */

static u32 be16(const u8 *p)
{
    return (u32)p[0] << 8 | p[1];
}

static u32 be32(const u8 *p)
{
    return be16(p) << 16 | be16(p + 2);
}

static void put16(u8 *p, u32 v)
{
    p[0] = (u8)(v >> 8);
    p[1] = (u8)v;
}

static void put32(u8 *p, u32 v)
{
    put16(p, v >> 16);
    put16(p + 2, v);
}

static void illegal(struct ide_drive *d, u8 asc)
{
    atapi_check(d, SENSE_ILLEGAL, asc, 0);
}

static void test_unit_ready(struct ide_drive *d, u32 blocks)
{
    (void)blocks;
    atapi_good(d);
}

static void request_sense(struct ide_drive *d, u32 blocks)
{
    (void)blocks;
    u8 *r = d->buf;
    memset(r, 0, 18);
    r[0] = 0xf0;
    r[2] = d->sense.key;
    r[7] = 10;
    r[12] = d->sense.asc;
    r[13] = d->sense.ascq;
    if (d->sense.key == SENSE_ATTENTION)
        d->medium_changed = false;
    d->sense = (struct ide_sense){0};
    atapi_reply(d, 18, d->packet[4]);
}

static void inquiry(struct ide_drive *d, u32 blocks)
{
    static const char who[] = "QEMU    QEMU DVD-ROM    2.5+";
    (void)blocks;
    if (d->packet[1] & 1) { /* vital product data: none */
        illegal(d, ASC_FIELD);
        return;
    }
    memset(d->buf, 0, 36);
    d->buf[0] = 5; /* CD-ROM */
    d->buf[1] = 0x80;
    d->buf[3] = 0x21;
    d->buf[4] = 31;
    memcpy(d->buf + 8, who, 28);
    atapi_reply(d, 36, be16(d->packet + 3));
}

static void mode_page(u8 *p, u8 page, u8 bytes)
{
    memset(p, 0, bytes + 2u);
    p[0] = page;
    p[1] = bytes;
}

/* Page at p; its bytes, 0: no such page. */
static u32 make_page(const struct ide_drive *d, u8 page, u8 *p)
{
    switch (page) {
    case 0x01: /* error recovery */
        mode_page(p, page, 6);
        p[3] = 5; /* retries */
        return 8;
    case 0x0e: /* audio control */ mode_page(p, page, 14); return 16;
    case 0x2a: /* capabilities */
        mode_page(p, page, 18);
        p[2] = 0x3b;                                                 /* reads CD-R, CD-RW, DVD-ROM and more */
        p[4] = 0x70;                                                 /* mode 2 forms 1 and 2, multi-session */
        p[6] = (u8)(1 | 1 << 3 | 1 << 5 | (d->tray_locked ? 2 : 0)); /* locks, ejects, has a tray */
        put16(p + 8, 706);                                           /* KB/s */
        put16(p + 10, 2);                                            /* volume levels */
        put16(p + 12, 512);
        put16(p + 14, 706);
        return 20;
    default: return 0;
    }
}

static void mode_sense(struct ide_drive *d, u32 blocks)
{
    static const u8 every[] = {0x01, 0x0e, 0x2a};
    bool ten = d->packet[0] == 0x5a;
    u8 page = d->packet[2] & 0x3f, control = d->packet[2] >> 6;
    u32 head = ten ? 8 : 4, n = head;
    if (control == 3) {
        illegal(d, ASC_SAVING);
        return;
    }
    memset(d->buf, 0, head);
    for (unsigned i = 0; i < ARRAY_SIZE(every); i++)
        if (page == every[i] || page == 0x3f) {
            u32 bytes = make_page(d, every[i], d->buf + n);
            if (control == 1) /* what can be changed: nothing */
                memset(d->buf + n + 2, 0, bytes - 2);
            n += bytes;
        }
    if (n == head) {
        illegal(d, ASC_FIELD);
        return;
    }
    if (ten) {
        put16(d->buf, n - 2);
        d->buf[2] = blocks ? 0x01 : 0x70; /* 120 mm data disc; no disc */
    } else {
        d->buf[0] = (u8)(n - 1);
        d->buf[1] = blocks ? 0x01 : 0x70;
    }
    atapi_reply(d, n, ten ? be16(d->packet + 7) : d->packet[4]);
}

static void prevent_removal(struct ide_drive *d, u32 blocks)
{
    (void)blocks;
    d->tray_locked = d->packet[4] & 1;
    atapi_good(d);
}

static void start_stop(struct ide_drive *d, u32 blocks)
{
    bool load_eject = d->packet[4] & 2, start = d->packet[4] & 1;
    (void)blocks;
    if (d->packet[4] & 0xf0 || !load_eject) { /* power conditions; spinning up and down */
        atapi_good(d);
        return;
    }
    if (d->tray_locked && !start) {
        atapi_check(d, SENSE_ILLEGAL, ASC_LOCKED, 2);
        return;
    }
    if (d->tray_open == start) {
        d->tray_open = !start;
        if (d->back.eject)
            d->back.eject(d->back.opaque, !start);
        if (start)
            d->medium_changed = d->event_new_medium = true;
    }
    atapi_good(d);
}

static void mechanism_status(struct ide_drive *d, u32 blocks)
{
    (void)blocks;
    memset(d->buf, 0, 8);
    d->buf[1] = d->tray_open ? 0x10 : 0;
    d->buf[5] = 1; /* slots */
    atapi_reply(d, 8, be16(d->packet + 8));
}

static void read_capacity(struct ide_drive *d, u32 blocks)
{
    put32(d->buf, blocks - 1);
    put32(d->buf + 4, 2048);
    atapi_reply(d, 8, 8);
}

static bool in_range(struct ide_drive *d, u32 lba, u32 count, u32 blocks)
{
    if (lba < blocks && count <= blocks - lba)
        return true;
    if (!count && lba <= blocks)
        return true;
    illegal(d, ASC_RANGE);
    return false;
}

static void read_blocks(struct ide_drive *d, u32 blocks)
{
    u32 lba = be32(d->packet + 2);
    u32 count = d->packet[0] == 0xa8 ? be32(d->packet + 6) : be16(d->packet + 7);
    if (in_range(d, lba, count, blocks))
        atapi_read(d, lba, count, 2048);
}

static void read_cd(struct ide_drive *d, u32 blocks)
{
    u32 lba = be32(d->packet + 2), count = be32(d->packet + 5) & 0xffffff;
    u8 type = d->packet[1] >> 2 & 7;
    if (type == 1 || type == 3 || type > 4) { /* audio, mode 2: not on these discs */
        atapi_check(d, SENSE_ILLEGAL, 0x64, 0);
        return;
    }
    if (!in_range(d, lba, count, blocks))
        return;
    switch (d->packet[9] & 0xf8) {
    case 0x00: atapi_good(d); break; /* nothing of them: a seek */
    case 0x10: atapi_read(d, lba, count, 2048); break;
    case 0xf8: atapi_read(d, lba, count, 2352); break;
    default: illegal(d, ASC_FIELD);
    }
}

static void seek(struct ide_drive *d, u32 blocks)
{
    if (in_range(d, be32(d->packet + 2), 1, blocks))
        atapi_good(d);
}

static void accept(struct ide_drive *d, u32 blocks)
{
    (void)blocks;
    atapi_good(d);
}

/* An address, as block or as minute, second, frame. */
static void put_address(u8 *p, u32 lba, bool msf)
{
    if (!msf) {
        put32(p, lba);
        return;
    }
    lba += 150;
    p[0] = 0;
    p[1] = (u8)(lba / (75 * 60));
    p[2] = (u8)(lba / 75 % 60);
    p[3] = (u8)(lba % 75);
}

static u32 toc_tracks(u8 *r, u32 blocks, bool msf, u8 first)
{
    u32 n = 4;
    r[2] = r[3] = 1;
    if (first <= 1) {
        memcpy(r + n, (const u8[]){0, 0x14, 1, 0}, 4);
        put_address(r + n + 4, 0, msf);
        n += 8;
    }
    memcpy(r + n, (const u8[]){0, 0x16, 0xaa, 0}, 4);
    put_address(r + n + 4, blocks, msf);
    n += 8;
    put16(r, n - 2);
    return n;
}

static u32 toc_session(u8 *r, bool msf)
{
    memset(r, 0, 12);
    put16(r, 10);
    r[2] = r[3] = 1;
    r[5] = 0x14;
    r[6] = 1;
    put_address(r + 8, 0, msf);
    return 12;
}

/* The full table: first track, last track, lead-out (points A0h-A2h), track 1. */
static u32 toc_full(u8 *r, u32 blocks)
{
    static const u8 point[] = {0xa0, 0xa1, 0xa2, 1};
    u32 n = 4;
    r[2] = r[3] = 1;
    for (unsigned i = 0; i < ARRAY_SIZE(point); i++, n += 11) {
        u8 *e = r + n;
        memset(e, 0, 11);
        e[0] = 1;
        e[1] = point[i] == 0xa2 ? 0x16 : 0x14;
        e[3] = point[i];
        if (point[i] == 0xa0 || point[i] == 0xa1) {
            e[8] = 1;
        } else {
            u8 msf[4];
            put_address(msf, point[i] == 1 ? 0 : blocks, true);
            memcpy(e + 8, msf + 1, 3);
        }
    }
    put16(r, n - 2);
    return n;
}

static void read_toc(struct ide_drive *d, u32 blocks)
{
    bool msf = d->packet[1] & 2;
    u8 format = d->packet[2] & 15, first = d->packet[6];
    u32 n = 0;
    if (!format)
        format = d->packet[9] >> 6; /* where it was before MMC */
    if (format == 0 && (first <= 1 || first == 0xaa))
        n = toc_tracks(d->buf, blocks, msf, first);
    else if (format == 1)
        n = toc_session(d->buf, msf);
    else if (format == 2)
        n = toc_full(d->buf, blocks);
    if (n)
        atapi_reply(d, n, be16(d->packet + 7));
    else
        illegal(d, ASC_FIELD);
}

static void read_disc_information(struct ide_drive *d, u32 blocks)
{
    (void)blocks;
    if (d->packet[1] & 7) {
        illegal(d, ASC_FIELD);
        return;
    }
    memset(d->buf, 0, 34);
    put16(d->buf, 32);
    d->buf[2] = 0x0e; /* finished disc, last session complete */
    d->buf[3] = d->buf[4] = d->buf[5] = d->buf[6] = 1;
    d->buf[7] = 0x20;
    memset(d->buf + 16, 0xff, 8);
    atapi_reply(d, 34, be16(d->packet + 7));
}

static u16 profile(u32 blocks)
{
    return blocks == 0 ? 0 : blocks > CD_MOST_BLOCKS ? PROFILE_DVD : PROFILE_CD;
}

/* One feature descriptor; persistent ones are always current. */
static u32 put_feature(u8 *r, u16 code, u8 flags, const u8 *data, u8 bytes)
{
    put16(r, code);
    r[2] = flags;
    r[3] = bytes;
    memcpy(r + 4, data, bytes);
    return 4u + bytes;
}

static void get_configuration(struct ide_drive *d, u32 blocks)
{
    u8 *r = d->buf, how = d->packet[1] & 3;
    u16 from = (u16)be16(d->packet + 2), now = profile(blocks);
    u32 n = 8;
    const u8 profiles[8] = {0, PROFILE_DVD, now == PROFILE_DVD, 0, 0, PROFILE_CD, now == PROFILE_CD, 0};
    const u8 core[8] = {0, 0, 0, 2, 0, 0, 0, 0};    /* ATAPI */
    const u8 removable[4] = {0x29, 0, 0, 0};        /* tray, ejects, locks */
    const u8 random[8] = {0, 0, 8, 0, 0, 16, 0, 0}; /* blocks of 2048 */
    const struct {
        u16 code;
        u8 flags, bytes;
        const u8 *data;
    } feature[] = {
        {0x0000, 0x03, 8, profiles},
        {0x0001, 0x0b, 8, core},
        {0x0003, 0x07, 4, removable},
        {0x0010, blocks ? 0x01 : 0x00, 8, random},
    };
    if (how == 3) {
        illegal(d, ASC_FIELD);
        return;
    }
    memset(r, 0, 8);
    put16(r + 6, now);
    for (unsigned i = 0; i < ARRAY_SIZE(feature); i++) {
        bool wanted = how == 2 ? feature[i].code == from : feature[i].code >= from;
        if (wanted && (how != 1 || (feature[i].flags & 1)))
            n += put_feature(r + n, feature[i].code, feature[i].flags, feature[i].data, feature[i].bytes);
    }
    put32(r, n - 4);
    atapi_reply(d, n, be16(d->packet + 7));
}

static void get_event_status(struct ide_drive *d, u32 blocks)
{
    u8 *r = d->buf, classes = d->packet[4];
    u32 n = 4;
    if (!(d->packet[1] & 1)) { /* asynchronous notification */
        illegal(d, ASC_FIELD);
        return;
    }
    memset(r, 0, 8);
    r[3] = 0x10; /* classes there are: media */
    if (classes & 0x10) {
        r[2] = 4;
        r[4] = d->event_new_medium ? 2 : d->event_eject ? 3 : d->event_request ? 1 : 0;
        r[5] = (u8)((d->tray_open ? 1 : 0) | (blocks ? 2 : 0));
        d->event_new_medium = d->event_eject = d->event_request = false;
        n = 8;
    } else {
        r[2] = 0x80;
    }
    put16(r, n - 2);
    atapi_reply(d, n, be16(d->packet + 7));
}

/* Format 0 (physical), 1 (copyright) and FFh (list) of a DVD. */
static void read_dvd_structure(struct ide_drive *d, u32 blocks)
{
    u8 *r = d->buf;
    u32 n = 0;
    if (profile(blocks) != PROFILE_DVD || d->packet[6]) {
        illegal(d, profile(blocks) != PROFILE_DVD ? 0x30 : ASC_FIELD);
        return;
    }
    memset(r, 0, 32);
    switch (d->packet[7]) {
    case 0x00:
        r[4] = 1;    /* DVD-ROM, book version 1 */
        r[5] = 0x0f; /* 120 mm, no maximum rate */
        r[6] = 1;    /* one embossed layer */
        put32(r + 8, 0x30000);
        put32(r + 12, 0x30000 + blocks - 1);
        n = 4 + 2048;
        memset(r + 32, 0, n - 32);
        break;
    case 0x01: n = 8; break;
    case 0xff:
        memcpy(r + 4, (const u8[]){0, 0x40, 8, 4, 1, 0x40, 0, 8}, 8);
        n = 12;
        break;
    default: illegal(d, ASC_FIELD); return;
    }
    put16(r, n - 2);
    atapi_reply(d, n, be16(d->packet + 8));
}

static const struct {
    u8 opcode, flags;
    void (*fn)(struct ide_drive *d, u32 blocks);
} packets[] = {
    {0x00, NEEDS_MEDIUM | TELLS_CHANGE, test_unit_ready},
    {0x03, 0, request_sense},
    {0x12, 0, inquiry},
    {0x1a, TELLS_CHANGE, mode_sense},
    {0x1b, TELLS_CHANGE, start_stop},
    {0x1e, TELLS_CHANGE, prevent_removal},
    {0x25, NEEDS_MEDIUM | TELLS_CHANGE, read_capacity},
    {0x28, NEEDS_MEDIUM | TELLS_CHANGE, read_blocks},
    {0x2b, NEEDS_MEDIUM | TELLS_CHANGE, seek},
    {0x43, NEEDS_MEDIUM | TELLS_CHANGE, read_toc},
    {0x46, 0, get_configuration},
    {0x4a, 0, get_event_status},
    {0x51, NEEDS_MEDIUM | TELLS_CHANGE, read_disc_information},
    {0x5a, TELLS_CHANGE, mode_sense},
    {0xa8, NEEDS_MEDIUM | TELLS_CHANGE, read_blocks},
    {0xad, NEEDS_MEDIUM | TELLS_CHANGE, read_dvd_structure},
    {0xbb, TELLS_CHANGE, accept}, /* SET CD SPEED */
    {0xbd, TELLS_CHANGE, mechanism_status},
    {0xbe, NEEDS_MEDIUM | TELLS_CHANGE, read_cd},
};

void atapi_execute(struct ide_drive *d, u32 blocks)
{
    for (unsigned i = 0; i < ARRAY_SIZE(packets); i++) {
        if (packets[i].opcode != d->packet[0])
            continue;
        if ((packets[i].flags & TELLS_CHANGE) && d->medium_changed && blocks) {
            d->medium_changed = false;
            atapi_check(d, SENSE_ATTENTION, ASC_CHANGED, 0);
        } else if ((packets[i].flags & NEEDS_MEDIUM) && !blocks) {
            atapi_check(d, SENSE_NOT_READY, ASC_NO_MEDIUM, d->tray_open ? 2 : 1);
        } else {
            packets[i].fn(d, blocks);
        }
        return;
    }
    illegal(d, ASC_OPCODE);
}
