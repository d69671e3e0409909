/*
 * test_disk.c - raw images and temporary layers behind the request queue, with faults.
 *
 * Fails if a byte lands elsewhere than a model says, if an error of the host is swallowed or called by another name, if a lock is not
 * respected, or if requests are lost when a disk goes.
 */
#include "rig.h"

#include <sys/resource.h>
#include <sys/stat.h>

#define SECTORS 1000u

static u8 sector_buf[DISK_REQUEST_SECTORS * 512];

static void check_model(struct blk_source source, u64 bytes, bool reaches_file)
{
    struct rig *r = rig_new(bytes);
    struct blk_info info;
    size_t before_bytes, after_bytes;
    u8 *model = rig_file(r->path, &before_bytes), *before = rig_file(r->path, &before_bytes), *after;

    if (source.cache == BLK_DIRECT || source.cache == BLK_DIRECTSYNC) {
        int fd = open(r->path, O_RDONLY | O_DIRECT);

        if (fd < 0 && errno == EINVAL) {
            rig_free(r);
            cr_skip_test("no direct I/O on this file system");
        }
        close(fd);
    }
    rig_must_insert(r, source);
    blk_info(r->disk, &info);
    cr_expect_eq(info.odd_size, bytes % 512 != 0);
    rig_against_model(r, model, (bytes + 511) / 512, 1500);
    cr_assert_eq(blk_flush(r->disk), 0);
    blk_remove(r->disk);
    after = rig_file(r->path, &after_bytes);
    cr_expect_eq(memcmp(after, reaches_file ? model : before, before_bytes), 0);
    cr_expect(after_bytes == before_bytes || (reaches_file && after_bytes == align_up(before_bytes, 512)));
    free(after);
    free(before);
    free(model);
    rig_free(r);
}

Test(disk, raw)
{
    check_model((struct blk_source){.format = BLK_RAW}, SECTORS * 512, true);
}

Test(disk, raw_odd_size)
{
    check_model((struct blk_source){.format = BLK_RAW}, SECTORS * 512 + 77, true);
}

Test(disk, probed)
{
    check_model((struct blk_source){.format = BLK_PROBE}, SECTORS * 512, true);
}

Test(disk, writethrough)
{
    check_model((struct blk_source){.format = BLK_RAW, .cache = BLK_WRITETHROUGH}, 64 * 512, true);
}

Test(disk, direct)
{
    check_model((struct blk_source){.format = BLK_RAW, .cache = BLK_DIRECT}, SECTORS * 512, true);
}

Test(disk, direct_odd_size)
{
    check_model((struct blk_source){.format = BLK_RAW, .cache = BLK_DIRECTSYNC}, 21 * 512 + 100, true);
}

Test(disk, snapshot)
{
    check_model((struct blk_source){.format = BLK_RAW, .snapshot = true}, SECTORS * 512, false);
}

Test(disk, snapshot_odd_size)
{
    check_model((struct blk_source){.format = BLK_RAW, .snapshot = true}, SECTORS * 512 + 1, false);
}

Test(disk, geometry_and_refusals)
{
    struct rig *r = rig_new(SECTORS * 512);
    const struct disk_back *back = blk_back(r->disk);
    struct disk_geometry g;

    back->geometry(back->opaque, &g);
    cr_expect_eq(g.sectors, 0);
    cr_expect_eq(rig_do(r, DISK_READ, 0, 1, sector_buf), -ENOMEDIUM);
    cr_expect_eq(rig_do(r, DISK_FLUSH, 0, 0, NULL), -ENOMEDIUM);
    rig_must_insert(r, (struct blk_source){.format = BLK_RAW, .read_only = true});
    blk_set_geometry(r->disk, 10, 4, 25);
    back->geometry(back->opaque, &g);
    cr_expect(g.sectors == SECTORS && g.read_only && g.cylinders == 10 && g.heads == 4 && g.sectors_per_track == 25);
    cr_expect_eq(rig_do(r, DISK_WRITE, 0, 1, sector_buf), -EROFS);
    cr_expect_eq(rig_do(r, DISK_READ, SECTORS, 1, sector_buf), -ERANGE);
    cr_expect_eq(rig_do(r, DISK_READ, SECTORS - 1, 2, sector_buf), -ERANGE);
    cr_expect_eq(rig_do(r, DISK_READ, UINT64_MAX, 2, sector_buf), -ERANGE);
    cr_expect_eq(rig_do(r, DISK_READ, 0, DISK_REQUEST_SECTORS + 1, sector_buf), -ERANGE);
    cr_expect_eq(rig_do(r, DISK_READ, SECTORS - 1, 1, sector_buf), 0);
    cr_expect_eq(rig_do(r, DISK_FLUSH, 0, 0, NULL), 0);
    rig_free(r);
}

static void expect_refused(struct rig *r, struct blk_source source, int rc, bool bad_image, const char *words)
{
    struct blk_error err;

    cr_expect_eq(rig_insert(r, source, &err), rc, "%s", err.cause);
    cr_expect(strstr(err.cause, words), "%s", err.cause);
    cr_expect_eq(err.bad_image, bad_image, "%s", err.cause);
    cr_expect(err.remedy[0]);
}

static void write_file(const char *path, const void *data, size_t bytes)
{
    FILE *f = fopen(path, "wb");

    cr_assert(f && fwrite(data, 1, bytes, f) == bytes && !fclose(f));
}

Test(disk, bad_images)
{
    struct rig *r = rig_new(4096);
    u8 luks[1024] = {0};

    memcpy(luks, "LUKS\xba\xbe", 6);
    expect_refused(r, (struct blk_source){.path = "/var/tmp/no/such"}, -ENOENT, false, "No such file");
    expect_refused(r, (struct blk_source){.path = r->dir, .read_only = true}, -EINVAL, false, "neither a file");
    expect_refused(r, (struct blk_source){.path = "/dev/zero"}, -EINVAL, false, "neither a file");
    expect_refused(r, (struct blk_source){.format = BLK_QCOW2}, -EINVAL, true, "not a qcow2");
    write_file(r->path, luks, sizeof(luks));
    expect_refused(r, (struct blk_source){0}, -EINVAL, true, "LUKS");
    write_file(r->path, "", 0);
    expect_refused(r, (struct blk_source){.format = BLK_RAW}, -EINVAL, true, "empty");
    cr_assert_eq(unlink(r->path), 0);
    cr_assert_eq(mkfifo(r->path, 0600), 0);
    expect_refused(r, (struct blk_source){0}, -EINVAL, false, "neither a file"); /* and it does not wait for a writer */
    rig_free(r);
}

Test(disk, locks)
{
    static const struct {
        struct blk_source first, second;
        bool together;
    } t[] = {
        {{.format = BLK_RAW}, {.format = BLK_RAW}, false},
        {{.format = BLK_RAW}, {.format = BLK_RAW, .read_only = true}, false},
        {{.format = BLK_RAW, .read_only = true}, {.format = BLK_RAW}, false},
        {{.format = BLK_RAW, .read_only = true}, {.format = BLK_RAW, .read_only = true}, true},
        {{.format = BLK_RAW, .snapshot = true}, {.format = BLK_RAW, .snapshot = true}, true},
        {{.format = BLK_RAW, .snapshot = true}, {.format = BLK_RAW}, false},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
        struct rig *r = rig_new(4096);
        struct blk_source second = t[i].second;
        struct blk_disk *other;
        struct blk_error err;

        second.path = r->path;
        cr_assert_eq(blk_new(&other), 0);
        rig_must_insert(r, t[i].first);
        cr_expect_eq(blk_insert(other, &second, &err), t[i].together ? 0 : -EAGAIN, "case %u", i);
        blk_remove(other);
        blk_remove(r->disk);
        cr_expect_eq(blk_insert(other, &second, &err), 0, "case %u: the lock goes with its owner", i);
        blk_free(other);
        rig_free(r);
    }
}

/* An insert that fails leaves the old medium where it was. */
Test(disk, change)
{
    struct rig *r = rig_new(4096);
    struct blk_error err;
    struct blk_info info;

    rig_must_insert(r, (struct blk_source){.format = BLK_RAW});
    cr_expect_neq(rig_insert(r, (struct blk_source){.path = "/var/tmp/no/such"}, &err), 0);
    cr_expect_eq(rig_do(r, DISK_READ, 7, 1, sector_buf), 0);
    blk_info(r->disk, &info);
    cr_expect(info.bytes == 4096 && info.reads == 1 && info.read_bytes == 512 && !strcmp(info.path, r->path));
    blk_remove(r->disk);
    blk_info(r->disk, &info);
    cr_expect(!info.bytes && !info.path[0]);
    rig_free(r);
}

Test(disk, truncated_under_us)
{
    struct rig *r = rig_new(SECTORS * 512);

    rig_must_insert(r, (struct blk_source){.format = BLK_RAW});
    cr_assert_eq(truncate(r->path, 100 * 512 + 10), 0);
    cr_expect_eq(rig_do(r, DISK_READ, 99, 1, sector_buf), 0);
    cr_expect_eq(rig_do(r, DISK_READ, 100, 1, sector_buf), -EIO);
    cr_expect_eq(rig_do(r, DISK_READ, 500, 1, sector_buf), -EIO);
    rig_free(r);
}

static enum blk_verdict on_trouble(void *opaque, enum disk_op op, int err, bool may_hold, bool first)
{
    (void)may_hold;
    cr_expect(op == DISK_WRITE && err == -ENOSPC);
    *(unsigned *)opaque += first;
    return BLK_REPORT;
}

/* The host's disk is full: a limit on file sizes gives the same error from the same call. */
Test(disk, host_full)
{
    struct rig *r = rig_new(512);
    struct rlimit limit = {100 * 512, 100 * 512};
    unsigned told = 0;
    u8 back[512];

    blk_set_trouble(r->disk, on_trouble, &told);
    cr_assert_eq(truncate(r->path, SECTORS * 512), 0);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    memset(sector_buf, 0x42, 512);
    for (unsigned layered = 0; layered < 2; layered++) {
        rig_must_insert(r, (struct blk_source){.format = BLK_RAW, .snapshot = layered});
        cr_expect_eq(rig_do(r, DISK_WRITE, 99, 1, sector_buf), 0);
        cr_expect_eq(rig_do(r, DISK_WRITE, 100, 1, sector_buf), -ENOSPC);
        cr_expect_eq(rig_do(r, DISK_WRITE, 99, 4, sector_buf), -ENOSPC);
        cr_expect_eq(rig_do(r, DISK_READ, 100, 1, back), 0);
        for (unsigned i = 0; i < 512; i++)
            cr_assert_eq(back[i], 0, "a failed write left the old data");
        cr_expect_eq(told, layered + 1, "once a medium");
        blk_remove(r->disk);
    }
    rig_free(r);
}

struct judge {
    enum blk_verdict verdict;
    unsigned asked, held;
};

static enum blk_verdict on_judge(void *opaque, enum disk_op op, int err, bool may_hold, bool first)
{
    struct judge *j = opaque;

    (void)op;
    (void)first;
    cr_expect_eq(err, -ENOSPC);
    j->asked++;
    j->held += may_hold && j->verdict == BLK_HOLD;
    return j->verdict;
}

static void on_done(void *opaque, struct disk_request *req, int err)
{
    (void)req;
    *(int *)opaque = err;
}

/* A request that failed waits until there is room, and then it is done as if nothing had happened; or ends with its error at a drain. */
Test(disk, held_and_tried_again, .timeout = 20)
{
    struct rig *r = rig_new(512);
    struct judge j = {.verdict = BLK_HOLD};
    const struct disk_back *back = blk_back(r->disk);
    int result = 1;
    struct disk_request req = {.op = DISK_WRITE, .sector = 100, .sectors = 1, .buf = sector_buf, .done = on_done, .opaque = &result};
    u8 buf[512];

    blk_set_trouble(r->disk, on_judge, &j);
    cr_assert_eq(truncate(r->path, SECTORS * 512), 0);
    rig_must_insert(r, (struct blk_source){.format = BLK_RAW});
    memset(sector_buf, 0x37, 512);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &(struct rlimit){100 * 512, RLIM_INFINITY}), 0);
    back->submit(back->opaque, &req);
    while (!j.asked)
        wake_run(&r->wakes);
    cr_expect(blk_holds(r->disk) && result == 1 && j.held == 1);
    blk_retry(r->disk); /* still no room */
    while (j.asked < 2)
        wake_run(&r->wakes);
    cr_expect(blk_holds(r->disk) && result == 1 && j.held == 2);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &(struct rlimit){RLIM_INFINITY, RLIM_INFINITY}), 0);
    blk_retry(r->disk);
    while (result == 1)
        wake_run(&r->wakes);
    cr_expect(result == 0 && j.asked == 2 && !blk_holds(r->disk));
    cr_expect_eq(rig_do(r, DISK_READ, 100, 1, buf), 0);
    cr_expect_eq(buf[0], 0x37);

    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &(struct rlimit){100 * 512, RLIM_INFINITY}), 0);
    result = 1;
    back->submit(back->opaque, &req);
    while (j.asked < 3)
        wake_run(&r->wakes);
    cr_expect(blk_holds(r->disk));
    back->drain(back->opaque); /* a reset */
    cr_expect(result == -ENOSPC && !blk_holds(r->disk));
    j.verdict = BLK_IGNORE;
    cr_expect_eq(rig_do(r, DISK_WRITE, 100, 1, sector_buf), 0);
    rig_free(r);
}

/* discard=unmap gives blocks back to the host and zeros to the guest; without it the image stays as it is. */
Test(disk, discard)
{
    u8 *big = calloc(1, 64 << 10), back[512];

    for (unsigned on = 0; on < 2; on++) {
        struct rig *r = rig_new(1 << 20);
        struct stat st;

        rig_must_insert(r, (struct blk_source){.format = BLK_RAW, .discard = on});
        memset(big, 0x51, 64 << 10);
        cr_expect_eq(rig_do(r, DISK_WRITE, 0, 128, big), 0);
        cr_expect_eq(rig_do(r, DISK_WRITE, 128, 128, big), 0);
        cr_expect_eq(rig_do(r, DISK_FLUSH, 0, 0, NULL), 0);
        cr_expect_eq(rig_do(r, DISK_DISCARD, 0, 128, NULL), 0);
        cr_expect_eq(rig_do(r, DISK_DISCARD, 2000, 1000, NULL), -ERANGE);
        cr_expect_eq(rig_do(r, DISK_READ, 3, 1, back), 0);
        cr_expect_eq(back[0], on ? 0 : 0x51);
        cr_expect_eq(rig_do(r, DISK_READ, 128, 1, back), 0);
        cr_expect_eq(back[0], 0x51, "what was not discarded");
        cr_assert_eq(stat(r->path, &st), 0);
        cr_expect_eq(st.st_size, 1 << 20);
        cr_expect(on ? st.st_blocks * 512 < 970 << 10 : st.st_blocks * 512 >= 1 << 20, "%ld blocks", (long)st.st_blocks);
        blk_remove(r->disk);
        rig_must_insert(r, (struct blk_source){.format = BLK_RAW, .discard = true, .read_only = true});
        cr_expect_eq(rig_do(r, DISK_DISCARD, 0, 8, NULL), -EROFS);
        rig_free(r);
    }
    free(big);
}

/* A guest cannot turn an image that was taken for raw into one that names other files of the host. */
Test(disk, probed_raw_stays_raw)
{
    struct rig *r = rig_new(4096);
    struct blk_info info;

    rig_must_insert(r, (struct blk_source){0});
    blk_info(r->disk, &info);
    cr_expect(info.probed_raw);
    memset(sector_buf, 0, 512);
    cr_expect_eq(rig_do(r, DISK_WRITE, 0, 1, sector_buf), 0);
    memcpy(sector_buf, "QFI\xfb", 4);
    cr_expect_eq(rig_do(r, DISK_WRITE, 0, 1, sector_buf), -EIO);
    cr_expect_eq(rig_do(r, DISK_WRITE, 1, 1, sector_buf), 0);
    blk_remove(r->disk);
    rig_must_insert(r, (struct blk_source){.format = BLK_RAW});
    cr_expect_eq(rig_do(r, DISK_WRITE, 0, 1, sector_buf), 0, "who says raw may");
    rig_free(r);
}

struct burst {
    struct disk_request req[300];
    u8 buf[300][512];
    unsigned done, order_errors, last;
};

static void burst_done(void *opaque, struct disk_request *req, int err)
{
    struct burst *b = opaque;
    unsigned n = (unsigned)(req - b->req);

    cr_expect_eq(err, 0);
    b->order_errors += b->done && n != b->last + 1;
    b->last = n;
    b->done++;
}

static void submit_burst(struct rig *r, struct burst *b)
{
    const struct disk_back *back = blk_back(r->disk);

    for (unsigned i = 0; i < 300; i++) {
        memset(b->buf[i], (int)i, 512);
        b->req[i] = (struct disk_request){.op = i % 50 == 49 ? DISK_FLUSH : DISK_WRITE,
                                          .sector = i,
                                          .sectors = i % 50 == 49 ? 0 : 1,
                                          .buf = b->buf[i],
                                          .done = burst_done,
                                          .opaque = b};
        back->submit(back->opaque, &b->req[i]);
    }
}

Test(disk, drain_and_order)
{
    struct rig *r = rig_new(SECTORS * 512);
    struct burst *b = calloc(1, sizeof(*b));
    const struct disk_back *back = blk_back(r->disk);

    rig_must_insert(r, (struct blk_source){.format = BLK_RAW});
    submit_burst(r, b);
    back->drain(back->opaque);
    cr_expect_eq(b->done, 300);
    cr_expect_eq(b->order_errors, 0);
    back->drain(back->opaque); /* nothing to wait for */
    free(b);
    rig_free(r);
}

/* The end in the middle of work: everything is written, nobody is called any more. */
Test(disk, free_in_flight)
{
    struct rig *r = rig_new(SECTORS * 512);
    struct burst *b = calloc(1, sizeof(*b));
    size_t bytes;
    u8 *file;

    rig_must_insert(r, (struct blk_source){.format = BLK_RAW});
    submit_burst(r, b);
    blk_free(r->disk);
    cr_expect_eq(b->done, 0);
    file = rig_file(r->path, &bytes);
    for (unsigned i = 0; i < 300; i++)
        cr_expect(i % 50 == 49 || file[i * 512] == (u8)i, "sector %u", i);
    free(file);
    free(b);
    cr_assert_eq(blk_new(&r->disk), 0);
    rig_free(r);
}

struct pair {
    struct disk_request req[2];
    u8 buf[2][512];
    unsigned done;
};

static void pair_done(void *opaque, struct disk_request *req, int err)
{
    struct pair *p = opaque;

    cr_expect_eq(err, 0);
    cr_expect_eq(req, &p->req[p->done], "in the order in which they came");
    p->done++;
}

/* A read right behind a write of the same sector sees it, however fast reads of the page cache are. */
Test(disk, read_behind_write)
{
    struct rig *r = rig_new(SECTORS * 512);
    const struct disk_back *back = blk_back(r->disk);
    struct pair p;

    rig_must_insert(r, (struct blk_source){.format = BLK_RAW});
    for (unsigned i = 0; i < 2000; i++) {
        memset(&p, 0, sizeof(p));
        for (unsigned n = 0; n < 2; n++)
            p.req[n] = (struct disk_request){.op = n ? DISK_READ : DISK_WRITE,
                                             .sector = i % SECTORS,
                                             .sectors = 1,
                                             .buf = p.buf[n],
                                             .done = pair_done,
                                             .opaque = &p};
        memset(p.buf[0], (int)(i * 3 + 1), 512);
        back->submit(back->opaque, &p.req[0]);
        back->submit(back->opaque, &p.req[1]);
        back->drain(back->opaque);
        cr_assert_eq(p.done, 2);
        cr_assert_eq(memcmp(p.buf[0], p.buf[1], 512), 0, "round %u", i);
    }
    rig_free(r);
}
