/*
 * lapic.h - the CPU's local APIC: interrupts by priority, a timer, and the way for the 8259A's.
 *
 * It stands between every interrupt source and the CPU's INTR pin. Switched off, or as the firmware leaves it (LINT0 as ExtINT: the
 * "virtual wire"), it passes the 8259A's request through, so that guests that know nothing of it see a PC AT.
 */
#ifndef NOVT_DEVICES_LAPIC_H
#define NOVT_DEVICES_LAPIC_H

#include "devices/bus.h"
#include "devices/clk.h"

#define LAPIC_HZ 100000000u /* of the timer, before its divider; CPUID leaf 15h says so too */
#define LAPIC_BASE 0xfee00000u
#define LAPIC_BASE_EN BIT(11)
#define LAPIC_BASE_BSP BIT(8)
#define LAPIC_NMI_NONE 0xffu

enum lapic_mode { LAPIC_FIXED, LAPIC_LOWEST, LAPIC_SMI, LAPIC_NMI = 4, LAPIC_INIT, LAPIC_STARTUP, LAPIC_EXTINT };
enum lapic_lvt { LVT_TIMER, LVT_THERMAL, LVT_PERF, LVT_LINT0, LVT_LINT1, LVT_ERROR, LVT_COUNT };

struct lapic_wires {
    struct mmio_bus *mmio;
    struct clk *clk;
    struct irq_line intr;              /* to the CPU */
    bool (*pic_intr)(void *pic);       /* LINT0: the 8259A's request, and its INTA cycle */
    u8 (*pic_ack)(void *pic);
    void *pic;
    void (*eoi)(void *to, u8 vector);  /* of a level-triggered interrupt: to the I/O APIC */
    void *eoi_to;
    void (*nmi)(void *opaque);         /* the CPU's NMI and INIT pins; may be NULL */
    void (*init)(void *opaque);
    void *opaque;
};

struct lapic {
    struct lapic_wires w;
    u64 base; /* IA32_APIC_BASE */
    u32 id, ldr, dfr, svr;
    u32 icr[2];
    u32 lvt[LVT_COUNT];
    u32 isr[8], tmr[8], irr[8];
    u32 esr, errors; /* as shown, and found since ESR was last written */
    u8 tpr;
    bool lint0;      /* level of the pin: the 8259A's INTR */
    bool extint;     /* an ExtINT pin of the I/O APIC is up */
    bool intr_level; /* to the CPU */
    bool timer_due;  /* one shot: the count has not reached zero yet */
    u32 divide;      /* timer: divide configuration as written */
    u32 initial;     /* initial count, 0: stands still */
    u64 load_ns;     /* when it was written */
    u64 next_edge;   /* periodic: the first expiry, counted from the load, that was not delivered yet */
    struct clk_timer timer;
    u64 mapped;      /* where the registers are registered, 0: nowhere */
    u64 acks[256];   /* interrupts taken, for people */
};

int lapic_init(struct lapic *a, const struct lapic_wires *wires) MUST_CHECK;
void lapic_reset(struct lapic *a);

/* The MSR. False, and nothing happened: a value that is #GP. */
bool lapic_set_base(struct lapic *a, u64 value);
static inline bool lapic_enabled(const struct lapic *a)
{
    return a->base & LAPIC_BASE_EN;
}

/* The 8259A's INTR moved, and the I/O APIC's ExtINT pins. */
void lapic_lint0(struct lapic *a, bool level);
void lapic_extint(struct lapic *a, bool level);
/* The NMI button: LINT1, as its LVT says. */
void lapic_lint1(struct lapic *a);

/* A message on the APIC bus. False: an edge that was lost, the one before is still waiting. */
bool lapic_message(struct lapic *a, u8 dest, bool logical, enum lapic_mode mode, u8 vector, bool level);

/* INTA: the vector. */
u8 lapic_ack(struct lapic *a);
static inline bool lapic_intr(const struct lapic *a)
{
    return a->intr_level;
}

/* After all of its state was replaced. */
void lapic_restored(void *lapic);

u8 lapic_ppr(const struct lapic *a);
u32 lapic_timer_count(struct lapic *a);

#endif
