/*
 * step_plain.c - the commonest plain instructions on memory in C: moves, logic, sums, comparisons, exchanges.
 *
 * The host runs plain instructions itself. Those that keep touching a device's memory are callouts, though, and what a program does
 * to a planar screen is moves, logic and exchanges of bytes: carried out here they need neither leave the block nor emit a copy on a
 * buffer. Everything else is refused and goes that longer way. A read-modify-write reads once and writes once, as the
 * latches of a VGA want it. Source: SDM vol. 2; AF after logic is 0, as CPUs leave it.
 */
#include "monitor/step.h"

enum { ALU_ADD, ALU_OR, ALU_AND = 4, ALU_SUB, ALU_XOR, ALU_CMP };

#define REFUSED 1

static u32 reg_get(const struct cpu *cpu, const struct dec_insn *insn, unsigned size)
{
    unsigned reg = insn->modrm >> 3 & 7;

    if (size == 1 && reg >= 4)
        return (u8)(cpu->gpr[reg & 3] >> 8);
    return step_get(cpu, reg, size);
}

static void reg_set(struct cpu *cpu, const struct dec_insn *insn, unsigned size, u32 v)
{
    unsigned reg = insn->modrm >> 3 & 7;

    if (size == 1 && reg >= 4)
        cpu->gpr[reg & 3] = (cpu->gpr[reg & 3] & 0xffff00ffu) | (v & 0xff) << 8;
    else
        step_set(cpu, reg, size, v);
}

/* The result; flags as well. */
static u32 alu(struct cpu *cpu, unsigned what, u32 a, u32 b, unsigned size)
{
    u32 r;

    switch (what) {
    case ALU_ADD: cpu->flags = step_flags_add(a, b, size); return a + b;
    case ALU_SUB:
    case ALU_CMP: cpu->flags = step_flags_sub(a, b, size); return a - b;
    case ALU_OR: r = a | b; break;
    case ALU_AND: r = a & b; break;
    default: r = a ^ b; break;
    }
    cpu->flags = step_flags_sub(r, 0, size) & ~FL_AF; /* CF and OF come out clear */
    return r;
}

/* op m, b */
static int alu_to_memory(struct cpu *cpu, const struct dec_insn *insn, unsigned what, u32 b, unsigned size)
{
    u32 ea = dec_ea(cpu, insn), v = 0;
    bool write = what != ALU_CMP;

    if (write && mem_probe_write(cpu, insn->seg, ea, size))
        return -1;
    if (mem_read(cpu, insn->seg, ea, &v, size))
        return -1;
    u32 flags = cpu->flags;
    v = alu(cpu, what, v, b, size);
    if (write && mem_write(cpu, insn->seg, ea, &v, size)) {
        cpu->flags = flags;
        return -1;
    }
    return 0;
}

static int exchange(struct cpu *cpu, const struct dec_insn *insn, unsigned size)
{
    u32 ea = dec_ea(cpu, insn), v = 0, mine = reg_get(cpu, insn, size);

    if (mem_probe_write(cpu, insn->seg, ea, size) || mem_read(cpu, insn->seg, ea, &v, size) ||
        mem_write(cpu, insn->seg, ea, &mine, size))
        return -1;
    reg_set(cpu, insn, size, v);
    return 0;
}

static int load(struct cpu *cpu, const struct dec_insn *insn, unsigned size, u32 *v)
{
    *v = 0;
    return mem_read(cpu, insn->seg, dec_ea(cpu, insn), v, size);
}

static int store(struct cpu *cpu, const struct dec_insn *insn, unsigned size, u32 v)
{
    return mem_write(cpu, insn->seg, dec_ea(cpu, insn), &v, size);
}

/* 00h-3Dh of forms r/m with r; 80h, 81h, 83h; 84h, 85h. */
static int arithmetic(struct cpu *cpu, const struct dec_insn *insn, unsigned size)
{
    u8 opcode = insn->opcode;
    unsigned what = opcode < 0x40 ? opcode >> 3 : insn->modrm >> 3 & 7;
    u32 v;

    if (opcode == 0x84 || opcode == 0x85) { /* TEST */
        if (load(cpu, insn, size, &v))
            return -1;
        alu(cpu, ALU_AND, v, reg_get(cpu, insn, size), size);
        return 0;
    }
    if (what == 2 || what == 3) /* ADC, SBB */
        return REFUSED;
    if (opcode >= 0x40)
        return opcode == 0x82 ? REFUSED : alu_to_memory(cpu, insn, what, insn->imm, size);
    if (!(opcode & 2))
        return alu_to_memory(cpu, insn, what, reg_get(cpu, insn, size), size);
    if (load(cpu, insn, size, &v))
        return -1;
    v = alu(cpu, what, reg_get(cpu, insn, size), v, size);
    if (what != ALU_CMP)
        reg_set(cpu, insn, size, v);
    return 0;
}

static int one_byte(struct cpu *cpu, const struct dec_insn *insn)
{
    u8 opcode = insn->opcode;
    unsigned size = insn->mem_size;
    u32 v;

    if (insn->moffs) {
        if (opcode & 2)
            return store(cpu, insn, size, step_get(cpu, R_EAX, size));
        if (load(cpu, insn, size, &v))
            return -1;
        step_set(cpu, R_EAX, size, v);
        return 0;
    }
    switch (opcode) {
    case 0x86:
    case 0x87: return exchange(cpu, insn, size);
    case 0x88:
    case 0x89: return store(cpu, insn, size, reg_get(cpu, insn, size));
    case 0x8a:
    case 0x8b:
        if (load(cpu, insn, size, &v))
            return -1;
        reg_set(cpu, insn, size, v);
        return 0;
    case 0xc6:
    case 0xc7: return insn->modrm >> 3 & 7 ? REFUSED : store(cpu, insn, size, insn->imm);
    default: break;
    }
    if ((opcode < 0x40 && (opcode & 7) < 4) || (opcode >= 0x80 && opcode <= 0x85))
        return arithmetic(cpu, insn, size);
    return REFUSED;
}

/* MOVZX, MOVSX. */
static int extend(struct cpu *cpu, const struct dec_insn *insn)
{
    unsigned size = insn->mem_size;
    u32 v;

    if (load(cpu, insn, size, &v))
        return -1;
    if (insn->opcode & 8)
        v = size == 1 ? (u32)(i8)v : (u32)(i16)v;
    step_set(cpu, insn->modrm >> 3 & 7, insn->opsz, v);
    return 0;
}

int mon_step_plain(struct cpu *cpu, const struct dec_insn *insn)
{
    bool sizes = insn->mem_size == 1 || insn->mem_size == 2 || insn->mem_size == 4;
    int rc = REFUSED;

    if (!insn->mem || !sizes || insn->fpu != DEC_FPU_NONE || insn->mandatory)
        return REFUSED;
    if (insn->map == 0)
        rc = one_byte(cpu, insn);
    else if (insn->map == 1 && (insn->opcode & 0xf6) == 0xb6)
        rc = extend(cpu, insn);
    return rc ? rc : step_done(cpu, insn);
}
