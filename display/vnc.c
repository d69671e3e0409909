/*
 * vnc.c - the VNC server: its port, its thread, its clients.
 *
 * One thread, no blocking call: a client that does not read keeps its unsent bytes and gets nothing new until they are gone, and one that
 * sends without reading is not read. The screen is looked at only while a client waits for a change.
 */
#include "display/vnc.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define CLIENTS 16
#define LISTENERS 4
#define BASE_PORT 5900
#define UNSENT_MAX (1u << 20) /* with more than that waiting, a client is not listened to */

struct vnc {
    struct novt_vm *vm;
    const char *title;
    int listen_fd[LISTENERS];
    unsigned listeners;
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)]; /* to unlink */
    int stop_fd;
    struct vnc_auth *auth; /* NULL: no password */
    volatile int stopping;
    bool started;
    pthread_t thread;
    /* The thread's: */
    struct novt_frame frame;
    struct vnc_client *client[CLIENTS];
    unsigned clients;
    u64 arrivals;
};

/* ---- clients ---- */

static void drop(struct vnc *v, unsigned i)
{
    vnc_client_fini(v->client[i]);
    free(v->client[i]);
    v->client[i] = v->client[--v->clients];
}

/* Room for a newcomer: one who has not said hello yet gives way, the oldest first. */
static bool make_room(struct vnc *v)
{
    unsigned oldest = CLIENTS;

    if (v->clients < CLIENTS)
        return true;
    for (unsigned i = 0; i < v->clients; i++)
        if (v->client[i]->state != VNC_NORMAL &&
            (oldest == CLIENTS || v->client[i]->serial < v->client[oldest]->serial))
            oldest = i;
    if (oldest == CLIENTS)
        return false;
    drop(v, oldest);
    return true;
}

static void hear(struct vnc_client *c)
{
    u8 buf[4096];
    ssize_t n = recv(c->fd, buf, sizeof(buf), MSG_DONTWAIT);

    if (n > 0)
        vnc_client_take(c, buf, (size_t)n);
    else if (n == 0 || (errno != EAGAIN && errno != EINTR))
        c->gone = true;
}

static void flush(struct vnc_client *c)
{
    while (c->out.at < c->out.n) {
        ssize_t n = send(c->fd, c->out.data + c->out.at, c->out.n - c->out.at, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            c->gone |= n == 0 || errno != EAGAIN;
            return;
        }
        c->out.at += (size_t)n;
    }
}

/* ---- the thread ---- */

/* Does anybody wait for a change? */
static bool awaited(const struct vnc *v)
{
    for (unsigned i = 0; i < v->clients; i++)
        if (v->client[i]->asked && !v->client[i]->any_dirty)
            return true;
    return false;
}

/* Looks at the screen, tells the clients where it changed. True if it did. */
static bool look(struct vnc *v)
{
    const struct novt_frame *f = &v->frame;

    if (novt_vm_frame(v->vm, &v->frame) <= 0)
        return false;
    for (unsigned i = 0; i < v->clients; i++) {
        struct vnc_client *c = v->client[i];

        if (c->state != VNC_NORMAL)
            continue;
        if (f->resized)
            vnc_mark(c, 0, 0, c->width, c->height);
        else
            for (u32 r = 0; r < f->rects; r++)
                vnc_mark(c, f->rect[r].x, f->rect[r].y, f->rect[r].width, f->rect[r].height);
    }
    return true;
}

static void take_in(struct vnc *v, int listen_fd)
{
    int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), one = 1;
    struct vnc_client *c;

    if (fd < 0)
        return;
    c = make_room(v) ? malloc(sizeof(*c)) : NULL;
    if (!c) {
        close(fd);
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
    look(v); /* the first picture has today's size; who is there already is told what changed */
    vnc_client_init(c, fd, v->vm, &v->frame, v->title, v->auth);
    c->serial = v->arrivals++;
    v->client[v->clients++] = c;
}

static void serve(struct vnc *v)
{
    for (unsigned i = 0; i < v->clients;) {
        struct vnc_client *c = v->client[i];

        if (!c->gone && c->state == VNC_NORMAL && c->asked && c->any_dirty && c->out.at == c->out.n)
            vnc_update(c);
        flush(c);
        c->gone |= c->out.failed;
        if (c->gone)
            drop(v, i);
        else
            i++;
    }
}

static void *vnc_thread(void *opaque)
{
    struct vnc *v = opaque;
    int wait_ms = DISPLAY_BUSY_MS;

    while (!v->stopping) {
        struct pollfd p[1 + LISTENERS + CLIENTS] = {{.fd = v->stop_fd, .events = POLLIN}};
        unsigned n = 1, clients = v->clients;
        bool busy;

        for (unsigned i = 0; i < v->listeners; i++)
            p[n++] = (struct pollfd){.fd = v->listen_fd[i], .events = POLLIN};
        for (unsigned i = 0; i < clients; i++) {
            const struct vnc_out *out = &v->client[i]->out;
            short events =
                (short)((out->at < out->n ? POLLOUT : 0) | (out->n - out->at < UNSENT_MAX ? POLLIN : 0));

            p[n++] = (struct pollfd){.fd = v->client[i]->fd, .events = events};
        }
        busy = poll(p, n, awaited(v) ? wait_ms : -1) > 0;
        if (v->stopping)
            break;
        for (unsigned i = 0; i < clients; i++)
            if (p[1 + v->listeners + i].revents & (POLLIN | POLLERR | POLLHUP))
                hear(v->client[i]);
        for (unsigned i = 0; i < v->listeners; i++)
            if (p[1 + i].revents & POLLIN)
                take_in(v, v->listen_fd[i]);
        if (awaited(v))
            busy |= look(v);
        serve(v);
        wait_ms = display_next_ms(wait_ms, busy);
    }
    while (v->clients)
        drop(v, 0);
    return NULL;
}

/* ---- the port ---- */

static int listen_unix(struct vnc *v, const char *spec, struct novt_error *err)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    const char *path = spec + 5;
    struct stat st;
    int fd;

    if (!*path || strlen(path) >= sizeof(addr.sun_path))
        return display_fail(err, NOVT_ERR_USAGE, -EINVAL, "give a path of at most 107 bytes",
                            "-vnc %s: no path for a socket", spec);
    strcpy(addr.sun_path, path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    /* A socket that nobody answers at was left by a run that was killed; nothing else may be removed. */
    if (fd >= 0 && connect(fd, (struct sockaddr *)&addr, sizeof(addr)) && errno == ECONNREFUSED &&
        lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
        unlink(path);
    if (fd >= 0)
        close(fd);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) || listen(fd, 8)) {
        int e = errno;

        if (fd >= 0)
            close(fd);
        return display_fail(err, NOVT_ERR_HOST, -e, "choose another place", "-vnc %s: cannot listen: %s",
                            spec, strerror(e));
    }
    strcpy(v->path, path);
    v->listen_fd[v->listeners++] = fd;
    return 0;
}

/* One socket for each address of the host. 0 when all of them listen, else errno and none does. */
static int listen_port(struct vnc *v, const struct addrinfo *list, unsigned port)
{
    int e = 0;

    for (const struct addrinfo *a = list; a && !e && v->listeners < LISTENERS; a = a->ai_next) {
        struct sockaddr_storage addr;
        int on = 1, fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        if (fd < 0)
            continue; /* a host without IPv6 */
        memcpy(&addr, a->ai_addr, a->ai_addrlen);
        if (a->ai_family == AF_INET)
            ((struct sockaddr_in *)&addr)->sin_port = htons((u16)port);
        else
            ((struct sockaddr_in6 *)&addr)->sin6_port = htons((u16)port);
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
        if (a->ai_family == AF_INET6)
            setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
        if (bind(fd, (struct sockaddr *)&addr, a->ai_addrlen) || listen(fd, 8)) {
            e = errno;
            close(fd);
            if (e == EADDRNOTAVAIL || e == EAFNOSUPPORT)
                e = 0; /* IPv6 is there, but not up */
        } else {
            v->listen_fd[v->listeners++] = fd;
        }
    }
    if (!e && !v->listeners)
        e = EADDRNOTAVAIL;
    while (e && v->listeners)
        close(v->listen_fd[--v->listeners]);
    return e;
}

static int listen_tcp(struct vnc *v, const struct display_spec *spec, struct novt_error *err)
{
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    const char *colon = strrchr(spec->vnc, ':');
    char host[128], *end;
    size_t len = (size_t)(colon - spec->vnc);
    unsigned long number = strtoul(colon + 1, &end, 10), last;
    struct addrinfo *list = NULL;
    int e = 0;

    if (colon[1] < '0' || colon[1] > '9' || *end || number > 65535 - BASE_PORT)
        return display_fail(err, NOVT_ERR_USAGE, -EINVAL, "for example -vnc :1, which is port 5901",
                            "-vnc %s: \"%s\" is not a display's number", spec->vnc, colon + 1);
    snprintf(host, sizeof(host), "%.*s", (int)len, spec->vnc);
    if (len >= 2 && host[0] == '[' && host[len - 1] == ']') {
        host[len - 1] = 0;
        memmove(host, host + 1, len - 1);
    }
    e = getaddrinfo(host[0] ? host : NULL, host[0] ? NULL : "0", &hints, &list);
    if (e)
        return display_fail(err, NOVT_ERR_HOST, -EADDRNOTAVAIL,
                            "give an address of this host, for example 127.0.0.1", "-vnc %s: %s", spec->vnc,
                            gai_strerror(e));
    last = number + spec->vnc_to;
    for (;; number++) {
        e = listen_port(v, list, BASE_PORT + (unsigned)number);
        if (e != EADDRINUSE || number >= last || number >= 65535 - BASE_PORT)
            break;
    }
    freeaddrinfo(list);
    if (e == EADDRINUSE)
        return display_fail(err, NOVT_ERR_HOST, -e, "choose another display, or let it choose: -vnc :0,to=99",
                            "-vnc %s: port %lu is taken", spec->vnc, BASE_PORT + number);
    if (e)
        return display_fail(err, NOVT_ERR_HOST, -e, "give an address of this host, for example 127.0.0.1",
                            "-vnc %s: cannot listen: %s", spec->vnc, strerror(e));
    if (spec->vnc_to)
        base_warn("VNC server listens on port %lu", BASE_PORT + number);
    return 0;
}

/* ---- life ---- */

static void vnc_close(void *self);

static int vnc_open(void **self, const struct display_spec *spec, const struct display_host *host,
                    struct novt_error *err)
{
    struct vnc *v = calloc(1, sizeof(*v));
    int rc;

    (void)host;
    if (!v)
        return display_fail(err, NOVT_ERR_HOST, -ENOMEM, "free memory", "-vnc: no memory");
    v->title = spec->title;
    v->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (v->stop_fd < 0)
        rc = display_fail(err, NOVT_ERR_HOST, -EMFILE, "raise \"ulimit -n\"", "-vnc: no descriptors");
    else
        rc = spec->vnc_password ? vnc_auth_new(&v->auth, err) : 0;
    if (!rc)
        rc = !strncmp(spec->vnc, "unix:", 5) ? listen_unix(v, spec->vnc, err) : listen_tcp(v, spec, err);
    if (!rc && spec->vnc_secret)
        vnc_auth_set(v->auth, spec->vnc_secret);
    if (rc)
        vnc_close(v);
    else
        *self = v;
    return rc;
}

static int vnc_start(void *self, struct novt_vm *vm, struct novt_error *err)
{
    struct vnc *v = self;

    v->vm = vm;
    v->started = pthread_create(&v->thread, NULL, vnc_thread, v) == 0;
    return v->started ? 0
                      : display_fail(err, NOVT_ERR_HOST, -EAGAIN, "raise \"ulimit -u\"", "-vnc: no thread");
}

static void vnc_stop(void *self)
{
    struct vnc *v = self;
    u64 one = 1;

    if (!v->started)
        return;
    v->started = false;
    v->stopping = 1;
    if (write(v->stop_fd, &one, sizeof(one)) < 0) {
        /* The counter is full: the thread is awake anyway. */
    }
    pthread_join(v->thread, NULL);
}

static void vnc_close(void *self)
{
    struct vnc *v = self;

    vnc_stop(v);
    while (v->listeners)
        close(v->listen_fd[--v->listeners]);
    if (v->path[0])
        unlink(v->path);
    if (v->stop_fd >= 0)
        close(v->stop_fd);
    vnc_auth_free(v->auth);
    novt_frame_free(&v->frame);
    free(v);
}

struct vnc_auth *vnc_auth_of(void *self)
{
    return ((struct vnc *)self)->auth;
}

const struct display_part display_vnc = {vnc_open, vnc_start, vnc_stop, vnc_close, NULL, NULL, NULL};
