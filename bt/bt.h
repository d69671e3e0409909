/*
 * bt.h - translator, entry and exit gates, one-instruction fallback.
 *
 * Guest bytes become 64-bit host code that can name only its window and the CPU struct (DESIGN sections 3-5).
 * Host registers while translated code runs:
 *   rax rcx rdx rbx rbp rsi rdi   guest registers of the same name (upper halves zero)
 *   r8                            guest ESP (upper half zero)
 *   r9 r10 r11 r12 r13 r14        scratch, no meaning between instructions
 *   r15                           struct cpu + CPU_BIAS
 *   rsp                           the window's return stack (see below), never guest-derived
 *   GS base                       the window
 *   RFLAGS                        guest arithmetic flags; DF, TF, AC, NT clear
 * Return stack: each guest CALL pushes minus the guest return address and makes a host CALL, so that a guest RET
 * can compare and use the host's return predictor. Records are hints; losing them costs only speed.
 */
#ifndef NOVT_BT_H
#define NOVT_BT_H

#include "base.h"
#include "bt/cpu.h"
#include "codecache/codecache.h"
#include "decoder/decoder.h"

struct bt;

/* What a callout or the fallback says. */
enum bt_result {
    BT_CONT,  /* done: go on with the next instruction inline; mode, window, eip sequence unchanged */
    BT_LEAVE, /* leave translated code: cpu->eip and cpu->exit_kind (and its fields) are set */
    BT_JUMP, /* callouts only: go on at cpu->eip, whatever changed, by the jump cache of the window that is current now */
};

/* Answers of the fault hook. */
enum bt_fill {
    BT_FILL_RETRY,     /* mapped: run the same host instruction again */
    BT_FILL_EXCEPTION, /* guest fault: cpu->exc_*, cpu->cr2 set by the hook */
    BT_FILL_STEP,      /* carry the instruction out by the fallback */
};

/* What the translator needs of the monitor; every hook gets `opaque`. */
struct bt_hooks {
    void *opaque;
    /* SIGSEGV in the current window; runs in the signal handler. */
    enum bt_fill (*fill)(void *opaque, u32 gva, bool write);
    /* A memory operand of the fallback: segment checks, paging, MMIO. 0, or -1 with cpu->exc_* (and cr2) set. size 1..512. */
    int (*mem_read)(void *opaque, unsigned seg, u32 off, void *buf, unsigned size);
    int (*mem_write)(void *opaque, unsigned seg, u32 off, const void *buf, unsigned size);
    /* Check that a later write of size bytes would succeed (for read-modify-write). */
    int (*mem_probe_write)(void *opaque, unsigned seg, u32 off, unsigned size);
    /* Bytes of code at linear address lin, for a look ahead at a call's target; notes the page in the current window's code map.
     * false: not to be had without a fault, or n crosses the page. May be NULL. */
    bool (*peek_code)(void *opaque, u32 lin, void *buf, unsigned n);
    /* A host fault that is neither the window's nor the guest's: a bug. Never returns to translated code. */
    void (*bug)(void *opaque, const char *what, u64 host_pc, u64 addr);
    /* A kick found the thread outside translated code; in the signal handler. May be NULL. */
    void (*kicked)(void *opaque);
};

/* Why a block ended or an instruction was not translated: refusals are normal, named, counted. */
enum bt_refusal {
    BT_REFUSE_NONE,
    BT_REFUSE_UD,       /* undefined for this CPU model */
    BT_REFUSE_SEGCHECK, /* segment needs C checks (SEGC_CHECK) */
    BT_REFUSE_ENCODING, /* no fast form for this operand combination */
    BT_REFUSE_SINGLE,   /* one-instruction mode: TF, debug registers */
    BT_REFUSE_MMIO,     /* instruction was seen to touch MMIO or a watched page */
    BT_REFUSE_COUNT
};
const char *bt_refusal_name(unsigned r);

struct bt_stats {
    u64 blocks, insns, host_bytes, translate_cycles, translate_calls;
    u64 exits[BT_EXIT_COUNT];
    u64 signals, fills, fallback_steps, async_steps;
    u64 refusals[BT_REFUSE_COUNT];
    u64 moved_pages, moved_blocks;
};

/* Stress switches (tests): rare paths forced. */
struct bt_options {
    u32 max_insns; /* a block's instructions at most; 0: default */
    bool no_chain; /* never link exits */
    bool slow_mem; /* every memory access through the fallback */
    bool verify;   /* check every emitted block with the verifier */
};

/* Emits the gates into cc. cpu outlives bt. 0, -ENOMEM, -ENOSPC. */
int bt_new(struct bt **out, struct cpu *cpu, struct cc *cc, const struct bt_hooks *hooks,
           const struct bt_options *opt) MUST_CHECK;
void bt_free(struct bt *bt);

/* Translate the block that starts at code->eip. */
struct bt_code {
    const u8 *bytes; /* guest bytes at eip, contiguous copy or mapping */
    u32 avail;       /* how many may be used: to the end of the page, or 15 more when page 2 is given */
    u32 page_left;   /* bytes to the end of the first page; instructions starting behind it are not taken */
    struct cc_key key;
    u16 cs_sel;           /* for the x87 unit's last code segment */
    bool one;             /* exactly one instruction */
    const u32 *slow_eips; /* instructions known to touch MMIO: by callout, not by window (n_slow of them) */
    u32 n_slow;
    bool
        selfcheck; /* the block compares its bytes with memory first (pages that are written while they hold code) */
};
/* 0 with *out committed; -ENOSPC: cache full, flush and retry; -ENODATA: the first instruction needs bytes beyond avail
 * (give the second page); -ENOMEM. Every other byte string gives a block (one that raises #UD or #GP if need be). */
int bt_translate(struct bt *bt, const struct bt_code *code, struct cc_block **out) MUST_CHECK;

/* Translations that survive another EIP (move.c). A block that bt_move() can take to *key, which has none: the first, or the one after
 * `after`; NULL: no more. bt_move() gives it and all movable ones of its page that stand with it the address eip; conditions as for
 * cc_move(). */
struct cc_block *bt_movable(struct bt *bt, const struct cc_key *key, const struct cc_block *after);
void bt_move(struct bt *bt, const struct cc_block *b, u32 eip);

/* Run translated code from block b until it exits; returns cpu->exit_kind with the CPU struct true.
 * Call on the thread that called bt_thread_init(). */
enum bt_exit_kind bt_enter(struct bt *bt, struct cc_block *b);

enum bt_exit_kind bt_enter_at(struct bt *bt, u64 host_pc);

/* Fallback for DEC_PLAIN and simple DEC_HAND instructions: exactly one instruction at cpu->eip, memory operand read to
 * cpu->buf, run natively, written back; eip advanced. BT_CONT, or BT_LEAVE with an exception in cpu->exc_*. */
enum bt_result bt_step(struct bt *bt, const struct dec_insn *insn);

/* Signals of the calling thread (alternate stack, handlers). One VM a thread at a time. 0 or -errno. */
int bt_thread_init(struct bt *bt) MUST_CHECK;
void bt_thread_fini(struct bt *bt);

/* Leave translated code at the next instruction boundary: from any thread, signal-safe. Sets cpu->kick. */
void bt_kick(struct bt *bt);

/* Complete the FXSAVE image cpu->fpu. XMM0-7 in it are true whenever C runs (the gates store and reload them, so that callouts may
 * use SSE); x87 and MXCSR stay in the host's registers until this is called, which also gives C code a clean x87. The
 * gate then restores all of it. Idempotent. For whoever reads or writes x87 state, and before returning to the VM's owner. */
void bt_fpu_save(struct cpu *cpu);
/* Is an unmasked x87 exception pending? The pointers mean something only then. */
bool bt_fpu_pending(const struct cpu *cpu);
#define BT_X87_IP_NONE 1ull /* the image's instruction pointer: no address of the cache, nor FNINIT's zero */

/* Jump cache (in-cache lookup by EIP): one per window, BT_JCACHE_BYTES zeroed memory, and a return stack. */
#define BT_JCACHE_ENTRIES 4096u
#define BT_JCACHE_BYTES (BT_JCACHE_ENTRIES * 16u)
#define BT_JCACHE_WAYS 2
#define BT_JCACHE_ROTATE 10u
#define BT_RETSTACK_BYTES 16384u /* below it a PROT_NONE page */
void bt_jcache_put(struct bt *bt, u8 *jcache, u64 ctx_tag, u32 eip, const struct cc_block *b);
/* Host address of the block at eip, or 0. For bt_enter_at(): the entry is as good as a block found by its whole key. */
u64 bt_jcache_get(u8 *jcache, u64 ctx_tag, u32 eip);
void bt_jcache_drop_block(const struct bt *bt, u8 *jcache, const struct cc_block *b);
/* Make a window current: GS base, jump cache, code map (2^20 entries, see struct cpu), return stack [ret_lo, ret_top) with PROT_NONE
 * below and above. ret_sp: where
 * it stood when it was left, or bt_retstack_reset(). base must be aligned to 4 GiB. The caller saves cpu->ret_sp of the
 * window that was current. On the CPU thread. */
void bt_set_window(struct bt *bt, u8 *base, u8 *jcache, u32 *code_map, u8 *ret_lo, u8 *ret_top, u64 ret_sp);
/* The current return stack is empty from now on, also when called from the fill hook. */
void bt_retstack_drop(struct bt *bt, u64 ret_sp);
/* Initial ret_sp for a return stack whose memory ends at top: writes the sentinel record. */
u64 bt_retstack_reset(struct bt *bt, u8 *top);

const struct bt_stats *bt_stats(const struct bt *bt);

#endif
