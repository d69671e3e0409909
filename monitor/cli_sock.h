/*
 * cli_sock.h - sockets of character devices and monitors, in QEMU's spelling.
 *
 *   unix:PATH[,server=on|off][,wait=on|off]     tcp:[HOST]:PORT[,...]     telnet:[HOST]:PORT[,...]     fd:N
 *
 * "server", "nowait" and "wait" alone are the old spelling of server=on, wait=off and wait=on. A server takes one client at a time, one
 * after another, and waits for the first before the machine runs unless wait=off; without server it is NoVT that connects.
 */
#ifndef NOVT_CLI_SOCK_H
#define NOVT_CLI_SOCK_H

#include "base.h"
#include "include/novt.h"

enum sock_kind { SOCK_UNIX, SOCK_TCP, SOCK_FD };

struct sock_spec {
    enum sock_kind kind;
    bool server, wait, telnet;
    char path[108];          /* UNIX */
    char host[64], port[16]; /* TCP; no host: every address as a server, 127.0.0.1 as a client */
    int fd;                  /* FD */
};

struct sock {
    struct sock_spec spec;
    int listen_fd, fd; /* -1: none; fd: the client, non-blocking */
    bool bound;        /* unix: path is ours to unlink */
    u8 telnet;         /* state of an IAC sequence */
};

bool sock_is_spec(const char *text); /* does it begin like one? */
/* 0, or an exit code with *err that names `option`. */
int sock_parse(const char *option, const char *text, struct sock_spec *spec,
               struct novt_error *err) MUST_CHECK;
/* One property ("server=on") into the spec; false: not one of a socket's, or a bad value. */
bool sock_property(struct sock_spec *spec, const char *text);
/* Listens, or connects. With wait also accepts the first client, however long it takes. */
int sock_open(struct sock *s, const struct sock_spec *spec, struct novt_error *err) MUST_CHECK;
bool sock_accept(struct sock *s); /* a client, if one is there */
/* A socket that listens at path: its descriptor, or -errno. One that is there already, be it a killed run's or a living one's, is
 * replaced, as QEMU does; nothing else ever is. flags: SOCK_NONBLOCK, or 0. */
int sock_listen_unix(const char *path, int flags) MUST_CHECK;
/* Takes telnet's commands out of what the client sent, in place; returns how many bytes are left. */
size_t sock_filter(struct sock *s, u8 *buf, size_t n);
void sock_hang_up(struct sock *s);
void sock_close(struct sock *s);
void sock_describe(const struct sock_spec *spec, char *buf, size_t bytes); /* as QEMU's info chardev does */

#endif
