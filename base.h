/*
 * base.h - the leaf that every folder uses.
 *
 * Fixed-width integer names, bit helpers, the ASSERT that reports our own bugs, and
 * the warning channel. Nothing here knows of guests, hosts or devices.
 *
 * Guarantees: no state but the panic hook; every function is safe in a signal handler
 * except base_warn().
 */
#ifndef NOVT_BASE_H
#define NOVT_BASE_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t i8;
typedef int16_t i16;
typedef int32_t i32;
typedef int64_t i64;

#define BIT(n) (1u << (n))
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)
#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

#define PAGE_SHIFT 12
#define PAGE_BYTES 4096u
#define PAGE_MASK 4095u

static inline u64 align_up(u64 v, u64 to)
{
    return (v + to - 1) & ~(to - 1);
}

static inline u64 min_u64(u64 a, u64 b)
{
    return a < b ? a : b;
}

/* A bug of ours, never something a guest can cause. Prints the place, runs the panic hook (the
 * monitor's dump of CPU, block and last exits) and leaves with exit code 70 (EX_SOFTWARE). */
_Noreturn void base_panic(const char *file, int line, const char *what);

#define ASSERT(x) ((void)(LIKELY(x) || (base_panic(__FILE__, __LINE__, #x), 0)))

/* hook(opaque) runs once, on the thread that panicked. Thread-local: each VM thread has its own. */
void base_panic_hook_set(void (*hook)(void *opaque), void *opaque);

/* One line to stderr, prefixed "novt: ". Not for signal handlers. */
void base_warn(const char *fmt, ...) PRINTF_LIKE(1, 2);

#endif
