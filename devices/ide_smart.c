/*
 * ide_smart.c - SMART: a disk that is well and says so (ATA/ATAPI-6, 8.54).
 *
 * Its readings have no wear to tell of: hours and cycles stand still, sectors were never replaced. What guests and their tools check is
 * that the structures are there and their sums right. Answers and numbers of the commands as QEMU has them.
 */
#include <string.h>

#include "devices/ide_core.h"

enum { ATTRIBUTES_AT = 2, ATTRIBUTE_BYTES = 12 };

/* Identity, flags (1 pre-failure, 2 collected online), value, worst, raw value, threshold. */
static const struct {
    u8 id, flags, value, worst, raw, threshold;
} attributes[] = {
    {1, 3, 100, 100, 0, 6},    /* raw read error rate */
    {3, 3, 100, 100, 16, 0},   /* spin-up time */
    {4, 2, 100, 100, 100, 20}, /* start and stop count */
    {5, 3, 100, 100, 0, 36},   /* reallocated sectors */
    {9, 3, 100, 100, 1, 0},    /* power-on hours */
    {12, 3, 100, 100, 0, 0},   /* power cycles */
    {190, 3, 69, 69, 31, 50},  /* airflow temperature */
};

static void add_sum(u8 *to)
{
    u8 sum = 0;

    for (unsigned i = 0; i < 511; i++)
        sum = (u8)(sum + to[i]);
    to[511] = (u8)-sum;
}

static void fill_values(const struct ide_drive *d, u8 *to)
{
    for (unsigned i = 0; i < ARRAY_SIZE(attributes); i++) {
        u8 *a = to + ATTRIBUTES_AT + i * ATTRIBUTE_BYTES;

        a[0] = attributes[i].id;
        a[1] = attributes[i].flags;
        a[3] = attributes[i].value;
        a[4] = attributes[i].worst;
        a[5] = attributes[i].raw;
    }
    to[362] = 0x02 | (d->smart_autosave ? 0x80 : 0); /* data collection ended without an error */
    to[364] = 0x20;                                  /* it takes 32 s */
    to[367] = 0x1b; /* can be run, suspended, with short and long self-tests */
    to[368] = 0x03; /* readings are kept */
    to[370] = 0x01; /* errors are logged */
    to[372] = 0x02; /* minutes: short test */
    to[373] = 0x36; /* long test */
}

static void fill_thresholds(u8 *to)
{
    for (unsigned i = 0; i < ARRAY_SIZE(attributes); i++) {
        to[ATTRIBUTES_AT + i * ATTRIBUTE_BYTES] = attributes[i].id;
        to[ATTRIBUTES_AT + i * ATTRIBUTE_BYTES + 1] = attributes[i].threshold;
    }
}

/* Logs: 0 which there are, 1 errors (none), 6 self-tests (none). */
static bool fill_log(u8 *to, u8 log)
{
    switch (log) {
    case 0:
        to[0] = 1;
        to[2 * 1] = to[2 * 6] = 1; /* sectors of logs 1 and 6 */
        return true;
    case 1:
        to[0] = 1;
        add_sum(to);
        return true;
    case 6:
        to[0] = 1;
        add_sum(to);
        return true;
    default: return false;
    }
}

static void reply(struct ide_drive *d, bool there)
{
    if (!there)
        ide_fail(d, ER_ABRT);
    else
        ide_disk_reply(d);
}

void ide_smart(struct ide_drive *d)
{
    u8 *to = d->buf;
    bool here = d->lba_mid.now == 0x4f && d->lba_high.now == 0xc2;

    if (!here || (!d->smart_enabled && d->feature.now != 0xd8)) {
        ide_fail(d, ER_ABRT);
        return;
    }
    memset(to, 0, DISK_SECTOR_BYTES);
    switch (d->feature.now) {
    case 0xd0: /* READ DATA */
        to[0] = 1;
        fill_values(d, to);
        add_sum(to);
        reply(d, true);
        return;
    case 0xd1: /* READ THRESHOLDS */
        to[0] = 1;
        fill_thresholds(to);
        add_sum(to);
        reply(d, true);
        return;
    case 0xd5: /* READ LOG */ reply(d, fill_log(to, d->lba_low.now)); return;
    case 0xd2: /* ATTRIBUTE AUTOSAVE */
        if (d->count.now != 0 && d->count.now != 0xf1) {
            ide_fail(d, ER_ABRT);
            return;
        }
        d->smart_autosave = d->count.now != 0;
        break;
    case 0xd3: /* SAVE ATTRIBUTES, EXECUTE OFFLINE: done as soon as asked for */
    case 0xd4: break;
    case 0xd8: d->smart_enabled = true; break;
    case 0xd9: d->smart_enabled = false; break;
    case 0xda: break; /* RETURN STATUS: 4Fh and C2h stand where they stood: well */
    default: ide_fail(d, ER_ABRT); return;
    }
    ide_done(d);
}
