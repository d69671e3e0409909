/*
 * task.c - the hardware task switch, with 16- and 32-bit TSS on either side.
 *
 * Up to a point of no return everything is checked and may fault in the old task; then the new task's
 * registers are in, and what is wrong with its selectors faults in the new one. Source: SDM vol. 3, 7.2 to 7.4.
 */
#include <string.h>

#include "monitor/sys.h"

/* Dynamic part of a TSS, widened to 32 bits. */
struct task {
    u32 cr3, eip, eflags, gpr[8];
    u16 sel[SEG_COUNT], ldt;
    bool trap;
};

#define TSS32_BYTES 104u
#define TSS16_BYTES 44u
#define TSS32_SAVED 0x20u /* what a switch away writes: EIP to GS */
#define TSS32_SAVED_BYTES 0x40u
#define TSS16_SAVED 0x0eu /* IP to DS */
#define TSS16_SAVED_BYTES 0x1cu

static void put(u8 *p, u32 v, unsigned size)
{
    memcpy(p, &v, size);
}

static u32 get(const u8 *p, unsigned size)
{
    u32 v = 0;

    memcpy(&v, p, size);
    return v;
}

/* EIP EFLAGS EAX..EDI ES CS SS DS [FS GS], 4 or 2 bytes each: the same order in both formats. */
static int save_old(struct cpu *cpu, u32 eip, u32 eflags)
{
    bool tss32 = cpu->tr.attr & SYS_TYPE_32;
    unsigned size = tss32 ? 4 : 2, n = 0, segs = tss32 ? 6 : 4;
    u8 buf[TSS32_SAVED_BYTES];

    memset(buf, 0, sizeof(buf));
    put(buf + size * n++, eip, size);
    put(buf + size * n++, eflags, size);
    for (unsigned i = 0; i < 8; i++)
        put(buf + size * n++, cpu->gpr[i], size);
    if (!tss32) {
        for (unsigned i = 0; i < segs; i++)
            put(buf + size * n++, cpu->seg[i].sel, 2);
        return lin_write(cpu, cpu->tr.base + TSS16_SAVED, buf, TSS16_SAVED_BYTES, true);
    }
    /* The upper halves of the selector fields are reserved and stay as they are. */
    if (lin_write(cpu, cpu->tr.base + TSS32_SAVED, buf, 4 * n, true))
        return -1;
    for (unsigned i = 0; i < segs; i++) {
        if (lin_write(cpu, cpu->tr.base + TSS32_SAVED + 4 * n++, &cpu->seg[i].sel, 2, true))
            return -1;
    }
    return 0;
}

/* Is what will be written paged in? First byte, last byte, as Bochs looks: CR2 tells the difference. */
static int probe_old(struct cpu *cpu)
{
    bool tss32 = cpu->tr.attr & SYS_TYPE_32;
    u32 first = cpu->tr.base + (tss32 ? TSS32_SAVED : TSS16_SAVED);
    u32 bytes = tss32 ? TSS32_SAVED_BYTES - 2 : TSS16_SAVED_BYTES;

    return lin_probe_write(cpu, first, 1, true) ? -1 : lin_probe_write(cpu, first + bytes - 1, 1, true);
}

static int probe_new(struct cpu *cpu, u32 base, bool tss32)
{
    u8 byte;

    if (lin_read(cpu, base, &byte, 1, true))
        return -1;
    return lin_read(cpu, base + (tss32 ? TSS32_BYTES : TSS16_BYTES) - 1, &byte, 1, true);
}

static int read_new(struct cpu *cpu, u32 base, bool tss32, struct task *t)
{
    unsigned size = tss32 ? 4 : 2, segs = tss32 ? 6 : 4;
    u8 buf[TSS32_BYTES];
    const u8 *p;

    memset(t, 0, sizeof(*t));
    if (lin_read(cpu, base, buf, tss32 ? TSS32_BYTES : TSS16_BYTES, true))
        return -1;
    p = buf + (tss32 ? TSS32_SAVED : TSS16_SAVED);
    t->eip = get(p, size);
    t->eflags = get(p + size, size);
    for (unsigned i = 0; i < 8; i++)
        t->gpr[i] = get(p + size * (2 + i), size) | (tss32 ? 0 : 0xffff0000u);
    for (unsigned i = 0; i < segs; i++)
        t->sel[i] = (u16)get(p + size * (10 + i), 2);
    t->ldt = (u16)get(p + size * (10 + segs), 2);
    if (tss32) {
        t->cr3 = get(buf + 0x1c, 4);
        t->trap = buf[0x64] & 1;
    }
    return 0;
}

static int ts_err(struct cpu *cpu, u8 vector, u16 sel, u32 ext)
{
    return mon_exc_err(cpu, vector, (sel & 0xfffcu) | ext);
}

static int load_ldt(struct cpu *cpu, u16 sel, u32 ext)
{
    u64 desc;

    cpu->ldtr = (struct cpu_sysseg){.sel = sel};
    if (sel_is_null(sel))
        return 0;
    if (sel & 4)
        return ts_err(cpu, EXC_TS, sel, ext);
    if (desc_fetch(cpu, sel, &desc, EXC_TS, ext))
        return -1;
    if (!desc_is_system(desc) || desc_type(desc) != SYS_LDT || !desc_present(desc))
        return ts_err(cpu, EXC_TS, sel, ext);
    cpu->ldtr = (struct cpu_sysseg){desc_base(desc), desc_limit(desc), sel, desc_attr(desc)};
    return 0;
}

static int load_cs(struct cpu *cpu, u16 sel, u32 ext)
{
    unsigned rpl = sel & 3;
    u64 desc;

    if (sel_is_null(sel))
        return ts_err(cpu, EXC_TS, sel, ext);
    if (desc_fetch(cpu, sel, &desc, EXC_TS, ext))
        return -1;
    if (!desc_is_code(desc) || (desc_is_conforming(desc) ? desc_dpl(desc) > rpl : desc_dpl(desc) != rpl))
        return ts_err(cpu, EXC_TS, sel, ext);
    if (!desc_present(desc))
        return ts_err(cpu, EXC_NP, sel, ext);
    if (desc_mark_accessed(cpu, sel, &desc))
        return -1;
    seg_commit(cpu, SEG_CS, sel, desc);
    return 0;
}

static int load_ss(struct cpu *cpu, u16 sel, unsigned cpl, u32 ext)
{
    u64 desc;

    if (sel_is_null(sel))
        return ts_err(cpu, EXC_TS, sel, ext);
    if (desc_fetch(cpu, sel, &desc, EXC_TS, ext))
        return -1;
    if (!desc_is_writable_data(desc) || desc_dpl(desc) != cpl || (sel & 3) != cpl)
        return ts_err(cpu, EXC_TS, sel, ext);
    if (!desc_present(desc))
        return ts_err(cpu, EXC_SS, sel, ext);
    if (desc_mark_accessed(cpu, sel, &desc))
        return -1;
    seg_commit(cpu, SEG_SS, sel, desc);
    return 0;
}

static int load_data(struct cpu *cpu, unsigned seg, u16 sel, u32 ext)
{
    unsigned dpl;
    u64 desc;

    if (sel_is_null(sel))
        return 0;
    if (desc_fetch(cpu, sel, &desc, EXC_TS, ext))
        return -1;
    dpl = desc_dpl(desc);
    if (desc_is_system(desc) || (desc_is_code(desc) && !(desc >> 40 & SEG_ATTR_RW)))
        return ts_err(cpu, EXC_TS, sel, ext);
    if (!(desc_is_code(desc) && desc_is_conforming(desc)) && ((sel & 3u) > dpl || cpu->cpl > dpl))
        return ts_err(cpu, EXC_TS, sel, ext);
    if (!desc_present(desc))
        return ts_err(cpu, EXC_NP, sel, ext);
    if (desc_mark_accessed(cpu, sel, &desc))
        return -1;
    seg_commit(cpu, seg, sel, desc);
    return 0;
}

/* In the new task: descriptors of its selectors. Their order is the model's own (SDM vol. 3, table 7-1); this is Bochs's. With
 * SS before CS most faults find the new task's stack. */
static int load_segments(struct cpu *cpu, const struct task *t, u32 ext)
{
    static const u8 data[] = {SEG_DS, SEG_ES, SEG_FS, SEG_GS};

    if (load_ldt(cpu, t->ldt, ext))
        return -1;
    if (cpu->sysflags & EFL_VM) {
        for (unsigned i = 0; i < SEG_COUNT; i++)
            seg_load_real(cpu, i, t->sel[i]);
        return 0;
    }
    if (load_ss(cpu, t->sel[SEG_SS], t->sel[SEG_CS] & 3u, ext))
        return -1;
    cpu->cpl = t->sel[SEG_CS] & 3;
    for (unsigned i = 0; i < ARRAY_SIZE(data); i++) {
        if (load_data(cpu, data[i], t->sel[data[i]], ext))
            return -1;
    }
    return load_cs(cpu, t->sel[SEG_CS], ext);
}

/* The point of no return: the old task is saved, TR names the new one, its registers are in. What was probed cannot fail.
 * The new state is read last: a task may switch to itself. */
static int commit(struct cpu *cpu, u16 sel, u64 desc, enum task_reason why, u32 return_eip, struct task *t)
{
    u32 old_flags = cpu_eflags(cpu), new_flags;
    u16 link = cpu->tr.sel;

    if (why == TASK_IRET)
        old_flags &= ~EFL_NT;
    if (save_old(cpu, return_eip, old_flags))
        return -1;
    if ((why == TASK_JMP || why == TASK_IRET) && desc_set_busy(cpu, cpu->tr.sel, false))
        return -1;
    if (read_new(cpu, desc_base(desc), desc_type(desc) & SYS_TYPE_32, t))
        return -1;
    new_flags = t->eflags;
    if (why == TASK_CALL || why == TASK_GATE) {
        new_flags |= EFL_NT;
        if (lin_write(cpu, desc_base(desc), &link, 2, true))
            return -1;
    }
    if (why != TASK_IRET && desc_set_busy(cpu, sel, true))
        return -1;
    cpu->tr = (struct cpu_sysseg){desc_base(desc), desc_limit(desc), sel, desc_attr(desc) | SYS_TYPE_BUSY};
    cpu->cr0 |= CR0_TS;
    cpu->dr[7] &= ~0x155u; /* L0-L3, LE */
    memcpy(cpu->gpr, t->gpr, sizeof(cpu->gpr));
    cpu->eip = t->eip;
    cpu_eflags_set(cpu, new_flags);
    for (unsigned i = 0; i < SEG_COUNT; i++) {
        cpu->seg[i].sel = t->sel[i];
        cpu->seg[i].attr = 0;
        cpu->seg_base[i] = 0;
    }
    /* Until SS is loaded there is no stack: at CPL 3 the handler of a fault gets one from the TSS. */
    cpu->seg[SEG_SS].limit = 0;
    cpu->cpl = 3;
    return 0;
}

/* What the new task may find wrong with itself. */
static int settle(struct cpu *cpu, const struct task *t, bool tss32, bool has_error, u32 error, u32 ext)
{
    struct frame f;

    /* Only a switch that changes CR3 loads PDPTEs and flushes (SDM vol. 3, 4.4.1 and 4.10.4.1). */
    if ((cpu->cr0 & CR0_PG) && tss32 && t->cr3 != cpu->cr3 && mon_load_cr3(cpu, t->cr3))
        return -1;
    if (load_segments(cpu, t, ext))
        return -1;
    if (has_error) {
        frame_current(cpu, &f);
        if (frame_push(cpu, &f, &error, 1, tss32 ? 4 : 2, ext))
            return -1;
        cpu->gpr[R_ESP] = f.sp;
    }
    if (cpu->eip > cpu->seg[SEG_CS].limit)
        return mon_exc_err(cpu, EXC_GP, ext);
    if (t->trap) {
        cpu->dr[6] |= DR6_BT;
        return mon_exc(cpu, EXC_DB);
    }
    return 0;
}

int task_switch(struct cpu *cpu, u16 tss_sel, u64 tss_desc, enum task_reason why, u32 return_eip,
                bool has_error, u32 error, u32 ext)
{
    bool tss32 = desc_type(tss_desc) & SYS_TYPE_32, old32 = cpu->tr.attr & SYS_TYPE_32;
    u32 base = desc_base(tss_desc), desc_lin = cpu->gdtr.base + (tss_sel & 0xfff8u);
    struct task t;

    if (desc_limit(tss_desc) < (tss32 ? TSS32_BYTES : TSS16_BYTES) - 1)
        return ts_err(cpu, EXC_TS, tss_sel, ext);
    if (cpu->tr.limit < (old32 ? TSS32_SAVED + TSS32_SAVED_BYTES : TSS16_SAVED + TSS16_SAVED_BYTES) - 1)
        return ts_err(cpu, EXC_TS, cpu->tr.sel, ext);
    if (probe_new(cpu, base, tss32) || probe_old(cpu))
        return -1;
    if ((why == TASK_CALL || why == TASK_GATE) && lin_probe_write(cpu, base, 2, true)) /* the link */
        return -1;
    if ((why == TASK_JMP || why == TASK_IRET) &&
        lin_probe_write(cpu, cpu->gdtr.base + (cpu->tr.sel & 0xfff8u) + 4, 4, true))
        return -1;
    if (why != TASK_IRET && lin_probe_write(cpu, desc_lin + 4, 4, true))
        return -1;
    if (commit(cpu, tss_sel, tss_desc, why, return_eip, &t))
        return -1;
    return settle(cpu, &t, tss32, has_error, error, ext);
}
