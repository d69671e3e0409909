"""The host's side of an installed system's tests: a package repository on the loopback, ssh, NoVT's monitor."""
import functools
import hashlib
import http.server
import os
import socket
import subprocess
import threading
import time

from vmcases import Bad, expect


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Monitor:
    """NoVT's monitor on a unix socket; .do() gives what a command printed."""

    def __init__(self, path, proc):
        while True:
            try:
                self.sock = socket.socket(socket.AF_UNIX)
                self.sock.connect(path)
                break
            except OSError:
                if proc.poll() is not None:
                    raise Bad(f"novt ended with code {proc.returncode}: " + proc.stdout.read().decode("latin-1")) from None
                time.sleep(0.05)
        self.sock.settimeout(300)
        self.answer()

    def answer(self):
        text = b""
        while not text.endswith((b"(qemu) ", b"(novt) ")):
            more = self.sock.recv(65536)
            if not more:
                break
            text += more
        return text.decode("utf-8", "replace")

    def do(self, line):
        self.sock.sendall(line.encode() + b"\n")
        return self.answer()

    def quit(self):
        self.sock.sendall(b"quit\n")


class Repository:
    """A Debian repository with one package, served on the host's loopback; the guest sees that as 10.0.2.2."""
    version = "1.0-1"

    def __init__(self, directory):
        tree = os.path.join(directory, "tree")
        data = hashlib.shake_128(b"novt").digest(5 << 20)
        self.digest = hashlib.sha256(data).hexdigest()
        for path, text, mode in (
                ("DEBIAN/control", f"Package: novt-test\nVersion: {self.version}\nArchitecture: i386\nMaintainer: none <none@localhost>\n"
                 "Depends: libc6\nDescription: a package to install\n", 0o644),
                ("DEBIAN/postinst", "#!/bin/sh\n[ \"$1\" != configure ] || echo configured > /etc/novt-test\n", 0o755),
                ("usr/bin/novt-test", f"#!/bin/sh\necho hello from {self.version}\n", 0o755),
                ("usr/share/novt-test/data", data, 0o644)):
            path = os.path.join(tree, path)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as f:
                f.write(text if isinstance(text, bytes) else text.encode())
            os.chmod(path, mode)
        pool = os.path.join(directory, "pool")
        os.makedirs(pool, exist_ok=True)
        subprocess.run(["dpkg-deb", "--root-owner-group", "-Znone", "-b", tree, os.path.join(pool, "novt-test.deb")], check=True,
                       capture_output=True)
        with open(os.path.join(pool, "novt-test.deb"), "rb") as f:
            deb = f.read()
        control = subprocess.run(["dpkg-deb", "-f", os.path.join(pool, "novt-test.deb")], check=True, capture_output=True, text=True).stdout
        with open(os.path.join(pool, "Packages"), "w", encoding="ascii") as f:
            f.write(control + f"Filename: ./novt-test.deb\nSize: {len(deb)}\nSHA256: {hashlib.sha256(deb).hexdigest()}\n")

        class Handler(http.server.SimpleHTTPRequestHandler):
            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=pool))
        self.server.daemon_threads = True
        self.url = f"http://10.0.2.2:{self.server.server_address[1]}/"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exc):
        self.server.shutdown()
        self.server.server_close()


class Ssh:
    """ssh as root through the forwarded port, with a key of its own."""

    def __init__(self, directory, port, patience):
        self.patience = patience
        self.key = os.path.join(directory, "key")
        if not os.path.exists(self.key):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", self.key], check=True)
        self.command = ["ssh", "-F", "/dev/null", "-p", str(port), "-i", self.key, "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o",
                        "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o",
                        "ConnectTimeout=60", "root@127.0.0.1"]

    def public(self):
        with open(self.key + ".pub", encoding="ascii") as f:
            return f.read().strip()

    def run(self, line, data=b"", timeout=120):
        out = subprocess.run([*self.command, line], input=data, capture_output=True, timeout=timeout * self.patience)
        expect(out.returncode == 0, f"ssh {line!r}: code {out.returncode}: {(out.stdout + out.stderr).decode('utf-8', 'replace')}")
        return out.stdout.decode("utf-8", "replace").strip()

    def start(self, line):
        return subprocess.Popen([*self.command, line], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
