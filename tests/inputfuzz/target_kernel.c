/*
 * target_kernel.c - kernels and initial file systems: bzImages, multiboot kernels (ELF and not), archives, all of them damaged.
 *
 * They go through loader_load() as files, as the command line's do. What it accepts must fit into the machine's RAM and be there to the
 * last byte.
 */
#include "inputfuzz.h"

#include <stdio.h>
#include <zlib.h>
#include <zstd.h>

#include "monitor/loader.h"

enum { KERNEL_MAX = 40960, INITRD_MAX = 8192 };

static u32 small(struct fuzz *f, u32 usual)
{
    return fuzz_below(f, 6) ? usual : fuzz_edge(f);
}

static size_t make_bzimage(struct fuzz *f, u8 *k)
{
    u32 setup = 1 + fuzz_below(f, 8), payload = 16 * (1 + fuzz_below(f, 1024));

    for (u32 i = 0; i < KERNEL_MAX; i++)
        k[i] = (u8)fuzz_random(f);
    memset(k, 0, 1024);
    k[0x1f1] = (u8)setup;
    put_u32(k + 0x1f4, payload / 16);
    put_u16(k + 0x1fe, 0xaa55);
    memcpy(k + 0x202, "HdrS", 4);
    put_u16(k + 0x206, fuzz_below(f, 3) ? 0x20f : 0x200 + fuzz_below(f, 16));
    k[0x211] = (u8)fuzz_below(f, 8) ? 1 : 0;
    put_u32(k + 0x22c, small(f, 0x37ffffff));
    k[0x234] = (u8)fuzz_below(f, 2);
    put_u32(k + 0x238, small(f, 2047));
    put_u32(k + 0x258, small(f, 1 << 20));
    put_u32(k + 0x260, small(f, 1 << 20));
    if (fuzz_below(f, 4))
        damage(f, k + 0x1f0, 0x80, fuzz_below(f, 4));
    return 512 * (1 + setup) + payload;
}

static size_t make_multiboot(struct fuzz *f, u8 *k)
{
    u32 at = 4 * fuzz_below(f, fuzz_below(f, 2) ? 32 : 2060), flags = fuzz_random(f) & (fuzz_below(f, 2) ? 0x10007 : 0x10003);

    memset(k, 0x90, KERNEL_MAX);
    memset(k + at, 0, 48);
    put_u32(k + at, 0x1badb002);
    put_u32(k + at + 4, flags);
    put_u32(k + at + 8, 0u - 0x1badb002 - flags);
    put_u32(k + at + 12, small(f, 0x100000 + at));
    put_u32(k + at + 16, small(f, 0x100000));
    put_u32(k + at + 20, small(f, fuzz_below(f, 2) ? 0 : 0x100000 + fuzz_below(f, KERNEL_MAX)));
    put_u32(k + at + 24, small(f, fuzz_below(f, 2) ? 0 : 0x110000));
    put_u32(k + at + 28, small(f, 0x100000));
    if (fuzz_below(f, 8) == 0)
        damage(f, k + at + 12, 20, 2);
    return at + 48 + fuzz_below(f, KERNEL_MAX / 2);
}

static size_t make_elf(struct fuzz *f, u8 *k)
{
    u32 headers = fuzz_below(f, 5), at = 52 + 4 * fuzz_below(f, 8), multiboot = 52 + 32 + 5 * 32 + 4 * fuzz_below(f, 16);

    memset(k, 0, KERNEL_MAX);
    memcpy(k, "\177ELF\1\1\1", 7);
    put_u16(k + 16, 2);
    put_u16(k + 18, 3);
    put_u32(k + 20, 1);
    put_u32(k + 24, small(f, 0x100000));
    put_u32(k + 28, small(f, at));
    put_u16(k + 40, 52);
    put_u16(k + 42, 32);
    put_u16(k + 44, headers);
    for (u32 i = 0; i < headers; i++) {
        u8 *h = k + at + 32 * i;
        u32 from = fuzz_below(f, KERNEL_MAX), bytes = fuzz_below(f, 8192);

        put_u32(h, fuzz_below(f, 4) ? 1 : fuzz_below(f, 8));
        put_u32(h + 4, small(f, from));
        put_u32(h + 8, small(f, 0xc0100000));
        put_u32(h + 12, small(f, 0x100000 + (fuzz_below(f, 4) ? i * 0x3000 : fuzz_below(f, 0x8000))));
        put_u32(h + 16, small(f, bytes));
        put_u32(h + 20, small(f, bytes + fuzz_below(f, 4096)));
    }
    put_u32(k + multiboot, 0x1badb002);
    put_u32(k + multiboot + 8, 0u - 0x1badb002);
    if (fuzz_below(f, 3) == 0)
        damage(f, k, multiboot, 1 + fuzz_below(f, 3));
    return KERNEL_MAX - fuzz_below(f, 8192);
}

static size_t make_cpio(struct fuzz *f, u8 *to)
{
    size_t n = 0;

    for (u32 files = fuzz_below(f, 5); files; files--) {
        u32 body = fuzz_below(f, 300);

        n += (size_t)sprintf((char *)to + n, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08Xname", 1, 0x81ed, 0, 0, 1, 0,
                             small(f, body), 0, 0, 0, 0, small(f, 5), 0) + 1;
        n = align_up(n, 4);
        n = align_up(n + body, 4);
    }
    n += (size_t)sprintf((char *)to + n, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08XTRAILER!!!", 0, 0, 0, 0, 1, 0, 0, 0,
                         0, 0, 0, 11, 0) + 1;
    return align_up(n, 4);
}

/* What else an archive may be packed with is only looked at by its head and tail. */
static size_t make_initrd(struct fuzz *f, u8 *to)
{
    static const u8 heads[][6] = {{0xfd, '7', 'z', 'X', 'Z'}, {2, 0x21, 0x4c, 0x18}, {'B', 'Z', 'h', '9', '1'}, {0x5d, 0, 0}};
    u8 plain[INITRD_MAX] = {0};
    size_t n = make_cpio(f, plain);
    uLongf packed = INITRD_MAX;

    memset(to, 0, INITRD_MAX);
    switch (fuzz_below(f, 4)) {
    case 0: {
        z_stream z = {.next_in = plain, .avail_in = (uInt)n, .next_out = to, .avail_out = INITRD_MAX};

        if (deflateInit2(&z, (int)fuzz_below(f, 10), Z_DEFLATED, 15 + 16, 8, (int)fuzz_below(f, 5)) == Z_OK) {
            (void)deflate(&z, Z_FINISH);
            packed = z.total_out;
            deflateEnd(&z);
        }
        n = packed;
        break;
    }
    case 1: n = ZSTD_compress(to, INITRD_MAX, plain, n, 1); break;
    case 2: memcpy(to, plain, n); break;
    default:
        n = 6 + fuzz_below(f, 4000);
        for (size_t i = 0; i < n; i++)
            to[i] = (u8)fuzz_random(f);
        memcpy(to, heads[fuzz_below(f, ARRAY_SIZE(heads))], 6);
    }
    if (fuzz_below(f, 2))
        damage(f, to, n, 1 + fuzz_below(f, 4));
    return fuzz_below(f, 4) ? n : fuzz_below(f, (u32)n + 1);
}

/* Is it all there? Of much each page: what the image leaves zero may be gigabytes. */
static u32 sum(const u8 *p, size_t n)
{
    size_t step = n > 1 << 20 ? 4096 : 1;
    u32 s = p && n ? p[n - 1] : 0;

    for (size_t i = 0; p && i < n; i += step)
        s += p[i];
    return s;
}

/* A sum over all of it, so that it is read. */
static u32 check(const struct loader_image *image, u64 ram_bytes)
{
    const struct pc_linux *b = &image->linux_boot;

    if ((u64)b->kernel_gpa + b->kernel_bytes > ram_bytes || (u64)b->initrd_gpa + b->initrd_bytes > ram_bytes ||
        (u64)b->setup_gpa + b->setup_bytes > ram_bytes)
        finding("a kernel that does not fit into RAM: %08x + %zx", b->kernel_gpa, (size_t)b->kernel_bytes);
    return sum(b->setup, b->setup_bytes) + sum(b->kernel, b->kernel_bytes) + sum(b->initrd, b->initrd_bytes);
}

void target_kernel(struct fuzz *f, u32 steps)
{
    static size_t (*const make[])(struct fuzz *f, u8 *k) = {make_bzimage, make_multiboot, make_elf};
    static u8 kernel[KERNEL_MAX + 64], initrd[INITRD_MAX];

    for (; steps; steps--) {
        static const char *const initrds[] = {NULL, "initrd", "initrd", "initrd one,initrd two", "initrd,", "missing"};
        static const char *const appends[] = {NULL, "", "vga=ask", "vga=0x301 mem=1M", "vga=99999999999"};
        struct loader_args args = {.kernel = "kernel",
                                   .initrd = initrds[fuzz_below(f, ARRAY_SIZE(initrds))],
                                   .append = appends[fuzz_below(f, ARRAY_SIZE(appends))],
                                   .ram_bytes = (u64)(1 + fuzz_below(f, fuzz_below(f, 8) ? 64 : 3072)) << 20};
        struct loader_image image;
        struct novt_error err = {0};
        size_t n = make[fuzz_below(f, ARRAY_SIZE(make))](f, kernel);

        if (fuzz_below(f, 16) == 0)
            n = fuzz_below(f, (u32)n);
        put_file("kernel", kernel, min_u64(n, KERNEL_MAX));
        put_file("initrd", initrd, make_initrd(f, initrd));
        if (loader_load(&image, &args, &err) == 0) {
            f->state = (f->state ^ check(&image, args.ram_bytes)) | 1;
            loader_free(&image);
        } else if (!err.cause[0]) {
            finding("a kernel was refused without a word");
        }
    }
}
