/*
 * scan.c - reads the code of a page before it may run directly (scan.h).
 *
 * A worklist of offsets and one bit per offset seen: each instruction is decoded once. The scan errs on the side of translation:
 * a doubt keeps the page out, and costs some speed. What it cannot see is an entry into the middle of an instruction that no code of
 * the page names; that costs equivalence, never isolation, which the sandbox alone answers for (docs/security.md).
 */
#include <string.h>

#include "monitor/scan.h"

const char *scan_reason_name(unsigned reason)
{
    static const char *const names[SCAN_REASON_COUNT] = {
        [SCAN_CLEAN] = "clean",
        [SCAN_SELECTOR] = "selector",
        [SCAN_TABLE] = "table",
        [SCAN_FAR] = "far transfer",
        [SCAN_CPUID] = "cpuid",
        [SCAN_FPUENV] = "x87 environment",
        [SCAN_MODEL] = "not in the CPU model",
        [SCAN_TOO_LONG] = "too long",
    };
    return reason < SCAN_REASON_COUNT ? names[reason] : "?";
}

/* REP BSF and REP BSR are TZCNT and LZCNT on a host that has them; the decoder gives them their older meaning when the model
 * lacks them. */
static bool host_reads_it_otherwise(const struct dec_insn *in, u32 features)
{
    if (in->map != 1 || !(in->prefixes & DEC_PFX_REP) || (in->opcode != 0xbc && in->opcode != 0xbd))
        return false;
    return !(features & (1u << (in->opcode == 0xbc ? FEAT_BMI1 : FEAT_LZCNT)));
}

enum scan_reason scan_insn(const struct dec_insn *in, u32 features)
{
    if (in->cls == DEC_UD)
        return in->op == OP_UD2 ? SCAN_CLEAN : SCAN_MODEL;
    if (host_reads_it_otherwise(in, features))
        return SCAN_MODEL;
    switch (in->op) {
    case OP_PUSH_SEG:
    case OP_POP_SEG:
    case OP_MOV_R_SEG:
    case OP_MOV_SEG_RM:
    case OP_LOAD_FAR:
    case OP_LAR:
    case OP_LSL:
    case OP_VERR:
    case OP_VERW: return SCAN_SELECTOR;
    case OP_SMSW:
    case OP_SGDT:
    case OP_SIDT:
    case OP_SLDT:
    case OP_STR: return SCAN_TABLE;
    case OP_CALL_FAR_I:
    case OP_JMP_FAR_I:
    case OP_CALL_FAR_M:
    case OP_JMP_FAR_M:
    case OP_RET_FAR:
    case OP_IRET:
    case OP_SYSENTER: /* enters the host's kernel where the CPU has it */ return SCAN_FAR;
    case OP_CPUID:
    case OP_RDPMC:
    case OP_RDTSCP: return SCAN_CPUID;
    case OP_FNSTENV:
    case OP_FLDENV:
    case OP_FNSAVE:
    case OP_FRSTOR:
    case OP_FXSAVE:
    case OP_FXRSTOR: return SCAN_FPUENV;
    default: return SCAN_CLEAN;
    }
}

struct scan {
    const u8 *page;
    u32 features;
    u64 seen[PAGE_BYTES / 64];
    u16 work[PAGE_BYTES]; /* offsets to look at, none twice; with WORK_SWEEP: reached from a sweep only */
    unsigned n_work;
    struct scan_result *out;
};

#define WORK_SWEEP 0x8000u

static void push(struct scan *s, u32 offset, bool sweep)
{
    if (offset >= PAGE_BYTES || (s->seen[offset / 64] >> (offset % 64) & 1))
        return;
    s->seen[offset / 64] |= 1ull << (offset % 64);
    s->work[s->n_work++] = (u16)(offset | (sweep ? WORK_SWEEP : 0));
}

/* Where a direct branch goes, if within the page; PAGE_BYTES: elsewhere. */
static u32 branch_target(const struct dec_insn *in, u32 at)
{
    if (in->opsz == 2) /* EIP is cut to 16 bits: not in this page as far as we know */
        return PAGE_BYTES;
    u32 target = at + in->len + in->imm;
    return target < PAGE_BYTES ? target : PAGE_BYTES;
}

/* One stretch of straight code. sweep: nothing is known to lead here, so what does not decode is data. */
static void scan_stretch(struct scan *s, u32 at, bool sweep)
{
    struct dec_insn in;

    for (;;) {
        int rc = dec_decode(&in, s->page + at, PAGE_BYTES - at, true, s->features);
        if (rc == -ENODATA) {
            s->out->tail_bytes = (u8)(PAGE_BYTES - at);
            return;
        }
        enum scan_reason why = rc ? SCAN_TOO_LONG : scan_insn(&in, s->features);
        if (sweep && (why == SCAN_MODEL || why == SCAN_TOO_LONG))
            return;
        if (why != SCAN_CLEAN) {
            if (s->out->reason == SCAN_CLEAN) {
                s->out->reason = (u8)why;
                s->out->at = (u16)at;
            }
            return;
        }
        s->out->insns++;
        u32 next = at + in.len;
        if (in.cls == DEC_BRANCH && in.op != OP_JMP_RM && in.op != OP_CALL_RM && in.op != OP_RET)
            push(s, branch_target(&in, at), sweep);
        if (in.op == OP_JMP || in.op == OP_JMP_RM || in.op == OP_RET || in.op == OP_UD2)
            sweep = true;
        if (next >= PAGE_BYTES || (s->seen[next / 64] >> (next % 64) & 1))
            return;
        s->seen[next / 64] |= 1ull << (next % 64);
        at = next;
    }
}

void scan_page(const u8 page[PAGE_BYTES], const u16 *entries, unsigned n, u32 features,
               struct scan_result *out)
{
    struct scan s = {.page = page, .features = features, .out = out};

    memset(out, 0, sizeof(*out));
    for (unsigned i = 0; i < n; i++)
        push(&s, entries[i], false);
    while (s.n_work && out->reason == SCAN_CLEAN) {
        u16 w = s.work[--s.n_work];
        scan_stretch(&s, w & ~WORK_SWEEP, w & WORK_SWEEP);
    }
}

enum scan_reason scan_straddle(const u8 page[PAGE_BYTES], unsigned tail_bytes, const u8 next[PAGE_BYTES],
                               u32 features)
{
    u8 bytes[2 * DEC_MAX_LEN];
    struct dec_insn in;

    if (!tail_bytes || tail_bytes > DEC_MAX_LEN)
        return SCAN_CLEAN;
    memcpy(bytes, page + PAGE_BYTES - tail_bytes, tail_bytes);
    memcpy(bytes + tail_bytes, next, DEC_MAX_LEN);
    return dec_decode(&in, bytes, tail_bytes + DEC_MAX_LEN, true, features) ? SCAN_TOO_LONG
                                                                            : scan_insn(&in, features);
}
