/*
 * wake.h - how a host thread gets the VM's thread to call a device.
 *
 * Devices run on the VM's thread alone. A back end that works on a thread of its own (a disk's queue, a
 * network) leaves its result where both see it under the back end's lock and calls wake_signal(); soon after,
 * at a boundary between two of the guest's instructions or out of HLT, the VM's thread calls fn. Signals that come
 * before fn ran are one call.
 */
#ifndef NOVT_DEVICES_WAKE_H
#define NOVT_DEVICES_WAKE_H

#include "base.h"

struct wake_list {
    struct wake *head;
    void (*kick)(
        void *
            opaque); /* makes the VM's thread call wake_run(); any thread, signal-safe; NULL: it looks by itself */
    void *opaque;
};

struct wake {
    void (*fn)(void *opaque); /* on the VM's thread */
    void *opaque;
    struct wake_list *list;
    struct wake *next;
    int signalled;
};

/* The VM's thread, or before it runs. The wake stays its owner's and must outlive its place in the list. */
void wake_add(struct wake_list *list, struct wake *wake, void (*fn)(void *opaque), void *opaque);
void wake_remove(
    struct wake
        *wake); /* one that was never added (all zero) is fine; no wake_signal() may be under way or follow */

void wake_signal(struct wake *wake);   /* any thread, signal-safe */
void wake_run(struct wake_list *list); /* the VM's thread: calls what was signalled */

#endif
