; exceptions.asm - flat protected mode, ring 0: every exception is precise: vector, error code, EIP, registers, flags.
%include "guest.inc"

main:
    TEST "divide error"
    TRY .de
    mov eax, 7
    xor edx, edx
    xor ecx, ecx
    push eax            ; a displacement of ESP is pending
    stc
.de_at:
    div ecx
    CHECK 0, 1
.de:
    WANT_EXC 0, -1, .de_at
    CHECK [EXC_EAX], 7
    CHECK [EXC_ECX], 0
    mov eax, [exc_flags]
    and eax, 1
    CHECK eax, 1
    mov eax, [exc_esp]
    sub eax, 4
    CHECK [exc_at], eax
    ENDTEST

    TEST "divide overflow, byte and idiv"
    TRY .dov
    mov eax, 0x1000
    mov cl, 1
.dov_at:
    div cl
.dov:
    WANT_EXC 0, -1, .dov_at
    CHECK [EXC_EAX], 0x1000
    TRY .idov
    mov eax, 0x80000000
    cdq
    mov ebx, -1
.idov_at:
    idiv ebx
.idov:
    WANT_EXC 0, -1, .idov_at
    CHECK [EXC_EDX], -1
    TRY .aam
.aam_at:
    aam 0
.aam:
    WANT_EXC 0, -1, .aam_at
    ENDTEST

    TEST "breakpoint and int n"
    TRY .bp
    int3
.bp_at:
    CHECK 0, 1
.bp:
    WANT_EXC 3, -1, .bp_at
    TRY .cd3
    int 3
.cd3:
    WANT_EXC 3, -1, .cd3
    ENDTEST

    TEST "overflow"
    TRY .of0
    xor eax, eax
    into
.of0:
    NO_EXC
    TRY .of
    mov al, 0x7f
    add al, 1
    into
.of_at:
    CHECK 0, 1
.of:
    WANT_EXC 4, -1, .of_at
    ENDTEST

    TEST "bound"
    TRY .br0
    mov eax, 5
    bound eax, [bounds]
    mov eax, -3
    bound eax, [bounds]
    mov eax, 10
    bound eax, [bounds]
.br0:
    NO_EXC
    TRY .br
    mov eax, 11
.br_at:
    bound eax, [bounds]
.br:
    WANT_EXC 5, -1, .br_at
    TRY .br16
    mov eax, -4
.br16_at:
    bound ax, [bounds16]
.br16:
    WANT_EXC 5, -1, .br16_at
    ENDTEST

    TEST "undefined opcodes"
    TRY .ud
    mov eax, 0x12345678
    push eax
    push eax
.ud_at:
    ud2
.ud:
    WANT_EXC 6, -1, .ud_at
    CHECK [EXC_EAX], 0x12345678
    TRY .ud1
.ud1_at:
    db 0xf0, 0x01, 0xd8 ; lock add eax, ebx
.ud1:
    WANT_EXC 6, -1, .ud1_at
    TRY .ud3
.ud3_at:
    db 0xf0, 0x90       ; lock nop
.ud3:
    WANT_EXC 6, -1, .ud3_at
    TRY .ud4
.ud4_at:
    db 0x8e, 0xc8       ; mov cs, ax
.ud4:
    WANT_EXC 6, -1, .ud4_at
    TRY .ud5
.ud5_at:
    db 0x0f, 0x20, 0x08 ; mov [eax], cr1: taken as mod 3
.ud5:
    WANT_EXC 6, -1, .ud5_at
    TRY .ud6
.ud6_at:
    db 0xc4, 0xc0       ; les with a register (or VEX, then #UD too)
    db 0, 0, 0, 0
.ud6:
    WANT_EXC 6, -1, .ud6_at
    TRY .ud7
.ud7_at:
    db 0xfe, 0xf8       ; FE /7
.ud7:
    WANT_EXC 6, -1, .ud7_at
    ENDTEST

    TEST "device not available"
    mov eax, cr0
    push eax
    or al, 8            ; TS
    mov cr0, eax
    TRY .nm
.nm_at:
    fld1
.nm:
    WANT_EXC 7, -1, .nm_at
    TRY .nm2
.nm2_at:
    db 0x0f, 0x77       ; emms
.nm2:
    WANT_EXC 7, -1, .nm2_at
    TRY .nm3            ; MP clear: FWAIT is quiet
    mov eax, cr0
    and al, ~2
    mov cr0, eax
    fwait
.nm3:
    NO_EXC
    TRY .nm4
    mov eax, cr0
    or al, 2
    mov cr0, eax
.nm4_at:
    fwait
.nm4:
    WANT_EXC 7, -1, .nm4_at
    TRY .nm5
    clts
    fld1
    fstp st0
.nm5:
    NO_EXC
    mov eax, cr0
    or al, 4            ; EM
    mov cr0, eax
    TRY .em
.em_at:
    fninit
.em:
    WANT_EXC 7, -1, .em_at
    TRY .em2
.em2_at:
    db 0x0f, 0x6e, 0xc0 ; movd mm0, eax
.em2:
    WANT_EXC 6, -1, .em2_at
    pop eax
    mov cr0, eax
    TRY .sse            ; CR4.OSFXSR is clear still
.sse_at:
    xorps xmm0, xmm0
.sse:
    WANT_EXC 6, -1, .sse_at
    ENDTEST

    TEST "general protection"
    TRY .gp1
    mov ax, 0x1234 & ~7 ; beyond the GDT
.gp1_at:
    mov es, ax
.gp1:
    WANT_EXC 13, 0x1230, .gp1_at
    TRY .gp2
    mov ax, 0x44        ; LDT, which is null
.gp2_at:
    mov fs, ax
.gp2:
    WANT_EXC 13, 0x44, .gp2_at
    TRY .gp3
    xor eax, eax
.gp3_at:
    mov ss, ax
.gp3:
    WANT_EXC 13, 0, .gp3_at
    TRY .gp4
    xor eax, eax
    mov gs, ax
    mov ebx, 0x10
.gp4_at:
    mov eax, [gs:ebx]
.gp4:
    WANT_EXC 13, 0, .gp4_at
    CHECK [EXC_EBX], 0x10
    TRY .gp5
    mov ax, TSS
.gp5_at:
    mov ds, ax
.gp5:
    WANT_EXC 13, TSS, .gp5_at
    TRY .gp6
.gp6_at:
    int 0x31            ; empty gate
.gp6:
    WANT_EXC 13, 0x31 * 8 + 2, .gp6_at
    TRY .gp7
    mov eax, 1 << 31
.gp7_at:
    mov cr0, eax        ; PG without PE
.gp7:
    WANT_EXC 13, 0, .gp7_at
    TRY .gp8
    times 15 db 0x26
    nop
.gp8:
    WANT_EXC 13, 0, -1  ; 16 bytes are too many
    TRY .gp9
    mov ecx, 0x12345678
.gp9_at:
    rdmsr
.gp9:
    WANT_EXC 13, 0, .gp9_at
    CHECK [EXC_ECX], 0x12345678
    ENDTEST

    TEST "segment not present"
    DESC SEL0, 0, 0xfffff, 0x12, 0xc
    TRY .np
    mov ax, SEL0
.np_at:
    mov es, ax
.np:
    WANT_EXC 11, SEL0, .np_at
    TRY .npss
    mov ax, SEL0
.npss_at:
    mov ss, ax
.npss:
    WANT_EXC 12, SEL0, .npss_at
    ENDTEST

    TEST "segment limits"
    DESC SEL0, FREE, 0xfff, 0x92, 0x4   ; 4 KiB data
    mov ax, SEL0
    mov fs, ax
    TRY .lim1
    mov dword [fs:0xffc], 0xabcd
    mov al, [fs:0xfff]
.lim1:
    NO_EXC
    CHECK [FREE + 0xffc], 0xabcd
    TRY .lim2
    mov edi, 0xffd
    mov eax, 55
.lim2_at:
    mov [fs:edi], eax
.lim2:
    WANT_EXC 13, 0, .lim2_at
    CHECK [FREE + 0xffc], 0xabcd
    TRY .lim3
.lim3_at:
    mov eax, [fs:0xfffffffe]
.lim3:
    WANT_EXC 13, 0, .lim3_at
    TRY .lim4
    mov edi, 0x1000
.lim4_at:
    inc byte [fs:edi]
.lim4:
    WANT_EXC 13, 0, .lim4_at
    DESC SEL0 + 8, FREE, 0xfff, 0x90, 0x4   ; read-only
    mov ax, SEL0 + 8
    mov es, ax
    TRY .ro
    mov eax, [es:0xffc]
    CHECK eax, 0xabcd
    mov ebx, 1
.ro_at:
    mov [es:0], eax
.ro:
    WANT_EXC 13, 0, .ro_at
    CHECK [EXC_EBX], 1
    mov ax, DATA32
    mov es, ax
    DESC SEL0 + 16, 0, 0xfff, 0x96, 0x4     ; expand-down: 1000h..ffffffffh
    mov ax, SEL0 + 16
    mov fs, ax
    TRY .down
    mov eax, [fs:FREE + 0xffc]
    CHECK eax, 0xabcd
.down_at:
    mov eax, [fs:0xfff]
.down:
    WANT_EXC 13, 0, .down_at
    TRY .xo
    DESC SEL0 + 24, 0, 0xfffff, 0x98, 0xc   ; execute-only
    mov ax, SEL0 + 24
.xo_at:
    mov gs, ax
.xo:
    WANT_EXC 13, SEL0 + 24, .xo_at
    TRY .cs
.cs_at:
    mov [cs:FREE], eax
.cs:
    WANT_EXC 13, 0, .cs_at
    ENDTEST

    TEST "stack segment limit"
    DESC SEL0, FREE, 0xffff, 0x92, 0x4
    TRY .ss
    mov ax, SEL0
    mov ss, ax
    mov esp, 0x8000
    push dword 0x11
    push dword 0x22
    mov ebp, 0xfffd
    mov eax, 0x33
.ss_at:
    mov eax, [ebp]
.ss:
    WANT_EXC 12, 0, .ss_at
    CHECK [EXC_EAX], 0x33
    CHECK [exc_at], 0x7ff8
    CHECK [FREE + 0x7ffc], 0x11
    CHECK [FREE + 0x7ff8], 0x22
    TRY .ss2
    mov ax, SEL0
    mov ss, ax
    mov esp, 0x8000
.ss2_at:
    push dword [ss:0xfffe]
.ss2:
    WANT_EXC 12, 0, .ss2_at
    CHECK [exc_at], 0x8000
    DESC SEL0, FREE, 0xffff, 0x92, 0x0      ; the same as a 16-bit stack: SP wraps, the rest of ESP stays
    TRY .ss3
    mov ax, SEL0
    mov ss, ax
    mov esp, 0x12340002
    push ax
    push word 0x55aa
    mov ebx, esp
    mov ecx, ss
    pop dx
    mov ax, DATA32
    mov ss, ax
    mov esp, [exc_esp]
.ss3:
    NO_EXC
    CHECK ebx, 0x1234fffe
    CHECK ecx, SEL0
    movzx edx, dx
    CHECK edx, 0x55aa
    mov ax, DATA32
    mov ss, ax
    mov esp, [exc_esp]
    ENDTEST

    TEST "single step"
    mov dword [vec_handler + 4], db_handler
    mov dword [db_count], 0
    pushfd
    or dword [esp], 0x100
    mov ecx, 2
    popfd
    nop                 ; 1: after this
.loop:
    dec ecx             ; 2, 4
    jnz .loop           ; 3, 5
    push eax            ; 6
    pop eax             ; 7
    pushfd              ; 8
    and dword [esp], ~0x100 ; 9
    popfd               ; 10
    nop
    CHECK [db_count], 10
    mov eax, [db_eips]
    CHECK eax, .loop
    CHECK [db_eips + 8], .loop
    mov eax, [db_dr6]
    and eax, 0x4000
    CHECK eax, 0x4000
    mov dword [vec_handler + 4], 0
    ENDTEST

    TEST "hardware breakpoints"
    TRY .dr
    mov eax, .dr_at
    mov dr0, eax
    mov eax, 0x401
    mov dr7, eax
    xor ebx, ebx
    inc ebx
.dr_at:
    inc ebx
.dr:
    WANT_EXC 1, -1, .dr_at
    CHECK [EXC_EBX], 1
    mov eax, dr6
    and eax, 0xf
    CHECK eax, 1
    xor eax, eax
    mov dr7, eax
    mov dr6, eax
    TRY .dw
    mov eax, FREE + 0x100
    mov dr1, eax
    mov eax, 0x00d00404 | 4 | 0x400 ; L1, write, 4 bytes
    mov dr7, eax
    mov edi, FREE + 0x100
    mov eax, [edi]
    mov byte [edi - 1], 0
    mov byte [edi + 2], 0x77
.dw_at:
    nop
.dw:
    WANT_EXC 1, -1, .dw_at
    CHECK [EXC_EDI], FREE + 0x100
    xor eax, eax
    mov dr7, eax
    mov eax, dr6
    and eax, 0xf
    CHECK eax, 2
    mov al, [FREE + 0x102]
    movzx eax, al
    CHECK eax, 0x77
    ENDTEST

    TEST "flags are kept by exceptions and interrupts"
    mov dword [vec_handler + 0x20 * 4], flag_handler
    mov ecx, 64
.flags:
    mov eax, ecx
    imul eax, 0x1234567
    and eax, 0x8d5
    or eax, 2
    mov ebx, eax
    push eax
    popfd
    int 0x20
    pushfd
    pop edx
    and edx, 0x8d7
    CHECK edx, ebx
    CHECK [flag_seen], ebx
    dec ecx
    jnz .flags
    mov dword [vec_handler + 0x20 * 4], 0
    ENDTEST

    TEST "double fault"
    ; #NP for the #GP gate while a #GP is delivered gives #DF (contributory pair)
    and word [idt + 13 * 8 + 4], ~0x8000
    TRY .df
    mov ax, 0x1230
.df_at:
    mov es, ax
.df:
    WANT_EXC 8, 0, .df_at
    or word [idt + 13 * 8 + 4], 0x8000
    ENDTEST

    TEST "x87 errors"
    fninit
    mov eax, cr0
    push eax
    or al, 0x20         ; NE
    mov cr0, eax
    push word 0x37b     ; divide by zero unmasked
    fldcw [esp]
    add esp, 2
    TRY .mf
    fld1
    fldz
    fdivp st1, st0
    mov ebx, 5
.mf_at:
    fwait
.mf:
    WANT_EXC 16, -1, .mf_at
    CHECK [EXC_EBX], 5
    fnstsw ax
    and eax, 4
    CHECK eax, 4
    fnclex
    fninit
    pop eax
    mov cr0, eax
    ENDTEST

    TEST "alignment check needs ring 3"
    TRY .ac
    mov eax, cr0
    push eax
    or eax, 1 << 18     ; AM
    mov cr0, eax
    pushfd
    or dword [esp], 1 << 18
    popfd
    mov eax, [bounds + 1]
    pushfd
    and dword [esp], ~(1 << 18)
    popfd
    pop eax
    mov cr0, eax
.ac:
    NO_EXC
    ENDTEST
    ret

flag_handler:
    mov eax, [ebp + F_FLAGS]
    and eax, 0x8d7
    mov [flag_seen], eax
    ret

db_handler:
    mov eax, [db_count]
    cmp eax, 15
    ja .full
    mov ecx, [ebp + F_EIP]
    mov [db_eips + eax * 4], ecx
.full:
    inc dword [db_count]
    mov eax, dr6
    mov [db_dr6], eax
    xor eax, eax
    mov dr6, eax
    ret

align 4
bounds: dd -3, 10
bounds16: dw -3, 10
flag_seen: dd 0
db_count: dd 0
db_dr6: dd 0
db_eips: times 16 dd 0
IMAGE_END
