/*
 * vga_pixels.c - one line of pixels out of VRAM, for each way that VRAM can hold them.
 *
 * Planar, CGA and packed lines are first made into colour numbers, one byte a dot, then sent through the palette. Linear
 * ones go straight to pixels. A line never reads beyond VRAM: addresses wrap, as on the card.
 */
#include "devices/vga_pixels.h"

#include <string.h>

#define MAX_COLUMNS 321u /* 2560 dots in planar VBE modes, and one more for panning */

u32 vga_line_bytes(const struct vga_scan *s)
{
    static const u8 bytes[] = {
        [VGA_LINEAR8] = 1, [VGA_LINEAR15] = 2, [VGA_LINEAR16] = 2, [VGA_LINEAR24] = 3, [VGA_LINEAR32] = 4};

    return s->kind >= VGA_LINEAR8 ? s->width * bytes[s->kind] : (s->columns + 1) * 4;
}

/* ---- dots as colour numbers ---- */

/* Bit 7 - i of b in byte i. */
static u64 spread(u8 b)
{
    u64 bits = b * 0x0101010101010101ull & 0x0102040810204080ull;

    return (bits + 0x7f7f7f7f7f7f7f7full) >> 7 & 0x0101010101010101ull;
}

static void planar_dots(const u8 plane[4], u8 dot[8])
{
    u64 v = spread(plane[0]) | spread(plane[1]) << 1 | spread(plane[2]) << 2 | spread(plane[3]) << 3;

    memcpy(dot, &v, 8);
}

/* Bits in pairs: planes 0 and 2 make the first four dots, 1 and 3 the others. */
static void cga_dots(const u8 plane[4], u8 dot[8])
{
    for (unsigned i = 0; i < 8; i++) {
        unsigned p = i / 4, shift = 6 - i % 4 * 2;

        dot[i] = (u8)((plane[p] >> shift & 3) | (plane[p + 2] >> shift & 3) << 2);
    }
}

/* columns + 1 plane addresses' dots; returns dots per address. */
static u32 make_dots(const struct vga *vga, const struct vga_scan *s, u32 at, u8 *dot)
{
    u32 columns = s->columns < MAX_COLUMNS ? s->columns : MAX_COLUMNS - 1, n = s->kind == VGA_PACKED ? 4 : 8;

    for (u32 i = 0; i <= columns; i++, dot += n) {
        const u8 *from = vga->vram + (size_t)((at + i) & s->mask) * 4;

        if (s->kind == VGA_PLANAR)
            planar_dots(from, dot);
        else if (s->kind == VGA_CGA)
            cga_dots(from, dot);
        else
            memcpy(dot, from, 4);
    }
    return n;
}

static void draw_dots(const struct vga *vga, const struct vga_scan *s, const u32 palette[256], u32 at,
                      u32 pan, u32 *to)
{
    u8 dot[MAX_COLUMNS * 8] = {0};
    u32 n = make_dots(vga, s, at, dot), wide = s->wide + (n == 4), dots = (s->width >> wide) + 1;

    if (dots > sizeof(dot) - 8)
        dots = sizeof(dot) - 8;
    memset(to, 0, s->width * sizeof(*to));
    for (u32 i = 0; i < dots; i++)
        for (u32 k = 0, x = i << wide; k < 1u << wide && x + k < s->width; k++)
            to[x + k] = palette[dot[i + pan]];
}

/* ---- linear ---- */

static u32 rgb555(u32 v)
{
    u32 r = v >> 10 & 31, g = v >> 5 & 31, b = v & 31;

    return (r << 3 | r >> 2) << 16 | (g << 3 | g >> 2) << 8 | (b << 3 | b >> 2);
}

static u32 rgb565(u32 v)
{
    u32 r = v >> 11 & 31, g = v >> 5 & 63, b = v & 31;

    return (r << 3 | r >> 2) << 16 | (g << 2 | g >> 4) << 8 | (b << 3 | b >> 2);
}

static void convert(const struct vga_scan *s, const u32 palette[256], const u8 *from, u32 n, u32 *to)
{
    switch (s->kind) {
    case VGA_LINEAR8:
        for (u32 i = 0; i < n; i++)
            to[i] = palette[from[i]];
        break;
    case VGA_LINEAR15:
        for (u32 i = 0; i < n; i++)
            to[i] = rgb555(from[2 * i] | (u32)from[2 * i + 1] << 8);
        break;
    case VGA_LINEAR16:
        for (u32 i = 0; i < n; i++)
            to[i] = rgb565(from[2 * i] | (u32)from[2 * i + 1] << 8);
        break;
    case VGA_LINEAR24:
        for (u32 i = 0; i < n; i++)
            to[i] = from[3 * i] | (u32)from[3 * i + 1] << 8 | (u32)from[3 * i + 2] << 16;
        break;
    default:
        for (u32 i = 0; i < n; i++) {
            u32 v;

            memcpy(&v, from + 4 * i, 4);
            to[i] = v & 0xffffff;
        }
    }
}

static void draw_linear(const struct vga *vga, const struct vga_scan *s, const u32 palette[256], u32 at,
                        u32 *to)
{
    u32 bytes = vga_line_bytes(s), first = VGA_VRAM_BYTES - at;
    u8 line[VGA_PICTURE_MAX_WIDTH * 4];

    if (bytes <= first) {
        convert(s, palette, vga->vram + at, s->width, to);
        return;
    }
    memcpy(line, vga->vram + at, first);
    memcpy(line + first, vga->vram, bytes - first);
    convert(s, palette, line, s->width, to);
}

void vga_draw_line(const struct vga *vga, const struct vga_scan *s, const u32 palette[256], u32 at, u32 pan,
                   u32 *to)
{
    if (s->kind >= VGA_LINEAR8)
        draw_linear(vga, s, palette, at, to);
    else
        draw_dots(vga, s, palette, at, pan, to);
}
