/*
 * snap_file.c - the bytes of a state file: written through zstd to a new file, read as a whole.
 *
 * A file is written beside the one it replaces and takes its place only when it is complete and on the disk. Reading takes the file into
 * memory first: what was checked is what is loaded, whatever happens to the file. Compressed data is not believed: the
 * window is bounded, lengths are the callers' to check.
 */
#include "monitor/snap.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LEVEL 1           /* fast: RAM is most of it */
#define WINDOW_LOG_MAX 23 /* 8 MiB: what level 1 never needs more of */

static const u8 magic[16] = {'N', 'o', 'V',  'T',  ' ',  's',  't',  'a',
                             't', 'e', '\r', '\n', 0x1a, 0x9e, 0x00, '\n'};

u64 snap_hash(u64 h, const void *data, size_t len)
{
    const u8 *p = data;

    for (size_t i = 0; i < len; i++)
        h = (h ^ p[i]) * 0x100000001b3ull;
    return h;
}

/* ---- writing ---- */

static void put(struct snap_writer *w, const void *bytes, size_t len)
{
    const u8 *data = bytes;

    w->hash = snap_hash(w->hash, data, len);
    while (len && !w->err) {
        ssize_t n = write(w->fd, data, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            w->err = n < 0 ? -errno : -EIO;
            return;
        }
        data += n;
        len -= (size_t)n;
    }
}

int snap_create(struct snap_writer *w, const char *path)
{
    const u8 version[4] = {SNAP_VERSION};

    *w = (struct snap_writer){.fd = -1, .hash = SNAP_HASH_START};
    if ((size_t)snprintf(w->path, sizeof(w->path), "%s", path) >= sizeof(w->path))
        return -ENAMETOOLONG;
    snprintf(w->part, sizeof(w->part), "%s.part", path);
    w->out_bytes = ZSTD_CStreamOutSize();
    w->out = malloc(w->out_bytes);
    w->z = ZSTD_createCCtx();
    if (!w->out || !w->z || ZSTD_isError(ZSTD_CCtx_setParameter(w->z, ZSTD_c_compressionLevel, LEVEL)) ||
        ZSTD_isError(ZSTD_CCtx_setParameter(w->z, ZSTD_c_checksumFlag, 1)))
        w->err = -ENOMEM;
    if (!w->err)
        w->fd = open(w->part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (!w->err && w->fd < 0)
        w->err = -errno;
    put(w, magic, sizeof(magic));
    put(w, version, sizeof(version));
    return w->err ? snap_finish(w) : 0;
}

static void compress(struct snap_writer *w, const void *data, size_t len, ZSTD_EndDirective what)
{
    ZSTD_inBuffer in = {data, len, 0};
    size_t left = 1;

    while (!w->err && (what == ZSTD_e_end ? left != 0 : in.pos < in.size)) {
        ZSTD_outBuffer out = {w->out, w->out_bytes, 0};

        left = ZSTD_compressStream2(w->z, &out, &in, what);
        if (ZSTD_isError(left))
            w->err = -ENOMEM;
        else
            put(w, w->out, out.pos);
    }
}

void snap_write(struct snap_writer *w, const void *data, size_t len)
{
    compress(w, data, len, ZSTD_e_continue);
}

int snap_finish(struct snap_writer *w)
{
    bool made = w->fd >= 0;

    if (!w->err)
        compress(w, NULL, 0, ZSTD_e_end);
    if (!w->err) {
        u64 hash = w->hash;

        put(w, &hash, sizeof(hash));
    }
    if (!w->err && fsync(w->fd) && errno != EINVAL && errno != EROFS)
        w->err = -errno;
    if (made && close(w->fd) && !w->err)
        w->err = -errno;
    if (!w->err && rename(w->part, w->path))
        w->err = -errno;
    if (w->err && made)
        unlink(w->part);
    ZSTD_freeCCtx(w->z);
    free(w->out);
    return w->err;
}

/* ---- reading ---- */

static int bad(struct snap_reader *r, const char *what)
{
    if (!r->bad)
        r->bad = what;
    return -ENOEXEC;
}

static int read_all(struct snap_reader *r, int fd)
{
    struct stat st;
    size_t at = 0;

    if (fstat(fd, &st))
        return -errno;
    if (!S_ISREG(st.st_mode))
        return bad(r, "not a regular file");
    r->file_bytes = (size_t)st.st_size;
    if (r->file_bytes > 2 * NOVT_RAM_MAX_BYTES)
        return bad(r, "larger than any state");
    r->file = malloc(r->file_bytes ? r->file_bytes : 1);
    if (!r->file)
        return -ENOMEM;
    while (at < r->file_bytes) {
        ssize_t n = read(fd, r->file + at, r->file_bytes - at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            return bad(r, "cut short while it was read");
        at += (size_t)n;
    }
    return 0;
}

static int check_head(struct snap_reader *r)
{
    const u8 *f = r->file;
    u32 version;
    u64 hash;

    if (r->file_bytes < sizeof(magic) || memcmp(f, magic, sizeof(magic)) != 0)
        return bad(r, "not a state of NoVT");
    if (r->file_bytes < sizeof(magic) + 4)
        return bad(r, "cut short");
    memcpy(&version, f + sizeof(magic), 4);
    if (version != SNAP_VERSION)
        return bad(r, "of another version of NoVT's format");
    if (r->file_bytes < sizeof(magic) + 4 + sizeof(hash))
        return bad(r, "cut short");
    r->file_bytes -= sizeof(hash);
    memcpy(&hash, f + r->file_bytes, sizeof(hash));
    return hash == snap_hash(SNAP_HASH_START, f, r->file_bytes) ? 0 : bad(r, "cut short or damaged");
}

int snap_open(struct snap_reader *r, const char *path)
{
    int fd, rc;

    *r = (struct snap_reader){0};
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return -errno;
    rc = read_all(r, fd);
    close(fd);
    if (!rc)
        rc = check_head(r);
    if (rc)
        return rc;
    r->out_room = ZSTD_DStreamOutSize();
    r->out = malloc(r->out_room);
    r->z = ZSTD_createDCtx();
    return r->out && r->z && snap_rewind(r) ? 0 : -ENOMEM;
}

bool snap_rewind(struct snap_reader *r)
{
    r->in = (ZSTD_inBuffer){r->file, r->file_bytes, sizeof(magic) + 4};
    r->out_at = r->out_end = 0;
    r->over = false;
    return !ZSTD_isError(ZSTD_DCtx_reset(r->z, ZSTD_reset_session_and_parameters)) &&
           !ZSTD_isError(ZSTD_DCtx_setParameter(r->z, ZSTD_d_windowLogMax, WINDOW_LOG_MAX));
}

/* More decompressed bytes; false: there are none. */
static bool refill(struct snap_reader *r)
{
    while (!r->bad && !r->over) {
        ZSTD_outBuffer out = {r->out, r->out_room, 0};
        size_t before = r->in.pos, left = ZSTD_decompressStream(r->z, &out, &r->in);

        if (ZSTD_isError(left)) {
            bad(r, "damaged");
            return false;
        }
        r->over = left == 0;
        r->out_at = 0;
        r->out_end = out.pos;
        if (out.pos)
            return true;
        if (!r->over && r->in.pos == before)
            bad(r, "cut short");
    }
    return false;
}

bool snap_read(struct snap_reader *r, void *to, size_t len)
{
    u8 *at = to;

    while (len) {
        size_t n;

        if (r->out_at == r->out_end && !refill(r)) {
            bad(r, "cut short");
            return false;
        }
        n = min_u64(len, r->out_end - r->out_at);
        if (at) {
            memcpy(at, r->out + r->out_at, n);
            at += n;
        }
        r->out_at += n;
        len -= n;
    }
    return true;
}

bool snap_at_end(struct snap_reader *r)
{
    if (r->out_at == r->out_end && refill(r) && r->out_end)
        return false;
    return !r->bad && r->out_at == r->out_end && r->over && r->in.pos == r->in.size;
}

void snap_close(struct snap_reader *r)
{
    ZSTD_freeDCtx(r->z);
    free(r->out);
    free(r->file);
    *r = (struct snap_reader){0};
}
