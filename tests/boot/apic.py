#!/usr/bin/env python3
"""Debian's i386 kernels with local APIC, I/O APIC and HPET, and without each of them.

    apic.py [--case NAME]...

Cases: default (ACPI's tables, I/O APIC, the APIC's timer, no calibration, the power button's interrupt), mptable (acpi=off: the MP
tables), noapic (the 8259A behind a local APIC), nolapic, absent (-cpu max,-apic: nothing of it is mentioned), old (-cpu pentium3: no
leaf 15h, so the timer is calibrated against the 8254), hpet (its counter as clock, its timer as tick). In each the guest sleeps a
second, and no more, by the host's clock. NOVT and NOVT_GUESTS as for boot.py. Last line: N passed, N failed.
"""
import argparse
import os
import re
import socket
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "scripts"))
from vmdrive import VM, Timeout  # noqa: E402

SHELL = "novt# "
LIMIT_S = 120


class Bad(Exception):
    pass


def expect(ok, text):
    if not ok:
        raise Bad(text)


class Guest:
    def __init__(self, append="", options=(), kernel="686-pae"):
        guests = os.environ.get("NOVT_GUESTS", os.path.join(ROOT, "build/guests"))
        program = os.environ.get("NOVT", os.path.join(ROOT, "build/release/novt"))
        self.vm = VM([program, "-m", "128", "-kernel", os.path.join(guests, "vmlinuz-" + kernel), "-initrd",
                      os.path.join(guests, "initrd.gz"), "-append", "console=ttyS0 " + append, "-nographic", "-no-reboot", *options])

    def __enter__(self):
        self.vm.__enter__()
        self.vm.wait(SHELL, LIMIT_S)
        # Marks around the answer: the kernel's own lines and the echo of what was sent do not count.
        self.log = self.ask("dmesg")
        return self

    def __exit__(self, *exc):
        return self.vm.__exit__(*exc)

    def ask(self, line):
        self.vm.send(f"echo fr''om; {line}; echo until''here\n")
        self.vm.wait("from\n", LIMIT_S)
        start = self.vm.pos
        self.vm.wait("untilhere\n", LIMIT_S)
        text = self.vm.text[start:self.vm.pos - len("untilhere\n")].rstrip("\n")
        self.vm.wait(SHELL, LIMIT_S)
        return text

    def says(self, *patterns):
        for p in patterns:
            expect(re.search(p, self.log), f"the kernel's log lacks {p!r}")

    def says_not(self, *patterns):
        for p in patterns:
            m = re.search(".*" + p + ".*", self.log)
            expect(not m, f"the kernel says {m and m[0]!r}")

    def clock_source(self):
        return self.ask("cat /sys/devices/system/clocksource/clocksource0/current_clocksource")

    def tick_source(self):
        """Of the CPU's own ticks; the first of the lists names the broadcast device."""
        return self.ask("cat /sys/devices/system/clockevents/clockevent0/current_device")

    def end(self):
        """A second is a second, however it is counted; then off."""
        took = []
        for _ in range(5):  # the quietest of some: a busy host only makes it longer
            self.vm.send("echo fr''om; sleep 1; echo until''here\n")
            self.vm.wait("from\n", LIMIT_S)
            t0 = time.monotonic()
            self.vm.wait("untilhere\n", LIMIT_S)
            took.append(time.monotonic() - t0)
            self.vm.wait(SHELL, LIMIT_S)
            if took[-1] < 1.1:
                break
        expect(0.9 < min(took) < 1.3, f"a second in the guest takes {min(took):.2f} s")
        self.vm.send("poweroff -f\n")
        expect(self.vm.finish(LIMIT_S) == 0, "poweroff")


def hmp(path, line):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(LIMIT_S)
        s.connect(path)
        text = b""
        for send in (b"", line.encode() + b"\n"):
            s.sendall(send)
            text = b""
            while not re.search(rb"\((novt|qemu)\) $", text):
                text += s.recv(65536)
    return text.decode("latin-1")


BAD = (r"MPTABLE: no processors", r"BIOS bug", r"FIRMWARE BUG", r"spurious", r"unstable", r"8254 timer not connected",
       r"Local APIC disabled", r"no IRQ handler", r"nobody cared")


def interrupts(g, name):
    m = re.search(rf"^ *(\w+): +(\d+) +(.*{name}.*)$", g.ask("cat /proc/interrupts"), re.M)
    return (int(m[2]), m[3]) if m else (0, "")


def case_default():
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "monitor")
        with Guest(options=("-monitor", f"unix:{path},server=on,wait=off")) as g:
            g.says(r"IOAPIC\[0\]: apic_id 0, version 32, address 0xfec00000, GSI 0-23", r"INT_SRC_OVR \(bus 0 bus_irq 0 global_irq 2",
                   r"Using IOAPIC for interrupt routing", r"Detected [\d.]+ MHz TSC", r"Allowing 1 CPUs")
            g.says_not(*BAD, "calibrat(ed|ing) APIC", "TIMER: vector")
            expect(g.tick_source() == "lapic", "ticks are not the APIC's")
            expect(g.clock_source() == "tsc", "the clock is not the TSC")
            expect("IO-APIC" in interrupts(g, "ttyS0")[1], "the serial line's interrupt")
            # Level-triggered, at GSI 9: twice, so that the EOI reaches the I/O APIC. The button's driver is not in this initrd, so its
            # enable bit is set here, and the kernel clears it when it finds nobody interested.
            port = int(re.search(r"\[io +0x(\w+)-\w+\] claimed by PIIX4 ACPI", g.log)[1], 16) + 3
            for n in (1, 2):
                g.ask(f"printf '\\001' | dd of=/dev/port bs=1 seek={port} conv=notrunc 2>&1")
                hmp(path, "system_powerdown")
                for _ in range(50):
                    count, text = interrupts(g, "acpi")
                    if count >= n:
                        break
                    time.sleep(0.1)
                expect(count == n and "9-fasteoi" in text, f"power button {n}: {count} interrupts, {text}")
            # An NMI from the monitor takes the way through LINT1.
            before = interrupts(g, "Non-maskable")[0]
            hmp(path, "nmi")
            expect(interrupts(g, "Non-maskable")[0] == before + 1, "the monitor's NMI")
            lapic, ioapic = hmp(path, "info lapic"), hmp(path, "info ioapic")
            expect(re.search(r"LVT0\s+0x000.0700.*masked.*ExtINT", lapic) and re.search(r"LVT1\s+0x00000400.* NMI", lapic), lapic)
            expect(re.search(r"pin 9\s.*level", ioapic) and re.search(r"pin 4\s.*edge", ioapic), ioapic)
            g.end()


def case_mptable():
    with Guest("acpi=off", kernel="686") as g:
        g.says(r"MPTABLE: OEM ID: BOCHSCPU", r"Processors: 1", r"IOAPIC\[0\]: apic_id 0")
        g.says_not(*BAD)
        expect(g.tick_source() == "lapic" and "IO-APIC" in interrupts(g, "ttyS0")[1], "APIC mode")
        g.vm.send("poweroff -f\n")  # without ACPI it cannot
        g.vm.wait("System halted", LIMIT_S)


def case_noapic():
    with Guest("noapic") as g:
        g.says_not(*BAD)
        expect("XT-PIC" in interrupts(g, "ttyS0")[1], "the 8259A's interrupts")
        expect(g.tick_source() == "lapic", "the APIC's timer is there all the same")
        g.end()


def case_nolapic():
    with Guest("nolapic", kernel="686") as g:
        expect("XT-PIC" in interrupts(g, "ttyS0")[1], "the 8259A's interrupts")
        expect(g.tick_source() == "pit", "the 8254's ticks")
        g.end()


def case_absent():
    with Guest(options=("-cpu", "max,-apic")) as g:
        expect(" apic" not in g.ask("grep -m1 ^flags /proc/cpuinfo"), "CPUID shows an APIC")
        expect("XT-PIC" in interrupts(g, "ttyS0")[1] and g.tick_source() == "pit", "a PC without APICs")
        g.end()


def case_old():
    with Guest(options=("-cpu", "pentium3")) as g:
        g.says_not(*BAD)
        expect(g.tick_source() == "lapic" and "IO-APIC" in interrupts(g, "ttyS0")[1], "APIC mode")
        g.end()


def case_hpet():
    with Guest("clocksource=hpet", options=("-machine", "pc,hpet=on")) as g:
        g.says(r"ACPI: HPET id: 0x8086a201 base: 0xfed00000", r"3 comparators, 64-bit 100\.000000 MHz counter")
        g.says_not(*BAD)
        expect(g.clock_source() == "hpet", "the clock is not the HPET")
        g.end()
    with Guest("clocksource=hpet nolapic", options=("-machine", "pc,hpet=on"), kernel="686") as g:
        expect(g.tick_source() == "hpet", "ticks are not the HPET's")
        g.end()


CASES = {n[5:]: f for n, f in globals().items() if n.startswith("case_")}


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--case", action="append", choices=list(CASES))
    args = ap.parse_args()
    bad = 0
    names = args.case or list(CASES)
    for name in names:
        t0 = time.monotonic()
        try:
            CASES[name]()
            print(f"{name:12} {time.monotonic() - t0:5.1f} s  ok", flush=True)
        except (Bad, Timeout, OSError) as e:
            bad += 1
            print(f"{name:12} {time.monotonic() - t0:5.1f} s  FAIL {type(e).__name__} {e}", flush=True)
    print(f"{len(names) - bad} passed, {bad} failed")
    return bad > 0


if __name__ == "__main__":
    sys.exit(main())
