/*
 * block.h - disk images: what stands behind a drive's controller.
 *
 * A struct blk_disk is the place for one medium. It implements devices/disk.h: requests are queued, a thread of its own carries
 * them out one after the other, the VM's thread calls done. What is in it can change while nothing is in flight.
 * Kinds of images: raw files and block devices; qcow2, VMDK, VDI and others through a qemu-nbd process; and over either a temporary layer that keeps
 * the image itself as it is. Images are locked as QEMU locks them, so that its tools and we respect each other.
 *
 * Durable: when a flush is done, what was written before it is on the host's disk. Nothing waits in this process's memory.
 */
#ifndef NOVT_BLOCK_H
#define NOVT_BLOCK_H

#include "base.h"
#include "devices/devices.h"

enum blk_format { BLK_PROBE, BLK_RAW, BLK_QCOW2, BLK_QED, BLK_VMDK, BLK_VDI, BLK_VPC, BLK_VHDX, BLK_PARALLELS, BLK_FORMATS };
enum blk_cache {
    BLK_WRITEBACK,    /* durable when flushed */
    BLK_WRITETHROUGH, /* durable when written */
    BLK_DIRECT,       /* as WRITEBACK, past the host's page cache (cache=none) */
    BLK_DIRECTSYNC,   /* as WRITETHROUGH, past the host's page cache */
    BLK_UNSAFE,       /* flushes do nothing */
};

struct blk_source {
    const char *path;
    enum blk_format format;
    enum blk_cache cache;
    bool read_only;
    bool else_read_only; /* what cannot be written is taken read-only (a write-protected floppy) instead of refused */
    bool snapshot;       /* writes go to a temporary file */
    bool discard;        /* discarded sectors are given back to the host (discard=unmap), else kept */
};

struct blk_error {
    bool bad_image; /* it is the image, not the host */
    char cause[320], remedy[320];
};

struct blk_info {
    char path[256]; /* cut; "" without a medium */
    enum blk_format format;
    bool read_only, snapshot, tray_open;
    bool probed_raw; /* nobody said so: to be warned of */
    bool odd_size;   /* the last sector is only partly there */
    u64 bytes;
    u64 reads, writes, flushes, read_bytes, written_bytes, errors; /* since the disk was made */
};

/* What this host lacks for formats other than raw, as Debian packages; NULL: nothing. */
const char *blk_formats_lack(void);

struct blk_disk;

/* QEMU's name of a format; NULL for BLK_PROBE and what is none. */
const char *blk_format_name(enum blk_format format);

/* An empty disk with its thread. 0 or -errno. */
int blk_new(struct blk_disk **out) MUST_CHECK;
/* Waits for what is in flight, without calling anyone; flushes. NULL is fine. The VM's thread, before its wake list goes. */
void blk_free(struct blk_disk *disk);

/* Puts a medium in, instead of the present one if there is one (which stays if this fails). 0, or -errno with *err filled. */
int blk_insert(struct blk_disk *disk, const struct blk_source *source, struct blk_error *err) MUST_CHECK;
/* Takes it out. Requests in flight are done first. */
void blk_remove(struct blk_disk *disk);

/* Waits for what is in flight, then makes all of it durable (not with BLK_UNSAFE). */
int blk_flush(struct blk_disk *disk);

/* From now on requests are also done without anyone calling drain(): the VM's thread is woken. */
void blk_attach(struct blk_disk *disk, struct wake_list *wakes);

/* For the controller: valid until blk_free(). */
const struct disk_back *blk_back(const struct blk_disk *disk);
/* Cylinders, heads and sectors that the controller is to show. */
void blk_set_geometry(struct blk_disk *disk, u32 cylinders, u32 heads, u32 sectors_per_track);

/* What becomes of a request that the host failed. */
enum blk_verdict {
    BLK_REPORT, /* the guest sees the error */
    BLK_HOLD,   /* nothing yet: the request waits for blk_retry() */
    BLK_IGNORE, /* the guest is told that all went well */
};
/* fn is asked at each of the host's errors (-ENOSPC, -EIO), on the VM's thread. Without it the guest sees them. may_hold is false when somebody
 * waits for the request to be done: BLK_HOLD is BLK_REPORT then. first: none of this operation and medium before. */
typedef enum blk_verdict blk_trouble_fn(void *opaque, enum disk_op op, int err, bool may_hold, bool first);
void blk_set_trouble(struct blk_disk *disk, blk_trouble_fn *fn, void *opaque);
/* Carries out again what is held. Reset and media change end it with its error instead. */
void blk_retry(struct blk_disk *disk);
bool blk_holds(const struct blk_disk *disk);

void blk_info(struct blk_disk *disk, struct blk_info *info);
/* When the image's file was last written, by its file system. False: no medium, or the host does not say. */
bool blk_written(const struct blk_disk *disk, u64 *s, u64 *ns);
void blk_set_tray(struct blk_disk *disk, bool open);

#endif
