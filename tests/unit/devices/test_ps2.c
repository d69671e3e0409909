/*
 * test_ps2.c - keyboard and mouse behind the controller: scan sets, typematic, answers, packets, what a slow guest loses (nothing).
 *
 * The board is a controller with a clock that the test moves; codes are compared with those of Microsoft's specification.
 */
#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdio.h>

#include "board.h"
#include "devices/i8042.h"

struct desk {
    struct board *b;
    struct i8042 kc;
    struct a20 a20;
};

static struct desk *desk_new(u8 mode)
{
    struct desk *d = calloc(1, sizeof(*d));
    d->b = board_new();
    const struct i8042_wires wires = {
        .clk = &d->b->clk, .irq_kbd = board_line(d->b, 1), .irq_aux = board_line(d->b, 2), .a20 = &d->a20};
    cr_assert_eq(i8042_init(&d->kc, &d->b->io, &wires), 0);
    outb(d->b, 0x64, 0x60);
    outb(d->b, 0x60, mode);
    return d;
}

static void desk_free(struct desk *d)
{
    free(d->b);
    free(d);
}

/* The next byte, waiting at most 20 ms; -1: none. */
static int get(struct desk *d)
{
    for (unsigned i = 0; i < 200 && !(inb(d->b, 0x64) & 1); i++)
        board_run(d->b, 100 * US);
    return inb(d->b, 0x64) & 1 ? inb(d->b, 0x60) : -1;
}

static void key(struct desk *d, const char *name, bool down)
{
    cr_assert_geq(key_find(name), 0, "%s", name);
    cr_assert(i8042_key(&d->kc, (unsigned)key_find(name), down));
}

/* "e0 48" and nothing after it. */
static void expect(struct desk *d, const char *want)
{
    char have[256] = "";
    size_t n = 0;
    for (int v; (v = get(d)) >= 0 && n < 240;)
        n += (size_t)snprintf(have + n, sizeof(have) - n, n ? " %02x" : "%02x", v);
    cr_assert_str_eq(have, want);
}

static void kbd_command(struct desk *d, int first, ...)
{
    va_list ap;
    va_start(ap, first);
    for (int v = first; v >= 0; v = va_arg(ap, int)) {
        outb(d->b, 0x60, (u32)v);
        cr_assert_eq(get(d), 0xfa, "%02x", v);
    }
    va_end(ap);
}

static void aux_command(struct desk *d, int first, ...)
{
    va_list ap;
    va_start(ap, first);
    for (int v = first; v >= 0; v = va_arg(ap, int)) {
        outb(d->b, 0x64, 0xd4);
        outb(d->b, 0x60, (u32)v);
        cr_assert_eq(get(d), 0xfa, "%02x", v);
    }
    va_end(ap);
}

Test(ps2, names_and_codes)
{
    bool shift, ctrl;
    cr_assert_str_eq(key_get((unsigned)key_find("0x1c"))->name, "ret");
    cr_assert_str_eq(key_get((unsigned)key_find("0xe048"))->name, "up");
    cr_assert_str_eq(key_get((unsigned)key_find("0xc8"))->name, "up");
    cr_assert_eq(key_find("0x"), -1);
    cr_assert_eq(key_find("0x1cz"), -1);
    cr_assert_eq(key_find("rett"), -1);
    cr_assert_eq(key_find(""), -1);
    for (unsigned i = 0; key_get(i); i++) {
        cr_assert_eq(key_find(key_get(i)->name), (int)i, "%s is there twice", key_get(i)->name);
        cr_assert_lt(i, KEYS_MAX);
    }
    static const char *const typed[][2] = {
        {"a", "a"},         {"Z", "z"},     {"!", "1"},     {"~", "grave_accent"}, {"\"", "apostrophe"},
        {"|", "backslash"}, {"?", "slash"}, {"_", "minus"}, {"{", "bracket_left"}, {"\n", "ret"},
        {"\x1b", "esc"},    {"\x03", "c"}};
    for (unsigned i = 0; i < ARRAY_SIZE(typed); i++)
        cr_assert_str_eq(key_get((unsigned)key_of_char(typed[i][0][0], &shift, &ctrl))->name, typed[i][1]);
    for (int c = ' '; c < 0x7f; c++)
        cr_assert_geq(key_of_char((char)c, &shift, &ctrl), 0, "%c", c);
    cr_assert_geq(key_of_char('\x03', &shift, &ctrl), 0);
    cr_assert(ctrl && !shift);
    cr_assert_geq(key_of_char('A', &shift, &ctrl), 0);
    cr_assert(!ctrl && shift);
    cr_assert_eq(key_of_char((char)0xe4, &shift, &ctrl), -1);
}

Test(ps2, every_key_makes_and_breaks_in_set_1)
{
    struct desk *d = desk_new(0x41);
    char want[32];
    for (unsigned i = 0; key_get(i); i++) {
        const struct key *k = key_get(i);
        if (k->kind >= KEY_PRINT)
            continue;
        snprintf(want, sizeof(want), k->xt & KEY_GREY ? "e0 %02x" : "%02x", k->xt & 0x7f);
        key(d, k->name, true);
        expect(d, want);
        snprintf(want, sizeof(want), k->xt & KEY_GREY ? "e0 %02x" : "%02x", k->xt | 0x80);
        key(d, k->name, false);
        expect(d, want);
    }
    desk_free(d);
}

Test(ps2, sets_untranslated)
{
    struct desk *d = desk_new(0x01);
    key(d, "a", true);
    key(d, "a", false);
    key(d, "up", true);
    key(d, "up", false);
    key(d, "f7", true);
    expect(d, "1c f0 1c e0 75 e0 f0 75 83");
    key(d, "f7", false);
    expect(d, "f0 83");
    kbd_command(d, 0xf0, 1, -1);
    key(d, "a", true);
    key(d, "a", false);
    key(d, "up", true);
    key(d, "up", false);
    expect(d, "1e 9e e0 48 e0 c8");
    kbd_command(d, 0xf0, 3, -1);
    key(d, "a", true);
    key(d, "a", false); /* says nothing */
    key(d, "shift", true);
    key(d, "shift", false);
    expect(d, "1c 12 f0 12");
    kbd_command(d, 0xf8, -1); /* all keys tell */
    key(d, "a", true);
    key(d, "a", false);
    expect(d, "1c f0 1c");
    outb(d->b, 0x60, 0xf0);
    cr_assert_eq(get(d), 0xfa);
    outb(d->b, 0x60, 0);
    expect(d, "fa 03");
    desk_free(d);
}

Test(ps2, pause_print_and_sysrq)
{
    struct desk *d = desk_new(0x41);
    key(d, "pause", true);
    key(d, "pause", false);
    expect(d, "e1 1d 45 e1 9d c5");
    key(d, "print", true);
    key(d, "print", false);
    expect(d, "e0 2a e0 37 e0 b7 e0 aa");
    key(d, "alt", true);
    key(d, "print", true);
    key(d, "print", false);
    key(d, "alt", false);
    expect(d, "38 54 d4 b8");
    key(d, "ctrl", true);
    key(d, "pause", true);
    key(d, "pause", false);
    key(d, "ctrl", false);
    expect(d, "1d e0 46 e0 c6 9d");
    desk_free(d);
}

Test(ps2, typematic_has_the_rate_that_the_guest_set)
{
    struct desk *d = desk_new(0x41);
    key(d, "x", true);
    expect(d, "2d");
    key(d, "x", true); /* what a host's own repeat sends */
    expect(d, "");
    board_run(d->b, 440 * MS); /* 500 ms to the first, 91.7 ms from then on; expect() takes 20 ms each */
    expect(d, "");
    board_run(d->b, 20 * MS);
    expect(d, "2d");
    board_run(d->b, 71 * MS);
    expect(d, "2d");
    key(d, "y", true); /* the newest key repeats */
    key(d, "x", false);
    expect(d, "15 ad");
    board_run(d->b, 500 * MS);
    cr_assert_eq(get(d), 0x15);
    key(d, "y", false);
    expect(d, "95");
    board_run(d->b, 2000 * MS);
    expect(d, "");
    kbd_command(d, 0xf3, 0x00, -1); /* 250 ms, then 30 a second */
    key(d, "x", true);
    unsigned n = 0;
    for (u64 end = d->b->now_ns + 1250 * MS; d->b->now_ns < end; board_run(d->b, US * 500))
        if (inb(d->b, 0x64) & 1) {
            cr_assert_eq(inb(d->b, 0x60), 0x2d);
            n++;
        }
    cr_assert(n >= 29 && n <= 33, "%u", n);
    key(d, "x", false);
    desk_free(d);
}

Test(ps2, a_guest_that_does_not_read_gets_no_flood_of_repeats)
{
    struct desk *d = desk_new(0x41);
    key(d, "x", true);
    board_run(d->b, 20000 * MS);
    key(d, "x", false);
    unsigned n = 0;
    while (get(d) >= 0)
        n++;
    cr_assert_leq(n, 4);
    desk_free(d);
}

Test(ps2, commands_do_not_lose_keys)
{
    struct desk *d = desk_new(0x41);
    key(d, "a", true);
    key(d, "a", false);
    key(d, "b", true);
    cr_assert_eq(get(d), 0x1e);
    kbd_command(d, 0xed, 0x07, -1);
    cr_assert_eq(d->kc.kbd.leds, 7);
    expect(d, "9e 30");
    kbd_command(d, 0xf5, -1);
    cr_assert(i8042_key(&d->kc, (unsigned)key_find("c"), true)); /* disabled: dropped, not kept */
    kbd_command(d, 0xf4, -1);
    expect(d, "");
    desk_free(d);
}

Test(ps2, a_full_keyboard_refuses_and_loses_nothing)
{
    struct desk *d = desk_new(0x41);
    char have[4096] = "", want[4096] = "";
    unsigned sent = 0;
    const unsigned a = (unsigned)key_find("a");
    while (i8042_key(&d->kc, a, !(sent & 1)) && sent < 1000)
        sent++;
    cr_assert(sent > 16 && sent < 200, "%u", sent);
    cr_assert_not(i8042_idle(&d->kc));
    for (unsigned i = 0; i < sent; i++)
        strcat(want, i & 1 ? "9e " : "1e ");
    for (int v; (v = get(d)) >= 0;)
        sprintf(have + strlen(have), "%02x ", v);
    cr_assert_str_eq(have, want);
    cr_assert(i8042_idle(&d->kc));
    desk_free(d);
}

Test(ps2, keys_are_paced)
{
    struct desk *d = desk_new(0x41);
    key(d, "a", true);
    key(d, "a", false);
    cr_assert_eq(inb(d->b, 0x60), 0x1e);
    cr_assert_eq(inb(d->b, 0x64) & 1, 0);
    cr_assert_eq(inb(d->b, 0x60), 0x1e); /* a second reader in the chain sees the same */
    expect(d, "9e");
    cr_assert_eq(d->b->line[1].rises, 2);
    desk_free(d);
}

Test(ps2, self_test_takes_a_while_and_ends)
{
    struct desk *d = desk_new(0x41);
    outb(d->b, 0x60, 0xff);
    cr_assert_eq(inb(d->b, 0x60), 0xfa);
    cr_assert_eq(inb(d->b, 0x64) & 1, 0);
    board_run(d->b, 6 * MS);
    cr_assert_eq(inb(d->b, 0x64) & 0x21, 0x01);
    cr_assert_eq(inb(d->b, 0x60), 0xaa);
    outb(d->b, 0x64, 0xd4);
    outb(d->b, 0x60, 0xff);
    expect(d, "fa aa 00");
    outb(d->b, 0x60, 0xfe); /* resend: the last answer's first byte */
    expect(d, "fa");
    outb(d->b, 0x64, 0xa5); /* a password is taken, up to its 0 */
    outb(d->b, 0x60, 0x1e);
    outb(d->b, 0x60, 0xed);
    outb(d->b, 0x60, 0x00);
    outb(d->b, 0x60, 0xee);
    expect(d, "ee");
    desk_free(d);
}

Test(ps2, mouse_wheel_and_side_buttons)
{
    struct desk *d = desk_new(0x43);
    aux_command(d, 0xf3, 200, 0xf3, 100, 0xf3, 80, 0xf2, -1);
    cr_assert_eq(get(d), 3);
    cr_assert(i8042_mouse(&d->kc, 5, 5, 0, 0));
    expect(d, ""); /* reporting is off */
    aux_command(d, 0xf6, 0xf4, -1);
    i8042_mouse(&d->kc, -3, 7, 1, 1);
    expect(d, "19 fd 07 01");
    aux_command(d, 0xf3, 200, 0xf3, 200, 0xf3, 80, 0xf2, -1);
    cr_assert_eq(get(d), 4);
    i8042_mouse(&d->kc, 0, 0, -1, 0x18);
    expect(d, "08 00 00 3f");
    outb(d->b, 0x64, 0xd4);
    outb(d->b, 0x60, 0xff);
    expect(d, "fa aa 00");
    aux_command(d, 0xf4, -1);
    i8042_mouse(&d->kc, 1, -1, 5, 0);
    expect(d, "28 01 ff");
    aux_command(d, 0xe7, -1); /* 2:1 */
    i8042_mouse(&d->kc, 4, -10, 0, 0);
    expect(d, "28 06 ec");
    aux_command(d, 0xe9, -1);
    expect(d, "30 02 64");
    desk_free(d);
}

Test(ps2, motion_adds_up_and_clicks_do_not)
{
    struct desk *d = desk_new(0x43);
    aux_command(d, 0xf4, -1);
    for (unsigned i = 0; i < 100; i++)
        cr_assert(i8042_mouse(&d->kc, 1, 2, 0, 0));
    expect(d, "08 01 02 08 63 c6"); /* the first, and all the others in one */
    cr_assert(i8042_mouse(&d->kc, 0, 0, 0, 1));
    cr_assert(i8042_mouse(&d->kc, 0, 0, 0, 0));
    cr_assert_not(i8042_mouse(&d->kc, 0, 0, 0, 1)); /* the release is not told yet */
    expect(d, "09 00 00 08 00 00");
    i8042_mouse(&d->kc, 1000, -300, 0, 0);
    expect(d, "28 ff 01 28 ff d3 08 ff 00 08 eb 00");
    aux_command(d, 0xf0, -1); /* remote: only when asked */
    i8042_mouse(&d->kc, 3, 4, 0, 2);
    expect(d, "");
    aux_command(d, 0xeb, -1);
    expect(d, "0a 03 04");
    desk_free(d);
}

/* Ports, keys, mouse and time in any order: nothing may leave its bounds, and a self-test still works at the end. */
Test(ps2, random_traffic_does_no_harm)
{
    struct desk *d = desk_new(0x43);
    u64 s = 1234567;
    for (unsigned i = 0; i < 300000; i++) {
        s = s * 6364136223846793005ull + 1442695040888963407ull;
        u32 x = (u32)(s >> 33);
        u8 val = (u8)(x >> 8);
        switch (x & 7) {
        case 0: outb(d->b, 0x60, x & 0x10000 ? 0xe6 + val % 26 : val); break;
        case 1: outb(d->b, 0x64, x & 0x30000 ? val : 0xd4); break;
        case 2:
        case 3: inb(d->b, 0x60); break;
        case 4: inb(d->b, 0x64); break;
        case 5: i8042_key(&d->kc, val, x >> 20 & 1); break;
        case 6: i8042_mouse(&d->kc, (int)s, (int)(s >> 7), (int)(s >> 40), x); break;
        default: board_run(d->b, x & 0x3ffff); break;
        }
        cr_assert(d->kc.kbd.keys.count <= PS2_QUEUE && d->kc.kbd.reply.count <= PS2_QUEUE &&
                  d->kc.mouse.packets.count <= 4 && d->kc.mouse.reply.count <= 8 &&
                  d->kc.kbd.scancode_set >= 1 && d->kc.kbd.scancode_set <= 3);
    }
    i8042_reset(&d->kc);
    outb(d->b, 0x64, 0x60);
    outb(d->b, 0x60, 0x43);
    outb(d->b, 0x60, 0xff);
    expect(d, "fa aa");
    desk_free(d);
}
