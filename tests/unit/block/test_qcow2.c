/*
 * test_qcow2.c - qcow2 images through qemu-nbd, with faults. Needs qemu-utils and libnbd0 (scripts/packages test).
 *
 * Fails if the image does not hold what a model says, is damaged afterwards, if the process outlives its disk, or if its death hangs us.
 */
#include "rig.h"

#include <signal.h>

#define SECTORS 4096u

static void run(const char *fmt, const char *arg)
{
    char command[512];

    snprintf(command, sizeof(command), fmt, arg);
    cr_assert_eq(system(command), 0, "%s", command);
}

static struct rig *qcow2_new(void)
{
    struct rig *r = rig_new(512);

    run("qemu-img create -q -f qcow2 %s 2M", r->path);
    return r;
}

/* Our only child. */
static pid_t server_of_this_process(void)
{
    char path[64], text[32] = "";
    FILE *f;

    snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
    f = fopen(path, "r");
    cr_assert(f);
    cr_assert(fgets(text, sizeof(text), f), "no child");
    fclose(f);
    return atoi(text);
}

Test(qcow2, against_model)
{
    struct rig *r = qcow2_new();
    u8 *model = calloc(SECTORS, 512), *raw;
    size_t bytes;

    for (unsigned round = 0; round < 2; round++) { /* the second time it opens what the first one wrote */
        rig_must_insert(r, (struct blk_source){.format = round ? BLK_QCOW2 : BLK_PROBE});
        rig_against_model(r, model, SECTORS, 400);
        blk_remove(r->disk);
    }
    run("qemu-img check -q %s", r->path);
    run("qemu-img convert -O raw %1$s %1$s.raw", r->path);
    strcat(r->path, ".raw");
    raw = rig_file(r->path, &bytes);
    cr_expect_eq(bytes, SECTORS * 512);
    cr_expect_eq(memcmp(raw, model, bytes), 0);
    free(raw);
    free(model);
    rig_free(r);
}

/* Images of other machines: made by qemu-img, found by their signatures, written, and whole afterwards. */
Test(qcow2, other_formats)
{
    static const enum blk_format format[] = {BLK_VMDK, BLK_VDI, BLK_VHDX, BLK_QED, BLK_VPC, BLK_PARALLELS};

    for (unsigned i = 0; i < ARRAY_SIZE(format); i++) {
        struct rig *r = rig_new(512);
        char command[256];
        u8 buf[1024], back[1024];
        struct blk_info info;

        snprintf(command, sizeof(command), "qemu-img create -q -f %s %s %s", blk_format_name(format[i]),
                 r->path, "8257536");
        cr_assert_eq(system(command), 0, "%s", command);
        rig_must_insert(r, (struct blk_source){0});
        blk_info(r->disk, &info);
        cr_expect_eq(info.format, format[i]);
        memset(buf, (int)i + 1, sizeof(buf));
        cr_expect_eq(rig_do(r, DISK_WRITE, 777, 2, buf), 0, "%s", command);
        cr_expect_eq(rig_do(r, DISK_FLUSH, 0, 0, NULL), 0);
        blk_remove(r->disk);
        rig_must_insert(r, (struct blk_source){.format = format[i], .read_only = true});
        cr_expect_eq(rig_do(r, DISK_READ, 777, 2, back), 0);
        cr_expect_eq(memcmp(buf, back, sizeof(buf)), 0, "%s", command);
        rig_free(r);
    }
}

Test(qcow2, snapshot)
{
    struct rig *r = qcow2_new();
    u8 *model = calloc(SECTORS, 512);
    size_t before_bytes, after_bytes;
    u8 *before = rig_file(r->path, &before_bytes), *after;

    rig_must_insert(r, (struct blk_source){.format = BLK_QCOW2, .snapshot = true});
    rig_against_model(r, model, SECTORS, 200);
    blk_remove(r->disk);
    after = rig_file(r->path, &after_bytes);
    cr_expect(before_bytes == after_bytes && !memcmp(before, after, after_bytes));
    free(after);
    free(before);
    free(model);
    rig_free(r);
}

Test(qcow2, in_use)
{
    struct rig *r = qcow2_new();
    struct blk_source source = {.path = r->path, .format = BLK_QCOW2};
    struct blk_disk *other;
    struct blk_error err;

    rig_must_insert(r, source);
    cr_assert_eq(blk_new(&other), 0);
    cr_expect_eq(blk_insert(other, &source, &err), -EAGAIN);
    cr_expect(strstr(err.cause, "in use") && !err.bad_image, "%s", err.cause);
    blk_remove(r->disk);
    cr_expect_eq(blk_insert(other, &source, &err), 0, "closed means free: %s", err.cause);
    blk_free(other);
    rig_free(r);
}

Test(qcow2, damaged)
{
    struct rig *r = qcow2_new();
    struct blk_error err;
    int fd = open(r->path, O_WRONLY);

    cr_assert_eq(pwrite(fd, "\xff\xff\xff\xff", 4, 20), 4); /* cluster_bits */
    close(fd);
    cr_expect_neq(rig_insert(r, (struct blk_source){0}, &err), 0);
    cr_expect(err.bad_image && strstr(err.cause, "qcow2"), "%s", err.cause);
    rig_free(r);
}

/* Our server is killed in mid-work: errors, not a hang; and what was flushed is there. */
Test(qcow2, server_dies)
{
    struct rig *r = qcow2_new();
    u8 buf[512], back[512];

    rig_must_insert(r, (struct blk_source){.format = BLK_QCOW2});
    memset(buf, 0x77, sizeof(buf));
    cr_expect_eq(rig_do(r, DISK_WRITE, 10, 1, buf), 0);
    cr_expect_eq(rig_do(r, DISK_FLUSH, 0, 0, NULL), 0);
    cr_assert_eq(kill(server_of_this_process(), SIGKILL), 0);
    cr_expect_eq(rig_do(r, DISK_READ, 10, 1, back), -EIO);
    cr_expect_eq(rig_do(r, DISK_WRITE, 11, 1, buf), -EIO);
    cr_expect_eq(rig_do(r, DISK_FLUSH, 0, 0, NULL), -EIO);
    blk_remove(r->disk);
    rig_must_insert(r, (struct blk_source){.format = BLK_QCOW2});
    cr_expect_eq(rig_do(r, DISK_READ, 10, 1, back), 0);
    cr_expect_eq(memcmp(buf, back, 512), 0);
    rig_free(r);
}

Test(qcow2, tools_missing)
{
    struct rig *r = qcow2_new();
    struct blk_error err;
    char *path = strdup(getenv("PATH"));

    setenv("PATH", "/var/empty", 1);
    cr_expect_eq(rig_insert(r, (struct blk_source){0}, &err), -ENOENT);
    cr_expect(strstr(err.remedy, "qemu-utils") && !err.bad_image, "%s", err.remedy);
    setenv("PATH", path, 1);
    free(path);
    rig_free(r);
}
