/*
 * vga_host.h - how the VGA's memory can be plain memory to the guest.
 *
 * The monitor gives the card its memory out of what the guest's RAM comes from, so that it can show it to the guest where registers
 * and BARs say, and notices writes to it a page at a time. All zero: it cannot; the card has memory of its own and every access
 * is a callback.
 */
#ifndef NOVT_DEVICES_VGA_HOST_H
#define NOVT_DEVICES_VGA_HOST_H

#include "base.h"

#define VGA_VRAM_BYTES (16u << 20)
#define VGA_TEXT_BYTES \
    (32u << 10) /* behind VRAM: text memory as the processor sees it while that is mapped */
#define VGA_MEM_BYTES (VGA_VRAM_BYTES + VGA_TEXT_BYTES)
#define VGA_MEM_PAGES (VGA_MEM_BYTES / PAGE_BYTES)
#define VGA_DIRTY_WORDS ((VGA_MEM_PAGES + 63) / 64)

struct vga_host {
    u8 *mem; /* VGA_MEM_BYTES, all zero */
    void *opaque;
    /* [gpa, gpa + bytes) shows mem + offset from now on; or is the card's again. False: that cannot be, and nothing changed. */
    bool (*map)(void *opaque, u64 gpa, u32 bytes, u32 offset);
    void (*unmap)(void *opaque, u64 gpa, u32 bytes);
    /* Sets the bits of pages of mem that were written through mappings since it was last called. From its first call on such writes
     * are noted. */
    void (*written)(void *opaque, u64 bits[VGA_DIRTY_WORDS]);
};

#endif
