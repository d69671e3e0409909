; vram.asm - code in the graphics card's memory, which lies in two places at once: at A0000h and in the linear frame buffer.
%include "guest.inc"

WINDOW equ 0xa0000
LFB equ 0xe0000000

%macro VBE 2                            ; index, value
    mov dx, 0x1ce
    mov ax, %1
    out dx, ax
    inc dx
    mov ax, %2
    out dx, ax
%endmacro

%macro PCI 3                            ; function's address, register, value
    mov dx, 0xcf8
    mov eax, 0x80000000 | (%1) << 8 | %2
    out dx, eax
    mov dx, 0xcfc
    mov eax, %3
    out dx, eax
%endmacro

; Function at edi that gives ecx back.
put_function:
    mov byte [edi], 0xb8
    mov [edi + 1], ecx
    mov byte [edi + 5], 0xc3
    ret

main:
    PCI 2 << 3, 0x10, LFB
    PCI 2 << 3, 0x04, 3
    VBE 4, 0
    VBE 1, 640
    VBE 2, 480
    VBE 3, 8
    VBE 4, 0x41
    VBE 5, 0
    mov edi, WINDOW                     ; enough of it that both become plain memory
    mov ecx, 0x200
    mov al, 0x90
    rep stosb
    mov edi, LFB + 0x1000
    mov ecx, 0x200
    rep stosb

    TEST "both places show the same memory"
    mov dword [WINDOW + 0x40], 0x12345678
    CHECK dword [LFB + 0x40], 0x12345678
    mov dword [LFB + 0x44], 0x87654321
    CHECK dword [WINDOW + 0x44], 0x87654321
    ENDTEST

    TEST "code in the window, written in the frame buffer"
    mov edi, WINDOW + 0x80
    mov ecx, 1
    call put_function
    mov ebx, 3000
.window:
    mov eax, WINDOW + 0x80
    call eax
    CHECK eax, ecx
    inc ecx
    mov [LFB + 0x81], ecx
    dec ebx
    jnz .window
    ENDTEST

    TEST "code in the frame buffer, written in the window"
    mov edi, LFB + 0x100
    mov ecx, 1
    call put_function
    mov ebx, 3000
.buffer:
    mov eax, LFB + 0x100
    call eax
    CHECK eax, ecx
    inc ecx
    mov [WINDOW + 0x101], ecx
    dec ebx
    jnz .buffer
    ENDTEST

    TEST "the same code in both, written in turn"
    mov edi, WINDOW + 0x180
    mov ecx, 1
    call put_function
    mov ebx, 3000
.both:
    mov eax, WINDOW + 0x180
    call eax
    CHECK eax, ecx
    mov eax, LFB + 0x180
    call eax
    CHECK eax, ecx
    inc ecx
    mov [WINDOW + 0x181], ecx
    mov eax, LFB + 0x180
    call eax
    CHECK eax, ecx
    mov eax, WINDOW + 0x180
    call eax
    CHECK eax, ecx
    inc ecx
    mov [LFB + 0x181], ecx
    dec ebx
    jnz .both
    ENDTEST
    ret
IMAGE_END
