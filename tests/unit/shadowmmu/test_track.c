/*
 * test_track.c - The record of changes in a window: a copy that is kept up to date by it alone stays equal to the window.
 */
#include "guest.h"

#define PAGES (1u << 20)

static u32 copy[PAGES];

static void keep_up(u32 *looked)
{
    struct mmu_range r[MMU_TRACK_MAX];
    bool all;
    u32 n = mmu_track_take(g.w, r, MMU_TRACK_MAX, &all);

    *looked = 0;
    for (u32 i = 0; i < n; i++)
        for (u32 p = r[i].page; p < r[i].page + r[i].n; p++, ++*looked)
            copy[p] = mmu_mapping(g.m, g.w, p);
    if (!all)
        return;
    memset(copy, 0, sizeof(copy));
    for (u32 p = mmu_mapping_next(g.m, g.w, 0); p < PAGES; p = mmu_mapping_next(g.m, g.w, p + 1))
        copy[p] = mmu_mapping(g.m, g.w, p);
    *looked = PAGES;
}

static void compare(const char *when)
{
    for (u32 p = 0; p < PAGES; p++)
        cr_assert_eq(copy[p], mmu_mapping(g.m, g.w, p), "%s: page %x: copy %x, window %x", when, p, copy[p],
                     mmu_mapping(g.m, g.w, p));
}

static struct mmu_regime tables(void)
{
    struct mmu_regime r = {.cr3 = 0x10000, .paging = 1, .pse = 1, .pge = 1};

    put_entry(&r, 0x10000, 0, 0x11000 | P | W | U | A);
    put_entry(&r, 0x10000, 1, 0x12000 | P | W | U | A);
    put_entry(&r, 0x10000, 2, 0 | P | W | U | A | D | PS);
    for (u32 i = 0; i < 512; i++) {
        put_entry(&r, 0x11000, i, (0x200000 + i * 0x1000) | P | W | U | (i & 3 ? A | D : 0));
        put_entry(&r, 0x12000, i, (0x300000 + (i ^ 1) * 0x1000) | P | (i & 1 ? W : 0) | U);
    }
    return r;
}

Test(track, a_copy_kept_up_by_the_record_stays_equal)
{
    u32 seed = 7, looked, v;

    guest_start(16 * MB, 0, 0);
    struct mmu_regime r = tables();

    window(&r, MMU_USER);
    mmu_track(g.w, true);
    for (u32 step = 0; step < 400; step++) {
        seed = seed * 1103515245 + 12345;
        u32 page = (seed >> 8) % 512, where = seed >> 20 & 3, gva = (where % 3 << 22) + (page << 12);

        if (seed >> 28 & 1)
            (void)guest_read(gva, &v);
        else
            (void)guest_write(gva, step);
        switch (seed >> 24 & 15) {
        case 0:
            put_entry(&r, 0x11000, page, 0);
            mmu_invlpg(g.m, &r, page << 12);
            break;
        case 1:
            put_entry(&r, 0x12000, page, (0x300000 + page * 0x1000) | P | U | A);
            mmu_flush(g.m, &r, false);
            window(&r, MMU_USER);
            break;
        case 2: mmu_watch(g.m, 0x200000 + page * 0x1000); break;
        case 3: mmu_unwatch(g.m, 0x200000 + page * 0x1000); break;
        case 4: put_entry(&r, 0x11000, page, (0x200000 + page * 0x1000) | P | W | U); break;
        default: break;
        }
        if (step % 8 == 0) {
            keep_up(&looked);
            compare("while it runs");
        }
    }
    guest_stop();
}

Test(track, few_changes_are_few_looks)
{
    u32 looked, v;

    guest_start(16 * MB, 0, 0);
    struct mmu_regime r = tables();

    window(&r, MMU_USER);
    mmu_track(g.w, true);
    keep_up(&looked);
    cr_assert_eq(looked, PAGES);
    cr_assert_eq(guest_read(0x400000, &v), MMU_OK);
    keep_up(&looked);
    cr_assert_geq(looked, 1);
    cr_assert_leq(looked, 64);
    compare("after one fill");
    cr_assert(copy[0x400] & MMU_MAPPING_MAPPED);
    guest_stop();
}
