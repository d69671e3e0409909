/*
 * pc_info.h - chips and buses as text for a person; see pc_info().
 */
#ifndef NOVT_DEVICES_PC_INFO_H
#define NOVT_DEVICES_PC_INFO_H

#include "devices/bus.h"
#include "devices/pci.h"
#include "devices/pic.h"

/* What snprintf() would say into a fixed buffer, piece by piece. at may run beyond bytes: the length needed. */
struct info_sink {
    char *buf;
    size_t bytes, at;
};
void info_put(struct info_sink *s, const char *fmt, ...) PRINTF_LIKE(2, 3);

void info_pic(struct info_sink *s, const struct pic *pic);
void info_irq(struct info_sink *s, const struct pic *pic);
void info_pci(struct info_sink *s, const struct pci_bus *pci);
/* pc_qtree.c: QEMU's word for what it is, "VGA controller"; NULL: it has none. */
const char *info_pci_class(const struct pci_dev *dev);
void info_map(struct info_sink *s, const struct io_bus *io, const struct mmio_bus *mmio);

#endif
