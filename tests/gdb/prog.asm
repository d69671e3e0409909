; prog.asm - what tests/gdb/rsp.py debugs: a 64 KiB BIOS image that goes through the modes and checks that nobody meddled.
;
; It copies itself to 10000h, runs a stretch of real mode, then flat 32-bit code, paging with an alias of its data at 40000000h, a
; breakpoint of its own in DR0, a loop in ring 3 that only a debugger ends, and leaves by isa-debug-exit: 10h (exit code 33) when the
; sum of its code is what it was and DR0 hit as often as it should, else 11h. `hlt_at` sleeps until the timer comes.
BASE equ 0x10000
CODE32 equ 0x08
DATA32 equ 0x10
UCODE32 equ 0x18 | 3
UDATA32 equ 0x20 | 3
TSS_SEL equ 0x28
DIRECTORY equ 0x80000
TABLE equ 0x81000
ALIAS equ 0x40000000
COUNTER equ 0x9000
OTHER equ 0xa000        ; a page that nobody touches

[map symbols prog.map]
org BASE
bits 16

entry16:
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov al, 0xff
    out 0x21, al
    out 0xa1, al
    mov word [0x40 * 4], handler16 - BASE
    mov word [0x40 * 4 + 2], BASE >> 4
    mov dword [COUNTER], 0
    mov cx, 3
real_loop:
    call tick16
real_next:
    loop real_loop
    mov ax, 0x2000
ss_at:
    mov ss, ax
ss_next:
    mov sp, 0x8000
sti_at:
    sti
sti_next:
    nop
    cli
    mov si, 0x600
    mov di, 0x700
    mov cx, 3
rep_at:
    rep movsb
rep_next:
    int 0x40
int_next:
    jmp 0x1001:far16 - BASE - 0x10
far16:
    o32 lgdt [cs:gdtr - BASE - 0x10]
    mov eax, cr0
    or al, 1
    mov cr0, eax
pe_next:
    jmp dword CODE32:start32

tick16:
    inc dword [COUNTER]
    ret
handler16:
    iret

bits 32
start32:
    mov ax, DATA32
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov fs, ax
    mov gs, ax
    mov esp, 0x70000
    lidt [idtr]
    mov ax, TSS_SEL
    ltr ax
    fninit
    call checksum
    mov [sum], eax
    fldpi
    mov eax, 0x3f800000
    mov ecx, 1000
loop32:
    call tick32
    loop loop32
    int 0x30
int32_next:
    ; paging: 4 MiB identity by small pages, and the first of them again at ALIAS
    mov edi, DIRECTORY
    xor eax, eax
    mov ecx, 2048
clear_at:
    rep stosd
    mov edi, TABLE
    mov eax, 7
    mov ecx, 1024
fill_at:
    stosd
    add eax, 0x1000
    loop fill_at
    mov dword [DIRECTORY], TABLE + 7
    mov dword [DIRECTORY + (ALIAS >> 22) * 4], TABLE + 7
    mov eax, DIRECTORY
    mov cr3, eax
    mov eax, cr0
    or eax, 0x80000000
    mov cr0, eax
paged:
    mov eax, [ALIAS + COUNTER]
alias_next:
    mov [ALIAS + COUNTER + 4], eax
    ; a breakpoint of the guest's own
    mov eax, own_at
    mov dr0, eax
    mov eax, 0x401
    mov dr7, eax
    mov ecx, 5
own_loop:
    nop
own_at:
    nop
    loop own_loop
    xor eax, eax
    mov dr7, eax
    ; the timer, at 100 Hz, wakes a HLT
    mov al, 0x11
    out 0x20, al
    mov al, 0x20
    out 0x21, al
    mov al, 4
    out 0x21, al
    mov al, 1
    out 0x21, al
    mov al, 0xfe
    out 0x21, al
    mov al, 0x34
    out 0x43, al
    mov al, 0x9c
    out 0x40, al
    mov al, 0x2e
    out 0x40, al
    sti
hlt_at:
    hlt
hlt_next:
    cli
    mov al, 0xff
    out 0x21, al
    push dword UDATA32
    push dword 0x78000
    push dword 0x202
    push dword UCODE32
    push dword user
iret_at:
    iretd

tick32:
    inc dword [COUNTER]
tick32_next:
    mov edx, [COUNTER]
    ret
handler30:
    nop
    iretd
timer:
    push eax
    mov al, 0x20
    out 0x20, al
    pop eax
    iretd
debug:
    inc dword [own_hits]
    or dword [esp + 8], 0x10000         ; RF
    iretd
finish:
    call checksum
    cmp eax, [sum]
    jne .bad
    cmp dword [own_hits], 5
    jne .bad
    mov al, 0x10
    jmp .out
.bad:
    mov al, 0x11
.out:
    mov dx, 0x501
    out dx, al
    jmp $

checksum:                               ; of everything up to `data`
    mov esi, BASE
    mov ecx, (data - $$) / 4
    xor edx, edx
.next:
    lodsd
    add edx, eax
    rol edx, 3
    loop .next
    mov eax, edx
    ret

    align 4096
user:
    mov ax, UDATA32
    mov ds, ax
    mov es, ax
    mov esi, 0x7f000
    mov dword [esi], 0
    mov dword [esi + 4], 0
    jmp user_loop
    align 4096
user_loop:
    call user_tick
    mov eax, [esi + 4]
    test eax, eax
    jz user_loop
    int 0x31
user_tick:
    mov ecx, 10000
.spin:
    loop .spin
    inc dword [esi]
    ret
    align 4096

data:
sum: dd 0
own_hits: dd 0
gdtr: dw gdt_end - gdt - 1
    dd gdt
idtr: dw 0x32 * 8 - 1
    dd idt
    align 8
gdt:
    dq 0
    dq 0x00cf9b000000ffff
    dq 0x00cf93000000ffff
    dq 0x00cffb000000ffff
    dq 0x00cff3000000ffff
    dw 103, tss - $$
    db 1, 0x89, 0, 0
gdt_end:
%define LOW(x) ((x) - $$)
idt:
    times 1 dq 0
    dw LOW(debug), CODE32, 0x8e00, 1
    times 0x1e dq 0
    dw LOW(timer), CODE32, 0x8e00, 1       ; 20h
    times 0x0f dq 0
    dw LOW(handler30), CODE32, 0xee00, 1   ; 30h
    dw LOW(finish), CODE32, 0xee00, 1      ; 31h
tss:
    dd 0, 0x6f000, DATA32
    times 104 - 12 db 0

    times 0xff00 - ($ - $$) db 0
bits 16
stub:
    cld
    mov ax, 0xf000
    mov ds, ax
    mov ax, BASE >> 4
    mov es, ax
    xor si, si
    xor di, di
    mov cx, 0x8000
    rep movsw
    in al, 0x92
    or al, 2
    and al, ~1
    out 0x92, al
stub_end:
    jmp (BASE >> 4):0
    times 0xfff0 - ($ - $$) db 0
reset:
    jmp 0xf000:stub - BASE
    times 0x10000 - ($ - $$) db 0
