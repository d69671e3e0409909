/*
 * nic_rig.h - a network card on the test board: RAM, and a back end that keeps what is sent and can say no.
 */
#ifndef NOVT_TESTS_NIC_RIG_H
#define NOVT_TESTS_NIC_RIG_H

#include <criterion/criterion.h>

#include "board.h"
#include "devices/nic.h"
#include "devices/pci.h"

#define RIG_RAM (1u << 20)
#define RIG_FRAMES 128
#define RIG_PORT 0xc000u /* where a card with its registers in ports has them */

struct nic_rig {
    struct board *b;
    u8 *ram;
    struct {
        u32 bytes;
        u8 data[NIC_FRAME_MAX_BYTES];
    } sent[RIG_FRAMES];
    unsigned n, room; /* frames sent, and how many the back end takes */
    unsigned readies; /* the card says that it has buffers again */
    bool keep_none;   /* only count */
    struct pci_bus pci;
};

static const u8 rig_mac[NIC_MAC_BYTES] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};

static inline int rig_read(void *opaque, u64 gpa, void *buf, size_t len)
{
    struct nic_rig *r = opaque;

    memset(buf, 0xff, len);
    if (gpa > RIG_RAM || len > RIG_RAM - gpa)
        return -EFAULT;
    memcpy(buf, r->ram + gpa, len);
    return 0;
}

static inline int rig_write(void *opaque, u64 gpa, const void *buf, size_t len)
{
    struct nic_rig *r = opaque;

    if (gpa > RIG_RAM || len > RIG_RAM - gpa)
        return -EFAULT;
    memcpy(r->ram + gpa, buf, len);
    return 0;
}

static inline bool rig_send(void *opaque, const u8 *frame, u32 bytes)
{
    struct nic_rig *r = opaque;

    if (r->keep_none)
        return r->n++ % 7 != 0;
    if (!r->room)
        return false;
    r->room--;
    cr_assert(r->n < RIG_FRAMES && bytes <= NIC_FRAME_MAX_BYTES);
    r->sent[r->n].bytes = bytes;
    memcpy(r->sent[r->n++].data, frame, bytes);
    return true;
}

static inline void rig_ready(void *opaque)
{
    ((struct nic_rig *)opaque)->readies++;
}

static inline struct nic_rig *nic_rig_new(void)
{
    struct nic_rig *r = calloc(1, sizeof(*r));

    r->b = board_new();
    r->ram = calloc(1, RIG_RAM);
    r->room = RIG_FRAMES;
    return r;
}

static inline void nic_rig_free(struct nic_rig *r)
{
    free(r->b);
    free(r->ram);
    free(r);
}

static inline struct nic_back rig_back(struct nic_rig *r)
{
    return (struct nic_back){rig_send, rig_ready, r};
}

static inline struct dma_mem rig_mem(struct nic_rig *r)
{
    return (struct dma_mem){rig_read, rig_write, r};
}

/* The slot's configuration register `at`. */
static inline void rig_config(struct nic_rig *r, unsigned at, unsigned size, u32 val)
{
    io_bus_write(&r->b->io, 0xcf8, 4, 0x80001800u | at);
    io_bus_write(&r->b->io, 0xcfc, size, val);
}

/* A card into the only slot, its first BAR to `bar`, decoding and bus mastering on. */
static inline void rig_plug(struct nic_rig *r, struct pci_dev *card, u32 bar)
{
    cr_assert_eq(pci_init(&r->pci, &r->b->io, &r->b->mmio, NULL, NULL), 0);
    cr_assert_eq(pci_dev_plug(&r->pci, card, 3, 0), 0);
    rig_config(r, 0x10, 4, bar);
    rig_config(r, 0x04, 2, 7);
}

static inline u32 rig_in(struct nic_rig *r, u32 reg, unsigned size)
{
    return io_bus_read(&r->b->io, (u16)(RIG_PORT + reg), size);
}

static inline void rig_out(struct nic_rig *r, u32 reg, unsigned size, u32 val)
{
    io_bus_write(&r->b->io, (u16)(RIG_PORT + reg), size, val);
}

static inline bool rig_receive(const struct nic_front *front, const u8 *frame, u32 bytes)
{
    return front->receive(front->opaque, frame, bytes);
}

/* A frame whose bytes tell where they belong. */
static inline void rig_frame(u8 *frame, u32 bytes, const u8 *dest, u8 salt)
{
    for (u32 i = 0; i < bytes; i++)
        frame[i] = (u8)(i * 7 + i / 251 + salt);
    memcpy(frame, dest, NIC_MAC_BYTES);
    frame[12] = 0x08;
    frame[13] = 0x06;
}

static inline u32 rig_random(u64 *state)
{
    *state ^= *state << 13; /* xorshift64 */
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (u32)(*state >> 16);
}

/* The Internet checksum over all of it: right when it gives FFFFh. */
static inline u16 rig_sum(const u8 *at, u32 bytes, u32 sum)
{
    for (u32 i = 0; i < bytes; i++)
        sum += i & 1 ? at[i] : (u32)at[i] << 8;
    sum = (sum & 0xffff) + (sum >> 16);
    return (u16)(sum + (sum >> 16));
}

#endif
