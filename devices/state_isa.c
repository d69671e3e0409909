/*
 * state_isa.c - what the chips of an AT's board save: timers, interrupts, DMA, keyboard, serial and parallel ports, odd ports.
 *
 * One table a struct (state.h). What is not here is wiring, or follows from what is here.
 */
#include "devices/fwcfg.h"
#include "devices/i8042.h"
#include "devices/i8237.h"
#include "devices/parallel.h"
#include "devices/pic.h"
#include "devices/pit.h"
#include "devices/ports.h"
#include "devices/rtc.h"
#include "devices/state.h"
#include "devices/state_tables.h"
#include "devices/uart.h"

/* ---- clock ---- */

#define S struct clk
static const char *check_clk(const void *obj)
{
    return ((const struct clk *)obj)->paused ? NULL : "the clock ran while it was saved";
}

static const struct state_field clk_rows[] = {STATE_MAX(S, last_ns, STATE_TIME_MAX), STATE_BOOL(S, paused)};
STATE_TABLE(clk_state, clk_rows, check_clk, NULL);
#undef S

/* ---- 8254 ---- */

#define S struct pit_counter
static const struct state_field pit_counter_rows[] = {
    STATE_MAX(S, count, 65536),
    STATE_MAX(S, next_count, 65536),
    STATE_MAX(S, load_ns, STATE_TIME_MAX),
    STATE_MAX(S, next_load_ns, STATE_TIME_MAX),
    STATE_MAX(S, next_edge, STATE_TIME_MAX),
    STATE_MAX(S, held_ticks, STATE_TIME_MAX),
    STATE_MAX(S, mode, 5),
    STATE_MAX(S, access, 3),
    STATE_BOOL(S, bcd),
    STATE_BOOL(S, gate),
    STATE_BOOL(S, triggered),
    STATE_BOOL(S, write_high),
    STATE_BOOL(S, read_high),
    STATE(S, write_low),
    STATE_BOOL(S, latched),
    STATE_BOOL(S, status_latched),
    STATE(S, status),
    STATE(S, latch),
};
STATE_INNER(pit_counter_state, pit_counter_rows, NULL);
#undef S

#define S struct pit
static const struct state_field pit_rows[] = {
    STATE_PARTS(S, counter, &pit_counter_state),
    STATE_TIMER(S, timer),
    STATE_BOOL(S, edge_pending),
    STATE(S, port61),
};
static void pit_restored(void *obj)
{
    struct pit *pit = obj;

    if (pit->changed)
        pit->changed(pit->changed_opaque, &pit->counter[2], pit->port61 & 2);
}
STATE_TABLE(pit_state, pit_rows, NULL, pit_restored);
#undef S

/* ---- 8259A ---- */

#define S struct pic_chip
static const struct state_field pic_chip_rows[] = {
    STATE(S, irr),        STATE(S, imr),       STATE(S, isr),         STATE(S, line),
    STATE(S, elcr),       STATE_MAX(S, lowest, 7), STATE(S, vector_base), STATE(S, cascade),
    STATE(S, icw4),       STATE_MAX(S, init_step, 4), STATE_BOOL(S, icw4_needed), STATE_BOOL(S, single),
    STATE_BOOL(S, ltim),  STATE_BOOL(S, read_isr), STATE_BOOL(S, poll),   STATE_BOOL(S, special_mask),
    STATE_BOOL(S, rotate_auto_eoi),
};
STATE_INNER(pic_chip_state, pic_chip_rows, NULL);
#undef S

#define S struct pic
static const struct state_field pic_rows[] = {
    STATE_PARTS(S, chip, &pic_chip_state),
    STATE_BYTES(S, sources),
    STATE_BOOL(S, intr_level),
};

static void pic_restored(void *obj)
{
    const struct pic *pic = obj;

    irq_set(pic->intr, pic->intr_level);
}
STATE_TABLE(pic_state, pic_rows, NULL, pic_restored);
#undef S

/* ---- MC146818 ---- */

#define S struct rtc
static const struct state_field rtc_rows[] = {
    STATE_BYTES(S, cmos), STATE_MAX(S, index, RTC_CMOS_BYTES - 1), STATE_BOOL(S, nmi_off),
    STATE(S, base_s),     STATE(S, base_ns),                STATE(S, seen_s),
    STATE_MAX(S, next_tick, STATE_TIME_MAX), STATE_TIMER(S, timer),
};

/* Years that four digits can say, so that no arithmetic on them overflows. */
static const char *check_rtc(const void *obj)
{
    const struct rtc *rtc = obj;
    const i64 far = 1ll << 42;

    if (rtc->base_ns + CLK_SECOND_NS > STATE_TIME_MAX) /* up to a second before the clock's 0: set in its first second */
        return "time out of range";

    return rtc->base_s > far || rtc->base_s < -far || rtc->seen_s > far || rtc->seen_s < -far ? "time out of range" : NULL;
}
STATE_TABLE(rtc_state, rtc_rows, check_rtc, NULL);
#undef S

/* ---- 8042, keyboard, mouse ---- */

#define S struct ps2_queue
static const struct state_field queue_rows[] = {
    STATE_BYTES(S, data), STATE_MAX(S, head, PS2_QUEUE - 1), STATE_MAX(S, count, PS2_QUEUE)};
STATE_INNER(ps2_queue_state, queue_rows, NULL);
#undef S

#define S struct ps2_kbd
static const struct state_field kbd_rows[] = {
    STATE_PART(S, reply, &ps2_queue_state),
    STATE_PART(S, keys, &ps2_queue_state),
    STATE_BOOL(S, bat),
    STATE(S, command),
    STATE(S, leds),
    STATE(S, typematic),
    STATE_MAX(S, scancode_set, 3),
    STATE(S, last),
    STATE_BOOL(S, scanning),
    STATE_BYTES(S, held),
    STATE_BOOL(S, repeats),
    STATE_MAX(S, repeat_key, KEYS_MAX - 1),
    STATE_BYTES(S, set3_kind),
};
STATE_INNER(ps2_kbd_state, kbd_rows, NULL);
#undef S

#define S struct ps2_mouse
static const struct state_field mouse_rows[] = {
    STATE_PART(S, reply, &ps2_queue_state),
    STATE_PART(S, packets, &ps2_queue_state),
    STATE_BOOL(S, bat),
    STATE(S, command),
    STATE_MAX(S, id, 4),
    STATE(S, resolution),
    STATE(S, rate),
    STATE_BYTES(S, knock),
    STATE_BOOL(S, reporting),
    STATE_BOOL(S, remote),
    STATE_BOOL(S, wrap),
    STATE_BOOL(S, scaling),
    STATE(S, dx),
    STATE(S, dy),
    STATE(S, dz),
    STATE(S, buttons),
    STATE_BOOL(S, clicked),
};

/* They add up: far from where that overflows. */
static const char *check_mouse(const void *obj)
{
    const struct ps2_mouse *m = obj;
    const int far = 1 << 28;

    return m->dx > far || m->dx < -far || m->dy > far || m->dy < -far || m->dz > far || m->dz < -far ? "motion out of range" : NULL;
}
STATE_INNER(ps2_mouse_state, mouse_rows, check_mouse);
#undef S

#define S struct i8042_port
static const struct state_field kc_port_rows[] = {STATE_TIMER(S, timer), STATE_MAX(S, bat_ns, STATE_TIME_MAX)};
STATE_INNER(i8042_port_state, kc_port_rows, NULL);
#undef S

#define S struct i8042
static const struct state_field i8042_rows[] = {
    STATE(S, mode),
    STATE_BYTES(S, ram),
    STATE(S, status),
    STATE(S, data),
    STATE(S, command),
    STATE_BOOL(S, release),
    STATE_MAX(S, next_ns, STATE_TIME_MAX),
    STATE_PART(S, kbd, &ps2_kbd_state),
    STATE_PART(S, mouse, &ps2_mouse_state),
    STATE_PART(S, kbd_port, &i8042_port_state),
    STATE_PART(S, aux_port, &i8042_port_state),
    STATE_TIMER(S, repeat),
};
STATE_TABLE(i8042_state, i8042_rows, NULL, NULL);
#undef S

/* ---- 16550A, parallel port ---- */

#define S struct uart_fifo
static const struct state_field fifo_rows[] = {
    STATE_BYTES(S, data), STATE_MAX(S, head, UART_FIFO_BYTES - 1), STATE_MAX(S, count, UART_FIFO_BYTES)};
STATE_INNER(uart_fifo_state, fifo_rows, NULL);
#undef S

#define S struct uart
static const struct state_field uart_rows[] = {
    STATE(S, ier),
    STATE(S, lcr),
    STATE(S, mcr),
    STATE(S, msr),
    STATE(S, lsr),
    STATE(S, scr),
    STATE(S, fcr),
    STATE(S, divisor),
    STATE_BOOL(S, thr_pending),
    STATE_BOOL(S, timeout_pending),
    STATE_BOOL(S, line),
    STATE_PART(S, rx, &uart_fifo_state),
    STATE_PART(S, tx, &uart_fifo_state),
    STATE_TIMER(S, rx_timer),
    STATE_TIMER(S, tx_timer),
};
STATE_TABLE(uart_state, uart_rows, NULL, NULL);
#undef S

#define S struct parallel
static const struct state_field parallel_rows[] = {STATE(S, data), STATE(S, control), STATE_BOOL(S, ack)};
STATE_TABLE(parallel_state, parallel_rows, NULL, NULL);
#undef S

/* ---- 8237 ---- */

#define S struct i8237_channel
static const struct state_field channel_rows[] = {
    STATE(S, base_address), STATE(S, base_count), STATE(S, address), STATE(S, count), STATE(S, mode)};
STATE_INNER(i8237_channel_state, channel_rows, NULL);
#undef S

#define S struct i8237_chip
static const struct state_field chip_rows[] = {
    STATE_PARTS(S, channel, &i8237_channel_state), STATE(S, command), STATE(S, status), STATE(S, mask), STATE(S, request),
    STATE(S, temporary), STATE_BOOL(S, high_byte),
};
STATE_INNER(i8237_chip_state, chip_rows, NULL);
#undef S

#define S struct i8237
static const struct state_field dma_rows[] = {STATE_PARTS(S, chip, &i8237_chip_state), STATE_BYTES(S, page)};
STATE_TABLE(i8237_state, dma_rows, NULL, NULL);
#undef S

/* ---- ports, fw_cfg ---- */

#define S struct a20
static const struct state_field a20_rows[] = {STATE_BOOL(S, on)};

static void a20_restored(void *obj)
{
    const struct a20 *a20 = obj;

    if (a20->changed)
        a20->changed(a20->opaque, a20->on);
}
STATE_TABLE(a20_state, a20_rows, NULL, a20_restored);
#undef S

#define S struct post_port
static const struct state_field post_rows[] = {STATE(S, code)};
STATE_TABLE(post_state, post_rows, NULL, NULL);
#undef S

#define S struct port92
static const struct state_field port92_rows[] = {STATE(S, val)};
STATE_TABLE(port92_state, port92_rows, NULL, NULL);
#undef S

#define S struct fwcfg
static const struct state_field fwcfg_rows[] = {STATE(S, key), STATE(S, offset), STATE_BYTES(S, dma_address)};
STATE_TABLE(fwcfg_state, fwcfg_rows, NULL, NULL);
#undef S
