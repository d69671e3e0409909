"""bench/run's disk part: how fast a Linux guest reads a disk whose image is in the host's page cache, on NoVT and under TCG in turn.

Three ways, on IDE and on virtio: through the guest's page cache ("read", which has the bar), past it in pieces of 1 MiB ("direct") and
past it in pieces of 4 KiB ("small"). Times are the host's, between what the guest prints; the guest's checksum must be the file's.
A pass through the cache takes a tenth of a second of CPU time, which on a busy host is a matter of who else runs just then: PASSES of
them are one measurement, and the "_cpu" lines have CPU time, all threads', in place of the clock's.
"""
import hashlib
import math
import os
import tempfile

from vmdrive import VM

MIB = 256
SMALL = 4000
PASSES = 4
HZ = os.sysconf("SC_CLK_TCK")
BAR = 3.0
BUSES = {"ide": ("ata_piix sd_mod", "sda"), "virtio": ("virtio_pci virtio_blk", "vda")}
# What was read before is in the guest's page cache.
DROP = "echo 3 >/proc/sys/vm/drop_caches"
WAYS = {"read": f"for i in $(seq {PASSES}); do {DROP}; dd if=/dev/{{dev}} of=/dev/null bs=1M; done",
        "direct": "dd if=/dev/{dev} of=/dev/null bs=1M iflag=direct",
        "small": f"dd if=/dev/{{dev}} of=/dev/null bs=4k iflag=direct count={SMALL}"}


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / HZ


def measure(command, bus, path, best, checksum):
    modules, dev = BUSES[bus]
    steps = [f"for m in {modules}; do modprobe $m; done", "sleep 0.3", f"md5sum </dev/{dev}"]
    for name, line in WAYS.items():
        steps += [DROP, f"echo BEGIN-{name}", line.format(dev=dev) + " 2>/dev/null", f"echo END-{name}"]
    script = "; ".join(steps)
    argv = [a.replace("RUN", f'quiet run="{script}"') for a in command] + ["-drive", f"file={path},if={bus},format=raw"]
    with VM(argv) as vm:
        vm.wait(checksum, 180)
        for name in WAYS:
            begun = vm.wait(f"BEGIN-{name}\n", 60)
            cpu = cpu_seconds(vm.proc.pid)
            seconds = vm.wait(f"END-{name}\n", 180) - begun
            cpu = max(cpu_seconds(vm.proc.pid) - cpu, 1 / HZ)
            old = best.get(name, (math.inf, math.inf))
            best[name] = (min(old[0], seconds), min(old[1], cpu))
        vm.finish(60)


def bench_disk(commands, rounds, report):
    """commands: {"novt": argv, "tcg": argv} with RUN where the kernel's command line goes."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as tmp:
        path = os.path.join(tmp, "disk")
        data = os.urandom(MIB << 20)
        with open(path, "wb") as f:
            f.write(data)
        checksum = hashlib.md5(data).hexdigest()
        for bus in BUSES:
            best = {which: {} for which in commands}
            for _ in range(rounds):
                for which in commands:
                    measure(commands[which], bus, path, best[which], checksum)
            for name in WAYS:
                mib = {"small": SMALL / 256, "read": MIB * PASSES}.get(name, MIB)
                for i, clock in enumerate(("", "_cpu")):
                    for which in commands:
                        report.line(f"disk_{bus}_{name}{clock}_{which}", mib / best[which][name][i], "MiB/s")
                    report.line(f"disk_{bus}_{name}{clock}", best["tcg"][name][i] / best["novt"][name][i], "ratio", "tcg", BAR if name == "read" else None)
