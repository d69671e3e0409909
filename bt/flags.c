/*
 * flags.c - EFLAGS as an image in a register: for PUSHF, POPF, INT and IRET.
 *
 * The arithmetic flags live in host RFLAGS, the others in the CPU struct. An image may change what C has to know (IOPL, TF, NT,
 * AC, ID, a pending interrupt that IF lets in): then the instruction is C's. In translated code TF and RF are clear.
 */
#include "bt/internal.h"

/* r13d = EFLAGS as PUSHF shows them, VM among the system flags. Clobbers r12, r14. */
void tr_flags_image(struct tr *t)
{
    struct emit *e = &t->e;
    struct hop sys = hop_base(H_CPU, CPU_DISP(sysflags)), iflag = hop_base(H_CPU, CPU_DISP(iflag));
    struct hop df = hop_base(H_CPU, CPU_DISP(df));
    em_mov(e, H_R14, H_RAX);
    em_rr(e, EM_MAP(1) | EM_REX, 0x90, 0, H_R13); /* seto r13b */
    em8(e, 0x9f);                                 /* lahf: the others, and bit 1 */
    em_rorx(e, 4, H_R12, H_RAX, 8);
    em_mov(e, H_RAX, H_R14);
    em_movzx8(e, H_R12, H_R12);
    em_movzx8(e, H_R13, H_R13);
    em_rorx(e, 4, H_R13, H_R13, 32 - 11);
    em_lea_sum(e, 4, H_R13, H_R13, H_R12, 1);
    em_load(e, 4, H_R14, &sys);
    em_lea_sum(e, 4, H_R13, H_R13, H_R14, 1);
    em_load(e, 1, H_R14, &iflag);
    em_rorx(e, 4, H_R14, H_R14, 32 - 9);
    em_lea_sum(e, 4, H_R13, H_R13, H_R14, 1);
    em_load(e, 4, H_R14, &df); /* 1 or -1: the sign is DF */
    em_mov_imm(e, H_R12, 31);
    em_shift(e, 4, 'r', H_R14, H_R14, H_R12);
    em_rorx(e, 4, H_R14, H_R14, 32 - 10);
    em_lea_sum(e, 4, H_R13, H_R13, H_R14, 1);
}

/* Flags of an image of size bytes that may change nothing but in C. */
static u32 system_flags(const struct tr *t, u8 size)
{
    bool protected = (t->mode & (MODE_PE | MODE_VM)) == MODE_PE, v86 = t->mode & MODE_VM;
    unsigned cpl = t->mode >> MODE_CPL_SHIFT & 3;
    u32 mask = EFL_TF | EFL_NT;
    if (!v86 && (!protected || cpl == 0))
        mask |= EFL_IOPL;
    return size == 4 ? mask | EFL_AC | EFL_ID : mask;
}

/* r13d = image to be loaded: jumps when that may be done here. Falls through to what C does, as does a set byte at `unless` (NULL:
 * nothing). rcx is in r11 at the jump's target. Clobbers r9, r10, r12. */
u8 *tr_flags_allowed(struct tr *t, u8 size, const struct hop *unless)
{
    struct emit *e = &t->e;
    struct hop sys = hop_base(H_CPU, CPU_DISP(sysflags)), pending = hop_base(H_CPU, CPU_DISP(irq_pending));
    struct hop diff = {.base = H_R9, .index = H_R12, .scale = 1, .disp = 1};
    struct hop sum = {.base = H_R10, .index = H_R9, .scale = 4};
    em_mov_imm(e, H_R12, system_flags(t, size));
    em_load(e, 4, H_R10, &sys);
    em_pext(e, 4, H_R9, H_R13, H_R12);
    em_pext(e, 4, H_R12, H_R10, H_R12);
    em_not(e, 4, H_R12);
    em_lea(e, 4, H_R9, &diff); /* 0 when they are the same */
    em_load(e, 1, H_R10, &pending);
    if (unless) {
        em_load(e, 1, H_R12, unless);
        em_lea_sum(e, 4, H_R10, H_R10, H_R12, 1);
    }
    em_lea(e, 4, H_R9, &sum);
    em_mov(e, H_R11, H_RCX);
    em_mov32(e, H_RCX, H_R9);
    u8 *allowed = em_jrcxz(e);
    em_mov(e, H_RCX, H_R11);
    return allowed;
}

/* Load the image in r13d: arithmetic flags, DF, and IF where it may change. Clobbers r9 to r12. */
void tr_flags_load(struct tr *t)
{
    struct emit *e = &t->e;
    struct hop iflag = hop_base(H_CPU, CPU_DISP(iflag)), df = hop_base(H_CPU, CPU_DISP(df));
    struct hop sign = {.base = H_NONE, .index = H_R12, .scale = 2, .disp = 3};
    if (t->mode & MODE_IOPL_OK) {
        em_mov_imm(e, H_R9, EFL_IF);
        em_pext(e, 4, H_R12, H_R13, H_R9);
        em_store(e, 1, &iflag, H_R12);
    }
    em_mov_imm(e, H_R9, EFL_DF);
    em_pext(e, 4, H_R12, H_R13, H_R9);
    em_not(e, 4, H_R12);
    em_lea(e, 4, H_R12, &sign); /* 1 - 2 * DF */
    em_store(e, 4, &df, H_R12);
    /* AH = flags 7..0, AL = OF: add al, 7Fh overflows when it is 1; SAHF leaves OF alone. */
    em_mov_imm(e, H_R9, FL_OF);
    em_pext(e, 4, H_R12, H_R13, H_R9);
    em_movzx8(e, H_R9, H_R13);
    em_rorx(e, 4, H_R9, H_R9, 24);
    em_mov(e, H_R10, H_RAX);
    em_lea_sum(e, 4, H_RAX, H_R9, H_R12, 1);
    em8(e, 0x04); /* add al, 7Fh */
    em8(e, 0x7f);
    em8(e, 0x9e); /* sahf */
    em_mov(e, H_RAX, H_R10);
}
