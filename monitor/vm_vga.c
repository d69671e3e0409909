/*
 * vm_vga.c - the VGA's memory as part of the guest's: where it lies, what of it is mapped, what was written.
 *
 * It is the last piece of the memfd that guest RAM is in. The card says when registers make plain memory of it (devices/vga_map.c);
 * here it is put into the guest's layout, where nothing else is, and taken out again. Code that ran from it goes with it: blocks
 * are known by guest-physical address, and another piece may come to the same place.
 */
#include "monitor/machine.h"

static bool is_free(struct machine *m, u64 gpa, u32 bytes)
{
    for (u32 at = 0; at < bytes; at += PAGE_BYTES)
        if (mmu_ptr(m->vm.mmu, gpa + at, NULL))
            return false;
    return true;
}

static bool map(void *opaque, u64 gpa, u32 bytes, u32 offset)
{
    struct machine *m = opaque;

    if (gpa + bytes > 1ull << 32 || !is_free(m, gpa, bytes))
        return false;
    return mmu_map_physical(m->vm.mmu, gpa, bytes, MMU_RAM, m->vga_off + offset) == 0;
}

static void unmap(void *opaque, u64 gpa, u32 bytes)
{
    struct machine *m = opaque;
    int rc;

    for (u32 at = 0; m->wired && at < bytes; at += PAGE_BYTES)
        if (cc_page(m->vm.cc, (u32)gpa + at))
            mon_code_written(&m->vm, gpa + at, PAGE_BYTES);
    rc = mmu_map_physical(m->vm.mmu, gpa, bytes, MMU_NONE, 0);
    if (rc)
        mon_stop(&m->vm, STOP_ERROR, -rc);
}

static void written(void *opaque, u64 bits[VGA_DIRTY_WORDS])
{
    mmu_log_take(((struct machine *)opaque)->vm.mmu, bits);
}

void vga_memory_init(struct machine *m, struct vga_host *host)
{
    *host = (struct vga_host){
        .mem = mmu_backing_ptr(m->vm.mmu, m->vga_off),
        .opaque = m,
        .map = map,
        .unmap = unmap,
        .written = written,
    };
}

bool vga_memory_written(const struct machine *m)
{
    return mmu_log_any(m->vm.mmu);
}
