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
        .stretch = 1000,
        .worthwhile = 1000,
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
    ONE(s.stretch = 999, PICK_COST);
    ONE(s.now = 49, PICK_COST);
}

Test(pick, segments)
{
    for (unsigned seg = 0; seg < SEG_COUNT; seg++)
        ONE(s.odd_segs = (u8)BIT(seg), PICK_SEGMENT);
}

Test(pick, forced_direct_asks_for_no_price_but_for_legality)
{
    ONE((s.option = ENGINE_DIRECT, s.stretch = 0, s.now = 0), PICK_DIRECT);
    ONE((s.option = ENGINE_DIRECT, s.eflags &= ~EFL_IF), PICK_IF);
    ONE((s.option = ENGINE_DIRECT, s.page_bad = true), PICK_PAGE);
    ONE((s.option = ENGINE_DIRECT, s.mode &= ~MODE_CPL3), PICK_RING);
}

Test(pick, long_stretches_are_learnt_fast_and_short_ones_send_back)
{
    struct pick_history h = {0};
    u64 now = 0;

    pick_learn(&h, 100, false, 1000, now);
    cr_assert_lt(h.stretch, 1000);
    pick_learn(&h, 4000, false, 1000, now);
    cr_assert_geq(h.stretch, 1000);
    for (int i = 0; i < 40; i++)
        pick_learn(&h, 10, true, 1000, now += 10);
    cr_assert_lt(h.stretch, 1000);
    cr_assert_gt(h.not_before, now);
    cr_assert_gt(h.backoff, 1);
    u64 wait = h.not_before - now;

    now = h.not_before;
    for (int i = 0; i < 3; i++)
        pick_learn(&h, 10, true, 1000, now);
    cr_assert_geq(h.not_before - now, wait);
    pick_learn(&h, 1000000, true, 1000, now);
    cr_assert_eq(h.backoff, 0);
}
