#!/usr/bin/env python3
"""The driver of hostile guests notices what it is there to notice: each kind of failure, played by a fake program."""
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
FAKES = [  # what it does, what the driver must say (None: it must pass)
    ("exit 6", None),
    ("exit 124", None),
    ("exit 35", None),
    ("exit 70", "exit code 70"),
    ("exit 3", None),  # isa-debug-exit can give any odd code
    ("kill -SEGV $$", "ended by SIGSEGV"),
    ("exec sleep 30", "still ran"),
    ("sleep 30 >/dev/null 2>&1 & exit 0", "left processes behind"),
    ("echo 'novt: bug: host pc' >&2; exit 6", "speaks of a bug"),
    ("echo 'x.c:1: runtime error: shift' >&2; exit 7", "speaks of a bug"),
]


def main():
    passed = failed = 0
    with tempfile.TemporaryDirectory() as directory:
        fake = os.path.join(directory, "novt")
        for script, word in FAKES:
            with open(fake, "w") as f:
                f.write(f"#!/bin/sh\n{script}\n")
            os.chmod(fake, 0o755)
            r = subprocess.run([sys.executable, os.path.join(HERE, "hostile.py"), "--count", "1", "--timeout", "0.1", "--slack", "1",
                                "--keep", os.path.join(directory, "keep")], env=dict(os.environ, NOVT=fake), capture_output=True, text=True)
            good = r.returncode == 0 if word is None else r.returncode == 1 and word in r.stdout
            print("ok" if good else "not ok", script, "" if good else r.stdout + r.stderr)
            passed += good
            failed += not good
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
