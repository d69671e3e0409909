/*
 * sys.h - what the files of the privileged semantics share (segment, transfer, return, interrupt, task, control).
 *
 * Descriptor fields, stack frames that are checked before anything is stored, and the small steps that several
 * control transfers have in common. Everything here follows "compute, check, commit": nothing of the guest's
 * state changes before the last check passed. Private to monitor/.
 */
#ifndef NOVT_MONITOR_SYS_H
#define NOVT_MONITOR_SYS_H

#include "monitor/monitor.h"

/* System descriptor types, S = 0 (SDM vol. 3, 3.5). Bit 3: the 32-bit form. */
enum sys_type {
    SYS_TSS16 = 1,
    SYS_LDT = 2,
    SYS_TSS16_BUSY = 3,
    SYS_CALL16 = 4,
    SYS_TASK_GATE = 5,
    SYS_INT16 = 6,
    SYS_TRAP16 = 7,
    SYS_TSS32 = 9,
    SYS_TSS32_BUSY = 11,
    SYS_CALL32 = 12,
    SYS_INT32 = 14,
    SYS_TRAP32 = 15,
};
#define SYS_TYPE_32 8u
#define SYS_TYPE_BUSY 2u

/* A segment descriptor, low dword first (SDM vol. 3, 3.4.5):
 *  63..56   55 54 53 52  51..48  47 46 45 44 43..40  39..16  15..0
 *  base 31  G  D  L  AVL lim 19  P  DPL   S  type    base 23 limit 15 */
static inline u32 desc_base(u64 d)
{
    return (u32)(d >> 16 & 0xffffff) | (u32)(d >> 32 & 0xff000000u);
}

static inline u32 desc_limit(u64 d)
{
    u32 raw = (u32)(d & 0xffff) | (u32)(d >> 32 & 0xf0000);
    return d >> 55 & 1 ? raw << 12 | 0xfff : raw;
}

static inline u16 desc_attr(u64 d)
{
    return (u16)(d >> 40) & 0xf0ff;
}

static inline unsigned desc_dpl(u64 d)
{
    return (unsigned)(d >> 45) & 3;
}

static inline bool desc_present(u64 d)
{
    return d >> 47 & 1;
}

static inline bool desc_is_system(u64 d)
{
    return !(d >> 44 & 1);
}

static inline unsigned desc_type(u64 d)
{
    return (unsigned)(d >> 40) & 0xf;
}

static inline bool desc_is_code(u64 d)
{
    return (d >> 40 & (SEG_ATTR_S | SEG_ATTR_CODE)) == (SEG_ATTR_S | SEG_ATTR_CODE);
}

static inline bool desc_is_conforming(u64 d)
{
    return d >> 40 & SEG_ATTR_DC;
}

static inline bool desc_is_writable_data(u64 d)
{
    return (d >> 40 & (SEG_ATTR_S | SEG_ATTR_CODE | SEG_ATTR_RW)) == (SEG_ATTR_S | SEG_ATTR_RW);
}

static inline bool desc_is_free_tss(u64 d)
{
    return desc_is_system(d) && (desc_type(d) == SYS_TSS16 || desc_type(d) == SYS_TSS32);
}

static inline bool desc_is_busy_tss(u64 d)
{
    return desc_is_system(d) && (desc_type(d) == SYS_TSS16_BUSY || desc_type(d) == SYS_TSS32_BUSY);
}

/* Gates: selector, offset (SDM vol. 3, 5.8.3 and 6.11). */
static inline u16 gate_sel(u64 d)
{
    return (u16)(d >> 16);
}

static inline u32 gate_offset(u64 d)
{
    u32 low = (u32)(d & 0xffff);
    return d >> 43 & 1 ? low | (u32)(d >> 32 & 0xffff0000u) : low;
}

static inline bool sel_is_null(u16 sel)
{
    return !(sel & ~3u);
}

/* Segmented protected mode, neither real nor v86. */
static inline bool mon_is_protected(const struct cpu *cpu)
{
    return (cpu->cr0 & CR0_PE) && !(cpu->sysflags & EFL_VM);
}

static inline bool mon_is_v86(const struct cpu *cpu)
{
    return cpu->sysflags & EFL_VM;
}

static inline unsigned mon_iopl(const struct cpu *cpu)
{
    return cpu->sysflags >> 12 & 3;
}

static inline u32 size_mask(unsigned size)
{
    return size == 4 ? 0xffffffffu : size == 2 ? 0xffffu : 0xffu;
}

static inline void mon_next(struct cpu *cpu, const struct dec_insn *insn)
{
    cpu->eip += insn->len;
}

/* GPR write of 2 or 4 bytes. */
static inline void gpr_write(struct cpu *cpu, unsigned reg, u32 val, unsigned size)
{
    u32 mask = size_mask(size);
    cpu->gpr[reg & 7] = (cpu->gpr[reg & 7] & ~mask) | (val & mask);
}

static inline unsigned modrm_reg(const struct dec_insn *insn)
{
    return insn->modrm >> 3 & 7;
}

static inline unsigned modrm_rm(const struct dec_insn *insn)
{
    return insn->modrm & 7;
}

/* ---- mem.c ---- */
/* Is [off, off + size) within the segment's limit? Honours expand-down. */
bool seg_in_limit(const struct cpu_seg *s, u32 off, u32 size);
/* Forget what the monitor's accesses remember of translations: the regime changed. */
void mem_tlb_flush(struct novt_vm *vm);

/* ---- segment.c ---- */
/* Like desc_read, with the vector and the EXT bit of the error code chosen by the caller. */
int desc_fetch(struct cpu *cpu, u16 sel, u64 *desc, u8 vector, u32 ext) MUST_CHECK;
/* Set the accessed bit in *desc and, where it was clear, in memory. The write may fault. */
int desc_mark_accessed(struct cpu *cpu, u16 sel, u64 *desc) MUST_CHECK;
/* Set or clear the busy bit of the TSS descriptor that sel names in the GDT. */
int desc_set_busy(struct cpu *cpu, u16 sel, bool busy) MUST_CHECK;
/* Hidden and visible part of a segment register from a checked descriptor. */
void seg_commit(struct cpu *cpu, unsigned seg, u16 sel, u64 desc);
void seg_commit_null(struct cpu *cpu, unsigned seg, u16 sel);
/* CS:EIP at privilege cpl: the RPL of sel becomes cpl. */
void code_commit(struct cpu *cpu, u16 sel, u64 desc, u32 eip, unsigned cpl);
/* After a return to an outer ring: data segments that it must not see become null (SDM vol. 2, RET). */
void seg_drop_inner(struct cpu *cpu);

/* ---- frame.c: stacks ---- */
#define FRAME_SLOTS_MAX 40
struct frame {
    struct cpu_seg seg;
    u32 base;
    u32 sp;     /* whole ESP; the part that the B flag selects moves */
    bool super; /* accesses are made with CPL < 3 */
};
void frame_current(const struct cpu *cpu, struct frame *f);
void frame_from_desc(struct frame *f, u16 sel, u64 desc, u32 sp, bool super);
/* Push n values of size bytes, in the order given. #SS(err) if they do not fit; nothing is stored then. */
int frame_push(struct cpu *cpu, struct frame *f, const u32 *val, unsigned n, unsigned size,
               u32 err) MUST_CHECK;
/* Is there room for them by the segment's limit? #SS(err) if not. */
int frame_room(struct cpu *cpu, const struct frame *f, unsigned n, unsigned size, u32 err) MUST_CHECK;
/* Pop n values of size bytes; only *f changes. #SS(0) if they lie outside. */
int frame_pop(struct cpu *cpu, struct frame *f, u32 *val, unsigned n, unsigned size) MUST_CHECK;
/* ESP = value; with a 16-bit stack only SP. */
void frame_set_sp(struct frame *f, u32 sp);
/* The stack of ring dpl from the TSS, checked for a transfer to that ring (SDM vol. 2, CALL and INT): *sel, *desc
 * are the new SS (accessed bit as in memory), *f is ready to push on. */
int frame_from_tss(struct cpu *cpu, unsigned dpl, u32 ext, u16 *sel, u64 *desc, struct frame *f) MUST_CHECK;

/* ---- state.c: cheaper forms of mon_state_changed() ---- */
/* Only segment registers changed, neither CPL nor CS's privilege. */
void mon_segs_changed(struct cpu *cpu);
/* Only this one did. */
void mon_seg_changed(struct cpu *cpu, unsigned seg);
/* vm->regime from CR0, CR3, CR4, EFER and the A20 gate. The window follows in mon_state_changed(). */
void mon_regime_update(struct cpu *cpu);

/* ---- return.c ---- */
/* EFLAGS bits in mask from v. RF is kept only while a breakpoint could notice it. */
void flags_merge(struct cpu *cpu, u32 v, u32 mask);
int mon_ret_far(struct cpu *cpu, const struct dec_insn *insn) MUST_CHECK;
int mon_iret(struct cpu *cpu, const struct dec_insn *insn) MUST_CHECK;

/* ---- control.c ---- */
/* Load CR3 with the TLB rules; 0, or -1 with #GP(0) for a bad PDPT. Ends with vm->regime current, window not. */
int mon_load_pdptes(struct cpu *cpu, u32 cr3) MUST_CHECK;
int mon_load_cr3(struct cpu *cpu, u32 value) MUST_CHECK;
/* What MOV to a control register (0, 2, 3, 4) or debug register (0-3, 6, 7) does behind its privilege checks. */
int mon_write_cr(struct cpu *cpu, unsigned n, u32 value) MUST_CHECK;
void mon_write_dr(struct cpu *cpu, unsigned n, u32 value);
u32 mon_cr4_writable(const struct cpu *cpu); /* bits that the CPU model has */

/* ---- msr.c ---- */
int mon_rdmsr(struct cpu *cpu, u32 index, u64 *value) MUST_CHECK;
int mon_wrmsr(struct cpu *cpu, u32 index, u64 value) MUST_CHECK;
void msr_reset(struct cpu *cpu);

/* ---- cpuid.c ---- */
#define EFER_NXE BIT(11)
/* Has the model the NX bit, with EFER? */
bool cpuid_has_nx(const struct cpu *cpu);
bool cpuid_has_pse36(const struct cpu *cpu);
bool cpuid_has_tsc_adjust(const struct cpu *cpu);

/* ---- debug.c: debug registers ---- */
#define DR6_FIXED 0xffff0ff0u
#define DR6_BD BIT(13)
#define DR6_BS BIT(14)
#define DR6_BT BIT(15)
#define DR7_FIXED 0x400u
#define DR7_GD BIT(13)
#define DR7_ENABLES 0xffu
/* DR6 bits of the instruction breakpoints at linear address lin, unless RF holds them off; 0: none that is enabled. */
u32 dbg_insn_hits(const struct cpu *cpu, u32 lin);
/* A #DB for these reasons: DR6. What a handler left of earlier breakpoints goes, the other causes stay. */
void dbg_report(struct cpu *cpu, u32 cause);
/* Note a data access; the hits wait in vm->dbg_hits for the end of the instruction. */
void dbg_data(struct cpu *cpu, u32 lin, unsigned size, bool write);
/* Same for an I/O port. */
void dbg_io(struct cpu *cpu, u16 port, unsigned size);

#endif
