/*
 * vm_run.c - running a machine: the public run, stop and input calls around mon_run().
 *
 * The run loop proper (run.c) stops for every reason alike; here a reset starts the machine anew unless
 * the caller wants to hear of it, and every other reason becomes an outcome. Characters from other threads
 * wait in a small locked queue until the VM's thread hands them to the UART.
 */
#include "monitor/machine.h"

#include <string.h>
#include <unistd.h>

/* ---- input ---- */

static u32 queue_put(struct input_queue *q, const u8 *buf, size_t len)
{
    u32 n = 0;

    while (n < len && q->count < INPUT_QUEUE_BYTES) {
        q->buf[(q->first + q->count) % INPUT_QUEUE_BYTES] = buf[n++];
        q->count++;
    }
    return n;
}

size_t novt_vm_serial_input(struct novt_vm *vm, unsigned n, const uint8_t *buf, size_t len)
{
    struct machine *m = machine_of(vm);
    u32 taken;

    if (n >= PC_SERIALS || !m->config.serial[n].present)
        return len;
    pthread_mutex_lock(&m->input[n].lock);
    taken = queue_put(&m->input[n], buf, len);
    if (taken < len)
        m->input[n].starved = true;
    pthread_mutex_unlock(&m->input[n].lock);
    bt_kick(vm->bt);
    return taken;
}

/* Hands over what the UART has room for. True if a sender that had to wait should hear of room. */
static bool feed_uart(struct input_queue *q, const struct chr_front *front)
{
    bool tell;

    pthread_mutex_lock(&q->lock);
    while (q->count) {
        u32 run = INPUT_QUEUE_BYTES - q->first;
        size_t took = chr_receive(front, q->buf + q->first, q->count < run ? q->count : run);

        if (!took)
            break;
        q->first = (q->first + (u32)took) % INPUT_QUEUE_BYTES;
        q->count -= (u32)took;
    }
    tell = q->starved && q->count <= INPUT_QUEUE_BYTES / 2;
    if (tell)
        q->starved = false;
    pthread_mutex_unlock(&q->lock);
    return tell;
}

void mon_poll(struct novt_vm *vm)
{
    struct machine *m = machine_of(vm);

    if (UNLIKELY(m->nmi_button) && __atomic_exchange_n(&m->nmi_button, 0, __ATOMIC_SEQ_CST))
        pc_nmi_button(vm->pc);
    for (unsigned n = 0; n < PC_SERIALS; n++) {
        const struct chr_front *front = m->config.serial[n].present ? pc_serial(vm->pc, n) : NULL;

        if (front && feed_uart(&m->input[n], front) && m->config.serial[n].room)
            m->config.serial[n].room(m->config.serial[n].opaque);
    }
}

/* ---- stopping ---- */

void novt_vm_stop(struct novt_vm *vm, int code)
{
    struct machine *m = machine_of(vm);

    m->quit_code = code;
    __atomic_store_n(&m->quit, 1, __ATOMIC_SEQ_CST);
    mon_stop(vm, STOP_QUIT, code);
}

void novt_vm_nmi(struct novt_vm *vm)
{
    __atomic_store_n(&machine_of(vm)->nmi_button, 1, __ATOMIC_SEQ_CST);
    bt_kick(vm->bt);
}

void novt_vm_kick(struct novt_vm *vm)
{
    bt_kick(vm->bt);
}

/* ---- running ---- */

static void panic_dump(void *opaque)
{
    struct machine *m = opaque;

    mon_dump_cpu(&m->vm, STDERR_FILENO);
    if (m->config.panic)
        m->config.panic(m->config.panic_opaque);
}

static void fill_outcome(struct machine *m, int why, int code, struct novt_outcome *out)
{
    static const u8 names[] = {
        [STOP_POWEROFF] = NOVT_POWEROFF,
        [STOP_RESET] = NOVT_RESET,
        [STOP_DEBUG_EXIT] = NOVT_DEBUG_EXIT,
        [STOP_TRIPLE_FAULT] = NOVT_TRIPLE_FAULT,
        [STOP_DEAD] = NOVT_DEAD,
        [STOP_QUIT] = NOVT_STOPPED,
        [STOP_ERROR] = NOVT_FAILED,
    };

    out->why = why >= 0 && (size_t)why < ARRAY_SIZE(names) ? (enum novt_why)names[why] : NOVT_STOPPED;
    out->code = code;
    out->cs = m->vm.cpu.seg[SEG_CS].sel;
    out->eip = m->vm.cpu.eip;
    if (out->why == NOVT_STOPPED && m->no_boot && !m->quit) {
        out->why = NOVT_NO_BOOT;
        m->no_boot = false;
    }
}

int novt_vm_run(struct novt_vm *vm, struct novt_outcome *out, struct novt_error *err)
{
    struct machine *m = machine_of(vm);
    int why = STOP_QUIT, code = 0;
    int rc = bt_thread_init(vm->bt);

    if (rc)
        return mon_fail(err, NOVT_ERR_HOST, rc, "novt doctor says what the host lacks",
                        "signal handling cannot be set up: %s", strerror(-rc));
    base_panic_hook_set(panic_dump, m);
    call_run_begin(m);
    while (!__atomic_load_n(&m->quit, __ATOMIC_SEQ_CST)) {
        why = mon_run(vm);
        code = vm->stop_code;
        vm->stop = STOP_NONE;
        if (!control_goes_on(m, why))
            break;
    }
    base_panic_hook_set(NULL, NULL);
    trace_flush(m);
    if (m->quit && (why == STOP_QUIT || why == STOP_RESET || why == STOP_TRIPLE_FAULT)) {
        why = STOP_QUIT;
        code = m->quit_code;
    }
    fill_outcome(m, why, code, out);
    control_ended(m, out);
    bt_thread_fini(vm->bt);
    m->quit = 0;
    vm->stop = STOP_NONE;
    call_run_end(m);
    return 0;
}
