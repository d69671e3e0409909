; v86.asm - virtual-8086 mode: entry and exit, addressing, sensitive instructions with IOPL 0 and 3, faults, paging below it.
%include "guest.inc"

VSEG equ BASE >> 4              ; CS of the v86 code: this image
VSTACK equ 0x7000               ; SS: 70000h
PD equ FREE + 0x100000
PT0 equ PD + 0x1000

%define SEGOFF(x) (x - $$)

; To v86 mode at %1 (label in the image) with flags %2 (VM is added). Comes back where TRY says.
%macro V86 2
    push dword 0x5000           ; GS
    push dword 0x4000           ; FS
    push dword VSEG             ; DS
    push dword 0x8000           ; ES
    push dword VSTACK
    push dword 0xfffe
    push dword (%2) | 0x20002
    push dword VSEG
    push dword SEGOFF(%1)
    iret
%endmacro

; exception from v86: the frame holds ES DS FS GS behind SS; exc_at points to ESP's place
%macro WANT_V86 3
    WANT_EXC %1, %2, -1
    CHECK [exc_eip], SEGOFF(%3)
    CHECK [exc_cs], VSEG
%endmacro

main:
    TEST "entry, addressing, exit by #GP on INT"
    mov dword [0x80010], 0
    mov dword [0x40020], 0x1234
    TRY .a
    V86 .a_code, 0
bits 16
.a_code:
    mov ax, [fs:0x20]
    mov [es:0x10], ax
    mov bx, cs
    mov cx, ss
    mov dx, ds
    push ax
    mov bp, sp
    mov si, [bp]
.a_at:
    int 0x2e
bits 32
.a:
    WANT_V86 13, 0, .a_at       ; IOPL 0
    CHECK [0x80010], 0x1234
    movzx eax, word [EXC_EBX]
    CHECK eax, VSEG
    movzx eax, word [EXC_ECX]
    CHECK eax, VSTACK
    movzx eax, word [EXC_ESI]
    CHECK eax, 0x1234
    CHECK [exc_uesp], 0xfffc
    CHECK [exc_uss], VSTACK
    CHECK [exc_at], ESP0 - 4 * 6
    CHECK [ESP0 - 4], 0x5000    ; GS, FS, DS, ES
    CHECK [ESP0 - 8], 0x4000
    CHECK [ESP0 - 12], VSEG
    CHECK [ESP0 - 16], 0x8000
    mov eax, [exc_flags]
    and eax, 0x20000
    CHECK eax, 0x20000
    mov eax, fs
    CHECK eax, 0                ; data segments are null in ring 0
    ENDTEST

    TEST "sensitive instructions with IOPL 0"
    mov esi, sens
.sens:
    mov [at_insn], esi
    TRY .sens_back
    push dword 0
    push dword 0
    push dword VSEG
    push dword 0
    push dword VSTACK
    push dword 0xfff0
    push dword 0x20002
    push dword VSEG
    sub esi, BASE
    push esi
    iret
.sens_back:
    WANT_EXC 13, 0, -1
    mov eax, [exc_eip]
    mov esi, [at_insn]
    lea edx, [esi - BASE]
    CHECK eax, edx
    add esi, 8
    cmp esi, sens_end
    jb .sens
    ENDTEST

    TEST "privileged instructions"
    mov esi, privs
.priv:
    mov [at_insn], esi
    TRY .priv_back
    push dword 0
    push dword 0
    push dword VSEG
    push dword 0
    push dword VSTACK
    push dword 0xfff0
    push dword 0x23002
    push dword VSEG
    sub esi, BASE
    push esi
    iret
.priv_back:
    WANT_EXC 13, 0, -1
    mov esi, [at_insn]
    add esi, 8
    cmp esi, privs_end
    jb .priv
    mov esi, undefs             ; protected mode's instructions are undefined here
.undef:
    mov [at_insn], esi
    TRY .undef_back
    push dword 0
    push dword 0
    push dword VSEG
    push dword 0
    push dword VSTACK
    push dword 0xfff0
    push dword 0x23002
    push dword VSEG
    sub esi, BASE
    push esi
    iret
.undef_back:
    WANT_EXC 6, -1, -1
    mov esi, [at_insn]
    add esi, 8
    cmp esi, undefs_end
    jb .undef
    ENDTEST

    TEST "IOPL 3: PUSHF, POPF, CLI, STI, IRET, INT"
    or word [idt + 0x2e * 8 + 4], 0x6000
    TRY .io3
    V86 .io3_code, 0x3000
bits 16
.io3_code:
    sti
    pushf
    pop ax
    cli
    pushf
    pop bx
    pushf                       ; an IRET within v86
    push cs
    push .io3_ret - $$
    iret
.io3_ret:
    push word 0x0ad7
    popf
    pushf
    pop dx
    o32 pushf
    pop ecx
    pop si
    cli
    int 0x2e
bits 32
.io3:
    WANT_EXC 0x2e, -1, -1
    movzx eax, word [EXC_EAX]
    CHECK eax, 0x3202
    movzx eax, word [EXC_EBX]
    CHECK eax, 0x3002
    movzx eax, word [EXC_EDX]
    CHECK eax, 0x3ad7           ; IOPL stays
    movzx eax, word [EXC_ECX]
    CHECK eax, 0x3ad7
    ENDTEST

    TEST "INT 3 and INTO do not look at IOPL"
    TRY .i3
    V86 .i3_code, 0
bits 16
.i3_code:
    int3
.i3_at:
bits 32
.i3:
    WANT_V86 3, -1, .i3_at
    TRY .into
    V86 .into_code, 0x800
bits 16
.into_code:
    into
.into_at:
bits 32
.into:
    WANT_V86 4, -1, .into_at
    ENDTEST

    TEST "faults in v86 code"
    TRY .de
    V86 .de_code, 0
bits 16
.de_code:
    mov ax, 5
    xor dx, dx
    xor cx, cx
    push cx
.de_at:
    div cx
bits 32
.de:
    WANT_V86 0, -1, .de_at
    CHECK [exc_uesp], 0xfffc
    TRY .gp
    V86 .gp_code, 0
bits 16
.gp_code:
    mov si, 0xffff
.gp_at:
    mov ax, [si]                ; beyond the segment's 64 KiB
bits 32
.gp:
    WANT_V86 13, 0, .gp_at
    TRY .ss
    V86 .ss_code, 0
bits 16
.ss_code:
    mov bp, 0xffff
.ss_at:
    mov ax, [bp]
bits 32
.ss:
    WANT_V86 12, 0, .ss_at
    TRY .big
    V86 .big_code, 0
bits 16
.big_code:
    mov esi, 0x10000
.big_at:
    mov al, [esi]
bits 32
.big:
    WANT_V86 13, 0, .big_at
    ENDTEST

    TEST "I/O by the permission bitmap, whatever IOPL"
    TRY .io
    V86 .io_code, 0x3000
bits 16
.io_code:
    mov dx, 0x80
.io_at:
    out dx, al
bits 32
.io:
    WANT_V86 13, 0, .io_at
    and byte [tss_iomap + 0x80 / 8], ~1
    TRY .iook
    V86 .iook_code, 0
bits 16
.iook_code:
    mov dx, 0x80
    out dx, al
.iook_at:
    hlt
bits 32
.iook:
    WANT_V86 13, 0, .iook_at
    or byte [tss_iomap + 0x80 / 8], 1
    ENDTEST

    TEST "segments, stack and far calls as in real mode"
    TRY .rm
    V86 .rm_code, 0
bits 16
.rm_code:
    mov ax, 0x4010
    mov es, ax
    mov word [es:0], 0xbeef
    call VSEG:SEGOFF(.rm_far)
    mov di, sp
    mov sp, 2
    push ax
    push bx                     ; SP wraps to fffe
    mov bp, sp
    mov sp, 0xfff0
    les si, [cs:SEGOFF(.rm_ptr)]
    mov bx, es
.rm_at:
    hlt
.rm_far:
    mov cx, 0x77
    retf
.rm_ptr: dw 0x1122, 0x3344
bits 32
.rm:
    WANT_V86 13, 0, .rm_at
    movzx eax, word [0x40100]
    CHECK eax, 0xbeef
    movzx eax, word [EXC_ECX]
    CHECK eax, 0x77
    movzx eax, word [EXC_EDI]
    CHECK eax, 0xfffe
    movzx eax, word [EXC_EBP]
    CHECK eax, 0xfffe
    movzx eax, word [EXC_ESI]
    CHECK eax, 0x1122
    movzx eax, word [EXC_EBX]
    CHECK eax, 0x3344
    ENDTEST

    TEST "a monitor that reflects INT"
    mov dword [vec_handler + 13 * 4], reflect
    mov dword [0x21 * 4], VSEG << 16 | SEGOFF(.isr)
    mov dword [reflected], 0
    TRY .refl
    V86 .refl_code, 0
bits 16
.refl_code:
    mov cx, 50
    xor bx, bx
.refl_loop:
    mov ax, cx
    int 0x21
    loop .refl_loop
.refl_at:
    hlt
.isr:
    add bx, ax
    iret
bits 32
.refl:
    mov dword [vec_handler + 13 * 4], 0
    CHECK [reflected], 100
    CHECK [refl_bx], 50 * 51 / 2
    ENDTEST

    TEST "timer interrupts out of v86 code"
    call pic_init
    mov dword [vec_handler + 0x20 * 4], tick
    mov dword [ticks], 0
    mov ax, 1000
    mov cl, 2
    call pit_start
    TRY .tick
    V86 .tick_code, 0x200
bits 16
.tick_code:
    xor eax, eax
.tick_loop:
    inc eax
    push eax
    pop ecx
    cmp dword [SEGOFF(ticks)], 20
    jb .tick_loop
    cmp eax, ecx
.tick_at:
    hlt
bits 32
.tick:
    WANT_V86 13, 0, .tick_at
    call pit_stop
    mov eax, [EXC_EAX]
    CHECK [EXC_ECX], eax
    ENDTEST

    TEST "paging below v86 code"
    mov edi, PD
    mov ecx, 1024
    xor eax, eax
    rep stosd
    mov edi, PT0
    mov eax, 7
    mov ecx, 1024
.ident:
    stosd
    add eax, 0x1000
    loop .ident
    mov dword [PD], PT0 | 7
    mov dword [PT0 + 0x80 * 4], (FREE + 0x5000) | 7  ; 80000h elsewhere
    mov dword [PT0 + 0x81 * 4], 0
    mov dword [PT0 + 0x82 * 4], (FREE + 0x5000) | 3  ; supervisor
    mov eax, PD
    mov cr3, eax
    mov eax, cr0
    or eax, 0x80000000
    mov cr0, eax
    TRY .pg
    V86 .pg_code, 0
bits 16
.pg_code:
    mov word [es:4], 0x4321
.pg_at:
    mov ax, [es:0x1000]
bits 32
.pg:
    WANT_V86 14, 4, .pg_at
    CHECK [exc_cr2], 0x81000
    movzx eax, word [FREE + 0x5004]
    CHECK eax, 0x4321
    TRY .pg2
    V86 .pg2_code, 0
bits 16
.pg2_code:
.pg2_at:
    mov [es:0x2000], al
bits 32
.pg2:
    WANT_V86 14, 7, .pg2_at
    mov eax, cr0
    and eax, 0x7fffffff
    mov cr0, eax
    ENDTEST

    TEST "single step in v86 mode"
    mov dword [vec_handler + 4], step
    mov dword [ticks], 0
    TRY .tf
    V86 .tf_code, 0x100
bits 16
.tf_code:
    nop
    inc ax
    push ax
.tf_at:
    hlt
bits 32
.tf:
    mov dword [vec_handler + 4], 0
    WANT_V86 13, 0, .tf_at
    CHECK [ticks], 3
    ENDTEST

    TEST "self-modifying v86 code"
    TRY .smc
    V86 .smc_code, 0
bits 16
.smc_code:
    mov cx, 30
    xor bx, bx
.smc_loop:
    mov [SEGOFF(.smc_op) + 1], cl
.smc_op:
    mov al, 0
    xor ah, ah
    add bx, ax
    loop .smc_loop
.smc_at:
    hlt
bits 32
.smc:
    WANT_V86 13, 0, .smc_at
    movzx eax, word [EXC_EBX]
    CHECK eax, 30 * 31 / 2
    ENDTEST
    ret

tick:
    push eax
    inc dword [ticks]
    mov al, 0x20
    out 0x20, al
    pop eax
    ret
step:
    inc dword [ticks]
    ret

; #GP from v86: INT 21h and IRET are carried out for it, HLT ends the stretch.
reflect:
    movzx esi, word [ebp + F_CS]
    shl esi, 4
    add esi, [ebp + F_EIP]
    movzx edi, word [ebp + F_SS]
    shl edi, 4
    movzx ecx, word [ebp + F_ESP]
    mov al, [esi]
    cmp al, 0xcd
    je .int
    cmp al, 0xcf
    je .iret
    mov eax, [ebp + F_REGS + 16]
    movzx eax, ax
    mov [refl_bx], eax
    mov esp, [exc_esp]
    jmp [exc_resume]
.int:
    inc dword [reflected]
    sub cx, 6
    mov ax, [ebp + F_FLAGS]
    mov [edi + ecx + 4], ax
    mov ax, [ebp + F_CS]
    mov [edi + ecx + 2], ax
    mov eax, [ebp + F_EIP]
    add eax, 2
    mov [edi + ecx], ax
    movzx ebx, byte [esi + 1]
    movzx eax, word [ebx * 4]
    mov [ebp + F_EIP], eax
    movzx eax, word [ebx * 4 + 2]
    mov [ebp + F_CS], eax
    mov [ebp + F_ESP], ecx
    ret
.iret:
    inc dword [reflected]
    movzx eax, word [edi + ecx]
    mov [ebp + F_EIP], eax
    movzx eax, word [edi + ecx + 2]
    mov [ebp + F_CS], eax
    movzx eax, word [edi + ecx + 4]
    or eax, 0x20002
    mov [ebp + F_FLAGS], eax
    add cx, 6
    mov [ebp + F_ESP], ecx
    ret

bits 16
%macro EACH 1+
    align 8
    %1
    align 8
%endmacro
align 8
sens:
    EACH cli
    EACH sti
    EACH pushf
    EACH popf
    EACH int 0x21
    EACH iret
    EACH o32 iret
    EACH hlt
sens_end:
privs:
    EACH hlt
    EACH clts
    EACH mov eax, cr0
    EACH mov cr0, eax
    EACH lgdt [0]
    EACH lidt [0]
    EACH lmsw ax
    EACH wbinvd
    EACH invlpg [bx]
    EACH mov dr7, eax
    EACH rdmsr
    EACH in al, 0x60
privs_end:
undefs:
    EACH sldt ax
    EACH str ax
    EACH lldt ax
    EACH ltr ax
    EACH lar ax, ax
    EACH lsl ax, ax
    EACH verr ax
    EACH verw ax
    EACH arpl ax, ax
undefs_end:
bits 32

align 4
at_insn: dd 0
ticks: dd 0
reflected: dd 0
refl_bx: dd 0
IMAGE_END
