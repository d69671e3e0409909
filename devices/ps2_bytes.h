/*
 * ps2_bytes.h - what keyboard and mouse share behind ps2.h: answer bytes and their queues.
 *
 * For ps2.c and ps2_mouse.c alone.
 */
#ifndef NOVT_DEVICES_PS2_BYTES_H
#define NOVT_DEVICES_PS2_BYTES_H

#include "devices/ps2.h"

enum { PS2_ACK = 0xfa, PS2_RESEND = 0xfe, PS2_BAT_OK = 0xaa };
enum { SET3_ALL = KEY_PAUSE + 1 }; /* beyond enum key_kind: repeats and tells of its release */

void ps2_queue_clear(struct ps2_queue *q);
bool ps2_queue_put(struct ps2_queue *q, const u8 *bytes, unsigned n); /* whole or not at all */
/* The answer to a command, in place of one that was not read. */
void ps2_reply(struct ps2_queue *q, const u8 *bytes, unsigned n);
void ps2_reply1(struct ps2_queue *q, u8 v);

#endif
