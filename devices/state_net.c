/*
 * state_net.c - what network cards and virtio devices save.
 *
 * Frames on their way are lost, as frames may be. A card that waited for room at its back end asks again when it is restored.
 */
#include "devices/e1000.h"
#include "devices/ne2k.h"
#include "devices/rtl8139.h"
#include "devices/state_tables.h"
#include "devices/virtio_blk.h"
#include "devices/virtio_net.h"

static void ask_again(const struct nic_front *front, const struct nic_back *back)
{
    if (front->room)
        front->room(front->opaque);
    nic_ready(back);
}

/* ---- NE2000 ---- */

#define S struct ne2k
static const struct state_field ne2k_rows[] = {
    STATE_BYTES(S, ram),
    STATE(S, cr),
    STATE(S, isr),
    STATE(S, imr),
    STATE(S, dcr),
    STATE(S, rcr),
    STATE(S, tcr),
    STATE(S, tsr),
    STATE(S, rsr),
    STATE(S, pstart),
    STATE(S, pstop),
    STATE(S, bnry),
    STATE(S, curr),
    STATE(S, tpsr),
    STATE(S, tbcr),
    STATE(S, rsar),
    STATE(S, rbcr),
    STATE_BYTES(S, par),
    STATE_BYTES(S, mar),
    STATE_BOOL(S, sending),
    STATE_BOOL(S, held),
    STATE_TIMER(S, nudge),
    STATE_BOOL(S, link_down),
};

static void ne2k_restored(void *obj)
{
    const struct ne2k *n = obj;

    ask_again(&n->front, &n->back);
}
STATE_TABLE(ne2k_state, ne2k_rows, NULL, ne2k_restored);
#undef S

#define S struct ne2k_pci
static const struct state_field ne2k_pci_rows[] = {STATE_PART(S, pci, &pci_dev_state),
                                                   STATE_PART(S, core, &ne2k_state)};

static void ne2k_pci_restored(void *obj)
{
    ne2k_restored(&((struct ne2k_pci *)obj)->core);
}
STATE_TABLE(ne2k_pci_state, ne2k_pci_rows, NULL, ne2k_pci_restored);
#undef S

/* ---- 82540EM ---- */

#define S struct e1000_context
static const struct state_field context_rows[] = {
    STATE(S, ipcss),   STATE(S, ipcso), STATE(S, tucss), STATE(S, tucso), STATE(S, hdrlen),
    STATE(S, command), STATE(S, ipcse), STATE(S, tucse), STATE(S, mss),
};
STATE_INNER(e1000_context_state, context_rows, NULL);
#undef S

#define S struct e1000_packet
static const struct state_field packet_rows[] = {
    STATE_MAX(S, bytes, E1000_PACKET_BYTES),
    STATE_MAX(S, sent, E1000_PACKET_BYTES),
    STATE(S, vlan),
    STATE(S, segment),
    STATE(S, options),
    STATE(S, legacy_css),
    STATE(S, legacy_cso),
    STATE_BOOL(S, begun),
    STATE_BOOL(S, tse),
    STATE_BOOL(S, legacy_sum),
    STATE_BOOL(S, tag),
    STATE_BOOL(S, oversize),
    STATE_BOOL(S, complete),
    STATE_BYTES(S, data),
};
STATE_INNER(e1000_packet_state, packet_rows, NULL);
#undef S

#define S struct e1000
static const struct state_field e1000_rows[] = {
    STATE_PART(S, pci, &pci_dev_state),
    STATE_ARRAY(S, reg),
    STATE(S, io_address),
    STATE_ARRAY(S, phy),
    STATE_ARRAY(S, eeprom),
    STATE(S, wire.lines),
    STATE(S, wire.in),
    STATE(S, wire.in_bits),
    STATE(S, wire.out_bit),
    STATE_BOOL(S, wire.reading),
    STATE_PARTS(S, context, &e1000_context_state),
    STATE_PART(S, tx, &e1000_packet_state),
    STATE_TIMER(S, irq_timer),
    STATE_TIMER(S, tx_timer),
    STATE_MAX(S, irq_after_ns, STATE_TIME_MAX),
    STATE_BOOL(S, irq_level),
    STATE_BOOL(S, link_down),
};

static void e1000_restored(void *obj)
{
    const struct e1000 *e = obj;

    ask_again(&e->front, &e->back);
}
STATE_TABLE(e1000_state, e1000_rows, NULL, e1000_restored);
#undef S

/* ---- RTL8139 ---- */

#define S struct rtl8139
static const struct state_field rtl8139_rows[] = {
    STATE_PART(S, pci, &pci_dev_state),
    STATE_BYTES(S, idr),
    STATE_BYTES(S, mar),
    STATE_ARRAY(S, tsd),
    STATE_ARRAY(S, tsad),
    STATE_ROW(S, tx_order, RTL_TX_SLOTS, STATE_KIND_UINT, RTL_TX_SLOTS - 1, NULL),
    STATE_MAX(S, tx_n, RTL_TX_SLOTS),
    STATE(S, rbstart),
    STATE(S, tcr),
    STATE(S, rcr),
    STATE(S, capr),
    STATE(S, cbr),
    STATE(S, imr),
    STATE(S, isr),
    STATE(S, cr),
    STATE(S, cr9346),
    STATE(S, config1),
    STATE(S, config3),
    STATE(S, config4),
    STATE(S, bmcr),
    STATE(S, anar),
    STATE(S, wire_in),
    STATE(S, wire_bits),
    STATE(S, wire_out),
    STATE_BOOL(S, wire_reading),
    STATE_BOOL(S, held),
    STATE_TIMER(S, nudge),
    STATE_MAX(S, timer_from_ns, STATE_TIME_MAX),
    STATE_BOOL(S, link_down),
};

static void rtl8139_restored(void *obj)
{
    const struct rtl8139 *n = obj;

    ask_again(&n->front, &n->back);
}
STATE_TABLE(rtl8139_state, rtl8139_rows, NULL, rtl8139_restored);
#undef S

/* ---- virtio ---- */

#define S struct virtq
static const struct state_field virtq_rows[] = {
    STATE_MAX(S, size, VIRTIO_QUEUE_MAX),
    STATE_BOOL(S, enabled),
    STATE(S, desc_gpa),
    STATE(S, avail_gpa),
    STATE(S, used_gpa),
    STATE(S, avail_idx),
    STATE(S, used_idx),
};
STATE_INNER(virtq_state, virtq_rows, NULL);
#undef S

#define S struct virtio
static const struct state_field virtio_rows[] = {
    STATE_PART(S, pci, &pci_dev_state),
    STATE_PARTS(S, q, &virtq_state),
    STATE_BYTES(S, config),
    STATE_SAME(S, features),
    STATE(S, driver_features),
    STATE(S, feature_select),
    STATE(S, driver_feature_select),
    STATE(S, queue_select),
    STATE(S, status),
    STATE(S, isr),
    STATE(S, config_generation),
    STATE_BOOL(S, broken),
};

static const char *check_virtio(const void *obj)
{
    const struct virtio *v = obj;

    if (v->driver_features & ~v->features)
        return "features that were not offered";
    for (unsigned i = 0; i < VIRTIO_QUEUES; i++)
        if (v->q[i].size & (v->q[i].size - 1u) ||
            (i < v->desc.queues && (!v->q[i].size || v->q[i].size > v->desc.queue_size[i])))
            return "no such queue size";
    return NULL;
}
STATE_INNER(virtio_state, virtio_rows, check_virtio);
#undef S

#define S struct virtio_blk
static const struct state_field virtio_blk_rows[] = {STATE_PART(S, virtio, &virtio_state),
                                                     STATE_SAME(S, sectors)};

STATE_TABLE(virtio_blk_state, virtio_blk_rows, NULL, NULL);
#undef S

#define S struct virtio_net
static const struct state_field virtio_net_rows[] = {
    STATE_PART(S, virtio, &virtio_state),
    STATE_BOOL(S, link_down),
    STATE(S, tx.head),
    STATE_BOOL(S, tx_held),
    STATE_MAX(S, tx_bytes, VNET_PACKET_BYTES),
    STATE_MAX(S, tx_sent, VNET_PACKET_BYTES),
    STATE(S, mss),
    STATE(S, csum_start),
    STATE(S, csum_offset),
    STATE_BOOL(S, sum),
    STATE_BYTES(S, packet),
    STATE_MAX(S, rx_n, VNET_MERGE_MAX),
    STATE_ARRAY(S, rx_head),
};

/* Buffers of a frame that was half stored go back empty. */
static void virtio_net_restored(void *obj)
{
    struct virtio_net *n = obj;

    for (u32 i = 0; i < n->rx_n; i++)
        virtio_push_head(&n->virtio, 0, n->rx_head[i], 0);
    n->rx_n = n->rx_bytes = 0;
    ask_again(&n->front, &n->back);
}
STATE_TABLE(virtio_net_state, virtio_net_rows, NULL, virtio_net_restored);
#undef S
