/*
 * decode.c - what dec_decode() costs: mean time per instruction over a mix like compiled code's.
 *
 * Prints one JSON line. The mix is decoded in order, over and over, so host caches are warm; the
 * median of several rounds keeps a busy machine from showing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "decoder/decoder.h"

#define ROUNDS 9
#define REPEATS 8000

/* One function's worth of 32-bit code, as gcc emits it. */
static const u8 mix[] = {
    0x55, 0x89, 0xe5, 0x57, 0x56, 0x53, 0x83, 0xec, 0x1c, 0x8b, 0x45, 0x08, 0x8b, 0x55, 0x0c, 0x85, 0xc0,
    0x74, 0x10, 0x0f, 0xb6, 0x08, 0x8d, 0x74, 0x26, 0x00, 0x31, 0xdb, 0x01, 0xc3, 0xc1, 0xe3, 0x04, 0x89,
    0x5c, 0x24, 0x04, 0xc7, 0x04, 0x24, 0x10, 0x20, 0x30, 0x40, 0xe8, 0x11, 0x22, 0x33, 0x44, 0x8b, 0x04,
    0x95, 0x00, 0x10, 0x20, 0x30, 0x3b, 0x45, 0xf0, 0x0f, 0x8f, 0x10, 0x00, 0x00, 0x00, 0x66, 0x0f, 0x6f,
    0x00, 0x0f, 0x44, 0xc1, 0xf3, 0xa5, 0x83, 0xc4, 0x1c, 0x5b, 0x5e, 0x5f, 0x5d, 0xc3,
};

static double round_ns(void)
{
    struct timespec from, to;
    struct dec_insn insn;
    u64 count = 0;

    clock_gettime(CLOCK_MONOTONIC, &from);
    for (unsigned i = 0; i < REPEATS; i++) {
        for (size_t at = 0; at < sizeof(mix); at += insn.len, count++) {
            if (dec_decode(&insn, mix + at, sizeof(mix) - at, true, ~0u)) {
                fprintf(stderr, "decode: the mix does not decode\n");
                exit(1);
            }
        }
    }
    clock_gettime(CLOCK_MONOTONIC, &to);
    return ((to.tv_sec - from.tv_sec) * 1e9 + (to.tv_nsec - from.tv_nsec)) / count;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

int main(void)
{
    double ns[ROUNDS];

    for (unsigned i = 0; i < ROUNDS; i++)
        ns[i] = round_ns();
    qsort(ns, ROUNDS, sizeof(ns[0]), by_value);
    printf("{\"metric\":\"decode_ns\",\"value\":%.1f}\n", ns[ROUNDS / 2]);
    return 0;
}
