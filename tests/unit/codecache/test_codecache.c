/*
 * test_codecache.c - the code cache's contract.
 *
 * Real code is put into the cache: a block is "mov eax, imm32; jmp exit" and the stubs are "ret"-ending sequences
 * that mark edx, so that running a block shows where its jump really goes. Breaks if code memory is
 * writable and executable in one mapping, if a jump goes anywhere but the state says, if an invalidation
 * misses an overlapping block (or takes another), or if ids or lookups outlive a flush.
 */
#include "codecache/codecache.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES 16u
#define WENT_HARD 1000u
#define WENT_SOFT 2000u

struct fixture {
    struct cc *cc;
    u32 hard, soft;
};

static void put_mov_edx_ret(struct cc *cc, u32 off, u32 edx)
{
    u8 *p = cc_rw(cc) + off;

    p[0] = 0xba; /* mov edx, imm32 */
    memcpy(p + 1, &edx, 4);
    p[5] = 0xc3;
}

static struct fixture setup(size_t bytes)
{
    struct fixture f;

    cr_assert_eq(cc_new(&f.cc, bytes), 0);
    cr_assert_eq(cc_fixed(f.cc, 6, &f.hard), 0);
    cr_assert_eq(cc_fixed(f.cc, 6, &f.soft), 0);
    put_mov_edx_ret(f.cc, f.hard, WENT_HARD);
    put_mov_edx_ret(f.cc, f.soft, WENT_SOFT);
    return f;
}

static struct cc_key key_at(u32 gpa, u32 gpa2)
{
    return (struct cc_key){.gpa = gpa, .gpa2 = gpa2, .eip = gpa, .cs_limit = 0xffffffff};
}

/* add eax, tag; jmp <exit 0>; the second exit, if any, is never reached. */
static struct cc_block *make(struct fixture *f, struct cc_key key, u32 guest_len, u32 tag, u32 n_exits)
{
    struct cc_exit x[2];
    u32 off;
    u8 *p;

    if (cc_reserve(f->cc, 64, &off) < 0)
        return NULL;
    p = cc_rw(f->cc) + off;
    p[0] = 0x05;
    memcpy(p + 1, &tag, 4);
    p[5] = 0xe9;
    p[10] = 0xe9;
    memset(x, 0xee, sizeof(x)); /* what the caller leaves in the other fields must not matter */
    for (u32 i = 0; i < 2; i++) {
        x[i].patch_off = off + 6 + 5 * i;
        x[i].hard_off = f->hard;
        x[i].soft_off = f->soft;
        x[i].target = key.eip + guest_len;
        x[i].guard_off = 0;
        x[i].state = CC_HARD;
    }
    return cc_commit(f->cc, &key, BLOCK_BYTES, guest_len, 1, x, n_exits, "side", 5);
}

/* Enter the block; *eax is the sum of the tags passed. Returns where it came out. */
static u32 run(struct fixture *f, const struct cc_block *b, u32 *eax)
{
    u32 a = 0, d = 0;
    u64 entry = (u64)cc_rx(f->cc) + b->code_off;

    __asm__ volatile("call *%2" : "+a"(a), "+d"(d) : "r"(entry) : "cc", "memory");
    *eax = a;
    return d;
}

#define ASSERT_RUN(f, b, where, sum)                           \
    do {                                                       \
        u32 sum_, where_ = run(f, b, &sum_);                   \
        cr_assert_eq(where_, where, "came out at %u", where_); \
        cr_assert_eq(sum_, (u32)(sum), "sum %u", sum_);        \
    } while (0)

Test(codecache, refuses_bad_sizes)
{
    struct cc *cc;

    cr_assert_eq(cc_new(&cc, 4096), -EINVAL);
    cr_assert_eq(cc_new(&cc, (1ul << 30) + 1), -EINVAL);
}

Test(codecache, no_mapping_is_writable_and_executable)
{
    struct fixture f = setup(1 << 20);
    char line[512];
    FILE *maps = fopen("/proc/self/maps", "r");
    u32 seen = 0;

    cr_assert(maps != NULL);
    while (fgets(line, sizeof(line), maps)) {
        u64 lo;
        char perm[5];

        if (sscanf(line, "%lx-%*x %4s", &lo, perm) != 2)
            continue;
        if (lo == (u64)cc_rw(f.cc)) {
            cr_assert_str_eq(perm, "rw-s");
            seen++;
        } else if (lo == (u64)cc_rx(f.cc)) {
            cr_assert_str_eq(perm, "r-xs");
            seen++;
        }
    }
    fclose(maps);
    cr_assert_eq(seen, 2);
    cc_free(f.cc);
}

Test(codecache, exits_go_hard_then_linked_then_soft)
{
    struct fixture f = setup(1 << 20);
    struct cc_block *a = make(&f, key_at(0x1000, CC_NO_PAGE), 8, 1, 1);
    struct cc_block *b = make(&f, key_at(0x1008, CC_NO_PAGE), 8, 2, 1);

    ASSERT_RUN(&f, a, WENT_HARD, 1);
    cr_assert_str_eq(a->side, "side");
    cr_assert_eq(a->exits[0].state, CC_HARD);
    cc_link(f.cc, &a->exits[0], b, CC_NEAR);
    ASSERT_RUN(&f, a, WENT_HARD, 3);
    cr_assert_eq(a->exits[0].to, b);
    cr_assert_eq(b->in, &a->exits[0]);
    cc_soften(f.cc, &a->exits[0]);
    ASSERT_RUN(&f, a, WENT_SOFT, 1);
    cr_assert_null(b->in);
    cc_link(f.cc, &a->exits[0], b, CC_NEAR); /* a softened exit may still be linked */
    ASSERT_RUN(&f, a, WENT_HARD, 3);
    cc_free(f.cc);
}

Test(codecache, dead_blocks_come_out_soft_and_are_not_entered)
{
    struct fixture f = setup(1 << 20);
    struct cc_block *a = make(&f, key_at(0x1000, CC_NO_PAGE), 8, 1, 1);
    struct cc_block *b = make(&f, key_at(0x2000, CC_NO_PAGE), 8, 2, 2);
    struct cc_block *c = make(&f, key_at(0x3000, CC_NO_PAGE), 8, 4, 1);
    u32 id_b;

    cc_link(f.cc, &a->exits[0], b, CC_GLOBAL);
    cc_link(f.cc, &b->exits[0], c, CC_GLOBAL);
    cc_link(f.cc, &b->exits[1], b, CC_NEAR); /* onto itself */
    ASSERT_RUN(&f, a, WENT_HARD, 7);
    id_b = cc_next_exit_id(f.cc) - 3; /* exits: a 1, b 2, c 1 */
    cr_assert_eq(cc_exit_by_id(f.cc, id_b), &b->exits[0]);
    cr_assert_eq(cc_invalidate(f.cc, 0x2000, 1), 1);
    cr_assert_eq(b->dead, 1);
    ASSERT_RUN(&f, a, WENT_HARD, 1);
    ASSERT_RUN(&f, b, WENT_SOFT, 2); /* a CPU still inside comes out */
    cr_assert_eq(b->exits[1].state, CC_SOFT);
    cr_assert_null(cc_exit_by_id(f.cc, id_b));
    cr_assert_null(c->in);
    cr_assert_null(cc_lookup(f.cc, &b->key));
    cr_assert_eq(cc_find(f.cc, (u64)cc_rx(f.cc) + b->code_off + 3), b); /* side tables are still needed */
    cc_link(f.cc, &b->exits[0], c, CC_GLOBAL);
    cc_link(f.cc, &a->exits[0], b, CC_GLOBAL);
    ASSERT_RUN(&f, b, WENT_SOFT, 2);
    ASSERT_RUN(&f, a, WENT_HARD, 1);
    cr_assert_eq(cc_invalidate(f.cc, 0x2000, 4096), 0);
    cr_assert_eq(cc_page(f.cc, 0x2abc)->invalidations, 2);
    cc_free(f.cc);
}

/* Every offset and length against the plain definition of overlap. */
Test(codecache, invalidate_hits_exactly_the_overlapping)
{
    static const u32 starts[] = {0x4ff0, 0x4ffe, 0x4fff, 0x5000, 0x5001, 0x9000, 0x9001, 0x9002, 0x8fff};

    for (u32 i = 0; i < ARRAY_SIZE(starts); i++) {
        for (u32 len = 1; len <= 20; len++) {
            struct fixture f = setup(1 << 20);
            /* 15 bytes at 4ffe: two in page 4, thirteen at 9000 */
            struct cc_block *b = make(&f, key_at(0x4ffe, 0x9000), 15, 1, 1);
            bool hit = false;

            for (u32 n = 0; n < len; n++) {
                u32 at = starts[i] + n;

                hit |= (at >= 0x4ffe && at < 0x5000) || (at >= 0x9000 && at < 0x900d);
            }
            cr_assert_eq(cc_invalidate(f.cc, starts[i], len), hit, "at %x len %u", starts[i], len);
            cr_assert_eq(b->dead, hit);
            if (hit) {
                cr_assert_null(cc_page(f.cc, 0x4000)->blocks);
                cr_assert_null(cc_page(f.cc, 0x9000)->blocks);
            }
            cc_free(f.cc);
        }
    }
}

Test(codecache, one_physical_page_twice_in_a_row)
{
    struct fixture f = setup(1 << 20);
    struct cc_block *b = make(&f, key_at(0x4ffe, 0x4000), 15, 1, 1);

    cr_assert_eq(cc_invalidate(f.cc, 0x4800, 4), 0);
    cr_assert_eq(cc_invalidate(f.cc, 0x4004, 4), 1);
    cr_assert(b->dead);
    cr_assert_null(cc_page(f.cc, 0x4000)->blocks);
    b = make(&f, key_at(0x4ffe, 0x4000), 15, 1, 1);
    cr_assert_eq(cc_invalidate(f.cc, 0x4fff, 1), 1);
    cc_free(f.cc);
}

Test(codecache, invalidate_at_the_top_of_memory)
{
    struct fixture f = setup(1 << 20);
    struct cc_block *b = make(&f, key_at(0xfffffff0, CC_NO_PAGE), 16, 1, 1);

    cr_assert_eq(cc_invalidate(f.cc, 0xffffffff, 4096), 1);
    cr_assert(b->dead);
    cc_free(f.cc);
}

Test(codecache, global_links_come_off_by_page)
{
    struct fixture f = setup(1 << 20);
    struct cc_block *a = make(&f, key_at(0x1000, CC_NO_PAGE), 8, 1, 2);
    struct cc_block *b = make(&f, key_at(0x1ffc, 0x3000), 8, 2, 2);
    struct cc_block *c = make(&f, key_at(0x2000, CC_NO_PAGE), 8, 4, 2);

    cc_link(f.cc, &a->exits[0], b, CC_NEAR);
    cc_link(f.cc, &b->exits[0], c, CC_GLOBAL);
    cc_link(f.cc, &c->exits[1], b, CC_GLOBAL);
    ASSERT_RUN(&f, a, WENT_HARD, 7);
    cc_unlink_into(f.cc, cc_page(f.cc, 0x3000)); /* b's second page */
    cr_assert_eq(c->exits[1].state, CC_HARD);
    cr_assert_eq(a->exits[0].state, CC_LINKED);
    ASSERT_RUN(&f, a, WENT_HARD, 7);
    cc_unlink_into(f.cc, cc_page(f.cc, 0x2000));
    ASSERT_RUN(&f, a, WENT_HARD, 3);
    for (u32 i = 0; i < 3; i++) { /* on and off, also by way of death */
        cc_link(f.cc, &b->exits[0], c, CC_GLOBAL);
        cc_link(f.cc, &c->exits[1], a, CC_GLOBAL);
        cr_assert_eq(cc_page(f.cc, 0x2000)->global_in, 1);
        cc_soften(f.cc, &b->exits[0]);
        cr_assert_eq(cc_page(f.cc, 0x2000)->global_in, 0);
        cc_link(f.cc, &b->exits[0], c, CC_GLOBAL);
        cc_link(f.cc, &b->exits[0], c, CC_NEAR);
        cr_assert_eq(cc_page(f.cc, 0x2000)->global_in, 0);
        cc_unlink_into(f.cc, cc_page(f.cc, 0x1000));
        cr_assert_eq(c->exits[1].state, CC_HARD);
    }
    cc_link(f.cc, &b->exits[0], c, CC_GLOBAL);
    cr_assert_eq(cc_invalidate(f.cc, 0x2000, 1), 1);
    cr_assert_eq(cc_page(f.cc, 0x2000)->global_in, 0);
    ASSERT_RUN(&f, a, WENT_HARD, 3);
    cc_free(f.cc);
}

static u32 cold_stub(struct fixture *f, u32 edx)
{
    u32 off;

    cr_assert_eq(cc_reserve_cold(f->cc, 16, &off), 0);
    put_mov_edx_ret(f->cc, off, edx);
    return off;
}

/* A block with a cold part: exit 0 has a guard (lea edi, [edi - value]; jmp target), exit 1 is a NOP that runs into exit 0. */
Test(codecache, guarded_and_inline_exits)
{
    struct fixture f = setup(1 << 20);
    struct cc_block *to = make(&f, key_at(0x2000, CC_NO_PAGE), 8, 4, 1), *b;
    struct cc_key key = key_at(0x1000, CC_NO_PAGE);
    struct cc_exit x[2] = {{.soft_off = f.soft, .target = 1}, {.soft_off = f.soft, .state = CC_INLINE}};
    static const u8 code[] = {0x05, 1, 0, 0, 0, 0x0f, 0x1f, 0x44, 0, 0, 0xe9};
    u32 off, cold, imm;

    cr_assert_eq(cc_reserve(f.cc, 64, &off), 0);
    memcpy(cc_rw(f.cc) + off, code, sizeof(code));
    cold = cold_stub(&f, 3000);
    x[0].patch_off = off + 11;
    x[0].hard_off = cold;
    x[0].guard_off = cold + 6;
    x[0].guard_imm = cold + 7;
    x[0].guard_rel = cold + 12;
    x[1].patch_off = off + 6;
    x[1].hard_off = f.hard;
    cc_rw(f.cc)[cold + 6] = 0x05; /* add eax, imm32: shows the immediate */
    cc_rw(f.cc)[cold + 11] = 0xe9;
    cc_cold_done(f.cc, 16);
    b = cc_commit(f.cc, &key, 15, 8, 1, x, 2, NULL, 0);
    cr_assert(b != NULL);
    cr_assert_eq(b->cold_off, cold);
    cr_assert_eq(cc_find(f.cc, (u64)cc_rx(f.cc) + b->code_off + 14), b);
    ASSERT_RUN(&f, b, 3000, 1);
    cc_link_guarded(f.cc, &b->exits[0], to, 0x100);
    memcpy(&imm, cc_rw(f.cc) + cold + 7, 4);
    cr_assert_eq(imm, -0x100u);
    cr_assert_eq(b->exits[0].cross, CC_GUARDED);
    ASSERT_RUN(&f, b, WENT_HARD, 5 - 0x100);
    cc_link(f.cc, &b->exits[1], to, CC_NEAR); /* is no jump: stays as it is */
    cr_assert_eq(b->exits[1].state, CC_INLINE);
    cc_unlink_into(f.cc, cc_page(f.cc, 0x2000));
    cr_assert_eq(b->exits[0].state, CC_LINKED);
    cc_invalidate(f.cc, 0x2000, 1);
    ASSERT_RUN(&f, b, 3000, 1);
    cc_invalidate(f.cc, 0x1000, 1);
    cr_assert_eq(b->exits[1].state, CC_SOFT);
    ASSERT_RUN(&f, b, WENT_SOFT, 1);
    cr_assert_eq(cc_reserve(f.cc, 64, &off), 0); /* an abort gives cold room back, a flush all of it */
    cr_assert_eq(cold_stub(&f, 1), cold + 16);
    cc_cold_done(f.cc, 16);
    cc_abort(f.cc);
    cc_flush(f.cc);
    cr_assert_eq(cc_reserve(f.cc, 64, &off), 0);
    cr_assert_eq(cold_stub(&f, 1), cold);
    cr_assert_eq(cc_reserve_cold(f.cc, 1 << 20, &off), -ENOSPC);
    cc_abort(f.cc);
    cc_free(f.cc);
}

/* add eax, tag; nop5 (inline exit 1); jmp <exit 0>, which has a guard: add eax, -value; jmp target. */
static struct cc_block *make_guarded(struct fixture *f, struct cc_key key, u32 guest_len, u32 tag)
{
    struct cc_exit x[2] = {{.hard_off = f->hard, .soft_off = f->soft},
                           {.soft_off = f->soft, .state = CC_INLINE}};
    static const u8 code[] = {0x05, 0, 0, 0, 0, 0x0f, 0x1f, 0x44, 0, 0, 0xe9};
    u32 off, cold;

    if (cc_reserve(f->cc, 64, &off) < 0)
        return NULL;
    if (cc_reserve_cold(f->cc, 16, &cold) < 0) {
        cc_abort(f->cc);
        return NULL;
    }
    memcpy(cc_rw(f->cc) + off, code, sizeof(code));
    memcpy(cc_rw(f->cc) + off + 1, &tag, 4);
    x[0].patch_off = off + 11;
    x[1].patch_off = off + 6;
    x[0].guard_off = cold;
    x[0].guard_imm = cold + 1;
    x[0].guard_rel = cold + 6;
    cc_rw(f->cc)[cold] = 0x05;
    cc_rw(f->cc)[cold + 5] = 0xe9;
    cc_cold_done(f->cc, 10);
    return cc_commit(f->cc, &key, 15, guest_len, 1, x, 2, NULL, 0);
}

Test(codecache, guarded_links_are_patched_anew)
{
    struct fixture f = setup(1 << 20);
    struct cc_block *b = make_guarded(&f, key_at(0x1000, CC_NO_PAGE), 8, 1), *t[2];
    struct cc_block *plain = make(&f, key_at(0x1100, CC_NO_PAGE), 8, 2, 1);

    t[0] = make(&f, key_at(0x2000, CC_NO_PAGE), 8, 4, 1);
    t[1] = make(&f, key_at(0x3000, CC_NO_PAGE), 8, 8, 1);
    for (u32 i = 0; i < 4; i++) { /* from target to target, each with its value */
        cc_link_guarded(f.cc, &b->exits[0], t[i % 2], 0x100 << i);
        ASSERT_RUN(&f, b, WENT_HARD, 1 + (4u << i % 2) - (0x100u << i));
        cr_assert_eq(t[i % 2]->in, &b->exits[0]);
        cr_assert_null(t[1 - i % 2]->in);
    }
    cc_link(f.cc, &b->exits[0], t[0], CC_NEAR); /* past the guard */
    ASSERT_RUN(&f, b, WENT_HARD, 5);
    cc_link_guarded(f.cc, &b->exits[0], t[1], 0x10);
    cc_soften(f.cc, &b->exits[0]);
    ASSERT_RUN(&f, b, WENT_SOFT, 1);
    cr_assert_null(t[1]->in);
    cc_link_guarded(f.cc, &plain->exits[0], t[0], 1); /* has no guard: stays unlinked */
    cr_assert_eq(plain->exits[0].state, CC_HARD);
    cr_assert_null(t[0]->in);
    ASSERT_RUN(&f, plain, WENT_HARD, 2);
    cc_link_guarded(f.cc, &b->exits[0], b, 0x1000); /* onto itself: dead, it comes out soft behind the call */
    cc_invalidate(f.cc, 0x1000, 1);
    ASSERT_RUN(&f, b, WENT_SOFT, 1);
    cr_assert_eq(b->exits[0].state, CC_SOFT);
    cc_link_guarded(f.cc, &b->exits[0], t[0], 1);
    cr_assert_eq(b->exits[0].state, CC_SOFT);
    cr_assert_null(t[0]->in);
    cc_link_guarded(f.cc, &plain->exits[0], b, 1);
    cr_assert_null(b->in);
    cc_free(f.cc);
}

struct asked {
    u32 n, say_no_to; /* gpa */
};

static bool holds(void *opaque, const struct cc_exit *x)
{
    struct asked *a = opaque;

    cr_assert_eq(x->state, CC_LINKED);
    cr_assert_eq(x->cross, CC_GUARDED);
    a->n++;
    return x->to->key.gpa != a->say_no_to;
}

Test(codecache, promoted_links_are_direct_until_demoted)
{
    struct fixture f = setup(1 << 20);
    struct cc_block *b[2], *t[2];
    struct asked a = {.say_no_to = 0x3000};

    for (u32 i = 0; i < 2; i++) {
        b[i] = make_guarded(&f, key_at(0x1000 + 16 * i, CC_NO_PAGE), 8, 1);
        t[i] = make(&f, key_at(0x2000 + 0x1000 * i, CC_NO_PAGE), 8, 4, 1);
        cc_link_guarded(f.cc, &b[i]->exits[0], t[i], 0x100);
        ASSERT_RUN(&f, b[i], WENT_HARD, 5 - 0x100);
    }
    cr_assert_eq(cc_promote(f.cc, holds, &a), 1);
    cr_assert_eq(a.n, 2);
    ASSERT_RUN(&f, b[0], WENT_HARD, 5);
    ASSERT_RUN(&f, b[1], WENT_HARD, 5 - 0x100);
    cr_assert_eq(cc_promote(f.cc, holds, &a), 1); /* nobody is asked twice */
    cr_assert_eq(a.n, 2);
    cc_demote(f.cc);
    ASSERT_RUN(&f, b[0], WENT_HARD, 5 - 0x100);
    a.say_no_to = 0;
    cr_assert_eq(cc_promote(f.cc, holds, &a), 2);
    cr_assert_eq(a.n, 4);
    ASSERT_RUN(&f, b[1], WENT_HARD, 5);
    cc_invalidate(f.cc, 0x3000, 1); /* the target dies */
    ASSERT_RUN(&f, b[1], WENT_HARD, 1);
    cr_assert_eq(b[1]->exits[0].state, CC_HARD);
    cc_soften(f.cc, &b[0]->exits[0]);
    ASSERT_RUN(&f, b[0], WENT_SOFT, 1);
    cc_demote(f.cc); /* neither comes back to life */
    ASSERT_RUN(&f, b[0], WENT_SOFT, 1);
    ASSERT_RUN(&f, b[1], WENT_HARD, 1);
    cc_link_guarded(f.cc, &b[1]->exits[0], t[0], 0x200);
    cr_assert_eq(cc_promote(f.cc, holds, &a), 1);
    ASSERT_RUN(&f, b[1], WENT_HARD, 5);
    cc_link_guarded(f.cc, &b[1]->exits[0], t[0], 0x400); /* linked anew: guarded again */
    ASSERT_RUN(&f, b[1], WENT_HARD, 5 - 0x400);
    cc_flush(f.cc);
    cc_demote(f.cc);
    cr_assert_eq(cc_promote(f.cc, holds, &a), 0);
    cc_free(f.cc);
}

Test(codecache, promotion_asks_in_pieces)
{
    struct fixture f = setup(8 << 20);
    struct cc_block *to = make(&f, key_at(0x2000, CC_NO_PAGE), 8, 4, 1), *b = NULL;
    struct asked a = {0};
    const u32 n = CC_PROMOTE_MAX + 10;

    for (u32 i = 0; i < n; i++) {
        b = make_guarded(&f, key_at(0x100000 + 16 * i, CC_NO_PAGE), 8, 1);
        cc_link_guarded(f.cc, &b->exits[0], to, 0x100);
    }
    cr_assert_eq(cc_promote(f.cc, holds, &a), CC_PROMOTE_MAX);
    ASSERT_RUN(&f, b, WENT_HARD, 5 - 0x100); /* the last one: not yet */
    cr_assert_eq(cc_promote(f.cc, holds, &a), n);
    cr_assert_eq(a.n, n);
    ASSERT_RUN(&f, b, WENT_HARD, 5);
    cc_demote(f.cc);
    ASSERT_RUN(&f, b, WENT_HARD, 5 - 0x100);
    cc_free(f.cc);
}

Test(codecache, either_part_may_run_out)
{
    struct fixture f = setup(1 << 20);
    u32 off, cold, first_cold = 0, n = 0;

    for (;; n++) { /* stubs of 4 KiB: the cold half is full first */
        struct cc_key key = key_at(0x1000 + 16 * n, CC_NO_PAGE);
        struct cc_exit x = {.hard_off = f.hard, .soft_off = f.soft};

        cr_assert_eq(cc_reserve(f.cc, 64, &off), 0);
        if (cc_reserve_cold(f.cc, 4096, &cold) == -ENOSPC)
            break;
        if (!n)
            first_cold = cold;
        cr_assert_eq(cold, first_cold + 4096 * n);
        cr_assert_eq(cold % 16, 0);
        memset(cc_rw(f.cc) + cold, 0xcc, 4096);
        cc_rw(f.cc)[off] = 0xe9;
        x.patch_off = off + 1;
        cc_cold_done(f.cc, 4096);
        struct cc_block *b = cc_commit(f.cc, &key, 5, 16, 1, &x, 1, NULL, 0);
        cr_assert(b && b->cold_off == cold && b->cold_len == 4096);
        cr_assert_null(cc_find(f.cc, (u64)cc_rx(f.cc) + cold)); /* stubs are nobody's */
        cr_assert_null(cc_find(f.cc, (u64)cc_rx(f.cc) + cold + 4095));
        cr_assert_eq(cc_find(f.cc, (u64)cc_rx(f.cc) + b->code_off), b);
    }
    cc_abort(f.cc);
    cr_assert_eq(n, (1u << 19) / 4096);
    cr_assert_geq(first_cold, 1u << 19);
    cr_assert_gt(cc_stats(f.cc)->used_bytes, 4096 * n);
    cr_assert_leq(cc_stats(f.cc)->used_bytes, cc_stats(f.cc)->size_bytes);
    struct cc_block *b = make(&f, key_at(0x100000, CC_NO_PAGE), 8, 1, 1); /* without stubs there is room */
    cr_assert_eq(b->cold_len, 0);
    cc_flush(f.cc);
    for (n = 0; make_guarded(&f, key_at(0x1000 + 16 * n, CC_NO_PAGE), 16, 1); n++)
        ; /* both parts of 16 bytes, but the hot half has the gates: it is full first */
    cr_assert_gt(n, (1u << 19) / 20);
    cr_assert_eq(cc_reserve(f.cc, 64, &off), -ENOSPC);
    cc_flush(f.cc);
    cr_assert_eq(cc_reserve(f.cc, 64, &off), 0);
    cr_assert_eq(cc_reserve_cold(f.cc, 4096, &cold), 0);
    cr_assert_eq(cold, first_cold);
    cc_cold_done(f.cc, 4096);
    cc_abort(f.cc);
    b = make(&f, key_at(0x1000, CC_NO_PAGE), 8, 1,
             1); /* what an aborted translation emitted is not the next one's */
    cr_assert_eq(b->cold_len, 0);
    ASSERT_RUN(&f, b, WENT_HARD, 1);
    cc_free(f.cc);
}

static void note_kill(void *opaque, const struct cc_block *b)
{
    u32 *gpa = opaque;

    cr_assert(b->dead);
    *gpa += b->key.gpa;
}

Test(codecache, owner_hears_of_deaths_but_not_of_a_flush)
{
    struct fixture f = setup(1 << 20);
    u32 sum = 0;

    cc_on_kill(f.cc, note_kill, &sum);
    (void)make(&f, key_at(0x1000, CC_NO_PAGE), 8, 1, 1);
    (void)make(&f, key_at(0x1010, CC_NO_PAGE), 8, 1, 1);
    (void)make(&f, key_at(0x1020, CC_NO_PAGE), 8, 1, 1);
    cc_invalidate(f.cc, 0x1007, 10);
    cr_assert_eq(sum, 0x2010);
    cc_flush(f.cc);
    cr_assert_eq(sum, 0x2010);
    cc_free(f.cc);
}

Test(codecache, full_flush_and_start_over)
{
    struct fixture f = setup(1 << 20);
    u32 n = 0, first_id = cc_next_exit_id(f.cc), first_off = 0;

    for (;;) {
        struct cc_block *b = make(&f, key_at(0x1000 + 16 * n, CC_NO_PAGE), 16, 1, 1);

        if (!b)
            break;
        if (!n)
            first_off = b->code_off;
        cr_assert_eq(b->code_off % 16, 0);
        n++;
    }
    cr_assert_gt(n, (1u << 20) / 40); /* 16 bytes each, in the half that is not for stubs */
    for (u32 i = 0; i < n; i++) {
        struct cc_key key = key_at(0x1000 + 16 * i, CC_NO_PAGE);
        struct cc_block *b = cc_lookup(f.cc, &key);

        cr_assert(b && b->key.gpa == key.gpa);
        cr_assert_eq(cc_find(f.cc, (u64)cc_rx(f.cc) + b->code_off), b);
        cr_assert_eq(cc_find(f.cc, (u64)cc_rx(f.cc) + b->code_off + BLOCK_BYTES - 1), b);
        cr_assert_eq(cc_exit_by_id(f.cc, first_id + i), &b->exits[0]);
    }
    cr_assert_null(cc_find(f.cc, (u64)cc_rx(f.cc) + f.hard));
    cr_assert_null(cc_find(f.cc, (u64)cc_rx(f.cc) - 1));
    cr_assert_null(cc_find(f.cc, (u64)cc_rx(f.cc) + cc_stats(f.cc)->size_bytes + 4096));
    cc_invalidate(f.cc, 0x1000, 16);
    cc_page(f.cc, 0x1000)->flags = 3;
    cc_flush(f.cc);
    cr_assert_null(cc_exit_by_id(f.cc, first_id + n - 1));
    cr_assert_null(cc_find(f.cc, (u64)cc_rx(f.cc) + first_off));
    cr_assert_eq(cc_page(f.cc, 0x1000)->invalidations, 1);
    cr_assert_eq(cc_page(f.cc, 0x1000)->flags, 3);
    cr_assert_null(cc_page(f.cc, 0x1000)->blocks);
    struct cc_block *b = make(&f, key_at(0x1010, CC_NO_PAGE), 16, 7, 1);
    cr_assert_eq(b->code_off, first_off);
    cr_assert_eq(cc_next_exit_id(f.cc), first_id + n + 1);
    ASSERT_RUN(&f, b, WENT_HARD, 7); /* stubs survived */
    cr_assert_eq(cc_stats(f.cc)->blocks, 1);
    cc_free(f.cc);
}

Test(codecache, abort_leaves_no_trace)
{
    struct fixture f = setup(1 << 20);
    u32 off, off2;

    cr_assert_eq(cc_reserve(f.cc, 1000, &off), 0);
    cc_abort(f.cc);
    cr_assert_eq(cc_reserve(f.cc, 10, &off2), 0);
    cr_assert_eq(off, off2);
    cc_abort(f.cc);
    cr_assert_eq(cc_reserve(f.cc, 1 << 20, &off), -ENOSPC);
    cr_assert_eq(cc_stats(f.cc)->blocks_made, 0);
    cc_free(f.cc);
}

Test(codecache, every_key_field_counts)
{
    struct fixture f = setup(1 << 20);
    struct cc_key key = {.gpa = 0x1000, .gpa2 = CC_NO_PAGE, .eip = 2, .cs_base = 3, .cs_limit = 4, .mode = 5};
    u32 words[6];

    cr_assert(make(&f, key, 8, 1, 1) != NULL);
    for (u32 i = 0; i < 6; i++) {
        struct cc_key other;

        memcpy(words, &key, sizeof(words));
        words[i] ^= 1u << (5 * i);
        memcpy(&other, words, sizeof(other));
        cr_assert_null(cc_lookup(f.cc, &other));
    }
    cr_assert_not_null(cc_lookup(f.cc, &key));
    cc_free(f.cc);
}

Test(codecache, metadata_is_aligned_and_may_be_large)
{
    struct fixture f = setup(1 << 20);
    u8 *big = cc_meta(f.cc, 1 << 20), *a = cc_meta(f.cc, 3), *b = cc_meta(f.cc, 3);

    cr_assert(big && a && b);
    cr_assert_eq((u64)a % 16, 0);
    cr_assert_eq((u64)b % 16, 0);
    cr_assert_geq(b - a, 3);
    memset(big, 1, 1 << 20);
    memset(a, 2, 3);
    cr_assert_eq(big[(1 << 20) - 1], 1);
    cc_free(f.cc);
}

/* Random makes, links, softens, invalidations and flushes against a model of where each block's jump goes. Blocks of odd
 * number have a guard and an inline exit. Dead blocks come out softly at their first exit. */
Test(codecache, random_against_model)
{
    enum { N = 64, STEPS = 50000 };
    struct fixture f = setup(1 << 20);
    struct cc_block *blocks[N] = {0}, *dead = NULL;
    u32 value[N] = {0}, dead_tag = 0; /* what guards take away; nothing when direct */
    int to[N];                        /* -1 hard, -2 soft, else index */
    bool direct[N] = {0};             /* for guarded links */

    srand(7);
    for (int step = 0; step < STEPS; step++) {
        int i = rand() % N, j = rand() % N;

        switch (rand() % 9) {
        case 0:
        case 1:
        case 2:
            if (blocks[i])
                break;
            blocks[i] = i % 2 ? make_guarded(&f, key_at(0x1000 + 64 * (u32)i, CC_NO_PAGE), 64, 1u << (i % 16))
                              : make(&f, key_at(0x1000 + 64 * (u32)i, CC_NO_PAGE), 64, 1u << (i % 16), 1);
            to[i] = -1;
            cr_assert(blocks[i] != NULL);
            break;
        case 3:
        case 4:
            if (blocks[i] && blocks[j]) {
                value[i] = i % 2 && rand() % 2 ? 0x10000u << (rand() % 16) : 0;
                if (value[i])
                    cc_link_guarded(f.cc, &blocks[i]->exits[0], blocks[j], value[i]);
                else
                    cc_link(f.cc, &blocks[i]->exits[0], blocks[j], CC_NEAR);
                to[i] = j;
                direct[i] = false;
            }
            break;
        case 8: {
            struct asked a = {.say_no_to = 0x1000 + 64 * (u32)i};

            cc_demote(f.cc);
            if (rand() % 2)
                cc_promote(f.cc, holds, &a);
            for (int k = 0; k < N; k++)
                direct[k] = a.n && to[k] != i; /* "a.n": somebody was asked, so everybody */
            break;
        }
        case 5:
            if (blocks[i]) {
                cc_soften(f.cc, &blocks[i]->exits[0]);
                to[i] = -2;
            }
            break;
        default: {
            u32 killed = cc_invalidate(f.cc, 0x1000 + 64 * (u32)i + 63, 1);

            cr_assert_eq(killed, blocks[i] != NULL);
            if (killed) {
                dead = blocks[i];
                dead_tag = 1u << (i % 16);
            }
            blocks[i] = NULL;
            for (int k = 0; k < N; k++)
                if (blocks[k] && to[k] == i)
                    to[k] = -1;
        }
        }
        if (step % 4096 == 4095) {
            cc_flush(f.cc);
            memset(blocks, 0, sizeof(blocks));
            dead = NULL;
        }
        if (dead)
            ASSERT_RUN(&f, dead, WENT_SOFT, dead_tag);
        if (!blocks[j])
            continue;
        /* Follow the model from j; loops are left alone. */
        u32 sum = 0;
        int at = j, hops = 0;

        for (; at >= 0 && hops < N; hops++) {
            sum += (1u << (at % 16)) - (to[at] >= 0 && !direct[at] ? value[at] : 0);
            at = to[at];
        }
        if (at < 0)
            ASSERT_RUN(&f, blocks[j], (u32)(at == -1 ? WENT_HARD : WENT_SOFT), sum);
    }
    cr_assert_gt(cc_stats(f.cc)->links, 100);
    cr_assert_gt(cc_stats(f.cc)->flushes, 0);
    cc_free(f.cc);
}
