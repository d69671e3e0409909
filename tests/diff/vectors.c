/*
 * vectors.c - small programs by hand: what random ones once found, kept whatever the generator does later.
 *
 * Each runs natively and translated like a random one. A program's own descriptors take the slots LDT_R_ANY and LDT_R_TINY.
 * Registers that are not named are 0; the stack is in the middle of its pages unless the vector says otherwise.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/diff/diff.h"

#define SLOTS (u64)1 << 63
#define D SEL_DS_FLAT
#define FLAT                       \
    {                              \
        D, SEL_CS_FLAT, D, D, 0, 0 \
    }
#define ANY SEL_LDT(LDT_R_ANY)
#define TINY SEL_LDT(LDT_R_TINY)
#define CODE16 SEL_LDT(LDT_CODE16)
#define CODE32 SEL_LDT(LDT_CODE32) /* ends with the code pages */
#define STACK16 SEL_LDT(LDT_STACK16)

static const struct vector {
    const char *name;
    u16 sel[SEG_COUNT]; /* ES CS SS DS FS GS */
    const char *code;   /* one instruction an item, separated by ';' */
    u32 start;          /* in the code pages */
    u32 esp, ebp, esi;
    u16 fcw; /* 0: 37fh */
    u32 eflags;
    struct diff_descriptor any, tiny;
} vectors[] = {
    {"PUSHA runs into a missing page: what was pushed stays",
     {D, CODE16, STACK16, D, 0, 0},
     "60",
     .esp = 2,
     .ebp = 0x1234},
    {"PUSHA wraps at 64 KiB in a stack segment with a limit of 4 GiB",
     {D, SEL_CS_FLAT, ANY, D, 0, 0},
     "60",
     .esp = 0xf68b0004,
     .any = {.base = STACK_GVA - 0x800, .limit = 0xffffffff, .pages = true, .rw = true}},
    {"POPA over the end of a page reads slot after slot, ESP's too", FLAT, "61", .esp = 0x30001ff1},
    {"POPA over the top of a flat segment", FLAT, "61", .esp = 0xfffffffa},
    {"POPA over the end of a page, single step", FLAT, "68 02 01 00 00;9d;bc f2 1f 00 30;61",
     .esp = 0x30001000},
    {"the code segment ends with its page: the limit comes first",
     {D, CODE32, D, D, 0, 0},
     "48",
     .start = 0x1fff},
    {"code runs off its page", FLAT, "48;0f a2 90", .start = 0x1ffe},
    {"undefined opcode over the segment's end",
     {D, ANY, D, D, 0, 0},
     "f0 0f 36",
     .start = 0x1fe,
     .any = {.base = CODE_GVA, .limit = 0x1ff, .code = true, .rw = true, .big = true}},
    {"undefined group form whose immediate is beyond the segment's end",
     {D, CODE32, D, D, 0, 0},
     "0f 71 c7",
     .start = 0x1ffd},
    {"undefined opcode without ModRM at the end of a page", FLAT, "0f a7", .start = 0x1ffe},
    {"CALL beyond the limit writes nothing", {D, CODE32, D, D, 0, 0}, "e8 00 00 01 00", .start = 0x100},
    {"CALL beyond the limit, and the stack is not there",
     {D, CODE32, TINY, D, 0, 0},
     "e8 00 00 01 00",
     .esp = 0x200,
     .tiny = {.base = STACK_GVA, .limit = 15, .rw = true, .big = true}},
    {"CALL through memory beyond the limit, and the stack is not there",
     {D, CODE32, TINY, D, 0, 0},
     "c7 05 00 00 00 20 00 00 01 00;ff 15 00 00 00 20",
     .esp = 0x200,
     .tiny = {.base = STACK_GVA, .limit = 15, .rw = true, .big = true}},
    {"CLFLUSH in execute-only code",
     {D, ANY, D, D, 0, 0},
     "2e 0f ae 3d 00 01 00 00;2e a1 00 01 00 00",
     .any = {.base = CODE_GVA, .limit = 0xffff, .code = true, .big = true}},
    {"FXRSTOR's last byte wraps at 64 KiB before the first is looked at",
     {D, CODE16, STACK16, D, 0, 0},
     "0f ae 4e 00",
     .esp = 0x1000,
     .ebp = 0xff40},
    {"FXRSTOR reads only what 32-bit code has, and looks at the last byte",
     {D, CODE16, D, ANY, 0, 0},
     "0f ae 4c 0a",
     .esi = 0xfe46,
     .any = {.base = WRAP_GVA + 0x5b0, .limit = 0xffff, .rw = true, .big = true}},
    {"FXRSTOR by eights where it wraps: none of them runs over the limit",
     {D, CODE16, D, ANY, 0, 0},
     "0f ae 0c",
     .esi = 0xff68,
     .any = {.base = WRAP_GVA + 0x498, .limit = 0xffff, .rw = true}},
    {"MASKMOVDQU wraps between its halves",
     {D, CODE16, D, ANY, 0, 0},
     "66 bf f8 ff 00 00;66 0f f7 f8;66 bf fa ff 00 00;66 0f f7 f8;66 bf fc ff 00 00;0f f7 f8",
     .start = 0x100,
     .any = {.base = WRAP_GVA + 0x10, .limit = 0xffff, .rw = true, .big = true}},
    {"FNSTENV whose dword runs over 64 KiB",
     {ANY, CODE16, D, D, 0, 0},
     "26 66 d9 36 ea ff;26 66 d9 36 ec ff",
     .any = {.base = WRAP_GVA + 0x100, .limit = 0xffff, .rw = true, .big = true}},
    {"FRSTOR and FNSAVE need no more alignment than their environment", FLAT,
     "dd 35 00 04 00 20;dd 25 00 04 00 20;66 dd 35 02 04 00 20;dd 35 02 04 00 20", .eflags = EFL_AC},
    {"ten bytes at a 16-bit address wrap between their parts",
     {D, SEL_CS_FLAT, D, ANY, 0, 0},
     "67 db 3c;67 db 2c",
     .esi = 0xfffe,
     .any = {.base = DATA_GVA - 0xf800, .limit = 0xf0a2, .down = true, .rw = true, .big = true}},
    {"the same in a flat limit",
     {D, SEL_CS_FLAT, D, ANY, 0, 0},
     "d9 e8;67 db 3c",
     .esi = 0xfffe,
     .any = {.base = WRAP_GVA + 0x10, .limit = 0x1ffff, .rw = true, .big = true}},
    {"misaligned SSE operands, LDMXCSR with bits that none has",
     {D, SEL_CS_FLAT, D, D, 0, SEL_LDT(LDT_DATA)},
     "66 0f 38 17 05 01 00 00 20;65 67 66 0f 38 17 2e 01 10;c7 05 00 00 00 20 80 1f 01 00;0f ae 15 00 00 00 "
     "20;"
     "66 0f 38 17 05 01 00 00 20;65 67 66 0f 38 17 2e 01 10",
     .start = 0x100},
    {"breakpoint and overflow, each in its one-byte and its two-byte form", FLAT, "cc;cd 03;ce;cd 04",
     .start = 0x100, .eflags = 0x800 /* OF */},
    {"LES and LFS read the offset first", FLAT, "bb 47 00 00 00;c4 03;bb fa 0f 00 00;0f b4 03;66 c4 03",
     .start = 0x100},
    {"ARPL that changes nothing does not write", FLAT, "63 05 00 20 00 20", .start = 0x100},
    {"#MF while the last x87 instruction's bytes end with the page",
     {D, CODE32, D, D, 0, 0},
     "d8 e9;67 d8 e9",
     .start = 0x1ffb,
     .fcw = 0x37e},
};

unsigned diff_vector_count(void)
{
    return ARRAY_SIZE(vectors);
}

const char *diff_vector_name(unsigned i)
{
    return vectors[i].name;
}

bool diff_vector_descriptor(u64 seed, unsigned slot, struct diff_descriptor *out)
{
    u64 i = seed & ~(SLOTS);

    if (!(seed & (SLOTS)) || i >= ARRAY_SIZE(vectors) || (slot != LDT_R_ANY && slot != LDT_R_TINY))
        return false;
    *out = slot == LDT_R_ANY ? vectors[i].any : vectors[i].tiny;
    return true;
}

static void add_items(struct diff_case *c, const char *code, bool cs32, u32 base)
{
    struct diff_item *it = NULL;

    for (const char *p = code; *p;) {
        char *end;

        if (!it) {
            it = &c->item[c->n++];
            *it = (struct diff_item){.cs32 = cs32, .cs_base = base, .target = -1, .cand = -1};
        }
        it->bytes[it->len++] = (u8)strtoul(p, &end, 16);
        if (*end == ';')
            it = NULL;
        p = *end ? end + 1 : end;
    }
}

void diff_vector(struct diff_case *c, unsigned i)
{
    const struct vector *v = &vectors[i];
    u16 fcw = v->fcw ? v->fcw : 0x37f;
    struct diff_descriptor cs, ss;

    memset(c, 0, sizeof(*c));
    c->seed = i;
    c->ldt_seed = (SLOTS) | i;
    c->config = v->name;
    diff_ldt(c->ldt_seed);
    memcpy(c->sel, v->sel, sizeof(c->sel));
    diff_descriptor(v->sel[SEG_CS], &cs);
    diff_descriptor(v->sel[SEG_SS], &ss);
    add_items(c, v->code, cs.big, cs.base);
    c->start = v->start ? v->start : 0x100;
    c->gpr[R_ESP] = v->esp ? v->esp : STACK_GVA + 0x1000 - ss.base;
    c->gpr[R_EBP] = v->ebp;
    c->gpr[R_ESI] = v->esi;
    c->eflags = v->eflags | EFL_R1 | EFL_IF;
    memcpy(c->fpu, &fcw, 2);
    c->fpu[24] = 0x80;
    c->fpu[25] = 0x1f;
    memset(c->fpu + 160, 0xa5, 16); /* XMM0 */
}
