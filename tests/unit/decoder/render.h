/*
 * render.h - a record as one line of text, so that a table of bytes and lines is a reviewable test.
 *
 * Only what differs from the common case is shown. Order: class op, length, prefixes, sizes, memory
 * operand with its access, immediates, registers, flags, what it needs.
 */
#ifndef NOVT_TESTS_DECODER_RENDER_H
#define NOVT_TESTS_DECODER_RENDER_H

#include <stdarg.h>
#include <stdio.h>

#include "decoder/decoder.h"

struct line {
    char text[256];
    size_t used;
};

PRINTF_LIKE(2, 3) static inline void add(struct line *l, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(l->text + l->used, sizeof(l->text) - l->used, fmt, ap);
    va_end(ap);
    if (n > 0)
        l->used += min_u64((u64)n, sizeof(l->text) - l->used - 1);
}

static inline void add_flags(struct line *l, const char *what, u32 fl)
{
    static const struct {
        u32 bit;
        char name;
    } names[] = {{FL_OF, 'o'}, {FL_SF, 's'}, {FL_ZF, 'z'}, {FL_AF, 'a'}, {FL_PF, 'p'}, {FL_CF, 'c'}};

    if (!fl)
        return;
    add(l, " %s", what);
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
        if (fl & names[i].bit)
            add(l, "%c", names[i].name);
    if (fl & ~FL_ARITH)
        add(l, "?");
}

static inline void add_memory(struct line *l, const struct dec_insn *i)
{
    static const char *const segs[] = {"es", "cs", "ss", "ds", "fs", "gs"};

    if (i->mem) {
        add(l, " %s%s:[", i->moffs ? "moffs " : "", segs[i->seg]);
        if (i->base != DEC_NO_REG)
            add(l, "r%u+", i->base);
        if (i->index != DEC_NO_REG)
            add(l, "r%u*%u+", i->index, i->scale);
        add(l, "%d]", i->disp);
    } else if (i->mem_size) {
        add(l, " %s:implicit", segs[i->seg]);
    }
    if (i->mem_size)
        add(l, " %s%s%u", i->mem_read ? "r" : "", i->mem_write ? "w" : "", i->mem_size);
}

static inline void add_registers(struct line *l, const struct dec_insn *i)
{
    static const char *const part[] = {"", "reg", "rm", "reg,rm"};

    if (i->reg != DEC_NO_REG)
        add(l, " reg=%u", i->reg);
    if (i->reg2 != DEC_NO_REG)
        add(l, " reg2=%u", i->reg2);
    if (i->reg_is_gpr)
        add(l, " gpr:%s", part[i->reg_is_gpr & 3]);
    if (i->byte_regs)
        add(l, " byte:%s", part[i->byte_regs & 3]);
    if (i->opcode_reg)
        add(l, " opcode_reg");
    if (i->gpr_read)
        add(l, " in=%02x", i->gpr_read);
    if (i->gpr_written)
        add(l, " out=%02x", i->gpr_written);
}

static inline struct line render(const struct dec_insn *i)
{
    static const char *const fpus[] = {"", " x87", " mmx", " sse", " fxsr"};
    static const char *const features[] = {
        "",      "cpuid", "fpu",   "tsc",   "msr",    "cx8",   "sep",    "cmov",    "mmx",     "fxsr",
        "sse",   "sse2",  "sse3",  "ssse3", "sse41",  "sse42", "popcnt", "clflush", "monitor", "rdtscp",
        "lzcnt", "bmi1",  "movbe", "aes",   "pclmul", "pse",   "pae",    "pge",     "rdpmc",   "lnop"};
    struct line l = {.used = 0};

    add(&l, "%s", dec_class_name(i->cls));
    if (i->op)
        add(&l, " %s", dec_op_name(i->op));
    add(&l, " len=%u", i->len);
    if (i->cls == DEC_UD)
        return l;
    if (i->prefixes)
        add(&l, " pfx=%02x", i->prefixes);
    if (i->mandatory)
        add(&l, " mand=%02x", i->mandatory);
    add(&l, " o%u%s", i->opsz, i->need66 ? "!" : "");
    if (i->adsz != 4)
        add(&l, " a%u", i->adsz);
    add_memory(&l, i);
    if (i->imm_size)
        add(&l, " imm%u@%u=%x", i->imm_size, i->imm_off, i->imm);
    if (i->imm2)
        add(&l, ",%x", i->imm2);
    add_registers(&l, i);
    if (i->cond)
        add(&l, " cc=%u", i->cond);
    add_flags(&l, "uses:", i->fl_read);
    add_flags(&l, "sets:", i->fl_write);
    if (i->lock_ok)
        add(&l, " lockable");
    add(&l, "%s", i->fpu < ARRAY_SIZE(fpus) ? fpus[i->fpu] : " ?");
    if (i->feature)
        add(&l, " +%s", i->feature < ARRAY_SIZE(features) ? features[i->feature] : "?");
    return l;
}

#endif
