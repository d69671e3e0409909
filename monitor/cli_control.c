/*
 * cli_control.c - the thread that serves all monitors.
 *
 * It waits for clients, their bytes and the machine's events. Nothing is written that could block: what a client does not read
 * waits in its end's text, and a client that lets much wait is not listened to, later dropped. Commands run here, so one that takes long
 * holds other monitors but never the machine. Events come from the VM's thread into a small ring.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "monitor/cli_session.h"

#define LAST_WORDS_MS 200
#define READ_BYTES 4096

static void wake(struct cli_control *c)
{
    u64 one = 1;

    if (write(c->wake_fd, &one, sizeof(one)) < 0) {
        /* The counter is full: the thread is awake anyway. */
    }
}

/* ---- output ---- */

static void hang_up(struct control_end *e)
{
    e->in_fd = e->out_fd = -1;
    e->out.n = 0;
    e->greeted = e->negotiated = false;
    frame_reset(&e->frame);
    e->frame.skipping = false;
    line_clear(&e->line);
    sock_hang_up(&e->sock);
}

static void flush(struct control_end *e)
{
    size_t at = 0;

    if (e->mux) {
        if (e->out.n)
            chardev_put(e->mux, (const u8 *)e->out.buf, e->out.n);
        e->out.n = 0;
        return;
    }
    while (at < e->out.n) {
        struct pollfd p = {.fd = e->out_fd, .events = POLLOUT};
        ssize_t n;

        /* Standard output blocks as whoever shares it wants it to: only a pipe's worth after poll() says so. */
        if (poll(&p, 1, 0) <= 0)
            break;
        n = write(e->out_fd, e->out.buf + at, e->out.n - at < READ_BYTES ? e->out.n - at : READ_BYTES);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            break;
        if (n <= 0) {
            hang_up(e);
            return;
        }
        at += (size_t)n;
    }
    if (at)
        text_drop(&e->out, at);
}

void end_put(struct control_end *e, const char *buf, size_t n)
{
    if (e->out_fd < 0 && !e->mux)
        return;
    text_put(&e->out, buf, n);
    if (e->out.cut) /* it has not read for a long time */
        hang_up(e);
}

/* ---- events ---- */

/* On the VM's thread. */
static void hear(void *opaque, const struct novt_event *event)
{
    struct cli_control *c = opaque;
    struct control_event *ev;

    pthread_mutex_lock(&c->lock);
    if (c->events < CONTROL_EVENTS) {
        ev = &c->event[c->events++];
        ev->event = *event;
        clock_gettime(CLOCK_REALTIME, &ev->when);
    } else {
        /* A guest that resets all the time: the last place is for the newest. */
        c->event[CONTROL_EVENTS - 1].event = *event;
    }
    pthread_mutex_unlock(&c->lock);
    wake(c);
}

static void pass_events(struct cli_control *c)
{
    struct control_event ev[CONTROL_EVENTS];
    unsigned n;

    pthread_mutex_lock(&c->lock);
    n = c->events;
    memcpy(ev, c->event, n * sizeof(ev[0]));
    c->events = 0;
    pthread_mutex_unlock(&c->lock);
    for (unsigned i = 0; i < n; i++)
        for (unsigned k = 0; k < c->ends; k++)
            if (c->end[k].qmp && c->end[k].negotiated)
                qmp_event(&c->end[k], &ev[i]);
}

void control_pass_events(struct cli_control *c)
{
    pass_events(c);
}

/* ---- input ---- */

static void greet(struct control_end *e)
{
    if (e->greeted)
        return;
    e->greeted = true;
    if (e->qmp)
        qmp_open(e);
    else
        hmp_open(e);
}

static void feed(struct control_end *e, const u8 *buf, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (e->mux && buf[i] == MUX_FOCUS) {
            if (e->greeted) {
                end_put(e, "\r\n", 2);
                line_prompt(&e->line);
            }
            greet(e);
            continue;
        }
        if (e->in_fd == STDIN_FILENO && buf[i] == 3 && e->control->io->term->raw) { /* Ctrl-C at a terminal */
            control_quit(e->control, STOP_BY_SIGNAL + SIGINT);
            continue;
        }
        if (e->qmp)
            qmp_feed(e, buf[i]);
        else
            hmp_feed(e, buf[i]);
    }
}

static void read_end(struct control_end *e)
{
    u8 buf[READ_BYTES];
    ssize_t n = read(e->in_fd, buf, sizeof(buf));

    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n <= 0) {
        flush(e);
        if (e->in_fd == STDIN_FILENO) /* its input ends: nobody else will come, but there is more to say */
            e->in_fd = -1;
        else
            hang_up(e);
        return;
    }
    feed(e, buf, sock_filter(&e->sock, buf, (size_t)n));
}

static void accept_end(struct control_end *e)
{
    if (!sock_accept(&e->sock))
        return;
    e->in_fd = e->out_fd = e->sock.fd;
    greet(e);
}

/* ---- the thread ---- */

static void serve(struct cli_control *c, struct pollfd *p)
{
    for (unsigned i = 0; i < c->ends; i++) {
        struct control_end *e = &c->end[i];

        if (p[i].revents & (POLLIN | POLLHUP | POLLERR)) {
            if (e->in_fd >= 0)
                read_end(e);
            else
                accept_end(e);
        }
    }
    pass_events(c);
    for (unsigned i = 0; i < c->ends; i++)
        if (c->end[i].out.n)
            flush(&c->end[i]);
}

static void last_words(struct cli_control *c)
{
    pass_events(c);
    for (unsigned i = 0; i < c->ends; i++) {
        struct control_end *e = &c->end[i];
        struct timespec ms = {0, 1000000};

        for (unsigned t = 0; t < LAST_WORDS_MS && e->out.n; t++) {
            flush(e);
            if (e->out.n)
                nanosleep(&ms, NULL);
        }
    }
}

static void *control_thread(void *opaque)
{
    struct cli_control *c = opaque;

    base_panic_hook_set(io_panic, c->io);
    for (unsigned i = 0; i < c->ends; i++)
        if (c->end[i].in_fd >= 0 && !c->end[i].mux)
            greet(&c->end[i]);
    for (;;) {
        struct pollfd p[CONTROL_ENDS + 2];
        u64 count;

        for (unsigned i = 0; i < c->ends; i++) {
            const struct control_end *e = &c->end[i];
            int fd = e->in_fd >= 0 ? e->in_fd : e->sock.listen_fd;

            p[i] = (struct pollfd){.fd = e->out.n < CONTROL_OUT_BYTES ? fd : -1, .events = POLLIN};
            if (e->out.n && e->out_fd >= 0 && e->out_fd == e->in_fd)
                p[i] =
                    (struct pollfd){.fd = e->out_fd,
                                    .events = (short)(POLLOUT | (e->out.n < CONTROL_OUT_BYTES ? POLLIN : 0))};
        }
        p[c->ends] = (struct pollfd){.fd = c->wake_fd, .events = POLLIN};
        /* Standard output is looked at now and then, as it is another descriptor than the input. */
        int timeout = -1;
        for (unsigned i = 0; i < c->ends; i++)
            if (c->end[i].out.n && c->end[i].out_fd != c->end[i].in_fd)
                timeout = 20;
        if (poll(p, c->ends + 1, timeout) < 0 && errno != EINTR)
            break;
        if (p[c->ends].revents && read(c->wake_fd, &count, sizeof(count)) < 0) {
            /* Somebody else's wake. */
        }
        if (!c->running)
            break;
        serve(c, p);
    }
    last_words(c);
    return NULL;
}

void control_quit(struct cli_control *c, int code)
{
    io_quit(c->io, code);
}

/* ---- opening ---- */

static int fail(struct novt_error *err, const char *remedy, const char *cause)
{
    err->kind = NOVT_ERR_HOST;
    snprintf(err->cause, sizeof(err->cause), "%s: %s", cause, strerror(errno));
    snprintf(err->remedy, sizeof(err->remedy), "%s", remedy);
    return EXIT_HOST;
}

static struct control_end *new_end(struct cli_control *c)
{
    struct control_end *e = &c->end[c->ends++];

    e->control = c;
    e->in_fd = e->out_fd = e->mux_fd = -1;
    e->sock.listen_fd = e->sock.fd = -1;
    return e;
}

/* A monitor behind Ctrl-A C of a serial line. */
static int open_mux(struct cli_control *c, struct chardev *d, bool qmp, struct novt_error *err)
{
    struct control_end *e = new_end(c);
    int fd[2];

    if (pipe2(fd, O_CLOEXEC | O_NONBLOCK))
        return fail(err, "raise \"ulimit -n\"", "no descriptors for a monitor");
    e->qmp = qmp;
    e->in_fd = fd[0];
    e->mux_fd = fd[1];
    e->mux = d;
    d->mux_fd = fd[1];
    return 0;
}

/* The serial line that a monitor can share: the one on the same chardev, or with NULL any that knows Ctrl-A. */
static struct chardev *mux_device(struct cli_io *io, const char *spec)
{
    for (unsigned i = 0; i < io->devs; i++) {
        struct chardev *d = &io->dev[i];

        if (d->serial >= 0 && d->escapes && d->mux_fd < 0 && (!spec || !strcmp(d->spec, spec)))
            return d;
    }
    return NULL;
}

static int open_end(struct cli_control *c, const struct control_end_spec *spec, struct novt_error *err)
{
    bool mux;
    const char *place = control_resolve(c->opt, spec->spec, &mux);
    struct sock_spec socket;
    struct control_end *e;
    int rc = 0;

    if (!place || !strcmp(place, "null"))
        return 0;
    if (mux && mux_device(c->io, spec->spec))
        return open_mux(c, mux_device(c->io, spec->spec), spec->qmp, err);
    e = new_end(c);
    e->qmp = spec->qmp;
    e->pretty = spec->pretty;
    if (!strcmp(place, "stdio")) {
        e->in_fd = STDIN_FILENO;
        e->out_fd = STDOUT_FILENO;
        return 0;
    }
    rc = sock_parse(spec->qmp ? "-qmp" : "-monitor", place, &socket, err);
    if (!rc)
        rc = sock_open(&e->sock, &socket, err);
    e->in_fd = e->out_fd = e->sock.fd;
    return rc;
}

int control_open(struct cli_control **out, struct cli_io *io, struct cli_options *opt, struct novt_error *err)
{
    struct cli_control *c = calloc(1, sizeof(*c));
    int rc = 0;

    *out = c;
    if (!c) {
        errno = ENOMEM;
        return fail(err, "free memory", "no monitor");
    }
    c->opt = opt;
    c->io = io;
    pthread_mutex_init(&c->lock, NULL);
    c->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (c->wake_fd < 0)
        return fail(err, "raise \"ulimit -n\"", "no descriptors for a monitor");
    for (unsigned i = 0; !rc && i < opt->control.ends; i++)
        rc = open_end(c, &opt->control.end[i], err);
    /* QEMU's default with -nographic and mon:stdio. */
    if (!rc && !opt->control.monitor_given && !opt->control.nodefaults && mux_device(io, NULL))
        rc = open_mux(c, mux_device(io, NULL), false, err);
    for (unsigned i = 0; i < c->ends; i++)
        if (!c->end[i].qmp)
            hmp_init(&c->end[i]);
    return rc;
}

int control_start(struct cli_control *c, struct novt_vm *vm, struct novt_error *err)
{
    c->vm = vm;
    if (!c->ends)
        return 0;
    c->listener = (struct novt_listener){hear, c, NULL};
    novt_vm_listen(vm, &c->listener);
    for (unsigned i = 0; i < c->ends; i++)
        if (c->end[i].in_fd == STDIN_FILENO && !c->end[i].qmp)
            term_raw(c->io->term);
    c->running = true;
    errno = pthread_create(&c->thread, NULL, control_thread, c);
    if (!errno)
        return 0;
    c->running = false;
    return fail(err, "raise \"ulimit -u\"", "no thread for a monitor");
}

void control_stop(struct cli_control *c)
{
    if (!c || !c->running)
        return;
    c->running = false;
    wake(c);
    pthread_join(c->thread, NULL);
    novt_vm_unlisten(c->vm, &c->listener);
}

void control_close(struct cli_control *c)
{
    if (!c)
        return;
    for (unsigned i = 0; i < c->ends; i++) {
        struct control_end *e = &c->end[i];

        if (e->mux) {
            e->mux->mux_fd = -1;
            close(e->in_fd);
            close(e->mux_fd);
        }
        sock_close(&e->sock);
        text_free(&e->out);
        line_free(&e->line);
        frame_free(&e->frame);
    }
    if (c->wake_fd >= 0)
        close(c->wake_fd);
    pthread_mutex_destroy(&c->lock);
    free(c);
}
