/*
 * lapic.c - the local APIC (SDM vol. 3, chapter 11), as of a Pentium 4: version 14h, six local vectors, no x2APIC.
 *
 *     interrupt sources -> IRR -> (class above PPR's?) -> INTR -> INTA: ISR -> EOI
 *
 * A register is 32 bits at a multiple of 16 bytes. The timer is a function of the virtual time since its initial count was written;
 * the clock's timer only marks the expiries that somebody waits for. Periodic ones that a busy host delays are
 * delivered later, as the 8254's are, at most a second's worth.
 *
 * A PC has one CPU here: messages reach it or nobody. After reset LINT0 is ExtINT and LINT1 NMI and both are open, as firmware leaves
 * them, though a CPU out of its box has them masked: firmware that knows no APIC still gets its interrupts.
 */
#include "devices/lapic.h"

#include <string.h>

enum {
    REG_ID = 0x02,
    REG_VERSION = 0x03,
    REG_TPR = 0x08,
    REG_PPR = 0x0a,
    REG_EOI = 0x0b,
    REG_LDR = 0x0d,
    REG_DFR = 0x0e,
    REG_SVR = 0x0f,
    REG_ISR = 0x10,
    REG_TMR = 0x18,
    REG_IRR = 0x20,
    REG_ESR = 0x28,
    REG_ICR_LOW = 0x30,
    REG_ICR_HIGH = 0x31,
    REG_LVT = 0x32,
    REG_INITIAL = 0x38,
    REG_CURRENT = 0x39,
    REG_DIVIDE = 0x3e,
};

/*
 * LVT:  18-17 timer mode  16 masked  15 level  14 remote IRR  13 low  12 busy  10-8 delivery mode  7-0 vector
 * ICR:  19-18 shorthand  15 level  14 assert  11 logical destination  10-8 delivery mode  7-0 vector
 */
#define LVT_PERIODIC BIT(17)
#define LVT_MASKED BIT(16)
#define LVT_LEVEL BIT(15)
#define LVT_REMOTE_IRR BIT(14)
#define ICR_LEVEL BIT(15)
#define ICR_ASSERT BIT(14)
#define ICR_LOGICAL BIT(11)
#define SVR_ENABLE BIT(8)
#define ERR_SEND_VECTOR BIT(5)
#define ERR_RECEIVED_VECTOR BIT(6)
#define ERR_REGISTER BIT(7)
#define VERSION (0x14u | (LVT_COUNT - 1) << 16)
#define LEAST_VECTOR 16u
#define BASE_ADDRESS 0xffffff000ull /* of 36 address bits */
#define CATCH_UP_RATE 4u
#define NONE (-1)

static const u32 lvt_writable[LVT_COUNT] = {0x300ff, 0x107ff, 0x107ff, 0x1a7ff, 0x1a7ff, 0x100ff};

static unsigned mode_of(u32 reg)
{
    return reg >> 8 & 7;
}

/* ---- vectors ---- */

static bool bit_get(const u32 *set, u8 n)
{
    return set[n >> 5] >> (n & 31) & 1;
}

static void bit_put(u32 *set, u8 n, bool on)
{
    if (on)
        set[n >> 5] |= BIT(n & 31);
    else
        set[n >> 5] &= ~BIT(n & 31);
}

static int highest(const u32 *set)
{
    for (int i = 7; i >= 0; i--)
        if (set[i])
            return i * 32 + 31 - __builtin_clz(set[i]);
    return NONE;
}

u8 lapic_ppr(const struct lapic *a)
{
    int busy = highest(a->isr);
    u8 class = busy == NONE ? 0 : (u8)(busy & 0xf0);
    return (a->tpr & 0xf0) >= class ? a->tpr : class;
}

/* The vector that the CPU would take now. */
static int pending(const struct lapic *a)
{
    int want = highest(a->irr);
    if (want == NONE || !(a->svr & SVR_ENABLE) || !lapic_enabled(a))
        return NONE;
    return (want & 0xf0) > (lapic_ppr(a) & 0xf0) ? want : NONE;
}

static bool extint_pending(const struct lapic *a)
{
    const u32 lvt = a->lvt[LVT_LINT0];
    if (!lapic_enabled(a))
        return a->lint0;
    return (a->lint0 && !(lvt & LVT_MASKED) && mode_of(lvt) == LAPIC_EXTINT) || a->extint;
}

static void update(struct lapic *a)
{
    bool level = extint_pending(a) || pending(a) != NONE;
    if (level != a->intr_level) {
        a->intr_level = level;
        irq_set(a->w.intr, level);
    }
}

static bool accept_irq(struct lapic *a, u8 vector, bool level);

static void error(struct lapic *a, u32 what)
{
    u32 lvt = a->lvt[LVT_ERROR];
    a->errors |= what;
    /* An illegal vector in this entry would be the next error, and so on. */
    if (!(lvt & LVT_MASKED) && (lvt & 0xff) >= LEAST_VECTOR)
        (void)accept_irq(a, (u8)lvt, false);
}

/* False: it waits already, and this one is lost. */
static bool accept_irq(struct lapic *a, u8 vector, bool level)
{
    if (!(a->svr & SVR_ENABLE) || !lapic_enabled(a))
        return true;
    if (vector < LEAST_VECTOR) {
        error(a, ERR_RECEIVED_VECTOR);
        return true;
    }
    bool fresh = !bit_get(a->irr, vector);
    bit_put(a->irr, vector, true);
    bit_put(a->tmr, vector, level);
    update(a);
    return fresh;
}

static void nmi(struct lapic *a)
{
    if (a->w.nmi)
        a->w.nmi(a->w.opaque);
}

/* ---- messages ---- */

static bool is_addressed(const struct lapic *a, u8 dest, bool logical)
{
    u8 mine = (u8)(a->ldr >> 24);
    if (dest == 0xff)
        return true;
    if (!logical)
        return dest == a->id >> 24;
    if (a->dfr >> 28 == 0xf)
        return dest & mine;
    return a->dfr >> 28 == 0 && dest >> 4 == mine >> 4 && (dest & mine & 15);
}

bool lapic_message(struct lapic *a, u8 dest, bool logical, enum lapic_mode mode, u8 vector, bool level)
{
    if (!lapic_enabled(a) || !is_addressed(a, dest, logical))
        return true;
    switch (mode) {
    case LAPIC_FIXED:
    case LAPIC_LOWEST: return accept_irq(a, vector, level);
    case LAPIC_NMI: nmi(a); return true;
    case LAPIC_INIT:
        if (a->w.init)
            a->w.init(a->w.opaque);
        return true;
    default: return true; /* SMI: there is no SMM. A start-up message means nothing to a CPU that runs */
    }
}

static void write_icr(struct lapic *a, u32 val)
{
    enum { TO_DEST, TO_SELF, TO_ALL, TO_OTHERS } to = val >> 18 & 3;
    unsigned mode = mode_of(val);
    a->icr[0] = val & 0xccfff;
    if (mode <= LAPIC_LOWEST && (val & 0xff) < LEAST_VECTOR)
        error(a, ERR_SEND_VECTOR);
    else if (to == TO_OTHERS || mode == LAPIC_EXTINT || (to == TO_SELF && mode != LAPIC_FIXED))
        return;
    else if (mode == LAPIC_INIT && (val & ICR_LEVEL) && !(val & ICR_ASSERT))
        return; /* INIT level de-assert: what follows each INIT, and old CPUs synchronised by */
    else
        (void)lapic_message(a, to == TO_DEST ? (u8)(a->icr[1] >> 24) : 0xff, to == TO_DEST && (val & ICR_LOGICAL),
                            (enum lapic_mode)mode, (u8)val, false);
}

/* ---- LINT0, LINT1 ---- */

/* LINT0 as a source of its own vector (it may be; ExtINT is the usual). edge: it has just risen. */
static void lint0_local(struct lapic *a, bool edge)
{
    u32 *lvt = &a->lvt[LVT_LINT0];
    if ((*lvt & LVT_MASKED) || !a->lint0 || !lapic_enabled(a))
        return;
    if (mode_of(*lvt) == LAPIC_NMI && edge)
        nmi(a);
    if (mode_of(*lvt) != LAPIC_FIXED)
        return;
    if (!(*lvt & LVT_LEVEL)) {
        if (edge)
            (void)accept_irq(a, (u8)*lvt, false);
    } else if (!(*lvt & LVT_REMOTE_IRR)) {
        *lvt |= LVT_REMOTE_IRR;
        (void)accept_irq(a, (u8)*lvt, true);
    }
}

void lapic_lint0(struct lapic *a, bool level)
{
    bool edge = level && !a->lint0;
    a->lint0 = level;
    lint0_local(a, edge);
    update(a);
}

void lapic_extint(struct lapic *a, bool level)
{
    a->extint = level;
    update(a);
}

void lapic_lint1(struct lapic *a)
{
    u32 lvt = a->lvt[LVT_LINT1];
    if (!lapic_enabled(a))
        nmi(a);
    else if (!(lvt & LVT_MASKED) && mode_of(lvt) == LAPIC_NMI)
        nmi(a);
    else if (!(lvt & LVT_MASKED) && mode_of(lvt) == LAPIC_FIXED)
        (void)accept_irq(a, (u8)lvt, false);
}

/* ---- INTA and EOI ---- */

u8 lapic_ack(struct lapic *a)
{
    int vector = pending(a);
    if (vector == NONE) {
        if (extint_pending(a))
            return a->w.pic_ack(a->w.pic);
        return (u8)a->svr; /* it went away: the spurious vector */
    }
    bit_put(a->irr, (u8)vector, false);
    bit_put(a->isr, (u8)vector, true);
    a->acks[vector]++;
    update(a);
    return (u8)vector;
}

static void write_eoi(struct lapic *a)
{
    u32 *lint0 = &a->lvt[LVT_LINT0];
    int vector = highest(a->isr);
    if (vector == NONE)
        return;
    bit_put(a->isr, (u8)vector, false);
    if (bit_get(a->tmr, (u8)vector)) {
        if ((*lint0 & LVT_REMOTE_IRR) && (*lint0 & 0xff) == (u32)vector) {
            *lint0 &= ~LVT_REMOTE_IRR;
            lint0_local(a, false);
        }
        if (a->w.eoi)
            a->w.eoi(a->w.eoi_to, (u8)vector);
    }
    update(a);
}

/* ---- the timer ---- */

static unsigned divide_shift(const struct lapic *a)
{
    return ((a->divide & 3) + (a->divide >> 1 & 4) + 1) & 7; /* 000: by 2 ... 110: by 128, 111: by 1 */
}

static u64 elapsed(struct lapic *a, u64 now)
{
    return now > a->load_ns ? clk_muldiv(now - a->load_ns, LAPIC_HZ, CLK_SECOND_NS) >> divide_shift(a) : 0;
}

/* Rounded up: at that time elapsed() has reached `ticks`. */
static u64 ticks_ns(const struct lapic *a, u64 ticks)
{
    return clk_muldiv(ticks << divide_shift(a), CLK_SECOND_NS, LAPIC_HZ);
}
_Static_assert(CLK_SECOND_NS % LAPIC_HZ == 0, "a tick is a whole number of nanoseconds");

static bool is_periodic(const struct lapic *a)
{
    return a->lvt[LVT_TIMER] & LVT_PERIODIC;
}

u32 lapic_timer_count(struct lapic *a)
{
    u64 ticks = elapsed(a, clk_now(a->w.clk));
    if (!a->initial)
        return 0;
    if (is_periodic(a))
        return a->initial - (u32)(ticks % a->initial);
    return ticks < a->initial ? a->initial - (u32)ticks : 0;
}

/* A timer that nobody hears needs no event: its count is worked out when it is read. */
static void schedule(struct lapic *a, u64 now)
{
    if (a->initial && !is_periodic(a) && elapsed(a, now) >= a->initial && !a->timer.armed)
        a->timer_due = false; /* it ran out while it was masked */
    if (!a->initial || (a->lvt[LVT_TIMER] & LVT_MASKED) || !(a->svr & SVR_ENABLE) || (!is_periodic(a) && !a->timer_due))
        clk_timer_cancel(a->w.clk, &a->timer);
    else
        clk_timer_set(a->w.clk, &a->timer, a->load_ns + ticks_ns(a, is_periodic(a) ? a->next_edge * a->initial : a->initial));
}

static void on_timer(void *opaque, u64 now)
{
    struct lapic *a = opaque;
    u8 vector = (u8)a->lvt[LVT_TIMER];
    if (!a->initial)
        return;
    if (!is_periodic(a)) {
        a->timer_due = false;
        (void)accept_irq(a, vector, false);
        return;
    }
    u64 newest = elapsed(a, now) / a->initial, cap = (LAPIC_HZ >> divide_shift(a)) / a->initial + 1;
    if (newest >= a->next_edge) {
        if (newest - a->next_edge > cap)
            a->next_edge = newest - cap;
        if (accept_irq(a, vector, false))
            a->next_edge++;
    }
    if (newest >= a->next_edge)
        clk_timer_set(a->w.clk, &a->timer, now + ticks_ns(a, a->initial / CATCH_UP_RATE + 1));
    else
        schedule(a, now);
}

static void write_initial(struct lapic *a, u32 val)
{
    a->initial = val;
    a->load_ns = clk_now(a->w.clk);
    a->next_edge = 1;
    a->timer_due = val != 0;
    clk_timer_cancel(a->w.clk, &a->timer);
    schedule(a, a->load_ns);
}

/* The mode or the speed changed: what would have expired in the new one's past is not owed. */
static void retime(struct lapic *a)
{
    u64 now = clk_now(a->w.clk);
    if (a->initial && is_periodic(a))
        a->next_edge = elapsed(a, now) / a->initial + 1;
    schedule(a, now);
}

static void write_lvt(struct lapic *a, unsigned n, u32 val)
{
    u32 old = a->lvt[n];
    val &= lvt_writable[n];
    if (!(a->svr & SVR_ENABLE))
        val |= LVT_MASKED;
    if (n == LVT_LINT0 && (val & LVT_LEVEL) && mode_of(val) == LAPIC_FIXED)
        val |= old & LVT_REMOTE_IRR;
    a->lvt[n] = val;
    if (n == LVT_LINT0) {
        lint0_local(a, false);
        update(a);
    } else if (n == LVT_TIMER && ((old ^ val) & (LVT_MASKED | LVT_PERIODIC))) {
        retime(a);
    }
}

static void write_svr(struct lapic *a, u32 val)
{
    a->svr = val & 0x3ff;
    if (!(val & SVR_ENABLE)) {
        for (unsigned i = 0; i < LVT_COUNT; i++)
            a->lvt[i] |= LVT_MASKED;
        retime(a);
    }
    update(a);
}

/* ---- registers ---- */

static u32 reg_get(struct lapic *a, unsigned reg)
{
    switch (reg) {
    case REG_ID: return a->id;
    case REG_VERSION: return VERSION;
    case REG_TPR: return a->tpr;
    case REG_PPR: return lapic_ppr(a);
    case REG_LDR: return a->ldr;
    case REG_DFR: return a->dfr;
    case REG_SVR: return a->svr;
    case REG_ESR: return a->esr;
    case REG_ICR_LOW: return a->icr[0];
    case REG_ICR_HIGH: return a->icr[1];
    case REG_INITIAL: return a->initial;
    case REG_CURRENT: return lapic_timer_count(a);
    case REG_DIVIDE: return a->divide;
    case 0x09: /* arbitration priority */
    case REG_EOI:
    case 0x0c: /* remote read */ return 0;
    default: break;
    }
    if (reg >= REG_LVT && reg < REG_LVT + LVT_COUNT)
        return a->lvt[reg - REG_LVT];
    if (reg >= REG_ISR && reg < REG_ISR + 8)
        return a->isr[reg - REG_ISR];
    if (reg >= REG_TMR && reg < REG_TMR + 8)
        return a->tmr[reg - REG_TMR];
    if (reg >= REG_IRR && reg < REG_IRR + 8)
        return a->irr[reg - REG_IRR];
    error(a, ERR_REGISTER);
    return 0;
}

static void reg_set(struct lapic *a, unsigned reg, u32 val)
{
    switch (reg) {
    case REG_EOI: write_eoi(a); return;
    case REG_INITIAL: write_initial(a, val); return;
    case REG_TPR:
        a->tpr = (u8)val;
        update(a);
        return;
    case REG_ICR_LOW: write_icr(a, val); return;
    case REG_ICR_HIGH: a->icr[1] = val & 0xff000000; return;
    case REG_ID: a->id = val & 0xff000000; return;
    case REG_LDR: a->ldr = val & 0xff000000; return;
    case REG_DFR: a->dfr = val | 0x0fffffff; return;
    case REG_SVR: write_svr(a, val); return;
    case REG_ESR:
        a->esr = a->errors;
        a->errors = 0;
        return;
    case REG_DIVIDE:
        a->divide = val & 0xb;
        retime(a);
        return;
    case REG_VERSION:
    case REG_CURRENT:
    case REG_PPR:
    case 0x09:
    case 0x0c: return;
    default: break;
    }
    if (reg >= REG_LVT && reg < REG_LVT + LVT_COUNT)
        write_lvt(a, reg - REG_LVT, val);
    else if (reg < REG_ISR || reg >= REG_IRR + 8)
        error(a, ERR_REGISTER);
}

/* Narrow reads see their part of the register; what is between registers is zeros. */
static u32 mmio_read(void *opaque, u32 offset, unsigned size)
{
    (void)size;
    return (offset & 15) < 4 ? reg_get(opaque, offset >> 4) >> (8 * (offset & 3)) : 0;
}

static void mmio_write(void *opaque, u32 offset, unsigned size, u32 val)
{
    if (size == 4 && !(offset & 15))
        reg_set(opaque, offset >> 4, val);
}

static const struct bus_ops ops = {.read = mmio_read, .write = mmio_write, .max_size = 4};

/* Where a PCI card's memory is already, the registers are not. */
static void place(struct lapic *a)
{
    u64 at = lapic_enabled(a) ? a->base & BASE_ADDRESS : 0;
    if (at == a->mapped)
        return;
    if (a->mapped)
        (void)mmio_bus_unregister(a->w.mmio, a->mapped);
    a->mapped = at && !mmio_bus_register(a->w.mmio, at, PAGE_BYTES, &ops, a) ? at : 0;
}

bool lapic_set_base(struct lapic *a, u64 value)
{
    if (value & ~(BASE_ADDRESS | LAPIC_BASE_EN | LAPIC_BASE_BSP))
        return false;
    if (lapic_enabled(a) && !(value & LAPIC_BASE_EN))
        write_svr(a, 0xff); /* back on, it is as after reset: switched off by software */
    a->base = value;
    place(a);
    update(a);
    return true;
}

static void reset_state(struct lapic *a)
{
    clk_timer_cancel(a->w.clk, &a->timer);
    a->id = a->ldr = 0;
    a->dfr = 0xffffffff;
    a->svr = 0xff;
    a->tpr = 0;
    a->esr = a->errors = 0;
    a->divide = a->initial = 0;
    a->timer_due = false;
    a->load_ns = a->next_edge = 0;
    memset(a->icr, 0, sizeof(a->icr));
    memset(a->isr, 0, sizeof(a->isr));
    memset(a->tmr, 0, sizeof(a->tmr));
    memset(a->irr, 0, sizeof(a->irr));
    for (unsigned i = 0; i < LVT_COUNT; i++)
        a->lvt[i] = LVT_MASKED;
    a->lvt[LVT_LINT0] = LAPIC_EXTINT << 8;
    a->lvt[LVT_LINT1] = LAPIC_NMI << 8;
}

void lapic_reset(struct lapic *a)
{
    reset_state(a);
    a->base = LAPIC_BASE | LAPIC_BASE_EN | LAPIC_BASE_BSP;
    a->lint0 = a->w.pic_intr(a->w.pic);
    place(a);
    update(a);
}

int lapic_init(struct lapic *a, const struct lapic_wires *wires)
{
    memset(a, 0, sizeof(*a));
    a->w = *wires;
    clk_timer_init(&a->timer, on_timer, a);
    lapic_reset(a);
    return a->mapped ? 0 : -EEXIST;
}

void lapic_restored(void *lapic)
{
    struct lapic *a = lapic;
    place(a);
    irq_set(a->w.intr, a->intr_level);
}
