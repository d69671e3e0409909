/*
 * target_monitors.c - people and programs that mean harm at the monitors: command lines of the words that "help" has, and QMP's commands with
 * arguments of any type, whole and damaged.
 *
 * Files that commands make lie in the process's directory: no argument begins with a slash.
 */
#include "inputfuzz.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "monitor/cli_session.h"

enum { LINE_MAX_BYTES = 2000 };

static const char *const values[] = {"0",   "1",     "-1",     "0x100",   "0xffffffff", "99999999999999999999", "$eip", "$esp+4", "(",   ")",   "*", "%",
                                     "~",   "'a'",   "on",     "off",     "ctrl-alt-delete", "a-b-c", "floppy0", "ide1-cd0", "file", "again", "\"", "#",
                                     "\t",  "\xff",  "-f",     "png",     "raw",   "ro",    "tcp::1-:1",  "a",    "ret",   "0xa0000", "4096", "&"};

static void add(char *line, const char *text)
{
    strncat(line, text, LINE_MAX_BYTES - 1 - strlen(line));
}

static void hmp_line(struct fuzz *f, struct cli_control *c, const struct words *words)
{
    static const char *const formats[] = {"/4xw", "/9i", "/3gd", "/70000xb", "/2c", "/xyz", "/", "/-1x", "/99999999999u"};
    char line[LINE_MAX_BYTES] = "";
    struct text out = {0};

    if (fuzz_below(f, 6) == 0) {
        static const char *const looks[] = {"x", "xp", "p", "print", "info"};

        add(line, looks[fuzz_below(f, ARRAY_SIZE(looks))]);
        add(line, formats[fuzz_below(f, ARRAY_SIZE(formats))]);
    } else {
        add(line, words_any(f, words));
    }
    for (u32 n = fuzz_below(f, 6); n; n--) {
        add(line, fuzz_below(f, 12) ? " " : "");
        add(line, fuzz_below(f, 3) ? values[fuzz_below(f, ARRAY_SIZE(values))] : words_any(f, words));
    }
    if (fuzz_below(f, 30) == 0)
        for (u32 n = fuzz_below(f, 1500); n; n--)
            add(line, "a ");
    hmp_execute(c, line, &out);
    text_free(&out);
}

static void any_value(struct fuzz *f, char *to, const struct words *words, unsigned depth)
{
    static const char *const plain[] = {"true", "false", "null", "0", "-1", "1e9", "4096", "18446744073709551616", "\"\\u0000\"", "\"\\ud800\"", "''", "\"a\""};

    switch (fuzz_below(f, depth ? 5 : 3)) {
    case 0: add(to, plain[fuzz_below(f, ARRAY_SIZE(plain))]); break;
    case 1:
    case 2:
        add(to, "\"");
        add(to, words_any(f, words));
        add(to, "\"");
        break;
    case 3:
        add(to, "[");
        any_value(f, to, words, depth - 1);
        add(to, fuzz_below(f, 2) ? ",{\"type\":\"qcode\",\"data\":\"a\"}]" : "]");
        break;
    default:
        add(to, "{\"type\":\"rel\",\"data\":");
        any_value(f, to, words, depth - 1);
        add(to, ",\"axis\":\"x\",\"value\":1}");
    }
}

static void qmp_line(struct fuzz *f, struct control_end *e, const struct words *words)
{
    char line[LINE_MAX_BYTES] = "{\"execute\":\"";
    const struct qmp_command *q;
    u32 n = 0;

    while (qmp_nth(n))
        n++;
    q = qmp_nth(fuzz_below(f, n));
    add(line, q->name);
    add(line, "\",\"arguments\":{");
    for (const char *at = q->args; *at;) {
        char name[64] = "", type = 0;
        int used = 0;

        if (sscanf(at, " %63s %c%n", name, &type, &used) < 2)
            break;
        at += used;
        if (fuzz_below(f, 4) == 0)
            continue;
        if (line[strlen(line) - 1] != '{')
            add(line, ",");
        add(line, "\"");
        add(line, name);
        add(line, "\":");
        if ((type | 0x20) == 'i' && fuzz_below(f, 3))
            sprintf(line + strlen(line), "%d", (int)fuzz_edge(f));
        else if ((type | 0x20) == 's' && fuzz_below(f, 3))
            add(line, "\"file\"");
        else
            any_value(f, line, words, 3);
    }
    add(line, fuzz_below(f, 3) ? "}}" : "},\"id\":[{}]}");
    if (fuzz_below(f, 4) == 0)
        damage(f, (u8 *)line, strlen(line), 1 + fuzz_below(f, 3));
    for (const char *at = line; at < line + LINE_MAX_BYTES && *at; at++)
        qmp_feed(e, (u8)*at);
    for (u32 i = fuzz_below(f, 3); i; i--)
        qmp_feed(e, (u8)fuzz_random(f));
    if (fuzz_below(f, 4)) /* else what is open swallows the next ones */
        frame_reset(&e->frame);
    if (e->out.n > 65536)
        text_drop(&e->out, e->out.n);
}

void target_monitors(struct fuzz *f, u32 steps)
{
    static struct words words;
    static struct cli_io io;
    static struct cli_options opt;
    struct novt_config config = {.no_firmware = true, .ram_bytes = 2 << 20, .drives = 2};
    const struct novt_drive drive[] = {{.bus = NOVT_BUS_FLOPPY}, {.bus = NOVT_BUS_IDE, .index = 2, .cdrom = true}};
    struct cli_control *c = calloc(1, sizeof(*c));
    struct novt_error err = {0};
    struct control_end *e = &c->end[0];
    u8 medium[4096] = {0};

    put_file("file", medium, sizeof(medium));
    config.drive = drive;
    if (novt_vm_new(&c->vm, &config, &err))
        finding("no machine: %s", err.cause);
    io = (struct cli_io){.vm = c->vm, .wake_fd = -1};
    c->io = &io;
    c->opt = &opt;
    c->wake_fd = -1;
    c->ends = 1;
    pthread_mutex_init(&c->lock, NULL);
    if (!words.n) {
        struct text help = {0};

        hmp_execute(c, "help", &help);
        words_from(&words, text_str(&help));
        text_free(&help);
        if (words.n < 50)
            finding("help has but %u words", words.n);
    }
    *e = (struct control_end){.control = c, .qmp = true, .in_fd = -1, .out_fd = open("/dev/null", O_WRONLY), .mux_fd = -1};
    qmp_open(e);
    for (const char *at = "{\"execute\":\"qmp_capabilities\"}"; *at; at++)
        qmp_feed(e, (u8)*at);
    for (; steps; steps--)
        if (fuzz_below(f, 2))
            hmp_line(f, c, &words);
        else
            qmp_line(f, e, &words);
    close(e->out_fd);
    text_free(&e->out);
    frame_free(&e->frame);
    novt_vm_free(c->vm);
    pthread_mutex_destroy(&c->lock);
    free(c);
}
