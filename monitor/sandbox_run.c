/*
 * sandbox_run.c - direct execution: decide, hand the guest's state to a box, make its exit one of ours.
 *
 * What a box reports is believed as far as the guest could have done it by itself: registers and flags are taken as they are, and
 * whatever needs more than that (system calls, privileged instructions, faults other than page faults) is carried out again by
 * the fallback from the instruction's address, so its rules stand in one place only.
 */
#include "monitor/sandbox.h"

#include <stdio.h>
#include <string.h>
#include <x86intrin.h>

/* ---- decide ---- */

static u8 null_segments(const struct cpu *cpu)
{
    u8 nulls = 0;

    for (unsigned i = 0; i < SEG_COUNT; i++)
        if (!(cpu->seg[i].sel & ~3u))
            nulls |= (u8)BIT(i);
    return nulls;
}

/* Measured costs, once. */
static bool start(struct novt_vm *vm)
{
    struct sandbox *s = vm->sandbox;
    struct dx_config cfg = {.max_boxes = SANDBOX_BOXES};
    struct dx_cost cost;
    u64 tsc, t0, t1;

    if (s->started)
        return !s->refused;
    s->started = true;
    cfg.ram_fd = mmu_memfd(vm->mmu, &cfg.ram_bytes);
    if (dx_probe(s->why) || dx_new(&s->dx, &cfg)) {
        s->refused = s->why[0] ? s->why : "no memory for sandboxes";
        return false;
    }
    t0 = clk_now(pc_clk(vm->pc));
    tsc = __rdtsc();
    if (dx_measure(s->dx, &cost)) {
        s->refused = "sandboxes cannot be measured";
        return false;
    }
    t1 = clk_now(pc_clk(vm->pc));
    tsc = __rdtsc() - tsc;
    /* Translated code is perhaps a tenth slower: a hand-off has to be earned back twice. */
    s->overhead = t1 > t0 ? cost.round_trip_ns * tsc / (t1 - t0) : cost.round_trip_ns * 3;
    s->worthwhile = s->overhead * 20;
    return true;
}

static void describe(struct novt_vm *vm, struct pick_state *p)
{
    const struct cpu *cpu = &vm->cpu;
    const struct mon_ctx *c = vm->win->user;
    const struct sandbox *s = vm->sandbox;

    *p = (struct pick_state){
        .option = s->option,
        .sandbox = !s->refused,
        .mode = cpu->mode,
        .cr0 = cpu->cr0,
        .cr4 = cpu->cr4,
        .eflags = cpu_eflags(cpu),
        .inhibit = cpu->inhibit,
        .null_segs = null_segments(cpu),
        .page_bad = sandbox_page_bad(vm, cpu->eip),
        .stretch = c ? c->history.stretch : 0,
        .worthwhile = s->worthwhile,
        .now = __rdtsc(),
        .not_before = c ? c->history.not_before : 0,
    };
    /* The stretch that is still going on counts too: a program that never calls the kernel has no other. */
    if (c && c->history.since && p->now - c->history.since > p->stretch)
        p->stretch = p->now - c->history.since;
}

enum pick sandbox_pick(struct novt_vm *vm)
{
    struct sandbox *s = vm->sandbox;
    struct pick_state p;
    enum pick pick;

    if (!s)
        return PICK_OPTION;
    if (!(vm->cpu.mode & MODE_CPL3) || !vm->pc) {
        s->stats.picks[PICK_RING]++;
        return PICK_RING;
    }
    describe(vm, &p);
    p.page_bad |= s->translate_next;
    s->translate_next = false;
    pick = mon_pick_engine(&p);
    if (pick == PICK_DIRECT && !start(vm))
        pick = PICK_NO_SANDBOX;
    s->stats.picks[pick]++;
    return pick;
}

void sandbox_window_switched(struct novt_vm *vm, struct mmu_window *old, struct mmu_window *new)
{
    struct mon_ctx *from = old ? old->user : NULL, *to = new->user;
    struct sandbox *s = vm->sandbox;
    u64 now;

    if (!s || s->refused)
        return;
    now = __rdtsc();
    if (from && old->priv == MMU_USER && from->history.since)
        pick_learn(&from->history, now - from->history.since, false, s->worthwhile, now);
    if (from)
        from->history.since = 0;
    if (!to || new->priv != MMU_USER)
        return;
    to->history.since = now;
    if (s->option == ENGINE_DIRECT || (to->history.stretch >= s->worthwhile && now >= to->history.not_before))
        vm->cpu.kick = 1; /* translated code leaves at its next gate, and the run loop decides */
}

/* ---- state across ---- */

static void to_box(struct cpu *cpu, struct dx_state *st)
{
    u8 nulls = null_segments(cpu);

    bt_fpu_save(cpu);
    memcpy(st->gpr, cpu->gpr, sizeof(st->gpr));
    st->eip = cpu->eip;
    st->eflags = cpu_eflags(cpu) & DX_EFLAGS;
    for (unsigned i = 0; i < SEG_COUNT; i++) {
        bool null = nulls & BIT(i) && MODE_SEGC(cpu->mode, i) == SEGC_CHECK;

        st->seg[i] =
            (struct dx_seg){.kind = null ? DX_SEG_NULL : DX_SEG_FLAT, .base = null ? 0 : cpu->seg_base[i]};
    }
    memcpy(st->fxsave, cpu->fpu, sizeof(st->fxsave));
}

#define BOX_SYSFLAGS (EFL_TF | EFL_NT | EFL_AC | EFL_ID)

static void from_box(struct cpu *cpu, const struct dx_state *st)
{
    u32 sys = (cpu->sysflags & ~BOX_SYSFLAGS) | (st->eflags & BOX_SYSFLAGS);
    u32 ip;

    memcpy(cpu->gpr, st->gpr, sizeof(cpu->gpr));
    cpu->eip = st->eip;
    cpu->flags = st->eflags & FL_ARITH;
    cpu->df = st->eflags & EFL_DF ? -1 : 1;
    memcpy(cpu->fpu, st->fxsave, sizeof(cpu->fpu));
    memcpy(&ip, st->fxsave + 8, sizeof(ip));
    if (ip) { /* processors that keep the pointers only while an exception is pending show 0 */
        u32 dp;

        memcpy(&dp, st->fxsave + 16, sizeof(dp));
        cpu->fpu_ip = (u64)cpu->seg[SEG_CS].sel << 32 | ip;
        cpu->fpu_dp = dp;
        cpu->fpu_fresh = 1;
    }
    if (sys != cpu->sysflags) {
        cpu->sysflags = sys;
        mon_state_changed(cpu);
    }
}

/* ---- exits ---- */

/* Carried out again by the fallback, from `back` bytes before EIP. */
static enum bt_exit_kind again(struct novt_vm *vm, u32 back)
{
    vm->cpu.eip -= back;
    vm->step_reason = STEP_SANDBOX;
    return BT_EXIT_STEP;
}

/* INT3, or INT 3 in two bytes? */
static u32 breakpoint_bytes(struct novt_vm *vm)
{
    u8 op = 0;

    if (lin_read(&vm->cpu, vm->cpu.eip - 1, &op, 1, false))
        return 1;
    return op == 0xcc ? 1 : 2;
}

static enum bt_exit_kind died(struct novt_vm *vm, const struct dx_exit *x)
{
    dprintf(2, "novt: a sandbox ended: %s\n", x->why);
    mon_stop(vm, STOP_ERROR, EIO);
    return BT_EXIT_STOP;
}

/* A page fault in a box: 1: go on there; 0: *kind says how to leave. */
static int page_fault(struct novt_vm *vm, struct sandbox_box *b, const struct dx_exit *x,
                      enum bt_exit_kind *kind)
{
    struct cpu *cpu = &vm->cpu;
    u32 page = x->cr2 >> PAGE_SHIFT, before = b->mirror[page];

    vm->sandbox->stats.fills++;
    if (x->error & MMU_PF_ID) {
        if (!(before & SANDBOX_EXEC) && sandbox_allow_exec(vm, b, page) && b->dx)
            return 1;
        *kind = BT_EXIT_LOOKUP; /* translated code finds out what there is to find */
        cpu->exit_from = 0;
        vm->sandbox->translate_next = true;
        return 0;
    }
    switch (mon_fill(vm, x->cr2, x->error & MMU_PF_W)) {
    case BT_FILL_EXCEPTION: *kind = BT_EXIT_EXCEPTION; return 0;
    case BT_FILL_STEP: *kind = BT_EXIT_STEP; return 0;
    default: break;
    }
    if (!sandbox_sync(vm, b) || b->mirror[page] == before) { /* the box cannot have it: below mmap_min_addr */
        *kind = again(vm, 0);
        return 0;
    }
    return 1;
}

static int exit_of(struct novt_vm *vm, struct sandbox_box *b, const struct dx_exit *x,
                   enum bt_exit_kind *kind)
{
    struct cpu *cpu = &vm->cpu;

    switch (x->kind) {
    case DX_EXIT_PAGE_FAULT: return page_fault(vm, b, x, kind);
    case DX_EXIT_SYSCALL: *kind = again(vm, 2); return 0;
    case DX_EXIT_BREAKPOINT: *kind = again(vm, breakpoint_bytes(vm)); return 0;
    case DX_EXIT_FAULT: *kind = again(vm, x->vector == 1 || x->vector == 4); return 0;
    case DX_EXIT_STEP:
        cpu->dr[6] |= BIT(14); /* BS */
        mon_exc(cpu, EXC_DB);
        *kind = BT_EXIT_EXCEPTION;
        return 0;
    case DX_EXIT_KICKED: *kind = BT_EXIT_ASYNC; return 0;
    case DX_EXIT_FAST_SYSCALL: /* its state is lost; only code that jumped into the middle of an instruction gets here */
    case DX_EXIT_DIED: *kind = died(vm, x); return 0;
    default: *kind = again(vm, 0); return 0;
    }
}

/* ---- enter ---- */

void sandbox_kick(void *opaque)
{
    struct novt_vm *vm = opaque;
    struct dx_box *box = vm->sandbox ? vm->sandbox->inside : NULL;

    if (box)
        dx_kick(box);
}

/* No box now: translated code goes on, and this context does not ask again at once. */
static enum bt_exit_kind give_up(struct novt_vm *vm, struct mon_ctx *c)
{
    c->history.not_before = __rdtsc() + 64 * vm->sandbox->worthwhile;
    vm->sandbox->translate_next = true;
    vm->cpu.exit_from = 0;
    return BT_EXIT_LOOKUP;
}

enum bt_exit_kind sandbox_enter(struct novt_vm *vm)
{
    struct sandbox *s = vm->sandbox;
    struct cpu *cpu = &vm->cpu;
    struct mon_ctx *c = vm->win->user;
    struct sandbox_box *b = sandbox_box_get(vm);
    enum bt_exit_kind kind = BT_EXIT_LOOKUP;
    struct dx_state st;
    struct dx_exit x;
    int go_on;

    c->history.since = 0;
    if (!b || !sandbox_sync(vm, b))
        return give_up(vm, c);
    if (!(b->mirror[cpu->eip >> PAGE_SHIFT] & SANDBOX_EXEC) &&
        !sandbox_allow_exec(vm, b, cpu->eip >> PAGE_SHIFT))
        return give_up(vm, c);
    if (mon_tracing(vm, TRACE_EXEC, cpu->eip))
        mon_trace(vm, "direct %08x", cpu->eip);
    to_box(cpu, &st);
    do {
        u64 t0 = __rdtsc(), spent;

        s->inside = b->dx;
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        if (cpu->kick) {
            s->inside = NULL;
            return BT_EXIT_ASYNC;
        }
        dx_enter(b->dx, &st, &x);
        s->inside = NULL;
        spent = __rdtsc() - t0;
        s->stats.entries++;
        s->stats.exits[x.kind < DX_EXIT_COUNT ? x.kind : DX_EXIT_DIED]++;
        if (x.kind == DX_EXIT_REFUSED)
            return give_up(vm, c);
        from_box(cpu, &st);
        if (!(x.kind == DX_EXIT_PAGE_FAULT && x.error & MMU_PF_ID)) /* each page of code faults just once */
            pick_learn(&c->history, spent > s->overhead ? spent - s->overhead : 0, true, s->worthwhile,
                       t0 + spent);
        go_on = exit_of(vm, b, &x, &kind);
    } while (go_on && !cpu->kick && !vm->stop);
    if (go_on)
        kind = BT_EXIT_ASYNC;
    if (mon_tracing(vm, TRACE_EXEC, cpu->eip))
        mon_trace(vm, "direct exit %u vector %u cr2 %08x at %08x", x.kind, x.vector, x.cr2, cpu->eip);
    return kind;
}
