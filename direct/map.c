/*
 * map.c - the sandbox's guest address space, changed by its mapper thread.
 *
 * Operations are system calls with all their arguments, written to the command pages, which the sandbox sees read-only; the mapper does them in
 * order and stops again, saying in registers how far it got. Guest code can neither steer nor forge any of it. Everything is checked here
 * once more than the mapper's filter does: below 4 GiB, within RAM.
 */
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "direct/internal.h"

#define LOW_BYTES (1ull << 32)

void dx_mapper_op(struct dx_box *b, u32 i, long nr, u64 a0, u64 a1, u64 a2, u64 a3, u64 a4, u64 a5)
{
    const u64 op[DX_CMD_OP_BYTES / 8] = {(u64)nr, a0, a1, a2, a3, a4, a5, 0};

    ASSERT(i < DX_CMD_OPS_MAX);
    memcpy(b->shared + DX_CMD_OPS + i * DX_CMD_OP_BYTES, op, sizeof(op));
}

int dx_mapper_run(struct dx_box *b, u32 n, u32 *done)
{
    u64 args[2] = {0, 0};
    enum dx_wait w = DX_WAIT_DEAD;

    *done = 0;
    if (b->dead)
        return -EIO;
    memcpy(b->shared + DX_CMD_COUNT, &n, sizeof(n));
    if (dx_stop_resume(b, &b->mapper) == 0)
        w = dx_stop_wait(b, &b->mapper, args);
    if (w != DX_WAIT_STOPPED || args[0] > n) {
        dx_box_die(b, DX_DEATH_HOST, "the sandbox's mapper is gone");
        return -EIO;
    }
    *done = (u32)args[0];
    b->dx->stats.batches++;
    return *done == n ? 0 : -(int)(args[1] & 0xfff);
}

/* 0: well formed. The mapper's filter takes lengths below 4 GiB only. */
static int check_op(const struct dx_box *b, const struct dx_op *op)
{
    u64 bytes = (u64)op->pages << PAGE_SHIFT;

    if (op->kind > DX_PROTECT || (op->gva & PAGE_MASK) || !op->pages || bytes >= LOW_BYTES ||
        op->gva + bytes > LOW_BYTES)
        return -EINVAL;
    if (op->kind != DX_UNMAP && (op->prot & ~(DX_READ | DX_WRITE | DX_EXEC)))
        return -EINVAL;
    if (op->kind == DX_MAP && ((op->offset & PAGE_MASK) || op->offset > b->dx->cfg.ram_bytes ||
                               bytes > b->dx->cfg.ram_bytes - op->offset))
        return -EINVAL;
    return 0;
}

static void put_op(struct dx_box *b, u32 i, const struct dx_op *op)
{
    u64 bytes = (u64)op->pages << PAGE_SHIFT;
    struct dx_stats *stats = &b->dx->stats;

    switch (op->kind) {
    case DX_MAP:
        dx_mapper_op(b, i, SYS_mmap, op->gva, bytes, op->prot,
                     MAP_SHARED | MAP_FIXED | (op->populate ? MAP_POPULATE : 0), DX_FD_RAM, op->offset);
        stats->maps++;
        break;
    case DX_UNMAP:
        dx_mapper_op(b, i, SYS_munmap, op->gva, bytes, 0, 0, 0, 0);
        stats->unmaps++;
        break;
    default:
        dx_mapper_op(b, i, SYS_mprotect, op->gva, bytes, op->prot, 0, 0, 0);
        stats->protects++;
        break;
    }
    b->mappings++;
}

int dx_map(struct dx_box *b, const struct dx_op *ops, size_t n, size_t *done)
{
    size_t at = 0;
    int err = 0;

    if (done)
        *done = 0;
    for (size_t i = 0; i < n; i++)
        if (check_op(b, &ops[i]))
            return -EINVAL;
    while (at < n && !err) {
        u32 batch = 0, did;
        while (batch < DX_MAP_BATCH && at + batch < n && !err) {
            const struct dx_op *op = &ops[at + batch];
            if (op->kind == DX_MAP && op->gva < b->dx->caps.min_gva)
                err = -EPERM;
            else if (op->kind != DX_UNMAP && b->mappings >= b->dx->cfg.max_mappings)
                err = -ENOMEM;
            else
                put_op(b, batch++, op);
        }
        if (!batch)
            break;
        int failed = dx_mapper_run(b, batch, &did);
        at += did;
        if (failed)
            err = failed == -ENOMEM && at < n && ops[at].kind == DX_PROTECT ? -ENOENT : failed;
    }
    if (done)
        *done = at;
    return err;
}

int dx_wipe(struct dx_box *b)
{
    u32 done;
    int err;

    if (b->dead)
        return -EIO;
    dx_mapper_op(b, 0, SYS_munmap, 0, LOW_BYTES / 2, 0, 0, 0, 0);
    dx_mapper_op(b, 1, SYS_munmap, LOW_BYTES / 2, LOW_BYTES / 2, 0, 0, 0, 0);
    err = dx_mapper_run(b, 2, &done);
    if (!err)
        err = dx_ldt_clear(b);
    if (err) {
        dx_box_die(b, DX_DEATH_HOST, "the sandbox could not be wiped: error %d", -err);
        return -EIO;
    }
    dx_frame_reset(b);
    if (!dx_frame_verify(b)) {
        dx_box_die(b, DX_DEATH_GUEST, "guest code changed the sandbox's signal stack");
        return -EIO;
    }
    dx_frame_reset(b);
    b->mappings = 0;
    b->dx->stats.wipes++;
    return 0;
}

u32 dx_mappings(const struct dx_box *b)
{
    return b->mappings;
}
