/*
 * gen.c - random programs from the candidates.
 *
 * A unit is one candidate with what it needs in front: registers that lead its memory operand to a good
 * address, counts that end, a return address on the stack. Units are strung together with forward branches,
 * bounded loops and stores into the code that follows.
 */
#include <string.h>

#include "tests/diff/gen.h"

struct diff_item *gen_item(struct gen *g, const u8 *bytes, unsigned len, i32 cand)
{
    struct diff_item *it;

    if (g->c->n >= DIFF_MAX_ITEMS - 2 || len > 15)
        return NULL;
    it = &g->c->item[g->c->n++];
    memset(it, 0, sizeof(*it));
    memcpy(it->bytes, bytes, len);
    it->len = (u8)len;
    it->target = -1;
    it->cand = cand;
    return it;
}

bool gen_mov_imm(struct gen *g, unsigned reg, u32 value)
{
    u8 b[8], n = 0;

    if (!g->cs32)
        b[n++] = 0x66;
    b[n++] = (u8)(0xb8 | reg);
    memcpy(b + n, &value, 4);
    return gen_item(g, b, n + 4u, -1) != NULL;
}

static const u8 seg_prefix[SEG_COUNT] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65};

static struct diff_item *store(struct gen *g, unsigned seg, u32 off, u32 value, unsigned size)
{
    u8 b[16], n = 0;

    b[n++] = seg_prefix[seg];
    if (!g->cs32)
        b[n++] = 0x67;
    if (size != 1 && (size == 4) != g->cs32)
        b[n++] = 0x66;
    b[n++] = size == 1 ? 0xc6 : 0xc7;
    b[n++] = 0x05;
    memcpy(b + n, &off, 4);
    memcpy(b + n + 4, &value, 4);
    return gen_item(g, b, n + 4u + size, -1);
}

bool gen_store_imm(struct gen *g, unsigned seg, u32 off, u32 value, unsigned size)
{
    return store(g, seg, off, value, size) != NULL;
}

/* PUSH imm, of the code's own operand size; a target makes it an address. */
static bool push_imm(struct gen *g, u32 value, unsigned size, int target)
{
    u8 b[8], n = 0;
    struct diff_item *it;

    if ((size == 4) != g->cs32)
        b[n++] = 0x66;
    b[n++] = 0x68;
    memcpy(b + n, &value, 4);
    it = gen_item(g, b, n + size, -1);
    if (it && target >= 0) {
        it->fix_off = n;
        it->fix_size = (u8)size;
        it->fix_abs = 1;
        it->target = (i16)target;
    }
    return it != NULL;
}

static u32 random_flags(struct gen *g)
{
    u32 fl = (u32)rng_u64(&g->rng) & (FL_ARITH | EFL_ID);

    if (rng_chance(&g->rng, 15))
        fl |= EFL_DF;
    if (rng_chance(&g->rng, 3))
        fl |= EFL_AC;
    return fl | EFL_R1 | EFL_IF;
}

/* --- one candidate's bytes ------------------------------------------------------------------------- */

static unsigned put_prefixes(struct gen *g, u8 *b, const struct diff_candidate *k, int *seg)
{
    unsigned n = 0;
    bool string = k->cls == DEC_STRING || k->op == OP_INS || k->op == OP_OUTS || k->op == OP_XLAT;

    *seg = -1;
    if ((k->is_mem || string) && rng_chance(&g->rng, g->c->segs->gs ? 18 : 10)) {
        static const u8 choice[] = {SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_GS, SEG_GS, SEG_GS, SEG_GS};

        *seg = rng_chance(&g->rng, 1) ? SEG_FS : choice[rng_below(&g->rng, sizeof(choice))];
        b[n++] = seg_prefix[*seg];
    }
    if (rng_chance(&g->rng, k->map == 0    ? 25
                            : k->mandatory ? 0
                                           : 15) &&
        !(k->cls == DEC_BRANCH && rng_chance(&g->rng, 85)))
        b[n++] = 0x66;
    if (rng_chance(&g->rng, k->is_mem || k->cls == DEC_STRING || k->cls == DEC_BRANCH ? 8 : 1))
        b[n++] = 0x67;
    if (rng_chance(&g->rng, k->is_mem ? 4 : 0))
        b[n++] = 0xf0;
    if (k->mandatory)
        b[n++] = k->mandatory;
    return n;
}

/* A 32-bit address in flat segments never fits 16 bits: take GS then, which is near. */
static unsigned encode(struct gen *g, u8 *b, const struct diff_candidate *k, bool absolute)
{
    int seg;
    unsigned n = put_prefixes(g, b, k, &seg);
    bool ad = memchr(b, 0x67, n) != NULL, adsz32 = g->cs32 != ad;

    if (!adsz32 && (k->is_mem || k->cls == DEC_STRING) && seg < 0 && g->seg[SEG_DS].base < 0x10000 &&
        rng_chance(&g->rng, 90)) {
        memmove(b + 1, b, n++);
        b[0] = seg_prefix[SEG_GS];
    }
    if (k->map)
        b[n++] = 0x0f;
    if (k->map == 2)
        b[n++] = 0x38;
    if (k->map == 3)
        b[n++] = 0x3a;
    b[n++] = k->opcode;
    if (k->has_modrm && k->is_mem)
        n += gen_modrm(g, b + n, k->ext, adsz32, absolute);
    else if (k->has_modrm)
        b[n++] = (u8)(0xc0 | k->ext << 3 | rng_below(&g->rng, 8));
    return n;
}

static void put_immediate(struct gen *g, u8 *b, const struct dec_insn *d)
{
    u32 v = rng_interesting(&g->rng), w = rng_interesting(&g->rng);

    for (unsigned i = 0; i < d->imm_size; i++)
        b[d->imm_off + i] = (u8)(i < 4 ? v >> (8 * i) : w >> (8 * (i - 4)));
    if (d->op == OP_ENTER) {
        b[d->imm_off] = (u8)rng_below(&g->rng, 64);
        b[d->imm_off + 1] = 0;
        b[d->imm_off + 2] = (u8)(rng_chance(&g->rng, 95) ? rng_below(&g->rng, 4) : rng_below(&g->rng, 256));
    } else if (d->op == OP_RET && d->imm_size) {
        b[d->imm_off] = (u8)rng_below(&g->rng, 32);
        b[d->imm_off + 1] = 0;
    }
}

/* --- what some instructions need in front -------------------------------------------------------------- */

static bool writes_pointers(u8 op)
{
    return op == OP_FNSTENV || op == OP_FNSAVE || op == OP_FXSAVE;
}

/* Some CPUs store pointers to the last x87 instruction in FXSAVE only while an exception is pending: wipe them. */
static bool wipe_pointers(struct gen *g, const struct dec_insn *d, u32 off)
{
    unsigned first = g->c->n;

    if (d->op != OP_FXSAVE)
        return true;
    for (unsigned at = 8; at < 24; at += 4)
        if (!gen_store_imm(g, d->seg, off + at, 0, 4))
            return false;
    if (!gen_store_imm(g, d->seg, off + 6, 0, 2))
        return false;
    for (unsigned i = first; i < g->c->n; i++)
        g->c->item[i].tied = true;
    return true;
}

static bool prepare_string(struct gen *g, const struct dec_insn *d)
{
    u32 high = d->adsz == 2 ? (u32)rng_u64(&g->rng) << 16 : 0;

    if (d->prefixes & (DEC_PFX_REP | DEC_PFX_REPNE)) {
        u32 r = rng_below(&g->rng, 100), n = r < 75 ? rng_below(&g->rng, 20) : rng_below(&g->rng, 300);

        if (r >= 97)
            n = rng_interesting(&g->rng) & 0xffff;
        if (!gen_mov_imm(g, R_ECX, high | n))
            return false;
    }
    if (rng_chance(&g->rng, 4))
        return true;
    return gen_mov_imm(g, R_ESI, high ^ gen_target(g, d->seg, 4, false)) &&
           gen_mov_imm(g, R_EDI, high ^ gen_target(g, SEG_ES, 4, true));
}

static u32 stack_target(struct gen *g)
{
    return STACK_GVA + 0x200 + rng_below(&g->rng, 0x380) * 4 - g->seg[SEG_SS].base;
}

/* Decoded with its operand fixed; false: no room left. */
static bool prepare(struct gen *g, const struct dec_insn *d)
{
    u8 ext = d->modrm >> 3 & 7;

    if (d->cls == DEC_STRING || d->op == OP_INS || d->op == OP_OUTS)
        return prepare_string(g, d);
    switch (d->op) {
    case OP_XLAT: return gen_mov_imm(g, R_EBX, gen_target(g, d->seg, 256, false));
    case OP_MASKMOV: return gen_mov_imm(g, R_EDI, gen_target(g, d->seg, 16, true));
    case OP_PUSHA:
    case OP_POPA: /* in the middle of a fault their state is the CPU maker's: keep them to good stacks */
        return !g->esp_dirty || gen_mov_imm(g, R_ESP, stack_target(g));
    case OP_ENTER:
    case OP_LEAVE: return gen_mov_imm(g, R_EBP, stack_target(g));
    case OP_BT:
    case OP_BTS:
    case OP_BTR:
    case OP_BTC:
        if (ext == d->base || ext == d->index || ext == R_ESP)
            return true;
        return gen_mov_imm(
            g, ext, rng_chance(&g->rng, 80) ? rng_below(&g->rng, 600) - 300 : rng_interesting(&g->rng));
    case OP_POPF: {
        u32 fl = random_flags(g);

        if (rng_chance(&g->rng, 4))
            fl |= EFL_TF;
        if (rng_chance(&g->rng, 5))
            fl |= EFL_NT;
        if (rng_chance(&g->rng, 20))
            fl ^= (u32)rng_u64(&g->rng) & (EFL_IOPL | EFL_VIF | EFL_VIP | EFL_VM | EFL_RF | EFL_IF);
        return push_imm(g, fl, d->stksz, -1);
    }
    default: break;
    }
    if (d->map == 0 && (d->opcode & 0xfe) == 0xf6 && ext >= 6 && rng_chance(&g->rng, 70)) {
        /* DIV, IDIV: a dividend that fits more often than not */
        return d->base == R_EDX || d->index == R_EDX || gen_mov_imm(g, R_EDX, rng_below(&g->rng, 4) ? 0 : 1);
    }
    return true;
}

/* --- units ----------------------------------------------------------------------------------------- */

static void aim(struct gen *g, struct diff_item *it, const struct dec_insn *d)
{
    it->fix_off = d->imm_off;
    it->fix_size = d->imm_size;
    it->target = (i16)(g->c->n + rng_below(&g->rng, 4));
}

/* JMP and CALL through a register or memory, to an item a little further on. */
static bool indirect(struct gen *g, const u8 *b, const struct dec_insn *d, u32 off, i32 cand)
{
    struct diff_item *it;
    unsigned size = d->stksz;

    if (d->mem) {
        it = store(g, d->seg, off, 0, size);
        if (it)
            it->fix_off = (u8)(it->len - size);
    } else {
        u8 m[8] = {0}, n = 0;

        if (!g->cs32)
            m[n++] = 0x66;
        m[n++] = (u8)(0xb8 | (d->reg & 7));
        it = gen_item(g, m, n + 4u, -1);
        if (it)
            it->fix_off = n;
        size = 4;
    }
    if (!it)
        return false;
    it->fix_size = (u8)size;
    it->fix_abs = 1;
    it->target = (i16)(g->c->n + 1 + rng_below(&g->rng, 3));
    return gen_item(g, b, d->len, cand) != NULL;
}

static bool branch(struct gen *g, u8 *b, struct dec_insn *d, u32 off, i32 cand)
{
    struct diff_item *it;

    if (d->op == OP_JMP_RM || d->op == OP_CALL_RM)
        return indirect(g, b, d, off, cand);
    if (d->op == OP_RET) {
        if (rng_chance(&g->rng, 90) && !push_imm(g, 0, d->stksz, (int)(g->c->n + 2 + rng_below(&g->rng, 3))))
            return false;
        return gen_item(g, b, d->len, cand) != NULL;
    }
    if (d->op >= OP_LOOP && d->op <= OP_JCXZ && rng_chance(&g->rng, 50) &&
        !gen_mov_imm(g, R_ECX, rng_below(&g->rng, 3)))
        return false;
    it = gen_item(g, b, d->len, cand);
    if (it)
        aim(g, it, d);
    return it != NULL;
}

static bool unit(struct gen *g, i32 cand)
{
    const struct diff_candidate *k = cand_get(cand);
    u8 b[32];
    struct dec_insn d;
    u32 off = 0;
    bool absolute = writes_pointers(k->op) || k->op == OP_JMP_RM || k->op == OP_CALL_RM;
    unsigned keep = g->c->n;

    memset(b, 0, sizeof(b));
    encode(g, b, k, absolute);
    if (dec_decode(&d, b, DEC_MAX_LEN, g->cs32, g->features) || d.len > 15)
        return true;
    if (d.cls == DEC_UD ? !(d.prefixes & DEC_PFX_LOCK) || rng_chance(&g->rng, 70) : !cand_allowed(&d))
        return true;
    if ((d.gpr_written & BIT(R_ESP)) && d.cls == DEC_PLAIN && rng_chance(&g->rng, 95))
        return true;
    put_immediate(g, b, &d);
    if (d.mem && (rng_chance(&g->rng, 97) || absolute) && !gen_fix_operand(g, b, &d, absolute, &off))
        goto full;
    if (d.mem && d.op == OP_FXRSTOR && rng_chance(&g->rng, 60) && d.base != DEC_NO_REG &&
        d.index == DEC_NO_REG && !gen_mov_imm(g, d.base, DATA_GVA + 0x400 - g->seg[d.seg].base - (u32)d.disp))
        goto full;
    if (dec_decode(&d, b, DEC_MAX_LEN, g->cs32, g->features) || !prepare(g, &d))
        goto full;
    if (d.cls == DEC_BRANCH) {
        if (!branch(g, b, &d, off, cand))
            goto full;
        return true;
    }
    if ((d.gpr_written & BIT(R_ESP)) &&
        (d.cls != DEC_STACK || d.op == OP_POP_R || d.op == OP_LEAVE || d.op == OP_ENTER))
        g->esp_dirty = true;
    if (!gen_item(g, b, d.len, cand) || (writes_pointers(d.op) && !wipe_pointers(g, &d, off)))
        goto full;
    return true;
full:
    g->c->n = keep;
    return false;
}

/* MOV ECX, n; some units that leave ECX alone; LOOP back. */
static bool loop(struct gen *g)
{
    static const u8 back[2] = {0xe2, 0};
    unsigned keep = g->c->n, head;
    struct diff_item *it;

    if (g->loops == ARRAY_SIZE(g->loop))
        return true;
    if (!gen_mov_imm(g, R_ECX, 2 + rng_below(&g->rng, 4)))
        return false;
    head = g->c->n;
    for (unsigned i = 1 + rng_below(&g->rng, 3); i; i--)
        if (!unit(g, cand_pick(&g->rng)))
            goto undo;
    for (unsigned i = head; i < g->c->n; i++) {
        struct dec_insn d;

        it = &g->c->item[i];
        if (dec_decode(&d, it->bytes, DEC_MAX_LEN, g->cs32, g->features) || (d.gpr_written & BIT(R_ECX)) ||
            d.cls == DEC_SYS || it->fix_size || (d.cls == DEC_STACK && d.op == OP_POPA))
            goto undo;
    }
    it = gen_item(g, back, 2, -1);
    if (!it)
        goto undo;
    it->fix_off = it->fix_size = 1;
    it->target = (i16)head;
    g->loop[g->loops].first = (i16)keep;
    g->loop[g->loops++].last = (i16)(g->c->n - 1);
    return true;
undo:
    g->c->n = keep;
    return true;
}

/* Change the immediate of an instruction a little further on. */
static bool modify_code(struct gen *g)
{
    struct diff_item *it;
    unsigned reg = rng_below(&g->rng, 8), to;

    if (reg == R_ESP || g->seg[SEG_DS].base != 0 || !g->seg[SEG_DS].write || g->seg[SEG_CS].base != 0)
        return true;
    it = store(g, SEG_DS, 0, rng_below(&g->rng, 256), 1);
    if (!it)
        return false;
    it->fix_off = (u8)(it->len - 5);
    it->fix_size = 4;
    it->fix_abs = 1;
    it->fix_add = (i8)(1 + rng_below(&g->rng, 4));
    to = rng_below(&g->rng, 3);
    it->target = (i16)g->c->n;
    for (unsigned i = 0; i < to; i++)
        if (!unit(g, cand_pick(&g->rng)))
            return false;
    it->target = (i16)g->c->n;
    return gen_mov_imm(g, reg, (u32)rng_u64(&g->rng));
}

/* A branch into the middle of a loop would find any count: lead it to the loop's start. */
static void keep_out_of_loops(struct gen *g)
{
    for (unsigned i = 0; i < g->c->n; i++) {
        struct diff_item *it = &g->c->item[i];

        for (unsigned l = 0; l < g->loops; l++) {
            bool inside = (i16)i >= g->loop[l].first && (i16)i <= g->loop[l].last;

            if (!inside && it->fix_size && it->target > g->loop[l].first && it->target <= g->loop[l].last)
                it->target = g->loop[l].first;
        }
    }
}

/* --- the start state ------------------------------------------------------------------------------- */

static void random_fpu(struct gen *g, u8 *fx)
{
    u16 fcw = 0x37f, fsw = (u16)(rng_below(&g->rng, 8) << 11);
    u32 mxcsr = 0x1f80;

    memset(fx, 0, 512);
    if (rng_chance(&g->rng, 30))
        fcw = (u16)(0x7f | rng_below(&g->rng, 16) << 8);
    if (rng_chance(&g->rng, 5))
        fcw &= (u16) ~(1u << rng_below(&g->rng, 6));
    if (rng_chance(&g->rng, 30))
        mxcsr |= rng_below(&g->rng, 8) << 13;
    if (rng_chance(&g->rng, 5))
        mxcsr &= ~(0x80u << rng_below(&g->rng, 6));
    memcpy(fx, &fcw, 2);
    memcpy(fx + 2, &fsw, 2);
    fx[4] = (u8)(rng_chance(&g->rng, 50) ? rng_u64(&g->rng) : rng_chance(&g->rng, 50) ? 0 : 0xff);
    memcpy(fx + 24, &mxcsr, 4);
    for (unsigned i = 0; i < 8; i++) {
        u64 m = rng_u64(&g->rng) | 1ull << 63;
        u16 e = (u16)(0x3ff0 + rng_below(&g->rng, 32));
        u32 kind = rng_below(&g->rng, 16);

        if (kind == 0)
            m = 0, e = 0;
        else if (kind == 1)
            e = 0x7fff, m = rng_chance(&g->rng, 50) ? 1ull << 63 : m;
        else if (kind == 2)
            m &= ~(1ull << 63), e = (u16)(rng_chance(&g->rng, 50) ? 0 : e);
        else if (kind == 3)
            e = (u16)rng_u64(&g->rng);
        e |= (u16)(rng_below(&g->rng, 2) << 15);
        memcpy(fx + 32 + 16 * i, &m, 8);
        memcpy(fx + 40 + 16 * i, &e, 2);
    }
    for (unsigned i = 160; i < 288; i += 4) {
        u32 v = rng_chance(&g->rng, 50)
                    ? rng_interesting(&g->rng)
                    : (rng_below(&g->rng, 512) + 0x3f000) << 12 | rng_below(&g->rng, 4096);

        memcpy(fx + i, &v, 4);
    }
}

static void start_state(struct gen *g)
{
    static const u16 sels[SEG_COUNT];
    u16 sel[SEG_COUNT];

    memcpy(sel, sels, sizeof(sel));
    sel[SEG_ES] = g->c->segs->es;
    sel[SEG_CS] = g->c->segs->cs;
    sel[SEG_SS] = g->c->segs->ss;
    sel[SEG_DS] = g->c->segs->ds;
    sel[SEG_GS] = g->c->segs->gs;
    for (unsigned i = 0; i < SEG_COUNT; i++)
        g->seg_ok[i] = diff_descriptor(sel[i], &g->seg[i]);
    g->cs32 = g->seg[SEG_CS].big;
    g->ss32 = g->seg[SEG_SS].big;
    for (unsigned i = 0; i < 8; i++)
        g->c->gpr[i] = rng_interesting(&g->rng);
    g->c->gpr[R_ESP] = STACK_GVA + PAGE_BYTES + (rng_below(&g->rng, 256) - 128) * 4 - g->seg[SEG_SS].base;
    if (rng_chance(&g->rng, 5))
        g->c->gpr[R_ESP] -= rng_below(&g->rng, 4);
    if (!g->ss32)
        g->c->gpr[R_ESP] |= (u32)rng_u64(&g->rng) << 16;
    if (rng_chance(&g->rng, 50))
        g->c->gpr[R_EBP] = stack_target(g);
    g->c->eflags = random_flags(g);
    random_fpu(g, g->c->fpu);
    g->c->start = rng_chance(&g->rng, 30) ? PAGE_BYTES - rng_below(&g->rng, 64) : rng_below(&g->rng, 2048);
}

void gen_case(struct diff_case *c, u64 seed, u32 features)
{
    struct gen g = {.c = c, .rng = {seed}, .features = features};
    unsigned units;

    memset(c, 0, sizeof(*c));
    c->seed = seed;
    c->memory_seed = seed >> 8;
    c->segs = &diff_configs[rng_chance(&g.rng, 45) ? 0 : rng_below(&g.rng, diff_config_count)];
    start_state(&g);
    units = 1 + rng_below(&g.rng, 16);
    for (unsigned i = 0; i < units; i++) {
        u32 r = rng_below(&g.rng, 100);

        if (r < 4 ? !loop(&g) : r < 6 ? !modify_code(&g) : !unit(&g, cand_pick(&g.rng)))
            break;
    }
    keep_out_of_loops(&g);
}
