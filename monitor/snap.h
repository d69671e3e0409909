/*
 * snap.h - what the files behind novt_vm_save() and novt_vm_load() share (internal to monitor/).
 *
 * vm_snap.c tells the story, snap_file.c has the bytes of the file, snap_cpu.c what the CPU saves.
 *
 * A state file: 16 bytes of magic, the format's version (4), one zstd frame with a checksum of its content, and a hash of all bytes
 * before it (8). In the frame, numbers little-endian:
 *     count of units (4), then of each: name, table's name (both length and text), length (4), its fields (devices/state.h)
 *     RAM: runs of pages that are not zero: first page (4), pages (4), their bytes; ends with FFFFFFFFh
 *     "end"
 * The first unit is the machine's making, which has to be that of the machine it is loaded into.
 */
#ifndef NOVT_MONITOR_SNAP_H
#define NOVT_MONITOR_SNAP_H

#include <zstd.h>

#include "monitor/machine.h"

#define SNAP_VERSION 1u
#define SNAP_UNIT_BYTES_MAX (64u << 20)
#define SNAP_RAM_END 0xffffffffu

/* ---- snap_file.c ---- */

#define SNAP_HASH_START 0xcbf29ce484222325ull
u64 snap_hash(u64 h, const void *data, size_t len); /* FNV-1a */

struct snap_writer {
    u64 hash;    /* of what was written */
    int fd, err; /* err: the first -errno; after it nothing is written any more */
    ZSTD_CCtx *z;
    void *out;
    size_t out_bytes;
    char path[4096], part[4112]; /* written to part, which becomes path when it is whole and on the disk */
};

int snap_create(struct snap_writer *w, const char *path) MUST_CHECK;
void snap_write(struct snap_writer *w, const void *data, size_t len);
int snap_finish(struct snap_writer *w)
    MUST_CHECK; /* or, when something went wrong before, takes it away; 0 or -errno */

/* A whole file in memory, as it was when it was read; it can be gone through any number of times. */
struct snap_reader {
    u8 *file;
    size_t file_bytes;
    ZSTD_DCtx *z;
    ZSTD_inBuffer in;
    u8 *out;
    size_t out_at, out_end, out_room;
    bool over;       /* the frame's end was reached, checksum and all */
    const char *bad; /* what is wrong with the file; NULL: nothing so far */
};

/* 0, -errno of the host, or -ENOEXEC with r->bad. */
int snap_open(struct snap_reader *r, const char *path) MUST_CHECK;
bool snap_rewind(struct snap_reader *r);
bool snap_read(struct snap_reader *r, void *to, size_t len); /* to NULL: skip. false: r->bad says why */
bool snap_at_end(struct snap_reader *r);
void snap_close(struct snap_reader *r);

/* ---- snap_cpu.c ---- */

/* What is not in struct cpu, or not as it is in there. */
struct snap_extra {
    u64 tsc; /* when it was paused */
    u64 pdpte[4];
    u32 nmi, dbg_hits;
};

extern const struct state_table snap_cpu_state, snap_extra_state;
/* The CPU's registers were loaded: everything that follows from them, and from memory that is another one now. */
void snap_cpu_restored(struct machine *m, const struct snap_extra *x);
void snap_extra_take(struct machine *m, struct snap_extra *x);

#endif
