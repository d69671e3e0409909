/*
 * scan.h - may a page of code run directly? (internal)
 *
 * Code at CPL 3 that runs natively must not hold instructions that neither trap nor tell the truth there: those that show or load
 * selectors of the host, its descriptor tables, its CPUID or its time, far transfers, and those that the guest's CPU model lacks.
 * Everything that traps (privileged instructions, INT n, UD2) is welcome: it becomes an exit.
 */
#ifndef NOVT_MONITOR_SCAN_H
#define NOVT_MONITOR_SCAN_H

#include "base.h"
#include "decoder/decoder.h"

enum scan_reason {
    SCAN_CLEAN,
    SCAN_SELECTOR, /* shows or loads a segment register, LAR, LSL, VERR, VERW */
    SCAN_TABLE,    /* SGDT, SIDT, SLDT, STR, SMSW */
    SCAN_FAR,      /* far CALL, JMP, RET, IRET, SYSENTER */
    SCAN_CPUID,    /* CPUID */
    SCAN_TIME,     /* RDTSC, RDTSCP, RDPMC: the host's counters are not the guest's */
    SCAN_FPUENV,   /* x87 environment: shows the selectors of code and data */
    SCAN_MODEL,    /* not in the guest's CPU model, or another instruction there */
    SCAN_TOO_LONG, /* 15 bytes exceeded */
    SCAN_REASON_COUNT,
};
const char *scan_reason_name(unsigned reason);

/* What the host's CPU executes although no model of ours has it; what it does not have traps. */
enum { SCAN_HOST_RTM = 1, SCAN_HOST_PKU = 2, SCAN_HOST_VEX = 4, SCAN_HOST_XOP = 8, SCAN_HOST_3DNOW = 16 };

struct scan_cpu {
    u32 features; /* of the guest's CPU model, 1u << enum dec_feature */
    u32 host;     /* SCAN_HOST_* */
    /* FNSTENV, FLDENV, FNSAVE and FRSTOR pass: the C library's mathematics is full of them, and the selectors and pointers that
     * they show mean nothing unless an unmasked x87 exception is pending (APM vol. 2, 11.4.4), where they would be the host's. */
    bool x87_env;
};
u32 scan_host(void); /* of the CPU that this runs on */

/* Why this instruction keeps code out of direct execution, or SCAN_CLEAN; bytes are its own. REP BSF passes although hosts with BMI1
 * run it as TZCNT: compilers emit it for either, so programs do not look at what differs (ZF, and the result for 0). */
enum scan_reason scan_insn(const struct dec_insn *in, const u8 *bytes, const struct scan_cpu *cpu);

struct scan_result {
    u8 reason;     /* enum scan_reason, of the first sensitive instruction */
    u16 at;        /* its offset in the page */
    u8 tail_bytes; /* bytes of an instruction that starts at the end of the page and goes on in the next: 0..14 */
    u16 insns;     /* decoded */
};

#define SCAN_ENTRIES_MAX 512u

/* Decodes a page of 32-bit code: first all that can be reached from the n offsets given (straight on, both ways at direct branches, behind
 * calls), then, from offset head on, every byte that is left, since other pages and indirect branches lead there: what does not decode in
 * there is skipped as data, what is sensitive there counts. head: where the page's first instruction begins, 0 when
 * nothing is known. Pure. Source of the list: SDM vol. 2, Popek and Goldberg's sensitive instructions. */
void scan_page(const u8 page[PAGE_BYTES], const u16 *entries, unsigned n, unsigned head,
               const struct scan_cpu *cpu, struct scan_result *out);

/* Where the first instruction of a page begins, as the code of the page before it has it. before NULL, that page is not there: where it no
 * longer matters, some 25 bytes on. A sweep from the middle of an instruction finds sensitive ones that nobody wrote, in one page in 14,
 * and code in front of there cannot be gone into from the page before without a fault. */
unsigned scan_head(const u8 *before, const u8 page[PAGE_BYTES], u32 features);

/* The instruction that begins with tail_bytes bytes at the end of one page and goes on in the next one. */
enum scan_reason scan_straddle(const u8 page[PAGE_BYTES], unsigned tail_bytes, const u8 next[PAGE_BYTES],
                               const struct scan_cpu *cpu);

#endif
