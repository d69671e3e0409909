/*
 * dump.c - what goes over a network cable, into a file in pcap's format, for tcpdump and Wireshark.
 *
 * It stands between a card and the end of its cable and passes everything on; a frame is written when the other side has taken it, so
 * one that had to wait is there once. Each goes to the file at once: what a killed process saw is in it. A file that cannot be
 * written any more (a full disk) ends the dump, not the network. All on the VM's thread.
 */
#include "net/net.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define PCAP_MAGIC 0xa1b2c3d4u /* times in microseconds, this host's byte order */
#define PCAP_ETHERNET 1u
#define MAX_BYTES 65536u

struct net_dump {
    int fd; /* -1: given up */
    u32 max_bytes;
    struct nic_back back;
    struct nic_front inner, front; /* the card, and what the cable's end sees of it */
};

static void record(struct net_dump *d, const u8 *frame, u32 bytes)
{
    u32 kept = bytes < d->max_bytes ? bytes : d->max_bytes;
    struct timespec now;

    if (d->fd < 0)
        return;
    clock_gettime(CLOCK_REALTIME, &now);
    u32 head[4] = {(u32)now.tv_sec, (u32)(now.tv_nsec / 1000), kept, bytes};
    struct iovec part[2] = {{head, sizeof(head)}, {(void *)(uintptr_t)frame, kept}};
    ssize_t wrote;
    do
        wrote = writev(d->fd, part, 2);
    while (wrote < 0 && errno == EINTR);
    if (wrote == (ssize_t)(sizeof(head) + kept))
        return;
    close(d->fd);
    d->fd = -1;
}

static bool send(void *opaque, const u8 *frame, u32 bytes)
{
    struct net_dump *d = opaque;

    if (!nic_send(&d->back, frame, bytes))
        return false;
    record(d, frame, bytes);
    return true;
}

static void ready(void *opaque)
{
    struct net_dump *d = opaque;

    nic_ready(&d->back);
}

static bool receive(void *opaque, const u8 *frame, u32 bytes)
{
    struct net_dump *d = opaque;

    if (!d->inner.receive(d->inner.opaque, frame, bytes))
        return false;
    record(d, frame, bytes);
    return true;
}

static void room(void *opaque)
{
    struct net_dump *d = opaque;

    if (d->inner.room)
        d->inner.room(d->inner.opaque);
}

static void link_changed(void *opaque, bool up)
{
    struct net_dump *d = opaque;

    if (d->inner.link)
        d->inner.link(d->inner.opaque, up);
}

struct nic_back net_dump_back(struct net_dump *d, const struct nic_back *back)
{
    d->back = *back;
    return (struct nic_back){.send = send, .ready = ready, .opaque = d};
}

const struct nic_front *net_dump_front(struct net_dump *d, const struct nic_front *front)
{
    d->inner = *front;
    d->front = (struct nic_front){.receive = receive, .room = room, .link = link_changed, .opaque = d};
    return &d->front;
}

int net_dump_new(struct net_dump **out, const char *path, u32 max_bytes, struct net_error *err)
{
    const struct {
        u32 magic;
        u16 major, minor;
        u32 zone, accuracy, max_bytes, link;
    } head = {PCAP_MAGIC, 2, 4, 0, 0, max_bytes ? max_bytes : MAX_BYTES, PCAP_ETHERNET};
    struct net_dump *d = calloc(1, sizeof(*d));
    int rc;

    *out = NULL;
    if (!d)
        return -ENOMEM;
    d->max_bytes = head.max_bytes;
    d->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
    if (d->fd >= 0 && write(d->fd, &head, sizeof(head)) == (ssize_t)sizeof(head)) {
        *out = d;
        return 0;
    }
    rc = errno ? -errno : -EIO;
    *err = (struct net_error){.usage = false};
    snprintf(err->cause, sizeof(err->cause), "cannot write %.200s: %s", path, strerror(-rc));
    snprintf(err->remedy, sizeof(err->remedy), "look at the path and its permissions");
    net_dump_free(d);
    return rc;
}

void net_dump_free(struct net_dump *d)
{
    if (d && d->fd >= 0)
        close(d->fd);
    free(d);
}
