/*
 * test_virtio_net.c - the virtio network card against a driver of a few lines, and a hostile one.
 *
 * Fails if a frame is lost, torn or told with a wrong length, if buffers are not merged or not given back, if checksums or segments
 * are wrong; or (with the sanitizers) if queues or headers lead astray. The queues themselves are test_virtio.c's.
 */
#include "nic_rig.h"

#include "devices/virtio_net.h"

enum { QUEUE = 0x1000, QUEUE_SPAN = 0x4000, BUF = 0x20000, MRG = 1 << 15, CSUM = 1, TSO4 = 1 << 11 };

struct rig {
    struct nic_rig *r;
    struct virtio_net card;
    u16 avail[2], used[2];
};

static void put(struct rig *t, u32 at, u64 val, unsigned bytes)
{
    memcpy(t->r->ram + at, &val, bytes);
}

static u32 get(struct rig *t, u32 at, unsigned bytes)
{
    u32 val = 0;

    memcpy(&val, t->r->ram + at, bytes);
    return val;
}

static u32 ring(unsigned queue)
{
    return QUEUE + queue * QUEUE_SPAN;
}

static void start_up(struct rig *t, u32 features)
{
    rig_out(t->r, 0x12, 1, 0);
    rig_out(t->r, 0x12, 1, 3);
    rig_out(t->r, 0x04, 4, features);
    memset(t->r->ram + QUEUE, 0, 2 * QUEUE_SPAN);
    for (unsigned q = 0; q < 2; q++) {
        rig_out(t->r, 0x0e, 2, q);
        cr_assert_eq(rig_in(t->r, 0x0c, 2), VIRTIO_QUEUE_MAX);
        rig_out(t->r, 0x08, 4, ring(q) >> 12);
        t->avail[q] = t->used[q] = 0;
    }
    rig_out(t->r, 0x12, 1, 7);
}

static struct rig *rig_new(u32 features)
{
    struct rig *t = calloc(1, sizeof(*t));
    struct dma_mem mem;
    struct nic_back back;

    t->r = nic_rig_new();
    mem = rig_mem(t->r);
    back = rig_back(t->r);
    virtio_net_init(&t->card, &mem, board_line(t->r->b, 0), rig_mac, &back);
    rig_plug(t->r, &t->card.virtio.pci, RIG_PORT);
    start_up(t, features);
    return t;
}

static void rig_free(struct rig *t)
{
    nic_rig_free(t->r);
    free(t);
}

/* One buffer as a chain of one descriptor, which has the number of its place in the available ring. */
static void add(struct rig *t, unsigned queue, u32 gpa, u32 bytes, bool notify)
{
    u16 n = t->avail[queue] % VIRTIO_QUEUE_MAX;
    u32 desc = ring(queue) + n * 16, avail = ring(queue) + VIRTIO_QUEUE_MAX * 16;

    put(t, desc, gpa, 8);
    put(t, desc + 8, bytes, 4);
    put(t, desc + 12, queue == 0 ? 2 : 0, 4);
    put(t, avail + 4 + n * 2u, n, 2);
    put(t, avail + 2, ++t->avail[queue], 2);
    if (notify)
        rig_out(t->r, 0x10, 2, queue);
}

/* The next used buffer: its number, -1 if there is none. */
static int used(struct rig *t, unsigned queue, u32 *bytes)
{
    u32 at = (u32)align_up(ring(queue) + VIRTIO_QUEUE_MAX * 18 + 6, 4096),
        n = t->used[queue] % VIRTIO_QUEUE_MAX;

    if (get(t, at + 2, 2) == t->used[queue])
        return -1;
    t->used[queue]++;
    *bytes = get(t, at + 4 + n * 8 + 4, 4);
    return (int)get(t, at + 4 + n * 8, 4);
}

Test(virtio_net, address_and_link)
{
    struct rig *t = rig_new(0);

    for (u32 i = 0; i < 6; i++)
        cr_expect_eq(rig_in(t->r, 0x14 + i, 1), rig_mac[i]);
    cr_expect_eq(rig_in(t->r, 0x1a, 2), 1);
    t->card.front.link(t->card.front.opaque, false);
    cr_expect_eq(rig_in(t->r, 0x1a, 2), 0);
    cr_expect_eq(rig_in(t->r, 0x13, 1), 2, "the configuration changed");
    rig_free(t);
}

Test(virtio_net, receives_into_single_buffers)
{
    struct rig *t = rig_new(0);
    u8 frame[1514];
    u32 bytes;
    unsigned before;

    rig_frame(frame, sizeof(frame), rig_mac, 1);
    cr_expect(!rig_receive(&t->card.front, frame, sizeof(frame)), "no buffer: it waits");
    before = t->r->readies;
    add(t, 0, BUF, 1600, true);
    cr_expect(t->r->readies > before);
    cr_assert(rig_receive(&t->card.front, frame, sizeof(frame)));
    cr_assert_eq(used(t, 0, &bytes), 0);
    cr_expect_eq(bytes, 10 + sizeof(frame));
    cr_expect_arr_eq(t->r->ram + BUF + 10, frame, sizeof(frame));
    cr_expect(t->r->b->line[0].level && (rig_in(t->r, 0x13, 1) & 1) && !t->r->b->line[0].level);
    add(t, 0, BUF, 600, true);
    cr_expect(rig_receive(&t->card.front, frame, sizeof(frame)),
              "too small, and buffers are not merged: lost");
    cr_expect_eq(used(t, 0, &bytes), 1);
    cr_expect_eq(bytes, 0);
    rig_free(t);
}

Test(virtio_net, merges_buffers_across_a_wait)
{
    struct rig *t = rig_new(MRG);
    u8 frame[1514], *ram = t->r->ram;
    u32 bytes;

    rig_frame(frame, sizeof(frame), rig_mac, 2);
    add(t, 0, BUF, 512, true);
    add(t, 0, BUF + 0x1000, 512, true);
    cr_expect(!rig_receive(&t->card.front, frame, sizeof(frame)));
    cr_expect_eq(used(t, 0, &bytes), -1, "nothing is shown before all is there");
    add(t, 0, BUF + 0x2000, 1024, true);
    cr_assert(rig_receive(&t->card.front, frame, sizeof(frame)));
    cr_expect(used(t, 0, &bytes) == 0 && bytes == 512);
    cr_expect(used(t, 0, &bytes) == 1 && bytes == 512);
    cr_expect(used(t, 0, &bytes) == 2 && bytes == 12 + sizeof(frame) - 1024);
    cr_expect_eq(get(t, BUF + 10, 2), 3, "buffers");
    cr_expect(!memcmp(ram + BUF + 12, frame, 500) && !memcmp(ram + BUF + 0x1000, frame + 500, 512) &&
              !memcmp(ram + BUF + 0x2000, frame + 1012, sizeof(frame) - 1012));

    add(t, 0, BUF, 512, true);
    cr_expect(!rig_receive(&t->card.front, frame, sizeof(frame)));
    start_up(t, MRG);
    add(t, 0, BUF, 2048, true);
    cr_expect(rig_receive(&t->card.front, frame, sizeof(frame)), "a reset forgot the half frame");
    cr_expect(used(t, 0, &bytes) == 0 && bytes == 12 + sizeof(frame));
    cr_expect_arr_eq(ram + BUF + 12, frame, sizeof(frame));
    rig_free(t);
}

Test(virtio_net, a_half_frame_ends_with_the_link)
{
    struct rig *t = rig_new(MRG);
    u8 frame[2][1514];
    u32 bytes;

    rig_frame(frame[0], 1514, rig_mac, 3);
    rig_frame(frame[1], 1514, rig_mac, 4);
    add(t, 0, BUF, 512, true);
    cr_expect(!rig_receive(&t->card.front, frame[0], 1514));
    t->card.front.link(t->card.front.opaque, false);
    cr_expect(used(t, 0, &bytes) == 0 && bytes == 0, "its buffer goes back empty");
    cr_expect(rig_receive(&t->card.front, frame[0], 1514), "the cable is out: lost");
    t->card.front.link(t->card.front.opaque, true);
    add(t, 0, BUF, 2048, true);
    cr_expect(rig_receive(&t->card.front, frame[1], 1514));
    cr_expect(used(t, 0, &bytes) == 1 && bytes == 12 + 1514);
    cr_expect_arr_eq(t->r->ram + BUF + 12, frame[1], 1514);
    rig_free(t);
}

static void header(struct rig *t, u8 flags, u8 gso, u16 mss, u16 start, u16 offset)
{
    put(t, BUF, (u64)flags | gso << 8 | (u64)mss << 32 | (u64)start << 48, 8);
    put(t, BUF + 8, offset, 2);
}

Test(virtio_net, sends_and_waits)
{
    struct rig *t = rig_new(0);
    u32 bytes;

    header(t, 0, 0, 0, 0, 0);
    rig_frame(t->r->ram + BUF + 10, 300, rig_mac, 3);
    t->r->room = 1;
    for (unsigned i = 0; i < 3; i++)
        add(t, 1, BUF, 310, true);
    cr_expect_eq(t->r->n, 1);
    cr_expect_eq(t->r->sent[0].bytes, 300);
    cr_expect_arr_eq(t->r->sent[0].data, t->r->ram + BUF + 10, 300);
    cr_expect_eq(used(t, 1, &bytes), 0);
    cr_expect_eq(used(t, 1, &bytes), -1);
    t->r->room = 10;
    t->card.front.room(t->card.front.opaque);
    cr_expect_eq(t->r->n, 3);
    cr_expect(used(t, 1, &bytes) == 1 && used(t, 1, &bytes) == 2);
    add(t, 1, BUF, 12, true); /* no frame at all */
    cr_expect(t->r->n == 3 && used(t, 1, &bytes) == 3);
    rig_free(t);
}

Test(virtio_net, fills_in_checksums_and_cuts_packets)
{
    enum { PAYLOAD = 5000, MSS = 1000 };
    struct rig *t = rig_new(CSUM | TSO4);
    u8 *p = t->r->ram + BUF + 10;

    rig_frame(p, 54 + PAYLOAD, rig_mac, 0);
    memset(p + 12, 0, 42);
    p[12] = 8;
    p[14] = 0x45;
    p[23] = 6;
    memcpy(p + 26, (const u8[]){10, 0, 2, 15, 10, 0, 2, 2}, 8);
    p[46] = 0x50;
    p[47] = 0x99; /* CWR, ACK, PSH, FIN */
    u16 sum = rig_sum(p + 26, 8, 6 + 20 + 100);
    p[50] = (u8)(sum >> 8);
    p[51] = (u8)sum;
    header(t, 1, 0, 0, 34, 16);
    add(t, 1, BUF, 10 + 154, true);
    cr_assert_eq(t->r->n, 1);
    cr_expect_eq(rig_sum(t->r->sent[0].data + 34, 120, rig_sum(p + 26, 8, 6 + 120)), 0xffff);

    header(t, 1, 1, MSS, 34, 16);
    t->r->room = 2;
    add(t, 1, BUF, 10 + 54 + PAYLOAD, true);
    cr_assert_eq(t->r->n, 3);
    t->r->room = 50;
    t->card.front.room(t->card.front.opaque);
    cr_assert_eq(t->r->n, 6);
    for (u32 i = 0; i < 5; i++) {
        const u8 *f = t->r->sent[1 + i].data;

        cr_assert_eq(t->r->sent[1 + i].bytes, 54 + MSS);
        cr_expect_arr_eq(f + 54, p + 54 + i * MSS, MSS);
        cr_expect_eq((u32)(f[40] << 8 | f[41]), i * MSS);
        cr_expect_eq(f[47], (i == 0 ? 0x80 : 0) | 0x10 | (i == 4 ? 0x09 : 0));
        cr_expect_eq(rig_sum(f + 14, 20, 0), 0xffff);
        cr_expect_eq(rig_sum(f + 34, 20 + MSS, rig_sum(f + 26, 8, 6 + 20 + MSS)), 0xffff);
    }
    rig_free(t);
}

Test(virtio_net, survives_hostile_drivers)
{
    for (u64 seed = 1; seed <= 60; seed++) {
        struct rig *t = rig_new((u32)seed & 1 ? MRG | CSUM | TSO4 : CSUM | TSO4);
        u64 state = seed * 0x9e3779b97f4a7c15ull;
        u8 frame[9100];

        t->r->keep_none = true;
        for (unsigned i = 0; i < 2000; i++) {
            u32 r = rig_random(&state), val = rig_random(&state);

            switch (r % 8) {
            case 0:
                rig_frame(frame, 14 + val % 9000, rig_mac, (u8)i);
                (void)rig_receive(&t->card.front, frame, 14 + val % 9000);
                break;
            case 1: add(t, 0, r & 0x100 ? BUF : val, r & 0x200 ? val % 3000 : val, true); break;
            case 2:
            case 3: /* headers that are nearly right */
                for (u32 at = 0; at < 80; at += 4)
                    put(t, BUF + at, rig_random(&state), 4);
                if (r & 0x100)
                    header(t, 1, val & 0x100 ? 1 : 0, (u16)(64 + val % 200), (u16)(val >> 16 & 63),
                           (u16)(val >> 24 & 31));
                if (r & 0x200)
                    put(t, BUF + 10 + 14, 0x45, 1);
                add(t, 1, BUF, r & 0x400 ? 100 + val % 70000 : val % 200, true);
                break;
            case 4: t->card.front.room(t->card.front.opaque); break;
            case 5: put(t, QUEUE + val % (2 * QUEUE_SPAN), rig_random(&state), 2); break;
            case 6:
                if (!(r & 0xf00))
                    start_up(t, val);
                break;
            default: rig_out(t->r, 0x10, 2, r >> 8 & 3);
            }
        }
        rig_free(t);
    }
}
