/*
 * vga.h - standard VGA (1234:1111) with the Bochs VBE registers.
 */
#ifndef NOVT_DEVICES_VGA_H
#define NOVT_DEVICES_VGA_H

#include "devices/bus.h"
#include "devices/clk.h"
#include "devices/pci.h"
#include "devices/vga_draw.h"
#include "devices/vga_host.h"

#define VBE_REGS 10

struct pc_text;

enum vga_map { VGA_MAP_NONE, VGA_MAP_LINEAR, VGA_MAP_TEXT };

struct vga {
    struct pci_dev pci;
    struct clk *clk;
    struct vga_host host;
    bool own_mem;
    u8 *vram; /* chained plane layout: byte 4 * n + plane */
    const u8 *rom;
    u32 rom_bytes;

    u8 misc, feature;
    u8 seq_index, seq[8];
    u8 gfx_index, gfx[16];
    u8 attr_index, attr[32];
    bool attr_data; /* the flip-flop of 3C0h: next write is data */
    u8 crtc_index, crtc[256];
    u8 dac_mask, dac_state, dac_read, dac_write, dac_sub;
    u8 dac_latch[3];
    u8 palette[256][3];
    u8 latch[4]; /* read latches of the planes */

    u16 vbe_index, vbe[VBE_REGS];
    u32 bank; /* byte offset of the 64 KiB window at A0000h */

    /* What is mapped now (vga_map.c). Not the guest's: vga_map_update() may start from none at any time. */
    u32 map;                             /* enum vga_map */
    u32 map_offset, map_bytes, map_from; /* in A0000h-BFFFFh; where it comes from in mem */
    u64 lfb_gpa;                         /* linear frame buffer; 0: not mapped */
    u32 heat, lfb_heat;
    bool text_live; /* the cells are in mem + VGA_VRAM_BYTES, VRAM's are old */

    /* What drawing wants to know. */
    u64 dirty[VGA_DIRTY_WORDS]; /* pages written since it was last drawn */
    int touched;                /* registers or memory were written by callbacks; other threads may read it */
};

/* rom may be NULL, host too. -ENOMEM. */
int vga_init(struct vga *vga, struct pci_bus *pci, struct clk *clk, const void *rom, size_t rom_bytes,
             const struct vga_host *host) MUST_CHECK;
void vga_fini(struct vga *vga);
void vga_reset(struct vga *vga);

/* vga_text.c; see pc_vga_text(). */
bool vga_text(struct vga *vga, struct pc_text *text, u16 *cell, size_t cells);

/* vga_map.c; see pc_vga_settle(). */
void vga_map_none(struct vga *vga);

/* vga_draw.c: brings the picture up to date. 1: it changed, 0: it did not, or -ENOMEM. now_ns: virtual time, for what blinks. */
int vga_draw(struct vga *vga, struct vga_picture *p, u64 now_ns);

#endif
