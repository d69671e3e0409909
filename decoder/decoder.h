/*
 * decoder.h - guest bytes to compact instruction records.
 *
 * First stage of the flow (decoder > bt > codecache > run > exit > monitor). The only user of
 * Zydis; nobody else sees a Zydis type. A record says what the translator and the monitor need:
 * the encoding's parts (so that the translator can re-emit the same instruction with another
 * memory operand), the class that chooses the treatment, the operation for instructions that we
 * carry out ourselves, the arithmetic flags read and written, and the CPU feature required.
 *
 * Guarantees: pure functions of the bytes; no allocation; never reads past len bytes; every byte
 * string gives a record or a named refusal.
 */
#ifndef NOVT_DECODER_H
#define NOVT_DECODER_H

#include "base.h"

#define DEC_MAX_LEN 15 /* SDM vol. 2, 2.3.11: a longer instruction is #GP(0) */

/* How an instruction is treated. */
enum dec_class {
    DEC_PLAIN,  /* the host runs it with its operands rewritten: ALU, MOV, x87, MMX, SSE... */
    DEC_STACK,  /* PUSH, POP, PUSHA, ENTER, LEAVE, PUSHF... : emitted by hand */
    DEC_STRING, /* MOVS, STOS, LODS, SCAS, CMPS with and without REP (not INS, OUTS) */
    DEC_BRANCH, /* Jcc, JMP, CALL, RET (near), LOOPcc, JCXZ: ends or leaves the block */
    DEC_HAND,   /* emitted by hand, neither stack nor branch: XLAT, BT with register offset, MOV from
                   Sreg, CLI, STI, CLD, STD, NOP-likes, RDTSC... */
    DEC_SYS,    /* carried out in C by the monitor: privileged, sensitive, segment loads, far
                   transfers, I/O, INT, BCD, BOUND, ARPL, FNSTENV/FNSAVE/FXSAVE/FLDENV/FRSTOR... */
    DEC_UD,     /* #UD: undefined, or not in 32-bit x86 as we model it (AVX, VMX, 64-bit only...) */
};

/* Operations of all classes but DEC_PLAIN and DEC_UD. */
enum dec_op {
    OP_NONE,
    /* DEC_STACK */
    OP_PUSH_R,   /* reg = register */
    OP_PUSH_I,   /* imm, already sign-extended */
    OP_PUSH_M,   /* memory operand (FF /6 with mod != 3) */
    OP_PUSH_SEG, /* reg = segment register */
    OP_POP_R,
    OP_POP_M,
    OP_PUSHA,
    OP_POPA,
    OP_PUSHF,
    OP_POPF,
    OP_ENTER, /* imm = size, imm2 = level */
    OP_LEAVE,
    /* DEC_STRING */
    OP_MOVS,
    OP_STOS,
    OP_LODS,
    OP_SCAS,
    OP_CMPS,
    /* DEC_BRANCH; direct targets are EIP of the next instruction + imm, truncated to opsz */
    OP_JCC, /* cond = low nibble of the opcode */
    OP_JMP,
    OP_CALL,
    OP_JMP_RM,  /* register (reg, when mem == 0) or memory */
    OP_CALL_RM, /* register (reg, when mem == 0) or memory */
    OP_RET,     /* imm = bytes to release, 0 for C3 */
    OP_LOOP,
    OP_LOOPE,
    OP_LOOPNE,
    OP_JCXZ, /* adsz chooses CX or ECX, also for LOOPcc */
    /* DEC_HAND */
    OP_BT, /* BT/BTS/BTR/BTC with memory operand and register offset only */
    OP_BTS,
    OP_BTR,
    OP_BTC,
    OP_MOV_R_SEG, /* MOV r/m, Sreg: reg2 = segment register; reg or memory destination */
    OP_XLAT,      /* seg = segment after override; mem = 0 */
    OP_CLI,
    OP_STI,
    OP_CLD,
    OP_STD,
    OP_NOP, /* NOP, PAUSE, PREFETCHx, ENDBR, multi-byte NOP with memory operand (no access) */
    OP_LEA, /* reg = destination */
    OP_RDTSC,
    OP_SALC,
    OP_FWAIT, /* fpu shows DEC_FPU_NONE: its own rule, #NM with CR0.MP and TS */
    OP_LAHF,
    OP_SAHF,
    OP_FENCE,
    /* DEC_SYS */
    OP_HLT,
    OP_IN, /* imm port, or reg2 = 2 (DX) when imm_size == 0; opsz 1, 2, 4 */
    OP_OUT,
    OP_INS,
    OP_OUTS,
    OP_INT, /* imm = vector */
    OP_INT3,
    OP_INT1,
    OP_INTO,
    OP_IRET,
    OP_SYSENTER,
    OP_SYSEXIT,
    OP_CALL_FAR_I, /* imm = offset, imm2 = selector */
    OP_JMP_FAR_I,
    OP_CALL_FAR_M,
    OP_JMP_FAR_M,
    OP_RET_FAR,    /* imm = bytes to release */
    OP_MOV_SEG_RM, /* reg = segment register (CS is #UD: DEC_UD); source register reg2 or memory */
    OP_POP_SEG,    /* reg = segment register */
    OP_LOAD_FAR,   /* LDS, LES, LSS, LFS, LGS: reg = GPR, reg2 = segment register */
    OP_MOV_R_CR,   /* reg = GPR, reg2 = control register number */
    OP_MOV_CR_R,
    OP_MOV_R_DR,
    OP_MOV_DR_R,
    OP_CLTS,
    OP_LMSW, /* LMSW, SMSW, LLDT, LTR, SLDT, STR, VERR, VERW: reg = GPR when mem == 0 */
    OP_SMSW,
    OP_LGDT,
    OP_LIDT,
    OP_SGDT,
    OP_SIDT,
    OP_LLDT,
    OP_LTR,
    OP_SLDT,
    OP_STR,
    OP_LAR, /* LAR, LSL: reg = destination; ARPL: reg = source; the other is reg2 when mem == 0 */
    OP_LSL,
    OP_VERR,
    OP_VERW,
    OP_ARPL,
    OP_INVD,
    OP_WBINVD,
    OP_INVLPG,
    OP_CPUID,
    OP_RDMSR,
    OP_WRMSR,
    OP_RDPMC,
    OP_RSM,
    OP_AAA,
    OP_AAS,
    OP_AAM, /* imm = base */
    OP_AAD,
    OP_DAA,
    OP_DAS,
    OP_BOUND,   /* reg = index, memory operand = both bounds */
    OP_FNSTENV, /* x87 environment: they show FIP, FCS, FDP, FDS */
    OP_FLDENV,
    OP_FNSAVE,
    OP_FRSTOR,
    OP_FXSAVE,
    OP_FXRSTOR,
    OP_RDTSCP,
    OP_MONITOR,
    OP_MWAIT,
    OP_UD2,     /* UD0, UD1, UD2: class DEC_UD */
    OP_CLFLUSH, /* memory operand, no data access beyond a permission check */
    OP_MASKMOV, /* MASKMOVQ (8 bytes), MASKMOVDQU (16): stores at seg:[E]DI under a mask; mem = 0 */
    OP_COUNT
};

/* Arithmetic flags by their EFLAGS bit (SDM vol. 1, 3.4.3). */
#define FL_CF BIT(0)
#define FL_PF BIT(2)
#define FL_AF BIT(4)
#define FL_ZF BIT(6)
#define FL_SF BIT(7)
#define FL_OF BIT(11)
#define FL_ARITH (FL_CF | FL_PF | FL_AF | FL_ZF | FL_SF | FL_OF)

/* Prefixes present. */
#define DEC_PFX_OPSIZE BIT(0) /* 66 */
#define DEC_PFX_ADSIZE BIT(1) /* 67 */
#define DEC_PFX_REP BIT(2)    /* F3, effective when both F2 and F3 stand there is the last */
#define DEC_PFX_REPNE BIT(3)  /* F2 */
#define DEC_PFX_LOCK BIT(4)   /* F0 */
#define DEC_PFX_SEG BIT(5)

/* Segment registers in encoding order. */
enum dec_seg { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_COUNT };

/* CPU features that CPUID models gate. Bit numbers of a u32 mask. */
enum dec_feature {
    FEAT_NONE, /* 386 and 486 base set */
    FEAT_CPUID,
    FEAT_FPU,
    FEAT_TSC,
    FEAT_MSR,
    FEAT_CX8,
    FEAT_SEP,
    FEAT_CMOV,
    FEAT_MMX,
    FEAT_FXSR,
    FEAT_SSE,
    FEAT_SSE2,
    FEAT_SSE3,
    FEAT_SSSE3,
    FEAT_SSE41,
    FEAT_SSE42, /* with CRC32 */
    FEAT_POPCNT,
    FEAT_CLFLUSH,
    FEAT_MONITOR,
    FEAT_RDTSCP,
    FEAT_LZCNT, /* F3 0F BD: without it the bytes mean BSR; likewise TZCNT/BMI1 and BSF */
    FEAT_BMI1,
    FEAT_MOVBE,
    FEAT_AES,
    FEAT_PCLMUL,
    FEAT_PSE,
    FEAT_PAE,
    FEAT_PGE,
    FEAT_RDPMC,
    FEAT_LNOP, /* multi-byte NOP 0F 1F, P6 on */
    FEAT_COUNT
};

#define DEC_NO_REG 0xff

/* What state of FPU or SIMD the instruction needs (decides #NM, #UD by CR0/CR4, #MF). SSE instructions on
 * MMX registers alone are MMX (no CR4.OSFXSR); with both kinds they are SSE. */
enum dec_fpu { DEC_FPU_NONE, DEC_FPU_X87, DEC_FPU_MMX, DEC_FPU_SSE, DEC_FPU_FXSR };

struct dec_insn {
    u8 len;     /* bytes, 1..15 */
    u8 cls;     /* enum dec_class */
    u8 op;      /* enum dec_op */
    u8 feature; /* enum dec_feature */
    u8 bytes[DEC_MAX_LEN + 1];
    u8 prefixes;  /* DEC_PFX_* */
    u8 mandatory; /* 0, 0x66, 0xF2 or 0xF3 where it is part of the opcode (SSE), not a prefix */
    u8 opsz;      /* effective operand size in bytes: 1, 2, 4 (for SSE/x87: 2 or 4 as in effect) */
    u8 adsz;      /* effective address size in bytes: 2 or 4 */
    u8 stksz;     /* operand size of stack and branch instructions: 2 or 4 */
    u8 map;       /* 0: one byte, 1: 0F, 2: 0F 38, 3: 0F 3A, 4: 0F 0F (3DNow!, DEC_UD) */
    u8 opcode;
    u8 has_modrm;
    u8 modrm;
    u8 mem;         /* 1: ModRM or moffs memory operand */
    u8 moffs;       /* 1: the memory operand is A0-A3's bare offset (base = index = none) */
    u8 base, index; /* GPR 0..7 or DEC_NO_REG; for adsz 2 also BX/BP + SI/DI as base + index */
    u8 scale;       /* 1, 2, 4, 8 */
    u8 seg;         /* segment of the memory operand after override, or of a string source */
    i32 disp;
    u16 mem_size; /* bytes accessed, also by string instructions, XLAT, MASKMOV; 0: no access (LEA, NOP...) */
    u8 mem_read, mem_write;
    u8 imm_size;   /* bytes of immediate in the encoding (both together) */
    u8 imm_off;    /* where they start in bytes[] */
    u32 imm;       /* first immediate, sign- or zero-extended as the instruction has it */
    u32 imm2;      /* second (ENTER level, far selector) */
    u8 reg, reg2;  /* see enum dec_op; DEC_NO_REG when unused. DEC_PLAIN: the GPR that the opcode or
                     ModRM.reg names; the one that ModRM.rm names */
    u8 cond;       /* condition code 0..15 for Jcc, SETcc, CMOVcc */
    u8 byte_regs;  /* bit 0: ModRM.reg is a byte register; bit 1: ModRM.rm (mod 3) is one */
    u8 reg_is_gpr; /* bit 0: ModRM.reg names a GPR; bit 1: ModRM.rm (mod 3) names a GPR */
    u8 opcode_reg; /* 1: low three bits of the opcode name a GPR (BSWAP, XCHG, MOV r,imm...) */
    u8 fpu;        /* enum dec_fpu */
    u8 lock_ok;    /* LOCK prefix is legal on this form */
    u8 need66;     /* 1: re-emitted where the default operand size is 32 bits, it needs prefix 66.
                      0 with opsz 2 where operand size means nothing (x87, MMX, SSE...) */
    /* Bit per GPR 0..7, implicit ones and address registers included; for PLAIN, HAND, STACK, STRING.
     * A byte or word register counts as the whole; writing a part, or maybe nothing (CMOVcc, BSF),
     * reads it too. */
    u8 gpr_read, gpr_written;
    u16 fl_read;  /* FL_* read; undefined ones too, as some CPUs leave those alone */
    u16 fl_write; /* FL_* changed, undefined ones included */
};

/* Decodes one instruction of code with default size cs32 (1: 32-bit, 0: 16-bit) from bytes[0..avail).
 * features: bit mask (1u << enum dec_feature) of what the CPU model has; a missing one gives DEC_UD
 * (or the older meaning of the bytes). avail may exceed 15.
 * Returns 0; -ENODATA when the instruction needs more bytes than avail (< 15);
 * -E2BIG when it is longer than 15 bytes. An undefined encoding is 0 with cls DEC_UD and len of what
 * was decoded (at least 1). Source: SDM vol. 2. */
int dec_decode(struct dec_insn *out, const u8 *bytes, size_t avail, bool cs32, u32 features) MUST_CHECK;

/* Names for logs and tests. */
const char *dec_op_name(u8 op);
const char *dec_class_name(u8 cls);

/* ---- host code, for the verifier ---- */

/* What a 64-bit host instruction is. Calls and jumps have a relative target in imm; indirect ones are bad. */
enum dec_host_kind {
    DEC_HOST_BAD, /* nothing that emitted code may hold: privileged, system, segments, indirect branches, state moves */
    DEC_HOST_PLAIN, /* computes on registers, and on explicit memory operands if any */
    DEC_HOST_LEA,
    DEC_HOST_STRING, /* mem_implicit: through rsi, rdi */
    DEC_HOST_JMP,
    DEC_HOST_JCC, /* JRCXZ, LOOPcc too */
    DEC_HOST_CALL,
    DEC_HOST_RET,
    DEC_HOST_PUSH,
    DEC_HOST_PUSHF,
    DEC_HOST_POP,
};
enum dec_host_seg { DEC_HOST_SEG_NONE, DEC_HOST_SEG_FS, DEC_HOST_SEG_GS };
#define DEC_HOST_REG_OTHER 0xfe /* a base that is no general register: RIP */

struct dec_host_insn {
    u8 len, kind;
    u8 opcode;
    u8 rep;               /* REP, REPE or REPNE */
    u8 n_regs, reg[2];    /* explicit general-register operands, in the manual's order */
    u8 has_imm, relative; /* relative: imm counts from the instruction's end */
    u8 mem;               /* an explicit memory operand; LEA's too */
    u8 mem_implicit;      /* memory reached without a ModRM operand: strings, the stack, XLAT, MASKMOV */
    u8 mem_seg, mem_adsz; /* enum dec_host_seg; address size in bytes */
    u8 mem_base, mem_index, mem_scale; /* 0..15, DEC_NO_REG, DEC_HOST_REG_OTHER */
    u8 mem_read, mem_write;            /* neither: no access (LEA, NOP) */
    u16 mem_bytes;
    u16 gpr_read, gpr_written,
        gpr_written64;  /* bit per register, implicit ones too; the last: all 64 bits at once */
    u16 implicit_bases; /* base registers of implicit memory operands */
    i64 mem_disp;
    u64 imm;
};

/* 0, or -EILSEQ when the bytes are no 64-bit instruction or reach beyond avail. */
int dec_host_decode(struct dec_host_insn *out, const u8 *bytes, size_t avail) MUST_CHECK;

#endif
