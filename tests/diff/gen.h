/*
 * gen.h - inside the generator: the program under construction, and items.
 */
#ifndef NOVT_TESTS_DIFF_GEN_H
#define NOVT_TESTS_DIFF_GEN_H

#include "tests/diff/diff.h"

struct gen {
    struct diff_case *c;
    struct diff_rng rng;
    u32 features;
    bool cs32, ss32, esp_dirty, nt_dirty;
    u16 sel[SEG_COUNT]; /* as far as the program's straight way knows */
    struct diff_descriptor seg[SEG_COUNT];
    bool seg_ok[SEG_COUNT]; /* not null */
    struct {                /* loops: entered only where their count is set */
        i16 first, last;
    } loop[8];
    unsigned loops;
};

extern const u8 gen_seg_prefix[SEG_COUNT];
/* Appends an item; NULL when the program is full. */
struct diff_item *gen_item(struct gen *g, const u8 *bytes, unsigned len, i32 cand);
bool gen_mov_imm(struct gen *g, unsigned reg, u32 value);
/* MOV word/dword seg:[off], imm. size 1, 2 or 4. */
bool gen_store_imm(struct gen *g, unsigned seg, u32 off, u32 value, unsigned size);

/* As gen_store_imm, of the address of an item a little further on, as an offset in a segment with base cs_base. */
bool gen_store_address(struct gen *g, unsigned seg, u32 off, unsigned size, u32 cs_base);
/* PUSH imm of size 2 or 4. */
bool gen_push_imm(struct gen *g, u32 value, unsigned size);
bool gen_push_address(struct gen *g, unsigned size, u32 cs_base);
/* EFLAGS that a program may have: arithmetic ones, now and then DF, AC, ID. */
u32 gen_flags(struct gen *g);
u32 gen_stack_target(struct gen *g);

/* gen_seg.c */
void gen_set_segment(struct gen *g, unsigned seg, u16 sel);
u16 gen_selector(struct gen *g, unsigned seg);
/* A unit around a segment load, far transfer or selector test (cand_seg()): b has its bytes, off its operand's offset when it
 * has one. False: no room. */
bool gen_seg(struct gen *g, u8 *b, const struct dec_insn *d, u32 off, i32 cand);

/* gen_fault.c: units that mean to fault: undefined opcodes, too long instructions, flags that trap. */
bool gen_fault(struct gen *g);
/* Puts prefixes that change nothing, or the segment, in front of b; returns how many. */
unsigned gen_junk(struct gen *g, u8 *b, unsigned len);

/* gen_fpu.c: the x87, MMX and SSE state that a program starts with, as FXSAVE image. */
void gen_fpu(struct gen *g, u8 *fx);
/* FNSTENV, FNSAVE or FXSAVE to [off], with what makes the pointers that they store comparable. */
bool gen_fpu_save(struct gen *g, const u8 *b, const struct dec_insn *d, u32 off, i32 cand);

/* gen_operand.c: an offset in seg that usually may be accessed. */
u32 gen_target(struct gen *g, unsigned seg, unsigned size, bool write);
/* Sets registers (items before) or the displacement (in bytes) so that the memory operand is at a good address. With
 * absolute the operand has become [disp] and *off is its offset. */
bool gen_fix_operand(struct gen *g, u8 *bytes, struct dec_insn *d, bool absolute, u32 *off);
/* Random ModRM (and SIB) with a memory operand, reg field ext, written at b; returns their length with displacement. */
unsigned gen_modrm(struct gen *g, u8 *b, u8 ext, bool adsz32, bool absolute);

#endif
