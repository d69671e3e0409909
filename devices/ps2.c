/*
 * ps2.c - PS/2 keyboard and mouse: commands, replies and packets (IBM PS/2 technical reference).
 *
 * Each has a queue of bytes for the controller. Every command byte is answered, unknown ones with
 * "resend", so that no driver waits for nothing.
 */
#include "devices/ps2.h"

#include <string.h>

enum { ACK = 0xfa, RESEND = 0xfe, BAT_OK = 0xaa };
enum {
    KBD_LEDS = 0xed,
    KBD_ECHO = 0xee,
    KBD_SET = 0xf0,
    KBD_ID = 0xf2,
    KBD_RATE = 0xf3,
    KBD_ENABLE = 0xf4,
    KBD_DISABLE = 0xf5,
    KBD_DEFAULT = 0xf6,
    KBD_ALL_FIRST = 0xf7,
    KBD_ALL_LAST = 0xfa,
    KBD_KEY_FIRST = 0xfb,
    KBD_KEY_LAST = 0xfd,
    KBD_RESEND = 0xfe,
    KBD_RESET = 0xff,
};
enum {
    AUX_SCALE1 = 0xe6,
    AUX_SCALE2 = 0xe7,
    AUX_RES = 0xe8,
    AUX_STATUS = 0xe9,
    AUX_STREAM = 0xea,
    AUX_POLL = 0xeb,
    AUX_UNWRAP = 0xec,
    AUX_WRAP = 0xee,
    AUX_REMOTE = 0xf0,
    AUX_ID = 0xf2,
    AUX_RATE = 0xf3,
    AUX_ENABLE = 0xf4,
    AUX_DISABLE = 0xf5,
    AUX_DEFAULT = 0xf6,
    AUX_RESEND = 0xfe,
    AUX_RESET = 0xff,
};

/* What an 8042 turns codes of set 2 into; beyond the table only 83h and 84h change. */
static const u8 set2_to_set1[128] = {
    0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29, 0x59,
    0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02, 0x5a, 0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11, 0x03, 0x5b,
    0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c, 0x68, 0x39, 0x2f, 0x21, 0x14, 0x13, 0x06, 0x5d,
    0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e, 0x6a, 0x72, 0x32, 0x24, 0x16, 0x08, 0x09, 0x5f,
    0x6b, 0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60, 0x6c, 0x34, 0x35, 0x26, 0x27, 0x19, 0x0c, 0x61,
    0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e, 0x3a, 0x36, 0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76,
    0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b, 0x7c, 0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f,
    0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45, 0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54,
};

bool ps2_translate(bool *release, u8 code, u8 *out)
{
    if (code == 0xf0) {
        *release = true;
        return false;
    }
    u8 v = code < 128 ? set2_to_set1[code] : code == 0x83 ? 0x41 : code == 0x84 ? 0x54 : code;
    *out = *release ? v | 0x80 : v;
    *release = false;
    return true;
}

bool ps2_queue_empty(const struct ps2_queue *q)
{
    return !q->count;
}

unsigned ps2_queue_room(const struct ps2_queue *q)
{
    return PS2_QUEUE - q->count;
}

bool ps2_queue_next_is_reply(const struct ps2_queue *q)
{
    return q->count && q->reply[q->head];
}

u8 ps2_queue_get(struct ps2_queue *q)
{
    if (!q->count)
        return 0;
    u8 v = q->data[q->head];
    q->head = (q->head + 1) % PS2_QUEUE;
    q->count--;
    return v;
}

static void put(struct ps2_queue *q, u8 v, bool reply)
{
    if (q->count == PS2_QUEUE)
        return;
    unsigned at = (q->head + q->count++) % PS2_QUEUE;
    q->data[at] = v;
    q->reply[at] = reply;
}

/* A command stops what the device was saying: its reply comes next. */
static void reply(struct ps2_queue *q, const u8 *bytes, unsigned n)
{
    q->count = 0;
    for (unsigned i = 0; i < n; i++)
        put(q, bytes[i], true);
}

static void reply1(struct ps2_queue *q, u8 v)
{
    reply(q, &v, 1);
}

static void kbd_defaults(struct ps2_kbd *kbd)
{
    kbd->scancode_set = 2;
    kbd->typematic = 0x2b;
    kbd->leds = 0;
    kbd->command = 0;
}

void ps2_kbd_reset(struct ps2_kbd *kbd)
{
    memset(kbd, 0, sizeof(*kbd));
    kbd_defaults(kbd);
    kbd->scanning = true;
}

static void kbd_parameter(struct ps2_kbd *kbd, u8 val)
{
    u8 command = kbd->command;
    kbd->command = 0;
    if (command == KBD_SET && val == 0) {
        reply(&kbd->queue, (u8[]){ACK, kbd->scancode_set}, 2);
        return;
    }
    if (command == KBD_SET && val <= 3)
        kbd->scancode_set = val;
    else if (command == KBD_LEDS)
        kbd->leds = val & 7;
    else if (command == KBD_RATE)
        kbd->typematic = val & 0x7f;
    reply1(&kbd->queue, ACK);
}

void ps2_kbd_write(struct ps2_kbd *kbd, u8 val)
{
    if (kbd->command && val < KBD_LEDS) {
        kbd_parameter(kbd, val);
        return;
    }
    kbd->command = 0;
    switch (val) {
    case KBD_LEDS:
    case KBD_SET:
    case KBD_RATE:
    case KBD_KEY_FIRST ... KBD_KEY_LAST:
        kbd->command = val;
        reply1(&kbd->queue, ACK);
        break;
    case KBD_ECHO: reply1(&kbd->queue, KBD_ECHO); break;
    case KBD_ID: reply(&kbd->queue, (u8[]){ACK, 0xab, 0x83}, 3); break;
    case KBD_ENABLE:
        kbd->scanning = true;
        reply1(&kbd->queue, ACK);
        break;
    case KBD_DISABLE:
    case KBD_DEFAULT:
        kbd_defaults(kbd);
        kbd->scanning = val == KBD_DEFAULT;
        reply1(&kbd->queue, ACK);
        break;
    case KBD_ALL_FIRST ... KBD_ALL_LAST: reply1(&kbd->queue, ACK); break;
    case KBD_RESEND: reply1(&kbd->queue, kbd->last); break;
    case KBD_RESET:
        ps2_kbd_reset(kbd);
        reply(&kbd->queue, (u8[]){ACK, BAT_OK}, 2);
        break;
    default: reply1(&kbd->queue, RESEND); break;
    }
    if (kbd->queue.count)
        kbd->last = kbd->queue.data[kbd->queue.head];
}

bool ps2_kbd_keys(struct ps2_kbd *kbd, const u8 *codes, size_t len)
{
    if (!kbd->scanning || len > ps2_queue_room(&kbd->queue))
        return false;
    bool release = false;
    for (size_t i = 0; i < len; i++) {
        u8 v = codes[i];
        if (kbd->scancode_set == 1 && !ps2_translate(&release, codes[i], &v))
            continue;
        put(&kbd->queue, v, false);
    }
    return true;
}

static void mouse_defaults(struct ps2_mouse *m)
{
    m->rate = 100;
    m->resolution = 2;
    m->scaling = m->reporting = m->remote = m->wrap = false;
    m->command = 0;
    m->dx = m->dy = m->dz = 0;
}

void ps2_mouse_reset(struct ps2_mouse *mouse)
{
    memset(mouse, 0, sizeof(*mouse));
    mouse_defaults(mouse);
}

static int clamp(int v, int lo, int hi)
{
    return v < lo ? lo : v > hi ? hi : v;
}

/*
 * byte 0: 7 y overflow 6 x overflow 5 y sign 4 x sign 3 one 2 middle 1 right 0 left; then x, y, (wheel)
 */
static void mouse_packet(struct ps2_mouse *m, bool is_reply)
{
    int dx = clamp(m->dx, -255, 255), dy = clamp(m->dy, -255, 255), dz = clamp(m->dz, -8, 7);
    if (ps2_queue_room(&m->queue) < 4)
        return;
    put(&m->queue, (u8)(0x08 | (m->buttons & 7) | (dx < 0 ? 0x10 : 0) | (dy < 0 ? 0x20 : 0)), is_reply);
    put(&m->queue, (u8)dx, is_reply);
    put(&m->queue, (u8)dy, is_reply);
    if (m->id == 3)
        put(&m->queue, (u8)dz, is_reply);
    m->dx -= dx;
    m->dy -= dy;
    m->dz -= dz;
}

void ps2_mouse_move(struct ps2_mouse *m, int dx, int dy, int dz, unsigned buttons)
{
    m->dx = clamp(m->dx + clamp(dx, -4096, 4096), -4096, 4096);
    m->dy = clamp(m->dy + clamp(dy, -4096, 4096), -4096, 4096);
    m->dz = clamp(m->dz + clamp(dz, -64, 64), -64, 64);
    bool click = m->buttons != (buttons & 7);
    m->buttons = buttons & 7;
    if (!m->reporting || m->remote)
        return;
    /* A long way takes several packets; a click at least one. */
    for (unsigned i = 0; i < 8 && (click || m->dx || m->dy || m->dz); i++, click = false)
        mouse_packet(m, false);
}

static void mouse_parameter(struct ps2_mouse *m, u8 val)
{
    if (m->command == AUX_RATE) {
        m->rate = val;
        m->knock[0] = m->knock[1];
        m->knock[1] = m->knock[2];
        m->knock[2] = val;
        /* The sequence that turns the wheel on. */
        if (m->knock[0] == 200 && m->knock[1] == 100 && m->knock[2] == 80)
            m->id = 3;
    } else {
        m->resolution = val & 3;
    }
    m->command = 0;
    reply1(&m->queue, ACK);
}

static void mouse_status(struct ps2_mouse *m)
{
    u8 flags = (u8)((m->remote ? 0x40 : 0) | (m->reporting ? 0x20 : 0) | (m->scaling ? 0x10 : 0) |
                    (m->buttons & 1) << 2 | (m->buttons & 4) >> 1 | (m->buttons & 2) >> 1);
    reply(&m->queue, (u8[]){ACK, flags, m->resolution, m->rate}, 4);
}

void ps2_mouse_write(struct ps2_mouse *m, u8 val)
{
    if (m->command) {
        mouse_parameter(m, val);
        return;
    }
    if (m->wrap && val != AUX_RESET && val != AUX_UNWRAP) {
        reply1(&m->queue, val);
        return;
    }
    switch (val) {
    case AUX_RES:
    case AUX_RATE: m->command = val; break;
    case AUX_SCALE1:
    case AUX_SCALE2: m->scaling = val == AUX_SCALE2; break;
    case AUX_STATUS: mouse_status(m); return;
    case AUX_STREAM:
    case AUX_REMOTE: m->remote = val == AUX_REMOTE; break;
    case AUX_POLL:
        reply1(&m->queue, ACK);
        mouse_packet(m, true);
        return;
    case AUX_WRAP:
    case AUX_UNWRAP: m->wrap = val == AUX_WRAP; break;
    case AUX_ID: reply(&m->queue, (u8[]){ACK, m->id}, 2); return;
    case AUX_ENABLE:
    case AUX_DISABLE: m->reporting = val == AUX_ENABLE; break;
    case AUX_DEFAULT: mouse_defaults(m); break;
    case AUX_RESET:
        ps2_mouse_reset(m);
        reply(&m->queue, (u8[]){ACK, BAT_OK, 0}, 3);
        return;
    default: reply1(&m->queue, RESEND); return;
    }
    reply1(&m->queue, ACK);
}
