/*
 * test_control.c - control and debug registers, paging through them, MSRs, CPUID, HLT.
 */
#include "sysmachine.h"

TestSuite(control, .fini = sys_free);

#define MOV_CR(n) RUN(0x0f, 0x22, 0xc0 | (n) << 3) /* mov crN, eax */
#define MOV_FROM_CR(n) RUN(0x0f, 0x20, 0xc0 | (n) << 3)
#define PD_AT 0x20000u
#define PT_AT 0x21000u

Test(control, cr0_rules)
{
    sys_protected(0);
    cpu->gpr[R_EAX] = CR0_PG;
    MOV_CR(0);
    EXPECT_FAULT(EXC_GP, 0);
    cpu->gpr[R_EAX] = CR0_PE | CR0_NW;
    MOV_CR(0);
    EXPECT_FAULT(EXC_GP, 0);
    cpu->gpr[R_EAX] = CR0_PE | CR0_TS | BIT(10);
    MOV_CR(0);
    cr_expect_eq(cpu->cr0, CR0_PE | CR0_TS | CR0_ET);
    cr_expect(cpu->mode & MODE_TS);
    RUN(0x0f, 0x06); /* clts */
    cr_expect(!(cpu->mode & (MODE_TS | MODE_NM)));
    cpu->gpr[R_EAX] = 0;
    RUN(0x0f, 0x01, 0xf0); /* lmsw ax cannot clear PE */
    cr_expect(cpu->cr0 & CR0_PE);
    cpu->gpr[R_EAX] = CR0_ET;
    MOV_CR(0);
    cr_expect_eq(cpu->mode & MODE_PE, 0);
    cr_expect(cpu->mode & MODE_CS32); /* the hidden part of CS stays */
}

Test(control, privilege)
{
    static const u8 insns[][3] = {{0x0f, 0x22, 0xc0}, {0x0f, 0x20, 0xc0}, {0x0f, 0x23, 0xc0},
                                  {0x0f, 0x21, 0xc0}, {0x0f, 0x06, 0x90}, {0x0f, 0x08, 0x90},
                                  {0x0f, 0x09, 0x90}, {0x0f, 0x30, 0x90}, {0x0f, 0x32, 0x90},
                                  {0xf4, 0x90, 0x90}, {0x0f, 0x01, 0xf0}};
    sys_protected(3);
    for (size_t i = 0; i < ARRAY_SIZE(insns); i++) {
        sys_run(insns[i], 3);
        EXPECT_FAULT(EXC_GP, 0);
        cr_expect_eq(cpu->eip, CODE_AT);
    }
    RUN(0x0f, 0x01, 0xe0); /* smsw eax needs none */
    cr_expect_eq(cpu->gpr[R_EAX], cpu->cr0);
}

Test(control, cr4_reserved)
{
    sys_protected(0);
    cpu->gpr[R_EAX] = BIT(11);
    MOV_CR(4);
    EXPECT_FAULT(EXC_GP, 0);
    cpu->gpr[R_EAX] = CR4_PSE | CR4_OSFXSR;
    MOV_CR(4);
    cr_expect_eq(cpu->cr4, CR4_PSE | CR4_OSFXSR);
    cr_expect(cpu->mode & MODE_SSE);
    RUN(0x0f, 0x22, 0xc8); /* mov cr1, eax */
    EXPECT_FAULT(EXC_UD, 0);
}

/* Identity map of the first 4 MiB with 4 KiB pages. */
static void paging_on(u32 extra_cr0)
{
    sys_poke(PD_AT, PT_AT | 7);
    for (u32 i = 0; i < 256; i++)
        sys_poke(PT_AT + i * 4, i << 12 | 7);
    cpu->gpr[R_EAX] = PD_AT;
    MOV_CR(3);
    cpu->gpr[R_EAX] = cpu->cr0 | CR0_PG | extra_cr0;
    MOV_CR(0);
    cr_assert(cpu->cr0 & CR0_PG);
}

Test(control, paging_faults)
{
    u32 v = 0;

    sys_protected(0);
    paging_on(CR0_WP);
    cr_expect_eq(vm->regime.paging, 1);
    cr_expect_eq(vm->regime.cr3, PD_AT);
    cr_expect_eq(mem_read(cpu, SEG_DS, DATA_AT, &v, 4), 0);
    sys_poke(PT_AT + (DATA_AT >> 12) * 4, DATA_AT | 1); /* supervisor, read-only */
    RUN(0x0f, 0x01, 0x3d, 0x00, 0x80, 0, 0);            /* invlpg [8000h] */
    cr_expect_eq(mem_read(cpu, SEG_DS, DATA_AT, &v, 4), 0);
    cr_expect_eq(mem_write(cpu, SEG_DS, DATA_AT + 4, &v, 4), -1);
    cr_expect(cpu->exc_vector == EXC_PF && cpu->exc_error == (MMU_PF_P | MMU_PF_W) &&
              cpu->cr2 == DATA_AT + 4);
    cpu->cpl = 3;
    mon_state_changed(cpu);
    cr_expect_eq(mem_read(cpu, SEG_DS, DATA_AT, &v, 4), -1);
    cr_expect_eq(cpu->exc_error, MMU_PF_P | MMU_PF_U);
    cr_expect_eq(lin_read(cpu, DATA_AT, &v, 4, true), 0); /* tables are read as supervisor */
    sys_poke(PT_AT + 9 * 4, 0);
    cr_expect_eq(mem_write(cpu, SEG_DS, 0x8ffe, &v, 4), -1); /* straddle: nothing written */
    cpu->cpl = 0;
    cpu->cr0 &= ~CR0_WP;
    mon_state_changed(cpu);
    sys_poke(0x8ffc, 0x55555555);
    v = 0x12345678;
    cr_expect_eq(mem_write(cpu, SEG_DS, 0x8ffe, &v, 4), -1);
    cr_expect(cpu->cr2 == 0x9000 && cpu->exc_error == MMU_PF_W);
    cr_expect_eq(sys_peek(0x8ffc), 0x55555555);
    cr_expect_eq(mem_write(cpu, SEG_DS, 0x8ff0, &v, 4), 0); /* WP = 0: the read-only page takes it */
}

Test(control, pae_pdpt_check)
{
    sys_protected(0);
    sys_poke(PD_AT, 0x22000 | 1);
    sys_poke(PD_AT + 4, 0);
    cpu->cr3 = PD_AT;
    cpu->gpr[R_EAX] = CR4_PAE;
    MOV_CR(4);
    sys_poke(PD_AT + 8, 7); /* R/W and U/S are reserved in a PDPTE */
    cpu->gpr[R_EAX] = cpu->cr0 | CR0_PG;
    MOV_CR(0);
    EXPECT_FAULT(EXC_GP, 0);
    cr_expect(!(cpu->cr0 & CR0_PG));
    sys_poke(PD_AT + 8, 6); /* not present: ignored */
    mon_state_changed(cpu);
    sys_poke(0x22000, 0x00000083 | BIT(5) | BIT(6));
    MOV_CR(0);
    cr_expect(cpu->cr0 & CR0_PG);
    cr_expect_eq(vm->regime.pae, 1);
}

Test(control, fetch_faults)
{
    sys_protected(0);
    paging_on(0);
    sys_poke(PT_AT + 8 * 4, 0);
    cpu->eip = 0x7ffe;
    *(u16 *)(void *)mmu_ptr(vm->mmu, 0x7ffe, NULL) = 0x220f; /* mov cr, ... cut by the page */
    cr_expect_eq(mon_step(cpu), BT_LEAVE);
    EXPECT_FAULT(EXC_PF, 0);
    cr_expect_eq(cpu->cr2, 0x8000);
    cr_expect_eq(cpu->eip, 0x7ffe);
    *(u16 *)(void *)mmu_ptr(vm->mmu, 0x7ffe, NULL) = 0x060f; /* clts ends with the page */
    cr_expect_eq(mon_step(cpu), BT_CONT);
}

Test(control, long_instruction)
{
    sys_protected(0);
    RUN(0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x90);
    EXPECT_FAULT(EXC_GP, 0);
}

Test(control, fpu_gates)
{
    sys_protected(0);
    cpu->cr0 |= CR0_TS;
    mon_state_changed(cpu);
    RUN(0xd9, 0xe8); /* fld1 */
    EXPECT_FAULT(EXC_NM, 0);
    RUN(0x0f, 0x28, 0xc1); /* movaps */
    EXPECT_FAULT(EXC_NM, 0);
    cpu->cr0 |= CR0_EM;
    mon_state_changed(cpu);
    RUN(0x0f, 0x28, 0xc1);
    EXPECT_FAULT(EXC_UD, 0);
    RUN(0x0f, 0x6f, 0xc1); /* movq mm */
    EXPECT_FAULT(EXC_UD, 0);
    cpu->cr0 &= ~(CR0_EM | CR0_TS);
    cpu->cr4 &= ~CR4_OSFXSR;
    mon_state_changed(cpu);
    RUN(0x0f, 0x28, 0xc1);
    EXPECT_FAULT(EXC_UD, 0);
}

Test(control, debug_registers)
{
    sys_protected(0);
    cpu->gpr[R_EAX] = CODE_AT + 3;
    RUN(0x0f, 0x23, 0xc0); /* mov dr0, eax */
    cr_expect_eq(cpu->dr[0], CODE_AT + 3);
    cpu->gpr[R_EAX] = 0xffffffff & ~(DR7_GD | 0xff);
    RUN(0x0f, 0x23, 0xf8); /* mov dr7, eax */
    cr_expect_eq(cpu->dr[7] & 0xd000, 0);
    cr_expect(!(cpu->mode & MODE_DB));
    cpu->eip = CODE_AT + 3;
    cpu->dr[7] = DR7_FIXED | 1; /* instruction breakpoint here */
    mon_state_changed(cpu);
    cr_expect(cpu->mode & MODE_DB);
    RUN(0xfc);
    EXPECT_FAULT(EXC_DB, 0);
    cr_expect_eq(cpu->dr[6], DR6_FIXED | 1);
    cpu->sysflags |= EFL_RF;
    cr_expect_eq(RUN(0xfc), BT_CONT);
    cr_expect(!(cpu->sysflags & EFL_RF));
    cpu->dr[7] = DR7_FIXED | DR7_GD;
    RUN(0x0f, 0x21, 0xc0);
    EXPECT_FAULT(EXC_DB, 0);
    cr_expect(cpu->dr[6] & DR6_BD);
    cpu->dr[6] = DR6_FIXED;
    cpu->dr[0] = DATA_AT;
    cpu->dr[7] = DR7_FIXED | 1 | 1u << 16; /* writes, one byte */
    mon_state_changed(cpu);
    cpu->gpr[R_EDI] = DATA_AT;
    RUN(0xab); /* stosd */
    EXPECT_FAULT(EXC_DB, 0);
    cr_expect_eq(cpu->dr[6], DR6_FIXED | 1);
    cr_expect_eq(cpu->gpr[R_EDI], DATA_AT + 4); /* a trap: the store was made */
}

Test(control, msrs)
{
    sys_protected(0);
    cpu->gpr[R_ECX] = 0x174;
    cpu->gpr[R_EAX] = 0x1234;
    RUN(0x0f, 0x30);
    cr_expect_eq(cpu->sysenter_cs, 0x1234);
    cpu->gpr[R_ECX] = 0x12345678;
    RUN(0x0f, 0x32);
    EXPECT_FAULT(EXC_GP, 0);
    cpu->gpr[R_ECX] = 0xc0000080; /* EFER: only NXE exists */
    cpu->gpr[R_EAX] = 0x800;
    cpu->gpr[R_EDX] = 0;
    RUN(0x0f, 0x30);
    cr_expect_eq(cpu->efer, 0x800);
    cpu->gpr[R_EAX] = 0x100;
    RUN(0x0f, 0x30);
    EXPECT_FAULT(EXC_GP, 0);
    cpu->gpr[R_ECX] = 0x277;
    cpu->gpr[R_EAX] = 2; /* reserved memory type */
    RUN(0x0f, 0x30);
    EXPECT_FAULT(EXC_GP, 0);
    cpu->gpr[R_ECX] = 0x10;
    cpu->gpr[R_EAX] = cpu->gpr[R_EDX] = 0;
    RUN(0x0f, 0x30);
    RUN(0x0f, 0x32);
    cr_expect_eq(cpu->gpr[R_EDX], 0);
}

Test(control, cpuid_and_features_agree)
{
    static const enum novt_cpu_model all[] = {CPU_486,      CPU_PENTIUM,  CPU_PENTIUM2,
                                              CPU_PENTIUM3, CPU_PENTIUM4, CPU_MAX};
    u32 out[4], last = 0;

    sys_protected(0);
    for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
        vm->model = (u8)all[i];
        cpu->features = cpuid_features(all[i]);
        cr_expect_eq(cpu->features & last, last, "model %zu lacks what an older one has", i);
        last = cpu->features;
        cpuid_query(cpu, 1, 0, out);
        cr_expect_eq(out[3] >> 26 & 1, cpu->features >> FEAT_SSE2 & 1);
        cr_expect_eq(out[3] >> 11 & 1, cpu->features >> FEAT_SEP & 1);
        cr_expect_eq(out[3] >> 9 & 1, all[i] != CPU_486, "local APIC of model %zu", i);
        cpuid_query(cpu, 0xffffffff, 0, out);
    }
    cpuid_query(cpu, 0x80000001, 0, out);
    cr_expect(out[3] >> 20 & 1);
    cr_expect_eq(cpu_model_by_name("pentium3", &(enum novt_cpu_model){0}), 0);
    cr_expect_neq(cpu_model_by_name("pentium9", &(enum novt_cpu_model){0}), 0);
}

Test(control, hlt)
{
    sys_protected(0);
    cr_expect_eq(RUN(0xf4), BT_LEAVE);
    cr_expect_eq(cpu->exit_kind, BT_EXIT_HLT);
    cr_expect_eq(cpu->halted, 1);
    cr_expect_eq(cpu->eip, CODE_AT + 1);
}

Test(control, callout_leaves_when_it_must)
{
    struct dec_insn insn;
    static const u8 jump[] = {0xea, 0x07, 0x10, 0, 0, S_CODE0, 0}, clts[] = {0x0f, 0x06};

    sys_protected(0);
    cr_assert_eq(dec_decode(&insn, jump, sizeof(jump), true, cpu->features), 0);
    cr_expect_eq(mon_emulate(cpu, &insn), BT_LEAVE); /* to the very next instruction */
    cr_expect_eq(cpu->exit_kind, BT_EXIT_LOOKUP);
    cr_expect_eq(cpu->eip, CODE_AT + 7);
    cr_assert_eq(dec_decode(&insn, clts, sizeof(clts), true, cpu->features), 0);
    cr_expect_eq(mon_emulate(cpu, &insn), BT_CONT);
    cpu->cr0 |= CR0_TS;
    mon_state_changed(cpu);
    cr_expect_eq(mon_emulate(cpu, &insn), BT_LEAVE); /* the mode changed */
    cpu->iflag = cpu->irq_pending = 1;
    cr_expect_eq(mon_emulate(cpu, &insn), BT_LEAVE);
}

Test(control, reset_state)
{
    sys_protected(3);
    mon_reset_cpu(cpu);
    cr_expect_eq(cpu->eip, 0xfff0);
    cr_expect_eq(cpu->seg[SEG_CS].sel, 0xf000);
    cr_expect_eq(cpu->seg_base[SEG_CS], 0xffff0000);
    cr_expect_eq(cpu->cr0, 0x60000010);
    cr_expect_eq(cpu_eflags(cpu), 2);
    cr_expect_eq(cpu->gpr[R_EDX] >> 8 & 0xf, 6);
    cr_expect_eq(cpu->cpl, 0);
    cr_expect_eq(cpu->mode & (MODE_PE | MODE_CS32), 0);
}
