/*
 * test_random.c - random page-table edits, flushes and accesses against a reference walk.
 *
 * Three page directories share four page tables. Edits are not announced; a page is "stale" in the model until the
 * flush or INVLPG after which the architecture promises the new translation. An access to a page that is not stale must
 * do exactly what the tables say: result, error code, physical address (each page of RAM carries its number), A and D bits of
 * this path and of no other. Translations fetched through a window are cached as the monitor does, dropped
 * when `changed` says so, and must be right whenever the page is not stale. Host mappings are counted.
 */
#include "guest.h"

#define RAM (16u * MB)
#define TABLES 0x10000u /* TABLE_COUNT pages, read through table slots and directory slots */
#define TABLE_COUNT 4u
#define DIRS 0x20000u /* DIR_COUNT pages */
#define DIR_COUNT 3u
#define PDPTS 0x30000u /* one page each */
#define SLOTS 6u       /* directory entries in use */
#define ENTRIES 40u    /* table entries in use */
#define ID_OFF 0xffcu
#define DATA_OFF 0xff8u
#define ID(page) (0xc0de0000u | (page))

enum { FRESH, STALE, STALE_GLOBAL };

struct model {
    struct mmu_regime r[DIR_COUNT];
    u32 cur; /* directory */
    enum mmu_priv priv;
    u8 stale[DIR_COUNT][SLOTS][ENTRIES];
    u8 tables[TABLE_COUNT + DIR_COUNT][4096]; /* what they held after the last step */
    struct {
        struct mmu_window *w;
        u32 id;
        u32 dir;
        enum mmu_priv priv;
    } wins[256];
    u32 n_wins;
    u32 cache_gpa[256][SLOTS][ENTRIES]; /* 0: none, else gpa | 1 */
};

static struct model *md;

static u32 rnd(u32 n)
{
    return (u32)rand() % n;
}

/* A page: half the time one of a few, so that things happen to the same page. */
static void pick(u32 *slot, u32 *i)
{
    bool hot = rnd(2);

    *slot = rnd(hot ? 3 : SLOTS);
    *i = rnd(hot ? 3 : ENTRIES);
}

static u32 slot_shift(void)
{
    return md->r[0].pae ? 21 : 22;
}

static u32 gva_of(u32 slot, u32 i)
{
    return slot << slot_shift() | i << 12;
}

static u64 dir_gpa(u32 d)
{
    return DIRS + d * 4096;
}

/* ---- the reference ---- */

struct ref {
    enum mmu_result result;
    u32 error;
    u64 gpa;
    bool large, global;
    u32 table;
};

static enum mmu_backing kind_of(u64 gpa)
{
    if (gpa < 0xa0000 || (gpa >= MB && gpa < RAM))
        return MMU_RAM;
    if ((gpa >= 0xf0000 && gpa < MB) || (gpa >= 0xffff0000 && gpa < 1ull << 32))
        return MMU_ROM;
    return MMU_NONE;
}

static struct ref ref_walk(u32 d, u32 slot, u32 i, enum mmu_priv priv, enum mmu_access access)
{
    const struct mmu_regime *r = &md->r[d];
    bool nx_on = r->pae && r->nxe;
    u32 error = (access == MMU_WRITE) << 1 | (priv == MMU_USER) << 2 | (access == MMU_FETCH && nx_on) << 4;
    u64 pde = get_entry(r, dir_gpa(d), slot), pte, both;
    struct ref x = {.result = MMU_GUEST_FAULT, .error = error};

    if (!(pde & P))
        return x;
    x.large = pde & PS && (r->pae || r->pse);
    x.table = (u32)(((pde & ~0xfffull & ~NX) - TABLES) >> 12);
    if (r->pae && pde & NX && !nx_on) {
        x.error |= 9;
        return x;
    }
    pte = x.large ? pde : get_entry(r, TABLES + x.table * 4096, i);
    if (!(pte & P))
        return x;
    if (r->pae && pte & NX && !nx_on) {
        x.error |= 9;
        return x;
    }
    both = pde & pte;
    x.gpa = (pte & ~0xfffull & ~NX) + (x.large ? (u64)i << 12 : 0);
    x.global = r->pge && pte & G;
    x.error |= 1;
    if ((priv == MMU_USER && !(both & U)) || (access == MMU_WRITE && !(both & W) && priv != MMU_SUPER_NOWP) ||
        (access == MMU_FETCH && (pde | pte) & NX))
        return x;
    x.result =
        kind_of(x.gpa) == MMU_NONE || (kind_of(x.gpa) == MMU_ROM && access == MMU_WRITE) ? MMU_SLOW : MMU_OK;
    x.error = 0;
    return x;
}

/* ---- staleness ---- */

/* The entry is about to change: every page it leads to is stale until flushed. */
static void mark(u32 d, u32 slot, u32 i)
{
    struct ref x = ref_walk(d, slot, i, MMU_SUPER_NOWP, MMU_READ);
    u8 *s = &md->stale[d][slot][i];

    if (x.global)
        *s = STALE_GLOBAL;
    else if (*s == FRESH)
        *s = STALE;
}

static void mark_table(u32 t, u32 i)
{
    for (u32 d = 0; d < DIR_COUNT; d++)
        for (u32 slot = 0; slot < SLOTS; slot++) {
            struct ref x = ref_walk(d, slot, i, MMU_SUPER_NOWP, MMU_READ);
            u64 pde = get_entry(&md->r[d], dir_gpa(d), slot);

            if (pde & P && !x.large && x.table == t)
                mark(d, slot, i);
        }
}

/* ---- windows and what was fetched through them ---- */

static u32 win_index(struct mmu_window *w)
{
    for (u32 i = 0; i < md->n_wins; i++)
        if (md->wins[i].w == w) {
            if (md->wins[i].id != w->id) { /* recycled */
                memset(md->cache_gpa[i], 0, sizeof(md->cache_gpa[i]));
                md->wins[i].id = w->id;
            }
            md->wins[i].dir = md->cur;
            md->wins[i].priv = md->priv;
            return i;
        }
    cr_assert_lt(md->n_wins, ARRAY_SIZE(md->wins));
    md->wins[md->n_wins].w = w;
    md->wins[md->n_wins].id = w->id;
    md->wins[md->n_wins].dir = md->cur;
    md->wins[md->n_wins].priv = md->priv;
    return md->n_wins++;
}

static void drain_changed(void)
{
    cr_assert_leq(g.n_changed, LOG);
    for (u32 k = 0; k < md->n_wins; k++)
        for (u32 slot = 0; slot < SLOTS; slot++)
            for (u32 i = 0; g.n_changed && i < ENTRIES; i++)
                if (md->cache_gpa[k][slot][i] && changed_covers(md->wins[k].w, gva_of(slot, i)))
                    md->cache_gpa[k][slot][i] = 0;
    g.n_changed = 0;
}

static void check_cache(u32 k)
{
    for (u32 slot = 0; slot < SLOTS; slot++)
        for (u32 i = 0; i < ENTRIES; i++) {
            u32 c = md->cache_gpa[k][slot][i];
            struct ref x;

            if (!c || md->stale[md->cur][slot][i])
                continue;
            x = ref_walk(md->cur, slot, i, md->priv, MMU_FETCH);
            cr_assert(x.result != MMU_GUEST_FAULT && (u32)x.gpa == (c & ~1u),
                      "cached fetch of %x through window %u: %x, tables say %d %lx", gva_of(slot, i), k, c,
                      x.result, x.gpa);
        }
}

static void get_window(void)
{
    window(&md->r[md->cur], md->priv);
    win_index(g.w);
    drain_changed();
    check_cache(win_index(g.w));
}

/* ---- steps ---- */

static u64 random_flags(void)
{
    static const u64 some[] = {P | W | U | A | D, P | W | U, P | U | A, P | W | A | D | G,
                               P | W | A,         P,         0,         P | U | A | D};
    u64 f = rnd(4) ? some[rnd(ARRAY_SIZE(some))] : rnd(0x200) & (P | W | U | A | D | G);

    if (md->r[0].pae && rnd(6) == 0)
        f |= NX;
    return f | (rnd(4) ? P : 0);
}

static u64 random_frame(u32 i)
{
    switch (rnd(8)) {
    case 0: return (rnd(RAM >> 12) << 12);
    case 1: return 0xa0000 + (rnd(96) << 12);
    case 2: return 0xffff0000u + (rnd(16) << 12);
    default: return (2 + rnd(2)) * MB + (i << 12); /* runs */
    }
}

static void edit_table(void)
{
    u32 t = rnd(TABLE_COUNT), i = rnd(rnd(2) ? 3 : ENTRIES), n = rnd(3) ? 1 : 1 + rnd(12);
    u64 flags = random_flags(), frame = random_frame(i);

    for (; n && i < ENTRIES; n--, i++, frame += 4096) {
        u64 old = get_entry(&md->r[0], TABLES + t * 4096, i), now = frame | flags;

        if (rnd(4) == 0) /* only flags */
            now = (old & ~0x1ffull) | (flags & 0x1ff);
        if (frame >= 1ull << 32)
            return;
        mark_table(t, i);
        put_entry(&md->r[0], TABLES + t * 4096, i, now & ~(u64)PS);
        mark_table(t, i);
    }
}

static void edit_directory(void)
{
    u32 d = rnd(DIR_COUNT), slot = rnd(SLOTS);
    bool may_large = md->r[0].pae || md->r[0].pse;
    u64 flags = random_flags(), now;

    for (u32 i = 0; i < ENTRIES; i++)
        mark(d, slot, i);
    if (may_large && rnd(3) == 0)
        now = ((u64)(rnd(3) ? 1 + slot % 3 : rnd(5)) << slot_shift()) | flags | PS;
    else
        now = (TABLES + rnd(TABLE_COUNT) * 4096) | (flags & ~(u64)(PS | G));
    put_entry(&md->r[0], dir_gpa(d), slot, now);
    for (u32 i = 0; i < ENTRIES; i++)
        mark(d, slot, i);
}

static void flush(void)
{
    bool all = rnd(4) == 0;

    if (rnd(3))
        md->cur = rnd(DIR_COUNT);
    mmu_flush(g.m, &md->r[md->cur], all);
    for (u32 d = 0; d < DIR_COUNT; d++)
        for (u32 slot = 0; slot < SLOTS; slot++)
            for (u32 i = 0; i < ENTRIES; i++) {
                u8 *s = &md->stale[d][slot][i];

                if (all && *s == STALE_GLOBAL)
                    *s = STALE;
                if (d == md->cur && *s == STALE)
                    *s = FRESH;
            }
    get_window();
}

static void invlpg(void)
{
    u32 slot, i;

    pick(&slot, &i);
    mmu_invlpg(g.m, &md->r[md->cur], gva_of(slot, i) + rnd(4096));
    drain_changed();
    for (u32 d = 0; d < DIR_COUNT; d++)
        if (md->stale[d][slot][i] == STALE_GLOBAL)
            md->stale[d][slot][i] = STALE;
    md->stale[md->cur][slot][i] = FRESH;
    check_cache(win_index(g.w));
}

static void snapshot_tables(void)
{
    for (u32 t = 0; t < TABLE_COUNT; t++)
        memcpy(md->tables[t], guest_word(TABLES + t * 4096), DATA_OFF);
    for (u32 d = 0; d < DIR_COUNT; d++)
        memcpy(md->tables[TABLE_COUNT + d], guest_word(dir_gpa(d)), DATA_OFF);
}

static void model_set(u32 table, u32 i, u64 bits)
{
    u8 *p = md->tables[table] + i * (md->r[0].pae ? 8 : 4);
    u32 v;

    memcpy(&v, p, 4);
    v |= (u32)bits;
    memcpy(p, &v, 4);
}

/* The tables must differ from the snapshot by this access's A and D bits and nothing else. */
static void check_tables(u32 slot, u32 i, const struct ref *x, bool write)
{
    if (x->result != MMU_GUEST_FAULT) {
        model_set(TABLE_COUNT + md->cur, slot, A | (x->large && write ? D : 0));
        if (!x->large)
            model_set(x->table, i, A | (write ? D : 0));
    }
    for (u32 t = 0; t < TABLE_COUNT; t++)
        cr_assert_arr_eq(md->tables[t], (u8 *)guest_word(TABLES + t * 4096), DATA_OFF);
    for (u32 d = 0; d < DIR_COUNT; d++)
        cr_assert_arr_eq(md->tables[TABLE_COUNT + d], (u8 *)guest_word(dir_gpa(d)), DATA_OFF);
}

static void touch(void)
{
    u32 slot, i, gva, v = 0;
    bool write = rnd(2), watched, stale;
    struct ref x;
    enum mmu_result got;

    pick(&slot, &i);
    gva = gva_of(slot, i);
    stale = md->stale[md->cur][slot][i];
    x = ref_walk(md->cur, slot, i, md->priv, write ? MMU_WRITE : MMU_READ);
    snapshot_tables();
    watched = mmu_watched(g.m, x.gpa);
    got = write ? guest_write(gva + DATA_OFF, 0x5a000000 | gva >> 12) : guest_read(gva + ID_OFF, &v);
    drain_changed();
    if (stale)
        return;
    if (write && x.result == MMU_OK && watched) {
        cr_assert_eq(got, MMU_WATCHED, "write to %x: %d", gva, got);
        check_tables(slot, i, &x, write);
        return;
    }
    cr_assert_eq(got, x.result, "%s of %x: %d, not %d", write ? "write" : "read", gva, got, x.result);
    if (got == MMU_GUEST_FAULT)
        cr_assert_eq(g.info.error_code, x.error, "error %x, not %x", g.info.error_code, x.error);
    if (got == MMU_SLOW)
        cr_assert_eq(g.info.gpa & ~0xfffull, x.gpa);
    if (got == MMU_OK && write)
        cr_assert_eq(*guest_word(x.gpa + DATA_OFF), 0x5a000000 | gva >> 12, "write to %x", gva);
    else if (got == MMU_OK)
        cr_assert_eq(v, kind_of(x.gpa) == MMU_ROM ? 0xf0f0f0f0 : ID((u32)x.gpa >> 12),
                     "read of %x: %x for %lx", gva, v, x.gpa);
    check_tables(slot, i, &x, write);
}

static void fetch(void)
{
    u32 slot, i, k = win_index(g.w);
    struct mmu_info info;
    enum mmu_result got;
    struct ref x;

    pick(&slot, &i);
    x = ref_walk(md->cur, slot, i, md->priv, MMU_FETCH);
    got = mmu_walk(g.m, g.w, &md->r[md->cur], md->priv, gva_of(slot, i), MMU_FETCH, &info);

    drain_changed();
    cr_assert_eq(got, x.result);
    if (got != MMU_GUEST_FAULT) {
        cr_assert_eq(info.gpa, x.gpa);
        md->cache_gpa[k][slot][i] = (u32)x.gpa | 1;
    } else {
        cr_assert_eq(info.error_code, x.error);
    }
}

static void watch(void)
{
    u64 gpa = (2 + rnd(2)) * MB + (rnd(ENTRIES) << 12);

    if (rnd(4) == 0)
        gpa = rnd(RAM >> 12) << 12;
    if (rnd(2))
        mmu_watch(g.m, gpa);
    else
        mmu_unwatch(g.m, gpa);
}

static void check_host(u32 max_mappings)
{
    u32 n = 0;

    for (u32 k = 0; k < md->n_wins; k++)
        n += host_vmas(md->wins[k].w);
    cr_assert_eq(n, mmu_stats(g.m)->mappings);
    if (max_mappings)
        cr_assert_leq(n, max_mappings);
}

static void run(struct mmu_regime r, u32 max_mappings, u32 max_windows, u32 seed, u32 steps)
{
    md = calloc(1, sizeof(*md));
    srand(seed);
    guest_start(RAM, max_mappings, max_windows);
    for (u32 p = 0; p < RAM >> 12; p++)
        if (kind_of((u64)p << 12) == MMU_RAM)
            *guest_word(((u64)p << 12) + ID_OFF) = ID(p);
    for (u32 d = 0; d < DIR_COUNT; d++) {
        md->r[d] = r;
        md->r[d].cr3 = (u32)dir_gpa(d);
        if (r.pae) {
            md->r[d].cr3 = PDPTS + d * 4096 + 0x20 * d;
            *(u64 *)(void *)guest_word(md->r[d].cr3) = dir_gpa(d) | P;
        }
    }
    md->priv = MMU_SUPER;
    get_window();
    for (u32 step = 0; step < steps; step++) {
        switch (rnd(32)) {
        case 0:
        case 1: edit_directory(); break;
        case 2:
        case 3:
        case 4: edit_table(); break;
        case 5:
        case 6: flush(); break;
        case 7:
        case 8: invlpg(); break;
        case 9: watch(); break;
        case 10:
        case 11:
            md->priv = rnd(3);
            get_window();
            break;
        case 12:
        case 13:
        case 14: fetch(); break;
        default: touch();
        }
        if (step % 512 == 0)
            check_host(max_mappings);
    }
    check_host(max_mappings);
    guest_stop();
    free(md);
}

Test(random, legacy)
{
    run((struct mmu_regime){.paging = 1}, 0, 0, 1, 30000);
}

Test(random, pse_global)
{
    run((struct mmu_regime){.paging = 1, .pse = 1, .pge = 1}, 0, 0, 2, 30000);
}

Test(random, pae)
{
    run((struct mmu_regime){.paging = 1, .pae = 1}, 0, 0, 3, 30000);
}

Test(random, pae_nx_global)
{
    run((struct mmu_regime){.paging = 1, .pae = 1, .nxe = 1, .pge = 1}, 0, 0, 4, 30000);
}

/* Four windows for nine: recycled all the time. */
Test(random, few_windows)
{
    run((struct mmu_regime){.paging = 1, .pse = 1, .pge = 1}, 0, 4, 5, 30000);
    run((struct mmu_regime){.paging = 1, .pae = 1, .nxe = 1, .pge = 1}, 0, 4, 6, 30000);
}

/* Sixty-four host mappings for all. */
Test(random, few_mappings)
{
    run((struct mmu_regime){.paging = 1, .pse = 1, .pge = 1}, 64, 0, 7, 30000);
    run((struct mmu_regime){.paging = 1, .pae = 1, .pge = 1}, 64, 4, 8, 30000);
}

/* More seeds, as long as wanted: NOVT_MMU_SEEDS=1000. */
Test(random, more_seeds)
{
    const char *env = getenv("NOVT_MMU_SEEDS");
    u32 n = env ? (u32)atoi(env) : 8;

    for (u32 seed = 100; seed < 100 + n; seed++) {
        struct mmu_regime r = {.paging = 1, .pse = seed & 1, .pge = seed >> 1 & 1, .pae = seed >> 2 & 1};

        r.nxe = r.pae && seed & 8;
        run(r, seed & 16 ? 64 : 0, seed & 32 ? 4 : 0, seed, 4000);
    }
}
