/*
 * ide_dma.c - the bus master of the PIIX3's IDE function (Programming Interface for Bus Master IDE Controller, 1.0).
 *
 *     +0 BMICOM  bit 0 start, bit 3 towards memory     +2 BMISTA  bit 0 active, 1 error, 2 interrupt, 5-6 drive can DMA
 *     +4 BMIDTP  table of {address, bytes | last << 31}; 0 bytes are 64 KiB
 *
 * Drive and bus master wait for each other: data moves as soon as the one is in a DMA phase and the other is started, whichever
 * came last. A table that ends too early leaves the drive waiting, as on the real thing; the guest's timeout resets it.
 */
#include "devices/ide_core.h"

enum { COM_START = 1, COM_TO_MEMORY = 8, STA_ACTIVE = 1, STA_ERROR = 2, STA_INTR = 4, STA_CAPABLE = 0x60 };
enum { BM_BYTES = 16 };

#define DESCRIPTORS_A_CALL 8192u /* more than 64 KiB of table can hold */

static bool fetch(struct ide *ide, struct ide_master *m)
{
    u8 e[8];
    if (m->last || !ide->mem.read || ide->mem.read(ide->mem.opaque, m->next, e, sizeof(e)))
        return false;
    m->next += 8;
    m->segment_gpa = (u32)(e[0] & 0xfe) | (u32)e[1] << 8 | (u32)e[2] << 16 | (u32)e[3] << 24;
    m->segment_bytes = (u32)(e[4] & 0xfe) | (u32)e[5] << 8;
    m->segment_bytes = m->segment_bytes ? m->segment_bytes : 65536;
    m->last = e[7] & 0x80;
    return true;
}

static bool move(struct ide *ide, u32 gpa, u8 *buf, u32 bytes, bool to_memory)
{
    if (to_memory)
        return ide->mem.write && !ide->mem.write(ide->mem.opaque, gpa, buf, bytes);
    return ide->mem.read && !ide->mem.read(ide->mem.opaque, gpa, buf, bytes);
}

static void failed(struct ide_drive *d)
{
    struct ide_master *m = &d->channel->master;
    m->status = (u8)((m->status & ~STA_ACTIVE) | STA_ERROR);
    if (d->kind == IDE_CDROM)
        atapi_check(d, 4, 8, 3); /* hardware error: logical unit communication CRC error */
    else
        ide_fail(d, ER_ABRT);
}

void ide_master_run(struct ide_drive *d)
{
    struct ide_channel *c = d->channel;
    struct ide_master *m = &c->master;
    bool to_memory = d->phase == IDE_DMA_IN;
    if ((d->phase != IDE_DMA_IN && d->phase != IDE_DMA_OUT) || !(m->status & STA_ACTIVE) ||
        d->filled > IDE_BUF_BYTES)
        return;
    if (!(pci_get16(&c->ide->pci, PCI_COMMAND) & PCI_COMMAND_MASTER) ||
        to_memory != !!(m->command & COM_TO_MEMORY)) {
        failed(d);
        return;
    }
    for (unsigned i = 0; d->at < d->filled && i < DESCRIPTORS_A_CALL; i++) {
        if (!m->segment_bytes) {
            if (m->last) { /* exhausted: the drive is left waiting */
                m->status &= (u8)~STA_ACTIVE;
                return;
            }
            if (!fetch(c->ide, m)) {
                failed(d);
                return;
            }
        }
        u32 n = (u32)min_u64(m->segment_bytes, d->filled - d->at);
        if (!move(c->ide, m->segment_gpa, d->buf + d->at, n, to_memory)) {
            failed(d);
            return;
        }
        m->segment_gpa += n;
        m->segment_bytes -= n;
        d->at += n;
    }
    if (d->at < d->filled)
        return;
    if (d->kind == IDE_CDROM)
        atapi_block_over(d);
    else
        ide_disk_block_over(d);
}

void ide_master_end(struct ide_drive *d)
{
    struct ide_master *m = &d->channel->master;
    if (m->last && !m->segment_bytes)
        m->status &= (u8)~STA_ACTIVE;
}

static void command_write(struct ide_channel *c, u8 val)
{
    struct ide_master *m = &c->master;
    bool was = m->command & COM_START, is = val & COM_START;
    m->command = val & (COM_START | COM_TO_MEMORY);
    if (!is) {
        m->status &= (u8)~STA_ACTIVE;
    } else if (!was) {
        m->next = m->table;
        m->segment_bytes = 0;
        m->last = false;
        m->status |= STA_ACTIVE;
        for (unsigned i = 0; i < 2; i++)
            if (c->drive[i].dma)
                ide_master_run(&c->drive[i]);
    }
}

static u32 bm_read(void *opaque, u32 offset, unsigned size)
{
    struct ide *ide = opaque;
    const struct ide_master *m = &ide->channel[offset >> 3 & 1].master;
    const u8 reg[8] = {
        m->command,          0xff, m->status, 0xff, (u8)m->table, (u8)(m->table >> 8), (u8)(m->table >> 16),
        (u8)(m->table >> 24)};
    u32 v = 0;
    for (unsigned i = 0; i < size; i++)
        v |= (u32)reg[(offset + i) & 7] << 8 * i;
    return v;
}

static void bm_write(void *opaque, u32 offset, unsigned size, u32 val)
{
    struct ide *ide = opaque;
    struct ide_channel *c = &ide->channel[offset >> 3 & 1];
    struct ide_master *m = &c->master;
    for (unsigned i = 0; i < size; i++) {
        unsigned reg = (offset + i) & 7, shift = 8 * (reg & 3);
        u8 v = (u8)(val >> 8 * i);
        if (reg == 0)
            command_write(c, v);
        else if (reg == 2)
            m->status = (u8)((v & STA_CAPABLE) | (m->status & STA_ACTIVE) |
                             (m->status & ~v & (STA_ERROR | STA_INTR)));
        else if (reg >= 4)
            m->table = ((m->table & ~(0xffu << shift)) | (u32)v << shift) & ~3u;
    }
}

static const struct bus_ops bm_ops = {.read = bm_read, .write = bm_write, .max_size = 4};

void ide_master_init(struct ide *ide)
{
    pci_dev_bar(&ide->pci, 4, BM_BYTES, true, 0, &bm_ops, ide);
}
