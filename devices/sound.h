/*
 * sound.h - samples between a device that sounds and the host that lets it be heard.
 *
 * Samples are numbered by virtual time: number n stands for the span that begins n / rate seconds after the machine was made. What
 * is not played was silent. A machine that is paused plays nothing and goes on with the next number.
 */
#ifndef NOVT_DEVICES_SOUND_H
#define NOVT_DEVICES_SOUND_H

#include "base.h"

#define SOUND_RATE_MIN 1000u
#define SOUND_RATE_MAX 192000u

/* Called on the VM's thread, which must not wait there. */
struct sound_back {
    u32 rate; /* samples a second; 0: nobody listens */
    /* n samples of one channel, the first of them number `at`. n = 0: it has been silent for a while and the host may rest. */
    void (*play)(void *opaque, u64 at, const i16 *sample, size_t n);
    void *opaque;
};

#endif
