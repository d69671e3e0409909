/*
 * test_monitor.c - the parts of the monitors without their sockets: JSON cut out of a stream, the line editor, command lines of random words
 * and random bytes. What would break them: an index past a buffer (the sanitizers' build), a value cut in the wrong place.
 *
 * NOVT_FUZZ_ROUNDS=N makes the random ones longer.
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "monitor/cli_session.h"

static unsigned rounds(unsigned usual)
{
    const char *n = getenv("NOVT_FUZZ_ROUNDS");

    return n ? (unsigned)atoi(n) : usual;
}

static u32 next(u32 *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 8;
}

/* ---- frames ---- */

struct cut {
    struct frame_in f;
    unsigned whole, bad;
    char last[4096];
};

static void cut(struct cut *c, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        switch (frame_feed(&c->f, (u8)text[i])) {
        case FRAME_MORE: break;
        case FRAME_BAD: c->bad++; break;
        case FRAME_WHOLE:
            c->whole++;
            snprintf(c->last, sizeof(c->last), "%s", text_str(&c->f.text));
            frame_reset(&c->f);
            break;
        }
    }
}

Test(frame, values_of_a_stream)
{
    static const struct {
        const char *in, *out;
        unsigned whole, bad;
    } t[] = {
        {"{}", "{}", 1, 0},
        {" \r\n\t{\"a\":[1,{}]} {\"b\":2}", "{\"b\":2}", 2, 0},
        {"{\"a\":\"}]\\\"{\"}", "{\"a\":\"}]\\\"{\"}", 1, 0},
        {"{'a':'it\\'s \"so\"'}", "{\"a\":\"it's \\\"so\\\"\"}", 1, 0},
        {"{'a':\"x'y\"}", "{\"a\":\"x'y\"}", 1, 0},
        {"true\n[1]", "[1]", 2, 0},
        {"}\n{}", "{}", 1, 1},
        {"{\"a\n{}", "{}", 1, 1},
        {"{\"a\":\xff{}", "{}", 1, 0},
        {"{\"a\":\n1\n}", "{\"a\":\n1\n}", 1, 0},
    };

    for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
        struct cut c = {0};

        cut(&c, t[i].in, strlen(t[i].in));
        cr_expect(c.whole == t[i].whole && c.bad == t[i].bad, "%s: %u whole, %u bad", t[i].in, c.whole,
                  c.bad);
        cr_expect_str_eq(c.last, t[i].out);
        frame_free(&c.f);
    }
}

Test(frame, is_bounded)
{
    struct cut c = {0};

    for (unsigned i = 0; i < 3 * FRAME_MAX_BYTES; i++)
        cut(&c, "[1,", i ? 1 : 3);
    cr_expect(c.bad == 1 && c.whole == 0 && c.f.text.room < 2 * FRAME_MAX_BYTES, "%u bad", c.bad);
    cut(&c, "\n{}", 3);
    cr_expect_eq(c.whole, 1);
    cut(&c, "\"", 1);
    for (unsigned i = 0; i < 3 * FRAME_MAX_BYTES; i++)
        cut(&c, "a", 1);
    cr_expect_eq(c.bad, 2);
    frame_free(&c.f);
}

Test(frame, random_bytes)
{
    static const char alphabet[] = "{}[]\"':,\\ \nabtrue019\xff\x80\x00";
    struct cut c = {0};
    u32 seed = 7;

    for (unsigned i = 0; i < rounds(400000); i++)
        cut(&c, &alphabet[next(&seed) % sizeof(alphabet)], 1);
    cr_expect(c.whole > 100 && c.bad > 100);
    frame_free(&c.f);
}

/* ---- lines ---- */

struct editor {
    struct line line;
    char ran[LINE_BYTES];
    unsigned runs;
    size_t shown;
};

static void show(void *opaque, const char *buf, size_t n)
{
    struct editor *e = opaque;

    for (size_t i = 0; i < n; i++)
        e->shown += (u8)buf[i] != 0;
}

static void ran(void *opaque, const char *text)
{
    struct editor *e = opaque;

    snprintf(e->ran, sizeof(e->ran), "%s", text);
    e->runs++;
}

static const char *words(void *opaque, const char *line, unsigned n)
{
    static const char *const list[] = {"info", "insert", "stop"};

    (void)opaque;
    (void)line;
    return n < ARRAY_SIZE(list) ? list[n] : NULL;
}

static void open_editor(struct editor *e)
{
    memset(e, 0, sizeof(*e));
    line_init(&e->line);
    e->line.opaque = e;
    e->line.put = show;
    e->line.run = ran;
    e->line.word = words;
}

static void type(struct editor *e, const char *keys)
{
    for (; *keys; keys++)
        line_feed(&e->line, (u8)*keys);
}

Test(line, keys)
{
    static const struct {
        const char *keys, *line;
    } t[] = {
        {"abc\n", "abc"},
        {"abc\r\n", "abc"},
        {"ac\x1b[Db\n", "abc"},
        {"bc\x01"
         "a\n",
         "abc"},
        {"abcd\x7f\n", "abc"},
        {"xabc\x1b[H\x1b[3~\n", "abc"},
        {"abcxyz\x1bOD\x1bOD\x1bOD\x0b\n", "abc"},
        {"one two  \x17three\n", "one three"},
        {"wrong\x15right\n", "right"},
        {"st\t\n", "stop "},
        {"in\tf\t\n", "info "},
        {"\x10\n", "info "},
        {"zzz\x1b[A\x1b[B!\n", "zzz!"},
        {"\x1b[A\x1b[A\x1b[A\x10\x10\n", "one three"},
        {"\x1b[99999999999;5Xq\n", "q"},
    };
    struct editor e;

    open_editor(&e);
    for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
        type(&e, t[i].keys);
        cr_expect(e.runs == i + 1, "%zu ran %u times", i, e.runs);
        cr_expect_str_eq(e.ran, t[i].line, "%zu: \"%s\" is not \"%s\"", i, e.ran, t[i].line);
    }
    line_free(&e.line);
}

Test(line, random_bytes)
{
    struct editor e;
    u32 seed = 11;

    open_editor(&e);
    for (unsigned i = 0; i < rounds(400000); i++) {
        u32 r = next(&seed);

        line_feed(&e.line, r & 0x300 ? (u8) "ab [0;~A\x1b\t\x10\x0e"[r % 13] : (u8)(r >> 12));
        cr_assert(e.line.at <= e.line.n && e.line.n < LINE_BYTES);
    }
    for (unsigned i = 0; i < 3 * LINE_BYTES; i++)
        line_feed(&e.line, 'a');
    cr_expect_eq(e.line.n, LINE_BYTES - 1);
    cr_expect(e.runs > 100 && e.shown > 1000);
    line_free(&e.line);
}

/* ---- commands ---- */

static struct novt_vm *machine(void)
{
    struct novt_config c = {.no_firmware = true, .ram_bytes = 2 << 20};
    struct novt_vm *vm = NULL;
    struct novt_error err;

    cr_assert_eq(novt_vm_new(&vm, &c, &err), 0, "%s", err.cause);
    return vm;
}

Test(hmp, random_command_lines)
{
    static const char *const parts[] = {
        "x",
        "xp",
        "p",
        "print",
        "/",
        "/4xw",
        "/9i",
        "/3gd",
        "/70000xb",
        "/2c",
        "/xyz",
        " ",
        " ",
        "$eip",
        "$pc",
        "$foo",
        "0x100",
        "-1",
        "(",
        ")",
        "*",
        "%",
        "0",
        "~",
        "'a'",
        "0xffffffff",
        "info",
        "tlb",
        "mem",
        "pic",
        "irq",
        "registers",
        "mtree",
        "pci",
        "block",
        "status",
        "chardev",
        "help",
        "?",
        "sendkey",
        "ctrl-alt-delete",
        "a-b-c",
        "memsave",
        "/dev/null",
        "pmemsave",
        "\"",
        "#",
        "stop",
        "cont",
        "eject",
        "floppy0",
        "mouse_move",
        "mouse_button",
        "screendump",
        "nmi",
        "system_reset",
        "name",
        "uuid",
        "stats",
        "jit",
        "cpus",
        "network",
        "change",
        "\t",
        "\xff",
        "99999999999999999999",
    };
    static struct cli_io io;
    struct cli_options opt = {0};
    struct cli_control c = {.vm = machine(), .io = &io, .opt = &opt};
    char dir[] = "/tmp/novt-words-XXXXXX", clean[64];
    u32 seed = 13;
    size_t said = 0;

    cr_assert(mkdtemp(dir) && chdir(dir) == 0); /* words are files' names, too */

    for (unsigned i = 0; i < rounds(6000); i++) {
        char line[2048] = "";
        struct text out = {0};

        for (unsigned n = 1 + next(&seed) % 7; n; n--)
            strncat(line, parts[next(&seed) % ARRAY_SIZE(parts)], sizeof(line) - strlen(line) - 1);
        hmp_execute(&c, line, &out);
        said += out.n;
        text_free(&out);
    }
    cr_expect(said > 10000);
    novt_vm_free(c.vm);
    snprintf(clean, sizeof(clean), "rm -rf %s", dir);
    cr_expect_eq(system(clean), 0);
}

Test(qmp, random_objects)
{
    static const char *const parts[] = {
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"execute\":",
        "\"arguments\":",
        "\"id\":",
        "\"stop\"",
        "\"cont\"",
        "\"query-status\"",
        "{\"execute\":\"",
        "human-monitor-command",
        "\",\"arguments\":{\"command-line\":\"info status\"}}",
        "send-key",
        "\"keys\":[",
        "{\"type\":\"qcode\",\"data\":\"a\"}",
        "query-block\"}",
        "query-commands\"}",
        "1",
        "-1e9",
        "null",
        "\"\\u0000\"",
        "\"\\ud800\"",
        "'x'",
        "\n",
        "\xff",
        "input-send-event",
        "\"events\":[",
        "{\"type\":\"rel\",\"data\":{\"axis\":\"x\",\"value\":1}}",
        "memsave",
        "\"val\":1,\"size\":4096,\"filename\":\"/dev/null\"",
    };
    static struct cli_io io;
    struct cli_options opt = {0};
    struct cli_control *c = calloc(1, sizeof(*c));
    struct control_end *e;
    char dir[] = "/tmp/novt-objects-XXXXXX", clean[64];
    u32 seed = 17;

    cr_assert(c);
    cr_assert(mkdtemp(dir) && chdir(dir) == 0); /* words are files' names, too */
    c->vm = machine();
    c->io = &io;
    c->opt = &opt;
    pthread_mutex_init(&c->lock, NULL);
    c->ends = 1;
    e = &c->end[0];
    e->control = c;
    e->qmp = true;
    e->out_fd = open("/dev/null", O_WRONLY);
    qmp_open(e);
    for (const char *at = "{\"execute\":\"qmp_capabilities\"}"; *at; at++)
        qmp_feed(e, (u8)*at);
    cr_assert(e->negotiated);
    for (unsigned i = 0; i < rounds(60000); i++) {
        for (const char *at = parts[next(&seed) % ARRAY_SIZE(parts)]; *at; at++)
            qmp_feed(e, (u8)*at);
        if (e->out.n > 65536)
            text_drop(&e->out, e->out.n);
    }
    cr_expect(e->out.n > 0);
    close(e->out_fd);
    text_free(&e->out);
    frame_free(&e->frame);
    novt_vm_free(c->vm);
    free(c);
    snprintf(clean, sizeof(clean), "rm -rf %s", dir);
    cr_expect_eq(system(clean), 0);
}
