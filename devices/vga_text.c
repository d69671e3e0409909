/*
 * vga_text.c - what a text mode shows: characters, attributes and the cursor, as the CRTC's registers lay them out.
 *
 * Planes 0 and 1 hold characters and attributes, one byte each a cell (vga_mem.c has VRAM's layout). Nothing is drawn: that is
 * the business of whoever wants pixels. Every value of the registers is fine; cells come modulo VRAM.
 */
#include "devices/devices.h"
#include "devices/vga_mem.h"

enum {
    CRTC_H_DISPLAY_END = 0x01,
    CRTC_OVERFLOW = 0x07,
    CRTC_CELL_HEIGHT = 0x09, /* minus 1 in bits 0-4; bit 7: every line twice */
    CRTC_CURSOR_START = 0x0a,
    CRTC_CURSOR_END = 0x0b,
    CRTC_START_HIGH = 0x0c,
    CRTC_CURSOR_HIGH = 0x0e,
    CRTC_V_DISPLAY_END = 0x12,
    CRTC_PITCH = 0x13, /* in units of two cells */
};
enum { CURSOR_OFF = 0x20, SCAN_LINE = 0x1f, DOUBLE_SCAN = 0x80, ATTR_MODE = 0x10, ATTR_MODE_BLINK = 0x08 };

static unsigned word(const struct vga *vga, unsigned high)
{
    return (unsigned)vga->crtc[high] << 8 | vga->crtc[high + 1];
}

/* Where the cursor is; not visible when it is off or elsewhere in VRAM. */
static void locate_cursor(const struct vga *vga, struct pc_text *text, unsigned pitch)
{
    const u8 *crtc = vga->crtc;
    unsigned at = word(vga, CRTC_CURSOR_HIGH) - word(vga, CRTC_START_HIGH);
    unsigned row = pitch ? at / pitch : text->rows, column = pitch ? at % pitch : 0;

    text->cursor = !(crtc[CRTC_CURSOR_START] & CURSOR_OFF) &&
                   (crtc[CRTC_CURSOR_START] & SCAN_LINE) <= (crtc[CRTC_CURSOR_END] & SCAN_LINE) &&
                   row < text->rows && column < text->columns;
    text->cursor_row = text->cursor ? (u16)row : 0;
    text->cursor_column = text->cursor ? (u16)column : 0;
}

bool vga_text(const struct vga *vga, struct pc_text *text, u16 *cell, size_t cells)
{
    const u8 *crtc = vga->crtc;
    unsigned pitch = crtc[CRTC_PITCH] * 2u, start = word(vga, CRTC_START_HIGH);
    unsigned lines =
        (crtc[CRTC_V_DISPLAY_END] | (crtc[CRTC_OVERFLOW] & 0x02u) << 7 | (crtc[CRTC_OVERFLOW] & 0x40u) << 3) +
        1;
    unsigned height = (crtc[CRTC_CELL_HEIGHT] & SCAN_LINE) + 1;

    *text = (struct pc_text){0};
    if ((vga->gfx[GFX_MISC] & GFX_MISC_GRAPHICS) || vga_linear(vga))
        return false;
    if (crtc[CRTC_CELL_HEIGHT] & DOUBLE_SCAN)
        height *= 2;
    text->columns = (u16)(crtc[CRTC_H_DISPLAY_END] + 1u);
    text->rows = (u16)(lines / height);
    text->blink = (vga->attr[ATTR_MODE] & ATTR_MODE_BLINK) != 0;
    locate_cursor(vga, text, pitch);
    for (unsigned row = 0; row < text->rows; row++) {
        for (unsigned column = 0; column < text->columns; column++) {
            const u8 *at = vga->vram + 4 * ((start + row * pitch + column) & (VGA_VRAM_BYTES / 4 - 1));

            if (!cells--)
                return true;
            *cell++ = (u16)(at[0] | at[1] << 8);
        }
    }
    return true;
}
