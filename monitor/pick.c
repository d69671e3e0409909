/*
 * pick.c - the decision algorithm (pick.h).
 */
#include "monitor/pick.h"

#include "bt/bt.h"

const char *pick_name(unsigned pick)
{
    static const char *const names[PICK_COUNT] = {
        [PICK_DIRECT] = "direct",
        [PICK_OPTION] = "option",
        [PICK_NO_SANDBOX] = "no sandbox",
        [PICK_REAL_MODE] = "real mode",
        [PICK_V86] = "v86",
        [PICK_RING] = "ring",
        [PICK_NO_PAGING] = "no paging",
        [PICK_IOPL] = "iopl",
        [PICK_IF] = "interrupts off",
        [PICK_STEPPING] = "stepping",
        [PICK_ALIGN_CHECK] = "alignment check",
        [PICK_FPU] = "fpu",
        [PICK_SEGMENT] = "segment",
        [PICK_PAGE] = "page",
        [PICK_COST] = "cost",
    };
    return pick < PICK_COUNT ? names[pick] : "?";
}

enum pick mon_pick_engine(const struct pick_state *s)
{
    if (s->option == ENGINE_BT)
        return PICK_OPTION;
    if (!(s->cr0 & CR0_PE))
        return PICK_REAL_MODE;
    if (s->eflags & EFL_VM)
        return PICK_V86;
    if (!(s->mode & MODE_CPL3))
        return PICK_RING;
    if (!s->sandbox)
        return PICK_NO_SANDBOX;
    if (!(s->cr0 & CR0_PG))
        return PICK_NO_PAGING;
    if (s->eflags & EFL_IOPL)
        return PICK_IOPL;
    if (!(s->eflags & EFL_IF) || s->eflags & (EFL_VIF | EFL_VIP))
        return PICK_IF;
    if ((s->mode & (MODE_TF | MODE_DB)) || (s->eflags & EFL_RF) || s->inhibit)
        return PICK_STEPPING;
    if (s->eflags & EFL_AC)
        return PICK_ALIGN_CHECK;
    if ((s->cr0 & (CR0_EM | CR0_TS)) || !(s->cr4 & CR4_OSFXSR))
        return PICK_FPU;
    if (s->odd_segs || !(s->mode & MODE_CS32))
        return PICK_SEGMENT;
    if (s->page_bad)
        return PICK_PAGE;
    if (s->option == ENGINE_DIRECT)
        return PICK_DIRECT;
    return s->pays && s->now >= s->not_before ? PICK_DIRECT : PICK_COST;
}

#define SHORT 3u        /* in hand-offs: stretches that no engine makes up a hand-off in */
#define MOST 4u         /* in PICK_LONG hand-offs: no stretch counts for more */
#define MEAN_SHIFT 3u   /* the mean length follows each stretch by an eighth of the difference */
#define WINDOW 64u      /* LOOK: stretches until it begins anew */
#define BLOCK 64u       /* HOLD: stretches until stretches of middling length are tried again */
#define SETTLE 16u      /* HOLD: stretches until the mean tells of now, not of what was before */
#define TURN 8u         /* TRIAL: stretches of an engine's turn */
#define TRIAL_TURNS 18u /* the first two do not count */
#define HOLD_FIRST 1024u
#define BACKOFF_MAX 4u

static void enter(struct pick_history *h, enum pick_phase phase, bool pays)
{
    h->phase = (u8)phase;
    h->pays = pays;
    h->n = 0;
    h->sum = 0;
}

/* Stretches that are neither long nor short: a trial, or what the last one said if that is not long ago. */
static void compete(struct pick_history *h)
{
    if (h->valid) {
        enter(h, PICK_HOLD, h->won);
        return;
    }
    enter(h, PICK_TRIAL, true);
    h->tried[0] /= 2; /* where stretches are of all lengths one trial tells little */
    h->tried[1] /= 2;
}

static void look(struct pick_history *h, u64 cycles, u64 overhead)
{
    u64 fee = PICK_FEE * overhead;

    /* No stretch counts for more than half: the host may have had the CPU meanwhile. */
    h->sum += min_u64(cycles, fee / 2);
    h->n++;
    h->mean = h->sum / h->n;
    if (h->sum >= fee && h->mean >= PICK_LONG * overhead)
        enter(h, PICK_HOLD, true);
    else if (h->sum >= fee && h->mean >= SHORT * overhead)
        compete(h);
    else if (h->n == WINDOW)
        enter(h, PICK_LOOK, false);
}

static void trial(struct pick_history *h, u64 cycles, u64 overhead)
{
    if (h->mean >= PICK_LONG * overhead) { /* what ends them is the guest's tick, perhaps: a turn would be a thirtieth of a second */
        enter(h, PICK_HOLD, true);
        return;
    }
    if (h->mean < 2 * overhead) {
        enter(h, PICK_LOOK, false);
        return;
    }
    if (h->n >= 2 * TURN)
        h->tried[h->pays] += cycles;
    h->n++;
    if (h->n < TRIAL_TURNS * TURN) {
        h->pays = h->n / TURN % 2 == 0;
        return;
    }
    bool won = h->tried[1] * 100 < h->tried[0] * 97;
    h->backoff = won == h->won ? (u8)(h->backoff + (h->backoff < BACKOFF_MAX)) : 0;
    h->won = won;
    h->valid = HOLD_FIRST << h->backoff;
    enter(h, PICK_HOLD, won);
}

static void hold(struct pick_history *h, u64 overhead)
{
    h->valid -= h->valid > 0;
    h->n++;
    if (h->mean >= PICK_LONG * overhead)
        h->pays = true; /* at once: where a stretch is a tick, a block of them takes a quarter of a second */
    else if (h->n < SETTLE)
        return;
    else if (h->mean < (h->pays ? 2 : SHORT) * overhead)
        enter(h, PICK_LOOK, false);
    else if (h->n >= BLOCK && !(h->pays && h->valid && h->mean >= PICK_LONG / 2 * overhead))
        compete(h);
}

void pick_learn(struct pick_history *h, u64 cycles, u64 overhead)
{
    if (h->phase == PICK_LOOK) {
        look(h, cycles, overhead);
        return;
    }
    cycles = min_u64(cycles, MOST * PICK_LONG * overhead);
    h->mean += (cycles >> MEAN_SHIFT) - (h->mean >> MEAN_SHIFT);
    if (h->phase == PICK_TRIAL)
        trial(h, cycles, overhead);
    else
        hold(h, overhead);
}
