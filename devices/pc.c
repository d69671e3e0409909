/*
 * pc.c - what is in this PC, and which wire goes where.
 *
 * wire() is the machine: an i440FX/PIIX3 board with QEMU's "pc" numbers. The rest of the file is the
 * monitor's view of it (devices.h): forwarding, requests, reset in a fixed order.
 */
#include "devices/devices.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "devices/a20.h"
#include "devices/apics.h"
#include "devices/bootorder.h"
#include "devices/fdc.h"
#include "devices/fwcfg.h"
#include "devices/i8042.h"
#include "devices/i8237.h"
#include "devices/ide.h"
#include "devices/nics.h"
#include "devices/piix.h"
#include "devices/pic.h"
#include "devices/pcspk.h"
#include "devices/pit.h"
#include "devices/ports.h"
#include "devices/rtc.h"
#include "devices/state_tables.h"
#include "devices/parallel.h"
#include "devices/pc_info.h"
#include "devices/pc_qtree.h"
#include "devices/smbios.h"
#include "devices/uart.h"
#include "devices/vga.h"
#include "devices/virtio_blk.h"

enum {
    IRQ_KBD = 1,
    IRQ_FDC = 6,
    IRQ_LPT1 = 7,
    IRQ_SCI = 9,
    IRQ_AUX = 12,
    IRQ_FERR = 13,
    IRQ_IDE1 = 14,
    IRQ_IDE2 = 15
};
enum { VGA_SLOT = 2 };
_Static_assert(PC_APIC_HZ == LAPIC_HZ, "what the monitor tells the guest");

struct pc {
    struct pc_config config;
    struct io_bus io;
    struct mmio_bus mmio;
    struct clk clk;
    struct wake_list wakes;
    struct a20 a20;
    struct pic pic;
    struct apics apics;
    struct pit pit;
    struct pcspk speaker;
    struct rtc rtc;
    struct i8042 kc;
    struct uart uart[PC_SERIALS];
    struct parallel lpt;
    struct i8237 dma;
    struct fdc fdc;
    struct post_port post;
    struct port92 port92;
    struct debugcon debugcon;
    struct debug_exit debug_exit;
    struct ferr_port ferr;
    struct pci_bus pci;
    struct i440fx host_bridge;
    struct piix3 isa_bridge;
    struct ide ide;
    struct piix4_pm pm;
    struct nics nics;
    struct fwcfg fwcfg;
    struct virtio_blk *virtio_disk[PC_VIRTIO_DISKS]; /* NULL: not there */
    struct bootorder bootorder;
    u8 boot_menu_wait[2]; /* etc/boot-menu-wait */
    struct smbios smbios;
    u8 boot_fail_wait[4]; /* etc/boot-fail-wait; all ones: for ever */
    struct vga vga;
    bool has_vga;
};

static void request(struct pc *pc, enum pc_request what, unsigned code)
{
    if (pc->config.request)
        pc->config.request(pc->config.opaque, what, code);
}

static void on_reset(void *opaque)
{
    request(opaque, PC_REQ_RESET, 0);
}

static void on_poweroff(void *opaque)
{
    request(opaque, PC_REQ_POWEROFF, 0);
}

static void on_debug_exit(void *opaque, unsigned status)
{
    request(opaque, PC_REQ_DEBUG_EXIT, status);
}

static bool on_intr(void *opaque, unsigned n, bool level)
{
    struct pc *pc = opaque;
    (void)n;
    if (pc->config.intr_changed)
        pc->config.intr_changed(pc->config.opaque, level);
    return true;
}

static void on_nmi(void *opaque)
{
    struct pc *pc = opaque;
    if (pc->config.nmi)
        pc->config.nmi(pc->config.opaque);
}

/* What the firmware boots from. A kernel's loader brings a list of its own, and that one counts. */
static int fill_boot(struct pc *pc)
{
    const struct pc_config *cfg = &pc->config;
    struct bootorder *order = &pc->bootorder;
    size_t bytes;
    int err = 0;

    fwcfg_set_int(&pc->fwcfg, FWCFG_BOOT_MENU, cfg->boot_menu, 2);
    pc->boot_menu_wait[0] = (u8)cfg->boot_menu_ms;
    pc->boot_menu_wait[1] = (u8)(cfg->boot_menu_ms >> 8);
    if (cfg->boot_menu_ms)
        err = fwcfg_add_file(&pc->fwcfg, "etc/boot-menu-wait", pc->boot_menu_wait, sizeof(pc->boot_menu_wait));
    for (unsigned i = 0; i < sizeof(pc->boot_fail_wait); i++)
        pc->boot_fail_wait[i] = (u8)((cfg->boot_fail_ms - 1) >> 8 * i);
    if (!err)
        err = fwcfg_add_file(&pc->fwcfg, "etc/boot-fail-wait", pc->boot_fail_wait, sizeof(pc->boot_fail_wait));
    for (unsigned i = 0; !err && i < PC_IDE_DRIVES; i++)
        err = bootorder_add(order, cfg->ide[i].boot_index, "/pci@i0cf8/ide@1,1/drive@%u/disk@%u", i / 2, i % 2);
    for (unsigned i = 0; !err && i < PC_FLOPPIES; i++)
        err = bootorder_add(order, cfg->floppy[i].boot_index, "/pci@i0cf8/isa@1/fdc@03f0/floppy@%u", i);
    for (unsigned i = 0; !err && i < PC_VIRTIO_DISKS; i++)
        if (pc->virtio_disk[i])
            err = bootorder_add(order, cfg->virtio_disk[i].drive.boot_index, "/pci@i0cf8/scsi@%x/disk@0,0",
                                pc->virtio_disk[i]->virtio.pci.devfn >> 3);
    for (size_t i = 0; !err && i < cfg->blobs; i++)
        if (!strcmp(cfg->blob[i].name, "bootorder"))
            return 0;
    bytes = bootorder_finish(order, cfg->boot_strict);
    if (!err && bytes)
        err = fwcfg_add_file(&pc->fwcfg, "bootorder", order->text, bytes);
    return err;
}

static int fill_fwcfg(struct pc *pc)
{
    /* S3 and S4 off, S5 is SLP_TYP 0; QEMU's layout: index = state, bit 7 = enabled. */
    static const u8 system_states[6] = {128, 0, 0, 1, 2, 128};
    static const u8 irq0_override[1] = {1}; /* the tables say that IRQ 0 is pin 2 of the I/O APIC */
    /* One entry without a command: SeaBIOS builds its own tables all the same, but puts PMBASE at 600h because the file is there. Small
     * kernels power off by writing 2000h to port 604h, as under QEMU. */
    static const u8 table_loader[128] = {0};
    const struct pc_config *cfg = &pc->config;
    struct fwcfg *fw = &pc->fwcfg;
    fwcfg_set_int(fw, FWCFG_RAM_SIZE, cfg->ram_below_4g_bytes + cfg->ram_above_4g_bytes, 8);
    fwcfg_set_data(fw, FWCFG_UUID, cfg->uuid, sizeof(cfg->uuid));
    fwcfg_set_int(fw, FWCFG_NOGRAPHIC, !pc->has_vga, 2);
    int err = fwcfg_add_e820(fw, cfg->ram_below_4g_bytes, cfg->ram_above_4g_bytes);
    if (!err)
        err = fwcfg_add_file(fw, "etc/system-states", system_states, sizeof(system_states));
    if (!err && cfg->apic)
        err = fwcfg_add_file(fw, "etc/irq0-override", irq0_override, sizeof(irq0_override));
    if (!err && !cfg->no_acpi)
        err = fwcfg_add_file(fw, "etc/table-loader", table_loader, sizeof(table_loader));
    if (!err)
        err = smbios_build(&pc->smbios, cfg);
    if (!err)
        err = fwcfg_add_file(fw, "etc/smbios/smbios-tables", pc->smbios.table, pc->smbios.bytes);
    if (!err)
        err = fwcfg_add_file(fw, "etc/smbios/smbios-anchor", pc->smbios.anchor, sizeof(pc->smbios.anchor));
    for (size_t i = 0; !err && i < cfg->blobs; i++)
        err = fwcfg_add_file(fw, cfg->blob[i].name, cfg->blob[i].data, cfg->blob[i].bytes);
    if (!err)
        err = fill_boot(pc);
    const struct pc_linux *lx = cfg->linux_boot;
    if (err || !lx)
        return err;
    if (lx->setup_bytes > UINT32_MAX || lx->kernel_bytes > UINT32_MAX || lx->initrd_bytes > UINT32_MAX)
        return -EINVAL;
    u32 cmdline_bytes = lx->cmdline_bytes;
    if (lx->cmdline && !cmdline_bytes)
        cmdline_bytes = (u32)strlen(lx->cmdline) + 1;
    fwcfg_set_int(fw, FWCFG_SETUP_ADDR, lx->setup_gpa, 4);
    fwcfg_set_int(fw, FWCFG_SETUP_SIZE, lx->setup_bytes, 4);
    fwcfg_set_data(fw, FWCFG_SETUP_DATA, lx->setup, (u32)lx->setup_bytes);
    fwcfg_set_int(fw, FWCFG_KERNEL_ADDR, lx->kernel_gpa, 4);
    fwcfg_set_int(fw, FWCFG_KERNEL_SIZE, lx->kernel_bytes, 4);
    fwcfg_set_data(fw, FWCFG_KERNEL_DATA, lx->kernel, (u32)lx->kernel_bytes);
    fwcfg_set_int(fw, FWCFG_KERNEL_ENTRY, lx->entry_gpa, 4);
    fwcfg_set_int(fw, FWCFG_INITRD_ADDR, lx->initrd_gpa, 4);
    fwcfg_set_int(fw, FWCFG_INITRD_SIZE, lx->initrd_bytes, 4);
    fwcfg_set_data(fw, FWCFG_INITRD_DATA, lx->initrd, (u32)lx->initrd_bytes);
    fwcfg_set_int(fw, FWCFG_CMDLINE_ADDR, lx->cmdline_gpa, 4);
    fwcfg_set_int(fw, FWCFG_CMDLINE_SIZE, cmdline_bytes, 4);
    fwcfg_set_data(fw, FWCFG_CMDLINE_DATA, lx->cmdline, cmdline_bytes);
    return 0;
}

#define TRY(step)          \
    do {                   \
        int err_ = (step); \
        if (err_)          \
            return err_;   \
    } while (0)

/* The ISA side: everything that was on the board of a PC AT. */
static int wire_isa(struct pc *pc)
{
    const struct pc_config *cfg = &pc->config;
    struct io_bus *io = &pc->io;
    struct clk *clk = &pc->clk;
    struct pic *pic = &pc->pic;
    const struct i8042_wires kc = {
        .clk = clk,
        .irq_kbd = pic_line(pic, IRQ_KBD, 0),
        .irq_aux = pic_line(pic, IRQ_AUX, 0),
        .a20 = &pc->a20,
        .reset_request = on_reset,
        .opaque = pc,
    };

    const struct apics_wires apics = {
        .apic = cfg->apic,
        .hpet = cfg->hpet,
        .mmio = &pc->mmio,
        .clk = clk,
        .pic = pic,
        .intr = {.fn = on_intr, .opaque = pc},
        .nmi = on_nmi,
        .init = on_reset,
        .opaque = pc,
    };
    TRY(pic_init(pic, io, apics_pic_line(&pc->apics)));
    TRY(apics_init(&pc->apics, &apics));
    TRY(pit_init(&pc->pit, io, clk, apics_pit_line(&pc->apics)));
    TRY(pcspk_init(&pc->speaker, &pc->pit, clk, &cfg->speaker));
    TRY(rtc_init(&pc->rtc, io, clk, apics_rtc_line(&pc->apics), cfg->rtc_epoch_s));
    rtc_set_machine(&pc->rtc, cfg->ram_below_4g_bytes, cfg->ram_above_4g_bytes,
                    cfg->boot ? cfg->boot : "cad");
    rtc_set_floppy_check(&pc->rtc, !cfg->floppy_unchecked);
    TRY(i8042_init(&pc->kc, io, &kc));
    TRY(port92_init(&pc->port92, io, &pc->a20, on_reset, pc));
    TRY(i8237_init(&pc->dma, io, &cfg->dma));
    TRY(fdc_init(&pc->fdc, io, &pc->dma, pic_line(pic, IRQ_FDC, 0), cfg->floppy));
    rtc_set_floppies(&pc->rtc, fdc_cmos_type(&pc->fdc, 0), fdc_cmos_type(&pc->fdc, 1));
    TRY(ferr_port_init(&pc->ferr, io, pic_line(pic, IRQ_FERR, 0)));
    TRY(post_port_init(&pc->post, io));
    for (unsigned i = 0; i < PC_SERIALS; i++)
        if (cfg->serial_present[i])
            TRY(uart_init(&pc->uart[i], io, uart_com[i].base, clk, pic_line(pic, uart_com[i].irq, i / 2), &cfg->serial[i]));
    if (cfg->parallel_present)
        TRY(parallel_init(&pc->lpt, io, 0x378, pic_line(pic, IRQ_LPT1, 0), &cfg->parallel));
    if (cfg->debugcon_iobase)
        TRY(debugcon_init(&pc->debugcon, io, cfg->debugcon_iobase, &cfg->debugcon));
    if (cfg->debug_exit_iobase)
        TRY(debug_exit_init(&pc->debug_exit, io, cfg->debug_exit_iobase,
                            cfg->debug_exit_iosize ? cfg->debug_exit_iosize : 2, on_debug_exit, pc));
    return 0;
}

/* The first slot behind the chipset that is free, 0 if none is. */
static unsigned free_slot(const struct pc *pc)
{
    for (unsigned slot = VGA_SLOT; slot < 32; slot++)
        if (!pc->pci.dev[slot << 3])
            return slot;
    return 0;
}

/* Disks that asked for a slot come first. */
static int wire_virtio_disks(struct pc *pc)
{
    const struct pc_config *cfg = &pc->config;
    for (unsigned pass = 0; pass < 2; pass++)
        for (unsigned i = 0; i < PC_VIRTIO_DISKS; i++) {
            const struct pc_drive *drive = &cfg->virtio_disk[i].drive;
            unsigned slot = cfg->virtio_disk[i].slot;
            if (drive->kind != PC_DRIVE_DISK || (slot == 0) != (pass == 1))
                continue;
            slot = slot ? slot : free_slot(pc);
            struct virtio_blk *blk = calloc(1, sizeof(*blk));
            if (!blk)
                return -ENOMEM;
            pc->virtio_disk[i] = blk;
            TRY(virtio_blk_init(blk, &drive->back, drive->serial, &cfg->dma, piix3_pin(&pc->isa_bridge, slot, 1)));
            TRY(slot ? pci_dev_plug(&pc->pci, &blk->virtio.pci, slot, 0) : -ENOSPC);
        }
    return 0;
}

/* PCI bus 0: host bridge 0.0, ISA bridge 1.0, IDE 1.1, power management 1.3, VGA 2.0; and fw_cfg. */
static int wire(struct pc *pc)
{
    const struct pc_config *cfg = &pc->config;
    TRY(wire_isa(pc));
    TRY(pci_init(&pc->pci, &pc->io, &pc->mmio, on_reset, pc));
    TRY(i440fx_init(&pc->host_bridge, &pc->pci, cfg->pam_changed, cfg->opaque));
    TRY(piix3_init(&pc->isa_bridge, &pc->pci, &pc->pic));
    const struct irq_line ide_irq[2] = {pic_line(&pc->pic, IRQ_IDE1, 0), pic_line(&pc->pic, IRQ_IDE2, 0)};
    TRY(ide_init(&pc->ide, &pc->io, &pc->pci, ide_irq, &cfg->dma, cfg->ide));
    for (unsigned n = 0; n < PC_IDE_DRIVES; n++) {
        struct ide_bios_disk disk;
        if (ide_bios_disk(&pc->ide, n, &disk))
            rtc_set_disk(&pc->rtc, n, disk.cylinders, disk.heads, disk.spt, disk.translation);
    }
    if (!cfg->no_acpi)
        TRY(piix4_pm_init(&pc->pm, &pc->pci, &pc->clk, pic_line(&pc->pic, IRQ_SCI, 0), on_poweroff, pc));
    if (cfg->vga_rom) {
        TRY(vga_init(&pc->vga, &pc->pci, &pc->clk, cfg->vga_rom, cfg->vga_rom_bytes, &cfg->vga_host));
        pc->has_vga = true;
        TRY(pci_dev_plug(&pc->pci, &pc->vga.pci, VGA_SLOT, 0));
    }
    TRY(nics_init(&pc->nics, cfg->nic, cfg->nics,
                  &(struct nics_wires){&pc->io, &pc->pci, &pc->isa_bridge, &pc->pic, &pc->clk, &cfg->dma}));
    TRY(wire_virtio_disks(pc)); /* behind the network cards, as QEMU gives out slots */
    TRY(fwcfg_init(&pc->fwcfg, &pc->io, &cfg->dma));
    return fill_fwcfg(pc);
}

int pc_new(struct pc **out, const struct pc_config *config)
{
    *out = NULL;
    if (config->ram_below_4g_bytes > PC_RAM_BELOW_4G_MAX)
        return -EINVAL;
    struct pc *pc = calloc(1, sizeof(*pc));
    if (!pc)
        return -ENOMEM;
    pc->config = *config;
    io_bus_init(&pc->io);
    mmio_bus_init(&pc->mmio);
    clk_init(&pc->clk, config->clk_source);
    pc->wakes = (struct wake_list){.kick = config->kick, .opaque = config->opaque};
    pc->a20 = (struct a20){.on = false, .changed = config->a20_changed, .opaque = config->opaque};
    int err = wire(pc);
    if (err) {
        pc_free(pc);
        return err;
    }
    pc->config.linux_boot = NULL; /* copied into fw_cfg */
    pc->config.smbios = NULL;
    pc->config.smbios_texts = 0;
    pc_reset(pc);
    *out = pc;
    return 0;
}

void pc_free(struct pc *pc)
{
    if (pc && pc->has_vga)
        vga_fini(&pc->vga);
    if (pc) {
        ide_fini(&pc->ide);
        fdc_fini(&pc->fdc);
        nics_fini(&pc->nics);
    }
    for (unsigned i = 0; pc && i < PC_VIRTIO_DISKS; i++)
        if (pc->virtio_disk[i]) {
            virtio_blk_fini(pc->virtio_disk[i]);
            free(pc->virtio_disk[i]);
        }
    free(pc);
}

/* Devices first, so that none of them can raise a line of a PIC that is already clean. */
void pc_reset(struct pc *pc)
{
    pci_reset(&pc->pci);
    ide_reset(&pc->ide);
    if (!pc->config.no_acpi)
        piix4_pm_reset(&pc->pm);
    if (pc->has_vga)
        vga_reset(&pc->vga);
    for (unsigned i = 0; i < PC_VIRTIO_DISKS; i++)
        if (pc->virtio_disk[i])
            virtio_blk_reset(pc->virtio_disk[i]);
    nics_reset(&pc->nics);
    fwcfg_reset(&pc->fwcfg);
    pit_reset(&pc->pit);
    rtc_reset(&pc->rtc);
    i8042_reset(&pc->kc);
    port92_reset(&pc->port92);
    fdc_reset(&pc->fdc);
    i8237_reset(&pc->dma);
    irq_set(pc->ferr.irq, false);
    for (unsigned i = 0; i < PC_SERIALS; i++)
        if (pc->config.serial_present[i])
            uart_reset(&pc->uart[i]);
    if (pc->config.parallel_present)
        parallel_reset(&pc->lpt);
    apics_reset(&pc->apics);
    pic_reset(&pc->pic);
}

#define QUIESCE_ROUNDS 1000u /* what is done may begin another: far fewer than that */

static void drain(const struct pc_drive *drive)
{
    if (drive->kind != PC_DRIVE_NONE && drive->back.drain)
        drive->back.drain(drive->back.opaque);
}

/* A done request may submit the next one: until nothing is in flight. */
int pc_quiesce(struct pc *pc)
{
    const struct pc_config *cfg = &pc->config;
    pc_vga_settle(pc);
    for (unsigned round = 0; round < QUIESCE_ROUNDS; round++) {
        bool busy = pc->fdc.in_flight;
        for (unsigned i = 0; i < PC_IDE_DRIVES; i++) {
            drain(&cfg->ide[i]);
            busy |= pc->ide.channel[i / 2].drive[i % 2].in_flight;
        }
        for (unsigned i = 0; i < PC_FLOPPIES; i++)
            drain(&cfg->floppy[i]);
        for (unsigned i = 0; i < PC_VIRTIO_DISKS; i++) {
            drain(&cfg->virtio_disk[i].drive);
            for (unsigned k = 0; pc->virtio_disk[i] && k < VBLK_SLOTS; k++)
                busy |= pc->virtio_disk[i]->slot[k].busy;
        }
        if (!busy)
            return 0;
    }
    return -EBUSY;
}

unsigned pc_units(struct pc *pc, struct state_unit unit[PC_UNITS_MAX])
{
    unsigned n = 0;
#define UNIT(what, member) unit[n++] = (struct state_unit){what, &member##_state, &pc->member, sizeof(pc->member)}
#define UNIT_OF(what, table, member) unit[n++] = (struct state_unit){what, &table##_state, &pc->member, sizeof(pc->member)}
    UNIT_OF("clock", clk, clk);
    UNIT("a20", a20);
    UNIT("pit", pit);
    UNIT("rtc", rtc);
    UNIT_OF("i8042", i8042, kc);
    UNIT_OF("dma", i8237, dma);
    UNIT("fdc", fdc);
    UNIT("post", post);
    UNIT("port92", port92);
    for (unsigned i = 0; i < PC_SERIALS; i++)
        if (pc->config.serial_present[i]) {
            UNIT_OF("", uart, uart[i]);
            snprintf(unit[n - 1].name, sizeof(unit[n - 1].name), "uart%u", i);
        }
    if (pc->config.parallel_present)
        UNIT_OF("parallel0", parallel, lpt);
    UNIT_OF("pci", pci_bus, pci);
    UNIT_OF("i440fx", i440fx, host_bridge);
    UNIT_OF("piix3", piix3, isa_bridge);
    UNIT("ide", ide);
    if (!pc->config.no_acpi)
        UNIT_OF("pm", piix4_pm, pm);
    UNIT("fwcfg", fwcfg);
    if (pc->has_vga)
        UNIT("vga", vga);
    for (unsigned i = 0; i < PC_VIRTIO_DISKS; i++)
        if (pc->virtio_disk[i]) {
            unit[n] = (struct state_unit){"", &virtio_blk_state, pc->virtio_disk[i], sizeof(*pc->virtio_disk[i])};
            snprintf(unit[n].name, sizeof(unit[n].name), "virtio-blk%u", i);
            n++;
        }
    n += nics_units(&pc->nics, unit + n, PC_NICS);
    UNIT("pic", pic); /* behind the devices: its output is the sum of their lines */
    n += apics_units(&pc->apics, unit + n);
#undef UNIT
#undef UNIT_OF
    return n;
}

struct clk *pc_clk(struct pc *pc)
{
    return &pc->clk;
}

struct wake_list *pc_wakes(struct pc *pc)
{
    return &pc->wakes;
}

void pc_poll(struct pc *pc)
{
    wake_run(&pc->wakes);
}

u32 pc_pio_read(struct pc *pc, u16 port, unsigned size)
{
    return io_bus_read(&pc->io, port, size);
}

void pc_pio_write(struct pc *pc, u16 port, unsigned size, u32 val)
{
    io_bus_write(&pc->io, port, size, val);
}

u32 pc_pio_read_string(struct pc *pc, u16 port, unsigned size, void *to, u32 count)
{
    return io_bus_read_string(&pc->io, port, size, to, count);
}

u32 pc_pio_write_string(struct pc *pc, u16 port, unsigned size, const void *from, u32 count)
{
    return io_bus_write_string(&pc->io, port, size, from, count);
}

u64 pc_mmio_read(struct pc *pc, u64 gpa, unsigned size)
{
    return mmio_bus_read(&pc->mmio, gpa, size);
}

void pc_mmio_write(struct pc *pc, u64 gpa, unsigned size, u64 val)
{
    mmio_bus_write(&pc->mmio, gpa, size, val);
}

bool pc_mmio_read_block(struct pc *pc, u64 gpa, u8 *to, u32 n)
{
    return mmio_bus_read_block(&pc->mmio, gpa, to, n);
}

bool pc_mmio_write_block(struct pc *pc, u64 gpa, const u8 *from, u32 n)
{
    return mmio_bus_write_block(&pc->mmio, gpa, from, n);
}

bool pc_mmio_move_block(struct pc *pc, u64 from, u64 to, u32 n)
{
    return mmio_bus_move_block(&pc->mmio, from, to, n);
}

bool pc_mmio_claims(struct pc *pc, u64 gpa)
{
    return mmio_bus_claims(&pc->mmio, gpa & ~(u64)PAGE_MASK, PAGE_BYTES);
}

bool pc_intr(struct pc *pc)
{
    return apics_intr(&pc->apics);
}

u8 pc_intr_ack(struct pc *pc)
{
    return apics_ack(&pc->apics);
}

u64 pc_apic_base(const struct pc *pc)
{
    return pc->apics.has_apic ? pc->apics.lapic.base : 0;
}

bool pc_set_apic_base(struct pc *pc, u64 value)
{
    return pc->apics.has_apic ? lapic_set_base(&pc->apics.lapic, value) : !value;
}

void pc_nmi_button(struct pc *pc)
{
    if (pc->apics.has_apic)
        apics_nmi_button(&pc->apics);
    else
        on_nmi(pc);
}

void pc_ferr(struct pc *pc)
{
    ferr_port_raise(&pc->ferr);
}

bool pc_nmi_enabled(const struct pc *pc)
{
    return !pc->rtc.nmi_off;
}

const struct chr_front *pc_serial(struct pc *pc, unsigned n)
{
    return n < PC_SERIALS && pc->config.serial_present[n] ? &pc->uart[n].front : NULL;
}

const struct disk_front *pc_ide_front(struct pc *pc, unsigned n)
{
    return ide_front(&pc->ide, n);
}

const struct disk_front *pc_floppy_front(struct pc *pc, unsigned n)
{
    return fdc_front(&pc->fdc, n);
}

_Static_assert(PC_KEYS_MAX == KEYS_MAX, "what callers make room for");

int pc_key_find(const char *name)
{
    return key_find(name);
}

int pc_key_of_char(char c, bool *shift, bool *ctrl)
{
    return key_of_char(c, shift, ctrl);
}

const char *pc_key_name(unsigned key)
{
    return key_get(key) ? key_get(key)->name : NULL;
}

bool pc_key(struct pc *pc, unsigned key, bool down)
{
    return i8042_key(&pc->kc, key, down);
}

bool pc_key_down(const struct pc *pc, unsigned key)
{
    return ps2_kbd_held(&pc->kc.kbd, key);
}

bool pc_keys_taken(struct pc *pc)
{
    return i8042_idle(&pc->kc);
}

unsigned pc_kbd_leds(const struct pc *pc)
{
    return pc->kc.kbd.leds;
}

bool pc_mouse(struct pc *pc, int dx, int dy, int dz, unsigned buttons)
{
    return i8042_mouse(&pc->kc, dx, dy, dz, buttons);
}

const struct nic_front *pc_nic_front(struct pc *pc, unsigned n)
{
    return nics_front(&pc->nics, n);
}

void pc_power_button(struct pc *pc)
{
    if (!pc->config.no_acpi)
        piix4_pm_power_button(&pc->pm);
}

bool pc_vga_text(struct pc *pc, struct pc_text *text, u16 *cell, size_t cells)
{
    if (pc->has_vga)
        return vga_text(&pc->vga, text, cell, cells);
    *text = (struct pc_text){0};
    return false;
}

void pc_set_boot(struct pc *pc, const char *boot)
{
    rtc_set_boot(&pc->rtc, boot ? boot : "cad");
}

int pc_vga_draw(struct pc *pc, struct vga_picture *p)
{
    return pc->has_vga ? vga_draw(&pc->vga, p, clk_now(&pc->clk)) : -ENODATA;
}

void pc_vga_settle(struct pc *pc)
{
    if (pc->has_vga)
        vga_map_none(&pc->vga);
}

bool pc_vga_touched(const struct pc *pc)
{
    return pc->has_vga && __atomic_load_n(&pc->vga.touched, __ATOMIC_RELAXED);
}

size_t pc_info(struct pc *pc, const char *what, char *buf, size_t bytes)
{
    struct info_sink s = {buf, bytes, 0};

    if (!strcmp(what, "pic"))
        info_pic(&s, &pc->pic);
    else if (!strcmp(what, "lapic"))
        info_lapic(&s, &pc->apics);
    else if (!strcmp(what, "ioapic"))
        info_ioapic(&s, &pc->apics);
    else if (!strcmp(what, "irq")) {
        info_irq(&s, &pc->pic);
        info_lapic_irq(&s, &pc->apics);
    } else if (!strcmp(what, "pci"))
        info_pci(&s, &pc->pci);
    else if (!strcmp(what, "mtree"))
        info_map(&s, &pc->io, &pc->mmio);
    else if (!strcmp(what, "qtree"))
        info_qtree(&s, &(struct qtree_board){&pc->config, &pc->pci, &pc->ide, &pc->fdc, &pc->nics, pc->virtio_disk});
    return s.at;
}
