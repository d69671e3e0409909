/*
 * test_e1000.c - the 82540EM against a driver of a few lines, and against hostile rings.
 *
 * Fails if a frame is lost, torn or given twice, if checksums, tags or segments are not what a peer expects, if the EEPROM or PHY
 * read otherwise than drivers need, if interrupts come too often; or (with the sanitizers) if a descriptor leads astray.
 */
#include "nic_rig.h"

#include "devices/e1000.h"

enum {
    BAR = 0x10000000,
    RX_RING = 0x1000,
    TX_RING = 0x2000,
    RX_N = 16,
    TX_N = 16,
    RX_BUF = 0x10000,
    TX_BUF = 0x40000
};

struct rig {
    struct nic_rig *r;
    struct e1000 card;
    u32 rx_next, tx_next;
};

static u32 get(struct rig *t, u32 reg)
{
    return (u32)mmio_bus_read(&t->r->b->mmio, BAR + reg, 4);
}

static void set(struct rig *t, u32 reg, u32 val)
{
    mmio_bus_write(&t->r->b->mmio, BAR + reg, 4, val);
}

static void rx_buffers(struct rig *t)
{
    memset(t->r->ram + RX_RING, 0, RX_N * 16);
    for (u32 i = 0; i < RX_N; i++) {
        u64 gpa = RX_BUF + i * 2048;

        memcpy(t->r->ram + RX_RING + i * 16, &gpa, 8);
    }
}

static void start_up(struct rig *t)
{
    set(t, E1000_CTRL, 1u << 26);
    rx_buffers(t);
    set(t, E1000_RDBAL, RX_RING);
    set(t, E1000_RDLEN, RX_N * 16);
    set(t, E1000_RDH, 0);
    set(t, E1000_RDT, RX_N - 1);
    set(t, E1000_TDBAL, TX_RING);
    set(t, E1000_TDLEN, TX_N * 16);
    set(t, E1000_TDH, 0);
    set(t, E1000_TDT, 0);
    set(t, E1000_TCTL, 2);
    set(t, E1000_RCTL, 0x8002); /* on, broadcast, 2 KiB buffers */
    set(t, E1000_IMS, 0x9d);
    t->rx_next = t->tx_next = 0;
}

static struct rig *rig_new(void)
{
    struct rig *t = calloc(1, sizeof(*t));
    struct dma_mem mem;
    struct nic_back back;

    t->r = nic_rig_new();
    mem = rig_mem(t->r);
    back = rig_back(t->r);
    e1000_init(&t->card, &mem, &t->r->b->clk, board_line(t->r->b, 0), rig_mac, &back);
    rig_plug(t->r, &t->card.pci, BAR);
    rig_config(t->r, 0x14, 4, RIG_PORT);
    start_up(t);
    return t;
}

static void rig_free(struct rig *t)
{
    nic_rig_free(t->r);
    free(t);
}

/* The next received frame without its checksum; 0: none. */
static u32 take(struct rig *t, u8 *frame, u16 *vlan)
{
    u32 bytes = 0;

    for (bool end = false; !end;) {
        u8 *d = t->r->ram + RX_RING + t->rx_next * 16;
        u32 n = (u32)(d[8] | d[9] << 8);

        if (!(d[12] & 1))
            return 0;
        memcpy(frame + bytes, t->r->ram + RX_BUF + t->rx_next * 2048, n);
        bytes += n;
        end = d[12] & 2;
        if (vlan)
            *vlan = d[12] & 8 ? (u16)(d[14] | d[15] << 8) : 0;
        memset(d + 8, 0, 8);
        set(t, E1000_RDT, t->rx_next);
        t->rx_next = (t->rx_next + 1) % RX_N;
    }
    return bytes - 4;
}

/* Appends a descriptor; the card sees it at push(). */
static void descriptor(struct rig *t, u64 gpa, u32 word2, u32 word3)
{
    u8 *d = t->r->ram + TX_RING + t->tx_next * 16;

    memcpy(d, &gpa, 8);
    memcpy(d + 8, &word2, 4);
    memcpy(d + 12, &word3, 4);
    t->tx_next = (t->tx_next + 1) % TX_N;
}

static void push(struct rig *t)
{
    set(t, E1000_TDT, t->tx_next);
}

static void context(struct rig *t, u32 word0, u32 word1, u32 word2, u32 word3)
{
    descriptor(t, (u64)word1 << 32 | word0, word2 | 0x20000000, word3);
}

Test(e1000, eeprom_by_register_and_by_wire)
{
    struct rig *t = rig_new();
    u16 word[64], sum = 0;

    for (u32 i = 0; i < 64; i++) {
        set(t, E1000_EERD, i << 8 | 1);
        cr_assert(get(t, E1000_EERD) & 0x10);
        word[i] = (u16)(get(t, E1000_EERD) >> 16);
        sum = (u16)(sum + word[i]);
    }
    cr_expect_eq(sum, 0xbaba);
    for (unsigned i = 0; i < 3; i++)
        cr_expect_eq(word[i], rig_mac[2 * i] | rig_mac[2 * i + 1] << 8);
    for (u32 i = 0; i < 64; i++) {
        u32 base = 0x40, command = 6u << 6 | i, val = 0;

        set(t, E1000_EECD, base);
        cr_assert(get(t, E1000_EECD) & 0x80, "granted");
        set(t, E1000_EECD, base | 2);
        for (int bit = 8; bit >= 0; bit--) {
            u32 di = command >> bit & 1 ? 4 : 0;

            set(t, E1000_EECD, base | 2 | di);
            set(t, E1000_EECD, base | 3 | di);
            set(t, E1000_EECD, base | 2 | di);
        }
        for (unsigned bit = 0; bit < 16; bit++) {
            set(t, E1000_EECD, base | 3);
            val = val << 1 | (get(t, E1000_EECD) >> 3 & 1);
            set(t, E1000_EECD, base | 2);
        }
        set(t, E1000_EECD, 0);
        cr_assert_eq(val, word[i], "word %u: %04x, not %04x", i, val, word[i]);
    }
    rig_free(t);
}

Test(e1000, phy_and_link)
{
    struct rig *t = rig_new();

    set(t, E1000_MDIC, 2u << 26 | 1u << 21 | 2u << 16);
    cr_expect_eq(get(t, E1000_MDIC) & 0x1000ffff, 0x10000141);
    set(t, E1000_MDIC, 2u << 26 | 2u << 21 | 2u << 16);
    cr_expect(get(t, E1000_MDIC) & 1u << 30, "no other PHY");
    cr_expect(get(t, E1000_STATUS) & 2);
    (void)get(t, E1000_ICR);
    t->card.front.link(t->card.front.opaque, false);
    cr_expect(!(get(t, E1000_STATUS) & 2));
    cr_expect(t->r->b->line[0].level);
    cr_expect_eq(get(t, E1000_ICR), 4);
    cr_expect(!t->r->b->line[0].level, "reading clears");
    rig_free(t);
}

Test(e1000, receives_around_the_ring)
{
    struct rig *t = rig_new();
    u8 frame[1514], got[4096];

    for (u32 i = 0; i < 100; i++) {
        u32 bytes = 60 + i * 14;

        rig_frame(frame, bytes, rig_mac, (u8)i);
        cr_assert(rig_receive(&t->card.front, frame, bytes));
        cr_expect(get(t, E1000_ICR) & 0x80);
        cr_assert_eq(take(t, got, NULL), bytes);
        cr_assert_arr_eq(got, frame, bytes);
    }
    cr_expect_eq(get(t, E1000_GPRC), 100);
    cr_expect_eq(get(t, E1000_GPRC), 0, "statistics clear when read");
    rig_free(t);
}

Test(e1000, a_full_ring_makes_the_back_end_wait)
{
    struct rig *t = rig_new();
    u8 frame[1514], got[4096];
    unsigned n = 0, before;

    rig_frame(frame, 100, rig_mac, 0);
    while (rig_receive(&t->card.front, frame, 100))
        cr_assert(++n < RX_N);
    cr_expect_eq(n, RX_N - 1);
    cr_expect(get(t, E1000_ICR) & 0x10, "few descriptors are left");
    before = t->r->readies;
    cr_assert_eq(take(t, got, NULL), 100);
    cr_expect(t->r->readies > before);
    cr_expect(rig_receive(&t->card.front, frame, 100) && !rig_receive(&t->card.front, frame, 100));
    start_up(t);
    cr_expect(rig_receive(&t->card.front, frame, 100), "after a reset in the middle");
    cr_expect_eq(take(t, got, NULL), 100);
    rig_free(t);
}

Test(e1000, large_frames_go_over_several_buffers)
{
    struct rig *t = rig_new();
    u8 frame[9014], got[16384];

    rig_frame(frame, sizeof(frame), rig_mac, 3);
    cr_expect(rig_receive(&t->card.front, frame, sizeof(frame)));
    cr_expect_eq(take(t, got, NULL), 0, "too long for what RCTL allows");
    set(t, E1000_RCTL, 0x8022);
    cr_assert(rig_receive(&t->card.front, frame, sizeof(frame)));
    cr_assert_eq(take(t, got, NULL), sizeof(frame));
    cr_expect_arr_eq(got, frame, sizeof(frame));
    rig_free(t);
}

Test(e1000, filters)
{
    static const u8 other[6] = {0x52, 0x54, 0, 1, 2, 3}, all[6] = {255, 255, 255, 255, 255, 255},
                    group[6] = {1, 0, 0x5e, 0, 0, 0xfb};
    struct rig *t = rig_new();
    u8 frame[60], got[4096];
    const struct {
        u32 rctl;
        const u8 *dest;
        bool table, taken;
    } cases[] = {
        {0x0002, rig_mac, false, true},  {0x0002, other, false, false}, {0x0002, all, false, false},
        {0x8002, all, false, true},      {0x0002, group, false, false}, {0x0002, group, true, true},
        {0x000a, other, false, true},    {0x000a, group, false, false}, {0x0012, group, false, true},
        {0x0000, rig_mac, false, false},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        u32 hash = ((u32)group[5] << 8 | group[4]) >> 4 & 0xfff;

        set(t, E1000_RCTL, cases[i].rctl);
        set(t, E1000_MTA + (hash >> 5) * 4, cases[i].table ? 1u << (hash & 31) : 0);
        rig_frame(frame, 60, cases[i].dest, 0);
        cr_expect(rig_receive(&t->card.front, frame, 60));
        cr_expect_eq(take(t, got, NULL), cases[i].taken ? 60 : 0, "case %zu", i);
    }
    rig_free(t);
}

Test(e1000, vlan_tags)
{
    struct rig *t = rig_new();
    u8 frame[64], got[4096];
    u16 vlan;

    rig_frame(frame, 64, rig_mac, 0);
    frame[12] = 0x81;
    frame[13] = 0x00;
    frame[14] = 0x20;
    frame[15] = 0x07;
    set(t, E1000_CTRL, 1u << 30);
    cr_expect(rig_receive(&t->card.front, frame, 64));
    cr_assert_eq(take(t, got, &vlan), 60);
    cr_expect_eq(vlan, 0x2007);
    cr_expect(!memcmp(got + 12, frame + 16, 48));
    memcpy(t->r->ram + TX_BUF, got, 60);
    descriptor(t, TX_BUF, 0x49000000 | 60, 0x2007u << 16);
    push(t);
    cr_assert_eq(t->r->n, 1);
    cr_expect_eq(t->r->sent[0].bytes, 64);
    cr_expect_arr_eq(t->r->sent[0].data, frame, 64);
    rig_free(t);
}

Test(e1000, sends_legacy_and_extended)
{
    struct rig *t = rig_new();
    u8 *buf = t->r->ram + TX_BUF;

    rig_frame(buf, 200, rig_mac, 9);
    descriptor(t, TX_BUF, 100, 0);
    descriptor(t, TX_BUF + 100, 0x09000000 | 100, 0);
    push(t);
    cr_assert_eq(t->r->n, 1);
    cr_expect_eq(t->r->sent[0].bytes, 200);
    cr_expect_arr_eq(t->r->sent[0].data, buf, 200);
    cr_expect(!(t->r->ram[TX_RING + 12] & 1) && (t->r->ram[TX_RING + 28] & 1),
              "done where status was asked for");
    cr_expect_eq(get(t, E1000_ICR) & 3, 3);
    cr_expect_eq(get(t, E1000_TDH), 2);
    descriptor(t, TX_BUF, 0x29100000 | 42, 0);
    push(t);
    cr_expect_eq(t->r->sent[1].bytes, 60, "padded");
    cr_expect_eq(get(t, E1000_GPTC), 2);
    rig_free(t);
}

/* Ethernet, IPv4, TCP and payload as a driver lays them out for segmentation. */
static void tcp_packet(u8 *p, u32 payload)
{
    rig_frame(p, 54 + payload, rig_mac, 0);
    p[12] = 8;
    p[13] = 0;
    memset(p + 14, 0, 40);
    p[14] = 0x45;
    p[18] = 0xff; /* id: wraps */
    p[19] = 0xff;
    p[22] = 64;
    p[23] = 6;
    memcpy(p + 26, (const u8[]){10, 0, 2, 15, 10, 0, 2, 2}, 8);
    memcpy(p + 34, (const u8[]){0x10, 0x01, 0x00, 0x50, 0xff, 0xff, 0xff, 0x00}, 8);
    p[46] = 0x50;
    p[47] = 0x19; /* ACK, PSH, FIN */
    u16 sum = rig_sum(p + 26, 8, 6);
    p[50] = (u8)(sum >> 8);
    p[51] = (u8)sum;
}

static void check_segment(const u8 *f, u32 bytes, u32 nth, u32 mss, u32 payload)
{
    u32 at = nth * mss, n = payload - at < mss ? payload - at : mss, tcp = bytes - 34, seq = 0xffffff00u + at;
    u16 id = (u16)(0xffff + nth);
    u8 want[16384];

    cr_assert_eq(bytes, 54 + n, "segment %u has %u bytes", nth, bytes);
    rig_frame(want, 54 + payload, rig_mac, 0);
    cr_expect_arr_eq(f + 54, want + 54 + at, n);
    cr_expect_eq((u32)(f[16] << 8 | f[17]), bytes - 14);
    cr_expect_eq(f[18] << 8 | f[19], id);
    cr_expect_eq(((u32)f[38] << 24 | (u32)f[39] << 16 | (u32)f[40] << 8 | f[41]), seq);
    cr_expect_eq(f[47], at + n == payload ? 0x19 : 0x10);
    cr_expect_eq(rig_sum(f + 14, 20, 0), 0xffff, "IP checksum of segment %u", nth);
    cr_expect_eq(rig_sum(f + 34, tcp, rig_sum(f + 26, 8, 6 + tcp)), 0xffff, "TCP checksum of segment %u",
                 nth);
}

Test(e1000, cuts_tcp_packets_and_waits_between_the_pieces)
{
    enum { PAYLOAD = 10000, MSS = 1460 };
    struct rig *t = rig_new();

    tcp_packet(t->r->ram + TX_BUF, PAYLOAD);
    t->r->room = 3;
    context(t, 14 | 24 << 8 | 33 << 16, 34 | 50 << 8, 0x07000000 | PAYLOAD, (u32)MSS << 16 | 54 << 8);
    descriptor(t, TX_BUF, 0x24100000 | 54, 3 << 8);
    descriptor(t, TX_BUF + 54, 0x2d100000 | PAYLOAD, 0);
    push(t);
    cr_assert_eq(t->r->n, 3);
    t->r->room = 100;
    t->card.front.room(t->card.front.opaque);
    cr_assert_eq(t->r->n, (PAYLOAD + MSS - 1) / MSS);
    for (u32 i = 0; i < t->r->n; i++)
        check_segment(t->r->sent[i].data, t->r->sent[i].bytes, i, MSS, PAYLOAD);
    /* A packet of its own with checksums only: the other context. */
    tcp_packet(t->r->ram + TX_BUF, 10);
    u8 *p = t->r->ram + TX_BUF;
    u16 sum = rig_sum(p + 26, 8, 6 + 30);
    p[50] = (u8)(sum >> 8);
    p[51] = (u8)sum;
    p[17] = 50;
    context(t, 14 | 24 << 8 | 33 << 16, 34 | 50 << 8, 0x03000000, 0);
    descriptor(t, TX_BUF, 0x29100000 | 64, 3 << 8);
    push(t);
    cr_assert_eq(t->r->n, 8);
    cr_expect_eq(rig_sum(t->r->sent[7].data + 14, 20, 0), 0xffff);
    cr_expect_eq(rig_sum(t->r->sent[7].data + 34, 30, rig_sum(t->r->sent[7].data + 26, 8, 6 + 30)), 0xffff);
    rig_free(t);
}

Test(e1000, a_full_back_end_stops_the_ring_and_a_reset_forgets)
{
    struct rig *t = rig_new();

    rig_frame(t->r->ram + TX_BUF, 60, rig_mac, 0);
    t->r->room = 2;
    for (unsigned i = 0; i < 6; i++)
        descriptor(t, TX_BUF, 0x09000000 | 60, 0);
    push(t);
    cr_expect_eq(t->r->n, 2);
    cr_expect_eq(get(t, E1000_TDH), 3, "the third is taken and waits");
    t->r->room = 100;
    t->card.front.room(t->card.front.opaque);
    cr_expect_eq(t->r->n, 6);
    t->r->room = 0;
    descriptor(t, TX_BUF, 0x09000000 | 60, 0);
    push(t);
    start_up(t);
    t->r->room = 100;
    t->card.front.room(t->card.front.opaque);
    cr_expect_eq(t->r->n, 6);
    rig_free(t);
}

Test(e1000, loops_back)
{
    struct rig *t = rig_new();
    u8 got[4096];

    rig_frame(t->r->ram + TX_BUF, 80, rig_mac, 0);
    set(t, E1000_RCTL, 0x8042);
    descriptor(t, TX_BUF, 0x09000000 | 80, 0);
    push(t);
    cr_expect_eq(t->r->n, 0);
    cr_assert_eq(take(t, got, NULL), 80);
    cr_expect_arr_eq(got, t->r->ram + TX_BUF, 80);
    rig_free(t);
}

Test(e1000, interrupts_keep_their_distance)
{
    struct rig *t = rig_new();
    u8 frame[60];
    unsigned before;

    rig_frame(frame, 60, rig_mac, 0);
    set(t, E1000_ITR, 1000); /* 256 us */
    (void)get(t, E1000_ICR);
    board_run(t->r->b, MS);
    before = t->r->b->line[0].rises;
    for (unsigned i = 0; i < 5; i++) {
        cr_assert(rig_receive(&t->card.front, frame, 60));
        (void)get(t, E1000_ICR);
    }
    cr_expect_eq(t->r->b->line[0].rises, before + 1);
    cr_assert(rig_receive(&t->card.front, frame, 60));
    cr_expect(!t->r->b->line[0].level);
    board_run(t->r->b, 300 * US);
    cr_expect(t->r->b->line[0].level, "but none is lost");
    rig_free(t);
}

/* Rings, contexts and descriptors of random sense. A turn is bounded, so this ends. */
Test(e1000, survives_hostile_rings)
{
    static const u32 regs[] = {E1000_CTRL,  E1000_EECD,  E1000_EERD,  E1000_MDIC, E1000_ICR,  E1000_ITR,
                               E1000_ICS,   E1000_IMS,   E1000_IMC,   E1000_RCTL, E1000_TCTL, E1000_VET,
                               E1000_RDBAL, E1000_RDBAH, E1000_RDLEN, E1000_RDH,  E1000_RDT,  E1000_TDBAL,
                               E1000_TDBAH, E1000_TDLEN, E1000_TDH,   E1000_TDT,  E1000_MTA,  E1000_RAL,
                               E1000_VFTA,  0x5ffc,      0x1fffc};
    static const u32 edge[] = {0,       1,       0x80,    0x1000,     0x7fff,     0xffff,
                               0x10000, 0xfff80, 0xfffff, 0x80000000, 0xfffffff0, 0xffffffff};

    for (u64 seed = 1; seed <= 60; seed++) {
        struct rig *t = rig_new();
        u64 state = seed * 0x9e3779b97f4a7c15ull;
        u8 frame[9100];

        t->r->keep_none = true;
        for (unsigned i = 0; i < 3000; i++) {
            u32 r = rig_random(&state),
                val = r & 0x1000000 ? edge[rig_random(&state) % ARRAY_SIZE(edge)] : rig_random(&state);

            switch (r % 16) {
            case 0:
                rig_frame(frame, 14 + val % 9000, r & 0x100 ? rig_mac : frame + 20, (u8)i);
                (void)rig_receive(&t->card.front, frame, 14 + val % 9000);
                break;
            case 1:
                for (u32 at = 0; at < 512; at += 4) {
                    u32 word = rig_random(&state) & (r & 0x200 ? UINT32_MAX : 0x3f1fffff);

                    memcpy(t->r->ram + (r & 0x400 ? TX_RING : RX_RING) + at, &word, 4);
                }
                break;
            case 2: t->card.front.room(t->card.front.opaque); break;
            case 3: board_run(t->r->b, val % MS); break;
            case 4: start_up(t); break;
            case 5: set(t, E1000_TDT, val % TX_N); break;
            case 6: set(t, E1000_RDT, val % RX_N); break;
            case 7: (void)mmio_bus_read(&t->r->b->mmio, BAR + val % 0x20000, 1u << (r >> 8 & 3)); break;
            case 8: io_bus_write(&t->r->b->io, (u16)(0xc000 + (r >> 8 & 4)), 4, val); break;
            default: set(t, regs[(r >> 8) % ARRAY_SIZE(regs)], val);
            }
        }
        rig_free(t);
    }
}
