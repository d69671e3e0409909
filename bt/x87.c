/*
 * x87.c - where the guest's last x87 instruction ran, and on what.
 *
 * The host's x87 unit remembers addresses in the code cache and in the window. When the guest's x87 state is
 * saved these are turned into what the guest would see: CS:EIP by the side table, the operand's linear address because
 * windows are aligned to 4 GiB; the monitor makes it an offset. A saved image goes back with BT_X87_IP_NONE as its pointer, so that
 * the zero that FNINIT leaves is news and what was there before is not.
 */
#include <string.h>

#include "bt/internal.h"

/* The 32-bit environment, as FNSTENV stores it in 64-bit mode too (SDM vol. 1, 8.1.10). */
struct x87_env {
    u32 fcw, fsw, ftw, ip, cs_opcode, dp, ds;
};

struct where {
    u32 eip, cs_base;
    u16 sel;
    bool cs32;
};

/* The guest's instruction of the host instruction whose address ends in ip. CS may have changed since: the selector is the one under
 * which the block was translated. (Another one with the same base and
 * rights may run it too; that one's name is lost.) */
static bool guest_code(const struct bt *bt, u32 ip, struct where *out)
{
    const struct cpu *cpu = bt->cpu;
    u32 off = ip - (u32)bt->rx_lo;
    const struct cc_block *b;
    const struct side_rec *r;
    if (off >= bt->rx_hi - bt->rx_lo)
        return false;
    if (off - bt->step_off < BT_STEP_BYTES) {
        *out = (struct where){bt->step_eip, cpu->step_cs_base, cpu->step_cs, cpu->step_cs32};
        return true;
    }
    b = cc_find(bt->cc, bt->rx_lo + off);
    r = b ? side_find(bt, b, bt->rx_lo + off) : NULL;
    if (!r)
        return false;
    *out = (struct where){b->key.eip + r->guest, b->key.cs_base, b->tag, b->key.mode & MODE_CS32};
    return true;
}

void x87_note_pointers(struct cpu *cpu)
{
    const struct bt *bt = cpu->bt;
    struct x87_env env;
    struct where at;
    u32 dp;
    __asm__ volatile("fnstenv %0" : "=m"(env));
    if (!env.ip && !env.dp) { /* FNINIT */
        cpu->fpu_fresh = 0;
        cpu->fpu_ip = cpu->fpu_dp = 0;
        cpu->fpu_opcode = 0;
    }
    if (!bt || !guest_code(bt, env.ip, &at))
        return;
    dp = env.dp - (u32)(u64)cpu->buf < sizeof(cpu->buf) ? bt->step_dp : env.dp;
    cpu->fpu_ip = (u64)at.sel << 32 | at.eip;
    cpu->fpu_lin = at.cs_base + at.eip;
    cpu->fpu_cs32 = at.cs32;
    cpu->fpu_dp = dp;
    cpu->fpu_opcode = (u16)(env.cs_opcode >> 16) & 0x7ff;
    cpu->fpu_fresh = 1;
}

bool bt_fpu_pending(const struct cpu *cpu)
{
    u16 fsw;
    if (cpu->fpu_saved)
        memcpy(&fsw, cpu->fpu + 2, sizeof(fsw));
    else
        __asm__ volatile("fnstsw %0" : "=m"(fsw));
    return fsw & 0x80;
}
