/*
 * uart.h - a 16550A serial port.
 */
#ifndef NOVT_DEVICES_UART_H
#define NOVT_DEVICES_UART_H

#include "devices/bus.h"
#include "devices/chr.h"
#include "devices/clk.h"

#define UART_FIFO_BYTES 16

struct uart_fifo {
    u8 data[UART_FIFO_BYTES];
    u8 head, count;
};

struct uart {
    u8 ier, lcr, mcr, msr, lsr, scr, fcr;
    u16 divisor;
    bool thr_pending;     /* THR-empty interrupt not yet acknowledged */
    bool timeout_pending; /* character timeout */
    bool line;            /* level last driven, before the OUT2 gate counts */
    struct uart_fifo rx, tx;
    struct clk *clk;
    struct irq_line irq;
    struct chr_back back;
    struct chr_front front;
    struct clk_timer rx_timer; /* character timeout */
    struct clk_timer tx_timer; /* back end busy: try again */
};

/* Where a PC has its four. */
struct uart_place {
    u16 base;
    u8 irq;
};
extern const struct uart_place uart_com[4];

int uart_init(struct uart *uart, struct io_bus *io, u16 base, struct clk *clk, struct irq_line irq,
              const struct chr_back *back) MUST_CHECK;
void uart_reset(struct uart *uart);

/* How many bytes chr_receive() can push now. */
size_t uart_room(const struct uart *uart);

#endif
