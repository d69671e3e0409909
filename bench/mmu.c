/*
 * mmu.c - what the shadow MMU costs: one JSON line a metric.
 *
 * A guest like Linux: kernel in large global pages at 3 GiB, a process with four page tables of 4 KiB pages below. Hidden
 * faults are taken for real, through SIGSEGV, so the numbers hold what the host charges for a signal and a mapping.
 */
#include "shadowmmu/shadowmmu.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <ucontext.h>

#define RAM_BYTES (256u << 20)
#define DIR 0x100000u
#define TABLES 0x110000u
#define DATA (64u << 20)
#define N_TABLES 4u
#define USER_PAGES (N_TABLES * 1024)
#define LARGE_PAGES (RAM_BYTES >> 22)

enum { P = 1, W = 2, U = 4, A = 0x20, D = 0x40, PS = 0x80, G = 0x100 };

/* The handler needs them; a program, not the library. */
static struct mmu *mmu;
static struct mmu_window *win;

static u64 now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (u64)t.tv_sec * 1000000000u + (u64)t.tv_nsec;
}

static void report(const char *metric, u64 ns, u64 n)
{
    printf("{\"bench\":\"mmu\",\"metric\":\"%s\",\"value\":%.1f,\"unit\":\"ns\",\"n\":%llu}\n", metric,
           (double)ns / (double)n, (unsigned long long)n);
}

static void on_segv(int sig, siginfo_t *si, void *uc)
{
    u64 err = (u64)((ucontext_t *)uc)->uc_mcontext.gregs[REG_ERR];
    struct mmu_info info;

    if (mmu_fill(mmu, win, (u32)((u64)si->si_addr - (u64)win->base), err & 2, &info) != MMU_OK) {
        signal(sig, SIG_DFL);
        raise(sig);
    }
}

static void put(u32 table, u32 i, u32 v)
{
    memcpy(mmu_ptr(mmu, table + 4 * i, NULL), &v, 4);
}

/* contiguous: neighbours continue each other in memory; else none does. */
static void make_tables(bool contiguous)
{
    for (u32 i = 0; i < LARGE_PAGES; i++)
        put(DIR, 768 + i, i << 22 | P | W | A | D | PS | G);
    for (u32 t = 0; t < N_TABLES; t++) {
        put(DIR, 1 + t, (TABLES + t * 4096) | P | W | U | A);
        for (u32 i = 0; i < 1024; i++) {
            u32 page = t * 1024 + (contiguous ? i : i * 5 % 1024);

            put(TABLES + t * 4096, i, (DATA + page * 4096) | P | W | U | A | D);
        }
    }
}

static struct mmu_window *get(const struct mmu_regime *r, enum mmu_priv priv)
{
    struct mmu_window *w = NULL;

    if (mmu_window_get(mmu, r, priv, &w) != 0)
        perror("mmu_window_get");
    return w;
}

static u64 touch(u32 gva, u32 n, u32 step, bool write)
{
    u64 start = now_ns();

    for (u32 i = 0; i < n; i++) {
        volatile u8 *p = win->base + gva + i * step;

        if (write)
            *p = 1;
        else
            (void)*p;
    }
    return now_ns() - start;
}

static void drop_user(const struct mmu_regime *r)
{
    for (u32 t = 0; t < N_TABLES; t++)
        put(DIR, 1 + t, 0);
    mmu_flush(mmu, r, false);
    win = get(r, MMU_USER);
}

static void bench_fills(const struct mmu_regime *r)
{
    u64 ns;

    win = get(r, MMU_USER);
    make_tables(true);
    (void)touch(0x400000, USER_PAGES, 4096, true); /* make memory resident */
    drop_user(r);
    make_tables(false);
    report("touch_scattered_page_write", touch(0x400000, USER_PAGES, 4096, true), USER_PAGES);
    report("touch_mapped_page_write", touch(0x400000, USER_PAGES, 4096, true), USER_PAGES);
    drop_user(r);
    make_tables(false);
    report("touch_scattered_page_read", touch(0x400000, USER_PAGES, 4096, false), USER_PAGES);
    drop_user(r);
    make_tables(true);
    report("touch_contiguous_page_write", touch(0x400000, USER_PAGES, 4096, true), USER_PAGES);
    drop_user(r);
    make_tables(true);
    report("touch_contiguous_page_read", touch(0x400000, USER_PAGES, 4096, false), USER_PAGES);
    win = get(r, MMU_SUPER);
    ns = now_ns();
    (void)touch(0xc0000000u + DATA, 1, 4096, true);
    report("fill_kernel_large_pages", now_ns() - ns, 1);
    report("touch_large_page_write", touch(0xc0000000u + DATA, USER_PAGES, 4096, true), USER_PAGES);
}

static void bench_switches(const struct mmu_regime *r)
{
    enum { N = 1000000, FLUSHES = 100000 };
    u64 ns = now_ns(), tables;

    for (u32 i = 0; i < N; i++)
        win = get(r, i & 1 ? MMU_USER : MMU_SUPER);
    report("window_get_other_privilege", now_ns() - ns, N);

    ns = now_ns();
    for (u32 i = 0; i < FLUSHES; i++) {
        mmu_flush(mmu, r, false);
        win = get(r, MMU_USER);
    }
    report("cr3_load_4_full_tables", now_ns() - ns, FLUSHES);
    drop_user(r);
    make_tables(false);
    for (u32 t = 0; t < N_TABLES; t++)
        (void)touch(0x400000 * (1 + t), 8, 32768, true);
    ns = now_ns();
    for (u32 i = 0; i < FLUSHES; i++) {
        mmu_flush(mmu, r, false);
        win = get(r, MMU_USER);
    }
    report("cr3_load_32_pages", now_ns() - ns, FLUSHES);

    /* A page changed and flushed, by CR3 load and by INVLPG; the fill that follows is measured above. */
    tables = 0;
    for (u32 i = 0; i < 1000; i++) {
        (void)touch(0x400000, 1, 4096, true);
        put(TABLES, 0, (DATA + (i & 1 ? 4096 : 0)) | P | W | U | A | D);
        ns = now_ns();
        mmu_flush(mmu, r, false);
        win = get(r, MMU_USER);
        tables += now_ns() - ns;
    }
    report("cr3_load_one_page_changed", tables, 1000);
    tables = 0;
    for (u32 i = 0; i < 1000; i++) {
        (void)touch(0x400000, 1, 4096, true);
        put(TABLES, 0, (DATA + (i & 1 ? 4096 : 0)) | P | W | U | A | D);
        ns = now_ns();
        mmu_invlpg(mmu, r, 0x400000);
        tables += now_ns() - ns;
    }
    report("invlpg_page_changed", tables, 1000);
    ns = now_ns();
    for (u32 i = 0; i < N; i++)
        mmu_invlpg(mmu, r, 0x408000);
    report("invlpg_nothing_changed", now_ns() - ns, N);
}

static void bench_walk(const struct mmu_regime *r)
{
    enum { N = 1000000 };
    struct mmu_info info;
    u64 ns = now_ns();

    for (u32 i = 0; i < N; i++)
        (void)mmu_walk(mmu, NULL, r, MMU_SUPER, 0x400000 + (i % USER_PAGES) * 4096, MMU_READ, &info);
    report("walk", now_ns() - ns, N);
}

/* Watching a page that n kernel windows map writable. */
static void bench_watch(const struct mmu_regime *r)
{
    enum { WINDOWS = 32, N = 200 };
    u64 ns;

    for (u32 i = 0; i < WINDOWS; i++) {
        struct mmu_regime other = *r;

        other.cr3 = 0x200000 + i * 4096;
        memcpy(mmu_ptr(mmu, other.cr3, NULL), mmu_ptr(mmu, DIR, NULL), 4096);
        mmu_flush(mmu, &other, false);
        win = get(&other, MMU_SUPER);
        (void)touch(0xc0000000u + DATA, 1, 4096, true);
    }
    ns = now_ns();
    for (u32 i = 0; i < N; i++)
        mmu_watch(mmu, DATA + i * 65536);
    report("watch_in_32_windows", now_ns() - ns, N);
}

int main(void)
{
    struct mmu_config cfg = {.ram_bytes = RAM_BYTES};
    struct mmu_regime r = {.cr3 = DIR, .paging = 1, .pse = 1, .pge = 1};
    struct sigaction sa = {.sa_sigaction = on_segv, .sa_flags = SA_SIGINFO};

    if (mmu_new(&mmu, &cfg) != 0 || mmu_map_physical(mmu, 0, RAM_BYTES, MMU_RAM, 0) != 0)
        return 1;
    sigaction(SIGSEGV, &sa, NULL);
    make_tables(true);
    bench_fills(&r);
    bench_switches(&r);
    bench_walk(&r);
    bench_watch(&r);
    mmu_free(mmu);
    return 0;
}
