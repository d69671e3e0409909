/*
 * target_gdb.c - a debugger that means harm: packets at random, most of them nearly right, to a machine that runs and one that does not.
 */
#include "inputfuzz.h"

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "monitor/gdb.h"

static u64 written;

static void take(void *opaque, const uint8_t *buf, size_t len)
{
    u8 s = 0;

    (void)opaque;
    for (size_t i = 0; i < len; i++)
        s ^= buf[i]; /* the sanitizers look whether it is there */
    written += len + (s == 1);
}

static size_t piece(struct fuzz *f, char *to, size_t room)
{
    static const char *const words[] = {
        "g", "G", "p", "P", "m", "M", "X", "Z0,", "Z1,", "Z2,", "Z3,", "Z4,", "z0,", "z2,", "c", "s", "C05", "S05;", "vCont;c", "vCont;s:1",
        "vCont?", "vKill;1", "q", "Q", "qXfer:features:read:target.xml:", "qRcmd,", "qqemu.sstep", "Qqemu.sstep=", "Qqemu.PhyMemMode:1",
        "Qqemu.PhyMemMode:0", "?", "H", "D", "k", ":", ",", "=", ";", "#", "}", "$", "\x03", "-", "+", "ffffffff", "ffffffffffffffff",
        "1000", "80000000", "0", "qSupported:multiprocess+", "-1", "p1.1", "R00", "!", "i", "*", "a0000", "fee00000", "fec00000",
        "fed00000", "fffffff0", "100000",
    };
    const char *w = words[fuzz_below(f, ARRAY_SIZE(words))];
    size_t n = fuzz_below(f, fuzz_below(f, 20) ? 40 : 500);

    n = min_u64(n, room);
    switch (fuzz_below(f, 4)) {
    case 0:
        for (size_t i = 0; i < n; i++)
            to[i] = "0123456789abcdef"[fuzz_below(f, 16)];
        return n;
    case 1:
        n = min_u64(n, 6);
        for (size_t i = 0; i < n; i++)
            to[i] = (char)fuzz_random(f);
        return n;
    default:
        n = min_u64(strlen(w), room);
        memcpy(to, w, n);
        return n;
    }
}

static void say(struct fuzz *f, struct novt_gdb *gdb)
{
    char packet[2048] = "$";
    u8 sum = 0;
    size_t n = 1;

    for (u32 k = fuzz_below(f, 6); k; k--)
        n += piece(f, packet + n, sizeof(packet) - 4 - n);
    for (size_t i = 1; i < n; i++)
        sum = (u8)(sum + (u8)packet[i]);
    if (fuzz_below(f, 8))
        n += (size_t)sprintf(packet + n, "#%02x", sum);
    novt_gdb_input(gdb, (const u8 *)packet, n);
}

static void *runs(void *opaque)
{
    struct novt_outcome out;

    while (novt_vm_run(opaque, &out, NULL) == 0 && out.why != NOVT_STOPPED)
        ;
    return NULL;
}

void target_gdb(struct fuzz *f, u32 steps)
{
    /* cli; mov ax, 1000h; mov ds, ax; l: inc word [0]; push ax; pop ax; movsb; jmp l */
    static const u8 code[] = {0xfa, 0xb8, 0x00, 0x10, 0x8e, 0xd8, 0xff, 0x06, 0x00, 0x00, 0x50, 0x58, 0xa4, 0xeb, 0xf7};
    struct novt_config config = {.ram_bytes = 2 << 20, .no_firmware = true, .engine = fuzz_below(f, 3)};
    bool running = fuzz_below(f, 2);
    struct novt_gdb *gdb = NULL;
    struct novt_vm *vm = NULL;
    struct novt_regs regs;
    pthread_t thread;

    if (novt_vm_new(&vm, &config, NULL) || novt_vm_write_memory(vm, 0x8000, code, sizeof(code)))
        finding("no machine");
    novt_vm_get_regs(vm, &regs);
    regs.seg[NOVT_CS].sel = 0;
    regs.seg[NOVT_CS].base = 0;
    regs.eip = 0x8000;
    novt_vm_set_regs(vm, &regs);
    if (novt_gdb_open(&gdb, vm, take, NULL))
        finding("no debugger");
    if (running && pthread_create(&thread, NULL, runs, vm))
        finding("no thread");
    written = 0;
    for (u32 i = 0; i < 10 * steps; i++) {
        say(f, gdb);
        if (running && fuzz_below(f, 16) == 0) {
            usleep(fuzz_below(f, 300));
            novt_gdb_input(gdb, (const u8 *)"\3", fuzz_below(f, 2));
        }
    }
    if (running) {
        novt_vm_stop(vm, 0);
        pthread_join(thread, NULL);
    }
    if (steps > 20 && !written)
        finding("no packet was answered");
    novt_gdb_close(gdb, -1);
    novt_vm_free(vm);
}
