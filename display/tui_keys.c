/*
 * tui_keys.c - what the terminal sends for a key, as a stroke of the guest's keyboard.
 *
 * A terminal sends characters, not keys, and tells of no release. Characters go back to the key that types them on a US keyboard;
 * function keys come by curses' codes; keys with Shift, Alt or Ctrl by the sequences that xterm made common.
 */
#define NCURSES_WIDECHAR 1
#include <curses.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "display/tui.h"

#include <term.h> /* last: its macros have everyday names */

#define OWN_CODE 2048 /* above curses' own: + row * 8 + modifiers */

/* xterm: CSI 1;M final or CSI number;M ~, M being 1 + (1 Shift, 2 Alt, 4 Ctrl). */
static const struct {
    const char *before, *after, *key;
} modified[] = {
    {"1", "A", "up"},   {"1", "B", "down"}, {"1", "C", "right"}, {"1", "D", "left"},   {"1", "H", "home"},
    {"1", "F", "end"},  {"1", "P", "f1"},   {"1", "Q", "f2"},    {"1", "R", "f3"},     {"1", "S", "f4"},
    {"15", "~", "f5"},  {"17", "~", "f6"},  {"18", "~", "f7"},   {"19", "~", "f8"},    {"20", "~", "f9"},
    {"21", "~", "f10"}, {"23", "~", "f11"}, {"24", "~", "f12"},  {"2", "~", "insert"}, {"3", "~", "delete"},
    {"5", "~", "pgup"}, {"6", "~", "pgdn"},
};

static const struct {
    int code;
    const char *stroke;
} codes[] = {
    {KEY_UP, "up"},
    {KEY_DOWN, "down"},
    {KEY_LEFT, "left"},
    {KEY_RIGHT, "right"},
    {KEY_HOME, "home"},
    {KEY_END, "end"},
    {KEY_NPAGE, "pgdn"},
    {KEY_PPAGE, "pgup"},
    {KEY_IC, "insert"},
    {KEY_DC, "delete"},
    {KEY_BACKSPACE, "backspace"},
    {KEY_ENTER, "kp_enter"},
    {KEY_BTAB, "shift-tab"},
    {KEY_SLEFT, "shift-left"},
    {KEY_SRIGHT, "shift-right"},
    {KEY_SR, "shift-up"},
    {KEY_SF, "shift-down"},
    {KEY_SHOME, "shift-home"},
    {KEY_SEND, "shift-end"},
    {KEY_SDC, "shift-delete"},
    {KEY_SIC, "shift-insert"},
    {KEY_SNEXT, "shift-pgdn"},
    {KEY_SPREVIOUS, "shift-pgup"},
    {KEY_A1, "kp_7"},
    {KEY_A3, "kp_9"},
    {KEY_B2, "kp_5"},
    {KEY_C1, "kp_1"},
    {KEY_C3, "kp_3"},
    {KEY_PRINT, "print"},
    {KEY_HELP, "help"},
    {KEY_UNDO, "undo"},
};

bool tui_terminal_known(void)
{
    int rc;

    if (setupterm(NULL, STDOUT_FILENO, &rc) != OK)
        return false;
    bool places = cursor_address != NULL;
    del_curterm(cur_term);
    return places;
}

void tui_keys_define(void)
{
    char seq[16];

    for (unsigned i = 0; i < ARRAY_SIZE(modified); i++)
        for (unsigned mod = 1; mod < 8; mod++) {
            snprintf(seq, sizeof(seq), "\033[%s;%u%s", modified[i].before, mod + 1, modified[i].after);
            define_key(seq, (int)(OWN_CODE + i * 8 + mod));
        }
}

static void stroke(char *to, size_t bytes, unsigned mods, const char *key)
{
    snprintf(to, bytes, "%s%s%s%s", mods & 4 ? "ctrl-" : "", mods & 2 ? "alt-" : "", mods & 1 ? "shift-" : "",
             key);
}

static void code_stroke(int code, unsigned mods, char *to, size_t bytes)
{
    unsigned own = (unsigned)code - OWN_CODE;
    char key[8];

    if (code >= OWN_CODE && own / 8 < ARRAY_SIZE(modified)) {
        stroke(to, bytes, mods | (own & 7), modified[own / 8].key);
        return;
    }
    if (code > KEY_F(0) &&
        code <= KEY_F(60)) { /* terminfo: kf13-24 Shift, 25-36 Ctrl, 37-48 both, 49-60 Alt */
        static const u8 with[] = {0, 1, 4, 5, 2};
        unsigned n = (unsigned)(code - KEY_F(1));

        snprintf(key, sizeof(key), "f%u", n % 12 + 1);
        stroke(to, bytes, mods | with[n / 12], key);
        return;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(codes); i++)
        if (codes[i].code == code)
            stroke(to, bytes, mods, codes[i].stroke);
}

void tui_stroke(bool wide, wint_t key, bool alt, char *to, size_t bytes)
{
    unsigned mods = alt ? 2 : 0;
    const char *name;
    int shift;

    *to = 0;
    if (!wide) {
        code_stroke((int)key, mods, to, bytes);
        return;
    }
    switch (key) {
    case '\r': name = "ret"; break;
    case '\t': name = "tab"; break;
    case 0x7f: name = "backspace"; break;
    case 0x1b: name = "esc"; break;
    case 0:
        name = "2";
        mods |= 4;
        break;
    default:
        if (key < ' ') { /* 1Ch-1Fh: \ ] ^ _ */
            mods |= 4;
            key += key <= 26 ? 'a' - 1 : '@';
        }
        name = keysym_key(key, &shift);
        if (shift > 0)
            mods |= 1;
        break;
    }
    if (name && key <= 0x7f)
        stroke(to, bytes, mods, name);
}
