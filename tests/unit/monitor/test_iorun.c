/*
 * test_iorun.c - REP INS and OUTS on a disk's data port: runs must be seen by nobody.
 *
 * Fails if data, count or pointer differ from what one iteration at a time gives: where the offset wraps at 64 KiB, where a word in the
 * middle faults, downwards, over pages, and when the port has less than was asked for.
 */
#include <criterion/criterion.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "novt.h"

enum { CODE = 0x1000, HANDLER = 0x600, DATA_GPA = 0x20000, EXIT_PORT = 0x501, SECTOR = 512, SECTORS = 64 };

struct guest {
    char path[64];
    struct novt_vm *vm;
    uint8_t code[256];
    size_t n;
};

static void emit(struct guest *g, const char *bytes, size_t n)
{
    memcpy(g->code + g->n, bytes, n);
    g->n += n;
}

#define EMIT(g, bytes) emit(g, bytes, sizeof(bytes) - 1)

static void out_port(struct guest *g, uint16_t port, uint8_t val)
{
    const uint8_t b[] = {0xba, (uint8_t)port, (uint8_t)(port >> 8),
                         0xb0, val,           0xee}; /* mov dx, port; mov al, val; out dx, al */

    emit(g, (const char *)b, sizeof(b));
}

static void load(struct guest *g, uint8_t opcode, uint16_t val)
{
    const uint8_t b[] = {opcode, (uint8_t)val, (uint8_t)(val >> 8)};

    emit(g, (const char *)b, sizeof(b));
}

/* Word i of sector n of the disk. */
static uint16_t word(unsigned n, unsigned i)
{
    return (uint16_t)(n * 0x1000 + i + 1);
}

static void guest_init(struct guest *g)
{
    struct novt_error err = {0};
    uint16_t buf[SECTOR / 2];
    int fd;

    *g = (struct guest){.path = "/var/tmp/novt-iorun-XXXXXX"};
    fd = mkstemp(g->path);
    cr_assert(fd >= 0);
    for (unsigned n = 0; n < SECTORS; n++) {
        for (unsigned i = 0; i < SECTOR / 2; i++)
            buf[i] = word(n, i);
        cr_assert_eq(write(fd, buf, sizeof(buf)), (ssize_t)sizeof(buf));
    }
    close(fd);
    const struct novt_drive drive = {.bus = NOVT_BUS_IDE,
                                     .medium = {.file = g->path, .format = NOVT_FORMAT_RAW}};
    const struct novt_config c = {.no_firmware = true,
                                  .no_reboot = true,
                                  .ram_bytes = 4 << 20,
                                  .debug_exit_iobase = EXIT_PORT,
                                  .drive = &drive,
                                  .drives = 1};
    cr_assert_eq(novt_vm_new(&g->vm, &c, &err), 0, "%s", err.cause);
}

static void guest_fini(struct guest *g)
{
    novt_vm_free(g->vm);
    unlink(g->path);
}

/* The command on `count` sectors from 1, and waiting until the drive is ready for data; then the string instruction. */
static void program(struct guest *g, uint8_t command, uint8_t count, bool down, uint16_t pointer,
                    uint16_t words, const char *rep)
{
    g->n = 0;
    out_port(g, 0x1f6, 0xe0);
    out_port(g, 0x1f2, count);
    out_port(g, 0x1f3, 1);
    out_port(g, 0x1f4, 0);
    out_port(g, 0x1f5, 0);
    out_port(g, 0x1f7, command);
    EMIT(g, "\xec\xa8\x80\x75\xfb"); /* in al, dx; test al, 80h; jnz -5 */
    load(g, 0xba, 0x1f0);            /* mov dx */
    load(g, 0xbf, pointer);          /* mov di */
    load(g, 0xbe, pointer);          /* mov si */
    load(g, 0xb9, words);            /* mov cx */
    emit(g, down ? "\xfd" : "\xfc", 1);
    emit(g, rep, strlen(rep));
    out_port(g, EXIT_PORT, 0);
}

static void run(struct guest *g, int code, struct novt_regs *regs)
{
    static const uint8_t handler[] = {0xba, EXIT_PORT & 0xff, EXIT_PORT >> 8, 0xb0, 1, 0xee};
    const struct novt_segment data = {.sel = DATA_GPA >> 4, .base = DATA_GPA, .limit = 0xffff, .attr = 0x93};
    const uint16_t vector[2] = {HANDLER, 0};
    struct novt_outcome out;
    struct novt_error err = {0};

    novt_vm_get_regs(g->vm, regs);
    regs->seg[NOVT_CS].sel = 0;
    regs->seg[NOVT_CS].base = 0;
    regs->seg[NOVT_DS] = regs->seg[NOVT_ES] = data;
    regs->eip = CODE;
    regs->gpr[NOVT_ESP] = 0x7000;
    novt_vm_set_regs(g->vm, regs);
    cr_assert_eq(novt_vm_write_memory(g->vm, CODE, g->code, g->n), 0);
    cr_assert_eq(novt_vm_write_memory(g->vm, HANDLER, handler, sizeof(handler)), 0);
    cr_assert_eq(novt_vm_write_memory(g->vm, 13 * 4, vector, sizeof(vector)), 0);
    cr_assert_eq(novt_vm_run(g->vm, &out, &err), 0, "%s", err.cause);
    cr_assert_eq(out.why, NOVT_DEBUG_EXIT);
    cr_assert_eq(out.code, code);
    novt_vm_get_regs(g->vm, regs);
}

static uint16_t peek(struct guest *g, uint32_t offset)
{
    uint16_t v;

    cr_assert_eq(novt_vm_read_memory(g->vm, DATA_GPA + offset, &v, 2), 0);
    return v;
}

Test(iorun, ins_over_pages_and_blocks)
{
    struct guest g;
    struct novt_regs regs;

    guest_init(&g);
    program(&g, 0x20, 1, false, 0x0f81, 300, "\xf3\x6d"); /* odd, over a page; the drive has only 256 words */
    run(&g, 1, &regs);
    for (unsigned i = 0; i < 256; i++)
        cr_assert_eq(peek(&g, 0x0f81 + 2 * i), word(1, i), "word %u", i);
    cr_assert_eq(peek(&g, 0x0f81 + 512), 0); /* then the port gives nothing */
    cr_assert_eq(regs.gpr[NOVT_ECX] & 0xffff, 0);
    cr_assert_eq(regs.gpr[NOVT_EDI] & 0xffff, 0x0f81 + 600);
    program(&g, 0x20, 1, false, 0x4ffc, 128, "\xf3\x66\x6d"); /* dwords */
    run(&g, 1, &regs);
    for (unsigned i = 0; i < 256; i++)
        cr_assert_eq(peek(&g, 0x4ffc + 2 * i), word(1, i), "word %u", i);
    program(&g, 0x20, 1, true, 0x8ffe, 256, "\xf3\x6d"); /* downwards */
    run(&g, 1, &regs);
    for (unsigned i = 0; i < 256; i++)
        cr_assert_eq(peek(&g, 0x8ffe - 2 * i), word(1, i), "word %u", i);
    cr_assert_eq(regs.gpr[NOVT_EDI] & 0xffff, 0x8ffe - 512);
    guest_fini(&g);
}

Test(iorun, ins_wraps_and_faults_where_single_words_do)
{
    struct guest g;
    struct novt_regs regs;
    uint16_t next;

    guest_init(&g);
    program(&g, 0x20, 1, false, 0xff00, 256, "\xf3\x6d");
    run(&g, 1, &regs);
    for (unsigned i = 0; i < 256; i++)
        cr_assert_eq(peek(&g, (0xff00 + 2 * i) & 0xffff), word(1, i), "word %u", i);
    cr_assert_eq(peek(&g, 0x10000), 0); /* nothing behind the segment */
    cr_assert_eq(regs.gpr[NOVT_EDI] & 0xffff, 0x100);
    program(&g, 0x20, 1, false, 0xff01, 256, "\xf3\x6d"); /* the word at FFFFh is outside */
    run(&g, 3, &regs);
    cr_assert_eq(regs.gpr[NOVT_EDI] & 0xffff, 0xffff);
    cr_assert_eq(regs.gpr[NOVT_ECX] & 0xffff, 256 - 127);
    cr_assert_eq(peek(&g, 0xfffd), word(1, 126));
    cr_assert_eq(peek(&g, 0x10000), 0);
    g.n = 0; /* the word that faulted is still the drive's next */
    load(&g, 0xba, 0x1f0);
    load(&g, 0xbf, 0x3000);
    EMIT(&g, "\x6d");
    out_port(&g, EXIT_PORT, 0);
    run(&g, 1, &regs);
    next = peek(&g, 0x3000);
    cr_assert_eq(next, word(1, 127), "%x", next);
    guest_fini(&g);
}

Test(iorun, outs_writes_the_same_bytes)
{
    struct guest g;
    struct novt_regs regs;
    uint16_t buf[0x8000], got[256];
    int fd;

    guest_init(&g);
    for (unsigned i = 0; i < 0x8000; i++)
        buf[i] = (uint16_t)(i * 3 + 7);
    cr_assert_eq(novt_vm_write_memory(g.vm, DATA_GPA, buf, sizeof(buf)), 0);
    program(&g, 0x30, 1, false, 0xfe80, 256, "\xf3\x6f"); /* over the end of the segment */
    run(&g, 1, &regs);
    cr_assert_eq(regs.gpr[NOVT_ESI] & 0xffff, 0x80);
    novt_vm_flush_drives(g.vm);
    fd = open(g.path, O_RDONLY);
    cr_assert_eq(pread(fd, got, sizeof(got), SECTOR), (ssize_t)sizeof(got));
    close(fd);
    for (unsigned i = 0; i < 256; i++)
        cr_assert_eq(got[i], buf[(0xfe80 / 2 + i) & 0x7fff], "word %u", i);
    guest_fini(&g);
}
