/*
 * vnc_encode.c - the picture as a VNC client wants it: its pixel format, raw or ZRLE (RFC 6143, 7.7).
 *
 * What changed is kept as tiles of 64 x 64 pixels, which are ZRLE's own. A row's neighbouring tiles make one rectangle. A tile of up to 16
 * colours goes as palette and indices, which is what text and old graphics are made of; zlib does the rest.
 */
#include <stdlib.h>
#include <string.h>

#include "display/vnc.h"

#define PALETTE 16u
#define ZLIB_LEVEL 2

/* ---- bytes ---- */

void vnc_put(struct vnc_out *out, const void *bytes, size_t n)
{
    if (out->failed)
        return;
    if (out->at == out->n)
        out->at = out->n = 0;
    if (n > out->room - out->n) {
        size_t room = (out->n + n) * 3 / 2 + 1024;
        u8 *data = realloc(out->data, room);

        if (!data) {
            out->failed = true;
            return;
        }
        out->data = data;
        out->room = room;
    }
    memcpy(out->data + out->n, bytes, n);
    out->n += n;
}

void vnc_put8(struct vnc_out *out, u8 v)
{
    vnc_put(out, &v, 1);
}

void vnc_put16(struct vnc_out *out, u16 v)
{
    vnc_put(out, (u8[]){(u8)(v >> 8), (u8)v}, 2);
}

void vnc_put32(struct vnc_out *out, u32 v)
{
    vnc_put(out, (u8[]){(u8)(v >> 24), (u8)(v >> 16), (u8)(v >> 8), (u8)v}, 4);
}

void vnc_out_free(struct vnc_out *out)
{
    free(out->data);
    *out = (struct vnc_out){0};
}

/* ---- pixels ---- */

const struct vnc_format vnc_default_format = {
    .bits = 32, .depth = 24, .max = {255, 255, 255}, .shift = {16, 8, 0}, .plain = true, .compact_from = 0};

bool vnc_format_check(struct vnc_format *f)
{
    u32 all = 0;

    if (f->bits != 8 && f->bits != 16 && f->bits != 32)
        return false;
    for (unsigned i = 0; i < 3; i++) {
        if (!f->max[i] || f->shift[i] >= f->bits || ((u64)f->max[i] << f->shift[i]) >> f->bits)
            return false;
        all |= (u32)f->max[i] << f->shift[i];
    }
    f->plain = f->bits == 32 && !f->big_endian;
    for (unsigned i = 0; i < 3; i++)
        f->plain &= f->max[i] == 255 && f->shift[i] == vnc_default_format.shift[i];
    f->compact_from = 4;
    if (f->bits == 32 && f->depth <= 24) {
        if (!(all >> 24))
            f->compact_from = f->big_endian ? 1 : 0;
        else if (!(all & 0xff))
            f->compact_from = f->big_endian ? 0 : 1;
    }
    return true;
}

/* A pixel in the client's format; returns how many bytes. */
static unsigned pixel_bytes(const struct vnc_format *f, u32 p, bool compact, u8 to[4])
{
    u32 v = p & 0xffffff;
    unsigned n = f->bits / 8u;
    u8 all[4];

    if (!f->plain)
        v = (p >> 16 & 255) * f->max[0] / 255 << f->shift[0] |
            (p >> 8 & 255) * f->max[1] / 255 << f->shift[1] | (p & 255) * f->max[2] / 255 << f->shift[2];
    for (unsigned i = 0; i < n; i++)
        all[i] = (u8)(v >> 8 * (f->big_endian ? n - 1 - i : i));
    if (!compact || f->compact_from > 1) {
        memcpy(to, all, n);
        return n;
    }
    memcpy(to, all + f->compact_from, 3);
    return 3;
}

static u32 frame_pixel(const struct novt_frame *f, u32 x, u32 y)
{
    return x < f->width && y < f->height && f->pixel ? f->pixel[(size_t)y * f->width + x] : 0;
}

static void put_raw(struct vnc_client *c, struct novt_rect r)
{
    u8 row[VNC_TILE * 4];
    unsigned n = 0;

    for (u32 y = r.y; y < r.y + r.height; y++)
        for (u32 x = r.x; x < r.x + r.width; x++) {
            n += pixel_bytes(&c->format, frame_pixel(c->frame, x, y), false, row + n);
            if (n + 4 > sizeof(row) || x + 1 == r.x + r.width) {
                vnc_put(&c->out, row, n);
                n = 0;
            }
        }
}

/* ---- ZRLE ---- */

/* The colours of a tile, as long as they are few. */
struct palette {
    u32 colour[PALETTE];
    unsigned n;
};

static unsigned palette_index(struct palette *p, u32 colour)
{
    unsigned i;

    for (i = 0; i < p->n && p->colour[i] != colour; i++)
        ;
    if (i == p->n && i < PALETTE)
        p->colour[p->n++] = colour;
    return i;
}

/* to must hold 1 + 64 * 64 * 4 bytes. Returns how many it wrote. */
static unsigned zrle_tile(const struct vnc_client *c, struct novt_rect r, u8 *to)
{
    struct palette p = {.n = 0};
    u8 index[VNC_TILE * VNC_TILE];
    u32 pixel[VNC_TILE * VNC_TILE], count = 0;
    unsigned n = 1, bits;
    bool few = true;

    for (u32 y = 0; y < r.height; y++)
        for (u32 x = 0; x < r.width; x++, count++) {
            pixel[count] = frame_pixel(c->frame, r.x + x, r.y + y);
            if (few) {
                unsigned i = palette_index(&p, pixel[count]);

                few = i < PALETTE;
                index[count] = (u8)i;
            }
        }
    to[0] = few ? (u8)p.n : 0;
    if (!few) {
        for (u32 i = 0; i < count; i++)
            n += pixel_bytes(&c->format, pixel[i], true, to + n);
        return n;
    }
    for (unsigned i = 0; i < p.n; i++)
        n += pixel_bytes(&c->format, p.colour[i], true, to + n);
    if (p.n == 1)
        return n;
    bits = p.n <= 2 ? 1 : p.n <= 4 ? 2 : 4;
    for (u32 y = 0; y < r.height; y++) {
        unsigned have = 0;

        for (u32 x = 0; x < r.width; x++, have += bits) {
            if (have % 8 == 0)
                to[n++] = 0;
            to[n - 1] |= (u8)(index[y * r.width + x] << (8 - bits - have % 8));
        }
    }
    return n;
}

static void deflate_all(struct vnc_client *c, u8 *from, unsigned n, int flush)
{
    u8 buf[8192];

    c->zlib.next_in = from;
    c->zlib.avail_in = n;
    do {
        c->zlib.next_out = buf;
        c->zlib.avail_out = sizeof(buf);
        (void)deflate(&c->zlib, flush);
        vnc_put(&c->out, buf, sizeof(buf) - c->zlib.avail_out);
    } while (c->zlib.avail_out == 0);
}

static void put_zrle(struct vnc_client *c, struct novt_rect r)
{
    u8 *tile = malloc(1 + VNC_TILE * VNC_TILE * 4);
    size_t length_at;

    if (!c->zlib_up)
        c->zlib_up = deflateInit(&c->zlib, ZLIB_LEVEL) == Z_OK;
    if (!tile || !c->zlib_up) {
        c->out.failed = true;
        free(tile);
        return;
    }
    vnc_put32(&c->out, 0);
    length_at = c->out.n - 4;
    for (u32 x = r.x; x < r.x + r.width; x += VNC_TILE) {
        u32 width = r.x + r.width - x < VNC_TILE ? r.x + r.width - x : VNC_TILE;

        deflate_all(c, tile, zrle_tile(c, (struct novt_rect){x, r.y, width, r.height}, tile), Z_NO_FLUSH);
    }
    deflate_all(c, tile, 0, Z_SYNC_FLUSH);
    free(tile);
    if (c->out.failed)
        return;
    u32 length = (u32)(c->out.n - length_at - 4);
    for (unsigned i = 0; i < 4; i++)
        c->out.data[length_at + i] = (u8)(length >> (24 - 8 * i));
}

/* ---- what changed ---- */

bool vnc_resize(struct vnc_client *c)
{
    u8 *dirty;

    c->width = (u16)min_u64(vnc_width(c->frame), UINT16_MAX);
    c->height = (u16)min_u64(vnc_height(c->frame), UINT16_MAX);
    c->tiles_x = (c->width + VNC_TILE - 1) / VNC_TILE;
    c->tiles_y = (c->height + VNC_TILE - 1) / VNC_TILE;
    dirty = realloc(c->dirty, (size_t)c->tiles_x * c->tiles_y);
    if (!dirty)
        return false;
    c->dirty = dirty;
    vnc_mark(c, 0, 0, c->width, c->height);
    return true;
}

void vnc_mark(struct vnc_client *c, u32 x, u32 y, u32 width, u32 height)
{
    if (!c->dirty || x >= c->width || y >= c->height || !width || !height)
        return;
    width = (u32)min_u64(width, c->width - x);
    height = (u32)min_u64(height, c->height - y);
    for (u32 ty = y / VNC_TILE; ty <= (y + height - 1) / VNC_TILE; ty++)
        for (u32 tx = x / VNC_TILE; tx <= (x + width - 1) / VNC_TILE; tx++)
            c->dirty[(size_t)ty * c->tiles_x + tx] = 1;
    c->any_dirty = true;
}

/* Length of the run of dirty tiles at tx, 0 if that one is clean. */
static u32 run_length(const struct vnc_client *c, u32 tx, u32 ty)
{
    u32 n = 0;

    while (tx + n < c->tiles_x && c->dirty[(size_t)ty * c->tiles_x + tx + n])
        n++;
    return n;
}

static void put_rect(struct vnc_client *c, struct novt_rect r, enum vnc_encoding encoding)
{
    vnc_put16(&c->out, (u16)r.x);
    vnc_put16(&c->out, (u16)r.y);
    vnc_put16(&c->out, (u16)r.width);
    vnc_put16(&c->out, (u16)r.height);
    vnc_put32(&c->out, (u32)encoding);
}

void vnc_update(struct vnc_client *c)
{
    bool resize = c->width != vnc_width(c->frame) || c->height != vnc_height(c->frame);
    u32 rects = 0;

    resize &= c->desktop_size;
    if (resize && !vnc_resize(c)) {
        c->gone = true;
        return;
    }
    for (u32 ty = 0; ty < c->tiles_y; ty++)
        for (u32 tx = 0, n; tx < c->tiles_x; tx += n + 1) {
            n = run_length(c, tx, ty);
            rects += n != 0;
        }
    vnc_put16(&c->out, 0); /* FramebufferUpdate and padding */
    vnc_put16(&c->out, (u16)(rects + resize));
    if (resize)
        put_rect(c, (struct novt_rect){0, 0, c->width, c->height}, VNC_DESKTOP_SIZE);
    for (u32 ty = 0; ty < c->tiles_y; ty++)
        for (u32 tx = 0, n; tx < c->tiles_x; tx += n + 1) {
            struct novt_rect r = {.x = tx * VNC_TILE, .y = ty * VNC_TILE};

            n = run_length(c, tx, ty);
            if (!n)
                continue;
            r.width = (u32)min_u64(n * VNC_TILE, c->width - r.x);
            r.height = (u32)min_u64(VNC_TILE, c->height - r.y);
            put_rect(c, r, c->encoding);
            if (c->encoding == VNC_ZRLE)
                put_zrle(c, r);
            else
                put_raw(c, r);
        }
    memset(c->dirty, 0, (size_t)c->tiles_x * c->tiles_y);
    c->any_dirty = c->asked = false;
    c->gone |= c->out.failed;
}
