/*
 * cli_opt.c - the pieces that values of options are made of: numbers, comma lists, key=value pairs, lists of names.
 *
 * Everything that a user may get wrong ends in opt_usage(): the cause names the option and what was given, the remedy says what
 * would be right. Nothing here allocates.
 */
#include "monitor/cli_opt.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int opt_usage(struct novt_error *err, const char *remedy, const char *fmt, ...)
{
    va_list ap;

    err->kind = NOVT_ERR_USAGE;
    va_start(ap, fmt);
    vsnprintf(err->cause, sizeof(err->cause), fmt, ap);
    va_end(ap);
    snprintf(err->remedy, sizeof(err->remedy), "%s", remedy);
    return EXIT_USAGE;
}

/* "a,b,c" by table into a mask; "help" lists. */
int opt_list(const char *option, const char *arg, const struct opt_name *table, size_t n, u32 *mask,
             struct cli_options *opt, struct novt_error *err)
{
    char item[32], remedy[64];

    if (!strcmp(arg, "help")) {
        for (size_t i = 0; i < n; i++)
            puts(table[i].name);
        opt->command = CLI_DONE;
        return 0;
    }
    for (const char *at = arg;; at++) {
        size_t len = strcspn(at, ","), i;

        snprintf(item, sizeof(item), "%.*s", (int)len, at);
        for (i = 0; i < n && strcmp(item, table[i].name); i++)
            ;
        if (i == n) {
            snprintf(remedy, sizeof(remedy), "%s help lists what there is", option);
            return opt_usage(err, remedy, "%s: unknown item \"%s\"", option, item);
        }
        *mask |= table[i].value;
        at += len;
        if (!*at)
            return 0;
    }
}

/* A number to the end of `text` or to `end`; false otherwise. */
bool opt_number(const char *text, u64 max, char **end, u64 *out)
{
    char *stop;

    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    *out = strtoull(text, &stop, 0);
    if (errno || *out > max || (!end && *stop))
        return false;
    if (end)
        *end = stop;
    return true;
}

/* "key=value" of a comma list: copies the value and cuts the pair out of the list. A value that does not fit stays there, and is refused
 * with all that is left over: half a path would be another file. */
bool opt_take_key(char *list, const char *key, char *value, size_t bytes)
{
    size_t len = strlen(key);

    for (char *at = list; *at;) {
        size_t n = strcspn(at, ",");

        if (n > len && !strncmp(at, key, len) && at[len] == '=') {
            if (n - len - 1 >= bytes)
                return false;
            snprintf(value, bytes, "%.*s", (int)(n - len - 1), at + len + 1);
            if (at[n] == ',')
                memmove(at, at + n + 1, strlen(at + n + 1) + 1);
            else
                at[at > list ? -1 : 0] = 0; /* the last pair: with the comma before it */
            return true;
        }
        at += n + (at[n] == ',');
    }
    return false;
}

int opt_port(const char *device, char *list, const char *key, u16 *port, struct novt_error *err)
{
    char value[32];
    u64 n;

    if (!opt_take_key(list, key, value, sizeof(value)))
        return 0;
    if (!opt_number(value, 0xffff, NULL, &n))
        return opt_usage(err, "give a number up to 0xffff", "-device %s: bad %s \"%s\"", device, key, value);
    *port = (u16)n;
    return 0;
}

/* Options of QEMU that ask for what is so anyway: one value is right, any other is refused. */
int opt_only(const char *option, const char *right, const char *arg, struct novt_error *err)
{
    char remedy[64];

    if (!strcmp(arg, right))
        return 0;
    snprintf(remedy, sizeof(remedy), "only %s %s can be had", option, right);
    return opt_usage(err, remedy, "%s: \"%s\" is not supported", option, arg);
}
