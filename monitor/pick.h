/*
 * pick.h - the decision algorithm: does the guest's code at this point run directly or translated? (internal)
 *
 * The original's conditions beside ours, in the order in which they are asked; the first that says "translate" is the reason
 * that is counted:
 *
 *   VMware Workstation 1.0              NoVT
 *   ----------------------------------  ------------------------------------------------------------------------------
 *   -                                   -engine bt; the host has no sandboxes
 *   CR0.PE = 0                          CR0.PE = 0
 *   - (v86 ran directly)                EFLAGS.VM: 64-bit hosts have no v86 mode
 *   CPL < IOPL or CPL = 0               CPL is not 3: the sandbox is ring 3
 *   -                                   CR0.PG = 0: a sandbox is an address space
 *   IOPL >= CPL                         IOPL is not 0: CLI would have to work, and PUSHF shows it
 *   IF = 0                              IF = 0, VIF or VIP: PUSHF shows them
 *   -                                   TF, debug registers, RF, an instruction's shadow: single instructions are the fallback's
 *   -                                   EFLAGS.AC: the host's CR0.AM is set, the guest's may not be
 *   -                                   CR0.EM, CR0.TS, no CR4.OSFXSR: FPU and SSE instructions would not trap
 *   a segment not shadowed, or hidden   16-bit code; a segment that is neither flat (FS, GS: flat with a base) nor null, and whose
 *   state that cannot be reloaded       hidden part no LDT descriptor of ring 3 loads to
 *   -                                   the page of code holds sensitive instructions (scan.h)
 *   -                                   cost: see below
 *
 * Cost: a hand-off costs some 10 us, as much as translated code loses in 30 to several 100 us, which depends on the program. So each
 * context learns from its own stretches at CPL 3, from the return to ring 3 until it is left again (pick_learn()):
 *
 *   LOOK   translated. Long stretches: HOLD, direct. Stretches of middling length: TRIAL, unless the last one is not long ago
 *   TRIAL  both engines in turn, eight stretches each, nine times; the first turns do not count; the quicker one: HOLD
 *   HOLD   the winner, until 1024 stretches have passed (twice as many each time it wins again) or stretches become long (direct, at
 *          once) or short (LOOK)
 */
#ifndef NOVT_MONITOR_PICK_H
#define NOVT_MONITOR_PICK_H

#include "base.h"

enum mon_engine_option { ENGINE_AUTO, ENGINE_BT, ENGINE_DIRECT };

enum pick {
    PICK_DIRECT,
    /* Everything below means: translate. */
    PICK_OPTION,
    PICK_NO_SANDBOX,
    PICK_REAL_MODE,
    PICK_V86,
    PICK_RING,
    PICK_NO_PAGING,
    PICK_IOPL,
    PICK_IF,
    PICK_STEPPING,
    PICK_ALIGN_CHECK,
    PICK_FPU,
    PICK_SEGMENT,
    PICK_PAGE,
    PICK_COST,
    PICK_COUNT,
};
const char *pick_name(unsigned pick);

struct pick_state {
    u8 option;    /* enum mon_engine_option */
    bool sandbox; /* sandboxes work here, and this context's is not worn out */
    u32 mode;     /* struct cpu's mode word */
    u32 cr0, cr4;
    u32 eflags;          /* whole */
    bool inhibit;        /* behind STI or MOV SS */
    u8 odd_segs;         /* bit per segment register (enum dec_seg) that a box cannot have so (sandbox_state.c) */
    bool page_bad;       /* the page at EIP was scanned and is not fit, or cannot be executed in a sandbox */
    bool pays;           /* pick_learn() says so */
    u64 now, not_before; /* TSC: no direct execution earlier than this */
};

/* Pure. */
enum pick mon_pick_engine(const struct pick_state *s);

/* What a context has learnt about cost. All zero: nothing. Cycles are the TSC's. */
enum pick_phase { PICK_LOOK, PICK_TRIAL, PICK_HOLD };
struct pick_history {
    u64 since; /* when the current stretch began, 0: none */
    u64 not_before;
    u64 translating; /* the translator's clock when it began */
    u64 sum;         /* LOOK: cycles of its stretches */
    u64 tried[2];    /* TRIAL: cycles of translated and of direct stretches, those of earlier trials by halves */
    u64 mean;        /* length of late, in cycles */
    u32 n;           /* stretches in this phase */
    u32 valid;       /* stretches until the last trial is not believed any more */
    u8 phase;        /* enum pick_phase */
    u8 backoff;      /* trials in a row with the same end */
    bool pays;       /* the engine wanted for the next stretch: direct */
    bool won;        /* direct won the last trial */
    bool rests;      /* translated until not_before, whatever pays */
};

#define PICK_LONG 80u /* in hand-offs: from here on direct execution wins without a trial. A hand-off costs the program its TLB entries, too,
                       * which is several times its own price where much memory is in use, and makes the stretches themselves longer */
#define PICK_FEE 200u /* in hand-offs: so much must have been seen before anything runs directly */

/* A stretch, as wanted by h->pays, took so many cycles without the translator's. overhead: of a hand-off, not 0. Pure but for *h. */
void pick_learn(struct pick_history *h, u64 cycles, u64 overhead);

#endif
