/*
 * io.c - IN, OUT, INS and OUTS: permission, then the port.
 *
 * Above IOPL, and always in v86 mode, the TSS's I/O permission bitmap decides (SDM vol. 1, 19.5.2).
 * A port read has side effects, so memory is checked before it. A repeated instruction carries out a
 * bounded number of iterations a call and leaves EIP on itself while some remain.
 */
#include "monitor/step.h"
#include "monitor/sys.h"

#define IO_BATCH 1024u /* iterations a call: bounds the delay of an interrupt */
#define TSS32_IOMAP 0x66

static int check_port(struct cpu *cpu, u16 port, unsigned size)
{
    u32 type = cpu->tr.attr & SEG_ATTR_TYPE, at;
    u16 map, bits;

    if (!step_is_protected(cpu) || (!step_is_v86(cpu) && cpu->cpl <= step_iopl(cpu)))
        return 0;
    /* Only a 32-bit TSS has a bitmap; a system descriptor's type is 9 or, busy, 11. */
    if ((type != 9 && type != 11) || cpu->tr.limit < TSS32_IOMAP + 1)
        return mon_exc_err(cpu, EXC_GP, 0);
    if (lin_read(cpu, cpu->tr.base + TSS32_IOMAP, &map, 2, true))
        return -1;
    /* Always two bytes, so that an access across a byte of the map is one read. */
    at = map + port / 8u;
    if (at + 1 > cpu->tr.limit)
        return mon_exc_err(cpu, EXC_GP, 0);
    if (lin_read(cpu, cpu->tr.base + at, &bits, 2, true))
        return -1;
    return bits >> port % 8u & ((1u << size) - 1) ? mon_exc_err(cpu, EXC_GP, 0) : 0;
}

static void note_port(struct cpu *cpu, u16 port, unsigned size)
{
    if (UNLIKELY(cpu->mode & MODE_DB))
        dbg_io(cpu, port, size);
}

static u32 port_in(struct cpu *cpu, u16 port, unsigned size)
{
    struct pc *pc = mon_vm(cpu)->pc;

    note_port(cpu, port, size);
    u32 v = pc ? pc_pio_read(pc, port, size) : 0xffffffffu;

    if (mon_tracing(mon_vm(cpu), TRACE_IO, cpu->seg_base[SEG_CS] + cpu->eip))
        mon_trace(mon_vm(cpu), "in  %04x size %u: %x", port, size, v);
    return v;
}

static void port_out(struct cpu *cpu, u16 port, unsigned size, u32 v)
{
    struct pc *pc = mon_vm(cpu)->pc;

    if (mon_tracing(mon_vm(cpu), TRACE_IO, cpu->seg_base[SEG_CS] + cpu->eip))
        mon_trace(mon_vm(cpu), "out %04x size %u: %x", port, size, v);
    note_port(cpu, port, size);
    if (!pc)
        return;
    pc_pio_write(pc, port, size, v);
    mon_timer_update(mon_vm(cpu));
}

static int in_out(struct cpu *cpu, const struct dec_insn *insn)
{
    u16 port = insn->imm_size ? (u8)insn->imm : (u16)cpu->gpr[R_EDX];
    unsigned size = insn->opsz;

    if (check_port(cpu, port, size))
        return -1;
    if (insn->op == OP_IN)
        step_set(cpu, R_EAX, size, port_in(cpu, port, size));
    else
        port_out(cpu, port, size, step_get(cpu, R_EAX, size));
    return step_done(cpu, insn);
}

static void advance(struct cpu *cpu, unsigned reg, const struct dec_insn *insn)
{
    step_set(cpu, reg, insn->adsz, cpu->gpr[reg] + (u32)(cpu->df * (i32)insn->opsz));
}

static int iterate(struct cpu *cpu, const struct dec_insn *insn, u16 port)
{
    unsigned size = insn->opsz;
    u32 v = 0;

    if (insn->op == OP_INS) {
        u32 di = step_get(cpu, R_EDI, insn->adsz);

        if (mem_probe_write(cpu, SEG_ES, di, size))
            return -1;
        v = port_in(cpu, port, size);
        if (mem_write(cpu, SEG_ES, di, &v, size))
            return -1;
        advance(cpu, R_EDI, insn);
    } else {
        if (mem_read(cpu, insn->seg, step_get(cpu, R_ESI, insn->adsz), &v, size))
            return -1;
        port_out(cpu, port, size, v);
        advance(cpu, R_ESI, insn);
    }
    return 0;
}

/* Something the run loop should see before the next iteration. */
static bool interrupted(const struct cpu *cpu)
{
    return (cpu->irq_pending && cpu->iflag) || cpu->kick || mon_vm((struct cpu *)cpu)->stop;
}

static int ins_outs(struct cpu *cpu, const struct dec_insn *insn)
{
    u16 port = (u16)cpu->gpr[R_EDX];
    u32 count, batch = cpu->sysflags & EFL_TF || cpu->mode & MODE_DB ? 1 : IO_BATCH;

    if (check_port(cpu, port, insn->opsz)) /* also when the count is 0 */
        return -1;
    if (!(insn->prefixes & (DEC_PFX_REP | DEC_PFX_REPNE)))
        return iterate(cpu, insn, port) ? -1 : step_done(cpu, insn);
    count = step_get(cpu, R_ECX, insn->adsz);
    while (count && batch--) {
        if (iterate(cpu, insn, port))
            return -1;
        step_set(cpu, R_ECX, insn->adsz, --count);
        if (interrupted(cpu))
            break;
    }
    return count ? 0 : step_done(cpu, insn);
}

int mon_sys_io(struct cpu *cpu, const struct dec_insn *insn)
{
    switch (insn->op) {
    case OP_IN:
    case OP_OUT: return in_out(cpu, insn);
    case OP_INS:
    case OP_OUTS: return ins_outs(cpu, insn);
    default: return mon_exc(cpu, EXC_UD);
    }
}
