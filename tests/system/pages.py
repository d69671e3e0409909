"""Page tables for the families about paging: a stretch of linear addresses of its own, far from the harness's.

FAR is the start of a region that the template leaves unmapped. A case gives it a directory entry (a table in SPARE, or a large
page) and entries for its first pages; everything else stays as the harness needs it.
"""
import struct

from matrix import *  # noqa: F403

FAR = 0x800000                                              # multiple of 4 MiB and 2 MiB
NOENTRY = 0


class Format:
    """32-bit or PAE paging: where FAR's entries are, and how to write them."""

    def __init__(self, kind):
        self.kind = kind
        self.pae = kind == "pae"
        self.bytes = 8 if self.pae else 4
        self.large = 0x200000 if self.pae else 0x400000
        self.pd = PAE_PD if self.pae else PD
        self.pt = PAE_PT if self.pae else PT
        self.cr3 = PDPT if self.pae else PD

    def __repr__(self):
        return self.kind

    def pack(self, *entries):
        return struct.pack(f"<{len(entries)}{'Q' if self.pae else 'I'}", *[e & (1 << 8 * self.bytes) - 1 for e in entries])

    def pde_address(self, linear):
        return self.pd + linear // self.large * self.bytes

    def pte_address(self, linear, table=None):
        return (self.pt if table is None else table) + linear % self.large // 4096 * self.bytes

    pt_entry = pte_address

    def pde(self, linear, entry):
        return {self.pde_address(linear): self.pack(entry)}

    def pte(self, linear, *entries, table=None):
        return {self.pte_address(linear, table): self.pack(*entries)}

    def far(self, pde, *ptes, linear=FAR, table=SPARE):
        """FAR's directory entry (flags, or a whole entry with an address) and its first pages."""
        if not pde & 0xfffff000 and not pde & PTE_PS:
            pde |= table
        return {**self.pde(linear, pde), **self.pte(linear, *ptes, table=table)}


P32, PAE_ = Format("32"), Format("pae")
FORMATS = (P32, PAE_)


def flags_name(e):
    """-: not present; rS, wS, rU, wU; x: no execute; a, d: accessed, dirty."""
    if not e & PTE_P:
        return "-"
    return ("w" if e & PTE_W else "r") + ("U" if e & PTE_U else "S") + ("x" if e & PTE_NX else "")


RIGHTS = [PTE_P, PTE_P | PTE_W, PTE_P | PTE_U, PTE_P | PTE_W | PTE_U]


def nowp(mode):
    """The same mode with CR0.WP clear."""
    m = Mode(f"{mode.name}/nowp", mode.bits, mode.ring, dict(mode.regs, cr0=mode.regs["cr0"] & ~WP), mode.flags, paging=mode.paging)
    return m


def merge(*dicts):
    out = {}
    for d in dicts:
        out.update(d)
    return out
