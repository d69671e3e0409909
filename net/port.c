/*
 * port.c - the part of every back end: two queues, the thread that serves them, and the wake on the VM's side.
 *
 * Sleeping is agreed on by flags that are set before the last look at a queue and taken by exchange afterwards, so neither a frame
 * nor room is ever missed: the thread sets asleep and looks at out; the card's side puts and then takes asleep.
 * Likewise out_blocked and in_blocked for the room in a queue that was full.
 */
#include "net/port.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define RING_HEAD_BYTES 4u
#define RING_WRAP UINT32_MAX      /* in place of a length: the next frame is at the start */
#define DELIVER_FRAMES 256u       /* in one wake: the guest must get to run in between */
#define IN_RESERVE (RING_BYTES / 2) /* a round of the thread may bring that much */

/* ---- queues ---- */

static u32 ring_cost(u32 bytes)
{
    return (u32)align_up(RING_HEAD_BYTES + bytes, 4);
}

u32 ring_used(const struct ring *ring)
{
    return __atomic_load_n(&ring->head, __ATOMIC_SEQ_CST) - __atomic_load_n(&ring->tail, __ATOMIC_SEQ_CST);
}

bool ring_put(struct ring *ring, const u8 *frame, u32 bytes)
{
    u32 at = ring->head % RING_BYTES, to_end = RING_BYTES - at, cost = ring_cost(bytes), skip = to_end < cost ? to_end : 0;
    const u32 wrap = RING_WRAP;

    if (bytes > NIC_FRAME_MAX_BYTES || RING_BYTES - ring_used(ring) < skip + cost)
        return false;
    if (skip) {
        memcpy(ring->data + at, &wrap, sizeof(wrap)); /* costs are multiples of 4, so a length always fits */
        at = 0;
    }
    memcpy(ring->data + at, &bytes, sizeof(bytes));
    memcpy(ring->data + at + RING_HEAD_BYTES, frame, bytes);
    __atomic_store_n(&ring->head, ring->head + skip + cost, __ATOMIC_SEQ_CST);
    return true;
}

const u8 *ring_peek(struct ring *ring, u32 *bytes)
{
    u32 at = ring->tail % RING_BYTES;

    if (!ring_used(ring))
        return NULL;
    memcpy(bytes, ring->data + at, sizeof(*bytes));
    if (*bytes == RING_WRAP) {
        __atomic_store_n(&ring->tail, ring->tail + RING_BYTES - at, __ATOMIC_SEQ_CST);
        at = 0;
        memcpy(bytes, ring->data, sizeof(*bytes));
    }
    return ring->data + at + RING_HEAD_BYTES;
}

void ring_pop(struct ring *ring, u32 bytes)
{
    __atomic_store_n(&ring->tail, ring->tail + ring_cost(bytes), __ATOMIC_SEQ_CST);
}

/* ---- the VM's side ---- */

static void kick(struct net *net)
{
    const u64 one = 1;

    if (write(net->event_fd, &one, sizeof(one)) < 0)
        return; /* it is full, so the thread will wake anyway */
}

static bool card_send(void *opaque, const u8 *frame, u32 bytes)
{
    struct net *net = opaque;

    if (bytes < NIC_FRAME_MIN_BYTES || bytes > NIC_FRAME_MAX_BYTES || !net->started)
        return true;
    if (!ring_put(&net->out, frame, bytes)) {
        __atomic_store_n(&net->out_blocked, 1, __ATOMIC_SEQ_CST);
        if (!ring_put(&net->out, frame, bytes))
            return false;
        __atomic_store_n(&net->out_blocked, 0, __ATOMIC_SEQ_CST);
    }
    if (__atomic_exchange_n(&net->asleep, 0, __ATOMIC_SEQ_CST))
        kick(net);
    return true;
}

static void card_ready(void *opaque)
{
    struct net *net = opaque;

    if (net->refused) {
        net->refused = false;
        wake_signal(&net->wake);
    }
}

static void deliver(struct net *net)
{
    unsigned n = 0;
    const u8 *frame;
    u32 bytes;

    net->refused = false;
    while (n < DELIVER_FRAMES && (frame = ring_peek(&net->in, &bytes))) {
        if (!net->front.receive(net->front.opaque, frame, bytes)) {
            net->refused = true;
            break;
        }
        ring_pop(&net->in, bytes);
        n++;
    }
    if (n == DELIVER_FRAMES)
        wake_signal(&net->wake);
    if (n && RING_BYTES - ring_used(&net->in) >= IN_RESERVE && __atomic_exchange_n(&net->in_blocked, 0, __ATOMIC_SEQ_CST))
        kick(net);
}

static void on_wake(void *opaque)
{
    struct net *net = opaque;

    /* The thread took the flag when it made room, the card may have set it again since. */
    if (!__atomic_load_n(&net->out_blocked, __ATOMIC_SEQ_CST))
        net->front.room(net->front.opaque);
    deliver(net);
}

/* ---- the thread ---- */

void net_deliver(struct net *net, const u8 *frame, u32 bytes)
{
    if (bytes < NIC_FRAME_MIN_BYTES || bytes > NIC_FRAME_MAX_BYTES)
        return;
    if (!ring_put(&net->in, frame, bytes)) {
        net->dropped++;
        return;
    }
    net->received++;
    net->arrived = true;
}

int net_polls_add(struct net_polls *polls, int fd, short events)
{
    if (polls->n == polls->room) {
        unsigned room = polls->room ? polls->room * 2 : 16;
        struct pollfd *more = realloc(polls->fd, room * sizeof(*more));

        if (!more)
            return -1;
        polls->fd = more;
        polls->room = room;
    }
    polls->fd[polls->n] = (struct pollfd){.fd = fd, .events = events};
    return (int)polls->n++;
}

static void push_out(struct net *net)
{
    bool moved = false;
    const u8 *frame;
    u32 bytes;

    net->suspended = false;
    while ((frame = ring_peek(&net->out, &bytes))) {
        if (!net->kind->send(net, frame, bytes)) {
            net->suspended = true;
            break;
        }
        net->sent++;
        ring_pop(&net->out, bytes);
        moved = true;
    }
    if (moved && __atomic_exchange_n(&net->out_blocked, 0, __ATOMIC_SEQ_CST))
        wake_signal(&net->wake);
}

static bool input_room(struct net *net)
{
    return RING_BYTES - ring_used(&net->in) >= IN_RESERVE;
}

static bool may_take_input(struct net *net)
{
    if (input_room(net))
        return true;
    __atomic_store_n(&net->in_blocked, 1, __ATOMIC_SEQ_CST);
    if (!input_room(net))
        return false;
    __atomic_store_n(&net->in_blocked, 0, __ATOMIC_SEQ_CST);
    return true;
}

static void tell_arrivals(struct net *net)
{
    if (net->arrived) {
        net->arrived = false;
        wake_signal(&net->wake);
    }
}

static void take_order(struct net *net)
{
    struct net_order *order;

    pthread_mutex_lock(&net->order_lock);
    order = net->order;
    net->order = NULL;
    if (order) {
        order->rc = net->kind->forward(net, order->add, order->rule, order->err);
        order->done = true;
        pthread_cond_broadcast(&net->order_done);
    }
    pthread_mutex_unlock(&net->order_lock);
}

static void *net_thread(void *opaque)
{
    struct net *net = opaque;
    struct net_polls *polls = &net->polls;
    u64 count;

    while (!__atomic_load_n(&net->stop, __ATOMIC_SEQ_CST)) {
        bool input;

        push_out(net);
        tell_arrivals(net);
        input = may_take_input(net);
        polls->n = 0;
        polls->timeout_ms = -1;
        if (net_polls_add(polls, net->event_fd, POLLIN) < 0)
            return NULL;
        net->kind->prepare(net, polls, input, net->suspended);
        __atomic_store_n(&net->asleep, 1, __ATOMIC_SEQ_CST);
        if (ring_used(&net->out) && !net->suspended)
            polls->timeout_ms = 0;
        if (poll(polls->fd, polls->n, polls->timeout_ms) < 0)
            for (unsigned i = 0; i < polls->n; i++)
                polls->fd[i].revents = 0;
        __atomic_store_n(&net->asleep, 0, __ATOMIC_SEQ_CST);
        if (polls->fd[0].revents && read(net->event_fd, &count, sizeof(count)) < 0)
            count = 0;
        net->kind->ready(net, polls, input);
        take_order(net);
        tell_arrivals(net);
    }
    return NULL;
}

/* ---- life ---- */

static const struct net_kind *const kinds[] = {&net_kind_user, &net_kind_tap, &net_kind_socket};

int net_new(struct net **out, const char *spec, struct net_error *err)
{
    size_t len = strcspn(spec, ",");
    const struct net_kind *kind = NULL;
    char *options;
    struct net *net;
    int rc = -ENOMEM;

    *out = NULL;
    *err = (struct net_error){0};
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
        if (strlen(kinds[i]->name) == len && !strncmp(kinds[i]->name, spec, len))
            kind = kinds[i];
    if (!kind)
        return net_bad(err, "use user, tap, socket or none", "network: there is no back end \"%.*s\"", (int)len, spec);
    net = calloc(1, sizeof(*net));
    options = strdup(spec[len] ? spec + len + 1 : "");
    if (!net || !options)
        goto fail;
    net->kind = kind;
    pthread_mutex_init(&net->order_lock, NULL);
    pthread_cond_init(&net->order_done, NULL);
    net->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    net->in.data = malloc(RING_BYTES);
    net->out.data = malloc(RING_BYTES);
    if (net->event_fd < 0)
        rc = -errno;
    if (net->event_fd < 0 || !net->in.data || !net->out.data)
        goto fail;
    rc = kind->open(net, options, err);
    if (rc)
        goto fail;
    free(options);
    *out = net;
    return 0;
fail:
    if (!err->cause[0])
        net_refused(err, rc, "raise \"ulimit -n\" or free memory", "network: %s", strerror(-rc));
    free(options);
    net_free(net);
    return rc;
}

struct nic_back net_back(struct net *net)
{
    return (struct nic_back){card_send, card_ready, net};
}

int net_start(struct net *net, const struct nic_front *front, struct wake_list *wakes)
{
    sigset_t all, before;
    int rc;

    net->front = *front;
    wake_add(wakes, &net->wake, on_wake, net);
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before); /* signals are the VM's thread's, or the program's */
    rc = pthread_create(&net->thread, NULL, net_thread, net);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    net->started = rc == 0;
    return -rc;
}

void net_free(struct net *net)
{
    if (!net)
        return;
    if (net->started) {
        __atomic_store_n(&net->stop, 1, __ATOMIC_SEQ_CST);
        kick(net);
        pthread_join(net->thread, NULL);
    }
    wake_remove(&net->wake);
    if (net->kind) {
        net->kind->close(net);
        pthread_cond_destroy(&net->order_done);
        pthread_mutex_destroy(&net->order_lock);
    }
    if (net->event_fd >= 0)
        close(net->event_fd);
    free(net->polls.fd);
    free(net->in.data);
    free(net->out.data);
    free(net);
}

int net_forward(struct net *net, bool add, const char *rule, struct net_error *err)
{
    struct net_order order = {.add = add, .rule = rule, .err = err};

    *err = (struct net_error){0};
    if (!net->kind->forward)
        return net_bad(err, "use -nic user", "network: %s has no host ports that lead to the guest", net->kind->name);
    if (!net->started)
        return net->kind->forward(net, add, rule, err);
    pthread_mutex_lock(&net->order_lock);
    while (net->order) /* another thread's */
        pthread_cond_wait(&net->order_done, &net->order_lock);
    net->order = &order;
    kick(net);
    while (!order.done)
        pthread_cond_wait(&net->order_done, &net->order_lock);
    pthread_mutex_unlock(&net->order_lock);
    return order.rc;
}
