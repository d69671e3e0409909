/*
 * vm_snap.c - novt_vm_save() and novt_vm_load(): the whole machine to a file and back.
 *
 * Saving: the machine is paused, back ends finish what is in flight, disks are flushed; then every unit's fields and the pages of RAM
 * that are not zero. Loading: the file is gone through once to the end, and all of it tried against this machine, before
 * anything of the machine changes; then the machine is reset and filled, which cannot fail any more. Disks' contents
 * are not in the file: it says which images there were and when they were last written, and only with these it loads.
 */
#include "monitor/snap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* What a machine is made of; all of it has to be the same. */
struct making {
    u64 ram_bytes;
    u64 firmware; /* hash */
    char cpu[16];
    struct making_disk {
        char id[32];
        u64 bytes, written_s, written_ns; /* 0: cannot be written */
    } disk[NOVT_DRIVES];
};

#define S struct making_disk
static const struct state_field disk_rows[] = {STATE_BYTES(S, id), STATE(S, bytes), STATE(S, written_s), STATE(S, written_ns)};
STATE_INNER(disk_state, disk_rows, NULL);
#undef S
#define S struct making
static const struct state_field making_rows[] = {
    STATE(S, ram_bytes), STATE(S, firmware), STATE_BYTES(S, cpu), STATE_PARTS(S, disk, &disk_state)};
static const struct state_table making_state = {"machine", 1, making_rows, ARRAY_SIZE(making_rows), NULL, NULL};
#undef S

#define UNITS_MAX (PC_UNITS_MAX + 4)

struct snap {
    struct machine *m;
    struct making making;
    struct snap_extra extra;
    struct state_unit unit[UNITS_MAX]; /* of this machine */
    unsigned units;
    u8 *data[UNITS_MAX]; /* of the file, by the same index */
    u32 bytes[UNITS_MAX];
};

/* ---- what there is ---- */

static void look_at_disk(const struct machine *m, unsigned n, struct making_disk *d, const struct novt_drive_info *info)
{
    snprintf(d->id, sizeof(d->id), "%s", info->id);
    d->bytes = info->bytes;
    if (info->read_only || !info->inserted)
        return;
    if (info->snapshot) { /* in a temporary file that ends with this process */
        d->written_s = (u64)getpid() << 32;
        d->written_ns = info->writes;
    } else if (!disks_written(m, n, &d->written_s, &d->written_ns)) {
        d->written_s = d->written_ns = 0;
    }
}

static void look_at_making(struct machine *m, struct making *k)
{
    static const char *const models[] = {[CPU_486] = "486",           [CPU_PENTIUM] = "pentium",   [CPU_PENTIUM2] = "pentium2",
                                         [CPU_PENTIUM3] = "pentium3", [CPU_PENTIUM4] = "pentium4", [CPU_MAX] = "max"};
    struct novt_drive_info info;

    memset(k, 0, sizeof(*k));
    k->ram_bytes = m->ram_bytes;
    k->firmware = snap_hash(snap_hash(SNAP_HASH_START, m->bios.data, m->bios.bytes), m->vgabios.data, m->vgabios.bytes);
    snprintf(k->cpu, sizeof(k->cpu), "%s", m->vm.model < ARRAY_SIZE(models) ? models[m->vm.model] : "?");
    for (unsigned i = 0; i < NOVT_DRIVES && novt_vm_drive_info(&m->vm, i, &info); i++)
        look_at_disk(m, i, &k->disk[i], &info);
}

static void list_units(struct snap *s)
{
    struct machine *m = s->m;

    s->unit[0] = (struct state_unit){"machine", &making_state, &s->making, sizeof(s->making)};
    s->unit[1] = (struct state_unit){"cpu", &snap_cpu_state, &m->vm.cpu, sizeof(m->vm.cpu)};
    s->unit[2] = (struct state_unit){"cpu-more", &snap_extra_state, &s->extra, sizeof(s->extra)};
    s->units = 3 + pc_units(m->vm.pc, s->unit + 3);
}

/* ---- RAM ---- */

static bool is_zero(const u8 *page)
{
    const u64 *p = (const u64 *)(const void *)page;
    u64 any = 0;

    for (unsigned i = 0; i < PAGE_BYTES / 8; i++)
        any |= p[i];
    return !any;
}

static void save_run(struct snap_writer *w, const u8 *ram, u32 first, u32 n)
{
    const u32 head[2] = {first, n};

    if (!n)
        return;
    snap_write(w, head, sizeof(head));
    snap_write(w, ram + (u64)first * PAGE_BYTES, (size_t)n * PAGE_BYTES);
}

/* Holes of the memory's file are not looked at: that would fill them. */
static void save_ram(struct snap_writer *w, struct machine *m)
{
    const u8 *ram = mmu_backing_ptr(m->vm.mmu, 0);
    const u32 end = SNAP_RAM_END;
    u64 bytes;
    int fd = mmu_memfd(m->vm.mmu, &bytes);
    off_t at = 0;

    while (!w->err && (u64)at < m->ram_bytes) {
        off_t data = lseek(fd, at, SEEK_DATA), hole = data < 0 ? data : lseek(fd, data, SEEK_HOLE);
        u32 page = (u32)(data / (off_t)PAGE_BYTES), first = page, last;

        if (data < 0 || hole < 0 || (u64)data >= m->ram_bytes)
            break; /* nothing but a hole up to the end */
        last = (u32)(min_u64((u64)hole, m->ram_bytes) / PAGE_BYTES);
        for (; page < last; page++) {
            if (!is_zero(ram + (u64)page * PAGE_BYTES))
                continue;
            save_run(w, ram, first, page - first);
            first = page + 1;
        }
        save_run(w, ram, first, page - first);
        at = hole;
    }
    snap_write(w, &end, sizeof(end));
}

static const char no_such_pages[] = "pages of RAM that are not there";

/* Goes through the pages of the file; with ram they are stored there. */
static bool read_ram(struct snap_reader *r, u8 *ram, u64 ram_bytes)
{
    u64 pages = ram_bytes / PAGE_BYTES;
    u32 first, n, next = 0;

    for (;;) {
        if (!snap_read(r, &first, sizeof(first)))
            return false;
        if (first == SNAP_RAM_END)
            return true;
        if (!snap_read(r, &n, sizeof(n)))
            return false;
        if (first < next || !n || n > pages || first > pages - n) {
            r->bad = no_such_pages;
            return false;
        }
        next = first + n;
        if (!snap_read(r, ram ? ram + (u64)first * PAGE_BYTES : NULL, (size_t)n * PAGE_BYTES))
            return false;
    }
}

static void clear_ram(struct machine *m)
{
    u8 *ram = mmu_backing_ptr(m->vm.mmu, 0);

    for (u64 gpa = 0; gpa < m->ram_bytes; gpa += PAGE_BYTES)
        mon_code_written(&m->vm, gpa, PAGE_BYTES);
    if (madvise(ram, m->ram_bytes, MADV_REMOVE))
        memset(ram, 0, m->ram_bytes);
}

/* ---- saving ---- */

static int save_all(struct snap *s, const char *path)
{
    struct snap_writer *w = malloc(sizeof(*w));
    struct state_buf b = {0};
    int rc = w ? snap_create(w, path) : -ENOMEM;

    if (rc)
        goto out;
    state_put_num(&b, s->units, 4);
    for (unsigned i = 0; i < s->units; i++) {
        size_t at;
        u32 len;

        state_put_name(&b, s->unit[i].name);
        state_put_name(&b, s->unit[i].table->name);
        at = b.len;
        state_put_num(&b, 0, 4);
        state_save(&b, s->unit[i].table, s->unit[i].obj);
        len = (u32)(b.len - at - 4);
        if (b.failed)
            break;
        memcpy(b.data + at, &len, 4);
        snap_write(w, b.data, b.len);
        b.len = 0;
    }
    w->err = b.failed ? -ENOMEM : w->err;
    save_ram(w, s->m);
    snap_write(w, "end", 3);
    rc = snap_finish(w);
out:
    state_free(&b);
    free(w);
    return rc;
}

struct snap_args {
    struct novt_vm *vm;
    const char *path;
    struct novt_error *err;
    int rc;
};

/* The machine stands still while fn works on it. */
static void while_paused(struct snap_args *a, int (*fn)(struct snap *s, const char *path, struct novt_error *err))
{
    struct machine *m = machine_of(a->vm);
    struct snap *s = calloc(1, sizeof(*s));
    bool running = !m->vm.paused;

    if (!s) {
        a->rc = mon_fail(a->err, NOVT_ERR_HOST, -ENOMEM, "free memory on the host", "no memory for the machine's state");
        return;
    }
    if (running)
        control_pause(m, NOVT_PAUSED);
    s->m = m;
    a->rc = fn(s, a->path, a->err);
    if (running)
        (void)!novt_vm_resume(a->vm);
    for (unsigned i = 0; i < UNITS_MAX; i++)
        free(s->data[i]);
    free(s);
}

static int settle(struct machine *m, struct novt_error *err)
{
    int rc = disks_hold(m) ? -EBUSY : 0;

    if (rc)
        return mon_fail(err, NOVT_ERR_HOST, rc, "mend it and \"cont\" first", "a drive waits for its image after an error");
    rc = pc_quiesce(m->vm.pc);
    if (!rc)
        rc = novt_vm_flush_drives(&m->vm);
    if (rc)
        return mon_fail(err, NOVT_ERR_HOST, rc, "look at the host's disk", "the guest's disks do not settle: %s", strerror(-rc));
    return 0;
}

static int save(struct snap *s, const char *path, struct novt_error *err)
{
    int rc = settle(s->m, err);

    if (rc)
        return rc;
    bt_fpu_save(&s->m->vm.cpu);
    look_at_making(s->m, &s->making);
    snap_extra_take(s->m, &s->extra);
    list_units(s);
    rc = save_all(s, path);
    if (rc)
        return mon_fail(err, NOVT_ERR_HOST, rc, rc == -ENOSPC ? "make room on the host's disk" : "choose a writable place",
                        "cannot save the machine to %s: %s", path, strerror(-rc));
    return 0;
}

/* ---- loading ---- */

/* The making of the file's machine against this one's: what to tell the user. false: they match. */
static bool differs(const struct making *file, const struct making *here, char *why, size_t bytes, const char **remedy)
{
    if (file->ram_bytes != here->ram_bytes) {
        snprintf(why, bytes, "it is of a machine with %llu MiB of RAM, this one has %llu", (unsigned long long)file->ram_bytes >> 20,
                 (unsigned long long)here->ram_bytes >> 20);
        *remedy = "give the same -m";
    } else if (memcmp(file->cpu, here->cpu, sizeof(here->cpu)) != 0) {
        snprintf(why, bytes, "it is of a machine with a CPU \"%.15s\", this one has \"%.15s\"", file->cpu, here->cpu);
        *remedy = "give the same -cpu";
    } else if (file->firmware != here->firmware) {
        snprintf(why, bytes, "it is of a machine with other firmware");
        *remedy = "give the same -bios, or NoVT's same package of SeaBIOS";
    } else {
        for (unsigned i = 0; i < NOVT_DRIVES; i++) {
            const struct making_disk *a = &file->disk[i], *b = &here->disk[i];

            if (memcmp(a->id, b->id, sizeof(a->id)) != 0 || a->bytes != b->bytes) {
                snprintf(why, bytes, "drive %u (%.31s) is not what it was", i, b->id[0] ? b->id : a->id);
                *remedy = "give the same drives and images";
                return true;
            }
            if (a->written_s != b->written_s || a->written_ns != b->written_ns) {
                snprintf(why, bytes, "drive %.31s was written since then: the guest's memory would not match its disk", b->id);
                *remedy = "stop the machine before it is saved, and keep or copy the image as it then is";
                return true;
            }
        }
        return false;
    }
    return true;
}

static int bad_file(struct novt_error *err, const char *path, const char *why, const char *remedy)
{
    return mon_fail(err, NOVT_ERR_IMAGE, -ENOEXEC, remedy, "cannot load the state %s: %s", path, why);
}

/* One unit's name and bytes. false: r->bad. */
static bool read_name(struct snap_reader *r, char name[256])
{
    u8 n;

    if (!snap_read(r, &n, 1) || !snap_read(r, name, n))
        return false;
    name[n] = 0;
    return true;
}

static int read_unit(struct snap *s, struct snap_reader *r, char *why, size_t bytes)
{
    char name[256], table[256];
    unsigned i = 0;
    u32 len;

    if (!read_name(r, name) || !read_name(r, table) || !snap_read(r, &len, 4))
        return -EINVAL;
    while (i < s->units && (strcmp(s->unit[i].name, name) != 0 || strcmp(s->unit[i].table->name, table) != 0))
        i++;
    if (i == s->units || s->data[i] || len > SNAP_UNIT_BYTES_MAX) {
        snprintf(why, bytes, "%.40s: not in this machine", name);
        return -EINVAL;
    }
    s->data[i] = malloc(len ? len : 1);
    if (!s->data[i])
        return -ENOMEM;
    s->bytes[i] = len;
    return snap_read(r, s->data[i], len) ? 0 : -EINVAL;
}

/* All of the file against all of the machine. Nothing changes. */
static int try_all(struct snap *s, struct snap_reader *r, const char *path, struct novt_error *err)
{
    struct state_unit file_making = s->unit[0];
    char why[STATE_WHY_BYTES] = "", other[STATE_WHY_BYTES] = "", end[3];
    const char *remedy = NULL;
    struct making file;
    u32 units;
    int rc = 0;

    if (!snap_read(r, &units, 4) || units > UNITS_MAX)
        return bad_file(err, path, r->bad ? r->bad : "damaged", NULL);
    for (u32 i = 0; i < units && !rc; i++)
        rc = read_unit(s, r, why, sizeof(why));
    if (!rc && (!read_ram(r, NULL, s->m->ram_bytes) || !snap_read(r, end, 3) ||
                memcmp(end, "end", 3) != 0 || !snap_at_end(r)))
        rc = -EINVAL;
    if (rc == -ENOMEM)
        return mon_fail(err, NOVT_ERR_HOST, rc, "free memory on the host", "no memory for the state %s", path);
    if (r->bad && r->bad != no_such_pages)
        return bad_file(err, path, r->bad, NULL);
    /* First whether it is such a machine at all: the most useful thing to say. */
    file_making.obj = &file;
    memset(&file, 0, sizeof(file));
    if (s->data[0] && state_try(&file_making, s->data[0], s->bytes[0], other) == 0) {
        state_load(&file_making, s->data[0], s->bytes[0], NULL);
        if (differs(&file, &s->making, other, sizeof(other), &remedy))
            return bad_file(err, path, other, remedy);
    }
    if (rc)
        return bad_file(err, path, why[0] ? why : r->bad ? r->bad : "damaged", "give the options that the machine was started with");
    for (unsigned i = 0; i < s->units; i++) {
        if (!s->data[i]) {
            snprintf(why, sizeof(why), "%.20s: not in the file", s->unit[i].name);
            rc = -EINVAL;
        } else {
            rc = state_try(&s->unit[i], s->data[i], s->bytes[i], why);
        }
        if (rc)
            return bad_file(err, path, rc == -ENOMEM ? "no memory" : why, "give the options that the machine was started with");
    }
    return 0;
}

/* Everything was tried: none of this fails. */
static void load_all(struct snap *s, struct snap_reader *r)
{
    struct machine *m = s->m;
    struct clk *clk = pc_clk(m->vm.pc);
    u32 units = 0;
    bool ok;

    pc_reset(m->vm.pc);
    clear_ram(m);
    ok = snap_rewind(r) && snap_read(r, &units, 4);
    for (u32 i = 0; i < units && ok; i++) {
        char name[256];
        u32 len;

        ok = read_name(r, name) && read_name(r, name) && snap_read(r, &len, 4) && snap_read(r, NULL, len);
    }
    ok = ok && read_ram(r, mmu_backing_ptr(m->vm.mmu, 0), m->ram_bytes);
    if (!ok) /* memory of zstd's own */
        mon_stop(&m->vm, STOP_ERROR, ENOMEM);
    for (unsigned i = 1; i < s->units; i++)
        state_load(&s->unit[i], s->data[i], s->bytes[i], clk);
    snap_cpu_restored(m, &s->extra);
    for (unsigned i = 1; i < s->units; i++)
        if (s->unit[i].table->restored)
            s->unit[i].table->restored(s->unit[i].obj);
    input_loaded(m);
}

static int load(struct snap *s, const char *path, struct novt_error *err)
{
    struct snap_reader r;
    int rc = settle(s->m, err);

    if (rc)
        return rc;
    bt_fpu_save(&s->m->vm.cpu);
    look_at_making(s->m, &s->making);
    list_units(s);
    rc = snap_open(&r, path);
    if (rc == -ENOEXEC)
        rc = bad_file(err, path, r.bad, NULL);
    else if (rc)
        rc = mon_fail(err, NOVT_ERR_HOST, rc, rc == -ENOENT ? "savevm makes one" : NULL, "cannot read the state %s: %s", path,
                      strerror(-rc));
    else
        rc = try_all(s, &r, path, err);
    if (!rc) {
        load_all(s, &r);
        if (s->m->status == NOVT_SHUT_DOWN)
            s->m->status = NOVT_PAUSED;
    }
    snap_close(&r);
    return rc;
}

/* ---- for the owner ---- */

static void save_call(void *opaque)
{
    while_paused(opaque, save);
}

static void load_call(void *opaque)
{
    while_paused(opaque, load);
}

int novt_vm_save(struct novt_vm *vm, const char *path, struct novt_error *err)
{
    struct snap_args a = {vm, path, err, 0};

    novt_vm_call(vm, save_call, &a);
    return a.rc;
}

int novt_vm_load(struct novt_vm *vm, const char *path, struct novt_error *err)
{
    struct snap_args a = {vm, path, err, 0};

    novt_vm_call(vm, load_call, &a);
    return a.rc;
}
