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

#define WORTH 1000u

Test(pick, two_long_stretches_pay_the_fee_and_one_does_not)
{
    struct pick_history h = {0};

    pick_learn(&h, 1000 * WORTH, false, WORTH, 0);
    cr_assert_not(h.pays);
    pick_learn(&h, 1000 * WORTH, false, WORTH, 0);
    cr_assert(h.pays);
}

Test(pick, stretches_that_do_not_earn_a_hand_off_never_pay)
{
    struct pick_history h = {0};

    for (int i = 0; i < 1000; i++) {
        pick_learn(&h, i % 20 ? WORTH / 2 : 1000 * WORTH, false, WORTH, 0); /* among them some during which the host was elsewhere */
        cr_assert_not(h.pays);
    }
}

Test(pick, short_direct_stretches_send_back_for_longer_and_longer)
{
    struct pick_history h = {0};
    u64 now = 0, wait = 0;

    for (int round = 0; round < 5; round++) {
        now = h.not_before;
        for (int i = 0; i < 2; i++)
            pick_learn(&h, 1000 * WORTH, false, WORTH, now);
        cr_assert(h.pays);
        for (int i = 0; i < 100 && h.pays; i++)
            pick_learn(&h, 10, true, WORTH, now);
        cr_assert_not(h.pays);
        cr_assert_gt(h.not_before - now, wait);
        wait = h.not_before - now;
    }
    pick_learn(&h, 1000 * WORTH, true, WORTH, now);
    cr_assert_eq(h.backoff, 0);
}

Test(pick, a_few_short_stretches_among_long_ones_change_nothing)
{
    struct pick_history h = {0};

    for (int i = 0; i < 2; i++)
        pick_learn(&h, 1000 * WORTH, false, WORTH, 0);
    for (int i = 0; i < 1000; i++) {
        pick_learn(&h, i % 4 ? 10 : 20 * WORTH, true, WORTH, 0);
        cr_assert(h.pays);
    }
}
