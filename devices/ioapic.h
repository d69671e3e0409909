/*
 * ioapic.h - the I/O APIC (82093AA): 24 pins, each with the vector and the manner in which it reaches the local APIC.
 *
 * Pins 0-15 are the ISA interrupts, which the 8259A pair has as well; IRQ 0 is pin 2 and pin 0 is the 8259A's INTR.
 */
#ifndef NOVT_DEVICES_IOAPIC_H
#define NOVT_DEVICES_IOAPIC_H

#include "devices/bus.h"
#include "devices/lapic.h"

#define IOAPIC_PINS 24u
#define IOAPIC_BASE 0xfec00000u
#define IOAPIC_PIN_PIC 0u

struct ioapic {
    struct lapic *lapic;
    u64 entry[IOAPIC_PINS];
    u32 pins; /* levels */
    u8 id, select;
};

int ioapic_init(struct ioapic *io, struct mmio_bus *mmio, struct lapic *lapic) MUST_CHECK;
void ioapic_reset(struct ioapic *io);

/* irq_line.fn with the pin as n: false when a rising edge was lost. */
bool ioapic_set(void *ioapic, unsigned pin, bool level);
/* The CPU ended a level-triggered interrupt. */
void ioapic_eoi(void *ioapic, u8 vector);

#endif
