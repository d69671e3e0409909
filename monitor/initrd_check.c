/*
 * initrd_check.c - is an initramfs whole?
 *
 * A truncated archive otherwise shows only as a panic deep in the guest's boot. Formats with lengths or a
 * trailer are walked (cpio, xz, zstd, lz4) in microseconds; gzip has neither, so its symbols are decoded without
 * producing output (some 100 MB of output a second is far below the guest's own effort). An image is a sequence of
 * such parts, perhaps padded with zeros (Documentation/driver-api/early-userspace/buffer-format.rst).
 */
#include "monitor/loader.h"

#include <stdlib.h>
#include <string.h>

#define GZIP_CHECK_MAX_BYTES (24u << 20) /* beyond it the check would cost a noticeable part of the boot */

#define CPIO_HEADER_BYTES 110u
#define ZSTD_MAGIC 0xfd2fb528u
#define ZSTD_SKIP_MAGIC 0x184d2a50u /* low 4 bits free */
#define LZ4_LEGACY_MAGIC 0x184c2102u

/* ---- cpio (newc) ---- */

static bool hex8(const u8 *p, u32 *out)
{
    u32 v = 0;

    for (unsigned i = 0; i < 8; i++) {
        u8 c = p[i];
        u32 d = c >= '0' && c <= '9'                 ? (u32)c - '0'
                : (c | 32) >= 'a' && (c | 32) <= 'f' ? (u32)(c | 32) - 'a' + 10
                                                     : 16;

        if (d == 16)
            return false;
        v = v << 4 | d;
    }
    *out = v;
    return true;
}

/* Bytes of the archive up to its trailer, 0 if it is cut. */
static size_t cpio_bytes(const u8 *data, size_t bytes)
{
    u64 at = 0;

    for (;;) {
        u32 size, name;
        u64 name_at = at + CPIO_HEADER_BYTES, data_at;

        if (name_at > bytes || memcmp(data + at, "07070", 5) || !hex8(data + at + 54, &size) ||
            !hex8(data + at + 94, &name))
            return 0;
        data_at = align_up(name_at + name, 4);
        if (!name || data_at > align_up(bytes, 4) || name_at + name > bytes)
            return 0;
        at = align_up(data_at + size, 4);
        if (name == 11 && !memcmp(data + name_at, "TRAILER!!!", 11))
            return min_u64(at, bytes);
        if (at > bytes)
            return 0;
    }
}

/* ---- gzip: RFC 1951, 1952, decoded without output ---- */

struct bits {
    const u8 *data;
    size_t bytes, at;
    u64 hold;
    unsigned n;
    bool over;
};

static void bits_refill(struct bits *b)
{
    while (b->n <= 56 && b->at < b->bytes) {
        b->hold |= (u64)b->data[b->at++] << b->n;
        b->n += 8;
    }
}

static u32 bits_get(struct bits *b, unsigned n)
{
    u32 v;

    if (b->n < n)
        bits_refill(b);
    if (b->n < n) {
        b->over = true;
        return 0;
    }
    v = (u32)(b->hold & ((1ull << n) - 1));
    b->hold >>= n;
    b->n -= n;
    return v;
}

/* One table lookup a symbol: entry = symbol << 4 | length, 0 = no such code. */
#define HUFF_BITS 15
struct huff {
    u16 entry[1 << HUFF_BITS];
};

static bool huff_build(struct huff *h, const u8 *len, unsigned count)
{
    u32 num[HUFF_BITS + 1] = {0}, next[HUFF_BITS + 2] = {0}, code = 0;

    memset(h, 0, sizeof(*h));
    for (unsigned i = 0; i < count; i++)
        num[len[i]]++;
    num[0] = 0;
    for (unsigned l = 1; l <= HUFF_BITS; l++) {
        code = (code + num[l - 1]) << 1;
        next[l] = code;
        if (code + num[l] > 1u << l)
            return false;
    }
    for (unsigned i = 0; i < count; i++) {
        unsigned l = len[i];
        u32 rev = 0;

        if (!l)
            continue;
        code = next[l]++;
        for (unsigned b = 0; b < l; b++)
            rev |= (code >> b & 1) << (l - 1 - b);
        for (u32 e = rev; e < 1u << HUFF_BITS; e += 1u << l)
            h->entry[e] = (u16)(i << 4 | l);
    }
    return true;
}

/* Symbol, or -1. */
static inline int huff_get(struct bits *b, const struct huff *h)
{
    u32 e;

    if (b->n < HUFF_BITS)
        bits_refill(b);
    e = h->entry[b->hold & ((1u << HUFF_BITS) - 1)];
    if (!e || (e & 15) > b->n)
        return -1;
    b->hold >>= e & 15;
    b->n -= e & 15;
    return (int)(e >> 4);
}

static bool read_codes(struct bits *b, struct huff *lit, struct huff *dist)
{
    static const u8 order[19] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
    u8 len[320] = {0};
    unsigned nlit = bits_get(b, 5) + 257, ndist = bits_get(b, 5) + 1, nlen = bits_get(b, 4) + 4;

    for (unsigned i = 0; i < nlen; i++)
        len[order[i]] = (u8)bits_get(b, 3);
    if (nlit > 286 || ndist > 30 || !huff_build(lit, len, 19))
        return false;
    memset(len, 0, sizeof(len));
    for (unsigned i = 0; i < nlit + ndist;) {
        int sym = huff_get(b, lit);
        unsigned run = 1, value = (unsigned)sym;

        if (sym < 0 || (sym == 16 && i == 0))
            return false;
        if (sym >= 16) {
            value = sym == 16 ? len[i - 1] : 0;
            run = sym == 16 ? 3 + bits_get(b, 2) : sym == 17 ? 3 + bits_get(b, 3) : 11 + bits_get(b, 7);
        }
        if (run > nlit + ndist - i)
            return false;
        memset(len + i, (int)value, run);
        i += run;
    }
    return huff_build(lit, len, nlit) && huff_build(dist, len + nlit, ndist);
}

static void fixed_codes(struct huff *lit, struct huff *dist)
{
    u8 len[288];

    memset(len, 8, 144);
    memset(len + 144, 9, 112);
    memset(len + 256, 7, 24);
    memset(len + 280, 8, 8);
    huff_build(lit, len, 288);
    memset(len, 5, 30);
    huff_build(dist, len, 30);
}

/* Output bytes of one compressed block, UINT64_MAX if damaged. */
static u64 coded_block(struct bits *b, const struct huff *lit, const struct huff *dist)
{
    static const u16 base[29] = {3,  4,  5,  6,  7,  8,  9,  10, 11,  13,  15,  17,  19,  23, 27,
                                 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258};
    u64 out = 0;

    for (;;) {
        int sym = huff_get(b, lit), d;

        if (sym < 0 || b->over)
            return UINT64_MAX;
        if (sym < 256) {
            out++;
            continue;
        }
        if (sym == 256)
            return out;
        sym -= 257;
        if (sym >= 29)
            return UINT64_MAX;
        out += base[sym] + (sym < 8 || sym == 28 ? 0 : bits_get(b, (unsigned)(sym >> 2) - 1));
        d = huff_get(b, dist);
        if (d < 0 || d >= 30)
            return UINT64_MAX;
        if (d >= 4)
            bits_get(b, (unsigned)(d >> 1) - 1);
    }
}

static bool inflate_length(struct bits *b, u64 *out)
{
    struct huff *lit = malloc(sizeof(*lit)), *dist = malloc(sizeof(*dist));
    bool ok = lit && dist, last = false;

    *out = 0;
    while (ok && !last) {
        u32 kind;
        u64 n;

        last = bits_get(b, 1);
        kind = bits_get(b, 2);
        if (kind == 0) {
            bits_get(b, b->n & 7);
            n = bits_get(b, 16);
            ok = (n ^ bits_get(b, 16)) == 0xffff && !b->over;
            /* The bytes are partly in hold already. */
            b->at -= b->n / 8;
            b->hold = 0;
            b->n = 0;
            ok = ok && n <= b->bytes - b->at;
            if (ok)
                b->at += n;
        } else {
            if (kind == 1)
                fixed_codes(lit, dist);
            ok = kind == 1 || (kind == 2 && read_codes(b, lit, dist));
            n = ok ? coded_block(b, lit, dist) : 0;
            ok = ok && n != UINT64_MAX && !b->over;
        }
        *out += ok ? n : 0;
    }
    free(lit);
    free(dist);
    return ok;
}

size_t gzip_member_bytes(const u8 *data, size_t bytes)
{
    struct bits b = {.data = data, .bytes = bytes, .at = 10};
    u64 out;
    u8 flags;

    if (bytes < 18 || data[0] != 0x1f || data[1] != 0x8b || data[2] != 8)
        return 0;
    flags = data[3];
    if (flags & 4)
        b.at += 2 + get_u16(data + 10);
    for (u8 bit = 8; bit <= 16; bit <<= 1)
        if (flags & bit) {
            while (b.at < bytes && data[b.at])
                b.at++;
            b.at++;
        }
    if (flags & 2)
        b.at += 2;
    if (b.at >= bytes || !inflate_length(&b, &out))
        return 0;
    b.at -= b.n / 8;
    if (bytes - b.at < 8 || get_u32(data + b.at + 4) != (u32)out)
        return 0;
    return b.at + 8;
}

/* ---- the others ---- */

/* RFC 8878, 3.1. Bytes of the frame, 0 if cut. */
static size_t zstd_bytes(const u8 *data, size_t bytes)
{
    static const u8 dict_bytes[4] = {0, 1, 2, 4}, size_bytes[4] = {0, 2, 4, 8};
    u64 at = 5;
    bool single;

    if (bytes < 9)
        return 0;
    if ((get_u32(data) & ~15u) == ZSTD_SKIP_MAGIC)
        return get_u32(data + 4) <= bytes - 8 ? 8 + (size_t)get_u32(data + 4) : 0;
    single = data[4] & 0x20;
    at += !single + dict_bytes[data[4] & 3] + (data[4] >> 6 ? size_bytes[data[4] >> 6] : single);
    for (bool last = false; !last;) {
        u32 head;

        if (at + 3 > bytes)
            return 0;
        head = get_u16(data + at) | (u32)data[at + 2] << 16;
        last = head & 1;
        at += 3 + ((head >> 1 & 3) == 1 ? 1 : head >> 3);
    }
    at += data[4] & 4 ? 4 : 0;
    return at <= bytes ? at : 0;
}

static bool lz4_whole(const u8 *data, size_t bytes)
{
    u64 at = 4;

    while (at + 4 <= bytes) {
        u32 n = get_u32(data + at);

        if (n == 0)
            return true;
        at += 4 + (n == LZ4_LEGACY_MAGIC ? 0 : n);
    }
    return at == bytes;
}

/* The stream footer ends with "YZ" and may be followed by zeros in fours. */
static bool xz_whole(const u8 *data, size_t bytes)
{
    while (bytes > 4 && get_u32(data + bytes - 4) == 0)
        bytes -= 4;
    return bytes >= 32 && bytes % 4 == 0 && data[bytes - 2] == 'Y' && data[bytes - 1] == 'Z';
}

const char *initrd_defect(const u8 *data, size_t bytes)
{
    size_t at = 0;

    while (at < bytes) {
        size_t left = bytes - at, n;
        const u8 *p = data + at;

        if (!*p) { /* padding between parts */
            at++;
            continue;
        }
        if (left >= 6 && !memcmp(p, "07070", 5)) {
            n = cpio_bytes(p, left);
            if (!n)
                return "truncated cpio archive";
        } else if (left >= 2 && p[0] == 0x1f && p[1] == 0x8b) {
            if (left > GZIP_CHECK_MAX_BYTES)
                return NULL;
            n = gzip_member_bytes(p, left);
            if (!n)
                return "truncated or damaged gzip archive";
        } else if (left >= 4 && (get_u32(p) == ZSTD_MAGIC || (get_u32(p) & ~15u) == ZSTD_SKIP_MAGIC)) {
            n = zstd_bytes(p, left);
            if (!n)
                return "truncated zstd archive";
        } else if (left >= 6 && !memcmp(p,
                                        "\xfd"
                                        "7zXZ",
                                        6)) {
            return xz_whole(p, left) ? NULL : "truncated xz archive";
        } else if (left >= 4 && get_u32(p) == LZ4_LEGACY_MAGIC) {
            return lz4_whole(p, left) ? NULL : "truncated lz4 archive";
        } else {
            return NULL;
        }
        at += n;
    }
    return NULL;
}
