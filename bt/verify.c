/*
 * verify.c - an independent check of every emitted block (DESIGN section 7).
 *
 * The translator's isolation is by construction; this file does not trust the construction. It decodes the block's bytes
 * linearly and accepts only: computation on registers; accesses to the window (gs: with 67h); reads of the CPU struct and
 * writes of the few fields below, through r15, which is never written; the return stack in its exact idioms, so that
 * RET can only meet addresses that a CALL here has pushed; repeated string instructions in the one sequence that turns rsi and
 * rdi into window pointers and back; and direct jumps to this block's own instructions, its exits' targets or a gate.
 * Whatever guest bytes gave a block that passes, it cannot reach host memory outside the window and those fields.
 * The gates themselves are written by hand and not checked here.
 *
 * Reading order: struct scan (what is open at this point), check_insn(), then the idioms.
 */
#include "bt/verify.h"

#include <string.h>

#define REG(r) BIT(r)
#define SCRATCH (REG(H_R9) | REG(H_R10) | REG(H_R11) | REG(H_R12) | REG(H_R13) | REG(H_R14))
/* Guest registers whose upper halves stay zero by never being written 64 bits wide; the others are so in idioms only. */
#define NARROW (REG(H_RBX) | REG(H_RBP) | REG(H_RSI) | REG(H_RDI) | REG(H_R8))

enum { BITS_BYTES = BT_BLOCK_BYTES / 8 };

enum open_stack {
    STACK_EVEN,   /* nothing of this instruction on the return stack */
    STACK_RECORD, /* minus the guest's return address was pushed: a CALL must follow */
    STACK_CALLED, /* back from that CALL: the record must be dropped */
    STACK_FLAGS,  /* pushfq: a pop must follow */
};

struct scan {
    const struct bt *bt;
    const struct cc_block *b;
    const u8 *code;
    u64 exec; /* address of code[0] as executed */
    u32 at;   /* offset of the current instruction */
    u8 boundary[BITS_BYTES], target[BITS_BYTES];
    const char *why;
    enum open_stack stack;
    bool window_in_r9;              /* r9 = window base */
    u16 pointers;                   /* rsi, rdi that are 64-bit window pointers now */
    bool string_done;               /* the string instruction of the open sequence was met */
    bool eip_stored, record_in_r10; /* callout sequence, in this order */
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

/* Fields of the CPU struct that a block may write. */
static bool writable_field(i64 off, u32 size)
{
    static const struct {
        u16 off, size;
    } fields[] = {
        {offsetof(struct cpu, eip), 4},       {offsetof(struct cpu, df), 4},
        {offsetof(struct cpu, iflag), 1},     {offsetof(struct cpu, inhibit), 1},
        {offsetof(struct cpu, exit_from), 4},
    };
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
    return refuse(s, "memory outside window, CPU struct and return stack");
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

/* The exit whose rel32 field ends the current instruction, or NULL. */
static const struct cc_exit *exit_here(const struct scan *s, const struct dec_host_insn *h)
{
    u32 field = s->b->code_off + s->at + h->len - 4;
    for (u32 i = 0; h->len >= 5 && i < s->b->n_exits; i++)
        if (s->b->exits[i].patch_off == field)
            return &s->b->exits[i];
    return NULL;
}

/* A stub of this block: offset into it, on an instruction. */
static bool stub_ok(const struct scan *s, u32 off)
{
    u32 in = off - s->b->code_off;
    return in < s->b->code_len && bit_test(s->boundary, in);
}

static bool check_jump(struct scan *s, const struct dec_host_insn *h)
{
    static const enum bt_gate jump_gates[] = {GATE_LINK, GATE_LOOKUP, GATE_RET_MISS, GATE_STEP};
    u64 to = s->exec + s->at + h->len + h->imm;
    const struct cc_exit *x = exit_here(s, h);
    if (x) {
        u32 off = (u32)(to - (u64)cc_rx(s->bt->cc));
        if (!stub_ok(s, x->hard_off) || !stub_ok(s, x->soft_off))
            return refuse(s, "exit stub that is no instruction of the block");
        if (off != x->hard_off && off != x->soft_off && !(x->to && off == x->to->code_off))
            return refuse(s, "exit to nowhere");
        return true;
    }
    if (h->kind != DEC_HOST_CALL && to - s->exec < s->b->code_len)
        return bit_test(s->boundary, (u32)(to - s->exec)) ||
               refuse(s, "jump into the middle of an instruction");
    if (h->kind == DEC_HOST_JMP)
        for (unsigned i = 0; i < ARRAY_SIZE(jump_gates); i++)
            if (to == s->bt->gate[jump_gates[i]])
                return true;
    if (h->kind == DEC_HOST_CALL && to == s->bt->gate[s->stack == STACK_RECORD ? GATE_LOOKUP : GATE_CALLOUT])
        return true;
    return refuse(s, "jump out of the block");
}

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

static bool anything_open(const struct scan *s)
{
    return s->stack == STACK_RECORD || s->stack == STACK_FLAGS || s->pointers;
}

static bool check_insn(struct scan *s, const struct dec_host_insn *h)
{
    if (bit_test(s->target, s->at)) { /* may be reached from elsewhere: nothing is known */
        if (anything_open(s) || s->stack == STACK_CALLED)
            return refuse(s, "jump into a sequence");
        s->window_in_r9 = s->eip_stored = s->record_in_r10 = false;
    }
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
    if (!drops_record(h) && (!check_memory(s, h) || !check_registers(s, h)))
        return false;
    if (!stack_step(s, h))
        return false;
    if ((h->kind == DEC_HOST_JMP || h->kind == DEC_HOST_JCC) && !check_jump(s, h))
        return false;

    bool was_stored = s->eip_stored;
    s->record_in_r10 = was_stored && h->kind == DEC_HOST_PLAIN && (h->opcode & 0xf8) == 0xb8 &&
                       h->gpr_written == REG(H_R10) && h->has_imm && h->imm >> 16;
    s->eip_stored = moved_field(h, 4) == offsetof(struct cpu, eip) && h->mem_write && h->has_imm;
    if (h->gpr_written & REG(H_R9))
        s->window_in_r9 = moved_field(h, 8) == offsetof(struct cpu, window) && h->opcode == 0x8b &&
                          h->gpr_written64 == REG(H_R9);
    return true;
}

/* First pass: instructions from end to end, and who is jumped to. */
static bool mark(struct scan *s)
{
    struct dec_host_insn h = {.kind = DEC_HOST_BAD};
    u8 last = DEC_HOST_BAD;
    for (s->at = 0; s->at < s->b->code_len; s->at += h.len) {
        if (dec_host_decode(&h, s->code + s->at, s->b->code_len - s->at))
            return refuse(s, "bytes that are no instruction");
        bit_set(s->boundary, s->at);
        u64 to = s->at + h.len + h.imm;
        if (h.relative && to < s->b->code_len)
            bit_set(s->target, (u32)to);
        last = h.kind;
    }
    for (u32 i = 0; i < s->b->n_exits; i++) {
        u32 hard = s->b->exits[i].hard_off - s->b->code_off, soft = s->b->exits[i].soft_off - s->b->code_off;
        if (hard >= s->b->code_len || soft >= s->b->code_len)
            return refuse(s, "exit stub outside the block");
        bit_set(s->target, hard);
        bit_set(s->target, soft);
    }
    return last == DEC_HOST_JMP || last == DEC_HOST_RET || refuse(s, "block that runs off its end");
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

static bool scan_block(struct scan *s)
{
    struct dec_host_insn h;
    u32 rec = 0, exits = 0;
    if (!s->b->code_len || s->b->code_len > BT_BLOCK_BYTES)
        return refuse(s, "block of impossible length");
    if (!mark(s))
        return false;
    for (s->at = 0; s->at < s->b->code_len; s->at += h.len) {
        if (dec_host_decode(&h, s->code + s->at, s->b->code_len - s->at))
            return refuse(s, "bytes that are no instruction");
        if (!check_side(s, &rec) || !check_insn(s, &h))
            return false;
        exits += exit_here(s, &h) && h.relative;
    }
    if (s->stack != STACK_EVEN || s->pointers)
        return refuse(s, "block that ends inside a sequence");
    if (rec != s->b->side_bytes / sizeof(struct side_rec))
        return refuse(s, "side record behind the block");
    return exits == s->b->n_exits || refuse(s, "exit that patches no jump");
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
    struct scan s = {
        .bt = bt, .b = b, .code = cc_rw(bt->cc) + b->code_off, .exec = (u64)(cc_rx(bt->cc) + b->code_off)};
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
    base_warn(
        "verifier: %s, at host offset 0x%x of the block at eip 0x%x, guest instruction at 0x%x, mode 0x%x",
        v.why, v.host, b->key.eip, v.guest_eip, b->key.mode);
    ASSERT(!"emitted code is refused by the verifier");
}
