; irq.asm - interrupts: delivery, shadows, HLT, exactness inside loops and strings, x87 and SSE state across them.
%include "guest.inc"

main:
    call pic_init
    mov dword [vec_handler + 0x20 * 4], tick

    TEST "HLT wakes on the timer"
    mov dword [ticks], 0
    mov ax, 2000
    mov cl, 0
    call pit_start
    sti
    hlt
    cli
    CHECK [ticks], 1
    call pit_stop
    ENDTEST

    TEST "a periodic timer"
    mov dword [ticks], 0
    mov ax, 1193                        ; 1 ms
    mov cl, 2
    call pit_start
    sti
.wait:
    hlt
    cmp dword [ticks], 20
    jb .wait
    cli
    call pit_stop
    ENDTEST

    TEST "loops without memory accesses are interrupted"
    mov dword [vec_handler + 0x20 * 4], leave_loop
    mov ebx, .spins
.each:
    mov eax, [ebx]
    test eax, eax
    jz .spun
    push ebx
    mov dword [loop_out], .out
    mov [loop_esp], esp
    mov ax, 3000
    mov cl, 0
    call pit_start
    mov ecx, -1
    xor edx, edx
    sti
    jmp [ebx]
.out:
    cli
    call pit_stop
    pop ebx
    add ebx, 4
    jmp .each
.spin1:
    jmp $
.spin2:
    loop $                              ; a block of one instruction that jumps to itself
.spin3:
    inc edx
    jmp .spin3
.spin4:
    call .sub
    jmp .spin4
.sub:
    ret
.spin5:
    mov eax, .spin5
    jmp eax
.spin6:
    push eax
    pop eax
    test eax, eax
    jz .spin6
    jmp .spin6
.spin7:
    xor ecx, ecx
    jecxz .spin7
.spin8:
    mov edi, FREE
    mov ecx, 0x100000
    rep stosb
    jmp .spin8
.spin9:
    nop
    a16 loop .spin9
    jmp .spin9
.spin10:
    fld1
    fstp st0
    jmp .spin10
    align 4
.spins: dd .spin1, .spin2, .spin3, .spin4, .spin5, .spin6, .spin7, .spin8, .spin9, .spin10, 0
.spun:
    mov dword [vec_handler + 0x20 * 4], tick
    ENDTEST

    TEST "STI holds interrupts for one instruction"
    mov dword [vec_handler + 0x20 * 4], note_eip
    mov ax, 100
    mov cl, 0
    call pit_start
    call irq_wait                       ; it waits at the PIC
    mov ebx, 5
    sti
    inc ebx
.sti_at:
    inc ebx
    cli
    CHECK [noted], .sti_at
    CHECK ebx, 7
    call pit_stop
    mov ax, 100                         ; STI; CLI lets none in
    mov cl, 0
    call pit_start
    call irq_wait
    mov dword [noted], 0
    sti
    cli
    nop
    nop
    CHECK [noted], 0
    sti
    nop
.sti2_at:
    nop
    cli
    CHECK [noted], .sti2_at
    call pit_stop
    ENDTEST

    TEST "MOV SS and POP SS hold interrupts for one instruction"
    mov ax, 100
    mov cl, 0
    call pit_start
    call irq_wait
    mov dword [noted], 0
    push dword 0x202
    mov ebp, esp
    mov ax, ss
    popf                                ; no shadow: the interrupt comes before the next instruction
.popf_at:
    cli
    CHECK [noted], .popf_at
    call pit_stop
    mov ax, 100
    mov cl, 0
    call pit_start
    call irq_wait
    mov ax, ss
    sti
    mov ss, ax                          ; in STI's shadow, starts its own
    mov esp, esp
.ss_at:
    nop
    cli
    mov eax, [noted]
    sub eax, .ss_at
    ; the second shadow is not promised (SDM: only the first of two such instructions)
    cmp eax, -2
    je .ss_ok
    CHECK eax, 0
.ss_ok:
    call pit_stop
    ENDTEST

    TEST "IRET and POPF let a waiting interrupt in at once"
    mov ax, 100
    mov cl, 0
    call pit_start
    call irq_wait
    mov dword [noted], 0
    push dword 0x202
    push dword CODE32
    push dword .iret_at
    iret
.iret_at:
    nop
    cli
    CHECK [noted], .iret_at
    call pit_stop
    ENDTEST

    TEST "exact state at interrupts in a busy loop"
    ; the handler checks the loop's invariants wherever it hits
    mov dword [vec_handler + 0x20 * 4], invariants
    mov dword [bad_states], 0
    mov dword [ticks], 0
    mov [inv_esp], esp
    mov ax, 300
    mov cl, 0
    call pit_start
    mov ecx, 0
    mov ebx, 0
    sti
inv_loop:
    inc ecx                             ; 0: ebx = ecx
inv_1:
    push ecx                            ; 1: ebx = ecx - 1
inv_2:
    lea ebx, [ebx + 1]                  ; 2: esp down 4
inv_3:
    pop edx                             ; 3: ebx = ecx
inv_4:
    cmp dword [ticks], 300              ; 4: edx = ecx
    jb inv_loop
inv_end:
    cli
    call pit_stop
    CHECK [bad_states], 0
    CHECK ebx, ecx
    mov dword [vec_handler + 0x20 * 4], tick
    ENDTEST

    TEST "repeated strings are interrupted between iterations"
    mov dword [vec_handler + 0x20 * 4], string_state
    mov dword [bad_states], 0
    mov dword [ticks], 0
    mov ax, 500
    mov cl, 0
    call pit_start
    sti
str_loop:
    mov esi, FREE
    mov edi, FREE + 0x200000
    mov ecx, 0x40000
str_movs:
    rep movsd
str_movs_end:
    mov edi, FREE + 0x200000
    mov ecx, 0x80000
    xor eax, eax
str_stos:
    rep stosb
str_stos_end:
    cmp dword [ticks], 60
    jb str_loop
    cli
    call pit_stop
    CHECK [bad_states], 0
    ENDTEST

    TEST "flags survive interrupts"
    mov dword [vec_handler + 0x20 * 4], trash
    mov dword [ticks], 0
    mov ax, 400
    mov cl, 0
    call pit_start
    sti
.fl:
    mov ecx, 200
.fl2:
    mov eax, ecx
    imul eax, 0x9e3779b1
    mov edx, eax
    add eax, 0x76543210
    setc bl
    seto bh
    nop
    nop
    lahf
    mov esi, eax
    mov eax, edx
    add eax, 0x76543210
    setc bl
    adc edx, 0x76543210                 ; CF from the addition
    lahf
    dec ecx
    jnz .fl2
    mov eax, -1                         ; CF, ZF, AF, PF set and kept over a long stretch
    add eax, 1
    mov ecx, 500
.fl3:
    lea ecx, [ecx - 1]
    jecxz .fl4
    jnz .flbad
    jnc .flbad
    jmp .fl3
.flbad:
    inc dword [bad_states]
.fl4:
    cmp dword [ticks], 200
    jb .fl
    cli
    call pit_stop
    CHECK [bad_states], 0
    ENDTEST

    TEST "x87 state survives interrupts that use x87"
    mov dword [ticks], 0
    mov ax, 400
    mov cl, 0
    call pit_start
    fninit
    sti
.x87:
    fldpi
    fld1
    fadd st1, st0
    fld1
    faddp st1, st0
    mov ecx, 50
.x87l:
    fadd st1, st0
    fsub st1, st0
    loop .x87l
    fistp dword [scratch]
    fldpi
    fsubp st1, st0
    fistp dword [scratch + 4]
    mov eax, [scratch]
    sub eax, 2
    mov edx, [scratch + 4]
    dec edx
    or eax, edx
    jz .x87ok
    inc dword [bad_states]
.x87ok:
    cmp dword [ticks], 200
    jb .x87
    cli
    call pit_stop
    CHECK [bad_states], 0
    ENDTEST

    TEST "MMX and SSE state survives interrupts that use them"
    mov eax, cr4
    or eax, 0x600
    mov cr4, eax
    mov dword [ticks], 0
    mov dword [use_sse], 1
    mov ax, 400
    mov cl, 0
    call pit_start
    mov dword [scratch], 0x3fc00000     ; 1.5
    sti
.sse:
    movss xmm0, [scratch]
    movss xmm7, [scratch]
    xorps xmm3, xmm3
    mov ecx, 60
.ssel:
    addss xmm3, xmm0
    subss xmm3, xmm7
    loop .ssel
    addss xmm3, xmm7
    movss [scratch + 4], xmm3
    mov eax, 0x01020304
    movd mm0, eax
    movd mm5, eax
    paddb mm0, mm5
    mov ecx, 30
.mmxl:
    paddb mm0, mm5
    psubb mm0, mm5
    loop .mmxl
    movd ebx, mm0
    emms
    mov eax, [scratch + 4]
    sub eax, 0x3fc00000
    sub ebx, 0x02040608
    or eax, ebx
    jz .sseok
    inc dword [bad_states]
.sseok:
    cmp dword [ticks], 200
    jb .sse
    cli
    call pit_stop
    mov dword [use_sse], 0
    CHECK [bad_states], 0
    ENDTEST

    TEST "nested interrupts"
    mov dword [vec_handler + 0x20 * 4], nested
    mov dword [ticks], 0
    mov ax, 600
    mov cl, 2
    call pit_start
    sti
.nest:
    hlt
    cmp dword [ticks], 20
    jb .nest
    cli
    call pit_stop
    mov eax, [depth_max]
    cmp eax, 2
    jae .nestok
    CHECK eax, 2
.nestok:
    CHECK [depth], 0
    ENDTEST

    TEST "a timer faster than the host leaves the program its time"
    mov dword [vec_handler + 0x20 * 4], tick
    mov dword [vec_handler + 0x27 * 4], tick    ; what becomes of a request that was taken back
    mov dword [ticks], 0
    mov ax, 2                           ; 600 kHz
    mov cl, 2
    call pit_start
    mov ecx, 100000                     ; with interrupts off: many blocks,
    xor edx, edx
.busy:
    test cl, 1
    jz .even
    inc edx
.even:
    dec ecx
    jnz .busy
    CHECK edx, 50000
    push ds                             ; and instructions that leave the code cache
    pop es
    mov esi, FREE
    mov edi, FREE + 0x1000
    mov ecx, 1000
    rep movsb
    mov ecx, 100
.seg:
    mov eax, ds
    mov es, eax
    cpuid
    dec dword [.left]
    jnz .seg
    CHECK [ticks], 0
    mov al, 0x30
    out 0x43, al                        ; no more edges; away with the one that the PIC holds
    sti
    nop
    nop
    cli
    CHECK [ticks], 1
    call pit_stop
    jmp .fast_end
.left:
    dd 100
.fast_end:
    ENDTEST

    TEST "masks: IMR and IF"
    mov dword [vec_handler + 0x20 * 4], tick
    mov dword [ticks], 0
    mov ax, 100
    mov cl, 0
    call pit_start
    mov al, 0xff
    out 0x21, al
    sti
    call irq_wait_irr
    nop
    cli
    CHECK [ticks], 0
    mov al, 0xfe
    out 0x21, al
    nop
    nop
    CHECK [ticks], 0
    sti
    nop
    nop
    cli
    CHECK [ticks], 1
    call pit_stop
    ENDTEST
    ret

; Until IRQ 0 stands in the IRR.
irq_wait:
irq_wait_irr:
    push eax
.next:
    mov al, 0x0a
    out 0x20, al
    in al, 0x20
    test al, 1
    jz .next
    pop eax
    ret

eoi:
    push eax
    mov al, 0x20
    out 0x20, al
    pop eax
    ret

; One more interrupt soon, counted from now: on a slow host a periodic one would leave the program no time.
again:
    push eax
    mov al, 600 & 255
    out 0x40, al
    mov al, 600 >> 8
    out 0x40, al
    pop eax
    jmp eoi

tick:
    inc dword [ticks]
    jmp eoi

note_eip:
    mov eax, [ebp + F_EIP]
    mov [noted], eax
    jmp eoi

leave_loop:
    inc dword [ticks]
    mov eax, [loop_out]
    mov [ebp + F_EIP], eax
    and dword [ebp + F_FLAGS], ~0x200
    ; take off what the loop left on the stack: move the frame up to it
    mov edx, [loop_esp]
    sub edx, F_ESP
    cmp edx, ebp
    je eoi
    pop ebx                             ; our return address
    mov esi, ebp
    mov edi, edx
    add esi, F_ESP - 4
    add edi, F_ESP - 4
    mov ecx, F_ESP / 4
    std
    rep movsd
    cld
    mov esp, edx
    mov ebp, edx
    push ebx
    jmp eoi

invariants:
    inc dword [ticks]
    call again
    mov edx, [ebp + F_EIP]
    mov ecx, [ebp + F_REGS + 24]        ; ecx
    mov ebx, [ebp + F_REGS + 16]        ; ebx
    mov edi, [inv_esp]
    lea esi, [ebp + F_ESP]              ; esp
    cmp edx, inv_loop
    jb .done
    cmp edx, inv_end
    ja .done
    cmp edx, inv_1
    je .dec
    cmp edx, inv_2
    je .deep
    cmp edx, inv_3
    je .pushed
.even:
    cmp ebx, ecx
    jne .bad
    cmp esi, edi
    jne .bad
    ret
.dec:
    inc ebx
    jmp .even
.deep:
    inc ebx
.pushed:
    add esi, 4
    jmp .even
.bad:
    inc dword [bad_states]
.done:
    ret

string_state:
    inc dword [ticks]
    call again
    mov edx, [ebp + F_EIP]
    mov ecx, [ebp + F_REGS + 24]
    mov edi, [ebp + F_REGS]
    mov esi, [ebp + F_REGS + 4]
    cmp edx, str_movs
    jne .stos
    lea eax, [edi + ecx * 4]
    cmp eax, FREE + 0x300000
    jne .bad
    lea eax, [esi + ecx * 4]
    cmp eax, FREE + 0x100000
    jne .bad
    ret
.stos:
    cmp edx, str_stos
    jne .done
    lea eax, [edi + ecx]
    cmp eax, FREE + 0x280000
    jne .bad
.done:
    ret
.bad:
    inc dword [bad_states]
    ret

trash:                                  ; changes every flag and every x87 or SSE register, saved by itself
    inc dword [ticks]
    call again
    cmp dword [use_sse], 0
    jne .sse
    fnsave [fpu_area]
    fldz
    fldz
    fldpi
    frstor [fpu_area]
    ret
.sse:
    fxsave [fpu_area]
    fninit
    fldz
    xorps xmm0, xmm0
    pcmpeqd mm5, mm5
    xorps xmm3, xmm3
    movups xmm7, [gdt]
    fxrstor [fpu_area]
    ret

nested:
    inc dword [ticks]
    inc dword [depth]
    mov eax, [depth]
    cmp eax, [depth_max]
    jbe .no
    mov [depth_max], eax
.no:
    call eoi
    cmp eax, 3
    jae .out
    mov ecx, [ticks]
    test cl, 3
    jnz .out
    sti
    hlt
    cli
.out:
    dec dword [depth]
    ret

align 16
fpu_area: times 128 dd 0
ticks: dd 0
noted: dd 0
loop_out: dd 0
loop_esp: dd 0
inv_esp: dd 0
bad_states: dd 0
use_sse: dd 0
depth: dd 0
depth_max: dd 0
scratch: dd 0, 0
IMAGE_END
