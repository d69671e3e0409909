/*
 * hello.c - the smallest program that runs a PC by libnovt.
 *
 *     hello                      a guest of a few bytes, in real mode, that greets on its serial line and ends the machine
 *     hello KERNEL [INITRD]      a Linux kernel with its console on the serial line, until it powers off or Ctrl-C
 *
 * Build it with CMake's target example_hello, or by hand, outside of this tree:
 *     cc -Iinclude examples/hello.c build/release/libnovt.a -lZydis -lcapstone -lzstd -lpng -lpthread -ldl -lrt -lm
 * include/novt.h has the rest: drives, network, screen, keyboard, saving, a debugger, several machines on several threads.
 */
#include <signal.h>
#include <stdio.h>

#include "novt.h"

#define EXIT_PORT 0xf4 /* a byte v written there ends the machine with code (v << 1) | 1 */

static struct novt_vm *vm;

/* What the guest says on COM1; on the thread that runs the machine. */
static void serial_write(void *opaque, const uint8_t *buf, size_t len)
{
    (void)opaque;
    fwrite(buf, 1, len, stdout);
    fflush(stdout);
}

static void on_ctrl_c(int signo)
{
    novt_vm_stop(vm, signo); /* may be called from any thread, also from a signal handler */
}

/* A guest without firmware, at 0:7C00h where a BIOS would have put a boot sector. */
static int load_hello(void)
{
    static const uint8_t code[] = {
        0x8c, 0xc8,                                  /* mov ax, cs (0) */
        0x8e, 0xd8,                                  /* mov ds, ax */
        0xbe, 0x16,      0x7c,                       /* mov si, text */
        0xba, 0xf8,      0x03,                       /* mov dx, 3f8h */
        0xfc,                                        /* cld */
        0xac,                                        /* next: lodsb */
        0x84, 0xc0,                                  /* test al, al */
        0x74, 0x03,                                  /* jz end */
        0xee,                                        /* out dx, al */
        0xeb, 0xf8,                                  /* jmp next */
        0xe6, EXIT_PORT,                             /* end: out EXIT_PORT, al */
        0xf4,                                        /* hlt */
        'H',  'e',       'l',  'l', 'o', '\r', '\n', /* text */
        0,
    };
    struct novt_regs regs;

    novt_vm_get_regs(vm, &regs);
    regs.seg[NOVT_CS].sel = 0;
    regs.seg[NOVT_CS].base = 0;
    regs.eip = 0x7c00;
    novt_vm_set_regs(vm, &regs);
    return novt_vm_write_memory(vm, 0x7c00, code, sizeof(code));
}

int main(int argc, char **argv)
{
    struct novt_config config = {
        .ram_bytes = 256 << 20,
        .serial[0] = {.present = true, .write = serial_write},
        .kernel = argc > 1 ? argv[1] : NULL,
        .initrd = argc > 2 ? argv[2] : NULL,
        .append = argc > 1 ? "console=ttyS0" : NULL,
        .no_firmware = argc == 1,
        .debug_exit_iobase = EXIT_PORT,
        .no_reboot = true,
    };
    struct novt_outcome out;
    struct novt_error err;

    if (novt_vm_new(&vm, &config, &err)) {
        fprintf(stderr, "%s\n%s\n", err.cause, err.remedy);
        return 1;
    }
    signal(SIGINT, on_ctrl_c);
    if ((argc == 1 && load_hello()) || novt_vm_run(vm, &out, &err)) {
        fprintf(stderr, "the machine did not start\n");
        return 1;
    }
    printf("ended at %04x:%08x, reason %d, code %d\n", out.cs, out.eip, out.why, out.code);
    novt_vm_free(vm);
    return 0;
}
