#!/usr/bin/env python3
"""Drives a virtual machine through its serial console on standard input and output.

As a module: VM(argv).wait(text, timeout), .send(text), .finish(timeout). As a program:

    vmdrive.py [--prompt TEXT] [--timeout S] [--send LINE]... -- COMMAND...

starts COMMAND, answers each prompt with the next LINE, copies everything to standard output and leaves with
COMMAND's exit code (124: a prompt did not come or the machine did not end in time).
"""
import argparse
import os
import selectors
import subprocess
import sys
import time


class Timeout(Exception):
    pass


class VM:
    """One running machine; .text is all that it printed, .t0 the start, .wait() gives seconds since the start."""

    def __init__(self, argv, echo=False, env=None):
        self.t0 = time.monotonic()
        self.proc = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                     stderr=subprocess.STDOUT, env=env)
        self.text = ""
        self.pos = 0
        self.echo = echo
        self.sel = selectors.DefaultSelector()
        self.sel.register(self.proc.stdout, selectors.EVENT_READ)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self.proc.poll() is None:
            self.proc.kill()
        self.proc.wait()
        self.proc.stdin.close()
        self.proc.stdout.close()

    def _read(self, deadline):
        """More text, or False at the end of the stream."""
        left = deadline - time.monotonic()
        if left <= 0 or not self.sel.select(left):
            raise Timeout("no sign of it in:\n" + self.text[-2000:])
        data = os.read(self.proc.stdout.fileno(), 65536)
        if not data:
            return False
        text = data.decode("utf-8", "replace").replace("\r", "")
        self.text += text
        if self.echo:
            sys.stdout.write(text)
            sys.stdout.flush()
        return True

    def wait(self, what, timeout):
        """Waits until the machine has printed `what` behind what was waited for before."""
        deadline = time.monotonic() + timeout
        while True:
            at = self.text.find(what, self.pos)
            if at >= 0:
                self.pos = at + len(what)
                return time.monotonic() - self.t0
            if not self._read(deadline):
                raise Timeout(f"the machine ended (code {self.proc.wait()}) before {what!r}:\n" + self.text[-2000:])

    def line(self, timeout):
        """The next line and the seconds from the start at which it was complete."""
        start = self.pos
        seconds = self.wait("\n", timeout)
        return seconds, self.text[start:self.pos - 1]

    def send(self, line):
        self.proc.stdin.write(line.encode())
        self.proc.stdin.flush()

    def finish(self, timeout):
        """Waits for the end; the exit code."""
        deadline = time.monotonic() + timeout
        while self._read(deadline):
            pass
        return self.proc.wait(max(1, deadline - time.monotonic()))


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--prompt", default="novt# ")
    ap.add_argument("--timeout", type=float, default=120)
    ap.add_argument("--send", action="append", default=[])
    ap.add_argument("command", nargs="+")
    args = ap.parse_args()
    with VM(args.command, echo=True) as vm:
        try:
            for line in args.send:
                vm.wait(args.prompt, args.timeout)
                vm.send(line + "\n")
            code = vm.finish(args.timeout)
        except Timeout as e:
            print(f"\nvmdrive: {e}", file=sys.stderr)
            return 124
        except BrokenPipeError:
            code = vm.finish(args.timeout)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
