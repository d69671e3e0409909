/*
 * pc_qtree.c - "info qtree": every device under the bus it sits on, with its properties, in QEMU's form and under QEMU's names.
 *
 * The tree is fixed but for what the config puts in: main-system-bus, on it the PCI host bridge with pci.0, on that the PIIX3 with isa.0
 * and the two IDE cables. Properties are those that this machine has; what QEMU can set and this machine cannot is not shown. Reads
 * state and changes none.
 */
#include "devices/pc_qtree.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct tree {
    struct info_sink *s;
    unsigned depth;
    const struct qtree_board *board;
};

static void line(struct tree *t, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void line(struct tree *t, const char *fmt, ...)
{
    char text[160];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    info_put(t->s, "%*s%s\n", (int)(2 * t->depth), "", text);
}

static void bus(struct tree *t, const char *name, const char *type)
{
    line(t, "bus: %s", name);
    t->depth++;
    line(t, "type %s", type);
}

static void dev(struct tree *t, const char *name)
{
    line(t, "dev: %s, id \"\"", name);
    t->depth++;
}

/* The last bus() or dev() ends. */
static void up(struct tree *t)
{
    t->depth--;
}

static void number(struct tree *t, const char *key, u32 v)
{
    line(t, "%s = %u (0x%x)", key, v, v);
}

static void isa(struct tree *t, const char *name, u32 iobase, u32 irq)
{
    dev(t, name);
    number(t, "iobase", iobase);
    if (irq)
        number(t, "irq", irq);
    up(t);
}

/* A floppy drive's type as QEMU names it, by CMOS's number. */
static const char *floppy_type(u8 type)
{
    static const char *const names[] = {"none", "360", "120", "720", "144", "288"};

    return type < ARRAY_SIZE(names) ? names[type] : "none";
}

static void floppies(struct tree *t)
{
    const struct fdc *f = t->board->fdc;

    dev(t, "isa-fdc");
    number(t, "iobase", 0x3f0);
    number(t, "irq", 6);
    number(t, "dma", FDC_DMA_CHANNEL);
    bus(t, "floppy-bus.0", "floppy-bus");
    for (unsigned i = 0; i < PC_FLOPPIES; i++) {
        if (!f->drive[i].present)
            continue;
        dev(t, "floppy");
        number(t, "unit", i);
        line(t, "drive-type = \"%s\"", floppy_type(f->drive[i].type));
        up(t);
    }
    up(t);
    up(t);
}

static void mac(struct tree *t, const u8 *m)
{
    line(t, "mac = \"%02x:%02x:%02x:%02x:%02x:%02x\"", m[0], m[1], m[2], m[3], m[4], m[5]);
}

static void isa_nics(struct tree *t)
{
    const struct nics *n = t->board->nics;

    for (unsigned i = 0; i < n->n; i++) {
        const struct nics_place *at = &n->slot[i].place;

        if (at->pci)
            continue;
        dev(t, "ne2k_isa");
        number(t, "iobase", at->iobase);
        number(t, "irq", at->irq);
        mac(t, at->mac);
        up(t);
    }
}

static void isa_bus(struct tree *t)
{
    const struct pc_config *c = t->board->config;

    bus(t, "isa.0", "ISA");
    if (c->debug_exit_iobase) {
        dev(t, "isa-debug-exit");
        number(t, "iobase", c->debug_exit_iobase);
        number(t, "iosize", c->debug_exit_iosize ? c->debug_exit_iosize : 2);
        up(t);
    }
    if (c->debugcon_iobase)
        isa(t, "isa-debugcon", c->debugcon_iobase, 0);
    isa_nics(t);
    isa(t, "port92", 0x92, 0);
    dev(t, "i8042");
    number(t, "kbd-irq", 1);
    number(t, "mouse-irq", 12);
    up(t);
    floppies(t);
    if (c->parallel_present)
        isa(t, "isa-parallel", 0x378, 7);
    for (unsigned i = PC_SERIALS; i-- > 0;)
        if (c->serial_present[i]) {
            dev(t, "isa-serial");
            number(t, "index", i);
            number(t, "iobase", uart_com[i].base);
            number(t, "irq", uart_com[i].irq);
            up(t);
        }
    isa(t, "isa-pcspk", 0x61, 0);
    isa(t, "isa-pit", 0x40, 0);
    isa(t, "mc146818rtc", 0x70, 8);
    isa(t, "isa-i8259", 0xa0, 0);
    isa(t, "isa-i8259", 0x20, 0);
    isa(t, "i8257", 0xc0, 0);
    isa(t, "i8257", 0x00, 0);
    up(t);
}

/* An ATA string without its padding. */
static void ata_string(struct tree *t, const char *key, const char *text)
{
    size_t n = strlen(text);

    while (n && text[n - 1] == ' ')
        n--;
    line(t, "%s = \"%.*s\"", key, (int)n, text);
}

static void ide_cable(struct tree *t, unsigned channel)
{
    char name[8];

    snprintf(name, sizeof(name), "ide.%u", channel);
    bus(t, name, "IDE");
    for (unsigned i = 0; i < 2; i++) {
        const struct ide_drive *d = &t->board->ide->channel[channel].drive[i];

        if (d->kind == IDE_NONE)
            continue;
        dev(t, d->kind == IDE_CDROM ? "ide-cd" : "ide-hd");
        ata_string(t, "serial", d->serial);
        ata_string(t, "model", d->model);
        number(t, "unit", i);
        if (d->kind != IDE_CDROM) {
            number(t, "cyls", d->cylinders);
            number(t, "heads", d->heads);
            number(t, "secs", d->spt);
        }
        line(t, "write-cache = \"%s\"", d->write_cache_default ? "on" : "off");
        up(t);
    }
    up(t);
}

static const struct known {
    u16 vendor, device;
    const char *name, *class;
} known[] = {
    {0x8086, 0x1237, "i440FX", "Host bridge"},
    {0x8086, 0x7000, "PIIX3", "ISA bridge"},
    {0x8086, 0x7010, "piix3-ide", "IDE controller"},
    {0x8086, 0x7113, "PIIX4_PM", "Bridge"},
    {0x1234, 0x1111, "VGA", "VGA controller"},
    {0x8086, 0x100e, "e1000", "Ethernet controller"},
    {0x10ec, 0x8139, "rtl8139", "Ethernet controller"},
    {0x10ec, 0x8029, "ne2k_pci", "Ethernet controller"},
    {0x1af4, 0x1000, "virtio-net-pci", "Ethernet controller"},
    {0x1af4, 0x1001, "virtio-blk-pci", "SCSI controller"},
};

static const struct known *known_as(const struct pci_dev *d)
{
    for (size_t i = 0; i < ARRAY_SIZE(known); i++)
        if (known[i].vendor == pci_get16(d, PCI_VENDOR) && known[i].device == pci_get16(d, PCI_DEVICE))
            return &known[i];
    return NULL;
}

const char *info_pci_class(const struct pci_dev *d)
{
    const struct known *k = known_as(d);

    return k ? k->class : NULL;
}

/* What is on the card. */
static void behind(struct tree *t, const struct pci_dev *d, const char *name)
{
    const struct qtree_board *b = t->board;

    for (unsigned i = 0; i < b->nics->n; i++)
        if (b->nics->slot[i].place.pci == d)
            mac(t, b->nics->slot[i].place.mac);
    for (unsigned i = 0; i < PC_VIRTIO_DISKS; i++)
        if (b->virtio_disk[i] && &b->virtio_disk[i]->virtio.pci == d) {
            bus(t, "virtio-bus", "virtio-pci-bus");
            dev(t, "virtio-blk-device");
            line(t, "serial = \"%.*s\"", VBLK_ID_BYTES, b->virtio_disk[i]->id);
            up(t);
            up(t);
        }
    if (!strcmp(name, "piix3-ide")) {
        ide_cable(t, 1);
        ide_cable(t, 0);
    }
    if (!strcmp(name, "PIIX3"))
        isa_bus(t);
}

static void pci_function(struct tree *t, const struct pci_dev *d)
{
    const struct known *k = known_as(d);

    dev(t, k ? k->name : "pci-device");
    line(t, "addr = %02x.%x", d->devfn >> 3, d->devfn & 7);
    line(t, "multifunction = %s", d->config[PCI_HEADER] & 0x80 ? "true" : "false");
    line(t, "class %s, addr 00:%02x.%x, pci id %04x:%04x (sub %04x:%04x)", k ? k->class : "unknown", d->devfn >> 3, d->devfn & 7,
         pci_get16(d, PCI_VENDOR), pci_get16(d, PCI_DEVICE), pci_get16(d, PCI_SUBSYS_VENDOR), pci_get16(d, PCI_SUBSYS));
    for (unsigned n = 0; n < PCI_BARS; n++) {
        const struct pci_bar *bar = &d->bar[n];
        u64 at = bar->mapped ? bar->mapped_at : ~0ull;

        if (bar->bytes)
            line(t, "bar %u: %s at 0x%llx [0x%llx]", n, bar->is_io ? "i/o" : "mem", (unsigned long long)at,
                 (unsigned long long)(at + bar->bytes - 1));
    }
    behind(t, d, k ? k->name : "");
    up(t);
}

static void mmio(struct tree *t, const char *name, u32 at, u32 bytes)
{
    dev(t, name);
    line(t, "mmio %016x/%016x", at, bytes);
    up(t);
}

void info_qtree(struct info_sink *s, const struct qtree_board *board)
{
    struct tree t = {s, 0, board};

    bus(&t, "main-system-bus", "System");
    if (board->config->hpet)
        mmio(&t, "hpet", 0xfed00000, 0x400);
    if (board->config->apic)
        mmio(&t, "ioapic", 0xfec00000, 0x1000);
    dev(&t, "i440FX-pcihost");
    bus(&t, "pci.0", "PCI");
    for (unsigned i = 256; i-- > 0;) /* QEMU lists what was made last first */
        if (board->pci->dev[i])
            pci_function(&t, board->pci->dev[i]);
    up(&t);
    up(&t);
    dev(&t, "fw_cfg_io");
    line(&t, "dma_enabled = true");
    up(&t);
}
