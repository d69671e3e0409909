/*
 * direct.h - sandboxes: guest ring-3 code run natively in 32-bit mode, in a process that holds nothing else.
 *
 * A sandbox ("box") is a process made of a tiny image that this library carries with it. Its low 4 GiB hold guest pages at the guest's
 * own linear addresses and nothing else; above them lie the image (read and execute), the command pages (read only) and
 * the exit area (read and write, shared with us). It has two threads. The *guest* thread runs guest code; its seccomp
 * filter allows rt_sigreturn and one call that stops it. The *mapper* thread never runs guest code, holds the RAM descriptor, may only
 * mmap, munmap, mprotect (below 4 GiB, that descriptor) and modify_ldt, and takes its work from the command pages.
 * Both stop by SECCOMP_RET_USER_NOTIF: the host's kernel holds the thread until we answer, so a stopped guest is really stopped, and
 * nothing that guest code can write says so. DESIGN section 8; docs/security.md.
 *
 * This module decides nothing: whether code may run directly is the caller's (scanner, decision algorithm). It takes values, knows
 * no CPU struct and no window, and trusts nothing that comes out of a box: every field of an exit is merely a state
 * that ring-3 code could have reached by itself.
 */
#ifndef NOVT_DIRECT_H
#define NOVT_DIRECT_H

#include "base.h"

struct dx;     /* what all boxes of one VM share: image, RAM descriptor, limits */
struct dx_box; /* one sandbox process: one guest address space at a time */

#define DX_FXSAVE_BYTES 512u
#define DX_MAP_BATCH 512u /* operations in one hand-off; longer lists are split by themselves */
#define DX_LDT_SLOTS 8192u
#define DX_WHY_BYTES 160u

enum { DX_EAX, DX_ECX, DX_EDX, DX_EBX, DX_ESP, DX_EBP, DX_ESI, DX_EDI };
enum { DX_ES, DX_CS, DX_SS, DX_DS, DX_FS, DX_GS }; /* order of the instruction set */

/* What a segment register holds while the guest runs. */
enum dx_seg_kind {
    DX_SEG_NULL, /* null selector: uses fault with #GP. Not for CS and SS */
    DX_SEG_FLAT, /* a 4 GiB ring-3 segment: host selector 0x23 or 0x2b. FS and GS: with any base, else base 0 */
    DX_SEG_LDT, /* a selector of the mirrored LDT (TI = 1, RPL 3); 16-bit segments too */
};

struct dx_seg {
    u8 kind;  /* enum dx_seg_kind */
    u16 sel;  /* DX_SEG_LDT: the selector. Else ignored */
    u32 base; /* DX_SEG_FLAT in FS or GS. Out: also what LDT selectors have */
};

/* Bits of EFLAGS that cross: CF PF AF ZF SF TF DF OF NT RF AC ID. Others are the host's and are neither taken nor given:
 * IF runs as 1, IOPL as 0, VM, VIF and VIP as 0; on return these are 0. RF is taken, but not given. The caller merges its own. */
#define DX_EFLAGS 0x254dd5u

/* The guest's state, in and out. */
struct dx_state {
    u32 gpr[8];
    u32 eip;
    u32 eflags;
    struct dx_seg seg[6];
    /* FXSAVE64 image (64-bit instruction and data pointers). The upper halves of YMM and all newer state are cleared on entry. */
    u8 fxsave[DX_FXSAVE_BYTES] __attribute__((aligned(16)));
};

/* Where eip points is said for each; "at" is the instruction itself, prefixes included. */
enum dx_exit_kind {
    /* #PF, at: cr2, error. Of the error only W (bit 1) and I/D (bit 4) mean anything, P and U are the shadow's. */
    DX_EXIT_PAGE_FAULT,
    /* #GP(0), at: privileged, segment limit, misaligned SSE, RDTSC and CPUID if caps say so. */
    DX_EXIT_PRIVILEGED,
    /* INT n that the host's IDT refuses, at: vector. */
    DX_EXIT_INT,
    /* INT 80h, after: vector is 80h. Hosts without IA-32 emulation give DX_EXIT_INT, vector 80h, instead. */
    DX_EXIT_SYSCALL,
    /* SYSENTER, or SYSCALL on AMD: EIP, ECX, ESP and EBP are LOST, so code with these must not run directly. On CPUs that lack the
     * instruction in 32-bit mode it is an exact DX_EXIT_FAULT, vector 6; with a stack that the host cannot read it may
     * also be a fetch fault at an EIP below 4096. */
    DX_EXIT_FAST_SYSCALL,
    /* Every other exception: vector 0, 4 (after), 5, 6, 10-12 and 13 with error, 16, 17, 19, at. And 1: INT1, after on
     * bare CPUs, at under some hypervisors: look. And 14: an access across 4 GiB, where 32-bit mode has the segment's limit or wraps. */
    DX_EXIT_FAULT,
    DX_EXIT_BREAKPOINT, /* INT3, after */
    DX_EXIT_STEP,       /* TF: one instruction was executed, eip is the next; eflags still hold TF */
    DX_EXIT_KICKED,     /* dx_kick(), or nothing at all: a kick may be reported once too often */
    DX_EXIT_REFUSED,    /* the state asked for cannot be entered: why. Nothing ran, the state is unchanged */
    DX_EXIT_DIED, /* the process is gone: why, death. The state is that before entry, but memory may have changed. Free it */
    DX_EXIT_COUNT
};

enum dx_death {
    DX_DEATH_GUEST,  /* guest code did what no 32-bit code can do; it may have run */
    DX_DEATH_HOST,   /* killed from outside, no memory: no fault of the guest's, but it may have run */
    DX_DEATH_BEFORE, /* it was dead already: nothing ran, and nothing is lost but the box */
};

struct dx_exit {
    u8 kind;   /* enum dx_exit_kind */
    u8 death;  /* DX_EXIT_DIED: enum dx_death */
    u8 vector; /* x86 vector, for all that have one (#PF 14, step 1, breakpoint 3, INT 80h 80h) */
    u32 error; /* error code as the host's CPU gave it (a selector keeps the LDT bit: mirrored slots have equal numbers) */
    u32 cr2;                /* DX_EXIT_PAGE_FAULT */
    char why[DX_WHY_BYTES]; /* DIED, REFUSED: one line, else "" */
};

/* What this host can do beyond what every box needs. Known after the first dx_box_new(). */
struct dx_caps {
    u8 tsc_traps;   /* asked for, and works: RDTSC and RDTSCP are DX_EXIT_PRIVILEGED */
    u8 cpuid_traps; /* asked for, and works: so is CPUID */
    u8 ldt;         /* modify_ldt works: LDT segments can be mirrored */
    u8 sync_wake;   /* hand-offs stay on one CPU by themselves (Linux 6.6); else threads are pinned */
    u8 timer;       /* dx_deadline() works */
    u32 min_gva;    /* lowest address that the host lets us map (vm.mmap_min_addr) */
};

struct dx_config {
    int ram_fd;    /* memfd of guest RAM and ROM; duplicated */
    u64 ram_bytes; /* its size: offsets beyond are refused */
    u32 max_boxes; /* processes at once; 0: 16. Each is two threads for RLIMIT_NPROC */
    /* Have RDTSC, CPUID trap in boxes. Off: they run natively and show the host's values, so the scanner must keep them out. On: the host
     * rewrites CR4 or an MSR at every switch to and from a box, which costs nothing much on bare CPUs, but in a VM doubles a round
     * trip (measured: 10 us without, 22 us with trap_tsc). */
    u8 trap_tsc, trap_cpuid;
    u32 max_mappings; /* host mappings in one box before dx_map() says -ENOMEM; 0: three quarters of vm.max_map_count */
};

/* Counters for --stats. */
struct dx_stats {
    u64 boxes_made, boxes_died, enters, kicks, exits[DX_EXIT_COUNT];
    u64 batches, maps, unmaps, protects, wipes, ldt_writes;
    u32 boxes;
};

/* Host costs in ns, measured on this host with a box of their own (about 10 ms). */
struct dx_cost {
    u32 round_trip_ns; /* dx_enter() to an immediate fault and back */
    u32 map_one_ns;    /* dx_map() of one page */
    u32 map_batch_ns;  /* dx_map() of a full batch of single pages, per page */
};

/* 0 or -errno. Keeps ram_fd by dup. A VM may have one; nothing is started yet. */
int dx_new(struct dx **out, const struct dx_config *cfg) MUST_CHECK;
void dx_free(struct dx *dx); /* all boxes must be freed */
const struct dx_caps *dx_caps(const struct dx *dx);
const struct dx_stats *dx_stats(const struct dx *dx);

/* Can this host run boxes at all? 0, or -errno and one line of cause and remedy in why. Makes a box, runs a few
 * instructions in it (a fault, INT 80h, an LDT segment, a kick) and ends it: about 5 ms. Needs no struct dx. */
int dx_probe(char why[DX_WHY_BYTES]) MUST_CHECK;
int dx_measure(struct dx *dx, struct dx_cost *out) MUST_CHECK;

/* Start a box with nothing mapped and an empty LDT. It is killed when the calling *thread* ends (PR_SET_PDEATHSIG): make boxes
 * on the thread that enters them. 0; -EAGAIN when max_boxes or a host limit is reached (run translated); other -errno: why, if not NULL,
 * gets one line. One box is one thread's at a time; only dx_kick() may come from elsewhere. */
int dx_box_new(struct dx *dx, struct dx_box **out, char why[DX_WHY_BYTES]) MUST_CHECK;
void dx_box_free(struct dx_box *b); /* kills and reaps it; NULL is fine */
int dx_box_pid(const struct dx_box *b);
bool dx_box_dead(const struct dx_box *b);

/* Run the guest until an exit. On return *st is the guest's state at that point, unless the exit kind says otherwise. Always returns:
 * a guest that does not answer a kick within 100 ms of CPU time is killed. */
void dx_enter(struct dx_box *b, struct dx_state *st, struct dx_exit *exit);

/* Runs end with DX_EXIT_KICKED at this time of the host's CLOCK_MONOTONIC, soon after it is reached, without help from
 * any other thread. From the next dx_enter() on; 0: no deadline. A courtesy, not a limit: guest code that leaves 32-bit mode can put it off, so
 * whoever needs it must kick a little later. No effect without caps.timer. */
void dx_deadline(struct dx_box *b, u64 ns);

/* Make the current dx_enter(), or the next one, return soon (DX_EXIT_KICKED, or whatever came first). From any thread and from signal
 * handlers. The box must exist; a dead one is fine. */
void dx_kick(struct dx_box *b);

/* Changes of the address space, done by the mapper in the order given. Addresses are pages below 4 GiB. */
enum dx_op_kind { DX_MAP, DX_UNMAP, DX_PROTECT };
enum { DX_READ = 1, DX_WRITE = 2, DX_EXEC = 4 }; /* the host's values; the host reads what it may execute */

struct dx_op {
    u8 kind;     /* enum dx_op_kind */
    u8 prot;     /* DX_READ | ...; ignored by DX_UNMAP */
    u8 populate; /* DX_MAP: make the host's page tables at once (MAP_POPULATE): for what is surely used */
    u32 gva;     /* page aligned */
    u32 pages;   /* 1 to 2^20 - 1, not beyond 4 GiB */
    u64 offset;  /* DX_MAP: in the RAM memfd, page aligned; the run is contiguous there */
};

/* *done (may be NULL) counts the operations completed, in order; when 0 is returned it is n. When a DX_UNMAP is reported done, no
 * instruction of that box can use the old translation any more, whatever the guest does.
 * -EINVAL: an operation is malformed (nothing of the list was done); -EPERM: below caps.min_gva; -ENOMEM: too many mappings (wipe, or run
 * translated); -EIO: the box died. A DX_PROTECT of pages that are not all mapped is -ENOENT and may be half done. */
int dx_map(struct dx_box *b, const struct dx_op *ops, size_t n, size_t *done) MUST_CHECK;

/* Forget everything of the guest: mappings, LDT, bytes left in the exit area. The next context gets the box as if new. Costs a
 * round trip and two unmappings. -EIO: it died, or was found tampered with and ended: free it, make another. */
int dx_wipe(struct dx_box *b) MUST_CHECK;
u32 dx_mappings(const struct dx_box *b); /* upper bound of host mappings in use */

/* LDT mirror, slot for slot. desc: n guest descriptors as they lie in guest memory, for slots from first on. A descriptor is mirrored
 * when ring-3 code that loads it natively sees exactly what the architecture says: present or not-present data and non-conforming code, DPL 3,
 * accessed bit set, no 64-bit code. Every other slot is left empty: loading it is DX_EXIT_FAULT with the selector as error code, and the caller does the
 * instruction by itself. dx_ldt_exact() tells which. 0, -EINVAL (range), -ENOSYS (no modify_ldt), -EIO. */
int dx_ldt_set(struct dx_box *b, u32 first, const u64 *desc, u32 n) MUST_CHECK;
bool dx_ldt_exact(u64 desc);

#endif
