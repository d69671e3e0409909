/*
 * vga_mem.h - registers' names and what the VGA's files share; private to devices/vga*.c.
 */
#ifndef NOVT_DEVICES_VGA_MEM_H
#define NOVT_DEVICES_VGA_MEM_H

#include "devices/vga.h"

enum { MISC_COLOUR = 0x01, MISC_CLOCK = 0x0c };
enum {
    SEQ_RESET = 0,
    SEQ_CLOCKING = 1,
    SEQ_MAP_MASK = 2,
    SEQ_CHAR_MAP = 3,
    SEQ_MEM_MODE = 4,
    SEQ_CHAIN4 = 0x08
};
enum { CLOCKING_8_DOTS = 0x01, CLOCKING_HALF = 0x08, CLOCKING_OFF = 0x20 };
enum {
    GFX_SET_RESET = 0,
    GFX_ENABLE_SR = 1,
    GFX_COMPARE = 2,
    GFX_ROTATE = 3,
    GFX_READ_MAP = 4,
    GFX_MODE = 5,
    GFX_MISC = 6,
    GFX_DONT_CARE = 7,
    GFX_BIT_MASK = 8,
};
enum { GFX_MODE_WRITE = 0x03, GFX_MODE_COMPARE = 0x08, GFX_MODE_ODD_EVEN = 0x10, GFX_MISC_GRAPHICS = 0x01 };
enum { ATTR_MODE = 0x10, ATTR_PLANES = 0x12, ATTR_PAN = 0x13, ATTR_COLOUR_SELECT = 0x14, ATTR_REGS = 21 };
enum {
    ATTR_MONO = 0x02,
    ATTR_LINE_GRAPHICS = 0x04,
    ATTR_BLINK = 0x08,
    ATTR_PAN_TOP = 0x20,
    ATTR_SELECT = 0x80
};
enum { ATTR_INDEX_VIDEO = 0x20 };
enum {
    CRTC_H_TOTAL = 0x00,
    CRTC_H_DISPLAY_END = 0x01,
    CRTC_V_TOTAL = 0x06,
    CRTC_OVERFLOW = 0x07,
    CRTC_PRESET = 0x08,
    CRTC_CELL_HEIGHT = 0x09, /* minus 1 in bits 0-4; bit 7: every line twice */
    CRTC_CURSOR_START = 0x0a,
    CRTC_CURSOR_END = 0x0b,
    CRTC_START_HIGH = 0x0c,
    CRTC_CURSOR_HIGH = 0x0e,
    CRTC_V_RETRACE_START = 0x10,
    CRTC_V_RETRACE_END = 0x11,
    CRTC_V_DISPLAY_END = 0x12,
    CRTC_PITCH = 0x13, /* in units of two plane addresses */
    CRTC_UNDERLINE = 0x14,
    CRTC_MODE = 0x17,
    CRTC_LINE_COMPARE = 0x18,
};
enum {
    CRTC_SCAN_LINE = 0x1f,
    CRTC_CURSOR_OFF = 0x20,
    CRTC_DOUBLE_SCAN = 0x80,
    CRTC_PROTECT = 0x80,
    CRTC_MODE_BYTE = 0x40
};
enum {
    VBE_ID,
    VBE_XRES,
    VBE_YRES,
    VBE_BPP,
    VBE_ENABLE,
    VBE_BANK,
    VBE_VIRT_WIDTH,
    VBE_VIRT_HEIGHT,
    VBE_X_OFFSET,
    VBE_Y_OFFSET,
    VBE_VIDEO_64K,
};
enum { VBE_ENABLED = 0x01, VBE_GETCAPS = 0x02, VBE_8BIT_DAC = 0x20, VBE_NOCLEAR = 0x80 };

#define VGA_WINDOW_GPA 0xa0000u
#define VGA_WINDOW_BYTES 0x20000u
#define VGA_PLANE_MASK 0xffffu /* plane addresses that the CRTC can reach */

/* A mode of the Bochs registers is on: linear pixels. */
bool vga_linear(const struct vga *vga);
static inline bool vga_dac_8bit(const struct vga *vga)
{
    return vga->vbe[VBE_ENABLE] & VBE_8BIT_DAC;
}
u32 vga_crtc_lines(const struct vga *vga); /* on the screen */

/* Bytes [at, at + n) of VRAM were written by somebody whom no mapping noticed. At least 1; ends within VRAM. */
static inline void vga_note(struct vga *vga, u32 at, u32 n)
{
    for (u32 page = at / PAGE_BYTES; page <= (at + n - 1) / PAGE_BYTES; page++)
        vga->dirty[page / 64] |= 1ull << (page % 64);
    __atomic_store_n(&vga->touched, 1, __ATOMIC_RELAXED);
}

/* ---- vga_mem.c ---- */
/* A0000h-BFFFFh as the processor sees it (offset 0 is A0000h), one byte. */
u8 vga_mem_read(struct vga *vga, u32 offset);
void vga_mem_write(struct vga *vga, u32 offset, u8 val);
/* Where the processor's window is that the registers choose: offset into A0000h-BFFFFh, and its size. */
u32 vga_mem_window(const struct vga *vga, u32 *bytes);
/* Do writes store what they are given, and reads give what is stored? Chained modes and text do then. */
bool vga_mem_is_plain(const struct vga *vga);
extern const struct bus_ops vga_window_ops; /* the same as MMIO */
extern const struct bus_ops vga_lfb_ops;    /* VRAM, linear */

/* ---- vga_map.c ---- */
void vga_map_update(struct vga *vga);  /* registers or BARs changed: unmaps what is no longer plain memory */
void vga_map_release(struct vga *vga); /* the window is the card's again, VRAM up to date */
void vga_map_access(struct vga *vga,
                    u32 n); /* n bytes went through the window's callbacks: soon it may be worth a mapping */
void vga_map_access_lfb(struct vga *vga, u32 n); /* ... the linear frame buffer's */
void vga_collect(struct vga *vga); /* what mappings have noticed goes to dirty, text memory to VRAM */

#endif
