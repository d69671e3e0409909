/*
 * test_virtio.c - virtio transport, queues and disk against a driver made of a few lines, and against a hostile one.
 *
 * Fails if a request is lost, done twice, moved to the wrong place or told with the wrong status; if a queue that makes no sense is not
 * refused; or (with the sanitizers) if anything in guest memory or registers leads the device outside of its own memory.
 */
#include <criterion/criterion.h>

#include "board.h"
#include "devices/virtio_blk.h"

#define RAM_BYTES (1u << 20)
#define DISK_SECTORS 2048u
#define DESC 0x1000u
#define AVAIL 0x2000u
#define USED 0x3000u
#define HEADER 0x4000u
#define STATUS 0x4800u
#define DATA 0x10000u

struct rig {
    struct board *b;
    struct virtio_blk blk;
    u8 *ram, *disk;
    u16 avail_idx;
    struct disk_request *todo[64];
    unsigned todo_n, flushes, submits, max_in_flight;
    bool later; /* requests stay in flight until rig_finish() */
    int fail;
};

static int ram_read(void *opaque, u64 gpa, void *buf, size_t len)
{
    struct rig *r = opaque;

    if (gpa > RAM_BYTES || len > RAM_BYTES - gpa) {
        memset(buf, 0xff, len);
        return -EFAULT;
    }
    memcpy(buf, r->ram + gpa, len);
    return 0;
}

static int ram_write(void *opaque, u64 gpa, const void *buf, size_t len)
{
    struct rig *r = opaque;

    if (gpa > RAM_BYTES || len > RAM_BYTES - gpa)
        return -EFAULT;
    memcpy(r->ram + gpa, buf, len);
    return 0;
}

static void back_geometry(void *opaque, struct disk_geometry *g)
{
    (void)opaque;
    *g = (struct disk_geometry){.sectors = DISK_SECTORS};
}

static void back_submit(void *opaque, struct disk_request *req)
{
    struct rig *r = opaque;

    cr_assert(r->todo_n < ARRAY_SIZE(r->todo));
    r->todo[r->todo_n++] = req;
    r->submits++;
    if (r->todo_n > r->max_in_flight)
        r->max_in_flight = r->todo_n;
}

static void finish_one(struct rig *r)
{
    struct disk_request *req = r->todo[0];
    int err = r->fail;

    memmove(r->todo, r->todo + 1, --r->todo_n * sizeof(r->todo[0]));
    if (req->op == DISK_FLUSH) {
        r->flushes++;
    } else if (!err) {
        u8 *at = r->disk + req->sector * 512;

        cr_assert(req->sectors && (req->sectors <= DISK_REQUEST_SECTORS || req->op == DISK_DISCARD) &&
                  req->sector + req->sectors <= DISK_SECTORS);
        if (req->op == DISK_DISCARD)
            memset(at, 0, req->sectors * 512);
        else if (req->op == DISK_READ)
            memcpy(req->buf, at, req->sectors * 512);
        else
            memcpy(at, req->buf, req->sectors * 512);
    }
    req->done(req->opaque, req, err);
}

static void finish_all(struct rig *r)
{
    while (r->todo_n)
        finish_one(r);
}

static void back_drain(void *opaque)
{
    finish_all(opaque);
}

static struct rig *rig_new(void)
{
    struct rig *r = calloc(1, sizeof(*r));
    struct dma_mem mem = {ram_read, ram_write, r};
    struct disk_back back = {.geometry = back_geometry, .submit = back_submit, .drain = back_drain, .opaque = r};

    r->b = board_new();
    r->ram = calloc(1, RAM_BYTES);
    r->disk = malloc(DISK_SECTORS * 512);
    for (u32 i = 0; i < DISK_SECTORS * 512; i++)
        r->disk[i] = (u8)(i * 7 + i / 512);
    cr_assert_eq(virtio_blk_init(&r->blk, &back, "SERIAL", &mem, board_line(r->b, 0)), 0);
    virtio_blk_reset(&r->blk);
    return r;
}

static void rig_free(struct rig *r)
{
    virtio_blk_fini(&r->blk);
    free(r->disk);
    free(r->ram);
    free(r->b);
    free(r);
}

static u32 reg_read(struct rig *r, unsigned bar, u32 at, unsigned size)
{
    const struct pci_bar *b = &r->blk.virtio.pci.bar[bar];
    u32 val = b->ops->read(b->opaque, at, size);

    return size == 4 ? val : val & (BIT(8 * size) - 1);
}

static void reg_write(struct rig *r, unsigned bar, u32 at, unsigned size, u32 val)
{
    const struct pci_bar *b = &r->blk.virtio.pci.bar[bar];

    b->ops->write(b->opaque, at, size, val);
}

static void put(struct rig *r, u32 at, u64 val, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        r->ram[at + i] = (u8)(val >> (8 * i));
}

static u32 get(struct rig *r, u32 at, unsigned bytes)
{
    u32 val = 0;

    for (unsigned i = 0; i < bytes; i++)
        val |= (u32)r->ram[at + i] << (8 * i);
    return val;
}

static void legacy_start(struct rig *r)
{
    reg_write(r, 0, 0x12, 1, 3);
    reg_write(r, 0, 0x04, 4, reg_read(r, 0, 0x00, 4));
    reg_write(r, 0, 0x0e, 2, 0);
    reg_write(r, 0, 0x08, 4, 1); /* descriptors at 1000h, avail behind them, used at 3000h */
    reg_write(r, 0, 0x12, 1, 7);
}

static void modern_start(struct rig *r, u16 size)
{
    static const u32 where[3] = {DESC, AVAIL, USED};

    reg_write(r, 4, 0x14, 1, 3);
    for (u32 i = 0; i < 2; i++) {
        reg_write(r, 4, 0x00, 4, i);
        reg_write(r, 4, 0x08, 4, i);
        reg_write(r, 4, 0x0c, 4, reg_read(r, 4, 0x04, 4));
    }
    reg_write(r, 4, 0x14, 1, 0xb);
    cr_assert_eq(reg_read(r, 4, 0x14, 1), 0xb);
    reg_write(r, 4, 0x16, 2, 0);
    reg_write(r, 4, 0x18, 2, size);
    for (unsigned i = 0; i < 3; i++)
        reg_write(r, 4, 0x20 + 8 * i, 4, where[i]);
    reg_write(r, 4, 0x1c, 2, 1);
    reg_write(r, 4, 0x14, 1, 0xf);
}

static void descriptor(struct rig *r, unsigned n, u64 gpa, u32 bytes, u16 flags, u16 next)
{
    put(r, DESC + 16 * n, gpa, 8);
    put(r, DESC + 16 * n + 8, bytes, 4);
    put(r, DESC + 16 * n + 12, flags, 2);
    put(r, DESC + 16 * n + 14, next, 2);
}

static void offer(struct rig *r, u16 head, unsigned size)
{
    put(r, AVAIL + 4 + 2 * (r->avail_idx % size), head, 2);
    put(r, AVAIL + 2, ++r->avail_idx, 2);
}

/* Header, data, status in descriptors 3n, 3n + 1, 3n + 2. */
static void request(struct rig *r, unsigned n, u32 type, u64 sector, u32 bytes, unsigned size)
{
    put(r, HEADER + 16 * n, type, 4);
    put(r, HEADER + 16 * n + 8, sector, 8);
    r->ram[STATUS + n] = 0xee;
    descriptor(r, 3 * n, HEADER + 16 * n, 16, 1, (u16)(bytes ? 3 * n + 1 : 3 * n + 2));
    descriptor(r, 3 * n + 1, DATA + 0x10000 * n, bytes, type == 1 ? 1 : 3, (u16)(3 * n + 2));
    descriptor(r, 3 * n + 2, STATUS + n, 1, 2, 0);
    offer(r, (u16)(3 * n), size);
}

/* The avail ring of the legacy layout lies behind 256 descriptors: at 2000h, as AVAIL says. */
Test(virtio, legacy_disk)
{
    struct rig *r = rig_new();

    cr_expect_eq(reg_read(r, 0, 0x14, 4), DISK_SECTORS);
    cr_expect_eq(reg_read(r, 0, 0x0c, 2), 256);
    legacy_start(r);
    cr_expect_eq(reg_read(r, 0, 0x08, 4), 1);
    request(r, 0, 0, 5, 1024, 256);
    request(r, 1, 1, 100, 512, 256);
    memset(r->ram + DATA + 0x10000, 0xab, 512);
    request(r, 2, 4, 0, 0, 256);
    reg_write(r, 0, 0x10, 2, 0);
    cr_expect_eq(r->todo_n, 3, "all in flight at once");
    finish_all(r);
    cr_expect_eq(memcmp(r->ram + DATA, r->disk + 5 * 512, 1024), 0);
    cr_expect_eq(r->disk[100 * 512 + 511], 0xab);
    cr_expect_eq(r->flushes, 1);
    cr_expect_eq(get(r, USED + 2, 2), 3);
    cr_expect_eq(get(r, USED + 4 + 4, 4), 1025, "bytes written: data and status");
    for (unsigned n = 0; n < 3; n++)
        cr_expect_eq(r->ram[STATUS + n], 0);
    cr_expect(r->b->line[0].level);
    cr_expect_eq(reg_read(r, 0, 0x13, 1), 1);
    cr_expect(!r->b->line[0].level, "reading the interrupt status takes the line down");
    rig_free(r);
}

Test(virtio, discard)
{
    static const struct {
        u64 sector;
        u32 sectors, flags, bytes;
        u8 status;
    } t[] = {{10, 4, 0, 16, 0},          {0, 0, 0, 16, 0},  {DISK_SECTORS, 1, 0, 16, 1}, {DISK_SECTORS - 1, 2, 0, 16, 1},
             {UINT64_MAX, 8, 0, 16, 1},  {20, 1, 1, 16, 2}, {20, 1, 0, 8, 1},            {20, 1, 0, 32, 1},
             {5, UINT32_MAX, 0, 16, 1}};
    struct rig *r = rig_new();

    cr_expect(reg_read(r, 0, 0, 4) & BIT(13));
    legacy_start(r);
    memset(r->disk, 0x99, DISK_SECTORS * 512);
    for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
        request(r, 0, 11, 0, t[i].bytes, 256);
        descriptor(r, 1, DATA, t[i].bytes, 1, 2); /* the range is for the device to read */
        put(r, DATA, t[i].sector, 8);
        put(r, DATA + 8, t[i].sectors, 4);
        put(r, DATA + 12, t[i].flags, 4);
        reg_write(r, 0, 0x10, 2, 0);
        finish_all(r);
        cr_expect_eq(r->ram[STATUS], t[i].status, "%u: %u", i, r->ram[STATUS]);
    }
    for (unsigned i = 0; i < DISK_SECTORS; i++)
        cr_assert_eq(r->disk[i * 512 + 7], i >= 10 && i < 14 ? 0 : 0x99, "sector %u", i);
    rig_free(r);
}

Test(virtio, modern_disk)
{
    struct rig *r = rig_new();

    cr_expect_eq(r->blk.virtio.pci.config[0x34], 0x40);
    cr_expect_eq(r->blk.virtio.pci.config[0x43], 1, "the first capability names the common registers");
    modern_start(r, 16);
    cr_expect_eq(reg_read(r, 4, 0x2000, 4), DISK_SECTORS);
    request(r, 0, 8, 0, 20, 16);
    request(r, 1, 99, 0, 512, 16);
    request(r, 2, 0, DISK_SECTORS - 1, 1024, 16); /* past the end */
    request(r, 3, 0, 7, 100, 16);                 /* no whole sectors */
    reg_write(r, 4, 0x3000, 2, 0);
    finish_all(r);
    cr_expect_eq(get(r, USED + 2, 2), 4);
    cr_expect_str_eq((char *)r->ram + DATA, "SERIAL");
    cr_expect_eq(r->ram[STATUS], 0);
    cr_expect_eq(r->ram[STATUS + 1], 2, "unsupported");
    cr_expect_eq(r->ram[STATUS + 2], 1);
    cr_expect_eq(r->ram[STATUS + 3], 1);
    cr_expect_eq(r->submits, 0);
    r->fail = -ENOSPC;
    request(r, 0, 1, 0, 512, 16);
    reg_write(r, 4, 0x3000, 2, 0);
    finish_all(r);
    cr_expect_eq(r->ram[STATUS], 1);
    cr_expect_eq(reg_read(r, 4, 0x1000, 1), 1);
    rig_free(r);
}

/* Without VERSION_1 a 1.0 driver is not let in. */
Test(virtio, features)
{
    struct rig *r = rig_new();

    reg_write(r, 4, 0x14, 1, 3);
    reg_write(r, 4, 0x08, 4, 0);
    reg_write(r, 4, 0x0c, 4, UINT32_MAX);
    reg_write(r, 4, 0x14, 1, 0xb);
    cr_expect_eq(reg_read(r, 4, 0x14, 1), 3);
    cr_expect_eq(r->blk.virtio.driver_features & ~r->blk.virtio.features, 0, "only what was offered");
    rig_free(r);
}

/* 300 KiB in one request, its data in odd pieces, through an indirect table. */
Test(virtio, large_and_indirect)
{
    struct rig *r = rig_new();
    u32 table = 0x8000, n = 0, bytes = 300 * 1024, at = DATA;

    modern_start(r, 256);
    put(r, HEADER + 8, 33, 8);
    descriptor(r, 0, table, 0, 4, 0);
    put(r, table, HEADER, 8);
    put(r, table + 8, 16, 4);
    put(r, table + 12, 1 | 1 << 16, 4);
    for (u32 left = bytes + 1; left; n++) {
        u32 piece = left < 5003 ? left : 5003;
        u32 d = table + 16 * (n + 1);

        put(r, d, at, 8);
        put(r, d + 8, piece, 4);
        left -= piece;
        put(r, d + 12, (left ? 3 : 2) | (n + 2) << 16, 4);
        at += piece;
    }
    put(r, DESC + 8, 16 * (n + 1), 4);
    offer(r, 0, 256);
    reg_write(r, 4, 0x3000, 2, 0);
    cr_expect_eq(r->todo_n, 1, "pieces go one after the other");
    finish_all(r);
    cr_expect_eq(r->submits, 3);
    cr_expect_eq(memcmp(r->ram + DATA, r->disk + 33 * 512, bytes), 0);
    cr_expect_eq(r->ram[DATA + bytes], 0);
    cr_expect_eq(get(r, USED + 8, 4), bytes + 1);
    rig_free(r);
}

/* More than the device has slots for: nothing is lost, nothing waits for another notification. */
Test(virtio, many)
{
    struct rig *r = rig_new();

    modern_start(r, 256);
    for (unsigned n = 0; n < 80; n++) {
        put(r, HEADER + 16 * n, 0, 4);
        put(r, HEADER + 16 * n + 8, n, 8);
        descriptor(r, 3 * n, HEADER + 16 * n, 16, 1, (u16)(3 * n + 1));
        descriptor(r, 3 * n + 1, DATA + 512 * n, 512, 3, (u16)(3 * n + 2));
        descriptor(r, 3 * n + 2, STATUS + n, 1, 2, 0);
        r->ram[STATUS + n] = 0xee;
        offer(r, (u16)(3 * n), 256);
    }
    reg_write(r, 4, 0x3000, 2, 0);
    finish_all(r);
    cr_expect_eq(r->max_in_flight, VBLK_SLOTS);
    cr_expect_eq(get(r, USED + 2, 2), 80);
    cr_expect_eq(memcmp(r->ram + DATA, r->disk, 80 * 512), 0);
    for (unsigned n = 0; n < 80; n++)
        cr_expect_eq(r->ram[STATUS + n], 0);
    rig_free(r);
}

/* A reset with requests in flight: they end, and the guest's memory is not touched any more. */
Test(virtio, reset_in_flight)
{
    struct rig *r = rig_new();

    modern_start(r, 16);
    request(r, 0, 0, 0, 512, 16);
    reg_write(r, 4, 0x3000, 2, 0);
    cr_assert_eq(r->todo_n, 1);
    reg_write(r, 4, 0x14, 1, 0);
    cr_expect_eq(r->todo_n, 0);
    cr_expect_eq(r->ram[STATUS], 0xee);
    cr_expect_eq(get(r, USED + 2, 2), 0);
    cr_expect_eq(r->ram[DATA], 0);
    r->avail_idx = 0;
    modern_start(r, 16);
    request(r, 0, 0, 0, 512, 16);
    reg_write(r, 4, 0x3000, 2, 0);
    finish_all(r);
    cr_expect_eq(r->ram[STATUS], 0, "and it works again");
    rig_free(r);
}

/* Each of these breaks the queue, and a reset mends it. */
Test(virtio, senseless_queues)
{
    for (unsigned which = 0; which < 9; which++) {
        struct rig *r = rig_new();

        modern_start(r, 16);
        request(r, 0, 0, 0, 512, 16);
        switch (which) {
        case 0: put(r, AVAIL + 2, 17, 2); break;               /* more than there can be */
        case 1: put(r, AVAIL + 4, 16, 2); break;               /* no such descriptor */
        case 2: descriptor(r, 1, DATA, 512, 3, 0); break;      /* a loop, and reading after writing */
        case 3: descriptor(r, 1, DATA, 512, 3, 1); break;      /* a loop */
        case 4: descriptor(r, 1, DATA, 0, 3, 2); break;        /* no bytes */
        case 5: descriptor(r, 1, DATA, 0xffffffff, 3, 2); break;
        case 6: descriptor(r, 0, 0x8000, 24, 4, 0); break;     /* half an entry */
        case 7: descriptor(r, 2, STATUS, 1, 0, 0); break;      /* no place for the status, after data to write */
        case 8: descriptor(r, 0, HEADER, 8, 1, 2); break;      /* half a header */
        }
        reg_write(r, 4, 0x3000, 2, 0);
        finish_all(r);
        cr_expect(r->blk.virtio.broken, "case %u", which);
        cr_expect(reg_read(r, 4, 0x14, 1) & VIRTIO_STATUS_NEEDS_RESET);
        cr_expect_eq(get(r, USED + 2, 2), 0);
        reg_write(r, 4, 0x14, 1, 0);
        r->avail_idx = 0;
        modern_start(r, 16);
        request(r, 0, 0, 0, 512, 16);
        reg_write(r, 4, 0x3000, 2, 0);
        finish_all(r);
        cr_expect_eq(r->ram[STATUS], 0, "case %u after a reset", which);
        rig_free(r);
    }
}

static u32 next_random(u64 *state)
{
    *state = *state * 6364136223846793005ull + 1442695040888963407ull;
    return (u32)(*state >> 33);
}

/* Rings full of plausible nonsense, registers written at random: the sanitizers and the asserts of the back end look on. */
Test(virtio, hostile_driver)
{
    struct rig *r = rig_new();
    u64 rnd = 1;

    for (unsigned round = 0; round < 3000; round++) {
        bool modern = next_random(&rnd) & 1;

        if (modern)
            modern_start(r, (u16)(1 << next_random(&rnd) % 9));
        else
            legacy_start(r);
        for (unsigned i = 0; i < 24; i++) {
            u32 far = next_random(&rnd) % 16 ? 0 : next_random(&rnd);

            descriptor(r, i, (next_random(&rnd) % RAM_BYTES) + ((u64)far << 12), next_random(&rnd) % 8 ? next_random(&rnd) % 3000 : far,
                       next_random(&rnd) % 8, (u16)(next_random(&rnd) % 25));
            put(r, AVAIL + 4 + 2 * i, next_random(&rnd) % 25, 2);
        }
        put(r, AVAIL + 2, next_random(&rnd) % 20, 2);
        put(r, HEADER, next_random(&rnd) % 9, 4);
        if (next_random(&rnd) % 4)
            descriptor(r, 0, HEADER, 16, 1, (u16)(next_random(&rnd) % 24));
        for (unsigned i = 0; i < 12; i++) {
            u32 what = next_random(&rnd), at = next_random(&rnd);
            unsigned size = 1u << next_random(&rnd) % 3;

            if (what % 4 == 0)
                reg_write(r, modern ? 4 : 0, modern ? 0x3000 : 0x10, 2, 0);
            else if (what % 4 == 1)
                reg_write(r, what & 16 ? 4 : 0, at % (what & 16 ? 0x4000 : 0x80), size, next_random(&rnd));
            else if (what % 4 == 2)
                reg_read(r, what & 16 ? 4 : 0, at % (what & 16 ? 0x4000 : 0x80), size);
            else if (r->todo_n)
                finish_one(r);
        }
        if (next_random(&rnd) % 4 == 0)
            virtio_blk_reset(&r->blk);
        reg_write(r, 4, 0x14, 1, 0);
        cr_assert_eq(r->todo_n, 0);
    }
    rig_free(r);
}
