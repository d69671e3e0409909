/*
 * test_interrupt.c - delivery and return: real mode, rings, virtual-8086 mode, faults of delivery, double and triple fault.
 */
#include "sysmachine.h"

TestSuite(interrupt, .fini = sys_free);

Test(interrupt, real_mode)
{
    sys_real();
    sys_poke(0x21 * 4, 0x12340056);
    cpu_eflags_set(cpu, EFL_R1 | EFL_IF | EFL_TF | FL_CF);
    mon_deliver(cpu, MON_EXTERNAL, 0x21, false, 0, 0x1000);
    cr_expect_eq(cpu->seg[SEG_CS].sel, 0x1234);
    cr_expect_eq(cpu->seg_base[SEG_CS], 0x12340);
    cr_expect_eq(cpu->eip, 0x56);
    cr_expect_eq(cpu->gpr[R_ESP], STACK - 6);
    cr_expect_eq(sys_peek16(STACK - 6), 0x1000);
    cr_expect_eq(sys_peek16(STACK - 4), 0);
    cr_expect_eq(sys_peek16(STACK - 2), EFL_R1 | EFL_IF | EFL_TF | FL_CF);
    cr_expect_eq(cpu_eflags(cpu), EFL_R1 | FL_CF);
    RUN(0xcf); /* iret, at 12396h */
    cr_expect_eq(cpu->eip, 0x1000);
    cr_expect_eq(cpu->seg[SEG_CS].sel, 0);
    cr_expect_eq(cpu_eflags(cpu), EFL_R1 | EFL_IF | EFL_TF | FL_CF);
    cr_expect_eq(cpu->gpr[R_ESP], STACK);
}

Test(interrupt, real_mode_stack_wraps)
{
    sys_real();
    sys_poke(0x10 * 4, 0x00005000);
    cpu->gpr[R_ESP] = 2;
    mon_deliver(cpu, MON_EXTERNAL, 0x10, false, 0, 0x1111);
    cr_expect_eq(cpu->gpr[R_ESP], 0xfffc);
    cr_expect_eq(sys_peek16(0xfffc), 0x1111);
}

Test(interrupt, real_mode_idt_limit)
{
    sys_real();
    cpu->idtr.limit = 0x3f; /* vectors 0..15 */
    sys_poke(EXC_GP * 4, 0x00006000);
    RUN(0xcd, 0x21); /* int 21h */
    EXPECT_FAULT(EXC_GP, 0x21 * 8 + 2);
    cr_expect_eq(cpu->eip, CODE_AT);
    cpu->idtr.limit = 3;
    mon_deliver(cpu, MON_EXCEPTION, EXC_GP, true, 0, CODE_AT);
    cr_expect_eq(vm->stop, STOP_TRIPLE_FAULT);
}

Test(interrupt, same_ring)
{
    sys_protected(0);
    cpu_eflags_set(cpu, EFL_R1 | EFL_IF | EFL_NT | FL_ZF);
    mon_deliver(cpu, MON_EXCEPTION, EXC_GP, true, 0xabc, CODE_AT);
    cr_expect_eq(cpu->eip, HANDLER_AT + EXC_GP * 4);
    cr_expect_eq(cpu->gpr[R_ESP], STACK - 16);
    cr_expect_eq(sys_peek(STACK - 16), 0xabc);
    cr_expect_eq(sys_peek(STACK - 12), CODE_AT);
    cr_expect_eq(sys_peek(STACK - 8), S_CODE0);
    cr_expect_eq(sys_peek(STACK - 4), EFL_R1 | EFL_IF | EFL_NT | FL_ZF | EFL_RF);
    cr_expect_eq(cpu_eflags(cpu), EFL_R1 | FL_ZF);
}

Test(interrupt, trap_gate_keeps_if)
{
    sys_protected(0);
    sys_set_gate(0x30, S_CODE0, HANDLER_AT, 0x8f);
    cpu_eflags_set(cpu, EFL_R1 | EFL_IF | EFL_TF);
    mon_deliver(cpu, MON_EXTERNAL, 0x30, false, 0, CODE_AT);
    cr_expect_eq(cpu_eflags(cpu), EFL_R1 | EFL_IF);
}

Test(interrupt, inner_ring_and_back)
{
    sys_protected(3);
    sys_set_gate(0x80, S_CODE0, HANDLER_AT, 0xee);
    cpu_eflags_set(cpu, EFL_R1 | EFL_IF | FL_CF);
    cr_expect_eq(RUN(0xcd, 0x80), BT_CONT);
    cr_expect_eq(cpu->cpl, 0);
    cr_expect_eq(cpu->seg[SEG_CS].sel, S_CODE0);
    cr_expect_eq(cpu->seg[SEG_SS].sel, S_DATA0);
    cr_expect_eq(cpu->gpr[R_ESP], STACK0 - 20);
    cr_expect_eq(sys_peek(STACK0 - 4), S_DATA3);
    cr_expect_eq(sys_peek(STACK0 - 8), STACK);
    cr_expect_eq(sys_peek(STACK0 - 12), EFL_R1 | EFL_IF | FL_CF);
    cr_expect_eq(sys_peek(STACK0 - 16), S_CODE3);
    cr_expect_eq(sys_peek(STACK0 - 20), CODE_AT + 2);
    cr_expect_eq(cpu->iflag, 0);
    cr_expect_eq(vm->win->priv == MMU_USER, false);
    cr_assert_eq(seg_load(cpu, SEG_FS, S_DATA0), 0); /* must not survive the return */
    cr_assert_eq(seg_load(cpu, SEG_GS, S_CONF), 0);  /* conforming code may */
    cr_expect_eq(RUN(0xcf), BT_CONT);
    cr_expect_eq(cpu->cpl, 3);
    cr_expect_eq(cpu->eip, CODE_AT + 2);
    cr_expect_eq(cpu->gpr[R_ESP], STACK);
    cr_expect_eq(cpu->seg[SEG_SS].sel, S_DATA3);
    cr_expect_eq(cpu_eflags(cpu), EFL_R1 | EFL_IF | FL_CF);
    cr_expect_eq(cpu->seg[SEG_DS].sel, S_DATA3);
    cr_expect_eq(cpu->seg[SEG_FS].sel, 0);
    cr_expect_eq(cpu->seg[SEG_FS].attr, 0);
    cr_expect_eq(cpu->seg[SEG_GS].sel, S_CONF);
}

Test(interrupt, soft_int_checks_gate)
{
    sys_protected(3);
    RUN(0xcd, 0x80);
    EXPECT_FAULT(EXC_GP, 0x80 * 8 + 2);
    RUN(0xcc);
    EXPECT_FAULT(EXC_GP, 3 * 8 + 2);
    sys_set_gate(0x80, S_CODE0, HANDLER_AT, 0x6e); /* DPL 3, not present */
    RUN(0xcd, 0x80);
    EXPECT_FAULT(EXC_NP, 0x80 * 8 + 2);
    sys_set_gate(0x80, S_CODE0, HANDLER_AT, 0xec); /* a call gate has no place in an IDT */
    RUN(0xcd, 0x80);
    EXPECT_FAULT(EXC_GP, 0x80 * 8 + 2);
    sys_set_gate(0x80, S_DATA0, HANDLER_AT, 0xee);
    RUN(0xcd, 0x80);
    EXPECT_FAULT(EXC_GP, S_DATA0);
    sys_set_gate(0x80, S_ABSCODE, HANDLER_AT, 0xee);
    RUN(0xcd, 0x80);
    EXPECT_FAULT(EXC_NP, S_ABSCODE);
    sys_set_gate(0x80, 0, HANDLER_AT, 0xee);
    RUN(0xcd, 0x80);
    EXPECT_FAULT(EXC_GP, 0);
    cr_expect_eq(cpu->eip, CODE_AT);
    cr_expect_eq(cpu->cpl, 3);
}

Test(interrupt, int1_ignores_gate_dpl)
{
    sys_protected(3);
    RUN(0xf1);
    cr_expect_eq(cpu->cpl, 0);
    cr_expect_eq(cpu->eip, HANDLER_AT + 4);
    cr_expect_eq(sys_peek(STACK0 - 20), CODE_AT + 1);
}

Test(interrupt, into)
{
    sys_protected(3);
    sys_set_gate(4, S_CODE0, HANDLER_AT, 0xee);
    RUN(0xce);
    cr_expect_eq(cpu->eip, CODE_AT + 1);
    cpu->flags = FL_OF;
    RUN(0xce);
    cr_expect_eq(cpu->eip, HANDLER_AT);
    cr_expect_eq(sys_peek(STACK0 - 20), CODE_AT + 2);
}

/* Faults of the new stack: #TS and #SS with the selector, EXT set for hardware events only. */
Test(interrupt, inner_stack_faults)
{
    static const struct {
        u16 ss;
        u32 tss_limit;
        u8 vector;
        u16 error;
    } c[] = {
        {0, 0x1ff, EXC_TS, 0},
        {S_GDT_END, 0x1ff, EXC_TS, S_GDT_END},
        {S_DATA3, 0x1ff, EXC_TS, S_DATA3 & ~3},
        {S_RODATA, 0x1ff, EXC_TS, S_RODATA},
        {S_DATA0 | 1, 0x1ff, EXC_TS, S_DATA0},
        {S_ABSENT, 0x1ff, EXC_SS, S_ABSENT},
        {S_SMALL, 0x1ff, EXC_SS, S_SMALL}, /* ESP far beyond its limit */
        {S_DATA0, 8, EXC_TS, S_TSS},
    };
    for (size_t i = 0; i < ARRAY_SIZE(c); i++) {
        sys_protected(3);
        sys_set_gate(0x80, S_CODE0, HANDLER_AT, 0xee);
        sys_poke(TSS_AT + 8, c[i].ss);
        cpu->tr.limit = c[i].tss_limit;
        RUN(0xcd, 0x80);
        cr_expect_eq(cpu->exc_vector, c[i].vector, "case %zu: %u", i, cpu->exc_vector);
        cr_expect_eq(cpu->exc_error, c[i].error, "case %zu: %x", i, cpu->exc_error);
        cr_expect_eq(cpu->gpr[R_ESP], STACK);
        cr_expect_eq(cpu->cpl, 3);
        if (i + 1 < ARRAY_SIZE(c))
            sys_free();
    }
}

Test(interrupt, ext_bit)
{
    sys_protected(0);
    sys_set_gate(0x20, S_ABSCODE, HANDLER_AT, 0x8e);
    mon_deliver(cpu, MON_EXTERNAL, 0x20, false, 0, CODE_AT);
    cr_expect_eq(cpu->eip, HANDLER_AT + EXC_NP * 4); /* benign then contributory: one after the other */
    cr_expect_eq(sys_peek(STACK - 16), S_ABSCODE | 1);
}

Test(interrupt, double_fault)
{
    sys_protected(0);
    sys_set_gate(EXC_GP, S_ABSCODE, HANDLER_AT, 0x8e);
    mon_deliver(cpu, MON_EXCEPTION, EXC_GP, true, 0x55, CODE_AT);
    cr_expect_eq(cpu->eip, HANDLER_AT + EXC_DF * 4);
    cr_expect_eq(sys_peek(STACK - 16), 0);
    cr_expect_eq(vm->stop, 0);
}

Test(interrupt, page_fault_then_contributory)
{
    sys_protected(0);
    sys_set_gate(EXC_PF, S_ABSCODE, HANDLER_AT, 0x8e);
    mon_deliver(cpu, MON_EXCEPTION, EXC_PF, true, 2, CODE_AT);
    cr_expect_eq(cpu->eip, HANDLER_AT + EXC_DF * 4);
}

Test(interrupt, benign_is_serial)
{
    sys_protected(0);
    sys_set_gate(EXC_UD, S_ABSCODE, HANDLER_AT, 0x8e);
    mon_deliver(cpu, MON_EXCEPTION, EXC_UD, false, 0, CODE_AT);
    cr_expect_eq(cpu->eip, HANDLER_AT + EXC_NP * 4);
    cr_expect_eq(sys_peek(STACK - 16), S_ABSCODE | 1);
}

Test(interrupt, triple_fault)
{
    sys_protected(0);
    cpu->idtr.limit = 0;
    mon_deliver(cpu, MON_EXCEPTION, EXC_GP, true, 0, CODE_AT);
    cr_expect_eq(vm->stop, STOP_TRIPLE_FAULT);
    cr_expect_eq(cpu->gpr[R_ESP], STACK);
}

Test(interrupt, gate16)
{
    sys_protected(3);
    sys_set_gate(0x80, S_CODE0, 0xffff5000, 0xe6);
    RUN(0xcd, 0x80);
    cr_expect_eq(cpu->eip, 0x5000);
    cr_expect_eq(cpu->gpr[R_ESP], STACK0 - 10);
    cr_expect_eq(sys_peek16(STACK0 - 10), CODE_AT + 2);
    cr_expect_eq(sys_peek16(STACK0 - 2), S_DATA3);
}

Test(interrupt, from_v86_and_back)
{
    sys_v86(3);
    for (unsigned i = 0; i < SEG_COUNT; i++) {
        if (i != SEG_CS)
            seg_load_real(cpu, i, (u16)(0x100 + i));
    }
    mon_state_changed(cpu);
    cpu_eflags_set(cpu, cpu_eflags(cpu) | EFL_IF);
    mon_deliver(cpu, MON_EXTERNAL, 0x20, false, 0, CODE_AT);
    cr_expect_eq(cpu->cpl, 0);
    cr_expect_eq(cpu->gpr[R_ESP], STACK0 - 36);
    cr_expect_eq(sys_peek(STACK0 - 4), 0x100 + SEG_GS);
    cr_expect_eq(sys_peek(STACK0 - 8), 0x100 + SEG_FS);
    cr_expect_eq(sys_peek(STACK0 - 12), 0x100 + SEG_DS);
    cr_expect_eq(sys_peek(STACK0 - 16), 0x100 + SEG_ES);
    cr_expect_eq(sys_peek(STACK0 - 20), 0x100 + SEG_SS);
    cr_expect_eq(sys_peek(STACK0 - 24), STACK);
    cr_expect_eq(sys_peek(STACK0 - 28), EFL_R1 | EFL_IF | EFL_VM | EFL_IOPL);
    cr_expect_eq(cpu->seg[SEG_DS].sel, 0);
    cr_expect_eq(cpu->seg[SEG_DS].attr, 0);
    cr_expect(!(cpu->sysflags & EFL_VM));
    cr_expect(cpu->mode & MODE_CS32);
    RUN(0xcf);
    cr_expect_eq(cpu->cpl, 3);
    cr_expect(cpu->sysflags & EFL_VM);
    cr_expect(cpu->mode & MODE_VM);
    cr_expect_eq(cpu->eip, CODE_AT);
    cr_expect_eq(cpu->gpr[R_ESP], STACK);
    for (unsigned i = 0; i < SEG_COUNT; i++) {
        if (i != SEG_CS)
            cr_expect_eq(cpu->seg[i].sel, 0x100 + i);
        cr_expect_eq(cpu->seg[i].limit, 0xffff);
    }
    cr_expect_eq(cpu->seg_base[SEG_DS], (0x100 + SEG_DS) << 4);
}

Test(interrupt, v86_int_needs_iopl)
{
    sys_v86(0);
    RUN(0xcd, 0x21);
    EXPECT_FAULT(EXC_GP, 0);
    RUN(0xcf); /* iret */
    EXPECT_FAULT(EXC_GP, 0);
    sys_free();
    sys_v86(3);
    sys_set_gate(0x21, S_CODE1, HANDLER_AT, 0xee); /* handler must be in ring 0 */
    RUN(0xcd, 0x21);
    EXPECT_FAULT(EXC_GP, S_CODE1 & ~3);
    sys_set_gate(0x21, S_CODE0, HANDLER_AT, 0xee);
    RUN(0xcd, 0x21);
    cr_expect_eq(cpu->cpl, 0);
    cr_expect_eq(sys_peek(STACK0 - 36), CODE_AT + 2);
}

Test(interrupt, vme_redirection)
{
    sys_v86(0);
    cpu->cr4 |= CR4_VME;
    cpu->tr.limit = 0x3ff;
    sys_poke16(TSS_AT + 102, 0x100); /* bitmap at E0h..FFh, all clear: to the 8086 program */
    sys_poke(0x21 * 4, 0x00006000);
    cpu->sysflags |= EFL_VIF;
    mon_state_changed(cpu);
    RUN(0xcd, 0x21);
    cr_expect_eq(cpu->eip, 0x6000);
    cr_expect_eq(cpu->cpl, 3);
    cr_expect_eq(sys_peek16(STACK - 2), EFL_R1 | EFL_IOPL | EFL_IF);
    cr_expect(!(cpu->sysflags & EFL_VIF));
    RUN(0xcf);
    cr_expect_eq(cpu->eip, CODE_AT + 2);
    cr_expect(cpu->sysflags & EFL_VIF);
    cr_expect_eq(mon_iopl(cpu), 0);
    sys_poke(TSS_AT + 0x100 - 32 + 4, 2); /* vector 21h: protected-mode handler, so IOPL counts */
    RUN(0xcd, 0x21);
    EXPECT_FAULT(EXC_GP, 0);
}

/* IRET: what each CPL may change in EFLAGS. */
Test(interrupt, iret_flags_by_privilege)
{
    const u32 all = FL_ARITH | EFL_TF | EFL_IF | EFL_DF | EFL_IOPL | EFL_AC | EFL_ID;
    sys_protected(0);
    sys_poke(STACK, 0x1234);
    sys_poke(STACK + 4, S_CODE0);
    sys_poke(STACK + 8, all);
    RUN(0xcf);
    cr_expect_eq(cpu_eflags(cpu), all | EFL_R1);
    sys_free();
    sys_protected(3);
    sys_poke(STACK, 0x1234);
    sys_poke(STACK + 4, S_CODE3);
    sys_poke(STACK + 8, all | EFL_VM);
    RUN(0xcf);
    cr_expect_eq(cpu_eflags(cpu), EFL_R1 | FL_ARITH | EFL_TF | EFL_DF | EFL_AC | EFL_ID);
    sys_free();
    sys_protected(0);
    sys_poke16(STACK, 0x1234);
    sys_poke16(STACK + 2, S_CODE0);
    sys_poke16(STACK + 4, 0xffff);
    cpu->sysflags |= EFL_AC;
    RUN(0x66, 0xcf);
    cr_expect_eq(cpu->gpr[R_ESP], STACK + 6);
    cr_expect_eq(cpu_eflags(cpu), EFL_R1 | FL_ARITH | EFL_TF | EFL_IF | EFL_DF | EFL_IOPL | EFL_NT | EFL_AC);
}

Test(interrupt, iret_faults)
{
    static const struct {
        u32 cs, ss, eip;
        u8 vector;
        u16 error;
    } c[] = {
        {0, 0, 0, EXC_GP, 0},
        {S_GDT_END, 0, 0, EXC_GP, S_GDT_END},
        {S_DATA0, 0, 0, EXC_GP, S_DATA0},
        {S_CODE3 & ~3, 0, 0, EXC_GP, S_CODE3 & ~3},
        {S_ABSCODE, 0, 0, EXC_NP, S_ABSCODE},
        {S_CODE3, 0, 0, EXC_GP, 0},
        {S_CODE3, S_DATA0, 0, EXC_GP, S_DATA0},
        {S_CODE3, S_GDT_END | 3, 0, EXC_GP, S_GDT_END},
        {S_CODE16, 0, 0x10000, EXC_GP, 0},
    };
    for (size_t i = 0; i < ARRAY_SIZE(c); i++) {
        sys_protected(0);
        sys_poke(STACK, c[i].eip);
        sys_poke(STACK + 4, c[i].cs);
        sys_poke(STACK + 8, EFL_R1);
        sys_poke(STACK + 12, 0x7000);
        sys_poke(STACK + 16, c[i].ss);
        RUN(0xcf);
        cr_expect_eq(cpu->exc_vector, c[i].vector, "case %zu: %u", i, cpu->exc_vector);
        cr_expect_eq(cpu->exc_error, c[i].error, "case %zu: %x", i, cpu->exc_error);
        cr_expect_eq(cpu->gpr[R_ESP], STACK);
        cr_expect_eq(cpu->seg[SEG_CS].sel, S_CODE0);
        if (i + 1 < ARRAY_SIZE(c))
            sys_free();
    }
}

Test(interrupt, mov_ss_shadow_holds_single_step)
{
    sys_protected(0);
    cpu->sysflags |= EFL_TF;
    mon_state_changed(cpu);
    cpu->gpr[R_EAX] = S_DATA0;
    cr_expect_eq(RUN(0x8e, 0xd0), BT_CONT); /* mov ss, ax: no trap behind it */
    cr_expect_neq(cpu->inhibit, 0);
    RUN(0xfc); /* cld */
    EXPECT_FAULT(EXC_DB, 0);
    cr_expect_eq(cpu->inhibit, 0);
    cr_expect(cpu->dr[6] & DR6_BS);
    cr_expect_eq(cpu->eip, CODE_AT + 3);
}
