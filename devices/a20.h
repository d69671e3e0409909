/*
 * a20.h - the A20 gate, which the keyboard controller and port 92h both drive; the last write wins.
 */
#ifndef NOVT_DEVICES_A20_H
#define NOVT_DEVICES_A20_H

#include "base.h"

struct a20 {
    bool on;
    void (*changed)(void *opaque, bool enabled);
    void *opaque;
};

static inline void a20_set(struct a20 *a20, bool on)
{
    if (on == a20->on)
        return;
    a20->on = on;
    if (a20->changed)
        a20->changed(a20->opaque, on);
}

#endif
