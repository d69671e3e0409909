/*
 * overlay.c - a temporary layer over any image: what the guest writes goes to a file that vanishes with us.
 *
 * The file has no name and is sparse; sector n lies at its place n, and a bitmap says which sectors are there. So the layer needs to know
 * nothing of the image's format, a write never reads, and a failed write changes nothing that was valid. Untouched parts of the
 * bitmap cost no memory. Nothing has to be durable: a flush does nothing.
 */
#include "block/internal.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct overlay {
    struct blk_image image; /* first */
    struct blk_image *base;
    int fd;
    u8 *bitmap;
    size_t bitmap_bytes;
};

static bool present(const struct overlay *layer, u64 sector)
{
    return layer->bitmap[sector / 8] >> (sector % 8) & 1;
}

/* Our own file: it has every byte that the bitmap promises. */
static int read_layer(const struct overlay *layer, u64 at, u8 *buf, size_t bytes)
{
    while (bytes) {
        ssize_t n = pread(layer->fd, buf, bytes, (off_t)at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -EIO;
        buf += n;
        at += (u64)n;
        bytes -= (size_t)n;
    }
    return 0;
}

/* Run by run from the layer or from below. */
static int read_runs(struct overlay *layer, u64 at, u8 *to, size_t bytes, bool now)
{
    const struct blk_ops *below = layer->base->ops;

    while (bytes) {
        u64 sector = at / DISK_SECTOR_BYTES;
        bool mine = present(layer, sector);
        size_t run = DISK_SECTOR_BYTES;
        int rc;

        while (run < bytes && present(layer, sector + run / DISK_SECTOR_BYTES) == mine)
            run += DISK_SECTOR_BYTES;
        if (now)
            rc = mine              ? host_read_now(layer->fd, at, to, run)
                 : below->read_now ? below->read_now(layer->base, at, to, run)
                                   : -EAGAIN;
        else
            rc = mine ? read_layer(layer, at, to, run) : below->read(layer->base, at, to, run);
        if (rc)
            return rc;
        at += run;
        to += run;
        bytes -= run;
    }
    return 0;
}

static int overlay_read(struct blk_image *image, u64 at, void *buf, size_t bytes)
{
    return read_runs((struct overlay *)image, at, buf, bytes, false);
}

static int overlay_read_now(struct blk_image *image, u64 at, void *buf, size_t bytes)
{
    return read_runs((struct overlay *)image, at, buf, bytes, true);
}

static int overlay_write(struct blk_image *image, u64 at, const void *buf, size_t bytes)
{
    struct overlay *layer = (struct overlay *)image;
    const u8 *from = buf;

    while (bytes) {
        ssize_t n = pwrite(layer->fd, from, bytes, (off_t)at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return host_error(errno);
        /* A sector that came half is not there yet: what the loop writes next completes it, or the error leaves it out. */
        for (u64 s = at / DISK_SECTOR_BYTES, end = (at + (u64)n) / DISK_SECTOR_BYTES; s < end; s++)
            layer->bitmap[s / 8] |= (u8)BIT(s % 8);
        if (!n)
            return -EIO;
        from += n;
        at += (u64)n;
        bytes -= (size_t)n;
    }
    return 0;
}

static int overlay_flush(struct blk_image *image)
{
    (void)image;
    return 0;
}

static void overlay_close(struct blk_image *image)
{
    struct overlay *layer = (struct overlay *)image;

    if (layer->bitmap)
        munmap(layer->bitmap, layer->bitmap_bytes);
    if (layer->fd >= 0)
        close(layer->fd);
    layer->base->ops->close(layer->base);
    free(layer);
}

static const struct blk_ops overlay_ops = {.read = overlay_read,
                                           .write = overlay_write,
                                           .flush = overlay_flush,
                                           .read_now = overlay_read_now,
                                           .close = overlay_close};

/* A file without a name in the first place that gives one. */
static int temporary_file(void)
{
    const char *dirs[] = {getenv("TMPDIR"), "/var/tmp", "/tmp"};
    int fd = -1;

    for (unsigned i = 0; i < ARRAY_SIZE(dirs) && fd < 0; i++) {
        char *name;

        if (!dirs[i] || !dirs[i][0])
            continue;
        fd = open(dirs[i], O_TMPFILE | O_RDWR | O_CLOEXEC | O_EXCL, 0600);
        if (fd >= 0)
            break;
        name = malloc(strlen(dirs[i]) + sizeof("/novt-XXXXXX"));
        if (!name)
            break;
        fd = mkostemp(strcat(strcpy(name, dirs[i]), "/novt-XXXXXX"),
                      O_CLOEXEC); /* file systems without O_TMPFILE */
        if (fd >= 0)
            unlink(name);
        free(name);
    }
    return fd;
}

int overlay_open(struct blk_image **out, struct blk_image *base, struct blk_error *err)
{
    struct overlay *layer = calloc(1, sizeof(*layer));

    *out = NULL;
    if (!layer) {
        base->ops->close(base);
        return blk_fail(err, false, -ENOMEM, "free memory on the host", "no memory for a snapshot");
    }
    layer->image = (struct blk_image){.ops = &overlay_ops, .bytes = base->bytes, .format = base->format};
    layer->image.odd_size = base->odd_size;
    layer->base = base;
    layer->bitmap_bytes = base->bytes / DISK_SECTOR_BYTES / 8 + 1;
    layer->bitmap = mmap(NULL, layer->bitmap_bytes, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (layer->bitmap == MAP_FAILED)
        layer->bitmap = NULL;
    layer->fd = temporary_file();
    if (layer->bitmap && layer->fd >= 0) {
        *out = &layer->image;
        return 0;
    }
    blk_fail(err, false, 0,
             layer->bitmap ? "set TMPDIR to a directory that takes files" : "lift \"ulimit -v\"",
             "no temporary file for a snapshot: %s", strerror(errno));
    overlay_close(&layer->image);
    return -EIO;
}
