/*
 * cli_opt_chardev.c - options that connect character devices: -serial, -parallel, -chardev, -debugcon, and the -devices that name a
 * -chardev.
 *
 * Specs are kept as text and opened by cli_chardev.c. As in QEMU the order of options does not matter: a -chardev may be named before
 * it is given, and chardev_finish() looks all names up when the whole command line has been read.
 */
#include "monitor/cli_drive_opt.h"

#include <stdio.h>
#include <string.h>

int opt_serial(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    if (opt->serials == ARRAY_SIZE(opt->serial))
        return opt_usage(err, "give -serial at most four times",
                         "-serial: the machine has four serial lines");
    opt->serial[opt->serials++] = arg;
    return 0;
}

int opt_parallel(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    opt->control.parallel_given = true;
    if (!strcmp(arg, "none")) {
        opt->control.parallel = NULL;
        return 0;
    }
    if (opt->control.parallel)
        return opt_usage(err, "give -parallel once", "-parallel: the machine has one parallel port");
    opt->control.parallel = arg;
    return 0;
}

/* What is left of -chardev socket's properties, in the spelling of -serial. */
static int socket_spec(char *list, struct cli_chardev_spec *c, struct novt_error *err)
{
    char host[64] = "", port[16] = "", path[128] = "", fd[16] = "", *at = list + strlen("socket");
    int n;

    opt_take_key(list, "host", host, sizeof(host));
    opt_take_key(list, "port", port, sizeof(port));
    opt_take_key(list, "path", path, sizeof(path));
    opt_take_key(list, "fd", fd, sizeof(fd));
    if (!path[0] + !port[0] + !fd[0] != 2)
        return opt_usage(err, "give path=PATH or host=HOST,port=PORT",
                         "-chardev %s: no place to listen or connect", c->id);
    if (path[0])
        n = snprintf(c->spec, sizeof(c->spec), "unix:%s%s", path, at);
    else if (fd[0])
        n = snprintf(c->spec, sizeof(c->spec), "fd:%s%s", fd, at);
    else
        n = snprintf(c->spec, sizeof(c->spec), strchr(host, ':') ? "tcp:[%s]:%s%s" : "tcp:%s:%s%s", host,
                     port, at);
    return n < (int)sizeof(c->spec) ? 0
                                    : opt_usage(err, "choose a shorter path", "-chardev %s: too long", c->id);
}

/* Back ends of QEMU's that are not there, and what comes nearest. */
static const char *const absent_backends[][2] = {
    {"vc", "a window shows the guest alone: use pty, file or socket"},
    {"udp", "use socket, over TCP or a Unix path"},
    {"ringbuf", "use file"},
    {"memory", "use file"},
    {"msmouse", "the mouse is PS/2"},
    {"wctablet", "the mouse is PS/2"},
    {"braille", "use pty"},
    {"testdev", "use -device isa-debug-exit"},
    {"spicevmc", "use socket; screens are -vnc's"},
    {"spiceport", "use socket; screens are -vnc's"},
    {"qemu-vdagent", "leave it out"},
    {"dbus", "use socket"},
    {"console", "use stdio"},
    {"parport", "use file"},
    {"parallel", "use file"},
};

/* Is what -serial and its like got a back end that is not there? Its word ends at a colon or a comma. */
static int check_spec(const char *option, const char *spec, struct novt_error *err)
{
    const char *kind = strncmp(spec, "mon:", 4) ? spec : spec + 4;
    size_t len = strcspn(kind, ":,");

    for (size_t i = 0; i < ARRAY_SIZE(absent_backends); i++)
        if (strlen(absent_backends[i][0]) == len && !strncmp(kind, absent_backends[i][0], len))
            return opt_usage(err, absent_backends[i][1], "%s: there is no back end \"%.*s\"", option,
                             (int)len, kind);
    return 0;
}

/* What is left of -chardev file, pipe, tty or serial: a path, in the spelling of -serial. */
static int path_spec(const char *kind, char *list, struct cli_chardev_spec *c, struct novt_error *err)
{
    char path[sizeof(c->spec)] = "", append[8] = "off";
    const char *form = !strcmp(kind, "pipe") ? "pipe:" : strcmp(kind, "file") ? "" : "file:";
    size_t at = strlen(kind);

    opt_take_key(list, "path", path, sizeof(path));
    if (form[0] == 'f')
        opt_take_key(list, "append", append, sizeof(append));
    if (!path[0])
        return opt_usage(err, "add path=FILE", "-chardev %s: no path=", c->id);
    if (list[at])
        return opt_usage(err, "leave it out", "-chardev: unknown property \"%s\"", list + at + 1);
    if (!form[0] && path[0] != '/')
        return opt_usage(err, "for example path=/dev/ttyS0",
                         "-chardev %s: \"%s\" is not a device of the host", c->id, path);
    if (snprintf(c->spec, sizeof(c->spec), "%s%s", !strcmp(append, "on") ? "file+:" : form, path) >=
        (int)sizeof(c->spec))
        return opt_usage(err, "choose a shorter path", "-chardev %s: too long", c->id);
    return 0;
}

int opt_chardev(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    struct cli_chardev_spec *c = &opt->chardev[opt->chardevs];
    char list[256], kind[16], mux[8] = "off", junk[16];

    if (opt->chardevs == CLI_CHARDEVS)
        return opt_usage(err, "give fewer", "-chardev: more than %d", CLI_CHARDEVS);
    if (snprintf(list, sizeof(list), "%s", arg) >= (int)sizeof(list))
        return opt_usage(err, "choose a shorter path", "-chardev: the value is too long");
    if (opt_take_key(list, "backend", kind, sizeof(kind))) { /* the word need not be the first */
        if (snprintf(list, sizeof(list), "%s,%s", kind, arg) >= (int)sizeof(list))
            return opt_usage(err, "choose a shorter path", "-chardev: the value is too long");
        opt_take_key(list, "backend", kind, sizeof(kind));
    }
    if (!opt_take_key(list, "id", c->id, sizeof(c->id)))
        return opt_usage(err, "for example -chardev file,id=log,path=FILE", "-chardev %s: no id=", arg);
    for (unsigned i = 0; i < opt->chardevs; i++)
        if (!strcmp(opt->chardev[i].id, c->id))
            return opt_usage(err, "give each its own", "-chardev: id=%s twice", c->id);
    opt_take_key(list, "mux", mux, sizeof(mux));
    c->mux = !strcmp(mux, "on");
    opt_take_key(list, "logfile", c->logfile, sizeof(c->logfile));
    c->log_append = opt_take_key(list, "logappend", mux, sizeof(mux)) && !strcmp(mux, "on");
    opt->chardevs++;
    snprintf(kind, sizeof(kind), "%.*s", (int)strcspn(list, ","), list);
    if (check_spec("-chardev", kind, err))
        return EXIT_USAGE;
    if (!strcmp(kind, "socket"))
        return socket_spec(list, c, err);
    if (!strcmp(kind, "file") || !strcmp(kind, "pipe") || !strcmp(kind, "tty") || !strcmp(kind, "serial"))
        return path_spec(kind, list, c, err);
    if (strcmp(kind, "stdio") && strcmp(kind, "null") && strcmp(kind, "pty"))
        return opt_usage(err, "use stdio, file, pty, socket, pipe, serial or null",
                         "-chardev: unknown back end \"%s\"", kind);
    if (!strcmp(kind, "stdio"))
        opt_take_key(list, "signal", junk, sizeof(junk));
    if (strchr(list, ','))
        return opt_usage(err, "leave it out", "-chardev: unknown property \"%s\"", strchr(list, ',') + 1);
    snprintf(c->spec, sizeof(c->spec), "%s", kind);
    return 0;
}

int opt_debugcon(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    (void)err;
    opt->debugcon = arg;
    if (!opt->config.debugcon_iobase)
        opt->config.debugcon_iobase = 0xe9;
    return 0;
}

/* ---- devices on the ISA bus that name a chardev ---- */

/* chardev=ID becomes "chardev:ID", which lives as long as the options. */
static int take_chardev(struct cli_options *opt, const char *device, char *list, const char **spec,
                        struct novt_error *err)
{
    char id[64], text[80];

    if (!opt_take_key(list, "chardev", id, sizeof(id)))
        return opt_usage(err, "add chardev=ID and -chardev BACKEND,id=ID", "-device %s: no chardev=", device);
    if (!strcmp(id, "stdio") && !strcmp(device, "isa-debugcon")) { /* short for -chardev stdio,id=stdio */
        *spec = "stdio";
        return 0;
    }
    snprintf(text, sizeof(text), "chardev:%s", id);
    *spec = drive_text(opt, text, err);
    return *spec ? 0 : EXIT_USAGE;
}

int chardev_debugcon(struct cli_options *opt, char *list, struct novt_error *err)
{
    int rc;

    opt->config.debugcon_iobase = 0xe9;
    rc = opt_port("isa-debugcon", list, "iobase", &opt->config.debugcon_iobase, err);
    return rc ? rc : take_chardev(opt, "isa-debugcon", list, &opt->debugcon, err);
}

/* isa-serial,chardev=ID[,index=N][,iobase=PORT,irq=N]: a COM port, the next one unless one is named. */
int chardev_isa_serial(struct cli_options *opt, char *list, struct novt_error *err)
{
    static const u16 base[] = {0x3f8, 0x2f8, 0x3e8, 0x2e8};
    struct cli_isa_serial *s = &opt->isa_serial[opt->isa_serials];
    u16 index = 0xffff, iobase = 0, irq = 0;
    int rc;

    if (opt->isa_serials == ARRAY_SIZE(opt->isa_serial))
        return opt_usage(err, "give fewer", "-device isa-serial: the machine has four serial lines");
    rc = take_chardev(opt, "isa-serial", list, &s->spec, err);
    if (!rc)
        rc = opt_port("isa-serial", list, "index", &index, err);
    if (!rc)
        rc = opt_port("isa-serial", list, "iobase", &iobase, err);
    if (!rc)
        rc = opt_port("isa-serial", list, "irq", &irq, err);
    if (rc)
        return rc;
    for (u16 i = 0; iobase && i < ARRAY_SIZE(base); i++)
        if (base[i] == iobase && index == 0xffff)
            index = i;
    if ((index != 0xffff && index >= ARRAY_SIZE(base)) ||
        (iobase && (index == 0xffff || base[index] != iobase)) || (irq && irq != (index % 2 ? 3 : 4)))
        return opt_usage(
            err, "COM1 to COM4 are index=0 to 3: 3f8h, 2f8h, 3e8h and 2e8h with interrupts 4, 3, 4, 3",
            "-device isa-serial: no COM port is at that index, iobase and irq");
    s->index = index == 0xffff ? -1 : (int)index;
    opt->isa_serials++;
    return 0;
}

int chardev_isa_parallel(struct cli_options *opt, char *list, struct novt_error *err)
{
    u16 index = 0, iobase = 0x378, irq = 7;
    const char *spec;
    int rc = take_chardev(opt, "isa-parallel", list, &spec, err);

    if (!rc)
        rc = opt_port("isa-parallel", list, "index", &index, err);
    if (!rc)
        rc = opt_port("isa-parallel", list, "iobase", &iobase, err);
    if (!rc)
        rc = opt_port("isa-parallel", list, "irq", &irq, err);
    if (rc)
        return rc;
    if (index || iobase != 0x378 || irq != 7)
        return opt_usage(err, "LPT1 is index=0, iobase=0x378, irq=7",
                         "-device isa-parallel: there is one place for it");
    return opt_parallel(opt, spec, err);
}

/* ---- when all options were read ---- */

static int place_serials(struct cli_options *opt, struct novt_error *err)
{
    for (unsigned pass = 0; pass < 2; pass++) /* those with a place first */
        for (unsigned i = 0; i < opt->isa_serials; i++) {
            const struct cli_isa_serial *s = &opt->isa_serial[i];
            unsigned at = s->index < 0 ? 0 : (unsigned)s->index;

            if ((s->index < 0) != pass)
                continue;
            while (s->index < 0 && at < opt->serials && opt->serial[at])
                at++;
            if (at == ARRAY_SIZE(opt->serial) || (at < opt->serials && opt->serial[at]))
                return opt_usage(err, "give each its own index=", "-device isa-serial: COM%u is taken",
                                 at + 1);
            opt->serial[at] = s->spec;
            if (opt->serials <= at)
                opt->serials = at + 1;
        }
    for (unsigned i = 0; i < opt->serials; i++)
        if (!opt->serial[i])
            opt->serial[i] = "none";
    return 0;
}

static int check_name(const struct cli_options *opt, const char *option, const char *spec,
                      struct novt_error *err)
{
    bool mux;

    if (!spec || control_resolve(opt, spec, &mux))
        return spec ? check_spec(option, spec, err) : 0;
    return opt_usage(err, "give -chardev BACKEND,id=ID", "%s: no chardev \"%s\"", option,
                     spec + strlen("chardev:"));
}

int chardev_finish(struct cli_options *opt, struct novt_error *err)
{
    int rc = place_serials(opt, err);

    if (!opt->control.parallel_given && !opt->control.nodefaults)
        opt->control.parallel = "null"; /* QEMU's PC has a printer port; nobody reads what it prints */
    for (unsigned i = 0; !rc && i < opt->serials; i++)
        rc = check_name(opt, i < opt->isa_serials ? "-serial or -device isa-serial" : "-serial",
                        opt->serial[i], err);
    if (!rc)
        rc = check_name(opt, "-parallel", opt->control.parallel, err);
    return rc ? rc : check_name(opt, "isa-debugcon", opt->debugcon, err);
}
