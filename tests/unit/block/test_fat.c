/*
 * test_fat.c - directories of the host as FAT disks (fat:DIR), through qemu-nbd. Needs qemu-utils and libnbd0 (scripts/packages test).
 *
 * Fails if a word of the spelling is taken for part of the path, if a directory that was not to be written can be, or if a name can put
 * options of its own into qemu-nbd's.
 */
#include "rig.h"

static struct rig *fat_new(const char *prefix, const char *name)
{
    struct rig *r = rig_new(512);
    char path[256];
    FILE *f;

    snprintf(path, sizeof(path), "%s/%s", r->dir, name);
    cr_assert_eq(mkdir(path, 0755), 0);
    strcat(path, "/HELLO.TXT");
    f = fopen(path, "w");
    fputs("hello, guest", f);
    fclose(f);
    snprintf(r->path, sizeof(r->path), "%s%s/%s", prefix, r->dir, name);
    return r;
}

/* Is the file's text on the disk, at the start of a sector? */
static bool has_text(struct rig *r, unsigned sectors)
{
    u8 buf[512];

    for (unsigned i = 0; i < sectors; i++) {
        cr_assert_eq(rig_do(r, DISK_READ, i, 1, buf), 0);
        if (!memcmp(buf, "hello, guest", 12))
            return true;
    }
    return false;
}

Test(fat, shows_a_directory)
{
    struct rig *r = fat_new("fat:floppy:", "a,rw=on"); /* the name is no option */
    struct blk_info info;
    u8 buf[512] = {0};

    rig_must_insert(r, (struct blk_source){.read_only = true});
    blk_info(r->disk, &info);
    cr_expect(info.format == BLK_RAW && info.read_only && !info.probed_raw && info.bytes >= 1440 << 10, "%llu",
              (unsigned long long)info.bytes);
    cr_expect(has_text(r, 2880));
    cr_expect_neq(rig_do(r, DISK_WRITE, 2000, 1, buf), 0);
    rig_free(r);
}

Test(fat, written_only_when_asked)
{
    struct rig *r = fat_new("fat:", "d");
    struct blk_error err;
    struct blk_info info;
    char dir[128];

    cr_expect_eq(rig_insert(r, (struct blk_source){.path = NULL}, &err), -EROFS);
    cr_expect(strstr(err.remedy, "fat:rw:"), "%s", err.remedy);
    rig_must_insert(r, (struct blk_source){.snapshot = true});
    blk_info(r->disk, &info);
    cr_expect(!info.read_only && info.bytes > 500u << 20);
    blk_remove(r->disk);
    snprintf(dir, sizeof(dir), "fat:rw:16:%s", r->path + 4);
    rig_must_insert(r, (struct blk_source){.path = dir, .format = BLK_RAW});
    blk_info(r->disk, &info);
    cr_expect(!info.read_only);
    blk_remove(r->disk);
    cr_expect_neq(rig_insert(r, (struct blk_source){.path = "fat:rw:/nonexistent"}, &err), 0);
    cr_expect(strstr(err.cause, "/nonexistent: No such file"), "%s", err.cause);
    cr_expect_eq(rig_insert(r, (struct blk_source){.path = dir, .format = BLK_QCOW2}, &err), -EINVAL);
    rig_free(r);
}
