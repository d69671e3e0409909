#!/usr/bin/env python3
"""A small VNC client for tests: RFB 3.3 to 3.8, raw and ZRLE, the picture as 0xRRGGBB values.

    rfb.py HOST PORT FILE.ppm     writes what the server shows
"""
import ctypes
import socket
import struct
import sys
import time
import zlib

RAW, ZRLE, DESKTOP_SIZE, POINTER_TYPE, EXT_KEY = 0, 16, -223, -257, -258


def answer(password, challenge):
    """DES by libcrypto; the password's bytes with their bits the other way round."""
    lib = ctypes.CDLL("libcrypto.so.3")
    key = bytes(int(f"{b:08b}"[::-1], 2) for b in password.encode()[:8].ljust(8, b"\0"))
    schedule, out = ctypes.create_string_buffer(256), ctypes.create_string_buffer(16)
    lib.DES_set_key_unchecked(key, schedule)
    for i in (0, 8):
        lib.DES_ecb_encrypt(challenge[i:i + 8], ctypes.byref(out, i), schedule, 1)
    return out.raw


class Client:
    def __init__(self, address, version=8, encodings=(ZRLE, RAW, DESKTOP_SIZE, EXT_KEY), timeout=20, password=None):
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        self.sock.settimeout(timeout)
        self.sock.connect(address)
        self.zlib = zlib.decompressobj()
        self.ext_key = self.relative = False
        self.updates = self.resizes = 0
        self.password = password
        self.handshake(version)
        self.bits, self.order = 32, "<"
        self.shift, self.max = (16, 8, 0), (255, 255, 255)
        self.send(struct.pack(">BxH%di" % len(encodings), 2, len(encodings), *encodings))

    def send(self, data):
        self.sock.sendall(data)

    def read(self, n):
        data = b""
        while len(data) < n:
            more = self.sock.recv(n - len(data))
            if not more:
                raise EOFError("the server hung up")
            data += more
        return data

    def handshake(self, version):
        assert self.read(12) == b"RFB 003.008\n"
        self.send(b"RFB 003.%03d\n" % version)
        kind = b"\1" if self.password is None else b"\2"
        if version == 3:
            assert self.read(4) == b"\0\0\0" + kind
        else:
            assert self.read(self.read(1)[0]) == kind
            self.send(kind)
        if self.password is not None:
            self.send(answer(self.password, self.read(16)))
        if self.password is not None or version >= 8:
            result = struct.unpack(">I", self.read(4))[0]
            if result:
                raise PermissionError(self.read(struct.unpack(">I", self.read(4))[0]).decode() if version >= 8 else "refused")
        self.send(b"\1")
        self.width, self.height = struct.unpack(">HH", self.read(4))
        self.read(16)
        self.name = self.read(struct.unpack(">I", self.read(4))[0]).decode()
        self.pixels = [0] * (self.width * self.height)

    def set_format(self, bits, depth, big, maxes, shifts):
        self.send(struct.pack(">Bxxx BBBB HHH BBB xxx", 0, bits, depth, big, 1, *maxes, *shifts))
        self.bits, self.order, self.max, self.shift = bits, ">" if big else "<", maxes, shifts

    def request(self, incremental=True):
        self.send(struct.pack(">BBHHHH", 3, incremental, 0, 0, self.width, self.height))

    def colour(self, raw):
        value = int.from_bytes(raw, "little" if self.order == "<" else "big")
        out = 0
        for m, s in zip(self.max, self.shift):
            out = out << 8 | ((value >> s) & m) * 255 // m
        return out

    def put(self, x, y, width, colours):
        for row in range(len(colours) // width):
            at = (y + row) * self.width + x
            self.pixels[at:at + width] = colours[row * width:(row + 1) * width]

    def zrle(self, x, y, width, height):
        data = self.zlib.decompress(self.read(struct.unpack(">I", self.read(4))[0]))
        pixel, at = (3 if self.bits == 32 else self.bits // 8), 0
        for ty in range(0, height, 64):
            for tx in range(0, width, 64):
                w, h = min(64, width - tx), min(64, height - ty)
                kind, at = data[at], at + 1
                assert kind <= 16, kind
                palette = [self.colour(data[at + i * pixel:at + (i + 1) * pixel]) for i in range(kind)]
                at += kind * pixel
                if kind == 0:
                    colours = [self.colour(data[at + i * pixel:at + (i + 1) * pixel]) for i in range(w * h)]
                    at += w * h * pixel
                elif kind == 1:
                    colours = palette * (w * h)
                else:
                    bits = 1 if kind == 2 else 2 if kind <= 4 else 4
                    stride = (w * bits + 7) // 8
                    colours = [palette[data[at + r * stride + c * bits // 8] >> (8 - bits - c * bits % 8) & ((1 << bits) - 1)]
                               for r in range(h) for c in range(w)]
                    at += stride * h
                self.put(x + tx, y + ty, w, colours)
        assert at == len(data), (at, len(data))

    def message(self):
        """One message of the server; the number of its rectangles."""
        kind = self.read(1)[0]
        assert kind == 0, kind
        rects = struct.unpack(">xH", self.read(3))[0]
        for _ in range(rects):
            x, y, w, h, encoding = struct.unpack(">HHHHi", self.read(12))
            if encoding == DESKTOP_SIZE:
                self.width, self.height = w, h
                self.pixels = [0] * (w * h)
                self.resizes += 1
            elif encoding == EXT_KEY:
                self.ext_key = True
            elif encoding == POINTER_TYPE:
                self.relative = x == 0
            elif encoding == RAW:
                n = self.bits // 8
                data = self.read(w * h * n)
                self.put(x, y, w, [self.colour(data[i:i + n]) for i in range(0, len(data), n)])
            elif encoding == ZRLE:
                self.zrle(x, y, w, h)
            else:
                raise ValueError(f"encoding {encoding}")
        self.updates += 1
        return rects

    def update(self, incremental=True, timeout=None):
        """Asks and waits for one update with pixels; False when none came in time."""
        self.request(incremental)
        old = self.sock.gettimeout()
        if timeout:
            self.sock.settimeout(timeout)
        try:
            self.message()
        except socket.timeout:
            return False
        finally:
            self.sock.settimeout(old)
        return True

    def key(self, keysym, down):
        self.send(struct.pack(">BBxxI", 4, down, keysym))

    def ext(self, keysym, code, down):
        self.send(struct.pack(">BBHII", 255, 0, down, keysym, code))

    def type(self, text):
        for c in text:
            for down in (1, 0):
                self.key(0xff0d if c == "\n" else ord(c), down)

    def pointer(self, x, y, mask=0):
        self.send(struct.pack(">BBHH", 5, mask, x, y))

    def lit(self):
        """How many pixels are not black."""
        return sum(1 for p in self.pixels if p)

    def ppm(self):
        return b"P6\n%d %d\n255\n" % (self.width, self.height) + b"".join(p.to_bytes(3, "big") for p in self.pixels)

    def close(self):
        self.sock.close()


def main():
    client = Client((sys.argv[1], int(sys.argv[2])))
    client.update(False)
    time.sleep(0.1)
    with open(sys.argv[3], "wb") as f:
        f.write(client.ppm())


if __name__ == "__main__":
    main()
