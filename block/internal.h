/*
 * internal.h - what the files of block/ share: an image as bytes, and the pieces of raw ones.
 *
 * Images know no requests and no threads: read, write and flush are called by one thread at a time, whole or not at all, with
 * offsets and sizes that are multiples of 512 and lie within the image. Errors are -errno as struct disk_request wants them.
 */
#ifndef NOVT_BLOCK_INTERNAL_H
#define NOVT_BLOCK_INTERNAL_H

#include "block/block.h"

struct blk_image;

struct blk_ops {
    int (*read)(struct blk_image *image, u64 at, void *buf, size_t bytes);
    int (*write)(struct blk_image *image, u64 at, const void *buf, size_t bytes);
    int (*flush)(struct blk_image *image);
    /* NULL: sectors stay as they are, which is also what an error comes to. */
    int (*discard)(struct blk_image *image, u64 at, u64 bytes);
    /* A read that the host can serve from memory at once: 0, or -EAGAIN and it has to be read(). Never waits. NULL: there are none. */
    int (*read_now)(struct blk_image *image, u64 at, void *buf, size_t bytes);
    void (*close)(struct blk_image *image); /* frees it */
};

struct blk_image {
    const struct blk_ops *ops;
    u64 bytes; /* a multiple of 512 */
    bool read_only;
    bool probed_raw, odd_size;
    enum blk_format format;
};

/* raw.c, nbd.c, overlay.c, open.c. 0 or -errno with *err filled. */
int raw_open(struct blk_image **out, const struct blk_source *source, struct blk_error *err) MUST_CHECK;
int nbd_open(struct blk_image **out, const struct blk_source *source, enum blk_format format, struct blk_error *err) MUST_CHECK;
/* Takes base over, also on failure. */
int overlay_open(struct blk_image **out, struct blk_image *base, struct blk_error *err) MUST_CHECK;
int image_open(struct blk_image **out, const struct blk_source *source, struct blk_error *err) MUST_CHECK;

/* fat.c: is it a directory to be shown as a FAT disk? Then the options that make qemu-nbd do so, for the caller to free. */
bool fat_is_one(const char *path);
int fat_options(const struct blk_source *source, char **options, bool *read_only, struct blk_error *err) MUST_CHECK;

/* probe.c: what an image's first bytes say it is. */
#define PROBE_BYTES 512u
struct probe_result {
    const char *name;       /* as people call it */
    enum blk_format format; /* BLK_PROBE: one that qemu-nbd is not asked to open */
    bool container;         /* a disk image in a format that is not raw */
};
void probe_bytes(const u8 *first, size_t bytes, struct probe_result *out);

/* lock.c: OFD locks on single bytes of the file, QEMU's scheme. 0, -EAGAIN if somebody else has the image, else -errno. */
int lock_image(int fd, bool write) MUST_CHECK;

/* Opens a file or block device without ever blocking; refuses anything else. *bytes is its size. */
int host_open(const char *path, int flags, int *fd, u64 *bytes, struct blk_error *err) MUST_CHECK;
/* What the page cache has of a file, all of [at, at + bytes) or -EAGAIN. */
int host_read_now(int fd, u64 at, void *buf, size_t bytes);
/* An errno of the host as a disk_request's error: full disks are -ENOSPC, the rest -EIO. */
int host_error(int error);

int blk_fail(struct blk_error *err, bool bad_image, int rc, const char *remedy, const char *fmt, ...) PRINTF_LIKE(5, 6);

#endif
