/*
 * tap.c - a tap device of the host, or a descriptor that someone else opened: one frame a read, one frame a write.
 *
 * Setting the interface up (address, bridge) is the administrator's: no script is run. A descriptor given by fd= may also be
 * one end of a datagram socket pair.
 */
#include "net/port.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define FRAMES_A_ROUND 64

struct tap {
    int fd;
    bool dead; /* it failed for good: the cable hangs loose */
    u8 frame[NIC_FRAME_MAX_BYTES];
};

static int open_interface(struct tap *tap, const char *ifname, struct net_error *err)
{
    struct ifreq req = {.ifr_flags = IFF_TAP | IFF_NO_PI};
    int rc;

    tap->fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (tap->fd < 0) {
        rc = -errno;
        return net_refused(err, rc, "load the kernel's module tun, or use -nic user",
                           "-netdev tap: cannot open /dev/net/tun: %s", strerror(-rc));
    }
    snprintf(req.ifr_name, sizeof(req.ifr_name), "%s", ifname);
    if (ioctl(tap->fd, TUNSETIFF, &req)) {
        rc = -errno;
        return net_refused(err, rc,
                           rc == -EBUSY ? "another program has it; use another ifname="
                                        : "as root: ip tuntap add dev tap0 mode tap user YOU && ip link set "
                                          "tap0 up; then ifname=tap0",
                           "-netdev tap: cannot have interface %s: %s", ifname[0] ? ifname : "tap%d",
                           strerror(-rc));
    }
    return 0;
}

static int adopt(struct tap *tap, const char *text, struct net_error *err)
{
    struct ifreq req = {0};
    int flags;
    u32 fd;

    if (!net_number(text, INT32_MAX, &fd) || fd <= STDERR_FILENO)
        return net_bad(err, "give the number of a descriptor that is open", "-netdev tap: bad fd=%s", text);
    flags = fcntl((int)fd, F_GETFL);
    if (flags < 0)
        return net_bad(err, "give the number of a descriptor that is open", "-netdev tap: fd=%s is not open",
                       text);
    if (!ioctl((int)fd, TUNGETIFF, &req)) {
        if (!(req.ifr_flags & IFF_TAP) || !(req.ifr_flags & IFF_NO_PI) || (req.ifr_flags & IFF_VNET_HDR))
            return net_bad(err, "open it with IFF_TAP | IFF_NO_PI and without IFF_VNET_HDR",
                           "-netdev tap: fd=%s frames otherwise", text);
        }
    tap->fd = (int)fd;
    fcntl(tap->fd, F_SETFL, flags | O_NONBLOCK);
    fcntl(tap->fd, F_SETFD, FD_CLOEXEC);
    return 0;
}

static int tap_open(struct net *net, char *options, struct net_error *err)
{
    struct tap *tap = calloc(1, sizeof(*tap));
    const char *ifname = "", *fd = NULL;
    char *key, *value;
    bool flag;
    int rc = 0;

    net->state = tap;
    if (!tap)
        return -ENOMEM;
    tap->fd = -1;
    while (!rc && net_next_option(&options, &key, &value)) {
        if (net_is_key(key, "ifname"))
            ifname = value;
        else if (net_is_key(key, "fd"))
            fd = value;
        else if (net_is_key(key, "script") || net_is_key(key, "downscript"))
            rc = net_is_key(value, "no")
                     ? 0
                     : net_bad(err, "set the interface up before, and give script=no or nothing",
                               "-netdev tap: %s is not run", key);
        else if (net_is_key(key, "vhost")) {
            rc = net_flag("tap", key, value, &flag, err);
            if (!rc && flag)
                rc = net_bad(err, "leave it out", "-netdev tap: vhost=on is not supported");
        } else if (!net_is_key(key, "sndbuf"))
            rc = net_bad(err, "ifname and fd can be given", "-netdev tap: unknown option \"%s\"", key);
    }
    if (!rc && strlen(ifname) >= IFNAMSIZ)
        rc = net_bad(err, "15 characters at most", "-netdev tap: ifname=%s is too long", ifname);
    if (rc)
        return rc;
    return fd ? adopt(tap, fd, err) : open_interface(tap, ifname, err);
}

static void tap_close(struct net *net)
{
    struct tap *tap = net->state;

    if (tap && tap->fd >= 0)
        close(tap->fd);
    free(tap);
}

static bool tap_send(struct net *net, const u8 *frame, u32 bytes)
{
    struct tap *tap = net->state;

    /* All but "wait" loses the frame: an interface that is down, a frame it does not like. */
    return tap->dead || write(tap->fd, frame, bytes) >= 0 || (errno != EAGAIN && errno != ENOBUFS);
}

static void tap_prepare(struct net *net, struct net_polls *polls, bool input, bool stalled)
{
    struct tap *tap = net->state;

    if (!tap->dead && (input || stalled))
        net_polls_add(polls, tap->fd, (short)((input ? POLLIN : 0) | (stalled ? POLLOUT : 0)));
    if (stalled)
        polls->timeout_ms = 100; /* ENOBUFS ends without an event */
}

static void tap_ready(struct net *net, struct net_polls *polls, bool input)
{
    struct tap *tap = net->state;
    short got = polls->n > 1 ? polls->fd[1].revents : 0;

    if (got & POLLNVAL)
        tap->dead = true;
    if (!input || !(got & (POLLIN | POLLERR | POLLHUP)))
        return;
    for (unsigned i = 0; i < FRAMES_A_ROUND; i++) {
        ssize_t n = read(tap->fd, tap->frame, sizeof(tap->frame));

        if (n > 0)
            net_deliver(net, tap->frame, (u32)n);
        else if (n < 0 && errno == EINTR)
            continue;
        else {
            tap->dead |= n == 0 || (errno != EAGAIN && errno != EIO);
            tap->dead |=
                (got & (POLLERR | POLLHUP)) && errno == EIO; /* else an interface that is down, for now */
            return;
        }
    }
}

const struct net_kind net_kind_tap = {
    .name = "tap",
    .open = tap_open,
    .close = tap_close,
    .send = tap_send,
    .prepare = tap_prepare,
    .ready = tap_ready,
};
