/*
 * fpuenv.c - the x87 instructions that show where the last one ran, and masked SIMD stores.
 *
 * FNSTENV, FLDENV, FNSAVE, FRSTOR, FXSAVE, FXRSTOR hold instruction and data pointers. The host's are
 * addresses in the code cache, so these work on cpu->fpu, the host's 64-bit FXSAVE image, and take the
 * pointers from cpu->fpu_ip and its like. MASKMOVQ and MASKMOVDQU store through [E]DI.
 *
 * The image holds ST(i), the environment's tags name physical registers: whatever changes TOP without
 * moving data rotates the image. Sources: SDM vol. 1, 8.1.8-8.1.10, 10.5; vol. 2.
 */
#include <string.h>

#include "monitor/step.h"
#include "monitor/sys.h"

/* FXSAVE image, 64-bit form. */
enum {
    FX_FCW = 0,
    FX_FSW = 2,
    FX_FTW = 4,
    FX_FOP = 6,
    FX_FIP = 8,
    FX_FDP = 16,
    FX_MXCSR = 24,
    FX_MXCSR_MASK = 28,
    FX_ST = 32,
    FX_XMM = 160,
    FX_END32 = 288, /* what 32-bit mode writes: XMM0-7, the rest stays */
};

#define FSW_ES 0x80
#define FSW_B 0x8000
#define FSW_TOP_SHIFT 11
#define FPU_EXC 0x3f

static u16 get16(const u8 *p)
{
    return (u16)(p[0] | p[1] << 8);
}

static u32 get32(const u8 *p)
{
    return get16(p) | (u32)get16(p + 2) << 16;
}

static void put16(u8 *p, u32 v)
{
    p[0] = (u8)v;
    p[1] = (u8)(v >> 8);
}

static void put32(u8 *p, u32 v)
{
    put16(p, v);
    put16(p + 2, v >> 16);
}

static unsigned top_of(const u8 *fx)
{
    return get16(fx + FX_FSW) >> FSW_TOP_SHIFT & 7;
}

/* Error summary and busy follow from the exceptions that the control word lets through. */
static void update_summary(u8 *fx)
{
    u16 fsw = get16(fx + FX_FSW) & (u16) ~(FSW_ES | FSW_B);

    if (fsw & ~get16(fx + FX_FCW) & FPU_EXC)
        fsw |= FSW_ES | FSW_B;
    put16(fx + FX_FSW, fsw);
}

int fpu_check_pending(struct cpu *cpu)
{
    return get16(cpu->fpu + FX_FSW) & FSW_ES ? mon_exc(cpu, EXC_MF) : 0;
}

/* ST(i) are rotated so that the physical registers keep their content under a new TOP. */
static void set_top(u8 *fx, unsigned top)
{
    unsigned by = (top - top_of(fx)) & 7;
    u8 old[128];

    memcpy(old, fx + FX_ST, sizeof(old));
    for (unsigned i = 0; i < 8; i++)
        memcpy(fx + FX_ST + 16 * i, old + 16 * ((i + by) & 7), 16);
    put16(fx + FX_FSW, (get16(fx + FX_FSW) & ~(7u << FSW_TOP_SHIFT)) | top << FSW_TOP_SHIFT);
}

/* Two-bit tag of one register: 0 valid, 1 zero, 2 special (SDM vol. 1, 8.1.7). */
static unsigned tag_of(const u8 *st)
{
    u16 exponent = get16(st + 8) & 0x7fff;
    u64 significand = get32(st) | (u64)get32(st + 4) << 32;

    if (exponent == 0)
        return significand ? 2 : 1;
    return exponent == 0x7fff || !(significand >> 63) ? 2 : 0;
}

static u16 full_tags(const u8 *fx)
{
    unsigned top = top_of(fx), tags = 0;

    for (unsigned phys = 0; phys < 8; phys++) {
        const u8 *st = fx + FX_ST + 16 * ((phys - top) & 7);
        unsigned tag = fx[FX_FTW] >> phys & 1 ? tag_of(st) : 3;

        tags |= tag << (2 * phys);
    }
    return (u16)tags;
}

static u8 short_tags(u16 tags)
{
    unsigned r = 0;

    for (unsigned phys = 0; phys < 8; phys++)
        if ((tags >> (2 * phys) & 3) != 3)
            r |= 1u << phys;
    return (u8)r;
}

/* Both kinds of mode have their own layout of the pointers: selector and offset, or linear address. */
static bool protected_layout(const struct cpu *cpu)
{
    return step_is_protected(cpu) && !step_is_v86(cpu);
}

static u32 linear_pointer(u64 p)
{
    return ((u32)(p >> 32) << 4) + (u32)p;
}

/* SDM vol. 1, figures 8-9 to 8-12. Returns the size, 14 or 28. */
static unsigned build_env(const struct cpu *cpu, unsigned size, u8 *env)
{
    const u8 *fx = cpu->fpu;
    u16 word[3] = {get16(fx + FX_FCW), get16(fx + FX_FSW), full_tags(fx)};
    u32 ip = (u32)cpu->fpu_ip, cs = (u16)(cpu->fpu_ip >> 32), op = cpu->fpu_opcode & 0x7ff;
    u32 dp = (u32)cpu->fpu_dp, ds = (u16)(cpu->fpu_dp >> 32);
    bool prot = protected_layout(cpu);
    u32 lin_ip = linear_pointer(cpu->fpu_ip), lin_dp = linear_pointer(cpu->fpu_dp);

    if (size == 2) {
        for (unsigned i = 0; i < 3; i++)
            put16(env + 2 * i, word[i]);
        put16(env + 6, prot ? ip : lin_ip);
        put16(env + 8, prot ? cs : (lin_ip >> 4 & 0xf000) | op);
        put16(env + 10, prot ? dp : lin_dp);
        put16(env + 12, prot ? ds : lin_dp >> 4 & 0xf000);
        return 14;
    }
    for (unsigned i = 0; i < 3; i++)
        put32(env + 4 * i, 0xffff0000u | word[i]);
    if (prot) {
        put32(env + 12, ip);
        put32(env + 16, op << 16 | cs);
        put32(env + 20, dp);
        put32(env + 24, 0xffff0000u | ds);
    } else {
        put32(env + 12, 0xffff0000u | (lin_ip & 0xffff));
        put32(env + 16, (lin_ip >> 16) << 12 | op);
        put32(env + 20, 0xffff0000u | (lin_dp & 0xffff));
        put32(env + 24, (lin_dp >> 16) << 12);
    }
    return 28;
}

static void load_pointers(struct cpu *cpu, u64 ip, u64 dp, u16 op)
{
    cpu->fpu_ip = ip;
    cpu->fpu_dp = dp;
    cpu->fpu_opcode = op & 0x7ff;
    memset(cpu->fpu + FX_FOP, 0, FX_MXCSR - FX_FOP); /* the host's unit must not mistake them for its own */
    put16(cpu->fpu + FX_FIP, BT_X87_IP_NONE);
}

static void load_env(struct cpu *cpu, unsigned size, const u8 *env)
{
    u8 *fx = cpu->fpu;
    unsigned step = size == 2 ? 2 : 4;
    u16 fsw = get16(env + step);
    u64 ip, dp;
    u16 op = 0;

    if (size == 2 && protected_layout(cpu)) {
        ip = get16(env + 6) | (u64)get16(env + 8) << 32;
        dp = get16(env + 10) | (u64)get16(env + 12) << 32;
    } else if (size == 2) {
        op = get16(env + 8);
        ip = get16(env + 6) | (op & 0xf000u) << 4;
        dp = get16(env + 10) | (get16(env + 12) & 0xf000u) << 4;
    } else if (protected_layout(cpu)) {
        op = get16(env + 18);
        ip = get32(env + 12) | (u64)get16(env + 16) << 32;
        dp = get32(env + 20) | (u64)get16(env + 24) << 32;
    } else {
        op = get16(env + 16);
        ip = get16(env + 12) | (get32(env + 16) & 0x0ffff000u) << 4;
        dp = get16(env + 20) | (get32(env + 24) & 0x0ffff000u) << 4;
    }
    put16(fx + FX_FCW, (get16(env) & 0x1f3f) | 0x40);
    set_top(fx, fsw >> FSW_TOP_SHIFT & 7);
    put16(fx + FX_FSW, fsw);
    fx[FX_FTW] = short_tags(get16(env + 2 * step));
    load_pointers(cpu, ip, dp, op);
    update_summary(fx);
}

static void finit(struct cpu *cpu)
{
    set_top(cpu->fpu, 0);
    put16(cpu->fpu + FX_FCW, 0x37f);
    put16(cpu->fpu + FX_FSW, 0);
    cpu->fpu[FX_FTW] = 0;
    load_pointers(cpu, 0, 0, 0);
}

/* Environments and states go piece by piece: the first and the last byte decide which fault is seen, and an operand may
 * run over the end of a 4 GiB segment. */
static int check_ends(struct cpu *cpu, const struct dec_insn *insn, unsigned bytes, bool write)
{
    u32 ea = dec_ea(cpu, insn), last = ea + bytes - 1;
    unsigned first = insn->opsz == 2 ? 2 : 4;

    if (insn->adsz == 2)
        last = (u16)last;
    if (write)
        return mem_probe_write(cpu, insn->seg, ea, first) || mem_probe_write(cpu, insn->seg, last, 1) ? -1
                                                                                                      : 0;
    return mem_probe_read(cpu, insn->seg, ea, first) || mem_probe_read(cpu, insn->seg, last, 1) ? -1 : 0;
}

/* Bytes of the access at offset i of an environment or state: its words, then registers, whose first eight bytes stay together
 * where 16-bit addresses wrap. Elsewhere by two: that is all the alignment they need. */
static unsigned env_part(const struct dec_insn *insn, u32 ea, unsigned i)
{
    unsigned env = insn->opsz == 2 ? 14 : 28;

    if (i < env)
        return insn->opsz == 2 ? 2 : 4;
    return (i - env) % 10 == 0 && insn->adsz == 2 && (u16)(ea + i) > 0xfff8 ? 8 : 2;
}

static int put_operand(struct cpu *cpu, const struct dec_insn *insn, const u8 *image, unsigned bytes)
{
    u32 ea = dec_ea(cpu, insn);

    if (check_ends(cpu, insn, bytes, true))
        return -1;
    for (unsigned i = 0; i < bytes; i += env_part(insn, ea, i))
        if (mem_write(cpu, insn->seg, insn->adsz == 2 ? (u16)(ea + i) : ea + i, image + i,
                      env_part(insn, ea, i)))
            return -1;
    return 0;
}

static int get_operand(struct cpu *cpu, const struct dec_insn *insn, u8 *image, unsigned bytes)
{
    u32 ea = dec_ea(cpu, insn);

    if (check_ends(cpu, insn, bytes, false))
        return -1;
    for (unsigned i = 0; i < bytes; i += env_part(insn, ea, i))
        if (mem_read(cpu, insn->seg, insn->adsz == 2 ? (u16)(ea + i) : ea + i, image + i,
                     env_part(insn, ea, i)))
            return -1;
    return 0;
}

/* What translated code cannot know of its last x87 instruction: the operand's segment and the guest's opcode. */
static void refine_pointers(struct cpu *cpu)
{
    u32 dp = (u32)cpu->fpu_dp, error = cpu->exc_error, cr2 = cpu->cr2, hits = mon_vm(cpu)->dbg_hits;
    u8 bytes[DEC_MAX_LEN] = {0}, vector = cpu->exc_vector, has_error = cpu->exc_has_error;
    struct dec_insn d;
    unsigned left = PAGE_BYTES - (cpu->fpu_lin & PAGE_MASK), got = left < DEC_MAX_LEN ? left : DEC_MAX_LEN;
    unsigned seg;
    bool there, offset = cpu->fpu_fresh == FPU_FRESH_OFFSET;

    if (!cpu->fpu_fresh)
        return;
    cpu->fpu_fresh = 0;
    there = !lin_read(cpu, cpu->fpu_lin, bytes, got, true);
    if (there && got < DEC_MAX_LEN &&
        !lin_read(cpu, cpu->fpu_lin + got, bytes + got, DEC_MAX_LEN - got, true))
        got = DEC_MAX_LEN;
    mon_vm(cpu)->dbg_hits = hits;
    cpu->cr2 = cr2; /* a fault of these reads is nobody's; one may be under way */
    cpu->exc_vector = vector;
    cpu->exc_has_error = has_error;
    cpu->exc_error = error;
    if (!there || dec_decode(&d, bytes, got, cpu->fpu_cs32, cpu->features) || d.fpu != DEC_FPU_X87)
        return; /* no longer there */
    /* Without a memory operand the pointer is an earlier instruction's: most likely in DS. */
    seg = d.mem ? d.seg % SEG_COUNT : SEG_DS;
    cpu->fpu_opcode = (u16)((d.opcode & 7) << 8 | d.modrm);
    cpu->fpu_dp = dp ? (u64)cpu->seg[seg].sel << 32 | (dp - (offset ? 0 : cpu->seg_base[seg])) : 0;
}

void mon_fpu_note(struct cpu *cpu)
{
    bt_fpu_save(cpu);
    refine_pointers(cpu);
}

static int fnstenv(struct cpu *cpu, const struct dec_insn *insn)
{
    u8 env[28];
    unsigned bytes = build_env(cpu, insn->opsz, env);

    if (put_operand(cpu, insn, env, bytes))
        return -1;
    put16(cpu->fpu + FX_FCW, get16(cpu->fpu + FX_FCW) | FPU_EXC);
    update_summary(cpu->fpu);
    return 0;
}

static int fldenv(struct cpu *cpu, const struct dec_insn *insn)
{
    u8 env[28];

    if (fpu_check_pending(cpu) || get_operand(cpu, insn, env, insn->opsz == 2 ? 14 : 28))
        return -1;
    load_env(cpu, insn->opsz, env);
    return 0;
}

static int fnsave(struct cpu *cpu, const struct dec_insn *insn)
{
    u8 image[108];
    unsigned env = build_env(cpu, insn->opsz, image);

    for (unsigned i = 0; i < 8; i++)
        memcpy(image + env + 10 * i, cpu->fpu + FX_ST + 16 * i, 10);
    if (put_operand(cpu, insn, image, env + 80))
        return -1;
    finit(cpu);
    return 0;
}

static int frstor(struct cpu *cpu, const struct dec_insn *insn)
{
    u8 image[108];
    unsigned env = insn->opsz == 2 ? 14 : 28;

    if (fpu_check_pending(cpu) || get_operand(cpu, insn, image, env + 80))
        return -1;
    load_env(cpu, insn->opsz, image);
    for (unsigned i = 0; i < 8; i++)
        memcpy(cpu->fpu + FX_ST + 16 * i, image + env + 10 * i, 10);
    return 0;
}

/* The first bytes' place in the segment, alignment, the last byte, the rest: in this order. */
static int check_fx_operand(struct cpu *cpu, const struct dec_insn *insn, bool write)
{
    u32 ea = dec_ea(cpu, insn), last = ea + 511, lin = cpu->seg_base[insn->seg % SEG_COUNT] + ea;

    if (insn->adsz == 2)
        last = (u16)last;
    if (!seg_in_limit(&cpu->seg[insn->seg % SEG_COUNT], ea, 4))
        return mon_exc_err(cpu, insn->seg == SEG_SS ? EXC_SS : EXC_GP, 0);
    if ((cpu->mode & MODE_AC) && (lin & 3))
        return mon_exc_err(cpu, EXC_AC, 0);
    if (lin & 15)
        return mon_exc_err(cpu, EXC_GP, 0);
    return write ? mem_probe_write(cpu, insn->seg, last, 1) : mem_probe_read(cpu, insn->seg, last, 1);
}

/* The operand by eights, as CPUs move it, where 16-bit addresses wrap in its middle. What: 'p' probe for writing, 'r' read, 'w' write. */
static int fx_access(struct cpu *cpu, const struct dec_insn *insn, char what, u8 *image, unsigned bytes)
{
    u32 ea = dec_ea(cpu, insn);
    unsigned step = insn->adsz == 2 && ea + bytes > 0x10000 ? 8 : bytes;
    int rc = 0;

    for (unsigned i = 0; i < bytes && !rc; i += step) {
        u32 at = insn->adsz == 2 ? (u16)(ea + i) : ea + i;

        rc = what == 'p'   ? mem_probe_write(cpu, insn->seg, at, step)
             : what == 'r' ? mem_read(cpu, insn->seg, at, image + i, step)
                           : mem_write(cpu, insn->seg, at, image + i, step);
    }
    return rc;
}

/* The CPU model's: DAZ came with SSE2, and AMD's misaligned mode (bit 17) none has. */
static u32 mxcsr_mask(const struct cpu *cpu)
{
    return cpu->features >> FEAT_SSE2 & 1 ? 0xffff : 0xffbf;
}

/* Without CR4.OSFXSR real CPUs save the SSE part too (it is optional: SDM vol. 1, 10.5.1.2). */
static int fxsave(struct cpu *cpu, const struct dec_insn *insn)
{
    u8 image[FX_END32];

    if (check_fx_operand(cpu, insn, true) || fx_access(cpu, insn, 'p', NULL, FX_END32))
        return -1;
    memcpy(image, cpu->fpu, sizeof(image));
    image[FX_FTW + 1] = 0;
    put16(image + FX_FOP, cpu->fpu_opcode & 0x7ff);
    put32(image + FX_MXCSR_MASK, mxcsr_mask(cpu));
    put32(image + FX_FIP, (u32)cpu->fpu_ip);
    put32(image + FX_FIP + 4, (u16)(cpu->fpu_ip >> 32));
    put32(image + FX_FDP, (u32)cpu->fpu_dp);
    put32(image + FX_FDP + 4, (u16)(cpu->fpu_dp >> 32));
    for (unsigned i = 0; i < 8; i++)
        memset(image + FX_ST + 16 * i + 10, 0, 6);
    return fx_access(cpu, insn, 'w', image, sizeof(image));
}

static int fxrstor(struct cpu *cpu, const struct dec_insn *insn)
{
    u8 image[512], *fx = cpu->fpu;

    if (check_fx_operand(cpu, insn, false) || fx_access(cpu, insn, 'r', image, FX_END32))
        return -1;
    if (get32(image + FX_MXCSR) & ~mxcsr_mask(cpu))
        return mon_exc_err(cpu, EXC_GP, 0);
    put16(fx + FX_FCW, (get16(image + FX_FCW) & 0x1f3f) | 0x40);
    memcpy(fx + FX_FSW, image + FX_FSW, 3);
    update_summary(fx);
    memcpy(fx + FX_MXCSR, image + FX_MXCSR, 4);
    memcpy(fx + FX_ST, image + FX_ST, FX_END32 - FX_ST);
    load_pointers(cpu, get32(image + FX_FIP) | (u64)get16(image + FX_FIP + 4) << 32,
                  get32(image + FX_FDP) | (u64)get16(image + FX_FDP + 4) << 32, get16(image + FX_FOP));
    return 0;
}

/* The whole operand must be writable, whatever the mask (implementation-dependent; so do current CPUs). */
static int store_masked(struct cpu *cpu, const struct dec_insn *insn, const u8 *src, const u8 *mask,
                        unsigned n)
{
    u32 start = step_get(cpu, R_EDI, insn->adsz), wrap = insn->adsz == 2 ? 0xffff : 0xffffffff;
    u32 at[2] = {start, (start + 8) & wrap};

    for (unsigned i = 0; i < n; i += 8)
        if (mem_probe_write(cpu, insn->seg, at[i / 8], 8)) /* by eights: so alignment is checked */
            return -1;
    for (unsigned i = 0; i < n; i++)
        if ((mask[i] & 0x80) && mem_write(cpu, insn->seg, at[i / 8] + i % 8, src + i, 1))
            return -1;
    return 0;
}

/* MASKMOVQ is an MMX instruction: TOP becomes 0 and all registers valid, even when the store then faults. */
static int maskmov(struct cpu *cpu, const struct dec_insn *insn)
{
    unsigned src = insn->modrm >> 3 & 7, mask = insn->modrm & 7;
    bool xmm = insn->mandatory == 0x66 || insn->fpu == DEC_FPU_SSE;
    u8 *fx = cpu->fpu;

    if (xmm)
        return store_masked(cpu, insn, fx + FX_XMM + 16 * src, fx + FX_XMM + 16 * mask, 16);
    if (fpu_check_pending(cpu))
        return -1;
    set_top(fx, 0);
    fx[FX_FTW] = 0xff;
    return store_masked(cpu, insn, fx + FX_ST + 16 * src, fx + FX_ST + 16 * mask, 8);
}

/* #UD and #NM as CR0 and CR4 have it (SDM vol. 3, table 2-2 and 13.1). */
static int check_enabled(struct cpu *cpu, const struct dec_insn *insn)
{
    bool simd = insn->op == OP_MASKMOV, xmm = simd && (insn->mandatory == 0x66 || insn->fpu == DEC_FPU_SSE);

    if (simd && (cpu->cr0 & CR0_EM))
        return mon_exc(cpu, EXC_UD);
    if (xmm && !(cpu->cr4 & CR4_OSFXSR))
        return mon_exc(cpu, EXC_UD);
    return cpu->cr0 & (CR0_EM | CR0_TS) ? mon_exc(cpu, EXC_NM) : 0;
}

int mon_sys_fpuenv(struct cpu *cpu, const struct dec_insn *insn)
{
    int rc;

    if (check_enabled(cpu, insn))
        return -1;
    mon_fpu_note(cpu);
    switch (insn->op) {
    case OP_FNSTENV: rc = fnstenv(cpu, insn); break;
    case OP_FLDENV: rc = fldenv(cpu, insn); break;
    case OP_FNSAVE: rc = fnsave(cpu, insn); break;
    case OP_FRSTOR: rc = frstor(cpu, insn); break;
    case OP_FXSAVE: rc = fxsave(cpu, insn); break;
    case OP_FXRSTOR: rc = fxrstor(cpu, insn); break;
    case OP_MASKMOV: rc = maskmov(cpu, insn); break;
    default: return mon_exc(cpu, EXC_UD);
    }
    return rc ? -1 : step_done(cpu, insn);
}
