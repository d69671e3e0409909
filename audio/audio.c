/*
 * audio.c - -audiodev's value, and the way from the machine's sound to the driver that it names.
 *
 * Keys are QEMU's. What has one value here is checked, not ignored: a file in another format than the one asked for would be found
 * out late.
 */
#include "audio/audio.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audio/parts.h"

#define RATE_MIN 1000u
#define RATE_MAX 192000u

struct audio {
    const struct audio_part *part;
    void *self;
};

int audio_fail(struct novt_error *err, enum novt_error_kind kind, int rc, const char *remedy, const char *fmt,
               ...)
{
    va_list ap;

    err->kind = kind;
    va_start(ap, fmt);
    vsnprintf(err->cause, sizeof(err->cause), fmt, ap);
    va_end(ap);
    snprintf(err->remedy, sizeof(err->remedy), "%s", remedy);
    return rc;
}

static bool number(const char *text, u32 max, u32 *out)
{
    char *end;
    unsigned long n;

    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    n = strtoul(text, &end, 0);
    *out = (u32)n;
    return !errno && !*end && n <= max;
}

static int set_driver(struct audio_spec *spec, const char *option, const char *name, struct novt_error *err)
{
    static const char *const others[] = {"alsa", "coreaudio", "dbus",     "dsound", "jack",
                                         "oss",  "pa",        "pipewire", "sndio",  "spice"};
    static const char *const names[] = {[AUDIO_NONE] = "none", [AUDIO_WAV] = "wav", [AUDIO_SDL] = "sdl"};

    for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
        if (!strcmp(name, names[i])) {
            spec->driver = i;
            return 0;
        }
    for (unsigned i = 0; i < ARRAY_SIZE(others); i++)
        if (!strcmp(name, others[i]))
            return audio_fail(err, NOVT_ERR_USAGE, -EINVAL,
                              "use sdl, which plays on PulseAudio, PipeWire and ALSA (the environment's "
                              "SDL_AUDIODRIVER chooses)",
                              "%s: NoVT does not have the driver \"%s\"", option, name);
    return audio_fail(err, NOVT_ERR_USAGE, -EINVAL, "use none, wav,path=FILE or sdl",
                      "%s: unknown driver \"%s\"", option, name);
}

static int set_key(struct audio_spec *spec, const char *option, const char *key, const char *value,
                   struct novt_error *err)
{
    const char *name = !strncmp(key, "out.", 4) ? key + 4 : key;
    u32 n;

    if (!strcmp(key, "driver"))
        return set_driver(spec, option, value, err);
    if (!strcmp(key, "id")) {
        if (strlen(value) >= sizeof(spec->id))
            return audio_fail(err, NOVT_ERR_USAGE, -EINVAL, "choose a shorter one", "%s: id=%s is too long",
                              option, value);
        snprintf(spec->id, sizeof(spec->id), "%s", value);
        return 0;
    }
    if (!strcmp(key, "path")) {
        if (strlen(value) >= sizeof(spec->path))
            return audio_fail(err, NOVT_ERR_USAGE, -EINVAL, "choose a shorter one",
                              "%s: the path is too long", option);
        snprintf(spec->path, sizeof(spec->path), "%s", value);
        return 0;
    }
    if (!strcmp(name, "frequency")) {
        if (number(value, RATE_MAX, &spec->rate) && spec->rate >= RATE_MIN)
            return 0;
        return audio_fail(err, NOVT_ERR_USAGE, -EINVAL, "give 1000 to 192000 samples a second",
                          "%s: bad value %s=%s", option, key, value);
    }
    if (!strcmp(name, "channels")) {
        if (number(value, 2, &spec->channels) && spec->channels)
            return 0;
        return audio_fail(err, NOVT_ERR_USAGE, -EINVAL, "use 1 or 2", "%s: bad value %s=%s", option, key,
                          value);
    }
    if (!strcmp(name, "format")) {
        if (!strcmp(value, "s16"))
            return 0;
        return audio_fail(err, NOVT_ERR_USAGE, -EINVAL, "samples are s16", "%s: bad value %s=%s", option, key,
                          value);
    }
    if (!strcmp(name, "buffer-length")) { /* QEMU's unit is the microsecond */
        if (!number(value, 1000000, &n) || n < 1000)
            return audio_fail(err, NOVT_ERR_USAGE, -EINVAL, "give 1000 to 1000000 microseconds",
                              "%s: bad value %s=%s", option, key, value);
        spec->buffer_ms = n / 1000;
        return 0;
    }
    /* How QEMU's mixer goes about it: there is one voice, so there is nothing to mix; and nothing is recorded. */
    if (!strcmp(name, "fixed-settings") || !strcmp(name, "mixing-engine") || !strcmp(name, "voices") ||
        !strcmp(name, "buffer-count") || !strcmp(key, "timer-period") || !strncmp(key, "in.", 3))
        return 0;
    return audio_fail(err, NOVT_ERR_USAGE, -EINVAL,
                      "use id=, path= (wav), out.frequency= and out.channels=", "%s: unknown key \"%s\"",
                      option, key);
}

int audio_parse(struct audio_spec *spec, const char *option, const char *arg, struct novt_error *err)
{
    char item[300];
    bool driver = false;

    *spec = (struct audio_spec){.rate = 44100, .channels = 2, .buffer_ms = 60};
    for (const char *at = arg;; at++) {
        size_t len = strcspn(at, ",");
        char *value;
        int rc;

        if (len >= sizeof(item))
            return audio_fail(err, NOVT_ERR_USAGE, -EINVAL, "choose shorter names",
                              "%s: the value is too long", option);
        memcpy(item, at, len);
        item[len] = 0;
        value = strchr(item, '=');
        if (value)
            *value++ = 0;
        if (!value && driver)
            rc = audio_fail(err, NOVT_ERR_USAGE, -EINVAL, "for example wav,id=a,path=FILE",
                            "%s: %s has no value", option, item);
        else
            rc = value ? set_key(spec, option, item, value, err) : set_driver(spec, option, item, err);
        if (rc)
            return rc;
        driver |= !value || !strcmp(item, "driver");
        at += len;
        if (!*at)
            break;
    }
    if (!driver)
        return audio_fail(err, NOVT_ERR_USAGE, -EINVAL, "for example wav,id=a,path=FILE", "%s: no driver",
                          option);
    if (spec->path[0] && spec->driver != AUDIO_WAV)
        return audio_fail(err, NOVT_ERR_USAGE, -EINVAL, "leave it out", "%s: only wav has a path", option);
    if (spec->driver == AUDIO_WAV && !spec->path[0])
        snprintf(spec->path, sizeof(spec->path), "qemu.wav"); /* where scripts look for it */
    return 0;
}

static void play(void *opaque, u64 at, const i16 *sample, size_t n)
{
    struct audio *a = opaque;

    a->part->play(a->self, at, sample, n);
}

int audio_open(struct audio **out, const struct audio_spec *spec, struct novt_sound *sound,
               struct novt_error *err)
{
    struct audio *a;
    int rc;

    *out = NULL;
    *sound = (struct novt_sound){0};
    if (spec->driver == AUDIO_NONE)
        return 0;
    a = calloc(1, sizeof(*a));
    if (!a)
        return audio_fail(err, NOVT_ERR_HOST, -ENOMEM, "free memory", "-audiodev: no memory");
    a->part = spec->driver == AUDIO_WAV ? &audio_wav : &audio_sdl;
    rc = a->part->open(&a->self, spec, err);
    if (rc) {
        free(a);
        return rc;
    }
    *sound = (struct novt_sound){spec->rate, play, a};
    *out = a;
    return 0;
}

void audio_close(struct audio *a)
{
    if (!a)
        return;
    a->part->close(a->self);
    free(a);
}
