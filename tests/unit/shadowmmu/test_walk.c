/*
 * test_walk.c - page walks against an independent statement of the rules.
 *
 * Every combination of rights in directory and table, privilege, access and format is built in guest RAM and walked; the
 * expected outcome comes from expect(), written from the manual (SDM vol. 3, 4.6, 4.7) and not from walk.c. Breaks if a
 * right, an error-code bit, a reserved bit or an A or D update is wrong.
 */
#include "guest.h"

#define TABLE 0x10000u
#define PDPT 0x11000u
#define DIR 0x12000u
#define GVA 0x00405000u /* directory entry 1 (2 under PAE), table entry 5 */
#define PAGE 0x20000u

struct expected {
    enum mmu_result result;
    u32 error;
    bool dirty;
};

static struct expected expect(const struct mmu_regime *r, enum mmu_priv priv, enum mmu_access access, u64 pde,
                              u64 pte, bool large)
{
    struct expected x = {.result = MMU_GUEST_FAULT};
    bool nx_on = r->pae && r->nxe;
    u32 base =
        (access == MMU_WRITE ? 2 : 0) | (priv == MMU_USER ? 4 : 0) | (access == MMU_FETCH && nx_on ? 16 : 0);
    bool user, write, nx;

    x.error = base;
    if (!(pde & P))
        return x;
    if (r->pae && pde & NX && !nx_on) {
        x.error = base | 1 | 8;
        return x;
    }
    if (!large && !(pte & P))
        return x;
    if (!large && r->pae && pte & NX && !nx_on) {
        x.error = base | 1 | 8;
        return x;
    }
    user = pde & U && (large || pte & U);
    write = pde & W && (large || pte & W);
    nx = nx_on && (pde & NX || (!large && pte & NX));
    x.error = base | 1;
    if (priv == MMU_USER && !user)
        return x;
    if (access == MMU_WRITE && !write && priv != MMU_SUPER_NOWP)
        return x;
    if (access == MMU_FETCH && nx)
        return x;
    x.result = MMU_OK;
    x.error = 0;
    x.dirty = access == MMU_WRITE;
    return x;
}

static u64 flags_of(u32 bits, bool pae)
{
    return (bits & 1 ? P : 0) | (bits & 2 ? W : 0) | (bits & 4 ? U : 0) | (pae && bits & 8 ? NX : 0);
}

static void one_case(const struct mmu_regime *r, u64 pde_flags, u64 pte_flags, bool large, enum mmu_priv priv,
                     enum mmu_access access, bool through_window)
{
    u32 pdi = r->pae ? 2 : 1;
    u64 pde = pde_flags | (large ? PS | 0x400000 : TABLE), pte = pte_flags | PAGE, pde_after, pte_after;
    struct expected x = expect(r, priv, access, pde, pte, large);
    struct mmu_info info;
    enum mmu_result got;

    put_entry(r, DIR, pdi, pde);
    put_entry(r, TABLE, 5, pte);
    if (through_window) {
        mmu_flush(g.m, r, true);
        window(r, priv);
        got = mmu_fill(g.m, g.w, GVA + 0x10, access == MMU_WRITE, &info);
    } else {
        got = mmu_walk(g.m, NULL, r, priv, GVA + 0x10, access, &info);
    }
    cr_assert_eq(got, x.result, "pde %lx pte %lx priv %u access %u: %d", pde, pte, priv, access, got);
    pde_after = get_entry(r, DIR, pdi);
    pte_after = get_entry(r, TABLE, 5);
    if (got != MMU_OK) {
        cr_assert_eq(info.error_code, x.error, "pde %lx pte %lx priv %u access %u: error %x, not %x", pde,
                     pte, priv, access, info.error_code, x.error);
        cr_assert_eq(pde_after & ~(u64)A, pde);
        cr_assert_eq(pte_after & ~(u64)A, pte);
        return;
    }
    cr_assert_eq(info.gpa, large ? 0x405010u : PAGE + 0x10);
    if (large) {
        cr_assert_eq(pde_after, pde | A | (x.dirty ? D : 0));
        cr_assert_eq(pte_after, pte);
    } else {
        cr_assert_eq(pde_after, pde | A);
        cr_assert_eq(pte_after, pte | A | (x.dirty ? D : 0));
    }
}

static void all_rights(struct mmu_regime r)
{
    u32 combos = r.pae ? 16 : 8;

    guest_start(16 * MB, 0, 0);
    if (r.pae)
        for (u32 i = 0; i < 4; i++)
            *(u64 *)(void *)mmu_ptr(g.m, PDPT + 8 * i, NULL) = i ? 0 : DIR | P;
    r.cr3 = r.pae ? PDPT : DIR;
    load_pdptes(&r);
    for (u32 a = 0; a < combos; a++)
        for (u32 b = 0; b < combos; b++)
            for (u32 large = 0; large <= (r.pae || r.pse); large++)
                for (u32 priv = MMU_USER; priv <= MMU_SUPER_NOWP; priv++)
                    for (u32 access = MMU_READ; access <= MMU_FETCH; access++) {
                        one_case(&r, flags_of(a, r.pae), flags_of(b, r.pae), large, priv, access, false);
                        if (access != MMU_FETCH && !(b & 8))
                            one_case(&r, flags_of(a, r.pae), flags_of(b, r.pae), large, priv, access, true);
                    }
    guest_stop();
}

Test(walk, rights_32bit)
{
    all_rights((struct mmu_regime){.paging = 1});
}

Test(walk, rights_32bit_pse)
{
    all_rights((struct mmu_regime){.paging = 1, .pse = 1});
}

Test(walk, rights_pae)
{
    all_rights((struct mmu_regime){.paging = 1, .pae = 1});
}

Test(walk, rights_pae_nx)
{
    all_rights((struct mmu_regime){.paging = 1, .pae = 1, .nxe = 1});
}

static enum mmu_result walk(const struct mmu_regime *r, u32 gva, enum mmu_access access,
                            struct mmu_info *info)
{
    load_pdptes(r);
    return mmu_walk(g.m, NULL, r, MMU_SUPER, gva, access, info);
}

Test(walk, ps_without_pse_is_a_table)
{
    struct mmu_regime r = {.paging = 1, .cr3 = DIR};
    struct mmu_info info;

    guest_start(16 * MB, 0, 0);
    put_entry(&r, DIR, 1, TABLE | PS | P);
    put_entry(&r, TABLE, 5, PAGE | P);
    cr_assert_eq(walk(&r, GVA, MMU_READ, &info), MMU_OK);
    cr_assert_eq(info.gpa, PAGE);
    guest_stop();
}

Test(walk, reserved_bits)
{
    struct mmu_regime r = {.paging = 1, .pse = 1, .cr3 = DIR},
                      pae = {.paging = 1, .pae = 1, .nxe = 1, .cr3 = PDPT};
    struct mmu_info info;

    guest_start(16 * MB, 0, 0);
    for (u32 bit = 9; bit < 23; bit++) {
        for (r.pse36 = 0; r.pse36 < 2; r.pse36++) {
            bool rsvd = bit >= (r.pse36 ? 17 : 13) && bit <= 21;

            put_entry(&r, DIR, 1, BIT(bit) | PS | P | W);
            cr_assert_eq(walk(&r, GVA, MMU_WRITE, &info) == MMU_GUEST_FAULT, rsvd, "bit %u", bit);
            if (rsvd)
                cr_assert_eq(info.error_code, MMU_PF_P | MMU_PF_RSVD | MMU_PF_W);
        }
    }
    r.pse36 = 0;
    put_entry(&pae, PDPT, 0, DIR | P);
    for (u32 bit = 12; bit < 63; bit++) {
        bool rsvd_large = (bit >= 13 && bit <= 20) || bit >= 36, rsvd = bit >= 36;

        put_entry(&pae, DIR, 2, 1ull << bit | PS | P);
        cr_assert_eq(walk(&pae, GVA, MMU_READ, &info) == MMU_GUEST_FAULT, rsvd_large, "bit %u", bit);
        if (rsvd_large)
            cr_assert_eq(info.error_code, MMU_PF_P | MMU_PF_RSVD);
        put_entry(&pae, DIR, 2, TABLE | P);
        put_entry(&pae, TABLE, 5, 1ull << bit | P);
        cr_assert_eq(walk(&pae, GVA, MMU_FETCH, &info) == MMU_GUEST_FAULT, rsvd, "bit %u", bit);
        if (rsvd)
            cr_assert_eq(info.error_code, MMU_PF_P | MMU_PF_RSVD | MMU_PF_ID);
    }
    guest_stop();
}

Test(walk, above_4g_is_not_memory)
{
    struct mmu_regime r = {.paging = 1, .pse = 1, .pse36 = 1, .cr3 = DIR};
    struct mmu_info info;

    guest_start(16 * MB, 0, 0);
    put_entry(&r, DIR, 1, 0x400000 | BIT(13) | PS | P | W);
    cr_assert_eq(walk(&r, GVA, MMU_READ, &info), MMU_SLOW);
    cr_assert_eq(info.gpa, 0x100405000ull);
    cr_assert_eq(info.backing, MMU_NONE);
    window(&r, MMU_SUPER);
    cr_assert_eq(guest_read(GVA, &(u32){0}), MMU_SLOW);
    cr_assert_eq(g.info.gpa, 0x100405000ull);
    guest_stop();
}

Test(walk, a20_masks_every_physical_address)
{
    struct mmu_regime r = {.paging = 1, .cr3 = DIR | 0x100000, .a20_mask = 1}, flat = {.a20_mask = 1};
    struct mmu_info info;
    u32 v;

    guest_start(16 * MB, 0, 0);
    put_entry(&r, DIR, 1, TABLE | 0x100000 | P | W);
    put_entry(&r, TABLE, 5, PAGE | 0x100000 | P | W);
    *guest_word(PAGE) = 0x1234;
    cr_assert_eq(walk(&r, GVA, MMU_READ, &info), MMU_OK);
    cr_assert_eq(info.gpa, PAGE);
    window(&r, MMU_SUPER);
    cr_assert_eq(guest_read(GVA, &v), MMU_OK);
    cr_assert_eq(v, 0x1234);
    window(&flat, MMU_SUPER);
    cr_assert_eq(guest_read(0x100000 + PAGE, &v), MMU_OK);
    cr_assert_eq(v, 0x1234);
    cr_assert_eq(guest_write(0x300000 + PAGE, 7), MMU_OK);
    cr_assert_eq(*guest_word(0x200000 + PAGE), 7);
    cr_assert_eq(*guest_word(0x300000 + PAGE), 0);
    flat.a20_mask = 0;
    window(&flat, MMU_SUPER);
    cr_assert_eq(guest_read(0x100000 + PAGE, &v), MMU_OK);
    cr_assert_eq(v, 0);
    guest_stop();
}

Test(walk, tables_outside_memory)
{
    struct mmu_regime r = {.paging = 1, .pse = 1, .cr3 = 0xa0000},
                      pae = {.paging = 1, .pae = 1, .cr3 = 0xfffffff0};
    struct mmu_info info;

    guest_start(16 * MB, 0, 0);
    /* Where no memory is the bus answers ones: a large page with a reserved bit, or a table that is not there either. */
    cr_assert_eq(walk(&r, 0, MMU_READ, &info), MMU_GUEST_FAULT);
    cr_assert_eq(info.error_code, MMU_PF_P | MMU_PF_RSVD);
    r.pse = 0;
    put_entry(&r, DIR, 1, 0xa0000 | P | W | U);
    r.cr3 = DIR;
    cr_assert_eq(walk(&r, GVA, MMU_WRITE, &info), MMU_SLOW);
    cr_assert_eq(info.gpa, 0xfffff000u);
    r.pse = 1;
    r.cr3 = 0xffff0000; /* ROM full of f0: not present */
    cr_assert_eq(walk(&r, 0, MMU_READ, &info), MMU_GUEST_FAULT);
    (void)walk(&pae, 0xffffffff, MMU_READ, &info);
    pae.cr3 = 0xffffffff;
    (void)walk(&pae, 0xffffffff, MMU_READ, &info);
    /* A directory in ROM that maps: A cannot be set, so it is never mapped, and nothing is written. */
    u64 rom = 16 * MB;
    u32 pde = 0x400000 | PS | P | W, v;

    memcpy(mmu_backing_ptr(g.m, rom + 4), &pde, 4);
    cr_assert_eq(walk(&r, GVA, MMU_WRITE, &info), MMU_OK);
    memcpy(&v, mmu_backing_ptr(g.m, rom + 4), 4);
    cr_assert_eq(v, pde);
    window(&r, MMU_SUPER);
    cr_assert_eq(guest_read(GVA, &v), MMU_SLOW);
    guest_stop();
}

Test(walk, info_says_global_and_writable)
{
    struct mmu_regime r = {.paging = 1, .pge = 1, .cr3 = DIR};
    struct mmu_info info;

    guest_start(16 * MB, 0, 0);
    put_entry(&r, DIR, 1, TABLE | P | W);
    put_entry(&r, TABLE, 5, PAGE | P | W | G);
    cr_assert_eq(walk(&r, GVA, MMU_READ, &info), MMU_OK);
    cr_assert(info.global && !info.writable);
    cr_assert_eq(walk(&r, GVA, MMU_WRITE, &info), MMU_OK);
    cr_assert(info.writable);
    r.pge = 0;
    cr_assert_eq(walk(&r, GVA, MMU_READ, &info), MMU_OK);
    cr_assert(!info.global && info.writable);
    guest_stop();
}
