/*
 * pci.h - PCI bus 0: configuration mechanism #1, BAR decoding, interrupt pins.
 */
#ifndef NOVT_DEVICES_PCI_H
#define NOVT_DEVICES_PCI_H

#include "devices/bus.h"

enum {
    PCI_VENDOR = 0x00,
    PCI_DEVICE = 0x02,
    PCI_COMMAND = 0x04,
    PCI_STATUS = 0x06,
    PCI_REVISION = 0x08,
    PCI_CLASS = 0x0a,
    PCI_HEADER = 0x0e,
    PCI_BAR0 = 0x10,
    PCI_SUBSYS_VENDOR = 0x2c,
    PCI_SUBSYS = 0x2e,
    PCI_ROM_BAR = 0x30,
    PCI_INT_LINE = 0x3c,
    PCI_INT_PIN = 0x3d,
};
enum { PCI_COMMAND_IO = 1, PCI_COMMAND_MEM = 2, PCI_COMMAND_MASTER = 4 };

#define PCI_BARS 7 /* six, and the expansion ROM */
#define PCI_BAR_ROM 6

struct pci_bar {
    u32 bytes; /* power of two; 0 = absent */
    bool is_io;
    const struct bus_ops *ops;
    void *opaque;
    u64 mapped_at;
    bool mapped;
};

struct pci_dev {
    u8 config[256];
    u8 reset_config[256]; /* what config is after reset */
    u8 wmask[256];        /* bits the guest can write */
    u8 w1c[256];          /* bits a written 1 clears */
    struct pci_bar bar[PCI_BARS];
    u8 devfn;
    /* Told after each configuration write; may be NULL. */
    void (*written)(void *opaque, unsigned offset, unsigned size);
    void *opaque;
};

struct pci_bus {
    u32 address; /* CF8h */
    struct pci_dev *dev[256];
    struct io_bus *io;
    struct mmio_bus *mmio;
    u8 reset_control; /* CF9h */
    void (*reset_request)(void *opaque);
    void *opaque;
};

struct pci_id {
    u16 vendor, device, class;
    u8 revision, prog_if;
};

int pci_init(struct pci_bus *pci, struct io_bus *io, struct mmio_bus *mmio,
             void (*reset_request)(void *opaque), void *opaque) MUST_CHECK;
/* Functions go back to their reset configuration; BARs are unmapped. */
void pci_reset(struct pci_bus *pci);

/* Configuration spaces were restored over those of a reset: BARs are decoded and functions told (a write of 1..255) accordingly. */
void pci_restored(struct pci_bus *pci);

/* Fills the standard header: ids, QEMU's subsystem id (how SeaBIOS knows its platform), write masks. */
void pci_dev_init(struct pci_dev *dev, const struct pci_id *id);
/* bytes: power of two, 16 at least for memory, 4 for ports. flags: bit 3 prefetchable. */
void pci_dev_bar(struct pci_dev *dev, unsigned n, u32 bytes, bool is_io, u8 flags, const struct bus_ops *ops,
                 void *opaque);
/* -EEXIST if the slot is taken. Freezes config as the reset state. */
int pci_dev_plug(struct pci_bus *pci, struct pci_dev *dev, unsigned slot, unsigned fn) MUST_CHECK;

static inline u16 pci_get16(const struct pci_dev *dev, unsigned at)
{
    return (u16)(dev->config[at & 0xff] | dev->config[(at + 1) & 0xff] << 8);
}

static inline u32 pci_get32(const struct pci_dev *dev, unsigned at)
{
    return pci_get16(dev, at) | (u32)pci_get16(dev, at + 2) << 16;
}

static inline void pci_set16(struct pci_dev *dev, unsigned at, u16 v)
{
    dev->config[at & 0xff] = (u8)v;
    dev->config[(at + 1) & 0xff] = (u8)(v >> 8);
}

#endif
