/*
 * stop.c - holding and resuming the threads of a sandbox.
 *
 * A thread stops by a system call that its filter answers with SECCOMP_RET_USER_NOTIF: the kernel keeps it until we reply to the
 * listener. The kernel itself says where it stopped and with which arguments, so neither can be forged. A hand-off costs
 * as much as one by futex (about 5 us for both ways on one CPU), a third of ptrace's; on Linux 6.6 the kernel runs the other side on
 * the same CPU, before that the thread is pinned to the CPU that we run on.
 */
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#include "direct/internal.h"

#define START_MS 10000
#define LOOK_MS 50           /* how often a wait looks for an unanswered kick */
#define ANSWER_NS 100000000u /* CPU time after which it counts as unanswered */

static u64 cpu_ns(const struct dx_box *b)
{
    clockid_t clock;
    struct timespec t;

    if (clock_getcpuclockid(b->pid, &clock) || clock_gettime(clock, &t))
        return 0;
    return (u64)t.tv_sec * 1000000000u + (u64)t.tv_nsec;
}

/* Wakers without a same-CPU hint put the sleeper on an idle CPU, whose own wake-up costs ten times the hand-off. */
static void pin_here(const struct dx_box *b, struct dx_stop *s)
{
    int cpu = sched_getcpu();
    cpu_set_t set;

    if (b->dx->caps.sync_wake || cpu < 0 || cpu == s->cpu || cpu >= CPU_SETSIZE)
        return;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(s->tid, sizeof(set), &set) == 0)
        s->cpu = cpu;
}

int dx_stop_resume(struct dx_box *b, struct dx_stop *s)
{
    struct seccomp_notif_resp r = {.id = s->id};

    pin_here(b, s);
    return ioctl(s->fd, SECCOMP_IOCTL_NOTIF_SEND, &r) ? -errno : 0;
}

/* The call that s is held in, if it is; false: not yet, or no more. */
static bool receive(struct dx_stop *s, u64 args[2], u64 *ip)
{
    struct seccomp_notif n;

    memset(&n, 0, sizeof(n));
    if (ioctl(s->fd, SECCOMP_IOCTL_NOTIF_RECV, &n))
        return false;
    s->id = n.id;
    s->tid = (pid_t)n.pid;
    *ip = n.data.instruction_pointer;
    if (args) {
        args[0] = n.data.args[0];
        args[1] = n.data.args[1];
    }
    return true;
}

enum dx_wait dx_stop_wait(struct dx_box *b, struct dx_stop *s, u64 args[2])
{
    bool asked = false;
    u64 since = 0, ip;

    for (unsigned looks = 0;; looks++) {
        if (!s->ip && looks > START_MS / LOOK_MS)
            return DX_WAIT_DEAD; /* its first stop: something refuses the call */
        struct pollfd p = {.fd = s->fd, .events = POLLIN};
        int n = poll(&p, 1, LOOK_MS);
        if (n > 0 && (p.revents & POLLIN)) {
            if (receive(s, args, &ip))
                return s->ip && s->ip != ip ? DX_WAIT_ELSEWHERE : DX_WAIT_STOPPED;
            continue;
        }
        if (n > 0 || (n < 0 && errno != EINTR))
            return DX_WAIT_DEAD;
        if (s != &b->guest || !(atomic_load(&b->kick) & KICK_ASKED))
            continue;
        if (!asked) {
            asked = true;
            since = cpu_ns(b);
        } else if (cpu_ns(b) - since > ANSWER_NS) {
            dx_box_die(b, DX_DEATH_GUEST,
                       "guest code did not answer an interrupt in %u ms of CPU time: signals blocked?",
                       ANSWER_NS / 1000000u);
            return DX_WAIT_DEAD;
        }
    }
}
