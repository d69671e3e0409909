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
    struct vga_place *place = &m->vga_place[m->vga_place[0].bytes != 0];

    if (place->bytes || gpa + bytes > 1ull << 32 || !is_free(m, gpa, bytes))
        return false;
    if (mmu_map_physical(m->vm.mmu, gpa, bytes, MMU_RAM, m->vga_off + offset))
        return false;
    *place = (struct vga_place){.gpa = gpa, .bytes = bytes, .offset = offset};
    return true;
}

/* Drops the code of a page that lies at offset in the card's memory too, as the watch of the one is the watch of the other. */
static void drop_alias(struct machine *m, const struct vga_place *place, u32 offset)
{
    u64 gpa = place->gpa + (offset - place->offset);
    struct cc_page *p = offset - place->offset < place->bytes ? cc_page(m->vm.cc, (u32)gpa) : NULL;

    if (!p || !p->blocks)
        return;
    cc_invalidate(m->vm.cc, (u32)gpa, PAGE_BYTES);
    m->vm.code_dropped = 1;
}

void vga_alias_written(struct novt_vm *vm, u64 gpa, u32 len)
{
    struct machine *m = machine_of(vm);

    if (!m->vga_place[0].bytes || !m->vga_place[1].bytes)
        return;
    for (u64 at = gpa & ~(u64)PAGE_MASK; at < gpa + len; at += PAGE_BYTES)
        for (unsigned i = 0; i < 2; i++) {
            const struct vga_place *here = &m->vga_place[i];

            if (at >= here->gpa && at - here->gpa < here->bytes)
                drop_alias(m, &m->vga_place[!i], here->offset + (u32)(at - here->gpa));
        }
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
    for (unsigned i = 0; i < 2; i++)
        if (m->vga_place[i].gpa == gpa)
            m->vga_place[i].bytes = 0;
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
