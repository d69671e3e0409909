#!/usr/bin/env python3
"""Measures network throughput of guests beside QEMU's TCG, in one run: user networking, a server on the host's loopback.

    bench/net.py [--mib N] [--rounds N] [--card CARD]...

The guest is Debian's kernel with busybox (scripts/guest --tests): it reads N MiB by wget and writes N MiB by nc, NoVT and TCG in turn.
Prints one JSON line a metric: MiB a second of wall time and of CPU time of the machine's process, best round, vs TCG's.
NOVT and QEMU name other programs, NOVT_GUESTS the guests.
"""
import argparse
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "scripts"))
from vmdrive import VM  # noqa: E402

PROMPT = "novt# "
CARDS = {"e1000": "e1000", "ne2k_pci": "ne2k-pci", "rtl8139": "8139too", "virtio-net-pci": "virtio_pci virtio_net"}
LEASE = '#!/bin/sh\n[ "$1" = bound ] || exit 0\nifconfig $interface $ip netmask $subnet\nroute add default gw $router\n'
SLOW_MIB = 1  # QEMU's NE2000 loses most of what comes in bursts
HZ = os.sysconf("SC_CLK_TCK")


def serve():
    """A port that gives N MiB to whoever asks for page /N, and one that swallows."""
    block = bytes(1 << 20)
    give, take = socket.socket(), socket.socket()

    def giver(peer):
        mib = int(peer.recv(4096).split()[1].strip(b"/"))
        try:
            peer.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % (mib << 20))
            for _ in range(mib):
                peer.sendall(block)
        except OSError:
            pass
        peer.close()

    def taker(peer):
        while peer.recv(1 << 18):
            pass
        peer.close()

    def accept(sock, fn):
        while True:
            peer, _ = sock.accept()
            threading.Thread(target=fn, args=(peer,), daemon=True).start()

    for sock, fn in ((give, giver), (take, taker)):
        sock.bind(("127.0.0.1", 0))
        sock.listen(4)
        threading.Thread(target=accept, args=(sock, fn), daemon=True).start()
    return give.getsockname()[1], take.getsockname()[1]


def cpu(pid):
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / HZ


def ask(vm, line, timeout=300):
    vm.send(line + "\n")
    vm.wait(line + "\n", timeout)
    start = vm.pos
    vm.wait(PROMPT, timeout)
    return vm.text[start:vm.pos]


def timed(vm, line):
    wall, before = time.monotonic(), cpu(vm.proc.pid)
    ask(vm, line)
    return time.monotonic() - wall, cpu(vm.proc.pid) - before


def measure(program, initrd, kernel, card, mib, ports):
    argv = [program, "-m", "256", "-kernel", kernel, "-initrd", initrd, "-append", "console=ttyS0 quiet", "-nographic", "-no-reboot",
            "-nic", f"user,model={card}"]
    with VM(argv) as vm:
        vm.wait(PROMPT, 300)
        ask(vm, "stty columns 999")
        ask(vm, f"for m in {CARDS[card]}; do modprobe $m; done; sleep 1; ifconfig eth0 up; busybox udhcpc -i eth0 -n -q -s /lease 2>&1")
        ask(vm, f"head -c {mib}m /dev/zero > /tmp/data")
        down = timed(vm, f"wget -q -O /dev/null http://10.0.2.2:{ports[0]}/{mib}")
        up = timed(vm, f"nc 10.0.2.2 {ports[1]} < /tmp/data")
        vm.send("poweroff -f\n")
        vm.finish(60)
    return {"down": down, "up": up}


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--mib", type=int, default=64)
    ap.add_argument("--rounds", type=int, default=3)
    ap.add_argument("--card", action="append", choices=list(CARDS))
    args = ap.parse_args()
    guests = os.environ.get("NOVT_GUESTS", os.path.join(ROOT, "build/guests"))
    programs = {"novt": os.environ.get("NOVT", os.path.join(ROOT, "build/release/novt")),
                "tcg": os.environ.get("QEMU", "qemu-system-i386")}
    ports = serve()
    with tempfile.TemporaryDirectory(prefix="novt-bench-") as tmp:
        initrd = os.path.join(tmp, "initrd.gz")
        subprocess.run([os.path.join(ROOT, "scripts/mkinitrd"), initrd, "--base", os.path.join(guests, "initrd-modules.gz"),
                        "text:lease=" + LEASE], check=True)
        for card in args.card or CARDS:
            best = {}
            for _ in range(args.rounds):
                for name, program in programs.items():
                    mib = SLOW_MIB if (name, card) == ("tcg", "ne2k_pci") else args.mib
                    got = measure(program, initrd, os.path.join(guests, "vmlinuz-686-pae"), card, mib, ports)
                    for way, seconds in got.items():
                        for kind, value in zip(("wall", "cpu"), seconds):
                            key = way, kind, name
                            best[key] = max(best.get(key, 0), mib / max(value, 0.001))
            for way in ("down", "up"):
                for kind in ("wall", "cpu"):
                    ours, theirs = (best[way, kind, name] for name in ("novt", "tcg"))
                    print(json.dumps({"metric": f"net_{re.sub(r'[^a-z0-9]', '_', card)}_{way}_{kind}", "value": round(ours, 1),
                                      "unit": "MiB/s", "vs": {"tcg": round(theirs, 1)}, "ratio": round(ours / theirs, 2)}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
