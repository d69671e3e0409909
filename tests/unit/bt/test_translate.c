/*
 * test_translate.c - translated code on a window without a monitor: a flat 32-bit address space whose pages the fill hook
 * maps on demand.
 *
 * Breaks when: an instruction class is rewritten wrongly, a fault in the middle gives an inexact state, a linked exit
 * or a return record goes astray, a guard lets a wrong page pass, a killed block goes on.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bt/bt.h"

#define CODE 0x10000u
#define STACK 0x20000u
#define DATA 0x30000u
#define FLAT_MODE (MODE_CS32 | MODE_SS32 | MODE_PE | MODE_IOPL_OK | MODE_SSE)

static struct cpu *cpu;
static struct cc *cc;
static struct bt *bt;
static u8 *window, *jcache, *stack;
static u32 *code_map, seg_limit_cs = 0xffffffffu;
static u32 faulted, lookups; /* lookups: how often run() was asked for a block */
static void (*on_callout)(u32 eip);
static struct {
    u8 op;
    u32 eip;
    unsigned n;
} last_callout;

static enum bt_fill fill(void *opaque, u32 gva, bool write)
{
    (void)opaque;
    (void)write;
    faulted = gva;
    if (gva < 0x1000 || gva >= 0x100000) {
        cpu->exc_vector = EXC_PF;
        cpu->cr2 = gva;
        return BT_FILL_EXCEPTION;
    }
    mprotect(window + (gva & ~PAGE_MASK), PAGE_BYTES, PROT_READ | PROT_WRITE);
    return BT_FILL_RETRY;
}

static int mem_read(void *opaque, unsigned seg, u32 off, void *buf, unsigned size)
{
    (void)opaque;
    (void)seg;
    memcpy(buf, window + off, size);
    return 0;
}

static int mem_write(void *opaque, unsigned seg, u32 off, const void *buf, unsigned size)
{
    (void)opaque;
    (void)seg;
    memcpy(window + off, buf, size);
    return 0;
}

static int probe(void *opaque, unsigned seg, u32 off, unsigned size)
{
    (void)opaque;
    (void)seg;
    (void)off;
    (void)size;
    return 0;
}

static bool peek_code(void *opaque, u32 lin, void *buf, unsigned n)
{
    u32 entry = code_map[lin >> PAGE_SHIFT];
    (void)opaque;
    if (!entry)
        entry = code_map[lin >> PAGE_SHIFT] = (lin & ~PAGE_MASK) | 1;
    memcpy(buf, window + ((entry & ~PAGE_MASK) | (lin & PAGE_MASK)), n);
    return true;
}

static void bug(void *opaque, const char *what, u64 pc, u64 addr)
{
    (void)opaque;
    fprintf(stderr, "bug: %s pc %llx addr %llx\n", what, (unsigned long long)pc, (unsigned long long)addr);
    _Exit(70);
}

static int emulate(struct cpu *c, const struct dec_insn *insn)
{
    last_callout.op = insn->op;
    last_callout.eip = c->eip;
    last_callout.n++;
    if (on_callout)
        on_callout(c->eip);
    if (insn->op == OP_HLT) {
        c->eip += insn->len;
        c->exit_kind = BT_EXIT_HLT;
        return BT_LEAVE;
    }
    c->eip += insn->len;
    return BT_CONT;
}

static void setup(void)
{
    struct bt_hooks hooks = {.fill = fill,
                             .mem_read = mem_read,
                             .mem_write = mem_write,
                             .peek_code = peek_code,
                             .mem_probe_write = probe,
                             .bug = bug};
    u8 *m = mmap(NULL, 3ull << 32, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    window = (u8 *)(((u64)m + (1ull << 32)) & ~0xffffffffull);
    cpu = aligned_alloc(64, (sizeof(*cpu) + 63) & ~63ul);
    memset(cpu, 0, sizeof(*cpu));
    cr_assert_eq(cc_new(&cc, 4 << 20), 0);
    cr_assert_eq(bt_new(&bt, cpu, cc, &hooks, NULL), 0);
    jcache = calloc(1, BT_JCACHE_BYTES);
    u8 *rs = mmap(NULL, BT_RETSTACK_BYTES + 2 * PAGE_BYTES, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(rs, PAGE_BYTES, PROT_NONE);
    mprotect(rs + PAGE_BYTES + BT_RETSTACK_BYTES, PAGE_BYTES, PROT_NONE);
    stack = rs + PAGE_BYTES;
    code_map = calloc(1 << 20, 4);
    bt_set_window(bt, window, jcache, code_map, stack, stack + BT_RETSTACK_BYTES,
                  bt_retstack_reset(bt, stack + BT_RETSTACK_BYTES));
    cr_assert_eq(bt_thread_init(bt), 0);
    mprotect(window + CODE, PAGE_BYTES, PROT_READ | PROT_WRITE);
    cpu->emulate = emulate;
    cpu->features = 0xffffffffu;
    cpu->mode = FLAT_MODE;
    cpu->ctx_tag = 1ull << 32;
    cpu->df = 1;
    cpu->gpr[R_ESP] = STACK + 0x800;
    cpu->fpu_saved = 0;
    for (unsigned i = 0; i < SEG_COUNT; i++)
        cpu->seg_limit[i] = 0xffffffffu;
}

/* As the monitor links: within the page directly, to another page by the guard, which compares the code map's entry. */
static void link_exit(u32 from, struct cc_block *b)
{
    struct cc_exit *x = from ? cc_exit_by_id(cc, from) : NULL;
    if (!x)
        return;
    if ((x->from->key.eip ^ b->key.eip) & ~PAGE_MASK)
        cc_link_guarded(cc, x, b, (b->key.gpa & ~PAGE_MASK) | 1);
    else
        cc_link(cc, x, b, CC_NEAR);
}

/* The block at eip in the physical page that the code map names, by default that of the same address. */
static struct cc_block *block_at(u32 eip)
{
    u32 *entry = &code_map[eip >> PAGE_SHIFT], left = PAGE_BYTES - (eip & PAGE_MASK);
    if (!*entry)
        *entry = (eip & ~PAGE_MASK) | 1;
    u32 gpa = (*entry & ~PAGE_MASK) | (eip & PAGE_MASK);
    struct bt_code c = {
        .bytes = window + gpa,
        .avail = left,
        .page_left = left,
        .key = {.gpa = gpa, .gpa2 = CC_NO_PAGE, .eip = eip, .cs_limit = seg_limit_cs, .mode = cpu->mode}};
    struct cc_block *b = cc_lookup(cc, &c.key);
    if (!b)
        cr_assert_eq(bt_translate(bt, &c, &b), 0);
    return b;
}

/* Run from cpu->eip until something but a LOOKUP comes back. */
static enum bt_exit_kind go_on(void)
{
    u32 from = 0;
    for (unsigned i = 0; i < 100000; i++) {
        struct cc_block *b = block_at(cpu->eip);
        link_exit(from, b);
        bt_jcache_put(bt, jcache, cpu->ctx_tag, cpu->eip, b);
        enum bt_exit_kind kind = bt_enter(bt, b);
        if (kind != BT_EXIT_LOOKUP)
            return kind;
        from = cpu->exit_from;
        lookups++;
    }
    cr_assert_fail("no end");
    return BT_EXIT_STOP;
}

static enum bt_exit_kind run(const u8 *code, size_t n)
{
    memcpy(window + CODE, code, n);
    cpu->eip = CODE;
    lookups = 0;
    return go_on();
}
#define RUN(...) run((const u8[]){__VA_ARGS__}, sizeof((const u8[]){__VA_ARGS__}))

TestSuite(translate, .init = setup);

Test(translate, alu_and_hlt)
{
    /* mov eax,5; add eax,7; mov ebx,eax; hlt */
    cr_assert_eq(RUN(0xb8, 5, 0, 0, 0, 0x83, 0xc0, 7, 0x89, 0xc3, 0xf4), BT_EXIT_HLT);
    cr_assert_eq(cpu->gpr[R_EAX], 12);
    cr_assert_eq(cpu->gpr[R_EBX], 12);
    cr_assert_eq(cpu->eip, CODE + 11);
}

Test(translate, memory_and_fill)
{
    /* mov dword [DATA], 0x12345678; mov ecx,[DATA]; mov ah,[DATA+1]; hlt */
    cr_assert_eq(RUN(0xc7, 5, 0, 0, 3, 0, 0x78, 0x56, 0x34, 0x12, 0x8b, 0x0d, 0, 0, 3, 0, 0x8a, 0x25, 1, 0, 3,
                     0, 0xf4),
                 BT_EXIT_HLT);
    cr_assert_eq(faulted, DATA);
    cr_assert_eq(cpu->gpr[R_ECX], 0x12345678);
    cr_assert_eq(cpu->gpr[R_EAX], 0x5600);
}

Test(translate, loop_with_flags_across_blocks)
{
    /* mov ecx,1000; xor eax,eax; l: add eax,ecx; dec ecx; jnz l; hlt */
    cr_assert_eq(RUN(0xb9, 0xe8, 3, 0, 0, 0x31, 0xc0, 0x01, 0xc8, 0x49, 0x75, 0xfb, 0xf4), BT_EXIT_HLT);
    cr_assert_eq(cpu->gpr[R_EAX], 500500);
}

Test(translate, call_ret_push_pop)
{
    /* push 7; call f; add esp,4; hlt; f: push ebp; mov ebp,esp; mov eax,[ebp+8]; pop ebp; ret */
    cr_assert_eq(
        RUN(0x6a, 7, 0xe8, 4, 0, 0, 0, 0x83, 0xc4, 4, 0xf4, 0x55, 0x89, 0xe5, 0x8b, 0x45, 8, 0x5d, 0xc3),
        BT_EXIT_HLT);
    cr_assert_eq(cpu->gpr[R_EAX], 7);
    cr_assert_eq(cpu->gpr[R_ESP], STACK + 0x800);
}

Test(translate, fault_is_precise_behind_pushes)
{
    /* push eax; push ecx; mov eax,[0]; */
    cpu->gpr[R_EAX] = 0x11;
    cr_assert_eq(RUN(0x50, 0x51, 0xa1, 0, 0, 0, 0), BT_EXIT_EXCEPTION);
    cr_assert_eq(cpu->exc_vector, EXC_PF);
    cr_assert_eq(cpu->eip, CODE + 2);
    cr_assert_eq(cpu->gpr[R_ESP], STACK + 0x800 - 8);
    cr_assert_eq(cpu->gpr[R_EAX], 0x11);
}

Test(translate, divide_error)
{
    /* xor ecx,ecx; mov eax,1; cdq; div ecx */
    cr_assert_eq(RUN(0x31, 0xc9, 0xb8, 1, 0, 0, 0, 0x99, 0xf7, 0xf1), BT_EXIT_EXCEPTION);
    cr_assert_eq(cpu->exc_vector, EXC_DE);
    cr_assert_eq(cpu->eip, CODE + 8);
}

Test(translate, repeated_strings)
{
    /* mov edi,DATA; mov ecx,5000; mov al,0x5a; rep stosb; mov esi,DATA; mov edi,DATA+0x2000; mov ecx,1250; rep movsd; hlt */
    cr_assert_eq(RUN(0xbf, 0, 0, 3, 0, 0xb9, 0x88, 0x13, 0, 0, 0xb0, 0x5a, 0xf3, 0xaa, 0xbe, 0, 0, 3, 0, 0xbf,
                     0, 0x20, 3, 0, 0xb9, 0xe2, 4, 0, 0, 0xf3, 0xa5, 0xf4),
                 BT_EXIT_HLT);
    cr_assert_eq(cpu->gpr[R_EDI], DATA + 0x2000 + 5000);
    cr_assert_eq(cpu->gpr[R_ECX], 0);
    for (unsigned i = 0; i < 5000; i++)
        cr_assert_eq(window[DATA + 0x2000 + i], 0x5a);
}

Test(translate, deep_recursion_overflows_return_stack)
{
    /* mov ecx,3000; call f; hlt; f: dec ecx; jz out; call f; out: ret */
    cpu->gpr[R_ESP] = 0x80000;
    cr_assert_eq(RUN(0xb9, 0xb8, 0x0b, 0, 0, 0xe8, 1, 0, 0, 0, 0xf4, 0x49, 0x74, 5, 0xe8, 0xf8, 0xff, 0xff,
                     0xff, 0xc3),
                 BT_EXIT_HLT);
    cr_assert_eq(cpu->gpr[R_ECX], 0);
    cr_assert_eq(cpu->gpr[R_ESP], 0x80000);
}

Test(translate, pushf_shows_flags)
{
    /* std; stc; pushf; pop eax; cld; hlt */
    cr_assert_eq(RUN(0xfd, 0xf9, 0x9c, 0x58, 0xfc, 0xf4), BT_EXIT_HLT);
    cr_assert_eq(cpu->gpr[R_EAX] & 0x601, 0x401);
}

Test(translate, x87_and_sse_survive_callouts)
{
    /* fld1; fld1; faddp; cpuid (callout); fistp dword [DATA]; mov eax,[DATA]; hlt */
    cr_assert_eq(
        RUN(0xd9, 0xe8, 0xd9, 0xe8, 0xde, 0xc1, 0x0f, 0xa2, 0xdb, 0x1d, 0, 0, 3, 0, 0xa1, 0, 0, 3, 0, 0xf4),
        BT_EXIT_HLT);
    cr_assert_eq(cpu->gpr[R_EAX], 2);
}

Test(translate, borrowed_register_for_high_bytes)
{
    /* mov dword [esp-16], 0x99887766; mov ah, [esp-15]; hlt */
    cr_assert_eq(RUN(0xc7, 0x44, 0x24, 0xf0, 0x66, 0x77, 0x88, 0x99, 0x8a, 0x64, 0x24, 0xf1, 0xf4),
                 BT_EXIT_HLT);
    cr_assert_eq(cpu->gpr[R_EAX], 0x7700);
}

Test(translate, kick_stops_a_loop)
{
    /* l: inc eax; jmp l */
    cpu->kick = 1;
    cr_assert_eq(RUN(0x40, 0xeb, 0xfd), BT_EXIT_ASYNC);
}

static void *kicker(void *arg)
{
    (void)arg;
    usleep(2000);
    bt_kick(bt);
    return NULL;
}

/* A kick from another thread stops linked code at an exact boundary, wherever it hits: the invariants of the loop
 * hold at every stop. */
Test(translate, kick_from_another_thread_is_precise)
{
    for (unsigned round = 0; round < 50; round++) {
        pthread_t t;
        cpu->kick = 0;
        cpu->gpr[R_EAX] = cpu->gpr[R_EDX] = 0;
        cr_assert_eq(pthread_create(&t, NULL, kicker, NULL), 0);
        /* l: push eax; inc eax; call f; pop ecx; jmp l; f: mov edx,eax; ret */
        cr_assert_eq(RUN(0x50, 0x40, 0xe8, 3, 0, 0, 0, 0x59, 0xeb, 0xf6, 0x89, 0xc2, 0xc3), BT_EXIT_ASYNC);
        pthread_join(t, NULL);
        u32 at = cpu->eip - CODE, depth = STACK + 0x800 - cpu->gpr[R_ESP];
        static const u8 depths[] = {[0] = 0, [1] = 4, [2] = 4, [7] = 4, [8] = 0, [10] = 8, [12] = 8};
        cr_assert(at == 0 || at == 1 || at == 2 || at == 7 || at == 8 || at == 10 || at == 12, "eip +%u", at);
        cr_assert_eq(depth, depths[at], "eip +%u depth %u", at, depth);
        cr_assert_gt(cpu->gpr[R_EAX], 100);
        cpu->gpr[R_ESP] = STACK + 0x800;
    }
}

/* The same inside a long repeated string instruction: counts and pointers agree. */
Test(translate, kick_stops_a_repeated_string)
{
    pthread_t t;
    cr_assert_eq(pthread_create(&t, NULL, kicker, NULL), 0);
    /* l: mov edi,DATA; mov ecx,0x20000; rep stosb; jmp l */
    cr_assert_eq(RUN(0xbf, 0, 0, 3, 0, 0xb9, 0, 0, 2, 0, 0xf3, 0xaa, 0xeb, 0xf2), BT_EXIT_ASYNC);
    pthread_join(t, NULL);
    u32 at = cpu->eip - CODE;
    if (at == 10)
        cr_assert_eq(cpu->gpr[R_EDI] + cpu->gpr[R_ECX], DATA + 0x20000);
}

/* ---- links to other pages ---- */

#define FAR (CODE + 0x1040u)   /* in a second page of code, at its own physical address by default */
#define OTHER (CODE + 0x5040u) /* in the physical page that may take its place */

static void put_code(u32 at, const u8 *code, size_t n)
{
    mprotect(window + (at & ~PAGE_MASK), PAGE_BYTES, PROT_READ | PROT_WRITE);
    memcpy(window + at, code, n);
}
#define PUT(at, ...) put_code(at, (const u8[]){__VA_ARGS__}, sizeof((const u8[]){__VA_ARGS__}))

/* From the start again: what the run loop is asked for then. */
static u32 again(void)
{
    cpu->eip = CODE;
    cpu->gpr[R_EAX] = 0;
    lookups = 0;
    cr_assert_eq(go_on(), BT_EXIT_HLT);
    return lookups;
}

/* Another context has another page there: the entry of the code map says so, its jump cache does not know the block. */
static void map_far(u32 gpa)
{
    code_map[FAR >> PAGE_SHIFT] = gpa ? (gpa & ~PAGE_MASK) | 1 : 0;
    memset(jcache, 0, BT_JCACHE_BYTES);
}

Test(translate, guarded_jump_follows_the_code_map)
{
    PUT(FAR, 0xb8, 1, 0, 0, 0, 0xf4);   /* mov eax,1; hlt */
    PUT(OTHER, 0xb8, 2, 0, 0, 0, 0xf4); /* mov eax,2; hlt */
    /* mov ecx,7; stc; jmp FAR */
    cr_assert_eq(RUN(0xb9, 7, 0, 0, 0, 0xf9, 0xe9, 0x35, 0x10, 0, 0), BT_EXIT_HLT);
    cr_assert_eq(lookups, 1);
    cr_assert_eq(cpu->gpr[R_EAX], 1);
    for (unsigned i = 0; i < 3; i++) {
        cr_assert_eq(again(), 0); /* linked, and the guard agrees */
        cr_assert_eq(cpu->gpr[R_EAX], 1);
        cr_assert_eq(cpu->gpr[R_ECX], 7);
        cr_assert(cpu->flags & FL_CF);
        map_far(OTHER);
        cr_assert_eq(again(), 1); /* not linked for this one: by the lookup, which misses */
        cr_assert_eq(cpu->gpr[R_EAX], 2);
        cr_assert_eq(cpu->gpr[R_ECX], 7);
        cr_assert(cpu->flags & FL_CF);
        cr_assert_eq(again(), 0); /* and then hits */
        cr_assert_eq(cpu->gpr[R_EAX], 2);
        map_far(FAR);
    }
    map_far(0); /* unmapped meanwhile: ask */
    cr_assert_eq(again(), 1);
    cr_assert_eq(cpu->gpr[R_EAX], 1);
}

Test(translate, guarded_branches_both_ways)
{
    PUT(FAR, 0x83, 0xc0, 16, 0xf4);   /* add eax,16; hlt */
    PUT(OTHER, 0x83, 0xc0, 32, 0xf4); /* add eax,32; hlt */
    /* l: inc eax; cmp eax,3; jz FAR; jmp l */
    cr_assert_eq(RUN(0x40, 0x83, 0xf8, 3, 0x0f, 0x84, 0x36, 0x10, 0, 0, 0xeb, 0xf4), BT_EXIT_HLT);
    cr_assert_eq(cpu->gpr[R_EAX], 19);
    cr_assert_eq(again(), 0);
    cr_assert_eq(cpu->gpr[R_EAX], 19);
    map_far(OTHER);
    cr_assert_eq(again(), 1);
    cr_assert_eq(cpu->gpr[R_EAX], 35);
}

Test(translate, guarded_call_returns_inline)
{
    PUT(FAR, 0xb8, 1, 0, 0, 0, 0xc3);   /* mov eax,1; ret */
    PUT(OTHER, 0xb8, 2, 0, 0, 0, 0xc3); /* mov eax,2; ret */
    /* call FAR; mov ebx,eax; hlt */
    cr_assert_eq(RUN(0xe8, 0x3b, 0x10, 0, 0, 0x89, 0xc3, 0xf4), BT_EXIT_HLT);
    cr_assert_eq(lookups, 1);
    cr_assert_eq(again(), 0);
    cr_assert_eq(cpu->gpr[R_EBX], 1);
    map_far(OTHER);
    cr_assert_eq(again(), 1);
    cr_assert_eq(cpu->gpr[R_EBX], 2);
    map_far(FAR);
    cr_assert_eq(again(), 0);
    cr_assert_eq(cpu->gpr[R_EBX], 1);
    cr_assert_eq(cpu->gpr[R_ESP], STACK + 0x800);
}

/* ---- blocks that die while a callee runs ---- */

static void rewrite_caller(u32 eip)
{
    (void)eip;
    on_callout = NULL;
    window[CODE + 6] = 0xc1; /* mov ecx,eax instead of mov ebx,eax */
    cr_assert_gt(cc_invalidate(cc, CODE, 8), 0);
    memset(jcache, 0, BT_JCACHE_BYTES);
}

/* The caller's block is dead when the callee returns to it: it leaves there, and what runs is the new code. */
Test(translate, landing_of_a_killed_block_leaves)
{
    /* call f; mov ebx,eax; hlt; f: cpuid (callout); mov eax,5; ret */
    static const u8 code[] = {0xe8, 3, 0, 0, 0, 0x89, 0xc3, 0xf4, 0x0f, 0xa2, 0xb8, 5, 0, 0, 0, 0xc3};
    cr_assert_eq(run(code, sizeof(code)), BT_EXIT_HLT);
    cr_assert_eq(cpu->gpr[R_EBX], 5);
    cr_assert_eq(again(), 0);
    struct cc_block *caller = block_at(CODE);
    on_callout = rewrite_caller;
    cpu->gpr[R_EBX] = cpu->gpr[R_ECX] = 0;
    cr_assert_eq(again(), 1); /* at the landing, for the code behind the call */
    cr_assert(caller->dead);
    cr_assert_eq(cpu->gpr[R_EBX], 0);
    cr_assert_eq(cpu->gpr[R_ECX], 5);
    cr_assert_eq(cpu->gpr[R_ESP], STACK + 0x800);
    cr_assert_eq(again(), 2); /* the caller, and the callee for its new exit */
    cr_assert_eq(again(), 0);
    cr_assert_eq(cpu->gpr[R_EBX], 0);
    cr_assert_eq(cpu->gpr[R_ECX], 5);
}

static void kill_page(u32 eip)
{
    (void)eip;
    on_callout = NULL;
    cr_assert_gt(cc_invalidate(cc, CODE, PAGE_BYTES), 0);
    memset(jcache, 0, BT_JCACHE_BYTES);
}

/* Every block on the way dies in the innermost call: each return lands in a dead one, and no record is lost. */
Test(translate, landings_of_killed_blocks_keep_the_records)
{
    /* mov edx,f; call g; hlt; g: call edx; nop; mov ebx,eax; ret; f: cpuid; mov eax,5; ret */
    static const u8 code[] = {0xba, 0x11, 0,    1,    0,    0xe8, 1,    0, 0, 0, 0xf4, 0xff, 0xd2,
                              0x90, 0x89, 0xc3, 0xc3, 0x0f, 0xa2, 0xb8, 5, 0, 0, 0,    0xc3};
    cr_assert_eq(run(code, sizeof(code)), BT_EXIT_HLT);
    cr_assert_eq(again(), 0);
    u64 records = cpu->ret_sp;
    cpu->gpr[R_EBX] = 0;
    on_callout = kill_page;
    cr_assert_eq(again(), 2);
    cr_assert_eq(cpu->gpr[R_EBX], 5);
    cr_assert_eq(cpu->ret_sp, records);
    cr_assert_eq(cpu->gpr[R_ESP], STACK + 0x800);
}

/* Calls of "mov ebx, [esp]; ret" are done in place as long as that is what is there. */
Test(translate, thunks_are_called_in_place)
{
    PUT(FAR, 0x8b, 0x1c, 0x24, 0xc3);
    /* push 7; call FAR; pop eax; hlt */
    cr_assert_eq(RUN(0x6a, 7, 0xe8, 0x39, 0x10, 0, 0, 0x58, 0xf4), BT_EXIT_HLT);
    cr_assert_eq(lookups, 0);
    cr_assert_eq(cpu->gpr[R_EBX], CODE + 7);
    cr_assert_eq(cpu->gpr[R_EAX], 7);
    cr_assert_eq(cpu->gpr[R_ESP], STACK + 0x800);
    u32 pushed;
    memcpy(&pushed, window + STACK + 0x7f8, 4);
    cr_assert_eq(pushed, CODE + 7);
    window[FAR + 1] = 0x0c; /* mov ecx, [esp]: the fallback makes the call */
    cpu->eip = CODE;
    cr_assert_eq(go_on(), BT_EXIT_STEP);
    cr_assert_eq(cpu->eip, CODE + 2);
    cr_assert_eq(cpu->gpr[R_ESP], STACK + 0x7fc);
    window[FAR + 1] = 0x1c;
    code_map[FAR >> PAGE_SHIFT] =
        0; /* nor may code be taken from a page that is not known to be executable */
    cpu->gpr[R_ESP] = STACK + 0x800;
    cpu->eip = CODE;
    cr_assert_eq(go_on(), BT_EXIT_STEP);
    cr_assert_eq(cpu->eip, CODE + 2);
}

Test(translate, indirect_jump_in_a_limited_segment)
{
    cpu->seg_limit[SEG_CS] = seg_limit_cs = 0xfffff;
    /* mov eax,t; jmp eax; hlt; t: mov ebx,9; push u; ret; hlt; u: mov ecx,8; hlt */
    cr_assert_eq(RUN(0xb8, 8, 0, 1, 0, 0xff, 0xe0, 0xf4, 0xbb, 9, 0, 0, 0, 0x68, 0x14, 0, 1, 0, 0xc3, 0xf4,
                     0xb9, 8, 0, 0, 0, 0xf4),
                 BT_EXIT_HLT);
    cr_assert_eq(cpu->gpr[R_EBX], 9);
    cr_assert_eq(cpu->gpr[R_ECX], 8);
    /* mov eax,100000h; jmp eax: beyond it, says C */
    cr_assert_eq(cc_invalidate(cc, CODE, PAGE_BYTES) > 0, true);
    cr_assert_eq(RUN(0xb8, 0, 0, 0x10, 0, 0xff, 0xe0), BT_EXIT_STEP);
    cr_assert_eq(cpu->eip, CODE + 5);
}

Test(translate, repeated_strings_backward)
{
    for (unsigned i = 0; i < 100; i++)
        window[CODE + 0x800 + i] = (u8)i;
    /* std; mov esi,CODE+0x863; mov edi,DATA+0x1063; mov ecx,100; rep movsb; cld; hlt */
    cr_assert_eq(
        RUN(0xfd, 0xbe, 0x63, 8, 1, 0, 0xbf, 0x63, 0x10, 3, 0, 0xb9, 100, 0, 0, 0, 0xf3, 0xa4, 0xfc, 0xf4),
        BT_EXIT_HLT);
    cr_assert_eq(cpu->gpr[R_ESI], CODE + 0x7ff);
    cr_assert_eq(cpu->gpr[R_EDI], DATA + 0xfff);
    cr_assert_eq(cpu->gpr[R_ECX], 0);
    for (unsigned i = 0; i < 100; i++)
        cr_assert_eq(window[DATA + 0x1000 + i], i);
    u64 flags;
    __asm__ volatile("pushfq\n\tpop %0" : "=r"(flags));
    cr_assert_eq(flags & 0x400, 0);
    /* std; mov edi,1003h; mov ecx,8; rep stosb: below 1000h is a guest fault, DF does not come out of it */
    cr_assert_eq(cc_invalidate(cc, CODE, PAGE_BYTES) > 0, true);
    cr_assert_eq(RUN(0xfd, 0xbf, 3, 0x10, 0, 0, 0xb9, 8, 0, 0, 0, 0xf3, 0xaa, 0xf4), BT_EXIT_EXCEPTION);
    __asm__ volatile("pushfq\n\tpop %0" : "=r"(flags));
    cr_assert_eq(flags & 0x400, 0);
    cr_assert_eq(cpu->cr2, 0xfff);
    cr_assert_eq(cpu->gpr[R_EDI], 0xfff);
    cr_assert_eq(cpu->gpr[R_ECX], 4);
    cr_assert_eq(cpu->eip, CODE + 11);
}
