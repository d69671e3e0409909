/*
 * e1000.h - Intel 82540EM gigabit network card (8086:100E), QEMU's "e1000".
 */
#ifndef NOVT_DEVICES_E1000_H
#define NOVT_DEVICES_E1000_H

#include "devices/bus.h"
#include "devices/clk.h"
#include "devices/nic.h"
#include "devices/pci.h"

#define E1000_REGS (0x6000u / 4)
#define E1000_PACKET_BYTES \
    (80u << 10) /* headers and 64 KiB of a packet that the card is to cut into segments */

/* Byte offsets of registers, by the names of Intel's manual. */
enum {
    E1000_CTRL = 0x0000,
    E1000_STATUS = 0x0008,
    E1000_EECD = 0x0010,
    E1000_EERD = 0x0014,
    E1000_MDIC = 0x0020,
    E1000_VET = 0x0038,
    E1000_ICR = 0x00c0,
    E1000_ITR = 0x00c4,
    E1000_ICS = 0x00c8,
    E1000_IMS = 0x00d0,
    E1000_IMC = 0x00d8,
    E1000_RCTL = 0x0100,
    E1000_TCTL = 0x0400,
    E1000_PBA = 0x1000,
    E1000_RDBAL = 0x2800,
    E1000_RDBAH = 0x2804,
    E1000_RDLEN = 0x2808,
    E1000_RDH = 0x2810,
    E1000_RDT = 0x2818,
    E1000_TDBAL = 0x3800,
    E1000_TDBAH = 0x3804,
    E1000_TDLEN = 0x3808,
    E1000_TDH = 0x3810,
    E1000_TDT = 0x3818,
    E1000_STATS = 0x4000,
    E1000_GPRC = 0x4074,
    E1000_GPTC = 0x4080,
    E1000_GORCL = 0x4088,
    E1000_GOTCL = 0x4090,
    E1000_TPR = 0x40d0,
    E1000_TPT = 0x40d4,
    E1000_STATS_END = 0x4100,
    E1000_MTA = 0x5200,
    E1000_RAL = 0x5400,
    E1000_VFTA = 0x5600,
};

enum {
    E1000_ICR_TXDW = 0x01,
    E1000_ICR_TXQE = 0x02,
    E1000_ICR_LSC = 0x04,
    E1000_ICR_RXDMT0 = 0x10,
    E1000_ICR_RXT0 = 0x80
};

/* What a context descriptor sets up for the packets behind it; the card keeps one for segmentation and one for the rest. */
struct e1000_context {
    u8 ipcss, ipcso, tucss, tucso, hdrlen, command;
    u16 ipcse, tucse, mss;
};

/* The packet being gathered from descriptors, then sent in one or more frames. */
struct e1000_packet {
    u32 bytes, sent; /* sent: payload that went out already */
    u16 vlan, segment;
    u8 options, legacy_css, legacy_cso; /* options: POPTS of the first descriptor */
    bool begun, tse, legacy_sum, tag, oversize, complete;
    u8 data[E1000_PACKET_BYTES];
    u8 frame[NIC_FRAME_MAX_BYTES];
};

struct e1000 {
    struct pci_dev pci;
    struct dma_mem mem;
    struct clk *clk;
    struct irq_line irq;
    struct nic_back back;
    struct nic_front front; /* for the back end */
    u8 mac[NIC_MAC_BYTES];
    u32 reg[E1000_REGS];
    u32 io_address; /* BAR 1's window */
    u16 phy[32];
    u16 eeprom[64];
    struct {
        u32 lines; /* EECD as last written */
        u32 in;    /* bits shifted in since chip select */
        u32 in_bits, out_bit;
        bool reading;
    } wire;                          /* the EEPROM's serial interface */
    struct e1000_context context[2]; /* [1]: for segmentation */
    struct e1000_packet tx;
    struct clk_timer irq_timer, tx_timer;
    u64 irq_after_ns; /* ITR: not before */
    bool irq_level, link_down;
    u8 rx[NIC_FRAME_MAX_BYTES + 8];
};

/* Makes the function but does not plug it. */
void e1000_init(struct e1000 *e, const struct dma_mem *mem, struct clk *clk, struct irq_line irq,
                const u8 *mac, const struct nic_back *back);
void e1000_reset(struct e1000 *e);

/* For e1000_tx.c and the unit tests. */
static inline u32 *e1000_reg(struct e1000 *e, u32 offset)
{
    return &e->reg[offset / 4 % E1000_REGS];
}
void e1000_cause(struct e1000 *e, u32 causes);          /* sets bits of ICR */
void e1000_count(struct e1000 *e, u32 which, u32 more); /* a statistics register, which stays at its end */
void e1000_transmit(struct e1000 *e); /* as many descriptors as there are, room for, and fair */
void e1000_loop_back(struct e1000 *e, const u8 *frame, u32 bytes);
bool e1000_loops(struct e1000 *e);

#endif
