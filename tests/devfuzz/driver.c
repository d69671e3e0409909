/*
 * driver.c - a fuzzer's main program: options, processes, time, failures.
 *
 *     [--seed N] [--count N] [--time SECONDS] [--cpu SECONDS] [--steps N] [--target NAME] [--list]
 *
 * Seeds run in child processes, some hundred in each; one that dies, or is not through after its CPU time, is cut down to the fewest steps
 * that do it, named, and ends the run with 1. --time is by the clock, a minute if nothing is said; --cpu is what the children used. Last
 * line: N passed, N failed.
 */
#include "tests/devfuzz/driver.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct run {
    const struct fuzz_program *p;
    volatile u64 *at; /* the seed that a child is at */
    u64 seed, count;
    u32 steps;
    double time_s, cpu_s; /* 0: no limit */
    int only;
};

static double seconds(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static double children_s(void)
{
    struct rusage use;
    getrusage(RUSAGE_CHILDREN, &use);
    return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
           (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

/* True if the child came through. */
static bool run_child(struct run *r, u64 first, u64 seeds, u32 steps, bool quiet)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        /* CPU time, since hosts are busy; and a long time for what waits and should not. */
        const struct rlimit most = {r->p->child_cpu_s, r->p->child_cpu_s};
        (void)setrlimit(RLIMIT_CPU, &most);
        alarm(20 * r->p->child_cpu_s);
        int null = quiet ? open("/dev/null", O_WRONLY) : -1;
        if (null >= 0) {
            dup2(null, 1);
            dup2(null, 2);
        }
        for (u64 s = first; s < first + seeds; s++) {
            *r->at = s;
            r->p->play(s, steps, r->only);
        }
        exit(0);
    }
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

/* The fewest steps of the seed that fail; r->steps if it fails no more, which then is not the seed's doing alone. */
static u32 shortest(struct run *r, u64 seed)
{
    u32 good = 0, bad = r->steps;
    if (run_child(r, seed, 1, bad, true))
        return bad;
    while (bad - good > 1) {
        u32 half = good + (bad - good) / 2;
        if (run_child(r, seed, 1, half, true))
            good = half;
        else
            bad = half;
    }
    return bad;
}

static int usage(const struct fuzz_program *p, const char *option, const char *val)
{
    fprintf(stderr, "%s: %s %s: unknown\nusage: [--seed N] [--count N] [--time S] [--cpu S] [--steps N] [--target NAME] [--list]\n",
            p->name, option, val);
    return 2;
}

static int target_named(const struct fuzz_program *p, const char *name)
{
    for (int i = 0; p->target[i]; i++)
        if (!strcmp(p->target[i], name))
            return i;
    return -1;
}

/* -1: go on; else the exit code. */
static int options(struct run *r, int argc, char **argv)
{
    for (int i = 1; i < argc; i += 2) {
        const char *val = i + 1 < argc ? argv[i + 1] : "";
        if (!strcmp(argv[i], "--list")) {
            for (int t = 0; r->p->target[t]; t++)
                puts(r->p->target[t]);
            return 0;
        }
        if (!strcmp(argv[i], "--seed"))
            r->seed = strtoull(val, NULL, 0);
        else if (!strcmp(argv[i], "--count"))
            r->count = strtoull(val, NULL, 0);
        else if (!strcmp(argv[i], "--steps"))
            r->steps = (u32)strtoul(val, NULL, 0);
        else if (!strcmp(argv[i], "--time"))
            r->time_s = strtod(val, NULL);
        else if (!strcmp(argv[i], "--cpu"))
            r->cpu_s = strtod(val, NULL);
        else if (!strcmp(argv[i], "--target") && target_named(r->p, val) >= 0)
            r->only = target_named(r->p, val);
        else
            return usage(r->p, argv[i], val);
    }
    return -1;
}

int fuzz_main(const struct fuzz_program *p, int argc, char **argv)
{
    struct run r = {.p = p, .seed = (u64)time(NULL), .count = UINT64_MAX, .steps = p->steps, .only = -1};
    u64 passed = 0;
    int rc = options(&r, argc, argv);
    if (rc >= 0)
        return rc;
    if (!r.time_s && !r.cpu_s)
        r.time_s = 60;
    r.at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (r.at == MAP_FAILED)
        return 3;
    printf("seeds from %llu\n", (unsigned long long)r.seed);
    fflush(stdout);
    double start = seconds();
    while (passed < r.count && (!r.time_s || seconds() < start + r.time_s) && (!r.cpu_s || children_s() < r.cpu_s)) {
        u64 n = min_u64(r.count - passed, p->seeds_a_child);
        if (!run_child(&r, r.seed + passed, n, r.steps, false)) {
            u64 seed = *r.at;
            printf("seed %llu died; again: --seed %llu --count 1 --steps %u%s%s\n%llu passed, 1 failed\n", (unsigned long long)seed,
                   (unsigned long long)seed, shortest(&r, seed), r.only >= 0 ? " --target " : "",
                   r.only >= 0 ? p->target[r.only] : "", (unsigned long long)passed);
            return 1;
        }
        passed += n;
    }
    printf("# %.0f s of CPU time\n%llu passed, 0 failed\n", children_s(), (unsigned long long)passed);
    return 0;
}
