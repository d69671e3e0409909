/*
 * test_wake.c - signals from other threads reach a device's call once, on the thread that polls.
 */
#include <criterion/criterion.h>
#include <pthread.h>

#include "devices/wake.h"

struct seen {
    int kicks, calls;
    struct wake *drop; /* to remove while it is called */
};

static void kick(void *opaque)
{
    __atomic_fetch_add(&((struct seen *)opaque)->kicks, 1, __ATOMIC_SEQ_CST);
}

static void call(void *opaque)
{
    struct seen *seen = opaque;

    seen->calls++;
    if (seen->drop)
        wake_remove(seen->drop);
}

Test(wake, several_signals_are_one_call)
{
    struct seen seen = {0};
    struct wake_list list = {.kick = kick, .opaque = &seen};
    struct wake a, b;

    wake_add(&list, &a, call, &seen);
    wake_add(&list, &b, call, &seen);
    wake_run(&list);
    cr_expect_eq(seen.calls, 0);
    wake_signal(&a);
    wake_signal(&a);
    cr_expect_eq(seen.kicks, 1, "the second finds the first still waiting");
    wake_run(&list);
    wake_run(&list);
    cr_expect_eq(seen.calls, 1);
    wake_signal(&a);
    wake_signal(&b);
    wake_run(&list);
    cr_expect_eq(seen.calls, 3);
}

Test(wake, a_call_may_remove_its_own)
{
    struct seen seen = {0};
    struct wake_list list = {.kick = kick, .opaque = &seen};
    struct wake a, b, never = {0};

    wake_add(&list, &a, call, &seen);
    wake_add(&list, &b, call, &seen);
    seen.drop = &b;
    wake_signal(&b);
    wake_signal(&a);
    wake_run(&list);
    cr_expect_eq(seen.calls, 2);
    cr_expect(list.head == &a && !a.next);
    wake_remove(&never);
}

static void *signal_many(void *opaque)
{
    for (int i = 0; i < 100000; i++)
        wake_signal(opaque);
    return NULL;
}

Test(wake, the_last_signal_is_never_lost)
{
    struct seen seen = {0};
    struct wake_list list = {.kick = kick, .opaque = &seen};
    struct wake a;
    pthread_t thread;

    wake_add(&list, &a, call, &seen);
    cr_assert_eq(pthread_create(&thread, NULL, signal_many, &a), 0);
    for (int i = 0; i < 1000; i++)
        wake_run(&list);
    pthread_join(thread, NULL);
    int before = seen.calls;

    wake_signal(&a);
    wake_run(&list);
    cr_expect_eq(seen.calls, before + 1);
    wake_run(&list);
    cr_expect_eq(seen.calls, before + 1);
}
