/*
 * cli_drive_opt.h - the pieces that the options of drives are made of.
 *
 * QEMU's comma lists: key=value, a bare key is key=on, a doubled comma is one. Functions that take a key give 0 when it is
 * not theirs, 1 when they took it, and an exit code of 2 or more with *err filled when its value is wrong.
 */
#ifndef NOVT_CLI_DRIVE_OPT_H
#define NOVT_CLI_DRIVE_OPT_H

#include "monitor/cli_opt.h"

struct drive_pair {
    char key[64], value[4096];
    bool bare;
};

/* The next pair of the list at *at, which moves on. False at its end. */
bool drive_pair(const char **at, struct drive_pair *pair);
bool drive_on_off(const struct drive_pair *pair, bool *out);
int drive_number(const char *option, const struct drive_pair *pair, u64 max, u64 *out,
                 struct novt_error *err) MUST_CHECK;
int drive_bad(const char *option, const struct drive_pair *pair, const char *remedy, struct novt_error *err);
int drive_unsupported(const char *option, const struct drive_pair *pair, const char *remedy,
                      struct novt_error *err);
/* A copy that lives as long as the options; NULL with *err when there is no more room. */
char *drive_text(struct cli_options *opt, const char *text, struct novt_error *err);

/* A JSON object as the comma list that says the same; NULL with *err. */
const char *drive_json(struct cli_options *opt, const char *option, const char *json, struct novt_error *err);

/* The value of an option that begins with what its key `first` names: as it is, or the same from "first=..." or from a JSON object. NULL
 * with *err. */
const char *cli_json_value(struct cli_options *opt, const char *option, const char *first, const char *value, struct novt_error *err);

/* Is file a path, and not an image behind a protocol that is not there? 0 or an exit code. */
int drive_check_file(const char *option, const char *file, struct novt_error *err) MUST_CHECK;
int drive_set_format(const char *option, struct novt_medium *m, const struct drive_pair *pair,
                     struct novt_error *err);
int drive_host_key(const char *option, struct novt_medium *m, const struct drive_pair *pair,
                   struct novt_error *err);
int drive_common_key(const char *option, struct cli_options *opt, struct novt_drive *d,
                     const struct drive_pair *pair, struct novt_error *err);

#endif
