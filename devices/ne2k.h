/*
 * ne2k.h - the NE2000 network card: on the ISA bus, and as the RTL8029 on PCI (10EC:8029).
 */
#ifndef NOVT_DEVICES_NE2K_H
#define NOVT_DEVICES_NE2K_H

#include "devices/bus.h"
#include "devices/clk.h"
#include "devices/nic.h"
#include "devices/pci.h"

#define NE2K_PORTS 32u
#define NE2K_PROM_BYTES 32u
#define NE2K_RAM_FIRST 0x4000u
#define NE2K_RAM_BYTES 0x8000u

struct ne2k {
    struct irq_line irq;
    struct nic_back back;
    struct nic_front front; /* for the back end */
    u8 prom[NE2K_PROM_BYTES];
    u8 ram[NE2K_RAM_BYTES]; /* at NE2K_RAM_FIRST of the chip's 64 KiB */
    u8 cr, isr, imr, dcr, rcr, tcr, tsr, rsr;
    u8 pstart, pstop, bnry, curr, tpsr; /* pages of 256 bytes */
    u16 tbcr, rsar, rbcr;
    u8 par[NIC_MAC_BYTES], mar[8];
    bool sending; /* a frame waits for the back end's room */
    bool held;    /* a frame waits for ours */
    struct clk *clk;
    struct clk_timer nudge;
    bool link_down;
    u8 frame[NIC_FRAME_MAX_BYTES]; /* scratch */
};

struct ne2k_pci {
    struct pci_dev pci;
    struct ne2k core;
};

int ne2k_isa_init(struct ne2k *n, struct io_bus *io, u16 base, struct clk *clk, struct irq_line irq,
                  const u8 *mac, const struct nic_back *back) MUST_CHECK;
/* Makes the function but does not plug it. */
void ne2k_pci_init(struct ne2k_pci *n, struct clk *clk, struct irq_line irq, const u8 *mac,
                   const struct nic_back *back);
void ne2k_reset(struct ne2k *n);

#endif
