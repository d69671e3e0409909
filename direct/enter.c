/*
 * enter.c - guest state into a sandbox, and out again as an exit value.
 *
 * The guest thread is always held at one place: in the handler of the signal that ended its last run. Entering means to rewrite
 * that signal's frame in the exit area and to let rt_sigreturn load it. All of the frame is rewritten, so what guest code that got into
 * 64-bit mode may have left there has no effect. Coming back everything is copied out once and checked; what 32-bit
 * ring-3 code under our selectors cannot have produced (64-bit code segment, foreign selectors, frame elsewhere) ends the box.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "direct/internal.h"

#define HOST_CODE32 0x23u /* __USER32_CS, the same since x86-64 Linux exists */
#define HOST_DATA 0x2bu   /* __USER_DS */
#define HOST_CODE64 0x33u
#define SEL_LDT 4u
#define SEL_RPL 3u

#define FL_FIXED 0x202u
#define FL_FRAME 0x50dd5u    /* what rt_sigreturn loads */
#define FL_HANDLER 0x204000u /* NT and ID: the handler's own, kept */
#define FL_RF 0x10000u

#define ARCH_I386 0x40000003u
#define TRAP_TRACE_CODE 2
#define VDSO_SPAN 0x10000u

/* Type bits of a descriptor: code/data, writable or readable. */
#define DESC_CODE(d) ((d) >> 43 & 1)
#define DESC_RW(d) ((d) >> 41 & 1)
#define DESC_PRESENT(d) ((d) >> 47 & 1)
#define DESC_BASE(d) ((u32)(((d) >> 16 & 0xffffff) | ((d) >> 56 << 24)))

static struct dx_mail *mail(const struct dx_box *b)
{
    return (struct dx_mail *)b->area;
}

/* Offset of a pointer of the box in the exit area; DX_AREA_BYTES when n bytes do not fit there. */
static u32 area_offset(u64 address, u32 n)
{
    u64 off = address - DX_AREA_BASE;

    return off < DX_ALT_STACK || off > DX_AREA_BYTES - n ? DX_AREA_BYTES : (u32)off;
}

static u64 area_address(u32 off)
{
    return (u64)DX_AREA_BASE + off;
}

int dx_frame_learn(struct dx_box *b)
{
    const struct dx_mail *m = mail(b);
    const struct frame_uc *uc;
    struct frame_sw sw;

    b->uc_off = area_offset(m->uc, sizeof(*uc));
    b->info_off = area_offset(m->info, sizeof(struct frame_info));
    if (b->uc_off == DX_AREA_BYTES || b->info_off == DX_AREA_BYTES)
        return -EIO;
    uc = (const struct frame_uc *)(b->area + b->uc_off);
    b->fp_off = area_offset(uc->fpstate, XS_BYTES_MIN);
    if (b->fp_off == DX_AREA_BYTES || (b->fp_off & 63) || !(uc->flags & UC_FP_XSTATE))
        return -EIO;
    memcpy(&sw, b->area + b->fp_off + XS_SW, sizeof(sw));
    if (sw.magic1 != XS_MAGIC1 || sw.xstate_bytes < XS_BYTES_MIN || sw.extended_bytes < sw.xstate_bytes ||
        sw.extended_bytes > DX_AREA_BYTES - b->fp_off)
        return -EIO;
    memcpy(&b->mxcsr_mask, b->area + b->fp_off + XS_MXCSR_MASK, 4);
    if (!b->mxcsr_mask)
        b->mxcsr_mask = 0xffbf;
    b->frame = malloc(DX_ALT_BYTES);
    if (!b->frame)
        return -ENOMEM;
    memcpy(b->frame, b->area + DX_ALT_STACK, DX_ALT_BYTES);
    return 0;
}

void dx_frame_reset(struct dx_box *b)
{
    memcpy(b->area + DX_ALT_STACK, b->frame, DX_ALT_BYTES);
    memset(b->area, 0, DX_ALT_STACK);
}

static const char *const seg_names[6] = {"ES", "CS", "SS", "DS", "FS", "GS"};

/* Why segment register i cannot be loaded so; NULL when it can. */
static const char *seg_refused(const struct dx_box *b, unsigned i, const struct dx_seg *s)
{
    u64 d;

    switch (s->kind) {
    case DX_SEG_NULL: return i == DX_CS || i == DX_SS ? "null selector" : NULL;
    case DX_SEG_FLAT: return s->base && i < DX_FS ? "flat segment with a base" : NULL;
    case DX_SEG_LDT: break;
    default: return "unknown kind";
    }
    d = dx_ldt_desc(b, s->sel);
    if (!d)
        return "selector without a mirrored descriptor";
    if (!DESC_PRESENT(d))
        return "segment not present";
    if ((i == DX_CS || i == DX_SS) && (s->sel & SEL_RPL) != 3)
        return "RPL is not 3";
    if (i == DX_CS)
        return DESC_CODE(d) ? NULL : "not a code segment";
    if (i == DX_SS)
        return !DESC_CODE(d) && DESC_RW(d) ? NULL : "not a stack segment";
    return !DESC_CODE(d) || DESC_RW(d) ? NULL : "execute-only";
}

static bool state_refused(const struct dx_box *b, const struct dx_state *st, char why[DX_WHY_BYTES])
{
    for (unsigned i = 0; i < 6; i++) {
        const char *reason = seg_refused(b, i, &st->seg[i]);
        if (reason) {
            snprintf(why, DX_WHY_BYTES, "%s: %s", seg_names[i], reason);
            return true;
        }
    }
    return false;
}

static u16 host_selector(unsigned i, const struct dx_seg *s)
{
    if (s->kind == DX_SEG_NULL)
        return 0;
    if (s->kind == DX_SEG_LDT)
        return s->sel;
    return i == DX_CS ? HOST_CODE32 : HOST_DATA;
}

static u64 host_base(const struct dx_box *b, const struct dx_seg *s)
{
    if (s->kind == DX_SEG_LDT)
        return DESC_BASE(dx_ldt_desc(b, s->sel));
    return s->kind == DX_SEG_FLAT ? s->base : 0;
}

static void put_fpu(struct dx_box *b, const u8 *fxsave)
{
    const u8 *first = b->frame + b->fp_off - DX_ALT_STACK;
    u8 *fp = b->area + b->fp_off;
    struct frame_sw sw;
    u64 header[8] = {XS_X87_SSE};
    u32 mxcsr, magic2 = XS_MAGIC2;

    memcpy(&sw, first + XS_SW, sizeof(sw));
    memcpy(fp, fxsave, XS_SW);
    memcpy(&mxcsr, fxsave + XS_MXCSR, 4);
    mxcsr &= b->mxcsr_mask; /* reserved bits would fault in the kernel */
    memcpy(fp + XS_MXCSR, &mxcsr, 4);
    memcpy(fp + XS_MXCSR_MASK, &b->mxcsr_mask, 4);
    memcpy(fp + XS_SW, &sw, sizeof(sw));
    memcpy(fp + XS_HEADER, header, sizeof(header)); /* all newer state to its initial value */
    memcpy(fp + sw.xstate_bytes, &magic2, 4);
}

static void put_state(struct dx_box *b, const struct dx_state *st)
{
    struct frame_uc uc;
    struct dx_mail *m = mail(b);

    memcpy(&uc, b->frame + b->uc_off - DX_ALT_STACK, sizeof(uc)); /* stack, fpstate, link as first made */
    uc.flags = UC_FP_XSTATE | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS;
    memset(uc.r8_15, 0, sizeof(uc.r8_15));
    uc.ax = st->gpr[DX_EAX];
    uc.cx = st->gpr[DX_ECX];
    uc.dx = st->gpr[DX_EDX];
    uc.bx = st->gpr[DX_EBX];
    uc.sp = st->gpr[DX_ESP];
    uc.bp = st->gpr[DX_EBP];
    uc.si = st->gpr[DX_ESI];
    uc.di = st->gpr[DX_EDI];
    uc.ip = st->eip;
    uc.eflags = (st->eflags & FL_FRAME) | FL_FIXED;
    uc.cs = host_selector(DX_CS, &st->seg[DX_CS]);
    uc.ss = host_selector(DX_SS, &st->seg[DX_SS]);
    uc.fs = uc.gs = 0;
    uc.sigmask = 0;
    memcpy(b->area + b->uc_off, &uc, sizeof(uc));
    put_fpu(b, st->fxsave);
    *m = (struct dx_mail){
        .uc = area_address(b->uc_off),
        .info = area_address(b->info_off),
        .ds = host_selector(DX_DS, &st->seg[DX_DS]),
        .es = host_selector(DX_ES, &st->seg[DX_ES]),
        .fs = host_selector(DX_FS, &st->seg[DX_FS]),
        .gs = host_selector(DX_GS, &st->seg[DX_GS]),
        .fsbase = host_base(b, &st->seg[DX_FS]),
        .gsbase = host_base(b, &st->seg[DX_GS]),
        .flags = (st->eflags & FL_HANDLER) | FL_FIXED,
        .arm = b->timer && b->deadline_ns != b->armed_ns,
        .timer.value = {b->deadline_ns / 1000000000u, b->deadline_ns % 1000000000u},
    };
}

/* A selector that came back; false when guest code cannot have it without having loaded one of the host's. */
static bool take_selector(const struct dx_box *b, unsigned i, u64 sel, u64 base, struct dx_seg *out)
{
    *out = (struct dx_seg){.sel = (u16)sel};
    if (sel < 4 && i != DX_CS && i != DX_SS) {
        out->kind = DX_SEG_NULL;
        return true;
    }
    if (i >= DX_FS)
        out->base = (u32)base;
    if (sel == (i == DX_CS ? HOST_CODE32 : HOST_DATA)) {
        out->kind = DX_SEG_FLAT;
        return true;
    }
    out->kind = DX_SEG_LDT;
    return sel <= 0xffff && (sel & SEL_LDT) && dx_ldt_desc(b, (u16)sel);
}

static bool take_segments(struct dx_box *b, const struct frame_uc *uc, const struct dx_mail *m, i32 signo,
                          struct dx_state *st)
{
    const u64 sel[6] = {m->es, uc->cs, uc->ss, m->ds, m->fs, m->gs};

    if (uc->cs == HOST_CODE64) {
        dx_box_die(b, DX_DEATH_GUEST, "guest code went to 64-bit mode (signal %d at %#llx)", signo,
                   (unsigned long long)uc->ip);
        return false;
    }
    for (unsigned i = 0; i < 6; i++) {
        if (!take_selector(b, i, sel[i], i == DX_FS ? m->fsbase : m->gsbase, &st->seg[i])) {
            dx_box_die(b, DX_DEATH_GUEST, "guest code loaded %s with selector %#llx of the host", seg_names[i],
                       (unsigned long long)sel[i]);
            return false;
        }
    }
    return true;
}

/* A #GP: the error code tells INT n from the rest. */
static u8 gp_kind(struct dx_exit *x)
{
    if (x->error & 2) { /* index into the IDT */
        x->vector = (u8)(x->error >> 3);
        x->error = 0;
        return DX_EXIT_INT;
    }
    return x->error ? DX_EXIT_FAULT : DX_EXIT_PRIVILEGED;
}

/* The signal that Linux makes of each exception; 0: of none that ring 3 can cause. */
static const u8 signal_of[20] = {
    [0] = SIGFPE,   [1] = SIGTRAP,  [3] = SIGTRAP, [4] = SIGSEGV, [5] = SIGSEGV,
    [6] = SIGILL,   [10] = SIGSEGV, [11] = SIGBUS, [12] = SIGBUS, [13] = SIGSEGV,
    [14] = SIGSEGV, [16] = SIGFPE,  [17] = SIGBUS, [19] = SIGFPE,
};

/* What the signal means. DX_EXIT_COUNT: nothing that guest code can cause. */
static u8 classify(const struct frame_uc *uc, const struct frame_info *si, struct dx_exit *x)
{
    if (si->signo == SIGURG || si->code <= 0)
        return DX_EXIT_KICKED; /* asked for, or sent by somebody else: nothing happened */
    if (uc->ip - DX_VDSO_BASE < VDSO_SPAN)
        return DX_EXIT_FAST_SYSCALL; /* stopped by the filter, or gone wrong and returned to where the vdso is not */
    if (si->signo == SIGSYS) {
        x->vector = 0x80;
        return si->arch == ARCH_I386 ? DX_EXIT_SYSCALL : DX_EXIT_COUNT;
    }
    if (uc->trapno >= ARRAY_SIZE(signal_of) || si->signo != signal_of[uc->trapno])
        return DX_EXIT_COUNT;
    x->vector = (u8)uc->trapno;
    x->error = (u32)uc->err;
    switch (uc->trapno) {
    case 1: return si->code == TRAP_TRACE_CODE ? DX_EXIT_STEP : DX_EXIT_FAULT;
    case 3: return DX_EXIT_BREAKPOINT;
    case 13: return gp_kind(x);
    case 14: x->cr2 = (u32)uc->cr2; return uc->cr2 >> 32 ? DX_EXIT_FAULT : DX_EXIT_PAGE_FAULT;
    default: return DX_EXIT_FAULT;
    }
}

/* The held thread's state and the reason of its stop. The thread cannot run, so the area holds still; it is copied all the
 * same, since what is in it may be anything. */
static u8 take_exit(struct dx_box *b, struct dx_state *out, struct dx_exit *x)
{
    struct dx_state st;
    struct frame_uc uc;
    struct frame_info si;
    struct dx_mail m;

    memcpy(&m, mail(b), sizeof(m));
    memcpy(&uc, b->area + b->uc_off, sizeof(uc));
    memcpy(&si, b->area + b->info_off, sizeof(si));
    if (m.uc != area_address(b->uc_off) || m.info != area_address(b->info_off)) {
        dx_box_die(b, DX_DEATH_GUEST, "guest code moved the signal frame");
        return DX_EXIT_DIED;
    }
    if (!take_segments(b, &uc, &m, si.signo, &st))
        return DX_EXIT_DIED;
    u8 kind = classify(&uc, &si, x);
    if (kind == DX_EXIT_COUNT) {
        if (si.signo == SIGBUS && uc.trapno == 14) /* or so the frame says, which guest code may have written */
            dx_box_die(b, DX_DEATH_GUEST, "no memory left on the host for guest RAM (bus error at %#llx)",
                       (unsigned long long)uc.cr2);
        else
            dx_box_die(b, DX_DEATH_GUEST, "signal %d with trap %llu is none that guest code can cause", si.signo,
                       (unsigned long long)uc.trapno);
        return DX_EXIT_DIED;
    }
    if (uc.ip >> 32 && kind != DX_EXIT_FAST_SYSCALL) {
        dx_box_die(b, DX_DEATH_GUEST, "guest code came back with a 64-bit instruction pointer (%#llx)",
                   (unsigned long long)uc.ip);
        return DX_EXIT_DIED;
    }
    st.gpr[DX_EAX] = (u32)uc.ax;
    st.gpr[DX_ECX] = (u32)uc.cx;
    st.gpr[DX_EDX] = (u32)uc.dx;
    st.gpr[DX_EBX] = (u32)uc.bx;
    st.gpr[DX_ESP] = (u32)uc.sp;
    st.gpr[DX_EBP] = (u32)uc.bp;
    st.gpr[DX_ESI] = (u32)uc.si;
    st.gpr[DX_EDI] = (u32)uc.di;
    st.eip = (u32)uc.ip;
    st.eflags = ((u32)uc.eflags & DX_EFLAGS & ~FL_RF) | 2;
    memcpy(st.fxsave, b->area + b->fp_off, XS_SW);
    memset(st.fxsave + XS_SW, 0, DX_FXSAVE_BYTES - XS_SW);
    *out = st;
    return kind;
}

/* Code that got into 64-bit mode can change one thing for good, because rt_sigreturn does not set it under all circumstances: the
 * signal stack. So before another context gets the box: enter with nothing mapped, and look what the kernel itself writes
 * into the frame of the fault. Signals that are due come out here, too. */
bool dx_frame_verify(struct dx_box *b)
{
    const struct frame_uc *first = (const struct frame_uc *)(b->frame + b->uc_off - DX_ALT_STACK);
    const struct frame_uc *uc = (const struct frame_uc *)(b->area + b->uc_off);
    const struct frame_info *si = (const struct frame_info *)(b->area + b->info_off);
    const struct dx_mail *m = mail(b);
    struct dx_state st;

    memset(&st, 0, sizeof(st));
    for (unsigned i = 0; i < 6; i++)
        st.seg[i].kind = DX_SEG_FLAT;
    for (unsigned tries = 0; tries < 4; tries++) {
        put_state(b, &st);
        if (dx_stop_resume(b, &b->guest) || dx_stop_wait(b, &b->guest, NULL) != DX_WAIT_STOPPED)
            return false;
        if (m->uc != area_address(b->uc_off) || memcmp(&uc->stack, &first->stack, sizeof(uc->stack)) ||
            uc->cs != HOST_CODE32 || uc->ip || uc->sigmask)
            return false;
        if (si->signo != SIGURG)
            return si->signo == SIGSEGV && uc->trapno == 14;
    }
    return false;
}

void dx_deadline(struct dx_box *b, u64 ns)
{
    b->deadline_ns = ns;
}

void dx_kick(struct dx_box *b)
{
    if (atomic_fetch_or(&b->kick, KICK_ASKED) == KICK_INSIDE)
        syscall(SYS_tgkill, b->pid, b->guest.tid, SIGURG);
}

/* On kernels without WAIT_KILLABLE_RECV a signal ends the hold, unless the thread blocks it. Its own handler does; code that
 * got into 64-bit mode may not. Only our kick can be such a signal, so look when one may have come after the stop. */
static bool kick_blocked(const struct dx_box *b)
{
    char path[64], line[128];
    unsigned long long blocked = 0;

    snprintf(path, sizeof(path), "/proc/%d/task/%d/status", (int)b->pid, (int)b->guest.tid);
    FILE *f = fopen(path, "re");
    if (!f)
        return false;
    while (fgets(line, sizeof(line), f))
        if (sscanf(line, "SigBlk: %llx", &blocked) == 1)
            break;
    fclose(f);
    return blocked >> (SIGURG - 1) & 1;
}

static u8 run(struct dx_box *b, struct dx_state *st, struct dx_exit *x)
{
    enum dx_wait w = DX_WAIT_DEAD;

    int err = dx_stop_resume(b, &b->guest);
    if (!err) {
        b->armed_ns = b->deadline_ns;
        w = dx_stop_wait(b, &b->guest, NULL);
    }
    u32 kick = atomic_exchange(&b->kick, 0);
    if (w == DX_WAIT_DEAD) {
        dx_box_died(b);
        if (err)
            b->death = DX_DEATH_BEFORE;
        return DX_EXIT_DIED;
    }
    if (w == DX_WAIT_ELSEWHERE) {
        dx_box_die(b, DX_DEATH_GUEST, "guest code in 64-bit mode made a system call of its own");
        return DX_EXIT_DIED;
    }
    if ((kick & KICK_ASKED) && !b->killable_wait && !kick_blocked(b)) {
        dx_box_die(b, DX_DEATH_GUEST, "guest code unblocked signals");
        return DX_EXIT_DIED;
    }
    return take_exit(b, st, x);
}

void dx_enter(struct dx_box *b, struct dx_state *st, struct dx_exit *exit)
{
    struct dx_stats *stats = &b->dx->stats;

    exit->kind = DX_EXIT_KICKED;
    exit->vector = exit->death = 0;
    exit->error = exit->cr2 = 0;
    exit->why[0] = '\0';
    if (b->dead) {
        exit->kind = DX_EXIT_DIED;
        b->death = DX_DEATH_BEFORE;
    } else if (state_refused(b, st, exit->why)) {
        exit->kind = DX_EXIT_REFUSED;
    } else {
        stats->enters++;
        put_state(b, st);
        if (atomic_fetch_or(&b->kick, KICK_INSIDE) & KICK_ASKED)
            atomic_store(&b->kick, 0);
        else
            exit->kind = run(b, st, exit);
    }
    if (exit->kind == DX_EXIT_KICKED)
        stats->kicks++;
    if (exit->kind == DX_EXIT_DIED) {
        memcpy(exit->why, b->why, sizeof(exit->why));
        exit->death = b->death;
    }
    stats->exits[exit->kind]++;
}
