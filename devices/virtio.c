/*
 * virtio.c - the PCI transport of virtio devices: both register layouts, status and features, interrupts (virtio 1.1, 4.1).
 *
 * Legacy, BAR 0, ports:                       1.0, BAR 4, memory, named by capabilities at 40h:
 *     00 device features    04 driver features     0000 common configuration    1000 interrupt status
 *     08 queue page         0c queue size          2000 device configuration    3000 + 4 * queue: notification
 *     0e queue select       10 queue notify
 *     12 status  13 interrupt status  14- device configuration
 *
 * Registers hold no state of their own: reads are composed of the struct's fields. virtq.c has the queues.
 */
#include "devices/virtio.h"

#include <string.h>

enum {
    LEGACY_FEATURES = 0x00,
    LEGACY_DRIVER_FEATURES = 0x04,
    LEGACY_QUEUE_PFN = 0x08,
    LEGACY_QUEUE_SIZE = 0x0c,
    LEGACY_QUEUE_SELECT = 0x0e,
    LEGACY_NOTIFY = 0x10,
    LEGACY_STATUS = 0x12,
    LEGACY_ISR = 0x13,
    LEGACY_CONFIG = 0x14,
    LEGACY_BYTES = 0x80,
    LEGACY_ALIGN = 4096,
};

enum {
    COMMON_FEATURE_SELECT = 0x00,
    COMMON_FEATURES = 0x04,
    COMMON_DRIVER_SELECT = 0x08,
    COMMON_DRIVER_FEATURES = 0x0c,
    COMMON_MSIX = 0x10,
    COMMON_QUEUES = 0x12,
    COMMON_STATUS = 0x14,
    COMMON_GENERATION = 0x15,
    COMMON_QUEUE_SELECT = 0x16,
    COMMON_QUEUE_SIZE = 0x18,
    COMMON_QUEUE_MSIX = 0x1a,
    COMMON_QUEUE_ENABLE = 0x1c,
    COMMON_QUEUE_NOTIFY = 0x1e,
    COMMON_DESC = 0x20,
    COMMON_AVAIL = 0x28,
    COMMON_USED = 0x30,
    COMMON_BYTES = 0x38,
};

enum {
    AT_COMMON = 0x0000,
    AT_ISR = 0x1000,
    AT_CONFIG = 0x2000,
    AT_NOTIFY = 0x3000,
    MODERN_BYTES = 0x4000,
    NOTIFY_STEP = 4
};
enum { ISR_QUEUE = 1, ISR_CONFIG = 2 };
enum { CAP_COMMON = 1, CAP_NOTIFY, CAP_ISR, CAP_DEVICE };

/* ---- interrupts ---- */

static void update_irq(struct virtio *v)
{
    bool off = pci_get16(&v->pci, PCI_COMMAND) & 0x400;

    irq_set(v->irq, v->isr && !off);
}

static void raise(struct virtio *v, u8 why)
{
    v->isr |= why;
    update_irq(v);
}

static u8 take_isr(struct virtio *v)
{
    u8 isr = v->isr;

    v->isr = 0;
    update_irq(v);
    return isr;
}

void virtio_raise_queue(struct virtio *v)
{
    raise(v, ISR_QUEUE);
}

void virtio_config_changed(struct virtio *v)
{
    v->config_generation++;
    if (v->status & VIRTIO_STATUS_DRIVER_OK)
        raise(v, ISR_CONFIG);
}

void virtio_break(struct virtio *v)
{
    if (v->broken)
        return;
    v->broken = true;
    v->status |= VIRTIO_STATUS_NEEDS_RESET;
    if (virtio_has(v, VIRTIO_F_VERSION_1))
        virtio_config_changed(v);
}

/* ---- state ---- */

void virtio_reset(struct virtio *v)
{
    v->desc.ops->reset(v->desc.opaque);
    for (unsigned i = 0; i < VIRTIO_QUEUES; i++)
        v->q[i] = (struct virtq){.size = i < v->desc.queues ? v->desc.queue_size[i] : 0};
    v->driver_features = 0;
    v->feature_select = v->driver_feature_select = 0;
    v->queue_select = 0;
    v->status = 0;
    v->broken = false;
    v->config_generation = 0;
    take_isr(v);
}

static void set_status(struct virtio *v, u8 status)
{
    if (!status) {
        virtio_reset(v);
        return;
    }
    /* A 1.0 driver sets FEATURES_OK and looks whether it stays. */
    if ((status & VIRTIO_STATUS_FEATURES_OK) && !virtio_has(v, VIRTIO_F_VERSION_1))
        status &= (u8)~VIRTIO_STATUS_FEATURES_OK;
    v->status = status | (v->broken ? VIRTIO_STATUS_NEEDS_RESET : 0);
}

static struct virtq *selected(struct virtio *v)
{
    return v->queue_select < v->desc.queues ? &v->q[v->queue_select] : NULL;
}

static void notify(struct virtio *v, u32 queue)
{
    if (queue < v->desc.queues && v->q[queue].enabled && !v->broken)
        v->desc.ops->notify(v->desc.opaque, queue);
}

static u32 config_read(const struct virtio *v, u32 at, unsigned size)
{
    u32 val = 0;

    for (unsigned i = 0; i < size; i++)
        val |= (u32)(at + i < v->desc.config_bytes ? v->config[at + i] : 0) << (8 * i);
    return val;
}

/* ---- legacy registers ---- */

static u32 legacy_read(void *opaque, u32 offset, unsigned size)
{
    struct virtio *v = opaque;
    const struct virtq *q = selected(v);

    if (offset >= LEGACY_CONFIG)
        return config_read(v, offset - LEGACY_CONFIG, size);
    switch (offset) {
    case LEGACY_FEATURES: return (u32)v->features;
    case LEGACY_DRIVER_FEATURES: return (u32)v->driver_features;
    case LEGACY_QUEUE_PFN: return q && q->enabled ? (u32)(q->desc_gpa / LEGACY_ALIGN) : 0;
    case LEGACY_QUEUE_SIZE: return q ? v->desc.queue_size[v->queue_select] : 0;
    case LEGACY_QUEUE_SELECT: return v->queue_select;
    case LEGACY_STATUS: return v->status;
    case LEGACY_ISR: return take_isr(v);
    default: return 0;
    }
}

static void legacy_set_queue(struct virtio *v, u32 pfn)
{
    struct virtq *q = selected(v);

    if (!pfn) {
        virtio_reset(v);
        return;
    }
    if (!q)
        return;
    *q = (struct virtq){.size = v->desc.queue_size[v->queue_select], .enabled = true};
    q->desc_gpa = (u64)pfn * LEGACY_ALIGN;
    q->avail_gpa = q->desc_gpa + 16u * q->size;
    q->used_gpa = align_up(q->avail_gpa + 6 + 2u * q->size, LEGACY_ALIGN);
}

static void legacy_write(void *opaque, u32 offset, unsigned size, u32 val)
{
    struct virtio *v = opaque;

    (void)size;
    switch (offset) { /* no device here has configuration that its driver may write */
    case LEGACY_DRIVER_FEATURES: v->driver_features = val & v->features & UINT32_MAX; break;
    case LEGACY_QUEUE_PFN: legacy_set_queue(v, val); break;
    case LEGACY_QUEUE_SELECT: v->queue_select = (u16)val; break;
    case LEGACY_NOTIFY: notify(v, val & 0xffff); break;
    case LEGACY_STATUS: set_status(v, (u8)val); break;
    default: break;
    }
}

static const struct bus_ops legacy_ops = {.read = legacy_read, .write = legacy_write, .max_size = 4};

/* ---- 1.0 registers ---- */

static void put(u8 *image, unsigned at, u64 val, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        image[at + i] = (u8)(val >> (8 * i));
}

static u32 feature_word(u64 features, u32 select)
{
    return select < 2 ? (u32)(features >> (32 * select)) : 0;
}

static u32 common_read(struct virtio *v, u32 offset, unsigned size)
{
    const struct virtq *q = selected(v);
    u8 image[COMMON_BYTES] = {0};
    u32 val = 0;

    put(image, COMMON_FEATURE_SELECT, v->feature_select, 4);
    put(image, COMMON_FEATURES, feature_word(v->features, v->feature_select), 4);
    put(image, COMMON_DRIVER_SELECT, v->driver_feature_select, 4);
    put(image, COMMON_DRIVER_FEATURES, feature_word(v->driver_features, v->driver_feature_select), 4);
    put(image, COMMON_MSIX, 0xffff, 2);
    put(image, COMMON_QUEUES, v->desc.queues, 2);
    put(image, COMMON_STATUS, v->status, 1);
    put(image, COMMON_GENERATION, v->config_generation, 1);
    put(image, COMMON_QUEUE_SELECT, v->queue_select, 2);
    if (q) {
        put(image, COMMON_QUEUE_SIZE, q->size, 2);
        put(image, COMMON_QUEUE_MSIX, 0xffff, 2);
        put(image, COMMON_QUEUE_ENABLE, q->enabled, 2);
        put(image, COMMON_QUEUE_NOTIFY, v->queue_select, 2);
        put(image, COMMON_DESC, q->desc_gpa, 8);
        put(image, COMMON_AVAIL, q->avail_gpa, 8);
        put(image, COMMON_USED, q->used_gpa, 8);
    }
    for (unsigned i = 0; i < size && offset + i < COMMON_BYTES; i++)
        val |= (u32)image[offset + i] << (8 * i);
    return val;
}

static void set_features(struct virtio *v, u32 val)
{
    unsigned shift = 32 * v->driver_feature_select;

    if (v->driver_feature_select > 1 || (v->status & VIRTIO_STATUS_FEATURES_OK))
        return;
    v->driver_features =
        (v->driver_features & ~((u64)UINT32_MAX << shift)) | (((u64)val << shift) & v->features);
}

static void set_half(u64 *reg, bool high, u32 val)
{
    *reg = high ? (*reg & UINT32_MAX) | (u64)val << 32 : (*reg & ~(u64)UINT32_MAX) | val;
}

static void queue_write(struct virtio *v, struct virtq *q, u32 offset, u32 val)
{
    if (q->enabled) /* its place is settled until a reset */
        return;
    switch (offset) {
    case COMMON_QUEUE_SIZE:
        val &= 0xffff;
        if (val && !(val & (val - 1)) && val <= v->desc.queue_size[v->queue_select])
            q->size = (u16)val;
        break;
    case COMMON_QUEUE_ENABLE:
        if (val & 1) {
            q->enabled = true;
            q->avail_idx = q->used_idx = 0;
        }
        break;
    case COMMON_DESC:
    case COMMON_DESC + 4: set_half(&q->desc_gpa, offset & 4, val); break;
    case COMMON_AVAIL:
    case COMMON_AVAIL + 4: set_half(&q->avail_gpa, offset & 4, val); break;
    case COMMON_USED:
    case COMMON_USED + 4: set_half(&q->used_gpa, offset & 4, val); break;
    default: break;
    }
}

static void common_write(struct virtio *v, u32 offset, u32 val)
{
    struct virtq *q = selected(v);

    switch (offset) {
    case COMMON_FEATURE_SELECT: v->feature_select = val; break;
    case COMMON_DRIVER_SELECT: v->driver_feature_select = val; break;
    case COMMON_DRIVER_FEATURES: set_features(v, val); break;
    case COMMON_STATUS: set_status(v, (u8)val); break;
    case COMMON_QUEUE_SELECT: v->queue_select = (u16)val; break;
    default:
        if (q)
            queue_write(v, q, offset, val);
        break;
    }
}

static u32 modern_read(void *opaque, u32 offset, unsigned size)
{
    struct virtio *v = opaque;
    u32 at = offset & 0xfff;

    switch (offset - at) {
    case AT_COMMON: return common_read(v, at, size);
    case AT_ISR: return at ? 0 : take_isr(v);
    case AT_CONFIG: return config_read(v, at, size);
    default: return 0;
    }
}

static void modern_write(void *opaque, u32 offset, unsigned size, u32 val)
{
    struct virtio *v = opaque;
    u32 at = offset & 0xfff;

    (void)size;
    switch (offset - at) {
    case AT_COMMON: common_write(v, at, val); break;
    case AT_NOTIFY: notify(v, at / NOTIFY_STEP); break;
    default: break;
    }
}

static const struct bus_ops modern_ops = {.read = modern_read, .write = modern_write, .max_size = 4};

/* ---- making ---- */

/*
 * Vendor capability:  0 id 09h  1 next  2 length  3 type  4 BAR  5-7 zero  8 offset  12 length  16 notify: step
 */
static unsigned add_cap(struct pci_dev *pci, unsigned at, unsigned type, u32 offset, u32 bytes)
{
    unsigned length = type == CAP_NOTIFY ? 20 : 16;
    u8 *cap = pci->config + at;

    cap[0] = 0x09;
    cap[1] = type == CAP_DEVICE ? 0 : (u8)(at + length);
    cap[2] = (u8)length;
    cap[3] = (u8)type;
    cap[4] = 4;
    put(cap, 8, offset, 4);
    put(cap, 12, bytes, 4);
    if (type == CAP_NOTIFY)
        put(cap, 16, NOTIFY_STEP, 4);
    return at + length;
}

static void config_space_written(void *opaque, unsigned offset, unsigned size)
{
    if (offset < PCI_COMMAND + 2 && offset + size > PCI_COMMAND)
        update_irq(opaque);
}

void virtio_init(struct virtio *v, const struct virtio_desc *desc, const struct dma_mem *mem,
                 struct irq_line irq)
{
    const struct pci_id id = {.vendor = 0x1af4, .device = (u16)(0x0fff + desc->id), .class = desc->pci_class};
    unsigned at = 0x40;

    memset(v, 0, sizeof(*v));
    v->desc = *desc;
    v->mem = *mem;
    v->irq = irq;
    v->features = desc->features | 1ull << VIRTIO_F_INDIRECT_DESC | 1ull << VIRTIO_F_ANY_LAYOUT |
                  1ull << VIRTIO_F_VERSION_1;
    pci_dev_init(&v->pci, &id);
    pci_set16(&v->pci, PCI_SUBSYS, desc->id);
    v->pci.config[PCI_INT_PIN] = 1;
    v->pci.config[PCI_STATUS] = 0x10; /* capabilities */
    v->pci.config[0x34] = 0x40;
    memset(v->pci.wmask + 0x40, 0, 0xc0);
    pci_dev_bar(&v->pci, 0, LEGACY_BYTES, true, 0, &legacy_ops, v);
    pci_dev_bar(&v->pci, 4, MODERN_BYTES, false, 8, &modern_ops, v);
    at = add_cap(&v->pci, at, CAP_COMMON, AT_COMMON, COMMON_BYTES);
    at = add_cap(&v->pci, at, CAP_NOTIFY, AT_NOTIFY, NOTIFY_STEP * VIRTIO_QUEUES);
    at = add_cap(&v->pci, at, CAP_ISR, AT_ISR, 1);
    add_cap(&v->pci, at, CAP_DEVICE, AT_CONFIG, desc->config_bytes);
    v->pci.written = config_space_written;
    v->pci.opaque = v;
    for (unsigned i = 0; i < desc->queues; i++)
        v->q[i].size = desc->queue_size[i];
}
