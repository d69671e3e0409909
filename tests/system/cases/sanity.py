"""One plain case in each mode: that the harness itself gets everywhere and back."""
from matrix import *  # noqa: F403


def cases():
    for mode in PM32 + PM16 + [REALMODE, V86]:
        for kind in (None, "32", "pae"):
            if kind and mode is REALMODE:
                continue
            m = paged(mode, kind) if kind else mode
            data = "[0x32004]" if mode.flat else "[0x2004]"
            yield Case(f"store/{m}", m, f"mov dword {data}, 0x12345678\npush ds\npush eax\nmov ecx, {data}\ncmp ecx, eax")
            yield Case(f"int3/{m}", m, "int3")
            yield Case(f"fpu/{m}", m, "fldpi\nfld1\nfaddp", flags=FPU)
            yield Case(f"div/{m}", m, "xor ecx, ecx\ndiv ecx")


def hand():
    yield Case("shutdown", PM32[0], "lidt [at(none)]\nint3\nnone: dw 0,0,0".replace("none", ".none"))
    yield Case("irq", PM32[0], "sti\nnop\nnop\nnop", flags=IRQ)
    yield Case("sse", PM32[0], "mov eax, cr4\nor eax, 0x200\nmov cr4, eax\nmovd xmm1, eax", flags=SSE)
