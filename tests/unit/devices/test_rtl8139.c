/*
 * test_rtl8139.c - the RTL8139 against a driver of a few lines, and against random registers.
 *
 * Fails if a frame is lost, torn, out of order or past the filter, in either mode of the ring; if frames are not sent in the order in
 * which their slots were started; if a driver that leaves frames in the ring is not told again; or (with the sanitizers) if registers
 * lead astray.
 */
#include "nic_rig.h"

#include "devices/rtl8139.h"

enum { RING = 0x10000, TX = 0x40000, SIZE = 8192, WRAP = 0x80 };

struct rig {
    struct nic_rig *r;
    struct rtl8139 card;
    u32 at; /* where the driver reads */
};

static void start_up(struct rig *t, u32 rcr)
{
    rig_out(t->r, 0x37, 1, 0x10);
    cr_assert(!(rig_in(t->r, 0x37, 1) & 0x10));
    rig_out(t->r, 0x30, 4, RING);
    rig_out(t->r, 0x37, 1, 0x0c);
    rig_out(t->r, 0x44, 4, rcr);
    rig_out(t->r, 0x3c, 2, 0x7f);
    t->at = 0;
}

static struct rig *rig_new(u32 rcr)
{
    struct rig *t = calloc(1, sizeof(*t));
    struct dma_mem mem;
    struct nic_back back;

    t->r = nic_rig_new();
    mem = rig_mem(t->r);
    back = rig_back(t->r);
    rtl8139_init(&t->card, &mem, &t->r->b->clk, board_line(t->r->b, 0), rig_mac, &back);
    rig_plug(t->r, &t->card.pci, RIG_PORT);
    start_up(t, rcr);
    return t;
}

static void rig_free(struct rig *t)
{
    nic_rig_free(t->r);
    free(t);
}

/* The next frame; its length, 0: none. */
static u32 take(struct rig *t, u8 *frame, bool wrap)
{
    u8 head[4];
    u32 bytes;

    if (rig_in(t->r, 0x37, 1) & 1)
        return 0;
    memcpy(head, t->r->ram + RING + t->at, 4);
    bytes = (u32)(head[2] | head[3] << 8) - 4;
    cr_assert((head[0] & 1) && bytes <= 1514, "header %02x, %u bytes", head[0], bytes);
    for (u32 i = 0; i < bytes; i++)
        frame[i] = t->r->ram[RING + (wrap ? t->at + 4 + i : (t->at + 4 + i) % SIZE)];
    t->at = (t->at + (u32)align_up(bytes + 8, 4)) % SIZE;
    rig_out(t->r, 0x38, 2, (t->at - 16) & 0xffff);
    return bytes;
}

/* As Linux's driver does: two zeros go before the command. */
static u16 eeprom_word(struct rig *t, u32 at)
{
    u32 command = 6u << 6 | at;
    u16 val = 0;

    rig_out(t->r, 0x50, 1, 0x80);
    rig_out(t->r, 0x50, 1, 0x88);
    for (int i = 10; i >= 0; i--) {
        u32 di = command >> i & 1 ? 2 : 0;

        rig_out(t->r, 0x50, 1, 0x88 | di);
        rig_out(t->r, 0x50, 1, 0x8c | di);
    }
    rig_out(t->r, 0x50, 1, 0x88);
    for (unsigned i = 0; i < 16; i++) {
        rig_out(t->r, 0x50, 1, 0x8c);
        val = (u16)(val << 1 | (rig_in(t->r, 0x50, 1) & 1));
        rig_out(t->r, 0x50, 1, 0x88);
    }
    rig_out(t->r, 0x50, 1, 0);
    return val;
}

Test(rtl8139, tells_its_address)
{
    struct rig *t = rig_new(0x0e);

    cr_expect_eq(eeprom_word(t, 0), 0x8129);
    for (u32 i = 0; i < 3; i++) {
        u32 word = rig_mac[2 * i] | (u32)rig_mac[2 * i + 1] << 8;

        cr_expect_eq(eeprom_word(t, 7 + i), word);
        cr_expect_eq(rig_in(t->r, 2 * i, 2), word);
    }
    cr_expect_eq(rig_in(t->r, 0x40, 4) & 0x7c800000, 0x74000000, "a C");
    rig_free(t);
}

static void around_the_ring(u32 rcr)
{
    struct rig *t = rig_new(rcr);
    u8 frame[1514], got[2048];
    u64 state = 11;
    unsigned put = 0, taken = 0, refused = 0;
    u32 bytes_of[400];

    while (taken < 300) {
        u32 bytes = 60 + rig_random(&state) % 1455;

        if (put < 300 && rig_random(&state) % 3) {
            rig_frame(frame, bytes, rig_mac, (u8)put);
            bytes_of[put] = bytes;
            if (rig_receive(&t->card.front, frame, bytes)) {
                put++;
                cr_assert(rig_in(t->r, 0x3e, 2) & 1);
            } else {
                refused++;
            }
            continue;
        }
        bytes = take(t, got, rcr & WRAP);
        if (!bytes) {
            cr_assert_eq(put, taken, "frames vanished");
            continue;
        }
        cr_assert_eq(bytes, bytes_of[taken]);
        rig_frame(frame, bytes, rig_mac, (u8)taken);
        cr_assert_arr_eq(got, frame, bytes);
        taken++;
    }
    cr_expect(refused > 0);
    rig_free(t);
}

Test(rtl8139, the_ring_wraps_and_loses_nothing)
{
    around_the_ring(0x0e);
    around_the_ring(0x0e | WRAP);
}

Test(rtl8139, a_refused_frame_is_asked_for_and_unread_ones_are_told_again)
{
    struct rig *t = rig_new(0x0e);
    u8 frame[1000], got[2048];
    unsigned before;

    rig_frame(frame, sizeof(frame), rig_mac, 0);
    while (rig_receive(&t->card.front, frame, sizeof(frame)))
        ;
    rig_out(t->r, 0x3e, 2, 1);
    cr_expect(rig_in(t->r, 0x3e, 2) & 1, "one waits");
    before = t->r->readies;
    cr_assert_eq(take(t, got, false), sizeof(frame));
    cr_expect(t->r->readies > before);
    cr_expect(rig_receive(&t->card.front, frame, sizeof(frame)));
    rig_out(t->r, 0x3e, 2, 1);
    cr_expect(!t->r->b->line[0].level);
    board_run(t->r->b, MS);
    cr_expect(t->r->b->line[0].level, "the ring is not empty");
    while (take(t, got, false))
        ;
    rig_out(t->r, 0x3e, 2, 1);
    board_run(t->r->b, 10 * MS);
    cr_expect(!t->r->b->line[0].level);
    rig_free(t);
}

Test(rtl8139, filters)
{
    static const u8 other[6] = {0x52, 0x54, 0, 1, 2, 3}, all[6] = {255, 255, 255, 255, 255, 255},
                    group[6] = {1, 0, 0x5e, 0, 0, 0xfb};
    const struct {
        u32 rcr;
        const u8 *dest;
        bool table, taken;
    } cases[] = {
        {0x02, rig_mac, false, true}, {0x02, other, false, false},   {0x02, all, false, false},
        {0x0a, all, false, true},     {0x04, group, true, true},     {0x04, group, false, false},
        {0x01, other, false, true},   {0x00, rig_mac, false, false},
    };
    u8 frame[60], got[2048];

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct rig *t = rig_new(cases[i].rcr);
        u32 hash = nic_mac_crc(group) >> 26;

        rig_out(t->r, 8 + (hash >> 5) * 4, 4, cases[i].table ? 1u << (hash & 31) : 0);
        rig_frame(frame, 60, cases[i].dest, 0);
        cr_expect(rig_receive(&t->card.front, frame, 60));
        cr_expect_eq(take(t, got, false), cases[i].taken ? 60 : 0, "case %zu", i);
        rig_free(t);
    }
}

Test(rtl8139, sends_in_order_and_waits)
{
    struct rig *t = rig_new(0x0e);

    t->r->room = 1;
    for (u32 i = 0; i < 4; i++) {
        u32 slot = (i + 2) % 4;

        rig_frame(t->r->ram + TX + slot * 2048, 100 + slot, rig_mac, (u8)slot);
        rig_out(t->r, 0x20 + slot * 4, 4, TX + slot * 2048);
        rig_out(t->r, 0x10 + slot * 4, 4, 100 + slot);
    }
    cr_expect_eq(t->r->n, 1);
    cr_expect(rig_in(t->r, 0x18, 4) & 0x8000 && !(rig_in(t->r, 0x1c, 4) & 0x2000));
    t->r->room = 10;
    t->card.front.room(t->card.front.opaque);
    cr_assert_eq(t->r->n, 4);
    for (u32 i = 0; i < 4; i++) {
        u32 slot = (i + 2) % 4;

        cr_expect_eq(t->r->sent[i].bytes, 100 + slot);
        cr_expect_arr_eq(t->r->sent[i].data, t->r->ram + TX + slot * 2048, 100 + slot);
    }
    cr_expect_eq(rig_in(t->r, 0x60, 2), 0xf00f);
    cr_expect(t->r->b->line[0].level && (rig_in(t->r, 0x3e, 2) & 4));
    rig_out(t->r, 0x10, 4, 100);
    start_up(t, 0x0e);
    cr_expect_eq(rig_in(t->r, 0x10, 4) & 0x2000, 0x2000);
    rig_free(t);
}

Test(rtl8139, survives_random_registers)
{
    for (u64 seed = 1; seed <= 60; seed++) {
        struct rig *t = rig_new(0x0f);
        u64 state = seed * 0x9e3779b97f4a7c15ull;
        u8 frame[4000];

        t->r->keep_none = true;
        for (unsigned i = 0; i < 4000; i++) {
            u32 r = rig_random(&state), val = rig_random(&state);

            switch (r % 8) {
            case 0:
            case 1:
                rig_frame(frame, 14 + val % 3000, rig_mac, (u8)i);
                (void)rig_receive(&t->card.front, frame, 14 + val % 3000);
                break;
            case 2: t->card.front.room(t->card.front.opaque); break;
            case 3: board_run(t->r->b, val % MS); break;
            case 4: (void)rig_in(t->r, (r >> 8) % 253, 1u << (r >> 16) % 3); break;
            case 5: rig_out(t->r, 0x10 + 4 * (r >> 8 & 3), 4, val & 0x1fff); break;
            case 6:
                if (!(r & 0xf00))
                    start_up(t, 0x0f | (val & 0x1880));
                break;
            default: rig_out(t->r, (r >> 8) % 253, 1u << (r >> 16) % 3, val);
            }
        }
        rig_free(t);
    }
}
