/*
 * test_dump.c - a cable that is listened to: everything passes, and is in the file once, in the order of its being taken.
 *
 * What would break it: a frame that the other side refused written all the same, or twice; lengths that lie about what follows; a file
 * that cannot be written stopping the network.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <signal.h>
#include <unistd.h>

#include "net/net.h"

struct ends {
    unsigned sent, received, rooms, readies, links;
    bool refuse;
};

static bool end_send(void *opaque, const u8 *frame, u32 bytes)
{
    struct ends *e = opaque;

    (void)frame;
    (void)bytes;
    e->sent += !e->refuse;
    return !e->refuse;
}

static void end_ready(void *opaque)
{
    ((struct ends *)opaque)->readies++;
}

static bool card_receive(void *opaque, const u8 *frame, u32 bytes)
{
    struct ends *e = opaque;

    (void)frame;
    (void)bytes;
    e->received += !e->refuse;
    return !e->refuse;
}

static void card_room(void *opaque)
{
    ((struct ends *)opaque)->rooms++;
}

static void card_link(void *opaque, bool up)
{
    ((struct ends *)opaque)->links += up;
}

static const char path[] = "dump-test.pcap";

static size_t read_file(u8 *buf, size_t bytes)
{
    FILE *f = fopen(path, "rb");
    size_t n = f ? fread(buf, 1, bytes, f) : 0;

    if (f)
        fclose(f);
    return n;
}

Test(dump, frames)
{
    struct ends e = {0};
    struct net_dump *d;
    struct net_error err;
    struct nic_back inner = {end_send, end_ready, &e};
    struct nic_front card = {card_receive, card_room, card_link, &e};
    u8 frame[100], file[1024];
    u32 v[4];

    cr_assert_eq(net_dump_new(&d, path, 64, &err), 0, "%s", err.cause);
    struct nic_back back = net_dump_back(d, &inner);
    const struct nic_front *front = net_dump_front(d, &card);
    memset(frame, 0x11, sizeof(frame));
    e.refuse = true;
    cr_expect(!nic_send(&back, frame, 60) && !front->receive(front->opaque, frame, 60));
    e.refuse = false;
    cr_expect(nic_send(&back, frame, 60)); /* again, as the card does */
    memset(frame, 0x22, sizeof(frame));
    cr_expect(front->receive(front->opaque, frame, 100));
    nic_ready(&back);
    front->room(front->opaque);
    front->link(front->opaque, true);
    cr_expect(e.sent == 1 && e.received == 1 && e.rooms == 1 && e.readies == 1 && e.links == 1);
    size_t n = read_file(file, sizeof(file)); /* before the end: each frame goes there at once */
    net_dump_free(d);
    unlink(path);
    cr_assert_eq(n, 24u + 16 + 60 + 16 + 64);
    memcpy(v, file, 16);
    cr_expect(v[0] == 0xa1b2c3d4 && v[1] == (4u << 16 | 2));
    memcpy(v, file + 16, 8);
    cr_expect(v[0] == 64 && v[1] == 1);
    memcpy(v, file + 24, 16);
    cr_expect(v[2] == 60 && v[3] == 60 && file[40] == 0x11);
    memcpy(v, file + 24 + 16 + 60, 16);
    cr_expect(v[2] == 64 && v[3] == 100 && file[24 + 16 + 60 + 16] == 0x22);
}

Test(dump, what_cannot_be_written)
{
    struct ends e = {0};
    struct net_dump *d;
    struct net_error err;
    struct nic_back inner = {end_send, end_ready, &e};
    u8 frame[200] = {0};

    cr_expect_eq(net_dump_new(&d, "/nonexistent/x", 0, &err), -ENOENT);
    cr_expect(d == NULL && strstr(err.cause, "/nonexistent/x") && err.remedy[0]);
    cr_assert_eq(net_dump_new(&d, path, 0, &err), 0);
    struct nic_back back = net_dump_back(d, &inner);
    signal(SIGXFSZ, SIG_IGN); /* the host's disk is full */
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){300, 300});
    for (unsigned i = 0; i < 5; i++)
        cr_expect(nic_send(&back, frame, sizeof(frame)));
    cr_expect_eq(e.sent, 5u);
    net_dump_free(d);
    unlink(path);
}
