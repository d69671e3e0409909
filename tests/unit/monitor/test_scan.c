/*
 * test_scan.c - The scanner of code that may run directly: what keeps a page out, what it follows, where it stops.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "monitor/monitor.h"
#include "monitor/scan.h"

static struct scan_cpu model(void)
{
    return (struct scan_cpu){cpuid_features(CPU_MAX), SCAN_HOST_VEX | SCAN_HOST_RTM, false};
}

static struct scan_result scan_at(u32 at, const void *code, unsigned n, u16 entry)
{
    static u8 page[PAGE_BYTES];
    struct scan_result r;

    memset(page, 0x90, sizeof(page));
    page[PAGE_BYTES - 1] = 0xc3;
    memcpy(page + at, code, n);
    struct scan_cpu cpu = model();
    scan_page(page, &entry, 1, 0, &cpu, &r);
    return r;
}

#define SCAN(...)                                      \
    ({                                                 \
        const u8 bytes_[] = {__VA_ARGS__};             \
        scan_at(0x100, bytes_, sizeof(bytes_), 0x100); \
    })

Test(scan, plain_code_is_clean)
{
    struct scan_result r = SCAN(0x55, 0x89, 0xe5, 0x83, 0xec, 0x10, 0xcd, 0x80, 0xc9, 0xc3);

    cr_assert_eq(r.reason, SCAN_CLEAN);
    cr_assert_geq(r.insns, 6);
}

Test(scan, every_kind_of_sensitive_instruction_keeps_the_page_out)
{
    static const struct {
        u8 bytes[6], reason;
    } cases[] = {
        {{0x1e}, SCAN_SELECTOR},             /* push ds */
        {{0x07}, SCAN_SELECTOR},             /* pop es */
        {{0x8c, 0xe8}, SCAN_SELECTOR},       /* mov eax, gs */
        {{0x8e, 0xe8}, SCAN_SELECTOR},       /* mov gs, eax */
        {{0x0f, 0xb5, 0x00}, SCAN_SELECTOR}, /* lgs eax, [eax] */
        {{0xc5, 0x00}, SCAN_SELECTOR},       /* lds eax, [eax] */
        {{0x0f, 0x02, 0xc0}, SCAN_SELECTOR}, /* lar */
        {{0x0f, 0x03, 0xc0}, SCAN_SELECTOR}, /* lsl */
        {{0x0f, 0x00, 0xe0}, SCAN_SELECTOR}, /* verr */
        {{0x0f, 0x00, 0xe8}, SCAN_SELECTOR}, /* verw */
        {{0x0f, 0x01, 0x00}, SCAN_TABLE},    /* sgdt */
        {{0x0f, 0x01, 0x08}, SCAN_TABLE},    /* sidt */
        {{0x0f, 0x00, 0xc0}, SCAN_TABLE},    /* sldt */
        {{0x0f, 0x00, 0xc8}, SCAN_TABLE},    /* str */
        {{0x0f, 0x01, 0xe0}, SCAN_TABLE},    /* smsw */
        {{0x9a, 0, 0, 0, 0, 0}, SCAN_FAR},
        {{0xea, 0, 0, 0, 0, 0}, SCAN_FAR},
        {{0xcb}, SCAN_FAR},
        {{0xcf}, SCAN_FAR},
        {{0xff, 0x28}, SCAN_FAR}, /* jmp far [eax] */
        {{0x0f, 0x34}, SCAN_FAR}, /* sysenter */
        {{0x0f, 0xa2}, SCAN_CPUID},
        {{0x0f, 0x33}, SCAN_TIME},         /* rdpmc */
        {{0x0f, 0x31}, SCAN_TIME},         /* rdtsc */
        {{0xd9, 0x30}, SCAN_FPUENV},       /* fnstenv */
        {{0x0f, 0xae, 0x00}, SCAN_FPUENV}, /* fxsave */
        {{0x0f, 0xc7, 0xf0}, SCAN_MODEL},  /* rdrand */
        {{0x0f, 0x01, 0xd0}, SCAN_MODEL},  /* xgetbv */
        {{0x0f, 0x05}, SCAN_MODEL},        /* syscall */
        {{0xc5, 0xf8, 0x77}, SCAN_MODEL},  /* vzeroupper */
    };

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        struct scan_result r = scan_at(0x200, cases[i].bytes, 6, 0x200);

        cr_expect_eq(r.reason, cases[i].reason, "case %u: %s", i, scan_reason_name(r.reason));
        cr_expect_eq(r.at, 0x200, "case %u at %x", i, r.at);
    }
}

Test(scan, lzcnt_of_the_host_is_bsr_in_an_older_model)
{
    static const u8 bytes[] = {0xf3, 0x0f, 0xbd, 0xc0};
    struct dec_insn in;
    u32 old = cpuid_features(CPU_PENTIUM4);

    cr_assert_eq(dec_decode(&in, bytes, sizeof(bytes), true, old), 0);
    struct scan_cpu cpu = {old, 0, false};
    cr_assert_eq(scan_insn(&in, bytes, &cpu), SCAN_MODEL);
    cpu.features |= 1u << FEAT_LZCNT;
    cr_assert_eq(scan_insn(&in, bytes, &cpu), SCAN_CLEAN);
}

Test(scan, x87_environment_passes_where_it_may)
{
    static const u8 bytes[4][2] = {{0xd9, 0x30}, {0xd9, 0x20}, {0xdd, 0x30}, {0xdd, 0x20}},
                    fxsave[] = {0x0f, 0xae, 0x00};
    struct scan_cpu cpu = model();
    struct dec_insn in;

    for (unsigned i = 0; i < 4; i++) {
        cr_assert_eq(dec_decode(&in, bytes[i], 2, true, cpu.features), 0);
        cpu.x87_env = false;
        cr_expect_eq(scan_insn(&in, bytes[i], &cpu), SCAN_FPUENV);
        cpu.x87_env = true;
        cr_expect_eq(scan_insn(&in, bytes[i], &cpu), SCAN_CLEAN);
    }
    cr_assert_eq(dec_decode(&in, fxsave, sizeof(fxsave), true, cpu.features), 0);
    cr_expect_eq(scan_insn(&in, fxsave, &cpu), SCAN_FPUENV, "shows the host's MXCSR_MASK");
}

Test(scan, what_traps_is_welcome)
{
    cr_assert_eq(SCAN(0xfa, 0xfb, 0xf4, 0xe4, 0x60, 0x0f, 0x20, 0xc0, 0xcc, 0xce, 0x0f, 0x0b, 0xc3).reason,
                 SCAN_CLEAN);
}

Test(scan, follows_branches_both_ways_and_calls)
{
    /* jz +2; ret; nop; cpuid */
    cr_assert_eq(SCAN(0x74, 0x02, 0xc3, 0x90, 0x0f, 0xa2).reason, SCAN_CPUID);
    /* call over data to code: the data behind the call is where it returns to */
    cr_assert_eq(SCAN(0xe8, 0x02, 0x00, 0x00, 0x00, 0x0f, 0xa2, 0xc3).reason, SCAN_CPUID);
}

Test(scan, code_that_nothing_in_the_page_leads_to_counts_too)
{
    /* ret, then code that could be reached by an indirect branch */
    cr_assert_eq(SCAN(0xc3, 0x90, 0x0f, 0xa2).reason, SCAN_CPUID);
    /* before the entry */
    static const u8 cpuid[] = {0x0f, 0xa2};
    cr_assert_eq(scan_at(0x40, cpuid, 2, 0x100).reason, SCAN_CPUID);
    /* behind bytes that no CPU decodes: a table between functions */
    cr_assert_eq(SCAN(0xc3, 0xff, 0xff, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x0f, 0xa2).reason, SCAN_CPUID);
    cr_assert_eq(SCAN(0xc3, 0xff, 0xff, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90).reason, SCAN_CLEAN);
}

Test(scan, swept_bytes_that_the_host_alone_decodes_keep_the_page_out)
{
    cr_assert_eq(SCAN(0xc3, 0x0f, 0xc7, 0xf0).reason, SCAN_MODEL);       /* rdrand */
    cr_assert_eq(SCAN(0xc3, 0xc5, 0xf8, 0x77).reason, SCAN_MODEL);       /* vzeroupper */
    cr_assert_eq(SCAN(0xc3, 0xc7, 0xf8, 0, 0, 0, 0).reason, SCAN_MODEL); /* xbegin */
}

Test(scan, the_end_of_an_instruction_that_goes_on_in_the_next_page_is_no_code)
{
    static const u8 mov[] = {0xb8, 0x0f, 0xa2}; /* mov eax, imm32 */

    cr_assert_eq(scan_at(PAGE_BYTES - 3, mov, 3, 0x100).reason, SCAN_CLEAN);
}

Test(scan, what_the_host_lacks_traps)
{
    static const u8 bytes[] = {0xc5, 0xf8, 0x77}, tzcnt[] = {0xf3, 0x0f, 0xbc, 0xc0};
    struct scan_cpu cpu = model();
    struct dec_insn in;

    cr_assert_eq(dec_decode(&in, bytes, sizeof(bytes), true, cpu.features), 0);
    cr_assert_eq(scan_insn(&in, bytes, &cpu), SCAN_MODEL);
    cpu.host = 0;
    cr_assert_eq(scan_insn(&in, bytes, &cpu), SCAN_CLEAN);
    cr_assert_eq(dec_decode(&in, tzcnt, sizeof(tzcnt), true, cpu.features), 0);
    cr_assert_eq(scan_insn(&in, tzcnt, &cpu), SCAN_CLEAN);
}

Test(scan, first_instruction_of_a_page)
{
    u8 before[PAGE_BYTES], page[PAGE_BYTES];
    const u32 features = cpuid_features(CPU_MAX);
    const u16 entry = 0x800;
    struct scan_cpu cpu = model();
    struct scan_result r;

    memset(before, 0x90, sizeof(before));
    memset(page, 0x90, sizeof(page));
    cr_assert_eq(scan_head(before, page, features), 0);
    before[PAGE_BYTES - 2] = 0xb8; /* mov eax, with CPUID's bytes as its end */
    page[1] = 0x0f;
    page[2] = 0xa2;
    cr_assert_eq(scan_head(before, page, features), 3);
    scan_page(page, &entry, 1, 0, &cpu, &r);
    cr_assert_eq(r.reason, SCAN_CPUID);
    scan_page(page, &entry, 1, 3, &cpu, &r);
    cr_assert_eq(r.reason, SCAN_CLEAN);
    before[PAGE_BYTES - 2] = 0x90;
    cr_assert_eq(scan_head(before, page, features), 0);
}

Test(scan, first_instruction_of_a_page_that_stands_alone)
{
    /* A procedure linkage table, cut in the middle of "jmp [ebx+disp32]": the sweep from 0 reads RETF, and the true one does not. */
    static const u8 plt[] = {0xcb, 0x00, 0x00, 0x00, 0x68, 0x10, 0x00, 0x00, 0x00, 0xe9, 0xc0, 0xff, 0xff, 0xff};
    static const u8 entry_bytes[] = {0xff, 0xa3, 0x14, 0x00, 0x00, 0x00, 0x68, 0x18, 0x00, 0x00, 0x00, 0xe9, 0xb0, 0xff, 0xff, 0xff};
    const u32 features = cpuid_features(CPU_MAX);
    const u16 entry = 0x800;
    struct scan_cpu cpu = model();
    struct scan_result r;
    u8 page[PAGE_BYTES];

    memset(page, 0x90, sizeof(page));
    memcpy(page, plt, sizeof(plt));
    for (unsigned i = 0; i < 8; i++)
        memcpy(page + sizeof(plt) + i * sizeof(entry_bytes), entry_bytes, sizeof(entry_bytes));
    scan_page(page, &entry, 1, 0, &cpu, &r);
    cr_assert_eq(r.reason, SCAN_FAR);
    unsigned head = scan_head(NULL, page, features);
    cr_assert_leq(head, sizeof(plt) + 2 * sizeof(entry_bytes), "%u", head);
    scan_page(page, &entry, 1, head, &cpu, &r);
    cr_assert_eq(r.reason, SCAN_CLEAN);
    page[head + 64] = 0x0f; /* behind there all counts */
    page[head + 65] = 0xa2;
    memset(page + head, 0x90, 64);
    scan_page(page, &entry, 1, head, &cpu, &r);
    cr_assert_eq(r.reason, SCAN_CPUID);
    memset(page, 0x04, sizeof(page)); /* ADD AL,4: even and odd sweeps never meet */
    cr_assert_eq(scan_head(NULL, page, features), 0);
}

Test(scan, instruction_across_the_end_of_the_page)
{
    static const u8 head[] = {0xff, 0x0f};
    struct scan_result r = scan_at(PAGE_BYTES - 1, head + 1, 1, PAGE_BYTES - 1);
    u8 page[PAGE_BYTES], next[PAGE_BYTES] = {0xa2};
    struct scan_cpu cpu = model();

    cr_assert_eq(r.reason, SCAN_CLEAN);
    cr_assert_eq(r.tail_bytes, 1);
    memset(page, 0x90, sizeof(page));
    page[PAGE_BYTES - 1] = 0x0f;
    cr_assert_eq(scan_straddle(page, 1, next, &cpu), SCAN_CPUID);
    next[0] = 0xaf;
    next[1] = 0xc0;
    cr_assert_eq(scan_straddle(page, 1, next, &cpu), SCAN_CLEAN);
    cr_assert_eq(scan_straddle(page, 0, next, &cpu), SCAN_CLEAN);
}
