/*
 * test_smbios.c - the SMBIOS tables: a walk as an operating system does it finds every structure and text, and hostile lengths of texts
 * overrun nothing.
 *
 * Fails if a structure's length, its strings' numbers or the entry point do not fit together, or if a text lands at another field.
 */
#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>

#include "devices/smbios.h"

static u32 get(const u8 *at, unsigned bytes)
{
    u32 v = 0;
    while (bytes--)
        v = v << 8 | at[bytes];
    return v;
}

/* String n of a structure, "" for 0; *end: behind its strings. */
static const char *string(const u8 *at, unsigned n, const u8 **end)
{
    const char *p = (const char *)at + at[1], *found = "";
    if (!*p)
        p++;
    for (unsigned i = 1; *p; i++, p += strlen(p) + 1)
        if (i == n)
            found = p;
    *end = (const u8 *)p + 1;
    return found;
}

/* The text at a field of the first structure of a type; walks all and checks that they end where the entry point says. */
static const char *field(const struct smbios *s, u8 type, unsigned offset)
{
    const char *found = NULL;
    const u8 *at = s->table, *next;
    unsigned n = 0, longest = 0;
    for (; at < s->table + s->bytes; at = next, n++) {
        const char *text;
        cr_assert(at[1] >= 4);
        text = string(at, offset < at[1] ? at[offset] : 0, &next);
        if (at[0] == type && !found)
            found = text;
        longest = next - at > longest ? (unsigned)(next - at) : longest;
    }
    cr_assert_eq(at - s->table, get(s->anchor + 22, 2));
    cr_assert_eq(n, get(s->anchor + 28, 2));
    cr_assert_eq(longest, get(s->anchor + 8, 2));
    cr_assert_eq(memcmp(s->anchor, "_SM_", 4), 0);
    return found;
}

static const u8 *structure(const struct smbios *s, u8 type)
{
    for (const u8 *at = s->table, *next; at < s->table + s->bytes; at = next) {
        string(at, 0, &next);
        if (at[0] == type)
            return at;
    }
    return NULL;
}

Test(smbios, says_what_qemu_says)
{
    static const struct pc_config cfg = {.ram_below_4g_bytes = 512u << 20, .uuid = {0x55, 0x0e, 0x84, 0x00, 0xe2, 0x9b}, .cpu_signature = 0x663};
    struct smbios s;
    cr_assert_eq(smbios_build(&s, &cfg), 0);
    cr_expect_str_eq(field(&s, 1, 4), "QEMU");
    cr_expect_str_eq(field(&s, 1, 5), "Standard PC (i440FX + PIIX, 1996)");
    cr_expect_str_eq(field(&s, 1, 6), "pc-i440fx-7.2");
    cr_expect_str_eq(field(&s, 1, 7), "");
    cr_expect_str_eq(field(&s, 3, 4), "QEMU");
    cr_expect_str_eq(field(&s, 4, 4), "CPU 0");
    cr_expect_str_eq(field(&s, 17, 16), "DIMM 0");
    cr_expect_null(structure(&s, 0)); /* the firmware's own */
    cr_expect_null(structure(&s, 2));
    cr_expect_eq(get(structure(&s, 1) + 8, 4), 0x550e8400);
    cr_expect_eq(get(structure(&s, 4) + 8, 4), 0x663);
    cr_expect_eq(get(structure(&s, 16) + 7, 4), 512 << 10);
    cr_expect_eq(get(structure(&s, 17) + 12, 2), 512);
    cr_expect_eq(get(structure(&s, 19) + 8, 4), (512 << 10) - 1);
    cr_expect_eq(structure(&s, 127)[1], 4);
}

Test(smbios, texts_of_the_user)
{
    static const struct pc_smbios_text text[] = {{0, "vendor", "V"},     {0, "release", "3.14"},  {1, "serial", "S1"},
                                                 {1, "product", "P"},    {2, "asset", "A"},       {1, "manufacturer", ""},
                                                 {17, "speed", "1333"}, {1, "serial", "S2"}};
    struct pc_config cfg = {.ram_below_4g_bytes = 1u << 20, .smbios = text, .smbios_texts = ARRAY_SIZE(text)};
    struct smbios s;
    cr_assert_eq(smbios_build(&s, &cfg), 0);
    cr_expect_str_eq(field(&s, 0, 4), "V");
    cr_expect(structure(&s, 0)[20] == 3 && structure(&s, 0)[21] == 14);
    cr_expect_str_eq(field(&s, 1, 7), "S2");
    cr_expect_str_eq(field(&s, 1, 5), "P");
    cr_expect_str_eq(field(&s, 1, 4), "");
    cr_expect_str_eq(field(&s, 2, 8), "A");
    cr_expect_str_eq(field(&s, 2, 4), "QEMU");
    cr_expect_eq(get(structure(&s, 17) + 21, 2), 1333);
}

Test(smbios, refused)
{
    static const struct pc_smbios_text bad[] = {{1, "nothing", "x"}, {9, "serial", "x"}, {0, "release", "3"}, {17, "speed", "fast"}};
    struct pc_config cfg = {.ram_below_4g_bytes = 1u << 20, .smbios_texts = 1};
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        cfg.smbios = &bad[i];
        cr_expect_eq(pc_smbios_check(&cfg), -EINVAL, "%u", i);
    }
}

Test(smbios, long_texts_overrun_nothing)
{
    struct smbios *s = malloc(sizeof(*s)); /* on the heap, where ASan looks */
    char *text = calloc(1, SMBIOS_BYTES + 2);
    struct pc_smbios_text one = {3, "sku", text};
    struct pc_config cfg = {.ram_below_4g_bytes = 1u << 20, .smbios = &one, .smbios_texts = 1};
    bool fitted = false, refused = false;
    for (unsigned n = 0; n <= SMBIOS_BYTES; n++) {
        int rc = smbios_build(s, &cfg);
        cr_assert(rc == 0 || rc == -E2BIG);
        cr_assert(s->bytes <= sizeof(s->table));
        fitted |= rc == 0;
        refused |= rc != 0;
        text[n] = 'x';
    }
    cr_assert(fitted && refused);
    free(text);
    free(s);
}
