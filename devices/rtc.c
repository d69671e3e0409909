/*
 * rtc.c - MC146818 clock and CMOS memory, ports 70h/71h, IRQ 8 (Motorola MC146818A data sheet).
 *
 * Time is base_s plus the virtual time since base_ns; the registers are computed when read. While the
 * guest holds SET (or the divider in reset) the time stands in cmos[] instead. Flags of register C are
 * brought up to date when somebody looks or when an enabled interrupt is due, so an RTC nobody uses
 * costs nothing. Periodic ticks keep their phase; those not yet acknowledged are owed, one second at most.
 */
#include "devices/rtc.h"

#include <string.h>

enum {
    R_SEC,
    R_SEC_ALARM,
    R_MIN,
    R_MIN_ALARM,
    R_HOUR,
    R_HOUR_ALARM,
    R_WDAY,
    R_MDAY,
    R_MONTH,
    R_YEAR,
    R_A,
    R_B,
    R_C,
    R_D,
    R_CENTURY = 0x32,
};
enum { A_UIP = 0x80, A_DIV_RESET = 0x60 };
enum { B_SET = 0x80, B_PIE = 0x40, B_AIE = 0x20, B_UIE = 0x10, B_SQWE = 0x08, B_BINARY = 0x04, B_24H = 0x02 };
enum { C_IRQF = 0x80, C_PF = 0x40, C_AF = 0x20, C_UF = 0x10 };
enum { ALARM_ANY = 0xc0, DAY_S = 86400, CATCH_UP_RATE = 4 };
#define RTC_HZ 32768u
#define UIP_NS 244000u

struct tm_utc {
    int year, month, mday, hour, min, sec, wday; /* month 1-12, wday 1 = Sunday */
};

/* Days since 1970-01-01 of a civil date, and back: the usual March-based era arithmetic. */
static i64 days_from_civil(int y, int m, int d)
{
    y -= m <= 2;
    i64 era = (y >= 0 ? y : y - 399) / 400;
    unsigned yoe = (unsigned)(y - era * 400);
    unsigned doy = (unsigned)((153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1);
    return era * 146097 + (i64)(yoe * 365 + yoe / 4 - yoe / 100 + doy) - 719468;
}

static void civil_from_seconds(i64 s, struct tm_utc *t)
{
    i64 days = s / DAY_S, rest = s % DAY_S;
    if (rest < 0) {
        rest += DAY_S;
        days--;
    }
    t->hour = (int)(rest / 3600);
    t->min = (int)(rest / 60 % 60);
    t->sec = (int)(rest % 60);
    t->wday = (int)(((days + 4) % 7 + 7) % 7) + 1;
    days += 719468;
    i64 era = (days >= 0 ? days : days - 146096) / 146097;
    unsigned doe = (unsigned)(days - era * 146097);
    unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    unsigned mp = (5 * doy + 2) / 153;
    t->mday = (int)(doy - (153 * mp + 2) / 5 + 1);
    t->month = (int)(mp < 10 ? mp + 3 : mp - 9);
    t->year = (int)((i64)yoe + era * 400) + (t->month <= 2);
}

static u8 encode(const struct rtc *rtc, int v)
{
    return (u8)(rtc->cmos[R_B] & B_BINARY ? v : v / 10 << 4 | v % 10);
}

static int decode(const struct rtc *rtc, u8 v)
{
    return rtc->cmos[R_B] & B_BINARY ? v : (v >> 4) * 10 + (v & 15);
}

static u8 encode_hour(const struct rtc *rtc, int h)
{
    if (rtc->cmos[R_B] & B_24H)
        return encode(rtc, h);
    return (u8)(encode(rtc, h % 12 ? h % 12 : 12) | (h >= 12 ? 0x80 : 0));
}

static int decode_hour(const struct rtc *rtc, u8 v)
{
    if (rtc->cmos[R_B] & B_24H)
        return decode(rtc, v);
    return decode(rtc, v & 0x7f) % 12 + (v & 0x80 ? 12 : 0);
}

static bool is_stopped(const struct rtc *rtc)
{
    return (rtc->cmos[R_B] & B_SET) || (rtc->cmos[R_A] & A_DIV_RESET) == A_DIV_RESET;
}

static i64 now_s(const struct rtc *rtc, u64 now)
{
    return rtc->base_s + (i64)((now - rtc->base_ns) / CLK_SECOND_NS);
}

static void time_to_cmos(struct rtc *rtc, i64 s)
{
    struct tm_utc t;
    civil_from_seconds(s, &t);
    rtc->cmos[R_SEC] = encode(rtc, t.sec);
    rtc->cmos[R_MIN] = encode(rtc, t.min);
    rtc->cmos[R_HOUR] = encode_hour(rtc, t.hour);
    rtc->cmos[R_WDAY] = encode(rtc, t.wday);
    rtc->cmos[R_MDAY] = encode(rtc, t.mday);
    rtc->cmos[R_MONTH] = encode(rtc, t.month);
    rtc->cmos[R_YEAR] = encode(rtc, t.year % 100);
    rtc->cmos[R_CENTURY] = encode(rtc, t.year / 100 % 100);
}

/* Whatever the guest left there becomes some time: fields out of range carry over. */
static i64 time_from_cmos(const struct rtc *rtc)
{
    int year = decode(rtc, rtc->cmos[R_CENTURY]) * 100 + decode(rtc, rtc->cmos[R_YEAR]);
    int month = decode(rtc, rtc->cmos[R_MONTH]);
    if (month < 1 || month > 12)
        month = 1;
    return (days_from_civil(year, month, 1) + decode(rtc, rtc->cmos[R_MDAY]) - 1) * DAY_S +
           decode_hour(rtc, rtc->cmos[R_HOUR]) * 3600 + decode(rtc, rtc->cmos[R_MIN]) * 60 +
           decode(rtc, rtc->cmos[R_SEC]);
}

/* Ticks of 32768 Hz between periodic edges, 0 = none. */
static u32 period_ticks(const struct rtc *rtc)
{
    unsigned rate = rtc->cmos[R_A] & 15;
    if (!rate)
        return 0;
    return rate < 3 ? BIT(rate + 6) : BIT(rate - 1);
}

static u64 tick_index(u64 now, u32 period)
{
    return clk_muldiv(now, RTC_HZ, CLK_SECOND_NS) / period;
}

static bool field_matches(const struct rtc *rtc, unsigned reg, int v)
{
    u8 alarm = rtc->cmos[reg];
    if (alarm >= ALARM_ANY)
        return true;
    return (reg == R_HOUR_ALARM ? decode_hour(rtc, alarm) : decode(rtc, alarm)) == v;
}

/* First second after `s` at which the alarm matches, at most a day on; INT64_MIN if it never does. */
static i64 alarm_after(const struct rtc *rtc, i64 s)
{
    i64 end = s + DAY_S;
    for (s++; s <= end;) {
        struct tm_utc t;
        civil_from_seconds(s, &t);
        if (!field_matches(rtc, R_HOUR_ALARM, t.hour))
            s += 3600 - t.min * 60 - t.sec;
        else if (!field_matches(rtc, R_MIN_ALARM, t.min))
            s += 60 - t.sec;
        else if (!field_matches(rtc, R_SEC_ALARM, t.sec))
            s++;
        else
            return s;
    }
    return INT64_MIN;
}

static void update_irq(struct rtc *rtc)
{
    u8 *c = &rtc->cmos[R_C];
    bool level = *c & rtc->cmos[R_B] & (C_PF | C_AF | C_UF);
    *c = (u8)((*c & ~C_IRQF) | (level ? C_IRQF : 0));
    irq_set(rtc->irq, level);
}

/* Brings register C up to date. */
static void sync_flags(struct rtc *rtc, u64 now)
{
    u8 *c = &rtc->cmos[R_C];
    if (!is_stopped(rtc)) {
        i64 s = now_s(rtc, now);
        if (s > rtc->seen_s) {
            *c |= C_UF;
            i64 alarm = alarm_after(rtc, rtc->seen_s);
            if (alarm > rtc->seen_s && alarm <= s)
                *c |= C_AF;
        }
        rtc->seen_s = s;
    }
    u32 period = period_ticks(rtc);
    u64 newest = period ? tick_index(now, period) : 0;
    if (period && newest >= rtc->next_tick) {
        u64 cap = RTC_HZ / period;
        if (!(rtc->cmos[R_B] & B_PIE)) {
            *c |= C_PF;
            rtc->next_tick = newest + 1;
        } else if (!(*c & C_PF)) {
            if (newest - rtc->next_tick > cap)
                rtc->next_tick = newest - cap;
            *c |= C_PF;
            rtc->next_tick++;
        }
    }
    update_irq(rtc);
}

/* Arms the timer for the next event that can raise the line. */
static void schedule(struct rtc *rtc, u64 now)
{
    u8 b = rtc->cmos[R_B], idle = (u8)~rtc->cmos[R_C];
    u64 at = CLK_NEVER;
    u32 period = period_ticks(rtc);
    if ((b & idle & B_PIE) && period) {
        bool owed = tick_index(now, period) >= rtc->next_tick;
        at = owed ? now + clk_muldiv(period, CLK_SECOND_NS, RTC_HZ * CATCH_UP_RATE)
                  : clk_muldiv(rtc->next_tick * period, CLK_SECOND_NS, RTC_HZ) + 1;
    }
    if ((b & idle & (B_UIE | B_AIE)) && !is_stopped(rtc)) {
        i64 s = b & idle & B_UIE ? rtc->seen_s + 1 : alarm_after(rtc, rtc->seen_s);
        if (s > rtc->base_s)
            at = min_u64(at, rtc->base_ns + (u64)(s - rtc->base_s) * CLK_SECOND_NS);
    }
    clk_timer_set(rtc->clk, &rtc->timer, at);
}

static void on_timer(void *opaque, u64 now)
{
    struct rtc *rtc = opaque;
    sync_flags(rtc, now);
    schedule(rtc, now);
}

/* Restarts counting from what stands in cmos[]; the next update is due in `left_ns`. */
static void start_time(struct rtc *rtc, u64 now, u64 left_ns)
{
    rtc->base_s = time_from_cmos(rtc);
    rtc->base_ns = now + left_ns - CLK_SECOND_NS; /* may wrap below 0: only differences are used */
    rtc->seen_s = rtc->base_s;
}

static u64 left_in_second(const struct rtc *rtc, u64 now)
{
    return CLK_SECOND_NS - (now - rtc->base_ns) % CLK_SECOND_NS;
}

static void write_a_or_b(struct rtc *rtc, unsigned reg, u8 val, u64 now)
{
    bool was_stopped = is_stopped(rtc);
    bool div_was_reset = (rtc->cmos[R_A] & A_DIV_RESET) == A_DIV_RESET;
    i64 s = now_s(rtc, now);
    if (reg == R_A) {
        bool new_rate = (rtc->cmos[R_A] ^ val) & 15;
        rtc->cmos[R_A] = val & (u8)~A_UIP;
        if (new_rate && period_ticks(rtc))
            rtc->next_tick = tick_index(now, period_ticks(rtc)) + 1;
    } else {
        if (val & B_SET)
            val &= (u8)~B_UIE; /* SET going up clears UIE */
        if ((val & ~rtc->cmos[R_B] & B_PIE) && period_ticks(rtc))
            rtc->next_tick = tick_index(now, period_ticks(rtc)) + 1;
        /* Time in cmos[] is in the format of register B: freeze it in the old one. */
        if (!was_stopped && (val & B_SET))
            time_to_cmos(rtc, s);
        rtc->cmos[R_B] = val;
    }
    if (reg == R_A && !was_stopped && is_stopped(rtc))
        time_to_cmos(rtc, s);
    if (was_stopped && !is_stopped(rtc))
        start_time(rtc, now, div_was_reset ? CLK_SECOND_NS / 2 : left_in_second(rtc, now));
}

static bool is_time_reg(unsigned reg)
{
    return reg == R_CENTURY || reg == R_SEC || reg == R_MIN || reg == R_HOUR ||
           (reg >= R_WDAY && reg <= R_YEAR);
}

static void write_time(struct rtc *rtc, unsigned reg, u8 val, u64 now)
{
    bool running = !is_stopped(rtc);
    if (running)
        time_to_cmos(rtc, now_s(rtc, now));
    rtc->cmos[reg] = val;
    if (running)
        start_time(rtc, now, left_in_second(rtc, now));
}

static void rtc_write_reg(struct rtc *rtc, unsigned reg, u8 val)
{
    u64 now = clk_now(rtc->clk);
    if (reg == R_C || reg == R_D)
        return;
    if (reg > R_D && reg != R_CENTURY) {
        rtc->cmos[reg] = val;
        return;
    }
    sync_flags(rtc, now);
    if (reg == R_A || reg == R_B)
        write_a_or_b(rtc, reg, val, now);
    else if (is_time_reg(reg))
        write_time(rtc, reg, val, now);
    else
        rtc->cmos[reg] = val; /* alarms */
    update_irq(rtc);
    schedule(rtc, now);
}

static u8 rtc_read_reg(struct rtc *rtc, unsigned reg)
{
    u64 now = clk_now(rtc->clk);
    if (is_time_reg(reg) && !is_stopped(rtc)) {
        time_to_cmos(rtc, now_s(rtc, now));
    } else if (reg == R_A) {
        bool uip = !is_stopped(rtc) && left_in_second(rtc, now) <= UIP_NS;
        return rtc->cmos[R_A] | (uip ? A_UIP : 0);
    } else if (reg == R_C) {
        sync_flags(rtc, now);
        u8 c = rtc->cmos[R_C];
        rtc->cmos[R_C] = 0;
        update_irq(rtc);
        schedule(rtc, now);
        return c;
    }
    return rtc->cmos[reg];
}

static u32 port_read(void *opaque, u32 offset, unsigned size)
{
    struct rtc *rtc = opaque;
    (void)size;
    return offset == 1 ? rtc_read_reg(rtc, rtc->index) : 0xff;
}

static void port_write(void *opaque, u32 offset, unsigned size, u32 val)
{
    struct rtc *rtc = opaque;
    (void)size;
    if (offset == 0) {
        rtc->index = val & (RTC_CMOS_BYTES - 1);
        rtc->nmi_off = val & 0x80;
    } else {
        rtc_write_reg(rtc, rtc->index, (u8)val);
    }
}

static const struct bus_ops rtc_ops = {.read = port_read, .write = port_write};

int rtc_init(struct rtc *rtc, struct io_bus *io, struct clk *clk, struct irq_line irq, i64 epoch_s)
{
    memset(rtc, 0, sizeof(*rtc));
    rtc->clk = clk;
    rtc->irq = irq;
    rtc->base_s = rtc->seen_s = epoch_s;
    rtc->base_ns = clk_now(clk);
    rtc->cmos[R_A] = 0x26; /* 32768 Hz time base, 1024 Hz periodic */
    rtc->cmos[R_B] = B_24H;
    rtc->cmos[R_D] = 0x80; /* battery good */
    clk_timer_init(&rtc->timer, on_timer, rtc);
    rtc_reset(rtc);
    return io_bus_register(io, 0x70, 2, &rtc_ops, rtc);
}

void rtc_reset(struct rtc *rtc)
{
    rtc->cmos[R_B] &= (u8) ~(B_PIE | B_AIE | B_UIE | B_SQWE);
    rtc->cmos[R_C] = 0;
    rtc->index = 0;
    update_irq(rtc);
    schedule(rtc, clk_now(rtc->clk));
}

static void set16(struct rtc *rtc, unsigned reg, u64 val)
{
    val = min_u64(val, 0xffff);
    rtc->cmos[reg] = (u8)val;
    rtc->cmos[reg + 1] = (u8)(val >> 8);
}

static u8 boot_code(const char *boot, size_t n)
{
    if (n >= strlen(boot))
        return 0;
    switch (boot[n]) {
    case 'a':
    case 'b': return 1;
    case 'c': return 2;
    case 'd': return 3;
    case 'n': return 4;
    default: return 0;
    }
}

void rtc_set_floppy_check(struct rtc *rtc, bool check)
{
    rtc->cmos[0x38] = (u8)((rtc->cmos[0x38] & ~1u) | !check);
}

void rtc_set_boot(struct rtc *rtc, const char *boot)
{
    rtc->cmos[0x38] = (u8)(boot_code(boot, 2) << 4 | (rtc->cmos[0x38] & 1));
    rtc->cmos[0x3d] = (u8)(boot_code(boot, 1) << 4 | boot_code(boot, 0));
}

void rtc_set_machine(struct rtc *rtc, u64 ram_below_4g, u64 ram_above_4g, const char *boot)
{
    const u64 mib = 1024 * 1024;
    u64 extended = ram_below_4g > mib ? ram_below_4g - mib : 0;
    u64 above_16m = ram_below_4g > 16 * mib ? ram_below_4g - 16 * mib : 0;
    set16(rtc, 0x15, min_u64(ram_below_4g / 1024, 640));
    set16(rtc, 0x17, extended / 1024);
    set16(rtc, 0x30, extended / 1024);
    set16(rtc, 0x34, above_16m / 65536);
    for (unsigned i = 0; i < 3; i++)
        rtc->cmos[0x5b + i] = (u8)(ram_above_4g >> (16 + 8 * i));
    rtc->cmos[0x10] = 0;    /* no floppy drives */
    rtc->cmos[0x14] = 0x06; /* FPU, PS/2 mouse, VGA */
    rtc->cmos[0x5f] = 0;    /* processors beyond the first */
    rtc_set_boot(rtc, boot);
}

/*
 * 12h  types of disks 0 (high) and 1, Fh: see 19h and 1Ah, where 2Fh ("47") means: geometry at 1Bh and 24h
 * 39h  two bits of translation for each IDE drive
 */
void rtc_set_disk(struct rtc *rtc, unsigned n, u16 cylinders, u16 heads, u16 spt, u8 translation)
{
    if (n >= 4)
        return;
    rtc->cmos[0x39] |= (u8)((translation & 3) << 2 * n);
    if (n >= 2)
        return;
    unsigned at = n ? 0x24 : 0x1b;
    rtc->cmos[0x12] |= n ? 0x0f : 0xf0;
    rtc->cmos[0x19 + n] = 47;
    set16(rtc, at, cylinders);
    rtc->cmos[at + 2] = (u8)heads;
    set16(rtc, at + 3, 0xffff); /* no write precompensation */
    rtc->cmos[at + 5] = heads > 8 ? 0xc8 : 0xc0;
    set16(rtc, at + 6, cylinders); /* landing zone */
    rtc->cmos[at + 8] = (u8)spt;
}

void rtc_set_floppies(struct rtc *rtc, u8 a, u8 b)
{
    unsigned drives = (a != 0) + (b != 0);
    rtc->cmos[0x10] = (u8)(a << 4 | (b & 15));
    rtc->cmos[0x14] &= 0x3e;
    if (drives)
        rtc->cmos[0x14] |= (u8)(1 | (drives - 1) << 6);
}
