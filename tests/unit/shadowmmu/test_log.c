/*
 * test_log.c - memory of a device: every write between two looks is noted, and taking it away leaves everything else mapped.
 *
 * Broken by: a page of an untouched chunk that is writable in some window, small or big, current or not; a write by hand that is not
 * noted; code in the device's memory that a write does not report; a change of the layout that forgets the device's pages or drops others.
 */
#include "guest.h"

#define DEVICE (0x40000000u)
#define BYTES (8u << 20)
#define PAGES (BYTES / 4096)
#define CHUNK 16u

static u64 offset;

static void start(void)
{
    struct mmu_config cfg = {
        .ram_bytes = 16 * MB, .rom_bytes = BYTES, .log_offset = 16 * MB, .log_bytes = BYTES};

    guest_start(16 * MB, 0, 0);
    mmu_free(g.m);
    cr_assert_eq(mmu_new(&g.m, &cfg), 0);
    offset = 16 * MB;
    cr_assert_eq(mmu_map_physical(g.m, 0, 16 * MB, MMU_RAM, 0), 0);
    cr_assert_eq(mmu_map_physical(g.m, DEVICE, BYTES, MMU_RAM, offset), 0);
}

/* Linear 0-4 MiB: RAM by small pages; 4-8 MiB: the device's first half by small pages; 8-16 MiB: all of it by large pages. */
static struct mmu_regime tables(u32 cr3)
{
    struct mmu_regime r = {.cr3 = cr3, .paging = 1, .pse = 1};

    put_entry(&r, cr3, 0, (cr3 + 0x1000) | P | W | U | A);
    put_entry(&r, cr3, 1, (cr3 + 0x2000) | P | W | U | A);
    put_entry(&r, cr3, 2, DEVICE | P | W | U | A | D | PS);
    put_entry(&r, cr3, 3, (DEVICE + 4 * MB) | P | W | U | A | D | PS);
    for (u32 i = 0; i < 1024; i++) {
        put_entry(&r, cr3 + 0x1000, i, (i * 0x1000) | P | W | U | A | D);
        put_entry(&r, cr3 + 0x2000, i, (DEVICE + i * 0x1000) | P | W | U | A | D);
    }
    return r;
}

static bool bit(const u64 *bits, u32 i)
{
    return bits[i / 64] >> (i % 64) & 1;
}

static void set_chunk(u64 *bits, u32 page)
{
    for (u32 i = page / CHUNK * CHUNK; i < page / CHUNK * CHUNK + CHUNK; i++)
        bits[i / 64] |= 1ull << (i % 64);
}

static u32 next(u32 *seed)
{
    *seed = *seed * 1103515245 + 12345;
    return *seed >> 8;
}

Test(log, every_write_is_noted_once)
{
    u64 got[PAGES / 64], want[PAGES / 64];
    struct mmu_regime flat = {0}, a, b;
    struct mmu_window *w[3];
    u32 seed = 5;

    start();
    a = tables(0x100000);
    b = tables(0x110000);
    window(&flat, MMU_SUPER);
    w[0] = g.w;
    window(&a, MMU_SUPER);
    w[1] = g.w;
    memset(got, 0, sizeof(got));
    mmu_log_take(g.m, got);
    for (u32 i = 0; i < PAGES; i++)
        cr_assert(bit(got, i), "the first time all of it");
    memset(want, 0, sizeof(want));
    for (u32 step = 0; step < 6000; step++) {
        u32 page = next(&seed) % PAGES, what = next(&seed) % 40, v, window_of = next(&seed) % 3;
        u32 lin = window_of == 0            ? DEVICE + page * 4096
                  : page < 1024 && page & 1 ? 4 * MB + page * 4096
                                            : 8 * MB + page * 4096;

        window(window_of == 0 ? &flat : window_of == 1 ? &a : &b, MMU_SUPER);
        w[window_of] = g.w;
        if (what == 0) {
            memset(got, 0, sizeof(got));
            cr_assert(mmu_log_any(g.m) == (memcmp(want, got, sizeof(got)) != 0));
            mmu_log_take(g.m, got);
            cr_assert_eq(memcmp(got, want, sizeof(got)), 0, "step %u", step);
            memset(want, 0, sizeof(want));
            cr_assert_not(mmu_log_any(g.m));
        } else if (what == 1) {
            mmu_log_write(g.m, DEVICE + page * 4096);
            set_chunk(want, page);
        } else if (what < 12) {
            cr_assert_eq(guest_read(lin, &v), MMU_OK);
        } else {
            cr_assert_eq(guest_write(lin, step), MMU_OK);
            set_chunk(want, page);
        }
        if (step % 200 == 0)
            for (u32 i = 0; i < 3 && w[2]; i++)
                cr_assert(bit(want, page) ||
                          host_rights(w[i], i == 0 ? DEVICE + page * 4096 : 8 * MB + page * 4096) < 2);
    }
    guest_stop();
}

Test(log, code_is_reported_and_noted)
{
    u64 got[PAGES / 64] = {0};
    struct mmu_regime r;

    start();
    r = tables(0x100000);
    window(&r, MMU_SUPER);
    mmu_watch(g.m, DEVICE + 0x3000);
    cr_assert_eq(guest_write(8 * MB + 0x3000, 1), MMU_WATCHED, "also before anyone looks");
    mmu_log_take(g.m, got);
    cr_assert_eq(guest_write(8 * MB + 0x3000, 1), MMU_WATCHED);
    cr_assert_eq(guest_write(8 * MB + 0x4000, 1), MMU_OK);
    cr_assert_eq(guest_write(4 * MB + 0x3000, 1), MMU_WATCHED, "the same page elsewhere");
    memset(got, 0, sizeof(got));
    mmu_log_take(g.m, got);
    cr_assert(bit(got, 3) && bit(got, 15) && !bit(got, 16));
    cr_assert(mmu_watched(g.m, DEVICE + 0x3000));
    mmu_unwatch(g.m, DEVICE + 0x3000);
    cr_assert_eq(guest_write(8 * MB + 0x3000, 2), MMU_OK);
    cr_assert(mmu_log_any(g.m));
    guest_stop();
}

Test(log, taken_away_alone)
{
    struct mmu_regime r;
    u32 v;

    start();
    r = tables(0x100000);
    window(&r, MMU_SUPER);
    for (u32 round = 0; round < 20; round++) {
        cr_assert_eq(guest_write(0x5000, round), MMU_OK);
        cr_assert_eq(guest_write(8 * MB + 0x7000, round), MMU_OK);
        cr_assert_eq(guest_write(4 * MB + 0x9000, round), MMU_OK);
        cr_assert_eq(mmu_map_physical(g.m, DEVICE, BYTES, MMU_NONE, 0), 0);
        cr_assert_eq(guest_read(8 * MB + 0x7000, &v), MMU_SLOW);
        cr_assert_eq(guest_read(4 * MB + 0x9000, &v), MMU_SLOW);
        cr_assert(host_rights(g.w, 0x5000) == 2 && host_rights(g.w, 8 * MB + 0x7000) == 0, "RAM stays");
        cr_assert_eq(guest_write(0x5000, round), MMU_OK);
        cr_assert_eq(g.fills, 0, "without a fault");
        cr_assert_eq(mmu_map_physical(g.m, DEVICE, BYTES, MMU_RAM, offset), 0);
        cr_assert_eq(guest_read(4 * MB + 0x7000, &v), MMU_OK);
        cr_assert_eq(v, round, "the memory is what it was");
        /* another half of it at the same place */
        cr_assert_eq(mmu_map_physical(g.m, DEVICE, 4 * MB, MMU_RAM, offset + 4 * MB), 0);
        cr_assert_eq(guest_read(8 * MB + 0x7000, &v), MMU_OK);
        cr_assert_eq(v, 0);
        cr_assert_eq(mmu_map_physical(g.m, DEVICE, 4 * MB, MMU_RAM, offset), 0);
    }
    guest_stop();
}
