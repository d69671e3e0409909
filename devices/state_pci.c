/*
 * state_pci.c - what the PCI functions of the board save: configuration spaces, chipset, power management, VGA.
 *
 * The VGA's memory is true once its mappings were taken back (pc_quiesce()). Where BARs and ports are decoded follows from the
 * configuration: pci_restored() sees to it when all functions are in.
 */
#include <string.h>

#include "devices/pci.h"
#include "devices/piix.h"
#include "devices/state_tables.h"
#include "devices/vga_mem.h"

#define S struct pci_dev
static const struct state_field pci_dev_rows[] = {STATE_BYTES(S, config)};

/* The same kind of function: ids, class, header type. */
static const char *check_pci_dev(const void *obj)
{
    const struct pci_dev *d = obj;
    bool same = !memcmp(d->config, d->reset_config, 4) &&
                !memcmp(d->config + PCI_REVISION, d->reset_config + PCI_REVISION, 4) &&
                d->config[PCI_HEADER] == d->reset_config[PCI_HEADER] &&
                !memcmp(d->config + PCI_SUBSYS_VENDOR, d->reset_config + PCI_SUBSYS_VENDOR, 4);

    return same ? NULL : "another PCI function";
}
STATE_TABLE(pci_dev_state, pci_dev_rows, check_pci_dev, NULL);
#undef S

#define S struct pci_bus
static const struct state_field pci_bus_rows[] = {STATE(S, address), STATE(S, reset_control)};

static void bus_restored(void *obj)
{
    pci_restored(obj);
}
STATE_TABLE(pci_bus_state, pci_bus_rows, NULL, bus_restored);
#undef S

#define S struct i440fx
static const struct state_field i440fx_rows[] = {STATE_PART(S, pci, &pci_dev_state)};
STATE_TABLE(i440fx_state, i440fx_rows, NULL, NULL);
#undef S

#define S struct piix3
static const struct state_field piix3_rows[] = {STATE_PART(S, pci, &pci_dev_state), STATE_ARRAY(S, pirq),
                                                STATE(S, driven)};
STATE_TABLE(piix3_state, piix3_rows, NULL, NULL);
#undef S

#define S struct piix4_pm
static const struct state_field piix4_rows[] = {
    STATE_PART(S, pci, &pci_dev_state),
    STATE_TIMER(S, timer),
    STATE(S, pm1_sts),
    STATE(S, pm1_en),
    STATE(S, pm1_cnt),
    STATE(S, gpe_sts),
    STATE(S, gpe_en),
    STATE(S, apm_control),
    STATE(S, apm_status),
    STATE_BYTES(S, smb),
    STATE_MAX(S, overflow_tick, STATE_TIME_MAX),
};
STATE_TABLE(piix4_pm_state, piix4_rows, NULL, NULL);
#undef S

#define S struct vga
static const struct state_field vga_rows[] = {
    STATE_PART(S, pci, &pci_dev_state),
    STATE_MEMORY(S, vram, VGA_VRAM_BYTES),
    STATE(S, misc),
    STATE(S, feature),
    STATE_MAX(S, seq_index, 7),
    STATE_BYTES(S, seq),
    STATE_MAX(S, gfx_index, 15),
    STATE_BYTES(S, gfx),
    STATE(S, attr_index),
    STATE_BYTES(S, attr),
    STATE_BOOL(S, attr_data),
    STATE(S, crtc_index),
    STATE_BYTES(S, crtc),
    STATE(S, dac_mask),
    STATE(S, dac_state),
    STATE(S, dac_read),
    STATE(S, dac_write),
    STATE_MAX(S, dac_sub, 2),
    STATE_BYTES(S, dac_latch),
    STATE_BYTES(S, palette),
    STATE_BYTES(S, latch),
    STATE(S, vbe_index),
    STATE_ARRAY(S, vbe),
    STATE_MAX(S, bank, VGA_VRAM_BYTES - 0x10000),
};
static void vga_restored(void *obj)
{
    struct vga *vga = obj;

    vga_map_update(vga);
    vga_note(vga, 0, VGA_VRAM_BYTES);
}
STATE_TABLE(vga_state, vga_rows, NULL, vga_restored);
#undef S
