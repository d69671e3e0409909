/*
 * virtio_net.c - frames between the queues of a virtio network card and its back end.
 *
 *     header:  flags u8 | gso type u8 | header length u16 | gso size u16 | checksum start u16 | checksum offset u16 | buffers u16
 *
 * The last field is there with merged buffers or virtio 1.0. The card offers to fill in checksums and to cut TCP packets of up to
 * 64 KiB into frames, which spares the guest most of its work per frame; it receives whatever comes, as a card without a control
 * queue does. All lengths and offsets in headers are the driver's and checked against what it sent.
 */
#include "devices/virtio_net.h"

#include <string.h>

#include "devices/nic_sum.h"

enum { F_CSUM = 0, F_MAC = 5, F_HOST_TSO4 = 11, F_MRG_RXBUF = 15, F_STATUS = 16 };
enum { HDR_NEEDS_CSUM = 1, GSO_NONE = 0, GSO_TCPV4 = 1, STATUS_LINK_UP = 1 };
enum {
    RX,
    TX,
    CONFIG_BYTES = 8,
    CONFIG_STATUS = 6,
    ETH_BYTES = 14,
    IP_LEAST = 20,
    TCP_LEAST = 20,
    MSS_LEAST = 64
};

static u16 get_le(const u8 *at)
{
    return (u16)(at[0] | at[1] << 8);
}

static u32 header_bytes(const struct virtio_net *n)
{
    return virtio_has(&n->virtio, F_MRG_RXBUF) || virtio_has(&n->virtio, VIRTIO_F_VERSION_1) ? 12 : 10;
}

/* ---- sending ---- */

/* The driver left the pseudo header's sum in the field. */
static void put_sum(const struct virtio_net *n, u8 *frame, u32 bytes)
{
    u32 at = (u32)n->csum_start + n->csum_offset;

    if (n->csum_start < bytes && at + 1 < bytes)
        be16_put(frame + at, (u16)~sum_fold(sum_add(frame + n->csum_start, bytes - n->csum_start, 0)));
}

/* Bytes of headers in front of the payload of a packet that is to be cut; 0 if it is no TCP over IPv4. */
static u32 tcp_headers(const struct virtio_net *n)
{
    const u8 *ip = n->packet + ETH_BYTES, *tcp = n->packet + n->csum_start;
    u32 all;

    if (n->tx_bytes < ETH_BYTES + IP_LEAST + TCP_LEAST || (ip[0] >> 4) != 4 ||
        n->csum_start < ETH_BYTES + IP_LEAST || n->csum_start + (u32)TCP_LEAST > n->tx_bytes ||
        ETH_BYTES + (ip[0] & 15) * 4u > n->csum_start)
        return 0;
    all = n->csum_start + (tcp[12] >> 4) * 4u;
    return all > n->tx_bytes || all < n->csum_start + (u32)TCP_LEAST ? 0 : all;
}

/* The next segment into n->frame; its length. */
static u32 cut(struct virtio_net *n, u32 headers, u32 payload)
{
    u8 *f = n->frame, *ip = f + ETH_BYTES, *tcp = f + n->csum_start;
    u32 bytes = headers + payload, left = n->tx_bytes - headers - n->tx_sent, ip_head, tcp_bytes, sum, seq;

    memcpy(f, n->packet, headers);
    memcpy(f + headers, n->packet + headers + n->tx_sent, payload);
    ip_head = (ip[0] & 15) * 4u;
    be16_put(ip + 2, bytes - ETH_BYTES);
    be16_put(ip + 4, (u32)be16_get(ip + 4) + n->tx_sent / n->mss);
    be16_put(ip + 10, 0);
    be16_put(ip + 10, (u16)~sum_fold(sum_add(ip, ip_head, 0)));
    seq = ((u32)be16_get(tcp + 4) << 16 | be16_get(tcp + 6)) + n->tx_sent;
    be16_put(tcp + 4, seq >> 16);
    be16_put(tcp + 6, seq & 0xffff);
    if (payload < left)
        tcp[13] &= (u8)~0x09; /* FIN, PSH */
    if (n->tx_sent)
        tcp[13] &= (u8)~0x80; /* CWR */
    tcp_bytes = bytes - n->csum_start;
    be16_put(tcp + 16, 0);
    sum = sum_add(ip + 12, 8, ip[9] + tcp_bytes);
    be16_put(tcp + 16, (u16)~sum_fold(sum_add(tcp, tcp_bytes, sum)));
    return bytes;
}

static bool wire(struct virtio_net *n, const u8 *frame, u32 bytes)
{
    return n->link_down || nic_send(&n->back, frame, bytes);
}

/* What lies in n->packet. False: the back end has no room for the rest. */
static bool push_packet(struct virtio_net *n)
{
    u32 headers;

    if (!n->mss) {
        if (n->tx_bytes > NIC_FRAME_MAX_BYTES)
            return true;
        if (n->sum) {
            put_sum(n, n->packet, n->tx_bytes);
            n->sum = false;
        }
        return wire(n, n->packet, n->tx_bytes);
    }
    headers = tcp_headers(n);
    if (!headers)
        return true;
    while (n->tx_sent < n->tx_bytes - headers) {
        u32 left = n->tx_bytes - headers - n->tx_sent, payload = left < n->mss ? left : n->mss;

        if (headers + payload > sizeof(n->frame))
            return true;
        if (!wire(n, n->frame, cut(n, headers, payload)))
            return false;
        n->tx_sent += payload;
    }
    return true;
}

static void take_packet(struct virtio_net *n)
{
    u32 header = header_bytes(n);
    u8 h[VNET_HEADER_MAX] = {0};

    n->tx_bytes = n->tx_sent = 0;
    n->mss = 0;
    n->sum = false;
    if (virtio_read(&n->virtio, &n->tx, 0, h, header) < header ||
        n->tx.out_bytes - header > sizeof(n->packet) || n->tx.out_bytes - header < NIC_FRAME_MIN_BYTES)
        return;
    n->tx_bytes = (u32)virtio_read(&n->virtio, &n->tx, header, n->packet, n->tx.out_bytes - header);
    n->sum = h[0] & HDR_NEEDS_CSUM;
    n->csum_start = get_le(h + 6);
    n->csum_offset = get_le(h + 8);
    if ((h[1] & 0x7f) == GSO_TCPV4 && get_le(h + 4) >= MSS_LEAST)
        n->mss = get_le(h + 4);
    else if (h[1] != GSO_NONE)
        n->tx_bytes = 0; /* was not offered */
}

static void transmit(struct virtio_net *n)
{
    bool any = false;

    for (unsigned i = 0; i < VIRTIO_QUEUE_MAX; i++) {
        if (!n->tx_held) {
            if (virtio_pop(&n->virtio, TX, &n->tx) <= 0)
                break;
            take_packet(n);
        }
        n->tx_held = n->tx_bytes >= NIC_FRAME_MIN_BYTES && !push_packet(n);
        if (n->tx_held)
            break;
        virtio_push(&n->virtio, TX, &n->tx, 0);
        any = true;
    }
    if (any)
        virtio_interrupt(&n->virtio, TX);
}

static void on_room(void *opaque)
{
    struct virtio_net *n = opaque;

    if (n->tx_held)
        transmit(n);
}

/* ---- receiving ---- */

static void give_back(struct virtio_net *n)
{
    u8 buffers[2] = {(u8)n->rx_n, 0};

    if (header_bytes(n) == VNET_HEADER_MAX)
        virtio_write(&n->virtio, &n->rx_first, VNET_HEADER_MAX - 2, buffers, sizeof(buffers));
    for (u32 i = 0; i < n->rx_n; i++)
        virtio_push_head(&n->virtio, RX, n->rx_head[i], n->rx_written[i]);
    n->rx_n = n->rx_bytes = 0;
    virtio_interrupt(&n->virtio, RX);
}

/* The frame is lost, the driver gets its buffers back. */
static void lose_frame(struct virtio_net *n)
{
    for (u32 i = 0; i < n->rx_n; i++)
        n->rx_written[i] = 0;
    give_back(n);
}

/* Stores into one more buffer what is left of header and frame. False: there is no buffer. */
static bool store_more(struct virtio_net *n, const u8 *frame, u32 total)
{
    static const u8 zero[VNET_HEADER_MAX];
    u32 header = header_bytes(n), at = 0, room;
    struct virtio_chain *chain = n->rx_n ? &n->rx_next : &n->rx_first;

    if (virtio_pop(&n->virtio, RX, chain) <= 0)
        return false;
    room = chain->in_bytes < total - n->rx_bytes ? chain->in_bytes : total - n->rx_bytes;
    if (n->rx_bytes == 0 && room >= header)
        at = (u32)virtio_write(&n->virtio, chain, 0, zero, header);
    if (n->rx_n ||
        at == header) /* else the first cannot hold the header, or is no memory: it goes back empty */
        virtio_write(&n->virtio, chain, at, frame + (n->rx_bytes + at - header), room - at);
    n->rx_head[n->rx_n] = chain->head;
    n->rx_written[n->rx_n] = room;
    n->rx_n++;
    n->rx_bytes += room;
    return true;
}

static bool on_receive(void *opaque, const u8 *frame, u32 bytes)
{
    struct virtio_net *n = opaque;
    u32 header = header_bytes(n), total = header + bytes;

    if (!(n->virtio.status & VIRTIO_STATUS_DRIVER_OK) || n->virtio.broken || !n->virtio.q[RX].enabled ||
        n->link_down || bytes < NIC_FRAME_MIN_BYTES || bytes > NIC_FRAME_MAX_BYTES)
        return true;
    while (n->rx_bytes < total) {
        bool first = n->rx_n == 0;

        if (!store_more(n, frame, total))
            return n->virtio.broken;
        if ((first && n->rx_bytes < header) ||
            (n->rx_bytes < total && (!virtio_has(&n->virtio, F_MRG_RXBUF) || n->rx_n == VNET_MERGE_MAX))) {
            lose_frame(n); /* the buffers are too small for it */
            return true;
        }
    }
    give_back(n);
    return true;
}

/* ---- the device ---- */

static void on_notify(void *opaque, unsigned queue)
{
    struct virtio_net *n = opaque;

    if (queue == TX)
        transmit(n);
    else
        nic_ready(&n->back);
}

static void on_reset(void *opaque)
{
    struct virtio_net *n = opaque;

    n->tx_held = false;
    n->rx_n = n->rx_bytes = 0;
    nic_ready(&n->back);
}

static void show_link(struct virtio_net *n)
{
    n->virtio.config[CONFIG_STATUS] = n->link_down ? 0 : STATUS_LINK_UP;
}

static void on_link(void *opaque, bool up)
{
    struct virtio_net *n = opaque;

    n->link_down = !up;
    if (n->rx_n)
        lose_frame(n); /* a frame half stored: its other half comes no more */
    show_link(n);
    virtio_config_changed(&n->virtio);
    nic_ready(&n->back);
}

static const struct virtio_ops ops = {.notify = on_notify, .reset = on_reset};

void virtio_net_init(struct virtio_net *n, const struct dma_mem *mem, struct irq_line irq, const u8 *mac,
                     const struct nic_back *back)
{
    const struct virtio_desc desc = {
        .id = VIRTIO_ID_NET,
        .pci_class = 0x0200,
        .features = 1u << F_CSUM | 1u << F_MAC | 1u << F_HOST_TSO4 | 1u << F_MRG_RXBUF | 1u << F_STATUS,
        .config_bytes = CONFIG_BYTES,
        .queues = 2,
        .queue_size = {VIRTIO_QUEUE_MAX, VIRTIO_QUEUE_MAX},
        .ops = &ops,
        .opaque = n,
    };

    memset(n, 0, sizeof(*n));
    n->back = *back;
    n->front = (struct nic_front){on_receive, on_room, on_link, n};
    virtio_init(&n->virtio, &desc, mem, irq);
    memcpy(n->virtio.config, mac, NIC_MAC_BYTES);
    show_link(n);
}

void virtio_net_reset(struct virtio_net *n)
{
    virtio_reset(&n->virtio);
}
