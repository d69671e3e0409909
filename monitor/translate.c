/*
 * translate.c - from EIP to block: the second of the two functions that tell the story.
 *
 *   fetch -> decode -> translate -> watch the page -> commit            mon_block(), translate()
 *
 * Also what keeps blocks true: links between pages rely on the target page's mapping, so they are guarded by a look at the
 * window's code map or, for global pages, dropped when a mapping changes; jump-cache entries and return stacks go with
 * the mapping; writes to watched code pages kill the blocks they hit. A page that is written again
 * and again is no longer watched: its blocks check their own bytes instead, until they have run for a while.
 */
#include <string.h>
#include <sys/mman.h>
#include <x86intrin.h>

#include "monitor/breakpoint.h"
#include "monitor/monitor.h"
#include "monitor/sandbox.h"

#define HOT_WRITES 24u         /* writes that make a burst */
#define HOT_BURSTS 2u          /* bursts that make a page self-checking */
#define CALM_CYCLES (1u << 28) /* TSC: about 0.1 s, after which earlier writes do not count any more */
#define SELFCHECKS (1u << 16)  /* self-checks from one look at where they happen to the next */
#define PATIENCE_MAX 10u

static struct mon_ctx *ctx_of(struct mmu_window *w)
{
    return w->user;
}

/* ---- contexts ---- */

#define CODE_MAP_BYTES (4ull << 20)
#define CTX_BYTES \
    (PAGE_BYTES + BT_RETSTACK_BYTES + PAGE_BYTES + BT_JCACHE_BYTES + CODE_MAP_BYTES + 2 * PAGE_BYTES)

static struct mon_ctx *ctx_new(struct novt_vm *vm, struct mmu_window *w)
{
    u8 *m = mmap(NULL, CTX_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (m == MAP_FAILED)
        return NULL;
    struct mon_ctx *c = (void *)(m + CTX_BYTES - 2 * PAGE_BYTES);
    _Static_assert(sizeof(*c) <= 2 * PAGE_BYTES, "context fits its place");
    c->win = w;
    c->ret_lo = m + PAGE_BYTES;
    c->ret_top = c->ret_lo + BT_RETSTACK_BYTES;
    c->jcache = c->ret_top + PAGE_BYTES;
    c->code_map = (u32 *)(void *)(c->jcache + BT_JCACHE_BYTES);
    if (mprotect(m, PAGE_BYTES, PROT_NONE) || mprotect(c->ret_top, PAGE_BYTES, PROT_NONE)) {
        munmap(m, CTX_BYTES);
        return NULL;
    }
    c->ret_sp = bt_retstack_reset(vm->bt, c->ret_top);
    c->next = vm->ctxs;
    c->pprev = &vm->ctxs;
    if (c->next)
        c->next->pprev = &c->next;
    vm->ctxs = c;
    w->user = c;
    return c;
}

void mon_window_freed(void *opaque, struct mmu_window *w)
{
    struct mon_ctx *c = ctx_of(w);
    if (!c)
        return;
    sandbox_window_freed(opaque, w);
    *c->pprev = c->next;
    if (c->next)
        c->next->pprev = c->pprev;
    w->user = NULL;
    munmap(c->ret_lo - PAGE_BYTES, CTX_BYTES);
}

#define PROMOTE_AFTER \
    (10u << 20) /* TSC cycles (about 4 ms) that one program runs before its links become direct */

/* Only for user code's links: others run in windows whose changes do not demote. */
static bool link_holds(void *opaque, const struct cc_exit *x)
{
    const struct mon_ctx *c = opaque;
    const struct cc_key *to = &x->to->key;
    return (x->from->key.mode & MODE_CPL3) &&
           c->code_map[(to->eip + to->cs_base) >> PAGE_SHIFT] == ((to->gpa & ~PAGE_MASK) | 1);
}

static void demote(struct novt_vm *vm)
{
    if (vm->promoted)
        cc_demote(vm->cc);
    vm->promoted = false;
}

/* A user program that has the CPU for a while gets direct links where the guards would say yes; the first window of another
 * program takes them back. Other privileges run other blocks: they do not matter here. */
static void consider_promotion(struct novt_vm *vm, struct mmu_window *w, u64 now)
{
    if (w->priv != MMU_USER)
        return;
    if (w->id != vm->user_window) {
        demote(vm);
        vm->user_window = w->id;
        vm->user_since = now;
    } else if (now - vm->user_since > PROMOTE_AFTER) {
        vm->promoted |= cc_promote(vm->cc, link_holds, ctx_of(w)) != 0;
        vm->user_since = now;
    }
}

int mon_window_switched(struct novt_vm *vm, struct mmu_window *old, struct mmu_window *new)
{
    struct mon_ctx *from = old ? ctx_of(old) : NULL, *to = ctx_of(new);
    if (from)
        from->ret_sp = vm->cpu.ret_sp;
    if (!to)
        to = ctx_new(vm, new);
    if (!to)
        return -ENOMEM;
    u64 now = vm->sandbox || new->priv == MMU_USER ? __rdtsc() : 0;
    consider_promotion(vm, new, now);
    sandbox_window_switched(vm, old, new, now);
    bt_set_window(vm->bt, new->base, to->jcache, to->code_map, to->ret_lo, to->ret_top, to->ret_sp);
    return 0;
}

static void ret_stack_drop(struct novt_vm *vm, struct mon_ctx *c)
{
    c->ret_sp = bt_retstack_reset(vm->bt, c->ret_top);
    if (vm->win == c->win)
        bt_retstack_drop(vm->bt, c->ret_sp);
}

/* ---- what a mapping change undoes ---- */

static void code_page_gone(struct novt_vm *vm, struct mon_ctx *c, u32 page)
{
    u32 entry = c->code_map[page];
    if (!entry)
        return;
    struct cc_page *p = cc_page(vm->cc, entry & ~1u);
    if (p)
        cc_unlink_into(vm->cc, p);
    c->code_map[page] = 0;
}

void mon_window_changed(void *opaque, struct mmu_window *w, u32 gva, u32 npages)
{
    struct novt_vm *vm = opaque;
    struct mon_ctx *c = ctx_of(w);
    u32 first = gva >> PAGE_SHIFT, hit = 0;
    if (!c || !vm->cc)
        return;
    for (u32 i = 0; i < npages;) {
        u32 page = (first + i) & 0xfffff;
        if (!c->code_in_4m[page >> 10]) {
            i += 1024 - (page & 1023);
            continue;
        }
        if (c->code_map[page]) {
            code_page_gone(vm, c, page);
            hit++;
        }
        i++;
    }
    if (!hit)
        return;
    if (w == vm->win) /* INVLPG or a flush by a block that may have moved itself */
        vm->code_dropped = 1;
    if (w->id == vm->user_window)
        demote(vm);
    memset(c->jcache, 0, BT_JCACHE_BYTES);
    ret_stack_drop(vm, c);
}

/* ---- writes to code ---- */

static void block_killed(void *opaque, const struct cc_block *b)
{
    struct novt_vm *vm = opaque;
    for (struct mon_ctx *c = vm->ctxs; c; c = c->next)
        bt_jcache_drop_block(vm->bt, c->jcache, b);
}

void mon_cache_init(struct novt_vm *vm)
{
    cc_on_kill(vm->cc, block_killed, vm);
    vm->cpu.selfchecks = SELFCHECKS;
}

/* Each write to a watched page costs a fault. A burst of them, as when a program is loaded over another, ends with the page's blocks
 * gone and the page unwatched until code in it runs again. Burst upon burst means that code and data that changes share the
 * page: from then on its blocks check themselves. Returns whether the whole page is to go. */
static bool is_burst(struct novt_vm *vm, struct cc_page *p)
{
    u64 now = __rdtsc();
    if (p->flags & MON_PAGE_SELFCHECK)
        return false;
    if (now - p->since > CALM_CYCLES) {
        p->since = now;
        p->hits = p->bursts = 0;
    }
    if (++p->hits < HOT_WRITES)
        return false;
    p->since = now;
    p->hits = 0;
    if (++p->bursts >= HOT_BURSTS) {
        p->flags |= MON_PAGE_SELFCHECK;
        p->samples = 0;
        vm->selfcheck_pages_made++;
    }
    return true;
}

/* One in SELFCHECKS: code in the page runs often enough that checking costs. Was all this writing long ago? To find out, the page
 * is watched again; each time in vain it takes twice as long until the next try. */
static void note_selfcheck(struct novt_vm *vm, struct cc_page *p)
{
    if (++p->samples < 1u << p->patience)
        return;
    p->flags &= (u8)~MON_PAGE_SELFCHECK;
    p->since = __rdtsc();
    p->hits = 0;
    p->bursts = HOT_BURSTS - 1;
    if (p->patience < PATIENCE_MAX)
        p->patience++;
    vm->selfcheck_pages_ended++;
    cc_invalidate(vm->cc, p->gpa, PAGE_BYTES);
}

void mon_code_written(struct novt_vm *vm, u64 gpa, u32 len)
{
    for (u64 at = gpa & ~(u64)PAGE_MASK; at < gpa + len; at += PAGE_BYTES) {
        struct cc_page *p = at >> 32 ? NULL : cc_page(vm->cc, (u32)at);
        sandbox_code_written(vm, at);
        mmu_log_write(vm->mmu, at);
        if (!p) {
            mmu_unwatch(vm->mmu, at);
            continue;
        }
        u64 from = at > gpa ? at : gpa, to = min_u64(at + PAGE_BYTES, gpa + len);
        if (is_burst(vm, p)) {
            from = at;
            to = at + PAGE_BYTES;
        }
        cc_invalidate(vm->cc, (u32)from, (u32)(to - from));
        vm->code_dropped = 1;
        if (!p->blocks)
            mmu_unwatch(vm->mmu, at);
    }
    vga_alias_written(vm, gpa, len);
}

void mon_cache_flush(struct novt_vm *vm)
{
    if (bt_fpu_pending(&vm->cpu)) /* its instruction is found by its block */
        mon_fpu_note(&vm->cpu);
    cc_flush(vm->cc);
    for (struct mon_ctx *c = vm->ctxs; c; c = c->next) {
        memset(c->jcache, 0, BT_JCACHE_BYTES);
        ret_stack_drop(vm, c);
    }
}

/* ---- links ---- */

/* A link within the page relies on nothing; into a global page, or without paging, on a mapping that all contexts share; else
 * the guard stub asks the current window's code map each time. */
static void link_exit(struct novt_vm *vm, u32 exit_from, struct cc_block *to, bool global)
{
    struct cc_exit *x = cc_exit_by_id(vm->cc, exit_from);
    if (!x || x->from->dead || (x->state != CC_HARD && !x->parked) || x->target != to->key.eip)
        return;
    const struct cc_key *a = &x->from->key, *b = &to->key;
    bool straddles = a->gpa2 != CC_NO_PAGE || b->gpa2 != CC_NO_PAGE;
    if (!straddles && !((a->gpa ^ b->gpa) & ~PAGE_MASK) &&
        !((a->eip + a->cs_base) >> PAGE_SHIFT ^ (b->eip + b->cs_base) >> PAGE_SHIFT))
        cc_link(vm->cc, x, to, CC_NEAR);
    else if (global && (b->gpa2 == CC_NO_PAGE || !vm->regime.paging)) {
        if (b->mode & MODE_CPL3)
            cc_page(vm->cc, b->gpa)->flags |= MON_PAGE_GLOBAL;
        cc_link(vm->cc, x, to, CC_GLOBAL);
    } else if (x->guard_off && b->gpa2 == CC_NO_PAGE)
        cc_link_guarded(vm->cc, x, to, ((u32)b->gpa & ~PAGE_MASK) | 1);
    else
        cc_soften(vm->cc, x);
    if (mon_tracing(vm, TRACE_LINK, a->cs_base + a->eip))
        mon_trace(vm, "link %08x -> %08x%s", a->eip, b->eip, x->state == CC_LINKED ? "" : " by lookup");
}

/* ---- fetch, translate, watch, commit ---- */

struct fetch {
    const u8 *bytes;
    u64 gpa;
    bool global;
};

/* Where the code at linear address lin is. 0, or -1 with cpu->exit_kind. */
static int fetch_page(struct novt_vm *vm, u32 lin, struct fetch *f)
{
    struct cpu *cpu = &vm->cpu;
    struct mmu_info info;
    enum mmu_result r = mmu_walk(vm->mmu, vm->win, &vm->regime, vm->win->priv, lin, MMU_FETCH, &info);
    if (r == MMU_GUEST_FAULT) {
        cpu->cr2 = lin;
        cpu->exit_kind = BT_EXIT_EXCEPTION;
        return mon_exc_err(cpu, EXC_PF, info.error_code);
    }
    f->bytes = r == MMU_OK ? mmu_ptr(vm->mmu, info.gpa, NULL) : NULL;
    f->gpa = info.gpa;
    f->global = info.global;
    if (!f->bytes || info.gpa >> 32) { /* code in MMIO: one instruction at a time */
        cpu->exit_kind = BT_EXIT_STEP;
        return -1;
    }
    return 0;
}

static void note_code(struct novt_vm *vm, u32 lin, u64 gpa)
{
    struct mon_ctx *c = ctx_of(vm->win);
    u32 *entry = &c->code_map[lin >> PAGE_SHIFT], now = ((u32)gpa & ~PAGE_MASK) | 1;
    if (UNLIKELY(*entry != now && *entry)) { /* the guest's tables changed without a flush: what was derived goes before its page's name does */
        memset(c->jcache, 0, BT_JCACHE_BYTES);
        ret_stack_drop(vm, c);
    }
    *entry = now;
    c->code_in_4m[lin >> 22] = 1;
}

bool mon_peek_code(void *opaque, u32 lin, void *buf, unsigned n)
{
    struct novt_vm *vm = opaque;
    struct mmu_info info;
    if ((lin & PAGE_MASK) + n > PAGE_BYTES ||
        mmu_walk(vm->mmu, vm->win, &vm->regime, vm->win->priv, lin, MMU_FETCH, &info) != MMU_OK ||
        info.gpa >> 32 || (vm->brk_flags & BRK_F_CODE && brk_room(vm, lin - 1, n + 1) != n + 1))
        return false;
    const u8 *p = mmu_ptr(vm->mmu, info.gpa, NULL);
    if (!p)
        return false;
    memcpy(buf, p, n);
    note_code(vm, lin, info.gpa);
    return true;
}

/* Watch the page, unless its blocks check themselves. */
static bool watch(struct novt_vm *vm, u64 gpa)
{
    struct cc_page *p = cc_page(vm->cc, (u32)gpa & ~PAGE_MASK);
    if (p && (p->flags & MON_PAGE_SELFCHECK))
        return true;
    mmu_watch(vm->mmu, gpa & ~(u64)PAGE_MASK);
    return false;
}

#define SLOW_ON_RAM 1021u  /* accesses to plain memory by way of callouts until one of them is looked at */
#define STRING_ON_RAM 128u /* what a string instruction counts */
#define SLOW_AFTER 4       /* MMIO faults of one instruction before it is translated as a callout */

void mon_note_mmio(struct novt_vm *vm)
{
    struct cpu *cpu = &vm->cpu;
    u32 lin = cpu->seg_base[SEG_CS] + cpu->eip, i = 0;
    while (i < vm->n_slow && vm->slow_eip[i] != cpu->eip)
        i++;
    if (i == vm->n_slow) {
        if (i == MON_SLOW_EIPS)
            i = vm->n_slow = 0; /* full: start over, the old ones fault a few times more */
        vm->slow_eip[i] = cpu->eip;
        vm->slow_hits[i] = 0;
        vm->n_slow++;
    }
    if (vm->slow_hits[i] == 0xff || ++vm->slow_hits[i] != SLOW_AFTER)
        return;
    u32 entry = ctx_of(vm->win)->code_map[lin >> PAGE_SHIFT];
    if (entry)
        cc_invalidate(vm->cc, (entry & ~1u) | (lin & PAGE_MASK), 1);
}

void mon_note_memory(struct novt_vm *vm, const struct dec_insn *insn, bool same)
{
    struct cpu *cpu = &vm->cpu;
    bool memory = insn->cls == DEC_STRING || insn->cls == DEC_STACK || (insn->mem && insn->cls != DEC_SYS);
    if (LIKELY(!memory) || vm->mmio_seen || !same || !vm->n_slow)
        return;
    vm->slow_on_ram += insn->cls == DEC_STRING ? STRING_ON_RAM : 1;
    if (vm->slow_on_ram < SLOW_ON_RAM)
        return;
    vm->slow_on_ram = 0;
    u32 eip = cpu->eip - insn->len, lin = cpu->seg_base[SEG_CS] + eip, i = 0;
    while (i < vm->n_slow && vm->slow_eip[i] != eip)
        i++;
    if (i < vm->n_slow) { /* else the list was started over meanwhile */
        vm->n_slow--;
        vm->slow_eip[i] = vm->slow_eip[vm->n_slow];
        vm->slow_hits[i] = vm->slow_hits[vm->n_slow];
    }
    u32 entry = ctx_of(vm->win)->code_map[lin >> PAGE_SHIFT];
    if (entry) {
        cc_invalidate(vm->cc, (entry & ~1u) | (lin & PAGE_MASK), 1);
        vm->code_dropped = 1;
    }
}

/* --stress fail-alloc: now and then a translation finds the cache full. */
static bool stress_full(const struct novt_vm *vm)
{
    return vm->stress_fail_alloc && bt_stats(vm->bt)->blocks % 4096 == 4095;
}

static struct cc_block *translate(struct novt_vm *vm, struct bt_code *code)
{
    struct cc_block *b = NULL;
    u32 slow[MON_SLOW_EIPS], n = 0;
    for (u32 i = 0; i < vm->n_slow; i++)
        if (vm->slow_hits[i] >= SLOW_AFTER)
            slow[n++] = vm->slow_eip[i];
    code->slow_eips = slow;
    code->n_slow = n;
    code->selfcheck = watch(vm, code->key.gpa);
    if (code->key.gpa2 != CC_NO_PAGE)
        code->selfcheck |= watch(vm, code->key.gpa2);
    int rc = stress_full(vm) ? -ENOSPC : bt_translate(vm->bt, code, &b);
    if (rc == -EOVERFLOW) { /* more exits or bytes than a block may have */
        code->one = true;
        rc = bt_translate(vm->bt, code, &b);
    }
    if (rc == -ENOSPC) {
        mon_cache_flush(vm);
        rc = bt_translate(vm->bt, code, &b);
    }
    if (rc || !b) {
        vm->cpu.exit_kind = BT_EXIT_STEP;
        return NULL;
    }
    if (vm->trace)
        mon_trace_block(vm, b, code->bytes);
    return b;
}

/* An instruction that may straddle into the next page: a block of its own under both pages. */
static struct cc_block *straddling_block(struct novt_vm *vm, struct bt_code *code, u32 lin)
{
    u8 bytes[2 * DEC_MAX_LEN];
    struct fetch second;
    if (fetch_page(vm, (lin | PAGE_MASK) + 1, &second)) {
        if (vm->cpu.exit_kind == BT_EXIT_EXCEPTION)
            vm->cpu.exit_kind =
                BT_EXIT_STEP; /* the fallback finds out whether the instruction really needs it */
        return NULL;
    }
    code->key.gpa2 = (u32)second.gpa & ~PAGE_MASK;
    struct cc_block *b = cc_lookup(vm->cc, &code->key);
    if (!b && mon_move_here(vm, &code->key))
        b = cc_lookup(vm->cc, &code->key);
    note_code(vm, (lin | PAGE_MASK) + 1, second.gpa);
    if (b)
        return b;
    memcpy(bytes, code->bytes, code->page_left);
    memcpy(bytes + code->page_left, second.bytes, DEC_MAX_LEN);
    code->bytes = bytes;
    code->avail = code->page_left + DEC_MAX_LEN;
    code->one = true;
    return translate(vm, code);
}

struct cc_block *mon_block(struct novt_vm *vm, u32 exit_from)
{
    struct cpu *cpu = &vm->cpu;
    u32 lin = cpu->seg_base[SEG_CS] + cpu->eip;
    struct fetch f;
    if (cpu->eip > cpu->seg_limit[SEG_CS]) { /* #GP, whatever the page says */
        cpu->exit_kind = BT_EXIT_STEP;
        return NULL;
    }
    if (fetch_page(vm, lin, &f))
        return NULL;
    struct bt_code code = {.bytes = f.bytes,
                           .page_left = PAGE_BYTES - (lin & PAGE_MASK),
                           .avail = PAGE_BYTES - (lin & PAGE_MASK),
                           .cs_sel = cpu->seg[SEG_CS].sel,
                           .key = {.gpa = (u32)f.gpa,
                                   .gpa2 = CC_NO_PAGE,
                                   .eip = cpu->eip,
                                   .cs_base = cpu->seg_base[SEG_CS],
                                   .cs_limit = cpu->seg_limit[SEG_CS],
                                   .mode = cpu->mode}};
    struct cc_block *b = cc_lookup(vm->cc, &code.key);
    if (!b && mon_move_here(vm, &code.key))
        b = cc_lookup(vm->cc, &code.key);
    if (!b) {
        struct dec_insn in;
        bool straddles =
            code.page_left < DEC_MAX_LEN &&
            dec_decode(&in, code.bytes, code.avail, cpu->mode & MODE_CS32, cpu->features) == -ENODATA;
        if (UNLIKELY(vm->brk_flags & BRK_F_CODE) && !straddles)
            code.page_left = brk_room(vm, lin, code.page_left);
        b = straddles ? straddling_block(vm, &code, lin) : translate(vm, &code);
    }
    if (!b)
        return NULL;
    note_code(vm, lin, f.gpa);
    if (exit_from && !vm->no_chain)
        link_exit(vm, exit_from, b, f.global);
    bt_jcache_put(vm->bt, cpu->jcache, cpu->ctx_tag, cpu->eip, b);
    return b;
}

static struct cc_page *selfchecking_page(struct novt_vm *vm, u32 lin)
{
    struct mon_ctx *c = ctx_of(vm->win);
    u32 entry = c->code_map[lin >> PAGE_SHIFT];
    struct cc_page *p = entry ? cc_page(vm->cc, entry & ~1u) : NULL;
    return p && (p->flags & MON_PAGE_SELFCHECK) ? p : NULL;
}

/* Before one instruction is carried out by the fallback because emitted code wants it: a self-checking block that found other bytes
 * is stale. An instruction that straddles checks itself when its second page does. */
void mon_drop_stale(struct novt_vm *vm)
{
    u32 lin = vm->cpu.seg_base[SEG_CS] + vm->cpu.eip;
    struct cc_page *p = selfchecking_page(vm, lin);
    bool due = vm->cpu.selfchecks == 0;
    if (due)
        vm->cpu.selfchecks = SELFCHECKS;
    if (p) {
        cc_invalidate(vm->cc, p->gpa | (lin & PAGE_MASK), 1);
    } else if ((lin & PAGE_MASK) > PAGE_BYTES - DEC_MAX_LEN) {
        p = selfchecking_page(vm, lin + DEC_MAX_LEN);
        if (p)
            cc_invalidate(vm->cc, p->gpa, 1);
    }
    if (p && due)
        note_selfcheck(vm, p);
}
