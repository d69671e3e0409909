/*
 * media.c - images at random: a disk's partition table, a CD's El Torito catalog, a floppy's size and BPB, heads of image formats.
 *
 * Boot sectors jump around in random bytes, or ask the BIOS for sectors with registers at random, again and again.
 */
#include "media.h"

#include "monitor/loader.h" /* put_u16(), put_u32() */

enum { BLOCK = 2048, CD_BLOCKS = 40, DISK_MAX = 1 << 20 };

/* A program for 7C00h: INT 13h with whatever comes out of a generator in its registers, into memory from 1000h on. */
static const u8 asks_bios[] = {
    0xfa, 0x31, 0xc0, 0x8e, 0xd0, 0xbc, 0x00, 0x7c, 0xfb,       /* cli; ss:sp = 0:7c00; sti */
    0x66, 0xbe, 0x01, 0x00, 0x00, 0x00,                         /* mov esi, 1 (the seed, patched in) */
    0x66, 0x69, 0xf6, 0x0d, 0x66, 0x19, 0x00,                   /* again: imul esi, esi, 19660dh */
    0x66, 0x81, 0xc6, 0x5f, 0xf3, 0x6e, 0x3c,                   /* add esi, 3c6ef35fh */
    0xbb, 0x00, 0x10, 0x8e, 0xc3, 0x31, 0xdb,                   /* es = 1000h, bx = 0 */
    0x66, 0x89, 0xf1, 0x66, 0xc1, 0xe9, 0x08,                   /* mov ecx, esi; shr ecx, 8 */
    0x66, 0x89, 0xf2, 0x66, 0xc1, 0xea, 0x10,                   /* mov edx, esi; shr edx, 16 */
    0x83, 0xe2, 0xff, 0x80, 0xe2, 0x81, 0x80, 0xe6, 0x03,       /* dl: drive 0, 1, 80h, 81h; dh: head 0-3 */
    0x66, 0x89, 0xf0, 0x66, 0xc1, 0xe8, 0x14, 0x24, 0x0f,       /* al: 0-15 sectors */
    0xb4, 0x02, 0xcd, 0x13,                                     /* read */
    0xeb, 0xc5,                                                 /* jmp again */
};

static void boot_sector(struct fuzz *f, u8 *s, bool mark)
{
    switch (fuzz_below(f, 3)) {
    case 0:
        for (unsigned i = 0; i < 440; i++)
            s[i] = (u8)fuzz_random(f);
        break;
    default:
        memcpy(s, asks_bios, sizeof(asks_bios));
        put_u32(s + 11, fuzz_random(f));
    }
    if (mark)
        put_u16(s + 510, 0xaa55);
}

static size_t make_disk(struct fuzz *f, u8 *d)
{
    boot_sector(f, d, fuzz_below(f, 8));
    for (unsigned i = 0; i < 4; i++) {
        u8 *e = d + 446 + 16 * i;

        if (fuzz_below(f, 3) == 0)
            continue;
        e[0] = fuzz_below(f, 2) ? 0x80 : 0;
        put_u32(e + 4, fuzz_random(f));
        put_u32(e + 8, fuzz_edge(f));
        put_u32(e + 12, fuzz_edge(f));
        for (unsigned k = 1; k < 8; k++)
            e[k] = fuzz_below(f, 4) ? (u8)fuzz_random(f) : (u8)(fuzz_below(f, 2) ? 0xff : 0);
    }
    return fuzz_below(f, 4) ? 512 * (1 + fuzz_below(f, DISK_MAX / 512)) : fuzz_below(f, DISK_MAX);
}

static size_t make_cd(struct fuzz *f, u8 *d)
{
    u8 *pvd = d + 16 * BLOCK, *boot = d + 17 * BLOCK, *end = d + 18 * BLOCK, *catalog = d + 20 * BLOCK;

    memcpy(pvd, "\1CD001\1", 7);
    memcpy(boot, "\0CD001\1EL TORITO SPECIFICATION", 30);
    put_u32(boot + 0x47, fuzz_below(f, 8) ? 20 : fuzz_edge(f));
    memcpy(end, "\xff" "CD001\1", 7);
    catalog[0] = 1;
    put_u16(catalog + 30, 0xaa55);
    put_u16(catalog + 28, 0u - 0xaa55 - 1);
    catalog[32] = 0x88;
    catalog[33] = (u8)(fuzz_below(f, 4) ? fuzz_below(f, 5) : fuzz_random(f)); /* no emulation, floppies, disk */
    put_u16(catalog + 34, fuzz_below(f, 4) ? 0 : fuzz_random(f));
    put_u16(catalog + 38, fuzz_below(f, 3) ? 4 : fuzz_edge(f));
    put_u32(catalog + 40, fuzz_below(f, 4) ? 24 : fuzz_edge(f));
    boot_sector(f, d + 24 * BLOCK, true);
    if (fuzz_below(f, 2))
        damage(f, catalog, 96, fuzz_below(f, 3));
    if (fuzz_below(f, 6) == 0)
        damage(f, pvd, 3 * BLOCK, fuzz_below(f, 4));
    return fuzz_below(f, 4) ? CD_BLOCKS * BLOCK : fuzz_below(f, CD_BLOCKS * BLOCK);
}

static size_t make_floppy(struct fuzz *f, u8 *d)
{
    static const u32 kib[] = {160, 180, 320, 360, 640, 720};

    boot_sector(f, d, fuzz_below(f, 8));
    if (fuzz_below(f, 2)) /* a BPB, which nothing of ours believes */
        damage(f, d + 11, 25, 6);
    return fuzz_below(f, 4) ? 1024 * kib[fuzz_below(f, ARRAY_SIZE(kib))] : fuzz_below(f, DISK_MAX);
}

/* Big-endian fields of a qcow2 header, most of them as they should be. */
static size_t make_container(struct fuzz *f, u8 *d)
{
    static const struct {
        u32 at, bytes;
        const char *magic;
    } heads[] = {{0, 4, "QED\0"},    {0, 4, "KDMV"}, {0, 4, "COWD"}, {0, 21, "# Disk DescriptorFile"}, {0, 8, "conectix"}, {0, 8, "vhdxfile"},
                 {64, 4, "\x7f\x10\xda\xbe"}, {0, 16, "WithoutFreeSpace"}, {0, 6, "LUKS\xba\xbe"}, {0, 4, "QFI\xfb"}};
    static const u8 qcow2[104] = {'Q', 'F', 'I', 0xfb, [7] = 3, [23] = 16, [29] = 0x10, [39] = 1, [45] = 3,
                                  [53] = 1, [59] = 1, [99] = 4, [103] = 104}; /* 1 MiB, in clusters of 64 KiB */
    u32 which = fuzz_below(f, 2 * ARRAY_SIZE(heads));

    if (which >= ARRAY_SIZE(heads)) {
        memcpy(d, qcow2, sizeof(qcow2));
        damage(f, d, 112, fuzz_below(f, 5));
        memcpy(d, "QFI\xfb", 4);
    } else {
        for (unsigned i = 0; i < 1024; i++)
            d[i] = (u8)fuzz_edge(f);
        memcpy(d + heads[which].at, heads[which].magic, heads[which].bytes);
    }
    return fuzz_below(f, 4) ? 65536 * (1 + fuzz_below(f, 6)) : fuzz_below(f, 70000);
}

void make_medium(struct fuzz *f, enum media kind, const char *name)
{
    static size_t (*const make[MEDIA_KINDS])(struct fuzz *f, u8 *d) = {make_disk, make_cd, make_floppy, make_container};
    u8 *d = calloc(1, DISK_MAX);

    put_file(name, d, make[kind](f, d));
    free(d);
}
