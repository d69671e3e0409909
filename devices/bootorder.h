/*
 * bootorder.h - the list of what the firmware tries to boot, in fw_cfg's "bootorder" file.
 *
 * A device is named by its Open Firmware path, one a line, the first line first; "HALT" as the last line keeps SeaBIOS from trying what
 * is not listed.
 */
#ifndef NOVT_DEVICES_BOOTORDER_H
#define NOVT_DEVICES_BOOTORDER_H

#include "base.h"

#define BOOTORDER_ENTRIES 24
#define BOOTORDER_PATH_BYTES 64

struct bootorder {
    struct {
        unsigned index;
        char path[BOOTORDER_PATH_BYTES];
    } entry[BOOTORDER_ENTRIES];
    unsigned n;
    char text[BOOTORDER_ENTRIES * BOOTORDER_PATH_BYTES + 8];
};

/* index 0 is no place in the list: nothing happens. -ENOSPC, -EEXIST if the index is taken, -EINVAL if the path is too long. */
int bootorder_add(struct bootorder *order, unsigned index, const char *fmt, ...) PRINTF_LIKE(3, 4) MUST_CHECK;
/* Writes text[]; returns its length with the final NUL, 0 if the list is empty and not strict. */
size_t bootorder_finish(struct bootorder *order, bool strict);

#endif
