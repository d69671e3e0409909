/*
 * inputfuzz.h - what comes in from outside, made to do harm: what a target works with.
 *
 * A target plays one seed: it makes files, packets or words at random, most of them nearly right, gives them to the part of NoVT that
 * reads them, and looks at what came of it. The random numbers are the device fuzzer's. To add one, write it in a file of its own,
 * declare it here and give it a row in inputfuzz.c's table.
 */
#ifndef NOVT_TESTS_INPUTFUZZ_H
#define NOVT_TESTS_INPUTFUZZ_H

#include "include/novt.h"
#include "tests/devfuzz/devfuzz.h"

/* A finding that is no crash: says it and ends the process. */
void finding(const char *fmt, ...) PRINTF_LIKE(1, 2) __attribute__((noreturn));

/* The process's working directory is a temporary one of its own; files are made in it. */
void put_file(const char *name, const void *data, size_t bytes);
u8 *get_file(const char *name, size_t *bytes); /* on the heap */

/* Damage: a few fields of 1, 2, 4 or 8 bytes get edge values, bits flip, a run is copied elsewhere. */
void damage(struct fuzz *f, u8 *data, size_t bytes, unsigned fields);

/* Words out of a program's own help, so that new ones are tried without being listed here. */
struct words {
    char *text, **word;
    u32 n;
};
void words_from(struct words *w, const char *text); /* each word once; letters, digits and - _ . make one */
const char *words_any(struct fuzz *f, const struct words *w);

/* Runs the machine for a while, from another thread's clock; resets go on. */
void run_for(struct novt_vm *vm, unsigned us);

void target_kernel(struct fuzz *f, u32 steps);
void target_image(struct fuzz *f, u32 steps);
void target_boot(struct fuzz *f, u32 steps);
void target_options(struct fuzz *f, u32 steps);
void target_gdb(struct fuzz *f, u32 steps);
void target_state(struct fuzz *f, u32 steps);
void target_monitors(struct fuzz *f, u32 steps);

#endif
