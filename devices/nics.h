/*
 * nics.h - the PC's network cards: from the config to chips on the buses.
 */
#ifndef NOVT_DEVICES_NICS_H
#define NOVT_DEVICES_NICS_H

#include "devices/devices.h"
#include "devices/piix.h"
#include "devices/state.h"

union nics_card;

/* Where a card is plugged in. */
struct nics_place {
    const struct pci_dev *pci; /* NULL: on ISA, at */
    u16 iobase;
    u8 irq;
    u8 mac[NIC_MAC_BYTES];
};

struct nics {
    struct nics_slot {
        enum pc_nic_model model;
        union nics_card *card;
        struct nics_place place;
    } slot[PC_NICS];
    unsigned n;
};

/* What there is to be connected to. */
struct nics_wires {
    struct io_bus *io;
    struct pci_bus *pci;
    struct piix3 *bridge;
    struct pic *pic;
    struct clk *clk;
    const struct dma_mem *dma;
};

/* -EINVAL: no such model or slot; -EEXIST: ports or slot are taken; -ENOSPC: no slot left. */
int nics_init(struct nics *nics, const struct pc_nic *config, unsigned n,
              const struct nics_wires *wires) MUST_CHECK;
void nics_reset(struct nics *nics);
void nics_fini(struct nics *nics);
/* What the cards save: at most max units; returns how many. */
unsigned nics_units(struct nics *nics, struct state_unit *unit, unsigned max);
const struct nic_front *nics_front(struct nics *nics, unsigned n);

#endif
