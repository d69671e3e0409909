/*
 * rig.h - a translator without a machine, for tests that look at what it emits: a CPU with every feature, a code cache, the verifier on.
 */
#ifndef NOVT_TESTS_BT_RIG_H
#define NOVT_TESTS_BT_RIG_H

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "bt/internal.h"

static struct cpu *cpu;
static struct cc *cc;
static struct bt *bt;

static void rig_new(const struct bt_hooks *hooks)
{
    struct bt_options opt = {.verify = true};

    cpu = aligned_alloc(64, (sizeof(*cpu) + 63) & ~63ul);
    memset(cpu, 0, sizeof(*cpu));
    cpu->features = 0xffffffffu;
    cr_assert_eq(cc_new(&cc, 8 << 20), 0);
    cr_assert_eq(bt_new(&bt, cpu, cc, hooks, &opt), 0);
}

static void rig_free(void)
{
    bt_free(bt);
    cc_free(cc);
    free(cpu);
}

/* Always the same numbers. */
static u32 rnd(void)
{
    static u64 rng = 0x9e3779b97f4a7c15u;

    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return (u32)(rng >> 16);
}

#endif
