/*
 * vga_draw.h - what the VGA's screen shows, as pixels.
 *
 * A picture belongs to whoever wants pixels: zero at first, freed by vga_picture_free(). It remembers what it was drawn from, so that
 * drawing again costs what changed. None of it is the guest's state.
 */
#ifndef NOVT_DEVICES_VGA_DRAW_H
#define NOVT_DEVICES_VGA_DRAW_H

#include "base.h"

#define VGA_PICTURE_MAX_WIDTH 4608u
#define VGA_PICTURE_MAX_HEIGHT 2048u
#define VGA_FONT_BYTES 8192u
#define VGA_PICTURE_STILL UINT64_MAX

enum vga_kind {
    VGA_BLANK,   /* nothing, or switched off */
    VGA_CELLS,   /* text */
    VGA_PLANAR,  /* 8 dots of 4 bits in a plane address */
    VGA_CGA,     /* 8 dots of 2 (4) bits in a plane address */
    VGA_PACKED,  /* 4 bytes, 4 dots of two clocks each, in a plane address */
    VGA_LINEAR8, /* Bochs VBE */
    VGA_LINEAR15,
    VGA_LINEAR16,
    VGA_LINEAR24,
    VGA_LINEAR32,
};

/* How the screen is made out of VRAM: what the registers say, and nothing else, so two of them are equal or the picture differs. Plane
 * addresses count in units of four bytes of VRAM, one of each plane; linear kinds count bytes. */
struct vga_scan {
    u32 kind;
    u32 width, height;                       /* of the picture */
    u32 start, pitch;                        /* address of the first line and from one row to the next */
    u32 mask;                                /* addresses wrap at */
    u32 columns;                             /* plane addresses, or cells, in a line */
    u32 split;                               /* lines from this one on start again at address 0 */
    u32 cell_width, cell_height, wide, tall; /* wide, tall: log2 of how often a dot, a line is repeated */
    u32 pan, split_pan, preset;              /* first dot, in both parts; first line in the row */
    u32 row_bits; /* CGA: address bits that are bits 0 and 1 of the line in the row (0: none) */
    u32 row_bit[2];
    u32 font[2]; /* plane addresses of the character maps, for attribute bit 3 clear and set */
    u32 nine, blink, mono;
    u32 cursor, cursor_first, cursor_last; /* cell, lines; first > last: off */
};

struct vga_picture {
    u32 width, height;
    u32 *pixel;     /* 0x00RRGGBB */
    u64 *row;       /* generation in which each row changed last */
    u64 generation; /* goes up when something changed */
    u64 still_ns;   /* for so long nothing will blink; VGA_PICTURE_STILL: never */
    bool text;
    bool
        once; /* in: a picture for one use; what changed in VRAM is kept for others, and what blinks is shown */
    u32 room_pixels; /* that fit into pixel */
    u32 room_rows;
    /* what it was drawn from */
    struct vga_scan scan;
    u32 palette[256];
    u32 phase;
    u32 cells;
    u16 *cell;
    u8 font[2][VGA_FONT_BYTES];
};

void vga_picture_free(struct vga_picture *p);

#endif
