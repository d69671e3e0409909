/*
 * test_step.c - C semantics that no user-mode comparison with the host reaches: privilege and mode rules
 * of flag instructions, I/O permission, x87 environments in every mode, stack and limit edges.
 *
 * Each test decodes bytes, calls the family's function and looks at the CPU struct: no translation, paging off.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "monitor/monitor.h"
#include "novt.h"

static struct novt_vm *vm;
static struct cpu *cpu;

#define CODE_AT 0x1000u
#define TSS_AT 0x4000u
#define DATA_AT 0x8000u

static void flat(unsigned seg, u16 attr)
{
    cpu->seg[seg] = (struct cpu_seg){0xffffffff, 0x10, attr};
    cpu->seg_base[seg] = 0;
}

/* 32-bit flat protected mode at the given CPL, memory zero. */
static void protected_mode(u8 cpl)
{
    struct novt_config cfg = {.ram_bytes = 1u << 20, .cpu = "max", .vgabios = "", .no_firmware = true};
    struct novt_error err;

    cr_assert_eq(novt_vm_new(&vm, &cfg, &err), 0, "%s", err.cause);
    cpu = &vm->cpu;
    for (unsigned i = 0; i < SEG_COUNT; i++)
        flat(i, i == SEG_CS ? 0xcf9b & 0xf0ff : 0xc093);
    cpu->cr0 = CR0_PE | CR0_NE | CR0_ET;
    cpu->cr4 = CR4_OSFXSR;
    cpu->cpl = cpl;
    cpu->eip = CODE_AT;
    cpu->gpr[R_ESP] = 0x9000;
    cpu_eflags_set(cpu, EFL_R1);
    mon_state_changed(cpu);
    cpu->fpu_saved = 1;
}

static void real_mode(void)
{
    protected_mode(0);
    for (unsigned i = 0; i < SEG_COUNT; i++) {
        cpu->seg[i] = (struct cpu_seg){0xffff, 0, i == SEG_CS ? 0x9b : 0x93};
        cpu->seg_base[i] = 0;
    }
    cpu->cr0 = CR0_ET | CR0_NE;
    mon_state_changed(cpu);
}

static void v86_mode(unsigned iopl)
{
    real_mode();
    cpu->cr0 |= CR0_PE;
    cpu->cpl = 3;
    cpu_eflags_set(cpu, EFL_R1 | EFL_VM | iopl << 12);
    mon_state_changed(cpu);
}

static void done(void)
{
    novt_vm_free(vm);
    vm = NULL;
}

static void put32(u32 at, u32 v)
{
    cr_assert_eq(novt_vm_write_memory(vm, at, &v, 4), 0);
}

static u32 get32(u32 at)
{
    u32 v = 0;

    cr_assert_eq(novt_vm_read_memory(vm, at, &v, 4), 0);
    return v;
}

/* One instruction; -1 with the exception's vector in the CPU struct. */
static int step(const char *bytes, unsigned len)
{
    struct dec_insn d;
    u8 code[16] = {0};

    memcpy(code, bytes, len);
    cr_assert_eq(dec_decode(&d, code, DEC_MAX_LEN, cpu->seg[SEG_CS].attr & SEG_ATTR_D, cpu->features), 0);
    cr_assert_eq(d.len, len);
    cpu->exc_vector = 0xff;
    switch (d.cls) {
    case DEC_STACK: return mon_step_stack(cpu, &d);
    case DEC_STRING: return mon_step_string(cpu, &d);
    case DEC_BRANCH: return mon_step_branch(cpu, &d);
    case DEC_HAND: return mon_step_hand(cpu, &d);
    default: break;
    }
    if (d.op >= OP_IN && d.op <= OP_OUTS)
        return mon_sys_io(cpu, &d);
    if (d.op >= OP_AAA && d.op <= OP_BOUND)
        return mon_sys_bcd(cpu, &d);
    return mon_sys_fpuenv(cpu, &d);
}
#define STEP(s) step(s, sizeof(s) - 1)

static void expect_gp0(int rc)
{
    cr_expect_eq(rc, -1);
    cr_expect_eq(cpu->exc_vector, EXC_GP);
    cr_expect_eq(cpu->exc_error, 0);
    cr_expect_eq(cpu->eip, CODE_AT, "a fault leaves EIP on the instruction");
}

Test(step_flags, popf_changes_what_cpl_and_iopl_allow, .fini = done)
{
    static const struct {
        u8 cpl;
        u32 iopl, expect;
    } rows[] = {
        {0, 0, EFL_IF | EFL_IOPL}, {1, 0, 0}, {3, 0, 0},
        {3, 3, EFL_IF | EFL_IOPL}, /* IOPL stays 3 because it may not change */
        {1, 1, EFL_IF | 1u << 12},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        protected_mode(rows[i].cpl);
        cpu_eflags_set(cpu, EFL_R1 | rows[i].iopl << 12);
        put32(0x9000, 0xffffffff & ~EFL_TF);
        cr_expect_eq(STEP("\x9d"), 0);
        cr_expect_eq(cpu_eflags(cpu) & (EFL_IF | EFL_IOPL), rows[i].expect, "row %u: %x", i, cpu_eflags(cpu));
        cr_expect_eq(cpu_eflags(cpu) & (EFL_VM | EFL_RF | EFL_VIF | EFL_VIP), 0u);
        cr_expect_eq(cpu_eflags(cpu) & (EFL_AC | EFL_ID | EFL_NT | FL_ARITH),
                     EFL_AC | EFL_ID | EFL_NT | FL_ARITH);
        cr_expect_eq(cpu->gpr[R_ESP], 0x9004u);
        if (i + 1 < ARRAY_SIZE(rows))
            done();
    }
}

Test(step_flags, v86_below_iopl_3_faults_without_vme, .fini = done)
{
    v86_mode(0);
    expect_gp0(STEP("\x9c"));
    expect_gp0(STEP("\x9d"));
    expect_gp0(STEP("\xfa"));
    expect_gp0(STEP("\xfb"));
    cr_expect_eq(cpu->gpr[R_ESP], 0x9000u);
}

Test(step_flags, v86_vme_uses_vif, .fini = done)
{
    v86_mode(0);
    cpu->cr4 |= CR4_VME;
    cr_expect_eq(STEP("\xfb"), 0);
    cr_expect(cpu->sysflags & EFL_VIF);
    cr_expect_eq(cpu->iflag, 0);
    cpu->eip = CODE_AT;
    cr_expect_eq(STEP("\x9c"), 0);
    cr_expect_eq(get32(0x8ffe) & 0xffff, EFL_R1 | EFL_IOPL | EFL_IF, "IOPL reads 3, IF is VIF");
    cpu->eip = CODE_AT;
    cpu->sysflags |= EFL_VIP;
    expect_gp0(STEP("\x9d"));
    put32(0x8ffe, EFL_R1);
    cr_expect_eq(STEP("\x9d"), 0);
    cr_expect_eq(cpu->sysflags & EFL_VIF, 0u);
    cpu->eip = CODE_AT;
    expect_gp0(STEP("\xfb"));
    expect_gp0(STEP("\x66\x9c"));
}

Test(step_flags, v86_iopl_3_popf_keeps_iopl, .fini = done)
{
    v86_mode(3);
    put32(0x9000, 0);
    cr_expect_eq(STEP("\x9d"), 0);
    cr_expect_eq(cpu->sysflags, EFL_VM | EFL_IOPL);
}

Test(step_flags, cli_sti_by_iopl_and_pvi, .fini = done)
{
    protected_mode(3);
    expect_gp0(STEP("\xfb"));
    cpu->cr4 |= CR4_PVI;
    cr_expect_eq(STEP("\xfb"), 0);
    cr_expect(cpu->sysflags & EFL_VIF);
    cr_expect_eq(cpu->iflag, 0);
    cr_expect_eq(STEP("\xfa"), 0);
    cr_expect_eq(cpu->sysflags & EFL_VIF, 0u);
    cpu_eflags_set(cpu, EFL_R1 | EFL_IOPL);
    cr_expect_eq(STEP("\xfb"), 0);
    cr_expect_eq(cpu->iflag, 1);
    cr_expect_eq(cpu->inhibit, 1, "interrupts wait for one instruction");
    cpu->inhibit = 0;
    cr_expect_eq(STEP("\xfb"), 0);
    cr_expect_eq(cpu->inhibit, 0, "STI with IF set holds nothing off");
}

Test(step_flags, rdtsc_obeys_tsd, .fini = done)
{
    protected_mode(3);
    cr_expect_eq(STEP("\x0f\x31"), 0);
    cpu->eip = CODE_AT;
    cpu->cr4 |= CR4_TSD;
    expect_gp0(STEP("\x0f\x31"));
    cpu->cpl = 0;
    cr_expect_eq(STEP("\x0f\x31"), 0);
}

/* --- I/O permission ------------------------------------------------------------------------------- */

static void io_task(u32 map_at, u32 limit)
{
    protected_mode(3);
    cpu->tr = (struct cpu_sysseg){TSS_AT, limit, 0x28, 0x8b};
    put32(TSS_AT + 0x64, map_at << 16);
}

Test(step_io, bitmap_decides_above_iopl, .fini = done)
{
    io_task(0x68, 0x68 + 0x20);
    put32(TSS_AT + 0x68 + 0x10, 0x00000080); /* port 87h refused */
    cpu->gpr[R_EDX] = 0x86;
    cr_expect_eq(STEP("\xec"), 0);
    cpu->eip = CODE_AT;
    expect_gp0(STEP("\x66\xed")); /* 86h and 87h */
    cpu->gpr[R_EDX] = 0x87;
    expect_gp0(STEP("\xec"));
    cpu->gpr[R_EDX] = 0x88;
    cr_expect_eq(STEP("\xec"), 0);
    cpu->eip = CODE_AT;
    cpu->sysflags |= EFL_IOPL;
    cpu->gpr[R_EDX] = 0x87;
    cr_expect_eq(STEP("\xec"), 0);
    cpu->eip = CODE_AT;
    cpu->sysflags |= EFL_VM; /* v86 asks the map whatever IOPL is */
    expect_gp0(STEP("\xec"));
}

Test(step_io, bitmap_end_and_wrong_tss_refuse, .fini = done)
{
    io_task(0x68, 0x68 + 0x10);
    cpu->gpr[R_EDX] = 0x78;
    cr_expect_eq(STEP("\xec"), 0);
    cpu->eip = CODE_AT;
    cpu->gpr[R_EDX] = 0x80; /* its second byte lies behind the limit */
    expect_gp0(STEP("\xec"));
    cpu->gpr[R_EDX] = 0x78;
    cpu->tr.attr = 0x83; /* 16-bit TSS */
    expect_gp0(STEP("\xec"));
    cpu->tr.attr = 0x8b;
    cpu->tr.limit = 0x66;
    expect_gp0(STEP("\xec"));
}

Test(step_io, rep_ins_is_bounded_and_restartable, .fini = done)
{
    protected_mode(0);
    cpu->gpr[R_EDX] = 0x5555; /* nobody: all ones */
    cpu->gpr[R_EDI] = DATA_AT;
    cpu->gpr[R_ECX] = 3000;
    cr_expect_eq(STEP("\xf3\x6c"), 0);
    cr_expect_eq(cpu->eip, CODE_AT, "not finished");
    cr_expect_lt(cpu->gpr[R_ECX], 3000u);
    while (cpu->eip == CODE_AT)
        cr_assert_eq(STEP("\xf3\x6c"), 0);
    cr_expect_eq(cpu->gpr[R_ECX], 0u);
    cr_expect_eq(cpu->gpr[R_EDI], DATA_AT + 3000);
    cr_expect_eq(get32(DATA_AT + 2997), 0x00ffffffu);
    /* A fault in the middle keeps what was done. */
    cpu->eip = CODE_AT;
    cpu->seg[SEG_ES].limit = DATA_AT + 9;
    mon_state_changed(cpu);
    cpu->gpr[R_EDI] = DATA_AT;
    cpu->gpr[R_ECX] = 100;
    expect_gp0(STEP("\xf3\x6c"));
    cr_expect_eq(cpu->gpr[R_EDI], DATA_AT + 10);
    cr_expect_eq(cpu->gpr[R_ECX], 90u);
}

Test(step_io, rep_with_count_zero_asks_nothing, .fini = done)
{
    protected_mode(3);
    cpu->gpr[R_ECX] = 0;
    cr_expect_eq(STEP("\xf3\x6e"), 0);
    cr_expect_eq(cpu->eip, CODE_AT + 2);
}

/* --- stack and branches --------------------------------------------------------------------------- */

Test(step_stack, pusha_wraps_in_a_16_bit_stack, .fini = done)
{
    real_mode();
    cpu->gpr[R_ESP] = 6;
    for (unsigned i = 0; i < 8; i++)
        if (i != R_ESP)
            cpu->gpr[i] = 0x1110 + i;
    cr_expect_eq(STEP("\x60"), 0);
    cr_expect_eq(cpu->gpr[R_ESP], 0xfff6u);
    cr_expect_eq(get32(0x2) & 0xffff, 0x1111u);
    cr_expect_eq(get32(0x4) & 0xffff, 0x1110u);
    cr_expect_eq(get32(0xfffe) & 0xffff, 0x1113u);
    for (unsigned i = 0; i < 8; i++)
        if (i != R_ESP)
            cpu->gpr[i] = 0xdead0000;
    cr_expect_eq(STEP("\x61"), 0);
    cr_expect_eq(cpu->gpr[R_ESP], 6u);
    cr_expect_eq(cpu->gpr[R_EDI], 0xdead1117u);
    cr_expect_eq(cpu->gpr[R_EAX], 0xdead1110u);
}

Test(step_stack, push_beyond_the_limit_is_ss, .fini = done)
{
    real_mode();
    cpu->gpr[R_ESP] = 1;
    cpu->gpr[R_EAX] = 5;
    cr_expect_eq(STEP("\x50"), -1);
    cr_expect_eq(cpu->exc_vector, EXC_SS);
    cr_expect_eq(cpu->gpr[R_ESP], 1u);
    cr_expect_eq(STEP("\x60"), -1, "PUSHA with an odd SP faults before it stores");
    cr_expect_eq(cpu->gpr[R_ESP], 1u);
}

Test(step_stack, pop_m_uses_esp_after_the_pop, .fini = done)
{
    protected_mode(0);
    put32(0x9000, 0x12345678);
    cr_expect_eq(STEP("\x8f\x44\x24\x04"), 0); /* pop [esp+4] */
    cr_expect_eq(get32(0x9008), 0x12345678u);
    cpu->seg[SEG_DS].limit = 0xfff;
    cpu->eip = CODE_AT;
    mon_state_changed(cpu);
    cr_expect_eq(STEP("\x8f\x05\x00\x20\x00\x00"), -1);
    cr_expect_eq(cpu->gpr[R_ESP], 0x9004u, "a fault puts ESP back");
}

Test(step_branch, targets_are_checked_before_anything_changes, .fini = done)
{
    protected_mode(0);
    cpu->seg[SEG_CS].limit = 0x1fff;
    mon_state_changed(cpu);
    expect_gp0(STEP("\xe9\x00\x10\x00\x00"));
    expect_gp0(STEP("\xe8\x00\x10\x00\x00"));
    cr_expect_eq(cpu->gpr[R_ESP], 0x9000u);
    put32(0x9000, 0x2000);
    expect_gp0(STEP("\xc3"));
    cr_expect_eq(cpu->gpr[R_ESP], 0x9000u);
    cpu->gpr[R_ECX] = 5;
    cpu->eip = 0x1ff0;
    cr_expect_eq(STEP("\xe2\x20"), -1);
    cr_expect_eq(cpu->gpr[R_ECX], 5u);
    cr_expect_eq(STEP("\xe3\x20"), 0, "not taken: not checked");
    cr_expect_eq(cpu->eip, 0x1ff2u);
}

/* --- x87 environment -------------------------------------------------------------------------------- */

static void x87_state(void)
{
    memset(cpu->fpu, 0, sizeof(cpu->fpu));
    cpu->fpu[0] = 0x7f;
    cpu->fpu[1] = 0x03;
    cpu->fpu[3] = 5 << 3; /* TOP 5 */
    cpu->fpu[4] = 0xe0;   /* registers 5, 6, 7: ST0 - ST2 */
    for (unsigned i = 0; i < 8; i++)
        cpu->fpu[32 + 16 * i] = (u8)(i + 1);
    cpu->fpu[32 + 7] = 0x80; /* ST0 valid: 1.0-like */
    cpu->fpu[32 + 8] = 0xff;
    cpu->fpu[32 + 9] = 0x3f;
    memset(cpu->fpu + 48, 0, 10); /* ST1 zero */
    cpu->fpu[64 + 8] = 0xff;
    cpu->fpu[64 + 9] = 0x7f; /* ST2 special */
    cpu->fpu_ip = 0x001b12345678;
    cpu->fpu_dp = 0x0023abcdef01;
    cpu->fpu_opcode = 0x5a5;
    cpu->fpu_saved = 1;
}

Test(step_fpu, fnstenv_layouts, .fini = done)
{
    protected_mode(0);
    x87_state();
    cr_expect_eq(STEP("\xd9\x35\x00\x80\x00\x00"), 0);
    cr_expect_eq(get32(DATA_AT), 0xffff037fu);
    cr_expect_eq(get32(DATA_AT + 4), 0xffff2800u);
    cr_expect_eq(get32(DATA_AT + 8), 0xffff93ffu, "tags 7 special, 6 zero, 5 valid: %x", get32(DATA_AT + 8));
    cr_expect_eq(get32(DATA_AT + 12), 0x12345678u);
    cr_expect_eq(get32(DATA_AT + 16), 0x05a5001bu);
    cr_expect_eq(get32(DATA_AT + 20), 0xabcdef01u);
    cr_expect_eq(get32(DATA_AT + 24), 0xffff0023u);
    cr_expect_eq(STEP("\x66\xd9\x35\x00\x80\x00\x00"), 0);
    cr_expect_eq(get32(DATA_AT), 0x2800037fu);
    cr_expect_eq(get32(DATA_AT + 4), 0x567893ffu);
    cr_expect_eq(get32(DATA_AT + 8), 0xef01001bu);
    cr_expect_eq(get32(DATA_AT + 12) & 0xffff, 0x23u);
}

Test(step_fpu, fnstenv_real_mode_layouts, .fini = done)
{
    real_mode();
    x87_state();
    cpu->fpu_ip = 0x12340005678; /* 1234:5678 = 179B8h */
    cpu->fpu_ip = (u64)0x1234 << 32 | 0x5678;
    cpu->fpu_dp = (u64)0x2000 << 32 | 0x1111;
    cr_expect_eq(STEP("\x66\xd9\x36\x00\x80"), 0);
    cr_expect_eq(get32(DATA_AT + 12) & 0xffff, 0x79b8u);
    cr_expect_eq(get32(DATA_AT + 16), 0x000015a5u);
    cr_expect_eq(get32(DATA_AT + 20) & 0xffff, 0x1111u);
    cr_expect_eq(get32(DATA_AT + 24), 0x2000u);
    cr_expect_eq(STEP("\xd9\x36\x00\x80"), 0);
    cr_expect_eq(get32(DATA_AT + 4) >> 16, 0x79b8u);
    cr_expect_eq(get32(DATA_AT + 8), 0x111115a5u);
    cr_expect_eq(get32(DATA_AT + 12) & 0xffff, 0x2000u);
}

Test(step_fpu, fnsave_and_frstor_are_inverse, .fini = done)
{
    u8 before[512];

    protected_mode(0);
    x87_state();
    memcpy(before, cpu->fpu, sizeof(before));
    cr_expect_eq(STEP("\xdd\x35\x00\x80\x00\x00"), 0);
    cr_expect_eq(cpu->fpu[4], 0, "FNSAVE empties the registers");
    cr_expect_eq(cpu->fpu[3], 0);
    cr_expect_eq(cpu->fpu[32 + 5 * 16 + 9], 0x3f, "and TOP 0 makes register 5 ST5");
    cr_expect_eq(STEP("\xdd\x25\x00\x80\x00\x00"), 0);
    cr_expect_arr_eq(cpu->fpu, before, 6);
    for (unsigned i = 0; i < 8; i++)
        cr_expect_arr_eq(cpu->fpu + 32 + 16 * i, before + 32 + 16 * i, 10);
    cr_expect_eq(cpu->fpu_ip, 0x001b12345678ull);
    cr_expect_eq(cpu->fpu_opcode, 0x5a5);
}

Test(step_fpu, fldenv_moves_top_not_registers, .fini = done)
{
    protected_mode(0);
    x87_state();
    put32(DATA_AT, 0x037f);
    put32(DATA_AT + 4, 6 << 11);
    put32(DATA_AT + 8, 0xffff);
    cr_expect_eq(STEP("\xd9\x25\x00\x80\x00\x00"), 0);
    cr_expect_eq(cpu->fpu[32 + 7 * 16 + 9], 0x3f, "register 5 is ST7 when TOP is 6");
    cr_expect_eq(cpu->fpu[4], 0);
}

Test(step_fpu, pending_exception_is_mf_for_waiting_forms, .fini = done)
{
    protected_mode(0);
    x87_state();
    cpu->fpu[0] = 0x7e; /* invalid operation unmasked */
    cpu->fpu[2] = 0x81; /* pending */
    cr_expect_eq(STEP("\x9b"), -1);
    cr_expect_eq(cpu->exc_vector, EXC_MF);
    cr_expect_eq(STEP("\xd9\x25\x00\x80\x00\x00"), -1);
    cr_expect_eq(cpu->exc_vector, EXC_MF);
    cr_expect_eq(STEP("\xd9\x35\x00\x80\x00\x00"), 0, "FNSTENV does not wait");
    cr_expect_eq(get32(DATA_AT + 4) & 0xff, 0x81u);
    cr_expect_eq(cpu->fpu[0] & 0x3f, 0x3f, "and masks everything");
    cr_expect_eq(cpu->fpu[2] & 0x80, 0);
}

Test(step_fpu, fxsave_leaves_the_rest_alone, .fini = done)
{
    u8 image[512];

    protected_mode(0);
    x87_state();
    memset(image, 0xaa, sizeof(image));
    cr_assert_eq(novt_vm_write_memory(vm, DATA_AT, image, 512), 0);
    memset(cpu->fpu + 288, 0x77, 128); /* XMM8-15 of the host form */
    cr_expect_eq(STEP("\x0f\xae\x05\x00\x80\x00\x00"), 0);
    cr_assert_eq(novt_vm_read_memory(vm, DATA_AT, image, 512), 0);
    cr_expect_eq(image[288], 0xaa);
    cr_expect_eq(image[511], 0xaa);
    cr_expect_eq(get32(DATA_AT + 8), 0x12345678u);
    cr_expect_eq(get32(DATA_AT + 12), 0x1bu);
    cpu->eip = CODE_AT;
    expect_gp0(STEP("\x0f\xae\x05\x08\x80\x00\x00")); /* not aligned */
    put32(DATA_AT + 24, 0x80000000);
    expect_gp0(STEP("\x0f\xae\x0d\x00\x80\x00\x00")); /* FXRSTOR, MXCSR reserved bit */
    cpu->cr0 |= CR0_TS;
    cr_expect_eq(STEP("\x0f\xae\x05\x00\x80\x00\x00"), -1);
    cr_expect_eq(cpu->exc_vector, EXC_NM);
}

Test(step_fpu, maskmov_stores_selected_bytes_only, .fini = done)
{
    protected_mode(0);
    x87_state();
    memset(cpu->fpu + 160, 0x11, 16);
    memset(cpu->fpu + 176, 0, 16);
    cpu->fpu[176] = cpu->fpu[176 + 15] = 0x80;
    cpu->gpr[R_EDI] = DATA_AT;
    put32(DATA_AT + 12, 0xeeeeeeee);
    cr_expect_eq(STEP("\x66\x0f\xf7\xc1"), 0); /* maskmovdqu xmm0, xmm1 */
    cr_expect_eq(get32(DATA_AT), 0x11u);
    cr_expect_eq(get32(DATA_AT + 12), 0x11eeeeeeu);
}

/* --- decimal -------------------------------------------------------------------------------------- */

/* From a current CPU, undefined flags included. */
Test(step_bcd, vectors, .fini = done)
{
    static const struct {
        const char *code;
        u16 len, ax, flags, ax_out, flags_out;
    } rows[] = {
        {"\x37", 1, 0x00fa, 0x000, 0x0200, 0x015},     {"\x37", 1, 0x7f79, 0x010, 0x800f, 0x891},
        {"\x3f", 1, 0x8000, 0x010, 0x7e0a, 0x815},     {"\x3f", 1, 0x0005, 0x010, 0xfe0f, 0x095},
        {"\x27", 1, 0x0079, 0x001, 0x00d9, 0x881},     {"\x27", 1, 0x00ff, 0x000, 0x0065, 0x015},
        {"\x2f", 1, 0x0005, 0x010, 0x00ff, 0x095},     {"\x2f", 1, 0x0080, 0x001, 0x0020, 0x801},
        {"\xd4\x0a", 2, 0x01ff, 0x811, 0x1905, 0x004}, {"\xd5\x0a", 2, 0x01ff, 0x000, 0x0009, 0x015},
        {"\xd5\x07", 2, 0x7f79, 0x000, 0x00f2, 0x890},
    };

    protected_mode(0);
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        cpu->gpr[R_EAX] = 0x12340000u | rows[i].ax;
        cpu->flags = rows[i].flags;
        cr_expect_eq(step(rows[i].code, rows[i].len), 0);
        cr_expect_eq(cpu->gpr[R_EAX], 0x12340000u | rows[i].ax_out, "row %u: %x", i, cpu->gpr[R_EAX]);
        cr_expect_eq(cpu->flags, rows[i].flags_out, "row %u: %x", i, cpu->flags);
    }
    cr_expect_eq(STEP("\xd4\x00"), -1);
    cr_expect_eq(cpu->exc_vector, EXC_DE);
}

Test(step_bcd, bound_is_inclusive_and_signed, .fini = done)
{
    protected_mode(0);
    put32(DATA_AT, 0xfffffffe);
    put32(DATA_AT + 4, 7);
    for (i32 v = -3; v <= 8; v++) {
        cpu->gpr[R_EAX] = (u32)v;
        cr_expect_eq(STEP("\x62\x05\x00\x80\x00\x00"), v < -2 || v > 7 ? -1 : 0);
    }
    cr_expect_eq(cpu->exc_vector, EXC_BR);
}
