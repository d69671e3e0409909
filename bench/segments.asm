; segments.asm - the guest of bench/segments: what 16-bit segmented code costs, in real mode and in 16-bit protected mode.
;
; Each metric is a loop of some instructions, run in rounds and timed with RDTSC by the guest itself; the least round is
; printed: "MODE NAME OPERATIONS CYCLES", the numbers in hexadecimal. The same source is assembled once for each mode, with the
; segment values as constants: CSEG, DSEG (the program), ESEG and FSEG (data).
%define REAL
%include "guest.inc"

%define OFF(x) (x - $$)
bits 16
ROUNDS equ 7
ES_SEL equ SEL0
FS_SEL equ SEL0 + 8
SS_SEL equ SEL0 + 16

; selector, base: 64 KiB of data
%macro DESC16 2
    mov dword [OFF(gdt) + (%1)], ((%2) & 0xffff) << 16 | 0xffff
    mov dword [OFF(gdt) + (%1) + 4], ((%2) >> 16 & 0xff) | 0x9200
%endmacro

; name, bodies in the loop, operations in a body, iterations; the bodies follow up to ENDMETRIC
%macro METRIC 4
    %push metric
    %define %$name %1
    mov dword [OFF(least)], -1
    mov dword [OFF(ops)], (%2) * (%3) * (%4)
    mov word [OFF(rounds)], ROUNDS
%$round:
    mov word [OFF(count)], %4
    call setup_%+M
    rdtsc
    mov [OFF(began)], eax
    mov ax, ESEG
%$loop:
%endmacro
%macro ENDMETRIC 0
    dec word [OFF(count)]
    jnz near %$loop
    rdtsc
    sub eax, [OFF(began)]
    cmp eax, [OFF(least)]
    jae %$worse
    mov [OFF(least)], eax
%$worse:
    dec word [OFF(rounds)]
    jnz near %$round
    call r_report
    db %$name, 0
    %pop
%endmacro

r_puts:                         ; ds:si
    lodsb
    test al, al
    jz .done
    out 0xe9, al
    jmp r_puts
.done:
    ret
r_hex:                          ; eax
    mov cx, 8
.next:
    rol eax, 4
    mov bl, al
    and bx, 15
    push ax
    mov al, [bx + OFF(digits)]
    out 0xe9, al
    pop ax
    loop .next
    mov al, ' '
    out 0xe9, al
    ret
r_report:                       ; the name follows the call
    mov si, OFF(mode_real)
    cmp byte [OFF(protected)], 0
    je .named
    mov si, OFF(mode_pm16)
.named:
    call r_puts
    pop si
    call r_puts
    push si
    mov al, ' '
    out 0xe9, al
    mov eax, [OFF(ops)]
    call r_hex
    mov eax, [OFF(least)]
    call r_hex
    mov al, 10
    out 0xe9, al
    ret

; What a DOS program does, per call: far call with arguments, a frame, LES, a loop over a string with a table, a DOS-like
; interrupt that saves everything, far return.
%macro COMPOSITE 0
composite_%+M:
    push bp
    mov bp, sp
    sub sp, 4
    push ds
    push es
    push si
    push di
    lds si, [bp + 6]
    les di, [bp + 10]
    mov cx, 16
    xor dx, dx
.next:
    lodsb
    add dl, al
    adc dh, 0
    xor al, 0x20
    stosb
    loop .next
    mov [bp - 2], dx
    lds si, [bp + 6]
    les di, [bp + 10]
    mov cx, 8
    rep movsw
    mov ah, 0x30
    int 0x40
    mov ax, [bp - 2]
    pop di
    pop si
    pop es
    pop ds
    mov sp, bp
    pop bp
    retf 8
dos_%+M:
    push ds
    push es
    push bx
    mov bx, DSEG
    mov ds, bx
    cmp ah, 0x30
    jne .other
    mov ax, 5
.other:
    inc word [OFF(dos_calls)]
    pop bx
    pop es
    pop ds
    iret
near_%+M:
    ret
far_%+M:
    retf
bare_%+M:
    iret
setup_%+M:
    mov ax, FSEG
    mov fs, ax
    mov es, ax
    mov di, 0x300               ; a string of 32 letters
    mov cx, 32
    mov al, 'a'
    rep stosb
    mov [es:di], cl
    mov ax, ESEG
    mov es, ax
    mov bx, OFF(buffer)
    mov si, OFF(buffer) + 0x100
    mov di, 0x300
    mov word [OFF(pointer)], 0x1234
    mov word [OFF(pointer) + 2], ESEG
    ret
%endmacro

%macro ALL_METRICS 0
    COMPOSITE
all_%+M:
    METRIC "alu", 16, 4, 1000
%rep 16
    add ax, dx
    sub bx, bx
    xor cx, ax
    inc dx
%endrep
    ENDMETRIC
    METRIC "load_store", 16, 2, 1000
%rep 16
    mov ax, [bx]
    mov [si + 2], ax
%endrep
    ENDMETRIC
    METRIC "load_store_byte", 16, 2, 1000
%rep 16
    mov al, [bx]
    mov [si + 2], al
%endrep
    ENDMETRIC
    METRIC "es_load_store", 16, 2, 1000
%rep 16
    mov ax, [es:bx]
    mov [es:di], ax
%endrep
    ENDMETRIC
    METRIC "push_pop", 16, 3, 1000
%rep 16
    push bx
    push si
    push di
    pop di
    pop si
    pop bx
%endrep
    ENDMETRIC
    METRIC "mov_es_ax", 16, 1, 500
%rep 16
    mov es, ax
%endrep
    ENDMETRIC
    METRIC "push_pop_es", 16, 1, 500
%rep 16
    push es
    pop es
%endrep
    ENDMETRIC
    METRIC "les", 16, 1, 500
%rep 16
    les bx, [OFF(pointer)]
%endrep
    ENDMETRIC
    METRIC "lodsb_stosb", 16, 1, 500
%rep 16
    lodsb
    stosb
%endrep
    ENDMETRIC
    METRIC "movsw", 16, 1, 200
%rep 16
    movsw
%endrep
    ENDMETRIC
    METRIC "rep_movsw_8", 8, 1, 100
%rep 8
    mov cx, 8
    rep movsw
%endrep
    ENDMETRIC
    METRIC "rep_movsw_1k", 1, 1, 100
    mov cx, 512
    xor si, si
    xor di, di
    rep movsw
    ENDMETRIC
    METRIC "rep_stosw_1k", 1, 1, 100
    mov cx, 512
    xor di, di
    rep stosw
    ENDMETRIC
    METRIC "repne_scasb_strlen", 1, 1, 100
    mov di, 0x300
    xor ax, ax
    mov cx, 0xffff
    push fs
    pop es
    repne scasb
    ENDMETRIC
    METRIC "repe_cmpsb_32", 1, 1, 100
    mov si, OFF(buffer)
    mov di, OFF(buffer)
    mov cx, 32
    push ds
    pop es
    repe cmpsb
    ENDMETRIC
    METRIC "call_ret", 16, 1, 500
%rep 16
    call near_%+M
%endrep
    ENDMETRIC
    METRIC "call_far", 16, 1, 200
%rep 16
    call CSEG:OFF(far_%+M)
%endrep
    ENDMETRIC
    METRIC "call_far_mem", 16, 1, 200
%rep 16
    call far [OFF(target_%+M)]
%endrep
    ENDMETRIC
    METRIC "push_cs_call_retf", 16, 1, 200
%rep 16
    push cs
    call far_%+M
%endrep
    ENDMETRIC
    METRIC "int_iret", 16, 1, 100
%rep 16
    int 0x41
%endrep
    ENDMETRIC
    METRIC "pushf_popf", 16, 1, 300
%rep 16
    pushf
    popf
%endrep
    ENDMETRIC
    METRIC "pushf_cli_popf", 16, 1, 300
%rep 16
    pushf
    cli
    popf
%endrep
    ENDMETRIC
    METRIC "pusha_popa", 16, 1, 200
%rep 16
    pusha
    popa
%endrep
    ENDMETRIC
    METRIC "enter_leave", 16, 1, 200
%rep 16
    enter 8, 0
    leave
%endrep
    ENDMETRIC
    METRIC "dos_composite", 1, 1, 200
    push es
    push word 0x300
    push fs
    push word 0x300
    call CSEG:OFF(composite_%+M)
    ENDMETRIC
    ret
%endmacro

%define M real
%define CSEG (BASE >> 4)
%define DSEG (BASE >> 4)
%define ESEG 0x4000
%define FSEG 0x5000
ALL_METRICS
%define M pm16
%define CSEG CODE16
%define DSEG DATA16
%define ESEG ES_SEL
%define FSEG FS_SEL
ALL_METRICS

real_main:
    mov ax, BASE >> 4
    mov ds, ax
    mov ax, 0x6000
    mov ss, ax
    mov sp, 0xf000
    xor ax, ax
    mov es, ax
    mov word [es:0x40 * 4], OFF(dos_real)
    mov word [es:0x40 * 4 + 2], BASE >> 4
    mov word [es:0x41 * 4], OFF(bare_real)
    mov word [es:0x41 * 4 + 2], BASE >> 4
    call all_real
    ; 16-bit protected mode: the same segments by descriptors
    DESC16 ES_SEL, 0x40000
    DESC16 FS_SEL, 0x50000
    DESC16 SS_SEL, 0x60000
    mov dword [OFF(idt) + 0x40 * 8], CODE16 << 16 | OFF(dos_pm16)
    mov dword [OFF(idt) + 0x40 * 8 + 4], 0x8600
    mov dword [OFF(idt) + 0x41 * 8], CODE16 << 16 | OFF(bare_pm16)
    mov dword [OFF(idt) + 0x41 * 8 + 4], 0x8600
    o32 lgdt [OFF(gdtr)]
    o32 lidt [OFF(idtr)]
    mov byte [OFF(protected)], 1
    mov eax, cr0
    or al, 1
    mov cr0, eax
    jmp CODE16:OFF(.in_pm16)
.in_pm16:
    mov ax, DATA16
    mov ds, ax
    mov ax, SS_SEL
    mov ss, ax
    mov sp, 0xf000
    call all_pm16
    mov dx, 0x501
    mov al, 0x10
    out dx, al
    cli
    hlt

align 4096, db 0                ; away from code: pages that mix both are another matter
least: dd 0
ops: dd 0
began: dd 0
pointer: dd 0
count: dw 0
rounds: dw 0
dos_calls: dw 0
target_real: dw OFF(far_real), BASE >> 4
target_pm16: dw OFF(far_pm16), CODE16
protected: db 0
mode_real: db "real ", 0
mode_pm16: db "pm16 ", 0
digits: db "0123456789abcdef"
align 256, db 0
buffer: times 0x600 db 0
align 4096, db 0
bits 32
main:
    ret
IMAGE_END
