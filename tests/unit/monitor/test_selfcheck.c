/*
 * test_selfcheck.c - pages that are written while they hold code: which of them come to check themselves, and for how long.
 *
 * A page that is loaded anew must stay watched (its blocks run at full speed), one that mixes code and changing data must
 * become self-checking (a fault for each store is dear) and go back when the stores end.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <novt.h>

#define START 0x7c00

/* Runs code at 0:7C00 in real mode until it halts for good; novt_vm_free() is the caller's. */
static struct novt_vm *run(const uint8_t *code, size_t bytes)
{
    struct novt_config c = {.no_firmware = true, .ram_bytes = 4 << 20};
    struct novt_vm *vm = NULL;
    struct novt_outcome out;
    struct novt_error err;
    struct novt_regs r;

    cr_assert(novt_vm_new(&vm, &c, &err) == 0, "%s", err.cause);
    cr_assert(novt_vm_write_memory(vm, START, code, bytes) == 0);
    novt_vm_get_regs(vm, &r);
    r.seg[NOVT_CS] = (struct novt_segment){0, 0x93, 0, 0xffff};
    r.gpr[NOVT_ESP] = 0x7000;
    r.eip = START;
    novt_vm_set_regs(vm, &r);
    cr_assert(novt_vm_run(vm, &out, &err) == 0, "%s", err.cause);
    cr_assert(out.why == NOVT_DEAD && out.eip == START + bytes - (code[bytes - 1] == 0xf4 ? 0 : 2));
    return vm;
}

static long stat(const struct novt_vm *vm, const char *name)
{
    char text[16384], key[64];
    const char *at;

    snprintf(key, sizeof(key), "\"vm.%s\":", name);
    novt_vm_stats(vm, true, text, sizeof(text));
    at = strstr(text, key);
    cr_assert_not_null(at, "no counter %s", name);
    return strtol(at + strlen(key), NULL, 10);
}

/* A hundred blocks run; then each of their bytes is stored anew, as a boot loader or a moving program does. */
Test(selfcheck, loading_over_code)
{
    static const uint8_t code[] = {
        0xbe, 0x00, 0x90,       /*       mov si, 0x9000 */
        0xb9, 0x64, 0x00,       /*       mov cx, 100 */
        0xc7, 0x04, 0xeb, 0x00, /* fill: mov word [si], 0x00eb ; jmp to the next */
        0x83, 0xc6, 0x02,       /*       add si, 2 */
        0xe2, 0xf7,             /*       loop fill */
        0xc6, 0x04, 0xc3,       /*       mov byte [si], 0xc3 ; ret */
        0xb8, 0x00, 0x90,       /*       mov ax, 0x9000 */
        0xff, 0xd0,             /*       call ax */
        0xbe, 0x00, 0x90,       /*       mov si, 0x9000 */
        0x89, 0xf7,             /*       mov di, si */
        0xb9, 0xc9, 0x00,       /*       mov cx, 201 */
        0xac,                   /* copy: lodsb */
        0x88, 0x05,             /*       mov [di], al */
        0x47,                   /*       inc di */
        0xe2, 0xfa,             /*       loop copy */
        0xb8, 0x00, 0x90,       /*       mov ax, 0x9000 */
        0xff, 0xd0,             /*       call ax */
        0xfa, 0xf4,             /*       cli ; hlt */
    };
    struct novt_vm *vm = run(code, sizeof(code));

    cr_expect_eq(stat(vm, "selfcheck_pages_made"), 0);
    novt_vm_free(vm);
}

Test(selfcheck, page_of_code_and_data)
{
    static const uint8_t code[] = {
        0xb9, 0x88, 0x13,                   /*       mov cx, 5000 */
        0xff, 0x06, 0x26, 0x7c,             /* hot:  inc word [data] */
        0xe2, 0xfa,                         /*       loop hot */
        0x81, 0x3e, 0x26, 0x7c, 0x88, 0x13, /*       cmp word [data], 5000 */
        0x75, 0x13,                         /*       jne bad */
        0x66, 0xb9, 0x80, 0x1a, 0x06, 0x00, /*       mov ecx, 400000 */
        0x66, 0x49,                         /* run:  dec ecx */
        0x75, 0xfc,                         /*       jnz run */
        0xb9, 0x88, 0x13,                   /*       mov cx, 5000 */
        0xff, 0x06, 0x26, 0x7c,             /* hot2: inc word [data] */
        0xe2, 0xfa,                         /*       loop hot2 */
        0xfa, 0xf4,                         /* bad:  cli ; hlt */
        0x00, 0x00,                         /* data */
    };
    struct novt_vm *vm = run(code, sizeof(code));
    uint16_t data = 0;

    cr_expect_eq(stat(vm, "selfcheck_pages_made"), 2, "once for each run of stores");
    cr_expect_eq(stat(vm, "selfcheck_pages_ended"), 1, "between them the page is watched again");
    cr_assert(novt_vm_read_memory(vm, START + sizeof(code) - 2, &data, 2) == 0);
    cr_expect_eq(data, 10000);
    novt_vm_free(vm);
}
