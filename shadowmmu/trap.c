/*
 * trap.c - a debugger's view: linear pages that every access must report, and translation that leaves no trace.
 *
 * A trapped page is mapped in no window, so each access to it is a fault that mmu_fill() answers with MMU_SLOW, as if it were a
 * device's: the owner carries the instruction out by hand and sees what it touches. While there is any such page, fills map
 * single pages only, so that no batch takes one along. Without one all this costs a test of a counter per fill.
 *
 * mmu_peek() walks the guest's tables as the CPU would, but sets no A or D bit and asks for no rights.
 */
#include "shadowmmu/internal.h"

#include <string.h>

int mmu_trap(struct mmu *m, const u32 *page, u32 n)
{
    if (n > MMU_TRAPS_MAX)
        return -ENOSPC;
    if (n == m->n_traps && (!n || memcmp(m->trap, page, n * sizeof(*page)) == 0))
        return 0;
    if (n)
        memcpy(m->trap, page, n * sizeof(*page));
    m->n_traps = n;
    for (u32 i = 0; i < m->n_windows; i++)
        window_reset(m, m->wins[i]);
    return 0;
}

bool trap_has(const struct mmu *m, u32 page)
{
    for (u32 i = 0; i < m->n_traps; i++)
        if (m->trap[i] == page)
            return true;
    return false;
}

enum mmu_result mmu_peek(struct mmu *m, const struct mmu_regime *r, u32 gva, u64 *gpa)
{
    bool pae = r->pae, large;
    const u8 *pd;
    u64 e;

    *gpa = a20(r, gva);
    if (!r->paging)
        return MMU_OK;
    pd = walk_directory(m, r, m->pdpte, gva >> 30);
    e = pd ? pte_get(pd, (pae ? gva >> 21 : gva >> 22) & (pae ? 511 : 1023), pae) : 0;
    large = e & PTE_PS && (pae || r->pse);
    if (!(e & PTE_P) || e & walk_reserved(r, large))
        return MMU_GUEST_FAULT;
    if (large) {
        *gpa = a20(r, walk_large_frame(r, e) + (gva & (pae ? 0x1fffff : 0x3fffff)));
        return MMU_OK;
    }
    e = pte_get(walk_table_ptr(m, r, pte_frame(e)), gva >> PAGE_SHIFT & (pae ? 511 : 1023), pae);
    if (!(e & PTE_P) || e & walk_reserved(r, false))
        return MMU_GUEST_FAULT;
    *gpa = a20(r, pte_frame(e) + (gva & PAGE_MASK));
    return MMU_OK;
}
