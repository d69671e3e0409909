/*
 * driver.h - what the fuzzers' programs share: their options, the processes that seeds run in, the search for a short failure.
 *
 * A program has targets and a function that plays one seed. The same seed with fewer steps plays the beginning of the same play, so a
 * failure is cut down to the fewest steps that still fail, and told as the options that play it again.
 */
#ifndef NOVT_TESTS_DEVFUZZ_DRIVER_H
#define NOVT_TESTS_DEVFUZZ_DRIVER_H

#include "base.h"

struct fuzz_program {
    const char *name;
    const char *const *target; /* names; NULL ends them */
    u32 steps;                 /* of a seed, unless --steps says so */
    u32 seeds_a_child;
    unsigned child_cpu_s; /* CPU time that so many seeds never take */
    /* Plays a seed, in a process of its own. only: the index of the one target to play, -1: any. A failure ends the process. */
    void (*play)(u64 seed, u32 steps, int only);
};

int fuzz_main(const struct fuzz_program *p, int argc, char **argv);

#endif
