/*
 * parallel.h - a standard parallel port with a printer that is always ready.
 */
#ifndef NOVT_DEVICES_PARALLEL_H
#define NOVT_DEVICES_PARALLEL_H

#include "devices/bus.h"
#include "devices/chr.h"

struct parallel {
    u8 data, control;
    bool ack; /* nACK is low: the printer took a byte, and nobody read the status since */
    struct irq_line irq;
    struct chr_back back;
};

int parallel_init(struct parallel *p, struct io_bus *io, u16 base, struct irq_line irq,
                  const struct chr_back *back) MUST_CHECK;
void parallel_reset(struct parallel *p);

#endif
