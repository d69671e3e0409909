/*
 * i440fx.c - the 82441FX host bridge (8086:1237): memory attributes of 640K-1M.
 *
 * PAM0-PAM6 (59h-5Fh) say for each area whether reads and writes go to RAM or to the PCI bus (where
 * the firmware ROM is). Each change is reported to whoever maps memory.
 *
 *     59h: 7-4 F0000h-FFFFFh            5Ah+i: 3-0 C0000h + i * 32K, 7-4 the 16K after
 *     nibble: bit 0 read RAM, bit 1 write RAM
 *     72h SMRAM: 6 open 5 closed 4 lock 3 enable 2-0 base segment (010b: A0000h)
 */
#include "devices/piix.h"

#include <string.h>

enum { PAM0 = 0x59, SMRAM = 0x72 };
enum { SMRAM_OPEN = 0x40, SMRAM_CLOSED = 0x20, SMRAM_LOCK = 0x10, SMRAM_ENABLE = 0x08 };

static void report(struct i440fx *fx, unsigned n, u32 gpa, u32 bytes, u8 attr)
{
    if (fx->area[n] == attr)
        return;
    fx->area[n] = attr;
    if (fx->pam_changed)
        fx->pam_changed(fx->opaque, gpa, bytes, attr & 1, attr & 2);
}

static void written(void *opaque, unsigned offset, unsigned size)
{
    struct i440fx *fx = opaque;
    u8 *config = fx->pci.config;
    if (offset > SMRAM || offset + size <= PAM0)
        return;
    if (config[SMRAM] & SMRAM_LOCK) {
        config[SMRAM] &= (u8)~SMRAM_OPEN;
        fx->pci.wmask[SMRAM] = SMRAM_CLOSED;
    }
    report(fx, 0, 0xa0000, 0x20000, config[SMRAM] & SMRAM_OPEN ? 3 : 0);
    for (unsigned i = 0; i < 12; i++)
        report(fx, 1 + i, 0xc0000 + i * 0x4000, 0x4000, config[PAM0 + 1 + i / 2] >> (i & 1 ? 4 : 0) & 3);
    report(fx, 13, 0xf0000, 0x10000, config[PAM0] >> 4 & 3);
    if (offset == 0) /* reset lifts the lock */
        fx->pci.wmask[SMRAM] = SMRAM_OPEN | SMRAM_CLOSED | SMRAM_LOCK | SMRAM_ENABLE;
}

int i440fx_init(struct i440fx *fx, struct pci_bus *pci,
                void (*pam_changed)(void *opaque, u32 gpa, u32 bytes, bool read_ram, bool write_ram),
                void *opaque)
{
    static const struct pci_id id = {.vendor = 0x8086, .device = 0x1237, .class = 0x0600, .revision = 2};
    memset(fx, 0, sizeof(*fx));
    memset(fx->area, 0xff, sizeof(fx->area));
    fx->pam_changed = pam_changed;
    fx->opaque = opaque;
    pci_dev_init(&fx->pci, &id);
    pci_set16(&fx->pci, PCI_COMMAND, PCI_COMMAND_MEM | PCI_COMMAND_MASTER);
    pci_set16(&fx->pci, PCI_STATUS, 0x0280);
    fx->pci.config[SMRAM] = 0x02;
    fx->pci.wmask[SMRAM] = SMRAM_OPEN | SMRAM_CLOSED | SMRAM_LOCK | SMRAM_ENABLE;
    fx->pci.written = written;
    fx->pci.opaque = fx;
    return pci_dev_plug(pci, &fx->pci, 0, 0);
}
