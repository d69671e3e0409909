/*
 * rtl8139.h - Realtek RTL8139C network card (10EC:8139).
 */
#ifndef NOVT_DEVICES_RTL8139_H
#define NOVT_DEVICES_RTL8139_H

#include "devices/bus.h"
#include "devices/clk.h"
#include "devices/nic.h"
#include "devices/pci.h"

#define RTL_TX_SLOTS 4

struct rtl8139 {
    struct pci_dev pci;
    struct dma_mem mem;
    struct irq_line irq;
    struct clk *clk;
    struct nic_back back;
    struct nic_front front; /* for the back end */
    u8 idr[NIC_MAC_BYTES], mar[8];
    u32 tsd[RTL_TX_SLOTS], tsad[RTL_TX_SLOTS];
    u8 tx_order[RTL_TX_SLOTS], tx_n; /* started and not sent yet, the oldest first */
    u32 rbstart, tcr, rcr;
    u16 capr, cbr, imr, isr;
    u8 cr, cr9346, config1, config3, config4;
    u16 bmcr, anar;
    u16 eeprom[64];
    u32 wire_in, wire_bits, wire_out; /* the EEPROM's serial interface: as struct e1000's */
    bool wire_reading;
    bool held; /* a frame waits for room in the ring */
    struct clk_timer nudge;
    u64 timer_from_ns; /* TCTR counts from here */
    bool link_down;
    u8 frame[NIC_FRAME_MAX_BYTES]; /* scratch */
};

/* Makes the function but does not plug it. */
void rtl8139_init(struct rtl8139 *n, const struct dma_mem *mem, struct clk *clk, struct irq_line irq,
                  const u8 *mac, const struct nic_back *back);
void rtl8139_reset(struct rtl8139 *n);

#endif
