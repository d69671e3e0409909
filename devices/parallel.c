/*
 * parallel.c - a standard parallel port (SPP) with a printer that is always ready.
 *
 *   base + 0  data     latch; reads back what was written
 *   base + 1  status   7 not busy, 6 nACK, 5 paper out, 4 selected, 3 no error, 2-0 ones
 *   base + 2  control  0 strobe, 1 auto feed, 2 nINIT, 3 select, 4 interrupt by nACK, 5 input
 *
 * A byte goes out when strobe rises while the printer is selected and not held in reset. Its acknowledge is nACK low until the
 * status is read once, or the interrupt's edge; drivers that poll for either find it. Facts: IEEE 1284-1994, 6.
 */
#include "devices/parallel.h"

#define STATUS_READY 0xdfu
#define STATUS_ACK BIT(6)
#define CONTROL_STROBE BIT(0)
#define CONTROL_INIT BIT(2)
#define CONTROL_SELECT BIT(3)
#define CONTROL_IRQ BIT(4)
#define CONTROL_INPUT BIT(5)
#define CONTROL_MASK 0x3fu

static u32 parallel_read(void *opaque, u32 offset, unsigned size)
{
    struct parallel *p = opaque;
    u8 status = STATUS_READY;

    (void)size;
    switch (offset) {
    case 0: return p->control & CONTROL_INPUT ? 0xff : p->data;
    case 1:
        if (p->ack)
            status &= (u8)~STATUS_ACK;
        p->ack = false;
        irq_set(p->irq, false);
        return status;
    default: return p->control | 0xc0;
    }
}

static void parallel_write(void *opaque, u32 offset, unsigned size, u32 val)
{
    struct parallel *p = opaque;
    u8 before = p->control;

    (void)size;
    if (offset == 0)
        p->data = (u8)val;
    if (offset != 2)
        return;
    p->control = val & CONTROL_MASK;
    if (!(val & CONTROL_IRQ))
        irq_set(p->irq, false);
    if (!(val & CONTROL_INIT) || !(val & CONTROL_SELECT))
        return;
    if ((val & CONTROL_STROBE) && !(before & CONTROL_STROBE)) {
        if (p->back.write)
            p->back.write(p->back.opaque, &p->data, 1);
        p->ack = true;
        if (val & CONTROL_IRQ)
            irq_set(p->irq, true);
    }
}

static const struct bus_ops parallel_ops = {.read = parallel_read, .write = parallel_write, .max_size = 1};

int parallel_init(struct parallel *p, struct io_bus *io, u16 base, struct irq_line irq,
                  const struct chr_back *back)
{
    *p = (struct parallel){.irq = irq, .back = *back};
    parallel_reset(p);
    return io_bus_register(io, base, 3, &parallel_ops, p);
}

void parallel_reset(struct parallel *p)
{
    p->data = 0;
    p->control = CONTROL_INIT | CONTROL_SELECT;
    p->ack = false;
    irq_set(p->irq, false);
}
