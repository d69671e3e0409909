/*
 * raw.c - images whose bytes are the disk's bytes: files and block devices of the host.
 *
 * A file whose size is no multiple of 512 ends in a sector filled up with zeros. What is missing of a file that was whole when it was
 * opened is an I/O error, never zeros: somebody truncated it. After a flush failed, the host may have dropped the data that it could
 * not write and forget about it, so every later flush fails too.
 *
 * Past the page cache (O_DIRECT) the host wants aligned offsets, sizes and memory: a bounce buffer of whole pages stands in between, and
 * what a write does not cover of its first and last page is read before.
 */
#include "block/internal.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define BOUNCE_BYTES (DISK_REQUEST_SECTORS * DISK_SECTOR_BYTES + 2 * PAGE_BYTES)

struct raw_image {
    struct blk_image image; /* first */
    int fd;
    u64 file_bytes; /* the file's size when it was opened, or as far as it was written */
    u8 *bounce;     /* O_DIRECT only */
    int flush_error;
    bool discard, block_device;
};

int host_error(int error)
{
    switch (error) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG: return -ENOSPC;
    default: return -EIO;
    }
}

/* How much was read before the end of the file, or an error. Does not read on from there: O_DIRECT would not like the offset. */
static ssize_t read_some(int fd, u64 at, u8 *buf, size_t bytes, u64 end)
{
    size_t done = 0;

    while (done < bytes && at + done < end) {
        ssize_t n = pread(fd, buf + done, bytes - done, (off_t)(at + done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return host_error(errno);
        if (!n)
            break;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

static int write_all(int fd, u64 at, const u8 *buf, size_t bytes)
{
    while (bytes) {
        ssize_t n = pwrite(fd, buf, bytes, (off_t)at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return host_error(errno);
        if (!n)
            return -EIO;
        buf += n;
        at += (u64)n;
        bytes -= (size_t)n;
    }
    return 0;
}

/* Bytes there must be; the rest of the last sector of an odd file is zero. */
static int read_checked(struct raw_image *raw, u64 at, u8 *buf, size_t bytes)
{
    ssize_t n = read_some(raw->fd, at, buf, bytes, raw->file_bytes);

    if (n < 0)
        return (int)n;
    if ((size_t)n < bytes && at + (size_t)n < raw->file_bytes)
        return -EIO;
    memset(buf + n, 0, bytes - (size_t)n);
    return 0;
}

static int raw_read(struct blk_image *image, u64 at, void *buf, size_t bytes)
{
    struct raw_image *raw = (struct raw_image *)image;
    u64 first = at & ~(u64)PAGE_MASK;
    size_t span = (size_t)(align_up(at + bytes, PAGE_BYTES) - first);
    int rc;

    if (!raw->bounce)
        return read_checked(raw, at, buf, bytes);
    rc = read_checked(raw, first, raw->bounce, span);
    if (!rc)
        memcpy(buf, raw->bounce + (at - first), bytes);
    return rc;
}

int host_read_now(int fd, u64 at, void *buf, size_t bytes)
{
    struct iovec iov = {buf, bytes};

    return preadv2(fd, &iov, 1, (off_t)at, RWF_NOWAIT) == (ssize_t)bytes ? 0 : -EAGAIN;
}

static int raw_read_now(struct blk_image *image, u64 at, void *buf, size_t bytes)
{
    struct raw_image *raw = (struct raw_image *)image;

    return raw->bounce ? -EAGAIN : host_read_now(raw->fd, at, buf, bytes);
}

static int write_direct(struct raw_image *raw, u64 at, const void *buf, size_t bytes)
{
    u64 first = at & ~(u64)PAGE_MASK;
    size_t span = (size_t)(align_up(at + bytes, PAGE_BYTES) - first);
    u8 *last = raw->bounce + span - PAGE_BYTES;
    int rc = 0;

    if (at != first)
        rc = read_checked(raw, first, raw->bounce, PAGE_BYTES);
    if (!rc && (at + bytes) % PAGE_BYTES && (last != raw->bounce || at == first))
        rc = read_checked(raw, first + span - PAGE_BYTES, last, PAGE_BYTES);
    if (rc)
        return rc;
    memcpy(raw->bounce + (at - first), buf, bytes);
    if (first + span <= raw->image.bytes)
        return write_all(raw->fd, first, raw->bounce, span);
    /* The file must not grow to whole pages: its end goes through the page cache after all. */
    rc = fcntl(raw->fd, F_SETFL, fcntl(raw->fd, F_GETFL) & ~O_DIRECT) ? -EIO : 0;
    if (!rc)
        rc = write_all(raw->fd, at, buf, bytes);
    if (fcntl(raw->fd, F_SETFL, fcntl(raw->fd, F_GETFL) | O_DIRECT))
        return -EIO;
    return rc;
}

static int raw_write(struct blk_image *image, u64 at, const void *buf, size_t bytes)
{
    struct raw_image *raw = (struct raw_image *)image;
    struct probe_result probe;
    int rc;

    if (image->probed_raw && at == 0) {
        /* Or the next start would take the guest's word for what this file is. */
        probe_bytes(buf, bytes, &probe);
        if (probe.container)
            return -EIO;
    }
    rc = raw->bounce ? write_direct(raw, at, buf, bytes) : write_all(raw->fd, at, buf, bytes);
    if (!rc && at + bytes > raw->file_bytes)
        raw->file_bytes = at + bytes;
    return rc;
}

static int raw_flush(struct blk_image *image)
{
    struct raw_image *raw = (struct raw_image *)image;

    if (!raw->flush_error && fdatasync(raw->fd))
        raw->flush_error = host_error(errno);
    return raw->flush_error;
}

/* Whole pages that the file has: KEEP_SIZE, so a file that ends in the range keeps its size, and reads zeros there. */
static int raw_discard(struct blk_image *image, u64 at, u64 bytes)
{
    struct raw_image *raw = (struct raw_image *)image;
    u64 range[2] = {at, bytes};

    if (!raw->discard)
        return 0;
    if (raw->block_device)
        return ioctl(raw->fd, BLKDISCARD, range) ? host_error(errno) : 0;
    return fallocate(raw->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)at, (off_t)bytes) ? host_error(errno) : 0;
}

static void raw_close(struct blk_image *image)
{
    struct raw_image *raw = (struct raw_image *)image;

    close(raw->fd);
    free(raw->bounce);
    free(raw);
}

static const struct blk_ops raw_ops = {
    .read = raw_read, .write = raw_write, .flush = raw_flush, .discard = raw_discard, .read_now = raw_read_now, .close = raw_close};

static int open_file(struct raw_image *raw, const struct blk_source *source, struct blk_error *err)
{
    bool write = !source->read_only && !source->snapshot;
    bool direct = source->cache == BLK_DIRECT || source->cache == BLK_DIRECTSYNC;
    bool sync = source->cache == BLK_WRITETHROUGH || source->cache == BLK_DIRECTSYNC;
    int flags = (direct ? O_DIRECT : 0) | (sync ? O_DSYNC : 0);
    int rc = host_open(source->path, flags | (write ? O_RDWR : O_RDONLY), &raw->fd, &raw->file_bytes, err);

    if (write && source->else_read_only && (rc == -EACCES || rc == -EROFS || rc == -EPERM)) {
        write = false;
        rc = host_open(source->path, flags | O_RDONLY, &raw->fd, &raw->file_bytes, err);
    }
    raw->image.read_only = !write;
    return rc;
}

int raw_open(struct blk_image **out, const struct blk_source *source, struct blk_error *err)
{
    struct raw_image *raw = calloc(1, sizeof(*raw));
    struct stat st;
    int rc = -ENOMEM;

    *out = NULL;
    if (!raw)
        return blk_fail(err, false, rc, "free memory on the host", "%s: no memory", source->path);
    raw->fd = -1;
    rc = open_file(raw, source, err);
    if (rc)
        goto fail;
    rc = lock_image(raw->fd, !raw->image.read_only);
    if (rc == -EAGAIN) {
        rc = blk_fail(err, false, rc, "end the other program, or add snapshot=on to both, or readonly=on",
                      "%s is in use by another process (its lock is taken)", source->path);
        goto fail;
    }
    if (rc) {
        rc = blk_fail(err, false, rc, "put the image on a local file system", "%s cannot be locked: %s", source->path,
                      strerror(-rc));
        goto fail;
    }
    if (!raw->file_bytes) {
        rc = blk_fail(err, true, -EINVAL, "make a disk with: qemu-img create -f raw FILE 4G", "%s is empty", source->path);
        goto fail;
    }
    if (source->cache == BLK_DIRECT || source->cache == BLK_DIRECTSYNC) {
        raw->bounce = aligned_alloc(PAGE_BYTES, BOUNCE_BYTES);
        if (!raw->bounce) {
            rc = blk_fail(err, false, -ENOMEM, "free memory on the host", "%s: no memory", source->path);
            goto fail;
        }
    }
    raw->discard = source->discard;
    raw->block_device = fstat(raw->fd, &st) == 0 && S_ISBLK(st.st_mode);
    raw->image.ops = &raw_ops;
    raw->image.format = BLK_RAW;
    raw->image.odd_size = raw->file_bytes % DISK_SECTOR_BYTES != 0;
    raw->image.bytes = align_up(raw->file_bytes, DISK_SECTOR_BYTES);
    *out = &raw->image;
    return 0;
fail:
    if (raw->fd >= 0)
        close(raw->fd);
    free(raw);
    return rc;
}
