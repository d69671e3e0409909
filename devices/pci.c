/*
 * pci.c - PCI bus 0 behind configuration mechanism #1 (PCI Local Bus 2.1), and reset control CF9h.
 *
 * CF8h takes 32-bit accesses only; CFCh-CFFh bytes, words and dwords. Functions that are not there read
 * all ones. A BAR is decoded while its command bit is set and its address is sane; a BAR that would
 * overlap something stays unmapped until a later write makes room.
 */
#include "devices/pci.h"

#include <string.h>

enum { CONFIG_ENABLE_SHIFT = 31 };
enum { RESET_CPU = 0x04, RESET_SYSTEM = 0x02 };

static unsigned bar_offset(unsigned n)
{
    return n == PCI_BAR_ROM ? PCI_ROM_BAR : PCI_BAR0 + 4 * n;
}

/* Where the BAR should be decoded now; 0 = nowhere. */
static u64 bar_target(const struct pci_dev *dev, unsigned n)
{
    const struct pci_bar *bar = &dev->bar[n];
    u16 command = pci_get16(dev, PCI_COMMAND);
    u32 raw = pci_get32(dev, bar_offset(n));
    if (!(command & (bar->is_io ? PCI_COMMAND_IO : PCI_COMMAND_MEM)))
        return 0;
    if (n == PCI_BAR_ROM && !(raw & 1))
        return 0;
    u32 base = raw & ~(bar->bytes - 1);
    u64 last = (u64)base + bar->bytes - 1;
    /* The top is where sizing probes point; the firmware ROM is there. */
    return last >= (bar->is_io ? 0x10000u : 0xffffffffu) ? 0 : base;
}

static void bar_unmap(struct pci_bus *pci, struct pci_bar *bar)
{
    if (!bar->mapped)
        return;
    if (bar->is_io)
        io_bus_unregister(pci->io, (u32)bar->mapped_at);
    else
        mmio_bus_unregister(pci->mmio, bar->mapped_at);
    bar->mapped = false;
}

static void bar_map(struct pci_bus *pci, struct pci_bar *bar, u64 at)
{
    int err = bar->is_io ? io_bus_register(pci->io, (u32)at, bar->bytes, bar->ops, bar->opaque)
                         : mmio_bus_register(pci->mmio, at, bar->bytes, bar->ops, bar->opaque);
    bar->mapped = !err;
    bar->mapped_at = at;
}

static void update_mappings(struct pci_bus *pci)
{
    /* First everything that moves goes, so that BARs can trade places. */
    for (unsigned pass = 0; pass < 2; pass++)
        for (unsigned devfn = 0; devfn < 256; devfn++)
            for (unsigned n = 0; pci->dev[devfn] && n < PCI_BARS; n++) {
                struct pci_bar *bar = &pci->dev[devfn]->bar[n];
                u64 at = bar->bytes ? bar_target(pci->dev[devfn], n) : 0;
                if (pass == 0 && bar->mapped && bar->mapped_at != at)
                    bar_unmap(pci, bar);
                else if (pass == 1 && !bar->mapped && at)
                    bar_map(pci, bar, at);
            }
}

static bool touches(unsigned offset, unsigned size, unsigned first, unsigned end)
{
    return offset < end && offset + size > first;
}

static void config_write(struct pci_bus *pci, struct pci_dev *dev, unsigned offset, unsigned size, u32 val)
{
    for (unsigned i = 0; i < size && offset + i < 256; i++) {
        u8 *byte = &dev->config[offset + i], v = (u8)(val >> (8 * i)), mask = dev->wmask[offset + i];
        *byte = (u8)((*byte & ~mask) | (v & mask));
        *byte &= (u8) ~(v & dev->w1c[offset + i]);
    }
    if (touches(offset, size, PCI_COMMAND, PCI_COMMAND + 2) ||
        touches(offset, size, PCI_BAR0, PCI_BAR0 + 24) || touches(offset, size, PCI_ROM_BAR, PCI_ROM_BAR + 4))
        update_mappings(pci);
    if (dev->written)
        dev->written(dev->opaque, offset, size);
}

/*
 * CF8h:  31 enable  23-16 bus  15-11 device  10-8 function  7-2 register  1-0 zero
 */
static struct pci_dev *addressed(const struct pci_bus *pci)
{
    if (!(pci->address >> CONFIG_ENABLE_SHIFT) || (pci->address >> 16 & 0xff))
        return NULL;
    return pci->dev[pci->address >> 8 & 0xff];
}

static u32 data_read(void *opaque, u32 offset, unsigned size)
{
    struct pci_bus *pci = opaque;
    const struct pci_dev *dev = addressed(pci);
    u32 v = 0;
    if (!dev)
        return UINT32_MAX;
    for (unsigned i = 0; i < size; i++)
        v |= (u32)dev->config[((pci->address & 0xfc) + (offset & 3) + i) & 0xff] << (8 * i);
    return v;
}

static void data_write(void *opaque, u32 offset, unsigned size, u32 val)
{
    struct pci_bus *pci = opaque;
    struct pci_dev *dev = addressed(pci);
    if (dev)
        config_write(pci, dev, (pci->address & 0xfc) + (offset & 3), size, val);
}

static u32 address_read(void *opaque, u32 offset, unsigned size)
{
    struct pci_bus *pci = opaque;
    if (size == 4)
        return pci->address;
    return size == 1 && offset == 1 ? pci->reset_control : UINT32_MAX;
}

static void address_write(void *opaque, u32 offset, unsigned size, u32 val)
{
    struct pci_bus *pci = opaque;
    if (size == 4) {
        pci->address = val & 0x80fffffcu;
    } else if (size == 1 && offset == 1) {
        pci->reset_control = val & RESET_SYSTEM;
        if ((val & RESET_CPU) && pci->reset_request)
            pci->reset_request(pci->opaque);
    }
}

static const struct bus_ops address_ops = {.read = address_read, .write = address_write, .max_size = 4};
static const struct bus_ops data_ops = {.read = data_read, .write = data_write, .max_size = 4};

int pci_init(struct pci_bus *pci, struct io_bus *io, struct mmio_bus *mmio,
             void (*reset_request)(void *opaque), void *opaque)
{
    memset(pci, 0, sizeof(*pci));
    pci->io = io;
    pci->mmio = mmio;
    pci->reset_request = reset_request;
    pci->opaque = opaque;
    int err = io_bus_register(io, 0xcf8, 4, &address_ops, pci);
    if (!err)
        err = io_bus_register(io, 0xcfc, 4, &data_ops, pci);
    return err;
}

void pci_reset(struct pci_bus *pci)
{
    pci->address = 0;
    pci->reset_control = 0;
    for (unsigned devfn = 0; devfn < 256; devfn++) {
        struct pci_dev *dev = pci->dev[devfn];
        if (!dev)
            continue;
        memcpy(dev->config, dev->reset_config, sizeof(dev->config));
        for (unsigned n = 0; n < PCI_BARS; n++)
            bar_unmap(pci, &dev->bar[n]);
        if (dev->written)
            dev->written(dev->opaque, 0, 256);
    }
}

void pci_restored(struct pci_bus *pci)
{
    update_mappings(pci);
    for (unsigned devfn = 0; devfn < 256; devfn++)
        if (pci->dev[devfn] && pci->dev[devfn]->written)
            pci->dev[devfn]->written(pci->dev[devfn]->opaque, 1, 255);
}

void pci_dev_init(struct pci_dev *dev, const struct pci_id *id)
{
    memset(dev, 0, sizeof(*dev));
    pci_set16(dev, PCI_VENDOR, id->vendor);
    pci_set16(dev, PCI_DEVICE, id->device);
    pci_set16(dev, PCI_CLASS, id->class);
    dev->config[PCI_REVISION] = id->revision;
    dev->config[PCI_REVISION + 1] = id->prog_if;
    pci_set16(dev, PCI_SUBSYS_VENDOR, 0x1af4);
    pci_set16(dev, PCI_SUBSYS, 0x1100);
    dev->wmask[PCI_COMMAND] = PCI_COMMAND_IO | PCI_COMMAND_MEM | PCI_COMMAND_MASTER | 0x40; /* parity */
    dev->wmask[PCI_COMMAND + 1] = 0x05; /* SERR, INTx off */
    dev->w1c[PCI_STATUS + 1] = 0xf9;
    dev->wmask[0x0c] = 0xff; /* cache line size */
    dev->wmask[PCI_INT_LINE] = 0xff;
    memset(dev->wmask + 0x40, 0xff, 0xc0);
}

void pci_dev_bar(struct pci_dev *dev, unsigned n, u32 bytes, bool is_io, u8 flags, const struct bus_ops *ops,
                 void *opaque)
{
    unsigned at = bar_offset(n);
    u32 mask = ~(bytes - 1) | (n == PCI_BAR_ROM ? 1 : 0);
    dev->bar[n] = (struct pci_bar){.bytes = bytes, .is_io = is_io, .ops = ops, .opaque = opaque};
    dev->config[at] = is_io ? 1 : flags;
    for (unsigned i = 0; i < 4; i++)
        dev->wmask[at + i] = (u8)(mask >> (8 * i));
}

int pci_dev_plug(struct pci_bus *pci, struct pci_dev *dev, unsigned slot, unsigned fn)
{
    dev->devfn = (u8)((slot & 31) << 3 | (fn & 7));
    if (pci->dev[dev->devfn])
        return -EEXIST;
    pci->dev[dev->devfn] = dev;
    memcpy(dev->reset_config, dev->config, sizeof(dev->config));
    return 0;
}
