"""bench/run's disk part: how fast a Linux guest reads a disk whose image is in the host's page cache, on NoVT and under TCG in turn.

Three ways, on IDE and on virtio: through the guest's page cache ("read", which has the bar), past it in pieces of 1 MiB ("direct") and
past it in pieces of 4 KiB ("small"). Times are the host's, between what the guest prints; the guest's checksum must be the file's.
"""
import hashlib
import math
import os
import tempfile

from vmdrive import VM

MIB = 256
SMALL = 4000
BAR = 3.0
BUSES = {"ide": ("ata_piix sd_mod", "sda"), "virtio": ("virtio_pci virtio_blk", "vda")}
WAYS = {"read": "dd if=/dev/{dev} of=/dev/null bs=1M", "direct": "dd if=/dev/{dev} of=/dev/null bs=1M iflag=direct",
        "small": f"dd if=/dev/{{dev}} of=/dev/null bs=4k iflag=direct count={SMALL}"}


def measure(command, bus, path, best, checksum):
    modules, dev = BUSES[bus]
    steps = [f"for m in {modules}; do modprobe $m; done", "sleep 0.3", f"md5sum </dev/{dev}"]
    for name, line in WAYS.items():
        # What the checksum read is in the guest's page cache.
        steps += ["echo 3 >/proc/sys/vm/drop_caches", f"echo BEGIN-{name}", line.format(dev=dev) + " 2>/dev/null", f"echo END-{name}"]
    script = "; ".join(steps)
    argv = [a.replace("RUN", f'quiet run="{script}"') for a in command] + ["-drive", f"file={path},if={bus},format=raw"]
    with VM(argv) as vm:
        vm.wait(checksum, 180)
        for name in WAYS:
            begun = vm.wait(f"BEGIN-{name}\n", 60)
            seconds = vm.wait(f"END-{name}\n", 180) - begun
            best[name] = min(best.get(name, math.inf), seconds)
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
                mib = SMALL / 256 if name == "small" else MIB
                for which in commands:
                    report.line(f"disk_{bus}_{name}_{which}", mib / best[which][name], "MiB/s")
                report.line(f"disk_{bus}_{name}", best["tcg"][name] / best["novt"][name], "ratio", "tcg", BAR if name == "read" else None)
