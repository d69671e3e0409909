/*
 * cand.c - every encoding that both sides may run, and how often each was.
 *
 * The list is found by asking the decoder about each prefix, opcode map, opcode, ModRM.reg and the memory
 * and register forms; so a new row in the decoder's table is fuzzed without a word here. What cannot be
 * compared (reads of the clock, of descriptor tables, system calls, far transfers) is left out by name.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/diff/diff.h"

#define MAX_CANDIDATES 16384
#define MAX_GROUPS 4096

struct group { /* the forms of one opcode */
    i32 first;
    u32 n, weight;
};

static struct diff_candidate *cand;
static u64 *hits;
static u32 cand_count, group_count, total_weight;
static struct group *groups;

bool cand_allowed(const struct dec_insn *insn)
{
    if (insn->cls == DEC_UD)
        return false;
    if (insn->map == 1 && insn->opcode == 0x0d && !insn->mem) /* reserved NOP or #UD, as the vendor likes */
        return false;
    switch (insn->op) {
    case OP_RDTSC:
    case OP_RDTSCP:
    case OP_RDPMC:
    case OP_CPUID:
    case OP_SGDT:
    case OP_SIDT:
    case OP_SLDT:
    case OP_STR:
    case OP_SMSW:
    case OP_INT1: /* hypervisors report its EIP in two ways */
    case OP_SYSENTER:
    case OP_SYSEXIT:
    case OP_MONITOR:
    case OP_MWAIT:
    case OP_RSM: return false;
    default: return !cand_seg(insn);
    }
}

bool cand_seg(const struct dec_insn *insn)
{
    switch (insn->op) {
    case OP_LAR:
    case OP_LSL:
    case OP_VERR:
    case OP_VERW:
    case OP_INT: /* one vector is the host's system call */
    case OP_IRET:
    case OP_CALL_FAR_I:
    case OP_JMP_FAR_I:
    case OP_CALL_FAR_M:
    case OP_JMP_FAR_M:
    case OP_RET_FAR:
    case OP_MOV_SEG_RM:
    case OP_POP_SEG:
    case OP_LOAD_FAR: return true;
    default: return false;
    }
}

static unsigned encode(u8 *b, u8 mandatory, u8 map, u8 opcode)
{
    unsigned n = 0;

    if (mandatory)
        b[n++] = mandatory;
    if (map)
        b[n++] = 0x0f;
    if (map == 2)
        b[n++] = 0x38;
    if (map == 3)
        b[n++] = 0x3a;
    b[n++] = opcode;
    return n;
}

/* Is this byte string the form we mean, and no other with a prefix that does nothing? */
static bool is_form(const struct dec_insn *d, u8 mandatory, u8 map, u8 opcode)
{
    if (d->map != map || d->opcode != opcode)
        return false;
    if (!mandatory || d->mandatory == mandatory)
        return true;
    return mandatory != 0x66 && d->cls == DEC_STRING;
}

static void add_forms(u8 mandatory, u8 map, u8 opcode, u32 features)
{
    struct group g = {(i32)cand_count, 0, map == 0 ? 4 : mandatory ? 1 : 2};

    for (unsigned form = 0; form < 16 && cand_count < MAX_CANDIDATES; form++) {
        u8 b[16] = {0}, ext = form & 7;
        bool is_mem = form >> 3;
        unsigned n = encode(b, mandatory, map, opcode);
        struct dec_insn d;

        b[n] = is_mem ? ext << 3 : 0xc0 | ext << 3 | 1;
        if (dec_decode(&d, b, sizeof(b) - 1, true, features) || !is_form(&d, mandatory, map, opcode))
            continue;
        if (!cand_allowed(&d) && !(d.has_modrm && !is_mem && map == 0 && (opcode & 0xf8) == 0xd8))
            continue;
        if (!d.has_modrm && form)
            break;
        cand[cand_count++] =
            (struct diff_candidate){mandatory, map, opcode, d.has_modrm, ext, is_mem, d.cls, d.op};
        g.n++;
    }
    if (!g.n || group_count == MAX_GROUPS)
        return;
    groups[group_count++] = g;
    total_weight += g.weight;
}

int cand_init(u32 features)
{
    static const u8 prefixes[] = {0, 0x66, 0xf2, 0xf3};

    cand = calloc(MAX_CANDIDATES, sizeof(*cand));
    hits = calloc(MAX_CANDIDATES, sizeof(*hits));
    groups = calloc(MAX_GROUPS, sizeof(*groups));
    if (!cand || !hits || !groups)
        return -ENOMEM;
    for (unsigned map = 0; map < 4; map++)
        for (unsigned p = 0; p < ARRAY_SIZE(prefixes); p++)
            for (unsigned opcode = 0; opcode < 256; opcode++)
                add_forms(prefixes[p], (u8)map, (u8)opcode, features);
    return 0;
}

void cand_fini(void)
{
    free(cand);
    free(hits);
    free(groups);
}

i32 cand_pick(struct diff_rng *r)
{
    u32 at = rng_below(r, total_weight), g = 0;

    while (at >= groups[g].weight)
        at -= groups[g++].weight;
    return groups[g].first + (i32)rng_below(r, groups[g].n);
}

const struct diff_candidate *cand_get(i32 i)
{
    return &cand[i];
}

void cand_hit(i32 i)
{
    if (i >= 0)
        hits[i]++;
}

unsigned cand_report(bool verbose)
{
    unsigned never = 0, per_map[4] = {0}, per_map_hit[4] = {0};
    static const char *const names[] = {"one byte", "0F", "0F 38", "0F 3A"};

    for (u32 i = 0; i < cand_count; i++) {
        per_map[cand[i].map]++;
        per_map_hit[cand[i].map] += hits[i] != 0;
        never += hits[i] == 0;
    }
    for (unsigned m = 0; m < 4; m++)
        printf("coverage: map %-8s %5u of %5u forms run\n", names[m], per_map_hit[m], per_map[m]);
    if (!verbose)
        return never;
    for (u32 i = 0; i < cand_count; i++) {
        const struct diff_candidate *c = &cand[i];

        if (!hits[i])
            printf("never run: prefix %02x map %u opcode %02x %s /%u %s\n", c->mandatory, c->map, c->opcode,
                   c->has_modrm ? c->is_mem ? "memory" : "register" : "-", c->ext,
                   c->op ? dec_op_name(c->op) : dec_class_name(c->cls));
    }
    return never;
}
