#!/usr/bin/env python3
"""NoVT as in a container: an ordinary user without capabilities under the containers' default seccomp profile (Debian's
golang-github-containers-common has it, libseccomp loads it; no container runtime is needed for that).

    tests/direct/container.py

What has to hold: `novt doctor` finds that sandboxes work, and a Debian kernel boots there with -engine direct and runs its programs in
sandboxes. It breaks when a system call that we need is not in the profile and nothing takes its place.
Prints N passed, N failed.
"""
import ctypes
import errno
import json
import os
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
NOVT = os.environ.get("NOVT") or os.path.join(ROOT, "build", "release", "novt")
PROFILE = "/usr/share/containers/seccomp.json"
USER = 65534
ALLOW, ARCH_X86 = 0x7fff0000, 0x40000003
COMPARE = {"SCMP_CMP_NE": 1, "SCMP_CMP_LT": 2, "SCMP_CMP_LE": 3, "SCMP_CMP_EQ": 4, "SCMP_CMP_GE": 5, "SCMP_CMP_GT": 6, "SCMP_CMP_MASKED_EQ": 7}


class Arg(ctypes.Structure):
    _fields_ = [("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


def load_profile():
    """The profile for this process, as a container with no capabilities gets it."""
    with open(PROFILE) as f:
        profile = json.load(f)
    lib = ctypes.CDLL("libseccomp.so.2", use_errno=True)
    lib.seccomp_init.restype = ctypes.c_void_p
    lib.seccomp_init.argtypes = [ctypes.c_uint32]
    lib.seccomp_arch_add.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
    lib.seccomp_load.argtypes = [ctypes.c_void_p]
    lib.seccomp_rule_add_array.argtypes = [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, ctypes.POINTER(Arg)]

    def action(name, code):
        return ALLOW if name == "SCMP_ACT_ALLOW" else 0x00050000 | (errno.EPERM if code is None else code)

    default = action(profile["defaultAction"], profile.get("defaultErrnoRet"))
    context = lib.seccomp_init(default)
    lib.seccomp_arch_add(context, ARCH_X86)
    for rule in profile["syscalls"]:
        wants, refuses = rule.get("includes") or {}, rule.get("excludes") or {}
        if wants.get("caps") or wants.get("arches") and "amd64" not in wants["arches"] or "amd64" in (refuses.get("arches") or []):
            continue
        does = action(rule["action"], rule.get("errnoRet"))
        if does == default:
            continue
        args = [Arg(a["index"], COMPARE[a["op"]], a["value"], a.get("valueTwo", 0)) for a in rule.get("args") or []]
        for name in rule["names"]:
            number = lib.seccomp_syscall_resolve_name(name.encode())
            if number != -1:
                lib.seccomp_rule_add_array(context, does, number, len(args), (Arg * max(len(args), 1))(*args))
    if lib.seccomp_load(context):
        raise OSError("seccomp_load")


PYTHON = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else sys.executable      # one that the user nobody can run


def run(me, args, timeout=120):
    """As the user nobody, if we may choose, and under the profile."""
    drop = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all"] if os.getuid() == 0 else ["setpriv"]
    return subprocess.run([*drop, "--no-new-privs", PYTHON, me, "--inside", *args], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout, text=True, errors="replace")


def main():
    passed = failed = 0
    guests = os.environ.get("NOVT_GUESTS", os.path.join(ROOT, "build", "guests"))
    with tempfile.TemporaryDirectory(dir="/var/tmp") as d:
        os.chmod(d, 0o755)
        novt, kernel, initrd, script, me = (os.path.join(d, n) for n in ("novt", "kernel", "initrd", "script", "container.py"))
        for source, copy in ((NOVT, novt), (os.path.join(guests, "vmlinuz-686-pae"), kernel), (os.path.abspath(__file__), me)):
            subprocess.run(["cp", source, copy], check=True)
        with open(script, "w") as f:
            f.write("echo container guest runs\npoweroff -f\n")
        subprocess.run([os.path.join(ROOT, "scripts/mkinitrd"), initrd, "--base", os.path.join(guests, "initrd.gz"), "file:script=" + script], check=True)
        for path in (novt, kernel, initrd, me):
            os.chmod(path, 0o755)
        who = run(me, ["grep", "-E", "^(Uid|CapEff|Seccomp):", "/proc/self/status"]).stdout.split()
        refused = run(me, [PYTHON, "-c", "import ctypes; c = ctypes.CDLL(None, use_errno=True); c.syscall(323, 0); print(ctypes.get_errno(), c.syscall(298, 0, 0, 0, 0, 0), ctypes.get_errno())"])
        doctor = run(me, [novt, "doctor"])
        boot = run(me, [novt, "-m", "64", "-engine", "direct", "--stats", "--timeout", "90", "-nographic", "-nic", "none", "-kernel", kernel, "-initrd", initrd,
                    "-append", "console=ttyS0 quiet"])
        entries = [int(line.split()[1]) for line in boot.stdout.splitlines() if line.startswith("direct.entries")]
        for what, good, text in (
                ("no capabilities, and a filter", len(who) > 8 and who[1] != "0" and who[6:9:2] == ["0000000000000000", "2"], " ".join(who)),
                ("the filter refuses userfaultfd and perf_event_open", refused.stdout.split() == ["1", "-1", "1"], refused.stdout),
                ("doctor: sandboxes work", doctor.returncode == 0 and "ok       sandbox" in doctor.stdout, doctor.stdout),
                ("a Debian kernel runs its programs in sandboxes",
                 boot.returncode == 0 and "container guest runs" in boot.stdout and entries and entries[0] > 100, boot.stdout[-1500:])):
            print(("ok " if good else "not ok ") + what)
            passed, failed = passed + bool(good), failed + (not good)
            if not good:
                print(text)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--inside"]:
        load_profile()
        os.execvp(sys.argv[2], sys.argv[2:])
    sys.exit(main())
