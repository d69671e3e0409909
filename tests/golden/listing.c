/*
 * listing.c - a translated block as text that does not depend on addresses.
 *
 * For each guest instruction: its place, bytes and disassembly, the decoder's record, and below it the host code, with CPU
 * fields, gates and exits by name. "; ..." marks side records: what a fault or a stop there would find pending. Behind it
 * the cold part, a stub a line; an exit's stubs that are as always are only named, unless the case says "stubs".
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
    FIELD(gpr),      FIELD(eip),         FIELD(flags),       FIELD(df),        FIELD(sysflags),
    FIELD(iflag),    FIELD(irq_pending), FIELD(inhibit),     FIELD(exit_kind), FIELD(exit_from),
    FIELD(seg_base), FIELD(seg_limit),   FIELD(seg_limit16), FIELD(window),    FIELD(tsc_offset),
    FIELD(ctx_tag),  FIELD(sel_tag),     FIELD(idtr),        FIELD(jcache),    FIELD(ret_sp),
    FIELD(seg),      FIELD(code_map),    FIELD(selfchecks),
};

static const char *const gate_names[GATE_COUNT] = {
    [GATE_ENTER] = "enter",     [GATE_LINK] = "link",
    [GATE_LOOKUP] = "lookup",   [GATE_RET] = "ret",
    [GATE_STEP] = "step",       [GATE_CALLOUT] = "callout",
    [GATE_RET_KEY] = "ret_key", [GATE_RET_KEEP] = "ret_keep",
    [GATE_SIGNAL] = "signal",   [GATE_STEP_DONE] = "step_done"};

struct listing {
    FILE *out;
    const struct golden_case *c;
    struct cpu *cpu;
    struct cc *cc;
    struct bt *bt;
    const struct cc_block *b;
    csh host, guest;
};

/* The case's bytes are all the memory there is. */
static bool peek_code(void *opaque, u32 lin, void *buf, unsigned n)
{
    const struct golden_case *c = opaque;
    u32 at = lin - GOLDEN_EIP;
    if (at >= c->n_bytes || n > c->n_bytes - at)
        return false;
    memcpy(buf, c->bytes + at, n);
    return true;
}

static bool start(struct listing *l)
{
    union {
        const struct golden_case *c;
        void *opaque;
    } arg = {.c = l->c};
    struct bt_hooks hooks = {.opaque = arg.opaque, .peek_code = peek_code};
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

/* Cache offset as a place in the block: "+12", or "cold +12". */
static void print_place(const struct listing *l, FILE *out, u32 off)
{
    u32 cold = off - l->b->cold_off;
    if (cold < l->b->cold_len)
        fprintf(out, "cold +%x", cold);
    else
        fprintf(out, "+%x", off - l->b->code_off);
}

/* Where the jump or call at cache offset at leads. */
static void print_target(const struct listing *l, FILE *out, u32 at, const struct dec_host_insn *h)
{
    u32 to = at + h->len + (u32)h->imm;
    for (unsigned i = 0; i < l->b->n_exits; i++)
        if (l->b->exits[i].patch_off == at + h->len - 4) {
            fprintf(out, "exit %u (%x)", i, l->b->exits[i].target);
            return;
        }
    for (unsigned g = 0; g < GATE_COUNT; g++)
        if (gate_names[g] && l->bt->rx_lo + to == l->bt->gate[g]) {
            fprintf(out, "gate %s", gate_names[g]);
            return;
        }
    print_place(l, out, to);
}

/* The NOP of an exit behind a call. */
static bool print_inline(const struct listing *l, FILE *out, u32 at, const struct dec_host_insn *h)
{
    for (unsigned i = 0; i < l->b->n_exits; i++)
        if (l->b->exits[i].state == CC_INLINE && l->b->exits[i].patch_off == at + h->len - 4) {
            fprintf(out, "nop, exit %u (%x) when dead", i, l->b->exits[i].target);
            return true;
        }
    return false;
}

static void print_host(struct listing *l, FILE *out, u32 at, const struct dec_host_insn *h)
{
    cs_insn *insn = NULL;
    size_t n = cs_disasm(l->host, cc_rw(l->cc) + at, h->len, 0, 1, &insn);
    if (h->relative) {
        fprintf(out, "%s ", n ? insn->mnemonic : "?");
        print_target(l, out, at, h);
    } else if (print_inline(l, out, at, h)) {
    } else if (h->len == 10 && h->opcode == 0xba && h->imm >> 32) { /* mov r10, imm64: a pointer */
        fprintf(out, "mov r10, record");
    } else if (!n) {
        fprintf(out, "?");
    } else {
        fprintf(out, "%s%s", insn->mnemonic, insn->op_str[0] ? " " : "");
        name_field(out, insn->op_str);
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
    if (r->pend & PEND_SEGSTRING)
        fprintf(l->out, " ; pointers%s%s%s with bases", r->pend & PEND_SI ? " si" : "",
                r->pend & PEND_DI ? " di" : "", r->pend & PEND_ADDR16 ? " 16" : "");
    else if (r->pend >= PEND_BORROW)
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

static void print_hot(struct listing *l)
{
    const struct side_rec *recs = l->b->side;
    u32 n = l->b->side_bytes / (u32)sizeof(*recs), rec = 0, guest = 0;
    struct dec_host_insn h;
    for (u32 at = 0; at < l->b->code_len; at += h.len) {
        u32 off = l->b->code_off + at;
        if (dec_host_decode(&h, cc_rw(l->cc) + off, l->b->code_len - at))
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
        fprintf(l->out, "|     +%-4x", at);
        print_host(l, l->out, off, &h);
        for (; rec < n && recs[rec].host <= at; rec++)
            print_rec(l, &recs[rec]);
        fputc('\n', l->out);
    }
}

/* ---- the cold part ---- */

enum stub { STUB_STEP, STUB_LINK, STUB_LOOKUP, STUB_GUARD };

/* What begins at the cache offset: a stub of exit *n, or one that leads to the fallback. */
static enum stub stub_at(const struct listing *l, u32 off, unsigned *n)
{
    for (unsigned i = 0; i < l->b->n_exits; i++) {
        const struct cc_exit *x = &l->b->exits[i];
        *n = i;
        if (off == x->hard_off)
            return STUB_LINK;
        if (off == x->soft_off)
            return STUB_LOOKUP;
        if (off == x->guard_off)
            return STUB_GUARD;
    }
    return STUB_STEP;
}

/* The stub as it always is, in Capstone's words. */
static void usual_stub(const struct listing *l, enum stub kind, unsigned n, char *buf, size_t size)
{
    const struct cc_exit *x = kind == STUB_STEP ? NULL : &l->b->exits[n];
    u32 entry = x ? (x->target >> PAGE_SHIFT) * 4 : 0;
    char place[16] = "";
    buf[0] = 0;
    if (kind == STUB_LINK)
        snprintf(buf, size, "mov r10d, %s%x; mov r9d, 0x%x; jmp gate link", n > 8 ? "0x" : "", n + 1,
                 x->target);
    if (kind == STUB_LOOKUP)
        snprintf(buf, size, "mov r9d, 0x%x; jmp gate lookup", x->target);
    if (entry)
        snprintf(place, sizeof(place), " + %s%x", entry > 9 ? "0x" : "", entry);
    if (kind == STUB_GUARD)
        snprintf(buf, size,
                 "mov r10, qword ptr [cpu.code_map]; mov r11, rcx; mov ecx, dword ptr [r10%s]; "
                 "lea ecx, [rcx + 0x7fffffff]; jrcxz cold +%x; mov rcx, r11; mov r9d, 0x%x; jmp gate lookup; "
                 "mov rcx, r11; jmp gate lookup",
                 place, x->guard_rel - l->b->cold_off - 4, x->target);
}

/* Instructions from the cache offset to the stub's end, which is the last jump before another stub or, of stubs to the
 * fallback, the first one. Returns the offset behind it. */
static u32 stub_text(struct listing *l, u32 off, enum stub kind, char **text)
{
    u32 end = l->b->cold_off + l->b->cold_len;
    struct dec_host_insn h;
    size_t size;
    unsigned n;
    FILE *out = open_memstream(text, &size);
    if (!out)
        exit(2);
    do {
        if (dec_host_decode(&h, cc_rw(l->cc) + off, end - off))
            break;
        print_host(l, out, off, &h);
        off += h.len;
        if (off >= end || stub_at(l, off, &n) != STUB_STEP || (h.kind == DEC_HOST_JMP && kind != STUB_GUARD))
            break;
        fputs("; ", out);
    } while (true);
    fclose(out);
    return off;
}

static void print_cold(struct listing *l)
{
    static const char *const names[] = {"step", "link", "lookup", "guard"};
    u32 end = l->b->cold_off + l->b->cold_len;
    unsigned n = 0, named = ~0u; /* exit whose line is being written */
    for (u32 off = l->b->cold_off, next; off < end; off = next) {
        char *text, usual[512];
        enum stub kind = stub_at(l, off, &n);
        next = stub_text(l, off, kind, &text);
        usual_stub(l, kind, n, usual, sizeof(usual));
        bool compact = kind != STUB_STEP && !l->c->stubs && !strcmp(text, usual);
        if (named != ~0u && (!compact || named != n)) {
            fputc('\n', l->out);
            named = ~0u;
        }
        if (compact) {
            if (named == ~0u)
                fprintf(l->out, "|   exit %u (%x):", n, l->b->exits[n].target);
            fprintf(l->out, " %s", names[kind]);
            named = n;
        } else {
            fprintf(l->out, "|   cold +%-4x", off - l->b->cold_off);
            if (kind != STUB_STEP)
                fprintf(l->out, "exit %u (%x) %s: ", n, l->b->exits[n].target, names[kind]);
            fprintf(l->out, "%s\n", text);
        }
        free(text);
    }
    if (named != ~0u)
        fputc('\n', l->out);
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
    if (b) {
        print_hot(&l);
        print_cold(&l);
    }
    stop(&l);
    fclose(l.out);
    return text;
}
