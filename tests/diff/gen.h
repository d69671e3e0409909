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
    bool cs32, ss32, esp_dirty;
    struct diff_descriptor seg[SEG_COUNT];
    bool seg_ok[SEG_COUNT];
    struct { /* loops: entered only where their count is set */
        i16 first, last;
    } loop[8];
    unsigned loops;
};

/* Appends an item; NULL when the program is full. */
struct diff_item *gen_item(struct gen *g, const u8 *bytes, unsigned len, i32 cand);
bool gen_mov_imm(struct gen *g, unsigned reg, u32 value);
/* MOV word/dword seg:[off], imm. size 1, 2 or 4. */
bool gen_store_imm(struct gen *g, unsigned seg, u32 off, u32 value, unsigned size);

/* gen_operand.c: an offset in seg that usually may be accessed. */
u32 gen_target(struct gen *g, unsigned seg, unsigned size, bool write);
/* Sets registers (items before) or the displacement (in bytes) so that the memory operand is at a good address. With
 * absolute the operand has become [disp] and *off is its offset. */
bool gen_fix_operand(struct gen *g, u8 *bytes, struct dec_insn *d, bool absolute, u32 *off);
/* Random ModRM (and SIB) with a memory operand, reg field ext, written at b; returns their length with displacement. */
unsigned gen_modrm(struct gen *g, u8 *b, u8 ext, bool adsz32, bool absolute);

#endif
