/*
 * cli_line.h - a line of input with editing, history and completion, fed byte by byte.
 *
 * It owns no descriptor and no terminal mode, so it serves a terminal, a terminal shared with a serial line and a socket alike (a
 * library's line editor wants a terminal of its own to wait on). Output is what a VT100 shows.
 */
#ifndef NOVT_CLI_LINE_H
#define NOVT_CLI_LINE_H

#include "base.h"

#define LINE_BYTES 1024u
#define LINE_HISTORY 64u

struct line {
    char buf[LINE_BYTES];
    u32 n, at; /* length, cursor */
    char *history[LINE_HISTORY];
    u32 entries, recall;    /* recall == entries: not in the history */
    char draft[LINE_BYTES]; /* the unfinished line while the history is shown */
    u8 escape;              /* state of an escape sequence */
    u8 param;
    bool after_cr;
    void *opaque;
    void (*put)(void *opaque, const char *buf, size_t n);
    void (*run)(void *opaque, const char *line);
    /* The n-th word that can stand where the last word of `line` begins; NULL: no more. May be NULL. */
    const char *(*word)(void *opaque, const char *line, unsigned n);
};

void line_init(struct line *l);
void line_feed(struct line *l, u8 c);
void line_prompt(struct line *l); /* prompt and what is typed so far */
void line_clear(struct line *l);  /* a new client: nothing typed */
void line_free(struct line *l);

#endif
