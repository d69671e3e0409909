; harness.asm - runs system cases one after the other and writes down what each did to the machine.
;
; The image is a BIOS ROM made by matrix.py: records of cases, a template of the arena, this harness, the reset vector.
; The harness copies itself to 8000h and works in flat 32-bit protected mode without paging. For each record it
; - starts from an arena (20000h-3FFFFh: GDT, IDT, LDT, TSSs, page tables, stacks, code, data) and an IVT that are the template's,
;   and a copy of both, and applies the record's patches to them;
; - loads the system registers of the record, then its segments and registers, and jumps into the case, in its mode and ring;
; - is entered again through any gate of the IDT or the IVT: each has a stub that saves the registers without a stack
;   (a case may well have broken it; DR2 and DR3 hold what there is no other place for);
; - prints the registers and every dword of arena and IVT that changed, on port E9h, and puts the template's back.
; A case that shuts the processor down comes back through the reset vector: state in RAM at 7C00h tells which one it was.
; The same image runs on NoVT and on Bochs and the two outputs are compared line by line.

HARNESS equ 0x8000
STATE equ 0x7c00            ; magic, record in progress (0: none), end
STATE_MAGIC equ 0x4d54564e
STACK equ 0x7c00
ARENA equ 0x20000
ARENA_BYTES equ 0x20000
TEMPLATE equ 0x100000
SNAPSHOT equ 0x140000
SNAPSHOT_IVT equ 0x160000
HCODE equ 0x08
HDATA equ 0x10
HCODE16 equ 0x18            ; base 8000h: on the way from and to real mode; in the harness's own GDT only
HDATA16 equ 0x20            ; base 0, limit FFFFh
HTSS equ 0x28               ; TR's in real mode
CHANGES_MAX equ 48

; Offsets in a record; matrix.py writes them in this order.
R_LENGTH equ 0
R_ID equ 4
R_FLAGS equ 8
F_REAL equ 1                ; starts in real mode
F_RING0 equ 2               ; starts by a far jump, else by IRET to an outer ring or v86 mode
F_FPU equ 4                 ; print FNSAVE
F_SSE equ 8                 ; print MXCSR and XMM0-7
F_IRQ equ 16                ; IRQ 0 is pending (vector 20h) before the case starts
R_EAX equ 12
R_ECX equ 16
R_EDX equ 20
R_EBX equ 24
R_EBP equ 28
R_ESI equ 32
R_EDI equ 36
R_ESP equ 40
R_SS equ 44
R_EIP equ 48
R_CS equ 52
R_EFLAGS equ 56
R_DS equ 60
R_ES equ 64
R_FS equ 68
R_GS equ 72
R_CR0 equ 76
R_CR3 equ 80
R_CR4 equ 84
R_GDTR equ 88               ; limit << 16, base
R_IDTR equ 96
R_LDTR equ 104
R_TR equ 108
R_DR equ 112                ; dr0 dr1 dr2 dr3 dr6 dr7
R_SYSENTER equ 136          ; cs esp eip
R_EFER equ 148
R_PATCHES equ 152           ; address, bytes, data padded to 4; address FFFFFFFFh ends

%ifdef RESET
; ---- the reset vector and what it needs, at the end of the ROM ----
org 0xffffff00
bits 16
boot16:
    cli
    in al, 0x92
    or al, 2
    and al, ~1
    out 0x92, al
    o32 lgdt [cs:(boot_gdtr - boot16) + 0xff00]
    mov eax, cr0
    or al, 1
    mov cr0, eax
    jmp dword HCODE:boot32
bits 32
boot32:
    mov ax, HDATA
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov esp, STACK
    cld
    mov esi, 0xffff0000
    mov edi, HARNESS
    mov ecx, 0x7000 / 4
    rep movsd
    mov eax, HARNESS
    jmp eax
align 4
boot_gdt:
    dq 0
    dq 0x00cf9a000000ffff
    dq 0x00cf92000000ffff
boot_gdtr:
    dw 23
    dd boot_gdt
    times 0xf0 - ($ - $$) db 0
bits 16
    jmp boot16
    times 0x100 - ($ - $$) db 0
%else

org HARNESS
bits 32
    jmp near main
    align 8
    dw stubs32, STUB32_BYTES, stubs16, STUB16_BYTES     ; matrix.py reads these
main:
    lgdt [gdtr]
    lidt [no_idt]
    cmp dword [STATE], STATE_MAGIC
    je .again
    mov esi, TEMPLATE_ROM
    mov edi, TEMPLATE
    mov ecx, (ARENA_BYTES + 0x400) / 4
    rep movsd
    mov esi, TEMPLATE
    mov edi, ARENA
    mov ecx, ARENA_BYTES / 4
    rep movsd
    xor edi, edi
    mov ecx, 0x400 / 4
    rep movsd
    mov esi, TEMPLATE
    mov edi, SNAPSHOT
    mov ecx, (ARENA_BYTES + 0x400) / 4
    rep movsd
    call pic_quiet
    mov dword [STATE], STATE_MAGIC
    mov ebp, RECORDS_ROM
    jmp run
.again:                     ; a case ended in a shutdown
    call pic_quiet
    mov ebp, [STATE + 4]
    mov esi, text_shutdown
    call puts
    call changes
    call newline
next:                       ; take the patches back
    mov ebp, [STATE + 4]
    lea ebx, [ebp + R_PATCHES]
.undo:
    mov edx, [ebx]
    cmp edx, -1
    je .undone
    mov edi, edx
    mov ecx, [ebx + 4]
    lea ebx, [ebx + ecx + 8 + 3]
    and ebx, ~3
    call copy_of
    jc .undo
    lea esi, [edx - (SNAPSHOT - TEMPLATE)]
    push esi
    push ecx
    rep movsb
    pop ecx
    pop esi
    mov edi, edx
    rep movsb
    jmp .undo
.undone:
    add ebp, [ebp + R_LENGTH]
run:                        ; ebp: the record
    mov [STATE + 4], ebp
    xor ebx, ebx            ; an interrupt may be taken before the case's registers are loaded
    cmp dword [ebp + R_LENGTH], 0
    je done
    mov al, '@'
    call putc
    mov eax, [ebp + R_ID]
    call puthex
    call newline
    ; the record's patches, also into the copy
    lea esi, [ebp + R_PATCHES]
.patch:
    lodsd
    cmp eax, -1
    je .patched
    mov edi, eax
    lodsd
    mov ecx, eax
    mov eax, esi
    mov edx, edi
    rep movsb
    call copy_of
    jc .next_patch
    mov edi, edx
    mov ecx, [eax - 4]
    mov esi, eax
    rep movsb
.next_patch:
    add esi, 3
    and esi, ~3
    jmp .patch
.patched:
    ; the processor
    mov eax, 0x11
    mov cr0, eax
    fninit
%rep 8                      ; nothing of earlier cases in registers that are empty
    fldz
%endrep
    fninit
    mov eax, 1
    cpuid
    test edx, 1 << 25       ; SSE
    jz .no_sse
    mov eax, 1 << 9         ; OSFXSR
    mov cr4, eax
    ldmxcsr [default_mxcsr]
%assign i 0
%rep 8
    xorps xmm%[i], xmm%[i]
%assign i i + 1
%endrep
    xor eax, eax
    mov cr4, eax
.no_sse:
    test dword [ebp + R_FLAGS], F_IRQ
    jz .no_irq
    call irq_pending
.no_irq:
    mov eax, 1
    cpuid
    test edx, 1 << 11       ; SEP
    jz .no_sysenter
    mov eax, [ebp + R_SYSENTER]
    xor edx, edx
    mov ecx, 0x174
    wrmsr
    inc ecx
    mov eax, [ebp + R_SYSENTER + 4]
    wrmsr
    inc ecx
    mov eax, [ebp + R_SYSENTER + 8]
    wrmsr
.no_sysenter:
    mov eax, [ebp + R_EFER]
    cmp eax, [efer]
    je .efer_set
    mov [efer], eax
    mov ecx, 0xc0000080
    wrmsr
.efer_set:
    mov eax, 0
    mov cr2, eax
    mov dr7, eax
    mov eax, [ebp + R_DR]
    mov dr0, eax
    mov eax, [ebp + R_DR + 4]
    mov dr1, eax
    mov eax, [ebp + R_DR + 8]
    mov dr2, eax
    mov eax, [ebp + R_DR + 12]
    mov dr3, eax
    mov eax, [ebp + R_DR + 16]
    mov dr6, eax
    ; registers that the last step takes from fixed places (the ROM may be hidden by the case's page tables)
    lea esi, [ebp + R_FLAGS]
    mov edi, in_flags
    mov ecx, (R_PATCHES - R_FLAGS) / 4
    rep movsd
    test dword [ebp + R_FLAGS], F_REAL
    jnz enter_real
    lgdt [in_gdtr]
    lidt [in_idtr]
    mov eax, [in_cr3]
    mov cr3, eax
    mov eax, [in_cr4]
    mov cr4, eax
    lldt [in_ldtr]
    cmp word [in_tr], 0
    je .no_tr
    ltr [in_tr]             ; writes to the GDT, which the case's tables may forbid
.no_tr:
    mov eax, [in_cr0]
    mov cr0, eax
    test dword [in_flags], F_RING0
    jnz .ring0
    test dword [in_eflags], 1 << 17
    jz .outer
    push dword [in_gs]
    push dword [in_fs]
    push dword [in_ds]
    push dword [in_es]
    push dword [in_ss]
    push dword [in_esp]
    push dword [in_eflags]
    push dword [in_cs]
    push dword [in_eip]
    call load_debug
    call load_regs
    iretd
.outer:
    push dword [in_ss]
    push dword [in_esp]
    push dword [in_eflags]
    push dword [in_cs]
    push dword [in_eip]
    call load_debug
    call load_regs
    call load_segs
    iretd
.ring0:
    push dword [in_eflags]
    popfd
    mov ax, [in_ss]
    mov ss, ax
    mov esp, [in_esp]
    mov eax, [in_dr7]
    mov dr7, eax
    mov eax, [in_eax]
    mov ecx, [in_ecx]
    mov edx, [in_edx]
    mov ebx, [in_ebx]
    mov ebp, [in_ebp]
    mov esi, [in_esi]
    mov edi, [in_edi]
    mov es, [in_es]
    mov fs, [in_fs]
    mov gs, [in_gs]
    mov ds, [in_ds]
    jmp far [cs:in_eip]
load_debug:
    mov eax, [in_dr7]
    mov dr7, eax
    ret
load_segs:
    mov es, [in_es]
    mov fs, [in_fs]
    mov gs, [in_gs]
    mov ds, [in_ds]
    ret
load_regs:
    mov eax, [in_eax]
    mov ecx, [in_ecx]
    mov edx, [in_edx]
    mov ebx, [in_ebx]
    mov ebp, [in_ebp]
    mov esi, [in_esi]
    mov edi, [in_edi]
    ret

enter_real:
    mov eax, [in_cr3]
    mov cr3, eax
    mov byte [gdt_tss + 5], 0x89    ; TR is not what an earlier case left
    mov ax, HTSS
    ltr ax
    mov eax, [in_cr4]
    mov cr4, eax
    lidt [in_idtr]
    mov eax, [in_dr7]
    mov dr7, eax
    mov ax, HDATA16
    mov ds, ax
    mov es, ax
    mov fs, ax
    mov gs, ax
    mov ss, ax
    jmp HCODE16:.code16 - HARNESS
bits 16
.code16:
    o32 lgdt [in_gdtr]
    mov eax, [in_cr0]
    mov cr0, eax
    jmp HARNESS >> 4:.real - HARNESS
.real:
    xor ax, ax
    mov ds, ax
    mov ss, ax
    mov sp, STACK
    push dword [in_eflags]
    popfd
    mov ss, [in_ss]
    mov esp, [in_esp]
    mov eax, [in_eax]
    mov ecx, [in_ecx]
    mov edx, [in_edx]
    mov ebx, [in_ebx]
    mov ebp, [in_ebp]
    mov esi, [in_esi]
    mov edi, [in_edi]
    mov es, [in_es]
    mov fs, [in_fs]
    mov gs, [in_gs]
    mov ds, [in_ds]
    jmp far dword [cs:in_eip - HARNESS]
bits 32

done:
    mov esi, text_done
    call puts
    mov dword [STATE], 0
    mov dx, 0x501
    mov al, 0x10
    out dx, al
    mov dx, 0x8900          ; Bochs
    mov esi, text_poweroff
.next:
    lodsb
    out dx, al
    test al, al
    jnz .next
    cli
    hlt
    jmp $

; ---- a vector was taken ----
%macro STUB 2
    mov dr2, eax
    mov al, %1
    jmp near %2
%endmacro
align 16
stubs32:
%assign v 0
%rep 256
    STUB v, on_event
%assign v v + 1
%endrep
STUB32_BYTES equ ($ - stubs32) / 256

%macro SAVE 0               ; flags stay as they came
    bswap eax
    mov ax, ds
    mov dr3, eax
%endmacro
%macro KEEP 0
    mov [out_esp], esp
    mov [out_ss], ss
    mov [out_ecx], ecx
    mov [out_edx], edx
    mov [out_ebx], ebx
    mov [out_ebp], ebp
    mov [out_esi], esi
    mov [out_edi], edi
    mov [out_es], es
    mov [out_fs], fs
    mov [out_gs], gs
    mov eax, dr2
    mov [out_eax], eax
    mov eax, dr3
    mov [out_ds], ax
    bswap eax
    mov [out_vector], al
    mov eax, cr0
    mov [out_cr0], eax
    mov eax, cr2
    mov [out_cr2], eax
    mov eax, cr3
    mov [out_cr3], eax
    mov eax, cr4
    mov [out_cr4], eax
    mov eax, dr6
    mov [out_dr6], eax
    mov eax, dr7
    mov [out_dr7], eax
    sgdt [out_gdtr]
    sidt [out_idtr]
%endmacro

on_event:
    SAVE
    mov ax, HDATA
    mov ds, ax
    KEEP
    str [out_tr]
    sldt [out_ldtr]
    mov ax, HDATA
    mov ss, ax
    mov esp, STACK
    pushfd
    pop dword [out_eflags]
collect:
    mov al, 2               ; A20 on
    out 0x92, al
    push dword 2            ; NT above all: the next case starts by an IRET
    popfd
    xor eax, eax
    mov dr7, eax
    mov eax, 0x11
    mov cr0, eax
    jmp .flushed            ; paging went off
.flushed:
    mov eax, [out_cr4]
    and eax, 0x200          ; CR4.OSFXSR: what FXSAVE saves depends on it
    mov cr4, eax
    lgdt [gdtr]
    lidt [no_idt]
    push dword 2            ; VIF and VIP: only IRET clears them
    push dword HCODE
    push dword .flags
    iretd
.flags:
    mov ax, HDATA
    mov es, ax
    mov fs, ax
    mov gs, ax
    xor eax, eax
    lldt ax
    mov ebp, [STATE + 4]
    ; what came of it
    mov al, 'v'
    call putc
    movzx eax, byte [out_vector]
    call puthex2
    mov ebx, names
    mov esi, out_eax
.register:
    mov al, ' '
    call putc
    mov al, [ebx]
    test al, al
    jz .registers_done
    cmp al, 10
    je .line
.name:
    mov al, [ebx]
    inc ebx
    call putc
    cmp al, '='
    jne .name
    lodsd
    call puthex
    jmp .register
.line:
    inc ebx
    call newline
    jmp .register
.registers_done:
    call newline
    test dword [ebp + R_FLAGS], F_SSE
    jz .no_sse
    mov edi, fx
    fxsave [edi]
    mov al, 'x'
    call putc
    mov eax, [fx + 24]
    call puthex
    lea esi, [fx + 160]
    mov ecx, 32
    call dump
.no_sse:
    test dword [ebp + R_FLAGS], F_FPU
    jz .no_fpu
    fnsave [fx]
    mov al, 'f'
    call putc
    mov esi, fx
    mov ecx, 27
    call dump
.no_fpu:
    xor eax, eax
    mov cr4, eax
    test dword [ebp + R_FLAGS], F_IRQ
    jz .no_irq
    call pic_quiet
.no_irq:
    call changes
    jmp next

bits 16
align 16
stubs16:
%assign v 0
%rep 256
    STUB v, on_event16
%assign v v + 1
%endrep
STUB16_BYTES equ ($ - stubs16) / 256

on_event16:                 ; in real mode
    SAVE
    mov ax, 0
    mov ds, ax
    KEEP
    mov ax, 0
    mov ss, ax
    mov esp, STACK
    pushfd
    pop dword [out_eflags]
    o32 lgdt [gdtr]
    mov eax, 0x11
    mov cr0, eax
    jmp dword HCODE:.flat
bits 32
.flat:
    mov ax, HDATA
    mov ds, ax
    mov ss, ax
    str [out_tr]
    sldt [out_ldtr]
    jmp collect

; ---- interrupts ----
pic_quiet:                  ; vectors 20h-2Fh, all masked, none pending
    mov al, 0x11
    out 0x20, al
    out 0xa0, al
    mov al, 0x20
    out 0x21, al
    mov al, 0x28
    out 0xa1, al
    mov al, 4
    out 0x21, al
    mov al, 2
    out 0xa1, al
    mov al, 1
    out 0x21, al
    out 0xa1, al
    mov al, 0xff
    out 0x21, al
    out 0xa1, al
    ret
irq_pending:                ; PIT channel 0 counts down once; its edge waits in the PIC
    mov al, 0xfe
    out 0x21, al
    mov al, 0x30
    out 0x43, al
    mov al, 8
    out 0x40, al
    mov al, 0
    out 0x40, al
.wait:
    mov al, 0x0a            ; OCW3: read the request register
    out 0x20, al
    in al, 0x20
    test al, 1
    jz .wait
    ret

; ---- output ----
changes:
    mov ebx, CHANGES_MAX
    mov esi, ARENA
    mov edi, SNAPSHOT
    mov ecx, ARENA_BYTES / 4
    call compare
    xor esi, esi
    mov edi, SNAPSHOT_IVT
    mov ecx, 0x400 / 4
compare:                    ; and put back what the template has
    cld
    test ecx, ecx
    jz .done
    repe cmpsd
    je .done
    dec ebx
    js .more
    mov al, 'm'
    call putc
    lea eax, [esi - 4]
    call puthex
    mov al, ' '
    call putc
    mov eax, [edi - 4]
    call puthex
    mov al, ' '
    call putc
    mov eax, [esi - 4]
    call puthex
    call newline
.restore:
    mov eax, [edi - 4 - (SNAPSHOT - TEMPLATE)]
    mov [edi - 4], eax
    mov [esi - 4], eax
    jmp compare
.more:
    cmp ebx, -1
    jne .restore
    mov al, '+'
    call putc
    call newline
    jmp .restore
.done:
    ret
copy_of:                    ; edx: address; becomes its place in the snapshot, or CF = 1: there is none
    cmp edx, 0x400
    jb .ivt
    cmp edx, ARENA
    jb .none
    cmp edx, ARENA + ARENA_BYTES
    jae .none
    add edx, SNAPSHOT - ARENA
    clc
    ret
.ivt:
    add edx, SNAPSHOT_IVT
    clc
    ret
.none:
    stc
    ret
dump:                       ; ecx dwords at esi
    mov al, ' '
    call putc
    lodsd
    call puthex
    loop dump
newline:
    mov al, 10
putc:
    out 0xe9, al
    ret
puts:
    lodsb
    test al, al
    jz .done
    call putc
    jmp puts
.done:
    ret
puthex2:
    ror eax, 8
    mov edx, 2
    jmp digits
puthex:
    mov edx, 8
digits:
    push ecx
    mov ecx, eax
.next:
    rol ecx, 4
    mov eax, ecx
    and eax, 15
    mov al, [hex + eax]
    out 0xe9, al
    dec edx
    jnz .next
    pop ecx
    ret

hex: db "0123456789abcdef"
text_shutdown: db "shutdown", 10, 0
text_done: db "done", 10, 0
text_poweroff: db "Shutdown", 0
names:
    db "a=", "c=", "d=", "b=", "sp=", "bp=", "si=", "di=", 10
    db "ss=", "ds=", "es=", "fs=", "gs=", "fl=", 10
    db "cr0=", "cr2=", "cr3=", "cr4=", "dr6=", "dr7=", 10
    db "gl=", "gb=", "il=", "ib=", "tr=", "ld=", 0
align 8
gdt:
    dq 0
    dq 0x00cf9a000000ffff
    dq 0x00cf92000000ffff
    dq 0x00009a008000ffff
    dq 0x000092000000ffff
gdt_tss:
    dq 0x0000890000000067
gdt_end:
gdtr:
    dw gdt_end - gdt - 1
    dd gdt
no_idt:
    dw 0
    dd 0
align 4
default_mxcsr: dd 0x1f80
efer: dd 0
out_eax: dd 0
out_ecx: dd 0
out_edx: dd 0
out_ebx: dd 0
out_esp: dd 0
out_ebp: dd 0
out_esi: dd 0
out_edi: dd 0
out_ss: dd 0
out_ds: dd 0
out_es: dd 0
out_fs: dd 0
out_gs: dd 0
out_eflags: dd 0
out_cr0: dd 0
out_cr2: dd 0
out_cr3: dd 0
out_cr4: dd 0
out_dr6: dd 0
out_dr7: dd 0
    dw 0
out_gdtr: dw 0              ; the limit is the upper half of a printed value
    dd 0
    dw 0
out_idtr: dw 0
    dd 0
out_tr: dd 0
out_ldtr: dd 0
out_vector: dd 0

in_flags: dd 0
in_eax: dd 0
in_ecx: dd 0
in_edx: dd 0
in_ebx: dd 0
in_ebp: dd 0
in_esi: dd 0
in_edi: dd 0
in_esp: dd 0
in_ss: dd 0
in_eip: dd 0
in_cs: dd 0
in_eflags: dd 0
in_ds: dd 0
in_es: dd 0
in_fs: dd 0
in_gs: dd 0
in_cr0: dd 0
in_cr3: dd 0
in_cr4: dd 0
    dw 0
in_gdtr: dw 0
    dd 0
    dw 0
in_idtr: dw 0
    dd 0
in_ldtr: dd 0
in_tr: dd 0
in_dr: times 5 dd 0
in_dr7: dd 0
in_sysenter: times 3 dd 0
in_efer: dd 0
align 16
fx: times 512 db 0
    times 0x7000 - ($ - $$) db 0
%endif
