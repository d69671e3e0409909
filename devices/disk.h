/*
 * disk.h - sectors between a controller (front end) and an image (back end).
 *
 * The front end fills a request and submits it; the back end works on a thread of its own and calls
 * done on the VM's thread, in any order among the requests in flight, never from within submit. A flush is done when everything that was
 * done before it was submitted is durable. Guest memory is no business of the back end: front ends move data by struct
 * dma_mem, on the VM's thread, because stores to guest memory concern the MMU and the code cache.
 */
#ifndef NOVT_DEVICES_DISK_H
#define NOVT_DEVICES_DISK_H

#include "base.h"

#define DISK_SECTOR_BYTES 512u
#define DISK_REQUEST_SECTORS 256u /* the most one request may hold: 128 KiB */

enum disk_op { DISK_READ, DISK_WRITE, DISK_FLUSH, DISK_DISCARD /* what is in these sectors matters no more; no buffer, any number */ };

/* The submitter's until submit, the back end's until done. */
struct disk_request {
    enum disk_op op;
    u64 sector; /* in units of DISK_SECTOR_BYTES; CD-ROMs count them too (4 a block) */
    u32 sectors;
    u8 *buf; /* sectors * DISK_SECTOR_BYTES, the submitter's; must live until done */
    /* err: 0; -ENOSPC (host disk full), -EIO, -EROFS, -ENOMEDIUM, -ERANGE (past the end: nothing was moved). */
    void (*done)(void *opaque, struct disk_request *req, int err);
    void *opaque;
    struct disk_request *next; /* the back end's, as err */
    int err;
};

/* What a drive holds at the moment. */
struct disk_geometry {
    u64 sectors; /* 0: no medium */
    bool read_only;
    u32 cylinders, heads, sectors_per_track; /* asked for on the command line; 0: the front end chooses */
};

struct disk_back {
    void (*geometry)(void *opaque, struct disk_geometry *geometry);
    void (*submit)(void *opaque, struct disk_request *req);
    /* Waits until no request is in flight; each has had its done called. For resets and snapshots. */
    void (*drain)(void *opaque);
    void (*eject)(void *opaque, bool open); /* the guest moves the tray; NULL: fixed */
    void *opaque;
};

/* The front end hands this out: the medium was changed or taken out from outside. On the VM's thread. */
struct disk_front {
    void (*media_changed)(void *opaque);
    /* Does the guest hold the tray? If so it is told that somebody wants the medium. NULL: it cannot. */
    bool (*locked)(void *opaque);
    void *opaque;
};

#endif
