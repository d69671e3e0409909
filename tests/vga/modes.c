/*
 * modes.c - every kind of video mode as a guest sets it up, against pictures computed here from what the guest was told to draw.
 *
 *   novt-vga IMAGE [--save DIR] [--slow]
 *
 * modes.asm says on port E9h that a picture is ready; on the VM's thread it is then compared with what it must be, as a screendump and, but
 * for what blinks, as the frame that was kept from mode to mode. Meanwhile another thread watches the screen and copies only what the
 * rectangles name: the copy must be the frame. --save writes both as PPM for a person to look at.
 * --slow: every access to memory goes through callbacks.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "include/novt.h"

typedef uint8_t u8;
typedef uint32_t u32;

#define MAX_PIXELS (720 * 480)

static const u32 ega[16] = {0x000000, 0x0000aa, 0x00aa00, 0x00aaaa, 0xaa0000, 0xaa00aa, 0xaa5500, 0xaaaaaa,
                            0x555555, 0x5555ff, 0x55ff55, 0x55ffff, 0xff5555, 0xff55ff, 0xffff55, 0xffffff};

struct test {
    struct novt_vm *vm;
    struct novt_frame frame;
    const char *save;
    int passed, failed;
    u8 font[256 * 16];
    u32 want[MAX_PIXELS], got[MAX_PIXELS];
};

static u32 expand6(u32 v)
{
    return v << 2 | v >> 4;
}

static u32 dac(u32 i)
{
    return expand6(i & 63) << 16 | expand6(3 * i & 63) << 8 | expand6(63 - (i & 63));
}

static u32 planar(u32 n, u32 bit)
{
    u32 index = 0;

    for (u32 p = 0; p < 4; p++)
        index |= ((n * (2 * p + 3) + p) >> bit & 1) << p;
    return index;
}

static u32 banked(u32 n)
{
    u32 low = n & 0xffff;

    return ((low ^ low >> 8) + (n >> 16)) & 0xff;
}

/* Text's dot, of the cells that cells: in modes.asm makes; skip: cells scrolled off. */
static u32 text_dot(const struct test *t, u32 x, u32 y, u32 columns, u32 skip, bool mono)
{
    u32 row = y / 16, column = x / 9, n = row * columns + column, line = y % 16, dot = x % 9;
    u32 cell = n + skip, ch = cell & 0xff, attr = (cell * 7 + 3) & 0x7f;
    bool on;

    if (cell >= 2000)
        ch = ' ', attr = 0x1e;
    on = dot < 8 ? t->font[ch * 16 + line] >> (7 - dot) & 1
                 : (ch & 0xe0) == 0xc0 && (t->font[ch * 16 + line] & 1);
    if (mono && (attr & 7) == 1 && line == 15)
        on = true;
    if (row == 2 && column == 5 && (line == 13 || line == 14))
        on = true;
    if (!mono)
        return ega[on ? attr & 15 : attr >> 4];
    attr = on ? attr & 15 : attr >> 4;
    return attr == 0 ? 0 : attr <= 8 ? 0xaaaaaa : 0xffffff; /* what the BIOS loads */
}

static u32 rgb565(u32 v)
{
    u32 r = v >> 11, g = v >> 5 & 63, b = v & 31;

    return (r << 3 | r >> 2) << 16 | (g << 2 | g >> 4) << 8 | b << 3 | b >> 2;
}

static u32 rgb555(u32 v)
{
    u32 r = v >> 10 & 31, g = v >> 5 & 31, b = v & 31;

    return (r << 3 | r >> 2) << 16 | (g << 3 | g >> 2) << 8 | b << 3 | b >> 2;
}

static u32 cga4(u32 x, u32 y)
{
    static const u32 colours[4] = {0x000000, 0x55ffff, 0xff55ff, 0xffffff};
    u32 n = (y & 1) * 0x2000 + y / 2 * 80 + x / 4, byte = (n * 37 + 11) & 0xff;

    return colours[byte >> (6 - x % 4 * 2) & 3];
}

static u32 cga2(u32 x, u32 y)
{
    u32 n = (y & 1) * 0x2000 + y / 2 * 80 + x / 8, byte = (n * 37 + 11) & 0xff;

    return byte >> (7 - x % 8) & 1 ? 0xffffff : 0;
}

static u32 mode_x(u32 x, u32 line, bool split)
{
    u32 start = split && line >= 304 ? 0 : 19200, y = split && line >= 304 ? (line - 304) / 2 : line / 2;

    x /= 2;
    return dac((17 * (x & 3) + start + y * 80 + x / 4) & 0xff);
}

static u32 pixel(const struct test *t, char step, u32 x, u32 y)
{
    u32 n = y * 640 + x;

    switch (step) {
    case 'a': return text_dot(t, x, y, 80, 0, false);
    case 'b': return text_dot(t, x / 2, y, 40, 0, false);
    case 'c': return text_dot(t, x, y, 80, 0, true);
    case 'd': return cga4(x / 2, y / 2);
    case 'e': return cga2(x, y / 2);
    case 'f': return ega[planar(y / 2 * 40 + x / 16, 7 - x / 2 % 8)];
    case 'g': return ega[planar(y / 2 * 80 + x / 8, 7 - x % 8)];
    case 'h':
    case 'i': return ega[planar(y * 80 + x / 8, 7 - x % 8)];
    case 'j': return planar(y * 80 + x / 8, 7 - x % 8) & 1 ? 0xffffff : 0;
    case 'k': return dac(((y / 2 * 320 + x / 2) ^ (y / 2 * 320 + x / 2) >> 8) & 0xff);
    case 'l': return mode_x(x, y, false);
    case 'm': return mode_x(x, y, true);
    case 'n': return dac(banked(n));
    case 'o': return rgb565(banked(2 * n) | banked(2 * n + 1) << 8);
    case 'p': return rgb555(banked(2 * n) | banked(2 * n + 1) << 8);
    case 'q': return banked(3 * n) | banked(3 * n + 1) << 8 | banked(3 * n + 2) << 16;
    case 'r': return text_dot(t, x, y, 80, 240, false);
    default: return y < 448 ? ega[planar((y + 32) * 80 + x / 8, 7 - x % 8)] : 0;
    }
}

static void size_of(char step, u32 *width, u32 *height)
{
    bool text = strchr("abcr", step) != NULL, lines400 = text || strchr("defgk", step);

    *width = text ? 720 : 640;
    *height = lines400 ? 400 : step == 'h' ? 350 : 480;
}

static void save(const struct test *t, char step, const char *what, const u32 *pixels, u32 width, u32 height)
{
    char path[512];
    FILE *f;

    if (!t->save)
        return;
    snprintf(path, sizeof(path), "%s/%c-%s.ppm", t->save, step, what);
    f = fopen(path, "wb");
    if (!f)
        return;
    fprintf(f, "P6\n%u %u\n255\n", width, height);
    for (u32 i = 0; i < width * height; i++) {
        const u8 rgb[3] = {(u8)(pixels[i] >> 16), (u8)(pixels[i] >> 8), (u8)pixels[i]};

        fwrite(rgb, 3, 1, f);
    }
    fclose(f);
}

static void compare(struct test *t, char step, const char *what, const u32 *pixels, u32 width, u32 height)
{
    u32 w, h, differ = 0, first = 0;

    size_of(step, &w, &h);
    save(t, step, what, pixels, width, height);
    if (w != width || h != height) {
        printf("FAIL %c %s: %u x %u, want %u x %u\n", step, what, width, height, w, h);
        t->failed++;
        return;
    }
    for (u32 i = w * h; i-- > 0;) {
        t->want[i] = pixel(t, step, i % w, i / w);
        if (t->want[i] != pixels[i]) {
            differ++;
            first = i;
        }
    }
    save(t, step, "want", t->want, w, h);
    if (differ)
        printf("FAIL %c %s: %u pixels differ, first at %u,%u: %06x, want %06x\n", step, what, differ,
               first % w, first / w, pixels[first], t->want[first]);
    *(differ ? &t->failed : &t->passed) += 1;
}

/* A screendump, read back. */
static void dump(struct test *t, char step)
{
    int fd = memfd_create("screendump", 0);
    FILE *f = fdopen(fd, "r+b");
    struct novt_error err;
    u32 width = 0, height = 0;

    if (novt_vm_screendump_fd(t->vm, fd, NOVT_PICTURE_PPM, &err))
        printf("%s\n", err.cause);
    rewind(f);
    if (fscanf(f, "P6 %u %u 255", &width, &height) != 2 || fgetc(f) != '\n' || width * height > MAX_PIXELS)
        width = height = 0;
    for (u32 i = 0; i < width * height; i++) {
        u32 r = (u32)fgetc(f), g = (u32)fgetc(f), b = (u32)fgetc(f);

        t->got[i] = r << 16 | g << 8 | b;
    }
    fclose(f);
    compare(t, step, "screendump", t->got, width, height);
}

static void take_font(struct test *t)
{
    u8 at[4];

    if (novt_vm_read_memory(t->vm, 0x500, at, 4) ||
        novt_vm_read_memory(t->vm, (u32)(at[2] | at[3] << 8) * 16 + (at[0] | at[1] << 8), t->font,
                            sizeof(t->font)))
        printf("no font\n");
}

static void ready(void *opaque, const u8 *buf, size_t n)
{
    struct test *t = opaque;

    for (; n--; buf++) {
        if (*buf == 'a')
            take_font(t);
        if (*buf < 'a' || *buf > 's')
            continue;
        dump(t, (char)*buf);
        novt_vm_frame(t->vm, &t->frame);
        if (!t->frame.text)
            compare(t, (char)*buf, "frame", t->frame.pixel, t->frame.width, t->frame.height);
    }
}

/* On a thread of its own, as a display. */
struct watcher {
    struct test *t;
    volatile bool stop;
    unsigned looks, changes, wrong;
};

static void copy_rects(const struct novt_frame *f, u32 *copy)
{
    for (u32 i = 0; i < f->rects; i++)
        for (u32 y = f->rect[i].y; y < f->rect[i].y + f->rect[i].height; y++)
            memcpy(copy + y * f->width + f->rect[i].x, f->pixel + y * f->width + f->rect[i].x,
                   f->rect[i].width * sizeof(*copy));
}

static void *watch(void *opaque)
{
    struct watcher *w = opaque;
    struct novt_frame f = {0};
    u32 *copy = NULL;

    while (!w->stop) {
        int rc = novt_vm_frame(w->t->vm, &f);

        w->looks++;
        w->changes += rc == 1;
        w->wrong += rc < 0 || (rc == 1) != (f.rects != 0);
        if (rc < 0)
            continue;
        if (f.resized) /* also to what the BIOS has set up by half */
            copy = realloc(copy, f.width * f.height * sizeof(*copy));
        copy_rects(&f, copy);
        w->wrong += memcmp(copy, f.pixel, f.width * f.height * sizeof(*copy)) != 0;
    }
    novt_frame_free(&f);
    free(copy);
    return NULL;
}

int main(int argc, char **argv)
{
    struct test *t = calloc(1, sizeof(*t));
    struct novt_config c = {
        .debugcon_iobase = 0xe9, .debugcon = ready, .debugcon_opaque = t, .ram_bytes = 16 << 20};
    struct novt_outcome out = {0};
    struct novt_error err;

    for (int i = 2; i < argc; i++) {
        if (!strcmp(argv[i], "--slow"))
            c.stress |= NOVT_STRESS_SLOW_MEM;
        else if (!strcmp(argv[i], "--save") && i + 1 < argc)
            t->save = argv[++i];
    }
    c.kernel = argc > 1 ? argv[1] : NULL;
    if (novt_vm_new(&t->vm, &c, &err)) {
        fprintf(stderr, "%s\n", err.cause);
        return 1;
    }
    struct watcher w = {.t = t};
    pthread_t thread;
    pthread_create(&thread, NULL, watch, &w);
    if (novt_vm_run(t->vm, &out, &err))
        fprintf(stderr, "%s\n", err.cause);
    w.stop = true;
    pthread_join(thread, NULL);
    novt_frame_free(&t->frame);
    novt_vm_free(t->vm);
    printf("%d passed, %d failed\n", t->passed, t->failed);
    printf("watched: %u looks, %u changes, %u wrong\n", w.looks, w.changes, w.wrong);
    int good = t->passed == 19 + 15 && !t->failed && out.why == NOVT_DEAD && w.changes > 5 && !w.wrong;
    free(t);
    return good ? 0 : 1;
}
