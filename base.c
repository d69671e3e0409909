/*
 * base.c - reporting of our own bugs, and warnings.
 *
 * base_panic() may run in a signal handler on a small alternate stack and with broken state, so it
 * formats by hand into a local buffer and uses write() and _exit() only. The hook is taken out before
 * it runs: a second failure inside the dump ends the process at once instead of recursing.
 */
#include "base.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define EXIT_OUR_BUG 70 /* EX_SOFTWARE of sysexits.h */

static __thread void (*panic_hook)(void *opaque);
static __thread void *panic_opaque;

void base_panic_hook_set(void (*hook)(void *opaque), void *opaque)
{
    panic_hook = hook;
    panic_opaque = opaque;
}

static size_t append(char *buf, size_t at, size_t size, const char *s)
{
    size_t n = strlen(s);

    if (n > size - at)
        n = size - at;
    memcpy(buf + at, s, n);
    return at + n;
}

static void write_all(const char *buf, size_t n)
{
    while (n > 0) {
        ssize_t done = write(STDERR_FILENO, buf, n);

        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return;
        buf += done;
        n -= (size_t)done;
    }
}

_Noreturn void base_panic(const char *file, int line, const char *what)
{
    void (*hook)(void *opaque) = panic_hook;
    char buf[512], digits[12];
    size_t n = 0, d = sizeof(digits) - 1;
    unsigned int rest = line > 0 ? (unsigned int)line : 0;

    digits[d] = 0;
    do {
        digits[--d] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest);

    n = append(buf, n, sizeof(buf) - 1, "novt: bug: ");
    n = append(buf, n, sizeof(buf) - 1, file);
    n = append(buf, n, sizeof(buf) - 1, ":");
    n = append(buf, n, sizeof(buf) - 1, digits + d);
    n = append(buf, n, sizeof(buf) - 1, ": ");
    n = append(buf, n, sizeof(buf) - 1, what);
    buf[n++] = '\n';
    write_all(buf, n);

    panic_hook = NULL;
    if (hook)
        hook(panic_opaque);
    _exit(EXIT_OUR_BUG);
}

void base_warn(const char *fmt, ...)
{
    char buf[512];
    int n, prefix;
    va_list ap;

    prefix = snprintf(buf, sizeof(buf), "novt: ");
    va_start(ap, fmt);
    n = vsnprintf(buf + prefix, sizeof(buf) - (size_t)prefix - 1, fmt, ap);
    va_end(ap);
    if (n < 0)
        return;
    n += prefix;
    if (n > (int)sizeof(buf) - 2)
        n = (int)sizeof(buf) - 2;
    buf[n++] = '\n';
    write_all(buf, (size_t)n);
}
