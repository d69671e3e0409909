/*
 * forms.c - what a mnemonic alone does not tell: its forms, and the registers it uses implicitly.
 *
 * PUSH may push a register, an immediate, memory or a segment register; MOV may be one of control
 * registers; CALL may be far. Each form that is treated differently gets its class, its operation and
 * its operands in reg and reg2 here. Works on the record, knows nothing of Zydis.
 */
#include "decoder/forms.h"

static void refine_push_pop(struct dec_insn *out, bool push)
{
    bool seg = out->map == 1 || (out->opcode & 0xe6) == 0x06;

    if (seg) {
        /* 06 0E 16 1E, 0F A0, 0F A8: bits 5..3 are the segment; POP is the next opcode. */
        out->reg = out->opcode >> 3 & 7;
        if (out->map == 1)
            out->reg = out->opcode < 0xa8 ? SEG_FS : SEG_GS;
        dec_set_op(out, push ? DEC_STACK : DEC_SYS, push ? OP_PUSH_SEG : OP_POP_SEG);
    } else if (out->imm_size) {
        out->op = OP_PUSH_I;
    } else if (out->mem) {
        out->op = push ? OP_PUSH_M : OP_POP_M;
    } else {
        out->reg = out->has_modrm ? out->modrm & 7 : out->opcode & 7;
        out->op = push ? OP_PUSH_R : OP_POP_R;
    }
}

static void refine_jump(struct dec_insn *out, bool call)
{
    u8 ext = out->modrm >> 3 & 7;

    if (out->opcode == 0xea || out->opcode == 0x9a)
        dec_set_op(out, DEC_SYS, call ? OP_CALL_FAR_I : OP_JMP_FAR_I);
    else if (out->opcode == 0xff && (ext & 1))
        dec_set_op(out, DEC_SYS, call ? OP_CALL_FAR_M : OP_JMP_FAR_M);
    else if (out->opcode == 0xff)
        out->op = call ? OP_CALL_RM : OP_JMP_RM;
}

static void refine_mov(struct dec_insn *out)
{
    u8 ext = out->modrm >> 3 & 7;
    bool is_dr = out->opcode & 1;

    if (out->map == 0 && out->opcode == 0x8c) {
        dec_set_op(out, DEC_HAND, OP_MOV_R_SEG);
        out->reg = out->mem ? DEC_NO_REG : out->modrm & 7;
        out->reg2 = ext;
    } else if (out->map == 0 && out->opcode == 0x8e) {
        dec_set_op(out, DEC_SYS, OP_MOV_SEG_RM);
        out->reg = ext;
        out->reg2 = out->mem ? DEC_NO_REG : out->modrm & 7;
        out->opsz = 2;
        if (ext == SEG_CS)
            dec_set_op(out, DEC_UD, OP_NONE);
    } else if (out->map == 1 && out->opcode <= 0x23) {
        if (out->opcode & 2)
            dec_set_op(out, DEC_SYS, is_dr ? OP_MOV_DR_R : OP_MOV_CR_R);
        else
            dec_set_op(out, DEC_SYS, is_dr ? OP_MOV_R_DR : OP_MOV_R_CR);
        out->reg = out->modrm & 7;
        out->reg2 = ext;
        out->opsz = 4;
        if (!is_dr && ext == 4)
            out->feature = FEAT_CPUID; /* CR4 came with CPUID */
        if (!is_dr && (ext == 1 || ext > 4))
            dec_set_op(out, DEC_UD, OP_NONE);
    }
}

/* Only a register offset with a memory operand reaches beyond the operand. */
static void refine_bit_test(struct dec_insn *out)
{
    if (out->imm_size || !out->mem)
        dec_set_op(out, DEC_PLAIN, OP_NONE);
    else
        out->reg = out->modrm >> 3 & 7;
}

static u8 far_segment(const struct dec_insn *out)
{
    if (out->map == 0)
        return out->opcode == 0xc4 ? SEG_ES : SEG_DS;
    return out->opcode == 0xb2 ? SEG_SS : out->opcode == 0xb4 ? SEG_FS : SEG_GS;
}

void dec_refine_form(struct dec_insn *out, bool is_mov)
{
    u8 rm = out->mem ? DEC_NO_REG : out->modrm & 7, ext = out->modrm >> 3 & 7;

    if (is_mov)
        refine_mov(out);
    switch (out->op) {
    case OP_PUSH_R: refine_push_pop(out, true); break;
    case OP_POP_R: refine_push_pop(out, false); break;
    case OP_JMP: refine_jump(out, false); break;
    case OP_CALL: refine_jump(out, true); break;
    case OP_RET:
        if ((out->opcode & 0xfe) == 0xca)
            dec_set_op(out, DEC_SYS, OP_RET_FAR);
        break;
    case OP_BT:
    case OP_BTS:
    case OP_BTR:
    case OP_BTC: refine_bit_test(out); break;
    case OP_MOVS:
    case OP_CMPS:
        if (out->map)
            dec_set_op(out, DEC_PLAIN, OP_NONE); /* SSE2's MOVSD, CMPSD */
        break;
    case OP_IN:
    case OP_OUT:
        if (!out->imm_size)
            out->reg2 = 2;
        break;
    case OP_LEA:
    case OP_BOUND: out->reg = ext; break;
    case OP_LOAD_FAR:
        out->reg = ext;
        out->reg2 = far_segment(out);
        break;
    case OP_LAR:
    case OP_LSL:
        out->reg = ext;
        out->reg2 = rm;
        break;
    case OP_ARPL:
        out->reg = ext;
        out->reg2 = rm;
        out->opsz = 2;
        break;
    case OP_INVLPG: out->opsz = out->stksz; break;
    case OP_LMSW:
    case OP_SMSW:
    case OP_SLDT:
    case OP_STR:
    case OP_LLDT:
    case OP_LTR:
    case OP_VERR:
    case OP_VERW: out->reg = rm; break;
    default: break;
    }
    if (out->op == OP_JMP_RM || out->op == OP_CALL_RM)
        out->reg = rm;
}

#define GPR_A BIT(0)
#define GPR_C BIT(1)
#define GPR_SP BIT(4)
#define GPR_BP BIT(5)
#define GPR_SI BIT(6)
#define GPR_DI BIT(7)

static void fill_string(struct dec_insn *out, int override)
{
    bool no_source = out->op == OP_STOS || out->op == OP_SCAS || out->op == OP_INS;
    bool no_target = out->op == OP_LODS || out->op == OP_OUTS;
    u8 pointers = (no_source ? 0 : GPR_SI) | (no_target ? 0 : GPR_DI);

    if (out->prefixes & (DEC_PFX_REP | DEC_PFX_REPNE))
        pointers |= GPR_C;
    out->gpr_read |= pointers;
    out->gpr_written |= pointers;
    out->mem_size = out->opsz;
    out->seg = no_source ? SEG_ES : override >= 0 ? override : SEG_DS;
}

/* Registers of stack and branch instructions beyond their named operands. */
static void fill_stack(struct dec_insn *out)
{
    u8 in = 0, changed = 0;

    switch (out->op) {
    case OP_PUSHA: in = 0xff; break;
    case OP_POPA:
        out->gpr_written = 0xff;
        in = out->opsz == 2 ? 0xff : 0; /* the upper halves stay */
        break;
    case OP_ENTER:
    case OP_LEAVE: changed = GPR_BP; break;
    case OP_LOOP:
    case OP_LOOPE:
    case OP_LOOPNE: changed = GPR_C; break;
    case OP_JCXZ: in = GPR_C; break;
    default: break;
    }
    if (out->cls == DEC_STACK || out->op == OP_CALL || out->op == OP_CALL_RM || out->op == OP_RET ||
        out->op == OP_POP_SEG || out->op == OP_CALL_FAR_I || out->op == OP_CALL_FAR_M ||
        out->op == OP_RET_FAR)
        changed |= GPR_SP;
    out->gpr_read |= in | changed;
    out->gpr_written |= changed;
}

/* What the operation uses beyond its named operands. */
void dec_fill_implicit(struct dec_insn *out, int override)
{
    fill_stack(out);
    if (dec_is_string(out))
        fill_string(out, override);
    else if (out->op == OP_XLAT)
        out->gpr_read |= GPR_A;
    else if (out->op == OP_CLFLUSH)
        out->mem_size = 1; /* the permission check of a one-byte read */
    else if (out->op == OP_NOP)
        out->reg_is_gpr = out->gpr_read = out->gpr_written = 0;
}

u8 dec_condition(const struct dec_insn *out)
{
    u8 row = out->opcode & 0xf0;

    if (out->map == 0 ? row == 0x70 : out->map == 1 && (row == 0x40 || row == 0x80 || row == 0x90))
        return out->opcode & 15;
    return 0;
}
