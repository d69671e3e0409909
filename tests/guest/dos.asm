; dos.asm - what translated real-mode code does in place: repeated strings at limits and wraps with their partial results, far calls,
; interrupts and returns that do not match their calls, flag images, the stack segment's shadow under timer interrupts.
%include "real.inc"

real_main:
    REAL_START
    mov ax, DATA
    mov es, ax

    RTEST "REP: the end of the segment, partial results, upper halves"
    mov word [es:0xfffc], 0x1111
    mov word [es:0xfffe], 0x2222
    mov word [es:0], 0x3333
    mov word [es:2], 0x4444
    push ds
    push es
    pop ds
    mov esi, 0xaaaafffc
    mov edi, 0xbbbb8000
    mov ecx, 0xcccc0004
    rep movsw                           ; over the wrap
    pop ds
    RCHECK esi, 0xaaaa0004
    RCHECK edi, 0xbbbb8008
    RCHECK ecx, 0xcccc0000
    RCHECK [es:0x8000], 0x22221111
    RCHECK [es:0x8004], 0x44443333
    mov edi, 0x1234fffb
    mov ecx, 0x56780005
    mov ax, 0x7777
    RTRY .p1
.p1_at:
    rep stosw                           ; fffb, fffd, and ffff does not fit
.p1:
    RWANT 13, .p1_at
    RCHECK edi, 0x1234ffff
    RCHECK ecx, 0x56780003
    RCHECK [es:0xfffb], 0x77777777
    mov edi, 0xfff9                     ; 32-bit addresses do not wrap at 64 KiB
    mov ecx, 0x10003
    mov eax, 0x01020304
    RTRY .p2
.p2_at:
    a32 rep stosd
.p2:
    RWANT 13, .p2_at
    RCHECK edi, 0xfffd
    RCHECK ecx, 0x10002
    mov esi, 0xfffe0000
    mov ecx, 5
    RTRY .p3
.p3_at:
    a32 rep lodsb
.p3:
    RWANT 13, .p3_at
    RCHECK esi, 0xfffe0000
    RCHECK ecx, 5
    mov dword [es:0xfffc], 0x0a0b0c0d
    mov dword [es:0], 0x01020304
    mov esi, 0x9999fffe
    mov ecx, 0xeeee0004
    mov eax, 0x55555555
    es rep lodsb
    RCHECK eax, 0x55555503
    RCHECK esi, 0x99990002
    RCHECK ecx, 0xeeee0000
    REND

    RTEST "REP: backwards, counts of 0, flags"
    mov dword [es:0x20], 0x44332211
    mov esi, 0x10020
    mov edi, 0x20021
    mov ecx, 0x30003
    std
    push ds
    push es
    pop ds
    add si, 2
    add di, 2
    rep movsb
    pop ds
    cld
    RCHECK [es:0x20], 0x33221111
    RCHECK esi, 0x1001f
    RCHECK edi, 0x20020
    RCHECK ecx, 0x30000
    mov ecx, 0x70000
    mov edi, 0x80010
    mov esi, 0x90020
    stc
    repe cmpsb
    repne scasb
    rep movsd
    rep lodsw
    jnc .bad
    RCHECK ecx, 0x70000
    RCHECK edi, 0x80010
    RCHECK esi, 0x90020
    jmp .good
.bad:
    RCHECK16 0, 1
.good:
    REND

    RTEST "REPE and REPNE end by flag, count and limit"
    mov di, 0xfff0
    mov cx, 0x20
    mov al, 0x5a
    rep stosb
    mov byte [es:5], 0x33
    mov edi, 0x4321fff0
    mov ecx, 0xfffff
    mov al, 0x33
    repne scasb
    RCHECK edi, 0x43210006
    RCHECK ecx, 0xfffe9
    mov di, 0xfff0
    mov cx, 0x10
    mov al, 0x5a
    repe scasb                          ; all the same: ends by the count at the end of the segment
    pushf
    pop ax
    and ax, 0x41
    RCHECK16 ax, 0x40
    RCHECK16 di, 0
    RCHECK16 cx, 0
    mov di, 0xffed
    mov cx, 0xffff
    mov ax, 0x5a5a
    mov word [es:0xffed], 0
    mov byte [es:0xffef], 0x5a
    RTRY .q1
    repne scasw                         ; differs, then the same: found
    RCHECK16 di, 0xfff1
.q1_at:
    repe scasw                          ; to ffff, which does not fit
.q1:
    RWANT 13, .q1_at
    RCHECK16 di, 0xffff
    mov si, 0xfff0
    mov di, 0x8000
    mov cx, 0x10
    push ds
    push es
    pop ds
    rep movsb
    mov byte [es:0x8007], 0
    mov esi, 0x1fff0
    mov edi, 0x28000
    mov ecx, 0x30100
    repe cmpsb
    pop ds
    RCHECK esi, 0x1fff8
    RCHECK edi, 0x28008
    RCHECK ecx, 0x300f8
    REND

    RTEST "far calls: near and far records apart"
    ; the same code at another segment whose offsets are 16 higher: SEGM - 1
    mov word [OFF(far_ptr)], OFF(.callee) + 16
    mov word [OFF(far_ptr) + 2], SEGM - 1
    mov cx, 3
.again:
    xor bx, bx
    call .near
.back:
    inc bx
    call far [OFF(far_ptr)]
    RCHECK16 bx, 0x112
    mov ax, cs
    RCHECK16 ax, SEGM
    loop .again
    jmp .calls
.near:
    add bx, 0x10
    ret
.callee:                                ; here CS is SEGM - 1
    mov ax, cs
    cmp ax, SEGM - 1
    jne .wrong
    add bx, 0x100
    push word OFF(.back2) + 16          ; a near return to no call, in this segment
    ret
.wrong:
    mov bx, 0xdead
    retf
.back2:
    mov ax, cs
    cmp ax, SEGM - 1
    jne .wrong
    inc bx
    retf
.calls:
    ; a record of this segment must not serve a return in another: IP as of the call, CS - 1
    call .stray
.stray_back:
    mov bx, 0x77                        ; at IP + 16 in the other segment this is .stray_back too
    jmp .stray_end
.stray:
    pop ax
    push word SEGM - 1
    add ax, 16
    push ax
    retf                                ; to SEGM - 1 : .stray_back + 16
.stray_end:
    RCHECK16 bx, 0x77
    mov ax, cs
    RCHECK16 ax, SEGM - 1
    jmp SEGM:OFF(.home)
.home:
    mov ax, cs
    RCHECK16 ax, SEGM
    mov bp, sp
    push word 1
    push word 2
    push cs
    push word OFF(.released)
    retf 4
.released:
    mov ax, sp
    RCHECK16 ax, bp
    REND

    RTEST "return to the offset of a call in another segment"
    ; DATA2 holds code at the offset where a call here returns to
    mov ax, DATA2
    mov es, ax
    mov di, OFF(.here)
    mov byte [es:di], 0xbb              ; mov bx, 1234h ; jmp SEGM:.landed
    mov word [es:di + 1], 0x1234
    mov byte [es:di + 3], 0xea
    mov word [es:di + 4], OFF(.landed)
    mov word [es:di + 6], SEGM
    mov byte [es:0x4000], 0xc3          ; ret
    mov cx, 3
.more:
    mov bx, 1
    call .leaf
.here:
    mov bx, 2
    jmp .landed
.leaf:                                  ; the return address stays; RET in DATA2 goes there, in DATA2
    jmp DATA2:0x4000
.landed:
    RCHECK16 bx, 0x1234
    loop .more
    mov ax, DATA
    mov es, ax
    REND

    RTEST "interrupts: IRET, RETF 2, nesting, flags"
    VECT 0x60, .int60
    VECT 0x61, .int61
    VECT 0x62, .int62
    mov cx, 3
.ints:
    clc
    sti
    xor bx, bx
    int 0x60                            ; IRET restores
    jc .int_bad
    int 0x61                            ; RETF 2 returns flags
    jnc .int_bad
    pushf
    pop ax
    and ax, 0x200
    RCHECK16 ax, 0                      ; those of the handler, IF too
    int 0x62
    RCHECK16 bx, 0x111
    mov ax, cs
    RCHECK16 ax, SEGM
    loop .ints
    sti
    pushf                               ; an IRET of its own
    push cs
    push word OFF(.int_over)
    or byte [esp + 5], 8                ; OF
    iret
.int_bad:
    RCHECK16 0, 1
    jmp .int_over
.int60:
    stc
    inc bx
    iret
.int61:
    add bx, 0x10
    stc
    retf 2
.int62:
    int 0x60
    add bx, 0xff
    iret
.int_over:
    jo .of
    RCHECK16 0, 1
.of:
    REND

    RTEST "flag images"
    cli
    push word 0x7cd7                    ; all but TF, IF
    popf
    pushf
    pop ax
    cld
    and ax, 0x7ed5
    RCHECK16 ax, 0x7cd5
    push word 0
    popf
    pushf
    pop ax
    RCHECK16 ax, 2
    push word 0x4000
    popf
    pushf
    pop ax
    RCHECK16 ax, 0x4002
    push word 0x0400
    popf
    mov di, 0x10
    stosb
    cld
    RCHECK16 di, 0xf
    mov eax, 0x12345678
    push word 0x08d5
    popf
    jno .fl_bad
    jnc .fl_bad
    jnz .fl_bad
    jns .fl_bad
    jnp .fl_bad
    RCHECK eax, 0x12345678
    jmp .fl_ok
.fl_bad:
    RCHECK16 0, 1
.fl_ok:
    push dword 0x00200202               ; ID and IF
    popfd
    pushfd
    pop eax
    and eax, 0x00200200
    RCHECK eax, 0x00200200
    cli
    push dword 2
    popfd
    REND

    RTEST "frames on a 16-bit stack"
    mov [OFF(save_sp)], sp
    mov eax, 0x11111111
    mov ecx, 0x22222222
    mov edi, 0x77777777
    mov sp, 0x18
    pusha                               ; 18h to 8
    call .note
    mov sp, 0x18
    pushad                              ; over the end of the stack
    call .note
    xor eax, eax
    xor edi, edi
    popad
    call .note
    mov ebp, 0x5555abcd
    enter 0x30, 0                       ; the frame wraps
    call .note
    leave
    call .note
    o32 enter 4, 0
    call .note
    o32 leave
    call .note
    lea esp, [esp + 8]
    push ax
    pop word [OFF(save_ax)]
    call .note
    mov sp, [OFF(save_sp)]
    RCHECK eax, 0x11111111
    RCHECK edi, 0x77777777
    RCHECK16 [OFF(noted)], 8
    RCHECK16 [OFF(noted) + 8], 0xfff8
    RCHECK16 [OFF(noted) + 16], 0x18
    RCHECK16 [OFF(noted) + 24], 0xffe6
    RCHECK [OFF(noted) + 28], 0x55550016
    RCHECK16 [OFF(noted) + 32], 0x18
    RCHECK [OFF(noted) + 36], 0x5555abcd
    RCHECK16 [OFF(noted) + 40], 0x10
    RCHECK [OFF(noted) + 44], 0x14
    RCHECK16 [OFF(noted) + 48], 0x18
    RCHECK [OFF(noted) + 52], 0x5555abcd
    RCHECK16 [OFF(noted) + 56], 0x20
    RCHECK16 [OFF(save_ax)], 0x1111
    jmp .noted
.note:                                  ; SP and EBP behind each step: checks need a stack of their own
    push bx
    mov bx, [OFF(note_at)]
    mov [OFF(noted) + bx], sp
    add word [OFF(noted) + bx], 4
    mov [OFF(noted) + bx + 4], ebp
    add word [OFF(note_at)], 8
    pop bx
    ret
.noted:
    REND

    RTEST "no interrupt between the halves of a stack switch"
    VECT 8, irq0
    call pic16
    mov word [OFF(ticks)], 0
    mov word [OFF(torn)], 0
    mov word [OFF(save_sp)], sp
    mov bx, 0x5000                      ; two stacks: 5000:2000 and DATA2:8000
    mov dx, DATA2
    mov si, 0x2000
    mov di, 0x8000
    mov word [OFF(other)], 0x8000
    mov word [OFF(other) + 2], DATA2
    mov ecx, 3000000
    sti
.switch:
    mov ss, bx
    mov sp, si
    nop
    mov ss, dx
    mov sp, di
    nop
    mov ss, bx
    mov sp, si
    lss sp, [OFF(other)]
    push bx
    pop ss
    mov sp, si
    cmp word [OFF(ticks)], 300
    jae .switched
    a32 loop .switch
.switched:
    cli
    mov ax, 0x6000
    mov ss, ax
    mov sp, [OFF(save_sp)]
    mov al, 0xff
    out 0x21, al
    RCHECK16 [OFF(torn)], 0
    cmp word [OFF(ticks)], 30
    ja .enough
    RCHECK16 [OFF(ticks)], 30
.enough:
    REND

    REAL_FINISH

pic16:                                  ; IRQ 0 at vector 8, 10 kHz
    mov al, 0x11
    out 0x20, al
    mov al, 8
    out 0x21, al
    mov al, 4
    out 0x21, al
    mov al, 1
    out 0x21, al
    mov al, 0x34
    out 0x43, al
    mov al, 119
    out 0x40, al
    xor al, al
    out 0x40, al
    mov al, 0xfe
    out 0x21, al
    ret

irq0:                                   ; is SS:SP one of the two, or that of LSS?
    push ax
    inc word [cs:OFF(ticks)]
    mov ax, ss
    cmp ax, 0x5000
    jne .second
    cmp sp, 0x2000 - 8
    je .fine
    cmp sp, 0x8000 - 10                 ; push bx ; pop ss: the word popped has gone
    jmp .bad
.second:
    cmp ax, DATA2
    jne .bad
    cmp sp, 0x8000 - 8
    je .fine
    cmp sp, 0x8000 - 10                 ; between PUSH and POP SS
    je .fine
.bad:
    inc word [cs:OFF(torn)]
.fine:
    mov al, 0x20
    out 0x20, al
    pop ax
    iret

align 4096, db 0                        ; away from code
far_ptr: dd 0
other: dd 0
save_sp: dw 0
save_ax: dw 0
ticks: dw 0
torn: dw 0
note_at: dw 0
noted: times 16 dd 0
REAL_DATA
align 4096, db 0
bits 32
main:
    ret
IMAGE_END
