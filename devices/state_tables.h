/*
 * state_tables.h - the tables of all chips (state.h), for whoever lists a machine's units.
 *
 * They are in state_isa.c, state_apic.c, state_pci.c, state_disk.c and state_net.c, by theme.
 */
#ifndef NOVT_DEVICES_STATE_TABLES_H
#define NOVT_DEVICES_STATE_TABLES_H

#include "devices/state.h"

/* state_isa.c: struct clk, pit, pic, rtc, i8042, uart, parallel, i8237, a20, post_port, port92, fwcfg */
extern const struct state_table clk_state, pit_state, pic_state, rtc_state, i8042_state, uart_state, parallel_state, i8237_state,
    a20_state, post_state, port92_state, fwcfg_state;

/* state_pci.c: struct pci_bus, i440fx, piix3, piix4_pm, vga */
extern const struct state_table pci_bus_state, i440fx_state, piix3_state, piix4_pm_state, vga_state;
/* The part that every function of a PCI bus has. */
extern const struct state_table pci_dev_state;

/* state_apic.c: struct lapic, ioapic, hpet */
extern const struct state_table lapic_state, ioapic_state, hpet_state;

/* state_disk.c: struct ide, fdc */
extern const struct state_table ide_state, fdc_state;

/* state_net.c: struct ne2k, ne2k_pci, e1000, virtio_blk, virtio_net, rtl8139 */
extern const struct state_table ne2k_state, ne2k_pci_state, e1000_state, virtio_blk_state, virtio_net_state, rtl8139_state;

#endif
