/*
 * cli_drive.c - -drive, -hda and the like, -snapshot, -boot; and all of them put together into the config's drives.
 *
 * Keys are QEMU's. What has no effect here that a guest or a file could see (aio=, detect-zeroes=) is taken; what would have one and
 * is not there is refused by name. cli_blockdev.c reads -blockdev and -device.
 */
#include "monitor/cli_drive_opt.h"

#include <stdio.h>
#include <string.h>

/* ---- pieces ---- */

char *drive_text(struct cli_options *opt, const char *text, struct novt_error *err)
{
    struct cli_drives *all = &opt->drives;
    size_t bytes = strlen(text) + 1;
    char *to = all->text + all->text_used;

    if (bytes > sizeof(all->text) - all->text_used) {
        opt_usage(err, "shorten paths or give fewer drives", "too much text in the drives' options");
        return NULL;
    }
    all->text_used += bytes;
    return memcpy(to, text, bytes);
}

bool drive_pair(const char **at, struct drive_pair *pair)
{
    const char *p = *at;
    size_t n = 0;
    bool has_value;

    if (!p || !*p)
        return false;
    while (*p && *p != '=' && *p != ',' && n + 1 < sizeof(pair->key))
        pair->key[n++] = *p++;
    pair->key[n] = 0;
    has_value = *p == '=';
    n = 0;
    if (has_value)
        for (p++; *p; p++) {
            if (*p == ',' && *++p != ',') /* a doubled comma is one of the value's */
                break;
            if (n + 1 < sizeof(pair->value))
                pair->value[n++] = *p;
        }
    else if (*p == ',')
        p++;
    pair->value[n] = 0;
    pair->bare = !has_value;
    *at = p;
    return true;
}

bool drive_on_off(const struct drive_pair *pair, bool *out)
{
    if (pair->bare || !strcmp(pair->value, "on") || !strcmp(pair->value, "yes") || !strcmp(pair->value, "true"))
        *out = true;
    else if (!strcmp(pair->value, "off") || !strcmp(pair->value, "no") || !strcmp(pair->value, "false"))
        *out = false;
    else
        return false;
    return true;
}

int drive_bad(const char *option, const struct drive_pair *pair, const char *remedy, struct novt_error *err)
{
    return opt_usage(err, remedy, "%s: bad value %s=%s", option, pair->key, pair->value);
}

int drive_unsupported(const char *option, const struct drive_pair *pair, const char *remedy, struct novt_error *err)
{
    return opt_usage(err, remedy, "%s: %s=%s is not supported", option, pair->key, pair->value);
}

int drive_number(const char *option, const struct drive_pair *pair, u64 max, u64 *out, struct novt_error *err)
{
    char remedy[64];

    if (opt_number(pair->value, max, NULL, out))
        return 0;
    snprintf(remedy, sizeof(remedy), "give a number up to %llu", (unsigned long long)max);
    return drive_bad(option, pair, remedy, err);
}

/* ---- -drive ---- */

static int set_interface(struct cli_drive *d, const struct drive_pair *pair, struct novt_error *err)
{
    static const struct {
        const char *name;
        enum cli_drive_if interface;
    } names[] = {{"ide", IF_IDE}, {"floppy", IF_FLOPPY}, {"virtio", IF_VIRTIO}, {"none", IF_NONE}};

    for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
        if (!strcmp(pair->value, names[i].name)) {
            d->interface = names[i].interface;
            return 0;
        }
    return drive_unsupported("-drive", pair, !strcmp(pair->value, "pflash") ? "use -bios FILE" : "use if=ide, floppy, virtio or none", err);
}

/* "PROTOCOL:" is no path: QEMU's drivers for images that are no files. A path with a colon is told by a slash before it. */
int drive_check_file(const char *option, const char *file, struct novt_error *err)
{
    static const char *const protocols[][2] = {
        {"nbd", "attach it on the host (nbdfuse, qemu-nbd -c) and give the file or device"},
        {"nbd+unix", "attach it on the host (nbdfuse, qemu-nbd -c) and give the file or device"},
        {"nbd+tcp", "attach it on the host (nbdfuse, qemu-nbd -c) and give the file or device"},
        {"http", "download it first"},
        {"https", "download it first"},
        {"ftp", "download it first"},
        {"ftps", "download it first"},
        {"ssh", "mount it on the host with sshfs"},
        {"iscsi", "attach it on the host with iscsiadm and give its device"},
        {"rbd", "map it on the host with rbd map and give its device"},
        {"gluster", "mount it on the host"},
        {"json", "use -blockdev, or -drive with file= and format="},
        {"blkdebug", "give the image alone"},
        {"null-co", "make an empty image: truncate -s 1G FILE"},
        {"nvme", "give the host's device file"},
    };
    size_t len = strcspn(file, ":/");

    if (file[len] != ':')
        return 0;
    for (size_t i = 0; i < ARRAY_SIZE(protocols); i++)
        if (strlen(protocols[i][0]) == len && !strncmp(file, protocols[i][0], len))
            return opt_usage(err, protocols[i][1], "%s: NoVT does not have the protocol of \"%.200s\"", option, file);
    return 0;
}

/* "file:PATH" is PATH. */
static const char *drive_path(const char *file)
{
    return strncmp(file, "file:", 5) ? file : file + 5;
}

int drive_set_format(const char *option, struct novt_medium *m, const struct drive_pair *pair, struct novt_error *err)
{
    if (novt_format_by_name(pair->value, &m->format))
        return 0;
    return drive_unsupported(option, pair, "use raw, qcow2, qed, vmdk, vdi, vpc, vhdx or parallels", err);
}

static int set_cache(struct novt_medium *m, const struct drive_pair *pair, struct novt_error *err)
{
    static const struct {
        const char *name;
        enum novt_cache cache;
    } names[] = {{"writeback", NOVT_CACHE_WRITEBACK},   {"writethrough", NOVT_CACHE_WRITETHROUGH}, {"none", NOVT_CACHE_NONE},
                 {"directsync", NOVT_CACHE_DIRECTSYNC}, {"unsafe", NOVT_CACHE_UNSAFE},             {"off", NOVT_CACHE_NONE}};

    for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
        if (!strcmp(pair->value, names[i].name)) {
            m->cache = names[i].cache;
            return 0;
        }
    return drive_bad("-drive", pair, "use none, writeback, writethrough, directsync or unsafe", err);
}

/* Keys that say how the host does it: the same words for -drive and -blockdev. 1: it was one of them. */
int drive_host_key(const char *option, struct novt_medium *m, const struct drive_pair *pair, struct novt_error *err)
{
    const char *key = pair->key, *v = pair->value;
    bool on = false;

    if (!strcmp(key, "readonly") || !strcmp(key, "read-only"))
        return drive_on_off(pair, &m->read_only) ? 1 : drive_bad(option, pair, "use on or off", err);
    if (!strcmp(key, "cache.direct")) {
        if (!drive_on_off(pair, &on))
            return drive_bad(option, pair, "use on or off", err);
        m->cache = on ? NOVT_CACHE_NONE : NOVT_CACHE_WRITEBACK;
        return 1;
    }
    if (!strcmp(key, "cache.no-flush")) {
        if (!drive_on_off(pair, &on))
            return drive_bad(option, pair, "use on or off", err);
        if (on)
            m->cache = NOVT_CACHE_UNSAFE;
        return 1;
    }
    /* How the host's threads go about it. */
    if (!strcmp(key, "aio"))
        return !strcmp(v, "threads") || !strcmp(v, "native") || !strcmp(v, "io_uring")
                   ? 1
                   : drive_bad(option, pair, "use aio=threads", err);
    if (!strcmp(key, "discard")) {
        m->discard = !strcmp(v, "unmap") || !strcmp(v, "on");
        return m->discard || !strcmp(v, "ignore") || !strcmp(v, "off") ? 1 : drive_bad(option, pair, "use unmap or ignore", err);
    }
    if (!strcmp(key, "auto-read-only"))
        return drive_on_off(pair, &on) ? 1 : drive_bad(option, pair, "use on or off", err);
    if (!strcmp(key, "detect-zeroes")) /* where zeros are kept is the host's business */
        return !strcmp(v, "off") || !strcmp(v, "on") || !strcmp(v, "unmap") ? 1 : drive_bad(option, pair, "use off", err);
    if (!strcmp(key, "copy-on-read"))
        return !strcmp(v, "off") ? 1 : drive_unsupported(option, pair, "only off can be had", err);
    if (!strncmp(key, "throttling.", 11) || !strncmp(key, "bps", 3) || !strncmp(key, "iops", 4) || !strcmp(key, "group"))
        return opt_usage(err, "limit it from the host, for example with systemd-run -p IOReadBandwidthMax=",
                         "%s: NoVT does not throttle drives (%s=)", option, key);
    if (!strcmp(key, "locking"))
        return !strcmp(v, "on") || !strcmp(v, "auto") ? 1 : drive_unsupported(option, pair, "images are always locked", err);
    return 0;
}

static int set_place(struct cli_drive *d, const struct drive_pair *pair, int *bus, int *unit, struct novt_error *err)
{
    u64 n;
    int rc = drive_number("-drive", pair, 31, &n, err);

    if (rc)
        return rc;
    if (!strcmp(pair->key, "index"))
        d->index = (int)n;
    else if (!strcmp(pair->key, "bus"))
        *bus = (int)n;
    else
        *unit = (int)n;
    return 0;
}

static int set_geometry(const char *option, struct novt_drive *d, const struct drive_pair *pair, struct novt_error *err)
{
    u64 n;
    int rc = drive_number(option, pair, 65535, &n, err);

    if (rc)
        return rc;
    if (pair->key[0] == 'c')
        d->cylinders = (u32)n;
    else if (pair->key[0] == 'h')
        d->heads = (u32)n;
    else
        d->sectors_per_track = (u32)n;
    return 0;
}

/* 1, or an exit code. What QEMU does by itself ("auto") on a full disk is to stop; here the guest sees the error unless asked otherwise. */
static int set_on_error(const char *option, struct novt_drive *d, const struct drive_pair *pair, struct novt_error *err)
{
    static const struct {
        const char *name;
        enum novt_on_error what;
    } names[] = {{"report", NOVT_ON_ERROR_REPORT}, {"auto", NOVT_ON_ERROR_REPORT}, {"stop", NOVT_ON_ERROR_STOP},
                 {"ignore", NOVT_ON_ERROR_IGNORE}, {"enospc", NOVT_ON_ERROR_ENOSPC}};
    bool write = pair->key[0] == 'w';

    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (!strcmp(pair->value, names[i].name) && (write || names[i].what != NOVT_ON_ERROR_ENOSPC)) {
            *(write ? &d->on_write_error : &d->on_read_error) = names[i].what;
            return 1;
        }
    return drive_bad(option, pair, write ? "use report, stop, enospc or ignore" : "use report, stop or ignore", err);
}

int drive_common_key(const char *option, struct cli_options *opt, struct novt_drive *d, const struct drive_pair *pair,
                     struct novt_error *err)
{
    const char *key = pair->key;

    if (!strcmp(key, "cyls") || !strcmp(key, "heads") || !strcmp(key, "secs")) {
        int rc = set_geometry(option, d, pair, err);

        return rc ? rc : 1;
    }
    if (!strcmp(key, "serial")) {
        d->serial = drive_text(opt, pair->value, err);
        return d->serial ? 1 : EXIT_USAGE;
    }
    if (!strcmp(key, "werror") || !strcmp(key, "rerror"))
        return set_on_error(option, d, pair, err);
    return 0;
}

/* Two drives of one name could not be told apart by a monitor, nor by -device. */
static int set_drive_id(struct cli_options *opt, struct cli_drive *d, const char *id, struct novt_error *err)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

    if (!id[0] || !strchr(letters, id[0]) || id[strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._")])
        return opt_usage(err, "begin with a letter, go on with letters, digits, \"-\", \".\" and \"_\"", "-drive: \"%s\" is no id", id);
    for (unsigned i = 0; i < opt->drives.drives; i++)
        if (&opt->drives.drive[i] != d && opt->drives.drive[i].id && !strcmp(opt->drives.drive[i].id, id))
            return opt_usage(err, "give each its own", "-drive: id=%s twice", id);
    d->id = drive_text(opt, id, err);
    return d->id ? 0 : EXIT_USAGE;
}

static int set_drive_key(struct cli_options *opt, struct cli_drive *d, const struct drive_pair *pair, int *bus, int *unit,
                         struct novt_error *err)
{
    struct novt_medium *m = &d->drive.medium;
    const char *key = pair->key;
    int rc;

    if (!strcmp(key, "file") || !strcmp(key, "file.filename")) {
        if (drive_check_file("-drive", pair->value, err))
            return EXIT_USAGE;
        m->file = pair->value[0] ? drive_text(opt, drive_path(pair->value), err) : NULL;
        return m->file || !pair->value[0] ? 0 : EXIT_USAGE;
    }
    if (!strcmp(key, "id") || !strcmp(key, "node-name"))
        return set_drive_id(opt, d, pair->value, err);
    if (!strcmp(key, "if"))
        return set_interface(d, pair, err);
    if (!strcmp(key, "index") || !strcmp(key, "bus") || !strcmp(key, "unit"))
        return set_place(d, pair, bus, unit, err);
    if (!strcmp(key, "media")) {
        d->cdrom = !strcmp(pair->value, "cdrom");
        return d->cdrom || !strcmp(pair->value, "disk") ? 0 : drive_bad("-drive", pair, "use media=disk or cdrom", err);
    }
    if (!strcmp(key, "file.driver"))
        return !strcmp(pair->value, "file") || !strcmp(pair->value, "host_device") || !strcmp(pair->value, "host_cdrom")
                   ? 0
                   : drive_unsupported("-drive", pair, "use file.driver=file", err);
    if (!strcmp(key, "format") || !strcmp(key, "driver"))
        return drive_set_format("-drive", m, pair, err);
    if (!strcmp(key, "snapshot")) {
        d->snapshot_given = true;
        return drive_on_off(pair, &m->snapshot) ? 0 : drive_bad("-drive", pair, "use on or off", err);
    }
    if (!strcmp(key, "cache"))
        return set_cache(m, pair, err);
    rc = drive_host_key("-drive", m, pair, err);
    if (!rc)
        rc = drive_common_key("-drive", opt, &d->drive, pair, err);
    if (rc)
        return rc == 1 ? 0 : rc;
    return opt_usage(err, "novt --help shows the keys", "-drive: unknown key \"%s\"", key);
}

static struct cli_drive *new_drive(struct cli_options *opt, struct novt_error *err)
{
    struct cli_drives *all = &opt->drives;
    struct cli_drive *d;

    if (all->drives == CLI_DRIVES) {
        opt_usage(err, "give fewer", "more than %d drives", CLI_DRIVES);
        return NULL;
    }
    d = &all->drive[all->drives++];
    *d = (struct cli_drive){.index = -1};
    return d;
}

int opt_drive(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    struct cli_drive *d = new_drive(opt, err);
    struct drive_pair pair;
    int bus = -1, unit = -1;

    if (!d)
        return EXIT_USAGE;
    for (const char *at = arg; drive_pair(&at, &pair);) {
        int rc = set_drive_key(opt, d, &pair, &bus, &unit, err);

        if (rc)
            return rc;
    }
    if (d->index >= 0 && (bus >= 0 || unit >= 0))
        return opt_usage(err, "give index= or bus= and unit=", "-drive: index= and bus= or unit= say the same thing");
    if (unit >= 0 || bus >= 0)
        d->index = (bus < 0 ? 0 : bus) * (d->interface == IF_IDE ? 2 : 1) + (unit < 0 ? 0 : unit);
    if (d->interface == IF_NONE && !d->id)
        return opt_usage(err, "add id=NAME, and -device DEVICE,drive=NAME", "-drive if=none: no id=");
    return 0;
}

/* -hda FILE and its like. */
static int legacy(struct cli_options *opt, const char *arg, enum cli_drive_if interface, int index, bool cdrom,
                  struct novt_error *err)
{
    struct cli_drive *d = new_drive(opt, err);

    if (!d || drive_check_file("a drive", arg, err))
        return EXIT_USAGE;
    d->interface = interface;
    d->index = index;
    d->cdrom = cdrom;
    d->drive.medium.file = drive_path(arg);
    return 0;
}

int opt_hda(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    return legacy(opt, arg, IF_IDE, 0, false, err);
}

int opt_hdb(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    return legacy(opt, arg, IF_IDE, 1, false, err);
}

int opt_hdc(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    return legacy(opt, arg, IF_IDE, 2, false, err);
}

int opt_hdd(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    return legacy(opt, arg, IF_IDE, 3, false, err);
}

int opt_cdrom(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    return legacy(opt, arg, IF_IDE, 2, true, err);
}

int opt_fda(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    return legacy(opt, arg, IF_FLOPPY, 0, false, err);
}

int opt_fdb(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    return legacy(opt, arg, IF_FLOPPY, 1, false, err);
}

int opt_snapshot(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    (void)arg;
    (void)err;
    opt->drives.snapshot_all = true;
    return 0;
}

/* ---- -boot ---- */

static int set_order(char *to, size_t bytes, const char *letters, struct novt_error *err)
{
    size_t n = strlen(letters);

    if (!n || n >= bytes || letters[strspn(letters, "abcdn")])
        return opt_usage(err, "a and b are floppy drives, c the disk, d the CD-ROM, n the network",
                         "-boot: \"%s\" is not an order of the letters a, b, c, d and n", letters);
    for (size_t i = 0; i < n; i++)
        if (strchr(letters + i + 1, letters[i]))
            return opt_usage(err, "name each once", "-boot: \"%c\" is twice in \"%s\"", letters[i], letters);
    memcpy(to, letters, n + 1);
    return 0;
}

int opt_boot(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    struct cli_drives *all = &opt->drives;
    struct drive_pair pair;
    int rc = 0;

    for (const char *at = arg; !rc && drive_pair(&at, &pair);) {
        u64 n;

        if (pair.bare || !strcmp(pair.key, "order")) {
            rc = set_order(all->boot_order, sizeof(all->boot_order), pair.bare ? pair.key : pair.value, err);
        } else if (!strcmp(pair.key, "once")) {
            rc = set_order(all->boot_once, sizeof(all->boot_once), pair.value, err);
        } else if (!strcmp(pair.key, "menu")) {
            if (!drive_on_off(&pair, &opt->config.boot_menu))
                rc = drive_bad("-boot", &pair, "use on or off", err);
        } else if (!strcmp(pair.key, "strict")) {
            if (!drive_on_off(&pair, &opt->config.boot_strict))
                rc = drive_bad("-boot", &pair, "use on or off", err);
        } else if (!strcmp(pair.key, "splash-time")) {
            rc = drive_number("-boot", &pair, 65535, &n, err);
            opt->config.boot_menu_ms = (u32)n;
        } else if (!strcmp(pair.key, "reboot-timeout")) { /* -1: stay, as without it */
            rc = strcmp(pair.value, "-1") ? drive_number("-boot", &pair, 65535, &n, err) : 0;
            opt->config.boot_fail_ms = rc || pair.value[0] == '-' ? 0 : (u32)n + 1;
        } else if (!strcmp(pair.key, "splash")) {
            rc = opt_usage(err, "leave it out", "-boot: NoVT shows no splash picture (splash=)");
        } else {
            rc = opt_usage(err, "use order=, once=, menu=, splash-time=, reboot-timeout= and strict=", "-boot: unknown key \"%s\"", pair.key);
        }
    }
    return rc;
}
