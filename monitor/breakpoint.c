/*
 * breakpoint.c - what breakpoint.h promises.
 *
 * Translations are made for a set of breakpoints. When one comes that they do not know, all are thrown away before the guest runs
 * on; one that goes needs nothing, since a block that ends early is as good as any. A debugger takes its breakpoints out at
 * every stop and puts them back in, which therefore costs nothing.
 */
#include "monitor/breakpoint.h"

#include <stdlib.h>
#include <string.h>

#include "monitor/machine.h"

static bool is_code(unsigned kind)
{
    return kind <= BRK_HARD;
}

static void update_flags(struct novt_vm *vm)
{
    u8 flags = (u8)(vm->brk_flags & ~BRK_F_POINTS);

    for (u32 i = 0; vm->brk && i < vm->brk->n; i++)
        flags |= is_code(vm->brk->point[i].kind) ? BRK_F_CODE : BRK_F_DATA;
    vm->brk_flags = flags | BRK_F_STALE;
}

static struct brk_set *set_of(struct novt_vm *vm)
{
    if (!vm->brk)
        vm->brk = calloc(1, sizeof(*vm->brk));
    return vm->brk;
}

static struct brk_point *find(struct brk_set *s, enum brk_kind kind, u32 lin, u32 len)
{
    for (u32 i = 0; s && i < s->n; i++) {
        struct brk_point *p = &s->point[i];

        if (p->kind == kind && p->lin == lin && (is_code(kind) || p->len == len))
            return p;
    }
    return NULL;
}

/* Pages that watchpoints touch. */
static u32 watched_pages(const struct brk_set *s, u32 *page, u32 max)
{
    u32 n = 0;

    for (u32 i = 0; i < s->n; i++) {
        const struct brk_point *p = &s->point[i];

        if (is_code(p->kind))
            continue;
        for (u32 at = p->lin >> PAGE_SHIFT, last = (p->lin + p->len - 1) >> PAGE_SHIFT;;
             at = (at + 1) & 0xfffff) {
            u32 k = 0;

            while (k < n && page[k] != at)
                k++;
            if (k == n) {
                if (n == max)
                    return max + 1;
                page[n++] = at;
            }
            if (at == last)
                break;
        }
    }
    return n;
}

int brk_insert(struct novt_vm *vm, enum brk_kind kind, u32 lin, u32 len)
{
    struct brk_set *s = set_of(vm);
    u32 page[MMU_TRAPS_MAX];

    if (!s)
        return -ENOMEM;
    if (kind >= BRK_KINDS || (!is_code(kind) && (len == 0 || len > BRK_WATCH_BYTES_MAX)))
        return -EINVAL;
    if (find(s, kind, lin, len))
        return 0;
    if (s->n == BRK_POINTS_MAX)
        return -ENOSPC;
    s->point[s->n++] = (struct brk_point){lin, is_code(kind) ? 0 : len, (u8)kind};
    if (!is_code(kind) && watched_pages(s, page, MMU_TRAPS_MAX) > MMU_TRAPS_MAX) {
        s->n--;
        return -ENOSPC;
    }
    update_flags(vm);
    return 0;
}

int brk_remove(struct novt_vm *vm, enum brk_kind kind, u32 lin, u32 len)
{
    struct brk_point *p = find(vm->brk, kind, lin, len);

    if (!p)
        return -ENOENT;
    *p = vm->brk->point[--vm->brk->n];
    update_flags(vm);
    return 0;
}

void brk_clear(struct novt_vm *vm)
{
    if (!vm->brk)
        return;
    vm->brk->n = 0;
    vm->brk->standing = false;
    vm->brk_flags = 0;
    update_flags(vm);
}

void brk_free(struct novt_vm *vm)
{
    free(vm->brk);
    vm->brk = NULL;
    vm->brk_flags = 0;
}

void brk_step_next(struct novt_vm *vm, bool quiet)
{
    if (!set_of(vm))
        return;
    vm->brk->standing = false;
    vm->brk->why = BRK_WHY_OTHER;
    vm->brk_flags =
        (u8)((vm->brk_flags & ~(BRK_F_STEP | BRK_F_QUIET)) | BRK_F_STEP | (quiet ? BRK_F_QUIET : 0));
}

void brk_run_next(struct novt_vm *vm)
{
    if (vm->brk)
        vm->brk->why = BRK_WHY_OTHER;
    vm->brk_flags &= (u8) ~(BRK_F_STEP | BRK_F_QUIET);
}

/* ---- while the guest runs ---- */

static bool breakpoint_at(const struct brk_set *s, u32 lin)
{
    for (u32 i = 0; i < s->n; i++)
        if (is_code(s->point[i].kind) && s->point[i].lin == lin)
            return true;
    return false;
}

static bool is_made(const struct brk_set *s, u32 lin)
{
    for (u32 i = 0; i < s->n_made; i++)
        if (s->made[i] == lin)
            return true;
    return false;
}

/* Translations and traps as the set asks for them. */
static void prepare(struct novt_vm *vm)
{
    struct brk_set *s = vm->brk;
    u32 page[MMU_TRAPS_MAX], n = watched_pages(s, page, MMU_TRAPS_MAX);
    bool unknown = false;

    vm->brk_flags &= (u8)~BRK_F_STALE;
    for (u32 i = 0; i < s->n; i++)
        unknown |= is_code(s->point[i].kind) && !is_made(s, s->point[i].lin);
    s->n_made = 0;
    for (u32 i = 0; i < s->n; i++)
        if (is_code(s->point[i].kind))
            s->made[s->n_made++] = s->point[i].lin;
    if (unknown) {
        vm->n_slow = 0;
        mon_cache_flush(vm);
    }
    if (mmu_trap(vm->mmu, page, n)) /* brk_insert() counted them */
        brk_clear(vm);
}

static void pause_for(struct novt_vm *vm, enum brk_why why)
{
    vm->brk->why = why;
    vm->brk_flags &= (u8) ~(BRK_F_STEP | BRK_F_QUIET);
    control_pause(machine_of(vm), NOVT_DEBUGGED);
}

enum brk_turn brk_turn(struct novt_vm *vm)
{
    struct brk_set *s = vm->brk;
    u32 lin = vm->cpu.seg_base[SEG_CS] + vm->cpu.eip;
    bool standing = s->standing && s->hit_lin == lin;
    u64 gpa;

    if (vm->brk_flags & BRK_F_STALE)
        prepare(vm);
    if (vm->brk_flags & BRK_F_STEP) {
        vm->cpu.kick = 1; /* of a repeated instruction one iteration */
        return BRK_TURN_ONE;
    }
    if (!(vm->brk_flags & BRK_F_CODE) || !breakpoint_at(s, lin))
        return BRK_TURN_GO;
    if (mmu_peek(vm->mmu, &vm->regime, lin, &gpa) !=
        MMU_OK) /* the guest's page fault first: then there is something to see */
        return BRK_TURN_GO;
    s->standing = !standing;
    if (standing)
        return BRK_TURN_ONE;
    s->hit_lin = lin;
    pause_for(vm, BRK_WHY_BREAKPOINT);
    return BRK_TURN_PAUSE;
}

void brk_stepped(struct novt_vm *vm)
{
    if (!vm->paused)
        pause_for(vm, BRK_WHY_STEP);
}

u32 brk_room(const struct novt_vm *vm, u32 lin, u32 max)
{
    const struct brk_set *s = vm->brk;

    for (u32 i = 0; i < s->n; i++)
        if (is_code(s->point[i].kind) && s->point[i].lin - lin - 1 < max - 1)
            max = s->point[i].lin - lin;
    return max;
}

void brk_data(struct cpu *cpu, u32 lin, unsigned size, bool write)
{
    struct novt_vm *vm = mon_vm(cpu);
    struct brk_set *s = vm->brk;

    for (u32 i = 0; i < s->n; i++) {
        const struct brk_point *p = &s->point[i];

        if (is_code(p->kind) || (p->kind == BRK_WRITE && !write) || (p->kind == BRK_READ && write))
            continue;
        if (lin - p->lin >= p->len && p->lin - lin >= size)
            continue;
        if (vm->paused) /* the first hit of an instruction is told */
            return;
        s->hit_kind = p->kind;
        s->hit_lin = p->lin;
        s->standing = false;
        vm->code_dropped = 1; /* an instruction carried out inside a block leaves it */
        pause_for(vm, BRK_WHY_WATCH);
        return;
    }
}
