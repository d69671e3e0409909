/*
 * test_atapi.c - CD-ROMs: packets, their replies in blocks and by bus master, sense data, media that come and go.
 */
#include "ide_rig.h"

static u32 be32(const u8 *p)
{
    return (u32)p[0] << 24 | (u32)p[1] << 16 | (u32)p[2] << 8 | p[3];
}

static u32 mark_of(const u8 *sector)
{
    u32 n;
    memcpy(&n, sector, sizeof(n));
    return n;
}

/* key << 16 | asc << 8 | ascq of the last packet. */
static u32 sense(struct ide_rig *r)
{
    u8 b[32];
    PACKET(r, 18, 0x03, 0, 0, 0, 18);
    cr_assert_eq(reply(r, b, sizeof(b)), 18);
    return (u32)(b[2] & 15) << 16 | (u32)b[12] << 8 | b[13];
}

static bool failed(struct ide_rig *r)
{
    fake_run(r->cd);
    return rin(r, IDE2 + 7) & ERR;
}

Test(atapi, signature_and_identity)
{
    struct ide_rig *r = ide_rig_new();
    u8 id[512];
    cr_assert_eq(rin(r, IDE2 + 4), 0x14);
    cr_assert_eq(rin(r, IDE2 + 5), 0xeb);
    cr_assert_eq(rin(r, IDE2 + 7), 0);
    rout(r, IDE2 + 4, 0);
    rout(r, IDE2 + 7, 0xec); /* no disk: says so by its signature */
    cr_assert(rin(r, IDE2 + 7) & ERR);
    cr_assert_eq(rin(r, IDE2 + 5), 0xeb);
    rout(r, IDE2 + 7, 0xa1);
    cr_assert_eq(rin(r, IDE2 + 7), DRDY | DSC | DRQ);
    read_words(r, IDE2, id, 256);
    cr_assert_eq(id[0] | id[1] << 8, 0x85c0);
    cr_assert_eq(memcmp(id + 54, "EQUMD DVR-MO", 12), 0);
    cr_assert_eq(rin(r, IDE2 + 7), DRDY | DSC);
    rout(r, IDE2 + 7, 0x08); /* DEVICE RESET */
    cr_assert_eq(rin(r, IDE2 + 7), 0);
    cr_assert_eq(rin(r, IDE2 + 4), 0x14);
    PACKET(r, 96, 0x12, 0, 0, 0, 96);
    u8 b[128];
    cr_assert_eq(reply(r, b, sizeof(b)), 36);
    cr_assert_eq(b[0], 5);
    cr_assert_eq(memcmp(b + 8, "QEMU    QEMU DVD-ROM    2.5+", 28), 0);
    PACKET(r, 96, 0x12, 0, 0, 0, 5); /* cut at what was asked for, in blocks of at most 2 */
    cr_assert_eq(reply(r, b, sizeof(b)), 5);
    PACKET(r, 2, 0x12, 0, 0, 0, 7);
    cr_assert_eq(reply(r, b, sizeof(b)), 7);
    cr_assert_eq(b[4], 31);
    ide_rig_free(r);
}

Test(atapi, reads_in_blocks_of_the_hosts_byte_count)
{
    struct ide_rig *r = ide_rig_new();
    u8 *buf = calloc(102, 2048);
    PACKET(r, 2048, 0x25);
    cr_assert_eq(reply(r, buf, 4096), 8);
    cr_assert_eq(be32(buf), RIG_BLOCKS - 1);
    cr_assert_eq(be32(buf + 4), 2048);
    unsigned before = r->b->line[1].rises;
    PACKET(r, 2048, 0x28, 0, 0, 0, 0, 10, 0, 0, 3);
    cr_assert(rin(r, CTL2) & BSY);
    cr_assert_eq(reply(r, buf, 4 * 2048), 3 * 2048);
    cr_assert_eq(mark_of(buf), 40);
    cr_assert_eq(mark_of(buf + 2 * 2048 + 3 * 512), 51);
    cr_assert_eq(r->b->line[1].rises - before, 4);        /* three blocks and the end */
    PACKET(r, 0xffff, 0xa8, 0, 0, 0, 0, 0, 0, 0, 0, 101); /* more than one request, odd byte count */
    cr_assert_eq(reply(r, buf, 102 * 2048), 101 * 2048);
    for (u32 n = 0; n < 404; n++)
        cr_assert_eq(mark_of(buf + 512 * n), n);
    PACKET(r, 2352, 0xbe, 0, 0, 0, 0, 16, 0, 0, 2, 0xf8); /* raw */
    cr_assert_eq(reply(r, buf, 3 * 2352), 2 * 2352);
    cr_assert_eq(memcmp(buf + 2352, "\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0\x02\x17\x01", 16),
                 0); /* 17 + 150 frames */
    cr_assert_eq(mark_of(buf + 16), 64);
    cr_assert_eq(mark_of(buf + 2352 + 16), 68);
    PACKET(r, 2048, 0xbe, 0, 0, 0, 0, 16, 0, 0, 1, 0x10);
    cr_assert_eq(reply(r, buf, 4096), 2048);
    cr_assert_eq(mark_of(buf), 64);
    PACKET(r, 2048, 0x28, 0, 0, 0, 0, 10, 0, 0, 0); /* none at all */
    cr_assert_eq(reply(r, buf, 4096), 0);
    cr_assert_eq(rin(r, IDE2 + 7), DRDY | DSC);
    free(buf);
    ide_rig_free(r);
}

Test(atapi, reads_by_bus_master)
{
    struct ide_rig *r = ide_rig_new();
    prd(r, 0, 0x20000, 0, false);
    prd(r, 1, 0x30000, 0, false);
    prd(r, 2, 0x40000, 4096, true);
    PACKET(r, 0, 0x28, 0, 0, 0, 0, 100, 0, 0, 66);
    master_start(r, BM2, true);
    fake_run(r->cd);
    cr_assert_eq(rin(r, BM2 + 2) & 7, 4);
    cr_assert_eq(rin(r, IDE2 + 7), DRDY | DSC);
    cr_assert_eq(rin(r, IDE2 + 2) & 3, 3);
    for (u32 n = 0; n < 264; n++)
        cr_assert_eq(mark_of(r->ram + 0x20000 + 512 * n), 400 + n);
    rout(r, BM2, 0);
    prd(r, 0, 0x20000, 8, true);
    master_start(r, BM2, true);
    PACKET(r, 0, 0x25);
    cr_assert_eq(be32(r->ram + 0x20000), RIG_BLOCKS - 1);
    ide_rig_free(r);
}

Test(atapi, what_cannot_be_is_refused_with_sense)
{
    struct ide_rig *r = ide_rig_new();
    u8 buf[4096];
    PACKET(r, 2048, 0xff);
    cr_assert(failed(r));
    cr_assert_eq(rin(r, IDE2 + 1) >> 4, 5);
    cr_assert_eq(sense(r), 0x052000);
    cr_assert_eq(sense(r), 0); /* told once */
    PACKET(r, 2048, 0x28, 0, 0, 0, 3, 0xe8, 0, 0, 1);
    cr_assert(failed(r));
    cr_assert_eq(sense(r), 0x052100);
    PACKET(r, 2048, 0x28, 0, 0, 0, 3, 0xe7, 0, 0, 2);
    cr_assert(failed(r));
    PACKET(r, 2048, 0xa8, 0, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff);
    cr_assert(failed(r));
    r->cd->bad_sector = 4 * 12 + 1;
    r->cd->bad_err = -EIO;
    PACKET(r, 4096, 0x28, 0, 0, 0, 0, 10, 0, 0, 5);
    cr_assert_eq(reply(r, buf, sizeof(buf) + 4096), 4096); /* two good ones */
    cr_assert(rin(r, IDE2 + 7) & ERR);
    cr_assert_eq(sense(r), 0x031100);
    rout(r, IDE2 + 1, 2); /* overlapped: no */
    rout(r, IDE2 + 7, 0xa0);
    cr_assert(rin(r, IDE2 + 7) & ERR);
    PACKET(r, 64, 0x5a, 0, 0x05); /* no such page */
    cr_assert(failed(r));
    cr_assert_eq(sense(r), 0x052400);
    PACKET(r, 64, 0x43, 0, 9, 0, 0, 0, 0, 0, 64);
    cr_assert(failed(r));
    ide_rig_free(r);
}

Test(atapi, tables_pages_and_events)
{
    struct ide_rig *r = ide_rig_new();
    u8 b[512];
    PACKET(r, 512, 0x43, 0, 0, 0, 0, 0, 0, 2, 0);
    cr_assert_eq(reply(r, b, sizeof(b)), 20);
    cr_assert_eq(b[0] << 8 | b[1], 18);
    cr_assert_eq(b[14], 0xaa);
    cr_assert_eq(be32(b + 16), RIG_BLOCKS);
    PACKET(r, 512, 0x43, 2, 0, 0, 0, 0, 0xaa, 2, 0);
    cr_assert_eq(reply(r, b, sizeof(b)), 12);
    cr_assert_eq(be32(b + 8), (u32)(((RIG_BLOCKS + 150) / 75) << 8 | (RIG_BLOCKS + 150) % 75));
    PACKET(r, 512, 0x43, 0, 1, 0, 0, 0, 0, 2, 0);
    cr_assert_eq(reply(r, b, sizeof(b)), 12);
    PACKET(r, 512, 0x43, 0, 2, 0, 0, 0, 0, 2, 0);
    cr_assert_eq(reply(r, b, sizeof(b)), 48);
    PACKET(r, 512, 0x5a, 0, 0x2a, 0, 0, 0, 0, 2, 0);
    cr_assert_eq(reply(r, b, sizeof(b)), 28);
    cr_assert_eq(b[8], 0x2a);
    PACKET(r, 512, 0x5a, 0, 0x3f, 0, 0, 0, 0, 2, 0);
    cr_assert_eq(reply(r, b, sizeof(b)), 52);
    PACKET(r, 512, 0x1a, 0, 0x01, 0, 255);
    cr_assert_eq(reply(r, b, sizeof(b)), 12);
    PACKET(r, 512, 0x46, 0, 0, 0, 0, 0, 0, 2, 0);
    cr_assert_eq(reply(r, b, sizeof(b)), be32(b) + 4);
    cr_assert_eq(b[7], 8); /* a CD's size */
    PACKET(r, 512, 0x51, 0, 0, 0, 0, 0, 0, 2, 0);
    cr_assert_eq(reply(r, b, sizeof(b)), 34);
    PACKET(r, 512, 0xbd, 0, 0, 0, 0, 0, 0, 0, 8);
    cr_assert_eq(reply(r, b, sizeof(b)), 8);
    PACKET(r, 512, 0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8);
    cr_assert_eq(reply(r, b, sizeof(b)), 8);
    cr_assert_eq(b[4], 0);
    cr_assert_eq(b[5], 2);
    PACKET(r, 512, 0xad, 0, 0, 0, 0, 0, 0, 0, 8);
    cr_assert(failed(r)); /* a CD is no DVD */
    cr_assert_eq(sense(r), 0x053000);
    ide_rig_free(r);
}

Test(atapi, tray_lock_and_media_change)
{
    struct ide_rig *r = ide_rig_new();
    u8 b[64];
    const struct disk_front *front = ide_front(r->ide, 2);
    PACKET(r, 64, 0x1e, 0, 0, 0, 1); /* locked */
    cr_assert_not(failed(r));
    PACKET(r, 64, 0x1b, 0, 0, 0, 2);
    cr_assert(failed(r));
    cr_assert_eq(sense(r), 0x055302);
    cr_assert(front->locked(front->opaque));
    PACKET(r, 64, 0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8); /* somebody pressed the button */
    cr_assert_eq(reply(r, b, sizeof(b)), 8);
    cr_assert_eq(b[4], 1);
    PACKET(r, 64, 0x1e);
    cr_assert_not(front->locked(front->opaque));
    PACKET(r, 64, 0x1b, 0, 0, 0, 2);
    cr_assert_not(failed(r));
    cr_assert(r->cd->tray_open);
    PACKET(r, 64, 0x00);
    cr_assert(failed(r));
    cr_assert_eq(sense(r), 0x023a02);
    PACKET(r, 64, 0x1b, 0, 0, 0, 3);
    cr_assert_not(r->cd->tray_open);
    PACKET(r, 64, 0x00);
    cr_assert(failed(r));
    cr_assert_eq(sense(r), 0x062800); /* may be another one now */
    PACKET(r, 64, 0x00);
    cr_assert_not(failed(r));
    r->cd->geometry.sectors = 0;
    front->media_changed(front->opaque);
    PACKET(r, 64, 0x25);
    cr_assert(failed(r));
    cr_assert_eq(sense(r), 0x023a01);
    PACKET(r, 64, 0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8);
    cr_assert_eq(reply(r, b, sizeof(b)), 8);
    cr_assert_eq(b[4], 3);
    r->cd->geometry.sectors = 800;
    front->media_changed(front->opaque);
    PACKET(r, 64, 0x12, 0, 0, 0, 36); /* this one never complains */
    cr_assert_eq(reply(r, b, sizeof(b)), 36);
    PACKET(r, 64, 0x28, 0, 0, 0, 0, 1, 0, 0, 1);
    cr_assert(failed(r));
    cr_assert_eq(sense(r), 0x062800);
    PACKET(r, 64, 0x25);
    cr_assert_eq(reply(r, b, sizeof(b)), 8);
    cr_assert_eq(be32(b), 199);
    ide_rig_free(r);
}

Test(atapi, reset_in_the_middle_of_a_read)
{
    struct ide_rig *r = ide_rig_new();
    PACKET(r, 2048, 0x28, 0, 0, 0, 0, 10, 0, 0, 3);
    cr_assert(rin(r, CTL2) & BSY);
    rout(r, IDE2 + 7, 0x08);
    cr_assert(rin(r, CTL2) & BSY);
    rout(r, IDE2 + 7, 0x08); /* impatient */
    fake_run(r->cd);
    cr_assert_eq(rin(r, CTL2), 0);
    cr_assert_eq(inw(r, IDE2), 0);
    PACKET(r, 2048, 0x28, 0, 0, 0, 0, 10, 0, 0, 3);
    fake_run(r->cd);
    inw(r, IDE2); /* a word of it, then the reset */
    rout(r, IDE2 + 7, 0x08);
    cr_assert_eq(rin(r, CTL2), 0);
    u8 b[64];
    PACKET(r, 64, 0x25);
    cr_assert_eq(reply(r, b, sizeof(b)), 8);
    ide_rig_free(r);
}
