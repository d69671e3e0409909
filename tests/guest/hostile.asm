; hostile.asm - code where there is no memory: the bus answers ones, and FFFFh is an undefined opcode. Also where memory ends in the
; middle of an instruction, through page tables, and in ROM. Bochs gives up on such a fetch, so it cannot tell (tests/system has the rest).
%include "guest.inc"

ABSENT equ 0xd0000000
PDIR equ FREE
PTAB equ FREE + 0x1000
LINEAR equ 0x800000

main:
    TEST "jump to where no memory is"
    TRY .absent
    mov ecx, ABSENT
    jmp ecx
.absent:
    WANT_EXC 6, -1, ABSENT
    TRY .absent2
    mov ecx, ABSENT + 0xfff
    call ecx
.absent2:
    WANT_EXC 6, -1, ABSENT + 0xfff
    TRY .top
    mov ecx, 0xcfffffff
    jmp ecx
.top:
    WANT_EXC 6, -1, 0xcfffffff
    ENDTEST

    TEST "the same through page tables"
    mov edi, PDIR
    xor eax, eax
    mov ecx, 0x800
    cld
    rep stosd
    mov dword [PDIR], 0x87                      ; 4 MiB, one to one
    mov dword [PDIR + (LINEAR >> 20)], PTAB | 7
    mov dword [PTAB], ABSENT | 7
    mov dword [PTAB + 4], (FREE + 0x2000) | 7
    mov dword [PTAB + 8], ABSENT | 7
    mov dword [FREE + 0x2000 + 0xffc], 0x90b84090   ; nop, inc eax, mov eax with its operand on the next page
    mov byte [FREE + 0x2000 + 0xffb], 0x40
    mov eax, cr4
    or eax, 0x10
    mov cr4, eax
    mov eax, PDIR
    mov cr3, eax
    mov eax, cr0
    or eax, 0x80000000
    mov cr0, eax
    TRY .paged
    mov ecx, LINEAR + 0x10
    jmp ecx
.paged:
    WANT_EXC 6, -1, LINEAR + 0x10
    CHECK [PTAB], ABSENT | 0x27
    TRY .cut                ; B8 90 FF FF FF: read, then the ones behind it
    mov ecx, LINEAR + 0x1ffc
    xor eax, eax
    jmp ecx
.cut:
    WANT_EXC 6, -1, LINEAR + 0x2003
    CHECK [EXC_EAX], 0xffffff90
    CHECK [PTAB + 8], ABSENT | 0x27
    ENDTEST

    TEST "memory that is not there becomes some, and code in it runs"
    mov dword [PTAB], (FREE + 0x3000) | 7
    mov dword [FREE + 0x3010], 0xc3434343       ; inc ebx three times, ret
    invlpg [LINEAR]
    mov ecx, LINEAR + 0x10
    xor ebx, ebx
    call ecx
    call ecx
    CHECK ebx, 6
    mov dword [PTAB], ABSENT | 7
    invlpg [LINEAR]
    TRY .gone
    call ecx
.gone:
    WANT_EXC 6, -1, LINEAR + 0x10
    ENDTEST

    TEST "stores to where no memory is, and reads"
    mov dword [LINEAR + 8], 5
    lock inc dword [LINEAR + 8]
    CHECK [LINEAR + 8], -1
    mov edi, LINEAR
    mov ecx, 0x500          ; over the edge into memory
    mov eax, 0x11223344
    rep stosd
    CHECK [FREE + 0x2000], 0x11223344
    CHECK [FREE + 0x2000 + 0x3fc], 0x11223344
    CHECK [LINEAR + 0xffe], 0x3344ffff
    mov dword [LINEAR + 0xffe], 0x55667788
    CHECK [FREE + 0x2000], 0x11225566
    mov esi, LINEAR + 0xff0
    mov edi, FREE + 0x4000
    mov ecx, 8
    rep movsd
    CHECK [FREE + 0x4000], -1
    CHECK [FREE + 0x4010], 0x11225566
    ENDTEST

    TEST "a page table that is not there"
    mov dword [PDIR + (LINEAR >> 20)], ABSENT | 7     ; its entries: FFFFFFFFh, pages at the top of the ROM
    mov eax, cr3
    mov cr3, eax
    mov eax, [LINEAR + 0xff0]
    push eax
    mov eax, cr0
    and eax, 0x7fffffff
    mov cr0, eax
    jmp .off
.off:
    pop eax
    CHECK eax, [0xfffffff0]
    ENDTEST
    ret

IMAGE_END
