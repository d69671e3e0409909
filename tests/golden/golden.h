/*
 * golden.h - one golden case, and its listing; see golden.c.
 */
#ifndef NOVT_TESTS_GOLDEN_H
#define NOVT_TESTS_GOLDEN_H

#include "base.h"
#include "bt/cpu.h"

#define GOLDEN_EIP 0x1000u

struct golden_case {
    char name[96];
    u32 mode, cs_limit, max_insns;
    bool selfcheck, slow_mem, stubs;
    u8 bytes[64];
    u32 n_bytes;
};

/* Translates the case's bytes and lists block after block of host code; lines begin with "| ". The caller frees it. */
char *golden_listing(const struct golden_case *c);

#endif
