/*
 * port.h - what the back ends share: a queue each way, the thread, and the options' text.
 *
 * A kind of back end (struct net_kind) is a few calls that the thread in port.c makes in turn: push a frame out, say which
 * descriptors to wait for, look at them. All but open and close run on that thread.
 */
#ifndef NOVT_NET_PORT_H
#define NOVT_NET_PORT_H

#include <poll.h>
#include <pthread.h>

#include "net/net.h"

#define RING_BYTES (1u << 20)

/* Frames in one direction: one side puts, the other takes, without a lock. Each lies in one piece behind its length. */
struct ring {
    u8 *data;
    u32 head; /* the putting side's: bytes ever put, alignment and wraps counted */
    u32 tail; /* the taking side's */
};

bool ring_put(struct ring *ring, const u8 *frame, u32 bytes); /* false: no room */
const u8 *ring_peek(struct ring *ring, u32 *bytes);           /* NULL: empty */
void ring_pop(struct ring *ring, u32 bytes);                  /* what ring_peek() showed */
u32 ring_used(const struct ring *ring);

/* Descriptors to wait for. */
struct net_polls {
    struct pollfd *fd;
    unsigned n, room;
    int timeout_ms; /* -1: none */
};

int net_polls_add(struct net_polls *polls, int fd, short events); /* its index, -1: no memory */

struct net_kind {
    const char *name;
    int (*open)(struct net *net, char *options, struct net_error *err);
    void (*close)(struct net *net); /* also what open() left half done */
    /* false: not now; prepare() then waits for when it may be tried again. */
    bool (*send)(struct net *net, const u8 *frame, u32 bytes);
    /* input: frames may come in. stalled: send() said no. */
    void (*prepare)(struct net *net, struct net_polls *polls, bool input, bool stalled);
    void (*ready)(struct net *net, struct net_polls *polls, bool input);
    int (*forward)(struct net *net, bool add, const char *rule, struct net_error *err); /* net.h's; NULL: not this kind */
};

/* net_forward() on its way to the thread. */
struct net_order {
    bool add, done;
    const char *rule;
    struct net_error *err;
    int rc;
};

struct net {
    const struct net_kind *kind;
    void *state; /* the kind's */
    struct ring out, in; /* from the card, to the card */
    struct nic_front front;
    struct wake wake;
    struct net_polls polls; /* the thread's */
    pthread_t thread;
    bool started;
    int event_fd; /* wakes the thread */

    pthread_mutex_t order_lock;
    pthread_cond_t order_done;
    struct net_order *order; /* NULL: none */

    /* Between the two threads, by atomic operations. */
    int stop;
    int asleep;      /* the thread is, or is about to be, in poll() */
    int out_blocked; /* the card waits for room in out */
    int in_blocked;  /* the thread waits for room in in */

    bool refused;   /* VM's thread: the card had no buffer */
    bool arrived;   /* back end's thread: put something into in */
    bool suspended; /* back end's thread: send() said no */
    u64 sent, received, dropped;
};

/* To the card; a frame that does not fit is lost. On the back end's thread. */
void net_deliver(struct net *net, const u8 *frame, u32 bytes);

/* ---- options.c ---- */

/* Takes the next "key=value" or "key" (value "") from a comma list, where ",," is a comma. False at the end. Both point into the list. */
bool net_next_option(char **list, char **key, char **value);
bool net_is_key(const char *key, const char *name);
int net_bad(struct net_error *err, const char *remedy, const char *fmt, ...) PRINTF_LIKE(3, 4);            /* usage, -EINVAL */
int net_refused(struct net_error *err, int rc, const char *remedy, const char *fmt, ...) PRINTF_LIKE(4, 5); /* the host's, rc */
int net_flag(const char *kind, const char *key, const char *value, bool *out, struct net_error *err);
bool net_number(const char *text, u32 max, u32 *out);
struct sockaddr_in;
/* "HOST:PORT", an empty host being any address. */
int net_address(const char *kind, const char *key, const char *text, struct sockaddr_in *out, struct net_error *err);

extern const struct net_kind net_kind_user, net_kind_tap, net_kind_socket;

#endif
