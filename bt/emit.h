/*
 * emit.h - host-code emitter: bytes of x86-64 into a bounded buffer.
 *
 * Part of bt/. Knows encodings, not guests. An emitter that runs full sets `full` and drops what follows;
 * the caller checks once, at the end (the transaction is then aborted). Register numbers are the hardware's
 * 0..15; operands with `gs` set are window accesses (gs: and 67h, DESIGN section 3).
 */
#ifndef NOVT_BT_EMIT_H
#define NOVT_BT_EMIT_H

#include "base.h"

struct emit {
    u8 *p, *base, *end;
    u64 exec; /* address at which base will run */
    bool full;
};

enum host_reg {
    H_RAX,
    H_RCX,
    H_RDX,
    H_RBX,
    H_RSP,
    H_RBP,
    H_RSI,
    H_RDI,
    H_R8,
    H_R9,
    H_R10,
    H_R11,
    H_R12,
    H_R13,
    H_R14,
    H_R15,
    H_NONE = 0xff
};

/* A host memory operand. */
struct hop {
    u8 base, index, scale; /* registers or H_NONE; scale 1, 2, 4, 8 */
    bool gs;               /* window access: 32-bit address, GS base added */
    i32 disp;
};

/* Modifiers of an instruction. */
#define EM_66 BIT(0)
#define EM_F2 BIT(1)
#define EM_F3 BIT(2)
#define EM_LOCK BIT(3)
#define EM_W BIT(4)               /* REX.W */
#define EM_REX BIT(5)             /* force a REX prefix */
#define EM_MAP(m) ((u32)(m) << 8) /* 0: one byte, 1: 0F, 2: 0F 38, 3: 0F 3A */

static inline u32 em_off(const struct emit *e)
{
    return (u32)(e->p - e->base);
}

void em_bytes(struct emit *e, const void *bytes, unsigned n);
void em8(struct emit *e, u8 v);
void em32(struct emit *e, u32 v);
void em64(struct emit *e, u64 v);

/* opcode /r with a memory or register operand. */
void em_rm(struct emit *e, u32 mods, u8 opcode, u8 reg, const struct hop *m);
void em_rr(struct emit *e, u32 mods, u8 opcode, u8 reg, u8 rm);

/* Common forms; sizes in bytes (1, 2, 4, 8). None touches the flags. */
void em_load(struct emit *e, unsigned size, u8 reg,
             const struct hop *m); /* mov reg, [m]; 1 and 2 zero-extend */
void em_store(struct emit *e, unsigned size, const struct hop *m, u8 reg); /* mov [m], reg */
void em_store_imm(struct emit *e, unsigned size, const struct hop *m, u32 imm);
void em_mov(struct emit *e, u8 dst, u8 src); /* 64-bit register move */
void em_mov32(struct emit *e, u8 dst, u8 src);
void em_mov_imm(struct emit *e, u8 reg, u64 imm);                        /* shortest form */
void em_lea(struct emit *e, unsigned size, u8 reg, const struct hop *m); /* size 2, 4, 8; gs ignored */
void em_lea32(struct emit *e, u8 reg, u8 base, i32 disp);
void em_lea_sum(struct emit *e, unsigned size, u8 reg, u8 base, u8 index, u8 scale);
void em_movzx16(struct emit *e, u8 dst, u8 src);
void em_movzx8(struct emit *e, u8 dst, u8 src); /* src: low byte register */
void em_movsx16(struct emit *e, u8 dst, u8 src);
void em_not(struct emit *e, unsigned size, u8 reg);
void em_shift(struct emit *e, unsigned size, char kind, u8 dst, u8 src,
              u8 count); /* 'l' SHLX, 'r' SHRX, 'a' SARX */
void em_rorx(struct emit *e, unsigned size, u8 dst, u8 src, u8 count);
void em_pext(struct emit *e, unsigned size, u8 dst, u8 src, u8 mask);

/* Jumps. Short ones return the place of their rel8; em_here() patches it to the current position. */
u8 *em_jrcxz(struct emit *e);
u8 *em_jmp8(struct emit *e);
u8 *em_jcc8(struct emit *e, u8 cond);
void em_here(struct emit *e, u8 *rel8);
u8 *em_jmp32(struct emit *e); /* the same with a 32-bit displacement */
void em_here32(struct emit *e, u8 *rel32);
/* rel32 forms to an absolute execution address. */
void em_jmp_to(struct emit *e, u64 target);
void em_call_to(struct emit *e, u64 target);
void em_jcc_to(struct emit *e, u8 cond, u64 target);

static inline struct hop hop_base(u8 base, i32 disp)
{
    return (struct hop){.base = base, .index = H_NONE, .scale = 1, .disp = disp};
}

#endif
