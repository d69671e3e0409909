/*
 * layout.h - the address space of a sandbox above the guest's 4 GiB, and what lies in the pages shared with it.
 *
 * Included by the library and by the image (C and assembly), so plain numbers only. All of it is far above 8 GiB: no operation
 * of the mapper, which is confined to addresses and lengths below 4 GiB, reaches it. Bases are multiples of 4 GiB.
 *
 * One memfd is shared with a box: [0, DX_CMD_BYTES) the command pages, mapped read-only there; then DX_AREA_BYTES of exit area,
 * mapped read and write and therefore the guest's to scribble on.
 */
#ifndef NOVT_DIRECT_LAYOUT_H
#define NOVT_DIRECT_LAYOUT_H

#define DX_IMAGE_BASE 0x100000000000 /* CMakeLists.txt links it there */
#define DX_CMD_BASE 0x110000000000
#define DX_AREA_BASE 0x120000000000
#define DX_VDSO_BASE 0x130000000000 /* where the kernel believes its vdso to be; nothing is mapped */
#define DX_USER_END 0x7ffffffff000

/* Command pages. */
#define DX_CMD_COUNT 0  /* u32: operations to do */
#define DX_CMD_PARENT 4 /* u32, at start: process id that the parent must have */
#define DX_CMD_FLAGS 8  /* u32, at start: DX_BOOT_* */
#define DX_CMD_OPS 64
#define DX_CMD_OP_BYTES 64 /* u64 system call, six u64 arguments */
#define DX_CMD_OPS_MAX 512
#define DX_CMD_DESC 0x9000 /* struct user_desc[DX_CMD_OPS_MAX] */
#define DX_CMD_BYTES 0xb000

#define DX_BOOT_TRAP_TSC 2
#define DX_BOOT_TRAP_CPUID 4
#define DX_BOOT_PLAIN_WAIT 1 /* do as a kernel before 5.19 does: no WAIT_KILLABLE_RECV (tests) */

/* Exit area: the mailbox, stacks used only while starting, the signal stack. */
#define DX_BOOT_STACK 0x3000
#define DX_GUEST_STACK 0x5000
#define DX_ALT_STACK 0x5000
#define DX_AREA_BYTES 0x10000
#define DX_ALT_BYTES (DX_AREA_BYTES - DX_ALT_STACK)

/* The mailbox: struct dx_mail in internal.h. Written by the signal handler */
#define DX_MAIL_UC 0   /* address of the kernel's struct ucontext */
#define DX_MAIL_INFO 8 /* and of siginfo */
/* both ways */
#define DX_MAIL_DS 16
#define DX_MAIL_ES 24
#define DX_MAIL_FS 32
#define DX_MAIL_GS 40
#define DX_MAIL_FSBASE 48
#define DX_MAIL_GSBASE 56
/* to the handler */
#define DX_MAIL_FLAGS 64 /* RFLAGS bits that rt_sigreturn does not restore */
/* at start, before any guest code */
#define DX_MAIL_GUEST_IP 72
#define DX_MAIL_MAPPER_IP 80
/* to the handler */
#define DX_MAIL_ARM 88   /* not 0: set the timer first */
#define DX_MAIL_TIMER 96 /* struct itimerspec, CLOCK_MONOTONIC */

/* The system call that stops a thread: it is never carried out. Every container allows it. */
#define DX_STOP_NR 39 /* getpid */

/* Descriptors of the image at its start. */
#define DX_FD_RAM 0
#define DX_FD_SHARED 1
#define DX_FD_SOCKET 2

/* First byte of a message on the socket; then three bytes of detail. */
#define DX_MSG_GUEST 1  /* with the guest thread's listener: DX_HAS_* */
#define DX_MSG_MAPPER 2 /* with the mapper's listener */
#define DX_MSG_FAILED 3 /* enum dx_boot_step, errno */

#define DX_HAS_TSC_TRAP 1
#define DX_HAS_CPUID_TRAP 2
#define DX_HAS_KILLABLE_WAIT 4
#define DX_HAS_TIMER 8

#endif
