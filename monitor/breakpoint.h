/*
 * breakpoint.h - a debugger's breakpoints, watchpoints and single steps (internal to monitor/).
 *
 * Nothing of it is in the guest: no INT3 in its memory, no debug register, no TF. An address with a breakpoint never gets into a
 * translated block, so that each arrival there comes out to the run loop, which pauses the machine; pages with a watchpoint are
 * trapped (shadowmmu.h), so that whoever touches them is carried out by C, which looks at each access. Direct execution waits
 * while there is any. All addresses are linear. With nothing set, vm->brk_flags is 0 and that is all that is ever looked at.
 *
 * On the VM's thread only.
 */
#ifndef NOVT_MONITOR_BREAKPOINT_H
#define NOVT_MONITOR_BREAKPOINT_H

#include "base.h"

struct novt_vm;
struct cpu;

enum brk_kind { BRK_SOFT, BRK_HARD, BRK_WRITE, BRK_READ, BRK_ACCESS, BRK_KINDS };

#define BRK_POINTS_MAX 256u
#define BRK_WATCH_BYTES_MAX 0x8000u /* one watchpoint */

struct brk_point {
    u32 lin, len; /* len: of a watchpoint; 0 for breakpoints */
    u8 kind;
};

/* Why the machine stands. */
enum brk_why { BRK_WHY_OTHER, BRK_WHY_BREAKPOINT, BRK_WHY_STEP, BRK_WHY_WATCH };

/* vm->brk_flags */
#define BRK_F_CODE BIT(0)  /* there are breakpoints */
#define BRK_F_DATA BIT(1)  /* there are watchpoints */
#define BRK_F_STEP BIT(2)  /* pause behind the next instruction */
#define BRK_F_QUIET BIT(3) /* ... and hold interrupts off until then */
#define BRK_F_STALE BIT(4) /* brk_turn() has something to prepare */
#define BRK_F_POINTS (BRK_F_CODE | BRK_F_DATA)

struct brk_set {
    u32 n, n_made;
    struct brk_point point[BRK_POINTS_MAX];
    u32 made[BRK_POINTS_MAX]; /* breakpoints that translations keep out of */
    enum brk_why why;         /* of the last pause */
    u8 hit_kind;              /* BRK_WHY_WATCH: enum brk_kind */
    u32 hit_lin;              /* and where: of the watchpoint; or the breakpoint's address */
    bool standing;            /* the breakpoint at hit_lin has reported already: the instruction may go now */
};

/* 0 (also when it is there already); -ENOSPC; -EINVAL for a length that cannot be watched. */
int brk_insert(struct novt_vm *vm, enum brk_kind kind, u32 lin, u32 len) MUST_CHECK;
int brk_remove(struct novt_vm *vm, enum brk_kind kind, u32 lin, u32 len); /* -ENOENT */
void brk_clear(struct novt_vm *vm);
void brk_free(struct novt_vm *vm);
/* When the machine goes on next: for one instruction only; quiet: interrupts wait (unless it is halted). */
void brk_step_next(struct novt_vm *vm, bool quiet);
/* It goes on without a step. */
void brk_run_next(struct novt_vm *vm);

/* ---- for the run loop, while vm->brk_flags is not 0 ---- */
enum brk_turn {
    BRK_TURN_GO,    /* as ever */
    BRK_TURN_ONE,   /* one instruction, by the fallback */
    BRK_TURN_PAUSE, /* the machine was paused */
};
enum brk_turn brk_turn(struct novt_vm *vm);
/* An instruction was carried out, or an interrupt delivered: the end of a step? */
void brk_stepped(struct novt_vm *vm);
/* How many bytes of code from lin on a block may have before the next breakpoint; at most max. */
u32 brk_room(const struct novt_vm *vm, u32 lin, u32 max);
/* An access of the guest's; while there are watchpoints. */
void brk_data(struct cpu *cpu, u32 lin, unsigned size, bool write);

#endif
