/*
 * devfuzz.c - fuzzes the devices: machines with drives at random, each with a few thousand steps of random traffic.
 *
 *     novt-fuzz-devices [--seed N] [--count N] [--time SECONDS] [--steps N] [--target NAME] [--list]
 *
 * Seeds run in child processes, some hundred in each; one that dies, or is not through after a minute of CPU time,
 * is named and ends the run with 1. Run it on a build with sanitizers: scripts/fuzz --devices does. Last line: N passed, N failed.
 */
#include "devfuzz.h"

#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const struct {
    const char *name;
    void (*fn)(struct fuzz *f);
} targets[] = {
    {"ports", target_ports}, {"pci", target_pci},       {"mmio", target_mmio},
    {"time", target_time},   {"disks", target_disks},   {"ide", target_ide},
    {"atapi", target_atapi}, {"floppy", target_floppy}, {"net", target_net},
};

enum { DISK_SECTORS = 6000, SEEDS_A_CHILD = 100, CHILD_S = 60 };

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

/* True if the child came through. */
static bool run_child(u64 first, u64 seeds, u32 steps, int only, volatile u64 *at)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        /* CPU time, since hosts are busy; and a long time for what waits and should not. */
        const struct rlimit most = {CHILD_S, CHILD_S};
        (void)setrlimit(RLIMIT_CPU, &most);
        alarm(20 * CHILD_S);
        for (u64 s = first; s < first + seeds; s++) {
            *at = s;
            run_seed(s, steps, only);
        }
        exit(0);
    }
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

static double seconds(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int target_named(const char *name)
{
    for (unsigned i = 0; i < ARRAY_SIZE(targets); i++)
        if (!strcmp(targets[i].name, name))
            return (int)i;
    return -1;
}

int main(int argc, char **argv)
{
    u64 seed = (u64)time(NULL), count = UINT64_MAX, passed = 0;
    u32 steps = 1000;
    double limit = 60;
    int only = -1;
    for (int i = 1; i < argc; i += 2) {
        const char *val = i + 1 < argc ? argv[i + 1] : "";
        if (!strcmp(argv[i], "--list")) {
            for (unsigned t = 0; t < ARRAY_SIZE(targets); t++)
                puts(targets[t].name);
            return 0;
        }
        if (!strcmp(argv[i], "--seed"))
            seed = strtoull(val, NULL, 0);
        else if (!strcmp(argv[i], "--count"))
            count = strtoull(val, NULL, 0);
        else if (!strcmp(argv[i], "--steps"))
            steps = (u32)strtoul(val, NULL, 0);
        else if (!strcmp(argv[i], "--time"))
            limit = strtod(val, NULL);
        else if (!strcmp(argv[i], "--target") && target_named(val) >= 0)
            only = target_named(val);
        else {
            fprintf(stderr,
                    "novt-fuzz-devices: %s %s: unknown\nusage: [--seed N] [--count N] [--time S] [--steps N] "
                    "[--target NAME] [--list]\n",
                    argv[i], val);
            return 2;
        }
    }
    volatile u64 *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
        return 3;
    printf("seeds from %llu\n", (unsigned long long)seed);
    fflush(stdout);
    for (double end = seconds() + limit; passed < count && seconds() < end;) {
        u64 n = count - passed < SEEDS_A_CHILD ? count - passed : SEEDS_A_CHILD;
        if (!run_child(seed + passed, n, steps, only, at)) {
            printf("seed %llu died; again: --seed %llu --count 1 --steps %u%s%s\n%llu passed, 1 failed\n",
                   (unsigned long long)*at, (unsigned long long)*at, steps, only >= 0 ? " --target " : "",
                   only >= 0 ? targets[only].name : "", (unsigned long long)passed);
            return 1;
        }
        passed += n;
    }
    printf("%llu passed, 0 failed\n", (unsigned long long)passed);
    return 0;
}
