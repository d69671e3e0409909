/*
 * pic.c - two cascaded 8259A interrupt controllers (Intel 8259A data sheet; PIIX3 for the ELCR).
 *
 * Ports 20h/21h master, A0h/A1h slave, 4D0h/4D1h edge/level control. All ICWs and OCWs; fully nested,
 * special mask, rotation, automatic EOI, special fully nested mode, polling. An edge latches IRR and
 * stays latched if the line falls again, which is what keeps short timer pulses from being lost.
 */
#include "devices/pic.h"

#include <string.h>

enum { CASCADE_IRQ = 2, NONE = 8 };
enum { ICW1_ICW4 = 0x01, ICW1_SINGLE = 0x02, ICW1_LTIM = 0x08, ICW1_INIT = 0x10 };
enum { ICW4_AEOI = 0x02, ICW4_SFNM = 0x10 };
enum { OCW_IS_OCW3 = 0x08 };
enum { OCW3_RIS = 0x01, OCW3_RR = 0x02, OCW3_POLL = 0x04, OCW3_SMM = 0x20, OCW3_ESMM = 0x40 };

static u8 bit_of(unsigned n)
{
    return (u8)(1u << (n & 7));
}

/* Highest-priority bit of mask as a rank: 0 = highest, NONE if mask is empty. */
static unsigned top_rank(const struct pic_chip *c, u8 mask)
{
    for (unsigned rank = 0; rank < 8; rank++)
        if (mask & bit_of(c->lowest + 1u + rank))
            return rank;
    return NONE;
}

static unsigned rank_to_input(const struct pic_chip *c, unsigned rank)
{
    return (c->lowest + 1u + rank) & 7;
}

/* The input that would be acknowledged now, NONE if there is none. */
static unsigned chip_pending(const struct pic_chip *c)
{
    unsigned rank = top_rank(c, c->irr & (u8)~c->imr);
    if (rank == NONE)
        return NONE;
    u8 busy = c->isr;
    if (c->special_mask)
        busy &= (u8)~c->imr;
    /* Special fully nested: the cascade input does not block a higher request of the same slave. */
    if ((c->icw4 & ICW4_SFNM) && !c->is_slave)
        busy &= (u8)~c->cascade;
    return rank < top_rank(c, busy) ? rank_to_input(c, rank) : NONE;
}

static bool is_level(const struct pic_chip *c, unsigned n)
{
    return c->ltim || (c->elcr & bit_of(n));
}

/* False if a rising edge was lost: the input is unmasked and already requested. */
static bool chip_set(struct pic_chip *c, unsigned n, bool level)
{
    u8 bit = bit_of(n);
    bool kept = true;
    if (is_level(c, n)) {
        c->irr = level ? c->irr | bit : c->irr & (u8)~bit;
    } else if (level && !(c->line & bit)) {
        kept = !(c->irr & bit) || (c->imr & bit);
        c->irr |= bit;
    }
    c->line = level ? c->line | bit : c->line & (u8)~bit;
    return kept;
}

static void update(struct pic *pic)
{
    struct pic_chip *m = &pic->chip[0];
    bool slave_wants = chip_pending(&pic->chip[1]) != NONE;
    /* The slave's INT output is a level that the master's input follows whatever the trigger mode:
     * the slave keeps it up until acknowledged, then a next request is a new edge. */
    m->irr = slave_wants ? m->irr | bit_of(CASCADE_IRQ) : m->irr & (u8)~bit_of(CASCADE_IRQ);
    bool level = chip_pending(m) != NONE;
    if (level != pic->intr_level) {
        pic->intr_level = level;
        irq_set(pic->intr, level);
    }
}

/* n: bits 3-0 input, 6-4 source */
static bool pic_set_irq(void *opaque, unsigned n, bool level)
{
    struct pic *pic = opaque;
    unsigned irq = n & 15;
    u8 source = bit_of(n >> 4);
    pic->sources[irq] = level ? pic->sources[irq] | source : pic->sources[irq] & (u8)~source;
    bool kept = chip_set(&pic->chip[irq >> 3], irq & 7, pic->sources[irq]);
    update(pic);
    if (pic->mirror.fn && !pic->mirror.fn(pic->mirror.opaque, irq, pic->sources[irq]))
        kept = false;
    return kept;
}

struct irq_line pic_line(struct pic *pic, unsigned irq, unsigned source)
{
    if (irq > 15 || irq == CASCADE_IRQ || source > 7)
        return (struct irq_line){0};
    return (struct irq_line){.fn = pic_set_irq, .opaque = pic, .n = irq | source << 4};
}

static void chip_ack(struct pic_chip *c, unsigned n)
{
    if (c->icw4 & ICW4_AEOI) {
        if (c->rotate_auto_eoi)
            c->lowest = (u8)n;
    } else {
        c->isr |= bit_of(n);
    }
    if (!is_level(c, n))
        c->irr &= (u8)~bit_of(n);
}

u8 pic_ack(struct pic *pic)
{
    struct pic_chip *m = &pic->chip[0], *s = &pic->chip[1];
    unsigned n = chip_pending(m);
    u8 vector;
    if (n == NONE) {
        vector = m->vector_base + 7;
    } else if (n == CASCADE_IRQ) {
        unsigned k = chip_pending(s);
        if (k != NONE) {
            chip_ack(s, k);
            pic->acks[8 + k]++;
        } else {
            k = 7;
        }
        chip_ack(m, n);
        vector = (u8)(s->vector_base + k);
    } else {
        chip_ack(m, n);
        pic->acks[n]++;
        vector = (u8)(m->vector_base + n);
    }
    update(pic);
    return vector;
}

/* Power-up and ICW1 state. The lines stay as their devices drive them, as does the ELCR. */
static void chip_init(struct pic_chip *c)
{
    /* Inputs high now must go low and high again to count as an edge. */
    c->irr &= c->elcr;
    c->imr = c->isr = 0;
    c->lowest = 7;
    c->vector_base = c->cascade = c->icw4 = 0;
    c->init_step = 0;
    c->icw4_needed = c->single = c->ltim = false;
    c->read_isr = c->poll = c->special_mask = c->rotate_auto_eoi = false;
}

static void write_icw1(struct pic_chip *c, u8 val)
{
    chip_init(c);
    c->icw4_needed = val & ICW1_ICW4;
    c->single = val & ICW1_SINGLE;
    c->ltim = val & ICW1_LTIM;
    c->init_step = 2;
    if (c->ltim)
        c->irr = c->line;
}

static void write_ocw3(struct pic_chip *c, u8 val)
{
    if (val & OCW3_POLL)
        c->poll = true;
    if (val & OCW3_RR)
        c->read_isr = val & OCW3_RIS;
    if (val & OCW3_ESMM)
        c->special_mask = val & OCW3_SMM;
}

static void write_ocw2(struct pic_chip *c, u8 val)
{
    unsigned level = val & 7, rank;
    switch (val >> 5) {
    case 0: /* rotate in automatic EOI mode: clear */
    case 4: /* ... set */ c->rotate_auto_eoi = val >> 7; break;
    case 1: /* non-specific EOI */
    case 5: /* ... and rotate */
        rank = top_rank(c, c->special_mask ? c->isr & (u8)~c->imr : c->isr);
        if (rank != NONE) {
            unsigned n = rank_to_input(c, rank);
            c->isr &= (u8)~bit_of(n);
            if (val >> 7)
                c->lowest = (u8)n;
        }
        break;
    case 3: /* specific EOI */
    case 7: /* ... and rotate */
        c->isr &= (u8)~bit_of(level);
        if (val >> 7)
            c->lowest = (u8)level;
        break;
    case 6: /* set priority */ c->lowest = (u8)level; break;
    default: /* 2: no operation */ break;
    }
}

static void write_data(struct pic_chip *c, u8 val)
{
    switch (c->init_step) {
    case 2:
        c->vector_base = val & 0xf8;
        c->init_step = !c->single ? 3 : c->icw4_needed ? 4 : 0;
        break;
    case 3:
        c->cascade = val;
        c->init_step = c->icw4_needed ? 4 : 0;
        break;
    case 4:
        c->icw4 = val;
        c->init_step = 0;
        break;
    default: c->imr = val; break;
    }
}

static void chip_write(struct pic *pic, unsigned which, u32 offset, u8 val)
{
    struct pic_chip *c = &pic->chip[which];
    if (offset & 1)
        write_data(c, val);
    else if (val & ICW1_INIT)
        write_icw1(c, val);
    else if (val & OCW_IS_OCW3)
        write_ocw3(c, val);
    else
        write_ocw2(c, val);
    update(pic);
}

/* A read after the poll command is an INTA: bit 7 = there was a request, bits 2-0 which. */
static u8 poll_read(struct pic *pic, struct pic_chip *c)
{
    unsigned n = chip_pending(c);
    c->poll = false;
    if (n == NONE)
        return 0;
    chip_ack(c, n);
    update(pic);
    return (u8)(0x80 | n);
}

static u8 chip_read(struct pic *pic, unsigned which, u32 offset)
{
    struct pic_chip *c = &pic->chip[which];
    if (c->poll)
        return poll_read(pic, c);
    if (offset & 1)
        return c->imr;
    return c->read_isr ? c->isr : c->irr;
}

static u32 master_read(void *opaque, u32 offset, unsigned size)
{
    (void)size;
    return chip_read(opaque, 0, offset);
}

static void master_write(void *opaque, u32 offset, unsigned size, u32 val)
{
    (void)size;
    chip_write(opaque, 0, offset, (u8)val);
}

static u32 slave_read(void *opaque, u32 offset, unsigned size)
{
    (void)size;
    return chip_read(opaque, 1, offset);
}

static void slave_write(void *opaque, u32 offset, unsigned size, u32 val)
{
    (void)size;
    chip_write(opaque, 1, offset, (u8)val);
}

static u32 elcr_read(void *opaque, u32 offset, unsigned size)
{
    struct pic *pic = opaque;
    (void)size;
    return pic->chip[offset & 1].elcr;
}

static void elcr_write(void *opaque, u32 offset, unsigned size, u32 val)
{
    struct pic *pic = opaque;
    struct pic_chip *c = &pic->chip[offset & 1];
    (void)size;
    c->elcr = (u8)val & c->elcr_mask;
    /* A level input requests exactly while its line is up. */
    c->irr = (c->irr & (u8)~c->elcr) | (c->line & c->elcr);
    update(pic);
}

static const struct bus_ops master_ops = {.read = master_read, .write = master_write};
static const struct bus_ops slave_ops = {.read = slave_read, .write = slave_write};
static const struct bus_ops elcr_ops = {.read = elcr_read, .write = elcr_write};

int pic_init(struct pic *pic, struct io_bus *io, struct irq_line intr)
{
    memset(pic, 0, sizeof(*pic));
    pic->intr = intr;
    pic->chip[1].is_slave = true;
    pic->chip[0].elcr_mask = 0xf8; /* 0, 1, 2 are always edge */
    pic->chip[1].elcr_mask = 0xde; /* 8, 13 too */
    pic_reset(pic);
    int err = io_bus_register(io, 0x20, 2, &master_ops, pic);
    if (!err)
        err = io_bus_register(io, 0xa0, 2, &slave_ops, pic);
    if (!err)
        err = io_bus_register(io, 0x4d0, 2, &elcr_ops, pic);
    return err;
}

void pic_reset(struct pic *pic)
{
    for (unsigned i = 0; i < 2; i++) {
        pic->chip[i].elcr = 0;
        pic->chip[i].irr = 0;
        chip_init(&pic->chip[i]);
    }
    update(pic);
}
