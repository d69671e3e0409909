/*
 * nic.h - Ethernet frames between a network card (front end) and the host's end of its cable (back end).
 *
 * A frame begins with the destination address and has no checksum behind it. All calls here are made on the VM's thread. The
 * back end works on a thread of its own behind queues; it calls the front end from its wake (wake.h) alone, never
 * from within a call of the front end. Both sides push back: send() and receive() may refuse a frame, which then stays with
 * its owner, and room() or ready() says when to try again. So a host that stalls stops the guest's queue, not the VM.
 */
#ifndef NOVT_DEVICES_NIC_H
#define NOVT_DEVICES_NIC_H

#include "base.h"

#define NIC_FRAME_MIN_BYTES 14u    /* addresses and type: what is shorter is no frame */
#define NIC_FRAME_MAX_BYTES 16384u /* what is longer, neither side takes */
#define NIC_MAC_BYTES 6

/* The card calls these. */
struct nic_back {
    /* Takes a copy. false: no room now; front->room() follows. Frames of impossible length are taken and vanish. NULL: all do. */
    bool (*send)(void *opaque, const u8 *frame, u32 bytes);
    /* receive() had said no, now try again. NULL: nothing ever comes. */
    void (*ready)(void *opaque);
    void *opaque;
};

/* The back end and the monitor call these. */
struct nic_front {
    /* true: taken, or not for this card and dropped. false: no buffer for it now; keep it until back->ready(). */
    bool (*receive)(void *opaque, const u8 *frame, u32 bytes);
    void (*room)(void *opaque);          /* send() had said no, now try again */
    void (*link)(void *opaque, bool up); /* the cable is plugged in or pulled out; up after construction */
    void *opaque;
};

static inline bool nic_send(const struct nic_back *back, const u8 *frame, u32 bytes)
{
    return back->send ? back->send(back->opaque, frame, bytes) : true;
}

static inline void nic_ready(const struct nic_back *back)
{
    if (back->ready)
        back->ready(back->opaque);
}

/* Which of the addressed frames a card hears; each chip has its own names for it. */
static inline bool nic_is_multicast(const u8 *mac)
{
    return mac[0] & 1;
}

static inline bool nic_is_broadcast(const u8 *mac)
{
    return (mac[0] & mac[1] & mac[2] & mac[3] & mac[4] & mac[5]) == 0xff;
}

/* The Ethernet CRC of an address, most significant bit first: its top six bits index most chips' multicast tables. */
static inline u32 nic_mac_crc(const u8 *mac)
{
    u32 crc = UINT32_MAX;

    for (unsigned i = 0; i < NIC_MAC_BYTES; i++)
        for (unsigned bit = 0; bit < 8; bit++) {
            u32 carry = (crc >> 31) ^ (mac[i] >> bit & 1);

            crc = crc << 1 ^ (carry ? 0x04c11db7u : 0);
        }
    return crc;
}

#endif
