/*
 * ps2.h - the PS/2 keyboard and mouse behind the i8042.
 *
 * Each has two queues of bytes for the controller: answers to commands, which come first and at once, and what it says by itself.
 * The controller owns the clock: it asks the keyboard how long until the held key repeats.
 */
#ifndef NOVT_DEVICES_PS2_H
#define NOVT_DEVICES_PS2_H

#include "devices/keys.h"

#define PS2_QUEUE 64

struct ps2_queue {
    u8 data[PS2_QUEUE];
    unsigned head, count;
};

struct ps2_kbd {
    struct ps2_queue reply, keys;
    bool bat;   /* the self-test's result is the last byte of the replies: it takes a while */
    u8 command; /* waits for its parameter; 0 = none */
    u8 leds, typematic, scancode_set, last;
    bool scanning;
    u8 held[KEYS_MAX / 8]; /* keys that are down, whether or not the guest heard of it */
    bool repeats;          /* a key is held that repeats: */
    u8 repeat_key;
    u8 set3_kind[256]; /* enum key_kind by set 3 code, as commands F7h-FDh left it */
};

struct ps2_mouse {
    struct ps2_queue reply, packets;
    bool bat;
    u8 command;
    u8 id; /* 0, 3 with a wheel, 4 with five buttons */
    u8 resolution, rate, knock[3];
    bool reporting, remote, wrap, scaling;
    int dx, dy, dz; /* not told yet; y up, z towards the user */
    u8 buttons;
    bool clicked; /* buttons were not told yet */
};

bool ps2_queue_empty(const struct ps2_queue *q);
u8 ps2_queue_get(struct ps2_queue *q); /* 0 if empty */

void ps2_kbd_reset(struct ps2_kbd *kbd); /* power on: forgets held keys too */
void ps2_kbd_write(struct ps2_kbd *kbd, u8 val);
/* A key goes down or up. False, and nothing happened: the guest must take some of the earlier ones first. A key that is down
 * already and one that is up already say nothing: the keyboard repeats by itself. */
bool ps2_kbd_key(struct ps2_kbd *kbd, unsigned key, bool down);
bool ps2_kbd_held(const struct ps2_kbd *kbd, unsigned key);
u64 ps2_kbd_delay_ns(const struct ps2_kbd *kbd);  /* until the held key repeats first */
u64 ps2_kbd_period_ns(const struct ps2_kbd *kbd); /* and from then on */
void ps2_kbd_repeat(struct ps2_kbd *kbd);

void ps2_mouse_reset(struct ps2_mouse *mouse);
void ps2_mouse_write(struct ps2_mouse *mouse, u8 val);
/* False, and nothing happened: a click is not told yet. Motion adds up without limit. */
bool ps2_mouse_move(struct ps2_mouse *mouse, int dx, int dy, int dz, unsigned buttons);
/* Queues the next packet if there is something to tell and the last one was taken. */
void ps2_mouse_fill(struct ps2_mouse *mouse);

/* Set 2 to set 1, a byte at a time, as the i8042 translates. *release holds a break prefix meanwhile;
 * returns false if the byte was swallowed. */
bool ps2_translate(bool *release, u8 code, u8 *out);

#endif
