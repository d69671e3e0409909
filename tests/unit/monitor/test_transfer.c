/*
 * test_transfer.c - far transfers, call gates, SYSENTER, task switches.
 */
#include "sysmachine.h"

TestSuite(transfer, .fini = sys_free);

#define FAR_JMP(sel, off) \
    RUN(0xea, (off)&0xff, (off) >> 8 & 0xff, (off) >> 16 & 0xff, (off) >> 24, (sel)&0xff, (sel) >> 8)
#define FAR_CALL(sel, off) \
    RUN(0x9a, (off)&0xff, (off) >> 8 & 0xff, (off) >> 16 & 0xff, (off) >> 24, (sel)&0xff, (sel) >> 8)

Test(transfer, real_mode_call_and_return)
{
    sys_real();
    RUN(0x9a, 0x34, 0x12, 0x00, 0x10); /* call 1000h:1234h */
    cr_expect_eq(cpu->seg[SEG_CS].sel, 0x1000);
    cr_expect_eq(cpu->eip, 0x1234);
    cr_expect_eq(cpu->gpr[R_ESP], STACK - 4);
    cr_expect_eq(sys_peek16(STACK - 4), CODE_AT + 5);
    RUN(0xca, 0x02, 0x00); /* retf 2 */
    cr_expect_eq(cpu->eip, CODE_AT + 5);
    cr_expect_eq(cpu->gpr[R_ESP], STACK + 2);
    RUN(0x66, 0xea, 0, 0, 1, 0, 0, 0); /* jmp 0:10000h */
    EXPECT_FAULT(EXC_GP, 0);
}

struct jump_case {
    u8 cpl;
    u16 sel;
    u32 off;
    u8 vector; /* 0xff: goes */
    u16 error;
};

Test(transfer, jump_checks)
{
    static const struct jump_case c[] = {
        {0, S_CODE0, 0x5000, 0xff, 0},
        {0, S_CODE0 | 3, 0x5000, EXC_GP, S_CODE0},
        {0, S_CODE3, 0x5000, EXC_GP, S_CODE3 & ~3},
        {0, S_CODE3 & ~3, 0x5000, EXC_GP, S_CODE3 & ~3},
        {3, S_CODE3, 0x5000, 0xff, 0},
        {3, S_CODE3 & ~3, 0x5000, 0xff, 0},
        {3, S_CODE0, 0x5000, EXC_GP, S_CODE0},
        {3, S_CONF, 0x5000, 0xff, 0},
        {0, S_DATA0, 0x5000, EXC_GP, S_DATA0},
        {0, 0, 0x5000, EXC_GP, 0},
        {0, S_GDT_END, 0x5000, EXC_GP, S_GDT_END},
        {0, S_ABSCODE, 0x5000, EXC_NP, S_ABSCODE},
        {0, S_CODE16, 0x10000, EXC_GP, 0},
        {0, S_LDT, 0, EXC_GP, S_LDT},
        {0, S_TSS, 0, EXC_GP, S_TSS},   /* busy */
        {3, S_TSS2, 0, EXC_GP, S_TSS2}, /* DPL 0 */
    };
    for (size_t i = 0; i < ARRAY_SIZE(c); i++) {
        sys_protected(c[i].cpl);
        FAR_JMP(c[i].sel, c[i].off);
        if (c[i].vector == 0xff) {
            cr_expect_eq(cpu->eip, c[i].off, "case %zu", i);
            cr_expect_eq(cpu->seg[SEG_CS].sel, (c[i].sel & ~3) | c[i].cpl, "case %zu", i);
            cr_expect_eq(cpu->cpl, c[i].cpl);
        } else {
            cr_expect_eq(cpu->exc_vector, c[i].vector, "case %zu: %u", i, cpu->exc_vector);
            cr_expect_eq(cpu->exc_error, c[i].error, "case %zu: %x", i, cpu->exc_error);
            cr_expect_eq(cpu->eip, CODE_AT);
        }
        if (i + 1 < ARRAY_SIZE(c))
            sys_free();
    }
}

Test(transfer, call_gate_inner)
{
    sys_protected(3);
    sys_poke(STACK, 0x11111111);
    sys_poke(STACK + 4, 0x22222222);
    FAR_CALL(S_GATE, 0xdeadbeef);
    cr_expect_eq(cpu->cpl, 0);
    cr_expect_eq(cpu->eip, HANDLER_AT);
    cr_expect_eq(cpu->seg[SEG_CS].sel, S_CODE0);
    cr_expect_eq(cpu->gpr[R_ESP], STACK0 - 24);
    cr_expect_eq(sys_peek(STACK0 - 4), S_DATA3);
    cr_expect_eq(sys_peek(STACK0 - 8), STACK);
    cr_expect_eq(sys_peek(STACK0 - 12), 0x22222222);
    cr_expect_eq(sys_peek(STACK0 - 16), 0x11111111);
    cr_expect_eq(sys_peek(STACK0 - 20), S_CODE3);
    cr_expect_eq(sys_peek(STACK0 - 24), CODE_AT + 7);
    RUN(0xca, 0x08, 0x00); /* retf 8 */
    cr_expect_eq(cpu->cpl, 3);
    cr_expect_eq(cpu->eip, CODE_AT + 7);
    cr_expect_eq(cpu->gpr[R_ESP], STACK + 8);
    cr_expect_eq(cpu->seg[SEG_SS].sel, S_DATA3);
}

Test(transfer, call_gate16)
{
    sys_protected(3);
    sys_poke16(STACK, 0x7777);
    FAR_CALL(S_GATE16, 0);
    cr_expect_eq(cpu->cpl, 0);
    cr_expect_eq(cpu->gpr[R_ESP], STACK0 - 10);
    cr_expect_eq(sys_peek16(STACK0 - 6), 0x7777);
}

Test(transfer, gate_faults)
{
    sys_protected(3);
    sys_set_desc(S_GATE, sys_gate(S_CODE0, HANDLER_AT, 0x8c, 0)); /* DPL 0 */
    FAR_CALL(S_GATE, 0);
    EXPECT_FAULT(EXC_GP, S_GATE);
    sys_set_desc(S_GATE, sys_gate(S_CODE0, HANDLER_AT, 0x6c, 0)); /* not present */
    FAR_CALL(S_GATE, 0);
    EXPECT_FAULT(EXC_NP, S_GATE);
    sys_set_desc(S_GATE, sys_gate(0, HANDLER_AT, 0xec, 0));
    FAR_CALL(S_GATE, 0);
    EXPECT_FAULT(EXC_GP, 0);
    sys_set_desc(S_GATE, sys_gate(S_DATA0, HANDLER_AT, 0xec, 0));
    FAR_CALL(S_GATE, 0);
    EXPECT_FAULT(EXC_GP, S_DATA0);
    sys_set_desc(S_GATE, sys_gate(S_CODE0, HANDLER_AT, 0xec, 0));
    FAR_JMP(S_GATE, 0); /* JMP does not change rings */
    EXPECT_FAULT(EXC_GP, S_CODE0);
    sys_poke(TSS_AT + 8, S_ABSENT);
    FAR_CALL(S_GATE, 0);
    EXPECT_FAULT(EXC_SS, S_ABSENT);
    cr_expect_eq(cpu->cpl, 3);
    cr_expect_eq(cpu->gpr[R_ESP], STACK);
}

Test(transfer, sysenter_and_back)
{
    sys_protected(3);
    RUN(0x0f, 0x34);
    EXPECT_FAULT(EXC_GP, 0);
    cpu->sysenter_cs = S_CODE0;
    cpu->sysenter_esp = 0x7000;
    cpu->sysenter_eip = 0x5000;
    cpu->iflag = 1;
    RUN(0x0f, 0x34);
    cr_expect_eq(cpu->cpl, 0);
    cr_expect_eq(cpu->eip, 0x5000);
    cr_expect_eq(cpu->gpr[R_ESP], 0x7000);
    cr_expect_eq(cpu->seg[SEG_SS].sel, S_DATA0);
    cr_expect_eq(cpu->iflag, 0);
    cr_expect_eq(MODE_SEGC(cpu->mode, SEG_SS), SEGC_FLAT);
    cpu->gpr[R_ECX] = 0x8800;
    cpu->gpr[R_EDX] = 0x1100;
    RUN(0x0f, 0x35);
    cr_expect_eq(cpu->cpl, 3);
    cr_expect_eq(cpu->seg[SEG_CS].sel, S_CODE3);
    cr_expect_eq(cpu->seg[SEG_SS].sel, S_DATA3);
    cr_expect_eq(cpu->gpr[R_ESP], 0x8800);
    cr_expect_eq(cpu->eip, 0x1100);
    RUN(0x0f, 0x35);
    EXPECT_FAULT(EXC_GP, 0);
}

/* ---- tasks ---- */

static void make_tss32(u32 eflags, u32 cr3)
{
    for (u32 i = 0; i < 0x68; i += 4)
        sys_poke(TSS2_AT + i, 0);
    sys_poke(TSS2_AT + 0x1c, cr3);
    sys_poke(TSS2_AT + 0x20, HANDLER_AT);
    sys_poke(TSS2_AT + 0x24, eflags);
    for (u32 i = 0; i < 8; i++)
        sys_poke(TSS2_AT + 0x28 + i * 4, 0x1000 + i);
    sys_poke(TSS2_AT + 0x38, 0x7800); /* ESP */
    sys_poke(TSS2_AT + 0x48, S_DATA0);
    sys_poke(TSS2_AT + 0x4c, S_CODE0);
    sys_poke(TSS2_AT + 0x50, S_DATA0);
    sys_poke(TSS2_AT + 0x54, S_DATA0);
    sys_poke(TSS2_AT + 0x58, S_DATA3);
    sys_poke(TSS2_AT + 0x60, S_LDT);
}

Test(transfer, task_call_and_return)
{
    sys_protected(0);
    make_tss32(EFL_R1 | FL_CF, 0);
    cpu->gpr[R_EBX] = 0xbbbb;
    cpu->flags = FL_ZF;
    FAR_CALL(S_TSS2, 0);
    cr_expect_eq(cpu->tr.sel, S_TSS2);
    cr_expect_eq(cpu->eip, HANDLER_AT);
    cr_expect_eq(cpu->gpr[R_EBX], 0x1003);
    cr_expect_eq(cpu->gpr[R_ESP], 0x7800);
    cr_expect_eq(cpu_eflags(cpu), EFL_R1 | FL_CF | EFL_NT);
    cr_expect(cpu->cr0 & CR0_TS);
    cr_expect_eq(cpu->ldtr.base, LDT_AT);
    cr_expect_eq(cpu->seg[SEG_FS].sel, S_DATA3);
    cr_expect_eq(cpu->seg[SEG_GS].sel, 0);
    cr_expect_eq(sys_peek16(TSS2_AT), S_TSS); /* back link */
    cr_expect_eq(desc_type(sys_get_desc(S_TSS2)), SYS_TSS32_BUSY);
    cr_expect_eq(desc_type(sys_get_desc(S_TSS)), SYS_TSS32_BUSY);
    cr_expect_eq(sys_peek(TSS_AT + 0x20), CODE_AT + 7);
    cr_expect_eq(sys_peek(TSS_AT + 0x24), EFL_R1 | FL_ZF);
    cr_expect_eq(sys_peek(TSS_AT + 0x34), 0xbbbb);
    cr_expect_eq(sys_peek16(TSS_AT + 0x4c), S_CODE0);
    RUN(0xcf); /* iret with NT: back */
    cr_expect_eq(cpu->tr.sel, S_TSS);
    cr_expect_eq(cpu->eip, CODE_AT + 7);
    cr_expect_eq(cpu->gpr[R_EBX], 0xbbbb);
    cr_expect_eq(cpu_eflags(cpu), EFL_R1 | FL_ZF);
    cr_expect_eq(desc_type(sys_get_desc(S_TSS2)), SYS_TSS32);
    cr_expect_eq(sys_peek(TSS2_AT + 0x24), EFL_R1 | FL_CF);
}

Test(transfer, task_jump)
{
    sys_protected(0);
    make_tss32(EFL_R1, 0);
    FAR_JMP(S_TASKGATE, 0);
    cr_expect_eq(cpu->tr.sel, S_TSS2);
    cr_expect_eq(cpu_eflags(cpu), EFL_R1);
    cr_expect_eq(desc_type(sys_get_desc(S_TSS)), SYS_TSS32);
    cr_expect_eq(sys_peek16(TSS2_AT), 0);
}

Test(transfer, task_gate_with_error_code)
{
    sys_protected(0);
    make_tss32(EFL_R1, 0);
    sys_set_gate(EXC_DF, S_TSS2, 0, 0x85);
    mon_deliver(cpu, MON_EXCEPTION, EXC_DF, true, 0, CODE_AT);
    cr_expect_eq(cpu->tr.sel, S_TSS2);
    cr_expect_eq(cpu->gpr[R_ESP], 0x7800 - 4);
    cr_expect_eq(sys_peek(0x7800 - 4), 0);
    cr_expect_eq(sys_peek(TSS_AT + 0x20), CODE_AT);
    cr_expect(cpu->sysflags & EFL_NT);
}

Test(transfer, task16)
{
    sys_protected(0);
    memset(mmu_ptr(vm->mmu, TSS2_AT, NULL), 0, 0x30);
    sys_poke16(TSS2_AT + 0x0e, HANDLER_AT);
    sys_poke16(TSS2_AT + 0x10, EFL_R1);
    sys_poke16(TSS2_AT + 0x12, 0x1234);
    sys_poke16(TSS2_AT + 0x1a, 0x7800);
    sys_poke16(TSS2_AT + 0x22, S_DATA0);
    sys_poke16(TSS2_AT + 0x24, S_CODE16);
    sys_poke16(TSS2_AT + 0x26, S_DATA0);
    sys_poke16(TSS2_AT + 0x28, S_DATA0);
    FAR_JMP(S_TSS16, 0);
    cr_expect_eq(cpu->tr.sel, S_TSS16);
    cr_expect_eq(cpu->eip, HANDLER_AT);
    cr_expect_eq(cpu->gpr[R_EAX] & 0xffff, 0x1234);
    cr_expect_eq(cpu->seg[SEG_CS].sel, S_CODE16);
    cr_expect(!(cpu->mode & MODE_CS32));
    cr_expect_eq(cpu->seg[SEG_FS].sel, 0);
}

Test(transfer, task_to_v86)
{
    sys_protected(0);
    make_tss32(EFL_R1 | EFL_VM, 0);
    sys_poke(TSS2_AT + 0x4c, 0x100);
    FAR_JMP(S_TSS2, 0);
    cr_expect_eq(cpu->cpl, 3);
    cr_expect_eq(cpu->seg_base[SEG_CS], 0x1000);
    cr_expect(cpu->mode & MODE_VM);
}

/* Faults before the switch leave the old task alone; those behind it belong to the new one. */
Test(transfer, task_faults)
{
    sys_protected(0);
    make_tss32(EFL_R1, 0);
    sys_set_desc(S_TSS2, sys_desc(TSS2_AT, 0x66, 0x89));
    FAR_JMP(S_TSS2, 0);
    EXPECT_FAULT(EXC_TS, S_TSS2);
    cr_expect_eq(cpu->eip, CODE_AT);
    cr_expect_eq(cpu->tr.sel, S_TSS);
    sys_set_desc(S_TSS2, sys_desc(TSS2_AT, 0x67, 0x09));
    FAR_JMP(S_TSS2, 0);
    EXPECT_FAULT(EXC_NP, S_TSS2);
    sys_set_desc(S_TSS2, sys_desc(TSS2_AT, 0x67, 0x89));
    sys_poke(TSS2_AT + 0x50, S_RODATA);
    FAR_JMP(S_TSS2, 0);
    EXPECT_FAULT(EXC_TS, S_RODATA);
    cr_expect_eq(cpu->tr.sel, S_TSS2);
    cr_expect_eq(cpu->eip, HANDLER_AT);
}

Test(transfer, nested_return_needs_busy_link)
{
    sys_protected(0);
    cpu->sysflags |= EFL_NT;
    sys_poke(TSS_AT, S_TSS2);
    RUN(0xcf);
    EXPECT_FAULT(EXC_TS, S_TSS2);
    sys_poke(TSS_AT, 0);
    RUN(0xcf);
    EXPECT_FAULT(EXC_TS, 0);
}
