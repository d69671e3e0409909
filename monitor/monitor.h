/*
 * monitor.h - the VM object and what the monitor's files share (internal; the public API is include/novt.h).
 *
 * The monitor is the only mediator: it calls the leaves (decoder, bt, codecache, shadowmmu, devices); they never
 * call each other. run.c tells the story: deliver an interrupt, choose an engine, enter, dispatch the exit.
 */
#ifndef NOVT_MONITOR_H
#define NOVT_MONITOR_H

#include "base.h"
#include "bt/bt.h"
#include "codecache/codecache.h"
#include "decoder/decoder.h"
#include "devices/devices.h"
#include "monitor/pick.h"
#include "shadowmmu/shadowmmu.h"

/* A context: what a window needs beyond its pages (hangs on mmu_window.user). One mapping holds it all. */
struct mon_ctx {
    struct mon_ctx *next, **pprev; /* of vm->ctxs */
    struct mmu_window *win;
    u8 *jcache;           /* BT_JCACHE_BYTES */
    u8 *ret_lo, *ret_top; /* return stack, guard pages around it */
    u64 ret_sp;           /* saved while another window is current */
    u64 ret_tag;          /* ctx_tag that the records were made under, see mon_same_records() */
    u32 *code_map;        /* linear page number -> guest-physical page | 1 of code looked up there; 0: none */
    u8 code_in_4m[1024];  /* does code_map have entries in this 4 MiB? */
    struct pick_history history;
};

/* Jump-cache tags: every (mode, CS base, CS limit) seen has a number of its own; a number is never given twice before
 * 2^32 of them were, and then all jump caches are cleared first (state.c). */
#define MON_TAG_SETS 256u
#define MON_TAG_WAYS 4u
struct mon_tags {
    struct mon_tag {
        u32 mode, cs_base, cs_limit, id; /* id 0: empty */
    } last, set[MON_TAG_SETS][MON_TAG_WAYS];
    u32 next_id, next_range, next_way;
};

#define MON_SLOW_EIPS 64

/* Why the fallback is asked for: emitted code does (limit check, self-check, refusal), or the fill hook; or kicks left the guest no
 * time for one instruction. */
enum mon_step_reason { STEP_EMITTED, STEP_MMIO, STEP_WATCHED, STEP_SANDBOX, STEP_STALLED };

/* Translations that the monitor's own accesses found, by linear page; valid until the next flush or INVLPG (mem.c). */
#define MON_TLB_ENTRIES 64u
struct mon_tlb_entry {
    u32 tag; /* linear page | privilege + 1 | 8 when writes are allowed; 0: empty */
    u32 gpa; /* page */
};

struct novt_vm {
    struct cpu cpu;
    struct mmu *mmu;
    struct cc *cc;
    struct bt *bt;
    struct pc *pc;
    struct mmu_window *win;   /* current window */
    struct mmu_regime regime; /* of the current CR0/CR3/CR4 */
    volatile int stop;        /* not 0: leave the run loop */
    volatile int stop_code;
    u8 paused;                /* novt_vm_pause(): the run loop sleeps; the VM's thread alone */
    u8 patient;               /* halted with interrupts off: wait */
    volatile u32 nmi; /* one is waiting: until port 70h, an earlier one's handler and SS let it through */
    u64 slow_steps;
    u64 selfcheck_pages_made, selfcheck_pages_ended; /* translate.c */
    u8 model;                /* enum novt_cpu_model */
    u8 a20_off;              /* A20 gate closed: regime.a20_mask */
    u8 pse36;                /* the model has PSE-36: regime.pse36 */
    u8 apic;                 /* the model has a local APIC */
    u64 born_tsc, born_ns;   /* host time when the VM was made: what cpuid.c measures the TSC by */
    u32 tsc_khz;             /* 0: not measured yet */
    u8 no_chain;             /* stress: exits are never linked */
    u8 code_dropped;         /* mon_code_written() dropped translations: maybe the block that an instruction in C belongs to */
    u8 stress_fail_alloc;    /* stress: now and then act as if the code cache were full */
    struct mon_trace *trace; /* -d and the perf map; NULL: off (trace.c) */
    /* Instructions that keep touching MMIO, by EIP: translated as callouts (translate.c). */
    u32 slow_eip[MON_SLOW_EIPS];
    u8 slow_hits[MON_SLOW_EIPS];
    u32 n_slow;
    u32 slow_on_ram; /* how much callouts that were made for MMIO did on plain memory */
    u8 mmio_seen;    /* an access by C reached the buses */
    u8 step_reason;  /* enum mon_step_reason of the next STEP exit */
    u32 user_window; /* id of the last user window that was current, since user_since (TSC) */
    u64 user_since;
    bool promoted;             /* guarded links are direct, for user_window */
    struct mon_ctx *ctxs;      /* all windows' contexts */
    struct mon_run_state *run; /* run.c's */
    struct sandbox *sandbox;   /* direct execution; NULL: none (sandbox.h) */
    struct mon_tags tags;      /* state.c */
    struct mon_tlb_entry tlb[MON_TLB_ENTRIES];
    u8 brk_flags;        /* BRK_F_*: a debugger's breakpoints and steps; 0: nothing of it (breakpoint.h) */
    struct brk_set *brk; /* NULL: never had one */
    u32 dbg_hits; /* DR6 bits of data breakpoints hit by the current instruction (debug.c) */
    void *owner;  /* vm.c's */
};

static inline struct novt_vm *mon_vm(struct cpu *cpu)
{
    return cpu->vm;
}

/* ---- mem.c: guest memory for the monitor's own accesses ----
 * All return 0, or -1 with the exception recorded in cpu->exc_vector/exc_error/exc_has_error and cr2 (mon_exc). They
 * never have a partial effect when they fail. Sizes: any from 1 to 512 bytes; page straddles are handled. */
int mem_read(struct cpu *cpu, unsigned seg, u32 off, void *buf,
             unsigned size) MUST_CHECK; /* with segment checks */
int mem_write(struct cpu *cpu, unsigned seg, u32 off, const void *buf, unsigned size) MUST_CHECK;
int mem_probe_write(struct cpu *cpu, unsigned seg, u32 off, unsigned size) MUST_CHECK;
int mem_probe_read(struct cpu *cpu, unsigned seg, u32 off, unsigned size) MUST_CHECK;
/* bytes at seg:off that lie in one page and may be accessed, without a trace; false: element by element, please. Reading what a device
 * has and finding that the target takes no block loses it: ask mem_block() of both first, and only devices' block calls may refuse. */
struct mem_block {
    u64 gpa;
    u8 *ram; /* NULL: a device's */
};
bool mem_block(struct cpu *cpu, unsigned seg, u32 off, u32 bytes, bool write, struct mem_block *b);
bool mem_block_read(struct cpu *cpu, const struct mem_block *b, u8 *to, u32 bytes);
bool mem_block_write(struct cpu *cpu, const struct mem_block *b, const u8 *from, u32 bytes);
/* Linear accesses; super: as supervisor whatever CPL is (descriptor tables, TSS, gates' stacks). */
int lin_read(struct cpu *cpu, u32 lin, void *buf, unsigned size, bool super) MUST_CHECK;
int lin_write(struct cpu *cpu, u32 lin, const void *buf, unsigned size, bool super) MUST_CHECK;
int lin_probe_write(struct cpu *cpu, u32 lin, unsigned size, bool super) MUST_CHECK;
/* Guest-physical accesses (MMIO goes to the buses); never fail. Writes to watched pages invalidate code first. */
void phys_read(struct novt_vm *vm, u64 gpa, void *buf, unsigned size);
void phys_write(struct novt_vm *vm, u64 gpa, const void *buf, unsigned size);
/* Instruction bytes at CS:eip, up to 15, fewer at the limit or when the second page faults after at least one byte;
 * *got says how many. -1 with exception when not even one. *gpa: of the first byte. */
int mem_fetch(struct cpu *cpu, u32 eip, u8 buf[DEC_MAX_LEN], unsigned *got, u64 *gpa) MUST_CHECK;

/* Record an exception for the run loop to deliver; always returns -1. eip must still be the faulting instruction's. */
int mon_exc(struct cpu *cpu, u8 vector);                /* without error code */
int mon_exc_err(struct cpu *cpu, u8 vector, u32 error); /* with error code */

/* ---- state.c ---- */
/* Recompute cpu->mode, seg_base/seg_limit copies, ctx_tag, vm->regime, and the current window (CPL or paging changed).
 * Call after any change to CR0, CR3, CR4, EFER, segments, CPL, EFLAGS.VM/IOPL/TF/AC, DR7. */
void mon_state_changed(struct cpu *cpu);
/* TLB flush by the rules of SDM vol. 3, 4.10.4; all: global translations too. For the regime of the current registers; mon_state_changed()
 * must follow before the guest runs. Use this, not mmu_flush(): the monitor's own accesses remember translations as well. */
void mon_flush(struct cpu *cpu, bool all);
/* May return-stack records made under one ctx_tag be met under the other? They name their selector where tags do. */
bool mon_same_records(u64 tag, u64 other);
void mon_reset_cpu(struct cpu *cpu); /* SDM vol. 3, 9.1.1; features from vm->model */

/* ---- emulate.c: instructions carried out in C ---- */
/* DEC_SYS callout (cpu->emulate): cpu->eip is the instruction's. Done: advances cpu->eip; BT_CONT when
 * translated code can go on inline, else BT_LEAVE with exit_kind. A guest exception: exit_kind = BT_EXIT_EXCEPTION. */
int mon_emulate(struct cpu *cpu, const struct dec_insn *insn);
/* The same for translated code (cpu->emulate): BT_JUMP instead of BT_LEAVE where the run loop would have nothing to do. In run.c. */
int mon_callout(struct cpu *cpu, const struct dec_insn *insn);
/* Exactly one instruction at cpu->eip, of any class, by C semantics or bt_step(). Returns like mon_emulate, but eip is always the
 * next instruction's (or the target's) when done. Honours TF and the inhibit flag. */
int mon_step(struct cpu *cpu);
/* C semantics of the classes that the translator emits by hand (DEC_STACK, DEC_STRING, DEC_BRANCH, DEC_HAND), one instruction
 * (some iterations for REP, one in single step; eip unchanged while more remain). 0 done, -1 exception recorded. */
int mon_step_stack(struct cpu *cpu, const struct dec_insn *insn);
int mon_step_string(struct cpu *cpu, const struct dec_insn *insn);
int mon_step_branch(struct cpu *cpu, const struct dec_insn *insn);
int mon_step_hand(struct cpu *cpu, const struct dec_insn *insn);
/* Some of DEC_PLAIN with memory operands; 1: not this one, nothing happened. */
int mon_step_plain(struct cpu *cpu, const struct dec_insn *insn);
/* Families of DEC_SYS; 0 done with eip advanced, -1 exception recorded. */
int mon_sys_segment(struct cpu *cpu,
                    const struct dec_insn *insn); /* MOV/POP Sreg, LxS, LAR, LSL, VERx, ARPL, LGDT..STR */
int mon_sys_control(
    struct cpu *cpu,
    const struct dec_insn *insn); /* MOV CR/DR, CLTS, LMSW, SMSW, INVLPG, MSR, CPUID, HLT... */
int mon_sys_transfer(struct cpu *cpu,
                     const struct dec_insn *insn); /* far CALL/JMP/RET, IRET, INT, SYSENTER, SYSEXIT */
int mon_sys_io(struct cpu *cpu, const struct dec_insn *insn);     /* IN, OUT, INS, OUTS */
int mon_sys_bcd(struct cpu *cpu, const struct dec_insn *insn);    /* AAA.. DAS, BOUND */
int mon_sys_fpuenv(struct cpu *cpu, const struct dec_insn *insn); /* FNSTENV.. FXRSTOR, MASKMOV */
/* x87 instruction and data pointers, while the segment registers are still those of the instruction. */
void mon_fpu_note(struct cpu *cpu);

/* ---- segment.c ---- */
int seg_load(struct cpu *cpu, unsigned seg,
             u16 sel) MUST_CHECK; /* MOV/POP/LxS rules for the current mode, not CS */
void seg_load_real(struct cpu *cpu, unsigned seg, u16 sel);    /* real mode and v86 */
int desc_read(struct cpu *cpu, u16 sel, u64 *desc) MUST_CHECK; /* from GDT or LDT; #GP(sel) outside */
void desc_to_seg(struct cpu_seg *out, u32 *base, u16 sel, u64 desc);

/* ---- interrupt.c ---- */
enum mon_source { MON_EXTERNAL, MON_SOFT_INT, MON_EXCEPTION, MON_INT3, MON_ICEBP };
/* Deliver through the IVT or IDT, whatever the mode: gates, stack switch, v86, task gates, error code. Nested faults become
 * double fault and shutdown here. For soft ones cpu->eip is already behind the instruction on success only: return_eip says what to
 * push. Afterwards cpu is at the handler (or stop is set for a triple fault). */
void mon_deliver(struct cpu *cpu, enum mon_source src, u8 vector, bool has_error, u32 error, u32 return_eip);
/* Same for INT n in an instruction: 0, or -1 with the exception recorded. The caller calls mon_state_changed(). */
int mon_soft_int(struct cpu *cpu, const struct dec_insn *insn, enum mon_source src, u8 vector);

/* ---- task.c ---- */
enum task_reason { TASK_CALL, TASK_JMP, TASK_IRET, TASK_GATE };
/* To the TSS of a checked descriptor (SDM vol. 3, 7.3). return_eip is saved in the old task; an error code is pushed in the new
 * one; ext is the EXT bit of #TS and its like. -1 with eip unchanged: nothing happened; with the new task's eip: it faulted there.
 * The caller calls mon_state_changed() in either case. */
int task_switch(struct cpu *cpu, u16 tss_sel, u64 tss_desc, enum task_reason why, u32 return_eip,
                bool has_error, u32 error, u32 ext) MUST_CHECK;

/* ---- cpuid.c ---- */
enum novt_cpu_model { CPU_486, CPU_PENTIUM, CPU_PENTIUM2, CPU_PENTIUM3, CPU_PENTIUM4, CPU_MAX };
void cpuid_query(const struct cpu *cpu, u32 leaf, u32 sub, u32 out[4]); /* eax ebx ecx edx */
void cpuid_start(struct novt_vm *vm); /* a VM is made: the speed of the TSC is measured from here on */
bool cpuid_model_has_apic(enum novt_cpu_model model);
u32 cpuid_features(enum novt_cpu_model model);                          /* 1u << enum dec_feature */
int cpu_model_by_name(const char *name, enum novt_cpu_model *out);

/* ---- run.c ---- */
/* Run until vm->stop. Returns vm->stop (enum mon_stop), detail in stop_code. */
enum mon_stop {
    STOP_NONE,
    STOP_POWEROFF,
    STOP_RESET,
    STOP_DEBUG_EXIT,
    STOP_TRIPLE_FAULT,
    STOP_DEAD,
    STOP_QUIT,
    STOP_ERROR,
};
int mon_run(struct novt_vm *vm);
void mon_stop(struct novt_vm *vm, enum mon_stop why, int code); /* from any thread, signal-safe */
/* The next device deadline as host CLOCK_MONOTONIC ns when the timer of this thread is set for later because a box is to
 * stop by itself, else 0. And: is that time over? */
u64 mon_late_deadline(const struct novt_vm *vm);
bool mon_late(const struct novt_vm *vm);
void mon_timer_update(
    struct novt_vm *vm); /* after device registers were written: the next deadline may have moved */
void mon_nmi(struct novt_vm *vm); /* from any thread, signal-safe */
void mon_irq_changed(struct novt_vm *vm, bool level); /* PIC output; CPU thread */
/* What mon_code_written() has to do where the same memory lies a second time (vm_vga.c). */
void vga_alias_written(struct novt_vm *vm, u64 gpa, u32 len);
void mon_code_written(struct novt_vm *vm, u64 gpa,
                      u32 len); /* RAM that holds translations is about to be written */

/* The current window changed from old (may be NULL) to new: called by state.c. Swaps GS base, jump cache, return stack. */
int mon_window_switched(struct novt_vm *vm, struct mmu_window *old, struct mmu_window *new) MUST_CHECK;

/* ---- move.c ---- */
/* No block has this key. True: one has it now, from another address of the same code. */
bool mon_move_here(struct novt_vm *vm, const struct cc_key *key);

/* ---- translate.c: from EIP to block ---- */
/* cc_page.flags */
#define MON_PAGE_SELFCHECK BIT(0) /* blocks verify their bytes, the page is not watched */
#define MON_PAGE_GLOBAL BIT(1)    /* has been linked to in all windows alike, past their code maps: its blocks are not moved */
/* The block at cpu->eip in the current context: looked up, else translated. NULL: cpu->exit_kind says what to do instead
 * (BT_EXIT_EXCEPTION or BT_EXIT_STEP). exit_from: id of the exit that asked, linked if allowed; 0: none. */
struct cc_block *mon_block(struct novt_vm *vm, u32 exit_from);
void mon_cache_flush(struct novt_vm *vm); /* forget all translations; not while translated code is active */
void mon_note_mmio(struct novt_vm *vm);   /* the instruction at eip touched MMIO through the window */
/* A callout has carried this instruction out, the one before eip; same: in the window it was fetched from. Those made for MMIO that
 * keep touching plain memory, as when a graphics card's memory has been mapped, become native code again. */
void mon_note_memory(struct novt_vm *vm, const struct dec_insn *insn, bool same);
void mon_drop_stale(struct novt_vm *vm);  /* the block at eip, if it is one that checks itself */
void mon_cache_init(struct novt_vm *vm);  /* hooks of the code cache; after cc_new() */

/* What vm.c gives the leaves as hooks; opaque is the struct novt_vm. All in run.c. */
enum bt_fill mon_fill(void *opaque, u32 gva, bool write);                         /* bt_hooks.fill */
bool mon_peek_code(void *opaque, u32 lin, void *buf, unsigned n);                 /* bt_hooks.peek_code */
void mon_bug(void *opaque, const char *what, u64 host_pc, u64 addr);              /* bt_hooks.bug */
void mon_window_changed(void *opaque, struct mmu_window *w, u32 gva, u32 npages); /* mmu_config.changed */
void mon_window_freed(void *opaque, struct mmu_window *w);                        /* mmu_config.free_user */

/* ---- vm_call.c ---- */
/* Calls of other threads; at an instruction boundary only: afterwards registers and memory may be others. */
void mon_calls(struct novt_vm *vm);

/* ---- vm.c ---- */
/* A write to a page that reads as ROM (MMU_ROM): reaches shadow RAM when the chipset says so, else vanishes. */
void mon_rom_write(struct novt_vm *vm, u64 gpa, const void *buf, unsigned size);
/* CPU state as text on fd, signal-safe. */
void mon_dump_cpu(const struct novt_vm *vm, int fd);
/* Host events (typed characters for the UARTs): run.c calls it on the VM's thread after a kick and before HLT sleeps.
 * novt_vm_run() calls bt_thread_init(), mon_run() and bt_thread_fini(), and handles resets between two mon_run(). */
void mon_poll(struct novt_vm *vm);

/* ---- trace.c: -d items ---- */
enum mon_trace_item {
    TRACE_IN_ASM = BIT(0),
    TRACE_OUT_ASM = BIT(1),
    TRACE_EXEC = BIT(2),
    TRACE_INT = BIT(3),
    TRACE_MMU = BIT(4),
    TRACE_IO = BIT(5),
    TRACE_EXIT = BIT(6),
    TRACE_LINK = BIT(7),
    TRACE_PERF_MAP = BIT(8),
};
struct mon_trace {
    u32 items;             /* enum mon_trace_item */
    u32 lo, hi;            /* -dfilter: linear addresses lo..hi */
    struct trace_out *out; /* trace.c's */
};
static inline bool mon_tracing(const struct novt_vm *vm, u32 item, u32 addr)
{
    return UNLIKELY(vm->trace != NULL) && (vm->trace->items & item) && addr >= vm->trace->lo &&
           addr <= vm->trace->hi;
}
/* One line, "\n" added. Call only after mon_tracing(). Not in signal handlers, guest's SIMD state saved. */
void mon_trace(struct novt_vm *vm, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* A block was committed: in_asm and out_asm listings, perf map entry. guest: its guest_len bytes. */
void mon_trace_block(struct novt_vm *vm, const struct cc_block *b, const u8 *guest);

#endif
