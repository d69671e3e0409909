/*
 * nics.c - the PC's network cards: which chip a model is, and where it is plugged in.
 *
 * A new model is a member of the union, a row of models[] and its constructor's call.
 */
#include "devices/nics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "devices/e1000.h"
#include "devices/ne2k.h"
#include "devices/rtl8139.h"
#include "devices/state_tables.h"
#include "devices/virtio_net.h"

enum { FIRST_SLOT = 3, SLOTS = 32, PIC_SOURCE_NIC = 3 };

union nics_card {
    struct ne2k ne2k;
    struct ne2k_pci ne2k_pci;
    struct e1000 e1000;
    struct virtio_net virtio;
    struct rtl8139 rtl8139;
};

static const u16 isa_base[] = {0x300, 0x320, 0x340, 0x280,
                               0x380}; /* without 360h, where IDE and floppy controllers are */
static const u8 isa_irq[] = {9, 10, 11, 3, 4, 5};

static int init_isa(struct nics *nics, union nics_card *card, const struct pc_nic *config,
                    const struct nics_wires *w)
{
    unsigned before = 0;
    u16 base = config->iobase;
    u8 irq = config->irq;

    for (unsigned i = 0; i < nics->n; i++)
        before += nics->slot[i].model == PC_NIC_NE2K_ISA;
    base = base ? base : isa_base[before % ARRAY_SIZE(isa_base)];
    irq = irq ? irq : isa_irq[before % ARRAY_SIZE(isa_irq)];
    if (irq > 15 || base > 0x10000 - NE2K_PORTS)
        return -EINVAL;
    nics->slot[nics->n].place.iobase = base;
    nics->slot[nics->n].place.irq = irq;
    return ne2k_isa_init(&card->ne2k, w->io, base, w->clk, pic_line(w->pic, irq, PIC_SOURCE_NIC), config->mac,
                         &config->back);
}

static unsigned free_slot(const struct pci_bus *pci)
{
    for (unsigned slot = FIRST_SLOT; slot < SLOTS; slot++)
        if (!pci->dev[slot << 3])
            return slot;
    return 0;
}

static int init_pci(struct nics *nics, union nics_card *card, const struct pc_nic *config, const struct nics_wires *w)
{
    unsigned slot = config->slot ? config->slot : free_slot(w->pci);
    struct irq_line pin = piix3_pin(w->bridge, slot, 1);
    struct pci_dev *dev = NULL;

    if (!slot)
        return -ENOSPC;
    if (slot >= SLOTS)
        return -EINVAL;
    switch (config->model) {
    case PC_NIC_NE2K_ISA: break;
    case PC_NIC_NE2K_PCI:
        ne2k_pci_init(&card->ne2k_pci, w->clk, pin, config->mac, &config->back);
        dev = &card->ne2k_pci.pci;
        break;
    case PC_NIC_E1000:
        e1000_init(&card->e1000, w->dma, w->clk, pin, config->mac, &config->back);
        dev = &card->e1000.pci;
        break;
    case PC_NIC_VIRTIO:
        virtio_net_init(&card->virtio, w->dma, pin, config->mac, &config->back);
        dev = &card->virtio.virtio.pci;
        break;
    case PC_NIC_RTL8139:
        rtl8139_init(&card->rtl8139, w->dma, w->clk, pin, config->mac, &config->back);
        dev = &card->rtl8139.pci;
        break;
    }
    nics->slot[nics->n].place.pci = dev;
    return dev ? pci_dev_plug(w->pci, dev, slot, 0) : -EINVAL;
}

int nics_init(struct nics *nics, const struct pc_nic *config, unsigned n, const struct nics_wires *w)
{
    memset(nics, 0, sizeof(*nics));
    if (n > PC_NICS)
        return -EINVAL;
    for (unsigned i = 0; i < n; i++) {
        union nics_card *card = calloc(1, sizeof(*card));
        int err;

        if (!card)
            return -ENOMEM;
        nics->slot[i].model = config[i].model;
        nics->slot[i].card = card;
        memcpy(nics->slot[i].place.mac, config[i].mac, NIC_MAC_BYTES);
        err = config[i].model == PC_NIC_NE2K_ISA ? init_isa(nics, card, &config[i], w)
                                                 : init_pci(nics, card, &config[i], w);
        nics->n++;
        if (err)
            return err;
    }
    return 0;
}

unsigned nics_units(struct nics *nics, struct state_unit *unit, unsigned max)
{
    unsigned n = 0;

    for (unsigned i = 0; i < nics->n && n < max; i++, n++) {
        union nics_card *card = nics->slot[i].card;

        unit[n].obj = card;
        snprintf(unit[n].name, sizeof(unit[n].name), "nic%u", i);
        switch (nics->slot[i].model) {
        case PC_NIC_NE2K_ISA:
            unit[n].table = &ne2k_state;
            unit[n].bytes = sizeof(card->ne2k);
            break;
        case PC_NIC_NE2K_PCI:
            unit[n].table = &ne2k_pci_state;
            unit[n].bytes = sizeof(card->ne2k_pci);
            break;
        case PC_NIC_E1000:
            unit[n].table = &e1000_state;
            unit[n].bytes = sizeof(card->e1000);
            break;
        case PC_NIC_VIRTIO:
            unit[n].table = &virtio_net_state;
            unit[n].bytes = sizeof(card->virtio);
            break;
        case PC_NIC_RTL8139:
            unit[n].table = &rtl8139_state;
            unit[n].bytes = sizeof(card->rtl8139);
            break;
        }
    }
    return n;
}

void nics_reset(struct nics *nics)
{
    for (unsigned i = 0; i < nics->n; i++)
        switch (nics->slot[i].model) {
        case PC_NIC_NE2K_ISA: ne2k_reset(&nics->slot[i].card->ne2k); break;
        case PC_NIC_NE2K_PCI: ne2k_reset(&nics->slot[i].card->ne2k_pci.core); break;
        case PC_NIC_E1000: e1000_reset(&nics->slot[i].card->e1000); break;
        case PC_NIC_VIRTIO: virtio_net_reset(&nics->slot[i].card->virtio); break;
        case PC_NIC_RTL8139: rtl8139_reset(&nics->slot[i].card->rtl8139); break;
        }
}

void nics_fini(struct nics *nics)
{
    for (unsigned i = 0; i < nics->n; i++)
        free(nics->slot[i].card);
    nics->n = 0;
}

const struct nic_front *nics_front(struct nics *nics, unsigned n)
{
    if (n >= nics->n)
        return NULL;
    switch (nics->slot[n].model) {
    case PC_NIC_NE2K_ISA: return &nics->slot[n].card->ne2k.front;
    case PC_NIC_NE2K_PCI: return &nics->slot[n].card->ne2k_pci.core.front;
    case PC_NIC_E1000: return &nics->slot[n].card->e1000.front;
    case PC_NIC_VIRTIO: return &nics->slot[n].card->virtio.front;
    case PC_NIC_RTL8139: return &nics->slot[n].card->rtl8139.front;
    }
    return NULL;
}
