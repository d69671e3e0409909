/*
 * open.c - from a path to an image: what kind it is, opening without surprises, messages.
 *
 * The format is the caller's, or what the first bytes say. A raw image that nobody called raw is marked: its guest must not be able
 * to turn it into another format by writing a header (raw.c), and its user is warned.
 */
#include "block/internal.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

int blk_fail(struct blk_error *err, bool bad_image, int rc, const char *remedy, const char *fmt, ...)
{
    va_list ap;

    err->bad_image = bad_image;
    va_start(ap, fmt);
    vsnprintf(err->cause, sizeof(err->cause), fmt, ap);
    va_end(ap);
    snprintf(err->remedy, sizeof(err->remedy), "%s", remedy ? remedy : "");
    return rc;
}

static int open_refused(const char *path, int error, int flags, struct blk_error *err)
{
    const char *remedy = "look at the path and its permissions";

    if (error == ENOENT)
        remedy = "check the name, or make a disk with: qemu-img create -f raw FILE 4G";
    else if ((flags & O_ACCMODE) == O_RDWR &&
             (error == EACCES || error == EROFS || error == EPERM || error == ETXTBSY))
        remedy = "make it writable, or add snapshot=on or readonly=on";
    else if (error == EINVAL && (flags & O_DIRECT))
        remedy = "its file system has no direct I/O: leave out cache=none and cache=directsync";
    else if (error == EISDIR)
        remedy = "give a file or a block device";
    return blk_fail(err, false, -error, remedy, "cannot open %s%s: %s", path,
                    (flags & O_ACCMODE) == O_RDWR ? " for writing" : "", strerror(error));
}

int host_open(const char *path, int flags, int *fd, u64 *bytes, struct blk_error *err)
{
    struct stat st;
    int rc = 0;

    *fd = open(path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY); /* a FIFO must not hold us */
    if (*fd < 0)
        return open_refused(path, errno, flags, err);
    if (fstat(*fd, &st))
        rc = open_refused(path, errno, flags, err);
    else if (S_ISREG(st.st_mode))
        *bytes = (u64)st.st_size;
    else if (!S_ISBLK(st.st_mode))
        rc = blk_fail(err, false, -EINVAL, "give a file or a block device",
                      "%s is neither a file nor a block device", path);
    else if (ioctl(*fd, BLKGETSIZE64, bytes))
        rc = open_refused(path, errno, flags, err);
    if (!rc && *bytes > INT64_MAX - (1 << 20))
        rc = blk_fail(err, true, -EFBIG, NULL, "%s is too large for a disk", path);
    if (!rc && fcntl(*fd, F_SETFL, fcntl(*fd, F_GETFL) & ~O_NONBLOCK))
        rc = open_refused(path, errno, flags, err);
    if (rc) {
        close(*fd);
        *fd = -1;
    }
    return rc;
}

static int probe_file(const char *path, struct probe_result *probe, struct blk_error *err)
{
    u8 first[PROBE_BYTES];
    ssize_t n;
    u64 bytes;
    int fd, rc = host_open(path, O_RDONLY, &fd, &bytes, err);

    if (rc)
        return rc;
    n = pread(fd, first, sizeof(first), 0);
    if (n < 0)
        rc = blk_fail(err, false, -errno, "look at the host's disk", "cannot read %s: %s", path,
                      strerror(errno));
    close(fd);
    if (!rc)
        probe_bytes(first, (size_t)n, probe);
    return rc;
}

static int open_format(struct blk_image **out, const struct blk_source *source, struct blk_error *err)
{
    struct probe_result probe;
    int rc;

    if (fat_is_one(source->path)) {
        if (source->format != BLK_PROBE && source->format != BLK_RAW)
            return blk_fail(err, false, -EINVAL, "leave format= out", "%s is a raw disk", source->path);
        return nbd_open(out, source, BLK_RAW, err);
    }
    if (source->format == BLK_RAW)
        return raw_open(out, source, err);
    rc = probe_file(source->path, &probe, err);
    if (rc)
        return rc;
    /* A fixed VHD has its signature at the end. */
    if (source->format != BLK_PROBE && source->format != probe.format && source->format != BLK_VPC)
        return blk_fail(err, true, -EINVAL, "say format=raw if that is what it is, or leave format= out",
                        "%s is not a %s image", source->path, blk_format_name(source->format));
    if (source->format != BLK_PROBE || (probe.container && probe.format != BLK_PROBE))
        return nbd_open(out, source, source->format == BLK_PROBE ? probe.format : source->format, err);
    if (probe.container)
        return blk_fail(err, true, -EINVAL, "convert it with: qemu-img convert -O qcow2 IMAGE FILE",
                        "%s is a %s image, which is not supported", source->path, probe.name);
    rc = raw_open(out, source, err);
    if (!rc)
        (*out)->probed_raw = !(*out)->read_only;
    return rc;
}

int image_open(struct blk_image **out, const struct blk_source *source, struct blk_error *err)
{
    int rc;

    memset(err, 0, sizeof(*err));
    rc = open_format(out, source, err);
    if (!rc && source->snapshot)
        rc = overlay_open(out, *out, err);
    return rc;
}
