/*
 * frame.c - stacks as control transfers use them: whole frames, checked before anything is stored.
 *
 * A frame is a copy of a stack segment and a stack pointer. Pushing moves only the copy; the caller commits it to SS:ESP
 * when the transfer can no longer fail. Sources: SDM vol. 1, 6.2; vol. 2, CALL, INT, IRET, RET.
 */
#include <string.h>

#include "monitor/sys.h"

void frame_current(const struct cpu *cpu, struct frame *f)
{
    f->seg = cpu->seg[SEG_SS];
    f->base = cpu->seg_base[SEG_SS];
    f->sp = cpu->gpr[R_ESP];
    f->super = cpu->cpl != 3;
}

void frame_from_desc(struct frame *f, u16 sel, u64 desc, u32 sp, bool super)
{
    desc_to_seg(&f->seg, &f->base, sel, desc);
    f->sp = sp;
    f->super = super;
}

static u32 sp_mask(const struct frame *f)
{
    return f->seg.attr & SEG_ATTR_D ? 0xffffffffu : 0xffffu;
}

void frame_set_sp(struct frame *f, u32 sp)
{
    u32 mask = sp_mask(f);

    f->sp = (f->sp & ~mask) | (sp & mask);
}

int frame_room(struct cpu *cpu, const struct frame *f, unsigned n, unsigned size, u32 err)
{
    u32 sp = f->sp, mask = sp_mask(f);

    for (unsigned i = 0; i < n; i++) {
        sp = (sp - size) & mask;
        if (!seg_in_limit(&f->seg, sp, size))
            return mon_exc_err(cpu, EXC_SS, err);
    }
    return 0;
}

/* One by one as the manual's pseudo-code pushes: each value is checked by itself, and CR2 is the first one that cannot be
 * stored. What was pushed before it stays in memory, below a stack pointer that has not moved. */
static int push_each(struct cpu *cpu, struct frame *f, const u32 *val, unsigned n, unsigned size, u32 err)
{
    u32 sp = f->sp, mask = sp_mask(f);

    if (frame_room(cpu, f, n, size, err))
        return -1;
    for (unsigned i = 0; i < n; i++) {
        sp = (sp - size) & mask;
        if (lin_write(cpu, f->base + sp, &val[i], size, f->super))
            return -1;
    }
    frame_set_sp(f, sp);
    return 0;
}

int frame_push(struct cpu *cpu, struct frame *f, const u32 *val, unsigned n, unsigned size, u32 err)
{
    u8 buf[FRAME_SLOTS_MAX * 4];
    u32 mask = sp_mask(f), total = n * size, sp = f->sp & mask, off = (sp - total) & mask;

    ASSERT(n <= FRAME_SLOTS_MAX && size <= 4);
    if (sp != 0 && sp < total)
        return push_each(cpu, f, val, n, size, err);
    if (!seg_in_limit(&f->seg, off, total))
        return mon_exc_err(cpu, EXC_SS, err);
    for (unsigned i = 0; i < n; i++) {
        u8 *slot = buf + (n - 1 - i) * size;
        if (size == 4)
            __builtin_memcpy(slot, &val[i], 4);
        else
            __builtin_memcpy(slot, &val[i], 2);
    }
    if (lin_write(cpu, f->base + off, buf, total, f->super))
        return push_each(cpu, f, val, n, size, err);
    frame_set_sp(f, off);
    return 0;
}

/* One by one: in protected mode from the last, as Bochs does and the manual leaves open. */
static int pop_each(struct cpu *cpu, const struct frame *f, u8 *buf, unsigned n, unsigned size)
{
    bool down = mon_is_protected(cpu);
    u32 mask = sp_mask(f);

    for (unsigned k = 0; k < n; k++) {
        unsigned i = down ? n - 1 - k : k;
        u32 at = (f->sp + i * size) & mask;

        if (!seg_in_limit(&f->seg, at, size))
            return mon_exc_err(cpu, EXC_SS, 0);
        if (lin_read(cpu, f->base + at, buf + i * size, size, f->super))
            return -1;
    }
    return 0;
}

int frame_pop(struct cpu *cpu, struct frame *f, u32 *val, unsigned n, unsigned size)
{
    u8 buf[FRAME_SLOTS_MAX * 4];
    u32 mask = sp_mask(f), total = n * size, off = f->sp & mask, lin = f->base + off;
    bool whole = total - 1 <= mask - off && (lin & PAGE_MASK) + total <= PAGE_BYTES;

    ASSERT(n <= FRAME_SLOTS_MAX && size <= 4);
    if (whole && !seg_in_limit(&f->seg, off, total))
        return mon_exc_err(cpu, EXC_SS, 0);
    if ((!whole || lin_read(cpu, lin, buf, total, f->super)) && pop_each(cpu, f, buf, n, size))
        return -1;
    for (unsigned i = 0; i < n; i++) {
        u16 word;
        if (size == 4) {
            __builtin_memcpy(&val[i], buf + i * 4, 4);
        } else {
            __builtin_memcpy(&word, buf + i * 2, 2);
            val[i] = word;
        }
    }
    frame_set_sp(f, off + total);
    return 0;
}

/* SS and ESP of ring dpl (SDM vol. 3, figures 7-2 and 7-10). */
static int tss_stack(struct cpu *cpu, unsigned dpl, u32 ext, u16 *sel, u32 *sp)
{
    bool tss32 = cpu->tr.attr & SYS_TYPE_32;
    u32 off = tss32 ? dpl * 8 + 4 : dpl * 4 + 2, size = tss32 ? 4 : 2, lin = cpu->tr.base + off;
    u8 buf[8];

    if (off + size + 1 > cpu->tr.limit)
        return mon_exc_err(cpu, EXC_TS, (cpu->tr.sel & 0xfffcu) | ext);
    *sp = 0;
    /* At once when it can be; the fault of one by one, SS first, has the right CR2. */
    if (UNLIKELY(lin_read(cpu, lin, buf, tss32 ? 8 : 4, true)))
        return lin_read(cpu, lin + size, sel, 2, true) ? -1 : lin_read(cpu, lin, sp, size, true);
    memcpy(sp, buf, tss32 ? 4 : 2);
    memcpy(sel, buf + size, 2);
    return 0;
}

int frame_from_tss(struct cpu *cpu, unsigned dpl, u32 ext, u16 *sel, u64 *desc, struct frame *f)
{
    u32 sp, err;

    if (tss_stack(cpu, dpl, ext, sel, &sp))
        return -1;
    err = (*sel & 0xfffcu) | ext;
    if (sel_is_null(*sel))
        return mon_exc_err(cpu, EXC_TS, ext);
    if (desc_fetch(cpu, *sel, desc, EXC_TS, ext))
        return -1;
    if ((*sel & 3) != dpl || desc_dpl(*desc) != dpl || !desc_is_writable_data(*desc))
        return mon_exc_err(cpu, EXC_TS, err);
    if (!desc_present(*desc))
        return mon_exc_err(cpu, EXC_SS, err);
    frame_from_desc(f, *sel, *desc, cpu->gpr[R_ESP], dpl != 3);
    frame_set_sp(f, sp); /* with a 16-bit stack the upper half of ESP stays */
    return 0;
}
