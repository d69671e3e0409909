/*
 * ne2k.c - NE2000: a DP8390 network controller with 32 KiB of its own memory behind a data port, no bus master.
 *
 * Ports 00h-0Fh are the controller's registers in four pages (National Semiconductor DP8390D data sheet; page 3 and the ids are
 * the RTL8029's), 10h-17h the data port, 18h-1Fh reset. The chip's 64 KiB: the address PROM at 0, memory from 4000h to BFFFh, as in
 * QEMU; elsewhere reads give ones and writes vanish, so every page register is safe with every value.
 *
 * A received frame lies in the ring PSTART..PSTOP behind 4 bytes: status, next page, length with CRC. What does not fit
 * between CURR and BNRY waits at the back end instead of being lost with an overrun. So no frame comes while the ring is full,
 * and a driver that left frames there when it cleared the interrupt (Linux reads ten in one go) must be told again.
 */
#include "devices/ne2k.h"

#include <string.h>

enum {
    CR_STP = 0x01,
    CR_STA = 0x02,
    CR_TXP = 0x04,
    CR_READ = 0x08,
    CR_WRITE = 0x10,
    CR_ABORT = 0x20,
    CR_PAGE_SHIFT = 6
};
enum { ISR_PRX = 0x01, ISR_PTX = 0x02, ISR_RDC = 0x40, ISR_RST = 0x80 };
enum { DCR_WTS = 0x01, TCR_LOOP = 0x06, TSR_PTX = 0x01 };
enum { RCR_AB = 0x04, RCR_AM = 0x08, RCR_PRO = 0x10, RCR_MON = 0x20 };
enum { RSR_PRX = 0x01, RSR_PHY = 0x20, RSR_DIS = 0x40 };
enum { NUDGE_NS = 500000 };
enum { DATA_PORT = 0x10, RESET_PORT = 0x18, HEAD_BYTES = 4, CRC_BYTES = 4, FRAME_LEAST = 60 };

static u8 mem_get(const struct ne2k *n, u16 at)
{
    if (at < NE2K_PROM_BYTES)
        return n->prom[at];
    return at >= NE2K_RAM_FIRST && at - NE2K_RAM_FIRST < NE2K_RAM_BYTES ? n->ram[at - NE2K_RAM_FIRST] : 0xff;
}

static void mem_put(struct ne2k *n, u16 at, u8 val)
{
    if (at >= NE2K_RAM_FIRST && at - NE2K_RAM_FIRST < NE2K_RAM_BYTES)
        n->ram[at - NE2K_RAM_FIRST] = val;
}

static void update_irq(struct ne2k *n)
{
    irq_set(n->irq, n->isr & n->imr & 0x7f);
}

void ne2k_reset(struct ne2k *n)
{
    n->cr = CR_STP | CR_ABORT;
    n->isr = ISR_RST;
    n->imr = 0;
    n->dcr = n->rcr = n->tcr = n->tsr = n->rsr = 0;
    n->rbcr = n->tbcr = 0;
    n->sending = n->held = false;
    clk_timer_cancel(n->clk, &n->nudge);
    update_irq(n);
    nic_ready(&n->back);
}

/* ---- sending ---- */

static void transmit(struct ne2k *n)
{
    u16 from = (u16)(n->tpsr << 8);

    n->sending = false;
    if (n->tbcr <= sizeof(n->frame) && !(n->tcr & TCR_LOOP) && !n->link_down) {
        for (u32 i = 0; i < n->tbcr; i++)
            n->frame[i] = mem_get(n, (u16)(from + i));
        if (!nic_send(&n->back, n->frame, n->tbcr)) {
            n->sending = true; /* TXP stays set, as while the wire is busy */
            return;
        }
    }
    n->cr &= (u8)~CR_TXP;
    n->tsr = TSR_PTX;
    n->isr |= ISR_PTX;
    update_irq(n);
}

static void on_room(void *opaque)
{
    struct ne2k *n = opaque;

    if (n->sending)
        transmit(n);
}

static void on_link(void *opaque, bool up)
{
    ((struct ne2k *)opaque)->link_down = !up;
}

/* ---- receiving ---- */

static bool wanted(const struct ne2k *n, const u8 *dest)
{
    u32 hash;

    if (nic_is_broadcast(dest))
        return n->rcr & RCR_AB;
    if (!nic_is_multicast(dest))
        return (n->rcr & RCR_PRO) || !memcmp(dest, n->par, NIC_MAC_BYTES);
    hash = nic_mac_crc(dest) >> 26;
    return (n->rcr & RCR_AM) && (n->mar[hash >> 3] >> (hash & 7) & 1);
}

/* Free pages of the ring; the one before BNRY stays empty, else full looked like empty. */
static u32 free_pages(const struct ne2k *n)
{
    u32 pages = (u32)(n->pstop - n->pstart),
        used = n->curr >= n->bnry ? (u32)(n->curr - n->bnry) : pages - (u32)(n->bnry - n->curr);

    return used < pages ? pages - used - 1 : 0;
}

static bool on_receive(void *opaque, const u8 *frame, u32 bytes)
{
    struct ne2k *n = opaque;
    u32 stored = bytes < FRAME_LEAST ? FRAME_LEAST : bytes, total = HEAD_BYTES + stored,
        need = (total + CRC_BYTES + 255) / 256;
    u8 head[HEAD_BYTES], page = n->curr;

    if ((n->cr & CR_STP) || n->pstop <= n->pstart || n->link_down || bytes < NIC_FRAME_MIN_BYTES ||
        need >= (u32)(n->pstop - n->pstart) || !wanted(n, frame))
        return true;
    if (n->rcr & RCR_MON) {
        n->rsr = RSR_DIS;
        return true;
    }
    n->held = free_pages(n) < need;
    if (n->held)
        return false;
    n->rsr = (u8)(RSR_PRX | (nic_is_multicast(frame) ? RSR_PHY : 0));
    head[0] = n->rsr;
    head[2] = (u8)(stored + CRC_BYTES);
    head[3] = (u8)((stored + CRC_BYTES) >> 8);
    for (u32 i = 0; i < need; i++) {
        n->curr++;
        if (n->curr == n->pstop)
            n->curr = n->pstart;
    }
    head[1] = n->curr;
    for (u32 i = 0; i < total; i++) {
        u8 val = i < HEAD_BYTES ? head[i] : i - HEAD_BYTES < bytes ? frame[i - HEAD_BYTES] : 0;

        mem_put(n, (u16)(page << 8 | (i & 0xff)), val);
        if ((i & 0xff) == 0xff && ++page == n->pstop)
            page = n->pstart;
    }
    n->isr |= ISR_PRX;
    update_irq(n);
    return true;
}

/* Drivers keep BNRY at the last page they read, or at the next one. */
static bool has_unread(const struct ne2k *n)
{
    u8 next = (u8)(n->bnry + 1) == n->pstop ? n->pstart : (u8)(n->bnry + 1);

    return !(n->cr & CR_STP) && n->curr != next && n->curr != n->bnry;
}

static void acknowledge(struct ne2k *n, u8 val)
{
    n->isr &= (u8) ~(val & 0x7f);
    if (!(val & ISR_PRX) || !has_unread(n))
        return;
    if (n->held)
        n->isr |= ISR_PRX; /* as by the frame that waits, if it had come now */
    else
        clk_timer_set(n->clk, &n->nudge, clk_now(n->clk) + NUDGE_NS);
}

static void on_nudge(void *opaque, u64 now_ns)
{
    struct ne2k *n = opaque;

    (void)now_ns;
    if (has_unread(n))
        n->isr |= ISR_PRX;
    update_irq(n);
}

/* ---- the data port ---- */

static void remote_step(struct ne2k *n, unsigned by)
{
    n->rsar = (u16)(n->rsar + by);
    if (n->rsar == (u16)(n->pstop << 8))
        n->rsar = (u16)(n->pstart << 8);
    n->rbcr = n->rbcr > by ? (u16)(n->rbcr - by) : 0;
    if (!n->rbcr) {
        n->isr |= ISR_RDC;
        update_irq(n);
    }
}

/* A transfer of the width that DCR sets: a byte, or a word at an even address. */
static u32 remote_read(struct ne2k *n)
{
    u16 at = n->rsar;
    u32 val;

    if (!n->rbcr || !(n->cr & CR_READ))
        return n->dcr & DCR_WTS ? 0xffff : 0xff;
    if (!(n->dcr & DCR_WTS)) {
        val = mem_get(n, at);
        remote_step(n, 1);
        return val;
    }
    at &= 0xfffe;
    val = (u32)(mem_get(n, at) | mem_get(n, at + 1) << 8);
    remote_step(n, 2);
    return val;
}

static void remote_write(struct ne2k *n, u32 val)
{
    u16 at = n->rsar;

    if (!n->rbcr || !(n->cr & CR_WRITE))
        return;
    if (!(n->dcr & DCR_WTS)) {
        mem_put(n, at, (u8)val);
        remote_step(n, 1);
        return;
    }
    at &= 0xfffe;
    mem_put(n, at, (u8)val);
    mem_put(n, at + 1, (u8)(val >> 8));
    remote_step(n, 2);
}

static u32 data_read(struct ne2k *n, unsigned size)
{
    u32 val = remote_read(n);

    return size == 4 ? val | remote_read(n) << 16 : val;
}

static void data_write(struct ne2k *n, unsigned size, u32 val)
{
    remote_write(n, val & 0xffff);
    if (size == 4)
        remote_write(n, val >> 16);
}

/* ---- registers ---- */

static void command(struct ne2k *n, u8 val)
{
    n->cr = (u8)((val & ~CR_TXP) | (n->cr & CR_TXP));
    if (val & CR_STP) {
        n->cr &= (u8)~CR_TXP;
        n->sending = false;
        n->isr |= ISR_RST;
        return;
    }
    if (val & CR_STA)
        n->isr &= (u8)~ISR_RST;
    if ((val & (CR_READ | CR_WRITE)) && !n->rbcr)
        n->isr |= ISR_RDC;
    if ((val & CR_TXP) && !n->sending) {
        n->cr |= CR_TXP;
        transmit(n);
    }
    update_irq(n);
    nic_ready(&n->back); /* what came while the chip was stopped */
}

static u8 reg_read(const struct ne2k *n, u32 reg)
{
    u32 page = (u32)n->cr >> CR_PAGE_SHIFT;

    if (reg == 0)
        return n->cr;
    if (page == 1)
        return reg <= 6 ? n->par[reg - 1] : reg == 7 ? n->curr : n->mar[reg - 8];
    switch (page << 4 | reg) {
    case 0x03: return n->bnry;
    case 0x04: return n->tsr;
    case 0x07: return n->isr;
    case 0x08: return (u8)n->rsar;
    case 0x09: return (u8)(n->rsar >> 8);
    case 0x0a: return 0x50; /* RTL8029's id, "PC" */
    case 0x0b: return 0x43;
    case 0x0c: return n->rsr;
    case 0x21: return n->pstart;
    case 0x22: return n->pstop;
    case 0x24: return n->tpsr;
    case 0x2c: return n->rcr;
    case 0x2d: return n->tcr;
    case 0x2e: return n->dcr;
    case 0x2f: return n->imr;
    case 0x35: return 0x40; /* CONFIG2, CONFIG3: full duplex */
    case 0x36: return 0x40;
    default: return 0;
    }
}

static void reg_write(struct ne2k *n, u32 reg, u8 val)
{
    u32 page = (u32)n->cr >> CR_PAGE_SHIFT;

    if (reg == 0) {
        command(n, val);
        return;
    }
    if (page == 1) {
        if (reg <= 6)
            n->par[reg - 1] = val;
        else if (reg == 7)
            n->curr = val;
        else
            n->mar[reg - 8] = val;
        return;
    }
    if (page != 0)
        return;
    switch (reg) {
    case 0x1: n->pstart = val; break;
    case 0x2: n->pstop = val; break;
    case 0x3:
        n->bnry = val;
        nic_ready(&n->back);
        break;
    case 0x4: n->tpsr = val; break;
    case 0x5: n->tbcr = (u16)((n->tbcr & 0xff00) | val); break;
    case 0x6: n->tbcr = (u16)((n->tbcr & 0x00ff) | val << 8); break;
    case 0x7: acknowledge(n, val); break;
    case 0x8: n->rsar = (u16)((n->rsar & 0xff00) | val); break;
    case 0x9: n->rsar = (u16)((n->rsar & 0x00ff) | val << 8); break;
    case 0xa: n->rbcr = (u16)((n->rbcr & 0xff00) | val); break;
    case 0xb: n->rbcr = (u16)((n->rbcr & 0x00ff) | val << 8); break;
    case 0xc: n->rcr = val; break;
    case 0xd: n->tcr = val; break;
    case 0xe: n->dcr = val; break;
    case 0xf: n->imr = val; break;
    }
    update_irq(n);
}

static u32 ne2k_read(void *opaque, u32 offset, unsigned size)
{
    struct ne2k *n = opaque;
    u32 val = 0;

    if (offset >= NE2K_PORTS)
        return UINT32_MAX;
    if (offset >= RESET_PORT) {
        if (offset + size == NE2K_PORTS)
            ne2k_reset(n);
        return 0;
    }
    if (offset >= DATA_PORT)
        return data_read(n, size);
    for (unsigned i = 0; i < size; i++)
        val |= (u32)reg_read(n, (offset + i) & 0xf) << (8 * i);
    return val;
}

static void ne2k_write(void *opaque, u32 offset, unsigned size, u32 val)
{
    struct ne2k *n = opaque;

    if (offset >= RESET_PORT)
        return; /* the reset pulse began with the read */
    if (offset >= DATA_PORT)
        data_write(n, size, val);
    else
        for (unsigned i = 0; i < size; i++)
            reg_write(n, (offset + i) & 0xf, (u8)(val >> (8 * i)));
}

/* REP INS and OUTS of the port's own width. */
static bool streams(const struct ne2k *n, u32 offset, unsigned size)
{
    return offset >= DATA_PORT && offset < RESET_PORT && (size == 1) == !(n->dcr & DCR_WTS);
}

static u32 ne2k_read_string(void *opaque, u32 offset, unsigned size, void *to, u32 count)
{
    struct ne2k *n = opaque;
    u8 *at = to;

    if (!streams(n, offset, size))
        return 0;
    for (u32 i = 0; i < count; i++, at += size) {
        u32 val = data_read(n, size);

        memcpy(at, &val, size);
    }
    return count;
}

static u32 ne2k_write_string(void *opaque, u32 offset, unsigned size, const void *from, u32 count)
{
    struct ne2k *n = opaque;
    const u8 *at = from;

    if (!streams(n, offset, size))
        return 0;
    for (u32 i = 0; i < count; i++, at += size) {
        u32 val = 0;

        memcpy(&val, at, size);
        data_write(n, size, val);
    }
    return count;
}

static const struct bus_ops ne2k_ops = {
    .read = ne2k_read,
    .write = ne2k_write,
    .read_string = ne2k_read_string,
    .write_string = ne2k_write_string,
    .max_size = 4,
};

/* The PROM as 16-bit drivers see it: each byte of the address twice, then 57h to say so. */
static void ne2k_init(struct ne2k *n, struct clk *clk, struct irq_line irq, const u8 *mac,
                      const struct nic_back *back)
{
    memset(n, 0, sizeof(*n));
    n->clk = clk;
    clk_timer_init(&n->nudge, on_nudge, n);
    n->irq = irq;
    n->back = *back;
    n->front = (struct nic_front){on_receive, on_room, on_link, n};
    memset(n->prom, 0x57, sizeof(n->prom));
    for (unsigned i = 0; i < NIC_MAC_BYTES; i++)
        n->prom[2 * i] = n->prom[2 * i + 1] = n->par[i] = mac[i];
    memset(n->prom + 2 * NIC_MAC_BYTES, 0, 16);
    n->prom[28] = n->prom[29] = n->prom[30] = n->prom[31] = 0x57;
    ne2k_reset(n);
}

int ne2k_isa_init(struct ne2k *n, struct io_bus *io, u16 base, struct clk *clk, struct irq_line irq,
                  const u8 *mac, const struct nic_back *back)
{
    ne2k_init(n, clk, irq, mac, back);
    return io_bus_register(io, base, NE2K_PORTS, &ne2k_ops, n);
}

void ne2k_pci_init(struct ne2k_pci *n, struct clk *clk, struct irq_line irq, const u8 *mac,
                   const struct nic_back *back)
{
    static const struct pci_id id = {.vendor = 0x10ec, .device = 0x8029, .class = 0x0200};

    ne2k_init(&n->core, clk, irq, mac, back);
    pci_dev_init(&n->pci, &id);
    n->pci.config[PCI_INT_PIN] = 1;
    pci_dev_bar(&n->pci, 0, 0x100, true, 0, &ne2k_ops, &n->core);
}
