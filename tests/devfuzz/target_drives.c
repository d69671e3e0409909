/*
 * target_drives.c - traffic that is nearly right: IDE and packet commands, floppy commands, DMA set up well or badly.
 */
#include "devfuzz.h"

static void random_ram(struct fuzz *f, u32 at, u32 bytes)
{
    for (u32 i = 0; i < bytes && at + i + 4 <= FUZZ_RAM; i += 4) {
        u32 v = fuzz_edge(f);
        memcpy(f->ram + at + i, &v, 4);
    }
}

static void move_data(struct fuzz *f, u16 port, u32 most)
{
    u8 buf[2048];
    bool in = fuzz_below(f, 2);
    memset(buf, (int)fuzz_random(f), sizeof(buf));
    for (u32 n = fuzz_below(f, most), done; n; n -= done < n ? done : n) {
        u32 units = n < 512 ? n : 512, size = fuzz_below(f, 4) ? 2 : 4;
        done = in ? pc_pio_read_string(f->pc, port, size, buf, units)
                  : pc_pio_write_string(f->pc, port, size, buf, units);
        if (done)
            continue;
        if (in)
            (void)pc_pio_read(f->pc, port, 1u << fuzz_below(f, 3));
        else
            pc_pio_write(f->pc, port, 1u << fuzz_below(f, 3), fuzz_random(f));
        done = 1 + fuzz_below(f, 64);
    }
}

static void bus_master(struct fuzz *f, unsigned channel)
{
    u16 base = (u16)(0xc000 + 8 * channel);
    u32 table = fuzz_below(f, 4) ? fuzz_below(f, 0x1000) & ~3u : fuzz_edge(f);
    if (fuzz_below(f, 2)) {
        pc_pio_write(f->pc, 0xcf8, 4, 0x80000920u);
        pc_pio_write(f->pc, 0xcfc, 4, 0xc000);
        pc_pio_write(f->pc, 0xcf8, 4, 0x80000904u);
        pc_pio_write(f->pc, 0xcfc, 2, 5);
    }
    if (fuzz_below(f, 2)) {
        for (u32 i = 0; i < 4; i++) {
            u32 e[2] = {fuzz_below(f, 8) ? fuzz_below(f, FUZZ_RAM) : fuzz_edge(f),
                        fuzz_edge(f) | (fuzz_below(f, 4) ? 0 : 0x80000000u)};
            memcpy(f->ram + 0x100 + 8 * i, e, 8);
        }
        table = 0x100;
    } else {
        random_ram(f, table % FUZZ_RAM, 64);
    }
    pc_pio_write(f->pc, base + 4, 4, table);
    fuzz_out(f, base, fuzz_below(f, 3) ? (fuzz_below(f, 2) ? 9 : 1) : fuzz_random(f));
    if (!fuzz_below(f, 3))
        fuzz_out(f, base, 0);
}

static void task_file(struct fuzz *f, u16 base)
{
    for (u16 deep = 0; deep < 2; deep++)
        for (u16 reg = 1; reg < 6; reg++)
            fuzz_out(f, base + reg, fuzz_below(f, 3) ? fuzz_below(f, 20) : fuzz_edge(f));
    fuzz_out(f, base + 6, (fuzz_below(f, 4) ? 0xe0 : fuzz_random(f)) | fuzz_below(f, 2) << 4);
}

void target_ide(struct fuzz *f)
{
    static const u8 known[] = {0x20, 0x24, 0x25, 0x29, 0x30, 0x34, 0x35, 0x39, 0x40, 0x42, 0x90,
                               0x91, 0xa0, 0xa1, 0xc4, 0xc5, 0xc6, 0xc8, 0xca, 0xe0, 0xe4, 0xe7,
                               0xe8, 0xea, 0xec, 0xef, 0x08, 0x27, 0xf8, 0x70, 0x10};
    unsigned channel = fuzz_below(f, 2);
    u16 base = channel ? 0x170 : 0x1f0;
    switch (fuzz_below(f, 8)) {
    case 0: bus_master(f, channel); break;
    case 1:
        fuzz_out(f, base + 0x206, fuzz_below(f, 2) ? 4 : fuzz_random(f));
        if (fuzz_below(f, 4))
            fuzz_out(f, base + 0x206, 0);
        break;
    case 2: move_data(f, base, 3000); break;
    case 3: fuzz_out(f, (u16)(base + fuzz_below(f, 8)), fuzz_random(f)); break;
    default:
        task_file(f, base);
        if (fuzz_below(f, 2))
            bus_master(f, channel);
        fuzz_out(f, base + 7, fuzz_below(f, 8) ? known[fuzz_below(f, ARRAY_SIZE(known))] : fuzz_random(f));
        move_data(f, base, 600);
    }
    target_disks(f);
}

void target_atapi(struct fuzz *f)
{
    static const u8 known[] = {0x00, 0x03, 0x12, 0x1a, 0x1b, 0x1e, 0x25, 0x28, 0x2b, 0x43,
                               0x46, 0x4a, 0x51, 0x5a, 0xa8, 0xad, 0xbb, 0xbd, 0xbe};
    unsigned channel = fuzz_below(f, 2);
    u16 base = channel ? 0x170 : 0x1f0;
    u32 limit = fuzz_below(f, 2) ? 2048 : fuzz_edge(f);
    fuzz_out(f, base + 6, 0xa0 | fuzz_below(f, 2) << 4);
    fuzz_out(f, base + 1, fuzz_below(f, 8) ? fuzz_below(f, 2) : fuzz_random(f));
    fuzz_out(f, base + 4, limit);
    fuzz_out(f, base + 5, limit >> 8);
    fuzz_out(f, base + 7, 0xa0);
    for (unsigned i = 0; i < 6; i++) {
        u32 v = fuzz_below(f, 3) ? fuzz_below(f, 3) << 8 : fuzz_edge(f);
        if (i == 0)
            v = (v & 0xff00) | (fuzz_below(f, 8) ? known[fuzz_below(f, ARRAY_SIZE(known))] : v & 0xff);
        pc_pio_write(f->pc, base, 2, v & 0xffff);
    }
    if (fuzz_below(f, 2))
        bus_master(f, channel);
    target_disks(f);
    move_data(f, base, 3000);
    if (!fuzz_below(f, 8))
        fuzz_out(f, base + 7, 0x08);
}

static void dma_channel(struct fuzz *f)
{
    u32 count = fuzz_below(f, 2) ? 512 * (1 + fuzz_below(f, 40)) - 1 : fuzz_edge(f);
    fuzz_out(f, 0x0b, (fuzz_below(f, 2) ? 0x46 : 0x4a) | (fuzz_below(f, 8) ? 0 : fuzz_random(f)));
    fuzz_out(f, 0x0c, 0);
    fuzz_out(f, 0x04, fuzz_random(f));
    fuzz_out(f, 0x04, fuzz_random(f));
    fuzz_out(f, 0x81, fuzz_below(f, 32));
    fuzz_out(f, 0x05, count);
    fuzz_out(f, 0x05, count >> 8);
    fuzz_out(f, 0x0a, fuzz_below(f, 4) ? 2 : 6);
}

void target_floppy(struct fuzz *f)
{
    static const u8 known[] = {0x66, 0xe6, 0x45, 0xc5, 0x49, 0x4c, 0x42, 0x16, 0x4d, 0x4a, 0x07, 0x08,
                               0x03, 0x04, 0x0f, 0x8f, 0xcf, 0x0e, 0x10, 0x12, 0x13, 0x14, 0x94, 0x18};
    u8 cylinder = (u8)fuzz_below(f, 3), side = (u8)fuzz_below(f, 2),
       drive = (u8)(fuzz_below(f, 8) ? 0 : fuzz_below(f, 4));
    switch (fuzz_below(f, 8)) {
    case 0:
        fuzz_out(f, 0x3f2, fuzz_below(f, 2) ? 0x08 : fuzz_random(f));
        fuzz_out(f, 0x3f2, 0x1c);
        break;
    case 1: fuzz_out(f, 0x3f7, fuzz_below(f, 4)); break;
    case 2: fuzz_out(f, 0x3f4, fuzz_random(f)); break;
    case 3: fuzz_out(f, 0x0a, fuzz_random(f)); break;
    case 4: /* the heads to where the transfers below look for them */
        fuzz_out(f, 0x3f5, 0x0f);
        fuzz_out(f, 0x3f5, drive);
        fuzz_out(f, 0x3f5, cylinder);
        fuzz_out(f, 0x3f5, 0x08);
        break;
    default: {
        const u8 args[] = {(u8)(side << 2 | drive),
                           cylinder,
                           side,
                           (u8)(1 + fuzz_below(f, 20)),
                           2,
                           (u8)(fuzz_below(f, 2) ? 18 : fuzz_edge(f)),
                           27,
                           0xff};
        dma_channel(f);
        fuzz_out(f, 0x3f5, known[fuzz_below(f, ARRAY_SIZE(known))]);
        for (unsigned i = 0; i < sizeof(args) && (pc_pio_read(f->pc, 0x3f4, 1) & 0xd0) == 0x90; i++)
            fuzz_out(f, 0x3f5, fuzz_below(f, 12) ? args[i] : fuzz_random(f));
        target_disks(f);
    }
    }
    for (u32 n = fuzz_below(f, 1200); n-- && (pc_pio_read(f->pc, 0x3f4, 1) & 0x90) == 0x90;)
        if (pc_pio_read(f->pc, 0x3f4, 1) & 0x40)
            (void)pc_pio_read(f->pc, 0x3f5, 1);
        else
            fuzz_out(f, 0x3f5, fuzz_random(f));
    target_disks(f);
}
