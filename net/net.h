/*
 * net.h - the host's ends of network cables: user networking, tap devices, sockets to other machines.
 *
 * A back end is made from a text in the spelling of -netdev without id=, for example "user,hostfwd=tcp::2222-:22". Making it
 * opens all it needs of the host, so that what fails fails before the machine runs. net_start() ties it to a card
 * (devices/nic.h); from then on it works on a thread of its own: frames cross by two bounded queues, and neither a
 * peer that stalls nor a guest that does not listen holds the other side or makes memory grow.
 *
 * Nothing here knows a chip, a CPU or guest memory. What peers send is bounded and checked before a card sees it.
 */
#ifndef NOVT_NET_H
#define NOVT_NET_H

#include "devices/devices.h"

struct net;

/* What went wrong, for people: the text is empty without an error. */
struct net_error {
    bool usage; /* the text asks for what cannot be; else the host refuses */
    char cause[320], remedy[320];
};

/* 0; -EINVAL with err->usage, or another -errno when the host refuses (-ENOSYS: no libslirp). */
int net_new(struct net **out, const char *spec, struct net_error *err) MUST_CHECK;
/* For the card's constructor. Lives until net_free(). */
struct nic_back net_back(struct net *net);
/* On the VM's thread, once, when the card exists. */
int net_start(struct net *net, const struct nic_front *front, struct wake_list *wakes) MUST_CHECK;
/* On the VM's thread, while card and wake list still exist. NULL is fine. */
void net_free(struct net *net);

/* A host port of user networking that leads to the guest: "tcp|udp:[HOST]:PORT-[GUEST]:PORT" is added, "tcp|udp:[HOST]:PORT" is taken away.
 * Any thread; works on the back end's own. 0, -EINVAL, -ENOENT (there is none to take away) or another -errno, with *err filled. */
int net_forward(struct net *net, bool add, const char *rule, struct net_error *err) MUST_CHECK;

/* ---- dump.c: what goes over a cable, into a pcap file ---- */
struct net_dump;
/* Makes the file. max_bytes: of a frame, 0: 65536. 0, or -errno with *err filled. */
int net_dump_new(struct net_dump **out, const char *path, u32 max_bytes, struct net_error *err) MUST_CHECK;
/* The dump sits between a card and the end of its cable: what either is given instead of the other. */
struct nic_back net_dump_back(struct net_dump *dump, const struct nic_back *back);
const struct nic_front *net_dump_front(struct net_dump *dump, const struct nic_front *front);
void net_dump_free(struct net_dump *dump); /* NULL is fine */

#endif
