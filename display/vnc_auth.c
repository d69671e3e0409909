/*
 * vnc_auth.c - the VNC password: RFC 6143, 7.2.2.
 *
 * The server sends 16 random bytes, the client gives them back encrypted by DES with the password as key, each byte of it with its bits the
 * other way round. Eight characters count, and who listens on the line can try all of them: it keeps strangers out of a closed network,
 * no more. DES is libcrypto's (Apache licence, on every Debian system that has ssh), loaded when a password is asked for; of the other
 * free ones nettle is under the LGPL, and one of our own is not worth its table.
 *
 * The password is the command line's or a monitor's to set while clients come, hence the lock. Until there is one nobody gets in.
 */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "display/vnc.h"

#define SCHEDULE_BYTES 128u /* libcrypto's DES_key_schedule */

struct vnc_auth {
    void *library;
    void (*set_key)(const u8 *key, void *schedule);
    void (*ecb)(const u8 *in, u8 *out, void *schedule, int encrypt);
    pthread_mutex_t lock; /* of what follows */
    u8 key[VNC_PASSWORD_BYTES];
    bool set;
    i64 until; /* time(); 0: for ever */
};

int vnc_auth_new(struct vnc_auth **out, struct novt_error *err)
{
    struct vnc_auth *a = calloc(1, sizeof(*a));

    *out = NULL;
    if (!a)
        return display_fail(err, NOVT_ERR_HOST, -ENOMEM, "free memory", "-vnc: no memory");
    a->library = dlopen("libcrypto.so.3", RTLD_NOW | RTLD_LOCAL);
    if (a->library) {
        a->set_key = (__typeof__(a->set_key))dlsym(a->library, "DES_set_key_unchecked");
        a->ecb = (__typeof__(a->ecb))dlsym(a->library, "DES_ecb_encrypt");
    }
    pthread_mutex_init(&a->lock, NULL);
    if (!a->set_key || !a->ecb) {
        vnc_auth_free(a);
        return display_fail(err, NOVT_ERR_HOST, -ENOENT,
                            "install libssl3, or listen on 127.0.0.1 or unix:PATH and use ssh",
                            "-vnc: a password needs the library libcrypto.so.3, which cannot be loaded");
    }
    *out = a;
    return 0;
}

void vnc_auth_free(struct vnc_auth *a)
{
    if (!a)
        return;
    pthread_mutex_destroy(&a->lock);
    explicit_bzero(a->key, sizeof(a->key));
    /* The library stays: it has atexit() functions. */
    free(a);
}

static u8 mirrored(u8 byte)
{
    u8 out = 0;

    for (unsigned i = 0; i < 8; i++)
        out |= (u8)((byte >> i & 1) << (7 - i));
    return out;
}

void vnc_auth_set(struct vnc_auth *a, const char *password)
{
    size_t n = strnlen(password, VNC_PASSWORD_BYTES);

    pthread_mutex_lock(&a->lock);
    memset(a->key, 0, sizeof(a->key));
    for (size_t i = 0; i < n; i++)
        a->key[i] = mirrored((u8)password[i]);
    a->set = n != 0;
    pthread_mutex_unlock(&a->lock);
}

void vnc_auth_expire(struct vnc_auth *a, i64 until)
{
    pthread_mutex_lock(&a->lock);
    a->until = until;
    pthread_mutex_unlock(&a->lock);
}

bool vnc_auth_challenge(u8 challenge[VNC_CHALLENGE_BYTES])
{
    return getrandom(challenge, VNC_CHALLENGE_BYTES, 0) == VNC_CHALLENGE_BYTES;
}

bool vnc_auth_check(struct vnc_auth *a, const u8 challenge[VNC_CHALLENGE_BYTES],
                    const u8 answer[VNC_CHALLENGE_BYTES])
{
    u64 schedule[SCHEDULE_BYTES / 8];
    u8 want[VNC_CHALLENGE_BYTES], differ = 0;
    bool open;

    pthread_mutex_lock(&a->lock);
    open = a->set && (!a->until || time(NULL) < a->until);
    a->set_key(a->key, schedule);
    pthread_mutex_unlock(&a->lock);
    for (unsigned i = 0; i < VNC_CHALLENGE_BYTES; i += 8)
        a->ecb(challenge + i, want + i, schedule, 1);
    for (unsigned i = 0; i < VNC_CHALLENGE_BYTES; i++) /* all of it, whatever differs: time tells nothing */
        differ |= want[i] ^ answer[i];
    explicit_bzero(schedule, sizeof(schedule));
    return open && !differ;
}
