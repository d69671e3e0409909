/*
 * cli_sock.c - sockets of character devices and monitors: their spelling, listening, connecting, taking a client.
 *
 * Everything here is done before the machine runs, but sock_accept() and sock_hang_up(), which the thread that owns the socket
 * calls as clients come and go.
 */
#include "monitor/cli_sock.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "monitor/cli.h"
#include "monitor/cli_opt.h"

bool sock_is_spec(const char *text)
{
    return !strncmp(text, "unix:", 5) || !strncmp(text, "tcp:", 4) || !strncmp(text, "telnet:", 7) ||
           !strncmp(text, "fd:", 3);
}

static bool on_off(const char *value, bool *out)
{
    *out = !strcmp(value, "on") || !strcmp(value, "yes");
    return *out || !strcmp(value, "off") || !strcmp(value, "no");
}

bool sock_property(struct sock_spec *spec, const char *text)
{
    bool ignored;

    if (!strcmp(text, "server") || !strcmp(text, "nowait") || !strcmp(text, "wait")) {
        if (text[0] == 's')
            spec->server = true;
        else
            spec->wait = text[0] == 'w';
        return true;
    }
    if (!strncmp(text, "server=", 7))
        return on_off(text + 7, &spec->server);
    if (!strncmp(text, "wait=", 5))
        return on_off(text + 5, &spec->wait);
    if (!strncmp(text, "telnet=", 7))
        return on_off(text + 7, &spec->telnet);
    /* TCP_NODELAY is always set; both families are always tried. */
    return !strcmp(text, "nodelay") || !strcmp(text, "ipv4") || !strcmp(text, "ipv6") ||
           (!strncmp(text, "nodelay=", 8) && on_off(text + 8, &ignored)) ||
           (!strncmp(text, "ipv4=", 5) && on_off(text + 5, &ignored)) ||
           (!strncmp(text, "ipv6=", 5) && on_off(text + 5, &ignored)) || !strcmp(text, "reconnect=0");
}

/* [HOST]:PORT, the host in brackets when it has colons itself. */
static bool parse_address(struct sock_spec *spec, const char *text, size_t len)
{
    size_t colon = len, host = 0, host_len;

    while (colon > 0 && text[colon - 1] != ':')
        colon--;
    if (!colon || colon == len || len - colon >= sizeof(spec->port))
        return false;
    host_len = colon - 1;
    if (host_len >= 2 && text[0] == '[' && text[host_len - 1] == ']') {
        host = 1;
        host_len -= 2;
    }
    if (host_len >= sizeof(spec->host))
        return false;
    snprintf(spec->host, sizeof(spec->host), "%.*s", (int)host_len, text + host);
    snprintf(spec->port, sizeof(spec->port), "%.*s", (int)(len - colon), text + colon);
    return true;
}

int sock_parse(const char *option, const char *text, struct sock_spec *spec, struct novt_error *err)
{
    const char *at = strchr(text, ':') + 1;
    size_t len = strcspn(at, ",");
    char item[32];
    u64 n;

    *spec = (struct sock_spec){.wait = true, .fd = -1};
    if (text[0] == 'u') {
        spec->kind = SOCK_UNIX;
        if (!len || len >= sizeof(spec->path))
            return opt_usage(err, "give unix:PATH with a path of at most 107 characters",
                             "%s: bad socket \"%s\"", option, text);
        memcpy(spec->path, at, len);
    } else if (text[0] == 'f') {
        spec->kind = SOCK_FD;
        snprintf(item, sizeof(item), "%.*s", (int)len, at);
        if (!opt_number(item, INT32_MAX, NULL, &n))
            return opt_usage(err, "give the number of an open socket", "%s: bad descriptor \"%s\"", option,
                             text);
        spec->fd = (int)n;
    } else {
        spec->kind = SOCK_TCP;
        spec->telnet = text[1] == 'e';
        if (!parse_address(spec, at, len))
            return opt_usage(err, "for example tcp:127.0.0.1:4444,server=on,wait=off",
                             "%s: bad address \"%s\"", option, text);
    }
    for (at += len; *at; at += len) {
        at++;
        len = strcspn(at, ",");
        snprintf(item, sizeof(item), "%.*s", (int)len, at);
        if (len && (len >= sizeof(item) || !sock_property(spec, item)))
            return opt_usage(err, "sockets have server=on|off, wait=on|off, telnet=on|off",
                             "%s: unknown property \"%.*s\"", option, (int)len, at);
    }
    return 0;
}

void sock_describe(const struct sock_spec *s, char *buf, size_t bytes)
{
    if (s->kind == SOCK_UNIX)
        snprintf(buf, bytes, "unix:%s%s", s->path, s->server ? ",server=on" : "");
    else if (s->kind == SOCK_FD)
        snprintf(buf, bytes, "fd:%d", s->fd);
    else
        snprintf(buf, bytes, "%s:%s:%s%s", s->telnet ? "telnet" : "tcp", s->host, s->port,
                 s->server ? ",server=on" : "");
}

/* ---- opening ---- */

static int host_error(const struct sock_spec *spec, struct novt_error *err, const char *remedy,
                      const char *what, const char *why)
{
    char name[200];

    sock_describe(spec, name, sizeof(name));
    err->kind = NOVT_ERR_HOST;
    snprintf(err->cause, sizeof(err->cause), "%s \"%s\": %s", what, name, why);
    snprintf(err->remedy, sizeof(err->remedy), "%s", remedy);
    return EXIT_HOST;
}

int sock_listen_unix(const char *path, int flags)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    struct stat st;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0), rc;

    memcpy(addr.sun_path, path, strnlen(path, sizeof(addr.sun_path) - 1));
    if (lstat(addr.sun_path, &st) == 0 && S_ISSOCK(st.st_mode))
        unlink(addr.sun_path);
    if (fd >= 0 && !bind(fd, (struct sockaddr *)&addr, sizeof(addr)) && !listen(fd, 1))
        return fd;
    rc = -errno;
    if (fd >= 0)
        close(fd);
    return rc;
}

static int connect_unix(const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), rc;

    memcpy(addr.sun_path, path, strnlen(path, sizeof(addr.sun_path) - 1));
    if (fd >= 0 && !connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
        return fd;
    rc = -errno;
    if (fd >= 0)
        close(fd);
    return rc;
}

static int open_unix(struct sock *s, struct novt_error *err)
{
    if (!s->spec.server) {
        s->fd = connect_unix(s->spec.path);
        return s->fd >= 0 ? 0
                          : host_error(&s->spec, err, "start what listens there first, or add server=on",
                                       "cannot connect to", strerror(-s->fd));
    }
    s->listen_fd = sock_listen_unix(s->spec.path, 0);
    s->bound = s->listen_fd >= 0;
    return s->bound ? 0
                    : host_error(&s->spec, err, "choose a writable place", "cannot listen on",
                                 strerror(-s->listen_fd));
}

static int open_tcp(struct sock *s, struct novt_error *err)
{
    const struct sock_spec *spec = &s->spec;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = spec->server ? AI_PASSIVE : 0}, *list,
                    *a;
    const char *host = spec->host[0] ? spec->host : spec->server ? NULL : "127.0.0.1";
    int rc = getaddrinfo(host, spec->port, &hints, &list), fd = -1, e = 0;

    if (rc)
        return host_error(spec, err, "check host and port", "no such address", gai_strerror(rc));
    for (a = list; a; a = a->ai_next) {
        fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);
        if (fd >= 0 && spec->server) {
            setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
            if (!bind(fd, a->ai_addr, a->ai_addrlen) && !listen(fd, 1))
                break;
        } else if (fd >= 0 && !connect(fd, a->ai_addr, a->ai_addrlen)) {
            break;
        }
        e = errno;
        if (fd >= 0)
            close(fd);
        fd = -1;
    }
    freeaddrinfo(list);
    if (fd < 0)
        return host_error(spec, err,
                          spec->server ? "choose another port"
                                       : "start what listens there first, or add server=on",
                          spec->server ? "cannot listen on" : "cannot connect to", strerror(e));
    *(spec->server ? &s->listen_fd : &s->fd) = fd;
    return 0;
}

static void set_up_client(struct sock *s)
{
    fcntl(s->fd, F_SETFL, fcntl(s->fd, F_GETFL) | O_NONBLOCK);
    fcntl(s->fd, F_SETFD, FD_CLOEXEC);
    if (s->spec.kind == SOCK_TCP)
        setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    if (s->spec.telnet) {
        /* IAC WILL ECHO, IAC WILL SUPPRESS-GO-AHEAD, IAC WILL BINARY, IAC DO BINARY: characters as they are typed */
        static const u8 hello[] = {255, 251, 1, 255, 251, 3, 255, 251, 0, 255, 253, 0};

        if (write(s->fd, hello, sizeof(hello)) < 0) {
            /* Its reader is gone already; reading will find out. */
        }
    }
}

bool sock_accept(struct sock *s)
{
    if (s->fd >= 0 || s->listen_fd < 0)
        return false;
    s->fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC);
    if (s->fd < 0)
        return false;
    s->telnet = 0;
    set_up_client(s);
    return true;
}

int sock_open(struct sock *s, const struct sock_spec *spec, struct novt_error *err)
{
    char name[200];
    int rc = 0;

    *s = (struct sock){.spec = *spec, .listen_fd = -1, .fd = -1};
    if (spec->kind == SOCK_FD) {
        struct stat st;

        if (fstat(spec->fd, &st) || !S_ISSOCK(st.st_mode))
            return host_error(spec, err, "give the number of an open socket", "cannot use", "not a socket");
        s->fd = spec->fd;
    } else {
        rc = spec->kind == SOCK_UNIX ? open_unix(s, err) : open_tcp(s, err);
    }
    if (rc)
        return rc;
    if (s->fd >= 0) {
        set_up_client(s);
        return 0;
    }
    if (spec->wait) {
        sigset_t end, old;

        sock_describe(spec, name, sizeof(name));
        base_warn("waiting for connection on: %s", name);
        sigemptyset(&end); /* nobody waits for signals yet: they end the program as they do any other */
        sigaddset(&end, SIGINT);
        sigaddset(&end, SIGTERM);
        sigaddset(&end, SIGHUP);
        pthread_sigmask(SIG_UNBLOCK, &end, &old);
        do {
            errno = 0;
        } while (!sock_accept(s) && (errno == EINTR || errno == ECONNABORTED));
        rc = errno;
        pthread_sigmask(SIG_SETMASK, &old, NULL);
        if (s->fd < 0)
            return host_error(spec, err, "raise \"ulimit -n\"", "no client for", strerror(rc));
        rc = 0;
    }
    fcntl(s->listen_fd, F_SETFL, fcntl(s->listen_fd, F_GETFL) | O_NONBLOCK);
    return 0;
}

/* True if c is part of a command: IAC IAC is the byte itself, IAC WILL..DONT have one more, CR NUL is CR. */
static bool telnet_takes(struct sock *s, u8 c)
{
    switch (s->telnet) {
    case 0: s->telnet = c == 255; return c == 255 || c == 0;
    case 1: s->telnet = c >= 251 && c <= 254 ? 2 : 0; return c != 255;
    default: s->telnet = 0; return true;
    }
}

size_t sock_filter(struct sock *s, u8 *buf, size_t n)
{
    size_t out = 0;

    if (!s->spec.telnet)
        return n;
    for (size_t i = 0; i < n; i++)
        if (!telnet_takes(s, buf[i]))
            buf[out++] = buf[i];
    return out;
}

void sock_hang_up(struct sock *s)
{
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
}

void sock_close(struct sock *s)
{
    sock_hang_up(s);
    if (s->listen_fd >= 0)
        close(s->listen_fd);
    s->listen_fd = -1;
    if (s->bound)
        unlink(s->spec.path);
    s->bound = false;
}
