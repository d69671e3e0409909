/*
 * test_drives.c - drives through the public API: what a machine is made with, what can be changed, what is refused.
 *
 * Fails if a drive comes out other than asked for, if a medium that cannot be opened throws the old one out, or if a config that cannot be
 * makes a machine.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "monitor/machine.h"
#include "novt.h"

struct files {
    char dir[64], disk[80], disk2[80], cd[80], floppy[80];
    unsigned warnings;
};

static void make_file(struct files *f, char *path, const char *name, off_t bytes)
{
    int fd;

    sprintf(path, "%s/%s", f->dir, name);
    fd = open(path, O_RDWR | O_CREAT, 0600);
    cr_assert(fd >= 0 && !ftruncate(fd, bytes));
    close(fd);
}

static void files_init(struct files *f)
{
    *f = (struct files){.dir = "/var/tmp/novt-drives-XXXXXX"};
    cr_assert(mkdtemp(f->dir));
    make_file(f, f->disk, "disk", 1 << 20);
    make_file(f, f->disk2, "disk2", 2 << 20);
    make_file(f, f->cd, "cd", 64 * 2048);
    make_file(f, f->floppy, "floppy", 1440 << 10);
}

static void files_fini(struct files *f)
{
    unlink(f->disk);
    unlink(f->disk2);
    unlink(f->cd);
    unlink(f->floppy);
    cr_expect_eq(rmdir(f->dir), 0, "something was left behind");
}

static void on_warning(void *opaque, const char *text)
{
    cr_expect(strstr(text, "probing guessed raw"), "%s", text);
    ((struct files *)opaque)->warnings++;
}

static struct novt_vm *machine(struct files *f, const struct novt_drive *drive, size_t n,
                               struct novt_error *err)
{
    struct novt_config c = {.no_firmware = true,
                            .ram_bytes = 4 << 20,
                            .drive = drive,
                            .drives = n,
                            .warning = on_warning,
                            .warning_opaque = f};
    struct novt_vm *vm;
    int rc = novt_vm_new(&vm, &c, err);

    cr_expect_eq(rc == 0, vm != NULL);
    return vm;
}

Test(drives, made_as_asked)
{
    struct files f;
    struct novt_error err = {0};
    struct novt_drive_info i;
    struct novt_vm *vm;

    files_init(&f);
    const struct novt_drive drive[] = {
        {.bus = NOVT_BUS_IDE, .index = 0, .medium = {.file = f.disk}},
        {.bus = NOVT_BUS_IDE, .index = 2, .cdrom = true, .id = "dvd"},
        {.bus = NOVT_BUS_FLOPPY, .medium = {.file = f.floppy, .format = NOVT_FORMAT_RAW, .read_only = true}},
        {.bus = NOVT_BUS_VIRTIO, .medium = {.file = f.disk2, .format = NOVT_FORMAT_RAW, .snapshot = true}},
    };
    vm = machine(&f, drive, 4, &err);
    cr_assert(vm, "%s", err.cause);
    cr_expect_eq(f.warnings, 1, "for the one that was probed");
    cr_expect(novt_vm_drive_info(vm, 0, &i) && !strcmp(i.id, "ide0-hd0") && i.bytes == 1 << 20 &&
              !i.removable && !strcmp(i.file, f.disk));
    cr_expect(novt_vm_drive_info(vm, 1, &i) && !strcmp(i.id, "dvd") && i.cdrom && i.removable &&
              !i.inserted && !i.file[0]);
    cr_expect(novt_vm_drive_info(vm, 2, &i) && !strcmp(i.id, "floppy0") && i.removable && i.read_only);
    cr_expect(novt_vm_drive_info(vm, 3, &i) && !strcmp(i.id, "virtio0") && i.snapshot && i.bytes == 2 << 20);
    cr_expect(!novt_vm_drive_info(vm, 4, &i));
    cr_expect_eq(novt_vm_flush_drives(vm), 0);
    novt_vm_reset(vm);
    novt_vm_free(vm);
    files_fini(&f);
}

Test(drives, media)
{
    struct files f;
    struct novt_error err = {0};
    struct novt_drive_info i;
    struct novt_medium medium;
    struct novt_vm *vm;

    files_init(&f);
    const struct novt_drive drive[] = {
        {.bus = NOVT_BUS_IDE, .index = 2, .cdrom = true, .id = "dvd"},
        {.bus = NOVT_BUS_VIRTIO, .medium = {.file = f.disk, .format = NOVT_FORMAT_RAW}}};
    vm = machine(&f, drive, 2, &err);
    cr_assert(vm, "%s", err.cause);
    medium = (struct novt_medium){.file = f.cd};
    cr_expect_eq(novt_vm_change(vm, "dvd", &medium, &err), 0, "%s", err.cause);
    cr_expect(novt_vm_drive_info(vm, 0, &i) && i.inserted && i.read_only && !strcmp(i.file, f.cd));
    medium.file = "/var/tmp/no/such";
    cr_expect_eq(novt_vm_change(vm, "dvd", &medium, &err), -ENOENT);
    cr_expect(err.kind == NOVT_ERR_HOST && strstr(err.cause, "no/such"));
    cr_expect(novt_vm_drive_info(vm, 0, &i) && !strcmp(i.file, f.cd), "the old one is still there");
    cr_expect_eq(novt_vm_eject(vm, "ide1-cd0", &err), 0, "QEMU's name works, too");
    cr_expect(novt_vm_drive_info(vm, 0, &i) && !i.inserted);
    cr_expect_eq(novt_vm_eject(vm, "dvd", &err), 0, "again");
    cr_expect_eq(novt_vm_eject(vm, "virtio0", &err), -EINVAL);
    cr_expect_eq(novt_vm_eject(vm, "nothing", &err), -ENODEV);
    medium = (struct novt_medium){.file = f.cd, .format = (enum novt_format)77};
    cr_expect_eq(novt_vm_change(vm, "dvd", &medium, &err), -EINVAL);
    novt_vm_free(vm);
    files_fini(&f);
}

Test(drives, refused)
{
    struct files f;
    struct novt_error err;
    struct novt_drive many[NOVT_DRIVES + 1] = {0};

    files_init(&f);
    const struct novt_drive same[] = {{.bus = NOVT_BUS_FLOPPY}, {.bus = NOVT_BUS_FLOPPY}};
    const struct novt_drive twice[] = {
        {.bus = NOVT_BUS_IDE, .index = 0, .medium = {.file = f.disk, .format = NOVT_FORMAT_RAW}},
        {.bus = NOVT_BUS_VIRTIO, .index = 0, .medium = {.file = f.disk, .format = NOVT_FORMAT_RAW}},
    };
    const struct novt_drive one[] = {
        {.bus = NOVT_BUS_IDE, .index = 4, .cdrom = true},
        {.bus = NOVT_BUS_FLOPPY, .index = 2},
        {.bus = NOVT_BUS_IDE, .index = 0},
        {.bus = NOVT_BUS_VIRTIO},
        {.bus = (enum novt_drive_bus)9},
        {.bus = NOVT_BUS_IDE, .medium = {.file = f.disk, .read_only = true}},
    };
    for (size_t i = 0; i < sizeof(one) / sizeof(one[0]); i++) {
        memset(&err, 0, sizeof(err));
        cr_expect(!machine(&f, &one[i], 1, &err) && err.kind == NOVT_ERR_USAGE && err.remedy[0],
                  "case %zu: %s", i, err.cause);
    }
    cr_expect(!machine(&f, same, 2, &err) && err.kind == NOVT_ERR_USAGE, "%s", err.cause);
    cr_expect(!machine(&f, twice, 2, &err) && err.kind == NOVT_ERR_HOST && strstr(err.cause, "in use"), "%s",
              err.cause);
    cr_expect(!machine(&f, many, NOVT_DRIVES + 1, &err) && err.kind == NOVT_ERR_USAGE, "%s", err.cause);
    files_fini(&f);
}

/* The sanitizers' build fails here if a controller looks for its request at a disk that is gone. */
Test(drives, machine_goes_in_the_middle_of_a_read)
{
    struct files f;
    struct novt_error err = {0};
    struct novt_vm *vm;

    files_init(&f);
    const struct novt_drive drive[] = {
        {.bus = NOVT_BUS_IDE, .index = 0, .medium = {.file = f.disk, .format = NOVT_FORMAT_RAW}}};
    vm = machine(&f, drive, 1, &err);
    cr_assert(vm, "%s", err.cause);
    pc_pio_write(vm->pc, 0x1f6, 1, 0xe0);
    pc_pio_write(vm->pc, 0x1f2, 1, 8);
    pc_pio_write(vm->pc, 0x1f7, 1, 0x20); /* READ SECTORS */
    cr_expect_eq(pc_pio_read(vm->pc, 0x3f6, 1) & 0x88, 0x80, "busy");
    novt_vm_free(vm);
    files_fini(&f);
}
