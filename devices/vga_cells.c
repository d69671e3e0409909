/*
 * vga_cells.c - the dots of text: character maps, attributes, cursor, blinking.
 *
 * A cell is a character (plane 0) and an attribute (plane 1); its dots are in plane 2, 32 bytes a character, in one of two maps
 * that attribute bit 3 chooses when they differ. Only cells that changed, blink or hold the cursor are drawn again.
 */
#include "devices/vga_pixels.h"

enum {
    PHASE_CURSOR_OFF = 1,
    PHASE_BLINK_OFF = 2,
    ATTR_BLINKS = 0x80,
    LINE_GRAPHICS = 0xc0,
    LINE_GRAPHICS_MASK = 0xe0
};

void vga_cells_changed(const struct vga *vga, const struct vga_picture *p, struct vga_row *row, u16 *cell,
                       bool all, u32 phase)
{
    const struct vga_scan *s = &p->scan;
    u32 turned = phase ^ p->phase;

    row->first = s->columns + 1;
    row->end = 0;
    for (u32 i = 0; i <= s->columns; i++) {
        u32 at = (row->at + i) & s->mask;
        const u8 *from = vga->vram + (size_t)at * 4;
        u16 now = (u16)(from[0] | from[1] << 8);
        bool differs = all || now != cell[i] ||
                       (turned & PHASE_BLINK_OFF && s->blink && from[1] & ATTR_BLINKS) ||
                       (turned & PHASE_CURSOR_OFF && at == s->cursor);

        cell[i] = now;
        if (!differs)
            continue;
        if (i < row->first)
            row->first = i;
        row->end = i + 1;
    }
}

/* The nine dots, leftmost in bit 8. */
static u32 glyph(const struct vga_picture *p, u16 cell, u32 line)
{
    const struct vga_scan *s = &p->scan;
    u8 ch = (u8)cell;
    u32 dots = p->font[cell >> 11 & 1][ch * 32u + line];

    if (s->nine && (ch & LINE_GRAPHICS_MASK) == LINE_GRAPHICS)
        return dots << 1 | (dots & 1);
    return dots << 1;
}

void vga_draw_cells(const struct vga *vga, const struct vga_picture *p, const struct vga_row *row,
                    const u16 *cell, u32 line, u32 phase, u32 *to)
{
    const struct vga_scan *s = &p->scan;
    u32 end = s->width >> s->wide;

    (void)vga;
    for (u32 i = row->first; i < row->end; i++) {
        u8 attr = (u8)(cell[i] >> 8);
        u32 fg = attr & 15, bg = attr >> 4, dots = glyph(p, cell[i], line);
        bool cursor =
            ((row->at + i) & s->mask) == s->cursor && line >= s->cursor_first && line <= s->cursor_last;

        if (s->blink)
            bg &= 7;
        if (s->mono == line + 1 && (attr & 7) == 1)
            dots = 0x1ff;
        if (s->blink && attr & ATTR_BLINKS && phase & PHASE_BLINK_OFF)
            dots = 0;
        if (cursor && !(phase & PHASE_CURSOR_OFF))
            dots = 0x1ff;
        for (u32 k = 0; k < s->cell_width; k++) {
            u32 x = i * s->cell_width + k - row->pan;

            if (x >= end) /* also left of the screen */
                continue;
            to[x << s->wide] = p->palette[dots >> (8 - k) & 1 ? fg : bg];
            if (s->wide)
                to[(x << 1) + 1] = to[x << 1];
        }
    }
}
