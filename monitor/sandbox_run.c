/*
 * sandbox_run.c - direct execution: decide, hand the guest's state to a box, make its exit one of ours.
 *
 * What a box reports is believed as far as the guest could have done it by itself: registers and flags are taken as they are, and
 * whatever needs more than that (system calls, privileged instructions, faults other than page faults) is carried out again by
 * the fallback from the instruction's address, so its rules stand in one place only. Code that tries to leave its box loses the
 * box and its registers, and gets #GP(0) where it was last entered: that is between the guest's kernel and its process.
 */
#include "monitor/sandbox.h"

#include <stdio.h>
#include <string.h>
#include <x86intrin.h>

#define NOT_AGAIN 1000u  /* in hand-offs: how long a context does not ask after it got no box */
#define PAGE_TURNS 2u    /* how often in a stretch to ask again behind an unfit page */
#define UNFIT_FREE 8u    /* direct code may run onto unfit pages so often in a stretch, */
#define UNFIT_PRICE 7u   /* and then once in so many hand-offs: more is slower than translated code that loses a seventh */
#define ESCAPES_TOLD 10u /* then they are only counted */

const char *sandbox_exit_name(unsigned kind)
{
    static const char *const names[DX_EXIT_COUNT] = {
        [DX_EXIT_PAGE_FAULT] = "page_fault",
        [DX_EXIT_PRIVILEGED] = "privileged",
        [DX_EXIT_INT] = "int",
        [DX_EXIT_SYSCALL] = "syscall",
        [DX_EXIT_FAST_SYSCALL] = "fast_syscall",
        [DX_EXIT_FAULT] = "fault",
        [DX_EXIT_BREAKPOINT] = "breakpoint",
        [DX_EXIT_STEP] = "step",
        [DX_EXIT_KICKED] = "kicked",
        [DX_EXIT_REFUSED] = "refused",
        [DX_EXIT_DIED] = "died",
    };

    return kind < DX_EXIT_COUNT ? names[kind] : "?";
}

/* ---- decide ---- */

static bool refuse(struct sandbox *s, const char *why)
{
    s->refused = why;
    base_warn("no direct execution, all code is translated: %s", why);
    return false;
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
    if (dx_probe(s->why) || dx_new(&s->dx, &cfg))
        return refuse(s, s->why[0] ? s->why : "no memory for sandboxes");
    t0 = clk_now(pc_clk(vm->pc));
    tsc = __rdtsc();
    if (dx_measure(s->dx, &cost))
        return refuse(s, "sandboxes cannot be measured");
    t1 = clk_now(pc_clk(vm->pc));
    tsc = __rdtsc() - tsc;
    s->overhead = 1 + (t1 > t0 ? cost.round_trip_ns * tsc / (t1 - t0) : cost.round_trip_ns * 3);
    return true;
}

/* The context stays translated for a while. */
static void rest(struct novt_vm *vm, u64 now)
{
    struct mon_ctx *c = vm->win->user;

    c->history.not_before = now + NOT_AGAIN * vm->sandbox->overhead;
    c->history.rests = true;
}

static void describe(struct novt_vm *vm, struct pick_state *p)
{
    const struct cpu *cpu = &vm->cpu;
    const struct sandbox *s = vm->sandbox;
    struct mon_ctx *c = vm->win->user;
    u64 now = __rdtsc();

    if (c && now >= c->history.not_before)
        c->history.rests = false;
    *p = (struct pick_state){
        .option = s->option,
        .sandbox = !s->refused && now >= s->no_box_until,
        .mode = cpu->mode,
        .cr0 = cpu->cr0,
        .cr4 = cpu->cr4,
        .eflags = cpu_eflags(cpu),
        .inhibit = cpu->inhibit,
        .odd_segs = sandbox_odd_segments(cpu),
        .page_bad = sandbox_page_bad(vm, sandbox_lin_eip(vm)),
        .pays = c && c->history.pays,
        .now = now,
        .not_before = c ? c->history.not_before : 0,
    };
    /* The stretch that is still going on counts too: a program that never calls the kernel has no other. */
    if (c && c->history.since && p->now - c->history.since > PICK_FEE * s->overhead)
        p->pays = true;
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
    if (!sandbox_wants(vm)) {
        s->stats.picks[PICK_COST]++;
        return PICK_COST;
    }
    s->look = false;
    describe(vm, &p);
    bool turn_back = p.page_bad && p.pays && !s->translate_next;
    p.page_bad |= s->translate_next;
    s->translate_next = false;
    pick = mon_pick_engine(&p);
    /* System calls come back to the kernel's own page, which is never fit, but nearly always leave it at once. */
    if (pick == PICK_PAGE && turn_back && s->page_turns < PAGE_TURNS) {
        s->page_turns++;
        vm->cpu.kick = 1;
    }
    if (pick == PICK_DIRECT && !start(vm))
        pick = PICK_NO_SANDBOX;
    s->stats.picks[pick]++;
    return pick;
}

void sandbox_window_switched(struct novt_vm *vm, struct mmu_window *old, struct mmu_window *new, u64 now)
{
    struct mon_ctx *from = old ? old->user : NULL, *to = new->user;
    struct sandbox *s = vm->sandbox;

    if (!s || s->refused)
        return;
    if (from && old->priv == MMU_USER && from->history.since) {
        u64 cycles = now - from->history.since,
            made = bt_stats(vm->bt)->translate_cycles - from->history.translating;
        pick_learn(&from->history, made < cycles ? cycles - made : 0, s->overhead);
        from->history.since = 0;
    }
    if (!to || new->priv != MMU_USER)
        return;
    to->history.since = now;
    to->history.translating = bt_stats(vm->bt)->translate_cycles;
    s->page_turns = 0;
    s->unfit = 0;
    to->history.rests = now < to->history.not_before;
    if (s->option == ENGINE_DIRECT || (to->history.pays && !to->history.rests))
        vm->cpu.kick = 1; /* translated code leaves at its next gate, and the run loop decides */
}

/* ---- exits ---- */

/* Carried out again by the fallback, from `back` bytes before EIP. */
static enum bt_exit_kind again(struct novt_vm *vm, u32 back)
{
    vm->cpu.eip -= back;
    vm->step_reason = STEP_SANDBOX;
    return BT_EXIT_STEP;
}

/* A byte of code, 0 when it is not to be had. */
static u8 code_byte(struct novt_vm *vm, u32 eip)
{
    u32 cr2 = vm->cpu.cr2;
    u8 byte = 0;

    if (lin_read(&vm->cpu, vm->cpu.seg_base[SEG_CS] + eip, &byte, 1, false)) {
        vm->cpu.cr2 = cr2; /* nobody's fault */
        return 0;
    }
    return byte;
}

#define OPCODE_INT3 0xccu
#define OPCODE_INTO 0xceu
#define OPCODE_INT1 0xf1u

/* How far an exception's address is from its instruction. */
static u32 bytes_behind(struct novt_vm *vm, const struct dx_exit *x)
{
    u32 eip = vm->cpu.eip;

    switch (x->vector) {
    case EXC_DB: return code_byte(vm, eip) != OPCODE_INT1; /* behind it, but for some hypervisors */
    case EXC_BP: return code_byte(vm, eip - 1) == OPCODE_INT3 ? 1 : 2;
    case EXC_OF: return code_byte(vm, eip - 1) == OPCODE_INTO ? 1 : 2; /* else INT 4 */
    default: return 0;
    }
}

/* Which instruction guest code is at is not known any more, and its registers are lost. The box's memory is what this ring 3
 * can write anyway, so whatever happened there the process could have done by itself: it alone bears the consequences. */
static enum bt_exit_kind escaped(struct novt_vm *vm, const char *why)
{
    struct sandbox *s = vm->sandbox;

    if (s->stats.escapes++ < ESCAPES_TOLD)
        base_warn("guest code tried to leave its sandbox, it gets #GP: %s", why);
    mon_exc_err(&vm->cpu, EXC_GP, 0);
    return BT_EXIT_EXCEPTION;
}

/* No box now: translated code goes on, and this context does not ask again at once. */
static enum bt_exit_kind give_up(struct novt_vm *vm)
{
    rest(vm, __rdtsc());
    vm->sandbox->translate_next = true;
    vm->cpu.exit_from = 0;
    return BT_EXIT_LOOKUP;
}

static enum bt_exit_kind died(struct novt_vm *vm, const struct dx_exit *x)
{
    switch (x->death) {
    case DX_DEATH_GUEST: return escaped(vm, x->why);
    case DX_DEATH_BEFORE: return give_up(vm);
    default: break;
    }
    base_warn("a sandbox was ended from outside, and with it the state of the guest: %s", x->why);
    mon_stop(vm, STOP_ERROR, EIO);
    return BT_EXIT_STOP;
}

/* Direct code has run onto a page that may not be executed. A loop through one would hand over twice a turn, and its stretches are long. */
static void unfit(struct novt_vm *vm)
{
    struct sandbox *s = vm->sandbox;
    u64 now = __rdtsc();

    if (++s->unfit > UNFIT_FREE && s->option == ENGINE_AUTO && vm->win->user &&
        s->unfit * UNFIT_PRICE * s->overhead > now - ((struct mon_ctx *)vm->win->user)->history.since)
        rest(vm, now);
}

/* A page fault in a box: 1: go on there; 0: *kind says how to leave. */
static int page_fault(struct novt_vm *vm, struct sandbox_box *b, const struct dx_exit *x,
                      enum bt_exit_kind *kind)
{
    struct cpu *cpu = &vm->cpu;
    u32 page = x->cr2 >> PAGE_SHIFT, before = b->mirror[page];

    vm->sandbox->stats.fills++;
    if (x->error & MMU_PF_ID) {
        if (!(before & SANDBOX_EXEC) && sandbox_allow_exec(vm, b, page))
            return 1;
        *kind = BT_EXIT_LOOKUP; /* translated code finds out what there is to find */
        cpu->exit_from = 0;
        vm->sandbox->translate_next = true;
        unfit(vm);
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
    case DX_EXIT_BREAKPOINT:
    case DX_EXIT_FAULT: *kind = again(vm, bytes_behind(vm, x)); return 0;
    case DX_EXIT_STEP:
        cpu->dr[6] |= BIT(14); /* BS */
        mon_exc(cpu, EXC_DB);
        *kind = BT_EXIT_EXCEPTION;
        return 0;
    case DX_EXIT_KICKED: *kind = BT_EXIT_ASYNC; return 0;
    default: *kind = again(vm, 0); return 0;
    }
}

/* ---- enter ---- */

bool sandbox_stops_itself(const struct novt_vm *vm)
{
    const struct sandbox *s = vm->sandbox;
    const struct mon_ctx *c = vm->win ? vm->win->user : NULL; /* before the first window there is none */

    return s && s->dx && !s->refused && dx_caps(s->dx)->timer && c && (c->history.pays || s->option == ENGINE_DIRECT);
}

void sandbox_kick(void *opaque)
{
    struct novt_vm *vm = opaque;
    struct dx_box *box = vm->sandbox ? vm->sandbox->inside : NULL;

    if (box)
        dx_kick(box);
}

/* One run in the box. 1: what came out is to be handled; 0: *kind says how to leave. */
static int run_box(struct novt_vm *vm, struct sandbox_box *b, struct dx_exit *x, enum bt_exit_kind *kind)
{
    struct sandbox *s = vm->sandbox;
    struct dx_state was, st;

    if (!sandbox_put_state(vm, b, &was)) {
        *kind = give_up(vm);
        return 0;
    }
    st = was;
    dx_deadline(b->dx, mon_late_deadline(vm));
    s->inside = b->dx;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (vm->cpu.kick) {
        s->inside = NULL;
        *kind = BT_EXIT_ASYNC;
        return 0;
    }
    dx_enter(b->dx, &st, x);
    s->inside = NULL;
    s->stats.entries++;
    s->stats.exits[x->kind < DX_EXIT_COUNT ? x->kind : DX_EXIT_DIED]++;
    if (x->kind == DX_EXIT_KICKED || mon_late(vm))
        vm->cpu.kick = 1; /* the box's own timer raises no flag here */
    switch (x->kind) {
    case DX_EXIT_REFUSED: *kind = give_up(vm); return 0;
    case DX_EXIT_DIED: *kind = died(vm, x); return 0;
    case DX_EXIT_FAST_SYSCALL: *kind = escaped(vm, "SYSENTER in the middle of another instruction"); return 0;
    default: break;
    }
    if (sandbox_take_state(vm, b, &was, &st))
        return 1;
    *kind = escaped(vm, "it loaded a segment that is not the guest's");
    return 0;
}

enum bt_exit_kind sandbox_enter(struct novt_vm *vm)
{
    struct cpu *cpu = &vm->cpu;
    struct sandbox_box *b = sandbox_box_get(vm);
    enum bt_exit_kind kind = BT_EXIT_LOOKUP;
    u32 page = sandbox_lin_eip(vm) >> PAGE_SHIFT;
    struct dx_exit x;
    int go_on;

    if (!b || !sandbox_sync(vm, b))
        return give_up(vm);
    if (!(b->mirror[page] & SANDBOX_EXEC) && !sandbox_allow_exec(vm, b, page))
        return give_up(vm);
    if (mon_tracing(vm, TRACE_EXEC, sandbox_lin_eip(vm)))
        mon_trace(vm, "direct %04x:%08x", cpu->seg[SEG_CS].sel, cpu->eip);
    do {
        if (!run_box(vm, b, &x, &kind))
            return kind;
        if (mon_tracing(vm, TRACE_EXEC, sandbox_lin_eip(vm)))
            mon_trace(vm, "direct exit %s vector %u cr2 %08x at %04x:%08x", sandbox_exit_name(x.kind), x.vector,
                      x.cr2, cpu->seg[SEG_CS].sel, cpu->eip);
        go_on = exit_of(vm, b, &x, &kind);
    } while (go_on && !cpu->kick && !vm->stop);
    return go_on ? BT_EXIT_ASYNC : kind;
}
