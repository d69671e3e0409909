/*
 * wav.c - sound in a WAV file: 16-bit PCM that begins with the first sound.
 *
 * Silence is a hole in the file, so that a melody keeps its rhythm and a quiet hour takes no space; more than a minute of it becomes a
 * minute. The header's sizes are brought up to date about once a second of sound and at the end: a file whose writer was killed
 * can be played.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audio/parts.h"

#define HEADER_BYTES 44u
#define DATA_MAX 0xffff0000u /* sizes in the header have 32 bits */
#define SILENCE_MAX_S 60u
#define BATCH 512u

struct wav {
    int fd;
    u32 rate, channels;
    u64 next; /* the sample number that stands at data_bytes */
    u64 data_bytes;
    u64 header_at;    /* data_bytes when the header was written */
    bool begun, over; /* over: full, or the host's disk is */
};

static bool write_at(const struct wav *w, u64 at, const void *data, size_t bytes)
{
    ssize_t n = pwrite(w->fd, data, bytes, (off_t)at);

    if (n >= 0 && n != (ssize_t)bytes)
        errno = ENOSPC;
    return n == (ssize_t)bytes;
}

static void put(u8 *to, u32 v, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        to[i] = (u8)(v >> 8 * i);
}

static bool write_header(struct wav *w)
{
    u8 h[HEADER_BYTES] = "RIFF....WAVEfmt ";
    u32 frame = w->channels * 2;

    put(h + 4, (u32)w->data_bytes + HEADER_BYTES - 8, 4);
    put(h + 16, 16, 4);
    put(h + 20, 1, 2); /* PCM */
    put(h + 22, w->channels, 2);
    put(h + 24, w->rate, 4);
    put(h + 28, w->rate * frame, 4);
    put(h + 32, frame, 2);
    put(h + 34, 16, 2);
    memcpy(h + 36, "data", 4);
    put(h + 40, (u32)w->data_bytes, 4);
    w->header_at = w->data_bytes;
    return write_at(w, 0, h, sizeof(h));
}

static bool write_samples(struct wav *w, const i16 *sample, size_t n)
{
    i16 frame[BATCH * 2];

    while (n) {
        size_t part = n < BATCH ? n : BATCH;
        size_t bytes = part * w->channels * 2;

        if (w->data_bytes + bytes > DATA_MAX) {
            base_warn("-audiodev wav: the file is as long as a WAV file can be; it ends here");
            return false;
        }
        for (size_t i = 0; i < part; i++)
            for (u32 c = 0; c < w->channels; c++)
                frame[i * w->channels + c] = sample[i];
        if (!write_at(w, HEADER_BYTES + w->data_bytes, frame, bytes)) {
            base_warn("-audiodev wav: cannot write: %s; the file ends here", strerror(errno));
            return false;
        }
        w->data_bytes += bytes;
        sample += part;
        n -= part;
    }
    return true;
}

static void wav_play(void *self, u64 at, const i16 *sample, size_t n)
{
    struct wav *w = self;
    u32 frame = w->channels * 2;
    u64 gap, before = w->data_bytes;

    if (!n || w->over)
        return;
    gap = w->begun && at > w->next ? at - w->next : 0;
    gap = gap < (u64)w->rate * SILENCE_MAX_S ? gap : (u64)w->rate * SILENCE_MAX_S;
    w->begun = true;
    w->data_bytes += gap * frame;
    if (w->data_bytes > DATA_MAX)
        w->data_bytes = DATA_MAX;
    w->over = !write_samples(w, sample, n);
    if (w->over && w->data_bytes <= before + gap * frame)
        w->data_bytes = before; /* silence with nothing behind it */
    w->next = at + n;
    if (w->over || w->data_bytes - w->header_at >= (u64)w->rate * frame)
        (void)!write_header(w);
}

static int wav_open(void **self, const struct audio_spec *spec, struct novt_error *err)
{
    struct wav *w = calloc(1, sizeof(*w));
    struct stat st;

    if (!w)
        return audio_fail(err, NOVT_ERR_HOST, -ENOMEM, "free memory", "-audiodev wav: no memory");
    w->rate = spec->rate;
    w->channels = spec->channels;
    w->fd = open(spec->path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NONBLOCK, 0666);
    if (w->fd < 0 || fstat(w->fd, &st) || !S_ISREG(st.st_mode) || !write_header(w)) {
        int rc = w->fd < 0 ? -errno : S_ISREG(st.st_mode) ? -EIO : -EINVAL;

        audio_fail(err, NOVT_ERR_HOST, rc, "choose a writable place for a file",
                   "-audiodev wav: cannot write %s: %s", spec->path,
                   rc == -EINVAL ? "not a file" : strerror(-rc));
        if (w->fd >= 0)
            close(w->fd);
        free(w);
        return rc;
    }
    *self = w;
    return 0;
}

static void wav_close(void *self)
{
    struct wav *w = self;

    if (!write_header(w))
        base_warn("-audiodev wav: cannot write the header: %s", strerror(errno));
    close(w->fd);
    free(w);
}

const struct audio_part audio_wav = {wav_open, wav_play, wav_close};
