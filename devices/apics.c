/*
 * apics.c - which interrupt goes where in a PC with APICs, and what people may see of them.
 *
 *     ISA and PCI interrupts -+-> 8259A pair --> LINT0 of the local APIC, and pin 0 of the I/O APIC
 *                             +-> I/O APIC: pin n, IRQ 0 at pin 2 --> local APIC --> CPU
 *
 * The firmware's tables say the same: SeaBIOS builds them and is told of IRQ 0's place by fw_cfg (etc/irq0-override). Without
 * APICs, as in a 486, the 8259A's request goes to the CPU.
 */
#include "devices/apics.h"

#include "devices/state_tables.h"

enum { PIC_SOURCE_HPET = 2, IRQ_PIT = 0, IRQ_RTC = 8, PIN_PIT = 2, ISA_INPUTS = 16 };

/* irq_line.fn: an ISA input moved. */
static bool isa_moved(void *opaque, unsigned irq, bool level)
{
    struct apics *a = opaque;
    return ioapic_set(&a->ioapic, irq == IRQ_PIT ? PIN_PIT : irq, level);
}

static bool pic_moved(void *opaque, unsigned n, bool level)
{
    struct apics *a = opaque;
    (void)n;
    if (!a->has_apic)
        return irq_set(a->intr, level);
    lapic_lint0(&a->lapic, level);
    (void)ioapic_set(&a->ioapic, IOAPIC_PIN_PIC, level);
    return true;
}

static bool hpet_moved(void *opaque, unsigned input, bool level)
{
    struct apics *a = opaque;
    if (input < ISA_INPUTS)
        return irq_set(pic_line(a->pic, input == PIN_PIT ? IRQ_PIT : input, PIC_SOURCE_HPET), level);
    return a->has_apic ? ioapic_set(&a->ioapic, input, level) : true;
}

static bool pic_request(void *pic)
{
    return pic_intr(pic);
}

static u8 pic_inta(void *pic)
{
    return pic_ack(pic);
}

int apics_init(struct apics *a, const struct apics_wires *wires)
{
    int err = 0;
    a->pic = wires->pic;
    a->intr = wires->intr;
    a->has_apic = wires->apic;
    a->has_hpet = wires->hpet;
    if (wires->apic) {
        const struct lapic_wires lapic = {
            .mmio = wires->mmio,
            .clk = wires->clk,
            .intr = wires->intr,
            .pic_intr = pic_request,
            .pic_ack = pic_inta,
            .pic = wires->pic,
            .eoi = ioapic_eoi,
            .eoi_to = &a->ioapic,
            .nmi = wires->nmi,
            .init = wires->init,
            .opaque = wires->opaque,
        };
        err = lapic_init(&a->lapic, &lapic);
        if (!err)
            err = ioapic_init(&a->ioapic, wires->mmio, &a->lapic);
        a->pic->mirror = (struct irq_line){.fn = isa_moved, .opaque = a};
    }
    if (!err && wires->hpet)
        err = hpet_init(&a->hpet, wires->mmio, wires->clk, (struct irq_line){.fn = hpet_moved, .opaque = a},
                        pic_line(a->pic, IRQ_PIT, 0), pic_line(a->pic, IRQ_RTC, 0));
    return err;
}

/* Before the 8259A pair's reset. */
void apics_reset(struct apics *a)
{
    if (a->has_hpet)
        hpet_reset(&a->hpet);
    if (!a->has_apic)
        return;
    ioapic_reset(&a->ioapic);
    lapic_reset(&a->lapic);
}

struct irq_line apics_pic_line(struct apics *a)
{
    return (struct irq_line){.fn = pic_moved, .opaque = a};
}

struct irq_line apics_pit_line(struct apics *a)
{
    return a->has_hpet ? hpet_pit_line(&a->hpet) : pic_line(a->pic, IRQ_PIT, 0);
}

struct irq_line apics_rtc_line(struct apics *a)
{
    return a->has_hpet ? hpet_rtc_line(&a->hpet) : pic_line(a->pic, IRQ_RTC, 0);
}

bool apics_intr(const struct apics *a)
{
    return a->has_apic ? lapic_intr(&a->lapic) : pic_intr(a->pic);
}

u8 apics_ack(struct apics *a)
{
    return a->has_apic ? lapic_ack(&a->lapic) : pic_ack(a->pic);
}

/* What a front panel's button does: LINT1, and the CPU's pin itself where there is no local APIC (the caller's business). */
void apics_nmi_button(struct apics *a)
{
    if (a->has_apic)
        lapic_lint1(&a->lapic);
}

/* Behind the 8259A pair, which says what LINT0 is. */
unsigned apics_units(struct apics *a, struct state_unit *unit)
{
    unsigned n = 0;
    if (a->has_hpet)
        unit[n++] = (struct state_unit){"hpet", &hpet_state, &a->hpet, sizeof(a->hpet)};
    if (a->has_apic) {
        unit[n++] = (struct state_unit){"ioapic", &ioapic_state, &a->ioapic, sizeof(a->ioapic)};
        unit[n++] = (struct state_unit){"lapic", &lapic_state, &a->lapic, sizeof(a->lapic)};
    }
    return n;
}

/* ---- for people ---- */

static const char *const modes[8] = {"Fixed", "LowPri", "SMI", "...", "NMI", "INIT", "SIPI", "ExtINT"};

static void put_lvt(struct info_sink *s, const char *name, u32 lvt, bool timer)
{
    static const char *const timer_modes[4] = {"one-shot", "periodic", "tsc-deadline", "..."};
    info_put(s, "%s\t 0x%08x %s %-5s %-6s %-6s", name, lvt, lvt & BIT(13) ? "active-lo" : "active-hi", lvt & BIT(15) ? "level" : "edge",
             lvt & BIT(16) ? "masked" : "", timer ? timer_modes[lvt >> 17 & 3] : modes[lvt >> 8 & 7]);
    if (timer || (lvt >> 8 & 7) < 2)
        info_put(s, " (vec %u)", lvt & 0xff);
    info_put(s, "\n");
}

static void put_set(struct info_sink *s, const char *name, const u32 *set, const u32 *level)
{
    bool any = false;
    info_put(s, "%s\t", name);
    for (unsigned i = 0; i < 256; i++) {
        if (!(set[i >> 5] >> (i & 31) & 1))
            continue;
        info_put(s, " %u%s", i, level[i >> 5] >> (i & 31) & 1 ? "(level)" : "");
        any = true;
    }
    info_put(s, any ? "\n" : " (none)\n");
}

void info_lapic(struct info_sink *s, struct apics *a)
{
    static const char *const names[LVT_COUNT] = {"LVTT", "LVTTHMR", "LVTPC", "LVT0", "LVT1", "LVTERR"};
    struct lapic *l = &a->lapic;
    if (!a->has_apic) {
        info_put(s, "this CPU has no local APIC\n");
        return;
    }
    info_put(s, "dumping local APIC state for CPU 0\n\nBASE\t 0x%016llx %s\n", (unsigned long long)l->base,
             lapic_enabled(l) ? "" : "(disabled)");
    for (unsigned i = LVT_COUNT; i--;)
        put_lvt(s, names[i], l->lvt[i], i == LVT_TIMER);
    info_put(s, "Timer\t DCR=0x%x initial_count = %u current_count = %u\n", l->divide, l->initial, lapic_timer_count(l));
    info_put(s, "SPIV\t 0x%08x APIC %s, focus=%s, spurious vec %u\n", l->svr, l->svr & BIT(8) ? "enabled" : "disabled",
             l->svr & BIT(9) ? "off" : "on", l->svr & 0xff);
    info_put(s, "ICR\t 0x%08x %s\nICR2\t 0x%08x\nESR\t 0x%08x\n", l->icr[0], modes[l->icr[0] >> 8 & 7], l->icr[1], l->esr);
    put_set(s, "ISR", l->isr, l->tmr);
    put_set(s, "IRR", l->irr, l->tmr);
    info_put(s, "\nID\t 0x%02x LDR 0x%08x DFR 0x%08x TPR 0x%02x PPR 0x%02x\n", l->id >> 24, l->ldr, l->dfr, l->tpr, lapic_ppr(l));
}

void info_lapic_irq(struct info_sink *s, const struct apics *a)
{
    if (!a->has_apic)
        return;
    info_put(s, "IRQ statistics for the local APIC, by vector:\n");
    for (unsigned i = 0; i < 256; i++)
        if (a->lapic.acks[i])
            info_put(s, "%2u: %llu\n", i, (unsigned long long)a->lapic.acks[i]);
}

void info_ioapic(struct info_sink *s, const struct apics *a)
{
    const struct ioapic *io = &a->ioapic;
    if (!a->has_apic) {
        info_put(s, "there is no I/O APIC\n");
        return;
    }
    info_put(s, "ioapic0: ver=0x20 id=0x%02x sel=0x%02x\n", io->id, io->select);
    for (unsigned i = 0; i < IOAPIC_PINS; i++) {
        u64 e = io->entry[i];
        info_put(s, "  pin %-2u 0x%016llx dest=%llx vec=%-3u %s %-5s %-6s %-8s %-6s%s%s\n", i, (unsigned long long)e,
                 (unsigned long long)(e >> 56), (unsigned)(e & 0xff), e & BIT(13) ? "active-lo" : "active-hi",
                 e & BIT(15) ? "level" : "edge", e & BIT(16) ? "masked" : "", e & BIT(11) ? "logical" : "physical", modes[e >> 8 & 7],
                 e & BIT(14) ? " remote-irr" : "", io->pins & BIT(i) ? " up" : "");
    }
}
