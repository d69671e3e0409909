/*
 * ps2_mouse.c - the PS/2 mouse: commands, packets, the knocks that turn on the wheel and the side buttons
 * (IBM PS/2 technical reference; Microsoft's IntelliMouse and IntelliMouse Explorer).
 *
 * Motion adds up until the guest has taken the last packet, so that a slow guest gets few long ways instead of many
 * short ones, and never a position that is out of date. Each click gets a packet of its own.
 */
#include "devices/ps2.h"

#include <string.h>

#include "devices/ps2_bytes.h"

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

static void mouse_defaults(struct ps2_mouse *m)
{
    m->rate = 100;
    m->resolution = 2;
    m->scaling = m->reporting = m->remote = m->wrap = false;
    m->command = 0;
    m->dx = m->dy = m->dz = 0;
    m->clicked = false;
    ps2_queue_clear(&m->packets);
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

/* 2:1 scaling: small ways as they are, longer ones doubled. */
static int scaled(int v)
{
    static const u8 steps[] = {0, 1, 1, 3, 6, 9};
    int n = v < 0 ? -v : v;

    n = n < (int)ARRAY_SIZE(steps) ? steps[n] : n * 2;
    return v < 0 ? -n : n;
}

/*
 * byte 0: 7 y overflow 6 x overflow 5 y sign 4 x sign 3 one 2 middle 1 right 0 left; then x, y
 * id 3: wheel; id 4: 5 fifth button 4 fourth button 3-0 wheel
 */
static void mouse_packet(struct ps2_mouse *m, struct ps2_queue *q, bool scale)
{
    int limit = scale ? 127 : 255;
    int dx = clamp(m->dx, -limit, limit), dy = clamp(m->dy, -limit, limit), dz = 0;
    u8 packet[4];

    if (m->id)
        dz = clamp(m->dz, -8, 7);
    m->dx -= dx;
    m->dy -= dy;
    m->dz = m->id ? m->dz - dz : 0;
    m->clicked = false;
    if (scale) {
        dx = scaled(dx);
        dy = scaled(dy);
    }
    packet[0] = (u8)(0x08 | (m->buttons & 7) | (dx < 0 ? 0x10 : 0) | (dy < 0 ? 0x20 : 0));
    packet[1] = (u8)dx;
    packet[2] = (u8)dy;
    packet[3] = m->id == 4 ? (u8)((dz & 0x0f) | (m->buttons & 0x18) << 1) : (u8)dz;
    (void)ps2_queue_put(q, packet, m->id ? 4 : 3);
}

void ps2_mouse_fill(struct ps2_mouse *m)
{
    if (m->reporting && !m->remote && !m->wrap && ps2_queue_empty(&m->packets) &&
        (m->clicked || m->dx || m->dy || (m->dz && m->id)))
        mouse_packet(m, &m->packets, m->scaling);
}

bool ps2_mouse_move(struct ps2_mouse *m, int dx, int dy, int dz, unsigned buttons)
{
    bool click = m->buttons != (buttons & 0x1f);

    if (m->clicked && click)
        return false;
    m->buttons = buttons & 0x1f;
    if (!m->reporting)
        return true;
    m->dx = clamp(m->dx + clamp(dx, -4096, 4096), -4096, 4096);
    m->dy = clamp(m->dy + clamp(dy, -4096, 4096), -4096, 4096);
    m->dz = clamp(m->dz + clamp(dz, -64, 64), -64, 64);
    m->clicked |= click && !m->remote;
    ps2_mouse_fill(m);
    return true;
}

static void mouse_parameter(struct ps2_mouse *m, u8 val)
{
    if (m->command == AUX_RATE) {
        m->rate = val;
        m->knock[0] = m->knock[1];
        m->knock[1] = m->knock[2];
        m->knock[2] = val;
        if (m->knock[0] == 200 && m->knock[2] == 80 && (m->knock[1] == 100 || m->knock[1] == 200))
            m->id = m->knock[1] == 100 ? 3 : 4;
    } else {
        m->resolution = val & 3;
    }
    m->command = 0;
    ps2_reply1(&m->reply, PS2_ACK);
}

static void mouse_status(struct ps2_mouse *m)
{
    u8 flags = (u8)((m->remote ? 0x40 : 0) | (m->reporting ? 0x20 : 0) | (m->scaling ? 0x10 : 0) |
                    (m->buttons & 1) << 2 | (m->buttons & 4) >> 1 | (m->buttons & 2) >> 1);
    ps2_reply(&m->reply, (u8[]){PS2_ACK, flags, m->resolution, m->rate}, 4);
}

void ps2_mouse_write(struct ps2_mouse *m, u8 val)
{
    m->bat = false;
    ps2_queue_clear(&m->packets); /* half a packet after an answer would be taken for a whole one */
    if (m->command) {
        mouse_parameter(m, val);
        return;
    }
    if (m->wrap && val != AUX_RESET && val != AUX_UNWRAP) {
        ps2_reply1(&m->reply, val);
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
        ps2_reply1(&m->reply, PS2_ACK);
        mouse_packet(m, &m->reply, false);
        return;
    case AUX_WRAP:
    case AUX_UNWRAP: m->wrap = val == AUX_WRAP; break;
    case AUX_ID: ps2_reply(&m->reply, (u8[]){PS2_ACK, m->id}, 2); return;
    case AUX_ENABLE:
    case AUX_DISABLE: m->reporting = val == AUX_ENABLE; break;
    case AUX_DEFAULT: mouse_defaults(m); break;
    case AUX_RESET: {
        u8 buttons = m->buttons;

        ps2_mouse_reset(m);
        m->buttons = buttons;
        m->bat = true;
        ps2_reply(&m->reply, (u8[]){PS2_ACK, PS2_BAT_OK, 0}, 3);
        return;
    }
    default: ps2_reply1(&m->reply, PS2_RESEND); return;
    }
    ps2_reply1(&m->reply, PS2_ACK);
}
