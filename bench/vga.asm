; vga.asm - what programs do to a screen, timed with the time-stamp counter: a line "name ops cycles" on port E9h for each.
;
; The shape of a Linux kernel (tests/vga/kernel.inc): SeaBIOS starts the real-mode part at 200h, with all BIOS services.
%include "kernel.inc"
; bench routine, rounds, operations a round, name
%macro bench 4
        call %1                 ; once in vain
        call begin
        mov cx, %2
%%again: push cx
        call %1
        pop cx
        loop %%again
        mov bx, %%name
        mov ecx, %2 * %3
        call end
        jmp short %%over
%%name: db %4, 0
%%over:
%endmacro

start:  mov ax, cs
        mov ds, ax
        cld
        call unreal
        mode 3
        bench text_scroll, 2000, 1, "text_scroll"
        bench text_cells, 500, 2000, "text_cell"
        bench bios_scroll, 200, 1, "text_scroll_bios"
        bench bios_print, 20, 80, "text_print_bios"
        mode 0x13
        bench fill13, 1000, 1, "mode13_fill"
        bench pixels13, 400, 64000, "mode13_pixel"
        mode 0x12
        bench planar_fill, 40, 1, "planar_fill"
        bench planar_scroll, 10, 1, "planar_scroll"
        bench planar_bytes, 60, 9600, "planar_byte"
        bench planar_dots, 60, 9600, "planar_dot"
        mov ax, 0x4f01          ; where the linear frame buffer is
        mov cx, 0x112
        mov di, info
        push ds
        pop es
        int 0x10
        mov ax, 0x4f02
        mov bx, 0x4112
        int 0x10
        mov ax, 0x4f02
        mov bx, 0x4112
        int 0x10
        call unreal
        bench lfb_fill, 100, 1, "vbe_fill"
        bench lfb_dots, 10, 76800, "vbe_dot"
        mov dx, 0x501
        mov al, 0x10
        out dx, al
        hlt

unreal: push ds
        push es
        xor eax, eax
        mov ax, cs
        shl eax, 4
        add eax, gdt
        mov [gdtr + 2], eax
        lgdt [gdtr]
        mov eax, cr0
        or al, 1
        mov cr0, eax
        jmp short .in
.in:    mov bx, 8
        mov fs, bx
        mov es, bx
        and al, 0xfe
        mov cr0, eax
        jmp short .out
.out:   xor ax, ax
        mov fs, ax
        pop es
        pop ds
        ret
        align 8
gdt:    dq 0, 0x00cf92000000ffff
gdtr:   dw 15
        dd 0

begin:  rdtsc
        mov [began], eax
        mov [began + 4], edx
        ret

; bx name, ecx operations
end:    rdtsc
        sub eax, [began]
        sbb edx, [began + 4]
        push edx
        push eax
        push ecx
.name:  mov al, [bx]
        inc bx
        test al, al
        jz .named
        out 0xe9, al
        jmp .name
.named: pop eax
        call hex
        pop eax
        pop edx
        push eax
        mov eax, edx
        call hex
        pop eax
        call digits
        mov al, 10
        out 0xe9, al
        ret
hex:    push eax
        mov al, ' '
        out 0xe9, al
        pop eax
digits: mov cx, 8
.next:  rol eax, 4
        push ax
        and al, 15
        add al, '0'
        cmp al, '9'
        jbe .out
        add al, 39
.out:   out 0xe9, al
        pop ax
        loop .next
        ret

text_scroll:
        push ds
        mov ax, 0xb800
        mov es, ax
        mov ds, ax
        mov si, 160
        xor di, di
        mov cx, 80 * 24 / 2
        rep movsd
        mov eax, 0x07200720
        mov cx, 40
        rep stosd
        pop ds
        ret

text_cells:
        mov ax, 0xb800
        mov es, ax
        xor di, di
        mov ax, 0x1741
        mov cx, 2000
.next:  mov [es:di], ax
        add di, 2
        dec cx
        jnz .next
        ret

bios_scroll:
        mov ax, 0x0601
        mov bh, 7
        xor cx, cx
        mov dx, 0x184f
        int 0x10
        ret

bios_print:
        mov cx, 80
.next:  mov ax, 0x0e41
        mov bx, 7
        push cx
        int 0x10
        pop cx
        loop .next
        ret

fill13: mov ax, 0xa000
        mov es, ax
        xor di, di
        mov eax, 0x01020304
        mov cx, 16000
        rep stosd
        ret

pixels13:
        mov ax, 0xa000
        mov es, ax
        xor di, di
.next:  mov ax, di
        xor al, ah
        mov [es:di], al
        inc di
        cmp di, 64000
        jne .next
        ret

planar_fill:
        seq 2, 0x0f
        gfx 5, 0
        mov ax, 0xa000
        mov es, ax
        xor di, di
        mov eax, 0x55aa55aa
        mov cx, 9600
        rep stosd
        ret

planar_scroll:
        push ds
        gfx 5, 1
        mov ax, 0xa000
        mov es, ax
        mov ds, ax
        mov si, 80 * 16
        xor di, di
        mov cx, 80 * 464
        rep movsb
        pop ds
        gfx 5, 0
        ret

planar_bytes:
        mov ax, 0xa000
        mov es, ax
        xor di, di
.next:  mov [es:di], al
        inc di
        cmp di, 9600
        jne .next
        ret

; a dot as programs set one: bit mask, latches, colour by write mode 2
planar_dots:
        gfx 5, 2
        mov ax, 0xa000
        mov es, ax
        xor di, di
        mov dx, 0x3ce
        mov ah, 0x80
.next:  mov al, 8
        out dx, ax
        mov al, [es:di]
        mov byte [es:di], 5
        ror ah, 1
        inc di
        cmp di, 9600
        jne .next
        gfx 5, 0
        gfx 8, 0xff
        ret

lfb_fill:
        xor ax, ax
        mov es, ax
        mov edi, [info + 40]
        mov eax, 0x00336699
        mov ecx, 640 * 480 * 3 / 4
        a32 rep stosd
        ret

lfb_dots:
        xor ax, ax
        mov fs, ax
        mov edi, [info + 40]
        mov ecx, 76800
.next:  mov [fs:edi], ecx
        add edi, 4
        dec ecx
        jnz .next
        ret

began:  dq 0
info:   times 256 db 0
        align 512, db 0
SECTORS equ ($ - $$) / 512 - 1
        times 512 db 0xf4
