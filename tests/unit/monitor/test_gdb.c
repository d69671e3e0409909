/*
 * test_gdb.c - the gdb stub without a client: packets in, packets out, on a machine that does not run.
 *
 * What a client sees while the guest runs is tests/gdb's. Here: frames and their damage, escapes, the register file's
 * bounds, memory at the ends of everything, and a storm of packets that are half right. A finding is a crash, a sanitizer's
 * message, an answer that is no frame, or a machine that was changed by what was refused.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "monitor/gdb.h"
#include "novt.h"

#define MB (1u << 20)
#define STORM 60000u

static struct novt_vm *vm;
static struct novt_gdb *gdb;
static char out[1u << 17];
static size_t out_n;
static u64 written;

static void take(void *opaque, const uint8_t *buf, size_t len)
{
    (void)opaque;
    written += len;
    if (out_n + len < sizeof(out)) {
        memcpy(out + out_n, buf, len);
        out_n += len;
    }
    out[out_n] = 0;
}

static void start(void)
{
    struct novt_config config = {.ram_bytes = 2 * MB, .no_firmware = true};

    cr_assert_eq(novt_vm_new(&vm, &config, NULL), 0);
    cr_assert_eq(novt_gdb_open(&gdb, vm, take, NULL), 0);
    out_n = 0;
}

static void stop(void)
{
    novt_gdb_close(gdb, -1);
    novt_vm_free(vm);
}

static void input(const char *bytes, size_t len)
{
    novt_gdb_input(gdb, (const u8 *)bytes, len);
}

static void send_packet(const char *text, size_t len)
{
    char sum[8];
    u8 s = 0;

    for (size_t i = 0; i < len; i++)
        s = (u8)(s + (u8)text[i]);
    snprintf(sum, sizeof(sum), "#%02x", s);
    input("$", 1);
    input(text, len);
    input(sum, 3);
}

/* The answer's text, without the acknowledgement and the frame. */
static const char *ask(const char *text)
{
    char *end;

    out_n = 0;
    out[0] = 0;
    send_packet(text, strlen(text));
    end = strrchr(out, '#');
    cr_assert(out_n >= 5 && out[0] == '+' && out[1] == '$' && end, "%s: %.100s", text, out);
    *end = 0;
    return out + 2;
}

#define ANSWER(packet, want)                                          \
    do {                                                              \
        const char *got_ = ask(packet);                               \
        cr_expect_str_eq(got_, want, "%s gave %.100s", packet, got_); \
    } while (0)

Test(gdb, frames)
{
    start();
    input("+++$qC#b4", 9);
    cr_expect_str_eq(out, "+$QC01#f5");
    out_n = 0;
    input("$qC#b5", 6); /* a wrong sum */
    cr_expect_str_eq(out, "-");
    out_n = 0;
    input("-", 1); /* once more, please */
    cr_expect_str_eq(out, "$QC01#f5");
    out_n = 0;
    input("$qC$qC#b4", 9); /* broken off and begun anew */
    cr_expect_str_eq(out, "+$QC01#f5");
    out_n = 0;
    input("$qC#zz", 6);
    cr_expect_str_eq(out, "-");
    ANSWER("QStartNoAckMode", "OK");
    out_n = 0;
    input("$qC#00", 6); /* no acknowledgements: silence */
    cr_expect_eq(out_n, 0);
    stop();
}

/* One byte more than fits is refused whole; what comes after is heard. */
Test(gdb, longest_packet)
{
    char *text = malloc(GDB_PACKET_BYTES + 2);

    start();
    memset(text, '0', GDB_PACKET_BYTES + 2);
    memcpy(text, "M400,0:", 7);
    out_n = 0;
    send_packet(text, GDB_PACKET_BYTES + 1);
    cr_expect_str_eq(out, "-");
    out_n = 0;
    send_packet(text, GDB_PACKET_BYTES);
    cr_expect_str_eq(out, "+$OK#9a");
    ANSWER("qC", "QC01");
    free(text);
    stop();
}

Test(gdb, memory_at_the_ends)
{
    start();
    ANSWER("M1ffffe,2:a1b2", "OK");
    ANSWER("m1ffffe,2", "a1b2");
    ANSWER("m1ffffe,4", "a1b2"); /* up to where there is something */
    ANSWER("m200000,1", "E0e");
    ANSWER("M1ffffe,4:01020304", "E0e");
    ANSWER("m1ffffe,2", "a1b2"); /* nothing of it */
    ANSWER("mffffffff,2", "E0e");
    ANSWER("mffffffffffffffff,10", "E0e");
    ANSWER("Mfffffffffffff000,1:00", "E0e");
    ANSWER("m0,0", "");
    ANSWER("Qqemu.PhyMemMode:1", "OK");
    ANSWER("m1ffffe,2", "a1b2");
    ANSWER("mffffffffffff0000,10", "E0e");
    cr_expect_eq(strlen(ask("m0,ffffffffffffffff")), (size_t)GDB_PACKET_BYTES);
    stop();
}

/* Every register takes what it gave, and the whole file is what the description says. */
Test(gdb, registers_round_trip)
{
    static char packet[4096], first[4096];
    struct novt_regs before, after;
    size_t bytes = 0;

    start();
    for (unsigned n = 0; n < gdb_reg_count(); n++) {
        char name[16], value[64];

        snprintf(name, sizeof(name), "p%x", n);
        snprintf(value, sizeof(value), "%s", ask(name));
        cr_assert_eq(strlen(value), 2 * (size_t)gdb_reg_bytes(n), "%s", name);
        bytes += gdb_reg_bytes(n);
        snprintf(packet, sizeof(packet), "P%x=%s", n, value);
        ANSWER(packet, "OK");
    }
    snprintf(first, sizeof(first), "%s", ask("g"));
    cr_expect_eq(strlen(first), 2 * bytes);
    novt_vm_get_regs(vm, &before);
    snprintf(packet, sizeof(packet), "G%.4000s", first);
    ANSWER(packet, "OK");
    novt_vm_get_regs(vm, &after);
    cr_expect_eq(memcmp(&before, &after, sizeof(before)), 0);
    ANSWER("P1=78563412", "OK");
    ANSWER("P9=ffffffff", "OK"); /* EFLAGS: VM is not for writing */
    novt_vm_get_regs(vm, &after);
    cr_expect_eq(after.gpr[NOVT_ECX], 0x12345678);
    cr_expect_eq(after.eflags & (1u << 17 | 1u << 1), 1u << 1);
    stop();
}

Test(gdb, description_in_pieces_is_the_whole)
{
    static char whole[20000], joined[20000];
    char packet[64];
    size_t n = 0;

    start();
    cr_assert_lt(gdb_target_xml(whole, sizeof(whole)), 16384u);
    for (char more = 'm'; more == 'm';) {
        snprintf(packet, sizeof(packet), "qXfer:features:read:target.xml:%zx,1ff", n);
        const char *a = ask(packet);

        more = a[0];
        n += (size_t)snprintf(joined + n, sizeof(joined) - n, "%s", a + 1);
    }
    cr_expect_str_eq(joined, whole); /* nothing in it needs an escape */
    stop();
}

/* ---- the storm ---- */

static u64 seed = 0x9e3779b97f4a7c15ull;

static u32 rnd(u32 n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (u32)(seed >> 33) % n;
}

static size_t piece(char *to, size_t room)
{
    static const char *const words[] = {
        "g",
        "G",
        "p",
        "P",
        "m",
        "M",
        "X",
        "Z0,",
        "Z1,",
        "Z2,",
        "Z3,",
        "Z4,",
        "z0,",
        "z2,",
        "c",
        "s",
        "C05",
        "S05;",
        "vCont;c",
        "vCont;s:1",
        "vCont?",
        "vKill;1",
        "q",
        "Q",
        "qXfer:features:read:target.xml:",
        "qRcmd,",
        "qqemu.sstep",
        "Qqemu.sstep=",
        "Qqemu.PhyMemMode:1",
        "Qqemu.PhyMemMode:0",
        "?",
        "H",
        "D",
        "k",
        ":",
        ",",
        "=",
        ";",
        "#",
        "}",
        "$",
        "\x03",
        "-",
        "+",
        "ffffffff",
        "ffffffffffffffff",
        "1000",
        "80000000",
        "0",
        "qSupported:multiprocess+",
        "-1",
        "p1.1",
        "R00",
        "!",
        "i",
        "*",
    };
    const char *w = words[rnd(ARRAY_SIZE(words))];
    size_t n = 0;

    switch (rnd(4)) {
    case 0:
        for (n = 0; n < room && n < rnd(40); n++)
            to[n] = "0123456789abcdef"[rnd(16)];
        return n;
    case 1:
        for (n = 0; n < room && n < rnd(6); n++)
            to[n] = (char)rnd(256);
        return n;
    default:
        n = strlen(w) < room ? strlen(w) : room;
        memcpy(to, w, n);
        return n;
    }
}

Test(gdb, storm, .timeout = 120)
{
    char packet[600];

    start();
    for (u32 i = 0; i < STORM; i++) {
        size_t n = 0;

        for (u32 k = rnd(6); k; k--)
            n += piece(packet + n, sizeof(packet) - n);
        out_n = 0;
        if (rnd(8))
            send_packet(packet, n);
        else
            input(packet, n);
    }
    cr_expect_gt(written, STORM);
    input("#00", 3); /* whatever frame was open */
    input("#00", 3);
    out_n = 0;
    send_packet("qC", 2);
    cr_expect(strstr(out, "$QC01#f5"), "%.100s", out);
    stop();
}
