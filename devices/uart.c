/*
 * uart.c - NS16550A front end (National PC16550D data sheet), eight ports.
 *
 * Output is not throttled to the baud rate: a byte written goes to the back end at once, and the
 * transmitter is empty again, with its interrupt, when the OUT instruction ends. Only a back end that
 * is not ready makes bytes wait in the FIFO. The interrupt line falls between causes, so that an
 * edge-triggered PIC sees each. OUT2 gates it, as on every PC.
 */
#include "devices/uart.h"

#include <string.h>

enum { R_DATA, R_IER, R_IIR_FCR, R_LCR, R_MCR, R_LSR, R_MSR, R_SCR };
enum { IER_RDI = 0x01, IER_THRI = 0x02, IER_RLSI = 0x04, IER_MSI = 0x08 };
enum {
    IIR_MSI = 0x00,
    IIR_NONE = 0x01,
    IIR_THRI = 0x02,
    IIR_RDI = 0x04,
    IIR_RLSI = 0x06,
    IIR_CTI = 0x0c,
    IIR_FIFO = 0xc0
};
enum { FCR_ENABLE = 0x01, FCR_CLEAR_RX = 0x02, FCR_CLEAR_TX = 0x04 };
enum { LCR_DLAB = 0x80 };
enum { MCR_DTR = 0x01, MCR_RTS = 0x02, MCR_OUT1 = 0x04, MCR_OUT2 = 0x08, MCR_LOOP = 0x10 };
enum { LSR_DR = 0x01, LSR_OE = 0x02, LSR_ERRORS = 0x1e, LSR_THRE = 0x20, LSR_TEMT = 0x40 };
enum { MSR_TERI = 0x04, MSR_DELTAS = 0x0f, MSR_CTS = 0x10, MSR_DSR = 0x20, MSR_RI = 0x40, MSR_DCD = 0x80 };
#define UART_CLOCK_HZ 115200u
#define TX_RETRY_NS 1000000u
#define RX_TIMEOUT_MAX_NS 1000000u

const struct uart_place uart_com[4] = {{0x3f8, 4}, {0x2f8, 3}, {0x3e8, 4}, {0x2e8, 3}};

static void fifo_put(struct uart_fifo *f, u8 byte)
{
    f->data[(f->head + f->count) % UART_FIFO_BYTES] = byte;
    f->count++;
}

static u8 fifo_get(struct uart_fifo *f)
{
    u8 byte = f->data[f->head];
    f->head = (f->head + 1) % UART_FIFO_BYTES;
    f->count--;
    return byte;
}

static bool has_fifo(const struct uart *u)
{
    return u->fcr & FCR_ENABLE;
}

static unsigned fifo_size(const struct uart *u)
{
    return has_fifo(u) ? UART_FIFO_BYTES : 1;
}

static unsigned rx_trigger(const struct uart *u)
{
    static const u8 level[4] = {1, 4, 8, 14};
    return has_fifo(u) ? level[u->fcr >> 6] : 1;
}

/* The highest-priority pending cause, as IIR shows it. */
static u8 cause(const struct uart *u)
{
    if ((u->ier & IER_RLSI) && (u->lsr & LSR_ERRORS))
        return IIR_RLSI;
    if ((u->ier & IER_RDI) && u->rx.count >= rx_trigger(u))
        return IIR_RDI;
    if ((u->ier & IER_RDI) && u->timeout_pending)
        return IIR_CTI;
    if ((u->ier & IER_THRI) && u->thr_pending)
        return IIR_THRI;
    if ((u->ier & IER_MSI) && (u->msr & MSR_DELTAS))
        return IIR_MSI;
    return IIR_NONE;
}

static void update_irq(struct uart *u)
{
    bool gate = (u->mcr & MCR_OUT2) && !(u->mcr & MCR_LOOP);
    bool level = gate && cause(u) != IIR_NONE;
    if (level != u->line) {
        u->line = level;
        irq_set(u->irq, level);
    }
}

static void arm_rx_timeout(struct uart *u)
{
    u->timeout_pending = false;
    if (!has_fifo(u) || !u->rx.count) {
        clk_timer_cancel(u->clk, &u->rx_timer);
        return;
    }
    /* four characters of ten bits */
    u64 ns = 40ull * (u->divisor ? u->divisor : 1) * CLK_SECOND_NS / UART_CLOCK_HZ;
    clk_timer_set(u->clk, &u->rx_timer, clk_now(u->clk) + min_u64(ns, RX_TIMEOUT_MAX_NS));
}

static void on_rx_timeout(void *opaque, u64 now)
{
    struct uart *u = opaque;
    (void)now;
    u->timeout_pending = u->rx.count > 0;
    update_irq(u);
}

static void rx_byte(struct uart *u, u8 byte)
{
    if (u->rx.count >= fifo_size(u)) {
        u->lsr |= LSR_OE;
        if (!has_fifo(u))
            u->rx.data[u->rx.head] = byte; /* the receiver buffer is overwritten; a FIFO is not */
    } else {
        fifo_put(&u->rx, byte);
    }
    u->lsr |= LSR_DR;
}

/* Sends what the back end takes and recomputes THRE. */
static void transmit(struct uart *u)
{
    while (u->tx.count) {
        if (u->mcr & MCR_LOOP) {
            rx_byte(u, fifo_get(&u->tx));
            arm_rx_timeout(u);
            continue;
        }
        if (u->back.ready && !u->back.ready(u->back.opaque)) {
            clk_timer_set(u->clk, &u->tx_timer, clk_now(u->clk) + TX_RETRY_NS);
            return;
        }
        u8 byte = fifo_get(&u->tx);
        if (u->back.write)
            u->back.write(u->back.opaque, &byte, 1);
    }
    if (!(u->lsr & LSR_THRE)) {
        u->lsr |= LSR_THRE | LSR_TEMT;
        u->thr_pending = true;
    }
}

static void on_tx_retry(void *opaque, u64 now)
{
    struct uart *u = opaque;
    (void)now;
    transmit(u);
    update_irq(u);
}

static void write_thr(struct uart *u, u8 val)
{
    u->thr_pending = false;
    u->lsr &= (u8) ~(LSR_THRE | LSR_TEMT);
    update_irq(u); /* the line falls here, so the PIC sees the edge below */
    if (u->tx.count >= fifo_size(u))
        fifo_get(&u->tx); /* overrun by a guest that does not look at THRE: the oldest is lost */
    fifo_put(&u->tx, val);
    transmit(u);
}

/* The back end may push input again. */
static void tell_room(struct uart *u, bool was_full)
{
    if (was_full && u->back.drained && uart_room(u))
        u->back.drained(u->back.opaque);
}

static u8 read_rbr(struct uart *u)
{
    bool was_full = !uart_room(u);
    u8 val = u->rx.count ? fifo_get(&u->rx) : 0;
    if (!u->rx.count)
        u->lsr &= (u8)~LSR_DR;
    arm_rx_timeout(u);
    update_irq(u);
    tell_room(u, was_full);
    return val;
}

static void write_fcr(struct uart *u, u8 val)
{
    bool was_full = !uart_room(u);
    bool toggled = (u->fcr ^ val) & FCR_ENABLE;
    if (toggled || (val & FCR_CLEAR_RX)) {
        memset(&u->rx, 0, sizeof(u->rx));
        u->lsr &= (u8)~LSR_DR;
    }
    if (toggled || (val & FCR_CLEAR_TX)) {
        memset(&u->tx, 0, sizeof(u->tx));
        clk_timer_cancel(u->clk, &u->tx_timer);
        if (!(u->lsr & LSR_THRE)) {
            u->lsr |= LSR_THRE | LSR_TEMT;
            u->thr_pending = true;
        }
    }
    u->fcr = val & FCR_ENABLE ? val & 0xc9 : 0;
    arm_rx_timeout(u);
    tell_room(u, was_full);
}

static void write_ier(struct uart *u, u8 val)
{
    u8 rising = (u8)(val & ~u->ier);
    u->ier = val & 0x0f;
    /* Enabling the interrupt while the holding register is empty raises it at once. */
    if ((rising & IER_THRI) && (u->lsr & LSR_THRE))
        u->thr_pending = true;
}

/* Modem inputs: looped back from MCR, else a cable with a willing peer. */
static void update_msr(struct uart *u)
{
    u8 in = MSR_CTS | MSR_DSR | MSR_DCD;
    if (u->mcr & MCR_LOOP)
        in = (u8)((u->mcr & MCR_RTS ? MSR_CTS : 0) | (u->mcr & MCR_DTR ? MSR_DSR : 0) |
                  (u->mcr & MCR_OUT1 ? MSR_RI : 0) | (u->mcr & MCR_OUT2 ? MSR_DCD : 0));
    u8 changed = (u8)((in ^ u->msr) >> 4);
    u8 deltas = (u->msr & MSR_DELTAS) | (changed & ~MSR_TERI);
    if ((u->msr & MSR_RI) && !(in & MSR_RI))
        deltas |= MSR_TERI; /* trailing edge only */
    u->msr = in | deltas;
}

static void uart_write(void *opaque, u32 offset, unsigned size, u32 val32)
{
    struct uart *u = opaque;
    u8 val = (u8)val32;
    (void)size;
    bool dlab = u->lcr & LCR_DLAB, was_full;
    switch (offset) {
    case R_DATA:
        if (dlab)
            u->divisor = (u->divisor & 0xff00) | val;
        else
            write_thr(u, val);
        break;
    case R_IER:
        if (dlab)
            u->divisor = (u16)((u->divisor & 0xff) | val << 8);
        else
            write_ier(u, val);
        break;
    case R_IIR_FCR: write_fcr(u, val); break;
    case R_LCR: u->lcr = val; break;
    case R_MCR:
        was_full = !uart_room(u);
        u->mcr = val & 0x1f;
        update_msr(u);
        tell_room(u, was_full);
        break;
    case R_SCR: u->scr = val; break;
    default: /* LSR and MSR are read-only */ break;
    }
    update_irq(u);
}

static u32 uart_read(void *opaque, u32 offset, unsigned size)
{
    struct uart *u = opaque;
    u8 val;
    (void)size;
    bool dlab = u->lcr & LCR_DLAB;
    switch (offset) {
    case R_DATA: return dlab ? u->divisor & 0xff : read_rbr(u);
    case R_IER: return dlab ? u->divisor >> 8 : u->ier;
    case R_IIR_FCR:
        val = cause(u);
        if (val == IIR_THRI)
            u->thr_pending = false; /* reading it as the cause acknowledges it */
        update_irq(u);
        return val | (has_fifo(u) ? IIR_FIFO : 0);
    case R_LCR: return u->lcr;
    case R_MCR: return u->mcr;
    case R_LSR:
        val = u->lsr;
        u->lsr &= (u8)~LSR_ERRORS;
        update_irq(u);
        return val;
    case R_MSR:
        val = u->msr;
        u->msr &= (u8)~MSR_DELTAS;
        update_irq(u);
        return val;
    case R_SCR: return u->scr;
    default: return 0xff;
    }
}

static const struct bus_ops uart_ops = {.read = uart_read, .write = uart_write};

size_t uart_room(const struct uart *u)
{
    return u->mcr & MCR_LOOP ? 0 : fifo_size(u) - min_u64(u->rx.count, fifo_size(u));
}

static size_t front_room(void *opaque)
{
    return uart_room(opaque);
}

static void front_receive(void *opaque, const u8 *buf, size_t len)
{
    struct uart *u = opaque;
    for (size_t i = 0; i < len; i++)
        rx_byte(u, buf[i]);
    arm_rx_timeout(u);
    update_irq(u);
}

int uart_init(struct uart *u, struct io_bus *io, u16 base, struct clk *clk, struct irq_line irq,
              const struct chr_back *back)
{
    memset(u, 0, sizeof(*u));
    u->clk = clk;
    u->irq = irq;
    if (back)
        u->back = *back;
    u->front = (struct chr_front){.room = front_room, .receive = front_receive, .opaque = u};
    clk_timer_init(&u->rx_timer, on_rx_timeout, u);
    clk_timer_init(&u->tx_timer, on_tx_retry, u);
    uart_reset(u);
    return io_bus_register(io, base, 8, &uart_ops, u);
}

void uart_reset(struct uart *u)
{
    clk_timer_cancel(u->clk, &u->rx_timer);
    clk_timer_cancel(u->clk, &u->tx_timer);
    memset(&u->rx, 0, sizeof(u->rx));
    memset(&u->tx, 0, sizeof(u->tx));
    u->ier = u->lcr = u->mcr = u->scr = u->fcr = 0;
    u->divisor = 12;
    u->lsr = LSR_THRE | LSR_TEMT;
    u->msr = MSR_CTS | MSR_DSR | MSR_DCD;
    u->thr_pending = u->timeout_pending = false;
    update_irq(u);
}
