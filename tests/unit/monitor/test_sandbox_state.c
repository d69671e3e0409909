/*
 * test_sandbox_state.c - Which segments a sandbox can have: breaks if direct execution is refused for what its LDT can hold, or allowed
 * for what
 * it cannot.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "monitor/sandbox.h"

#define DATA (SEG_ATTR_P | SEG_ATTR_DPL | SEG_ATTR_S | SEG_ATTR_RW | SEG_ATTR_ACCESSED)
#define FLAT_DATA (SEG_ATTR_G | SEG_ATTR_D | DATA)
#define CODE (DATA | SEG_ATTR_CODE)

static void set(struct cpu *cpu, unsigned seg, u16 sel, u32 base, u32 limit, u32 attr, u32 cls)
{
    cpu->seg[seg] = (struct cpu_seg){.sel = sel, .limit = limit, .attr = (u16)attr};
    cpu->seg_base[seg] = base;
    cpu->mode &= ~(3u << (MODE_SEG_SHIFT + 2 * seg));
    cpu->mode |= cls << (MODE_SEG_SHIFT + 2 * seg);
}

static struct cpu *flat(void)
{
    static struct cpu cpu;

    memset(&cpu, 0, sizeof(cpu));
    cpu.mode = MODE_PE | MODE_CPL3 | MODE_CS32 | MODE_SS32;
    for (unsigned i = 0; i < SEG_COUNT; i++)
        set(&cpu, i, i == SEG_CS ? 0x73 : 0x7b, 0, 0xffffffff,
            i == SEG_CS ? FLAT_DATA | SEG_ATTR_CODE : FLAT_DATA, SEGC_FLAT);
    return &cpu;
}

#define ODD(seg, sel, base, limit, attr, cls)                    \
    ({                                                           \
        struct cpu *cpu_ = flat();                               \
        set(cpu_, (seg), (sel), (base), (limit), (attr), (cls)); \
        sandbox_odd_segments(cpu_);                              \
    })

Test(sandbox_state, flat_based_and_null)
{
    cr_assert_eq(sandbox_odd_segments(flat()), 0);
    cr_expect_eq(ODD(SEG_GS, 0x33, 0xb7001000, 0xffffffff, FLAT_DATA, SEGC_BASED), 0);
    cr_expect_eq(ODD(SEG_DS, 0x33, 0xb7001000, 0xffffffff, FLAT_DATA, SEGC_BASED), 0);
    for (u16 sel = 0; sel < 4; sel++)
        cr_expect_eq(ODD(SEG_GS, sel, 0, 0xffffffff, 0, SEGC_CHECK), 0);
    cr_expect_eq(ODD(SEG_SS, 0, 0, 0xffffffff, 0, SEGC_CHECK), BIT(SEG_SS));
}

Test(sandbox_state, what_an_ldt_descriptor_can_say)
{
    cr_expect_eq(ODD(SEG_DS, 0x0f, 0x12345678, 0xfffff, DATA, SEGC_LIMIT), 0);
    cr_expect_eq(ODD(SEG_DS, 0x0f, 0x12345678, 0x100fff, DATA, SEGC_LIMIT), 0);
    cr_expect_eq(ODD(SEG_DS, 0x0f, 0, 0x100ffe, DATA, SEGC_LIMIT),
                 BIT(SEG_DS)); /* no granularity gives that */
    cr_expect_eq(ODD(SEG_ES, 0x17, 0, 0x1000, DATA & ~SEG_ATTR_RW, SEGC_CHECK), 0);
    cr_expect_eq(ODD(SEG_SS, 0x17, 0, 0x1000, DATA | SEG_ATTR_DC, SEGC_CHECK), 0);
    cr_expect_eq(ODD(SEG_CS, 0x07, 0x1000, 0xffff, CODE | SEG_ATTR_D, SEGC_LIMIT), 0);
    cr_expect_eq(ODD(SEG_CS, 0x07, 0x1000, 0xffff, CODE | SEG_ATTR_D | SEG_ATTR_DC, SEGC_LIMIT), BIT(SEG_CS));
    cr_expect_eq(ODD(SEG_DS, 0x0f, 0, 0xffff, DATA & ~SEG_ATTR_DPL, SEGC_LIMIT), BIT(SEG_DS));
    cr_expect_eq(ODD(SEG_DS, 0x0f, 0, 0xffff, DATA & ~SEG_ATTR_P, SEGC_CHECK), BIT(SEG_DS));
}

Test(sandbox_state, sixteen_bits)
{
    struct cpu *cpu = flat();

    cpu->mode &= ~MODE_CS32;
    cr_expect_eq(sandbox_odd_segments(cpu), BIT(SEG_CS));
    cpu = flat();
    set(cpu, SEG_SS, 0x0f, 0, 0xffffffff, DATA, SEGC_FLAT);
    cpu->mode &= ~MODE_SS32;
    cr_expect_eq(sandbox_odd_segments(cpu), 0);
}

Test(sandbox_state, two_registers_with_one_selector)
{
    struct cpu *cpu = flat();

    set(cpu, SEG_DS, 0x0f, 0, 0xffff, DATA, SEGC_LIMIT);
    set(cpu, SEG_ES, 0x0f, 0, 0xffff, DATA, SEGC_LIMIT);
    cr_expect_eq(sandbox_odd_segments(cpu), 0);
    /* The guest changed its table between the two loads. */
    set(cpu, SEG_ES, 0x0f, 0, 0xfffe, DATA, SEGC_LIMIT);
    cr_expect_eq(sandbox_odd_segments(cpu), BIT(SEG_DS)); /* ES comes before DS */
}
