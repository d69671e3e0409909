/*
 * cpu.h - the guest CPU as translated code and the monitor share it.
 *
 * Translated code addresses this struct through host r15 (biased by CPU_BIAS so that the first 256
 * bytes have 8-bit displacements). While translated code runs the GPRs, the arithmetic flags and
 * the x87/SSE state live in host registers and the copies here are stale; they are true in
 * every exit and callout. Included by way of bt/bt.h.
 */
#ifndef NOVT_BT_CPU_H
#define NOVT_BT_CPU_H

#include "base.h"
#include "decoder/decoder.h"

#define CPU_BIAS 128

enum cpu_gpr { R_EAX, R_ECX, R_EDX, R_EBX, R_ESP, R_EBP, R_ESI, R_EDI };

/* EFLAGS bits beyond the arithmetic ones (SDM vol. 1, 3.4.3). */
#define EFL_R1 BIT(1)
#define EFL_TF BIT(8)
#define EFL_IF BIT(9)
#define EFL_DF BIT(10)
#define EFL_IOPL (3u << 12)
#define EFL_NT BIT(14)
#define EFL_RF BIT(16)
#define EFL_VM BIT(17)
#define EFL_AC BIT(18)
#define EFL_VIF BIT(19)
#define EFL_VIP BIT(20)
#define EFL_ID BIT(21)

/* Control register bits (SDM vol. 3, 2.5). */
#define CR0_PE BIT(0)
#define CR0_MP BIT(1)
#define CR0_EM BIT(2)
#define CR0_TS BIT(3)
#define CR0_ET BIT(4)
#define CR0_NE BIT(5)
#define CR0_WP BIT(16)
#define CR0_AM BIT(18)
#define CR0_NW BIT(29)
#define CR0_CD BIT(30)
#define CR0_PG BIT(31)
#define CR4_VME BIT(0)
#define CR4_PVI BIT(1)
#define CR4_TSD BIT(2)
#define CR4_DE BIT(3)
#define CR4_PSE BIT(4)
#define CR4_PAE BIT(5)
#define CR4_MCE BIT(6)
#define CR4_PGE BIT(7)
#define CR4_PCE BIT(8)
#define CR4_OSFXSR BIT(9)
#define CR4_OSXMMEXCPT BIT(10)

/* Exception vectors (SDM vol. 3, 6.3.1). */
enum cpu_vector {
    EXC_DE = 0,
    EXC_DB = 1,
    EXC_NMI = 2,
    EXC_BP = 3,
    EXC_OF = 4,
    EXC_BR = 5,
    EXC_UD = 6,
    EXC_NM = 7,
    EXC_DF = 8,
    EXC_TS = 10,
    EXC_NP = 11,
    EXC_SS = 12,
    EXC_GP = 13,
    EXC_PF = 14,
    EXC_MF = 16,
    EXC_AC = 17,
    EXC_MC = 18,
    EXC_XM = 19,
};

/* Hidden part of a segment register. attr holds descriptor bits 40..55 (SDM vol. 3, 3.4.5):
 *   15 14 13 12 | 11..8       | 7 | 6 5 | 4 | 3 2 1 0
 *   G  D  L AVL | limit 19:16 | P | DPL | S | type          (limit bits here are not kept: 0)
 */
struct cpu_seg {
    u32 limit; /* last valid offset in bytes, granularity applied */
    u16 sel;
    u16 attr;
};
#define SEG_ATTR_TYPE 0x000f
#define SEG_ATTR_ACCESSED 0x0001
#define SEG_ATTR_RW 0x0002 /* data: writable; code: readable */
#define SEG_ATTR_DC 0x0004 /* data: expand-down; code: conforming */
#define SEG_ATTR_CODE 0x0008
#define SEG_ATTR_S 0x0010
#define SEG_ATTR_DPL 0x0060
#define SEG_ATTR_P 0x0080
#define SEG_ATTR_D 0x4000 /* D/B */
#define SEG_ATTR_G 0x8000

struct cpu_table { /* GDTR, IDTR */
    u32 base;
    u16 limit;
};

struct cpu_sysseg { /* LDTR, TR */
    u32 base, limit;
    u16 sel, attr;
};

/* Mode word: every assumption about CPU state that a translated block makes, part of its key.
 * Segment classes: two bits per segment from MODE_SEG_SHIFT, in enum dec_seg order. */
#define MODE_CS32 BIT(0)
#define MODE_SS32 BIT(1)
#define MODE_PE BIT(2)
#define MODE_VM BIT(3)
#define MODE_CPL3 BIT(4)
#define MODE_CPL_SHIFT 5    /* two bits: CPL */
#define MODE_IOPL_OK BIT(7) /* CPL <= IOPL (and not v86 with IOPL < 3): CLI, STI legal */
#define MODE_NM BIT(8)      /* CR0.EM | CR0.TS: x87 instructions give #NM */
#define MODE_EM BIT(9)      /* CR0.EM: MMX, SSE give #UD */
#define MODE_TS BIT(10)
#define MODE_MP BIT(11)
#define MODE_SSE BIT(12)     /* CR4.OSFXSR: SSE legal */
#define MODE_TF BIT(13)      /* single step: one instruction a block, #DB after it */
#define MODE_TSD BIT(14)     /* RDTSC not allowed here */
#define MODE_AC BIT(15)      /* CR0.AM & EFLAGS.AC & CPL 3 */
#define MODE_SEG_SHIFT 16    /* bits 16..27 */
#define MODE_DB BIT(28)      /* debug registers enabled: one-instruction blocks with checks */
#define MODE_IVT \
    BIT(30) /* real mode, all 256 vectors within IDTR.limit, EFLAGS.AC clear: INT n needs no checks */

/* In real mode and v86 a load of a segment register changes its base alone, and so not its class: there is no FLAT, and CHECK is
 * what other modes have left behind and a load makes LIMIT or BASED. */
enum cpu_segclass {
    SEGC_FLAT,  /* base 0, limit 4 GiB - 1, present, readable; writable unless CS */
    SEGC_BASED, /* limit 4 GiB - 1 and usable like FLAT, base not 0 */
    SEGC_LIMIT, /* present, expand-up, readable (and writable unless CS); base and limit checked by emitted code */
    SEGC_CHECK, /* anything else (null, read-only, execute-only, expand-down...): C checks every access */
};
#define MODE_SEGC(mode, seg) (((mode) >> (MODE_SEG_SHIFT + 2 * (seg))) & 3u)

/* Real mode or v86: a segment's base is its selector times 16. */
static inline bool cpu_mode_8086(u32 mode)
{
    return (mode & (MODE_PE | MODE_VM)) != MODE_PE;
}

/* Is CS of that kind too, so that far transfers change nothing of (mode, CS limit)? Then jump-cache tags are cpu->sel_tag + selector, and
 * return-stack records are of selector << 16 | IP. */
static inline bool cpu_cs_8086(u32 mode, u32 cs_base, u32 cs_limit)
{
    return cpu_mode_8086(mode) && MODE_SEGC(mode, SEG_CS) != SEGC_CHECK && cs_limit == 0xffff &&
           !(cs_base & 15) && cs_base <= 0xffff0;
}

struct cpu; /* below */
struct cc_block;

/* Why translated code came back. */
enum bt_exit_kind {
    BT_EXIT_LOOKUP,    /* go on at cpu->eip; exit_from names the block exit to link, or 0 */
    BT_EXIT_EXCEPTION, /* exc_vector, exc_error, exc_has_error, cr2 (for #PF) set; eip = faulting one */
    BT_EXIT_STEP,      /* carry out exactly one instruction at cpu->eip by the fallback */
    BT_EXIT_ASYNC,     /* a kick; state is at an instruction boundary */
    BT_EXIT_HLT,       /* HLT was carried out; eip behind it */
    BT_EXIT_STOP,      /* the VM is to stop: reset, power-off, debug exit, error; see the monitor */
    BT_EXIT_COUNT
};

struct cpu {
    /* --- hot: reached with 8-bit displacements --- */
    u32 gpr[8];
    u32 eip;
    u32 flags;      /* arithmetic flags only, valid when not in translated code */
    i32 df;         /* +1 or -1 (EFLAGS.DF = 1) */
    u32 sysflags;   /* EFLAGS without the arithmetic ones, IF, DF and bit 1 */
    u8 iflag;       /* EFLAGS.IF, 0 or 1 */
    u8 irq_pending; /* an interrupt waits (PIC output or NMI), 0 or 1; written by the CPU thread only */
    u8 inhibit;     /* 1: interrupts held off for one instruction (STI, MOV SS, POP SS) */
    u8 exit_kind;   /* enum bt_exit_kind */
    u32 exit_from;  /* id of the block exit that left, 0: none */
    u32 seg_base[SEG_COUNT];
    u32 seg_limit[SEG_COUNT]; /* copy of seg[].limit for emitted checks */
    u64 ctx_tag;              /* jump-cache tag of the current (mode, cs_base, cs_limit), in bits 63..32 */
    u8 *jcache;               /* jump cache of the current window */
    u32 *code_map;  /* of the current window: linear page -> guest-physical page of code, for guarded links */
    u64 ret_sp;     /* return stack pointer of the current window */
    u64 c_sp;       /* host stack pointer of the run loop while translated code runs */
    u8 *window;     /* current window's base (= host GS base in translated code) */
    u64 tsc_offset; /* guest TSC = host TSC + offset (when not scaled) */
    u64 callout_ret; /* where a callout goes on, while it is in C */
    u64 enter_pc;    /* entry of the block that bt_enter() enters */
    u8 ret_pop[8];   /* bytes a mismatching RET drops, by bits 33:32 of the record (gate.c) */
    /* --- warm --- */
    u32 mode; /* MODE_* */
    u64 sel_tag;                /* ctx_tag less the selector, in bits 63..32, while cpu_cs_8086() */
    u32 seg_limit16[SEG_COUNT]; /* seg[].limit, at most FFFFh: how far 16-bit string pointers go */
    u8 exc_vector, exc_has_error, exc_soft, fpu_saved;
    u32 exc_error;
    u32 cr2;
    volatile u32 kick; /* set by bt_kick() and by signal handlers: leave translated code soon */
    u32 selfchecks; /* counted down by self-checking blocks; the one that makes it 0 leaves for the fallback */
    int (*emulate)(struct cpu *cpu, const struct dec_insn *insn); /* callout for DEC_SYS, see bt.h */
    u8 buf[512] __attribute__((aligned(64))); /* memory operand of the one-instruction fallback */
    u8 fpu[512]
        __attribute__((aligned(64))); /* FXSAVE image (64-bit form); see bt_fpu_save() for what is valid */
    /* --- cold: the architected rest --- */
    struct cpu_seg seg[SEG_COUNT];
    struct cpu_table gdtr, idtr;
    struct cpu_sysseg ldtr, tr;
    u32 cr0, cr3, cr4;
    u32 dr[8];
    u8 cpl;
    u8 halted; /* in HLT */
    u8 nmi_blocked;
    u32 features; /* 1u << enum dec_feature */
    u32 sysenter_cs, sysenter_esp, sysenter_eip;
    u64 efer, tsc_adjust, pat, misc_enable;
    u64 mtrr[32];
    u64 fpu_ip, fpu_dp; /* x87 last instruction and data pointer: selector << 32 | offset */
    u16 fpu_opcode;
    u8 fpu_fresh; /* fpu_ip is news: fpu_dp is a linear address (FPU_FRESH_OFFSET: an offset) and fpu_opcode the host's; fpuenv.c refines them */
    u8 fpu_cs32; /* while fresh: size of the code that fpu_ip names, and its linear address */
    u32 fpu_lin;
    u16 step_cs; /* code segment of what the fallback ran last */
    u8 step_cs32;
    u32 step_cs_base;
    void *bt; /* struct bt of this CPU */
    void *vm; /* the monitor's VM */
};

#define FPU_FRESH_OFFSET 2 /* from code that ran directly, in segments of its own */

/* EFLAGS as a whole, valid when not in translated code. */
static inline u32 cpu_eflags(const struct cpu *c)
{
    return (c->flags & FL_ARITH) | EFL_R1 | c->sysflags | (c->iflag ? EFL_IF : 0) | (c->df < 0 ? EFL_DF : 0);
}

static inline void cpu_eflags_set(struct cpu *c, u32 v)
{
    c->flags = v & FL_ARITH;
    c->iflag = (v & EFL_IF) != 0;
    c->df = (v & EFL_DF) ? -1 : 1;
    c->sysflags = v & (EFL_TF | EFL_IOPL | EFL_NT | EFL_RF | EFL_VM | EFL_AC | EFL_VIF | EFL_VIP | EFL_ID);
}

#endif
