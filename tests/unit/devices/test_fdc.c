/*
 * test_fdc.c - the floppy controller: resets and their interrupts, seeks, transfers by DMA and without, formats, errors, disk change.
 */
#include <criterion/criterion.h>

#include <stdarg.h>

#include "board.h"
#include "devices/fdc.h"
#include "fakedisk.h"

enum { RAM = 0x40000, DOR = 0x3f2, MSR = 0x3f4, DATA = 0x3f5, DIR = 0x3f7 };
enum { RQM = 0x80, DIO = 0x40, NDM = 0x20, CB = 0x10 };

struct rig {
    struct board *b;
    struct i8237 dma;
    struct fdc *f;
    struct fake_disk *a;
    u8 *ram;
};

static int ram_read(void *opaque, u64 gpa, void *buf, size_t len)
{
    struct rig *r = opaque;
    memset(buf, 0xff, len);
    if (gpa > RAM || len > RAM - gpa)
        return -EFAULT;
    memcpy(buf, r->ram + gpa, len);
    return 0;
}

static int ram_write(void *opaque, u64 gpa, const void *buf, size_t len)
{
    struct rig *r = opaque;
    if (gpa > RAM || len > RAM - gpa)
        return -EFAULT;
    memcpy(r->ram + gpa, buf, len);
    return 0;
}

static struct rig *rig_new(u64 sectors, unsigned kib)
{
    struct rig *r = calloc(1, sizeof(*r));
    r->b = board_new();
    r->f = calloc(1, sizeof(*r->f));
    r->ram = calloc(1, RAM);
    r->a = fake_new(sectors);
    const struct dma_mem mem = {.read = ram_read, .write = ram_write, .opaque = r};
    const struct pc_drive drive[PC_FLOPPIES] = {
        {.kind = PC_DRIVE_FLOPPY, .back = fake_back(r->a), .floppy_kib = kib}};
    cr_assert_eq(i8237_init(&r->dma, &r->b->io, &mem), 0);
    cr_assert_eq(fdc_init(r->f, &r->b->io, &r->dma, board_line(r->b, 0), drive), 0);
    return r;
}

static void rig_free(struct rig *r)
{
    fdc_fini(r->f);
    fake_free(r->a);
    free(r->ram);
    free(r->f);
    free(r->b);
    free(r);
}

static void command(struct rig *r, unsigned n, ...)
{
    va_list ap;
    va_start(ap, n);
    for (unsigned i = 0; i < n; i++) {
        cr_assert_eq(inb(r->b, MSR) & (RQM | DIO), RQM);
        outb(r->b, DATA, (u32)va_arg(ap, int));
    }
    va_end(ap);
    fake_run(r->a);
}

static void result(struct rig *r, u8 *to, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        cr_assert_eq(inb(r->b, MSR) & (RQM | DIO | CB), RQM | DIO | CB, "result byte %u", i);
        to[i] = inb(r->b, DATA);
    }
    cr_assert_eq(inb(r->b, MSR), RQM);
}

/* ST0 << 8 | cylinder */
static u32 sense(struct rig *r)
{
    u8 b[2];
    command(r, 1, 0x08);
    result(r, b, 2);
    return (u32)b[0] << 8 | b[1];
}

static void ready(struct rig *r, u8 rate)
{
    outb(r->b, DIR, rate);
    outb(r->b, DOR, 0x1c);
    command(r, 3, 0x03, 0xdf, 0x02);
}

static void dma(struct rig *r, u8 mode, u32 gpa, u32 bytes)
{
    outb(r->b, 0x0a, 6);
    outb(r->b, 0x0c, 0);
    outb(r->b, 0x0b, mode);
    outb(r->b, 0x04, gpa & 0xff);
    outb(r->b, 0x04, gpa >> 8 & 0xff);
    outb(r->b, 0x81, gpa >> 16);
    outb(r->b, 0x05, (bytes - 1) & 0xff);
    outb(r->b, 0x05, (bytes - 1) >> 8 & 0xff);
    outb(r->b, 0x0a, 2);
}

static u32 mark_at(struct rig *r, u32 gpa)
{
    u32 n;
    memcpy(&n, r->ram + gpa, sizeof(n));
    return n;
}

static void expect(struct rig *r, u8 st0, u8 st1, u8 st2, u8 c, u8 h, u8 s)
{
    u8 b[7];
    result(r, b, 7);
    cr_assert(b[0] == st0 && b[1] == st1 && b[2] == st2 && b[3] == c && b[4] == h && b[5] == s && b[6] == 2,
              "ST %02x %02x %02x, C %u H %u R %u N %u", b[0], b[1], b[2], b[3], b[4], b[5], b[6]);
}

Test(fdc, reset_interrupts_and_senses)
{
    struct rig *r = rig_new(2880, 0);
    outb(r->b, DOR, 0x08);
    cr_assert_eq(inb(r->b, MSR), 0);
    outb(r->b, DOR, 0x0c);
    cr_assert_eq(r->b->line[0].rises, 1);
    for (u32 n = 0; n < 4; n++)
        cr_assert_eq(sense(r), (0xc0 | n) << 8);
    cr_assert_not(r->b->line[0].level);
    u8 b;
    command(r, 1, 0x08); /* nothing more to sense */
    result(r, &b, 1);
    cr_assert_eq(b, 0x80);
    command(r, 1, 0x1e); /* no command */
    result(r, &b, 1);
    cr_assert_eq(b, 0x80);
    outb(r->b, MSR, 0x80); /* the other reset */
    cr_assert_eq(sense(r), 0xc000);
    outb(r->b, DOR, 0x04); /* interrupts off */
    command(r, 2, 0x07, 0);
    cr_assert_not(r->b->line[0].level);
    outb(r->b, DOR, 0x0c);
    cr_assert(r->b->line[0].level);
    cr_assert_eq(sense(r), 0x2000); /* of the seek: the reset's were not asked for in time */
    command(r, 1, 0x10);
    result(r, &b, 1);
    cr_assert_eq(b, 0x90);
    rig_free(r);
}

Test(fdc, seeks_and_registers)
{
    struct rig *r = rig_new(2880, 0);
    u8 b[10];
    ready(r, 0);
    cr_assert_eq(inb(r->b, DIR), 0x80); /* changed: nobody has stepped yet */
    command(r, 3, 0x0f, 0, 40);
    cr_assert_eq(r->b->line[0].rises, 1);
    cr_assert_eq(sense(r), 0x2028);
    cr_assert_eq(inb(r->b, DIR), 0);
    command(r, 3, 0x8f, 0, 5); /* RELATIVE SEEK, out and in */
    cr_assert_eq(sense(r), 0x2023);
    command(r, 3, 0xcf, 0, 50);
    cr_assert_eq(sense(r), 0x2055);
    command(r, 3, 0x8f, 0, 200);
    cr_assert_eq(sense(r), 0x2000);
    command(r, 2, 0x04, 0);
    result(r, b, 1);
    cr_assert_eq(b[0], 0x38);
    command(r, 2, 0x07, 1); /* no such drive */
    cr_assert_eq(sense(r), 0x7100);
    command(r, 4, 0x13, 0, 0x57, 9);
    command(r, 1, 0x94); /* LOCK */
    result(r, b, 1);
    cr_assert_eq(b[0], 0x10);
    outb(r->b, MSR, 0x80);
    command(r, 1, 0x0e);
    result(r, b, 10);
    cr_assert_eq(b[4], 0xdf);
    cr_assert_eq(b[7] & 0x80, 0x80);
    cr_assert_eq(b[8], 0x57);
    cr_assert_eq(b[9], 9);
    rig_free(r);
}

Test(fdc, reads_and_writes_by_dma)
{
    struct rig *r = rig_new(2880, 0);
    ready(r, 0);
    dma(r, 0x46, 0x10000, 512);
    command(r, 9, 0xe6, 0, 0, 0, 1, 2, 18, 27, 0xff);
    expect(r, 0, 0, 0, 0, 0, 2); /* terminal count behind the first sector */
    cr_assert_eq(mark_at(r, 0x10000), 0);
    cr_assert_eq(r->a->submitted, 1);
    command(r, 3, 0x0f, 0, 3);
    sense(r);
    dma(r, 0x46, 0x10000, 36 * 512);
    command(r, 9, 0xe6, 0, 3, 0, 1, 2, 18, 27, 0xff); /* both sides */
    expect(r, 0, 0, 0, 4, 0, 1);
    for (u32 n = 0; n < 36; n++)
        cr_assert_eq(mark_at(r, 0x10000 + 512 * n), 108 + n);
    cr_assert_eq(r->a->submitted, 2);
    dma(r, 0x46, 0x10000, 4096);
    command(r, 9, 0x66, 4, 3, 1, 17, 2, 18, 27, 0xff); /* without MT the track ends first */
    expect(r, 0x44, 0x80, 0, 3, 1, 19);
    cr_assert_eq(mark_at(r, 0x10000 + 512), 143);
    memset(r->ram + 0x20000, 0x66, 1024);
    dma(r, 0x4a, 0x20000, 700); /* the last sector is filled up */
    command(r, 9, 0xc5, 4, 3, 1, 2, 2, 18, 27, 0xff);
    expect(r, 4, 0, 0, 3, 1, 4);
    const u8 *at = r->a->data + (3 * 36 + 18 + 1) * 512;
    cr_assert_eq(at[0], 0x66);
    cr_assert_eq(at[699], 0x66);
    cr_assert_eq(at[700], 0);
    cr_assert_eq(at[1023], 0);
    command(r, 9, 0x16, 0, 3, 0, 5, 2, 18, 27, 0xff); /* VERIFY to the end */
    expect(r, 0, 0, 0, 4, 0, 1);
    rig_free(r);
}

Test(fdc, waits_for_the_dma_channel)
{
    struct rig *r = rig_new(2880, 0);
    ready(r, 0);
    dma(r, 0x46, 0x10000, 512);
    outb(r->b, 0x0a, 6); /* masked */
    command(r, 9, 0x66, 0, 0, 0, 5, 2, 18, 27, 0xff);
    cr_assert_eq(inb(r->b, MSR), CB);
    cr_assert_eq(r->a->submitted, 0);
    outb(r->b, 0x0a, 2);
    cr_assert_eq(r->a->queued, 1);
    outb(r->b, 0x0a, 6); /* masked again before the data is there */
    fake_run(r->a);
    cr_assert_eq(inb(r->b, MSR), CB);
    outb(r->b, 0x0a, 2);
    expect(r, 0, 0, 0, 0, 0, 6);
    cr_assert_eq(mark_at(r, 0x10000), 4);
    rig_free(r);
}

Test(fdc, without_dma)
{
    struct rig *r = rig_new(2880, 0);
    ready(r, 0);
    command(r, 3, 0x03, 0xdf, 0x03);
    command(r, 9, 0x66, 0, 0, 0, 17, 2, 18, 27, 0xff);
    u8 buf[1024];
    for (unsigned i = 0; i < 1024; i++) {
        cr_assert_eq(inb(r->b, MSR), RQM | DIO | NDM | CB);
        buf[i] = inb(r->b, DATA);
    }
    cr_assert_eq(memcmp(buf, r->a->data + 16 * 512, 1024), 0);
    expect(r, 0x40, 0x80, 0, 0, 0, 19); /* nobody says terminal count */
    command(r, 9, 0x45, 0, 0, 0, 18, 2, 18, 27, 0xff);
    for (unsigned i = 0; i < 512; i++) {
        cr_assert_eq(inb(r->b, MSR), RQM | NDM | CB);
        outb(r->b, DATA, i & 0xff);
    }
    fake_run(r->a);
    expect(r, 0x40, 0x80, 0, 0, 0, 19);
    cr_assert_eq(r->a->data[17 * 512 + 9], 9);
    rig_free(r);
}

Test(fdc, formats_a_track)
{
    struct rig *r = rig_new(2880, 0);
    ready(r, 0);
    command(r, 3, 0x0f, 4, 2);
    sense(r);
    for (u32 n = 0; n < 18; n++)
        memcpy(r->ram + 0x1000 + 4 * n, (const u8[]){2, 1, (u8)(n + 1), 2}, 4);
    dma(r, 0x4a, 0x1000, 72);
    command(r, 6, 0x4d, 4, 2, 18, 0x54, 0xf6);
    expect(r, 4, 0, 0, 2, 1, 1);
    const u8 *at = r->a->data + (2 * 36 + 18) * 512;
    cr_assert_eq(at[0], 0xf6);
    cr_assert_eq(at[18 * 512 - 1], 0xf6);
    cr_assert_eq(at[-1], (u8)((2 * 36 + 17) * 7 + 3));
    r->a->geometry.read_only = true;
    r->f->drive[0].front.media_changed(r->f->drive[0].front.opaque);
    dma(r, 0x4a, 0x1000, 72);
    command(r, 6, 0x4d, 4, 2, 18, 0x54, 0xf6);
    expect(r, 0x44, 2, 0, 2, 1, 1);
    dma(r, 0x4a, 0x1000, 512);
    command(r, 9, 0xc5, 4, 2, 1, 2, 2, 18, 27, 0xff);
    expect(r, 0x44, 2, 0, 2, 1, 2);
    rig_free(r);
}

/* The rate is how firmware tells the formats apart. */
Test(fdc, formats_by_size_and_rate)
{
    static const struct {
        u32 sectors;
        u8 type, rate, tracks, spt;
    } cases[] = {
        {2880, 4, 0, 80, 18}, {5760, 5, 3, 80, 36}, {2400, 2, 0, 80, 15}, {1440, 4, 2, 80, 9},
        {720, 2, 1, 40, 9},   {640, 2, 2, 40, 8},   {3360, 4, 0, 80, 21}, {1000, 4, 0, 80, 18},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        struct rig *r = rig_new(cases[i].sectors, 0);
        cr_assert_eq(fdc_cmos_type(r->f, 0), cases[i].type, "%u sectors", cases[i].sectors);
        cr_assert_eq(fdc_cmos_type(r->f, 1), 0);
        for (u8 rate = 0; rate < 4; rate++) {
            u8 b[7];
            bool both = cases[i].sectors == 720 && rate == 2;
            ready(r, rate);
            command(r, 2, 0x4a, 0);
            result(r, b, 7);
            cr_assert_eq(b[0] == 0, rate == cases[i].rate || both, "%u sectors, rate %u", cases[i].sectors,
                         rate);
        }
        cr_assert_eq(r->f->drive[0].medium.spt, cases[i].spt);
        cr_assert_eq(r->f->drive[0].medium.tracks, cases[i].tracks);
        rig_free(r);
    }
    struct rig *r = rig_new(0, 1200);
    cr_assert_eq(fdc_cmos_type(r->f, 0), 2);
    rig_free(r);
}

Test(fdc, errors)
{
    struct rig *r = rig_new(2880, 0);
    ready(r, 0);
    dma(r, 0x46, 0x10000, 4096);
    command(r, 9, 0x66, 0, 7, 0, 1, 2, 18, 27, 0xff); /* heads are on cylinder 0 */
    expect(r, 0x40, 4, 0x10, 7, 0, 1);
    command(r, 9, 0x66, 0, 0, 0, 19, 2, 18, 27, 0xff);
    expect(r, 0x40, 0x80, 0, 0, 0, 19);
    command(r, 9, 0x66, 0, 0, 0, 19, 2, 30, 27, 0xff);
    expect(r, 0x40, 4, 0, 0, 0, 19);
    command(r, 9, 0x66, 0, 0, 0, 0, 2, 18, 27, 0xff);
    expect(r, 0x40, 4, 0, 0, 0, 0);
    command(r, 9, 0x66, 1, 0, 0, 1, 2, 18, 27, 0xff); /* no drive B */
    expect(r, 0x41, 1, 0, 0, 0, 1);
    r->a->bad_sector = 3;
    r->a->bad_err = -EIO;
    command(r, 9, 0x66, 0, 0, 0, 1, 2, 18, 27, 0xff);
    expect(r, 0x40, 0x20, 0x20, 0, 0, 4);
    cr_assert_eq(mark_at(r, 0x10000 + 1024), 2);
    r->a->geometry.sectors = 0;
    r->f->drive[0].front.media_changed(r->f->drive[0].front.opaque);
    command(r, 9, 0x66, 0, 0, 0, 1, 2, 18, 27, 0xff);
    expect(r, 0x40, 1, 0, 0, 0, 1);
    command(r, 3, 0x0f, 0, 1);
    sense(r);
    cr_assert_eq(inb(r->b, DIR), 0x80); /* nothing in: stays */
    rig_free(r);
}

Test(fdc, reset_while_the_back_end_works)
{
    struct rig *r = rig_new(2880, 0);
    ready(r, 0);
    dma(r, 0x46, 0x10000, 512);
    static const u8 read[] = {0x66, 0, 0, 0, 1, 2, 18, 27, 0xff};
    for (unsigned i = 0; i < sizeof(read); i++)
        outb(r->b, DATA, read[i]);
    cr_assert_eq(r->a->queued, 1);
    outb(r->b, DOR, 0x08);
    outb(r->b, DOR, 0x0c);
    cr_assert_eq(inb(r->b, MSR), 0); /* the buffer is in use */
    outb(r->b, DATA, 0x08);
    fake_run(r->a);
    cr_assert_eq(inb(r->b, MSR), RQM);
    cr_assert_eq(sense(r), 0xc000);
    cr_assert_eq(mark_at(r, 0x10000), 0);
    command(r, 9, 0x66, 0, 0, 0, 1, 2, 18, 27, 0xff);
    expect(r, 0, 0, 0, 0, 0, 2);
    rig_free(r);
}

/* SCAN: which sector is equal, at most, at least. Sector n (from 0) of the image begins with n. */
Test(fdc, scan)
{
    static const struct {
        u8 command, wanted; /* what all the host's sectors hold: the first byte of sector `wanted` */
        u8 first, last, step, st2, sector;
    } t[] = {
        {0x51, 4, 1, 9, 1, 0x08, 5},  /* EQUAL: found */
        {0x51, 30, 1, 9, 1, 0x04, 1}, /* not on this track: the address behind the last one */
        {0x51, 4, 1, 9, 2, 0x08, 5},  /* every second: 1, 3, 5 */
        {0x51, 4, 2, 8, 2, 0x04, 1},  /* 2, 4, 6, 8 */
        {0x59, 0, 1, 9, 1, 0x08, 1},  /* LOW OR EQUAL: the disk's is equal at once */
        {0x59, 3, 2, 9, 1, 0x00, 2},  /* lower at once */
        {0x5d, 6, 3, 9, 1, 0x08, 7},  /* HIGH OR EQUAL: 2, 3, 4, 5 are lower */
        {0x5d, 0, 3, 9, 1, 0x00, 3},
        {0x59, 0, 4, 9, 1, 0x04, 1},
    };

    for (unsigned pio = 0; pio < 2; pio++)
        for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
            struct rig *r = rig_new(2880, 0);

            ready(r, 0);
            command(r, 3, 0x03, 0xdf, pio ? 0x03 : 0x02);
            for (u32 s = 0; s < 18; s++) {
                memset(r->a->data + s * 512, 0, 512);
                r->a->data[s * 512] = (u8)s;
                r->a->data[s * 512 + 1] = s == 4 ? 0xff : 0x55; /* FFh fits everything */
                memset(r->ram + 0x1000 + s * 512, 0, 512);
                r->ram[0x1000 + s * 512] = t[i].wanted;
                r->ram[0x1000 + s * 512 + 1] = s % 2 ? 0x55 : 0xff;
            }
            dma(r, 0x4a, 0x1000, 18 * 512);
            command(r, 9, t[i].command, 0, 0, 0, t[i].first, 2, t[i].last, 0x1b, t[i].step);
            for (unsigned n = 0; pio && n < 18 * 512 && (inb(r->b, MSR) & (NDM | DIO | RQM)) == (NDM | RQM); n++) {
                outb(r->b, DATA, r->ram[0x1000 + n]);
                fake_run(r->a);
            }
            bool next = t[i].st2 == 0x04;
            u8 b[7];
            result(r, b, 7);
            cr_expect(b[0] == 0 && b[1] == 0 && b[2] == t[i].st2 && b[3] == next && b[5] == t[i].sector, "%u %s: ST %02x %02x %02x, C %u R %u", i,
                      pio ? "PIO" : "DMA", b[0], b[1], b[2], b[3], b[5]);
            rig_free(r);
        }
    struct rig *r = rig_new(2880, 0);
    ready(r, 0);
    memset(r->ram + 0x1000, 0x77, 1024);
    dma(r, 0x4a, 0x1000, 1024); /* terminal count behind the second sector */
    command(r, 9, 0x51, 0, 0, 0, 1, 2, 18, 0x1b, 1);
    expect(r, 0, 0, 0x04, 0, 0, 2);
    rig_free(r);
}
