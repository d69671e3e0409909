/*
 * ldt.c - the guest's local descriptor table, mirrored slot for slot into the sandbox's.
 *
 * Only descriptors that behave natively exactly as the architecture says are mirrored; the rest stay empty, so that loading one faults with
 * the right selector and the caller does the instruction by itself. modify_ldt sets DPL 3 and the accessed bit in all it makes, takes no system
 * descriptor, no conforming code that is present and no 64-bit code: that is what dx_ldt_exact() excludes.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "direct/internal.h"

/* A descriptor: 63-56 base 31-24 | 55 G | 54 D/B | 53 L | 52 AVL | 51-48 limit 19-16 | 47 P | 46-45 DPL | 44 S | 43-40 type |
 * 39-16 base 23-0 | 15-0 limit 15-0. Type: 43 code, 42 expand down or conforming, 41 writable or readable, 40 accessed. */
#define D_BIT(d, n) ((u32)((d) >> (n)) & 1)

bool dx_ldt_exact(u64 d)
{
    if (!D_BIT(d, 44) || (d >> 45 & 3) != 3 || !D_BIT(d, 40) || D_BIT(d, 53))
        return false;
    return !(D_BIT(d, 43) && D_BIT(d, 42));
}

u64 dx_ldt_desc(const struct dx_box *b, u16 sel)
{
    u32 slot = sel >> 3;

    return (sel & 4) && b->ldt && slot < DX_LDT_SLOTS ? b->ldt[slot] : 0;
}

/* desc 0: the form that empties a slot. */
static struct dx_user_desc user_desc(u32 slot, u64 d)
{
    struct dx_user_desc u = {.entry = slot, .flags = DX_DESC_READ_EXEC_ONLY | DX_DESC_NOT_PRESENT};

    if (!d)
        return u;
    u.base = (u32)((d >> 16 & 0xffffff) | (d >> 56 << 24));
    u.limit = (u32)((d & 0xffff) | (d >> 32 & 0xf0000));
    u.flags = (D_BIT(d, 54) ? DX_DESC_32BIT : 0) |
              (D_BIT(d, 43) << 1 | (D_BIT(d, 43) ? 0 : D_BIT(d, 42))) << DX_DESC_CONTENTS_SHIFT |
              (D_BIT(d, 41) ? 0 : DX_DESC_READ_EXEC_ONLY) | (D_BIT(d, 55) ? DX_DESC_PAGES : 0) |
              (D_BIT(d, 47) ? 0 : DX_DESC_NOT_PRESENT) | (D_BIT(d, 52) ? DX_DESC_AVL : 0);
    return u;
}

static int write_slots(struct dx_box *b, const struct dx_user_desc *u, u32 n)
{
    u32 done;

    memcpy(b->shared + DX_CMD_DESC, u, n * sizeof(*u));
    for (u32 i = 0; i < n; i++)
        dx_mapper_op(b, i, SYS_modify_ldt, 0x11, DX_CMD_BASE + DX_CMD_DESC + i * sizeof(*u), sizeof(*u), 0, 0,
                     0);
    b->dx->stats.ldt_writes += n;
    int err = dx_mapper_run(b, n, &done);
    for (u32 i = done; err && i < n; i++)
        b->ldt[u[i].entry] = 0; /* not known: never entered with */
    return err;
}

int dx_ldt_set(struct dx_box *b, u32 first, const u64 *desc, u32 n)
{
    struct dx_user_desc u[64];
    u32 room = 0;
    int err = 0;

    if (first > DX_LDT_SLOTS || n > DX_LDT_SLOTS - first)
        return -EINVAL;
    if (b->dead)
        return -EIO;
    if (!b->dx->caps.ldt)
        return -ENOSYS;
    if (!b->ldt) {
        b->ldt = calloc(DX_LDT_SLOTS, sizeof(u64));
        if (!b->ldt)
            return -ENOMEM;
    }
    for (u32 i = 0; i < n && !err; i++) {
        u64 d = dx_ldt_exact(desc[i]) ? desc[i] : 0;
        if (b->ldt[first + i] == d)
            continue;
        b->ldt[first + i] = d;
        if (d && first + i >= b->ldt_end)
            b->ldt_end = first + i + 1;
        u[room++] = user_desc(first + i, d);
        if (room == ARRAY_SIZE(u)) {
            err = write_slots(b, u, room);
            room = 0;
        }
    }
    if (!err && room)
        err = write_slots(b, u, room);
    return err;
}

int dx_ldt_probe(struct dx_box *b)
{
    struct dx_user_desc u = user_desc(0, 0);
    u32 done;

    memcpy(b->shared + DX_CMD_DESC, &u, sizeof(u));
    dx_mapper_op(b, 0, SYS_modify_ldt, 0x11, DX_CMD_BASE + DX_CMD_DESC, sizeof(u), 0, 0, 0);
    int err = dx_mapper_run(b, 1, &done);
    b->dx->caps.ldt = err == 0;
    return err == -EIO ? err : 0;
}

int dx_ldt_clear(struct dx_box *b)
{
    static const u64 empty[64];
    int err = 0;

    for (u32 i = 0; i < b->ldt_end && !err; i += ARRAY_SIZE(empty))
        err = dx_ldt_set(b, i, empty, (u32)min_u64(ARRAY_SIZE(empty), DX_LDT_SLOTS - i));
    if (!err)
        b->ldt_end = 0;
    return err;
}
