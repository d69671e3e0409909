/*
 * host.c - dec_host_decode(): one 64-bit host instruction, for the verifier of translated code.
 *
 * The opposite of a guest decoder: it is not here to understand, but to refuse. What an unprivileged instruction
 * without side doors may be is listed by category and, where a category mixes good with bad, by mnemonic; everything
 * else is DEC_HOST_BAD. A new instruction in emitted code is therefore refused until somebody lists it here.
 *
 * Guarantees: pure; reads only bytes[0..avail).
 */
#include <string.h>

#include <Zydis/Zydis.h>

#include "decoder/decoder.h"

/* Categories whose members only compute on registers and explicit memory operands (exceptions below). */
static bool category_computes(ZydisInstructionCategory category)
{
    switch (category) {
    case ZYDIS_CATEGORY_AES:
    case ZYDIS_CATEGORY_BINARY:
    case ZYDIS_CATEGORY_BITBYTE:
    case ZYDIS_CATEGORY_BLEND:
    case ZYDIS_CATEGORY_BMI1:
    case ZYDIS_CATEGORY_BMI2:
    case ZYDIS_CATEGORY_CMOV:
    case ZYDIS_CATEGORY_CONVERT:
    case ZYDIS_CATEGORY_DATAXFER:
    case ZYDIS_CATEGORY_FCMOV:
    case ZYDIS_CATEGORY_LOGICAL:
    case ZYDIS_CATEGORY_LOGICAL_FP:
    case ZYDIS_CATEGORY_LZCNT:
    case ZYDIS_CATEGORY_MMX:
    case ZYDIS_CATEGORY_NOP:
    case ZYDIS_CATEGORY_PCLMULQDQ:
    case ZYDIS_CATEGORY_ROTATE:
    case ZYDIS_CATEGORY_SEMAPHORE:
    case ZYDIS_CATEGORY_SETCC:
    case ZYDIS_CATEGORY_SHIFT:
    case ZYDIS_CATEGORY_SSE:
    case ZYDIS_CATEGORY_STTNI:
    case ZYDIS_CATEGORY_X87_ALU: return true;
    default: return false;
    }
}

/* Members of other categories that are as harmless, and the flag instructions that leave DF and IF alone. */
static bool mnemonic_computes(ZydisMnemonic mnemonic)
{
    switch (mnemonic) {
    case ZYDIS_MNEMONIC_CLC:
    case ZYDIS_MNEMONIC_CMC:
    case ZYDIS_MNEMONIC_STC:
    case ZYDIS_MNEMONIC_LAHF:
    case ZYDIS_MNEMONIC_SAHF:
    case ZYDIS_MNEMONIC_RDTSC:
    case ZYDIS_MNEMONIC_LFENCE:
    case ZYDIS_MNEMONIC_MFENCE:
    case ZYDIS_MNEMONIC_SFENCE:
    case ZYDIS_MNEMONIC_PAUSE: return true;
    default: return false;
    }
}

/* Of an allowed category, but showing the host's code addresses, or moving whole states at once. */
static bool mnemonic_tells(ZydisMnemonic mnemonic)
{
    switch (mnemonic) {
    case ZYDIS_MNEMONIC_FNSTENV:
    case ZYDIS_MNEMONIC_FNSAVE:
    case ZYDIS_MNEMONIC_FLDENV:
    case ZYDIS_MNEMONIC_FRSTOR:
    case ZYDIS_MNEMONIC_FXSAVE:
    case ZYDIS_MNEMONIC_FXSAVE64:
    case ZYDIS_MNEMONIC_FXRSTOR:
    case ZYDIS_MNEMONIC_FXRSTOR64: return true;
    default: return false;
    }
}

static u8 kind_of(const ZydisDecodedInstruction *insn)
{
    ZydisMnemonic m = insn->mnemonic;

    if (insn->attributes & ZYDIS_ATTRIB_IS_PRIVILEGED)
        return DEC_HOST_BAD;
    if (insn->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX)
        return insn->meta.category == ZYDIS_CATEGORY_BMI2 ? DEC_HOST_PLAIN : DEC_HOST_BAD;
    if (insn->encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY)
        return DEC_HOST_BAD;
    switch (m) {
    case ZYDIS_MNEMONIC_LEA: return DEC_HOST_LEA;
    case ZYDIS_MNEMONIC_PUSHFQ: return DEC_HOST_PUSHF;
    default: break;
    }
    switch (insn->meta.category) {
    case ZYDIS_CATEGORY_STRINGOP: return DEC_HOST_STRING;
    case ZYDIS_CATEGORY_CALL:
        return insn->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR ? DEC_HOST_BAD : DEC_HOST_CALL;
    case ZYDIS_CATEGORY_UNCOND_BR:
        return insn->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR ? DEC_HOST_BAD : DEC_HOST_JMP;
    case ZYDIS_CATEGORY_COND_BR: return DEC_HOST_JCC;
    case ZYDIS_CATEGORY_RET: return insn->opcode == 0xc3 && insn->length == 1 ? DEC_HOST_RET : DEC_HOST_BAD;
    case ZYDIS_CATEGORY_PUSH: return m == ZYDIS_MNEMONIC_PUSH ? DEC_HOST_PUSH : DEC_HOST_BAD;
    case ZYDIS_CATEGORY_POP: return m == ZYDIS_MNEMONIC_POP ? DEC_HOST_POP : DEC_HOST_BAD;
    default: break;
    }
    if (mnemonic_tells(m))
        return DEC_HOST_BAD;
    return category_computes(insn->meta.category) || mnemonic_computes(m) ? DEC_HOST_PLAIN : DEC_HOST_BAD;
}

/* Number 0..15 of the whole general register that holds reg; DEC_NO_REG: none. */
static u8 gpr_number(ZydisRegister reg)
{
    ZydisRegister whole = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, reg);

    return whole >= ZYDIS_REGISTER_RAX && whole <= ZYDIS_REGISTER_R15 ? (u8)(whole - ZYDIS_REGISTER_RAX)
                                                                      : DEC_NO_REG;
}

/* A register operand. False: one that emitted code has no business with (segments, control, vectors beyond XMM...). */
static bool note_register(struct dec_host_insn *out, const ZydisDecodedOperand *op)
{
    ZydisRegister reg = op->reg.value;
    u8 n = gpr_number(reg);

    if (n != DEC_NO_REG) {
        if (op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) {
            out->gpr_written |= (u16)BIT(n);
            if (op->size == 64)
                out->gpr_written64 |= (u16)BIT(n);
        }
        if (op->actions & ZYDIS_OPERAND_ACTION_MASK_READ)
            out->gpr_read |= (u16)BIT(n);
        if (op->visibility == ZYDIS_OPERAND_VISIBILITY_EXPLICIT) {
            if (out->n_regs < 2)
                out->reg[out->n_regs] = n;
            out->n_regs++;
        }
        return true;
    }
    switch (ZydisRegisterGetClass(reg)) {
    case ZYDIS_REGCLASS_SEGMENT:
    case ZYDIS_REGCLASS_CONTROL:
    case ZYDIS_REGCLASS_DEBUG:
    case ZYDIS_REGCLASS_TEST:
    case ZYDIS_REGCLASS_TABLE:
    case ZYDIS_REGCLASS_BOUND:
    case ZYDIS_REGCLASS_YMM:
    case ZYDIS_REGCLASS_ZMM: return false;
    default: return true;
    }
}

static void note_memory(struct dec_host_insn *out, const ZydisDecodedInstruction *insn,
                        const ZydisDecodedOperand *op)
{
    if (op->mem.segment == ZYDIS_REGISTER_GS)
        out->mem_seg = DEC_HOST_SEG_GS;
    else if (op->mem.segment == ZYDIS_REGISTER_FS)
        out->mem_seg = DEC_HOST_SEG_FS;
    out->mem_adsz = insn->address_width / 8;
    if (op->visibility != ZYDIS_OPERAND_VISIBILITY_EXPLICIT || op->mem.type == ZYDIS_MEMOP_TYPE_MIB ||
        op->mem.type == ZYDIS_MEMOP_TYPE_VSIB) {
        u8 base = gpr_number(op->mem.base);

        out->mem_implicit = 1;
        if (base != DEC_NO_REG)
            out->implicit_bases |= (u16)BIT(base);
        return;
    }
    out->mem = 1;
    /* RIP and EIP have no number: they must not look like "no base". */
    out->mem_base = op->mem.base == ZYDIS_REGISTER_NONE ? DEC_NO_REG : gpr_number(op->mem.base);
    if (op->mem.base != ZYDIS_REGISTER_NONE && out->mem_base == DEC_NO_REG)
        out->mem_base = DEC_HOST_REG_OTHER;
    out->mem_index = op->mem.index == ZYDIS_REGISTER_NONE ? DEC_NO_REG : gpr_number(op->mem.index);
    out->mem_scale = op->mem.index == ZYDIS_REGISTER_NONE ? 1 : op->mem.scale;
    out->mem_disp = op->mem.disp.has_displacement ? op->mem.disp.value : 0;
    if (op->mem.type == ZYDIS_MEMOP_TYPE_AGEN)
        return;
    out->mem_bytes = op->size / 8;
    out->mem_read = !!(op->actions & ZYDIS_OPERAND_ACTION_MASK_READ);
    out->mem_write = !!(op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE);
}

int dec_host_decode(struct dec_host_insn *out, const u8 *bytes, size_t avail)
{
    ZydisDecoder decoder;
    ZydisDecodedInstruction insn;
    ZydisDecodedOperand ops[ZYDIS_MAX_OPERAND_COUNT];
    bool regs_ok = true;

    memset(out, 0, sizeof(*out));
    out->reg[0] = out->reg[1] = out->mem_base = out->mem_index = DEC_NO_REG;
    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    if (ZYAN_FAILED(ZydisDecoderDecodeFull(&decoder, bytes, avail, &insn, ops)))
        return -EILSEQ;
    out->len = insn.length;
    out->kind = kind_of(&insn);
    out->opcode = insn.opcode;
    out->rep = !!(insn.attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE | ZYDIS_ATTRIB_HAS_REPNE));
    for (unsigned i = 0; i < insn.operand_count; i++) {
        switch (ops[i].type) {
        case ZYDIS_OPERAND_TYPE_REGISTER: regs_ok = note_register(out, &ops[i]) && regs_ok; break;
        case ZYDIS_OPERAND_TYPE_MEMORY: note_memory(out, &insn, &ops[i]); break;
        case ZYDIS_OPERAND_TYPE_IMMEDIATE:
            out->imm = ops[i].imm.value.u;
            out->relative = ops[i].imm.is_relative;
            out->has_imm = 1;
            break;
        default: regs_ok = false; /* far pointers */
        }
    }
    if (!regs_ok)
        out->kind = DEC_HOST_BAD;
    bool flow = out->kind == DEC_HOST_JMP || out->kind == DEC_HOST_JCC || out->kind == DEC_HOST_CALL;
    if (flow && !out->relative) /* through a register or memory */
        out->kind = DEC_HOST_BAD;
    if (flow && (insn.attributes & ZYDIS_ATTRIB_HAS_OPERANDSIZE)) /* CPUs differ in what it does there */
        out->kind = DEC_HOST_BAD;
    return 0;
}
