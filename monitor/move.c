/*
 * move.c - code that is known at another linear address: its translations go there.
 *
 * Each process has its libraries elsewhere. When a block is not found, but one of the same code at another address is, and nobody
 * has that address mapped to it any more, the page's translations move (bt_move()). What could still lead to them by the old
 * address are jump caches and return stacks of windows whose code map has the page there: such a window claims it. A claim of a
 * window whose process has ended, as the guest's tables say, is void: everything of that window is dropped then. (Code that loses its
 * window's claim while it runs, by a hidden fault or in C, leaves before it goes on.)
 */
#include "monitor/breakpoint.h"
#include "monitor/monitor.h"

#define CANDIDATES 8u /* addresses looked at; more processes at a time get translations of their own */

static bool claims(const struct mon_ctx *c, u32 lin, u32 entry)
{
    return c->code_in_4m[lin >> 22] && c->code_map[lin >> PAGE_SHIFT] == entry;
}

/* Does any window rely on what stands at lin, translated from gpa? */
static bool claimed(struct novt_vm *vm, u32 lin, u32 gpa)
{
    u32 entry = (gpa & ~PAGE_MASK) | 1;
    for (const struct mon_ctx *c = vm->ctxs; c; c = c->next) {
        if (!claims(c, lin, entry))
            continue;
        if (c->win == vm->win || mmu_window_maps(vm->mmu, c->win, lin, gpa))
            return true;
        mon_window_changed(vm, c->win, 0, 1u << 20);
    }
    return false;
}

/* The list of instructions that touch MMIO is of addresses: is one in the page? */
static bool has_slow(const struct novt_vm *vm, u32 eip)
{
    for (u32 i = 0; i < vm->n_slow; i++)
        if (!((vm->slow_eip[i] ^ eip) & ~PAGE_MASK))
            return true;
    return false;
}

bool mon_move_here(struct novt_vm *vm, const struct cc_key *key)
{
    struct cc_block *b = NULL;
    if (!(key->mode & MODE_CPL3) || !vm->regime.paging || (vm->brk_flags & BRK_F_CODE))
        return false;
    for (u32 i = 0; i < CANDIDATES && (b = bt_movable(vm->bt, key, b)); i++) {
        if (has_slow(vm, key->eip) || has_slow(vm, b->key.eip) ||
            cc_page(vm->cc, key->gpa)->flags & MON_PAGE_GLOBAL || claimed(vm, b->key.eip, b->key.gpa))
            continue;
        if (bt_fpu_pending(&vm->cpu)) /* its instruction is found by its block */
            mon_fpu_note(&vm->cpu);
        bt_move(vm->bt, b, key->eip);
        return true;
    }
    return false;
}
