/*
 * ide.c - the IDE channels: task file, data port, interrupts, resets, and the PCI function around them.
 *
 *     1F0h/170h data   1 error, features   2 sector count   3-5 LBA low, mid, high   6 device   7 status, command
 *     3F6h/376h alternate status, device control
 *
 * Both drives of a channel take what is written to the task file, the selected one answers. Where no drive is, reads give 0, as
 * QEMU's do: firmware and kernels see at once that nobody is there. What a guest writes while a drive is busy is dropped.
 */
#include "devices/ide.h"

#include <string.h>

#include "devices/ide_core.h"

static const struct {
    u16 command, control;
} legacy[2] = {{0x1f0, 0x3f6}, {0x170, 0x376}};

enum { SIGNATURE_DISK = 0x0000, SIGNATURE_CDROM = 0xeb14 };

static struct ide_drive *selected(struct ide_channel *c)
{
    return &c->drive[c->selected & 1];
}

static void lower(struct ide_channel *c)
{
    c->intrq = false;
    irq_set(c->irq, false);
}

void ide_raise(struct ide_drive *d)
{
    struct ide_channel *c = d->channel;
    if (c->control & CTL_NIEN)
        return;
    c->intrq = true;
    c->master.status |= 4;
    irq_set(c->irq, true);
}

static void end_command(struct ide_drive *d)
{
    d->phase = IDE_IDLE;
    d->flow = IDE_FLOW_NONE;
    d->at = d->end = d->filled = 0;
    d->careful = d->flushing = false;
}

void ide_done(struct ide_drive *d)
{
    end_command(d);
    d->status = ST_DRDY | ST_DSC;
    ide_raise(d);
}

void ide_fail(struct ide_drive *d, u8 error)
{
    end_command(d);
    d->error = error;
    d->status = ST_DRDY | ST_DSC | ST_ERR;
    ide_raise(d);
}

void ide_data_phase(struct ide_drive *d, enum ide_phase phase, u32 at, u32 end)
{
    d->phase = phase;
    d->at = at;
    d->end = end;
    d->status = ST_DRDY | ST_DSC | ST_DRQ;
}

void ide_string(u8 *to, const char *from, size_t bytes)
{
    size_t len = strlen(from);
    for (size_t i = 0; i < bytes; i++)
        to[i ^ 1] = (u8)(i < len ? from[i] : ' ');
}

/* ---- the back end ---- */

/* After a reset: a CD-ROM shows no DRDY until it was spoken to, which tells it from a disk. */
static u8 idle_status(const struct ide_drive *d)
{
    return d->kind == IDE_CDROM ? 0 : ST_DRDY | ST_DSC;
}

static void request_done(void *opaque, struct disk_request *req, int err)
{
    struct ide_drive *d = opaque;
    (void)req;
    d->in_flight = false;
    if (d->abandoned) {
        d->abandoned = false;
        if (!(d->channel->control & CTL_SRST))
            d->status = idle_status(d);
    } else if (d->kind == IDE_CDROM) {
        atapi_request_over(d, err);
    } else {
        ide_disk_request_over(d, err);
    }
}

void ide_submit(struct ide_drive *d, enum disk_op op, u64 sector, u32 sectors)
{
    d->phase = IDE_WORKING;
    d->status = ST_BSY | ST_DRDY | ST_DSC;
    d->request = (struct disk_request){
        .op = op,
        .sector = sector,
        .sectors = sectors,
        .buf = d->buf,
        .done = request_done,
        .opaque = d,
    };
    d->in_flight = true;
    d->back.submit(d->back.opaque, &d->request);
}

/* ---- resets ---- */

void ide_signature(struct ide_drive *d)
{
    u16 sig = d->kind == IDE_CDROM ? SIGNATURE_CDROM : SIGNATURE_DISK;
    d->device &= DEV_FIXED | DEV_SLAVE;
    d->count.now = d->lba_low.now = 1;
    d->lba_mid.now = (u8)sig;
    d->lba_high.now = (u8)(sig >> 8);
}

/* Power-on, SRST and DEVICE RESET. A request in flight keeps BSY up until it is back. */
static void drive_reset(struct ide_drive *d)
{
    end_command(d);
    d->dma = false;
    d->multiple = IDE_MULTIPLE_MAX;
    d->standby = false;
    d->error = 1; /* diagnostics passed */
    d->sense = (struct ide_sense){0};
    ide_signature(d);
    d->abandoned = d->in_flight;
    d->status = d->in_flight ? ST_BSY : idle_status(d);
}

static void control_write(struct ide_channel *c, u8 val)
{
    bool was = c->control & CTL_SRST, is = val & CTL_SRST;
    c->control = val;
    if (val & CTL_NIEN)
        lower(c);
    if (is && !was) {
        for (unsigned i = 0; i < 2; i++)
            if (c->drive[i].kind) {
                drive_reset(&c->drive[i]);
                c->drive[i].status = ST_BSY;
            }
        c->selected = 0;
        lower(c);
    } else if (was && !is) {
        for (unsigned i = 0; i < 2; i++)
            if (c->drive[i].kind)
                drive_reset(&c->drive[i]);
    }
}

/* ---- the task file ---- */

static void diagnose(struct ide_channel *c)
{
    for (unsigned i = 0; i < 2; i++) {
        struct ide_drive *d = &c->drive[i];
        if (!d->kind || d->in_flight)
            continue;
        end_command(d);
        ide_signature(d);
        d->device &= (u8)~DEV_SLAVE;
        d->error = 1;
        d->status = idle_status(d);
    }
    c->selected = 0;
    ide_raise(&c->drive[c->drive[0].kind ? 0 : 1]);
}

static void command_write(struct ide_channel *c, u8 command)
{
    struct ide_drive *d = selected(c);
    lower(c);
    if (!d->kind)
        return;
    bool packet_reset = command == 0x08 && d->kind == IDE_CDROM;
    if ((d->status & (ST_BSY | ST_DRQ)) && !packet_reset)
        return;
    if (packet_reset) {
        if (d->abandoned || (c->control & CTL_SRST))
            return; /* in the middle of one already */
        drive_reset(d);
        return;
    }
    d->command = command;
    d->error = 0;
    d->dma = d->lba48 = false;
    d->status = ST_DRDY | ST_DSC;
    if (command == 0x90)
        diagnose(c);
    else if (d->kind == IDE_CDROM)
        atapi_command(d, command);
    else
        ide_disk_command(d, command);
}

static void latch(struct ide_reg *r, u8 val)
{
    r->hob = r->now;
    r->now = val;
}

static void file_write(struct ide_channel *c, u32 reg, u8 val)
{
    c->control &= (u8)~CTL_HOB;
    if (reg == 7) {
        command_write(c, val);
        return;
    }
    if (selected(c)->status & (ST_BSY | ST_DRQ))
        return;
    for (unsigned i = 0; i < 2; i++) {
        struct ide_drive *d = &c->drive[i];
        switch (reg) {
        case 1: latch(&d->feature, val); break;
        case 2: latch(&d->count, val); break;
        case 3: latch(&d->lba_low, val); break;
        case 4: latch(&d->lba_mid, val); break;
        case 5: latch(&d->lba_high, val); break;
        default: d->device = val | DEV_FIXED; break;
        }
    }
    if (reg == 6)
        c->selected = val & DEV_SLAVE ? 1 : 0;
}

static u8 status_read(const struct ide_channel *c)
{
    const struct ide_drive *d = &c->drive[c->selected & 1];
    return d->kind ? d->status : 0;
}

static u8 file_read(struct ide_channel *c, u32 reg)
{
    const struct ide_drive *d = selected(c);
    bool hob = c->control & CTL_HOB;
    u8 v;
    if (reg == 7) {
        v = status_read(c);
        lower(c);
        return v;
    }
    if (!d->kind && reg == 1)
        return 0;
    if (!d->kind)
        d = &c->drive[0]; /* a lone master answers for its slave */
    if (!d->kind)
        return 0;
    switch (reg) {
    case 1: return hob ? d->feature.hob : d->error;
    case 2: return hob ? d->count.hob : d->count.now;
    case 3: return hob ? d->lba_low.hob : d->lba_low.now;
    case 4: return hob ? d->lba_mid.hob : d->lba_mid.now;
    case 5: return hob ? d->lba_high.hob : d->lba_high.now;
    default: return (u8)((d->device & ~DEV_SLAVE) | (c->selected ? DEV_SLAVE : 0));
    }
}

/* ---- the data port ---- */

static void block_over(struct ide_drive *d)
{
    if (d->phase == IDE_PACKET)
        atapi_packet(d);
    else if (d->kind == IDE_CDROM)
        atapi_block_over(d);
    else
        ide_disk_block_over(d);
}

/* Moves up to bytes; returns how many, 0 when no block is open in that direction. */
static u32 data_read(struct ide_drive *d, u8 *to, u32 bytes)
{
    if (d->phase != IDE_DATA_IN || d->at >= d->end || d->end > IDE_BUF_BYTES)
        return 0;
    u32 n = (u32)min_u64(bytes, d->end - d->at);
    memcpy(to, d->buf + d->at, n);
    d->at += n;
    if (d->at >= d->end)
        block_over(d);
    return n;
}

static u32 data_write(struct ide_drive *d, const u8 *from, u32 bytes)
{
    bool packet = d->phase == IDE_PACKET;
    if ((d->phase != IDE_DATA_OUT && !packet) || d->at >= d->end ||
        d->end > (packet ? IDE_PACKET_BYTES : IDE_BUF_BYTES))
        return 0;
    u32 n = (u32)min_u64(bytes, d->end - d->at);
    memcpy((packet ? d->packet : d->buf) + d->at, from, n);
    d->at += n;
    if (d->at >= d->end)
        block_over(d);
    return n;
}

static u32 command_block_read(void *opaque, u32 offset, unsigned size)
{
    struct ide_channel *c = opaque;
    u8 b[4] = {0};
    if (offset == 0) /* a byte takes a whole word off the drive, as the first Solaris boot loader expects */
        (void)data_read(selected(c), b, size < 2 ? 2 : size);
    for (unsigned i = 0; offset && i < size; i++)
        b[i] = file_read(c, offset + i);
    return b[0] | (u32)b[1] << 8 | (u32)b[2] << 16 | (u32)b[3] << 24;
}

static void command_block_write(void *opaque, u32 offset, unsigned size, u32 val)
{
    struct ide_channel *c = opaque;
    const u8 b[4] = {(u8)val, (u8)(val >> 8), (u8)(val >> 16), (u8)(val >> 24)};
    if (offset == 0)
        (void)data_write(selected(c), b, size < 2 ? 2 : size);
    for (unsigned i = 0; offset && i < size; i++)
        file_write(c, offset + i, b[i]);
}

/* Whole units of the block that is open, and only as many as leave it open or end it: what follows is a new phase. */
static u32 command_block_read_string(void *opaque, u32 offset, unsigned size, void *to, u32 count)
{
    struct ide_drive *d = selected(opaque);
    if (offset || size < 2 || d->phase != IDE_DATA_IN || d->at >= d->end)
        return 0;
    u32 n = (u32)min_u64(count, (d->end - d->at) / size);
    return n ? data_read(d, to, n * size) / size : 0;
}

static u32 command_block_write_string(void *opaque, u32 offset, unsigned size, const void *from, u32 count)
{
    struct ide_drive *d = selected(opaque);
    if (offset || size < 2 || d->phase != IDE_DATA_OUT || d->at >= d->end)
        return 0;
    u32 n = (u32)min_u64(count, (d->end - d->at) / size);
    return n ? data_write(d, from, n * size) / size : 0;
}

static u32 control_block_read(void *opaque, u32 offset, unsigned size)
{
    (void)offset;
    (void)size;
    return status_read(opaque);
}

static void control_block_write(void *opaque, u32 offset, unsigned size, u32 val)
{
    (void)offset;
    (void)size;
    control_write(opaque, (u8)val);
}

static const struct bus_ops command_ops = {
    .read = command_block_read,
    .write = command_block_write,
    .read_string = command_block_read_string,
    .write_string = command_block_write_string,
    .max_size = 4,
};
static const struct bus_ops control_ops = {
    .read = control_block_read, .write = control_block_write, .max_size = 1};

/* ---- wiring ---- */

static void media_changed(void *opaque)
{
    struct ide_drive *d = opaque;
    struct disk_geometry g = {0};
    d->back.geometry(d->back.opaque, &g);
    d->medium_changed = true;
    d->event_new_medium = g.sectors != 0;
    d->event_eject = g.sectors == 0;
    if (g.sectors)
        d->tray_open = false;
}

static bool locked(void *opaque)
{
    struct ide_drive *d = opaque;
    if (!d->tray_locked || d->tray_open)
        return false;
    d->event_request = true;
    return true;
}

static void take_string(char *to, size_t bytes, const char *from)
{
    size_t n = strnlen(from, bytes - 1);
    memcpy(to, from, n);
    to[n] = 0;
}

static int drive_init(struct ide_drive *d, const struct pc_drive *cfg, unsigned n)
{
    char serial[] = "QM00001";
    if (cfg->kind == PC_DRIVE_NONE)
        return 0;
    if ((cfg->kind != PC_DRIVE_DISK && cfg->kind != PC_DRIVE_CDROM) || !cfg->back.submit ||
        !cfg->back.geometry)
        return -EINVAL;
    serial[6] = (char)('1' + n);
    d->kind = cfg->kind == PC_DRIVE_DISK ? IDE_DISK : IDE_CDROM;
    d->back = cfg->back;
    d->front = (struct disk_front){.media_changed = media_changed, .locked = locked, .opaque = d};
    take_string(d->serial, sizeof(d->serial), cfg->serial ? cfg->serial : serial);
    take_string(d->model, sizeof(d->model),
                cfg->model            ? cfg->model
                : d->kind == IDE_DISK ? "QEMU HARDDISK"
                                      : "QEMU DVD-ROM");
    take_string(d->firmware, sizeof(d->firmware), cfg->firmware ? cfg->firmware : "2.5+");
    d->wwn = cfg->wwn;
    d->rotation_rate = cfg->rotation_rate;
    d->write_cache_default = !cfg->write_cache_off;
    if (d->kind == IDE_DISK)
        ide_geometry(d);
    return 0;
}

int ide_init(struct ide *ide, struct io_bus *io, struct pci_bus *pci, const struct irq_line irq[2],
             const struct dma_mem *mem, const struct pc_drive drive[PC_IDE_DRIVES])
{
    static const struct pci_id id = {.vendor = 0x8086, .device = 0x7010, .class = 0x0101, .prog_if = 0x80};
    memset(ide, 0, sizeof(*ide));
    ide->mem = *mem;
    pci_dev_init(&ide->pci, &id);
    pci_set16(&ide->pci, PCI_STATUS, 0x0280);
    ide_master_init(ide);
    for (unsigned i = 0; i < 2; i++) {
        struct ide_channel *c = &ide->channel[i];
        c->ide = ide;
        c->irq = irq[i];
        for (unsigned k = 0; k < 2; k++) {
            c->drive[k].channel = c;
            int err = drive_init(&c->drive[k], &drive[2 * i + k], 2 * i + k);
            if (err)
                return err;
        }
        int err = io_bus_register(io, legacy[i].command, 8, &command_ops, c);
        if (!err)
            err = io_bus_register(io, legacy[i].control, 1, &control_ops, c);
        if (err)
            return err;
    }
    ide_reset(ide);
    return pci_dev_plug(pci, &ide->pci, 1, 1);
}

static void drain(struct ide_drive *d)
{
    if (!d->in_flight)
        return;
    d->abandoned = true;
    if (d->back.drain)
        d->back.drain(d->back.opaque);
}

void ide_reset(struct ide *ide)
{
    for (unsigned i = 0; i < 2; i++) {
        struct ide_channel *c = &ide->channel[i];
        for (unsigned k = 0; k < 2; k++) {
            struct ide_drive *d = &c->drive[k];
            drain(d);
            if (!d->kind)
                continue;
            d->feature = d->count = d->lba_low = d->lba_mid = d->lba_high = (struct ide_reg){0};
            d->device = DEV_FIXED;
            d->write_cache = d->write_cache_default;
            d->smart_enabled = d->smart_autosave = d->kind == IDE_DISK;
            d->transfer_mode = 0xff;
            d->now_heads = d->heads;
            d->now_spt = d->spt;
            d->tray_locked = false;
            drive_reset(d);
        }
        c->selected = c->control = 0;
        c->master = (struct ide_master){0};
        lower(c);
    }
}

void ide_fini(struct ide *ide)
{
    for (unsigned n = 0; n < PC_IDE_DRIVES; n++)
        drain(&ide->channel[n / 2].drive[n % 2]);
}

const struct disk_front *ide_front(struct ide *ide, unsigned n)
{
    struct ide_drive *d = n < PC_IDE_DRIVES ? &ide->channel[n / 2].drive[n % 2] : NULL;
    return d && d->kind == IDE_CDROM ? &d->front : NULL;
}

bool ide_bios_disk(const struct ide *ide, unsigned n, struct ide_bios_disk *out)
{
    const struct ide_drive *d = n < PC_IDE_DRIVES ? &ide->channel[n / 2].drive[n % 2] : NULL;
    if (!d || d->kind != IDE_DISK)
        return false;
    *out = (struct ide_bios_disk){d->cylinders, d->heads, d->spt, d->bios_translation};
    return true;
}
