/*
 * i8042.h - the keyboard controller.
 */
#ifndef NOVT_DEVICES_I8042_H
#define NOVT_DEVICES_I8042_H

#include "devices/a20.h"
#include "devices/bus.h"
#include "devices/clk.h"
#include "devices/ps2.h"

/* One of the two wires. */
struct i8042_port {
    struct clk_timer timer;
    u64 bat_ns; /* when the self-test that was asked for is over; 0: not asked, or over */
};

struct i8042 {
    u8 mode; /* the "command byte", RAM 0 */
    u8 ram[32];
    u8 status;
    u8 data;      /* output buffer */
    u8 command;   /* waits for its data byte; 0 = none */
    bool release; /* translation saw a break prefix */
    u64 next_ns;  /* what the devices say by themselves is not handed out earlier */
    struct ps2_kbd kbd;
    struct ps2_mouse mouse;
    struct clk *clk;
    struct i8042_port kbd_port, aux_port;
    struct clk_timer repeat; /* of the key that is held */
    struct irq_line irq_kbd, irq_aux;
    struct a20 *a20;
    void (*reset_request)(void *opaque);
    void *opaque;
};

struct i8042_wires {
    struct clk *clk;
    struct irq_line irq_kbd, irq_aux;
    struct a20 *a20;
    void (*reset_request)(void *opaque); /* output port bit 0 pulled low */
    void *opaque;
};

int i8042_init(struct i8042 *kc, struct io_bus *io, const struct i8042_wires *wires) MUST_CHECK;
void i8042_reset(struct i8042 *kc);
/* Both false when the guest must take some of the earlier events first. */
bool i8042_key(struct i8042 *kc, unsigned key, bool down);
bool i8042_mouse(struct i8042 *kc, int dx, int dy, int dz, unsigned buttons);
bool i8042_idle(const struct i8042 *kc); /* the guest has taken every key */

#endif
