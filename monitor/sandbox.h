/*
 * sandbox.h - the second engine: ring-3 code run directly, in a sandbox that mirrors the current user window (internal).
 *
 * direct/ runs code and knows nothing of the guest; this is the mediator. A box belongs to one user window at a time and maps what the
 * window maps, page for page, from the same memfd; before each entry what changed in the window is repeated there. Code
 * pages are executable in a box only after scan.h passed them, and then they are under write-watch like translated ones.
 * Everything that stops a box becomes an exit of the kinds that translated code has.
 */
#ifndef NOVT_MONITOR_SANDBOX_H
#define NOVT_MONITOR_SANDBOX_H

#include "direct/direct.h"
#include "monitor/monitor.h"
#include "monitor/pick.h"
#include "monitor/scan.h"

#define SANDBOX_BOXES 8u
#define SANDBOX_EXEC_MAX 1024u /* executable pages of one box */

#define SANDBOX_LIVE_PAGES 1024u

/* What a box maps at a linear page: bits of mmu_mapping(), and SANDBOX_EXEC. */
#define SANDBOX_EXEC BIT(23)

/* An entry of a box's LDT. desc 0: none. */
struct sandbox_slot {
    u64 desc;
    u32 number, zero;
};

struct sandbox_box {
    struct dx_box *dx;
    struct sandbox_slot slot[SEG_COUNT]; /* by segment register */
    struct mmu_window *win; /* NULL: free */
    u32 *mirror;            /* 2^20 entries: what is mapped now */
    u16 live[(1u << 20) / SANDBOX_LIVE_PAGES]; /* entries that are not 0, by 4 MiB */
    u64 used;               /* stamp of the last entry */
    bool look_all;          /* compare everything at the next entry */
    u32 n_exec;
    struct sandbox_exec {
        u32 page;    /* linear */
        u32 backing; /* memfd page that was scanned */
    } exec[SANDBOX_EXEC_MAX];
};

/* Counters for --stats. */
struct sandbox_stats {
    u64 picks[PICK_COUNT];
    u64 entries, exits[DX_EXIT_COUNT], fills, pages_clean, pages_bad[SCAN_REASON_COUNT], rescans, wipes, escapes;
};

struct sandbox {
    struct dx *dx;
    const char *refused; /* why there is no direct execution, NULL: there is */
    char why[DX_WHY_BYTES];
    u64 overhead; /* cycles of a hand-off */
    u8 page_turns; /* in this stretch translated code was asked to come back when it leaves an unfit page */
    u32 unfit;     /* in this stretch direct code ran onto a page that may not be executed */
    u64 stamp;
    u64 no_box_until; /* TSC: the host refused a process */
    u64 forgiven;     /* TSC: pages' rescans were last forgotten */
    u32 host;  /* scan_host() */
    u8 option; /* enum mon_engine_option */
    bool started;
    bool look;           /* the run loop has looked around since the last decision */
    bool translate_next; /* the last entry got nowhere: once, do not ask again */
    u8 *page;            /* per memfd page: PAGE_* below and the number of rescans in bits 7..4 */
    u8 *tail;            /* per memfd page: scan_result.tail_bytes */
    u32 pages;
    struct sandbox_box box[SANDBOX_BOXES];
    struct dx_box *volatile inside; /* where the CPU thread is, for sandbox_kick() */
    struct sandbox_stats stats;
};

/* One of a VM; NULL with ENGINE_BT. 0 or -ENOMEM. Nothing is started before the first entry. */
int sandbox_new(struct novt_vm *vm, enum mon_engine_option option) MUST_CHECK;
void sandbox_free(struct novt_vm *vm);
/* The thread that ran the VM leaves mon_run(): its boxes would die with it. */
void sandbox_thread_end(struct novt_vm *vm);

/* Would a decision now be more than a formality? Cheap: asked at every return to ring 3. */
static inline bool sandbox_wants(const struct novt_vm *vm)
{
    const struct sandbox *s = vm->sandbox;
    const struct mon_ctx *c = vm->win->user;

    return s && (s->option == ENGINE_DIRECT || s->look || (c && c->history.pays && !c->history.rests));
}

/* Will direct execution of the current context end at device deadlines by itself? */
bool sandbox_stops_itself(const struct novt_vm *vm);
/* The decision for the guest's next instruction. */
enum pick sandbox_pick(struct novt_vm *vm);
/* The window was switched at TSC now: measures stretches at CPL 3 and asks for the run loop when the new context should run directly. */
void sandbox_window_switched(struct novt_vm *vm, struct mmu_window *old, struct mmu_window *new, u64 now);
/* Run directly until something happens; like bt_enter(). After PICK_DIRECT only. */
enum bt_exit_kind sandbox_enter(struct novt_vm *vm);
const char *sandbox_exit_name(unsigned kind); /* enum dx_exit_kind */
/* Signal-safe: come out soon. */
void sandbox_kick(void *opaque);

/* From translate.c: guest memory that was scanned is about to be written; a window goes to another owner. */
void sandbox_code_written(struct novt_vm *vm, u64 gpa);
void sandbox_window_freed(struct novt_vm *vm, struct mmu_window *w);

/* sandbox.c for sandbox_run.c. */
struct sandbox_box *sandbox_box_get(struct novt_vm *vm); /* of the current window; NULL: none to be had */
/* Repeat the window's changes in the box. false: not possible, run translated. */
bool sandbox_sync(struct novt_vm *vm, struct sandbox_box *b);
/* May linear page `page` be executed directly? Scans it if need be, makes it executable and syncs. When false the box may be gone. */
bool sandbox_allow_exec(struct novt_vm *vm, struct sandbox_box *b, u32 page);
/* Was the page at linear address lin found unfit? */
bool sandbox_page_bad(struct novt_vm *vm, u32 lin);
static inline u32 sandbox_lin_eip(const struct novt_vm *vm)
{
    return vm->cpu.seg_base[SEG_CS] + vm->cpu.eip;
}

/* sandbox_state.c */
/* Bit per segment register (enum dec_seg) whose state no box can have. */
u8 sandbox_odd_segments(const struct cpu *cpu);
/* The guest's state for dx_enter(). false: the box's LDT cannot have its segments. */
bool sandbox_put_state(struct novt_vm *vm, struct sandbox_box *b, struct dx_state *st) MUST_CHECK;
/* And back; was: as it was before dx_enter(). false: a segment was loaded that the guest does not have. */
bool sandbox_take_state(struct novt_vm *vm, struct sandbox_box *b, const struct dx_state *was,
                        const struct dx_state *st) MUST_CHECK;

#endif
