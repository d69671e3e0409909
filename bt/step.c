/*
 * step.c - the one-instruction fallback.
 *
 * An instruction whose operand is not plain memory (MMIO, a watched page, a segment that needs checks) runs natively on a
 * buffer: operand read through the monitor, instruction emitted with the buffer as its operand, run, result
 * written back. The host CPU stays the reference for what the instruction does. The buffer keeps the operand's alignment,
 * so that alignment faults come out right.
 */
#include <string.h>

#include "bt/internal.h"

static u32 effective_address(const struct cpu *cpu, const struct dec_insn *in)
{
    u32 ea = (u32)in->disp;
    if (!in->moffs && in->base != DEC_NO_REG)
        ea += cpu->gpr[in->base & 7];
    if (!in->moffs && in->index != DEC_NO_REG)
        ea += cpu->gpr[in->index & 7] * in->scale;
    return in->adsz == 2 ? ea & 0xffff : ea;
}

/* Emits the instruction with its operand at cpu->buf + align, and the way back. */
static bool emit_one(struct bt *bt, const struct dec_insn *in, u32 align)
{
    u8 *rw = cc_rw(bt->cc) + bt->step_off;
    struct emit e = {.p = rw, .base = rw, .end = rw + BT_STEP_BYTES, .exec = bt->rx_lo + bt->step_off};
    struct hop m = hop_base(H_CPU, CPU_DISP(buf) + (i32)align);
    bool borrow = in->mem && plain_needs_legacy(in);
    u8 x = H_NONE;
    if (borrow) {
        for (u8 r = H_RDI; r > 0 && x == H_NONE; r--)
            if (r != H_RSP && !((in->gpr_read | in->gpr_written) & BIT(r)))
                x = r;
        if (x == H_NONE)
            return false;
        em_mov(&e, H_R13, x);
        em_lea(&e, 8, x, &m);
        m = hop_base(x, 0);
    }
    if (!plain_emit(&e, in, &m)) {
        /* AH..BH and ESP as registers: MOVZX, MOVSX, CRC32. ESP goes through a legacy register. */
        return false;
    }
    if (borrow)
        em_mov(&e, x, H_R13);
    em_jmp_to(&e, bt->gate[GATE_STEP_DONE]);
    return !e.full;
}

/* AH..BH beside ESP: the same instruction with another destination register, swapped in and out. */
static bool emit_via_other(struct bt *bt, const struct dec_insn *in)
{
    u8 *rw = cc_rw(bt->cc) + bt->step_off;
    struct emit e = {.p = rw, .base = rw, .end = rw + BT_STEP_BYTES, .exec = bt->rx_lo + bt->step_off};
    struct dec_insn other = *in;
    const u8 x = R_EDI; /* AH..BH lie in the first four registers */
    other.modrm = (u8)((in->modrm & 0xc7) | x << 3);
    em_mov(&e, H_R13, x);
    em_mov(&e, x, G_ESP);
    if (!plain_emit(&e, &other, NULL))
        return false;
    em_mov(&e, G_ESP, x);
    em_mov(&e, x, H_R13);
    em_jmp_to(&e, bt->gate[GATE_STEP_DONE]);
    return !e.full;
}

/* A misaligned operand is #GP before the segment or the page is looked at. Then the buffer, misaligned too, need not
 * hold anything: the host says so. */
static bool wants_aligned(const struct dec_insn *in)
{
    if (in->mem_size != 16 || in->map == 0)
        return false;
    if (in->map == 1 && (in->opcode == 0x10 || in->opcode == 0x11)) /* MOVUPS, MOVUPD */
        return false;
    if (in->map == 1 && in->mandatory == 0xf3 && (in->opcode == 0x6f || in->opcode == 0x7f)) /* MOVDQU */
        return false;
    if (in->map == 1 && in->mandatory == 0xf2 && in->opcode == 0xf0) /* LDDQU */
        return false;
    return !(in->map == 3 && in->opcode >= 0x60 && in->opcode <= 0x63); /* PCMPxSTRx */
}

/* A pending x87 exception comes before the operand is looked at. FNSTCW and FNSTSW do not wait for one. */
static bool x87_pending(const struct cpu *cpu, const struct dec_insn *in)
{
    if (in->fpu != DEC_FPU_X87 && in->fpu != DEC_FPU_MMX)
        return false;
    if (in->map == 0 && (in->opcode == 0xd9 || in->opcode == 0xdd) && (in->modrm >> 3 & 7) == 7)
        return false;
    return bt_fpu_pending(cpu);
}

/* Does the x87 unit remember this one as its last? Not the control instructions (SDM vol. 1, 8.1.8). */
static bool moves_x87_pointers(const struct dec_insn *in)
{
    u8 ext = in->modrm >> 3 & 7;
    if (in->fpu != DEC_FPU_X87)
        return false;
    if (in->mem)
        return !((in->opcode == 0xd9 && ext >= 4) || (in->opcode == 0xdd && ext >= 4));
    return !((in->opcode == 0xdb && ext == 4) || (in->opcode == 0xdf && in->modrm == 0xe0));
}

/* Ten bytes are two accesses, the second at an address of its own: 16-bit ones wrap between them. */
static unsigned part(const struct dec_insn *in, unsigned at, unsigned size, u32 *ea)
{
    *ea += at;
    if (in->adsz == 2)
        *ea &= 0xffff;
    return size == 10 && at == 0 ? 8 : size - at;
}

/* Make sure that the operand can be accessed and read it to the buffer. */
static int load_operand(struct bt *bt, const struct dec_insn *in, u32 ea, unsigned size, u8 *buf)
{
    const struct bt_hooks *h = &bt->hooks;
    /* An x87 store with an unmasked exception stores nothing: then the buffer goes back as it was. */
    bool read = in->mem_read || in->fpu == DEC_FPU_X87;
    for (unsigned at = 0, n; at < size; at += n) {
        u32 off = ea;
        n = part(in, at, size, &off);
        if (in->mem_write && h->mem_probe_write(h->opaque, in->seg, off, n))
            return -1;
        if (read && h->mem_read(h->opaque, in->seg, off, buf + at, n))
            return -1;
    }
    return 0;
}

static int store_operand(struct bt *bt, const struct dec_insn *in, u32 ea, unsigned size, const u8 *buf)
{
    const struct bt_hooks *h = &bt->hooks;
    for (unsigned at = 0, n; at < size; at += n) {
        u32 off = ea;
        n = part(in, at, size, &off);
        if (h->mem_write(h->opaque, in->seg, off, buf + at, n))
            return -1;
    }
    return 0;
}

/* #GP for bits of MXCSR that the CPU model lacks: the host may have them. */
static bool bad_mxcsr(struct cpu *cpu, const struct dec_insn *in, const u8 *buf)
{
    u32 value;
    if (!plain_is_ldmxcsr(in))
        return false;
    memcpy(&value, buf, sizeof(value));
    if (!(value & ~plain_mxcsr_mask(cpu)))
        return false;
    cpu->exc_vector = EXC_GP;
    cpu->exc_has_error = 1;
    cpu->exc_error = 0;
    return true;
}

enum bt_result bt_step(struct bt *bt, const struct dec_insn *in)
{
    struct cpu *cpu = bt->cpu;
    u32 ea = in->mem ? effective_address(cpu, in) : 0, align = 0;
    unsigned size = in->mem ? in->mem_size : 0;
    bt->stats.fallback_steps++;
    if (size > 256)
        return BT_LEAVE;
    if (in->mem) {
        align = (cpu->seg_base[in->seg] + ea) & 63;
        if (((align & 15) && wants_aligned(in)) || x87_pending(cpu, in))
            size = 0; /* the host raises it, whatever the buffer holds */
        if (load_operand(bt, in, ea, size, cpu->buf + align) || bad_mxcsr(cpu, in, cpu->buf + align))
            goto exception;
    }
    if (!emit_one(bt, in, align) && !emit_via_other(bt, in)) {
        cpu->exc_vector = EXC_UD; /* no form known: cannot happen for records of the decoder */
        cpu->exc_has_error = 0;
        goto exception;
    }
    u32 eip = cpu->eip;
    if (moves_x87_pointers(in)) {
        bt->step_eip = eip;
        cpu->step_cs = cpu->seg[SEG_CS].sel;
        cpu->step_cs_base = cpu->seg_base[SEG_CS];
        cpu->step_cs32 = cpu->mode & MODE_CS32;
        if (in->mem)
            bt->step_dp = cpu->seg_base[in->seg] + ea;
    }
    int kind;
    do { /* a kick makes the gate return before the instruction: it stays set for the run loop */
        u32 kick = __atomic_exchange_n(&cpu->kick, 0, __ATOMIC_SEQ_CST);
        kind = gate_enter(bt, bt->rx_lo + bt->step_off);
        if (kick)
            cpu->kick = 1;
    } while (kind == BT_EXIT_ASYNC);
    if (kind == BT_EXIT_EXCEPTION) {
        cpu->eip = eip;
        return BT_LEAVE;
    }
    if (in->mem_write && store_operand(bt, in, ea, size, cpu->buf + align))
        goto exception;
    cpu->eip = eip + in->len;
    return BT_CONT;
exception:
    cpu->exit_kind = BT_EXIT_EXCEPTION;
    return BT_LEAVE;
}
