/*
 * native_entry.S - into 32-bit compatibility mode and back.
 *
 * native_enter(struct native_regs *) keeps the callee-saved registers and the stack pointer in
 * native_saved, loads x87/SSE state, segments, flags and general registers, and jumps far. It "returns" when
 * the signal handler makes its context resume at native_leave. native_signal is the handler's first and last code:
 * the interrupted program may have set AC and NT, and DS, ES, FS and GS are its own; the kernel's frame has none of these
 * selectors, and a signal return takes NT and ID from the flags at the system call.
 */
    .intel_syntax noprefix
    .text

/* struct native_regs: gpr[8] at 0, eflags 32, target eip 36, cs 40 (the far pointer), ss 44, ds 46, es 48, fs 50, gs 52,
 * fpu 64 */
    .globl native_enter
    .type native_enter, @function
native_enter:
    push rbx
    push rbp
    push r12
    push r13
    push r14
    push r15
    mov native_saved[rip], rsp
    rdfsbase rax
    mov native_fs_base[rip], rax
    fxrstor64 [rdi + 64]
    mov eax, [rdi + 36]
    mov native_far[rip], eax
    movzx eax, word ptr [rdi + 40]
    mov native_far[rip + 4], ax
    movzx eax, word ptr [rdi + 46]
    mov ds, eax
    movzx eax, word ptr [rdi + 48]
    mov es, eax
    movzx eax, word ptr [rdi + 50]
    mov fs, eax
    movzx eax, word ptr [rdi + 52]
    mov gs, eax
    mov eax, [rdi + 32]
    push rax
    popfq
    mov eax, [rdi]
    mov ecx, [rdi + 4]
    mov edx, [rdi + 8]
    mov ebx, [rdi + 12]
    mov ebp, [rdi + 20]
    mov esi, [rdi + 24]
    mov r8d, [rdi + 16]
    mov r9w, [rdi + 44]
    mov edi, [rdi + 28]
    mov ss, r9d
    mov esp, r8d
    jmp fword ptr native_far[rip]

    .globl native_leave
native_leave:
    cld
    xor eax, eax
    mov ds, eax
    mov es, eax
    mov gs, eax
    mov rsp, native_saved[rip]
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbp
    pop rbx
    ret
    .size native_enter, . - native_enter

/* Called by the kernel on the alternate stack: rdi, rsi, rdx are the handler's arguments. FS must be the host's for C. */
    .globl native_signal
    .type native_signal, @function
native_signal:
    mov rbx, rsp
    pushfq
    and dword ptr [rsp], ~0x44500 & 0xffffffff
    popfq
    mov eax, fs
    mov native_selectors[rip + 8], ax
    mov eax, gs
    mov native_selectors[rip + 10], ax
    mov eax, ds
    mov native_selectors[rip + 6], ax
    mov eax, es
    mov native_selectors[rip], ax
    xor eax, eax
    mov fs, eax /* perhaps with the base, which a null selector clears on some CPUs */
    mov rax, native_fs_base[rip]
    wrfsbase rax
    and rsp, -16
    call native_handler
    /* 0: a signal that is not the program's, or its end; else the program goes on */
    lea rsp, [rbx + 8]
    test eax, eax
    jz 2f
    movzx ecx, word ptr native_selectors[rip + 8]
    test ecx, ecx
    jz 2f /* null with the host's base is null to the program, and interrupted 64-bit code needs the base */
    mov fs, ecx
2:  and eax, 0x204000
    or eax, 0x202
    push rax
    popfq
    mov eax, 15 /* rt_sigreturn */
    syscall
    hlt
    .size native_signal, . - native_signal

    .bss
    .balign 16
native_saved:
    .skip 8
native_fs_base:
    .skip 8
native_far:
    .skip 8
    .globl native_selectors
native_selectors: /* in enum dec_seg order */
    .skip 16
    .section .note.GNU-stack, "", @progbits
