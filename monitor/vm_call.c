/*
 * vm_call.c - any thread has a function run on the VM's thread, between two instructions of the guest.
 *
 * Everything of a VM belongs to the thread that runs it. A caller on another thread queues a request on its own stack, kicks
 * and waits; the VM's thread answers in look_around(), that is at an instruction boundary, in HLT's sleep or while paused, and
 * once more when its run ends. Without a run the caller takes the machine for the time of its call, and a run that begins
 * meanwhile waits for it. The lock is never held while a function runs, so it may make calls itself.
 */
#include "monitor/machine.h"

struct call_request {
    void (*fn)(void *opaque);
    void *opaque;
    struct call_request *next;
    bool done;
};

void call_init(struct machine *m)
{
    pthread_mutex_init(&m->calls.lock, NULL);
    pthread_cond_init(&m->calls.changed, NULL);
}

void call_fini(struct machine *m)
{
    pthread_cond_destroy(&m->calls.changed);
    pthread_mutex_destroy(&m->calls.lock);
}

/* On the VM's thread, locked; the lock is released around each function. */
static void answer_all(struct call_desk *d)
{
    struct call_request *r;

    while ((r = d->first)) {
        __atomic_store_n(&d->first, r->next, __ATOMIC_RELEASE);
        if (!d->first)
            d->last = NULL;
        pthread_mutex_unlock(&d->lock);
        r->fn(r->opaque);
        pthread_mutex_lock(&d->lock);
        r->done = true; /* its owner may be gone from here on */
        pthread_cond_broadcast(&d->changed);
    }
}

void call_poll(struct machine *m)
{
    if (!__atomic_load_n(&m->calls.first, __ATOMIC_ACQUIRE))
        return;
    bt_fpu_save(&m->vm.cpu); /* functions may look at it, and find the host's rounding and a clean x87 */
    pthread_mutex_lock(&m->calls.lock);
    answer_all(&m->calls);
    pthread_mutex_unlock(&m->calls.lock);
}

void mon_calls(struct novt_vm *vm)
{
    call_poll(machine_of(vm));
}

static bool owned_by_me(const struct call_desk *d)
{
    return d->owned && pthread_equal(d->owner, pthread_self());
}

/* Waits until nobody has the machine. Locked. */
static void take(struct call_desk *d, bool runs)
{
    while (d->owned)
        pthread_cond_wait(&d->changed, &d->lock);
    d->owned = true;
    d->runs = runs;
    d->owner = pthread_self();
}

static void give_back(struct call_desk *d)
{
    d->owned = d->runs = false;
    pthread_cond_broadcast(&d->changed);
}

void call_run_begin(struct machine *m)
{
    pthread_mutex_lock(&m->calls.lock);
    take(&m->calls, true);
    pthread_mutex_unlock(&m->calls.lock);
}

void call_run_end(struct machine *m)
{
    pthread_mutex_lock(&m->calls.lock);
    answer_all(&m->calls);
    give_back(&m->calls);
    pthread_mutex_unlock(&m->calls.lock);
}

void novt_vm_call(struct novt_vm *vm, void (*fn)(void *opaque), void *opaque)
{
    struct call_desk *d = &machine_of(vm)->calls;
    struct call_request r = {.fn = fn, .opaque = opaque};

    pthread_mutex_lock(&d->lock);
    if (owned_by_me(d)) {
        pthread_mutex_unlock(&d->lock);
        fn(opaque);
        return;
    }
    while (d->owned && !d->runs) /* another's call */
        pthread_cond_wait(&d->changed, &d->lock);
    if (d->owned) {
        if (d->last)
            d->last->next = &r;
        else
            __atomic_store_n(&d->first, &r, __ATOMIC_RELEASE);
        d->last = &r;
        bt_kick(vm->bt);
        while (!r.done)
            pthread_cond_wait(&d->changed, &d->lock);
    } else {
        take(d, false);
        pthread_mutex_unlock(&d->lock);
        fn(opaque);
        pthread_mutex_lock(&d->lock);
        give_back(d);
    }
    pthread_mutex_unlock(&d->lock);
}
