; smc.asm - self-modifying code: own block, own next instruction, other pages, aliases, pages that mix hot data with code.
%include "guest.inc"

PD equ FREE + 0x100000
PT0 equ PD + 0x1000
PT1 equ PD + 0x2000
V equ 0x400000
P1 equ FREE + 0x10000

; copies [esi, edi) to FREE
%macro COPY 2
    mov esi, %1
    mov edi, FREE
    mov ecx, (%2) - (%1)
    rep movsb
%endmacro

main:
    TEST "a function is overwritten between calls"
    mov ecx, 100
.fn:
    mov [.fn_code + 1], ecx
    call .fn_code
    CHECK eax, ecx
    dec ecx
    jnz .fn
    jmp .fn_end
align 64
.fn_code:
    mov eax, 0x12345678
    ret
align 64
.fn_end:
    ENDTEST

    TEST "the next instruction"
    mov ecx, 40
.next:
    mov eax, ecx
    mov byte [.next_at + 1], al
.next_at:
    mov bl, 0
    movzx ebx, bl
    CHECK ebx, ecx
    dec ecx
    jnz .next
    ENDTEST

    TEST "the next instruction, inside one block of straight code"
    mov ecx, 10
.line:
    mov dword [.line_at + 1], ecx
    nop
    nop
.line_at:
    mov eax, 0x11111111
    mov byte [.line_op], 0x90           ; inc edx becomes nop
    xor edx, edx
.line_op:
    inc edx
    mov byte [.line_op], 0x42
    CHECK eax, ecx
    CHECK edx, 0
    dec ecx
    jnz .line
    ENDTEST

    TEST "an instruction that overwrites itself"
    COPY .self, .self_end
    mov edi, FREE
    mov al, 0x90
    call edi
    CHECK ebx, 7
    movzx eax, byte [FREE]
    CHECK eax, 0x90
    mov edx, FREE + .self_rep - .self
    lea edi, [edx + 2]                  ; REP STOSB over what follows it
    mov eax, 0x90
    mov ecx, 6
    call edx
    CHECK ecx, 0
    jmp .self_end
.self:
    stosb                               ; becomes nop
    mov ebx, 7
    ret
.self_rep:
    rep stosb
    jmp $
    dd 0xfeebfeeb
    ret
.self_end:
    ENDTEST

    TEST "another page, by every kind of store"
    mov edi, FREE + 0x5000
    mov byte [edi], 0xb8                ; mov eax, imm32
    mov byte [edi + 5], 0xc3
    mov dword [edi + 1], 1
    call edi
    CHECK eax, 1
    inc dword [edi + 1]
    call edi
    CHECK eax, 2
    mov eax, 0x33
    xchg [edi + 1], eax
    call edi
    CHECK eax, 0x33
    lea edi, [edi + 1]
    mov eax, 0x44
    stosd
    lea edi, [edi - 5]
    call edi
    CHECK eax, 0x44
    mov dword [.word], 0x55
    mov esi, .word
    lea edi, [edi + 1]
    mov ecx, 4
    rep movsb
    lea edi, [edi - 5]
    call edi
    CHECK eax, 0x55
    mov ebp, esp
    lea esp, [edi + 5]
    push dword 0x66
    mov esp, ebp
    call edi
    CHECK eax, 0x66
    fild dword [.word]
    fistp dword [edi + 1]
    call edi
    CHECK eax, 0x55
    mov eax, 0x66
    mov edx, 0x77
    lock cmpxchg [edi + 1], edx
    call edi
    CHECK eax, 0x55
    lock cmpxchg [edi + 1], edx
    call edi
    CHECK eax, 0x77
    bts dword [edi + 1], 8
    call edi
    CHECK eax, 0x177
    fxch
    fnstenv [edi + 0x100]               ; does not touch the code
    call edi
    CHECK eax, 0x177
    fninit
    jmp .word_end
.word: dd 0
.word_end:
    ENDTEST

    TEST "a jump is turned around"
    mov ecx, 60
    xor ebx, ebx
.turn:
    mov byte [.turn_at + 1], .turn_a - .turn_at - 2
    test cl, 1
    jz .turn_at
    mov byte [.turn_at + 1], .turn_b - .turn_at - 2
.turn_at:
    jmp short .turn_a
.turn_a:
    add ebx, 1
    jmp short .turn_on
.turn_b:
    add ebx, 100
.turn_on:
    dec ecx
    jnz .turn
    CHECK ebx, 30 * 101
    ENDTEST

    TEST "a linked block is replaced"
    ; A calls B at the end of its page; B changes: the link must not survive
    mov edi, FREE + 0x7000
    mov dword [edi], 0xc3c3c340         ; inc eax, ret
    mov ecx, 50
    xor eax, eax
.link:
    call .link_a
    xor byte [edi], 8                   ; inc <-> dec
    dec ecx
    jnz .link
    CHECK eax, 0
    jmp .link_end
align 16
.link_a:
    jmp FREE + 0x7000
.link_end:
    ENDTEST

    TEST "a page that holds hot data and code"
    mov ecx, 20000
    xor eax, eax
.hot:
    inc dword [hot_data]
    call hot_code
    dec ecx
    jnz .hot
    CHECK eax, 60000
    CHECK [hot_data], 20000
    CHECK [hot_data2], 20000
    ENDTEST

    TEST "code in such a page changes all the same"
    mov ecx, 300
    xor ebx, ebx
.hotc:
    inc dword [hot_data]
    mov [hot_change + 1], ecx
    call hot_change
    add ebx, eax
    dec ecx
    jnz .hotc
    CHECK ebx, 300 * 301 / 2
    mov ecx, 200
    xor ebx, ebx
.hotn:                                  ; and its own next instruction
    mov [hot_next_at + 1], cl
    call hot_next
    movzx eax, al
    add ebx, eax
    dec ecx
    jnz .hotn
    CHECK ebx, 200 * 201 - 73 * 256     ; AL wraps
    ENDTEST

    TEST "a stack in the page of the code"
    mov ebp, esp
    mov esp, hot_stack
    mov ecx, 3000
    xor eax, eax
.stk:
    push ecx
    call hot_code
    pop edx
    sub edx, ecx
    add eax, edx
    dec ecx
    jnz .stk
    mov esp, ebp
    CHECK eax, 9000
    ENDTEST

    TEST "code on the stack"
    mov ecx, 100
    xor eax, eax
.onstack:
    push dword 0xc3c3c341               ; placed anew each time: inc ecx, ret
    push dword 0x90909040               ; inc eax
    mov edx, esp
    call edx
    add esp, 8
    sub ecx, 2
    jnz .onstack
    CHECK eax, 100
    ENDTEST

    TEST "code straddles two pages, either half changes"
    mov edi, FREE + 0x8ffd
    mov dword [edi], 0x000001b8         ; mov eax, 1; ret
    mov dword [edi + 4], 0x0000c300
    call edi
    CHECK eax, 1
    mov byte [edi + 1], 2
    call edi
    CHECK eax, 2
    mov byte [edi + 4], 3
    call edi
    CHECK eax, 0x03000002
    mov byte [edi + 3], 4
    call edi
    CHECK eax, 0x03040002
    mov edi, FREE + 0x8fff              ; the opcode alone in the first page
    mov byte [edi], 0xb8
    mov dword [edi + 1], 5
    mov byte [edi + 5], 0xc3
    call edi
    CHECK eax, 5
    mov byte [edi], 0xb9                ; mov ecx
    call edi
    CHECK ecx, 5
    ENDTEST

    ; ---- the same under paging, through aliases ----
    mov edi, PD
    mov ecx, 0x3000 / 4
    xor eax, eax
    rep stosd
    mov edi, PT0
    mov eax, 7
    mov ecx, 1024
.ident:
    stosd
    add eax, 0x1000
    loop .ident
    mov dword [PD], PT0 | 7
    mov dword [PD + 4], PT1 | 7
    mov dword [PT1], P1 | 7
    mov dword [PT1 + 4], P1 | 7
    mov dword [PT1 + 8], (P1 + 0x1000) | 7
    mov eax, PD
    mov cr3, eax
    mov eax, cr0
    or eax, 0x80010000
    mov cr0, eax

    TEST "through an alias"
    mov dword [P1], 0x000001b8
    mov dword [P1 + 4], 0x0000c300
    mov edi, V
    mov ecx, 100
.alias:
    call edi
    CHECK eax, [P1 + 1]
    mov [P1 + 1], ecx                   ; by the identity map
    call edi
    CHECK eax, ecx
    inc dword [V + 0x1001]              ; by a second alias
    call edi
    dec eax
    CHECK eax, ecx
    dec ecx
    jnz .alias
    ENDTEST

    TEST "run at both aliases"
    mov esi, V
    mov edi, V + 0x1000
    mov ecx, 50
    xor ebx, ebx
.both:
    mov [edi + 1], ecx
    call esi
    add ebx, eax
    mov [esi + 1], ecx
    call edi
    add ebx, eax
    dec ecx
    jnz .both
    CHECK ebx, 50 * 51
    ENDTEST

    TEST "own next instruction through an alias"
    mov esi, alias_code
    mov edi, P1 + 0x1000
    mov ecx, alias_end - alias_code
    rep movsb
    mov edi, V + 0x2000
    mov ecx, 30
.anext:
    mov eax, ecx
    call edi
    CHECK edx, ecx
    dec ecx
    jnz .anext
    ENDTEST

    TEST "a read-only page of code changes through a writable alias"
    mov dword [PT1], P1 | 5
    invlpg [V]
    mov edi, V
    mov ecx, 20
.ro:
    mov [P1 + 1], ecx
    call edi
    CHECK eax, ecx
    dec ecx
    jnz .ro
    TRY .rof
.rof_at:
    mov [edi + 1], ecx
.rof:
    WANT_EXC 14, 3, .rof_at
    ENDTEST

    TEST "page tables in a page with code"
    ; PT1 holds code too: entries 512.. are never used as such
    mov dword [PT1 + 0x800], 0xc340     ; inc eax, ret
    mov edi, PT1 + 0x800
    xor eax, eax
    mov ecx, 50
.pt:
    call edi
    mov edx, P1 | 7
    test cl, 1
    jz .pt2
    mov edx, (P1 + 0x1000) | 7
.pt2:
    mov [PT1 + 12], edx
    invlpg [V + 0x3000]
    mov ebx, [V + 0x3000]
    and edx, ~0xfff
    CHECK ebx, [edx]
    dec ecx
    jnz .pt
    CHECK eax, 50
    ENDTEST
    mov eax, cr0
    and eax, 0x7ffeffff
    mov cr0, eax
    ret

alias_code:
    mov [P1 + 0x1000 + .at - alias_code + 1], eax
.at:
    mov edx, 0
    ret
alias_end:

align 4096
hot_data: dd 0
hot_code:
    add eax, 3
    inc dword [hot_data2]
    ret
hot_data2: dd 0
hot_change:
    mov eax, 0x12345678
    ret
hot_next:
hot_next_at:
    mov al, 0
    inc dword [hot_data2]
    mov byte [.at + 1], al
    mov ah, al
.at:
    add al, 0
    ret
    times 256 dd 0
hot_stack:
    dd 0
align 4096
IMAGE_END
