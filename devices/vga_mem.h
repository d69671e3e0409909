/*
 * vga_mem.h - the planar memory of the VGA, private to vga.c and vga_mem.c.
 */
#ifndef NOVT_DEVICES_VGA_MEM_H
#define NOVT_DEVICES_VGA_MEM_H

#include "devices/vga.h"

enum { SEQ_MAP_MASK = 2, SEQ_MEM_MODE = 4, SEQ_CHAIN4 = 0x08 };
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
enum { GFX_MODE_COMPARE = 0x08, GFX_MODE_ODD_EVEN = 0x10, GFX_MISC_GRAPHICS = 0x01 };

/* A0000h-BFFFFh as the processor sees it (offset 0 is A0000h), one byte. */
u8 vga_mem_read(struct vga *vga, u32 offset);
void vga_mem_write(struct vga *vga, u32 offset, u8 val);

extern const struct bus_ops vga_window_ops; /* the same as MMIO */
extern const struct bus_ops vga_lfb_ops;    /* VRAM, linear */

#endif
