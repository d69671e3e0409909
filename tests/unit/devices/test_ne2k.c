/*
 * test_ne2k.c - the NE2000 against a driver of a few lines, and against random registers.
 *
 * Fails if a frame is lost, torn, put over unread ones, delivered past the filter, or sent with other bytes than the driver
 * wrote; if a driver that leaves frames in the ring is not told again; or (with the sanitizers) if any register value leads astray.
 */
#include "nic_rig.h"

#include "devices/ne2k.h"

enum { BASE = 0x300, START = 0x46, STOP = 0x60, TX_PAGE = 0x40 };

struct rig {
    struct nic_rig *r;
    struct ne2k card;
};

static void select_page(struct rig *t, unsigned page)
{
    outb(t->r->b, BASE, page << 6 | 0x22);
}

static void remote(struct rig *t, u16 at, u16 bytes, u8 command)
{
    struct board *b = t->r->b;

    outb(b, BASE + 8, at & 0xff);
    outb(b, BASE + 9, at >> 8);
    outb(b, BASE + 10, bytes & 0xff);
    outb(b, BASE + 11, bytes >> 8);
    outb(b, BASE, command);
}

static void read_memory(struct rig *t, u16 at, u8 *to, u16 bytes)
{
    remote(t, at, bytes, 0x0a);
    for (u16 i = 0; i < bytes; i += 2) {
        u32 val = io_bus_read(&t->r->b->io, BASE + 0x10, 2);

        to[i] = (u8)val;
        if (i + 1 < bytes)
            to[i + 1] = (u8)(val >> 8);
    }
    cr_expect(inb(t->r->b, BASE + 7) & 0x40, "remote DMA complete");
    outb(t->r->b, BASE + 7, 0x40);
}

static void start_up(struct rig *t)
{
    struct board *b = t->r->b;

    (void)inb(b, BASE + 0x1f);
    outb(b, BASE, 0x21);
    outb(b, BASE + 14, 0x49); /* words, normal operation */
    outb(b, BASE + 12, 0x04); /* broadcast */
    outb(b, BASE + 1, START);
    outb(b, BASE + 2, STOP);
    outb(b, BASE + 3, START);
    outb(b, BASE + 7, 0xff);
    outb(b, BASE + 15, 0x3f);
    outb(b, BASE, 0x61);
    for (unsigned i = 0; i < 6; i++)
        outb(b, BASE + 1 + i, rig_mac[i]);
    outb(b, BASE + 7, START + 1);
    outb(b, BASE, 0x22);
}

static struct rig *rig_new(void)
{
    struct rig *t = calloc(1, sizeof(*t));
    struct nic_back back;

    t->r = nic_rig_new();
    back = rig_back(t->r);
    cr_assert_eq(
        ne2k_isa_init(&t->card, &t->r->b->io, BASE, &t->r->b->clk, board_line(t->r->b, 0), rig_mac, &back),
        0);
    start_up(t);
    return t;
}

static void rig_free(struct rig *t)
{
    nic_rig_free(t->r);
    free(t);
}

/* Takes the next frame out of the ring as drivers do; its length, 0 if there is none. */
static u32 take(struct rig *t, u8 *frame)
{
    struct board *b = t->r->b;
    u8 head[4], curr, page = inb(b, BASE + 3) + 1;
    u32 bytes, first;

    if (page == STOP)
        page = START;
    select_page(t, 1);
    curr = inb(b, BASE + 7);
    select_page(t, 0);
    if (curr == page)
        return 0;
    read_memory(t, (u16)(page << 8), head, 4);
    bytes = (u32)(head[2] | head[3] << 8) - 4;
    cr_assert(head[0] & 1 && bytes <= 1518, "status %02x, %u bytes", head[0], bytes);
    first = (u32)(STOP - page) * 256 - 4;
    first = first < bytes ? first : bytes;
    read_memory(t, (u16)((page << 8) + 4), frame, (u16)first);
    if (first < bytes)
        read_memory(t, START << 8, frame + first, (u16)(bytes - first));
    cr_assert(head[1] >= START && head[1] < STOP);
    outb(b, BASE + 3, head[1] == START ? STOP - 1 : head[1] - 1);
    return bytes;
}

static void send(struct rig *t, const u8 *frame, u16 bytes)
{
    struct board *b = t->r->b;

    remote(t, TX_PAGE << 8, bytes, 0x12);
    for (u16 i = 0; i < bytes; i += 2)
        io_bus_write(&b->io, BASE + 0x10, 2, frame[i] | (i + 1 < bytes ? frame[i + 1] << 8 : 0));
    outb(b, BASE + 7, 0x40);
    outb(b, BASE + 4, TX_PAGE);
    outb(b, BASE + 5, bytes & 0xff);
    outb(b, BASE + 6, bytes >> 8);
    outb(b, BASE, 0x26);
}

Test(ne2k, its_address_is_in_the_prom)
{
    struct rig *t = rig_new();
    u8 prom[32];

    read_memory(t, 0, prom, 32);
    for (unsigned i = 0; i < 6; i++)
        cr_expect(prom[2 * i] == rig_mac[i] && prom[2 * i + 1] == rig_mac[i]);
    cr_expect(prom[28] == 0x57 && prom[30] == 0x57);
    rig_free(t);
}

Test(ne2k, sends_what_lies_in_its_memory)
{
    struct rig *t = rig_new();
    u8 frame[1514];

    for (u32 bytes = 60; bytes <= 1514; bytes += 727) {
        rig_frame(frame, bytes, rig_mac, (u8)bytes);
        send(t, frame, (u16)bytes);
        cr_assert_eq(t->r->n, 1);
        cr_expect_eq(t->r->sent[0].bytes, bytes);
        cr_expect_arr_eq(t->r->sent[0].data, frame, bytes);
        cr_expect(t->r->b->line[0].level && (inb(t->r->b, BASE + 7) & 2) && !(inb(t->r->b, BASE) & 4));
        outb(t->r->b, BASE + 7, 0xff);
        cr_expect(!t->r->b->line[0].level);
        t->r->n = 0;
    }
    rig_free(t);
}

Test(ne2k, waits_for_a_full_back_end)
{
    struct rig *t = rig_new();
    u8 frame[60];

    rig_frame(frame, 60, rig_mac, 1);
    t->r->room = 0;
    send(t, frame, 60);
    cr_expect(inb(t->r->b, BASE) & 4, "transmit is still on");
    cr_expect(!(inb(t->r->b, BASE + 7) & 2));
    outb(t->r->b, BASE, 0x26); /* again: nothing is sent twice */
    t->r->room = 8;
    t->card.front.room(t->card.front.opaque);
    t->card.front.room(t->card.front.opaque);
    cr_expect_eq(t->r->n, 1);
    cr_expect(!(inb(t->r->b, BASE) & 4) && (inb(t->r->b, BASE + 7) & 2));

    t->r->room = 0;
    send(t, frame, 60);
    (void)inb(t->r->b, BASE + 0x1f);
    t->r->room = 8;
    t->card.front.room(t->card.front.opaque);
    cr_expect_eq(t->r->n, 1, "reset forgot the frame");
    rig_free(t);
}

Test(ne2k, the_ring_wraps_and_loses_nothing)
{
    struct rig *t = rig_new();
    u8 frame[1514], got[1600];
    u64 state = 7;
    unsigned in = 0, out = 0, refused = 0;
    u32 bytes_of[512];

    while (out < 400) {
        u32 bytes = 60 + rig_random(&state) % 1455;

        if (in < 400 && rig_random(&state) % 3) {
            rig_frame(frame, bytes, rig_mac, (u8)in);
            bytes_of[in] = bytes;
            if (rig_receive(&t->card.front, frame, bytes))
                in++;
            else
                refused++;
            continue;
        }
        bytes = take(t, got);
        if (!bytes) {
            cr_assert_eq(in, out, "frames vanished");
            continue;
        }
        cr_assert(out < in);
        cr_assert_eq(bytes, bytes_of[out]);
        rig_frame(frame, bytes, rig_mac, (u8)out);
        cr_assert_arr_eq(got, frame, bytes);
        out++;
    }
    cr_expect(refused > 0, "the ring was never full");
    rig_free(t);
}

Test(ne2k, a_refused_frame_is_asked_for)
{
    struct rig *t = rig_new();
    u8 frame[1514], got[1600];
    unsigned before;

    rig_frame(frame, 1514, rig_mac, 0);
    while (rig_receive(&t->card.front, frame, 1514))
        ;
    outb(t->r->b, BASE + 7, 0x3f);
    cr_expect(inb(t->r->b, BASE + 7) & 1, "a frame waits and the ring is not empty: it says so at once");
    before = t->r->readies;
    cr_assert_eq(take(t, got), 1514);
    cr_expect(t->r->readies > before);
    cr_expect(rig_receive(&t->card.front, frame, 1514));
    rig_free(t);
}

Test(ne2k, says_again_that_frames_are_unread)
{
    struct rig *t = rig_new();
    u8 frame[60], got[1600];

    rig_frame(frame, 60, rig_mac, 0);
    cr_assert(rig_receive(&t->card.front, frame, 60) && rig_receive(&t->card.front, frame, 60));
    cr_assert_eq(take(t, got), 60);
    outb(t->r->b, BASE + 7, 0x3f);
    cr_expect(!t->r->b->line[0].level);
    board_run(t->r->b, MS);
    cr_expect(t->r->b->line[0].level, "one frame is left");
    cr_assert_eq(take(t, got), 60);
    outb(t->r->b, BASE + 7, 0x3f);
    board_run(t->r->b, 10 * MS);
    cr_expect(!t->r->b->line[0].level, "none is left");
    rig_free(t);
}

Test(ne2k, filters)
{
    static const u8 other[6] = {0x52, 0x54, 0, 1, 2, 3}, all[6] = {255, 255, 255, 255, 255, 255},
                    group[6] = {1, 0, 0x5e, 0, 0, 0xfb};
    struct rig *t = rig_new();
    u8 frame[60], got[1600];
    const struct {
        u8 rcr;
        const u8 *dest;
        bool taken;
    } cases[] = {
        {0x00, rig_mac, true}, {0x00, other, false}, {0x00, all, false},
        {0x04, all, true},     {0x08, group, false}, {0x10, other, true},
        {0x10, group, false},  {0x48, group, true},  {0x24, rig_mac, false},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        u32 hash = nic_mac_crc(group) >> 26;

        outb(t->r->b, BASE + 12, cases[i].rcr & 0x3f);
        select_page(t, 1);
        for (unsigned j = 0; j < 8; j++)
            outb(t->r->b, BASE + 8 + j, (cases[i].rcr & 0x40) && j == hash >> 3 ? 1u << (hash & 7) : 0);
        select_page(t, 0);
        rig_frame(frame, 60, cases[i].dest, 0);
        cr_expect(rig_receive(&t->card.front, frame, 60), "nothing is kept waiting");
        cr_expect_eq(take(t, got), cases[i].taken ? 60 : 0, "case %zu", i);
    }
    /* 224.0.0.1 has the place in the table that drivers compute. */
    cr_expect_eq(nic_mac_crc((const u8[6]){0x01, 0x00, 0x5e, 0x00, 0x00, 0x01}) >> 26, 0x1f);
    rig_free(t);
}

Test(ne2k, short_frames_are_padded_and_a_stopped_chip_hears_nothing)
{
    struct rig *t = rig_new();
    u8 frame[60], got[1600];

    rig_frame(frame, 42, rig_mac, 0);
    memset(frame + 42, 0, 18);
    cr_expect(rig_receive(&t->card.front, frame, 42));
    cr_assert_eq(take(t, got), 60);
    cr_expect_arr_eq(got, frame, 60);
    outb(t->r->b, BASE, 0x21);
    cr_expect(rig_receive(&t->card.front, frame, 60));
    outb(t->r->b, BASE, 0x22);
    cr_expect_eq(take(t, got), 0);
    t->card.front.link(t->card.front.opaque, false);
    cr_expect(rig_receive(&t->card.front, frame, 60));
    cr_expect_eq(take(t, got), 0);
    send(t, frame, 60);
    cr_expect_eq(t->r->n, 0);
    rig_free(t);
}

Test(ne2k, string_transfers_are_like_single_ones)
{
    struct rig *t = rig_new();
    u8 out[512], in[512] = {0};

    for (unsigned i = 0; i < sizeof(out); i++)
        out[i] = (u8)(i * 3);
    remote(t, 0x4100, sizeof(out), 0x12);
    cr_assert_eq(io_bus_write_string(&t->r->b->io, BASE + 0x10, 2, out, 128), 128);
    cr_assert_eq(io_bus_write_string(&t->r->b->io, BASE + 0x10, 4, out + 256, 64), 64);
    cr_expect(inb(t->r->b, BASE + 7) & 0x40);
    read_memory(t, 0x4100, in, sizeof(in));
    cr_expect_arr_eq(in, out, sizeof(out));
    memset(in, 0, sizeof(in));
    remote(t, 0x4100, sizeof(in), 0x0a);
    cr_assert_eq(io_bus_read_string(&t->r->b->io, BASE + 0x10, 2, in, 256), 256);
    cr_expect_arr_eq(in, out, sizeof(out));
    cr_expect_eq(io_bus_read_string(&t->r->b->io, BASE + 0x10, 1, in, 4), 0, "not the port's width");
    rig_free(t);
}

Test(ne2k, survives_random_registers)
{
    for (u64 seed = 1; seed <= 40; seed++) {
        struct rig *t = rig_new();
        u64 state = seed * 0x9e3779b97f4a7c15ull;
        u8 frame[2048], junk[256];

        t->r->keep_none = true;
        for (unsigned i = 0; i < 5000; i++) {
            u32 r = rig_random(&state), size = 1u << r % 3, port = BASE + (r >> 8) % 32,
                val = rig_random(&state);

            switch (r >> 3 & 15) {
            case 0:
                rig_frame(frame, 14 + val % 2000, val & 1 ? rig_mac : frame + 100, (u8)i);
                (void)rig_receive(&t->card.front, frame, 14 + val % 2000);
                break;
            case 1: (void)io_bus_read_string(&t->r->b->io, BASE + 0x10, size, junk, 64); break;
            case 2: (void)io_bus_write_string(&t->r->b->io, BASE + 0x10, size, junk, 64); break;
            case 3: t->card.front.room(t->card.front.opaque); break;
            case 4: board_run(t->r->b, val % MS); break;
            case 5:
            case 6: (void)io_bus_read(&t->r->b->io, (u16)port, size); break;
            case 7: start_up(t); break;
            default: io_bus_write(&t->r->b->io, (u16)port, size, val);
            }
        }
        rig_free(t);
    }
}
