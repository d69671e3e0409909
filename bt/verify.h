/*
 * verify.h - independent check of emitted blocks; see verify.c for what it proves.
 *
 * Not included from outside bt/.
 */
#ifndef NOVT_BT_VERIFY_H
#define NOVT_BT_VERIFY_H

#include "bt/internal.h"

struct bt_violation {
    const char *why;
    u32 host;      /* offset in the block: its hot part, then its stubs */
    u32 guest_eip; /* instruction that the host code belongs to, by the side table */
};

/* True when b, committed, holds nothing but what verify.c lists; else false with *out filled. */
bool verify_block(const struct bt *bt, const struct cc_block *b, struct bt_violation *out);

/* The same, where a violation is a bug of ours: reports it and does not return. */
void verify_or_panic(const struct bt *bt, const struct cc_block *b);

#endif
