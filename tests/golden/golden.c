/*
 * golden.c - golden translation tests: guest bytes, what the decoder says of them, and the host code emitted.
 *
 *   golden FILE...            compares; one line a case, exit 1 when one differs
 *   golden --rebase FILE...   writes what is true today into the files: review the difference before you commit it
 *
 * A file holds cases: "case NAME", "mode WORD...", "code HEX...", then the expected lines, each behind "| ".
 * Other lines are kept as they are. listing.c makes the expected lines; the words of "mode" are in the table below.
 * Every block goes through the verifier, too.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "golden.h"

/* Words of the mode line. Default: flat 32-bit protected mode, ring 0, SSE on. */
static const struct {
    const char *word;
    u32 set, clear;
} mode_words[] = {
    {"32", 0, 0},
    {"16", 0, MODE_CS32 | MODE_SS32},
    {"ss16", 0, MODE_SS32},
    {"ss32", MODE_SS32, 0},
    {"ivt", MODE_IVT, 0},
    {"real", 0, MODE_CS32 | MODE_SS32 | MODE_PE},
    {"v86", MODE_VM | MODE_CPL3 | 3u << MODE_CPL_SHIFT, MODE_CS32 | MODE_SS32 | MODE_IOPL_OK},
    {"user", MODE_CPL3 | 3u << MODE_CPL_SHIFT, MODE_IOPL_OK},
    {"tsd", MODE_TSD, 0},
    {"ts", MODE_TS | MODE_NM, 0},
    {"mp", MODE_MP, 0},
    {"em", MODE_EM | MODE_NM, 0},
    {"nosse", 0, MODE_SSE},
};

static bool segment_word(struct golden_case *c, const char *w)
{
    static const char segs[] = "escsssdsfsgs", *const classes[] = {"flat", "based", "limit", "check"};
    for (unsigned seg = 0; seg < SEG_COUNT; seg++)
        for (unsigned cls = 0; cls < ARRAY_SIZE(classes); cls++)
            if (!strncmp(w, segs + 2 * seg, 2) && w[2] == '=' && !strcmp(w + 3, classes[cls])) {
                c->mode = (c->mode & ~(3u << (MODE_SEG_SHIFT + 2 * seg))) | cls << (MODE_SEG_SHIFT + 2 * seg);
                return true;
            }
    return false;
}

static bool mode_word(struct golden_case *c, const char *w)
{
    for (unsigned i = 0; i < ARRAY_SIZE(mode_words); i++)
        if (!strcmp(w, mode_words[i].word)) {
            c->mode = (c->mode | mode_words[i].set) & ~mode_words[i].clear;
            if (!strcmp(w, "real") || !strcmp(w, "v86")) {
                c->cs_limit = 0xffff;
                for (unsigned seg = 0; seg < SEG_COUNT; seg++)
                    c->mode |= SEGC_LIMIT << (MODE_SEG_SHIFT + 2 * seg);
            }
            return true;
        }
    if (!strcmp(w, "selfcheck"))
        c->selfcheck = true;
    else if (!strcmp(w, "slowmem"))
        c->slow_mem = true;
    else if (!strcmp(w, "stubs"))
        c->stubs = true;
    else if (!strncmp(w, "max=", 4))
        c->max_insns = (u32)strtoul(w + 4, NULL, 0);
    else if (!strncmp(w, "limit=", 6))
        c->cs_limit = (u32)strtoul(w + 6, NULL, 0);
    else
        return segment_word(c, w);
    return true;
}

/* Splits a line of words; false at the first one that is not understood. */
static bool each_word(struct golden_case *c, const char *line,
                      bool (*word)(struct golden_case *c, const char *w))
{
    char copy[1024], *save = NULL;
    snprintf(copy, sizeof(copy), "%s", line);
    for (char *w = strtok_r(copy, " \n", &save); w; w = strtok_r(NULL, " \n", &save))
        if (!word(c, w)) {
            fprintf(stderr, "golden: case %s: \"%s\" is not understood\n", c->name, w);
            return false;
        }
    return true;
}

static bool code_word(struct golden_case *c, const char *w)
{
    char *end;
    unsigned long v = strtoul(w, &end, 16);
    if (*end || v > 255 || c->n_bytes == sizeof(c->bytes))
        return false;
    c->bytes[c->n_bytes++] = (u8)v;
    return true;
}

/* One file, read line by line into memory: the new text, and whether it says the same as the old. */
struct pass {
    FILE *in, *out;
    char *wanted, *got; /* expected lines of the current case; the true ones */
    size_t wanted_size, got_size;
    struct golden_case c;
    unsigned cases, failed;
};

static bool finish_case(struct pass *p)
{
    if (!p->got)
        return true;
    if (strcmp(p->wanted ? p->wanted : "", p->got)) {
        printf("not ok %s\n--- expected\n%s--- got\n%s", p->c.name, p->wanted ? p->wanted : "", p->got);
        p->failed++;
    } else {
        printf("ok %s\n", p->c.name);
    }
    p->cases++;
    free(p->got);
    free(p->wanted);
    p->got = p->wanted = NULL;
    return true;
}

static bool take_line(struct pass *p, const char *line)
{
    if (!strncmp(line, "| ", 2) || !strcmp(line, "|\n")) {
        size_t have = p->wanted ? strlen(p->wanted) : 0, n = strlen(line);
        p->wanted = realloc(p->wanted, have + n + 1);
        memcpy(p->wanted + have, line, n + 1);
        return true;
    }
    finish_case(p);
    fputs(line, p->out);
    if (!strncmp(line, "case ", 5)) {
        p->c = (struct golden_case){.mode = MODE_CS32 | MODE_SS32 | MODE_PE | MODE_IOPL_OK | MODE_SSE,
                                    .cs_limit = 0xffffffffu};
        snprintf(p->c.name, sizeof(p->c.name), "%.*s", (int)strcspn(line + 5, "\n"), line + 5);
    } else if (!strncmp(line, "mode ", 5)) {
        return each_word(&p->c, line + 5, mode_word);
    } else if (!strncmp(line, "code ", 5)) {
        if (!each_word(&p->c, line + 5, code_word))
            return false;
        p->got = golden_listing(&p->c);
        fputs(p->got, p->out);
    } else if (line[0] != '\n' && line[0] != '#') {
        fprintf(stderr, "golden: line \"%.40s\" is neither case, mode, code, # nor |\n", line);
        return false;
    }
    return true;
}

static bool do_file(const char *path, bool rebase, struct pass *sum)
{
    char line[1024], *text = NULL;
    size_t size = 0;
    struct pass p = {.in = fopen(path, "r"), .out = open_memstream(&text, &size)};
    bool ok = p.in && p.out;
    if (!p.in)
        perror(path);
    while (ok && fgets(line, sizeof(line), p.in))
        ok = take_line(&p, line);
    finish_case(&p);
    if (p.in)
        fclose(p.in);
    if (p.out)
        fclose(p.out);
    if (ok && rebase && p.failed) {
        FILE *f = fopen(path, "w");
        ok = f && fwrite(text, 1, size, f) == size;
        ok = f && fclose(f) == 0 && ok;
        p.failed = 0;
    }
    free(text);
    sum->cases += p.cases;
    sum->failed += p.failed;
    return ok;
}

int main(int argc, char **argv)
{
    bool rebase = argc > 1 && !strcmp(argv[1], "--rebase");
    struct pass sum = {0};
    if (argc < 2 + rebase) {
        fprintf(stderr, "usage: golden [--rebase] FILE...\n");
        return 2;
    }
    for (int i = 1 + rebase; i < argc; i++)
        if (!do_file(argv[i], rebase, &sum))
            return 2;
    printf("%u passed, %u failed\n", sum.cases - sum.failed, sum.failed);
    return sum.failed || !sum.cases;
}
