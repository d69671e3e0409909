/*
 * keys.h - the keys of a PC keyboard: QEMU's names for them, and what each sends.
 *
 * A key is its index in one table. The base is the scan code of set 1, from which set 2 follows by the 8042's own
 * translation; set 3 has codes of its own, and not for every key.
 */
#ifndef NOVT_DEVICES_KEYS_H
#define NOVT_DEVICES_KEYS_H

#include "base.h"

#define KEYS_MAX 160
#define KEY_GREY 0x80u /* in xt: the code follows an E0h prefix */

enum key_kind {
    KEY_TYPEMATIC, /* repeats; in set 3 says nothing when released */
    KEY_ONCE,      /* in set 3: neither repeats nor tells of its release */
    KEY_MODIFIER,  /* in set 3: tells of its release */
    KEY_PRINT,     /* sequences of their own */
    KEY_PAUSE,
};

struct key {
    const char *name;
    u8 xt;   /* set 1 without E0h prefix; KEY_GREY: with it */
    u8 set3; /* 0: none */
    u8 kind; /* enum key_kind */
};

const struct key *key_get(unsigned key); /* NULL: there is none */
/* By name, or by "0x.." with the set 1 code of QEMU's sendkey (E0h or KEY_GREY for the grey ones). -1: none. */
int key_find(const char *name);
/* The key that types an ASCII character on a US keyboard, and what must be held with it. -1: none. */
int key_of_char(char c, bool *shift, bool *ctrl);

#endif
