/*
 * virtio_net.h - virtio network card (virtio 1.1, 5.1), transitional: 1AF4:1000.
 */
#ifndef NOVT_DEVICES_VIRTIO_NET_H
#define NOVT_DEVICES_VIRTIO_NET_H

#include "devices/nic.h"
#include "devices/virtio.h"

#define VNET_MERGE_MAX 64u /* buffers that one frame may be spread over */
#define VNET_HEADER_MAX 12u
#define VNET_PACKET_BYTES (66u << 10) /* a TCP packet to be cut into segments, with its headers */

struct virtio_net {
    struct virtio virtio;
    struct nic_back back;
    struct nic_front front; /* for the back end */
    bool link_down;

    struct virtio_chain tx;
    bool tx_held; /* tx's frame or a part of it waits for the back end's room */
    u32 tx_bytes, tx_sent;
    u16 mss, csum_start, csum_offset; /* mss 0: it is one frame */
    bool sum;
    u8 packet[VNET_PACKET_BYTES];
    u8 frame[NIC_FRAME_MAX_BYTES];

    /* Buffers of the frame that is being stored: the first one's chain, what is in each. */
    struct virtio_chain rx_first, rx_next;
    u32 rx_bytes; /* stored so far, header included */
    u32 rx_n;
    u16 rx_head[VNET_MERGE_MAX];
    u32 rx_written[VNET_MERGE_MAX];
};

/* Makes the function but does not plug it. */
void virtio_net_init(struct virtio_net *n, const struct dma_mem *mem, struct irq_line irq, const u8 *mac,
                     const struct nic_back *back);
void virtio_net_reset(struct virtio_net *n);

#endif
