/*
 * virtio.h - a virtio device on the PCI bus: transport and queues (virtio 1.1, sections 2, 4.1 and the legacy notes).
 *
 * Transitional, as QEMU's virtio-*-pci: legacy registers in port BAR 0, the 1.0 ones in memory BAR 4 found by vendor capabilities.
 * INTx only. A device (virtio_blk.c, a network card) embeds a struct virtio, fills in a struct virtio_desc and takes
 * chains out of its queues when notify() says so, or whenever it has something for the guest:
 *
 *     while (virtio_pop(v, queue, &chain) > 0) { virtio_read(...); virtio_write(...); virtio_push(v, queue, &chain, bytes written); }
 *     virtio_interrupt(v, queue);
 *
 * Everything the driver wrote is checked: indexes, table sizes, loops, addresses outside RAM. A queue that makes no sense is
 * broken: the device asks for a reset (status bit 6) and touches its queues no more. Chains live in the device's own structs, so that
 * all state is plain; a chain stays valid until a reset, after which pushing it is forbidden: ops->reset tells the device to drop what it
 * has.
 */
#ifndef NOVT_DEVICES_VIRTIO_H
#define NOVT_DEVICES_VIRTIO_H

#include "devices/bus.h"
#include "devices/pci.h"

enum { VIRTIO_ID_NET = 1, VIRTIO_ID_BLK = 2 };

#define VIRTIO_QUEUES 3
#define VIRTIO_QUEUE_MAX 256u /* descriptors a queue; a chain may have as many */

#define VIRTIO_F_ANY_LAYOUT 27
#define VIRTIO_F_INDIRECT_DESC 28
#define VIRTIO_F_VERSION_1 32

enum {
    VIRTIO_STATUS_ACKNOWLEDGE = 0x01,
    VIRTIO_STATUS_DRIVER = 0x02,
    VIRTIO_STATUS_DRIVER_OK = 0x04,
    VIRTIO_STATUS_FEATURES_OK = 0x08,
    VIRTIO_STATUS_NEEDS_RESET = 0x40,
    VIRTIO_STATUS_FAILED = 0x80,
};

struct virtio_seg {
    u64 gpa;
    u32 bytes;
};

/* A request: `out` segments that the device reads come first, then `in` segments that it writes. */
struct virtio_chain {
    u16 head;
    u16 out_n, in_n;
    u32 out_bytes, in_bytes; /* at most 2 GiB each */
    struct virtio_seg seg[VIRTIO_QUEUE_MAX];
};

struct virtq {
    u16 size; /* power of two; the driver may lower it by the 1.0 registers */
    bool enabled;
    u64 desc_gpa, avail_gpa, used_gpa;
    u16 avail_idx; /* next to take */
    u16 used_idx;  /* next to give */
};

struct virtio;

struct virtio_ops {
    void (*notify)(void *opaque, unsigned queue); /* the driver has put chains there */
    void (*reset)(void *opaque);                  /* forget every chain; also at system reset */
};

/* What a device is; copied. */
struct virtio_desc {
    u16 id;        /* VIRTIO_ID_* */
    u16 pci_class; /* as in PCI_CLASS: 0100h for a disk, 0200h for a network card */
    u64 features;  /* BIT-numbers of the device class; the transport adds its own */
    u32 config_bytes; /* device-specific configuration, at most VIRTIO_CONFIG_BYTES, filled by the device at will */
    unsigned queues;
    u16 queue_size[VIRTIO_QUEUES];
    const struct virtio_ops *ops;
    void *opaque;
};

#define VIRTIO_CONFIG_BYTES 64u

struct virtio {
    struct pci_dev pci;
    struct dma_mem mem;
    struct irq_line irq;
    struct virtio_desc desc;
    struct virtq q[VIRTIO_QUEUES];
    u8 config
        [VIRTIO_CONFIG_BYTES]; /* little-endian; call virtio_config_changed() when the driver should look again */
    u64 features;              /* offered */
    u64 driver_features;       /* accepted */
    u32 feature_select, driver_feature_select;
    u16 queue_select;
    u8 status, isr, config_generation;
    bool broken;
};

/* Makes the function but does not plug it: pci_dev_plug(bus, &v->pci, slot, 0) does. irq: the slot's INTA (piix3_pin(..., 1)). */
void virtio_init(struct virtio *v, const struct virtio_desc *desc, const struct dma_mem *mem,
                 struct irq_line irq);
void virtio_reset(struct virtio *v); /* system reset, beside pci_reset() */

static inline bool virtio_has(const struct virtio *v, unsigned feature)
{
    return v->driver_features >> feature & 1;
}

/* The next chain: 1, 0 if there is none (or the driver is not ready), -EINVAL once the queue is broken. */
int virtio_pop(struct virtio *v, unsigned queue, struct virtio_chain *chain) MUST_CHECK;
/* Copies out of the driver's part / into it, from byte `at` on; returns how many were there (less than len at the end or when
 * memory is none: what is read is then ones). */
size_t virtio_read(struct virtio *v, const struct virtio_chain *chain, u32 at, void *buf, size_t len);
size_t virtio_write(struct virtio *v, const struct virtio_chain *chain, u32 at, const void *buf, size_t len);
/* Gives the chain back; written: bytes of `in` that hold something. The driver hears of it by virtio_interrupt(), one for many. */
void virtio_push(struct virtio *v, unsigned queue, const struct virtio_chain *chain, u32 written);
/* Gives back only the head (a device that kept nothing else of the chain). */
void virtio_push_head(struct virtio *v, unsigned queue, u16 head, u32 written);
void virtio_interrupt(struct virtio *v, unsigned queue); /* unless the driver asked not to hear of it */
void virtio_raise_queue(struct virtio *v);               /* whatever it asked */
void virtio_config_changed(struct virtio *v);
/* The driver did what it must not (no room for a status byte...): nothing more is done until a reset. */
void virtio_break(struct virtio *v);

#endif
