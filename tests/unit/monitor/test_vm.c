/*
 * test_vm.c - the public API: making, running, stopping, resetting and inspecting machines.
 *
 * Guests are a few bytes of 16-bit code put into memory through the API itself; no firmware is involved.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <novt.h>

struct line {
    char text[256];
    size_t n;
};

static void line_write(void *opaque, const uint8_t *buf, size_t len)
{
    struct line *l = opaque;

    for (size_t i = 0; i < len && l->n < sizeof(l->text) - 1; i++)
        l->text[l->n++] = (char)buf[i];
}

/* A machine whose CPU is about to run code at 0:7C00 in real mode. */
static struct novt_vm *machine(const uint8_t *code, size_t bytes, struct novt_config *c)
{
    struct novt_vm *vm = NULL;
    struct novt_error err;
    struct novt_regs r;

    c->no_firmware = true;
    if (!c->ram_bytes)
        c->ram_bytes = 4 << 20;
    cr_assert(novt_vm_new(&vm, c, &err) == 0, "%s", err.cause);
    cr_assert(novt_vm_write_memory(vm, 0x7c00, code, bytes) == 0);
    novt_vm_get_regs(vm, &r);
    r.seg[NOVT_CS] = (struct novt_segment){0, 0x93, 0, 0xffff};
    r.eip = 0x7c00;
    novt_vm_set_regs(vm, &r);
    return vm;
}

static struct novt_outcome run(struct novt_vm *vm)
{
    struct novt_outcome out = {0};
    struct novt_error err;

    cr_assert(novt_vm_run(vm, &out, &err) == 0, "%s", err.cause);
    return out;
}

static const uint8_t add_and_die[] = {0x66, 0x05, 0x78, 0x56, 0x34, 0x12, 0xa3, 0x00, 0x80, 0xfa, 0xf4};
static const uint8_t spin[] = {0xeb, 0xfe};

Test(vm, registers_and_memory)
{
    struct novt_config c = {0};
    struct novt_vm *vm = machine(add_and_die, sizeof(add_and_die), &c);
    struct novt_regs r, back;
    struct novt_outcome out;
    uint16_t stored = 0;

    novt_vm_get_regs(vm, &r);
    r.gpr[NOVT_EAX] = 1;
    r.gpr[NOVT_ESP] = 0x7000;
    r.eflags = 0x8d7 & ~0x400u;
    novt_vm_set_regs(vm, &r);
    novt_vm_get_regs(vm, &back);
    cr_expect(memcmp(&r, &back, sizeof(r)) == 0, "what is set is what is got");
    out = run(vm);
    cr_expect(out.why == NOVT_DEAD && out.cs == 0 && out.eip == 0x7c00 + sizeof(add_and_die));
    novt_vm_get_regs(vm, &r);
    cr_expect(r.gpr[NOVT_EAX] == 0x12345679 && r.gpr[NOVT_ESP] == 0x7000);
    cr_assert(novt_vm_read_memory(vm, 0x8000, &stored, 2) == 0);
    cr_expect(stored == 0x5679);
    novt_vm_free(vm);
}

Test(vm, memory_bounds)
{
    struct novt_config c = {0};
    struct novt_vm *vm = machine(spin, sizeof(spin), &c);
    uint8_t buf[8192], b2[8192];

    memset(buf, 0x5a, sizeof(buf));
    cr_expect(novt_vm_write_memory(vm, 0x100ff0, buf, sizeof(buf)) == 0, "across pages");
    cr_expect(novt_vm_read_memory(vm, 0x100ff0, b2, sizeof(b2)) == 0 && !memcmp(buf, b2, sizeof(buf)));
    cr_expect(novt_vm_write_memory(vm, (4 << 20) - 4, buf, 8) == -EFAULT, "past the end of RAM");
    cr_expect(novt_vm_read_memory(vm, 0xffffffff, buf, 2) == -EFAULT);
    cr_expect(novt_vm_read_memory(vm, 1ull << 32, buf, 1) == -EFAULT);
    cr_expect(novt_vm_read_memory(vm, UINT64_MAX - 1, buf, 4) == -EFAULT);
    cr_expect(novt_vm_read_memory(vm, 0, buf, 0) == 0);
    novt_vm_free(vm);
}

/* Code changed through the API is the code that runs next. */
Test(vm, memory_writes_reach_translated_code)
{
    static const uint8_t other[] = {0x66, 0xb8, 0xef, 0xbe, 0xad, 0xde, 0xfa, 0xf4};
    struct novt_config c = {0};
    struct novt_vm *vm = machine(add_and_die, sizeof(add_and_die), &c);
    struct novt_regs r;

    novt_vm_get_regs(vm, &r);
    cr_expect(run(vm).why == NOVT_DEAD);
    cr_assert(novt_vm_write_memory(vm, 0x7c00, other, sizeof(other)) == 0);
    novt_vm_set_regs(vm, &r);
    cr_expect(run(vm).why == NOVT_DEAD);
    novt_vm_get_regs(vm, &r);
    cr_expect(r.gpr[NOVT_EAX] == 0xdeadbeef);
    novt_vm_free(vm);
}

Test(vm, serial_both_ways)
{
    /* mov dx,3fdh; in; test 1; jz; mov dl,f8h; in; out; cmp 'q'; jne; cli; hlt */
    static const uint8_t echo[] = {0xba, 0xfd, 0x03, 0xec, 0xa8, 0x01, 0x74, 0xf8, 0xb2,
                                   0xf8, 0xec, 0xee, 0x3c, 'q',  0x75, 0xf0, 0xfa, 0xf4};
    struct line l = {0};
    struct novt_config c = {.serial = {{.present = true, .write = line_write, .opaque = &l}}};
    struct novt_vm *vm = machine(echo, sizeof(echo), &c);

    cr_expect(novt_vm_serial_input(vm, 0, (const uint8_t *)"typed q", 7) == 7);
    cr_expect(novt_vm_serial_input(vm, 1, (const uint8_t *)"x", 1) == 1, "an absent line takes and forgets");
    cr_expect(novt_vm_serial_input(vm, 7, (const uint8_t *)"x", 1) == 1);
    cr_expect(run(vm).why == NOVT_DEAD);
    cr_expect_str_eq(l.text, "typed q");
    novt_vm_free(vm);
}

static void *stop_soon(void *opaque)
{
    usleep(50000);
    novt_vm_stop(opaque, 77);
    return NULL;
}

Test(vm, stop_from_another_thread)
{
    struct novt_config c = {0};
    struct novt_vm *vm = machine(spin, sizeof(spin), &c);
    struct novt_outcome out;
    pthread_t t;

    for (int i = 0; i < 3; i++) { /* and on again */
        pthread_create(&t, NULL, stop_soon, vm);
        out = run(vm);
        pthread_join(t, NULL);
        cr_expect(out.why == NOVT_STOPPED && out.code == 77 && out.eip == 0x7c00);
    }
    novt_vm_stop(vm, 5);
    out = run(vm);
    cr_expect(out.why == NOVT_STOPPED && out.code == 5, "a stop before the run counts");
    novt_vm_free(vm);
}

Test(vm, debug_exit_and_triple_fault)
{
    static const uint8_t leave[] = {0xba, 0x01, 0x05, 0xb0, 0x03, 0xee, 0xeb, 0xfe};
    static const uint8_t triple[] = {0x0f, 0x01, 0x1e, 0x10, 0x7c, 0xcc, 0, 0, 0, 0, 0,
                                     0,    0,    0,    0,    0,    0,    0, 0, 0, 0, 0};
    struct novt_config c = {.debug_exit_iobase = 0x501, .no_reboot = true};
    struct novt_vm *vm = machine(leave, sizeof(leave), &c);
    struct novt_outcome out = run(vm);

    cr_expect(out.why == NOVT_DEBUG_EXIT && out.code == 7);
    novt_vm_free(vm);
    vm = machine(triple, sizeof(triple), &c);
    cr_expect(run(vm).why == NOVT_TRIPLE_FAULT);
    novt_vm_free(vm);
}

struct job {
    struct novt_vm *vm;
    struct novt_outcome out;
};

static void *run_job(void *opaque)
{
    struct job *j = opaque;

    novt_vm_run(j->vm, &j->out, NULL);
    return NULL;
}

/* Two machines at once, each on its own thread, count differently and do not disturb each other. */
/* Counts in the byte at 8000h, ends the machine at the third. */
static const uint8_t nmi_handler[] = {0xfe, 0x06, 0x00, 0x80, 0x80, 0x3e, 0x00, 0x80, 0x03,
                                      0x74, 0x01, 0xcf, 0xb0, 0x15, 0xe6, 0xf4, 0xf4};

static struct novt_vm *nmi_machine(const uint8_t *code, size_t bytes)
{
    static const uint8_t vector[] = {0x00, 0x7e, 0x00, 0x00};
    struct novt_config c = {.debug_exit_iobase = 0xf4};
    struct novt_vm *vm = machine(code, bytes, &c);

    cr_assert(novt_vm_write_memory(vm, 2 * 4, vector, sizeof(vector)) == 0);
    cr_assert(novt_vm_write_memory(vm, 0x7e00, nmi_handler, sizeof(nmi_handler)) == 0);
    return vm;
}

static uint8_t counter(struct novt_vm *vm)
{
    uint8_t n = 0;

    cr_assert(novt_vm_read_memory(vm, 0x8000, &n, 1) == 0);
    return n;
}

static void *inject_three(void *opaque)
{
    for (unsigned i = 0; i < 3; i++) {
        usleep(20000);
        novt_vm_nmi(opaque);
    }
    return NULL;
}

static void expect_three(const uint8_t *code, size_t bytes)
{
    struct novt_vm *vm = nmi_machine(code, bytes);
    struct novt_outcome out;
    pthread_t t;

    cr_assert(pthread_create(&t, NULL, inject_three, vm) == 0);
    out = run(vm);
    cr_expect_eq(out.why, NOVT_DEBUG_EXIT);
    cr_expect_eq(counter(vm), 3);
    pthread_join(t, NULL);
    novt_vm_free(vm);
}

Test(vm, nmi_from_another_thread)
{
    expect_three(spin, sizeof(spin));
}

Test(vm, nmi_wakes_hlt)
{
    static const uint8_t code[] = {0xfb, 0xf4, 0xeb, 0xfd}; /* sti ; hlt ; jmp back */

    expect_three(code, sizeof(code));
}

Test(vm, nmi_waits_for_port_70)
{
    /* mov al, 80h ; out 70h, al ; cli ; hlt, which ends the first run. Then: mov bl, [8000h] ; mov al, 0 ; out 70h, al ; nop ;
     * mov bh, [8000h] ; cli ; hlt */
    static const uint8_t code[] = {0xb0, 0x80, 0xe6, 0x70, 0xfa, 0xf4, 0x8a, 0x1e, 0x00, 0x80, 0xb0,
                                   0x00, 0xe6, 0x70, 0x90, 0x8a, 0x3e, 0x00, 0x80, 0xfa, 0xf4};
    struct novt_vm *vm = nmi_machine(code, sizeof(code));
    struct novt_regs r;

    cr_expect_eq(run(vm).why, NOVT_DEAD);
    novt_vm_get_regs(vm, &r);
    r.eip = 0x7c06;
    novt_vm_set_regs(vm, &r);
    novt_vm_nmi(vm);
    cr_expect_eq(run(vm).why, NOVT_DEAD);
    novt_vm_get_regs(vm, &r);
    cr_expect_eq(r.gpr[NOVT_EBX] & 0xffff, 0x0100, "BL before, BH behind the write to port 70h");
    novt_vm_free(vm);
}

Test(vm, nmi_waits_for_iret)
{
    static const uint8_t handler[] = {0xfe, 0x06, 0x00, 0x80, 0xfa, 0xf4}; /* inc byte [8000h] ; cli ; hlt */
    struct novt_vm *vm = nmi_machine(spin, sizeof(spin));

    cr_assert(novt_vm_write_memory(vm, 0x7e00, handler, sizeof(handler)) == 0);
    novt_vm_nmi(vm);
    cr_expect_eq(run(vm).why, NOVT_DEAD);
    cr_expect_eq(counter(vm), 1);
    novt_vm_nmi(vm);
    cr_expect_eq(run(vm).why, NOVT_DEAD);
    cr_expect_eq(counter(vm), 1, "entered again before IRET");
    novt_vm_free(vm);
}

Test(vm, several_in_a_process)
{
    /* mov ecx, 2000000; l: add eax, ebx; mov [8000h], eax; dec ecx; jnz l; cli; hlt */
    static const uint8_t count[] = {0x66, 0xb9, 0x80, 0x84, 0x1e, 0x00, 0x66, 0x01, 0xd8, 0x66,
                                    0xa3, 0x00, 0x80, 0x66, 0x49, 0x75, 0xf5, 0xfa, 0xf4};
    struct novt_config c = {0};
    struct job job[2];
    pthread_t t[2];

    for (unsigned i = 0; i < 2; i++) {
        struct novt_regs r;

        job[i].vm = machine(count, sizeof(count), &c);
        novt_vm_get_regs(job[i].vm, &r);
        r.gpr[NOVT_EAX] = 0;
        r.gpr[NOVT_EBX] = i + 1;
        novt_vm_set_regs(job[i].vm, &r);
    }
    for (unsigned i = 0; i < 2; i++)
        pthread_create(&t[i], NULL, run_job, &job[i]);
    for (unsigned i = 0; i < 2; i++) {
        uint32_t got = 0;

        pthread_join(t[i], NULL);
        cr_expect(job[i].out.why == NOVT_DEAD);
        novt_vm_read_memory(job[i].vm, 0x8000, &got, 4);
        cr_expect(got == 2000000u * (i + 1), "%u", got);
        novt_vm_free(job[i].vm);
    }
}

Test(vm, reset)
{
    struct novt_config c = {0};
    struct novt_vm *vm = machine(add_and_die, sizeof(add_and_die), &c);
    struct novt_regs r;
    uint16_t kept = 0;

    run(vm);
    novt_vm_reset(vm);
    novt_vm_get_regs(vm, &r);
    cr_expect(r.seg[NOVT_CS].base == 0xffff0000 && r.eip == 0xfff0 && r.cr0 == 0x60000010);
    novt_vm_read_memory(vm, 0x8000, &kept, 2);
    cr_expect(kept != 0, "RAM survives a reset");
    novt_vm_free(vm);
}

Test(vm, stats)
{
    struct novt_config c = {0};
    struct novt_vm *vm = machine(add_and_die, sizeof(add_and_die), &c);
    char text[16384], small[16];
    size_t n;

    run(vm);
    n = novt_vm_stats(vm, true, text, sizeof(text));
    cr_expect(n < sizeof(text) && strlen(text) == n && text[0] == '{' && strstr(text, "\"bt.blocks\":"));
    cr_expect(novt_vm_stats(vm, true, small, sizeof(small)) == n && strlen(small) == sizeof(small) - 1,
              "cut, length told");
    cr_expect(novt_vm_stats(vm, false, NULL, 0) > 0);
    novt_vm_free(vm);
}

Test(vm, errors_are_told)
{
    static const struct {
        struct novt_config c;
        enum novt_error_kind kind;
    } t[] = {
        {{.ram_bytes = 1}, NOVT_ERR_USAGE},
        {{.ram_bytes = 1ull << 40}, NOVT_ERR_USAGE},
        {{.cpu = "z80"}, NOVT_ERR_USAGE},
        {{.bios = "/no/such/file"}, NOVT_ERR_HOST},
        {{.kernel = "/no/such/file"}, NOVT_ERR_IMAGE},
        {{.append = "x"}, NOVT_ERR_USAGE},
        {{.no_firmware = true, .debugcon_iobase = 0x3f8, .serial = {{.present = true}}}, NOVT_ERR_USAGE},
    };

    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        struct novt_vm *vm = (struct novt_vm *)&vm;
        struct novt_error err;

        cr_expect(novt_vm_new(&vm, &t[i].c, &err) < 0, "%zu", i);
        cr_expect(vm == NULL && err.kind == t[i].kind && err.cause[0] && err.remedy[0], "%zu: %s", i,
                  err.cause);
        cr_expect(novt_vm_new(&vm, &t[i].c, NULL) < 0, "without a place for the message");
    }
    novt_vm_free(NULL);
}
