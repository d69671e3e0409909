/*
 * test_sysrandom.c - random system instructions on random descriptors, in every mode.
 *
 * Whatever they are, a fault changes no register (but in a task switch past its point of no return), CPL agrees with CS
 * and mode, the mode word agrees with the state, and nothing crashes. A partial effect before a check breaks it.
 */
#include "sysmachine.h"

TestSuite(sysrandom, .fini = sys_free);

#define ROUNDS 60000

static u64 state;

static u32 rnd(void)
{
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    return (u32)(state >> 33);
}

/* Opcodes of the families in C; ModRM and the rest are random. */
static const u8 opcodes[][3] = {
    {0xcf},       {0xcb},       {0xca},       {0x9a},       {0xea},       {0xff, 0x1d},       {0xff, 0x2d},
    {0xcd},       {0xcc},       {0xce},       {0xf1},       {0x8e, 0xc0}, {0x8e, 0xd0},       {0x8e, 0xd8},
    {0x07},       {0x17},       {0x1f},       {0xc4, 0x05}, {0xc5, 0x05}, {0x0f, 0xb2, 0x25}, {0x0f, 0x00},
    {0x0f, 0x01}, {0x0f, 0x02}, {0x0f, 0x03}, {0x0f, 0x34}, {0x0f, 0x35}, {0x0f, 0x06},       {0x0f, 0x20},
    {0x0f, 0x22}, {0x0f, 0x21}, {0x0f, 0x23}, {0x0f, 0x30}, {0x0f, 0x32}, {0x0f, 0xa2},       {0x63},
    {0x9c},       {0x9d},       {0xc8},       {0x60},       {0x61},
};

static void scramble_tables(void)
{
    static const u16 limits[] = {0xffff, 0xfff, 0x67, 0x2b, 0, 0x8fff};

    for (u16 sel = 8; sel < S_GDT_END; sel += 8) {
        if (rnd() % 3)
            continue;
        u32 attr = rnd() & 0xc0ff;
        if (rnd() % 4)
            attr |= 0x80;
        sys_set_desc(
            sel, attr & 0x10
                     ? sys_desc(rnd() % 4 ? 0 : rnd() % 0x9000, rnd() % 3 ? 0xfffff : limits[rnd() % 6], attr)
                     : sys_gate((u16)(rnd() % (S_GDT_END + 8)), HANDLER_AT, attr & 0xff, rnd() & 31));
    }
    if (rnd() % 2) {
        sys_set_desc(S_CODE0, sys_desc(0, 0xfffff, 0xc09b));
        sys_set_desc(S_DATA0, sys_desc(0, 0xfffff, 0xc093));
        sys_set_desc(S_TSS2, sys_desc(TSS2_AT, 0x67, 0x89));
    }
    for (u32 i = 0; i < 0x68; i += 4)
        sys_poke(TSS2_AT + i, rnd() % 4 ? rnd() % (S_GDT_END + 8) : rnd());
    for (u32 i = 0; i < 64; i += 4)
        sys_poke(STACK + i, rnd() % 4 ? rnd() % (S_GDT_END + 8) : rnd());
    for (u32 i = 0; i < 64; i += 4)
        sys_poke(DATA_AT + i, rnd() % 4 ? rnd() % (S_GDT_END + 8) : rnd());
}

static void enter_mode(void)
{
    static const u8 rings[] = {0, 0, 1, 3, 3};

    switch (rnd() % 4) {
    case 0: sys_real(); break;
    case 1: sys_v86(rnd() & 3); break;
    default: sys_protected(rings[rnd() % 5]);
    }
}

static void one_instruction(void)
{
    u8 bytes[16];
    unsigned n = 0;
    struct dec_insn insn;
    const u8 *op = opcodes[rnd() % ARRAY_SIZE(opcodes)];
    struct cpu before;

    for (unsigned i = 0; i < 8; i++)
        cpu->gpr[i] = rnd() % 2 ? rnd() % (S_GDT_END + 8) : rnd();
    cpu->gpr[R_ESP] = rnd() % 8 ? STACK : rnd() % 0x10000;
    cpu_eflags_set(cpu, (cpu_eflags(cpu) & EFL_VM) | ((rnd() & 0x47ed7) & ~EFL_TF));
    cpu->sysenter_cs = rnd() % S_GDT_END;
    cpu->eip = CODE_AT;
    if (rnd() % 3 == 0)
        bytes[n++] = 0x66;
    for (unsigned i = 0; i < 3 && (i == 0 || op[i]); i++)
        bytes[n++] = op[i];
    while (n < 15)
        bytes[n++] = rnd() % 2 ? (u8)rnd() : 0;
    mon_state_changed(cpu);
    if (dec_decode(&insn, bytes, n, cpu->mode & MODE_CS32, cpu->features) || insn.cls == DEC_PLAIN)
        return;
    before = *cpu;
    sys_run(bytes, n);
    if (cpu->exit_kind == BT_EXIT_EXCEPTION && cpu->tr.sel == before.tr.sel && cpu->exc_vector != EXC_DB) {
        cr_assert_eq(memcmp(before.gpr, cpu->gpr, sizeof(before.gpr)), 0, "%s: %u", dec_op_name(insn.op),
                     cpu->exc_vector);
        cr_assert_eq(memcmp(before.seg, cpu->seg, sizeof(before.seg)), 0, "%s: %u", dec_op_name(insn.op),
                     cpu->exc_vector);
        cr_assert(before.eip == cpu->eip && before.cpl == cpu->cpl &&
                      cpu_eflags(&before) == cpu_eflags(cpu) && before.cr0 == cpu->cr0 &&
                      before.cr3 == cpu->cr3 && before.cr4 == cpu->cr4,
                  "%s", dec_op_name(insn.op));
    }
    if (cpu->exit_kind == BT_EXIT_EXCEPTION)
        mon_deliver(cpu, MON_EXCEPTION, cpu->exc_vector, cpu->exc_has_error, cpu->exc_error, cpu->eip);
    if (cpu->sysflags & EFL_VM)
        cr_assert_eq(cpu->cpl, 3, "%s", dec_op_name(insn.op));
    else if ((before.cr0 & CR0_PE) &&
             !mon_vm(cpu)->stop && /* a shutdown leaves what a task switch had loaded by then */
             (cpu->cpl != before.cpl || cpu->seg[SEG_CS].sel != before.seg[SEG_CS].sel))
        cr_assert_eq(cpu->seg[SEG_CS].sel & 3, cpu->cpl, "%s", dec_op_name(insn.op));
    u32 mode = cpu->mode;
    mon_state_changed(cpu);
    cr_assert_eq(mode, cpu->mode, "%s: mode word was stale", dec_op_name(insn.op));
}

Test(sysrandom, no_partial_effects, .timeout = 60)
{
    state = 12345;
    enter_mode();
    for (unsigned i = 0; i < ROUNDS; i++) {
        if (i % 50 == 49) {
            sys_free();
            enter_mode();
        } else if (i % 50 > 25) {
            mon_reset_cpu(cpu); /* the rest of the round in real mode, or what random CR0 makes of it */
            vm->stop = 0;
            cpu->seg_base[SEG_CS] = 0;
            cpu->cr0 = CR0_ET | (rnd() & 1);
        }
        scramble_tables();
        one_instruction();
        if (vm->stop || cpu->halted || (cpu->cr0 & CR0_PG) || cpu->seg_base[SEG_CS] > 0xf0000) {
            sys_free();
            enter_mode();
        }
    }
}
