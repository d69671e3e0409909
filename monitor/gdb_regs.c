/*
 * gdb_regs.c - registers for a debugger, and their description.
 *
 * The order is that of the description below: gdb's i386 core and SSE features, then the system registers. EIP is the register,
 * not CS:EIP: in real mode a debugger that wants the linear address adds cs_base. Writes go through the rules that the
 * guest's own instructions have; what those refuse is refused. FS, GS and the others take what their descriptor says.
 */
#include "monitor/gdb.h"

#include <stdio.h>
#include <string.h>

#include "monitor/sys.h"

enum { /* FXSAVE image, 64-bit form */
       FX_FCW = 0,
       FX_FSW = 2,
       FX_FTW = 4,
       FX_MXCSR = 24,
       FX_ST = 32,
       FX_XMM = 160,
};
#define FSW_ES 0x80u
#define FSW_B 0x8000u
#define FPU_EXC 0x3fu

enum group {
    G_GPR,
    G_EIP,
    G_EFLAGS,
    G_SEG,
    G_ST,
    G_X87,
    G_XMM,
    G_MXCSR,
    G_BASE,
    G_CR,
    G_EFER,
    G_TABLE,
    G_DR
};
enum { X87_CTRL, X87_STAT, X87_TAG, X87_ISEG, X87_IOFF, X87_OSEG, X87_OOFF, X87_OP };
enum {
    TABLE_GDT,
    TABLE_GDT_LIMIT,
    TABLE_IDT,
    TABLE_IDT_LIMIT,
    TABLE_LDT,
    TABLE_LDT_BASE,
    TABLE_TR,
    TABLE_TR_BASE
};

struct reg {
    const char *name, *type;
    u8 group, index, bytes;
};

static const struct reg regs[] = {
    {"eax", "int32", G_GPR, R_EAX, 4},
    {"ecx", "int32", G_GPR, R_ECX, 4},
    {"edx", "int32", G_GPR, R_EDX, 4},
    {"ebx", "int32", G_GPR, R_EBX, 4},
    {"esp", "data_ptr", G_GPR, R_ESP, 4},
    {"ebp", "data_ptr", G_GPR, R_EBP, 4},
    {"esi", "int32", G_GPR, R_ESI, 4},
    {"edi", "int32", G_GPR, R_EDI, 4},
    {"eip", "code_ptr", G_EIP, 0, 4},
    {"eflags", "i386_eflags", G_EFLAGS, 0, 4},
    {"cs", "int32", G_SEG, SEG_CS, 4},
    {"ss", "int32", G_SEG, SEG_SS, 4},
    {"ds", "int32", G_SEG, SEG_DS, 4},
    {"es", "int32", G_SEG, SEG_ES, 4},
    {"fs", "int32", G_SEG, SEG_FS, 4},
    {"gs", "int32", G_SEG, SEG_GS, 4},
    {"st0", "i387_ext", G_ST, 0, 10},
    {"st1", "i387_ext", G_ST, 1, 10},
    {"st2", "i387_ext", G_ST, 2, 10},
    {"st3", "i387_ext", G_ST, 3, 10},
    {"st4", "i387_ext", G_ST, 4, 10},
    {"st5", "i387_ext", G_ST, 5, 10},
    {"st6", "i387_ext", G_ST, 6, 10},
    {"st7", "i387_ext", G_ST, 7, 10},
    {"fctrl", "int", G_X87, X87_CTRL, 4},
    {"fstat", "int", G_X87, X87_STAT, 4},
    {"ftag", "int", G_X87, X87_TAG, 4},
    {"fiseg", "int", G_X87, X87_ISEG, 4},
    {"fioff", "int", G_X87, X87_IOFF, 4},
    {"foseg", "int", G_X87, X87_OSEG, 4},
    {"fooff", "int", G_X87, X87_OOFF, 4},
    {"fop", "int", G_X87, X87_OP, 4},
    {"xmm0", "vec128", G_XMM, 0, 16},
    {"xmm1", "vec128", G_XMM, 1, 16},
    {"xmm2", "vec128", G_XMM, 2, 16},
    {"xmm3", "vec128", G_XMM, 3, 16},
    {"xmm4", "vec128", G_XMM, 4, 16},
    {"xmm5", "vec128", G_XMM, 5, 16},
    {"xmm6", "vec128", G_XMM, 6, 16},
    {"xmm7", "vec128", G_XMM, 7, 16},
    {"mxcsr", "i386_mxcsr", G_MXCSR, 0, 4},
    {"cs_base", "int32", G_BASE, SEG_CS, 4},
    {"ss_base", "int32", G_BASE, SEG_SS, 4},
    {"ds_base", "int32", G_BASE, SEG_DS, 4},
    {"es_base", "int32", G_BASE, SEG_ES, 4},
    {"fs_base", "int32", G_BASE, SEG_FS, 4},
    {"gs_base", "int32", G_BASE, SEG_GS, 4},
    {"cr0", "int32", G_CR, 0, 4},
    {"cr2", "int32", G_CR, 2, 4},
    {"cr3", "int32", G_CR, 3, 4},
    {"cr4", "int32", G_CR, 4, 4},
    {"efer", "int64", G_EFER, 0, 8},
    {"gdt_base", "int32", G_TABLE, TABLE_GDT, 4},
    {"gdt_limit", "int32", G_TABLE, TABLE_GDT_LIMIT, 4},
    {"idt_base", "int32", G_TABLE, TABLE_IDT, 4},
    {"idt_limit", "int32", G_TABLE, TABLE_IDT_LIMIT, 4},
    {"ldt", "int32", G_TABLE, TABLE_LDT, 4},
    {"ldt_base", "int32", G_TABLE, TABLE_LDT_BASE, 4},
    {"tr", "int32", G_TABLE, TABLE_TR, 4},
    {"tr_base", "int32", G_TABLE, TABLE_TR_BASE, 4},
    {"dr0", "int32", G_DR, 0, 4},
    {"dr1", "int32", G_DR, 1, 4},
    {"dr2", "int32", G_DR, 2, 4},
    {"dr3", "int32", G_DR, 3, 4},
    {"dr6", "int32", G_DR, 6, 4},
    {"dr7", "int32", G_DR, 7, 4},
};

/* ---- description ---- */

struct feature {
    const char *name, *types, *first; /* first: its first register */
};

static const struct feature features[] = {
    {"org.gnu.gdb.i386.core",
     "<flags id=\"i386_eflags\" size=\"4\">"
     "<field name=\"CF\" start=\"0\" end=\"0\"/><field name=\"\" start=\"1\" end=\"1\"/>"
     "<field name=\"PF\" start=\"2\" end=\"2\"/><field name=\"AF\" start=\"4\" end=\"4\"/>"
     "<field name=\"ZF\" start=\"6\" end=\"6\"/><field name=\"SF\" start=\"7\" end=\"7\"/>"
     "<field name=\"TF\" start=\"8\" end=\"8\"/><field name=\"IF\" start=\"9\" end=\"9\"/>"
     "<field name=\"DF\" start=\"10\" end=\"10\"/><field name=\"OF\" start=\"11\" end=\"11\"/>"
     "<field name=\"NT\" start=\"14\" end=\"14\"/><field name=\"RF\" start=\"16\" end=\"16\"/>"
     "<field name=\"VM\" start=\"17\" end=\"17\"/><field name=\"AC\" start=\"18\" end=\"18\"/>"
     "<field name=\"VIF\" start=\"19\" end=\"19\"/><field name=\"VIP\" start=\"20\" end=\"20\"/>"
     "<field name=\"ID\" start=\"21\" end=\"21\"/></flags>",
     "eax"},
    {"org.gnu.gdb.i386.sse",
     "<vector id=\"v4f\" type=\"ieee_single\" count=\"4\"/><vector id=\"v2d\" type=\"ieee_double\" "
     "count=\"2\"/>"
     "<vector id=\"v16i8\" type=\"int8\" count=\"16\"/><vector id=\"v8i16\" type=\"int16\" count=\"8\"/>"
     "<vector id=\"v4i32\" type=\"int32\" count=\"4\"/><vector id=\"v2i64\" type=\"int64\" count=\"2\"/>"
     "<union id=\"vec128\"><field name=\"v4_float\" type=\"v4f\"/><field name=\"v2_double\" type=\"v2d\"/>"
     "<field name=\"v16_int8\" type=\"v16i8\"/><field name=\"v8_int16\" type=\"v8i16\"/>"
     "<field name=\"v4_int32\" type=\"v4i32\"/><field name=\"v2_int64\" type=\"v2i64\"/>"
     "<field name=\"uint128\" type=\"uint128\"/></union>"
     "<flags id=\"i386_mxcsr\" size=\"4\"><field name=\"IE\" start=\"0\" end=\"0\"/>"
     "<field name=\"DE\" start=\"1\" end=\"1\"/><field name=\"ZE\" start=\"2\" end=\"2\"/>"
     "<field name=\"OE\" start=\"3\" end=\"3\"/><field name=\"UE\" start=\"4\" end=\"4\"/>"
     "<field name=\"PE\" start=\"5\" end=\"5\"/><field name=\"DAZ\" start=\"6\" end=\"6\"/>"
     "<field name=\"IM\" start=\"7\" end=\"7\"/><field name=\"DM\" start=\"8\" end=\"8\"/>"
     "<field name=\"ZM\" start=\"9\" end=\"9\"/><field name=\"OM\" start=\"10\" end=\"10\"/>"
     "<field name=\"UM\" start=\"11\" end=\"11\"/><field name=\"PM\" start=\"12\" end=\"12\"/>"
     "<field name=\"FZ\" start=\"15\" end=\"15\"/></flags>",
     "xmm0"},
    {"org.novt.i386.system", "", "cs_base"},
};

static const char *group_of(const struct reg *r)
{
    switch (r->group) {
    case G_X87: return " group=\"float\"";
    case G_MXCSR: return " group=\"vector\"";
    case G_BASE:
    case G_CR:
    case G_EFER:
    case G_TABLE:
    case G_DR: return " group=\"system\"";
    default: return "";
    }
}

/* snprintf() behind what is there; counts on when the buffer is full. */
#define ADD(...) n += (size_t)snprintf(n < bytes ? buf + n : NULL, n < bytes ? bytes - n : 0, __VA_ARGS__)

size_t gdb_target_xml(char *buf, size_t bytes)
{
    unsigned next = 0;
    size_t n = 0;

    ADD("<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM "
        "\"gdb-target.dtd\"><target><architecture>i386</architecture>");
    for (unsigned i = 0; i < ARRAY_SIZE(regs); i++) {
        const struct reg *r = &regs[i];

        if (next < ARRAY_SIZE(features) && strcmp(r->name, features[next].first) == 0) {
            ADD("%s<feature name=\"%s\">%s", next ? "</feature>" : "", features[next].name,
                features[next].types);
            next++;
        }
        ADD("<reg name=\"%s\" bitsize=\"%u\" type=\"%s\"%s/>", r->name, r->bytes * 8u, r->type, group_of(r));
    }
    ADD("</feature></target>");
    return n;
}

unsigned gdb_reg_count(void)
{
    return ARRAY_SIZE(regs);
}

unsigned gdb_reg_bytes(unsigned n)
{
    return n < ARRAY_SIZE(regs) ? regs[n].bytes : 0;
}

/* ---- x87 and SSE ---- */

static u16 get16(const u8 *p)
{
    return (u16)(p[0] | p[1] << 8);
}

static void put16(u8 *p, u32 v)
{
    p[0] = (u8)v;
    p[1] = (u8)(v >> 8);
}

static u32 get32(const u8 *p)
{
    return get16(p) | (u32)get16(p + 2) << 16;
}

static void put32(u8 *p, u32 v)
{
    put16(p, v);
    put16(p + 2, v >> 16);
}

/* Two bits for each physical register: 0 valid, 1 zero, 2 special, 3 empty (SDM vol. 1, 8.1.7). */
static u32 full_tags(const u8 *fx)
{
    unsigned top = get16(fx + FX_FSW) >> 11 & 7;
    u32 tags = 0;

    for (unsigned phys = 0; phys < 8; phys++) {
        const u8 *st = fx + FX_ST + 16 * ((phys - top) & 7);
        u16 exponent = get16(st + 8) & 0x7fff;
        bool zero = !get32(st) && !get32(st + 4), whole = st[7] & 0x80;
        u32 tag = exponent == 0x7fff || (exponent && !whole) ? 2 : exponent ? 0 : zero ? 1 : 2;

        tags |= (fx[FX_FTW] >> phys & 1 ? tag : 3u) << (2 * phys);
    }
    return tags;
}

static u32 x87_read(struct cpu *cpu, unsigned index)
{
    mon_fpu_note(cpu);
    switch (index) {
    case X87_CTRL: return get16(cpu->fpu + FX_FCW);
    case X87_STAT: return get16(cpu->fpu + FX_FSW);
    case X87_TAG: return full_tags(cpu->fpu);
    case X87_ISEG: return (u16)(cpu->fpu_ip >> 32);
    case X87_IOFF: return (u32)cpu->fpu_ip;
    case X87_OSEG: return (u16)(cpu->fpu_dp >> 32);
    case X87_OOFF: return (u32)cpu->fpu_dp;
    default: return cpu->fpu_opcode & 0x7ffu;
    }
}

static void x87_write(struct cpu *cpu, unsigned index, u32 v)
{
    u8 *fx = cpu->fpu;
    u16 fsw;

    mon_fpu_note(cpu);
    switch (index) {
    case X87_CTRL: put16(fx + FX_FCW, (v & 0x1f3f) | 0x40); break;
    case X87_STAT: put16(fx + FX_FSW, v); break;
    case X87_TAG:
        fx[FX_FTW] = 0;
        for (unsigned i = 0; i < 8; i++)
            fx[FX_FTW] |= (u8)(((v >> 2 * i & 3) != 3) << i);
        break;
    case X87_ISEG: cpu->fpu_ip = (u32)cpu->fpu_ip | (u64)(u16)v << 32; break;
    case X87_IOFF: cpu->fpu_ip = (cpu->fpu_ip & ~0xffffffffull) | v; break;
    case X87_OSEG: cpu->fpu_dp = (u32)cpu->fpu_dp | (u64)(u16)v << 32; break;
    case X87_OOFF: cpu->fpu_dp = (cpu->fpu_dp & ~0xffffffffull) | v; break;
    default: cpu->fpu_opcode = v & 0x7ff; break;
    }
    fsw = get16(fx + FX_FSW) & (u16) ~(FSW_ES | FSW_B);
    if (fsw & ~get16(fx + FX_FCW) & FPU_EXC)
        fsw |= FSW_ES | FSW_B;
    put16(fx + FX_FSW, fsw);
}

/* ---- the rest ---- */

static u32 table_read(const struct cpu *cpu, unsigned index)
{
    switch (index) {
    case TABLE_GDT: return cpu->gdtr.base;
    case TABLE_GDT_LIMIT: return cpu->gdtr.limit;
    case TABLE_IDT: return cpu->idtr.base;
    case TABLE_IDT_LIMIT: return cpu->idtr.limit;
    case TABLE_LDT: return cpu->ldtr.sel;
    case TABLE_LDT_BASE: return cpu->ldtr.base;
    case TABLE_TR: return cpu->tr.sel;
    default: return cpu->tr.base;
    }
}

static int table_write(struct cpu *cpu, unsigned index, u32 v)
{
    switch (index) {
    case TABLE_GDT: cpu->gdtr.base = v; break;
    case TABLE_GDT_LIMIT: cpu->gdtr.limit = (u16)v; break;
    case TABLE_IDT: cpu->idtr.base = v; break;
    case TABLE_IDT_LIMIT: cpu->idtr.limit = (u16)v; break;
    default: return v == table_read(cpu, index) ? 0 : -EPERM; /* LLDT and LTR do more than that */
    }
    mon_state_changed(cpu);
    return 0;
}

static u32 cr_read(const struct cpu *cpu, unsigned n)
{
    return n == 0 ? cpu->cr0 : n == 2 ? cpu->cr2 : n == 3 ? cpu->cr3 : cpu->cr4;
}

static int seg_write(struct cpu *cpu, unsigned seg, u32 v)
{
    u32 cr2 = cpu->cr2;

    if (v == cpu->seg[seg].sel)
        return 0;
    if (v > 0xffff || (seg == SEG_CS && mon_is_protected(cpu))) /* that is a far jump's */
        return -EPERM;
    if (seg_load(cpu, seg, (u16)v)) {
        cpu->cr2 = cr2; /* a fault of ours is none of the guest's */
        return -EINVAL;
    }
    mon_state_changed(cpu);
    return 0;
}

static void eflags_write(struct cpu *cpu, u32 v)
{
    cpu_eflags_set(cpu, (v & ~EFL_VM) | (cpu_eflags(cpu) & EFL_VM));
    mon_state_changed(cpu);
}

static u32 read32(struct cpu *cpu, const struct reg *r)
{
    switch (r->group) {
    case G_GPR: return cpu->gpr[r->index];
    case G_EIP: return cpu->eip;
    case G_EFLAGS: return cpu_eflags(cpu);
    case G_SEG: return cpu->seg[r->index].sel;
    case G_X87: return x87_read(cpu, r->index);
    case G_MXCSR: return get32(cpu->fpu + FX_MXCSR);
    case G_BASE: return cpu->seg_base[r->index];
    case G_CR: return cr_read(cpu, r->index);
    case G_TABLE: return table_read(cpu, r->index);
    default: return cpu->dr[r->index];
    }
}

static int write32(struct cpu *cpu, const struct reg *r, u32 v)
{
    switch (r->group) {
    case G_GPR: cpu->gpr[r->index] = v; return 0;
    case G_EIP:
        cpu->halted &= cpu->eip == v;
        cpu->eip = v;
        return 0;
    case G_EFLAGS: eflags_write(cpu, v); return 0;
    case G_SEG: return seg_write(cpu, r->index, v);
    case G_X87: x87_write(cpu, r->index, v); return 0;
    case G_MXCSR: put32(cpu->fpu + FX_MXCSR, v & 0xffbf); return 0;
    case G_BASE: return v == cpu->seg_base[r->index] ? 0 : -EPERM;
    case G_CR: return v == cr_read(cpu, r->index) ? 0 : mon_write_cr(cpu, r->index, v) ? -EINVAL : 0;
    case G_TABLE: return table_write(cpu, r->index, v);
    default: mon_write_dr(cpu, r->index, v); return 0;
    }
}

void gdb_reg_read(struct novt_vm *vm, unsigned n, u8 *to)
{
    const struct reg *r = &regs[n];
    struct cpu *cpu = &vm->cpu;

    bt_fpu_save(cpu);
    switch (r->group) {
    case G_ST: memcpy(to, cpu->fpu + FX_ST + 16 * r->index, 10); break;
    case G_XMM: memcpy(to, cpu->fpu + FX_XMM + 16 * r->index, 16); break;
    case G_EFER: memcpy(to, &cpu->efer, 8); break;
    default: put32(to, read32(cpu, r));
    }
}

int gdb_reg_write(struct novt_vm *vm, unsigned n, const u8 *from)
{
    const struct reg *r = &regs[n];
    struct cpu *cpu = &vm->cpu;

    if (n >= ARRAY_SIZE(regs))
        return -EINVAL;
    bt_fpu_save(cpu);
    switch (r->group) {
    case G_ST: memcpy(cpu->fpu + FX_ST + 16 * r->index, from, 10); return 0;
    case G_XMM: memcpy(cpu->fpu + FX_XMM + 16 * r->index, from, 16); return 0;
    case G_EFER: return memcmp(from, &cpu->efer, 8) == 0 ? 0 : -EPERM;
    default: return write32(cpu, r, get32(from));
    }
}
