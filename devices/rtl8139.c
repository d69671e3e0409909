/*
 * rtl8139.c - Realtek RTL8139C: a ring buffer for what is received, four slots for what is sent.
 *
 * "RTL8139C(L) data sheet". The same 256 registers are BAR 0 (ports) and BAR 1 (memory). This is the C, revision 10h, without the
 * descriptor
 * mode of the C+ (which QEMU shows as revision 20h): drivers choose by the revision. Addresses in guest memory are the
 * guest's; ring offsets are cut to the ring's size at each use. A frame without room in the ring waits at the back end; so
 * none comes while the ring is full, and a driver that left frames there when it cleared the interrupt (Linux has a budget) is told again.
 */
#include "devices/rtl8139.h"

#include <string.h>

enum {
    R_MAR = 0x08,
    R_TSD = 0x10,
    R_TSAD = 0x20,
    R_RBSTART = 0x30,
    R_CR = 0x37,
    R_CAPR = 0x38,
    R_CBR = 0x3a,
    R_IMR = 0x3c,
    R_ISR = 0x3e,
    R_TCR = 0x40,
    R_RCR = 0x44,
    R_TCTR = 0x48,
    R_9346CR = 0x50,
    R_CONFIG1 = 0x52,
    R_MSR = 0x58,
    R_CONFIG3 = 0x59,
    R_CONFIG4 = 0x5a,
    R_TSAD_ALL = 0x60,
    R_BMCR = 0x62,
    R_BMSR = 0x64,
    R_ANAR = 0x66,
    R_ANLPAR = 0x68,
    R_ANER = 0x6a,
    REGS = 0x100,
};
enum { CR_BUFE = 0x01, CR_TE = 0x04, CR_RE = 0x08, CR_RST = 0x10 };
enum { ISR_ROK = 0x01, ISR_TOK = 0x04, ISR_LINK = 0x20 };
enum { RCR_AAP = 0x01, RCR_APM = 0x02, RCR_AM = 0x04, RCR_AB = 0x08, RCR_WRAP = 0x80 };
enum {
    TSD_OWN = 0x2000,
    TSD_TOK = 0x8000,
    TSD_BYTES = 0x1fff,
    TCR_LOOP = 0x60000,
    TCR_VERSION = 0x74000000,
    TCR_WRITABLE = 0x03060700
};
enum {
    RX_ROK = 0x0001,
    RX_BAR = 0x2000,
    RX_PAM = 0x4000,
    RX_MAR = 0x8000,
    HEAD_BYTES = 4,
    CRC_BYTES = 4,
    FRAME_LEAST = 60
};
enum {
    EE_DO = 0x01,
    EE_DI = 0x02,
    EE_SK = 0x04,
    EE_CS = 0x08,
    EE_PROGRAM = 0x80,
    TIMER_NS = 30,
    NUDGE_NS = 500000
};

static void update_irq(struct rtl8139 *n)
{
    irq_set(n->irq, n->isr & n->imr);
}

static void cause(struct rtl8139 *n, u16 why)
{
    n->isr |= why;
    update_irq(n);
}

static bool masters(const struct rtl8139 *n)
{
    return pci_get16(&n->pci, PCI_COMMAND) & PCI_COMMAND_MASTER;
}

/* ---- receiving ---- */

static u32 ring_bytes(const struct rtl8139 *n)
{
    return 8192u << (n->rcr >> 11 & 3);
}

/* CAPR is 16 behind where the driver reads. */
static u32 unread(const struct rtl8139 *n)
{
    u32 size = ring_bytes(n);

    return (n->cbr + size - (n->capr + 16u) % size) % size;
}

/* The kind of frame in the header's bits; 0: not wanted. */
static u16 kind_of(const struct rtl8139 *n, const u8 *dest)
{
    u32 hash;

    if (nic_is_broadcast(dest))
        return n->rcr & (RCR_AB | RCR_AAP) ? RX_BAR : 0;
    if (!nic_is_multicast(dest))
        return (n->rcr & RCR_APM) && !memcmp(dest, n->idr, NIC_MAC_BYTES) ? RX_PAM
               : n->rcr & RCR_AAP                                         ? RX_ROK
                                                                          : 0;
    hash = nic_mac_crc(dest) >> 26;
    return (n->rcr & RCR_AAP) || ((n->rcr & RCR_AM) && (n->mar[hash >> 3] >> (hash & 7) & 1)) ? RX_MAR : 0;
}

/* With WRAP a frame runs on behind the ring's end, where drivers keep room for it. */
static void store(struct rtl8139 *n, const u8 *from, u32 at, u32 bytes)
{
    u32 size = ring_bytes(n), first = n->rcr & RCR_WRAP ? bytes : (u32)min_u64(bytes, size - at);

    n->mem.write(n->mem.opaque, (u64)n->rbstart + at, from, first);
    if (first < bytes)
        n->mem.write(n->mem.opaque, n->rbstart, from + first, bytes - first);
}

static bool on_receive(void *opaque, const u8 *frame, u32 bytes)
{
    struct rtl8139 *n = opaque;
    u32 size = ring_bytes(n), stored = bytes < FRAME_LEAST ? FRAME_LEAST : bytes,
        total = HEAD_BYTES + stored + CRC_BYTES, at;
    u8 packet[HEAD_BYTES + 1792 + CRC_BYTES] = {0};
    u16 kind;

    if (!(n->cr & CR_RE) || !masters(n) || n->link_down || bytes < NIC_FRAME_MIN_BYTES ||
        total > sizeof(packet))
        return true;
    kind = kind_of(n, frame);
    if (!kind)
        return true;
    n->held = unread(n) + align_up(total, 4) >= size;
    if (n->held)
        return false;
    kind |= RX_ROK;
    packet[0] = (u8)kind;
    packet[1] = (u8)(kind >> 8);
    packet[2] = (u8)(stored + CRC_BYTES);
    packet[3] = (u8)((stored + CRC_BYTES) >> 8);
    memcpy(packet + HEAD_BYTES, frame, bytes);
    at = n->cbr % size;
    store(n, packet, at, total);
    n->cbr = (u16)((at + align_up(total, 4)) % size);
    cause(n, ISR_ROK);
    return true;
}

static void acknowledge(struct rtl8139 *n, u16 bits)
{
    n->isr &= (u16)~bits;
    if (!(bits & ISR_ROK) || !(n->cr & CR_RE) || !unread(n))
        return;
    if (n->held)
        n->isr |= ISR_ROK; /* as by the frame that waits, if it had come now */
    else
        clk_timer_set(n->clk, &n->nudge, clk_now(n->clk) + NUDGE_NS);
}

static void on_nudge(void *opaque, u64 now_ns)
{
    struct rtl8139 *n = opaque;

    (void)now_ns;
    if ((n->cr & CR_RE) && unread(n))
        cause(n, ISR_ROK);
}

/* ---- sending ---- */

static void transmit(struct rtl8139 *n)
{
    while (n->tx_n && (n->cr & CR_TE) && masters(n)) {
        unsigned slot = n->tx_order[0] % RTL_TX_SLOTS;
        u32 bytes = n->tsd[slot] & TSD_BYTES;

        n->mem.read(n->mem.opaque, n->tsad[slot], n->frame, bytes);
        if ((n->tcr & TCR_LOOP) == TCR_LOOP)
            on_receive(n, n->frame, bytes);
        else if (!n->link_down && !nic_send(&n->back, n->frame, bytes))
            return;
        n->tsd[slot] |= TSD_OWN | TSD_TOK;
        n->tx_n--;
        memmove(n->tx_order, n->tx_order + 1, n->tx_n);
        cause(n, ISR_TOK);
    }
}

static void start_slot(struct rtl8139 *n, unsigned slot, u32 val)
{
    bool owned = n->tsd[slot] & TSD_OWN;

    n->tsd[slot] = val & (0x3f0000 | TSD_OWN | TSD_BYTES);
    if (owned && !(val & TSD_OWN) && n->tx_n < RTL_TX_SLOTS) {
        n->tx_order[n->tx_n++] = (u8)slot;
        transmit(n);
    }
}

static void on_room(void *opaque)
{
    transmit(opaque);
}

static void on_link(void *opaque, bool up)
{
    struct rtl8139 *n = opaque;

    n->link_down = !up;
    cause(n, ISR_LINK);
}

/* ---- EEPROM 93C46 ---- */

/* As in e1000.c: a 1, 10b for "read", six bits of address; then a word, its highest bit first, after a 0. */
static void eeprom_write(struct rtl8139 *n, u8 val)
{
    u8 changed = val ^ n->cr9346;

    n->cr9346 = val & (u8)~EE_DO;
    if (!(val & EE_CS) || (changed & EE_CS)) {
        n->wire_in = n->wire_bits = n->wire_out = 0;
        n->wire_reading = false;
    }
    if (!(val & EE_CS) || !(changed & EE_SK))
        return;
    if (!(val & EE_SK)) {
        n->wire_out++;
    } else if (!n->wire_reading) {
        n->wire_in = n->wire_in << 1 | !!(val & EE_DI);
        n->wire_bits += n->wire_in != 0; /* it begins with the 1 */
        if (n->wire_bits == 9) {
            n->wire_reading = (n->wire_in >> 6 & 7) == 6;
            n->wire_out = (n->wire_in & 63) * 16 - 1;
        }
    }
}

static u8 eeprom_read(const struct rtl8139 *n)
{
    u32 bit = n->wire_out;
    bool high = !n->wire_reading || (n->eeprom[bit / 16 % 64] >> (15 - bit % 16) & 1);

    return (u8)(n->cr9346 | (high && (n->cr9346 & 0xc0) == EE_PROGRAM ? EE_DO : 0));
}

static void fill_eeprom(struct rtl8139 *n, const u8 *mac)
{
    static const u16 start[] = {0x8129, 0x10ec, 0x8139, 0x10ec, 0x8139, 0x4020, 0xe112};

    memcpy(n->eeprom, start, sizeof(start));
    for (unsigned i = 0; i < 3; i++)
        n->eeprom[7 + i] = (u16)(mac[2 * i] | mac[2 * i + 1] << 8);
}

/* ---- registers ---- */

void rtl8139_reset(struct rtl8139 *n)
{
    for (unsigned i = 0; i < 3; i++) {
        n->idr[2 * i] = (u8)n->eeprom[7 + i];
        n->idr[2 * i + 1] = (u8)(n->eeprom[7 + i] >> 8);
    }
    for (unsigned i = 0; i < RTL_TX_SLOTS; i++) {
        n->tsd[i] = TSD_OWN;
        n->tsad[i] = 0;
    }
    n->tx_n = 0;
    n->rbstart = n->tcr = n->rcr = 0;
    n->capr = 0xfff0;
    n->cbr = n->imr = n->isr = 0;
    n->cr = 0;
    n->cr9346 = 0;
    n->config1 = 0x0c;
    n->config3 = 0x01;
    n->config4 = 0;
    n->bmcr = 0x1100;
    n->anar = 0x05e1;
    n->wire_in = n->wire_bits = n->wire_out = 0;
    n->wire_reading = n->held = false;
    clk_timer_cancel(n->clk, &n->nudge);
    n->timer_from_ns = clk_now(n->clk);
    update_irq(n);
    nic_ready(&n->back);
}

static u16 slots_summary(const struct rtl8139 *n)
{
    u16 val = 0;

    for (unsigned i = 0; i < RTL_TX_SLOTS; i++)
        val |= (u16)((n->tsd[i] & TSD_OWN ? BIT(i) : 0) | (n->tsd[i] & TSD_TOK ? BIT(12 + i) : 0));
    return val;
}

static u8 read_byte(struct rtl8139 *n, u32 at)
{
    u32 shift = 8 * (at & 3);

    if (at < NIC_MAC_BYTES)
        return n->idr[at];
    if (at >= R_MAR && at < R_TSD)
        return n->mar[at - R_MAR];
    if (at >= R_TSD && at < R_TSAD)
        return (u8)(n->tsd[(at - R_TSD) / 4] >> shift);
    if (at >= R_TSAD && at < R_RBSTART)
        return (u8)(n->tsad[(at - R_TSAD) / 4] >> shift);
    switch (at & ~3u) {
    case R_RBSTART: return (u8)(n->rbstart >> shift);
    case R_TCR: return (u8)((n->tcr | TCR_VERSION) >> shift);
    case R_RCR: return (u8)(n->rcr >> shift);
    case R_TCTR: return (u8)((clk_now(n->clk) - n->timer_from_ns) / TIMER_NS >> shift);
    default: break;
    }
    shift = 8 * (at & 1);
    switch (at & ~1u) {
    case R_CAPR: return (u8)(n->capr >> shift);
    case R_CBR: return (u8)(n->cbr >> shift);
    case R_IMR: return (u8)(n->imr >> shift);
    case R_ISR: return (u8)(n->isr >> shift);
    case R_TSAD_ALL: return (u8)(slots_summary(n) >> shift);
    case R_BMCR: return (u8)(n->bmcr >> shift);
    case R_BMSR: return (u8)((0x7809 | (n->link_down ? 0 : 0x24)) >> shift);
    case R_ANAR: return (u8)(n->anar >> shift);
    case R_ANLPAR: return (u8)((n->link_down ? 0 : 0x45e1) >> shift);
    case R_ANER: return shift ? 0 : 1;
    default: break;
    }
    switch (at) {
    case R_CR: return (u8)(n->cr | (unread(n) ? 0 : CR_BUFE));
    case R_9346CR: return eeprom_read(n);
    case R_CONFIG1: return n->config1;
    case R_MSR: return (u8)(n->link_down ? 0x04 : 0x00); /* 100 Mbit/s */
    case R_CONFIG3: return n->config3;
    case R_CONFIG4: return n->config4;
    default: return 0;
    }
}

static void set_bits(u32 *reg, u32 shift, u32 mask, u32 val)
{
    *reg = (*reg & ~(mask << shift)) | (val & mask) << shift;
}

static void set_half(u16 *reg, u32 shift, unsigned size, u32 val)
{
    *reg = size == 1 ? (u16)((*reg & ~(0xffu << shift)) | (val & 0xff) << shift) : (u16)val;
}

static void write_cr(struct rtl8139 *n, u32 val)
{
    if (val & CR_RST) {
        rtl8139_reset(n);
        return;
    }
    if ((val & CR_RE) && !(n->cr & CR_RE)) {
        n->cbr = 0;
        n->capr = 0xfff0;
    }
    n->cr = (u8)(val & (CR_TE | CR_RE));
    transmit(n);
    nic_ready(&n->back);
}

/* size bytes that lie within one register of its natural size; wider ones were split. */
static void write_reg(struct rtl8139 *n, u32 at, unsigned size, u32 val)
{
    u32 shift = 8 * (at & 3), mask = size == 4 ? UINT32_MAX : (1u << (8 * size)) - 1, half = 8 * (at & 1),
        whole;

    if (at < NIC_MAC_BYTES || (at >= R_MAR && at < R_TSD)) {
        for (unsigned i = 0; i < size; i++)
            if (at + i < NIC_MAC_BYTES)
                n->idr[at + i] = (u8)(val >> (8 * i));
            else if (at + i >= R_MAR && at + i < R_TSD)
                n->mar[at + i - R_MAR] = (u8)(val >> (8 * i));
        return;
    }
    if (at >= R_TSD && at < R_TSAD) {
        whole = n->tsd[(at - R_TSD) / 4];
        set_bits(&whole, shift, mask, val);
        start_slot(n, (at - R_TSD) / 4, whole);
        return;
    }
    if (at >= R_TSAD && at < R_RBSTART) {
        set_bits(&n->tsad[(at - R_TSAD) / 4], shift, mask, val);
        return;
    }
    switch (at & ~3u) {
    case R_RBSTART: set_bits(&n->rbstart, shift, mask, val); return;
    case R_TCR:
        set_bits(&n->tcr, shift, mask, val);
        n->tcr &= TCR_WRITABLE;
        return;
    case R_RCR:
        set_bits(&n->rcr, shift, mask, val);
        n->cbr = (u16)(n->cbr % ring_bytes(n));
        nic_ready(&n->back);
        return;
    case R_TCTR: n->timer_from_ns = clk_now(n->clk); return;
    default: break;
    }
    switch (at & ~1u) {
    case R_CAPR:
        set_half(&n->capr, half, size, val);
        nic_ready(&n->back);
        return;
    case R_IMR: set_half(&n->imr, half, size, val); break;
    case R_ISR: acknowledge(n, (u16)(size == 1 ? (val & 0xff) << half : val)); break;
    case R_BMCR:
        set_half(&n->bmcr, half, size, val);
        n->bmcr &= 0x3100;
        return;
    case R_ANAR: set_half(&n->anar, half, size, val); return;
    default:
        switch (at) {
        case R_CR: write_cr(n, val); return;
        case R_9346CR: eeprom_write(n, (u8)val); return;
        case R_CONFIG1: n->config1 = (u8)((n->config1 & 0x0c) | (val & 0xf3)); return;
        case R_CONFIG3: n->config3 = (u8)val; return;
        case R_CONFIG4: n->config4 = (u8)val; return;
        default: return;
        }
    }
    update_irq(n);
}

static u32 rtl_read(void *opaque, u32 offset, unsigned size)
{
    u32 val = 0;

    for (unsigned i = 0; i < size; i++)
        val |= (u32)read_byte(opaque, (offset + i) % REGS) << (8 * i);
    return val;
}

/* Where a wide access covers registers that are narrower, each gets its part. */
static void rtl_write(void *opaque, u32 offset, unsigned size, u32 val)
{
    bool words = offset >= R_CR - 3 && offset<R_TCR, bytes = offset + size> R_9346CR && offset < R_TSAD_ALL;
    unsigned step = offset % size || bytes || (offset <= R_CR && offset + size > R_CR) ? 1
                    : size == 4 && (words || offset >= R_TSAD_ALL)                     ? 2
                                                                                       : size;

    for (unsigned i = 0; i < size; i += step)
        write_reg(opaque, (offset + i) % REGS, step,
                  step == 4 ? val : (val >> (8 * i)) & ((1u << (8 * step)) - 1));
}

static const struct bus_ops rtl_ops = {.read = rtl_read, .write = rtl_write, .max_size = 4};

void rtl8139_init(struct rtl8139 *n, const struct dma_mem *mem, struct clk *clk, struct irq_line irq,
                  const u8 *mac, const struct nic_back *back)
{
    static const struct pci_id id = {.vendor = 0x10ec, .device = 0x8139, .class = 0x0200, .revision = 0x10};

    memset(n, 0, sizeof(*n));
    n->mem = *mem;
    n->clk = clk;
    n->irq = irq;
    n->back = *back;
    n->front = (struct nic_front){on_receive, on_room, on_link, n};
    clk_timer_init(&n->nudge, on_nudge, n);
    fill_eeprom(n, mac);
    pci_dev_init(&n->pci, &id);
    n->pci.config[PCI_INT_PIN] = 1;
    pci_dev_bar(&n->pci, 0, REGS, true, 0, &rtl_ops, n);
    pci_dev_bar(&n->pci, 1, REGS, false, 0, &rtl_ops, n);
    rtl8139_reset(n);
}
