/*
 * cli_options.c - the command line, in QEMU's spelling where QEMU has the option.
 *
 * One table row an option; "-name" and "--name" are the same. Whatever is not known is refused by name with
 * one line of cause and one of remedy: a misspelt option must not become a machine that is not the one asked for.
 */
#include "monitor/cli.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef NOVT_VERSION
#define NOVT_VERSION "unknown"
#endif

struct names {
    const char *name;
    u32 value;
};

static const struct names trace_names[] = {
    {"in_asm", NOVT_TRACE_IN_ASM}, {"out_asm", NOVT_TRACE_OUT_ASM}, {"exec", NOVT_TRACE_EXEC},
    {"int", NOVT_TRACE_INT},       {"mmu", NOVT_TRACE_MMU},         {"io", NOVT_TRACE_IO},
    {"exit", NOVT_TRACE_EXIT},     {"link", NOVT_TRACE_LINK},
};

static const struct names stress_names[] = {
    {"tiny-cache", NOVT_STRESS_TINY_CACHE}, {"one-insn", NOVT_STRESS_ONE_INSN},
    {"no-chain", NOVT_STRESS_NO_CHAIN},     {"slow-mem", NOVT_STRESS_SLOW_MEM},
    {"fail-alloc", NOVT_STRESS_FAIL_ALLOC}, {"verify", NOVT_STRESS_VERIFY},
};

static const char *const cpu_names[] = {"486", "pentium", "pentium2", "pentium3", "pentium4", "max"};

static int usage(struct novt_error *err, const char *remedy, const char *fmt, ...) PRINTF_LIKE(3, 4);

static int usage(struct novt_error *err, const char *remedy, const char *fmt, ...)
{
    va_list ap;

    err->kind = NOVT_ERR_USAGE;
    va_start(ap, fmt);
    vsnprintf(err->cause, sizeof(err->cause), fmt, ap);
    va_end(ap);
    snprintf(err->remedy, sizeof(err->remedy), "%s", remedy);
    return EXIT_USAGE;
}

/* ---- pieces ---- */

/* "a,b,c" by table into a mask; "help" lists. */
static int parse_list(const char *option, const char *arg, const struct names *table, size_t n, u32 *mask,
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
            return usage(err, remedy, "%s: unknown item \"%s\"", option, item);
        }
        *mask |= table[i].value;
        at += len;
        if (!*at)
            return 0;
    }
}

/* A number to the end of `text` or to `end`; false otherwise. */
static bool parse_number(const char *text, u64 max, char **end, u64 *out)
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

/* "key=value" of a comma list: copies the value and cuts the pair out of the list. */
static bool take_key(char *list, const char *key, char *value, size_t bytes)
{
    size_t len = strlen(key);

    for (char *at = list; *at;) {
        size_t n = strcspn(at, ",");

        if (n > len && !strncmp(at, key, len) && at[len] == '=') {
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

static int parse_port(const char *device, char *list, const char *key, u16 *port, struct novt_error *err)
{
    char value[32];
    u64 n;

    if (!take_key(list, key, value, sizeof(value)))
        return 0;
    if (!parse_number(value, 0xffff, NULL, &n))
        return usage(err, "give a number up to 0xffff", "-device %s: bad %s \"%s\"", device, key, value);
    *port = (u16)n;
    return 0;
}

/* ---- options ---- */

static int opt_machine(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    if (!strcmp(arg, "help")) {
        puts("pc    i440FX and PIIX3 PC (default)");
        opt->command = CLI_DONE;
        return 0;
    }
    if (strcmp(arg, "pc"))
        return usage(err, "use -M pc", "-M: unknown machine \"%s\"", arg);
    return 0;
}

static int opt_memory(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    static const char remedy[] = "give 1M to 3072M, for example -m 512M";
    const char *text = strncmp(arg, "size=", 5) ? arg : arg + 5;
    unsigned shift = 20;
    char *end;
    u64 n;

    if (!parse_number(text, UINT64_MAX >> 30, &end, &n))
        return usage(err, remedy, "-m: \"%s\" is not a size", arg);
    if (*end) {
        shift = *end == 'K' || *end == 'k'   ? 10
                : *end == 'M' || *end == 'm' ? 20
                : *end == 'G' || *end == 'g' ? 30
                                             : 0;
        if (!shift || end[1])
            return usage(err, remedy, "-m: \"%s\" is not a size", arg);
    }
    n <<= shift;
    if (n < NOVT_RAM_MIN_BYTES)
        return usage(err, remedy, "-m: %s is too small", arg);
    if (n > NOVT_RAM_MAX_BYTES)
        return usage(err, remedy, "-m: %s is too large", arg);
    opt->config.ram_bytes = n;
    return 0;
}

static int opt_kernel(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    (void)err;
    opt->config.kernel = arg;
    return 0;
}

static int opt_initrd(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    (void)err;
    opt->config.initrd = arg;
    return 0;
}

static int opt_append(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    (void)err;
    opt->config.append = arg;
    return 0;
}

static int opt_bios(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    (void)err;
    opt->config.bios = arg;
    return 0;
}

static int opt_firmware_dir(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    (void)err;
    opt->config.firmware_dir = arg;
    return 0;
}

static int opt_cpu(struct cli_options *opt, const char *arg, struct novt_error *err)
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
        return usage(err, "-cpu help lists the models", "-cpu: unknown model \"%s\"", arg);
    opt->command = CLI_DONE;
    return 0;
}

static int opt_serial(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    if (opt->serials == ARRAY_SIZE(opt->serial))
        return usage(err, "give -serial at most twice", "-serial: the machine has two serial lines");
    opt->serial[opt->serials++] = arg;
    return 0;
}

static int opt_chardev(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    struct cli_chardev_spec *c = &opt->chardev[opt->chardevs];
    char list[256], path[200] = "", junk[16], *rest;

    if (opt->chardevs == CLI_CHARDEVS)
        return usage(err, "give fewer", "-chardev: more than %d", CLI_CHARDEVS);
    snprintf(list, sizeof(list), "%s", arg);
    if (!take_key(list, "id", c->id, sizeof(c->id)))
        return usage(err, "for example -chardev file,id=log,path=FILE", "-chardev %s: no id=", arg);
    take_key(list, "path", path, sizeof(path));
    take_key(list, "server", junk, sizeof(junk));
    take_key(list, "wait", junk, sizeof(junk));
    take_key(list, "signal", junk, sizeof(junk));
    take_key(list, "mux", junk, sizeof(junk));
    rest = strchr(list, ',');
    if (rest)
        return usage(err, "leave it out", "-chardev: unknown property \"%s\"", rest + 1);
    if (!strcmp(list, "file"))
        snprintf(c->spec, sizeof(c->spec), "file:%s", path);
    else if (!strcmp(list, "socket"))
        snprintf(c->spec, sizeof(c->spec), "unix:%s", path);
    else if (!strcmp(list, "stdio") || !strcmp(list, "null") || !strcmp(list, "pty"))
        snprintf(c->spec, sizeof(c->spec), "%s", list);
    else
        return usage(err, "use stdio, file, pty, socket or null", "-chardev: unknown back end \"%s\"", list);
    opt->chardevs++;
    return 0;
}

static int opt_debugcon(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    (void)err;
    opt->debugcon = arg;
    if (!opt->config.debugcon_iobase)
        opt->config.debugcon_iobase = 0xe9;
    return 0;
}

static int opt_device(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    char name[64], list[256], value[200];
    struct novt_config *c = &opt->config;
    const char *comma = strchr(arg, ',');
    int rc;

    snprintf(name, sizeof(name), "%.*s", (int)strcspn(arg, ","), arg);
    snprintf(list, sizeof(list), "%s", comma ? comma + 1 : "");
    if (!strcmp(name, "help")) {
        puts("isa-debug-exit,iobase=PORT,iosize=BYTES\nisa-debugcon,iobase=PORT,chardev=ID");
        opt->command = CLI_DONE;
        return 0;
    }
    if (!strcmp(name, "isa-debug-exit")) {
        c->debug_exit_iobase = 0x501;
        rc = parse_port(name, list, "iobase", &c->debug_exit_iobase, err);
        if (!rc)
            rc = parse_port(name, list, "iosize", &c->debug_exit_iosize, err);
    } else if (!strcmp(name, "isa-debugcon")) {
        c->debugcon_iobase = 0xe9;
        rc = parse_port(name, list, "iobase", &c->debugcon_iobase, err);
        if (!rc && !take_key(list, "chardev", value, sizeof(value)))
            return usage(err, "add chardev=ID and -chardev BACKEND,id=ID",
                         "-device isa-debugcon: no chardev=");
        for (unsigned i = 0; !rc && i < opt->chardevs; i++)
            if (!strcmp(opt->chardev[i].id, value))
                opt->debugcon = opt->chardev[i].spec;
        if (!rc && !opt->debugcon && !strcmp(value, "stdio"))
            opt->debugcon = "stdio";
        if (!rc && !opt->debugcon)
            return usage(err, "give -chardev BACKEND,id=ID before it",
                         "-device isa-debugcon: no chardev \"%s\"", value);
    } else {
        return usage(err, "-device help lists what there is", "-device: unknown device \"%s\"", name);
    }
    if (!rc && list[0])
        return usage(err, "-device help lists the properties", "-device %s: unknown property \"%s\"", name,
                     list);
    return rc;
}

static int opt_nographic(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    (void)arg;
    (void)err;
    opt->nographic = true;
    return 0;
}

static int opt_display(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    if (strcmp(arg, "none"))
        return usage(err, "use -display none or -nographic", "-display: there is no \"%s\"", arg);
    opt->display_none = true;
    return 0;
}

static int opt_no_reboot(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    (void)arg;
    (void)err;
    opt->config.no_reboot = true;
    return 0;
}

static int opt_trace(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    return parse_list("-d", arg, trace_names, ARRAY_SIZE(trace_names), &opt->config.trace_items, opt, err);
}

/* QEMU's ranges: FIRST..LAST, START+LENGTH, END-LENGTH. */
static int opt_dfilter(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    u64 a, b = 0;
    char *end = NULL;
    bool ok = parse_number(arg, UINT32_MAX, &end, &a);

    if (ok && !strncmp(end, "..", 2)) {
        ok = parse_number(end + 2, UINT32_MAX, NULL, &b) && b >= a;
    } else if (ok && *end == '+') {
        ok = parse_number(end + 1, UINT32_MAX, NULL, &b) && b > 0 && a + b - 1 <= UINT32_MAX;
        b = a + b - 1;
    } else if (ok && *end == '-') {
        ok = parse_number(end + 1, a + 1, NULL, &b) && b > 0;
        b = ok ? b : 1;
        a = a - b + 1;
        b = a + b - 1;
    } else {
        ok = false;
    }
    if (!ok)
        return usage(err, "for example -dfilter 0xc0100000..0xc01fffff or 0x7c00+512",
                     "-dfilter: \"%s\" is not a range", arg);
    opt->config.trace_lo = (u32)a;
    opt->config.trace_hi = (u32)b;
    return 0;
}

static int opt_trace_file(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    (void)err;
    opt->trace_path = arg;
    return 0;
}

static int opt_dump_screen(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    (void)err;
    opt->screen_path = arg;
    return 0;
}

static int opt_timeout(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    char *end;

    opt->timeout_s = strtod(arg, &end);
    if (end == arg || *end || !isfinite(opt->timeout_s) || opt->timeout_s <= 0 || opt->timeout_s > 1e9)
        return usage(err, "for example --timeout 10 or --timeout 0.5",
                     "--timeout: \"%s\" is not a number of seconds", arg);
    return 0;
}

static int opt_stats(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    if (arg && strcmp(arg, "json") && strcmp(arg, "text"))
        return usage(err, "use --stats or --stats=json", "--stats: unknown form \"%s\"", arg);
    opt->stats = arg && !strcmp(arg, "json") ? CLI_STATS_JSON : CLI_STATS_TEXT;
    return 0;
}

static int opt_engine(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    static const char *const names[] = {
        [NOVT_ENGINE_AUTO] = "auto", [NOVT_ENGINE_BT] = "bt", [NOVT_ENGINE_DIRECT] = "direct"};

    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        if (!strcmp(arg, names[i])) {
            opt->config.engine = i;
            return 0;
        }
    }
    return usage(err, "use -engine auto, bt or direct", "-engine: unknown engine \"%s\"", arg);
}

static int opt_stress(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    return parse_list("--stress", arg, stress_names, ARRAY_SIZE(stress_names), &opt->config.stress, opt, err);
}

static int opt_perf_map(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    (void)arg;
    (void)err;
    opt->config.perf_map = true;
    return 0;
}

static int opt_vga(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    if (!strcmp(arg, "none"))
        opt->config.vgabios = "";
    else if (strcmp(arg, "std"))
        return usage(err, "use -vga std or none", "-vga: unknown card \"%s\"", arg);
    return 0;
}

/* Options of QEMU that ask for what is so anyway: one value is right, any other is refused. */
static int only(const char *option, const char *right, const char *arg, struct novt_error *err)
{
    char remedy[64];

    if (!strcmp(arg, right))
        return 0;
    snprintf(remedy, sizeof(remedy), "only %s %s can be had", option, right);
    return usage(err, remedy, "%s: \"%s\" is not supported", option, arg);
}

static int opt_smp(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    (void)opt;
    return only("-smp", "1", arg, err);
}

static int opt_monitor(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    (void)opt;
    return only("-monitor", "none", arg, err);
}

static int opt_net(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    (void)opt;
    return only("-nic", "none", arg, err);
}

static int opt_nothing(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    (void)opt;
    (void)arg;
    (void)err;
    return 0;
}

static int opt_help(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    (void)arg;
    (void)err;
    cli_help();
    opt->command = CLI_DONE;
    return 0;
}

static int opt_version(struct cli_options *opt, const char *arg, struct novt_error *err)
{
    (void)arg;
    (void)err;
    puts("novt " NOVT_VERSION);
    opt->command = CLI_DONE;
    return 0;
}

enum arity { ARG_NONE, ARG_NEEDED, ARG_EQUALS /* only as --name=value */ };

struct option_row {
    const char *name;
    enum arity arity;
    int (*fn)(struct cli_options *opt, const char *arg, struct novt_error *err);
    const char *help; /* NULL: an alias or a no-op, not listed */
};

static const struct option_row option_rows[] = {
    {"M", ARG_NEEDED, opt_machine, "-M pc|help              machine"},
    {"machine", ARG_NEEDED, opt_machine, NULL},
    {"m", ARG_NEEDED, opt_memory,
     "-m N[K|M|G]             RAM, MiB without a letter (default 128M, at most 3072M)"},
    {"cpu", ARG_NEEDED, opt_cpu,
     "-cpu MODEL|help         486 pentium pentium2 pentium3 pentium4 max (default max)"},
    {"kernel", ARG_NEEDED, opt_kernel, "-kernel FILE            Linux bzImage or multiboot-1 kernel"},
    {"initrd", ARG_NEEDED, opt_initrd,
     "-initrd FILE            initramfs; for multiboot: FILE ARGS,FILE ARGS,..."},
    {"append", ARG_NEEDED, opt_append, "-append TEXT            kernel command line"},
    {"bios", ARG_NEEDED, opt_bios, "-bios FILE              BIOS image (default bios-256k.bin of SeaBIOS)"},
    {"L", ARG_NEEDED, opt_firmware_dir, "-L DIR                  look for firmware here first"},
    {"serial", ARG_NEEDED, opt_serial,
     "-serial DEV             COM1, second time COM2: stdio mon:stdio file:PATH pty unix:PATH null none"},
    {"nographic", ARG_NONE, opt_nographic,
     "-nographic              serial line and BIOS screen on the terminal (default)"},
    {"display", ARG_NEEDED, opt_display, "-display none           no screen; serial lines only as given"},
    {"vga", ARG_NEEDED, opt_vga, "-vga std|none           VGA card"},
    {"no-reboot", ARG_NONE, opt_no_reboot, "-no-reboot              end instead of restarting the machine"},
    {"device", ARG_NEEDED, opt_device, "-device DEV,...|help    isa-debug-exit, isa-debugcon"},
    {"chardev", ARG_NEEDED, opt_chardev,
     "-chardev KIND,id=ID     stdio, file,path=F, pty, socket,path=P, null"},
    {"debugcon", ARG_NEEDED, opt_debugcon, "-debugcon DEV           port E9h: stdio file:PATH ..."},
    {"d", ARG_NEEDED, opt_trace, "-d ITEM,...|help        trace: in_asm out_asm exec int mmu io exit link"},
    {"dfilter", ARG_NEEDED, opt_dfilter,
     "-dfilter RANGE          trace these linear addresses: A..B, A+LEN, B-LEN"},
    {"D", ARG_NEEDED, opt_trace_file, "-D FILE                 trace to a file instead of stderr"},
    {"timeout", ARG_NEEDED, opt_timeout, "--timeout SECONDS       end with code 124 after this time"},
    {"dump-screen", ARG_NEEDED, opt_dump_screen,
     "--dump-screen FILE      at the end write what the text screen shows, UTF-8"},
    {"stats", ARG_EQUALS, opt_stats, "--stats[=json]          counters on stderr at the end"},
    {"engine", ARG_NEEDED, opt_engine, "-engine auto|bt|direct  how guest code runs"},
    {"stress", ARG_NEEDED, opt_stress,
     "--stress ITEM,...|help  force rare paths: tiny-cache one-insn no-chain slow-mem fail-alloc verify"},
    {"perf-map", ARG_NONE, opt_perf_map, "-perf-map               names of translated code for perf"},
    {"smp", ARG_NEEDED, opt_smp, NULL},
    {"monitor", ARG_NEEDED, opt_monitor, NULL},
    {"net", ARG_NEEDED, opt_net, NULL},
    {"nic", ARG_NEEDED, opt_net, NULL},
    {"nodefaults", ARG_NONE, opt_nothing, NULL},
    {"help", ARG_NONE, opt_help, "--help, --version"},
    {"h", ARG_NONE, opt_help, NULL},
    {"version", ARG_NONE, opt_version, NULL},
};

void cli_help(void)
{
    puts("novt [run] OPTIONS    runs a PC\n"
         "novt doctor           says what NoVT needs of this host and lacks\n");
    for (size_t i = 0; i < ARRAY_SIZE(option_rows); i++)
        if (option_rows[i].help)
            printf("  %s\n", option_rows[i].help);
    puts("\nOn a terminal: Ctrl-A X quits, Ctrl-A Ctrl-A sends Ctrl-A, Ctrl-A H helps.\n"
         "Exit codes: 0 powered off, 2 usage, 3 host resource, 4 bad image, 5 nothing bootable, 6 triple "
         "fault,\n"
         "7 guest dead, 70 bug in novt, 124 timeout; isa-debug-exit: (value << 1) | 1.");
}

static const struct option_row *find_option(const char *name, size_t len)
{
    for (size_t i = 0; i < ARRAY_SIZE(option_rows); i++)
        if (strlen(option_rows[i].name) == len && !strncmp(option_rows[i].name, name, len))
            return &option_rows[i];
    return NULL;
}

static int parse_options(struct cli_options *opt, int argc, char **argv, struct novt_error *err)
{
    for (int i = 0; i < argc && opt->command == CLI_RUN; i++) {
        const char *name = argv[i], *value = NULL;
        const struct option_row *row;
        size_t len;
        int rc;

        if (name[0] != '-' || !name[1])
            return usage(err, "disks are not supported yet; novt --help lists the options",
                         "unexpected argument \"%s\"", name);
        name += name[1] == '-' ? 2 : 1;
        len = strcspn(name, "=");
        row = find_option(name, len);
        if (!row)
            return usage(err, "novt --help lists the options", "unknown option \"%.*s\"",
                         (int)strcspn(argv[i], "="), argv[i]);
        if (name[len] == '=')
            value = name + len + 1;
        if (row->arity == ARG_NONE && value)
            return usage(err, "leave the value out", "%s takes no value", argv[i]);
        if (row->arity == ARG_NEEDED && !value) {
            if (i + 1 == argc)
                return usage(err, "novt --help lists the options", "%s needs a value", argv[i]);
            value = argv[++i];
        }
        rc = row->fn(opt, value, err);
        if (rc)
            return rc;
    }
    return 0;
}

int cli_parse(struct cli_options *opt, int argc, char **argv, struct novt_error *err)
{
    int first = 1, rc;

    memset(opt, 0, sizeof(*opt));
    memset(err, 0, sizeof(*err));
    if (argc > 1 && !strcmp(argv[1], "doctor")) {
        opt->command = CLI_DOCTOR;
        return argc == 2 ? 0
                         : usage(err, "run novt doctor alone", "doctor: unexpected argument \"%s\"", argv[2]);
    }
    if (argc > 1 && !strcmp(argv[1], "run"))
        first = 2;
    rc = parse_options(opt, argc - first, argv + first, err);
    if (rc || opt->command != CLI_RUN)
        return rc;
    /* QEMU's default: a screen and no serial line on the terminal. Here there is no screen, so -nographic is the default. */
    if (!opt->serials && !opt->display_none)
        opt->serial[opt->serials++] = "mon:stdio";
    opt->config.serial_console = !opt->config.kernel && !opt->display_none;
    return 0;
}
