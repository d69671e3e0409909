/*
 * cli_text.c - a text that grows, up to a limit.
 *
 * Room doubles, so that a long answer costs few copies. Whoever builds an answer need not check each piece: a text that was cut
 * stays a valid string.
 */
#include "monitor/cli_text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool make_room(struct text *t, size_t n)
{
    size_t room = t->room ? t->room : 256;
    char *buf;

    if (n >= TEXT_MAX_BYTES || t->n + n >= TEXT_MAX_BYTES)
        return false;
    while (room < t->n + n + 1)
        room *= 2;
    if (room == t->room)
        return true;
    buf = realloc(t->buf, room);
    if (!buf)
        return false;
    t->buf = buf;
    t->room = room;
    return true;
}

void text_put(struct text *t, const char *buf, size_t n)
{
    if (t->cut || !make_room(t, n)) {
        t->cut = true;
        return;
    }
    memcpy(t->buf + t->n, buf, n);
    t->n += n;
    t->buf[t->n] = 0;
}

void text_puts(struct text *t, const char *s)
{
    text_put(t, s, strlen(s));
}

void text_printf(struct text *t, const char *fmt, ...)
{
    char line[512];
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    if (n > 0)
        text_put(t, line, (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1);
}

const char *text_str(const struct text *t)
{
    return t->buf ? t->buf : "";
}

void text_drop(struct text *t, size_t n)
{
    memmove(t->buf, t->buf + n, t->n - n + 1);
    t->n -= n;
    t->cut = false;
}

void text_free(struct text *t)
{
    free(t->buf);
    *t = (struct text){0};
}
