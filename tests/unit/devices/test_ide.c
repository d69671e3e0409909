/*
 * test_ide.c - the IDE channels and ATA disks: registers, every class of command, bus master, errors, resets in the middle.
 */
#include "ide_rig.h"

static u32 mark_of(const u8 *sector)
{
    u32 n;
    memcpy(&n, sector, sizeof(n));
    return n;
}

static u16 word(const u8 *id, unsigned n)
{
    return (u16)(id[2 * n] | id[2 * n + 1] << 8);
}

static void identify(struct ide_rig *r, u8 *id)
{
    ata(r, 0xec, 0, 0);
    cr_assert_eq(rin(r, IDE1 + 7), DRDY | DSC | DRQ);
    read_words(r, IDE1, id, 256);
    cr_assert_eq(rin(r, IDE1 + 7), DRDY | DSC);
}

Test(ide, absent_drives_and_channels_read_zero)
{
    struct ide_rig *r = ide_rig_new();
    rout(r, IDE1 + 6, 0xb0); /* slave: a lone master answers, without status */
    cr_assert_eq(rin(r, IDE1 + 7), 0);
    cr_assert_eq(rin(r, CTL1), 0);
    rout(r, IDE1 + 2, 0x55);
    rout(r, IDE1 + 7, 0xec);
    cr_assert_eq(rin(r, IDE1 + 7), 0);
    cr_assert_eq(r->b->line[0].rises, 0);
    cr_assert_eq(inw(r, IDE1), 0);
    rout(r, IDE1 + 6, 0xa0);
    cr_assert_eq(rin(r, IDE1 + 7), DRDY | DSC);
    ide_rig_free(r);
}

Test(ide, identify_says_what_the_disk_is)
{
    struct ide_rig *r = ide_rig_new();
    u8 id[512];
    identify(r, id);
    cr_assert_eq(r->b->line[0].rises, 1);
    cr_assert_eq(word(id, 0), 0x0040);
    cr_assert_eq(memcmp(id + 54, "EQUMH RADDSI K", 14), 0); /* bytes of words swapped */
    cr_assert_eq(memcmp(id + 20, "MQ0000 1", 8), 0);
    cr_assert_eq(memcmp(id + 46, ".9 8    ", 8), 0);
    cr_assert(word(id, 108) == 0x5000 && word(id, 109) == 0xc500 && word(id, 110) == 0x15ea && word(id, 111) == 0x71aa); /* wwn= */
    cr_assert((word(id, 84) & 0xc100) == 0x4100 && (word(id, 87) & 0xc100) == 0x4100);
    cr_assert_eq(word(id, 217), 5400); /* rotation_rate= */
    cr_assert_eq(word(id, 60) | (u32)word(id, 61) << 16, RIG_SECTORS);
    cr_assert_eq(word(id, 100) | (u32)word(id, 101) << 16, RIG_SECTORS);
    cr_assert(word(id, 83) & 0x0400); /* LBA48 */
    cr_assert_eq(word(id, 1), RIG_SECTORS / (16 * 63));
    cr_assert_eq(word(id, 85) & 0x20, 0x20); /* write cache */
    ata(r, 0xef, 0, 0);                      /* an unknown feature */
    cr_assert_eq(rin(r, IDE1 + 7), DRDY | DSC | ERR);
    rout(r, IDE1 + 1, 0x82);
    ata(r, 0xef, 0, 0);
    cr_assert_eq(rin(r, IDE1 + 7) & BSY, BSY);
    fake_run(r->hd);
    cr_assert_eq(r->hd->flushes, 1);
    rout(r, IDE1 + 1, 3);
    ata(r, 0xef, 0, 0x45);
    identify(r, id);
    cr_assert_eq(word(id, 85) & 0x20, 0);
    cr_assert_eq(word(id, 88) & 0xff00, 0x2000);
    ide_rig_free(r);
}

Test(ide, reads_by_pio_with_an_interrupt_a_block)
{
    struct ide_rig *r = ide_rig_new();
    u8 buf[512];
    ata(r, 0x20, 100, 3);
    cr_assert(rin(r, CTL1) & BSY);
    cr_assert_eq(r->b->line[0].rises, 0);
    fake_run(r->hd);
    cr_assert_eq(r->hd->submitted, 1); /* one request for all three */
    for (u32 n = 0; n < 3; n++) {
        cr_assert_eq(r->b->line[0].rises, n + 1);
        cr_assert(r->b->line[0].level);
        cr_assert_eq(rin(r, IDE1 + 7), DRDY | DSC | DRQ);
        cr_assert_not(r->b->line[0].level);
        read_words(r, IDE1, buf, 256);
        cr_assert_eq(mark_of(buf), 100 + n);
    }
    cr_assert_eq(rin(r, IDE1 + 7), DRDY | DSC);
    cr_assert_eq(rin(r, IDE1 + 2), 0);
    cr_assert_eq(rin(r, IDE1 + 3), 103);
    cr_assert_eq(r->b->line[0].rises, 3);
    cr_assert_eq(inw(r, IDE1), 0);
    ata(r, 0xc6, 0, 8); /* SET MULTIPLE */
    ata(r, 0xc4, 0, 20);
    fake_run(r->hd);
    unsigned before = r->b->line[0].rises;
    u8 all[20 * 512];
    read_words(r, IDE1, all, 8 * 256);
    read_words(r, IDE1, all + 8 * 512, 8 * 256);
    read_words(r, IDE1, all + 16 * 512, 4 * 256);
    cr_assert_eq(r->b->line[0].rises, before); /* the level never went down: nobody read the status */
    cr_assert_eq(rin(r, IDE1 + 7), DRDY | DSC);
    for (u32 n = 0; n < 20; n++)
        cr_assert_eq(mark_of(all + 512 * n), n);
    ata(r, 0xc6, 0, 3); /* no power of two */
    cr_assert(rin(r, IDE1 + 7) & ERR);
    ata(r, 0xc6, 0, 0);
    ata(r, 0xc4, 0, 1); /* off */
    cr_assert(rin(r, IDE1 + 7) & ERR);
    cr_assert_eq(rin(r, IDE1 + 1), 4);
    ide_rig_free(r);
}

Test(ide, data_port_takes_bytes_dwords_and_runs)
{
    struct ide_rig *r = ide_rig_new();
    u8 buf[512];
    u16 run[300];
    ata(r, 0x20, 7, 2);
    fake_run(r->hd);
    cr_assert_eq(io_bus_read(&r->b->io, IDE1, 4), 7);
    cr_assert_eq(inb(r->b, IDE1), 0);                                    /* takes a word */
    cr_assert_eq(io_bus_read_string(&r->b->io, IDE1, 2, run, 300), 253); /* to the block's end, no further */
    cr_assert_eq(run[252] >> 8, (7 * 7 + 3) & 0xff);
    cr_assert_eq(io_bus_read_string(&r->b->io, IDE1, 4, buf, 3), 3);
    cr_assert_eq(mark_of(buf), 8);
    cr_assert_eq(io_bus_read_string(&r->b->io, IDE1, 1, buf, 3), 0);
    cr_assert_eq(io_bus_write_string(&r->b->io, IDE1, 2, buf, 3), 0);
    cr_assert_eq(io_bus_read_string(&r->b->io, IDE1 + 1, 2, buf, 3), 0);
    cr_assert_eq(io_bus_read_string(&r->b->io, 0x80, 2, buf, 3), 0);
    ide_rig_free(r);
}

Test(ide, writes_by_pio_and_flushes)
{
    struct ide_rig *r = ide_rig_new();
    u8 buf[512];
    memset(buf, 0x5a, sizeof(buf));
    ata(r, 0x30, 50, 2);
    cr_assert_eq(rin(r, IDE1 + 7), DRDY | DSC | DRQ);
    cr_assert_eq(r->b->line[0].rises, 0); /* none for the first block */
    write_words(r, IDE1, buf, 256);
    cr_assert(rin(r, CTL1) & BSY);
    fake_run(r->hd);
    cr_assert_eq(r->b->line[0].rises, 1);
    cr_assert_eq(rin(r, IDE1 + 7), DRDY | DSC | DRQ);
    cr_assert_eq(io_bus_write_string(&r->b->io, IDE1, 2, buf, 256), 256);
    fake_run(r->hd);
    cr_assert_eq(rin(r, IDE1 + 7), DRDY | DSC);
    cr_assert_eq(r->hd->data[51 * 512 + 511], 0x5a);
    cr_assert_eq(mark_of(r->hd->data + 52 * 512), 52);
    cr_assert_eq(r->hd->flushes, 0);
    ata(r, 0xe7, 0, 0);
    cr_assert(rin(r, IDE1 + 7) & BSY);
    fake_run(r->hd);
    cr_assert_eq(r->hd->flushes, 1);
    cr_assert_eq(rin(r, IDE1 + 7), DRDY | DSC);
    rout(r, IDE1 + 1, 0x82); /* cache off: a write is durable when it ends */
    ata(r, 0xef, 0, 0);
    fake_run(r->hd);
    ata(r, 0x30, 9, 1);
    write_words(r, IDE1, buf, 256);
    fake_step(r->hd);
    cr_assert(rin(r, IDE1 + 7) & BSY);
    fake_run(r->hd);
    cr_assert_eq(r->hd->flushes, 3);
    cr_assert_eq(rin(r, IDE1 + 7), DRDY | DSC);
    ide_rig_free(r);
}

Test(ide, lba48_and_chs_address_the_same_sectors)
{
    struct ide_rig *r = ide_rig_new();
    u8 *buf = calloc(400, 512);
    ata48(r, 0x24, 10000, 300); /* more than one request */
    for (unsigned n = 0; n < 300; n++) {
        fake_run(r->hd);
        read_words(r, IDE1, buf + 512 * n, 256);
    }
    for (u32 n = 0; n < 300; n++)
        cr_assert_eq(mark_of(buf + 512 * n), 10000 + n);
    cr_assert_eq(rin(r, IDE1 + 7), DRDY | DSC);
    rout(r, CTL1, 0x80); /* HOB */
    cr_assert_eq(rin(r, IDE1 + 4), 0);
    rout(r, CTL1, 0);
    cr_assert_eq(rin(r, IDE1 + 4), 10300 >> 8);
    rout(r, IDE1 + 6, 0xa0 | 5); /* cylinder 3, head 5, sector 7 of 16 heads, 63 sectors */
    rout(r, IDE1 + 2, 1);
    rout(r, IDE1 + 3, 7);
    rout(r, IDE1 + 4, 3);
    rout(r, IDE1 + 5, 0);
    rout(r, IDE1 + 7, 0x20);
    fake_run(r->hd);
    read_words(r, IDE1, buf, 256);
    cr_assert_eq(mark_of(buf), (3 * 16 + 5) * 63 + 6);
    rout(r, IDE1 + 2, 17); /* INITIALIZE DEVICE PARAMETERS: 4 heads, 17 sectors */
    rout(r, IDE1 + 6, 0xa0 | 3);
    rout(r, IDE1 + 7, 0x91);
    rout(r, IDE1 + 6, 0xa0 | 2);
    rout(r, IDE1 + 2, 1);
    rout(r, IDE1 + 3, 17);
    rout(r, IDE1 + 4, 1);
    rout(r, IDE1 + 7, 0x20);
    fake_run(r->hd);
    read_words(r, IDE1, buf, 256);
    cr_assert_eq(mark_of(buf), (1 * 4 + 2) * 17 + 16);
    rout(r, IDE1 + 3, 0); /* sector 0 is none, 18 neither, nor head 4 */
    rout(r, IDE1 + 7, 0x20);
    cr_assert_eq(rin(r, IDE1 + 1), 0x10);
    rout(r, IDE1 + 3, 18);
    rout(r, IDE1 + 7, 0x40);
    cr_assert_eq(rin(r, IDE1 + 1), 0x10);
    ata(r, 0xf8, 0, 0);
    cr_assert_eq(rin(r, IDE1 + 3) | rin(r, IDE1 + 4) << 8, RIG_SECTORS - 1);
    ata48(r, 0x27, 0, 0);
    cr_assert_eq(rin(r, IDE1 + 3) | rin(r, IDE1 + 4) << 8, RIG_SECTORS - 1);
    free(buf);
    ide_rig_free(r);
}

Test(ide, errors_name_the_first_bad_sector)
{
    struct ide_rig *r = ide_rig_new();
    u8 buf[512];
    ata(r, 0x20, RIG_SECTORS - 1, 2);
    cr_assert_eq(rin(r, IDE1 + 7), DRDY | DSC | ERR);
    cr_assert_eq(rin(r, IDE1 + 1), 0x10);
    ata48(r, 0x25, 1ull << 40, 1);
    cr_assert_eq(rin(r, IDE1 + 1), 0x10);
    r->hd->bad_sector = 203;
    r->hd->bad_err = -EIO;
    ata(r, 0x20, 200, 10);
    fake_run(r->hd);
    for (u32 n = 0; n < 3; n++) {
        cr_assert(rin(r, IDE1 + 7) & DRQ);
        read_words(r, IDE1, buf, 256);
        cr_assert_eq(mark_of(buf), 200 + n);
        fake_run(r->hd);
    }
    cr_assert_eq(rin(r, IDE1 + 7), DRDY | DSC | ERR);
    cr_assert_eq(rin(r, IDE1 + 1), 0x40);
    cr_assert_eq(rin(r, IDE1 + 3), 203);
    cr_assert_eq(rin(r, IDE1 + 2), 7);
    ata(r, 0x40, 200, 10); /* VERIFY finds it too */
    fake_run(r->hd);
    cr_assert_eq(rin(r, IDE1 + 1), 0x40);
    cr_assert_eq(rin(r, IDE1 + 3), 203);
    r->hd->bad_err = -ENOSPC;
    ata(r, 0x30, 203, 1);
    write_words(r, IDE1, buf, 256);
    fake_run(r->hd);
    cr_assert_eq(rin(r, IDE1 + 7), DRDY | DSC | ERR);
    cr_assert_eq(rin(r, IDE1 + 1), 4);
    r->hd->bad_err = 0;
    r->hd->geometry.read_only = true;
    ata(r, 0x30, 1, 1);
    write_words(r, IDE1, buf, 256);
    fake_run(r->hd);
    cr_assert(rin(r, IDE1 + 7) & ERR);
    cr_assert_eq(mark_of(r->hd->data + 512), 1);
    for (unsigned c = 0; c < 256; c++) { /* whatever is no command of a disk is aborted, and nothing hangs */
        ata(r, (u8)c, 0, 1);
        fake_run(r->hd);
        cr_assert_eq(rin(r, CTL1) & BSY, 0);
        rout(r, CTL1, 4);
        rout(r, CTL1, 0);
    }
    ide_rig_free(r);
}

Test(ide, small_commands)
{
    struct ide_rig *r = ide_rig_new();
    u8 buf[512], out[512];
    ata(r, 0xe0, 0, 0); /* STANDBY IMMEDIATE writes the cache out */
    fake_run(r->hd);
    cr_assert_eq(r->hd->flushes, 1);
    ata(r, 0xe5, 0, 7);
    cr_assert_eq(rin(r, IDE1 + 2), 0);
    ata(r, 0x20, 0, 1);
    fake_run(r->hd);
    read_words(r, IDE1, buf, 256);
    ata(r, 0xe5, 0, 7);
    cr_assert_eq(rin(r, IDE1 + 2), 0xff);
    for (unsigned i = 0; i < 512; i++)
        out[i] = (u8)(i * 5);
    ata(r, 0xe8, 0, 0); /* WRITE BUFFER, READ BUFFER */
    write_words(r, IDE1, out, 256);
    ata(r, 0xe4, 0, 0);
    read_words(r, IDE1, buf, 256);
    cr_assert_eq(memcmp(buf, out, 512), 0);
    ata(r, 0x10, 0, 0); /* RECALIBRATE */
    cr_assert_eq(rin(r, IDE1 + 7), DRDY | DSC);
    ata(r, 0x70, RIG_SECTORS, 0); /* SEEK */
    cr_assert_eq(rin(r, IDE1 + 1), 0x10);
    rout(r, IDE1 + 7, 0x90);
    cr_assert_eq(rin(r, IDE1 + 1), 1);
    cr_assert_eq(rin(r, IDE1 + 2), 1);
    cr_assert_eq(rin(r, IDE1 + 3), 1);
    cr_assert_eq(rin(r, IDE1 + 4), 0);
    ata(r, 0xa1, 0, 0); /* this is no packet device */
    cr_assert_eq(rin(r, IDE1 + 1), 4);
    ide_rig_free(r);
}

Test(ide, nien_keeps_the_line_down)
{
    struct ide_rig *r = ide_rig_new();
    rout(r, CTL1, 2);
    ata(r, 0x10, 0, 0);
    cr_assert_eq(r->b->line[0].rises, 0);
    rout(r, CTL1, 0);
    ata(r, 0x10, 0, 0);
    cr_assert_eq(r->b->line[0].rises, 1);
    rin(r, CTL1); /* the alternate status acknowledges nothing */
    cr_assert(r->b->line[0].level);
    rin(r, IDE1 + 7);
    cr_assert_not(r->b->line[0].level);
    ide_rig_free(r);
}

Test(bus_master, reads_and_writes_through_scattered_memory)
{
    struct ide_rig *r = ide_rig_new();
    prd(r, 0, 0x20000, 0x1000, false);
    prd(r, 1, 0x40000, 0x200, false);
    prd(r, 2, 0x50000, 0, true); /* 64 KiB */
    ata(r, 0xc8, 40, 136);
    fake_run(r->hd);
    cr_assert_eq(r->b->line[0].rises, 0);
    master_start(r, BM1, true);
    cr_assert_eq(rin(r, BM1 + 2) & 7, 5); /* the table is longer than the transfer: active and interrupt */
    cr_assert_eq(rin(r, IDE1 + 7), DRDY | DSC);
    cr_assert_eq(mark_of(r->ram + 0x20000), 40);
    cr_assert_eq(mark_of(r->ram + 0x40000), 48);
    cr_assert_eq(mark_of(r->ram + 0x50000 + 126 * 512), 175);
    cr_assert_eq(mark_of(r->ram + 0x50000 + 127 * 512), 0);
    rout(r, BM1, 8);
    cr_assert_eq(rin(r, BM1 + 2) & 7, 4);
    rout(r, BM1 + 2, 0x64);
    cr_assert_eq(rin(r, BM1 + 2), 0x60);
    memset(r->ram + 0x60000, 0x77, 600 * 512);
    for (unsigned i = 0; i < 4; i++)
        prd(r, i, 0x60000 + i * 0x10000, 0, false);
    prd(r, 4, 0xa0000, 600 * 512 - 4 * 65536, true);
    master_start(r, BM1, false); /* before the command this time, and more than one request */
    ata48(r, 0x35, 1000, 600);
    fake_run(r->hd);
    cr_assert_eq(rin(r, BM1 + 2) & 7, 4);
    cr_assert_eq(rin(r, IDE1 + 7), DRDY | DSC);
    cr_assert_eq(r->hd->data[1000 * 512], 0x77);
    cr_assert_eq(r->hd->data[1600 * 512 - 1], 0x77);
    cr_assert_eq(mark_of(r->hd->data + 1600 * 512), 1600);
    cr_assert_eq(mark_of(r->hd->data + 999 * 512), 999);
    ide_rig_free(r);
}

Test(bus_master, short_tables_bad_memory_and_wrong_directions)
{
    struct ide_rig *r = ide_rig_new();
    prd(r, 0, 0x20000, 512, true);
    ata(r, 0xc8, 40, 2);
    fake_run(r->hd);
    master_start(r, BM1, true); /* half of it: the drive waits, the bus master is done */
    cr_assert_eq(rin(r, BM1 + 2) & 7, 0);
    cr_assert_eq(rin(r, IDE1 + 7) & (DRQ | ERR), DRQ);
    cr_assert_eq(r->b->line[0].rises, 0);
    rout(r, CTL1, 4);
    rout(r, CTL1, 0);
    cr_assert_eq(rin(r, IDE1 + 7), DRDY | DSC);
    rout(r, BM1, 0);
    prd(r, 0, 0xfff00000, 512, true); /* not RAM */
    master_start(r, BM1, true);
    ata(r, 0xc8, 40, 1);
    fake_run(r->hd);
    cr_assert_eq(rin(r, BM1 + 2) & 7, 6);
    cr_assert(rin(r, IDE1 + 7) & ERR);
    rout(r, BM1, 0);
    prd(r, 0, 0x20000, 512, true);
    master_start(r, BM1, false); /* from memory, but the drive reads */
    ata(r, 0xc8, 40, 1);
    fake_run(r->hd);
    cr_assert(rin(r, IDE1 + 7) & ERR);
    rout(r, BM1, 0);
    rig_config(r, 0x04, 0x01); /* no bus mastering */
    master_start(r, BM1, true);
    ata(r, 0xc8, 40, 1);
    fake_run(r->hd);
    cr_assert(rin(r, IDE1 + 7) & ERR);
    cr_assert_eq(mark_of(r->ram + 0x20000 + 512), 0);
    rout(r, BM1, 0);
    rig_config(r, 0x04, 0x05);
    r->hd->bad_sector = 302;
    r->hd->bad_err = -EIO;
    prd(r, 0, 0x30000, 4096, true);
    master_start(r, BM1, true);
    ata(r, 0xc8, 300, 8);
    fake_run(r->hd);
    cr_assert_eq(rin(r, IDE1 + 1), 0x40);
    cr_assert_eq(rin(r, IDE1 + 3), 302 & 0xff);
    cr_assert_eq(mark_of(r->ram + 0x30000 + 512), 301); /* what can be read was */
    ide_rig_free(r);
}

Test(ide, resets_while_the_back_end_works)
{
    struct ide_rig *r = ide_rig_new();
    ata(r, 0x20, 5, 1);
    rout(r, CTL1, 4);
    cr_assert(rin(r, CTL1) & BSY);
    rout(r, CTL1, 0);
    cr_assert(rin(r, CTL1) & BSY); /* the buffer is still in use */
    ata(r, 0xec, 0, 0);            /* so this is dropped */
    fake_run(r->hd);
    cr_assert_eq(rin(r, IDE1 + 7), DRDY | DSC);
    cr_assert_eq(rin(r, IDE1 + 1), 1);
    cr_assert_eq(inw(r, IDE1), 0);
    cr_assert_eq(r->b->line[0].rises, 0);
    ata(r, 0x20, 5, 1);
    rout(r, CTL1, 4);
    fake_run(r->hd); /* back before the reset is released */
    cr_assert(rin(r, CTL1) & BSY);
    rout(r, CTL1, 0);
    cr_assert_eq(rin(r, CTL1), DRDY | DSC);
    ata48(r, 0x25, 0, 1000);
    ide_reset(r->ide); /* waits, and lets no further request go */
    cr_assert_eq(r->hd->queued, 0);
    cr_assert_eq(r->hd->submitted, 3);
    cr_assert_eq(rin(r, CTL1), DRDY | DSC);
    ata(r, 0x20, 5, 1);
    ide_rig_free(r); /* likewise */
}

/* A partition table made under another BIOS tells the geometry. */
Test(ide, geometry_from_partitions_and_command_line)
{
    static const struct {
        u8 heads, spt;
        struct disk_geometry g;
        struct ide_bios_disk want;
    } cases[] = {
        {0, 0, {0}, {19, 16, 63, 0}},
        {15, 17, {0}, {20000 / (15 * 17), 15, 17, 0}},
        {64, 32, {0}, {19, 16, 63, 2}}, /* translated: the BIOS does it again */
        {15, 17, {.cylinders = 10, .heads = 4, .sectors_per_track = 33}, {10, 4, 33, 0}},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        struct board *b = board_new();
        struct pci_bus pci;
        struct ide *ide = calloc(1, sizeof(*ide));
        struct fake_disk *f = fake_new(RIG_SECTORS);
        const struct irq_line irq[2] = {board_line(b, 0), board_line(b, 1)};
        f->geometry.cylinders = cases[i].g.cylinders;
        f->geometry.heads = cases[i].g.heads;
        f->geometry.sectors_per_track = cases[i].g.sectors_per_track;
        if (cases[i].heads) {
            const u8 p[16] = {0x80, 1,    1,    0, 6, (u8)(cases[i].heads - 1), cases[i].spt, 9, 63, 0, 0,
                              0,    0x10, 0x20, 0, 0};
            memcpy(f->data + 0x1be, p, 16);
            f->data[510] = 0x55;
            f->data[511] = 0xaa;
        }
        const struct pc_drive drive[PC_IDE_DRIVES] = {[1] = {.kind = PC_DRIVE_DISK,
                                                             .back = fake_back(f),
                                                             .serial = "a serial that is too long for it"}};
        const struct dma_mem mem = {0};
        struct ide_bios_disk got;
        cr_assert_eq(pci_init(&pci, &b->io, &b->mmio, NULL, NULL), 0);
        cr_assert_eq(ide_init(ide, &b->io, &pci, irq, &mem, drive), 0);
        cr_assert_not(ide_bios_disk(ide, 0, &got));
        cr_assert_not(ide_bios_disk(ide, 9, &got));
        cr_assert(ide_bios_disk(ide, 1, &got));
        const struct ide_bios_disk *want = &cases[i].want;
        cr_assert(got.cylinders == want->cylinders && got.heads == want->heads && got.spt == want->spt &&
                      got.translation == want->translation,
                  "case %u: %u/%u/%u translation %u", i, got.cylinders, got.heads, got.spt, got.translation);
        cr_assert_null(ide_front(ide, 1));
        ide_fini(ide);
        fake_free(f);
        free(ide);
        free(b);
    }
}

/* ---- TRIM, SMART ---- */

static void trim(struct ide_rig *r, u8 feature, u16 blocks)
{
    prd(r, 0, 0x30000, 0, true);
    rout(r, IDE1 + 6, 0xe0);
    rout(r, IDE1 + 1, 0);
    rout(r, IDE1 + 1, feature);
    rout(r, IDE1 + 2, blocks >> 8);
    rout(r, IDE1 + 2, blocks & 0xff);
    rout(r, IDE1 + 7, 0x06);
    master_start(r, BM1, false);
    fake_run(r->hd);
}

static void range(struct ide_rig *r, unsigned n, u64 lba, u16 sectors)
{
    u64 entry = lba | (u64)sectors << 48;

    memcpy(r->ram + 0x30000 + 8 * n, &entry, 8);
}

Test(ide, trim)
{
    struct ide_rig *r = ide_rig_new();
    u8 id[512];

    identify(r, id);
    cr_expect_eq(word(id, 169), 1);
    range(r, 0, 100, 50);
    range(r, 1, 777, 0);
    range(r, 63, 5000, 10000); /* the last of the block, and more than one request of another kind could hold */
    trim(r, 1, 1);
    cr_expect_eq(rin(r, IDE1 + 7), DRDY | DSC);
    cr_expect_eq(r->hd->submitted, 2);
    cr_expect_eq(mark_of(r->hd->data + 99 * 512), 99);
    cr_expect_eq(mark_of(r->hd->data + 100 * 512), 0);
    cr_expect_eq(mark_of(r->hd->data + 149 * 512), 0);
    cr_expect_eq(mark_of(r->hd->data + 150 * 512), 150);
    cr_expect_eq(mark_of(r->hd->data + 777 * 512), 777);
    cr_expect_eq(mark_of(r->hd->data + 14999 * 512), 0);
    cr_expect_eq(mark_of(r->hd->data + 15000 * 512), 15000);
    range(r, 0, RIG_SECTORS - 1, 2); /* past the end: nothing is discarded */
    rout(r, BM1, 0);
    trim(r, 1, 1);
    cr_expect_eq(rin(r, IDE1 + 7) & ERR, ERR);
    cr_expect_eq(mark_of(r->hd->data + (RIG_SECTORS - 1) * 512), RIG_SECTORS - 1);
    rout(r, BM1, 0);
    range(r, 0, 300, 1);
    r->hd->bad_sector = 300;
    r->hd->bad_err = -EIO;
    trim(r, 1, 1);
    cr_expect_eq(rin(r, IDE1 + 7) & ERR, ERR, "an error of the back end is one of the drive");
    r->hd->bad_err = 0;
    rout(r, BM1, 0);
    for (unsigned i = 0; i < 3; i++) {
        static const u16 bad[3][2] = {{0, 1}, {1, 0}, {1, 257}};

        trim(r, (u8)bad[i][0], bad[i][1]);
        cr_expect_eq(rin(r, IDE1 + 7) & ERR, ERR, "feature %u, %u blocks", bad[i][0], bad[i][1]);
        rout(r, BM1, 0);
    }
    ide_rig_free(r);
}

/* Answers: 0 none, 1 a sector of data, 2 ERR. */
static unsigned smart(struct ide_rig *r, u8 feature, u8 low, u8 count, u8 *to)
{
    rout(r, IDE1 + 1, feature);
    ata(r, 0xb0, 0xc24f00 | low, count);
    u8 status = rin(r, IDE1 + 7);
    if (status & ERR)
        return 2;
    if (!(status & DRQ))
        return 0;
    read_words(r, IDE1, to, 256);
    return 1;
}

Test(ide, smart)
{
    static const u8 tables[] = {0xd0, 0xd1};
    struct ide_rig *r = ide_rig_new();
    u8 id[512], to[512];

    identify(r, id);
    cr_expect((word(id, 82) & 1) && (word(id, 85) & 1));
    for (unsigned i = 0; i < 2; i++) {
        u8 sum = 0;

        cr_assert_eq(smart(r, tables[i], 0, 0, to), 1);
        for (unsigned n = 0; n < 512; n++)
            sum = (u8)(sum + to[n]);
        cr_expect(sum == 0 && to[0] == 1 && to[2] == 1, "sum %u", sum);
    }
    for (unsigned log = 0; log < 8; log++)
        cr_expect_eq(smart(r, 0xd5, (u8)log, 1, to), log == 0 || log == 1 || log == 6 ? 1 : 2, "log %u", log);
    cr_expect_eq(smart(r, 0xda, 0, 0, to), 0);
    cr_expect(rin(r, IDE1 + 4) == 0x4f && rin(r, IDE1 + 5) == 0xc2, "the disk is well");
    cr_expect_eq(smart(r, 0xd2, 0, 0xf1, to), 0);
    cr_expect_eq(smart(r, 0xd2, 0, 7, to), 2);
    cr_expect_eq(smart(r, 0xd4, 1, 0, to), 0);
    cr_expect_eq(smart(r, 0x12, 0, 0, to), 2);
    cr_expect_eq(smart(r, 0xd9, 0, 0, to), 0);
    identify(r, id);
    cr_expect_eq(word(id, 85) & 1, 0);
    cr_expect_eq(smart(r, 0xd0, 0, 0, to), 2, "switched off");
    cr_expect_eq(smart(r, 0xd8, 0, 0, to), 0);
    cr_expect_eq(smart(r, 0xd0, 0, 0, to), 1);
    rout(r, IDE1 + 1, 0xd0);
    ata(r, 0xb0, 0, 0);
    cr_expect_eq(rin(r, IDE1 + 7) & ERR, ERR, "without the key in the address");
    ide_rig_free(r);
}
