/*
 * user.c - user networking: a router, DHCP, DNS and TFTP server of libslirp's that turns guest connections into the host's sockets.
 *
 * libslirp is loaded when it is wanted, so that a host without it loses only this back end. One instance a network; all
 * calls into a running one come from the back end's thread. hostfwd ports are bound before the machine runs. The options, their
 * defaults and the way addresses follow from net= are those of QEMU's -netdev user, but for IPv6, which is off unless asked for.
 */
#include "net/port.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <slirp/libslirp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TIMERS 4 /* libslirp has one: router advertisements */
#define FORWARDS 64
#define SEARCHES 16

/* What we call of the library. */
struct slirp_calls {
    Slirp *(*new)(const SlirpConfig *cfg, const SlirpCb *callbacks, void *opaque);
    void (*cleanup)(Slirp *slirp);
    void (*pollfds_fill)(Slirp *slirp, uint32_t *timeout, SlirpAddPollCb add_poll, void *opaque);
    void (*pollfds_poll)(Slirp *slirp, int select_error, SlirpGetREventsCb get_revents, void *opaque);
    void (*input)(Slirp *slirp, const uint8_t *pkt, int pkt_len);
    int (*add_hostfwd)(Slirp *slirp, int is_udp, struct in_addr host_addr, int host_port, struct in_addr guest_addr, int guest_port);
    int (*remove_hostfwd)(Slirp *slirp, int is_udp, struct in_addr host_addr, int host_port);
};

static const struct {
    const char *name;
    size_t offset;
} call_names[] = {
    {"slirp_new", offsetof(struct slirp_calls, new)},
    {"slirp_cleanup", offsetof(struct slirp_calls, cleanup)},
    {"slirp_pollfds_fill", offsetof(struct slirp_calls, pollfds_fill)},
    {"slirp_pollfds_poll", offsetof(struct slirp_calls, pollfds_poll)},
    {"slirp_input", offsetof(struct slirp_calls, input)},
    {"slirp_add_hostfwd", offsetof(struct slirp_calls, add_hostfwd)},
    {"slirp_remove_hostfwd", offsetof(struct slirp_calls, remove_hostfwd)},
};

struct timer {
    bool used, armed;
    i64 expire_ms;
    SlirpTimerCb cb;
    void *cb_opaque;
};

struct forward {
    bool udp;
    struct in_addr host, guest;
    u32 host_port, guest_port;
};

struct user {
    struct slirp_calls lib;
    Slirp *slirp;
    struct timer timer[TIMERS];
    struct forward forward[FORWARDS];
    unsigned forwards;
    struct net_polls *filling;
    /* Options; the texts point into options. */
    char *options;
    const char *net, *host, *dhcp_start, *dns, *hostname, *tftp, *tftp_name, *bootfile, *domain;
    const char *search[SEARCHES + 1];
    unsigned searches;
    bool restricted, ipv4, ipv6;
    SlirpConfig config;
};

/* ---- what libslirp calls ---- */

static ssize_t on_packet(const void *buf, size_t len, void *opaque)
{
    net_deliver(opaque, buf, (u32)min_u64(len, UINT32_MAX));
    return (ssize_t)len;
}

static void on_guest_error(const char *msg, void *opaque)
{
    (void)msg; /* a guest's nonsense is not the user's business */
    (void)opaque;
}

static i64 now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (i64)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static i64 on_clock(void *opaque)
{
    (void)opaque;
    return now_ns();
}

static void *on_timer_new(SlirpTimerCb cb, void *cb_opaque, void *opaque)
{
    struct user *user = ((struct net *)opaque)->state;

    for (unsigned i = 0; i < TIMERS; i++)
        if (!user->timer[i].used) {
            user->timer[i] = (struct timer){.used = true, .cb = cb, .cb_opaque = cb_opaque};
            return &user->timer[i];
        }
    return NULL;
}

static void on_timer_free(void *timer, void *opaque)
{
    (void)opaque;
    if (timer)
        *(struct timer *)timer = (struct timer){0};
}

static void on_timer_mod(void *opaque_timer, int64_t expire_ms, void *opaque)
{
    struct timer *timer = opaque_timer;

    (void)opaque;
    if (!timer)
        return;
    timer->armed = true;
    timer->expire_ms = expire_ms;
}

static void on_poll_fd(int fd, void *opaque)
{
    (void)fd;
    (void)opaque;
}

static void on_notify(void *opaque)
{
    (void)opaque; /* it comes from slirp_input(), and the thread looks at all sockets after that */
}

static const SlirpCb callbacks = {
    .send_packet = on_packet,
    .guest_error = on_guest_error,
    .clock_get_ns = on_clock,
    .timer_new = on_timer_new,
    .timer_free = on_timer_free,
    .timer_mod = on_timer_mod,
    .register_poll_fd = on_poll_fd,
    .unregister_poll_fd = on_poll_fd,
    .notify = on_notify,
};

static int on_add_poll(int fd, int events, void *opaque)
{
    struct user *user = opaque;
    short want = (short)((events & SLIRP_POLL_IN ? POLLIN : 0) | (events & SLIRP_POLL_OUT ? POLLOUT : 0) |
                         (events & SLIRP_POLL_PRI ? POLLPRI : 0));

    return net_polls_add(user->filling, fd, want);
}

static int on_revents(int idx, void *opaque)
{
    const struct user *user = opaque;
    short got;

    if (idx < 0 || (unsigned)idx >= user->filling->n)
        return 0;
    got = user->filling->fd[idx].revents;
    return (got & POLLIN ? SLIRP_POLL_IN : 0) | (got & POLLOUT ? SLIRP_POLL_OUT : 0) | (got & POLLPRI ? SLIRP_POLL_PRI : 0) |
           (got & POLLERR ? SLIRP_POLL_ERR : 0) | (got & POLLHUP ? SLIRP_POLL_HUP : 0);
}

/* ---- options ---- */

static int bad_address(struct net_error *err, const char *key, const char *value)
{
    return net_bad(err, "give an IPv4 address inside net=, for example 10.0.2.2", "-netdev user: bad %s=%s", key, value);
}

/* A port's text up to `end` (0: the string's). */
static bool take_port(char **text, char end, u32 lowest, u32 *port)
{
    char *stop = end ? strchr(*text, end) : *text + strlen(*text);

    if (!stop)
        return false;
    if (end)
        *stop++ = 0;
    if (!net_number(*text, 65535, port) || *port < lowest)
        return false;
    *text = stop;
    return true;
}

static bool take_host(char **text, struct in_addr *addr)
{
    char *stop = strchr(*text, ':');

    addr->s_addr = INADDR_ANY;
    if (!stop)
        return false;
    *stop++ = 0;
    if (**text && !inet_aton(*text, addr))
        return false;
    *text = stop;
    return true;
}

/* tcp|udp:[HOSTADDR]:HOSTPORT, with `whole` -[GUESTADDR]:GUESTPORT behind it. In place. */
static bool parse_forward(struct forward *f, char *at, bool whole)
{
    if (!strncmp(at, "tcp:", 4) || !strncmp(at, "udp:", 4)) {
        f->udp = *at == 'u';
        at += 4;
    } else if (*at == ':') {
        f->udp = false;
        at++; /* QEMU: nothing is TCP */
    } else {
        return false;
    }
    if (!take_host(&at, &f->host) || !take_port(&at, whole ? '-' : 0, 0, &f->host_port))
        return false;
    return !whole || (take_host(&at, &f->guest) && take_port(&at, 0, 1, &f->guest_port));
}

static int add_forward(struct user *user, char *value, struct net_error *err)
{
    struct forward *f = &user->forward[user->forwards];
    char shown[128];

    snprintf(shown, sizeof(shown), "%s", value);
    if (user->forwards == FORWARDS)
        return net_bad(err, "give fewer", "-netdev user: more than %d of hostfwd", FORWARDS);
    if (!parse_forward(f, value, true))
        return net_bad(err, "for example hostfwd=tcp::2222-:22", "-netdev user: bad hostfwd=%s", shown);
    user->forwards++;
    return 0;
}

static int take_option(struct user *user, const char *key, char *value, struct net_error *err)
{
    const struct {
        const char *name;
        const char **to;
    } texts[] = {
        {"net", &user->net},         {"host", &user->host},     {"dhcpstart", &user->dhcp_start}, {"dns", &user->dns},
        {"hostname", &user->hostname}, {"tftp", &user->tftp}, {"bootfile", &user->bootfile},     {"domainname", &user->domain},
        {"tftp-server-name", &user->tftp_name},
    };

    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        if (net_is_key(key, texts[i].name)) {
            *texts[i].to = value;
            return 0;
        }
    if (net_is_key(key, "restrict"))
        return net_flag("user", key, value, &user->restricted, err);
    if (net_is_key(key, "ipv4"))
        return net_flag("user", key, value, &user->ipv4, err);
    if (net_is_key(key, "ipv6"))
        return net_flag("user", key, value, &user->ipv6, err);
    if (net_is_key(key, "hostfwd"))
        return add_forward(user, value, err);
    if (net_is_key(key, "dnssearch")) {
        if (user->searches == SEARCHES)
            return net_bad(err, "give fewer", "-netdev user: more than %d of dnssearch", SEARCHES);
        user->search[user->searches++] = value;
        return 0;
    }
    if (net_is_key(key, "guestfwd") || net_is_key(key, "smb") || net_is_key(key, "smbserver"))
        return net_bad(err, "let the guest connect to a server on the host at 10.0.2.2, or use hostfwd",
                       "-netdev user: %s is not supported", key);
    return net_bad(err, "net host dns dhcpstart hostname domainname dnssearch restrict tftp bootfile hostfwd ipv4 ipv6 can be given",
                   "-netdev user: unknown option \"%s\"", key);
}

/* Without /MASK: by the address, as QEMU does. */
static u32 default_mask(u32 addr)
{
    static const u32 rules[][3] = {
        {0x80000000, 0x00000000, 0xff000000}, {0xfff00000, 0xac100000, 0xfff00000}, {0xc0000000, 0x80000000, 0xffff0000},
        {0xffff0000, 0xc0a80000, 0xffff0000}, {0xffff0000, 0xc6120000, 0xfffe0000}, {0xe0000000, 0xe0000000, 0xffffff00},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
        if ((addr & rules[i][0]) == rules[i][1])
            return rules[i][2];
    return 0xfffffff0;
}

static int set_network(struct user *user, struct net_error *err)
{
    static const char remedy[] = "for example net=192.168.7.0/24";
    u32 net = 0x0a000200, mask = 0xffffff00;
    const struct {
        const char *key, *text;
        struct in_addr *to;
        u32 usual;
    } rows[] = {
        {"host", user->host, &user->config.vhost, 0x0202},
        {"dhcpstart", user->dhcp_start, &user->config.vdhcp_start, 0x020f},
        {"dns", user->dns, &user->config.vnameserver, 0x0203},
    };

    if (user->net) {
        char text[64];
        struct in_addr addr;
        char *slash;
        u32 bits;

        snprintf(text, sizeof(text), "%s", user->net);
        slash = strchr(text, '/');
        if (slash)
            *slash = 0;
        if (!inet_aton(text, &addr))
            return net_bad(err, remedy, "-netdev user: bad net=%s", user->net);
        net = ntohl(addr.s_addr);
        mask = default_mask(net);
        if (slash && net_number(slash + 1, 32, &bits) && bits >= 4)
            mask = UINT32_MAX << (32 - bits);
        else if (slash && inet_aton(slash + 1, &addr) && strchr(slash + 1, '.'))
            mask = ntohl(addr.s_addr);
        else if (slash)
            return net_bad(err, remedy, "-netdev user: bad net=%s", user->net);
        net &= mask;
    }
    user->config.vnetwork.s_addr = htonl(net);
    user->config.vnetmask.s_addr = htonl(mask);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        rows[i].to->s_addr = htonl(net | (rows[i].usual & ~mask));
        if (!rows[i].text)
            continue;
        /* A host part alone will do, as for QEMU. */
        if (!inet_aton(rows[i].text, rows[i].to))
            return bad_address(err, rows[i].key, rows[i].text);
        if (!(ntohl(rows[i].to->s_addr) & mask))
            rows[i].to->s_addr |= htonl(net);
        if ((ntohl(rows[i].to->s_addr) & mask) != net)
            return bad_address(err, rows[i].key, rows[i].text);
    }
    if (user->config.vhost.s_addr == user->config.vnameserver.s_addr)
        return bad_address(err, "dns", user->dns ? user->dns : user->host ? user->host : user->net);
    return 0;
}

static int set_config(struct user *user, struct net_error *err)
{
    SlirpConfig *cfg = &user->config;
    int rc = set_network(user, err);

    if (rc)
        return rc;
    if (!user->ipv4 && !user->ipv6)
        return net_bad(err, "leave one of them on", "-netdev user: neither IPv4 nor IPv6");
    if (user->tftp_name && strlen(user->tftp_name) > 63)
        return net_bad(err, "63 characters at most", "-netdev user: tftp-server-name is too long");
    if (user->bootfile && strlen(user->bootfile) > 127)
        return net_bad(err, "127 characters at most", "-netdev user: bootfile is too long");
    if (user->domain && strlen(user->domain) > 255)
        return net_bad(err, "255 characters at most", "-netdev user: domainname is too long");
    if (user->hostname && strlen(user->hostname) > 32)
        return net_bad(err, "32 characters at most", "-netdev user: hostname is too long");
    cfg->version = 1;
    cfg->restricted = user->restricted;
    cfg->in_enabled = user->ipv4;
    cfg->in6_enabled = user->ipv6;
    inet_pton(AF_INET6, "fec0::", &cfg->vprefix_addr6);
    cfg->vprefix_len = 64;
    inet_pton(AF_INET6, "fec0::2", &cfg->vhost6);
    inet_pton(AF_INET6, "fec0::3", &cfg->vnameserver6);
    cfg->vhostname = user->hostname;
    cfg->tftp_server_name = user->tftp_name;
    cfg->tftp_path = user->tftp;
    cfg->bootfile = user->bootfile;
    cfg->vdnssearch = user->searches ? user->search : NULL;
    cfg->vdomainname = user->domain;
    return 0;
}

/* ---- the back end ---- */

static int load_library(struct user *user, struct net_error *err)
{
    /* Never unloaded: its glib keeps thread-local destructors. */
    void *lib = dlopen("libslirp.so.0", RTLD_NOW | RTLD_LOCAL);

    for (size_t i = 0; i < ARRAY_SIZE(call_names); i++) {
        void *sym = lib ? dlsym(lib, call_names[i].name) : NULL;

        if (!sym)
            return net_refused(err, -ENOSYS, "apt-get install libslirp0, or use -nic none", "-netdev user: libslirp cannot be loaded: %s",
                               lib ? call_names[i].name : "no libslirp.so.0");
        memcpy((u8 *)&user->lib + call_names[i].offset, &sym, sizeof(sym));
    }
    return 0;
}

static int open_forward(struct user *user, const struct forward *f, struct net_error *err)
{
    char host[INET_ADDRSTRLEN];
    int rc;

    errno = 0;
    if (user->lib.add_hostfwd(user->slirp, f->udp, f->host, (int)f->host_port, f->guest, (int)f->guest_port) >= 0)
        return 0;
    rc = errno ? -errno : -EIO;
    inet_ntop(AF_INET, &f->host, host, sizeof(host));
    return net_refused(err, rc, rc == -EACCES ? "use a port from 1024 up" : "use another host port, or end the program that has it",
                       "-netdev user: cannot forward %s port %u of %s: %s", f->udp ? "udp" : "tcp", f->host_port, host, strerror(-rc));
}

static int open_forwards(struct user *user, struct net_error *err)
{
    int rc = 0;

    for (unsigned i = 0; !rc && i < user->forwards; i++)
        rc = open_forward(user, &user->forward[i], err);
    return rc;
}

/* While it runs, on the back end's thread. */
static int user_forward(struct net *net, bool add, const char *rule, struct net_error *err)
{
    struct user *user = net->state;
    struct forward f = {0};
    char text[128];

    if (snprintf(text, sizeof(text), "%s", rule) >= (int)sizeof(text) || !parse_forward(&f, text, add))
        return net_bad(err, add ? "for example tcp::2222-:22" : "for example tcp::2222", "invalid host forwarding rule '%.100s'", rule);
    if (add)
        return open_forward(user, &f, err);
    if (user->lib.remove_hostfwd(user->slirp, f.udp, f.host, (int)f.host_port))
        return net_refused(err, -ENOENT, "give it as it was added, without the guest's part", "host forwarding rule for %.100s not found", rule);
    return 0;
}

static int user_open(struct net *net, char *options, struct net_error *err)
{
    struct user *user = calloc(1, sizeof(*user));
    char *at, *key, *value;
    int rc = 0;

    net->state = user;
    if (!user)
        return -ENOMEM;
    user->ipv4 = true;
    user->options = at = strdup(options); /* cut into pieces that stay in use */
    if (!at)
        return -ENOMEM;
    while (!rc && net_next_option(&at, &key, &value))
        rc = take_option(user, key, value, err);
    if (!rc)
        rc = set_config(user, err);
    if (!rc)
        rc = load_library(user, err);
    if (rc)
        return rc;
    user->slirp = user->lib.new(&user->config, &callbacks, net);
    if (!user->slirp)
        return net_refused(err, -ENOMEM, "free memory", "-netdev user: libslirp gives no network");
    return open_forwards(user, err);
}

static void user_close(struct net *net)
{
    struct user *user = net->state;

    if (!user)
        return;
    if (user->slirp)
        user->lib.cleanup(user->slirp);
    free(user->options);
    free(user);
}

static bool user_send(struct net *net, const u8 *frame, u32 bytes)
{
    const struct user *user = net->state;

    user->lib.input(user->slirp, frame, (int)bytes);
    return true;
}

/* Without room for input the sockets are left alone: TCP then slows the sender. */
static void user_prepare(struct net *net, struct net_polls *polls, bool input, bool stalled)
{
    struct user *user = net->state;
    u32 timeout_ms = UINT32_MAX;
    i64 now = now_ns() / 1000000;

    (void)stalled;
    if (!input)
        return;
    user->filling = polls;
    user->lib.pollfds_fill(user->slirp, &timeout_ms, on_add_poll, user);
    for (unsigned i = 0; i < TIMERS; i++)
        if (user->timer[i].armed)
            timeout_ms = (u32)min_u64(timeout_ms, user->timer[i].expire_ms > now ? (u64)(user->timer[i].expire_ms - now) : 0);
    polls->timeout_ms = timeout_ms > INT32_MAX ? -1 : (int)timeout_ms;
}

static void user_ready(struct net *net, struct net_polls *polls, bool input)
{
    struct user *user = net->state;
    i64 now = now_ns() / 1000000;

    if (!input)
        return;
    user->filling = polls;
    user->lib.pollfds_poll(user->slirp, 0, on_revents, user);
    for (unsigned i = 0; i < TIMERS; i++)
        if (user->timer[i].armed && user->timer[i].expire_ms <= now) {
            user->timer[i].armed = false;
            user->timer[i].cb(user->timer[i].cb_opaque);
        }
}

const struct net_kind net_kind_user = {
    .name = "user",
    .open = user_open,
    .close = user_close,
    .send = user_send,
    .prepare = user_prepare,
    .ready = user_ready,
    .forward = user_forward,
};
