/*
 * guest.h - a small guest for the tests of the shadow MMU: page tables in guest RAM, and accesses to windows that
 * really fault.
 *
 * A test builds tables with put_entry(), then guest_read() and guest_write() touch the window's memory; the SIGSEGV
 * handler calls mmu_fill() as the monitor does and records what it said.
 */
#ifndef NOVT_TEST_MMU_GUEST_H
#define NOVT_TEST_MMU_GUEST_H

#include "shadowmmu/shadowmmu.h"

#include <criterion/criterion.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define P 1u
#define W 2u
#define U 4u
#define A 0x20u
#define D 0x40u
#define PS 0x80u
#define G 0x100u
#define NX (1ull << 63)

#define MB (1u << 20)
#define LOG 4096

struct guest {
    struct mmu *m;
    struct mmu_window *w; /* where accesses go */
    struct mmu_info info; /* of the last fill */
    enum mmu_result result;
    u32 fills;
    sigjmp_buf out;
    volatile bool in_access;
    u32 n_changed;
    struct {
        struct mmu_window *w;
        u32 gva, n;
    } changed[LOG];
    u32 freed;
};

extern struct guest g;

/* RAM at 0..ram_bytes with a hole at 640K..1M, ROM (64 KiB, 0xf0 bytes) at 0xf0000 and below 4 GiB. */
void guest_start(u64 ram_bytes, u32 max_mappings, u32 max_windows);
void guest_stop(void);

u32 *guest_word(u64 gpa);
void put_entry(const struct mmu_regime *r, u64 table, u32 i, u64 v);
u64 get_entry(const struct mmu_regime *r, u64 table, u32 i);
void load_pdptes(const struct mmu_regime *r);                /* from memory, if PAE */
void window(const struct mmu_regime *r, enum mmu_priv priv); /* g.w */

/* MMU_OK: done, value in *v. Else what the fill said, info in g.info. */
enum mmu_result guest_read(u32 gva, u32 *v);
enum mmu_result guest_write(u32 gva, u32 v);

bool changed_covers(const struct mmu_window *w, u32 gva);

/* Number of host mappings in the window's range (with what touches it), and whether the host has the page mapped: 0 no, 1 read, 2 write. */
u32 host_vmas(const struct mmu_window *w);
int host_rights(const struct mmu_window *w, u32 gva);

#endif
