/*
 * cli_gdb.c - the debugger's connection (cli_gdb.h).
 *
 * -gdb tcp:[HOST]:PORT | unix:PATH | stdio | none, with QEMU's ",server" and ",nowait" accepted since they are so anyway; -s is -gdb
 * tcp::1234.
 * Without a host the port is on the loopback interface: who debugs a guest can do all with it.
 */
#include "monitor/cli_gdb.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "monitor/cli_opt.h"
#include "monitor/cli_session.h"

#define FAREWELL_MS 500 /* for the last packet */

int opt_gdb(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    if (strncmp(arg, "tcp:", 4) && strncmp(arg, "unix:", 5) && strcmp(arg, "stdio") && strcmp(arg, "none"))
        return opt_usage(err, "use tcp::PORT, unix:PATH, stdio or none", "-gdb: unknown place \"%s\"", arg);
    opt->gdb = strcmp(arg, "none") ? arg : NULL;
    return 0;
}

int opt_gdb_short(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    (void)arg;
    return opt_gdb(opt, "tcp::1234", err);
}

int opt_start_paused(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    (void)arg;
    (void)err;
    opt->config.start_paused = true;
    return 0;
}

bool gdb_spec_is_stdio(const char *spec)
{
    return spec && !strcmp(spec, "stdio");
}

/* ---- addresses ---- */

static int fail(struct novt_error *err, enum novt_error_kind kind, const char *remedy, const char *spec,
                int e)
{
    *err = (struct novt_error){.kind = kind};
    snprintf(err->cause, sizeof(err->cause), "-gdb %.200s: %s", spec, strerror(e));
    snprintf(err->remedy, sizeof(err->remedy), "%s", remedy);
    return kind == NOVT_ERR_USAGE ? EXIT_USAGE : EXIT_HOST;
}

/* Behind the address only what is so anyway may stand. */
static bool known_tail(const char *tail)
{
    static const char *const words[] = {"server", "server=on", "nowait", "wait=off", "nodelay", "nodelay=on"};

    while (*tail == ',') {
        size_t n = strcspn(++tail, ","), i = 0;

        while (i < ARRAY_SIZE(words) && (strlen(words[i]) != n || strncmp(words[i], tail, n)))
            i++;
        if (i == ARRAY_SIZE(words))
            return false;
        tail += n;
    }
    return !*tail;
}

static int open_tcp(struct cli_gdb *g, const char *spec, struct novt_error *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *list;
    const char *at = spec + 4, *colon = strrchr(at, ':'), *tail;
    char host[64], port[16];
    int rc, on = 1, e = EADDRNOTAVAIL;

    if (!colon)
        return fail(err, NOVT_ERR_USAGE, "use tcp:HOST:PORT or tcp::PORT", spec, EINVAL);
    tail = colon + strcspn(colon, ",");
    if ((size_t)(colon - at) >= sizeof(host) || (size_t)(tail - colon - 1) >= sizeof(port) ||
        !known_tail(tail) || strspn(colon + 1, "0123456789") != (size_t)(tail - colon - 1) ||
        tail == colon + 1)
        return fail(err, NOVT_ERR_USAGE, "use tcp:HOST:PORT or tcp::PORT", spec, EINVAL);
    snprintf(host, sizeof(host), "%.*s", (int)(colon - at), at);
    snprintf(port, sizeof(port), "%.*s", (int)(tail - colon - 1), colon + 1);
    if (getaddrinfo(host[0] ? host : "127.0.0.1", port, &hints, &list))
        return fail(err, NOVT_ERR_USAGE, "name an address of this host", spec, EADDRNOTAVAIL);
    for (struct addrinfo *a = list; a && g->listen_fd < 0; a = a->ai_next) {
        int fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        rc = fd < 0 ? -1 : setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
        if (!rc && !bind(fd, a->ai_addr, a->ai_addrlen) && !listen(fd, 1)) {
            g->listen_fd = fd;
            break;
        }
        e = errno;
        if (fd >= 0)
            close(fd);
    }
    freeaddrinfo(list);
    if (g->listen_fd >= 0)
        return 0;
    return fail(err, NOVT_ERR_HOST, e == EADDRINUSE ? "choose another port" : "choose another address", spec,
                e);
}

static int open_unix(struct cli_gdb *g, const char *spec, struct novt_error *err)
{
    const char *at = spec + 5;
    size_t n = strcspn(at, ",");
    char path[sizeof(g->path)];

    if (!n || n >= sizeof(path) || !known_tail(at + n))
        return fail(err, NOVT_ERR_USAGE, "use unix:PATH, of less than 108 characters", spec, EINVAL);
    snprintf(path, sizeof(path), "%.*s", (int)n, at);
    g->listen_fd = sock_listen_unix(path, SOCK_NONBLOCK);
    if (g->listen_fd < 0)
        return fail(err, NOVT_ERR_HOST, "choose a writable place", spec, -g->listen_fd);
    memcpy(g->path, path, sizeof(path));
    return 0;
}

int gdb_open(struct cli_gdb *g, const char *spec, struct novt_error *err)
{
    *g = (struct cli_gdb){.listen_fd = -1, .in_fd = -1, .out_fd = -1, .wake_fd = -1, .exit_code = -1};
    if (!spec)
        return 0;
    pthread_mutex_init(&g->lock, NULL);
    g->open = true;
    g->is_stdio = gdb_spec_is_stdio(spec);
    g->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (g->wake_fd < 0)
        return fail(err, NOVT_ERR_HOST, "raise \"ulimit -n\"", spec, errno);
    if (g->is_stdio)
        return 0;
    return strncmp(spec, "unix:", 5) ? open_tcp(g, spec, err) : open_unix(g, spec, err);
}

/* ---- output ---- */

static void wake(struct cli_gdb *g)
{
    u64 one = 1;

    (void)!write(g->wake_fd, &one, sizeof(one));
}

/* The stub's; on the VM's thread. */
static void queue(void *opaque, const uint8_t *buf, size_t len)
{
    struct cli_gdb *g = opaque;

    pthread_mutex_lock(&g->lock);
    if (g->out_n + len > g->out_room) {
        size_t room = (g->out_n + len) * 2;
        u8 *bigger = room <= 2 * GDB_BACKLOG_BYTES ? realloc(g->out, room) : NULL;

        if (bigger) {
            g->out = bigger;
            g->out_room = room;
        }
    }
    if (g->out_n + len <= g->out_room) {
        memcpy(g->out + g->out_n, buf, len);
        g->out_n += len;
    } else {
        g->overrun = true;
    }
    pthread_mutex_unlock(&g->lock);
    wake(g);
}

/* As much as goes without waiting. false: the client is gone. */
static bool flush(struct cli_gdb *g)
{
    bool ok;

    pthread_mutex_lock(&g->lock);
    ok = !g->overrun;
    while (ok && g->out_n) {
        ssize_t n = g->is_stdio ? write(g->out_fd, g->out, g->out_n)
                                : send(g->out_fd, g->out, g->out_n, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            ok = n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
            break;
        }
        g->out_n -= (size_t)n;
        memmove(g->out, g->out + n, g->out_n);
    }
    pthread_mutex_unlock(&g->lock);
    return ok;
}

/* ---- the thread ---- */

/* "monitor WORDS" */
static char *monitor_line(void *opaque, const char *line)
{
    struct cli_gdb *g = opaque;
    struct text t = {0};
    char *answer;

    hmp_execute(g->control, line, &t);
    answer = strdup(text_str(&t));
    text_free(&t);
    return answer;
}

static void client_came(struct cli_gdb *g, int in_fd, int out_fd)
{
    int on = 1;

    g->in_fd = in_fd;
    g->out_fd = out_fd;
    g->out_n = 0;
    g->overrun = false;
    if (!g->is_stdio)
        (void)!setsockopt(in_fd, IPPROTO_TCP, TCP_NODELAY, &on,
                          sizeof(on)); /* packets are small and waited for */
    if (novt_gdb_open(&g->stub, g->vm, queue, g))
        g->stub = NULL;
    else
        novt_gdb_commands(g->stub, monitor_line, g);
}

static void client_gone(struct cli_gdb *g, int exit_code)
{
    novt_gdb_close(g->stub, exit_code);
    g->stub = NULL;
    if (exit_code >= 0 && g->in_fd >= 0) {
        struct pollfd p = {.fd = g->out_fd, .events = POLLOUT};

        while (flush(g) && g->out_n && poll(&p, 1, FAREWELL_MS) > 0)
            ;
    }
    if (!g->is_stdio && g->in_fd >= 0)
        close(g->in_fd);
    g->in_fd = g->out_fd = -1;
}

/* false: the client is gone. */
static bool read_client(struct cli_gdb *g)
{
    u8 buf[4096];
    ssize_t n = read(g->in_fd, buf, sizeof(buf));

    if (n > 0 && g->stub)
        novt_gdb_input(g->stub, buf, (size_t)n);
    return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

static void *gdb_thread(void *opaque)
{
    struct cli_gdb *g = opaque;
    u64 count;

    if (g->is_stdio)
        client_came(g, STDIN_FILENO, STDOUT_FILENO);
    while (!g->ending) {
        bool there = g->in_fd >= 0, more = there && g->out_n; /* a stale look is made good by the wake */
        struct pollfd p[3] = {
            {.fd = g->wake_fd, .events = POLLIN},
            {.fd = there ? -1 : g->listen_fd, .events = POLLIN},
            /* A client that does not read what it asked for is not asked for more. */
            {.fd = g->in_fd, .events = more ? POLLOUT : POLLIN},
        };

        if (poll(p, 3, -1) < 0 && errno != EINTR)
            break;
        if (p[0].revents)
            (void)!read(g->wake_fd, &count, sizeof(count));
        if (g->ending)
            break;
        if (!there && p[1].revents) {
            int fd = accept4(g->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

            if (fd >= 0)
                client_came(g, fd, fd);
            continue;
        }
        if (!there)
            continue;
        if (!flush(g) || ((p[2].revents & (POLLIN | POLLHUP | POLLERR)) && !read_client(g))) {
            client_gone(g, -1);
            if (g->is_stdio) {
                novt_vm_stop(g->vm, STOP_BY_USER);
                break;
            }
        }
    }
    client_gone(g, g->ending ? g->exit_code : -1);
    return NULL;
}

int gdb_start(struct cli_gdb *g, struct novt_vm *vm, struct novt_error *err)
{
    int rc;

    g->vm = vm;
    if (!g->open)
        return 0;
    rc = pthread_create(&g->thread, NULL, gdb_thread, g);
    if (rc)
        return fail(err, NOVT_ERR_HOST, "raise \"ulimit -u\"", "thread", rc);
    g->started = true;
    return 0;
}

void gdb_close(struct cli_gdb *g, int exit_code)
{
    if (!g->open)
        return;
    if (g->started) {
        g->exit_code = exit_code;
        __atomic_store_n(&g->ending, true, __ATOMIC_SEQ_CST);
        wake(g);
        pthread_join(g->thread, NULL);
    }
    if (g->path[0])
        unlink(g->path);
    if (g->listen_fd >= 0)
        close(g->listen_fd);
    if (g->wake_fd >= 0)
        close(g->wake_fd);
    free(g->out);
    pthread_mutex_destroy(&g->lock);
    g->open = g->started = false;
}
