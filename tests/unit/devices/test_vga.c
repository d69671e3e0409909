/*
 * test_vga.c - the VGA's memory and picture: against a model written from the manual, mapped against unmapped, old against new.
 *
 * Broken by: a write mode, latch or mask gone wrong in one of the ways to memory (byte, word, block, move); a mapping that outlives the
 * registers that made it, or text that does not come back from it; a line that changed and is not drawn again; a register value
 * that makes drawing read or write outside (under ASan).
 */
#include <criterion/criterion.h>

#include "devices/vga.h"
#include "devices/vga_mem.h"
#include "tests/unit/devices/board.h"

#define PLANE_BYTES 65536u

struct card {
    struct board *b;
    struct pci_bus pci;
    struct vga vga;
    /* a guest's view of mem through mappings */
    bool mapped;
    u8 *mem;
    struct {
        u64 gpa;
        u32 bytes, offset;
    } map[2];
    u64 written[VGA_DIRTY_WORDS];
    bool logging;
    unsigned maps;
};

static u64 next(u64 *s)
{
    *s ^= *s << 13;
    *s ^= *s >> 7;
    *s ^= *s << 17;
    return *s;
}

static bool map(void *opaque, u64 gpa, u32 bytes, u32 offset)
{
    struct card *c = opaque;

    for (unsigned i = 0; i < 2; i++)
        if (!c->map[i].bytes) {
            c->map[i].gpa = gpa;
            c->map[i].bytes = bytes;
            c->map[i].offset = offset;
            c->maps++;
            return true;
        }
    cr_assert_fail("a third mapping");
    return false;
}

static void unmap(void *opaque, u64 gpa, u32 bytes)
{
    struct card *c = opaque;

    for (unsigned i = 0; i < 2; i++)
        if (c->map[i].bytes == bytes && c->map[i].gpa == gpa) {
            c->map[i].bytes = 0;
            return;
        }
    cr_assert_fail("not mapped");
}

static void written(void *opaque, u64 bits[VGA_DIRTY_WORDS])
{
    struct card *c = opaque;

    for (unsigned i = 0; i < VGA_DIRTY_WORDS; i++) {
        bits[i] |= c->logging ? c->written[i] : ~0ull;
        c->written[i] = 0;
    }
    c->logging = true;
}

static struct card *card_new(bool mapped)
{
    static const u8 rom[64];
    struct card *c = calloc(1, sizeof(*c));
    struct vga_host host = {
        .mem = calloc(1, VGA_MEM_BYTES), .opaque = c, .map = map, .unmap = unmap, .written = written};

    c->b = board_new();
    c->mem = host.mem;
    cr_assert_eq(pci_init(&c->pci, &c->b->io, &c->b->mmio, NULL, NULL), 0);
    cr_assert_eq(vga_init(&c->vga, &c->pci, &c->b->clk, rom, sizeof(rom), mapped ? &host : NULL), 0);
    c->vga.pci.bar[0].mapped = true;
    c->vga.pci.bar[0].mapped_at = 0xe0000000;
    cr_assert_eq(mmio_bus_register(&c->b->mmio, 0xe0000000, VGA_VRAM_BYTES, &vga_lfb_ops, &c->vga), 0);
    return c;
}

static void card_free(struct card *c)
{
    vga_fini(&c->vga);
    free(c->mem);
    free(c->b);
    free(c);
}

/* As the guest: memory where it is mapped, else the bus. */
static u8 *through(struct card *c, u64 gpa, u32 bytes, bool write)
{
    for (unsigned i = 0; i < 2; i++)
        if (gpa - c->map[i].gpa < c->map[i].bytes && bytes <= c->map[i].bytes - (gpa - c->map[i].gpa)) {
            u32 at = c->map[i].offset + (u32)(gpa - c->map[i].gpa);

            if (write)
                for (u32 p = at / PAGE_BYTES; p <= (at + bytes - 1) / PAGE_BYTES; p++)
                    c->written[p / 64] |= 1ull << (p % 64);
            return c->mem + at;
        }
    return NULL;
}

static u32 guest_read(struct card *c, u64 gpa, unsigned size)
{
    const u8 *p = through(c, gpa, size, false);
    u32 v = 0;

    if (!p)
        return (u32)mmio_bus_read(&c->b->mmio, gpa, size);
    memcpy(&v, p, size);
    return v;
}

static void guest_write(struct card *c, u64 gpa, unsigned size, u32 v)
{
    u8 *p = through(c, gpa, size, true);

    if (p)
        memcpy(p, &v, size);
    else
        mmio_bus_write(&c->b->mmio, gpa, size, v);
}

static void reg(struct card *c, u16 port, u8 index, u8 val)
{
    outb(c->b, port, index);
    outb(c->b, (u16)(port + 1), val);
}

/* ---- memory against the manual ---- */

/* Planes as four arrays, every access by the book: nothing shared with vga_mem.c but the register numbers. */
struct model {
    u8 plane[4][PLANE_BYTES], latch[4], gfx[9], map_mask;
};

static u8 model_read(struct model *m, u32 n)
{
    u8 v = 0;

    for (unsigned p = 0; p < 4; p++)
        m->latch[p] = m->plane[p][n];
    if (!(m->gfx[5] & 8))
        return m->latch[m->gfx[4] & 3];
    for (unsigned bit = 0; bit < 8; bit++) {
        bool match = true;

        for (unsigned p = 0; p < 4; p++)
            if (m->gfx[7] >> p & 1)
                match &= (m->latch[p] >> bit & 1) == (m->gfx[2] >> p & 1);
        v |= (u8)(match << bit);
    }
    return v;
}

static void model_write(struct model *m, u32 n, u8 val)
{
    unsigned mode = m->gfx[5] & 3, turn = m->gfx[3] & 7;
    u8 rotated = (u8)(val >> turn | val << ((8 - turn) & 7));

    for (unsigned p = 0; p < 4; p++) {
        u8 set = m->gfx[0] >> p & 1 ? 0xff : 0, mask = m->gfx[8], old = m->latch[p], v;

        if (!(m->map_mask >> p & 1))
            continue;
        switch (mode) {
        case 0: v = m->gfx[1] >> p & 1 ? set : rotated; break;
        case 1: m->plane[p][n] = old; continue;
        case 2: v = val >> p & 1 ? 0xff : 0; break;
        default: v = set, mask &= rotated;
        }
        switch (m->gfx[3] >> 3 & 3) {
        case 1: v &= old; break;
        case 2: v |= old; break;
        case 3: v ^= old; break;
        default: break;
        }
        m->plane[p][n] = (u8)((v & mask) | (old & ~mask));
    }
}

static void model_access(struct card *c, struct model *m, u64 *s)
{
    u32 at = (u32)next(s) % 4000, to = (u32)next(s) % 4000, n = 1 + (u32)next(s) % 60;
    u8 buf[64], got[64];

    for (u32 i = 0; i < n; i++)
        buf[i] = (u8)next(s);
    switch (next(s) % 6) {
    case 0: cr_assert_eq(mmio_bus_read(&c->b->mmio, 0xa0000 + at, 1), model_read(m, at)); break;
    case 1:
        mmio_bus_write(&c->b->mmio, 0xa0000 + at, 1, buf[0]);
        model_write(m, at, buf[0]);
        break;
    case 2:
        mmio_bus_write(&c->b->mmio, 0xa0000 + at, 4, buf[0] | buf[1] << 8 | buf[2] << 16 | (u32)buf[3] << 24);
        for (unsigned i = 0; i < 4; i++)
            model_write(m, at + i, buf[i]);
        break;
    case 3:
        cr_assert(mmio_bus_write_block(&c->b->mmio, 0xa0000 + at, buf, n));
        for (u32 i = 0; i < n; i++)
            model_write(m, at + i, buf[i]);
        break;
    case 4:
        cr_assert(mmio_bus_read_block(&c->b->mmio, 0xa0000 + at, got, n));
        for (u32 i = 0; i < n; i++)
            cr_assert_eq(got[i], model_read(m, at + i));
        break;
    default:
        cr_assert(mmio_bus_move_block(&c->b->mmio, 0xa0000 + at, 0xa0000 + to, n));
        for (u32 i = 0; i < n; i++)
            model_write(m, to + i, model_read(m, at + i));
    }
}

Test(vga_memory, planes_by_the_manual)
{
    static const u8 masks[9] = {15, 15, 15, 0x1f, 3, 0x0b, 0, 15, 0xff};
    struct card *c = card_new(false);
    struct model *m = calloc(1, sizeof(*m));
    u64 s = 0x9e3779b97f4a7c15;

    reg(c, 0x3c4, 4, 0x06);
    reg(c, 0x3ce, 6, 0x05);
    for (unsigned round = 0; round < 20000; round++) {
        u8 i = (u8)(next(&s) % 10), v = (u8)next(&s);

        if (i == 9) {
            m->map_mask = v & 15;
            reg(c, 0x3c4, 2, v);
        } else if (i != 6) {
            v &= masks[i];
            if (next(&s) % 3 == 0) /* the usual value now and then */
                v = i == 8 ? 0xff : 0;
            m->gfx[i] = v;
            reg(c, 0x3ce, i, v);
        }
        if (round == 0)
            memcpy(m->gfx + 8, &c->vga.gfx[8], 1);
        model_access(c, m, &s);
        model_access(c, m, &s);
    }
    for (u32 n = 0; n < 4096; n++)
        for (unsigned p = 0; p < 4; p++)
            cr_assert_eq(c->vga.vram[4 * n + p], m->plane[p][n], "plane %u byte %u", p, n);
    free(m);
    card_free(c);
}

/* ---- mapped against unmapped, drawn bit by bit against drawn anew ---- */

static void set_text(struct card *c)
{
    static const u8 crtc[][2] = {{0x01, 79}, {0x06, 0xbf}, {0x07, 0x1f}, {0x09, 0x4f}, {0x0a, 13},
                                 {0x0b, 14}, {0x12, 0x8f}, {0x13, 40},   {0x17, 0xa3}, {0x18, 0xff}};

    outb(c->b, 0x3c2, 0x67);
    reg(c, 0x3d4, 0x11, 0);
    for (unsigned i = 0; i < ARRAY_SIZE(crtc); i++)
        reg(c, 0x3d4, crtc[i][0], crtc[i][1]);
    reg(c, 0x1ce, 0, 0);
    (void)inb(c->b, 0x3da);
    for (u8 i = 0; i < 16; i++) {
        outb(c->b, 0x3c0, i);
        outb(c->b, 0x3c0, i);
    }
    outb(c->b, 0x3c0, 0x33); /* the first dot is the first */
    outb(c->b, 0x3c0, 0x08);
    outb(c->b, 0x3c0, 0x32);
    outb(c->b, 0x3c0, 0x0f);
    outb(c->b, 0x3c8, 0);
    for (unsigned i = 0; i < 768; i++)
        outb(c->b, 0x3c9, i * 7 & 63);
}

static void vbe(struct card *c, u16 index, u16 val)
{
    io_bus_write(&c->b->io, 0x1ce, 2, index);
    io_bus_write(&c->b->io, 0x1cf, 2, val);
}

/* The whole modes that programs switch between. */
static void set_mode(struct card *c, unsigned mode)
{
    static const struct {
        u8 map_mask, mem_mode, gfx5, gfx6, chain;
    } m[] = {
        {3, 2, 0x10, 0x0e, 0},   /* text */
        {15, 14, 0x40, 0x05, 0}, /* 13h */
        {15, 6, 0x00, 0x05, 0},  /* planar */
        {4, 6, 0x00, 0x04, 0},   /* font */
        {15, 6, 0x40, 0x05, 0},  /* X */
        {3, 2, 0x30, 0x0f, 0},   /* CGA */
    };
    bool linear = mode >= ARRAY_SIZE(m);

    vbe(c, 4, 0);
    if (linear) {
        vbe(c, 1, 320);
        vbe(c, 2, 200);
        vbe(c, 3, mode % 2 ? 32 : 8);
        vbe(c, 4, 0xc1);
        return;
    }
    reg(c, 0x3c4, 2, m[mode].map_mask);
    reg(c, 0x3c4, 4, m[mode].mem_mode);
    reg(c, 0x3ce, 5, m[mode].gfx5);
    reg(c, 0x3ce, 6, m[mode].gfx6);
    reg(c, 0x3ce, 8, 0xff);
    reg(c, 0x3ce, 1, 0);
    reg(c, 0x3ce, 3, 0);
    reg(c, 0x3ce, 4, 0);
}

static void change(struct card *c, u64 s)
{
    u8 v = (u8)next(&s);

    switch (next(&s) % 24) {
    case 0:
    case 1: set_mode(c, next(&s) % 8); break;
    case 2: vbe(c, 5, v & 7); break;
    case 3: reg(c, 0x3ce, 8, v & 1 ? 0xff : v); break;
    case 4: reg(c, 0x3ce, 5, v & 0x73); break;
    case 5: reg(c, 0x3c4, 2, v & 1 ? 15 : v); break;
    case 6: reg(c, 0x3ce, 6, v & 0x0f); break;
    case 7: reg(c, 0x3d4, v & 1 ? 0x0d : 0x0c, v); break;
    case 8: vbe(c, 9, v & 63); break;
    case 9: reg(c, 0x3d4, 0x0f, v); break;
    case 10:
        (void)inb(c->b, 0x3da);
        outb(c->b, 0x3c0, 0x33);
        outb(c->b, 0x3c0, v & 7);
        break;
    case 11: vga_map_none(&c->vga); break;
    default: break;
    }
}

static u64 random_place(u64 *s)
{
    u64 r = next(s);

    switch (r % 4) {
    case 0: return 0xb8000 + (r >> 8) % 4100;
    case 1: return 0xa0000 + (r >> 8) % 0x1fffc;
    case 2: return 0xa0000 + (r >> 8) % 1000;
    default: return 0xe0000000 + (r >> 8) % (400 << 10);
    }
}

static void same_picture(struct card *a, struct vga_picture *kept, struct card *b, u64 now)
{
    struct vga_picture fresh = {.once = true};

    cr_assert_geq(vga_draw(&a->vga, kept, 0), 0);
    cr_assert_eq(vga_draw(&b->vga, &fresh, now), 1);
    cr_assert(kept->width == fresh.width && kept->height == fresh.height && kept->text == fresh.text);
    for (u32 i = 0; i < fresh.width * fresh.height; i++)
        cr_assert_eq(kept->pixel[i], fresh.pixel[i], "pixel %u,%u kind %u", i % fresh.width, i / fresh.width,
                     kept->scan.kind);
    vga_picture_free(&fresh);
}

static void side_by_side(u64 seed, unsigned rounds)
{
    struct card *a = card_new(true), *b = card_new(false);
    struct vga_picture kept = {0};
    u64 s = seed;

    set_text(a);
    set_text(b);
    set_mode(a, 0);
    set_mode(b, 0);
    for (unsigned round = 0; round < rounds; round++) {
        u64 what = next(&s), place = random_place(&s);
        unsigned n = 1 + (unsigned)(what >> 8) % 100;

        change(a, what);
        change(b, what);
        for (unsigned i = 0; i < n; i++, place += 4) {
            u32 v = (u32)next(&s);

            if (v & 16) {
                guest_write(a, place, 4, v);
                guest_write(b, place, 4, v);
            } else {
                cr_assert_eq(guest_read(a, place, 2), guest_read(b, place, 2), "round %u at %llx", round,
                             (unsigned long long)place);
            }
        }
        if (round % 8 == 0)
            same_picture(a, &kept, b, 0);
    }
    cr_assert_gt(a->maps, rounds / 200, "nothing was mapped");
    vga_picture_free(&kept);
    card_free(a);
    card_free(b);
}

Test(vga_map, the_guest_cannot_tell)
{
    for (u64 seed = 1; seed <= 4; seed++)
        side_by_side(seed * 0x9e3779b97f4a7c15, 400);
}

Test(vga_map, text_goes_to_memory_of_its_own_and_back)
{
    struct card *c = card_new(true);

    set_text(c);
    set_mode(c, 0);
    for (u32 i = 0; i < 2000; i++)
        guest_write(c, 0xb8000 + 2 * i, 2, i * 3 & 0xffff);
    cr_assert(c->vga.text_live && c->maps == 1 && through(c, 0xb8000, 2, false));
    reg(c, 0x3ce, 5, 0); /* the font's registers: the window is the card's again at once */
    cr_assert(!c->vga.text_live && !through(c, 0xb8000, 2, false));
    for (u32 i = 0; i < 2000; i++)
        cr_assert(c->vga.vram[4 * i] == (u8)(i * 3) && c->vga.vram[4 * i + 1] == (u8)(i * 3 >> 8));
    card_free(c);
}

/* ---- pictures ---- */

static u32 *draw_text(struct card *c, struct vga_picture *p, u64 now)
{
    cr_assert_geq(vga_draw(&c->vga, p, now), 0);
    cr_assert(p->text && p->width == 720 && p->height == 400);
    return p->pixel;
}

Test(vga_draw, text_details)
{
    struct card *c = card_new(false);
    struct vga_picture p = {0};
    u32 *px, fg, bg;

    set_text(c);
    set_mode(
        c,
        3); /* font: character 1 has its left and right dots, c4h a line with its right dot, in map 0; all dots in map 4 */
    for (u32 line = 0; line < 16; line++) {
        guest_write(c, 0xa0000 + 32 + line, 1, 0x81);
        guest_write(c, 0xa0000 + 0xc4 * 32 + line, 1, 0xff);
        guest_write(c, 0xa0000 + 0x2000 + 32 + line, 1, 0xff);
    }
    set_mode(c, 0);
    reg(c, 0x3d4, 0x0e, 0xff); /* no cursor */
    guest_write(c, 0xb8000, 4, 0x1fc41f01);
    guest_write(c, 0xb8004, 4, 0x17011f01);
    px = draw_text(c, &p, 0);
    fg = px[0], bg = px[1];
    cr_assert(fg != bg && px[7] == fg && px[8] == bg && px[9] == fg && px[17] == bg,
              "no ninth dot: line graphics is off");
    (void)inb(c->b, 0x3da);
    outb(c->b, 0x3c0, 0x30);
    outb(c->b, 0x3c0, 0x04);
    px = draw_text(c, &p, 0);
    cr_assert(px[17] == fg && px[8] == bg, "c4h goes on into the ninth dot, 01h does not");
    reg(c, 0x3c4, 3, 0x20); /* 512 characters: attribute bit 3 set takes map 4 */
    px = draw_text(c, &p, 0);
    cr_assert(px[1] == fg && px[6] == fg && px[28] != px[27], "cell 3, without bit 3, has map 0");
    reg(c, 0x3c4, 3, 0);
    outb(c->b, 0x3c0, 0x33); /* panned by two dots (value 1 in 9-dot cells) */
    outb(c->b, 0x3c0, 0x01);
    px = draw_text(c, &p, 0);
    cr_assert(px[5] == fg && px[0] == bg);
    outb(c->b, 0x3c0, 0x33);
    outb(c->b, 0x3c0, 0x08);
    reg(c, 0x3d4, 0x18, 99); /* from line 100 on the text starts again */
    reg(c, 0x3d4, 0x07, 0x0f);
    reg(c, 0x3d4, 0x09, 0x0f);
    px = draw_text(c, &p, 0);
    cr_assert(px[100 * 720] == fg && px[100 * 720 + 1] == bg && px[99 * 720] != fg);
    cr_assert_eq(vga_draw(&c->vga, &p, 0), 0, "nothing changed");
    vga_picture_free(&p);
    card_free(c);
}

Test(vga_draw, cursor_and_characters_blink)
{
    const u64 half = 16 * 14268000ull;
    struct card *c = card_new(false);
    struct vga_picture p = {0};
    u32 *px, on, off;

    set_text(c);
    set_mode(c, 3);
    for (u32 line = 0; line < 16; line++)
        guest_write(c, 0xa0000 + 32 + line, 1, 0xff);
    set_mode(c, 0);
    (void)inb(c->b, 0x3da);
    outb(c->b, 0x3c0, 0x30);
    outb(c->b, 0x3c0, 0x08);
    guest_write(c, 0xb8000, 4, 0x8f010f00);
    px = draw_text(c, &p, 0);
    on = px[9], off = px[0];
    cr_assert(on != off && px[13 * 720] == on && px[12 * 720] == off && px[14 * 720 + 8] == on &&
              px[15 * 720] == off);
    cr_assert_eq(p.still_ns, half);
    px = draw_text(c, &p, half);
    cr_assert(px[13 * 720] == off && px[9] == on, "the cursor is gone, the character still there");
    cr_assert(p.row[13] == p.generation && p.row[16] != p.generation, "only its row");
    px = draw_text(c, &p, 2 * half);
    cr_assert(px[13 * 720] == on && px[9] == off, "characters blink half as fast");
    reg(c, 0x3d4, 0x0a, 0x2d);
    px = draw_text(c, &p, 0);
    cr_assert(px[13 * 720] == off, "switched off");
    vga_picture_free(&p);
    card_free(c);
}

Test(vga_draw, colours)
{
    struct card *c = card_new(false);
    struct vga_picture p = {0};

    set_text(c);
    vbe(c, 1, 320);
    vbe(c, 2, 200);
    vbe(c, 3, 8);
    vbe(c, 4, 0x01);
    outb(c->b, 0x3c8, 5);
    outb(c->b, 0x3c9, 63);
    outb(c->b, 0x3c9, 32);
    outb(c->b, 0x3c9, 1);
    guest_write(c, 0xe0000000, 1, 5);
    cr_assert_eq(vga_draw(&c->vga, &p, 0), 1);
    cr_assert_eq(p.pixel[0], 0xff8204, "six bits: %06x", p.pixel[0]);
    vbe(c, 4, 0x21 | 0x80);
    cr_assert_eq(vga_draw(&c->vga, &p, 0), 1);
    cr_assert_eq(p.pixel[0], 0x3f2001, "eight: %06x", p.pixel[0]);
    outb(c->b, 0x3c6, 0xfa); /* the mask makes it colour 0 */
    outb(c->b, 0x3c8, 0);
    for (unsigned i = 0; i < 3; i++)
        outb(c->b, 0x3c9, 0x11);
    cr_assert_eq(vga_draw(&c->vga, &p, 0), 1);
    cr_assert_eq(p.pixel[0], 0x111111);
    vbe(c, 4, 0);
    outb(c->b, 0x3c4, 1);
    outb(c->b, 0x3c5, 0x20); /* screen off */
    cr_assert_eq(vga_draw(&c->vga, &p, 0), 1);
    for (u32 i = 0; i < p.width * p.height; i++)
        cr_assert_eq(p.pixel[i], 0);
    vga_picture_free(&p);
    card_free(c);
}

/* ---- everything at random ---- */

Test(vga_draw, no_register_is_too_strange)
{
    static const u16 ports[] = {0x3c0, 0x3c2, 0x3c4, 0x3c5, 0x3c6, 0x3c7, 0x3c8, 0x3c9,
                                0x3ce, 0x3cf, 0x3d4, 0x3d5, 0x3da, 0x3b4, 0x3b5};
    struct card *c = card_new(true);
    struct vga_picture p = {0};
    u64 s = 77;

    set_text(c);
    for (unsigned round = 0; round < 20000; round++) {
        u64 r = next(&s);

        if (r % 5 == 0)
            vbe(c, r >> 8 & 15, (u16)(r >> 16 & 3 ? r >> 20 & 0xfff : r >> 20));
        else
            outb(c->b, ports[(r >> 8) % ARRAY_SIZE(ports)], (u8)(r >> 32));
        guest_write(c, random_place(&s), 4, (u32)r);
        (void)guest_read(c, 0xe0000000 + VGA_VRAM_BYTES - 1 - (r >> 40 & 7), 2);
        if (round % 100 == 0)
            cr_assert_geq(vga_draw(&c->vga, &p, round * 10000000ull), 0);
    }
    vga_reset(&c->vga);
    cr_assert_geq(vga_draw(&c->vga, &p, 0), 0);
    vga_picture_free(&p);
    card_free(c);
}
