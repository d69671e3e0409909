; alias.asm - the same physical code at several linear addresses, one after the other and at a time: its translations move along.
;
; Two pages of position-independent ring-3 code in each of two address spaces: calls and returns, thunks that fetch EIP, links to the other
; page, an instruction that straddles, faults. Breaks when code that was known at another address pushes, shows or goes to that
; address, when a process gets another's translations while they are in use, or when a write to the code by one name is not
; seen by the others.
%include "guest.inc"

PDA equ FREE + 0x100000         ; two page directories, each with the identity map and tables of its own for W and up
PDB equ PDA + 0x1000
PT0 equ PDA + 0x2000
PTA equ PDA + 0x3000            ; 4 MiB at W: free for tests
PTB equ PDA + 0x4000
PTA2 equ PDA + 0x5000           ; and 4 MiB at W2
W equ 0x40000000
W2 equ 0xbfc00000
P1 equ FREE + 0x10000           ; the code's pages
P2 equ FREE + 0x11000
P3 equ FREE + 0x12000           ; other code
DATA equ FREE + 0x20000         ; results
USTACK equ 0x70000
DONE equ 0x2e
ABSENT equ 0x7ff00000

; Run ring-3 code at edx until INT DONE or a fault; ecx says what it is to do.
%macro RUN 1
    mov edx, %1
    call run
%endmacro
run:
    pop dword [back]
    TRY .back
    push dword UDATA32
    push dword USTACK
    push dword 0x202
    push dword UCODE32
    push edx
    mov ax, UDATA32
    mov ds, ax
    mov es, ax
    iret
.back:
    mov ax, DATA32
    mov ds, ax
    mov es, ax
    jmp [back]

; %1: page table; page %2 of it and the next = P1, P2. UNMAP: neither.
%macro MAP 2
    mov dword [%1 + (%2) * 4], P1 | 7
    mov dword [%1 + (%2) * 4 + 4], P2 | 7
%endmacro
%macro UNMAP 2
    mov dword [%1 + (%2) * 4], 0
    mov dword [%1 + (%2) * 4 + 4], 0
%endmacro
%macro SPACE 1
    mov eax, %1
    mov cr3, eax
%endmacro

tables:
    TABLES PDA, 0x6000, PT0
    mov dword [PDA], PT0 | 7
    mov dword [PDB], PT0 | 7
    mov dword [PDA + (W >> 22) * 4], PTA | 7
    mov dword [PDB + (W >> 22) * 4], PTB | 7
    mov dword [PDA + (W2 >> 22) * 4], PTA2 | 7
    ret

; What the code does at linear address edx, several times, so that it is linked. Clobbers ecx.
%macro ALL_AT 1
    mov dword [where], %1
    call all_at
%endmacro
; For the page [page] from W on: the same; ebx = its entry in PTA.
%macro ALL_AT_PAGE 0
    mov eax, [page]
    shl eax, 12
    add eax, W
    ALL_AT eax
%endmacro
%macro ENTRY_OF_PAGE 0
    mov ebx, [page]
    lea ebx, [PTA + ebx * 4]
%endmacro
all_at:
    mov dword [rounds], 4
.round:
    mov ecx, 0
    RUN [where]
    WANT_EXC DONE, -1, -1
    mov eax, [where]
    add eax, code_done - code
    CHECK [exc_eip], eax
    mov eax, [where]
    CHECK [DATA], eax                   ; EIP by call and pop
    add eax, code_thunked - code
    CHECK [DATA + 4], eax               ; by a thunk in the other page
    sub eax, code_thunked - code_called
    CHECK [DATA + 8], eax               ; the return address on the stack of a callee
    CHECK [DATA + 12], 15               ; 5 + 4 + 3 + 2 + 1, back and forth between the pages
    CHECK [DATA + 16], [wanted]
    CHECK [DATA + 20], 0x55667788       ; the instruction that straddles
    CHECK [exc_uesp], USTACK
    mov eax, [where]
    add eax, code_indirect - code
    CHECK [DATA + 24], eax
    mov ecx, 1                          ; #PF within
    RUN [where]
    mov eax, [where]
    add eax, code_pf - code
    WANT_EXC 14, 4, eax
    CHECK [exc_cr2], ABSENT
    mov ecx, 2                          ; #DE
    RUN [where]
    mov eax, [where]
    add eax, code_de - code
    WANT_EXC 0, -1, eax
    mov ecx, 3                          ; #UD, by way of C
    RUN [where]
    mov eax, [where]
    add eax, code_ud - code
    WANT_EXC 6, -1, eax
    mov ecx, 4                          ; #PF on the first byte of the page behind
    RUN [where]
    mov eax, [where]
    add eax, 0x2000
    WANT_EXC 14, 4, eax
    CHECK [exc_cr2], eax
    dec dword [rounds]
    jnz .round
    ret

main:
    or word [idt + DONE * 8 + 4], 0x6000
    call tables
    mov esi, code
    mov edi, P1
    mov ecx, 0x2000 / 4
    rep movsd
    SPACE PDA
    mov eax, cr0
    or eax, 0x80000000
    mov cr0, eax
    mov dword [wanted], 7

    TEST "one address after the other"
    mov dword [page], 0
.one:
    ENTRY_OF_PAGE
    MAP ebx, 0
    SPACE PDA
    ALL_AT_PAGE
    ENTRY_OF_PAGE
    UNMAP ebx, 0
    SPACE PDA
    add dword [page], 37
    cmp dword [page], 37 * 20
    jb .one
    ENDTEST

    TEST "far away and back, unmapped by INVLPG"
    mov dword [page], 6
.far:
    MAP PTA2, 1000
    ALL_AT W2 + 1000 * 0x1000
    UNMAP PTA2, 1000
    invlpg [W2 + 1000 * 0x1000]
    invlpg [W2 + 1001 * 0x1000]
    RUN W2 + 1000 * 0x1000
    WANT_EXC 14, 4, W2 + 1000 * 0x1000
    MAP PTA, 3
    ALL_AT W + 3 * 0x1000
    UNMAP PTA, 3
    invlpg [W + 3 * 0x1000]
    invlpg [W + 4 * 0x1000]
    dec dword [page]
    jnz .far
    ENDTEST

    TEST "at three addresses at a time"
    MAP PTA, 10
    MAP PTA, 20
    MAP PTA2, 30
    SPACE PDA
    mov dword [page], 4
.three:
    ALL_AT W + 10 * 0x1000
    ALL_AT W2 + 30 * 0x1000
    ALL_AT W + 20 * 0x1000
    dec dword [page]
    jnz .three
    ENDTEST

    TEST "two address spaces at a time"
    MAP PTB, 40
    mov dword [page], 4
.two:
    SPACE PDA
    ALL_AT W + 10 * 0x1000
    SPACE PDB
    ALL_AT W + 40 * 0x1000
    dec dword [page]
    jnz .two
    ENDTEST

    TEST "the other address space loses it and gets it back"
    mov dword [page], 0
.loses:
    SPACE PDA
    ALL_AT W + 10 * 0x1000
    SPACE PDB
    UNMAP PTA, 10               ; while A is not current: nothing tells but its tables
    UNMAP PTA, 20
    UNMAP PTA2, 30
    mov ebx, [page]
    lea ebx, [PTB + ebx * 4 + 100 * 4]
    MAP ebx, 0
    SPACE PDB
    mov eax, [page]
    shl eax, 12
    add eax, W + 100 * 0x1000
    ALL_AT eax
    MAP PTA, 10
    SPACE PDA
    ALL_AT W + 10 * 0x1000
    SPACE PDB
    mov eax, [page]
    shl eax, 12
    add eax, W + 100 * 0x1000
    ALL_AT eax
    add dword [page], 3
    cmp dword [page], 12
    jb .loses
    ENDTEST

    TEST "written by another name"
    SPACE PDA
    mov dword [page], 50
.written:
    inc dword [P2 + code_value - code - 0x1000 + 1]
    inc dword [wanted]
    ALL_AT W + 10 * 0x1000
    ENTRY_OF_PAGE
    UNMAP PTA, 10
    MAP ebx, 0
    SPACE PDA
    ALL_AT_PAGE
    inc dword [P2 + code_value - code - 0x1000 + 1] ; and by a third, in use
    inc dword [wanted]
    call all_at
    ENTRY_OF_PAGE
    UNMAP ebx, 0
    MAP PTA, 10
    SPACE PDA
    add dword [page], 2
    cmp dword [page], 56
    jb .written
    ENDTEST

    TEST "only one of the pages moves"
    MAP PTA, 10
    SPACE PDA
    ALL_AT W + 10 * 0x1000
    UNMAP PTA, 10
    mov dword [PTA + 60 * 4], P1 | 7
    mov dword [PTA + 61 * 4], P3 | 7    ; another thing in place of the second
    SPACE PDA
    mov edi, P3
    mov ecx, 0x400
    mov eax, 0xcccccccc
    rep stosd
    mov ecx, 0
    RUN W + 60 * 0x1000
    WANT_EXC 3, -1, W + 61 * 0x1000 + code_thunk - code - 0x1000 + 1
    mov dword [PTA + 60 * 4], 0
    mov dword [PTA + 61 * 4], 0
    MAP PTA, 10
    SPACE PDA
    ALL_AT W + 10 * 0x1000
    ENDTEST
    ret

; ---- the code: two pages ----
align 16
code:
    call .next
.next:
    pop ebx
    sub ebx, .next - code
    mov [DATA], ebx
    cmp ecx, 1
    jz near code_pf
    cmp ecx, 2
    jz near code_divide
    cmp ecx, 3
    jz near code_ud
    cmp ecx, 4
    jz near code_end
    call code_thunk
code_thunked:
    mov [DATA + 4], eax
    call code_callee
code_called:
    xor eax, eax
    mov ecx, 5
    call code_add
    mov [DATA + 12], eax
    call code_value
    mov [DATA + 16], eax
    call code_straddle
    mov [DATA + 20], eax
    lea eax, [ebx + code_of_indirect - code]
    call eax
    jmp near code_finish
code_callee:
    mov eax, [esp]
    mov [DATA + 8], eax
    ret
code_back:              ; from the other page, and there again
    dec ecx
    jnz near code_add
    ret
code_of_indirect:
    push ebx
    lea eax, [ebx + code_get - code]
    call eax
code_indirect:
    mov [DATA + 24], eax
    pop ebx
    ret
code_divide:
    xor edx, edx
    xor ecx, ecx
code_de:
    div ecx
code_pf:
    mov eax, [ABSENT]
code_ud:
    ud2
    times 0x1000 - 2 - ($ - code) nop
code_straddle:
    mov eax, 0x55667788
    ret
code_thunk:
    mov eax, [esp]
    ret
code_add:
    add eax, ecx
    jmp near code_back
code_value:
    mov eax, 7
    ret
code_get:
    mov eax, [esp]
    ret
code_finish:
    int DONE
code_done:
    times 0x2000 - 1 - ($ - code) nop
code_end:
    nop
align 4
back: dd 0
where: dd 0
rounds: dd 0
page: dd 0
wanted: dd 0
IMAGE_END
