/*
 * test_host.c - the host CPU's opinion of what the decoder says.
 *
 * Runs single instructions natively in 32-bit mode, each placed so that its last byte is the last of a
 * page and the next page cannot be read, single-stepped by TF. The CPU thereby tells: whether it knows
 * the instruction (#UD or not), how long it is (a fetch fault at the page's end means longer), and, run
 * twice with everything changed that the record says is no input, whether flags and registers read and
 * written are right. Entry is a signal handler that returns to other registers; every way out is a trap.
 */
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <cpuid.h>
#include <criterion/criterion.h>

#include "decoder/decoder.h"

#define CODE_GVA 0x20000000u
#define CODE_END (CODE_GVA + PAGE_BYTES)
#define DATA_GVA 0x21000000u
#define DATA_BYTES 0x10000u
#define MIDDLE (DATA_GVA + DATA_BYTES / 2)
#define CS32 0x23 /* Linux's 32-bit user code selector */
#define EFL_TF_IF 0x302

enum { VEC_DB = 1, VEC_UD = 6, VEC_PF = 14 };

struct state {
    u32 gpr[8];
    u32 flags;
};

struct outcome {
    struct state state;
    u64 vector, address, eip;
};

/* What the two signal handlers share with run(). */
static struct {
    const struct state *in;
    struct outcome *out;
    u64 start;
    gregset_t regs;
    u8 fpu[512];
    volatile sig_atomic_t inside;
} host;

static const int reg_order[8] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI};

/* The same x87, MMX and SSE registers for every run: small numbers, no NaN, nothing pending. */
static void reset_fpu(struct _libc_fpstate *fpu)
{
    static const u32 xsave_magic =
        0x46505853; /* "SXPF" in the frame's reserved words: XSAVE header follows */
    u32 magic;
    u64 components;

    fpu->cwd = 0x37f;
    fpu->swd = 0;
    fpu->ftw = 0xff; /* all eight in use */
    fpu->mxcsr = 0x1f80;
    for (unsigned i = 0; i < 8; i++) {
        memset(&fpu->_st[i], 0, sizeof(fpu->_st[i]));
        fpu->_st[i].significand[3] = (u16)(0x8000 + i * 0x1234);
        fpu->_st[i].exponent = (u16)(0x3fff + i);
        for (unsigned k = 0; k < 4; k++)
            fpu->_xmm[i].element[k] = 0x3f800000 + i * 0x112233 + k * 0x1001;
    }
    memcpy(&magic, (u8 *)fpu + 464, sizeof(magic));
    if (magic != xsave_magic)
        return;
    memcpy(&components, (u8 *)fpu + 512, sizeof(components));
    components |= 3; /* x87 and SSE are in the image, not in their initial state */
    memcpy((u8 *)fpu + 512, &components, sizeof(components));
}

static void on_start(int sig, siginfo_t *info, void *context)
{
    mcontext_t *m = &((ucontext_t *)context)->uc_mcontext;

    (void)sig;
    (void)info;
    memcpy(host.regs, m->gregs, sizeof(host.regs));
    memcpy(host.fpu, m->fpregs, sizeof(host.fpu));
    reset_fpu(m->fpregs);
    for (unsigned i = 0; i < 8; i++)
        m->gregs[reg_order[i]] = host.in->gpr[i];
    m->gregs[REG_RIP] = (greg_t)host.start;
    m->gregs[REG_EFL] = (greg_t)(host.in->flags | EFL_TF_IF);
    m->gregs[REG_CSGSFS] = (m->gregs[REG_CSGSFS] & ~0xffffll) | CS32;
    host.inside = 1;
}

static void on_trap(int sig, siginfo_t *info, void *context)
{
    mcontext_t *m = &((ucontext_t *)context)->uc_mcontext;

    if (!host.inside) {
        signal(sig, SIG_DFL);
        return;
    }
    host.inside = 0;
    for (unsigned i = 0; i < 8; i++)
        host.out->state.gpr[i] = (u32)m->gregs[reg_order[i]];
    host.out->state.flags = (u32)m->gregs[REG_EFL];
    host.out->eip = (u64)m->gregs[REG_RIP];
    host.out->vector = (u64)m->gregs[REG_TRAPNO];
    host.out->address = (u64)(uintptr_t)info->si_addr;
    memcpy(m->gregs, host.regs, sizeof(host.regs));
    memcpy(m->fpregs, host.fpu, sizeof(host.fpu));
}

static void map_fixed(u32 at, size_t bytes, int prot)
{
    void *got = mmap((void *)(uintptr_t)at, bytes, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

    cr_assert_neq(got, MAP_FAILED);
}

static void init(void)
{
    static const int traps[] = {SIGTRAP, SIGSEGV, SIGILL, SIGFPE, SIGBUS};
    static u8 stack[65536];
    stack_t alternate = {.ss_sp = stack, .ss_size = sizeof(stack)};
    struct sigaction sa = {.sa_flags = SA_SIGINFO | SA_ONSTACK};

    map_fixed(CODE_GVA, PAGE_BYTES, PROT_READ | PROT_WRITE | PROT_EXEC);
    map_fixed(CODE_END, PAGE_BYTES, PROT_NONE);
    map_fixed(DATA_GVA, DATA_BYTES, PROT_READ | PROT_WRITE);
    cr_assert_eq(sigaltstack(&alternate, NULL), 0);
    sigfillset(&sa.sa_mask);
    sa.sa_sigaction = on_start;
    cr_assert_eq(sigaction(SIGUSR1, &sa, NULL), 0);
    sa.sa_sigaction = on_trap;
    for (unsigned i = 0; i < ARRAY_SIZE(traps); i++)
        cr_assert_eq(sigaction(traps[i], &sa, NULL), 0);
}

static struct outcome run(const u8 *bytes, size_t len, const struct state *in)
{
    struct outcome out = {.vector = 0};

    host.start = CODE_END - len;
    host.in = in;
    host.out = &out;
    memcpy((void *)(uintptr_t)host.start, bytes, len);
    syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGUSR1);
    return out;
}

static bool fetched_beyond(const struct outcome *o, size_t len)
{
    return o->vector == VEC_PF && o->address == CODE_END && o->eip == CODE_END - len;
}

static u32 host_features(void)
{
    static const struct {
        u32 leaf;
        u8 reg, bit, feature; /* reg: 1 EBX, 2 ECX, 3 EDX */
    } have[] = {
        {1, 2, 0, FEAT_SSE3},
        {1, 2, 1, FEAT_PCLMUL},
        {1, 2, 9, FEAT_SSSE3},
        {1, 2, 19, FEAT_SSE41},
        {1, 2, 20, FEAT_SSE42},
        {1, 2, 22, FEAT_MOVBE},
        {1, 2, 23, FEAT_POPCNT},
        {1, 2, 25, FEAT_AES},
        {7, 1, 3, FEAT_BMI1},
        {0x80000001, 2, 5, FEAT_LZCNT},
        {0x80000001, 3, 27, FEAT_RDTSCP},
    };
    u32 features = ~0u;

    for (unsigned i = 0; i < ARRAY_SIZE(have); i++) {
        u32 r[4] = {0};

        __get_cpuid_count(have[i].leaf, 0, &r[0], &r[1], &r[2], &r[3]);
        if (!(r[have[i].reg] >> have[i].bit & 1))
            features &= ~BIT(have[i].feature);
    }
    return features;
}

/* Not to be run here: system calls, and what loads segment registers (libc needs its own). */
static bool is_off_limits(const struct dec_insn *i)
{
    switch (i->op) {
    case OP_INT:
    case OP_SYSENTER:
    case OP_SYSEXIT:
    case OP_CALL_FAR_I:
    case OP_JMP_FAR_I:
    case OP_CALL_FAR_M:
    case OP_JMP_FAR_M:
    case OP_RET_FAR:
    case OP_IRET:
    case OP_MOV_SEG_RM:
    case OP_POP_SEG:
    case OP_LOAD_FAR: return true;
    default: return i->cls == DEC_UD;
    }
}

/* #UD in user mode although the instruction exists; 0F 0D with a register is a NOP on Intel only. */
static bool may_be_undefined(const struct dec_insn *i)
{
    return i->op == OP_RSM || i->op == OP_MONITOR || i->op == OP_MWAIT ||
           (i->map == 1 && i->opcode == 0x0d && !i->mem);
}

static const u8 prefix_sets[][4] = {
    {0},       {1, 0x66},       {1, 0xf2},       {1, 0xf3},       {2, 0x66, 0xf2},       {2, 0x66, 0xf3},
    {1, 0xf0}, {2, 0xf2, 0xf3}, {2, 0xf3, 0xf2}, {2, 0xf2, 0x66}, {3, 0xf3, 0x66, 0xf2}, {1, 0x26},
};

/* Instruction number n of all: opcode map, opcode, prefixes, and ModRM [EBX] or a register; len unknown. */
#define MODRM_FORMS 72u
#define ALL_FORMS (4u * 256u * (u32)ARRAY_SIZE(prefix_sets) * MODRM_FORMS)

/* False for the many that differ from others in nothing but the number of a register. */
static bool make_bytes(u8 *bytes, u32 n)
{
    u32 form = n % MODRM_FORMS, opcode = n / MODRM_FORMS % 256, map = n / MODRM_FORMS / 256 % 4;
    const u8 *prefixes = prefix_sets[n / MODRM_FORMS / 256 / 4];
    size_t at = 0;

    memset(bytes, 1, DEC_MAX_LEN);
    while (at < prefixes[0]) {
        bytes[at] = prefixes[at + 1];
        at++;
    }
    if (map)
        bytes[at++] = 0x0f;
    if (map > 1)
        bytes[at++] = map == 2 ? 0x38 : 0x3a;
    bytes[at++] = (u8)opcode;
    bytes[at] = (u8)(form < 8 ? form << 3 | 3 : 0xc0 | (form - 8));
    if ((map == 0 && (opcode & 0xf8) == 0xd8) || (map == 1 && opcode == 0x01))
        return true; /* here all of ModRM is opcode */
    return form < 8 || (form & 7) == 1 || (form & 7) == 4;
}

static void expect_same_length(const u8 *bytes, const struct dec_insn *i, const struct state *in)
{
    struct outcome o = run(bytes, i->len, in);

    if (o.vector == VEC_UD) {
        cr_assert(may_be_undefined(i), "%02x %02x %02x %02x %02x: %s, but #UD here", bytes[0], bytes[1],
                  bytes[2], bytes[3], bytes[4], dec_class_name(i->cls));
        return;
    }
    cr_assert(!fetched_beyond(&o, i->len), "%02x %02x %02x %02x %02x: longer than %u", bytes[0], bytes[1],
              bytes[2], bytes[3], bytes[4], i->len);
    if (i->len > 1) {
        o = run(bytes, i->len - 1u, in);
        cr_assert(fetched_beyond(&o, i->len - 1u), "%02x %02x %02x %02x %02x: shorter than %u", bytes[0],
                  bytes[1], bytes[2], bytes[3], bytes[4], i->len);
    }
}

Test(host, knows_what_we_decode)
{
    struct state in = {.flags = 0};
    u32 features = host_features(), ran = 0;

    init();
    for (unsigned i = 0; i < 8; i++)
        in.gpr[i] = MIDDLE;
    for (u32 n = 0; n < ALL_FORMS; n++) {
        u8 bytes[DEC_MAX_LEN];
        struct dec_insn insn;

        if (!make_bytes(bytes, n))
            continue;
        cr_assert_eq(dec_decode(&insn, bytes, sizeof(bytes), true, features), 0);
        if (is_off_limits(&insn))
            continue;
        memset((void *)(uintptr_t)DATA_GVA, 0, 64);
        expect_same_length(bytes, &insn, &in);
        ran++;
    }
    cr_assert_gt(ran, 60000, "only %u ran", ran);
}

/* --- inputs and outputs ------------------------------------------------------------------------- */

static u32 next_random(u64 *seed)
{
    *seed ^= *seed >> 12;
    *seed ^= *seed << 25;
    *seed ^= *seed >> 27;
    return (u32)(*seed * 0x2545f4914f6cdd1dull >> 32);
}

static u32 random_value(u64 *seed)
{
    u32 v = next_random(seed);

    switch (next_random(seed) % 6) {
    case 0: return 0;
    case 1: return v & 31; /* a shift count */
    case 2: return (u32)(i32)(i8)v;
    case 3: return v & 0x80008080;
    default: return v;
    }
}

static void random_state(struct state *s, u64 *seed)
{
    for (unsigned i = 0; i < 8; i++)
        s->gpr[i] = random_value(seed);
    s->gpr[3] = MIDDLE; /* the address of memory operands */
    s->gpr[4] = MIDDLE + 0x1000;
    s->flags = next_random(seed) & FL_ARITH;
}

/* A copy with everything changed that the record does not call an input. */
static struct state vary(const struct state *s, const struct dec_insn *i, u64 *seed)
{
    struct state v = *s;

    for (unsigned r = 0; r < 8; r++)
        if (!(i->gpr_read >> r & 1) && r != 4)
            v.gpr[r] = ~s->gpr[r] ^ next_random(seed);
    v.flags = s->flags ^ (~(u32)i->fl_read & FL_ARITH);
    return v;
}

static void fill_data(u64 seed)
{
    u32 *words = (u32 *)(uintptr_t)(MIDDLE - 256);

    for (unsigned k = 0; k < 256; k++)
        words[k] = random_value(&seed);
}

static void expect_dependencies(const u8 *b, const struct dec_insn *i, u64 *seed)
{
    struct state in[2];
    struct outcome out[2];
    u8 memory[2][1024];
    u64 data_seed = *seed | 1;

    random_state(&in[0], seed);
    in[1] = vary(&in[0], i, seed);
    for (unsigned k = 0; k < 2; k++) {
        fill_data(data_seed);
        out[k] = run(b, i->len, &in[k]);
        memcpy(memory[k], (void *)(uintptr_t)(MIDDLE - 256), sizeof(memory[k]));
    }
#define SHOW "%02x %02x %02x %02x %02x: "
#define SHOWN b[0], b[1], b[2], b[3], b[4]
    cr_assert_eq(out[0].vector, out[1].vector, SHOW "vector %lu or %lu", SHOWN, out[0].vector, out[1].vector);
    if (out[0].vector != VEC_DB)
        return;
    for (unsigned r = 0; r < 8; r++) {
        if (i->gpr_written >> r & 1) {
            cr_assert_eq(out[0].state.gpr[r], out[1].state.gpr[r], SHOW "register %u has another input",
                         SHOWN, r);
        } else {
            cr_assert_eq(out[0].state.gpr[r], in[0].gpr[r], SHOW "register %u written", SHOWN, r);
            cr_assert_eq(out[1].state.gpr[r], in[1].gpr[r], SHOW "register %u written", SHOWN, r);
        }
    }
    for (unsigned k = 0; k < 2; k++)
        cr_assert_eq((out[k].state.flags ^ in[k].flags) & FL_ARITH & ~i->fl_write, 0, SHOW "flags %x written",
                     SHOWN, (out[k].state.flags ^ in[k].flags) & FL_ARITH & ~i->fl_write);
    cr_assert_eq((out[0].state.flags ^ out[1].state.flags) & i->fl_write, 0,
                 SHOW "flags %x have another input", SHOWN,
                 (out[0].state.flags ^ out[1].state.flags) & i->fl_write);
    cr_assert(i->mem_write || !memcmp(memory[0], memory[1], sizeof(memory[0])), SHOW "memory differs", SHOWN);
    if (i->mem_write)
        cr_assert_eq(memcmp(memory[0], memory[1], sizeof(memory[0])), 0, SHOW "memory has another input",
                     SHOWN);
#undef SHOW
#undef SHOWN
}

Test(host, inputs_and_outputs)
{
    u32 features = host_features(), ran = 0;
    u64 seed = 0xabcdef;

    init();
    for (u32 n = 0; n < ALL_FORMS; n++) {
        u8 bytes[DEC_MAX_LEN];
        struct dec_insn insn;

        if (!make_bytes(bytes, n))
            continue;
        cr_assert_eq(dec_decode(&insn, bytes, sizeof(bytes), true, features), 0);
        if (insn.cls != DEC_PLAIN && insn.op != OP_SALC && insn.op != OP_LAHF && insn.op != OP_SAHF)
            continue;
        if (insn.moffs)
            continue;
        if (insn.imm_size == 1) /* shift counts of all sizes, 0 too */
            bytes[insn.imm_off] = (u8)next_random(&seed);
        for (unsigned again = 0; again < 2; again++) {
            cr_assert_eq(dec_decode(&insn, bytes, sizeof(bytes), true, features), 0);
            expect_dependencies(bytes, &insn, &seed);
        }
        ran++;
    }
    cr_assert_gt(ran, 25000, "only %u ran", ran);
}
