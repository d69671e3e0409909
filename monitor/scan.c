/*
 * scan.c - reads the code of a page before it may run directly (scan.h).
 *
 * A worklist of offsets and one bit per offset seen: each instruction is decoded once. The scan errs on the side of translation:
 * a doubt keeps the page out, and costs some speed. Compilers' code resynchronises a linear sweep within a few instructions, and
 * holds so few sensitive bytes that sweeping all of a page keeps about one page in a hundred out. What it cannot see is an entry into the
 * middle of an instruction, or an indirect one into the first bytes of a page whose neighbour is not there (scan_head()); that costs
 * equivalence, never isolation, which the sandbox alone answers for (docs/security.md).
 */
#include <cpuid.h>
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
        [SCAN_TIME] = "time",
        [SCAN_FPUENV] = "x87 environment",
        [SCAN_MODEL] = "not in the CPU model",
        [SCAN_TOO_LONG] = "too long",
    };
    return reason < SCAN_REASON_COUNT ? names[reason] : "?";
}

u32 scan_host(void)
{
    u32 a, b, c, d, host = 0;

    if (__get_cpuid(1, &a, &b, &c, &d))
        host |= c & bit_AVX ? SCAN_HOST_VEX : 0;
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) {
        host |= b & bit_BMI ? SCAN_HOST_VEX : 0;
        host |= b & bit_RTM ? SCAN_HOST_RTM : 0;
        host |= c & bit_PKU ? SCAN_HOST_PKU : 0;
    }
    if (__get_cpuid(0x80000001, &a, &b, &c, &d)) {
        host |= c & bit_XOP ? SCAN_HOST_XOP : 0;
        host |= d & bit_3DNOW ? SCAN_HOST_3DNOW : 0;
    }
    return host;
}

/* Undefined in the guest's CPU model: may the host know it all the same? */
static bool host_may_know(const u8 *p, unsigned len, u32 host)
{
    static const u8 prefixes[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3};
    unsigned i = 0;

    while (i < len && memchr(prefixes, p[i], sizeof(prefixes)))
        i++;
    if (i + 1 >= len)
        return i < len && p[i] == 0x0f;
    switch (p[i]) {
    case 0xc6: /* XABORT, XBEGIN */
    case 0xc7: return p[i + 1] == 0xf8 && (host & SCAN_HOST_RTM);
    case 0x62: /* EVEX, VEX */
    case 0xc4:
    case 0xc5: return host & SCAN_HOST_VEX;
    case 0x8f: return host & SCAN_HOST_XOP;
    case 0x0f: break;
    default: return false;
    }
    if (p[i + 1] == 0x0f)
        return host & SCAN_HOST_3DNOW;
    if (p[i + 1] == 0x01 && i + 2 < len) {
        switch (p[i + 2]) {
        case 0xd5: /* XEND, XTEST */
        case 0xd6: return host & SCAN_HOST_RTM;
        case 0xee: /* RDPKRU, WRPKRU */
        case 0xef: return host & SCAN_HOST_PKU;
        default: break;
        }
    }
    return true;
}

/* REP BSR is LZCNT on a host that has it, with another result; the decoder gives it its older meaning when the model lacks it. */
static bool host_reads_it_otherwise(const struct dec_insn *in, u32 features)
{
    return in->map == 1 && (in->prefixes & DEC_PFX_REP) && in->opcode == 0xbd && !(features & (1u << FEAT_LZCNT));
}

enum scan_reason scan_insn(const struct dec_insn *in, const u8 *bytes, const struct scan_cpu *cpu)
{
    if (in->cls == DEC_UD)
        return in->op == OP_UD2 || !host_may_know(bytes, in->len, cpu->host) ? SCAN_CLEAN : SCAN_MODEL;
    if (host_reads_it_otherwise(in, cpu->features))
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
    case OP_CPUID: return SCAN_CPUID;
    case OP_RDTSC:
    case OP_RDPMC:
    case OP_RDTSCP: return SCAN_TIME;
    case OP_FNSTENV:
    case OP_FLDENV:
    case OP_FNSAVE:
    case OP_FRSTOR: return cpu->x87_env ? SCAN_CLEAN : SCAN_FPUENV;
    case OP_FXSAVE:
    case OP_FXRSTOR: return SCAN_FPUENV;
    default: return SCAN_CLEAN;
    }
}

struct scan {
    const u8 *page;
    const struct scan_cpu *cpu;
    u64 seen[PAGE_BYTES / 64];    /* offsets that were or will be decoded */
    u64 covered[PAGE_BYTES / 64]; /* bytes of instructions that were */
    u16 work[PAGE_BYTES]; /* offsets to look at, none twice; with WORK_SWEEP: reached from a sweep only */
    unsigned n_work;
    struct scan_result *out;
};

#define WORK_SWEEP 0x8000u

static bool get_bit(const u64 *map, u32 at)
{
    return map[at / 64] >> (at % 64) & 1;
}

static void set_bit(u64 *map, u32 at)
{
    map[at / 64] |= 1ull << (at % 64);
}

static void push(struct scan *s, u32 offset, bool sweep)
{
    if (offset >= PAGE_BYTES || get_bit(s->seen, offset))
        return;
    set_bit(s->seen, offset);
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

static void found(struct scan *s, enum scan_reason why, u32 at)
{
    if (s->out->reason == SCAN_CLEAN) {
        s->out->reason = (u8)why;
        s->out->at = (u16)at;
    }
}

/* One stretch of straight code. sweep: nothing is known to lead here, so what does not decode is data. Returns where it ended. */
static u32 scan_stretch(struct scan *s, u32 at, bool sweep)
{
    struct dec_insn in;

    while (at < PAGE_BYTES) {
        set_bit(s->seen, at);
        int rc = dec_decode(&in, s->page + at, PAGE_BYTES - at, true, s->cpu->features);
        if (rc == -ENODATA) {
            if (!s->out->tail_bytes)
                s->out->tail_bytes = (u8)(PAGE_BYTES - at);
            while (at < PAGE_BYTES)
                set_bit(s->covered, at++);
            return PAGE_BYTES;
        }
        enum scan_reason why = rc ? SCAN_TOO_LONG : scan_insn(&in, s->page + at, s->cpu);
        if (sweep && (rc || (in.cls == DEC_UD && in.op != OP_UD2 && why == SCAN_CLEAN)))
            return at + 1;
        if (why != SCAN_CLEAN) {
            found(s, why, at);
            return at;
        }
        s->out->insns++;
        u32 next = at + in.len;
        for (u32 i = at; i < next; i++)
            set_bit(s->covered, i);
        if (in.cls == DEC_BRANCH && in.op != OP_JMP_RM && in.op != OP_CALL_RM && in.op != OP_RET)
            push(s, branch_target(&in, at), sweep);
        if (in.op == OP_JMP || in.op == OP_JMP_RM || in.op == OP_RET || in.cls == DEC_UD)
            sweep = true;
        if (next >= PAGE_BYTES || get_bit(s->seen, next) || (sweep && get_bit(s->covered, next)))
            return next;
        at = next;
    }
    return at;
}

static void drain(struct scan *s)
{
    while (s->n_work && s->out->reason == SCAN_CLEAN) {
        u16 w = s->work[--s->n_work];
        scan_stretch(s, w & ~WORK_SWEEP, w & WORK_SWEEP);
    }
}

void scan_page(const u8 page[PAGE_BYTES], const u16 *entries, unsigned n, unsigned head,
               const struct scan_cpu *cpu, struct scan_result *out)
{
    struct scan s = {.page = page, .cpu = cpu, .out = out};

    memset(out, 0, sizeof(*out));
    for (unsigned i = 0; i < n; i++)
        push(&s, entries[i], false);
    drain(&s);
    for (u32 at = head; at < PAGE_BYTES && out->reason == SCAN_CLEAN;) {
        if (get_bit(s.covered, at) || get_bit(s.seen, at)) {
            at++;
        } else {
            at = scan_stretch(&s, at, true);
            drain(&s);
        }
    }
}

#define HEAD_LOOKS_BACK 256u /* bytes: plenty to resynchronise */
#define HEAD_LOOKS_ON 512u   /* pages of Debian's libraries and programs take 25 on average, 147 at most */

/* Where a sweep goes on behind one instruction. */
static u32 step_over(const u8 *bytes, u32 at, u32 end, u32 features)
{
    struct dec_insn in;

    return at + (dec_decode(&in, bytes + at, end - at, true, features) || in.cls == DEC_UD ? 1 : in.len);
}

/* Where sweeps from every offset that the first instruction can have are one; 0: nowhere near. */
static u32 where_all_meet(const u8 page[PAGE_BYTES], u32 features)
{
    u32 at[DEC_MAX_LEN], last = DEC_MAX_LEN - 1;

    for (u32 i = 0; i <= last; i++)
        at[i] = i;
    for (;;) {
        u32 first = at[0];

        for (u32 i = 1; i <= last; i++)
            first = at[i] < first ? at[i] : first;
        if (first > HEAD_LOOKS_ON)
            return 0;
        u32 next = step_over(page, first, PAGE_BYTES, features);
        bool met = true;
        for (u32 i = 0; i <= last; i++) {
            met &= at[i] == first;
            at[i] = at[i] == first ? next : at[i];
        }
        if (met)
            return first;
    }
}

unsigned scan_head(const u8 *before, const u8 page[PAGE_BYTES], u32 features)
{
    u8 bytes[HEAD_LOOKS_BACK + DEC_MAX_LEN];
    u32 at = 0;

    if (!before)
        return where_all_meet(page, features);
    memcpy(bytes, before + PAGE_BYTES - HEAD_LOOKS_BACK, HEAD_LOOKS_BACK);
    memcpy(bytes + HEAD_LOOKS_BACK, page, DEC_MAX_LEN);
    while (at < HEAD_LOOKS_BACK)
        at = step_over(bytes, at, (u32)sizeof(bytes), features);
    return at - HEAD_LOOKS_BACK;
}

enum scan_reason scan_straddle(const u8 page[PAGE_BYTES], unsigned tail_bytes, const u8 next[PAGE_BYTES],
                               const struct scan_cpu *cpu)
{
    u8 bytes[2 * DEC_MAX_LEN];
    struct dec_insn in;

    if (!tail_bytes || tail_bytes > DEC_MAX_LEN)
        return SCAN_CLEAN;
    memcpy(bytes, page + PAGE_BYTES - tail_bytes, tail_bytes);
    memcpy(bytes + tail_bytes, next, DEC_MAX_LEN);
    if (dec_decode(&in, bytes, tail_bytes + DEC_MAX_LEN, true, cpu->features))
        return SCAN_TOO_LONG;
    return scan_insn(&in, bytes, cpu);
}
