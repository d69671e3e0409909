/*
 * test_trap.c - pages that a debugger watches, and translation that leaves no trace.
 *
 * Each test says by its name what would break it. Accesses really fault, as in test_window.c.
 */
#include "guest.h"

#define TABLE 0x10000u
#define DIR 0x12000u
#define PAGE 0x200000u
#define GVA 0x00405000u

static const struct mmu_regime pse = {.cr3 = DIR, .paging = 1, .pse = 1, .pge = 1};

/* 4 MiB of small pages at 400000h, and a large one at 800000h. */
static void start(void)
{
    guest_start(64 * MB, 0, 0);
    put_entry(&pse, DIR, 1, TABLE | P | W | U | A);
    put_entry(&pse, DIR, 2, 0x1000000 | P | W | U | A | D | PS);
    for (u32 i = 0; i < 1024; i++)
        put_entry(&pse, TABLE, i, (PAGE + (i << 12)) | P | W | U | A | D);
    window(&pse, MMU_SUPER);
}

static void touch(u32 gva, enum mmu_result want)
{
    u32 v;

    cr_expect_eq(guest_read(gva, &v), want, "read of %x: %d", gva, g.result);
    cr_expect_eq(guest_write(gva, v), want, "write to %x: %d", gva, g.result);
}

Test(trap, page_is_never_mapped_by_its_neighbours)
{
    const u32 pages[] = {GVA >> 12, 0x812344 >> 12};

    start();
    for (u32 a = GVA - 0x3000; a < GVA + 0x4000; a += 0x1000)
        touch(a, MMU_OK);
    touch(0x812344, MMU_OK);
    cr_assert_eq(mmu_trap(g.m, pages, 2), 0);
    for (int round = 0; round < 3; round++) {
        for (u32 a = GVA - 0x3000; a < GVA + 0x4000; a += 0x1000)
            touch(a, a == GVA ? MMU_SLOW : MMU_OK);
        for (u32 a = 0x810000; a < 0x815000; a += 0x1000)
            touch(a, a == 0x812000 ? MMU_SLOW : MMU_OK);
        cr_expect_eq(host_rights(g.w, GVA), 0);
        cr_expect_eq(host_rights(g.w, GVA + 0x1000), 2);
        mmu_flush(g.m, &pse, true);
        window(&pse, round == 1 ? MMU_USER : MMU_SUPER);
    }
    cr_assert_eq(mmu_trap(g.m, NULL, 0), 0);
    touch(GVA, MMU_OK);
    touch(0x812344, MMU_OK);
    guest_stop();
}

/* Code fetched from a large page makes a record of it: stores next to it must still meet a watch set later. */
Test(trap, watch_finds_pages_mapped_meanwhile)
{
    const u32 page = GVA >> 12;
    struct mmu_info info;

    start();
    cr_assert_eq(mmu_trap(g.m, &page, 1), 0);
    cr_assert_eq(mmu_walk(g.m, g.w, &pse, MMU_SUPER, 0x820000, MMU_FETCH, &info), MMU_OK);
    touch(0x820000, MMU_OK);
    touch(GVA + 0x1000, MMU_OK);
    mmu_watch(g.m, 0x1020000);
    mmu_watch(g.m, PAGE + 0x6000);
    cr_expect_eq(guest_write(0x820000, 1), MMU_WATCHED);
    cr_expect_eq(guest_write(GVA + 0x1000, 1), MMU_WATCHED);
    guest_stop();
}

Test(trap, works_without_paging)
{
    const struct mmu_regime flat = {.cr3 = 0};
    const u32 page = 0x300;

    start();
    cr_assert_eq(mmu_trap(g.m, &page, 1), 0);
    window(&flat, MMU_SUPER);
    touch(0x2ff000, MMU_OK);
    touch(0x300800, MMU_SLOW);
    touch(0x301000, MMU_OK);
    guest_stop();
}

Test(trap, too_many_are_refused)
{
    u32 page[MMU_TRAPS_MAX + 1] = {0};

    start();
    cr_expect_eq(mmu_trap(g.m, page, MMU_TRAPS_MAX + 1), -ENOSPC);
    touch(GVA, MMU_OK);
    guest_stop();
}

Test(peek, sets_no_bits_and_asks_no_rights)
{
    u64 gpa;

    start();
    put_entry(&pse, DIR, 3, (TABLE + 0x1000) | P);
    put_entry(&pse, TABLE + 0x1000, 5, 0x345000 | P);
    cr_expect_eq(mmu_peek(g.m, &pse, 0xc05678, &gpa), MMU_OK);
    cr_expect_eq(gpa, 0x345678);
    cr_expect_eq(get_entry(&pse, DIR, 3), (TABLE + 0x1000) | P);
    cr_expect_eq(get_entry(&pse, TABLE + 0x1000, 5), 0x345000 | P);
    cr_expect_eq(mmu_peek(g.m, &pse, 0xc06000, &gpa), MMU_GUEST_FAULT);
    cr_expect_eq(mmu_peek(g.m, &pse, 0x1000000, &gpa), MMU_GUEST_FAULT);
    cr_expect_eq(mmu_peek(g.m, &pse, 0x8abcde, &gpa), MMU_OK);
    cr_expect_eq(gpa, 0x10abcde);
    guest_stop();
}
