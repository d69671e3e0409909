/*
 * display.c - which displays there are, and their life from the command line to the end.
 *
 * QEMU's spellings: -display none|sdl|curses|vnc=HOST:N, -vnc HOST:N. What QEMU has and NoVT has not is refused by name.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "display/vnc.h"

struct display {
    void *self[DISPLAY_KINDS];
};

static const struct display_part *const parts[DISPLAY_KINDS] = {
    [DISPLAY_TUI] = &display_tui, [DISPLAY_SDL] = &display_sdl, [DISPLAY_VNC] = &display_vnc};

int display_fail(struct novt_error *err, enum novt_error_kind kind, int rc, const char *remedy,
                 const char *fmt, ...)
{
    va_list ap;

    err->kind = kind;
    va_start(ap, fmt);
    vsnprintf(err->cause, sizeof(err->cause), fmt, ap);
    va_end(ap);
    snprintf(err->remedy, sizeof(err->remedy), "%s", remedy);
    return rc;
}

static int refuse(struct novt_error *err, const char *remedy, const char *option, const char *what)
{
    return display_fail(err, NOVT_ERR_USAGE, -EINVAL, remedy, "%s: there is no \"%s\"", option, what);
}

/* The next item of a comma list into item; false at its end. */
static bool next_item(const char **at, char *item, size_t bytes)
{
    size_t len = strcspn(*at, ",");

    if (!**at)
        return false;
    snprintf(item, bytes, "%.*s", (int)len, *at);
    *at += len + ((*at)[len] == ',');
    return true;
}

/* "name=on|off": 1, 0; "name" alone: 1; something else: -1. */
static int on_off(const char *item, const char *name)
{
    size_t len = strlen(name);

    if (strncmp(item, name, len))
        return -1;
    if (!item[len] || !strcmp(item + len, "=on"))
        return 1;
    return strcmp(item + len, "=off") ? -1 : 0;
}

int display_parse_vnc(struct display_spec *spec, const char *arg, struct novt_error *err)
{
    char item[128];
    const char *at = arg;

    if (!strcmp(arg, "none"))
        return 0;
    if (!next_item(&at, item, sizeof(item)) || (!strchr(item, ':')))
        return display_fail(err, NOVT_ERR_USAGE, -EINVAL,
                            "for example -vnc :1, -vnc 127.0.0.1:1 or -vnc unix:PATH",
                            "-vnc: \"%s\" is not HOST:DISPLAY", arg);
    snprintf(spec->vnc, sizeof(spec->vnc), "%s", item);
    while (next_item(&at, item, sizeof(item))) {
        char *end;
        unsigned long to = strncmp(item, "to=", 3) ? 0 : strtoul(item + 3, &end, 10);

        if (!strncmp(item, "to=", 3) && item[3] && !*end && to < 1000)
            spec->vnc_to = (unsigned)to;
        else if (on_off(item, "password") >= 0)
            spec->vnc_password = on_off(item, "password") == 1;
        else if (!strncmp(item, "password-secret=", 16) && item[16])
            snprintf(spec->vnc_secret_id, sizeof(spec->vnc_secret_id), "%.63s", item + 16);
        else if (strncmp(item, "share=", 6) && on_off(item, "lossy") < 0 && on_off(item, "non-adaptive") < 0)
            return refuse(err, !strncmp(item, "tls", 3) ? "listen on 127.0.0.1 or unix:PATH and use ssh" : "leave it out", "-vnc", item);
    }
    spec->vnc_password |= spec->vnc_secret_id[0] != 0;
    spec->wanted[DISPLAY_VNC] = true;
    return 0;
}

static int parse_sdl(struct display_spec *spec, const char *at, struct novt_error *err)
{
    char item[64];

    spec->wanted[DISPLAY_SDL] = true;
    while (next_item(&at, item, sizeof(item))) {
        if (on_off(item, "full-screen") >= 0)
            spec->full_screen = on_off(item, "full-screen") == 1;
        else if (on_off(item, "window-close") >= 0)
            spec->window_close_off = on_off(item, "window-close") == 0;
        else if (on_off(item, "gl") != 0 && on_off(item, "show-cursor") != 0)
            return refuse(err, "use -display sdl,full-screen=on|off,window-close=on|off", "-display sdl",
                          item);
    }
    return 0;
}

int display_parse(struct display_spec *spec, const char *arg, struct novt_error *err)
{
    size_t len = strcspn(arg, ",=");

    if (!strcmp(arg, "none"))
        return 0;
    if (len == 3 && !strncmp(arg, "vnc", 3) && arg[3] == '=')
        return display_parse_vnc(spec, arg + 4, err);
    if (len == 3 && !strncmp(arg, "sdl", 3) && arg[3] != '=')
        return parse_sdl(spec, arg + 3 + (arg[3] == ','), err);
    if (!strcmp(arg, "curses") || !strcmp(arg, "tui") || !strncmp(arg, "curses,charset=", 15)) {
        spec->wanted[DISPLAY_TUI] = true;
        return 0;
    }
    return refuse(err, "use -display none, curses, sdl or vnc=HOST:DISPLAY", "-display", arg);
}

int display_open(struct display **out, const struct display_spec *spec, const struct display_host *host,
                 struct novt_error *err)
{
    struct display *d = calloc(1, sizeof(*d));

    *out = NULL;
    if (!d)
        return display_fail(err, NOVT_ERR_HOST, -ENOMEM, "free memory", "no memory for the display");
    if (spec->wanted[DISPLAY_TUI] && spec->wanted[DISPLAY_SDL]) {
        free(d);
        return display_fail(err, NOVT_ERR_USAGE, -EINVAL, "choose one",
                            "-display sdl and -display curses are both given");
    }
    for (unsigned i = 0; i < DISPLAY_KINDS; i++) {
        int rc = spec->wanted[i] ? parts[i]->open(&d->self[i], spec, host, err) : 0;

        if (rc) {
            d->self[i] = NULL;
            display_close(d);
            return rc;
        }
    }
    *out = d;
    return 0;
}

int display_start(struct display *d, struct novt_vm *vm, struct novt_error *err)
{
    for (unsigned i = 0; i < DISPLAY_KINDS; i++) {
        int rc = d->self[i] ? parts[i]->start(d->self[i], vm, err) : 0;

        if (rc)
            return rc;
    }
    return 0;
}

void display_stop(struct display *d)
{
    for (unsigned i = 0; d && i < DISPLAY_KINDS; i++)
        if (d->self[i])
            parts[i]->stop(d->self[i]);
}

void display_close(struct display *d)
{
    for (unsigned i = 0; d && i < DISPLAY_KINDS; i++)
        if (d->self[i])
            parts[i]->close(d->self[i]);
    free(d);
}

int display_vnc_password(struct display *d, const char *password, const i64 *until)
{
    struct vnc_auth *auth;

    if (!d || !d->self[DISPLAY_VNC])
        return -ENOENT;
    auth = vnc_auth_of(d->self[DISPLAY_VNC]);
    if (!auth)
        return -EPERM;
    if (password)
        vnc_auth_set(auth, password);
    if (until)
        vnc_auth_expire(auth, *until);
    return 0;
}

void display_suspend(struct display *d)
{
    for (unsigned i = 0; d && i < DISPLAY_KINDS; i++)
        if (d->self[i] && parts[i]->suspend)
            parts[i]->suspend(d->self[i]);
}

void display_resume(struct display *d)
{
    for (unsigned i = 0; d && i < DISPLAY_KINDS; i++)
        if (d->self[i] && parts[i]->resume)
            parts[i]->resume(d->self[i]);
}

void display_panic(struct display *d)
{
    for (unsigned i = 0; d && i < DISPLAY_KINDS; i++)
        if (d->self[i] && parts[i]->panic)
            parts[i]->panic(d->self[i]);
}
