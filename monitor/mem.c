/*
 * mem.c - guest memory for the monitor's own accesses.
 *
 * Three layers, each with one kind of check: segment (mem_*), paging (lin_*), backing (phys_*: RAM, ROM or the
 * buses). An access resolves every page it touches before it moves the first byte, so a fault leaves no trace but
 * accessed bits. Stores to pages that hold translations tell run.c first (mon_code_written).
 * Sources: SDM vol. 3, chapters 4.6, 5.3, 5.4 and 6.15.
 */
#include <string.h>

#include "monitor/breakpoint.h"
#include "monitor/sys.h"

int mon_exc(struct cpu *cpu, u8 vector)
{
    cpu->exc_vector = vector;
    cpu->exc_has_error = 0;
    cpu->exc_error = 0;
    cpu->exc_soft = 0;
    return -1;
}

int mon_exc_err(struct cpu *cpu, u8 vector, u32 error)
{
    mon_exc(cpu, vector);
    cpu->exc_has_error = 1;
    cpu->exc_error = error;
    return -1;
}

/* ---- backing ---- */

#define INLINE static inline __attribute__((always_inline)) /* a device's registers and memory are reached this way a byte at a time */

/* Constant sizes become plain moves: no libc, no vector registers. */
static void copy(void *to, const void *from, unsigned n)
{
    switch (n) {
    case 1: __builtin_memcpy(to, from, 1); break;
    case 2: __builtin_memcpy(to, from, 2); break;
    case 4: __builtin_memcpy(to, from, 4); break;
    case 8: __builtin_memcpy(to, from, 8); break;
    default: memcpy(to, from, n);
    }
}

static void mmio_read(struct novt_vm *vm, u64 gpa, u8 *buf, unsigned n)
{
    vm->mmio_seen = 1;
    if (LIKELY(n <= 4 && vm->pc)) { /* 3: straddling a page */
        u32 v = (u32)pc_mmio_read(vm->pc, gpa, n);
        copy(buf, &v, n);
        return;
    }
    while (n) {
        unsigned part = n < 8 ? n : 8;
        u64 v = vm->pc ? pc_mmio_read(vm->pc, gpa, part) : ~0ull;
        memcpy(buf, &v, part);
        gpa += part;
        buf += part;
        n -= part;
    }
}

static void mmio_write(struct novt_vm *vm, u64 gpa, const u8 *buf, unsigned n)
{
    vm->mmio_seen = 1;
    if (LIKELY(n <= 4 && vm->pc)) {
        u32 v = 0;
        copy(&v, buf, n);
        pc_mmio_write(vm->pc, gpa, n, v);
        mon_timer_update(vm); /* the APIC's or the HPET's next event may have moved */
        return;
    }
    while (n) {
        unsigned part = n < 8 ? n : 8;
        u64 v = 0;
        memcpy(&v, buf, part);
        if (vm->pc)
            pc_mmio_write(vm->pc, gpa, part, v);
        gpa += part;
        buf += part;
        n -= part;
    }
}

/* Within one page. */
INLINE void page_read(struct novt_vm *vm, u64 gpa, void *buf, unsigned n)
{
    enum mmu_backing kind;
    const u8 *p = mmu_ptr(vm->mmu, gpa, &kind);

    if (LIKELY(p != NULL))
        copy(buf, p, n);
    else
        mmio_read(vm, gpa, buf, n);
}

INLINE void page_write(struct novt_vm *vm, u64 gpa, const void *buf, unsigned n)
{
    enum mmu_backing kind;
    u8 *p = mmu_ptr(vm->mmu, gpa, &kind);

    if (LIKELY(p && kind == MMU_RAM)) {
        if (mmu_watched(vm->mmu, gpa))
            mon_code_written(vm, gpa, n);
        copy(p, buf, n);
    } else if (p) {
        mon_rom_write(vm, gpa, buf, n);
    } else {
        mmio_write(vm, gpa, buf, n);
    }
}

static unsigned page_left(u64 addr, unsigned n)
{
    unsigned left = PAGE_BYTES - (unsigned)(addr & PAGE_MASK);

    return n < left ? n : left;
}

void phys_read(struct novt_vm *vm, u64 gpa, void *buf, unsigned size)
{
    u8 *to = buf;

    for (unsigned n; size; gpa += n, to += n, size -= n) {
        n = page_left(gpa, size);
        page_read(vm, gpa, to, n);
    }
}

void phys_write(struct novt_vm *vm, u64 gpa, const void *buf, unsigned size)
{
    const u8 *from = buf;

    for (unsigned n; size; gpa += n, from += n, size -= n) {
        n = page_left(gpa, size);
        page_write(vm, gpa, from, n);
    }
}

/* ---- paging ---- */

static enum mmu_priv privilege(const struct cpu *cpu, bool super)
{
    if (!super && cpu->cpl == 3)
        return MMU_USER;
    return cpu->cr0 & CR0_WP ? MMU_SUPER : MMU_SUPER_NOWP;
}

/* One page. 0, or -1 with #PF. */
static int walk(struct cpu *cpu, struct mmu_window *w, u32 lin, bool super, enum mmu_access access, u64 *gpa)
{
    struct novt_vm *vm = mon_vm(cpu);
    struct mmu_info info;

    if (mmu_walk(vm->mmu, w, &vm->regime, privilege(cpu, super), lin, access, &info) == MMU_GUEST_FAULT) {
        cpu->cr2 = lin;
        return mon_exc_err(cpu, EXC_PF, info.error_code);
    }
    *gpa = info.gpa;
    return 0;
}

void mem_tlb_flush(struct novt_vm *vm)
{
    memset(vm->tlb, 0, sizeof(vm->tlb));
}

#define TLB_WRITE 8u

/* Like walk(), for data, through the translations that earlier accesses found. They may be as stale as a CPU's TLB: every
 * flush, INVLPG and change of regime forgets them. */
INLINE int translate(struct cpu *cpu, u32 lin, bool super, bool write, u64 *gpa)
{
    struct novt_vm *vm = mon_vm(cpu);
    struct mon_tlb_entry *e = &vm->tlb[lin >> PAGE_SHIFT & (MON_TLB_ENTRIES - 1)];
    u32 tag = (lin & ~PAGE_MASK) | ((u32)privilege(cpu, super) + 1);

    if (LIKELY(e->tag == (tag | TLB_WRITE) || (!write && e->tag == tag))) {
        *gpa = e->gpa | (lin & PAGE_MASK);
        return 0;
    }
    if (walk(cpu, NULL, lin, super, write ? MMU_WRITE : MMU_READ, gpa))
        return -1;
    if (*gpa >> 32 == 0)
        *e = (struct mon_tlb_entry){tag | (write ? TLB_WRITE : 0), (u32)*gpa & ~PAGE_MASK};
    return 0;
}

/* The one or two pages of an access of at most 512 bytes. */
struct span {
    u64 gpa[2];
    unsigned first; /* bytes in the first page */
};

INLINE int resolve(struct cpu *cpu, u32 lin, unsigned size, bool super, bool write, struct span *s)
{
    s->first = page_left(lin, size);
    if (translate(cpu, lin, super, write, &s->gpa[0]))
        return -1;
    return s->first == size ? 0 : translate(cpu, lin + s->first, super, write, &s->gpa[1]);
}

/* Data breakpoints; what the CPU reads and writes of itself (descriptors, frames, TSS) meets them too. */
static void note_access(struct cpu *cpu, u32 lin, unsigned size, bool write)
{
    if (UNLIKELY(cpu->mode & MODE_DB))
        dbg_data(cpu, lin, size, write);
    if (UNLIKELY(mon_vm(cpu)->brk_flags & BRK_F_DATA))
        brk_data(cpu, lin, size, write);
}

int lin_read(struct cpu *cpu, u32 lin, void *buf, unsigned size, bool super)
{
    struct novt_vm *vm = mon_vm(cpu);
    struct span s;

    if (resolve(cpu, lin, size, super, false, &s))
        return -1;
    note_access(cpu, lin, size, false);
    page_read(vm, s.gpa[0], buf, s.first);
    if (UNLIKELY(s.first != size))
        page_read(vm, s.gpa[1], (u8 *)buf + s.first, size - s.first);
    return 0;
}

int lin_write(struct cpu *cpu, u32 lin, const void *buf, unsigned size, bool super)
{
    struct novt_vm *vm = mon_vm(cpu);
    struct span s;

    if (resolve(cpu, lin, size, super, true, &s))
        return -1;
    note_access(cpu, lin, size, true);
    page_write(vm, s.gpa[0], buf, s.first);
    if (UNLIKELY(s.first != size))
        page_write(vm, s.gpa[1], (const u8 *)buf + s.first, size - s.first);
    return 0;
}

int lin_probe_write(struct cpu *cpu, u32 lin, unsigned size, bool super)
{
    struct span s;

    return resolve(cpu, lin, size, super, true, &s);
}

/* ---- segmentation ---- */

bool seg_in_limit(const struct cpu_seg *s, u32 off, u32 size)
{
    u32 last = off + size - 1;

    if ((s->attr & (SEG_ATTR_S | SEG_ATTR_CODE | SEG_ATTR_DC)) == (SEG_ATTR_S | SEG_ATTR_DC)) {
        u32 top = s->attr & SEG_ATTR_D ? 0xffffffffu : 0xffffu;
        return off > s->limit && last >= off && last <= top;
    }
    /* At a limit of 4 GiB - 1 an access that wraps around may fault or not (SDM vol. 3, 5.3); current CPUs do. */
    return last >= off && last <= s->limit;
}

/* Type checks (SDM vol. 3, 5.5): only in protected mode, and a register loaded null is not present. */
static bool rights_ok(const struct cpu *cpu, const struct cpu_seg *s, bool write)
{
    if (!mon_is_protected(cpu))
        return true;
    if (!(s->attr & SEG_ATTR_P))
        return false;
    if (write)
        return (s->attr & (SEG_ATTR_CODE | SEG_ATTR_RW)) == SEG_ATTR_RW;
    return !(s->attr & SEG_ATTR_CODE) || (s->attr & SEG_ATTR_RW);
}

/* Operand sizes that are checked for alignment, as masks (SDM vol. 3, table 6-7). */
static u32 alignment(unsigned size)
{
    switch (size) {
    case 2:
    case 14: /* x87 environment and state, 16-bit form */
    case 94: return 1;
    case 4:
    case 6: return 3;
    case 8:
    case 10: return 7;
    case 16: return 15;
    case 28: /* x87 environment and state */
    case 108: return 3;
    default: return 0;
    }
}

/* Segment and alignment checks: the linear address. */
INLINE int linear(struct cpu *cpu, unsigned seg, u32 off, unsigned size, bool write, u32 *lin)
{
    unsigned cls = MODE_SEGC(cpu->mode, seg);
    const struct cpu_seg *s = &cpu->seg[seg];

    *lin = cpu->seg_base[seg] + off;
    if (UNLIKELY(cls > SEGC_BASED || seg == SEG_CS || off + size - 1 < off)) {
        if (!rights_ok(cpu, s, write) || !seg_in_limit(s, off, size))
            return mon_exc_err(cpu, seg == SEG_SS ? EXC_SS : EXC_GP, 0);
    }
    if (UNLIKELY(cpu->mode & (MODE_AC | MODE_DB))) {
        if ((cpu->mode & MODE_AC) && (*lin & alignment(size)))
            return mon_exc_err(cpu, EXC_AC, 0);
    }
    return 0;
}

int mem_read(struct cpu *cpu, unsigned seg, u32 off, void *buf, unsigned size)
{
    u32 lin;

    return linear(cpu, seg, off, size, false, &lin) ? -1 : lin_read(cpu, lin, buf, size, false);
}

int mem_write(struct cpu *cpu, unsigned seg, u32 off, const void *buf, unsigned size)
{
    u32 lin;

    return linear(cpu, seg, off, size, true, &lin) ? -1 : lin_write(cpu, lin, buf, size, false);
}

int mem_probe_write(struct cpu *cpu, unsigned seg, u32 off, unsigned size)
{
    u32 lin;

    return linear(cpu, seg, off, size, true, &lin) ? -1 : lin_probe_write(cpu, lin, size, false);
}

int mem_probe_read(struct cpu *cpu, unsigned seg, u32 off, unsigned size)
{
    struct span s;
    u32 lin;

    return linear(cpu, seg, off, size, false, &lin) ? -1 : resolve(cpu, lin, size, false, false, &s);
}

/* Only where a whole span is alike: no exception is raised in earnest, the caller goes element by element instead. */
bool mem_block(struct cpu *cpu, unsigned seg, u32 off, u32 bytes, bool write, struct mem_block *b)
{
    struct novt_vm *vm = mon_vm(cpu);
    enum mmu_backing kind;
    u32 lin;

    if (cpu->mode & (MODE_AC | MODE_DB) || vm->brk_flags & BRK_F_DATA || linear(cpu, seg, off, bytes, write, &lin) ||
        page_left(lin, bytes) != bytes || translate(cpu, lin, false, write, &b->gpa))
        return false;
    b->ram = mmu_ptr(vm->mmu, b->gpa, &kind);
    if (b->ram && write)
        return kind == MMU_RAM && !mmu_watched(vm->mmu, b->gpa);
    return b->ram || vm->pc;
}

bool mem_block_read(struct cpu *cpu, const struct mem_block *b, u8 *to, u32 bytes)
{
    if (b->ram) {
        memcpy(to, b->ram, bytes);
        return true;
    }
    mon_vm(cpu)->mmio_seen = 1;
    return pc_mmio_read_block(mon_vm(cpu)->pc, b->gpa, to, bytes);
}

bool mem_block_write(struct cpu *cpu, const struct mem_block *b, const u8 *from, u32 bytes)
{
    if (b->ram) {
        memcpy(b->ram, from, bytes);
        return true;
    }
    mon_vm(cpu)->mmio_seen = 1;
    return pc_mmio_write_block(mon_vm(cpu)->pc, b->gpa, from, bytes);
}

int mem_fetch(struct cpu *cpu, u32 eip, u8 buf[DEC_MAX_LEN], unsigned *got, u64 *gpa)
{
    struct novt_vm *vm = mon_vm(cpu);
    u32 lin = cpu->seg_base[SEG_CS] + eip, limit = cpu->seg[SEG_CS].limit;
    unsigned want = DEC_MAX_LEN, first;
    struct mmu_info info;

    if (eip > limit)
        return mon_exc_err(cpu, EXC_GP, 0);
    if (limit - eip < DEC_MAX_LEN - 1 && limit != 0xffffffffu)
        want = limit - eip + 1;
    if (walk(cpu, vm->win, lin, false, MMU_FETCH, gpa))
        return -1;
    first = page_left(lin, want);
    page_read(vm, *gpa, buf, first);
    *got = first;
    if (first == want)
        return 0;
    /* Bytes behind the page boundary may not belong to the instruction: their fault waits until one is needed. */
    if (mmu_walk(vm->mmu, vm->win, &vm->regime, privilege(cpu, false), lin + first, MMU_FETCH, &info) ==
        MMU_GUEST_FAULT)
        return 0;
    page_read(vm, info.gpa, buf + first, want - first);
    *got = want;
    return 0;
}
