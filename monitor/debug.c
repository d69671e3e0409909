/*
 * debug.c - breakpoints of the debug registers.
 *
 * While DR7 enables one, MODE_DB is set and every instruction goes through mon_step(), which asks here before it and
 * collects what its accesses hit behind it. Source: SDM vol. 3, 17.2 and 17.3.
 */
#include "monitor/sys.h"

enum { BP_EXEC, BP_WRITE, BP_IO, BP_ACCESS };

static bool is_enabled(const struct cpu *cpu, unsigned n)
{
    return cpu->dr[7] >> (2 * n) & 3;
}

static unsigned kind(const struct cpu *cpu, unsigned n)
{
    return cpu->dr[7] >> (16 + 4 * n) & 3;
}

/* LEN 00: 1 byte, 01: 2, 10: undefined here (8 in 64-bit CPUs), 11: 4. Addresses are aligned to it. */
static u32 length(const struct cpu *cpu, unsigned n)
{
    static const u8 bytes[4] = {1, 2, 8, 4};

    return bytes[cpu->dr[7] >> (18 + 4 * n) & 3];
}

/* Conditions that are met though their breakpoint is off show in DR6 as well, beside one that is on (SDM vol. 3, 17.2.3: may). */
static u32 if_any_enabled(const struct cpu *cpu, u32 hits)
{
    for (unsigned n = 0; n < 4; n++)
        if ((hits & BIT(n)) && is_enabled(cpu, n))
            return hits;
    return 0;
}

void dbg_report(struct cpu *cpu, u32 cause)
{
    cpu->dr[6] = (cpu->dr[6] & ~0xfu) | cause;
}

u32 dbg_insn_hits(const struct cpu *cpu, u32 lin)
{
    u32 hits = 0;

    if (cpu->sysflags & EFL_RF)
        return 0;
    for (unsigned n = 0; n < 4; n++) {
        if (kind(cpu, n) == BP_EXEC && cpu->dr[n] == lin)
            hits |= BIT(n);
    }
    return if_any_enabled(cpu, hits);
}

static bool overlaps(const struct cpu *cpu, unsigned n, u32 addr, unsigned size)
{
    u32 len = length(cpu, n), at = cpu->dr[n] & ~(len - 1);

    return addr - at < len || at - addr < size;
}

void dbg_data(struct cpu *cpu, u32 lin, unsigned size, bool write)
{
    u32 hits = 0;

    for (unsigned n = 0; n < 4; n++) {
        unsigned k = kind(cpu, n);
        if ((k == BP_ACCESS || (k == BP_WRITE && write)) && overlaps(cpu, n, lin, size))
            hits |= BIT(n);
    }
    mon_vm(cpu)->dbg_hits |= if_any_enabled(cpu, hits);
}

void dbg_io(struct cpu *cpu, u16 port, unsigned size)
{
    u32 hits = 0;

    for (unsigned n = 0; n < 4; n++) {
        if ((cpu->cr4 & CR4_DE) && kind(cpu, n) == BP_IO && overlaps(cpu, n, port, size))
            hits |= BIT(n);
    }
    mon_vm(cpu)->dbg_hits |= if_any_enabled(cpu, hits);
}
