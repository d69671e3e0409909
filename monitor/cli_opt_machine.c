/*
 * cli_opt_machine.c - options that say what the machine is: its model, memory, CPU, firmware and what it boots.
 *
 * Each function takes the option's value, checks it and leaves it in the config. A value that cannot be had is refused with
 * one line of cause and one of remedy; the rows that name these functions are in cli_options.c.
 */
#include "monitor/cli_opt.h"

#include <stdio.h>
#include <string.h>

static const char *const cpu_names[] = {"486", "pentium", "pentium2", "pentium3", "pentium4", "max"};

int opt_machine(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    if (!strcmp(arg, "help")) {
        puts("pc    i440FX and PIIX3 PC (default)");
        opt->command = CLI_DONE;
        return 0;
    }
    if (strcmp(arg, "pc"))
        return opt_usage(err, "use -M pc", "-M: unknown machine \"%s\"", arg);
    return 0;
}

int opt_memory(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    static const char remedy[] = "give 1M to 3072M, for example -m 512M";
    const char *text = strncmp(arg, "size=", 5) ? arg : arg + 5;
    unsigned shift = 20;
    char *end;
    u64 n;

    if (!opt_number(text, UINT64_MAX >> 30, &end, &n))
        return opt_usage(err, remedy, "-m: \"%s\" is not a size", arg);
    if (*end) {
        shift = *end == 'K' || *end == 'k'   ? 10
                : *end == 'M' || *end == 'm' ? 20
                : *end == 'G' || *end == 'g' ? 30
                                             : 0;
        if (!shift || end[1])
            return opt_usage(err, remedy, "-m: \"%s\" is not a size", arg);
    }
    n <<= shift;
    if (n < NOVT_RAM_MIN_BYTES)
        return opt_usage(err, remedy, "-m: %s is too small", arg);
    if (n > NOVT_RAM_MAX_BYTES)
        return opt_usage(err, remedy, "-m: %s is too large", arg);
    opt->config.ram_bytes = n;
    return 0;
}

int opt_kernel(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    (void)err;
    opt->config.kernel = arg;
    return 0;
}

int opt_initrd(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    (void)err;
    opt->config.initrd = arg;
    return 0;
}

int opt_append(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    (void)err;
    opt->config.append = arg;
    return 0;
}

int opt_bios(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    (void)err;
    opt->config.bios = arg;
    return 0;
}

int opt_firmware_dir(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    (void)err;
    opt->config.firmware_dir = arg;
    return 0;
}

int opt_cpu(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    bool help = !strcmp(arg, "help");

    for (size_t i = 0; i < ARRAY_SIZE(cpu_names); i++) {
        if (help)
            puts(cpu_names[i]);
        else if (!strcmp(arg, cpu_names[i])) {
            opt->config.cpu = cpu_names[i];
            return 0;
        }
    }
    if (!help)
        return opt_usage(err, "-cpu help lists the models", "-cpu: unknown model \"%s\"", arg);
    opt->command = CLI_DONE;
    return 0;
}

int opt_smp(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    (void)opt;
    return opt_only("-smp", "1", arg, err);
}

int opt_no_reboot(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    (void)arg;
    (void)err;
    opt->config.no_reboot = true;
    return 0;
}

int opt_engine(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    static const char *const names[] = {
        [NOVT_ENGINE_AUTO] = "auto", [NOVT_ENGINE_BT] = "bt", [NOVT_ENGINE_DIRECT] = "direct"};

    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        if (!strcmp(arg, names[i])) {
            opt->config.engine = i;
            return 0;
        }
    }
    return opt_usage(err, "use -engine auto, bt or direct", "-engine: unknown engine \"%s\"", arg);
}

int opt_vga(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    if (!strcmp(arg, "none"))
        opt->config.vgabios = "";
    else if (strcmp(arg, "std"))
        return opt_usage(err, "use -vga std or none", "-vga: unknown card \"%s\"", arg);
    return 0;
}

int opt_net(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    (void)opt;
    return opt_only("-nic", "none", arg, err);
}

int opt_nothing(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    (void)opt;
    (void)arg;
    (void)err;
    return 0;
}
