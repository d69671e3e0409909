/*
 * devfuzz.c - fuzzes the devices: machines with drives at random, each with a few thousand steps of random traffic.
 *
 * Options are driver.c's. Run it on a build with sanitizers: scripts/fuzz --devices does.
 */
#include "devfuzz.h"

#include "tests/devfuzz/driver.h"

static const struct {
    const char *name;
    void (*fn)(struct fuzz *f);
} targets[] = {
    {"ports", target_ports}, {"pci", target_pci},       {"mmio", target_mmio},
    {"time", target_time},   {"disks", target_disks},   {"ide", target_ide},
    {"atapi", target_atapi}, {"floppy", target_floppy}, {"net", target_net},
    {"apic", target_apic},
};

enum { DISK_SECTORS = 6000 };

static u64 fuzz_now(void *opaque)
{
    return ((struct fuzz *)opaque)->now_ns;
}

static int ram_read(void *opaque, u64 gpa, void *buf, size_t len)
{
    struct fuzz *f = opaque;
    memset(buf, 0xff, len);
    if (gpa > FUZZ_RAM || len > FUZZ_RAM - gpa)
        return -EFAULT;
    memcpy(buf, f->ram + gpa, len);
    return 0;
}

static int ram_write(void *opaque, u64 gpa, const void *buf, size_t len)
{
    struct fuzz *f = opaque;
    if (gpa > FUZZ_RAM || len > FUZZ_RAM - gpa)
        return -EFAULT;
    memcpy(f->ram + gpa, buf, len);
    return 0;
}

static void on_request(void *opaque, enum pc_request what, unsigned code)
{
    struct fuzz *f = opaque;
    (void)code;
    f->wants_reset |= what == PC_REQ_RESET;
}

static void add_drive(struct fuzz *f, unsigned n, struct pc_drive *drive, enum pc_drive_kind kind)
{
    static const unsigned floppy[] = {0, 0, 360, 720, 1200, 1440, 2880};
    struct fake_disk *d = calloc(1, sizeof(*d));
    d->data = calloc(DISK_SECTORS, DISK_SECTOR_BYTES); /* whatever medium lies in it later */
    d->geometry.sectors = kind == PC_DRIVE_FLOPPY ? 2880 : 1 + fuzz_below(f, DISK_SECTORS);
    d->geometry.read_only = kind == PC_DRIVE_CDROM;
    f->disk[n] = d;
    *drive = (struct pc_drive){.kind = kind, .back = fake_back(d), .write_cache_off = fuzz_below(f, 2)};
    if (kind == PC_DRIVE_FLOPPY)
        drive->floppy_kib = floppy[fuzz_below(f, ARRAY_SIZE(floppy))];
}

static void machine(struct fuzz *f)
{
    static const u8 rom[512] = {0x55, 0xaa, 1};
    const struct clk_source source = {.now_ns = fuzz_now, .opaque = f};
    struct pc_config cfg = {
        .ram_below_4g_bytes = FUZZ_RAM,
        .opaque = f,
        .request = on_request,
        .dma = {.read = ram_read, .write = ram_write, .opaque = f},
        .serial_present = {true},
        .vga_rom = fuzz_below(f, 2) ? rom : NULL,
        .vga_rom_bytes = sizeof(rom),
        .clk_source = &source,
        .apic = fuzz_below(f, 4) != 0,
        .hpet = fuzz_below(f, 2) != 0,
    };
    for (unsigned n = 0; n < PC_IDE_DRIVES; n++) {
        u32 kind = fuzz_below(f, 3);
        if (kind)
            add_drive(f, n, &cfg.ide[n], kind == 1 ? PC_DRIVE_DISK : PC_DRIVE_CDROM);
    }
    for (unsigned n = 0; n < PC_FLOPPIES; n++)
        if (fuzz_below(f, 3))
            add_drive(f, PC_IDE_DRIVES + n, &cfg.floppy[n], PC_DRIVE_FLOPPY);
    for (cfg.nics = 0; cfg.nics < PC_NICS && fuzz_below(f, 4); cfg.nics++)
        cfg.nic[cfg.nics] =
            (struct pc_nic){.model = (enum pc_nic_model)(cfg.nics ? 1 + fuzz_below(f, PC_NIC_VIRTIO)
                                                                  : fuzz_below(f, PC_NIC_VIRTIO + 1)),
                            .back = fuzz_nic_back(f)};
    f->ram = calloc(1, FUZZ_RAM);
    if (!f->ram || pc_new(&f->pc, &cfg))
        abort();
}

static void run_seed(u64 seed, u32 steps, int only)
{
    struct fuzz f = {.state = seed * 0x9e3779b97f4a7c15ull + 1};
    for (unsigned i = 0; i < 8; i++)
        (void)fuzz_random(&f);
    machine(&f);
    /* Two favourites, so that something gets far; the rest keeps disturbing. */
    u32 favourite[2] = {fuzz_below(&f, ARRAY_SIZE(targets)), fuzz_below(&f, ARRAY_SIZE(targets))};
    for (u32 n = 0; n < steps; n++) {
        u32 t = fuzz_below(&f, 8) ? favourite[n & 1] : fuzz_below(&f, ARRAY_SIZE(targets));
        targets[only >= 0 && fuzz_below(&f, 8) ? (u32)only : t].fn(&f);
    }
    pc_free(f.pc);
    for (unsigned n = 0; n < FUZZ_DISKS; n++)
        if (f.disk[n]) {
            if (f.disk[n]->queued)
                abort(); /* the machine went while a request was in flight */
            fake_free(f.disk[n]);
        }
    free(f.ram);
}

int main(int argc, char **argv)
{
    const char *names[ARRAY_SIZE(targets) + 1] = {NULL};
    for (unsigned i = 0; i < ARRAY_SIZE(targets); i++)
        names[i] = targets[i].name;
    const struct fuzz_program program = {.name = "novt-fuzz-devices",
                                         .target = names,
                                         .steps = 1000,
                                         .seeds_a_child = 100,
                                         .child_cpu_s = 60,
                                         .play = run_seed};
    return fuzz_main(&program, argc, argv);
}
