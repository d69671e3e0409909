/*
 * target_state.c - saved states that somebody made up: whole files with right checksums, wrong inside.
 *
 * What is accepted must be a machine: it runs, takes random traffic on its ports, and is saved and taken back once more.
 */
#include "inputfuzz.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <zstd.h>

#include "monitor/snap.h"

enum { HEAD = 20, RAM = 1 << 20, PLAIN_MAX = 32 << 20, UNITS = 128 };

struct made {
    u8 *file, *plain, *packed;
    size_t plain_bytes, room;
    u32 units, at[UNITS], bytes[UNITS]; /* the fields of each unit */
    size_t end;                         /* of the units: RAM follows */
};

static const struct timespec always[2] = {{1000, 0}, {1000, 0}}; /* images look as they did */

static void settle(void)
{
    static const char *const files[] = {"disk", "cd", "floppy"};

    for (unsigned i = 0; i < ARRAY_SIZE(files); i++)
        (void)utimensat(AT_FDCWD, files[i], always, 0);
}

static struct novt_vm *machine(struct fuzz *f)
{
    static const char *const models[] = {"e1000", "ne2k_pci", "ne2k_isa", "rtl8139", "virtio-net-pci"};
    /* l: inc dword [5000h]; in al, dx; out dx, al; inc dx; fld1; fadd st0, st0; jmp l, with a timer interrupt */
    static const u8 code[] = {0x66, 0xff, 0x06, 0x00, 0x50, 0xec, 0xee, 0x42, 0xd9, 0xe8, 0xd8, 0xc0, 0xdd, 0xd8, 0xeb, 0xf0};
    static const u8 media[720 << 10] = {0};
    struct novt_drive drive[] = {{.bus = NOVT_BUS_IDE, .index = 0, .medium = {.file = "disk", .format = NOVT_FORMAT_RAW}},
                                 {.bus = NOVT_BUS_IDE, .index = 2, .cdrom = true, .medium = {.file = "cd", .format = NOVT_FORMAT_RAW}},
                                 {.bus = NOVT_BUS_FLOPPY, .medium = {.file = "floppy", .format = NOVT_FORMAT_RAW}},
                                 {.bus = NOVT_BUS_VIRTIO, .medium = {.file = "disk2", .format = NOVT_FORMAT_RAW, .read_only = true}}};
    struct novt_config config = {.ram_bytes = RAM, .drive = drive, .drives = ARRAY_SIZE(drive), .engine = fuzz_below(f, 3)};
    struct novt_vm *vm = NULL;
    struct novt_error err;
    struct novt_regs regs;

    put_file("disk", media, sizeof(media));
    put_file("disk2", media, 65536);
    put_file("cd", media, 65536);
    put_file("floppy", media, sizeof(media));
    settle();
    config.no_firmware = fuzz_below(f, 4) != 0; /* else with a VGA card */
    config.nics = 1;
    config.nic[0].model = models[fuzz_below(f, ARRAY_SIZE(models))];
    config.serial[0].present = config.serial[2].present = true;
    if (novt_vm_new(&vm, &config, &err))
        finding("no machine: %s", err.cause);
    if (novt_vm_write_memory(vm, 0x1000, code, sizeof(code)))
        finding("no memory");
    novt_vm_get_regs(vm, &regs);
    regs.seg[NOVT_CS].sel = 0;
    regs.seg[NOVT_CS].base = 0;
    regs.eip = 0x1000;
    novt_vm_set_regs(vm, &regs);
    f->pc = vm->pc;
    return vm;
}

/* Where the units' fields lie. */
static void find_units(struct made *m)
{
    size_t at = 4;

    memcpy(&m->units, m->plain, 4);
    if (m->units > UNITS)
        finding("%u units", m->units);
    for (u32 i = 0; i < m->units; i++) {
        for (unsigned k = 0; k < 2; k++)
            at += 1u + m->plain[at];
        memcpy(&m->bytes[i], m->plain + at, 4);
        m->at[i] = (u32)at + 4;
        at += 4 + m->bytes[i];
    }
    m->end = at;
}

static void open_state(struct made *m, const char *name)
{
    size_t bytes;

    m->file = get_file(name, &bytes);
    m->plain = malloc(PLAIN_MAX);
    m->plain_bytes = ZSTD_decompress(m->plain, PLAIN_MAX, m->file + HEAD, bytes - HEAD - 8);
    if (ZSTD_isError(m->plain_bytes))
        finding("a state that we wrote cannot be unpacked: %s", ZSTD_getErrorName(m->plain_bytes));
    m->room = ZSTD_compressBound(m->plain_bytes);
    m->packed = malloc(HEAD + m->room + 8);
    memcpy(m->packed, m->file, HEAD);
    find_units(m);
}

/* As if it had been saved so. */
static void write_state(struct made *m, const u8 *plain, size_t bytes, const char *name)
{
    size_t n = ZSTD_compress(m->packed + HEAD, m->room, plain, bytes, -5);
    u64 hash = snap_hash(SNAP_HASH_START, m->packed, HEAD + n);

    memcpy(m->packed + HEAD + n, &hash, sizeof(hash));
    put_file(name, m->packed, HEAD + n + sizeof(hash));
}

/* Most of it within one or two chips' fields, so that it gets past the others. */
static size_t spoil(struct fuzz *f, struct made *m, u8 *plain)
{
    if (fuzz_below(f, 12) == 0) {
        damage(f, plain, m->end + 64, 1 + fuzz_below(f, 3));
        return fuzz_below(f, 2) ? m->plain_bytes : fuzz_below(f, (u32)m->plain_bytes);
    }
    for (u32 n = 1 + fuzz_below(f, 3); n; n--) {
        u32 unit = 1 + fuzz_below(f, m->units - 1);

        if (m->bytes[unit] >= 8)
            damage(f, plain + m->at[unit], min_u64(m->bytes[unit], fuzz_below(f, 4) ? 512 : m->bytes[unit]), 1 + fuzz_below(f, 6));
        else if (m->bytes[unit])
            plain[m->at[unit] + fuzz_below(f, m->bytes[unit])] = (u8)fuzz_edge(f);
    }
    return m->plain_bytes;
}

static void live(struct fuzz *f, struct novt_vm *vm)
{
    struct novt_error err = {0};

    if (fuzz_below(f, 2))
        run_for(vm, 300);
    for (u32 n = fuzz_below(f, 400); n; n--)
        if (fuzz_below(f, 3))
            target_ports(f);
        else if (fuzz_below(f, 2))
            target_mmio(f);
        else
            target_pci(f);
    if (fuzz_below(f, 2))
        run_for(vm, 300);
    if (fuzz_below(f, 4))
        return;
    settle();
    if (novt_vm_save(vm, "again", &err))
        finding("a machine that was accepted cannot be saved: %s", err.cause);
    settle();
    if (novt_vm_load(vm, "again", &err))
        finding("a machine that was accepted cannot be taken back: %s", err.cause);
}

void target_state(struct fuzz *f, u32 steps)
{
    struct novt_vm *vm = machine(f);
    struct novt_error err = {0};
    struct made m = {0};
    u8 *plain;

    run_for(vm, 3000);
    for (u32 n = fuzz_below(f, 300); n; n--) /* chips in the middle of something */
        target_ports(f);
    settle();
    if (novt_vm_save(vm, "state", &err))
        finding("no state: %s", err.cause);
    open_state(&m, "state");
    plain = malloc(m.plain_bytes);
    for (; steps; steps--) {
        size_t bytes;

        memcpy(plain, m.plain, m.plain_bytes);
        bytes = spoil(f, &m, plain);
        write_state(&m, plain, bytes, "spoilt");
        settle();
        if (novt_vm_load(vm, "spoilt", &err) == 0)
            live(f, vm);
        else if (!err.cause[0])
            finding("a state was refused without a word");
    }
    settle();
    if (novt_vm_load(vm, "state", &err))
        finding("the first state is refused afterwards: %s", err.cause);
    free(plain);
    free(m.file);
    free(m.plain);
    free(m.packed);
    novt_vm_free(vm);
}
