/*
 * fdc_media.c - floppy formats, told by an image's size.
 *
 * The data rate belongs to the medium and the drive that wrote it: firmware and kernels find the format by trying rates until an ID
 * field can be read, so a wrong rate must fail.
 */
#include "devices/fdc_core.h"

enum { TYPE_360 = 1, TYPE_1200 = 2, TYPE_720 = 3, TYPE_1440 = 4, TYPE_2880 = 5 };
enum { RATE_500 = 0, RATE_300 = 1, RATE_250 = 2, RATE_1000 = 3 };

static const struct format {
    u8 tracks, heads, spt, rate, type; /* type: the drive it belongs into */
} formats[] = {
    {80, 2, 18, RATE_500, TYPE_1440},  {80, 2, 20, RATE_500, TYPE_1440},  {80, 2, 21, RATE_500, TYPE_1440},
    {82, 2, 21, RATE_500, TYPE_1440},  {83, 2, 21, RATE_500, TYPE_1440},  {80, 2, 22, RATE_500, TYPE_1440},
    {80, 2, 23, RATE_500, TYPE_1440},  {80, 2, 24, RATE_500, TYPE_1440},  {80, 2, 36, RATE_1000, TYPE_2880},
    {80, 2, 39, RATE_1000, TYPE_2880}, {80, 2, 40, RATE_1000, TYPE_2880}, {80, 2, 44, RATE_1000, TYPE_2880},
    {80, 2, 48, RATE_1000, TYPE_2880}, {80, 2, 9, RATE_250, TYPE_1440},   {80, 2, 10, RATE_250, TYPE_1440},
    {82, 2, 10, RATE_250, TYPE_1440},  {83, 2, 10, RATE_250, TYPE_1440},  {80, 2, 13, RATE_250, TYPE_1440},
    {80, 2, 14, RATE_250, TYPE_1440},  {80, 2, 15, RATE_500, TYPE_1200},  {82, 2, 18, RATE_500, TYPE_1200},
    {83, 2, 18, RATE_500, TYPE_1200},  {80, 2, 11, RATE_300, TYPE_1200},  {40, 2, 9, RATE_300, TYPE_1200},
    {40, 1, 9, RATE_300, TYPE_1200},   {41, 2, 10, RATE_300, TYPE_1200},  {42, 2, 10, RATE_300, TYPE_1200},
    {40, 2, 8, RATE_250, TYPE_1200},   {40, 1, 8, RATE_250, TYPE_1200},   {80, 1, 9, RATE_250, TYPE_1440},
};

/* The format of that many sectors; an odd size counts as the smallest standard one that holds it, or as the start of the largest. */
static const struct format *format_of(u64 sectors)
{
    static const u8 standard[] = {0, 8}; /* 1.44 MB, 2.88 MB */
    if (!sectors)
        return NULL;
    for (unsigned i = 0; i < ARRAY_SIZE(formats); i++)
        if (sectors == (u64)formats[i].tracks * formats[i].heads * formats[i].spt)
            return &formats[i];
    for (unsigned i = 0; i < ARRAY_SIZE(standard); i++) {
        const struct format *f = &formats[standard[i]];
        if (sectors < (u64)f->tracks * f->heads * f->spt)
            return f;
    }
    return &formats[standard[ARRAY_SIZE(standard) - 1]];
}

void fdc_look_at_medium(struct fdc_drive *d)
{
    struct disk_geometry g = {0};
    d->back.geometry(d->back.opaque, &g);
    const struct format *f = format_of(g.sectors);
    d->medium = (struct fdc_medium){0};
    if (!f)
        return;
    d->medium = (struct fdc_medium){
        .tracks = f->tracks, .heads = f->heads, .spt = f->spt, .rate = f->rate, .read_only = g.read_only};
    d->medium.any_low_rate = f->spt == 9 && f->tracks == 40;
}

u8 fdc_type_of(const struct fdc_drive *d, unsigned kib)
{
    struct disk_geometry g = {0};
    switch (kib) {
    case 360: return TYPE_360;
    case 1200: return TYPE_1200;
    case 720: return TYPE_720;
    case 1440: return TYPE_1440;
    case 2880: return TYPE_2880;
    case 0: break;
    default: return 0;
    }
    d->back.geometry(d->back.opaque, &g);
    const struct format *f = format_of(g.sectors);
    return f ? f->type : TYPE_2880;
}
