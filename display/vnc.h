/*
 * vnc.h - the VNC server's parts: the port and its thread (vnc.c), what clients say (vnc_client.c), pictures for them (vnc_encode.c).
 *
 * A server of our own: the one free library in Debian with a fitting licence (neatvnc) keeps its event loop in process-wide state,
 * which a library of several VMs cannot share, and brings video encoders into a process that needs a few hundred lines of RFB 3.8. Its parser
 * faces the network, so it is written for bytes at a time and nothing it reads is used as a size without a bound.
 */
#ifndef NOVT_DISPLAY_VNC_H
#define NOVT_DISPLAY_VNC_H

#include <zlib.h>

#include "display/parts.h"

#define VNC_TILE 64u
#define VNC_IN_BYTES 64u     /* the longest piece of a message that must be there as a whole */
#define VNC_BLANK_WIDTH 640u /* before the first picture */
#define VNC_BLANK_HEIGHT 400u

enum vnc_encoding {
    VNC_RAW = 0,
    VNC_ZRLE = 16,
    VNC_DESKTOP_SIZE = -223,
    VNC_POINTER_TYPE = -257,
    VNC_EXT_KEY = -258,
};

/* How a client wants its pixels. */
struct vnc_format {
    u8 bits, depth;
    bool big_endian;
    u16 max[3]; /* red, green, blue */
    u8 shift[3];
    bool plain;      /* as in a frame */
    u8 compact_from; /* ZRLE leaves a byte out: the three from this one on, in memory's order; 4: it does not */
};

/* Bytes on their way to a client. */
struct vnc_out {
    u8 *data;
    size_t n, at, room;
    bool failed; /* no memory: the client must go */
};

enum vnc_state { VNC_VERSION, VNC_SECURITY, VNC_ANSWER, VNC_INIT, VNC_NORMAL };

#define VNC_PASSWORD_BYTES 8u
#define VNC_CHALLENGE_BYTES 16u

struct vnc_auth;

struct vnc_client {
    int fd;
    enum vnc_state state;
    unsigned minor; /* protocol 3.x */
    struct novt_vm *vm;
    const struct novt_frame *frame; /* the server's */
    const char *name;
    struct vnc_auth *auth; /* NULL: no password is asked for */
    u8 challenge[VNC_CHALLENGE_BYTES];
    u64 serial; /* of its arrival */
    bool gone;

    u8 in[VNC_IN_BYTES];
    u32 in_n;
    u64 skip;           /* bytes of a text that nobody wants */
    u32 encodings_left; /* of a list that is being read */
    bool first_encoding;

    struct vnc_format format;
    enum vnc_encoding encoding;
    bool desktop_size, relative, ext_key; /* what it understands */
    bool asked;                           /* for an update */
    u16 width, height;                    /* as the client knows them */
    u8 *dirty;                            /* a byte a tile */
    u32 tiles_x, tiles_y;
    bool any_dirty;

    bool pointed; /* x and y are known */
    u16 x, y;
    u8 mask;
    bool shift[2], keys;

    struct vnc_out out;
    z_stream zlib;
    bool zlib_up;
};

/* vnc_auth.c; set, expire and check from any thread */
int vnc_auth_new(struct vnc_auth **out, struct novt_error *err) MUST_CHECK;
void vnc_auth_free(struct vnc_auth *a);                     /* NULL is fine */
void vnc_auth_set(struct vnc_auth *a, const char *password); /* cut to VNC_PASSWORD_BYTES; "": nobody gets in */
void vnc_auth_expire(struct vnc_auth *a, i64 until);        /* time() from which on nobody gets in; 0: never */
bool vnc_auth_challenge(u8 challenge[VNC_CHALLENGE_BYTES]);
bool vnc_auth_check(struct vnc_auth *a, const u8 challenge[VNC_CHALLENGE_BYTES], const u8 answer[VNC_CHALLENGE_BYTES]);

struct vnc_auth *vnc_auth_of(void *self); /* vnc.c: of an open server */

/* vnc_client.c; auth: NULL without a password */
void vnc_client_init(struct vnc_client *c, int fd, struct novt_vm *vm, const struct novt_frame *frame,
                     const char *name, struct vnc_auth *auth);
void vnc_client_fini(struct vnc_client *c); /* closes fd, lets go of its keys */
/* Bytes from the client. On anything that is not the protocol c->gone is set. */
void vnc_client_take(struct vnc_client *c, const u8 *buf, size_t n);

/* vnc_encode.c */
void vnc_put(struct vnc_out *out, const void *bytes, size_t n);
void vnc_put8(struct vnc_out *out, u8 v);
void vnc_put16(struct vnc_out *out, u16 v);
void vnc_put32(struct vnc_out *out, u32 v);
void vnc_out_free(struct vnc_out *out);
extern const struct vnc_format vnc_default_format;
bool vnc_format_check(struct vnc_format *f); /* fills in what follows from the rest; false: impossible */
void vnc_mark(struct vnc_client *c, u32 x, u32 y, u32 width, u32 height);
bool vnc_resize(struct vnc_client *c); /* to the frame's size; all is dirty. false: no memory */
void vnc_update(struct vnc_client *c); /* one update with all that is dirty */

static inline u32 vnc_width(const struct novt_frame *f)
{
    return f->pixel && f->width ? f->width : VNC_BLANK_WIDTH;
}

static inline u32 vnc_height(const struct novt_frame *f)
{
    return f->pixel && f->height ? f->height : VNC_BLANK_HEIGHT;
}

#endif
