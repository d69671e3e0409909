/*
 * parts.h - what the files of audio/ share: a driver's functions, and how it says what is wrong.
 */
#ifndef NOVT_AUDIO_PARTS_H
#define NOVT_AUDIO_PARTS_H

#include "audio/audio.h"

struct audio_part {
    int (*open)(void **self, const struct audio_spec *spec, struct novt_error *err); /* 0 or -errno */
    void (*play)(void *self, u64 at, const i16 *sample, size_t n);                   /* novt.h's */
    void (*close)(void *self);
};

extern const struct audio_part audio_wav, audio_sdl;

/* Fills *err; returns rc. */
int audio_fail(struct novt_error *err, enum novt_error_kind kind, int rc, const char *remedy, const char *fmt,
               ...) PRINTF_LIKE(5, 6);

#endif
