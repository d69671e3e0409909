/*
 * cli_display.c - the options of displays, and the displays' place in the program.
 *
 * QEMU's rules: with a display the serial line is not on the terminal unless -serial or -nographic puts it there; -vnc goes with anything.
 * Keyboards are told of keys, not of characters, so there are no keymaps to load.
 */
#include <string.h>

#include "monitor/cli_gdb.h"
#include "monitor/cli_opt.h"

int opt_display(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    if (!strcmp(arg, "help")) {
        puts("none\ncurses\nsdl\nvnc");
        opt->command = CLI_DONE;
        return 0;
    }
    if (!strcmp(arg, "none"))
        opt->display_none = true;
    return display_parse(&opt->display, arg, err) ? EXIT_USAGE : 0;
}

int opt_curses(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    (void)arg;
    return opt_display(opt, "curses", err);
}

int opt_vnc(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    return display_parse_vnc(&opt->display, arg, err) ? EXIT_USAGE : 0;
}

int opt_full_screen(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    (void)arg;
    (void)err;
    opt->display.full_screen = true;
    return 0;
}

int opt_keymap(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    (void)opt;
    if (!strcmp(arg, "en-us"))
        return 0;
    return opt_usage(err,
                     "leave it out and set the keyboard's layout in the guest: windows and VNC clients send "
                     "keys, not characters",
                     "-k: there is no keymap \"%s\"", arg);
}

static bool on_stdio(const struct cli_options *opt)
{
    for (unsigned i = 0; i < opt->serials; i++)
        if (!strcmp(opt->serial[i], "stdio") || !strcmp(opt->serial[i], "mon:stdio"))
            return true;
    return false;
}

int cli_display_defaults(struct cli_options *opt, struct novt_error *err)
{
    const struct display_spec *d = &opt->display;
    int code = cli_vnc_secret(opt, err);

    if (code)
        return code;
    if (d->wanted[DISPLAY_TUI] && (opt->nographic || on_stdio(opt)))
        return opt_usage(err, "send the serial line elsewhere: -serial null, file:PATH, pty or unix:PATH",
                         "-display curses needs the terminal that %s uses",
                         opt->nographic ? "-nographic" : "-serial");
    if (d->wanted[DISPLAY_TUI] &&
        (control_has_stdio(opt) || gdb_spec_is_stdio(opt->gdb) || opt->control.daemonize))
        return opt_usage(err, "use a socket for it: unix:PATH,server=on,wait=off",
                         "-display curses needs the terminal that %s",
                         opt->control.daemonize ? "-daemonize gives up" : "a monitor or -gdb has");
    if (opt->nographic || (!d->wanted[DISPLAY_TUI] && !d->wanted[DISPLAY_SDL] && !d->wanted[DISPLAY_VNC]))
        return 0;
    if (!opt->serials)
        opt->serial[opt->serials++] = "null";
    opt->config.patient = true; /* somebody looks on and has a keyboard */
    opt->display_none = true;   /* for all that would speak on the terminal instead of a display */
    return 0;
}

static void quit(void *opaque)
{
    struct cli_io *io = opaque;

    novt_vm_stop(io->vm, STOP_BY_USER);
}

static int exit_code(const struct novt_error *err)
{
    return err->kind == NOVT_ERR_USAGE ? EXIT_USAGE : EXIT_HOST;
}

int cli_display_open(struct cli_io *io, struct cli_options *opt, struct novt_error *err)
{
    const struct display_host host = {.quit = quit, .opaque = io};

    opt->display.title = opt->control.name;
    return display_open(&io->display, &opt->display, &host, err) ? exit_code(err) : 0;
}

int cli_display_start(struct cli_io *io, struct novt_vm *vm, struct novt_error *err)
{
    return io->display && display_start(io->display, vm, err) ? exit_code(err) : 0;
}
