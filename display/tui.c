/*
 * tui.c - the guest's screen in the terminal, and the terminal's keys to the guest, by ncurses.
 *
 * One thread waits for keys and looks at the screen's generation, often while something moves and ten times a second while nothing
 * does. Text modes are shown as text with their colours, cursor and line drawing; graphics as half blocks, where the terminal has the
 * colours for it. What is larger than the terminal is shown around the cursor. Standard error goes to memory meanwhile and comes out
 * when the terminal is itself again. Ctrl-A begins a command, as on the serial line.
 */
#include "display/tui.h"

#define NCURSES_WIDECHAR 1
#include <curses.h>
#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

/* curses.h names attributes as functions and macros; term.h would claim still more. */
#undef getmaxyx

#define MAX_CELLS (256u * 128u)
#define ESCAPE 0x01 /* Ctrl-A */
#define STOP_WAIT_S 2

struct tui {
    struct display_host host;
    const char *title;
    struct novt_vm *vm;
    pthread_t thread;
    bool started;
    volatile int stopping;
    int stop_fd;
    volatile int up; /* the terminal is ours */
    struct termios saved;
    pthread_mutex_t lock; /* of the next three */
    pthread_cond_t changed;
    bool away;             /* the terminal is to be left alone, */
    bool gone;             /* and is */
    bool anew;             /* whoever had it meanwhile left something */
    int saved_err, err_fd; /* -1: standard error is where it was */
    /* The thread's: */
    locale_t locale;
    SCREEN *screen;
    struct novt_frame frame;
    struct novt_text text;
    struct novt_cell *cell;
    bool after_escape, help;
    bool redraw; /* whatever did not change, too */
    char pending[64]; /* a stroke that there was no room for */
};

static const char *const help_lines[] = {
    "Ctrl-A X       quit",
    "Ctrl-A Ctrl-A  send Ctrl-A",
    "Ctrl-A D       send Ctrl-Alt-Delete",
    "Ctrl-A 1 ... 9 send Ctrl-Alt-F1 ... F9",
    "Ctrl-A C       monitor",
    "Ctrl-A R       draw anew",
    "Ctrl-A H       this",
};

/* ---- the picture ---- */

/* VGA's bits are blue, green, red; ANSI's red, green, blue. */
static int ansi(unsigned vga)
{
    return (int)((vga & 2) | (vga & 1) << 2 | (vga & 4) >> 2);
}

static unsigned brightness(unsigned vga)
{
    return (vga & 1) + (vga & 4 ? 3 : 0) + (vga & 2 ? 6 : 0);
}

static void cell_style(const struct novt_text *text, u8 attr, attr_t *style, int *pair)
{
    int fg = ansi(attr), bg = ansi(attr >> 4);

    *style = A_NORMAL;
    if (attr & 8) {
        if (COLORS >= 16)
            fg += 8;
        else
            *style |= A_BOLD;
    }
    if (attr & 0x80) {
        if (text->blink)
            *style |= A_BLINK;
        else if (COLORS >= 16)
            bg += 8;
    }
    *pair = has_colors() ? alloc_pair(fg, bg) : 0;
    if (!has_colors() && brightness(attr & 7) < brightness(attr >> 4 & 7))
        *style |= A_REVERSE;
    if (*pair < 0)
        *pair = 0;
}

static void put_row(const struct novt_text *text, const struct novt_cell *cell, int y, int columns)
{
    for (int x = 0; x < columns; x++) {
        wchar_t ch[2] = {(wchar_t)display_cp437(cell[x].ch), 0};
        attr_t style;
        cchar_t cc;
        int pair;

        if (ch[0] == 0xa0)
            ch[0] = ' ';
        cell_style(text, cell[x].attr, &style, &pair);
        if (setcchar(&cc, ch, style, 0, &pair) == OK)
            mvadd_wchnstr(y, x, &cc, 1);
    }
}

static void draw_text(struct tui *t)
{
    const struct novt_text *text = &t->text;
    int columns = text->columns < COLS ? text->columns : COLS, rows = text->rows < LINES ? text->rows : LINES;
    int top = 0, left = 0;

    if (text->cursor && text->cursor_row >= rows)
        top = text->cursor_row - rows + 1;
    if (text->cursor && text->cursor_column >= columns)
        left = text->cursor_column - columns + 1;
    for (int y = 0; y < rows; y++)
        put_row(text, t->cell + (size_t)(y + top) * text->columns + left, y, columns);
    curs_set(text->cursor);
    if (text->cursor)
        move(text->cursor_row - top, text->cursor_column - left);
}

/* The mean of a part of the picture, as an index into the 6 x 6 x 6 colours from 16 on. */
static int block_colour(const struct novt_frame *f, u32 x0, u32 x1, u32 y0, u32 y1)
{
    u32 r = 0, g = 0, b = 0, n = 0, step_x = (x1 - x0) / 4 + 1, step_y = (y1 - y0) / 4 + 1;

    for (u32 y = y0; y < y1; y += step_y)
        for (u32 x = x0; x < x1; x += step_x, n++) {
            u32 p = f->pixel[(size_t)y * f->width + x];

            r += p >> 16 & 255;
            g += p >> 8 & 255;
            b += p & 255;
        }
    if (!n)
        return 16;
    return 16 + (int)((r / n * 5 + 127) / 255 * 36 + (g / n * 5 + 127) / 255 * 6 + (b / n * 5 + 127) / 255);
}

static void draw_pixels(struct tui *t)
{
    static const wchar_t upper_half[2] = {0x2580, 0};
    const struct novt_frame *f = &t->frame;
    u32 w = (u32)COLS, h = (u32)LINES * 2;

    curs_set(0);
    if (COLORS < 256 || !f->width || !f->height) {
        mvprintw(0, 0, "Graphics mode, %u x %u: -display sdl and -vnc show it", f->width, f->height);
        return;
    }
    for (u32 y = 0; y + 1 < h; y += 2)
        for (u32 x = 0; x < w; x++) {
            u32 x0 = x * f->width / w, x1 = (x + 1) * f->width / w;
            u32 y0 = y * f->height / h, y1 = (y + 1) * f->height / h, y2 = (y + 2) * f->height / h;
            cchar_t cc;
            int pair;

            x1 = x1 > x0 ? x1 : x0 + 1;
            pair = alloc_pair(block_colour(f, x0, x1, y0, y1 > y0 ? y1 : y0 + 1),
                              block_colour(f, x0, x1, y1 < f->height ? y1 : y0, y2 > y1 ? y2 : y1 + 1));
            if (pair >= 0 && setcchar(&cc, upper_half, A_NORMAL, 0, &pair) == OK)
                mvadd_wchnstr((int)y / 2, (int)x, &cc, 1);
        }
}

static void draw_status(struct tui *t)
{
    char line[160];
    int y = t->frame.text ? t->text.rows : LINES;

    if (y < LINES) {
        int n = snprintf(line, sizeof(line), " %s%sNoVT | Ctrl-A X quits, Ctrl-A H helps%s",
                         t->title ? t->title : "", t->title ? " | " : "",
                         novt_vm_status(t->vm) == NOVT_RUNNING ? "" : " | stopped");

        attron(A_REVERSE);
        mvaddnstr(y, 0, line, COLS);
        for (int x = n; x < COLS && x < t->text.columns; x++)
            mvaddch(y, x, ' ');
        attroff(A_REVERSE);
    }
    if (!t->help)
        return;
    attron(A_REVERSE);
    for (int i = 0; i < (int)ARRAY_SIZE(help_lines) && i + 2 < LINES; i++)
        mvprintw(2 + i, COLS > 60 ? 18 : 0, "  %-40s  ", help_lines[i]);
    attroff(A_REVERSE);
}

/* Did anything change since the last call? */
static bool look(struct tui *t)
{
    int rc = novt_vm_frame(t->vm, &t->frame);

    if (rc <= 0 && !t->redraw)
        return false;
    memset(&t->text, 0, sizeof(t->text));
    if (t->frame.text)
        (void)novt_vm_text(t->vm, &t->text, t->cell, MAX_CELLS);
    if ((u32)t->text.columns * t->text.rows > MAX_CELLS)
        t->text.rows = 0;
    return true;
}

static void draw(struct tui *t)
{
    int y, x;

    if (t->redraw)
        clear();
    else
        erase();
    t->redraw = false;
    if (t->text.rows)
        draw_text(t);
    else if (t->frame.pixel)
        draw_pixels(t);
    getyx(stdscr, y, x);
    draw_status(t);
    move(y, x);
    refresh();
}

/* ---- keys ---- */

static void command(struct tui *t, wint_t key)
{
    char stroke[32] = "";

    switch (key) {
    case 'x':
    case 'X': t->host.quit(t->host.opaque); break;
    case ESCAPE:
    case 'a':
    case 'A': snprintf(stroke, sizeof(stroke), "ctrl-a"); break;
    case 'd':
    case 'D': snprintf(stroke, sizeof(stroke), "ctrl-alt-delete"); break;
    case '1' ... '9': snprintf(stroke, sizeof(stroke), "ctrl-alt-f%c", (char)key); break;
    case 'c':
    case 'C':
        if (!t->host.monitor || !t->host.monitor(t->host.opaque))
            beep();
        break;
    case 'r':
    case 'R': break;
    default: t->help = true; break;
    }
    if (stroke[0])
        (void)novt_vm_send_keys(t->vm, stroke, 0);
    t->redraw = true;
}

static void type(struct tui *t, const char *stroke)
{
    if (stroke[0] && novt_vm_send_keys(t->vm, stroke, 1) == -ENOSPC)
        snprintf(t->pending, sizeof(t->pending), "%s", stroke);
}

static void take_key(struct tui *t, bool wide, wint_t key, bool alt)
{
    char stroke[64];

    if (!wide && key == KEY_RESIZE) {
        t->redraw = true;
        return;
    }
    if (t->help) {
        t->help = false;
        t->redraw = true;
    }
    if (t->after_escape) {
        t->after_escape = false;
        command(t, wide ? key : 'h');
        return;
    }
    if (wide && key == ESCAPE && !alt) {
        t->after_escape = true;
        return;
    }
    tui_stroke(wide, key, alt, stroke, sizeof(stroke));
    type(t, stroke);
}

/* Whatever the terminal has sent. */
static bool read_keys(struct tui *t)
{
    bool any = false;
    wint_t key;
    int rc;

    if (t->pending[0]) {
        char stroke[sizeof(t->pending)];

        memcpy(stroke, t->pending, sizeof(stroke));
        t->pending[0] = 0;
        type(t, stroke);
    }
    while (!t->stopping && !t->pending[0] && (rc = get_wch(&key)) != ERR) {
        bool alt = false;

        any = true;
        if (rc == OK && key == 0x1b) { /* alone, or Alt with what follows */
            wint_t next;
            int rc2 = get_wch(&next);

            if (rc2 != ERR) {
                rc = rc2;
                key = next;
                alt = true;
            }
        }
        take_key(t, rc == OK, key, alt);
    }
    return any;
}

/* ---- the thread ---- */

static bool terminal_up(struct tui *t)
{
    t->locale = newlocale(LC_CTYPE_MASK, "", (locale_t)0);
    if (t->locale)
        uselocale(t->locale);
    if (!t->locale ||
        strcmp(nl_langinfo(CODESET), "UTF-8")) { /* the "C" of a login without LANG: terminals are UTF-8 */
        locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);

        if (utf8) {
            uselocale(utf8);
            if (t->locale)
                freelocale(t->locale);
            t->locale = utf8;
        }
    }
    t->up = 1;
    t->screen = newterm(NULL, stdout, stdin);
    if (!t->screen)
        return false;
    set_escdelay(25);
    raw();
    noecho();
    nonl();
    keypad(stdscr, TRUE);
    nodelay(stdscr, TRUE);
    leaveok(stdscr, FALSE);
    if (has_colors())
        start_color();
    tui_keys_define();
    return true;
}

static void terminal_down(struct tui *t)
{
    if (t->screen) {
        curs_set(1);
        endwin();
        delscreen(t->screen);
        t->screen = NULL;
    }
    tcsetattr(STDIN_FILENO, TCSANOW, &t->saved);
    t->up = 0;
    uselocale(LC_GLOBAL_LOCALE);
    if (t->locale)
        freelocale(t->locale);
    t->locale = (locale_t)0;
}

/* Curses wants to hear of the terminal's size: on this thread, not on one that runs the guest. */
static void resize_signal(int how)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGWINCH);
    pthread_sigmask(how, &set, NULL);
}

static bool in_front(void)
{
    return tcgetpgrp(STDIN_FILENO) == getpgrp();
}

/* Once more the way curses left it. The size may have changed: who is not in front is not told. */
static void terminal_again(struct tui *t)
{
    struct winsize size;

    if (!isendwin())
        endwin(); /* or curses thought that the cursor is where it left it */
    reset_prog_mode();
    if (!ioctl(STDIN_FILENO, TIOCGWINSZ, &size) && size.ws_row && size.ws_col &&
        is_term_resized(size.ws_row, size.ws_col))
        resizeterm(size.ws_row, size.ws_col);
    t->redraw = true;
}

/* While it is not to be touched: a stop, or the shell put us into the background. */
static void stay_away(struct tui *t)
{
    pthread_mutex_lock(&t->lock);
    if (t->away) {
        curs_set(1);
        endwin();
        tcsetattr(STDIN_FILENO, TCSANOW, &t->saved);
    }
    while ((t->away || (t->anew && !in_front())) && !t->stopping) {
        struct timespec until;

        t->gone = true;
        pthread_cond_broadcast(&t->changed);
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += 200000000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&t->changed, &t->lock, &until);
    }
    t->gone = t->anew = false;
    pthread_mutex_unlock(&t->lock);
    if (!t->stopping)
        terminal_again(t);
}

/* What there is to know besides keys. */
static void hear(struct tui *t)
{
    u64 count;
    bool stay;

    if (read(t->stop_fd, &count, sizeof(count)) < 0)
        return;
    pthread_mutex_lock(&t->lock);
    stay = t->away || t->anew;
    pthread_mutex_unlock(&t->lock);
    if (stay && !t->stopping)
        stay_away(t);
}

static void *tui_thread(void *opaque)
{
    struct tui *t = opaque;
    int wait_ms = DISPLAY_BUSY_MS;

    resize_signal(SIG_UNBLOCK);
    if (!terminal_up(t))
        t->host.quit(t->host.opaque);
    t->redraw = true;
    while (t->screen && !t->stopping) {
        struct pollfd p[2] = {{.fd = t->pending[0] ? -1 : STDIN_FILENO, .events = POLLIN},
                              {.fd = t->stop_fd, .events = POLLIN}};
        bool busy = poll(p, 2, wait_ms) > 0;

        if (p[0].revents & (POLLERR | POLLHUP | POLLNVAL)) { /* the terminal is gone */
            t->host.quit(t->host.opaque);
            break;
        }
        if (p[1].revents & POLLIN)
            hear(t);
        busy |= read_keys(t);
        if (t->stopping)
            break;
        if (look(t)) {
            draw(t);
            busy = true;
        }
        wait_ms = display_next_ms(wait_ms, busy);
    }
    terminal_down(t);
    return NULL;
}

/* ---- standard error meanwhile ---- */

static void stderr_away(struct tui *t)
{
    if (!isatty(STDERR_FILENO))
        return;
    t->err_fd = memfd_create("novt-messages", MFD_CLOEXEC);
    t->saved_err = dup(STDERR_FILENO);
    if (t->err_fd >= 0 && t->saved_err >= 0 && dup2(t->err_fd, STDERR_FILENO) >= 0)
        return;
    if (t->err_fd >= 0)
        close(t->err_fd);
    if (t->saved_err >= 0)
        close(t->saved_err);
    t->err_fd = t->saved_err = -1;
}

static void stderr_back(struct tui *t)
{
    char buf[512];
    ssize_t n;

    if (t->err_fd < 0)
        return;
    dup2(t->saved_err, STDERR_FILENO);
    lseek(t->err_fd, 0, SEEK_SET);
    while ((n = read(t->err_fd, buf, sizeof(buf))) > 0)
        if (write(STDERR_FILENO, buf, (size_t)n) < 0)
            break;
    close(t->err_fd);
    close(t->saved_err);
    t->err_fd = t->saved_err = -1;
}

/* ---- life ---- */

static int tui_open(void **self, const struct display_spec *spec, const struct display_host *host,
                    struct novt_error *err)
{
    const char *term = getenv("TERM");
    struct tui *t;

    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) || tcgetpgrp(STDIN_FILENO) != getpgrp())
        return display_fail(err, NOVT_ERR_HOST, -ENOTTY,
                            "run it in a terminal, or use -nographic, -vnc or -display none",
                            "-display curses: standard input and output are not a terminal");
    if (!term || !term[0] || !tui_terminal_known())
        return display_fail(err, NOVT_ERR_HOST, -ENOTTY,
                            "set TERM, for example to xterm-256color (package ncurses-term knows more)",
                            "-display curses: TERM=%.60s is no terminal that is known and can place text",
                            term ? term : "");
    t = calloc(1, sizeof(*t));
    if (t)
        t->cell = calloc(MAX_CELLS, sizeof(*t->cell));
    if (t)
        t->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (!t || !t->cell || t->stop_fd < 0 || tcgetattr(STDIN_FILENO, &t->saved)) {
        if (t && t->stop_fd >= 0)
            close(t->stop_fd);
        if (t)
            free(t->cell);
        free(t);
        return display_fail(err, NOVT_ERR_HOST, -ENOMEM, "free memory and descriptors",
                            "-display curses: no memory");
    }
    resize_signal(SIG_BLOCK); /* in all threads to come */
    t->host = *host;
    t->title = spec->title;
    t->saved_err = t->err_fd = -1;
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->changed, NULL);
    *self = t;
    return 0;
}

static int tui_start(void *self, struct novt_vm *vm, struct novt_error *err)
{
    struct tui *t = self;

    t->vm = vm;
    stderr_away(t);
    t->started = pthread_create(&t->thread, NULL, tui_thread, t) == 0;
    if (t->started)
        return 0;
    stderr_back(t);
    return display_fail(err, NOVT_ERR_HOST, -EAGAIN, "raise \"ulimit -u\"", "-display curses: no thread");
}

static void wake(struct tui *t)
{
    u64 one = 1;

    if (write(t->stop_fd, &one, sizeof(one)) < 0) {
        /* The counter is full: the thread is awake anyway. */
    }
}

static void tui_stop(void *self)
{
    struct tui *t = self;
    struct timespec until;

    if (!t->started)
        return;
    t->started = false;
    t->stopping = 1;
    wake(t);
    pthread_cond_broadcast(&t->changed);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += STOP_WAIT_S;
    if (pthread_timedjoin_np(t->thread, NULL, &until)) {
        /* The terminal takes no output (Ctrl-S, a dead line): the thread sleeps in a write, and looks at `stopping` first if it wakes. */
        t->thread = 0;
        tcsetattr(STDIN_FILENO, TCSANOW, &t->saved);
    }
    stderr_back(t);
}

static void tui_suspend(void *self)
{
    struct tui *t = self;
    struct timespec until;

    if (!t->started || !t->up)
        return;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += STOP_WAIT_S;
    pthread_mutex_lock(&t->lock);
    t->away = true;
    wake(t);
    while (!t->gone && !t->stopping && !pthread_cond_timedwait(&t->changed, &t->lock, &until)) {
    }
    pthread_mutex_unlock(&t->lock);
}

static void tui_resume(void *self)
{
    struct tui *t = self;

    if (!t->started)
        return;
    pthread_mutex_lock(&t->lock);
    t->away = false;
    t->anew = true;
    pthread_cond_broadcast(&t->changed);
    wake(t);
    pthread_mutex_unlock(&t->lock);
}

static void tui_close(void *self)
{
    struct tui *t = self;

    tui_stop(t);
    if (t->up)
        return; /* its thread still sleeps: the process ends soon */
    close(t->stop_fd);
    novt_frame_free(&t->frame);
    pthread_cond_destroy(&t->changed);
    pthread_mutex_destroy(&t->lock);
    free(t->cell);
    free(t);
}

static void tui_panic(void *self)
{
    static const char plain[] = "\033[?1049l\033[?25h\033[0m\033[?1l\033>\r\n";
    struct tui *t = self;

    if (t->up) {
        if (write(STDOUT_FILENO, plain, sizeof(plain) - 1) < 0) {
            /* Nothing more can be done. */
        }
        tcsetattr(STDIN_FILENO, TCSANOW, &t->saved);
    }
    stderr_back(t);
}

const struct display_part display_tui = {tui_open,  tui_start,   tui_stop,  tui_close,
                                         tui_panic, tui_suspend, tui_resume};
