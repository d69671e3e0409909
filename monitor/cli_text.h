/*
 * cli_text.h - a text that grows, up to a limit: what a command answers and what waits to be sent.
 *
 * Beyond TEXT_MAX_BYTES, or without memory, the rest is dropped and `cut` says so; nothing fails half-way.
 */
#ifndef NOVT_CLI_TEXT_H
#define NOVT_CLI_TEXT_H

#include "base.h"

#define TEXT_MAX_BYTES (8u << 20)

struct text {
    char *buf; /* with a 0 behind n, unless NULL */
    size_t n, room;
    bool cut;
};

void text_put(struct text *t, const char *buf, size_t n);
void text_puts(struct text *t, const char *s);
void text_printf(struct text *t, const char *fmt, ...) PRINTF_LIKE(2, 3);
const char *text_str(const struct text *t); /* never NULL */
void text_drop(struct text *t, size_t n);   /* the first n bytes */
void text_free(struct text *t);

#endif
