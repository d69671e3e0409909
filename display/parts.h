/*
 * parts.h - what the displays share behind display.h: the thread's frame, and how keys are named.
 *
 * Each kind is a table of four functions; display.c calls them.
 */
#ifndef NOVT_DISPLAY_PARTS_H
#define NOVT_DISPLAY_PARTS_H

#include "display/display.h"

struct display_part {
    int (*open)(void **self, const struct display_spec *spec, const struct display_host *host,
                struct novt_error *err);
    int (*start)(void *self, struct novt_vm *vm, struct novt_error *err);
    void (*stop)(void *self); /* also when it was never started */
    void (*close)(void *self);
    void (*panic)(void *self); /* may be NULL */
    /* The process is about to be stopped by its user, and goes on: for what uses the terminal; may be NULL. */
    void (*suspend)(void *self);
    void (*resume)(void *self);
};

extern const struct display_part display_tui, display_sdl, display_vnc;

int display_fail(struct novt_error *err, enum novt_error_kind kind, int rc, const char *remedy,
                 const char *fmt, ...) PRINTF_LIKE(5, 6);

#define DISPLAY_BUSY_MS 20 /* between two looks at a screen that changes, or while somebody types */
#define DISPLAY_IDLE_MS 100

/* Look often while it pays. */
static inline int display_next_ms(int last_ms, bool busy)
{
    if (busy)
        return DISPLAY_BUSY_MS;
    return last_ms * 3 / 2 < DISPLAY_IDLE_MS ? last_ms * 3 / 2 : DISPLAY_IDLE_MS;
}

/* keysym.c: an X keysym's key on a US keyboard. NULL: none. *shift: 1 with Shift, 0 without, -1: as it is. */
const char *keysym_key(u32 keysym, int *shift);

#endif
