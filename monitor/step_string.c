/*
 * step_string.c - MOVS, STOS, LODS, SCAS and CMPS in C, some iterations.
 *
 * The source is seg:[E]SI (overridable), the target always ES:[E]DI; the address size chooses SI, DI
 * and CX or their 32-bit forms. A repeated instruction makes a bounded number of iterations and leaves EIP
 * on itself while more remain, so that interrupts and single steps fall between them. Source: SDM vol. 2, REP.
 */
#include <string.h>

#include "monitor/step.h"

#define STRING_BATCH (1u << 20) /* a kick ends it sooner */

static void advance(struct cpu *cpu, unsigned reg, const struct dec_insn *insn)
{
    step_set(cpu, reg, insn->adsz, cpu->gpr[reg] + (u32)(cpu->df * (i32)insn->opsz));
}

/* Which operand is read first decides which fault is seen: ES:[E]DI, but the source in REPE CMPSB. */
static int compare_operands(struct cpu *cpu, const struct dec_insn *insn, u32 si, u32 di, u32 *src, u32 *dst)
{
    unsigned size = insn->opsz;

    if (size == 1 && (insn->prefixes & DEC_PFX_REP) && !(insn->prefixes & DEC_PFX_REPNE))
        return mem_read(cpu, insn->seg, si, src, size) || mem_read(cpu, SEG_ES, di, dst, size) ? -1 : 0;
    return mem_read(cpu, SEG_ES, di, dst, size) || mem_read(cpu, insn->seg, si, src, size) ? -1 : 0;
}

/* The operation itself; pointers move only when nothing faulted. */
static int iterate(struct cpu *cpu, const struct dec_insn *insn)
{
    unsigned size = insn->opsz;
    u32 si = step_get(cpu, R_ESI, insn->adsz), di = step_get(cpu, R_EDI, insn->adsz);
    u32 v = 0, w = 0;

    switch (insn->op) {
    case OP_MOVS:
        if (mem_read(cpu, insn->seg, si, &v, size) || mem_write(cpu, SEG_ES, di, &v, size))
            return -1;
        advance(cpu, R_ESI, insn);
        advance(cpu, R_EDI, insn);
        return 0;
    case OP_STOS:
        if (mem_write(cpu, SEG_ES, di, &cpu->gpr[R_EAX], size))
            return -1;
        advance(cpu, R_EDI, insn);
        return 0;
    case OP_LODS:
        if (mem_read(cpu, insn->seg, si, &v, size))
            return -1;
        step_set(cpu, R_EAX, size, v);
        advance(cpu, R_ESI, insn);
        return 0;
    case OP_SCAS:
        if (mem_read(cpu, SEG_ES, di, &w, size))
            return -1;
        cpu->flags = step_flags_sub(cpu->gpr[R_EAX], w, size);
        advance(cpu, R_EDI, insn);
        return 0;
    case OP_CMPS:
        if (compare_operands(cpu, insn, si, di, &v, &w))
            return -1;
        cpu->flags = step_flags_sub(v, w, size);
        advance(cpu, R_ESI, insn);
        advance(cpu, R_EDI, insn);
        return 0;
    default: return mon_exc(cpu, EXC_UD);
    }
}

/* SCAS and CMPS also end by ZF: REPE when it is clear, REPNE when it is set. */
static bool ends_by_zf(const struct cpu *cpu, const struct dec_insn *insn)
{
    bool zf = (cpu->flags & FL_ZF) != 0;

    if (insn->op != OP_SCAS && insn->op != OP_CMPS)
        return false;
    return insn->prefixes & DEC_PFX_REPNE ? zf : !zf;
}

/* More than one iteration at a call: nobody looks in between. */
static bool may_batch(const struct cpu *cpu)
{
    return !(cpu->mode & (MODE_TF | MODE_DB)) && !cpu->kick && !(cpu->irq_pending && cpu->iflag);
}

/* ---- many iterations in one go: STOS and MOVS forward, to or from a device's memory ---- */

static u32 to_page_end(const struct cpu *cpu, unsigned seg, u32 off, unsigned adsz)
{
    u32 left = PAGE_BYTES - ((cpu->seg_base[seg] + off) & PAGE_MASK),
        wrap = adsz == 2 ? 0x10000 - off : PAGE_BYTES;

    return left < wrap ? left : wrap;
}

static bool store_block(struct cpu *cpu, const struct dec_insn *insn, const struct mem_block *to, u32 bytes)
{
    u8 buf[PAGE_BYTES];

    for (u32 at = 0; at < bytes; at += insn->opsz)
        memcpy(buf + at, &cpu->gpr[R_EAX], insn->opsz);
    return mem_block_write(cpu, to, buf, bytes);
}

/* From device to device each byte goes by itself: it may pass through latches. */
static bool move_block(struct cpu *cpu, const struct dec_insn *insn, const struct mem_block *from,
                       const struct mem_block *to, u32 bytes)
{
    struct pc *pc = mon_vm(cpu)->pc;
    u8 buf[PAGE_BYTES];

    if (from->ram && to->ram)
        return false; /* they may overlap */
    if (from->ram || to->ram)
        return mem_block_read(cpu, from, buf, bytes) && mem_block_write(cpu, to, buf, bytes);
    if (insn->opsz != 1)
        return false;
    mon_vm(cpu)->mmio_seen = 1;
    return pc_mmio_move_block(pc, from->gpa, to->gpa, bytes);
}

/* Iterations carried out, of count at least 1; 0: none, one by one please. */
static u32 block(struct cpu *cpu, const struct dec_insn *insn, u32 count)
{
    u32 si = step_get(cpu, R_ESI, insn->adsz), di = step_get(cpu, R_EDI, insn->adsz);
    u32 bytes = to_page_end(cpu, SEG_ES, di, insn->adsz), n;
    bool moves = insn->op == OP_MOVS;
    struct mem_block from, to;

    if ((!moves && insn->op != OP_STOS) || cpu->df != 1)
        return 0;
    if (moves)
        bytes = (u32)min_u64(bytes, to_page_end(cpu, insn->seg, si, insn->adsz));
    n = (u32)min_u64(count, bytes / insn->opsz);
    bytes = n * insn->opsz;
    if (n < 2 || !mem_block(cpu, SEG_ES, di, bytes, true, &to) ||
        (moves && !mem_block(cpu, insn->seg, si, bytes, false, &from)))
        return 0;
    if (moves ? !move_block(cpu, insn, &from, &to, bytes) : !store_block(cpu, insn, &to, bytes))
        return 0;
    if (moves)
        step_set(cpu, R_ESI, insn->adsz, si + bytes);
    step_set(cpu, R_EDI, insn->adsz, di + bytes);
    return n;
}

int mon_step_string(struct cpu *cpu, const struct dec_insn *insn)
{
    u32 count, left = STRING_BATCH;

    if (!(insn->prefixes & (DEC_PFX_REP | DEC_PFX_REPNE)))
        return iterate(cpu, insn) ? -1 : step_done(cpu, insn);
    count = step_get(cpu, R_ECX, insn->adsz);
    if (count == 0)
        return step_done(cpu, insn);
    do {
        u32 n = may_batch(cpu) ? block(cpu, insn, count) : 0;

        if (!n && iterate(cpu, insn))
            return -1;
        count -= n ? n : 1;
        step_set(cpu, R_ECX, insn->adsz, count);
        if (count == 0 || ends_by_zf(cpu, insn))
            return step_done(cpu, insn);
    } while (--left && may_batch(cpu));
    return 0;
}
