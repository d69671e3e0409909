/*
 * test_base.c - the leaf's contract: how our own bugs and warnings are reported.
 *
 * Breaks if a panic loses its place, runs its hook not exactly once, or leaves with another code;
 * and if a warning is not exactly one line whatever its length.
 */
#include "base.h"

#include <criterion/criterion.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Runs fn in a child with stderr on a pipe; returns the exit code, fills out. */
static int run_child(void (*fn)(void), char *out, size_t size)
{
    int fds[2], status = 0;
    size_t n = 0;
    pid_t pid;

    cr_assert_eq(pipe(fds), 0);
    pid = fork();
    cr_assert_geq(pid, 0);
    if (pid == 0) {
        dup2(fds[1], STDERR_FILENO);
        close(fds[0]);
        close(fds[1]);
        fn();
        _exit(0);
    }
    close(fds[1]);
    while (n < size - 1) {
        ssize_t got = read(fds[0], out + n, size - 1 - n);

        if (got <= 0)
            break;
        n += (size_t)got;
    }
    out[n] = 0;
    close(fds[0]);
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void hook_that_panics(void *opaque)
{
    const char *s = opaque;

    (void)!write(STDERR_FILENO, s, strlen(s));
    base_panic("inner.c", 0, "again");
}

static void panic_in_hook(void)
{
    static char text[] = "dump\n";

    base_panic_hook_set(hook_that_panics, text);
    base_panic("some/file.c", 123, "x > 0");
}

static void failing_assert(void)
{
    ASSERT(1 + 1 == 3);
}

static void long_panic(void)
{
    static char what[2000];

    memset(what, 'y', sizeof(what) - 1);
    base_panic("f.c", 1, what);
}

static void warn_short(void)
{
    base_warn("%s is %d", "answer", 42);
}

static void warn_long(void)
{
    static char text[2000];

    memset(text, 'x', sizeof(text) - 1);
    base_warn("%s", text);
}

Test(base, panic_names_place_and_runs_hook_once)
{
    char out[1024];

    cr_assert_eq(run_child(panic_in_hook, out, sizeof(out)), 70);
    cr_assert_str_eq(out, "novt: bug: some/file.c:123: x > 0\ndump\nnovt: bug: inner.c:0: again\n");
}

Test(base, assert_panics_with_its_text)
{
    char out[1024];

    cr_assert_eq(run_child(failing_assert, out, sizeof(out)), 70);
    cr_assert(strstr(out, "1 + 1 == 3") != NULL);
}

Test(base, panic_cuts_long_text)
{
    char out[4096];
    size_t n;

    cr_assert_eq(run_child(long_panic, out, sizeof(out)), 70);
    n = strlen(out);
    cr_assert_leq(n, 512);
    cr_assert_eq(out[n - 1], '\n');
}

Test(base, warn_is_one_line)
{
    char out[4096];
    size_t n;

    cr_assert_eq(run_child(warn_short, out, sizeof(out)), 0);
    cr_assert_str_eq(out, "novt: answer is 42\n");
    cr_assert_eq(run_child(warn_long, out, sizeof(out)), 0);
    n = strlen(out);
    cr_assert_leq(n, 512);
    cr_assert_eq(strchr(out, '\n'), out + n - 1);
}

Test(base, align_and_min)
{
    cr_assert_eq(align_up(0, 4096), 0);
    cr_assert_eq(align_up(1, 4096), 4096);
    cr_assert_eq(align_up(4096, 4096), 4096);
    cr_assert_eq(min_u64(1, UINT64_MAX), 1);
    cr_assert_eq(min_u64(UINT64_MAX, 1), 1);
}
