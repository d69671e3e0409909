/*
 * test_state.c - every chip's saved state: nothing a guest can change is missing, and no bytes, however chosen, do harm.
 *
 * A whole PC, with every drive, card and port there is, is driven by random register traffic and saved; other traffic follows, the
 * state is loaded, and each chip's struct must be, byte for byte, what it was: but for wiring, which never changes, and the few
 * ranges named in `scratch`, which are no state. So a field that somebody adds and forgets fails here.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "devices/e1000.h"
#include "devices/fdc.h"
#include "devices/i8042.h"
#include "devices/ide.h"
#include "devices/lapic.h"
#include "devices/ne2k.h"
#include "devices/pic.h"
#include "devices/piix.h"
#include "devices/rtl8139.h"
#include "devices/state_tables.h"
#include "devices/vga.h"
#include "devices/virtio_blk.h"
#include "devices/virtio_net.h"
#include "fakedisk.h"

enum { RAM_BYTES = 1 << 20, DISKS = 4, SECTORS = 2880 };

struct rig {
    struct pc *pc;
    u64 now_ns, seed;
    u8 *ram;
    struct fake_disk disk[DISKS];
};

static u64 rig_now(void *opaque)
{
    return ((struct rig *)opaque)->now_ns;
}

static int dma_read(void *opaque, u64 gpa, void *buf, size_t len)
{
    struct rig *r = opaque;

    if (gpa > RAM_BYTES || len > RAM_BYTES - gpa)
        return -EFAULT;
    memcpy(buf, r->ram + gpa, len);
    return 0;
}

static int dma_write(void *opaque, u64 gpa, const void *buf, size_t len)
{
    struct rig *r = opaque;

    if (gpa > RAM_BYTES || len > RAM_BYTES - gpa)
        return -EFAULT;
    memcpy(r->ram + gpa, buf, len);
    return 0;
}

static u32 rnd(struct rig *r, u32 n)
{
    r->seed ^= r->seed << 13;
    r->seed ^= r->seed >> 7;
    r->seed ^= r->seed << 17;
    return (u32)(r->seed >> 33) % n;
}

static struct rig *rig_new(void)
{
    static const u8 rom[512] = {0x55, 0xaa, 1};
    struct rig *r = calloc(1, sizeof(*r));
    const struct clk_source source = {.now_ns = rig_now, .opaque = r};
    struct pc_config cfg = {
        .ram_below_4g_bytes = RAM_BYTES,
        .opaque = r,
        .dma = {.read = dma_read, .write = dma_write, .opaque = r},
        .serial_present = {true, true, true, true},
        .parallel_present = true,
        .vga_rom = rom,
        .vga_rom_bytes = sizeof(rom),
        .rtc_epoch_s = 1000000000,
        .clk_source = &source,
        .apic = true,
        .hpet = true,
        .nic = {{.model = PC_NIC_NE2K_ISA}, {.model = PC_NIC_NE2K_PCI}, {.model = PC_NIC_E1000}, {.model = PC_NIC_VIRTIO},
                {.model = PC_NIC_RTL8139}},
        .nics = 5,
    };

    r->ram = calloc(1, RAM_BYTES);
    for (unsigned i = 0; i < DISKS; i++) {
        r->disk[i].data = calloc(SECTORS, DISK_SECTOR_BYTES);
        r->disk[i].geometry.sectors = SECTORS;
    }
    cfg.ide[0] = (struct pc_drive){.kind = PC_DRIVE_DISK, .back = fake_back(&r->disk[0])};
    cfg.ide[2] = (struct pc_drive){.kind = PC_DRIVE_CDROM, .back = fake_back(&r->disk[1])};
    cfg.floppy[0] = (struct pc_drive){.kind = PC_DRIVE_FLOPPY, .back = fake_back(&r->disk[2])};
    cfg.virtio_disk[0].drive = (struct pc_drive){.kind = PC_DRIVE_DISK, .back = fake_back(&r->disk[3])};
    r->now_ns = 5;
    cr_assert_eq(pc_new(&r->pc, &cfg), 0);
    return r;
}

static void rig_free(struct rig *r)
{
    pc_free(r->pc);
    for (unsigned i = 0; i < DISKS; i++)
        free(r->disk[i].data);
    free(r->ram);
    free(r);
}

/* Ports where something is, mostly; configuration space; what memory the cards have; time; disks that answer or not. */
static void traffic(struct rig *r, unsigned n)
{
    static const u16 port[] = {0x00,  0x20,  0x40,  0x60,  0x70,  0x80,  0x90,  0xa0,  0xc0,  0xd0,  0x170, 0x1ce, 0x1f0, 0x278, 0x2e8, 0x2f8,
                               0x300, 0x310, 0x376, 0x378, 0x3b0, 0x3c0, 0x3d0, 0x3e8, 0x3f0, 0x3f6, 0x3f8, 0x4d0, 0x510, 0x600, 0x700,
                               0xb000, 0xc000, 0xc020, 0xc040, 0xc100};
    static const u8 slot[] = {0x00, 0x08, 0x09, 0x0b, 0x10, 0x18, 0x20, 0x28, 0x30, 0x38};

    for (unsigned i = 0; i < n; i++) {
        unsigned size = 1u << rnd(r, 3);
        u16 at = (u16)(port[rnd(r, ARRAY_SIZE(port))] + rnd(r, 16));

        switch (rnd(r, 10)) {
        case 0:
        case 1:
        case 2:
        case 3: pc_pio_write(r->pc, at, size, rnd(r, 4) ? rnd(r, 256) : rnd(r, UINT32_MAX)); break;
        case 4:
        case 5: (void)pc_pio_read(r->pc, at, size); break;
        case 6: { /* BARs to where the list above has ports; the rest as it comes */
            unsigned d = rnd(r, ARRAY_SIZE(slot)), reg = rnd(r, 2) ? 0x04 + 4 * rnd(r, 6) : 4 * rnd(r, 64);
            u32 v = reg == 4 ? 7 : reg < 0x28 && rnd(r, 2) ? 0xc000u + 0x20 * rnd(r, 9) : rnd(r, UINT32_MAX);

            pc_pio_write(r->pc, 0xcf8, 4, 0x80000000u | (u32)slot[d] << 8 | reg);
            pc_pio_write(r->pc, 0xcfc, 4, v);
            break;
        }
        case 7:
            if (rnd(r, 2)) {
                static const u32 apics[] = {0xfec00000, 0xfed00000, 0xfee00000};
                u32 at_apic = apics[rnd(r, 3)];

                pc_mmio_write(r->pc, at_apic + (rnd(r, 2) ? 16 * rnd(r, 64) : 4 * rnd(r, 96)), 4, rnd(r, 2) ? rnd(r, UINT32_MAX) : rnd(r, 0x400));
                break;
            }
            pc_mmio_write(r->pc, rnd(r, 2) ? 0xa0000 + rnd(r, 0x20000) : 0xc000 + rnd(r, 0x20000), size, rnd(r, UINT32_MAX));
            break;
        case 8:
            r->now_ns += rnd(r, 3000000);
            clk_run_due(pc_clk(r->pc));
            pc_poll(r->pc);
            break;
        default:
            if (pc_intr(r->pc))
                (void)pc_intr_ack(r->pc);
            (void)fake_step(&r->disk[rnd(r, DISKS)]);
        }
    }
}

static void save(struct rig *r, struct state_buf *b, u32 at[PC_UNITS_MAX + 1])
{
    struct state_unit unit[PC_UNITS_MAX];
    unsigned n;

    cr_assert_eq(pc_quiesce(r->pc), 0);
    n = pc_units(r->pc, unit);
    for (unsigned i = 0; i < n; i++) {
        at[i] = (u32)b->len;
        state_save(b, unit[i].table, unit[i].obj);
    }
    at[n] = (u32)b->len;
    cr_assert(!b->failed);
}

static void load(struct rig *r, const struct state_buf *b, const u32 at[PC_UNITS_MAX + 1])
{
    struct state_unit unit[PC_UNITS_MAX];
    unsigned n = pc_units(r->pc, unit);
    char why[STATE_WHY_BYTES];

    cr_assert_eq(pc_quiesce(r->pc), 0);
    for (unsigned i = 0; i < n; i++)
        cr_assert_eq(state_try(&unit[i], b->data + at[i], at[i + 1] - at[i], why), 0, "%s: %s", unit[i].name, why);
    pc_reset(r->pc);
    for (unsigned i = 0; i < n; i++)
        state_load(&unit[i], b->data + at[i], at[i + 1] - at[i], pc_clk(r->pc));
    for (unsigned i = 0; i < n; i++)
        if (unit[i].table->restored)
            unit[i].table->restored(unit[i].obj);
}

/* ---- completeness ---- */

#define RANGE(table, type, m) {&table, offsetof(type, m), sizeof(((type *)0)->m)}

/* No state: between requests, between frames, or how something is done at the moment. */
static const struct {
    const struct state_table *table;
    size_t from, bytes;
} scratch[] = {
    RANGE(clk_state, struct clk, base_ns),
    RANGE(clk_state, struct clk, head),
    RANGE(pic_state, struct pic, acks), /* counted for people */
    RANGE(lapic_state, struct lapic, acks),
    RANGE(vga_state, struct vga, map),
    RANGE(vga_state, struct vga, map_offset),
    RANGE(vga_state, struct vga, map_bytes),
    RANGE(vga_state, struct vga, map_from),
    RANGE(vga_state, struct vga, heat),
    RANGE(vga_state, struct vga, lfb_heat),
    RANGE(vga_state, struct vga, dirty),
    RANGE(vga_state, struct vga, touched),
    RANGE(ne2k_state, struct ne2k, frame),
    RANGE(ne2k_pci_state, struct ne2k_pci, core.frame),
    RANGE(e1000_state, struct e1000, tx.frame),
    RANGE(e1000_state, struct e1000, rx),
    RANGE(rtl8139_state, struct rtl8139, frame),
    RANGE(virtio_blk_state, struct virtio_blk, slot),
    RANGE(fdc_state, struct fdc, request),
    RANGE(fdc_state, struct fdc, abandoned),
    RANGE(ide_state, struct ide, channel[0].drive[0].request),
    RANGE(ide_state, struct ide, channel[0].drive[1].request),
    RANGE(ide_state, struct ide, channel[1].drive[0].request),
    RANGE(ide_state, struct ide, channel[1].drive[1].request),
};

/* Timers' places in the clock's list; which of several BARs at one place is decoded, which a sane guest has none of. */
static void mask_part(const struct state_table *table, u8 *mask)
{
    for (unsigned i = 0; i < table->fields; i++) {
        const struct state_field *f = &table->field[i];

        if (f->kind == STATE_KIND_TIMER)
            memset(mask + f->offset, 0, sizeof(struct clk_timer));
        for (u32 k = 0; f->kind == STATE_KIND_TABLE && k < f->count; k++)
            mask_part(f->table, mask + f->offset + (size_t)k * f->size);
    }
    for (unsigned n = 0; table == &pci_dev_state && n < PCI_BARS; n++)
        memset(mask + offsetof(struct pci_dev, bar[n].mapped_at), 0, sizeof(u64) + sizeof(bool));
    for (size_t i = 0; i < ARRAY_SIZE(scratch); i++)
        if (scratch[i].table == table)
            memset(mask + scratch[i].from, 0, scratch[i].bytes);
}

static void compare(const struct state_unit *unit, const u8 *was)
{
    const u8 *is = unit->obj;
    u8 *mask = malloc(unit->bytes);

    memset(mask, 1, unit->bytes);
    mask_part(unit->table, mask);
    for (size_t i = 0; i < unit->bytes; i++)
        if (mask[i] && is[i] != was[i]) {
            cr_expect(false, "%s: byte %zu of %zu is %02x and was %02x: a field without a row?", unit->name, i, unit->bytes, is[i], was[i]);
            break;
        }
    free(mask);
}

Test(state, nothing_is_missing, .timeout = 120)
{
    for (u64 round = 1; round <= 30; round++) {
        struct rig *r = rig_new();
        struct state_unit unit[PC_UNITS_MAX];
        u8 *was[PC_UNITS_MAX];
        u32 at[PC_UNITS_MAX + 1];
        struct state_buf b = {0}, again = {0};
        unsigned n;

        r->seed = round * 0x9e3779b97f4a7c15ull;
        traffic(r, 4000);
        clk_pause(pc_clk(r->pc));
        save(r, &b, at);
        n = pc_units(r->pc, unit);
        for (unsigned i = 0; i < n; i++) {
            was[i] = malloc(unit[i].bytes);
            memcpy(was[i], unit[i].obj, unit[i].bytes);
        }
        clk_resume(pc_clk(r->pc));
        traffic(r, 4000);
        clk_pause(pc_clk(r->pc));
        load(r, &b, at);
        for (unsigned i = 0; i < n; i++) {
            compare(&unit[i], was[i]);
            free(was[i]);
        }
        save(r, &again, at);
        cr_expect(b.len == again.len && !memcmp(b.data, again.data, b.len), "saved again it is the same");
        state_free(&b);
        state_free(&again);
        rig_free(r);
    }
}

/* ---- bad bytes ---- */

Test(state, what_is_wrong_is_said)
{
    struct rig *r = rig_new();
    struct state_unit unit[PC_UNITS_MAX];
    unsigned n = pc_units(r->pc, unit), k = 0;
    struct state_buf b = {0};
    char why[STATE_WHY_BYTES];

    while (k < n && unit[k].table != &pit_state)
        k++;
    state_save(&b, &pit_state, unit[k].obj);
    cr_expect_eq(state_try(&unit[k], b.data, b.len, why), 0);
    for (size_t len = 0; len < b.len; len++) {
        cr_assert_eq(state_try(&unit[k], b.data, len, why), -EINVAL, "cut to %zu of %zu", len, b.len);
        cr_assert(why[0]);
    }
    b.data[0]++;
    cr_expect_eq(state_try(&unit[k], b.data, b.len, why), -EINVAL);
    cr_expect(strstr(why, "version"), "%s", why);
    b.data[0]--;
    state_put(&b, b.data + 2, 50); /* a field twice */
    cr_expect_eq(state_try(&unit[k], b.data, b.len, why), -EINVAL);
    b.len = 0;
    state_put_num(&b, 1, 2);
    cr_expect_eq(state_try(&unit[k], b.data, b.len, why), -EINVAL);
    cr_expect(strstr(why, "missing"), "%s", why);
    state_free(&b);
    rig_free(r);
}

/* A track under FORMAT whose four bytes a sector would not fit into the controller's buffer. */
Test(state, a_format_command_stays_in_its_buffer)
{
    static const struct {
        u32 sectors, at;
        int rc;
    } cases[] = {{18, 8, 0}, {18, 4 * 18, 0}, {18, 4 * 18 + 1, -EINVAL}, {1, FDC_BUF_SECTORS * DISK_SECTOR_BYTES, -EINVAL}, {65536, 0, -EINVAL}};
    struct rig *r = rig_new();
    struct state_unit unit[PC_UNITS_MAX];
    unsigned n = pc_units(r->pc, unit), k = 0;
    char why[STATE_WHY_BYTES];

    while (k < n && unit[k].table != &fdc_state)
        k++;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct fdc *f = unit[k].obj;
        struct state_buf b = {0};

        f->phase = FDC_DMA;
        f->command = 0x4d;
        f->verify_left = cases[i].sectors;
        f->data_at = cases[i].at;
        f->data_end = FDC_BUF_SECTORS * DISK_SECTOR_BYTES;
        state_save(&b, &fdc_state, f);
        cr_expect_eq(state_try(&unit[k], b.data, b.len, why), cases[i].rc, "case %zu: %s", i, why);
        state_free(&b);
    }
    rig_free(r);
}

/* The RTC counts from when its present second began, which may be before the machine did. */
Test(state, an_rtc_set_in_the_first_second_is_restored)
{
    struct rig *r = rig_new();
    struct state_buf b = {0};
    u32 at[PC_UNITS_MAX + 1];

    pc_pio_write(r->pc, 0x70, 1, 0x0b);
    pc_pio_write(r->pc, 0x71, 1, 0x82); /* SET, 24 hours */
    pc_pio_write(r->pc, 0x71, 1, 0x02);
    clk_pause(pc_clk(r->pc));
    save(r, &b, at);
    load(r, &b, at);
    state_free(&b);
    rig_free(r);
}

/* Whatever is accepted is survived: loaded, driven, saved. */
Test(state, mutations, .timeout = 200)
{
    struct rig *r = rig_new();
    struct state_unit unit[PC_UNITS_MAX];
    unsigned n = pc_units(r->pc, unit), accepted = 0, refused = 0;
    char why[STATE_WHY_BYTES];

    r->seed = 42;
    for (unsigned round = 0; round < 300; round++) {
        struct state_unit *u = &unit[rnd(r, n)];
        struct state_buf b = {0};

        traffic(r, 100);
        clk_pause(pc_clk(r->pc));
        cr_assert_eq(pc_quiesce(r->pc), 0);
        while (u->table == &vga_state) /* 16 MiB of pixels say little */
            u = &unit[rnd(r, n)];
        state_save(&b, u->table, u->obj);
        for (unsigned tries = 0; tries < 30; tries++) {
            size_t at[4];
            u8 old[4];

            for (unsigned i = 0; i < 4; i++) {
                at[i] = rnd(r, (u32)b.len);
                old[i] = b.data[at[i]];
                b.data[at[i]] = rnd(r, 2) ? (u8)rnd(r, 256) : (u8)(old[i] ^ 1u << rnd(r, 8));
            }
            if (state_try(u, b.data, b.len, why) == 0) {
                accepted++;
                state_load(u, b.data, b.len, pc_clk(r->pc));
                if (u->table->restored)
                    u->table->restored(u->obj);
            } else {
                refused++;
            }
            for (unsigned i = 4; i--;)
                b.data[at[i]] = old[i];
        }
        clk_pause(pc_clk(r->pc)); /* a clock's state may say otherwise */
        clk_resume(pc_clk(r->pc));
        traffic(r, 300);
        state_free(&b);
    }
    cr_expect_gt(accepted, 100u);
    cr_expect_gt(refused, 100u);
    rig_free(r);
}
