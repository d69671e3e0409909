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
 * Cost: a hand-off costs what some 200 us of translated code lose, and an empty sandbox has to be filled page by page. So each context has an
 * account: a stretch at CPL 3 pays its length in and takes out what a hand-off has to earn. A context goes direct when it
 * has saved up the entrance fee, on which no single stretch counts for more than half (the host may have had the CPU meanwhile), and comes back
 * when the account is empty; each time it comes back it waits twice as long before it tries again.
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

/* What a context has learnt about cost. All zero: nothing. */
struct pick_history {
    u64 account; /* cycles, up to the entrance fee */
    u64 since;   /* TSC when the current stretch began, 0: none */
    u64 not_before;
    u8 backoff; /* how often it came back in a row */
    bool pays;  /* the fee is paid, and the account not yet empty again */
};

#define PICK_FEE 10u /* in units of worthwhile */

/* A stretch at CPL 3 of so many cycles has ended. direct: on which engine. worthwhile: cycles that a hand-off has to earn. Pure but for *h. */
void pick_learn(struct pick_history *h, u64 cycles, bool direct, u64 worthwhile, u64 now);

#endif
