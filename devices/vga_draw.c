/*
 * vga_draw.c - from registers and VRAM to a picture: what to draw, and what can stay.
 *
 * vga_scan() reads from the registers how lines are made of VRAM. vga_draw() compares that, the palette, the font, the cells of text, and
 * the pages
 * of VRAM that were written with what the picture was last drawn from, and draws the lines that differ. A picture has one
 * dot per dot clock and one line per scan line, as a monitor shows it: mode 13h is 640 x 400.
 * Every value of every register is fine: sizes are bounded here, addresses wrap (IBM VGA reference; Bochs VBE).
 */
#include "devices/vga_draw.h"

#include <stdlib.h>
#include <string.h>

#include "devices/vga_mem.h"
#include "devices/vga_pixels.h"

#define EMPTY_WIDTH 640u /* what a card shows that nobody has set up */
#define EMPTY_HEIGHT 480u
#define CURSOR_FRAMES 16u /* on, and as many off; characters blink half as fast */
#define BLINK_FRAMES 32u
#define FRAME_NS 14268000u

static u32 dac_colour(const struct vga *vga, unsigned index)
{
    const u8 *c = vga->palette[index & vga->dac_mask];
    u32 rgb = 0;

    for (unsigned i = 0; i < 3; i++) {
        u32 v = vga_dac_8bit(vga) ? c[i] : (c[i] & 0x3fu) << 2 | (c[i] & 0x3fu) >> 4;

        rgb = rgb << 8 | v;
    }
    return rgb;
}

/* Of 16-colour kinds: attribute controller, then DAC. Of 256 colours: the DAC alone. */
static void make_palette(const struct vga *vga, const struct vga_scan *s, u32 palette[256])
{
    bool sixteen = s->kind == VGA_CELLS || s->kind == VGA_PLANAR || s->kind == VGA_CGA;
    u8 mode = vga->attr[ATTR_MODE], select = vga->attr[ATTR_COLOUR_SELECT];

    if (s->kind > VGA_LINEAR8) {
        memset(palette, 0, 256 * sizeof(*palette));
        return;
    }
    for (unsigned i = 0; i < 256; i++) {
        unsigned index = i;

        if (sixteen) {
            index = vga->attr[i & vga->attr[ATTR_PLANES] & 15] & 0x3f;
            if (mode & ATTR_SELECT)
                index = (index & 0x0f) | (select & 3u) << 4;
            index |= (select & 0x0cu) << 4;
        }
        palette[i] = dac_colour(vga, index);
    }
}

/* ---- geometry ---- */

static void scan_linear(const struct vga *vga, struct vga_scan *s)
{
    u32 bpp = vga->vbe[VBE_BPP], bytes = (bpp + 7) / 8, width = vga->vbe[VBE_VIRT_WIDTH];

    s->width = vga->vbe[VBE_XRES];
    s->height = vga->vbe[VBE_YRES];
    s->split = s->height;
    s->cell_height = 1;
    if (bpp == 4) {
        s->kind = VGA_PLANAR;
        s->columns = s->width / 8;
        s->pitch = width / 8;
        s->pan = s->split_pan = vga->vbe[VBE_X_OFFSET] & 7;
        s->start = vga->vbe[VBE_Y_OFFSET] * s->pitch + vga->vbe[VBE_X_OFFSET] / 8;
        s->mask = VGA_VRAM_BYTES / 4 - 1;
        return;
    }
    s->kind = bpp <= 8    ? VGA_LINEAR8
              : bpp == 15 ? VGA_LINEAR15
              : bytes < 4 ? VGA_LINEAR8 + bytes
                          : VGA_LINEAR32;
    s->pitch = width * bytes;
    s->start = vga->vbe[VBE_Y_OFFSET] * s->pitch + vga->vbe[VBE_X_OFFSET] * bytes;
    s->mask = VGA_VRAM_BYTES - 1;
}

static void scan_cursor(const struct vga *vga, struct vga_scan *s)
{
    const u8 *crtc = vga->crtc;

    s->cursor = (crtc[CRTC_CURSOR_HIGH] << 8 | crtc[CRTC_CURSOR_HIGH + 1]) & VGA_PLANE_MASK;
    s->cursor_first = crtc[CRTC_CURSOR_START] & CRTC_SCAN_LINE;
    s->cursor_last = crtc[CRTC_CURSOR_END] & CRTC_SCAN_LINE;
    if (crtc[CRTC_CURSOR_START] & CRTC_CURSOR_OFF || s->cursor_first > s->cursor_last)
        s->cursor = s->cursor_first = 1, s->cursor_last = 0;
}

/* Character map n of the sequencer's register 3, as a plane address. */
static u32 font_at(unsigned n)
{
    return ((n & 3) * 2 + (n >> 2)) * VGA_FONT_BYTES;
}

static void scan_cells(const struct vga *vga, struct vga_scan *s)
{
    u8 maps = vga->seq[SEQ_CHAR_MAP], pan = vga->attr[ATTR_PAN] & 15, mode = vga->attr[ATTR_MODE];

    s->kind = VGA_CELLS;
    s->cell_width = vga->seq[SEQ_CLOCKING] & CLOCKING_8_DOTS ? 8 : 9;
    s->font[0] = font_at((maps & 3) | (maps >> 2 & 4));
    s->font[1] = font_at((maps >> 2 & 3) | (maps >> 3 & 4));
    s->nine = (mode & ATTR_LINE_GRAPHICS) != 0;
    s->blink = (mode & ATTR_BLINK) != 0;
    s->mono = mode & ATTR_MONO ? (vga->crtc[CRTC_UNDERLINE] & CRTC_SCAN_LINE) + 1u : 0;
    s->pan = s->cell_width == 9 ? (pan < 8 ? pan + 1u : 0) : pan & 7;
    scan_cursor(vga, s);
}

static void scan_graphics(const struct vga *vga, struct vga_scan *s)
{
    u8 shift = vga->gfx[GFX_MODE] >> 5 & 3, ctrl = vga->crtc[CRTC_MODE], word = ctrl & CRTC_MODE_BYTE ? 1 : 0;

    s->kind = shift == 0 ? VGA_PLANAR : shift == 1 ? VGA_CGA : VGA_PACKED;
    s->cell_width = 8;
    s->pan = vga->attr[ATTR_PAN] & 7;
    if (s->kind == VGA_PACKED)
        s->pan /= 2;
    if (!(ctrl & 1))
        s->row_bits |= s->row_bit[0] = BIT(12 + word);
    if (!(ctrl & 2))
        s->row_bits |= s->row_bit[1] = BIT(13 + word);
}

static void scan_planes(const struct vga *vga, struct vga_scan *s)
{
    const u8 *crtc = vga->crtc;
    u32 lines = vga_crtc_lines(vga);

    s->columns = crtc[CRTC_H_DISPLAY_END] + 1u;
    s->pitch = crtc[CRTC_PITCH] * 2u;
    s->start = (crtc[CRTC_START_HIGH] << 8 | crtc[CRTC_START_HIGH + 1]) + (crtc[CRTC_PRESET] >> 5 & 3u);
    s->mask = VGA_PLANE_MASK;
    s->preset = crtc[CRTC_PRESET] & CRTC_SCAN_LINE;
    s->cell_height = (crtc[CRTC_CELL_HEIGHT] & CRTC_SCAN_LINE) + 1u;
    s->tall = crtc[CRTC_CELL_HEIGHT] >> 7;
    s->wide = vga->seq[SEQ_CLOCKING] & CLOCKING_HALF ? 1 : 0;
    s->split = (crtc[CRTC_LINE_COMPARE] | (crtc[CRTC_OVERFLOW] & 0x10u) << 4 |
                (crtc[CRTC_CELL_HEIGHT] & 0x40u) << 3) +
               1;
    if (vga->gfx[GFX_MISC] & GFX_MISC_GRAPHICS)
        scan_graphics(vga, s);
    else
        scan_cells(vga, s);
    s->split_pan = vga->attr[ATTR_MODE] & ATTR_PAN_TOP ? 0 : s->pan;
    s->width = s->columns * s->cell_width << s->wide;
    s->height = lines;
    if (s->split > s->height)
        s->split = s->height;
}

static void scan_make(const struct vga *vga, struct vga_scan *s)
{
    bool off = !(vga->attr_index & ATTR_INDEX_VIDEO) || (vga->seq[SEQ_CLOCKING] & CLOCKING_OFF);

    memset(s, 0, sizeof(*s));
    if (vga_linear(vga))
        scan_linear(vga, s);
    else
        scan_planes(vga, s);
    if (!s->width || !s->height || !vga->crtc[CRTC_V_DISPLAY_END] ||
        (!vga_linear(vga) && off && s->height < 100)) {
        s->width = EMPTY_WIDTH;
        s->height = EMPTY_HEIGHT;
        off = true;
    }
    if (s->width > VGA_PICTURE_MAX_WIDTH)
        s->width = VGA_PICTURE_MAX_WIDTH;
    if (s->height > VGA_PICTURE_MAX_HEIGHT)
        s->height = VGA_PICTURE_MAX_HEIGHT;
    if (off)
        *s = (struct vga_scan){.kind = VGA_BLANK, .width = s->width, .height = s->height};
}

/* ---- the picture's memory ---- */

void vga_picture_free(struct vga_picture *p)
{
    free(p->pixel);
    free(p->row);
    free(p->cell);
    *p = (struct vga_picture){0};
}

static bool grow(void *at, u32 *room, u32 want, size_t size)
{
    void **slot = at, *bigger;

    if (*room >= want && *slot)
        return true;
    bigger = realloc(*slot, (size_t)want * size);
    if (!bigger)
        return false;
    *slot = bigger;
    *room = want;
    return true;
}

static int make_room(struct vga_picture *p, const struct vga_scan *s)
{
    u32 cells = s->kind == VGA_CELLS ? (s->columns + 1) * s->height : 1;

    if (!grow(&p->pixel, &p->room_pixels, s->width * s->height, sizeof(u32)) ||
        !grow(&p->row, &p->room_rows, s->height, sizeof(u64)) ||
        !grow(&p->cell, &p->cells, cells, sizeof(u16)))
        return -ENOMEM;
    return 0;
}

/* ---- drawing ---- */

static bool page_dirty(const struct vga *vga, u32 page)
{
    return vga->dirty[page / 64] >> (page % 64) & 1;
}

/* Was anything of [at, at + bytes) of VRAM written? Wraps at end. */
static bool any_dirty(const struct vga *vga, u32 at, u32 bytes, u32 end)
{
    if (at + bytes > end)
        return any_dirty(vga, at, end - at, end) || any_dirty(vga, 0, at + bytes - end, end);
    for (u32 page = at / PAGE_BYTES; bytes && page <= (at + bytes - 1) / PAGE_BYTES; page++)
        if (page_dirty(vga, page))
            return true;
    return false;
}

/* Where line y of the picture comes from: address, and the line within its row. */
static u32 line_address(const struct vga_scan *s, u32 y, u32 *in_row)
{
    bool lower = y >= s->split;
    u32 line = ((lower ? y - s->split : y) >> s->tall) + (lower ? 0 : s->preset);
    u32 at = (lower ? 0 : s->start) + line / s->cell_height * s->pitch;

    *in_row = line % s->cell_height;
    at &= ~s->row_bits;
    for (unsigned i = 0; i < 2; i++)
        if (*in_row >> i & 1)
            at |= s->row_bit[i];
    return at & s->mask;
}

/* Lines of a graphics mode; those that come from the same address are drawn once. */
static bool draw_lines(const struct vga *vga, struct vga_picture *p, bool all)
{
    const struct vga_scan *s = &p->scan;
    u32 unit = s->kind < VGA_LINEAR8 ? 4 : 1, before = UINT32_MAX, bytes = vga_line_bytes(s);
    bool drawn = false, any = false;

    for (u32 y = 0; y < s->height; y++) {
        u32 in_row, at = line_address(s, y, &in_row), *to = p->pixel + (size_t)y * s->width;

        if (at != before || y == s->split) {
            drawn = all || any_dirty(vga, at * unit, bytes, (s->mask + 1) * unit);
            if (drawn)
                vga_draw_line(vga, s, p->palette, at, y < s->split ? s->pan : s->split_pan, to);
        } else if (drawn) {
            memcpy(to, to - s->width, s->width * sizeof(*to));
        }
        before = at;
        if (drawn)
            p->row[y] = p->generation + 1;
        any |= drawn;
    }
    return any;
}

static bool draw_blank(struct vga_picture *p, bool all)
{
    if (!all)
        return false;
    memset(p->pixel, 0, (size_t)p->width * p->height * sizeof(*p->pixel));
    for (u32 y = 0; y < p->height; y++)
        p->row[y] = p->generation + 1;
    return true;
}

/* Which halves of their periods cursor and blinking characters are in: bits 0 and 1 set when they are not to be seen. */
static u32 blink_phase(const struct vga_picture *p, u64 now_ns, u64 *left_ns)
{
    u64 period = (u64)CURSOR_FRAMES * FRAME_NS;

    *left_ns = period - now_ns % period;
    if (p->once)
        return 0;
    return (u32)(now_ns / period & 1) | (u32)(now_ns / ((u64)BLINK_FRAMES * FRAME_NS) & 1) << 1;
}

/* The character maps' lines of plane 2. True if they changed. */
static bool take_font(const struct vga *vga, struct vga_picture *p, const struct vga_scan *s)
{
    bool changed = false;

    for (unsigned f = 0; f < 2; f++) {
        const u8 *from = vga->vram + (size_t)s->font[f] * 4 + 2;

        for (u32 i = 0; i < VGA_FONT_BYTES; i++) {
            changed |= p->font[f][i] != from[(size_t)i * 4];
            p->font[f][i] = from[(size_t)i * 4];
        }
    }
    return changed;
}

static bool draw_text(const struct vga *vga, struct vga_picture *p, bool all, u32 phase)
{
    const struct vga_scan *s = &p->scan;
    struct vga_row row = {.first = 0};
    u16 *cell = p->cell;
    bool any = false;

    for (u32 y = 0; y < s->height; y++) {
        u32 in_row, at = line_address(s, y, &in_row);

        if (y == 0 || at != row.at || y == s->split) {
            row = (struct vga_row){
                .at = at, .first = s->columns + 1, .pan = y < s->split ? s->pan : s->split_pan};
            vga_cells_changed(vga, p, &row, cell, all, phase);
            cell += s->columns + 1;
        }
        if (row.first >= row.end)
            continue;
        vga_draw_cells(vga, p, &row, cell - (s->columns + 1), in_row, phase, p->pixel + (size_t)y * s->width);
        p->row[y] = p->generation + 1;
        any = true;
    }
    p->phase = phase;
    return any;
}

int vga_draw(struct vga *vga, struct vga_picture *p, u64 now_ns)
{
    struct vga_scan s;
    u32 palette[256], phase;
    u64 left_ns;
    bool all, any;

    vga_collect(vga);
    scan_make(vga, &s);
    make_palette(vga, &s, palette);
    all = p->once || !p->pixel || memcmp(&s, &p->scan, sizeof(s)) != 0 ||
          memcmp(palette, p->palette, sizeof(palette)) != 0;
    if (all && make_room(p, &s)) {
        p->scan = (struct vga_scan){0};
        return -ENOMEM;
    }
    p->scan = s;
    p->width = s.width;
    p->height = s.height;
    p->text = s.kind == VGA_CELLS;
    memcpy(p->palette, palette, sizeof(palette));
    phase = blink_phase(p, now_ns, &left_ns);
    p->still_ns = p->text ? left_ns : VGA_PICTURE_STILL;
    if (s.kind == VGA_CELLS)
        any = draw_text(vga, p, take_font(vga, p, &s) | all, phase);
    else if (s.kind == VGA_BLANK)
        any = draw_blank(p, all);
    else
        any = draw_lines(vga, p, all);
    if (p->once)
        __atomic_store_n(&vga->touched, 1, __ATOMIC_RELAXED);
    else
        memset(vga->dirty, 0, sizeof(vga->dirty));
    p->generation += any;
    return any;
}
