/*
 * ps2.h - the PS/2 keyboard and mouse behind the i8042.
 */
#ifndef NOVT_DEVICES_PS2_H
#define NOVT_DEVICES_PS2_H

#include "base.h"

#define PS2_QUEUE 64

/* What a device has to say. Replies to commands are told from unsolicited bytes: those are paced. */
struct ps2_queue {
    u8 data[PS2_QUEUE];
    bool reply[PS2_QUEUE];
    unsigned head, count;
};

struct ps2_kbd {
    struct ps2_queue queue;
    u8 command; /* waits for its parameter; 0 = none */
    u8 leds, typematic, scancode_set, last;
    bool scanning;
};

struct ps2_mouse {
    struct ps2_queue queue;
    u8 command;
    u8 id; /* 0, 3 with a wheel */
    u8 resolution, rate, knock[3];
    bool reporting, remote, wrap, scaling;
    int dx, dy, dz;
    u8 buttons;
};

bool ps2_queue_empty(const struct ps2_queue *q);
unsigned ps2_queue_room(const struct ps2_queue *q);
bool ps2_queue_next_is_reply(const struct ps2_queue *q);
u8 ps2_queue_get(struct ps2_queue *q); /* 0 if empty */

void ps2_kbd_reset(struct ps2_kbd *kbd);
void ps2_kbd_write(struct ps2_kbd *kbd, u8 val);
/* Scan codes of set 2; false (and nothing taken) if they do not fit or the keyboard is disabled. */
bool ps2_kbd_keys(struct ps2_kbd *kbd, const u8 *codes, size_t len);

void ps2_mouse_reset(struct ps2_mouse *mouse);
void ps2_mouse_write(struct ps2_mouse *mouse, u8 val);
void ps2_mouse_move(struct ps2_mouse *mouse, int dx, int dy, int dz, unsigned buttons);

/* Set 2 to set 1, a byte at a time, as the i8042 translates. *release holds a break prefix meanwhile;
 * returns false if the byte was swallowed. */
bool ps2_translate(bool *release, u8 code, u8 *out);

#endif
