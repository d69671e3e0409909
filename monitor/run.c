/*
 * run.c - the run loop: the first of the two functions that tell the story.
 *
 *   deliver interrupt -> choose engine -> enter -> dispatch the exit by table        mon_run()
 *
 * Everything asynchronous (timers, input, interrupt lines, stop requests) is a kick: translated code comes back at the
 * next instruction boundary and the loop looks around. A device deadline is one POSIX timer that signals this
 * thread. HLT sleeps until the next deadline or kick.
 */
#define _GNU_SOURCE
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "monitor/breakpoint.h"
#include "monitor/monitor.h"
#include "monitor/sandbox.h"

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

/* What the guest gets at least between two signals of the timer, however fast a timer it programs or however late the host is. */
#define SLICE_NS 20000u
/* Ring 3 that runs directly ends by a timer of its box, for which no other thread wakes up. Ours fires only if it did not. */
#define LATE_NS 300000u
#define STRING_STEPS \
    4096 /* iterations of one REP instruction that the fallback makes before it looks around */

struct mon_run_state {
    timer_t timer;
    bool have_timer;
    u64 armed_ns; /* virtual deadline that the timer is set for, CLK_NEVER: none */
    u64 late_ns;  /* the deadline as host time when the timer is set for LATE_NS after it, else 0 */
};

/* ---- time ---- */

static int timer_start(struct novt_vm *vm)
{
    struct mon_run_state *r = vm->run;
    struct sigevent ev = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGURG};
    ev.sigev_notify_thread_id = (int)syscall(SYS_gettid);
    r->armed_ns = CLK_NEVER;
    prctl(PR_SET_TIMERSLACK, 1ul); /* HLT sleeps to the deadline, not 50 us beyond */
    if (timer_create(CLOCK_MONOTONIC, &ev, &r->timer))
        return -errno;
    r->have_timer = true;
    return 0;
}

static void timer_stop(struct novt_vm *vm)
{
    if (vm->run->have_timer)
        timer_delete(vm->run->timer);
    vm->run->have_timer = false;
}

static u64 host_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (u64)t.tv_sec * CLK_SECOND_NS + (u64)t.tv_nsec;
}

u64 mon_late_deadline(const struct novt_vm *vm)
{
    return vm->run ? vm->run->late_ns : 0;
}

bool mon_late(const struct novt_vm *vm)
{
    return mon_late_deadline(vm) && host_ns() >= mon_late_deadline(vm);
}

/* Set the host timer to the earliest device deadline; cheap when it has not moved. */
void mon_timer_update(struct novt_vm *vm)
{
    struct mon_run_state *r = vm->run;
    if (!vm->pc || !r || !r->have_timer)
        return;
    struct clk *clk = pc_clk(vm->pc);
    u64 deadline = clk_next_deadline(clk);
    bool late = sandbox_stops_itself(vm);
    if (deadline == r->armed_ns && late == (r->late_ns != 0))
        return;
    r->armed_ns = deadline;
    r->late_ns = 0;
    if (deadline == CLK_NEVER) /* one that still fires finds nothing due */
        return;
    u64 now = clk_now(clk), ns = deadline > now + SLICE_NS ? deadline - now : SLICE_NS;
    if (late) {
        r->late_ns = host_ns() + ns;
        ns += LATE_NS;
    }
    struct itimerspec its = {
        .it_value = {.tv_sec = (time_t)(ns / CLK_SECOND_NS), .tv_nsec = (long)(ns % CLK_SECOND_NS)}};
    timer_settime(r->timer, 0, &its, NULL);
}

static void timer_disarm(struct novt_vm *vm)
{
    struct mon_run_state *r = vm->run;
    struct itimerspec off = {0};
    if (!r->have_timer || r->armed_ns == CLK_NEVER)
        return;
    r->armed_ns = CLK_NEVER;
    r->late_ns = 0;
    timer_settime(r->timer, 0, &off, NULL);
}

/* ---- asynchronous events ---- */

void mon_stop(struct novt_vm *vm, enum mon_stop why, int code)
{
    int none = STOP_NONE;
    if (__atomic_compare_exchange_n(&vm->stop, &none, (int)why, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        vm->stop_code = code;
    vm->cpu.kick = 1;
    if (vm->bt)
        bt_kick(vm->bt);
}

void mon_nmi(struct novt_vm *vm)
{
    __atomic_store_n(&vm->nmi, 1, __ATOMIC_SEQ_CST);
    vm->cpu.kick = 1;
    if (vm->bt)
        bt_kick(vm->bt);
}

static bool nmi_deliverable(const struct novt_vm *vm)
{
    return UNLIKELY(vm->nmi) && !vm->cpu.nmi_blocked && !vm->cpu.inhibit && (!vm->pc || pc_nmi_enabled(vm->pc));
}

/* Further ones wait for IRET; one of them is remembered (SDM vol. 3, 6.7.1). */
static void deliver_nmi(struct novt_vm *vm)
{
    struct cpu *cpu = &vm->cpu;
    __atomic_store_n(&vm->nmi, 0, __ATOMIC_SEQ_CST);
    cpu->nmi_blocked = 1;
    mon_deliver(cpu, MON_EXTERNAL, EXC_NMI, false, 0, cpu->eip);
}

void mon_irq_changed(struct novt_vm *vm, bool level)
{
    vm->cpu.irq_pending = level;
}

static bool irq_deliverable(const struct cpu *cpu)
{
    return cpu->irq_pending && cpu->iflag && !cpu->inhibit;
}

/* Devices whose time has come, host events; then the flag may be raised again. */
static void look_around(struct novt_vm *vm)
{
    __atomic_store_n(&vm->cpu.kick, 0, __ATOMIC_SEQ_CST);
    mon_calls(vm);
    mon_poll(vm);
    if (!vm->pc)
        return;
    pc_poll(vm->pc);
    if (clk_run_due(pc_clk(vm->pc)))
        vm->run->armed_ns = CLK_NEVER - 1;
    mon_timer_update(vm);
    if (vm->sandbox)
        vm->sandbox->look = true;
}

/* Paused: the clock stands still; sleep from kick to kick. */
static void pause_here(struct novt_vm *vm)
{
    sigset_t block, old, wait;
    sigemptyset(&block);
    sigaddset(&block, SIGURG);
    pthread_sigmask(SIG_BLOCK, &block, &old);
    wait = old;
    sigdelset(&wait, SIGURG);
    timer_disarm(vm);
    while (vm->paused && !vm->stop) {
        if (!vm->cpu.kick)
            ppoll(NULL, 0, NULL, &wait);
        look_around(vm);
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

/* HLT: sleep to the next deadline or kick. */
static void halt(struct novt_vm *vm)
{
    struct cpu *cpu = &vm->cpu;
    sigset_t block, old;
    sigemptyset(&block);
    sigaddset(&block, SIGURG);
    pthread_sigmask(SIG_BLOCK, &block, &old);
    while (cpu->halted && !vm->paused && !vm->stop && !irq_deliverable(cpu) && !nmi_deliverable(vm)) {
        if (!cpu->iflag && !vm->patient) {
            mon_stop(vm, STOP_DEAD, 0);
            break;
        }
        if (cpu->kick || !vm->pc) {
            look_around(vm);
            if (!vm->pc)
                break;
            continue;
        }
        u64 now = clk_now(pc_clk(vm->pc)), deadline = clk_next_deadline(pc_clk(vm->pc));
        if (deadline <= now) {
            look_around(vm);
            continue;
        }
        timer_disarm(vm); /* the sleep itself ends at the deadline: a signal would cost more */
        u64 ns = deadline == CLK_NEVER ? 3600 * CLK_SECOND_NS : deadline - now;
        struct timespec ts = {.tv_sec = (time_t)(ns / CLK_SECOND_NS), .tv_nsec = (long)(ns % CLK_SECOND_NS)};
        sigset_t wait = old;
        sigdelset(&wait, SIGURG);
        ppoll(NULL, 0, &ts, &wait);
        look_around(vm);
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    cpu->halted = vm->stop == STOP_NONE && !vm->paused ? 0 : cpu->halted;
}

/* ---- exits ---- */

static void exit_exception(struct novt_vm *vm)
{
    struct cpu *cpu = &vm->cpu;
    u8 vector = cpu->exc_vector;
    if (vector == EXC_MF)
        mon_fpu_note(cpu);
    if (vector == EXC_XM && !(cpu->cr4 & CR4_OSXMMEXCPT))
        vector = EXC_UD;
    if (vector == EXC_MF && !(cpu->cr0 & CR0_NE)) { /* FERR#: IRQ 13 instead, for which the instruction waits */
        if (vm->pc)
            pc_ferr(vm->pc);
        return;
    }
    if (mon_tracing(vm, TRACE_INT, cpu->eip))
        mon_trace(vm, "exception %u error %x cr2 %08x at %04x:%08x", vector, cpu->exc_error, cpu->cr2,
                  cpu->seg[SEG_CS].sel, cpu->eip);
    cpu->inhibit = 0;
    mon_deliver(cpu, MON_EXCEPTION, vector, cpu->exc_has_error, cpu->exc_error, cpu->eip);
}

static void exit_step(struct novt_vm *vm)
{
    struct cpu *cpu = &vm->cpu;
    u32 eip = cpu->eip, n = 0;
    if (vm->step_reason == STEP_MMIO)
        mon_note_mmio(vm);
    else if (vm->step_reason == STEP_EMITTED)
        mon_drop_stale(vm);
    vm->step_reason = STEP_EMITTED;
    do {
        vm->slow_steps++;
        cpu->exit_kind = BT_EXIT_LOOKUP;
        cpu->exit_from = 0;
        if (mon_step(cpu) != BT_CONT && cpu->exit_kind == BT_EXIT_EXCEPTION) {
            exit_exception(vm);
            return;
        }
    } while (cpu->eip == eip && ++n < STRING_STEPS && !cpu->kick && !irq_deliverable(cpu) && !vm->stop);
}

static void exit_nothing(struct novt_vm *vm)
{
    (void)vm; /* LOOKUP: the loop goes on at eip. ASYNC: it looks around first. HLT: cpu->halted is set. */
}

static void (*const exit_handlers[BT_EXIT_COUNT])(struct novt_vm *) = {
    [BT_EXIT_LOOKUP] = exit_nothing, [BT_EXIT_EXCEPTION] = exit_exception, [BT_EXIT_STEP] = exit_step,
    [BT_EXIT_ASYNC] = exit_nothing,  [BT_EXIT_HLT] = exit_nothing,         [BT_EXIT_STOP] = exit_nothing,
};

static const char *const exit_names[BT_EXIT_COUNT] = {
    [BT_EXIT_LOOKUP] = "lookup", [BT_EXIT_EXCEPTION] = "exception",
    [BT_EXIT_STEP] = "step",     [BT_EXIT_ASYNC] = "async",
    [BT_EXIT_HLT] = "hlt",       [BT_EXIT_STOP] = "stop",
};

static const char *const mmu_result_names[] = {
    [MMU_OK] = "mapped",
    [MMU_GUEST_FAULT] = "page fault",
    [MMU_SLOW] = "not memory",
    [MMU_WATCHED] = "holds translations",
};

enum bt_fill mon_fill(void *opaque, u32 gva, bool write)
{
    struct novt_vm *vm = opaque;
    struct cpu *cpu = &vm->cpu;
    struct mmu_info info;
    enum mmu_result how = mmu_fill(vm->mmu, vm->win, gva, write, &info);
    /* Stdio in a signal handler: the signal interrupted translated code, so nothing of libc is half done. */
    if (mon_tracing(vm, TRACE_MMU, gva))
        mon_trace(vm, "%s %08x: %s", write ? "write" : "read", gva, mmu_result_names[how]);
    switch (how) {
    case MMU_OK: return BT_FILL_RETRY;
    case MMU_GUEST_FAULT:
        cpu->cr2 = gva;
        mon_exc_err(cpu, EXC_PF, info.error_code);
        return BT_FILL_EXCEPTION;
    case MMU_SLOW: /* MMIO, a write to ROM */ vm->step_reason = STEP_MMIO; return BT_FILL_STEP;
    default: /* a page with translations */ vm->step_reason = STEP_WATCHED; return BT_FILL_STEP;
    }
}

/* A host fault that nothing explains, in a signal handler: say what we know and leave as our bug. */
void mon_bug(void *opaque, const char *what, u64 host_pc, u64 addr)
{
    struct novt_vm *vm = opaque;
    dprintf(2, "novt: bug: %s: host pc %#llx (cache %+lld), address %#llx (window %+lld)\n", what,
            (unsigned long long)host_pc, (long long)(host_pc - (u64)cc_rx(vm->cc)), (unsigned long long)addr,
            (long long)(addr - (u64)vm->cpu.window));
    base_panic(__FILE__, __LINE__, what);
}

/* States in which every instruction is carried out by the fallback: single step, debug registers, the instruction behind
 * STI or MOV SS, RF; a virtual interrupt that is due. */
static bool must_step(const struct cpu *cpu)
{
    return (cpu->mode & (MODE_TF | MODE_DB | MODE_AC)) || cpu->inhibit || (cpu->sysflags & EFL_RF) ||
           (cpu->sysflags & (EFL_VIF | EFL_VIP)) == (EFL_VIF | EFL_VIP);
}

/* The return stack's records belong to one (mode, CS) context. */
static void check_ret_stack(struct novt_vm *vm)
{
    struct mon_ctx *c = vm->win->user;
    if (LIKELY(mon_same_records(c->ret_tag, vm->cpu.ctx_tag)))
        return;
    c->ret_tag = vm->cpu.ctx_tag;
    bt_retstack_drop(vm->bt, bt_retstack_reset(vm->bt, c->ret_top));
}

int mon_callout(struct cpu *cpu, const struct dec_insn *insn)
{
    struct novt_vm *vm = mon_vm(cpu);
    int rc = mon_emulate(cpu, insn);

    if (insn->op == OP_IRET) /* perhaps from a page fault within the kernel, to the instruction that caused it */
        mmu_refill(vm->mmu, vm->win);

    /* A target that the loop would enter at once, unless it is another engine's. */
    if (rc != BT_LEAVE || cpu->exit_kind != BT_EXIT_LOOKUP || vm->trace || vm->stop || vm->paused || irq_deliverable(cpu) ||
        must_step(cpu) || (cpu->cpl == 3 && sandbox_wants(vm)))
        return rc;
    check_ret_stack(vm);
    return BT_JUMP;
}

static enum bt_exit_kind run_translated(struct novt_vm *vm, u32 exit_from)
{
    struct cpu *cpu = &vm->cpu;
    if (!exit_from &&
        !vm->trace) { /* nothing to link: the jump cache knows most targets of interrupts and system calls */
        u64 pc = bt_jcache_get(cpu->jcache, cpu->ctx_tag, cpu->eip);
        if (pc) {
            check_ret_stack(vm);
            return bt_enter_at(vm->bt, pc);
        }
    }
    struct cc_block *b = mon_block(vm, exit_from);
    if (!b)
        return cpu->exit_kind;
    check_ret_stack(vm);
    if (mon_tracing(vm, TRACE_EXEC, cpu->eip))
        mon_trace(vm, "exec %04x:%08x", cpu->seg[SEG_CS].sel, cpu->eip);
    return bt_enter(vm->bt, b);
}

/* The engines: one instruction by the fallback, direct execution, translated code. */
static enum bt_exit_kind run_guest(struct novt_vm *vm, u32 exit_from)
{
    if (must_step(&vm->cpu))
        return BT_EXIT_STEP;
    if (vm->sandbox && !(vm->brk_flags & BRK_F_POINTS) && sandbox_pick(vm) == PICK_DIRECT)
        return sandbox_enter(vm);
    return run_translated(vm, exit_from);
}

/* NMI and INTR, unless a debugger's step holds them off. */
static bool interrupt_taken(struct novt_vm *vm)
{
    struct cpu *cpu = &vm->cpu;
    if (UNLIKELY(vm->brk_flags & BRK_F_QUIET))
        return false;
    if (nmi_deliverable(vm)) {
        deliver_nmi(vm);
        return true;
    }
    if (!irq_deliverable(cpu))
        return false;
    mon_deliver(cpu, MON_EXTERNAL, pc_intr_ack(vm->pc), false, 0, cpu->eip);
    return true;
}

int mon_run(struct novt_vm *vm)
{
    struct cpu *cpu = &vm->cpu;
    struct mon_run_state run = {.armed_ns = CLK_NEVER};
    u32 from = 0;
    bool stalled = false; /* a kick came before the first instruction: now that one, whatever comes */
    vm->run = &run;
    int rc = timer_start(vm);
    if (rc)
        mon_stop(vm, STOP_ERROR, -rc);
    look_around(vm);
    while (!vm->stop) {
        if (cpu->kick) {
            look_around(vm);
            from = 0; /* a call may have put the CPU elsewhere */
        }
        if (UNLIKELY(vm->paused)) {
            pause_here(vm);
            continue;
        }
        if (cpu->halted) {
            halt(vm);
            vm->brk_flags &= (u8)~BRK_F_QUIET; /* what wakes it is the next thing to see */
            from = 0;
            continue;
        }
        if (interrupt_taken(vm)) {
            from = 0;
            if (UNLIKELY(vm->brk_flags & BRK_F_STEP))
                brk_stepped(vm);
            continue;
        }
        if (UNLIKELY(vm->brk_flags)) {
            enum brk_turn turn = brk_turn(vm);
            from = 0;
            if (turn == BRK_TURN_PAUSE)
                continue;
            stalled |= turn == BRK_TURN_ONE;
        }
        u32 eip = cpu->eip;
        if (stalled)
            vm->step_reason = STEP_STALLED;
        enum bt_exit_kind kind = stalled ? BT_EXIT_STEP : run_guest(vm, from);
        stalled = kind == BT_EXIT_ASYNC && cpu->eip == eip;
        from = kind == BT_EXIT_LOOKUP ? cpu->exit_from : 0;
        if (mon_tracing(vm, TRACE_EXIT, cpu->seg_base[SEG_CS] + cpu->eip))
            mon_trace(vm, "exit %s at %04x:%08x", exit_names[kind < BT_EXIT_COUNT ? kind : BT_EXIT_LOOKUP],
                      cpu->seg[SEG_CS].sel, cpu->eip);
        exit_handlers[kind < BT_EXIT_COUNT ? kind : BT_EXIT_LOOKUP](vm);
        if (UNLIKELY(vm->brk_flags & BRK_F_STEP))
            brk_stepped(vm);
    }
    bt_fpu_save(cpu);
    sandbox_thread_end(vm);
    timer_stop(vm);
    vm->run = NULL;
    return vm->stop;
}
