/*
 * test_audio.c - -audiodev's values, and WAV files: what is in them, silence as holes, long silence, and an end by a full disk.
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audio/audio.h"

Test(audio, values)
{
    static const struct {
        const char *arg, *refused;
    } t[] = {
        {"none,id=a", NULL},
        {"wav,id=a,path=x.wav", NULL},
        {"driver=wav,id=a", NULL},
        {"id=a,driver=sdl", NULL},
        {"sdl,id=a,out.frequency=48000,out.channels=1,out.format=s16,out.fixed-settings=on,timer-period=1000,"
         "in.voices=0",
         NULL},
        {"sdl,id=a,out.buffer-length=20000", NULL},
        {"alsa,id=a", "alsa"},
        {"frob,id=a", "frob"},
        {"id=a", "no driver"},
        {"", "driver"},
        {"wav,path", "path"},
        {"wav,out.frequency=12", "12"},
        {"wav,out.frequency=1000000", "1000000"},
        {"wav,out.channels=0", "channels"},
        {"wav,out.channels=6", "channels"},
        {"wav,out.format=u8", "u8"},
        {"wav,frob=1", "frob"},
        {"sdl,path=x", "path"},
        {"sdl,out.buffer-length=0", "buffer-length"},
        {"wav,id=0123456789012345678901234567890123456789", "id"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
        struct audio_spec spec;
        struct novt_error err = {0};
        int rc = audio_parse(&spec, "-audiodev", t[i].arg, &err);

        cr_expect_eq(rc == 0, t[i].refused == NULL, "%s: %s", t[i].arg, err.cause);
        if (t[i].refused)
            cr_expect(strstr(err.cause, t[i].refused) && err.remedy[0] && err.kind == NOVT_ERR_USAGE,
                      "%s: %s", t[i].arg, err.cause);
    }
}

struct rig {
    char path[64];
    struct audio *audio;
    struct novt_sound sound;
};

static void rig_init(struct rig *r, u32 rate, u32 channels)
{
    struct audio_spec spec = {.driver = AUDIO_WAV, .rate = rate, .channels = channels};
    struct novt_error err;

    snprintf(r->path, sizeof(r->path), "/tmp/novt-audio-XXXXXX");
    close(mkstemp(r->path));
    snprintf(spec.path, sizeof(spec.path), "%s", r->path);
    cr_assert_eq(audio_open(&r->audio, &spec, &r->sound, &err), 0);
    cr_assert_eq(r->sound.rate, rate);
}

static u32 get(const u8 *at)
{
    return at[0] | at[1] << 8 | at[2] << 16 | (u32)at[3] << 24;
}

/* The file after its end, and the size its header says; the caller's to free. */
static u8 *finish(struct rig *r, u32 *data_bytes, struct stat *st)
{
    u8 *data;
    FILE *f;

    audio_close(r->audio);
    cr_assert_eq(stat(r->path, st), 0);
    data = malloc((size_t)st->st_size + 1);
    f = fopen(r->path, "rb");
    cr_assert_eq(fread(data, 1, (size_t)st->st_size, f), (size_t)st->st_size);
    fclose(f);
    unlink(r->path);
    cr_assert(!memcmp(data, "RIFF", 4) && !memcmp(data + 8, "WAVEfmt ", 8) && !memcmp(data + 36, "data", 4));
    *data_bytes = get(data + 40);
    cr_expect_eq(get(data + 4), *data_bytes + 36);
    return data;
}

Test(wav, samples_and_silence)
{
    struct rig r;
    struct stat st;
    i16 a[1300], *out;
    u32 bytes;
    u8 *data;

    rig_init(&r, 8000, 2);
    for (unsigned i = 0; i < 1300; i++)
        a[i] = (i16)(i * 7 - 3000);
    r.sound.play(r.sound.opaque, 123456, a, 1300); /* silence before the first sound is left out */
    r.sound.play(r.sound.opaque, 123456 + 1300, a, 10);
    r.sound.play(r.sound.opaque, 123456 + 1310 + 8000, a, 20);
    r.sound.play(r.sound.opaque, 0, NULL, 0);
    r.sound.play(r.sound.opaque, 123456 + 9330 + 8000ull * 86400, a, 30); /* a day: a minute of it stays */
    data = finish(&r, &bytes, &st);
    cr_assert_eq(bytes, (1300 + 10 + 8000 + 20 + 60 * 8000 + 30) * 4u);
    cr_expect_eq((u64)st.st_size, bytes + 44ull);
    cr_expect_lt(st.st_blocks * 512, 100000, "silence takes no space");
    out = (i16 *)(void *)(data + 44);
    for (unsigned i = 0; i < 1300; i++)
        cr_assert(out[2 * i] == a[i] && out[2 * i + 1] == a[i], "sample %u", i);
    cr_expect(out[2 * 1300] == a[0] && out[2 * 1310] == 0 && out[2 * 9309] == 0 && out[2 * 9310] == a[0] &&
              out[2 * 9330] == 0);
    cr_expect_eq(out[2 * (9330 + 480000)], a[0]);
    free(data);
}

/* What was played a second ago survives a writer that is killed. */
Test(wav, header_is_kept_up)
{
    struct rig r;
    i16 a[8000] = {1};
    u8 head[44];
    int fd;

    rig_init(&r, 8000, 1);
    for (unsigned i = 0; i < 3; i++)
        r.sound.play(r.sound.opaque, i * 8000, a, 8000);
    fd = open(r.path, O_RDONLY);
    cr_assert_eq(read(fd, head, sizeof(head)), (ssize_t)sizeof(head));
    close(fd);
    cr_expect_eq(get(head + 40), 3 * 16000u);
    audio_close(r.audio);
    unlink(r.path);
}

Test(wav, full_disk)
{
    struct rig r;
    struct stat st;
    i16 a[8000] = {1};
    u32 bytes;

    signal(SIGXFSZ, SIG_IGN);
    rig_init(&r, 8000, 1);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &(struct rlimit){20000, RLIM_INFINITY}), 0);
    for (unsigned i = 0; i < 100; i++)
        r.sound.play(r.sound.opaque, i * 9000, a, 8000);
    free(finish(&r, &bytes, &st));
    cr_expect(bytes >= 16000 && bytes + 44 <= (u64)st.st_size, "%u of %ld", bytes, (long)st.st_size);
}

Test(wav, places_that_are_no_files)
{
    static const char *const paths[] = {"/nonexistent/x", "/dev/null", "/tmp", "/dev/full"};

    for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
        struct audio_spec spec = {.driver = AUDIO_WAV, .rate = 8000, .channels = 1};
        struct novt_sound sound;
        struct novt_error err = {0};
        struct audio *audio;

        snprintf(spec.path, sizeof(spec.path), "%s", paths[i]);
        cr_expect(audio_open(&audio, &spec, &sound, &err) < 0 && !audio && err.kind == NOVT_ERR_HOST &&
                      strstr(err.cause, paths[i]),
                  "%s: %s", paths[i], err.cause);
    }
}
