/*
 * test_drives.c - the drives' options: what comes out as the machine's drives.
 *
 * Fails if an option reaches another place, medium or boot order than QEMU's would, or if a combination that cannot be is accepted.
 */
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "monitor/cli.h"

#define WORDS 40

/* The struct is large: on the heap. The line's words are kept with it, because values point into them. */
struct parsed {
    struct cli_options o;
    struct novt_error err;
    char line[2048];
    int rc;
};

static struct parsed *parse_with(const char *line, bool with_defaults)
{
    struct parsed *p = calloc(1, sizeof(*p));
    char *argv[WORDS] = {NULL};
    int argc = 0;

    snprintf(p->line, sizeof(p->line), "novt %s%s", with_defaults ? "" : "-nodefaults ", line);
    for (char *word = strtok(p->line, " "); word && argc < WORDS; word = strtok(NULL, " "))
        argv[argc++] = word;
    p->rc = cli_parse(&p->o, argc, argv, &p->err);
    return p;
}

static struct parsed *parse(const char *line)
{
    return parse_with(line, false);
}

/* Drives as text: bus index [cd] file|- [ro] [snap] [format] [cache] [id] [boot]. */
static void describe(const struct parsed *p, char *buf, size_t bytes)
{
    static const char *const bus[] = {"ide", "fd", "vd"};
    static const char *const format[] = {"", " raw", " qcow2"};
    static const char *const cache[] = {"", " wt", " none", " dsync", " unsafe"};
    size_t n = 0;

    buf[0] = 0;
    for (size_t i = 0; i < p->o.config.drives; i++) {
        const struct novt_drive *d = &p->o.config.drive[i];

        n += (size_t)snprintf(buf + n, bytes - n, "%s%s%u%s %s%s%s%s%s", i ? "; " : "", bus[d->bus], d->index,
                              d->cdrom ? " cd" : "", d->medium.file ? d->medium.file : "-",
                              d->medium.read_only ? " ro" : "", d->medium.snapshot ? " snap" : "",
                              format[d->medium.format], cache[d->medium.cache]);
        if (d->id)
            n += (size_t)snprintf(buf + n, bytes - n, " id=%s", d->id);
        if (d->boot_index)
            n += (size_t)snprintf(buf + n, bytes - n, " boot=%u", d->boot_index);
    }
}

Test(drives, accepted)
{
    static const struct {
        const char *line, *drives;
    } t[] = {
        {"-nodefaults", ""},
        {"-hda a -hdb b -hdc c -hdd d", "ide0 a; ide1 b; ide2 c; ide3 d"},
        {"disk", "ide0 disk"},
        {"-hdb b disk", "ide1 b; ide0 disk"},
        {"-cdrom c", "ide2 cd c"},
        {"-fda a -fdb b", "fd0 a; fd1 b"},
        {"-drive file=a -drive file=b", "ide0 a; ide1 b"},
        {"-drive file=a -hda h", "ide0 h; ide1 a"},
        {"-drive file=a,index=3,format=raw", "ide3 a raw"},
        {"-drive file=a,bus=1,unit=1", "ide3 a"},
        {"-drive file=a,bus=1", "ide2 a"},
        {"-drive file=a,media=cdrom -cdrom c", "ide2 cd c; ide0 cd a"},
        {"-drive if=floppy,file=a,readonly=on", "fd0 a ro"},
        {"-drive if=virtio,file=a,cache=none -drive if=virtio,file=b,cache=unsafe",
         "vd0 a none; vd1 b unsafe"},
        {"-drive file=a,cache.direct=on", "ide0 a none"},
        {"-drive file=a,,b,snapshot", "ide0 a,b snap"},
        {"-drive file=a=b,aio=native,discard=unmap", "ide0 a=b"},
        {"-snapshot -hda a -drive file=b,snapshot=off,index=1", "ide0 a snap; ide1 b"},
        {"-drive if=none,id=x,file=a,format=qcow2 -device ide-hd,drive=x,bus=ide.1,unit=1,bootindex=0",
         "ide3 a qcow2 id=x boot=1"},
        {"-device virtio-blk-pci,drive=x,bootindex=4 -drive if=none,id=x,file=a", "vd0 a id=x boot=5"},
        {"-device ide-cd,bus=ide.1 -hda h", "ide0 h; ide2 cd -"},
        {"-device ide-cd -hda h", "ide0 h; ide2 cd -"},
        {"-device ide-cd,unit=1 -hdc h", "ide2 h; ide3 cd -"},
        {"-drive if=none,id=x,file=a -drive if=none,id=y,file=b -drive if=none,id=z,file=c -device ide-hd,drive=x -device ide-hd,drive=y "
         "-device ide-hd,drive=z",
         "ide2 a id=x; ide3 b id=y; ide0 c id=z"},
        {"-drive file=file:a:b -hdb file:/c", "ide1 /c; ide0 a:b"},
        {"-drive if=virtio,file=a,media=cdrom", "vd0 a ro"},
        {"-drive if=none,id=f,file=a -device floppy,drive=f,unit=1", "fd1 a id=f"},
        {"-drive if=none,id=f,file=a -device isa-fdc,driveA=f,bootindexA=2", "fd0 a id=f boot=3"},
        {"-blockdev driver=file,node-name=f,filename=a -blockdev driver=qcow2,node-name=q,file=f -device "
         "virtio-blk,drive=q",
         "vd0 a qcow2"},
        {"-blockdev raw,node-name=q,file.driver=file,file.filename=a,read-only=on -device virtio-blk,drive=q",
         "vd0 a ro raw"},
        {"-blockdev driver=file,node-name=f,filename=a,cache.direct=on -device "
         "ide-hd,drive=f,write-cache=off",
         "ide2 a raw none"},
        {"-blockdev "
         "{\"driver\":\"qcow2\",\"node-name\":\"q\",\"read-only\":true,\"file\":{\"driver\":\"file\","
         "\"filename\":\"a,b\"}} "
         "-device virtio-blk,drive=q",
         "vd0 a,b ro qcow2"},
        {"-drive if=none,id=x,file=a -device ide-hd,drive=x,write-cache=off", "ide2 a wt id=x"},
    };
    char got[1024];

    for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
        struct parsed *p = parse(t[i].line);

        describe(p, got, sizeof(got));
        cr_expect(p->rc == 0, "%s: %s", t[i].line, p->err.cause);
        cr_expect_str_eq(got, t[i].drives, "%s", t[i].line);
        free(p);
    }
}

Test(drives, refused)
{
    static const struct {
        const char *line, *cause;
    } t[] = {
        {"-hda a -hda b", "exists twice"},
        {"-hdc a -cdrom b", "exists twice"},
        {"-drive file=a -drive file=a -drive file=a -drive file=a -drive file=a", "no place is left"},
        {"-drive file=a,bus=ide.0", "bus=ide.0"},
        {"-drive file=a,if=sd", "if=sd"},
        {"-drive file=a,if=floppy,media=cdrom", "media=cdrom"},
        {"-drive file=a,id=1x", "1x"},
        {"-drive file=a,id=x -drive file=b,id=x", "twice"},
        {"-drive file=a,bps=1000", "throttle"},
        {"-drive file=a,throttling.iops-total=10", "throttle"},
        {"-drive if=virtio", "no file="},
        {"-drive file=a,detect-zeroes=maybe", "detect-zeroes"},
        {"-drive if=none,id=x,file=a -device ide-hd,drive=x -device ide-hd,drive=x", "in use"},
        {"-drive id=x,file=a -device ide-hd,drive=x", "in use"},
        {"-device ide-hd,bus=scsi.0", "bus=scsi.0"},
        {"-device virtio-blk-pci,addr=99", "addr=99"},
        {"-device virtio-blk-pci,iothread=io", "iothread"},
        {"-device isa-fdc,driveC=x", "driveC"},
        {"-blockdev driver=raw,node-name=a,file=b -device ide-hd,drive=a", "file=b"},
        {"-blockdev {\"driver\":\"raw\"", "JSON"},
        {"-blockdev {\"driver\":[\"raw\"]}", "JSON"},
        {"-blockdev {\"a\":{\"b\":{\"c\":{\"d\":{\"e\":{\"f\":1}}}}}}", "JSON"},
        {"-blockdev {\"driver\":\"raw\"}", "node-name"},
        {"-snapshot -blockdev driver=file,node-name=a,filename=b", "-snapshot"},
        {"-boot order=cx", "cx"},
        {"-boot splash=a.bmp", "splash"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
        struct parsed *p = parse(t[i].line);

        cr_expect(p->rc == EXIT_USAGE, "%s: %d", t[i].line, p->rc);
        cr_expect(strstr(p->err.cause, t[i].cause) && p->err.remedy[0], "%s: %s", t[i].line, p->err.cause);
        free(p);
    }
}

Test(drives, defaults)
{
    static const struct {
        const char *line, *drives;
    } t[] = {
        {"", "ide2 cd -; fd0 -"},
        {"-hda a -fda b", "ide0 a; fd0 b; ide2 cd -"},
        {"-hdc a", "ide2 a; fd0 -"},
        {"-cdrom a", "ide2 cd a; fd0 -"},
        {"-drive if=none,id=x,file=a -device ide-hd,drive=x", "ide2 a id=x; fd0 -"},
        {"-fdb a -device ide-cd", "fd1 a; ide2 cd -; fd0 -"},
        {"-drive if=none,id=x,file=a -device floppy,drive=x,unit=1", "fd1 a id=x; ide2 cd -"},
        {"-drive if=virtio,file=a", "vd0 a; ide2 cd -; fd0 -"},
    };
    char got[1024];

    for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
        struct parsed *p = parse_with(t[i].line, true);

        describe(p, got, sizeof(got));
        cr_expect_str_eq(got, t[i].drives, "%s: %s", t[i].line, p->err.cause);
        free(p);
    }
}

Test(drives, boot)
{
    struct parsed *p = parse("-boot order=dc,once=a,menu=on,splash-time=500,strict=on,reboot-timeout=0");

    cr_expect(p->rc == 0);
    cr_expect_str_eq(p->o.config.boot_order, "dc");
    cr_expect_str_eq(p->o.config.boot_once, "a");
    cr_expect(p->o.config.boot_menu && p->o.config.boot_strict && p->o.config.boot_menu_ms == 500);
    cr_expect(p->o.config.boot_fail_ms == 1, "%u", p->o.config.boot_fail_ms);
    free(p);
    p = parse("-boot n");
    cr_expect_str_eq(p->o.config.boot_order, "n");
    cr_expect(!p->o.config.boot_fail_ms);
    free(p);
}

Test(drives, identity)
{
    struct parsed *p = parse("-drive if=none,id=x,file=a -device ide-hd,drive=x,model=M,ver=1.0,serial=S,wwn=0x5000c50015ea71aa,rotation_rate=1");

    cr_expect(p->rc == 0, "%s", p->err.cause);
    if (!p->rc) {
        cr_expect_str_eq(p->o.config.drive[0].model, "M");
        cr_expect_str_eq(p->o.config.drive[0].firmware, "1.0");
        cr_expect_str_eq(p->o.config.drive[0].serial, "S");
        cr_expect(p->o.config.drive[0].wwn == 0x5000c50015ea71aa && p->o.config.drive[0].rotation_rate == 1);
    }
    free(p);
}

/* However long the values are, they end in a message and nothing is overrun. */
Test(drives, much_text)
{
    char line[2048] = "-drive if=none,id=";
    struct parsed *p;

    memset(line + strlen(line), 'x', 1900);
    p = parse(line);
    cr_expect(p->rc == 0); /* kept whole, and only noted as unused */
    free(p);
}
