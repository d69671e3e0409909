/*
 * test_piix3.c - PCI interrupts: pins of several slots share a PIRQ, and a PIRQ an ISA interrupt.
 *
 * Slots 3 and 7 have their INTA on the same PIRQ. A card that lowers its pin must not take the other's request away.
 */
#include <criterion/criterion.h>

#include "board.h"
#include "devices/piix.h"

enum { PIRQRC = 0x60, IRQ = 11 };

Test(piix3, cards_that_share_a_pin_do_not_silence_each_other)
{
    struct board *b = board_new();
    static struct pci_bus pci;
    static struct piix3 bridge;
    static struct pic pic;

    cr_assert_eq(pic_init(&pic, &b->io, board_line(b, 0)), 0);
    cr_assert_eq(pci_init(&pci, &b->io, &b->mmio, NULL, NULL), 0);
    cr_assert_eq(piix3_init(&bridge, &pci, &pic), 0);
    io_bus_write(&b->io, 0xcf8, 4, 0x80000800u | PIRQRC);
    io_bus_write(&b->io, 0xcfc, 4, IRQ * 0x01010101u);
    const struct irq_line one = piix3_pin(&bridge, 3, 1), two = piix3_pin(&bridge, 7, 1),
                          other = piix3_pin(&bridge, 4, 1);

    irq_set(one, true);
    irq_set(two, true);
    cr_expect_neq(pic.sources[IRQ], 0);
    irq_set(two, false);
    cr_expect_neq(pic.sources[IRQ], 0, "slot 3 still asks");
    irq_set(other, true);
    irq_set(one, false);
    cr_expect_neq(pic.sources[IRQ], 0, "slot 4 still asks, by another PIRQ");
    irq_set(other, false);
    cr_expect_eq(pic.sources[IRQ], 0);
    free(b);
}
