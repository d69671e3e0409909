; bootsec.asm - a boot sector that reads and writes the drive it came from through the BIOS, and says how that went.
;
; Every sector of the image but this one begins with its own number (16 bits of it count). The program asks the BIOS for the geometry, reads
; single sectors and a whole track by cylinder, head and sector, disks also by LBA, and writes one sector with its number
; complemented, unless a word at 436 forbids it. Ends by isa-debug-exit at 501h: 10h (exit code 33) when all is well, else the number of
; the step that failed.
bits 16
org 0x7c00
BUF equ 0x1000          ; segment
params equ 0x7e00

start:
    cli
    xor ax, ax
    mov ds, ax
    mov ss, ax
    mov sp, 0x7c00
    sti
    cld
    mov [drive], dl

    ; step 1: the geometry
    cmp word [spt], 0
    jne .known
    mov ah, 8
    xor di, di
    mov es, di
    int 0x13
    jc fail
    mov al, cl
    and ax, 63
    jz fail
    mov [spt], ax
    mov al, ch
    mov ah, cl
    shr ah, 6
    mov [last_c], ax
    mov al, dh
    xor ah, ah
    mov [last_h], ax
.known:
    mov ax, BUF
    mov es, ax

    inc byte [step]     ; the last sector of the first track
    mov ax, [spt]
    mov [s], ax
    call read_one
    inc byte [step]     ; the first one of the last head
    mov word [s], 1
    mov ax, [last_h]
    mov [h], ax
    or ax, [last_c]
    jz .track
    call read_one
.track:
    inc byte [step]     ; all of a track
    mov ax, [last_c]
    mov [c], ax
    mov ax, [spt]
    mov [count], ax
    call access
    call mark
    mov cx, [spt]
    xor di, di
.each:
    cmp [es:di], ax
    jne fail
    inc ax
    add di, 512
    loop .each
    mov word [count], 1
    inc byte [step]     ; the very last sector
    mov ax, [spt]
    mov [s], ax
    call read_one
    cmp word [read_only], 0
    jne .lba
    inc byte [step]     ; written, and read again
    not word [es:0]
    mov byte [op], 3
    call access
    mov byte [op], 2
    mov [es:0], dx
    call access
    call mark
    not ax
    cmp [es:0], ax
    jne fail
.lba:
    test byte [drive], 0x80
    jz done
    inc byte [step]     ; by LBA: the last sector but one that the BIOS knows of
    mov si, params
    mov word [si], 26
    mov ah, 0x48
    mov dl, [drive]
    int 0x13
    jc fail
    mov eax, [params + 16]
    sub eax, 2
    mov [packet + 8], eax
    mov si, packet
    mov ah, 0x42
    mov dl, [drive]
    int 0x13
    jc fail
    mov ax, [packet + 8]
    cmp [es:0], ax
    jne fail
done:
    mov byte [step], 0x10
fail:
    mov al, [step]
    mov dx, 0x501
    out dx, al
    jmp $

; The number of the sector at c, h, s in ax.
mark:
    mov ax, [last_h]
    inc ax
    mul word [c]
    add ax, [h]
    mul word [spt]
    add ax, [s]
    dec ax
    ret

read_one:
    call access
    call mark
    cmp [es:0], ax
    jne fail
    ret

; op on count sectors at c, h, s to BUF:0.
access:
    mov ax, [c]
    mov ch, al
    mov cl, ah
    shl cl, 6
    or cl, [s]
    mov dh, [h]
    mov dl, [drive]
    mov al, [count]
    mov ah, [op]
    xor bx, bx
    int 0x13
    jc fail
    ret

drive: db 0
step: db 1
op: db 2
c: dw 0
h: dw 0
s: dw 0
count: dw 1
packet: db 16, 0, 1, 0
    dw 0, BUF
    dq 0
    times 436 - ($ - $$) db 0
; At 436; whoever makes the image may set them. Without sectors a track the BIOS is asked.
read_only: dw 0
spt: dw 0
last_c: dw 0
last_h: dw 0
    times 510 - ($ - $$) db 0
    dw 0xaa55
