/*
 * audio.h - where the guest's sound goes on the host: nowhere, a WAV file, or SDL2's sound device.
 *
 * A sound is opened before the machine exists, so that a missing device or an unwritable place is told at once. What it plays comes from
 * the VM's thread, which never waits for the host: samples that the host has no room for are lost.
 */
#ifndef NOVT_AUDIO_H
#define NOVT_AUDIO_H

#include "base.h"
#include "novt.h"

enum audio_driver { AUDIO_NONE, AUDIO_WAV, AUDIO_SDL };

/* -audiodev DRIVER,id=ID,... */
struct audio_spec {
    enum audio_driver driver;
    char id[32];
    char path[256]; /* wav */
    u32 rate;       /* out.frequency=; 44100 */
    u32 channels;   /* out.channels=; 2 */
    u32 buffer_ms;  /* sdl: how long a sound waits, so that a late machine is not heard; 60 */
};

/* 0, or -EINVAL with *err. An empty id is the caller's to refuse. */
int audio_parse(struct audio_spec *spec, const char *option, const char *arg,
                struct novt_error *err) MUST_CHECK;

struct audio;

/* 0, or -errno with *err. *sound is filled in for the machine's config; a machine that plays must end before audio_close(). */
int audio_open(struct audio **out, const struct audio_spec *spec, struct novt_sound *sound,
               struct novt_error *err) MUST_CHECK;
void audio_close(struct audio *a); /* NULL is fine */

#endif
