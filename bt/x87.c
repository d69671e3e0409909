/*
 * x87.c - where the guest's last x87 instruction ran, and on what.
 *
 * The host's x87 unit remembers addresses in the code cache and in the window. When the guest's x87 state is
 * saved these are turned into what the guest would see: CS:EIP by the side table, the operand's linear address because
 * windows are aligned to 4 GiB; the monitor makes it an offset. What the unit remembers from elsewhere (a restored image) changes nothing.
 */
#include "bt/internal.h"

/* The 32-bit environment, as FNSTENV stores it in 64-bit mode too (SDM vol. 1, 8.1.10). */
struct x87_env {
    u32 fcw, fsw, ftw, ip, cs_opcode, dp, ds;
};

/* Guest EIP of the host instruction whose address ends in ip. */
static bool guest_eip(const struct bt *bt, u32 ip, u32 *eip)
{
    u32 off = ip - (u32)bt->rx_lo;
    const struct cc_block *b;
    const struct side_rec *r;
    if (off >= bt->rx_hi - bt->rx_lo)
        return false;
    if (off - bt->step_off < BT_STEP_BYTES) {
        *eip = bt->step_eip;
        return true;
    }
    b = cc_find(bt->cc, bt->rx_lo + off);
    r = b ? side_find(bt, b, bt->rx_lo + off) : NULL;
    if (!r)
        return false;
    *eip = b->key.eip + r->guest;
    return true;
}

void x87_note_pointers(struct cpu *cpu)
{
    const struct bt *bt = cpu->bt;
    struct x87_env env;
    u32 eip, dp;
    __asm__ volatile("fnstenv %0" : "=m"(env));
    if (!bt || !guest_eip(bt, env.ip, &eip))
        return;
    dp = env.dp - (u32)(u64)cpu->buf < sizeof(cpu->buf) ? bt->step_dp : env.dp;
    cpu->fpu_ip = (u64)cpu->seg[SEG_CS].sel << 32 | eip;
    cpu->fpu_dp = dp;
    cpu->fpu_opcode = (u16)(env.cs_opcode >> 16) & 0x7ff;
    cpu->fpu_fresh = 1;
}
