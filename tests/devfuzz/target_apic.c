/*
 * target_apic.c - the local APIC, the I/O APIC and the HPET: their registers, mostly with values that mean something, and the MSR.
 *
 * Machines have them or not, as devfuzz.c throws it; where they are not, this is traffic to nobody.
 */
#include "devfuzz.h"

enum { IOAPIC = 0xfec00000, HPET = 0xfed00000, LAPIC = 0xfee00000 };

static u32 get(struct fuzz *f, u32 gpa)
{
    return (u32)pc_mmio_read(f->pc, gpa, 4);
}

static void set(struct fuzz *f, u32 gpa, u32 val)
{
    pc_mmio_write(f->pc, gpa, 4, val);
}

/* Vector, delivery mode, level, mask: an LVT, an ICR or an I/O APIC's entry. */
static u32 some_entry(struct fuzz *f)
{
    return fuzz_below(f, 256) | fuzz_below(f, 8) << 8 | fuzz_below(f, 2) << 15 | (fuzz_below(f, 4) ? 0 : 1u << 16) | fuzz_below(f, 4) << 18;
}

static void lapic(struct fuzz *f)
{
    switch (fuzz_below(f, 8)) {
    case 0: set(f, LAPIC + 0xf0, 0x100 | fuzz_below(f, 256)); break;
    case 1: set(f, LAPIC + 0x300, some_entry(f)); break;
    case 2: set(f, LAPIC + 0x320 + 16 * fuzz_below(f, 6), some_entry(f) | fuzz_below(f, 4) << 17); break;
    case 3: set(f, LAPIC + 0x380, fuzz_edge(f)); break;
    case 4: set(f, LAPIC + 0x3e0, fuzz_below(f, 16)); break;
    case 5: set(f, LAPIC + 0xb0, 0); break;
    case 6: (void)get(f, LAPIC + 16 * fuzz_below(f, 64)); break;
    default: set(f, LAPIC + 16 * fuzz_below(f, 64), fuzz_edge(f));
    }
}

static void ioapic(struct fuzz *f)
{
    set(f, IOAPIC, fuzz_below(f, 8) ? 0x10 + fuzz_below(f, 48) : fuzz_edge(f));
    if (fuzz_below(f, 4))
        set(f, IOAPIC + 0x10, fuzz_below(f, 4) ? some_entry(f) : fuzz_edge(f));
    else if (fuzz_below(f, 2))
        (void)get(f, IOAPIC + 0x10);
    else
        set(f, IOAPIC + 0x40, fuzz_below(f, 256));
}

static void hpet(struct fuzz *f)
{
    u32 timer = HPET + 0x100 + 0x20 * fuzz_below(f, 3);
    switch (fuzz_below(f, 6)) {
    case 0: set(f, HPET + 0x10, fuzz_below(f, 4)); break;
    case 1: set(f, timer, fuzz_below(f, 0x8000)); break;
    case 2: set(f, timer + 8, fuzz_below(f, 2) ? get(f, HPET + 0xf0) + fuzz_below(f, 100000) : fuzz_edge(f)); break;
    case 3: set(f, timer + 12, fuzz_edge(f)); break;
    case 4: set(f, HPET + 0x20, fuzz_below(f, 8)); break;
    default: set(f, HPET + 4 * fuzz_below(f, 96), fuzz_edge(f));
    }
}

void target_apic(struct fuzz *f)
{
    static const char *const what[] = {"pic", "lapic", "ioapic", "irq"};
    char text[64];
    switch (fuzz_below(f, 16)) {
    case 0: (void)pc_set_apic_base(f->pc, fuzz_below(f, 2) ? 0xfee00900 : fuzz_edge(f) | (u64)fuzz_below(f, 32) << 32); break;
    case 1: pc_nmi_button(f->pc); break;
    case 2: (void)pc_info(f->pc, what[fuzz_below(f, ARRAY_SIZE(what))], text, sizeof(text)); break;
    case 3:
    case 4:
    case 5:
    case 6: ioapic(f); break;
    case 7:
    case 8:
    case 9: hpet(f); break;
    default: lapic(f);
    }
}
