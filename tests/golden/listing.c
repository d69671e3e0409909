/*
 * listing.c - a translated block as text that does not depend on addresses.
 *
 * For each guest instruction: its place, bytes and disassembly, the decoder's record, and below it the host code, with CPU
 * fields, gates and exits by name. "; ..." marks side records: what a fault or a stop there would find pending. The exits'
 * stubs, always alike, are left out unless the case says "stubs".
 */
#include "golden.h"

#include <capstone/capstone.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bt/internal.h"

#define FIELD(f)                                                  \
    {                                                             \
#f, offsetof(struct cpu, f), sizeof(((struct cpu *)0)->f) \
    }
static const struct {
    const char *name;
    u32 off, size;
} fields[] = {
    FIELD(gpr),      FIELD(eip),         FIELD(flags),   FIELD(df),         FIELD(sysflags),
    FIELD(iflag),    FIELD(irq_pending), FIELD(inhibit), FIELD(exit_kind),  FIELD(exit_from),
    FIELD(seg_base), FIELD(seg_limit),   FIELD(window),  FIELD(tsc_offset), FIELD(ctx_tag),
    FIELD(jcache),   FIELD(ret_sp),      FIELD(seg),
};

static const char *const gate_names[GATE_COUNT] = {
    [GATE_ENTER] = "enter",       [GATE_LINK] = "link",          [GATE_LOOKUP] = "lookup",
    [GATE_RET_MISS] = "ret_miss", [GATE_STEP] = "step",          [GATE_CALLOUT] = "callout",
    [GATE_SIGNAL] = "signal",     [GATE_STEP_DONE] = "step_done"};

struct listing {
    FILE *out;
    const struct golden_case *c;
    struct cpu *cpu;
    struct cc *cc;
    struct bt *bt;
    const struct cc_block *b;
    csh host, guest;
};

static bool start(struct listing *l)
{
    struct bt_hooks hooks = {0};
    struct bt_options opt = {.verify = true, .max_insns = l->c->max_insns, .slow_mem = l->c->slow_mem};
    l->cpu = aligned_alloc(64, (sizeof(*l->cpu) + 63) & ~63ul);
    if (!l->cpu)
        return false;
    memset(l->cpu, 0, sizeof(*l->cpu));
    l->cpu->features = 0xffffffffu;
    if (cc_new(&l->cc, 1 << 20))
        return false;
    if (bt_new(&l->bt, l->cpu, l->cc, &hooks, &opt))
        return false;
    return !cs_open(CS_ARCH_X86, CS_MODE_64, &l->host) &&
           !cs_open(CS_ARCH_X86, l->c->mode & MODE_CS32 ? CS_MODE_32 : CS_MODE_16, &l->guest);
}

static void stop(struct listing *l)
{
    cs_close(&l->host);
    cs_close(&l->guest);
    bt_free(l->bt);
    cc_free(l->cc);
    free(l->cpu);
}

/* "[r15 - 0x5c]" to "[cpu.df]". */
static void name_field(FILE *out, const char *text)
{
    const char *at = strstr(text, "[r15"), *end = at ? strchr(at, ']') : NULL;
    long disp = 0;
    if (!end) {
        fputs(text, out);
        return;
    }
    if (at[4] != ']')
        disp = strtol(at + 7, NULL, 0) * (at[5] == '-' ? -1 : 1);
    u32 off = (u32)(disp + CPU_BIAS);
    for (unsigned i = 0; i < ARRAY_SIZE(fields); i++)
        if (off - fields[i].off < fields[i].size) {
            fprintf(out, "%.*s[cpu.%s", (int)(at - text), text, fields[i].name);
            if (off != fields[i].off)
                fprintf(out, "+%u", off - fields[i].off);
            fputs(end, out);
            return;
        }
    fprintf(out, "%.*s[cpu+%u%s", (int)(at - text), text, off, end);
}

static const char *target_name(const struct listing *l, u32 at, const struct dec_host_insn *h, char *buf,
                               size_t n)
{
    u32 off = at + h->len + (u32)h->imm; /* in the block */
    u64 pc = l->bt->rx_lo + l->b->code_off + at + h->len + h->imm;
    for (unsigned i = 0; i < l->b->n_exits; i++)
        if (l->b->exits[i].patch_off == l->b->code_off + at + h->len - 4) {
            snprintf(buf, n, "exit %u (%x)", i, l->b->exits[i].target);
            return buf;
        }
    for (unsigned g = 0; g < GATE_COUNT; g++)
        if (gate_names[g] && pc == l->bt->gate[g]) {
            snprintf(buf, n, "gate %s", gate_names[g]);
            return buf;
        }
    snprintf(buf, n, "+%x", off);
    return buf;
}

static void print_host(struct listing *l, u32 at, const struct dec_host_insn *h)
{
    const u8 *code = cc_rw(l->cc) + l->b->code_off + at;
    cs_insn *insn = NULL;
    char buf[64];
    size_t n = cs_disasm(l->host, code, h->len, 0, 1, &insn);
    fprintf(l->out, "|     +%-4x", at);
    if (h->relative)
        fprintf(l->out, "%s %s", n ? insn->mnemonic : "?", target_name(l, at, h, buf, sizeof(buf)));
    else if (h->len == 10 && h->opcode == 0xba && h->imm >> 32) /* mov r10, imm64: a pointer */
        fprintf(l->out, "mov r10, record");
    else if (!n)
        fprintf(l->out, "?");
    else {
        fprintf(l->out, "%s%s", insn->mnemonic, insn->op_str[0] ? " " : "");
        name_field(l->out, insn->op_str);
    }
    if (n)
        cs_free(insn, n);
}

static void print_rec(struct listing *l, const struct side_rec *r)
{
    static const char *const regs[8] = {"eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"};
    if (r->esp_adj)
        fprintf(l->out, " ; esp%+d", r->esp_adj);
    if (r->pend == PEND_STRING)
        fprintf(l->out, " ; string");
    if (r->pend >= PEND_BORROW)
        fprintf(l->out, " ; %s in r13", regs[r->pend & 7]);
    if (r->flags & SIDE_MID)
        fprintf(l->out, " ; mid");
}

static void print_flags(FILE *out, const char *what, u32 fl)
{
    static const struct {
        u32 bit;
        char c;
    } names[] = {{FL_CF, 'c'}, {FL_PF, 'p'}, {FL_AF, 'a'}, {FL_ZF, 'z'}, {FL_SF, 's'}, {FL_OF, 'o'}};
    if (!fl)
        return;
    fprintf(out, " %s:", what);
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
        if (fl & names[i].bit)
            fputc(names[i].c, out);
}

static void print_regs(FILE *out, const char *what, u8 mask)
{
    static const char *const regs[8] = {"ax", "cx", "dx", "bx", "sp", "bp", "si", "di"};
    if (!mask)
        return;
    fprintf(out, " %s:", what);
    for (unsigned r = 0, first = 1; r < 8; r++)
        if (mask & BIT(r)) {
            fprintf(out, "%s%s", first ? "" : ",", regs[r]);
            first = 0;
        }
}

static void print_guest(struct listing *l, u32 at, const struct dec_insn *in)
{
    static const char *const segs[] = {"es", "cs", "ss", "ds", "fs", "gs"}, *const fpus[] = {"", " x87",
                                                                                             " mmx", " sse",
                                                                                             " fxsr"};
    cs_insn *insn = NULL;
    size_t n = cs_disasm(l->guest, in->bytes, in->len, GOLDEN_EIP + at, 1, &insn);
    fprintf(l->out, "| %x ", GOLDEN_EIP + at);
    for (u32 i = 0; i < in->len; i++)
        fprintf(l->out, " %02x", in->bytes[i]);
    fprintf(l->out, "  %s %s\n", n ? insn->mnemonic : "?", n ? insn->op_str : "");
    if (n)
        cs_free(insn, n);
    fprintf(l->out, "|   %s", dec_class_name(in->cls));
    if (in->op)
        fprintf(l->out, " %s", dec_op_name(in->op));
    fprintf(l->out, " opsz %u%s", in->opsz, fpus[in->fpu]);
    if (in->mem || in->mem_size)
        fprintf(l->out, " mem %s:%u%s%s", segs[in->seg % SEG_COUNT], in->mem_size, in->mem_read ? "r" : "",
                in->mem_write ? "w" : "");
    print_regs(l->out, "in", in->gpr_read);
    print_regs(l->out, "out", in->gpr_written);
    print_flags(l->out, "fl-in", in->fl_read);
    print_flags(l->out, "fl-out", in->fl_write);
    fputc('\n', l->out);
}

/* Where the listing stops: at the first exit's stubs. */
static u32 listed_end(const struct listing *l)
{
    u32 end = l->b->code_len;
    for (unsigned i = 0; !l->c->stubs && i < l->b->n_exits; i++) {
        end = (u32)min_u64(end, l->b->exits[i].hard_off - l->b->code_off);
        end = (u32)min_u64(end, l->b->exits[i].soft_off - l->b->code_off);
    }
    return end;
}

static void print_block(struct listing *l)
{
    const struct side_rec *recs = l->b->side;
    u32 n = l->b->side_bytes / (u32)sizeof(*recs), rec = 0, end = listed_end(l), guest = 0;
    struct dec_host_insn h;
    for (u32 at = 0; at < end; at += h.len) {
        if (dec_host_decode(&h, cc_rw(l->cc) + l->b->code_off + at, l->b->code_len - at))
            break;
        for (u32 r = rec; r < n && recs[r].host <= at; r++) /* guest instructions that begin here */
            while (guest < l->b->guest_len && recs[r].guest >= guest) {
                struct dec_insn in;
                if (dec_decode(&in, l->c->bytes + guest, l->c->n_bytes - guest, l->c->mode & MODE_CS32,
                               0xffffffffu))
                    return;
                print_guest(l, guest, &in);
                guest += in.len;
            }
        print_host(l, at, &h);
        for (; rec < n && recs[rec].host <= at; rec++)
            print_rec(l, &recs[rec]);
        fputc('\n', l->out);
    }
}

char *golden_listing(const struct golden_case *c)
{
    struct listing l = {.c = c};
    char *text = NULL;
    size_t size;
    struct cc_block *b = NULL;
    struct bt_code code = {.bytes = c->bytes,
                           .avail = c->n_bytes,
                           .page_left = c->n_bytes,
                           .selfcheck = c->selfcheck,
                           .key = {.gpa = GOLDEN_EIP,
                                   .gpa2 = CC_NO_PAGE,
                                   .eip = GOLDEN_EIP,
                                   .cs_limit = c->cs_limit,
                                   .mode = c->mode}};
    l.out = open_memstream(&text, &size);
    if (!l.out || !start(&l)) {
        fprintf(stderr, "golden: no memory\n");
        exit(2);
    }
    int rc = bt_translate(l.bt, &code, &b);
    if (rc)
        fprintf(l.out, "| no block: %s\n", strerror(-rc));
    l.b = b;
    if (b)
        print_block(&l);
    stop(&l);
    fclose(l.out);
    return text;
}
