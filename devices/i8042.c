/*
 * i8042.c - PS/2 keyboard controller, ports 60h and 64h, IRQ 1 and 12.
 *
 * One output buffer, filled from the controller's own answers, then the keyboard, then the mouse.
 * Answers to commands come at once; keys and mouse packets are paced, as the serial wire paces them,
 * because chained INT 9 handlers read port 60h more than once and expect the same byte.
 *
 *     status: 7 parity 6 timeout 5 aux data 4 not locked 3 last write was a command 2 self-test done 1 IBF 0 OBF
 *     mode:   6 translate 5 aux off 4 keyboard off 2 system flag 1 IRQ 12 0 IRQ 1
 *     output port: 5 aux data 4 keyboard data 1 A20 0 not reset
 */
#include "devices/i8042.h"

#include <string.h>

enum { ST_OBF = 0x01, ST_SYS = 0x04, ST_CMD = 0x08, ST_UNLOCKED = 0x10, ST_AUX = 0x20 };
enum {
    MODE_KBD_INT = 0x01,
    MODE_AUX_INT = 0x02,
    MODE_SYS = 0x04,
    MODE_KBD_OFF = 0x10,
    MODE_AUX_OFF = 0x20,
    MODE_XLATE = 0x40
};
enum { OUT_NOT_RESET = 0x01, OUT_A20 = 0x02, OUT_KBD = 0x10, OUT_AUX = 0x20, OUT_ONES = 0xcc };
enum {
    CMD_READ_RAM = 0x20,
    CMD_WRITE_RAM = 0x60,
    CMD_GET_VERSION = 0xa1,
    CMD_PASSWORD = 0xa4,
    CMD_LOAD_PASSWORD = 0xa5,
    CMD_AUX_OFF = 0xa7,
    CMD_AUX_ON = 0xa8,
    CMD_AUX_TEST = 0xa9,
    CMD_SELF_TEST = 0xaa,
    CMD_KBD_TEST = 0xab,
    CMD_KBD_OFF = 0xad,
    CMD_KBD_ON = 0xae,
    CMD_READ_IN = 0xc0,
    CMD_READ_OUT = 0xd0,
    CMD_WRITE_OUT = 0xd1,
    CMD_WRITE_KBD_BUF = 0xd2,
    CMD_WRITE_AUX_BUF = 0xd3,
    CMD_WRITE_AUX = 0xd4,
    CMD_A20_OFF = 0xdd,
    CMD_A20_ON = 0xdf,
    CMD_READ_TEST = 0xe0,
    CMD_PULSE = 0xf0,
};
enum { BAT_OK = 0xaa };
#define INPUT_PORT 0x80u /* keyboard not locked */
#define PACE_NS 500000u
#define BAT_NS 5000000u

static void update_irq(struct i8042 *kc)
{
    bool full = kc->status & ST_OBF, aux = kc->status & ST_AUX;
    irq_set(kc->irq_kbd, full && !aux && (kc->mode & MODE_KBD_INT));
    irq_set(kc->irq_aux, full && aux && (kc->mode & MODE_AUX_INT));
}

static void put_data(struct i8042 *kc, u8 v, bool aux)
{
    kc->data = v;
    kc->status = (u8)((kc->status & ~ST_AUX) | ST_OBF | (aux ? ST_AUX : 0));
    update_irq(kc);
}

/* A reply's next byte: at once, but for the result of a self-test, the last but one or two, which takes a while. */
static bool take_reply(struct i8042 *kc, struct i8042_port *port, struct ps2_queue *q, bool *bat, u64 now,
                       u8 *v)
{
    if (ps2_queue_empty(q))
        return false;
    if (*bat && q->data[q->head % PS2_QUEUE] == BAT_OK) {
        if (!port->bat_ns)
            port->bat_ns = now + BAT_NS;
        if (now < port->bat_ns) {
            clk_timer_set(kc->clk, &port->timer, port->bat_ns);
            return false;
        }
        *bat = false;
    }
    port->bat_ns = 0;
    *v = ps2_queue_get(q);
    return true;
}

/* What a device says by itself: not faster than its wire. */
static bool take_paced(struct i8042 *kc, struct i8042_port *port, struct ps2_queue *q, u64 now, u8 *v)
{
    if (ps2_queue_empty(q))
        return false;
    if (now < kc->next_ns) {
        clk_timer_set(kc->clk, &port->timer, kc->next_ns);
        return false;
    }
    kc->next_ns = now + PACE_NS;
    *v = ps2_queue_get(q);
    return true;
}

static bool take_kbd(struct i8042 *kc, u64 now)
{
    bool none = false; /* a reply's bytes have nothing to do with a prefix that a key left */
    u8 v;

    if (kc->mode & MODE_KBD_OFF)
        return false;
    if (take_reply(kc, &kc->kbd_port, &kc->kbd.reply, &kc->kbd.bat, now, &v)) {
        if (kc->mode & MODE_XLATE)
            (void)ps2_translate(&none, v, &v);
        put_data(kc, v, false);
        return true;
    }
    if (!ps2_queue_empty(&kc->kbd.reply))
        return false;
    while (take_paced(kc, &kc->kbd_port, &kc->kbd.keys, now, &v)) {
        if (!(kc->mode & MODE_XLATE) || ps2_translate(&kc->release, v, &v)) {
            put_data(kc, v, false);
            return true;
        }
        kc->next_ns = now; /* a swallowed prefix takes no time */
    }
    return false;
}

static bool take_aux(struct i8042 *kc, u64 now)
{
    u8 v;

    if (kc->mode & MODE_AUX_OFF)
        return false;
    if (!take_reply(kc, &kc->aux_port, &kc->mouse.reply, &kc->mouse.bat, now, &v)) {
        if (!ps2_queue_empty(&kc->mouse.reply))
            return false;
        ps2_mouse_fill(&kc->mouse);
        if (!take_paced(kc, &kc->aux_port, &kc->mouse.packets, now, &v))
            return false;
    }
    put_data(kc, v, true);
    return true;
}

static void fill(struct i8042 *kc)
{
    u64 now = clk_now(kc->clk);

    if (!(kc->status & ST_OBF) && !take_kbd(kc, now))
        (void)take_aux(kc, now);
}

static void on_timer(void *opaque, u64 now)
{
    (void)now;
    fill(opaque);
}

static void on_repeat(void *opaque, u64 now)
{
    struct i8042 *kc = opaque;

    if (!kc->kbd.repeats)
        return;
    ps2_kbd_repeat(&kc->kbd);
    clk_timer_set(kc->clk, &kc->repeat, now + ps2_kbd_period_ns(&kc->kbd));
    fill(kc);
}

static u8 read_data(struct i8042 *kc)
{
    kc->status &= (u8) ~(ST_OBF | ST_AUX);
    u8 v = kc->data;
    update_irq(kc); /* the line falls before the next byte raises it */
    fill(kc);
    return v;
}

static void write_output_port(struct i8042 *kc, u8 val)
{
    a20_set(kc->a20, val & OUT_A20);
    if (!(val & OUT_NOT_RESET) && kc->reset_request)
        kc->reset_request(kc->opaque);
}

static u8 output_port(const struct i8042 *kc)
{
    u8 v = OUT_NOT_RESET | OUT_ONES | (kc->a20->on ? OUT_A20 : 0);
    if (kc->status & ST_OBF)
        v |= kc->status & ST_AUX ? OUT_AUX : OUT_KBD;
    return v;
}

static void write_command(struct i8042 *kc, u8 val)
{
    kc->command = 0;
    kc->status |= ST_CMD;
    if (val < CMD_WRITE_RAM && !(val & 0x20)) /* AMI: 00h-1Fh and 40h-5Fh are 20h-3Fh and 60h-7Fh */
        val |= 0x20;
    switch (val) {
    case CMD_READ_RAM: put_data(kc, kc->mode, false); break;
    case CMD_READ_RAM + 1 ... CMD_READ_RAM + 31: put_data(kc, kc->ram[val & 31], false); break;
    case CMD_WRITE_RAM ... CMD_WRITE_RAM + 31:
    case CMD_LOAD_PASSWORD:
    case CMD_WRITE_OUT ... CMD_WRITE_AUX: kc->command = val; break;
    case CMD_PASSWORD:
        put_data(kc, 0xf1, false); /* none installed */
        break;
    case CMD_AUX_OFF: kc->mode |= MODE_AUX_OFF; break;
    case CMD_AUX_ON: kc->mode &= (u8)~MODE_AUX_OFF; break;
    case CMD_AUX_TEST:
    case CMD_KBD_TEST:
    case CMD_GET_VERSION: put_data(kc, 0x00, false); break;
    case CMD_SELF_TEST:
        kc->status |= ST_SYS;
        put_data(kc, 0x55, false);
        break;
    case CMD_KBD_OFF: kc->mode |= MODE_KBD_OFF; break;
    case CMD_KBD_ON: kc->mode &= (u8)~MODE_KBD_OFF; break;
    case CMD_READ_IN: put_data(kc, INPUT_PORT, false); break;
    case CMD_READ_TEST: put_data(kc, 0x00, false); break; /* both clocks low */
    case CMD_READ_OUT: put_data(kc, output_port(kc), false); break;
    case CMD_A20_OFF:
    case CMD_A20_ON: a20_set(kc->a20, val == CMD_A20_ON); break;
    case CMD_PULSE ... CMD_PULSE + 15: /* bits that are 0 pulse low */
        if (!(val & 1) && kc->reset_request)
            kc->reset_request(kc->opaque);
        break;
    default: break;
    }
}

static void write_data(struct i8042 *kc, u8 val)
{
    u8 command = kc->command;
    kc->command = 0;
    kc->status &= (u8)~ST_CMD;
    switch (command) {
    case 0:
        kc->mode &= (u8)~MODE_KBD_OFF; /* the wire is needed to send */
        ps2_kbd_write(&kc->kbd, val);
        break;
    case CMD_LOAD_PASSWORD: /* a string that ends with 0 */
        if (val)
            kc->command = command;
        break;
    case CMD_WRITE_RAM:
        kc->mode = val;
        kc->status = (u8)((kc->status & ~ST_SYS) | (val & MODE_SYS));
        update_irq(kc);
        break;
    case CMD_WRITE_OUT: write_output_port(kc, val); break;
    case CMD_WRITE_KBD_BUF: put_data(kc, val, false); break;
    case CMD_WRITE_AUX_BUF: put_data(kc, val, true); break;
    case CMD_WRITE_AUX: ps2_mouse_write(&kc->mouse, val); break;
    default: kc->ram[command & 31] = val; break;
    }
}

static u32 data_read(void *opaque, u32 offset, unsigned size)
{
    (void)offset;
    (void)size;
    return read_data(opaque);
}

static void data_write(void *opaque, u32 offset, unsigned size, u32 val)
{
    (void)offset;
    (void)size;
    write_data(opaque, (u8)val);
    fill(opaque);
}

static u32 status_read(void *opaque, u32 offset, unsigned size)
{
    struct i8042 *kc = opaque;
    (void)offset;
    (void)size;
    return kc->status;
}

static void command_write(void *opaque, u32 offset, unsigned size, u32 val)
{
    (void)offset;
    (void)size;
    write_command(opaque, (u8)val);
    fill(opaque);
}

static const struct bus_ops data_ops = {.read = data_read, .write = data_write};
static const struct bus_ops command_ops = {.read = status_read, .write = command_write};

bool i8042_key(struct i8042 *kc, unsigned key, bool down)
{
    if (!ps2_kbd_key(&kc->kbd, key, down))
        return false;
    if (!kc->kbd.repeats)
        clk_timer_cancel(kc->clk, &kc->repeat);
    else if (down && kc->kbd.repeat_key == key)
        clk_timer_set(kc->clk, &kc->repeat, clk_now(kc->clk) + ps2_kbd_delay_ns(&kc->kbd));
    fill(kc);
    return true;
}

bool i8042_mouse(struct i8042 *kc, int dx, int dy, int dz, unsigned buttons)
{
    bool taken = ps2_mouse_move(&kc->mouse, dx, dy, dz, buttons);

    fill(kc);
    return taken;
}

bool i8042_idle(const struct i8042 *kc)
{
    return ps2_queue_empty(&kc->kbd.keys) && !((kc->status & (ST_OBF | ST_AUX)) == ST_OBF);
}

int i8042_init(struct i8042 *kc, struct io_bus *io, const struct i8042_wires *wires)
{
    memset(kc, 0, sizeof(*kc));
    kc->clk = wires->clk;
    kc->irq_kbd = wires->irq_kbd;
    kc->irq_aux = wires->irq_aux;
    kc->a20 = wires->a20;
    kc->reset_request = wires->reset_request;
    kc->opaque = wires->opaque;
    clk_timer_init(&kc->kbd_port.timer, on_timer, kc);
    clk_timer_init(&kc->aux_port.timer, on_timer, kc);
    clk_timer_init(&kc->repeat, on_repeat, kc);
    i8042_reset(kc);
    int err = io_bus_register(io, 0x60, 1, &data_ops, kc);
    if (!err)
        err = io_bus_register(io, 0x64, 1, &command_ops, kc);
    return err;
}

void i8042_reset(struct i8042 *kc)
{
    u8 held[sizeof(kc->kbd.held)];

    clk_timer_cancel(kc->clk, &kc->kbd_port.timer);
    clk_timer_cancel(kc->clk, &kc->aux_port.timer);
    clk_timer_cancel(kc->clk, &kc->repeat);
    kc->kbd_port.bat_ns = kc->aux_port.bat_ns = 0;
    kc->mode = MODE_KBD_INT | MODE_AUX_INT;
    memset(kc->ram, 0, sizeof(kc->ram));
    kc->status = ST_CMD | ST_UNLOCKED;
    kc->data = kc->command = 0;
    kc->release = false;
    kc->next_ns = 0;
    memcpy(held, kc->kbd.held, sizeof(held));
    ps2_kbd_reset(&kc->kbd);
    memcpy(kc->kbd.held, held, sizeof(held)); /* fingers stay where they are */
    ps2_mouse_reset(&kc->mouse);
    a20_set(kc->a20, true);
    update_irq(kc);
}
