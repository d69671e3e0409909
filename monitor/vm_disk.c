/*
 * vm_disk.c - the machine's drives: from the config to images, and from images to the PC's controllers.
 *
 * Each drive is a struct blk_disk, which the controller knows as a struct disk_back. Media change on the VM's thread: the
 * requests in flight are done, the image is swapped, the controller is told. The order of the end matters: first the disks' threads, which
 * finish what is in flight and flush, then the PC with the requests' memory.
 */
#include "monitor/machine.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "block/block.h"

struct disk_slot {
    struct machine *machine;
    struct blk_disk *disk;
    struct novt_drive drive; /* strings are not kept, but for id */
    char id[32];
    int stopped_by; /* the host's error for which the machine waits */
};

struct disks {
    struct disk_slot slot[NOVT_DRIVES];
    unsigned n;
    char boot_order[8]; /* after the first reset, if the first start has another one; "" */
};

/* Both lists have the same order. */
_Static_assert((int)NOVT_FORMAT_PROBE == (int)BLK_PROBE && (int)NOVT_FORMAT_RAW == (int)BLK_RAW &&
                   (int)NOVT_FORMAT_QCOW2 == (int)BLK_QCOW2 && (int)NOVT_FORMAT_PARALLELS + 1 == (int)BLK_FORMATS,
               "formats");

const char *novt_format_name(enum novt_format format)
{
    return blk_format_name((enum blk_format)format);
}

bool novt_format_by_name(const char *name, enum novt_format *format)
{
    for (unsigned i = NOVT_FORMAT_RAW; i < BLK_FORMATS; i++)
        if (!strcmp(name, blk_format_name((enum blk_format)i))) {
            *format = (enum novt_format)i;
            return true;
        }
    return false;
}

static int image_fail(struct novt_error *err, int rc, const struct blk_error *why)
{
    return mon_fail(err, why->bad_image ? NOVT_ERR_IMAGE : NOVT_ERR_HOST, rc, why->remedy[0] ? why->remedy : NULL, "%s",
                    why->cause);
}

static bool is_removable(const struct novt_drive *d)
{
    return d->bus == NOVT_BUS_FLOPPY || (d->bus == NOVT_BUS_IDE && d->cdrom);
}

/* QEMU's names. */
static void default_id(const struct novt_drive *d, char *id, size_t bytes)
{
    switch (d->bus) {
    case NOVT_BUS_IDE: snprintf(id, bytes, "ide%u-%s%u", d->index / 2, d->cdrom ? "cd" : "hd", d->index % 2); break;
    case NOVT_BUS_FLOPPY: snprintf(id, bytes, "floppy%u", d->index); break;
    case NOVT_BUS_VIRTIO: snprintf(id, bytes, "virtio%u", d->index); break;
    }
}

static void warn(struct machine *m, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void warn(struct machine *m, const char *fmt, ...)
{
    char text[512];
    va_list ap;

    if (!m->config.warning)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    m->config.warning(m->config.warning_opaque, text);
}

/* What the drive's user wants to happen. The guest gets the error of its hardware, or none, or not yet; its user should know whose disk
 * it is: once a medium and operation, but each time that the machine pauses. */
static enum blk_verdict on_trouble(void *opaque, enum disk_op op, int err, bool may_hold, bool first)
{
    static const char *const words[] = {[DISK_READ] = "reading", [DISK_WRITE] = "writing", [DISK_FLUSH] = "flushing", [DISK_DISCARD] = "trimming"};
    static const char *const ends[] = {[BLK_REPORT] = "the guest sees an error",
                                       [BLK_HOLD] = "the machine is paused; once that is mended, the monitor's \"cont\" tries again",
                                       [BLK_IGNORE] = "the guest is not told (werror=ignore or rerror=ignore)"};
    struct disk_slot *slot = opaque;
    enum novt_on_error want = op == DISK_READ ? slot->drive.on_read_error : slot->drive.on_write_error;
    enum blk_verdict verdict = BLK_REPORT;
    struct blk_info info;
    struct novt_event ev = {.kind = NOVT_EVENT_DRIVE_ERROR, .code = -err, .write = op != DISK_READ};

    if (want == NOVT_ON_ERROR_IGNORE)
        verdict = BLK_IGNORE;
    else if (may_hold && (want == NOVT_ON_ERROR_STOP || (want == NOVT_ON_ERROR_ENOSPC && err == -ENOSPC)))
        verdict = BLK_HOLD;
    if (first || verdict == BLK_HOLD) {
        blk_info(slot->disk, &info);
        warn(slot->machine, "drive %s: %s %s failed: %s; %s", slot->id, words[op], info.path, strerror(-err), ends[verdict]);
    }
    snprintf(ev.drive, sizeof(ev.drive), "%s", slot->id);
    ev.outcome = verdict == BLK_HOLD ? NOVT_ON_ERROR_STOP : verdict == BLK_IGNORE ? NOVT_ON_ERROR_IGNORE : NOVT_ON_ERROR_REPORT;
    control_tell(slot->machine, &ev);
    if (verdict == BLK_HOLD) {
        slot->stopped_by = -err;
        control_pause(slot->machine, NOVT_IO_ERROR);
    }
    return verdict;
}

static int insert(struct machine *m, struct disk_slot *slot, const struct novt_medium *medium, struct novt_error *err)
{
    static const u8 cache[] = {[NOVT_CACHE_WRITEBACK] = BLK_WRITEBACK,
                               [NOVT_CACHE_WRITETHROUGH] = BLK_WRITETHROUGH,
                               [NOVT_CACHE_NONE] = BLK_DIRECT,
                               [NOVT_CACHE_DIRECTSYNC] = BLK_DIRECTSYNC,
                               [NOVT_CACHE_UNSAFE] = BLK_UNSAFE};
    struct blk_source source = {
        .path = medium->file,
        .read_only = medium->read_only || slot->drive.cdrom,
        .else_read_only = slot->drive.bus == NOVT_BUS_FLOPPY,
        .snapshot = medium->snapshot && !slot->drive.cdrom,
        .discard = medium->discard,
    };
    struct blk_error why;
    struct blk_info info;
    int rc;

    if ((unsigned)medium->format >= BLK_FORMATS || (unsigned)medium->cache >= ARRAY_SIZE(cache))
        return mon_fail(err, NOVT_ERR_USAGE, -EINVAL, NULL, "drive %s: unknown format or cache mode", slot->id);
    source.format = (enum blk_format)medium->format;
    source.cache = cache[medium->cache];
    rc = blk_insert(slot->disk, &source, &why);
    if (rc)
        return image_fail(err, rc, &why);
    blk_info(slot->disk, &info);
    if (info.odd_size)
        warn(m, "WARNING: the size of '%s' is no multiple of 512 bytes: it may be truncated. Its last sector is filled up with zeros",
             medium->file);
    if (info.probed_raw)
        warn(m,
             "WARNING: Image format was not specified for '%s' and probing guessed raw. Writes that would make it look like another "
             "format are refused; format=raw lifts that",
             medium->file);
    return 0;
}

static int check_drive(const struct disks *disks, const struct novt_drive *d, struct novt_error *err)
{
    static const unsigned places[] = {
        [NOVT_BUS_IDE] = NOVT_IDE_DRIVES, [NOVT_BUS_FLOPPY] = NOVT_FLOPPIES, [NOVT_BUS_VIRTIO] = NOVT_VIRTIO_DISKS};
    static const char *const names[] = {
        [NOVT_BUS_IDE] = "ide", [NOVT_BUS_FLOPPY] = "floppy", [NOVT_BUS_VIRTIO] = "virtio"};

    if ((unsigned)d->bus >= ARRAY_SIZE(places))
        return mon_fail(err, NOVT_ERR_USAGE, -EINVAL, "use ide, floppy or virtio", "a drive has no known bus");
    if (d->index >= places[d->bus])
        return mon_fail(err, NOVT_ERR_USAGE, -EINVAL, "use if=virtio for more disks", "there are %u %s drives, no index %u",
                        places[d->bus], names[d->bus], d->index);
    for (unsigned i = 0; i < disks->n; i++)
        if (disks->slot[i].drive.bus == d->bus && disks->slot[i].drive.index == d->index)
            return mon_fail(err, NOVT_ERR_USAGE, -EEXIST, "give it another index", "two drives want to be %s %u", names[d->bus],
                            d->index);
    if (!d->medium.file && !is_removable(d))
        return mon_fail(err, NOVT_ERR_USAGE, -EINVAL, "give file=IMAGE", "%s disk %u has no image", names[d->bus], d->index);
    if (d->bus == NOVT_BUS_IDE && !d->cdrom && d->medium.read_only && !d->medium.snapshot)
        return mon_fail(err, NOVT_ERR_USAGE, -EINVAL, "use if=virtio, media=cdrom or snapshot=on",
                        "IDE disks cannot be read-only");
    return 0;
}

static struct pc_drive *place_of(struct pc_config *cfg, const struct novt_drive *d)
{
    switch (d->bus) {
    case NOVT_BUS_IDE: return &cfg->ide[d->index];
    case NOVT_BUS_FLOPPY: return &cfg->floppy[d->index];
    case NOVT_BUS_VIRTIO: break;
    }
    cfg->virtio_disk[d->index].slot = d->pci_slot;
    return &cfg->virtio_disk[d->index].drive;
}

static int open_drive(struct machine *m, struct pc_config *cfg, const struct novt_drive *d, struct novt_error *err)
{
    struct disk_slot *slot = &m->disks->slot[m->disks->n];
    int rc = check_drive(m->disks, d, err);

    if (rc)
        return rc;
    slot->drive = *d;
    if (d->id)
        snprintf(slot->id, sizeof(slot->id), "%s", d->id);
    else
        default_id(d, slot->id, sizeof(slot->id));
    slot->drive.id = slot->id;
    rc = blk_new(&slot->disk);
    if (rc)
        return mon_fail(err, NOVT_ERR_HOST, rc, "free memory on the host, or lift \"ulimit -u\"",
                        "no thread or memory for drive %s: %s", slot->id, strerror(-rc));
    m->disks->n++;
    slot->machine = m;
    blk_set_trouble(slot->disk, on_trouble, slot);
    if (d->medium.file) {
        rc = insert(m, slot, &d->medium, err);
        if (rc)
            return rc;
    }
    blk_set_geometry(slot->disk, d->cylinders, d->heads, d->sectors_per_track);
    *place_of(cfg, d) = (struct pc_drive){
        .kind = d->bus == NOVT_BUS_FLOPPY ? PC_DRIVE_FLOPPY
                : d->cdrom                ? PC_DRIVE_CDROM
                                          : PC_DRIVE_DISK,
        .back = *blk_back(slot->disk),
        .serial = d->serial,
        .model = d->model,
        .firmware = d->firmware,
        .wwn = d->wwn,
        .rotation_rate = d->rotation_rate,
        .write_cache_off = d->medium.cache == NOVT_CACHE_WRITETHROUGH || d->medium.cache == NOVT_CACHE_DIRECTSYNC,
        .boot_index = d->boot_index,
        .floppy_kib = d->floppy_kib,
    };
    slot->drive.serial = slot->drive.model = slot->drive.firmware = NULL;
    slot->drive.medium.file = NULL;
    return 0;
}

int disks_open(struct machine *m, struct pc_config *cfg, struct novt_error *err)
{
    const struct novt_config *c = &m->config;

    cfg->boot = c->boot_once ? c->boot_once : c->boot_order;
    cfg->boot_menu = c->boot_menu;
    cfg->boot_menu_ms = (u16)min_u64(c->boot_menu_ms, UINT16_MAX);
    cfg->boot_fail_ms = c->boot_fail_ms;
    cfg->boot_strict = c->boot_strict;
    cfg->floppy_unchecked = c->floppy_unchecked;
    m->disks = calloc(1, sizeof(*m->disks));
    if (!m->disks)
        return mon_fail(err, NOVT_ERR_HOST, -ENOMEM, "free memory on the host", "no memory for drives");
    if (c->boot_once)
        snprintf(m->disks->boot_order, sizeof(m->disks->boot_order), "%s", c->boot_order ? c->boot_order : "cad");
    if (c->drives > NOVT_DRIVES)
        return mon_fail(err, NOVT_ERR_USAGE, -E2BIG, "give fewer", "more than %d drives", NOVT_DRIVES);
    for (size_t i = 0; i < c->drives; i++) {
        int rc = open_drive(m, cfg, &c->drive[i], err);

        if (rc)
            return rc;
    }
    m->config.drive = NULL; /* the caller's memory */
    return 0;
}

void disks_attach(struct machine *m)
{
    for (unsigned i = 0; i < m->disks->n; i++)
        blk_attach(m->disks->slot[i].disk, pc_wakes(m->vm.pc));
}

void disks_close(struct machine *m)
{
    if (!m->disks)
        return;
    /* Chips ask their disks about requests in flight when they go, which is after the disks. */
    if (m->vm.pc && pc_quiesce(m->vm.pc))
        pc_reset(m->vm.pc);
    for (unsigned i = 0; i < m->disks->n; i++)
        blk_free(m->disks->slot[i].disk);
    free(m->disks);
    m->disks = NULL;
}

void disks_retry(struct machine *m)
{
    for (unsigned i = 0; i < m->disks->n; i++) {
        m->disks->slot[i].stopped_by = 0;
        blk_retry(m->disks->slot[i].disk);
    }
}

bool disks_hold(const struct machine *m)
{
    for (unsigned i = 0; i < m->disks->n; i++)
        if (blk_holds(m->disks->slot[i].disk))
            return true;
    return false;
}

void disks_reset(struct machine *m)
{
    if (!m->disks->boot_order[0])
        return;
    pc_set_boot(m->vm.pc, m->disks->boot_order);
    m->disks->boot_order[0] = 0;
}

/* ---- the public calls ---- */

static const struct disk_front *front_of(struct machine *m, const struct novt_drive *d)
{
    return d->bus == NOVT_BUS_FLOPPY ? pc_floppy_front(m->vm.pc, d->index) : pc_ide_front(m->vm.pc, d->index);
}

bool novt_vm_drive_info(struct novt_vm *vm, unsigned n, struct novt_drive_info *out)
{
    const struct disks *disks = machine_of(vm)->disks;
    const struct disk_slot *slot;
    struct blk_info info;

    if (n >= disks->n)
        return false;
    slot = &disks->slot[n];
    blk_info(slot->disk, &info);
    *out = (struct novt_drive_info){
        .bus = slot->drive.bus,
        .cdrom = slot->drive.cdrom,
        .removable = is_removable(&slot->drive),
        .inserted = info.bytes != 0,
        .read_only = info.read_only,
        .snapshot = info.snapshot,
        .tray_open = info.tray_open,
        .format = (enum novt_format)info.format,
        .bytes = info.bytes,
        .reads = info.reads,
        .writes = info.writes,
        .flushes = info.flushes,
        .read_bytes = info.read_bytes,
        .written_bytes = info.written_bytes,
        .errors = info.errors,
        .stopped_by = slot->stopped_by,
    };
    snprintf(out->id, sizeof(out->id), "%s", slot->id);
    snprintf(out->file, sizeof(out->file), "%s", info.path);
    return true;
}

bool disks_written(const struct machine *m, unsigned n, u64 *s, u64 *ns)
{
    return n < m->disks->n && blk_written(m->disks->slot[n].disk, s, ns);
}

static struct disk_slot *find_removable(struct machine *m, const char *id, struct novt_error *err, int *rc)
{
    for (unsigned i = 0; i < m->disks->n; i++) {
        struct disk_slot *slot = &m->disks->slot[i];
        char name[32];

        default_id(&slot->drive, name, sizeof(name));
        if (strcmp(id, slot->id) && strcmp(id, name))
            continue;
        *rc = is_removable(&slot->drive) ? 0
                                         : mon_fail(err, NOVT_ERR_USAGE, -EINVAL, "CD-ROM and floppy drives can change media",
                                                    "Device '%s' is not removable", id);
        return *rc ? NULL : slot;
    }
    *rc = mon_fail(err, NOVT_ERR_USAGE, -ENODEV, "info block lists the drives", "Device '%s' not found", id);
    return NULL;
}

int novt_vm_change(struct novt_vm *vm, const char *id, const struct novt_medium *medium, struct novt_error *err)
{
    struct machine *m = machine_of(vm);
    const struct disk_front *front;
    int rc;
    struct disk_slot *slot = find_removable(m, id, err, &rc);

    if (!slot)
        return rc;
    front = front_of(m, &slot->drive);
    if (!medium->force && front && front->locked && front->locked(front->opaque))
        return mon_fail(err, NOVT_ERR_USAGE, -EBUSY, "unmount it in the guest, or eject -f",
                        "Device '%s' is locked and force was not specified, wait for tray to open and try again", id);
    if (medium->file) {
        rc = insert(m, slot, medium, err);
        if (rc)
            return rc;
    } else {
        blk_remove(slot->disk);
    }
    if (front)
        front->media_changed(front->opaque);
    return 0;
}

int novt_vm_eject(struct novt_vm *vm, const char *id, struct novt_error *err)
{
    return novt_vm_change(vm, id, &(struct novt_medium){0}, err);
}

int novt_vm_flush_drives(struct novt_vm *vm)
{
    const struct disks *disks = machine_of(vm)->disks;
    int rc = 0;

    for (unsigned i = 0; i < disks->n; i++) {
        int one = blk_flush(disks->slot[i].disk);

        rc = rc ? rc : one;
    }
    return rc;
}
