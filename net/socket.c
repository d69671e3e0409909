/*
 * socket.c - a cable to other machines, in the format of QEMU's -netdev socket.
 *
 * listen= and connect=: TCP, each frame behind its length in 32 bits, big-endian; one peer at a time, and when it goes a listener takes the
 * next one. udp= and mcast=: one frame a datagram. Without a peer frames vanish, as on a loose cable. A peer that sends an
 * impossible length is hung up on; one that does not read stops the card's queue, nothing else.
 */
#include "net/port.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define HEAD_BYTES 4u
#define ROUND_BYTES (256u << 10)
#define CONNECT_S 5

struct sock {
    int listen_fd, fd; /* fd: the peer, or the datagram socket; -1: none */
    bool datagrams;
    struct sockaddr_in to;  /* datagrams */
    struct sockaddr_in own; /* multicast: our own come back too, and are known by where they came from */
    bool multicast;
    u8 in[HEAD_BYTES + NIC_FRAME_MAX_BYTES];
    u32 in_bytes;
    u8 out[HEAD_BYTES + NIC_FRAME_MAX_BYTES]; /* what the peer has not taken of the last frame */
    u32 out_at, out_bytes;
};

struct options {
    const char *listen, *connect, *mcast, *udp, *local, *fd;
};

static int take_options(char *text, struct options *o, struct net_error *err)
{
    char *key, *value;

    while (net_next_option(&text, &key, &value)) {
        const char **to = net_is_key(key, "listen")      ? &o->listen
                          : net_is_key(key, "connect")   ? &o->connect
                          : net_is_key(key, "mcast")     ? &o->mcast
                          : net_is_key(key, "udp")       ? &o->udp
                          : net_is_key(key, "localaddr") ? &o->local
                          : net_is_key(key, "fd")        ? &o->fd
                                                         : NULL;
        if (!to)
            return net_bad(err, "listen connect mcast udp localaddr fd can be given",
                           "-netdev socket: unknown option \"%s\"", key);
        *to = value;
    }
    if (!!o->listen + !!o->connect + !!o->mcast + !!o->udp + !!o->fd != 1)
        return net_bad(err, "give exactly one of listen= connect= mcast= udp= fd=", "-netdev socket: %s",
                       o->listen || o->connect || o->mcast || o->udp || o->fd ? "too many ends"
                                                                              : "no end given");
    if (o->udp && !o->local)
        return net_bad(err, "add localaddr=HOST:PORT", "-netdev socket: udp= without localaddr=");
    if (o->local && !o->udp && !o->mcast)
        return net_bad(err, "leave it out", "-netdev socket: localaddr= is for udp= and mcast=");
    return 0;
}

static int fail(struct net_error *err, const char *verb, const char *where, int rc)
{
    return net_refused(err, rc,
                       rc == -EADDRINUSE     ? "use another port, or end the program that has it"
                       : rc == -EACCES       ? "use a port from 1024 up"
                       : rc == -ECONNREFUSED ? "start the listening machine first"
                                             : "check the address",
                       "-netdev socket: cannot %s %s: %s", verb, where, strerror(-rc));
}

static int nonblocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    return flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) ? -errno : 0;
}

static void no_delay(int fd)
{
    const int one = 1;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

static int open_listen(struct sock *s, const char *text, struct net_error *err)
{
    struct sockaddr_in addr;
    const int one = 1;
    int rc = net_address("socket", "listen", text, &addr, err);

    if (rc)
        return rc;
    s->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s->listen_fd < 0)
        return fail(err, "listen on", text, -errno);
    setsockopt(s->listen_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(s->listen_fd, (const struct sockaddr *)&addr, sizeof(addr)) || listen(s->listen_fd, 1))
        return fail(err, "listen on", text, -errno);
    return 0;
}

static int open_connect(struct sock *s, const char *text, struct net_error *err)
{
    const struct timeval limit = {.tv_sec = CONNECT_S};
    struct sockaddr_in addr;
    int rc = net_address("socket", "connect", text, &addr, err);

    if (rc)
        return rc;
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (s->fd < 0)
        return fail(err, "connect to", text, -errno);
    setsockopt(s->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    if (connect(s->fd, (const struct sockaddr *)&addr, sizeof(addr)))
        return fail(err, "connect to", text, errno == EINPROGRESS ? -ETIMEDOUT : -errno);
    no_delay(s->fd);
    return nonblocking(s->fd);
}

static int open_udp(struct sock *s, const struct options *o, struct net_error *err)
{
    struct sockaddr_in addr;
    const int one = 1;
    int rc = net_address("socket", "udp", o->udp, &s->to, err);

    if (!rc)
        rc = net_address("socket", "localaddr", o->local, &addr, err);
    if (rc)
        return rc;
    s->datagrams = true;
    s->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s->fd < 0)
        return fail(err, "use", o->local, -errno);
    setsockopt(s->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(s->fd, (const struct sockaddr *)&addr, sizeof(addr)))
        return fail(err, "use", o->local, -errno);
    return 0;
}

/* Two sockets in one: the group's port is shared, so what we send must come from a port of its own to be known as ours. */
static int open_mcast(struct sock *s, const struct options *o, struct net_error *err)
{
    struct sockaddr_in bound;
    struct ip_mreq join = {0};
    const int one = 1;
    int rc = net_address("socket", "mcast", o->mcast, &s->to, err);

    if (rc)
        return rc;
    if (!IN_MULTICAST(ntohl(s->to.sin_addr.s_addr)))
        return net_bad(err, "use 224.0.0.0 to 239.255.255.255, for example mcast=230.0.0.1:1234",
                       "-netdev socket: mcast=%s is no group", o->mcast);
    join.imr_multiaddr = s->to.sin_addr;
    if (o->local && !inet_aton(o->local, &join.imr_interface))
        return net_bad(err, "give an address of this host", "-netdev socket: bad localaddr=%s", o->local);
    s->datagrams = s->multicast = true;
    s->listen_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    s->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s->listen_fd < 0 || s->fd < 0)
        return fail(err, "join", o->mcast, -errno);
    setsockopt(s->listen_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    setsockopt(s->fd, IPPROTO_IP, IP_MULTICAST_LOOP, &one, sizeof(one));
    if (o->local)
        setsockopt(s->fd, IPPROTO_IP, IP_MULTICAST_IF, &join.imr_interface, sizeof(join.imr_interface));
    bound = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = join.imr_interface};
    if (bind(s->listen_fd, (const struct sockaddr *)&s->to, sizeof(s->to)) ||
        setsockopt(s->listen_fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &join, sizeof(join)) ||
        bind(s->fd, (const struct sockaddr *)&bound, sizeof(bound)))
        return fail(err, "join", o->mcast, -errno);
    socklen_t len = sizeof(s->own);
    getsockname(s->fd, (struct sockaddr *)&s->own, &len);
    return 0;
}

static int open_fd(struct sock *s, const char *text, struct net_error *err)
{
    int type = 0;
    socklen_t len = sizeof(type);
    u32 fd;

    if (!net_number(text, INT32_MAX, &fd) || fd <= STDERR_FILENO ||
        getsockopt((int)fd, SOL_SOCKET, SO_TYPE, &type, &len) || (type != SOCK_STREAM && type != SOCK_DGRAM))
        return net_bad(err, "give the number of a connected socket", "-netdev socket: fd=%s is no socket",
                       text);
    s->fd = (int)fd;
    s->datagrams = type == SOCK_DGRAM;
    fcntl(s->fd, F_SETFD, FD_CLOEXEC);
    return nonblocking(s->fd);
}

static int sock_open(struct net *net, char *text, struct net_error *err)
{
    struct sock *s = calloc(1, sizeof(*s));
    struct options o = {0};
    int rc;

    net->state = s;
    if (!s)
        return -ENOMEM;
    s->listen_fd = s->fd = -1;
    rc = take_options(text, &o, err);
    if (rc)
        return rc;
    if (o.listen)
        return open_listen(s, o.listen, err);
    if (o.connect)
        return open_connect(s, o.connect, err);
    if (o.udp)
        return open_udp(s, &o, err);
    return o.mcast ? open_mcast(s, &o, err) : open_fd(s, o.fd, err);
}

static void sock_close(struct net *net)
{
    struct sock *s = net->state;

    if (!s)
        return;
    if (s->fd >= 0)
        close(s->fd);
    if (s->listen_fd >= 0)
        close(s->listen_fd);
    free(s);
}

static void hang_up(struct sock *s)
{
    close(s->fd);
    s->fd = -1;
    s->in_bytes = s->out_bytes = s->out_at = 0;
}

/* True when nothing is left over. */
static bool flush(struct sock *s)
{
    while (s->fd >= 0 && s->out_at < s->out_bytes) {
        ssize_t n = send(s->fd, s->out + s->out_at, s->out_bytes - s->out_at, MSG_NOSIGNAL);

        if (n >= 0)
            s->out_at += (u32)n;
        else if (errno == EAGAIN)
            return false;
        else if (errno != EINTR)
            hang_up(s);
    }
    return true;
}

static bool sock_send(struct net *net, const u8 *frame, u32 bytes)
{
    struct sock *s = net->state;
    u32 length = htonl(bytes);

    if (s->fd < 0)
        return true;
    if (s->datagrams) {
        ssize_t n = s->to.sin_family ? sendto(s->fd, frame, bytes, MSG_NOSIGNAL,
                                              (const struct sockaddr *)&s->to, sizeof(s->to))
                                     : send(s->fd, frame, bytes, MSG_NOSIGNAL);
        return n >= 0 || errno != EAGAIN;
    }
    if (!flush(s))
        return false;
    memcpy(s->out, &length, HEAD_BYTES);
    memcpy(s->out + HEAD_BYTES, frame, bytes);
    s->out_at = 0;
    s->out_bytes = HEAD_BYTES + bytes;
    flush(s); /* what is left goes before the next frame */
    return true;
}

static void sock_prepare(struct net *net, struct net_polls *polls, bool input, bool stalled)
{
    const struct sock *s = net->state;
    bool pending = stalled || s->out_at < s->out_bytes;

    /* poll() leaves out descriptors below 0; the places stay the same. Without interest a peer that is gone must not wake us. */
    net_polls_add(polls, s->fd >= 0 && (input || pending) ? s->fd : -1,
                  (short)((input && !s->multicast ? POLLIN : 0) | (pending ? POLLOUT : 0)));
    net_polls_add(polls, s->multicast ? (input ? s->listen_fd : -1) : s->fd < 0 ? s->listen_fd : -1, POLLIN);
}

/* Frames out of the bytes that came; false: nonsense. */
static bool take_frames(struct net *net, struct sock *s)
{
    u32 at = 0;

    while (s->in_bytes - at >= HEAD_BYTES) {
        u32 length;

        memcpy(&length, s->in + at, HEAD_BYTES);
        length = ntohl(length);
        if (length > NIC_FRAME_MAX_BYTES)
            return false;
        if (s->in_bytes - at - HEAD_BYTES < length)
            break;
        net_deliver(net, s->in + at + HEAD_BYTES, length);
        at += HEAD_BYTES + length;
    }
    memmove(s->in, s->in + at, s->in_bytes - at);
    s->in_bytes -= at;
    return true;
}

static void read_stream(struct net *net, struct sock *s)
{
    for (u32 total = 0; s->fd >= 0 && total < ROUND_BYTES;) {
        ssize_t n = recv(s->fd, s->in + s->in_bytes, sizeof(s->in) - s->in_bytes, 0);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            hang_up(s);
            return;
        }
        s->in_bytes += (u32)n;
        total += (u32)n;
        if (!take_frames(net, s))
            hang_up(s);
    }
}

static void read_datagrams(struct net *net, struct sock *s, int fd)
{
    for (u32 total = 0; total < ROUND_BYTES;) {
        struct sockaddr_in from = {0};
        socklen_t len = sizeof(from);
        ssize_t n = recvfrom(fd, s->in, NIC_FRAME_MAX_BYTES, MSG_TRUNC, (struct sockaddr *)&from, &len);

        if (n < 0 && errno != EINTR &&
            errno != ECONNREFUSED) /* refused: an earlier one of ours found nobody */
            return;
        total += 1024 + (u32)(n > 0 ? n : 0);
        if (s->multicast && from.sin_port == s->own.sin_port &&
            (s->own.sin_addr.s_addr == INADDR_ANY || from.sin_addr.s_addr == s->own.sin_addr.s_addr))
            continue;
        if (n > 0 && (u32)n <= NIC_FRAME_MAX_BYTES)
            net_deliver(net, s->in, (u32)n);
    }
}

static void accept_peer(struct sock *s)
{
    int fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd < 0)
        return;
    no_delay(fd);
    s->fd = fd;
}

static void sock_ready(struct net *net, struct net_polls *polls, bool input)
{
    struct sock *s = net->state;
    short peer, door;

    if (polls->n < 3)
        return;
    peer = polls->fd[1].revents;
    door = polls->fd[2].revents;
    if (peer & POLLNVAL)
        hang_up(s);
    if (s->datagrams) {
        if (s->multicast ? door : input && (peer & ~POLLOUT))
            read_datagrams(net, s, s->multicast ? s->listen_fd : s->fd);
        return;
    }
    if (peer & (POLLOUT | POLLERR | POLLHUP))
        flush(s);
    if (input && (peer & (POLLIN | POLLERR | POLLHUP)))
        read_stream(net, s);
    if (door && s->fd < 0)
        accept_peer(s);
}

const struct net_kind net_kind_socket = {
    .name = "socket",
    .open = sock_open,
    .close = sock_close,
    .send = sock_send,
    .prepare = sock_prepare,
    .ready = sock_ready,
};
