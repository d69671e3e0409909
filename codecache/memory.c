/*
 * memory.c - code memory and the metadata arena.
 *
 * Code memory is one memfd mapped twice, writable and executable: never both in one mapping, so a stray
 * write cannot change code and no mprotect is needed per block. Allocation is a bump pointer, since single
 * blocks are never freed, only all of them. Metadata (blocks, exits, side tables) is bump-allocated
 * in malloc'ed chunks and released as a whole by cc_flush().
 */
#include "codecache/internal.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

#define MIN_BYTES (1u << 20)
#define MAX_BYTES (1u << 30)
#define CHUNK_BYTES ((size_t)256 << 10)
#define HASH_START 1024u
#define PAGE_HASH_START 256u

void *cc_arena_alloc(struct cc_chunk **list, size_t bytes)
{
    struct cc_chunk *c = *list;
    size_t need = (size_t)align_up(bytes, 16);
    void *p;

    if (!c || c->size - c->used < need) {
        size_t size = need > CHUNK_BYTES / 4 ? need : CHUNK_BYTES;

        c = malloc(sizeof(*c) + size);
        if (!c)
            return NULL;
        c->size = size;
        c->used = 0;
        if (size != CHUNK_BYTES && *list) {
            /* A chunk of its own goes behind the head: the head may still have room. */
            c->next = (*list)->next;
            (*list)->next = c;
        } else {
            c->next = *list;
            *list = c;
        }
    }
    p = (u8 *)(c + 1) + c->used;
    c->used += need;
    return p;
}

void cc_arena_free(struct cc_chunk **list)
{
    while (*list) {
        struct cc_chunk *c = *list;

        *list = c->next;
        free(c);
    }
}

void *cc_meta(struct cc *cc, u32 bytes)
{
    return cc_arena_alloc(&cc->chunks, bytes);
}

static int map_twice(struct cc *cc)
{
    int err, fd = memfd_create("novt-code", MFD_CLOEXEC | MFD_EXEC);
    void *p;

    if (fd < 0 && errno == EINVAL) /* kernels before 6.3 do not know MFD_EXEC */
        fd = memfd_create("novt-code", MFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (ftruncate(fd, cc->size) < 0)
        goto fail;
    p = mmap(NULL, cc->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (p == MAP_FAILED)
        goto fail;
    cc->rw = p;
    p = mmap(NULL, cc->size, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (p == MAP_FAILED)
        goto fail;
    cc->rx = p;
    close(fd);
    return 0;
fail:
    err = -errno;
    close(fd);
    return err;
}

int cc_new(struct cc **out, size_t bytes)
{
    struct cc *cc;
    int err;

    if (bytes < MIN_BYTES || bytes > MAX_BYTES)
        return -EINVAL;
    cc = calloc(1, sizeof(*cc));
    if (!cc)
        return -ENOMEM;
    cc->size = (u32)align_up(bytes, PAGE_BYTES);
    cc->exit_base = 1;
    cc->cold_start = cc->cold_used = (u32)align_up(cc->size / 2, PAGE_BYTES);
    cc->stats.size_bytes = cc->size;
    cc->hash_mask = HASH_START - 1;
    cc->page_mask = PAGE_HASH_START - 1;
    cc->hash = calloc(HASH_START, sizeof(struct cc_block *));
    cc->pages = calloc(PAGE_HASH_START, sizeof(struct cc_page *));
    err = cc->hash && cc->pages ? map_twice(cc) : -ENOMEM;
    if (err) {
        cc_free(cc);
        return err;
    }
    *out = cc;
    return 0;
}

void cc_free(struct cc *cc)
{
    if (!cc)
        return;
    if (cc->rx)
        munmap(cc->rx, cc->size);
    if (cc->rw)
        munmap(cc->rw, cc->size);
    cc_arena_free(&cc->chunks);
    cc_arena_free(&cc->page_chunks);
    free(cc->blocks);
    free(cc->exits);
    free(cc->hash);
    free(cc->pages);
    free(cc->guarded);
    free(cc);
}

u8 *cc_rw(const struct cc *cc)
{
    return cc->rw;
}

u8 *cc_rx(const struct cc *cc)
{
    return cc->rx;
}

void cc_use(struct cc *cc, u32 bytes)
{
    cc->used += (u32)align_up(bytes, CC_ALIGN);
    if (cc->used > cc->cold_start)
        cc->used = cc->cold_start;
    cc_count_used(cc);
}

void cc_count_used(struct cc *cc)
{
    cc->stats.used_bytes = cc->used + (cc->cold_used - cc->cold_start);
}

int cc_fixed(struct cc *cc, u32 bytes, u32 *off)
{
    ASSERT(!cc->reserved && cc->n_blocks == 0);
    if (bytes > cc->cold_start - cc->used)
        return -ENOSPC;
    *off = cc->used;
    cc_use(cc, bytes);
    cc->fixed_end = cc->used;
    return 0;
}

int cc_reserve(struct cc *cc, u32 max_bytes, u32 *off)
{
    ASSERT(!cc->reserved && max_bytes > 0);
    if (max_bytes > cc->cold_start - cc->used)
        return -ENOSPC;
    cc->reserved = max_bytes;
    cc->cold_reserved = cc->cold_pending = 0;
    *off = cc->used;
    return 0;
}

void cc_abort(struct cc *cc)
{
    ASSERT(cc->reserved);
    cc->reserved = 0;
}

int cc_reserve_cold(struct cc *cc, u32 max_bytes, u32 *off)
{
    ASSERT(cc->reserved);
    if (max_bytes > cc->size - cc->cold_used)
        return -ENOSPC;
    cc->cold_reserved = max_bytes;
    *off = cc->cold_used;
    return 0;
}

void cc_cold_done(struct cc *cc, u32 bytes)
{
    ASSERT(cc->reserved && bytes <= cc->cold_reserved);
    cc->cold_pending = bytes;
}
