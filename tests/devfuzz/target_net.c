/*
 * target_net.c - traffic that is nearly right for network cards: rings and queues in RAM, frames from outside, a back end with moods.
 */
#include "devfuzz.h"

enum { FIRST_SLOT = 2, SLOTS = 16, MMIO_BASE = 0x20000000, IO_BASE = 0xd000, RX_RING = 0x8000, TX_RING = 0x9000, QUEUES = 0x40000 };

static u32 config_read(struct fuzz *f, u32 slot, u32 at)
{
    pc_pio_write(f->pc, 0xcf8, 4, 0x80000000u | slot << 11 | at);
    return pc_pio_read(f->pc, 0xcfc, 4);
}

static void config_write(struct fuzz *f, u32 slot, u32 at, u32 val)
{
    pc_pio_write(f->pc, 0xcf8, 4, 0x80000000u | slot << 11 | at);
    pc_pio_write(f->pc, 0xcfc, 4, val);
}

/* Takes every other frame or so. */
static bool send(void *opaque, const u8 *frame, u32 bytes)
{
    struct fuzz *f = opaque;
    u32 sum = 0;
    for (u32 i = 0; i < bytes; i++) /* all of it is there to be read */
        sum += frame[i];
    return sum % 3 != 0 || fuzz_below(f, 2);
}

static void ready(void *opaque)
{
    (void)opaque;
}

struct nic_back fuzz_nic_back(struct fuzz *f)
{
    return (struct nic_back){send, ready, f};
}

static void write_ram(struct fuzz *f, u32 at, u32 bytes)
{
    for (u32 i = 0; i < bytes && at + i + 4 <= FUZZ_RAM; i += 4) {
        u32 v = fuzz_below(f, 3) ? fuzz_below(f, FUZZ_RAM) : fuzz_edge(f);
        memcpy(f->ram + at + i, &v, 4);
    }
}

static void from_outside(struct fuzz *f)
{
    const struct nic_front *front = pc_nic_front(f->pc, fuzz_below(f, PC_NICS));
    u8 frame[NIC_FRAME_MAX_BYTES];
    if (!front)
        return;
    switch (fuzz_below(f, 8)) {
    case 0: front->room(front->opaque); break;
    case 1: front->link(front->opaque, fuzz_below(f, 2)); break;
    default:
        memset(frame, (int)fuzz_below(f, 3) * 0x7f, 64);
        (void)front->receive(front->opaque, frame, fuzz_below(f, 4) ? 14 + fuzz_below(f, 1600) : fuzz_below(f, NIC_FRAME_MAX_BYTES));
    }
}

static void e1000(struct fuzz *f, u32 bar)
{
    static const u16 regs[] = {0x00, 0x10, 0x14, 0x20, 0xc0, 0xc4, 0xc8, 0xd0, 0xd8, 0x100, 0x400, 0x2800, 0x2804, 0x2808, 0x2810, 0x2818,
                               0x3800, 0x3804, 0x3808, 0x3810, 0x3818, 0x5200, 0x5400, 0x5404};
    if (!fuzz_below(f, 4)) { /* set up well */
        const u32 good[][2] = {{0x2800, RX_RING}, {0x2804, 0}, {0x2808, 512}, {0x2810, 0}, {0x2818, 31}, {0x100, 0x801a}, {0x3800, TX_RING},
                               {0x3804, 0}, {0x3808, 512}, {0x3810, 0}, {0x400, 2}};
        for (size_t i = 0; i < ARRAY_SIZE(good); i++)
            pc_mmio_write(f->pc, bar + good[i][0], 4, good[i][1]);
    }
    if (fuzz_below(f, 2))
        write_ram(f, fuzz_below(f, 2) ? RX_RING : TX_RING, 512);
    pc_mmio_write(f->pc, bar + regs[fuzz_below(f, ARRAY_SIZE(regs))], 4, fuzz_edge(f));
    pc_mmio_write(f->pc, bar + (fuzz_below(f, 2) ? 0x3818 : 0x2818), 4, fuzz_below(f, 32));
    (void)pc_mmio_read(f->pc, bar + (fuzz_random(f) & 0x1fffc), 4);
}

static void virtio(struct fuzz *f, u16 port)
{
    if (!fuzz_below(f, 4)) {
        pc_pio_write(f->pc, port + 0x12, 1, 0);
        pc_pio_write(f->pc, port + 0x12, 1, 3);
        pc_pio_write(f->pc, port + 0x04, 4, fuzz_edge(f));
        for (u32 q = 0; q < 2; q++) {
            pc_pio_write(f->pc, port + 0x0e, 2, q);
            pc_pio_write(f->pc, port + 0x08, 4, (QUEUES >> 12) + 4 * q);
        }
        pc_pio_write(f->pc, port + 0x12, 1, 7);
    }
    u32 q = fuzz_below(f, 2), base = QUEUES + q * 0x4000, at = fuzz_below(f, 256), idx = 0;
    for (u32 i = 0; i < 4; i++) { /* descriptors: address, length, flags and next */
        u64 desc[2] = {fuzz_below(f, 4) ? fuzz_below(f, FUZZ_RAM) : fuzz_edge(f),
                       (fuzz_below(f, 4) ? fuzz_below(f, 2000) : fuzz_edge(f)) | (u64)fuzz_below(f, 8) << 32 | (u64)fuzz_below(f, 300) << 48};
        memcpy(f->ram + base + (at + i) % 256 * 16, desc, 16);
    }
    memcpy(&idx, f->ram + base + 4096 + 2, 2);
    memcpy(f->ram + base + 4096 + 4 + (idx & 255) * 2, &at, 2);
    idx += fuzz_below(f, 16) ? 1 : fuzz_below(f, 300);
    memcpy(f->ram + base + 4096 + 2, &idx, 2);
    pc_pio_write(f->pc, port + 0x10, 2, q);
}

static void ne2k(struct fuzz *f, u16 port)
{
    static const u8 good[][2] = {{0, 0x21}, {14, 0x49}, {12, 0x1c}, {1, 0x46}, {2, 0x80}, {3, 0x46}, {15, 0xff}, {0, 0x61}, {7, 0x47}, {0, 0x22}};
    u8 buf[256] = {0};
    if (!fuzz_below(f, 8))
        for (size_t i = 0; i < ARRAY_SIZE(good); i++)
            pc_pio_write(f->pc, (u16)(port + good[i][0]), 1, good[i][1]);
    pc_pio_write(f->pc, (u16)(port + fuzz_below(f, 32)), 1u << fuzz_below(f, 3), fuzz_edge(f));
    (void)pc_pio_read(f->pc, (u16)(port + fuzz_below(f, 32)), 1u << fuzz_below(f, 3));
    if (fuzz_below(f, 2))
        (void)pc_pio_read_string(f->pc, port + 0x10, 2, buf, 100);
    else
        (void)pc_pio_write_string(f->pc, port + 0x10, 2, buf, 100);
    pc_pio_write(f->pc, port, 1, fuzz_below(f, 2) ? 0x26 : 0x0a + 8 * fuzz_below(f, 2));
}

static void rtl8139(struct fuzz *f, u16 port)
{
    if (!fuzz_below(f, 8)) {
        pc_pio_write(f->pc, port + 0x37, 1, 0x10);
        pc_pio_write(f->pc, port + 0x30, 4, fuzz_below(f, 4) ? RX_RING : fuzz_edge(f));
        pc_pio_write(f->pc, port + 0x37, 1, 0x0c);
        pc_pio_write(f->pc, port + 0x44, 4, 0x0f | (fuzz_random(f) & 0x1880));
    }
    pc_pio_write(f->pc, (u16)(port + fuzz_below(f, 0x70)), 1u << fuzz_below(f, 3), fuzz_edge(f));
    pc_pio_write(f->pc, (u16)(port + 0x20 + 4 * fuzz_below(f, 4)), 4, fuzz_below(f, 2) ? TX_RING : fuzz_edge(f));
    pc_pio_write(f->pc, (u16)(port + 0x10 + 4 * fuzz_below(f, 4)), 4, fuzz_random(f) & 0x1fff);
    pc_pio_write(f->pc, port + 0x38, 2, fuzz_random(f));
    (void)pc_pio_read(f->pc, (u16)(port + fuzz_below(f, 0x100)), 1u << fuzz_below(f, 3));
}

void target_net(struct fuzz *f)
{
    u32 slot = FIRST_SLOT + fuzz_below(f, SLOTS), id = config_read(f, slot, 0), bar = MMIO_BASE + (slot << 20);
    u16 port = (u16)(IO_BASE + slot * 0x100);
    bool is_e1000 = id == 0x100e8086;
    from_outside(f);
    if (fuzz_below(f, 4) == 0) {
        ne2k(f, 0x300);
        return;
    }
    if (!is_e1000 && id != 0x802910ec && id != 0x813910ec && id != 0x10001af4)
        return;
    if (!(config_read(f, slot, 4) & 4) || !fuzz_below(f, 32)) {
        config_write(f, slot, 0x10, is_e1000 ? bar : port);
        config_write(f, slot, 0x04, 7);
    }
    for (u32 n = 1 + fuzz_below(f, 8); n; n--) {
        if (is_e1000)
            e1000(f, bar);
        else if (id == 0x10001af4)
            virtio(f, port);
        else if (id == 0x813910ec)
            rtl8139(f, port);
        else
            ne2k(f, port);
    }
}
