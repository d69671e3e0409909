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

/* Properties of QEMU's pc that say what is so here anyway: any other value is refused. */
static const struct {
    const char *key, *values, *why;
} machine_props[] = {
    {"usb", "off", "there is no USB; mouse and keyboard are PS/2"},
    {"vmport", "off auto", "there is no VMware port"},
    {"smm", "off auto on", ""}, /* SeaBIOS does without; guests cannot tell */
    {"graphics", "on off", ""},
    {"dump-guest-core", "on off", ""},
    {"mem-merge", "on off", ""},
    {"kernel_irqchip", "on off split", ""},
    {"kernel-irqchip", "on off split", ""},
    {"nvdimm", "off", "there are no NVDIMMs"},
    {"sata", "off", "there is no SATA; disks are IDE or virtio"},
    {"i8042", "on", "keyboard and mouse are always there"},
    {"pit", "on", "the timer is always there"},
    {"smbus", "off", "there is no SMBus"},
    {"memory-backend", "", "RAM is always a memory file of novt's own: leave it out"},
    {"suppress-vmdesc", "on off", ""},
    {"max-ram-below-4g", "3G 3072M", "RAM ends at 3 GiB"},
};

static bool in_words(const char *words, const char *word)
{
    size_t len = strlen(word);

    for (const char *at = words; *at; at += strspn(at, " ")) {
        size_t n = strcspn(at, " ");

        if (n == len && !strncmp(at, word, n))
            return true;
        at += n;
    }
    return false;
}

static int machine_type(const char *type, struct novt_error *err)
{
    if (!strcmp(type, "pc") || !strncmp(type, "pc-i440fx-", 10) || !strncmp(type, "pc-0.", 5) || !strncmp(type, "pc-1.", 5))
        return 0;
    if (!strcmp(type, "q35") || !strncmp(type, "pc-q35-", 7))
        return opt_usage(err, "use -M pc: i440FX with IDE disks", "-M: there is no \"%s\"", type);
    if (!strcmp(type, "isapc") || !strcmp(type, "microvm") || !strcmp(type, "none"))
        return opt_usage(err, "use -M pc", "-M: there is no \"%s\"", type);
    return opt_usage(err, "use -M pc", "-M: unknown machine \"%s\"", type);
}

int opt_machine(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    char list[256], value[64];
    int rc;

    if (!strcmp(arg, "help")) {
        puts("pc    i440FX and PIIX3 PC (default)");
        opt->command = CLI_DONE;
        return 0;
    }
    snprintf(list, sizeof(list), "%s", arg);
    if (opt_take_key(list, "type", value, sizeof(value))) {
        rc = machine_type(value, err);
    } else if (!list[strcspn(list, ",")] && strchr(list, '=')) {
        rc = 0; /* properties alone */
    } else {
        size_t len = strcspn(list, ",");

        snprintf(value, sizeof(value), "%.*s", (int)len, list);
        if (strchr(value, '=')) {
            rc = 0;
        } else {
            rc = machine_type(value, err);
            memmove(list, list + len + (list[len] == ','), strlen(list + len + (list[len] == ',')) + 1);
        }
    }
    if (!rc && opt_take_key(list, "accel", value, sizeof(value)))
        rc = opt_accel(opt, value, err);
    if (!rc && opt_take_key(list, "pcspk-audiodev", value, sizeof(value)))
        rc = cli_audio_speaker(opt, value, err);
    if (!rc && opt_take_key(list, "hpet", value, sizeof(value))) {
        if (!in_words("on off", value))
            return opt_usage(err, "use on or off", "-M: cannot do hpet=%s", value);
        opt->config.hpet = !strcmp(value, "on");
    }
    if (!rc && opt_take_key(list, "acpi", value, sizeof(value))) {
        if (!in_words("on off auto", value))
            return opt_usage(err, "use on or off", "-M: cannot do acpi=%s", value);
        opt->config.no_acpi = !strcmp(value, "off");
    }
    if (!rc && opt_take_key(list, "fd-bootchk", value, sizeof(value))) {
        if (strcmp(value, "on") && strcmp(value, "off"))
            return opt_usage(err, "use on or off", "-M: cannot do fd-bootchk=%s", value);
        opt->config.floppy_unchecked = !strcmp(value, "off");
    }
    for (size_t i = 0; !rc && i < ARRAY_SIZE(machine_props); i++)
        if (opt_take_key(list, machine_props[i].key, value, sizeof(value)) &&
            !in_words(machine_props[i].values, value))
            return opt_usage(err, machine_props[i].why[0] ? machine_props[i].why : "use on or off",
                             "-M: cannot do %s=%s", machine_props[i].key, value);
    if (!rc && list[0])
        return opt_usage(err, "leave it out", "-M: unknown property \"%s\"", list);
    return rc;
}

int opt_memory(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    static const char remedy[] = "give 1M to 3072M, for example -m 512M";
    char list[64], junk[24];
    const char *text = list;
    unsigned shift = 20;
    char *end;
    u64 n;

    snprintf(list, sizeof(list), "%s", strncmp(arg, "size=", 5) ? arg : arg + 5);
    opt_take_key(list, "slots", junk, sizeof(junk)); /* for memory that is plugged in later: none ever is */
    opt_take_key(list, "maxmem", junk, sizeof(junk));
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

const char *cli_cpu_name(unsigned n)
{
    return n < ARRAY_SIZE(cpu_names) ? cpu_names[n] : NULL;
}

/* Models of QEMU's that are not there, each with the nearest. A * ends a beginning of names. */
static int other_cpu(const char *arg, struct novt_error *err)
{
    static const char *const nearest[][2] = {
        {"base*", "486"},        {"athlon*", "pentium3"}, {"coreduo*", "max"},  {"n270*", "max"},       {"core2duo*", "max"},
        {"phenom*", "max"},      {"Conroe*", "max"},      {"Penryn*", "max"},   {"Nehalem*", "max"},    {"Westmere*", "max"},
        {"SandyBridge*", "max"}, {"IvyBridge*", "max"},   {"Haswell*", "max"},  {"Broadwell*", "max"},  {"Skylake*", "max"},
        {"Opteron*", "max"},     {"EPYC*", "max"},
    };
    char remedy[64];

    for (size_t i = 0; i < ARRAY_SIZE(nearest); i++)
        if (!strncmp(arg, nearest[i][0], strlen(nearest[i][0]) - 1)) {
            snprintf(remedy, sizeof(remedy), "use -cpu %s; -cpu help lists the models", nearest[i][1]);
            return opt_usage(err, remedy, "-cpu: NoVT does not have \"%s\"", arg);
        }
    return opt_usage(err, "-cpu help lists the models", "-cpu: unknown model \"%s\"", arg);
}

/* Models that name no hardware in particular, QEMU's default among them: the guest gets all there is, and a note says so. */
static bool any_cpu(struct cli_options *opt, const char *arg, size_t len)
{
    static const char *const names[] = {"host", "qemu32", "kvm32", "qemu64", "kvm64"};

    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (strlen(names[i]) == len && !strncmp(arg, names[i], len)) {
            base_warn("note: -cpu %s: the guest gets -cpu max, which is all of the host's that NoVT passes on", names[i]);
            opt->config.cpu = "max";
            return true;
        }
    return false;
}

/* What follows the model, in QEMU's two spellings. */
static int cpu_flag(struct cli_options *opt, const char *flag, struct novt_error *err)
{
    if (!strcmp(flag, "-apic") || !strcmp(flag, "apic=off"))
        opt->config.no_apic = true;
    else if (!strcmp(flag, "+apic") || !strcmp(flag, "apic=on"))
        opt->config.no_apic = false;
    else
        return opt_usage(err, "the one flag that can be changed is -apic", "-cpu: unknown flag \"%s\"", flag);
    return 0;
}

int opt_cpu(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    bool help = !strcmp(arg, "help"), known = false;
    size_t len = strcspn(arg, ","), bare = len > 3 && !strncmp(arg + len - 3, "-v1", 3) ? len - 3 : len; /* 486-v1 is the 486 */
    char flag[32];
    int rc = 0;

    for (size_t i = 0; i < ARRAY_SIZE(cpu_names); i++) {
        if (help)
            puts(cpu_names[i]);
        else if (strlen(cpu_names[i]) == bare && !strncmp(arg, cpu_names[i], bare)) {
            opt->config.cpu = cpu_names[i];
            known = true;
        }
    }
    if (help) {
        opt->command = CLI_DONE;
        return 0;
    }
    if (!known && !any_cpu(opt, arg, bare))
        return other_cpu(arg, err);
    for (arg += len; !rc && *arg; arg += len) {
        arg++;
        len = strcspn(arg, ",");
        snprintf(flag, sizeof(flag), "%.*s", (int)len, arg);
        rc = cpu_flag(opt, flag, err);
    }
    return rc;
}

/* 1, or cpus=1 with a topology of ones. */
int opt_smp(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    static const char *const keys[] = {"cpus", "sockets", "dies", "clusters", "cores", "threads"};
    char list[128], value[16];

    (void)opt;
    snprintf(list, sizeof(list), "%s", arg);
    opt_take_key(list, "maxcpus", value, sizeof(value)); /* none is ever added */
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        if (opt_take_key(list, keys[i], value, sizeof(value)) && strcmp(value, "1"))
            return opt_usage(err, "only -smp 1 can be had", "-smp: \"%s\" is not supported", arg);
    return list[0] ? opt_only("-smp", "1", list, err) : 0;
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
    opt->control.vga_given = true;
    opt->config.vgabios = strcmp(arg, "none") ? NULL : ""; /* the last one counts */
    if (!strcmp(arg, "none"))
        return 0;
    if (strcmp(arg, "std"))
        return opt_usage(err, "use -vga std or none", "-vga: unknown card \"%s\"", arg);
    return 0;
}

/* DRIVER.PROPERTY=VALUE, or driver=,property=,value=: for the few that scripts and libvirt give, and that ask for what is so anyway. */
int opt_global(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    static const char *const so[] = {
        "PIIX4_PM.disable_s3=1",          "PIIX4_PM.disable_s4=1",          "PIIX4_PM.disable_s3=on",        "PIIX4_PM.disable_s4=on",
        "kvm-pit.lost_tick_policy=delay", "kvm-pit.lost_tick_policy=slew",  "mc146818rtc.lost_tick_policy=slew",
        "mc146818rtc.base_year=0",
    };
    static const char fdc[] = "isa-fdc.", debugcon[] = "isa-debugcon.iobase=";
    char driver[32], property[32], value[128], list[256];

    snprintf(list, sizeof(list), "%s", arg);
    if (opt_take_key(list, "driver", driver, sizeof(driver)) && opt_take_key(list, "property", property, sizeof(property)) &&
        opt_take_key(list, "value", value, sizeof(value)))
        snprintf(list, sizeof(list), "%s.%s=%s", driver, property, value);
    else
        snprintf(list, sizeof(list), "%s", arg);
    for (size_t i = 0; i < ARRAY_SIZE(so); i++)
        if (!strcmp(list, so[i]))
            return 0;
    if (!strncmp(list, fdc, strlen(fdc))) {
        snprintf(value, sizeof(value), "isa-fdc,%.100s", list + strlen(fdc));
        return opt_device(opt, value, err);
    }
    if (!strncmp(list, debugcon, strlen(debugcon))) {
        u64 n;

        if (!opt_number(list + strlen(debugcon), 0xffff, NULL, &n) || !n)
            return opt_usage(err, "give a port number up to 0xffff", "-global %s: bad port", list);
        opt->config.debugcon_iobase = (u16)n;
        return 0;
    }
    return opt_usage(err, "give the property where the device is made: -device NAME,PROPERTY=VALUE", "-global: cannot do \"%s\"", arg);
}

int opt_no_fd_bootchk(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    (void)arg;
    (void)err;
    opt->config.floppy_unchecked = true;
    return 0;
}

int opt_nothing(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    (void)opt;
    (void)arg;
    (void)err;
    return 0;
}
