/*
 * vm_control.c - a machine's state as its user sees it: running, paused, shut down; and what is told of its changes.
 *
 * A paused machine has a run whose thread sleeps in pause_here() (run.c): the virtual clock stands still, calls and back
 * ends are answered, no instruction of the guest runs. Listeners hear of each change on the VM's thread.
 */
#include <x86intrin.h>

#include "monitor/machine.h"

void control_tell(struct machine *m, const struct novt_event *ev)
{
    for (struct novt_listener *l = m->listeners, *next; l; l = next) {
        next = l->next;
        l->fn(l->opaque, ev);
    }
}

static void tell(struct machine *m, enum novt_event_kind kind, bool guest, int code)
{
    control_tell(m, &(struct novt_event){.kind = kind, .guest = guest, .code = code});
}

/* ---- listeners ---- */

struct listen_args {
    struct machine *m;
    struct novt_listener *listener;
};

static void listen_here(void *opaque)
{
    struct listen_args *a = opaque;

    a->listener->next = a->m->listeners;
    a->m->listeners = a->listener;
}

static void unlisten_here(void *opaque)
{
    struct listen_args *a = opaque;

    for (struct novt_listener **at = &a->m->listeners; *at; at = &(*at)->next)
        if (*at == a->listener) {
            *at = a->listener->next;
            return;
        }
}

void novt_vm_listen(struct novt_vm *vm, struct novt_listener *listener)
{
    struct listen_args a = {machine_of(vm), listener};

    novt_vm_call(vm, listen_here, &a);
}

void novt_vm_unlisten(struct novt_vm *vm, struct novt_listener *listener)
{
    struct listen_args a = {machine_of(vm), listener};

    novt_vm_call(vm, unlisten_here, &a);
}

/* ---- pause and resume ---- */

struct pause_args {
    struct machine *m;
    enum novt_status why;
    int rc;
};

void control_pause(struct machine *m, enum novt_status why)
{
    if (m->vm.paused) {
        if (m->status != NOVT_SHUT_DOWN) /* only a reset leads out of that */
            m->status = why;
        return;
    }
    m->status = why;
    m->vm.paused = 1;
    m->vm.cpu.kick = 1;
    clk_pause(pc_clk(m->vm.pc));
    m->paused_tsc = __rdtsc();
    tell(m, NOVT_EVENT_STOP, false, 0);
}

static void pause_call(void *opaque)
{
    struct pause_args *a = opaque;

    control_pause(a->m, a->why);
}

void novt_vm_pause(struct novt_vm *vm, enum novt_status why)
{
    struct pause_args a = {machine_of(vm), why == NOVT_RUNNING ? NOVT_PAUSED : why, 0};

    novt_vm_call(vm, pause_call, &a);
}

static void resume_call(void *opaque)
{
    struct pause_args *a = opaque;
    struct machine *m = a->m;

    if (m->status == NOVT_SHUT_DOWN) {
        a->rc = -EPERM;
        return;
    }
    if (!m->vm.paused)
        return;
    m->status = NOVT_RUNNING;
    m->vm.paused = 0;
    m->vm.cpu.kick = 1;
    clk_resume(pc_clk(m->vm.pc));
    m->vm.cpu.tsc_offset -= __rdtsc() - m->paused_tsc;
    disks_retry(m);
    tell(m, NOVT_EVENT_RESUME, false, 0);
}

int novt_vm_resume(struct novt_vm *vm)
{
    struct pause_args a = {machine_of(vm), NOVT_RUNNING, 0};

    novt_vm_call(vm, resume_call, &a);
    return a.rc;
}

enum novt_status novt_vm_status(const struct novt_vm *vm)
{
    return __atomic_load_n(&((const struct machine *)vm)->status, __ATOMIC_RELAXED);
}

/* ---- reset and power ---- */

void novt_vm_system_reset(struct novt_vm *vm)
{
    __atomic_store_n(&machine_of(vm)->host_reset, 1, __ATOMIC_SEQ_CST);
    mon_stop(vm, STOP_RESET, 0);
}

static void powerdown_call(void *opaque)
{
    struct machine *m = opaque;

    tell(m, NOVT_EVENT_POWERDOWN, false, 0);
    pc_power_button(m->vm.pc);
}

void novt_vm_powerdown(struct novt_vm *vm)
{
    novt_vm_call(vm, powerdown_call, machine_of(vm));
}

bool control_goes_on(struct machine *m, int why)
{
    bool host = __atomic_exchange_n(&m->host_reset, 0, __ATOMIC_SEQ_CST) != 0;

    switch (why) {
    case STOP_RESET:
    case STOP_TRIPLE_FAULT:
        if (m->config.no_reboot && !m->config.no_shutdown)
            return false;
        if (m->config.no_reboot) { /* the guest's end, which -no-shutdown keeps */
            tell(m, NOVT_EVENT_SHUTDOWN, !host, 0);
            control_pause(m, NOVT_SHUT_DOWN);
            return true;
        }
        machine_reset(m);
        m->paused_tsc = __rdtsc(); /* the TSC starts at 0 when it goes on */
        if (m->status == NOVT_SHUT_DOWN)
            m->status = NOVT_PAUSED;
        tell(m, NOVT_EVENT_RESET, !host, 0);
        return true;
    case STOP_POWEROFF:
        if (!m->config.no_shutdown)
            return false;
        tell(m, NOVT_EVENT_SHUTDOWN, true, 0);
        control_pause(m, NOVT_SHUT_DOWN);
        return true;
    default: return false;
    }
}

void control_ended(struct machine *m, const struct novt_outcome *out)
{
    bool guest = out->why != NOVT_STOPPED && out->why != NOVT_FAILED;

    if (out->why != NOVT_DEBUG_EXIT)
        tell(m, NOVT_EVENT_SHUTDOWN, guest, out->why == NOVT_STOPPED ? out->code : 0);
}
