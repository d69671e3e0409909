/*
 * table.h - what each Zydis mnemonic and instruction set means to NoVT. Private to decoder/.
 *
 * Two tables answer the two questions that Zydis leaves open: does our CPU have this instruction at
 * all (by instruction set; unlisted ones are #UD), and who carries it out (by mnemonic; unlisted ones
 * of an allowed set are DEC_PLAIN).
 */
#ifndef NOVT_DECODER_TABLE_H
#define NOVT_DECODER_TABLE_H

#include "decoder/decoder.h"

/* What an instruction set as a whole says. */
struct dec_isa_row {
    u8 known;   /* 0: not in the CPU that we model */
    u8 feature; /* enum dec_feature */
};

/* What a mnemonic says. A zero row is DEC_PLAIN. */
struct dec_mnemonic_row {
    u8 cls;
    u8 op;      /* several forms of one mnemonic are told apart in decode.c */
    u8 feature; /* replaces the instruction set's when not FEAT_NONE */
    u8 traits;  /* DEC_TRAIT_* */
};

#define DEC_TRAIT_SHIFT BIT(0)   /* flags stay when the masked count is 0 */
#define DEC_TRAIT_AF_ZERO BIT(1) /* "undefined" AF is in fact always cleared: not an input */
#define DEC_TRAIT_KEEPS BIT(3)   /* may leave its destination alone without saying so */
#define DEC_TRAIT_NO66 BIT(2)    /* operand size is fixed: 66 must not be emitted for 16-bit code */

const struct dec_isa_row *dec_isa_row(unsigned isa_set);
const struct dec_mnemonic_row *dec_mnemonic_row(unsigned mnemonic);

#endif
