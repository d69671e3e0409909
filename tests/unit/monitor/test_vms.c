/*
 * test_vms.c - several machines in one process, as a program that embeds libnovt has them.
 *
 * Three threads make, run, look at, save, load and free machines of every engine at the same time; a machine is stopped on one thread and
 * goes on on another. What would break it: state that is not a machine's own, signals or windows of one thread seen by another.
 */
#include <criterion/criterion.h>
#include <immintrin.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "novt.h"

#define ROUNDS 12
#define LINES 40

/* For cx = LINES: adds to a sum in memory that begins at the byte at 500h, and says it on COM1; then out f4h, 3. */
static const uint8_t code[] = {
    0x31, 0xc0,             /* xor ax, ax */
    0x8e, 0xd8,             /* mov ds, ax */
    0xb9, LINES, 0x00,      /* mov cx, LINES */
    0xba, 0xf8,  0x03,      /* mov dx, 3f8h */
    0xbb, 0x01,  0x10,      /* next: mov bx, 1001h */
    0xa0, 0x00,  0x05,      /* spin: mov al, [500h] */
    0x04, 0x07,             /* add al, 7 */
    0xa2, 0x00,  0x05,      /* mov [500h], al */
    0x4b,                   /* dec bx */
    0x75, 0xf5,             /* jnz spin */
    0xee,                   /* out dx, al */
    0xe2, 0xef,             /* loop next */
    0xb0, 0x03,             /* mov al, 3 */
    0xe6, 0xf4,             /* out f4h, al */
    0xf4,                   /* hlt */
};

struct owner {
    unsigned n, failed;
    uint8_t said[LINES + 8];
    size_t len;
    struct novt_vm *vm;
    bool stop_half;
};

static void heard(void *opaque, const uint8_t *buf, size_t len)
{
    struct owner *o = opaque;

    for (size_t i = 0; i < len && o->len < sizeof(o->said); i++)
        o->said[o->len++] = buf[i];
    if (o->stop_half && o->len >= LINES / 2) {
        o->stop_half = false;
        novt_vm_stop(o->vm, 5);
    }
}

static bool make(struct owner *o, uint32_t engine)
{
    struct novt_config config = {
        .ram_bytes = 2 << 20,
        .no_firmware = true,
        .engine = engine,
        .debug_exit_iobase = 0xf4,
        .serial[0] = {.present = true, .write = heard, .opaque = o},
    };
    struct novt_regs regs;
    uint8_t seed = (uint8_t)(o->n * 50 + engine);

    o->len = 0;
    if (novt_vm_new(&o->vm, &config, NULL))
        return false;
    novt_vm_get_regs(o->vm, &regs);
    regs.seg[NOVT_CS].sel = 0;
    regs.seg[NOVT_CS].base = 0;
    regs.eip = 0x7c00;
    novt_vm_set_regs(o->vm, &regs);
    return !novt_vm_write_memory(o->vm, 0x7c00, code, sizeof(code)) && !novt_vm_write_memory(o->vm, 0x500, &seed, 1);
}

static bool right(const struct owner *o, uint32_t engine)
{
    for (unsigned i = 0; i < LINES; i++)
        if (o->said[i] != (uint8_t)(o->n * 50 + engine + (i + 1) * 0x1001 * 7))
            return false;
    return o->len == LINES;
}

static void *live(void *opaque)
{
    struct owner *o = opaque;
    struct novt_outcome out;
    char state[32], text[4096];

    snprintf(state, sizeof(state), "vms-%d-%u.state", (int)getpid(), o->n);
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint32_t engine = (round + o->n) % 3;
        bool ok = make(o, engine);

        o->stop_half = ok && round % 2;
        ok = ok && !novt_vm_run(o->vm, &out, NULL);
        if (ok && round % 2) { /* stopped half-way: saved, spoiled, taken back, and on */
            ok = out.why == NOVT_STOPPED && out.code == 5 && !novt_vm_save(o->vm, state, NULL);
            ok = ok && !novt_vm_write_memory(o->vm, 0x500, "x", 1) && !novt_vm_load(o->vm, state, NULL);
            ok = ok && novt_vm_info(o->vm, "registers", text, sizeof(text)) && !novt_vm_run(o->vm, &out, NULL);
        }
        ok = ok && out.why == NOVT_DEBUG_EXIT && out.code == 7 && right(o, engine);
        o->failed += !ok;
        novt_vm_free(o->vm);
    }
    unlink(state);
    return NULL;
}

Test(vms, at_the_same_time)
{
    struct owner owner[3];
    pthread_t thread[3];

    memset(owner, 0, sizeof(owner));
    for (unsigned i = 0; i < 3; i++) {
        owner[i].n = i;
        cr_assert(!pthread_create(&thread[i], NULL, live, &owner[i]));
    }
    for (unsigned i = 0; i < 3; i++) {
        pthread_join(thread[i], NULL);
        cr_expect_eq(owner[i].failed, 0u, "thread %u: %u of %u rounds", i, owner[i].failed, ROUNDS);
    }
}

/* The thread's alternate signal stack and GS base are its own again after a run. */
Test(vms, signal_stack_comes_back)
{
    static char stack[65536];
    const stack_t mine = {.ss_sp = stack, .ss_size = sizeof(stack)};
    struct owner o = {.n = 2};
    struct novt_outcome out;
    stack_t now;

    cr_assert(!sigaltstack(&mine, NULL) && make(&o, NOVT_ENGINE_BT));
    _writegsbase_u64(0x123456000);
    cr_assert(!novt_vm_run(o.vm, &out, NULL) && !sigaltstack(NULL, &now));
    cr_expect_eq(_readgsbase_u64(), 0x123456000u);
    _writegsbase_u64(0);
    cr_expect(now.ss_sp == mine.ss_sp && now.ss_size == mine.ss_size && !(now.ss_flags & SS_DISABLE));
    novt_vm_free(o.vm);
}

struct second {
    struct owner *o;
    struct novt_outcome out;
    int rc;
};

static void *go_on(void *opaque)
{
    struct second *s = opaque;

    s->rc = novt_vm_run(s->o->vm, &s->out, NULL);
    return NULL;
}

Test(vms, from_thread_to_thread)
{
    for (uint32_t engine = 0; engine < 3; engine++) {
        struct owner o = {.n = 1};
        struct second s = {.o = &o};
        struct novt_outcome out;
        pthread_t thread;

        cr_assert(make(&o, engine));
        o.stop_half = true;
        cr_assert(!novt_vm_run(o.vm, &out, NULL) && out.why == NOVT_STOPPED);
        cr_assert(!pthread_create(&thread, NULL, go_on, &s));
        pthread_join(thread, NULL);
        cr_expect(!s.rc && s.out.why == NOVT_DEBUG_EXIT && right(&o, engine), "engine %u: %d %d", engine, s.out.why, s.out.code);
        novt_vm_free(o.vm);
    }
}
