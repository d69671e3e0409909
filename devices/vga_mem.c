/*
 * vga_mem.c - how processor accesses to A0000h-BFFFFh reach the four planes (IBM VGA reference).
 *
 * VRAM is kept as the planes chained: byte 4 * n + p is byte n of plane p, so one 32-bit word holds what
 * the latches hold. Chain-4 and linear modes see it as it is, odd/even (text) uses two planes at a time.
 */
#include "devices/vga_mem.h"

#include <string.h>

#define OUTSIDE UINT32_MAX

/* Offset into the selected window plus bank, OUTSIDE if the card does not decode it. */
static u32 decode(const struct vga *vga, u32 offset)
{
    static const struct {
        u32 base, bytes;
    } window[4] = {{0, 0x20000}, {0, 0x10000}, {0x10000, 0x8000}, {0x18000, 0x8000}};
    unsigned mode = vga->gfx[GFX_MISC] >> 2 & 3;
    offset &= 0x1ffff;
    if (offset < window[mode].base || offset - window[mode].base >= window[mode].bytes)
        return OUTSIDE;
    return offset - window[mode].base + (mode == 1 ? vga->bank : 0);
}

u8 vga_mem_read(struct vga *vga, u32 offset)
{
    u32 at = decode(vga, offset);
    if (at == OUTSIDE)
        return 0xff;
    if (vga->seq[SEQ_MEM_MODE] & SEQ_CHAIN4)
        return at < VGA_VRAM_BYTES ? vga->vram[at] : 0xff;
    if (vga->gfx[GFX_MODE] & GFX_MODE_ODD_EVEN) {
        at = (at & ~1u) << 1 | (vga->gfx[GFX_READ_MAP] & 2) | (at & 1);
        return at < VGA_VRAM_BYTES ? vga->vram[at] : 0xff;
    }
    if (at >= VGA_VRAM_BYTES / 4)
        return 0xff;
    memcpy(vga->latch, vga->vram + 4 * at, 4);
    if (!(vga->gfx[GFX_MODE] & GFX_MODE_COMPARE))
        return vga->latch[vga->gfx[GFX_READ_MAP] & 3];
    u8 same = 0xff;
    for (unsigned p = 0; p < 4; p++) {
        u8 want = vga->gfx[GFX_COMPARE] & BIT(p) ? 0xff : 0;
        if (vga->gfx[GFX_DONT_CARE] & BIT(p))
            same &= (u8) ~(vga->latch[p] ^ want);
    }
    return same;
}

/* The byte that write mode 0-3 stores into plane p. */
static u8 plane_value(const struct vga *vga, unsigned p, u8 val)
{
    unsigned mode = vga->gfx[GFX_MODE] & 3, turn = vga->gfx[GFX_ROTATE] & 7;
    u8 rotated = (u8)(val >> turn | val << (8 - turn));
    u8 set = vga->gfx[GFX_SET_RESET] & BIT(p) ? 0xff : 0, mask = vga->gfx[GFX_BIT_MASK], v;
    if (mode == 1)
        return vga->latch[p];
    if (mode == 0)
        v = vga->gfx[GFX_ENABLE_SR] & BIT(p) ? set : rotated;
    else if (mode == 2)
        v = val & BIT(p) ? 0xff : 0;
    else
        v = set, mask &= rotated;
    switch (vga->gfx[GFX_ROTATE] >> 3 & 3) {
    case 1: v &= vga->latch[p]; break;
    case 2: v |= vga->latch[p]; break;
    case 3: v ^= vga->latch[p]; break;
    default: break;
    }
    return (u8)((v & mask) | (vga->latch[p] & ~mask));
}

void vga_mem_write(struct vga *vga, u32 offset, u8 val)
{
    u32 at = decode(vga, offset);
    u8 map = vga->seq[SEQ_MAP_MASK];
    if (at == OUTSIDE)
        return;
    if (vga->seq[SEQ_MEM_MODE] & SEQ_CHAIN4) {
        if (at < VGA_VRAM_BYTES && (map & BIT(at & 3)))
            vga->vram[at] = val;
        return;
    }
    if (vga->gfx[GFX_MODE] & GFX_MODE_ODD_EVEN) {
        unsigned p = (vga->gfx[GFX_READ_MAP] & 2) | (at & 1);
        at = (at & ~1u) << 1 | p;
        if (at < VGA_VRAM_BYTES && (map & BIT(p)))
            vga->vram[at] = val;
        return;
    }
    if (at >= VGA_VRAM_BYTES / 4)
        return;
    for (unsigned p = 0; p < 4; p++)
        if (map & BIT(p))
            vga->vram[4 * at + p] = plane_value(vga, p, val);
}

static u32 window_read(void *opaque, u32 offset, unsigned size)
{
    u32 v = 0;
    for (unsigned i = 0; i < size; i++)
        v |= (u32)vga_mem_read(opaque, offset + i) << (8 * i);
    return v;
}

static void window_write(void *opaque, u32 offset, unsigned size, u32 val)
{
    for (unsigned i = 0; i < size; i++)
        vga_mem_write(opaque, offset + i, (u8)(val >> (8 * i)));
}

static u32 lfb_read(void *opaque, u32 offset, unsigned size)
{
    const struct vga *vga = opaque;
    u32 v = 0;
    if (offset + size <= VGA_VRAM_BYTES)
        memcpy(&v, vga->vram + offset, size);
    return v;
}

static void lfb_write(void *opaque, u32 offset, unsigned size, u32 val)
{
    struct vga *vga = opaque;
    if (offset + size <= VGA_VRAM_BYTES)
        memcpy(vga->vram + offset, &val, size);
}

const struct bus_ops vga_window_ops = {.read = window_read, .write = window_write, .max_size = 4};
const struct bus_ops vga_lfb_ops = {.read = lfb_read, .write = lfb_write, .max_size = 4};
