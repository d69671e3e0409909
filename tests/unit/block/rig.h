/*
 * rig.h - a disk without a machine: requests are submitted and waited for, files are made in a directory of the test's own.
 */
#ifndef NOVT_TESTS_BLOCK_RIG_H
#define NOVT_TESTS_BLOCK_RIG_H

#include <criterion/criterion.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "block/block.h"

struct rig {
    char dir[64], path[128];
    struct blk_disk *disk;
    struct wake_list wakes;
    volatile int kicks;
};

static inline void rig_kick(void *opaque)
{
    __atomic_add_fetch(&((struct rig *)opaque)->kicks, 1, __ATOMIC_SEQ_CST);
}

/* An empty disk and a file of `bytes` bytes with a pattern, on a real file system (tmpfs has no O_DIRECT). */
static inline struct rig *rig_new(u64 bytes)
{
    struct rig *r = calloc(1, sizeof(*r));
    FILE *f;

    strcpy(r->dir, "/var/tmp/novt-unit-XXXXXX");
    cr_assert(mkdtemp(r->dir));
    snprintf(r->path, sizeof(r->path), "%s/disk", r->dir);
    f = fopen(r->path, "wb");
    for (u64 i = 0; i < bytes; i++)
        fputc((int)(i * 11 + i / 512) & 0xff, f);
    fclose(f);
    r->wakes = (struct wake_list){.kick = rig_kick, .opaque = r};
    cr_assert_eq(blk_new(&r->disk), 0);
    blk_attach(r->disk, &r->wakes);
    return r;
}

static inline void rig_free(struct rig *r)
{
    char command[128];

    blk_free(r->disk);
    snprintf(command, sizeof(command), "rm -rf %s", r->dir);
    cr_assert_eq(system(command), 0);
    free(r);
}

static inline int rig_insert(struct rig *r, struct blk_source source, struct blk_error *err)
{
    if (!source.path)
        source.path = r->path;
    return blk_insert(r->disk, &source, err);
}

static inline void rig_must_insert(struct rig *r, struct blk_source source)
{
    struct blk_error err;

    cr_assert_eq(rig_insert(r, source, &err), 0, "%s", err.cause);
}

struct rig_wait {
    bool over;
    int err;
};

static inline void rig_done(void *opaque, struct disk_request *req, int err)
{
    struct rig_wait *w = opaque;

    (void)req;
    w->over = true;
    w->err = err;
}

/* One request, waited for as the VM's thread does: by the kick and wake_run(). */
static inline int rig_do(struct rig *r, enum disk_op op, u64 sector, u32 sectors, void *buf)
{
    const struct disk_back *back = blk_back(r->disk);
    struct rig_wait w = {0};
    struct disk_request req = {
        .op = op, .sector = sector, .sectors = sectors, .buf = buf, .done = rig_done, .opaque = &w};

    back->submit(back->opaque, &req);
    cr_assert(!w.over, "done was called from within submit");
    for (unsigned i = 0; !w.over; i++) {
        cr_assert(i < 100000, "the request never ends");
        if (__atomic_exchange_n(&r->kicks, 0, __ATOMIC_SEQ_CST))
            wake_run(&r->wakes);
        else
            usleep(100);
    }
    return w.err;
}

static inline u32 rig_random(u64 *state)
{
    *state = *state * 6364136223846793005ull + 1442695040888963407ull;
    return (u32)(*state >> 33);
}

/* Random reads, writes and flushes against a model in memory, which holds what the disk shows at first. */
static inline void rig_against_model(struct rig *r, u8 *model, u64 sectors, unsigned rounds)
{
    u8 *buf = malloc(DISK_REQUEST_SECTORS * 512);
    u64 rnd = sectors;

    for (unsigned i = 0; i < rounds; i++) {
        u32 n = rig_random(&rnd) % 4 ? 1 + rig_random(&rnd) % 9 : 1 + rig_random(&rnd) % DISK_REQUEST_SECTORS;
        u64 at;

        n = (u32)min_u64(n, sectors);
        at = rig_random(&rnd) % (sectors - n + 1);
        switch (rig_random(&rnd) % 8) {
        case 0: cr_assert_eq(rig_do(r, DISK_FLUSH, 0, 0, NULL), 0); break;
        case 1:
        case 2:
        case 3:
            for (u32 b = 0; b < n * 512; b++)
                buf[b] = (u8)(rig_random(&rnd) | 1);
            memcpy(model + at * 512, buf, n * 512);
            cr_assert_eq(rig_do(r, DISK_WRITE, at, n, buf), 0);
            break;
        default:
            memset(buf, 0xa5, n * 512);
            cr_assert_eq(rig_do(r, DISK_READ, at, n, buf), 0);
            cr_assert_eq(memcmp(buf, model + at * 512, n * 512), 0, "round %u: sectors %llu + %u", i,
                         (unsigned long long)at, n);
            break;
        }
    }
    free(buf);
}

static inline u8 *rig_file(const char *path, size_t *bytes)
{
    FILE *f = fopen(path, "rb");
    struct stat st;
    u8 *data;

    cr_assert(f && !fstat(fileno(f), &st));
    *bytes = (size_t)st.st_size;
    data = calloc(1, *bytes + 512);
    cr_assert_eq(fread(data, 1, *bytes, f), *bytes);
    fclose(f);
    return data;
}

#endif
