#!/usr/bin/env python3
"""QMP beside a Debian kernel: page tables, a long pause, an NMI, the power button, resets; then the guest powers off.

    linux.py [--kernel 686|686-pae]

NOVT names another program, NOVT_GUESTS the guests, as for boot.py. Last line: N passed, N failed.
"""
import argparse
import functools
import json
import os
import random
import re
import socket
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../scripts"))
from vmcases import PROMPT, Bad, ask, expect, linux, run_cases  # noqa: E402
from vmdrive import VM  # noqa: E402

BOOT_S = 120


class Qmp:
    def __init__(self, path):
        self.s = socket.socket(socket.AF_UNIX)
        end = time.time() + 20
        while True:
            try:
                self.s.connect(path)
                break
            except OSError:
                expect(time.time() < end, "nobody listens")
                time.sleep(0.05)
        self.s.settimeout(BOOT_S)
        self.f = self.s.makefile("rb")
        self.events = []
        expect("QMP" in self.get(), "greeting")
        self.do("qmp_capabilities")

    def get(self):
        return json.loads(self.f.readline())

    def do(self, name, **args):
        self.s.sendall(json.dumps({"execute": name, "arguments": args}).encode())
        while True:
            got = self.get()
            if "event" not in got:
                expect("return" in got, f"{name}: {got}")
                return got["return"]
            self.events.append(got)

    def hmp(self, line):
        return self.do("human-monitor-command", **{"command-line": line}).replace("\r\n", "\n")

    def event(self, name):
        while True:
            for i, e in enumerate(self.events):
                if e["event"] == name:
                    return self.events.pop(i)
            self.events.append(self.get())


def numbers(text):
    return [float(n) for n in re.findall(r"\d+\.\d+", text)]


def power_button(vm):
    """PWRBTN_STS, bit 8 of the PM1 status: the button's driver is not in this initrd."""
    m = re.search(r"([0-9a-f]+)-[0-9a-f]+ : ACPI PM1a_EVT_BLK", ask(vm, "cat /proc/ioports"))
    expect(m, "no PM1 status port")
    text = ask(vm, f"dd if=/dev/port bs=1 skip={int(m[1], 16) + 1} count=1 2>/dev/null | od -t x1")
    m = re.search(r"^0000000 +([0-9a-f]{2})", text, re.M)
    expect(m, f"no byte in {text!r}")
    return int(m[1], 16) & 1


def looks(vm, q, pae):
    tlb = q.hmp("info tlb")
    kernel = re.findall(r"^00000000(c[0-9a-f]{7}): ([0-9a-f]{16}) ([-XGPDACTUW]{9})$", tlb, re.M)
    expect(len(kernel) > 20, f"info tlb: {tlb[:300]}")
    expect(all("U" not in flags for _, _, flags in kernel), "kernel pages for users")
    ranges = re.findall(r"^([0-9a-f]{16})-([0-9a-f]{16}) ([0-9a-f]{16}) ([-u])r([-w])$", q.hmp("info mem"), re.M)
    expect(ranges and all(int(a, 16) + int(n, 16) == int(b, 16) for a, b, n, _, _ in ranges), f"info mem: {ranges}")
    expect(any(a.startswith("00000000c") and u == "-" for a, _, _, u, _ in ranges), f"info mem: {ranges}")
    regs = q.hmp("info registers")
    cr4 = int(re.search(r"CR4=(\w+)", regs)[1], 16)
    expect((cr4 >> 5 & 1) == pae, f"PAE: {regs}")
    expect("CPL=0" in regs and "CS =0060 00000000 ffffffff" in regs, regs)
    first = q.hmp("x/4xw 0xc0000000").split(": ")[1]
    expect(first == q.hmp("xp/4xw 0").split(": ")[1], "lowmem is not physical memory")
    expect(max(int(n) for n in re.findall(r"^ *\d+: (\d+)$", q.hmp("info irq"), re.M)) > 10, q.hmp("info irq"))


def pauses(vm, q):
    before = numbers(ask(vm, "cat /proc/uptime; cat /proc/uptime"))[-2]
    q.do("stop")
    time.sleep(3)
    q.do("cont")
    after = numbers(ask(vm, "cat /proc/uptime; cat /proc/uptime"))[-2]
    expect(0 <= after - before < 2.5, f"time went on while stopped: {before} {after}")


class Storm:
    """Stops, looks and goes on as fast as it can, beside whatever the guest does."""
    def __init__(self, q):
        self.q, self.rounds, self.ends, self.error = q, 0, False, None
        self.thread = threading.Thread(target=self.run)

    def run(self):
        rnd = random.Random(1)
        try:
            while not self.ends:
                self.q.do("stop")
                time.sleep(rnd.random() * 0.003)
                self.q.hmp(rnd.choice(["x/4i $pc", "info registers", "info mem", "info irq"]))
                self.q.do("cont")
                self.rounds += 1
                time.sleep(rnd.random() * 0.02)
        except (Bad, OSError, ValueError) as e:
            self.error = e

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ends = True
        self.thread.join()
        expect(self.error is None, f"storm: {self.error}")


def run(kernel):
    with tempfile.TemporaryDirectory(prefix="novt-qmp-") as tmp:
        path = os.path.join(tmp, "qmp")
        with VM(linux(kernel, "-qmp", f"unix:{path},server=on,wait=off")) as vm:
            q = Qmp(path)
            vm.wait(PROMPT, BOOT_S)
            looks(vm, q, kernel == "686-pae")
            pauses(vm, q)
            q.do("inject-nmi")
            expect("NMI" in ask(vm, "dmesg | tail -5"), "the NMI was not seen")
            expect(power_button(vm) == 0, "a button nobody pressed")
            q.do("system_powerdown")
            q.event("POWERDOWN")
            expect(power_button(vm) == 1, "the power button was not felt")
            q.do("system_reset")
            expect(q.event("RESET")["data"]["guest"] is False, "reset")
            with Storm(q) as storm:
                vm.wait(PROMPT, BOOT_S)
                text = ask(vm, "dd if=/dev/zero bs=1M count=8 2>/dev/null | md5sum")
            expect("96995b58d4cbf6aaa9041b4f00c7f6ae" in text, f"computes {text!r}")
            expect(storm.rounds > 10, f"{storm.rounds} rounds of stop and cont")
            vm.send("poweroff -f\n")
            expect(q.event("SHUTDOWN")["data"] == {"guest": True, "reason": "guest-shutdown"}, "shutdown")
            rc = vm.finish(60)
            expect(rc == 0, f"exit code {rc}")


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--kernel", action="append", choices=("686", "686-pae"))
    kernels = p.parse_args().kernel or ["686", "686-pae"]
    return run_cases((kernel, functools.partial(run, kernel)) for kernel in kernels)


if __name__ == "__main__":
    sys.exit(main())
