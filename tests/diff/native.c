/*
 * native.c - the reference: the program runs on the host CPU itself, in compatibility mode.
 *
 * The pages are mapped at their addresses below 4 GiB, the LDT is set with modify_ldt(), and a signal
 * ends every run: its context is the end state. A seccomp filter turns 32-bit system calls, which a stray
 * INT 80h could make, into a signal of their own. Handlers are installed around each run only: the
 * translator has its own.
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
    u16 cs, pad, ss, ds, es, gs;
    u8 pad2[12];
    u8 fpu[512] __attribute__((aligned(64)));
};
_Static_assert(offsetof(struct native_regs, fpu) == 64, "native_entry.S");
_Static_assert(offsetof(struct native_regs, ss) == 44, "native_entry.S");

void native_enter(struct native_regs *regs);
void native_leave(void);
void native_signal(int sig, siginfo_t *info, void *context);
void native_handler(int sig, siginfo_t *info, ucontext_t *context);

static struct diff_state *native_out; /* where the handler puts the end state; NULL: not running */
static struct native_regs native_regs;
static struct sigaction native_others[8];
static const int native_signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGALRM};

static bool has_error_code(u32 vector)
{
    return vector == EXC_DF || (vector >= EXC_TS && vector <= EXC_PF) || vector == EXC_AC;
}

void native_handler(int sig, siginfo_t *info, ucontext_t *context)
{
    greg_t *g = context->uc_mcontext.gregs;
    struct diff_state *o = native_out;
    static const u8 order[8] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI};

    (void)info;
    if (!o && sig == SIGALRM)
        return;
    if (!o) { /* a bug of the fuzzer's own: let it die where it is */
        signal(sig, SIG_DFL);
        return;
    }
    if (sig == SIGALRM && (u16)g[REG_CSGSFS] == 0x33) /* a tick, but not in the program */
        return;
    for (unsigned i = 0; i < 8; i++)
        o->gpr[i] = (u32)g[order[i]];
    o->eip = (u32)g[REG_RIP];
    o->eflags = (u32)g[REG_EFL];
    o->vector = sig == SIGSYS ? DIFF_VECTOR_ESCAPE : (u32)g[REG_TRAPNO];
    if (sig == SIGALRM)
        o->vector = DIFF_VECTOR_TIMEOUT;
    o->error = has_error_code(o->vector) ? (u32)g[REG_ERR] : 0;
    o->cr2 = o->vector == EXC_PF ? (u32)g[REG_CR2] : 0;
    o->cs = (u16)g[REG_CSGSFS];
    o->ss = (u16)((u64)g[REG_CSGSFS] >> 48);
    memcpy(o->fpu, context->uc_mcontext.fpregs, sizeof(o->fpu));
    if (o->cs == 0x33) /* left compatibility mode: not a program we can compare */
        o->vector = DIFF_VECTOR_ESCAPE;
    g[REG_RIP] = (greg_t)native_leave;
    g[REG_EFL] = 0x202;
    g[REG_CSGSFS] = (greg_t)(((u64)0x2b << 48) | 0x33);
}

static int filter_compat_calls(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_I386, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog prog = {ARRAY_SIZE(code), code};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog))
        return -errno;
    return 0;
}

static int set_ldt(unsigned n, const struct diff_descriptor *d)
{
    struct user_desc u = {0};

    u.entry_number = n;
    u.base_addr = d->base;
    u.limit_in_pages = d->limit > 0xfffff;
    u.limit = u.limit_in_pages ? d->limit >> 12 : d->limit;
    u.seg_32bit = d->big;
    u.contents = d->code ? 2 : d->down ? 1 : 0;
    u.read_exec_only = !d->code && !d->write;
    u.useable = 0;
    return syscall(SYS_modify_ldt, 0x11, &u, sizeof(u)) ? -errno : 0;
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
    for (unsigned i = 0; i < LDT_COUNT; i++) {
        rc = set_ldt(i, &diff_ldt_table[i]);
        if (rc)
            return rc;
    }
    return filter_compat_calls();
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

    load_memory(start);
    memcpy(r->gpr, c->gpr, sizeof(r->gpr));
    memcpy(r->fpu, c->fpu, sizeof(r->fpu));
    r->eflags = c->eflags;
    r->cs = c->segs->cs;
    r->ss = c->segs->ss;
    r->ds = c->segs->ds;
    r->es = c->segs->es;
    r->gs = c->segs->gs;
    r->eip = CODE_GVA + c->start;
    if (diff_descriptor(c->segs->cs, &d))
        r->eip -= d.base;
    handlers(true);
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
