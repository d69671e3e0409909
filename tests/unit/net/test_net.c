/*
 * test_net.c - back ends without a card: queues under load from two threads, descriptors, sockets, options, and libslirp's DHCP.
 *
 * Fails if a frame is lost, torn or out of order where there is back pressure, if one side can hold the other, if a peer's nonsense is
 * taken, or if an option that cannot be is not refused by name.
 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/port.h"

/* A card that keeps the last frames, and a thread of its own in place of the VM's. */
struct card {
    struct net *net;
    struct nic_back back;
    struct wake_list wakes;
    int kick_fd;
    unsigned got, rooms;
    u32 bytes;
    u8 last[NIC_FRAME_MAX_BYTES];
    bool deaf; /* has no buffers */
};

static bool on_receive(void *opaque, const u8 *frame, u32 bytes)
{
    struct card *c = opaque;

    if (c->deaf)
        return false;
    c->got++;
    c->bytes = bytes;
    memcpy(c->last, frame, bytes);
    return true;
}

static void on_room(void *opaque)
{
    ((struct card *)opaque)->rooms++;
}

static void on_link(void *opaque, bool up)
{
    (void)opaque;
    (void)up;
}

static void on_kick(void *opaque)
{
    const u64 one = 1;

    cr_assert(write(((struct card *)opaque)->kick_fd, &one, sizeof(one)) > 0);
}

static struct card *card_new(const char *spec)
{
    struct card *c = calloc(1, sizeof(*c));
    struct net_error err;
    const struct nic_front front = {on_receive, on_room, on_link, c};

    c->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    c->wakes = (struct wake_list){.kick = on_kick, .opaque = c};
    cr_assert_eq(net_new(&c->net, spec, &err), 0, "%s: %s", spec, err.cause);
    c->back = net_back(c->net);
    cr_assert_eq(net_start(c->net, &front, &c->wakes), 0);
    return c;
}

static void card_free(struct card *c)
{
    net_free(c->net);
    close(c->kick_fd);
    free(c);
}

/* What the VM's thread does; false after two seconds without a kick. */
static bool card_poll(struct card *c)
{
    struct pollfd p = {.fd = c->kick_fd, .events = POLLIN};
    u64 n;

    if (poll(&p, 1, 2000) != 1 || read(c->kick_fd, &n, sizeof(n)) < 0)
        return false;
    wake_run(&c->wakes);
    return true;
}

static void wait_for(struct card *c, unsigned got)
{
    while (c->got < got)
        cr_assert(card_poll(c), "%u frames came, not %u", c->got, got);
}

static void make_frame(u8 *frame, u32 bytes, u32 number)
{
    for (u32 i = 0; i < bytes; i++)
        frame[i] = (u8)(i + number);
    memcpy(frame + 14, &number, 4);
}

static void both_ends(int *fd)
{
    cr_assert_eq(socketpair(AF_UNIX, SOCK_DGRAM, 0, fd), 0);
}

static struct card *card_on_fd(const char *kind, int fd)
{
    char spec[64];

    snprintf(spec, sizeof(spec), "%s,fd=%d", kind, fd);
    return card_new(spec);
}

Test(net, a_ring_keeps_frames_whole)
{
    struct ring ring = {.data = malloc(RING_BYTES)};
    u8 frame[NIC_FRAME_MAX_BYTES];
    u32 in = 0, out = 0, bytes, full = 0, turn = 0;

    while (out < 20000) {
        u32 want = 14 + in * 37 % 9000;

        if (++turn % 70 || in == out) { /* 69 in, 40 out */
            make_frame(frame, want, in);
            if (ring_put(&ring, frame, want)) {
                in++;
                continue;
            }
            full++;
        }
        for (unsigned n = 0; n < 40 && in != out; n++, out++) {
            const u8 *got = ring_peek(&ring, &bytes);
            u32 number;

            cr_assert(got);
            cr_assert_eq(bytes, 14 + out * 37 % 9000);
            memcpy(&number, got + 14, 4);
            if (bytes >= 18)
                cr_assert_eq(number, out);
            cr_assert_eq(got[bytes - 1], bytes > 18 ? (u8)(bytes - 1 + out) : got[bytes - 1]);
            ring_pop(&ring, bytes);
        }
    }
    cr_expect(full > 0);
    cr_expect(!ring_put(&ring, frame, NIC_FRAME_MAX_BYTES + 1));
    free(ring.data);
}

Test(net, frames_cross_both_ways)
{
    int fd[2];
    u8 frame[2000], got[2000];
    struct card *c;

    both_ends(fd);
    c = card_on_fd("tap", fd[0]);
    for (u32 i = 0; i < 1000; i++) {
        make_frame(frame, 60 + i, i);
        cr_assert(c->back.send(c->back.opaque, frame, 60 + i));
        cr_assert_eq(recv(fd[1], got, sizeof(got), 0), 60 + i);
        cr_assert_arr_eq(got, frame, 60 + i);
        cr_assert_eq(send(fd[1], frame, 60 + i, 0), 60 + i);
        wait_for(c, i + 1);
        cr_assert_eq(c->bytes, 60 + i);
        cr_assert_arr_eq(c->last, frame, 60 + i);
    }
    cr_expect(c->back.send(c->back.opaque, frame, 3) && c->back.send(c->back.opaque, frame, 70000),
              "no frames: taken, and gone");
    cr_expect(recv(fd[1], got, sizeof(got), MSG_DONTWAIT) < 0);
    card_free(c);
    close(fd[1]);
}

Test(net, a_peer_that_stalls_only_fills_the_queue)
{
    int fd[2];
    u8 frame[1500], got[2000];
    u32 sent = 0, number;
    struct card *c;

    both_ends(fd);
    c = card_on_fd("tap", fd[0]);
    for (;; sent++) {
        make_frame(frame, sizeof(frame), sent);
        if (!c->back.send(c->back.opaque, frame, sizeof(frame)))
            break;
        cr_assert(sent < 2 * RING_BYTES / sizeof(frame) + 1000, "the queue has no end");
    }
    for (u32 i = 0; i < sent; i++) {
        cr_assert_eq(recv(fd[1], got, sizeof(got), 0), sizeof(frame));
        memcpy(&number, got + 14, 4);
        cr_assert_eq(number, i);
    }
    while (!c->rooms)
        cr_assert(card_poll(c), "the card never heard of room");
    cr_expect(c->back.send(c->back.opaque, frame, sizeof(frame)));
    card_free(c);
    close(fd[1]);
}

Test(net, a_card_without_buffers_stops_the_peer)
{
    int fd[2];
    u8 frame[1500] = {0};
    u32 sent = 0;
    struct card *c;

    both_ends(fd);
    fcntl(fd[1], F_SETFL, O_NONBLOCK);
    c = card_on_fd("tap", fd[0]);
    c->deaf = true;
    for (unsigned quiet = 0; quiet < 20; sent++) {
        struct pollfd p = {.fd = fd[1], .events = POLLOUT};

        make_frame(frame, sizeof(frame), sent);
        if (send(fd[1], frame, sizeof(frame), 0) < 0) {
            quiet = poll(&p, 1, 10) == 1 ? 0 : quiet + 1;
            sent--;
        }
        if (sent % 16 == 0)
            wake_run(&c->wakes);
        cr_assert(sent < 10000, "the queue has no end");
    }
    wake_run(&c->wakes);
    cr_expect_eq(c->got, 0);
    c->deaf = false;
    c->back.ready(c->back.opaque);
    wait_for(c, sent);
    cr_expect_eq(c->net->dropped, 0);
    make_frame(frame, sizeof(frame), sent - 1);
    cr_expect_arr_eq(c->last, frame, sizeof(frame));
    card_free(c);
    close(fd[1]);
}

static u16 free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    cr_assert_eq(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    getsockname(fd, (struct sockaddr *)&a, &len);
    close(fd);
    return ntohs(a.sin_port);
}

Test(net, two_machines_by_tcp)
{
    u16 port = free_port();
    char spec[64];
    u8 frame[1514];
    struct card *a, *b;

    snprintf(spec, sizeof(spec), "socket,listen=127.0.0.1:%u", port);
    a = card_new(spec);
    snprintf(spec, sizeof(spec), "socket,connect=127.0.0.1:%u", port);
    b = card_new(spec);
    for (u32 i = 0; i < 2000; i++) {
        make_frame(frame, 14 + i % 1500, i);
        while (!b->back.send(b->back.opaque, frame, 14 + i % 1500)) {
            card_poll(b);
            wake_run(&a->wakes);
        }
    }
    wait_for(a, 2000);
    cr_expect(a->bytes == 14 + 1999 % 1500 && !memcmp(a->last, frame, a->bytes));
    cr_expect(a->back.send(a->back.opaque, frame, 100));
    wait_for(b, 1);
    card_free(b);
    snprintf(spec, sizeof(spec), "socket,connect=127.0.0.1:%u", port);
    b = card_new(spec); /* the listener takes the next one */
    cr_expect(b->back.send(b->back.opaque, frame, 100));
    wait_for(a, 2001);
    card_free(a);
    card_free(b);
}

Test(net, a_peer_that_talks_nonsense_is_hung_up_on)
{
    int fd[2];
    u32 length = htonl(NIC_FRAME_MAX_BYTES + 1);
    u8 byte;
    struct card *c;

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
    c = card_on_fd("socket", fd[0]);
    cr_assert_eq(send(fd[1], &length, 4, 0), 4);
    cr_expect_eq(recv(fd[1], &byte, 1, 0), 0);
    cr_expect_eq(c->got, 0);
    card_free(c);
    close(fd[1]);
}

Test(net, udp_and_multicast)
{
    u16 p = free_port(), q = free_port();
    char spec[96];
    u8 frame[600];
    struct card *a, *b;

    snprintf(spec, sizeof(spec), "socket,udp=127.0.0.1:%u,localaddr=127.0.0.1:%u", p, q);
    a = card_new(spec);
    snprintf(spec, sizeof(spec), "socket,udp=127.0.0.1:%u,localaddr=127.0.0.1:%u", q, p);
    b = card_new(spec);
    make_frame(frame, sizeof(frame), 1);
    cr_expect(a->back.send(a->back.opaque, frame, sizeof(frame)));
    wait_for(b, 1);
    cr_expect_arr_eq(b->last, frame, sizeof(frame));
    card_free(a);
    card_free(b);

    struct net *net;
    struct net_error err;
    snprintf(spec, sizeof(spec), "socket,mcast=230.0.0.1:%u,localaddr=127.0.0.1", p);
    if (net_new(&net, spec, &err))
        cr_skip_test("no multicast here: %s", err.cause);
    net_free(net);
    a = card_new(spec);
    b = card_new(spec);
    cr_expect(a->back.send(a->back.opaque, frame, sizeof(frame)));
    wait_for(b, 1);
    cr_expect(b->back.send(b->back.opaque, frame, sizeof(frame)));
    wait_for(a, 1);
    cr_expect(a->got == 1 && b->got == 1, "nobody hears himself");
    card_free(a);
    card_free(b);
}

/* DHCP's discover in its shortest form; the answer is an offer of 10.0.2.15 by 10.0.2.2. */
static u32 discover(u8 *f)
{
    static const u8 options[] = {99, 130, 83, 99, 53, 1, 1, 255};
    u32 sum = 0, udp = 8 + 236 + 64, bytes = 14 + 20 + udp;

    memset(f, 0, bytes);
    memset(f, 0xff, 6);
    memcpy(f + 6, (const u8[]){0x52, 0x54, 0, 0x12, 0x34, 0x56, 8, 0, 0x45}, 9);
    f[16] = (u8)((20 + udp) >> 8);
    f[17] = (u8)(20 + udp);
    f[22] = 64;
    f[23] = 17;
    memset(f + 30, 0xff, 4);
    for (u32 i = 14; i < 34; i += 2)
        sum += (u32)(f[i] << 8 | f[i + 1]);
    sum = (sum & 0xffff) + (sum >> 16);
    f[24] = (u8)(~sum >> 8);
    f[25] = (u8)~sum;
    f[35] = 68;
    f[37] = 67;
    f[38] = (u8)(udp >> 8);
    f[39] = (u8)udp;
    f[42] = f[43] = 1;
    f[44] = 6;
    memcpy(f + 42 + 28, f + 6, 6);
    memcpy(f + 42 + 236, options, sizeof(options));
    return bytes;
}

Test(net, user_networking_gives_an_address)
{
    static const struct {
        const char *spec;
        u8 offer[4], server[4];
    } cases[] = {
        {"user", {10, 0, 2, 15}, {10, 0, 2, 2}},
        {"user,net=192.168.7.0/24,dhcpstart=192.168.7.40,host=192.168.7.1",
         {192, 168, 7, 40},
         {192, 168, 7, 1}},
        {"user,net=172.20.0.0/16", {172, 20, 2, 15}, {172, 20, 2, 2}},
    };
    u8 frame[600];

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct card *c = card_new(cases[i].spec);
        u32 bytes = discover(frame);

        cr_assert(c->back.send(c->back.opaque, frame, bytes));
        wait_for(c, 1);
        cr_expect_arr_eq(c->last + 42 + 16, cases[i].offer, 4, "%s", cases[i].spec);
        cr_expect_arr_eq(c->last + 26, cases[i].server, 4);
        card_free(c);
    }
}

Test(net, a_taken_host_port_is_named)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct net_error err;
    struct net *net;
    char spec[96], port[16];

    cr_assert_eq(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    cr_assert_eq(listen(fd, 1), 0);
    getsockname(fd, (struct sockaddr *)&a, &len);
    snprintf(port, sizeof(port), "%u", ntohs(a.sin_port));
    snprintf(spec, sizeof(spec), "user,hostfwd=tcp:127.0.0.1:%s-:22", port);
    cr_expect(net_new(&net, spec, &err) < 0 && !net && !err.usage && strstr(err.cause, port) && err.remedy[0],
              "%s", err.cause);
    snprintf(spec, sizeof(spec), "socket,listen=127.0.0.1:%s", port);
    cr_expect(net_new(&net, spec, &err) < 0 && !err.usage && strstr(err.cause, port), "%s", err.cause);
    close(fd);
    snprintf(spec, sizeof(spec), "socket,connect=127.0.0.1:%s", port);
    cr_expect(net_new(&net, spec, &err) < 0 && !err.usage && strstr(err.cause, port), "%s", err.cause);
}

Test(net, what_cannot_be_is_refused_by_name)
{
    static const struct {
        const char *spec, *word;
    } cases[] = {
        {"vde", "vde"},
        {"user,nonsense=1", "nonsense"},
        {"user,guestfwd=tcp:10.0.2.100:80-cmd:cat", "guestfwd"},
        {"user,smb=dir", "smb"},
        {"user,hostfwd=tcp::99999-:22", "hostfwd"},
        {"user,hostfwd=tcp::2222:22", "hostfwd"},
        {"user,hostfwd=icmp::2222-:22", "hostfwd"},
        {"user,hostfwd=tcp::2222-:0", "hostfwd"},
        {"user,hostfwd=tcp:not.an.address:2222-:22", "hostfwd"},
        {"user,net=10.0.2.0/33", "net="},
        {"user,net=10.0.2.0/24,host=10.0.3.2", "host="},
        {"user,dns=10.0.2.2", "dns="},
        {"user,restrict=perhaps", "restrict"},
        {"user,ipv4=off", "IPv4"},
        {"tap,script=/bin/true", "script"},
        {"tap,ifname=a-name-that-is-too-long", "ifname"},
        {"tap,fd=0", "fd=0"},
        {"tap,fd=987", "fd=987"},
        {"tap,vhost=on", "vhost"},
        {"socket", "no end"},
        {"socket,listen=:1,connect=:2", "too many"},
        {"socket,connect=nowhere", "connect="},
        {"socket,mcast=10.0.0.1:5", "10.0.0.1"},
        {"socket,udp=127.0.0.1:1", "localaddr"},
        {"socket,fd=987", "fd=987"},
    };
    struct net_error err;
    struct net *net;

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        cr_expect(net_new(&net, cases[i].spec, &err) == -EINVAL && err.usage &&
                      strstr(err.cause, cases[i].word) && err.remedy[0],
                  "%s: %s", cases[i].spec, err.cause);
}
