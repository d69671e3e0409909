/*
 * io.c - IN, OUT, INS and OUTS: permission, then the port.
 *
 * Above IOPL, and always in v86 mode, the TSS's I/O permission bitmap decides (SDM vol. 1, 19.5.2).
 * A port read has side effects, so memory is checked before it. A repeated instruction carries out a
 * bounded number of iterations a call and leaves EIP on itself while some remain.
 */
#include "monitor/step.h"
#include "monitor/sys.h"

#define IO_BATCH 1024u    /* iterations a call: bounds the delay of an interrupt */
#define IO_RUN_BYTES 512u /* of one run: what mem_write() takes */
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

/* As many iterations as chip and page take in one go, or none: then the next one goes by iterate(), which also finds every fault. */
static u32 run_of(struct cpu *cpu, const struct dec_insn *insn, u16 port, u32 count)
{
    struct novt_vm *vm = mon_vm(cpu);
    u8 buf[IO_RUN_BYTES];
    bool in = insn->op == OP_INS;
    unsigned seg = in ? SEG_ES : insn->seg, reg = in ? R_EDI : R_ESI, size = insn->opsz;
    u32 off = step_get(cpu, reg, insn->adsz), lin = cpu->seg_base[seg] + off;
    u32 room = PAGE_BYTES - (lin & PAGE_MASK), n;

    room = room < IO_RUN_BYTES ? room : IO_RUN_BYTES;
    if (insn->adsz == 2 && off <= 0xffff)
        room = (u32)min_u64(room, 0x10000u - off);
    n = (u32)min_u64(count, room / size);
    if (n < 2 || cpu->df < 0 || !vm->pc || cpu->mode & MODE_AC)
        return 0;
    if (in) {
        if (mem_probe_write(cpu, seg, off, n * size))
            return 0;
        n = pc_pio_read_string(vm->pc, port, size, buf, n);
        if (n && mem_write(cpu, seg, off, buf, n * size))
            return 0;
    } else {
        if (mem_read(cpu, seg, off, buf, n * size))
            return 0;
        n = pc_pio_write_string(vm->pc, port, size, buf, n);
        mon_timer_update(vm);
    }
    step_set(cpu, reg, insn->adsz, off + n * size);
    return n;
}

/* Something the run loop should see before the next iteration. */
static bool interrupted(const struct cpu *cpu)
{
    return (cpu->irq_pending && cpu->iflag) || cpu->kick || mon_vm((struct cpu *)cpu)->stop;
}

static int ins_outs(struct cpu *cpu, const struct dec_insn *insn)
{
    u16 port = (u16)cpu->gpr[R_EDX];
    bool runs;
    u32 count, batch = cpu->sysflags & EFL_TF || cpu->mode & MODE_DB || mon_vm(cpu)->brk_flags ? 1 : IO_BATCH;

    if (check_port(cpu, port, insn->opsz)) /* also when the count is 0 */
        return -1;
    if (!(insn->prefixes & (DEC_PFX_REP | DEC_PFX_REPNE)))
        return iterate(cpu, insn, port) ? -1 : step_done(cpu, insn);
    count = step_get(cpu, R_ECX, insn->adsz);
    runs = batch > 1 && !mon_tracing(mon_vm(cpu), TRACE_IO, cpu->seg_base[SEG_CS] + cpu->eip);
    while (count && batch) {
        u32 n = runs ? run_of(cpu, insn, port, count < batch ? count : batch) : 0;

        if (!n && iterate(cpu, insn, port))
            return -1;
        runs = n != 0;
        n = n ? n : 1;
        count -= n;
        batch -= n;
        step_set(cpu, R_ECX, insn->adsz, count);
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
