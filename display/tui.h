/*
 * tui.h - between the terminal's screen (tui.c) and its keys (tui_keys.c).
 *
 * A key of the terminal becomes a stroke for the guest or a command for the display.
 */
#ifndef NOVT_DISPLAY_TUI_H
#define NOVT_DISPLAY_TUI_H

#include <wchar.h>

#include "display/parts.h"

/* Does terminfo know the terminal that TERM names, and that text can be placed on it? */
bool tui_terminal_known(void);

/* Sequences of modified keys, which terminfo does not know. Call once the terminal is up. */
void tui_keys_define(void);

/* What a key of the terminal types: a stroke for novt_vm_send_keys(), "" if nothing. wide: a character, else a key code of curses.
 * alt: an Escape came just before it. */
void tui_stroke(bool wide, wint_t key, bool alt, char *to, size_t bytes);

#endif
