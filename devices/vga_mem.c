/*
 * vga_mem.c - how processor accesses to A0000h-BFFFFh reach the four planes (IBM VGA reference).
 *
 * VRAM is kept as the planes chained: byte 4 * n + p is byte n of plane p, so one 32-bit word holds what the latches hold, and all
 * planes are read and written at once. Chain-4 and linear modes see it as it is, odd/even (text) uses two planes at a time.
 * Blocks are what string instructions move: the registers' meaning is looked at once for all of their bytes.
 */
#include "devices/vga_mem.h"

#include <string.h>

#define OUTSIDE UINT32_MAX

/* Bit p of the index in all bits of byte p. */
static u32 planes(unsigned bits)
{
    static const u32 table[16] = {
        0x00000000, 0x000000ff, 0x0000ff00, 0x0000ffff, 0x00ff0000, 0x00ff00ff, 0x00ffff00, 0x00ffffff,
        0xff000000, 0xff0000ff, 0xff00ff00, 0xff00ffff, 0xffff0000, 0xffff00ff, 0xffffff00, 0xffffffff,
    };

    return table[bits & 15];
}

u32 vga_mem_window(const struct vga *vga, u32 *bytes)
{
    static const struct {
        u32 base, bytes;
    } window[4] = {{0, 0x20000}, {0, 0x10000}, {0x10000, 0x8000}, {0x18000, 0x8000}};
    unsigned mode = vga->gfx[GFX_MISC] >> 2 & 3;

    *bytes = window[mode].bytes;
    return window[mode].base;
}

bool vga_mem_is_plain(const struct vga *vga)
{
    return !(vga->gfx[GFX_MODE] & (GFX_MODE_WRITE | GFX_MODE_COMPARE)) && !(vga->gfx[GFX_ENABLE_SR] & 15) &&
           !vga->gfx[GFX_ROTATE] && vga->gfx[GFX_BIT_MASK] == 0xff;
}

/* Offset into the selected window plus bank, OUTSIDE if the card does not decode it. */
static u32 decode(const struct vga *vga, u32 offset)
{
    u32 bytes, base = vga_mem_window(vga, &bytes);

    offset &= VGA_WINDOW_BYTES - 1;
    if (offset < base || offset - base >= bytes)
        return OUTSIDE;
    return offset - base + (bytes == 0x10000 ? vga->bank : 0);
}

static u32 word_at(const struct vga *vga, u32 n)
{
    u32 v;

    memcpy(&v, vga->vram + 4 * (size_t)n, 4);
    return v;
}

static u32 latch(const struct vga *vga)
{
    u32 v;

    memcpy(&v, vga->latch, 4);
    return v;
}

/* What a chained access at `at` uses: a byte of mem, and its plane; OUTSIDE: beyond VRAM. */
static u32 chained(const struct vga *vga, u32 at, unsigned *plane)
{
    *plane = at & 3;
    if (!(vga->seq[SEQ_MEM_MODE] & SEQ_CHAIN4)) {
        *plane = (vga->gfx[GFX_READ_MAP] & 2) | (at & 1);
        if (vga->text_live && at < VGA_TEXT_BYTES)
            return VGA_VRAM_BYTES + at;
        at = (at & ~1u) << 1 | *plane;
    }
    return at < VGA_VRAM_BYTES ? at : OUTSIDE;
}

static bool is_chained(const struct vga *vga)
{
    return vga->seq[SEQ_MEM_MODE] & SEQ_CHAIN4 || vga->gfx[GFX_MODE] & GFX_MODE_ODD_EVEN;
}

/* ---- reads ---- */

/* Read mode 1: which dots have the colour? */
static u8 compare(const struct vga *vga, u32 word)
{
    u32 differs = (word ^ planes(vga->gfx[GFX_COMPARE])) & planes(vga->gfx[GFX_DONT_CARE]);

    differs |= differs >> 16;
    return (u8) ~(differs | differs >> 8);
}

u8 vga_mem_read(struct vga *vga, u32 offset)
{
    u32 at = decode(vga, offset), word;
    unsigned plane;

    if (at == OUTSIDE)
        return 0xff;
    if (is_chained(vga)) {
        at = chained(vga, at, &plane);
        if (at == OUTSIDE)
            return 0xff;
        return vga->vram[at]; /* latches stay: when this memory is mapped nobody sees reads */
    }
    if (at >= VGA_VRAM_BYTES / 4)
        return 0xff;
    word = word_at(vga, at);
    memcpy(vga->latch, &word, 4);
    return vga->gfx[GFX_MODE] & GFX_MODE_COMPARE ? compare(vga, word)
                                                 : vga->latch[vga->gfx[GFX_READ_MAP] & 3];
}

/* ---- writes ---- */

/* What write mode, set/reset, rotation, function and bit mask make of a byte, for all planes: bits that `mask` selects come from `v`. */
static u32 combine(const struct vga *vga, u8 val)
{
    unsigned turn = vga->gfx[GFX_ROTATE] & 7;
    u8 rotated = (u8)(val >> turn | val << (8 - turn)), bits = vga->gfx[GFX_BIT_MASK];
    u32 set = planes(vga->gfx[GFX_SET_RESET]), enable = planes(vga->gfx[GFX_ENABLE_SR]), old = latch(vga), v,
        mask;

    switch (vga->gfx[GFX_MODE] & GFX_MODE_WRITE) {
    case 0: v = (set & enable) | (rotated * 0x01010101u & ~enable); break;
    case 1: return old;
    case 2: v = planes(val); break;
    default: v = set, bits &= rotated; break;
    }
    switch (vga->gfx[GFX_ROTATE] >> 3 & 3) {
    case 1: v &= old; break;
    case 2: v |= old; break;
    case 3: v ^= old; break;
    default: break;
    }
    mask = bits * 0x01010101u;
    return (v & mask) | (old & ~mask);
}

static void write_chained(struct vga *vga, u32 at, u8 val)
{
    unsigned plane;

    at = chained(vga, at, &plane);
    if (at == OUTSIDE || !(vga->seq[SEQ_MAP_MASK] & BIT(plane)))
        return;
    if (!vga_mem_is_plain(vga))
        val = (u8)(combine(vga, val) >> plane * 8);
    vga->vram[at] = val;
    vga_note(vga, at, 1);
}

void vga_mem_write(struct vga *vga, u32 offset, u8 val)
{
    u32 at = decode(vga, offset), map, word;

    if (at == OUTSIDE)
        return;
    if (is_chained(vga)) {
        write_chained(vga, at, val);
        return;
    }
    map = planes(vga->seq[SEQ_MAP_MASK]);
    if (at >= VGA_VRAM_BYTES / 4 || !map)
        return;
    word = vga_mem_is_plain(vga) ? val * 0x01010101u : combine(vga, val);
    word = (word_at(vga, at) & ~map) | (word & map);
    memcpy(vga->vram + 4 * (size_t)at, &word, 4);
    vga_note(vga, 4 * at, 4);
}

/* ---- blocks ---- */

/* How many of n bytes from `at` on lie in the window and, not chained, in VRAM. */
static u32 fits(const struct vga *vga, u32 offset, u32 n)
{
    u32 bytes, base = vga_mem_window(vga, &bytes), at = decode(vga, offset);

    if (at == OUTSIDE || is_chained(vga) || at >= VGA_VRAM_BYTES / 4)
        return 0;
    n = (u32)min_u64(n, base + bytes - (offset & (VGA_WINDOW_BYTES - 1)));
    return (u32)min_u64(n, VGA_VRAM_BYTES / 4 - at);
}

/* Every plane of the map takes the byte as it is. */
static void write_plain(u8 *restrict to, const u8 *restrict from, u32 n, u32 map)
{
    for (u32 i = 0; i < n; i++) {
        u32 word;

        memcpy(&word, to + 4 * (size_t)i, 4);
        word = (word & ~map) | (from[i] * 0x01010101u & map);
        memcpy(to + 4 * (size_t)i, &word, 4);
    }
}

/* n bytes, each by itself; those of unchained modes in one go. */
static void write_block(void *opaque, u32 offset, const u8 *from, u32 n)
{
    struct vga *vga = opaque;
    u32 whole = fits(vga, offset, n), at = decode(vga, offset), map = planes(vga->seq[SEQ_MAP_MASK]);
    u8 *to = vga->vram + 4 * (size_t)at;

    vga_map_access(vga, n);
    if (vga_mem_is_plain(vga))
        write_plain(to, from, whole, map);
    for (u32 i = 0; map && !vga_mem_is_plain(vga) && i < whole; i++, to += 4) {
        u32 word, v = combine(vga, from[i]);

        memcpy(&word, to, 4);
        word = (word & ~map) | (v & map);
        memcpy(to, &word, 4);
    }
    if (whole && map)
        vga_note(vga, 4 * at, 4 * whole);
    for (u32 i = whole; i < n; i++)
        vga_mem_write(vga, offset + i, from[i]);
}

/* A byte is read, which fills the latches, and written: what moves a planar picture. */
static void move_block(void *opaque, u32 from, u32 to, u32 n)
{
    struct vga *vga = opaque;
    u32 whole = (u32)min_u64(fits(vga, from, n), fits(vga, to, n)), map = planes(vga->seq[SEQ_MAP_MASK]),
        i = 0;
    u32 source = decode(vga, from), at = decode(vga, to), p = vga->gfx[GFX_READ_MAP] & 3;
    bool plain_read = !(vga->gfx[GFX_MODE] & GFX_MODE_COMPARE);

    vga_map_access(vga, n);
    if (whole && map && plain_read)
        vga_note(vga, 4 * at, 4 * whole);
    for (; plain_read && i < whole; i++) {
        u32 word;

        memcpy(vga->latch, vga->vram + 4 * (size_t)(source + i), 4);
        word = (word_at(vga, at + i) & ~map) | (combine(vga, vga->latch[p]) & map);
        memcpy(vga->vram + 4 * (size_t)(at + i), &word, 4);
    }
    for (; i < n; i++)
        vga_mem_write(vga, to + i, vga_mem_read(vga, from + i));
}

static void read_block(void *opaque, u32 offset, u8 *to, u32 n)
{
    struct vga *vga = opaque;

    vga_map_access(vga, n);
    for (u32 i = 0; i < n; i++)
        to[i] = vga_mem_read(vga, offset + i);
}

static u32 window_read(void *opaque, u32 offset, unsigned size)
{
    u32 v = 0;

    vga_map_access(opaque, size);
    for (unsigned i = 0; i < size; i++)
        v |= (u32)vga_mem_read(opaque, offset + i) << (8 * i);
    return v;
}

static void window_write(void *opaque, u32 offset, unsigned size, u32 val)
{
    vga_map_access(opaque, size);
    for (unsigned i = 0; i < size; i++)
        vga_mem_write(opaque, offset + i, (u8)(val >> (8 * i)));
}

static u32 lfb_read(void *opaque, u32 offset, unsigned size)
{
    struct vga *vga = opaque;
    u32 v = 0;

    vga_map_access_lfb(vga, size);
    if (offset < VGA_VRAM_BYTES && size <= VGA_VRAM_BYTES - offset)
        memcpy(&v, vga->vram + offset, size);
    return v;
}

static void lfb_write(void *opaque, u32 offset, unsigned size, u32 val)
{
    struct vga *vga = opaque;

    vga_map_access_lfb(vga, size);
    if (offset >= VGA_VRAM_BYTES || size > VGA_VRAM_BYTES - offset)
        return;
    memcpy(vga->vram + offset, &val, size);
    vga_note(vga, offset, size);
}

const struct bus_ops vga_window_ops = {
    .read = window_read,
    .write = window_write,
    .max_size = 4,
    .read_block = read_block,
    .write_block = write_block,
    .move_block = move_block,
};
const struct bus_ops vga_lfb_ops = {.read = lfb_read, .write = lfb_write, .max_size = 4};
