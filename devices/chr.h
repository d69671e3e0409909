/*
 * chr.h - characters between a front end (the guest's UART) and a back end (the host's terminal).
 *
 * Output: the chip calls the back end. Input: the host calls chr_receive() on the chip's front,
 * which takes no more than the chip has room for.
 */
#ifndef NOVT_DEVICES_CHR_H
#define NOVT_DEVICES_CHR_H

#include "base.h"

/* All callbacks optional. Without `write` output vanishes. */
struct chr_back {
    void (*write)(void *opaque, const u8 *buf, size_t len);
    bool (*ready)(void *opaque);   /* can write() take a byte now? absent = always */
    void (*drained)(void *opaque); /* the front has room for input again after being full */
    void *opaque;
};

struct chr_front {
    size_t (*room)(void *opaque);
    void (*receive)(void *opaque, const u8 *buf, size_t len);
    void *opaque;
};

/* Pushes up to len bytes of input into the chip; returns how many it took. */
static inline size_t chr_receive(const struct chr_front *front, const u8 *buf, size_t len)
{
    size_t room = front->room(front->opaque);
    if (len > room)
        len = room;
    if (len)
        front->receive(front->opaque, buf, len);
    return len;
}

#endif
