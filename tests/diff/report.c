/*
 * report.c - compare two end states, print a program, take away what does not matter.
 */
#include <capstone/capstone.h>
#include <stdio.h>
#include <string.h>

#include "tests/diff/diff.h"

static const char *const gpr_names[8] = {"eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"};

static int differ32(const char *what, u32 native, u32 guest, bool verbose)
{
    if (native == guest)
        return 0;
    if (verbose)
        printf("  %-8s native %08x  novt %08x\n", what, native, guest);
    return 1;
}

/* FXSAVE stores the mask of MXCSR's bits, which is the CPU model's: AMD's CPUs have one more. */
static bool is_mxcsr_mask(const u8 *a, const u8 *b, u32 at, unsigned i, unsigned n)
{
    unsigned back = (at + i) & 3;
    u32 native, guest;

    if (i < back || i - back + 4 > n)
        return false;
    memcpy(&native, a + i - back, 4);
    memcpy(&guest, b + i - back, 4);
    return native == 0x2ffff && guest == 0xffff;
}

static int compare_bytes(const char *what, const u8 *a, const u8 *b, unsigned n, u32 at, bool verbose)
{
    unsigned shown = 0, bad = 0;

    if (memcmp(a, b, n) == 0)
        return 0;
    for (unsigned i = 0; i < n; i++) {
        if (a[i] == b[i] || is_mxcsr_mask(a, b, at, i, n))
            continue;
        bad++;
        if (verbose && shown++ < 16)
            printf("  %s %08x  native %02x  novt %02x\n", what, at + i, a[i], b[i]);
    }
    if (verbose && bad > shown)
        printf("  ... %u bytes differ\n", bad);
    return bad != 0;
}

/* Not FOP, FIP, FDP (they may lie before the program) nor MXCSR_MASK. */
static int compare_fpu(const u8 *a, const u8 *b, bool verbose)
{
    int r = compare_bytes("fcw/fsw/ftw", a, b, 5, 0, verbose) |
            compare_bytes("mxcsr", a + 24, b + 24, 4, 0, verbose);
    char name[16];

    for (unsigned i = 0; i < 8; i++) {
        snprintf(name, sizeof(name), "st%u", i);
        r |= compare_bytes(name, a + 32 + 16 * i, b + 32 + 16 * i, 10, 0, verbose);
        snprintf(name, sizeof(name), "xmm%u", i);
        r |= compare_bytes(name, a + 160 + 16 * i, b + 160 + 16 * i, 16, 0, verbose);
    }
    return r;
}

static const char *const seg_names[SEG_COUNT] = {"es", "cs", "ss", "ds", "fs", "gs"};

/* A second #DB in one place: an instruction that repeats, perhaps one that the program wrote there. See diff_flags_mask(). */
static bool repeats(const struct diff_event *e, unsigned n)
{
    return n && e->vector == EXC_DB && e[-1].vector == EXC_DB && e->eip == e[-1].eip &&
           e->sel[SEG_CS] == e[-1].sel[SEG_CS];
}

static int compare_event(const struct diff_case *c, const struct diff_event *native,
                         const struct diff_event *guest, unsigned n, bool verbose)
{
    int r = differ32("vector", native->vector, guest->vector, verbose);
    u32 mask = repeats(native, n) ? ~EFL_RF : diff_flags_mask(c, native);

    r |= differ32("error", native->error, guest->error, verbose);
    r |= differ32("cr2", native->cr2, guest->cr2, verbose);
    r |= differ32("eip", native->eip, guest->eip, verbose);
    r |= differ32("eflags", native->eflags & mask, guest->eflags & mask, verbose);
    for (unsigned i = 0; i < 8 && !diff_loose(c, native); i++)
        r |= differ32(gpr_names[i], native->gpr[i], guest->gpr[i], verbose);
    for (unsigned i = 0; i < SEG_COUNT; i++)
        r |= differ32(seg_names[i], native->sel[i], guest->sel[i], verbose);
    if (r && verbose)
        printf("  in event %u: native vector %x at %x:%08x, novt vector %x at %x:%08x\n", n, native->vector,
               native->sel[SEG_CS], native->eip, guest->vector, guest->sel[SEG_CS], guest->eip);
    return r;
}

/* What comes after the first event that differs says nothing more. */
int report_compare(const struct diff_case *c, const struct diff_state *native, const struct diff_state *guest,
                   bool verbose)
{
    unsigned n = native->n < guest->n ? native->n : guest->n;
    int r = 0;

    for (unsigned i = 0; i < n && !r; i++)
        r = compare_event(c, &native->event[i], &guest->event[i], i, verbose);
    if (r)
        return r;
    r = differ32("events", native->n, guest->n, verbose);
    if (!diff_loose(c, diff_end(native)))
        r |= compare_fpu(native->fpu, guest->fpu, verbose);
    for (unsigned i = 0; i < diff_region_count; i++) {
        const struct diff_region *d = &diff_regions[i];

        r |= compare_bytes("memory", native->mem.page[d->at], guest->mem.page[d->at], d->pages * PAGE_BYTES,
                           d->gva, verbose);
    }
    return r;
}

bool report_only_memory(const struct diff_state *native, const struct diff_state *guest)
{
    return native->n == guest->n &&
           !memcmp(native->event, guest->event, native->n * sizeof(native->event[0])) &&
           !compare_fpu(native->fpu, guest->fpu, false);
}

static void print_item(const csh handle[2], const struct diff_memory *mem, u32 addr,
                       const struct diff_item *it)
{
    cs_insn *insn = NULL;
    const u8 *bytes = &mem->page[0][0] + (addr - CODE_GVA);
    size_t n = addr - CODE_GVA + it->len > CODE_BYTES
                   ? 0
                   : cs_disasm(handle[it->cs32], bytes, it->len, addr, 1, &insn);

    printf("  %08x ", addr);
    for (unsigned i = 0; i < 15; i++)
        i < it->len &&addr - CODE_GVA + i < CODE_BYTES ? printf(" %02x", bytes[i]) : printf("   ");
    printf("  %s%s %s\n", it->cs32 ? "" : "(16) ", n ? insn[0].mnemonic : "(unknown)",
           n ? insn[0].op_str : "");
    if (n)
        cs_free(insn, n);
}

static void print_segment(unsigned seg, u16 sel)
{
    struct diff_descriptor d;

    printf("%s %04x", seg_names[seg], sel);
    if ((sel & ~3) && diff_descriptor(sel, &d))
        printf(": base %08x limit %08x%s%s %s%s%s%s", d.base, d.limit, d.pages ? " pages" : "",
               d.down ? " down" : "", d.big ? "32" : "16", d.code ? " code" : "",
               d.rw ? d.code ? "+r" : " rw" : "", d.absent ? " absent" : "");
    printf("\n");
}

/* Selectors in the program's immediates: show what they are. */
static void print_selectors(const struct diff_case *c)
{
    bool shown[LDT_COUNT] = {false};

    for (unsigned i = 0; i < c->n; i++) {
        for (unsigned at = 0; !c->item[i].off && at + 1 < c->item[i].len; at++) {
            u32 v = c->item[i].bytes[at] | (u32)c->item[i].bytes[at + 1] << 8, n = v >> 3;

            if ((v & 4) && n >= LDT_R_DATA && n < LDT_COUNT)
                shown[n] = true;
        }
    }
    for (unsigned n = LDT_R_DATA; n < LDT_COUNT; n++)
        if (shown[n]) {
            printf("  ? ");
            print_segment(SEG_ES, SEL_LDT(n));
        }
}

void report_case(struct diff_case *c)
{
    static struct diff_memory mem;
    csh handle[2];

    diff_ldt(c->ldt_seed);
    if (!diff_assemble(c, &mem) || cs_open(CS_ARCH_X86, CS_MODE_16, &handle[0]) != CS_ERR_OK ||
        cs_open(CS_ARCH_X86, CS_MODE_32, &handle[1]) != CS_ERR_OK)
        return;
    printf("segments %s:\n", c->config);
    for (unsigned i = 0; i < SEG_COUNT; i++)
        print_segment(i, c->sel[i]);
    print_selectors(c);
    for (unsigned i = 0; i < 8; i++)
        printf("%s=%08x ", gpr_names[i], c->gpr[i]);
    printf("\neflags=%08x fcw=%02x%02x fsw=%02x%02x ftw=%02x mxcsr=%02x%02x\n", c->eflags, c->fpu[1],
           c->fpu[0], c->fpu[3], c->fpu[2], c->fpu[4], c->fpu[25], c->fpu[24]);
    for (unsigned i = 0; i < c->n; i++)
        if (!c->item[i].off)
            print_item(handle, &mem, c->addr[i], &c->item[i]);
    printf("  %08x  cc  end\n", c->addr[c->n]);
    cs_close(&handle[0]);
    cs_close(&handle[1]);
}

void report_end(const struct diff_state *s)
{
    const struct diff_event *e = diff_end(s);
    struct diff_descriptor cs = {0};
    u32 at;

    diff_descriptor(e->sel[SEG_CS], &cs);
    at = e->eip + cs.base - CODE_GVA;
    printf("  at the end:");
    for (unsigned i = 0; i < 12 && at + i < CODE_BYTES; i++)
        printf(" %02x", (&s->mem.page[0][0])[at + i]);
    printf("\n");
    for (unsigned i = 0; i < s->n; i++)
        printf("  event %u: vector %x error %x cr2 %08x at %04x:%08x eflags %08x esp %08x\n", i,
               s->event[i].vector, s->event[i].error, s->event[i].cr2, s->event[i].sel[SEG_CS],
               s->event[i].eip, s->event[i].eflags, s->event[i].gpr[R_ESP]);
}

static void set_off(struct diff_case *c, unsigned i, bool off)
{
    do
        c->item[i].off = off;
    while (++i < c->n && c->item[i].tied);
}

/* Greedy: every item that is not needed for a difference goes, then registers become 0. */
bool report_shrink(struct diff_case *c, bool (*differs)(struct diff_case *c))
{
    bool again = true;

    if (!differs(c))
        return false;
    while (again) {
        again = false;
        for (unsigned i = 0; i < c->n; i++) {
            if (c->item[i].off || c->item[i].tied)
                continue;
            set_off(c, i, true);
            if (differs(c))
                again = true;
            else
                set_off(c, i, false);
        }
    }
    for (unsigned i = 0; i < 8; i++) {
        u32 keep = c->gpr[i];

        if (i == R_ESP)
            continue;
        c->gpr[i] = 0;
        if (!differs(c))
            c->gpr[i] = keep;
    }
    return true;
}
