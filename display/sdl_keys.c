/*
 * sdl_keys.c - the keys of USB's keyboard page (HID Usage Tables, 10) by QEMU's names.
 *
 * SDL calls these usages scan codes.
 */
#include "display/sdl_keys.h"

#include "base.h"

static const char *const keys[] = {
    [4] = "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r", "s", "t", "u", "v",
    "w", "x", "y", "z", "1", "2", "3", "4", "5", "6", "7", "8", "9", "0", "ret", "esc", "backspace", "tab", "spc", "minus",
    "equal", "bracket_left", "bracket_right", "backslash", "backslash", "semicolon", "apostrophe", "grave_accent", "comma",
    "dot", "slash", "caps_lock", "f1", "f2", "f3", "f4", "f5", "f6", "f7", "f8", "f9", "f10", "f11", "f12", "print",
    "scroll_lock", "pause", "insert", "home", "pgup", "delete", "end", "pgdn", "right", "left", "down", "up", "num_lock",
    "kp_divide", "kp_multiply", "kp_subtract", "kp_add", "kp_enter", "kp_1", "kp_2", "kp_3", "kp_4", "kp_5", "kp_6", "kp_7",
    "kp_8", "kp_9", "kp_0", "kp_decimal", "less", "compose", "power", "kp_equals", "f13", "f14", "f15", "f16", "f17", "f18",
    "f19", "f20", "f21", "f22", "f23", "f24",
    [117] = "help", "menu", [120] = "stop", "again", "undo", "cut", "copy", "paste", "find", "audiomute", "volumeup",
    "volumedown", [133] = "kp_comma", [135] = "ro", "katakanahiragana", "yen", "henkan", "muhenkan",
    [224] = "ctrl", "shift", "alt", "meta_l", "ctrl_r", "shift_r", "alt_r", "meta_r",
};

const char *sdl_key(unsigned scancode)
{
    return scancode < ARRAY_SIZE(keys) ? keys[scancode] : NULL;
}
