/*
 * cli_blockdev.c - -blockdev, -device for disks, and drive_finish(), which makes the machine's drives of everything.
 *
 * A device names a -drive if=none or a -blockdev by id; either may come later on the command line. Places on cables that nobody asked
 * for are given out at the end, in the order of the command line, as QEMU does.
 */
#include "monitor/cli_drive_opt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- -blockdev ---- */

static int set_driver(struct cli_blockdev *b, const char *key, const char *value, struct novt_error *err)
{
    bool file = !strcmp(value, "file") || !strcmp(value, "host_device") || !strcmp(value, "host_cdrom");

    if (!strcmp(key, "file.driver"))
        return file ? 0 : opt_usage(err, "use file.driver=file", "-blockdev: driver \"%s\" is not supported", value);
    b->is_format = !file;
    if (!novt_format_by_name(file ? "raw" : value, &b->medium.format))
        return opt_usage(err, "use file, raw, qcow2, qed, vmdk, vdi, vpc, vhdx or parallels", "-blockdev: driver \"%s\" is not supported",
                         value);
    return 0;
}

static int set_blockdev_key(struct cli_options *opt, struct cli_blockdev *b, struct drive_pair *pair, struct novt_error *err)
{
    const char *key = pair->key;
    const char **text = NULL;
    int rc;

    if (!strcmp(key, "driver") || !strcmp(key, "file.driver"))
        return set_driver(b, key, pair->value, err);
    if (!strcmp(key, "node-name"))
        text = &b->name;
    else if (!strcmp(key, "filename") || !strcmp(key, "file.filename"))
        text = &b->medium.file;
    else if (!strcmp(key, "file"))
        text = &b->child;
    if (text) {
        *text = drive_text(opt, pair->value, err);
        return *text ? 0 : EXIT_USAGE;
    }
    if (!strncmp(key, "file.", 5))
        memmove(pair->key, key + 5, strlen(key + 5) + 1);
    rc = drive_host_key("-blockdev", &b->medium, pair, err);
    if (rc)
        return rc == 1 ? 0 : rc;
    return opt_usage(err, "novt --help shows the keys", "-blockdev: unknown key \"%s\"", pair->key);
}

int opt_blockdev(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    struct cli_drives *all = &opt->drives;
    struct cli_blockdev *b = &all->blockdev[all->blockdevs];
    struct drive_pair pair;
    bool first = true;

    if (all->blockdevs == CLI_BLOCKDEVS)
        return opt_usage(err, "give fewer", "more than %d -blockdev", CLI_BLOCKDEVS);
    if (arg[0] == '{') {
        arg = drive_json(opt, "-blockdev", arg, err);
        if (!arg)
            return EXIT_USAGE;
    }
    *b = (struct cli_blockdev){0};
    for (const char *at = arg; drive_pair(&at, &pair);) {
        int rc;

        if (pair.bare && first) { /* "-blockdev raw,..." */
            memcpy(pair.value, pair.key, sizeof(pair.key));
            memcpy(pair.key, "driver", sizeof("driver"));
            pair.bare = false;
        }
        first = false;
        rc = set_blockdev_key(opt, b, &pair, err);
        if (rc)
            return rc;
    }
    if (!b->medium.format)
        return opt_usage(err, "add driver=raw, qcow2 or file", "-blockdev: no driver=");
    if (!b->name)
        return opt_usage(err, "add node-name=ID", "-blockdev: no node-name=");
    if (!b->medium.file && !b->child)
        return opt_usage(err, "add filename=, file.filename= or file=NODE", "-blockdev %s: no file", b->name);
    all->blockdevs++;
    return 0;
}

/* ---- -device ---- */

static const struct {
    const char *name;
    enum cli_disk_kind kind;
} kinds[] = {
    {"ide-hd", DEV_IDE_HD},
    {"ide-cd", DEV_IDE_CD},
    {"floppy", DEV_FLOPPY},
    {"virtio-blk-pci", DEV_VIRTIO},
    {"virtio-blk", DEV_VIRTIO},
    {"virtio-blk-pci-transitional", DEV_VIRTIO},
};

/* Disks and controllers of QEMU's that are not there. */
static const char *const absent[] = {"scsi-hd", "scsi-cd", "scsi-block", "virtio-scsi-pci", "lsi", "lsi53c895a", "megasas", "ahci",
                                     "ich9-ahci", "nvme", "usb-storage", "sd-card", "piix4-ide", "virtio-blk-pci-non-transitional"};

bool drive_is_device(const char *arg)
{
    size_t n = strcspn(arg, ",");

    for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++)
        if (strlen(kinds[i].name) == n && !strncmp(kinds[i].name, arg, n))
            return true;
    for (unsigned i = 0; i < ARRAY_SIZE(absent); i++)
        if (strlen(absent[i]) == n && !strncmp(absent[i], arg, n))
            return true;
    return (n == 7 && !strncmp(arg, "isa-fdc", n));
}

/* "ide.1", "/machine/.../ide.1" and "floppy-bus.0": the number behind the last dot. */
static int set_bus(struct cli_disk_device *dev, const struct drive_pair *pair, struct novt_error *err)
{
    const char *v = pair->value;
    u64 n;

    switch (dev->kind) {
    case DEV_IDE_HD:
    case DEV_IDE_CD:
        if (strncmp(v, "ide.", 4) || !opt_number(v + 4, 1, NULL, &n))
            return drive_bad("-device", pair, "use bus=ide.0 or ide.1", err);
        dev->bus = (int)n;
        return 0;
    case DEV_FLOPPY: return strcmp(v, "floppy-bus.0") ? drive_bad("-device", pair, "use bus=floppy-bus.0", err) : 0;
    case DEV_VIRTIO: return strcmp(v, "pci.0") ? drive_bad("-device", pair, "use bus=pci.0", err) : 0;
    }
    return 0;
}

static int set_floppy_type(struct cli_disk_device *dev, const struct drive_pair *pair, struct novt_error *err)
{
    static const struct {
        const char *name;
        unsigned kib;
    } types[] = {{"auto", 0}, {"120", 1200}, {"144", 1440}, {"288", 2880}};

    for (unsigned i = 0; i < ARRAY_SIZE(types); i++)
        if (!strcmp(pair->value, types[i].name)) {
            dev->d.floppy_kib = types[i].kib;
            return 0;
        }
    return drive_bad("-device floppy", pair, "use 120, 144, 288 or auto", err);
}

/* PCI addresses are hexadecimal: "4", "04.0", "0x4". */
static int set_addr(struct cli_disk_device *dev, const struct drive_pair *pair, struct novt_error *err)
{
    unsigned slot;
    int n = 0;

    if (sscanf(pair->value, "%x%n", &slot, &n) != 1 || slot < 2 || slot > 31 || (pair->value[n] && strcmp(pair->value + n, ".0")))
        return drive_bad("-device", pair, "use a PCI slot from 2 to 1f, as addr=05", err);
    dev->d.pci_slot = slot;
    return 0;
}

/* What an IDE drive says about itself. 1: it was one of these keys. */
static int set_identity(struct cli_options *opt, struct novt_drive *d, const struct drive_pair *pair, struct novt_error *err)
{
    const char *key = pair->key;
    const char **text = !strcmp(key, "model") ? &d->model : !strcmp(key, "ver") ? &d->firmware : NULL;
    u64 n;
    int rc;

    if (text) {
        *text = drive_text(opt, pair->value, err);
        return *text ? 1 : EXIT_USAGE;
    }
    if (!strcmp(key, "wwn")) {
        rc = drive_number("-device", pair, UINT64_MAX, &d->wwn, err);
        return rc ? rc : 1;
    }
    if (!strcmp(key, "rotation_rate")) {
        rc = drive_number("-device", pair, 65534, &n, err);
        d->rotation_rate = (uint16_t)n;
        return rc ? rc : 1;
    }
    return 0;
}

static int set_device_key(struct cli_options *opt, struct cli_disk_device *dev, const struct drive_pair *pair,
                          struct novt_error *err)
{
    const char *key = pair->key, *v = pair->value;
    u64 n = 0;
    bool on;
    int rc;

    if (!strcmp(key, "drive")) {
        dev->drive = drive_text(opt, v, err);
        return dev->drive ? 0 : EXIT_USAGE;
    }
    if (!strcmp(key, "id")) {
        dev->d.id = drive_text(opt, v, err);
        return dev->d.id ? 0 : EXIT_USAGE;
    }
    if (!strcmp(key, "bus"))
        return set_bus(dev, pair, err);
    if (!strcmp(key, "unit")) {
        rc = drive_number("-device", pair, 1, &n, err);
        dev->unit = (int)n;
        return rc;
    }
    if (!strcmp(key, "bootindex")) {
        rc = drive_number("-device", pair, INT32_MAX - 1, &n, err);
        dev->d.boot_index = (unsigned)n + 1;
        return rc;
    }
    if (!strcmp(key, "drive-type") && dev->kind == DEV_FLOPPY)
        return set_floppy_type(dev, pair, err);
    if (!strcmp(key, "addr") && dev->kind == DEV_VIRTIO)
        return set_addr(dev, pair, err);
    if (dev->kind == DEV_IDE_HD || dev->kind == DEV_IDE_CD) {
        rc = set_identity(opt, &dev->d, pair, err);
        if (rc)
            return rc == 1 ? 0 : rc;
    }
    if (!strcmp(key, "write-cache")) {
        if (strcmp(v, "auto") && !drive_on_off(pair, &on))
            return drive_bad("-device", pair, "use on, off or auto", err);
        dev->d.medium.cache = !strcmp(v, "off") ? NOVT_CACHE_WRITETHROUGH : NOVT_CACHE_WRITEBACK;
        return 0;
    }
    if (!strcmp(key, "logical_block_size") || !strcmp(key, "physical_block_size"))
        return !strcmp(v, "512") ? 0 : drive_unsupported("-device", pair, "only 512 can be had", err);
    if (!strcmp(key, "num-queues"))
        return !strcmp(v, "1") ? 0 : drive_unsupported("-device", pair, "only 1 can be had", err);
    if (!strcmp(key, "disable-modern") && !strcmp(v, "on")) { /* old drivers find what they look for; who knows better uses that */
        base_warn("note: -device %s,disable-modern=on: the device has both interfaces, as without it", dev->name);
        return 0;
    }
    if (!strcmp(key, "disable-legacy") || !strcmp(key, "disable-modern") || !strcmp(key, "scsi") || !strcmp(key, "share-rw"))
        return !strcmp(v, "off") ? 0 : drive_unsupported("-device", pair, "only off can be had", err);
    rc = drive_common_key("-device", opt, &dev->d, pair, err);
    if (rc)
        return rc == 1 ? 0 : rc;
    return opt_usage(err, "novt --help shows the keys", "-device %s: unknown property \"%s\"", dev->name, key);
}

/* -device isa-fdc,driveA=ID,fdtypeB=144: the controller is there anyway; its drives become floppies. */
static int isa_fdc(struct cli_options *opt, const char *list, struct novt_error *err)
{
    struct cli_drives *all = &opt->drives;
    struct drive_pair pair;
    struct cli_disk_device *unit[2] = {NULL, NULL};

    while (drive_pair(&list, &pair)) {
        unsigned n;
        int rc = 0;

        if (!strcmp(pair.key, "id") || (!strcmp(pair.key, "iobase") && strtol(pair.value, NULL, 0) == 0x3f0))
            continue;
        if (!strcmp(pair.key, "bootindexA") || !strcmp(pair.key, "bootindexB") || !strcmp(pair.key, "driveA") ||
            !strcmp(pair.key, "driveB") || !strcmp(pair.key, "fdtypeA") || !strcmp(pair.key, "fdtypeB"))
            n = pair.key[strlen(pair.key) - 1] == 'B';
        else
            return opt_usage(err, "use driveA=, driveB=, fdtypeA=, fdtypeB=, bootindexA=, bootindexB=",
                             "-device isa-fdc: unknown property \"%s\"", pair.key);
        if (!unit[n]) {
            if (all->devices == CLI_DISK_DEVICES)
                return opt_usage(err, "give fewer", "more than %d disk devices", CLI_DISK_DEVICES);
            unit[n] = &all->device[all->devices++];
            *unit[n] = (struct cli_disk_device){.kind = DEV_FLOPPY, .name = "isa-fdc", .bus = 0, .unit = (int)n};
        }
        if (pair.key[0] == 'f') {
            rc = set_floppy_type(unit[n], &pair, err);
        } else {
            pair.key[strlen(pair.key) - 1] = 0;
            rc = set_device_key(opt, unit[n], &pair, err);
        }
        if (rc)
            return rc;
    }
    return 0;
}

int drive_device(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    struct cli_drives *all = &opt->drives;
    struct cli_disk_device *dev = &all->device[all->devices];
    size_t n = strcspn(arg, ",");
    const char *list = arg[n] ? arg + n + 1 : "";
    struct drive_pair pair;
    unsigned i;

    if (n == 7 && !strncmp(arg, "isa-fdc", n))
        return isa_fdc(opt, list, err);
    for (i = 0; i < ARRAY_SIZE(kinds) && (strlen(kinds[i].name) != n || strncmp(kinds[i].name, arg, n)); i++)
        ;
    if (i == ARRAY_SIZE(kinds))
        return opt_usage(err, "use ide-hd, ide-cd, floppy or virtio-blk-pci", "-device: \"%.*s\" is not supported", (int)n, arg);
    if (all->devices == CLI_DISK_DEVICES)
        return opt_usage(err, "give fewer", "more than %d disk devices", CLI_DISK_DEVICES);
    *dev = (struct cli_disk_device){.kind = kinds[i].kind, .name = kinds[i].name, .bus = -1, .unit = -1};
    while (drive_pair(&list, &pair)) {
        int rc = set_device_key(opt, dev, &pair, err);

        if (rc)
            return rc;
    }
    all->devices++;
    return 0;
}

/* ---- putting it together ---- */

static struct cli_blockdev *find_blockdev(struct cli_drives *all, const char *name)
{
    for (unsigned i = 0; i < all->blockdevs; i++)
        if (!strcmp(all->blockdev[i].name, name))
            return &all->blockdev[i];
    return NULL;
}

/* The medium of a -blockdev: its own file, or that of the node below it. */
static int blockdev_medium(struct cli_drives *all, struct cli_blockdev *b, struct novt_medium *out, struct novt_error *err)
{
    struct cli_blockdev *child = b->child ? find_blockdev(all, b->child) : NULL;

    if (b->used)
        return opt_usage(err, "make a second one", "-blockdev %s is used twice", b->name);
    b->used = true;
    *out = b->medium;
    if (!b->child)
        return 0;
    if (!child || child == b || child->is_format || child->used)
        return opt_usage(err, "name a -blockdev driver=file", "-blockdev %s: file=%s cannot be used", b->name, b->child);
    child->used = true;
    out->file = child->medium.file;
    out->read_only |= child->medium.read_only;
    out->discard |= child->medium.discard;
    if (child->medium.cache)
        out->cache = child->medium.cache;
    return 0;
}

static int device_medium(struct cli_drives *all, struct cli_disk_device *dev, struct novt_error *err)
{
    enum novt_cache cache = dev->d.medium.cache;
    struct cli_blockdev *b;

    if (!dev->drive)
        return 0;
    for (unsigned i = 0; i < all->drives; i++) {
        struct cli_drive *d = &all->drive[i];

        if (!d->id || strcmp(d->id, dev->drive))
            continue;
        if (d->interface != IF_NONE || d->used)
            return opt_usage(err, "give the drive if=none and one device", "-device %s: drive \"%s\" is in use", dev->name,
                             dev->drive);
        d->used = true;
        dev->d.medium = d->drive.medium;
        dev->d.serial = dev->d.serial ? dev->d.serial : d->drive.serial;
        dev->d.on_read_error = dev->d.on_read_error ? dev->d.on_read_error : d->drive.on_read_error;
        dev->d.on_write_error = dev->d.on_write_error ? dev->d.on_write_error : d->drive.on_write_error;
        if (!dev->d.cylinders && d->drive.cylinders) {
            dev->d.cylinders = d->drive.cylinders;
            dev->d.heads = d->drive.heads;
            dev->d.sectors_per_track = d->drive.sectors_per_track;
        }
        dev->d.id = dev->d.id && !d->id ? dev->d.id : d->id;
        goto found;
    }
    b = find_blockdev(all, dev->drive);
    if (!b)
        return opt_usage(err, "give -drive if=none,id=ID or -blockdev node-name=ID", "-device %s: no drive \"%s\"", dev->name,
                         dev->drive);
    if (blockdev_medium(all, b, &dev->d.medium, err))
        return EXIT_USAGE;
found:
    if (cache == NOVT_CACHE_WRITETHROUGH && dev->d.medium.cache == NOVT_CACHE_WRITEBACK)
        dev->d.medium.cache = cache;
    return 0;
}

static const struct novt_drive *drive_at(const struct cli_options *opt, enum novt_drive_bus bus, unsigned index)
{
    for (size_t i = 0; i < opt->config.drives; i++)
        if (opt->drives.out[i].bus == bus && opt->drives.out[i].index == index)
            return &opt->drives.out[i];
    return NULL;
}

/* index: as given, or -1 - FIRST for the first free place from FIRST up to `last`. */
static int place(struct cli_options *opt, const struct novt_drive *d, int index, unsigned last, struct novt_error *err)
{
    static const char *const names[] = {
        [NOVT_BUS_IDE] = "ide", [NOVT_BUS_FLOPPY] = "floppy", [NOVT_BUS_VIRTIO] = "virtio"};
    unsigned at = index < 0 ? (unsigned)(-1 - index) : (unsigned)index;

    if (opt->config.drives == NOVT_DRIVES)
        return opt_usage(err, "give fewer", "more than %d drives", NOVT_DRIVES);
    while (index < 0 && at <= last && drive_at(opt, d->bus, at))
        at++;
    if (at > last)
        return opt_usage(err, d->bus == NOVT_BUS_VIRTIO ? "give fewer" : "use if=virtio for more disks",
                         index < 0 ? "no place is left on the %s bus (%u)" : "there is no %s index %u", names[d->bus], at);
    if (drive_at(opt, d->bus, at))
        return opt_usage(err, "give each its own index=", "drive with bus=%s, index=%u exists twice", names[d->bus], at);
    opt->drives.out[opt->config.drives] = *d;
    opt->drives.out[opt->config.drives++].index = at;
    return 0;
}

static unsigned last_of(enum novt_drive_bus bus)
{
    return bus == NOVT_BUS_IDE ? NOVT_IDE_DRIVES - 1 : bus == NOVT_BUS_FLOPPY ? NOVT_FLOPPIES - 1 : NOVT_VIRTIO_DISKS - 1;
}

static int place_drive(struct cli_options *opt, struct cli_drive *d, struct novt_error *err)
{
    static const u8 bus[] = {[IF_IDE] = NOVT_BUS_IDE, [IF_FLOPPY] = NOVT_BUS_FLOPPY, [IF_VIRTIO] = NOVT_BUS_VIRTIO};

    d->used = true;
    d->drive.bus = (enum novt_drive_bus)bus[d->interface];
    d->drive.id = d->id;
    if (d->cdrom && d->interface == IF_FLOPPY)
        return opt_usage(err, "use if=ide", "-drive: a floppy drive takes no media=cdrom");
    if (d->cdrom && d->interface == IF_VIRTIO) { /* as in QEMU: a disk that cannot be written */
        d->drive.medium.read_only = true;
        d->cdrom = false;
    }
    d->drive.cdrom = d->cdrom;
    if (!d->drive.medium.file && d->interface != IF_FLOPPY && !d->cdrom)
        return opt_usage(err, "add file=IMAGE", "-drive: no file=");
    return place(opt, &d->drive, d->index, last_of(d->drive.bus), err);
}

static int place_device(struct cli_options *opt, struct cli_disk_device *dev, struct novt_error *err)
{
    int rc = device_medium(&opt->drives, dev, err), index;
    bool ide = dev->kind == DEV_IDE_HD || dev->kind == DEV_IDE_CD;
    unsigned last;

    if (rc)
        return rc;
    dev->d.bus = ide ? NOVT_BUS_IDE : dev->kind == DEV_FLOPPY ? NOVT_BUS_FLOPPY : NOVT_BUS_VIRTIO;
    dev->d.cdrom = dev->kind == DEV_IDE_CD;
    last = last_of(dev->d.bus);
    if (!dev->d.medium.file && (dev->kind == DEV_IDE_HD || dev->kind == DEV_VIRTIO))
        return opt_usage(err, "add drive=ID, and -drive if=none,id=ID,file=IMAGE", "-device %s: no drive with a file", dev->name);
    if (ide && dev->bus < 0) /* QEMU fills the second cable, and then refuses; here the first one follows */
        dev->bus = drive_at(opt, NOVT_BUS_IDE, 2) && (dev->unit == 0 || drive_at(opt, NOVT_BUS_IDE, 3)) ? 0 : 1;
    if (ide && dev->unit < 0) {
        index = -1 - 2 * dev->bus;
        last = (unsigned)(2 * dev->bus + 1);
    } else if (dev->unit >= 0) {
        index = (ide && dev->bus > 0 ? 2 : 0) + dev->unit;
    } else {
        index = -1;
    }
    return place(opt, &dev->d, index, last, err);
}

/* QEMU's PC has an empty CD-ROM drive and an empty floppy drive, unless the command line says otherwise. */
static int place_defaults(struct cli_options *opt, struct novt_error *err)
{
    struct novt_drive cdrom = {.bus = NOVT_BUS_IDE, .cdrom = true}, floppy = {.bus = NOVT_BUS_FLOPPY};
    bool want_cdrom = !drive_at(opt, NOVT_BUS_IDE, 2), want_floppy = !drive_at(opt, NOVT_BUS_FLOPPY, 0);
    int rc = 0;

    for (unsigned i = 0; i < opt->drives.devices; i++) {
        want_cdrom &= opt->drives.device[i].kind != DEV_IDE_HD && opt->drives.device[i].kind != DEV_IDE_CD;
        want_floppy &= opt->drives.device[i].kind != DEV_FLOPPY;
    }
    if (want_cdrom && opt->config.drives < NOVT_DRIVES)
        rc = place(opt, &cdrom, 2, 2, err);
    if (!rc && want_floppy && opt->config.drives < NOVT_DRIVES)
        rc = place(opt, &floppy, 0, 0, err);
    return rc;
}

int drive_finish(struct cli_options *opt, struct novt_error *err)
{
    struct cli_drives *all = &opt->drives;

    opt->config.drive = all->out;
    opt->config.drives = 0;
    opt->config.boot_order = all->boot_order[0] ? all->boot_order : NULL;
    opt->config.boot_once = all->boot_once[0] ? all->boot_once : NULL;
    if (strchr(all->boot_order, 'n') || strchr(all->boot_once, 'n'))
        base_warn("note: network cards have no boot ROM (PXE): the firmware passes over -boot n");
    if (all->snapshot_all && all->blockdevs)
        return opt_usage(err, "use -drive snapshot=on", "-snapshot and -blockdev do not go together");
    for (unsigned i = 0; i < all->drives; i++)
        if (all->snapshot_all && !all->drive[i].snapshot_given)
            all->drive[i].drive.medium.snapshot = true;
    for (unsigned pass = 0; pass < 2; pass++) /* those with a place first */
        for (unsigned i = 0; i < all->drives; i++)
            if (all->drive[i].interface != IF_NONE && (all->drive[i].index < 0) == pass) {
                int rc = place_drive(opt, &all->drive[i], err);

                if (rc)
                    return rc;
            }
    for (unsigned i = 0; i < all->devices; i++) {
        int rc = place_device(opt, &all->device[i], err);

        if (rc)
            return rc;
    }
    for (unsigned i = 0; i < all->drives; i++)
        if (!all->drive[i].used)
            base_warn("note: drive \"%s\" has no -device and is not used", all->drive[i].id);
    return opt->control.nodefaults ? 0 : place_defaults(opt, err);
}
