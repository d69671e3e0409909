/*
 * test_window.c - windows, fills, flushes and write-watch, one property at a time.
 *
 * Each test says what would break it by its name. The guest's directory is at DIR; put_entry() is the guest's store
 * to its tables, which nobody announces.
 */
#include "guest.h"

#include <sys/mman.h>

#define TABLE 0x10000u
#define TABLE2 0x13000u
#define DIR 0x12000u
#define DIR2 0x14000u
#define PAGE 0x200000u
#define GVA 0x00405000u
#define RWA (P | W | U | A | D)

static const struct mmu_regime pse = {.cr3 = DIR, .paging = 1, .pse = 1, .pge = 1};
static const struct mmu_regime pse2 = {.cr3 = DIR2, .paging = 1, .pse = 1, .pge = 1};

static void start(u32 max_mappings, u32 max_windows)
{
    guest_start(64 * MB, max_mappings, max_windows);
    put_entry(&pse, DIR, 1, TABLE | P | W | U | A);
    for (u32 i = 0; i < 64; i++) {
        put_entry(&pse, TABLE, i, (PAGE + (i << 12)) | RWA);
        *guest_word(PAGE + (i << 12)) = 100 + i;
    }
}

static u32 read_ok(u32 gva)
{
    u32 v = 0;

    cr_assert_eq(guest_read(gva, &v), MMU_OK, "read of %x: %d", gva, g.result);
    return v;
}

static void write_ok(u32 gva, u32 v)
{
    cr_assert_eq(guest_write(gva, v), MMU_OK, "write to %x: %d", gva, g.result);
}

static void load_cr3(const struct mmu_regime *r, enum mmu_priv priv, bool all)
{
    mmu_flush(g.m, r, all);
    window(r, priv);
}

/* ---- windows ---- */

Test(window, same_again_for_the_same_regime)
{
    struct mmu_regime r = pse;
    struct mmu_window *user, *super;

    start(0, 0);
    window(&pse, MMU_USER);
    user = g.w;
    window(&pse, MMU_SUPER);
    super = g.w;
    cr_assert_neq(user, super);
    cr_assert_neq(user->id, super->id);
    cr_assert_eq((u64)user->base % (1ull << 32), 0);
    for (u32 i = 0; i < 4; i++) {
        window(&pse, MMU_USER);
        cr_assert_eq(g.w, user);
        window(&pse2, MMU_USER);
        cr_assert_neq(g.w, user);
        window(&pse, MMU_SUPER);
        cr_assert_eq(g.w, super);
    }
    r.cr3 |= 0x18; /* PCD, PWT */
    r.pge = 0;
    window(&r, MMU_USER);
    cr_assert_eq(g.w, user);
    r.pse = 0;
    window(&r, MMU_USER);
    cr_assert_neq(g.w, user);
    guest_stop();
}

Test(window, flat_is_one_whatever_the_rest_says)
{
    struct mmu_regime flat = {.cr3 = 0}, other = {.cr3 = 0x5000, .pae = 1, .nxe = 1, .pge = 1};
    struct mmu_window *w;

    start(0, 0);
    window(&flat, MMU_SUPER);
    w = g.w;
    window(&other, MMU_USER);
    cr_assert_eq(g.w, w);
    other.a20_mask = 1;
    window(&other, MMU_SUPER);
    cr_assert_neq(g.w, w);
    guest_stop();
}

Test(window, guards_are_part_of_it)
{
    start(0, 0);
    window(&pse, MMU_USER);
    cr_assert(mmu_window_contains(g.w, (u64)g.w->base - 1));
    cr_assert(mmu_window_contains(g.w, (u64)g.w->base + MMU_WINDOW_BYTES + 15));
    cr_assert(!mmu_window_contains(g.w, (u64)g.w->base - MMU_GUARD_BYTES - 1));
    cr_assert(!mmu_window_contains(g.w, (u64)g.w->base + MMU_WINDOW_BYTES + MMU_GUARD_BYTES));
    cr_assert_eq(host_rights(g.w, 0), 0);
    guest_stop();
}

Test(window, recycled_when_all_are_in_use)
{
    struct mmu_window *seen[4];
    struct mmu_regime r = pse;
    u32 first_id;

    start(0, 4);
    for (u32 i = 0; i < 4; i++) {
        r.cr3 = 0x20000 + 0x1000 * i;
        window(&r, MMU_USER);
        seen[i] = g.w;
        g.w->user = &g;
    }
    first_id = seen[0]->id;
    r.cr3 = 0x30000;
    window(&r, MMU_USER);
    cr_assert_eq(g.w, seen[0]); /* the least recently used */
    cr_assert_neq(g.w->id, first_id);
    cr_assert_null(g.w->user);
    cr_assert_eq(g.freed, 1);
    cr_assert_eq(mmu_stats(g.m)->windows, 4);
    guest_stop();
    cr_assert_eq(g.freed, 4);
}

/* The kernel's half is the same in all address spaces: it stays mapped when a window changes hands. */
Test(window, recycled_keeps_what_is_equal)
{
    struct mmu_regime r = pse;

    start(0, 4);
    put_entry(&pse, DIR, 2, PS | RWA | 0x800000);
    put_entry(&pse2, DIR2, 2, PS | RWA | 0x800000);
    put_entry(&pse2, DIR2, 1, TABLE2 | P | W | U | A);
    put_entry(&pse2, TABLE2, 5, 0x300000 | RWA);
    *guest_word(0x300000) = 77;
    window(&pse, MMU_SUPER);
    cr_assert_eq(read_ok(GVA), 105);
    (void)read_ok(0x800000);
    for (u32 i = 0; i < 3; i++) {
        r.cr3 = 0x20000 + 0x1000 * i;
        window(&r, MMU_SUPER);
    }
    load_cr3(&pse2, MMU_SUPER, false);
    cr_assert_eq(host_rights(g.w, 0x800000), 2);
    cr_assert_eq(host_rights(g.w, GVA), 0);
    cr_assert_eq(read_ok(GVA), 77);
    guest_stop();
}

/* A recycled window must not keep a global translation that a flush of globals has done away with. */
Test(window, recycled_compares_globals)
{
    struct mmu_regime r = pse;

    start(0, 4);
    put_entry(&pse2, DIR2, 1, TABLE | P | W | U | A);
    put_entry(&pse, TABLE, 5, PAGE | RWA | G);
    window(&pse, MMU_SUPER);
    cr_assert_eq(read_ok(GVA), 100);
    for (u32 i = 0; i < 3; i++) {
        r.cr3 = 0x20000 + 0x1000 * i;
        window(&r, MMU_SUPER);
    }
    put_entry(&pse, TABLE, 5, (PAGE + 0x1000) | RWA | G);
    mmu_flush(g.m, &r, true);
    load_cr3(&pse2, MMU_SUPER, false);
    cr_assert_eq(read_ok(GVA), 101);
    guest_stop();
}

/* ---- fills ---- */

Test(fill, flat_maps_the_run_in_one_call)
{
    struct mmu_regime flat = {.paging = 0};

    start(0, 0);
    window(&flat, MMU_SUPER);
    write_ok(0x1000, 5);
    cr_assert_eq(*guest_word(0x1000), 5);
    cr_assert_eq(host_rights(g.w, 0x9f000), 2);
    cr_assert_eq(host_rights(g.w, 0xa0000), 0);
    write_ok(40 * MB, 6);
    cr_assert_eq(host_rights(g.w, 64 * MB - 4096), 2);
    cr_assert_eq(host_rights(g.w, 4 * MB), 2);
    cr_assert_eq(host_rights(g.w, 64 * MB), 0);
    cr_assert_eq(guest_write(0xb8000, 1), MMU_SLOW);
    cr_assert_eq(g.info.gpa, 0xb8000);
    cr_assert_eq(guest_write(64 * MB, 1), MMU_SLOW);
    cr_assert_eq(read_ok(0xfffffff0), 0xf0f0f0f0);
    cr_assert_eq(host_rights(g.w, 0xffff0000), 1);
    cr_assert_eq(guest_write(0xfffffff0, 1), MMU_SLOW);
    cr_assert_eq(g.info.backing, MMU_ROM);
    cr_assert_leq(mmu_stats(g.m)->mappings, 10);
    guest_stop();
}

Test(fill, clean_page_is_read_only_until_written)
{
    start(0, 0);
    put_entry(&pse, TABLE, 5, PAGE | P | W | U);
    put_entry(&pse, TABLE, 4, 0);
    put_entry(&pse, TABLE, 6, 0);
    window(&pse, MMU_USER);
    (void)read_ok(GVA);
    cr_assert_eq(get_entry(&pse, TABLE, 5), PAGE | P | W | U | A);
    cr_assert_eq(host_rights(g.w, GVA), 1);
    write_ok(GVA, 9);
    cr_assert_eq(g.fills, 1);
    cr_assert_eq(get_entry(&pse, TABLE, 5), PAGE | RWA);
    cr_assert_eq(host_rights(g.w, GVA), 2);
    guest_stop();
}

Test(fill, takes_accessed_neighbours_along_and_only_those)
{
    start(0, 0);
    put_entry(&pse, TABLE, 3, (PAGE + 0x3000) | P | W | U | D); /* not accessed */
    put_entry(&pse, TABLE, 9, (PAGE + 0x9000) | P | W | U | A); /* clean */
    window(&pse, MMU_USER);
    (void)read_ok(GVA);
    cr_assert_eq(host_rights(g.w, 0x403000), 0);
    cr_assert_eq(host_rights(g.w, 0x404000), 2);
    cr_assert_eq(host_rights(g.w, 0x408000), 2);
    cr_assert_eq(host_rights(g.w, 0x409000), 0);
    cr_assert_eq(get_entry(&pse, TABLE, 3), (PAGE + 0x3000) | P | W | U | D);
    cr_assert_eq(get_entry(&pse, TABLE, 9), (PAGE + 0x9000) | P | W | U | A);
    guest_stop();
}

Test(fill, large_pages_in_one_call)
{
    u64 fills;

    start(0, 0);
    for (u32 i = 0; i < 16; i++)
        put_entry(&pse, DIR, 768 + i, PS | RWA | G | i << 22);
    window(&pse, MMU_SUPER);
    *guest_word(20 * MB) = 4711;
    cr_assert_eq(read_ok(0xc0000000u + 20 * MB), 4711);
    fills = mmu_stats(g.m)->fills;
    write_ok(0xc0000000u + 63 * MB, 1);
    write_ok(0xc0000000u + 4 * MB, 1);
    cr_assert_eq(mmu_stats(g.m)->fills, fills);
    write_ok(0xc0000000u, 1); /* region of mixed kinds */
    cr_assert_eq(guest_read(0xc00a0000u, &(u32){0}), MMU_SLOW);
    cr_assert_eq(read_ok(0xc00f0000u), 0xf0f0f0f0);
    guest_stop();
}

Test(fill, large_page_stays_clean_until_written)
{
    start(0, 0);
    put_entry(&pse, DIR, 2, PS | P | W | U | 0x800000);
    put_entry(&pse, DIR, 3, PS | P | W | U | 0xc00000);
    window(&pse, MMU_USER);
    (void)read_ok(0x800000);
    cr_assert_eq(get_entry(&pse, DIR, 2), PS | P | W | U | A | 0x800000);
    cr_assert_eq(get_entry(&pse, DIR, 3), PS | P | W | U | 0xc00000);
    cr_assert_eq(host_rights(g.w, 0x800000), 1);
    cr_assert_eq(host_rights(g.w, 0xc00000), 0);
    write_ok(0x9ff000, 1);
    cr_assert_eq(get_entry(&pse, DIR, 2), PS | RWA | 0x800000);
    cr_assert_eq(host_rights(g.w, 0x800000), 2);
    guest_stop();
}

Test(fill, supervisor_without_wp_writes_read_only_pages_in_its_window_only)
{
    start(0, 0);
    put_entry(&pse, TABLE, 5, PAGE | P | U | A);
    window(&pse, MMU_SUPER_NOWP);
    write_ok(GVA, 3);
    cr_assert_eq(get_entry(&pse, TABLE, 5), PAGE | P | U | A | D);
    window(&pse, MMU_SUPER);
    cr_assert_eq(guest_write(GVA, 3), MMU_GUEST_FAULT);
    cr_assert_eq(g.info.error_code, MMU_PF_P | MMU_PF_W);
    window(&pse, MMU_USER);
    cr_assert_eq(guest_write(GVA, 3), MMU_GUEST_FAULT);
    cr_assert_eq(g.info.error_code, MMU_PF_P | MMU_PF_W | MMU_PF_U);
    guest_stop();
}

/* Pages that neither guest nor monitor touched must not become resident by being mapped. */
Test(fill, mapping_does_not_make_memory_resident)
{
    struct mmu_regime flat = {.paging = 0};
    u8 *p;
    unsigned char vec[16384];
    u32 resident = 0;

    start(0, 0);
    for (u32 i = 0; i < 16; i++)
        put_entry(&pse, DIR, 768 + i, PS | RWA | i << 22);
    window(&flat, MMU_SUPER);
    write_ok(40 * MB, 1);
    window(&pse, MMU_SUPER);
    write_ok(0xc0000000u + 44 * MB, 1);
    p = mmu_backing_ptr(g.m, 0);
    cr_assert_eq(mincore(p, 64 * MB, vec), 0);
    for (u32 i = 0; i < 16384; i++)
        resident += vec[i] & 1;
    cr_assert_leq(resident, 64 + 4 + 40, "%u pages resident",
                  resident); /* 64 in start(), tables, a fault-around or two */
    guest_stop();
}

/* The guest's handler maps the page that a program faulted on: it is there when the program goes on. */
Test(fill, after_a_guest_fault_without_a_second_hidden_one)
{
    start(0, 0);
    put_entry(&pse, TABLE, 5, 0);
    put_entry(&pse, TABLE, 50, 0);
    window(&pse, MMU_USER);
    cr_assert_eq(guest_write(GVA, 1), MMU_GUEST_FAULT);
    window(&pse, MMU_SUPER);
    put_entry(&pse, TABLE, 5, (PAGE + 0x5000) | RWA);
    window(&pse, MMU_USER);
    cr_assert_eq(host_rights(g.w, GVA), 2);
    write_ok(GVA, 1);
    cr_assert_eq(g.fills, 0);
    cr_assert_eq(mmu_stats(g.m)->refills, 1);
    cr_assert_eq(guest_read(0x432000, &(u32){0}), MMU_GUEST_FAULT);
    window(&pse, MMU_SUPER);
    put_entry(&pse, TABLE, 50, (PAGE + 0x7000) | P | W | U); /* not accessed: not for us to say */
    load_cr3(&pse, MMU_USER, false);
    cr_assert_eq(host_rights(g.w, 0x432000), 0);
    cr_assert_eq(get_entry(&pse, TABLE, 50), (PAGE + 0x7000) | P | W | U);
    cr_assert_eq(read_ok(0x432000), 107);
    guest_stop();
}

/* ---- flushes ---- */

/* A program that ends: all of its regions go in one host call, whatever lies between. */
Test(flush, one_unmapping_for_all_that_goes)
{
    u64 unmaps;

    start(0, 0);
    for (u32 i = 10; i < 700; i += 100)
        put_entry(&pse, DIR, i, TABLE | P | W | U | A);
    put_entry(&pse, DIR, 800, TABLE | P | W | U | A);
    window(&pse, MMU_USER);
    for (u32 i = 10; i < 700; i += 100)
        (void)read_ok(i << 22);
    (void)read_ok(800u << 22);
    for (u32 i = 10; i < 700; i += 100)
        put_entry(&pse, DIR, i, 0);
    unmaps = mmu_stats(g.m)->flush_unmaps;
    load_cr3(&pse, MMU_USER, false);
    cr_assert_eq(mmu_stats(g.m)->flush_unmaps, unmaps + 1);
    cr_assert_eq(host_rights(g.w, 10 << 22), 0);
    cr_assert_eq(host_rights(g.w, 610u << 22), 0);
    cr_assert_eq(host_rights(g.w, 800u << 22), 2);
    guest_stop();
}

Test(flush, stale_until_flushed)
{
    start(0, 0);
    window(&pse, MMU_USER);
    cr_assert_eq(read_ok(GVA), 105);
    put_entry(&pse, TABLE, 5, (PAGE + 0x7000) | RWA);
    window(&pse, MMU_SUPER); /* a transition is no flush */
    window(&pse, MMU_USER);
    cr_assert_eq(read_ok(GVA), 105);
    load_cr3(&pse, MMU_USER, false);
    cr_assert_eq(read_ok(GVA), 107);
    cr_assert(changed_covers(g.w, GVA));
    guest_stop();
}

Test(flush, unchanged_stays_mapped)
{
    u64 fills;

    start(0, 0);
    window(&pse, MMU_USER);
    (void)read_ok(GVA);
    (void)read_ok(0x430000);
    fills = mmu_stats(g.m)->fills;
    put_entry(&pse, TABLE, 6, 0);
    put_entry(&pse, TABLE, 60, (PAGE + 0x9000) | RWA); /* nobody used it */
    load_cr3(&pse2, MMU_USER, false);
    load_cr3(&pse, MMU_USER, false);
    (void)read_ok(GVA);
    (void)read_ok(0x430000);
    cr_assert_eq(mmu_stats(g.m)->fills, fills);
    cr_assert_eq(guest_read(0x406000, &(u32){0}), MMU_GUEST_FAULT);
    guest_stop();
}

Test(flush, more_rights_or_bits_drop_nothing_and_lost_ones_downgrade)
{
    start(0, 0);
    put_entry(&pse, TABLE, 5, (PAGE + 0x5000) | P | U | A);
    window(&pse, MMU_SUPER);
    (void)read_ok(GVA);
    put_entry(&pse, TABLE, 5, (PAGE + 0x5000) | RWA);
    load_cr3(&pse, MMU_SUPER, false);
    cr_assert_eq(g.n_changed, 0);
    write_ok(GVA, 1);
    put_entry(&pse, TABLE, 5, (PAGE + 0x5000) | P | U | A); /* fork */
    load_cr3(&pse, MMU_SUPER, false);
    cr_assert_eq(g.n_changed, 0);
    cr_assert_eq(host_rights(g.w, GVA), 1);
    cr_assert_eq(guest_write(GVA, 1), MMU_GUEST_FAULT);
    put_entry(&pse, TABLE, 5, (PAGE + 0x5000) | P | W | U | A);
    write_ok(GVA, 1);
    put_entry(&pse, TABLE, 5, (PAGE + 0x5000) | P | W | U | D); /* aged */
    load_cr3(&pse, MMU_SUPER, false);
    (void)read_ok(GVA);
    cr_assert_eq(get_entry(&pse, TABLE, 5) & A, A);
    guest_stop();
}

Test(flush, clean_again_means_dirty_again)
{
    start(0, 0);
    window(&pse, MMU_USER);
    write_ok(GVA, 1);
    put_entry(&pse, TABLE, 5, (PAGE + 0x5000) | P | W | U | A);
    load_cr3(&pse, MMU_USER, false);
    write_ok(GVA, 2);
    cr_assert_eq(get_entry(&pse, TABLE, 5) & D, D);
    guest_stop();
}

Test(flush, globals_survive_a_cr3_load_only)
{
    start(0, 0);
    put_entry(&pse, TABLE, 5, (PAGE + 0x5000) | RWA | G);
    window(&pse, MMU_SUPER);
    (void)read_ok(GVA);
    put_entry(&pse, TABLE, 5, (PAGE + 0x7000) | RWA | G);
    load_cr3(&pse, MMU_SUPER, true);
    cr_assert_eq(read_ok(GVA), 107);
    guest_stop();
}

Test(flush, whole_directory_entry_goes)
{
    start(0, 0);
    window(&pse, MMU_SUPER);
    cr_assert_eq(read_ok(GVA), 105);
    put_entry(&pse, TABLE2, 5, 0x300000 | RWA);
    *guest_word(0x300000) = 55;
    put_entry(&pse, DIR, 1, TABLE2 | P | W | A);
    load_cr3(&pse, MMU_SUPER, false);
    cr_assert_eq(read_ok(GVA), 55);
    cr_assert_eq(guest_read(0x406000, &(u32){0}), MMU_GUEST_FAULT);
    put_entry(&pse, DIR, 1, 0);
    load_cr3(&pse, MMU_SUPER, false);
    cr_assert_eq(guest_read(GVA, &(u32){0}), MMU_GUEST_FAULT);
    cr_assert_eq(host_vmas(g.w), 1);
    guest_stop();
}

/* A page derived anew from a changed directory entry must not hide that its neighbours were derived from the old one. */
Test(flush, new_derivation_does_not_hide_a_change)
{
    start(0, 0);
    window(&pse, MMU_SUPER);
    cr_assert_eq(read_ok(GVA), 105);
    put_entry(&pse, TABLE2, 40, 0x300000 | RWA);
    put_entry(&pse, DIR, 1, TABLE2 | P | W | A);
    (void)read_ok(0x428000);
    load_cr3(&pse, MMU_SUPER, false);
    cr_assert_eq(guest_read(GVA, &(u32){0}), MMU_GUEST_FAULT);
    guest_stop();
}

Test(invlpg, page_and_large_page)
{
    start(0, 0);
    put_entry(&pse, DIR, 2, PS | RWA | 0x800000);
    window(&pse, MMU_SUPER);
    cr_assert_eq(read_ok(GVA), 105);
    (void)read_ok(0x800000);
    put_entry(&pse, TABLE, 5, (PAGE + 0x7000) | RWA);
    put_entry(&pse, DIR, 2, PS | RWA | 0xc00000);
    mmu_invlpg(g.m, &pse, GVA + 5);
    cr_assert_eq(read_ok(GVA), 107);
    *guest_word(0xc00000) = 12;
    mmu_invlpg(g.m, &pse, 0xbfffff);
    cr_assert_eq(read_ok(0x800000), 12);
    guest_stop();
}

Test(invlpg, a_byte_of_a_large_page_that_was_never_mapped)
{
    start(0, 0);
    put_entry(&pse, DIR, 2, PS | RWA);
    window(&pse, MMU_SUPER);
    *guest_word(8) = 11;
    *guest_word(0xc00008) = 12;
    cr_assert_eq(read_ok(0x800008), 11);
    put_entry(&pse, DIR, 2, PS | RWA | 0xc00000);
    mmu_invlpg(g.m, &pse, 0x8a0000); /* physical A0000h is no memory */
    cr_assert_eq(read_ok(0x800008), 12);
    guest_stop();
}

Test(invlpg, global_page_goes_from_every_window)
{
    struct mmu_window *a;

    start(0, 0);
    put_entry(&pse, TABLE, 5, PAGE | RWA | G);
    put_entry(&pse2, DIR2, 1, TABLE | P | W | U | A);
    window(&pse, MMU_SUPER);
    a = g.w;
    cr_assert_eq(read_ok(GVA), 100);
    load_cr3(&pse2, MMU_SUPER, false);
    cr_assert_eq(read_ok(GVA), 100);
    put_entry(&pse, TABLE, 5, (PAGE + 0x1000) | RWA | G);
    mmu_invlpg(g.m, &pse2, GVA);
    cr_assert_eq(read_ok(GVA), 101);
    load_cr3(&pse, MMU_SUPER, false);
    cr_assert_eq(g.w, a);
    cr_assert_eq(read_ok(GVA), 101);
    guest_stop();
}

Test(fetch, owner_hears_of_a_change_of_a_page_never_mapped)
{
    struct mmu_info info;

    start(0, 0);
    put_entry(&pse, DIR, 2, PS | RWA | 0x800000);
    window(&pse, MMU_SUPER);
    cr_assert_eq(mmu_walk(g.m, g.w, &pse, MMU_SUPER, GVA, MMU_FETCH, &info), MMU_OK);
    cr_assert_eq(info.gpa, PAGE + 0x5000);
    cr_assert_eq(mmu_walk(g.m, g.w, &pse, MMU_SUPER, 0x812345, MMU_FETCH, &info), MMU_OK);
    cr_assert_eq(host_vmas(g.w), 1);
    put_entry(&pse, TABLE, 5, PAGE | RWA);
    put_entry(&pse, DIR, 2, PS | RWA | 0xc00000);
    load_cr3(&pse, MMU_SUPER, false);
    cr_assert(changed_covers(g.w, GVA));
    cr_assert(changed_covers(g.w, 0x812000));
    guest_stop();
}

Test(layout, change_drops_what_was_mapped)
{
    struct mmu_regime flat = {.paging = 0};

    start(0, 0);
    window(&flat, MMU_SUPER);
    cr_assert_eq(read_ok(0xf0000), 0xf0f0f0f0);
    cr_assert_eq(mmu_map_physical(g.m, 0xf0000, 0x10000, MMU_RAM, 0xf0000), 0);
    cr_assert(changed_covers(g.w, 0xf0000));
    cr_assert_eq(read_ok(0xf0000), 0);
    write_ok(0xf0000, 5);
    cr_assert_eq(mmu_map_physical(g.m, 0xf0000, 0x10000, MMU_ROM, 0xf0000), 0); /* shadow RAM locked */
    cr_assert_eq(read_ok(0xf0000), 5);
    cr_assert_eq(guest_write(0xf0000, 6), MMU_SLOW);
    cr_assert_eq(mmu_map_physical(g.m, 0xf0000, 0x10000, MMU_NONE, 0), 0);
    cr_assert_eq(guest_read(0xf0000, &(u32){0}), MMU_SLOW);
    guest_stop();
}

/* ---- write-watch ---- */

Test(watch, every_alias_in_every_window)
{
    struct mmu_regime flat = {.paging = 0};
    struct mmu_window *w[3];

    start(0, 0);
    put_entry(&pse, TABLE, 33, PAGE | RWA);
    put_entry(&pse, DIR, 768, PS | RWA); /* mixed region: page by page */
    put_entry(&pse, DIR, 769, PS | RWA | 0x400000);
    window(&flat, MMU_SUPER);
    w[0] = g.w;
    write_ok(PAGE, 1);
    write_ok(0x500000, 1);
    window(&pse, MMU_USER);
    w[1] = g.w;
    write_ok(0x400000, 1);
    write_ok(0x421000, 1);
    write_ok(0xc0000000u + PAGE, 1);
    write_ok(0xc0500000u, 1);
    window(&pse, MMU_SUPER);
    w[2] = g.w;
    write_ok(0x421000, 1);
    mmu_watch(g.m, PAGE + 0x123);
    mmu_watch(g.m, PAGE);
    mmu_watch(g.m, 0x500000);
    cr_assert(mmu_watched(g.m, PAGE + 0xfff));
    for (u32 i = 0; i < 3; i++) {
        window(i == 0 ? &flat : &pse, w[i]->priv);
        cr_assert_eq(g.w, w[i]);
        cr_assert_eq(guest_write(i ? 0x421000 : PAGE, 2), MMU_WATCHED);
        cr_assert_eq(g.info.gpa, PAGE);
        if (i != 1)
            continue;
        cr_assert_eq(guest_write(0x400000, 2), MMU_WATCHED);
        cr_assert_eq(guest_write(0xc0000000u + PAGE, 2), MMU_WATCHED);
        cr_assert_eq(guest_write(0xc0500000u, 2), MMU_WATCHED);
        write_ok(0xc0501000u, 2); /* neighbours are not hit */
        write_ok(0xc04ff000u, 2);
    }
    cr_assert_eq(*guest_word(PAGE), 1);
    mmu_unwatch(g.m, PAGE);
    mmu_unwatch(g.m, 0x500000);
    window(&pse, MMU_USER);
    write_ok(0x421000, 7);
    write_ok(0xc0500000u, 8);
    cr_assert_eq(*guest_word(PAGE), 7);
    cr_assert_eq(*guest_word(0x500000), 8);
    guest_stop();
}

Test(watch, respected_by_later_fills)
{
    struct mmu_regime flat = {.paging = 0};

    start(0, 0);
    for (u32 i = 1; i < 16; i++)
        put_entry(&pse, DIR, 768 + i, PS | RWA | i << 22);
    mmu_watch(g.m, PAGE + 0x6000);
    mmu_watch(g.m, 20 * MB + 0x5000);
    mmu_watch(g.m, 20 * MB + 0x8000);
    mmu_watch(g.m, 20 * MB + 0x80000);
    window(&pse, MMU_SUPER);
    write_ok(GVA, 1);
    cr_assert_neq(host_rights(g.w, 0x406000), 2);
    cr_assert_eq(read_ok(0x406000), 106);
    cr_assert_eq(guest_write(0x406000, 1), MMU_WATCHED);
    write_ok(0xc0000000u + 16 * MB, 1); /* next to the region with watched pages */
    cr_assert_eq(guest_write(0xc0000000u + 20 * MB + 0x5000, 1), MMU_WATCHED);
    (void)read_ok(0xc0000000u + 20 * MB + 0x5000);
    cr_assert_eq(guest_write(0xc0000000u + 20 * MB + 0x5000, 1), MMU_WATCHED);
    cr_assert_eq(guest_write(0xc0000000u + 20 * MB + 0x8000, 1), MMU_WATCHED);
    cr_assert_eq(guest_write(0xc0000000u + 20 * MB + 0x80000, 1), MMU_WATCHED);
    write_ok(0xc0000000u + 20 * MB + 0x6000, 1); /* read-only only for convenience */
    write_ok(0xc0000000u + 20 * MB + 0x40000, 1);
    write_ok(0xc0000000u + 24 * MB, 1);
    window(&flat, MMU_SUPER);
    write_ok(20 * MB, 1);
    cr_assert_eq(guest_write(20 * MB + 0x5000, 1), MMU_WATCHED);
    cr_assert_eq(guest_write(PAGE + 0x6000, 1), MMU_WATCHED);
    guest_stop();
}

/* Big regions of windows not current are protected late: few pages by name, many by dropping the region. */
static void catch_up(u32 pages)
{
    struct mmu_window *other;

    start(0, 0);
    for (u32 i = 0; i < 4; i++) {
        put_entry(&pse, DIR, 2 + i, PS | RWA | (2 + i) << 22);
        put_entry(&pse2, DIR2, 2 + i, PS | RWA | (2 + i) << 22);
    }
    window(&pse, MMU_SUPER);
    other = g.w;
    write_ok(0x800000, 1);
    load_cr3(&pse2, MMU_SUPER, false);
    write_ok(0x800000, 1);
    for (u32 i = 0; i < pages; i++)
        mmu_watch(g.m, 0x800000 + (i << 13));
    mmu_unwatch(g.m, 0x800000);
    for (u32 round = 0; round < 2; round++) {
        for (u32 i = 0; i < 2 * pages; i++)
            cr_assert_eq(guest_write(0x800000 + (i << 12), i), i && i % 2 == 0 ? MMU_WATCHED : MMU_OK,
                         "page %u", i);
        window(&pse, MMU_SUPER); /* without a flush: it is the watch that must be seen */
        cr_assert_eq(g.w, other);
    }
    guest_stop();
}

Test(watch, other_windows_catch_up)
{
    catch_up(1);
    catch_up(7);
    catch_up(256);
    catch_up(257);
    catch_up(1000);
}

Test(watch, of_nothing_is_nothing)
{
    start(0, 0);
    mmu_watch(g.m, 0xa0000);
    cr_assert(!mmu_watched(g.m, 0xa0000));
    mmu_watch(g.m, 1ull << 40);
    mmu_unwatch(g.m, ~0ull);
    cr_assert(!mmu_watched(g.m, ~0ull));
    guest_stop();
}

/* ---- limits ---- */

Test(evict, mappings_stay_below_the_limit)
{
    start(64, 0);
    for (u32 i = 0; i < 1024; i++)
        put_entry(&pse, TABLE, i, (PAGE + (i % 2 ? 0x100000 : 0) + ((i * 7 % 256) << 12)) | RWA);
    for (u32 round = 0; round < 3; round++)
        for (u32 i = 0; i < 1024; i++) {
            u32 gpa = PAGE + (i % 2 ? 0x100000 : 0) + ((i * 7 % 256) << 12);

            window(&pse, round == 1 ? MMU_USER : MMU_SUPER);
            write_ok((1u << 22) + (i << 12), i);
            cr_assert_eq(*guest_word(gpa), i);
            cr_assert_leq(mmu_stats(g.m)->mappings, 64);
        }
    cr_assert_gt(mmu_stats(g.m)->mappings_evicted, 0);
    guest_stop();
}

/* Watched pages all over a large page cost two mappings each, unless there are too few. */
Test(evict, scattered_watches_fit_the_limit)
{
    start(64, 0);
    put_entry(&pse, DIR, 2, PS | RWA | 0x800000);
    window(&pse, MMU_SUPER);
    for (u32 i = 0; i < 1024; i += 32)
        mmu_watch(g.m, 0x800000 + (i << 12));
    write_ok(0x801000, 1);
    cr_assert_leq(host_vmas(g.w), 64);
    for (u32 i = 0; i < 1024; i++) {
        enum mmu_result got = guest_write(0x800000 + (i << 12), 5);

        cr_assert_eq(got, i % 32 ? MMU_OK : MMU_WATCHED);
        cr_assert_leq(mmu_stats(g.m)->mappings, 64 + 8);
    }
    guest_stop();
}
