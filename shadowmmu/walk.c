/*
 * walk.c - the guest's page tables: translation, rights, A and D bits (SDM vol. 3, chapter 4).
 *
 * Three formats: 32-bit with 4 KiB and 4 MiB pages (PSE-36 addresses included), and PAE with 4 KiB and 2 MiB pages
 * and NX. Entries are read from guest memory each time, but for PDPTEs. A and D are set only when the whole access is
 * allowed, as Bochs does; a table in ROM keeps its bits, one where there is no memory reads as ones (as does one in a
 * device's memory, which is not asked). Such a store does not look whether the table's page is write-watched: a page with
 * both page tables and code that is run again unchanged after an A bit flipped is not of this world.
 */
#include "shadowmmu/internal.h"

#include <string.h>

#define PHYS_BITS 36
#define PDE_RESERVED 0x3fe000u   /* bits 21..13 of a 4 MiB page's entry */
#define PDE36_RESERVED 0x3e0000u /* 21..17 with PSE-36 */

u8 *walk_table_ptr(struct mmu *m, const struct mmu_regime *r, u64 gpa)
{
    u8 *p = mmu_ptr(m, a20(r, gpa & ~(u64)PAGE_MASK), NULL);

    return LIKELY(p != NULL) ? p : m->ones;
}

u8 *walk_directory(struct mmu *m, const struct mmu_regime *r, const u64 *pdpte, u32 i)
{
    if (!r->pae)
        return walk_table_ptr(m, r, r->cr3);
    return pdpte[i] & PTE_P ? walk_table_ptr(m, r, pte_frame(pdpte[i])) : NULL;
}

void mmu_load_pdptes(struct mmu *m, const u64 pdpte[4])
{
    memcpy(m->pdpte, pdpte, sizeof(m->pdpte));
}

void mmu_get_pdptes(const struct mmu *m, u64 pdpte[4])
{
    memcpy(pdpte, m->pdpte, sizeof(m->pdpte));
}

u64 walk_reserved(const struct mmu_regime *r, bool large_pde)
{
    u64 bits;

    if (!r->pae)
        return large_pde ? r->pse36 ? PDE36_RESERVED : PDE_RESERVED : 0;
    bits = ~0ull << PHYS_BITS;
    if (r->nxe)
        bits &= ~PTE_NX;
    return large_pde ? bits | 0x1fe000 : bits;
}

u64 walk_large_frame(const struct mmu_regime *r, u64 pde)
{
    if (r->pae)
        return pde & 0xfffe00000ull;
    return (pde & 0xffc00000u) | (r->pse36 ? (pde >> 13 & 0xf) << 32 : 0);
}

static void set_bits(struct mmu *m, const struct mmu_regime *r, u8 *table, u32 i, u64 *entry, u32 bits)
{
    u64 at = (u64)(table - m->mem);

    if ((*entry & bits) == bits)
        return;
    /* ROM room follows RAM in the memfd; tables there cannot change, nor can m->ones. */
    if (at >= m->cfg.ram_bytes)
        return;
    __atomic_fetch_or((u32 *)(table + i * (r->pae ? 8 : 4)), bits, __ATOMIC_RELAXED);
    *entry |= bits;
}

static enum mmu_result fault(struct walk *k, u32 error, u32 more)
{
    k->error = error | more;
    return MMU_GUEST_FAULT;
}

/* The second half: rights of the whole path, then A and D. */
static enum mmu_result finish(struct mmu *m, const struct mmu_regime *r, enum mmu_priv priv,
                              enum mmu_access access, u32 error, struct walk *k)
{
    u64 both = k->large ? k->pde : k->pde & k->pte;
    u32 leaf_bits = PTE_A | (access == MMU_WRITE ? PTE_D : 0);

    k->nx = r->pae && r->nxe && (k->pde | k->pte) & PTE_NX;
    if ((priv == MMU_USER && !(both & PTE_U)) ||
        (access == MMU_WRITE && !(both & PTE_W) && priv != MMU_SUPER_NOWP) || (access == MMU_FETCH && k->nx))
        return fault(k, error, MMU_PF_P);
    if (k->large) {
        set_bits(m, r, k->pd, k->pdi & (r->pae ? 511 : 1023), &k->pde, leaf_bits);
    } else {
        set_bits(m, r, k->pd, k->pdi & (r->pae ? 511 : 1023), &k->pde, PTE_A);
        set_bits(m, r, k->pt, k->pti, &k->pte, leaf_bits);
    }
    k->global = r->pge && (k->large ? k->pde : k->pte) & PTE_G;
    return MMU_OK;
}

enum mmu_result walk_tables(struct mmu *m, const struct mmu_regime *r, enum mmu_priv priv, u32 gva,
                            enum mmu_access access, struct walk *k)
{
    bool pae = r->pae;
    u32 error = (access == MMU_WRITE ? MMU_PF_W : 0) | (priv == MMU_USER ? MMU_PF_U : 0) |
                (access == MMU_FETCH && pae && r->nxe ? MMU_PF_ID : 0);

    memset(k, 0, sizeof(*k));
    if (!r->paging) {
        k->gpa = a20(r, gva);
        k->global = true;
        return MMU_OK;
    }
    k->pd = walk_directory(m, r, m->pdpte, gva >> 30);
    if (!k->pd)
        return fault(k, error, 0);
    k->pdi = pae ? gva >> 21 : gva >> 22;
    k->pde = pte_get(k->pd, k->pdi & (pae ? 511 : 1023), pae);
    if (!(k->pde & PTE_P))
        return fault(k, error, 0);
    k->large = k->pde & PTE_PS && (pae || r->pse);
    if (k->pde & walk_reserved(r, k->large))
        return fault(k, error, MMU_PF_P | MMU_PF_RSVD);
    if (k->large) {
        k->gpa = walk_large_frame(r, k->pde) + (gva & (pae ? 0x1fffff : 0x3fffff));
    } else {
        k->pt = walk_table_ptr(m, r, pte_frame(k->pde));
        k->pti = gva >> PAGE_SHIFT & (pae ? 511 : 1023);
        k->pte = pte_get(k->pt, k->pti, pae);
        if (!(k->pte & PTE_P))
            return fault(k, error, 0);
        if (k->pte & walk_reserved(r, false))
            return fault(k, error, MMU_PF_P | MMU_PF_RSVD);
        k->gpa = pte_frame(k->pte) + (gva & PAGE_MASK);
    }
    k->gpa = a20(r, k->gpa);
    return finish(m, r, priv, access, error, k);
}

bool mmu_window_maps(struct mmu *m, const struct mmu_window *w, u32 gva, u64 gpa)
{
    const struct mmu_regime *r = &w->regime;
    bool pae = r->pae;
    u64 pde, pte;
    u8 *pd;

    if (!r->paging)
        return true;
    pd = walk_directory(m, r, ((const struct win *)(const void *)w)->pdpte, gva >> 30);
    if (!pd)
        return false;
    pde = pte_get(pd, pae ? gva >> 21 & 511 : gva >> 22, pae);
    if (!(pde & PTE_P))
        return false;
    if (pde & PTE_PS && (pae || r->pse))
        return a20(r, walk_large_frame(r, pde) + (gva & (pae ? 0x1fffff : 0x3fffff))) >> PAGE_SHIFT ==
               gpa >> PAGE_SHIFT;
    pte = pte_get(walk_table_ptr(m, r, pte_frame(pde)), gva >> PAGE_SHIFT & (pae ? 511 : 1023), pae);
    return pte & PTE_P && a20(r, pte_frame(pte)) >> PAGE_SHIFT == gpa >> PAGE_SHIFT;
}
