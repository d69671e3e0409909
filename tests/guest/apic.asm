; apic.asm - local APIC and I/O APIC: virtual wire, priorities, self-IPIs, EOI, timer, levels, NMI, the MSR.
;
; Vectors 1xh and 2xh are the two priority classes. Handlers note their order in a trail; who must not come is seen by its absence.
%include "guest.inc"

LAPIC equ 0xfee00000
IOAPIC equ 0xfec00000
ID equ LAPIC + 0x20
VER equ LAPIC + 0x30
TPR equ LAPIC + 0x80
PPR equ LAPIC + 0xa0
EOI equ LAPIC + 0xb0
LDR equ LAPIC + 0xd0
DFR equ LAPIC + 0xe0
SVR equ LAPIC + 0xf0
ISR equ LAPIC + 0x100
IRR equ LAPIC + 0x200
ESR equ LAPIC + 0x280
ICR equ LAPIC + 0x300
ICR2 equ LAPIC + 0x310
LVTT equ LAPIC + 0x320
LINT0 equ LAPIC + 0x350
LVTERR equ LAPIC + 0x370
INITIAL equ LAPIC + 0x380
CURRENT equ LAPIC + 0x390
DIVIDE equ LAPIC + 0x3e0
MASKED equ 0x10000
SELF equ 0x40000

%macro MMIO 2
    mov dword [%1], %2
%endmacro

%macro WINDOW 0                         ; lets pending interrupts in
    sti
    nop
    nop
    cli
%endmacro

%macro HANDLER 2
    mov dword [vec_handler + (%1) * 4], %2
%endmacro

main:
    call pic_init
    mov eax, 1
    cpuid
    test edx, 1 << 9
    jz finish                           ; such a CPU: irq.asm has tested all it has

    TEST "after reset the 8259A reaches the CPU"
    HANDLER 0x20, pic_tick
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

    TEST "registers after reset"
    CHECK [ID], 0
    mov eax, [VER]
    and eax, 0xf0
    CHECK eax, 0x10
    CHECK [TPR], 0
    CHECK [SVR], 0xff
    CHECK [DFR], 0xffffffff
    CHECK [LVTT], MASKED
    CHECK [LVTERR], MASKED
    mov ecx, 0x1b
    rdmsr
    CHECK eax, 0xfee00900
    CHECK edx, 0
    ENDTEST

    MMIO SVR, 0x12f
    MMIO LINT0, MASKED | 0x700
    HANDLER 0x18, note
    HANDLER 0x19, note
    HANDLER 0x28, note
    HANDLER 0x29, note
    HANDLER 0x2a, note

    TEST "a self-IPI waits for STI, then for EOI"
    call clear
    MMIO ICR, SELF | 0x28
    CHECK [IRR + 0x10], 1 << 8
    WINDOW
    CHECK [trail], 0x28
    CHECK [ISR + 0x10], 1 << 8
    CHECK [IRR + 0x10], 0
    CHECK [PPR], 0x20
    MMIO ICR, SELF | 0x29               ; same class: not above the one in service
    WINDOW
    CHECK [trail], 0x28
    MMIO EOI, 0
    WINDOW
    CHECK [trail], 0x2928
    MMIO EOI, 0
    CHECK [ISR + 0x10], 0
    CHECK [PPR], 0
    ENDTEST

    TEST "the highest vector comes first, a higher class interrupts a lower"
    call clear
    MMIO ICR, SELF | 0x18
    MMIO ICR, SELF | 0x28
    MMIO ICR, SELF | 0x2a
    WINDOW                              ; 2Ah, nothing else: 28h is its class, 18h below
    CHECK [trail], 0x2a
    MMIO EOI, 0
    WINDOW
    CHECK [trail], 0x282a
    MMIO EOI, 0
    WINDOW
    CHECK [trail], 0x18282a
    MMIO ICR, SELF | 0x29               ; above 18h, which is in service
    WINDOW
    CHECK [trail], 0x2918282a
    MMIO EOI, 0
    CHECK [ISR], 1 << 0x18
    MMIO EOI, 0
    CHECK [ISR], 0
    ENDTEST

    TEST "TPR holds its class and those below"
    call clear
    MMIO TPR, 0x20
    MMIO ICR, SELF | 0x18
    MMIO ICR, SELF | 0x28
    WINDOW
    CHECK [trail], 0
    CHECK [PPR], 0x20
    MMIO TPR, 0x1f
    WINDOW
    CHECK [trail], 0x28
    MMIO EOI, 0
    WINDOW
    CHECK [trail], 0x28
    MMIO TPR, 0
    WINDOW
    CHECK [trail], 0x1828
    MMIO EOI, 0
    ENDTEST

    TEST "STI's shadow, and an interrupt raised with IF set"
    call clear
    MMIO ICR, SELF | 0x28
    sti
    inc eax
.shadow:
    nop
    cli
    CHECK [noted], .shadow
    MMIO EOI, 0
    sti
    MMIO ICR, SELF | 0x29
    times 8 nop
    cli
    CHECK [trail], 0x2928
    MMIO EOI, 0
    ENDTEST

    TEST "physical and logical destinations, the others, nobody"
    call clear
    MMIO LDR, 0x02000000
    MMIO ICR2, 0
    MMIO ICR, 0x28                      ; physical, 0: me
    WINDOW
    CHECK [trail], 0x28
    MMIO EOI, 0
    MMIO ICR2, 0x03000000
    MMIO ICR, 0x29                      ; physical, 3: nobody
    MMIO ICR, 0xc0029                   ; all but me
    WINDOW
    CHECK [trail], 0x28
    MMIO ICR, 0x82a                     ; logical, 3: I am among them
    WINDOW
    CHECK [trail], 0x2a28
    MMIO EOI, 0
    MMIO ICR2, 0x04000000
    MMIO ICR, 0x82a                     ; logical, 4: I am not
    WINDOW
    CHECK [trail], 0x2a28
    MMIO ICR, 0x80018                   ; all, me included
    WINDOW
    CHECK [trail], 0x182a28
    MMIO EOI, 0
    ENDTEST

    TEST "illegal vectors are errors"
    call clear
    MMIO ESR, 0
    MMIO ESR, 0
    CHECK [ESR], 0
    MMIO LVTERR, 0x29
    MMIO ICR, SELF | 0x05
    WINDOW
    CHECK [trail], 0x29
    MMIO EOI, 0
    MMIO LVTERR, MASKED
    MMIO ESR, 0
    mov eax, [ESR]
    and eax, 0x60                       ; sent or received
    setnz al
    movzx eax, al
    CHECK eax, 1
    MMIO ESR, 0
    CHECK [ESR], 0
    ENDTEST

    TEST "an NMI to myself"
    call clear
    HANDLER 2, note_nmi
    MMIO ICR2, 0
    MMIO ICR, 0x400
    times 8 nop
    CHECK [nmis], 1
    ENDTEST

    TEST "the timer counts down once"
    call clear
    MMIO DIVIDE, 0xb                    ; by 1
    MMIO LVTT, 0x28
    MMIO INITIAL, 100000
    sti
    hlt
    cli
    CHECK [trail], 0x28
    CHECK [CURRENT], 0
    MMIO EOI, 0
    MMIO LVTT, MASKED | 0x28
    MMIO INITIAL, 1000
.run_out:
    cmp dword [CURRENT], 0
    jne .run_out
    MMIO LVTT, 0x28                     ; it ran out while masked
    WINDOW
    CHECK [trail], 0x28
    MMIO INITIAL, 1000000000
    mov eax, [CURRENT]
    sub eax, [CURRENT]                  ; it moves
    not eax
    shr eax, 31
    CHECK eax, 1
    MMIO INITIAL, 0
    CHECK [CURRENT], 0
    ENDTEST

    TEST "the periodic timer goes on until stopped"
    call clear
    HANDLER 0x28, count
    MMIO LVTT, 0x20028
    MMIO INITIAL, 100000
    sti
.periods:
    hlt
    cmp dword [ticks], 20
    jb .periods
    cli
    mov eax, [CURRENT]                  ; 1 ... 100000
    dec eax
    cmp eax, 100000
    setb al
    movzx eax, al
    CHECK eax, 1
    MMIO INITIAL, 0
    MMIO LVTT, MASKED
    WINDOW                              ; one may have waited
    HANDLER 0x28, note
    ENDTEST

    TEST "loops are interrupted by the timer"
    mov ebx, .spins
.each:
    mov eax, [ebx]
    test eax, eax
    jz .spun
    push ebx
    HANDLER 0x28, leave_loop
    MMIO LVTT, 0x28
    MMIO INITIAL, 200000
    mov ecx, -1
    sti
    jmp [ebx]
.out:
    cli
    pop ebx
    add ebx, 4
    jmp .each
.spin1:
    jmp $
.spin2:
    loop $
.spin3:
    mov eax, [LAPIC + 0x30]
    jmp .spin3
.spin4:
    MMIO TPR, 0
    jmp .spin4
.spin5:
    mov edi, FREE
    mov ecx, 0x100000
    rep stosb
    jmp .spin5
    align 4
.spins: dd .spin1, .spin2, .spin3, .spin4, .spin5, 0
loop_exit equ .out
.spun:
    HANDLER 0x28, note
    ENDTEST

    TEST "an edge through the I/O APIC: the 8254 at pin 2"
    call clear
    mov eax, 0x14                       ; entry 2
    mov edx, 0x28
    call entry_set
    mov ax, 2000
    mov cl, 0
    call pit_start
    mov al, 0xff                        ; not through the 8259A
    out 0x21, al
    sti
    hlt
    cli
    CHECK [trail], 0x28
    MMIO EOI, 0
    WINDOW
    CHECK [trail], 0x28
    mov eax, 0x14
    mov edx, MASKED | 0x28
    call entry_set
    call pit_stop
    ENDTEST

    TEST "I/O APIC: version, 24 pins"
    MMIO IOAPIC, 1
    mov eax, [IOAPIC + 0x10]
    and eax, 0xff00f0                   ; 1xh or 2xh
    cmp eax, 0x170010
    je .version
    CHECK eax, 0x170020
.version:
    MMIO IOAPIC, 0x3e                   ; pin 23
    CHECK [IOAPIC + 0x10], MASKED
    ENDTEST

    TEST "ExtINT again: the 8259A's vector, no EOI here"
    call clear
    MMIO LINT0, 0x700
    HANDLER 0x20, pic_tick
    mov dword [ticks], 0
    mov ax, 500
    mov cl, 0
    call pit_start
    sti
    hlt
    cli
    CHECK [ticks], 1
    CHECK [ISR + 0x10], 0
    MMIO TPR, 0xff                      ; ExtINT has no priority
    mov ax, 500
    mov cl, 0
    call pit_start
    sti
    hlt
    cli
    CHECK [ticks], 2
    MMIO TPR, 0
    call pit_stop
    ENDTEST

    TEST "switched off by software: masked, silent; LINT0 too"
    call clear
    MMIO SVR, 0x2f
    MMIO LVTT, 0x28
    CHECK [LVTT], MASKED | 0x28
    CHECK [LINT0], MASKED | 0x700
    MMIO SVR, 0x12f
    MMIO LVTT, MASKED
    ENDTEST

    TEST "switched off by the MSR: an AT"
    call clear
    mov ecx, 0x1b
    rdmsr
    mov [saved], eax
    and eax, ~0x800
    wrmsr
    mov eax, 1
    cpuid
    and edx, 1 << 9
    CHECK edx, 0
    mov dword [ticks], 0
    mov ax, 500
    mov cl, 0
    call pit_start
    sti
    hlt
    cli
    CHECK [ticks], 1
    call pit_stop
    mov ecx, 0x1b
    mov eax, [saved]
    xor edx, edx
    wrmsr
    CHECK [SVR], 0xff
    mov eax, 1
    cpuid
    and edx, 1 << 9
    CHECK edx, 1 << 9
    TRY .gp
    mov ecx, 0x1b
    mov eax, 0xfee00901                 ; a reserved bit
    xor edx, edx
    wrmsr
.gp:
    WANT_EXC 13, 0, -1
    ENDTEST
    ret

; eax: register of the low half, edx: its value; destination 0, physical
entry_set:
    inc eax
    mov [IOAPIC], eax
    mov dword [IOAPIC + 0x10], 0
    dec eax
    mov [IOAPIC], eax
    mov [IOAPIC + 0x10], edx
    ret

clear:
    mov dword [trail], 0
    mov dword [trail_bits], 0
    mov dword [ticks], 0
    mov dword [nmis], 0
    ret

note:                   ; appends the vector
    mov ecx, [trail_bits]
    mov eax, [ebp + F_VEC]
    shl eax, cl
    or [trail], eax
    add dword [trail_bits], 8
    mov eax, [ebp + F_EIP]
    mov [noted], eax
    ret
count:
    inc dword [ticks]
    MMIO EOI, 0
    ret
note_nmi:
    inc dword [nmis]
    ret
pic_tick:
    inc dword [ticks]
    mov al, 0x20
    out 0x20, al
    ret
leave_loop:
    MMIO EOI, 0
    mov dword [ebp + F_EIP], loop_exit
    ret

align 4
trail: dd 0
trail_bits: dd 0
noted: dd 0
ticks: dd 0
nmis: dd 0
saved: dd 0

IMAGE_END
