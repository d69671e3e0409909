/*
 * vga_map.c - when VRAM is plain memory to the guest, and which of it.
 *
 * With the usual register values a chained mode's window (mode 13h, VBE banks), text's odd/even window and the linear
 * frame buffer store what they are given. Then the monitor shows the guest the memory itself and accesses cost nothing; a
 * register that changes the meaning takes the mapping back before the next access. Mapping waits until a few accesses have come, so that
 * a program which turns registers back and forth pays for callbacks only.
 *
 * Text's bytes do not lie as the processor sees them: they move to memory of their own while they are mapped (text_live), and back to
 * VRAM when somebody else looks at VRAM: drawing (vga_collect()), other modes, the linear frame buffer, which is therefore
 * never mapped at the same time.
 */
#include "devices/vga_mem.h"

#include <string.h>

#define HEAT_MAP 64u /* bytes through callbacks that make a mapping worth while */

static u8 *text_mem(const struct vga *vga)
{
    return vga->vram + VGA_VRAM_BYTES;
}

/* ---- text's own memory ---- */

static void text_to_vram(struct vga *vga, u32 at, u32 bytes)
{
    const u8 *from = text_mem(vga) + at;
    u8 *to = vga->vram + 2 * (size_t)at;

    for (u32 i = 0; i < bytes; i += 2)
        memcpy(to + 2 * (size_t)i, from + i, 2);
    vga_note(vga, 2 * at, 2 * bytes);
}

static void text_from_vram(struct vga *vga)
{
    for (u32 i = 0; i < VGA_TEXT_BYTES; i += 2)
        memcpy(text_mem(vga) + i, vga->vram + 2 * (size_t)i, 2);
}

/* ---- the window ---- */

/* What the window at A0000h-BFFFFh could be mapped as now. */
static u32 wanted(const struct vga *vga, u32 *offset, u32 *bytes, u32 *from)
{
    u32 map = vga->seq[SEQ_MAP_MASK] & 15;

    *offset = vga_mem_window(vga, bytes);
    *from = *bytes == 0x10000 ? vga->bank : 0;
    if (!vga_mem_is_plain(vga))
        return VGA_MAP_NONE;
    if (vga->seq[SEQ_MEM_MODE] & SEQ_CHAIN4)
        return map == 15 && *from + *bytes <= VGA_VRAM_BYTES ? VGA_MAP_LINEAR : VGA_MAP_NONE;
    if (!(vga->gfx[GFX_MODE] & GFX_MODE_ODD_EVEN) || (map & 3) != 3 || vga->gfx[GFX_READ_MAP] & 2 ||
        *bytes != VGA_TEXT_BYTES)
        return VGA_MAP_NONE;
    *from = VGA_VRAM_BYTES;
    return VGA_MAP_TEXT;
}

void vga_map_release(struct vga *vga)
{
    if (vga->map == VGA_MAP_NONE)
        return;
    vga->host.unmap(vga->host.opaque, VGA_WINDOW_GPA + vga->map_offset, vga->map_bytes);
    vga->map = VGA_MAP_NONE;
    if (vga->text_live) {
        vga->text_live = false;
        text_to_vram(vga, 0, VGA_TEXT_BYTES);
    }
}

static void lfb_unmap(struct vga *vga)
{
    if (vga->lfb_gpa)
        vga->host.unmap(vga->host.opaque, vga->lfb_gpa, VGA_VRAM_BYTES);
    vga->lfb_gpa = 0;
}

void vga_map_none(struct vga *vga)
{
    vga_map_release(vga);
    lfb_unmap(vga);
    vga->heat = vga->lfb_heat = 0;
}

static void window_map(struct vga *vga)
{
    u32 offset, bytes, from, map = wanted(vga, &offset, &bytes, &from);

    vga->heat = 0;
    if (map == VGA_MAP_NONE || map == vga->map)
        return;
    if (map == VGA_MAP_TEXT) {
        lfb_unmap(vga);
        text_from_vram(vga);
    }
    if (!vga->host.map(vga->host.opaque, VGA_WINDOW_GPA + offset, bytes, from))
        return;
    vga->map = map;
    vga->map_offset = offset;
    vga->map_bytes = bytes;
    vga->map_from = from;
    vga->text_live = map == VGA_MAP_TEXT;
}

void vga_map_access(struct vga *vga, u32 n)
{
    vga->heat += n;
    if (vga->heat >= HEAT_MAP && vga->host.map)
        window_map(vga);
}

void vga_map_access_lfb(struct vga *vga, u32 n)
{
    const struct pci_bar *bar = &vga->pci.bar[0];

    if (vga->text_live)
        vga_map_release(vga);
    vga->lfb_heat += n;
    if (vga->lfb_heat < HEAT_MAP || !vga->host.map || vga->lfb_gpa || !bar->mapped)
        return;
    vga->lfb_heat = 0;
    if (vga->host.map(vga->host.opaque, bar->mapped_at, VGA_VRAM_BYTES, 0))
        vga->lfb_gpa = bar->mapped_at;
}

void vga_map_update(struct vga *vga)
{
    const struct pci_bar *bar = &vga->pci.bar[0];
    u32 offset, bytes, from, map = wanted(vga, &offset, &bytes, &from);
    bool same =
        map == vga->map && offset == vga->map_offset && bytes == vga->map_bytes && from == vga->map_from;

    if (vga->lfb_gpa && (!bar->mapped || bar->mapped_at != vga->lfb_gpa))
        lfb_unmap(vga);
    if (vga->map == VGA_MAP_NONE || same)
        return;
    vga_map_release(vga);
    if (map == VGA_MAP_LINEAR && bytes == 0x10000) /* another bank of the same mode */
        window_map(vga);
    else
        vga->heat = 0;
}

void vga_collect(struct vga *vga)
{
    __atomic_store_n(&vga->touched, 0, __ATOMIC_RELAXED);
    if (vga->host.written)
        vga->host.written(vga->host.opaque, vga->dirty);
    for (u32 page = VGA_VRAM_BYTES / PAGE_BYTES; page < VGA_MEM_PAGES; page++) {
        u64 bit = 1ull << (page % 64);

        if (vga->text_live && vga->dirty[page / 64] & bit)
            text_to_vram(vga, page * PAGE_BYTES - VGA_VRAM_BYTES, PAGE_BYTES);
        vga->dirty[page / 64] &= ~bit;
    }
    __atomic_store_n(&vga->touched, 0, __ATOMIC_RELAXED);
}
