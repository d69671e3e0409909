/*
 * ide_rig.h - an IDE controller on a test board: a disk on primary master, a CD-ROM on secondary master, some RAM.
 */
#ifndef NOVT_TESTS_IDE_RIG_H
#define NOVT_TESTS_IDE_RIG_H

#include <criterion/criterion.h>

#include "board.h"
#include "devices/ide.h"
#include "fakedisk.h"

enum { IDE1 = 0x1f0, IDE2 = 0x170, CTL1 = 0x3f6, CTL2 = 0x376, BM1 = 0xc000, BM2 = 0xc008 };
enum { RIG_RAM = 1 << 20, RIG_SECTORS = 20000, RIG_BLOCKS = 1000 };
enum { BSY = 0x80, DRDY = 0x40, DF = 0x20, DSC = 0x10, DRQ = 0x08, ERR = 0x01 };

struct ide_rig {
    struct board *b;
    struct pci_bus pci;
    struct ide *ide;
    struct fake_disk *hd, *cd;
    u8 *ram;
};

static inline int rig_dma_read(void *opaque, u64 gpa, void *buf, size_t len)
{
    struct ide_rig *r = opaque;
    memset(buf, 0xff, len);
    if (gpa > RIG_RAM || len > RIG_RAM - gpa)
        return -EFAULT;
    memcpy(buf, r->ram + gpa, len);
    return 0;
}

static inline int rig_dma_write(void *opaque, u64 gpa, const void *buf, size_t len)
{
    struct ide_rig *r = opaque;
    if (gpa > RIG_RAM || len > RIG_RAM - gpa)
        return -EFAULT;
    memcpy(r->ram + gpa, buf, len);
    return 0;
}

static inline void rig_config(struct ide_rig *r, unsigned reg, u32 val)
{
    io_bus_write(&r->b->io, 0xcf8, 4, 0x80000900u | reg);
    io_bus_write(&r->b->io, 0xcfc, 4, val);
}

static inline struct ide_rig *ide_rig_new(void)
{
    struct ide_rig *r = calloc(1, sizeof(*r));
    r->b = board_new();
    r->ide = calloc(1, sizeof(*r->ide));
    r->ram = calloc(1, RIG_RAM);
    r->hd = fake_new(RIG_SECTORS);
    r->cd = fake_new(RIG_BLOCKS * 4);
    const struct irq_line irq[2] = {board_line(r->b, 0), board_line(r->b, 1)};
    const struct dma_mem mem = {.read = rig_dma_read, .write = rig_dma_write, .opaque = r};
    const struct pc_drive drive[PC_IDE_DRIVES] = {
        [0] = {.kind = PC_DRIVE_DISK, .back = fake_back(r->hd), .firmware = "9.8", .wwn = 0x5000c50015ea71aa, .rotation_rate = 5400},
        [2] = {.kind = PC_DRIVE_CDROM, .back = fake_back(r->cd)},
    };
    cr_assert_eq(pci_init(&r->pci, &r->b->io, &r->b->mmio, NULL, NULL), 0);
    cr_assert_eq(ide_init(r->ide, &r->b->io, &r->pci, irq, &mem, drive), 0);
    rig_config(r, 0x20, BM1 | 1);
    rig_config(r, 0x04, 0x05);
    r->hd->submitted = 0;
    return r;
}

static inline void ide_rig_free(struct ide_rig *r)
{
    ide_fini(r->ide);
    fake_free(r->hd);
    fake_free(r->cd);
    free(r->ram);
    free(r->ide);
    free(r->b);
    free(r);
}

static inline u16 inw(struct ide_rig *r, u16 port)
{
    return (u16)io_bus_read(&r->b->io, port, 2);
}

static inline void outw(struct ide_rig *r, u16 port, u32 val)
{
    io_bus_write(&r->b->io, port, 2, val);
}

static inline void outl(struct ide_rig *r, u16 port, u32 val)
{
    io_bus_write(&r->b->io, port, 4, val);
}

static inline u8 rin(struct ide_rig *r, u16 port)
{
    return inb(r->b, port);
}

static inline void rout(struct ide_rig *r, u16 port, u32 val)
{
    outb(r->b, port, val);
}

static inline void read_words(struct ide_rig *r, u16 port, void *to, unsigned words)
{
    u8 *at = to;
    for (unsigned i = 0; i < words; i++) {
        u16 w = inw(r, port);
        memcpy(at + 2 * i, &w, 2);
    }
}

static inline void write_words(struct ide_rig *r, u16 port, const void *from, unsigned words)
{
    const u8 *at = from;
    for (unsigned i = 0; i < words; i++)
        outw(r, port, at[2 * i] | (u32)at[2 * i + 1] << 8);
}

/* LBA28 on the primary master. */
static inline void ata(struct ide_rig *r, u8 command, u32 lba, u8 count)
{
    rout(r, IDE1 + 6, 0xe0 | (lba >> 24 & 15));
    rout(r, IDE1 + 2, count);
    rout(r, IDE1 + 3, lba & 0xff);
    rout(r, IDE1 + 4, lba >> 8 & 0xff);
    rout(r, IDE1 + 5, lba >> 16 & 0xff);
    rout(r, IDE1 + 7, command);
}

static inline void ata48(struct ide_rig *r, u8 command, u64 lba, u16 count)
{
    rout(r, IDE1 + 6, 0xe0);
    for (int deep = 1; deep >= 0; deep--) {
        rout(r, IDE1 + 2, count >> (8 * deep) & 0xff);
        for (unsigned i = 0; i < 3; i++)
            rout(r, (u16)(IDE1 + 3 + i), (u32)(lba >> (8 * i + 24 * (unsigned)deep)) & 0xff);
    }
    rout(r, IDE1 + 7, command);
}

/* Descriptor n of the table at 1000h. */
static inline void prd(struct ide_rig *r, unsigned n, u32 gpa, u32 bytes, bool last)
{
    u32 e[2] = {gpa, (bytes & 0xffff) | (last ? 0x80000000u : 0)};
    memcpy(r->ram + 0x1000 + 8 * n, e, 8);
}

static inline void master_start(struct ide_rig *r, u16 base, bool to_memory)
{
    outl(r, base + 4, 0x1000);
    rout(r, base + 2, 0x06);
    rout(r, base, to_memory ? 8 : 0);
    rout(r, base, to_memory ? 9 : 1);
}

/* Twelve bytes to the CD-ROM; limit: the byte count, 0: by bus master. */
static inline void packet(struct ide_rig *r, const u8 *bytes, unsigned n, u16 limit)
{
    u8 p[12] = {0};
    memcpy(p, bytes, n < 12 ? n : 12);
    rout(r, IDE2 + 6, 0xa0);
    rout(r, IDE2 + 1, limit ? 0 : 1);
    rout(r, IDE2 + 4, limit & 0xff);
    rout(r, IDE2 + 5, limit >> 8);
    rout(r, IDE2 + 7, 0xa0);
    cr_assert_eq(rin(r, IDE2 + 7) & (BSY | DRQ), DRQ);
    cr_assert_eq(rin(r, IDE2 + 2) & 3, 1);
    write_words(r, IDE2, p, 6);
}

#define PACKET(r, limit, ...)                     \
    do {                                          \
        const u8 bytes_[] = {__VA_ARGS__};        \
        packet(r, bytes_, sizeof(bytes_), limit); \
    } while (0)

/* The reply's blocks, until there are no more; returns the bytes. */
static inline u32 reply(struct ide_rig *r, u8 *to, u32 most)
{
    u32 n = 0;
    fake_run(r->cd);
    while ((rin(r, IDE2 + 7) & (BSY | DRQ)) == DRQ) {
        u32 block = rin(r, IDE2 + 4) | (u32)rin(r, IDE2 + 5) << 8;
        cr_assert_eq(rin(r, IDE2 + 2) & 3, 2);
        cr_assert_gt(block, 0);
        cr_assert_leq(n + block + 1, most);
        read_words(r, IDE2, to + n, (block + 1) / 2);
        n += block;
        fake_run(r->cd);
    }
    cr_assert_eq(rin(r, IDE2 + 2) & 3, 3);
    return n;
}

#endif
