"""Differences between NoVT and Bochs that are wanted, by name, each with its reason.

Two kinds. RULES hold for every case: a function that takes one differing field (as run.py names them), the case, and both values,
and says whether this is it. WANTED names cases: glob of the full case name, the fields that may differ ("*": all; or a function that tells), and why NoVT is
right or the difference is the CPU model's. A case passes when each of its differing fields is covered by a rule or its own entry.
"""
import fnmatch
import re


def push_of_selector(field, case, ours, theirs):
    """PUSH of a segment register with a 32-bit operand: NoVT writes 32 bits as AMD and earlier Intel processors do, Bochs 16 (SDM, PUSH)."""
    a, b = ours.get(field, "").split(" -> "), theirs.get(field, "").split(" -> ")
    if not field.startswith("[") or len(a) != 2 or len(b) != 2 or a[0] != b[0]:
        return False
    return a[1][4:] == b[1][4:] and a[1][:4] == "0000" and b[1][:4] == b[0][:4]


def x87_pointers(field, case, ours, theirs):
    """FIP, FCS, FDP, FDS mean something only while an x87 exception is pending: AMD processors do not save them otherwise (APM vol. 2, 11.4.4)."""
    if field not in ("fpu3", "fpu4", "fpu5", "fpu6"):
        return False
    # The data pointer of an instruction without a memory operand is undefined (SDM vol. 1, 8.1.8).
    return not int(ours["fpu1"], 16) & 0x80 or field in ("fpu5", "fpu6") and int(ours["fpu4"], 16) >> 16 & 0xff >= 0xc0


def part_of_store(field, case, ours, theirs):
    """A store of more than one word that faults behind its first word: both are allowed to have stored the first part or not. NoVT tries the whole first."""
    return ((field.startswith("[") or field == "more") and field not in ours and ours.get("event") in ("v0c", "v0d", "v0e", "v11") and not isinstance(case.code, bytes)
            and re.search(r"fstp tword|fbstp|f(n?)stenv|f(n?)save|fxsave|sgdt|sidt|pusha|enter", case.code))


def popa_as_it_goes(field, case, ours, theirs):
    """POPA run directly (--engine direct) is the host CPU's own, and that loads registers as it goes; a fault behind the first leaves ESP, so it restarts the same."""
    import matrix
    return (matrix.direct and field in ("a", "b", "c", "d", "si", "di", "bp") and case.mode.ring == 3 and ours.get("event") in ("v0c", "v0e")
            and not isinstance(case.code, bytes) and "popa" in case.code)


def mxcsr_mask(field, case, ours, theirs):
    """FXSAVE tells which bits of MXCSR exist; AMD processors have bit 17, misaligned exception mask (APM vol. 2, 11.5.10), a Pentium III no DAZ."""
    return field.startswith("[") and ours.get(field, "").endswith((" 0002ffff", " 0000ffbf")) and theirs.get(field, "").endswith(" 0000ffff") and "fxsave" in case.code


def rf_between_iterations(field, case, ours, theirs):
    """A trap between two iterations of a repeated instruction pushes RF set (SDM vol. 3, 17.3.1.1); Bochs pushes it clear."""
    a, b = ours.get(field, "").split(" -> ")[-1], theirs.get(field, "").split(" -> ")[-1]
    return field.startswith("[") and a and b and int(a, 16) == int(b, 16) | 0x10000 and "rep" in f"{case.code}{case.more}"


def x87_empty(field, case, ours, theirs):
    """What lies in x87 registers that are tagged empty: a task switch of the host may lose it (XSAVE of an initial state)."""
    if not field.startswith("fpu") or int(field[3:]) < 7 or int(field[3:]) > 26:
        return False
    a, b = (int(x[field], 16).to_bytes(4, "little") for x in (ours, theirs))
    top, tags = int(ours["fpu1"], 16) >> 11 & 7, int(ours["fpu2"], 16)
    at = (int(field[3:]) - 7) * 4
    return all(a[i] == b[i] or tags >> 2 * ((top + (at + i) // 10) & 7) & 3 == 3 for i in range(4))


def lost_pointers(case, ours, theirs):
    """Are zeros instead of x87 pointers in a stored environment all that differs? AMD hosts lose the pointers when they switch tasks while no exception is
    pending (APM vol. 2, 11.4.4), so now and then such a case is worth another try; it has to come out equal then."""
    if isinstance(case.code, bytes) or not re.search(r"f(n?)stenv|f(n?)save|fxsave", f"{case.code}{case.more}"):
        return False
    for field in set(ours) | set(theirs):
        if ours.get(field) == theirs.get(field):
            continue
        if not field.startswith(("[", "fpu")):
            return False
        new = theirs.get(field, "").split(" -> ")
        mine, bochs = (int(x, 16) for x in (ours.get(field, new[0]).split(" -> ")[-1] or "0", new[-1] or "0"))
        if any(mine >> i & 0xff and (mine ^ bochs) >> i & 0xff for i in range(0, 32, 8)):
            return False
    return True


RULES = [
    (x87_empty, "empty x87 registers"),
    (rf_between_iterations, "RF in the frame of a trap between iterations"),
    (mxcsr_mask, "MXCSR_MASK"),
    (push_of_selector, "PUSH sreg writes 32 bits"),
    (part_of_store, "a store that faults in its middle"),
    (popa_as_it_goes, "POPA that faults in its middle"),
    (x87_pointers, "x87 pointers without a pending exception"),
]


def partial(field, ours):
    """Memory that Bochs changed and NoVT did not."""
    return field.startswith("[") and field not in ours


WANTED = [
    ("paging/pse/36-bit-[12][70]", "*", "CPU model: 36 physical address bits, so bits 21-17 of a 4 MiB page's entry are reserved (SDM vol. 3, table 4-4); Bochs has 40"),
    ("paging/pae/width-3[69]", "*", "CPU model: 36 physical address bits (SDM vol. 3, 4.4.2); Bochs has 40"),
    ("paging/wp/ltr/*", ("tr",), "LTR marks the descriptor busy before it loads TR (SDM, LTR, operation)"),
    ("straddle/hand/order/cmps/*", ("cr2",), "which of CMPS's operands is read first is open: NoVT's order is the host CPU's"),
    ("segment/branch/*call*/*", "*", "a near CALL to an offset beyond the limit faults before it pushes (SDM, CALL, operation); Bochs has pushed"),
    ("segment/access/arpl/ro/*", "*", "ARPL that raises nothing does not write, as on the host CPU; Bochs wants its operand writable"),
    ("control/flags/*/iopl3/vme-vif-vip/*", "*", "with IOPL 3 VIF and VIP mean nothing (SDM vol. 3, 2.3); Bochs looks at them"),
    ("fpu/math/frndint/pseudo-denormal,*", "*", "FRNDINT of a pseudo-denormal is a denormal-operand exception and a rounded zero (SDM, FRNDINT), as on the host CPU; Bochs leaves it alone"),
    ("fpu/fx/fx*+1*-ac/*", "*", "FXSAVE and FXRSTOR off by less than 4 bytes under alignment checking: #AC or #GP by implementation (SDM, FXSAVE); #AC on the host CPU"),
    ("exception/fetch-call-to-limit", partial, "CALL checks its target before it pushes (SDM, CALL); Bochs pushes first"),
    ("exception/rec*-to-shutdown", partial, "a frame that does not fit is found before anything is pushed (SDM, INT)"),
    ("exception/real-stack-[15]", partial, "the same in real mode"),
    ("exception/first/fxsave/ac*", "*", "the same"),
    ("exception/first/fxsave/*page*", ("cr2",), "as in the next"),
    ("exception/align/fnsave+?/*", "*", "FNSAVE is checked as 4 or 2 bytes (SDM vol. 3, table 6-7); Bochs checks each register it stores"),
    ("exception/align/sgdt+?/*", "*", "SGDT is checked as 4 bytes (SDM vol. 3, table 6-7); Bochs checks base and limit by themselves"),
    ("fpu/ne0-[fr][we]*", "*", "without CR0.NE FWAIT waits for IRQ 13 (SDM vol. 3, 18.18.6.1, MS-DOS compatibility mode), which then returns to it; Bochs goes on"),
    ("fpu/fst-ro-unmasked", "*", "a store that an unmasked exception holds back looks at its page first, on the host CPU; Bochs does not look"),
    ("fpu/fx/page-*/f*", ("cr2",), "which byte of a long operand is found missing first is open; NoVT's is the host CPU's"),
    ("fpu/align/movups+*-ac/*", "*", "MOVUPS may raise #AC (SDM, MOVUPS); the host CPU does"),
    ("debug/ss-from-watched-i*", "*", "a data breakpoint that MOV SS met is reported in the handler of the INT behind it, as processors do (CVE-2018-8897); Bochs forgets it"),
    ("straddle/*/f[brl][lds][det]*/*", ("cr2", "fpu0", "fpu2", "[00024008]", "[00027020]", "[00029000]", "[00029004]", "[00029008]"),
     "the order in which FBLD, FLDENV and FRSTOR read the parts of their operand is open: NoVT's is the host CPU's; Bochs has loaded some of it when it faults"),
    ("exception/first/les/page", ("cr2",), "the order in which LES and its like read their parts is open: NoVT's is the host CPU's, offset first; Bochs reads the selector first"),
    ("paging/ad/*/les/np/*", ("cr2",), "the same"),
    ("segload/order/offset_page_then_selector", ("cr2",), "the same"),
    ("straddle/*/l[ef]s[24]/*-*/*", ("cr2", "[00024008]", "[00027020]", "[00029000]", "[00029008]"), "the same"),
    ("straddle/hand/task-to/np/*", ("cr2",), "which byte of a new TSS is found missing first is open; Bochs looks at its last"),
    ("segload/tr/read_only_page", ("tr",), "LTR marks the descriptor busy before it loads TR (SDM, LTR, operation)"),
    ("straddle/hand/gdt-tss/ro/*", ("tr",), "LTR marks the descriptor busy before it loads TR (SDM, LTR, operation)"),
    ("straddle/*/f[sb]s*t*/second-*/*", "*", "a 10-byte store that faults in its second page has no effect, as on the host CPU; Bochs has written 8 bytes"),
    ("straddle/*/s[gi]dt/second-*/*", "*", "SGDT and SIDT that fault in the second page have no effect; Bochs has written the limit"),
    ("paging/pdpte/cr0-[twma]*", "*", "MOV to CR0 loads PDPTEs only when it changes PG, CD or NW (SDM vol. 3, 4.4.1); Bochs does with every one"),
    ("paging/pdpte/gp-not-in-cr0-ts", "*", "the same"),
    ("transfer/inner-ss/tss-limit[9a]/*", "*", "SS0 ends at byte 9 of a TSS: CALL checks 6 bytes (SDM, CALL: TSSstackAddress + 5 > limit; editions before 2016 and Bochs: + 7)"),
    ("transfer/inner-ss/tss-limit1[1]/1/*", "*", "the same for ring 1"),
    ("transfer/inner-ss/tss-limit19/2/*", "*", "the same for ring 2"),
    ("transfer/inner-ss/*", partial, "CALL checks that the new stack has room for the whole frame before it pushes (SDM, CALL, MORE-PRIVILEGE); Bochs pushes until it fails"),
    ("interrupt/*-ss/*", partial, "the same for INT and exceptions (SDM, INT: room for 10 to 24 bytes)"),
    ("interrupt/v86/*/esp*", partial, "the same from v86 (SDM, INT: room for 36 or 40 bytes)"),
    ("interrupt/real/*/sp*", partial, "the same in real mode (SDM, INT: room for 6 bytes)"),
    ("v86/redirect/sp?/*", partial, "the same for INT n that VME redirects"),
    ("v86/wrap/*/sp?/real", ("[0002e000]", "[0002e004]"), "the same behind an instruction that uses the stack"),
    ("transfer/eight/call16/sp7/real", ("[0002e000]",), "as in the next, behind a call that fits"),
    ("transfer/eight/*/sp?/*", partial, "a frame that does not fit on the stack is #SS(0) before anything is pushed (SDM, CALL, INT); Bochs pushes until it fails"),
    ("transfer/parameters-page-*", partial, "parameters that cannot be read are found before SS and ESP are pushed; nothing uses that stack yet"),
    ("transfer/limit/call/*-1/*", partial, "CALL checks the target against the limit of its segment before it pushes (SDM, CALL, SAME-PRIVILEGE); Bochs pushes first"),
    ("transfer/outer?/pop-limit15/*", "*", "RETF to an outer ring pops 16 bytes, SS as 4 of them (SDM, RET: top 16 + SRC bytes within stack limits); Bochs reads 2"),
    ("segment/access/arpl/*", "*", "the same as in the next: a read-only operand is no fault when RPL stays"),
    ("task/state/eip-limit-1/np/*", "*", "the error code is pushed in the new task before its EIP is checked (SDM, INT, TASK-GATE); Bochs checks first"),
    ("task/state/v86-eip/np/*", "*", "the same"),
    ("task/paging/old*/jmp*/*", ("[0002011c]",), "the old task stays busy when its TSS is not paged in (SDM vol. 3, 7.3, steps 5 and 6); Bochs clears the bit first"),
    ("task/paging/old*/iret/*", ("[0002011c]",), "the same"),
    ("iret/ss?/1[26]/absent/*", ("event",), "IRET to an outer ring with an absent stack segment is #SS(selector) in the manual's operation section (SDM, IRET); Bochs raises #NP"),
    ("v86/iopl3/vme/*/vif-vip/*", "*", "VIF and VIP mean something only with IOPL below 3 (SDM vol. 3, 2.3); Bochs does not look at IOPL when both are set"),
    ("v86/pvi2/iopl3/*/vif-vip/*", "*", "the same"),
    ("iret/ss-accessed-in-read-only", "*", "an IRET whose SS descriptor cannot be marked changes nothing; Bochs has loaded CS and CPL by then"),
    ("iret/vif-vip/v86/pvi", "*", "PVI says nothing about v86 mode (SDM vol. 3, 20.4)"),
    ("v86/vme/ivt-page-missing/*", ("cr2",), "CR2 is the vector's first missing byte; Bochs reads its upper half first"),
    ("task/gdt-read-only/*", partial, "a task switch that cannot set the busy bit changes nothing (SDM vol. 3, 7.3, step 5); Bochs has saved the old task by then"),
    ("iret/to-v86/eip*0000*/*", "*", "IRET to and in v86 mode checks EIP against the limit FFFFh before anything changes (SDM, IRET); Bochs faults on the first fetch"),
    ("iret/to-v86/eipfffffff0/*", "*", "the same"),
    ("iret/eip*/o32/v86", "*", "the same"),
    ("paging/ad/*/arpl/[rn][op]/*", "*", "ARPL reads its operand and writes only when RPL rises, as the host CPU does (SDM, ARPL: no write cycle is promised); Bochs asks for write access first"),
]


def reason(name, case, ours, theirs, cpu):
    """The names of the differences when all are wanted, else None."""
    import run
    a, b = run.fields(ours), run.fields(theirs)
    why = set()
    for field in set(a) | set(b):
        if a.get(field) == b.get(field):
            continue
        found = next((text for glob, allowed, text in WANTED if fnmatch.fnmatch(name, glob) and (allowed == "*" or (allowed(field, a) if callable(allowed) else field in allowed))), None)
        if not found:
            found = next((text for rule, text in RULES if rule(field, case, a, b)), None)
        if not found:
            return None
        why.add(found)
    return "; ".join(sorted(why))
