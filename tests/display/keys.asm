; keys.asm - a boot sector that reads the keyboard through the BIOS, slowly, and tells what it read.
;
; Each key: its character to port E9h (scan code in hex where there is none) and to the screen. It takes a timer tick for a key, so that
; whoever types faster than that fills the BIOS's buffer. At the start it draws a yellow box on blue; F10 goes to a graphics mode.
        bits 16
        org 0x7c00

start:  xor ax, ax
        mov ds, ax
        mov es, ax
        mov ss, ax
        mov sp, 0x7c00
        mov ax, 3               ; 80 x 25, cleared
        int 0x10
        mov si, hello
.hello: lodsb
        test al, al
        jz .drawn
        call put
        jmp .hello

.drawn: mov ax, 0xb800
        mov es, ax
        mov di, 10 * 160 + 40
        mov si, box
        mov ah, 0x1e
.box:   lodsb
        stosw
        test al, al
        jnz .box

next:   mov ah, 0
        int 0x16
        test al, al
        jz .code
        cmp al, 0xe0            ; grey keys
        je .code
        call put
        jmp .tick
.code:  mov bl, ah
        cmp ah, 0x44
        jne .tell
        pusha
        mov ax, 0x13
        int 0x10
        mov ax, 0xa000
        mov es, ax
        mov al, 0x2a            ; a row of orange
        mov di, 320 * 100
        mov cx, 320
        rep stosb
        popa
.tell:
        mov al, '<'
        call put
        mov al, bl
        shr al, 4
        call hex
        mov al, bl
        and al, 15
        call hex
        mov al, '>'
        call put
.tick:  mov al, [0x46c]
.wait:  cmp al, [0x46c]
        je .wait
        jmp next

hex:    cmp al, 10
        sbb al, 0x69
        das
put:    pusha
        out 0xe9, al
        mov ah, 0x0e
        mov bx, 7
        cmp al, 13
        jne .one
        int 0x10
        mov al, 10
.one:   int 0x10
        popa
        ret

hello:  db "ready:", 0
box:    db 201, 205, 205, 187, " ", 176, 178, 219, " ", 1, 0

        times 510 - ($ - $$) db 0
        dw 0xaa55
        times 1024 * 1024 - ($ - $$) db 0
