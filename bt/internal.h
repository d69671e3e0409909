/*
 * internal.h - what the files of bt/ share: the instance, the gates, side tables, translation state.
 *
 * Not included from outside bt/.
 */
#ifndef NOVT_BT_INTERNAL_H
#define NOVT_BT_INTERNAL_H

#include <signal.h>

#include "bt/bt.h"
#include "bt/emit.h"

#define CPU_DISP(field) ((i32)offsetof(struct cpu, field) - CPU_BIAS)

/* Where guest registers live. */
#define G_ESP H_R8
#define H_CPU H_R15

enum bt_gate {
    GATE_ENTER,  /* from bt_enter(): load the guest's state, jump to cpu->enter_pc */
    GATE_LINK,   /* hard stub: r9d = target, r10d = exit id -> BT_EXIT_LOOKUP */
    GATE_LOOKUP, /* r9d = target: jump cache, then BT_EXIT_LOOKUP without id */
    GATE_RET, /* r9d = target: the record's host address if the record matches, else drop it and as GATE_LOOKUP */
    GATE_RET_KEY, /* as GATE_RET, but the record is compared with r12d = selector << 16 | r9d (cpu_cs_8086()) */
    GATE_RET_KEEP,  /* the same, but a record that does not match stays: interrupts push none */
    GATE_STEP,      /* r9d = eip: BT_EXIT_STEP */
    GATE_CALLOUT,   /* called: r10 = instruction record; cpu->emulate(cpu, record) */
    GATE_SIGNAL,    /* the signal handler has stored the guest's registers: switch stacks and return */
    GATE_STEP_DONE, /* the fallback's code ends here: store everything, return BT_EXIT_LOOKUP */
    GATE_SENTINEL,  /* host return address of a return stack's sentinel record: r9d = target */
    GATE_COUNT
};

/* Side table: where each guest instruction starts in the host code and what is pending there, so that a fault or an
 * asynchronous stop at any host address gives the guest's exact state. */
enum side_pending {
    PEND_NONE,
    PEND_STRING,     /* rsi, rdi hold 64-bit window pointers: the low halves are the guest's */
    PEND_BORROW = 8, /* + host register: its guest value is in r13 */
    /* A repeated string instruction in its segments, + source segment (SEG_*) and the bits below: rsi, rdi are window pointers
     * with the segments' bases added, r11 and r13 hold ESI and EDI from before; ECX = rcx + r12. */
    PEND_SEGSTRING = 0x40,
};
#define PEND_SEG 0x07      /* segment of the source; the target's is ES */
#define PEND_SI BIT(3)     /* rsi is a pointer */
#define PEND_DI BIT(4)     /* rdi is one */
#define PEND_ADDR16 BIT(5) /* they are SI and DI: the upper halves of ESI and EDI stay */
#define SIDE_MID BIT(0)    /* not a boundary: no asynchronous stop here */
struct side_rec {
    u16 host;    /* offset from the block's entry */
    u16 guest;   /* offset of the instruction from the block's eip */
    i16 esp_adj; /* guest ESP = r8 + esp_adj */
    u8 pend;     /* enum side_pending */
    u8 flags;    /* SIDE_* */
};

/* Places: fields of 32 bits in a block's code that depend on its eip, for bt_move(). An element is the kind, whether the field lies in the
 * stubs, and its offset there or in the hot part. */
enum place_kind {
    PLACE_EIP,       /* guest addresses */
    PLACE_MINUS_EIP, /* return-stack records */
    PLACE_MAP,       /* offsets of code map entries */
};
#define PLACE_KIND_SHIFT 16
#define PLACE_COLD BIT(15)
#define PLACE_OFF 0x7fffu
#define BLOCK_MOVABLE BIT(0) /* cc_block.flags: the places are all that depends on eip */

#define BT_STEP_BYTES 4096u
#define BT_MAX_RECS 512u
#define BT_MAX_EXITS 160u
#define BT_MAX_PLACES 1024u
#define BT_BLOCK_BYTES 16384u
#define BT_BLOCK_SOFT 8192u
#define BT_COLD_BYTES 20480u
#define BT_MAX_INSNS 64u

struct bt {
    struct cpu *cpu;
    struct cc *cc;
    struct bt_hooks hooks;
    struct bt_options opt;
    struct bt_stats stats;
    u64 gate[GATE_COUNT]; /* execution addresses */
    u32 gates_off, gates_bytes;
    u32 step_off;          /* the fallback's code area, BT_STEP_BYTES */
    u32 step_eip, step_dp; /* guest EIP and linear operand address of what ran there last */
    u8 *ret_lo, *ret_top;  /* current return stack: [ret_lo - page, ret_lo) is its guard */
    int tid;               /* of the CPU thread, 0: none */
    u64 rx_lo, rx_hi;      /* the whole cache as the CPU executes it */
    bool ret_dropped;      /* bt_retstack_drop() since the last entry: the fault handler sets rsp */
    void *altstack;
    stack_t caller_stack; /* of the thread that runs the machine, for the time of a run */
    u64 caller_gs;
    struct side_rec recs[BT_MAX_RECS];
    struct cc_exit exits[BT_MAX_EXITS];
    u32 places[BT_MAX_PLACES];
};

/* One translation in progress. */
struct tr {
    struct bt *bt;
    struct emit e;
    struct emit cold; /* stubs */
    u32 cold_off;     /* their place in the cache */
    const struct bt_code *code;
    const struct dec_insn *in;
    u32 mode, eip, next; /* of the current instruction */
    i32 adj;             /* guest ESP = r8 + adj */
    u32 exit_cs_base;    /* CS base at the targets of exits */
    u64 held; /* EIP of the instruction before which a load of SS holds interrupts off; beyond 32 bits: none */
    u32 n_recs, n_exits, n_insns, n_places;
    u32 first_exit_id;
    u32 n_steps; /* jumps to GATE_STEP stubs */
    struct {
        u8 *rel;
        u32 eip;
        i32 adj;
        bool rcx_in_r13;
    } steps[BT_MAX_EXITS];
    u32 exit_base[BT_MAX_EXITS]; /* exit_cs_base of each */
    bool ended;                  /* the block has ended: no fall-through */
    bool mid_next;               /* the next instruction is not an asynchronous boundary (behind STI) */
    bool fail;                   /* out of records or exits: end the block before this instruction */
    bool fixed;                  /* something depends on eip in a way that places do not tell: never moved */
    enum bt_refusal refusal;
};

/* translate.c */
void tr_rec(struct tr *t, u8 pend, u8 flags);
void tr_flush_esp(struct tr *t);
void tr_place(struct tr *t, const struct emit *e, enum place_kind kind); /* the 32 bits just emitted */
void tr_map_place(struct tr *t, const struct emit *e, u32 page);         /* the same: of the code map's entry of page */
void tr_eip_to(struct tr *t, struct emit *e, u8 reg, u32 eip);           /* mov reg, eip */
void tr_exit_jmp(struct tr *t, u32 target);          /* jmp rel32, linkable */
void tr_exit_jcc(struct tr *t, u8 cond, u32 target); /* jcc rel32, linkable */
void tr_exit_call(struct tr *t, u32 target);         /* call rel32, linkable */
void tr_exit_inline(struct tr *t,
                    u32 target); /* where a callee returns to: falls through while the block lives */
void tr_jmp_step(struct tr *t,
                 bool rcx_in_r13); /* jmp to a stub that leaves for the fallback at this instruction */
void tr_step_exit(struct tr *t);   /* leave: BT_EXIT_STEP at this instruction; ends the block */
void tr_shadow_exit(struct tr *t, u32 eip); /* leave; interrupts are held off for the instruction at eip */
void tr_callout(struct tr *t);              /* cpu->emulate() for this instruction, then inline */
void tr_refuse(struct tr *t, enum bt_refusal why); /* count the reason and emit a callout */
static inline u64 tr_gate(const struct tr *t, enum bt_gate g)
{
    return t->bt->gate[g];
}
static inline unsigned tr_segc(const struct tr *t, unsigned seg)
{
    return MODE_SEGC(t->mode, seg);
}

/* operand.c: guest memory operands. Address pieces: r9, r10; limit checks also r11, r12. */
struct gaddr { /* guest effective address */
    u8 base, index, scale, seg, adsz;
    i32 disp;
    u32 size;
};
bool op_seg_ok(const struct tr *t, unsigned seg); /* false: SEGC_CHECK, take the callout */
void op_limit_check(struct tr *t, unsigned seg,
                    u32 size); /* r9d and size bytes within the limit, else the fallback */
struct hop op_mem(struct tr *t, const struct gaddr *a);          /* segment must be op_seg_ok */
struct hop op_insn_mem(struct tr *t);                            /* the current instruction's operand */
struct hop op_insn_sized(struct tr *t, u32 size);                /* the same, of another size */
struct hop op_r9(struct tr *t, unsigned seg, u8 adsz, u32 size); /* effective address already in r9d */
struct hop op_address(
    const struct tr *t);              /* the current instruction's effective address, no segment: for LEA */
struct hop op_selector(unsigned seg); /* the selector of a segment register in the CPU struct */
struct hop op_stack(struct tr *t, i32 off, u32 size); /* SS:[SP + off] */

/* The treatments, one a class: emit the current instruction. */
void tr_plain(struct tr *t);  /* plain.c */
void tr_stack(struct tr *t);  /* stack.c */
void tr_string(struct tr *t); /* string.c */
void tr_branch(struct tr *t); /* branch.c */
void tr_hand(struct tr *t);   /* hand.c */
/* Instructions that are C's as a rule; false: this one too, nothing was emitted. */
bool tr_segment(struct tr *t); /* segment.c */
bool tr_far(struct tr *t);     /* far.c */

/* segment.c: seg = selector in r13d in real mode and v86 */
void tr_set_segment(struct tr *t, unsigned seg);
/* branch.c: the record of the current instruction's return address, and where a matching return lands */
void tr_push_record(struct tr *t);
void tr_landing(struct tr *t);

/* flags.c: EFLAGS as an image in r13d. */
void tr_flags_image(struct tr *t);
u8 *tr_flags_allowed(struct tr *t, u8 size, const struct hop *unless);
void tr_flags_load(struct tr *t);

/* stack.c: SP or ESP += n, behind the last access. */
void tr_move_sp(struct tr *t, i32 n);

/* plain.c, also for the fallback: emit the instruction with memory operand m (ignored when it has none). Returns false when it cannot
 * be encoded (AH..BH together with a register that needs REX). */
bool plain_emit(struct emit *e, const struct dec_insn *in, const struct hop *m);
bool plain_is_ldmxcsr(const struct dec_insn *in);
u32 plain_mxcsr_mask(const struct cpu *cpu);        /* bits of MXCSR that the CPU model has */
bool plain_needs_legacy(const struct dec_insn *in); /* uses AH, CH, DH or BH: no REX possible */

/* gate.c */
int gate_emit(struct bt *bt) MUST_CHECK;
int gate_enter(struct bt *bt, u64 pc); /* call GATE_ENTER; returns exit_kind */

/* signal.c: the side record that covers host pc in block b; NULL when pc is before the first. */
const struct side_rec *side_find(const struct bt *bt, const struct cc_block *b, u64 pc);

/* x87.c: cpu->fpu_ip, fpu_dp and fpu_opcode from the host's x87 unit. Masks x87 exceptions. */
void x87_note_pointers(struct cpu *cpu);

#endif
