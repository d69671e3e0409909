/*
 * frame.h - the signal frame that Linux makes on x86-64, as it lies in a sandbox's exit area.
 *
 * Own definitions, because the kernel's headers clash with libc's. The layout is kernel ABI (arch/x86/include/uapi/asm/ucontext.h
 * and sigcontext.h): a return address, struct frame_uc, siginfo; the XSAVE image above them, 64-byte aligned.
 */
#ifndef NOVT_DIRECT_FRAME_H
#define NOVT_DIRECT_FRAME_H

#include "base.h"

struct frame_uc {
    u64 flags; /* UC_* */
    u64 link;
    struct {
        u64 sp;
        u32 flags, pad;
        u64 size;
    } stack;
    u64 r8_15[8];
    u64 di, si, bp, bx, dx, ax, cx, sp, ip, eflags;
    u16 cs, gs, fs, ss;
    u64 err, trapno, oldmask, cr2;
    u64 fpstate; /* address */
    u64 reserved[8];
    u64 sigmask;
};
_Static_assert(sizeof(struct frame_uc) == 304, "kernel ABI");
_Static_assert(offsetof(struct frame_uc, fpstate) == 224, "kernel ABI");

#define UC_FP_XSTATE BIT(0)
#define UC_SIGCONTEXT_SS BIT(1)
#define UC_STRICT_RESTORE_SS BIT(2)

/* The part of siginfo that we read. */
struct frame_info {
    i32 signo, err, code, pad;
    u64 addr;    /* SIGSYS: call address */
    i32 syscall; /* SIGSYS */
    u32 arch;
};

/* XSAVE image: 512 bytes FXSAVE (of these 464-511 are software's), 64 bytes header, components. */
#define XS_MXCSR 24
#define XS_MXCSR_MASK 28
#define XS_SW 464
#define XS_HEADER 512
#define XS_BYTES_MIN 576
#define XS_MAGIC1 0x46505853u
#define XS_MAGIC2 0x46505845u
#define XS_X87_SSE 3u

struct frame_sw {
    u32 magic1, extended_bytes;
    u64 features;
    u32 xstate_bytes, pad[7];
};
_Static_assert(sizeof(struct frame_sw) == 48, "kernel ABI");

#endif
