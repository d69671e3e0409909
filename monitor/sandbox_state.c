/*
 * sandbox_state.c - the guest's state into a box and out again.
 *
 * Code that runs directly holds no instruction that shows a selector (scan.h), so only the hidden parts of the segment registers matter.
 * Flat ones are the host's flat segments; all others become descriptors of the box's own LDT, made from the hidden part, which is the
 * truth even when the guest's table says otherwise by now. A guest LDT selector keeps its slot, so that error codes and loads
 * within the box name the same; a guest GDT selector gets a slot at the table's end.
 */
#include <string.h>

#include "monitor/sandbox.h"
#include "monitor/sys.h"

#define SLOT_OF_GDT (DX_LDT_SLOTS - SEG_COUNT) /* first of the slots that stand for GDT selectors */
#define SEL_LDT 4u
#define SEL_RPL 3u

/* FXSAVE image: opcode, instruction and data pointers (64-bit form). */
#define FX_FCW 0
#define FX_FOP 6
#define FX_FIP 8
#define FX_FDP 16

/* ---- segments ---- */

/* The descriptor that loads to this hidden part; false: none does, or not in a box. */
static bool descriptor(const struct cpu_seg *s, u32 base, u64 *out)
{
    u32 limit = s->limit, attr = (s->attr & (u32) ~(SEG_ATTR_G | 0xf00u)) | SEG_ATTR_ACCESSED;

    if (limit > 0xfffff) {
        if ((limit & 0xfff) != 0xfff)
            return false;
        limit >>= 12;
        attr |= SEG_ATTR_G;
    }
    *out = (limit & 0xffff) | (u64)(base & 0xffffff) << 16 | (u64)attr << 40 |
           (u64)(limit >> 16 & 0xf) << 48 | (u64)(base >> 24) << 56;
    return (attr & SEG_ATTR_P) && dx_ldt_exact(*out);
}

static bool is_flat(const struct cpu *cpu, unsigned i)
{
    u32 cls = MODE_SEGC(cpu->mode, i);

    if (i == SEG_SS && !(cpu->mode & MODE_SS32))
        return false;
    return cls == SEGC_FLAT || (cls == SEGC_BASED && (i == SEG_FS || i == SEG_GS));
}

static bool is_null(const struct cpu *cpu, unsigned i)
{
    return i != SEG_CS && i != SEG_SS && !(cpu->seg[i].sel & ~SEL_RPL) && !(cpu->seg[i].attr & SEG_ATTR_P);
}

u8 sandbox_odd_segments(const struct cpu *cpu)
{
    struct sandbox_slot slot[SEG_COUNT];
    u8 odd = 0;

    if (!(cpu->mode & MODE_CS32)) /* the scanner reads 32-bit code */
        return BIT(SEG_CS);
    for (unsigned i = 0; i < SEG_COUNT; i++) {
        slot[i] = (struct sandbox_slot){0};
        if (is_flat(cpu, i) || is_null(cpu, i))
            continue;
        slot[i].number = cpu->seg[i].sel & SEL_LDT ? cpu->seg[i].sel >> 3 : SLOT_OF_GDT + i;
        if (!descriptor(&cpu->seg[i], cpu->seg_base[i], &slot[i].desc))
            odd |= BIT(i);
        /* Two registers, one slot: only if they hold the same. */
        for (unsigned k = 0; k < i; k++)
            if (slot[k].desc && slot[k].number == slot[i].number && slot[k].desc != slot[i].desc)
                odd |= BIT(i);
    }
    return odd;
}

static bool in_use(const struct sandbox_slot slot[SEG_COUNT], u32 number)
{
    for (unsigned i = 0; i < SEG_COUNT; i++)
        if (slot[i].desc && slot[i].number == number)
            return true;
    return false;
}

/* The box's LDT holds what is loaded, nothing else: every other selector faults in it, and the fallback loads it by the guest's table. */
static bool put_slots(struct sandbox_box *b, const struct sandbox_slot want[SEG_COUNT])
{
    static const u64 empty = 0;

    if (LIKELY(!memcmp(b->slot, want, sizeof(b->slot))))
        return true;
    for (unsigned i = 0; i < SEG_COUNT; i++)
        if (b->slot[i].desc && !in_use(want, b->slot[i].number) &&
            dx_ldt_set(b->dx, b->slot[i].number, &empty, 1))
            return false;
    for (unsigned i = 0; i < SEG_COUNT; i++)
        if (want[i].desc && dx_ldt_set(b->dx, want[i].number, &want[i].desc, 1))
            return false;
    memcpy(b->slot, want, sizeof(b->slot));
    return true;
}

static bool put_segments(const struct cpu *cpu, struct sandbox_box *b, struct dx_seg seg[SEG_COUNT])
{
    struct sandbox_slot slot[SEG_COUNT];

    memset(slot, 0, sizeof(slot));
    for (unsigned i = 0; i < SEG_COUNT; i++) {
        seg[i] = (struct dx_seg){.kind = DX_SEG_FLAT, .base = cpu->seg_base[i]};
        if (is_flat(cpu, i))
            continue;
        if (is_null(cpu, i)) {
            seg[i] = (struct dx_seg){.kind = DX_SEG_NULL};
            continue;
        }
        slot[i].number = cpu->seg[i].sel & SEL_LDT ? cpu->seg[i].sel >> 3 : SLOT_OF_GDT + i;
        if (!descriptor(&cpu->seg[i], cpu->seg_base[i], &slot[i].desc))
            return false;
        seg[i] =
            (struct dx_seg){.kind = DX_SEG_LDT, .sel = (u16)(slot[i].number << 3 | SEL_LDT | SEL_RPL)};
    }
    return put_slots(b, slot);
}

/* Segment registers that guest code loaded in the box: from the middle of an instruction, since the scanner lets no such
 * instruction pass. Null selectors and mirrored ones are what the architecture says. 1: some were, 0: none, -1: another. */
static int take_segments(struct cpu *cpu, const struct sandbox_box *b, const struct dx_seg was[SEG_COUNT],
                         const struct dx_seg seg[SEG_COUNT])
{
    int moved = 0;

    for (unsigned i = 0; i < SEG_COUNT; i++) {
        const struct sandbox_slot *s = NULL;

        if (LIKELY(seg[i].kind == was[i].kind && (seg[i].kind != DX_SEG_LDT || seg[i].sel == was[i].sel)))
            continue;
        moved = 1;
        if (seg[i].kind == DX_SEG_NULL) {
            seg_commit_null(cpu, i, seg[i].sel);
            continue;
        }
        for (unsigned k = 0; k < SEG_COUNT && seg[i].kind == DX_SEG_LDT; k++)
            if (b->slot[k].desc && b->slot[k].number == seg[i].sel >> 3 && b->slot[k].number < SLOT_OF_GDT)
                s = &b->slot[k];
        if (!s)
            return -1;
        seg_commit(cpu, i, seg[i].sel, s->desc);
    }
    return moved;
}

/* ---- all of it ---- */

bool sandbox_put_state(struct novt_vm *vm, struct sandbox_box *b, struct dx_state *st)
{
    struct cpu *cpu = &vm->cpu;
    u64 ip, dp;

    if (!put_segments(cpu, b, st->seg))
        return false;
    bt_fpu_save(cpu);
    memcpy(st->gpr, cpu->gpr, sizeof(st->gpr));
    st->eip = cpu->eip;
    st->eflags = cpu_eflags(cpu) & DX_EFLAGS;
    memcpy(st->fxsave, cpu->fpu, sizeof(st->fxsave));
    /* What the host's unit says of translated code is none of the guest's business. */
    ip = (u32)cpu->fpu_ip;
    dp = (u32)cpu->fpu_dp;
    memcpy(st->fxsave + FX_FOP, &cpu->fpu_opcode, 2);
    memcpy(st->fxsave + FX_FIP, &ip, 8);
    memcpy(st->fxsave + FX_FDP, &dp, 8);
    return true;
}

/* The pointers to the last x87 instruction, if there was one in the box. Processors that keep them only while an exception is pending
 * show 0, as FNINIT does. */
static void take_pointers(struct cpu *cpu, const u8 was[DX_FXSAVE_BYTES])
{
    static const u8 initial[6] = {0x7f, 0x03, 0, 0, 0, 0};
    u64 none = BT_X87_IP_NONE;
    u32 ip, dp;

    if (memcmp(cpu->fpu + FX_FOP, was + FX_FOP, FX_FDP + 8 - FX_FOP) != 0) {
        memcpy(&ip, cpu->fpu + FX_FIP, 4);
        memcpy(&dp, cpu->fpu + FX_FDP, 4);
        if (ip) {
            cpu->fpu_ip = (u64)cpu->seg[SEG_CS].sel << 32 | ip;
            cpu->fpu_dp = dp;
            memcpy(&cpu->fpu_opcode, cpu->fpu + FX_FOP, 2);
            cpu->fpu_opcode &= 0x7ff;
            cpu->fpu_lin = cpu->seg_base[SEG_CS] + ip;
            cpu->fpu_cs32 = 1;
            cpu->fpu_fresh = FPU_FRESH_OFFSET;
        } else if (!memcmp(cpu->fpu + FX_FCW, initial, sizeof(initial))) {
            cpu->fpu_ip = cpu->fpu_dp = cpu->fpu_opcode = cpu->fpu_fresh = 0;
        }
    }
    /* The host's unit must not take them for translated code's. */
    memset(cpu->fpu + FX_FOP, 0, FX_FDP + 8 - FX_FOP);
    memcpy(cpu->fpu + FX_FIP, &none, 8);
}

#define BOX_SYSFLAGS (EFL_TF | EFL_NT | EFL_AC | EFL_ID)

bool sandbox_take_state(struct novt_vm *vm, struct sandbox_box *b, const struct dx_state *was,
                        const struct dx_state *st)
{
    struct cpu *cpu = &vm->cpu;
    u32 sys = (cpu->sysflags & ~BOX_SYSFLAGS) | (st->eflags & BOX_SYSFLAGS);
    int moved = take_segments(cpu, b, was->seg, st->seg);

    if (moved < 0)
        return false;
    memcpy(cpu->gpr, st->gpr, sizeof(cpu->gpr));
    cpu->eip = st->eip;
    cpu->flags = st->eflags & FL_ARITH;
    cpu->df = st->eflags & EFL_DF ? -1 : 1;
    memcpy(cpu->fpu, st->fxsave, sizeof(cpu->fpu));
    take_pointers(cpu, was->fxsave);
    if (sys != cpu->sysflags || moved) {
        cpu->sysflags = sys;
        mon_state_changed(cpu);
    }
    return true;
}
