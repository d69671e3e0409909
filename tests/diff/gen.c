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

    if (g->c->n >= DIFF_MAX_ITEMS - 2 || len > 16)
        return NULL;
    it = &g->c->item[g->c->n++];
    memset(it, 0, sizeof(*it));
    memcpy(it->bytes, bytes, len);
    it->len = (u8)len;
    it->target = -1;
    it->cand = cand;
    it->cs32 = g->cs32;
    it->cs_base = g->seg[SEG_CS].base;
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

const u8 gen_seg_prefix[SEG_COUNT] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65};

static struct diff_item *store(struct gen *g, unsigned seg, u32 off, u32 value, unsigned size)
{
    u8 b[16], n = 0;

    b[n++] = gen_seg_prefix[seg];
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

/* A target a few items on, as an offset in a code segment. */
static void aim_absolute(struct gen *g, struct diff_item *it, unsigned off, unsigned size, u32 cs_base)
{
    it->fix_off = (u8)off;
    it->fix_size = (u8)size;
    it->fix_abs = 1;
    it->cs_base = cs_base;
    it->target = (i16)(g->c->n + 1 + rng_below(&g->rng, 3));
}

bool gen_store_address(struct gen *g, unsigned seg, u32 off, unsigned size, u32 cs_base)
{
    struct diff_item *it = store(g, seg, off, 0, size);

    if (it)
        aim_absolute(g, it, it->len - size, size, cs_base);
    return it != NULL;
}

static struct diff_item *push(struct gen *g, u32 value, unsigned size)
{
    u8 b[8], n = 0;

    if ((size == 4) != g->cs32)
        b[n++] = 0x66;
    b[n++] = 0x68;
    memcpy(b + n, &value, 4);
    return gen_item(g, b, n + size, -1);
}

bool gen_push_imm(struct gen *g, u32 value, unsigned size)
{
    return push(g, value, size) != NULL;
}

bool gen_push_address(struct gen *g, unsigned size, u32 cs_base)
{
    struct diff_item *it = push(g, 0, size);

    if (it)
        aim_absolute(g, it, it->len - size, size, cs_base);
    return it != NULL;
}

u32 gen_flags(struct gen *g)
{
    u32 fl = (u32)rng_u64(&g->rng) & (FL_ARITH | EFL_ID);

    if (rng_chance(&g->rng, 15))
        fl |= EFL_DF;
    if (rng_chance(&g->rng, 6))
        fl |= EFL_AC;
    return fl | EFL_R1 | EFL_IF;
}

/* --- one candidate's bytes ------------------------------------------------------------------------- */

static unsigned put_prefixes(struct gen *g, u8 *b, const struct diff_candidate *k, int *seg)
{
    unsigned n = 0;
    bool string = k->cls == DEC_STRING || k->op == OP_INS || k->op == OP_OUTS || k->op == OP_XLAT;

    *seg = -1;
    if ((k->is_mem || string) && rng_chance(&g->rng, 16)) {
        for (unsigned i = 0; i < 3; i++) {
            *seg = (int)rng_below(&g->rng, SEG_COUNT);
            if (g->seg_ok[*seg])
                break;
        }
        b[n++] = gen_seg_prefix[*seg];
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

/* A segment in which 16 bits reach the data; -1: none. */
static int near_segment(struct gen *g)
{
    unsigned first = rng_below(&g->rng, SEG_COUNT);

    for (unsigned i = 0; i < SEG_COUNT; i++) {
        unsigned s = (first + i) % SEG_COUNT;

        if (g->seg_ok[s] && DATA_GVA + PAGE_BYTES - g->seg[s].base < 0x10000)
            return (int)s;
    }
    return -1;
}

/* A 32-bit address in flat segments never fits 16 bits: take a segment that is near. */
static unsigned encode(struct gen *g, u8 *b, const struct diff_candidate *k, bool absolute)
{
    int seg;
    unsigned n = put_prefixes(g, b, k, &seg);
    bool ad = memchr(b, 0x67, n) != NULL, adsz32 = g->cs32 != ad;

    if (!adsz32 && (k->is_mem || k->cls == DEC_STRING) && seg < 0 &&
        DATA_GVA - g->seg[SEG_DS].base >= 0x10000 && rng_chance(&g->rng, 90)) {
        seg = near_segment(g);
        if (seg >= 0) {
            memmove(b + 1, b, n++);
            b[0] = gen_seg_prefix[seg];
        }
    }
    if (rng_chance(&g->rng, 4))
        n += gen_junk(g, b, n);
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
    } else if ((d->op == OP_RET || d->op == OP_RET_FAR) && d->imm_size) {
        b[d->imm_off] = (u8)rng_below(&g->rng, 32);
        b[d->imm_off + 1] = 0;
    }
}

/* --- what some instructions need in front -------------------------------------------------------------- */

static bool writes_pointers(u8 op)
{
    return op == OP_FNSTENV || op == OP_FNSAVE || op == OP_FXSAVE;
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
    if (rng_chance(&g->rng, d->adsz == 2 ? 15 : 3)) { /* around 64 KiB or 4 GiB */
        u32 si = rng_below(&g->rng, 64) - 32,
            di = rng_chance(&g->rng, 50) ? rng_below(&g->rng, 64) - 32 : gen_target(g, SEG_ES, 4, true);

        return gen_mov_imm(g, R_ESI, d->adsz == 2 ? high | (u16)si : si) &&
               gen_mov_imm(g, R_EDI, d->adsz == 2 ? high | (u16)di : di);
    }
    return gen_mov_imm(g, R_ESI, high ^ gen_target(g, d->seg, 4, false)) &&
           gen_mov_imm(g, R_EDI, high ^ gen_target(g, SEG_ES, 4, true));
}

u32 gen_stack_target(struct gen *g)
{
    const struct diff_descriptor *d = &g->seg[SEG_SS];
    u32 off = 0;

    for (unsigned i = 0; i < 8; i++) {
        off = STACK_GVA + 0x200 + rng_below(&g->rng, 0x700) * 4 - d->base;
        if (diff_in_limit(d, off - 0x40, 0x80))
            break;
    }
    if (rng_chance(&g->rng, 6)) /* the first push wraps, or comes to the limit */
        off = rng_chance(&g->rng, 50) ? rng_below(&g->rng, 24) : d->limit - 8 + rng_below(&g->rng, 16);
    return d->big ? off : (off & 0xffff) | (u32)rng_u64(&g->rng) << 16;
}

/* Decoded with its operand fixed; false: no room left. */
static bool prepare(struct gen *g, const struct dec_insn *d)
{
    u8 ext = d->modrm >> 3 & 7;

    if (d->cls == DEC_STRING || d->op == OP_INS || d->op == OP_OUTS)
        return prepare_string(g, d);
    switch (d->op) {
    case OP_XLAT: return gen_mov_imm(g, R_EBX, gen_target(g, d->seg, 256, false));
    case OP_MASKMOV: {
        u32 at = gen_target(g, d->seg, 16, true);

        /* Where in the middle it wraps and faults is the CPU maker's. */
        return gen_mov_imm(g, R_EDI, d->adsz == 2 && (u16)at > 0xfff0 ? at - 16 : at);
    }
    case OP_PUSHA:
    case OP_POPA:
        if (rng_chance(&g->rng, 40)) { /* across the end of what is there */
            u32 at = rng_chance(&g->rng, 50) ? STACK_GVA : STACK_GVA + STACK_PAGES * PAGE_BYTES;

            return gen_mov_imm(g, R_ESP, at - 40 + rng_below(&g->rng, 80) - g->seg[SEG_SS].base);
        }
        return !g->esp_dirty || gen_mov_imm(g, R_ESP, gen_stack_target(g));
    case OP_ENTER:
    case OP_LEAVE: return gen_mov_imm(g, R_EBP, gen_stack_target(g));
    case OP_BT:
    case OP_BTS:
    case OP_BTR:
    case OP_BTC:
        if (ext == d->base || ext == d->index || ext == R_ESP)
            return true;
        return gen_mov_imm(
            g, ext, rng_chance(&g->rng, 80) ? rng_below(&g->rng, 600) - 300 : rng_interesting(&g->rng));
    case OP_POPF: {
        u32 fl = gen_flags(g);

        if (rng_chance(&g->rng, 10))
            fl |= EFL_TF;
        if (rng_chance(&g->rng, 5))
            fl |= EFL_NT, g->nt_dirty = true;
        if (rng_chance(&g->rng, 20))
            fl ^= (u32)rng_u64(&g->rng) & (EFL_IOPL | EFL_VIF | EFL_VIP | EFL_VM | EFL_RF | EFL_IF);
        return gen_push_imm(g, fl, d->stksz);
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
        if (!gen_store_address(g, d->seg, off, size, g->seg[SEG_CS].base))
            return false;
    } else {
        u8 m[8] = {0}, n = 0;

        if (!g->cs32)
            m[n++] = 0x66;
        m[n++] = (u8)(0xb8 | (d->reg & 7));
        it = gen_item(g, m, n + 4u, -1);
        if (!it)
            return false;
        aim_absolute(g, it, n, 4, g->seg[SEG_CS].base);
    }
    return gen_item(g, b, d->len, cand) != NULL;
}

static bool branch(struct gen *g, u8 *b, struct dec_insn *d, u32 off, i32 cand)
{
    struct diff_item *it;

    if (d->op == OP_JMP_RM || d->op == OP_CALL_RM)
        return indirect(g, b, d, off, cand);
    if (d->op == OP_RET) {
        if (rng_chance(&g->rng, 90) && !gen_push_address(g, d->stksz, g->seg[SEG_CS].base))
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

/* Operands that other items store to. */
static bool wants_absolute(u8 op)
{
    return writes_pointers(op) || op == OP_JMP_RM || op == OP_CALL_RM ||
           (cand_seg(&(struct dec_insn){.op = op}) && op != OP_INT);
}

static bool unit(struct gen *g, i32 cand)
{
    const struct diff_candidate *k = cand_get(cand);
    u8 b[32];
    struct dec_insn d;
    u32 off = 0;
    bool absolute = wants_absolute(k->op);
    unsigned keep = g->c->n;

    memset(b, 0, sizeof(b));
    encode(g, b, k, absolute);
    if (dec_decode(&d, b, DEC_MAX_LEN, g->cs32, g->features) || d.len > 15)
        return true;
    if (d.cls == DEC_UD ? !(d.prefixes & DEC_PFX_LOCK) || rng_chance(&g->rng, 70)
                        : !cand_allowed(&d) && !cand_seg(&d))
        return true;
    if ((d.gpr_written & BIT(R_ESP)) && d.cls == DEC_PLAIN && rng_chance(&g->rng, 95))
        return true;
    put_immediate(g, b, &d);
    if (d.mem && (rng_chance(&g->rng, 97) || absolute) && !gen_fix_operand(g, b, &d, absolute, &off))
        goto full;
    if (d.mem && d.op == OP_FXRSTOR && rng_chance(&g->rng, 60) && d.base != DEC_NO_REG &&
        d.index == DEC_NO_REG && !gen_mov_imm(g, d.base, DATA_GVA + 0x400 - g->seg[d.seg].base - (u32)d.disp))
        goto full;
    if (dec_decode(&d, b, DEC_MAX_LEN, g->cs32, g->features))
        goto full;
    if (cand_seg(&d)) {
        if (!gen_seg(g, b, &d, off, cand))
            goto full;
        return true;
    }
    if (!prepare(g, &d))
        goto full;
    if (d.cls == DEC_BRANCH) {
        if (!branch(g, b, &d, off, cand))
            goto full;
        return true;
    }
    if ((d.gpr_written & BIT(R_ESP)) &&
        (d.cls != DEC_STACK || d.op == OP_POP_R || d.op == OP_LEAVE || d.op == OP_ENTER))
        g->esp_dirty = true;
    if (writes_pointers(d.op) ? !gen_fpu_save(g, b, &d, off, cand) : !gen_item(g, b, d.len, cand))
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

    if (reg == R_ESP || g->seg[SEG_DS].base != 0 || !g->seg[SEG_DS].rw || !g->seg_ok[SEG_DS] ||
        g->seg[SEG_CS].base != 0)
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

/* A branch into the middle of a loop would find any count: lead it to the loop's start. And to the head of what is tied together. */
static void keep_out_of_loops(struct gen *g)
{
    for (unsigned i = 0; i < g->c->n; i++) {
        struct diff_item *it = &g->c->item[i];

        while (it->target > 0 && (unsigned)it->target < g->c->n && g->c->item[it->target].tied)
            it->target--;
        for (unsigned l = 0; l < g->loops; l++) {
            bool inside = (i16)i >= g->loop[l].first && (i16)i <= g->loop[l].last;

            if (!inside && it->fix_size && it->target > g->loop[l].first && it->target <= g->loop[l].last)
                it->target = g->loop[l].first;
        }
    }
}

/* --- the start state ------------------------------------------------------------------------------- */

/* Mostly what programs have: flat, or one of the fixed sets; else any segments that may be loaded. */
static void start_segments(struct gen *g)
{
    u32 kind = rng_below(&g->rng, 100);
    const struct diff_segments *fixed =
        &diff_configs[kind < 36 ? kind / 12 : rng_below(&g->rng, diff_config_count)];

    g->c->config = kind < 60 ? fixed->name : "random";
    for (unsigned i = 0; i < SEG_COUNT; i++) {
        u16 sel = fixed->sel[i];

        if (kind >= 60 && !rng_chance(&g->rng, 20)) {
            do
                sel = gen_selector(g, i);
            while (!diff_loadable(i, sel));
        }
        if (i == SEG_CS)
            sel |= 3;
        gen_set_segment(g, i, sel);
        g->c->sel[i] = sel;
    }
}

static void start_state(struct gen *g)
{
    u32 off;

    start_segments(g);
    for (unsigned i = 0; i < 8; i++)
        g->c->gpr[i] = rng_interesting(&g->rng);
    g->c->gpr[R_ESP] = gen_stack_target(g);
    if (rng_chance(&g->rng, 5))
        g->c->gpr[R_ESP] -= rng_below(&g->rng, 4);
    if (rng_chance(&g->rng, 50))
        g->c->gpr[R_EBP] = gen_stack_target(g);
    g->c->eflags = gen_flags(g);
    gen_fpu(g, g->c->fpu);
    g->c->start = rng_chance(&g->rng, 30) ? PAGE_BYTES - rng_below(&g->rng, 64) : rng_below(&g->rng, 2048);
    if (rng_chance(&g->rng, 2))
        g->c->start = CODE_BYTES - 1 - rng_below(&g->rng, RUNS_OFF);
    off = CODE_GVA + g->c->start - g->seg[SEG_CS].base;
    if (!diff_in_limit(&g->seg[SEG_CS], off, 1)) {
        gen_set_segment(g, SEG_CS, SEL_CS_FLAT);
        g->c->sel[SEG_CS] = SEL_CS_FLAT;
    }
}

void gen_case(struct diff_case *c, u64 seed, u32 features)
{
    struct gen g = {.c = c, .rng = {seed}, .features = features};
    unsigned units;

    memset(c, 0, sizeof(*c));
    c->seed = seed;
    c->memory_seed = seed >> 5;
    c->ldt_seed = seed / LDT_PROGRAMS;
    diff_ldt(c->ldt_seed);
    start_state(&g);
    units = 1 + rng_below(&g.rng, 28);
    for (unsigned i = 0; i < units; i++) {
        u32 r = rng_below(&g.rng, 100);

        if (r < 4   ? !loop(&g)
            : r < 6 ? !modify_code(&g)
            : r < 9 ? !gen_fault(&g)
                    : !unit(&g, cand_pick(&g.rng)))
            break;
    }
    keep_out_of_loops(&g);
}
