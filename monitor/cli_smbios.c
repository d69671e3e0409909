/*
 * cli_smbios.c - -smbios: what the machine says of its maker, board, BIOS and memory.
 *
 * Which keys there are the library knows (novt_vm_new() refuses others by name); here the list is only taken apart. The UUID of type 1 is
 * -uuid's.
 */
#include "monitor/cli_drive_opt.h"

#include <string.h>

static int take_text(struct cli_options *opt, u8 type, const struct drive_pair *pair, struct novt_error *err)
{
    struct novt_smbios_text *t = &opt->config.smbios[opt->config.smbios_texts];

    if (type == 1 && !strcmp(pair->key, "uuid"))
        return opt_uuid(opt, pair->value, err);
    if (type == 0 && !strcmp(pair->key, "uefi"))
        return !strcmp(pair->value, "off") ? 0 : drive_unsupported("-smbios", pair, "the firmware is a BIOS; leave it out", err);
    if (opt->config.smbios_texts == NOVT_SMBIOS_TEXTS)
        return opt_usage(err, "give fewer", "-smbios: more than %d texts", NOVT_SMBIOS_TEXTS);
    t->type = type;
    t->key = drive_text(opt, pair->key, err);
    t->value = t->key ? drive_text(opt, pair->value, err) : NULL;
    opt->config.smbios_texts += t->value != NULL;
    return t->value ? 0 : EXIT_USAGE;
}

int opt_smbios(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    static const char remedy[] = "for example -smbios type=1,manufacturer=TEXT,product=TEXT,serial=TEXT";
    struct drive_pair pair;
    u64 type = 0;
    bool typed = false;
    int rc = 0;

    for (const char *at = arg; drive_pair(&at, &pair);)
        if (!strcmp(pair.key, "file"))
            return opt_usage(err, remedy, "-smbios: NoVT takes no tables from files (file=)");
        else if (!strcmp(pair.key, "type") && !(typed = opt_number(pair.value, 255, NULL, &type)))
            return drive_bad("-smbios", &pair, "give a number", err);
    if (!typed)
        return opt_usage(err, remedy, "-smbios %.100s: no type=", arg);
    for (const char *at = arg; !rc && drive_pair(&at, &pair);)
        if (strcmp(pair.key, "type"))
            rc = take_text(opt, (u8)type, &pair, err);
    return rc;
}
