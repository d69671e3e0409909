/*
 * diff.h - the differential fuzzer: one random user-mode program, run natively on the host CPU in
 * 32-bit compatibility mode and translated by NoVT, must end in the same state.
 *
 * Flow: cand.c lists every encoding that both sides may run > gen.c makes a program of them > native.c
 * and guest.c run it > report.c compares, shrinks and prints > main.c counts. Linear addresses, page
 * rights, segment descriptors and selectors are the same on both sides.
 *
 * A program is a list of items, one instruction each, with symbolic branch targets, so that the
 * shrinker can take any of them away. Each exception is an event: vector, error code, CR2 and all registers are
 * noted, then the program goes on behind it (resume.c), until the INT3 at its end. FPU and memory are compared at the end.
 *
 * What the host kernel hides, and so is not compared: DR6 and the #DB's cause, system calls (INT 80h, SYSENTER), SGDT and
 * its like (emulated for UMIP), GDT selectors other than the flat ones; IRET with NT (64-bit kernels know no tasks).
 */
#ifndef NOVT_TESTS_DIFF_H
#define NOVT_TESTS_DIFF_H

#include "base.h"
#include "bt/cpu.h"
#include "decoder/decoder.h"

/* ---- the program's memory: user pages, everything else is not present ---- */
#define CODE_GVA 0x10000000u
#define CODE_PAGES 2u
#define CODE_BYTES (CODE_PAGES * PAGE_BYTES)
#define RUNS_OFF 64u         /* a program that starts so close to the end is meant to run off its pages */
#define WRAP_GVA 0x1fff0000u /* 64 KiB below the data: offsets of one segment that wrap at 64 KiB find both */
#define WRAP_PAGES 1u
#define DATA_GVA 0x20000000u
#define DATA_PAGES 3u /* two writable, the third read-only, then nothing */
#define DATA_RW_PAGES 2u
#define STACK_GVA 0x30000000u
#define STACK_PAGES 2u
#define HIGH_GVA 0xfffff000u /* the last page below 4 GiB */
#define HIGH_PAGES 1u
#define ALL_PAGES (CODE_PAGES + DATA_PAGES + STACK_PAGES + HIGH_PAGES + WRAP_PAGES)

struct diff_region {
    u32 gva, pages;
    bool write, exec;
    u32 at; /* first page in a memory image */
};
extern const struct diff_region diff_regions[];
extern const unsigned diff_region_count;

struct diff_memory {
    u8 page[ALL_PAGES][PAGE_BYTES];
};

/* ---- segments: a GDT like Linux's for flat selectors, an LDT for the others ---- */
#define SEL_CS_FLAT 0x23
#define SEL_DS_FLAT 0x2b
enum diff_ldt {
    LDT_DATA,    /* writable, base DATA_GVA - 1000h, limit 3fffh */
    LDT_CODE16,  /* base CODE_GVA, limit ffffh */
    LDT_STACK16, /* B = 0, base STACK_GVA, limit ffffh */
    LDT_RODATA,  /* read-only, base DATA_GVA, limit 2fffh */
    LDT_DOWN,    /* expand-down, 32-bit, base DATA_GVA - 10000h, limit ffffh: offsets from 10000h */
    LDT_CODE32,  /* base CODE_GVA - 2000h, limit 3fffh */
    LDT_BASED,   /* flat limit, base 1000h */
    /* From here on random ones, new every LDT_PROGRAMS programs; the purposes are ranges of slots. */
    LDT_R_DATA,
    LDT_R_WRAP = LDT_R_DATA + 6, /* offsets 0 and ffffh both in memory */
    LDT_R_DOWN = LDT_R_WRAP + 2,
    LDT_R_CODE16 = LDT_R_DOWN + 3,
    LDT_R_CODE32 = LDT_R_CODE16 + 3,
    LDT_R_STACK = LDT_R_CODE32 + 3,
    LDT_R_ABSENT = LDT_R_STACK + 4, /* not present, of any type */
    LDT_R_EMPTY,                    /* no descriptor */
    LDT_R_TINY,                     /* a few bytes */
    LDT_R_ANY,
    LDT_COUNT
};
#define LDT_PROGRAMS 64
#define SEL_LDT(n) ((u16)((n) << 3 | 7))

struct diff_descriptor {
    u32 base, limit; /* limit in bytes */
    bool pages;      /* page granular: the limit's low 12 bits are ones */
    bool code, rw;   /* rw: writable data, readable code */
    bool down, big, absent;
};
/* The LDT of a seed; the table is good until another seed is asked for. */
const struct diff_descriptor *diff_ldt(u64 seed);

/* Descriptor of one of the selectors above in the LDT asked for last; false for null ones, outsiders, empty slots. */
bool diff_descriptor(u16 sel, struct diff_descriptor *out);
/* Is offset off, size bytes, within the limit? */
bool diff_in_limit(const struct diff_descriptor *d, u32 off, u32 size);
/* May seg be loaded with sel at CPL 3? Null ones too, except in SS and CS. */
bool diff_loadable(unsigned seg, u16 sel);

/* Fixed sets of selectors, in enum dec_seg order. */
struct diff_segments {
    const char *name;
    u16 sel[SEG_COUNT];
};
extern const struct diff_segments diff_configs[];
extern const unsigned diff_config_count;

/* ---- random numbers ---- */
struct diff_rng {
    u64 s;
};
u64 rng_u64(struct diff_rng *r);
u32 rng_below(struct diff_rng *r, u32 n); /* 0..n-1; 0 for n = 0 */
bool rng_chance(struct diff_rng *r, unsigned percent);
u32 rng_interesting(struct diff_rng *r); /* 32 bits, biased to the edges of 8, 16 and 32 bits */

/* ---- one program ---- */
#define DIFF_MAX_ITEMS 160

struct diff_item {
    u8 bytes[18]; /* 16 at most are the instruction */
    u8 len;
    u8 fix_off, fix_size; /* field to fill with the target's address */
    u8 fix_abs;           /* its offset in CS, plus fix_add; else relative to the end of this item */
    i8 fix_add;
    bool cs32;   /* the code segment that it is meant for: size, base */
    u32 cs_base; /* subtracted from the target's address; a far transfer's is the new one's */
    i16 target;  /* item whose address it is; -1: none; the item count: the end */
    i32 cand;    /* index of the candidate, -1: glue */
    bool off;    /* taken away by the shrinker */
    bool tied;   /* stays as long as the item before it does */
};

struct diff_case {
    u64 seed, ldt_seed;
    const char *config;
    u16 sel[SEG_COUNT];
    unsigned n;
    struct diff_item item[DIFF_MAX_ITEMS];
    u32 start; /* offset of the first item in the code pages */
    u32 gpr[8];
    u32 eflags;
    u8 fpu[512]; /* 64-bit FXSAVE form */
    u64 memory_seed;
    u32 addr[DIFF_MAX_ITEMS + 1]; /* linear; filled by diff_assemble() */
};

/* Where each item starts (linear), and the end at addr[n]. Fills the code pages of the image. False: too long. */
bool diff_assemble(struct diff_case *c, struct diff_memory *mem);
void diff_fill_memory(u64 seed, struct diff_memory *mem);

/* ---- what happens ---- */
#define DIFF_VECTOR_TIMEOUT 0x100 /* did not end */
#define DIFF_VECTOR_ESCAPE 0x101  /* made a host system call: not comparable */
#define DIFF_ENOUGH_EVENTS 64
#define DIFF_MAX_EVENTS 80 /* what is tied together comes to its end */

/* One exception and the registers that its handler finds. */
struct diff_event {
    u32 vector, error, cr2; /* error and cr2 are 0 where the vector has none */
    u32 gpr[8];
    u32 eip, eflags;
    u16 sel[SEG_COUNT];
};

/* After an exception the program goes on: behind the item that faulted, in place after a trap. Changes the registers that the
 * program resumes with. False: this one ended it. Safe in signal handlers. */
bool diff_resume(const struct diff_case *c, struct diff_event *e, unsigned events);

/* A fault in the middle of a POPA, FRSTOR, FLDENV, or an FXRSTOR that wraps at 64 KiB: AMD's CPUs have changed some registers by then,
 * others none. It ends the program,
 * and general registers and FPU are not compared. */
bool diff_loose(const struct diff_case *c, const struct diff_event *e);

/* Flags that are compared: a single-step trap between two iterations of a REP instruction finds RF set on Intel's CPUs (SDM
 * vol. 3, 17.3.1.1) and clear on AMD's. */
u32 diff_flags_mask(const struct diff_case *c, const struct diff_event *e);

struct diff_state {
    unsigned n;
    struct diff_event event[DIFF_MAX_EVENTS]; /* the last one ended the program */
    u8 fpu[512];
    struct diff_memory mem;
};

static inline const struct diff_event *diff_end(const struct diff_state *s)
{
    return &s->event[s->n - 1];
}

/* ---- cand.c ---- */
struct diff_candidate {
    u8 mandatory; /* 0, 66h, F2h, F3h */
    u8 map, opcode;
    u8 has_modrm, ext, is_mem; /* ext: ModRM.reg when has_modrm */
    u8 cls, op;
};
int cand_init(u32 features) MUST_CHECK;
void cand_fini(void);
bool cand_seg(const struct dec_insn *insn); /* segment loads and far transfers: with chosen selectors only */
/* A random candidate: first the opcode, then its form, so that rare groups get their share. */
i32 cand_pick(struct diff_rng *r);
const struct diff_candidate *cand_get(i32 i);
void cand_hit(i32 i);
/* May this instruction run on both sides with the same outcome, whatever its operands? */
bool cand_allowed(const struct dec_insn *insn);
/* Prints how many candidates were hit, and the table of those that were not. Returns the number never hit. */
unsigned cand_report(bool verbose);

/* ---- gen.c ---- */
void gen_case(struct diff_case *c, u64 seed, u32 features);

/* ---- vectors.c: programs by hand ---- */
unsigned diff_vector_count(void);
const char *diff_vector_name(unsigned i);
void diff_vector(struct diff_case *c, unsigned i);
/* The descriptor that a vector's program (by its LDT's seed) has in a slot. */
bool diff_vector_descriptor(u64 seed, unsigned slot, struct diff_descriptor *out);

/* ---- native.c ---- */
int native_init(void) MUST_CHECK; /* 0 or -errno */
bool native_has_icebp(void);      /* does INT1 arrive here as on a bare CPU? */
void native_run(const struct diff_case *c, const struct diff_memory *start, struct diff_state *out);
/* The same in single steps, ended by DIFF_VECTOR_ESCAPE before an instruction that we do not compare. Events in between are
 * not noted, flags show TF. */
void native_trace(const struct diff_case *c, const struct diff_memory *start, struct diff_state *out);

/* ---- guest.c ---- */
struct diff_guest_options {
    u32 stress; /* NOVT_STRESS_* */
    u32 engine; /* NOVT_ENGINE_* */
    bool step;  /* every instruction through the fallback, by a breakpoint that is never met */
};
int guest_init(const struct diff_guest_options *opt) MUST_CHECK;
void guest_fini(void);
u32 guest_features(void);
void guest_stats(void);
void guest_run(const struct diff_case *c, const struct diff_memory *start, struct diff_state *out);
void guest_tick(void); /* signal-safe: end a run that takes too long */

/* ---- report.c ---- */
/* 0: same. Else, if text is not NULL, says on it what differs. */
int report_compare(const struct diff_case *c, const struct diff_state *native, const struct diff_state *guest,
                   bool verbose);
bool report_only_memory(const struct diff_state *native,
                        const struct diff_state *guest); /* all else is the same */
void report_case(struct diff_case *c);
void report_end(const struct diff_state *s); /* the end state's code bytes, and the events */
bool report_shrink(struct diff_case *c, bool (*differs)(struct diff_case *c));

#endif
