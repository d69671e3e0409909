/*
 * verify.c - an independent check of every emitted block (DESIGN section 7).
 *
 * The translator's isolation is by construction; this file does not trust the construction. It decodes the block's bytes
 * linearly, first the hot part, then the stubs in the cold one, and accepts only: computation on registers; accesses to
 * the window (gs: with 67h); reads of the CPU struct and writes of the few fields below, through r15, which is never written;
 * the guard stubs' look into the code map; the return stack in its exact idioms, so that RET can only meet addresses that a
 * CALL here has pushed; repeated string instructions in the one sequence that turns rsi and rdi into window pointers and
 * back, between STD and CLD if need be; and direct jumps to this block's own instructions, its exits' targets or a gate. Whatever guest
 * bytes gave a
 * block that passes, it cannot reach host memory outside the window and those fields, and no patch of an exit changes that.
 * The gates themselves are written by hand and not checked here.
 *
 * Offsets are of one space: the hot part's bytes, then the cold part's.
 * Reading order: struct scan (what is open at this point), check_insn(), then the idioms.
 */
#include "bt/verify.h"

#include <stdio.h>
#include <string.h>

#define REG(r) BIT(r)
#define SCRATCH (REG(H_R9) | REG(H_R10) | REG(H_R11) | REG(H_R12) | REG(H_R13) | REG(H_R14))
/* Guest registers whose upper halves stay zero by never being written 64 bits wide; the others are so in idioms only. */
#define NARROW (REG(H_RBX) | REG(H_RBP) | REG(H_RSI) | REG(H_RDI) | REG(H_R8))

enum {
    BITS_BYTES = (BT_BLOCK_BYTES + BT_COLD_BYTES) / 8,
    CODE_MAP_BYTES = 4 << 20, /* 2^20 entries of 4 bytes */
};

enum open_stack {
    STACK_EVEN,   /* nothing of this instruction on the return stack */
    STACK_RECORD, /* minus the guest's return address was pushed: a CALL must follow */
    STACK_CALLED, /* back from that CALL: the record must be dropped */
    STACK_FLAGS,  /* pushfq: a pop must follow */
};

struct scan {
    const struct bt *bt;
    const struct cc_block *b;
    u32 at; /* offset of the current instruction */
    u8 boundary[BITS_BYTES], target[BITS_BYTES];
    const char *why;
    enum open_stack stack;
    bool window_in_r9;              /* r9 = window base */
    u16 pointers;                   /* rsi, rdi that are 64-bit window pointers now */
    bool backward;                  /* DF is set: only the string sequence, then CLD */
    bool string_done;               /* the string instruction of the open sequence was met */
    bool eip_stored, record_in_r10; /* callout sequence, in this order */
    bool map_in_r10;                /* r10 = code map: the guard stub's read follows */
};

static void bit_set(u8 *bits, u32 n)
{
    bits[n / 8] |= (u8)(1u << (n % 8));
}

static bool bit_test(const u8 *bits, u32 n)
{
    return bits[n / 8] >> (n % 8) & 1;
}

static bool refuse(struct scan *s, const char *why)
{
    s->why = why;
    return false;
}

/* ---- the space of offsets ---- */

static u32 block_end(const struct scan *s)
{
    return s->b->code_len + s->b->cold_len;
}

/* Cache offset of an offset in the block; of the current instruction. */
static u32 cache_offset(const struct cc_block *b, u32 off)
{
    return off < b->code_len ? b->code_off + off : b->cold_off + (off - b->code_len);
}

static u32 cache_at(const struct scan *s)
{
    return cache_offset(s->b, s->at);
}

/* Cache offset to offset in the block; false when it lies elsewhere. */
static bool inside(const struct scan *s, u64 cache_off, u32 *off)
{
    u64 hot = cache_off - s->b->code_off, cold = cache_off - s->b->cold_off;
    if (hot < s->b->code_len)
        *off = (u32)hot;
    else if (cold < s->b->cold_len)
        *off = s->b->code_len + (u32)cold;
    else
        return false;
    return true;
}

/* Is there an instruction of this block at the cache offset? */
static bool own_insn(const struct scan *s, u64 cache_off)
{
    u32 off;
    return inside(s, cache_off, &off) && bit_test(s->boundary, off);
}

/* The current instruction, which must not reach beyond its part of the block. */
static bool decode_here(struct scan *s, struct dec_host_insn *h)
{
    u32 end = s->at < s->b->code_len ? s->b->code_len : block_end(s);
    return !dec_host_decode(h, cc_rw(s->bt->cc) + cache_at(s), end - s->at) ||
           refuse(s, "bytes that are no instruction");
}

/* Where a relative jump or call leads, as a cache offset. Beyond 4 GiB when it is before the cache. */
static u64 leads_to(const struct scan *s, const struct dec_host_insn *h)
{
    return (u64)cache_at(s) + h->len + h->imm;
}

/* ---- memory and registers ---- */

/* Fields of the CPU struct that a block may write. */
static bool writable_field(i64 off, u32 size)
{
    static const struct {
        u16 off, size;
    } fields[] = {
        {offsetof(struct cpu, eip), 4},       {offsetof(struct cpu, df), 4},
        {offsetof(struct cpu, iflag), 1},     {offsetof(struct cpu, inhibit), 1},
        {offsetof(struct cpu, exit_from), 4}, {offsetof(struct cpu, selfchecks), 4},
        {offsetof(struct cpu, ctx_tag), 8},
    };
    /* Selectors; bases, which move accesses within the window only. */
    for (unsigned seg = 0; seg < SEG_COUNT; seg++)
        if ((off == (i64)offsetof(struct cpu, seg_base[seg]) && size == 4) ||
            (off == (i64)offsetof(struct cpu, seg[seg].sel) && size == 2))
            return true;
    for (unsigned i = 0; i < ARRAY_SIZE(fields); i++)
        if (off == fields[i].off && size == fields[i].size)
            return true;
    return false;
}

static bool check_cpu_access(struct scan *s, const struct dec_host_insn *h)
{
    i64 off = h->mem_disp + CPU_BIAS;
    if (h->mem_adsz != 8 || h->mem_index != DEC_NO_REG || h->mem_seg != DEC_HOST_SEG_NONE)
        return refuse(s, "CPU struct reached in an unknown way");
    if (off < 0 || off + h->mem_bytes > (i64)sizeof(struct cpu))
        return refuse(s, "access beyond the CPU struct");
    if (h->mem_write && (h->mem_read || !writable_field(off, h->mem_bytes)))
        return refuse(s, "write to a CPU field that blocks may not change");
    if (h->mem_read && h->mem_bytes == 8 && (h->gpr_written & ~SCRATCH))
        return refuse(s, "host pointer loaded into a guest register");
    return true;
}

/* mov ecx, [r10 + page * 4] of a guard stub: the only access through a scratch register. */
static bool reads_code_map(const struct scan *s, const struct dec_host_insn *h)
{
    return s->map_in_r10 && h->kind == DEC_HOST_PLAIN && h->opcode == 0x8b && h->mem_base == H_R10 &&
           h->mem_index == DEC_NO_REG && h->mem_seg == DEC_HOST_SEG_NONE && h->mem_adsz == 8 &&
           h->mem_bytes == 4 && h->mem_disp >= 0 && h->mem_disp <= CODE_MAP_BYTES - 4;
}

static bool check_memory(struct scan *s, const struct dec_host_insn *h)
{
    if (h->mem_implicit && h->kind < DEC_HOST_STRING)
        return refuse(s, "memory reached without an explicit operand");
    if (!h->mem)
        return true;
    if (h->mem_seg == DEC_HOST_SEG_GS) {
        if (h->mem_adsz != 4)
            return refuse(s, "window access with a 64-bit address");
        if (h->mem_base == H_RSP || h->mem_base == H_CPU || h->mem_base == DEC_HOST_REG_OTHER ||
            h->mem_index == H_CPU)
            return refuse(s, "window access by a host register");
        return true;
    }
    if (h->kind == DEC_HOST_LEA) {
        if (h->mem_base == H_RSP || h->mem_base == H_CPU || h->mem_base == DEC_HOST_REG_OTHER ||
            h->mem_index == H_CPU || h->mem_seg != DEC_HOST_SEG_NONE)
            return refuse(s, "LEA of a host address");
        return true;
    }
    if (h->mem_base == H_CPU)
        return check_cpu_access(s, h);
    /* RET looks at its record: minus the guest's return address */
    if (h->mem_base == H_RSP && h->mem_index == DEC_NO_REG && h->mem_adsz == 8 && h->mem_disp == 8 &&
        h->mem_bytes == 4 && !h->mem_write && h->mem_seg == DEC_HOST_SEG_NONE && s->stack == STACK_EVEN)
        return true;
    return reads_code_map(s, h) || refuse(s, "memory outside window, CPU struct and return stack");
}

/* lea rsp, [rsp + 8] */
static bool drops_record(const struct dec_host_insn *h)
{
    return h->kind == DEC_HOST_LEA && h->gpr_written64 == REG(H_RSP) && h->mem_base == H_RSP &&
           h->mem_index == DEC_NO_REG && h->mem_disp == 8 && h->mem_adsz == 8 &&
           h->mem_seg == DEC_HOST_SEG_NONE;
}

/* lea rsi, [rsi + r9] and the like: the bit of the register, or 0 */
static u16 makes_pointer(const struct dec_host_insn *h)
{
    for (unsigned r = H_RSI; r <= H_RDI; r++)
        if (h->kind == DEC_HOST_LEA && h->gpr_written64 == REG(r) && h->mem_base == r &&
            h->mem_index == H_R9 && h->mem_scale == 1 && h->mem_disp == 0 && h->mem_adsz == 8 &&
            h->mem_seg == DEC_HOST_SEG_NONE)
            return (u16)REG(r);
    return 0;
}

/* mov esi, esi and the like: back to the guest's register */
static u16 cuts_pointer(const struct dec_host_insn *h)
{
    for (unsigned r = H_RSI; r <= H_RDI; r++)
        if (h->kind == DEC_HOST_PLAIN && h->opcode == 0x89 && !h->mem && h->n_regs == 2 && h->reg[0] == r &&
            h->reg[1] == r && h->gpr_written == REG(r) && !h->gpr_written64)
            return (u16)REG(r);
    return 0;
}

/* The string sequence once a pointer is open: more pointers, the one string instruction, back to registers. */
static bool string_step(struct scan *s, const struct dec_host_insn *h)
{
    u16 make = makes_pointer(h), cut = cuts_pointer(h);
    if (h->kind == DEC_HOST_STRING) {
        if (s->string_done || h->implicit_bases != s->pointers || h->mem_adsz != 8 ||
            h->mem_seg != DEC_HOST_SEG_NONE || !h->rep)
            return refuse(s, "string instruction without its window pointers");
        s->string_done = true;
        return true;
    }
    if (make && !s->string_done && s->window_in_r9 && !(s->pointers & make)) {
        s->pointers |= make;
        return true;
    }
    if (cut && s->string_done && (s->pointers & cut)) {
        s->pointers &= (u16)~cut;
        return true;
    }
    return refuse(s, "window pointer left in rsi or rdi");
}

/* STD opens the sequence, CLD behind it closes it. */
static bool direction_step(struct scan *s, bool set)
{
    if (s->backward == set || s->pointers || s->stack != STACK_EVEN)
        return refuse(s, "direction flag out of sequence");
    s->backward = set;
    return true;
}

static bool is_direction(const struct dec_host_insn *h)
{
    return h->kind == DEC_HOST_BAD && h->len == 1 && (h->opcode == 0xfc || h->opcode == 0xfd);
}

/* The CPU field that a plain 32-bit or 64-bit move reads or writes whole; -1: none. */
static i64 moved_field(const struct dec_host_insn *h, u32 bytes)
{
    return h->kind == DEC_HOST_PLAIN && h->mem && h->mem_base == H_CPU && h->mem_bytes == bytes
               ? h->mem_disp + CPU_BIAS
               : -1;
}

static bool check_registers(struct scan *s, const struct dec_host_insn *h)
{
    if (h->gpr_written & REG(H_CPU))
        return refuse(s, "r15 written");
    if (h->kind <= DEC_HOST_LEA) {
        if ((h->gpr_written & REG(H_RSP)) && !drops_record(h))
            return refuse(s, "rsp written");
        if (h->gpr_read & (REG(H_CPU) | REG(H_RSP)))
            return refuse(s, "host pointer copied to a register");
        if (h->gpr_written64 & NARROW)
            return refuse(s, "64-bit value in a guest register");
    }
    return true;
}

/* mov r10, [r15 + code_map], or mov r11, rcx behind it */
static bool fetches_code_map(const struct scan *s, const struct dec_host_insn *h)
{
    if (moved_field(h, 8) == offsetof(struct cpu, code_map))
        return h->opcode == 0x8b && h->gpr_written64 == REG(H_R10);
    return s->map_in_r10 && h->kind == DEC_HOST_PLAIN && h->opcode == 0x89 && !h->mem && h->n_regs == 2 &&
           h->reg[0] == H_R11 && h->reg[1] == H_RCX && h->gpr_written64 == REG(H_R11);
}

static bool anything_open(const struct scan *s)
{
    return s->stack == STACK_RECORD || s->stack == STACK_FLAGS || s->pointers || s->backward;
}

/* ---- jumps ---- */

/* The exit whose field of 32 bits ends the current instruction, or NULL. field: which of the patchable places. */
static const struct cc_exit *exit_at(const struct scan *s, const struct dec_host_insn *h, size_t field)
{
    u32 place = cache_at(s) + h->len - 4;
    for (u32 i = 0; h->len >= 5 && i < s->b->n_exits; i++) {
        u32 have;
        memcpy(&have, (const u8 *)&s->b->exits[i] + field, sizeof(have));
        if (have == place)
            return &s->b->exits[i];
    }
    return NULL;
}

static const struct cc_exit *exit_here(const struct scan *s, const struct dec_host_insn *h)
{
    return exit_at(s, h, offsetof(struct cc_exit, patch_off));
}

/* The stubs are instructions of the block, and there are those that the exit needs. */
static bool check_stubs(struct scan *s, const struct cc_exit *x)
{
    bool guarded = x->state == CC_LINKED && x->cross == CC_GUARDED;
    bool falls =
        x->state == CC_INLINE || (x->state == CC_SOFT && s->b->dead); /* behind a call: has no hard stub */
    if (!own_insn(s, x->soft_off) || (x->hard_off ? !own_insn(s, x->hard_off) : !falls) ||
        (x->guard_off ? !own_insn(s, x->guard_off) : guarded))
        return refuse(s, "exit stub that is no instruction of the block");
    if (x->guard_off && (!x->guard_imm || !x->guard_rel))
        return refuse(s, "guard stub without its places");
    return true;
}

/* The jump of an exit leads where its state says. A guarded link may have been promoted: then it is direct. */
static bool check_exit(struct scan *s, const struct cc_exit *x, u64 to)
{
    bool ok = false;
    if (x->state == CC_HARD)
        ok = x->hard_off && to == x->hard_off;
    else if (x->state == CC_SOFT)
        ok = to == x->soft_off;
    else if (x->state == CC_LINKED && x->to && x->from == s->b)
        ok = x->parked ? to == x->hard_off && x->hard_off
                       : to == x->to->code_off || (x->cross == CC_GUARDED && to == x->guard_off);
    return ok || refuse(s, "exit to nowhere");
}

/* An exit behind a call, while its block lives: the NOP that can become a jump. */
static bool check_inline(struct scan *s, const struct dec_host_insn *h)
{
    static const u8 nop5[5] = {0x0f, 0x1f, 0x44, 0, 0};
    const struct cc_exit *x = exit_here(s, h);
    if (x->state != CC_INLINE || s->b->dead)
        return refuse(s, "exit that patches no jump");
    if (h->len != sizeof(nop5) || memcmp(cc_rw(s->bt->cc) + cache_at(s), nop5, sizeof(nop5)))
        return refuse(s, "exit behind a call that is no NOP");
    if (s->stack != STACK_EVEN || anything_open(s))
        return refuse(s, "jump out of a sequence");
    return check_stubs(s, x);
}

/* The last jump of a guard stub: unused, to the lookup; linked, to the target; later, where it was. Entries of blocks are
 * safe to jump to whatever the check said. */
static bool check_guard_jump(struct scan *s, const struct cc_exit *x, const struct dec_host_insn *h)
{
    u64 to = leads_to(s, h), pc = s->bt->rx_lo + to;
    if (h->kind != DEC_HOST_JMP || h->len != 5)
        return refuse(s, "guard stub that patches no jump");
    if (x->state == CC_LINKED && x->cross == CC_GUARDED)
        return (x->to && to == x->to->code_off) || refuse(s, "exit to nowhere");
    const struct cc_block *b = cc_find(s->bt->cc, pc);
    return pc == s->bt->gate[GATE_LOOKUP] || (b && to == b->code_off) || refuse(s, "exit to nowhere");
}

static bool check_jump(struct scan *s, const struct dec_host_insn *h)
{
    static const enum bt_gate jump_gates[] = {GATE_LINK,    GATE_LOOKUP,   GATE_RET,
                                              GATE_RET_KEY, GATE_RET_KEEP, GATE_STEP};
    u64 to = leads_to(s, h), pc = s->bt->rx_lo + to;
    const struct cc_exit *x = exit_here(s, h), *guard = exit_at(s, h, offsetof(struct cc_exit, guard_rel));
    u32 off;
    if (x && guard)
        return refuse(s, "place that two exits patch");
    if (guard)
        return check_guard_jump(s, guard, h);
    if (x)
        return check_stubs(s, x) && check_exit(s, x, to);
    if (h->kind != DEC_HOST_CALL && inside(s, to, &off))
        return bit_test(s->boundary, off) || refuse(s, "jump into the middle of an instruction");
    if (h->kind == DEC_HOST_JMP)
        for (unsigned i = 0; i < ARRAY_SIZE(jump_gates); i++)
            if (pc == s->bt->gate[jump_gates[i]])
                return true;
    if (h->kind == DEC_HOST_CALL && pc == s->bt->gate[s->stack == STACK_RECORD ? GATE_LOOKUP : GATE_CALLOUT])
        return true;
    return refuse(s, "jump out of the block");
}

/* What an exit patches in its guard stub is the displacement of lea ecx, [rcx + disp32]: any value will do there. */
static bool check_guard_imm(struct scan *s, const struct dec_host_insn *h)
{
    if (!exit_at(s, h, offsetof(struct cc_exit, guard_imm)))
        return true;
    return (h->kind == DEC_HOST_LEA && h->len == 6 && h->mem_base == H_RCX && h->mem_index == DEC_NO_REG &&
            h->gpr_written == REG(H_RCX) && !h->gpr_written64) ||
           refuse(s, "guard stub that patches no comparison");
}

/* ---- the return stack ---- */

/* CALL: to the callout gate behind its two loads, or with a record that is dropped on return. */
static bool check_call(struct scan *s, const struct dec_host_insn *h)
{
    if (!check_jump(s, h))
        return false;
    if (s->stack == STACK_RECORD) {
        s->stack = STACK_CALLED;
        return true;
    }
    if (exit_here(s, h) || s->stack != STACK_EVEN)
        return refuse(s, "call without a record");
    if (!s->record_in_r10)
        return refuse(s, "callout without its record");
    return true;
}

/* Return-stack idioms. */
static bool stack_step(struct scan *s, const struct dec_host_insn *h)
{
    switch (h->kind) {
    case DEC_HOST_PUSH:
        if (s->stack != STACK_EVEN || !h->has_imm || h->opcode != 0x68 || h->len != 5)
            return refuse(s, "push of something else than a record");
        s->stack = STACK_RECORD;
        return true;
    case DEC_HOST_PUSHF:
        if (s->stack != STACK_EVEN)
            return refuse(s, "pushfq with a record open");
        s->stack = STACK_FLAGS;
        return true;
    case DEC_HOST_POP:
        if (s->stack != STACK_FLAGS || h->mem || h->n_regs != 1 || h->reg[0] < H_R9 || h->reg[0] > H_R14)
            return refuse(s, "pop of something else than flags");
        s->stack = STACK_EVEN;
        return true;
    case DEC_HOST_CALL: return check_call(s, h);
    case DEC_HOST_LEA:
        if (!drops_record(h))
            break;
        if (s->stack != STACK_CALLED)
            return refuse(s, "record dropped that is not there");
        s->stack = STACK_EVEN;
        return true;
    default: break;
    }
    if (s->stack == STACK_EVEN)
        return true;
    /* between a record and its CALL only registers move */
    if (s->stack == STACK_RECORD && h->kind == DEC_HOST_PLAIN && !h->mem)
        return true;
    return refuse(s, "return stack left unbalanced");
}

static bool check_insn(struct scan *s, const struct dec_host_insn *h)
{
    if (bit_test(s->target, s->at)) { /* may be reached from elsewhere: nothing is known */
        if (anything_open(s) || s->stack == STACK_CALLED)
            return refuse(s, "jump into a sequence");
        s->window_in_r9 = s->eip_stored = s->record_in_r10 = s->map_in_r10 = false;
    }
    if (!h->relative && exit_here(s, h))
        return check_inline(s, h);
    if (is_direction(h))
        return direction_step(s, h->opcode == 0xfd);
    if (h->kind == DEC_HOST_BAD)
        return refuse(s, "instruction that blocks may not hold");
    if (h->kind == DEC_HOST_STRING || s->pointers || makes_pointer(h)) {
        if (s->stack != STACK_EVEN)
            return refuse(s, "string instruction in another sequence");
        if (!string_step(s, h))
            return false;
        if (!s->pointers)
            s->string_done = false;
        return true;
    }
    if (s->backward && moved_field(h, 8) != offsetof(struct cpu, window))
        return refuse(s, "direction flag left set");
    if (!drops_record(h) && (!check_memory(s, h) || !check_registers(s, h)))
        return false;
    if (!stack_step(s, h))
        return false;
    if ((h->kind == DEC_HOST_JMP || h->kind == DEC_HOST_JCC) && !check_jump(s, h))
        return false;
    if (!check_guard_imm(s, h))
        return false;
    if (!h->relative && exit_at(s, h, offsetof(struct cc_exit, guard_rel)))
        return refuse(s, "guard stub that patches no jump");

    bool was_stored = s->eip_stored;
    s->record_in_r10 = was_stored && h->kind == DEC_HOST_PLAIN && (h->opcode & 0xf8) == 0xb8 &&
                       h->gpr_written == REG(H_R10) && h->has_imm && h->imm >> 16;
    s->map_in_r10 = fetches_code_map(s, h);
    s->eip_stored = moved_field(h, 4) == offsetof(struct cpu, eip) && h->mem_write && h->has_imm;
    if (h->gpr_written & REG(H_R9))
        s->window_in_r9 = moved_field(h, 8) == offsetof(struct cpu, window) && h->opcode == 0x8b &&
                          h->gpr_written64 == REG(H_R9);
    return true;
}

/* ---- the block as a whole ---- */

/* First pass: instructions from end to end, and who is jumped to. */
static bool mark(struct scan *s)
{
    struct dec_host_insn h = {.kind = DEC_HOST_BAD};
    u32 off;
    for (s->at = 0; s->at < block_end(s); s->at += h.len) {
        if (!decode_here(s, &h))
            return false;
        bit_set(s->boundary, s->at);
        if (h.relative && inside(s, leads_to(s, &h), &off))
            bit_set(s->target, off);
        u32 next = s->at + h.len;
        if ((next == s->b->code_len || next == block_end(s)) && h.kind != DEC_HOST_JMP &&
            h.kind != DEC_HOST_RET)
            return refuse(s, "block that runs off its end");
    }
    for (u32 i = 0; i < s->b->n_exits; i++) {
        const struct cc_exit *x = &s->b->exits[i];
        const u32 stubs[] = {x->soft_off, x->hard_off, x->guard_off}; /* 0: has none */
        for (unsigned n = 0; n < ARRAY_SIZE(stubs); n++) {
            if (inside(s, stubs[n], &off))
                bit_set(s->target, off);
            else if (n == 0 || stubs[n])
                return refuse(s, "exit stub outside the block");
        }
    }
    return true;
}

/* The side record that covers the current instruction; a boundary for asynchronous stops must lie outside of sequences. */
static bool check_side(struct scan *s, u32 *rec)
{
    const struct side_rec *recs = s->b->side;
    u32 n = s->b->side_bytes / (u32)sizeof(*recs);
    for (; *rec < n && recs[*rec].host <= s->at; (*rec)++) {
        if (recs[*rec].host != s->at)
            return refuse(s, "side record in the middle of an instruction");
        if (!(recs[*rec].flags & SIDE_MID) && anything_open(s))
            return refuse(s, "asynchronous boundary inside a sequence");
    }
    return true;
}

/* Every place that exits patch was met: counts of the fields. */
static bool check_places(struct scan *s, const u32 met[3])
{
    u32 guards = 0;
    for (u32 i = 0; i < s->b->n_exits; i++)
        guards += s->b->exits[i].guard_off != 0;
    if (met[0] != s->b->n_exits)
        return refuse(s, "exit that patches no jump");
    return (met[1] == guards && met[2] == guards) || refuse(s, "guard stub without its places");
}

static bool scan_block(struct scan *s)
{
    struct dec_host_insn h;
    u32 rec = 0, met[3] = {0};
    if (!s->b->code_len || s->b->code_len > BT_BLOCK_BYTES || s->b->cold_len > BT_COLD_BYTES)
        return refuse(s, "block of impossible length");
    if (!mark(s))
        return false;
    for (s->at = 0; s->at < block_end(s); s->at += h.len) {
        if (!decode_here(s, &h))
            return false;
        if (s->at == s->b->code_len && (s->stack != STACK_EVEN || anything_open(s)))
            return refuse(s, "block that ends inside a sequence");
        if ((s->at < s->b->code_len && !check_side(s, &rec)) || !check_insn(s, &h))
            return false;
        met[0] += exit_here(s, &h) != NULL;
        met[1] += exit_at(s, &h, offsetof(struct cc_exit, guard_imm)) != NULL;
        met[2] += exit_at(s, &h, offsetof(struct cc_exit, guard_rel)) != NULL;
    }
    if (s->stack != STACK_EVEN || anything_open(s))
        return refuse(s, "block that ends inside a sequence");
    if (rec != s->b->side_bytes / sizeof(struct side_rec))
        return refuse(s, "side record behind the block");
    return check_places(s, met);
}

static u32 guest_eip(const struct cc_block *b, u32 host)
{
    const struct side_rec *recs = b->side;
    u32 eip = b->key.eip;
    for (u32 i = 0; i < b->side_bytes / sizeof(*recs) && recs[i].host <= host; i++)
        eip = b->key.eip + recs[i].guest;
    return eip;
}

bool verify_block(const struct bt *bt, const struct cc_block *b, struct bt_violation *out)
{
    struct scan s = {.bt = bt, .b = b};
    if (scan_block(&s))
        return true;
    *out = (struct bt_violation){.why = s.why, .host = s.at, .guest_eip = guest_eip(b, s.at)};
    return false;
}

void verify_or_panic(const struct bt *bt, const struct cc_block *b)
{
    struct bt_violation v;
    if (verify_block(bt, b, &v))
        return;
    char bytes[3 * 8 + 1] = "";
    u32 end = v.host < b->code_len ? b->code_len : b->code_len + b->cold_len;
    for (u32 i = 0; i < 8 && v.host + i < end; i++)
        snprintf(bytes + 3 * i, 4, " %02x", cc_rw(bt->cc)[cache_offset(b, v.host + i)]);
    base_warn(
        "verifier: %s, at host offset 0x%x (stubs from 0x%x) of the block at eip 0x%x, guest instruction at "
        "0x%x, mode 0x%x; bytes%s",
        v.why, v.host, b->code_len, b->key.eip, v.guest_eip, b->key.mode, bytes);
    ASSERT(!"emitted code is refused by the verifier");
}
