/*
 * apics.h - what a PC of the APIC age adds to the 8259A pair: local APIC, I/O APIC and, if asked for, an HPET; wired to each other.
 */
#ifndef NOVT_DEVICES_APICS_H
#define NOVT_DEVICES_APICS_H

#include "devices/hpet.h"
#include "devices/ioapic.h"
#include "devices/lapic.h"
#include "devices/pc_info.h"
#include "devices/pic.h"
#include "devices/state.h"

struct apics_wires {
    bool apic, hpet; /* which of them there are */
    struct mmio_bus *mmio;
    struct clk *clk;
    struct pic *pic;
    struct irq_line intr; /* to the CPU */
    void (*nmi)(void *opaque);
    void (*init)(void *opaque);
    void *opaque;
};

struct apics {
    struct pic *pic;
    struct irq_line intr;
    bool has_apic, has_hpet;
    struct lapic lapic;
    struct ioapic ioapic;
    struct hpet hpet;
};

/* After pic_init(), whose INTR goes to apics_pic_line(). */
int apics_init(struct apics *a, const struct apics_wires *wires) MUST_CHECK;
void apics_reset(struct apics *a);
struct irq_line apics_pic_line(struct apics *a);
/* Where the 8254 and the RTC go. */
struct irq_line apics_pit_line(struct apics *a);
struct irq_line apics_rtc_line(struct apics *a);

bool apics_intr(const struct apics *a);
u8 apics_ack(struct apics *a);
void apics_nmi_button(struct apics *a);

unsigned apics_units(struct apics *a, struct state_unit *unit);
void info_lapic(struct info_sink *s, struct apics *a);
void info_lapic_irq(struct info_sink *s, const struct apics *a); /* interrupts taken */
void info_ioapic(struct info_sink *s, const struct apics *a);

#endif
