/*
 * gdb_mem.c - guest memory as a debugger sees it.
 *
 * Linear addresses go through the guest's tables as they stand, without its rights and without a trace in them (mmu_peek()).
 * Writes reach ROM too, and stores over translated code throw that code away. Devices' memory is read and written through the bus: a
 * debugger that looks at a device's registers gets what a load would get, side effects included, as in QEMU.
 */
#include "monitor/gdb.h"

#include <string.h>

/* The part of [addr, addr + len) in addr's page. */
static size_t in_page(u64 addr, size_t len)
{
    return min_u64(len, PAGE_BYTES - (addr & PAGE_MASK));
}

static int translate(struct novt_vm *vm, bool phys, u64 addr, u64 *gpa)
{
    *gpa = addr;
    if (phys)
        return addr >> 52 ? -EFAULT : 0;
    if (addr >> 32 || mmu_peek(vm->mmu, &vm->regime, (u32)addr, gpa) != MMU_OK)
        return -EFAULT;
    return 0;
}

/* Is there anything at all of the page? */
static bool exists(struct novt_vm *vm, u64 gpa)
{
    return mmu_ptr(vm->mmu, gpa, NULL) || (vm->pc && pc_mmio_claims(vm->pc, gpa));
}

static int check(struct novt_vm *vm, bool phys, u64 addr, size_t len)
{
    u64 gpa;

    for (size_t n; len; addr += n, len -= n) {
        n = in_page(addr, len);
        if (translate(vm, phys, addr, &gpa) || !exists(vm, gpa))
            return -EFAULT;
    }
    return 0;
}

int gdb_mem_read(struct novt_vm *vm, bool phys, u64 addr, u8 *to, size_t len)
{
    u64 gpa;

    if (check(vm, phys, addr, len))
        return -EFAULT;
    for (size_t n; len; addr += n, to += n, len -= n) {
        n = in_page(addr, len);
        if (translate(vm, phys, addr, &gpa))
            return -EFAULT;
        phys_read(vm, gpa, to, (unsigned)n);
    }
    return 0;
}

int gdb_mem_write(struct novt_vm *vm, bool phys, u64 addr, const u8 *from, size_t len)
{
    u64 gpa;

    if (check(vm, phys, addr, len))
        return -EFAULT;
    for (size_t n; len; addr += n, from += n, len -= n) {
        u8 *p;

        n = in_page(addr, len);
        if (translate(vm, phys, addr, &gpa)) /* it was a page table */
            return -EFAULT;
        p = mmu_ptr(vm->mmu, gpa, NULL);
        if (p) {
            mon_code_written(vm, gpa, (u32)n);
            memcpy(p, from, n);
        } else {
            phys_write(vm, gpa, from, (unsigned)n);
        }
    }
    return 0;
}
