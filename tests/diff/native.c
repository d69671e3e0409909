/*
 * native.c - the reference: the program runs on the host CPU itself, in compatibility mode.
 *
 * The pages are mapped at their addresses below 4 GiB, the LDT is set with modify_ldt(), and each exception
 * is a signal: its context is the event. The handler changes the context to go on, or to end the run. A seccomp filter
 * turns the program's system calls, which a stray INT 80h could make, into a signal of their own. Handlers are
 * installed around each run only: the translator has its own.
 */
#include <asm/ldt.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/ucontext.h>
#include <unistd.h>

#include "tests/diff/diff.h"

/* Layout known to native_entry.S. */
struct native_regs {
    u32 gpr[8];
    u32 eflags, eip;
    u16 cs, pad, ss, ds, es, fs, gs;
    u8 pad2[10];
    u8 fpu[512] __attribute__((aligned(64)));
};
_Static_assert(offsetof(struct native_regs, fpu) == 64, "native_entry.S");
_Static_assert(offsetof(struct native_regs, ss) == 44, "native_entry.S");

void native_enter(struct native_regs *regs);
void native_leave(void);
void native_signal(int sig, siginfo_t *info, void *context);
u32 native_handler(int sig, siginfo_t *info, ucontext_t *context);
extern u16 native_selectors[SEG_COUNT]; /* the program's, when the handler runs */

static const struct diff_case *native_case; /* what runs; NULL: nothing */
static struct diff_state *native_out;
static struct native_regs native_regs;
static bool native_tracing;
static unsigned native_steps;
#define TRACE_STEPS 20000
static struct sigaction native_others[8];
static const int native_signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGPROF};

static bool has_error_code(u32 vector)
{
    return vector == EXC_DF || (vector >= EXC_TS && vector <= EXC_PF) || vector == EXC_AC;
}

static const u8 context_order[8] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI};

static void note_event(int sig, const greg_t *g, struct diff_event *e)
{
    for (unsigned i = 0; i < 8; i++)
        e->gpr[i] = (u32)g[context_order[i]];
    e->eip = (u32)g[REG_RIP];
    e->eflags = (u32)g[REG_EFL];
    e->vector = sig == SIGSYS ? DIFF_VECTOR_ESCAPE : (u32)g[REG_TRAPNO];
    if (sig == SIGPROF)
        e->vector = DIFF_VECTOR_TIMEOUT;
    e->error = has_error_code(e->vector) ? (u32)g[REG_ERR] : 0;
    e->cr2 = e->vector == EXC_PF ? (u32)g[REG_CR2] : 0;
    memcpy(e->sel, native_selectors, sizeof(e->sel));
    e->sel[SEG_CS] = (u16)g[REG_CSGSFS];
    e->sel[SEG_SS] = (u16)((u64)g[REG_CSGSFS] >> 48);
    if (e->sel[SEG_CS] == 0x33) /* left compatibility mode: not a program we can compare */
        e->vector = DIFF_VECTOR_ESCAPE;
    for (unsigned i = 0; i < SEG_COUNT; i++) /* descriptors of the host's GDT that the other side lacks */
        if (!(e->sel[i] & 4) && e->sel[i] > 3 && (e->sel[i] & ~3) != (SEL_CS_FLAT & ~3) &&
            (e->sel[i] & ~3) != (SEL_DS_FLAT & ~3))
            e->vector = DIFF_VECTOR_ESCAPE;
}

/* Is the next instruction, wherever the program got it from, one that we do not compare? */
static bool at_forbidden(const struct diff_event *e)
{
    struct diff_descriptor cs = {0};
    struct dec_insn d;
    u32 lin;

    diff_descriptor(e->sel[SEG_CS], &cs);
    lin = cs.base + e->eip;
    return lin - CODE_GVA + DEC_MAX_LEN <= CODE_BYTES &&
           !dec_decode(&d, (const u8 *)(uintptr_t)lin, DEC_MAX_LEN, cs.big, ~0u) && d.cls != DEC_UD &&
           !cand_allowed(&d) && !cand_seg(&d);
}

/* A step of native_trace(). False: not one. */
static bool trace_step(greg_t *g, struct diff_state *o, struct diff_event *e)
{
    if (!native_tracing || e->vector != EXC_DB || ++native_steps > TRACE_STEPS)
        return false;
    if (at_forbidden(e)) {
        e->vector = DIFF_VECTOR_ESCAPE;
        return false;
    }
    o->n--;
    g[REG_EFL] |= EFL_TF;
    return true;
}

/* Returns 0, or the program's flags when it is to go on. */
u32 native_handler(int sig, siginfo_t *info, ucontext_t *context)
{
    greg_t *g = context->uc_mcontext.gregs;
    struct diff_state *o = native_out;
    struct diff_event *e, next;

    (void)info;
    if (!o && sig == SIGPROF)
        return 0;
    if (!o) { /* a bug of the fuzzer's own: let it die where it is */
        signal(sig, SIG_DFL);
        return 0;
    }
    if (sig == SIGPROF && (u16)g[REG_CSGSFS] == 0x33) /* a tick, but not in the program */
        return (u32)g[REG_EFL] | EFL_R1;
    if (native_tracing && sig == SIGTRAP && (u16)g[REG_CSGSFS] == 0x33) /* on the way in */
        return (u32)g[REG_EFL];
    e = &o->event[o->n++];
    note_event(sig, g, e);
    if (((u8 *)context->uc_mcontext.fpregs)[26]) /* MXCSR's bits above 15: AMD's, which the CPU model lacks */
        e->vector = DIFF_VECTOR_ESCAPE;
    if (trace_step(g, o, e))
        return (u32)g[REG_EFL];
    next = *e;
    if (diff_resume(native_case, &next, o->n)) {
        g[REG_RIP] = next.eip;
        g[REG_RSP] = next.gpr[R_ESP];
        g[REG_EFL] = next.eflags | (native_tracing ? EFL_TF : 0);
        /* Signal frames keep the pointers to the last x87 instruction only while an exception is pending, and without selectors. */
        memset((u8 *)context->uc_mcontext.fpregs + 6, 0, 18);
        return next.eflags;
    }
    memcpy(o->fpu, context->uc_mcontext.fpregs, sizeof(o->fpu));
    g[REG_RIP] = (greg_t)native_leave;
    g[REG_EFL] = 0x202;
    g[REG_CSGSFS] = (greg_t)(((u64)0x2b << 48) | 0x33);
    return 0;
}

/* System calls of 32-bit code, and of whatever else runs at addresses below 4 GiB. */
static int filter_program_calls(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_I386, 2, 0),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer) + 4),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog prog = {ARRAY_SIZE(code), code};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog))
        return -errno;
    return 0;
}

static int set_descriptor(unsigned n, const struct diff_descriptor *d)
{
    struct user_desc u = {0};

    u.entry_number = n;
    u.base_addr = d->base;
    u.limit_in_pages = d->pages;
    u.limit = d->pages ? d->limit >> 12 : d->limit;
    u.seg_32bit = d->big;
    u.contents = d->code ? 2 : d->down ? 1 : 0;
    u.read_exec_only = !d->rw;
    u.seg_not_present = d->absent;
    return syscall(SYS_modify_ldt, 0x11, &u, sizeof(u)) ? -errno : 0;
}

static int load_ldt(u64 seed)
{
    static u64 loaded;
    static bool any;
    const struct diff_descriptor *d = diff_ldt(seed);
    int rc = 0;

    if (any && loaded == seed)
        return 0;
    for (unsigned i = any ? LDT_R_DATA : 0; i < LDT_COUNT && !rc; i++)
        rc = set_descriptor(i, &d[i]);
    loaded = seed;
    any = true;
    return rc;
}

static void protect(bool on)
{
    for (unsigned i = 0; i < diff_region_count; i++) {
        const struct diff_region *r = &diff_regions[i];

        if (!r->write)
            mprotect((void *)(uintptr_t)r->gva, r->pages * PAGE_BYTES,
                     on ? PROT_READ : PROT_READ | PROT_WRITE);
    }
}

/* Read-only pages are written only when their content is to change. */
static void load_memory(const struct diff_memory *m)
{
    for (unsigned i = 0; i < diff_region_count; i++) {
        const struct diff_region *r = &diff_regions[i];
        u8 *to = (u8 *)(uintptr_t)r->gva;

        if (r->write) {
            memcpy(to, m->page[r->at], r->pages * PAGE_BYTES);
        } else if (memcmp(to, m->page[r->at], r->pages * PAGE_BYTES) != 0) {
            protect(false);
            memcpy(to, m->page[r->at], r->pages * PAGE_BYTES);
            protect(true);
        }
    }
}

/* The translator has handlers and an alternate stack of its own, and takes the latter away when it leaves. */
static void handlers(bool ours)
{
    static u8 stack[64 * 1024] __attribute__((aligned(4096)));
    stack_t ss = {.ss_sp = stack, .ss_size = sizeof(stack)};
    struct sigaction sa = {0};

    if (ours)
        sigaltstack(&ss, NULL);
    sa.sa_sigaction = native_signal;
    sa.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigfillset(&sa.sa_mask);
    for (unsigned i = 0; i < ARRAY_SIZE(native_signals); i++)
        sigaction(native_signals[i], ours ? &sa : &native_others[i], ours ? &native_others[i] : NULL);
}

void native_run(const struct diff_case *c, const struct diff_memory *start, struct diff_state *out)
{
    struct native_regs *r = &native_regs;
    struct diff_descriptor d;
    u8 host_fpu[512] __attribute__((aligned(64)));

    if (load_ldt(c->ldt_seed))
        fprintf(stderr, "diff: modify_ldt: %s\n", strerror(errno));
    load_memory(start);
    memcpy(r->gpr, c->gpr, sizeof(r->gpr));
    memcpy(r->fpu, c->fpu, sizeof(r->fpu));
    r->eflags = c->eflags;
    r->cs = c->sel[SEG_CS];
    r->ss = c->sel[SEG_SS];
    r->ds = c->sel[SEG_DS];
    r->es = c->sel[SEG_ES];
    r->fs = c->sel[SEG_FS];
    r->gs = c->sel[SEG_GS];
    r->eip = CODE_GVA + c->start;
    if (diff_descriptor(r->cs, &d))
        r->eip -= d.base;
    out->n = 0;
    handlers(true);
    native_case = c;
    native_out = out;
    __builtin_ia32_fxsave64(host_fpu);
    native_enter(r);
    __builtin_ia32_fxrstor64(host_fpu);
    native_out = NULL;
    handlers(false);
    for (unsigned i = 0; i < diff_region_count; i++)
        memcpy(out->mem.page[diff_regions[i].at], (u8 *)(uintptr_t)diff_regions[i].gva,
               diff_regions[i].pages * PAGE_BYTES);
}

void native_trace(const struct diff_case *c, const struct diff_memory *start, struct diff_state *out)
{
    static struct diff_case stepped;

    stepped = *c;
    stepped.eflags |= EFL_TF;
    native_tracing = true;
    native_steps = 0;
    native_run(&stepped, start, out);
    native_tracing = false;
}

/* Under some hypervisors INT1 shows another EIP, or comes more than once. */
static bool icebp;

static void probe_icebp(void)
{
    static struct diff_case c;
    static struct diff_memory mem;
    static struct diff_state out;
    static const u8 code[] = {0xf1, 0xcc};

    for (unsigned i = 0; i < SEG_COUNT; i++)
        c.sel[i] = i == SEG_CS ? SEL_CS_FLAT : SEL_DS_FLAT;
    c.n = 1;
    c.item[0].len = 1;
    c.addr[0] = CODE_GVA;
    c.addr[1] = CODE_GVA + 1;
    c.gpr[R_ESP] = STACK_GVA + PAGE_BYTES;
    c.eflags = EFL_R1 | EFL_IF;
    c.fpu[0] = 0x7f;
    c.fpu[1] = 3;
    c.fpu[24] = 0x80;
    c.fpu[25] = 0x1f;
    memcpy(mem.page, code, sizeof(code));
    native_run(&c, &mem, &out);
    icebp = out.n == 2 && out.event[0].vector == EXC_DB && out.event[0].eip == CODE_GVA + 1 &&
            out.event[1].vector == EXC_BP;
}

bool native_has_icebp(void)
{
    return icebp;
}

int native_init(void)
{
    int rc;

    for (unsigned i = 0; i < diff_region_count; i++) {
        const struct diff_region *r = &diff_regions[i];
        int prot = PROT_READ | PROT_WRITE | (r->exec ? PROT_EXEC : 0);
        void *p = mmap((void *)(uintptr_t)r->gva, r->pages * PAGE_BYTES, prot,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_POPULATE, -1, 0);

        if (p == MAP_FAILED)
            return -errno;
    }
    rc = load_ldt(0);
    if (rc)
        return rc;
    rc = filter_program_calls();
    if (!rc)
        probe_icebp();
    return rc;
}
