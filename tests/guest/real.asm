; real.asm - real mode: wrap and limits, the vector table, 16-bit forms, BCD, strings, big real ("unreal") mode, interrupts.
%include "real.inc"

real_main:
    REAL_START

    RTEST "word at offset FFFFh"
    mov ax, DATA
    mov es, ax
    mov byte [es:0xffff], 0x12
    RTRY .w1
    mov bx, 0xffff
    mov ax, 0x55
.w1_at:
    mov ax, [es:bx]
.w1:
    RWANT 13, .w1_at
    RCHECK16 ax, 0x55
    RTRY .w2
    mov bp, 0xfffd
.w2_at:
    mov eax, [bp]
.w2:
    RWANT 12, .w2_at
    RTRY .w3
    mov esi, 0x10000
.w3_at:
    mov al, [esi]
.w3:
    RWANT 13, .w3_at
    RCHECK16 [OFF(rt_cs)], SEGM
    REND

    RTEST "addresses wrap in 16 bits"
    mov ax, DATA
    mov es, ax
    mov dword [es:0x10], 0x11223344
    mov bx, 0xfff0
    mov si, 0x20
    mov eax, [es:bx + si]
    RCHECK eax, 0x11223344
    mov di, 0x8010
    mov eax, [es:di + 0x8000]
    RCHECK eax, 0x11223344
    mov ebx, 0xabcd0010                 ; upper halves do not count
    mov eax, [es:bx]
    RCHECK eax, 0x11223344
    mov al, [es:bx - 0x11 + 0x11]
    RCHECK16 ax, 0x3344
    REND

    RTEST "stack wraps"
    mov bp, sp
    mov cx, ss
    mov ax, DATA
    mov ss, ax
    xor sp, sp
    push word 0x1234
    mov dx, sp
    mov bx, [ss:0xfffe]
    pop ax
    mov si, sp
    mov ss, cx
    mov sp, bp
    RCHECK16 dx, 0xfffe
    RCHECK16 bx, 0x1234
    RCHECK16 ax, 0x1234
    RCHECK16 si, 0
    REND

    RTEST "INT, IRET and the vector table"
    VECT 0x40, int40
    mov dword [OFF(seen)], 0
    stc
    sti
    int 0x40
.i40:
    setc al
    cli
    movzx ax, al
    RCHECK16 ax, 1
    RCHECK16 [OFF(seen)], OFF(.i40)
    RCHECK16 [OFF(seen) + 2], 0
    VECT 0x40, int40b
    clc
    int 0x40
    setc al
    movzx ax, al
    RCHECK16 ax, 1                      ; RETF 2 keeps the handler's flags
    REND

    RTEST "divide error, BOUND, INTO, INT3, #UD"
    RTRY .de
    mov ax, 9
    xor cl, cl
.de_at:
    div cl
.de:
    RWANT 0, .de_at
    RTRY .br
    mov ax, 11
.br_at:
    bound ax, [OFF(bounds)]
.br:
    RWANT 5, .br_at
    RTRY .of
    mov al, 0x80
    dec al
    into
.of:
    RWANT 4, .of
    RTRY .bp
    int3
.bp:
    RWANT 3, .bp
    RTRY .ud
.ud_at:
    lldt ax                             ; protected mode only
.ud:
    RWANT 6, .ud_at
    RTRY .ud2
.ud2_at:
    arpl ax, ax
.ud2:
    RWANT 6, .ud2_at
    REND

    RTEST "far calls and jumps"
    mov bx, sp
    call SEGM:OFF(.far)
    RCHECK16 ax, 0x77
    mov dx, sp
    RCHECK16 dx, bx
    call far [OFF(.ptr)]
    RCHECK16 ax, 0x77
    push cs
    push word OFF(.back)
    retf
    mov ax, 1
.back:
    RCHECK16 ax, 0x77
    jmp SEGM + 0x10:OFF(.other) - 0x100 ; the same byte by another segment
.other:
    mov ax, cs
    jmp SEGM:OFF(.home)
.home:
    RCHECK16 ax, SEGM + 0x10
    jmp .far_end
.far:
    mov ax, 0x77
    retf
.ptr: dw OFF(.far), SEGM
.far_end:
    REND

    RTEST "LDS, LES, LSS and segment moves"
    les di, [OFF(.lptr)]
    RCHECK16 di, 0x1357
    mov ax, es
    RCHECK16 ax, 0x3579
    push ds
    lds si, [OFF(.lptr)]
    mov bx, ds
    pop ds
    RCHECK16 bx, 0x3579
    mov dx, ss
    mov bp, sp
    lss sp, [OFF(.sptr)]
    mov cx, sp
    mov ax, ss
    mov ss, dx
    mov sp, bp
    RCHECK16 cx, 0x4444
    RCHECK16 ax, 0x5555
    jmp .lend
.lptr: dw 0x1357, 0x3579
.sptr: dw 0x4444, 0x5555
.lend:
    REND

    RTEST "PUSHA, POPA, ENTER, LEAVE, PUSH SP"
    mov ax, 1
    mov cx, 2
    mov dx, 3
    mov bx, 4
    mov bp, 6
    mov si, 7
    mov di, 8
    mov [OFF(seen)], sp
    pusha
    mov [OFF(seen) + 2], sp
    xor ax, ax
    xor di, di
    popa
    RCHECK16 ax, 1
    RCHECK16 di, 8
    RCHECK16 bp, 6
    mov ax, [OFF(seen)]
    sub ax, [OFF(seen) + 2]
    RCHECK16 ax, 16
    pushad
    popad
    mov dx, sp
    RCHECK16 dx, [OFF(seen)]
    enter 8, 0
    mov ax, [OFF(seen)]
    sub ax, bp
    RCHECK16 ax, 2
    mov ax, bp
    sub ax, sp
    RCHECK16 ax, 8
    enter 4, 3
    leave
    leave
    mov dx, sp
    RCHECK16 dx, [OFF(seen)]
    RCHECK16 bp, 6
    mov ax, sp
    push sp
    pop bx
    RCHECK16 ax, bx
    REND

    RTEST "BCD"
    mov ax, 0x0f
    aaa
    RCHECK16 ax, 0x0105
    mov al, 0x9a
    clc
    daa
    setc ah
    RCHECK16 ax, 0x0100
    mov ax, 0x0105
    sub al, 6
    aas
    RCHECK16 ax, 0x0009
    mov al, 0x12
    sub al, 0x09
    das
    mov ah, 0
    RCHECK16 ax, 0x0003
    mov ax, 0x003f
    aam
    RCHECK16 ax, 0x0603
    aad
    RCHECK16 ax, 0x003f
    aam 16
    RCHECK16 ax, 0x030f
    REND

    RTEST "strings: direction, wrap, segments, counts"
    mov ax, DATA
    mov es, ax
    mov di, 0xfffe
    mov ax, 0x6162
    mov cx, 3
    cld
    rep stosw                           ; fffe, 0, 2
    RCHECK16 di, 4
    RCHECK16 cx, 0
    RCHECK16 [es:0xfffe], 0x6162
    RCHECK16 [es:2], 0x6162
    mov ecx, 0x10000                    ; CX is 0: nothing
    mov ax, 0x9999
    rep stosw
    RCHECK16 di, 4
    RCHECK ecx, 0x10000
    std
    mov si, 3
    mov di, 0x101
    mov cx, 6                           ; over offset 0 downwards
    push ds
    push es
    pop ds
    rep movsb
    pop ds
    cld
    RCHECK16 si, 0xfffd
    RCHECK16 di, 0xfb
    RCHECK16 [es:0x100], 0x6162
    mov si, OFF(bounds)
    lodsw
    RCHECK16 ax, 0xfffd
    mov cx, 20
    mov di, 0
    mov al, 0x99
    repne scasb
    RCHECK16 cx, 0
    mov di, 0
    mov cx, 20
    mov al, 0x61
    repne scasb
    RCHECK16 di, 2
    RCHECK16 cx, 18
    mov edi, 0x20000                    ; 32-bit addresses in 16-bit code
    mov ecx, 4
    RTRY .s32
.s32_at:
    a32 rep stosb
.s32:
    RWANT 13, .s32_at
    RCHECK ecx, 4
    RTRY .sw
    mov di, 0xffff
.sw_at:
    stosw                               ; a word at ffffh
.sw:
    RWANT 13, .sw_at
    REND

    RTEST "32-bit instructions"
    mov eax, 0x12345678
    mov ecx, 0x10
    mov edx, eax
    shld eax, edx, 8
    RCHECK eax, 0x34567812
    lea eax, [ecx * 4 + 0x1000]
    RCHECK eax, 0x1040
    mov dword [OFF(seen)], 0xcafebabe
    mov ebx, OFF(seen)
    mov eax, [ebx]
    RCHECK eax, 0xcafebabe
    mov eax, [ebx + ecx * 2 - 0x20]
    RCHECK eax, 0xcafebabe
    imul eax, ecx, 1000
    RCHECK eax, 16000
    bswap eax
    RCHECK eax, 0x803e0000
    movsx eax, byte [OFF(bounds)]
    RCHECK eax, 0xfffffffd
    mov ax, 0x8000
    cwde
    RCHECK eax, 0xffff8000
    mov ecx, 3
    xor dx, dx
.l32:
    inc dx
    a32 loop .l32
    RCHECK16 dx, 3
    push dword 0x11112222
    pop ax
    pop bx
    RCHECK16 ax, 0x2222
    RCHECK16 bx, 0x1111
    REND

    RTEST "instruction pointer wraps and limits"
    mov ax, DATA2
    mov es, ax
    mov byte [es:0xfffd], 0xe9          ; jmp near over FFFFh: to 5 past the wrap
    mov word [es:0xfffe], 5
    mov byte [es:5], 0xb8               ; mov ax, 4242h ; retf
    mov word [es:6], 0x4242
    mov byte [es:8], 0xcb
    push cs
    push word OFF(.ipw)
    jmp DATA2:0xfffd
.ipw:
    RCHECK16 ax, 0x4242
    mov byte [es:0xffff], 0xb0          ; mov al, imm8 whose second byte is beyond the limit
    RTRY .ipl
    jmp DATA2:0xffff
.ipl:
    RCHECK16 [OFF(rt_vec)], 13
    RCHECK16 [OFF(rt_ip)], 0xffff
    RCHECK16 [OFF(rt_cs)], DATA2
    REND

    RTEST "PUSHF, POPF, IF and TF"
    VECT 1, int1
    mov word [OFF(seen)], 0
    pushf
    pop ax
    or ah, 1
    push ax
    popf
    nop
    nop
    pushf
    pop ax
    and ah, ~1
    push ax
    popf
    nop
    RCHECK16 [OFF(seen)], 7
    push word 0x7ad7
    popf
    pushf
    pop ax
    push word 2
    popf
    RCHECK16 ax, 0x7ad7                 ; IOPL and NT can be set
    VECT 1, rt_vec_1
    REND

    RTEST "self-modifying code"
    mov cx, 40
    xor bx, bx
.smc:
    mov [OFF(.smc_op) + 1], cl
.smc_op:
    mov al, 0
    xor ah, ah
    add bx, ax
    loop .smc
    RCHECK16 bx, 40 * 41 / 2
    mov ax, DATA2
    mov es, ax
    mov word [es:0x40], 0xcb40          ; inc ax, retf
    mov cx, 30
    xor ax, ax
.smc2:
    call DATA2:0x40
    xor byte [es:0x40], 8               ; dec ax
    loop .smc2
    RCHECK16 ax, 0
    REND

    RTEST "timer: HLT, STI shadow, loops"
    VECT 0x20, irq0
    mov bx, OFF(.pic)
.pic_next:
    mov dx, [bx]
    mov al, dh
    mov dh, 0
    out dx, al
    add bx, 2
    cmp bx, OFF(.pic_end)
    jb .pic_next
    mov al, 0x34
    out 0x43, al
    mov al, 0xa9
    out 0x40, al
    mov al, 4
    out 0x40, al                        ; 1 ms
    mov word [OFF(ticks16)], 0
    sti
    hlt
    cli
    cmp word [OFF(ticks16)], 1          ; more than one when the host was busy in between
    setae al
    movzx ax, al
    RCHECK16 ax, 1
    mov cx, 0
    xor dx, dx
    sti
.spin:
    inc dx
    push dx
    pop cx
    cmp word [OFF(ticks16)], 30
    jb .spin
    cli
    RCHECK16 cx, dx
    mov al, 0xff
    out 0x21, al
    jmp .timer_end
.pic: db 0x20, 0x11, 0x21, 0x20, 0x21, 4, 0x21, 1, 0x21, 0xfe
.pic_end:
.timer_end:
    REND

    RTEST "big real mode"
    cli
    o32 lgdt [OFF(gdtr)]
    mov eax, cr0
    or al, 1
    mov cr0, eax
    jmp $ + 2
    mov bx, DATA32
    mov es, bx
    mov fs, bx
    and al, ~1
    mov cr0, eax
    jmp SEGM:OFF(.unreal)
.unreal:
    mov dword [es:dword FREE], 0x0badcafe
    mov eax, [fs:dword FREE]
    RCHECK eax, 0x0badcafe
    mov edi, FREE + 0x100
    mov ecx, 0x1000
    mov eax, 0x5a5a5a5a
    a32 rep stosd
    RCHECK [fs:dword FREE + 0x40fc], 0x5a5a5a5a
    mov bx, DATA                        ; a load sets the base, the limit stays big
    mov es, bx
    mov eax, [es:dword FREE - (DATA << 4)]
    RCHECK eax, 0x0badcafe
    xor bx, bx
    mov bx, [es:0xffff]                 ; and no fault at ffffh now
    RTRY .big
.big_at:
    mov al, [dword FREE]                ; DS was never changed
.big:
    RWANT 13, .big_at
    mov eax, cr0                        ; back to 64 KiB limits
    or al, 1
    mov cr0, eax
    jmp $ + 2
    mov bx, DATA16
    mov es, bx
    mov fs, bx
    and al, ~1
    mov cr0, eax
    jmp SEGM:OFF(.small)
.small:
    mov ax, DATA
    mov es, ax
    mov fs, ax
    RTRY .sm
.sm_at:
    mov al, [es:dword FREE]
.sm:
    RWANT 13, .sm_at
    REND

    RTEST "LIDT moves the vector table"
    mov ax, DATA
    mov es, ax
    mov word [es:0x41 * 4], OFF(.moved)
    mov word [es:0x41 * 4 + 2], SEGM
    lidt [OFF(.idt)]
    xor bx, bx
    int 0x41
    mov word [es:13 * 4], OFF(rt_vec_13)
    mov word [es:13 * 4 + 2], SEGM
    RTRY .lim
.lim_at:
    int 0x42                            ; beyond the limit
.lim:
    RCHECK16 bx, 0x33
    RWANT 13, .lim_at
    lidt [OFF(.idt0)]
    jmp .lidt_end
.moved:
    mov bx, 0x33
    iret
.idt:
    dw 0x42 * 4 - 1
    dd DATA << 4
.idt0:
    dw 0x3ff
    dd 0
.lidt_end:
    REND

    REAL_FINISH

int40:                                  ; notes the return address and IF inside
    push bp
    mov bp, sp
    push ax
    mov ax, [bp + 2]
    mov [cs:OFF(seen)], ax
    pushf
    pop ax
    and ax, 0x300
    mov [cs:OFF(seen) + 2], ax
    pop ax
    pop bp
    iret
int40b:
    stc
    retf 2
int1:
    inc word [cs:OFF(seen)]
    iret
irq0:
    push ax
    inc word [cs:OFF(ticks16)]
    mov al, 0x20
    out 0x20, al
    pop ax
    iret

align 4
bounds: dw -3, 10
seen: dd 0, 0
ticks16: dw 0
REAL_DATA
bits 32
main:
    ret
IMAGE_END
