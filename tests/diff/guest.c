/*
 * guest.c - the program in NoVT: a CPL 3 task under PAE paging, with the pages and segments that
 * native.c has.
 *
 * The machine has no firmware. Every gate of the IDT leads to a HLT of its own with interrupts off, so each
 * exception stops the machine, and delivery is tested with it: the event is the frame on the ring 0 stack. To go on,
 * CS:EIP, SS:ESP and the flags are put back here. Guest-physical memory is drawn at the constants.
 */
#include <stdio.h>
#include <string.h>

#include "monitor/monitor.h"
#include "novt.h"
#include "tests/diff/diff.h"

/* Below 20000h the machine's own, seen at KERNEL_GVA; the program's pages from USER_GPA on. */
#define PDPT_GPA 0x1000u
#define PD_GPA 0x2000u /* four */
#define PT_GPA 0x6000u /* one a region, and the kernel's */
#define GDT_GPA 0x10000u
#define IDT_GPA 0x11000u
#define TSS_GPA 0x12000u
#define LDT_GPA 0x13000u
#define STUB_GPA 0x14000u /* 256 of 16 bytes */
#define STACK_END_GPA 0x17000u
#define KERNEL_GVA 0x6b8e0000u /* nothing that random operands look like */
#define KERNEL_BYTES 0x20000u
#define USER_GPA 0x100000u
#define GUEST_RAM_BYTES (8u << 20)

#define PTE_P 1ull
#define PTE_W 2ull
#define PTE_U 4ull
#define PTE_AD 0x60ull
#define PTE_NX (1ull << 63)

#define SEL_KERNEL_CS 0x08
#define SEL_KERNEL_DS 0x10
#define SEL_TSS 0x40 /* as Linux has them */
#define SEL_LDT_SYS 0x50

static struct novt_vm *vm;
static struct novt_regs template;
static bool stepping;

/* limit in pages when attr has G. */
static u64 descriptor(u32 base, u32 limit, u16 attr)
{
    u64 lim = attr & SEG_ATTR_G ? limit >> 12 : limit;

    return (lim & 0xffff) | (u64)(base & 0xffffff) << 16 | (u64)attr << 40 | (lim >> 16 & 15) << 48 |
           (u64)(base >> 24) << 56;
}

static u16 attributes(const struct diff_descriptor *d)
{
    u16 attr = SEG_ATTR_DPL | SEG_ATTR_S | SEG_ATTR_ACCESSED;

    if (!d->absent)
        attr |= SEG_ATTR_P;
    if (d->code)
        attr |= SEG_ATTR_CODE;
    if (d->rw)
        attr |= SEG_ATTR_RW;
    if (d->down)
        attr |= SEG_ATTR_DC;
    if (d->big)
        attr |= SEG_ATTR_D;
    if (d->pages)
        attr |= SEG_ATTR_G;
    return attr;
}

static void put(u32 gpa, const void *p, size_t n)
{
    if (novt_vm_write_memory(vm, gpa, p, n))
        fprintf(stderr, "diff: no guest memory at %x\n", gpa);
}

static void put64(u32 gpa, u64 v)
{
    put(gpa, &v, 8);
}

static void map(unsigned table, u32 gva, u32 gpa, u32 pages, u64 bits)
{
    u32 pt = PT_GPA + table * PAGE_BYTES;

    put64(PD_GPA + (gva >> 30) * PAGE_BYTES + (gva >> 21 & 511) * 8, pt | PTE_P | PTE_W | PTE_U | PTE_AD);
    for (u32 i = 0; i < pages; i++)
        put64(pt + ((gva >> 12 & 511) + i) * 8, (gpa + i * PAGE_BYTES) | PTE_P | PTE_AD | bits);
}

static void make_paging(void)
{
    for (unsigned i = 0; i < 4; i++)
        put64(PDPT_GPA + 8 * i, (PD_GPA + i * PAGE_BYTES) | PTE_P);
    map(0, KERNEL_GVA, 0, KERNEL_BYTES / PAGE_BYTES, PTE_W);
    for (unsigned i = 0; i < diff_region_count; i++) {
        const struct diff_region *r = &diff_regions[i];
        /* Neighbours in one 2 MiB range share a table. */
        unsigned table = i + 1u - (i && r->gva >> 21 == diff_regions[i - 1].gva >> 21);

        map(table, r->gva, USER_GPA + r->at * PAGE_BYTES, r->pages,
            PTE_U | (r->write ? PTE_W : 0) | (r->exec ? 0 : PTE_NX));
    }
}

static void make_tables(void)
{
    struct diff_descriptor d;
    u32 esp0 = KERNEL_GVA + STACK_END_GPA, ss0 = SEL_KERNEL_DS, no_io_map = 0xffff0000;

    put64(GDT_GPA + SEL_KERNEL_CS, descriptor(0, 0xffffffff, SEG_ATTR_G | SEG_ATTR_D | 0x9b));
    put64(GDT_GPA + SEL_KERNEL_DS, descriptor(0, 0xffffffff, SEG_ATTR_G | SEG_ATTR_D | 0x93));
    diff_descriptor(SEL_CS_FLAT, &d);
    put64(GDT_GPA + (SEL_CS_FLAT & ~7u), descriptor(d.base, d.limit, attributes(&d)));
    diff_descriptor(SEL_DS_FLAT, &d);
    put64(GDT_GPA + (SEL_DS_FLAT & ~7u), descriptor(d.base, d.limit, attributes(&d)));
    put64(GDT_GPA + SEL_TSS, descriptor(KERNEL_GVA + TSS_GPA, 0x67, 0x8b));
    put64(GDT_GPA + SEL_LDT_SYS, descriptor(KERNEL_GVA + LDT_GPA, LDT_COUNT * 8 - 1, 0x82));
    put(TSS_GPA + 4, &esp0, 4);
    put(TSS_GPA + 8, &ss0, 4);
    put(TSS_GPA + 0x64, &no_io_map, 4);
    for (u32 v = 0; v < 256; v++) {
        u32 stub = KERNEL_GVA + STUB_GPA + v * 16;
        u64 dpl = v == EXC_BP || v == EXC_OF ? 0xee00 : 0x8e00;
        static const u8 halt[] = {0xf4, 0xeb, 0xfd};

        put64(IDT_GPA + v * 8, (stub & 0xffff) | SEL_KERNEL_CS << 16 | dpl << 32 | (u64)(stub >> 16) << 48);
        put(STUB_GPA + v * 16, halt, sizeof(halt));
    }
}

static void load_ldt(u64 seed)
{
    static u64 loaded;
    static bool any;
    const struct diff_descriptor *d = diff_ldt(seed);
    u64 bytes[LDT_COUNT] = {0};

    if (any && loaded == seed)
        return;
    for (unsigned i = 0; i < LDT_COUNT; i++)
        if (i != LDT_R_EMPTY)
            bytes[i] = descriptor(d[i].base, d[i].limit, attributes(&d[i]));
    put(LDT_GPA, bytes, sizeof(bytes));
    loaded = seed;
    any = true;
}

static struct novt_segment segment(u16 sel)
{
    struct diff_descriptor d;

    if (!(sel & ~3) || !diff_descriptor(sel, &d))
        return (struct novt_segment){sel, 0, 0, 0};
    return (struct novt_segment){sel, attributes(&d), d.base, d.limit};
}

static void make_template(void)
{
    struct novt_regs *r = &template;

    novt_vm_get_regs(vm, r);
    r->gdtr_base = KERNEL_GVA + GDT_GPA;
    r->gdtr_limit = 0x7f;
    r->idtr_base = KERNEL_GVA + IDT_GPA;
    r->idtr_limit = 0x7ff;
    r->tr = (struct novt_segment){SEL_TSS, 0x8b, KERNEL_GVA + TSS_GPA, 0x67};
    r->ldtr = (struct novt_segment){SEL_LDT_SYS, 0x82, KERNEL_GVA + LDT_GPA, LDT_COUNT * 8 - 1};
    r->cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_PG;
    r->cr3 = PDPT_GPA;
    r->cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT; /* no DE: makers differ on which fault DR4 gives first */
    r->efer = 1u << 11;                             /* NXE */
    r->cpl = 3;
}

int guest_init(const struct diff_guest_options *opt)
{
    struct novt_config cfg = {
        .ram_bytes = GUEST_RAM_BYTES,
        .cpu = "max",
        .vgabios = "",
        .no_firmware = true,
        .no_reboot = true,
        .stress = opt->stress,
        .engine = opt->engine,
    };
    struct novt_error err;
    int rc = novt_vm_new(&vm, &cfg, &err);

    if (rc) {
        fprintf(stderr, "diff: %s; %s\n", err.cause, err.remedy);
        return rc;
    }
    stepping = opt->step;
    make_paging();
    make_tables();
    make_template();
    return 0;
}

void guest_fini(void)
{
    novt_vm_free(vm);
    vm = NULL;
}

void guest_stats(void)
{
    static char text[16384];

    if (novt_vm_stats(vm, false, text, sizeof(text)))
        fputs(text, stdout);
}

u32 guest_features(void)
{
    return vm->cpu.features;
}

void guest_tick(void)
{
    if (vm)
        mon_stop(vm, STOP_QUIT, 1);
}

static void load_memory(const struct diff_memory *m)
{
    for (unsigned i = 0; i < ALL_PAGES; i++) {
        u32 gpa = USER_GPA + i * PAGE_BYTES;
        const u8 *p = mmu_ptr(vm->mmu, gpa, NULL);

        if (memcmp(p, m->page[i], PAGE_BYTES) != 0)
            put(gpa, m->page[i], PAGE_BYTES);
    }
}

static void put_segment(struct cpu *cpu, unsigned i, const struct novt_segment *s)
{
    cpu->seg[i] = (struct cpu_seg){s->limit, s->sel, s->attr};
    cpu->seg_base[i] = s->base;
    cpu->seg_limit[i] = s->limit;
}

/* The first time all registers go through the API; then only what a run changes, so that windows stay warm. */
static void load_cpu(const struct diff_case *c)
{
    static bool again;
    struct cpu *cpu = &vm->cpu;
    struct novt_regs *r = &template;

    memcpy(r->gpr, c->gpr, sizeof(r->gpr));
    for (unsigned i = 0; i < 6; i++)
        r->seg[i] = segment(c->sel[i]);
    r->eip = CODE_GVA + c->start - r->seg[NOVT_CS].base;
    r->eflags = c->eflags;
    if (!again)
        novt_vm_set_regs(vm, r);
    again = true;
    memcpy(cpu->gpr, r->gpr, sizeof(cpu->gpr));
    for (unsigned i = 0; i < 6; i++)
        put_segment(cpu, i, &r->seg[i]);
    cpu->eip = r->eip;
    cpu_eflags_set(cpu, r->eflags);
    cpu->cpl = 3;
    cpu->halted = 0;
    cpu->inhibit = 0;
    cpu->cr2 = 0;
    if (stepping) { /* DR0 at an address of its own, execute */
        cpu->dr[0] = KERNEL_GVA;
        cpu->dr[7] = 0x402;
    }
    mon_state_changed(cpu);
    bt_fpu_save(cpu);
    memcpy(cpu->fpu, c->fpu, sizeof(cpu->fpu));
    cpu->fpu_ip = cpu->fpu_dp = 0;
    cpu->fpu_opcode = 0;
    cpu->fpu_fresh = 0;
}

static u32 kernel32(u32 gva)
{
    u32 v = 0;

    if (novt_vm_read_memory(vm, gva - KERNEL_GVA, &v, 4))
        return 0;
    return v;
}

/* The exception that led to the stub at EIP, from its frame. */
static void note_event(struct cpu *cpu, int why, struct diff_event *e)
{
    u32 stub = cpu->eip - 1 - (KERNEL_GVA + STUB_GPA), esp = cpu->gpr[R_ESP];
    bool has_error;

    memset(e, 0, sizeof(*e));
    e->vector = why == STOP_QUIT ? DIFF_VECTOR_TIMEOUT : DIFF_VECTOR_TIMEOUT + 3 + (u32)why;
    memcpy(e->gpr, cpu->gpr, sizeof(e->gpr));
    for (unsigned i = 0; i < SEG_COUNT; i++)
        e->sel[i] = cpu->seg[i].sel;
    if (why != STOP_DEAD || stub >= 4096 || stub % 16 != 0)
        return;
    e->vector = stub / 16;
    has_error = e->vector == EXC_DF || (e->vector >= EXC_TS && e->vector <= EXC_PF) || e->vector == EXC_AC;
    e->error = has_error ? kernel32(esp) : 0;
    esp += has_error ? 4 : 0;
    e->eip = kernel32(esp);
    e->sel[SEG_CS] = (u16)kernel32(esp + 4);
    e->eflags = kernel32(esp + 8);
    e->gpr[R_ESP] = kernel32(esp + 12);
    e->sel[SEG_SS] = (u16)kernel32(esp + 16);
    e->cr2 = e->vector == EXC_PF ? cpu->cr2 : 0;
    if (e->vector == EXC_PF && cpu->cr2 - KERNEL_GVA < KERNEL_BYTES)
        e->error &= ~MMU_PF_P; /* nothing is there on the other side */
}

/* Back to ring 3, as a return from the handler: without the pointers to the last x87 instruction. */
static void go_on(struct cpu *cpu, const struct diff_event *e)
{
    struct novt_segment cs = segment(e->sel[SEG_CS]), ss = segment(e->sel[SEG_SS]);

    put_segment(cpu, SEG_CS, &cs);
    put_segment(cpu, SEG_SS, &ss);
    cpu->gpr[R_ESP] = e->gpr[R_ESP];
    cpu->eip = e->eip;
    cpu_eflags_set(cpu, e->eflags);
    cpu->cpl = 3;
    cpu->halted = 0;
    cpu->inhibit = 0;
    bt_fpu_save(cpu);
    memset(cpu->fpu + 6, 0, 18);
    cpu->fpu_ip = cpu->fpu_dp = 0;
    cpu->fpu_opcode = 0;
    cpu->fpu_fresh = 0;
    mon_state_changed(cpu);
}

void guest_run(const struct diff_case *c, const struct diff_memory *start, struct diff_state *out)
{
    struct cpu *cpu = &vm->cpu;
    struct diff_event next;

    load_ldt(c->ldt_seed);
    load_memory(start);
    load_cpu(c);
    out->n = 0;
    vm->stop = STOP_NONE;
    if (bt_thread_init(vm->bt)) {
        fprintf(stderr, "diff: signals cannot be set up\n");
        return;
    }
    for (;;) {
        struct diff_event *e = &out->event[out->n++];
        int why = mon_run(vm);

        note_event(cpu, why, e);
        next = *e;
        vm->stop = STOP_NONE;
        if (!diff_resume(c, &next, out->n))
            break;
        go_on(cpu, &next);
    }
    bt_thread_fini(vm->bt);
    bt_fpu_save(cpu);
    memcpy(out->fpu, cpu->fpu, sizeof(out->fpu));
    for (unsigned i = 0; i < ALL_PAGES; i++)
        memcpy(out->mem.page[i], mmu_ptr(vm->mmu, USER_GPA + i * PAGE_BYTES, NULL), PAGE_BYTES);
}
