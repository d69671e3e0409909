/*
 * keys.c - the table of keys: names, codes of set 1 and set 3, and the US layout of characters.
 *
 * Names are those of QEMU's QKeyCode, so that its monitor commands and QMP scripts carry over. Codes: Microsoft's "Keyboard Scan
 * Code Specification" and the IBM PS/2 technical reference (set 3, which of its keys repeat).
 */
#include "devices/keys.h"

#include <stdlib.h>
#include <string.h>

static const struct key keys[] = {
    {"shift", 0x2a, 0x12, KEY_MODIFIER},
    {"shift_r", 0x36, 0x59, KEY_MODIFIER},
    {"alt", 0x38, 0x19, KEY_MODIFIER},
    {"alt_r", 0xb8, 0x39, KEY_ONCE},
    {"ctrl", 0x1d, 0x11, KEY_MODIFIER},
    {"ctrl_r", 0x9d, 0x58, KEY_ONCE},
    {"menu", 0xdd, 0x8d, KEY_ONCE},
    {"esc", 0x01, 0x08, KEY_ONCE},
    {"1", 0x02, 0x16, KEY_TYPEMATIC},
    {"2", 0x03, 0x1e, KEY_TYPEMATIC},
    {"3", 0x04, 0x26, KEY_TYPEMATIC},
    {"4", 0x05, 0x25, KEY_TYPEMATIC},
    {"5", 0x06, 0x2e, KEY_TYPEMATIC},
    {"6", 0x07, 0x36, KEY_TYPEMATIC},
    {"7", 0x08, 0x3d, KEY_TYPEMATIC},
    {"8", 0x09, 0x3e, KEY_TYPEMATIC},
    {"9", 0x0a, 0x46, KEY_TYPEMATIC},
    {"0", 0x0b, 0x45, KEY_TYPEMATIC},
    {"minus", 0x0c, 0x4e, KEY_TYPEMATIC},
    {"equal", 0x0d, 0x55, KEY_TYPEMATIC},
    {"backspace", 0x0e, 0x66, KEY_TYPEMATIC},
    {"tab", 0x0f, 0x0d, KEY_TYPEMATIC},
    {"q", 0x10, 0x15, KEY_TYPEMATIC},
    {"w", 0x11, 0x1d, KEY_TYPEMATIC},
    {"e", 0x12, 0x24, KEY_TYPEMATIC},
    {"r", 0x13, 0x2d, KEY_TYPEMATIC},
    {"t", 0x14, 0x2c, KEY_TYPEMATIC},
    {"y", 0x15, 0x35, KEY_TYPEMATIC},
    {"u", 0x16, 0x3c, KEY_TYPEMATIC},
    {"i", 0x17, 0x43, KEY_TYPEMATIC},
    {"o", 0x18, 0x44, KEY_TYPEMATIC},
    {"p", 0x19, 0x4d, KEY_TYPEMATIC},
    {"bracket_left", 0x1a, 0x54, KEY_TYPEMATIC},
    {"bracket_right", 0x1b, 0x5b, KEY_TYPEMATIC},
    {"ret", 0x1c, 0x5a, KEY_TYPEMATIC},
    {"a", 0x1e, 0x1c, KEY_TYPEMATIC},
    {"s", 0x1f, 0x1b, KEY_TYPEMATIC},
    {"d", 0x20, 0x23, KEY_TYPEMATIC},
    {"f", 0x21, 0x2b, KEY_TYPEMATIC},
    {"g", 0x22, 0x34, KEY_TYPEMATIC},
    {"h", 0x23, 0x33, KEY_TYPEMATIC},
    {"j", 0x24, 0x3b, KEY_TYPEMATIC},
    {"k", 0x25, 0x42, KEY_TYPEMATIC},
    {"l", 0x26, 0x4b, KEY_TYPEMATIC},
    {"semicolon", 0x27, 0x4c, KEY_TYPEMATIC},
    {"apostrophe", 0x28, 0x52, KEY_TYPEMATIC},
    {"grave_accent", 0x29, 0x0e, KEY_TYPEMATIC},
    {"backslash", 0x2b, 0x5c, KEY_TYPEMATIC},
    {"z", 0x2c, 0x1a, KEY_TYPEMATIC},
    {"x", 0x2d, 0x22, KEY_TYPEMATIC},
    {"c", 0x2e, 0x21, KEY_TYPEMATIC},
    {"v", 0x2f, 0x2a, KEY_TYPEMATIC},
    {"b", 0x30, 0x32, KEY_TYPEMATIC},
    {"n", 0x31, 0x31, KEY_TYPEMATIC},
    {"m", 0x32, 0x3a, KEY_TYPEMATIC},
    {"comma", 0x33, 0x41, KEY_TYPEMATIC},
    {"dot", 0x34, 0x49, KEY_TYPEMATIC},
    {"slash", 0x35, 0x4a, KEY_TYPEMATIC},
    {"asterisk", 0x37, 0x7e, KEY_ONCE},
    {"spc", 0x39, 0x29, KEY_TYPEMATIC},
    {"caps_lock", 0x3a, 0x14, KEY_MODIFIER},
    {"f1", 0x3b, 0x07, KEY_ONCE},
    {"f2", 0x3c, 0x0f, KEY_ONCE},
    {"f3", 0x3d, 0x17, KEY_ONCE},
    {"f4", 0x3e, 0x1f, KEY_ONCE},
    {"f5", 0x3f, 0x27, KEY_ONCE},
    {"f6", 0x40, 0x2f, KEY_ONCE},
    {"f7", 0x41, 0x37, KEY_ONCE},
    {"f8", 0x42, 0x3f, KEY_ONCE},
    {"f9", 0x43, 0x47, KEY_ONCE},
    {"f10", 0x44, 0x4f, KEY_ONCE},
    {"num_lock", 0x45, 0x76, KEY_ONCE},
    {"scroll_lock", 0x46, 0x5f, KEY_ONCE},
    {"kp_divide", 0xb5, 0x77, KEY_ONCE},
    {"kp_multiply", 0x37, 0x7e, KEY_ONCE},
    {"kp_subtract", 0x4a, 0x84, KEY_ONCE},
    {"kp_add", 0x4e, 0x7c, KEY_TYPEMATIC},
    {"kp_enter", 0x9c, 0x79, KEY_ONCE},
    {"kp_decimal", 0x53, 0x71, KEY_ONCE},
    {"sysrq", 0x54, 0x57, KEY_ONCE},
    {"kp_0", 0x52, 0x70, KEY_ONCE},
    {"kp_1", 0x4f, 0x69, KEY_ONCE},
    {"kp_2", 0x50, 0x72, KEY_ONCE},
    {"kp_3", 0x51, 0x7a, KEY_ONCE},
    {"kp_4", 0x4b, 0x6b, KEY_ONCE},
    {"kp_5", 0x4c, 0x73, KEY_ONCE},
    {"kp_6", 0x4d, 0x74, KEY_ONCE},
    {"kp_7", 0x47, 0x6c, KEY_ONCE},
    {"kp_8", 0x48, 0x75, KEY_ONCE},
    {"kp_9", 0x49, 0x7d, KEY_ONCE},
    {"less", 0x56, 0x13, KEY_TYPEMATIC},
    {"f11", 0x57, 0x56, KEY_ONCE},
    {"f12", 0x58, 0x5e, KEY_ONCE},
    {"f13", 0x64, 0x00, KEY_ONCE},
    {"f14", 0x65, 0x00, KEY_ONCE},
    {"f15", 0x66, 0x00, KEY_ONCE},
    {"f16", 0x67, 0x00, KEY_ONCE},
    {"f17", 0x68, 0x00, KEY_ONCE},
    {"f18", 0x69, 0x00, KEY_ONCE},
    {"f19", 0x6a, 0x00, KEY_ONCE},
    {"f20", 0x6b, 0x00, KEY_ONCE},
    {"f21", 0x6c, 0x00, KEY_ONCE},
    {"f22", 0x6d, 0x00, KEY_ONCE},
    {"f23", 0x6e, 0x00, KEY_ONCE},
    {"f24", 0x76, 0x00, KEY_ONCE},
    {"print", 0xb7, 0x57, KEY_PRINT},
    {"home", 0xc7, 0x6e, KEY_ONCE},
    {"pgup", 0xc9, 0x6f, KEY_ONCE},
    {"pgdn", 0xd1, 0x6d, KEY_ONCE},
    {"end", 0xcf, 0x65, KEY_ONCE},
    {"left", 0xcb, 0x61, KEY_TYPEMATIC},
    {"up", 0xc8, 0x63, KEY_TYPEMATIC},
    {"down", 0xd0, 0x60, KEY_TYPEMATIC},
    {"right", 0xcd, 0x6a, KEY_TYPEMATIC},
    {"insert", 0xd2, 0x67, KEY_ONCE},
    {"delete", 0xd3, 0x64, KEY_TYPEMATIC},
    {"stop", 0xe8, 0x00, KEY_ONCE},
    {"again", 0x85, 0x00, KEY_ONCE},
    {"props", 0x86, 0x00, KEY_ONCE},
    {"undo", 0x87, 0x00, KEY_ONCE},
    {"front", 0x8c, 0x00, KEY_ONCE},
    {"copy", 0xf8, 0x00, KEY_ONCE},
    {"open", 0xe4, 0x00, KEY_ONCE},
    {"paste", 0xe5, 0x00, KEY_ONCE},
    {"find", 0xc1, 0x00, KEY_ONCE},
    {"cut", 0xbc, 0x00, KEY_ONCE},
    {"lf", 0x5b, 0x00, KEY_ONCE},
    {"help", 0xf5, 0x00, KEY_ONCE},
    {"meta_l", 0xdb, 0x8b, KEY_ONCE},
    {"meta_r", 0xdc, 0x8c, KEY_ONCE},
    {"compose", 0xdd, 0x8d, KEY_ONCE},
    {"pause", 0xc6, 0x62, KEY_PAUSE},
    {"ro", 0x73, 0x00, KEY_TYPEMATIC},
    {"hiragana", 0x77, 0x00, KEY_TYPEMATIC},
    {"henkan", 0x79, 0x00, KEY_TYPEMATIC},
    {"yen", 0x7d, 0x00, KEY_TYPEMATIC},
    {"muhenkan", 0x7b, 0x00, KEY_TYPEMATIC},
    {"katakanahiragana", 0x70, 0x00, KEY_TYPEMATIC},
    {"kp_comma", 0x7e, 0x00, KEY_TYPEMATIC},
    {"kp_equals", 0x59, 0x00, KEY_TYPEMATIC},
    {"power", 0xde, 0x00, KEY_ONCE},
    {"sleep", 0xdf, 0x00, KEY_ONCE},
    {"wake", 0xe3, 0x00, KEY_ONCE},
    {"audionext", 0x99, 0x00, KEY_ONCE},
    {"audioprev", 0x90, 0x00, KEY_ONCE},
    {"audiostop", 0xa4, 0x00, KEY_ONCE},
    {"audioplay", 0xa2, 0x00, KEY_ONCE},
    {"audiomute", 0xa0, 0x00, KEY_ONCE},
    {"volumeup", 0xb0, 0x00, KEY_ONCE},
    {"volumedown", 0xae, 0x00, KEY_ONCE},
    {"mediaselect", 0xed, 0x00, KEY_ONCE},
    {"mail", 0xec, 0x00, KEY_ONCE},
    {"calculator", 0xa1, 0x00, KEY_ONCE},
    {"computer", 0xeb, 0x00, KEY_ONCE},
    {"ac_home", 0xb2, 0x00, KEY_ONCE},
    {"ac_back", 0xea, 0x00, KEY_ONCE},
    {"ac_forward", 0xe9, 0x00, KEY_ONCE},
    {"ac_refresh", 0xe7, 0x00, KEY_ONCE},
    {"ac_bookmarks", 0xe6, 0x00, KEY_ONCE},
};

_Static_assert(ARRAY_SIZE(keys) <= KEYS_MAX, "bitmaps of keys have this many bits");

const struct key *key_get(unsigned key)
{
    return key < ARRAY_SIZE(keys) ? &keys[key] : NULL;
}

static int find_code(const char *text)
{
    char *end;
    unsigned long code = strtoul(text, &end, 16);

    if (*end || end == text || code > 0xffff)
        return -1;
    if (code > 0xff) /* e048 as well as c8 */
        code = (code >> 8) == 0xe0 ? (code & 0xff) | KEY_GREY : 0;
    for (unsigned i = 0; i < ARRAY_SIZE(keys); i++)
        if (keys[i].xt == code)
            return (int)i;
    return -1;
}

int key_find(const char *name)
{
    if (name[0] == '0' && (name[1] == 'x' || name[1] == 'X'))
        return find_code(name + 2);
    for (unsigned i = 0; i < ARRAY_SIZE(keys); i++)
        if (!strcmp(keys[i].name, name))
            return (int)i;
    return -1;
}

/* In the order of their set 1 codes, plain and with Shift. */
static const char row[4][2][14] = {
    {"1234567890-=", "!@#$%^&*()_+"},
    {"qwertyuiop[]", "QWERTYUIOP{}"},
    {"asdfghjkl;'`", "ASDFGHJKL:\"~"},
    {"\\zxcvbnm,./", "|ZXCVBNM<>?"},
};
static const u8 row_code[4] = {0x02, 0x10, 0x1e, 0x2b};

static int key_of_code(u8 xt)
{
    for (unsigned i = 0; i < ARRAY_SIZE(keys); i++)
        if (keys[i].xt == xt)
            return (int)i;
    return -1;
}

int key_of_char(char c, bool *shift, bool *ctrl)
{
    *shift = *ctrl = false;
    switch (c) {
    case 0: return -1;
    case '\n':
    case '\r': return key_find("ret");
    case '\t': return key_find("tab");
    case '\b':
    case 0x7f: return key_find("backspace");
    case 0x1b: return key_find("esc");
    case ' ': return key_find("spc");
    default: break;
    }
    if (c > 0 && c < ' ') {
        *ctrl = true;
        c = (char)(c + (c <= 26 ? 'a' - 1 : '@')); /* 1Ch-1Fh: \ ] ^ _ */
    }
    for (unsigned r = 0; r < 4; r++)
        for (unsigned s = 0; s < 2; s++) {
            const char *at = strchr(row[r][s], c);

            if (!at)
                continue;
            *shift = s;
            return key_of_code((u8)(row_code[r] + (at - row[r][s])));
        }
    return -1;
}
