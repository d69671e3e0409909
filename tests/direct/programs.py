"""Ring-3 programs that try to get out of direct execution, and some that it must get right; assembled by hostile.py with prelude.inc.

Each is (name, text, promise): SAME: ends under -engine direct as it does under bt, which is the architected way. CAUGHT: the same, and it was an escape,
so NoVT says so. ANY: something that no scanner sees ran on the host's CPU, where it means something else; only the rest must go on.
What must not be scanned hides in operands (HIDDEN, FAR); what is not direct execution's stands in a page of its own (ODD_PAGE).
"""
SAME, CAUGHT, ANY = "same", "caught", "any"

DATA = 0x08060000
SYSCALL = "0x0f, 0x05"
LONG = "        HIDDEN deep, " + SYSCALL + "\n"      # what runs in 64-bit mode, mostly
ODD_PAGE = "        times 0x1000 - ($ - elf) % 0x1000 db 0x90\n"


def far64(code, before=""):
    """A hidden far jump to a hidden piece of 64-bit code."""
    return f"start:  {before}\n        HOP go\n        FAR go, deep, 0x33\n        HIDDEN deep, {code}\n"


def shift_to(high, then):
    """64-bit code with RAX = high << 32."""
    return far64("0x48, 0xc1, 0xe0, 0x20, " + then, f"mov eax, {high:#x}")


def forged_frame(cs, ip, mask, alt=(0, 2, 0)):
    """rt_sigreturn with a frame of our own (direct/frame.h) at ESP."""
    words = {40 // 4 - 6: alt[0], 24 // 4: alt[1], 32 // 4: alt[2], 160 // 4: DATA + 0x8000, 168 // 4: ip, 176 // 4: 0x202,
             184 // 4: cs, 188 // 4: 0x2b << 16, 296 // 4: mask, 300 // 4: mask}
    fill = "".join(f"        mov dword [{DATA + 4 * i:#x}], {v}\n" for i, v in words.items())
    return f"start:\n{fill}        mov esp, {DATA:#x}\n        mov eax, 15\n        mov ebp, go\n        jmp ebp\n        FAR go, deep, 0x33\n{LONG}spin:   jmp spin\n"


def ldt(number, base, limit, flags, then):
    """modify_ldt makes slot `number`; then what is to be done with it."""
    return f"""start:  mov dword [{DATA:#x}], {number}
        mov dword [{DATA + 4:#x}], {base}
        mov dword [{DATA + 8:#x}], {limit}
        mov dword [{DATA + 12:#x}], {flags}
        SYS 123, 0x11, {DATA:#x}, 16
        test eax, eax
        jnz bad
        mov dword [{DATA + 0x100:#x}], 7
        jmp near odd
bad:    EXIT 99
clean:  call warm
{then[1]}
        EXIT ebx
{ODD_PAGE}odd:    mov eax, {number << 3 | 7}
{then[0]}
        jmp near clean
"""


def alias(offset):
    """One shared page pair mapped twice; code is written through one mapping and run through the other."""
    return f"""start:  mov ebp, 0
        mov edi, -1
        mov esi, 0x21
        SYS 192, 0, 0x2000, 7
        mov [{DATA:#x}], eax
        mov esi, 1
        mov edi, 0
        SYS 163, [{DATA:#x}], 0, 0x2000
        mov [{DATA + 4:#x}], eax
        mov esi, [{DATA:#x}]
        add esi, {offset}
        mov edi, eax
        add edi, {offset}
        mov byte [esi], 0xb8
        mov byte [esi + 5], 0xc3
        mov ecx, 600
.again: mov [esi + 1], ecx
        push ecx
        call edi
        mov edx, 3000
.spin:  dec edx
        jnz .spin
        pop ecx
        cmp eax, ecx
        jne .bad
        loop .again
        EXIT 0
.bad:   EXIT 1
"""


PROGRAMS = [
    ("far-call", f"start:  HOP go\n        FAR go, deep, 0x33, 0x9a\n{LONG}", CAUGHT),
    ("far-return", f"start:  push 0x33\n        push deep\n        HOP go\n        HIDDEN go, 0xcb\n{LONG}", CAUGHT),
    ("iret", f"start:  pushfd\n        push 0x33\n        push deep\n        HOP go\n        HIDDEN go, 0xcf\n{LONG}", CAUGHT),
    ("int80-in-64", far64("0xcd, 0x80"), CAUGHT),
    ("spin-in-64", far64("0xeb, 0xfe"), CAUGHT),
    ("host-vsyscall", far64("0x48, 0xf7, 0xd8, 0xff, 0xd0", "mov eax, 0xa00000"), CAUGHT),
    ("image-write", shift_to(0x1000, "0x89, 0x08"), CAUGHT),
    ("image-jump", shift_to(0x1000, "0xff, 0xe0"), CAUGHT),
    ("commands-write", shift_to(0x1100, "0x89, 0x08"), CAUGHT),
    ("area-write", shift_to(0x1200, "0x89, 0x08"), CAUGHT),
    ("area-fill", far64("0x48, 0xc1, 0xe7, 0x20, 0xf3, 0xab", "mov edi, 0x1200\n        mov ecx, 0x4000"), CAUGHT),
    ("kernel-read", far64("0x48, 0xf7, 0xd8, 0x8b, 0x00", "mov eax, 0x7fffffff"), CAUGHT),
    ("frame-zero", f"start:  mov esp, {DATA + 0x800:#x}\n        mov eax, 15\n        mov ebp, go\n        jmp ebp\n        FAR go, deep, 0x33\n{LONG}", CAUGHT),
    ("frame-deaf", forged_frame(0x23, "spin", "-1"), CAUGHT),
    ("frame-64", forged_frame(0x33, "spin", "0"), CAUGHT),
    ("frame-altstack", forged_frame(0x33, "0", "0", (DATA + 0x4000, 0, 0x8000)), CAUGHT),
    ("far-jmp-host-32", "start:  HOP go\n        FAR go, there, 0x23\nthere:  EXIT 3\n", ANY),
    ("sysenter", "start:  mov eax, 20\n        HOP go\n        HIDDEN go, 0x0f, 0x34\n", ANY),
    ("syscall", "start:  mov eax, 20\n        HOP go\n        HIDDEN go, " + SYSCALL + "\n", ANY),
    ("avx", "start:  HOP go\n        HIDDEN go, 0xc5, 0xfc, 0x58, 0xc0, 0xcc\n", ANY),
    ("xgetbv", "start:  xor ecx, ecx\n        HOP go\n        HIDDEN go, 0x0f, 0x01, 0xd0, 0xcc\n", ANY),
    ("ss-host", "start:  mov eax, 0x2b\n        HOP go\n        HIDDEN go, 0x8e, 0xd0, 0xcc\n", ANY),
    ("ds-host-code", "start:  mov eax, 0x33\n        HOP go\n        HIDDEN go, 0x8e, 0xd8, 0xcc\n", ANY),
    ("ss-null", "start:  xor eax, eax\n        HOP go\n        HIDDEN go, 0x8e, 0xd0\n", SAME),
    ("ss-ldt", "start:  mov eax, 0x4007\n        HOP go\n        HIDDEN go, 0x8e, 0xd0\n", SAME),
    ("fs-null", "start:  xor eax, eax\n        HOP go\n        HIDDEN go, 0x8e, 0xe0, 0x64, 0x8b, 0x00\n", SAME),
    ("int80-hidden", "start:  mov eax, 1\n        mov ebx, 9\n        HOP go\n        HIDDEN go, 0xcd, 0x80\n", SAME),
    ("cli", "start:  call warm\n        cli\n", SAME),
    ("in", "start:  call warm\n        in al, 0x60\n", SAME),
    ("int-20", "start:  call warm\n        int 0x20\n", SAME),
    ("int3", "start:  call warm\n        int3\n", SAME),
    ("into", "start:  call warm\n        mov al, 0x7f\n        inc al\n        into\n", SAME),
    ("divide", "start:  call warm\n        xor ecx, ecx\n        div ecx\n", SAME),
    ("ud2", "start:  call warm\n        ud2\n", SAME),
    ("trap-flag", "start:  call warm\n        pushfd\n        or dword [esp], 0x100\n        popfd\n        nop\n", SAME),
    ("kernel-write", "start:  call warm\n        mov [0xc1000000], eax\n", SAME),
    ("kernel-jump", "start:  call warm\n        mov eax, 0xc1000000\n        jmp eax\n", SAME),
    ("wrap", "start:  call warm\n        mov eax, [0xfffffffe]\n", SAME),
    ("guest-vdso", "start:  call warm\n        EXIT 4\n", SAME),
    ("ldt-in", ldt(3, DATA + 0x100, 15, 0x41, ("        mov fs, ax", "        mov ebx, [fs:0]")), SAME),
    ("ldt-edge", ldt(3, DATA + 0xf4, 15, 0x41, ("        mov fs, ax", "        mov ebx, [fs:12]")), SAME),
    ("ldt-beyond", ldt(3, DATA + 0xf4, 15, 0x41, ("        mov fs, ax", "        mov ebx, [fs:13]")), SAME),
    ("ldt-read-only", ldt(3, DATA + 0x100, 15, 0x49, ("        mov gs, ax", "        mov ebx, [gs:0]\n        mov [gs:0], ebx")), SAME),
    ("ldt-down", ldt(8000, 0, DATA + 0xfff - 0x1000 + 0x101 - 0x1, 0x43, ("        mov es, ax", f"        mov ebx, [es:{DATA + 0x100:#x}]")), SAME),
    ("ldt-stack", ldt(5, 0, 0xfffff, 0x51, ("        mov ss, ax", f"        push dword [{DATA + 0x100:#x}]\n        pop ebx")), SAME),
    ("ldt-stack-16", ldt(5, DATA, 0xffff, 0x40, ("        mov ss, ax\n        mov esp, 0x12348000", f"        push dword [{DATA + 0x100:#x}]\n        pop ebx\n"
                                                  "        cmp esp, 0x12348000\n        je .ok\n        mov ebx, 98\n.ok:")), SAME),
    ("ldt-code", ldt(6, 0x1000, 0xfffff, 0x55, ("        push eax\n        push dword (clean2 - 0x1000)\n        retf\nclean2 equ clean", "        mov ebx, 6")), SAME),
    ("alias-page", alias(0x100), SAME),
    ("alias-straddle", alias(0xffd), SAME),
    ("alias-straddle-late", alias(0xfff), SAME),
    *((f"esp-{v:x}", f"start:  call warm\n        mov esp, {v:#x}\n        push eax\n        EXIT 0\n", SAME)
      for v in (0, 2, 4, 0x10000, 0xc0000000, 0xc0000002, 0xfffffffe, 0x08048100)),
    *((f"esp-{v:x}-unused", f"start:  call warm\n        mov esp, {v:#x}\n        EXIT 5\n", SAME) for v in (0, 1, 0xc0000000, 0xffffffff)),
    ("mappings", f"""start:  mov ebp, 0
        mov edi, -1
        mov esi, 0x22
        SYS 192, 0, 0x1000000, 0
        mov esi, eax
        mov edi, 2000
.next:  SYS 125, esi, 0x1000, 3
        mov [esi], edi
        add esi, 0x2000
        dec edi
        jnz .next
        mov edi, 2000
.sum:   sub esi, 0x2000
        inc ebp
        cmp [esi], ebp
        jne .bad
        dec edi
        jnz .sum
        EXIT 0
.bad:   EXIT 1
""", SAME),
    ("forks", """start:  mov edi, 30
.next:  SYS 2
        test eax, eax
        jz .child
        dec edi
        jnz .next
        mov edi, 30
.wait:  SYS 7, -1, 0, 0
        test eax, eax
        jle .bad
        dec edi
        jnz .wait
        EXIT 0
.bad:   EXIT 1
.child: call warm
        EXIT 2
""", SAME),
    ("loop", "start:  jmp start\n", SAME),
    *((f"syscall64-{n}", far64(SYSCALL, f"mov eax, {n}"), CAUGHT) for n in (0, 1, 2, 9, 10, 11, 13, 39, 56, 59, 60, 62, 101, 154, 157, 231, 317)),
]
