/*
 * direct.c - what a sandbox costs: one JSON line a metric.
 *
 * Hand-offs are measured with both sides on one CPU and on two, beside a bare futex hand-off, the least that two processes can do. A
 * fill is what a missing page costs: exit, mapping, entry. CPU time of both processes is given too: on a busy host it says
 * more than the clock.
 */
#include "direct/direct.h"

#include <dirent.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define RAM_BYTES (64u << 20)
#define CODE 0x400000u
#define DATA 0x10000000u
#define ROUNDS 4000u
#define BATCHES 20u

struct clocks {
    u64 wall, cpu;
};

static u64 clock_ns(clockid_t clock)
{
    struct timespec t;

    if (clock_gettime(clock, &t))
        return 0;
    return (u64)t.tv_sec * 1000000000u + (u64)t.tv_nsec;
}

static struct clocks clocks_now(pid_t other)
{
    clockid_t c;

    return (struct clocks){clock_ns(CLOCK_MONOTONIC), clock_ns(CLOCK_PROCESS_CPUTIME_ID) +
                                                          (clock_getcpuclockid(other, &c) ? 0 : clock_ns(c))};
}

static void report(const char *metric, struct clocks from, struct clocks to, u64 n)
{
    printf("{\"bench\":\"direct\",\"metric\":\"%s\",\"value\":%.0f,\"unit\":\"ns\",\"cpu_ns\":%.0f,\"n\":%"
           "llu}\n",
           metric, (double)(to.wall - from.wall) / (double)n, (double)(to.cpu - from.cpu) / (double)n,
           (unsigned long long)n);
    fflush(stdout);
}

static void pin(pid_t tid, int cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(tid, sizeof(set), &set))
        perror("sched_setaffinity");
}

/* All threads of the box. */
static void pin_box(const struct dx_box *b, int cpu)
{
    char path[64];
    struct dirent *e;
    DIR *d;

    snprintf(path, sizeof(path), "/proc/%d/task", dx_box_pid(b));
    d = opendir(path);
    while (d && (e = readdir(d)))
        if (e->d_name[0] != '.')
            pin(atoi(e->d_name), cpu);
    if (d)
        closedir(d);
}

static void futex_trip(const char *metric, int mine, int theirs)
{
    u32 *word = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t pid;

    if (word == MAP_FAILED)
        return;
    volatile u32 *ask = word, *answer = word + 16;
    pid = fork();
    if (pid == 0) {
        pin(0, theirs);
        for (;;) {
            while (*ask == *answer)
                syscall(SYS_futex, ask, FUTEX_WAIT, *answer, NULL, NULL, 0);
            *answer = *ask;
            syscall(SYS_futex, answer, FUTEX_WAKE, 1, NULL, NULL, 0);
        }
    }
    pin(0, mine);
    usleep(20000);
    struct clocks t = clocks_now(pid);
    for (u32 i = 1; i <= ROUNDS; i++) {
        *ask = i;
        syscall(SYS_futex, ask, FUTEX_WAKE, 1, NULL, NULL, 0);
        while (*answer != i)
            syscall(SYS_futex, answer, FUTEX_WAIT, i - 1, NULL, NULL, 0);
    }
    report(metric, t, clocks_now(pid), ROUNDS);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    munmap(word, PAGE_BYTES);
}

static struct dx_state flat_state(void)
{
    struct dx_state st;

    memset(&st, 0, sizeof(st));
    st.eip = CODE;
    st.eflags = 2;
    st.gpr[DX_ESP] = DATA;
    for (unsigned i = 0; i < 6; i++)
        st.seg[i].kind = DX_SEG_FLAT;
    st.fxsave[0] = 0x7f;
    st.fxsave[1] = 0x03;
    st.fxsave[25] = 0x1f;
    st.fxsave[24] = 0x80;
    return st;
}

static int failed(const char *what, const struct dx_exit *x)
{
    fprintf(stderr, "%s: exit %u %s\n", what, x->kind, x->why);
    return 1;
}

static int bench_trips(struct dx_box *b, u8 *ram, const char *where)
{
    static const struct {
        const char *name;
        u8 code[4], kind;
    } trips[] = {
        {"page fault", {0xa1, 0, 0, 0}, DX_EXIT_PAGE_FAULT}, /* mov eax, [0]: the fifth byte is 0, too */
        {"int 80h", {0xcd, 0x80, 0xeb, 0xfc}, DX_EXIT_SYSCALL},
        {"breakpoint", {0xcc, 0xeb, 0xfd, 0}, DX_EXIT_BREAKPOINT},
    };
    struct dx_state st = flat_state();
    struct dx_exit x;
    char metric[64];

    for (unsigned i = 0; i < ARRAY_SIZE(trips); i++) {
        memset(ram, 0, 16);
        memcpy(ram, trips[i].code, sizeof(trips[i].code));
        st.eip = CODE;
        struct clocks t = clocks_now(dx_box_pid(b));
        for (unsigned n = 0; n < ROUNDS; n++) {
            dx_enter(b, &st, &x);
            if (x.kind != trips[i].kind)
                return failed(trips[i].name, &x);
        }
        snprintf(metric, sizeof(metric), "round trip, %s, %s", trips[i].name, where);
        report(metric, t, clocks_now(dx_box_pid(b)), ROUNDS);
    }
    return 0;
}

/* Pages touched one by one; then whole batches. */
static int bench_maps(struct dx_box *b, u8 *ram, const char *where)
{
    static const u8 touch[] = {0x01, 0x06, 0x81, 0xc6, 0,
                               0x10, 0,    0,    0xeb, 0xf6}; /* add [esi], eax; add esi, 1000h; loop */
    static struct dx_op ops[DX_MAP_BATCH];
    struct dx_op unmap = {.kind = DX_UNMAP, .gva = DATA, .pages = 2 * DX_MAP_BATCH};
    struct dx_state st = flat_state();
    struct dx_exit x;
    char metric[64];
    u64 filled = 0;

    memcpy(ram, touch, sizeof(touch));
    st.gpr[DX_ESI] = DATA;
    struct clocks t = clocks_now(dx_box_pid(b));
    while (filled < DX_MAP_BATCH) {
        dx_enter(b, &st, &x);
        if (x.kind == DX_EXIT_KICKED)
            continue;
        if (x.kind != DX_EXIT_PAGE_FAULT)
            return failed("fill", &x);
        struct dx_op op = {.kind = DX_MAP, .prot = 3, .gva = x.cr2 & ~PAGE_MASK, .pages = 1};
        op.offset = 0x100000 + (DX_MAP_BATCH - 1 - filled++) * PAGE_BYTES;
        if (dx_map(b, &op, 1, NULL))
            return failed("map", &x);
    }
    snprintf(metric, sizeof(metric), "fill of one page, %s", where);
    report(metric, t, clocks_now(dx_box_pid(b)), filled);
    for (unsigned populate = 0; populate < 2; populate++) {
        for (u32 i = 0; i < DX_MAP_BATCH; i++)
            ops[i] = (struct dx_op){DX_MAP,
                                    3,
                                    (u8)populate,
                                    DATA + i * PAGE_BYTES,
                                    1,
                                    0x100000 + (DX_MAP_BATCH - 1 - i) * PAGE_BYTES};
        struct clocks sum = {0, 0};
        for (u32 k = 0; k < BATCHES; k++) {
            if (dx_map(b, &unmap, 1, NULL))
                return failed("unmap", &x);
            t = clocks_now(dx_box_pid(b));
            if (dx_map(b, ops, DX_MAP_BATCH, NULL))
                return failed("batch", &x);
            struct clocks u = clocks_now(dx_box_pid(b));
            sum.wall += u.wall - t.wall;
            sum.cpu += u.cpu - t.cpu;
        }
        snprintf(metric, sizeof(metric), "page in a batch of %u%s, %s", DX_MAP_BATCH,
                 populate ? ", populated" : "", where);
        report(metric, (struct clocks){0, 0}, sum, (u64)BATCHES * DX_MAP_BATCH);
    }
    return 0;
}

static int bench_life(struct dx *dx)
{
    char why[DX_WHY_BYTES];
    struct dx_box *b;
    struct clocks t = clocks_now(0);

    for (unsigned i = 0; i < BATCHES; i++) {
        if (dx_box_new(dx, &b, why)) {
            fprintf(stderr, "%s\n", why);
            return 1;
        }
        dx_box_free(b);
    }
    report("sandbox made and ended", t, clocks_now(0), BATCHES);
    if (dx_box_new(dx, &b, why))
        return 1;
    t = clocks_now(dx_box_pid(b));
    for (unsigned i = 0; i < BATCHES; i++)
        if (dx_wipe(b))
            return 1;
    report("sandbox wiped", t, clocks_now(dx_box_pid(b)), BATCHES);
    dx_box_free(b);
    return 0;
}

int main(void)
{
    struct dx_config cfg = {.ram_fd = memfd_create("ram", MFD_CLOEXEC), .ram_bytes = RAM_BYTES};
    const struct dx_op code = {.kind = DX_MAP, .prot = DX_READ | DX_EXEC, .gva = CODE, .pages = 1};
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    char why[DX_WHY_BYTES] = "no memory";
    struct dx_box *b;
    struct dx *dx;
    int bad = 1;

    if (cfg.ram_fd < 0 || ftruncate(cfg.ram_fd, RAM_BYTES))
        return 1;
    u8 *ram = mmap(NULL, RAM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, cfg.ram_fd, 0);
    if (ram == MAP_FAILED || dx_new(&dx, &cfg))
        return 1;
    bad = bench_life(dx);
    for (int theirs = -1; !bad && theirs < (cpus > 1 ? 2 : 1); theirs++) {
        const char *where = theirs < 0 ? "placed by the kernel" : theirs ? "other CPU" : "same CPU";
        if (dx_box_new(dx, &b, why)) {
            fprintf(stderr, "%s\n", why);
            return 1;
        }
        bad = dx_map(b, &code, 1, NULL);
        if (theirs >= 0) {
            pin(0, 0);
            pin_box(b, theirs);
        }
        bad = bad || bench_trips(b, ram, where) || bench_maps(b, ram, where);
        dx_box_free(b);
    }
    futex_trip("bare futex round trip, same CPU", 0, 0);
    if (cpus > 1)
        futex_trip("bare futex round trip, other CPU", 0, 1);
    dx_free(dx);
    return bad;
}
