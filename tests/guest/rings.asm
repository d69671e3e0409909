; rings.asm - privilege: ring 3 and back by every way, checks of rights, gates, tasks, 16-bit protected mode.
%include "guest.inc"

USTACK equ 0x70000
DONE equ 0x2e           ; INT that ends a ring 3 stretch

; Goes to ring 3 at %1 with flags %2. Ends where TRY says.
%macro USER 2
    mov ax, UDATA32
    mov ds, ax
    mov es, ax
    push dword UDATA32
    push dword USTACK
    push dword %2
    push dword UCODE32
    push dword %1
    iret
%endmacro

main:
    or word [idt + DONE * 8 + 4], 0x6000

    TEST "ring 3 by IRET, back by INT"
    TRY .r1
    USER .r1_user, 0x002
.r1_user:
    mov eax, cs
    mov ebx, ss
    push dword 0x77
    mov ecx, esp
    int DONE
.r1_back:
.r1:
    WANT_EXC DONE, -1, .r1_back
    CHECK [EXC_EAX], UCODE32
    CHECK [EXC_EBX], UDATA32
    CHECK [EXC_ECX], USTACK - 4
    CHECK [exc_cs], UCODE32
    CHECK [exc_uesp], USTACK - 4
    CHECK [exc_uss], UDATA32
    CHECK [USTACK - 4], 0x77
    CHECK [exc_at], ESP0 - 8
    ENDTEST

    TEST "gate of DPL 0 from ring 3"
    TRY .r2
    USER .r2_user, 0x002
.r2_user:
    int 0x21
.r2:
    WANT_EXC 13, 0x21 * 8 + 2, .r2_user
    ENDTEST

    TEST "privileged instructions in ring 3"
    mov esi, privileged
.priv:
    mov [at_insn], esi
    TRY .priv_done
    USER [at_insn], 0x002
.priv_done:
    mov esi, [at_insn]
    WANT_EXC 13, 0, esi
    add esi, 8
    cmp esi, privileged_end
    jb .priv
    ENDTEST

    TEST "IOPL 3: CLI and STI; POPF changes IF"
    TRY .iopl
    USER .iopl_user, 0x3002
.iopl_user:
    sti
    pushf
    pop eax
    cli
    pushf
    pop ebx
    push dword 0x202
    popf
    pushf
    pop ecx
    cli
    int DONE
.iopl:
    WANT_EXC DONE, -1, -1
    CHECK [EXC_EAX], 0x3202
    CHECK [EXC_EBX], 0x3002
    CHECK [EXC_ECX], 0x3202
    TRY .iopl0
    USER .iopl0_user, 0x0002
.iopl0_user:
    push dword 0x3247
    popf
    pushf
    pop eax
    int DONE
.iopl0:
    WANT_EXC DONE, -1, -1
    CHECK [EXC_EAX], 0x47           ; neither IF nor IOPL
    ENDTEST

    TEST "I/O permission bitmap"
    TRY .io1
    USER .io_user, 0x002
.io_user:
    mov dx, 0x80
    in al, dx
.io1:
    WANT_EXC 13, 0, .io_user + 4
    and byte [tss_iomap + 0x80 / 8], ~1
    TRY .io2
    USER .io_user2, 0x002
.io_user2:
    mov dx, 0x80
    in al, dx
    int DONE
.io2:
    WANT_EXC DONE, -1, -1
    TRY .io3
    USER .io_user3, 0x002
.io_user3:
    mov dx, 0x80
.io3_at:
    in ax, dx                       ; needs port 81h too
.io3:
    WANT_EXC 13, 0, .io3_at
    or byte [tss_iomap + 0x80 / 8], 1
    ENDTEST

    TEST "IRET to ring 3 nulls ring 0 data segments"
    TRY .null
    push dword UDATA32
    push dword USTACK
    push dword 2
    push dword UCODE32
    push dword .null_user
    iret
.null_user:
    mov ecx, ds
    mov ebx, es
.null_at:
    mov eax, [0]
.null:
    WANT_EXC 13, 0, .null_at
    CHECK [EXC_ECX], 0
    CHECK [EXC_EBX], 0
    ENDTEST

    TEST "segment loads check privilege"
    TRY .seg
    USER .seg_user, 2
.seg_user:
    mov ax, DATA32
.seg_at:
    mov fs, ax
.seg:
    WANT_EXC 13, DATA32, .seg_at
    TRY .seg2
    USER .seg2_user, 2
.seg2_user:
    mov ax, UDATA32 & ~3
.seg2_at:
    mov ss, ax
.seg2:
    WANT_EXC 13, UDATA32 & ~3, .seg2_at
    ENDTEST

    TEST "call gate with parameters"
    mov dword [gdt + SEL0], CODE32 << 16
    mov dword [gdt + SEL0 + 4], 0x0000ec02      ; DPL 3, two parameters
    mov eax, gate_target
    mov [gdt + SEL0], ax
    shr eax, 16
    mov [gdt + SEL0 + 6], ax
    TRY .cg
    USER .cg_user, 2
.cg_user:
    push dword 0x1111
    push dword 0x2222
    call SEL0 | 3:0
.cg_back:
    mov ecx, cs
    mov edx, esp
    int DONE
.cg:
    WANT_EXC DONE, -1, -1
    CHECK [EXC_ECX], UCODE32
    CHECK [EXC_EDX], USTACK
    CHECK [gate_seen], 0x2222
    CHECK [gate_seen + 4], 0x1111
    CHECK [gate_seen + 8], UCODE32
    CHECK [gate_seen + 12], CODE32
    CHECK [gate_seen + 16], ESP0 - 24
    CHECK [gate_seen + 20], USTACK - 8
    and byte [gdt + SEL0 + 5], ~0x60            ; DPL 0
    TRY .cg2
    USER .cg2_user, 2
.cg2_user:
    call SEL0 | 3:0
.cg2:
    WANT_EXC 13, SEL0, .cg2_user
    ENDTEST

    TEST "conforming code"
    DESC SEL0, 0, 0xfffff, 0x9e, 0xc
    TRY .conf
    USER .conf_user, 2
.conf_user:
    call SEL0:.conf_code
    int DONE
.conf_code:
    mov eax, cs
    retf
.conf:
    WANT_EXC DONE, -1, -1
    CHECK [EXC_EAX], SEL0 | 3
    ENDTEST

    TEST "SYSENTER and SYSEXIT"
    xor edx, edx
    mov ecx, 0x174
    mov eax, CODE32
    wrmsr
    mov ecx, 0x175
    mov eax, ESP0 - 0x100
    wrmsr
    mov ecx, 0x176
    mov eax, sysenter_target
    wrmsr
    TRY .se
    USER .se_user, 0x3202 - 0x200
.se_user:
    mov ecx, USTACK - 0x40
    mov edx, .se_back
    sysenter
    ud2
.se_back:
    mov ebx, cs
    mov esi, ss
    mov edi, esp
    int DONE
.se:
    WANT_EXC DONE, -1, -1
    CHECK [sysenter_seen], CODE32
    CHECK [sysenter_seen + 4], DATA32
    CHECK [sysenter_seen + 8], ESP0 - 0x100
    CHECK [EXC_EBX], UCODE32
    CHECK [EXC_ESI], UDATA32
    CHECK [EXC_EDI], USTACK - 0x40
    CHECK [EXC_EAX], 0xfeed
    xor eax, eax
    xor edx, edx
    mov ecx, 0x174
    wrmsr
    TRY .se2
    USER .se2_user, 2
.se2_user:
    sysenter                                    ; no CS: #GP(0)
.se2:
    WANT_EXC 13, 0, .se2_user
    ENDTEST

    TEST "LAR, LSL, VERR, VERW, ARPL"
    mov ebx, CODE32
    xor eax, eax
    lar eax, ebx
    setz cl
    movzx ecx, cl
    CHECK ecx, 1
    CHECK eax, 0x00cf9b00 & 0x00f0ff00 | 0x000f0000
    mov eax, 0x55
    mov bx, 0x1238
    lar eax, ebx
    setz cl
    movzx ecx, cl
    CHECK ecx, 0
    CHECK eax, 0x55
    mov bx, DATA16
    lsl eax, ebx
    CHECK eax, 0xffff
    mov bx, DATA32
    lsl eax, ebx
    CHECK eax, 0xffffffff
    mov ax, CODE32
    verr ax
    setz cl
    verw ax
    setz ch
    movzx ecx, cx
    CHECK ecx, 1
    mov ax, UDATA32
    verw ax
    setz cl
    movzx ecx, cl
    CHECK ecx, 1
    mov eax, 0x10
    mov ebx, 0x3
    arpl ax, bx
    setz cl
    movzx ecx, cl
    CHECK ecx, 1
    CHECK eax, 0x13
    arpl ax, bx
    setz cl
    movzx ecx, cl
    CHECK ecx, 0
    ENDTEST

    TEST "16-bit protected mode"
    TRY .p16
    push ebp
    mov ebp, esp
    jmp CODE16:p16_code - BASE
p16_back:
    mov ebx, esp
    CHECK ebx, ebp
    pop ebp
.p16:
    jmp main.p16
main.p16:
    NO_EXC
    CHECK [p16_seen], 0x00015678                ; 16-bit arithmetic wrapped
    CHECK [p16_seen + 4], CODE16
    CHECK [p16_seen + 8], 0x5566
    call back_to_flat
    ENDTEST

    TEST "task switch and back"
    mov edi, FREE
    mov ecx, 26
    xor eax, eax
    rep stosd
    mov dword [FREE + 0x20], task_entry
    mov dword [FREE + 0x24], 2
    mov dword [FREE + 0x28], 0xaaaa             ; eax
    mov dword [FREE + 0x38], STACK0 - 0x800     ; esp
    mov dword [FREE + 0x44], 0xeeee             ; edi
    mov dword [FREE + 0x48], DATA32
    mov dword [FREE + 0x4c], CODE32
    mov dword [FREE + 0x50], DATA32
    mov dword [FREE + 0x54], DATA32
    mov dword [FREE + 0x58], DATA32
    mov dword [FREE + 0x5c], DATA32
    DESC SEL0, FREE, 103, 0x89, 0
    TRY .task
    mov ebx, 0x1234
    call SEL0:0
    CHECK ebx, 0x1234
    CHECK [task_seen], 0xaaaa
    CHECK [task_seen + 4], 0xeeee
    CHECK [task_seen + 8], SEL0
    mov eax, [task_seen + 12]
    and eax, 0x4000
    CHECK eax, 0x4000                           ; NT
    movzx eax, word [FREE]
    CHECK eax, TSS                              ; back link
    str ax
    movzx eax, ax
    CHECK eax, TSS
    mov eax, cr0
    and eax, 8
    CHECK eax, 8                                ; TS
    clts
    movzx eax, byte [gdt + SEL0 + 5]
    CHECK eax, 0x89                             ; not busy any more
.task:
    NO_EXC
    ENDTEST

    TEST "exception by task gate"
    mov dword [FREE + 0x20], task_fault
    mov dword [FREE + 0x24], 2
    mov dword [FREE + 0x38], STACK0 - 0x800
    mov dword [idt + 6 * 8], SEL0 << 16
    mov dword [idt + 6 * 8 + 4], 0x8500
    xor eax, eax
    mov ecx, 5
.tg_at:
    ud2
    CHECK ecx, 6
    CHECK [task_seen], .tg_at
    mov dword [idt + 6 * 8 + 4], 0x8e00
    GATE 6, stubs + 6 * STUB_BYTES, 0
    clts
    ENDTEST

    TEST "alignment check in ring 3"
    mov eax, cr0
    or eax, 1 << 18
    mov cr0, eax
    TRY .ac
    USER .ac_user, 0x40002
.ac_user:
    mov eax, [at_insn]
    mov ebx, 5
.ac_at:
    mov eax, [at_insn + 1]
.ac:
    WANT_EXC 17, 0, .ac_at
    CHECK [EXC_EBX], 5
    TRY .ac2
    USER .ac2_user, 0x0002
.ac2_user:
    mov eax, [at_insn + 1]
    int DONE
.ac2:
    WANT_EXC DONE, -1, -1
    mov eax, cr0
    and eax, ~(1 << 18)
    mov cr0, eax
    ENDTEST

    TEST "single step over ring changes"
    mov dword [vec_handler + 4], step_handler
    mov dword [step_count], 0
    TRY .ss
    USER .ss_user, 0x102
.ss_user:
    nop
    nop
    int DONE                        ; clears TF
.ss:
    WANT_EXC DONE, -1, -1
    mov dword [vec_handler + 4], 0
    CHECK [step_count], 2
    mov eax, [exc_flags]
    and eax, 0x100
    CHECK eax, 0x100                ; saved with it
    ENDTEST

    TEST "flags that ring 3 cannot touch survive"
    TRY .fl
    USER .fl_user, 0x0002
.fl_user:
    push dword 0x3ffed7             ; everything but TF and reserved bits
    and dword [esp], ~0x40000       ; no AC
    popf
    pushf
    pop eax
    int DONE
.fl:
    WANT_EXC DONE, -1, -1
    mov eax, [EXC_EAX]
    and eax, 0x1b7200               ; VIP VIF RF VM, IOPL, IF, NT... of these only NT is ring 3's
    CHECK eax, 0x4000
    ENDTEST
    ret

back_to_flat:
    mov ax, DATA32
    mov ds, ax
    mov es, ax
    ret

step_handler:
    inc dword [step_count]
    ret

gate_target:                        ; params at esp + 8
    push eax
    mov ax, DATA32
    mov ds, ax
    mov eax, [esp + 12]
    mov [gate_seen], eax
    mov eax, [esp + 16]
    mov [gate_seen + 4], eax
    mov eax, [esp + 8]
    mov [gate_seen + 8], eax
    mov [gate_seen + 12], cs
    lea eax, [esp + 4]
    mov [gate_seen + 16], eax
    mov eax, [esp + 20]
    mov [gate_seen + 20], eax
    mov ax, UDATA32
    mov ds, ax
    pop eax
    retf 8

sysenter_target:
    mov ax, DATA32
    mov ds, ax
    mov [sysenter_seen], cs
    mov [sysenter_seen + 4], ss
    mov [sysenter_seen + 8], esp
    mov ax, UDATA32
    mov ds, ax
    mov eax, 0xfeed
    sysexit

task_entry:
    mov [task_seen], eax
    mov [task_seen + 4], edi
    str ax
    movzx eax, ax
    mov [task_seen + 8], eax
    pushf
    pop dword [task_seen + 12]
    clts
    iret

; #UD by task gate: the interrupted task's EIP and ECX lie in its TSS.
task_fault:
    mov eax, [tss + 0x20]
    mov [task_seen], eax
    add dword [tss + 0x20], 2       ; over UD2
    inc dword [tss + 0x2c - 0]      ; ECX
    clts
    iret

bits 16
p16_code:
    mov ax, DATA16
    mov ds, ax
    mov ax, 0xfff0
    add ax, 0x10
    mov word [p16_seen - $$ + 2], 1
    jnz .bad
    mov word [p16_seen - $$], 0x5678
.bad:
    mov ax, cs
    mov [p16_seen - $$ + 4], ax
    call .sub
    mov [p16_seen - $$ + 8], bx
    mov ax, DATA32
    mov ds, ax
    jmp dword CODE32:p16_back
.sub:
    mov bx, 0x5566
    ret
bits 32

%macro PRIV 1+
    align 8
    %1
    align 8
%endmacro
align 8
privileged:
    PRIV hlt
    PRIV cli
    PRIV sti
    PRIV mov eax, cr0
    PRIV mov cr3, eax
    PRIV lgdt [gdtr]
    PRIV lidt [idtr]
    PRIV lldt ax
    PRIV ltr ax
    PRIV lmsw ax
    PRIV clts
    PRIV invlpg [eax]
    PRIV wbinvd
    PRIV invd
    PRIV mov eax, dr7
    PRIV rdmsr
    PRIV wrmsr
    PRIV in al, 0x60
    PRIV out 0x80, al
    PRIV insb
    PRIV outsb
    PRIV sysexit
privileged_end:

align 4
at_insn: dd 0
gate_seen: times 6 dd 0
sysenter_seen: times 3 dd 0
p16_seen: times 3 dd 0
task_seen: times 4 dd 0
step_count: dd 0
IMAGE_END
