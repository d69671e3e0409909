/*
 * test_verify.c - the verifier of emitted code: hand-made blocks, each with one thing wrong, are refused for that reason; the
 * translator's blocks of
 * random guest code in all modes pass.
 * Breaks when: a rule is dropped or loosened, or emitted code takes a new form that nobody has listed.
 */
#include <stdio.h>

#include "bt/verify.h"
#include "rig.h"

static void setup(void)
{
    rig_new(&(struct bt_hooks){0});
}

TestSuite(verify, .init = setup, .fini = rig_free);

/* ---- hand-made blocks ---- */

/* Text of a block: hex bytes, and words that stand for something:
 *   |       the stubs in the cold part begin
 *   @link @lookup @miss @step @callout @enter   rel32 to a gate
 *   @hot @coldN                                 rel32 to the block's first instruction; to byte N of its cold part
 *   @out    rel32 to an address in the cache that is none of these
 *   @next   rel32 of an exit; its stubs, a jump to the lookup gate, come at the end of the cold part
 *   @inline the last four bytes of a NOP that is an exit behind a call
 *   @guard  exit 0 has a guard stub from here on; @imm and @target are the places in it that linking patches
 *   eip window map...   displacement of a CPU field, 4 bytes */
static bool gate_word(const char *w, enum bt_gate *g)
{
    static const struct {
        const char *name;
        enum bt_gate gate;
    } words[] = {{"@link", GATE_LINK}, {"@lookup", GATE_LOOKUP},   {"@miss", GATE_RET},
                 {"@step", GATE_STEP}, {"@callout", GATE_CALLOUT}, {"@enter", GATE_ENTER}};
    for (unsigned i = 0; i < ARRAY_SIZE(words); i++)
        if (!strcmp(w, words[i].name)) {
            *g = words[i].gate;
            return true;
        }
    return false;
}

static bool field_word(const char *w, i32 *disp)
{
    if (!strcmp(w, "eip"))
        *disp = CPU_DISP(eip);
    else if (!strcmp(w, "window"))
        *disp = CPU_DISP(window);
    else if (!strcmp(w, "map"))
        *disp = CPU_DISP(code_map);
    else if (!strcmp(w, "df"))
        *disp = CPU_DISP(df);
    else if (!strcmp(w, "c_sp"))
        *disp = CPU_DISP(c_sp);
    else if (!strcmp(w, "emulate"))
        *disp = CPU_DISP(emulate);
    else if (!strcmp(w, "beyond"))
        *disp = (i32)sizeof(struct cpu) - CPU_BIAS;
    else if (!strcmp(w, "before"))
        *disp = -CPU_BIAS - 4;
    else
        return false;
    return true;
}

struct made {
    struct emit hot, cold, *e; /* e: the one that is written */
    u32 off, cold_off;
    struct cc_exit exits[3];
    u32 n_exits;
};

static u32 here(const struct made *m)
{
    return (m->e == &m->hot ? m->off : m->cold_off) + em_off(m->e);
}

static void put_rel(struct made *m, u64 to)
{
    em32(m->e, (u32)(to - (m->e->exec + em_off(m->e) + 4)));
}

static void put_exit(struct made *m, u8 state)
{
    cr_assert_lt(m->n_exits, ARRAY_SIZE(m->exits));
    m->exits[m->n_exits++] = (struct cc_exit){.patch_off = here(m), .state = state};
    em32(m->e, state == CC_INLINE ? 0x441f : 0);
}

static void put(struct made *m, const char *w)
{
    enum bt_gate gate = GATE_COUNT;
    i32 disp = 0;
    if (gate_word(w, &gate)) {
        put_rel(m, bt->gate[gate]);
    } else if (!strcmp(w, "|")) {
        m->e = &m->cold;
    } else if (!strcmp(w, "@hot")) {
        put_rel(m, m->hot.exec);
    } else if (!strncmp(w, "@cold", 5)) {
        put_rel(m, m->cold.exec + strtoul(w + 5, NULL, 10));
    } else if (!strcmp(w, "@out")) {
        em32(m->e, 0x100);
    } else if (!strcmp(w, "@next")) {
        put_exit(m, CC_HARD);
    } else if (!strcmp(w, "@inline")) {
        put_exit(m, CC_INLINE);
    } else if (!strcmp(w, "@guard")) {
        m->exits[0].guard_off = here(m);
    } else if (!strcmp(w, "@imm")) {
        m->exits[0].guard_imm = here(m);
        em32(m->e, 0);
    } else if (!strcmp(w, "@target")) {
        m->exits[0].guard_rel = here(m);
        put_rel(m, bt->gate[GATE_LOOKUP]);
    } else if (field_word(w, &disp)) {
        em32(m->e, (u32)disp);
    } else {
        em8(m->e, (u8)strtoul(w, NULL, 16));
    }
}

static void start_part(struct emit *e, u32 off)
{
    e->p = e->base = cc_rw(cc) + off;
    e->end = e->base + 4096;
    e->exec = (u64)(cc_rx(cc) + off);
}

static struct cc_block *make(const char *text)
{
    char copy[512], *save = NULL;
    struct made m = {.e = &m.hot};
    static u32 gpa;
    struct cc_key key = {.gpa = gpa += 16, .gpa2 = CC_NO_PAGE};
    cr_assert_eq(cc_reserve(cc, 4096, &m.off), 0);
    cr_assert_eq(cc_reserve_cold(cc, 4096, &m.cold_off), 0);
    start_part(&m.hot, m.off);
    start_part(&m.cold, m.cold_off);
    snprintf(copy, sizeof(copy), "%s", text);
    for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save))
        put(&m, w);
    m.e = &m.cold;
    for (u32 i = 0; i < m.n_exits; i++) {
        m.exits[i].soft_off = here(&m);
        m.exits[i].hard_off = m.exits[i].state == CC_HARD ? here(&m) : 0;
        em_jmp_to(&m.cold, bt->gate[GATE_LOOKUP]);
    }
    cc_cold_done(cc, em_off(&m.cold));
    struct side_rec rec = {0};
    return cc_commit(cc, &key, em_off(&m.hot), 1, 1, m.exits, m.n_exits, &rec, sizeof(rec));
}

static void expect(const char *text, const char *why)
{
    struct bt_violation v = {0};
    bool ok = verify_block(bt, make(text), &v);
    if (!why)
        cr_assert(ok, "%s: refused: %s at %x", text, v.why, v.host);
    else
        cr_assert(!ok && !strcmp(v.why, why), "%s: wanted \"%s\", got \"%s\"", text, why,
                  ok ? "accepted" : v.why);
}

#define JMP " e9 @lookup"

Test(verify, accepts_what_the_translator_writes)
{
    expect("01 d8" JMP, NULL);                      /* add eax, ebx */
    expect("65 67 8b 07" JMP, NULL);                /* mov eax, gs:[edi] */
    expect("65 67 89 04 25 00 00 00 80" JMP, NULL); /* mov gs:[80000000h], eax */
    expect("45 8b 8f df" JMP, NULL);                /* mov r9d, [r15 + df] */
    expect("41 c7 87 df 01 00 00 00" JMP, NULL);    /* mov dword [r15 + df], 1 */
    expect("e9 @next", NULL);
    expect("0f 84 @next" JMP, NULL);
    expect("41 c7 87 eip 0 1 0 0 49 ba 0 0 1 0 0 0 0 0 e8 @callout" JMP, NULL);
    expect("68 0 0 ff ff e8 @next 48 8d 64 24 8" JMP, NULL); /* push record; call; lea rsp, [rsp + 8] */
    expect("68 0 0 ff ff 45 89 f1 e8 @lookup 48 8d 64 24 8" JMP, NULL);
    expect("49 89 ca 8b 4c 24 8 42 8d 0c 9 e3 8 4c 89 d1 e9 @miss 4c 89 d1 c3", NULL);
    expect("9c 41 5d" JMP, NULL);                                                /* pushfq; pop r13 */
    expect("4d 8b 8f window 4a 8d 34 e 4a 8d 3c f f3 a5 89 f6 89 ff" JMP, NULL); /* rep movsd */
    expect("fd 4d 8b 8f window 4a 8d 34 e 4a 8d 3c f f3 a5 89 f6 89 ff fc" JMP, NULL);
    expect("eb 2 01 d8" JMP, NULL);
}

/* The guard stub as translate.c emits it; %s: the read of the code map. */
#define GUARD_READ "41 8b 8a 0 10 0 0 "
#define GUARD_FETCH "@guard 4d 8b 97 map 49 89 cb "
#define GUARD_REST "8d 89 @imm e3 8 4c 89 d9 e9 @lookup 4c 89 d9 e9 @target"
#define GUARD GUARD_FETCH GUARD_READ GUARD_REST

Test(verify, accepts_cold_parts_guards_and_inline_exits)
{
    expect("e3 5" JMP JMP " | 44 8d 40 8 e9 @step", NULL);
    expect("e9 @cold0 | e9 @hot", NULL);
    expect("0f 84 @cold4" JMP " | 44 8d 40 8 e9 @step", NULL);
    expect("e9 @next | " GUARD, NULL);
    expect("0f 84 @next e9 @next | " GUARD, NULL);
    expect("68 0 0 ff ff e8 @next 48 8d 64 24 8 0f @inline" JMP " | " GUARD, NULL);
}

Test(verify, refuses_instructions)
{
    static const char *const bad[] = {
        "0f 05",
        "0f 34",
        "cd 80",
        "cc",
        "f4",
        "0f 0b",
        "ec",
        "e6 10",
        "fa",
        "fb",
        "9d",
        "cf",
        "f3 48 0f ae d8",
        "f3 49 0f ae d1",
        "0f 01 f8",
        "8e d8",
        "8c d8",
        "0f a9",
        "41 ff e1",
        "41 ff d1",
        "65 67 ff 27",
        "41 ff a7 0 0 0 0",
        "c2 8 0",
        "cb",
        "d7",
        "c9",
        "c8 0 0 0",
        "0f a2",
        "0f 01 d0",
        "0f c7 f0",
        "0f 20 c0",
        "0f 23 c0",
        "65 67 d9 37",
        "65 67 0f ae 7",
        "65 67 0f ae f",
        "65 67 dd 37",
        "65 67 d9 27",
        "0f ae 37",
        "c5 f8 77",
        "c5 fc 28 c1",
        "65 67 ff 1f",
        "65 67 ff 2f",
        "0f 33",
        "66 e9 0 0",
        "66 0f 84 0 0",
    };
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        char text[64];
        snprintf(text, sizeof(text), "%s 90 90" JMP, bad[i]);
        expect(text, "instruction that blocks may not hold");
    }
    expect("06" JMP, "bytes that are no instruction");
    expect("8b", "bytes that are no instruction");
    expect("01 d8 e8 01", "bytes that are no instruction");
    expect("01 d8", "block that runs off its end");
    expect("01 d8 |" JMP, "block that runs off its end"); /* into nothing: the stubs are elsewhere */
    expect("e9 @cold0 | 01 d8", "block that runs off its end");
    expect("e9 | @lookup 90 90", "bytes that are no instruction"); /* an instruction of both parts */
}

Test(verify, refuses_stubs_as_it_refuses_blocks)
{
    expect("e9 @cold0 | cd 80" JMP, "instruction that blocks may not hold");
    expect("e9 @cold0 | 8b 7" JMP, "memory outside window, CPU struct and return stack");
    expect("e9 @cold0 | 68 0 0 1 0 c3", "return stack left unbalanced");
    expect("e9 @cold1 | 44 8d 40 8 e9 @step", "jump into the middle of an instruction");
    expect("e9 @cold9 | 44 8d 40 8 e9 @step", "jump out of the block");
    expect("e9 @cold0 | eb 80", "jump out of the block");
    expect("68 0 0 1 0 e8 @cold0 48 8d 64 24 8" JMP " | c3", "jump out of the block");
    expect("68 0 0 1 0 e9 @lookup | c3", "return stack left unbalanced");
    expect("4d 8b 8f window 4a 8d 3c f e9 @cold0 | f3 aa 89 ff" JMP, "window pointer left in rsi or rdi");
}

Test(verify, refuses_other_looks_into_the_code_map)
{
    static const char *const stray = "memory outside window, CPU struct and return stack";
    static const struct {
        const char *read, *why;
    } bad[] = {
        {"41 8b 8a 0 0 40 0 ", stray},    /* behind its end */
        {"41 8b 8a fd ff 3f 0 ", stray},  /* the last entry, and a byte more */
        {"41 8b 8a fc ff ff ff ", stray}, /* before it */
        {"42 8b c 12 ", stray},           /* [rdx + r10] */
        {"41 8b 4c 92 4 ", stray},        /* [r10 + rdx * 4 + 4] */
        {"49 8b 8a 0 10 0 0 ", stray},    /* 64 bits */
        {"41 89 8a 0 10 0 0 ", stray},    /* a write */
        {"41 3 8a 0 10 0 0 ", stray},     /* no move */
        {"41 8b 8b 0 10 0 0 ", stray},    /* [r11] */
        {"64 41 8b 8a 0 10 0 0 ", stray}, /* fs: */
        {"67 41 8b 8a 0 10 0 0 ", stray}, {"4d 89 da " GUARD_READ, stray}, /* r10 replaced */
        {"90 " GUARD_READ, stray},                                         /* not right before */
        {GUARD_READ GUARD_READ, stray},                                    /* once */
        {"eb 0 " GUARD_READ, stray}, /* may be reached without the fetch */
    };
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        char text[256];
        snprintf(text, sizeof(text), "e9 @next | " GUARD_FETCH "%s" GUARD_REST, bad[i].read);
        expect(text, bad[i].why);
    }
    expect("e9 @next | " GUARD_FETCH "41 8b 8a fc ff 3f 0 " GUARD_REST, NULL);
    expect("e9 @next | @guard 4d 8b 97 window 49 89 cb " GUARD_READ GUARD_REST, stray);
    expect("e9 @next | @guard 4d 8b 9f map 49 89 cb " GUARD_READ GUARD_REST, stray); /* into r11 */
    expect("49 8b 87 map" JMP, "host pointer loaded into a guest register");
}

Test(verify, refuses_guards_that_patch_something_else)
{
    expect("e9 @next | " GUARD_FETCH GUARD_READ "81 c1 @imm e3 8 4c 89 d9 e9 @lookup 4c 89 d9 e9 @target",
           "guard stub that patches no comparison");
    expect("0f 84 @next 65 67 8b 4 25 @imm" JMP " | " GUARD_FETCH GUARD_READ "8d 89 0 0 0 0" JMP
           " 4c 89 d9 e9 @target",
           "guard stub that patches no comparison"); /* a window access somewhere */
    expect("e9 @next | " GUARD_FETCH GUARD_READ "48 8d 89 @imm" JMP " e9 @target",
           "guard stub that patches no comparison");
    expect("e9 @next | " GUARD_FETCH GUARD_READ "8d 89 @imm 0f 84 @target" JMP,
           "guard stub that patches no jump");
    expect("e9 @next | " GUARD_FETCH GUARD_READ "8d 89 @imm b8 @target" JMP,
           "guard stub that patches no jump");
    expect("e9 @next | " GUARD_FETCH GUARD_READ "8d 89 @imm" JMP, "guard stub without its places");
    expect("e9 @next | " GUARD_FETCH GUARD_READ "e9 @target", "guard stub without its places");
}

static void expect_now(struct cc_block *b, const char *why)
{
    struct bt_violation v = {0};
    bool ok = verify_block(bt, b, &v);
    cr_assert(why ? !ok && !strcmp(v.why, why) : ok, "wanted \"%s\", got \"%s\"", why ? why : "accepted",
              ok ? "accepted" : v.why);
}

/* Changes a place, expects the refusal, puts it back. */
static void expect_spoilt(struct cc_block *b, u32 off, u8 flip, const char *why)
{
    cc_rw(cc)[off] ^= flip;
    expect_now(b, why);
    cc_rw(cc)[off] ^= flip;
}

Test(verify, follows_guarded_links)
{
    struct cc_block *b = make("0f 84 @next" JMP " | " GUARD), *to = make("01 d8" JMP),
                    *other = make("01 d8" JMP);
    struct cc_exit *x = &b->exits[0];
    u32 rel = to->code_off - (x->patch_off + 4), at_guard;
    cc_link_guarded(cc, x, to, 0x1234001);
    expect_now(b, NULL);
    expect_spoilt(b, x->guard_rel, 1, "exit to nowhere");
    expect_spoilt(b, x->patch_off, 1, "exit to nowhere");
    memcpy(&at_guard, cc_rw(cc) + x->patch_off, 4);
    memcpy(cc_rw(cc) + x->patch_off, &rel, 4); /* promoted */
    expect_now(b, NULL);
    expect_spoilt(b, x->patch_off, 1, "exit to nowhere");
    memcpy(cc_rw(cc) + x->patch_off, &at_guard, 4);
    x->to = other;
    expect_now(b, "exit to nowhere");
    x->to = to;
    cc_invalidate(cc, to->key.gpa, 1); /* the guard's jump stays, unused */
    cr_assert_eq(x->state, CC_HARD);
    expect_now(b, NULL);
    expect_spoilt(b, x->guard_rel, 1, "exit to nowhere");
    memcpy(cc_rw(cc) + x->patch_off, &at_guard, 4);
    expect_now(b, "exit to nowhere");
    cc_link(cc, x, other, CC_GLOBAL);
    expect_now(b, NULL);
    cc_link_guarded(cc, x, other, 0x1234001);
    expect_now(b, NULL);
    x->guard_off++;
    expect_now(b, "exit stub that is no instruction of the block");
    x->guard_off = 0x100;
    expect_now(b, "exit stub outside the block");
}

Test(verify, follows_inline_exits)
{
    struct cc_block *b = make("68 0 0 ff ff e8 @next 48 8d 64 24 8 0f @inline e9 @next");
    u32 nop = b->exits[1].patch_off - 1;
    cr_assert_eq(b->exits[1].state, CC_INLINE);
    expect_now(b, NULL);
    expect_spoilt(b, nop + 3, 0x24,
                  "exit behind a call that is no NOP"); /* nop [rax] with another SIB byte */
    expect_spoilt(b, nop, 0x0f ^ 0x3d, "exit behind a call that is no NOP");
    expect_spoilt(b, nop, 0x0f ^ 0xe9, "exit to nowhere"); /* alive, and a jump */
    cc_invalidate(cc, b->key.gpa, 1);
    expect_now(b, NULL);
    expect_spoilt(b, nop + 1, 1, "exit to nowhere");
    b->dead = 0;
    expect_now(b, "exit stub that is no instruction of the block");
    b->dead = 1;
    memcpy(cc_rw(cc) + nop, (const u8[]){0x0f, 0x1f, 0x44, 0, 0}, 5);
    expect_now(b, "exit that patches no jump");
    expect("68 0 0 ff ff 0f @inline e8 @lookup 48 8d 64 24 8" JMP, "jump out of a sequence");
    expect("68 0 0 ff ff e8 @lookup 0f @inline 48 8d 64 24 8" JMP, "jump out of a sequence");
    expect("0f 1f 44 0 0" JMP, "instruction that blocks may not hold");
}

Test(verify, refuses_memory)
{
    static const char *const stray = "memory outside window, CPU struct and return stack";
    expect("8b 7" JMP, stray); /* mov eax, [rdi] */
    expect("67 8b 7" JMP, stray);
    expect("64 67 8b 7" JMP, stray);   /* fs: */
    expect("8b 5 0 0 0 0" JMP, stray); /* [rip] */
    expect("8b 4 24" JMP, stray);      /* mov eax, [rsp]: a host address */
    expect("89 44 24 8" JMP, stray);   /* mov [rsp + 8], eax */
    expect("8b 44 24 10" JMP, stray);
    expect("48 8b 44 24 8" JMP, stray);
    expect("a1 0 0 0 0 0 0 0 0" JMP, stray);
    expect("65 8b 7" JMP, "window access with a 64-bit address");
    expect("65 67 8b 4 24" JMP, "window access by a host register");
    expect("65 67 41 8b 7" JMP, "window access by a host register");         /* gs:[r15d] */
    expect("65 67 8b 5 0 0 0 0" JMP, "window access by a host register");    /* gs:[eip] */
    expect("66 0f f7 c1" JMP, "memory reached without an explicit operand"); /* maskmovdqu */
    expect("45 8b 8f beyond" JMP, "access beyond the CPU struct");
    expect("45 8b 8f before" JMP, "access beyond the CPU struct");
    expect("45 89 8f c_sp" JMP, "write to a CPU field that blocks may not change");
    expect("4d 89 8f emulate" JMP, "write to a CPU field that blocks may not change");
    expect("41 1 87 df" JMP, "write to a CPU field that blocks may not change"); /* add [df], eax */
    expect("45 8b 8c f df" JMP, "CPU struct reached in an unknown way");         /* [r15 + rcx + ..] */
    expect("67 45 8b 8f df" JMP, "CPU struct reached in an unknown way");
    expect("49 8b 87 window" JMP, "host pointer loaded into a guest register");
    expect("49 8d 47 0" JMP, "LEA of a host address");
    expect("8d 5 0 0 0 0" JMP, "LEA of a host address");
    expect("8d 4 24" JMP, "LEA of a host address");
}

Test(verify, refuses_registers)
{
    expect("4d 89 cf" JMP, "r15 written");
    expect("41 ff c7" JMP, "r15 written");
    expect("49 87 c7" JMP, "r15 written");
    expect("4c 89 cc" JMP, "rsp written");
    expect("40 b4 1" JMP, "rsp written"); /* mov spl, 1 */
    expect("48 83 ec 8" JMP, "rsp written");
    expect("48 89 e0" JMP, "host pointer copied to a register");
    expect("44 89 f8" JMP, "host pointer copied to a register");
    expect("4c 89 ee" JMP, "64-bit value in a guest register"); /* mov rsi, r13 */
    expect("49 c7 c0 0 0 0 80" JMP, "64-bit value in a guest register");
}

Test(verify, refuses_jumps)
{
    expect("e9 @out", "jump out of the block");
    expect("e9 @enter", "jump out of the block");
    expect("e9 @callout", "jump out of the block");
    expect("0f 84 @lookup" JMP, "jump out of the block");
    expect("e8 @lookup" JMP, "jump out of the block");
    expect("eb 1 b8 0 0 0 0" JMP, "jump into the middle of an instruction");
    expect("eb 80" JMP, "jump out of the block");
    expect("e3 f0" JMP, "jump out of the block");
}

Test(verify, refuses_broken_sequences)
{
    expect("68 0 0 1 0 c3", "return stack left unbalanced"); /* a RET to where the guest likes */
    expect("68 0 0 1 0" JMP, "return stack left unbalanced");
    expect("68 0 0 1 0 68 0 0 1 0 c3", "push of something else than a record");
    expect("50 e8 @next 48 8d 64 24 8" JMP, "push of something else than a record");
    expect("66 68 0 0 e8 @next 48 8d 64 24 8" JMP, "push of something else than a record");
    expect("68 0 0 1 0 e8 @next" JMP, "return stack left unbalanced"); /* record not dropped */
    expect("48 8d 64 24 8 c3", "record dropped that is not there");
    expect("48 8d 64 24 10 c3", "LEA of a host address");
    expect("e8 @next" JMP, "call without a record");
    expect("e8 @callout" JMP, "callout without its record");
    expect("49 ba 0 0 1 0 0 0 0 0 e8 @callout" JMP, "callout without its record");
    expect("41 c7 87 eip 0 1 0 0 eb 0 49 ba 0 0 1 0 0 0 0 0 e8 @callout" JMP, "callout without its record");
    expect("41 c7 87 eip 0 1 0 0 49 ba 0 0 1 0 0 0 0 0 4d 89 ca e8 @callout" JMP,
           "callout without its record");
    expect("9c" JMP, "return stack left unbalanced");
    expect("41 5d" JMP, "pop of something else than flags");
    expect("9c 58" JMP, "pop of something else than flags");
    expect("9c 9c 41 5d 41 5d" JMP, "pushfq with a record open");
    expect("eb 5 68 0 0 1 0 e8 @next 48 8d 64 24 8" JMP, "jump into a sequence");
    expect("f3 a5" JMP, "string instruction without its window pointers");
    expect("a5" JMP, "string instruction without its window pointers");
    expect("4a 8d 34 e 4a 8d 3c f f3 a5 89 f6 89 ff" JMP,
           "window pointer left in rsi or rdi"); /* r9 unknown */
    expect("4d 8b 8f window 4a 8d 34 e f3 a5 89 f6" JMP, "string instruction without its window pointers");
    expect("4d 8b 8f window 4a 8d 34 e 4a 8d 3c f a5 89 f6 89 ff" JMP,
           "string instruction without its window pointers");
    expect("4d 8b 8f window 4a 8d 34 e 4a 8d 3c f 67 f3 a5 89 f6 89 ff" JMP,
           "string instruction without its window pointers");
    expect("4d 8b 8f window 4a 8d 34 e 4a 8d 3c f 65 f3 a5 89 f6 89 ff" JMP,
           "string instruction without its window pointers");
    expect("4d 8b 8f window 4a 8d 3c f f3 aa f3 aa 89 ff" JMP,
           "string instruction without its window pointers");
    expect("4d 8b 8f window 4a 8d 3c f f3 aa" JMP, "window pointer left in rsi or rdi");
    expect("4d 8b 8f window 4a 8d 3c f 4a 8d 3c f f3 aa 89 ff" JMP, "window pointer left in rsi or rdi");
    expect("4d 8b 8f window 49 89 c1 4a 8d 3c f f3 aa 89 ff" JMP,
           "window pointer left in rsi or rdi"); /* r9 replaced */
    expect("eb 7 4d 8b 8f window 4a 8d 3c f f3 aa 89 ff" JMP,
           "window pointer left in rsi or rdi"); /* load jumped over */
    expect("4d 8b 8f window 4a 8d 3c f eb 0 f3 aa 89 ff" JMP, "window pointer left in rsi or rdi");
}

Test(verify, refuses_broken_backward_strings)
{
    static const char *const out = "direction flag out of sequence", *const left = "direction flag left set";
    expect("fc" JMP, out);
    expect("fd" JMP, left);
    expect("fd 90 fc" JMP, left);
    expect("fd fd fc" JMP, out);
    expect("fd 9c 41 5d fc" JMP, left);
    expect("fd 68 0 0 1 0 e8 @next 48 8d 64 24 8 fc" JMP, left);
    expect("fd e3 0 fc" JMP, left);
    expect("9c fd 41 5d fc" JMP, out);
    expect("e3 1 fd fc" JMP, "jump into a sequence");
    expect("fd 4d 8b 8f window 4a 8d 3c f f3 aa fc 89 ff" JMP, out); /* with the pointer open */
    expect("4d 8b 8f window 4a 8d 3c f fd f3 aa fc 89 ff" JMP, out);
    expect("fd 4d 8b 8f window 4a 8d 3c f f3 aa 89 ff" JMP, left);
    expect("fd 4d 8b 97 map fc" JMP, left);
    expect("e9 @lookup fd |" JMP, "block that runs off its end");
}

Test(verify, refuses_bad_side_tables)
{
    struct bt_violation v = {0};
    struct cc_block *b = make("9c 41 5d" JMP);
    struct side_rec rec = {.host = 1};
    b->side = &rec;
    b->side_bytes = sizeof(rec);
    cr_assert(!verify_block(bt, b, &v));
    cr_assert_str_eq(v.why, "asynchronous boundary inside a sequence");
    rec.host = 2;
    cr_assert(!verify_block(bt, b, &v));
    cr_assert_str_eq(v.why, "side record in the middle of an instruction");
    rec.host = 1;
    rec.flags = SIDE_MID;
    cr_assert(verify_block(bt, b, &v));
    rec.host = 500;
    cr_assert(!verify_block(bt, b, &v));
    cr_assert_str_eq(v.why, "side record behind the block");
}

Test(verify, refuses_exits_that_lead_astray)
{
    struct bt_violation v = {0};
    struct cc_block *b = make("0f 84 @next" JMP);
    cr_assert(verify_block(bt, b, &v));
    u8 *rel = cc_rw(cc) + b->exits[0].patch_off;
    rel[0] ^= 1;
    cr_assert(!verify_block(bt, b, &v));
    cr_assert_str_eq(v.why, "exit to nowhere");
    rel[0] ^= 1;
    b->exits[0].soft_off++;
    cr_assert(!verify_block(bt, b, &v));
    cr_assert_str_eq(v.why, "exit stub that is no instruction of the block");
    b->exits[0].soft_off--;
    b->exits[0].patch_off--;
    cr_assert(!verify_block(bt, b, &v));
    cr_assert_str_eq(v.why, "exit that patches no jump");
}

/* ---- blocks of random guest code ---- */

/* Random bytes with a leaning to prefixes and two-byte opcodes, so that every map gets its share. */
static void random_bytes(u8 *bytes, u32 n)
{
    static const u8 often[] = {0x0f, 0x66, 0xf2, 0xf3, 0x67, 0x2e, 0x65, 0xe8, 0xc3,
                               0x50, 0x58, 0x8b, 0xa4, 0xaa, 0x9c, 0xff, 0x8d};
    for (u32 i = 0; i < n; i++)
        bytes[i] = rnd() % 8 ? (u8)rnd() : often[rnd() % ARRAY_SIZE(often)];
}

static u32 random_mode(void)
{
    u32 mode = rnd() & (MODE_CS32 | MODE_SS32 | MODE_PE | MODE_VM | MODE_CPL3 | MODE_IOPL_OK | MODE_TSD |
                        MODE_TS | MODE_MP);
    if (rnd() % 8)
        mode &= ~(MODE_TS | MODE_MP);
    if (mode & MODE_TS)
        mode |= MODE_NM;
    if (rnd() % 8)
        mode |= MODE_SSE;
    for (unsigned seg = 0; seg < SEG_COUNT; seg++)
        mode |= (rnd() % 2 ? SEGC_FLAT : rnd() % 4) << (MODE_SEG_SHIFT + 2 * seg);
    return mode;
}

Test(verify, random_guest_code_passes, .timeout = 120)
{
    u32 passed = 0;
    for (u32 i = 0; i < 60000; i++) {
        u8 bytes[64];
        random_bytes(bytes, sizeof(bytes));
        bt->opt.slow_mem = i % 16 == 0;
        bt->opt.max_insns = i % 8 == 0 ? 1 : 0;
        u32 eip = rnd() % 4 ? 0x1000 * (rnd() % 16) + rnd() % 4000 : rnd();
        struct bt_code code = {.bytes = bytes,
                               .avail = sizeof(bytes),
                               .page_left = 1 + rnd() % sizeof(bytes),
                               .selfcheck = i % 4 == 0,
                               .key = {.gpa = eip,
                                       .gpa2 = CC_NO_PAGE,
                                       .eip = eip,
                                       .cs_limit = rnd() % 2 ? 0xffffffffu : 0xffff,
                                       .cs_base = rnd() % 2 ? 0 : rnd(),
                                       .mode = random_mode()}};
        struct cc_block *b = NULL;
        int rc = bt_translate(bt, &code, &b); /* panics when the verifier refuses */
        if (rc == -ENOSPC || rc == -EOVERFLOW) {
            cc_flush(cc);
            continue;
        }
        cr_assert_eq(rc, 0, "rc %d", rc);
        passed++;
    }
    cr_assert_gt(passed, 59000);
}
