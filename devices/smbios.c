/*
 * smbios.c - QEMU's SMBIOS 2.8 tables: system, chassis, processor, memory, and with texts of the user's also BIOS and board.
 *
 * Structures, handles and default texts are those that QEMU gives its "pc", so that programs that look whether they run in a machine
 * made of software, and systems that were licensed to one, find what they know. Each structure is a fixed part, whose texts are numbers
 * of strings, and the strings behind it (DMTF DSP0134).
 */
#include "devices/smbios.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char maker[] = "QEMU", product[] = "Standard PC (i440FX + PIIX, 1996)", version[] = "pc-i440fx-7.2";

enum { HANDLE_MEMORY = 0x1000, HANDLE_NONE = 0xfffe };

/* A text of a structure: where its number stands, its name in -smbios, what QEMU says without one. */
struct text {
    u8 type, offset;
    const char *key, *otherwise;
};

static const struct text texts[] = {
    {0, 4, "vendor", NULL},         {0, 5, "version", NULL},      {0, 8, "date", NULL},
    {1, 4, "manufacturer", maker},  {1, 5, "product", product},   {1, 6, "version", version},
    {1, 7, "serial", NULL},         {1, 25, "sku", NULL},         {1, 26, "family", NULL},
    {2, 4, "manufacturer", maker},  {2, 5, "product", product},   {2, 6, "version", version},
    {2, 7, "serial", NULL},         {2, 8, "asset", NULL},        {2, 10, "location", NULL},
    {3, 4, "manufacturer", maker},  {3, 6, "version", version},   {3, 7, "serial", NULL},
    {3, 8, "asset", NULL},          {3, 21, "sku", NULL},         {4, 4, "sock_pfx", "CPU"},
    {4, 7, "manufacturer", maker},  {4, 16, "version", version},  {4, 32, "serial", NULL},
    {4, 33, "asset", NULL},         {4, 34, "part", NULL},        {17, 16, "loc_pfx", "DIMM"},
    {17, 17, "bank", NULL},         {17, 23, "manufacturer", maker}, {17, 24, "serial", NULL},
    {17, 25, "asset", NULL},        {17, 26, "part", NULL},
};

/* What the user gave; NULL: nothing. The last one counts. */
static const char *given(const struct pc_config *cfg, u8 type, const char *key)
{
    const char *value = NULL;

    for (unsigned i = 0; i < cfg->smbios_texts; i++)
        if (cfg->smbios[i].type == type && (!key || !strcmp(cfg->smbios[i].key, key)))
            value = cfg->smbios[i].value;
    return value;
}

static bool known(u8 type, const char *key)
{
    for (unsigned i = 0; i < ARRAY_SIZE(texts); i++)
        if (texts[i].type == type && !strcmp(texts[i].key, key))
            return true;
    return (type == 0 && !strcmp(key, "release")) || (type == 17 && !strcmp(key, "speed"));
}

static void put(u8 *at, u64 value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        at[i] = (u8)(value >> 8 * i);
}

/* A number of the user's; -EINVAL: it is none. */
static int number(const struct pc_config *cfg, u8 type, const char *key, unsigned otherwise, unsigned *out)
{
    const char *text = given(cfg, type, key);
    char *end;

    *out = otherwise;
    if (!text)
        return 0;
    *out = (unsigned)strtoul(text, &end, 0) & 0xffff;
    return end == text || *end ? -EINVAL : 0;
}

/* The structure's fixed part as given, its texts behind it. */
static int add(struct smbios *s, const struct pc_config *cfg, u8 *fixed, u8 bytes, u8 type, u16 handle)
{
    u8 *at = s->table + s->bytes, *end = s->table + sizeof(s->table), *to = at + bytes;
    u8 n = 0;

    if ((size_t)(end - at) < bytes + 2u)
        return -E2BIG;
    fixed[0] = type;
    fixed[1] = bytes;
    put(fixed + 2, handle, 2);
    for (unsigned i = 0; i < ARRAY_SIZE(texts); i++) {
        const struct text *t = &texts[i];
        const char *value = given(cfg, type, t->key);
        bool counted = !strcmp(t->key, "sock_pfx") || !strcmp(t->key, "loc_pfx"); /* "CPU 0", "DIMM 0" */
        int len;

        value = value ? value : t->otherwise;
        if (t->type != type || !value || !value[0])
            continue;
        len = snprintf((char *)to, (size_t)(end - to), counted ? "%s 0" : "%s", value);
        if (len < 0 || len + 2 > end - to)
            return -E2BIG;
        to += len + 1;
        fixed[t->offset] = ++n;
    }
    if (!n)
        *to++ = 0;
    *to++ = 0;
    memcpy(at, fixed, bytes);
    s->bytes += (size_t)(to - at);
    s->structures++;
    if ((unsigned)(to - at) > s->longest)
        s->longest = (unsigned)(to - at);
    return 0;
}

static int add_bios(struct smbios *s, const struct pc_config *cfg)
{
    const char *release = given(cfg, 0, "release");
    unsigned major = 0, minor = 0;
    u8 f[0x18] = {[6] = 0x00, [7] = 0xe8, [10] = 0x08, [19] = 0x14, [22] = 0xff, [23] = 0xff};
    char rest;

    if (release && sscanf(release, "%3u.%3u%c", &major, &minor, &rest) != 2)
        return -EINVAL;
    f[20] = (u8)major;
    f[21] = (u8)minor;
    return add(s, cfg, f, sizeof(f), 0, 0);
}

static int add_system(struct smbios *s, const struct pc_config *cfg)
{
    u8 f[0x1b] = {[24] = 6 /* started by the power switch */};
    static const u8 order[16] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15}; /* numbers are little-endian since 2.6 */

    for (unsigned i = 0; i < 16; i++)
        f[8 + i] = cfg->uuid[order[i]];
    return add(s, cfg, f, sizeof(f), 1, 0x100);
}

static int add_processor(struct smbios *s, const struct pc_config *cfg)
{
    u8 f[0x2a] = {[5] = 3, [6] = 1, [20] = 0xd0, [21] = 7, [22] = 0xd0, [23] = 7 /* 2000 MHz */, [24] = 0x41, [25] = 1};

    put(f + 8, cfg->cpu_signature, 4);
    put(f + 12, cfg->cpu_features, 4);
    memset(f + 26, 0xff, 6); /* no caches are told of */
    f[35] = f[36] = f[37] = 1;
    f[38] = 2;
    f[40] = 1;
    return add(s, cfg, f, sizeof(f), 4, 0x400);
}

static int add_memory(struct smbios *s, const struct pc_config *cfg)
{
    u64 bytes = cfg->ram_below_4g_bytes + cfg->ram_above_4g_bytes;
    u8 array[0x17] = {[4] = 1, [5] = 3, [6] = 6, [13] = 1}, dimm[0x28] = {[14] = 9, [18] = 7, [19] = 2}, map[0x1f] = {[14] = 1};
    unsigned speed;
    int err = number(cfg, 17, "speed", 0, &speed);

    if (err)
        return err;
    put(array + 7, min_u64(bytes >> 10, 0x80000000u), 4);
    put(array + 11, HANDLE_NONE, 2);
    err = add(s, cfg, array, sizeof(array), 16, HANDLE_MEMORY);
    put(dimm + 4, HANDLE_MEMORY, 2);
    put(dimm + 6, HANDLE_NONE, 2);
    memset(dimm + 8, 0xff, 4); /* widths unknown */
    put(dimm + 12, min_u64(bytes >> 20, 0x7fff), 2);
    put(dimm + 21, speed, 2);
    put(dimm + 32, speed, 2);
    if (!err)
        err = add(s, cfg, dimm, sizeof(dimm), 17, 0x1100);
    put(map + 8, (cfg->ram_below_4g_bytes >> 10) - 1, 4);
    put(map + 12, HANDLE_MEMORY, 2);
    if (!err)
        err = add(s, cfg, map, sizeof(map), 19, 0x1300);
    put(map + 4, 4u << 20, 4);
    put(map + 8, (4u << 20) + (cfg->ram_above_4g_bytes >> 10) - 1, 4);
    if (!err && cfg->ram_above_4g_bytes)
        err = add(s, cfg, map, sizeof(map), 19, 0x1301);
    return err;
}

/* The 32-bit entry point. Its address and both sums are the firmware's to fill in. */
static void make_anchor(struct smbios *s)
{
    u8 *a = s->anchor;

    memcpy(a, "_SM_", 4);
    a[5] = SMBIOS_ANCHOR_BYTES;
    a[6] = 2;
    a[7] = 8;
    put(a + 8, s->longest, 2);
    memcpy(a + 16, "_DMI_", 5);
    put(a + 22, s->bytes, 2);
    put(a + 28, s->structures, 2);
    a[30] = 0x28;
}

int smbios_build(struct smbios *s, const struct pc_config *cfg)
{
    u8 board[0x0f] = {[9] = 1, [11] = 0x00, [12] = 0x03, [13] = 10}, chassis[0x16] = {[5] = 1, [9] = 3, [10] = 3, [11] = 3, [12] = 2};
    u8 boot[0x0b] = {0}, end[4] = {0};
    int err = 0;

    memset(s, 0, sizeof(*s));
    for (unsigned i = 0; i < cfg->smbios_texts; i++)
        if (!known(cfg->smbios[i].type, cfg->smbios[i].key))
            return -EINVAL;
    if (given(cfg, 0, NULL))
        err = add_bios(s, cfg);
    if (!err)
        err = add_system(s, cfg);
    if (!err && given(cfg, 2, NULL))
        err = add(s, cfg, board, sizeof(board), 2, 0x200);
    if (!err)
        err = add(s, cfg, chassis, sizeof(chassis), 3, 0x300);
    if (!err)
        err = add_processor(s, cfg);
    if (!err)
        err = add_memory(s, cfg);
    if (!err)
        err = add(s, cfg, boot, sizeof(boot), 32, 0x2000);
    if (!err)
        err = add(s, cfg, end, sizeof(end), 127, 0x7f00);
    make_anchor(s);
    return err;
}

int pc_smbios_check(const struct pc_config *config)
{
    struct smbios s;

    return smbios_build(&s, config);
}
