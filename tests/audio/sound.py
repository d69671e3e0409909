#!/usr/bin/env python3
"""The PC speaker from a guest's ports to a WAV file and to SDL's sound device.

Usage: sound.py NOVT
The guest is a 64 KiB BIOS image assembled here: it plays three tones with pauses, timed by port 61h's refresh bit, and ends. What
would break the test: a wrong frequency, a drifting clock, lost or doubled samples, pauses that vanish, a header that does not fit.
"""
import array, math, os, resource, struct, subprocess, sys, tempfile, time, wave

NOVT = os.path.abspath(sys.argv[1])
TMP = tempfile.mkdtemp(prefix="novt-audio-")
PIT_HZ = 1193182
TOGGLE_S = 15085e-9
TONES = [(2712, 20000), (1193, 13000), (5424, 20000)]  # count, length in toggles: 440 Hz, 1 kHz, 220 Hz
PAUSE = 10000
failed = 0

def check(cond, what):
    global failed
    print(("ok   " if cond else "FAIL ") + what)
    failed += not cond

def wait(toggles):
    # mov cx, n; l: in al, 61h; and al, 10h; cmp al, ah; je l; mov ah, al; loop l
    return b"\xb9" + struct.pack("<H", toggles) + bytes.fromhex("e461 2410 38e0 74f8 88c4 e2f4")

def guest(before=0):
    code = wait(before) if before else b""
    for count, toggles in TONES:
        code += bytes.fromhex("b0b6 e643 b0") + bytes([count & 255]) + bytes.fromhex("e642 b0") + bytes([count >> 8]) + b"\xe6\x42"
        code += bytes.fromhex("e461 0c03 e661") + wait(toggles) + bytes.fromhex("e461 24fc e661") + wait(PAUSE)
    code += bytes.fromhex("ba0105 b000 ee faf4")  # debug exit
    path = os.path.join(TMP, "beeps")
    with open(path, "wb") as f:
        f.write(code.ljust(0xfff0, b"\xf4") + b"\xea\x00\x00\x00\xf0".ljust(16, b"\0"))
    return path

def run(*args, env=None):
    return subprocess.run([NOVT, "-bios", guest(), "-vga", "none", "-nodefaults", "-display", "none", "-device", "isa-debug-exit", *args,
                           "--timeout", "60"], stdin=subprocess.DEVNULL, capture_output=True, env=env, timeout=80)

def power(samples, rate, hz):
    """Goertzel: how much of the signal is at this frequency, 1 for a full sine."""
    k = 2 * math.cos(2 * math.pi * hz / rate)
    a = b = 0.0
    for s in samples:
        a, b = s + k * a - b, a
    return 2 * math.sqrt(max(0, a * a + b * b - k * a * b)) / len(samples)

def rises(samples, level):
    return [i for i in range(1, len(samples)) if samples[i - 1] < level <= samples[i]]

def runs(samples, gap):
    """(first, last) of what sounds, cut where it is silent for more than gap samples."""
    found = []
    for i in rises(samples, 1) + [i for i in range(1, len(samples)) if samples[i - 1] > 0 >= samples[i]]:
        found.append(i)
    found = sorted(found)
    out, start = [], 0
    for a, b in zip(found, found[1:] + [1 << 60]):
        if b - a > gap:
            out.append((found[start], a))
            start = found.index(b) if b in found else 0
    return out

def test_wav(rate, channels):
    path = os.path.join(TMP, "out.wav")
    # The machine's option comes first: order does not matter.
    p = run("-machine", "pc,pcspk-audiodev=snd", "-audiodev", f"wav,id=snd,path={path},out.frequency={rate},out.channels={channels}")
    check(p.returncode == 1 and not p.stderr, f"{rate} Hz: the guest ends by itself: {p.returncode} {p.stderr}")
    with wave.open(path) as w:
        check((w.getframerate(), w.getnchannels(), w.getsampwidth()) == (rate, channels, 2), f"format {w.getparams()}")
        frames = w.getnframes()
        data = array.array("h", w.readframes(frames))
    check(len(data) == frames * channels and os.path.getsize(path) == 44 + 2 * len(data), "the header's sizes are the file's")
    left = data[::channels]
    check(all(data[c::channels] == left for c in range(channels)), "channels are the same")
    parts = runs(left, rate // 50)
    check(len(parts) == len(TONES), f"three tones and no more: {parts}")
    for (first, last), (count, toggles) in zip(parts, TONES):
        hz, seconds, tone = PIT_HZ / count, toggles * TOGGLE_S, left[first:last]
        # A busy host makes the guest miss toggles, so it waits for more of them: there is no close upper bound.
        check(seconds * 0.98 < (last - first) / rate < seconds * 20, f"{hz:.0f} Hz: {(last - first) / rate:.4f} s of {seconds:.4f}")
        at = rises(tone, 4096)
        mean = (at[-1] - at[0]) / (len(at) - 1)
        check(abs(mean * count ** -1 - rate / PIT_HZ) * count < 2.5 / len(at), f"{hz:.2f} Hz measured as {rate / mean:.2f}")
        check(all(abs(b - a - mean) <= 1.5 for a, b in zip(at, at[1:])), "every period has its length: no sample is lost or doubled")
        middle = [s - 4096 for s in tone[:rate // 5]]
        here = power(middle, rate, hz)
        check(rate < 44100 or abs(here / 4096 - 4 / math.pi) < 0.06, f"a square wave's first harmonic: {here / 4096:.3f}")
        check(power(middle, rate, 2 * hz) < here / 50, "and no second one")
        check(rate < 44100 or abs(power(middle, rate, 3 * hz) / here - 1 / 3) < 0.1, "and a third of it at the third")
        check(power(middle, rate, hz * 1.37) < here / 20, "and nothing in between")
    for (_, a), (b, _) in zip(parts, parts[1:]):
        check(PAUSE * TOGGLE_S * 0.95 < (b - a) / rate < PAUSE * TOGGLE_S * 20, f"the pause is as long as it was: {(b - a) / rate:.4f} s")

def test_sdl():
    path = os.path.join(TMP, "disk.raw")
    env = dict(os.environ, SDL_AUDIODRIVER="disk", SDL_DISKAUDIOFILE=path)
    p = run("-audiodev", "sdl,id=a,out.channels=1", "-M", "pcspk-audiodev=a", env=env)
    if b"cannot be loaded" in p.stderr or b"built without" in p.stderr:
        print("skip SDL2 is not here")
        return
    check(p.returncode == 1, f"sdl: {p.returncode} {p.stderr}")
    with open(path, "rb") as f:
        data = array.array("h", f.read()[:-1 & ~1])
    steps = [b - a for a, b in zip(*[iter(rises(data, 4096)[i:]) for i in (0, 1)])]
    for count, _ in TONES:
        want = 44100 * count / PIT_HZ
        n = sum(abs(s - want) <= 1.5 for s in steps)
        check(n > 20, f"sdl: {PIT_HZ / count:.0f} Hz is heard: {n} periods")
    env["SDL_AUDIODRIVER"] = "nosuch"
    p = run("-audiodev", "sdl,id=a", "-M", "pcspk-audiodev=a", env=env)
    lines = p.stderr.decode().splitlines()
    check(p.returncode == 3 and len(lines) == 2 and lines[1].startswith("novt: remedy: "), f"no sound device is said: {p}")

def test_refusals():
    for args, code, word in (
            (["-M", "pcspk-audiodev=x"], 2, "x"), (["-audiodev", "wav"], 2, "id="), (["-audiodev", "pa,id=a"], 2, "pa"),
            (["-audiodev", "wav,id=a,out.format=f32"], 2, "f32"), (["-audiodev", "none,id=a,path=x"], 2, "path"),
            (["-audiodev", "wav,id=a", "-audiodev", "none,id=a"], 2, "two"), (["-soundhw", "sb16"], 2, "sb16"), (["-device", "AC97"], 2, "AC97"),
            (["-audio", "none,model=hda"], 2, "hda"), (["-audiodev", "wav,id=a,path=/nonexistent/x", "-M", "pcspk-audiodev=a"], 3, "/nonexistent/x"),
            (["-audiodev", "wav,id=a,path=/dev/null", "-M", "pcspk-audiodev=a"], 3, "/dev/null")):
        p = run(*args)
        lines = p.stderr.decode().splitlines()
        check(p.returncode == code and len(lines) == 2 and word in lines[0], f"{' '.join(args)}: {p.returncode} {p.stderr}")
    for args in (["-audiodev", "none,id=a", "-M", "pcspk-audiodev=a"], ["-audio", "none"], ["-audio", "driver=none,model=pcspk"]):
        p = run(*args)
        check(p.returncode == 1 and not p.stderr, f"{' '.join(args)}: {p.returncode} {p.stderr}")

def test_full_disk():
    """A file that may not grow: the guest goes on, one line says why, what there is can be played."""
    path = os.path.join(TMP, "full.wav")
    p = subprocess.Popen([NOVT, "-bios", guest(65000), "-vga", "none", "-nodefaults", "-display", "none", "-device", "isa-debug-exit",
                          "-audiodev", f"wav,id=a,path={path},out.frequency=192000", "-M", "pcspk-audiodev=a", "--timeout", "60"],
                         stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    end = time.time() + 20
    while time.time() < end and not (os.path.exists(path) and os.path.getsize(path)):
        time.sleep(0.02)
    resource.prlimit(p.pid, resource.RLIMIT_FSIZE, (200000, resource.RLIM_INFINITY))
    err = p.communicate(timeout=80)[1]
    check(p.returncode == 1 and err.count(b"\n") == 1 and b"cannot write" in err, f"full: {p.returncode} {err}")
    with wave.open(path) as w:
        check(0 < w.getnframes() * 4 + 44 <= os.path.getsize(path), "the header counts what is there")

test_wav(44100, 2)
test_wav(8000, 1)
test_sdl()
test_refusals()
test_full_disk()
subprocess.run(["rm", "-rf", TMP])
print("passed" if not failed else f"{failed} failed")
sys.exit(failed != 0)
