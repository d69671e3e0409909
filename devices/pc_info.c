/*
 * pc_info.c - chips and buses as text for a person.
 *
 * Reads state and changes none: no register of a chip is read through its bus. Forms are QEMU's where it has them.
 */
#include "devices/pc_info.h"

#include <stdarg.h>
#include <stdio.h>

void info_put(struct info_sink *s, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(s->at < s->bytes ? s->buf + s->at : NULL, s->at < s->bytes ? s->bytes - s->at : 0, fmt, ap);
    va_end(ap);
    if (n > 0)
        s->at += (size_t)n;
}

void info_pic(struct info_sink *s, const struct pic *pic)
{
    for (unsigned i = 0; i < 2; i++) {
        const struct pic_chip *c = &pic->chip[i];

        info_put(s,
                 "pic%u: irr=%02x imr=%02x isr=%02x hprio=%u irq_base=%02x rr_sel=%u elcr=%02x fnm=%u\n", i,
                 c->irr, c->imr, c->isr, (c->lowest + 1) & 7, c->vector_base, c->read_isr, c->elcr,
                 c->icw4 >> 4 & 1);
    }
}

void info_irq(struct info_sink *s, const struct pic *pic)
{
    info_put(s, "IRQ statistics for isa-i8259:\n");
    for (unsigned i = 0; i < 16; i++)
        if (pic->acks[i])
            info_put(s, "%2u: %llu\n", i, (unsigned long long)pic->acks[i]);
}

static void one_bar(struct info_sink *s, const struct pci_dev *d, unsigned n)
{
    const struct pci_bar *bar = &d->bar[n];
    u64 at = bar->mapped ? bar->mapped_at : ~0ull, end = at + bar->bytes - 1;
    bool prefetch = n < 6 && (d->config[PCI_BAR0 + 4 * n] & 8);

    if (!bar->bytes)
        return;
    if (bar->is_io)
        info_put(s, "      BAR%u: I/O at 0x%04llx [0x%04llx].\n", n, (unsigned long long)at, (unsigned long long)end);
    else
        info_put(s, "      BAR%u: 32 bit %smemory at 0x%08llx [0x%08llx].\n", n, prefetch ? "prefetchable " : "", (unsigned long long)at,
                 (unsigned long long)end);
}

void info_pci(struct info_sink *s, const struct pci_bus *pci)
{
    for (unsigned i = 0; i < 256; i++) {
        const struct pci_dev *d = pci->dev[i];
        const char *class;

        if (!d)
            continue;
        class = info_pci_class(d);
        info_put(s, "  Bus  0, device %3u, function %u:\n", i >> 3, i & 7);
        if (class)
            info_put(s, "    %s", class);
        else
            info_put(s, "    Class %04x", pci_get16(d, PCI_CLASS));
        info_put(s, ": PCI device %04x:%04x\n", pci_get16(d, PCI_VENDOR), pci_get16(d, PCI_DEVICE));
        if (pci_get16(d, PCI_SUBSYS_VENDOR) || pci_get16(d, PCI_SUBSYS))
            info_put(s, "      PCI subsystem %04x:%04x\n", pci_get16(d, PCI_SUBSYS_VENDOR), pci_get16(d, PCI_SUBSYS));
        if (d->config[PCI_INT_PIN])
            info_put(s, "      IRQ %u, pin %c\n", d->config[PCI_INT_LINE], 'A' + ((d->config[PCI_INT_PIN] - 1) & 3));
        for (unsigned n = 0; n < PCI_BARS; n++)
            one_bar(s, d, n);
        info_put(s, "      id \"\"\n");
    }
}

void info_map(struct info_sink *s, const struct io_bus *io, const struct mmio_bus *mmio)
{
    info_put(s, "devices in memory:\n");
    for (unsigned i = 0; i < mmio->n; i++)
        info_put(s, "  %016llx-%016llx\n", (unsigned long long)mmio->range[i].base,
                 (unsigned long long)(mmio->range[i].base + mmio->range[i].bytes - 1));
    info_put(s, "ports:\n");
    for (u32 port = 0; port < 65536; port++) {
        unsigned owner = io->owner[port];
        u32 first = port;

        if (!owner)
            continue;
        while (port < 65535 && io->owner[port + 1] == owner)
            port++;
        info_put(s, "  %04x-%04x\n", first, port);
    }
}
