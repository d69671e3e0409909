/*
 * boot.S - option ROM that starts the kernel given with -kernel.
 *
 * SeaBIOS finds it as fw_cfg file "genroms/novt-boot.rom" and, by the "bootorder" file, takes its boot
 * entry vector (BEV) first. The BEV copies the kernel's parts from fw_cfg to where the VMM wants them,
 * each by one DMA request, and starts it: Linux at its real-mode entry (Linux boot protocol, "Running the
 * Kernel"), a multiboot kernel in flat protected mode. Which of the two: a Linux kernel has a setup part.
 *
 * Uses the legacy fw_cfg selectors as QEMU fills them, so it also runs there. The ROM image may be
 * write-protected: everything that changes is in low memory, see below. The loader sets the size byte and
 * the checksums.
 */
        .code16
        .text

/* fw_cfg: selectors, DMA port (big endian), DMA control bits. */
#define FW_KERNEL_ADDR 0x07
#define FW_KERNEL_SIZE 0x08
#define FW_INITRD_ADDR 0x0a
#define FW_INITRD_SIZE 0x0b
#define FW_KERNEL_ENTRY 0x10
#define FW_KERNEL_DATA 0x11
#define FW_INITRD_DATA 0x12
#define FW_CMDLINE_ADDR 0x13
#define FW_CMDLINE_SIZE 0x14
#define FW_CMDLINE_DATA 0x15
#define FW_SETUP_ADDR 0x16
#define FW_SETUP_SIZE 0x17
#define FW_SETUP_DATA 0x18
#define FW_DMA_PORT 0x514
#define DMA_ERROR 1
#define DMA_READ_SELECT 0x0a

/* Low memory we use, all in segment 0: the boot sector's place, as no boot sector is loaded. */
#define DMA 0x7c00              /* struct: be32 control, be32 length, be64 address */
#define VALUE 0x7c10            /* a u32 read from fw_cfg */
#define STACK_TOP 0x7c00

/* Multiboot information (Multiboot Specification 0.6.96, 3.3): offsets used here. */
#define MBI_FLAGS 0
#define MBI_MMAP_LENGTH 44
#define MBI_MMAP_ADDR 48
#define MBI_FLAG_MMAP 0x40
#define MBI_MMAP_OFF 0x80       /* where the map goes, from the start of the info */
#define MMAP_MAX 64
#define MULTIBOOT_MAGIC 0x2badb002

        .globl _start
_start:
        .byte 0x55, 0xaa
        .byte 0                 /* size in 512-byte units */
        lret                    /* offset 3: initialisation, nothing to do */
        .org 0x18
        .word 0                 /* no PCI structure */
        .word pnp
pnp:                            /* BIOS Boot Specification 1.01, PnP expansion header */
        .ascii "$PnP"
        .byte 1                 /* revision */
        .byte 2                 /* length in 16-byte units */
        .word 0                 /* next header */
        .byte 0
        .byte 0                 /* checksum */
        .long 0                 /* device id */
        .word maker
        .word product
        .byte 3, 0, 0           /* type: mass storage controller */
        .byte 0                 /* indicators */
        .word 0                 /* BCV */
        .word 0                 /* disconnect vector */
        .word bev
        .word 0
        .word 0
maker:  .asciz "NoVT"
product:
        .asciz "Kernel given to the VMM"

bev:
        cli
        cld
        xorw %ax, %ax
        movw %ax, %ds
        movw %ax, %ss
        movw $STACK_TOP, %sp

        movw $FW_SETUP_SIZE, %ax
        call fw_value
        testl %eax, %eax
        jz multiboot

        movl %eax, %ecx
        movw $FW_SETUP_ADDR, %ax
        movw $FW_SETUP_DATA, %bx
        call fw_copy
        movw $FW_CMDLINE_SIZE, %ax
        call fw_value
        movl %eax, %ecx
        movw $FW_CMDLINE_ADDR, %ax
        movw $FW_CMDLINE_DATA, %bx
        call fw_copy
        call fw_kernel_and_initrd

        /* Segments = setup's, stack below the command line, 20h paragraphs in: the entry. */
        movw $FW_CMDLINE_ADDR, %ax
        call fw_value
        movl %eax, %edx
        movw $FW_SETUP_ADDR, %ax
        call fw_value
        subl %eax, %edx
        subl $16, %edx
        shrl $4, %eax
        movw %ax, %ds
        movw %ax, %es
        movw %ax, %fs
        movw %ax, %gs
        movw %ax, %ss
        movl %edx, %esp
        addw $0x20, %ax
        pushw %ax
        pushw $0
        xorl %eax, %eax
        xorl %ebx, %ebx
        xorl %ecx, %ecx
        xorl %edx, %edx
        xorl %esi, %esi
        xorl %edi, %edi
        xorl %ebp, %ebp
        lret

multiboot:
        call fw_kernel_and_initrd   /* "initrd": the multiboot information, in the first 64 KiB */
        movw $FW_INITRD_ADDR, %ax
        call fw_value
        movl %eax, %ebp

        /* The firmware's memory map: entries of 20 bytes behind a size word. */
        xorw %ax, %ax
        movw %ax, %es
        leal MBI_MMAP_OFF(%ebp), %edi
        movl %edi, MBI_MMAP_ADDR(%bp)
        xorl %ebx, %ebx
        movw $MMAP_MAX, %si
1:      movl $0xe820, %eax
        movl $0x534d4150, %edx      /* "SMAP" */
        movl $20, %ecx
        addw $4, %di
        pushl %ebp
        pushw %si
        int $0x15
        popw %si
        popl %ebp
        jc 2f
        cmpl $0x534d4150, %eax
        jne 2f
        movl $20, -4(%di)
        addw $20, %di
        decw %si
        jz 3f
        testl %ebx, %ebx
        jnz 1b
        jmp 3f
2:      subw $4, %di
3:      movzwl %di, %edi
        subl MBI_MMAP_ADDR(%bp), %edi
        movl %edi, MBI_MMAP_LENGTH(%bp)
        jz 4f
        orl $MBI_FLAG_MMAP, MBI_FLAGS(%bp)
4:
        movw $FW_KERNEL_ENTRY, %ax
        call fw_value
        movl %eax, %edx

        /* A20 is open on this machine. GDT: flat code 8, flat data 10h, in the ROM itself. */
        cli
        xorl %eax, %eax
        movw %cs, %ax
        shll $4, %eax
        addl $gdt, %eax
        movw $(gdt_end - gdt - 1), DMA
        movl %eax, DMA + 2
        lgdtl DMA
        movl %cr0, %eax
        orb $1, %al
        movl %eax, %cr0
        movw $0x10, %ax
        movw %ax, %ds
        movw %ax, %es
        movw %ax, %fs
        movw %ax, %gs
        movw %ax, %ss
        movl $STACK_TOP, %esp
        movl $MULTIBOOT_MAGIC, %eax
        movl %ebp, %ebx
        movl $0x08, STACK_TOP - 4   /* far pointer for the jump that loads CS */
        movl %edx, STACK_TOP - 8
        ljmpl *(STACK_TOP - 8)

        .balign 8
gdt:    .quad 0
        .quad 0x00cf9b000000ffff
        .quad 0x00cf93000000ffff
gdt_end:

fw_kernel_and_initrd:
        movw $FW_KERNEL_SIZE, %ax
        call fw_value
        movl %eax, %ecx
        movw $FW_KERNEL_ADDR, %ax
        movw $FW_KERNEL_DATA, %bx
        call fw_copy
        movw $FW_INITRD_SIZE, %ax
        call fw_value
        movl %eax, %ecx
        movw $FW_INITRD_ADDR, %ax
        movw $FW_INITRD_DATA, %bx
        /* fall through */

/* ecx bytes of item bx to the address that item ax holds. */
fw_copy:
        testl %ecx, %ecx
        jz 1f
        pushl %ecx
        call fw_value
        popl %ecx
        movl %eax, %edi
        movw %bx, %ax
        jmp fw_read
1:      ret

/* eax = u32 value of item ax. Clobbers ecx, edi. Keeps ebx, edx, ebp. */
fw_value:
        movl $4, %ecx
        movl $VALUE, %edi
        call fw_read
        movl VALUE, %eax
        ret

/* ecx bytes of item ax to physical address edi. DS = SS = 0. */
fw_read:
        pushl %edx
        shll $16, %eax
        movw $DMA_READ_SELECT, %ax
        bswapl %eax
        movl %eax, DMA
        bswapl %ecx
        movl %ecx, DMA + 4
        movl $0, DMA + 8
        bswapl %edi
        movl %edi, DMA + 12
        movw $FW_DMA_PORT, %dx
        xorl %eax, %eax
        outl %eax, %dx
        addw $4, %dx
        movl $DMA, %eax
        bswapl %eax
        outl %eax, %dx              /* starts */
1:      movl DMA, %eax
        testl $(DMA_ERROR << 24), %eax
        jnz fail
        testl %eax, %eax
        jnz 1b
        popl %edx
        ret

fail:
        movw $message, %si
1:      movb %cs:(%si), %al
        incw %si
        testb %al, %al
        jz 2f
        movb $0x0e, %ah
        movw $7, %bx
        int $0x10
        jmp 1b
2:      int $0x18                   /* next boot device */
3:      hlt
        jmp 3b
message:
        .asciz "Kernel could not be copied to memory\r\n"
