/*
 * inputfuzz.c - fuzzes what comes in from outside: kernels, disk images, options, a debugger's packets, saved states.
 *
 *     novt-fuzz-inputs --target NAME ...
 *
 * Options are driver.c's. Each process has a temporary directory, which goes with it. Run it on a build with sanitizers: scripts/fuzz
 * does. What is looked for: a crash, a sanitizer's message, a bug's exit, a hang, and what a target itself calls a finding.
 */
#include "inputfuzz.h"

#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/devfuzz/driver.h"

static const struct {
    const char *name;
    void (*fn)(struct fuzz *f, u32 steps);
    unsigned share; /* every so many of its steps make one: they take longer */
} targets[] = {
    {"kernel", target_kernel, 1}, {"image", target_image, 10}, {"options", target_options, 1},
    {"gdb", target_gdb, 1},       {"state", target_state, 10}, {"monitors", target_monitors, 1}, {"boot", target_boot, 200},
};

void finding(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    dprintf(2, "finding: ");
    vdprintf(2, fmt, args);
    dprintf(2, "\n");
    va_end(args);
    abort();
}

/* ---- files ---- */

static char directory[64];
static pid_t directory_of; /* the process that made it */

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st, (void)kind, (void)ftw;
    return remove(path);
}

static void remove_directory(void)
{
    if (directory_of == getpid())
        (void)nftw(directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void enter_directory(void)
{
    if (directory_of == getpid())
        return;
    /* In memory if there is such a place: a saved state is flushed to the disk. */
    snprintf(directory, sizeof(directory), "%s/novt-inputs-XXXXXX", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
    if (!mkdtemp(directory) || chdir(directory))
        finding("no temporary directory");
    (void)signal(SIGXFSZ, SIG_IGN); /* what is asked for may be large */
    (void)setrlimit(RLIMIT_FSIZE, &(struct rlimit){64 << 20, 64 << 20});
    directory_of = getpid();
    atexit(remove_directory);
}

void put_file(const char *name, const void *data, size_t bytes)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    if (fd < 0 || write(fd, data, bytes) != (ssize_t)bytes)
        finding("%s cannot be written", name);
    close(fd);
}

u8 *get_file(const char *name, size_t *bytes)
{
    int fd = open(name, O_RDONLY);
    struct stat st;
    u8 *data;

    if (fd < 0 || fstat(fd, &st))
        finding("%s cannot be read", name);
    *bytes = (size_t)st.st_size;
    data = malloc(*bytes + 1);
    if (!data || read(fd, data, *bytes) != (ssize_t)*bytes)
        finding("%s cannot be read", name);
    close(fd);
    return data;
}

void damage(struct fuzz *f, u8 *data, size_t bytes, unsigned fields)
{
    for (; fields && bytes >= 8; fields--) {
        size_t at = fuzz_below(f, (u32)bytes - 7), n = (size_t)1 << fuzz_below(f, 4);
        u64 val = fuzz_edge(f) | (u64)fuzz_edge(f) << 32;

        switch (fuzz_below(f, 8)) {
        case 0: data[at] ^= (u8)(1u << fuzz_below(f, 8)); break;
        case 1: memmove(data + at, data + fuzz_below(f, (u32)bytes - 7), 8); break;
        default: memcpy(data + (fuzz_below(f, 4) ? at & ~(n - 1) : at), &val, n); /* most fields are aligned */
        }
    }
}

/* ---- words ---- */

static bool in_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c && strchr("-_.", c));
}

void words_from(struct words *w, const char *text)
{
    char *at;

    w->text = strdup(text);
    w->word = calloc(strlen(text) + 1, sizeof(*w->word));
    w->n = 0;
    for (at = w->text; *at;) {
        char *start = at;
        u32 i = 0;

        while (in_word(*at))
            at++;
        if (*at)
            *at++ = 0;
        while (i < w->n && strcmp(w->word[i], start) != 0)
            i++;
        if (*start && i == w->n)
            w->word[w->n++] = start;
    }
}

const char *words_any(struct fuzz *f, const struct words *w)
{
    return w->n ? w->word[fuzz_below(f, w->n)] : "";
}

/* ---- machines ---- */

struct stopper {
    struct novt_vm *vm;
    unsigned us;
};

static void *stop_later(void *opaque)
{
    struct stopper *s = opaque;

    usleep(s->us);
    novt_vm_stop(s->vm, 0);
    return NULL;
}

void run_for(struct novt_vm *vm, unsigned us)
{
    struct stopper s = {vm, us};
    struct novt_outcome out;
    pthread_t t;

    if (pthread_create(&t, NULL, stop_later, &s))
        finding("no thread");
    while (novt_vm_run(vm, &out, NULL) == 0 && out.why == NOVT_RESET)
        ;
    pthread_join(t, NULL);
}

static void play(u64 seed, u32 steps, int only)
{
    struct fuzz f = {.state = seed * 0x9e3779b97f4a7c15ull + 1};
    u32 t;

    for (unsigned i = 0; i < 8; i++)
        (void)fuzz_random(&f);
    enter_directory();
    t = only >= 0 ? (u32)only : fuzz_below(&f, ARRAY_SIZE(targets));
    targets[t].fn(&f, (steps + targets[t].share - 1) / targets[t].share);
}

int main(int argc, char **argv)
{
    const char *names[ARRAY_SIZE(targets) + 1] = {NULL};

    for (unsigned i = 0; i < ARRAY_SIZE(targets); i++)
        names[i] = targets[i].name;
    const struct fuzz_program program = {.name = "novt-fuzz-inputs",
                                         .target = names,
                                         .steps = 200,
                                         .seeds_a_child = 20,
                                         .child_cpu_s = 120,
                                         .play = play};
    return fuzz_main(&program, argc, argv);
}
