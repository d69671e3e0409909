/*
 * boot.c - how a sandbox makes itself one: a program of its own, linked without libc far above 4 GiB.
 *
 * Runs before any guest code, from execve to the two loops of trampoline.S: map the shared pages, unmap everything that the kernel
 * gave (stack, vdso), start the guest thread, give each thread its system-call filters, hand the filters' listeners to the library over
 * the socket, close what a thread is not to have. What fails is reported on the socket and ends the process.
 *
 * No stack protector, no vector registers, no writable data: the image is one read-and-execute segment.
 */
#include <asm/prctl.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/mman.h>
#include <linux/prctl.h>
#include <linux/resource.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <linux/socket.h>
#include <sys/syscall.h>

#include "base.h"
#include "direct/boot.h"
#include "direct/layout.h"

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5) /* Linux 5.19 */
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#define SOL_SOCKET_LEVEL 1
#define SCM_RIGHTS_TYPE 1
#define MSG_NOSIGNAL_FLAG 0x4000
#define SIG_SETMASK_HOW 2
#define SA_BITS (4u | 0x08000000u | 0x04000000u) /* SA_SIGINFO | SA_ONSTACK | SA_RESTORER */
#define READ_IMPLIES_EXEC_BIT 0x0400000

/* trampoline.S. Hidden: addressed relative to the instruction, no table of addresses. */
#pragma GCC visibility push(hidden)
_Noreturn void boot_on(u64 stack, void (*fn)(void));
long boot_thread(u64 flags, u64 stack, void (*fn)(void));
_Noreturn void guest_begin(void);
_Noreturn void mapper_loop(void);
void guest_signal(void);
void guest_stopped(void);
void guest_armed(void);
void guest_return(void);
void mapper_stopped(void);
_Noreturn void boot_low(const u64 *stack);
#pragma GCC visibility pop

/* The compiler may call these for initialisers. */
void *memcpy(void *to, const void *from, size_t n)
{
    void *d = to;

    __asm__ volatile("rep movsb" : "+D"(d), "+S"(from), "+c"(n) : : "memory");
    return to;
}

void *memset(void *to, int c, size_t n)
{
    void *d = to;

    __asm__ volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(c) : "memory");
    return to;
}

static long sys6(long nr, u64 a, u64 b, u64 c, u64 d, u64 e, u64 f)
{
    register u64 r10 __asm__("r10") = d;
    register u64 r8 __asm__("r8") = e;
    register u64 r9 __asm__("r9") = f;
    long ret;

    __asm__ volatile("syscall"
                     : "=a"(ret)
                     : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return ret;
}

static long sys3(long nr, u64 a, u64 b, u64 c)
{
    return sys6(nr, a, b, c, 0, 0, 0);
}

struct iov {
    const void *base;
    u64 len;
};

struct msg {
    void *name;
    u32 namelen, zero;
    struct iov *iov;
    u64 iovlen;
    void *control;
    u64 controllen;
    u32 flags, zero2;
};

struct rights {
    u64 len;
    i32 level, type;
    i32 fd, pad;
};

static void send(u8 kind, u8 detail, u8 err, i32 fd)
{
    u8 bytes[4] = {kind, detail, err, 0};
    struct iov iov = {bytes, sizeof(bytes)};
    struct rights r = {20, SOL_SOCKET_LEVEL, SCM_RIGHTS_TYPE, fd, 0};
    struct msg m = {0, 0, 0, &iov, 1, &r, sizeof(r), 0, 0};

    if (fd < 0) {
        m.control = 0;
        m.controllen = 0;
    }
    sys3(SYS_sendmsg, DX_FD_SOCKET, (u64)&m, MSG_NOSIGNAL_FLAG);
}

static _Noreturn void fail(enum dx_boot_step step, long err)
{
    send(DX_MSG_FAILED, (u8)step, (u8)-err, -1);
    for (;;)
        sys3(SYS_exit_group, 1, 0, 0);
}

static void must(enum dx_boot_step step, long ret)
{
    if (ret < 0 && ret >= -4095)
        fail(step, ret);
}

static long seccomp(u64 flags, struct sock_filter *f, u16 n)
{
    struct sock_fprog p = {n, f};

    return sys3(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, (u64)&p);
}

#define LD(off) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (off))
#define EQ(k, t, f) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (u32)(k), (t), (f))
#define ANY(k, t, f) BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, (u32)(k), (t), (f))
#define RET(k) BPF_STMT(BPF_RET | BPF_K, (k))
#define AT_NR 0
#define AT_ARCH 4
#define AT_IP 8
#define AT_ARG(i) (16 + 8 * (i))
#define AT_ARG_HI(i) (20 + 8 * (i))

/* The stop call goes to the library; a listener belongs to the thread that installs this. Its other calls are the next filter's to judge.
 * No speculation penalty: what is in this process is the guest's own. */
static i32 listen(bool plain_wait, bool *killable)
{
    struct sock_filter f[] = {LD(AT_ARCH),          EQ(AUDIT_ARCH_X86_64, 0, 2), LD(AT_NR),
                              EQ(DX_STOP_NR, 1, 0), RET(SECCOMP_RET_ALLOW),      RET(SECCOMP_RET_USER_NOTIF)};
    u64 flags = SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_SPEC_ALLOW;
    long fd = -EINVAL;

    if (!plain_wait)
        fd = seccomp(flags | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, f, ARRAY_SIZE(f));
    *killable = fd >= 0;
    if (fd == -EINVAL)
        fd = seccomp(flags, f, ARRAY_SIZE(f));
    must(DX_STEP_LISTENER, fd);
    return (i32)fd;
}

/* Guest thread: rt_sigreturn, the stop and the setting of its timer, each from its one place. All else, 32-bit calls included, is a
 * SIGSYS. */
static void confine_guest(void)
{
    enum { STOP = 7, TIMER = 11, ALLOW = 27, TRAP = 28 };
    u64 stop = (u64)guest_stopped, armed = (u64)guest_armed, spec = DX_AREA_BASE + DX_MAIL_TIMER;
    /* clang-format off */
    struct sock_filter f[] = {
        /*  0 */ LD(AT_ARCH),
        /*  1 */ EQ(AUDIT_ARCH_X86_64, 0, TRAP - 2),
        /*  2 */ LD(AT_NR),
        /*  3 */ EQ(SYS_rt_sigreturn, ALLOW - 4, 0),
        /*  4 */ EQ(DX_STOP_NR, STOP - 5, 0),
        /*  5 */ EQ(SYS_timer_settime, TIMER - 6, 0),
        /*  6 */ RET(SECCOMP_RET_TRAP),
        /* STOP */
        /*  7 */ LD(AT_IP),
        /*  8 */ EQ(stop, 0, TRAP - 9),
        /*  9 */ LD(AT_IP + 4),
        /* 10 */ EQ(stop >> 32, ALLOW - 11, TRAP - 11),
        /* TIMER: number 0, absolute time, from the mailbox, no old value */
        /* 11 */ LD(AT_IP),
        /* 12 */ EQ(armed, 0, TRAP - 13),
        /* 13 */ LD(AT_IP + 4),
        /* 14 */ EQ(armed >> 32, 0, TRAP - 15),
        /* 15 */ LD(AT_ARG(0)),
        /* 16 */ EQ(0, 0, TRAP - 17),
        /* 17 */ LD(AT_ARG(1)),
        /* 18 */ EQ(1, 0, TRAP - 19),
        /* 19 */ LD(AT_ARG(2)),
        /* 20 */ EQ(spec, 0, TRAP - 21),
        /* 21 */ LD(AT_ARG_HI(2)),
        /* 22 */ EQ(spec >> 32, 0, TRAP - 23),
        /* 23 */ LD(AT_ARG(3)),
        /* 24 */ EQ(0, 0, TRAP - 25),
        /* 25 */ LD(AT_ARG_HI(3)),
        /* 26 */ EQ(0, ALLOW - 27, TRAP - 27),
        /* 27 */ RET(SECCOMP_RET_ALLOW),
        /* 28 */ RET(SECCOMP_RET_TRAP),
    };
    /* clang-format on */

    must(DX_STEP_FILTER, seccomp(SECCOMP_FILTER_FLAG_SPEC_ALLOW, f, ARRAY_SIZE(f)));
}

/* Mapper: its stop; mappings of the RAM descriptor below 4 GiB, shared and at a fixed place; LDT entries from the command pages. */
static void confine_mapper(void)
{
    enum { MMAP = 12, PROT = 20, RANGE = 24, LDT = 28, ALLOW = 34, KILL = 35 };
    u64 ip = (u64)mapper_stopped;
    /* clang-format off */
    struct sock_filter f[] = {
        /*  0 */ LD(AT_ARCH),
        /*  1 */ EQ(AUDIT_ARCH_X86_64, 0, KILL - 2),
        /*  2 */ LD(AT_NR),
        /*  3 */ EQ(SYS_mmap, MMAP - 4, 0),
        /*  4 */ EQ(SYS_munmap, RANGE - 5, 0),
        /*  5 */ EQ(SYS_mprotect, PROT - 6, 0),
        /*  6 */ EQ(SYS_modify_ldt, LDT - 7, 0),
        /*  7 */ EQ(DX_STOP_NR, 0, KILL - 8),
        /*  8 */ LD(AT_IP),
        /*  9 */ EQ(ip, 0, KILL - 10),
        /* 10 */ LD(AT_IP + 4),
        /* 11 */ EQ(ip >> 32, ALLOW - 12, KILL - 12),
        /* MMAP: flags, descriptor */
        /* 12 */ LD(AT_ARG(3)),
        /* 13 */ ANY(~(u32)(MAP_SHARED | MAP_FIXED | MAP_POPULATE), KILL - 14, 0),
        /* 14 */ ANY(MAP_SHARED, 0, KILL - 15),
        /* 15 */ ANY(MAP_FIXED, 0, KILL - 16),
        /* 16 */ LD(AT_ARG_HI(3)),
        /* 17 */ EQ(0, 0, KILL - 18),
        /* 18 */ LD(AT_ARG(4)),
        /* 19 */ EQ(DX_FD_RAM, 0, KILL - 20),
        /* PROT: read, write, execute at most */
        /* 20 */ LD(AT_ARG(2)),
        /* 21 */ ANY(~7u, KILL - 22, 0),
        /* 22 */ LD(AT_ARG_HI(2)),
        /* 23 */ EQ(0, 0, KILL - 24),
        /* RANGE: address and length below 4 GiB, so the end is below 8 GiB */
        /* 24 */ LD(AT_ARG_HI(0)),
        /* 25 */ EQ(0, 0, KILL - 26),
        /* 26 */ LD(AT_ARG_HI(1)),
        /* 27 */ EQ(0, ALLOW - 28, KILL - 28),
        /* LDT: write one entry, from the command pages */
        /* 28 */ LD(AT_ARG(0)),
        /* 29 */ EQ(0x11, 0, KILL - 30),
        /* 30 */ LD(AT_ARG_HI(1)),
        /* 31 */ EQ(DX_CMD_BASE >> 32, 0, KILL - 32),
        /* 32 */ LD(AT_ARG(2)),
        /* 33 */ EQ(sizeof(struct dx_user_desc), 0, KILL - 34),
        /* 34 */ RET(SECCOMP_RET_ALLOW),
        /* 35 */ RET(SECCOMP_RET_KILL_PROCESS),
    };
    /* clang-format on */

    must(DX_STEP_FILTER, seccomp(SECCOMP_FILTER_FLAG_SPEC_ALLOW, f, ARRAY_SIZE(f)));
}

/* All descriptors from first on. Kernels and containers without close_range: one by one. */
static void close_from(u32 first)
{
    u64 limit[2];

    if (sys3(SYS_close_range, first, ~0u, 0) == 0)
        return;
    must(DX_STEP_DESCRIPTORS, sys6(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, (u64)limit, 0, 0));
    for (u64 fd = first; fd < limit[0]; fd++)
        sys3(SYS_close, fd, 0, 0);
}

static u32 boot_flags(void)
{
    return *(const volatile u32 *)(DX_CMD_BASE + DX_CMD_FLAGS);
}

static void guest_signals(void)
{
    static const u8 sigs[] = {4, 5, 7, 8, 11, 23, 31}; /* ILL TRAP BUS FPE SEGV URG SYS */
    struct {
        void (*handler)(void);
        u64 flags;
        void (*restorer)(void);
        u64 mask;
    } sa = {guest_signal, SA_BITS, guest_return, ~0ull};

    for (u32 i = 0; i < sizeof(sigs); i++)
        must(DX_STEP_SIGNALS, sys6(SYS_rt_sigaction, sigs[i], (u64)&sa, 0, 8, 0, 0));
}

/* The timer that ends a run at the library's deadline: it signals this thread, so nobody else has to wake up for it. The
 * filter allows number 0 only, which a process's first timer has. */
static bool make_timer(void)
{
    struct {
        u64 value;
        i32 signo, notify, tid, pad[11];
    } ev = {0, 23 /* SIGURG */, 4 /* SIGEV_THREAD_ID */, (i32)sys3(SYS_gettid, 0, 0, 0), {0}};
    i32 id = -1;

    return sys3(SYS_timer_create, 1 /* CLOCK_MONOTONIC */, (u64)&ev, (u64)&id) == 0 && id == 0;
}

static _Noreturn void guest_main(void)
{
    struct {
        u64 sp;
        i32 flags, pad;
        u64 size;
    } ss = {DX_AREA_BASE + DX_ALT_STACK, 0, 0, DX_ALT_BYTES};
    u64 no_signals = 0;
    u8 has = 0;
    bool killable;
    i32 fd;

    must(DX_STEP_SIGNALS, sys3(SYS_sigaltstack, (u64)&ss, 0, 0));
    if ((boot_flags() & DX_BOOT_TRAP_TSC) && sys3(SYS_prctl, PR_SET_TSC, PR_TSC_SIGSEGV, 0) == 0)
        has |= DX_HAS_TSC_TRAP;
    if ((boot_flags() & DX_BOOT_TRAP_CPUID) && sys3(SYS_arch_prctl, ARCH_SET_CPUID, 0, 0) == 0)
        has |= DX_HAS_CPUID_TRAP;
    if (make_timer())
        has |= DX_HAS_TIMER;
    fd = listen(boot_flags() & DX_BOOT_PLAIN_WAIT, &killable);
    if (killable)
        has |= DX_HAS_KILLABLE_WAIT;
    send(DX_MSG_GUEST, has, 0, fd);
    close_from(0);
    must(DX_STEP_SIGNALS, sys6(SYS_rt_sigprocmask, SIG_SETMASK_HOW, (u64)&no_signals, 0, 8, 0, 0));
    confine_guest();
    guest_begin();
}

/* On the shared pages' stack; the kernel's own is gone. */
static _Noreturn void boot_high(void)
{
    bool killable;
    long tid;
    i32 fd;

    must(DX_STEP_UNMAP, sys3(SYS_munmap, 0, DX_IMAGE_BASE, 0));
    must(DX_STEP_UNMAP,
         sys3(SYS_munmap, DX_AREA_BASE + DX_AREA_BYTES, DX_USER_END - DX_AREA_BASE - DX_AREA_BYTES, 0));
    guest_signals();
    tid = boot_thread(CLONE_VM | CLONE_FS | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM,
                      DX_AREA_BASE + DX_GUEST_STACK, guest_main);
    must(DX_STEP_THREAD, tid);
    fd = listen(true, &killable);
    send(DX_MSG_MAPPER, 0, 0, fd);
    close_from(DX_FD_RAM + 1);
    confine_mapper();
    mapper_loop();
}

/* Where the kernel sends SYSENTER back to follows from where it thinks the vdso is: a multiple of 4 GiB, so that the low
 * half, which is all that 32-bit code sees, lies in page 0. A kernel without a vdso has no such thing to move. */
static void move_vdso(const u64 *stack)
{
    const u64 *p = stack + 1 + stack[0] + 1; /* argc, argv, NULL */

    while (*p)
        p++;
    for (p++; *p; p += 2) {
        if (p[0] != 33) /* AT_SYSINFO_EHDR */
            continue;
        for (u64 pages = 1; pages <= 8; pages++)
            if (sys6(SYS_mremap, p[1], pages * PAGE_BYTES, pages * PAGE_BYTES, 3 /* MAYMOVE | FIXED */,
                     DX_VDSO_BASE, 0) > 0)
                return;
    }
}

_Noreturn void boot_low(const u64 *stack)
{
    static const u64 no_core[2] = {0, 0};
    u64 mail = DX_AREA_BASE;

    close_from(DX_FD_SOCKET + 1);
    must(DX_STEP_PRCTL, sys3(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0));
    sys3(SYS_prctl, PR_SET_NAME, (u64) "novt-sandbox", 0);
    sys3(SYS_setsid, 0, 0, 0);
    must(DX_STEP_PRCTL, sys6(SYS_prlimit64, 0, RLIMIT_CORE, (u64)no_core, 0, 0, 0));
    long persona = sys3(SYS_personality, 0xffffffff, 0, 0);
    if (persona < 0 || (persona & READ_IMPLIES_EXEC_BIT))
        fail(DX_STEP_PERSONALITY, -EPERM);
    must(DX_STEP_SHARED,
         sys6(SYS_mmap, DX_CMD_BASE, DX_CMD_BYTES, PROT_READ, MAP_SHARED | MAP_FIXED, DX_FD_SHARED, 0));
    must(DX_STEP_SHARED, sys6(SYS_mmap, DX_AREA_BASE, DX_AREA_BYTES, PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_FIXED, DX_FD_SHARED, DX_CMD_BYTES));
    must(DX_STEP_PRCTL, sys3(SYS_prctl, PR_SET_PDEATHSIG, 9, 0));
    if ((u32)sys3(SYS_getppid, 0, 0, 0) != *(const volatile u32 *)(DX_CMD_BASE + DX_CMD_PARENT))
        fail(DX_STEP_PARENT, -ESRCH);
    *(volatile u64 *)(mail + DX_MAIL_GUEST_IP) = (u64)guest_stopped;
    *(volatile u64 *)(mail + DX_MAIL_MAPPER_IP) = (u64)mapper_stopped;
    move_vdso(stack);
    boot_on(DX_AREA_BASE + DX_BOOT_STACK, boot_high);
}
