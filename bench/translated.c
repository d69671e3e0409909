/*
 * translated.c - what translated code costs, beside the same bytes run natively: one JSON line a metric.
 *
 * The translator runs here without a monitor: a flat 32-bit address space in one window, blocks linked as the monitor links
 * them. The same memory is mapped at the same address in the process, and the same code is run there by the host
 * CPU in 32-bit compatibility mode (a far jump to selector 23h), where it may. Each figure is the median of several places
 * of the code cache, with min and max, since branch predictors care where code lies and who else runs on the core; at each
 * the median of rounds of a warm loop, loop included. In cycles of the time-stamp counter: "loop" says how many of
 * those one taken branch costs. A run that does not do what its name says (an exit too many or too few) is an error.
 *
 *     bench_translated [i386-program]    its code is the corpus for the cost of translating
 *                                        (default: busybox in $NOVT_GUESTS or build/guests)
 */
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <x86intrin.h>

#include "bt/bt.h"

#define BASE 0x40000000u /* linear addresses of the guest, and of the process */
#define BYTES 0x40000u
#define CODE (BASE + 0x1000u)
#define FUNC (BASE + 0x1f00u) /* in the page of CODE */
#define FAR (BASE + 0x2f40u)  /* in another one */
#define TABLE (BASE + 0x4000u)
#define STACK (BASE + 0x10800u)
#define DATA (BASE + 0x20000u)
#define NATIVE (BASE + BYTES) /* way into 32-bit mode and back */
#define PLACES 9
#define ROUNDS 5
#define MODE (MODE_CS32 | MODE_SS32 | MODE_PE | MODE_IOPL_OK | MODE_SSE)

/* native_blob(u32 eip, u32 esp, u32 ebp), copied to an address that 32-bit code can name; the code ends with a far jump to
 * selector 33h, native_back. */
__asm__(".pushsection .rodata\n"
        "native_blob:\n"
        "    push %rbx\n    push %rbp\n    push %r12\n    push %r13\n    push %r14\n    push %r15\n"
        "    mov %rsp, 3f(%rip)\n"
        "    mov %edi, 2f(%rip)\n"
        "    mov %esi, %esp\n"
        "    mov %edx, %ebp\n"
        "    mov $0x2b, %eax\n    mov %eax, %ds\n    mov %eax, %es\n"
        "    ljmp *2f(%rip)\n"
        "native_back:\n"
        "    xor %eax, %eax\n    mov %eax, %ds\n    mov %eax, %es\n"
        "    mov 3f(%rip), %rsp\n"
        "    pop %r15\n    pop %r14\n    pop %r13\n    pop %r12\n    pop %rbp\n    pop %rbx\n"
        "    ret\n"
        "2:  .long 0\n    .word 0x23\n"
        "3:  .quad 0\n"
        "native_blob_end:\n"
        ".popsection\n");
extern const u8 native_blob[], native_back[], native_blob_end[];

struct bench {
    struct cpu *cpu;
    struct cc *cc;
    struct bt *bt;
    u8 *window, *jcache, *ret_top;
    u32 *code_map;
    bool remember; /* put looked-up blocks into the jump cache */
};

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "bench_translated: %s\n", what);
    exit(1);
}

/* ---- the guest's address space ---- */

static enum bt_fill fill(void *opaque, u32 gva, bool write)
{
    struct cpu *cpu = opaque;
    (void)write;
    cpu->exc_vector = EXC_PF;
    cpu->cr2 = gva;
    return BT_FILL_EXCEPTION;
}

static int no_memory(void *opaque, unsigned seg, u32 off, unsigned size)
{
    (void)opaque;
    (void)seg;
    (void)off;
    (void)size;
    return -1;
}

static int no_read(void *opaque, unsigned seg, u32 off, void *buf, unsigned size)
{
    (void)buf;
    return no_memory(opaque, seg, off, size);
}

static int no_write(void *opaque, unsigned seg, u32 off, const void *buf, unsigned size)
{
    (void)buf;
    return no_memory(opaque, seg, off, size);
}

static void bug(void *opaque, const char *what, u64 pc, u64 addr)
{
    (void)opaque;
    (void)pc;
    (void)addr;
    fail(what);
}

/* HLT ends a run; every other callout does nothing: what is measured is the way there and back. */
static int emulate(struct cpu *cpu, const struct dec_insn *insn)
{
    cpu->eip += insn->len;
    if (insn->op != OP_HLT)
        return BT_CONT;
    cpu->exit_kind = BT_EXIT_HLT;
    return BT_LEAVE;
}

static void *map(void *at, size_t bytes, int prot, int flags, int fd)
{
    void *p = mmap(at, bytes, prot, flags, fd, 0);
    if (p == MAP_FAILED)
        fail("no memory");
    return p;
}

static void map_guest(struct bench *b)
{
    const int rwx = PROT_READ | PROT_WRITE | PROT_EXEC, anon = MAP_PRIVATE | MAP_ANONYMOUS;
    int fd = memfd_create("novt-bench", MFD_CLOEXEC);
    u8 *m = map(NULL, 3ull << 32, PROT_NONE, anon | MAP_NORESERVE, -1);
    if (fd < 0 || ftruncate(fd, BYTES))
        fail("no memory");
    b->window = (u8 *)(((u64)m + (1ull << 32)) & ~0xffffffffull);
    map(b->window + BASE, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_POPULATE, fd);
    map((void *)(u64)BASE, BYTES, rwx, MAP_SHARED | MAP_FIXED_NOREPLACE | MAP_POPULATE, fd);
    map((void *)(u64)NATIVE, PAGE_BYTES, rwx, anon | MAP_FIXED_NOREPLACE, -1);
    memcpy((void *)(u64)NATIVE, native_blob, (size_t)(native_blob_end - native_blob));
}

/* An engine at a new place: whatever is mapped here stays. */
static void make_engine(struct bench *b)
{
    map(NULL, (1 + (u64)rand() % 1000) * PAGE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
        -1);
    u8 *rs = map(NULL, BT_RETSTACK_BYTES + 2 * PAGE_BYTES, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS, -1);
    b->cpu = aligned_alloc(64, align_up(sizeof(*b->cpu), 64));
    b->jcache = calloc(1, BT_JCACHE_BYTES);
    b->code_map = calloc(1 << 20, 4);
    if (!b->cpu || !b->jcache || !b->code_map || mprotect(rs, PAGE_BYTES, PROT_NONE) ||
        mprotect(rs + PAGE_BYTES + BT_RETSTACK_BYTES, PAGE_BYTES, PROT_NONE))
        fail("no memory");
    memset(b->cpu, 0, sizeof(*b->cpu));
    struct bt_hooks hooks = {.opaque = b->cpu,
                             .fill = fill,
                             .mem_read = no_read,
                             .mem_write = no_write,
                             .mem_probe_write = no_memory,
                             .bug = bug};
    if (cc_new(&b->cc, 16 << 20) || bt_new(&b->bt, b->cpu, b->cc, &hooks, NULL))
        fail("no memory");
    b->ret_top = rs + PAGE_BYTES + BT_RETSTACK_BYTES;
    bt_set_window(b->bt, b->window, b->jcache, b->code_map, rs + PAGE_BYTES, b->ret_top,
                  bt_retstack_reset(b->bt, b->ret_top));
    if (bt_thread_init(b->bt))
        fail("no signal handlers");
    b->cpu->emulate = emulate;
    b->cpu->features = 0xffffffffu;
    b->cpu->mode = MODE;
    b->cpu->ctx_tag = 1ull << 32;
    b->cpu->df = 1;
    for (unsigned i = 0; i < SEG_COUNT; i++)
        b->cpu->seg_limit[i] = 0xffffffffu;
}

static void drop_engine(struct bench *b)
{
    bt_thread_fini(b->bt);
    bt_free(b->bt);
    cc_free(b->cc);
    free(b->cpu);
    free(b->jcache);
    free(b->code_map);
}

/* ---- running ---- */

static struct cc_block *block_at(struct bench *b, u32 eip)
{
    u32 left = PAGE_BYTES - (eip & PAGE_MASK);
    struct bt_code code = {
        .bytes = b->window + eip,
        .avail = left,
        .page_left = left,
        .key = {.gpa = eip, .gpa2 = CC_NO_PAGE, .eip = eip, .cs_limit = 0xffffffffu, .mode = MODE}};
    struct cc_block *block = cc_lookup(b->cc, &code.key);
    if (!block && bt_translate(b->bt, &code, &block))
        fail("no block");
    b->code_map[eip >> PAGE_SHIFT] = (eip & ~PAGE_MASK) | 1;
    return block;
}

/* From CODE to the HLT, with EBP = n. */
static void run_translated(struct bench *b, u32 n)
{
    struct cpu *cpu = b->cpu;
    enum bt_exit_kind kind = BT_EXIT_LOOKUP;
    cpu->eip = CODE;
    cpu->gpr[R_ESP] = STACK;
    cpu->gpr[R_EBP] = n;
    cpu->exit_from = 0;
    while (kind == BT_EXIT_LOOKUP) {
        struct cc_block *block = block_at(b, cpu->eip);
        struct cc_exit *x = cpu->exit_from ? cc_exit_by_id(b->cc, cpu->exit_from) : NULL;
        if (x && ((x->from->key.eip ^ block->key.eip) & ~PAGE_MASK))
            cc_link_guarded(b->cc, x, block, (block->key.gpa & ~PAGE_MASK) | 1);
        else if (x)
            cc_link(b->cc, x, block, CC_NEAR);
        if (b->remember)
            bt_jcache_put(b->bt, b->jcache, cpu->ctx_tag, cpu->eip, block);
        kind = bt_enter(b->bt, block);
    }
    if (kind != BT_EXIT_HLT)
        fail("the code did not come to its end");
}

static void run_native(u32 n)
{
    void (*enter)(u32 eip, u32 esp, u32 ebp) = (void (*)(u32, u32, u32))(u64)NATIVE;
    enter(CODE, STACK, n);
}

/* ---- the code ---- */

struct code {
    u8 *base, *p; /* of linear address CODE */
};

static void put(struct code *c, const char *hex)
{
    for (unsigned v, len; sscanf(hex, "%2x%n", &v, (int *)&len) == 1; hex += len)
        *c->p++ = (u8)v;
}

static void put32(struct code *c, u32 v)
{
    memcpy(c->p, &v, 4);
    c->p += 4;
}

static u32 here(const struct code *c)
{
    return CODE + (u32)(c->p - c->base);
}

/* opcode rel32 */
static void put_rel(struct code *c, const char *opcode, u32 to)
{
    put(c, opcode);
    put32(c, to - (here(c) + 4));
}

static void call_near(struct code *c)
{
    put_rel(c, "e8", FUNC);
}

static void call_far_page(struct code *c)
{
    put_rel(c, "e8", FAR);
}

/* A function with an argument and a frame: push 5; call f; add esp, 4 */
static void call_framed(struct code *c)
{
    put(c, "6a 05");
    put_rel(c, "e8", FUNC + 0x10);
    put(c, "83 c4 04");
}

/* push target; ret: no CALL made the record */
static void ret_astray(struct code *c)
{
    put(c, "68");
    put32(c, here(c) + 5);
    put(c, "c3");
}

/* mov eax, ebp; and eax, 3; jmp [TABLE + eax * 4]; each target jumps behind it */
static void jump_table(struct code *c)
{
    u32 targets[4], at;
    put(c, "89 e8 83 e0 03 ff 24 85");
    put32(c, TABLE);
    at = here(c);
    for (u32 i = 0; i < 4; i++) {
        targets[i] = here(c);
        put_rel(c, "e9", at + 20);
    }
    memcpy(c->base - (CODE - BASE) + (TABLE - BASE), targets, sizeof(targets));
}

/* mov ecx, 1024; l: mov eax, [esi + ecx * 4]; add eax, ebx; mov [edi + ecx * 4], eax; dec ecx; jnz l */
static void load_store(struct code *c)
{
    put(c, "b9 00 04 00 00 8b 04 8e 01 d8 89 04 8f 49 75 f5");
}

/* How a metric runs. */
#define NATIVELY BIT(0) /* on the host, too */
#define MISSES BIT(1)   /* every indirect branch misses the jump cache */
#define PROMOTED BIT(2) /* links to other pages promoted */

static const struct metric {
    const char *name, *setup, *body;
    void (*emit)(struct code *c); /* instead of body */
    u32 repeat;                   /* bodies in the loop */
    u32 ops;                      /* operations in a body */
    u32 n;                        /* iterations */
    u32 flags;
} metrics[] = {
    {"loop", "", "", NULL, 1, 1, 1000000, NATIVELY},
    {"alu", "", "01 c3 29 d6 31 df 8d 44 0b 04", NULL, 16, 4, 50000, NATIVELY},
    {"call_ret", "", "", call_near, 16, 1, 50000, NATIVELY},
    {"call_ret_frame", "", "", call_framed, 16, 1, 50000, NATIVELY},
    {"call_ret_cross_page", "", "", call_far_page, 16, 1, 50000, NATIVELY},
    {"call_ret_cross_page_promoted", "", "", call_far_page, 16, 1, 50000, PROMOTED},
    {"call_indirect_ret", "ba 00 1f 00 40", "ff d2", NULL, 16, 1, 50000, NATIVELY},
    {"jump_table", "", "", jump_table, 1, 1, 200000, NATIVELY},
    {"ret_without_call", "", "", ret_astray, 16, 1, 20000, NATIVELY},
    {"lookup_miss", "ba 00 1f 00 40", "ff d2", NULL, 16, 1, 2000, MISSES},
    {"push_pop", "", "53 56 57 5f 5e 5b", NULL, 16, 3, 50000, NATIVELY},
    {"load_store", "be 00 00 02 40 bf 00 80 02 40", "", load_store, 1, 1024, 500, NATIVELY},
    {"pointer_chase", "be 00 00 02 40 89 36", "8b 36", NULL, 16, 1, 50000, NATIVELY},
    {"rep_movsd_4k", "", "be 00 00 02 40 bf 00 80 02 40 b9 00 04 00 00 f3 a5", NULL, 4, 1, 5000, NATIVELY},
    {"pushf_pop", "", "9c 58", NULL, 16, 1, 20000, NATIVELY},
    {"pushf_popf", "", "9c 9d", NULL, 16, 1, 20000, NATIVELY},
    {"enter_leave", "", "c8 08 00 00 c9", NULL, 16, 1, 20000, NATIVELY},
    {"cli_sti", "", "fa fb", NULL, 16, 1, 50000, 0},
    {"callout", "", "0f a2", NULL, 16, 1, 10000, 0}, /* CPUID */
};

/* setup; l: bodies; dec ebp; jnz l; end. Leaves c->p at the end's place. */
static void write_code(struct bench *b, struct code *c, const struct metric *m)
{
    struct code func = {.base = b->window + CODE, .p = b->window + FUNC};
    memset(b->window + CODE, 0xf4, FAR + 0x10 - CODE);
    put(&func, "c3");
    func.p =
        b->window + FUNC + 0x10; /* push ebp; mov ebp,esp; push ebx; mov eax,[ebp+8]; pop ebx; leave; ret */
    put(&func, "55 89 e5 53 8b 45 08 5b c9 c3");
    func.p = b->window + FAR;
    put(&func, "c3");
    c->base = c->p = b->window + CODE;
    put(c, m->setup);
    u32 loop = here(c);
    for (u32 i = 0; i < m->repeat; i++) {
        if (m->emit)
            m->emit(c);
        else
            put(c, m->body);
    }
    put(c, "4d");
    put_rel(c, "0f 85", loop);
    if (here(c) > FUNC - 8)
        fail("the loop does not fit its page");
}

/* ---- measuring ---- */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v, unsigned n)
{
    qsort(v, n, sizeof(*v), by_value);
    return v[n / 2];
}

static void report(const char *name, double value, const char *unit)
{
    printf("{\"metric\":\"%s\",\"value\":%.2f,\"unit\":\"%s\"}\n", name, value, unit);
}

static void report_spread(const char *name, const char *suffix, double *v)
{
    double value = median(v, PLACES);
    printf("{\"metric\":\"%s%s\",\"value\":%.2f,\"unit\":\"cycles\",\"min\":%.2f,\"max\":%.2f}\n", name,
           suffix, value, v[0], v[PLACES - 1]);
    fflush(stdout);
}

static bool always(void *opaque, const struct cc_exit *x)
{
    (void)opaque;
    (void)x;
    return true;
}

/* What is measured must be what the name says: linked code stays inside, a miss comes out each time. */
static void check_exits(const struct bench *b, const struct metric *m, const struct bt_stats *before)
{
    u64 lookups = bt_stats(b->bt)->exits[BT_EXIT_LOOKUP] - before->exits[BT_EXIT_LOOKUP];
    u64 signals = bt_stats(b->bt)->signals - before->signals,
        want = m->flags & MISSES ? (u64)m->n * m->repeat * ROUNDS : 0;
    if (lookups != want || signals) {
        fprintf(stderr, "bench_translated: %s: %llu exits instead of %llu, %llu signals\n", m->name,
                (unsigned long long)lookups, (unsigned long long)want, (unsigned long long)signals);
        exit(1);
    }
}

/* Cycles per operation in one place. */
static void measure_here(struct bench *b, const struct metric *m, double *translated, double *native)
{
    double cycles[ROUNDS], ops = (double)m->n * m->repeat * m->ops;
    struct code c;
    b->remember = true;
    write_code(b, &c, m);
    put(&c, "f4"); /* hlt */
    run_translated(b, 100);
    if (m->flags & PROMOTED)
        cc_promote(b->cc, always, NULL);
    b->remember = !(m->flags & MISSES);
    if (m->flags & MISSES)
        memset(b->jcache, 0, BT_JCACHE_BYTES);
    struct bt_stats before = *bt_stats(b->bt);
    for (unsigned r = 0; r < ROUNDS; r++) {
        u64 from = __rdtsc();
        run_translated(b, m->n);
        cycles[r] = (double)(__rdtsc() - from) / ops;
    }
    check_exits(b, m, &before);
    *translated = median(cycles, ROUNDS);
    if (!(m->flags & NATIVELY))
        return;
    c.p--;
    put(&c, "ea"); /* jmp far 33h:native_back */
    put32(&c, NATIVE + (u32)(native_back - native_blob));
    put(&c, "33 00");
    run_native(100);
    for (unsigned r = 0; r < ROUNDS; r++) {
        u64 from = __rdtsc();
        run_native(m->n);
        cycles[r] = (double)(__rdtsc() - from) / ops;
    }
    *native = median(cycles, ROUNDS);
}

static void measure(struct bench *b, const struct metric *m)
{
    double translated[PLACES], native[PLACES];
    for (unsigned i = 0; i < PLACES; i++) {
        make_engine(b);
        measure_here(b, m, &translated[i], &native[i]);
        drop_engine(b);
    }
    report_spread(m->name, "", translated);
    if (m->flags & NATIVELY)
        report_spread(m->name, "_native", native);
}

/* ---- the cost of translating ---- */

struct image {
    u8 *file, *text;
    u32 eip, bytes;
};

/* The executable segment of a 32-bit ELF program. */
static bool load(struct image *im, const char *path)
{
    FILE *f = fopen(path, "rb");
    long size = -1;
    if (f && !fseek(f, 0, SEEK_END))
        size = ftell(f);
    if (size < (long)sizeof(Elf32_Ehdr) || !(im->file = malloc((size_t)size)) || fseek(f, 0, SEEK_SET) ||
        fread(im->file, (size_t)size, 1, f) != 1) {
        if (f)
            fclose(f);
        return false;
    }
    fclose(f);
    Elf32_Ehdr h;
    memcpy(&h, im->file, sizeof(h));
    if (memcmp(h.e_ident, ELFMAG, SELFMAG) || h.e_machine != EM_386)
        return false;
    for (u32 i = 0; i < h.e_phnum; i++) {
        Elf32_Phdr p;
        if (h.e_phoff + (u64)(i + 1) * sizeof(p) > (u64)size)
            return false;
        memcpy(&p, im->file + h.e_phoff + i * sizeof(p), sizeof(p));
        if (p.p_type == PT_LOAD && (p.p_flags & PF_X) && (u64)p.p_offset + p.p_filesz <= (u64)size) {
            im->text = im->file + p.p_offset;
            im->eip = p.p_vaddr;
            im->bytes = p.p_filesz;
        }
    }
    return im->text != NULL;
}

/* Every block from the first byte to the last, one behind the other. */
static void translate_all(struct bench *b, const struct image *im)
{
    for (u32 at = 0; at + 32 < im->bytes;) {
        u32 eip = im->eip + at, left = PAGE_BYTES - (eip & PAGE_MASK), room = im->bytes - at;
        struct bt_code code = {
            .bytes = im->text + at,
            .avail = left < room ? left : room,
            .page_left = left,
            .key = {.gpa = eip, .gpa2 = CC_NO_PAGE, .eip = eip, .cs_limit = 0xffffffffu, .mode = MODE}};
        struct cc_block *block;
        int rc = bt_translate(b->bt, &code, &block);
        if (rc == -ENODATA) { /* straddles */
            code.avail = left + 15 < room ? left + 15 : room;
            code.key.gpa2 = (eip & ~PAGE_MASK) + PAGE_BYTES;
            rc = bt_translate(b->bt, &code, &block);
        }
        if (rc == -ENOSPC) {
            cc_flush(b->cc);
            continue;
        }
        at += rc ? 1 : block->guest_len;
    }
}

static void measure_translation(struct bench *b, const char *path)
{
    struct image im = {0};
    double cycles[PLACES];
    if (!load(&im, path)) {
        fprintf(stderr,
                "bench_translated: %s: no i386 program: the cost of translating is left out (scripts/guest "
                "makes one)\n",
                path);
        free(im.file);
        return;
    }
    struct bt_stats s = {0};
    for (unsigned i = 0; i < PLACES; i++) {
        make_engine(b);
        translate_all(b, &im);
        s = *bt_stats(b->bt);
        cycles[i] = (double)s.translate_cycles / (double)s.insns;
        drop_engine(b);
    }
    report_spread("translate_insn", "", cycles);
    report("translate_insns_per_block", (double)s.insns / (double)s.blocks, "instructions");
    report("translate_host_bytes_per_insn", (double)s.host_bytes / (double)s.insns, "bytes");
    report("translate_corpus", (double)s.insns, "instructions");
    free(im.file);
}

int main(int argc, char **argv)
{
    struct bench b = {0};
    char path[4096];
    const char *guests = getenv("NOVT_GUESTS");
    snprintf(path, sizeof(path), "%s/busybox", guests ? guests : "build/guests");
    map_guest(&b);
    for (unsigned i = 0; i < ARRAY_SIZE(metrics); i++)
        measure(&b, &metrics[i]);
    measure_translation(&b, argc > 1 ? argv[1] : path);
    return 0;
}
