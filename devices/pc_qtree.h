/*
 * pc_qtree.h - the tree of buses and devices as text; see pc_info().
 */
#ifndef NOVT_DEVICES_PC_QTREE_H
#define NOVT_DEVICES_PC_QTREE_H

#include "devices/fdc.h"
#include "devices/ide.h"
#include "devices/nics.h"
#include "devices/pc_info.h"
#include "devices/uart.h"
#include "devices/virtio_blk.h"

/* What is in the tree. */
struct qtree_board {
    const struct pc_config *config;
    const struct pci_bus *pci;
    const struct ide *ide;
    const struct fdc *fdc;
    const struct nics *nics;
    struct virtio_blk *const *virtio_disk; /* PC_VIRTIO_DISKS, NULL: not there */
};

void info_qtree(struct info_sink *s, const struct qtree_board *board);

#endif
