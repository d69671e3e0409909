/*
 * test_call.c - control from other threads: calls, pause and resume, resets, events, and what they do to a halted or unborn run.
 *
 * The guests are BIOS images made here: one counts in memory for ever, one halts with interrupts off, one powers off. What would
 * break them: a call answered in the middle of an instruction or never, a pause through which the guest or the clock goes on.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <novt.h>

#define BIOS_BYTES 65536

/* xor ax, ax; mov ds, ax; l: inc dword [0x500]; jmp l: the counter is at 0x500 */
static const uint8_t count[] = {0x31, 0xc0, 0x8e, 0xd8, 0x66, 0xff, 0x06, 0x00, 0x05, 0xeb, 0xf9};
static const uint8_t dead[] = {0xfa, 0xf4, 0xeb, 0xfd};                          /* cli; hlt */
static const uint8_t reset[] = {0xba, 0xf9, 0x0c, 0xb0, 0x06, 0xee, 0xeb, 0xfe}; /* out 0cf9h, 6 */
/* PM1a control of the PIIX4 at its reset place does not exist: set the base first (PCI config 0:1.3, 40h and 80h), then S5 */
static const uint8_t off[] = {
    0xba, 0xf8, 0x0c, 0x66, 0xb8, 0x40, 0x0b, 0x00, 0x80, 0x66, 0xef,       /* cf8 = 80000b40h */
    0xba, 0xfc, 0x0c, 0x66, 0xb8, 0x01, 0xb0, 0x00, 0x00, 0x66, 0xef,       /* cfc = b001h */
    0xba, 0xf8, 0x0c, 0x66, 0xb8, 0x80, 0x0b, 0x00, 0x80, 0x66, 0xef,       /* cf8 = 80000b80h */
    0xba, 0xfc, 0x0c, 0xb0, 0x01, 0xee, 0xba, 0x04, 0xb0, 0xb8, 0x00, 0x20, /* enabled; port b004h = 2000h */
    0xef, 0xeb, 0xfe};

static void make_bios(char *path, const void *code, size_t n)
{
    static const uint8_t far_jump[] = {0xea, 0x00, 0x00, 0x00, 0xf0};
    uint8_t *rom = calloc(1, BIOS_BYTES);
    int fd = mkstemp(path);

    cr_assert(rom && fd >= 0);
    memcpy(rom, code, n);
    memcpy(rom + BIOS_BYTES - 16, far_jump, sizeof(far_jump));
    cr_assert_eq(write(fd, rom, BIOS_BYTES), BIOS_BYTES);
    close(fd);
    free(rom);
}

static struct novt_vm *machine(const void *code, size_t n, struct novt_config *c)
{
    char path[] = "/tmp/novt-call-XXXXXX";
    struct novt_vm *vm = NULL;
    struct novt_error err;

    make_bios(path, code, n);
    c->bios = path;
    c->vgabios = "";
    c->ram_bytes = 2 << 20;
    cr_assert_eq(novt_vm_new(&vm, c, &err), 0, "%s", err.cause);
    unlink(path);
    return vm;
}

struct runner {
    struct novt_vm *vm;
    pthread_t thread;
    struct novt_outcome out;
};

static void *run(void *opaque)
{
    struct runner *r = opaque;

    cr_assert_eq(novt_vm_run(r->vm, &r->out, NULL), 0);
    return NULL;
}

static void start(struct runner *r, struct novt_vm *vm)
{
    r->vm = vm;
    cr_assert_eq(pthread_create(&r->thread, NULL, run, r), 0);
}

static void stop(struct runner *r)
{
    novt_vm_stop(r->vm, 7);
    pthread_join(r->thread, NULL);
    novt_vm_free(r->vm);
}

struct look {
    struct novt_vm *vm;
    uint32_t counter, eip;
    pthread_t on;
    unsigned calls;
};

static void look(void *opaque)
{
    struct look *l = opaque;
    struct novt_regs regs;

    novt_vm_get_regs(l->vm, &regs);
    l->eip = regs.eip;
    l->on = pthread_self();
    l->calls++;
    cr_assert_eq(novt_vm_read_memory(l->vm, 0x500, &l->counter, 4), 0);
}

static void nested(void *opaque)
{
    struct look *l = opaque;

    novt_vm_call(l->vm, look, l);
    novt_vm_call(l->vm, look, l);
}

Test(call, while_it_runs_and_without_a_run)
{
    struct novt_config c = {0};
    struct runner r;
    struct look l = {.vm = machine(count, sizeof(count), &c)};
    uint32_t before = 0;

    novt_vm_call(l.vm, nested, &l);
    cr_expect(pthread_equal(l.on, pthread_self()) && l.calls == 2 && l.eip == 0xfff0);
    start(&r, l.vm);
    for (unsigned i = 0; i < 5000 && l.eip == 0xfff0; i++) {
        usleep(1000);
        novt_vm_call(l.vm, nested, &l);
    }
    for (unsigned i = 0; i < 2000; i++) {
        novt_vm_call(l.vm, nested, &l);
        cr_assert(pthread_equal(l.on, r.thread));
        cr_assert(l.eip <= 9, "not between instructions: %x", l.eip);
        cr_assert(l.counter >= before);
        before = l.counter;
    }
    stop(&r);
    cr_expect(r.out.why == NOVT_STOPPED && r.out.code == 7 && before > 0);
}

static void *many(void *opaque)
{
    struct look l = {.vm = opaque};

    for (unsigned i = 0; i < 1000; i++)
        novt_vm_call(l.vm, i & 1 ? look : nested, &l);
    cr_assert_eq(l.calls, 1500);
    return NULL;
}

Test(call, many_threads_while_runs_begin_and_end)
{
    struct novt_config c = {0};
    struct novt_vm *vm = machine(count, sizeof(count), &c);
    struct novt_outcome out;
    pthread_t t[4];

    for (unsigned i = 0; i < 4; i++)
        cr_assert_eq(pthread_create(&t[i], NULL, many, vm), 0);
    for (unsigned i = 0; i < 200; i++) {
        novt_vm_stop(vm, 1); /* a run that ends at once */
        cr_assert_eq(novt_vm_run(vm, &out, NULL), 0);
    }
    struct runner r;
    start(&r, vm);
    for (unsigned i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    stop(&r);
}

static void jump_to_dead(void *opaque)
{
    struct novt_regs regs;

    novt_vm_get_regs(opaque, &regs);
    regs.eip = 0x100;
    novt_vm_set_regs(opaque, &regs);
}

Test(call, may_put_the_cpu_elsewhere, .timeout = 30)
{
    uint8_t both[0x104] = {0};
    struct novt_config c = {0};
    struct runner r;
    struct novt_vm *vm;

    memcpy(both, count, sizeof(count));
    memcpy(both + 0x100, dead, sizeof(dead));
    vm = machine(both, sizeof(both), &c);
    start(&r, vm);
    usleep(20000);
    novt_vm_call(vm, jump_to_dead, vm);
    pthread_join(r.thread, NULL);
    cr_expect_eq(r.out.why, NOVT_DEAD);
    novt_vm_free(vm);
}

struct heard {
    unsigned n[NOVT_EVENT_SHUTDOWN + 1];
    bool guest;
    int code;
};

static void hear(void *opaque, const struct novt_event *ev)
{
    struct heard *h = opaque;

    h->n[ev->kind]++;
    h->guest = ev->guest;
    h->code = ev->code;
}

Test(status, pause_and_resume)
{
    struct novt_config c = {0};
    struct heard h = {0};
    struct novt_listener l = {hear, &h, NULL};
    struct runner r;
    struct look a = {.vm = machine(count, sizeof(count), &c)}, b = a;

    novt_vm_listen(a.vm, &l);
    start(&r, a.vm);
    usleep(20000);
    cr_expect_eq(novt_vm_status(a.vm), NOVT_RUNNING);
    novt_vm_pause(a.vm, NOVT_PAUSED);
    cr_expect_eq(novt_vm_status(a.vm), NOVT_PAUSED);
    novt_vm_call(a.vm, look, &a);
    usleep(50000);
    novt_vm_call(a.vm, look, &b);
    cr_expect(a.counter == b.counter && a.eip == b.eip, "the guest went on: %u %u", a.counter, b.counter);
    novt_vm_pause(a.vm, NOVT_DEBUGGED);
    cr_expect_eq(novt_vm_status(a.vm), NOVT_DEBUGGED);
    cr_expect(h.n[NOVT_EVENT_STOP] == 1 && h.n[NOVT_EVENT_RESUME] == 0);
    cr_expect_eq(novt_vm_resume(a.vm), 0);
    cr_expect_eq(novt_vm_resume(a.vm), 0);
    usleep(50000);
    novt_vm_call(a.vm, look, &b);
    cr_expect(b.counter != a.counter, "does not go on");
    cr_expect(h.n[NOVT_EVENT_STOP] == 1 && h.n[NOVT_EVENT_RESUME] == 1);
    novt_vm_pause(a.vm, NOVT_PAUSED);
    novt_vm_system_reset(a.vm); /* stays paused */
    for (unsigned i = 0; i < 1000 && !h.n[NOVT_EVENT_RESET]; i++)
        usleep(1000);
    cr_expect(h.n[NOVT_EVENT_RESET] == 1 && !h.guest);
    novt_vm_call(a.vm, look, &b);
    cr_expect(b.eip == 0xfff0 && novt_vm_status(a.vm) == NOVT_PAUSED);
    novt_vm_powerdown(a.vm);
    cr_expect_eq(h.n[NOVT_EVENT_POWERDOWN], 1);
    stop(&r); /* out of a pause, too */
    cr_expect(h.n[NOVT_EVENT_SHUTDOWN] == 1 && !h.guest && h.code == 7);
}

Test(status, starts_paused)
{
    struct novt_config c = {.start_paused = true};
    struct runner r;
    struct look l = {.vm = machine(count, sizeof(count), &c)};

    cr_expect_eq(novt_vm_status(l.vm), NOVT_PRELAUNCH);
    start(&r, l.vm);
    usleep(30000);
    novt_vm_call(l.vm, look, &l);
    cr_expect_eq(l.eip, 0xfff0);
    cr_expect_eq(novt_vm_resume(l.vm), 0);
    for (unsigned i = 0; i < 1000 && l.eip == 0xfff0; i++) {
        usleep(1000);
        novt_vm_call(l.vm, look, &l);
    }
    cr_expect(l.eip < 0x100);
    stop(&r);
}

Test(status, halted_for_good_but_somebody_cares)
{
    struct novt_config c = {.patient = true};
    struct runner r;
    struct look l = {.vm = machine(dead, sizeof(dead), &c)};

    start(&r, l.vm);
    usleep(30000);
    novt_vm_call(l.vm, look, &l);
    cr_expect_eq(l.eip, 2);
    novt_vm_pause(l.vm, NOVT_PAUSED); /* and HLT goes on after it */
    cr_expect_eq(novt_vm_resume(l.vm), 0);
    usleep(30000);
    novt_vm_call(l.vm, look, &l);
    cr_expect_eq(l.eip, 2);
    stop(&r);
    cr_expect_eq(r.out.why, NOVT_STOPPED);
}

Test(status, power_off_without_shutdown)
{
    struct novt_config c = {.no_shutdown = true};
    struct heard h = {0};
    struct novt_listener l = {hear, &h, NULL};
    struct runner r;
    struct novt_vm *vm = machine(off, sizeof(off), &c);

    novt_vm_listen(vm, &l);
    start(&r, vm);
    for (unsigned i = 0; i < 5000 && novt_vm_status(vm) != NOVT_SHUT_DOWN; i++)
        usleep(1000);
    cr_expect_eq(novt_vm_status(vm), NOVT_SHUT_DOWN);
    cr_expect(h.n[NOVT_EVENT_SHUTDOWN] == 1);
    cr_expect_eq(novt_vm_resume(vm), -EPERM);
    novt_vm_system_reset(vm);
    for (unsigned i = 0; i < 1000 && novt_vm_status(vm) != NOVT_PAUSED; i++)
        usleep(1000);
    cr_expect_eq(novt_vm_resume(vm), 0); /* and powers off again */
    for (unsigned i = 0; i < 5000 && novt_vm_status(vm) != NOVT_SHUT_DOWN; i++)
        usleep(1000);
    cr_expect(h.n[NOVT_EVENT_SHUTDOWN] == 2, "%u", h.n[NOVT_EVENT_SHUTDOWN]);
    novt_vm_unlisten(vm, &l);
    stop(&r);
    cr_expect_eq(h.n[NOVT_EVENT_SHUTDOWN], 2);
}

Test(status, resets_are_told)
{
    struct novt_config c = {0};
    struct heard h = {0};
    struct novt_listener l = {hear, &h, NULL};
    struct runner r;
    struct novt_vm *vm = machine(reset, sizeof(reset), &c);

    novt_vm_listen(vm, &l);
    start(&r, vm);
    usleep(100000);
    novt_vm_pause(vm, NOVT_PAUSED);
    cr_expect(h.n[NOVT_EVENT_RESET] > 2);
    stop(&r);
}
