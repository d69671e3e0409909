/*
 * test_segment.c - segment loads, segment checks of accesses, LAR/LSL/VERx/ARPL, descriptor table registers.
 */
#include "sysmachine.h"

TestSuite(segment, .fini = sys_free);

struct load_case {
    u8 cpl, seg;
    u16 sel;
    u8 vector; /* 0xff: loads */
    u16 error;
};

/* MOV Sreg, AX: what the manual's pseudo-code of MOV says for each kind of descriptor. */
static const struct load_case load_cases[] = {
    {0, SEG_DS, S_DATA0, 0xff, 0},
    {0, SEG_DS, 0, 0xff, 0},
    {0, SEG_DS, 3, 0xff, 0},
    {0, SEG_DS, S_RODATA, 0xff, 0},
    {0, SEG_DS, S_CONF, 0xff, 0},
    {0, SEG_DS, S_CODE0, 0xff, 0}, /* readable code */
    {0, SEG_DS, S_XCODE, EXC_GP, S_XCODE},
    {0, SEG_DS, S_ABSENT, EXC_NP, S_ABSENT},
    {0, SEG_DS, S_TSS, EXC_GP, S_TSS},
    {0, SEG_DS, S_GDT_END, EXC_GP, S_GDT_END},
    {0, SEG_DS, S_GDT_END | 3, EXC_GP, S_GDT_END},
    {0, SEG_DS, 4, EXC_GP, 4},                 /* no LDT */
    {0, SEG_DS, S_DATA0 | 3, EXC_GP, S_DATA0}, /* RPL > DPL */
    {0, SEG_DS, S_DATA3, 0xff, 0},
    {3, SEG_DS, S_DATA0, EXC_GP, S_DATA0},
    {3, SEG_DS, S_CONF, 0xff, 0}, /* conforming code at any ring */
    {3, SEG_DS, S_DATA3 & ~3, 0xff, 0},
    {3, SEG_ES, S_DATA1 & ~3, EXC_GP, S_DATA1 & ~3},
    {0, SEG_SS, S_DATA0, 0xff, 0},
    {0, SEG_SS, 0, EXC_GP, 0},
    {0, SEG_SS, S_RODATA, EXC_GP, S_RODATA},
    {0, SEG_SS, S_CODE0, EXC_GP, S_CODE0},
    {0, SEG_SS, S_ABSENT, EXC_SS, S_ABSENT},
    {0, SEG_SS, S_DATA3, EXC_GP, S_DATA3 & ~3},
    {0, SEG_SS, S_DATA3 & ~3, EXC_GP, S_DATA3 & ~3}, /* DPL 3 */
    {3, SEG_SS, S_DATA3, 0xff, 0},
    {3, SEG_SS, S_DATA3 & ~3, EXC_GP, S_DATA3 & ~3}, /* RPL 0 */
    {0, SEG_SS, S_DOWN, 0xff, 0},
    {0, SEG_SS, S_GDT_END, EXC_GP, S_GDT_END},
};

Test(segment, loads)
{
    for (size_t i = 0; i < ARRAY_SIZE(load_cases); i++) {
        const struct load_case *c = &load_cases[i];
        struct cpu_seg before;
        sys_protected(c->cpl);
        before = cpu->seg[c->seg];
        cpu->gpr[R_EAX] = c->sel;
        RUN(0x8e, 0xc0 | c->seg << 3); /* mov Sreg, ax */
        if (c->vector == 0xff) {
            cr_expect_eq(cpu->exit_kind, BT_EXIT_LOOKUP, "case %zu", i);
            cr_expect_eq(cpu->seg[c->seg].sel, c->sel, "case %zu", i);
            cr_expect_eq(cpu->eip, CODE_AT + 2);
            cr_expect_eq(cpu->inhibit != 0, c->seg == SEG_SS);
        } else {
            cr_expect_eq(cpu->exc_vector, c->vector, "case %zu: vector %u", i, cpu->exc_vector);
            cr_expect_eq(cpu->exc_error, c->error, "case %zu: error %x", i, cpu->exc_error);
            cr_expect_eq(memcmp(&before, &cpu->seg[c->seg], sizeof(before)), 0, "case %zu: changed", i);
            cr_expect_eq(cpu->eip, CODE_AT);
        }
        if (i + 1 < ARRAY_SIZE(load_cases))
            sys_free();
    }
}

Test(segment, accessed_bit)
{
    sys_protected(0);
    sys_set_desc(S_DATA0, sys_desc(0, 0xfffff, 0xc092));
    cpu->gpr[R_EAX] = S_DATA0;
    RUN(0x8e, 0xd8);
    cr_expect(sys_get_desc(S_DATA0) >> 40 & 1);
    cr_expect_eq(cpu->seg[SEG_DS].attr, 0xc093);
}

Test(segment, ldt)
{
    sys_protected(0);
    u64 d = sys_desc(0x1000, 0xff, 0x40f3);
    sys_poke(LDT_AT + 8, (u32)d);
    sys_poke(LDT_AT + 12, (u32)(d >> 32));
    cpu->gpr[R_EAX] = S_LDT;
    RUN(0x0f, 0x00, 0xd0); /* lldt ax */
    cr_expect_eq(cpu->ldtr.base, LDT_AT);
    cpu->gpr[R_EAX] = 0xf;
    RUN(0x8e, 0xc0); /* mov es, ax */
    cr_expect_eq(cpu->seg[SEG_ES].sel, 0xf);
    cr_expect_eq(cpu->seg_base[SEG_ES], 0x1000);
    cr_expect_eq(cpu->seg[SEG_ES].limit, 0xff);
    cpu->gpr[R_EAX] = 0x1c; /* behind the limit */
    RUN(0x8e, 0xc0);
    EXPECT_FAULT(EXC_GP, 0x1c);
    cpu->gpr[R_EAX] = S_DATA0;
    RUN(0x0f, 0x00, 0xd0);
    EXPECT_FAULT(EXC_GP, S_DATA0);
}

Test(segment, real_mode_keeps_limit)
{
    sys_protected(0);
    cpu->cr0 &= ~CR0_PE;
    mon_state_changed(cpu);
    seg_load_real(cpu, SEG_DS, 0x1234);
    mon_segs_changed(cpu);
    cr_expect_eq(cpu->seg[SEG_DS].limit, 0xffffffff);
    cr_expect_eq(cpu->seg_base[SEG_DS], 0x12340);
    cr_expect_eq(MODE_SEGC(cpu->mode, SEG_DS), SEGC_BASED);
}

Test(segment, classes)
{
    sys_protected(0);
    cr_expect_eq(MODE_SEGC(cpu->mode, SEG_DS), SEGC_FLAT);
    cr_expect_eq(MODE_SEGC(cpu->mode, SEG_CS), SEGC_FLAT);
    static const struct {
        u16 sel;
        u8 cls;
    } want[] = {{S_RODATA, SEGC_CHECK},
                {S_CONF, SEGC_CHECK},
                {S_DOWN, SEGC_CHECK},
                {S_SMALL, SEGC_LIMIT},
                {0, SEGC_CHECK}};
    for (size_t i = 0; i < ARRAY_SIZE(want); i++) {
        cr_assert_eq(seg_load(cpu, SEG_ES, want[i].sel), 0);
        mon_segs_changed(cpu);
        cr_expect_eq(MODE_SEGC(cpu->mode, SEG_ES), want[i].cls, "selector %x", want[i].sel);
    }
    sys_set_desc(S_CODE0, sys_desc(0, 0xfffff, 0xc099)); /* execute-only */
    seg_commit(cpu, SEG_CS, S_CODE0, sys_get_desc(S_CODE0));
    mon_segs_changed(cpu);
    cr_expect_eq(MODE_SEGC(cpu->mode, SEG_CS), SEGC_CHECK);
}

Test(segment, tags)
{
    u64 a, b;

    sys_protected(0);
    a = cpu->ctx_tag;
    cr_assert_eq(seg_load(cpu, SEG_ES, S_SMALL), 0);
    mon_segs_changed(cpu);
    b = cpu->ctx_tag;
    cr_expect_neq(a, b);
    cr_assert_eq(seg_load(cpu, SEG_ES, S_DATA0), 0);
    mon_segs_changed(cpu);
    cr_expect_eq(cpu->ctx_tag, a);
    cpu->seg_base[SEG_CS] = 0x100;
    mon_segs_changed(cpu);
    cr_expect_neq(cpu->ctx_tag, a);
}

struct access_case {
    u16 sel;
    u32 off;
    u16 size;
    bool write;
    bool ok;
};

static const struct access_case access_cases[] = {
    {S_DATA0, 0x8000, 4, true, true},       {S_RODATA, 0x8000, 4, false, true},
    {S_RODATA, 0x8000, 4, true, false},     {S_CODE0, 0x8000, 4, false, true},
    {S_CODE0, 0x8000, 4, true, false},      {S_SMALL, 0xffc, 4, true, true},
    {S_SMALL, 0xffd, 4, true, false},       {S_SMALL, 0x1000, 1, false, false},
    {S_SMALL, 0xffffffff, 2, false, false}, {S_DOWN, 0x1000, 4, true, true},
    {S_DOWN, 0xfff, 1, false, false},       {S_DOWN, 0xffe, 4, false, false},
    {0, 0x8000, 1, false, false},
};

Test(segment, accesses)
{
    u8 buf[8] = {0};

    sys_protected(0);
    for (size_t i = 0; i < ARRAY_SIZE(access_cases); i++) {
        const struct access_case *c = &access_cases[i];
        cr_assert_eq(seg_load(cpu, SEG_ES, c->sel), 0);
        mon_segs_changed(cpu);
        int rc = c->write ? mem_write(cpu, SEG_ES, c->off, buf, c->size)
                          : mem_read(cpu, SEG_ES, c->off, buf, c->size);
        cr_expect_eq(rc, c->ok ? 0 : -1, "case %zu", i);
        if (!c->ok)
            cr_expect(cpu->exc_vector == EXC_GP && cpu->exc_error == 0);
    }
    cr_expect_eq(mem_write(cpu, SEG_CS, 0x8000, buf, 1), -1); /* code is never writable */
    cr_expect_eq(mem_read(cpu, SEG_CS, 0x8000, buf, 1), 0);
    cr_assert_eq(seg_load(cpu, SEG_SS, S_DOWN), 0);
    mon_segs_changed(cpu);
    cr_expect_eq(mem_read(cpu, SEG_SS, 0, buf, 1), -1);
    cr_expect_eq(cpu->exc_vector, EXC_SS);
}

Test(segment, real_mode_limit)
{
    u8 buf[4];

    sys_real();
    cr_expect_eq(mem_read(cpu, SEG_DS, 0xfffe, buf, 2), 0);
    cr_expect_eq(mem_read(cpu, SEG_DS, 0xffff, buf, 2), -1);
    cr_expect_eq(cpu->exc_vector, EXC_GP);
    cr_expect_eq(mem_write(cpu, SEG_CS, 0x8000, buf, 2), 0);
}

Test(segment, examine)
{
    static const struct {
        u8 cpl;
        u16 sel;
        bool lar, lsl, verr, verw;
    } c[] = {
        {0, S_DATA0, 1, 1, 1, 1},     {0, S_RODATA, 1, 1, 1, 0},  {0, S_XCODE, 1, 1, 0, 0},
        {0, 0, 0, 0, 0, 0},           {0, S_GATE, 1, 0, 0, 0},    {0, S_TSS, 1, 1, 0, 0},
        {3, S_DATA0, 0, 0, 0, 0},     {3, S_CONF, 1, 1, 1, 0},    {0, S_DATA3, 1, 1, 1, 1},
        {0, S_DATA0 | 3, 0, 0, 0, 0}, {0, S_GDT_END, 0, 0, 0, 0}, {0, S_LDT, 1, 1, 0, 0},
        {0, S_TASKGATE, 1, 0, 0, 0},
    };
    for (size_t i = 0; i < ARRAY_SIZE(c); i++) {
        static const u8 op[4][3] = {
            {0x0f, 0x02, 0xc8}, {0x0f, 0x03, 0xc8}, {0x0f, 0x00, 0xe0}, {0x0f, 0x00, 0xe8}};
        const bool want[4] = {c[i].lar, c[i].lsl, c[i].verr, c[i].verw};
        sys_protected(c[i].cpl);
        for (unsigned k = 0; k < 4; k++) {
            cpu->gpr[R_EAX] = c[i].sel;
            cpu->gpr[R_ECX] = 0x11223344;
            cpu->flags = want[k] ? 0 : FL_ZF;
            cr_expect_eq(sys_run(op[k], 3), BT_CONT);
            cr_expect_eq(cpu->flags, want[k] ? FL_ZF : 0, "case %zu.%u", i, k);
            if (!want[k] || k > 1)
                cr_expect_eq(cpu->gpr[R_ECX], 0x11223344);
        }
        if (i + 1 < ARRAY_SIZE(c))
            sys_free();
    }
    RUN(0x0f, 0x03, 0xc8);
    cr_expect_eq(cpu->flags, 0);
}

Test(segment, lar_lsl_values)
{
    sys_protected(0);
    cpu->gpr[R_EAX] = S_SMALL;
    RUN(0x0f, 0x02, 0xc8); /* lar ecx, eax */
    cr_expect_eq(cpu->gpr[R_ECX], 0x00409300);
    RUN(0x0f, 0x03, 0xc8); /* lsl ecx, eax */
    cr_expect_eq(cpu->gpr[R_ECX], 0xfff);
    cpu->gpr[R_EAX] = S_DATA0;
    RUN(0x0f, 0x03, 0xc8);
    cr_expect_eq(cpu->gpr[R_ECX], 0xffffffff);
}

Test(segment, arpl)
{
    sys_protected(0);
    cpu->gpr[R_EAX] = 0x10;
    cpu->gpr[R_ECX] = 0x3;
    RUN(0x63, 0xc8); /* arpl ax, cx */
    cr_expect_eq(cpu->gpr[R_EAX], 0x13);
    cr_expect_eq(cpu->flags, FL_ZF);
    RUN(0x63, 0xc8);
    cr_expect_eq(cpu->flags, 0);
    sys_free();
    sys_real();
    RUN(0x63, 0xc8);
    EXPECT_FAULT(EXC_UD, 0);
}

Test(segment, table_registers)
{
    sys_protected(0);
    RUN(0x0f, 0x01, 0x05, 0x00, 0x80, 0, 0); /* sgdt [8000h] */
    cr_expect_eq(sys_peek16(DATA_AT), S_GDT_END - 1);
    cr_expect_eq(sys_peek(DATA_AT + 2), GDT_AT);
    sys_poke16(DATA_AT, 0x123);
    sys_poke(DATA_AT + 2, 0xabcdef01);
    RUN(0x0f, 0x01, 0x1d, 0x00, 0x80, 0, 0); /* lidt [8000h] */
    cr_expect_eq(cpu->idtr.base, 0xabcdef01);
    cr_expect_eq(cpu->idtr.limit, 0x123);
    RUN(0x66, 0x0f, 0x01, 0x1d, 0x00, 0x80, 0, 0);
    cr_expect_eq(cpu->idtr.base, 0x00cdef01);
    sys_free();
    sys_protected(3);
    RUN(0x0f, 0x01, 0x1d, 0x00, 0x80, 0, 0);
    EXPECT_FAULT(EXC_GP, 0);
}

Test(segment, ltr_marks_busy)
{
    sys_protected(0);
    cpu->gpr[R_EAX] = S_TSS2;
    RUN(0x0f, 0x00, 0xd8); /* ltr ax */
    cr_expect_eq(cpu->tr.sel, S_TSS2);
    cr_expect_eq(desc_type(sys_get_desc(S_TSS2)), SYS_TSS32_BUSY);
    RUN(0x0f, 0x00, 0xd8);
    EXPECT_FAULT(EXC_GP, S_TSS2);
    cpu->gpr[R_EAX] = 0;
    RUN(0x0f, 0x00, 0xd8);
    EXPECT_FAULT(EXC_GP, 0);
}

Test(segment, pop_and_lss)
{
    sys_protected(0);
    sys_poke(STACK, S_SMALL | 0xabcd0000);
    RUN(0x07); /* pop es */
    cr_expect_eq(cpu->seg[SEG_ES].sel, S_SMALL);
    cr_expect_eq(cpu->gpr[R_ESP], STACK + 4);
    sys_poke(STACK + 4, S_XCODE);
    RUN(0x07);
    EXPECT_FAULT(EXC_GP, S_XCODE);
    cr_expect_eq(cpu->gpr[R_ESP], STACK + 4);
    sys_poke(DATA_AT, 0x7000);
    sys_poke(DATA_AT + 4, S_DATA0);
    RUN(0x0f, 0xb2, 0x25, 0x00, 0x80, 0, 0); /* lss esp, [8000h] */
    cr_expect_eq(cpu->gpr[R_ESP], 0x7000);
    sys_poke(DATA_AT, 0x6000);
    sys_poke(DATA_AT + 4, 0);
    RUN(0x0f, 0xb2, 0x25, 0x00, 0x80, 0, 0);
    EXPECT_FAULT(EXC_GP, 0);
    cr_expect_eq(cpu->gpr[R_ESP], 0x7000);
}
