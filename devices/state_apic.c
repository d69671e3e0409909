/*
 * state_apic.c - what the APICs and the HPET save.
 *
 * One table a struct (state.h). Where the local APIC's registers stand follows from its base; its output and the 8259A's line to it are
 * saved as they are.
 */
#include "devices/hpet.h"
#include "devices/ioapic.h"
#include "devices/lapic.h"
#include "devices/state.h"
#include "devices/state_tables.h"


#define S struct lapic
static const struct state_field lapic_rows[] = {
    STATE(S, base),           STATE(S, id),           STATE(S, ldr),         STATE(S, dfr),
    STATE(S, svr),            STATE_ARRAY(S, icr),    STATE_ARRAY(S, lvt),   STATE_ARRAY(S, isr),
    STATE_ARRAY(S, tmr),      STATE_ARRAY(S, irr),    STATE(S, esr),         STATE(S, errors),
    STATE(S, tpr),            STATE_BOOL(S, lint0),   STATE_BOOL(S, extint), STATE_BOOL(S, intr_level),
    STATE_BOOL(S, timer_due), STATE(S, divide),       STATE(S, initial),     STATE_MAX(S, load_ns, STATE_TIME_MAX),
    STATE_MAX(S, next_edge, STATE_TIME_MAX), STATE_TIMER(S, timer),
};

static const char *check_lapic(const void *obj)
{
    const struct lapic *a = obj;
    return a->base & ~(0xffffff000ull | LAPIC_BASE_EN | LAPIC_BASE_BSP) ? "impossible APIC base" : NULL;
}
STATE_TABLE(lapic_state, lapic_rows, check_lapic, lapic_restored);
#undef S

#define S struct ioapic
static const struct state_field ioapic_rows[] = {STATE_ARRAY(S, entry), STATE(S, pins), STATE(S, id), STATE(S, select)};
STATE_TABLE(ioapic_state, ioapic_rows, NULL, NULL);
#undef S

#define S struct hpet_timer
static const struct state_field hpet_timer_rows[] = {
    STATE(S, config),       STATE(S, compare),   STATE(S, period),    STATE(S, fsb),
    STATE_BOOL(S, set_both), STATE_BOOL(S, fired), STATE_BOOL(S, level), STATE_TIMER(S, timer),
};
STATE_INNER(hpet_timer_state, hpet_timer_rows, NULL);
#undef S

#define S struct hpet
static const struct state_field hpet_rows[] = {
    STATE(S, config),      STATE(S, status),      STATE(S, count),
    STATE_MAX(S, base_ns, STATE_TIME_MAX), STATE_BOOL(S, level0), STATE_BOOL(S, level8),
    STATE_PARTS(S, timer, &hpet_timer_state),
};
STATE_TABLE(hpet_state, hpet_rows, NULL, NULL);
#undef S
