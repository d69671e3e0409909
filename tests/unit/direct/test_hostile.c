/*
 * test_hostile.c - ring-3 code that tries to leave its sandbox.
 *
 * A far jump to the host's 64-bit code segment is the way out of 32-bit mode that no filter stops; from there the tests make system calls,
 * forge signal frames, write what they can reach and jump into the trampoline. Breaks if any of it ends otherwise than in an exit that
 * 32-bit
 * code could have caused or in the box's death with a message, or if the state of the next entry is not exactly the one asked for.
 * The last tests list what a box has: mappings, descriptors, system calls; docs/security.md must say the same.
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "direct/internal.h"
#include "rig.h"

#define LAST_CALL 600u
#define X32 0x40000000u

/* Text of a snippet whose 64-bit half begins at CODE + 16: EAX, EBX... are still as the test set them. */
#define LONG(text) "ljmp $0x33, $0x400010; .balign 16, 0x90; .code64; " text "; .code32"
#define AREA "movabs $0x120000000000, %rbp; "
#define LOOP_AT 0x400f00 /* where the tests put an endless loop */

/* Died, and the message says so. */
#define DIED(r, name, message)                                               \
    do {                                                                     \
        RUN((r), name, DX_EXIT_DIED);                                        \
        cr_assert(strstr((r)->x.why, message), "%s: %s", #name, (r)->x.why); \
        rig_revive(r);                                                       \
    } while (0)

/* Dies, or is something that 32-bit code could do, and stops when told. */
#define BOUNDED(r, name)                                                                       \
    do {                                                                                       \
        struct later later_;                                                                   \
        rig_load((r), name, name##_end);                                                       \
        kick_in(&later_, (r), 50);                                                             \
        u8 kind_ = rig_enter(r);                                                               \
        kick_join(&later_);                                                                    \
        cr_assert(kind_ == DX_EXIT_DIED || kind_ == DX_EXIT_KICKED, #name ": exit %u", kind_); \
        rig_revive(r);                                                                         \
    } while (0)

SNIPPET(call64, LONG("syscall; ud2"));
SNIPPET(call32_from_64, LONG("int $0x80; ud2"));
SNIPPET(call32, "int $0x80; hlt");

Test(direct_hostile, no_64bit_system_call_is_done, .timeout = 240)
{
    struct rig r = rig_new();
    unsigned blocked = 0;

    rig_load(&r, call64, call64_end);
    for (u32 n = 0; n < LAST_CALL; n++) {
        /* every number there is, and some from other tables */
        u32 nr = n < 500 ? n : n < 560 ? X32 + n - 500 : n < 580 ? X32 + n - 560 + 512 : 0xfffffd00 + n;
        rig_revive(&r);
        for (unsigned i = 0; i < 8; i++)
            if (i != DX_ESP)
                r.st.gpr[i] = 0;
        r.st.gpr[DX_EAX] = nr;
        rig_enter(&r);
        cr_assert_eq(r.x.kind, DX_EXIT_DIED, "call %u: exit %u", nr, r.x.kind);
        if (strstr(r.x.why, "64-bit mode (signal 31 "))
            blocked++;
        else /* rt_sigreturn: garbage is loaded or refused; uretprobe and uprobe, which no filter sees, refuse by themselves */
            cr_assert(nr == SYS_rt_sigreturn || nr == 335 || nr == 336, "call %u: %s", nr, r.x.why);
    }
    cr_assert_geq(blocked, LAST_CALL - 3);
    rig_free(&r);
}

Test(direct_hostile, no_32bit_system_call_is_done)
{
    struct rig r = rig_new();

    rig_load(&r, call32, call32_end);
    for (u32 nr = 0; nr < LAST_CALL; nr++) {
        r.st = rig_state(CODE);
        r.st.gpr[DX_EAX] = nr < 500 ? nr : nr - LAST_CALL;
        r.st.gpr[DX_EBX] = 0x1234;
        rig_enter(&r);
        cr_assert_eq(r.x.kind, DX_EXIT_SYSCALL, "call %u: exit %u %s", nr, r.x.kind, r.x.why);
        cr_assert_eq(r.st.gpr[DX_EAX], nr < 500 ? nr : nr - LAST_CALL);
        cr_assert_eq(r.st.gpr[DX_EBX], 0x1234);
        cr_assert_eq(r.st.eip, CODE + 2);
    }
    for (u32 nr = 1; nr < 20; nr++) {
        r.st.gpr[DX_EAX] = nr;
        r.st.eip = CODE;
        DIED(&r, call32_from_64, "64-bit mode (signal 31 ");
    }
    rig_free(&r);
}

SNIPPET(go_64, LONG("ud2"));
SNIPPET(call_64, "lcall $0x33, $0x400010; .balign 16, 0x90; .code64; hlt; .code32");
SNIPPET(ret_64, "push $0x33; push $0x400010; lret; .balign 16, 0x90; .code64; int3; .code32");
SNIPPET(iret_64, "pushf; push $0x33; push $0x400010; iret; .balign 16, 0x90; .code64; ud2; .code32");
SNIPPET(go_32, "ljmp $0x23, $0x400010; .balign 16, 0x90; hlt");
SNIPPET(ds_host, "mov $0x33, %eax; mov %eax, %ds; hlt");
SNIPPET(gs_host, "mov $0x7b, %eax; mov %eax, %gs; hlt");
SNIPPET(ss_host, "mov $0x2b, %eax; mov %eax, %ss; int3");
SNIPPET(write_cmd, LONG("movabs $0x110000000000, %rbp; movl $1, (%rbp); ud2"));
SNIPPET(write_image, LONG("movabs $0x100000000000, %rbp; movl $1, (%rbp); ud2"));
SNIPPET(read_stack, LONG("movabs $0x7ffffffde000, %rbp; mov (%rbp), %eax; ud2"));
SNIPPET(read_kernel, LONG("movabs $0xffffffff81000000, %rbp; mov (%rbp), %eax; ud2"));
SNIPPET(call_vsyscall, LONG("movabs $0xffffffffff600000, %rax; mov %rsp, %rdi; call *%rax; ud2"));
SNIPPET(area_code, LONG(AREA "movl $0x0b0f, 0x800(%rbp); lea 0x800(%rbp), %rax; jmp *%rax"));
SNIPPET(rsp_kernel, LONG("movabs $0xffffffff81000000, %rsp; push %rax; ud2"));
SNIPPET(rsp_noncanonical, LONG("movabs $0x8000000000000000, %rsp; push %rax; ud2"));
SNIPPET(rsp_area, LONG(AREA "lea 0xa000(%rbp), %rsp; ud2"));
SNIPPET(rsp_zero, LONG("xor %esp, %esp; push %rax; ud2"));

Test(direct_hostile, leaving_32bit_mode_ends_the_box)
{
    struct rig r = rig_new();

    DIED(&r, go_64, "64-bit mode (signal 4 at 0x400010)");
    DIED(&r, call_64, "64-bit mode");
    DIED(&r, ret_64, "64-bit mode");
    DIED(&r, iret_64, "64-bit mode");
    DIED(&r, ds_host, "loaded DS with selector 0x33 of the host");
    DIED(&r, gs_host, "loaded GS with selector 0x7b of the host");
    RUN(&r, go_32, DX_EXIT_PRIVILEGED); /* to where it was anyway */
    r.st = rig_state(CODE);
    RUN(&r, ss_host, DX_EXIT_BREAKPOINT);
    r.st = rig_state(CODE);
    DIED(&r, write_cmd, "64-bit mode (signal 11 ");
    DIED(&r, write_image, "64-bit mode (signal 11 ");
    DIED(&r, read_stack, "64-bit mode (signal 11 ");
    DIED(&r, read_kernel, "64-bit mode (signal 11 ");
    DIED(&r, area_code, "64-bit mode (signal 11 ");
    DIED(&r, call_vsyscall, "64-bit mode (signal ");
    DIED(&r, rsp_kernel, "64-bit mode (signal ");
    DIED(&r, rsp_noncanonical, "64-bit mode (signal ");
    DIED(&r, rsp_zero, "64-bit mode (signal ");
    /* a stack pointer inside the signal stack makes the next frame lie elsewhere, or the kernel kill */
    RUN(&r, rsp_area, DX_EXIT_DIED);
    rig_free(&r);
}

/* rt_sigreturn with the last frame, after changing it: RBP is the area, RDX the frame. */
#define SIGRETURN(text)                                            \
    LONG(AREA "mov (%rbp), %rdx; movq $0x400f00, 168(%rdx); " text \
              "; mov %rdx, %rsp; mov $15, %eax; syscall; ud2")
/* The same from a copy of the frame in the guest's memory: from there the signal stack can be changed, too. */
#define COPYRETURN(text)                                                                                    \
    LONG(AREA "mov (%rbp), %rsi; mov $0x502000, %edi; mov $38, %ecx; rep movsq; mov $0x502000, %edx; movq " \
              "$0x400f10, 168(%rdx); " text "; mov %rdx, %rsp; mov $15, %eax; syscall; ud2")
SNIPPET(return_plain, SIGRETURN("movl $0x400000, 0x800(%rbp)"));
SNIPPET(return_blocked, SIGRETURN("movq $-1, 296(%rdx)"));
SNIPPET(return_blocked_fault, SIGRETURN("movq $-1, 296(%rdx); movq $0x400f10, 168(%rdx)"));
SNIPPET(return_stack_low, COPYRETURN("movq $0x504000, 16(%rdx); movl $0, 24(%rdx); movq $0x8000, 32(%rdx)"));
SNIPPET(return_stack_code, COPYRETURN("movq $0x400000, 16(%rdx); movl $0, 24(%rdx); movq $0x4000, 32(%rdx)"));
SNIPPET(return_no_stack, COPYRETURN("movl $2, 24(%rdx); movq $0x601000, 160(%rdx)"));
/* A signal stack of 2^64 bytes that holds every stack pointer, so that no rt_sigreturn sets another, and that ends in the guest's memory;
 * then 64-bit code that stops as if it were the handler. EBX: low half of the stop. */
SNIPPET(return_stack_all,
        COPYRETURN("movabs $0x100000000000, %rax; mov %rax, 16(%rdx); movl $0, 24(%rdx); "
                   "movabs $0x508000 - 0x100000000000, %rax; mov %rax, 32(%rdx); "
                   "movw $0x33, 184(%rdx); movq $0x400800, 168(%rdx); mov %rbx, 128(%rdx)"));
SNIPPET(stop_by_hand,
        ".code64; movabs $0x100000000000, %rcx; or %rbx, %rcx; mov $39, %eax; jmp *%rcx; .code32");
SNIPPET(return_fpstate, SIGRETURN("movq $0x400000, 224(%rdx)"));
SNIPPET(return_fpstate_kernel, SIGRETURN("movabs $0xffffffff81000000, %rax; mov %rax, 224(%rdx)"));
SNIPPET(return_cs_kernel, SIGRETURN("movw $0x10, 184(%rdx)"));
SNIPPET(return_cs_ldt, SIGRETURN("movw $0xffff, 184(%rdx)"));
SNIPPET(return_flags, SIGRETURN("movq $-1, 176(%rdx)"));
SNIPPET(return_ip_kernel,
        SIGRETURN("movw $0x33, 184(%rdx); movabs $0xffffffff81000000, %rax; mov %rax, 168(%rdx)"));
SNIPPET(return_ip_noncanonical,
        SIGRETURN("movw $0x33, 184(%rdx); movabs $0x8000000000000000, %rax; mov %rax, 168(%rdx)"));
SNIPPET(return_garbage, LONG("mov $0x500000, %esp; mov $15, %eax; syscall; ud2"));

static void put_loop(struct rig *r)
{
    r->ram[CODE_AT + 0xf00] = 0xeb; /* jmp $ */
    r->ram[CODE_AT + 0xf01] = 0xfe;
    r->ram[CODE_AT + 0xf10] = 0x0f; /* ud2 */
    r->ram[CODE_AT + 0xf11] = 0x0b;
}

Test(direct_hostile, forged_signal_frames, .timeout = 120)
{
    struct rig r = rig_new();
    struct later l;

    put_loop(&r);
    kick_in(&l, &r, 20); /* a frame that 32-bit code could be in: it just runs, and stops when told */
    RUN(&r, return_plain, DX_EXIT_KICKED);
    kick_join(&l);
    cr_assert_eq(r.st.eip, LOOP_AT);
    rig_revive(&r);
    kick_in(&l, &r, 20); /* deaf to signals */
    RUN(&r, return_blocked, DX_EXIT_DIED);
    kick_join(&l);
    cr_assert(strstr(r.x.why, "did not answer"), "%s", r.x.why);
    rig_revive(&r);
    DIED(&r, return_blocked_fault, "killed by signal 4 ");
    DIED(&r, return_stack_low, "moved the signal frame");
    DIED(&r, return_stack_code, "killed by signal 11 ");
    BOUNDED(&r, return_no_stack);
    BOUNDED(&r, return_fpstate);
    BOUNDED(&r, return_fpstate_kernel);
    BOUNDED(&r, return_ip_kernel);
    BOUNDED(&r, return_ip_noncanonical);
    BOUNDED(&r, return_garbage);
    BOUNDED(&r, return_cs_ldt);
    BOUNDED(&r, return_cs_kernel);
    rig_load(&r, return_flags, return_flags_end);
    rig_enter(&r); /* TF and AC among them */
    cr_assert_eq(r.x.kind, DX_EXIT_STEP, "%u: %s", r.x.kind, r.x.why);
    cr_assert_eq(r.st.eflags & ~DX_EFLAGS, 2);
    rig_free(&r);
}

/* What such a guest leaves behind must not meet the next context: the wipe finds it. */
Test(direct_hostile, a_changed_signal_stack_does_not_survive_a_wipe)
{
    struct rig r = rig_new();

    r.st.gpr[DX_EBX] = (u32)r.b->guest.ip - 2;
    memcpy(r.ram + CODE_AT + 0x800, stop_by_hand, (size_t)(stop_by_hand_end - stop_by_hand));
    rig_load(&r, return_stack_all, return_stack_all_end);
    rig_enter(&r); /* looks like an exit: the frame is the last entry's */
    cr_assert_neq(r.x.kind, DX_EXIT_REFUSED);
    cr_log_info("exit %u: %s", r.x.kind, r.x.why);
    if (dx_wipe(r.b) == 0) { /* a kernel that sets the stack back all the same */
        r.st = rig_state(CODE);
        cr_assert_eq(rig_enter(&r), DX_EXIT_PAGE_FAULT);
    } else {
        cr_assert(dx_box_dead(r.b));
    }
    rig_free(&r);
}

SNIPPET(
    stop_later,
    ".code64; mov $50000000, %ecx; 1: loop 1b; movabs $0x100000000000, %rcx; or %rbx, %rcx; mov $39, %eax; "
    "jmp *%rcx; .code32");

static void *ask_inside(void *arg)
{
    struct dx_box *b = arg;

    while (!(atomic_load(&b->kick) & KICK_INSIDE))
        ;
    atomic_fetch_or(&b->kick, KICK_ASKED);
    return NULL;
}

/* As on kernels before 5.19: a signal ends a stop unless it is blocked. The handler blocks it; code that stops by hand does not. */
Test(direct_hostile, older_kernels_need_signals_blocked)
{
    struct rig r = rig_new();

    dx_box_free(r.b);
    r.dx->plain_wait = true;
    rig_box(&r);
    cr_assert_not(r.b->killable_wait);
    cr_assert_not(dx_caps(r.dx)->sync_wake);
    put_loop(&r);
    for (unsigned i = 0; i < 20; i++) {
        struct later l;
        r.st = rig_state(LOOP_AT);
        kick_in(&l, &r, 2);
        cr_assert_eq(rig_enter(&r), DX_EXIT_KICKED, "exit %u: %s", r.x.kind, r.x.why);
        kick_join(&l);
    }
    /* a stop by hand, 64-bit, after a while; first alone, then with a kick that was asked for but whose signal is not there yet */
    memcpy(r.ram + CODE_AT + 0x810, stop_later, (size_t)(stop_later_end - stop_later));
    memcpy(r.ram + CODE_AT + 0x800, "\xea\x10\x08\x40\x00\x33\x00", 7); /* ljmp 33h:400810h */
    for (unsigned late = 0; late < 2; late++) {
        pthread_t t;
        rig_revive(&r);
        r.st.eip = CODE + 0x800;
        r.st.gpr[DX_EBX] = (u32)r.b->guest.ip - 2;
        if (late)
            cr_assert_eq(pthread_create(&t, NULL, ask_inside, r.b), 0);
        rig_enter(&r);
        if (late)
            pthread_join(t, NULL);
        cr_assert_eq(r.x.kind == DX_EXIT_DIED, late, "exit %u: %s", r.x.kind, r.x.why);
    }
    cr_assert_str_eq(r.x.why, "guest code unblocked signals");
    rig_free(&r);
}

SNIPPET(spin_64, LONG("1: jmp 1b"));
SNIPPET(trap_flag, LONG("pushf; orl $0x44100, (%rsp); mov %eax, %ecx; mov %rbx, %rax; shl $32, %rcx; or "
                        "%rcx, %rax; popf; jmp *%rax"));
/* EBX: low half of where to go in the image; the area is filled from DATA first. */
SNIPPET(scribble,
        LONG(AREA "mov %rbp, %rdi; mov $0x500000, %esi; mov $0x2000, %ecx; rep movsq; "
                  "movabs $0x100000000000, %rax; or %rbx, %rax; mov $39, %eax; movabs $0x100000000000, %rcx; "
                  "or %rbx, %rcx; jmp *%rcx"));
SNIPPET(checks, "pushf; pop %esi; mov %gs:(%edi), %edi; hlt");

/* The state asked for is the state that runs, whatever was before. */
static void next_entry_is_exact(struct rig *r)
{
    r->st = rig_state(CODE);
    for (unsigned i = 0; i < 8; i++)
        r->st.gpr[i] = i * 0x01010101;
    r->st.gpr[DX_ESP] = STACK;
    r->st.gpr[DX_EDI] = 4;
    r->st.seg[DX_GS].base = DATA;
    *(u32 *)(r->ram + DATA_AT + 4) = 0x600d;
    rig_load(r, checks, checks_end);
    while (rig_enter(r) == DX_EXIT_KICKED) /* the state is exact, so going on is right */
        ;
    cr_assert_eq(r->x.kind, DX_EXIT_PRIVILEGED, "exit %u: %s", r->x.kind, r->x.why);
    cr_assert_eq(r->st.gpr[DX_EAX], 0);
    cr_assert_eq(r->st.gpr[DX_ECX], 0x01010101);
    cr_assert_eq(r->st.gpr[DX_EBX], 0x03030303);
    cr_assert_eq(r->st.gpr[DX_EDI], 0x600d);
    cr_assert_eq(r->st.gpr[DX_ESI], 0x202, "%x", r->st.gpr[DX_ESI]);
    r->st = rig_state(CODE);
}

struct ticks {
    _Atomic(struct dx_box *) box;
    _Atomic bool stop;
    pthread_mutex_t alive; /* the box is not freed while it is kicked */
};

static void *tick(void *arg)
{
    struct ticks *t = arg;

    while (!t->stop) {
        usleep(20000);
        pthread_mutex_lock(&t->alive);
        dx_kick(t->box);
        pthread_mutex_unlock(&t->alive);
    }
    return NULL;
}

/* The exit area full of anything, then a jump to anywhere in the trampoline. */
Test(direct_hostile, scribbled_area, .timeout = 240)
{
    struct rig r = rig_new();
    struct ticks ticks = {.box = r.b, .alive = PTHREAD_MUTEX_INITIALIZER};
    u32 seed = 12345, survived = 0;
    pthread_t ticker;

    cr_assert_eq(pthread_create(&ticker, NULL, tick, &ticks), 0);
    for (unsigned n = 0; n < 300; n++) {
        u32 *data = (u32 *)(r.ram + DATA_AT);
        u32 stop;
        pthread_mutex_lock(&ticks.alive);
        rig_revive(&r);
        ticks.box = r.b;
        pthread_mutex_unlock(&ticks.alive);
        stop = (u32)r.b->guest.ip;
        put_loop(&r);
        for (u32 i = 0; i < DX_AREA_BYTES / 4; i++) {
            seed = seed * 1664525 + 1013904223;
            /* noise, zeros, ones, or what was there */
            data[i] = n % 4 == 0 ? seed : n % 4 == 1 ? 0 : n % 4 == 2 ? ~0u : ((u32 *)r.b->area)[i];
        }
        if (n % 4 == 3) { /* nearly right: some words changed */
            for (unsigned k = 0; k < 1 + n % 5; k++) {
                seed = seed * 1664525 + 1013904223;
                data[(seed >> 8) % (DX_AREA_BYTES / 4)] = seed;
                data[r.b->uc_off / 4 + (seed >> 4) % 76] = seed >> (n % 24);
            }
        }
        /* the stop itself mostly, or some instruction around */
        r.st.gpr[DX_EBX] = n % 3 ? stop - 2 : stop - 0x50 + seed % 0xa0;
        rig_load(&r, scribble, scribble_end);
        rig_enter(&r);
        cr_assert_lt(r.x.kind, DX_EXIT_COUNT);
        survived += r.x.kind != DX_EXIT_DIED;
        if (r.x.kind != DX_EXIT_DIED)
            next_entry_is_exact(&r);
    }
    ticks.stop = true;
    pthread_join(ticker, NULL);
    cr_assert_gt(survived, 0);
    cr_log_info("%u of 300 survived", survived);
    rig_free(&r);
}

Test(direct_hostile, endless_64bit_loop_ends_at_a_kick)
{
    struct rig r = rig_new();
    struct later l;

    kick_in(&l, &r, 20);
    RUN(&r, spin_64, DX_EXIT_DIED);
    kick_join(&l);
    cr_assert(strstr(r.x.why, "64-bit mode (signal 23 "), "%s", r.x.why);
    rig_free(&r);
}

Test(direct_hostile, trap_and_alignment_flags_in_the_trampoline)
{
    struct rig r = rig_new();

    for (i32 off = -0x42; off <= 0x40; off++) {
        rig_revive(&r);
        u64 ip = r.b->guest.ip + (u64)(i64)off;
        r.st.gpr[DX_EBX] = (u32)ip;
        r.st.gpr[DX_EAX] = (u32)(ip >> 32);
        rig_load(&r, trap_flag, trap_flag_end);
        rig_enter(&r);
        cr_assert_eq(r.x.kind, DX_EXIT_DIED, "offset %d: exit %u", off, r.x.kind);
    }
    rig_revive(&r);
    next_entry_is_exact(&r);
    rig_free(&r);
}

/* What the box has ---------------------------------------------------------------------------------------------------- */

static char *read_file(const char *path)
{
    char *text = calloc(1, 65536);
    FILE *f = fopen(path, "r");

    cr_assert_not_null(f, "%s", path);
    cr_assert_not_null(text);
    cr_assert_gt(fread(text, 1, 65535, f), 0);
    fclose(f);
    return text;
}

static char *proc(const struct rig *r, pid_t tid, const char *what)
{
    char path[96];

    snprintf(path, sizeof(path), "/proc/%d/task/%d/%s", dx_box_pid(r->b), (int)tid, what);
    return read_file(path);
}

/* Say a property, and find it in the page about security as the code `text`. */
static void documented(const char *docs, const char *text)
{
    char quoted[256];

    snprintf(quoted, sizeof(quoted), "`%s`", text);
    printf("sandbox: %s\n", text);
    cr_assert(strstr(docs, quoted), "docs/security.md does not say %s", quoted);
}

Test(direct_hostile, mappings_are_as_documented)
{
    struct rig r = rig_new();
    char *docs = read_file("docs/security.md"), *line, *save, *maps;
    unsigned guest = 0, own = 0;

    maps = proc(&r, r.b->guest.tid, "maps");
    for (line = strtok_r(maps, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        unsigned long long lo, hi, off;
        char perms[8] = "", name[64] = "", text[160];
        cr_assert_geq(sscanf(line, "%llx-%llx %7s %llx %*s %*s %63s", &lo, &hi, perms, &off, name), 4);
        if (hi <= 1ull << 32) {
            cr_assert_str_eq(name, "/memfd:ram");
            guest++;
            continue;
        }
        if (strcmp(name, "[vsyscall]") == 0)
            continue; /* in the kernel's half of every process; it traps, see above */
        snprintf(text, sizeof(text), "%llx-%llx %s %s", lo, hi, perms, name);
        documented(docs, text);
        own++;
    }
    cr_assert_eq(guest, 3);
    cr_assert_eq(own, 3);
    cr_assert(strstr(docs, "[vsyscall]"));
    free(maps);
    free(docs);
    rig_free(&r);
}

static unsigned count_fds(const struct rig *r, pid_t tid, char *first, size_t room)
{
    char path[96];
    unsigned n = 0;

    for (unsigned fd = 0; fd < 1024; fd++) {
        char target[64] = "";
        snprintf(path, sizeof(path), "/proc/%d/task/%d/fd/%u", dx_box_pid(r->b), (int)tid, fd);
        if (readlink(path, target, sizeof(target) - 1) > 0 && n++ == 0)
            snprintf(first, room, "%s", target);
    }
    return n;
}

Test(direct_hostile, descriptors_and_privileges_are_as_documented)
{
    struct rig r = rig_new();
    char *docs = read_file("docs/security.md"), fd[64] = "", text[96];

    cr_assert_neq(r.b->guest.tid, r.b->mapper.tid);
    cr_assert_eq(count_fds(&r, r.b->guest.tid, fd, sizeof(fd)), 0);
    documented(docs, "guest thread: no descriptors");
    cr_assert_eq(count_fds(&r, r.b->mapper.tid, fd, sizeof(fd)), 1);
    cr_assert_str_eq(fd, "/memfd:ram (deleted)");
    documented(docs, "mapper thread: one descriptor, guest RAM");
    for (unsigned i = 0; i < 2; i++) {
        char *status = proc(&r, i ? r.b->mapper.tid : r.b->guest.tid, "status");
        cr_assert(strstr(status, "NoNewPrivs:\t1\n"));
        cr_assert(strstr(status, "Seccomp:\t2\n"));
        free(status);
    }
    char *limits = proc(&r, r.b->guest.tid, "limits");
    cr_assert(strstr(limits, "Max core file size        0 "));
    free(limits);
    snprintf(text, sizeof(text), "guest thread: rt_sigreturn (%d), timer_settime (%d), getpid (%d)",
             SYS_rt_sigreturn, SYS_timer_settime, DX_STOP_NR);
    documented(docs, text);
    snprintf(text, sizeof(text),
             "mapper thread: mmap (%d), mprotect (%d), munmap (%d), modify_ldt (%d), getpid (%d)", SYS_mmap,
             SYS_mprotect, SYS_munmap, SYS_modify_ldt, DX_STOP_NR);
    documented(docs, text);
    cr_assert_eq(getsid(dx_box_pid(r.b)), dx_box_pid(r.b));
    free(docs);
    rig_free(&r);
}

/* What containers refuse, older ones two of our calls as well. */
static const u16 container_refuses[] = {
    SYS_ptrace,
    SYS_mount,
    SYS_unshare,
    SYS_setns,
    SYS_keyctl,
    SYS_bpf,
    SYS_kcmp,
    SYS_userfaultfd,
    SYS_reboot,
    SYS_swapon,
    SYS_perf_event_open,
    SYS_process_vm_readv,
    SYS_init_module,
    438 /* pidfd_getfd */,
    436 /* close_range */,
    424 /* pidfd_send_signal */,
};

static int refuse_calls(const u16 *calls, unsigned count)
{
    struct sock_filter f[2 * ARRAY_SIZE(container_refuses) + 2];
    unsigned n = 0;

    f[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0);
    for (unsigned i = 0; i < count; i++) {
        f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, calls[i], 0, 1);
        f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
    }
    f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog prog = {(u16)n, f};
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog);
}

/* An ordinary user, no capabilities, no new privileges, a container's usual refusals. */
Test(direct_hostile, needs_no_privileges)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        char why[DX_WHY_BYTES];
        if (getuid() == 0 && (setgid(65534) || setuid(65534)))
            _exit(1);
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        if (refuse_calls(container_refuses, ARRAY_SIZE(container_refuses)))
            _exit(3);
        if (dx_probe(why)) {
            fprintf(stderr, "%s\n", why);
            _exit(2);
        }
        _exit(0);
    }
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", status);
}

/* Whatever call of ours a host refuses: the probe ends, and either it works without or says in one line what is wrong. */
Test(direct_hostile, every_refusal_is_a_message, .timeout = 120)
{
    static const u16 calls[] = {SYS_memfd_create, SYS_clone,      SYS_execveat,  SYS_socketpair,
                                SYS_sendmsg,      SYS_recvmsg,    SYS_seccomp,   SYS_prctl,
                                SYS_personality,  SYS_mremap,     SYS_munmap,    SYS_sched_setaffinity,
                                SYS_rt_sigaction, SYS_setsid,     SYS_prlimit64, SYS_getppid,
                                SYS_modify_ldt,   SYS_arch_prctl, SYS_ioctl,     SYS_ftruncate,
                                SYS_waitid,       SYS_tgkill,     SYS_fcntl,     SYS_dup2,
                                SYS_pwrite64,     SYS_write,      SYS_poll,      SYS_rt_sigprocmask};
    unsigned works = 0;

    for (unsigned i = 0; i < ARRAY_SIZE(calls); i++) {
        pid_t pid = fork();
        int status;
        if (pid == 0) {
            char why[DX_WHY_BYTES] = "";
            prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
            if (refuse_calls(&calls[i], 1))
                _exit(3);
            _exit(dx_probe(why) == 0 ? 0 : why[0] && !strchr(why, '\n') ? 1 : 2);
        }
        cr_assert_eq(waitpid(pid, &status, 0), pid);
        cr_assert(WIFEXITED(status) && WEXITSTATUS(status) < 2, "call %u: status %x", calls[i], status);
        works += WEXITSTATUS(status) == 0;
    }
    cr_assert_geq(works, 3); /* setsid, modify_ldt, mremap are not needed everywhere */
}
