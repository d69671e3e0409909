/*
 * cli_line.c - a line of input with editing, history and completion, fed byte by byte.
 *
 * Keys are those of readline's Emacs mode: arrows, Home, End, Delete, Ctrl-A B D E F H K L N P U W, Tab. Characters are echoed as they
 * come,
 * as QEMU's monitor does, and scripts that read its prompt rely on. Bytes above 7Fh are kept as they are.
 */
#include "monitor/cli_line.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROMPT "(qemu) "
#define WORDS_SHOWN 200u

static void put(struct line *l, const char *s)
{
    l->put(l->opaque, s, strlen(s));
}

void line_init(struct line *l)
{
    memset(l, 0, sizeof(*l));
}

void line_free(struct line *l)
{
    for (u32 i = 0; i < l->entries; i++)
        free(l->history[i]);
    l->entries = 0;
}

void line_clear(struct line *l)
{
    l->n = l->at = 0;
    l->escape = 0;
    l->after_cr = false;
    l->recall = l->entries;
}

static void move_left(struct line *l, u32 columns)
{
    char seq[16];

    if (!columns)
        return;
    snprintf(seq, sizeof(seq), "\033[%uD", columns);
    put(l, seq);
}

void line_prompt(struct line *l)
{
    put(l, PROMPT);
    l->put(l->opaque, l->buf, l->n);
    move_left(l, l->n - l->at);
}

/* What stands behind `from`, anew, and the cursor back to its place. */
static void redraw(struct line *l, u32 from)
{
    l->put(l->opaque, l->buf + from, l->n - from);
    put(l, "\033[K");
    move_left(l, l->n - l->at);
}

static void insert(struct line *l, char c)
{
    if (l->n + 1 >= LINE_BYTES)
        return;
    memmove(l->buf + l->at + 1, l->buf + l->at, l->n - l->at);
    l->buf[l->at++] = c;
    l->n++;
    if (l->at == l->n)
        l->put(l->opaque, &c, 1);
    else
        redraw(l, l->at - 1);
}

static void erase(struct line *l, u32 from, u32 to)
{
    if (from >= to)
        return;
    memmove(l->buf + from, l->buf + to, l->n - to);
    l->n -= to - from;
    move_left(l, l->at > from ? l->at - from : 0);
    l->at = from;
    redraw(l, from);
}

static void move_to(struct line *l, u32 at)
{
    if (at < l->at)
        move_left(l, l->at - at);
    else
        l->put(l->opaque, l->buf + l->at, at - l->at);
    l->at = at;
}

static void replace(struct line *l, const char *text)
{
    size_t n = strnlen(text, LINE_BYTES - 1);

    move_left(l, l->at);
    memmove(l->buf, text, n);
    l->n = l->at = (u32)n;
    redraw(l, 0);
}

/* ---- history ---- */

static void remember(struct line *l)
{
    char *copy;

    if (!l->n || (l->entries && !strcmp(l->history[l->entries - 1], l->buf)))
        return;
    copy = strdup(l->buf);
    if (!copy)
        return;
    if (l->entries == LINE_HISTORY) {
        free(l->history[0]);
        memmove(l->history, l->history + 1, sizeof(l->history[0]) * --l->entries);
    }
    l->history[l->entries++] = copy;
}

static void recall(struct line *l, int step)
{
    if ((step < 0 && l->recall == 0) || (step > 0 && l->recall == l->entries))
        return;
    if (l->recall == l->entries) {
        l->buf[l->n] = 0;
        memcpy(l->draft, l->buf, l->n + 1);
    }
    l->recall += (u32)step;
    replace(l, l->recall == l->entries ? l->draft : l->history[l->recall]);
}

/* ---- completion ---- */

static u32 common(const char *a, const char *b)
{
    u32 n = 0;

    while (a[n] && a[n] == b[n])
        n++;
    return n;
}

static void complete(struct line *l)
{
    char line[LINE_BYTES];
    const char *first = NULL, *w;
    u32 start = l->at, len, same = 0, found = 0;

    if (!l->word)
        return;
    memcpy(line, l->buf, l->at);
    line[l->at] = 0;
    while (start && line[start - 1] != ' ')
        start--;
    len = l->at - start;
    for (unsigned n = 0; (w = l->word(l->opaque, line, n)); n++) {
        if (strncmp(w, line + start, len))
            continue;
        same = found++ ? (common(first, w) < same ? common(first, w) : same) : (u32)strlen(w);
        if (!first)
            first = w;
    }
    if (!found)
        return;
    for (u32 i = len; i < same; i++)
        insert(l, first[i]);
    if (found == 1) {
        insert(l, ' ');
        return;
    }
    if (same > len)
        return;
    put(l, "\r\n");
    for (unsigned n = 0, shown = 0; (w = l->word(l->opaque, line, n)) && shown < WORDS_SHOWN; n++) {
        if (strncmp(w, line + start, len))
            continue;
        put(l, shown++ ? "  " : "");
        put(l, w);
    }
    put(l, "\r\n");
    line_prompt(l);
}

/* ---- keys ---- */

static void enter(struct line *l)
{
    char text[LINE_BYTES];

    put(l, "\r\n");
    l->buf[l->n] = 0;
    memcpy(text, l->buf, l->n + 1);
    remember(l);
    l->n = l->at = 0;
    l->recall = l->entries;
    l->run(l->opaque, text);
}

static void erase_word(struct line *l)
{
    u32 from = l->at;

    while (from && l->buf[from - 1] == ' ')
        from--;
    while (from && l->buf[from - 1] != ' ')
        from--;
    erase(l, from, l->at);
}

static void control_key(struct line *l, u8 c)
{
    switch (c) {
    case 'A': move_to(l, 0); break;
    case 'B':
        if (l->at)
            move_to(l, l->at - 1);
        break;
    case 'D': erase(l, l->at, l->at < l->n ? l->at + 1 : l->at); break;
    case 'E': move_to(l, l->n); break;
    case 'F':
        if (l->at < l->n)
            move_to(l, l->at + 1);
        break;
    case 'H': erase(l, l->at ? l->at - 1 : 0, l->at); break;
    case 'I': complete(l); break;
    case 'K': erase(l, l->at, l->n); break;
    case 'L':
        put(l, "\033[H\033[2J");
        line_prompt(l);
        break;
    case 'N': recall(l, 1); break;
    case 'P': recall(l, -1); break;
    case 'U': erase(l, 0, l->at); break;
    case 'W': erase_word(l); break;
    default: break;
    }
}

/* ESC [ A .. D, H, F, ESC O the same, ESC [ n ~ */
static void escape_key(struct line *l, u8 c)
{
    static const char codes[] = "A"
                                "P"
                                "B"
                                "N"
                                "C"
                                "F"
                                "D"
                                "B"
                                "H"
                                "A"
                                "F"
                                "E"; /* final byte, control key */

    if (l->escape == 1) {
        l->escape = c == '[' || c == 'O' ? 2 : 0;
        l->param = 0;
        return;
    }
    if (c >= '0' && c <= '9') {
        l->param = (u8)(l->param * 10 + (c - '0'));
        return;
    }
    if (c == ';')
        return;
    l->escape = 0;
    if (c == '~') {
        control_key(l, l->param == 1 || l->param == 7   ? 'A'
                       : l->param == 4 || l->param == 8 ? 'E'
                       : l->param == 3                  ? 'D'
                                                        : 0);
        return;
    }
    for (size_t i = 0; codes[i]; i += 2)
        if ((u8)codes[i] == c)
            control_key(l, (u8)codes[i + 1]);
}

void line_feed(struct line *l, u8 c)
{
    bool second = c == '\n' && l->after_cr;

    l->after_cr = c == '\r';
    if (l->escape)
        escape_key(l, c);
    else if (c == '\r' || c == '\n') {
        if (!second)
            enter(l);
    } else if (c == 27)
        l->escape = 1;
    else if (c == 127)
        control_key(l, 'H');
    else if (c < 32)
        control_key(l, (u8)(c + 64));
    else
        insert(l, (char)c);
}
