/*
 * test_guest.c - the guest of guest.h, and the tests of it and of RAM itself.
 */
#include "guest.h"

#include <ucontext.h>
#include <unistd.h>

struct guest g;

static void on_segv(int sig, siginfo_t *si, void *uc)
{
    u64 err = (u64)((ucontext_t *)uc)->uc_mcontext.gregs[REG_ERR];
    u64 hva = (u64)si->si_addr;

    (void)sig;
    if (!g.in_access || !mmu_window_contains(g.w, hva)) {
        static const char text[] = "stray SIGSEGV\n";

        (void)!write(2, text, sizeof(text) - 1);
        _exit(99);
    }
    g.fills++;
    g.result = mmu_fill(g.m, g.w, (u32)(hva - (u64)g.w->base), err & 2, &g.info);
    if (g.result != MMU_OK || g.fills > 100)
        siglongjmp(g.out, 1);
}

static void on_changed(void *opaque, struct mmu_window *w, u32 gva, u32 n)
{
    struct guest *me = opaque;

    if (me->n_changed < LOG) {
        me->changed[me->n_changed].w = w;
        me->changed[me->n_changed].gva = gva;
        me->changed[me->n_changed].n = n;
    }
    me->n_changed++;
}

static void on_free(void *opaque, struct mmu_window *w)
{
    struct guest *me = opaque;

    w->user = NULL;
    me->freed++;
}

void guest_start(u64 ram_bytes, u32 max_mappings, u32 max_windows)
{
    struct sigaction sa = {.sa_sigaction = on_segv, .sa_flags = SA_SIGINFO | SA_NODEFER};
    struct mmu_config cfg = {.ram_bytes = ram_bytes,
                             .rom_bytes = 64 << 10,
                             .max_mappings = max_mappings,
                             .max_windows = max_windows,
                             .changed = on_changed,
                             .free_user = on_free,
                             .opaque = &g};

    memset(&g, 0, sizeof(g));
    cr_assert_eq(mmu_new(&g.m, &cfg), 0);
    cr_assert_eq(mmu_map_physical(g.m, 0, 640 << 10, MMU_RAM, 0), 0);
    if (ram_bytes > MB)
        cr_assert_eq(mmu_map_physical(g.m, MB, ram_bytes - MB, MMU_RAM, MB), 0);
    memset(mmu_backing_ptr(g.m, ram_bytes), 0xf0, 64 << 10);
    cr_assert_eq(mmu_map_physical(g.m, 0xf0000, 64 << 10, MMU_ROM, ram_bytes), 0);
    cr_assert_eq(mmu_map_physical(g.m, 0xffff0000, 64 << 10, MMU_ROM, ram_bytes), 0);
    sigaction(SIGSEGV, &sa, NULL);
    sigaction(SIGBUS, &sa, NULL);
}

void guest_stop(void)
{
    mmu_free(g.m);
}

u32 *guest_word(u64 gpa)
{
    u8 *p = mmu_ptr(g.m, gpa, NULL);

    cr_assert(p != NULL);
    return (u32 *)(void *)p;
}

void put_entry(const struct mmu_regime *r, u64 table, u32 i, u64 v)
{
    if (r->pae)
        memcpy(mmu_ptr(g.m, table + 8 * i, NULL), &v, 8);
    else
        memcpy(mmu_ptr(g.m, table + 4 * i, NULL), &v, 4);
}

u64 get_entry(const struct mmu_regime *r, u64 table, u32 i)
{
    u64 v = 0;

    memcpy(&v, mmu_ptr(g.m, table + (r->pae ? 8 : 4) * i, NULL), r->pae ? 8 : 4);
    return v;
}

void load_pdptes(const struct mmu_regime *r)
{
    const u8 *p = r->pae ? mmu_ptr(g.m, r->cr3 & ~31u, NULL) : NULL;
    u64 pdpte[4];

    if (p) {
        memcpy(pdpte, p, sizeof(pdpte));
        mmu_load_pdptes(g.m, pdpte);
    }
}

void window(const struct mmu_regime *r, enum mmu_priv priv)
{
    load_pdptes(r);
    cr_assert_eq(mmu_window_get(g.m, r, priv, &g.w), 0);
}

static enum mmu_result access_word(u32 gva, u32 *v, bool write)
{
    volatile u32 *p = (volatile u32 *)(void *)(g.w->base + gva);

    g.fills = 0;
    g.result = MMU_OK;
    if (sigsetjmp(g.out, 0) == 0) {
        g.in_access = true;
        if (write)
            *p = *v;
        else
            *v = *p;
    }
    g.in_access = false;
    cr_assert_leq(g.fills, 4, "%u fills for one access", g.fills);
    return g.result;
}

enum mmu_result guest_read(u32 gva, u32 *v)
{
    return access_word(gva, v, false);
}

enum mmu_result guest_write(u32 gva, u32 v)
{
    return access_word(gva, &v, true);
}

bool changed_covers(const struct mmu_window *w, u32 gva)
{
    for (u32 i = 0; i < g.n_changed && i < LOG; i++)
        if (g.changed[i].w == w && (gva >> 12) - (g.changed[i].gva >> 12) < g.changed[i].n)
            return true;
    return false;
}

/* Calls fn for each host mapping inside the window. */
static void each_vma(const struct mmu_window *w, void (*fn)(u64 lo, u64 hi, const char *perm, void *x),
                     void *x)
{
    FILE *f = fopen("/proc/self/maps", "r");
    char line[512], perm[5];
    u64 lo, hi, base = (u64)w->base;

    cr_assert(f != NULL);
    while (fgets(line, sizeof(line), f))
        if (sscanf(line, "%lx-%lx %4s", &lo, &hi, perm) == 3 && hi >= base && lo <= base + MMU_WINDOW_BYTES)
            fn(lo, hi, perm, x);
    fclose(f);
}

static void count(u64 lo, u64 hi, const char *perm, void *x)
{
    (void)lo;
    (void)hi;
    (void)perm;
    ++*(u32 *)x;
}

u32 host_vmas(const struct mmu_window *w)
{
    u32 n = 0;

    each_vma(w, count, &n);
    return n;
}

struct where {
    u64 hva;
    int rights;
};

static void look(u64 lo, u64 hi, const char *perm, void *x)
{
    struct where *at = x;

    if (at->hva >= lo && at->hva < hi)
        at->rights = perm[1] == 'w' ? 2 : perm[0] == 'r';
}

int host_rights(const struct mmu_window *w, u32 gva)
{
    struct where at = {.hva = (u64)w->base + gva};

    each_vma(w, look, &at);
    return at.rights;
}

Test(ram, refuses_bad_sizes)
{
    struct mmu_config cfg = {.ram_bytes = 0};
    struct mmu *m;

    cr_assert_eq(mmu_new(&m, &cfg), -EINVAL);
    cfg.ram_bytes = MB + 4096;
    cr_assert_eq(mmu_new(&m, &cfg), -EINVAL);
    cfg.ram_bytes = 4ull << 30;
    cr_assert_eq(mmu_new(&m, &cfg), -EINVAL);
    cfg.ram_bytes = MB;
    cfg.rom_bytes = 1ull << 40;
    cr_assert_eq(mmu_new(&m, &cfg), -EINVAL);
}

Test(ram, layout)
{
    enum mmu_backing kind;

    guest_start(8 * MB, 0, 0);
    cr_assert_eq(mmu_ptr(g.m, 0x1234, &kind), mmu_backing_ptr(g.m, 0x1234));
    cr_assert_eq(kind, MMU_RAM);
    cr_assert_null(mmu_ptr(g.m, 0xa0000, &kind));
    cr_assert_eq(kind, MMU_NONE);
    cr_assert_eq(*mmu_ptr(g.m, 0xfffffff0, &kind), 0xf0);
    cr_assert_eq(kind, MMU_ROM);
    cr_assert_null(mmu_ptr(g.m, 8 * MB, NULL));
    cr_assert_null(mmu_ptr(g.m, 1ull << 32, NULL));
    cr_assert_null(mmu_ptr(g.m, ~0ull, NULL));
    cr_assert_eq(mmu_map_physical(g.m, 0x1001, 4096, MMU_RAM, 0), -EINVAL);
    cr_assert_eq(mmu_map_physical(g.m, 0x1000, 4096, MMU_RAM, 9 * MB), -EINVAL);
    cr_assert_eq(mmu_map_physical(g.m, 0xfffff000, 8192, MMU_NONE, 0), -EINVAL);
    cr_assert_eq(mmu_map_physical(g.m, ~0xfffull, 8192, MMU_NONE, 0), -EINVAL);
    guest_stop();
}
