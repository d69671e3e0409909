/*
 * ioapic.c - I/O APIC: registers by index and data (Intel 82093AA data sheet), with the EOI register of version 20h.
 *
 * An edge at an open pin is a message at once. A level is one whenever the pin is up and no earlier one waits for its EOI (remote IRR).
 * Edges at a masked pin are lost, as the data sheet has it.
 *
 * Lines carry assertions, not volts: the polarity bit is kept and believed to fit the pin, as in QEMU, so that guests that take PCI's
 * electrical rule (active low) and those that take the firmware's word (active high) both work.
 *
 * Entry:  63-56 destination  16 masked  15 level  14 remote IRR  13 low  12 busy  11 logical  10-8 delivery mode  7-0 vector
 */
#include "devices/ioapic.h"

#include <string.h>

enum { OFF_SELECT = 0x00, OFF_DATA = 0x10, OFF_EOI = 0x40 };
enum { REG_ID, REG_VERSION, REG_ARBITRATION, REG_ENTRY = 0x10 };
#define ENTRY_MASKED BIT(16)
#define ENTRY_LEVEL BIT(15)
#define ENTRY_REMOTE_IRR BIT(14)
#define ENTRY_LOGICAL BIT(11)
#define ENTRY_READ_ONLY ((u64)(ENTRY_REMOTE_IRR | BIT(12)))
#define ENTRY_WRITABLE 0xff0000000001afffull
#define VERSION (0x20u | (IOAPIC_PINS - 1) << 16)

static unsigned mode_of(u64 entry)
{
    return entry >> 8 & 7;
}

/* ExtINT pins have no vector: while one is up, the 8259A is asked for it. */
static void update_extint(struct ioapic *io)
{
    bool up = false;
    for (unsigned i = 0; i < IOAPIC_PINS; i++)
        up |= (io->pins & BIT(i)) && !(io->entry[i] & ENTRY_MASKED) && mode_of(io->entry[i]) == LAPIC_EXTINT;
    if (up != io->lapic->extint)
        lapic_extint(io->lapic, up);
}

/* False: an edge that is lost. */
static bool send(struct ioapic *io, unsigned pin)
{
    u64 *e = &io->entry[pin];
    unsigned mode = mode_of(*e);
    bool level = (*e & ENTRY_LEVEL) && mode <= LAPIC_LOWEST; /* the other modes are edges whatever bit 15 says */
    if (*e & ENTRY_MASKED)
        return true;
    if (mode == LAPIC_EXTINT) {
        update_extint(io);
        return true;
    }
    if (level && (*e & ENTRY_REMOTE_IRR))
        return true;
    if (level)
        *e |= ENTRY_REMOTE_IRR;
    return lapic_message(io->lapic, (u8)(*e >> 56), *e & ENTRY_LOGICAL, (enum lapic_mode)mode, (u8)*e, level);
}

bool ioapic_set(void *ioapic, unsigned pin, bool level)
{
    struct ioapic *io = ioapic;
    bool rose;
    if (pin >= IOAPIC_PINS)
        return true;
    rose = level && !(io->pins & BIT(pin));
    io->pins = level ? io->pins | BIT(pin) : io->pins & ~BIT(pin);
    if (mode_of(io->entry[pin]) == LAPIC_EXTINT)
        update_extint(io);
    return rose ? send(io, pin) : true;
}

void ioapic_eoi(void *ioapic, u8 vector)
{
    struct ioapic *io = ioapic;
    for (unsigned i = 0; i < IOAPIC_PINS; i++) {
        u64 *e = &io->entry[i];
        if ((u8)*e != vector || !(*e & ENTRY_REMOTE_IRR))
            continue;
        *e &= ~(u64)ENTRY_REMOTE_IRR;
        if ((*e & ENTRY_LEVEL) && (io->pins & BIT(i)))
            (void)send(io, i);
    }
}

static void write_entry(struct ioapic *io, unsigned reg, u32 val)
{
    unsigned pin = (reg - REG_ENTRY) / 2, shift = reg & 1 ? 32 : 0;
    u64 *e = &io->entry[pin], half = 0xffffffffull << shift;
    *e = (*e & (~half | ENTRY_READ_ONLY)) | ((u64)val << shift & half & ENTRY_WRITABLE);
    if (!(*e & ENTRY_LEVEL))
        *e &= ~(u64)ENTRY_REMOTE_IRR; /* how software clears it where there is no EOI register */
    update_extint(io);
    if ((*e & ENTRY_LEVEL) && (io->pins & BIT(pin)) && mode_of(*e) <= LAPIC_LOWEST)
        (void)send(io, pin);
}

static u32 data_read(const struct ioapic *io)
{
    unsigned reg = io->select;
    if (reg == REG_ID || reg == REG_ARBITRATION)
        return (u32)io->id << 24;
    if (reg == REG_VERSION)
        return VERSION;
    if (reg >= REG_ENTRY && reg < REG_ENTRY + 2 * IOAPIC_PINS)
        return (u32)(io->entry[(reg - REG_ENTRY) / 2] >> (reg & 1 ? 32 : 0));
    return 0;
}

static u32 mmio_read(void *opaque, u32 offset, unsigned size)
{
    const struct ioapic *io = opaque;
    u32 v = 0;
    (void)size;
    if ((offset & ~3u) == OFF_SELECT)
        v = io->select;
    else if ((offset & ~3u) == OFF_DATA)
        v = data_read(io);
    return v >> (8 * (offset & 3));
}

static void mmio_write(void *opaque, u32 offset, unsigned size, u32 val)
{
    struct ioapic *io = opaque;
    if (offset == OFF_SELECT)
        io->select = (u8)val;
    else if (offset == OFF_EOI)
        ioapic_eoi(io, (u8)val);
    else if (offset == OFF_DATA && size == 4 && io->select == REG_ID)
        io->id = val >> 24 & 15;
    else if (offset == OFF_DATA && size == 4 && io->select >= REG_ENTRY && io->select < REG_ENTRY + 2 * IOAPIC_PINS)
        write_entry(io, io->select, val);
}

static const struct bus_ops ops = {.read = mmio_read, .write = mmio_write, .max_size = 4};

int ioapic_init(struct ioapic *io, struct mmio_bus *mmio, struct lapic *lapic)
{
    memset(io, 0, sizeof(*io));
    io->lapic = lapic;
    ioapic_reset(io);
    return mmio_bus_register(mmio, IOAPIC_BASE, PAGE_BYTES, &ops, io);
}

/* The pins stay as their devices drive them. */
void ioapic_reset(struct ioapic *io)
{
    io->id = io->select = 0;
    for (unsigned i = 0; i < IOAPIC_PINS; i++)
        io->entry[i] = ENTRY_MASKED;
    update_extint(io);
}
