/*
 * test_options.c - command lines into configs, and what must be refused with which words.
 */
#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "monitor/cli.h"

#define ARGS_MAX 16

/* Splits a line at blanks and parses it. The config keeps pointers into the copy. */
static int parse(struct cli_options *opt, const char *line, struct novt_error *err)
{
    static __thread char copy[512];
    char *argv[ARGS_MAX + 1] = {(char *)(uintptr_t) "novt"}, *save = NULL;
    int argc = 1;

    strncpy(copy, line, sizeof(copy) - 1);
    for (char *word = strtok_r(copy, " ", &save); word && argc < ARGS_MAX; word = strtok_r(NULL, " ", &save))
        argv[argc++] = word;
    return cli_parse(opt, argc, argv, err);
}

Test(options, defaults)
{
    struct cli_options o;
    struct novt_error err;

    cr_assert(parse(&o, "", &err) == 0);
    cr_expect(o.command == CLI_RUN && o.serials == 1 && !strcmp(o.serial[0], "mon:stdio"));
    cr_expect(o.config.ram_bytes == 0 && !o.config.no_reboot && o.config.serial_console);
    cr_assert(parse(&o, "run -display none", &err) == 0);
    cr_expect(o.serials == 0);
    cr_assert(parse(&o, "-serial stdio -hda d", &err) == 0); /* what the guest writes, without the firmware's screen */
    cr_expect(!o.config.serial_console);
    cr_assert(parse(&o, "-serial stdio -nographic -hda d", &err) == 0);
    cr_expect(o.config.serial_console);
    cr_assert(parse(&o, "doctor", &err) == 0);
    cr_expect(o.command == CLI_DOCTOR);
}

Test(options, a_qemu_command_line)
{
    struct cli_options o;
    struct novt_error err;

    cr_assert(parse(&o, "-M pc -m 512 -kernel K -initrd I -append A -cpu pentium3 -nographic -no-reboot",
                    &err) == 0,
              "%s", err.cause);
    cr_expect(o.config.ram_bytes == 512ull << 20);
    cr_expect_str_eq(o.config.kernel, "K");
    cr_expect_str_eq(o.config.initrd, "I");
    cr_expect_str_eq(o.config.append, "A");
    cr_expect_str_eq(o.config.cpu, "pentium3");
    cr_expect(o.config.no_reboot && o.nographic && !o.config.serial_console);
    cr_assert(parse(&o, "-nodefaults -vga none -net none -smp 1 -monitor none -serial null -serial file:x",
                    &err) == 0);
    cr_expect(o.serials == 2);
    cr_assert(parse(&o, "--machine pc --timeout=2.5 --stats=json -d in_asm,int -D f -perf-map -engine bt",
                    &err) == 0);
    cr_expect(o.timeout_s == 2.5 && o.stats == CLI_STATS_JSON && o.config.perf_map);
    cr_expect(o.config.trace_items == (NOVT_TRACE_IN_ASM | NOVT_TRACE_INT));
    cr_assert(parse(&o, "--stats --stress tiny-cache,no-chain", &err) == 0);
    cr_expect(o.stats == CLI_STATS_TEXT &&
              o.config.stress == (NOVT_STRESS_TINY_CACHE | NOVT_STRESS_NO_CHAIN));
}

Test(options, devices)
{
    struct cli_options o;
    struct novt_error err;

    cr_assert(parse(&o, "-device isa-debug-exit", &err) == 0);
    cr_expect(o.config.debug_exit_iobase == 0x501 && o.config.debug_exit_iosize == 0);
    cr_assert(parse(&o, "-device isa-debug-exit,iobase=0xf4,iosize=0x04", &err) == 0);
    cr_expect(o.config.debug_exit_iobase == 0xf4 && o.config.debug_exit_iosize == 4);
    cr_assert(parse(&o, "-chardev file,id=l,path=out -device isa-debugcon,iobase=0x402,chardev=l", &err) == 0,
              "%s", err.cause);
    cr_expect(o.config.debugcon_iobase == 0x402);
    cr_expect_str_eq(o.debugcon, "chardev:l");
    cr_assert(parse(&o, "-debugcon stdio", &err) == 0);
    cr_expect(o.config.debugcon_iobase == 0xe9);
    cr_assert(parse(&o, "-chardev socket,id=s,path=/x/y,server=on,wait=off -serial chardev:s", &err) == 0,
              "%s", err.cause);
    cr_expect_str_eq(o.chardev[0].spec, "unix:/x/y,server=on,wait=off");
}

Test(options, memory)
{
    static const struct {
        const char *arg;
        u64 bytes; /* 0: refused */
    } t[] = {
        {"1", 1 << 20},
        {"64M", 64 << 20},
        {"1G", 1 << 30},
        {"2048K", 2 << 20},
        {"size=16", 16 << 20},
        {"3072", 3072ull << 20},
        {"0x10", 16 << 20},
        {"0", 0},
        {"0M", 0},
        {"512K", 0},
        {"3073", 0},
        {"4G", 0},
        {"99999999999G", 0},
        {"18446744073709551616", 0},
        {"-1", 0},
        {"+5", 0},
        {"x", 0},
        {"12X", 0},
        {"1GB", 0},
        {"0.5G", 0},
        {"1 ", 1 << 20},
    };

    for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
        struct cli_options o;
        struct novt_error err;
        char line[64];
        int rc;

        snprintf(line, sizeof(line), "-m %s", t[i].arg);
        rc = parse(&o, line, &err);
        cr_expect(rc == (t[i].bytes ? 0 : EXIT_USAGE), "%s", line);
        cr_expect(rc || o.config.ram_bytes == t[i].bytes, "%s", line);
    }
}

Test(options, trace_filter)
{
    static const struct {
        const char *arg;
        bool ok;
        u32 lo, hi;
    } t[] = {
        {"0x1000..0x1fff", true, 0x1000, 0x1fff},
        {"0x7c00+512", true, 0x7c00, 0x7dff},
        {"0x2000-0x100", true, 0x1f01, 0x2000},
        {"0..0xffffffff", true, 0, 0xffffffff},
        {"5..5", true, 5, 5},
        {"6..5", false, 0, 0},
        {"5+0", false, 0, 0},
        {"0xffffffff+2", false, 0, 0},
        {"1-3", false, 0, 0},
        {"0x100000000..1", false, 0, 0},
        {"5", false, 0, 0},
        {"..", false, 0, 0},
        {"a..b", false, 0, 0},
        {"1..2x", false, 0, 0},
    };

    for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
        struct cli_options o;
        struct novt_error err;
        char line[64];
        int rc;

        snprintf(line, sizeof(line), "-dfilter %s", t[i].arg);
        rc = parse(&o, line, &err);
        cr_expect((rc == 0) == t[i].ok, "%s", line);
        if (t[i].ok)
            cr_expect(o.config.trace_lo == t[i].lo && o.config.trace_hi == t[i].hi, "%s: %x %x", line,
                      o.config.trace_lo, o.config.trace_hi);
    }
}

/* Each is refused with code 2, a cause that names the culprit, and a remedy. */
Test(options, refusals)
{
    static const char *const t[][2] = {
        {"-foo", "-foo"},
        {"--foo=3", "--foo"},
        {"-hda a -hdb b disk.img", "index=0"},
        {"-", "-"},
        {"-m", "-m"},
        {"-M q35", "q35"},
        {"-cpu core2duo", "core2duo"},
        {"-d in_asm,bogus", "bogus"},
        {"-d in_asm,", "-d"},
        {"-device isa-debug-exit,iobase=70000", "iobase"},
        {"-device isa-debug-exit,foo=1", "foo"},
        {"-device isa-debugcon,iobase=0x402", "chardev"},
        {"-device isa-debugcon,chardev=nope", "nope"},
        {"-chardev stdio", "id"},
        {"-chardev spice,id=a", "spice"},
        {"-chardev file,id=a,path=x,frob=on", "frob"},
        {"-serial null -serial null -serial null -serial null -serial null", "-serial"},
        {"-engine kvm", "kvm"},
        {"-stress bogus", "bogus"},
        {"--timeout 0", "--timeout"},
        {"--timeout nan", "nan"},
        {"--timeout -5", "-5"},
        {"--stats=xml", "xml"},
        {"--no-reboot=1", "no-reboot"},
        {"-smp 2", "2"},
        {"-vga cirrus", "cirrus"},
        {"doctor now", "now"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
        struct cli_options o;
        struct novt_error err;

        cr_expect(parse(&o, t[i][0], &err) == EXIT_USAGE, "%s", t[i][0]);
        cr_expect(strstr(err.cause, t[i][1]) != NULL, "%s: %s", t[i][0], err.cause);
        cr_expect(err.remedy[0] && !strchr(err.cause, '\n') && !strchr(err.remedy, '\n'), "%s", t[i][0]);
    }
}

Test(options, lists_go_to_stdout, .init = cr_redirect_stdout)
{
    static const char *const t[] = {"-M help",       "-cpu help", "-d help", "-device help",
                                    "--stress help", "--help",    "-h",      "--version"};

    for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
        struct cli_options o;
        struct novt_error err;

        cr_expect(parse(&o, t[i], &err) == 0, "%s", t[i]);
        cr_expect(o.command == CLI_DONE, "%s", t[i]);
    }
}

/* Any bytes as arguments: an answer. */
Test(options, random_arguments, .init = cr_redirect_stdout)
{
    static const char *const words[] = {"-m",       "-device",  "isa-debug-exit,",
                                        "iobase=",  ",",        "=",
                                        "-chardev", "file,id=", "-d",
                                        "help",     "-dfilter", "..",
                                        "+",        "0x",       "99999999999999999999",
                                        "-serial",  "path=",    "-append"};
    unsigned seed = 7;

    for (unsigned i = 0; i < 20000; i++) {
        char line[512] = "";
        struct cli_options o;
        struct novt_error err;
        int rc;

        for (unsigned n = (unsigned)rand_r(&seed) % 8; n; n--) {
            strcat(line, words[(size_t)rand_r(&seed) % ARRAY_SIZE(words)]);
            if (rand_r(&seed) % 2)
                strcat(line, " ");
        }
        rc = parse(&o, line, &err);
        cr_assert(rc == 0 || (rc == EXIT_USAGE && err.cause[0]), "%s", line);
    }
}

/* What is too long is refused, and never cut: half a path is another file. */
Test(options, nothing_is_cut_short)
{
    static const struct {
        const char *format;
        int length, rc;
    } cases[] = {
        {"-chardev file,id=a,path=%s", 100, 0},
        {"-chardev file,id=a,path=%s", 215, 0},
        {"-chardev id=a,backend=file,path=%s", 215, 0},
        {"-chardev id=a,backend=file,path=%s", 235, EXIT_USAGE},
        {"-chardev file,id=a,path=%s,append=on", 245, EXIT_USAGE},
        {"-chardev file,id=%s,path=x", 40, EXIT_USAGE},
        {"-chardev socket,id=a,server=on,path=%s", 150, EXIT_USAGE},
        {"-device isa-debug-exit,iobase=0x%s", 40, EXIT_USAGE},
    };
    char line[512], name[256];

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct cli_options o;
        struct novt_error err;
        int rc;

        memset(name, '1', sizeof(name));
        name[cases[i].length] = 0;
        snprintf(line, sizeof(line), cases[i].format, name);
        rc = parse(&o, line, &err);
        cr_expect_eq(rc, cases[i].rc, "%s: %d", line, rc);
        if (!rc)
            cr_expect(strlen(o.chardev[0].spec) == strlen("file:") + strlen(name) &&
                          strstr(o.chardev[0].spec, name),
                      "%s", o.chardev[0].spec);
    }
}
