/*
 * cli_chardev.c - the guest's serial lines, printer and debug console on the host: stdio, file, pty, socket, null.
 *
 * Output is collected per device and written when the buffer is full or a millisecond later by the I/O thread,
 * so a guest that prints costs a system call a block, not a character. Input, timeout, Ctrl-A commands and signals
 * (by descriptor) are the I/O thread's. A reader that does not read delays the guest but never the timeout: nothing
 * is written that could block, and once the machine is to stop, output that nobody takes is dropped.
 */
#include "monitor/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define ESCAPE 0x01 /* Ctrl-A */
#define FLUSH_DELAY_MS 1
#define WRITE_PIECE 4096u /* PIPE_BUF: a pipe that polls writable takes this much without blocking */
#define LAST_WORDS_MS 200 /* how long the end waits for a reader */

static u64 now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (u64)ts.tv_sec * 1000000000u + (u64)ts.tv_nsec;
}

static int io_fail(struct novt_error *err, enum novt_error_kind kind, const char *remedy, const char *what,
                   const char *spec, int e)
{
    err->kind = kind;
    snprintf(err->cause, sizeof(err->cause), "%s \"%s\"%s%s", what, spec, e ? ": " : "",
             e ? strerror(e) : "");
    snprintf(err->remedy, sizeof(err->remedy), "%s", remedy);
    return kind == NOVT_ERR_USAGE ? EXIT_USAGE : EXIT_HOST;
}

static void wake(struct cli_io *io)
{
    u64 one = 1;

    if (write(io->wake_fd, &one, sizeof(one)) < 0) {
        /* The counter is full: the thread is awake anyway. */
    }
}

/* ---- output ---- */

/* What leaves the buffer, for whatever reason. A log that cannot be written is no reason to stop a guest. */
static void log_bytes(const struct chardev *d, const u8 *buf, size_t n)
{
    if (d->log_fd >= 0 && n && write(d->log_fd, buf, n) < 0) {
        /* A full disk. */
    }
}

/* Writes what it can of the buffer. wait_ms: how long to wait for a reader at a time, -1 until done is set. Locked. */
static void write_out(struct chardev *d, int wait_ms)
{
    u32 at = 0;

    while (at < d->out_n && d->out_fd >= 0) {
        struct pollfd p = {.fd = d->out_fd, .events = POLLOUT};
        u32 piece = d->out_n - at < WRITE_PIECE ? d->out_n - at : WRITE_PIECE;
        int ready = poll(&p, 1, wait_ms < 0 ? 50 : wait_ms);
        ssize_t n;

        if (ready < 0 && errno == EINTR)
            continue;
        if (ready == 0 && wait_ms < 0 && !d->io->done)
            continue;
        if (ready <= 0)
            break;
        n = write(d->out_fd, d->out + at, piece);
        if (n < 0 && (errno == EINTR || (errno == EAGAIN && wait_ms < 0 && !d->io->done)))
            continue;
        if (n <= 0) {
            /* The reader is gone: as with an unplugged cable, the guest does not notice. */
            log_bytes(d, d->out + at, d->out_n - at);
            at = d->out_n;
            break;
        }
        log_bytes(d, d->out + at, (size_t)n);
        at += (u32)n;
    }
    if (d->out_fd < 0) {
        log_bytes(d, d->out + at, d->out_n - at);
        at = d->out_n;
    }
    memmove(d->out, d->out + at, d->out_n - at);
    d->out_n -= at;
}

static void device_write(void *opaque, const u8 *buf, size_t len)
{
    ((struct chardev *)opaque)->spoke = true;
    chardev_put(opaque, buf, len);
}

void chardev_put(struct chardev *d, const u8 *buf, size_t len)
{
    if (d->out_fd < 0 && d->log_fd < 0)
        return;
    pthread_mutex_lock(&d->lock);
    while (len) {
        size_t room = CHARDEV_BUFFER_BYTES - d->out_n, n = len < room ? len : room;

        if (d->out_n == 0)
            wake(d->io);
        memcpy(d->out + d->out_n, buf, n);
        d->out_n += (u32)n;
        buf += n;
        len -= n;
        if (d->out_n == CHARDEV_BUFFER_BYTES) {
            /* A pty or socket without reader loses output; stdout and files are waited for. */
            write_out(d, d->kind == CHARDEV_STDIO || d->kind == CHARDEV_FILE ? -1 : 0);
            if (d->out_n == CHARDEV_BUFFER_BYTES) {
                log_bytes(d, d->out, d->out_n);
                d->out_n = 0;
            }
        }
    }
    pthread_mutex_unlock(&d->lock);
}

/* Is something left to write? Then the caller must come again: device_write() wakes nobody while the buffer is not empty. */
static bool flush_device(struct chardev *d, int wait_ms)
{
    bool left;

    if (pthread_mutex_trylock(&d->lock))
        return true; /* the VM's thread is writing */
    write_out(d, wait_ms);
    left = d->out_n != 0;
    pthread_mutex_unlock(&d->lock);
    return left;
}

/* ---- input ---- */

static void device_room(void *opaque)
{
    wake(((struct chardev *)opaque)->io);
}

static void say_keys(void)
{
    fputs("\nnovt: Ctrl-A X quits, Ctrl-A C switches to the monitor and back, Ctrl-A Ctrl-A sends Ctrl-A, Ctrl-A H shows this\n", stderr);
}

/* What the monitor does not take at once is lost: a person types slower than it reads. */
static void to_monitor(const struct chardev *d, const u8 *buf, size_t n)
{
    if (write(d->mux_fd, buf, n) < 0) {
        /* Full. */
    }
}

/* Takes Ctrl-A commands and what is for the monitor out of n bytes; returns how many are left for the guest. */
static u32 take_commands(struct chardev *d, u8 *buf, u32 n)
{
    u32 out = 0;

    for (u32 i = 0; i < n; i++) {
        u8 c = buf[i];

        if (!d->after_escape) {
            if (c == d->io->escape)
                d->after_escape = true;
            else if (d->to_monitor)
                to_monitor(d, &c, 1);
            else
                buf[out++] = c;
            continue;
        }
        d->after_escape = false;
        if (c == d->io->escape) {
            buf[out++] = c;
            continue;
        }
        switch (c) {
        case 'x':
        case 'X': novt_vm_stop(d->io->vm, STOP_BY_USER); break;
        case 'c':
        case 'C':
            if (d->mux_fd < 0) {
                fputs("\nnovt: there is no monitor console\n", stderr);
                break;
            }
            d->to_monitor = !d->to_monitor;
            if (d->to_monitor)
                to_monitor(d, &(u8){MUX_FOCUS}, 1);
            break;
        default: say_keys(); break;
        }
    }
    return out;
}

/* in_fd is this thread's alone. The lock is not taken where the VM's thread may hold it for as long as nobody reads its output:
 * the time-out that ends the wait comes from this thread. */
static void hang_up(struct chardev *d)
{
    d->in_fd = -1;
    if (d->kind != CHARDEV_SOCK)
        return;
    pthread_mutex_lock(&d->lock);
    sock_hang_up(&d->sock);
    d->out_fd = -1;
    log_bytes(d, d->out, d->out_n);
    d->out_n = 0;
    pthread_mutex_unlock(&d->lock);
}

static void push_pending(struct chardev *d)
{
    while (d->pending_at < d->pending_n) {
        u32 n = d->pending_n - d->pending_at;
        size_t took = novt_vm_serial_input(d->io->vm, (unsigned)d->serial, d->pending + d->pending_at, n);

        d->pending_at += (u32)took;
        if (took < n)
            return;
    }
    d->pending_n = d->pending_at = 0;
}

static void read_device(struct chardev *d)
{
    ssize_t n = read(d->in_fd, d->pending, sizeof(d->pending));

    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n <= 0) {
        hang_up(d);
        return;
    }
    d->pending_at = 0;
    n = (ssize_t)sock_filter(&d->sock, d->pending, (size_t)n);
    d->pending_n = d->escapes ? take_commands(d, d->pending, (u32)n) : (u32)n;
    if (d->serial < 0)
        d->pending_n = 0;
    push_pending(d);
}

static void accept_client(struct chardev *d)
{
    if (!sock_accept(&d->sock))
        return;
    pthread_mutex_lock(&d->lock);
    d->in_fd = d->out_fd = d->sock.fd;
    pthread_mutex_unlock(&d->lock);
}

/* ---- the thread ---- */

/* Not a signalfd: whoever polls one is woken by every signal of the process, and the VM's thread gets one for each hidden
 * fault. A thread of its own waits for the few signals that are meant for us and passes their numbers on. */
static void *signal_thread(void *opaque)
{
    struct cli_io *io = opaque;
    int signo;

    for (;;)
        if (!sigwait(&io->signals, &signo) && write(io->signal_pipe[1], &signo, sizeof(signo)) < 0)
            return NULL;
}

static void take_signal(struct cli_io *io)
{
    int signo;

    if (read(io->signal_pipe[0], &signo, sizeof(signo)) != (ssize_t)sizeof(signo))
        return;
    if (signo == SIGTSTP) {
        display_suspend(io->display);
        term_restore(io->term);
        raise(SIGSTOP);
    }
    if (signo == SIGTSTP || signo == SIGCONT) { /* SIGCONT alone: a SIGSTOP came before, or the shell's fg after its bg */
        term_again(io->term);
        display_resume(io->display);
        return;
    }
    io->done = 1;
    novt_vm_stop(io->vm, STOP_BY_SIGNAL + signo);
}

static int next_timeout_ms(const struct cli_io *io, bool unflushed)
{
    u64 now, left;

    if (unflushed)
        return FLUSH_DELAY_MS;
    if (!io->deadline_ns || io->done)
        return -1;
    now = now_ns();
    if (now >= io->deadline_ns)
        return 0;
    left = (io->deadline_ns - now + 999999) / 1000000;
    return left > 1000000 ? 1000000 : (int)left;
}

static void *io_thread(void *opaque)
{
    struct cli_io *io = opaque;
    bool unflushed = false;

    base_panic_hook_set(io_panic, io);
    for (;;) {
        struct pollfd p[2 + CLI_MAX_DEVS];
        u64 count;
        int ready;

        p[0] = (struct pollfd){.fd = io->wake_fd, .events = POLLIN};
        p[1] = (struct pollfd){.fd = io->signal_pipe[0], .events = POLLIN};
        for (unsigned i = 0; i < io->devs; i++) {
            const struct chardev *d = &io->dev[i];
            int fd = d->in_fd >= 0 || d->kind != CHARDEV_SOCK ? d->in_fd : d->sock.listen_fd;

            p[2 + i] = (struct pollfd){.fd = d->pending_n ? -1 : fd, .events = POLLIN};
        }
        ready = poll(p, 2 + io->devs, next_timeout_ms(io, unflushed));
        if (!io->running)
            return NULL;
        if (ready == 0 || unflushed) {
            unflushed = false;
            for (unsigned i = 0; i < io->devs; i++)
                unflushed |= flush_device(&io->dev[i], 0);
        }
        if (io->deadline_ns && !io->done && now_ns() >= io->deadline_ns) {
            io->done = 1;
            novt_vm_stop(io->vm, STOP_BY_TIMEOUT);
        }
        if (ready <= 0)
            continue;
        if (p[0].revents) {
            unflushed |= read(io->wake_fd, &count, sizeof(count)) > 0;
            for (unsigned i = 0; i < io->devs; i++)
                push_pending(&io->dev[i]);
        }
        if (p[1].revents)
            take_signal(io);
        for (unsigned i = 0; i < io->devs; i++) {
            if (!p[2 + i].revents)
                continue;
            if (io->dev[i].in_fd >= 0)
                read_device(&io->dev[i]);
            else
                accept_client(&io->dev[i]);
        }
    }
}

int io_start(struct cli_io *io, struct novt_vm *vm, double timeout_s, struct novt_error *err)
{
    int rc;

    io->vm = vm;
    io->deadline_ns = timeout_s > 0 ? now_ns() + (u64)(timeout_s * 1e9) : 0;
    io->running = true;
    for (unsigned i = 0; i < io->devs; i++)
        if (io->dev[i].escapes && io->term->fd >= 0 && io->dev[i].kind == CHARDEV_STDIO) {
            term_raw(io->term);
            if (isatty(STDERR_FILENO))
                fputs("novt: Ctrl-A X quits\n", stderr);
            break;
        }
    rc = pthread_create(&io->signal_thread, NULL, signal_thread, io);
    if (!rc) {
        rc = pthread_create(&io->thread, NULL, io_thread, io);
        if (!rc)
            return 0;
        pthread_cancel(io->signal_thread);
        pthread_join(io->signal_thread, NULL);
    }
    io->running = false;
    term_restore(io->term);
    return io_fail(err, NOVT_ERR_HOST, "raise \"ulimit -u\"", "no thread for", "input", rc);
}

void io_stop(struct cli_io *io)
{
    if (io->running) {
        io->running = false;
        io->done = 1;
        wake(io);
        pthread_join(io->thread, NULL);
        pthread_cancel(io->signal_thread);
        pthread_join(io->signal_thread, NULL);
    }
    for (unsigned i = 0; i < io->devs; i++)
        flush_device(&io->dev[i], LAST_WORDS_MS);
    term_restore(io->term);
}

void io_quit(struct cli_io *io, int code)
{
    io->done = 1; /* nobody waits for readers of output any more */
    novt_vm_stop(io->vm, code);
}

void io_panic(void *opaque)
{
    struct cli_io *io = opaque;

    for (unsigned i = 0; i < io->devs; i++)
        flush_device(&io->dev[i], 0);
    term_restore(io->term);
    display_panic(io->display);
}

/* ---- opening ---- */

static int open_pty(struct chardev *d, const char *spec, struct novt_error *err)
{
    struct termios raw;
    char name[64];
    int fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0 || grantpt(fd) || unlockpt(fd) || ptsname_r(fd, name, sizeof(name)))
        return io_fail(err, NOVT_ERR_HOST, "check that /dev/pts is mounted", "cannot open", spec, errno);
    d->in_fd = d->out_fd = fd;
    /* Kept open for our life so that the line does not hang up between two users of it. */
    d->pty_fd = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (d->pty_fd >= 0 && tcgetattr(d->pty_fd, &raw) == 0) {
        cfmakeraw(&raw);
        tcsetattr(d->pty_fd, TCSANOW, &raw);
    }
    base_warn("serial line on %s", name);
    return 0;
}

/* PATH.in and PATH.out, two FIFOs, or PATH for both ways. Opened for reading and writing, as QEMU does: nobody need be at the other
 * end, now or later. */
static int open_pipe(struct chardev *d, const char *path, const char *spec, struct novt_error *err)
{
    char name[256];
    int flags = O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;

    d->kind = CHARDEV_PIPE;
    snprintf(name, sizeof(name), "%s.in", path);
    d->in_fd = open(name, flags);
    snprintf(name, sizeof(name), "%s.out", path);
    d->out_fd = open(name, flags);
    if (d->in_fd >= 0 && d->out_fd >= 0)
        return 0;
    if (d->in_fd >= 0)
        close(d->in_fd);
    if (d->out_fd >= 0)
        close(d->out_fd);
    d->in_fd = d->out_fd = open(path, flags);
    return d->in_fd >= 0 ? 0
                         : io_fail(err, NOVT_ERR_HOST, "make them first: mkfifo PATH.in PATH.out", "cannot open", spec, errno);
}

/* A serial line of the host, 8 bits, raw, at the speed it has. */
static int open_tty(struct chardev *d, const char *path, struct novt_error *err)
{
    struct termios raw;

    d->kind = CHARDEV_TTY;
    d->in_fd = d->out_fd = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (d->in_fd < 0)
        return io_fail(err, NOVT_ERR_HOST, "give a serial line of the host that you may use", "cannot open", path, errno);
    if (tcgetattr(d->in_fd, &raw))
        return io_fail(err, NOVT_ERR_HOST, "use file:PATH for a file, pipe:PATH for FIFOs", "not a serial line:", path, 0);
    cfmakeraw(&raw);
    raw.c_cflag |= CLOCAL | CREAD;
    tcsetattr(d->in_fd, TCSANOW, &raw);
    return 0;
}

const char *chardev_kind_name(enum chardev_kind kind)
{
    static const char *const names[] = {[CHARDEV_NULL] = "null", [CHARDEV_STDIO] = "stdio", [CHARDEV_FILE] = "file", [CHARDEV_PTY] = "pty",
                                        [CHARDEV_SOCK] = "socket", [CHARDEV_PIPE] = "pipe", [CHARDEV_TTY] = "serial"};

    return names[kind];
}

static int open_device(struct cli_io *io, const char *spec, int serial, struct novt_error *err)
{
    struct chardev *d = &io->dev[io->devs];
    const char *kind = spec;

    *d = (struct chardev){
        .kind = CHARDEV_NULL, .io = io, .in_fd = -1, .out_fd = -1, .pty_fd = -1, .log_fd = -1, .mux_fd = -1, .serial = serial, .sock = {.listen_fd = -1, .fd = -1}};
    pthread_mutex_init(&d->lock, NULL);
    io->devs++;
    if (!strncmp(spec, "mon:", 4)) {
        kind += 4;
        d->escapes = true;
    }
    if (!strcmp(kind, "stdio")) {
        d->kind = CHARDEV_STDIO;
        d->out_fd = STDOUT_FILENO;
        for (unsigned i = 0; i + 1 < io->devs; i++)
            if (io->dev[i].in_fd == STDIN_FILENO)
                return 0; /* one reader of the keyboard: the first */
        if (serial >= 0)
            d->in_fd = STDIN_FILENO;
        d->escapes |= io->term->fd >= 0;
        return 0;
    }
    if ((!strncmp(kind, "file:", 5) && kind[5]) || (!strncmp(kind, "file+:", 6) && kind[6])) {
        bool append = kind[4] == '+';

        d->kind = CHARDEV_FILE;
        d->out_fd = open(kind + (append ? 6 : 5), O_WRONLY | O_CREAT | (append ? O_APPEND : O_TRUNC) | O_CLOEXEC, 0666);
        return d->out_fd >= 0
                   ? 0
                   : io_fail(err, NOVT_ERR_HOST, "choose a writable place", "cannot write", spec, errno);
    }
    if (!strncmp(kind, "pipe:", 5) && kind[5])
        return open_pipe(d, kind + 5, spec, err);
    if (kind[0] == '/')
        return open_tty(d, kind, err);
    if (!strcmp(kind, "pty")) {
        d->kind = CHARDEV_PTY;
        return open_pty(d, spec, err);
    }
    if (sock_is_spec(kind)) {
        struct sock_spec socket;
        int rc = sock_parse(serial < 0 ? "character device" : "-serial", kind, &socket, err);

        d->kind = CHARDEV_SOCK;
        if (!rc)
            rc = sock_open(&d->sock, &socket, err);
        d->in_fd = d->out_fd = d->sock.fd;
        return rc;
    }
    if (!strcmp(kind, "null"))
        return 0;
    return io_fail(err, NOVT_ERR_USAGE, "use stdio, mon:stdio, file:PATH, pty, unix:PATH, tcp:HOST:PORT, pipe:PATH, /dev/TTY, null or none",
                   "unknown character device", spec, 0);
}

/* "chardev:ID" names a -chardev. */
static const char *resolve(const struct cli_options *opt, const char *spec)
{
    if (!strncmp(spec, "chardev:", 8))
        for (unsigned i = 0; i < opt->chardevs; i++)
            if (!strcmp(opt->chardev[i].id, spec + 8))
                return opt->chardev[i].spec;
    return spec;
}

/* resolve(), open_device() and the chardev's log. 0 or an exit code; "none" is the caller's. */
static int open_named(struct cli_io *io, const struct cli_options *opt, const char *spec, int serial, struct novt_error *err)
{
    int rc = open_device(io, resolve(opt, spec), serial, err);
    struct chardev *d = &io->dev[io->devs - 1];

    for (unsigned i = 0; !rc && i < opt->chardevs && !strncmp(spec, "chardev:", 8); i++) {
        const struct cli_chardev_spec *c = &opt->chardev[i];

        if (strcmp(c->id, spec + 8) || !c->logfile[0])
            continue;
        d->log_fd = open(c->logfile, O_WRONLY | O_CREAT | (c->log_append ? O_APPEND : O_TRUNC) | O_CLOEXEC, 0666);
        if (d->log_fd < 0)
            rc = io_fail(err, NOVT_ERR_HOST, "choose a writable place", "cannot write logfile", c->logfile, errno);
    }
    return rc;
}

static bool is_mux(const struct cli_options *opt, const char *spec)
{
    bool mux;

    return control_resolve(opt, spec, &mux) && mux;
}

int io_open(struct cli_io *io, struct cli_options *opt, struct novt_error *err)
{
    memset(io, 0, sizeof(*io));
    io->term = &io->own_term;
    io->escape = opt->control.escape ? opt->control.escape : ESCAPE;
    term_init(io->term);
    io->signal_pipe[0] = io->signal_pipe[1] = -1;
    io->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    sigemptyset(&io->signals);
    for (size_t i = 0; i < 6; i++)
        sigaddset(&io->signals, (const int[]){SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT}[i]);
    /* Before any thread exists, so that none takes them. */
    pthread_sigmask(SIG_BLOCK, &io->signals, NULL);
    if (io->wake_fd < 0 || pipe2(io->signal_pipe, O_CLOEXEC | O_NONBLOCK))
        return io_fail(err, NOVT_ERR_HOST, "raise \"ulimit -n\"", "no descriptors for", "input", errno);
    for (unsigned i = 0; i < opt->serials; i++) {
        int rc;

        if (!strcmp(resolve(opt, opt->serial[i]), "none"))
            continue;
        rc = open_named(io, opt, opt->serial[i], (int)i, err);
        io->dev[io->devs - 1].escapes |= is_mux(opt, opt->serial[i]);
        io->dev[io->devs - 1].spec = opt->serial[i];
        if (rc)
            return rc;
        opt->config.serial[i] = (struct novt_serial){true, device_write, device_room, &io->dev[io->devs - 1]};
    }
    if (opt->control.parallel) {
        int rc = open_named(io, opt, opt->control.parallel, -1, err);

        if (rc)
            return rc;
        opt->config.parallel_present = true;
        opt->config.parallel = device_write;
        opt->config.parallel_opaque = &io->dev[io->devs - 1];
    }
    if (opt->debugcon) {
        int rc = open_named(io, opt, opt->debugcon, -1, err);

        if (rc)
            return rc;
        opt->config.debugcon = device_write;
        opt->config.debugcon_opaque = &io->dev[io->devs - 1];
    }
    return 0;
}

void io_close(struct cli_io *io)
{
    for (unsigned i = 0; i < io->devs; i++) {
        struct chardev *d = &io->dev[i];

        if (d->pty_fd >= 0)
            close(d->pty_fd);
        if (d->log_fd >= 0)
            close(d->log_fd);
        if (d->kind == CHARDEV_SOCK)
            sock_close(&d->sock);
        else if (d->out_fd > STDERR_FILENO)
            close(d->out_fd);
        if (d->kind != CHARDEV_SOCK && d->in_fd > STDERR_FILENO && d->in_fd != d->out_fd)
            close(d->in_fd);
        pthread_mutex_destroy(&d->lock);
    }
    if (io->wake_fd >= 0)
        close(io->wake_fd);
    for (unsigned i = 0; i < 2; i++)
        if (io->signal_pipe[i] >= 0)
            close(io->signal_pipe[i]);
}
