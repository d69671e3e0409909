/*
 * gate.c - the way into translated code and out of it.
 *
 * The gates are emitted once into the fixed part of the code cache, so that a signal handler can tell by address whether the
 * CPU thread is inside guest-visible state (anywhere in the cache) or in C. A stop that is asked for while the thread is in
 * a gate is honoured at the next instruction boundary: the enter and callout gates test cpu->kick as their first act,
 * and a signal that comes later single-steps to the boundary (signal.c).
 *
 * Guarantees: leaving stores every guest register; entering loads every one; host RSP is the C stack exactly
 * while C code runs.
 */
#include <string.h>

#include "bt/internal.h"

/* Guest registers that live in host registers of another number: only ESP. */
static u8 host_of(unsigned gpr)
{
    return gpr == R_ESP ? G_ESP : (u8)gpr;
}

static struct hop cpu_at(i32 disp)
{
    return hop_base(H_CPU, disp);
}

static void emit_store_gprs(struct emit *e)
{
    for (unsigned r = 0; r < 8; r++) {
        struct hop m = cpu_at(CPU_DISP(gpr) + (i32)r * 4);
        em_store(e, 4, &m, host_of(r));
    }
}

static void emit_load_gprs(struct emit *e)
{
    for (unsigned r = 0; r < 8; r++) {
        struct hop m = cpu_at(CPU_DISP(gpr) + (i32)r * 4);
        em_load(e, 4, host_of(r), &m);
    }
}

/* Store flags: pushfq; pop rax; and eax, FL_ARITH; mov [flags], eax. Clobbers rax: registers are stored before. */
static void emit_store_flags(struct emit *e)
{
    struct hop m = cpu_at(CPU_DISP(flags));
    em8(e, 0x9c); /* pushfq */
    em8(e, 0x58); /* pop rax */
    em8(e, 0x25); /* and eax, imm32 */
    em32(e, FL_ARITH);
    em_store(e, 4, &m, H_RAX);
}

static void emit_load_flags(struct emit *e)
{
    struct hop m = cpu_at(CPU_DISP(flags));
    em_load(e, 4, H_RAX, &m); /* rax is loaded later */
    em8(e, 0x50);             /* push rax */
    em8(e, 0x9d);             /* popfq */
}

static void emit_store_imm(struct emit *e, unsigned size, i32 disp, u32 imm)
{
    struct hop m = cpu_at(disp);
    em_store_imm(e, size, &m, imm);
}

static void emit_pop_host(struct emit *e)
{
    static const u8 pops[] = {0x41, 0x5f, 0x41, 0x5e, 0x41, 0x5d, 0x41, 0x5c, 0x5d, 0x5b, 0xc3};
    /* pop r15; pop r14; pop r13; pop r12; pop rbp; pop rbx; ret */
    em_bytes(e, pops, sizeof(pops));
}

/* XMM0-7 to (11) or from (10) their places in the FXSAVE image: C code may use them, it never touches x87. */
static void emit_xmm(struct emit *e, u8 opcode)
{
    for (u8 i = 0; i < 8; i++) {
        struct hop m = cpu_at(CPU_DISP(fpu) + 160 + 16 * i);
        em_rm(e, EM_MAP(1), opcode, i, &m); /* movups */
    }
}

/* Tail of every exit: all guest registers are stored, rsp is the return stack. Returns exit_kind to C. */
static void emit_leave_tail(struct emit *e)
{
    struct hop ret_sp = cpu_at(CPU_DISP(ret_sp)), c_sp = cpu_at(CPU_DISP(c_sp)),
               kind = cpu_at(CPU_DISP(exit_kind));
    emit_xmm(e, 0x11);
    em_store(e, 8, &ret_sp, H_RSP);
    em_load(e, 8, H_RSP, &c_sp);
    em_load(e, 1, H_RAX, &kind);
    em_lea(e, 8, H_RSP, &(struct hop){.base = H_RSP, .index = H_NONE, .scale = 1, .disp = 8});
    emit_pop_host(e);
}

static void emit_leave(struct emit *e, enum bt_exit_kind kind, bool store_eip)
{
    if (store_eip) {
        struct hop eip = cpu_at(CPU_DISP(eip));
        em_store(e, 4, &eip, H_R9);
    }
    emit_store_imm(e, 1, CPU_DISP(exit_kind), kind);
    emit_store_gprs(e);
    emit_store_flags(e);
    emit_leave_tail(e);
}

/* The guest's FPU state: all of it if it was saved, else only what C may have changed. rax free. */
static void emit_fpu_restore(struct emit *e)
{
    struct hop saved = cpu_at(CPU_DISP(fpu_saved)), image = cpu_at(CPU_DISP(fpu));
    em_rm(e, 0, 0x80, 7, &saved); /* cmp byte [fpu_saved], 0 */
    em8(e, 0);
    u8 *part = em_jcc8(e, 4);
    em_rm(e, EM_W | EM_MAP(1), 0xae, 1, &image); /* fxrstor64 */
    em_store_imm(e, 1, &saved, 0);
    u8 *done = em_jmp8(e);
    em_here(e, part);
    emit_xmm(e, 0x10);
    em_here(e, done);
}

/* if (cpu->kick) leave with BT_EXIT_ASYNC; guest state is in memory, rsp is the C stack. */
static void emit_kick_test(struct emit *e, u64 leave)
{
    struct hop kick = cpu_at(CPU_DISP(kick));
    em_rm(e, 0, 0x83, 7, &kick);
    em8(e, 0);
    em_jcc_to(e, 5, leave);
}

static u64 here(const struct emit *e)
{
    return e->exec + em_off(e);
}

static void emit_gate_signal(struct bt *bt, struct emit *e)
{
    bt->gate[GATE_SIGNAL] = here(e);
    emit_leave_tail(e);
}

/* Registers in memory, on the C stack: return exit_kind. */
static u64 emit_return_async(struct emit *e)
{
    u64 at = here(e);
    struct hop kind = cpu_at(CPU_DISP(exit_kind));
    emit_store_imm(e, 1, CPU_DISP(exit_kind), BT_EXIT_ASYNC);
    em_load(e, 1, H_RAX, &kind);
    em_lea(e, 8, H_RSP, &(struct hop){.base = H_RSP, .index = H_NONE, .scale = 1, .disp = 8});
    emit_pop_host(e);
    return at;
}

/* void gate(struct cpu *biased): rdi = cpu + CPU_BIAS */
static void emit_gate_enter(struct bt *bt, struct emit *e)
{
    static const u8 pushes[] = {0x53, 0x55, 0x41, 0x54, 0x41, 0x55, 0x41, 0x56, 0x41, 0x57};
    struct hop c_sp = cpu_at(CPU_DISP(c_sp)), ret_sp = cpu_at(CPU_DISP(ret_sp)),
               pc = cpu_at(CPU_DISP(enter_pc));
    u64 async = emit_return_async(e);
    bt->gate[GATE_ENTER] = here(e);
    em_bytes(e, pushes, sizeof(pushes)); /* push rbx rbp r12 r13 r14 r15 */
    em_lea(e, 8, H_RSP, &(struct hop){.base = H_RSP, .index = H_NONE, .scale = 1, .disp = -8}); /* align */
    em_mov(e, H_CPU, H_RDI);
    em_store(e, 8, &c_sp, H_RSP);
    emit_kick_test(e, async);
    emit_fpu_restore(e);
    em_load(e, 8, H_RSP, &ret_sp);
    emit_load_flags(e);
    emit_load_gprs(e);
    em_rm(e, 0, 0xff, 4, &pc); /* jmp [enter_pc] */
}

/* Called from a block: return address on the return stack, r10 = instruction record, cpu->eip set. */
static void emit_gate_callout(struct bt *bt, struct emit *e)
{
    struct hop ret = cpu_at(CPU_DISP(callout_ret)), ret_sp = cpu_at(CPU_DISP(ret_sp)),
               c_sp = cpu_at(CPU_DISP(c_sp));
    struct hop fn = cpu_at(CPU_DISP(emulate)), cpu = hop_base(H_CPU, -CPU_BIAS),
               kind = cpu_at(CPU_DISP(exit_kind)), eip = cpu_at(CPU_DISP(eip));

    u64 async = emit_return_async(e), leave = here(e);
    em8(e, 0x3c); /* cmp al, BT_LEAVE */
    em8(e, BT_LEAVE);
    u8 *jump = em_jcc8(e, 5);
    em_load(e, 1, H_RAX, &kind);
    em_lea(e, 8, H_RSP, &(struct hop){.base = H_RSP, .index = H_NONE, .scale = 1, .disp = 8});
    emit_pop_host(e);
    em_here(e, jump); /* BT_JUMP */
    emit_kick_test(e, async);
    emit_fpu_restore(e);
    em_load(e, 8, H_RSP, &ret_sp);
    emit_load_flags(e);
    emit_load_gprs(e);
    em_load(e, 4, H_R9, &eip);
    em_jmp_to(e, bt->gate[GATE_LOOKUP]);

    bt->gate[GATE_CALLOUT] = here(e);
    em_rm(e, 0, 0x8f, 0, &ret); /* pop qword [callout_ret] */
    emit_store_gprs(e);
    emit_store_flags(e);
    emit_xmm(e, 0x11);
    em_store(e, 8, &ret_sp, H_RSP);
    em_load(e, 8, H_RSP, &c_sp);
    em_lea(e, 8, H_RDI, &cpu);
    em_mov(e, H_RSI, H_R10);
    em_rm(e, 0, 0xff, 2, &fn); /* call [emulate] */
    em8(e, 0x85);
    em8(e, 0xc0); /* test eax, eax */
    em_jcc_to(e, 5, leave);
    emit_kick_test(e, async);
    emit_fpu_restore(e);
    em_load(e, 8, H_RSP, &ret_sp);
    em_rm(e, 0, 0xff, 6, &ret); /* push [callout_ret]: paired with the call for the return predictor */
    emit_load_flags(e);
    emit_load_gprs(e);
    em8(e, 0xc3);
}

/* Drop the record, 16 bytes; a sentinel (bits 33:32 = 01, which no sign-extended push makes) stays. */
static void emit_drop_record(struct emit *e)
{
    em_load(e, 8, H_R10, &(struct hop){.base = H_RSP, .index = H_NONE, .scale = 1, .disp = 8});
    em_mov_imm(e, H_R11, 30);
    em_shift(e, 8, 'l', H_R10, H_R10, H_R11);
    em_mov_imm(e, H_R11, 62);
    em_shift(e, 8, 'r', H_R10, H_R10, H_R11);
    em_load(e, 1, H_R10, &(struct hop){.base = H_CPU, .index = H_R10, .scale = 1, .disp = CPU_DISP(ret_pop)});
    em_lea_sum(e, 8, H_RSP, H_RSP, H_R10, 1);
}

/* The same as GATE_RET below with r12d for r9d, dropping the record or not. */
static void emit_ret_by_key(struct bt *bt, struct emit *e, bool keep)
{
    bt->gate[keep ? GATE_RET_KEEP : GATE_RET_KEY] = here(e);
    em_mov(e, H_R10, H_RCX);
    em_load(e, 4, H_RCX, &(struct hop){.base = H_RSP, .index = H_NONE, .scale = 1, .disp = 8});
    em_lea_sum(e, 4, H_RCX, H_RCX, H_R12, 1);
    u8 *hit = em_jrcxz(e);
    em_mov(e, H_RCX, H_R10);
    if (!keep)
        emit_drop_record(e);
    em_jmp_to(e, bt->gate[GATE_LOOKUP]);
    em_here(e, hit);
    em_mov(e, H_RCX, H_R10);
    em8(e, 0xc3);
}

/* r9d = target EIP: look it up in the window's jump cache. Flags kept; clobbers r10..r13. */
static void emit_gate_lookup(struct bt *bt, struct emit *e)
{
    struct hop tag = cpu_at(CPU_DISP(ctx_tag)), jc = cpu_at(CPU_DISP(jcache));
    u8 *hit[BT_JCACHE_WAYS];
    u64 miss = here(e);
    emit_store_imm(e, 4, CPU_DISP(exit_from), 0);
    emit_leave(e, BT_EXIT_LOOKUP, true);

    /* RET: r9d = return EIP, guest ESP moved. Does the record on the return stack say the same? One copy for all blocks: the
     * host predicts its RET by the calls, not by where the RET is. Miss falls through.
     *   mov r10, rcx ; mov ecx, [rsp+8] ; lea ecx, [rcx+r9] ; jrcxz hit ... hit: mov rcx, r10 ; ret */
    const u8 *hit_at = e->p;
    em_mov(e, H_RCX, H_R10);
    em8(e, 0xc3);
    bt->gate[GATE_RET] = here(e);
    em_mov(e, H_R10, H_RCX);
    em_load(e, 4, H_RCX, &(struct hop){.base = H_RSP, .index = H_NONE, .scale = 1, .disp = 8});
    em_lea_sum(e, 4, H_RCX, H_RCX, H_R9, 1);
    em8(e, 0xe3);
    em8(e, (u8)(hit_at - (e->p + 1)));
    em_mov(e, H_RCX, H_R10);
    emit_drop_record(e);
    bt->gate[GATE_LOOKUP] = here(e);
    em_load(e, 8, H_R10, &tag);
    em_lea_sum(e, 8, H_R10, H_R10, H_R9, 1); /* r10 = tag << 32 | eip */
    em_rorx(e, 4, H_R12, H_R9, BT_JCACHE_ROTATE);
    em_lea_sum(e, 4, H_R12, H_R12, H_R9, 1);
    em_mov_imm(e, H_R11, 21);
    em_shift(e, 4, 'l', H_R12, H_R12, H_R11);
    em_mov_imm(e, H_R11, 16);
    em_shift(e, 4, 'r', H_R12, H_R12, H_R11); /* r12 = jcache_set()'s hash * 32 */
    em_load(e, 8, H_R13, &jc);
    em_lea_sum(e, 8, H_R12, H_R12, H_R13, 1);
    em_mov(e, H_R11, H_RCX);
    for (i32 way = 0; way < BT_JCACHE_WAYS; way++) {
        em_load(e, 8, H_RCX, &(struct hop){.base = H_R12, .index = H_NONE, .scale = 1, .disp = 16 * way}); /* minus the tag */
        em_lea_sum(e, 8, H_RCX, H_RCX, H_R10, 1);
        hit[way] = em_jrcxz(e);
    }
    em_mov(e, H_RCX, H_R11);
    em_jmp_to(e, miss);
    for (i32 way = 0; way < BT_JCACHE_WAYS; way++) {
        em_here(e, hit[way]);
        em_mov(e, H_RCX, H_R11);
        em_rm(e, 0, 0xff, 4, &(struct hop){.base = H_R12, .index = H_NONE, .scale = 1, .disp = 16 * way + 8}); /* jmp [r12 + 8] */
    }
}

static void emit_gate_sentinel(struct bt *bt, struct emit *e)
{
    /* A RET matched the sentinel record by chance and consumed its return address: put both back. */
    bt->gate[GATE_SENTINEL] = here(e);
    em_lea(e, 8, H_RSP, &(struct hop){.base = H_RSP, .index = H_NONE, .scale = 1, .disp = -8});
    em_jmp_to(e, bt->gate[GATE_LOOKUP]);
}

int gate_emit(struct bt *bt)
{
    enum { BYTES = 4096 };
    int rc = cc_fixed(bt->cc, BYTES, &bt->gates_off);
    if (rc)
        return rc;
    rc = cc_fixed(bt->cc, BT_STEP_BYTES, &bt->step_off);
    if (rc)
        return rc;
    bt->gates_bytes = BYTES;
    struct emit e = {.base = cc_rw(bt->cc) + bt->gates_off, .exec = (u64)(cc_rx(bt->cc) + bt->gates_off)};
    e.p = e.base;
    e.end = e.base + BYTES;

    emit_gate_enter(bt, &e);
    emit_gate_lookup(bt, &e);
    emit_gate_callout(bt, &e);
    emit_gate_sentinel(bt, &e);
    emit_ret_by_key(bt, &e, false);
    emit_ret_by_key(bt, &e, true);
    emit_gate_signal(bt, &e);

    struct hop from = cpu_at(CPU_DISP(exit_from));
    bt->gate[GATE_LINK] = here(&e);
    em_store(&e, 4, &from, H_R10);
    emit_leave(&e, BT_EXIT_LOOKUP, true);

    bt->gate[GATE_STEP] = here(&e);
    emit_leave(&e, BT_EXIT_STEP, true);

    bt->gate[GATE_STEP_DONE] = here(&e);
    emit_leave(&e, BT_EXIT_LOOKUP, false);
    return e.full ? -ENOSPC : 0;
}

int gate_enter(struct bt *bt, u64 pc)
{
    int (*enter)(u8 * biased);
    u64 at = bt->gate[GATE_ENTER];
    bt->cpu->enter_pc = pc;
    memcpy(&enter, &at, sizeof(enter));
    return enter((u8 *)bt->cpu + CPU_BIAS);
}

void bt_fpu_save(struct cpu *cpu)
{
    static const u32 default_mxcsr = 0x1f80;
    u8 image[512] __attribute__((aligned(16)));
    if (cpu->fpu_saved)
        return;
    cpu->fpu_saved = 1;
    __asm__ volatile("fxsave64 %0" : "=m"(image));
    x87_note_pointers(cpu);
    memcpy(image + 8, &(u64){BT_X87_IP_NONE}, 8);
    __asm__ volatile("fninit\n\tldmxcsr %0" : : "m"(default_mxcsr));
    memcpy(cpu->fpu, image, 160); /* the XMM part is there already, stored by the gate */
}

u64 bt_retstack_reset(struct bt *bt, u8 *top)
{
    /* Layout of a record from its address upwards: host return address, minus the guest return address. */
    u64 *rec = (u64 *)(void *)(top - 16);
    rec[0] = bt->gate[GATE_SENTINEL];
    rec[1] = 1ull << 32 | 1;
    return (u64)rec;
}
