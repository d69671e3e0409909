/*
 * e1000_tx.c - the 82540EM's transmitter: descriptors to frames, checksums, VLAN tags and TCP segmentation.
 *
 * Data of a packet's descriptors is gathered first; the frames are cut from it when it is complete, one at a time, so that a back
 * end without room can stop the card between any two. A descriptor is given back when its data was copied. At most
 * DESCRIPTORS_A_TURN are looked at and FRAMES_A_TURN sent in one go, the rest after the guest ran again.
 */
#include "devices/e1000.h"

#include <string.h>

#include "devices/nic_sum.h"

enum { TCTL_EN = 0x02 };
enum {
    CMD_EOP = 0x01,
    CMD_IC = 0x04,
    CMD_TSE = 0x04,
    CMD_RS = 0x08,
    CMD_DEXT = 0x20,
    CMD_VLE = 0x40
}; /* bits 24 and up of dword 2 */
enum { CTX_TCP = 0x01, CTX_IP = 0x02, CTX_TSE = 0x04 };
enum { POPTS_IXSM = 0x01, POPTS_TXSM = 0x02 };
enum {
    TXD_DD = 0x01,
    DESCRIPTORS_A_TURN = 512,
    FRAMES_A_TURN = 512,
    TAG_BYTES = 4,
    CRC_BYTES = 4,
    FRAME_LEAST = 60
};

struct tx_desc {
    u32 word[4];
};

/* The sum of frame[start..end] goes to frame[at]; end 0 is the frame's. Offsets are the guest's. */
static void put_sum(u8 *frame, u32 bytes, u32 start, u32 at, u32 end)
{
    u32 stop = end && end + 1 < bytes ? end + 1 : bytes;

    if (start < stop && at + 1 < bytes)
        be16_put(frame + at, (u16)~sum_fold(sum_add(frame + start, stop - start, 0)));
}

/* One segment of a packet that is to be cut: what the headers before it must say. */
static void patch_headers(const struct e1000_context *c, const struct e1000_packet *p, u8 *frame, u32 bytes,
                          bool last)
{
    u32 ip = c->ipcss, tu = c->tucss;

    if (c->command & CTX_IP) {
        if (ip + 6 <= bytes) {
            be16_put(frame + ip + 2, bytes - ip);
            be16_put(frame + ip + 4, (u32)be16_get(frame + ip + 4) + p->segment);
        }
    } else if (ip + 6 <= bytes) {
        be16_put(frame + ip + 4, bytes - ip - 40);
    }
    if (c->command & CTX_TCP) {
        if (tu + 14 <= bytes) {
            u32 seq = ((u32)be16_get(frame + tu + 4) << 16 | be16_get(frame + tu + 6)) + p->sent;

            be16_put(frame + tu + 4, seq >> 16);
            be16_put(frame + tu + 6, seq & 0xffff);
            if (!last)
                frame[tu + 13] &= (u8)~0x09; /* FIN, PSH */
        }
    } else if (tu + 6 <= bytes) {
        be16_put(frame + tu + 4, bytes - tu);
    }
    /* The field holds the pseudo header's sum without the length, which differs from frame to frame. */
    if ((p->options & POPTS_TXSM) && c->tucso + 1u < bytes && tu < bytes)
        be16_put(frame + c->tucso, sum_fold((u32)be16_get(frame + c->tucso) + (bytes - tu)));
}

static u32 insert_tag(struct e1000 *e, u8 *frame, u32 bytes)
{
    memmove(frame + 16, frame + 12, bytes - 12);
    be16_put(frame + 12, *e1000_reg(e, E1000_VET));
    be16_put(frame + 14, e->tx.vlan);
    return bytes + TAG_BYTES;
}

/* The packet's next frame into p->frame; its length, 0 if it is none. *payload: how far it gets. */
static u32 next_frame(struct e1000 *e, u32 *payload)
{
    struct e1000_packet *p = &e->tx;
    const struct e1000_context *c = &e->context[p->tse];
    u32 header = p->tse ? c->hdrlen : 0, left = p->bytes - header - p->sent, bytes;

    *payload = p->tse && left > c->mss ? c->mss : left;
    bytes = header + *payload;
    if (bytes > NIC_FRAME_MAX_BYTES - TAG_BYTES || bytes < NIC_FRAME_MIN_BYTES)
        return 0;
    memcpy(p->frame, p->data, header);
    memcpy(p->frame + header, p->data + header + p->sent, *payload);
    if (p->tse)
        patch_headers(c, p, p->frame, bytes, *payload == left);
    if (p->options & POPTS_TXSM)
        put_sum(p->frame, bytes, c->tucss, c->tucso, c->tucse);
    if (p->options & POPTS_IXSM) {
        if (c->ipcso + 1u < bytes && p->tse)
            be16_put(p->frame + c->ipcso, 0);
        put_sum(p->frame, bytes, c->ipcss, c->ipcso, c->ipcse);
    }
    if (p->legacy_sum)
        put_sum(p->frame, bytes, p->legacy_css, p->legacy_cso, 0);
    if (bytes < FRAME_LEAST) {
        memset(p->frame + bytes, 0, FRAME_LEAST - bytes);
        bytes = FRAME_LEAST;
    }
    return p->tag ? insert_tag(e, p->frame, bytes) : bytes;
}

/* Sends what is complete. False: not all of it, for the back end has no room, or it is the guest's turn. */
static bool push_packet(struct e1000 *e, unsigned *turn)
{
    struct e1000_packet *p = &e->tx;
    const struct e1000_context *c = &e->context[p->tse];
    u32 header = p->tse ? c->hdrlen : 0;
    bool sane =
        !p->oversize && (!p->tse || (c->mss && c->hdrlen >= NIC_FRAME_MIN_BYTES)) && p->bytes > header;

    while (sane && p->sent < p->bytes - header) {
        u32 payload, bytes;

        if ((*turn)++ >= FRAMES_A_TURN) {
            clk_timer_set(e->clk, &e->tx_timer, clk_now(e->clk) + 1);
            return false;
        }
        bytes = next_frame(e, &payload);
        if (bytes && e1000_loops(e))
            e1000_loop_back(e, p->frame, bytes);
        else if (bytes && !e->link_down && !nic_send(&e->back, p->frame, bytes))
            return false;
        e1000_count(e, E1000_GPTC, 1);
        e1000_count(e, E1000_TPT, 1);
        e1000_count(e, E1000_GOTCL, bytes + CRC_BYTES);
        p->sent += payload;
        p->segment++;
    }
    p->bytes = p->sent = 0;
    p->begun = p->complete = false;
    return true;
}

static void take_context(struct e1000 *e, const struct tx_desc *d)
{
    u8 command = (u8)(d->word[2] >> 24);

    e->context[!!(command & CTX_TSE)] = (struct e1000_context){
        .ipcss = (u8)d->word[0],
        .ipcso = (u8)(d->word[0] >> 8),
        .ipcse = (u16)(d->word[0] >> 16),
        .tucss = (u8)d->word[1],
        .tucso = (u8)(d->word[1] >> 8),
        .tucse = (u16)(d->word[1] >> 16),
        .command = command,
        .hdrlen = (u8)(d->word[3] >> 8),
        .mss = (u16)(d->word[3] >> 16),
    };
}

static void gather(struct e1000 *e, const struct tx_desc *d, u32 bytes)
{
    struct e1000_packet *p = &e->tx;
    u64 gpa = (u64)d->word[1] << 32 | d->word[0];

    if (bytes > E1000_PACKET_BYTES - p->bytes) {
        p->oversize = true;
        return;
    }
    e->mem.read(e->mem.opaque, gpa, p->data + p->bytes, bytes);
    p->bytes += bytes;
}

static void begin(struct e1000_packet *p)
{
    p->begun = true;
    p->options = 0;
    p->segment = 0;
    p->tse = p->legacy_sum = p->tag = p->oversize = false;
}

/* True when the packet is complete with it. */
static bool take_data(struct e1000 *e, const struct tx_desc *d)
{
    struct e1000_packet *p = &e->tx;
    u8 command = (u8)(d->word[2] >> 24);
    bool extended = command & CMD_DEXT, first = !p->begun;

    if (first)
        begin(p);
    if (extended) {
        if (first) {
            p->options = (u8)(d->word[3] >> 8);
            p->tse = command & CMD_TSE;
        }
        gather(e, d, d->word[2] & 0xfffff);
    } else {
        if (command & CMD_IC) {
            p->legacy_sum = true;
            p->legacy_cso = (u8)(d->word[2] >> 16);
            p->legacy_css = (u8)(d->word[3] >> 8);
        }
        gather(e, d, d->word[2] & 0xffff);
    }
    if (command & CMD_VLE) {
        p->tag = true;
        p->vlan = (u16)(d->word[3] >> 16);
    }
    return command & CMD_EOP;
}

void e1000_transmit(struct e1000 *e)
{
    u64 base = (u64)*e1000_reg(e, E1000_TDBAH) << 32 | (*e1000_reg(e, E1000_TDBAL) & ~15u);
    u32 ring = *e1000_reg(e, E1000_TDLEN) / 16, *head = e1000_reg(e, E1000_TDH),
        tail = *e1000_reg(e, E1000_TDT), causes = 0;
    unsigned turn = 0, frames = 0;

    if (!(*e1000_reg(e, E1000_TCTL) & TCTL_EN) || !(pci_get16(&e->pci, PCI_COMMAND) & PCI_COMMAND_MASTER) ||
        *head >= ring || tail >= ring)
        return;
    if (e->tx.complete && !push_packet(e, &frames))
        return;
    while (*head != tail && turn++ < DESCRIPTORS_A_TURN) {
        u64 gpa = base + *head * 16;
        struct tx_desc d;
        u32 status;

        if (e->mem.read(e->mem.opaque, gpa, &d, sizeof(d)))
            return;
        if ((d.word[2] >> 24 & CMD_DEXT) && !(d.word[2] >> 20 & 15))
            take_context(e, &d);
        else
            e->tx.complete = take_data(e, &d);
        if (d.word[2] >> 24 & CMD_RS) {
            status = d.word[3] | TXD_DD;
            e->mem.write(e->mem.opaque, gpa + 12, &status, sizeof(status));
            causes |= E1000_ICR_TXDW;
        }
        *head = *head + 1 == ring ? 0 : *head + 1;
        if (e->tx.complete && !push_packet(e, &frames))
            break;
    }
    if (*head == tail)
        causes |= E1000_ICR_TXQE;
    else if (!e->tx.complete)
        clk_timer_set(e->clk, &e->tx_timer, clk_now(e->clk) + 1);
    if (causes)
        e1000_cause(e, causes);
}
