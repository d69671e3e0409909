/*
 * cli_audio.c - -audiodev, -audio, -soundhw and -machine pcspk-audiodev=: which host sound the PC speaker plays on.
 *
 * QEMU's rules: an -audiodev alone is heard by nobody, pcspk-audiodev= connects the speaker to one; either may come first. The older
 * -soundhw pcspk means sdl. Sound cards are refused by name.
 */
#include "monitor/cli_audio.h"

#include <stdio.h>
#include <string.h>

#include "monitor/cli_opt.h"

static const char *const cards[] = {
    "AC97",       "ac97", "adlib",     "cs4231a",          "ES1370",        "es1370",
    "gus",        "hda",  "intel-hda", "ich9-intel-hda",   "hda-duplex",    "hda-micro",
    "hda-output", "sb16", "usb-audio", "virtio-sound-pci", "virtio-snd-pci"};

static const char only_speaker[] =
    "the PC speaker is what sounds: -audiodev sdl,id=a -machine pcspk-audiodev=a";

bool cli_audio_is_card(const char *name, const char **nearest)
{
    for (size_t i = 0; i < ARRAY_SIZE(cards); i++)
        if (!strcmp(name, cards[i])) {
            *nearest = only_speaker;
            return true;
        }
    return false;
}

static int add(struct cli_options *opt, const char *option, const char *arg, struct novt_error *err)
{
    struct cli_audio *a = &opt->audio;
    int rc;

    if (a->devs == CLI_AUDIODEVS)
        return opt_usage(err, "give fewer", "%s: more than %d", option, CLI_AUDIODEVS);
    rc = audio_parse(&a->dev[a->devs], option, arg, err) ? EXIT_USAGE : 0;
    for (unsigned i = 0; !rc && i < a->devs; i++)
        if (!strcmp(a->dev[i].id, a->dev[a->devs].id))
            return opt_usage(err, "choose another id", "%s: there are two with id=%s", option, a->dev[i].id);
    a->devs += !rc;
    return rc;
}

int opt_audiodev(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    int rc;

    if (!strcmp(arg, "help")) {
        puts("none\nsdl\nwav");
        opt->command = CLI_DONE;
        return 0;
    }
    rc = add(opt, "-audiodev", arg, err);
    if (!rc && !opt->audio.dev[opt->audio.devs - 1].id[0])
        return opt_usage(err, "for example -audiodev wav,id=a,path=FILE", "-audiodev %s: no id=", arg);
    return rc;
}

/* [driver=]DRIVER[,PROPERTY...][,model=CARD]: back end and card in one. */
int opt_audio(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    char list[512], model[32] = "";
    struct audio_spec *dev;

    if (!strcmp(arg, "help"))
        return opt_audiodev(opt, arg, err);
    if (snprintf(list, sizeof(list), "%s", arg) >= (int)sizeof(list))
        return opt_usage(err, "choose a shorter path", "-audio: the value is too long");
    if (opt_take_key(list, "model", model, sizeof(model)) && strcmp(model, "pcspk"))
        return opt_usage(err, "leave model= out: the PC speaker is what sounds",
                         "-audio: NoVT does not have the sound card \"%s\"", model);
    if (add(opt, "-audio", list, err))
        return EXIT_USAGE;
    dev = &opt->audio.dev[opt->audio.devs - 1];
    if (!dev->id[0])
        snprintf(dev->id, sizeof(dev->id), "audio0");
    snprintf(opt->audio.speaker, sizeof(opt->audio.speaker), "%s", dev->id);
    return 0;
}

int opt_soundhw(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    if (strcmp(arg, "pcspk"))
        return opt_usage(err, only_speaker, "-soundhw: NoVT does not have \"%s\"", arg);
    return opt_audio(opt, "sdl", err);
}

int cli_audio_speaker(struct cli_options *opt, const char *id, struct novt_error *err)
{
    (void)err;
    snprintf(opt->audio.speaker, sizeof(opt->audio.speaker), "%s", id);
    return 0;
}

static const struct audio_spec *speaker_spec(const struct cli_options *opt)
{
    for (unsigned i = 0; i < opt->audio.devs; i++)
        if (!strcmp(opt->audio.dev[i].id, opt->audio.speaker))
            return &opt->audio.dev[i];
    return NULL;
}

int cli_audio_finish(struct cli_options *opt, struct novt_error *err)
{
    if (!opt->audio.speaker[0] || speaker_spec(opt))
        return 0;
    return opt_usage(err, "add -audiodev sdl,id=ID, or wav,id=ID,path=FILE",
                     "-M: pcspk-audiodev: there is no audiodev \"%s\"", opt->audio.speaker);
}

int cli_audio_open(struct audio **out, struct cli_options *opt, struct novt_error *err)
{
    const struct audio_spec *spec = speaker_spec(opt);

    *out = NULL;
    if (!spec || !audio_open(out, spec, &opt->config.speaker, err))
        return 0;
    return err->kind == NOVT_ERR_USAGE ? EXIT_USAGE : EXIT_HOST;
}
