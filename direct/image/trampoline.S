/*
 * trampoline.S - the code of a sandbox that is still there when guest code runs: entry, exit, and the mapper's loop.
 *
 * Guest code that has got into 64-bit mode may jump to any instruction here with any registers. So nothing is believed after a
 * stop: constants are loaded anew, and what they point to was written by the library while the thread was held. The mapper uses no stack
 * and reads only the command pages, which are read-only here.
 */
#include "direct/layout.h"

        .section .text.trampoline, "ax", @progbits

/* Entry point: hand the initial stack (auxv) to C. */
        .globl _start
_start:
        mov %rsp, %rdi
        and $-16, %rsp
        call boot_low
        ud2

/* boot_on(stack top, function): go on there for good. */
        .globl boot_on
boot_on:
        mov %rdi, %rsp
        xor %ebp, %ebp
        call *%rsi
        ud2

/* long boot_thread(clone flags, stack top, function): the new thread runs function and never returns. */
        .globl boot_thread
boot_thread:
        mov %rdx, %r9
        xor %edx, %edx
        xor %r10d, %r10d
        xor %r8d, %r8d
        mov $56, %eax /* clone */
        syscall
        test %eax, %eax
        jnz 1f
        xor %ebp, %ebp
        call *%r9
        ud2
1:      ret

/* First stop: a signal frame is made, as for every exit; with a stack pointer outside of the signal stack. */
        .globl guest_begin
guest_begin:
        xor %esp, %esp
        int3
        ud2

/* Every signal of the guest thread: rdi signal, rsi siginfo, rdx ucontext. All signals are blocked. The guest's AC flag
 * may still be set: aligned accesses only. */
        .globl guest_signal
guest_signal:
        movabs $DX_AREA_BASE, %rbx
        mov %rdx, DX_MAIL_UC(%rbx)
        mov %rsi, DX_MAIL_INFO(%rbx)
        mov %ds, %eax
        mov %rax, DX_MAIL_DS(%rbx)
        mov %es, %eax
        mov %rax, DX_MAIL_ES(%rbx)
        mov %fs, %eax
        mov %rax, DX_MAIL_FS(%rbx)
        mov %gs, %eax
        mov %rax, DX_MAIL_GS(%rbx)
        rdfsbase %rax
        mov %rax, DX_MAIL_FSBASE(%rbx)
        rdgsbase %rax
        mov %rax, DX_MAIL_GSBASE(%rbx)
        mov $DX_STOP_NR, %eax
        syscall /* held here; the library rewrites the frame */
        .globl guest_stopped
guest_stopped:
        movabs $DX_AREA_BASE, %rbx
        cmpl $0, DX_MAIL_ARM(%rbx)
        je 1f
        xor %edi, %edi /* timer 0: the only one */
        mov $1, %esi /* TIMER_ABSTIME */
        lea DX_MAIL_TIMER(%rbx), %rdx
        xor %r10d, %r10d
        mov $223, %eax /* timer_settime */
        syscall
        .globl guest_armed
guest_armed:
        movabs $DX_AREA_BASE, %rbx
1:
        mov DX_MAIL_DS(%rbx), %eax
        mov %eax, %ds
        mov DX_MAIL_ES(%rbx), %eax
        mov %eax, %es
        mov DX_MAIL_FS(%rbx), %eax
        mov %eax, %fs
        mov DX_MAIL_GS(%rbx), %eax
        mov %eax, %gs
        mov DX_MAIL_FSBASE(%rbx), %rax
        wrfsbase %rax
        mov DX_MAIL_GSBASE(%rbx), %rax
        wrgsbase %rax
        mov DX_MAIL_UC(%rbx), %rcx
        lea DX_MAIL_FLAGS(%rbx), %rsp
        popfq
        mov %rcx, %rsp
        mov $15, %eax /* rt_sigreturn */
        .globl guest_return
guest_return:
        syscall
        ud2

/* The mapper: stop and say in registers how many operations were done and why no more; do the next ones. */
        .globl mapper_loop
mapper_loop:
        xor %r12d, %r12d
        xor %r13d, %r13d
1:      mov %r12d, %edi
        mov %r13d, %esi
        mov $DX_STOP_NR, %eax
        syscall
        .globl mapper_stopped
mapper_stopped:
        movabs $DX_CMD_BASE, %rbx
        mov DX_CMD_COUNT(%rbx), %ebp
        lea DX_CMD_OPS(%rbx), %r14
        xor %r12d, %r12d
        xor %r13d, %r13d
2:      cmp %ebp, %r12d
        jae 1b
        cmp $DX_CMD_OPS_MAX, %r12d
        jae 1b
        mov (%r14), %rax
        mov 8(%r14), %rdi
        mov 16(%r14), %rsi
        mov 24(%r14), %rdx
        mov 32(%r14), %r10
        mov 40(%r14), %r8
        mov 48(%r14), %r9
        syscall
        cmp $-4095, %eax /* 32 bits: modify_ldt does not sign-extend, and addresses are page aligned */
        jae 3f
        add $DX_CMD_OP_BYTES, %r14
        inc %r12d
        jmp 2b
3:      neg %eax
        mov %eax, %r13d
        jmp 1b

        .section .note.GNU-stack, "", @progbits
