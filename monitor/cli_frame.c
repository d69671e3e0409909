/*
 * cli_frame.c - cuts a stream of bytes into JSON values.
 *
 * Outside a value white space is skipped; a value that is not an object or array ends with its line. FRAME_BAD is said
 * once, for the byte that showed it; a byte FFh, which clients send to be understood again, starts anew.
 */
#include "monitor/cli_frame.h"

#include <stdlib.h>

void frame_reset(struct frame_in *f)
{
    if (f->text.room > 65536)
        text_free(&f->text);
    f->text.n = 0;
    f->text.cut = false;
    f->depth = 0;
    f->quote = 0;
    f->escaped = false;
}

void frame_free(struct frame_in *f)
{
    text_free(&f->text);
    *f = (struct frame_in){0};
}

static void keep(struct frame_in *f, char c)
{
    text_put(&f->text, &c, 1);
}

static enum frame_result bad(struct frame_in *f, bool line_ended)
{
    frame_reset(f);
    f->skipping = !line_ended;
    return FRAME_BAD;
}

static void in_string(struct frame_in *f, char c)
{
    if (f->escaped) {
        f->escaped = false;
        if (c != '\'') /* JSON has no such escape */
            keep(f, '\\');
        keep(f, c);
        return;
    }
    if (c == '\\') {
        f->escaped = true;
    } else if (c == f->quote) {
        f->quote = 0;
        keep(f, '"');
    } else {
        if (c == '"')
            keep(f, '\\');
        keep(f, c);
    }
}

enum frame_result frame_feed(struct frame_in *f, u8 byte)
{
    char c = (char)byte;

    if (byte == 0xff && !f->quote) {
        frame_reset(f);
        f->skipping = false;
        return FRAME_MORE;
    }
    if (f->skipping) {
        f->skipping = c != '\n';
        return FRAME_MORE;
    }
    if (f->text.n >= FRAME_MAX_BYTES)
        return bad(f, c == '\n' && !f->quote);
    if (f->quote) {
        if (c == '\n') /* no string goes over a line's end */
            return bad(f, true);
        in_string(f, c);
        return FRAME_MORE;
    }
    if (!f->text.n && (c == ' ' || c == '\t' || c == '\r' || c == '\n'))
        return FRAME_MORE;
    if (c == '"' || c == '\'') {
        f->quote = c;
        keep(f, '"');
        return FRAME_MORE;
    }
    if (!f->depth && c == '\n')
        return FRAME_WHOLE; /* a number or a word; the parser says what is wrong with it */
    keep(f, c);
    if (c == '{' || c == '[') {
        if (++f->depth > FRAME_MAX_DEPTH)
            return bad(f, false);
    } else if (c == '}' || c == ']') {
        if (!f->depth)
            return bad(f, false);
        if (!--f->depth)
            return FRAME_WHOLE;
    }
    return FRAME_MORE;
}
