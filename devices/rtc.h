/*
 * rtc.h - the MC146818 real-time clock and its CMOS memory.
 */
#ifndef NOVT_DEVICES_RTC_H
#define NOVT_DEVICES_RTC_H

#include "devices/bus.h"
#include "devices/clk.h"

#define RTC_CMOS_BYTES 128

struct rtc {
    u8 cmos[RTC_CMOS_BYTES]; /* registers A-D and memory; the time only while it is being set */
    u8 index;
    bool nmi_off; /* bit 7 of port 70h: the gate in the CPU's NMI line */
    i64 base_s;   /* seconds since 1970 at base_ns */
    u64 base_ns;
    i64 seen_s;    /* newest second whose update and alarm flags are set */
    u64 next_tick; /* periodic: index of the first edge not delivered */
    struct clk *clk;
    struct irq_line irq;
    struct clk_timer timer;
};

/* epoch_s: the time at virtual time 0, in seconds since 1970. Powers up once; rtc_reset() keeps memory. */
int rtc_init(struct rtc *rtc, struct io_bus *io, struct clk *clk, struct irq_line irq,
             i64 epoch_s) MUST_CHECK;
void rtc_reset(struct rtc *rtc);

/* What the firmware finds in memory: sizes and QEMU-style boot order letters ("cad"). */
void rtc_set_machine(struct rtc *rtc, u64 ram_below_4g, u64 ram_above_4g, const char *boot);
/* Disk n of the four IDE drives: its geometry, and how the BIOS translates it (0 not, 1 LBA, 2 large). */
void rtc_set_disk(struct rtc *rtc, unsigned n, u16 cylinders, u16 heads, u16 spt, u8 translation);
/* Types of floppy drives A and B: 0 none, 1 360 KB, 2 1.2 MB, 3 720 KB, 4 1.44 MB, 5 2.88 MB. */
void rtc_set_floppies(struct rtc *rtc, u8 a, u8 b);
void rtc_set_boot(struct rtc *rtc, const char *boot);
void rtc_set_floppy_check(struct rtc *rtc, bool check); /* must a floppy have a boot signature? It must at first */

#endif
