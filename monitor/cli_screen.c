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

#define MAX_CELLS (256u * 128u)

/* Code page 437 as Unicode: 00h-1Fh as the card draws them, 7Fh-FFh. */
static const u16 low[32] = {
    0x0020, 0x263a, 0x263b, 0x2665, 0x2666, 0x2663, 0x2660, 0x2022, 0x25d8, 0x25cb, 0x25d9,
    0x2642, 0x2640, 0x266a, 0x266b, 0x263c, 0x25ba, 0x25c4, 0x2195, 0x203c, 0x00b6, 0x00a7,
    0x25ac, 0x21a8, 0x2191, 0x2193, 0x2192, 0x2190, 0x221f, 0x2194, 0x25b2, 0x25bc,
};
static const u16 high[129] = {
    0x2302, /* 7Fh */
    0x00c7, 0x00fc, 0x00e9, 0x00e2, 0x00e4, 0x00e0, 0x00e5, 0x00e7, 0x00ea, 0x00eb, 0x00e8, 0x00ef, 0x00ee,
    0x00ec, 0x00c4, 0x00c5, 0x00c9, 0x00e6, 0x00c6, 0x00f4, 0x00f6, 0x00f2, 0x00fb, 0x00f9, 0x00ff, 0x00d6,
    0x00dc, 0x00a2, 0x00a3, 0x00a5, 0x20a7, 0x0192, 0x00e1, 0x00ed, 0x00f3, 0x00fa, 0x00f1, 0x00d1, 0x00aa,
    0x00ba, 0x00bf, 0x2310, 0x00ac, 0x00bd, 0x00bc, 0x00a1, 0x00ab, 0x00bb, 0x2591, 0x2592, 0x2593, 0x2502,
    0x2524, 0x2561, 0x2562, 0x2556, 0x2555, 0x2563, 0x2551, 0x2557, 0x255d, 0x255c, 0x255b, 0x2510, 0x2514,
    0x2534, 0x252c, 0x251c, 0x2500, 0x253c, 0x255e, 0x255f, 0x255a, 0x2554, 0x2569, 0x2566, 0x2560, 0x2550,
    0x256c, 0x2567, 0x2568, 0x2564, 0x2565, 0x2559, 0x2558, 0x2552, 0x2553, 0x256b, 0x256a, 0x2518, 0x250c,
    0x2588, 0x2584, 0x258c, 0x2590, 0x2580, 0x03b1, 0x00df, 0x0393, 0x03c0, 0x03a3, 0x03c3, 0x00b5, 0x03c4,
    0x03a6, 0x0398, 0x03a9, 0x03b4, 0x221e, 0x03c6, 0x03b5, 0x2229, 0x2261, 0x00b1, 0x2265, 0x2264, 0x2320,
    0x2321, 0x00f7, 0x2248, 0x00b0, 0x2219, 0x00b7, 0x221a, 0x207f, 0x00b2, 0x25a0, 0x00a0,
};

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

static u16 unicode(u8 ch)
{
    return ch < 0x20 ? low[ch] : ch < 0x7f ? ch : high[ch - 0x7f];
}

/* One row, trailing blanks cut, as a string; plain: a question mark for what is not ASCII. */
static void row_text(const struct novt_cell *cell, unsigned columns, bool plain, char *to)
{
    while (columns && unicode(cell[columns - 1].ch) == ' ')
        columns--;
    for (unsigned i = 0; i < columns; i++) {
        u16 c = unicode(cell[i].ch);

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
