/*
 * test_pick.c - The decision algorithm: its truth table, one condition at a time and in their order, and what a context learns about cost.
 */
#include <criterion/criterion.h>

#include "bt/bt.h"
#include "monitor/pick.h"

#define SEGS(cls)                                                              \
    ((u32)(cls) << (MODE_SEG_SHIFT + 0) | (u32)(cls) << (MODE_SEG_SHIFT + 2) | \
     (u32)(cls) << (MODE_SEG_SHIFT + 4) | (u32)(cls) << (MODE_SEG_SHIFT + 6) | \
     (u32)(cls) << (MODE_SEG_SHIFT + 8) | (u32)(cls) << (MODE_SEG_SHIFT + 10))

static struct pick_state good(void)
{
    return (struct pick_state){
        .option = ENGINE_AUTO,
        .sandbox = true,
        .mode =
            MODE_PE | MODE_CPL3 | 3u << MODE_CPL_SHIFT | MODE_CS32 | MODE_SS32 | MODE_SSE | SEGS(SEGC_FLAT),
        .cr0 = CR0_PE | CR0_PG | CR0_NE | CR0_WP | CR0_AM,
        .cr4 = CR4_OSFXSR,
        .eflags = EFL_R1 | EFL_IF,
        .pays = true,
        .now = 50,
        .not_before = 50,
    };
}

Test(pick, user_code_of_a_usual_kernel_runs_directly)
{
    struct pick_state s = good();

    cr_assert_eq(mon_pick_engine(&s), PICK_DIRECT);
}

#define ONE(change, reason)                                                                        \
    do {                                                                                           \
        struct pick_state s = good();                                                              \
        change;                                                                                    \
        cr_expect_eq(mon_pick_engine(&s), reason, #change ": %s", pick_name(mon_pick_engine(&s))); \
    } while (0)

Test(pick, each_condition_alone)
{
    ONE(s.option = ENGINE_BT, PICK_OPTION);
    ONE(s.sandbox = false, PICK_NO_SANDBOX);
    ONE(s.cr0 &= ~CR0_PE, PICK_REAL_MODE);
    ONE(s.eflags |= EFL_VM, PICK_V86);
    ONE(s.mode &= ~MODE_CPL3, PICK_RING);
    ONE(s.cr0 &= ~CR0_PG, PICK_NO_PAGING);
    ONE(s.eflags |= 1u << 12, PICK_IOPL);
    ONE(s.eflags |= 3u << 12, PICK_IOPL);
    ONE(s.eflags &= ~EFL_IF, PICK_IF);
    ONE(s.eflags |= EFL_VIF, PICK_IF);
    ONE(s.eflags |= EFL_VIP, PICK_IF);
    ONE(s.mode |= MODE_TF, PICK_STEPPING);
    ONE(s.mode |= MODE_DB, PICK_STEPPING);
    ONE(s.eflags |= EFL_RF, PICK_STEPPING);
    ONE(s.inhibit = true, PICK_STEPPING);
    ONE(s.eflags |= EFL_AC, PICK_ALIGN_CHECK);
    ONE(s.cr0 |= CR0_EM, PICK_FPU);
    ONE(s.cr0 |= CR0_TS, PICK_FPU);
    ONE(s.cr4 &= ~CR4_OSFXSR, PICK_FPU);
    ONE(s.mode &= ~MODE_CS32, PICK_SEGMENT);
    ONE(s.page_bad = true, PICK_PAGE);
    ONE(s.pays = false, PICK_COST);
    ONE(s.now = 49, PICK_COST);
}

Test(pick, segments)
{
    for (unsigned seg = 0; seg < SEG_COUNT; seg++)
        ONE(s.odd_segs = (u8)BIT(seg), PICK_SEGMENT);
}

Test(pick, forced_direct_asks_for_no_price_but_for_legality)
{
    ONE((s.option = ENGINE_DIRECT, s.pays = false, s.now = 0), PICK_DIRECT);
    ONE((s.option = ENGINE_DIRECT, s.eflags &= ~EFL_IF), PICK_IF);
    ONE((s.option = ENGINE_DIRECT, s.page_bad = true), PICK_PAGE);
    ONE((s.option = ENGINE_DIRECT, s.mode &= ~MODE_CPL3), PICK_RING);
}

/* ---- what a context learns; the price of a hand-off is the unit ---- */

#define UNIT 1000u

/* n stretches of so many units on each engine. */
static void run(struct pick_history *h, unsigned n, double translated, double direct)
{
    for (unsigned i = 0; i < n; i++)
        pick_learn(h, (u64)((h->pays ? direct : translated) * UNIT), UNIT);
}

Test(pick, a_compute_phase_goes_direct_within_the_fee)
{
    struct pick_history h = {0};

    run(&h, 1, 1000, 900);
    cr_assert_not(h.pays, "one stretch may be the host's doing");
    run(&h, 1, 1000, 900);
    cr_assert(h.pays);
    run(&h, 100000, 1000, 900);
    cr_assert(h.pays);
}

Test(pick, short_stretches_never_go_direct)
{
    struct pick_history h = {0};

    for (unsigned i = 0; i < 10000; i++) {
        run(&h, 1, i % 64 == 5 ? 1000 : 1, 0.1); /* among them some during which the host was elsewhere */
        cr_assert_not(h.pays);
    }
}

/* Share of stretches that ran directly, of n. */
static double share(struct pick_history *h, unsigned n, double translated, double direct)
{
    unsigned pays = 0;

    for (unsigned i = 0; i < n; i++) {
        pays += h->pays;
        run(h, 1, translated, direct);
    }
    return (double)pays / n;
}

Test(pick, middling_stretches_go_where_they_are_quicker)
{
    struct pick_history quicker = {0}, slower = {0};

    cr_expect_gt(share(&quicker, 20000, 16, 12), 0.98);
    cr_expect_lt(share(&slower, 20000, 10, 10), 0.02);
    /* And what was learnt long ago is tried again. */
    cr_expect_gt(share(&slower, 200000, 10, 8), 0.5);
}

Test(pick, trials_of_what_does_not_pay_become_rare)
{
    struct pick_history h = {0};

    run(&h, 200000, 10, 11);
    cr_expect_lt(share(&h, 200000, 10, 11), 0.005);
}

/* A guest's ticks, every 4 ms, may be all that ends a stretch: what was held before they came must not stand for dozens of them. */
Test(pick, long_stretches_after_a_lost_trial_go_direct_within_some_ticks)
{
    struct pick_history h = {0};
    unsigned n = 0;

    run(&h, 200, 10, 12);
    cr_assert_not(h.pays);
    for (; n < 1000 && !h.pays; n++)
        run(&h, 1, 400, 380);
    cr_expect_leq(n, 8, "direct after %u long stretches", n);
}

Test(pick, a_direct_context_whose_stretches_become_short_comes_back)
{
    struct pick_history h = {0};

    run(&h, 1000, 1000, 900);
    cr_assert(h.pays);
    run(&h, 2 * 64, 0.5, 1.5);
    cr_assert_not(h.pays);
    run(&h, 1000, 0.5, 1.5);
    cr_assert_not(h.pays);
}
