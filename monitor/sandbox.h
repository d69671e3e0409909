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

/* What a box maps at a linear page: bits of mmu_mapping(), and SANDBOX_EXEC. */
#define SANDBOX_EXEC BIT(23)

struct sandbox_box {
    struct dx_box *dx;
    struct mmu_window *win; /* NULL: free */
    u32 *mirror;            /* 2^20 entries: what is mapped now */
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
    u64 entries, exits[DX_EXIT_COUNT], fills, pages_clean, pages_bad[SCAN_REASON_COUNT], rescans, wipes;
};

struct sandbox {
    struct dx *dx;
    const char *refused; /* why there is no direct execution, NULL: there is */
    char why[DX_WHY_BYTES];
    u64 worthwhile; /* cycles of a stretch from which a hand-off pays */
    u64 overhead;   /* cycles of the hand-off itself */
    u64 stamp;
    u8 option; /* enum mon_engine_option */
    bool started;
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

/* The decision for the guest's next instruction. */
enum pick sandbox_pick(struct novt_vm *vm);
/* The window was switched: measures stretches at CPL 3 and asks for the run loop when the new context should run directly. */
void sandbox_window_switched(struct novt_vm *vm, struct mmu_window *old, struct mmu_window *new);
/* Run directly until something happens; like bt_enter(). After PICK_DIRECT only. */
enum bt_exit_kind sandbox_enter(struct novt_vm *vm);
/* Signal-safe: come out soon. */
void sandbox_kick(void *opaque);

/* From translate.c: guest memory that was scanned is about to be written; a window goes to another owner. */
void sandbox_code_written(struct novt_vm *vm, u64 gpa);
void sandbox_window_freed(struct novt_vm *vm, struct mmu_window *w);

/* sandbox.c for sandbox_run.c. */
struct sandbox_box *sandbox_box_get(struct novt_vm *vm); /* of the current window; NULL: none to be had */
/* Repeat the window's changes in the box. false: not possible, run translated. */
bool sandbox_sync(struct novt_vm *vm, struct sandbox_box *b);
/* May linear page `page` be executed directly? Scans it and makes it executable at the next sync. */
bool sandbox_allow_exec(struct novt_vm *vm, struct sandbox_box *b, u32 page);
/* Was the page at EIP found unfit? */
bool sandbox_page_bad(struct novt_vm *vm, u32 lin);

#endif
