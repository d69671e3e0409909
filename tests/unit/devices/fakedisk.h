/*
 * fakedisk.h - an image in memory behind struct disk_back, whose requests end when the test says so.
 */
#ifndef NOVT_TESTS_FAKEDISK_H
#define NOVT_TESTS_FAKEDISK_H

#include <stdlib.h>
#include <string.h>

#include "devices/disk.h"

#define FAKE_QUEUE 8u

struct fake_disk {
    u8 *data;
    struct disk_geometry geometry;
    struct disk_request *queue[FAKE_QUEUE];
    unsigned queued, submitted, flushes, ejects;
    bool tray_open;
    u64 bad_sector; /* reading or writing it gives err; bad_err 0: none */
    int bad_err;
};

static inline void fake_geometry(void *opaque, struct disk_geometry *g)
{
    *g = ((struct fake_disk *)opaque)->geometry;
}

static inline void fake_submit(void *opaque, struct disk_request *req)
{
    struct fake_disk *f = opaque;
    f->submitted++;
    if (f->queued == FAKE_QUEUE)
        abort(); /* one request a drive is all a controller here has in flight */
    f->queue[f->queued++] = req;
}

static inline int fake_move(struct fake_disk *f, struct disk_request *r)
{
    if (r->op == DISK_FLUSH) {
        f->flushes++;
        return 0;
    }
    if (!f->geometry.sectors)
        return -ENOMEDIUM;
    if (!r->sectors || (r->sectors > DISK_REQUEST_SECTORS && r->op != DISK_DISCARD))
        abort();
    if (r->sector >= f->geometry.sectors || r->sectors > f->geometry.sectors - r->sector)
        return -ERANGE;
    if (f->bad_err && f->bad_sector >= r->sector && f->bad_sector < r->sector + r->sectors)
        return f->bad_err;
    if (r->op != DISK_READ && f->geometry.read_only)
        return -EROFS;
    if (r->op == DISK_DISCARD) {
        memset(f->data + r->sector * DISK_SECTOR_BYTES, 0, (size_t)r->sectors * DISK_SECTOR_BYTES);
        return 0;
    }
    u8 *at = f->data + r->sector * DISK_SECTOR_BYTES;
    if (r->op == DISK_READ)
        memcpy(r->buf, at, (size_t)r->sectors * DISK_SECTOR_BYTES);
    else
        memcpy(at, r->buf, (size_t)r->sectors * DISK_SECTOR_BYTES);
    return 0;
}

/* One request comes to its end; false if there was none. */
static inline bool fake_step(struct fake_disk *f)
{
    if (!f->queued)
        return false;
    struct disk_request *r = f->queue[0];
    memmove(f->queue, f->queue + 1, --f->queued * sizeof(f->queue[0]));
    r->done(r->opaque, r, fake_move(f, r));
    return true;
}

/* All of them, and what they bring on. */
static inline void fake_run(struct fake_disk *f)
{
    while (fake_step(f))
        ;
}

static inline void fake_drain(void *opaque)
{
    fake_run(opaque);
}

static inline void fake_eject(void *opaque, bool open)
{
    struct fake_disk *f = opaque;
    f->ejects++;
    f->tray_open = open;
}

/* Sector n begins with its number. */
static inline struct fake_disk *fake_new(u64 sectors)
{
    struct fake_disk *f = calloc(1, sizeof(*f));
    f->data = calloc(sectors ? sectors : 1, DISK_SECTOR_BYTES);
    f->geometry.sectors = sectors;
    for (u64 n = 0; n < sectors; n++) {
        u32 mark = (u32)n;
        memcpy(f->data + n * DISK_SECTOR_BYTES, &mark, sizeof(mark));
        f->data[n * DISK_SECTOR_BYTES + 511] = (u8)(n * 7 + 3);
    }
    return f;
}

static inline void fake_free(struct fake_disk *f)
{
    free(f->data);
    free(f);
}

static inline struct disk_back fake_back(struct fake_disk *f)
{
    return (struct disk_back){.geometry = fake_geometry,
                              .submit = fake_submit,
                              .drain = fake_drain,
                              .eject = fake_eject,
                              .opaque = f};
}

#endif
