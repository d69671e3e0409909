; paging.asm - 4 KiB, 4 MiB and PAE paging: page-fault error codes, accessed and dirty bits, coherency by TLB rules.
%include "guest.inc"

PD equ FREE + 0x100000          ; page directory; PDPT under PAE
PT0 equ PD + 0x1000             ; identity map of the first 4 MiB
PT1 equ PD + 0x2000             ; 400000h..7fffffh: free for tests
PAE_PD equ PD + 0x3000
PAE_PT equ PD + 0x4000          ; 400000h..5fffffh under PAE
V equ 0x400000                  ; the tests' pages
P1 equ FREE + 0x10000           ; physical pages
P2 equ FREE + 0x11000
USTACK equ 0x70000
DONE equ 0x2e

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

; page %1 of the test area = %2 (address | flags), flushed
%macro MAP 2
    mov dword [PT1 + (%1) * 4], %2
    invlpg [V + (%1) * 0x1000]
%endmacro

; mark P1 with 11111111h, P2 with 22222222h
marks:
    mov dword [P1], 0x11111111
    mov dword [P2], 0x22222222
    ret

flush:
    push eax
    mov eax, cr3
    mov cr3, eax
    pop eax
    ret

tables:
    TABLES PD, 0x5000, PT0
    mov dword [PD], PT0 | 7
    mov dword [PD + 4], PT1 | 7
    ret

paging_on:
    mov eax, PD
    mov cr3, eax
    mov eax, cr0
    or eax, 0x80000000
    mov cr0, eax
    ret
paging_off:
    mov eax, cr0
    and eax, 0x7ffeffff
    mov cr0, eax
    ret

main:
    or word [idt + DONE * 8 + 4], 0x6000
    call tables
    call paging_on
    call marks

    TEST "translation"
    MAP 0, P1 | 7
    MAP 1, P2 | 7
    CHECK [V], 0x11111111
    CHECK [V + 0x1000], 0x22222222
    mov dword [V + 0x1ffc], 0x1234
    CHECK [P2 + 0xffc], 0x1234
    mov eax, 0x89abcdef                 ; over the page boundary
    mov [V + 0xffe], eax
    movzx ebx, word [P1 + 0xffe]
    CHECK ebx, 0xcdef
    movzx ebx, word [P2]
    CHECK ebx, 0x89ab
    CHECK [V + 0xffe], 0x89abcdef
    call marks
    ENDTEST

    TEST "error codes in ring 0"
    MAP 2, 0
    TRY .e0
    mov ebx, V + 0x2010
.e0_at:
    mov eax, [ebx]
.e0:
    WANT_EXC 14, 0, .e0_at
    CHECK [exc_cr2], V + 0x2010
    TRY .e2
    push ebx
.e2_at:
    mov [V + 0x2ffc], eax
.e2:
    WANT_EXC 14, 2, .e2_at
    CHECK [exc_cr2], V + 0x2ffc
    MAP 2, P1 | 1                       ; read-only: ring 0 may write while CR0.WP is clear
    TRY .wp0
    mov dword [V + 0x2000], 0x33
.wp0:
    NO_EXC
    CHECK [P1], 0x33
    call marks
    mov eax, cr0
    or eax, 1 << 16
    mov cr0, eax
    TRY .wp1
    mov eax, [V + 0x2000]
    CHECK eax, 0x11111111
.wp1_at:
    inc dword [V + 0x2000]
.wp1:
    WANT_EXC 14, 3, .wp1_at
    CHECK [P1], 0x11111111
    mov eax, cr0
    and eax, ~(1 << 16)
    mov cr0, eax
    TRY .wp2
    mov dword [V + 0x2000], 0x44
.wp2:
    NO_EXC
    CHECK [P1], 0x44
    call marks
    TRY .fetch
    mov eax, V + 0x3000
    MAP 3, 0
    jmp eax
.fetch:
    WANT_EXC 14, 0, V + 0x3000
    CHECK [exc_cr2], V + 0x3000
    TRY .pde
    mov al, [0x800123]                  ; no directory entry
.pde:
    WANT_EXC 14, 0, -1
    CHECK [exc_cr2], 0x800123
    TRY .rmw
    MAP 2, 0
    xor ecx, ecx
.rmw_at:
    add dword [V + 0x2004], 1           ; read-modify-write faults as a write
.rmw:
    WANT_EXC 14, 2, .rmw_at
    ENDTEST

    TEST "error codes in ring 3"
    MAP 0, P1 | 3                       ; supervisor
    MAP 1, P1 | 5                       ; user, read-only
    MAP 2, 0
    TRY .u1
    USER .u1_user, 2
.u1_user:
    mov eax, [V]
.u1:
    WANT_EXC 14, 5, .u1_user
    TRY .u2
    USER .u2_user, 2
.u2_user:
    mov [V + 8], eax
.u2:
    WANT_EXC 14, 7, .u2_user
    CHECK [exc_cr2], V + 8
    TRY .u3
    USER .u3_user, 2
.u3_user:
    mov eax, [V + 0x1000]
    mov ebx, eax
.u3_at:
    mov [V + 0x1000], eax
.u3:
    WANT_EXC 14, 7, .u3_at
    CHECK [EXC_EBX], 0x11111111
    TRY .u4
    USER .u4_user, 2
.u4_user:
    mov eax, [V + 0x2000]
.u4:
    WANT_EXC 14, 4, .u4_user
    TRY .u5
    USER .u5_user, 2
.u5_user:
    lock xadd [V + 0x2000], eax
.u5:
    WANT_EXC 14, 6, .u5_user
    TRY .u6
    USER V + 4, 2
.u6:
    WANT_EXC 14, 5, V + 4               ; fetch from a supervisor page
    and dword [PD + 4], ~4              ; the directory's U bit counts too
    call flush
    TRY .u7
    USER .u7_user, 2
.u7_user:
    mov eax, [V + 0x1000]
.u7:
    WANT_EXC 14, 5, .u7_user
    or dword [PD + 4], 4
    call flush
    ENDTEST

    TEST "ring 0 and ring 3 see one page with different rights"
    MAP 0, P1 | 3
    mov ecx, 20
.both:
    push ecx
    mov [V], ecx
    TRY .both_back
    USER .both_user, 2
.both_user:
    mov eax, [V]
.both_back:
    WANT_EXC 14, 5, .both_user
    pop ecx
    CHECK [P1], ecx
    dec ecx
    jnz .both
    call marks
    ENDTEST

    TEST "accessed and dirty bits"
    MAP 0, P1 | 7
    and dword [PD + 4], ~0x20
    call flush
    mov eax, [V]
    CHECK [PT1], P1 | 0x27
    mov eax, [PD + 4]
    and eax, 0x20
    CHECK eax, 0x20
    mov [V + 4], eax
    CHECK [PT1], P1 | 0x67
    MAP 0, P1 | 7                       ; written first
    mov byte [V + 8], 1
    CHECK [PT1], P1 | 0x67
    MAP 0, P1 | 0x27                    ; read while clean, then written without a flush: D is set
    mov eax, [V]
    mov [V], eax
    CHECK [PT1], P1 | 0x67
    MAP 0, P1 | 7
    TRY .ad
    USER .ad_user, 2
.ad_user:
    mov eax, [V]
    int DONE
.ad:
    WANT_EXC DONE, -1, -1
    CHECK [PT1], P1 | 0x27
    MAP 0, P1 | 5                       ; a fault sets nothing
    TRY .ad2
    USER .ad2_user, 2
.ad2_user:
    mov [V], eax
.ad2:
    WANT_EXC 14, 7, .ad2_user
    CHECK [PT1], P1 | 5
    MAP 3, V | 0
    MAP 3, P2 | 7                       ; the code's fetch sets A
    mov dword [P2], 0xc3
    mov eax, V + 0x3000
    call eax
    CHECK [PT1 + 12], P2 | 0x27
    call marks
    ENDTEST

    TEST "INVLPG and CR3 reload"
    MAP 0, P1 | 7
    mov eax, [V]
    mov dword [PT1], P2 | 7
    invlpg [V + 0x123]
    CHECK [V], 0x22222222
    mov dword [PT1], P1 | 7
    call flush
    CHECK [V], 0x11111111
    mov dword [V], 0x11111111           ; dirty in the shadow
    mov dword [PT1], P2 | 7
    call flush
    mov dword [V], 0x99
    CHECK [P1], 0x11111111
    CHECK [P2], 0x99
    call marks
    mov ecx, 200                        ; many switches of one page
.many:
    mov dword [PT1], P1 | 7
    call flush
    mov eax, [V]
    mov dword [PT1], P2 | 7
    invlpg [V]
    sub eax, [V]
    CHECK eax, 0x11111111 - 0x22222222
    dec ecx
    jnz .many
    ENDTEST

    TEST "not present to present needs no flush"
    MAP 0, 0
    TRY .np
    mov eax, [V]
.np:
    WANT_EXC 14, 0, -1
    mov dword [PT1], P1 | 7
    TRY .np2
    mov eax, [V]
.np2:
    NO_EXC
    CHECK eax, 0x11111111
    ENDTEST

    TEST "rights raised without a flush"
    MAP 0, P1 | 5
    mov eax, [V]
    TRY .raise
    USER .raise_user, 2
.raise_user:
    mov eax, [V]
    mov [V], eax
.raise:
    WANT_EXC 14, 7, -1
    mov dword [PT1], P1 | 7
    TRY .raise2
    USER .raise2_user, 2
.raise2_user:
    mov dword [V], 0x77
    int DONE
.raise2:
    WANT_EXC DONE, -1, -1
    CHECK [P1], 0x77
    call marks
    ENDTEST

    TEST "two address spaces"
    mov esi, PD
    mov edi, PD2
    mov ecx, 1024
    rep movsd
    mov esi, PT1
    mov ecx, 1024
    rep movsd                           ; PT1 of the second space, behind PD2
    mov dword [PD2 + 4], (PD2 + 0x1000) | 7
    mov dword [PT1], P1 | 7
    mov dword [PD2 + 0x1000], P2 | 7
    mov ecx, 50
.two:
    mov eax, PD2
    mov cr3, eax
    mov ebx, [V]
    mov eax, PD
    mov cr3, eax
    sub ebx, [V]
    CHECK ebx, 0x11111111
    dec ecx
    jnz .two
    ENDTEST

    TEST "4 MiB pages"
    mov eax, cr4
    or eax, 0x10
    mov cr4, eax
    mov dword [PD + 8], 0x87            ; 800000h: physical 0
    call flush
    CHECK [0x800000 + P1], 0x11111111
    mov dword [0x800000 + P2], 0x5a5a
    CHECK [P2], 0x5a5a
    mov eax, [PD + 8]
    CHECK eax, 0xe7
    mov dword [PD + 8], 0x85            ; read-only
    call flush
    TRY .big
    USER .big_user, 2
.big_user:
    mov eax, [0x800000 + P1]
    mov [0x800000 + P1], eax
.big:
    WANT_EXC 14, 7, -1
    CHECK [EXC_EAX], 0x11111111
    mov dword [PD + 8], 0x87 | 0x200000 ; reserved bit 21
    call flush
    TRY .rsvd
    mov eax, [0x800000]
.rsvd:
    WANT_EXC 14, 9, -1
    mov dword [PD + 8], 0
    call flush
    TRY .gone
    mov eax, [0x800000]
.gone:
    WANT_EXC 14, 0, -1
    mov eax, cr4
    and eax, ~0x10
    mov cr4, eax
    call marks
    ENDTEST

    TEST "global pages"
    mov eax, cr4
    or eax, 0x80
    mov cr4, eax
    MAP 0, P1 | 0x107
    mov eax, [V]
    mov dword [PT1], P2 | 0x107
    invlpg [V]                          ; INVLPG drops global pages too
    CHECK [V], 0x22222222
    mov dword [PT1], P1 | 0x107
    mov eax, cr4
    and eax, ~0x80
    mov cr4, eax                        ; and so does a change of CR4.PGE
    CHECK [V], 0x11111111
    MAP 0, P1 | 7
    ENDTEST

    TEST "REP MOVS faults in the middle"
    MAP 0, P1 | 7
    MAP 1, 0
    mov edi, P1
    mov eax, 0x01010101
    mov ecx, 1024
    rep stosd
    TRY .rep
    mov esi, P1
    mov edi, V + 0xff0
    mov ecx, 100
    mov eax, 0x5555
.rep_at:
    rep movsb
.rep:
    WANT_EXC 14, 2, .rep_at
    CHECK [exc_cr2], V + 0x1000
    CHECK [EXC_ECX], 100 - 16
    CHECK [EXC_EDI], V + 0x1000
    CHECK [EXC_ESI], P1 + 16
    CHECK [EXC_EAX], 0x5555
    mov dword [vec_handler + 14 * 4], pf_map    ; now with a handler that maps the page and goes on
    mov esi, P2
    mov edi, V + 0xfe0
    mov ecx, 24
    rep movsd
    mov dword [vec_handler + 14 * 4], 0
    CHECK ecx, 0
    CHECK edi, V + 0x1040
    mov dword [vec_count + 14 * 4], 0
    MAP 1, 0
    TRY .rep2                           ; load side
    mov esi, V + 0xff8
    mov edi, P2
    mov ecx, 16
    cld
.rep2_at:
    rep movsw
.rep2:
    WANT_EXC 14, 0, .rep2_at
    CHECK [EXC_ECX], 16 - 4
    CHECK [EXC_ESI], V + 0x1000
    MAP 1, P2 | 7
    MAP 0, 0
    TRY .rep3                           ; downwards
    mov edi, V + 0x1008
    mov ecx, 20
    mov eax, 0xa5
    std
.rep3_at:
    rep stosb
.rep3:
    cld
    WANT_EXC 14, 2, .rep3_at
    CHECK [EXC_ECX], 20 - 9
    CHECK [EXC_EDI], V + 0xfff
    MAP 1, 0
    MAP 0, P1 | 7
    TRY .rep4
    mov edi, V + 0xffe
    mov ecx, -1
    mov al, 0x7f
    mov word [V + 0xffe], 0
.rep4_at:
    repne scasb
.rep4:
    WANT_EXC 14, 0, .rep4_at
    CHECK [EXC_ECX], -3
    CHECK [EXC_EDI], V + 0x1000
    call marks
    ENDTEST

    TEST "an access over two pages faults as a whole"
    MAP 0, P1 | 7
    MAP 1, 0
    mov dword [P1 + 0xffc], 0x12345678
    TRY .split
    mov eax, -1
.split_at:
    mov [V + 0xffe], eax
.split:
    WANT_EXC 14, 2, .split_at
    CHECK [exc_cr2], V + 0x1000
    CHECK [P1 + 0xffc], 0x12345678
    TRY .split2
    USER .split2_user, 2
.split2_user:
    mov esp, V + 0x1002
.split2_at:
    push eax
.split2:
    WANT_EXC 14, 6, .split2_at
    CHECK [exc_uesp], V + 0x1002
    MAP 2, P2 | 7
    TRY .pusha
    USER .pusha_user, 2
.pusha_user:
    mov esp, V + 0x2000 + 12
    mov edi, 0x4444
    push eax
.pusha_at:
    pusha
.pusha:
    WANT_EXC 14, 6, .pusha_at
    CHECK [exc_uesp], V + 0x2000 + 8
    CHECK [EXC_EDI], 0x4444
    TRY .popa
    USER .popa_user, 2
.popa_user:
    mov esp, V + 0x1000 - 8
    mov edi, 0x5555
.popa_at:
    popa
.popa:
    WANT_EXC 14, 4, .popa_at
    CHECK [EXC_EDI], 0x5555
    CHECK [exc_uesp], V + 0x1000 - 8
    TRY .enter
    USER .enter_user, 2
.enter_user:
    mov esp, V + 0x2000
    mov ebp, 0x99
.enter_at:
    enter 16, 0
.enter:
    WANT_EXC 14, 6, .enter_at
    CHECK [exc_uesp], V + 0x2000
    CHECK [EXC_EBP], 0x99
    TRY .call
    USER .call_user, 2
.call_user:
    mov esp, V + 0x2000
.call_at:
    call .call_user
.call:
    WANT_EXC 14, 6, .call_at
    CHECK [exc_uesp], V + 0x2000
    MAP 2, 0
    ENDTEST

    TEST "code straddles into a page whose mapping changes"
    ; V+ffeh: mov eax, imm32 with one byte of immediate in page 0, then ret in page 1
    MAP 0, P1 | 7
    MAP 1, P2 | 7
    mov word [P1 + 0xffe], 0x78b8
    mov dword [P2], 0xc3123456
    mov dword [P3], 0xc3987654
    mov ecx, 5
.str:
    mov dword [PT1 + 4], P2 | 7
    invlpg [V + 0x1000]
    mov eax, V + 0xffe
    call eax
    CHECK eax, 0x12345678
    mov dword [PT1 + 4], P3 | 7
    invlpg [V + 0x1000]
    mov eax, V + 0xffe
    call eax
    CHECK eax, 0x98765478
    dec ecx
    jnz .str
    mov byte [P3 + 2], 0x11             ; written through another mapping
    mov eax, V + 0xffe
    call eax
    CHECK eax, 0x11765478
    mov byte [P1 + 0xfff], 0x22
    mov eax, V + 0xffe
    call eax
    CHECK eax, 0x11765422
    MAP 1, 0
    TRY .str2
    mov eax, V + 0xffe
    call eax
.str2:
    WANT_EXC 14, 0, V + 0xffe
    CHECK [exc_cr2], V + 0x1000
    ENDTEST

    TEST "code that runs into a page whose mapping changes"
    mov dword [P1 + 0xffc], 0x90414190  ; nop, inc ecx twice, nop
    mov dword [P2], 0x9090c342          ; inc edx, ret
    mov dword [P3], 0x90c34a4a          ; dec edx twice, ret
    xor edx, edx
    mov ecx, 10
.run:
    MAP 1, P2 | 7
    mov eax, V + 0xffc
    push ecx
    call eax
    call eax
    MAP 1, P3 | 7
    call eax
    pop ecx
    dec ecx
    jnz .run
    CHECK edx, 0
    ENDTEST

    TEST "code in two address spaces at one address"
    mov dword [P1], 0xc340              ; inc eax, ret
    mov dword [P2], 0xc348              ; dec eax, ret
    MAP 0, P1 | 7
    mov dword [PD2 + 0x1000], P2 | 7
    mov ebx, V
    mov ecx, 30
    xor eax, eax
.codes:
    call ebx
    call ebx
    push eax
    mov eax, PD2
    mov cr3, eax
    pop eax
    call ebx
    push eax
    mov eax, PD
    mov cr3, eax
    pop eax
    dec ecx
    jnz .codes
    CHECK eax, 30
    call marks
    ENDTEST

    TEST "page fault during the delivery of an interrupt"
    MAP 4, 0
    mov dword [tss + 4], V + 0x4800     ; ring 0 stack that is not there: double fault, which has a task gate
    mov edi, FREE + 0x20000
    mov ecx, 26
    xor eax, eax
    rep stosd
    mov dword [FREE + 0x20000 + 0x1c], PD
    mov dword [FREE + 0x20000 + 0x20], df_task
    mov dword [FREE + 0x20000 + 0x24], 2
    mov dword [FREE + 0x20000 + 0x38], STACK0 - 0x800
    mov dword [FREE + 0x20000 + 0x48], DATA32
    mov dword [FREE + 0x20000 + 0x4c], CODE32
    mov dword [FREE + 0x20000 + 0x50], DATA32
    mov dword [FREE + 0x20000 + 0x54], DATA32
    mov dword [tss + 0x1c], PD
    DESC SEL0, FREE + 0x20000, 103, 0x89, 0
    mov dword [idt + 8 * 8], SEL0 << 16
    mov dword [idt + 8 * 8 + 4], 0x8500
    mov dword [df_saw], 0
    mov [df_esp], esp
    USER .df_user, 2
.df_user:
    int DONE
df_back:
    clts
    mov dword [tss + 4], ESP0
    CHECK [df_saw], main.df_user
    CHECK [df_err], 0
    and dword [exc_cr2], ~0xfff
    CHECK [exc_cr2], V + 0x4000
    GATE 8, stubs + 8 * STUB_BYTES, 0
    mov dword [gdt + TSS + 4], 0x00008901
    mov ax, TSS
    ltr ax
    jmp main.df_done
main.df_done:
    ENDTEST

    TEST "identity map moves below running code"
    ; the page of .moved is mapped to a copy with another constant
    mov esi, moved_page
    mov edi, P1
    mov ecx, 1024
    rep movsd
    mov dword [P1 + moved_const - moved_page], 0x222
    call moved
    CHECK eax, 0x111
    mov eax, moved_page
    shr eax, 12
    mov edx, [PT0 + eax * 4]
    mov dword [PT0 + eax * 4], P1 | 7
    call flush
    push eax
    call moved
    CHECK eax, 0x222
    pop eax
    mov [PT0 + eax * 4], edx
    call flush
    call moved
    CHECK eax, 0x111
    call marks
    ENDTEST

    call paging_off
    TEST "paging off again"
    CHECK [P1], 0x11111111
    ENDTEST

    TEST "PAE"
    mov edi, PD
    mov ecx, 0x5000 / 4
    xor eax, eax
    rep stosd
    mov dword [PD], PAE_PD | 1
    mov dword [PAE_PD], 0x87            ; 2 MiB identity
    mov dword [PAE_PD + 8], 0x200087
    mov dword [PAE_PD + 16], PAE_PT | 7
    mov dword [PAE_PT], P1 | 7
    mov eax, cr4
    or eax, 0x20
    mov cr4, eax
    call paging_on
    CHECK [V], 0x11111111
    mov dword [PAE_PT], P2 | 7
    invlpg [V]
    CHECK [V], 0x22222222
    mov [V], eax
    CHECK [PAE_PT], P2 | 0x67
    call marks
    TRY .pae1
    mov eax, [V + 0x1000]
.pae1:
    WANT_EXC 14, 0, -1
    TRY .pae2
    mov eax, [0x40000000]
.pae2:
    WANT_EXC 14, 0, -1
    mov dword [PAE_PT + 4], 0x10        ; physical address beyond what there is, or a reserved bit
    mov dword [PAE_PT + 8], P1 | 7
    mov dword [PAE_PT + 12], 0x40000000
    TRY .pae3
    mov eax, [V + 0x1000]
.pae3:
    WANT_EXC 14, -1, -1
    ENDTEST

    TEST "NX"
    mov eax, 0x80000001
    cpuid
    mov [nx], edx
    test edx, 1 << 20
    jz .no_nx
    mov ecx, 0xc0000080
    rdmsr
    or eax, 1 << 11
    wrmsr
    mov dword [PAE_PT], P1 | 7
    mov dword [PAE_PT + 4], 0x80000000
    mov byte [P1 + 0x20], 0xc3
    invlpg [V]
    mov eax, [V]
    CHECK eax, 0x11111111
    TRY .nx
    mov eax, V + 0x20
    call eax
.nx:
    WANT_EXC 14, 0x11, V + 0x20
    mov dword [PAE_PT + 4], 0
    invlpg [V]
    TRY .nx2
    mov eax, V + 0x20
    call eax
.nx2:
    NO_EXC
    mov ecx, 0xc0000080
    rdmsr
    and eax, ~(1 << 11)
    wrmsr
    mov dword [PAE_PT + 4], 0x80000000  ; without EFER.NXE the bit is reserved
    invlpg [V]
    TRY .nx3
    mov eax, [V]
.nx3:
    WANT_EXC 14, 9, -1
.no_nx:
    mov dword [PAE_PT + 4], 0
    ENDTEST

    TEST "PDPTE changes count from the next CR3 load"
    mov dword [PD + 8], PAE_PD | 1      ; 40000000h
    call flush
    CHECK [0x40000000 + P1 + 4], [P1 + 4]
    mov dword [PD + 8], 0
    call flush
    TRY .pdpte
    mov eax, [0x40000000 + P1]
.pdpte:
    WANT_EXC 14, 0, -1
    ENDTEST
    call paging_off
    mov eax, cr4
    and eax, ~0x20
    mov cr4, eax
    ret

; double fault: the old task's EIP, the error code, CR2
df_task:
    pop dword [df_err]
    mov eax, cr2
    mov [exc_cr2], eax
    mov eax, [tss + 0x20]
    mov [df_saw], eax
    mov esp, [df_esp]
    push dword 2
    popf                                ; NT off: we do not go back
    jmp df_back

; maps page 1 of the test area to P2
pf_map:
    mov dword [PT1 + 4], P2 | 7
    invlpg [V + 0x1000]
    ret

nx: dd 0
df_saw: dd 0
df_err: dd 0
df_esp: dd 0
PD2 equ PD + 0x6000
P3 equ FREE + 0x12000

align 4096
moved_page:
moved:
    db 0xb8                             ; mov eax, imm32
moved_const: dd 0x111
    ret
align 4096
IMAGE_END
