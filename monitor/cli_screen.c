/*
 * cli_screen.c - the guest's text screen for a person without a display: into a file, or on standard error.
 *
 * The file of --dump-screen gets what the screen shows when the program ends: pixels when its name ends in .png or .ppm, else
 * text in UTF-8, one line a row with trailing blanks cut. It is opened before the machine runs, so that a bad place is told at once.
 */
#include "monitor/cli.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "display/display.h"
#include "monitor/cli_session.h"
#include "monitor/cli_text.h"

#define MAX_CELLS (256u * 128u)

static unsigned put_utf8(char *to, u16 c)
{
    if (c < 0x80) {
        to[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        to[0] = (char)(0xc0 | c >> 6);
        to[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    to[0] = (char)(0xe0 | c >> 12);
    to[1] = (char)(0x80 | (c >> 6 & 0x3f));
    to[2] = (char)(0x80 | (c & 0x3f));
    return 3;
}

/* One row, trailing blanks cut, as a string; plain: a question mark for what is not ASCII. */
static void row_text(const struct novt_cell *cell, unsigned columns, bool plain, char *to)
{
    while (columns && display_cp437(cell[columns - 1].ch) == ' ')
        columns--;
    for (unsigned i = 0; i < columns; i++) {
        u16 c = display_cp437(cell[i].ch);

        to += put_utf8(to, plain && c > '~' ? '?' : c);
    }
    *to = 0;
}

/* row(opaque, text) for each row; false when there is no text screen. */
static bool for_each_row(struct novt_vm *vm, bool plain, void (*row)(void *opaque, const char *text),
                         void *opaque)
{
    struct novt_cell *cell = calloc(MAX_CELLS, sizeof(*cell));
    struct novt_text text = {0};
    char line[256 * 3 + 1];

    if (cell)
        (void)novt_vm_text(vm, &text, cell, MAX_CELLS);
    for (u32 i = 0; i < text.rows && (i + 1) * text.columns <= MAX_CELLS; i++) {
        row_text(cell + (size_t)i * text.columns, text.columns, plain, line);
        row(opaque, line);
    }
    free(cell);
    return text.rows != 0;
}

static void row_to_stderr(void *opaque, const char *text)
{
    (void)opaque;
    if (*text)
        base_warn("screen: %s", text);
}

static void row_to_file(void *opaque, const char *text)
{
    fprintf(opaque, "%s\n", text);
}

void screen_print(struct novt_vm *vm)
{
    for_each_row(vm, true, row_to_stderr, NULL);
}

static void row_to_text(void *opaque, const char *text)
{
    text_printf(opaque, "%s\n", text);
}

void hmp_info_screen(struct hmp_args *a)
{
    if (!for_each_row(a->vm, false, row_to_text, a->out))
        text_puts(a->out, "The screen is not in a text mode\n");
}

int screen_open(struct cli_options *opt, struct novt_error *err)
{
    int fd;

    opt->screen_file = NULL;
    if (!opt->screen_path)
        return 0;
    fd = open(opt->screen_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    opt->screen_file = fd < 0 ? NULL : fdopen(fd, "w");
    if (opt->screen_file)
        return 0;
    err->kind = NOVT_ERR_HOST;
    snprintf(err->cause, sizeof(err->cause), "--dump-screen: cannot write %s: %s", opt->screen_path,
             strerror(errno));
    snprintf(err->remedy, sizeof(err->remedy), "choose a writable place");
    if (fd >= 0)
        close(fd);
    return EXIT_HOST;
}

/* False: the file is to hold text. */
static bool is_picture(const char *path, enum novt_picture_format *format)
{
    size_t n = strlen(path);

    if (n < 4 || (strcasecmp(path + n - 4, ".png") && strcasecmp(path + n - 4, ".ppm")))
        return false;
    *format = strcasecmp(path + n - 4, ".png") ? NOVT_PICTURE_PPM : NOVT_PICTURE_PNG;
    return true;
}

static void dump_picture(struct cli_options *opt, struct novt_vm *vm, enum novt_picture_format format)
{
    struct novt_error err = {0};

    if (!novt_vm_screendump_fd(vm, fileno(opt->screen_file), format, &err))
        return;
    base_warn("--dump-screen: %s", err.cause);
    base_warn("remedy: %s", err.remedy);
}

int screen_close(struct cli_options *opt, struct novt_vm *vm)
{
    enum novt_picture_format format;
    bool failed;

    if (!opt->screen_file)
        return 0;
    if (vm && is_picture(opt->screen_path, &format))
        dump_picture(opt, vm, format);
    else if (vm && !for_each_row(vm, false, row_to_file, opt->screen_file))
        base_warn("--dump-screen: the screen is not in a text mode; %s is empty", opt->screen_path);
    failed = ferror(opt->screen_file);
    failed |= fclose(opt->screen_file) != 0;
    opt->screen_file = NULL;
    if (!failed)
        return 0;
    base_warn("--dump-screen: cannot write %s: %s", opt->screen_path, strerror(errno));
    base_warn("remedy: choose a place with room");
    return EXIT_HOST;
}
