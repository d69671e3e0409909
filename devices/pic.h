/*
 * pic.h - the 8259A pair of a PC with the ELCR of the PIIX.
 */
#ifndef NOVT_DEVICES_PIC_H
#define NOVT_DEVICES_PIC_H

#include "devices/bus.h"

struct pic_chip {
    u8 irr, imr, isr;
    u8 line;        /* level of each input, for edge detection */
    u8 elcr;        /* 1 = level triggered */
    u8 elcr_mask;   /* which ELCR bits exist */
    u8 lowest;      /* input with the lowest priority: 7 after reset */
    u8 vector_base; /* ICW2 */
    u8 cascade;     /* ICW3: input mask (master) or own id (slave) */
    u8 icw4;
    u8 init_step; /* 0 = operating, else the ICW expected next: 2, 3 or 4 */
    bool icw4_needed, single, ltim;
    bool read_isr, poll, special_mask, rotate_auto_eoi;
    bool is_slave;
};

struct pic {
    struct pic_chip chip[2]; /* master, slave */
    u8 sources[16];          /* per input: which of its sources are up (wired OR) */
    u64 acks[16];            /* interrupts taken, for people */
    struct irq_line intr;    /* to the CPU */
    struct irq_line mirror;  /* hears every input (n), as an I/O APIC does; fn NULL: nobody */
    bool intr_level;
};

int pic_init(struct pic *pic, struct io_bus *io, struct irq_line intr) MUST_CHECK;
void pic_reset(struct pic *pic);

/* Input 0-15 of the pair as a line (2 is the cascade: a line that does nothing). Lines of the same
 * input with different sources (0-7) are ORed. */
struct irq_line pic_line(struct pic *pic, unsigned irq, unsigned source);

/* The INTA cycles: returns the vector; the spurious one (input 7 of the chip) if nothing is pending. */
u8 pic_ack(struct pic *pic);

static inline bool pic_intr(const struct pic *pic)
{
    return pic->intr_level;
}

#endif
