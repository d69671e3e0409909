/*
 * piix3.c - the PIIX3 ISA bridge (8086:7000): routes the four PCI interrupts to ISA ones.
 *
 *     60h-63h PIRQRC[A-D]: 7 routing off, 3-0 ISA interrupt (0, 1, 2, 8, 13 are reserved)
 */
#include "devices/piix.h"

#include <string.h>

enum { PIRQRC = 0x60, PIRQRC_OFF = 0x80, ISA_RESERVED = 0x2107, PIC_SOURCE_PIRQ = 1 };

static void route(struct piix3 *piix)
{
    u16 want = 0;
    for (unsigned i = 0; i < 4; i++) {
        u8 rc = piix->pci.config[PIRQRC + i];
        if (piix->pirq[i] && !(rc & PIRQRC_OFF))
            want |= (u16)(BIT(rc & 15) & ~ISA_RESERVED);
    }
    u16 changed = want ^ piix->driven;
    piix->driven = want;
    for (unsigned irq = 0; irq < 16; irq++)
        if (changed & BIT(irq))
            irq_set(pic_line(piix->pic, irq, PIC_SOURCE_PIRQ), want & BIT(irq));
}

static bool set_pirq(void *opaque, unsigned n, bool level)
{
    struct piix3 *piix = opaque;
    u32 slot = BIT(n >> 2 & 31), *pirq = &piix->pirq[n & 3];
    *pirq = level ? *pirq | slot : *pirq & ~slot;
    route(piix);
    return true;
}

struct irq_line piix3_pin(struct piix3 *piix, unsigned slot, unsigned pin)
{
    /* The pins of neighbouring slots are rotated, slot 1's INTA being PIRQA. */
    return (struct irq_line){.fn = set_pirq, .opaque = piix, .n = (slot & 31) << 2 | ((slot + pin + 2) & 3)};
}

static void written(void *opaque, unsigned offset, unsigned size)
{
    if (offset < PIRQRC + 4 && offset + size > PIRQRC)
        route(opaque);
}

int piix3_init(struct piix3 *piix, struct pci_bus *pci, struct pic *pic)
{
    static const struct pci_id id = {.vendor = 0x8086, .device = 0x7000, .class = 0x0601};
    static const u8 reset[][2] = {
        {0x4c, 0x4d}, {0x4e, 0x03}, {0x60, 0x80}, {0x61, 0x80}, {0x62, 0x80}, {0x63, 0x80}, {0x69, 0x02},
        {0x70, 0x80}, {0x76, 0x0c}, {0x77, 0x0c}, {0x78, 0x02}, {0xa0, 0x08}, {0xa8, 0x0f},
    };
    memset(piix, 0, sizeof(*piix));
    piix->pic = pic;
    pci_dev_init(&piix->pci, &id);
    pci_set16(&piix->pci, PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEM | PCI_COMMAND_MASTER);
    pci_set16(&piix->pci, PCI_STATUS, 0x0200);
    piix->pci.config[PCI_HEADER] = 0x80; /* more functions follow */
    for (unsigned i = 0; i < ARRAY_SIZE(reset); i++)
        piix->pci.config[reset[i][0]] = reset[i][1];
    piix->pci.written = written;
    piix->pci.opaque = piix;
    return pci_dev_plug(pci, &piix->pci, 1, 0);
}
