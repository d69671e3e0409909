/*
 * state.c - what follows from the architected state: mode word, segment classes, jump-cache tag, regime, window.
 *
 * Translated code and the run loop look only at these summaries. mon_state_changed() recomputes all of them and is on
 * the path of every system call, so it does no work that a comparison can spare; mon_segs_changed() serves the
 * frequent case of a data segment load. Also the state after reset. Sources: SDM vol. 3, 2.5, 5.3, 9.1.1.
 */
#include <string.h>
#include <x86intrin.h>

#include "monitor/sys.h"

/* ---- segments ---- */

/* A limit so small that "limit - (operand size - 1)" could wrap in emitted code. */
#define SEG_LIMIT_MIN 511u

static u32 seg_class(const struct cpu_seg *s, u32 base, bool is_cs)
{
    u32 type = s->attr & (SEG_ATTR_CODE | SEG_ATTR_DC | SEG_ATTR_RW);

    if (!(s->attr & SEG_ATTR_P))
        return SEGC_CHECK;
    if (is_cs ? (type & (SEG_ATTR_CODE | SEG_ATTR_RW)) == SEG_ATTR_CODE : type != SEG_ATTR_RW)
        return SEGC_CHECK;
    if ((type & (SEG_ATTR_CODE | SEG_ATTR_DC)) == SEG_ATTR_DC || s->limit < SEG_LIMIT_MIN)
        return SEGC_CHECK;
    return s->limit != 0xffffffff ? SEGC_LIMIT : base ? SEGC_BASED : SEGC_FLAT;
}

/* As a load makes it (seg_load_real), so that another load changes the base alone. */
static u32 seg_class_8086(const struct cpu_seg *s, bool v86)
{
    const u16 made = SEG_ATTR_P | SEG_ATTR_S | SEG_ATTR_RW | SEG_ATTR_ACCESSED;

    if ((s->attr & 0xff) != (v86 ? made | SEG_ATTR_DPL : made) || s->limit < SEG_LIMIT_MIN)
        return SEGC_CHECK;
    if (v86 && s->limit != 0xffff)
        return SEGC_CHECK;
    return s->limit == 0xffffffff ? SEGC_BASED : SEGC_LIMIT;
}

/* The class of one, at its place in the mode word; and the copies of its limit. */
static u32 one_segment(struct cpu *cpu, unsigned i, bool protect)
{
    const struct cpu_seg *s = &cpu->seg[i];
    u32 cls = protect ? seg_class(s, cpu->seg_base[i], i == SEG_CS) : seg_class_8086(s, mon_is_v86(cpu));

    cpu->seg_limit[i] = s->limit;
    cpu->seg_limit16[i] = s->limit < 0xffff ? s->limit : 0xffff;
    return cls << (MODE_SEG_SHIFT + 2 * i);
}

static u32 segment_mode(struct cpu *cpu)
{
    bool protect = mon_is_protected(cpu);
    u32 mode = 0;

    for (unsigned i = 0; i < SEG_COUNT; i++)
        mode |= one_segment(cpu, i, protect);
    if (cpu->seg[SEG_CS].attr & SEG_ATTR_D)
        mode |= MODE_CS32;
    if (cpu->seg[SEG_SS].attr & SEG_ATTR_D)
        mode |= MODE_SS32;
    return mode;
}

#define MODE_SEGMENTS ((0xfffu << MODE_SEG_SHIFT) | MODE_CS32 | MODE_SS32)

/* ---- the other bits ---- */

static u32 system_mode(const struct cpu *cpu)
{
    u32 mode = (u32)cpu->cpl << MODE_CPL_SHIFT;

    if (cpu->cr0 & CR0_PE)
        mode |= MODE_PE;
    if (mon_is_v86(cpu))
        mode |= MODE_VM;
    if (cpu->cpl == 3)
        mode |= MODE_CPL3;
    if (cpu->cpl <= mon_iopl(cpu))
        mode |= MODE_IOPL_OK;
    if (cpu->cr0 & (CR0_EM | CR0_TS))
        mode |= MODE_NM;
    if (cpu->cr0 & CR0_EM)
        mode |= MODE_EM;
    if (cpu->cr0 & CR0_TS)
        mode |= MODE_TS;
    if (cpu->cr0 & CR0_MP)
        mode |= MODE_MP;
    if (cpu->cr4 & CR4_OSFXSR)
        mode |= MODE_SSE;
    if (cpu->sysflags & EFL_TF)
        mode |= MODE_TF;
    if ((cpu->cr4 & CR4_TSD) && cpu->cpl != 0)
        mode |= MODE_TSD;
    if ((cpu->cr0 & CR0_AM) && (cpu->sysflags & EFL_AC) && cpu->cpl == 3)
        mode |= MODE_AC;
    if (cpu->dr[7] & DR7_ENABLES)
        mode |= MODE_DB;
    if (!(cpu->cr0 & CR0_PE) && cpu->idtr.limit >= 256 * 4 - 1 && !(cpu->sysflags & EFL_AC))
        mode |= MODE_IVT;
    return mode;
}

/* ---- jump-cache tag ---- */

/* Numbers from 1 on; contexts that differ by their selector alone share 65536 of them, from the upper half. */
#define TAG_RANGES 0x8000u
#define TAG_BY_SELECTOR BIT(31) /* in mon_tag.mode: such a range, whatever the base */

static u32 new_tag_id(struct novt_vm *vm, bool range)
{
    u32 *next = range ? &vm->tags.next_range : &vm->tags.next_id;

    if (++*next == (range ? TAG_RANGES : TAG_RANGES << 16)) {
        memset(vm->tags.set, 0, sizeof(vm->tags.set));
        for (struct mon_ctx *c = vm->ctxs; c; c = c->next) {
            memset(c->jcache, 0, BT_JCACHE_BYTES);
            c->ret_tag = 0;
        }
        vm->tags.next_id = vm->tags.next_range = 0;
        *next = 1;
    }
    return range ? (TAG_RANGES + *next) << 16 : *next;
}

static void find_tag(struct novt_vm *vm, u32 mode, u32 base, u32 limit)
{
    u32 hash = (mode ^ base ^ limit) * 0x9e3779b1u;
    struct mon_tag *last = &vm->tags.last, *set = vm->tags.set[hash >> 24 & (MON_TAG_SETS - 1)];

    for (unsigned i = 0; i < MON_TAG_WAYS; i++) {
        if (set[i].id && set[i].mode == mode && set[i].cs_base == base && set[i].cs_limit == limit) {
            *last = set[i];
            return;
        }
    }
    *last = (struct mon_tag){mode, base, limit, new_tag_id(vm, mode & TAG_BY_SELECTOR)};
    set[vm->tags.next_way++ % MON_TAG_WAYS] = *last;
}

static void update_tag(struct cpu *cpu)
{
    struct novt_vm *vm = mon_vm(cpu);
    u32 mode = cpu->mode, base = cpu->seg_base[SEG_CS], limit = cpu->seg[SEG_CS].limit, sel = 0;
    struct mon_tag *last = &vm->tags.last;

    if (cpu_cs_8086(mode, base, limit)) {
        mode |= TAG_BY_SELECTOR;
        sel = base >> 4;
        base = 0;
    }
    if (UNLIKELY(last->mode != mode || last->cs_base != base || last->cs_limit != limit || !last->id))
        find_tag(vm, mode, base, limit);
    cpu->sel_tag = (u64)last->id << 32; /* translated code adds selectors to it */
    cpu->ctx_tag = (u64)(last->id + sel) << 32;
}

bool mon_same_records(u64 tag, u64 other)
{
    unsigned shift = tag >> 63 ? 48 : 32;

    return tag >> shift == other >> shift;
}

/* ---- regime and window ---- */

void mon_regime_update(struct cpu *cpu)
{
    struct novt_vm *vm = mon_vm(cpu);
    struct mmu_regime r = {.a20_mask = vm->a20_off};

    if (cpu->cr0 & CR0_PG) {
        r.paging = 1;
        r.pae = (cpu->cr4 & CR4_PAE) != 0;
        r.pse = (cpu->cr4 & CR4_PSE) != 0;
        r.pse36 = r.pse && vm->pse36;
        r.pge = (cpu->cr4 & CR4_PGE) != 0;
        r.nxe = r.pae && (cpu->efer & EFER_NXE);
        r.cr3 = cpu->cr3 & (r.pae ? ~0x1fu : ~PAGE_MASK);
    }
    if (memcmp(&vm->regime, &r, sizeof(r))) {
        vm->regime = r;
        mem_tlb_flush(vm);
    }
}

static void update_window(struct cpu *cpu)
{
    struct novt_vm *vm = mon_vm(cpu);
    enum mmu_priv priv = cpu->cpl == 3 ? MMU_USER : cpu->cr0 & CR0_WP ? MMU_SUPER : MMU_SUPER_NOWP;
    struct mmu_window *old = vm->win;
    int rc = mmu_window_get(vm->mmu, &vm->regime, priv, &vm->win);

    if (!rc && vm->win != old)
        rc = vm->bt ? mon_window_switched(vm, old, vm->win) : 0;
    if (rc) {
        vm->win = old;
        mon_stop(vm, STOP_ERROR, -rc);
    }
}

void mon_flush(struct cpu *cpu, bool all)
{
    struct novt_vm *vm = mon_vm(cpu);

    mon_regime_update(cpu);
    mem_tlb_flush(vm);
    mmu_flush(vm->mmu, &vm->regime, all);
}

void mon_segs_changed(struct cpu *cpu)
{
    cpu->mode = (cpu->mode & ~MODE_SEGMENTS) | segment_mode(cpu);
    update_tag(cpu);
}

void mon_seg_changed(struct cpu *cpu, unsigned seg)
{
    u32 mode = cpu->mode & ~(3u << (MODE_SEG_SHIFT + 2 * seg));

    mode |= one_segment(cpu, seg, mon_is_protected(cpu));
    if (seg == SEG_SS)
        mode = (mode & ~MODE_SS32) | (cpu->seg[SEG_SS].attr & SEG_ATTR_D ? MODE_SS32 : 0);
    if (seg == SEG_CS)
        mode = (mode & ~MODE_CS32) | (cpu->seg[SEG_CS].attr & SEG_ATTR_D ? MODE_CS32 : 0);
    else if (mode == cpu->mode)
        return;
    cpu->mode = mode;
    update_tag(cpu);
}

void mon_state_changed(struct cpu *cpu)
{
    cpu->mode = system_mode(cpu) | segment_mode(cpu);
    update_tag(cpu);
    mon_regime_update(cpu);
    update_window(cpu);
}

/* ---- reset ---- */

/* As after FNINIT, which a PC's firmware has done (SeaBIOS leaves it to the machine): after a bare reset FCW is 0040h and nothing is
 * masked, and the first load of a program that does not initialise the FPU would hang on an unmasked fault. */
static void reset_fpu(struct cpu *cpu)
{
    bt_fpu_save(cpu);
    memset(cpu->fpu, 0, sizeof(cpu->fpu));
    cpu->fpu[0] = 0x7f; /* FCW 037Fh; all registers empty */
    cpu->fpu[1] = 0x03;
    cpu->fpu[24] = 0x80; /* MXCSR 1F80h */
    cpu->fpu[25] = 0x1f;
    cpu->fpu_ip = cpu->fpu_dp = 0;
    cpu->fpu_opcode = 0;
}

void mon_reset_cpu(struct cpu *cpu)
{
    struct novt_vm *vm = mon_vm(cpu);
    const u16 data = SEG_ATTR_P | SEG_ATTR_S | SEG_ATTR_RW | SEG_ATTR_ACCESSED;
    u32 id[4];

    cpu->features = cpuid_features(vm->model);
    vm->pse36 = cpuid_has_pse36(cpu);
    memset(cpu->gpr, 0, sizeof(cpu->gpr));
    cpuid_query(cpu, 1, 0, id);
    cpu->gpr[R_EDX] = id[0];
    cpu_eflags_set(cpu, EFL_R1);
    cpu->eip = 0xfff0;
    for (unsigned i = 0; i < SEG_COUNT; i++) {
        cpu->seg[i] = (struct cpu_seg){.limit = 0xffff, .attr = data};
        cpu->seg_base[i] = 0;
    }
    cpu->seg[SEG_CS].sel = 0xf000;
    cpu->seg_base[SEG_CS] = 0xffff0000;
    cpu->gdtr = cpu->idtr = (struct cpu_table){.limit = 0xffff};
    cpu->ldtr = (struct cpu_sysseg){.limit = 0xffff, .attr = SEG_ATTR_P | SYS_LDT};
    cpu->tr = (struct cpu_sysseg){.limit = 0xffff, .attr = SEG_ATTR_P | SYS_TSS32_BUSY};
    cpu->cr0 = CR0_CD | CR0_NW | CR0_ET;
    cpu->cr2 = cpu->cr3 = cpu->cr4 = 0;
    memset(cpu->dr, 0, sizeof(cpu->dr));
    cpu->dr[6] = DR6_FIXED;
    cpu->dr[7] = DR7_FIXED;
    cpu->cpl = cpu->halted = cpu->inhibit = cpu->nmi_blocked = 0;
    cpu->exit_from = 0;
    vm->dbg_hits = 0;
    msr_reset(cpu);
    cpu->tsc_offset = 0 - __rdtsc();
    reset_fpu(cpu);
    mon_flush(cpu, true);
    mon_state_changed(cpu);
}
