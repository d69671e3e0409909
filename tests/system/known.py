"""Differences between NoVT and Bochs that are wanted, by name, each with its reason.

Two kinds. RULES hold for every case: a function that takes one differing field (as run.py names them), the case, and both values,
and says whether this is it. WANTED names cases: glob of the full case name, the fields that may differ ("*": all), and why NoVT is
right or the difference is the CPU model's. A case passes when each of its differing fields is covered by a rule or its own entry.
"""
import fnmatch


def push_of_selector(field, case, ours, theirs):
    """PUSH of a segment register with a 32-bit operand: NoVT writes 32 bits as AMD and earlier Intel processors do, Bochs 16 (SDM, PUSH)."""
    a, b = ours.get(field, "").split(" -> "), theirs.get(field, "").split(" -> ")
    if not field.startswith("[") or len(a) != 2 or len(b) != 2 or a[0] != b[0]:
        return False
    return a[1][4:] == b[1][4:] and a[1][:4] == "0000" and b[1][:4] == b[0][:4]


def x87_pointers(field, case, ours, theirs):
    """FIP, FCS, FDP, FDS mean something only while an x87 exception is pending: AMD processors do not save them otherwise (APM vol. 2, 11.4.4)."""
    return field in ("fpu3", "fpu4", "fpu5", "fpu6") and not int(ours["fpu1"], 16) & 0x80


RULES = [
    (push_of_selector, "PUSH sreg writes 32 bits"),
    (x87_pointers, "x87 pointers without a pending exception"),
]

WANTED = [
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
        found = next((text for glob, allowed, text in WANTED if fnmatch.fnmatch(name, glob) and (allowed == "*" or field in allowed)), None)
        if not found:
            found = next((text for rule, text in RULES if rule(field, case, a, b)), None)
        if not found:
            return None
        why.add(found)
    return "; ".join(sorted(why))
