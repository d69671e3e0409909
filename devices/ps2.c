/*
 * ps2.c - the PS/2 keyboard: commands, scan sets 1 to 3, typematic; and the queues that it shares with the mouse
 * (IBM PS/2 technical reference, Microsoft's "Keyboard Scan Code Specification").
 *
 * Every command byte is answered, unknown ones with "resend", so that no driver waits for nothing. A command's answer overtakes keys
 * that wait, and does not drop them. Keys are kept as sequences of the scan set that was chosen when they were pressed.
 */
#include "devices/ps2.h"

#include <string.h>

#include "devices/ps2_bytes.h"

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

/* Set 1 to set 2: the table read backwards. */
static u8 set2_of(u8 xt)
{
    if (xt == 0x41 || xt == 0x54) /* F7, SysRq: the table has them twice */
        return xt == 0x41 ? 0x83 : 0x84;
    for (unsigned i = 1; i < ARRAY_SIZE(set2_to_set1); i++)
        if (set2_to_set1[i] == xt)
            return (u8)i;
    return 0;
}

/* ---- queues ---- */

bool ps2_queue_empty(const struct ps2_queue *q)
{
    return !q->count;
}

u8 ps2_queue_get(struct ps2_queue *q)
{
    if (!q->count)
        return 0;
    u8 v = q->data[q->head % PS2_QUEUE];
    q->head = (q->head + 1) % PS2_QUEUE;
    q->count--;
    return v;
}

void ps2_queue_clear(struct ps2_queue *q)
{
    q->count = 0;
}

bool ps2_queue_put(struct ps2_queue *q, const u8 *bytes, unsigned n)
{
    if (n > PS2_QUEUE - q->count)
        return false;
    for (unsigned i = 0; i < n; i++)
        q->data[(q->head + q->count++) % PS2_QUEUE] = bytes[i];
    return true;
}

void ps2_reply(struct ps2_queue *q, const u8 *bytes, unsigned n)
{
    ps2_queue_clear(q); /* nobody waits for the answer to an earlier command any more */
    (void)ps2_queue_put(q, bytes, n);
}

void ps2_reply1(struct ps2_queue *q, u8 v)
{
    ps2_reply(q, &v, 1);
}

/* ---- keys ---- */

bool ps2_kbd_held(const struct ps2_kbd *kbd, unsigned key)
{
    return key < KEYS_MAX && (kbd->held[key / 8] >> (key % 8) & 1);
}

static bool is_held_name(const struct ps2_kbd *kbd, const char *one, const char *other)
{
    return ps2_kbd_held(kbd, (unsigned)key_find(one)) || ps2_kbd_held(kbd, (unsigned)key_find(other));
}

/* Sets 1 and 2: a code with its prefixes. */
static unsigned put_code(const struct ps2_kbd *kbd, u8 xt, bool down, u8 *to)
{
    unsigned n = 0;

    if (xt & KEY_GREY)
        to[n++] = 0xe0;
    if (kbd->scancode_set == 1) {
        to[n++] = (u8)((xt & 0x7f) | (down ? 0 : 0x80));
        return n;
    }
    if (!down)
        to[n++] = 0xf0;
    to[n++] = set2_of(xt & 0x7f);
    return n;
}

/* Pause tells of nothing when it is released: the whole sequence comes when it goes down. */
static unsigned put_pause(const struct ps2_kbd *kbd, bool down, u8 *to)
{
    static const u8 set1[] = {0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5};
    static const u8 set2[] = {0xe1, 0x14, 0x77, 0xe1, 0xf0, 0x14, 0xf0, 0x77};
    bool one = kbd->scancode_set == 1;

    if (!down)
        return 0;
    if (is_held_name(kbd, "ctrl", "ctrl_r")) {
        unsigned n = put_code(kbd, 0x46 | KEY_GREY, true, to);

        return n + put_code(kbd, 0x46 | KEY_GREY, false, to + n);
    }
    memcpy(to, one ? set1 : set2, one ? sizeof(set1) : sizeof(set2));
    return one ? sizeof(set1) : sizeof(set2);
}

/* Print pretends that Shift is held, unless Shift or Ctrl are; with Alt it is SysRq. */
static unsigned put_print(const struct ps2_kbd *kbd, bool down, u8 *to)
{
    unsigned n = 0;

    if (is_held_name(kbd, "alt", "alt_r"))
        return put_code(kbd, 0x54, down, to);
    bool plain = !is_held_name(kbd, "shift", "shift_r") && !is_held_name(kbd, "ctrl", "ctrl_r");
    if (plain && down)
        n = put_code(kbd, 0x2a | KEY_GREY, true, to);
    n += put_code(kbd, 0x37 | KEY_GREY, down, to + n);
    if (plain && !down)
        n += put_code(kbd, 0x2a | KEY_GREY, false, to + n);
    return n;
}

/* What the key says in the chosen scan set; at most 8 bytes. */
static unsigned key_sequence(const struct ps2_kbd *kbd, const struct key *key, bool down, u8 *to)
{
    unsigned n = 0;

    if (kbd->scancode_set == 3) {
        if (!key->set3 ||
            (!down && kbd->set3_kind[key->set3] != KEY_MODIFIER && kbd->set3_kind[key->set3] != SET3_ALL))
            return 0;
        if (!down)
            to[n++] = 0xf0;
        to[n++] = key->set3;
        return n;
    }
    switch (key->kind) {
    case KEY_PAUSE: return put_pause(kbd, down, to);
    case KEY_PRINT: return put_print(kbd, down, to);
    default: return put_code(kbd, key->xt, down, to);
    }
}

static bool may_repeat(const struct ps2_kbd *kbd, const struct key *key)
{
    if (key->kind == KEY_PAUSE)
        return false;
    if (kbd->scancode_set != 3)
        return true;
    return kbd->set3_kind[key->set3] == KEY_TYPEMATIC || kbd->set3_kind[key->set3] == SET3_ALL;
}

bool ps2_kbd_key(struct ps2_kbd *kbd, unsigned n, bool down)
{
    const struct key *key = key_get(n);
    u8 seq[8];

    if (!key || ps2_kbd_held(kbd, n) == down)
        return true;
    if (kbd->scanning && !ps2_queue_put(&kbd->keys, seq, key_sequence(kbd, key, down, seq)))
        return false;
    kbd->held[n / 8] ^= (u8)BIT(n % 8);
    if (!down) {
        kbd->repeats &= kbd->repeat_key != n;
    } else {
        kbd->repeats = kbd->scanning && may_repeat(kbd, key);
        kbd->repeat_key = (u8)n;
    }
    return true;
}

u64 ps2_kbd_delay_ns(const struct ps2_kbd *kbd)
{
    return ((kbd->typematic >> 5 & 3) + 1) * 250000000ull;
}

u64 ps2_kbd_period_ns(const struct ps2_kbd *kbd)
{
    return ((8ull + (kbd->typematic & 7)) << (kbd->typematic >> 3 & 3)) * 4170000ull;
}

void ps2_kbd_repeat(struct ps2_kbd *kbd)
{
    const struct key *key = key_get(kbd->repeat_key);
    u8 seq[8];

    /* A guest that does not read gets no more of the same. */
    if (key && kbd->repeats && kbd->scanning && ps2_queue_empty(&kbd->keys))
        (void)ps2_queue_put(&kbd->keys, seq, key_sequence(kbd, key, true, seq));
}

/* ---- commands ---- */

static void kbd_defaults(struct ps2_kbd *kbd)
{
    const struct key *key;

    kbd->scancode_set = 2;
    kbd->typematic = 0x2b;
    kbd->command = 0;
    kbd->repeats = false;
    ps2_queue_clear(&kbd->keys);
    memset(kbd->set3_kind, KEY_TYPEMATIC, sizeof(kbd->set3_kind));
    for (unsigned i = 0; (key = key_get(i)); i++)
        if (key->set3)
            kbd->set3_kind[key->set3] = key->kind <= KEY_MODIFIER ? key->kind : KEY_ONCE;
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

    if (command >= KBD_KEY_FIRST &&
        command <= KBD_KEY_LAST) { /* a list of codes, which the next command ends */
        kbd->set3_kind[val] = (u8)(command == KBD_KEY_FIRST       ? KEY_TYPEMATIC
                                   : command == KBD_KEY_FIRST + 1 ? KEY_MODIFIER
                                                                  : KEY_ONCE);
        ps2_reply1(&kbd->reply, PS2_ACK);
        return;
    }
    kbd->command = 0;
    if (command == KBD_SET && val == 0) {
        ps2_reply(&kbd->reply, (u8[]){PS2_ACK, kbd->scancode_set}, 2);
        return;
    }
    if (command == KBD_SET && val > 3) {
        ps2_reply1(&kbd->reply, PS2_RESEND);
        return;
    }
    if (command == KBD_SET) {
        kbd->scancode_set = val;
        kbd->repeats = false;
        ps2_queue_clear(&kbd->keys);
    } else if (command == KBD_LEDS) {
        kbd->leds = val & 7;
    } else if (command == KBD_RATE) {
        kbd->typematic = val & 0x7f;
    }
    ps2_reply1(&kbd->reply, PS2_ACK);
}

/* Resets all but what is held: the fingers stay where they are. */
static void kbd_self_test(struct ps2_kbd *kbd)
{
    kbd_defaults(kbd);
    kbd->leds = 0;
    kbd->scanning = true;
    kbd->bat = true;
    ps2_reply(&kbd->reply, (u8[]){PS2_ACK, PS2_BAT_OK}, 2);
}

void ps2_kbd_write(struct ps2_kbd *kbd, u8 val)
{
    struct ps2_queue *reply = &kbd->reply;

    kbd->bat = false;
    if (kbd->command && val < KBD_LEDS) {
        kbd_parameter(kbd, val);
        kbd->last = reply->data[reply->head % PS2_QUEUE];
        return;
    }
    kbd->command = 0;
    switch (val) {
    case KBD_LEDS:
    case KBD_SET:
    case KBD_RATE:
    case KBD_KEY_FIRST ... KBD_KEY_LAST:
        kbd->command = val;
        ps2_reply1(reply, PS2_ACK);
        break;
    case KBD_ECHO: ps2_reply1(reply, KBD_ECHO); break;
    case KBD_ID: ps2_reply(reply, (u8[]){PS2_ACK, 0xab, 0x83}, 3); break;
    case KBD_ENABLE:
        ps2_queue_clear(&kbd->keys);
        kbd->scanning = true;
        ps2_reply1(reply, PS2_ACK);
        break;
    case KBD_DISABLE:
    case KBD_DEFAULT:
        kbd_defaults(kbd);
        kbd->scanning = val == KBD_DEFAULT;
        ps2_reply1(reply, PS2_ACK);
        break;
    case KBD_ALL_FIRST:
        memset(kbd->set3_kind, KEY_TYPEMATIC, 256);
        ps2_reply1(reply, PS2_ACK);
        break;
    case KBD_ALL_FIRST + 1:
        memset(kbd->set3_kind, KEY_MODIFIER, 256);
        ps2_reply1(reply, PS2_ACK);
        break;
    case KBD_ALL_FIRST + 2:
        memset(kbd->set3_kind, KEY_ONCE, 256);
        ps2_reply1(reply, PS2_ACK);
        break;
    case KBD_ALL_LAST:
        memset(kbd->set3_kind, SET3_ALL, 256);
        ps2_reply1(reply, PS2_ACK);
        break;
    case KBD_RESEND: ps2_reply1(reply, kbd->last); return;
    case KBD_RESET: kbd_self_test(kbd); break;
    default: ps2_reply1(reply, PS2_RESEND); return;
    }
    kbd->last = reply->data[reply->head % PS2_QUEUE];
}
