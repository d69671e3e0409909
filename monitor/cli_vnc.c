/*
 * cli_vnc.c - the VNC password: -object secret for the command line, set_password and its like for the monitors.
 *
 * QEMU's spellings. A secret is text of the command line (data=) or of a file (file=, a newline at its end left out), which other
 * users of the host cannot read in the list of processes. Encrypted ones (keyid=) are refused.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "monitor/cli_drive_opt.h"
#include "monitor/cli_opt.h"
#include "monitor/cli_session.h"

/* ---- secrets ---- */

static int read_secret(struct cli_secret *s, const char *path, struct novt_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), error = errno;
    ssize_t n = fd < 0 ? -1 : read(fd, s->text, sizeof(s->text) - 1);

    if (fd >= 0) {
        error = errno;
        close(fd);
    }
    if (n < 0) {
        err->kind = NOVT_ERR_HOST;
        snprintf(err->cause, sizeof(err->cause), "-object secret: cannot read %s: %s", path, strerror(error));
        snprintf(err->remedy, sizeof(err->remedy), "give a file that you may read");
        return EXIT_HOST;
    }
    s->text[n] = 0;
    if (n && s->text[n - 1] == '\n')
        s->text[n - 1] = 0;
    return 0;
}

int opt_object(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    char list[512], path[256], format[16];
    struct cli_secret *s = &opt->secret[opt->secrets];
    bool data, file;

    arg = cli_json_value(opt, "-object", "qom-type", arg, err);
    if (!arg)
        return EXIT_USAGE;
    if (!strncmp(arg, "filter-dump,", 12))
        return cli_net_dump(opt, arg + 12, err);
    if (strncmp(arg, "secret,", 7))
        return opt_usage(err, "back ends are made by the options that need them (-chardev, -netdev, -drive)",
                         "-object: there is no \"%.*s\", only secret and filter-dump", (int)strcspn(arg, ","), arg);
    if (opt->secrets == ARRAY_SIZE(opt->secret))
        return opt_usage(err, "one is enough for a VNC password", "-object secret: more than %zu",
                         ARRAY_SIZE(opt->secret));
    snprintf(list, sizeof(list), "%s", arg + 7);
    if (!opt_take_key(list, "id", s->id, sizeof(s->id)) || !s->id[0])
        return opt_usage(err, "for example -object secret,id=vnc0,file=PATH", "-object secret: no id=");
    if (opt_take_key(list, "format", format, sizeof(format)) && strcmp(format, "raw"))
        return opt_usage(err, "put the text itself into the file",
                         "-object secret: there is no format \"%s\"", format);
    data = opt_take_key(list, "data", s->text, sizeof(s->text));
    file = opt_take_key(list, "file", path, sizeof(path));
    if (data == file || list[0])
        return opt_usage(err, "for example -object secret,id=vnc0,file=PATH",
                         "-object secret takes id= and one of file= and data=%s%s", list[0] ? ", not " : "",
                         list);
    opt->secrets++;
    return file ? read_secret(s, path, err) : 0;
}

int cli_vnc_secret(struct cli_options *opt, struct novt_error *err)
{
    struct display_spec *d = &opt->display;

    for (unsigned i = 0; i < opt->secrets && d->vnc_secret_id[0]; i++)
        if (!strcmp(opt->secret[i].id, d->vnc_secret_id))
            d->vnc_secret = opt->secret[i].text;
    if (d->vnc_secret_id[0] && !d->vnc_secret)
        return opt_usage(err, "add -object secret,id=ID,file=PATH",
                         "-vnc password-secret=%s: there is no such object", d->vnc_secret_id);
    return 0;
}

/* ---- commands ---- */

/* What keeps it from being done, in QEMU's words; NULL: done. */
static const char *set_password(struct cli_control *c, const char *password, const i64 *until)
{
    switch (display_vnc_password(c->io->display, password, until)) {
    case 0: return NULL;
    case -EPERM:
        return "If you want use passwords please enable password auth using '-vnc HOST:N,password=on'.";
    default: return "There is no VNC server: start with -vnc HOST:N,password=on";
    }
}

/* "now", "never", "+SECONDS", a time. */
static bool parse_until(const char *text, i64 *until)
{
    u64 n;

    if (!strcmp(text, "never"))
        *until = 0;
    else if (!strcmp(text, "now"))
        *until = 1;
    else if (opt_number(text + (*text == '+'), INT32_MAX * 4ull, NULL, &n))
        *until = *text == '+' ? (i64)time(NULL) + (i64)n : n ? (i64)n : 1;
    else
        return false;
    return true;
}

static void say_error(struct hmp_args *a, const char *error)
{
    if (error)
        text_printf(a->out, "Error: %s\n", error);
}

void hmp_set_password(struct hmp_args *a)
{
    say_error(a, strcmp(a->arg[0], "vnc") ? "Invalid parameter 'protocol'"
                                          : set_password(a->control, a->arg[1], NULL));
}

void hmp_expire_password(struct hmp_args *a)
{
    i64 until = 0;

    say_error(a, strcmp(a->arg[0], "vnc")          ? "Invalid parameter 'protocol'"
                 : !parse_until(a->arg[1], &until) ? "times are now, never, +SECONDS or seconds since 1970"
                                                   : set_password(a->control, NULL, &until));
}

bool hmp_change_vnc(struct hmp_args *a)
{
    if (strcmp(a->arg[0], "vnc"))
        return false;
    say_error(a, strcmp(a->arg[1], "password") || a->args < 3 ? "only 'change vnc password PASSWORD'"
                                                              : set_password(a->control, a->arg[2], NULL));
    return true;
}

static const char *word(struct qmp_call *q, const char *name)
{
    const char *text = json_string_value(json_object_get(q->args, name));

    return text ? text : "";
}

static bool is_vnc(struct qmp_call *q)
{
    if (!strcmp(word(q, "protocol"), "vnc"))
        return true;
    qmp_fail(q, "Invalid parameter 'protocol'");
    return false;
}

void qmp_set_password(struct qmp_call *q)
{
    const char *error = is_vnc(q) ? set_password(q->control, word(q, "password"), NULL) : NULL;

    if (error)
        qmp_fail(q, "%s", error);
}

void qmp_expire_password(struct qmp_call *q)
{
    const char *error = NULL;
    i64 until = 0;

    if (!is_vnc(q))
        return;
    error = parse_until(word(q, "time"), &until) ? set_password(q->control, NULL, &until)
                                                 : "Invalid parameter 'time'";
    if (error)
        qmp_fail(q, "%s", error);
}

void qmp_change_vnc_password(struct qmp_call *q)
{
    const char *error = set_password(q->control, word(q, "password"), NULL);

    if (error)
        qmp_fail(q, "%s", error);
}
