/*
 * test_enter.c - guest state in and out of a sandbox, and every kind of exit.
 *
 * Breaks if a register, flag, segment or x87/SSE value is lost on either way, if an exception comes back as another kind or
 * with another vector, error code or EIP, if LDT segments do not behave as their descriptors say, or if a kick is lost.
 */
#include <cpuid.h>
#include <signal.h>
#include <stdlib.h>

#include "direct/internal.h"
#include "rig.h"

#define SLOT_SEL(n) ((u16)((n) << 3 | 7))
#define ENTERS 200

/* A guest descriptor: type is the low nibble with S and DPL 3 and P added, unless p is 0; flags: G 8, D 4, L 2. */
static u64 desc(u32 base, u32 limit, u32 type, u32 flags, u32 p)
{
    u64 access = type | 0x70 | p << 7;

    return (limit & 0xffff) | (u64)(base & 0xffffff) << 16 | access << 40 | (u64)(limit >> 16 & 15) << 48 |
           (u64)flags << 52 | (u64)(base >> 24) << 56;
}

SNIPPET(all_regs, "inc %eax; dec %ecx; not %edx; neg %ebx; push %ebx; bswap %ebp; xchg %esi, %edi; hlt");

Test(direct_enter, registers_cross)
{
    struct rig r = rig_new();
    const u32 in[8] = {0x7fffffff, 0x80000000, 0x12345678, 1, STACK, 0x11223344, 0xaaaaaaaa, 0xffffffff};

    for (int i = 0; i < 3; i++) {
        r.st = rig_state(CODE);
        memcpy(r.st.gpr, in, sizeof(in));
        RUN(&r, all_regs, DX_EXIT_PRIVILEGED);
        cr_assert_eq(r.st.gpr[DX_EAX], 0x80000000);
        cr_assert_eq(r.st.gpr[DX_ECX], 0x7fffffff);
        cr_assert_eq(r.st.gpr[DX_EDX], 0xedcba987);
        cr_assert_eq(r.st.gpr[DX_EBX], 0xffffffff);
        cr_assert_eq(r.st.gpr[DX_ESP], STACK - 4);
        cr_assert_eq(r.st.gpr[DX_EBP], 0x44332211);
        cr_assert_eq(r.st.gpr[DX_ESI], 0xffffffff);
        cr_assert_eq(r.st.gpr[DX_EDI], 0xaaaaaaaa);
        cr_assert_eq(r.st.eip, CODE + 11);
        cr_assert_eq(*(u32 *)(r.ram + STACK_AT + 4092), 0xffffffff);
        cr_assert_eq(r.x.vector, 13);
        cr_assert_eq(r.x.error, 0);
    }
    rig_free(&r);
}

SNIPPET(plain_halt, "hlt");
SNIPPET(toggle_flags, "pushf; pop %eax; xor $0x204c55, %eax; push %eax; popf; hlt");

Test(direct_enter, flags_cross)
{
    struct rig r = rig_new();
    const u32 bits[] = {1, 4, 0x10, 0x40, 0x80, 0x400, 0x800, 0x4000, 0x40000, 0x200000};

    for (unsigned i = 0; i < ARRAY_SIZE(bits); i++) {
        r.st = rig_state(CODE);
        r.st.eflags = 2 | bits[i];
        RUN(&r, plain_halt, DX_EXIT_PRIVILEGED);
        cr_assert_eq(r.st.eflags, 2 | bits[i], "in %x out %x", bits[i], r.st.eflags);
    }
    r.st = rig_state(CODE);
    r.st.eflags = 0xffffffff & ~0x40100u; /* neither TF nor AC; what cannot be set stays out */
    RUN(&r, plain_halt, DX_EXIT_PRIVILEGED);
    cr_assert_eq(r.st.eflags, (DX_EFLAGS & ~0x50100u) | 2, "%x", r.st.eflags);
    r.st = rig_state(CODE);
    RUN(&r, toggle_flags, DX_EXIT_PRIVILEGED);
    cr_assert_eq(r.st.eflags, 2 | 0x204c55, "%x", r.st.eflags);
    rig_free(&r);
}

SNIPPET(sse_add,
        "paddd %xmm1, %xmm0; movdqa %xmm7, %xmm2; fld1; faddp; fldcw 0x500000; ldmxcsr 0x500004; hlt");

Test(direct_enter, fpu_state_crosses)
{
    struct rig r = rig_new();
    const u16 cw = 0x27f;
    const u32 mxcsr = 0x9fc0;
    static const u8 two[10] = {0, 0, 0, 0, 0, 0, 0, 0x80, 0x00, 0x40};
    static const u8 three[10] = {0, 0, 0, 0, 0, 0, 0, 0xc0, 0x00, 0x40};

    memcpy(r.ram + DATA_AT, &cw, 2);
    memcpy(r.ram + DATA_AT + 4, &mxcsr, 4);
    for (unsigned i = 0; i < 8; i++)
        for (unsigned j = 0; j < 16; j++)
            r.st.fxsave[160 + 16 * i + j] = (u8)(16 * i + j);
    memcpy(r.st.fxsave + 32, two, sizeof(two)); /* ST0; top is 7 */
    r.st.fxsave[3] = 7 << 3;
    r.st.fxsave[4] = 0x80;
    RUN(&r, sse_add, DX_EXIT_PRIVILEGED);
    for (unsigned j = 0; j < 16; j += 4) {
        cr_assert_eq(r.st.fxsave[160 + j], (u8)(2 * j + 16));
        cr_assert_eq(r.st.fxsave[160 + 32 + j], (u8)(112 + j));
        cr_assert_eq(r.st.fxsave[160 + 48 + j], (u8)(48 + j));
    }
    cr_assert_arr_eq(r.st.fxsave + 32, three, sizeof(three));
    cr_assert_eq(r.st.fxsave[3] & 0x38, 7 << 3);
    cr_assert_eq(r.st.fxsave[4], 0x80);
    cr_assert_arr_eq(r.st.fxsave, &cw, 2);
    cr_assert_arr_eq(r.st.fxsave + 24, &mxcsr, 4);
    rig_free(&r);
}

SNIPPET(set_ymm, "vpcmpeqd %xmm0, %xmm0, %xmm0; vinsertf128 $1, %xmm0, %ymm0, %ymm0; hlt");
SNIPPET(get_ymm, "vextractf128 $1, %ymm0, %xmm1; hlt");

Test(direct_enter, newer_vector_state_does_not_survive)
{
    struct rig r = rig_new();
    static const u8 zero[16];
    u32 a, b, c, d;

    if (__get_cpuid(1, &a, &b, &c, &d) && (c & bit_AVX)) {
        RUN(&r, set_ymm, DX_EXIT_PRIVILEGED);
        r.st = rig_state(CODE);
        memset(r.st.fxsave + 176, 0xee, 16);
        RUN(&r, get_ymm, DX_EXIT_PRIVILEGED);
        cr_assert_arr_eq(r.st.fxsave + 176, zero, 16);
    }
    rig_free(&r);
}

SNIPPET(tls, "mov %gs:4, %eax; mov %fs:8, %ecx; hlt");

Test(direct_enter, segment_bases)
{
    struct rig r = rig_new();

    *(u32 *)(r.ram + DATA_AT + 0x104) = 0x1111;
    *(u32 *)(r.ram + DATA_AT + 0x208) = 0x2222;
    r.st.seg[DX_GS].base = DATA + 0x100;
    r.st.seg[DX_FS].base = DATA + 0x200;
    RUN(&r, tls, DX_EXIT_PRIVILEGED);
    cr_assert_eq(r.st.gpr[DX_EAX], 0x1111);
    cr_assert_eq(r.st.gpr[DX_ECX], 0x2222);
    cr_assert_eq(r.st.seg[DX_GS].base, DATA + 0x100);
    cr_assert_eq(r.st.seg[DX_FS].base, DATA + 0x200);
    cr_assert_eq(r.st.seg[DX_FS].kind, DX_SEG_FLAT);
    /* a base near the top wraps at 4 GiB: nothing above can be named */
    r.st = rig_state(CODE);
    r.st.seg[DX_GS].base = 0xfffffffc;
    RUN(&r, tls, DX_EXIT_PAGE_FAULT);
    cr_assert_eq(r.x.cr2, 0);
    r.st = rig_state(CODE);
    r.st.seg[DX_GS].kind = DX_SEG_NULL;
    RUN(&r, tls, DX_EXIT_PRIVILEGED);
    cr_assert_eq(r.st.eip, CODE);
    cr_assert_eq(r.st.seg[DX_GS].kind, DX_SEG_NULL);
    rig_free(&r);
}

/* One instruction, and how it must end: eip relative to CODE. */
struct exit_case {
    const char *name;
    u8 bytes[12], kind, vector;
    u32 error, eip;
};

static const struct exit_case exits[] = {
    {"hlt", {0xf4}, DX_EXIT_PRIVILEGED, 13, 0, 0},
    {"cli", {0xfa}, DX_EXIT_PRIVILEGED, 13, 0, 0},
    {"in al, dx", {0xec}, DX_EXIT_PRIVILEGED, 13, 0, 0},
    {"mov eax, cr0", {0x0f, 0x20, 0xc0}, DX_EXIT_PRIVILEGED, 13, 0, 0},
    {"lldt ax", {0x0f, 0x00, 0xd0}, DX_EXIT_PRIVILEGED, 13, 0, 0},
    {"rdmsr", {0x0f, 0x32}, DX_EXIT_PRIVILEGED, 13, 0, 0},
    {"int 21h", {0xcd, 0x21}, DX_EXIT_INT, 0x21, 0, 0},
    {"int 1", {0xcd, 0x01}, DX_EXIT_INT, 0x01, 0, 0},
    {"int 0eh", {0xcd, 0x0e}, DX_EXIT_INT, 0x0e, 0, 0},
    {"int 0ffh, prefixes", {0x66, 0xcd, 0xff}, DX_EXIT_INT, 0xff, 0, 0},
    {"int 80h", {0xcd, 0x80}, DX_EXIT_SYSCALL, 0x80, 0, 2},
    {"int3", {0xcc}, DX_EXIT_BREAKPOINT, 3, 0, 1},
    {"int 3", {0xcd, 0x03}, DX_EXIT_BREAKPOINT, 3, 0, 2},
    {"int1", {0xf1}, DX_EXIT_FAULT, 1, 0, 1},
    {"div ecx", {0xf7, 0xf1}, DX_EXIT_FAULT, 0, 0, 0},
    {"into", {0xb0, 0x7f, 0xfe, 0xc0, 0xce}, DX_EXIT_FAULT, 4, 0, 5},
    {"bound eax, [DATA]", {0x62, 0x05, 0, 0, 0x50, 0}, DX_EXIT_FAULT, 5, 0, 0},
    {"ud2", {0x0f, 0x0b}, DX_EXIT_FAULT, 6, 0, 0},
    {"mov ds, 5555h", {0x66, 0xb8, 0x55, 0x55, 0x8e, 0xd8}, DX_EXIT_FAULT, 13, 0x5554, 4},
    {"mov ss, 0", {0x8e, 0xd0}, DX_EXIT_PRIVILEGED, 13, 0, 0},
    {"mov ss, ldt 3", {0x66, 0xb8, 0x1f, 0x00, 0x8e, 0xd0}, DX_EXIT_FAULT, 13, 0x1c, 4},
    {"jmp 0000:", {0xea, 0, 0, 0, 0, 0, 0}, DX_EXIT_PRIVILEGED, 13, 0, 0},
    {"movaps xmm0, [DATA + 4]", {0x0f, 0x28, 0x05, 4, 0, 0x50, 0}, DX_EXIT_PRIVILEGED, 13, 0, 0},
    {"mov eax, [0]", {0xa1, 0, 0, 0, 0}, DX_EXIT_PAGE_FAULT, 14, 4, 0},
    {"mov [0], eax", {0xa3, 0, 0, 0, 0}, DX_EXIT_PAGE_FAULT, 14, 6, 0},
};

Test(direct_enter, every_exception_has_its_kind)
{
    struct rig r = rig_new();

    for (unsigned i = 0; i < ARRAY_SIZE(exits); i++) {
        const struct exit_case *c = &exits[i];
        r.st = rig_state(CODE);
        *(u32 *)(r.ram + DATA_AT) = 5; /* bound: 0 is outside of 5..5 */
        *(u32 *)(r.ram + DATA_AT + 4) = 5;
        rig_load(&r, c->bytes, c->bytes + sizeof(c->bytes));
        rig_enter(&r);
        cr_assert_eq(r.x.kind, c->kind, "%s: exit %u vector %u: %s", c->name, r.x.kind, r.x.vector, r.x.why);
        cr_assert_eq(r.x.vector, c->vector, "%s: vector %u", c->name, r.x.vector);
        cr_assert_eq(r.x.error, c->error, "%s: error %x", c->name, r.x.error);
        bool at = r.x.kind == DX_EXIT_FAULT && r.x.vector == 1 && r.st.eip == CODE; /* hypervisors differ */
        cr_assert(at || r.st.eip == CODE + c->eip, "%s: eip %x", c->name, r.st.eip);
        cr_assert_eq(r.x.why[0], '\0');
    }
    rig_free(&r);
}

SNIPPET(read_tsc, "rdtsc; ud2");
SNIPPET(read_cpuid, "xor %eax, %eax; cpuid; ud2");

Test(direct_enter, rdtsc_and_cpuid_trap_when_asked_for)
{
    struct rig r = rig_new();

    RUN(&r, read_tsc, DX_EXIT_FAULT);
    cr_assert_eq(dx_caps(r.dx)->tsc_traps + dx_caps(r.dx)->cpuid_traps, 0);
    dx_box_free(r.b);
    r.dx->cfg.trap_tsc = r.dx->cfg.trap_cpuid = 1;
    rig_box(&r);
    cr_assert_eq(dx_caps(r.dx)->tsc_traps, 1);
    RUN(&r, read_tsc, DX_EXIT_PRIVILEGED);
    cr_assert_eq(r.st.eip, CODE);
    r.st.eip = CODE;
    RUN(&r, read_cpuid, dx_caps(r.dx)->cpuid_traps ? DX_EXIT_PRIVILEGED : DX_EXIT_FAULT);
    rig_free(&r);
}

SNIPPET(fast_calls, "mov $0x500100, %esp; mov %esp, %ebp; mov $20, %eax; sysenter; hlt");
SNIPPET(fast_call_amd, "mov $0x500100, %esp; mov %esp, %ebp; mov $20, %eax; syscall; hlt");

Test(direct_enter, fast_system_calls_are_lost_or_undefined)
{
    struct rig r = rig_new();
    u8 kind;

    rig_load(&r, fast_calls, fast_calls_end);
    kind = rig_enter(&r);
    cr_assert(kind == DX_EXIT_FAST_SYSCALL || (kind == DX_EXIT_FAULT && r.x.vector == 6), "%u %u", kind,
              r.x.vector);
    r.st = rig_state(CODE);
    rig_load(&r, fast_call_amd, fast_call_amd_end);
    kind = rig_enter(&r);
    cr_assert(kind == DX_EXIT_FAST_SYSCALL || (kind == DX_EXIT_FAULT && r.x.vector == 6), "%u %u", kind,
              r.x.vector);
    r.st = rig_state(CODE);
    RUN(&r, plain_halt, DX_EXIT_PRIVILEGED);
    rig_free(&r);
}

/* With a stack that the kernel cannot read it returns by itself, to where its vdso would be: page 0, always empty. */
SNIPPET(fast_call_no_stack, "xor %esp, %esp; xor %ebp, %ebp; syscall; hlt");
SNIPPET(fast_enter_no_stack, "xor %esp, %esp; xor %ebp, %ebp; sysenter; hlt");

Test(direct_enter, failing_fast_system_calls_are_lost_too)
{
    struct rig r = rig_new();
    const u8 *const code[][2] = {{fast_call_no_stack, fast_call_no_stack_end},
                                 {fast_enter_no_stack, fast_enter_no_stack_end}};

    for (unsigned i = 0; i < 2; i++) {
        r.st = rig_state(CODE);
        rig_load(&r, code[i][0], code[i][1]);
        rig_enter(&r);
        bool lost = r.x.kind == DX_EXIT_FAST_SYSCALL ||
                    (r.x.kind == DX_EXIT_PAGE_FAULT && r.st.eip < 4096 && r.x.cr2 == r.st.eip);
        cr_assert(lost || (r.x.kind == DX_EXIT_FAULT && r.x.vector == 6), "%u %u eip %x: %s", r.x.kind,
                  r.x.vector, r.st.eip, r.x.why);
    }
    rig_free(&r);
}

SNIPPET(fpu_error, "fldcw 0x500000; fld1; fldz; fdivrp; fwait; hlt");
SNIPPET(sse_error, "ldmxcsr 0x500004; xorps %xmm1, %xmm1; divss %xmm1, %xmm0; hlt");

Test(direct_enter, fpu_errors)
{
    struct rig r = rig_new();
    const u16 cw = 0x340;
    const u32 mxcsr = 0x1d00;

    memcpy(r.ram + DATA_AT, &cw, 2);
    memcpy(r.ram + DATA_AT + 4, &mxcsr, 4);
    RUN(&r, fpu_error, DX_EXIT_FAULT);
    cr_assert_eq(r.x.vector, 16);
    r.st = rig_state(CODE);
    r.st.fxsave[160 + 3] = 0x3f;
    RUN(&r, sse_error, DX_EXIT_FAULT);
    cr_assert_eq(r.x.vector, 19);
    rig_free(&r);
}

SNIPPET(misaligned, "mov 0x500001, %eax; hlt");

Test(direct_enter, alignment_check)
{
    struct rig r = rig_new();

    r.st.eflags |= 0x40000;
    RUN(&r, misaligned, DX_EXIT_FAULT);
    cr_assert_eq(r.x.vector, 17);
    cr_assert_eq(r.st.eip, CODE);
    cr_assert(r.st.eflags & 0x40000);
    r.st.eflags &= ~0x40000u;
    RUN(&r, misaligned, DX_EXIT_PRIVILEGED);
    rig_free(&r);
}

SNIPPET(two_steps, "nop; inc %eax; jmp .");

Test(direct_enter, single_step)
{
    struct rig r = rig_new();

    r.st.eflags |= 0x100;
    RUN(&r, two_steps, DX_EXIT_STEP);
    cr_assert_eq(r.st.eip, CODE + 1);
    cr_assert_eq(r.x.vector, 1);
    cr_assert(r.st.eflags & 0x100);
    cr_assert_eq(rig_enter(&r), DX_EXIT_STEP);
    cr_assert_eq(r.st.eip, CODE + 2);
    cr_assert_eq(r.st.gpr[DX_EAX], 1);
    cr_assert_eq(rig_enter(&r), DX_EXIT_STEP);
    cr_assert_eq(r.st.eip, CODE + 2);
    rig_free(&r);
}

SNIPPET(run_data, "jmp 0x500000 - 0x400000 + run_data");

Test(direct_enter, pages_without_execute_exit)
{
    struct rig r = rig_new();

    RUN(&r, run_data, DX_EXIT_PAGE_FAULT);
    cr_assert_eq(r.st.eip, DATA);
    cr_assert_eq(r.x.cr2, DATA);
    cr_assert_eq(r.x.error & 0x12, 0x10);
    rig_free(&r);
}

SNIPPET(ldt_read, "mov $0x2f, %eax; mov %eax, %ds; mov 8, %ecx; hlt");
SNIPPET(ldt_over, "mov 9, %ecx; hlt");
SNIPPET(ldt_far, "ljmp $0x17, $0x800");
SNIPPET(code16, ".code16; mov $0x1234, %ax; push %ax; hlt; .code32");

Test(direct_enter, ldt_segments)
{
    struct rig r = rig_new();
    const u64 d[] = {
        desc(CODE, 0xfff, 0xb, 0, 1),          /* 2: 16-bit code */
        desc(DATA, 0xfff, 0x3, 0, 1),          /* 3: 16-bit data */
        desc(DATA + 0x100, 0xb, 0x3, 4, 0),    /* 4: not present */
        desc(DATA + 0x100, 0xb, 0x3, 4, 1),    /* 5: 12 bytes */
        desc(0, 0xfffff, 0x2, 12, 1),          /* 6: not accessed yet: not mirrored */
        desc(0, 0xfffff, 0xf, 12, 1),          /* 7: conforming: not mirrored */
        desc(STACK - 4096, 0xffff, 0x3, 0, 1), /* 8: 16-bit stack */
    };

    cr_assert_eq(dx_ldt_set(r.b, 2, d, ARRAY_SIZE(d)), 0);
    *(u32 *)(r.ram + DATA_AT + 0x108) = 0xabcd;
    RUN(&r, ldt_read, DX_EXIT_PRIVILEGED);
    cr_assert_eq(r.st.gpr[DX_ECX], 0xabcd);
    cr_assert_eq(r.st.seg[DX_DS].kind, DX_SEG_LDT);
    cr_assert_eq(r.st.seg[DX_DS].sel, SLOT_SEL(5));
    /* back in with it, one byte beyond its limit */
    r.st.eip = CODE;
    RUN(&r, ldt_over, DX_EXIT_PRIVILEGED);
    cr_assert_eq(r.st.eip, CODE);
    /* to 16-bit code, with a 16-bit stack whose upper half of ESP must survive */
    r.st = rig_state(CODE);
    r.st.gpr[DX_ESP] = 0xabcd0800;
    r.st.seg[DX_SS] = (struct dx_seg){DX_SEG_LDT, SLOT_SEL(8), 0};
    memcpy(r.ram + CODE_AT + 0x800, code16, (size_t)(code16_end - code16));
    RUN(&r, ldt_far, DX_EXIT_PRIVILEGED);
    cr_assert_eq(r.st.seg[DX_CS].kind, DX_SEG_LDT);
    cr_assert_eq(r.st.seg[DX_CS].sel, SLOT_SEL(2));
    cr_assert_eq(r.st.eip, 0x804);
    cr_assert_eq(r.st.gpr[DX_ESP], 0xabcd07fe, "%x", r.st.gpr[DX_ESP]);
    cr_assert_eq(*(u16 *)(r.ram + STACK_AT + 0x7fe), 0x1234);
    /* and straight into it */
    r.st.eip = 0x800;
    cr_assert_eq(rig_enter(&r), DX_EXIT_PRIVILEGED);
    cr_assert_eq(r.st.gpr[DX_ESP], 0xabcd07fc, "%x", r.st.gpr[DX_ESP]);
    rig_free(&r);
}

SNIPPET(load_es, "mov %ax, %es; hlt");
SNIPPET(push_low, "push %eax; hlt");

Test(direct_enter, ldt_faults)
{
    struct rig r = rig_new();
    const u64 d[] = {desc(0, 0xfffff, 0x3, 12, 0), desc(0, 0xfffff, 0x2, 12, 1), desc(0, 0xfff, 0x7, 4, 1)};
    const u64 none = 0;

    cr_assert_eq(dx_ldt_set(r.b, 20, d, ARRAY_SIZE(d)), 0);
    r.st.gpr[DX_EAX] = SLOT_SEL(20);
    RUN(&r, load_es, DX_EXIT_FAULT);
    cr_assert_eq(r.x.vector, 11);
    cr_assert_eq(r.x.error, SLOT_SEL(20) & ~3);
    r.st = rig_state(CODE);
    r.st.gpr[DX_EAX] = SLOT_SEL(21);
    RUN(&r, load_es, DX_EXIT_FAULT);
    cr_assert_eq(r.x.vector, 13);
    cr_assert_eq(r.x.error, SLOT_SEL(21) & ~3);
    /* expand-down stack: below its limit is #SS */
    r.st = rig_state(CODE);
    r.st.seg[DX_SS] = (struct dx_seg){DX_SEG_LDT, SLOT_SEL(22), 0};
    r.st.gpr[DX_ESP] = 0xf00;
    RUN(&r, push_low, DX_EXIT_FAULT);
    cr_assert_eq(r.x.vector, 12);
    cr_assert_eq(r.x.error, 0);
    cr_assert_eq(dx_ldt_set(r.b, 22, &none, 1), 0);
    rig_enter(&r);
    cr_assert_eq(r.x.kind, DX_EXIT_REFUSED);
    cr_assert_str_eq(r.x.why, "SS: selector without a mirrored descriptor");
    cr_assert_eq(dx_ldt_set(r.b, DX_LDT_SLOTS, &none, 1), -EINVAL);
    cr_assert_eq(dx_ldt_set(r.b, DX_LDT_SLOTS - 1, &none, 2), -EINVAL);
    cr_assert_eq(dx_ldt_set(r.b, DX_LDT_SLOTS - 1, d, 1), 0);
    rig_free(&r);
}

Test(direct_enter, states_that_cannot_be_entered_are_refused)
{
    struct rig r = rig_new();
    const u64 d[] = {desc(0, 0xfffff, 0x3, 12, 1), desc(0, 0xfffff, 0xb, 12, 1), desc(0, 0xfffff, 0x3, 12, 0),
                     desc(0, 0xfffff, 0x9, 12, 1)};
    static const struct {
        u8 reg;
        struct dx_seg seg;
    } bad[] = {
        {DX_CS, {DX_SEG_NULL, 0, 0}},     {DX_SS, {DX_SEG_NULL, 0, 0}},
        {DX_DS, {DX_SEG_FLAT, 0, 4}},     {DX_DS, {9, 0, 0}},
        {DX_ES, {DX_SEG_LDT, 0x2b, 0}},   {DX_CS, {DX_SEG_LDT, 0x07, 0}},
        {DX_SS, {DX_SEG_LDT, 0x0f, 0}},   {DX_DS, {DX_SEG_LDT, 0x17, 0}},
        {DX_DS, {DX_SEG_LDT, 0x1f, 0}},   {DX_SS, {DX_SEG_LDT, 0x04, 0}},
        {DX_GS, {DX_SEG_LDT, 0xffff, 0}},
    };

    cr_assert_eq(dx_ldt_set(r.b, 0, d, ARRAY_SIZE(d)), 0);
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        struct dx_state before;
        r.st = rig_state(CODE);
        r.st.seg[bad[i].reg] = bad[i].seg;
        before = r.st;
        rig_enter(&r);
        cr_assert_eq(r.x.kind, DX_EXIT_REFUSED, "case %u: exit %u", i, r.x.kind);
        cr_assert_neq(r.x.why[0], '\0');
        cr_assert_arr_eq(&r.st, &before, sizeof(before));
    }
    cr_assert_not(dx_box_dead(r.b));
    rig_free(&r);
}

SNIPPET(spin, "1: inc %eax; jmp 1b");

Test(direct_enter, kick_ends_an_endless_loop)
{
    struct rig r = rig_new();
    struct later l;
    u32 longest = 0;

    for (unsigned i = 0; i < 10; i++) { /* on a busy host some kicks come before the first instruction */
        r.st = rig_state(CODE);
        kick_in(&l, &r, 10);
        RUN(&r, spin, DX_EXIT_KICKED);
        kick_join(&l);
        longest = r.st.gpr[DX_EAX] > longest ? r.st.gpr[DX_EAX] : longest;
        cr_assert(r.st.eip == CODE || r.st.eip == CODE + 1);
    }
    cr_assert_gt(longest, 1000);
    rig_free(&r);
}

static u64 now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (u64)t.tv_sec * 1000000000u + (u64)t.tv_nsec;
}

Test(direct_enter, a_deadline_ends_an_endless_loop_without_a_kick)
{
    struct rig r = rig_new();

    if (dx_caps(r.dx)->timer) {
        for (unsigned i = 0; i < 3; i++) {
            u64 at = now_ns() + 5000000;
            dx_deadline(r.b, at);
            RUN(&r, spin, DX_EXIT_KICKED);
            cr_assert_geq(now_ns(), at, "it came out of the loop too early");
            r.st = rig_state(CODE);
        }
    }
    rig_free(&r);
}

Test(direct_enter, kick_before_entering_is_not_lost)
{
    struct rig r = rig_new();

    dx_kick(r.b);
    dx_kick(r.b);
    RUN(&r, spin, DX_EXIT_KICKED);
    cr_assert_eq(r.st.eip, CODE);
    r.st = rig_state(CODE);
    RUN(&r, plain_halt, DX_EXIT_PRIVILEGED);
    rig_free(&r);
}

static struct dx_box *alarm_box;

static void on_alarm(int sig)
{
    (void)sig;
    dx_kick(alarm_box);
}

Test(direct_enter, kick_from_a_signal_handler)
{
    struct rig r = rig_new();
    struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    struct itimerspec it = {{0, 2000000}, {0, 2000000}};
    timer_t t;

    alarm_box = r.b;
    signal(SIGUSR1, on_alarm);
    cr_assert_eq(timer_create(CLOCK_MONOTONIC, &ev, &t), 0);
    cr_assert_eq(timer_settime(t, 0, &it, NULL), 0);
    for (unsigned i = 0; i < 20; i++)
        RUN(&r, spin, DX_EXIT_KICKED);
    timer_delete(t);
    rig_free(&r);
}

struct storm {
    struct dx_box *b;
    _Atomic bool stop;
};

static void *storm_kicks(void *arg)
{
    struct storm *s = arg;
    struct timespec t = {0, 20000};

    while (!s->stop) {
        dx_kick(s->b);
        nanosleep(&t, NULL);
    }
    return NULL;
}

SNIPPET(breaks_loop, "1: inc %eax; int3; jmp 1b");

/* However a kick falls, every exit is a kick or the breakpoint, and no breakpoint is lost or doubled. */
Test(direct_enter, kicks_at_any_time)
{
    struct rig r = rig_new();
    struct storm s = {.b = r.b};
    pthread_t t;
    u32 breaks = 0;

    rig_load(&r, breaks_loop, breaks_loop_end);
    cr_assert_eq(pthread_create(&t, NULL, storm_kicks, &s), 0);
    for (unsigned i = 0; i < 3000; i++) {
        rig_enter(&r);
        cr_assert(r.x.kind == DX_EXIT_BREAKPOINT || r.x.kind == DX_EXIT_KICKED, "%u: %s", r.x.kind, r.x.why);
        breaks += r.x.kind == DX_EXIT_BREAKPOINT;
        cr_assert(r.st.gpr[DX_EAX] - breaks <= 1);
    }
    s.stop = true;
    pthread_join(t, NULL);
    cr_assert_gt(breaks, 0);
    rig_free(&r);
}
