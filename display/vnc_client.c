/*
 * vnc_client.c - what a VNC client says (RFC 6143, RFB 3.3 to 3.8; QEMU's extended keys and relative pointer).
 *
 * A state machine fed with whatever bytes arrived, a byte or a thousand. Nothing of a client is kept that it could make large: lists
 * are taken entry by entry and texts are skipped. A client that says what the protocol does not know is cut off.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "display/vnc.h"

enum {
    MSG_SET_FORMAT = 0,
    MSG_SET_ENCODINGS = 2,
    MSG_UPDATE_REQUEST = 3,
    MSG_KEY = 4,
    MSG_POINTER = 5,
    MSG_CUT_TEXT = 6,
    MSG_QEMU = 255,
};
enum { SECURITY_NONE = 1, SECURITY_PASSWORD = 2 };
enum { MASK_LEFT = 1, MASK_MIDDLE = 2, MASK_RIGHT = 4, MASK_UP = 8, MASK_DOWN = 16, MASK_BACK = 128 };
#define RELATIVE_CENTRE 0x7fff

static u16 get16(const u8 *at)
{
    return (u16)(at[0] << 8 | at[1]);
}

static u32 get32(const u8 *at)
{
    return (u32)get16(at) << 16 | get16(at + 2);
}

/* ---- handshake ---- */

void vnc_client_init(struct vnc_client *c, int fd, struct novt_vm *vm, const struct novt_frame *frame,
                     const char *name, struct vnc_auth *auth)
{
    memset(c, 0, sizeof(*c));
    c->fd = fd;
    c->vm = vm;
    c->frame = frame;
    c->name = name ? name : "NoVT";
    c->auth = auth;
    c->format = vnc_default_format;
    c->encoding = VNC_RAW;
    vnc_put(&c->out, "RFB 003.008\n", 12);
}

void vnc_client_fini(struct vnc_client *c)
{
    if (c->keys)
        novt_vm_keys_up(c->vm);
    if (c->mask)
        novt_vm_mouse(c->vm, 0, 0, 0, 0);
    if (c->zlib_up)
        deflateEnd(&c->zlib);
    vnc_out_free(&c->out);
    free(c->dirty);
    if (c->fd >= 0)
        close(c->fd);
}

static void refuse(struct vnc_client *c, const char *reason)
{
    vnc_put32(&c->out, 1);
    if (c->minor == 8) {
        vnc_put32(&c->out, (u32)strlen(reason));
        vnc_put(&c->out, reason, strlen(reason));
    }
    c->gone = true;
}

static void challenge(struct vnc_client *c)
{
    if (!vnc_auth_challenge(c->challenge)) {
        c->gone = true;
        return;
    }
    vnc_put(&c->out, c->challenge, sizeof(c->challenge));
    c->state = VNC_ANSWER;
}

static unsigned take_answer(struct vnc_client *c)
{
    if (c->in_n < VNC_CHALLENGE_BYTES)
        return 0;
    if (!vnc_auth_check(c->auth, c->challenge, c->in)) {
        refuse(c, "wrong password");
        return 0;
    }
    vnc_put32(&c->out, 0);
    c->state = VNC_INIT;
    return VNC_CHALLENGE_BYTES;
}

static unsigned take_version(struct vnc_client *c)
{
    u8 kind = c->auth ? SECURITY_PASSWORD : SECURITY_NONE;
    unsigned minor =
        (unsigned)(c->in[8] - '0') * 100 + (unsigned)(c->in[9] - '0') * 10 + (unsigned)(c->in[10] - '0');

    if (c->in_n < 12)
        return 0;
    if (memcmp(c->in, "RFB 003.", 8) || c->in[11] != '\n') {
        c->gone = true;
        return 0;
    }
    c->minor = minor >= 8 ? 8 : minor == 7 ? 7 : 3; /* others are to be taken for 3.3 */
    if (c->minor != 3) {
        vnc_put(&c->out, (u8[]){1, kind}, 2);
        c->state = VNC_SECURITY;
        return 12;
    }
    vnc_put32(&c->out, kind);
    if (c->auth)
        challenge(c);
    else
        c->state = VNC_INIT;
    return 12;
}

static unsigned take_security(struct vnc_client *c)
{
    if (c->in_n < 1)
        return 0;
    if (c->in[0] != (c->auth ? SECURITY_PASSWORD : SECURITY_NONE)) {
        refuse(c, "not offered");
        return 0;
    }
    if (c->auth) {
        challenge(c);
        return 1;
    }
    if (c->minor == 8)
        vnc_put32(&c->out, 0);
    c->state = VNC_INIT;
    return 1;
}

static unsigned take_init(struct vnc_client *c)
{
    const struct vnc_format *f = &vnc_default_format;

    if (c->in_n < 1)
        return 0;
    if (!vnc_resize(c)) {
        c->gone = true;
        return 0;
    }
    vnc_put16(&c->out, c->width);
    vnc_put16(&c->out, c->height);
    vnc_put(&c->out, (u8[]){f->bits, f->depth, 0, 1}, 4);
    for (unsigned i = 0; i < 3; i++)
        vnc_put16(&c->out, f->max[i]);
    vnc_put(&c->out, f->shift, 3);
    vnc_put(&c->out, "\0\0\0", 3);
    vnc_put32(&c->out, (u32)strlen(c->name));
    vnc_put(&c->out, c->name, strlen(c->name));
    c->state = VNC_NORMAL;
    return 1;
}

/* ---- messages ---- */

static unsigned take_format(struct vnc_client *c)
{
    const u8 *at = c->in + 4;
    struct vnc_format f = {.bits = at[0], .depth = at[1], .big_endian = at[2] != 0};

    if (c->in_n < 20)
        return 0;
    for (unsigned i = 0; i < 3; i++) {
        f.max[i] = get16(at + 4 + 2 * i);
        f.shift[i] = at[10 + i];
    }
    if (!at[3] || !vnc_format_check(&f))
        c->gone = true; /* colour maps are of another century */
    else
        c->format = f;
    return 20;
}

/* An update that has no pixels but tells the client that something is so. */
static void announce(struct vnc_client *c, u16 x, enum vnc_encoding what)
{
    vnc_put16(&c->out, 0);
    vnc_put16(&c->out, 1);
    vnc_put16(&c->out, x);
    vnc_put16(&c->out, 0);
    vnc_put16(&c->out, c->width);
    vnc_put16(&c->out, c->height);
    vnc_put32(&c->out, (u32)what);
}

static unsigned take_encoding(struct vnc_client *c)
{
    if (c->in_n < 4)
        return 0;
    c->encodings_left--;
    switch ((i32)get32(c->in)) {
    case VNC_RAW:
    case VNC_ZRLE:
        if (c->first_encoding) /* the client's favourite comes first */
            c->encoding = (enum vnc_encoding)get32(c->in);
        c->first_encoding = false;
        break;
    case VNC_DESKTOP_SIZE: c->desktop_size = true; break;
    case VNC_EXT_KEY:
        if (!c->ext_key)
            announce(c, 0, VNC_EXT_KEY);
        c->ext_key = true;
        break;
    case VNC_POINTER_TYPE:
        if (!c->relative)
            announce(c, 0, VNC_POINTER_TYPE);
        c->relative = true;
        break;
    default: break;
    }
    return 4;
}

static unsigned take_encodings(struct vnc_client *c)
{
    if (c->in_n < 4)
        return 0;
    c->encodings_left = get16(c->in + 2);
    c->first_encoding = true;
    c->encoding = VNC_RAW;
    c->desktop_size = false;
    return 4;
}

static unsigned take_request(struct vnc_client *c)
{
    if (c->in_n < 10)
        return 0;
    c->asked = true;
    if (!c->in[1])
        vnc_mark(c, get16(c->in + 2), get16(c->in + 4), get16(c->in + 6), get16(c->in + 8));
    return 10;
}

/* shift: what the character needs, -1 if it is all one. */
static void press(struct vnc_client *c, const char *key, bool down, int shift)
{
    static const char *const shifts[2] = {"shift", "shift_r"};
    bool have = c->shift[0] || c->shift[1], fake = down && shift >= 0 && (shift == 1) != have;

    for (unsigned i = 0; i < 2; i++)
        if (!strcmp(key, shifts[i]))
            c->shift[i] = down;
    for (unsigned i = 0; fake && i < 2; i++)
        if (have ? c->shift[i] : i == 0)
            (void)novt_vm_key(c->vm, shifts[i], !have);
    (void)novt_vm_key(c->vm, key, down);
    for (unsigned i = 0; fake && i < 2; i++)
        if (have ? c->shift[i] : i == 0)
            (void)novt_vm_key(c->vm, shifts[i], have);
    c->keys = true;
}

static void keysym(struct vnc_client *c, u32 sym, bool down)
{
    int shift;
    const char *key = keysym_key(sym, &shift);

    /* Caps Lock may be on there and off here: the letter counts. */
    if (key && shift >= 0 && (sym | 0x20) >= 'a' && (sym | 0x20) <= 'z' &&
        (novt_vm_leds(c->vm) & NOVT_LED_CAPS))
        shift = !shift;
    if (key)
        press(c, key, down, shift);
}

static unsigned take_key(struct vnc_client *c)
{
    if (c->in_n < 8)
        return 0;
    keysym(c, get32(c->in + 4), c->in[1] != 0);
    return 8;
}

/* The key itself, as its code of set 1. */
static unsigned take_qemu(struct vnc_client *c)
{
    char name[16];
    u32 code;

    if (c->in_n < 2)
        return 0;
    if (c->in[1] != 0) {
        c->gone = true; /* audio was not offered */
        return 0;
    }
    if (c->in_n < 12)
        return 0;
    code = get32(c->in + 8);
    snprintf(name, sizeof(name), "0x%02x", code & 0xffff);
    if (code && code <= 0xffff && novt_vm_key(c->vm, name, get16(c->in + 2) != 0) == 0)
        c->keys = true;
    else
        keysym(c, get32(c->in + 4), get16(c->in + 2) != 0);
    return 12;
}

static unsigned take_pointer(struct vnc_client *c)
{
    u8 mask = c->in[1], pressed = mask & ~c->mask;
    int dx = 0, dy = 0, dz = ((pressed & MASK_DOWN) != 0) - ((pressed & MASK_UP) != 0);

    if (c->in_n < 6)
        return 0;
    u16 x = get16(c->in + 2), y = get16(c->in + 4);
    if (c->relative) {
        dx = x - RELATIVE_CENTRE;
        dy = y - RELATIVE_CENTRE;
    } else if (c->pointed) {
        dx = x - c->x;
        dy = y - c->y;
    }
    c->pointed = true;
    c->x = x;
    c->y = y;
    c->mask = mask;
    novt_vm_mouse(c->vm, dx, dy, dz,
                  ((mask & MASK_LEFT) ? 1u : 0) | ((mask & MASK_RIGHT) ? 2u : 0) |
                      ((mask & MASK_MIDDLE) ? 4u : 0) | ((mask & MASK_BACK) ? 8u : 0));
    return 6;
}

static unsigned take_cut_text(struct vnc_client *c)
{
    if (c->in_n < 8)
        return 0;
    c->skip = get32(c->in + 4);
    return 8;
}

static unsigned take_message(struct vnc_client *c)
{
    if (c->encodings_left)
        return take_encoding(c);
    if (!c->in_n)
        return 0;
    switch (c->in[0]) {
    case MSG_SET_FORMAT: return take_format(c);
    case MSG_SET_ENCODINGS: return take_encodings(c);
    case MSG_UPDATE_REQUEST: return take_request(c);
    case MSG_KEY: return take_key(c);
    case MSG_POINTER: return take_pointer(c);
    case MSG_CUT_TEXT: return take_cut_text(c);
    case MSG_QEMU: return take_qemu(c);
    default: c->gone = true; return 0;
    }
}

static unsigned take_piece(struct vnc_client *c)
{
    switch (c->state) {
    case VNC_VERSION: return take_version(c);
    case VNC_SECURITY: return take_security(c);
    case VNC_ANSWER: return take_answer(c);
    case VNC_INIT: return take_init(c);
    case VNC_NORMAL: return take_message(c);
    }
    return 0;
}

/* Whatever the buffer holds as a whole. */
static void digest(struct vnc_client *c)
{
    while (!c->gone && c->in_n) {
        unsigned used = c->skip ? (unsigned)min_u64(c->skip, c->in_n) : 0;

        if (c->skip)
            c->skip -= used;
        else
            used = take_piece(c);
        if (!used)
            return;
        c->in_n -= used;
        memmove(c->in, c->in + used, c->in_n);
    }
}

void vnc_client_take(struct vnc_client *c, const u8 *buf, size_t n)
{
    while (n && !c->gone) {
        size_t room = VNC_IN_BYTES - c->in_n, some = n < room ? n : room;

        memcpy(c->in + c->in_n, buf, some);
        c->in_n += (u32)some;
        buf += some;
        n -= some;
        digest(c);
    }
}
