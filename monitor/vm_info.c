/*
 * vm_info.c - what a monitor shows of a machine: registers, page tables, memory map, chips; and memory as a debugger sees it.
 *
 * Everything is read on the VM's thread without changing anything: page tables are walked by hand, so no accessed bit is set. Forms are
 * QEMU's, for the scripts that read them.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "monitor/gdb.h"
#include "monitor/machine.h"
#include "monitor/sys.h"

struct sink {
    char *buf;
    size_t bytes, at; /* at may run beyond bytes: the length needed */
};

static void put(struct sink *s, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void put(struct sink *s, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(s->at < s->bytes ? s->buf + s->at : NULL, s->at < s->bytes ? s->bytes - s->at : 0, fmt, ap);
    va_end(ap);
    if (n > 0)
        s->at += (size_t)n;
}

/* ---- registers ---- */

static void put_segment(struct sink *s, const struct machine *m, const char *name, u32 sel, u32 base,
                        u32 limit, u32 attr)
{
    u32 raw = attr & 0x8000 ? limit >> 12 : limit; /* as the descriptor has it: its upper word shows bits 16 to 19 */

    put(s, "%-3s=%04x %08x %08x %08x", name, sel, base, limit, attr << 8 | (raw & 0xf0000));
    if (!(m->vm.cpu.cr0 & CR0_PE) || !(attr & 0x80)) {
        put(s, "\n");
        return;
    }
    put(s, " DPL=%u ", attr >> 5 & 3);
    if (!(attr & 0x10))
        put(s, "%s\n",
            (attr & 15) == 2  ? "LDT"
            : (attr & 7) == 1 ? attr & 8 ? "TSS32-avl" : "TSS16-avl"
            : (attr & 7) == 3 ? attr & 8 ? "TSS32-busy" : "TSS16-busy"
                              : "TSS");
    else if (attr & 8)
        put(s, "CS%s [%c%c%c]\n", attr & 0x4000 ? "32" : "16", attr & 4 ? 'C' : '-', attr & 2 ? 'R' : '-',
            attr & 1 ? 'A' : '-');
    else
        put(s, "DS%s [%c%c%c]\n", attr & 0x4000 ? "  " : "16", attr & 4 ? 'E' : '-', attr & 2 ? 'W' : '-',
            attr & 1 ? 'A' : '-');
}

static void put_fpu(struct sink *s, const struct cpu *c)
{
    const u8 *f = c->fpu;
    u16 fcw, fsw;
    u32 mxcsr;

    memcpy(&fcw, f, 2);
    memcpy(&fsw, f + 2, 2);
    memcpy(&mxcsr, f + 24, 4);
    put(s, "FCW=%04x FSW=%04x [ST=%u] FTW=%02x MXCSR=%08x\n", fcw, fsw, fsw >> 11 & 7, f[4], mxcsr);
    for (unsigned i = 0; i < 8; i++) {
        unsigned st = (i - (fsw >> 11)) & 7; /* FXSAVE has them from the top of the stack on */
        u64 mantissa;
        u16 top;

        memcpy(&mantissa, f + 32 + 16 * st, 8);
        memcpy(&top, f + 40 + 16 * st, 2);
        put(s, "FPR%u=%016llx %04x%s", i, (unsigned long long)mantissa, top, i & 1 ? "\n" : " ");
    }
    for (unsigned i = 0; i < 8; i++) {
        u64 v[2];

        memcpy(v, f + 160 + 16 * i, 16);
        put(s, "XMM%02u=%016llx %016llx%s", i, (unsigned long long)v[1], (unsigned long long)v[0],
            i & 1 ? "\n" : " ");
    }
}

static void info_registers(struct machine *m, struct sink *s)
{
    static const char names[][3] = {"ES", "CS", "SS", "DS", "FS", "GS"};
    static const char flags[] = "DOSZAPC";
    static const u8 flag_bits[] = {10, 11, 7, 6, 4, 2, 0};
    const struct cpu *c = &m->vm.cpu;
    u32 efl = cpu_eflags(c);
    char text[8] = "";

    for (unsigned i = 0; i < 7; i++)
        text[i] = efl >> flag_bits[i] & 1 ? flags[i] : '-';
    put(s, "\nCPU#0\nEAX=%08x EBX=%08x ECX=%08x EDX=%08x\nESI=%08x EDI=%08x EBP=%08x ESP=%08x\n", c->gpr[R_EAX],
        c->gpr[R_EBX], c->gpr[R_ECX], c->gpr[R_EDX], c->gpr[R_ESI], c->gpr[R_EDI], c->gpr[R_EBP],
        c->gpr[R_ESP]);
    put(s, "EIP=%08x EFL=%08x [%s] CPL=%u II=%u A20=%u SMM=0 HLT=%u\n", c->eip, efl, text, c->cpl,
        c->inhibit ? 1 : 0, !m->vm.a20_off, c->halted ? 1 : 0);
    for (unsigned i = 0; i < SEG_COUNT; i++)
        put_segment(s, m, names[i], c->seg[i].sel, c->seg_base[i], c->seg[i].limit, c->seg[i].attr);
    put_segment(s, m, "LDT", c->ldtr.sel, c->ldtr.base, c->ldtr.limit, c->ldtr.attr);
    put_segment(s, m, "TR", c->tr.sel, c->tr.base, c->tr.limit, c->tr.attr);
    put(s, "GDT=     %08x %08x\nIDT=     %08x %08x\n", c->gdtr.base, c->gdtr.limit, c->idtr.base,
        c->idtr.limit);
    put(s, "CR0=%08x CR2=%08x CR3=%08x CR4=%08x\n", c->cr0, c->cr2, c->cr3, c->cr4);
    put(s, "DR0=%08x DR1=%08x DR2=%08x DR3=%08x\nDR6=%08x DR7=%08x\n", c->dr[0], c->dr[1], c->dr[2], c->dr[3],
        c->dr[6], c->dr[7]);
    put(s, "EFER=%016llx\n", (unsigned long long)c->efer);
    put_fpu(s, c);
}

/* ---- page tables ---- */

struct range {
    u64 start;
    unsigned prot; /* 0: not in one */
};

struct tables {
    struct machine *m;
    struct sink *s;
    bool pages; /* each page (tlb), or ranges (mem) */
    struct range range;
};

#define PTE_P 1u
#define PTE_RW 2u
#define PTE_US 4u
#define PTE_PS 0x80u
#define PTE_NX (1ull << 63)

/* An entry of `size` bytes; 0 where there is no memory. */
static u64 entry(struct tables *t, u64 table, unsigned n, unsigned size)
{
    const u8 *p = mmu_ptr(t->m->vm.mmu, table + n * size, NULL);
    u64 v = 0;

    if (p)
        memcpy(&v, p, size);
    return v;
}

static void end_range(struct tables *t, u64 at)
{
    struct range *r = &t->range;

    if (r->prot)
        put(t->s, "%016llx-%016llx %016llx %c%c%c\n", (unsigned long long)r->start, (unsigned long long)at,
            (unsigned long long)(at - r->start), r->prot & PTE_US ? 'u' : '-', 'r',
            r->prot & PTE_RW ? 'w' : '-');
    r->prot = 0;
}

static void leaf(struct tables *t, u64 lin, u64 pte, u64 mask, unsigned rights)
{
    unsigned prot = pte & PTE_P ? ((unsigned)pte & rights & (PTE_RW | PTE_US)) | PTE_P : 0;

    if (t->pages) {
        if (prot)
            put(t->s, "%016llx: %016llx %c%c%c%c%c%c%c%c%c\n", (unsigned long long)lin,
                (unsigned long long)(pte & mask), pte & PTE_NX ? 'X' : '-', pte & 0x100 ? 'G' : '-',
                pte & PTE_PS ? 'P' : '-', pte & 0x40 ? 'D' : '-', pte & 0x20 ? 'A' : '-',
                pte & 0x10 ? 'C' : '-', pte & 8 ? 'T' : '-', pte & PTE_US ? 'U' : '-',
                pte & PTE_RW ? 'W' : '-');
        return;
    }
    if (prot == t->range.prot)
        return;
    end_range(t, lin);
    t->range = (struct range){lin, prot};
}

/* A page directory that maps from lin on: entries of `size` bytes, each for `bytes`. */
static void directory(struct tables *t, u64 table, unsigned size, u64 lin, unsigned rights, bool large)
{
    const u64 frame = size == 8 ? 0xffffffffff000ull : 0xfffff000ull;
    unsigned entries = 4096 / size;
    u64 bytes = (u64)entries * 4096;

    for (unsigned i = 0; i < entries && t->s->at < t->s->bytes; i++, lin += bytes) {
        u64 pde = entry(t, table, i, size);

        if (!(pde & PTE_P)) {
            leaf(t, lin, 0, 0, 0);
            continue;
        }
        if (large && (pde & PTE_PS)) {
            leaf(t, lin, pde, frame & ~(bytes - 1), rights);
            continue;
        }
        for (unsigned k = 0; k < entries; k++)
            leaf(t, lin + k * 4096ull, entry(t, pde & frame, k, size) & ~(u64)(t->pages ? 0 : PTE_PS), frame,
                 rights & (unsigned)pde);
    }
}

static void info_tables(struct machine *m, struct sink *s, bool pages)
{
    const struct mmu_regime *r = &m->vm.regime;
    struct tables t = {.m = m, .s = s, .pages = pages};

    if (!r->paging) {
        put(s, "PG disabled\n");
        return;
    }
    if (r->pae)
        for (unsigned i = 0; i < 4; i++) {
            u64 pdpte = entry(&t, r->cr3 & ~31u, i, 8);

            if (pdpte & PTE_P)
                directory(&t, pdpte & 0xffffffffff000ull, 8, (u64)i << 30, ~0u, true);
            else
                leaf(&t, (u64)i << 30, 0, 0, 0);
        }
    else
        directory(&t, r->cr3 & ~4095u, 4, 0, ~0u, r->pse);
    end_range(&t, 1ull << 32);
}

/* ---- memory map ---- */

static void info_memory_map(struct machine *m, struct sink *s)
{
    static const char *const names[] = {
        [MMU_NONE] = "devices or nothing", [MMU_RAM] = "RAM", [MMU_ROM] = "ROM"};
    u64 end = 1ull << 32, start = 0;
    enum mmu_backing kind = MMU_NONE, last = MMU_RAM;

    put(s, "memory:\n");
    for (u64 at = 0; at <= end; at += PAGE_BYTES) {
        if (at == m->ram_bytes && at < 0xfe000000) /* nothing but devices up to the BIOS: not page by page */
            at = 0xfe000000;
        kind = MMU_NONE;
        if (at < end && !mmu_ptr(m->vm.mmu, at, &kind))
            kind = MMU_NONE;
        if (at < end && kind == last)
            continue;
        if (at > start)
            put(s, "  %016llx-%016llx %s\n", (unsigned long long)start,
                (unsigned long long)((start < m->ram_bytes && at > m->ram_bytes ? m->ram_bytes : at) - 1),
                names[last]);
        start = start < m->ram_bytes && at > m->ram_bytes ? m->ram_bytes : at;
        last = kind;
    }
}

/* ---- the two doors ---- */

struct info_call {
    struct machine *m;
    const char *what;
    char *buf;
    size_t bytes, n;
};

static void info_here(void *opaque)
{
    struct info_call *i = opaque;
    struct sink s = {i->buf, i->bytes, 0};

    bt_fpu_save(&i->m->vm.cpu);
    if (!strcmp(i->what, "registers"))
        info_registers(i->m, &s);
    else if (!strcmp(i->what, "mem") || !strcmp(i->what, "tlb"))
        info_tables(i->m, &s, i->what[0] == 't');
    else if (!strcmp(i->what, "mtree"))
        info_memory_map(i->m, &s);
    else if (!strcmp(i->what, "stats") || !strcmp(i->what, "jit"))
        s.at = novt_vm_stats(&i->m->vm, false, i->buf, i->bytes);
    if (s.at < s.bytes)
        s.at += pc_info(i->m->vm.pc, i->what, s.buf + s.at, s.bytes - s.at);
    i->n = s.at;
}

size_t novt_vm_info(struct novt_vm *vm, const char *what, char *buf, size_t bytes)
{
    struct info_call i = {.m = machine_of(vm), .what = what, .buf = buf, .bytes = bytes};

    if (!bytes)
        return 0;
    buf[0] = 0;
    novt_vm_call(vm, info_here, &i);
    return i.n;
}

int novt_vm_inspect(struct novt_vm *vm, bool linear, uint64_t addr, void *buf, size_t len)
{
    return gdb_mem_read(vm, !linear, addr, buf, len);
}
