/*
 * fat.c - "fat:DIR": a directory of the host as a FAT disk or floppy, which qemu-nbd makes up (QEMU's vvfat).
 *
 * QEMU's spelling: fat:[12:|16:|32:][floppy:][rw:]DIR. Without "rw:" it cannot be written; with it, what the guest writes changes the
 * directory. Here the words become the options that qemu-nbd takes; nbd.c does the rest.
 */
#include "block/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

bool fat_is_one(const char *path)
{
    return !strncmp(path, "fat:", 4);
}

/* A comma in a value is doubled. The caller frees it; NULL: no memory. */
static char *doubled(const char *text)
{
    char *out = malloc(2 * strlen(text) + 1), *to = out;

    while (out && *text) {
        if (*text == ',')
            *to++ = ',';
        *to++ = *text++;
    }
    if (out)
        *to = 0;
    return out;
}

int fat_options(const struct blk_source *source, char **options, bool *read_only, struct blk_error *err)
{
    static const char *const words[] = {"12:", "16:", "32:", "floppy:", "rw:"};
    enum { FAT12, FAT16, FAT32, FLOPPY, WRITABLE };
    const char *at = source->path + strlen("fat:");
    bool said[ARRAY_SIZE(words)] = {false};
    char *dir = NULL, *value = NULL;
    struct stat st;
    unsigned type;
    int rc = 0;

    *options = NULL;
    for (unsigned i = 0; i < ARRAY_SIZE(words); i++)
        if (!strncmp(at, words[i], strlen(words[i]))) {
            said[i] = true;
            at += strlen(words[i]);
            i = UINT32_MAX; /* from the first word again: their order is free */
        }
    *read_only = !said[WRITABLE] || source->read_only || source->snapshot;
    if (!said[WRITABLE] && !source->read_only && !source->snapshot && !source->else_read_only)
        return blk_fail(err, false, -EROFS, "use fat:rw:DIR, or add snapshot=on or readonly=on", "%s cannot be written", source->path);
    if (stat(at, &st))
        return blk_fail(err, false, -errno, "check the directory's name", "cannot open %s: %s", at, strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return blk_fail(err, false, -ENOTDIR, "give a directory behind fat:", "%s is no directory", at);
    type = said[FAT32] ? 32 : said[FAT12] ? 12 : said[FAT16] ? 16 : 0;
    dir = realpath(at, NULL);
    value = dir ? doubled(dir) : NULL;
    if (!value || asprintf(options, "driver=vvfat,dir=%s,fat-type=%u,floppy=%s,rw=%s", value, type, said[FLOPPY] ? "on" : "off",
                           *read_only ? "off" : "on") < 0) {
        *options = NULL;
        rc = blk_fail(err, false, -ENOMEM, "free memory on the host", "%s: no memory", source->path);
    }
    free(value);
    free(dir);
    return rc;
}
