/*
 * wake.c - how a host thread gets the VM's thread to call a device; see wake.h.
 */
#include "devices/wake.h"

void wake_add(struct wake_list *list, struct wake *wake, void (*fn)(void *opaque), void *opaque)
{
    *wake = (struct wake){.fn = fn, .opaque = opaque, .list = list, .next = list->head};
    list->head = wake;
}

void wake_remove(struct wake *wake)
{
    if (!wake->list)
        return;
    for (struct wake **at = &wake->list->head; *at; at = &(*at)->next)
        if (*at == wake) {
            *at = wake->next;
            break;
        }
    wake->list = NULL;
}

void wake_signal(struct wake *wake)
{
    if (!__atomic_exchange_n(&wake->signalled, 1, __ATOMIC_SEQ_CST) && wake->list->kick)
        wake->list->kick(wake->list->opaque);
}

void wake_run(struct wake_list *list)
{
    struct wake *next;

    for (struct wake *at = list->head; at; at = next) {
        next = at->next; /* fn may remove its own */
        if (__atomic_load_n(&at->signalled, __ATOMIC_RELAXED) &&
            __atomic_exchange_n(&at->signalled, 0, __ATOMIC_SEQ_CST))
            at->fn(at->opaque);
    }
}
