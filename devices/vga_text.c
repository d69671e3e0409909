/*
 * vga_text.c - what a text mode shows: characters, attributes and the cursor, as the CRTC's registers lay them out.
 *
 * Planes 0 and 1 hold characters and attributes, one byte each a cell (vga_mem.c has VRAM's layout). Nothing is drawn: that is
 * the business of whoever wants pixels. Every value of the registers is fine; cells come modulo VRAM.
 */
#include "devices/devices.h"
#include "devices/vga_mem.h"

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

    text->cursor = !(crtc[CRTC_CURSOR_START] & CRTC_CURSOR_OFF) &&
                   (crtc[CRTC_CURSOR_START] & CRTC_SCAN_LINE) <= (crtc[CRTC_CURSOR_END] & CRTC_SCAN_LINE) &&
                   row < text->rows && column < text->columns;
    text->cursor_row = text->cursor ? (u16)row : 0;
    text->cursor_column = text->cursor ? (u16)column : 0;
}

bool vga_text(struct vga *vga, struct pc_text *text, u16 *cell, size_t cells)
{
    const u8 *crtc = vga->crtc;
    unsigned pitch = crtc[CRTC_PITCH] * 2u, start = word(vga, CRTC_START_HIGH);
    unsigned lines = vga_crtc_lines(vga);
    unsigned height = (crtc[CRTC_CELL_HEIGHT] & CRTC_SCAN_LINE) + 1;

    *text = (struct pc_text){0};
    if ((vga->gfx[GFX_MISC] & GFX_MISC_GRAPHICS) || vga_linear(vga))
        return false;
    if (crtc[CRTC_CELL_HEIGHT] & CRTC_DOUBLE_SCAN)
        height *= 2;
    text->columns = (u16)(crtc[CRTC_H_DISPLAY_END] + 1u);
    text->rows = (u16)(lines / height);
    text->blink = (vga->attr[ATTR_MODE] & ATTR_BLINK) != 0;
    locate_cursor(vga, text, pitch);
    for (unsigned row = 0; row < text->rows; row++) {
        for (unsigned column = 0; column < text->columns; column++) {
            unsigned n = (start + row * pitch + column) & VGA_PLANE_MASK;
            bool live = vga->text_live && n < VGA_TEXT_BYTES / 2; /* vga_map.c */
            const u8 *at = live ? vga->vram + VGA_VRAM_BYTES + 2 * n : vga->vram + 4 * n;

            if (!cells--)
                return true;
            *cell++ = (u16)(at[0] | at[1] << 8);
        }
    }
    return true;
}
