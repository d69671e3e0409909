/*
 * cli_drive.h - drives as the command line gives them, before they are put together.
 *
 * -drive, -hda and the like, -blockdev and -device may come in any order and name each other, so each is kept as it
 * was given; drive_finish() makes the config's array of drives of them when the whole command line has been read.
 */
#ifndef NOVT_CLI_DRIVE_H
#define NOVT_CLI_DRIVE_H

#include "base.h"
#include "include/novt.h"

#define CLI_DRIVES 24
#define CLI_BLOCKDEVS 32
#define CLI_DISK_DEVICES 24
#define CLI_DRIVE_TEXT 16384

enum cli_drive_if { IF_IDE, IF_FLOPPY, IF_VIRTIO, IF_NONE };

struct cli_drive {
    enum cli_drive_if interface;
    const char *id;
    int index; /* -1: the first free place */
    bool cdrom, snapshot_given, used;
    struct novt_drive drive; /* medium, geometry, serial */
};

struct cli_blockdev {
    const char *name, *child; /* child: node-name of file= */
    bool is_format;           /* raw or qcow2; else a file */
    bool used;
    struct novt_medium medium;
};

enum cli_disk_kind { DEV_IDE_HD, DEV_IDE_CD, DEV_FLOPPY, DEV_VIRTIO };

struct cli_disk_device {
    enum cli_disk_kind kind;
    const char *name;  /* as given */
    const char *drive; /* NULL: none */
    int bus, unit;     /* -1: not given */
    struct novt_drive d;
};

struct cli_drives {
    struct cli_drive drive[CLI_DRIVES];
    struct cli_blockdev blockdev[CLI_BLOCKDEVS];
    struct cli_disk_device device[CLI_DISK_DEVICES];
    unsigned drives, blockdevs, devices;
    bool snapshot_all;
    char boot_order[8], boot_once[8];
    struct novt_drive out[NOVT_DRIVES];
    char text[CLI_DRIVE_TEXT]; /* values, one after the other */
    size_t text_used;
};

#endif
