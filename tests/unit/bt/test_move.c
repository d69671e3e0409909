/*
 * test_move.c - a block moved to another EIP is the block that a translation there would give, byte for byte.
 *
 * Random 32-bit code is translated, moved, and compared with what is translated at the new address; links between moved blocks are
 * right, parked or undone. The verifier looks at every block after each move.
 * Breaks when: emitted code depends on the EIP in a way that the list of places does not tell, or a link survives that
 * leads to another address than its exit names.
 */
#include "bt/verify.h"
#include "rig.h"

#define MODE (MODE_CS32 | MODE_SS32 | MODE_PE | MODE_CPL3 | 3u << MODE_CPL_SHIFT | MODE_SSE)
#define GPA 0x123000u

static u8 page[2 * PAGE_BYTES];

/* Every eighth place of a page holds a thunk, in whatever address space. */
static bool peek_code(void *opaque, u32 lin, void *buf, unsigned n)
{
    static const u8 thunk[] = {0x8b, 0x1c, 0x24, 0xc3};
    (void)opaque;
    if (lin & 0x70 || n > sizeof(thunk))
        return false;
    memcpy(buf, thunk, n);
    return true;
}

static void setup(void)
{
    rig_new(&(struct bt_hooks){.peek_code = peek_code});
}

TestSuite(move, .init = setup, .fini = rig_free);

/* Translates page[off..] as if it stood at eip; NULL: refused as too large. */
static struct cc_block *translate(u32 eip, u32 mode, bool selfcheck)
{
    u32 off = eip & PAGE_MASK;
    struct bt_code code = {
        .bytes = page + off,
        .avail = PAGE_BYTES - off,
        .page_left = PAGE_BYTES - off,
        .selfcheck = selfcheck,
        .key = {.gpa = GPA | off, .gpa2 = CC_NO_PAGE, .eip = eip, .cs_limit = 0xffffffffu, .mode = mode}};
    struct cc_block *b = NULL;
    if (off > PAGE_BYTES - DEC_MAX_LEN) {
        code.key.gpa2 = GPA + 0x5000;
        code.avail += DEC_MAX_LEN;
        code.one = true;
    }
    int rc = bt_translate(bt, &code, &b);
    cr_assert(rc == 0 || rc == -EOVERFLOW, "rc %d", rc);
    return b;
}

/* What is compared of a block: its code and stubs, less what names the translation itself (r10: exit ids, instruction records), its
 * exits' targets and its side table. */
struct image {
    u8 code[BT_BLOCK_BYTES + BT_COLD_BYTES];
    u32 code_len, cold_len, n_exits, target[BT_MAX_EXITS], side_bytes;
    u8 side[BT_MAX_RECS * sizeof(struct side_rec)];
};

static void blank_names(u8 *code, u32 n)
{
    struct dec_host_insn h;
    for (u32 at = 0; at < n; at += h.len) {
        cr_assert_eq(dec_host_decode(&h, code + at, n - at), 0);
        if (h.kind == DEC_HOST_PLAIN && (h.opcode & 0xf8) == 0xb8 && h.gpr_written == BIT(H_R10) && h.has_imm)
            memset(code + at + 2, 0, h.len - 2);
    }
}

static void take_image(struct image *im, const struct cc_block *b)
{
    memset(im, 0, sizeof(*im));
    im->code_len = b->code_len;
    im->cold_len = b->cold_len;
    memcpy(im->code, cc_rw(cc) + b->code_off, b->code_len);
    memcpy(im->code + b->code_len, cc_rw(cc) + b->cold_off, b->cold_len);
    blank_names(im->code, b->code_len);
    blank_names(im->code + b->code_len, b->cold_len);
    im->n_exits = b->n_exits;
    for (u32 i = 0; i < b->n_exits; i++)
        im->target[i] = b->exits[i].target;
    im->side_bytes = b->side_bytes;
    memcpy(im->side, b->side, b->side_bytes);
}

/* Random bytes with a leaning to calls, jumps and what goes by way of C. */
static void random_page(void)
{
    static const u8 often[] = {0xe8, 0xe8, 0xe9, 0x74, 0x0f, 0xff, 0xc3, 0xcd, 0xe2,
                               0x66, 0xf3, 0xa4, 0x8b, 0x8e, 0x9d, 0xf4, 0xdd};
    for (u32 i = 0; i < sizeof(page); i++)
        page[i] = rnd() % 6 ? (u8)rnd() : often[rnd() % ARRAY_SIZE(often)];
}

/* An address whose code map entry, and whose neighbours', has a displacement of 32 bits, now and then one that has not. */
static u32 random_lin(u32 off)
{
    return ((rnd() % 16 ? rnd() : rnd() % 40 << PAGE_SHIFT) & ~PAGE_MASK) | off;
}

Test(move, is_what_a_translation_there_gives, .timeout = 120)
{
    static struct image moved, fresh;
    u32 compared = 0, kept = 0;
    for (u32 i = 0; i < 20000; i++) {
        u32 mode = MODE, off = rnd() % PAGE_BYTES;
        if (i % 64 == 0)
            random_page();
        for (unsigned seg = 0; seg < SEG_COUNT; seg++)
            mode |= seg == SEG_CS || rnd() % 4 ? 0 : rnd() % 4 << (MODE_SEG_SHIFT + 2 * seg);
        bt->opt.slow_mem = i % 16 == 0;
        bt->opt.max_insns = i % 8 == 0 ? 1 : 0;
        cc_flush(cc);
        u32 from = random_lin(off), to = random_lin(off);
        struct cc_block *b = translate(from, mode, i % 5 == 0);
        if (!b || from == to)
            continue;
        struct cc_key key = b->key;
        key.eip = to;
        struct cc_block *m = bt_movable(bt, &key, NULL);
        kept += m == NULL;
        if (!m)
            continue;
        cr_assert_eq(m, b);
        bt_move(bt, m, to); /* the verifier looks */
        cr_assert_eq(cc_lookup(cc, &key), m);
        take_image(&moved, m);
        cc_flush(cc);
        b = translate(to, mode, i % 5 == 0);
        if (!(b->flags & BLOCK_MOVABLE)) /* an entry of the first pages of the code map: another form */
            continue;
        take_image(&fresh, b);
        cr_assert_eq(memcmp(&moved, &fresh, sizeof(fresh)), 0,
                     "code at offset %x of page %u, from %x to %x, mode %x", off, i / 64, from, to, mode);
        compared++;
    }
    cr_assert_gt(compared, 15000, "%u compared, %u kept", compared, kept);
}

/* Blocks of code that takes more than the offsets in a page from its address stay where they are. */
Test(move, others_are_kept)
{
    static const u8 call16[] = {0x66, 0xe8, 1, 0, 0x90, 0xf4}, plain[] = {0xe8, 1, 0, 0, 0, 0x90, 0xf4};
    static const struct {
        u32 mode, cs_base, cs_limit;
        bool selfcheck, narrow, may;
    } cases[] = {
        {MODE, 0, 0xffffffffu, false, false, true},
        {MODE, 0, 0xffffffffu, true, false, true},
        {MODE, 0, 0xffffffffu, false, true, false},
        {MODE & ~MODE_CPL3, 0, 0xffffffffu, false, false, false},
        {MODE & ~MODE_CS32, 0, 0xffffffffu, false, false, false},
        {MODE | MODE_VM, 0, 0xffffffffu, false, false, false},
        {MODE, 0, 0x7fffffffu, false, false, false},
        {MODE | SEGC_BASED << (MODE_SEG_SHIFT + 2 * SEG_CS), 0x1000, 0xffffffffu, false, false, false},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        struct cc_block *b = NULL;
        struct bt_code code = {.bytes = cases[i].narrow ? call16 : plain,
                               .avail = sizeof(call16),
                               .page_left = sizeof(call16),
                               .selfcheck = cases[i].selfcheck,
                               .key = {.gpa = GPA,
                                       .gpa2 = CC_NO_PAGE,
                                       .eip = 0x400000,
                                       .cs_base = cases[i].cs_base,
                                       .cs_limit = cases[i].cs_limit,
                                       .mode = cases[i].mode}};
        cc_flush(cc);
        cr_assert_eq(bt_translate(bt, &code, &b), 0);
        code.key.eip += 0x10000;
        cr_assert_eq(bt_movable(bt, &code.key, NULL) != NULL, cases[i].may, "case %u", i);
    }
}

/* ---- links ---- */

/* jmp to +n at off of the page of gpa, translated at eip. */
static struct cc_block *jump(u32 gpa, u32 eip, i32 n)
{
    u8 code[5] = {0xe9};
    u32 rel = (u32)(n - 5);
    struct bt_code c = {
        .bytes = code,
        .avail = sizeof(code),
        .page_left = sizeof(code),
        .key = {.gpa = gpa, .gpa2 = CC_NO_PAGE, .eip = eip, .cs_limit = 0xffffffffu, .mode = MODE}};
    struct cc_block *b = NULL;
    memcpy(code + 1, &rel, 4);
    cr_assert_eq(bt_translate(bt, &c, &b), 0);
    return b;
}

static u32 leads_to(const struct cc_exit *x)
{
    u32 rel;
    memcpy(&rel, cc_rw(cc) + x->patch_off, 4);
    return x->patch_off + 4 + rel;
}

Test(move, links_go_with_their_blocks)
{
    struct cc_block *a = jump(0x5000, 0x40005000, 0x10), *b = jump(0x5010, 0x40005010, 0x1000);
    struct cc_block *far = jump(0x9010, 0x40006010, -0x1010), *other = jump(0x5020, 0x70005020, -0x10);
    cc_link(cc, &a->exits[0], b, CC_NEAR);
    cc_link_guarded(cc, &b->exits[0], far, 0x9001);
    cc_link_guarded(cc, &far->exits[0], a, 0x5001);

    bt_move(bt, b, 0x80005010); /* the first page: a and b, not other, which stands elsewhere */
    cr_assert_eq(a->key.eip, 0x80005000);
    cr_assert_eq(other->key.eip, 0x70005020);
    cr_assert_eq(a->exits[0].target, 0x80005010);
    cr_assert_eq(leads_to(&a->exits[0]), b->code_off);
    cr_assert_eq(b->exits[0].target, 0x80006010);
    cr_assert(b->exits[0].parked);
    cr_assert_eq(leads_to(&b->exits[0]), b->exits[0].hard_off);
    cr_assert(far->exits[0].parked);
    cr_assert_eq(leads_to(&far->exits[0]), far->exits[0].hard_off);

    bt_move(bt, far, 0x80006010); /* the second follows */
    cr_assert(!b->exits[0].parked);
    cr_assert_eq(leads_to(&b->exits[0]), b->exits[0].guard_off);
    cr_assert(!far->exits[0].parked);
    cr_assert_eq(leads_to(&far->exits[0]), far->exits[0].guard_off);

    bt_move(bt, far,
            0x90006010); /* alone: linked anew while parked, and promoted links come back to their guards */
    cr_assert(b->exits[0].parked);
    struct cc_block *second = jump(0x9010, 0x80006010, 0x30);
    cc_link_guarded(cc, &b->exits[0], second, 0x9001);
    cr_assert(!b->exits[0].parked);
    cr_assert_eq(leads_to(&b->exits[0]), b->exits[0].guard_off);
    cr_assert_null(far->in);
    cr_assert_eq(second->in, &b->exits[0]);

    bt_move(bt, far, 0x80006010); /* there is one already */
    cr_assert_eq(far->key.eip, 0x90006010);
    cr_assert_eq(second->key.eip, 0x80006010);

    bt_move(bt, second, 0xa0006010);
    cr_assert(b->exits[0].parked);
    cr_assert_eq(cc_invalidate(cc, 0x9010, 1), 2); /* parked onto a block that dies */
    cr_assert_eq(b->exits[0].state, CC_HARD);
    cr_assert(!b->exits[0].parked);
    cr_assert_null(cc_exit_by_id(cc, 0));
}

static bool holds(void *opaque, const struct cc_exit *x)
{
    (void)opaque;
    cr_assert(!x->parked);
    return true;
}

Test(move, promoted_links_lose_that)
{
    struct cc_block *a = jump(0x5000, 0x40005000, 0x1010), *far = jump(0x9010, 0x40006010, 0x20);
    cc_link_guarded(cc, &a->exits[0], far, 0x9001);
    cr_assert_eq(cc_promote(cc, holds, NULL), 1);
    cr_assert_eq(leads_to(&a->exits[0]), far->code_off);
    bt_move(bt, far, 0x50006010);
    cr_assert_eq(leads_to(&a->exits[0]), a->exits[0].hard_off);
    cr_assert_eq(cc_promote(cc, holds, NULL), 0);
    cc_demote(cc);
    cr_assert_eq(leads_to(&a->exits[0]), a->exits[0].hard_off);
    bt_move(bt, a, 0x50005000);
    cr_assert_eq(leads_to(&a->exits[0]), a->exits[0].guard_off);
    cr_assert_eq(cc_promote(cc, holds, NULL), 1);
    bt_move(bt, a, 0x40005000);
    bt_move(bt, far, 0x40006010);
    cr_assert_eq(leads_to(&a->exits[0]), a->exits[0].guard_off);
}

/* A link within the page to a block that cannot move along is undone. */
Test(move, near_links_to_what_stays_are_undone)
{
    struct cc_block *a = jump(0x5000, 0x40005000, 0x10), *b = jump(0x5010, 0x40005010, -0x10);
    b->flags = 0;
    cc_link(cc, &a->exits[0], b, CC_NEAR);
    cc_link(cc, &b->exits[0], a, CC_NEAR);
    bt_move(bt, a, 0x50005000);
    cr_assert_eq(b->key.eip, 0x40005010);
    cr_assert_eq(a->exits[0].state, CC_HARD);
    cr_assert_eq(b->exits[0].state, CC_HARD);
    cr_assert_null(a->in);
    cr_assert_null(b->in);
}
