/*
 * plain.c - instructions that the host runs itself, with operands rewritten.
 *
 * The guest's encoding is taken apart and put together again: same opcode, another memory operand, ESP become r8. What the
 * 64-bit mode lacks (40-4F, A0-A3) has an equal elsewhere. The only forms that cannot be written down are
 * AH, CH, DH, BH beside an operand that needs a REX prefix; there a legacy register is borrowed for the address.
 */
#include "bt/internal.h"

static u8 gpr_host(u8 gpr)
{
    return gpr == R_ESP ? G_ESP : gpr;
}

/* ModRM.reg and ModRM.rm (mod 3) as host registers. */
static u8 reg_field(const struct dec_insn *in)
{
    u8 reg = (in->modrm >> 3) & 7;
    return (in->reg_is_gpr & 1) && !(in->byte_regs & 1) ? gpr_host(reg) : reg;
}

static u8 rm_field(const struct dec_insn *in)
{
    u8 rm = in->modrm & 7;
    return (in->reg_is_gpr & 2) && !(in->byte_regs & 2) ? gpr_host(rm) : rm;
}

bool plain_needs_legacy(const struct dec_insn *in)
{
    if ((in->byte_regs & 1) && ((in->modrm >> 3) & 7) >= 4)
        return true;
    return (in->byte_regs & 2) && !in->mem && (in->modrm & 7) >= 4;
}

static u32 mods_of(const struct dec_insn *in)
{
    u32 mods = EM_MAP(in->map);
    /* 66 is the operand size where there is one; for SSE and x87 only if it is part of the opcode. MOVNTI ignores it. */
    bool movnti = in->map == 1 && in->opcode == 0xc3;
    if (in->mandatory == 0x66 || (in->fpu == DEC_FPU_NONE && in->opsz == 2 && !movnti))
        mods |= EM_66;
    if (in->mandatory == 0xf2)
        mods |= EM_F2;
    if (in->mandatory == 0xf3)
        mods |= EM_F3;
    if (in->prefixes & DEC_PFX_LOCK)
        mods |= EM_LOCK;
    return mods;
}

static void emit_imm(struct emit *e, const struct dec_insn *in)
{
    em_bytes(e, in->bytes + in->imm_off, in->imm_size);
}

bool plain_emit(struct emit *e, const struct dec_insn *in, const struct hop *m)
{
    u32 mods = mods_of(in);
    if (in->moffs) { /* A0-A3: mov al/eax, [x] and back as 8A/8B/88/89 */
        static const u8 ops[4] = {0x8a, 0x8b, 0x88, 0x89};
        em_rm(e, mods, ops[in->opcode & 3], H_RAX, m);
        return true;
    }
    if (in->map == 0 && in->opcode >= 0x40 && in->opcode <= 0x4f) { /* inc, dec r: FF /0, /1 */
        em_rr(e, mods, 0xff, in->opcode >= 0x48, gpr_host(in->opcode & 7));
        return true;
    }
    if (in->opcode_reg) {
        bool bytes = in->map == 0 && in->opcode >= 0xb0 && in->opcode <= 0xb7;
        u8 reg = bytes ? in->opcode & 7 : gpr_host(in->opcode & 7);
        if (mods & EM_66)
            em8(e, 0x66);
        if (reg >= 8)
            em8(e, 0x41);
        if (in->map == 1)
            em8(e, 0x0f);
        em8(e, (in->opcode & 0xf8) | (reg & 7));
        emit_imm(e, in);
        return true;
    }
    if (!in->has_modrm) { /* implicit operands, perhaps an immediate */
        if (mods & EM_66)
            em8(e, 0x66);
        if (in->map == 1)
            em8(e, 0x0f);
        em8(e, in->opcode);
        emit_imm(e, in);
        return true;
    }
    u8 opcode = in->map == 0 && in->opcode == 0x82 ? 0x80 : in->opcode; /* an alias that 64-bit mode lacks */
    if (in->mem) {
        em_rm(e, mods, opcode, reg_field(in), m);
    } else {
        u8 reg = reg_field(in), rm = rm_field(in);
        if (plain_needs_legacy(in) && (reg >= 8 || rm >= 8))
            return false;
        em_rr(e, mods, opcode, reg, rm);
    }
    emit_imm(e, in);
    return true;
}

/* A legacy register that the instruction does not touch. */
static u8 borrowable(const struct dec_insn *in)
{
    static const u8 order[] = {R_EDI, R_ESI, R_EBP, R_EBX, R_EDX, R_ECX};
    u8 used = in->gpr_read | in->gpr_written;
    for (unsigned i = 0; i < ARRAY_SIZE(order); i++)
        if (!(used & BIT(order[i])))
            return order[i];
    return H_NONE;
}

/* AH..BH with an operand that would need REX: put the whole 32-bit address into a legacy register X for the one
 * instruction:  mov r13, X ; lea Xd, [address] ; op ah, gs:[X] ; mov X, r13 */
static void emit_borrowed(struct tr *t, const struct hop *m)
{
    struct emit *e = &t->e;
    u8 x = borrowable(t->in);
    if (x == H_NONE) {
        tr_refuse(t, BT_REFUSE_ENCODING);
        return;
    }
    em_mov(e, H_R13, x);
    tr_rec(t, (u8)(PEND_BORROW + x), SIDE_MID);
    em_lea(e, 4, x, m);
    struct hop at = {.base = x, .index = H_NONE, .scale = 1, .gs = true};
    plain_emit(e, t->in, &at);
    em_mov32(e, x, H_R13);
}

bool plain_is_ldmxcsr(const struct dec_insn *in)
{
    return in->map == 1 && in->opcode == 0xae && in->mem && (in->modrm >> 3 & 7) == 2;
}

u32 plain_mxcsr_mask(const struct cpu *cpu)
{
    return cpu->features >> FEAT_SSE2 & 1 ? 0xffff : 0xffbf;
}

/* LDMXCSR m: the host may have more bits than the CPU model. Those above 15 are the fallback's, which raises #GP.
 *   mov r13d, [m] ; mov r12, rcx ; rcx = r13d >> 16 ; jrcxz ok ; mov rcx, r12 ; to the stub ; ok: mov rcx, r12 */
static void emit_mxcsr_check(struct tr *t, const struct hop *m)
{
    struct emit *e = &t->e;
    em_load(e, 4, H_R13, m);
    em_mov(e, H_R12, H_RCX);
    em_mov_imm(e, H_RCX, 16);
    em_shift(e, 4, 'r', H_RCX, H_R13, H_RCX);
    u8 *ok = em_jrcxz(e);
    em_mov(e, H_RCX, H_R12);
    tr_jmp_step(t, false);
    em_here(e, ok);
    em_mov(e, H_RCX, H_R12);
}

void tr_plain(struct tr *t)
{
    const struct dec_insn *in = t->in;
    u8 esp_regs = 0; /* does ESP appear as a register operand, not only as a base? */
    if (in->has_modrm && !(in->byte_regs & 1) && (in->reg_is_gpr & 1) && ((in->modrm >> 3) & 7) == R_ESP)
        esp_regs = 1;
    if (in->has_modrm && !in->mem && !(in->byte_regs & 2) && (in->reg_is_gpr & 2) && (in->modrm & 7) == R_ESP)
        esp_regs = 1;
    if (in->opcode_reg && (in->opcode & 7) == R_ESP &&
        !(in->map == 0 && in->opcode >= 0xb0 && in->opcode <= 0xb7))
        esp_regs = 1;
    if (in->map == 0 && (in->opcode == 0x44 || in->opcode == 0x4c))
        esp_regs = 1;
    if (esp_regs && t->adj) {
        tr_flush_esp(t);
        tr_rec(t, PEND_NONE, SIDE_MID);
    }
    struct hop m = {.base = H_NONE, .index = H_NONE, .scale = 1};
    if (in->mem) {
        if (!op_seg_ok(t, in->seg)) {
            tr_refuse(t, BT_REFUSE_SEGCHECK);
            return;
        }
        /* Ten bytes with a 16-bit address may wrap between their two parts. */
        if ((tr_segc(t, in->seg) != SEGC_FLAT && in->mem_size == 0) ||
            (in->mem_size == 10 && in->adsz == 2)) {
            tr_refuse(t, BT_REFUSE_ENCODING);
            return;
        }
        if (plain_is_ldmxcsr(in) && plain_mxcsr_mask(t->bt->cpu) != 0xffff) {
            tr_refuse(t, BT_REFUSE_ENCODING);
            return;
        }
        m = op_insn_mem(t);
        if (plain_is_ldmxcsr(in))
            emit_mxcsr_check(t, &m);
        bool rex = (m.base != H_NONE && m.base >= 8) || (m.index != H_NONE && m.index >= 8);
        if (rex && plain_needs_legacy(in)) {
            emit_borrowed(t, &m);
            return;
        }
    }
    if (!plain_emit(&t->e, in, &m))
        tr_refuse(t, BT_REFUSE_ENCODING);
}
