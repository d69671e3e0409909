/*
 * vm_state.c - registers and memory of a machine that does not run, and the register dump.
 *
 * For embedders and tests. The dump also runs in a signal handler after a bug of ours, so it formats by
 * hand-sized pieces on the stack and uses write() alone.
 */
#include "monitor/machine.h"
#include "monitor/sys.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct novt_segment segment_out(const struct cpu *cpu, unsigned seg)
{
    const struct cpu_seg *s = &cpu->seg[seg];

    return (struct novt_segment){s->sel, s->attr, cpu->seg_base[seg], s->limit};
}

void novt_vm_get_regs(const struct novt_vm *vm, struct novt_regs *regs)
{
    const struct cpu *c = &vm->cpu;

    memset(regs, 0, sizeof(*regs));
    memcpy(regs->gpr, c->gpr, sizeof(regs->gpr));
    regs->eip = c->eip;
    regs->eflags = cpu_eflags(c);
    for (unsigned i = 0; i < SEG_COUNT; i++)
        regs->seg[i] = segment_out(c, i);
    regs->ldtr = (struct novt_segment){c->ldtr.sel, c->ldtr.attr, c->ldtr.base, c->ldtr.limit};
    regs->tr = (struct novt_segment){c->tr.sel, c->tr.attr, c->tr.base, c->tr.limit};
    regs->gdtr_base = c->gdtr.base;
    regs->gdtr_limit = c->gdtr.limit;
    regs->idtr_base = c->idtr.base;
    regs->idtr_limit = c->idtr.limit;
    regs->cr0 = c->cr0;
    regs->cr2 = c->cr2;
    regs->cr3 = c->cr3;
    regs->cr4 = c->cr4;
    regs->efer = c->efer;
    regs->cpl = c->cpl;
}

void novt_vm_set_regs(struct novt_vm *vm, const struct novt_regs *regs)
{
    struct cpu *c = &vm->cpu;

    memcpy(c->gpr, regs->gpr, sizeof(c->gpr));
    c->eip = regs->eip;
    cpu_eflags_set(c, regs->eflags);
    for (unsigned i = 0; i < SEG_COUNT; i++) {
        c->seg[i] = (struct cpu_seg){regs->seg[i].limit, regs->seg[i].sel, regs->seg[i].attr};
        c->seg_base[i] = regs->seg[i].base;
        c->seg_limit[i] = regs->seg[i].limit;
    }
    c->ldtr = (struct cpu_sysseg){regs->ldtr.base, regs->ldtr.limit, regs->ldtr.sel, regs->ldtr.attr};
    c->tr = (struct cpu_sysseg){regs->tr.base, regs->tr.limit, regs->tr.sel, regs->tr.attr};
    c->gdtr = (struct cpu_table){regs->gdtr_base, regs->gdtr_limit};
    c->idtr = (struct cpu_table){regs->idtr_base, regs->idtr_limit};
    c->cr0 = regs->cr0;
    c->cr2 = regs->cr2;
    c->cr3 = regs->cr3;
    c->cr4 = regs->cr4;
    c->efer = regs->efer;
    c->cpl = regs->cpl & 3;
    c->halted = 0;
    if ((c->cr0 & CR0_PG) && (c->cr4 & CR4_PAE))
        (void)!mon_load_pdptes(c, c->cr3); /* impossible ones: those from before stay */
    mon_state_changed(c);
    mon_flush(c, true);
    mon_state_changed(c);
}

/* Pieces of [gpa, gpa + len) page by page; write: into the guest. */
static int copy_memory(struct novt_vm *vm, u64 gpa, u8 *buf, size_t len, bool write)
{
    if (gpa > UINT32_MAX || len > (1ull << 32) - gpa)
        return -EFAULT;
    for (u64 at = gpa & ~(u64)PAGE_MASK; at < gpa + len; at += PAGE_BYTES)
        if (!mmu_ptr(vm->mmu, at, NULL))
            return -EFAULT;
    while (len) {
        size_t n = min_u64(len, PAGE_BYTES - (gpa & PAGE_MASK));
        u8 *p = mmu_ptr(vm->mmu, gpa, NULL);

        if (write) {
            mon_code_written(vm, gpa, (u32)n);
            memcpy(p, buf, n);
        } else {
            memcpy(buf, p, n);
        }
        buf += n;
        gpa += n;
        len -= n;
    }
    return 0;
}

int novt_vm_read_memory(struct novt_vm *vm, uint64_t gpa, void *buf, size_t len)
{
    return copy_memory(vm, gpa, buf, len, false);
}

int novt_vm_write_memory(struct novt_vm *vm, uint64_t gpa, const void *buf, size_t len)
{
    return copy_memory(vm, gpa, (u8 *)(uintptr_t)buf, len, true);
}

static void put(int fd, const char *text)
{
    size_t len = strlen(text);

    while (len) {
        ssize_t n = write(fd, text, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        text += n;
        len -= (size_t)n;
    }
}

static void dump_code(const struct novt_vm *vm, int fd)
{
    const struct cpu *c = &vm->cpu;
    char line[128];
    size_t at = (size_t)snprintf(line, sizeof(line), "code");
    struct mmu_info info;
    u32 lin = c->seg_base[SEG_CS] + c->eip;

    /* Only when a walk has no side effect: paging off, or the regime is that of the current window. */
    if (vm->regime.paging && !vm->win)
        return;
    if (mmu_walk(vm->mmu, NULL, &vm->regime, MMU_SUPER, lin, MMU_FETCH, &info) != MMU_OK)
        return;
    for (unsigned i = 0; i < 16; i++) {
        const u8 *p = mmu_ptr(vm->mmu, info.gpa + i, NULL);

        if (!p || ((info.gpa + i) ^ info.gpa) >> PAGE_SHIFT)
            break;
        at += (size_t)snprintf(line + at, sizeof(line) - at, " %02x", *p);
    }
    put(fd, line);
    put(fd, "\n");
}

void mon_dump_cpu(const struct novt_vm *vm, int fd)
{
    static const char seg_names[][3] = {"es", "cs", "ss", "ds", "fs", "gs"};
    const struct cpu *c = &vm->cpu;
    char line[192];

    snprintf(line, sizeof(line), "eax %08x ebx %08x ecx %08x edx %08x\nesi %08x edi %08x ebp %08x esp %08x\n",
             c->gpr[R_EAX], c->gpr[R_EBX], c->gpr[R_ECX], c->gpr[R_EDX], c->gpr[R_ESI], c->gpr[R_EDI],
             c->gpr[R_EBP], c->gpr[R_ESP]);
    put(fd, line);
    snprintf(line, sizeof(line), "eip %08x eflags %08x cpl %u%s%s\n", c->eip, cpu_eflags(c), c->cpl,
             c->sysflags & EFL_VM ? " v86"
             : c->cr0 & CR0_PE    ? ""
                                  : " real",
             c->halted ? " halted" : "");
    put(fd, line);
    for (unsigned i = 0; i < SEG_COUNT; i++) {
        snprintf(line, sizeof(line), "%s  %04x base %08x limit %08x attr %04x\n", seg_names[i], c->seg[i].sel,
                 c->seg_base[i], c->seg[i].limit, c->seg[i].attr);
        put(fd, line);
    }
    snprintf(line, sizeof(line), "ldt %04x base %08x limit %08x\ntr  %04x base %08x limit %08x\n",
             c->ldtr.sel, c->ldtr.base, c->ldtr.limit, c->tr.sel, c->tr.base, c->tr.limit);
    put(fd, line);
    snprintf(line, sizeof(line), "gdt base %08x limit %04x  idt base %08x limit %04x\n", c->gdtr.base,
             c->gdtr.limit, c->idtr.base, c->idtr.limit);
    put(fd, line);
    snprintf(line, sizeof(line), "cr0 %08x cr2 %08x cr3 %08x cr4 %08x efer %llx\n", c->cr0, c->cr2, c->cr3,
             c->cr4, (unsigned long long)c->efer);
    put(fd, line);
    snprintf(line, sizeof(line), "last exception %u error %x, last exit %u\n", c->exc_vector, c->exc_error,
             c->exit_kind);
    put(fd, line);
    dump_code(vm, fd);
}

void novt_vm_dump(const struct novt_vm *vm, int fd)
{
    mon_dump_cpu(vm, fd);
}
