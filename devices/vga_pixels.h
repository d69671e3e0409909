/*
 * vga_pixels.h - lines of pixels out of VRAM, private to vga_draw.c and vga_pixels*.c.
 */
#ifndef NOVT_DEVICES_VGA_PIXELS_H
#define NOVT_DEVICES_VGA_PIXELS_H

#include "devices/vga.h"
#include "devices/vga_draw.h"

/* A row of cells and what of it is to be drawn. */
struct vga_row {
    u32 at, pan;
    u32 first, end; /* columns; none when first >= end */
};

/* Bytes of VRAM that a line is made of. */
u32 vga_line_bytes(const struct vga_scan *s);
/* A line of a graphics kind that starts at address at, s->width pixels. */
void vga_draw_line(const struct vga *vga, const struct vga_scan *s, const u32 palette[256], u32 at, u32 pan,
                   u32 *to);

/* Text: takes the row's cells into cell[], columns + 1 of them, and says which columns differ from what was there or blink. */
void vga_cells_changed(const struct vga *vga, const struct vga_picture *p, struct vga_row *row, u16 *cell,
                       bool all, u32 phase);
/* These columns' dots of one line. */
void vga_draw_cells(const struct vga *vga, const struct vga_picture *p, const struct vga_row *row,
                    const u16 *cell, u32 line, u32 phase, u32 *to);

#endif
