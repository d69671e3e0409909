/*
 * targets.c - the traffic that any machine gets: ports and memory at random, PCI configuration, time, back ends.
 */
#include "devfuzz.h"

static unsigned any_size(struct fuzz *f)
{
    return 1u << fuzz_below(f, 3);
}

void target_ports(struct fuzz *f)
{
    /* What has registers; the rest of the 64 Ki only now and then. */
    static const u16 base[] = {0x00,  0x20,  0x40,  0x60,  0x70,  0x80,  0xa0,  0xc0,   0xf0,  0x170, 0x1cc,
                               0x1f0, 0x278, 0x2e8, 0x2f8, 0x300, 0x370, 0x378, 0x3b0,  0x3c0, 0x3d0, 0x3e8,
                               0x3f0, 0x3f8, 0x400, 0x4d0, 0x500, 0x510, 0xcf8, 0xb000, 0xb100};
    u16 port =
        (u16)(fuzz_below(f, 16) ? base[fuzz_below(f, ARRAY_SIZE(base))] + fuzz_below(f, 16) : fuzz_random(f));
    u8 buf[1024];
    switch (fuzz_below(f, 6)) {
    case 0:
    case 1: (void)pc_pio_read(f->pc, port, any_size(f)); break;
    case 2: (void)pc_pio_read_string(f->pc, port, 2, buf, fuzz_below(f, 513)); break;
    case 3:
        memset(buf, (int)fuzz_random(f), sizeof(buf));
        (void)pc_pio_write_string(f->pc, port, 2, buf, fuzz_below(f, 513));
        break;
    default: pc_pio_write(f->pc, port, any_size(f), fuzz_edge(f));
    }
}

void target_pci(struct fuzz *f)
{
    static const u8 reg[] = {0x04, 0x10, 0x14, 0x18, 0x20, 0x24, 0x30, 0x3c, 0x40, 0x44, 0x60, 0x80};
    u32 slot = fuzz_below(f, 8), fn = fuzz_below(f, 4);
    u32 at = fuzz_below(f, 3) ? reg[fuzz_below(f, ARRAY_SIZE(reg))] : fuzz_below(f, 256) & ~3u;
    pc_pio_write(f->pc, 0xcf8, 4, 0x80000000u | slot << 11 | fn << 8 | at);
    if (fuzz_below(f, 3))
        pc_pio_write(f->pc, (u16)(0xcfc + fuzz_below(f, 4)), any_size(f), at == 4 ? 7 : fuzz_edge(f));
    else
        (void)pc_pio_read(f->pc, (u16)(0xcfc + fuzz_below(f, 4)), any_size(f));
}

void target_mmio(struct fuzz *f)
{
    static const u32 base[] = {0xa0000,    0xb8000,    0xe0000000, 0xf0000000, 0xfd000000,
                               0xfe000000, 0xfeb00000, 0xfebf0000, 0xfec00000, 0xfee00000};
    u64 gpa = base[fuzz_below(f, ARRAY_SIZE(base))] + (u64)fuzz_below(f, fuzz_below(f, 2) ? 0x1000 : 0x20000);
    unsigned size = 1 + fuzz_below(f, 8);
    if (fuzz_below(f, 3))
        pc_mmio_write(f->pc, gpa, size, fuzz_edge(f) | (u64)fuzz_edge(f) << 32);
    else
        (void)pc_mmio_read(f->pc, gpa, size);
}

void target_time(struct fuzz *f)
{
    f->now_ns += fuzz_below(f, 4) ? fuzz_below(f, 100000) : fuzz_random(f);
    (void)clk_run_due(pc_clk(f->pc));
    pc_poll(f->pc);
    if (pc_intr(f->pc) && fuzz_below(f, 2))
        (void)pc_intr_ack(f->pc);
    if (!fuzz_below(f, 64) || f->wants_reset) {
        f->wants_reset = false;
        pc_reset(f->pc);
    }
}

void target_disks(struct fuzz *f)
{
    static const u32 size[] = {0, 1, 640, 720, 1440, 2400, 2880, 5760, 4000};
    unsigned n = fuzz_below(f, FUZZ_DISKS);
    struct fake_disk *d = f->disk[n];
    const struct disk_front *front =
        n < PC_IDE_DRIVES ? pc_ide_front(f->pc, n) : pc_floppy_front(f->pc, n - PC_IDE_DRIVES);
    if (!d)
        return;
    switch (fuzz_below(f, 8)) {
    case 0:
        d->bad_err = fuzz_below(f, 2) ? (fuzz_below(f, 2) ? -EIO : -ENOSPC) : 0;
        d->bad_sector = fuzz_below(f, 3000);
        break;
    case 1:
        if (front && !d->queued) { /* data is big enough for the biggest */
            d->geometry.sectors = size[fuzz_below(f, ARRAY_SIZE(size))];
            d->geometry.read_only = fuzz_below(f, 4) == 0;
            front->media_changed(front->opaque);
        }
        break;
    case 2: (void)fake_step(d); break;
    default: fake_run(d);
    }
}
