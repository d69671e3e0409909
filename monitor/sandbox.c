/*
 * sandbox.c - boxes: which window each one mirrors, what it maps, which pages may be executed there.
 *
 * The mirror is an array of what the box maps. A sync compares it with the window where the shadow MMU recorded a change and sends
 * the differences as runs. A page is executable only while its verdict stands: it is under write-watch from the scan on, and the write
 * that ends the watch takes it out of every box first (sandbox_code_written), so no box runs bytes that were not scanned.
 */
#include "monitor/sandbox.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <x86intrin.h>

/* Verdict on a page, bits 3..0 of sandbox.page[]. */
#define PAGE_UNSEEN 0u
#define PAGE_CLEAN 1u
#define PAGE_BAD 2u
#define PAGE_VERDICT 0x0fu
#define PAGE_RESCAN 0x10u /* counts in bits 7..4 */
#define PAGE_RESCANS 0xf0u

#define LINEAR_PAGES (1u << 20)
#define AMNESTY_CYCLES (1ull << 33) /* TSC, some seconds: pages are recycled, so what was written long ago does not count */
#define NO_BOX_CYCLES (1ull << 31)  /* after the host refused a process: how long not to ask again */
#define AROUND_BEFORE 8u /* pages of code to make executable around one */
#define AROUND_BEHIND 32u
#define POPULATE_MAX 64u /* pages; longer runs are not all used */

/* ---- life ---- */

int sandbox_new(struct novt_vm *vm, enum mon_engine_option option)
{
    struct sandbox *s;
    u64 bytes;

    if (option == ENGINE_BT)
        return 0;
    s = calloc(1, sizeof(*s));
    if (!s)
        return -ENOMEM;
    (void)mmu_memfd(vm->mmu, &bytes);
    s->pages = (u32)(bytes >> PAGE_SHIFT);
    s->page = mmap(NULL, 2ull * s->pages, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                   -1, 0);
    if (s->page == MAP_FAILED) {
        free(s);
        return -ENOMEM;
    }
    s->tail = s->page + s->pages;
    s->option = (u8)option;
    s->host = scan_host();
    s->overhead = 20000; /* until it is measured */
    vm->sandbox = s;
    return 0;
}

static void box_end(struct sandbox_box *b)
{
    dx_box_free(b->dx);
    if (b->mirror)
        munmap(b->mirror, LINEAR_PAGES * sizeof(u32));
    if (b->win)
        mmu_track(b->win, false);
    memset(b, 0, sizeof(*b));
}

void sandbox_thread_end(struct novt_vm *vm)
{
    for (u32 i = 0; vm->sandbox && i < SANDBOX_BOXES; i++)
        box_end(&vm->sandbox->box[i]);
}

void sandbox_free(struct novt_vm *vm)
{
    struct sandbox *s = vm->sandbox;

    if (!s)
        return;
    sandbox_thread_end(vm);
    if (s->dx)
        dx_free(s->dx);
    munmap(s->page, 2ull * s->pages);
    free(s);
    vm->sandbox = NULL;
}

/* ---- boxes and windows ---- */

static bool box_empty(struct sandbox_box *b)
{
    if (dx_wipe(b->dx))
        return false;
    /* Fresh zero pages; the mapping itself stays. */
    if (madvise(b->mirror, LINEAR_PAGES * sizeof(u32), MADV_DONTNEED))
        memset(b->mirror, 0, LINEAR_PAGES * sizeof(u32));
    memset(b->live, 0, sizeof(b->live));
    memset(b->slot, 0, sizeof(b->slot));
    b->n_exec = 0;
    b->look_all = true;
    return true;
}

static bool box_start(struct sandbox *s, struct sandbox_box *b)
{
    if (dx_box_new(s->dx, &b->dx, s->why))
        return false;
    b->mirror = mmap(NULL, LINEAR_PAGES * sizeof(u32), PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (b->mirror != MAP_FAILED)
        return true;
    b->mirror = NULL;
    box_end(b);
    return false;
}

static void attach(struct sandbox_box *b, struct mmu_window *win)
{
    b->win = win;
    b->look_all = true;
    mmu_track(win, true);
}

/* For another window, or gone. */
static bool take_over(struct sandbox *s, struct sandbox_box *b)
{
    mmu_track(b->win, false);
    b->win = NULL;
    s->stats.wipes++;
    if (box_empty(b))
        return true;
    box_end(b);
    return false;
}

/* Of those that have a window, the one that was idle longest; NULL: none. */
static struct sandbox_box *idlest(struct sandbox *s)
{
    struct sandbox_box *best = NULL;

    for (u32 i = 0; i < SANDBOX_BOXES; i++)
        if (s->box[i].win && (!best || s->box[i].used < best->used))
            best = &s->box[i];
    return best;
}

struct sandbox_box *sandbox_box_get(struct novt_vm *vm)
{
    struct sandbox *s = vm->sandbox;
    struct sandbox_box *best = NULL;

    for (u32 i = 0; i < SANDBOX_BOXES; i++) {
        struct sandbox_box *b = &s->box[i];

        if (b->dx && dx_box_dead(b->dx))
            box_end(b);
        if (b->win == vm->win) {
            b->used = ++s->stamp;
            return b;
        }
        if (!b->win && (!best || b->dx)) /* one that is not in use, started if possible */
            best = b;
    }
    if (!best) {
        best = idlest(s);
        take_over(s, best);
    }
    if (!best->dx && !box_start(s, best)) { /* too many processes, say: share those that there are */
        best = idlest(s);
        if (!best || !take_over(s, best)) {
            s->no_box_until = __rdtsc() + NO_BOX_CYCLES;
            return NULL;
        }
    }
    attach(best, vm->win);
    best->used = ++s->stamp;
    return best;
}

void sandbox_window_freed(struct novt_vm *vm, struct mmu_window *w)
{
    for (u32 i = 0; vm->sandbox && i < SANDBOX_BOXES; i++) {
        struct sandbox_box *b = &vm->sandbox->box[i];

        if (b->win != w)
            continue;
        b->win = NULL; /* tracking ended by itself */
        if (!box_empty(b))
            box_end(b);
    }
}

/* ---- the mirror ---- */

struct batch {
    struct novt_vm *vm;
    struct sandbox_box *b;
    struct dx_op op[DX_MAP_BATCH];
    u32 n;
    u32 last; /* page behind the last operation's */
    bool failed;
};

static void send(struct batch *q)
{
    if (!q->failed && q->n && dx_map(q->b->dx, q->op, q->n, NULL))
        q->failed = true;
    q->n = 0;
}

static struct sandbox_exec *find_exec(struct sandbox_box *b, u32 page)
{
    for (u32 i = 0; i < b->n_exec; i++)
        if (b->exec[i].page == page)
            return &b->exec[i];
    return NULL;
}

/* What the box should map at a page. */
static u32 wanted(struct batch *q, u32 page)
{
    const struct sandbox *s = q->vm->sandbox;
    u32 e = mmu_mapping(q->vm->mmu, q->b->win, page), backing = e & MMU_MAPPING_PAGE;
    struct sandbox_exec *x;

    if (!e || ((u64)page << PAGE_SHIFT) < dx_caps(s->dx)->min_gva)
        return 0;
    if ((s->page[backing] & PAGE_VERDICT) != PAGE_CLEAN || e & MMU_MAPPING_WRITABLE)
        return e;
    x = find_exec(q->b, page);
    return x && x->backing == backing ? e | SANDBOX_EXEC : e;
}

static u8 prot_of(u32 e)
{
    return (u8)(DX_READ | (e & MMU_MAPPING_WRITABLE ? DX_WRITE : 0) | (e & SANDBOX_EXEC ? DX_EXEC : 0));
}

/* The next difference, as an operation of its own or as the last one's continuation. */
static void add(struct batch *q, u32 page, u32 now, u32 want)
{
    struct dx_op op = {.gva = page << PAGE_SHIFT, .pages = 1, .populate = 1};
    struct dx_op *last = q->n ? &q->op[q->n - 1] : NULL;

    op.offset = (u64)(want & MMU_MAPPING_PAGE) << PAGE_SHIFT;
    op.prot = prot_of(want);
    if (!want)
        op = (struct dx_op){.kind = DX_UNMAP, .gva = op.gva, .pages = 1};
    else if (now && !((now ^ want) & MMU_MAPPING_PAGE))
        op.kind = DX_PROTECT;
    else
        op.kind = DX_MAP;
    if (last && q->last == page && last->kind == op.kind && last->prot == op.prot &&
        (op.kind != DX_MAP || last->offset + ((u64)last->pages << PAGE_SHIFT) == op.offset)) {
        last->populate &= ++last->pages <= POPULATE_MAX;
        q->last = page + 1;
        return;
    }
    if (q->n == DX_MAP_BATCH)
        send(q);
    q->op[q->n++] = op;
    q->last = page + 1;
}

static void sync_page(struct batch *q, u32 page)
{
    u32 want = wanted(q, page), *now = &q->b->mirror[page];

    if (*now == want)
        return;
    add(q, page, *now, want);
    q->b->live[page / SANDBOX_LIVE_PAGES] += (want != 0) - (*now != 0);
    *now = want;
}

static void sync_all(struct batch *q)
{
    u32 next = mmu_mapping_next(q->vm->mmu, q->b->win, 0);

    for (u32 page = 0; page < LINEAR_PAGES;) {
        if (page % SANDBOX_LIVE_PAGES == 0 && !q->b->live[page / SANDBOX_LIVE_PAGES] &&
            next >= page + SANDBOX_LIVE_PAGES) {
            page += SANDBOX_LIVE_PAGES;
            continue;
        }
        if (page == next || q->b->mirror[page])
            sync_page(q, page);
        if (page++ == next)
            next = mmu_mapping_next(q->vm->mmu, q->b->win, page);
    }
}

bool sandbox_sync(struct novt_vm *vm, struct sandbox_box *b)
{
    struct mmu_range r[MMU_TRACK_MAX];
    bool all;
    u32 n = mmu_track_take(b->win, r, MMU_TRACK_MAX, &all);

    if (LIKELY(!n && !all && !b->look_all))
        return true;
    struct batch q = {.vm = vm, .b = b};
    if (all || b->look_all)
        sync_all(&q);
    for (u32 i = 0; i < n && !all && !b->look_all; i++)
        for (u32 page = r[i].page; page < r[i].page + r[i].n; page++)
            sync_page(&q, page);
    b->look_all = false;
    send(&q);
    if (!q.failed)
        return true;
    /* The host refuses: start over with an empty box; this time run translated. */
    if (!box_empty(b))
        box_end(b);
    return false;
}

/* ---- pages of code ---- */

static u32 backing_page(struct novt_vm *vm, u64 gpa)
{
    const u8 *p = mmu_ptr(vm->mmu, gpa & ~(u64)PAGE_MASK, NULL);

    return p ? (u32)((u64)(p - mmu_backing_ptr(vm->mmu, 0)) >> PAGE_SHIFT) : LINEAR_PAGES;
}

static u32 entries_of(struct novt_vm *vm, u64 gpa, u16 *out, u32 max)
{
    struct cc_page *p = cc_page(vm->cc, (u32)gpa & ~PAGE_MASK);
    u32 n = 0;

    for (const struct cc_block *b = p ? p->blocks : NULL; b && n < max;
         b = b->page_next[((b->key.gpa ^ gpa) & ~(u64)PAGE_MASK) != 0]) {
        if (!((b->key.gpa ^ gpa) & ~(u64)PAGE_MASK) && b->key.mode & MODE_CPL3 && b->key.mode & MODE_CS32)
            out[n++] = (u16)(b->key.gpa & PAGE_MASK);
    }
    return n;
}

static void forgive(struct sandbox *s)
{
    u64 now = __rdtsc();

    if (now - s->forgiven < AMNESTY_CYCLES)
        return;
    s->forgiven = now;
    for (u32 i = 0; i < s->pages; i++)
        s->page[i] &= (s->page[i] & PAGE_RESCANS) == PAGE_RESCANS ? 0 : PAGE_VERDICT;
}

/* Where the sweep of a linear page begins. */
static unsigned head_of(struct novt_vm *vm, u32 page, u32 backing)
{
    const u8 *before = NULL;
    struct mmu_info info;

    /* The walk may set A, as a CPU's own looking ahead may. */
    if (page && mmu_walk(vm->mmu, vm->win, &vm->regime, vm->win->priv, (page - 1) << PAGE_SHIFT, MMU_FETCH, &info) ==
                    MMU_OK)
        before = mmu_ptr(vm->mmu, info.gpa & ~(u64)PAGE_MASK, NULL);
    return scan_head(before, mmu_backing_ptr(vm->mmu, (u64)backing << PAGE_SHIFT), vm->cpu.features);
}

static struct scan_cpu scan_as(const struct novt_vm *vm)
{
    const struct sandbox *s = vm->sandbox;

    return (struct scan_cpu){vm->cpu.features, s->host, s->option != ENGINE_DIRECT};
}

static u8 scan(struct novt_vm *vm, u32 page, u64 gpa, u32 backing)
{
    struct sandbox *s = vm->sandbox;
    u16 entries[SCAN_ENTRIES_MAX];
    struct scan_cpu cpu = scan_as(vm);
    struct scan_result r;
    const struct cc_page *p = cc_page(vm->cc, (u32)gpa & ~PAGE_MASK);
    u32 n = entries_of(vm, gpa, entries, SCAN_ENTRIES_MAX - 1), eip = sandbox_lin_eip(vm);
    u8 *state = &s->page[backing];

    forgive(s);
    if (s->option != ENGINE_DIRECT && /* which asks what is legal, not what pays */
        ((*state & PAGE_RESCANS) == PAGE_RESCANS ||
         (p && p->flags))) /* written all the time: it mixes code and data */
        return *state = PAGE_RESCANS | PAGE_BAD;
    if (eip >> PAGE_SHIFT == page) /* else an instruction goes on into it, and nothing is known of its own entry */
        entries[n++] = (u16)(eip & PAGE_MASK);
    mmu_watch(vm->mmu, gpa & ~(u64)PAGE_MASK); /* before it is read */
    scan_page(mmu_backing_ptr(vm->mmu, (u64)backing << PAGE_SHIFT), entries, n, head_of(vm, page, backing), &cpu,
              &r);
    s->tail[backing] = r.tail_bytes;
    s->stats.rescans += *state != 0;
    if (r.reason == SCAN_CLEAN)
        s->stats.pages_clean++;
    else
        s->stats.pages_bad[r.reason]++;
    if (mon_tracing(vm, TRACE_EXEC, (u32)gpa))
        mon_trace(vm, "scan of page %08x at %08llx: %s at %03x", page << PAGE_SHIFT,
                  (unsigned long long)gpa & ~0xfffull, scan_reason_name(r.reason), r.at);
    *state = (u8)((*state & PAGE_RESCANS) | (r.reason == SCAN_CLEAN ? PAGE_CLEAN : PAGE_BAD));
    return *state;
}

/* The memfd page that is executable at a linear page, or will be with the next sync; LINEAR_PAGES: none. What was noted for a page that
 * has another page since, another program's in the same address space, say, tells nothing, and is forgotten: a neighbour found to go
 * with the new page may not go with the old one. */
static u32 exec_backing(struct novt_vm *vm, struct sandbox_box *b, u32 page)
{
    struct sandbox_exec *x = page < LINEAR_PAGES ? find_exec(b, page) : NULL;
    u32 e = x ? mmu_mapping(vm->mmu, b->win, page) : 0;

    if (!x)
        return LINEAR_PAGES;
    if (e && (e & MMU_MAPPING_PAGE) == x->backing)
        return x->backing;
    *x = b->exec[--b->n_exec];
    return LINEAR_PAGES;
}

/* Does an instruction that goes on from one page into the next, both executable then, pass too? */
static bool straddle_fits(struct novt_vm *vm, struct sandbox_box *b, u32 page, u32 backing)
{
    struct sandbox *s = vm->sandbox;
    struct scan_cpu cpu = scan_as(vm);
    const u8 *here = mmu_backing_ptr(vm->mmu, (u64)backing << PAGE_SHIFT);
    u32 before = exec_backing(vm, b, page - 1), after = exec_backing(vm, b, page + 1);

    if (before != LINEAR_PAGES &&
        scan_straddle(mmu_backing_ptr(vm->mmu, (u64)before << PAGE_SHIFT), s->tail[before], here, &cpu))
        return false;
    if (after == LINEAR_PAGES)
        return true;
    return scan_straddle(here, s->tail[backing], mmu_backing_ptr(vm->mmu, (u64)after << PAGE_SHIFT),
                         &cpu) == SCAN_CLEAN;
}

/* The memfd page that the guest may execute at a linear page; *gpa gets its guest-physical address. LINEAR_PAGES: none. */
static u32 fetch_page(struct novt_vm *vm, u32 page, u64 *gpa)
{
    struct mmu_info info;

    if (mmu_walk(vm->mmu, vm->win, &vm->regime, vm->win->priv, page << PAGE_SHIFT, MMU_FETCH, &info) != MMU_OK ||
        info.gpa >> 32)
        return LINEAR_PAGES;
    *gpa = info.gpa;
    u32 backing = backing_page(vm, info.gpa);
    return backing < vm->sandbox->pages ? backing : LINEAR_PAGES;
}

static void note_exec(struct sandbox_box *b, u32 page, u32 backing)
{
    struct sandbox_exec *x = find_exec(b, page);

    if (!x && b->n_exec == SANDBOX_EXEC_MAX) { /* forget them all: those still in use come back one by one */
        b->n_exec = 0;
        b->look_all = true;
    }
    if (!x)
        x = &b->exec[b->n_exec++];
    *x = (struct sandbox_exec){.page = page, .backing = backing};
    mmu_track_page(b->win, page);
}

/* Programs share the pages of their libraries, so most of what is near a page that runs was found clean before: it need not fault first. */
static void allow_around(struct novt_vm *vm, struct sandbox_box *b, u32 page)
{
    const struct sandbox *s = vm->sandbox;
    u32 from = page > AROUND_BEFORE ? page - AROUND_BEFORE : 0;
    u64 gpa;

    for (u32 p = from; p < page + AROUND_BEHIND && p < LINEAR_PAGES && b->n_exec < SANDBOX_EXEC_MAX; p++) {
        u32 e = mmu_mapping(vm->mmu, vm->win, p), backing = e & MMU_MAPPING_PAGE;
        const struct sandbox_exec *x = find_exec(b, p);

        if (!e || e & MMU_MAPPING_WRITABLE || (s->page[backing] & PAGE_VERDICT) != PAGE_CLEAN ||
            (x && x->backing == backing))
            continue;
        if (fetch_page(vm, p, &gpa) == backing && straddle_fits(vm, b, p, backing))
            note_exec(b, p, backing);
    }
}

bool sandbox_allow_exec(struct novt_vm *vm, struct sandbox_box *b, u32 page)
{
    struct sandbox *s = vm->sandbox;
    u32 lin = page << PAGE_SHIFT;
    struct mmu_info info;
    u64 gpa;
    u32 backing = fetch_page(vm, page, &gpa);

    if (backing == LINEAR_PAGES)
        return false;
    u8 state = s->page[backing];
    if ((state & PAGE_VERDICT) == PAGE_UNSEEN)
        state = scan(vm, page, gpa, backing);
    if ((state & PAGE_VERDICT) != PAGE_CLEAN)
        return false;
    if (!straddle_fits(vm, b, page, backing)) {
        s->page[backing] = (u8)((state & PAGE_RESCANS) | PAGE_BAD);
        return false;
    }
    if (!mmu_mapping(vm->mmu, vm->win, page) && mmu_fill(vm->mmu, vm->win, lin, false, &info) != MMU_OK)
        return false;
    note_exec(b, page, backing);
    allow_around(vm, b, page);
    /* All of what changed, not this page alone: it may be mapped for writing elsewhere, which the scan's watch has ended. */
    return sandbox_sync(vm, b) && b->mirror[page] & SANDBOX_EXEC;
}

bool sandbox_page_bad(struct novt_vm *vm, u32 lin)
{
    const struct mon_ctx *c = vm->win->user;
    u32 entry = c ? c->code_map[lin >> PAGE_SHIFT] : 0,
        backing = entry ? backing_page(vm, entry & ~1u) : LINEAR_PAGES;

    return backing < vm->sandbox->pages && (vm->sandbox->page[backing] & PAGE_VERDICT) == PAGE_BAD;
}

void sandbox_code_written(struct novt_vm *vm, u64 gpa)
{
    struct sandbox *s = vm->sandbox;
    u32 backing = s ? backing_page(vm, gpa) : LINEAR_PAGES;

    if (!s || backing >= s->pages || !(s->page[backing] & PAGE_VERDICT))
        return;
    u32 count = s->page[backing] & PAGE_RESCANS;
    s->page[backing] = (u8)((count == PAGE_RESCANS ? count : count + PAGE_RESCAN) | PAGE_UNSEEN);
    for (u32 i = 0; i < SANDBOX_BOXES; i++) {
        struct sandbox_box *b = &s->box[i];

        for (u32 k = 0; k < b->n_exec; k++) {
            if (b->exec[k].backing != backing)
                continue;
            b->exec[k--] = b->exec[--b->n_exec];
            b->look_all = true; /* rare; boxes do not run before their next sync */
        }
    }
}
