/*
 * test_sysmachine.c - the machine of the tests of privileged semantics (sysmachine.h).
 */
#include "sysmachine.h"

struct novt_vm *vm;
struct cpu *cpu;

u64 sys_desc(u32 base, u32 limit, u32 attr)
{
    return (limit & 0xffff) | (u64)(base & 0xffffff) << 16 | (u64)(attr & 0xf0ff) << 40 |
           (u64)(limit >> 16 & 0xf) << 48 | (u64)(base >> 24) << 56;
}

u64 sys_gate(u16 sel, u32 off, u32 attr, u32 params)
{
    return (off & 0xffff) | (u64)sel << 16 | (u64)params << 32 | (u64)attr << 40 | (u64)(off >> 16) << 48;
}

static u8 *at(u32 lin)
{
    u8 *p = mmu_ptr(vm->mmu, lin, NULL);

    cr_assert(p != NULL);
    return p;
}

u32 sys_peek(u32 lin)
{
    u32 v;

    memcpy(&v, at(lin), 4);
    return v;
}

u16 sys_peek16(u32 lin)
{
    return (u16)sys_peek(lin);
}

void sys_poke(u32 lin, u32 v)
{
    memcpy(at(lin), &v, 4);
}

void sys_poke16(u32 lin, u16 v)
{
    memcpy(at(lin), &v, 2);
}

void sys_set_desc(u16 sel, u64 desc)
{
    memcpy(at(GDT_AT + (sel & 0xfff8)), &desc, 8);
}

u64 sys_get_desc(u16 sel)
{
    u64 d;

    memcpy(&d, at(GDT_AT + (sel & 0xfff8)), 8);
    return d;
}

void sys_set_gate(u8 vector, u16 sel, u32 off, u32 attr)
{
    u64 d = sys_gate(sel, off, attr, 0);

    memcpy(at(IDT_AT + vector * 8u), &d, 8);
}

static void fill_tables(void)
{
    sys_set_desc(S_CODE0, sys_desc(0, 0xfffff, 0xc09b));
    sys_set_desc(S_DATA0, sys_desc(0, 0xfffff, 0xc093));
    sys_set_desc(S_CODE3, sys_desc(0, 0xfffff, 0xc0fb));
    sys_set_desc(S_DATA3, sys_desc(0, 0xfffff, 0xc0f3));
    sys_set_desc(S_TSS, sys_desc(TSS_AT, 0x1ff, 0x008b));
    sys_set_desc(S_RODATA, sys_desc(0, 0xfffff, 0xc091));
    sys_set_desc(S_XCODE, sys_desc(0, 0xfffff, 0xc099));
    sys_set_desc(S_CONF, sys_desc(0, 0xfffff, 0xc09f));
    sys_set_desc(S_ABSENT, sys_desc(0, 0xfffff, 0xc013));
    sys_set_desc(S_DOWN, sys_desc(0, 0xfff, 0x4097));
    sys_set_desc(S_LDT, sys_desc(LDT_AT, 0x17, 0x0082));
    sys_set_desc(S_GATE, sys_gate(S_CODE0, HANDLER_AT, 0xec, 2));
    sys_set_desc(S_TASKGATE, sys_gate(S_TSS2, 0, 0xe5, 0));
    sys_set_desc(S_TSS2, sys_desc(TSS2_AT, 0x67, 0x0089));
    sys_set_desc(S_TSS16, sys_desc(TSS2_AT, 0x2b, 0x0081));
    sys_set_desc(S_CODE16, sys_desc(0, 0xffff, 0x009b));
    sys_set_desc(S_GATE16, sys_gate(S_CODE0, HANDLER_AT, 0xe4, 1));
    sys_set_desc(S_DATA1, sys_desc(0, 0xfffff, 0xc0b3));
    sys_set_desc(S_CODE1, sys_desc(0, 0xfffff, 0xc0bb));
    sys_set_desc(S_SMALL, sys_desc(DATA_AT, 0xfff, 0x4093));
    sys_set_desc(S_ABSCODE, sys_desc(0, 0xfffff, 0xc01b));
    for (unsigned i = 0; i < 256; i++)
        sys_set_gate((u8)i, S_CODE0, HANDLER_AT + i * 4, 0x8e);
    sys_poke(TSS_AT + 4, STACK0);
    sys_poke(TSS_AT + 8, S_DATA0);
    sys_poke(TSS_AT + 12, STACK1);
    sys_poke(TSS_AT + 16, S_DATA1);
    sys_poke16(TSS_AT + 102, 0x200);
}

static void load(unsigned seg, u16 sel)
{
    seg_commit(cpu, seg, sel, sys_get_desc(sel));
}

static void machine(void)
{
    struct novt_config cfg = {.ram_bytes = 1u << 20, .cpu = "max", .vgabios = "", .no_firmware = true};
    struct novt_error err;

    cr_assert_eq(novt_vm_new(&vm, &cfg, &err), 0, "%s", err.cause);
    cpu = &vm->cpu;
    fill_tables();
    cpu->gdtr = (struct cpu_table){GDT_AT, S_GDT_END - 1};
    cpu->idtr = (struct cpu_table){IDT_AT, 0x7ff};
    cpu->tr = (struct cpu_sysseg){TSS_AT, 0x1ff, S_TSS, 0x8b};
    cpu->ldtr = (struct cpu_sysseg){.sel = 0};
    cpu->eip = CODE_AT;
    cpu->gpr[R_ESP] = STACK;
    cpu_eflags_set(cpu, EFL_R1);
    cpu->cr4 = CR4_OSFXSR;
}

void sys_protected(unsigned cpl)
{
    u16 code = cpl == 3 ? S_CODE3 : cpl == 1 ? S_CODE1 : S_CODE0;
    u16 data = cpl == 3 ? S_DATA3 : cpl == 1 ? S_DATA1 : S_DATA0;

    machine();
    cpu->cr0 = CR0_PE | CR0_NE | CR0_ET;
    for (unsigned i = 0; i < SEG_COUNT; i++)
        load(i, i == SEG_CS ? code : data);
    cpu->cpl = (u8)cpl;
    mon_state_changed(cpu);
}

void sys_real(void)
{
    machine();
    cpu->cr0 = CR0_NE | CR0_ET;
    cpu->idtr = (struct cpu_table){0, 0x3ff};
    for (unsigned i = 0; i < SEG_COUNT; i++) {
        cpu->seg[i] = (struct cpu_seg){0xffff, 0, 0x93};
        cpu->seg_base[i] = 0;
    }
    mon_state_changed(cpu);
}

void sys_v86(unsigned iopl)
{
    machine();
    cpu->cr0 = CR0_PE | CR0_NE | CR0_ET;
    cpu->sysflags |= EFL_VM | iopl << 12;
    cpu->cpl = 3;
    for (unsigned i = 0; i < SEG_COUNT; i++)
        seg_load_real(cpu, i, 0);
    mon_state_changed(cpu);
}

void sys_free(void)
{
    novt_vm_free(vm);
}

int sys_run(const u8 *bytes, size_t len)
{
    memcpy(at(cpu->seg_base[SEG_CS] + cpu->eip), bytes, len);
    cpu->exit_kind = BT_EXIT_LOOKUP;
    return mon_step(cpu);
}
