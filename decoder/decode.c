/*
 * decode.c - dec_decode(): one instruction from bytes to record.
 *
 * Zydis finds the encoding; table.c says whether our CPU has it and who carries it out; forms.c tells
 * apart the forms of one mnemonic; this file copies the parts that others need. The order is:
 * Zydis -> prefixes and sizes -> ModRM -> immediates -> class -> operands (registers, memory) -> flags.
 *
 * Guarantees: pure; no allocation; reads only bytes[0..avail). Every byte string ends as a record,
 * -ENODATA or -E2BIG; what Zydis or the tables refuse is a DEC_UD record.
 */
#include <string.h>

#include <Zydis/Zydis.h>

#include "decoder/decoder.h"
#include "decoder/forms.h"
#include "decoder/table.h"

/* All that Zydis knows of the instruction at hand. */
struct dec_source {
    ZydisDecodedInstruction insn;
    ZydisDecodedOperand ops[ZYDIS_MAX_OPERAND_COUNT];
    u8 ops_used;
};

static bool has_feature(u32 features, u8 feature)
{
    return feature == FEAT_NONE || (features >> feature & 1);
}

/* Hidden operands cost time. Those of stack and branch instructions dec_fill_implicit() knows; flags, always
 * the last operand (of x87 instructions the status word is), are told by cpu_flags. */
static u8 operands_wanted(const ZydisDecodedInstruction *insn)
{
    const ZydisAccessedFlags *fl = insn->cpu_flags;
    u8 cls = dec_mnemonic_row(insn->mnemonic)->cls;

    if (cls == DEC_STACK || cls == DEC_BRANCH)
        return insn->operand_count_visible;
    if (fl && (fl->tested | fl->modified | fl->set_0 | fl->set_1 | fl->undefined))
        return insn->operand_count - 1;
    return insn->operand_count;
}

/* The optional meanings of Zydis that reuse older encodings stay off (their bytes are NOPs, or what
 * they were before), except the two that the CPU model may have. */
static int zydis_decode(struct dec_source *src, const u8 *bytes, size_t avail, bool cs32, u32 features)
{
    ZydisDecoder decoder = {
        .machine_mode = cs32 ? ZYDIS_MACHINE_MODE_LEGACY_32 : ZYDIS_MACHINE_MODE_LEGACY_16,
        .stack_width = cs32 ? ZYDIS_STACK_WIDTH_32 : ZYDIS_STACK_WIDTH_16,
        .decoder_mode = {[ZYDIS_DECODER_MODE_LZCNT] = has_feature(features, FEAT_LZCNT),
                         [ZYDIS_DECODER_MODE_TZCNT] = has_feature(features, FEAT_BMI1)},
    };
    ZydisDecoderContext context;
    ZyanStatus status;

    status = ZydisDecoderDecodeInstruction(&decoder, &context, bytes, avail, &src->insn);
    if (status == ZYDIS_STATUS_NO_MORE_DATA)
        return -ENODATA;
    if (status == ZYDIS_STATUS_INSTRUCTION_TOO_LONG)
        return -E2BIG;
    if (ZYAN_FAILED(status) || src->insn.encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY)
        return -EILSEQ;
    src->ops_used = operands_wanted(&src->insn);
    status = ZydisDecoderDecodeOperands(&decoder, &context, &src->insn, src->ops, src->ops_used);
    return ZYAN_FAILED(status) ? -EILSEQ : 0;
}

/* Prefix flags, the mandatory prefix, the segment override (or -1) and the sizes in effect. */
static int fill_prefixes(struct dec_insn *out, const ZydisDecodedInstruction *insn, bool cs32)
{
    int override = -1;

    for (unsigned i = 0; i < insn->raw.prefix_count; i++) {
        u8 value = insn->raw.prefixes[i].value;

        /* In the one-byte map Zydis calls REP of string instructions and PAUSE mandatory as well. */
        if (insn->raw.prefixes[i].type == ZYDIS_PREFIX_TYPE_MANDATORY && out->map) {
            out->mandatory = value;
            continue;
        }
        switch (value) {
        case 0x66: out->prefixes |= DEC_PFX_OPSIZE; break;
        case 0x67: out->prefixes |= DEC_PFX_ADSIZE; break;
        case 0xf0: out->prefixes |= DEC_PFX_LOCK; break;
        case 0xf2: out->prefixes = (out->prefixes & ~DEC_PFX_REP) | DEC_PFX_REPNE; break;
        case 0xf3: out->prefixes = (out->prefixes & ~DEC_PFX_REPNE) | DEC_PFX_REP; break;
        case 0x26: override = SEG_ES; break;
        case 0x2e: override = SEG_CS; break;
        case 0x36: override = SEG_SS; break;
        case 0x3e: override = SEG_DS; break;
        case 0x64: override = SEG_FS; break;
        case 0x65: override = SEG_GS; break;
        default: break;
        }
    }
    if (override >= 0)
        out->prefixes |= DEC_PFX_SEG;
    out->stksz = cs32 != !!(out->prefixes & DEC_PFX_OPSIZE) ? 4 : 2;
    out->adsz = cs32 != !!(out->prefixes & DEC_PFX_ADSIZE) ? 4 : 2;
    out->opsz = insn->operand_width == 8 ? 1 : out->stksz;
    return override;
}

/* 16-bit addressing: base and index by ModRM.rm (SDM vol. 2, table 2-1). */
static void fill_address16(struct dec_insn *out, u8 mod, u8 rm)
{
    static const u8 bases[8] = {3, 3, 5, 5, 6, 7, 5, 3};
    static const u8 indices[8] = {6, 7, 6, 7, DEC_NO_REG, DEC_NO_REG, DEC_NO_REG, DEC_NO_REG};

    out->base = mod == 0 && rm == 6 ? DEC_NO_REG : bases[rm];
    out->index = indices[rm];
}

static void fill_address32(struct dec_insn *out, const ZydisDecodedInstruction *insn, u8 mod, u8 rm)
{
    out->base = rm;
    if (rm == 4) {
        out->base = insn->raw.sib.base;
        out->index = insn->raw.sib.index == 4 ? DEC_NO_REG : insn->raw.sib.index;
        out->scale = 1 << (insn->raw.sib.scale & 3);
    }
    if (mod == 0 && out->base == 5)
        out->base = DEC_NO_REG;
}

/* ModRM and moffs. forced_reg: the instruction takes mod for 3 whatever it says (MOV CR, MOV DR). */
static void fill_modrm(struct dec_insn *out, const ZydisDecodedInstruction *insn, int override,
                       bool forced_reg)
{
    u8 mod = insn->raw.modrm.mod, rm = insn->raw.modrm.rm;

    out->base = DEC_NO_REG;
    out->index = DEC_NO_REG;
    out->scale = 1;
    out->seg = override >= 0 ? override : SEG_DS;
    out->disp = (i32)insn->raw.disp.value;
    out->has_modrm = (insn->attributes & ZYDIS_ATTRIB_HAS_MODRM) != 0;
    if (!out->has_modrm) {
        if (out->map == 0 && (out->opcode & 0xfc) == 0xa0) {
            out->mem = 1;
            out->moffs = 1;
            if (out->adsz == 2)
                out->disp &= 0xffff;
        }
        return;
    }
    out->modrm = insn->raw.modrm.mod << 6 | insn->raw.modrm.reg << 3 | insn->raw.modrm.rm;
    if (mod == 3 || forced_reg)
        return;
    out->mem = 1;
    if (out->adsz == 2)
        fill_address16(out, mod, rm);
    else
        fill_address32(out, insn, mod, rm);
    if (override < 0 && (out->base == 5 || (out->base == 4 && out->adsz == 4)))
        out->seg = SEG_SS;
}

static void fill_immediates(struct dec_insn *out, const ZydisDecodedInstruction *insn)
{
    for (unsigned i = 0; i < 2; i++) {
        if (!insn->raw.imm[i].size)
            continue;
        if (!out->imm_size)
            out->imm_off = insn->raw.imm[i].offset;
        out->imm_size += insn->raw.imm[i].size / 8;
    }
    out->imm = (u32)insn->raw.imm[0].value.u;
    out->imm2 = (u32)insn->raw.imm[1].value.u;
}

/* Number 0..7 of the whole register that holds reg; -1: not a GPR. */
static int gpr_number(ZydisRegister reg)
{
    if (reg >= ZYDIS_REGISTER_EAX && reg <= ZYDIS_REGISTER_EDI)
        return reg - ZYDIS_REGISTER_EAX;
    if (reg >= ZYDIS_REGISTER_AX && reg <= ZYDIS_REGISTER_DI)
        return reg - ZYDIS_REGISTER_AX;
    if (reg >= ZYDIS_REGISTER_AL && reg <= ZYDIS_REGISTER_BH)
        return (reg - ZYDIS_REGISTER_AL) & 3;
    return -1;
}

static u8 gpr_bit(ZydisRegister reg)
{
    int n = gpr_number(reg);

    return n < 0 ? 0 : BIT(n);
}

static void note_register(struct dec_insn *out, const ZydisDecodedOperand *op)
{
    bool is_byte = op->reg.value >= ZYDIS_REGISTER_AL && op->reg.value <= ZYDIS_REGISTER_BH;
    bool is_part = op->reg.value < ZYDIS_REGISTER_EAX;
    u8 bit = gpr_bit(op->reg.value), place;

    if (op->reg.value >= ZYDIS_REGISTER_XMM0 && op->reg.value <= ZYDIS_REGISTER_XMM7)
        out->fpu = DEC_FPU_SSE;
    else if (op->reg.value >= ZYDIS_REGISTER_MM0 && op->reg.value <= ZYDIS_REGISTER_MM7 && !out->fpu)
        out->fpu = DEC_FPU_MMX;
    if (!bit)
        return;
    if (op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE)
        out->gpr_written |= bit;
    /* A conditional write may keep the old value, a write of a part keeps the rest: both read too. */
    if ((op->actions & (ZYDIS_OPERAND_ACTION_MASK_READ | ZYDIS_OPERAND_ACTION_CONDWRITE)) || is_part)
        out->gpr_read |= bit;
    if (op->encoding == ZYDIS_OPERAND_ENCODING_OPCODE) {
        out->opcode_reg = 1;
        return;
    }
    if (op->encoding == ZYDIS_OPERAND_ENCODING_MODRM_REG)
        place = 1;
    else if (op->encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM)
        place = 2;
    else
        return;
    out->reg_is_gpr |= place;
    if (is_byte)
        out->byte_regs |= place;
}

static bool has_implicit_memory(const struct dec_insn *out)
{
    return dec_is_string(out) || out->op == OP_XLAT || out->op == OP_MASKMOV;
}

static void note_memory(struct dec_insn *out, const ZydisDecodedOperand *op)
{
    out->gpr_read |= gpr_bit(op->mem.base) | gpr_bit(op->mem.index);
    /* LEA, INVLPG and NOP access nothing, and the stack's implicit operands do not count. */
    if (op->mem.type != ZYDIS_MEMOP_TYPE_MEM || out->op == OP_NOP || out->op == OP_INVLPG)
        return;
    if (!out->mem && !has_implicit_memory(out))
        return;
    if (out->mem && op->visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN)
        return;
    if (op->size / 8 > out->mem_size)
        out->mem_size = op->size / 8;
    if (op->actions & ZYDIS_OPERAND_ACTION_MASK_READ)
        out->mem_read = 1;
    if (op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE)
        out->mem_write = 1;
}

static void fill_operands(struct dec_insn *out, const struct dec_source *src)
{
    for (unsigned i = 0; i < src->ops_used; i++) {
        const ZydisDecodedOperand *op = &src->ops[i];

        if (op->type == ZYDIS_OPERAND_TYPE_REGISTER)
            note_register(out, op);
        else if (op->type == ZYDIS_OPERAND_TYPE_MEMORY)
            note_memory(out, op);
    }
}

/* Arithmetic flags. What the manual calls undefined some CPUs leave alone, so it is an input too: our
 * reference is the host, whatever it does. */
static void fill_flags(struct dec_insn *out, const ZydisDecodedInstruction *insn, u8 traits)
{
    const ZydisAccessedFlags *fl = insn->cpu_flags;
    u32 undefined;

    if (!fl)
        return;
    undefined = fl->undefined;
    if (traits & DEC_TRAIT_AF_ZERO)
        undefined &= ~FL_AF;
    out->fl_write = (fl->modified | fl->set_0 | fl->set_1 | fl->undefined) & FL_ARITH;
    out->fl_read = (fl->tested | undefined) & FL_ARITH;
    if ((traits & DEC_TRAIT_SHIFT) && !(out->imm_size && (out->imm & 31)) &&
        !(out->map == 0 && (out->opcode & 0xfe) == 0xd0))
        out->fl_read |= out->fl_write;
    if ((out->op == OP_SCAS || out->op == OP_CMPS) && (out->prefixes & (DEC_PFX_REP | DEC_PFX_REPNE)))
        out->fl_read |= out->fl_write;
}

/* Integer SIMD on MMX registers that came with SSE, not with MMX (map 0F). */
static bool is_mmx_of_sse(u8 opcode)
{
    switch (opcode) {
    case 0x70:
    case 0xc4:
    case 0xc5:
    case 0xd7:
    case 0xda:
    case 0xde:
    case 0xe0:
    case 0xe3:
    case 0xe4:
    case 0xe7:
    case 0xea:
    case 0xee:
    case 0xf6:
    case 0xf7: return true;
    default: return false;
    }
}

static void fill_feature(struct dec_insn *out, const ZydisDecodedInstruction *insn,
                         const struct dec_isa_row *isa, const struct dec_mnemonic_row *row)
{
    out->feature = row->feature ? row->feature : isa->feature;
    if (insn->meta.isa_set == ZYDIS_ISA_SET_PENTIUMMMX && is_mmx_of_sse(out->opcode))
        out->feature = FEAT_SSE;
    if (insn->meta.isa_set == ZYDIS_ISA_SET_PPRO && out->op == OP_NOP)
        out->feature = FEAT_LNOP;
}

/* State needed, beyond what the register operands told (SDM vol. 3, table 13-1 and 2.5). Fences, hints,
 * MOVNTI, CRC32 and POPCNT need none. FWAIT has its own rule (MP and TS) and shows as none. */
static void fill_fpu(struct dec_insn *out, const ZydisDecodedInstruction *insn)
{
    if (out->map == 0 && (out->opcode & 0xf8) == 0xd8)
        out->fpu = DEC_FPU_X87;
    else if (insn->mnemonic == ZYDIS_MNEMONIC_EMMS)
        out->fpu = DEC_FPU_MMX;
    else if (insn->meta.isa_set == ZYDIS_ISA_SET_SSEMXCSR)
        out->fpu = DEC_FPU_SSE;
    else if (out->op == OP_FXSAVE || out->op == OP_FXRSTOR)
        out->fpu = DEC_FPU_FXSR;
}

static u8 opcode_map(ZydisOpcodeMap map)
{
    switch (map) {
    case ZYDIS_OPCODE_MAP_0F: return 1;
    case ZYDIS_OPCODE_MAP_0F38: return 2;
    case ZYDIS_OPCODE_MAP_0F3A: return 3;
    case ZYDIS_OPCODE_MAP_0F0F: return 4;
    default: return 0;
    }
}

static void fill_record(struct dec_insn *out, const struct dec_source *src, bool cs32, u32 features)
{
    const ZydisDecodedInstruction *insn = &src->insn;
    const struct dec_isa_row *isa = dec_isa_row(insn->meta.isa_set);
    const struct dec_mnemonic_row *row = dec_mnemonic_row(insn->mnemonic);
    bool forced_reg;
    int override;

    out->len = insn->length;
    out->map = opcode_map(insn->opcode_map);
    out->opcode = insn->opcode;
    dec_set_op(out, row->cls, row->op);
    override = fill_prefixes(out, insn, cs32);
    forced_reg = out->map == 1 && out->opcode >= 0x20 && out->opcode <= 0x23;
    fill_modrm(out, insn, override, forced_reg);
    fill_immediates(out, insn);
    fill_feature(out, insn, isa, row);
    dec_refine_form(out, insn->mnemonic == ZYDIS_MNEMONIC_MOV);
    fill_operands(out, src);
    if (row->traits & DEC_TRAIT_KEEPS)
        out->gpr_read |= out->gpr_written;
    dec_fill_implicit(out, override);
    fill_fpu(out, insn);
    fill_flags(out, insn, row->traits);
    out->cond = dec_condition(out);
    out->lock_ok = out->mem && (insn->attributes & ZYDIS_ATTRIB_ACCEPTS_LOCK);
    out->need66 = out->opsz == 2 && !out->fpu && !(row->traits & DEC_TRAIT_NO66);
    if (out->cls == DEC_PLAIN) {
        if (out->opcode_reg)
            out->reg = out->opcode & 7;
        else if (out->reg_is_gpr & 1)
            out->reg = out->modrm >> 3 & 7;
        if (out->reg_is_gpr & 2)
            out->reg2 = out->modrm & 7;
    }
    if (!isa->known || !has_feature(features, out->feature) ||
        ((out->prefixes & DEC_PFX_LOCK) && !out->lock_ok))
        dec_set_op(out, DEC_UD, OP_NONE);
}

/* What Zydis refuses: a form that does not exist, or one that takes no LOCK prefix. It still has a length. */
static int undefined(struct dec_insn *out, const u8 *bytes, size_t avail, bool cs32, u32 features)
{
    u8 rest[DEC_MAX_LEN];
    size_t n;
    unsigned locks = dec_strip_lock(bytes, avail, rest, &n);
    int len = locks ? dec_decode(out, rest, n, cs32, features) : dec_undefined_length(bytes, avail, cs32);

    if (locks && len == 0)
        len = (int)(out->len + locks);
    if (len > DEC_MAX_LEN || (len == -ENODATA && avail >= DEC_MAX_LEN))
        len = -E2BIG;
    if (len < 0)
        return len;
    memset(out, 0, sizeof(*out));
    out->cls = DEC_UD;
    out->reg = out->reg2 = out->base = out->index = DEC_NO_REG;
    out->len = (u8)len;
    memcpy(out->bytes, bytes, out->len);
    return 0;
}

int dec_decode(struct dec_insn *out, const u8 *bytes, size_t avail, bool cs32, u32 features)
{
    struct dec_source src;
    int err;

    memset(out, 0, sizeof(*out));
    out->reg = DEC_NO_REG;
    out->reg2 = DEC_NO_REG;
    err = zydis_decode(&src, bytes, avail, cs32, features);
    if (err == -EILSEQ || (err == -ENODATA && dec_is_empty(bytes, avail)))
        return undefined(out, bytes, avail, cs32, features);
    if (err)
        return err;
    fill_record(out, &src, cs32, features);
    memcpy(out->bytes, bytes, out->len);
    return 0;
}
