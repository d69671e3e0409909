/*
 * test_loader.c - kernel images and initrds, intact, truncated and hostile.
 *
 * Images are built here byte by byte. The property tests put the image at the end of a page before an
 * inaccessible one, so reading past the end is a crash, and change single fields to extremes.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "monitor/loader.h"

#define MIB (1ull << 20)

/* A copy whose last byte is the last of its page; the next page faults. */
static u8 *at_page_end(const u8 *data, size_t bytes)
{
    size_t room = align_up(bytes + 1, PAGE_BYTES);
    u8 *base = mmap(NULL, room + PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    cr_assert(base != MAP_FAILED);
    cr_assert(mprotect(base + room, PAGE_BYTES, PROT_NONE) == 0);
    memcpy(base + room - bytes, data, bytes);
    return base + room - bytes;
}

static void drop_page_end(u8 *p, size_t bytes)
{
    size_t room = align_up(bytes + 1, PAGE_BYTES);

    munmap(p + bytes - room, room + PAGE_BYTES);
}

/* bzImage: 1 setup sector, 64 KiB of payload, protocol 2.15. */
#define BZ_SETUP 1024u
#define BZ_PAYLOAD 65536u
#define BZ_BYTES (BZ_SETUP + BZ_PAYLOAD)

static void make_bzimage(u8 *k)
{
    memset(k, 0x90, BZ_BYTES);
    memset(k, 0, BZ_SETUP);
    k[0x1f1] = 1;
    put_u32(k + 0x1f4, BZ_PAYLOAD / 16);
    put_u16(k + 0x1fe, 0xaa55);
    memcpy(k + 0x202, "HdrS", 4);
    put_u16(k + 0x206, 0x20f);
    k[0x211] = 1;
    put_u32(k + 0x22c, 0x37ffffff);
    k[0x234] = 1;
    put_u32(k + 0x238, 2047);
    put_u32(k + 0x258, 16 << 20);
    put_u32(k + 0x260, 8 << 20);
}

Test(bzimage, setup_data_goes_behind_the_command_line)
{
    static u8 k[BZ_BYTES];
    struct linux_plan p;
    struct novt_error err;

    make_bzimage(k);
    cr_assert(linux_plan_boot(k, sizeof(k), 0, "0123456789abcde", 64 * MIB, &p, &err) == 0);
    cr_expect_eq(linux_place_setup_data(k, &p, 15, 48), 16);
    cr_expect_eq(linux_place_setup_data(k, &p, 16, 48), 32);
    cr_expect_eq(get_u32(k + 0x250), p.cmdline_gpa + 32);
    cr_expect_eq(get_u32(k + 0x254), 0);
    cr_expect_eq(linux_place_setup_data(k, &p, 0x8000 - 49, 48), 0x8000 - 48);
    cr_expect_eq(linux_place_setup_data(k, &p, 0x8000 - 48, 48), 0, "no room");
    put_u16(k + 0x206, 0x208);
    cr_expect_eq(linux_place_setup_data(k, &p, 16, 48), 0, "unknown to the protocol");
}

Test(bzimage, plan)
{
    static u8 k[BZ_BYTES];
    struct linux_plan p;
    struct novt_error err;

    make_bzimage(k);
    cr_assert(linux_recognise(k, sizeof(k)));
    cr_assert(linux_plan_boot(k, sizeof(k), 5000, "console=ttyS0", 64 * MIB, &p, &err) == 0);
    cr_expect(p.setup_bytes == BZ_SETUP && p.kernel_bytes == BZ_PAYLOAD);
    cr_expect(p.setup_gpa == 0x10000 && p.cmdline_gpa == 0x20000 && p.kernel_gpa == 0x100000);
    cr_expect(p.initrd_gpa % PAGE_BYTES == 0);
    cr_expect(p.initrd_gpa + 5000 <= 64 * MIB - (256 << 10), "firmware's tables at the end of RAM");
    cr_expect(p.initrd_gpa + 5000 + PAGE_BYTES > 64 * MIB - (256 << 10), "as high as possible");
    cr_expect(k[0x210] == 0xff, "loader type");
    cr_expect(k[0x211] & 0x80, "heap");
    cr_expect(get_u32(k + 0x218) == p.initrd_gpa && get_u32(k + 0x21c) == 5000);
    cr_expect(get_u32(k + 0x228) == p.cmdline_gpa);
}

Test(bzimage, initrd_below_the_kernels_limit)
{
    static u8 k[BZ_BYTES];
    struct linux_plan p;
    struct novt_error err;

    make_bzimage(k);
    cr_assert(linux_plan_boot(k, sizeof(k), 3 * MIB, "", 2048 * MIB, &p, &err) == 0);
    cr_expect(p.initrd_gpa + 3 * MIB <= 0x38000000ull);
    cr_expect(p.initrd_gpa + 3 * MIB > 0x38000000ull - PAGE_BYTES);
}

Test(bzimage, old_protocols)
{
    static u8 k[BZ_BYTES];
    struct linux_plan p;
    struct novt_error err;
    char line[400];

    make_bzimage(k);
    put_u16(k + 0x206, 0x201);
    cr_assert(linux_plan_boot(k, sizeof(k), 0, "x", 64 * MIB, &p, &err) == 0);
    cr_expect(get_u16(k + 0x20) == 0xa33f && get_u16(k + 0x22) == 0x10000 % 65536);
    make_bzimage(k);
    k[0x211] = 0; /* zImage */
    cr_assert(linux_plan_boot(k, sizeof(k), 0, "x", 64 * MIB, &p, &err) == 0);
    cr_expect(p.kernel_gpa == 0x10000 && p.setup_gpa == 0x90000);
    make_bzimage(k);
    put_u16(k + 0x206, 0x203);
    memset(line, 'a', 300);
    line[300] = 0;
    cr_expect(linux_plan_boot(k, sizeof(k), 0, line, 64 * MIB, &p, &err) == -E2BIG,
              "255 characters before 2.06");
    make_bzimage(k);
    put_u16(k + 0x206, 0x1ff);
    cr_expect(linux_plan_boot(k, sizeof(k), 0, "", 64 * MIB, &p, &err) == -ENOEXEC);
}

Test(bzimage, video_mode)
{
    static const struct {
        const char *line;
        u16 mode;
    } t[] = {{"vga=normal", 0xffff},
             {"quiet vga=ask", 0xfffd},
             {"vga=0x301 x", 0x301},
             {"nvga=3", 0},
             {"vga=ext", 0xfffe}};
    static u8 k[BZ_BYTES];
    struct linux_plan p;
    struct novt_error err;

    for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
        make_bzimage(k);
        cr_assert(linux_plan_boot(k, sizeof(k), 0, t[i].line, 64 * MIB, &p, &err) == 0);
        cr_expect(get_u16(k + 0x1fa) == t[i].mode, "%s", t[i].line);
    }
}

Test(bzimage, refusals)
{
    static u8 k[BZ_BYTES];
    struct linux_plan p;
    struct novt_error err;

    make_bzimage(k);
    k[0x202] = 'x';
    cr_expect(linux_plan_boot(k, sizeof(k), 0, "", 64 * MIB, &p, &err) == -ENOEXEC &&
              err.kind == NOVT_ERR_IMAGE);
    make_bzimage(k);
    cr_expect(linux_plan_boot(k, sizeof(k) - 100, 0, "", 64 * MIB, &p, &err) == -ENOEXEC,
              "truncated payload");
    cr_expect(strstr(err.cause, "truncated") != NULL && err.remedy[0]);
    cr_expect(linux_plan_boot(k, BZ_SETUP, 0, "", 64 * MIB, &p, &err) == -ENOEXEC, "nothing but setup");
    make_bzimage(k);
    k[0x1f1] = 200;
    cr_expect(linux_plan_boot(k, sizeof(k), 0, "", 64 * MIB, &p, &err) == -ENOEXEC, "setup sectors");
    make_bzimage(k);
    cr_expect(linux_plan_boot(k, sizeof(k), 0, "", 8 * MIB, &p, &err) == -E2BIG && err.kind == NOVT_ERR_USAGE,
              "RAM");
    cr_expect(strstr(err.remedy, "-m 25M") != NULL, "%s", err.remedy);
    cr_expect(linux_plan_boot(k, sizeof(k), 40 * MIB, "", 64 * MIB, &p, &err) == -E2BIG, "initrd and RAM");
    make_bzimage(k);
    put_u32(k + 0x22c, 24 << 20);
    cr_expect(linux_plan_boot(k, sizeof(k), 4 * MIB, "", 64 * MIB, &p, &err) == -E2BIG,
              "initrd and its limit");
}

/* Any field at any extreme, any truncation: an answer, no access outside, and a plan that fits. */
Test(bzimage, hostile_headers)
{
    static const u8 extremes[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
    static u8 good[BZ_BYTES];
    struct linux_plan p;
    struct novt_error err;

    for (unsigned off = 0x1f1; off < 0x268; off++)
        for (unsigned v = 0; v < ARRAY_SIZE(extremes) * 2; v++) {
            make_bzimage(good);
            memset(good + off, extremes[v / 2], v & 1 ? 4 : 1);
            if (linux_plan_boot(good, sizeof(good), 123456, "a", 64 * MIB, &p, &err))
                continue;
            cr_assert((u64)p.setup_bytes + p.kernel_bytes <= sizeof(good));
            cr_assert(p.initrd_gpa + 123456ull <= 64 * MIB && p.initrd_gpa >= p.kernel_gpa + p.kernel_bytes);
            cr_assert(p.setup_gpa + p.setup_bytes <= p.cmdline_gpa);
        }
    for (size_t n = 0; n < 2048; n++) {
        u8 *k;

        make_bzimage(good);
        k = at_page_end(good, n);
        cr_expect(linux_recognise(k, n) == (n >= 0x268));
        cr_expect(linux_plan_boot(k, n, 0, "", 64 * MIB, &p, &err) < 0);
        drop_page_end(k, n);
    }
}

/* Multiboot: ELF with one segment at 1 MiB, or address fields. */
#define MB_BYTES 4096u

static void make_multiboot(u8 *k, u32 flags)
{
    memset(k, 0, MB_BYTES);
    memcpy(k, "\177ELF\1\1\1", 7);
    put_u16(k + 16, 2);
    put_u16(k + 18, 3);
    put_u32(k + 24, 0xc0000020); /* entry, virtual */
    put_u32(k + 28, 52);
    put_u16(k + 42, 32);
    put_u16(k + 44, 1);
    put_u32(k + 52, 1); /* PT_LOAD: off, vaddr, paddr, filesz, memsz */
    put_u32(k + 56, 0x100);
    put_u32(k + 60, 0xc0000000);
    put_u32(k + 64, 0x100000);
    put_u32(k + 68, 0x200);
    put_u32(k + 72, 0x3000);
    put_u32(k + 0x100, 0x1badb002);
    put_u32(k + 0x104, flags);
    put_u32(k + 0x108, 0u - 0x1badb002u - flags);
    memset(k + 0x10c, 0xee, 0x1f4);
    if (flags & 0x10000) {
        put_u32(k + 0x10c, 0x200100); /* header */
        put_u32(k + 0x110, 0x200080); /* load: from file offset 80h */
        put_u32(k + 0x114, 0x200300);
        put_u32(k + 0x118, 0x201000);
        put_u32(k + 0x11c, 0x200120);
    }
}

Test(multiboot, elf)
{
    static u8 k[MB_BYTES];
    static u8 mem[0x3000];
    struct multiboot_plan p;
    struct novt_error err;

    make_multiboot(k, 3);
    cr_assert(multiboot_plan_boot(k, sizeof(k), 64 * MIB, &p, &err) == 0, "%s", err.cause);
    cr_expect(p.load_gpa == 0x100000 && p.end_gpa == 0x103000);
    cr_expect(p.entry_gpa == 0x100020, "virtual entry made physical");
    multiboot_place(k, &p, mem);
    cr_expect(get_u32(mem) == 0x1badb002 && mem[0x1ff] == 0xee && mem[0x200] == 0);
}

Test(multiboot, addresses)
{
    static u8 k[MB_BYTES];
    static u8 mem[0x1000];
    struct multiboot_plan p;
    struct novt_error err;

    make_multiboot(k, 0x10003);
    cr_assert(multiboot_plan_boot(k, sizeof(k), 64 * MIB, &p, &err) == 0, "%s", err.cause);
    cr_expect(p.load_gpa == 0x200080 && p.end_gpa == 0x201000 && p.entry_gpa == 0x200120);
    multiboot_place(k, &p, mem);
    cr_expect(get_u32(mem + 0x80) == 0x1badb002);
}

Test(multiboot, modules_and_information)
{
    static u8 k[MB_BYTES];
    u8 info[MULTIBOOT_INFO_BYTES];
    struct multiboot_module mod[2] = {{(const u8 *)"first", 5, "a 1"}, {(const u8 *)"second", 6, "b"}};
    struct multiboot_plan p;
    struct image_file blob;
    struct novt_error err;
    const u8 *list;
    u32 at;

    make_multiboot(k, 3);
    cr_assert(multiboot_plan_boot(k, sizeof(k), 64 * MIB, &p, &err) == 0);
    cr_assert(multiboot_build(k, &p, mod, 2, "kernel line", 64 * MIB, &blob, info, &err) == 0);
    cr_expect(get_u32(info) == (1u | 4u | 8u | 0x200u));
    cr_expect(get_u32(info + 4) == 639 && get_u32(info + 8) == 63 * 1024);
    cr_expect(get_u32(info + 20) == 2);
    list = blob.data + (get_u32(info + 24) - p.load_gpa);
    at = get_u32(list);
    cr_expect(at % PAGE_BYTES == 0 && at >= p.end_gpa && get_u32(list + 4) == at + 5);
    cr_expect(!memcmp(blob.data + (at - p.load_gpa), "first", 5));
    cr_expect(!memcmp(blob.data + (get_u32(list + 16) - p.load_gpa), "second", 6));
    cr_expect_str_eq((const char *)blob.data + (get_u32(list + 8) - p.load_gpa), "a 1");
    cr_expect_str_eq((const char *)blob.data + (get_u32(info + 16) - p.load_gpa), "kernel line");
    free(blob.data);
    cr_expect(multiboot_build(k, &p, mod, 2, "", 1 * MIB + 0x4000, &blob, info, &err) == -E2BIG);
}

Test(multiboot, refusals)
{
    static u8 k[MB_BYTES];
    struct multiboot_plan p;
    struct novt_error err;
    u32 off;

    make_multiboot(k, 3);
    k[0x104] ^= 1;
    cr_expect(!multiboot_recognise(k, sizeof(k), &off), "checksum");
    make_multiboot(k, 0x83);
    cr_expect(multiboot_plan_boot(k, sizeof(k), 64 * MIB, &p, &err) == -ENOEXEC, "unknown required feature");
    make_multiboot(k, 3);
    put_u16(k + 18, 62);
    cr_expect(multiboot_plan_boot(k, sizeof(k), 64 * MIB, &p, &err) == -ENOEXEC, "64-bit machine");
    make_multiboot(k, 3);
    put_u32(k + 64, 0xa0000);
    cr_expect(multiboot_plan_boot(k, sizeof(k), 64 * MIB, &p, &err) == -ENOEXEC, "over the firmware");
    make_multiboot(k, 3);
    put_u32(k + 64, 128 << 20);
    cr_expect(multiboot_plan_boot(k, sizeof(k), 64 * MIB, &p, &err) == -E2BIG, "beyond RAM");
}

Test(multiboot, hostile_headers)
{
    static u8 mem[4 << 20];
    u8 k[MB_BYTES];
    struct multiboot_plan p;
    struct novt_error err;

    for (unsigned kind = 0; kind < 2; kind++)
        for (unsigned off = 0; off < 0x120; off++)
            for (unsigned v = 0; v < 256; v += v < 4 ? 1 : 63) {
                u8 *at;

                make_multiboot(k, kind ? 0x10003 : 3);
                k[off] = (u8)v;
                if (off >= 0x104 && off < 0x108) /* keep the checksum right so that the flags count */
                    put_u32(k + 0x108, 0u - 0x1badb002u - get_u32(k + 0x104));
                at = at_page_end(k, MB_BYTES);
                if (multiboot_plan_boot(at, MB_BYTES, 4 * MIB, &p, &err) == 0) {
                    cr_assert(p.load_gpa < p.end_gpa && p.end_gpa <= 4 * MIB);
                    multiboot_place(at, &p, mem);
                }
                drop_page_end(at, MB_BYTES);
            }
    for (u32 n = 0; n < 0x140; n += 4) {
        make_multiboot(k, 0x10003);
        cr_expect(multiboot_plan_boot(at_page_end(k, n), n, 64 * MIB, &p, &err) < 0);
    }
}

Test(rom, checksum_and_size)
{
    u8 code[700] = {0x55, 0xaa};
    struct image_file rom;
    u8 sum = 0;

    memset(code + 3, 0xcb, sizeof(code) - 3);
    cr_assert(loader_finish_rom(code, sizeof(code), &rom) == 0);
    cr_expect(rom.bytes == 1024 && rom.data[2] == 2);
    for (size_t i = 0; i < rom.bytes; i++)
        sum = (u8)(sum + rom.data[i]);
    cr_expect(sum == 0);
    free(rom.data);
    cr_assert(loader_finish_rom(code, 512, &rom) == 0);
    cr_expect(rom.bytes == 1024, "room for the checksum");
    free(rom.data);
}

/* "hello hello hello hello\n" by gzip -9n. */
static const u8 gzip_hello[] = {0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03,
                                0xcb, 0x48, 0xcd, 0xc9, 0xc9, 0x57, 0xc8, 0x40, 0x27, 0xb9,
                                0x00, 0x00, 0x88, 0x59, 0x0b, 0x18, 0x00, 0x00, 0x00};

static size_t put_cpio(u8 *out, const char *name, const char *text)
{
    size_t n = (size_t)sprintf((char *)out, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%s", 1,
                               0100644, 0, 0, 1, 0, (unsigned)strlen(text), 0, 0, 0, 0,
                               (unsigned)strlen(name) + 1, 0, name) +
               1;

    while (n % 4)
        out[n++] = 0;
    memcpy(out + n, text, strlen(text));
    n += strlen(text);
    while (n % 4)
        out[n++] = 0;
    return n;
}

Test(initrd, gzip)
{
    u8 two[2 * sizeof(gzip_hello) + 8] = {0};

    cr_expect(gzip_member_bytes(gzip_hello, sizeof(gzip_hello)) == sizeof(gzip_hello));
    cr_expect(initrd_defect(gzip_hello, sizeof(gzip_hello)) == NULL);
    for (size_t n = 2; n < sizeof(gzip_hello); n++) {
        const u8 *p = at_page_end(gzip_hello, n);

        cr_expect(initrd_defect(p, n) != NULL, "cut to %zu", n);
    }
    memcpy(two, gzip_hello, sizeof(gzip_hello));
    memcpy(two + sizeof(gzip_hello) + 3, gzip_hello, sizeof(gzip_hello));
    cr_expect(initrd_defect(two, sizeof(two)) == NULL, "two members with padding");
}

Test(initrd, cpio)
{
    u8 a[1024] = {0};
    size_t body = put_cpio(a, "init", "#!/bin/sh\n"), n = body + put_cpio(a + body, "TRAILER!!!", "");

    cr_expect(initrd_defect(a, n) == NULL);
    cr_expect(initrd_defect(a, 1000) == NULL, "padding");
    for (size_t cut = 6; cut < n - 3; cut++)
        cr_expect(initrd_defect(at_page_end(a, cut), cut) != NULL, "cut to %zu", cut);
    a[94 + 4] = 'z';
    cr_expect(initrd_defect(a, n) != NULL, "not a number");
}

Test(initrd, unknown_formats_pass)
{
    cr_expect(initrd_defect((const u8 *)"BZh91AY", 7) == NULL);
    cr_expect(initrd_defect((const u8 *)"\0\0\0\0", 4) == NULL);
}

/* Random damage: an answer without leaving the buffer. */
Test(initrd, random_damage)
{
    static const u8 heads[][6] = {
        {0x1f, 0x8b, 8, 0}, {0x28, 0xb5, 0x2f, 0xfd}, {0xfd, '7', 'z', 'X', 'Z'}, {2, 0x21, 0x4c, 0x18}};
    unsigned seed = 1;

    for (unsigned i = 0; i < 3000; i++) {
        u8 buf[300], *p;
        size_t n = 6 + (size_t)rand_r(&seed) % 290;

        for (size_t j = 0; j < n; j++)
            buf[j] = (u8)rand_r(&seed);
        memcpy(buf, heads[i % ARRAY_SIZE(heads)], 6);
        p = at_page_end(buf, n);
        initrd_defect(p, n);
        drop_page_end(p, n);
    }
}
