/*
 * vm_dump.c - the screen as a picture file: PPM by hand, PNG by libpng.
 *
 * The picture is drawn for this one use, with cursor and blinking characters to be seen, so that the same screen gives the same file.
 * libpng's errors come back by longjmp to one place here; nothing of it is left behind.
 */
#include "monitor/machine.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef NOVT_HAVE_PNG
#include <png.h>
#endif

static void rgb_line(const struct vga_picture *p, u32 y, u8 *to)
{
    const u32 *from = p->pixel + (size_t)y * p->width;

    for (u32 x = 0; x < p->width; x++, to += 3) {
        to[0] = (u8)(from[x] >> 16);
        to[1] = (u8)(from[x] >> 8);
        to[2] = (u8)from[x];
    }
}

static int write_ppm(const struct vga_picture *p, FILE *f, u8 *line)
{
    fprintf(f, "P6\n%u %u\n255\n", p->width, p->height);
    for (u32 y = 0; y < p->height; y++) {
        rgb_line(p, y, line);
        if (fwrite(line, 3, p->width, f) != p->width)
            return errno ? -errno : -EIO;
    }
    return 0;
}

#ifdef NOVT_HAVE_PNG
static void png_failed(png_structp png, png_const_charp what)
{
    (void)what;
    longjmp(png_jmpbuf(png), 1);
}

static void png_ignore(png_structp png, png_const_charp what)
{
    (void)png;
    (void)what;
}

static int write_png(const struct vga_picture *p, FILE *f, u8 *line)
{
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, png_failed, png_ignore);
    png_infop info = png ? png_create_info_struct(png) : NULL;

    if (!info) {
        png_destroy_write_struct(&png, NULL);
        return -ENOMEM;
    }
    errno = 0;
    if (setjmp(png_jmpbuf(png))) {
        png_destroy_write_struct(&png, &info);
        return errno ? -errno : -EIO;
    }
    png_init_io(png, f);
    png_set_IHDR(png, info, p->width, p->height, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png, info);
    for (u32 y = 0; y < p->height; y++) {
        rgb_line(p, y, line);
        png_write_row(png, line);
    }
    png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
    return 0;
}
#else
static int write_png(const struct vga_picture *p, FILE *f, u8 *line)
{
    (void)p;
    (void)f;
    (void)line;
    return -ENOTSUP;
}
#endif

static int fail(struct novt_error *err, int rc, const char *what)
{
    static const char place[] = "choose a writable place with room";

    if (rc == -ENODATA)
        return mon_fail(err, NOVT_ERR_USAGE, rc, "run it with -vga std",
                        "screendump: the machine has no VGA card");
    if (rc == -ENOTSUP)
        return mon_fail(err, NOVT_ERR_USAGE, rc, "use the ppm format, or build with libpng-dev installed",
                        "screendump: this build cannot write PNG");
    return mon_fail(err, NOVT_ERR_HOST, rc, place, "screendump: cannot write %s: %s", what, strerror(-rc));
}

static int dump(struct novt_vm *vm, FILE *f, enum novt_picture_format format)
{
    struct vga_picture p;
    int rc = frame_once(machine_of(vm), &p);
    u8 *line;

    if (rc)
        return rc;
    line = malloc((size_t)p.width * 3);
    rc = !line ? -ENOMEM : format == NOVT_PICTURE_PNG ? write_png(&p, f, line) : write_ppm(&p, f, line);
    free(line);
    vga_picture_free(&p);
    return rc;
}

static int dump_and_close(struct novt_vm *vm, FILE *f, enum novt_picture_format format, const char *what,
                          struct novt_error *err)
{
    int rc = dump(vm, f, format);

    errno = 0;
    if (fclose(f) && !rc)
        rc = errno ? -errno : -EIO;
    return rc ? fail(err, rc, what) : 0;
}

int novt_vm_screendump(struct novt_vm *vm, const char *path, enum novt_picture_format format,
                       struct novt_error *err)
{
    FILE *f = fopen(path, "wbe");

    return f ? dump_and_close(vm, f, format, path, err) : fail(err, -errno, path);
}

int novt_vm_screendump_fd(struct novt_vm *vm, int fd, enum novt_picture_format format, struct novt_error *err)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0), rc = -errno;
    FILE *f = copy < 0 ? NULL : fdopen(copy, "wb");

    if (f)
        return dump_and_close(vm, f, format, "the file", err);
    if (copy >= 0) {
        rc = -errno;
        close(copy);
    }
    return fail(err, rc, "the file");
}
