/*
 * signal.c - what the host's signals mean while translated code runs.
 *
 * SIGSEGV in the window is a hidden fault (the monitor fills the page and the host instruction runs again), a guest fault, or a
 * case for the fallback. SIGFPE, SIGILL and the rest are guest exceptions. A kick (SIGURG, sent by bt_kick() or a
 * timer) stops translated code at the next guest instruction boundary: at once when the host PC is at one, else by
 * single-stepping the few host instructions up to it, so that running code pays nothing for being interruptible.
 *
 * Guarantees: the state stored is the guest's exact state at the instruction boundary. All handlers block each other;
 * a kick that arrives while C code runs only leaves cpu->kick set, which the gates test.
 */
#define _GNU_SOURCE
#include <immintrin.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "bt/internal.h"

#define ALTSTACK_BYTES 65536
#define HOST_TF BIT(8)
#define HOST_DF BIT(10)

static __thread struct bt *current;

static const int guest_signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGURG};

/* The side record that covers pc; NULL when pc is before the first. */
const struct side_rec *side_find(const struct bt *bt, const struct cc_block *b, u64 pc)
{
    const struct side_rec *recs = b->side;
    u32 off = (u32)(pc - bt->rx_lo) - b->code_off, lo = 0, hi = b->side_bytes / (u32)sizeof(*recs);
    while (lo < hi) {
        u32 mid = (lo + hi) / 2;
        if (recs[mid].host <= off)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo ? &recs[lo - 1] : NULL;
}

/* The guest's register behind a string pointer in segment seg; old: its value before the instruction. */
static u32 string_register(const struct cpu *cpu, u64 pointer, u32 old, unsigned seg, bool addr16)
{
    u32 off = (u32)pointer - cpu->seg_base[seg];
    return addr16 ? (old & 0xffff0000u) | (u16)off : off;
}

/* Undo what a pending state has made of the guest's registers. */
static void settle(struct cpu *cpu, const greg_t *g, u8 pend)
{
    if (pend & PEND_SEGSTRING) {
        unsigned seg = pend & PEND_SEG;
        bool addr16 = pend & PEND_ADDR16;
        if ((pend & PEND_SI) && seg < SEG_COUNT)
            cpu->gpr[R_ESI] = string_register(cpu, (u64)g[REG_RSI], (u32)g[REG_R11], seg, addr16);
        if (pend & PEND_DI)
            cpu->gpr[R_EDI] = string_register(cpu, (u64)g[REG_RDI], (u32)g[REG_R13], SEG_ES, addr16);
        cpu->gpr[R_ECX] += (u32)g[REG_R12];
    } else if (pend >= PEND_BORROW && pend < PEND_BORROW + 8) {
        cpu->gpr[pend - PEND_BORROW] = (u32)g[REG_R13];
    }
}

/* Store the guest's state as of pc and send the thread to the signal gate. r: NULL in the fallback's code area. */
static void leave(struct bt *bt, greg_t *g, const struct cc_block *b, const struct side_rec *r,
                  enum bt_exit_kind kind)
{
    static const u8 from[8] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_R8, REG_RBP, REG_RSI, REG_RDI};
    struct cpu *cpu = bt->cpu;
    for (unsigned i = 0; i < 8; i++)
        cpu->gpr[i] = (u32)g[from[i]];
    if (r) {
        cpu->gpr[R_ESP] += (u32)(i32)r->esp_adj;
        settle(cpu, g, r->pend);
        cpu->eip = b->key.eip + r->guest;
    }
    cpu->flags = (u32)g[REG_EFL] & FL_ARITH;
    cpu->exit_kind = (u8)kind;
    cpu->exit_from = 0;
    g[REG_EFL] &= ~(greg_t)(HOST_TF | HOST_DF);
    g[REG_RIP] = (greg_t)bt->gate[GATE_SIGNAL];
}

/* A place to stop for a kick: the start of a guest instruction, or a repeated string instruction between iterations. */
static bool at_boundary(const struct bt *bt, const struct cc_block *b, const struct side_rec *r, u64 pc)
{
    if (r->pend == PEND_STRING || (r->pend & PEND_SEGSTRING)) {
        u8 first = *(const u8 *)pc;
        return first == 0xf2 || first == 0xf3 || first == 0x66;
    }
    return !(r->flags & SIDE_MID) && pc == bt->rx_lo + b->code_off + r->host;
}

static void stop_or_step(struct bt *bt, greg_t *g)
{
    u64 pc = (u64)g[REG_RIP];
    const struct cc_block *b = cc_find(bt->cc, pc);
    const struct side_rec *r = b ? side_find(bt, b, pc) : NULL;
    if (r && at_boundary(bt, b, r, pc)) {
        leave(bt, g, b, r, BT_EXIT_ASYNC);
        return;
    }
    bt->stats.async_steps++;
    g[REG_EFL] |= HOST_TF;
}

static void guest_exception(struct bt *bt, greg_t *g, u8 vector, bool has_error, u32 error)
{
    u64 pc = (u64)g[REG_RIP];
    struct cpu *cpu = bt->cpu;
    const struct cc_block *b = cc_find(bt->cc, pc);
    const struct side_rec *r = b ? side_find(bt, b, pc) : NULL;
    bool in_step = pc - (bt->rx_lo + bt->step_off) < BT_STEP_BYTES;
    if (!r && !in_step) {
        bt->hooks.bug(bt->hooks.opaque, "host fault in a gate", pc, vector);
        return;
    }
    cpu->exc_vector = vector;
    cpu->exc_has_error = has_error;
    cpu->exc_error = error;
    cpu->exc_soft = 0;
    leave(bt, g, b, r, BT_EXIT_EXCEPTION);
}

/* An offset that runs over 4 GiB in a segment with a base comes out around that base: no page fault but #GP, says C. */
static bool may_wrap(const struct bt *bt, u64 gva)
{
    const struct cpu *cpu = bt->cpu;
    for (unsigned seg = 0; seg < SEG_COUNT; seg++)
        if (MODE_SEGC(cpu->mode, seg) == SEGC_BASED && (u32)gva - cpu->seg_base[seg] + 512 < 1024)
            return true;
    return false;
}

static void page_fault(struct bt *bt, greg_t *g, u64 addr)
{
    u64 pc = (u64)g[REG_RIP], gva = addr - (u64)bt->cpu->window;
    const struct cc_block *b = cc_find(bt->cc, pc);
    const struct side_rec *r = b ? side_find(bt, b, pc) : NULL;
    if ((u64)bt->ret_lo - addr - 1 < PAGE_BYTES || addr - (u64)bt->ret_top < PAGE_BYTES) {
        g[REG_RSP] = (greg_t)bt_retstack_reset(bt, bt->ret_top); /* overflow: forget the records */
        return;
    }
    if (!r || gva + PAGE_BYTES * 16 >= (1ull << 32) + PAGE_BYTES * 32) {
        bt->hooks.bug(bt->hooks.opaque, "host page fault outside the window", pc, addr);
        return;
    }
    enum bt_fill f = BT_FILL_STEP; /* beyond the top: the access wraps, the fallback splits it */
    bt->stats.fills++;
    bt->ret_dropped = false;
    if (gva < (1ull << 32))
        f = bt->hooks.fill(bt->hooks.opaque, (u32)gva, g[REG_ERR] & 2);
    if (bt->ret_dropped) { /* the window no longer claims this code (monitor/move.c): out, before it makes records again */
        g[REG_RSP] = (greg_t)bt->cpu->ret_sp;
        bt->ret_dropped = false;
        if (f == BT_FILL_RETRY)
            f = BT_FILL_STEP;
    }
    if (f == BT_FILL_RETRY)
        return;
    if (f == BT_FILL_EXCEPTION && may_wrap(bt, gva))
        f = BT_FILL_STEP;
    leave(bt, g, b, r, f == BT_FILL_EXCEPTION ? BT_EXIT_EXCEPTION : BT_EXIT_STEP);
}

static void in_cache_signal(struct bt *bt, int sig, siginfo_t *si, greg_t *g)
{
    switch (sig) {
    case SIGURG:
        if (bt->cpu->kick)
            stop_or_step(bt, g);
        return;
    case SIGTRAP: stop_or_step(bt, g); return;
    case SIGFPE:
        guest_exception(bt, g,
                        g[REG_TRAPNO] == 16   ? EXC_MF
                        : g[REG_TRAPNO] == 19 ? EXC_XM
                                              : EXC_DE,
                        false, 0);
        return;
    case SIGILL: guest_exception(bt, g, EXC_UD, false, 0); return;
    case SIGBUS:
        if (g[REG_TRAPNO] == 17)
            guest_exception(bt, g, EXC_AC, true, 0);
        else
            bt->hooks.bug(bt->hooks.opaque, "host bus error (no memory left for guest RAM?)", (u64)g[REG_RIP],
                          (u64)si->si_addr);
        return;
    default:
        if (g[REG_TRAPNO] == 14)
            page_fault(bt, g, (u64)g[REG_CR2]);
        else
            guest_exception(bt, g, EXC_GP, true, 0); /* misaligned SSE operand */
    }
}

static void handler(int sig, siginfo_t *si, void *context)
{
    ucontext_t *uc = context;
    greg_t *g = uc->uc_mcontext.gregs;
    struct bt *bt = current;
    int saved_errno = errno;
    if (bt)
        bt->stats.signals++;
    if (sig == SIGURG && bt && si->si_code == SI_TIMER)
        bt->cpu->kick = 1;
    if (bt && (u64)g[REG_RIP] - bt->rx_lo < bt->rx_hi - bt->rx_lo) {
        in_cache_signal(bt, sig, si, g);
    } else if (sig == SIGURG) {
        if (bt && bt->hooks.kicked)
            bt->hooks.kicked(bt->hooks.opaque);
    } else if (sig == SIGTRAP && bt && (g[REG_EFL] & HOST_TF)) {
        g[REG_EFL] &= ~(greg_t)HOST_TF; /* stepped out into C: cpu->kick is still set */
    } else {
        if (bt && bt->hooks.bug)
            bt->hooks.bug(bt->hooks.opaque, "host fault in the monitor", (u64)g[REG_RIP], (u64)si->si_addr);
        signal(sig, SIG_DFL); /* not ours: fault again, with the default action */
    }
    errno = saved_errno;
}

int bt_thread_init(struct bt *bt)
{
    void *stack = mmap(NULL, ALTSTACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stack == MAP_FAILED)
        return -errno;
    stack_t ss = {.ss_sp = stack, .ss_size = ALTSTACK_BYTES};
    struct sigaction sa = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
    for (unsigned i = 0; i < ARRAY_SIZE(guest_signals); i++)
        sigaddset(&sa.sa_mask, guest_signals[i]);
    if (sigaltstack(&ss, &bt->caller_stack))
        goto fail;
    for (unsigned i = 0; i < ARRAY_SIZE(guest_signals); i++)
        if (sigaction(guest_signals[i], &sa, NULL))
            goto fail;
    bt->altstack = stack;
    bt->tid = (int)syscall(SYS_gettid);
    current = bt;
    bt->caller_gs = _readgsbase_u64();
    if (bt->cpu->window)
        _writegsbase_u64((u64)bt->cpu->window);
    return 0;
fail:;
    int rc = -errno;
    munmap(stack, ALTSTACK_BYTES);
    return rc;
}

void bt_thread_fini(struct bt *bt)
{
    stack_t back = bt->caller_stack;
    current = NULL;
    bt->tid = 0;
    back.ss_flags &= SS_DISABLE;
    sigaltstack(&back, NULL);
    _writegsbase_u64(bt->caller_gs);
    if (bt->altstack)
        munmap(bt->altstack, ALTSTACK_BYTES);
    bt->altstack = NULL;
}

void bt_kick(struct bt *bt)
{
    bt->cpu->kick = 1;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    int tid = __atomic_load_n(&bt->tid, __ATOMIC_ACQUIRE);
    if (tid && current != bt)
        syscall(SYS_tgkill, getpid(), tid, SIGURG);
}
