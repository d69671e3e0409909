/*
 * cli_opt_compat.c - options of QEMU's that ask for what is so here anyway, and older spellings of what there is.
 *
 * Management programs and old scripts give them without anybody wanting them. What a value asks for and is not so here is refused by name,
 * or, where no guest can tell, said in a note.
 */
#include "monitor/cli_opt.h"

#include <stdio.h>
#include <string.h>

int opt_no_acpi(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    (void)arg;
    (void)err;
    opt->config.no_acpi = true;
    return 0;
}

int opt_localtime(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    (void)arg;
    return opt_rtc(opt, "base=localtime", err);
}

/* RAM is filled when it is used, and a halted CPU sleeps. */
int opt_overcommit(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    static const char *const keys[] = {"mem-lock", "cpu-pm"};
    char list[128], value[16];

    (void)opt;
    snprintf(list, sizeof(list), "%s", arg);
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        if (opt_take_key(list, keys[i], value, sizeof(value)) && strcmp(value, "off"))
            return opt_usage(err, "use off", "-overcommit: cannot do %s=%s", keys[i], value);
    return list[0] ? opt_usage(err, "use mem-lock=off and cpu-pm=off", "-overcommit: unknown \"%s\"", list) : 0;
}

int opt_msg(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    static const char *const keys[] = {"timestamp", "guest-name"};
    char list[128], value[16];

    (void)opt;
    snprintf(list, sizeof(list), "%s", arg);
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        if (opt_take_key(list, keys[i], value, sizeof(value)) && strcmp(value, "off"))
            base_warn("note: -msg %s=%s: messages have one form, without it", keys[i], value);
    return list[0] ? opt_usage(err, "use timestamp=off and guest-name=off", "-msg: unknown \"%s\"", list) : 0;
}

/* What directly executed guest code may do is not a matter of an option: docs/security.md. */
int opt_sandbox(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    (void)opt;
    if (strncmp(arg, "on", 2) && strncmp(arg, "off", 3))
        return opt_usage(err, "use on or off", "-sandbox: unknown \"%s\"", arg);
    if (!strncmp(arg, "on", 2))
        base_warn("note: -sandbox %s: novt itself is not confined; guest code runs in processes that can do nothing", arg);
    return 0;
}
