/*
 * target_image.c - damaged media: opened by a machine as disks, CDs and floppies, changed while it is there; and booted by SeaBIOS.
 */
#include "media.h"

#include <stdio.h>

#include "monitor/machine.h"

static const char *const names[] = {"disk", "cd", "floppy", "container"};

static struct novt_medium medium(struct fuzz *f, enum media kind)
{
    struct novt_medium m = {.file = names[kind]};

    if (kind == MEDIA_CONTAINER)
        m.format = fuzz_below(f, 2) ? NOVT_FORMAT_PROBE : (enum novt_format)fuzz_below(f, NOVT_FORMAT_PARALLELS + 1);
    else
        m.format = fuzz_below(f, 2) ? NOVT_FORMAT_RAW : NOVT_FORMAT_PROBE;
    m.cache = (enum novt_cache)(fuzz_below(f, 4) ? NOVT_CACHE_WRITEBACK : fuzz_below(f, NOVT_CACHE_UNSAFE + 1));
    m.snapshot = fuzz_below(f, 4) == 0;
    return m;
}

/* A container each now and then: a process is started for it. */
static enum media any_media(struct fuzz *f)
{
    return fuzz_below(f, 12) ? (enum media)fuzz_below(f, MEDIA_CONTAINER) : MEDIA_CONTAINER;
}

static void open_and_change(struct fuzz *f, const struct novt_config *config)
{
    static const char *const drives[] = {"ide1-cd0", "floppy0", "ide0-hd0", "none"};
    struct novt_error err = {0};
    struct novt_vm *vm = NULL;

    if (novt_vm_new(&vm, config, &err)) {
        if (!err.cause[0])
            finding("an image was refused without a word");
        return;
    }
    for (u32 n = fuzz_below(f, 4); n; n--) {
        enum media kind = any_media(f);
        struct novt_medium m = medium(f, kind);
        const char *drive = drives[fuzz_below(f, ARRAY_SIZE(drives))];

        if (fuzz_below(f, 4) == 0) {
            (void)novt_vm_eject(vm, drive, &err);
        } else {
            make_medium(f, kind, "other");
            m.file = "other";
            m.force = fuzz_below(f, 2);
            (void)novt_vm_change(vm, drive, &m, &err);
        }
        if (vm->pc)
            for (u32 i = fuzz_below(f, 200); i; i--) {
                f->pc = vm->pc;
                target_ports(f);
            }
    }
    (void)novt_vm_flush_drives(vm);
    novt_vm_free(vm);
}

void target_image(struct fuzz *f, u32 steps)
{
    for (; steps; steps--) {
        struct novt_drive drive[3] = {{.bus = NOVT_BUS_IDE, .index = 0},
                                      {.bus = NOVT_BUS_IDE, .index = 2, .cdrom = true},
                                      {.bus = NOVT_BUS_FLOPPY, .index = 0}};
        struct novt_config config = {.ram_bytes = 2 << 20, .no_firmware = true, .engine = NOVT_ENGINE_BT, .drive = drive, .drives = 3};

        for (unsigned i = 0; i < 3; i++) {
            enum media kind = fuzz_below(f, 6) ? (enum media)i : any_media(f);

            make_medium(f, kind, names[kind]);
            drive[i].medium = medium(f, kind);
        }
        if (fuzz_below(f, 4) == 0) {
            drive[0].cylinders = fuzz_edge(f);
            drive[0].heads = fuzz_edge(f);
            drive[0].sectors_per_track = fuzz_edge(f);
        }
        drive[2].floppy_kib = fuzz_below(f, 4) ? 0 : fuzz_edge(f);
        open_and_change(f, &config);
    }
}

/* The whole way, firmware and all, for as long as that takes to read a boot sector and some more. */
void target_boot(struct fuzz *f, u32 steps)
{
    for (; steps; steps--) {
        enum media kind = (enum media)fuzz_below(f, MEDIA_CONTAINER);
        struct novt_drive drive = {.bus = kind == MEDIA_FLOPPY ? NOVT_BUS_FLOPPY : NOVT_BUS_IDE, .cdrom = kind == MEDIA_CD};
        struct novt_config config = {.ram_bytes = 8 << 20, .drive = &drive, .drives = 1};
        struct novt_error err = {0};
        struct novt_vm *vm = NULL;

        make_medium(f, kind, names[kind]);
        drive.medium = (struct novt_medium){.file = names[kind], .format = NOVT_FORMAT_RAW, .snapshot = fuzz_below(f, 2)};
        config.engine = fuzz_below(f, 3);
        if (novt_vm_new(&vm, &config, &err)) {
            if (!err.cause[0])
                finding("an image was refused without a word");
            continue;
        }
        run_for(vm, 1000000);
        novt_vm_free(vm);
    }
}
