/*
 * nbd.c - qcow2 images, through a qemu-nbd process of our own.
 *
 * Not there yet: refused by name.
 */
#include "block/internal.h"

int nbd_open(struct blk_image **out, const struct blk_source *source, struct blk_error *err)
{
    *out = NULL;
    return blk_fail(err, true, -ENOTSUP, "convert it with: qemu-img convert -O raw IMAGE FILE", "%s: qcow2 is not supported yet",
                    source->path);
}
