/*
 * cli_opt_device.c - options that connect devices to the host: serial lines, character back ends, debug ports.
 *
 * Specs are kept as text and opened by cli_chardev.c. A chardev can only be named after it was given, as the order of the
 * command line is the order in which options are read.
 */
#include "monitor/cli_opt.h"

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

int opt_chardev(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    struct cli_chardev_spec *c = &opt->chardev[opt->chardevs];
    char list[256], path[200] = "", mux[8] = "off", junk[16], *rest;

    if (opt->chardevs == CLI_CHARDEVS)
        return opt_usage(err, "give fewer", "-chardev: more than %d", CLI_CHARDEVS);
    if (snprintf(list, sizeof(list), "%s", arg) >= (int)sizeof(list))
        return opt_usage(err, "choose a shorter path", "-chardev: the value is too long");
    if (!opt_take_key(list, "id", c->id, sizeof(c->id)))
        return opt_usage(err, "for example -chardev file,id=log,path=FILE", "-chardev %s: no id=", arg);
    opt_take_key(list, "mux", mux, sizeof(mux));
    c->mux = !strcmp(mux, "on");
    opt->chardevs++;
    if (!strncmp(list, "socket", 6) && (list[6] == ',' || !list[6]))
        return socket_spec(list, c, err);
    opt_take_key(list, "path", path, sizeof(path));
    opt_take_key(list, "signal", junk, sizeof(junk));
    rest = strchr(list, ',');
    if (rest)
        return opt_usage(err, "leave it out", "-chardev: unknown property \"%s\"", rest + 1);
    if (!strcmp(list, "file"))
        snprintf(c->spec, sizeof(c->spec), "file:%s", path);
    else if (!strcmp(list, "stdio") || !strcmp(list, "null") || !strcmp(list, "pty"))
        snprintf(c->spec, sizeof(c->spec), "%s", list);
    else
        return opt_usage(err, "use stdio, file, pty, socket or null", "-chardev: unknown back end \"%s\"",
                         list);
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

int opt_device(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    char name[64], list[256], value[200];
    struct novt_config *c = &opt->config;
    const char *comma = strchr(arg, ','), *nearest;
    int rc;

    if (drive_is_device(arg))
        return drive_device(opt, arg, err);
    snprintf(name, sizeof(name), "%.*s", (int)strcspn(arg, ","), arg);
    snprintf(list, sizeof(list), "%s", comma ? comma + 1 : "");
    if (!strcmp(name, "help")) {
        puts("isa-debug-exit,iobase=PORT,iosize=BYTES\nisa-debugcon,iobase=PORT,chardev=ID\n"
             "ide-hd,drive=ID,bus=ide.0|ide.1,unit=0|1,bootindex=N,serial=TEXT,model=TEXT,write-cache=on|off\n"
             "ide-cd,drive=ID,bus=,unit=,bootindex=N\n"
             "floppy,drive=ID,unit=0|1,drive-type=120|144|288|auto,bootindex=N\n"
             "isa-fdc,driveA=ID,driveB=ID,fdtypeA=TYPE,fdtypeB=TYPE,bootindexA=N,bootindexB=N\n"
             "virtio-blk-pci,drive=ID,addr=SLOT,bootindex=N,serial=TEXT,write-cache=on|off");
        cli_net_help_devices();
        opt->command = CLI_DONE;
        return 0;
    }
    if (!strcmp(name, "isa-debug-exit")) {
        c->debug_exit_iobase = 0x501;
        rc = opt_port(name, list, "iobase", &c->debug_exit_iobase, err);
        if (!rc)
            rc = opt_port(name, list, "iosize", &c->debug_exit_iosize, err);
    } else if (!strcmp(name, "isa-debugcon")) {
        c->debugcon_iobase = 0xe9;
        rc = opt_port(name, list, "iobase", &c->debugcon_iobase, err);
        if (!rc && !opt_take_key(list, "chardev", value, sizeof(value)))
            return opt_usage(err, "add chardev=ID and -chardev BACKEND,id=ID",
                             "-device isa-debugcon: no chardev=");
        for (unsigned i = 0; !rc && i < opt->chardevs; i++)
            if (!strcmp(opt->chardev[i].id, value))
                opt->debugcon = opt->chardev[i].spec;
        if (!rc && !opt->debugcon && !strcmp(value, "stdio"))
            opt->debugcon = "stdio";
        if (!rc && !opt->debugcon)
            return opt_usage(err, "give -chardev BACKEND,id=ID before it",
                             "-device isa-debugcon: no chardev \"%s\"", value);
    } else if (cli_net_is_device(name)) {
        rc = cli_net_device(opt, name, list, err);
    } else if (cli_audio_is_card(name, &nearest)) {
        return opt_usage(err, nearest, "-device: NoVT does not have \"%s\"", name);
    } else {
        return opt_usage(err, "-device help lists what there is", "-device: unknown device \"%s\"", name);
    }
    if (!rc && list[0])
        return opt_usage(err, "-device help lists the properties", "-device %s: unknown property \"%s\"",
                         name, list);
    return rc;
}

int opt_nographic(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    (void)arg;
    (void)err;
    opt->nographic = true;
    return 0;
}
