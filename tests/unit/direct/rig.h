/*
 * rig.h - a sandbox with a little RAM, and snippets of machine code to run in it.
 *
 * Snippets are assembled with the test: SNIPPET(name, "text") makes name[] and name_end[]. They run at CODE, with a stack below STACK
 * and a page of data at DATA; all three are pages of the RAM that the test sees as rig.ram.
 */
#ifndef NOVT_TESTS_DIRECT_RIG_H
#define NOVT_TESTS_DIRECT_RIG_H

#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "direct/direct.h"

#define RAM_BYTES (8u << 20)
#define CODE 0x400000u
#define DATA 0x500000u
#define STACK 0x601000u
#define CODE_PAGES 4u
#define DATA_PAGES 32u
#define CODE_AT 0u /* in RAM */
#define DATA_AT 0x10000u
#define STACK_AT 0x8000u

#define SNIPPET(name, text)                                                           \
    __asm__(".pushsection .rodata\n.balign 64\n.code32\n" #name ":\n" text "\n" #name \
            "_end:\n.code64\n.popsection\n");                                         \
    extern const u8 name[], name##_end[]

struct rig {
    int fd;
    u8 *ram;
    struct dx *dx;
    struct dx_box *b;
    struct dx_state st;
    struct dx_exit x;
};

static inline struct dx_state rig_state(u32 eip)
{
    struct dx_state st;

    memset(&st, 0, sizeof(st));
    st.eip = eip;
    st.eflags = 2;
    st.gpr[DX_ESP] = STACK;
    for (unsigned i = 0; i < 6; i++)
        st.seg[i].kind = DX_SEG_FLAT;
    st.fxsave[0] = 0x7f;
    st.fxsave[1] = 0x03;
    st.fxsave[24] = 0x80;
    st.fxsave[25] = 0x1f;
    return st;
}

static inline void rig_box(struct rig *r)
{
    static const struct dx_op ops[] = {
        {DX_MAP, DX_READ | DX_EXEC, 0, CODE, CODE_PAGES, CODE_AT},
        {DX_MAP, DX_READ | DX_WRITE, 0, DATA, DATA_PAGES, DATA_AT},
        {DX_MAP, DX_READ | DX_WRITE, 0, STACK - 4096, 1, STACK_AT},
    };
    char why[DX_WHY_BYTES];
    size_t done;

    cr_assert_eq(dx_box_new(r->dx, &r->b, why), 0, "%s", why);
    cr_assert_eq(dx_map(r->b, ops, ARRAY_SIZE(ops), &done), 0);
    cr_assert_eq(done, ARRAY_SIZE(ops));
    r->st = rig_state(CODE);
}

static inline struct rig rig_new(void)
{
    struct rig r = {.fd = memfd_create("ram", MFD_CLOEXEC)};
    struct dx_config cfg = {.ram_fd = r.fd, .ram_bytes = RAM_BYTES, .max_boxes = 4};

    cr_assert_geq(r.fd, 0);
    cr_assert_eq(ftruncate(r.fd, RAM_BYTES), 0);
    r.ram = mmap(NULL, RAM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, r.fd, 0);
    cr_assert_neq(r.ram, MAP_FAILED);
    cr_assert_eq(dx_new(&r.dx, &cfg), 0);
    rig_box(&r);
    return r;
}

static inline void rig_free(struct rig *r)
{
    dx_box_free(r->b);
    dx_free(r->dx);
    munmap(r->ram, RAM_BYTES);
    close(r->fd);
}

/* A fresh box when the last one is dead. */
static inline void rig_revive(struct rig *r)
{
    if (dx_box_dead(r->b)) {
        dx_box_free(r->b);
        rig_box(r);
    }
    r->st = rig_state(CODE);
}

static inline void rig_load(struct rig *r, const u8 *from, const u8 *end)
{
    memcpy(r->ram + CODE_AT, from, (size_t)(end - from));
}

static inline u8 rig_enter(struct rig *r)
{
    dx_enter(r->b, &r->st, &r->x);
    return r->x.kind;
}

/* Load, enter from a plain state (registers set by the caller in r->st stay), expect a kind. */
#define RUN(r, name, expected)                                                                  \
    do {                                                                                        \
        rig_load((r), name, name##_end);                                                        \
        u8 kind_ = rig_enter(r);                                                                \
        cr_assert_eq(kind_, (expected), #name ": exit %u vector %u error %x eip %x: %s", kind_, \
                     (r)->x.vector, (r)->x.error, (r)->st.eip, (r)->x.why);                     \
    } while (0)

struct later {
    struct dx_box *b;
    unsigned ms;
    pthread_t thread;
};

static inline void *later_kick(void *arg)
{
    struct later *l = arg;
    struct timespec t = {0, (long)l->ms * 1000000};

    nanosleep(&t, NULL);
    dx_kick(l->b);
    return NULL;
}

/* Kick the box from another thread in a while. */
static inline void kick_in(struct later *l, struct rig *r, unsigned ms)
{
    *l = (struct later){.b = r->b, .ms = ms};
    cr_assert_eq(pthread_create(&l->thread, NULL, later_kick, l), 0);
}

static inline void kick_join(struct later *l)
{
    pthread_join(l->thread, NULL);
}

#endif
