/*
 * test_input.c - keys, strokes, texts and the mouse through the public API, from several threads, to a guest that reads port 60h.
 *
 * The guest is a BIOS image made here: it polls the keyboard controller and passes every byte on to port E9h. Without a BIOS's help
 * the controller does not translate: codes are those of set 2.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <novt.h>

#define BIOS_BYTES 65536
#define HEARD 65536

struct rig {
    struct novt_vm *vm;
    pthread_t thread;
    pthread_mutex_t lock;
    char heard[HEARD]; /* "1c f0 1c" */
    size_t n;
};

static void on_byte(void *opaque, const uint8_t *buf, size_t len)
{
    struct rig *r = opaque;

    pthread_mutex_lock(&r->lock);
    for (size_t i = 0; i < len && r->n + 4 < HEARD; i++)
        r->n += (size_t)snprintf(r->heard + r->n, 4, r->n ? " %02x" : "%02x", buf[i]);
    pthread_mutex_unlock(&r->lock);
}

/* in al, 64h; test al, 1; jz; in al, 60h; out e9h, al; jmp. Before it, what `first` says. */
static struct rig *rig_new(const void *first, size_t n)
{
    static const uint8_t loop[] = {0xe4, 0x64, 0xa8, 0x01, 0x74, 0xfa, 0xe4, 0x60, 0xe6, 0xe9, 0xeb, 0xf4};
    static const uint8_t far_jump[] = {0xea, 0x00, 0x00, 0x00, 0xf0};
    uint8_t *rom = calloc(1, BIOS_BYTES);
    char path[] = "/tmp/novt-input-XXXXXX";
    struct rig *r = calloc(1, sizeof(*r));
    struct novt_config c = {.ram_bytes = 4 << 20,
                            .bios = path,
                            .vgabios = "",
                            .debugcon_iobase = 0xe9,
                            .debugcon = on_byte,
                            .debugcon_opaque = r,
                            .engine = NOVT_ENGINE_BT};
    struct novt_error err;
    int fd = mkstemp(path);

    memcpy(rom, first, n);
    memcpy(rom + n, loop, sizeof(loop));
    memcpy(rom + BIOS_BYTES - 16, far_jump, sizeof(far_jump));
    cr_assert(fd >= 0 && write(fd, rom, BIOS_BYTES) == BIOS_BYTES);
    close(fd);
    free(rom);
    pthread_mutex_init(&r->lock, NULL);
    cr_assert_eq(novt_vm_new(&r->vm, &c, &err), 0, "%s", err.cause);
    unlink(path);
    return r;
}

static void *run(void *opaque)
{
    struct novt_outcome out;
    struct novt_error err;

    cr_assert_eq(novt_vm_run(((struct rig *)opaque)->vm, &out, &err), 0);
    return NULL;
}

static void start(struct rig *r)
{
    cr_assert_eq(pthread_create(&r->thread, NULL, run, r), 0);
}

static void finish(struct rig *r)
{
    novt_vm_stop(r->vm, 0);
    pthread_join(r->thread, NULL);
    novt_vm_free(r->vm);
    free(r);
}

static void expect(struct rig *r, const char *want)
{
    bool same = false;

    for (unsigned i = 0; i < 1000 && !same; i++) {
        usleep(10000);
        pthread_mutex_lock(&r->lock);
        same = r->n >= strlen(want);
        pthread_mutex_unlock(&r->lock);
    }
    usleep(20000);
    pthread_mutex_lock(&r->lock);
    cr_assert_str_eq(r->heard, want);
    r->n = 0;
    r->heard[0] = 0;
    pthread_mutex_unlock(&r->lock);
}

Test(input, keys_strokes_and_texts_come_in_order)
{
    struct rig *r = rig_new("", 0);

    cr_assert_eq(novt_vm_key(r->vm, "a", true), 0); /* before the run, too */
    start(r);
    cr_assert_eq(novt_vm_key(r->vm, "a", true), 0); /* is down already */
    cr_assert_eq(novt_vm_key(r->vm, "a", false), 0);
    cr_assert_eq(novt_vm_key(r->vm, "b", false), 0); /* is up already */
    expect(r, "1c f0 1c");
    cr_assert_eq(novt_vm_send_keys(r->vm, "ctrl-alt-delete", 10), 0);
    expect(r, "14 11 e0 71 e0 f0 71 f0 11 f0 14");
    cr_assert_eq(novt_vm_send_keys(r->vm, "0xc8", 1), 0);
    cr_assert_eq(novt_vm_send_text(r->vm, "aA\r\n\x03\xc3\xa4", 7), 7);
    cr_assert_eq(novt_vm_send_keys(r->vm, "f1", 1), 0);
    expect(r, "e0 75 e0 f0 75 1c f0 1c 12 1c f0 1c f0 12 5a f0 5a 14 21 f0 21 f0 14 05 f0 05");
    finish(r);
}

Test(input, wrong_names)
{
    static const char *const wrong[] = {
        "", "-", "a-", "-a", "nokey", "ctrl-nokey", "a-b-c-d-e-f-g-h-i", "ctrl--", "0x", "0xfffff"};
    struct rig *r = rig_new("", 0);

    for (unsigned i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        cr_assert_eq(novt_vm_send_keys(r->vm, wrong[i], 1), -EINVAL, "%s", wrong[i]);
        cr_assert_eq(novt_vm_key(r->vm, wrong[i], true), -EINVAL, "%s", wrong[i]);
    }
    unsigned n = 0;
    while (novt_key_name(n))
        cr_assert_eq(novt_vm_key(r->vm, novt_key_name(n++), false), 0);
    cr_assert(n > 120);
    novt_vm_free(r->vm);
    free(r);
}

Test(input, a_guest_that_reads_nothing_keeps_no_key_down)
{
    struct rig *r = rig_new("", 0);
    unsigned taken = 0;
    size_t text = 0;
    char many[9000];

    memset(many, 'x', sizeof(many));
    while (novt_vm_key(r->vm, taken & 1 ? "b" : "a", true) == 0 && taken < 10000) /* never run */
        cr_assert_eq(novt_vm_key(r->vm, taken++ & 1 ? "b" : "a", false), 0);
    cr_assert(taken > 10 && taken < 1000, "%u", taken);
    text = novt_vm_send_text(r->vm, many, sizeof(many));
    cr_assert(text > 1000 && text < sizeof(many), "%zu", text);
    cr_assert_eq(novt_vm_send_text(r->vm, many, 100), 0);
    cr_assert_eq(novt_vm_send_keys(r->vm, "ctrl-alt-shift-meta_l-a-b-c-d", 1), -ENOSPC);
    novt_vm_keys_up(r->vm);
    novt_vm_free(r->vm);
    free(r);
}

/* A press and its release, again and again. */
static void *type(void *opaque)
{
    struct rig *r = opaque;

    for (unsigned i = 0; i < 200; i++) {
        while (novt_vm_key(r->vm, "x", true) == -ENOSPC)
            usleep(1000);
        cr_assert_eq(novt_vm_key(r->vm, "x", false), 0);
        novt_vm_mouse(r->vm, 1, -1, 0, i & 1);
    }
    return NULL;
}

Test(input, threads, .timeout = 60)
{
    struct rig *r = rig_new("", 0);
    pthread_t other;
    bool all = false;
    char text[401];

    memset(text, 'y', 400);
    start(r);
    cr_assert_eq(pthread_create(&other, NULL, type, r), 0);
    cr_assert_eq(novt_vm_send_text(r->vm, text, 400), 400);
    pthread_join(other, NULL);
    for (unsigned i = 0; i < 2000 && !all; i++, usleep(10000)) {
        size_t x = 0, y = 0;

        pthread_mutex_lock(&r->lock);
        for (const char *at = r->heard; *at; at += at[2] ? 3 : 2) {
            x += !strncmp(at, "22", 2);
            y += !strncmp(at, "35", 2);
        }
        pthread_mutex_unlock(&r->lock);
        all = x == 400 && y == 800; /* makes and breaks */
    }
    cr_assert(all);
    finish(r);
}

Test(input, mouse_packets)
{
    /* Mouse on: mov al, d4h; out 64h, al; mov al, f4h; out 60h, al */
    static const uint8_t on[] = {0xb0, 0xd4, 0xe6, 0x64, 0xb0, 0xf4, 0xe6, 0x60};
    struct rig *r = rig_new(on, sizeof(on));

    start(r);
    expect(r, "fa");
    novt_vm_mouse(r->vm, 5, 3, 0, 0);
    expect(r, "28 05 fd");
    novt_vm_mouse(r->vm, 0, 0, 0, 1);
    novt_vm_mouse(r->vm, 0, 0, 0, 0);
    novt_vm_mouse(r->vm, 0, 0, 0, 2);
    novt_vm_mouse(r->vm, 0, 0, 0, 0);
    expect(r, "09 00 00 08 00 00 0a 00 00 08 00 00");
    novt_vm_mouse(r->vm, INT32_MIN, INT32_MIN, INT32_MIN, ~0u);
    novt_vm_stop(r->vm, 0);
    finish(r);
}

/* Else the PC's keyboard would repeat it for ever. */
Test(input, a_key_held_in_a_loaded_state_is_let_go)
{
    char path[] = "/tmp/novt-input-state-XXXXXX";
    struct rig *r = rig_new("", 0);
    struct novt_error err;
    int fd = mkstemp(path);

    cr_assert_geq(fd, 0);
    close(fd);
    start(r);
    cr_assert_eq(novt_vm_key(r->vm, "x", true), 0);
    expect(r, "22");
    cr_assert_eq(novt_vm_save(r->vm, path, &err), 0, "%s", err.cause);
    cr_assert_eq(novt_vm_key(r->vm, "x", false), 0);
    expect(r, "f0 22");
    cr_assert_eq(novt_vm_load(r->vm, path, &err), 0, "%s", err.cause);
    expect(r, "f0 22");
    usleep(700000);
    cr_assert_eq(novt_vm_send_text(r->vm, "y", 1), 1);
    expect(r, "35 f0 35");
    finish(r);
    unlink(path);
}
