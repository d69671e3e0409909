/*
 * box.c - making and ending sandbox processes.
 *
 * The image is written to a sealed memfd once and started by clone(CLONE_VM | CLONE_VFORK) and execveat: nothing of our memory is
 * copied and no file is installed. It gets three descriptors: guest RAM, the pages shared with us, and a socket on which
 * it sends the listeners of its two threads. A box that is no more is dead for good; only dx_box_free() is left.
 */
#include <fcntl.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "direct/internal.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010u /* Linux 6.3 */
#endif
#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64) /* Linux 6.6 */
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (1UL << 0)
#endif
#ifndef P_PIDFD
#define P_PIDFD 3
#endif
#define CHILD_STACK_BYTES 65536u
#define FIRST_FREE_FD 10
#define START_MS 10000

/* What the child of clone() needs; it shares our memory until it execs. */
struct birth {
    int image_fd, fds[3];
    int err;
};

static const char *const step_names[DX_STEP_COUNT] = {
    [DX_STEP_PRCTL] = "prctl",
    [DX_STEP_PERSONALITY] = "every readable page is executable here (personality READ_IMPLIES_EXEC)",
    [DX_STEP_SHARED] = "mapping the shared pages",
    [DX_STEP_PARENT] = "the parent is gone",
    [DX_STEP_UNMAP] = "unmapping what the kernel maps into every process",
    [DX_STEP_SIGNALS] = "setting signal handlers",
    [DX_STEP_THREAD] = "starting a thread",
    [DX_STEP_LISTENER] = "a seccomp filter with a listener (denied here, or another program listens already)",
    [DX_STEP_DESCRIPTORS] = "closing descriptors",
    [DX_STEP_FILTER] = "a seccomp filter",
};

static void PRINTF_LIKE(2, 3) say(char why[DX_WHY_BYTES], const char *fmt, ...)
{
    va_list ap;

    if (!why)
        return;
    va_start(ap, fmt);
    vsnprintf(why, DX_WHY_BYTES, fmt, ap);
    va_end(ap);
}

/* A number of /proc/sys; other when it cannot be read. */
static u64 read_sysctl(const char *path, u64 other)
{
    char text[32] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return other;
    if (read(fd, text, sizeof(text) - 1) > 0)
        other = strtoull(text, NULL, 10);
    close(fd);
    return other;
}

int dx_new(struct dx **out, const struct dx_config *cfg)
{
    struct dx *dx;

    if (cfg->ram_fd < 0 || (cfg->ram_bytes & PAGE_MASK))
        return -EINVAL;
    dx = calloc(1, sizeof(*dx));
    if (!dx)
        return -ENOMEM;
    dx->cfg = *cfg;
    dx->image_fd = -1;
    if (!dx->cfg.max_boxes)
        dx->cfg.max_boxes = 16;
    if (!dx->cfg.max_mappings)
        dx->cfg.max_mappings =
            (u32)min_u64(read_sysctl("/proc/sys/vm/max_map_count", 65530) / 4 * 3, 1u << 20);
    u64 min = align_up(min_u64(read_sysctl("/proc/sys/vm/mmap_min_addr", 65536), 1u << 30), PAGE_BYTES);
    dx->caps.min_gva = min ? (u32)min : PAGE_BYTES; /* page 0 is where a lost SYSENTER comes out */
    dx->cfg.ram_fd = fcntl(cfg->ram_fd, F_DUPFD_CLOEXEC, FIRST_FREE_FD);
    if (dx->cfg.ram_fd < 0) {
        int err = -errno;
        free(dx);
        return err;
    }
    *out = dx;
    return 0;
}

void dx_free(struct dx *dx)
{
    if (!dx)
        return;
    ASSERT(dx->stats.boxes == 0);
    close(dx->cfg.ram_fd);
    if (dx->image_fd >= 0)
        close(dx->image_fd);
    free(dx);
}

const struct dx_caps *dx_caps(const struct dx *dx)
{
    return &dx->caps;
}

const struct dx_stats *dx_stats(const struct dx *dx)
{
    return &dx->stats;
}

int dx_box_pid(const struct dx_box *b)
{
    return b->pid;
}

bool dx_box_dead(const struct dx_box *b)
{
    return b->dead;
}

/* The image as an executable memfd that nobody can change any more. */
static int make_image(struct dx *dx, char why[DX_WHY_BYTES])
{
    unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    int low, fd, err;

    low = memfd_create("novt-sandbox", flags | MFD_EXEC);
    if (low < 0 && errno == EINVAL)
        low = memfd_create("novt-sandbox", flags);
    if (low < 0) {
        err = -errno;
        say(why, "memfd_create: %s%s", strerror(-err),
            err == -EACCES ? " (sysctl vm.memfd_noexec is 2)" : "");
        return err;
    }
    fd = fcntl(low, F_DUPFD_CLOEXEC, FIRST_FREE_FD);
    err = fd < 0 ? -errno : 0;
    close(low);
    if (!err && write(fd, dx_image, dx_image_bytes) != (ssize_t)dx_image_bytes)
        err = -ENOSPC;
    if (!err && fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE))
        err = -errno;
    if (err) {
        say(why, "writing the sandbox's program to a memfd: %s", strerror(-err));
        if (fd >= 0)
            close(fd);
        return err;
    }
    dx->image_fd = fd;
    return 0;
}

/* In our memory, on a stack of its own, while the calling thread waits: raw calls only. */
static int child(void *arg)
{
    struct birth *birth = arg;
    static char *const argv[] = {(char *)(uintptr_t) "novt-sandbox", NULL};
    static char *const envp[] = {NULL};

    for (int i = 0; i < 3; i++) {
        if (dup2(birth->fds[i], i) < 0) {
            birth->err = -errno;
            return 1;
        }
    }
    syscall(SYS_execveat, birth->image_fd, "", argv, envp, AT_EMPTY_PATH);
    birth->err = -errno;
    return 1;
}

/* Start the process; signals stay blocked in it, so that none of our handlers runs there. */
static int give_birth(struct dx_box *b, struct birth *birth)
{
    sigset_t all, old;
    u8 *stack =
        mmap(NULL, CHILD_STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    int pid, err = 0;

    if (stack == MAP_FAILED)
        return -errno;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    /* No exit signal: the program that we are a library of never hears of it. */
    pid = clone(child, stack + CHILD_STACK_BYTES, CLONE_VM | CLONE_VFORK | CLONE_PIDFD, birth, &b->pidfd);
    if (pid < 0)
        err = -errno;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    munmap(stack, CHILD_STACK_BYTES);
    if (err)
        return err;
    b->pid = pid;
    return birth->err;
}

/* By descriptor, so that it cannot hit another process; a container may deny that, and until we reap it the id is ours as well. */
static void kill_it(const struct dx_box *b)
{
    if (syscall(SYS_pidfd_send_signal, b->pidfd, SIGKILL, NULL, 0))
        kill(b->pid, SIGKILL);
}

void dx_box_died(struct dx_box *b)
{
    siginfo_t si;

    if (b->dead)
        return;
    b->dead = true;
    b->dx->stats.boxes_died++;
    memset(&si, 0, sizeof(si));
    /* SIGKILL is of no consequence to one that is gone, and ends one that only lost its thread. */
    struct pollfd p = {.fd = b->pidfd, .events = POLLIN};
    if (poll(&p, 1, 100) <= 0)
        kill_it(b);
    while (waitid(P_PIDFD, (id_t)b->pidfd, &si, WEXITED | __WALL | WNOWAIT) && errno == EINTR)
        ;
    if (b->why[0])
        return;
    /* A thread that cannot take a signal is ended by it; SIGKILL comes from elsewhere. */
    b->death = si.si_code == CLD_EXITED || si.si_status == SIGKILL ? DX_DEATH_HOST : DX_DEATH_GUEST;
    if (si.si_code == CLD_EXITED)
        say(b->why, "the sandbox exited with code %d", si.si_status);
    else
        say(b->why, "the sandbox was killed by signal %d (%s)", si.si_status, strsignal(si.si_status));
}

void dx_box_die(struct dx_box *b, enum dx_death death, const char *fmt, ...)
{
    va_list ap;

    if (b->dead)
        return;
    b->death = (u8)death;
    va_start(ap, fmt);
    vsnprintf(b->why, sizeof(b->why), fmt, ap);
    va_end(ap);
    kill_it(b);
    dx_box_died(b);
}

void dx_box_free(struct dx_box *b)
{
    siginfo_t si;

    if (!b)
        return;
    if (b->pid > 0) {
        kill_it(b);
        while (waitid(P_PIDFD, (id_t)b->pidfd, &si, WEXITED | __WALL) && errno == EINTR)
            ;
    }
    int fds[] = {b->pidfd, b->guest.fd, b->mapper.fd};
    for (unsigned i = 0; i < ARRAY_SIZE(fds); i++)
        if (fds[i] >= 0)
            close(fds[i]);
    if (b->shared)
        munmap(b->shared, DX_CMD_BYTES + DX_AREA_BYTES);
    b->dx->stats.boxes--;
    free(b->frame);
    free(b->ldt);
    free(b);
}

/* One message of the starting process: its bytes, and a descriptor or -1. */
static int receive(int sock, u8 bytes[4], int *fd)
{
    union {
        struct cmsghdr h;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec iov = {bytes, 4};
    struct msghdr m = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
    struct pollfd p = {.fd = sock, .events = POLLIN};
    int n;

    *fd = -1;
    do
        n = poll(&p, 1, START_MS);
    while (n < 0 && errno == EINTR);
    if (n <= 0)
        return -ETIMEDOUT;
    if (recvmsg(sock, &m, MSG_CMSG_CLOEXEC) != 4)
        return -EIO;
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);
    if (h && h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS &&
        h->cmsg_len == CMSG_LEN(sizeof(int)))
        memcpy(fd, CMSG_DATA(h), sizeof(int));
    return 0;
}

/* Both threads' listeners. */
static int meet(struct dx_box *b, int sock, char why[DX_WHY_BYTES])
{
    struct dx_caps *caps = &b->dx->caps;

    while (b->guest.fd < 0 || b->mapper.fd < 0) {
        u8 msg[4];
        int fd, err = receive(sock, msg, &fd);
        if (err) {
            dx_box_died(b);
            say(why, "the sandbox ended while it started: %s", b->why);
            return err;
        }
        if (msg[0] == DX_MSG_FAILED || fd < 0) {
            err = msg[2] ? -msg[2] : -EIO;
            say(why, "sandbox: %s: %s", msg[1] < DX_STEP_COUNT ? step_names[msg[1]] : "?", strerror(-err));
            return err;
        }
        struct dx_stop *s = msg[0] == DX_MSG_GUEST ? &b->guest : &b->mapper;
        if (s->fd >= 0) {
            close(fd);
            return -EIO;
        }
        s->fd = fd;
        if (msg[0] == DX_MSG_GUEST) {
            caps->tsc_traps = !!(msg[1] & DX_HAS_TSC_TRAP);
            caps->cpuid_traps = !!(msg[1] & DX_HAS_CPUID_TRAP);
            b->killable_wait = !!(msg[1] & DX_HAS_KILLABLE_WAIT);
            /* Where a signal can end a hold there must be none that we do not know of. */
            caps->timer = b->timer = b->killable_wait && (msg[1] & DX_HAS_TIMER);
        }
        caps->sync_wake = !b->dx->plain_wait &&
                          ioctl(fd, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP) == 0;
    }
    return 0;
}

/* The first stop of both threads. No guest code has run, so what the mailbox says is still our own image's. */
static int first_stops(struct dx_box *b, char why[DX_WHY_BYTES])
{
    const struct dx_mail *mail = (const struct dx_mail *)b->area;

    if (dx_stop_wait(b, &b->guest, NULL) != DX_WAIT_STOPPED ||
        dx_stop_wait(b, &b->mapper, NULL) != DX_WAIT_STOPPED) {
        dx_box_died(b);
        say(why, "the sandbox ended while it started: %s", b->why);
        return -EIO;
    }
    b->guest.ip = mail->guest_ip;
    b->mapper.ip = mail->mapper_ip;
    int err = dx_frame_learn(b);
    if (err)
        say(why, "the host's signal frames are not as expected (no XSAVE?)");
    else
        err = dx_ldt_probe(b);
    return err;
}

static u32 boot_flags(const struct dx *dx)
{
    return (dx->plain_wait ? DX_BOOT_PLAIN_WAIT : 0) | (dx->cfg.trap_tsc ? DX_BOOT_TRAP_TSC : 0) |
           (dx->cfg.trap_cpuid ? DX_BOOT_TRAP_CPUID : 0);
}

/* The pages shared with the box. Returns the memfd, or -errno. */
static int make_shared(struct dx_box *b)
{
    int fd = memfd_create("novt-shared", MFD_CLOEXEC);
    void *p;

    if (fd < 0)
        return -errno;
    if (ftruncate(fd, DX_CMD_BYTES + DX_AREA_BYTES) == 0) {
        p = mmap(NULL, DX_CMD_BYTES + DX_AREA_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (p != MAP_FAILED) {
            b->shared = p;
            b->area = b->shared + DX_CMD_BYTES;
            ((u32 *)p)[DX_CMD_PARENT / 4] = (u32)getpid();
            ((u32 *)p)[DX_CMD_FLAGS / 4] = boot_flags(b->dx);
            return fd;
        }
    }
    int err = -errno;
    close(fd);
    return err;
}

static int start(struct dx_box *b, char why[DX_WHY_BYTES])
{
    struct birth birth = {.image_fd = b->dx->image_fd};
    int sock[2] = {-1, -1}, high[2] = {-1, -1}, err, shared;

    shared = make_shared(b);
    if (shared < 0) {
        say(why, "memory shared with the sandbox: %s", strerror(-shared));
        return shared;
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sock)) {
        err = -errno;
        say(why, "socketpair: %s", strerror(-err));
        goto out;
    }
    /* Sources above the three targets, so that none is overwritten before it is duplicated. */
    high[0] = fcntl(shared, F_DUPFD_CLOEXEC, FIRST_FREE_FD);
    high[1] = fcntl(sock[1], F_DUPFD_CLOEXEC, FIRST_FREE_FD);
    if (high[0] < 0 || high[1] < 0) {
        err = -errno;
        say(why, "no descriptors left: %s", strerror(-err));
        goto out;
    }
    birth.fds[DX_FD_RAM] = b->dx->cfg.ram_fd;
    birth.fds[DX_FD_SHARED] = high[0];
    birth.fds[DX_FD_SOCKET] = high[1];
    err = give_birth(b, &birth);
    if (err) {
        say(why, "starting the sandbox process: %s", strerror(-err));
        goto out;
    }
    close(sock[1]);
    close(high[1]);
    sock[1] = high[1] = -1; /* so that its end is seen */
    err = meet(b, sock[0], why);
    if (!err)
        err = first_stops(b, why);
out:;
    int fds[] = {shared, sock[0], sock[1], high[0], high[1]};
    for (unsigned i = 0; i < ARRAY_SIZE(fds); i++)
        if (fds[i] >= 0)
            close(fds[i]);
    return err;
}

int dx_box_new(struct dx *dx, struct dx_box **out, char why[DX_WHY_BYTES])
{
    struct dx_box *b;
    int err;

    say(why, "%s", "");
    if (dx->stats.boxes >= dx->cfg.max_boxes) {
        say(why, "%u sandboxes already", dx->stats.boxes);
        return -EAGAIN;
    }
    if (dx->image_fd < 0) {
        err = make_image(dx, why);
        if (err)
            return err;
    }
    b = calloc(1, sizeof(*b));
    if (!b)
        return -ENOMEM;
    b->dx = dx;
    b->pidfd = b->guest.fd = b->mapper.fd = b->guest.cpu = b->mapper.cpu = -1;
    dx->stats.boxes++;
    err = start(b, why);
    if (err) {
        dx_box_free(b);
        return err;
    }
    dx->stats.boxes_made++;
    *out = b;
    return 0;
}
