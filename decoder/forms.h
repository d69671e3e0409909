/*
 * forms.h - the forms of one mnemonic told apart. Private to decoder/.
 */
#ifndef NOVT_DECODER_FORMS_H
#define NOVT_DECODER_FORMS_H

#include "decoder/decoder.h"

/* Class and operation from the table's row made exact; reg, reg2, and opsz where it is fixed. Needs
 * opcode, ModRM, immediates and memory operand in place. May refuse the form (DEC_UD). */
void dec_refine_form(struct dec_insn *out, bool is_mov);

/* Registers, memory and segment beyond the named operands. override: segment prefix or -1. */
void dec_fill_implicit(struct dec_insn *out, int override);

/* Bytes that a CPU fetches of an undefined instruction; -ENODATA when avail is too short, -E2BIG. undefined.c. */
int dec_undefined_length(const u8 *bytes, size_t avail, bool cs32);

/* An opcode that only other makers' CPUs give a meaning, and a ModRM byte (0F A6, 0F A7). */
bool dec_is_empty(const u8 *bytes, size_t avail);

/* The bytes without LOCK prefixes, at most 15 of them; returns how many were taken out. */
unsigned dec_strip_lock(const u8 *bytes, size_t avail, u8 rest[DEC_MAX_LEN], size_t *n);

/* Condition code of Jcc, SETcc, CMOVcc, else 0. */
u8 dec_condition(const struct dec_insn *out);

static inline void dec_set_op(struct dec_insn *out, u8 cls, u8 op)
{
    out->cls = cls;
    out->op = op;
}

static inline bool dec_is_string(const struct dec_insn *out)
{
    return out->cls == DEC_STRING || out->op == OP_INS || out->op == OP_OUTS;
}

#endif
