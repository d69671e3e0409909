/*
 * vga.c - registers of a standard VGA with the Bochs VBE extension, as PCI function 1234:1111.
 *
 * Ports 3B0h-3DFh and 1CEh-1D0h; BAR 0 linear frame buffer, BAR 2 the same registers as MMIO (VGA at
 * 400h, VBE at 500h), ROM BAR the video BIOS. Nothing is drawn here: vga_draw.c does that, vga_text.c reads the text screen
 * back, vga_mem.c is the memory and vga_map.c says when the guest has it directly.
 */
#include "devices/vga.h"

#include <stdlib.h>
#include <string.h>

#include "devices/vga_mem.h"

#define FRAME_NS 14268000u /* of 640 x 400, for registers that make no picture */
#define LINE_NS 31778u
#define RETRACE_LINES 49u

enum { VBE_ID_FIRST = 0xb0c0, VBE_ID_LAST = 0xb0c5, VBE_MAX_X = 2560, VBE_MAX_Y = 1600, VBE_MAX_BPP = 32 };

static const u8 seq_mask[8] = {0x03, 0x3d, 0x0f, 0x3f, 0x0e, 0x00, 0x00, 0xff};
static const u8 gfx_mask[16] = {0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff};
static const u8 attr_mask[ATTR_REGS] = {0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f,
                                        0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0xef, 0xff, 0x3f, 0x0f, 0x0f};

u32 vga_crtc_lines(const struct vga *vga)
{
    u8 over = vga->crtc[CRTC_OVERFLOW];
    return (vga->crtc[CRTC_V_DISPLAY_END] | (over & 0x02u) << 7 | (over & 0x40u) << 3) + 1;
}

/* The beam: nanoseconds a line, lines a frame, displayed lines, and where the vertical retrace begins and ends. */
struct beam {
    u64 line_ns;
    u32 lines, shown, retrace, retrace_end;
    u32 chars, chars_shown;
};

static struct beam beam_of(const struct vga *vga)
{
    static const u32 clock_khz[4] = {25175, 28322, 28322, 28322};
    const u8 *crtc = vga->crtc, over = crtc[CRTC_OVERFLOW];
    u32 dots = vga->seq[SEQ_CLOCKING] & CLOCKING_8_DOTS ? 8 : 9,
        khz = clock_khz[(vga->misc & MISC_CLOCK) >> 2];
    struct beam b = {.lines = (crtc[CRTC_V_TOTAL] | (over & 0x01u) << 8 | (over & 0x20u) << 4) + 2,
                     .shown = vga_crtc_lines(vga),
                     .retrace = crtc[CRTC_V_RETRACE_START] | (over & 0x04u) << 6 | (over & 0x80u) << 2,
                     .chars = crtc[CRTC_H_TOTAL] + 5u,
                     .chars_shown = crtc[CRTC_H_DISPLAY_END] + 1u};
    b.line_ns = (u64)b.chars * dots * 1000000 / khz << (vga->seq[SEQ_CLOCKING] & CLOCKING_HALF ? 1 : 0);
    u64 frame_ns = b.line_ns * b.lines;
    if (frame_ns < FRAME_NS / 4 || frame_ns > FRAME_NS * 4 || b.shown >= b.lines || b.retrace < b.shown ||
        b.retrace >= b.lines)
        return (struct beam){.line_ns = LINE_NS,
                             .lines = FRAME_NS / LINE_NS,
                             .shown = FRAME_NS / LINE_NS - RETRACE_LINES,
                             .retrace = FRAME_NS / LINE_NS - RETRACE_LINES,
                             .retrace_end = FRAME_NS / LINE_NS,
                             .chars = 100,
                             .chars_shown = 80};
    b.retrace_end =
        b.retrace + 1 + ((crtc[CRTC_V_RETRACE_END] - b.retrace - 1) & 15); /* the end is 4 bits to meet */
    if (b.retrace_end > b.lines)
        b.retrace_end = b.lines;
    return b;
}

/* Input status 1: bit 3 vertical retrace, bit 0 not displaying; a function of time and of the mode's timing. */
static u8 input_status1(struct vga *vga)
{
    struct beam b = beam_of(vga);
    u64 in_frame = clk_now(vga->clk) % (b.line_ns * b.lines), line = in_frame / b.line_ns;
    bool shown = line < b.shown && in_frame % b.line_ns * b.chars < b.line_ns * b.chars_shown;
    vga->attr_data = false;
    return (u8)((shown ? 0 : 1) | (line >= b.retrace && line < b.retrace_end ? 8 : 0));
}

/* A register that the picture depends on was written; those of sequencer and graphics controller may make plain memory of the
 * window, or no longer. */
static void touch(struct vga *vga)
{
    __atomic_store_n(&vga->touched, 1, __ATOMIC_RELAXED);
}

static void touch_memory(struct vga *vga)
{
    touch(vga);
    vga->heat = 0;
    if (vga->map || vga->lfb_gpa)
        vga_map_update(vga);
}

static void attr_write(struct vga *vga, u8 val)
{
    if (!vga->attr_data)
        vga->attr_index = val & 0x3f;
    else if ((vga->attr_index & 0x1f) < ATTR_REGS)
        vga->attr[vga->attr_index & 0x1f] = val & attr_mask[vga->attr_index & 0x1f];
    vga->attr_data = !vga->attr_data;
    touch(vga);
}

static void dac_write(struct vga *vga, u8 val)
{
    vga->dac_latch[vga->dac_sub++] = val;
    if (vga->dac_sub == 3) {
        memcpy(vga->palette[vga->dac_write++], vga->dac_latch, 3);
        vga->dac_sub = 0;
        touch(vga);
    }
}

static u8 dac_read(struct vga *vga)
{
    u8 v = vga->palette[vga->dac_read][vga->dac_sub++];
    if (vga->dac_sub == 3) {
        vga->dac_read++;
        vga->dac_sub = 0;
    }
    return v;
}

static void crtc_write(struct vga *vga, u8 val)
{
    u8 i = vga->crtc_index;
    touch(vga);
    if ((vga->crtc[CRTC_V_RETRACE_END] & CRTC_PROTECT) && i <= CRTC_OVERFLOW) {
        if (i == CRTC_OVERFLOW) /* only the line-compare bit */
            vga->crtc[i] = (u8)((vga->crtc[i] & ~0x10) | (val & 0x10));
        return;
    }
    vga->crtc[i] = val;
}

/* Registers 0-2Fh from 3B0h: 3B0h-3BFh and 3D0h-3DFh are the same CRTC, chosen by misc bit 0. */
static bool is_hidden_alias(const struct vga *vga, u32 reg)
{
    return vga->misc & MISC_COLOUR ? reg < 0x10 : reg >= 0x20;
}

static u8 reg_read(struct vga *vga, u32 reg)
{
    /* SeaVGABIOS resets the flip-flop at 3DAh in monochrome modes too. */
    if (is_hidden_alias(vga, reg) && reg != 0x2a)
        return 0xff;
    switch (reg) {
    case 0x10: return vga->attr_data ? 0 : vga->attr_index;
    case 0x11: return (vga->attr_index & 0x1f) < ATTR_REGS ? vga->attr[vga->attr_index & 0x1f] : 0;
    case 0x12: /* input status 0 */ return 0x00;
    case 0x14: return vga->seq_index;
    case 0x15: return vga->seq[vga->seq_index];
    case 0x16: return vga->dac_mask;
    case 0x17: return vga->dac_state;
    case 0x18: return vga->dac_write;
    case 0x19: return dac_read(vga);
    case 0x1a: return vga->feature;
    case 0x1c: return vga->misc;
    case 0x1e: return vga->gfx_index;
    case 0x1f: return vga->gfx[vga->gfx_index];
    case 0x04:
    case 0x24: return vga->crtc_index;
    case 0x05:
    case 0x25: return vga->crtc[vga->crtc_index];
    case 0x0a:
    case 0x2a: return input_status1(vga);
    default: return 0xff;
    }
}

static void reg_write(struct vga *vga, u32 reg, u8 val)
{
    if (is_hidden_alias(vga, reg))
        return;
    switch (reg) {
    case 0x10:
    case 0x11: attr_write(vga, val); break;
    case 0x12:
        vga->misc = val & 0xef;
        touch(vga);
        break;
    case 0x14: vga->seq_index = val & 7; break;
    case 0x15:
        vga->seq[vga->seq_index] = val & seq_mask[vga->seq_index];
        touch_memory(vga);
        break;
    case 0x16:
        vga->dac_mask = val;
        touch(vga);
        break;
    case 0x17:
        vga->dac_read = val;
        vga->dac_sub = 0;
        vga->dac_state = 3;
        break;
    case 0x18:
        vga->dac_write = val;
        vga->dac_sub = 0;
        vga->dac_state = 0;
        break;
    case 0x19: dac_write(vga, val); break;
    case 0x1e: vga->gfx_index = val & 15; break;
    case 0x1f:
        vga->gfx[vga->gfx_index] = val & gfx_mask[vga->gfx_index];
        touch_memory(vga);
        break;
    case 0x04:
    case 0x24: vga->crtc_index = val; break;
    case 0x05:
    case 0x25: crtc_write(vga, val); break;
    case 0x0a:
    case 0x2a: vga->feature = val & 0x10; break;
    default: break;
    }
}

static u32 mono_read(void *opaque, u32 offset, unsigned size)
{
    (void)size;
    return reg_read(opaque, offset);
}

static void mono_write(void *opaque, u32 offset, unsigned size, u32 val)
{
    (void)size;
    reg_write(opaque, offset, (u8)val);
}

static u32 main_read(void *opaque, u32 offset, unsigned size)
{
    (void)size;
    return reg_read(opaque, offset + 0x10);
}

static void main_write(void *opaque, u32 offset, unsigned size, u32 val)
{
    (void)size;
    reg_write(opaque, offset + 0x10, (u8)val);
}

static u16 vbe_read(const struct vga *vga, unsigned index)
{
    static const u16 caps[] = {[VBE_XRES] = VBE_MAX_X, [VBE_YRES] = VBE_MAX_Y, [VBE_BPP] = VBE_MAX_BPP};
    if (index == VBE_VIDEO_64K)
        return VGA_VRAM_BYTES >> 16;
    if (index >= VBE_REGS)
        return 0;
    if ((vga->vbe[VBE_ENABLE] & VBE_GETCAPS) && index >= VBE_XRES && index <= VBE_BPP)
        return caps[index];
    return vga->vbe[index];
}

static u32 line_bytes(const struct vga *vga)
{
    return (u32)vga->vbe[VBE_VIRT_WIDTH] * ((vga->vbe[VBE_BPP] + 7u) / 8);
}

/* Keeps the virtual screen at least as wide as the visible one and the whole within VRAM. */
static void vbe_fix_geometry(struct vga *vga)
{
    u16 *r = vga->vbe;
    if (r[VBE_VIRT_WIDTH] < r[VBE_XRES])
        r[VBE_VIRT_WIDTH] = r[VBE_XRES];
    u32 line = line_bytes(vga);
    r[VBE_VIRT_HEIGHT] = (u16)min_u64(line ? VGA_VRAM_BYTES / line : 0, 0xffff);
    if (r[VBE_X_OFFSET] > r[VBE_VIRT_WIDTH] - r[VBE_XRES])
        r[VBE_X_OFFSET] = r[VBE_VIRT_WIDTH] - r[VBE_XRES];
}

bool vga_linear(const struct vga *vga)
{
    return vga->vbe[VBE_ENABLE] & VBE_ENABLED;
}

static void vbe_enable(struct vga *vga, u16 val)
{
    u16 *r = vga->vbe;
    vga_map_release(vga); /* before VRAM is cleared */
    bool turns_on = (val & VBE_ENABLED) && !(r[VBE_ENABLE] & VBE_ENABLED);
    r[VBE_ENABLE] = val;
    if (!(val & VBE_ENABLED)) {
        vga->bank = 0;
        return;
    }
    if (!turns_on)
        return;
    r[VBE_VIRT_WIDTH] = r[VBE_XRES];
    r[VBE_X_OFFSET] = r[VBE_Y_OFFSET] = 0;
    vbe_fix_geometry(vga);
    u32 clear = (u32)min_u64((u64)line_bytes(vga) * r[VBE_YRES], VGA_VRAM_BYTES);
    if (!(val & VBE_NOCLEAR) && clear) {
        memset(vga->vram, 0, clear);
        vga_note(vga, 0, clear);
    }
    /* A packed-pixel window at A0000h, whatever mode the VGA was in. */
    vga->gfx[GFX_MISC] = (u8)((vga->gfx[GFX_MISC] & ~0x0c) | 0x04 | GFX_MISC_GRAPHICS);
    vga->seq[SEQ_MEM_MODE] |= SEQ_CHAIN4;
    vga->seq[SEQ_MAP_MASK] |= 0x0f;
}

static void vbe_write(struct vga *vga, unsigned index, u16 val)
{
    u16 *r = vga->vbe;
    switch (index) {
    case VBE_ID:
        if (val >= VBE_ID_FIRST && val <= VBE_ID_LAST)
            r[VBE_ID] = val;
        break;
    case VBE_XRES: r[index] = (u16)min_u64(val & 0xfff8, VBE_MAX_X); break;
    case VBE_YRES: r[index] = (u16)min_u64(val, VBE_MAX_Y); break;
    case VBE_BPP:
        if (val == 0)
            val = 8;
        if (val == 4 || val == 8 || val == 15 || val == 16 || val == 24 || val == 32)
            r[index] = val;
        break;
    case VBE_ENABLE: vbe_enable(vga, val); break;
    case VBE_BANK:
        r[index] = val & (VGA_VRAM_BYTES / 65536 - 1);
        vga->bank = (u32)r[index] << 16;
        break;
    case VBE_VIRT_WIDTH:
    case VBE_X_OFFSET:
        r[index] = val;
        vbe_fix_geometry(vga);
        break;
    case VBE_Y_OFFSET: r[index] = val; break;
    default: break;
    }
    touch_memory(vga);
}

/* 1CEh index, 1CFh data (1D0h on machines that align words), 16 bits each. */
static u32 vbe_port_read(void *opaque, u32 offset, unsigned size)
{
    const struct vga *vga = opaque;
    u32 v = offset == 0 ? vga->vbe_index : vbe_read(vga, vga->vbe_index);
    return size == 1 ? v & 0xff : v;
}

static void vbe_port_write(void *opaque, u32 offset, unsigned size, u32 val)
{
    struct vga *vga = opaque;
    if (size != 2)
        return;
    if (offset == 0)
        vga->vbe_index = (u16)val;
    else
        vbe_write(vga, vga->vbe_index, (u16)val);
}

static u32 mmio_read(void *opaque, u32 offset, unsigned size)
{
    struct vga *vga = opaque;
    if (offset >= 0x400 && offset < 0x420) {
        u32 lo = reg_read(vga, offset - 0x400 + 0x10);
        return size == 1 ? lo : lo | (u32)reg_read(vga, (offset - 0x400 + 0x11) & 0x3f) << 8;
    }
    if (offset >= 0x500 && offset < 0x516)
        return vbe_read(vga, (offset - 0x500) / 2);
    return UINT32_MAX;
}

static void mmio_write(void *opaque, u32 offset, unsigned size, u32 val)
{
    struct vga *vga = opaque;
    if (offset >= 0x400 && offset < 0x420) {
        reg_write(vga, offset - 0x400 + 0x10, (u8)val);
        if (size == 2)
            reg_write(vga, offset - 0x400 + 0x11, (u8)(val >> 8));
    } else if (offset >= 0x500 && offset < 0x516 && size == 2) {
        vbe_write(vga, (offset - 0x500) / 2, (u16)val);
    }
}

static u32 rom_read(void *opaque, u32 offset, unsigned size)
{
    const struct vga *vga = opaque;
    u32 v = UINT32_MAX;
    for (unsigned i = 0; i < size && offset + i < vga->rom_bytes; i++)
        ((u8 *)&v)[i] = vga->rom[offset + i];
    return v;
}

static const struct bus_ops mono_ops = {.read = mono_read, .write = mono_write};
static const struct bus_ops main_ops = {.read = main_read, .write = main_write};
static const struct bus_ops vbe_ops = {.read = vbe_port_read, .write = vbe_port_write, .max_size = 2};
static const struct bus_ops mmio_ops = {.read = mmio_read, .write = mmio_write, .max_size = 2};
static const struct bus_ops rom_ops = {.read = rom_read, .max_size = 4};

static void bars_changed(void *opaque, unsigned offset, unsigned size)
{
    (void)offset;
    (void)size;
    vga_map_update(opaque);
}

int vga_init(struct vga *vga, struct pci_bus *pci, struct clk *clk, const void *rom, size_t rom_bytes,
             const struct vga_host *host)
{
    static const struct pci_id id = {.vendor = 0x1234, .device = 0x1111, .class = 0x0300, .revision = 2};
    memset(vga, 0, sizeof(*vga));
    if (rom_bytes > (1u << 20))
        return -EINVAL;
    if (host && host->mem)
        vga->host = *host;
    vga->own_mem = !vga->host.mem;
    vga->vram = vga->own_mem ? calloc(1, VGA_MEM_BYTES) : vga->host.mem;
    if (!vga->vram)
        return -ENOMEM;
    vga->clk = clk;
    vga->rom = rom;
    vga->rom_bytes = rom ? (u32)rom_bytes : 0;
    pci_dev_init(&vga->pci, &id);
    vga->pci.written = bars_changed;
    vga->pci.opaque = vga;
    pci_dev_bar(&vga->pci, 0, VGA_VRAM_BYTES, false, 0x08, &vga_lfb_ops, vga);
    pci_dev_bar(&vga->pci, 2, 4096, false, 0, &mmio_ops, vga);
    u32 rom_size = 2048;
    while (rom_size < vga->rom_bytes)
        rom_size *= 2;
    if (vga->rom_bytes)
        pci_dev_bar(&vga->pci, PCI_BAR_ROM, rom_size, false, 0, &rom_ops, vga);
    vga_reset(vga);
    int err = io_bus_register(pci->io, 0x3b0, 12, &mono_ops, vga);
    if (!err)
        err = io_bus_register(pci->io, 0x3c0, 32, &main_ops, vga);
    if (!err)
        err = io_bus_register(pci->io, 0x1ce, 3, &vbe_ops, vga);
    if (!err)
        err = mmio_bus_register(pci->mmio, 0xa0000, 0x20000, &vga_window_ops, vga);
    if (err)
        vga_fini(vga);
    return err;
}

void vga_fini(struct vga *vga)
{
    if (vga->own_mem)
        free(vga->vram);
    vga->vram = NULL;
}

void vga_reset(struct vga *vga)
{
    vga->misc = vga->feature = 0;
    vga->seq_index = vga->gfx_index = vga->attr_index = vga->crtc_index = 0;
    vga->attr_data = false;
    memset(vga->seq, 0, sizeof(vga->seq));
    memset(vga->gfx, 0, sizeof(vga->gfx));
    vga->gfx[GFX_BIT_MASK] = 0xff; /* text works on a card that nobody has set up further */
    memset(vga->attr, 0, sizeof(vga->attr));
    memset(vga->crtc, 0, sizeof(vga->crtc));
    memset(vga->palette, 0, sizeof(vga->palette));
    vga->dac_mask = 0xff;
    vga->dac_state = vga->dac_read = vga->dac_write = vga->dac_sub = 0;
    vga->vbe_index = 0;
    memset(vga->vbe, 0, sizeof(vga->vbe));
    vga->vbe[VBE_ID] = VBE_ID_LAST;
    vga->bank = 0;
    touch_memory(vga);
}
