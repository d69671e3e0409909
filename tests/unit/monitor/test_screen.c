/*
 * test_screen.c - the text screen through the public API: its form, and readers on other threads while the VM runs, begins
 * and ends its run, or calls back.
 *
 * The guest is a BIOS image made here: it programs the VGA for 80 x 25 cells and then counts in the first two cells for ever.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <novt.h>

#define BIOS_BYTES 65536
#define CELLS (80 * 25)

struct image {
    uint8_t rom[BIOS_BYTES];
    size_t n;
};

static void code(struct image *im, const void *bytes, size_t n)
{
    memcpy(im->rom + im->n, bytes, n);
    im->n += n;
}

/* mov dx, port; mov ax, value; out dx, ax (al when byte) */
static void out(struct image *im, unsigned port, unsigned value, bool byte)
{
    uint8_t insns[] = {0xba,           (uint8_t)port,         (uint8_t)(port >> 8), 0xb8,
                       (uint8_t)value, (uint8_t)(value >> 8), byte ? 0xee : 0xef};

    code(im, insns, sizeof(insns));
}

/* Text mode, "Hi!" with attribute 1Fh in row 1, cursor behind it; then what `rest` says. */
static void make_bios(struct image *im, const char *path, const void *rest, size_t n)
{
    static const uint8_t far_jump[] = {0xea, 0x00, 0x00, 0x00, 0xf0};
    static const uint8_t text[] = {0xb8, 0x00, 0xb8, 0x8e, 0xd8,       /* mov ax, 0xb800; mov ds, ax */
                                   0xc7, 0x06, 0xa0, 0x00, 'H',  0x1f, /* mov word [0xa0], ... */
                                   0xc7, 0x06, 0xa2, 0x00, 'i',  0x1f, 0xc7, 0x06, 0xa4, 0x00, '!', 0x1f};
    FILE *f = fopen(path, "wb");

    memset(im, 0, sizeof(*im));
    out(im, 0x3c2, 0x67, true);
    out(im, 0x3c4, 0x0302, false);
    out(im, 0x3ce, 0x1005, false);
    out(im, 0x3ce, 0x0e06, false);
    out(im, 0x3d4, 0x4f01, false);
    out(im, 0x3d4, 0x1f07, false);
    out(im, 0x3d4, 0x4f09, false);
    out(im, 0x3d4, 0x8f12, false);
    out(im, 0x3d4, 0x2813, false);
    out(im, 0x3d4, 0x530f, false);
    code(im, text, sizeof(text));
    code(im, rest, n);
    memcpy(im->rom + BIOS_BYTES - 16, far_jump, sizeof(far_jump));
    cr_assert(f && fwrite(im->rom, sizeof(im->rom), 1, f) == 1 && fclose(f) == 0);
}

/* inc ax; mov [0], ax; mov [2], ax; jmp */
static const uint8_t count[] = {0x40, 0xa3, 0x00, 0x00, 0xa3, 0x02, 0x00, 0xeb, 0xf7};
/* mov dx, 3f8h; out dx, al; jmp */
static const uint8_t chatter[] = {0xba, 0xf8, 0x03, 0xee, 0xeb, 0xfd};

static struct novt_vm *machine(const void *rest, size_t n, struct novt_config *c)
{
    char path[] = "/tmp/novt-screen-XXXXXX";
    int fd = mkstemp(path);
    struct image *im = malloc(sizeof(*im));
    struct novt_vm *vm = NULL;
    struct novt_error err;

    cr_assert(fd >= 0 && im);
    close(fd);
    make_bios(im, path, rest, n);
    free(im);
    c->ram_bytes = 4 << 20;
    c->bios = path;
    cr_assert(novt_vm_new(&vm, c, &err) == 0, "%s", err.cause);
    c->bios = NULL;
    unlink(path);
    return vm;
}

static void *run(void *opaque)
{
    struct novt_outcome out;

    cr_assert(novt_vm_run(opaque, &out, NULL) == 0 && out.why == NOVT_STOPPED);
    return NULL;
}

static void wait_for_text(struct novt_vm *vm)
{
    struct novt_text text;
    struct novt_cell cell[CELLS];

    while (novt_vm_text(vm, &text, cell, CELLS) || cell[82].ch != '!' || cell[0].ch + cell[0].attr == 0)
        usleep(1000);
}

Test(screen, form)
{
    struct novt_config c = {0};
    struct novt_vm *vm = machine(count, sizeof(count), &c);
    struct novt_text text;
    struct novt_cell cell[CELLS];
    char string[4096];
    pthread_t t;

    pthread_create(&t, NULL, run, vm);
    wait_for_text(vm);
    cr_expect(novt_vm_text(vm, &text, cell, CELLS - 1) == -ENOSPC && text.columns == 80, "and says the size");
    cr_expect(novt_vm_text(vm, &text, NULL, 0) == -ENOSPC);
    novt_vm_stop(vm, 0);
    pthread_join(t, NULL);

    cr_assert(novt_vm_text(vm, &text, cell, CELLS) == 0, "after the run as well");
    cr_expect(text.columns == 80 && text.rows == 25 && text.cursor && !text.blink);
    cr_expect(text.cursor_row == 1 && text.cursor_column == 3);
    cr_expect(cell[80].ch == 'H' && cell[81].ch == 'i' && cell[82].ch == '!' && cell[82].attr == 0x1f);
    cr_expect(novt_vm_screen(vm, string, sizeof(string)) == strlen(string) && strstr(string, "\nHi!\n\n"));
    for (size_t bytes = 1; bytes < 12; bytes++)
        cr_expect(novt_vm_screen(vm, string, bytes) < bytes && strlen(string) < bytes);
    cr_expect(novt_vm_screen(vm, string, 0) == 0);
    novt_vm_free(vm);
}

Test(screen, none)
{
    struct novt_config c = {.vgabios = ""};
    struct novt_vm *vm = machine(count, sizeof(count), &c);
    struct novt_text text = {.rows = 1};
    char string[16] = "x";

    cr_expect(novt_vm_text(vm, &text, NULL, 0) == -ENODATA && text.rows == 0);
    cr_expect(novt_vm_screen(vm, string, sizeof(string)) == 0 && !string[0]);
    novt_vm_free(vm);
}

struct reader {
    struct novt_vm *vm;
    unsigned seen, torn, changes;
    volatile bool end;
};

/* The second cell is written right behind the first. */
static void *read_often(void *opaque)
{
    struct reader *r = opaque;
    struct novt_text text;
    struct novt_cell cell[CELLS];
    unsigned last = 0;

    while (!r->end) {
        unsigned a, b;

        if (novt_vm_text(r->vm, &text, cell, CELLS))
            continue;
        a = cell[0].ch | (unsigned)cell[0].attr << 8;
        b = cell[1].ch | (unsigned)cell[1].attr << 8;
        r->seen++;
        r->changes += a != last;
        r->torn += ((a - b) & 0xffff) > 1;
        last = a;
    }
    return NULL;
}

/* Two readers while the VM runs, stops and runs on. */
Test(screen, readers_on_other_threads, .timeout = 60)
{
    struct novt_config c = {0};
    struct reader r[2] = {{0}};
    pthread_t t[2], runner;

    r[0].vm = r[1].vm = machine(count, sizeof(count), &c);
    pthread_create(&runner, NULL, run, r[0].vm);
    wait_for_text(r[0].vm);
    for (unsigned i = 0; i < 2; i++)
        pthread_create(&t[i], NULL, read_often, &r[i]);
    for (unsigned i = 0; i < 50; i++) {
        usleep(5000);
        novt_vm_stop(r[0].vm, 0);
        pthread_join(runner, NULL);
        pthread_create(&runner, NULL, run, r[0].vm);
    }
    for (unsigned i = 0; i < 2; i++) {
        r[i].end = true;
        pthread_join(t[i], NULL);
        cr_expect(r[i].seen > 50 && r[i].changes > 10, "%u seen, %u changes", r[i].seen, r[i].changes);
        cr_expect_eq(r[i].torn, 0);
    }
    novt_vm_stop(r[0].vm, 0);
    pthread_join(runner, NULL);
    novt_vm_free(r[0].vm);
}

/* A callback reads the screen on the VM's own thread while others want it. */
static void write_reads(void *opaque, const uint8_t *buf, size_t len)
{
    struct reader *r = opaque;
    struct novt_text text;

    (void)buf;
    (void)len;
    if (r->vm && novt_vm_text(r->vm, &text, NULL, 0) == -ENOSPC)
        r->seen++;
}

Test(screen, callback_reads, .timeout = 60)
{
    struct reader own = {0}, other = {0};
    struct novt_config c = {.serial = {{.present = true, .write = write_reads, .opaque = &own}}};
    pthread_t t, runner;

    own.vm = other.vm = machine(chatter, sizeof(chatter), &c);
    pthread_create(&runner, NULL, run, own.vm);
    pthread_create(&t, NULL, read_often, &other);
    while (__atomic_load_n(&own.seen, __ATOMIC_RELAXED) < 1000 ||
           __atomic_load_n(&other.seen, __ATOMIC_RELAXED) < 100)
        usleep(1000);
    other.end = true;
    pthread_join(t, NULL);
    novt_vm_stop(own.vm, 0);
    pthread_join(runner, NULL);
    novt_vm_free(own.vm);
}
