/*
 * cli_opt_control.c - options for who is in charge: monitors, what happens at the guest's end, clock, name, process.
 *
 * Options of QEMU that choose among accelerators are taken with a note on standard error: whatever they ask
 * for, the guest runs the same. What NoVT does not have is refused in cli_opt_absent.c.
 */
#include "monitor/cli_opt.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* ---- monitors ---- */

static int add_end(struct cli_options *opt, const char *option, const char *spec, bool qmp, bool pretty,
                   struct novt_error *err)
{
    struct control_options *c = &opt->control;
    struct control_end_spec *e = &c->end[c->ends];

    if (c->ends == CONTROL_ENDS)
        return opt_usage(err, "give fewer", "%s: more than %d monitors", option, CONTROL_ENDS);
    if (strlen(spec) >= sizeof(e->spec))
        return opt_usage(err, "choose a shorter path", "%s: the value is too long", option);
    snprintf(e->spec, sizeof(e->spec), "%s", spec);
    e->qmp = qmp;
    e->pretty = pretty;
    c->ends++;
    return 0;
}

static int one_monitor(struct cli_options *opt, const char *option, const char *arg, bool qmp, bool pretty,
                       struct novt_error *err)
{
    if (qmp)
        opt->control.qmp_given = true;
    else
        opt->control.monitor_given = true;
    if (!strcmp(arg, "none") || !strcmp(arg, "null"))
        return 0;
    return add_end(opt, option, arg, qmp, pretty, err);
}

int opt_monitor(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    return one_monitor(opt, "-monitor", arg, false, false, err);
}

int opt_qmp(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    return one_monitor(opt, "-qmp", arg, true, false, err);
}

int opt_qmp_pretty(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    return one_monitor(opt, "-qmp-pretty", arg, true, true, err);
}

/* [chardev=]ID[,mode=readline|control][,pretty=on|off] */
int opt_mon(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    char list[256], id[32] = "", mode[16] = "readline", pretty[8] = "off", spec[64];
    bool qmp;

    snprintf(list, sizeof(list), "%s", arg);
    opt_take_key(list, "mode", mode, sizeof(mode));
    opt_take_key(list, "pretty", pretty, sizeof(pretty));
    opt_take_key(list, "id", spec, sizeof(spec)); /* the monitor's own name: nothing asks for it */
    if (!opt_take_key(list, "chardev", id, sizeof(id))) {
        snprintf(id, sizeof(id), "%.31s", list);
        list[0] = 0;
    }
    qmp = !strcmp(mode, "control");
    if (!id[0] || list[0] || (!qmp && strcmp(mode, "readline")))
        return opt_usage(
            err, "for example -chardev socket,id=m,path=P,server=on,wait=off -mon chardev=m,mode=control",
            "-mon: cannot use \"%s\"", arg);
    snprintf(spec, sizeof(spec), "chardev:%s", id);
    return one_monitor(opt, "-mon", spec, qmp, !strcmp(pretty, "on"), err);
}

/* ---- beginning and end ---- */

int opt_no_shutdown(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    (void)arg;
    (void)err;
    opt->config.no_shutdown = true;
    return 0;
}

/* reboot=reset|shutdown,shutdown=poweroff|pause,panic=...,watchdog=... : the last two have nobody to ask for them. */
int opt_action(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    static const char *const words[][2] = {
        {"reboot", "reset"},        {"reboot", "shutdown"},    {"shutdown", "poweroff"},
        {"shutdown", "pause"},      {"panic", "pause"},        {"panic", "shutdown"},
        {"panic", "none"},          {"panic", "exit-failure"}, {"watchdog", "reset"},
        {"watchdog", "none"},       {"watchdog", "shutdown"},  {"watchdog", "poweroff"},
        {"watchdog", "inject-nmi"}, {"watchdog", "debug"},     {"watchdog", "pause"},
    };
    char list[128], value[32];

    snprintf(list, sizeof(list), "%s", arg);
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        char copy[128];

        snprintf(copy, sizeof(copy), "%s", list);
        if (!opt_take_key(copy, words[i][0], value, sizeof(value)) || strcmp(value, words[i][1]))
            continue;
        snprintf(list, sizeof(list), "%s", copy);
        if (!strcmp(words[i][0], "reboot"))
            opt->config.no_reboot = !strcmp(value, "shutdown");
        else if (!strcmp(words[i][0], "shutdown"))
            opt->config.no_shutdown = !strcmp(value, "pause");
    }
    if (list[0])
        return opt_usage(err, "use reboot=reset|shutdown, shutdown=poweroff|pause, panic=pause|shutdown|none",
                         "-action: cannot do \"%s\"", list);
    return 0;
}

int opt_pidfile(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    (void)err;
    opt->control.pidfile = arg;
    return 0;
}

int opt_daemonize(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    (void)arg;
    (void)err;
    opt->control.daemonize = true;
    return 0;
}

/* The key that begins commands on a serial line, as its ASCII code. */
int opt_echr(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    u64 n;

    if (!opt_number(arg, 126, NULL, &n) || n == 0)
        return opt_usage(err, "give a code from 1 (Ctrl-A) to 126, for example 0x14 for Ctrl-T",
                         "-echr: \"%s\" is not a key", arg);
    opt->control.escape = (u8)n;
    return 0;
}

/* ---- clock ---- */

static bool parse_date(const char *text, i64 *epoch)
{
    struct tm tm = {0};
    const char *end = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);

    if (!end) {
        memset(&tm, 0, sizeof(tm));
        end = strptime(text, "%Y-%m-%d", &tm);
    }
    if (!end || *end)
        return false;
    *epoch = (i64)timegm(&tm);
    return *epoch != 0 && tm.tm_year >= 70 && tm.tm_year < 200;
}

int opt_rtc(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    char list[128], base[40] = "utc", clock[16] = "host", drift[16] = "none";
    time_t now = time(NULL);
    struct tm local;

    snprintf(list, sizeof(list), "%s", arg);
    opt_take_key(list, "base", base, sizeof(base));
    opt_take_key(list, "clock", clock, sizeof(clock));
    opt_take_key(list, "driftfix", drift, sizeof(drift));
    if (list[0] || (strcmp(clock, "host") && strcmp(clock, "rt") && strcmp(clock, "vm")) ||
        (strcmp(drift, "none") && strcmp(drift, "slew")))
        return opt_usage(err, "use base=utc|localtime|DATE, clock=host|rt|vm, driftfix=none|slew",
                         "-rtc: cannot do \"%s\"", arg);
    if (!strcmp(base, "localtime"))
        opt->config.rtc_epoch_s = (i64)now + (localtime_r(&now, &local) ? local.tm_gmtoff : 0);
    else if (strcmp(base, "utc") && !parse_date(base, &opt->config.rtc_epoch_s))
        return opt_usage(err, "use utc, localtime or a date like 2006-06-17T16:01:21",
                         "-rtc: \"%s\" is not a time from 1970 to 2099", base);
    return 0;
}

/* ---- names ---- */

int opt_name(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    (void)err;
    opt->control.name = strncmp(arg, "guest=", 6) ? arg : arg + 6;
    return 0;
}

int opt_uuid(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    unsigned n = 0;

    for (const char *at = arg; *at && n < 32; at++) {
        unsigned digit;

        if (*at == '-')
            continue;
        if (!isxdigit((unsigned char)*at))
            break;
        digit = (unsigned)(isdigit((unsigned char)*at) ? *at - '0' : tolower((unsigned char)*at) - 'a' + 10);
        opt->config.uuid[n / 2] = (u8)(n & 1 ? opt->config.uuid[n / 2] | digit : digit << 4);
        n++;
    }
    if (n != 32 || strlen(arg) != 36)
        return opt_usage(err, "for example -uuid 550e8400-e29b-41d4-a716-446655440000",
                         "-uuid: \"%s\" is not a UUID", arg);
    return 0;
}

/* ---- taken with a note ---- */

static void note(const char *what)
{
    base_warn("note: %s: guest code is translated or runs in a sandbox process; see -engine", what);
}

int opt_accel(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    static const char *const names[] = {"kvm", "tcg", "hax", "whpx", "xen", "hvf", "nvmm"};
    char what[48];

    (void)opt;
    for (const char *at = arg;; at++) {
        size_t len = strcspn(at, ":,"), i;

        for (i = 0; i < ARRAY_SIZE(names); i++)
            if (strlen(names[i]) == len && !strncmp(at, names[i], len))
                break;
        /* Properties of accelerators (thread=, tb-size=, kernel-irqchip=) are theirs. */
        if (i == ARRAY_SIZE(names) && (at == arg || at[-1] == ':'))
            return opt_usage(err, "leave it out, or name one of QEMU's",
                             "-accel: unknown accelerator \"%.*s\"", (int)len, at);
        at += len;
        if (!*at)
            break;
    }
    snprintf(what, sizeof(what), "-accel %.32s", arg);
    note(what);
    return 0;
}

int opt_enable_kvm(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    (void)opt;
    (void)arg;
    (void)err;
    note("-enable-kvm");
    return 0;
}

/* ---- devices that are there or not ---- */

int opt_nodefaults(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    (void)arg;
    (void)err;
    opt->control.nodefaults = true;
    return 0;
}

/* ---- all of them together ---- */

const char *control_resolve(const struct cli_options *opt, const char *spec, bool *mux)
{
    *mux = !strncmp(spec, "mon:", 4);
    if (strncmp(spec, "chardev:", 8))
        return *mux ? spec + 4 : spec;
    for (unsigned i = 0; i < opt->chardevs; i++)
        if (!strcmp(opt->chardev[i].id, spec + 8)) {
            *mux = opt->chardev[i].mux;
            return opt->chardev[i].spec;
        }
    return NULL;
}

bool control_has_stdio(const struct cli_options *opt)
{
    for (unsigned i = 0; i < opt->control.ends; i++) {
        bool mux;
        const char *spec = control_resolve(opt, opt->control.end[i].spec, &mux);

        if (spec && !strcmp(spec, "stdio") && !mux)
            return true;
    }
    return false;
}

static int check_ends(struct cli_options *opt, struct novt_error *err)
{
    static const char places[] =
        "use stdio, unix:PATH,server,nowait, tcp:HOST:PORT,server,nowait, chardev:ID or none";
    const struct control_options *c = &opt->control;

    for (unsigned i = 0; i < c->ends; i++) {
        const char *name = c->end[i].qmp ? "-qmp" : "-monitor";
        bool mux;
        const char *spec = control_resolve(opt, c->end[i].spec, &mux);
        struct sock_spec socket;

        if (!spec)
            return opt_usage(err, "give -chardev BACKEND,id=ID", "%s: no chardev \"%s\"", name,
                             c->end[i].spec + strlen("chardev:"));
        if (sock_is_spec(spec)) {
            if (sock_parse(name, spec, &socket, err))
                return EXIT_USAGE;
        } else if (!strcmp(spec, "vc")) {
            return opt_usage(err, places, "%s: there is no \"vc\": windows show the guest alone", name);
        } else if (strcmp(spec, "stdio") && strcmp(spec, "null")) {
            return opt_usage(err, places, "%s: cannot use \"%s\"", name, spec);
        }
    }
    return 0;
}

int control_check(struct cli_options *opt, struct novt_error *err)
{
    struct control_options *c = &opt->control;
    unsigned on_stdio = 0;
    bool mux, any_mux = false, curses = opt->display.wanted[DISPLAY_TUI];
    bool shown = curses || opt->display.wanted[DISPLAY_SDL] || opt->display.wanted[DISPLAY_VNC];

    if (check_ends(opt, err))
        return EXIT_USAGE;
    for (unsigned i = 0; i < c->ends; i++) {
        const char *spec = control_resolve(opt, c->end[i].spec, &mux);

        on_stdio += !strcmp(spec, "stdio") && !mux;
        any_mux |= mux;
    }
    for (unsigned i = 0; i < opt->serials; i++) {
        const char *spec = control_resolve(opt, opt->serial[i], &mux);

        on_stdio += spec && !strcmp(spec, "stdio") && i == 0;
        any_mux |= mux && spec && !strcmp(spec, "stdio");
    }
    if (on_stdio > 1)
        return opt_usage(err, "use -serial mon:stdio (Ctrl-A C switches), or another place for one of them",
                         "a monitor and a serial line cannot both have stdio");
    if (curses && on_stdio)
        return opt_usage(err, "give the monitor or the serial line another place",
                         "-display curses needs the terminal for itself");
    if (c->daemonize && (on_stdio || any_mux || curses))
        return opt_usage(err, "add -display none and -serial file:PATH, and no monitor on stdio",
                         "-daemonize: a process in the background has no terminal");
    if (c->nodefaults && !c->vga_given)
        opt->config.vgabios = "";
    if (c->ends || opt->config.no_shutdown || opt->gdb || shown)
        opt->config.patient = true;
    return 0;
}
