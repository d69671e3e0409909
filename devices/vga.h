/*
 * vga.h - standard VGA (1234:1111) with the Bochs VBE registers.
 */
#ifndef NOVT_DEVICES_VGA_H
#define NOVT_DEVICES_VGA_H

#include "devices/bus.h"
#include "devices/clk.h"
#include "devices/pci.h"

#define VGA_VRAM_BYTES (16u << 20)
#define VGA_CRTC_REGS 0x19
#define VBE_REGS 10

struct pc_text;

struct vga {
    struct pci_dev pci;
    struct clk *clk;
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
};

/* rom may be NULL. -ENOMEM. */
int vga_init(struct vga *vga, struct pci_bus *pci, struct clk *clk, const void *rom,
             size_t rom_bytes) MUST_CHECK;
void vga_fini(struct vga *vga);
void vga_reset(struct vga *vga);

/* A mode of the Bochs registers is on: linear pixels. */
bool vga_linear(const struct vga *vga);

/* vga_text.c; see pc_vga_text(). */
bool vga_text(const struct vga *vga, struct pc_text *text, u16 *cell, size_t cells);

#endif
