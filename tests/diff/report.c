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

static int compare_bytes(const char *what, const u8 *a, const u8 *b, unsigned n, u32 at, bool verbose)
{
    unsigned shown = 0, bad = 0;

    if (memcmp(a, b, n) == 0)
        return 0;
    for (unsigned i = 0; i < n; i++) {
        if (a[i] == b[i])
            continue;
        bad++;
        if (verbose && shown++ < 16)
            printf("  %s %08x  native %02x  novt %02x\n", what, at + i, a[i], b[i]);
    }
    if (verbose && bad > shown)
        printf("  ... %u bytes differ\n", bad);
    return 1;
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

int report_compare(const struct diff_state *native, const struct diff_state *guest, bool verbose)
{
    int r = differ32("vector", native->vector, guest->vector, verbose);

    r |= differ32("error", native->error, guest->error, verbose);
    r |= differ32("cr2", native->cr2, guest->cr2, verbose);
    r |= differ32("eip", native->eip, guest->eip, verbose);
    r |= differ32("eflags", native->eflags, guest->eflags, verbose);
    r |= differ32("cs", native->cs, guest->cs, verbose) | differ32("ss", native->ss, guest->ss, verbose);
    for (unsigned i = 0; i < 8; i++)
        r |= differ32(gpr_names[i], native->gpr[i], guest->gpr[i], verbose);
    r |= compare_fpu(native->fpu, guest->fpu, verbose);
    for (unsigned i = 0; i < diff_region_count; i++) {
        const struct diff_region *d = &diff_regions[i];

        r |= compare_bytes("memory", native->mem.page[d->at], guest->mem.page[d->at], d->pages * PAGE_BYTES,
                           d->gva, verbose);
    }
    return r;
}

static void print_item(csh handle, const struct diff_memory *mem, u32 addr, const struct diff_item *it)
{
    cs_insn *insn = NULL;
    const u8 *bytes = &mem->page[0][0] + (addr - CODE_GVA);
    size_t n = cs_disasm(handle, bytes, it->len, addr, 1, &insn);

    printf("  %08x ", addr);
    for (unsigned i = 0; i < 12; i++)
        i < it->len ? printf(" %02x", bytes[i]) : printf("   ");
    printf("  %s %s\n", n ? insn[0].mnemonic : "(unknown)", n ? insn[0].op_str : "");
    if (n)
        cs_free(insn, n);
}

void report_case(const struct diff_case *c)
{
    static struct diff_memory mem;
    u32 addr[DIFF_MAX_ITEMS + 1];
    struct diff_descriptor cs = {0};
    csh handle;

    diff_descriptor(c->segs->cs, &cs);
    if (!diff_assemble(c, &mem, addr) ||
        cs_open(CS_ARCH_X86, cs.big ? CS_MODE_32 : CS_MODE_16, &handle) != CS_ERR_OK)
        return;
    printf("segments %s: cs %x ss %x ds %x es %x gs %x, cs base %08x\n", c->segs->name, c->segs->cs,
           c->segs->ss, c->segs->ds, c->segs->es, c->segs->gs, cs.base);
    for (unsigned i = 0; i < 8; i++)
        printf("%s=%08x ", gpr_names[i], c->gpr[i]);
    printf("\neflags=%08x fcw=%02x%02x fsw=%02x%02x ftw=%02x mxcsr=%02x%02x\n", c->eflags, c->fpu[1],
           c->fpu[0], c->fpu[3], c->fpu[2], c->fpu[4], c->fpu[25], c->fpu[24]);
    for (unsigned i = 0; i < c->n; i++)
        if (!c->item[i].off)
            print_item(handle, &mem, addr[i], &c->item[i]);
    printf("  %08x  cc  end\n", addr[c->n]);
    cs_close(&handle);
}

void report_end(const struct diff_case *c, const struct diff_state *s)
{
    struct diff_descriptor cs = {0};
    u32 at;

    diff_descriptor(c->segs->cs, &cs);
    at = s->eip + cs.base - CODE_GVA;
    printf("  at the end:");
    for (unsigned i = 0; i < 12 && at + i < CODE_PAGES * PAGE_BYTES; i++)
        printf(" %02x", (&s->mem.page[0][0])[at + i]);
    printf("\n");
}

static void set_off(struct diff_case *c, unsigned i, bool off)
{
    do
        c->item[i].off = off;
    while (++i < c->n && c->item[i].tied);
}

/* Greedy: every item that is not needed for a difference goes, then registers become 0. */
bool report_shrink(struct diff_case *c, bool (*differs)(const struct diff_case *c))
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
