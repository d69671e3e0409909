#!/usr/bin/env python3
"""Networks under Debian's i386 kernel and busybox.

    net.py [--card CARD] [--case NAME]... [--patience N] [-- NOVT OPTIONS...]

Cases: user (DHCP, ping, a download from a server on the host's loopback, an upload to one, a download from the guest through hostfwd, all
compared byte by byte; name and address of the lease), reboot (the machine is reset in the middle of a download, then comes up and gets
its address again), cable (two machines at two ends of a TCP connection, one reads from the other), refusals (exit codes and words for a
taken port, a missing permission, misspelt options). NOVT names another program, NOVT_GUESTS the guests. Last line: N passed, N failed.
"""
import argparse
import functools
import hashlib
import http.server
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../scripts"))
from vmcases import GUESTS, NOVT, PROMPT, ROOT, expect, run_cases  # noqa: E402
from vmdrive import VM  # noqa: E402

BOOT_S = 120
DATA = hashlib.shake_128(b"novt").digest(6 << 20)
MODULES = {"e1000": "e1000", "ne2k_pci": "ne2k-pci", "rtl8139": "8139too", "virtio-net-pci": "virtio_pci virtio_net"}
LEASE = """#!/bin/sh
[ "$1" = bound ] || exit 0
ifconfig $interface $ip netmask $subnet
[ -z "$router" ] || route add default gw $router
echo "lease $ip router $router dns $dns server $serverid domain $domain"
"""


class Host:
    """A web server and a sink on the loopback, each on a port that was free."""

    def __init__(self):
        host = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Length", str(len(DATA)))
                self.end_headers()
                try:
                    for at in range(0, len(DATA), 65536):
                        self.wfile.write(DATA[at:at + 65536])
                        host.served += 1
                        if host.half is not None and at >= len(DATA) // 2:
                            host.half.wait(30)
                except OSError:
                    pass

            def log_message(self, *args):
                pass

        self.served = 0
        self.half = None
        self.web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.web.daemon_threads = True
        threading.Thread(target=self.web.serve_forever, daemon=True).start()
        self.sink = socket.socket()
        self.sink.bind(("127.0.0.1", 0))
        self.sink.listen(1)
        self.sunk = None
        threading.Thread(target=self.take, daemon=True).start()

    def take(self):
        while True:
            peer, _ = self.sink.accept()
            digest = hashlib.sha256()
            while data := peer.recv(65536):
                digest.update(data)
            self.sunk = digest.hexdigest()
            peer.close()

    def web_port(self):
        return self.web.server_address[1]

    def sink_port(self):
        return self.sink.getsockname()[1]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def command(args, tmp, *options):
    initrd = os.path.join(tmp, "initrd.gz")
    if not os.path.exists(initrd):
        subprocess.run([os.path.join(ROOT, "scripts/mkinitrd"), initrd, "--base", os.path.join(GUESTS, "initrd-modules.gz"),
                        "text:lease=" + LEASE], check=True)
    return [NOVT, "-m", "192", "-kernel", os.path.join(GUESTS, "vmlinuz-686-pae"), "-initrd", initrd, "-append",
            "console=ttyS0 quiet", "-nographic", *options, *args.options]


class Guest(VM):
    """The shell of the demo guest."""

    def __init__(self, args, argv):
        super().__init__(argv)
        self.patience = args.patience

    def up(self, args, card):
        self.wait(PROMPT, BOOT_S * self.patience)
        self.ask("stty columns 999")  # no line is broken when the shell shows it
        self.ask(f"for m in {MODULES[card]}; do modprobe $m; done; sleep 1")
        expect(self.ask("ls /sys/class/net").split() == ["eth0", "lo"], "no eth0")

    def ask(self, line, timeout=60):
        self.send(line + "\n")
        self.wait(line + "\n", timeout * self.patience)
        start = self.pos
        self.wait(PROMPT, timeout * self.patience)
        return self.text[start:self.pos - len(PROMPT)].strip()

    def lease(self):
        out = self.ask("ifconfig lo 127.0.0.1; ifconfig eth0 up; busybox udhcpc -i eth0 -n -q -s /lease -t 8 -T 1 2>&1")
        m = re.search(r"^lease (.*)$", out, re.M)
        expect(m, "no lease: " + out)
        return m[1]

    def power_off(self):
        self.send("poweroff -f\n")
        code = self.finish(60 * self.patience)
        expect(code == 0, f"exit code {code} after poweroff -f, not 0")


def digest_of(text):
    m = re.search(r"\b[0-9a-f]{64}\b", text)
    return m[0] if m else text


def case_user(args, tmp):
    host, forward, digest = Host(), free_port(), hashlib.sha256(DATA).hexdigest()
    nic = f"user,model={args.card},mac=52:54:00:ab:cd:ef,domainname=example.org,hostfwd=tcp:127.0.0.1:{forward}-:80"
    with Guest(args, command(args, tmp, "-no-reboot", "-nic", nic)) as vm:
        vm.up(args, args.card)
        expect(vm.ask("cat /sys/class/net/eth0/address") == "52:54:00:ab:cd:ef", "another address than mac=")
        lease = vm.lease()
        expect(lease == "10.0.2.15 router 10.0.2.2 dns 10.0.2.3 server 10.0.2.2 domain example.org", "lease " + lease)
        ping = vm.ask("ping -c 3 -i 0.2 10.0.2.2 | grep received")
        expect("3 packets received" in ping, "ping: " + ping)
        got = vm.ask(f"wget -q -O /tmp/data http://10.0.2.2:{host.web_port()}/; sha256sum /tmp/data", 120)
        expect(digest_of(got) == digest, f"downloaded {got}, not {digest}")
        vm.ask(f"nc 10.0.2.2 {host.sink_port()} < /tmp/data", 120)
        expect(vm.ask("sleep 0.2; echo $?") == "0" and host.sunk == digest, f"uploaded {host.sunk}, not {digest}")
        vm.ask("busybox httpd -p 80 -h /tmp")
        with urllib.request.urlopen(f"http://127.0.0.1:{forward}/data", timeout=60) as f:
            expect(hashlib.sha256(f.read()).hexdigest() == digest, "through hostfwd came something else")
        counts = vm.ask("cat /sys/class/net/eth0/statistics/rx_errors /sys/class/net/eth0/statistics/tx_errors").split()
        expect(counts == ["0", "0"], f"errors: {counts}")
        complaints = vm.ask("dmesg | grep -ciE 'oops|BUG:|transmit timed out|nobody cared|tx hang'")
        expect(complaints == "0", f"the kernel complains {complaints} times")
        vm.power_off()
    return f"{args.card}: " + lease.split()[0]


def case_reboot(args, tmp):
    host = Host()
    with Guest(args, command(args, tmp, "-nic", f"user,model={args.card}")) as vm:
        vm.up(args, args.card)
        vm.lease()
        host.half = threading.Event()
        vm.ask(f"(wget -q -O /dev/null http://10.0.2.2:{host.web_port()}/ &) ; while [ $(cat /sys/class/net/eth0/statistics/rx_bytes) -lt "
               "1000000 ]; do sleep 0.1; done")
        vm.send("reboot -f\n")
        vm.up(args, args.card)
        host.half.set()
        host.half = None
        lease = vm.lease()
        got = vm.ask(f"wget -q -O - http://10.0.2.2:{host.web_port()}/ | sha256sum", 120)
        expect(digest_of(got) == hashlib.sha256(DATA).hexdigest(), "downloaded " + got)
        vm.power_off()
    return f"{args.card}: {lease.split()[0]} once more"


def case_cable(args, tmp):
    port = free_port()
    with Guest(args, command(args, tmp, "-no-reboot", "-netdev", f"socket,id=n,listen=127.0.0.1:{port}", "-device",
                             "virtio-net-pci,netdev=n")) as a:
        a.up(args, "virtio-net-pci")
        with Guest(args, command(args, tmp, "-no-reboot", "-net", "nic,model=ne2k_pci,macaddr=52:54:00:12:34:57", "-net",
                                 f"socket,connect=127.0.0.1:{port}")) as b:
            b.up(args, "ne2k_pci")
            a.ask("ifconfig eth0 192.168.9.1; head -c 3000000 /dev/urandom > /tmp/data; busybox httpd -p 80 -h /tmp")
            b.ask("ifconfig eth0 192.168.9.2; sleep 1")
            want = digest_of(a.ask("sha256sum /tmp/data"))
            got = digest_of(b.ask("wget -q -O - http://192.168.9.1/data | sha256sum", 120))
            expect(got == want, f"{got} came, not {want}")
            b.power_off()
        a.power_off()
    return "virtio-net-pci to ne2k_pci"


def case_refusals(args, tmp):
    """What fails before a machine runs: exit code, and a word of the cause."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        port = taken.getsockname()[1]
        cases = [
            (3, str(port), "-nic", f"user,hostfwd=tcp:127.0.0.1:{port}-:22"),
            (3, str(port), "-nic", f"socket,listen=127.0.0.1:{port}"),
            (3, "tap", "-nic", "tap,ifname=novt-none"),
            (2, "rtl9999", "-nic", "user,model=rtl9999"),
            (2, "vde", "-nic", "vde"),
            (2, "hostfwd", "-nic", "user,hostfwd=2222:22"),
            (2, "guestfwd", "-nic", "user,guestfwd=tcp:10.0.2.100:80-cmd:cat"),
            (2, "n7", "-device", "e1000,netdev=n7"),
            (2, "speed", "-netdev", "user,id=a", "-device", "e1000,netdev=a,speed=10"),
            (2, "twice", "-netdev", "user,id=a", "-netdev", "user,id=a"),
            (2, "taken", "-netdev", "user,id=a", "-device", "e1000,netdev=a", "-device", "e1000,netdev=a"),
            (2, "1:2:3", "-nic", "user,mac=1:2:3"),
            (2, "multicast", "-nic", "user,mac=01:00:00:00:00:01"),
        ]
        for code, word, *options in cases:
            if word == "tap" and os.geteuid() == 0 and os.path.exists("/dev/net/tun"):
                continue  # root may make one
            out = subprocess.run(command(args, tmp, "--timeout", "20", *options), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                 timeout=60)
            said = [line for line in out.stderr.split("\n") if line.startswith("novt:")]
            expect(out.returncode == code and word in said[0] and any("remedy" in line for line in said),
                   f"{options}: exit code {out.returncode}, {out.stderr[-300:]}")
    return f"{len(cases)} cases"


CASES = {"user": case_user, "reboot": case_reboot, "cable": case_cable, "refusals": case_refusals}


def in_directory(case, args):
    with tempfile.TemporaryDirectory(prefix="novt-net-") as tmp:
        return case(args, tmp)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--card", default="e1000", choices=list(MODULES))
    ap.add_argument("--case", action="append", choices=list(CASES))
    ap.add_argument("--patience", type=float, default=1.0)
    ap.add_argument("options", nargs="*")
    args = ap.parse_args()
    return run_cases((name, functools.partial(in_directory, CASES[name], args)) for name in args.case or ["user"])


if __name__ == "__main__":
    sys.exit(main())
