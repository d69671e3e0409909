/*
 * sdl.c - sound on the host's sound device, by SDL2.
 *
 * The library is loaded when -audiodev sdl asks for it. Between the VM's thread, which brings samples every few milliseconds and sometimes
 * late, and SDL's, which takes them steadily, is a ring; each sound begins with a short silence that hides the lateness. When
 * it has been silent for a while the device is paused and costs nothing.
 */
#include "audio/parts.h"

#ifdef NOVT_SDL
#include <SDL.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

/* clang-format off */
#define FUNCTIONS(X) X(SDL_InitSubSystem) X(SDL_QuitSubSystem) X(SDL_GetError) X(SDL_OpenAudioDevice) X(SDL_CloseAudioDevice) X(SDL_PauseAudioDevice)
/* clang-format on */

#define RING (1u << 16) /* samples; more than a second at any usual rate */
#define DEVICE_MS 10u

struct sound {
#define POINTER(name) __typeof__(name) *name;
    FUNCTIONS(POINTER)
#undef POINTER
    SDL_AudioDeviceID device;
    u32 channels, lead; /* samples of silence before a sound */
    bool awake;
    u32 put, taken; /* counters: the VM's thread writes one, SDL's the other */
    i16 ring[RING];
};

/* SDL's thread. */
static void take(void *opaque, Uint8 *stream, int len)
{
    struct sound *s = opaque;
    i16 *to = (i16 *)(void *)stream;
    u32 frames = (u32)len / 2 / s->channels, at = s->taken;
    u32 have = __atomic_load_n(&s->put, __ATOMIC_ACQUIRE) - at;

    for (u32 i = 0; i < frames; i++) {
        i16 v = i < have ? s->ring[(at + i) % RING] : 0;

        for (u32 c = 0; c < s->channels; c++)
            *to++ = v;
    }
    __atomic_store_n(&s->taken, at + (have < frames ? have : frames), __ATOMIC_RELEASE);
}

static void put(struct sound *s, const i16 *sample, u32 n)
{
    u32 room = RING - (s->put - __atomic_load_n(&s->taken, __ATOMIC_ACQUIRE));

    n = n < room ? n : room;
    for (u32 i = 0; i < n; i++)
        s->ring[(s->put + i) % RING] = sample ? sample[i] : 0;
    __atomic_store_n(&s->put, s->put + n, __ATOMIC_RELEASE);
}

static void sdl_play(void *self, u64 at, const i16 *sample, size_t n)
{
    struct sound *s = self;

    (void)at;
    if (!n) {
        s->SDL_PauseAudioDevice(s->device, 1);
        s->awake = false;
        return;
    }
    if (s->put == __atomic_load_n(&s->taken, __ATOMIC_ACQUIRE))
        put(s, NULL, s->lead);
    put(s, sample, n < RING ? (u32)n : RING);
    if (!s->awake)
        s->SDL_PauseAudioDevice(s->device, 0);
    s->awake = true;
}

/* The library stays loaded: threads that it started may outlive the device. */
static bool load(struct sound *s)
{
    void *library = dlopen("libSDL2-2.0.so.0", RTLD_NOW | RTLD_LOCAL);

    if (!library)
        return false;
#define LOOK(name)                              \
    *(void **)&s->name = dlsym(library, #name); \
    if (!s->name)                               \
        return false;
    FUNCTIONS(LOOK)
#undef LOOK
    return true;
}

static int sdl_open(void **self, const struct audio_spec *spec, struct novt_error *err)
{
    static const char remedy[] =
        "use -audiodev wav,path=FILE or none, or let SDL_AUDIODRIVER choose another way to the sound device";
    struct sound *s = calloc(1, sizeof(*s));
    SDL_AudioSpec want = {
        .freq = (int)spec->rate, .format = AUDIO_S16SYS, .channels = (Uint8)spec->channels, .callback = take};
    int rc = 0;

    if (!s)
        return audio_fail(err, NOVT_ERR_HOST, -ENOMEM, "free memory", "-audiodev sdl: no memory");
    s->channels = spec->channels;
    s->lead = spec->rate / 1000 * spec->buffer_ms;
    s->lead = s->lead < RING / 2 ? s->lead : RING / 2;
    want.userdata = s;
    for (want.samples = 64; want.samples < spec->rate * DEVICE_MS / 1000;)
        want.samples *= 2;
    if (!load(s)) {
        rc = audio_fail(err, NOVT_ERR_HOST, -ENOENT,
                        "install libsdl2-2.0-0, or use -audiodev wav,path=FILE or none",
                        "-audiodev sdl: the SDL2 library cannot be loaded");
    } else if (s->SDL_InitSubSystem(SDL_INIT_AUDIO)) {
        rc =
            audio_fail(err, NOVT_ERR_HOST, -ENODEV, remedy, "-audiodev sdl: no sound: %s", s->SDL_GetError());
    } else {
        s->device = s->SDL_OpenAudioDevice(NULL, 0, &want, NULL, 0);
        if (!s->device) {
            rc = audio_fail(err, NOVT_ERR_HOST, -ENODEV, remedy, "-audiodev sdl: no sound device: %s",
                            s->SDL_GetError());
            s->SDL_QuitSubSystem(SDL_INIT_AUDIO);
        }
    }
    if (rc)
        free(s);
    else
        *self = s;
    return rc;
}

static void sdl_close(void *self)
{
    struct sound *s = self;

    s->SDL_CloseAudioDevice(s->device);
    s->SDL_QuitSubSystem(SDL_INIT_AUDIO);
    free(s);
}

const struct audio_part audio_sdl = {sdl_open, sdl_play, sdl_close};

#else /* built without SDL's headers */

static int sdl_open(void **self, const struct audio_spec *spec, struct novt_error *err)
{
    (void)self;
    (void)spec;
    return audio_fail(err, NOVT_ERR_HOST, -ENOTSUP,
                      "install libsdl2-dev and build again, or use -audiodev wav,path=FILE or none",
                      "-audiodev sdl: this novt was built without SDL2");
}

static void sdl_play(void *self, u64 at, const i16 *sample, size_t n)
{
    (void)self;
    (void)at;
    (void)sample;
    (void)n;
}

static void sdl_close(void *self)
{
    (void)self;
}

const struct audio_part audio_sdl = {sdl_open, sdl_play, sdl_close};
#endif
