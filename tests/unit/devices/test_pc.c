/*
 * test_pc.c - the whole machine through devices.h: what firmware and kernels find, requests, and that no
 * register traffic, however hostile, does harm.
 */
#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>

#include "devices/devices.h"

enum { RAM_BYTES = 1 << 20 };

struct rig {
    struct pc *pc;
    u64 now_ns;
    u8 *ram;
    unsigned resets, poweroffs, exit_code, pam_calls;
    u8 pam[64]; /* per 16 KiB of the first megabyte: bit 0 read, bit 1 write RAM */
    bool a20, intr;
    char out[4096];
    size_t n;
};

static u64 rig_now(void *opaque)
{
    return ((struct rig *)opaque)->now_ns;
}

static void on_request(void *opaque, enum pc_request what, unsigned code)
{
    struct rig *r = opaque;
    r->resets += what == PC_REQ_RESET;
    r->poweroffs += what == PC_REQ_POWEROFF;
    if (what == PC_REQ_DEBUG_EXIT)
        r->exit_code = code;
}

static void on_pam(void *opaque, u32 gpa, u32 bytes, bool read_ram, bool write_ram)
{
    struct rig *r = opaque;
    r->pam_calls++;
    cr_assert(gpa % 0x4000 == 0 && bytes % 0x4000 == 0 && gpa >= 0xa0000 && gpa + bytes <= 0x100000);
    for (u32 at = gpa; at < gpa + bytes; at += 0x4000)
        r->pam[at >> 14] = (u8)(read_ram | write_ram << 1);
}

static void on_a20(void *opaque, bool on)
{
    ((struct rig *)opaque)->a20 = on;
}

static void on_intr(void *opaque, bool level)
{
    ((struct rig *)opaque)->intr = level;
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

static void con_write(void *opaque, const u8 *buf, size_t len)
{
    struct rig *r = opaque;
    for (size_t i = 0; i < len && r->n < sizeof(r->out); i++)
        r->out[r->n++] = (char)buf[i];
}

static const u8 rom[3000] = {0x55, 0xaa, 6};
static const u8 setup[16] = "setup", kernel[5000] = "kernel";

static struct rig *rig_new(void)
{
    static const struct pc_blob blob[] = {{"genroms/test.bin", rom, 512}, {"bootorder", "x\n", 3}};
    static const struct pc_linux lx = {
        .setup = setup,
        .setup_bytes = sizeof(setup),
        .kernel = kernel,
        .kernel_bytes = sizeof(kernel),
        .kernel_gpa = 0x100000,
        .cmdline = "console=ttyS0",
        .cmdline_gpa = 0x20000,
    };
    struct rig *r = calloc(1, sizeof(*r));
    r->ram = calloc(1, RAM_BYTES);
    const struct clk_source source = {.now_ns = rig_now, .opaque = r};
    const struct pc_config cfg = {
        .ram_below_4g_bytes = 64u << 20,
        .opaque = r,
        .intr_changed = on_intr,
        .request = on_request,
        .pam_changed = on_pam,
        .a20_changed = on_a20,
        .dma = {.read = dma_read, .write = dma_write, .opaque = r},
        .serial = {{.write = con_write, .opaque = r}, {.write = con_write, .opaque = r}},
        .serial_present = {true, true},
        .debugcon_iobase = 0x402,
        .debugcon = {.write = con_write, .opaque = r},
        .debug_exit_iobase = 0x501,
        .blob = blob,
        .blobs = 2,
        .linux_boot = &lx,
        .vga_rom = rom,
        .vga_rom_bytes = sizeof(rom),
        .rtc_epoch_s = 1700000000,
        .clk_source = &source,
        .apic = true,
        .hpet = true,
    };
    cr_assert_eq(pc_new(&r->pc, &cfg), 0);
    return r;
}

static void rig_free(struct rig *r)
{
    pc_free(r->pc);
    free(r->ram);
    free(r);
}

static u32 in(struct rig *r, u16 port, unsigned size)
{
    return pc_pio_read(r->pc, port, size);
}

static void out(struct rig *r, u16 port, unsigned size, u32 val)
{
    pc_pio_write(r->pc, port, size, val);
}

static u32 pci_read(struct rig *r, unsigned slot, unsigned fn, unsigned reg, unsigned size)
{
    out(r, 0xcf8, 4, 0x80000000u | slot << 11 | fn << 8 | (reg & 0xfc));
    return in(r, 0xcfc + (reg & 3), size);
}

static void pci_write(struct rig *r, unsigned slot, unsigned fn, unsigned reg, unsigned size, u32 val)
{
    out(r, 0xcf8, 4, 0x80000000u | slot << 11 | fn << 8 | (reg & 0xfc));
    out(r, 0xcfc + (reg & 3), size, val);
}

Test(pc, refuses_what_cannot_be)
{
    struct pc *pc;
    struct pc_config cfg = {.ram_below_4g_bytes = PC_RAM_BELOW_4G_MAX + 1};
    cr_assert_eq(pc_new(&pc, &cfg), -EINVAL);
    cr_assert_null(pc);
    cfg.ram_below_4g_bytes = 1 << 20;
    cfg.debugcon_iobase = 0x20; /* the PIC is there */
    cr_assert_eq(pc_new(&pc, &cfg), -EEXIST);
    cfg.debugcon_iobase = 0;
    cr_assert_eq(pc_new(&pc, &cfg), 0); /* no callbacks, no memory, no VGA */
    cr_assert_eq(pc_pio_read(pc, 0x3f8, 1), 0xff);
    struct pc_text text = {.columns = 1};
    cr_assert_not(pc_vga_text(pc, &text, NULL, 0));
    cr_assert_eq(text.columns, 0);
    pc_free(pc);
    pc_free(NULL);
}

Test(pci, functions_and_ids_of_the_pc_machine)
{
    struct rig *r = rig_new();
    cr_assert_eq(pci_read(r, 0, 0, 0, 4), 0x12378086);
    cr_assert_eq(pci_read(r, 0, 0, 0x2c, 4), 0x11001af4); /* how SeaBIOS knows QEMU's machine */
    cr_assert_eq(pci_read(r, 1, 0, 0, 4), 0x70008086);
    cr_assert_eq(pci_read(r, 1, 0, 0x0e, 1), 0x80);
    cr_assert_eq(pci_read(r, 1, 3, 2, 2), 0x7113);
    cr_assert_eq(pci_read(r, 2, 0, 0x0a, 2), 0x0300);
    cr_assert_eq(pci_read(r, 3, 0, 0, 4), 0xffffffff);
    out(r, 0xcf8, 4, 0x80010000); /* bus 1 */
    cr_assert_eq(in(r, 0xcfc, 4), 0xffffffff);
    out(r, 0xcf8, 4, 0x00000000); /* not enabled */
    cr_assert_eq(in(r, 0xcfc, 4), 0xffffffff);
    out(r, 0xcf8, 1, 0x80); /* byte accesses are no address */
    cr_assert_eq(in(r, 0xcf8, 4), 0);
    rig_free(r);
}

Test(pci, bars_are_sized_mapped_and_moved)
{
    struct rig *r = rig_new();
    pci_write(r, 2, 0, 0x10, 4, 0xffffffff);
    cr_assert_eq(pci_read(r, 2, 0, 0x10, 4), 0xff000008);
    pci_write(r, 2, 0, 0x30, 4, 0xfffff800);
    cr_assert_eq(pci_read(r, 2, 0, 0x30, 4), 0xfffff000);
    pci_write(r, 2, 0, 0x10, 4, 0xfd000000);
    pci_write(r, 2, 0, 0x30, 4, 0xfebe0001);
    cr_assert_not(pc_mmio_claims(r->pc, 0xfd000000));
    pci_write(r, 2, 0, 0x04, 2, 0x0003);
    cr_assert(pc_mmio_claims(r->pc, 0xfd000000));
    cr_assert_eq(pc_mmio_read(r->pc, 0xfebe0000, 4), 0x0006aa55);
    cr_assert_eq(pc_mmio_read(r->pc, 0xfebe0000 + sizeof(rom) - 2, 4), 0xffff0000);
    pc_mmio_write(r->pc, 0xfd000010, 8, 0x1122334455667788ull);
    pci_write(r, 2, 0, 0x10, 4, 0xe0000000);
    cr_assert_eq(pc_mmio_read(r->pc, 0xfd000010, 8), UINT64_MAX);
    cr_assert_eq(pc_mmio_read(r->pc, 0xe0000010, 8), 0x1122334455667788ull);
    pci_write(r, 2, 0, 0x10, 4, 0xfe000000); /* over the I/O APIC: not mapped, and that one stays */
    cr_assert_eq(pc_mmio_read(r->pc, 0xfe000010, 8), UINT64_MAX);
    cr_assert_eq(pc_mmio_read(r->pc, 0xfec00000, 4), 0);
    pci_write(r, 2, 0, 0x30, 4, 0xd0010001);
    pci_write(r, 2, 0, 0x10, 4, 0xd0000000); /* over the ROM BAR: not mapped... */
    cr_assert_eq(pc_mmio_read(r->pc, 0xd0000010, 8), UINT64_MAX);
    pci_write(r, 2, 0, 0x30, 4, 0xc0000001); /* ...until that one goes */
    cr_assert_eq(pc_mmio_read(r->pc, 0xd0000010, 8), 0x1122334455667788ull);
    pc_reset(r->pc);
    cr_assert_not(pc_mmio_claims(r->pc, 0xd0000000));
    rig_free(r);
}

Test(pci, pam_and_smram_are_reported)
{
    struct rig *r = rig_new();
    cr_assert_eq(r->pam_calls, 14); /* everything, once, at reset */
    cr_assert_eq(r->pam[0xf0000 >> 14], 0);
    pci_write(r, 0, 0, 0x59, 1, 0x30);
    cr_assert_eq(r->pam[0xf0000 >> 14], 3);
    cr_assert_eq(r->pam[0xfc000 >> 14], 3);
    cr_assert_eq(r->pam[0xec000 >> 14], 0);
    pci_write(r, 0, 0, 0x5a, 4, 0x00001021); /* word-wise, as a kernel may */
    cr_assert_eq(r->pam[0xc0000 >> 14], 1);
    cr_assert_eq(r->pam[0xc4000 >> 14], 2);
    cr_assert_eq(r->pam[0xcc000 >> 14], 1);
    pci_write(r, 0, 0, 0x72, 1, 0x4a);
    cr_assert_eq(r->pam[0xa0000 >> 14], 3);
    pci_write(r, 0, 0, 0x72, 1, 0x1a);
    cr_assert_eq(r->pam[0xa0000 >> 14], 0);
    pci_write(r, 0, 0, 0x72, 1, 0x4a); /* locked */
    cr_assert_eq(r->pam[0xa0000 >> 14], 0);
    pc_reset(r->pc);
    cr_assert_eq(r->pam[0xf0000 >> 14], 0);
    pci_write(r, 0, 0, 0x72, 1, 0x4a);
    cr_assert_eq(r->pam[0xa0000 >> 14], 3);
    rig_free(r);
}

static void pm_on(struct rig *r)
{
    pci_write(r, 1, 3, 0x40, 4, 0xb001); /* as SeaBIOS 1.16 does */
    pci_write(r, 1, 3, 0x80, 1, 0x01);
}

Test(acpi, firmware_finds_smm_done_and_the_timer_runs)
{
    struct rig *r = rig_new();
    cr_assert(pci_read(r, 1, 3, 0x58, 4) & 1u << 25);
    cr_assert_eq(in(r, 0xb008, 4), 0xffffffff);
    pm_on(r);
    u32 t0 = in(r, 0xb008, 4);
    r->now_ns += 1000000;
    cr_assert_eq(in(r, 0xb008, 4) - t0, 3579);
    cr_assert_eq(in(r, 0xb008, 4) >> 24, 0);
    rig_free(r);
}

Test(acpi, enable_poweroff_and_power_button)
{
    struct rig *r = rig_new();
    pm_on(r);
    cr_assert_eq(in(r, 0xb004, 2), 0);
    out(r, 0xb2, 1, 0xf1);
    cr_assert_eq(in(r, 0xb004, 2) & 1, 1);
    out(r, 0xb002, 2, 0x0120);
    pc_power_button(r->pc);
    out(r, 0x20, 1, 0x0a);
    cr_assert_eq(in(r, 0xa0, 1), 0x02); /* IRQ 9 requested */
    cr_assert_eq(in(r, 0xb000, 2) & 0x100, 0x100);
    out(r, 0xb000, 2, 0x100);
    cr_assert_eq(in(r, 0xb000, 2) & 0x100, 0);
    out(r, 0xb004, 2, 0x0001); /* what acpi_enter_sleep_state writes first: no SLP_EN */
    cr_assert_eq(r->poweroffs, 0);
    out(r, 0xb004, 2, 0x2001);
    cr_assert_eq(r->poweroffs, 1);
    cr_assert_eq(in(r, 0xb004, 2), 1);
    out(r, 0xb004, 2, 0x2401); /* S3: not offered */
    cr_assert_eq(r->poweroffs, 1);
    rig_free(r);
}

Test(acpi, timer_status_is_set_at_half_range)
{
    struct rig *r = rig_new();
    pm_on(r);
    out(r, 0xb000, 2, 0xffff);
    cr_assert_eq(in(r, 0xb000, 2) & 1, 0);
    r->now_ns += 2400000000ull;
    cr_assert_eq(in(r, 0xb000, 2) & 1, 1);
    out(r, 0xb000, 2, 1);
    cr_assert_eq(in(r, 0xb000, 2) & 1, 0);
    out(r, 0xb002, 2, 1);
    cr_assert_neq(clk_next_deadline(pc_clk(r->pc)), CLK_NEVER);
    r->now_ns += 2400000000ull;
    clk_run_due(pc_clk(r->pc));
    cr_assert_eq(in(r, 0xa0, 1), 0x02);
    rig_free(r);
}

Test(requests, every_way_to_reset)
{
    struct rig *r = rig_new();
    out(r, 0x64, 1, 0xfe);
    cr_assert_eq(r->resets, 1);
    out(r, 0x64, 1, 0xff); /* pulses nothing */
    out(r, 0x92, 1, 0x03);
    cr_assert_eq(r->resets, 2);
    out(r, 0xcf9, 1, 0x02);
    out(r, 0xcf9, 1, 0x06);
    cr_assert_eq(r->resets, 3);
    out(r, 0x64, 1, 0xd1);
    out(r, 0x60, 1, 0xfe);
    cr_assert_eq(r->resets, 4);
    out(r, 0x501, 1, 0x10);
    cr_assert_eq(r->exit_code, 0x21);
    rig_free(r);
}

Test(requests, a20_follows_its_last_writer)
{
    struct rig *r = rig_new();
    cr_assert(r->a20);
    out(r, 0x92, 1, 0x00);
    cr_assert_not(r->a20);
    out(r, 0x64, 1, 0xdf);
    cr_assert(r->a20);
    cr_assert_eq(in(r, 0x92, 1), 0x02);
    out(r, 0x64, 1, 0xd1);
    out(r, 0x60, 1, 0xdd);
    cr_assert_not(r->a20);
    pc_reset(r->pc);
    cr_assert(r->a20);
    rig_free(r);
}

Test(fwcfg, port_interface)
{
    struct rig *r = rig_new();
    char sig[5] = {0};
    out(r, 0x510, 2, 0);
    for (unsigned i = 0; i < 4; i++)
        sig[i] = (char)in(r, 0x511, 1);
    cr_assert_str_eq(sig, "QEMU");
    cr_assert_eq(in(r, 0x511, 1), 0); /* past the end */
    out(r, 0x510, 2, 1);
    cr_assert_eq(in(r, 0x511, 1), 3);
    cr_assert_eq(in(r, 0x514, 4), 0x554d4551);
    cr_assert_eq(in(r, 0x518, 4), 0x47464320);
    out(r, 0x510, 2, 0xbeef);
    cr_assert_eq(in(r, 0x511, 1), 0);
    rig_free(r);
}

static void put_be(u8 *p, u64 v, unsigned n)
{
    while (n--) {
        p[n] = (u8)v;
        v >>= 8;
    }
}

static u32 fw_dma(struct rig *r, u32 control, u32 len, u64 gpa)
{
    put_be(r->ram + 0x500, control, 4);
    put_be(r->ram + 0x504, len, 4);
    put_be(r->ram + 0x508, gpa, 8);
    out(r, 0x514, 4, 0);
    out(r, 0x518, 4, __builtin_bswap32(0x500));
    u32 left;
    memcpy(&left, r->ram + 0x500, 4);
    return __builtin_bswap32(left);
}

Test(fwcfg, dma_reads_files_and_kernel)
{
    struct rig *r = rig_new();
    cr_assert_eq(fw_dma(r, 0x0019000a, 4, 0x1000), 0); /* select and read the directory's count */
    u32 count = r->ram[0x1003];
    cr_assert_eq(count, 9);
    cr_assert_eq(fw_dma(r, 0x2, count * 64, 0x1000), 0);
    bool found = false;
    for (u32 i = 0; i < count; i++) {
        const u8 *e = r->ram + 0x1000 + 64 * i;
        if (strcmp((const char *)e + 8, "genroms/test.bin"))
            continue;
        found = true;
        cr_assert_eq(e[2] << 8 | e[3], 512);
        cr_assert_eq(fw_dma(r, (u32)(e[4] << 8 | e[5]) << 16 | 0xa, 512, 0x2000), 0);
        cr_assert_eq(r->ram[0x2001], 0xaa);
    }
    cr_assert(found);
    memset(r->ram + 0x3000, 0xee, 0x2000);
    cr_assert_eq(fw_dma(r, 0x0011000a, 0x2000, 0x3000), 0);
    cr_assert_str_eq((char *)r->ram + 0x3000, "kernel");
    cr_assert_eq(r->ram[0x4fff], 0); /* beyond the item: zeros */
    cr_assert_eq(fw_dma(r, 0x0015000a, 14, 0x3000), 0);
    cr_assert_str_eq((char *)r->ram + 0x3000, "console=ttyS0");
    cr_assert_eq(fw_dma(r, 0x0015000c, 8, 0), 0); /* skip */
    cr_assert_eq(fw_dma(r, 0x2, 5, 0x3000), 0);
    cr_assert_eq(r->ram[0x3000], 't');
    cr_assert_eq(fw_dma(r, 0x0015000a, 0xffffffff, 0x3000), 1); /* runs out of memory: an error, soon */
    cr_assert_eq(fw_dma(r, 0x00150018, 4, 0x3000), 1);          /* writes are refused */
    rig_free(r);
}

static u8 kbd_read(struct rig *r)
{
    for (unsigned i = 0; i < 100 && !(in(r, 0x64, 1) & 1); i++) {
        r->now_ns += 100000;
        clk_run_due(pc_clk(r->pc));
    }
    return (u8)in(r, 0x60, 1);
}

static void kbd_command(struct rig *r, u8 command, int param)
{
    out(r, 0x64, 1, command);
    if (param >= 0)
        out(r, 0x60, 1, (u32)param);
}

Test(i8042, probe_sequence_of_firmware_and_linux)
{
    struct rig *r = rig_new();
    cr_assert_eq(in(r, 0x64, 1) & 1, 0);
    kbd_command(r, 0xaa, -1);
    cr_assert_eq(kbd_read(r), 0x55);
    kbd_command(r, 0xab, -1);
    cr_assert_eq(kbd_read(r), 0x00);
    kbd_command(r, 0x60, 0x30);
    kbd_command(r, 0x20, -1);
    cr_assert_eq(kbd_read(r), 0x30);
    kbd_command(r, 0xd3, 0x5a); /* aux loop, as i8042_check_aux() */
    cr_assert_eq(in(r, 0x64, 1) & 0x21, 0x21);
    cr_assert_eq(kbd_read(r), 0x5a);
    kbd_command(r, 0xa9, -1);
    cr_assert_eq(kbd_read(r), 0x00);
    kbd_command(r, 0xa8, -1);
    kbd_command(r, 0x20, -1);
    cr_assert_eq(kbd_read(r) & 0x20, 0);
    kbd_command(r, 0x60, 0x41);
    out(r, 0x60, 1, 0xff);
    cr_assert_eq(kbd_read(r), 0xfa);
    cr_assert_eq(kbd_read(r), 0xaa);
    out(r, 0x60, 1, 0xf2);
    cr_assert_eq(kbd_read(r), 0xfa);
    cr_assert_eq(kbd_read(r), 0xab);
    cr_assert_eq(kbd_read(r), 0x41); /* 83h translated */
    out(r, 0x60, 1, 0xed);
    cr_assert_eq(kbd_read(r), 0xfa);
    out(r, 0x60, 1, 0x02);
    cr_assert_eq(kbd_read(r), 0xfa);
    out(r, 0x60, 1, 0x99); /* no such command */
    cr_assert_eq(kbd_read(r), 0xfe);
    kbd_command(r, 0xd4, 0xff);
    cr_assert_eq(kbd_read(r), 0xfa);
    cr_assert_eq(kbd_read(r), 0xaa);
    cr_assert_eq(kbd_read(r), 0x00);
    rig_free(r);
}

Test(vga, text_mode_by_registers_reads_back)
{
    struct rig *r = rig_new();
    struct pc_text text;
    u16 cell[81 * 25];
    out(r, 0x3c2, 1, 0x67);
    out(r, 0x3c4, 2, 0x0302);
    out(r, 0x3c4, 2, 0x0204);
    out(r, 0x3ce, 2, 0x1005);
    out(r, 0x3ce, 2, 0x0e06);
    out(r, 0x3d4, 2, 0x4f01);
    out(r, 0x3d4, 2, 0x1f07);
    out(r, 0x3d4, 2, 0x4f09);
    out(r, 0x3d4, 2, 0x8f12);
    out(r, 0x3d4, 2, 0x2813);
    static const char hello[] = "Hello";
    for (unsigned i = 0; i < 5; i++)
        pc_mmio_write(r->pc, 0xb8000 + 160 + 2 * i, 2, 0x0700u | (u8)hello[i]);
    cr_assert_eq(pc_mmio_read(r->pc, 0xb80a0, 4), 0x07650748);
    cr_assert_eq(pc_mmio_read(r->pc, 0xb0000, 1), 0xff); /* not decoded in this mode */
    cr_assert(pc_vga_text(r->pc, &text, cell, ARRAY_SIZE(cell)));
    cr_assert(text.columns == 80 && text.rows == 25 && !text.blink);
    for (unsigned i = 0; i < 5; i++)
        cr_assert_eq(cell[80 + i], 0x0700u | (u8)hello[i]);
    cr_assert(text.cursor && text.cursor_row == 0 && text.cursor_column == 0);
    out(r, 0x3d4, 2, 0x540f); /* cursor 84, start 80: row 0, column 4 */
    out(r, 0x3d4, 2, 0x500d);
    for (size_t cells = 0; cells < 6; cells++) { /* what does not fit is left out */
        memset(cell, 0xee, sizeof(cell));
        cr_assert(pc_vga_text(r->pc, &text, cell, cells));
        for (size_t i = 0; i < 6; i++)
            cr_assert_eq(cell[i], i >= cells ? 0xeeee : i < 5 ? 0x0700u | (u8)hello[i] : 0);
    }
    cr_assert(text.cursor && text.cursor_row == 0 && text.cursor_column == 4);
    out(r, 0x3d4, 2, 0x200a);
    in(r, 0x3da, 1);
    out(r, 0x3c0, 1, 0x30);
    out(r, 0x3c0, 1, 0x08);
    cr_assert(pc_vga_text(r->pc, &text, NULL, 0));
    cr_assert(!text.cursor && text.blink);
    out(r, 0x3d4, 2, 0x000a);
    out(r, 0x3d4, 2, 0x000f); /* before the start */
    cr_assert(pc_vga_text(r->pc, &text, NULL, 0));
    cr_assert_not(text.cursor);
    out(r, 0x3d4, 2, 0xcf09); /* every line twice */
    cr_assert(pc_vga_text(r->pc, &text, NULL, 0));
    cr_assert_eq(text.rows, 12);
    out(r, 0x3ce, 2, 0x0506);
    cr_assert_not(pc_vga_text(r->pc, &text, cell, ARRAY_SIZE(cell)));
    rig_free(r);
}

Test(vga, bochs_registers)
{
    struct rig *r = rig_new();
    out(r, 0x1ce, 2, 0);
    cr_assert_eq(in(r, 0x1cf, 2), 0xb0c5);
    out(r, 0x1ce, 2, 10);
    cr_assert_eq(in(r, 0x1cf, 2), 256);
    out(r, 0x1ce, 2, 4);
    out(r, 0x1cf, 2, 2);
    out(r, 0x1ce, 2, 1);
    cr_assert_eq(in(r, 0x1cf, 2), 2560);
    rig_free(r);
}

Test(vga, retrace_comes_and_goes)
{
    struct rig *r = rig_new();
    unsigned on = 0, n = 0;
    out(r, 0x3c2, 1, 0x67);
    for (; n < 2000; n++) {
        r->now_ns += 50000;
        on += in(r, 0x3da, 1) >> 3 & 1;
    }
    cr_assert(on > n / 20 && on < n / 5, "%u", on);
    rig_free(r);
}

/* xorshift: the same traffic on every run. */
static u64 next(u64 *s)
{
    *s ^= *s << 13;
    *s ^= *s >> 7;
    *s ^= *s << 17;
    return *s;
}

/* Cards' memory anywhere, registers of the APICs and the HPET where they are. */
static u64 some_gpa(u64 x)
{
    static const u64 mem[] = {0xa0000,    0xb8000,    0xc0000,    0xe0000000, 0xfd000000,
                              0xfebf0000, 0xfffffff0, 0xfec00000, 0xfed00000, 0xfee00000};
    u64 base = mem[(x >> 8) % ARRAY_SIZE(mem)], offset = x >> 16 & 0x1ffff;
    return base < 0xfec00000 || base > 0xfee00000 ? base + offset : base + (offset & (x >> 34 & 1 ? 0xff0 : 0x1ff));
}

static void storm(struct rig *r, u64 *s, unsigned n)
{
    static const u16 hot[] = {0x00,  0x20,  0x40,  0x60,  0x70,   0x80,   0x92,   0xa0,   0xb2,  0xc0,
                              0xf0,  0x1ce, 0x2f8, 0x3b0, 0x3c0,  0x3d0,  0x3f8,  0x402,  0x4d0, 0x501,
                              0x510, 0x514, 0x600, 0x700, 0xae00, 0xaf00, 0xafe0, 0xb000, 0xcf8, 0xcfc};
    for (unsigned i = 0; i < n; i++) {
        u64 x = next(s);
        unsigned size = 1u << (x & 3);
        u32 val = (u32)next(s);
        u16 port = (u16)(hot[(x >> 8) % ARRAY_SIZE(hot)] + (x >> 16 & 31));
        if (x >> 40 & 1)
            val &= 0xff;
        switch (x >> 4 & 7) {
        case 0:
        case 1: pc_pio_read(r->pc, port, size); break;
        case 2:
        case 3: pc_pio_write(r->pc, port, size, val); break;
        case 4: pci_write(r, x >> 20 & 3, x >> 22 & 3, x >> 24 & 0xff, 1u << (x >> 36 & 1), val); break;
        case 5: pc_mmio_write(r->pc, some_gpa(x), size, val); break;
        case 6: pc_mmio_read(r->pc, some_gpa(x), size); break;
        default:
            r->now_ns += x >> 16 & 0xffffff;
            clk_run_due(pc_clk(r->pc));
            if (pc_intr(r->pc))
                pc_intr_ack(r->pc);
            break;
        }
        if (x >> 50 == 0)
            pc_reset(r->pc);
        if (x >> 54 == 5)
            (void)pc_set_apic_base(r->pc, x & 1 ? 0xfee00900 : (u64)val & 0xfffffff00);
        if (x >> 56 == 7) {
            u8 buf[8];
            memcpy(buf, &x, 8);
            chr_receive(pc_serial(r->pc, x & 1), buf, 8);
            for (unsigned k = 0; k < 8; k++)
                pc_key(r->pc, buf[k], x >> k & 1);
            pc_mouse(r->pc, (int)val, (int)x, (int)(val >> 8), val);
            pc_ferr(r->pc);
        }
    }
}

Test(pc, hostile_register_traffic_does_no_harm, .timeout = 120)
{
    struct pc_text text;
    u16 cell[300];
    for (u64 seed = 1; seed <= 20; seed++) {
        struct rig *r = rig_new();
        u64 s = seed * 0x9e3779b97f4a7c15ull;
        storm(r, &s, 20000);
        pc_vga_text(r->pc, &text, cell, ARRAY_SIZE(cell));
        cr_assert_eq(pc_intr(r->pc), r->intr); /* the callback told every change */
        pc_reset(r->pc);
        cr_assert_not(pc_intr(r->pc));
        cr_assert_eq(pci_read(r, 0, 0, 0, 4), 0x12378086);
        rig_free(r);
    }
}
