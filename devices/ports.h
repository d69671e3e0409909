/*
 * ports.h - single-port odds and ends of a PC: POST code, port 92h, debug console, debug exit, x87 error.
 */
#ifndef NOVT_DEVICES_PORTS_H
#define NOVT_DEVICES_PORTS_H

#include "devices/a20.h"
#include "devices/bus.h"
#include "devices/chr.h"

/* 80h: the last diagnostic byte. Reads give it back. */
struct post_port {
    u8 code;
};
int post_port_init(struct post_port *post, struct io_bus *io) MUST_CHECK;

/* 92h: bit 0 fast reset (on its rising edge), bit 1 A20. */
struct port92 {
    u8 val;
    struct a20 *a20;
    void (*reset_request)(void *opaque);
    void *opaque;
};
int port92_init(struct port92 *p, struct io_bus *io, struct a20 *a20, void (*reset_request)(void *opaque),
                void *opaque) MUST_CHECK;
void port92_reset(struct port92 *p);

/* Bochs debug console: bytes written go to the back end, reads give E9h ("I am here"). */
struct debugcon {
    struct chr_back back;
};
int debugcon_init(struct debugcon *dc, struct io_bus *io, u16 base, const struct chr_back *back) MUST_CHECK;

/* isa-debug-exit: a write ends the machine with status (value << 1) | 1. */
struct debug_exit {
    void (*fn)(void *opaque, unsigned status);
    void *opaque;
};
int debug_exit_init(struct debug_exit *de, struct io_bus *io, u16 base, u16 bytes,
                    void (*fn)(void *opaque, unsigned status), void *opaque) MUST_CHECK;

/* F0h, F1h: the latch between the x87's FERR# and IRQ 13. */
struct ferr_port {
    struct irq_line irq;
};
int ferr_port_init(struct ferr_port *f, struct io_bus *io, struct irq_line irq) MUST_CHECK;
void ferr_port_raise(struct ferr_port *f);

#endif
