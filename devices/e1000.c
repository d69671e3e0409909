/*
 * e1000.c - Intel 82540EM: registers, EEPROM, PHY, interrupts and the receiver; e1000_tx.c is the transmitter.
 *
 * "PCI/PCI-X Family of Gigabit Ethernet Controllers Software Developer's Manual" (8254x). Rings of 16-byte descriptors
 * lie in guest memory: their addresses, lengths, heads and tails are the guest's and good for nothing until checked; a ring
 * that makes no sense receives nothing. Frames without a descriptor wait at the back end. The link is up as soon as
 * the cable is; ITR spaces interrupts by virtual time.
 */
#include "devices/e1000.h"

#include <string.h>

enum { CTRL_RST = 1u << 26, CTRL_VME = 1u << 30, CTRL_PHY_RST = 1u << 31 };
enum { STATUS_FD = 0x01, STATUS_LU = 0x02, STATUS_SPEED_1000 = 0x80, STATUS_ASDV_1000 = 0x200 };
enum {
    EECD_SK = 0x01,
    EECD_CS = 0x02,
    EECD_DI = 0x04,
    EECD_DO = 0x08,
    EECD_REQ = 0x40,
    EECD_GNT = 0x80,
    EECD_PRES = 0x100
};
enum { EERD_START = 0x01, EERD_DONE = 0x10 };
enum {
    MDIC_WRITE = 1u << 26,
    MDIC_READ = 2u << 26,
    MDIC_READY = 1u << 28,
    MDIC_INT = 1u << 29,
    MDIC_ERROR = 1u << 30
};
enum { ICR_MDAC = 0x200 };
enum {
    RCTL_EN = 0x02,
    RCTL_UPE = 0x08,
    RCTL_MPE = 0x10,
    RCTL_LPE = 0x20,
    RCTL_LBM = 0xc0,
    RCTL_BAM = 0x8000,
    RCTL_VFE = 1 << 18,
    RCTL_BSEX = 1 << 25,
    RCTL_SECRC = 1 << 26
};
enum {
    PHY_CTRL,
    PHY_STATUS,
    PHY_ID1,
    PHY_ID2,
    PHY_ADVERTISE,
    PHY_PARTNER,
    PHY_EXPANSION,
    PHY_SPEC_STATUS = 17
};
enum {
    PHY_CTRL_RESET = 0x8000,
    PHY_CTRL_LOOP = 0x4000,
    PHY_CTRL_AN_RESTART = 0x0200,
    PHY_STATUS_LINK = 0x0004,
    PHY_SPEC_LINK = 0x0400
};
enum { RXD_DD = 0x01, RXD_EOP = 0x02, RXD_IXSM = 0x04, RXD_VP = 0x08 };
enum {
    RAH_VALID_SHIFT = 31,
    FRAME_LEAST = 60,
    FRAME_USUAL = 1518,
    CRC_BYTES = 4,
    TAG_BYTES = 4,
    EEPROM_SUM = 0xbaba,
    ITR_UNIT_NS = 256
};

struct rx_desc {
    u64 gpa;
    u16 bytes, checksum;
    u8 status, errors;
    u16 vlan;
};
_Static_assert(sizeof(struct rx_desc) == 16, "as the card lays it out");

/* ---- interrupts ---- */

static void update_irq(struct e1000 *e)
{
    bool want = *e1000_reg(e, E1000_ICR) & *e1000_reg(e, E1000_IMS);

    if (want && !e->irq_level) {
        u64 now = clk_now(e->clk);

        if (now < e->irq_after_ns) {
            if (!e->irq_timer.armed)
                clk_timer_set(e->clk, &e->irq_timer, e->irq_after_ns);
            return;
        }
        e->irq_after_ns = now + (*e1000_reg(e, E1000_ITR) & 0xffff) * (u64)ITR_UNIT_NS;
    }
    if (want != e->irq_level) {
        e->irq_level = want;
        irq_set(e->irq, want);
    }
}

void e1000_cause(struct e1000 *e, u32 causes)
{
    *e1000_reg(e, E1000_ICR) |= causes;
    update_irq(e);
}

static void on_irq_time(void *opaque, u64 now_ns)
{
    (void)now_ns;
    update_irq(opaque);
}

static void on_tx_time(void *opaque, u64 now_ns)
{
    (void)now_ns;
    e1000_transmit(opaque);
}

void e1000_count(struct e1000 *e, u32 which, u32 more)
{
    u32 *at = e1000_reg(e, which);

    *at = *at > UINT32_MAX - more ? UINT32_MAX : *at + more;
}

/* ---- link ---- */

static void show_link(struct e1000 *e)
{
    u32 *status = e1000_reg(e, E1000_STATUS);

    *status = STATUS_FD | STATUS_SPEED_1000 | STATUS_ASDV_1000 | (e->link_down ? 0 : STATUS_LU);
    e->phy[PHY_STATUS] = (u16)(0x7969 | (e->link_down ? 0 : PHY_STATUS_LINK));
    e->phy[PHY_SPEC_STATUS] = (u16)(0xa800 | (e->link_down ? 0 : PHY_SPEC_LINK));
}

static void on_link(void *opaque, bool up)
{
    struct e1000 *e = opaque;

    e->link_down = !up;
    show_link(e);
    e1000_cause(e, E1000_ICR_LSC);
}

static void reset_phy(struct e1000 *e)
{
    static const u16 start[][2] = {
        {PHY_CTRL, 0x1140},    {PHY_ID1, 0x0141},  {PHY_ID2, 0x0c20}, {PHY_ADVERTISE, 0x0de1},
        {PHY_PARTNER, 0x45e1}, {PHY_EXPANSION, 1}, {9, 0x0e00},       {10, 0x3c00},
        {15, 0x3000},          {16, 0x0360},       {20, 0x0d60},
    };

    memset(e->phy, 0, sizeof(e->phy));
    for (size_t i = 0; i < ARRAY_SIZE(start); i++)
        e->phy[start[i][0]] = start[i][1];
    show_link(e);
}

static void mdic_write(struct e1000 *e, u32 val)
{
    unsigned at = val >> 16 & 31;
    u32 *mdic = e1000_reg(e, E1000_MDIC);

    *mdic = (val & ~(u32)MDIC_ERROR) | MDIC_READY;
    if ((val >> 21 & 31) != 1) {
        *mdic |= MDIC_ERROR;
    } else if (val & MDIC_READ) {
        *mdic = (*mdic & 0xffff0000) | e->phy[at];
    } else if ((val & MDIC_WRITE) && at != PHY_STATUS && at != PHY_ID1 && at != PHY_ID2 &&
               at != PHY_SPEC_STATUS) {
        e->phy[at] = (u16)(at == PHY_CTRL ? val & ~(u32)(PHY_CTRL_RESET | PHY_CTRL_AN_RESTART) : val);
        if (at == PHY_CTRL && (val & PHY_CTRL_RESET))
            reset_phy(e);
        if (at == PHY_CTRL && (val & (PHY_CTRL_RESET | PHY_CTRL_AN_RESTART)))
            e1000_cause(e, E1000_ICR_LSC); /* negotiated at once */
    }
    if (val & MDIC_INT)
        e1000_cause(e, ICR_MDAC);
}

/* ---- EEPROM ---- */

static void fill_eeprom(struct e1000 *e)
{
    static const u16 words[][2] = {{0x08, 0x3000}, {0x09, 0x1000}, {0x0a, 0x6403}, {0x0b, 0x1100},
                                   {0x0c, 0x1af4}, {0x0d, 0x100e}, {0x0e, 0x8086}, {0x0f, 0x3040},
                                   {0x21, 0x7863}, {0x24, 0x0000}, {0x2f, 0x0602}};
    u16 sum = 0;

    for (unsigned i = 0; i < 3; i++)
        e->eeprom[i] = (u16)(e->mac[2 * i] | e->mac[2 * i + 1] << 8);
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        e->eeprom[words[i][0]] = words[i][1];
    for (unsigned i = 0; i < 63; i++)
        sum = (u16)(sum + e->eeprom[i]);
    e->eeprom[63] = (u16)(EEPROM_SUM - sum);
}

/* Microwire: after chip select come, by rising clock edges, a 1, the command 10b for "read" and six bits of address; then a falling
 * edge each brings the next bit of data, the highest first, after a 0. */
static void eecd_write(struct e1000 *e, u32 val)
{
    u32 changed = val ^ e->wire.lines;

    e->wire.lines = val & (EECD_SK | EECD_CS | EECD_DI | EECD_REQ | 0x30);
    if (!(val & EECD_CS) || (changed & EECD_CS)) {
        e->wire.in = e->wire.in_bits = e->wire.out_bit = 0;
        e->wire.reading = false;
    }
    if (!(val & EECD_CS) || !(changed & EECD_SK))
        return;
    if (!(val & EECD_SK)) {
        e->wire.out_bit++;
        return;
    }
    if (e->wire.reading)
        return;
    e->wire.in = e->wire.in << 1 | !!(val & EECD_DI);
    e->wire.in_bits += e->wire.in != 0; /* it begins with the 1 */
    if (e->wire.in_bits == 9) {
        e->wire.reading = (e->wire.in >> 6 & 7) == 6;
        e->wire.out_bit = (e->wire.in & 63) * 16 - 1;
    }
}

static u32 eecd_read(const struct e1000 *e)
{
    u32 bit = e->wire.out_bit, val = e->wire.lines | EECD_PRES | (e->wire.lines & EECD_REQ ? EECD_GNT : 0);

    if (!e->wire.reading || (e->eeprom[bit / 16 % 64] >> (15 - bit % 16) & 1))
        val |= EECD_DO;
    return val;
}

static u32 eerd_value(struct e1000 *e, u32 val)
{
    return val & EERD_START ? (val & 0xff00) | EERD_DONE | (u32)e->eeprom[val >> 8 & 63] << 16 : val & 0xff00;
}

/* ---- receiving ---- */

bool e1000_loops(struct e1000 *e)
{
    return (*e1000_reg(e, E1000_RCTL) & RCTL_LBM) || (e->phy[PHY_CTRL] & PHY_CTRL_LOOP);
}

static bool is_tagged(struct e1000 *e, const u8 *frame, u32 bytes)
{
    return bytes >= 18 && (u32)(frame[12] << 8 | frame[13]) == (*e1000_reg(e, E1000_VET) & 0xffff);
}

static bool wanted(struct e1000 *e, const u8 *frame, u32 bytes)
{
    static const u8 shift[4] = {4, 3, 2, 0};
    u32 rctl = *e1000_reg(e, E1000_RCTL), hash;

    if ((rctl & RCTL_VFE) && is_tagged(e, frame, bytes)) {
        u32 id = (u32)(frame[14] << 8 | frame[15]) & 0xfff;

        if (!(*e1000_reg(e, E1000_VFTA + (id >> 5) * 4) >> (id & 31) & 1))
            return false;
    }
    if ((rctl & (nic_is_multicast(frame) ? RCTL_MPE : RCTL_UPE)) ||
        (nic_is_broadcast(frame) && (rctl & RCTL_BAM)))
        return true;
    for (unsigned i = 0; i < 16; i++) {
        u32 low = *e1000_reg(e, E1000_RAL + 8 * i), high = *e1000_reg(e, E1000_RAL + 8 * i + 4);

        if (high >> RAH_VALID_SHIFT &&
            low == ((u32)frame[0] | (u32)frame[1] << 8 | (u32)frame[2] << 16 | (u32)frame[3] << 24) &&
            (high & 0xffff) == (u32)(frame[4] | frame[5] << 8))
            return true;
    }
    if (!nic_is_multicast(frame))
        return false;
    hash = (u32)(frame[5] << 8 | frame[4]) >> shift[rctl >> 12 & 3] & 0xfff;
    return *e1000_reg(e, E1000_MTA + (hash >> 5) * 4) >> (hash & 31) & 1;
}

static u32 buffer_bytes(u32 rctl)
{
    u32 size = 2048u >> (rctl >> 16 & 3);

    return rctl & RCTL_BSEX && size < 2048 ? size * 16 : size;
}

/* Descriptors that the card may fill; 0 for a ring that is none. */
static u32 rx_available(struct e1000 *e, u32 ring)
{
    u32 head = *e1000_reg(e, E1000_RDH), tail = *e1000_reg(e, E1000_RDT);

    if (head >= ring || tail >= ring)
        return 0;
    return tail >= head ? tail - head : ring - head + tail;
}

/* A frame lies in e->rx with its checksum. Stores it; the descriptors were counted. */
static void store(struct e1000 *e, u32 bytes, u16 vlan, bool tagged, u32 size, u32 ring)
{
    u64 base = (u64)*e1000_reg(e, E1000_RDBAH) << 32 | (*e1000_reg(e, E1000_RDBAL) & ~15u);
    u32 *head = e1000_reg(e, E1000_RDH);

    for (u32 at = 0; at < bytes;) {
        u32 n = bytes - at < size ? bytes - at : size;
        struct rx_desc desc;

        if (e->mem.read(e->mem.opaque, base + *head * 16, &desc, sizeof(desc)))
            desc.gpa = 0;
        if (desc.gpa)
            e->mem.write(e->mem.opaque, desc.gpa, e->rx + at, n);
        at += n;
        desc.bytes = (u16)n;
        desc.checksum = 0;
        desc.errors = 0;
        desc.vlan = vlan;
        desc.status = (u8)(RXD_DD | RXD_IXSM | (at == bytes ? RXD_EOP : 0) | (tagged ? RXD_VP : 0));
        e->mem.write(e->mem.opaque, base + *head * 16, &desc, sizeof(desc));
        if (++*head >= ring)
            *head = 0;
    }
}

static bool on_receive(void *opaque, const u8 *frame, u32 bytes)
{
    struct e1000 *e = opaque;
    u32 rctl = *e1000_reg(e, E1000_RCTL), size = buffer_bytes(rctl), ring = *e1000_reg(e, E1000_RDLEN) / 16,
        total = bytes, need, left;
    bool strip = (*e1000_reg(e, E1000_CTRL) & CTRL_VME) && is_tagged(e, frame, bytes);
    u16 vlan = strip ? (u16)(frame[14] << 8 | frame[15]) : 0;

    if (!(rctl & RCTL_EN) || !(pci_get16(&e->pci, PCI_COMMAND) & PCI_COMMAND_MASTER) || e->link_down ||
        bytes < NIC_FRAME_MIN_BYTES || bytes > NIC_FRAME_MAX_BYTES || !ring ||
        *e1000_reg(e, E1000_RDH) >= ring || *e1000_reg(e, E1000_RDT) >= ring || !wanted(e, frame, bytes) ||
        (bytes > FRAME_USUAL && !(rctl & RCTL_LPE)))
        return true;
    if (strip) {
        memcpy(e->rx, frame, 12);
        memcpy(e->rx + 12, frame + 16, bytes - 16);
        total -= TAG_BYTES;
    } else {
        memcpy(e->rx, frame, bytes);
    }
    if (total < FRAME_LEAST) {
        memset(e->rx + total, 0, FRAME_LEAST - total);
        total = FRAME_LEAST;
    }
    memset(e->rx + total, 0, CRC_BYTES);
    total += rctl & RCTL_SECRC ? 0 : CRC_BYTES;
    need = (total + size - 1) / size;
    if (need >= ring)
        return true;
    if (rx_available(e, ring) < need)
        return false;
    store(e, total, vlan, strip, size, ring);
    e1000_count(e, E1000_GPRC, 1);
    e1000_count(e, E1000_TPR, 1);
    e1000_count(e, E1000_GORCL, bytes + CRC_BYTES);
    left = rx_available(e, ring);
    e1000_cause(e, E1000_ICR_RXT0 | (left <= ring >> (1 + (rctl >> 8 & 3)) ? E1000_ICR_RXDMT0 : 0));
    return true;
}

void e1000_loop_back(struct e1000 *e, const u8 *frame, u32 bytes)
{
    if (bytes >= NIC_FRAME_MIN_BYTES)
        on_receive(e, frame, bytes); /* no descriptor: lost, as there is nobody to keep it */
}

static void on_room(void *opaque)
{
    struct e1000 *e = opaque;

    if (e->tx.complete)
        e1000_transmit(e);
}

/* ---- registers ---- */

void e1000_reset(struct e1000 *e)
{
    clk_timer_cancel(e->clk, &e->irq_timer);
    clk_timer_cancel(e->clk, &e->tx_timer);
    memset(e->reg, 0, sizeof(e->reg));
    memset(e->context, 0, sizeof(e->context));
    memset(&e->wire, 0, sizeof(e->wire));
    e->tx.bytes = e->tx.sent = 0;
    e->tx.begun = e->tx.complete = false;
    e->io_address = 0;
    e->irq_after_ns = 0;
    reset_phy(e);
    *e1000_reg(e, E1000_CTRL) = 0x00000a41; /* full duplex, speed 1000, SLU of the EEPROM */
    *e1000_reg(e, E1000_PBA) = 0x00100030;
    *e1000_reg(e, E1000_VET) = 0x8100;
    *e1000_reg(e, 0x0e00) = 0x07061302; /* LEDCTL: from the EEPROM */
    *e1000_reg(e, E1000_RAL) =
        (u32)e->mac[0] | (u32)e->mac[1] << 8 | (u32)e->mac[2] << 16 | (u32)e->mac[3] << 24;
    *e1000_reg(e, E1000_RAL + 4) = (u32)e->mac[4] | (u32)e->mac[5] << 8 | 1u << RAH_VALID_SHIFT;
    update_irq(e);
    nic_ready(&e->back);
}

static u32 reg_read(struct e1000 *e, u32 at)
{
    u32 val = at / 4 < E1000_REGS ? *e1000_reg(e, at) : 0;

    switch (at) {
    case E1000_EECD: return eecd_read(e);
    case E1000_ICR:
        *e1000_reg(e, E1000_ICR) = 0;
        update_irq(e);
        return val;
    case E1000_ICS:
    case E1000_IMC: return 0;
    default:
        if (at >= E1000_STATS && at < E1000_STATS_END)
            *e1000_reg(e, at) = 0;
        return val;
    }
}

static void reg_write(struct e1000 *e, u32 at, u32 val)
{
    if (at / 4 >= E1000_REGS)
        return;
    switch (at) {
    case E1000_CTRL:
        if (val & CTRL_RST) {
            e1000_reset(e);
            return;
        }
        if (val & CTRL_PHY_RST)
            reset_phy(e);
        *e1000_reg(e, at) = val & ~(u32)(CTRL_RST | CTRL_PHY_RST);
        return;
    case E1000_STATUS: return;
    case E1000_EECD: eecd_write(e, val); return;
    case E1000_EERD: *e1000_reg(e, at) = eerd_value(e, val); return;
    case E1000_MDIC: mdic_write(e, val); return;
    case E1000_ICR: *e1000_reg(e, E1000_ICR) &= ~val; break;
    case E1000_ICS: e1000_cause(e, val); return;
    case E1000_IMS: *e1000_reg(e, E1000_IMS) |= val; break;
    case E1000_IMC: *e1000_reg(e, E1000_IMS) &= ~val; break;
    case E1000_RDLEN:
    case E1000_TDLEN: *e1000_reg(e, at) = val & 0xfff80; return;
    case E1000_RDH:
    case E1000_TDH: *e1000_reg(e, at) = val & 0xffff; return;
    case E1000_RDT: *e1000_reg(e, at) = val & 0xffff; break;
    case E1000_TDT:
        *e1000_reg(e, at) = val & 0xffff;
        e1000_transmit(e);
        return;
    case E1000_TCTL:
        *e1000_reg(e, at) = val;
        e1000_transmit(e);
        return;
    default:
        *e1000_reg(e, at) = val;
        if (at != E1000_RCTL)
            return;
    }
    update_irq(e);
    nic_ready(&e->back);
}

static u32 mmio_read(void *opaque, u32 offset, unsigned size)
{
    u32 val = reg_read(opaque, offset & ~3u) >> (8 * (offset & 3));

    return size == 4 ? val : val & ((1u << (8 * size)) - 1);
}

static void mmio_write(void *opaque, u32 offset, unsigned size, u32 val)
{
    if (size == 4 && !(offset & 3)) /* the manual allows no other */
        reg_write(opaque, offset, val);
}

/* BAR 1: IOADDR and IODATA, for real-mode drivers. */
static u32 io_read(void *opaque, u32 offset, unsigned size)
{
    struct e1000 *e = opaque;

    if (size != 4)
        return UINT32_MAX;
    return offset == 0 ? e->io_address : offset == 4 ? reg_read(e, e->io_address & ~3u) : UINT32_MAX;
}

static void io_write(void *opaque, u32 offset, unsigned size, u32 val)
{
    struct e1000 *e = opaque;

    if (size == 4 && offset == 0)
        e->io_address = val & 0x1ffff;
    else if (size == 4 && offset == 4)
        reg_write(e, e->io_address & ~3u, val);
}

static const struct bus_ops mmio_ops = {.read = mmio_read, .write = mmio_write, .max_size = 4};
static const struct bus_ops io_ops = {.read = io_read, .write = io_write, .max_size = 4};

void e1000_init(struct e1000 *e, const struct dma_mem *mem, struct clk *clk, struct irq_line irq,
                const u8 *mac, const struct nic_back *back)
{
    static const struct pci_id id = {.vendor = 0x8086, .device = 0x100e, .class = 0x0200, .revision = 3};

    memset(e, 0, sizeof(*e));
    e->mem = *mem;
    e->clk = clk;
    e->irq = irq;
    e->back = *back;
    e->front = (struct nic_front){on_receive, on_room, on_link, e};
    memcpy(e->mac, mac, NIC_MAC_BYTES);
    clk_timer_init(&e->irq_timer, on_irq_time, e);
    clk_timer_init(&e->tx_timer, on_tx_time, e);
    fill_eeprom(e);
    pci_dev_init(&e->pci, &id);
    e->pci.config[PCI_INT_PIN] = 1;
    pci_dev_bar(&e->pci, 0, 0x20000, false, 0, &mmio_ops, e);
    pci_dev_bar(&e->pci, 1, 0x40, true, 0, &io_ops, e);
    e1000_reset(e);
}
