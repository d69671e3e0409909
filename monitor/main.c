/*
 * main.c - the command "novt": options, machine, run, exit code.
 *
 * The guest's serial line is stdout; everything NoVT itself says goes to stderr. Whatever the reason for the
 * end, the terminal is put back and nothing is left behind.
 */
#include "monitor/cli.h"
#include "monitor/cli_gdb.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int cli_report(const struct novt_error *err)
{
    static const u8 codes[] = {
        [NOVT_ERR_NONE] = EXIT_BUG,
        [NOVT_ERR_USAGE] = EXIT_USAGE,
        [NOVT_ERR_HOST] = EXIT_HOST,
        [NOVT_ERR_IMAGE] = EXIT_IMAGE,
    };

    base_warn("%s", err->cause);
    if (err->remedy[0])
        base_warn("remedy: %s", err->remedy);
    return codes[err->kind];
}

/* A closed descriptor 0, 1 or 2 would be reused for some file of ours. */
static void open_standard_fds(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd ? O_WRONLY : O_RDONLY) < 0)
            _exit(EXIT_HOST);
}

static int open_trace(struct cli_options *opt, struct novt_error *err)
{
    if (!opt->trace_path)
        return 0;
    opt->config.trace_fd = open(opt->trace_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (opt->config.trace_fd >= 0)
        return 0;
    opt->config.trace_fd = 0;
    err->kind = NOVT_ERR_HOST;
    snprintf(err->cause, sizeof(err->cause), "-D: cannot write %s: %s", opt->trace_path, strerror(errno));
    snprintf(err->remedy, sizeof(err->remedy), "choose a writable place");
    return EXIT_HOST;
}

static void print_stats(const struct novt_vm *vm, enum cli_stats form)
{
    size_t bytes = 16384;
    char *buf = form == CLI_STATS_NONE ? NULL : malloc(bytes);

    if (!buf)
        return;
    novt_vm_stats(vm, form == CLI_STATS_JSON, buf, bytes);
    fputs(buf, stderr);
    free(buf);
}

/* A kernel that refuses this CPU says so on the screen and nowhere else: if the serial line stayed silent, show that
 * (unless a file gets it). */
static void print_screen(const struct cli_options *opt, const struct cli_io *io, struct novt_vm *vm)
{
    for (unsigned i = 0; i < io->devs; i++)
        if (io->dev[i].serial == 0 && io->dev[i].spoke)
            return;
    if (opt->config.kernel && !opt->display_none && !opt->screen_path)
        screen_print(vm);
}

static int exit_code(const struct novt_vm *vm, const struct novt_outcome *out)
{
    switch (out->why) {
    case NOVT_POWEROFF:
    case NOVT_RESET: return EXIT_OK;
    case NOVT_DEBUG_EXIT: return out->code & 0xff;
    case NOVT_TRIPLE_FAULT:
        base_warn("triple fault at %04x:%08x", out->cs, out->eip);
        novt_vm_dump(vm, STDERR_FILENO);
        return EXIT_TRIPLE_FAULT;
    case NOVT_DEAD:
        base_warn("the guest is dead: halted with interrupts off at %04x:%08x", out->cs, out->eip);
        return EXIT_DEAD;
    case NOVT_NO_BOOT:
        base_warn("nothing bootable");
        base_warn("remedy: give a disk with -hda FILE, or a kernel with -kernel FILE");
        return EXIT_NO_BOOT;
    case NOVT_FAILED:
        base_warn("the host gave out: %s", strerror(out->code));
        base_warn("remedy: free memory; novt doctor says more");
        return EXIT_HOST;
    case NOVT_STOPPED:
        if (out->code == STOP_BY_TIMEOUT)
            return EXIT_TIMEOUT;
        return out->code >= STOP_BY_SIGNAL ? EXIT_SIGNAL + out->code - STOP_BY_SIGNAL : EXIT_OK;
    }
    return EXIT_BUG;
}

static void on_warning(void *opaque, const char *text)
{
    (void)opaque;
    base_warn("%s", text);
}

static int run(struct cli_options *opt, struct cli_daemon *daemon)
{
    struct novt_vm *vm = NULL;
    struct novt_outcome out;
    struct novt_error err = {0};
    struct cli_io io;
    struct cli_gdb gdb;
    struct cli_control *control = NULL;
    struct audio *audio = NULL;
    int screen_code, code = io_open(&io, opt, &err);
    int gdb_code = gdb_open(&gdb, code ? NULL : opt->gdb, &err);

    if (!code)
        code = gdb_code;
    if (!code)
        code = control_open(&control, &io, opt, &err);
    if (!code)
        code = cli_display_open(&io, opt, &err);
    if (!code)
        code = cli_audio_open(&audio, opt, &err);
    if (!code)
        code = open_trace(opt, &err);
    if (!code)
        code = screen_open(opt, &err);
    if (code)
        goto out;
    opt->config.warning = on_warning;
    opt->config.panic = io_panic;
    opt->config.panic_opaque = &io;
    if (novt_vm_new(&vm, &opt->config, &err)) {
        code = cli_report(&err);
        err.cause[0] = 0;
        goto out;
    }
    if (opt->loadvm && novt_vm_load(vm, opt->loadvm, &err)) {
        code = cli_report(&err);
        err.cause[0] = 0;
        goto out;
    }
    code = io_start(&io, vm, opt->timeout_s, &err);
    if (!code)
        code = control_start(control, vm, &err);
    gdb.control = control;
    if (!code)
        code = gdb_start(&gdb, vm, &err);
    if (!code)
        code = cli_display_start(&io, vm, &err);
    if (code) {
        io_stop(&io);
        goto out;
    }
    daemon_ready(daemon);
    if (novt_vm_run(vm, &out, &err)) {
        display_stop(io.display);
        io_stop(&io);
        code = cli_report(&err);
        err.cause[0] = 0;
        goto out;
    }
    display_stop(io.display);
    io_stop(&io);
    print_screen(opt, &io, vm);
    code = exit_code(vm, &out);
    print_stats(vm, opt->stats);
out:
    display_stop(io.display);
    if (err.cause[0])
        cli_report(&err);
    screen_code = screen_close(opt, vm);
    if (!code)
        code = screen_code;
    gdb_close(&gdb, code);
    control_stop(control);
    control_close(control);
    display_close(io.display);
    novt_vm_free(vm);
    audio_close(audio);
    if (opt->config.trace_fd > 0)
        close(opt->config.trace_fd);
    io_close(&io);
    return code;
}

int main(int argc, char **argv)
{
    struct cli_options opt;
    struct cli_daemon daemon;
    struct novt_error err;
    int code;

    open_standard_fds();
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* ulimit -f: guest RAM is a file too; EFBIG instead */
    code = cli_parse(&opt, argc, argv, &err);
    if (code)
        return cli_report(&err);
    switch (opt.command) {
    case CLI_RUN:
        code = daemon_begin(&daemon, &opt, &err);
        code = code ? cli_report(&err) : run(&opt, &daemon);
        daemon_end(&daemon);
        break;
    case CLI_DOCTOR: code = cli_doctor(); break;
    case CLI_DONE: break;
    }
    return fflush(stdout) ? EXIT_HOST : code;
}
