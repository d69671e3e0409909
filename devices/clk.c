/*
 * clk.c - virtual time and its sorted timer list.
 *
 * There are about ten timers in a PC, so a linked list sorted by deadline beats anything clever.
 */
#include "devices/clk.h"

#include <string.h>
#include <time.h>

/* Callbacks one clk_run_due() may run: enough for every timer several times over. */
#define CLK_RUN_MAX 64

static u64 host_now_ns(void *opaque)
{
    (void)opaque;
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (u64)ts.tv_sec * CLK_SECOND_NS + (u64)ts.tv_nsec;
}

static u64 source_now(const struct clk *clk)
{
    return clk->source.now_ns(clk->source.opaque);
}

void clk_init(struct clk *clk, const struct clk_source *source)
{
    memset(clk, 0, sizeof(*clk));
    clk->source = source && source->now_ns ? *source : (struct clk_source){.now_ns = host_now_ns};
    clk->base_ns = source_now(clk);
}

u64 clk_now(struct clk *clk)
{
    if (clk->paused)
        return clk->last_ns;
    u64 now = source_now(clk) - clk->base_ns;
    if ((i64)(now - clk->last_ns) > 0)
        clk->last_ns = now;
    return clk->last_ns;
}

void clk_pause(struct clk *clk)
{
    clk_now(clk);
    clk->paused = true;
}

void clk_resume(struct clk *clk)
{
    if (!clk->paused)
        return;
    clk->base_ns = source_now(clk) - clk->last_ns;
    clk->paused = false;
}

void clk_timer_init(struct clk_timer *timer, void (*fn)(void *opaque, u64 now_ns), void *opaque)
{
    *timer = (struct clk_timer){.fn = fn, .opaque = opaque, .deadline_ns = CLK_NEVER};
}

void clk_timer_cancel(struct clk *clk, struct clk_timer *timer)
{
    if (!timer->armed)
        return;
    struct clk_timer **at = &clk->head;
    while (*at && *at != timer)
        at = &(*at)->next;
    if (*at)
        *at = timer->next;
    timer->armed = false;
    timer->next = NULL;
}

void clk_timer_set(struct clk *clk, struct clk_timer *timer, u64 deadline_ns)
{
    clk_timer_cancel(clk, timer);
    timer->deadline_ns = deadline_ns;
    if (deadline_ns == CLK_NEVER)
        return;
    struct clk_timer **at = &clk->head;
    while (*at && (*at)->deadline_ns <= deadline_ns)
        at = &(*at)->next;
    timer->next = *at;
    timer->armed = true;
    *at = timer;
}

u64 clk_next_deadline(const struct clk *clk)
{
    return clk->head && !clk->paused ? clk->head->deadline_ns : CLK_NEVER;
}

unsigned clk_run_due(struct clk *clk)
{
    unsigned ran = 0;
    u64 now = clk_now(clk);
    while (clk->head && clk->head->deadline_ns <= now && ran < CLK_RUN_MAX) {
        struct clk_timer *timer = clk->head;
        clk->head = timer->next;
        timer->next = NULL;
        timer->armed = false;
        timer->fn(timer->opaque, now);
        ran++;
    }
    return ran;
}
