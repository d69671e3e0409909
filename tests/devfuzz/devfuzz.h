/*
 * devfuzz.h - random traffic against the whole PC: what a target works with.
 *
 * A target is one function that does a little of something to the machine: a few register writes, a command, a medium that goes. To add
 * one for a device, write it in a file of its own, declare it here and give it a row in devfuzz.c's table.
 */
#ifndef NOVT_TESTS_DEVFUZZ_H
#define NOVT_TESTS_DEVFUZZ_H

#include "devices/devices.h"
#include "tests/unit/devices/fakedisk.h"

enum { FUZZ_RAM = 1 << 20, FUZZ_DISKS = PC_IDE_DRIVES + PC_FLOPPIES };

struct fuzz {
    u64 state; /* of the generator */
    u64 now_ns;
    struct pc *pc;
    u8 *ram;
    struct fake_disk *disk[FUZZ_DISKS]; /* IDE drives, floppies; NULL: none */
    bool wants_reset;
};

static inline u32 fuzz_random(struct fuzz *f)
{
    f->state ^= f->state << 13; /* xorshift64 */
    f->state ^= f->state >> 7;
    f->state ^= f->state << 17;
    return (u32)(f->state >> 16);
}

static inline u32 fuzz_below(struct fuzz *f, u32 n)
{
    return n ? fuzz_random(f) % n : 0;
}

/* Numbers near which things go wrong: 0, 1, powers of two and their neighbours, all ones; or just any. */
static inline u32 fuzz_edge(struct fuzz *f)
{
    u32 r = fuzz_below(f, 8), bit = 1u << fuzz_below(f, 32);
    return r == 0   ? 0
           : r == 1 ? 1
           : r == 2 ? bit
           : r == 3 ? bit - 1
           : r == 4 ? 0u - bit
           : r == 5 ? 0xffffffffu
                    : fuzz_random(f);
}

static inline void fuzz_out(struct fuzz *f, u16 port, u32 val)
{
    pc_pio_write(f->pc, port, 1, val & 0xff);
}

/* target_net.c: a back end for the machine's network cards. */
struct nic_back fuzz_nic_back(struct fuzz *f);

void target_ports(struct fuzz *f);
void target_pci(struct fuzz *f);
void target_mmio(struct fuzz *f);
void target_time(struct fuzz *f);
void target_disks(struct fuzz *f); /* what back ends do: end requests, change media, fail */
void target_ide(struct fuzz *f);
void target_atapi(struct fuzz *f);
void target_floppy(struct fuzz *f);
void target_net(struct fuzz *f);
void target_apic(struct fuzz *f);

#endif
