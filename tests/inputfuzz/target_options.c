/*
 * target_options.c - command lines at random, of the words that --help has, and small machines of those that are accepted.
 *
 * What the host would notice is left out: machines with network cards, displays, sockets or much memory are parsed, not made.
 */
#include "inputfuzz.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "monitor/cli.h"

enum { ARGS_MAX = 24, ARG_BYTES = 600 };

static struct words words;

/* The help's words, and silence afterwards: lists are printed too. */
static void learn(void)
{
    size_t bytes;
    char *text;
    int fd;

    if (words.n)
        return;
    fflush(stdout);
    fd = open("help", O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || dup2(fd, 1) < 0)
        finding("no file for the help");
    cli_help();
    fflush(stdout);
    text = (char *)get_file("help", &bytes);
    text[bytes] = 0;
    words_from(&words, text);
    free(text);
    close(fd);
    fd = open("/dev/null", O_WRONLY);
    dup2(fd, 1);
    close(fd);
    stderr = fopen("/dev/null", "w"); /* warnings; sanitizers and findings have a descriptor of their own */
    if (words.n < 100)
        finding("--help has but %u words", words.n);
}

static const char *any_word(struct fuzz *f)
{
    static const char *const more[] = {"on",    "off",  "0",    "1",      "-1",   "99999999999999999999", "0x",   "4096", "disk",  "cd",
                                       "a,,b",  "%s%n", "help", "none",   "if",   "file",                 "bus",  "unit", "index", "format",
                                       "raw",   "id",   "drive", "0x7fffffff", "1T",   "18446744073709551616", "127.0.0.1:0", "\xff\xfe", "vga",
                                       "driver", "node-name", "{\"driver\":", "\"raw\"", "}", "[", "tcp::1-:1"};

    return fuzz_below(f, 3) ? words_any(f, &words) : more[fuzz_below(f, ARRAY_SIZE(more))];
}

static void any_arg(struct fuzz *f, char *to)
{
    static const char *const marks[] = {",", ",", "=", "=", ":", ".", ",,", "-", " ", "/", "\""};

    to[0] = 0;
    if (fuzz_below(f, 40) == 0) {
        memset(to, "a,=:9"[fuzz_below(f, 5)], ARG_BYTES - 2);
        to[fuzz_below(f, ARG_BYTES - 1)] = 0;
        return;
    }
    for (u32 n = 1 + fuzz_below(f, fuzz_below(f, 3) ? 2 : 12); n; n--) {
        const char *w = any_word(f);

        if (strlen(to) + strlen(w) + 4 >= ARG_BYTES)
            break;
        strcat(to, w);
        if (n > 1)
            strcat(to, marks[fuzz_below(f, ARRAY_SIZE(marks))]);
    }
}

/* Options themselves, as --help spells them. */
static void any_option(struct fuzz *f, char *to)
{
    for (u32 n = 0; n < 200; n++) {
        const char *w = words_any(f, &words);

        if (w[0] == '-' && strlen(w) < ARG_BYTES - 1) {
            strcpy(to, w);
            return;
        }
    }
    strcpy(to, "-m");
}

static void make_machine(struct cli_options *opt)
{
    struct novt_error err = {0};
    struct novt_vm *vm = NULL;

    if (opt->command != CLI_RUN || opt->config.nics || opt->config.ram_bytes > (64u << 20))
        return;
    opt->config.trace_items = 0;
    opt->config.perf_map = false;
    opt->config.warning = NULL;
    if (novt_vm_new(&vm, &opt->config, &err) && !err.cause[0])
        finding("a machine was refused without a word");
    novt_vm_free(vm);
}

void target_options(struct fuzz *f, u32 steps)
{
    static char arg[ARGS_MAX][ARG_BYTES];
    static struct cli_options opt;
    static const u8 sector[512 * 720] = {0};

    learn();
    put_file("disk", sector, sizeof(sector));
    put_file("cd", sector, sizeof(sector));
    for (; steps; steps--) {
        char *argv[ARGS_MAX + 1] = {arg[0]};
        struct novt_error err = {0};
        int argc = 1 + (int)fuzz_below(f, fuzz_below(f, 4) ? 6 : ARGS_MAX), rc;

        strcpy(arg[0], "novt");
        for (int i = 1; i < argc; i++) {
            if (i % 2 && fuzz_below(f, 10))
                any_option(f, arg[i]);
            else
                any_arg(f, arg[i]);
            argv[i] = arg[i];
        }
        rc = cli_parse(&opt, argc, argv, &err);
        if (rc && (rc != EXIT_USAGE && rc != EXIT_HOST && rc != EXIT_IMAGE))
            finding("command line: exit code %d", rc);
        if (rc && !err.cause[0])
            finding("a command line was refused without a word");
        if (!rc && fuzz_below(f, 4) == 0)
            make_machine(&opt);
    }
}
