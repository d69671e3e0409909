/*
 * test_keys.c - every key that a display can name is one that the PC's keyboard has, and characters get the right one.
 *
 * The machine here has no firmware and does not run: it only says whether it knows a name.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#define NCURSES_WIDECHAR 1
#include <curses.h>

#include "display/parts.h"
#include "display/sdl_keys.h"
#include "display/tui.h"

static struct novt_vm *machine(void)
{
    struct novt_config c = {.ram_bytes = 1 << 20, .no_firmware = true, .engine = NOVT_ENGINE_BT};
    struct novt_error err;
    struct novt_vm *vm = NULL;

    cr_assert_eq(novt_vm_new(&vm, &c, &err), 0, "%s", err.cause);
    return vm;
}

static bool known(struct novt_vm *vm, const char *stroke)
{
    char copy[64], *at = copy;

    snprintf(copy, sizeof(copy), "%s", stroke);
    for (char *name; (name = strsep(&at, "-"));)
        if (novt_vm_key(vm, name, true) == -EINVAL || novt_vm_key(vm, name, false) == -EINVAL)
            return false;
    return true;
}

Test(keys, every_name_is_known)
{
    struct novt_vm *vm = machine();
    char stroke[64];
    int shift;
    unsigned n = 0;

    cr_assert_not(known(vm, "nokey"));
    for (u32 sym = 0; sym < 0x10000; sym++) {
        const char *key = keysym_key(sym, &shift);

        cr_assert(!key || known(vm, key), "keysym %04x: %s", sym, key);
        n += key != NULL;
    }
    cr_assert_gt(n, 150);
    for (unsigned code = 0; code < 1000; code++)
        cr_assert(!sdl_key(code) || known(vm, sdl_key(code)), "%u: %s", code, sdl_key(code));
    cr_assert_str_eq(sdl_key(4), "a");
    cr_assert_str_eq(sdl_key(40), "ret");
    cr_assert_str_eq(sdl_key(82), "up");
    cr_assert_str_eq(sdl_key(99), "kp_decimal");
    cr_assert_str_eq(sdl_key(115), "f24");
    cr_assert_str_eq(sdl_key(231), "meta_r");
    for (unsigned wide = 0; wide < 2; wide++)
        for (wint_t key = 0; key < 4096; key++)
            for (unsigned alt = 0; alt < 2; alt++) {
                tui_stroke(wide, key, alt, stroke, sizeof(stroke));
                cr_assert(!stroke[0] || known(vm, stroke), "%u %04x: %s", wide, (unsigned)key, stroke);
            }
    novt_vm_free(vm);
}

Test(keys, characters)
{
    static const struct {
        u32 sym;
        const char *key;
        int shift;
    } want[] = {
        {'a', "a", 0},          {'A', "a", 1},
        {'1', "1", 0},          {'!', "1", 1},
        {'(', "9", 1},          {')', "0", 1},
        {'/', "slash", 0},      {'?', "slash", 1},
        {'"', "apostrophe", 1}, {'~', "grave_accent", 1},
        {' ', "spc", -1},       {0xff0d, "ret", -1},
        {0xffe1, "shift", -1},  {0xff7f, "num_lock", -1},
        {0xffff, "delete", -1},
    };
    static const struct {
        bool wide, alt;
        wint_t key;
        const char *stroke;
    } typed[] = {
        {true, false, 'a', "a"},
        {true, false, 'A', "shift-a"},
        {true, false, '|', "shift-backslash"},
        {true, true, 'x', "alt-x"},
        {true, true, 'X', "alt-shift-x"},
        {true, false, 3, "ctrl-c"},
        {true, false, 0x7f, "backspace"},
        {true, false, 8, "ctrl-h"},
        {true, false, 0x1b, "esc"},
        {true, false, '\r', "ret"},
        {true, false, '\n', "ctrl-j"},
        {true, false, '\t', "tab"},
        {true, false, 0x1c, "ctrl-backslash"},
        {true, false, 0x1f, "ctrl-shift-minus"},
        {true, false, 0xe9, ""},
        {true, false, 0xff08, ""},
        {false, false, KEY_F(1), "f1"},
        {false, false, KEY_F(12), "f12"},
        {false, false, KEY_F(13), "shift-f1"},
        {false, false, KEY_F(29), "ctrl-f5"},
        {false, false, KEY_F(60), "alt-f12"},
        {false, true, KEY_F(2), "alt-f2"},
        {false, false, KEY_UP, "up"},
        {false, false, KEY_BTAB, "shift-tab"},
        {false, false, KEY_DC, "delete"},
        {false, false, KEY_MOUSE, ""},
    };
    char stroke[64];
    int shift;

    for (unsigned i = 0; i < ARRAY_SIZE(want); i++) {
        const char *key = keysym_key(want[i].sym, &shift);

        cr_assert(key && !strcmp(key, want[i].key) && shift == want[i].shift, "%x: %s %d", want[i].sym, key,
                  shift);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(typed); i++) {
        tui_stroke(typed[i].wide, typed[i].key, typed[i].alt, stroke, sizeof(stroke));
        cr_assert_str_eq(stroke, typed[i].stroke, "%x: %s", (unsigned)typed[i].key, stroke);
    }
}

Test(keys, options)
{
    struct display_spec s = {0};
    struct novt_error err;

    cr_assert_eq(display_parse(&s, "none", &err), 0);
    cr_assert(!s.wanted[DISPLAY_TUI] && !s.wanted[DISPLAY_VNC] && !s.wanted[DISPLAY_SDL]);
    cr_assert_eq(display_parse(&s, "curses,charset=CP437", &err), 0);
    cr_assert(s.wanted[DISPLAY_TUI]);
    cr_assert_eq(display_parse(&s, "vnc=127.0.0.1:3,to=9", &err), 0);
    cr_assert(s.wanted[DISPLAY_VNC] && s.vnc_to == 9);
    cr_assert_str_eq(s.vnc, "127.0.0.1:3");
    cr_assert_eq(display_parse(&s, "sdl,full-screen=on,window-close=off", &err), 0);
    cr_assert(s.wanted[DISPLAY_SDL] && s.full_screen && s.window_close_off);
    static const char *const wrong[] = {
        "gtk",         "",           "curse",     "sdlx",    "sdl=on",
        "sdl,gl=on",   "vnc",        "vnc=",      "vnc=3",   "vnc=:1,tls-creds=x",
        "vnc=:1,to=x", "vnc=:1,to=", "spice-app", "cursesx", "sdl,show-cursor=on",
        "sdl,grab-mod=rctrl"};
    for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
        err.cause[0] = err.remedy[0] = 0;
        cr_assert_eq(display_parse(&s, wrong[i], &err), -EINVAL, "%s", wrong[i]);
        cr_assert(err.kind == NOVT_ERR_USAGE && err.cause[0] && err.remedy[0], "%s", wrong[i]);
    }
}
