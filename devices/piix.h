/*
 * piix.h - the chipset: i440FX host bridge, PIIX3 ISA bridge, PIIX4 power management function.
 */
#ifndef NOVT_DEVICES_PIIX_H
#define NOVT_DEVICES_PIIX_H

#include "devices/bus.h"
#include "devices/clk.h"
#include "devices/pci.h"
#include "devices/pic.h"

#define I440FX_AREAS 14 /* 640K-1M as PAM cuts it: A0000h (SMRAM), 12 of 16 KiB, F0000h */

struct i440fx {
    struct pci_dev pci;
    u8 area[I440FX_AREAS]; /* as last reported: bit 0 reads, bit 1 writes go to RAM; FFh = never */
    void (*pam_changed)(void *opaque, u32 gpa, u32 bytes, bool read_ram, bool write_ram);
    void *opaque;
};

int i440fx_init(struct i440fx *fx, struct pci_bus *pci,
                void (*pam_changed)(void *opaque, u32 gpa, u32 bytes, bool read_ram, bool write_ram),
                void *opaque) MUST_CHECK;

struct piix3 {
    struct pci_dev pci;
    struct pic *pic;
    u32 pirq[4]; /* PIRQA-D: which slots drive it (wired OR) */
    u16 driven;  /* ISA interrupts currently driven high for a PIRQ */
};

int piix3_init(struct piix3 *piix, struct pci_bus *pci, struct pic *pic) MUST_CHECK;
/* Interrupt pin 1-4 (INTA-D) of a slot as a line. */
struct irq_line piix3_pin(struct piix3 *piix, unsigned slot, unsigned pin);

struct piix4_pm {
    struct pci_dev pci;
    struct io_bus *io;
    struct clk *clk;
    struct irq_line sci;
    struct clk_timer timer; /* PM timer overflow while TMR_EN */
    u16 pm1_sts, pm1_en, pm1_cnt;
    u16 gpe_sts, gpe_en;
    u8 apm_control, apm_status;
    u8 smb[16];
    u64 overflow_tick;     /* PM timer tick at which TMR_STS is set next */
    u32 pm_base, smb_base; /* where the blocks are registered, 0 = nowhere */
    void (*poweroff)(void *opaque);
    void *opaque;
};

int piix4_pm_init(struct piix4_pm *pm, struct pci_bus *pci, struct clk *clk, struct irq_line sci,
                  void (*poweroff)(void *opaque), void *opaque) MUST_CHECK;
void piix4_pm_reset(struct piix4_pm *pm);
void piix4_pm_power_button(struct piix4_pm *pm);

#endif
