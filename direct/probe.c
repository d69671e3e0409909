/*
 * probe.c - can this host run sandboxes, and what do they cost?
 *
 * Both make boxes and try: a host's kernel options, its container's system-call filter, its limits and its CPU all have a say,
 * and only trying knows. The probe runs a few instructions of its own, with a RAM of one page.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "direct/internal.h"

#define CODE 0x100000u
#define TLS_SLOT 5u
#define MEASURE_ROUNDS 9u
#define MEASURE_ENTERS 32u
#define KICK_AFTER_NS 2000000

static const u8 probe_code[] = {
    0xcc,                         /* +0  int3 */
    0xcd, 0x80,                   /* +1  int 80h */
    0x8e, 0xe0,                   /* +3  mov fs, eax */
    0x64, 0x8b, 0x1d, 0, 0, 0, 0, /* +5  mov ebx, fs:[0] */
    0xf4,                         /* +12 hlt */
    0xeb, 0xfe,                   /* +13 jmp $ */
};
#define AT_HLT 12u
#define AT_LOOP 13u

static struct dx_state flat_state(u32 eip)
{
    struct dx_state st;
    const u16 fcw = 0x37f;
    const u32 mxcsr = 0x1f80;

    memset(&st, 0, sizeof(st));
    st.eip = eip;
    st.eflags = 2;
    for (unsigned i = 0; i < 6; i++)
        st.seg[i].kind = DX_SEG_FLAT;
    memcpy(st.fxsave, &fcw, sizeof(fcw));
    memcpy(st.fxsave + XS_MXCSR, &mxcsr, sizeof(mxcsr));
    return st;
}

static void *kick_later(void *arg)
{
    struct timespec t = {0, KICK_AFTER_NS};

    nanosleep(&t, NULL);
    dx_kick(arg);
    return NULL;
}

/* The endless loop, and a kick from another thread. */
static bool kicked_out(struct dx_box *b, struct dx_state *st, struct dx_exit *x)
{
    pthread_t t;

    st->eip = CODE + AT_LOOP;
    if (pthread_create(&t, NULL, kick_later, b))
        return true; /* no thread to be had: not what is asked here */
    dx_enter(b, st, x);
    pthread_join(t, NULL);
    return x->kind == DX_EXIT_KICKED;
}

static int wrong(char why[DX_WHY_BYTES], const char *what, const struct dx_exit *x)
{
    snprintf(why, DX_WHY_BYTES, "%s does not work in a sandbox (exit %u, vector %u)%s%.80s", what, x->kind,
             x->vector, x->why[0] ? ": " : "", x->why);
    return -ENOTSUP;
}

static int try_out(struct dx *dx, struct dx_box *b, char why[DX_WHY_BYTES])
{
    const struct dx_op op = {.kind = DX_MAP, .prot = DX_READ | DX_EXEC, .gva = CODE, .pages = 1};
    /* base CODE, one page, data, writable, accessed, DPL 3 */
    const u64 tls = (u64)(CODE & 0xffffff) << 16 | (u64)0xf3 << 40 | (u64)0x40 << 48 | 0xfff;
    struct dx_state st = flat_state(CODE);
    struct dx_exit x;
    int err = dx_map(b, &op, 1, NULL);

    if (err) {
        snprintf(why, DX_WHY_BYTES, "mapping guest memory for execution: %s", strerror(-err));
        return err;
    }
    dx_enter(b, &st, &x);
    if (x.kind != DX_EXIT_BREAKPOINT)
        return wrong(why, "32-bit code", &x);
    dx_enter(b, &st, &x);
    if (x.kind != DX_EXIT_SYSCALL && !(x.kind == DX_EXIT_INT && x.vector == 0x80))
        return wrong(why, "INT 80h", &x);
    if (dx->caps.ldt) {
        err = dx_ldt_set(b, TLS_SLOT, &tls, 1);
        st.gpr[DX_EAX] = TLS_SLOT << 3 | 7;
        st.eip = CODE + 3;
        dx_enter(b, &st, &x);
        if (err || x.kind != DX_EXIT_PRIVILEGED || st.eip != CODE + AT_HLT ||
            (u8)st.gpr[DX_EBX] != probe_code[0])
            return wrong(why, "the local descriptor table", &x);
    }
    return kicked_out(b, &st, &x) ? 0 : wrong(why, "interrupting 32-bit code", &x);
}

int dx_probe(char why[DX_WHY_BYTES])
{
    struct dx_config cfg = {.ram_bytes = PAGE_BYTES, .max_boxes = 1};
    struct dx *dx = NULL;
    struct dx_box *b = NULL;
    int err = 0;

    why[0] = '\0';
    cfg.ram_fd = memfd_create("novt-probe", MFD_CLOEXEC);
    if (cfg.ram_fd < 0 || ftruncate(cfg.ram_fd, PAGE_BYTES) ||
        pwrite(cfg.ram_fd, probe_code, sizeof(probe_code), 0) != (ssize_t)sizeof(probe_code))
        err = -errno;
    if (!err)
        err = dx_new(&dx, &cfg);
    if (err)
        snprintf(why, DX_WHY_BYTES, "memory for a trial: %s", strerror(-err));
    if (!err)
        err = dx_box_new(dx, &b, why);
    if (!err)
        err = try_out(dx, b, why);
    dx_box_free(b);
    dx_free(dx);
    if (cfg.ram_fd >= 0)
        close(cfg.ram_fd);
    return err;
}

static u64 now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (u64)t.tv_sec * 1000000000u + (u64)t.tv_nsec;
}

/* Other load on the host only ever adds. */
static u32 least(const u32 *v)
{
    u32 min = v[0];

    for (u32 i = 1; i < MEASURE_ROUNDS; i++)
        min = v[i] < min ? v[i] : min;
    return min;
}

/* Nothing of the guest's runs: an empty box faults at once. */
int dx_measure(struct dx *dx, struct dx_cost *out)
{
    static struct dx_op const one = {.kind = DX_MAP, .prot = DX_READ, .gva = CODE, .pages = 1};
    u32 trip[MEASURE_ROUNDS], single[MEASURE_ROUNDS], batch[MEASURE_ROUNDS];
    struct dx_state st = flat_state(CODE);
    struct dx_op *ops;
    struct dx_exit x;
    struct dx_box *b;
    int err = dx_box_new(dx, &b, NULL);

    if (err)
        return err;
    ops = calloc(DX_MAP_BATCH, sizeof(*ops));
    if (!ops)
        err = -ENOMEM;
    for (u32 i = 0; !err && i < DX_MAP_BATCH; i++) {
        ops[i] = one;
        ops[i].gva = CODE + 2 * i * PAGE_BYTES; /* every other page: no two can be merged */
    }
    for (u32 r = 0; !err && r < MEASURE_ROUNDS; r++) {
        u64 t0 = now_ns();
        for (u32 i = 0; i < MEASURE_ENTERS; i++)
            dx_enter(b, &st, &x);
        u64 t1 = now_ns();
        for (u32 i = 0; i < MEASURE_ENTERS && !err; i++)
            err = dx_map(b, &ops[i], 1, NULL);
        u64 t2 = now_ns();
        if (!err)
            err = dx_map(b, ops, DX_MAP_BATCH, NULL);
        u64 t3 = now_ns();
        if (x.kind != DX_EXIT_PAGE_FAULT)
            err = -EIO;
        if (!err)
            err = dx_wipe(b);
        trip[r] = (u32)((t1 - t0) / MEASURE_ENTERS);
        single[r] = (u32)((t2 - t1) / MEASURE_ENTERS);
        batch[r] = (u32)((t3 - t2) / DX_MAP_BATCH);
    }
    if (!err)
        *out = (struct dx_cost){least(trip), least(single), least(batch)};
    free(ops);
    dx_box_free(b);
    return err;
}
