/*
 * nic_sum.h - the Internet checksum and big-endian fields of frames, for cards that fill them in for their guest.
 *
 * Sums of 16-bit words are added up in 32 bits, enough for 64 KiB and more, and folded at the end (RFC 1071). Positions in a
 * frame are the caller's to check.
 */
#ifndef NOVT_DEVICES_NIC_SUM_H
#define NOVT_DEVICES_NIC_SUM_H

#include "base.h"

static inline u16 be16_get(const u8 *at)
{
    return (u16)(at[0] << 8 | at[1]);
}

static inline void be16_put(u8 *at, u32 val)
{
    at[0] = (u8)(val >> 8);
    at[1] = (u8)val;
}

static inline u32 sum_add(const u8 *at, u32 bytes, u32 sum)
{
    for (u32 i = 0; i + 1 < bytes; i += 2)
        sum += be16_get(at + i);
    return bytes & 1 ? sum + ((u32)at[bytes - 1] << 8) : sum;
}

static inline u16 sum_fold(u32 sum)
{
    sum = (sum & 0xffff) + (sum >> 16);
    return (u16)(sum + (sum >> 16));
}

#endif
