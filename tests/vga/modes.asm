; modes.asm - sets the BIOS's video modes one after the other, draws in each, and says on port E9h when a picture is ready.
;
; What each mode must show is computed in modes.c by other means. A letter on port E9h: the picture may be
; looked at; the program goes on when OUT does.
%include "kernel.inc"
%macro show 1
        mov al, %1
        out 0xe9, al
%endmacro

start:  mov ax, cs
        mov ds, ax
        cld
        ; the 8x16 font's address to linear 500h
        mov ax, 0x1130
        mov bh, 6
        int 0x10
        xor ax, ax
        mov fs, ax
        mov [fs:0x500], bp
        mov [fs:0x502], es

        mode 3
        mov ax, 0xb800
        call cells
        show 'a'
        mode 1
        mov ax, 0xb800
        call cells
        show 'b'
        mode 7                  ; twice: SeaVGABIOS writes the CRTC before the register that moves its ports
        mode 7
        mov ax, 0xb000
        call cells
        show 'c'

        mode 4
        mode 4
        call cga
        show 'd'
        mode 6
        call cga
        show 'e'

        mode 0x0d
        call planes
        show 'f'
        mode 0x0e
        call planes
        show 'g'
        mode 0x10
        call planes
        show 'h'
        mode 0x12
        call planes
        show 'i'
        mode 0x11
        call planes
        show 'j'

        mode 0x13
        call dac
        mov ax, 0xa000
        mov es, ax
        xor di, di
.b13:   mov ax, di
        xor al, ah
        stosb
        cmp di, 64000
        jne .b13
        show 'k'

        ; mode X: 320 x 240, two pages, the second is shown; then a split screen
        call mode_x
        show 'l'
        crtc 0x18, 0x2f         ; line compare 12fh: lines from 130h on start again at 0
        crtc 7, 0x3e            ; bit 4: bit 8 of it; the rest as mode X has it
        crtc 9, 0x01            ; bit 6: bit 9 of it
        show 'm'

        mov bx, 0x101           ; 640 x 480 x 8 by banks
        call vbe
        call dac
        mov cx, 5
        call banks
        show 'n'
        mov bx, 0x111           ; 16
        call vbe
        mov cx, 10
        call banks
        show 'o'
        mov bx, 0x110           ; 15
        call vbe
        mov cx, 10
        call banks
        show 'p'
        mov bx, 0x112           ; 24 or 32: the host looks
        call vbe
        mov cx, 19
        call banks
        show 'q'
        ; scrolled by the BIOS: text, and a planar mode by copies through latches
        mode 3
        mov ax, 0xb800
        call cells
        mov ax, 0x0603
        mov bh, 0x1e
        xor cx, cx
        mov dx, 0x184f
        int 0x10
        show 'r'
        mode 0x12
        call planes
        mov ax, 0x0602
        xor bh, bh
        xor cx, cx
        mov dx, 0x1d4f
        int 0x10
        show 's'
        show 'z'
        hlt
        jmp $ - 1

; the whole screen: character n & ff, attribute (n * 7 + 3) & 7f
cells:  mov es, ax
        xor di, di
        xor bx, bx
.next:  mov al, 7
        mul bl
        add al, 3
        and al, 0x7f
        mov ah, al
        mov al, bl
        stosw
        inc bx
        cmp bx, 2000
        jne .next
        mov ah, 2               ; cursor to row 2, column 5
        mov bh, 0
        mov dx, 0x0205
        int 0x10
        ret

; bytes n * 37 + 11
cga:    mov ax, 0xb800
        mov es, ax
        xor di, di
        mov al, 11
.next:  stosb
        add al, 37
        cmp di, 0x4000
        jne .next
        ret

; plane p: byte n * (2 p + 3) + p, with string instructions of a line's bytes
planes: mov ax, 0xa000
        mov es, ax
        xor cx, cx
.plane: mov dx, 0x3c4
        mov al, 2
        mov ah, 1
        shl ah, cl
        out dx, ax
        mov al, cl
        mov ah, cl
        add ah, ah
        add ah, 3
        xor di, di
.byte:  mov [es:di], al
        add al, ah
        inc di
        cmp di, 38400
        jne .byte
        inc cx
        cmp cx, 4
        jne .plane
        seq 2, 0x0f
        ret

; colour i: i & 3f, 3 i & 3f, 3f - (i & 3f)
dac:    mov dx, 0x3c8
        xor ax, ax
        out dx, al
        inc dx
        xor cx, cx
.next:  mov al, cl
        and al, 0x3f
        mov bl, al
        out dx, al
        mov al, cl
        add al, cl
        add al, cl
        and al, 0x3f
        out dx, al
        mov al, 0x3f
        sub al, bl
        out dx, al
        inc cl
        jnz .next
        ret

mode_x: mode 0x13
        call dac
        seq 4, 0x06
        mov dx, 0x3c4
        mov ax, 0x0100
        out dx, ax
        mov dx, 0x3c2
        mov al, 0xe3
        out dx, al
        mov dx, 0x3c4
        mov ax, 0x0300
        out dx, ax
        mov dx, 0x3d4
        mov al, 0x11
        out dx, al
        inc dx
        in al, dx
        and al, 0x7f
        out dx, al
        crtc 0x06, 0x0d
        crtc 0x07, 0x3e
        crtc 0x09, 0x41
        crtc 0x10, 0xea
        crtc 0x11, 0xac
        crtc 0x12, 0xdf
        crtc 0x14, 0x00
        crtc 0x15, 0xe7
        crtc 0x16, 0x06
        crtc 0x17, 0xe3
        mov ax, 0xa000
        mov es, ax
        xor cx, cx
.plane: mov dx, 0x3c4           ; plane p: byte n + 17 p, over both pages
        mov al, 2
        mov ah, 1
        shl ah, cl
        out dx, ax
        mov al, 17
        mul cl
        xor di, di
.byte:  stosb
        inc al
        test di, di
        jnz .byte
        inc cx
        cmp cx, 4
        jne .plane
        crtc 0x0c, 0x4b         ; page 1 at 19200
        crtc 0x0d, 0x00
        ret

vbe:    mov ax, 0x4f02
        int 0x10
        ret

; cx banks of 64 KiB: bytes lo(n) ^ hi(n) + bank
banks:  mov ax, 0xa000
        mov es, ax
        xor si, si
.bank:  mov dx, si
        mov ax, 0x4f05
        xor bx, bx
        int 0x10
        xor di, di
.byte:  mov ax, di
        xor al, ah
        mov dx, si
        add al, dl
        stosb
        test di, di
        jnz .byte
        inc si
        cmp si, cx
        jne .bank
        ret

        align 512, db 0
SECTORS equ ($ - $$) / 512 - 1
        times 512 db 0xf4       ; the kernel that nobody runs
