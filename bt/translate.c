/*
 * translate.c - one block: decode, treat each instruction by its class, stubs, commit.
 *
 * A block starts at one EIP and runs through conditional branches to the first instruction that always leaves, the
 * end of the page or a bound. Every jump out has two stubs behind the block: the hard one leaves
 * with the exit's id so that the run loop can link it, the soft one looks the target up in the jump cache.
 * Translation is bytes -> buffer: guest memory is not touched, the guest cannot make it fail.
 */
#include <string.h>
#include <x86intrin.h>

#include "bt/internal.h"
#include "bt/verify.h"

static u32 here(const struct tr *t)
{
    return em_off(&t->e);
}

void tr_rec(struct tr *t, u8 pend, u8 flags)
{
    if (t->n_recs == BT_MAX_RECS) {
        t->fail = true;
        return;
    }
    struct side_rec r = {.host = (u16)here(t),
                         .guest = (u16)(t->eip - t->code->key.eip),
                         .esp_adj = (i16)t->adj,
                         .pend = pend,
                         .flags = flags};
    const struct side_rec *last = t->n_recs ? &t->bt->recs[t->n_recs - 1] : NULL;
    /* The instruction's first host instruction stays a boundary: LOOP onto itself has no other. */
    if (last && flags == SIDE_MID && pend == last->pend && r.host == last->host && r.guest == last->guest &&
        r.esp_adj == last->esp_adj)
        return;
    t->bt->recs[t->n_recs++] = r;
}

void tr_flush_esp(struct tr *t)
{
    if (!t->adj)
        return;
    em_lea32(&t->e, G_ESP, G_ESP, t->adj); /* lea r8d, [r8 + adj] */
    t->adj = 0;
}

void tr_place(struct tr *t, const struct emit *e, enum place_kind kind)
{
    u32 off = em_off(e) - 4;
    if (t->n_places == BT_MAX_PLACES || off > PLACE_OFF)
        t->fixed = true;
    if (t->fixed || e->full)
        return;
    t->bt->places[t->n_places++] = (u32)kind << PLACE_KIND_SHIFT | (e == &t->cold ? PLACE_COLD : 0) | off;
}

void tr_eip_to(struct tr *t, struct emit *e, u8 reg, u32 eip)
{
    em_mov_imm(e, reg, eip);
    tr_place(t, e, PLACE_EIP);
}

/* A linkable rel32 at the current position; its stubs go to the cold region. */
static void add_exit(struct tr *t, u32 target)
{
    if (t->n_exits == BT_MAX_EXITS) {
        t->fail = true;
        return;
    }
    t->exit_base[t->n_exits] = t->exit_cs_base;
    t->bt->exits[t->n_exits++] = (struct cc_exit){.patch_off = here(t), .target = target};
    em32(&t->e, 0);
}

void tr_exit_inline(struct tr *t, u32 target)
{
    static const u8 nop5[1] = {0x0f};
    u8 *at = t->e.p;
    em_bytes(&t->e, nop5, 1); /* nop dword [rax + rax]: 0F 1F 44 00 00, to become jmp rel32 */
    add_exit(t, target);
    if (t->fail || t->e.full)
        return;
    memcpy(at + 1, (const u8[]){0x1f, 0x44, 0, 0}, 4);
    t->bt->exits[t->n_exits - 1].state = CC_INLINE;
}

void tr_exit_jmp(struct tr *t, u32 target)
{
    em8(&t->e, 0xe9);
    add_exit(t, target);
}

void tr_exit_jcc(struct tr *t, u8 cond, u32 target)
{
    em8(&t->e, 0x0f);
    em8(&t->e, 0x80 | cond);
    add_exit(t, target);
}

void tr_exit_call(struct tr *t, u32 target)
{
    em8(&t->e, 0xe8);
    add_exit(t, target);
}

void tr_jmp_step(struct tr *t, bool rcx_in_r13)
{
    struct emit *e = &t->e;
    if (t->n_steps == ARRAY_SIZE(t->steps)) {
        t->fail = true;
        return;
    }
    em8(e, 0xe9);
    t->steps[t->n_steps].rel = e->p;
    t->steps[t->n_steps].rcx_in_r13 = rcx_in_r13;
    t->steps[t->n_steps].eip = t->eip;
    t->steps[t->n_steps].adj = t->adj;
    t->n_steps++;
    em32(e, 0);
}

void tr_step_exit(struct tr *t)
{
    tr_flush_esp(t);
    tr_eip_to(t, &t->e, H_R9, t->eip);
    em_jmp_to(&t->e, tr_gate(t, GATE_STEP));
    t->ended = true;
}

void tr_shadow_exit(struct tr *t, u32 eip)
{
    struct hop inhibit = hop_base(H_CPU, CPU_DISP(inhibit));
    em_store_imm(&t->e, 1, &inhibit, 1);
    tr_eip_to(t, &t->e, H_R9, eip);
    em_mov_imm(&t->e, H_R10, 0); /* no exit to link */
    em_jmp_to(&t->e, tr_gate(t, GATE_LINK));
}

void tr_callout(struct tr *t)
{
    struct dec_insn *copy = cc_meta(t->bt->cc, sizeof(*copy));
    if (!copy) {
        tr_step_exit(t);
        return;
    }
    *copy = *t->in;
    struct hop eip = hop_base(H_CPU, CPU_DISP(eip));
    tr_flush_esp(t);
    tr_rec(t, PEND_NONE, SIDE_MID);
    em_store_imm(&t->e, 4, &eip, t->eip);
    tr_place(t, &t->e, PLACE_EIP);
    em_mov_imm(&t->e, H_R10, (u64)copy);
    em_call_to(&t->e, tr_gate(t, GATE_CALLOUT));
}

void tr_refuse(struct tr *t, enum bt_refusal why)
{
    t->bt->stats.refusals[why]++;
    tr_callout(t);
}

/* Operations after which C nearly always leaves: nothing behind them belongs to the block. */
static bool sys_ends(const struct dec_insn *in)
{
    switch (in->op) {
    case OP_HLT:
    case OP_INT:
    case OP_INT3:
    case OP_INT1:
    case OP_IRET:
    case OP_SYSENTER:
    case OP_SYSEXIT:
    case OP_CALL_FAR_I:
    case OP_CALL_FAR_M:
    case OP_JMP_FAR_I:
    case OP_JMP_FAR_M:
    case OP_RET_FAR:
    case OP_UD2:
    case OP_RSM: return true;
    default: return in->cls == DEC_UD;
    }
}

/* x87, MMX and SSE in a CPU state where they raise #NM or #UD: C decides which. */
static bool fpu_refused(const struct tr *t)
{
    switch (t->in->fpu) {
    case DEC_FPU_X87: return t->mode & MODE_NM;
    case DEC_FPU_MMX: return t->mode & (MODE_EM | MODE_TS);
    case DEC_FPU_SSE: return (t->mode & (MODE_EM | MODE_TS)) || !(t->mode & MODE_SSE);
    default: return false;
    }
}

static bool is_slow(struct tr *t)
{
    for (u32 i = 0; i < t->code->n_slow; i++)
        if (t->code->slow_eips[i] == t->eip) {
            t->fixed = true; /* the list is of addresses */
            return true;
        }
    return false;
}

static void treat(struct tr *t)
{
    const struct dec_insn *in = t->in;
    if (in->cls == DEC_UD) {
        tr_refuse(t, BT_REFUSE_UD);
        tr_exit_jmp(t, t->next);
        t->ended = true;
        return;
    }
    if (fpu_refused(t)) {
        tr_callout(t);
        return;
    }
    bool slow = t->bt->opt.slow_mem || is_slow(t);
    if (slow && (in->mem || in->cls == DEC_STACK || in->cls == DEC_STRING) && in->cls != DEC_SYS &&
        in->cls != DEC_BRANCH && in->op != OP_LEA && in->op != OP_NOP) {
        tr_refuse(t, BT_REFUSE_MMIO);
        return;
    }
    /* A code segment is never writable in protected mode, however flat it is. */
    if (in->mem && in->mem_write && in->seg == SEG_CS && in->cls != DEC_SYS &&
        (t->mode & (MODE_PE | MODE_VM)) == MODE_PE) {
        tr_refuse(t, BT_REFUSE_SEGCHECK);
        return;
    }
    switch (in->cls) {
    case DEC_PLAIN: tr_plain(t); break;
    case DEC_STACK: tr_stack(t); break;
    case DEC_STRING: tr_string(t); break;
    case DEC_BRANCH: tr_branch(t); break;
    case DEC_HAND: tr_hand(t); break;
    default:
        if (!slow && (tr_segment(t) || tr_far(t)))
            break;
        tr_callout(t);
        if (sys_ends(in)) { /* C may still say "go on" when the target is the next instruction */
            tr_exit_jmp(t, t->next);
            t->ended = true;
        }
    }
}

/* Behind a load of the code map's entry of that page: the first ones have shorter forms. */
void tr_map_place(struct tr *t, const struct emit *e, u32 page)
{
    if (page * 4 < 128)
        t->fixed = true;
    tr_place(t, e, PLACE_MAP);
}

/* The guard stub of an exit to another page: is the target's page still the one that it was linked for, in this window?
 *   mov r10, [code_map] ; mov r11, rcx ; mov ecx, [r10 + page * 4] ; lea ecx, [rcx - expected] ; jrcxz ok
 *   mov rcx, r11 ; soft ; ok: mov rcx, r11 ; jmp target */
static void emit_guard(struct tr *t, struct cc_exit *x, u32 cs_base)
{
    struct emit *e = &t->cold;
    struct hop map = hop_base(H_CPU, CPU_DISP(code_map));
    u32 page = (x->target + cs_base) >> PAGE_SHIFT;
    x->guard_off = t->cold_off + em_off(e);
    em_load(e, 8, H_R10, &map);
    em_mov(e, H_R11, H_RCX);
    struct hop entry = hop_base(H_R10, (i32)(page * 4));
    em_load(e, 4, H_RCX, &entry);
    tr_map_place(t, e, page);
    em_rm(e, 0, 0x8d, H_RCX,
          &(struct hop){.base = H_RCX, .index = H_NONE, .scale = 1, .disp = 0x7fffffff}); /* 32-bit disp */
    x->guard_imm = t->cold_off + em_off(e) - 4;
    u8 *ok = em_jrcxz(e);
    em_mov(e, H_RCX, H_R11);
    tr_eip_to(t, e, H_R9, x->target);
    em_jmp_to(e, tr_gate(t, GATE_LOOKUP));
    em_here(e, ok);
    em_mov(e, H_RCX, H_R11);
    em_jmp_to(e, tr_gate(t, GATE_LOOKUP));
    x->guard_rel = t->cold_off + em_off(e) - 4;
}

/* In the cold region: ways to the fallback, and the stubs of each exit. */
static void emit_stubs(struct tr *t)
{
    struct emit *e = &t->cold;
    for (u32 i = 0; i < t->n_steps && !e->full; i++) {
        u64 next = t->e.exec + (u64)(t->steps[i].rel + 4 - t->e.base);
        u32 rel = (u32)(e->exec + em_off(e) - next);
        memcpy(t->steps[i].rel, &rel, 4);
        if (t->steps[i].rcx_in_r13)
            em_mov(e, H_RCX, H_R13);
        if (t->steps[i].adj)
            em_lea32(e, G_ESP, G_ESP, t->steps[i].adj);
        tr_eip_to(t, e, H_R9, t->steps[i].eip);
        em_jmp_to(e, tr_gate(t, GATE_STEP));
    }
    for (u32 i = 0; i < t->n_exits; i++) {
        struct cc_exit *x = &t->bt->exits[i];
        if (x->state == CC_HARD) {
            x->hard_off = t->cold_off + em_off(e);
            em_mov_imm(e, H_R10, t->first_exit_id + i);
            tr_eip_to(t, e, H_R9, x->target);
            em_jmp_to(e, tr_gate(t, GATE_LINK));
        }
        x->soft_off = t->cold_off + em_off(e);
        tr_eip_to(t, e, H_R9, x->target);
        em_jmp_to(e, tr_gate(t, GATE_LOOKUP));
        u32 from = t->code->key.eip + t->code->key.cs_base, to = x->target + t->exit_base[i];
        if (x->state == CC_HARD && ((from ^ to) & ~PAGE_MASK))
            emit_guard(t, x, t->exit_base[i]);
    }
}

/* Bytes that the refusal of what stands at `at` depends on: another byte behind it may make sense of it. */
static u32 refused_len(const struct bt_code *c, u32 at)
{
    return c->avail - at < DEC_MAX_LEN ? c->avail - at : DEC_MAX_LEN;
}

/* How far a self-checking block reaches: it ends behind an instruction that writes memory, so that a block never runs
 * bytes that changed after its check. Returns the bytes to check. */
static u32 selfcheck_span(const struct tr *t, u32 *insns)
{
    const struct bt_code *c = t->code;
    u32 at = 0, n = 0;
    while (n < 16 && at < c->page_left) {
        struct dec_insn in;
        if (dec_decode(&in, c->bytes + at, c->avail - at, t->mode & MODE_CS32, t->bt->cpu->features))
            break;
        if (n && at + in.len > c->page_left)
            break;
        at += in.cls == DEC_UD ? refused_len(c, at) : in.len;
        n++;
        if (in.mem_write || (in.cls != DEC_PLAIN && in.cls != DEC_HAND))
            break;
    }
    *insns = n ? n : 1;
    return at;
}

/* One piece of the comparison: ecx, or rcx, becomes zero when memory holds the bytes at `at`. */
static void emit_compare(struct tr *t, u32 at, u32 n)
{
    struct emit *e = &t->e;
    u32 lin = t->code->key.eip + t->code->key.cs_base;
    struct hop m = {.base = H_NONE, .index = H_NONE, .scale = 1, .gs = true, .disp = (i32)(lin + at)};
    u64 want = 0;
    memcpy(&want, t->code->bytes + at, n);
    em_load(e, n, H_RCX, &m);
    tr_place(t, e, PLACE_EIP);
    if (n == 8) {
        em_mov_imm(e, H_R12, -want);
        em_lea_sum(e, 8, H_RCX, H_RCX, H_R12, 1);
    } else {
        em_lea32(e, H_RCX, H_RCX, (i32) - (u32)want);
    }
}

/* Compare the guest's bytes with those translated, in pieces that may overlap; other bytes: the fallback, which also drops the
 * block. So it does now and then for no reason but to let the monitor see which pages spend their time here.
 *   mov r13, rcx ; mov ecx, [selfchecks] ; lea ecx, [rcx - 1] ; mov [selfchecks], ecx ; jrcxz out
 *   { mov rcx, gs:[lin] ; mov r12, -bytes ; lea rcx, [rcx + r12] ; jrcxz ok ; out: jmp step ; ok: } ; mov rcx, r13 */
static void emit_selfcheck(struct tr *t, u32 span)
{
    struct emit *e = &t->e;
    struct hop left = hop_base(H_CPU, CPU_DISP(selfchecks));
    u32 n = span >= 8 ? 8 : span >= 4 ? 4 : span >= 2 ? 2 : 1;
    u64 out = 0;
    if (!span)
        return;
    t->eip = t->code->key.eip;
    em_mov(e, H_R13, H_RCX);
    tr_rec(t, PEND_BORROW + H_RCX, SIDE_MID);
    em_load(e, 4, H_RCX, &left);
    em_lea32(e, H_RCX, H_RCX, -1);
    em_store(e, 4, &left, H_RCX);
    u8 *count = em_jrcxz(e);
    for (u32 at = 0; at < span; at += n) {
        emit_compare(t, at + n <= span ? at : span - n, n);
        u8 *ok = em_jrcxz(e);
        if (out) {
            em_jmp_to(e, out);
        } else {
            em_here(e, count);
            out = e->exec + em_off(e);
            tr_jmp_step(t, true);
        }
        em_here(e, ok);
    }
    em_mov(e, H_RCX, H_R13);
}

/* Is there a block already that starts where this one is about to go on behind a branch? Then go there: the same code is
 * not translated again and again as the tail of others. */
static bool is_translated(const struct tr *t, u32 at)
{
    const struct bt_code *c = t->code;
    struct cc_key key = c->key;
    if (c->selfcheck || at >= c->page_left)
        return false;
    key.gpa += at;
    key.eip += at;
    return cc_lookup(t->bt->cc, &key) != NULL;
}

/* Decodes and emits instructions until the block ends. */
static int emit_body(struct tr *t)
{
    const struct bt_code *c = t->code;
    u32 max = c->one ? 1 : t->bt->opt.max_insns ? t->bt->opt.max_insns : BT_MAX_INSNS;
    u32 at = 0, checked;
    if (c->selfcheck) {
        u32 span = selfcheck_span(t, &checked);
        emit_selfcheck(t, span);
        max = checked < max ? checked : max;
    }
    while (!t->ended && t->n_insns < max) {
        struct dec_insn in;
        u32 avail = c->avail - at;
        int rc = dec_decode(&in, c->bytes + at, avail, t->mode & MODE_CS32, t->bt->cpu->features);
        if (rc == -ENODATA && at == 0)
            return rc;
        if (rc == -ENODATA)
            break; /* straddles into the next page: a block of its own */
        t->eip = c->key.eip + at;
        t->in = &in;
        bool too_long = rc == -E2BIG || (c->key.cs_limit != 0xffffffffu &&
                                         (u64)t->eip + (rc ? 0 : in.len) - 1 > c->key.cs_limit);
        if (rc && !too_long)
            return rc;
        if (!too_long && at && at + in.len > c->page_left)
            break;
        tr_rec(t, PEND_NONE, t->mid_next ? SIDE_MID : 0);
        t->mid_next = false;
        if (too_long) { /* #GP by the fallback */
            tr_step_exit(t);
            at += refused_len(c, at);
            t->n_insns++;
            break;
        }
        t->next = t->eip + in.len;
        treat(t);
        if (t->fail || t->e.full)
            return -ENOSPC;
        at += in.cls == DEC_UD ? refused_len(c, at) : in.len;
        t->n_insns++;
        if (in.cls == DEC_BRANCH && !t->ended && is_translated(t, at))
            break;
        if (at >= c->page_left || here(t) > BT_BLOCK_SOFT || t->n_exits > BT_MAX_EXITS - 8 ||
            t->n_steps > BT_MAX_EXITS - 40 || t->n_recs > BT_MAX_RECS - 16)
            break;
    }
    if (!t->ended) {
        t->eip = c->key.eip + at;
        tr_flush_esp(t);
        tr_rec(t, PEND_NONE, t->mid_next ? SIDE_MID : 0);
        if (t->mid_next)
            tr_shadow_exit(t, t->eip);
        else
            tr_exit_jmp(t, t->eip);
    }
    return (int)at;
}

/* May blocks of this key be moved? Those of 32-bit programs. */
static bool may_move(const struct bt_code *c)
{
    const struct cc_key *k = &c->key;
    return (k->mode & (MODE_CS32 | MODE_PE | MODE_VM | MODE_CPL3)) == (MODE_CS32 | MODE_PE | MODE_CPL3) &&
           MODE_SEGC(k->mode, SEG_CS) == SEGC_FLAT && !k->cs_base && k->cs_limit == 0xffffffffu;
}

static void keep_places(struct tr *t, struct cc_block *b)
{
    u32 bytes = t->n_places * (u32)sizeof(t->bt->places[0]);
    void *copy = t->fixed ? NULL : cc_meta(t->bt->cc, bytes ? bytes : 1);
    if (!copy)
        return;
    memcpy(copy, t->bt->places, bytes);
    b->places = copy;
    b->n_places = t->n_places;
    b->flags |= BLOCK_MOVABLE;
}

int bt_translate(struct bt *bt, const struct bt_code *code, struct cc_block **out)
{
    u64 start = __rdtsc();
    u32 off;
    int rc = cc_reserve(bt->cc, BT_BLOCK_BYTES, &off);
    if (rc)
        return rc;
    struct tr t = {.bt = bt,
                   .code = code,
                   .mode = code->key.mode,
                   .first_exit_id = cc_next_exit_id(bt->cc),
                   .exit_cs_base = code->key.cs_base,
                   .held = ~0ull,
                   .fixed = !may_move(code)};
    t.e.base = t.e.p = cc_rw(bt->cc) + off;
    t.e.end = t.e.base + BT_BLOCK_BYTES;
    t.e.exec = (u64)(cc_rx(bt->cc) + off);
    rc = cc_reserve_cold(bt->cc, BT_COLD_BYTES, &t.cold_off);
    if (rc) {
        cc_abort(bt->cc);
        return rc;
    }
    t.cold.base = t.cold.p = cc_rw(bt->cc) + t.cold_off;
    t.cold.end = t.cold.base + BT_COLD_BYTES;
    t.cold.exec = (u64)(cc_rx(bt->cc) + t.cold_off);

    rc = emit_body(&t);
    if (rc < 0 || t.e.full || t.fail) {
        cc_abort(bt->cc);
        return rc < 0 && rc != -ENOSPC ? rc : -EOVERFLOW;
    }
    u32 guest_len = (u32)rc;
    emit_stubs(&t);
    if (t.cold.full) {
        cc_abort(bt->cc);
        return -EOVERFLOW;
    }
    for (u32 i = 0; i < t.n_exits; i++)
        bt->exits[i].patch_off += off;
    cc_cold_done(bt->cc, em_off(&t.cold));
    *out = cc_commit(bt->cc, &code->key, here(&t), guest_len, t.n_insns, bt->exits, t.n_exits, bt->recs,
                     t.n_recs * (u32)sizeof(struct side_rec));
    if (!*out)
        return -ENOMEM;
    (*out)->tag = code->cs_sel;
    keep_places(&t, *out);
    if (bt->opt.verify)
        verify_or_panic(bt, *out);
    bt->stats.blocks++;
    bt->stats.insns += t.n_insns;
    bt->stats.host_bytes += here(&t);
    bt->stats.translate_calls++;
    bt->stats.translate_cycles += __rdtsc() - start;
    return 0;
}

const char *bt_refusal_name(unsigned r)
{
    static const char *const names[BT_REFUSE_COUNT] = {"none",     "undefined-opcode", "segment-check",
                                                       "encoding", "single-step",      "mmio"};
    return r < BT_REFUSE_COUNT ? names[r] : "?";
}
