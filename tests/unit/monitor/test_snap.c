/*
 * test_snap.c - states of machines: round trips, and files that somebody made up.
 *
 * The guest is a few bytes of real-mode code that count and keep the FPU and the timer busy. Files are damaged in two ways: as
 * they lie on the disk, which the checksum has to find, and inside, compressed anew, which the checks have to find: what they let pass
 * must be a machine that runs, whatever it then does. A finding is a crash, a sanitizer's message, a bug's exit, or a machine that
 * changed although the file was refused.
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "monitor/snap.h"
#include "novt.h"

#define MB (1u << 20)
#define HEAD 20u /* magic and version */
#define PATH_BYTES 64

static struct novt_vm *vm;
static char path[PATH_BYTES];
static u64 seed = 0x9e3779b97f4a7c15ull;

static u32 rnd(u32 n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (u32)(seed >> 33) % n;
}

/* Counts at 5000h, with a timer interrupt at vector 8 and some x87. */
static const u8 code[] = {
    0xfa,                               /* cli */
    0x31, 0xc0, 0x8e, 0xd8, 0x8e, 0xd0, /* xor ax, ax; mov ds, ax; mov ss, ax */
    0xbc, 0x00, 0x70,                   /* mov sp, 7000h */
    0xdb, 0xe3,                         /* fninit */
    0x66, 0xff, 0x06, 0x00, 0x50,       /* l: inc dword [5000h] */
    0xd8, 0xc0,                         /* fadd st0, st0 */
    0xd9, 0xeb, 0xde, 0xd9,             /* fldpi; fcompp */
    0xd9, 0xeb,                         /* fldpi */
    0xeb, 0xf1,                         /* jmp l */
};

static void start(void)
{
    struct novt_config config = {.ram_bytes = 2 * MB, .no_firmware = true};
    struct novt_regs regs;

    snprintf(path, sizeof(path), "/tmp/novt-snap-%d", (int)getpid());
    cr_assert_eq(novt_vm_new(&vm, &config, NULL), 0);
    cr_assert_eq(novt_vm_write_memory(vm, 0x1000, code, sizeof(code)), 0);
    novt_vm_get_regs(vm, &regs);
    regs.seg[NOVT_CS].sel = 0;
    regs.seg[NOVT_CS].base = 0;
    regs.eip = 0x1000;
    novt_vm_set_regs(vm, &regs);
}

static void stop(void)
{
    novt_vm_free(vm);
    unlink(path);
}

static void *stopper(void *opaque)
{
    usleep(*(unsigned *)opaque);
    novt_vm_stop(vm, 0);
    return NULL;
}

static void run_for(unsigned us)
{
    struct novt_outcome out;
    pthread_t t;

    pthread_create(&t, NULL, stopper, &us);
    while (novt_vm_run(vm, &out, NULL) == 0 && out.why == NOVT_RESET)
        ;
    pthread_join(t, NULL);
}

static u32 counter(void)
{
    u32 v = 0;

    novt_vm_read_memory(vm, 0x5000, &v, sizeof(v));
    return v;
}

static u8 *read_file(size_t *len)
{
    struct stat st;
    int fd = open(path, O_RDONLY);
    u8 *data;

    cr_assert(fd >= 0 && !fstat(fd, &st));
    *len = (size_t)st.st_size;
    data = malloc(*len + 64);
    cr_assert_eq(read(fd, data, *len), (ssize_t)*len);
    close(fd);
    return data;
}

static void write_file(const u8 *data, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    cr_assert_eq(write(fd, data, len), (ssize_t)len);
    close(fd);
}

Test(snap, there_and_back)
{
    struct novt_regs saved, now;
    struct novt_error err;
    u32 at;

    start();
    run_for(20000);
    at = counter();
    cr_assert_gt(at, 0u);
    novt_vm_get_regs(vm, &saved);
    cr_assert_eq(novt_vm_save(vm, path, &err), 0, "%s", err.cause);
    run_for(20000);
    cr_assert_neq(counter(), at);
    cr_assert_eq(novt_vm_load(vm, path, &err), 0, "%s", err.cause);
    cr_expect_eq(counter(), at);
    novt_vm_get_regs(vm, &now);
    cr_expect_eq(memcmp(&saved, &now, sizeof(now)), 0);
    run_for(20000);
    cr_expect_neq(counter(), at);
    stop();
}

/* Pages that were zero when it was saved are zero again, those of the code that runs included. */
Test(snap, memory_is_as_it_was)
{
    static u8 page[4096];
    struct novt_error err;
    u8 nop = 0x90, b = 0;

    start();
    run_for(2000);
    cr_assert_eq(novt_vm_save(vm, path, &err), 0, "%s", err.cause);
    memset(page, 0xaa, sizeof(page));
    cr_assert_eq(novt_vm_write_memory(vm, 0x100000, page, sizeof(page)), 0);
    cr_assert_eq(novt_vm_write_memory(vm, 0x1000 + 12, &nop, 1), 0);
    cr_assert_eq(novt_vm_load(vm, path, &err), 0, "%s", err.cause);
    cr_assert_eq(novt_vm_read_memory(vm, 0x100000, page, sizeof(page)), 0);
    for (unsigned i = 0; i < sizeof(page); i++)
        cr_assert_eq(page[i], 0);
    cr_assert_eq(novt_vm_read_memory(vm, 0x1000 + 12, &b, 1), 0);
    cr_expect_eq(b, code[12]);
    stop();
}

Test(snap, a_file_that_cannot_be_written_leaves_the_old_one)
{
    struct novt_error err;
    char part[PATH_BYTES + 8];
    size_t len, again;
    u8 *old, *is;

    start();
    cr_assert_eq(novt_vm_save(vm, path, &err), 0, "%s", err.cause);
    old = read_file(&len);
    snprintf(part, sizeof(part), "%s.part", path);
    cr_assert_eq(mkdir(part, 0700), 0);
    cr_expect_lt(novt_vm_save(vm, path, &err), 0);
    cr_expect_eq(err.kind, NOVT_ERR_HOST);
    rmdir(part);
    is = read_file(&again);
    cr_expect(len == again && !memcmp(old, is, len));
    free(old);
    free(is);
    stop();
}

/* A second machine of another making; and what it says. */
Test(snap, another_machine_is_refused)
{
    struct novt_config config = {.ram_bytes = 3 * MB, .no_firmware = true};
    struct novt_vm *first;
    struct novt_error err;

    start();
    first = vm;
    cr_assert_eq(novt_vm_save(vm, path, &err), 0, "%s", err.cause);
    cr_assert_eq(novt_vm_new(&vm, &config, NULL), 0);
    cr_expect_eq(novt_vm_load(vm, path, &err), -ENOEXEC);
    cr_expect_eq(err.kind, NOVT_ERR_IMAGE);
    cr_expect(strstr(err.cause, "2 MiB") && strstr(err.remedy, "-m"), "%s, %s", err.cause, err.remedy);
    novt_vm_free(vm);
    vm = first;
    stop();
}

/* Every cut, and bits anywhere: refused, and nothing happened. */
Test(snap, damaged_files, .timeout = 120)
{
    struct novt_regs before, after;
    struct novt_error err;
    size_t len;
    u8 *file;

    start();
    run_for(5000);
    cr_assert_eq(novt_vm_save(vm, path, &err), 0, "%s", err.cause);
    file = read_file(&len);
    run_for(5000);
    novt_vm_get_regs(vm, &before);
    for (unsigned i = 0; i < 400; i++) {
        size_t at = rnd((u32)len);
        u8 old = file[at];

        if (i & 1) {
            write_file(file, at);
        } else {
            file[at] ^= (u8)(1u << rnd(8));
            write_file(file, len);
            file[at] = old;
        }
        cr_assert_eq(novt_vm_load(vm, path, &err), -ENOEXEC, "%s at %zu of %zu", i & 1 ? "cut" : "bit", at,
                     len);
        cr_assert(err.kind == NOVT_ERR_IMAGE && err.cause[0]);
    }
    novt_vm_get_regs(vm, &after);
    cr_expect_eq(memcmp(&before, &after, sizeof(after)), 0);
    write_file(file, len);
    cr_expect_eq(novt_vm_load(vm, path, &err), 0, "%s", err.cause);
    free(file);
    stop();
}

/* ---- made up inside ---- */

/* The part before RAM, where the meaning is. */
static size_t units_end(const u8 *p, size_t len)
{
    u32 units, bytes;
    size_t at = 4;

    memcpy(&units, p, 4);
    for (u32 i = 0; i < units; i++) {
        for (unsigned k = 0; k < 2; k++)
            at += 1u + p[at];
        memcpy(&bytes, p + at, 4);
        at += 4 + bytes;
    }
    cr_assert_lt(at, len);
    return at;
}

Test(snap, made_up_files, .timeout = 280)
{
    unsigned accepted = 0, refused = 0;
    struct novt_error err;
    size_t len, plain_len, end, room;
    u8 *file, *plain, *packed;
    u64 hash;

    start();
    run_for(5000);
    cr_assert_eq(novt_vm_save(vm, path, &err), 0, "%s", err.cause);
    file = read_file(&len);
    plain = malloc(4 * MB);
    plain_len = ZSTD_decompress(plain, 4 * MB, file + HEAD, len - HEAD - sizeof(hash));
    cr_assert(!ZSTD_isError(plain_len));
    end = units_end(plain, plain_len);
    room = ZSTD_compressBound(plain_len);
    packed = malloc(HEAD + room + sizeof(hash));
    memcpy(packed, file, HEAD);
    for (unsigned i = 0; i < 1500; i++) {
        size_t at[6], n;
        u8 old[6];
        unsigned changes = 1 + rnd(6);

        for (unsigned k = 0; k < changes; k++) {
            at[k] = rnd(20) ? rnd((u32)end) : rnd((u32)plain_len);
            old[k] = plain[at[k]];
            plain[at[k]] = rnd(2) ? (u8)rnd(256) : (u8)(old[k] ^ 1u << rnd(8));
        }
        n = ZSTD_compress(packed + HEAD, room, plain, rnd(10) ? plain_len : rnd((u32)plain_len), 1);
        hash = snap_hash(SNAP_HASH_START, packed, HEAD + n);
        memcpy(packed + HEAD + n, &hash, sizeof(hash));
        write_file(packed, HEAD + n + sizeof(hash));
        if (novt_vm_load(vm, path, &err) == 0) {
            accepted++;
            run_for(200);
        } else {
            refused++;
            cr_assert(err.cause[0]);
        }
        for (unsigned k = changes; k--;)
            plain[at[k]] = old[k];
    }
    cr_expect_gt(accepted, 50u);
    cr_expect_gt(refused, 50u);
    write_file(file, len);
    cr_expect_eq(novt_vm_load(vm, path, &err), 0, "%s", err.cause);
    free(file);
    free(plain);
    free(packed);
    stop();
}
