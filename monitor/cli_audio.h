/*
 * cli_audio.h - the options of sound, until all are read: back ends by id, and which of them the PC speaker plays on.
 */
#ifndef NOVT_CLI_AUDIO_H
#define NOVT_CLI_AUDIO_H

#include "audio/audio.h"

#define CLI_AUDIODEVS 4

struct cli_audio {
    struct audio_spec dev[CLI_AUDIODEVS];
    unsigned devs;
    char speaker[32]; /* -machine pcspk-audiodev=: an id; empty: nobody hears it */
};

struct cli_options;

/* -machine pcspk-audiodev=ID. */
int cli_audio_speaker(struct cli_options *opt, const char *id, struct novt_error *err) MUST_CHECK;
/* After all options: does the speaker's back end exist? */
int cli_audio_finish(struct cli_options *opt, struct novt_error *err) MUST_CHECK;
/* Opens it and fills in the config. 0 or an exit code with *err; *out is NULL or to be closed after novt_vm_free(). */
int cli_audio_open(struct audio **out, struct cli_options *opt, struct novt_error *err) MUST_CHECK;
/* Is -device NAME a sound card? There is none: *nearest says what there is. */
bool cli_audio_is_card(const char *name, const char **nearest);

#endif
